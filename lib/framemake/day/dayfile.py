"""A day file: what it says of itself, and its samples on demand.  The one reader of day files.

Layout: /channels/<name>, 1-D, always the full window, NaN where there is no data; a chunk that holds nothing
is not written.  /provenance says where the day came from: see provenance.  Two builds from the same input differ in
nothing but their time stamps; one that went on with a copy of an earlier file holds the same at other places of the
file, and its attribute `unused` tells how many bytes of it hold nothing.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator

import h5py
import numpy as np

from .. import gps, grid, jsontext
from ..errors import BadInput
from ..frames import catalog
from ..gps import Window
from . import coverage, layout, statistics
from .account import Account
from .provenance import Dataset, Origin, Provenance

# What HDF5, h5py and numpy raise where a file is not what it says.
FAULTS = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
_NOT_GIVEN = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENFILE, errno.EMFILE, errno.ENOMEM)


class NotGiven(BadInput):
    """The system has a day file and does not give it now, which says nothing of what the file holds."""


class DayFile:
    """An open day file; close it, or use it as a context manager.

    The file is opened once, so it stays one version, whole, when a new one takes its place meanwhile.
    """

    def __init__(self, path: str):
        """Raises BadInput, which names the path, if there is no such file, or it is no HDF5 file; NotGiven is one."""
        self.path = path
        try:
            self.file = h5py.File(path, "r")
        except FileNotFoundError:
            raise BadInput(f"no such file: {path!r}") from None
        except OSError as error:
            if error.errno in _NOT_GIVEN:
                raise NotGiven(f"day file cannot be opened, {os.strerror(error.errno).lower()}: {path!r}") from None
            raise BadInput(f"day file cannot be read as HDF5: {path!r}: {' '.join(str(error).split())[:120]}") from None
        self._size = self._bytes()
        self._provenance: Provenance | None = None
        self._inputs: str | None = None
        self._statistics: dict[str, np.ndarray] | None = None
        self._whole: list[tuple[np.ndarray, np.ndarray]] | None = None

    def __enter__(self) -> "DayFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()

    # --- what it says of itself --------------------------------------------------------------

    @property
    def provenance(self) -> Provenance:
        """Raises BadInput if the file has none."""
        if self._provenance is None:
            try:
                if layout.PROVENANCE in self.file:
                    self._provenance = Provenance.load(self.file[layout.PROVENANCE])
                else:
                    self._provenance = _of_converter(self.file)
            except (BadInput, *FAULTS) as error:  # BadInput for a time that is none
                raise self._unlike(error) from None
        return self._provenance

    def peek(self, *names: str) -> dict:
        """Members of the JSON of the provenance, by name: read (the channels), window, increment, datasets, frames.

        The list of frames, which is most of it, stands last and is not parsed for the others: that counts where one
        channel of many days is wanted.  KeyError or ValueError if they are not there.
        """
        if layout.PROVENANCE not in self.file:
            made = self.provenance
            datasets = {name: list(dataset) for name, dataset in made.datasets.items()}
            here = {"read": made.channels, "window": made.window, "increment": made.increment, "datasets": datasets}
            here["frames"] = []  # it does not tell
            return {name: here[name] for name in names}
        if self._inputs is None:
            # Through h5py's low-level objects: Dataset's own way takes half as long again.
            dataset = h5py.h5d.open(self.file.id, f"{layout.PROVENANCE}/inputs".encode())
            kind = dataset.get_type()
            raw = np.empty((), f"S{kind.get_size()}")
            dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, kind)
            self._inputs = str(raw.data, "utf-8", "surrogatepass")
        return jsontext.members(self._inputs, names)

    def holds_exactly(self, datasets: dict[str, Dataset]) -> bool:
        """Whether the channels of the file are those of `datasets`, with their dtypes and lengths."""
        group = self.file[layout.CHANNELS]
        return set(group) == set(datasets) and all(_has(group.id, *entry) for entry in datasets.items())

    @property
    def window(self) -> Window:
        return self.provenance.window

    @property
    def datasets(self) -> dict[str, Dataset]:
        """{channel: Dataset} by the provenance, in the order in which they were asked for."""
        return self.provenance.datasets

    @property
    def unused(self) -> int:
        """Bytes of the file that hold nothing: what was replaced since it was last written as a whole; see merge."""
        return int(self.file[layout.PROVENANCE].attrs.get("unused", 0)) if layout.PROVENANCE in self.file else 0

    def is_whole(self) -> bool:
        """Whether all channels that the file says it has are in it, and not in another one."""
        names = [name.encode() for name in self.datasets]
        with naming(self.path):
            group = self.file[layout.CHANNELS].id
            return all(
                group.links.exists(name) and group.links.get_info(name).type == h5py.h5l.TYPE_HARD for name in names
            )

    @property
    def digest(self) -> str:
        """What names the content of the day as far as its inputs do: the SHA-256 of its provenance."""
        with naming(self.path):
            return hashlib.sha256(self.file[layout.PROVENANCE]["inputs"][()]).hexdigest()

    def masks(self) -> dict[str, str]:
        """{channel: its mask, a character a slot of catalog.slots} of all channels that were read."""
        made, account = self.provenance, self.provenance.account
        texts = coverage.masks(made.frames, made.window, account.rows_by_frame(), account.gave)
        return dict(zip(made.channels, texts, strict=True))

    def slots(self) -> list:
        """The frame-file slots that the masks have a character for: see catalog.slots."""
        return catalog.slots(self.provenance.frames, self.window)

    def statistics(self, name: str) -> np.ndarray:
        """Statistics of a channel's units: float64 (units, COLUMNS), see statistics; KeyError if it has no sample."""
        if self._statistics is None:
            self._statistics = {}
            for members, values in self._tables():
                self._statistics.update(zip(members, values, strict=True))
        return self._statistics[name]

    def statistics_alone(self, name: str) -> np.ndarray:
        """The same of one channel of many, without reading those of the others; KeyError if it has no sample."""
        if layout.PROVENANCE not in self.file:
            return self._counted(name)
        number = self.peek("read")["read"].index(name)
        for table in self.file[layout.PROVENANCE]["statistics"].values():
            row = np.flatnonzero(table["members"][()] == number)
            if len(row) == 1:
                return _widened(table["values"][int(row[0])])
        raise KeyError(name)

    def totals(self) -> dict[str, np.ndarray]:
        """{channel: float64 (7), the statistics of the whole day}."""
        made: dict[str, np.ndarray] = {}
        for members, values in self._tables(whole=True):
            made.update(zip(members, values, strict=True))
        return made

    def whole_statistics(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """[(numbers of channels in the list that was read, float64 (channels, 7), their statistics of the whole day)].

        Raises KeyError if the file has no statistics, as the original converter's.
        """
        if self._whole is None:
            tables = self.file[layout.PROVENANCE]["statistics"].values()
            # Older files have those of the units alone.
            self._whole = [
                (t["members"][()], t["whole"][()] if "whole" in t else statistics.combine(_widened(t["values"][()])))
                for t in tables
            ]
        return self._whole

    def _tables(self, whole=False):
        """(channels, statistics) of each table: float64 (channels, units, COLUMNS), or (channels, 7) of whole days."""
        if layout.PROVENANCE not in self.file:
            counted = [([name], self._counted(name)[None]) for name in self.datasets]
            return [(names, statistics.combine(values)) for names, values in counted] if whole else counted
        try:
            read = self.provenance.channels
            if whole:
                found = self.whole_statistics()
            else:
                tables = self.file[layout.PROVENANCE]["statistics"].values()
                found = [(table["members"][()], _widened(table["values"][()])) for table in tables]
            return [([read[at] for at in members.tolist()], values) for members, values in found]
        except FAULTS as error:
            raise self._unlike(error) from None

    def _unlike(self, error):
        """The BadInput that an error comes to as the file is read: the system does not give it, or it is another's."""
        # HDF5 has the system's number only of a call that failed, and none of a file that is damaged.
        if isinstance(error, OSError) and error.errno:
            return NotGiven(f"day file cannot be read, {os.strerror(error.errno).lower()}: {self.path!r}")
        return BadInput(f"not a day file of this project: {self.path!r}")

    def _counted(self, name):
        """Statistics of each unit of a channel of a file that has none, from its samples."""
        dataset = self.datasets[name]
        unit = self.provenance.unit_of(name)
        rows = []
        for first in range(0, dataset.total, unit):
            samples = self.samples(name, first, min(first + unit, dataset.total))[None]
            rows.append(statistics.of_units(samples, ~np.isnan(samples), first, unit)[0])
        return np.concatenate(rows)

    def digest_of(self, name: str) -> str:
        """The digest of the samples of a channel, as statistics has it; '' if the file does not tell, as older ones."""
        return statistics.joined(self.statistics(name)[:, statistics.WORDS])

    # --- samples -----------------------------------------------------------------------------

    def dataset(self, name: str) -> h5py.Dataset | None:
        """The HDF5 dataset of a channel; None if there is none, or its samples lie in another file."""
        with naming(self.path):
            group = self.file[layout.CHANNELS]
            if "/" in name or "\0" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return None
            dataset = group[name]
            return None if dataset.is_virtual or dataset.external else dataset

    def t0_of(self, name: str) -> float:
        """GPS time of sample 0 of a channel; KeyError if it has no sample."""
        if layout.PROVENANCE not in self.file:
            return self.datasets[name].t0
        return float(self.file[layout.CHANNELS][name].attrs["t0"])

    def grid_of(self, name: str) -> tuple:
        """(grid.Grid, numpy dtype) of a channel, or (None, None) if it has no sample."""
        dataset = self.dataset(name)
        if dataset is None:
            return None, None
        with naming(self.path):
            rate = dataset.attrs["sample_rate"]
            _, phase = grid.place(self.t0_of(name) - self.window.start, rate)
            return grid.Grid(rate, phase), dataset.dtype

    def samples(self, name: str, first: int, stop: int) -> np.ndarray:
        """Samples [first, stop) of a channel, 1-D, as they are stored; KeyError if it has none.

        BadInput if they cannot be read, as in a file that was cut short after it was opened.
        """
        dataset = self.dataset(name)
        if dataset is None:
            raise KeyError(name)
        try:
            found = dataset[first:stop]
        except FAULTS:
            raise self._damaged() from None
        # Behind the end of a file HDF5 reads zeros.
        if self._bytes() < self._size:
            raise self._damaged()
        return found

    def chunks(self, name: str, wanted: Callable[[int], bool]) -> Iterator[tuple[int, bytes, int]]:
        """(first sample, bytes as they are stored, filter mask) of the chunks whose first sample `wanted` takes.

        BadInput as of samples().
        """
        found: list = []
        with naming(self.path):
            self.file[layout.CHANNELS][name].id.chunk_iter(found.append)
        handle = self.file.id.get_vfd_handle()
        for chunk in sorted(found, key=lambda chunk: chunk.chunk_offset):
            if wanted(chunk.chunk_offset[0]):
                raw = os.pread(handle, chunk.size, chunk.byte_offset)
                if len(raw) < chunk.size:
                    raise self._damaged()
                yield chunk.chunk_offset[0], raw, chunk.filter_mask

    def _bytes(self):
        return os.fstat(self.file.id.get_vfd_handle()).st_size

    def _damaged(self):
        return BadInput(f"day file is damaged, or has changed while it was read: {self.path!r}")


def _widened(values):
    """A table of statistics with all columns: older ones have no digests, which are not known then."""
    missing = statistics.COLUMNS - values.shape[-1]
    if not missing:
        return values
    return np.concatenate((values, np.full((*values.shape[:-1], missing), np.nan)), axis=-1)


def _of_converter(file):
    """The Provenance of a day file of the converter before this project, as far as its attributes tell.

    Its samples are those of the whole window; its t0 is a GPS time that was taken for a Unix time, so it is not used.
    """
    window = Window(*(int(gps.parse(_text(file.attrs[name])[:19])) for name in ("start_dt", "end_dt")))
    datasets = {}
    for name, dataset in file[layout.CHANNELS].items():
        rate = float(dataset.attrs["sample_rate"])
        if dataset.shape != (grid.length(window.duration, rate),):
            raise ValueError(name)
        unit = _text(dataset.attrs.get("unit", ""))
        datasets[name] = Dataset(rate, dataset.dtype.name, len(dataset), float(window.start), unit)
    increment = int(file.attrs["increment_size"])
    account = Account([], len(datasets))
    return Provenance(
        "", window, increment, "", Origin(), list(datasets), datasets, [], account, {}, {}, layout.CONVERTER
    )


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _has(group, name, dataset):
    """Whether a group has a dataset of this name, dtype and length."""
    there = h5py.h5d.open(group, name.encode())
    return there.shape == (dataset.total,) and there.get_type().equal(layout.TYPES[dataset.dtype])


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """While the block reads a day file: BadInput, which names it, for what it holds wrong.

    NotGiven where the system does not give it; an error that names another file stays as it is.
    """
    try:
        yield
    except FAULTS as error:
        if isinstance(error, OSError) and error.filename not in (None, path):
            raise
        if isinstance(error, OSError) and error.errno in _NOT_GIVEN:
            raise NotGiven(f"day file cannot be read, {os.strerror(error.errno).lower()}: {path!r}") from error
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"day file cannot be read, {reason or type(error).__name__}: {path!r}") from error


@contextlib.contextmanager
def reading(path: str) -> Iterator[DayFile]:
    """The open day file of a path, which the block reads and does nothing else: see naming."""
    with DayFile(path) as day, naming(path):
        yield day


def open_day(path: str) -> DayFile:
    """Open a day file; BadInput, which names it, if it cannot be read or is none of this project."""
    day = DayFile(path)
    try:
        day.provenance  # noqa: B018 - a file without it is none
    except BadInput:
        day.close()
        raise
    return day


def find(path: str) -> DayFile | None:
    """The open day file of a path, whoever made it; None if there is none, or what is there is none.

    Raises NotGiven: what cannot be looked at is not taken for nothing.
    """
    try:
        return open_day(path)
    except NotGiven:
        raise
    except BadInput:
        return None
