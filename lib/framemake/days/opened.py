"""The days of an output folder as those see them who ask for samples: day files, opened when they are wanted.

A day file is opened under the name that is its place, and known by its identity.  So what is read of it is of one
version, and a file that has been replaced meanwhile is seen to have changed.
"""

import collections
import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from .. import gps, grid
from ..day import layout
from ..day.dayfile import DayFile, naming, reading
from ..day.folder import Folder
from ..errors import BadInput
from .onegrid import ChannelForm

# Day files that are kept open: a short read of one day asks several times.
_OPEN = 4
# So many days are looked for by their names.
_FEW = 32


class Held(NamedTuple):
    """A channel in a day file: the day, the file, what tells that the file is still the same, its window, the form."""

    date: str
    path: str
    identity: tuple
    window: gps.Window
    form: ChannelForm

    @property
    def t0(self) -> float:
        """GPS time of sample 0."""
        return self.window.start + self.form.offset


class OpenDays:
    """The days of one SPEC in an output folder, or one day file.

    Raises BadInput if there is no day, or there are several SPECs and none is named.
    """

    def __init__(self, out: str, spec: str | None = None):
        self.out, self.spec = os.fspath(out), spec
        self._open: collections.OrderedDict[tuple, DayFile] = collections.OrderedDict()
        self._held: dict[tuple, Held | None] = {}
        # The dataset that was used last: most that are looked at are read next.
        self._latest: tuple[DayFile, str, h5py.h5d.DatasetID] | None = None
        self._one: dict[str, Folder] | None = None
        self._spec = ""
        if os.path.isfile(self.out):
            with reading(self.out) as day:
                self._one = {gps.day_of(_window(day).start): Folder.holding(self.out)}
        self.folders()

    def __reduce__(self):
        """A copy in another process opens its own files."""
        return type(self), (self.out, self.spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.out!r})"

    def folders(self) -> dict[str, Folder]:
        """{date: Folder} of the days that are there now, in their order."""
        if self._one is not None:
            return self._one
        try:
            found = Folder.all_in(self.out)
        except FileNotFoundError:
            raise BadInput(f"no such folder: {self.out!r}") from None
        if self.spec is None and len(found) > 1:
            raise BadInput(f"several SPECs, spec says which ({', '.join(sorted(found))}): {self.out!r}")
        self._spec = self.spec or next(iter(found), "")
        days = found.get(self._spec, {})
        if not days:
            raise BadInput(f"no day{f' of {self.spec}' if self.spec else ''} in folder: {self.out!r}")
        return dict(sorted(days.items()))

    def span(self) -> gps.Window:
        """From the beginning of the first day to the end of the last."""
        dates = list(self.folders())
        return gps.Window(gps.day_window(dates[0]).start, gps.day_window(dates[-1]).end)

    def between(self, start: float, end: float) -> dict[str, Folder]:
        """{date: Folder} of the days that are there now and have a part in a span of GPS seconds."""
        first, last = _day_at(start), _day_at(end)
        return {
            date: folder
            for date, folder in self._some(first, last).items()
            if first <= date <= last and (date < last or gps.day_window(date).start < end)
        }

    def _some(self, first, last):
        """Folders among which are all from one day to another: of a few days without a look at all that there are."""
        days = (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days
        if self._one is not None or not 0 <= days < _FEW:
            return self.folders()
        dates = (str(datetime.date.fromisoformat(first) + datetime.timedelta(each)) for each in range(days + 1))
        folders = ((date, Folder.of(self.out, self._spec, date)) for date in dates)
        return {date: folder for date, folder in folders if os.path.isdir(folder.path)}

    def held(self, date: str, folder: Folder, name: str) -> Held | None:
        """The channel in the file of a day; None if there is no day file, or the day does not have the channel.

        Raises BadInput, which names the file, if it cannot be read or the channel in it is not what it should be.
        """
        identity = identity_of(folder.h5)
        if identity is None:
            return None
        key = folder.h5, identity, name
        if key not in self._held:
            with self.day(folder.h5, identity) as day:
                self._held[key] = _read(day, date, folder.h5, identity, name, self._dataset(day, name))
        return self._held[key]

    def _dataset(self, day, name):
        """The h5py.h5d.DatasetID of a channel in an open day file, None if there is none."""
        if self._latest and self._latest[:2] == (day, name) and self._latest[2].valid:
            return self._latest[2]
        dataset = _dataset(day.file.id, name)
        self._latest = (day, name, dataset) if dataset else None
        return dataset

    def read_into(self, held: Held, name: str, first: int, values: np.ndarray) -> None:
        """Fill an array, of the channel's dtype, with samples of a day from number `first` on."""
        with self.day(held.path, held.identity) as day:
            dataset = self._dataset(day, name)
            if dataset is None or first + len(values) > dataset.shape[0]:
                raise ValueError(f"{name!r} has fewer samples than it should have")
            space = dataset.get_space()
            space.select_hyperslab((first,), (len(values),))
            dataset.read(h5py.h5s.create_simple(values.shape), space, values)

    def window(self, folder: Folder) -> gps.Window | None:
        """The window of the file of a day; None if there is no file."""
        identity = identity_of(folder.h5)
        if identity is None:
            return None
        with self.day(folder.h5, identity) as day:
            return _window(day)

    @contextlib.contextmanager
    def day(self, path: str, identity: tuple | None = None) -> Iterator[DayFile]:
        """The open day file of a path; BadInput, which names it, for whatever goes wrong inside.

        identity: what it must still be; BadInput if it has been replaced since.
        """
        now = identity_of(path)
        if identity is not None and now != identity:
            raise BadInput(f"day file has been replaced since, read again: {path!r}")
        with naming(path):
            day = self._open.get((path, now))
            if day is None:
                day = DayFile(path)
                self._open[path, now] = day
                while len(self._open) > _OPEN:
                    self._open.popitem(last=False)[1].close()
            else:
                self._open.move_to_end((path, now))
            yield day

    def close(self) -> None:
        """Close the day files that are open; they are opened again when they are wanted."""
        self._latest = None
        while self._open:
            self._open.popitem()[1].close()


def identity_of(path: str) -> tuple | None:
    """What tells whether the file at a path is still the same; None if there is none."""
    try:
        seen = os.stat(path)
    except FileNotFoundError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _day_at(time):
    """The UTC day that holds a GPS time; the last there is for one that lal cannot count."""
    return gps.day_of(time) if time < 2**31 else "9999-12-31"


def _window(day):
    """The window of a day file: its attributes, as a day's provenance can be long."""
    if not h5py.h5a.exists(day.file.id, b"start_dt"):
        raise BadInput(f"no day file, though make builds days of an HDF5 file of time series (FFL=FILE): {day.path!r}")
    texts = [str(_attribute(day.file.id, key))[:19] for key in (b"start_dt", b"end_dt")]
    try:
        return gps.Window(*(int(gps.parse(text)) for text in texts))
    except BadInput as error:
        raise ValueError(str(error)) from None  # what is wrong is the file


def _read(day, date, path, identity, name, dataset):
    if dataset is None:
        return None
    window, whole = _window(day), gps.day_window(date)
    if not whole.start <= window.start < window.end <= whole.end:
        raise ValueError(f"it holds GPS {window.start} to {window.end}, not of {date}")
    rate, unit = (_attribute(dataset, key) for key in (b"sample_rate", b"unit"))
    # The converter before this project took GPS seconds for those since 1970: its samples begin with its window.
    made = day.file.id.links.exists(layout.PROVENANCE.encode())
    offset = round(_attribute(dataset, b"t0") - window.start, 6) if made else 0.0
    dtype, total = dataset.dtype.name, dataset.shape[0]
    if not rate > 0 or total != grid.length(window.duration, rate) or dtype not in layout.TYPES:
        raise ValueError(f"{name!r} has {total} samples of {dtype} at {rate:g} Hz in {window.duration} s")
    return Held(date, path, identity, window, ChannelForm(float(rate), dtype, total, offset, unit))


def _dataset(file, name):
    """The h5py.h5d.DatasetID of a channel, None if there is none; by low-level objects, in a third of the time."""
    group, name = h5py.h5g.open(file, layout.CHANNELS.encode()), name.encode("utf-8", "surrogateescape")
    if b"/" in name or b"\0" in name or not name or not group.links.exists(name):
        return None
    dataset = h5py.h5d.open(group, name) if group.links.get_info(name).type == h5py.h5l.TYPE_HARD else None
    made = dataset.get_create_plist() if dataset else None
    if not made or made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count() or len(dataset.shape) != 1:
        raise ValueError(f"the samples of {name.decode('utf-8', 'replace')!r} lie in another file")
    return dataset


def _attribute(place, key):
    """A number or text of a dataset's or file's attributes."""
    try:
        attribute = h5py.h5a.open(place, key)
    except KeyError:
        if key != b"unit":
            raise
        # The converter before this project left out the unit where it knew none.
        return ""
    value = np.empty((), dtype=attribute.dtype)
    attribute.read(value)
    found = value.item()  # Python's own: a number of numpy's would be told as np.float64(...)
    return found.decode("utf-8", "surrogateescape") if isinstance(found, bytes) else found
