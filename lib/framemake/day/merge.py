"""The day's HDF5 file, written whole and at once from part files, and from what still holds of an earlier one."""

import contextlib
import functools
import hashlib
import heapq
import math
import os
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from .. import files, grid
from ..errors import BadInput, Told
from ..frames import catalog, channels
from ..version import version
from . import coverage, dayfile, earlier, layout, plan, statistics
from .account import Account
from .body import Body
from .earlier import Earlier
from .folder import Folder
from .parts import Part, PartRow
from .provenance import Dataset, Origin, Provenance, write_statistics

# Bytes of a changed file that hold nothing and that HDF5 does not tell of: it was seen to be 4 to 6 kB each time.
_UNTOLD = 8192


def origin_of(
    spec: str, source: str, requested: str | None, rejected: str | None, channel_list: str | None = None
) -> Origin:
    """The Origin of a day; requested and rejected are the paths of files, or None.

    channel_list: the path to tell, if requested is a copy of what lies there.
    """
    origin = Origin(spec, source or "")
    if requested:
        raw = files.read_bytes(requested)
        names, _ = channels.read(raw.decode("utf-8", "surrogateescape"), requested)
        origin = origin._replace(
            channel_list=os.path.abspath(channel_list or requested),
            channel_list_sha256=hashlib.sha256(raw).hexdigest(),
            requested=[channel.name for channel in names],
        )
    if rejected:
        with files.opened(rejected, encoding="utf-8", errors="surrogateescape") as file:
            origin = origin._replace(rejected=[line.rstrip("\n").split("\t") for line in file])
    return origin


def merge(
    folder: str,
    out: str,
    origin: Origin,
    wait: Callable[[], object] | None = None,
    transient: str | None = None,
    shrink: bool = False,
    whole: Callable[[str], None] = lambda path: None,
    there: Callable[[Provenance], None] = lambda made: None,
) -> None:
    """Join the parts of a plan into the day file `out`.

    folder: where extract-increment left the parts and their plan.  wait: called while a part that is needed
    next is not there; returns False when none will come any more.  transient: a file that is there afterwards, and
    lists them, if the system did not give some frame files: they are to be read again though they are what they were.
    shrink: whether a day file that is there may be replaced by one that has less: else that raises WouldLose.
    whole: as of layout.writing.  there: called with the provenance once `out` is what it is to be, before an earlier
    file is closed, which takes the system a while.
    Raises BadInput if a part is missing (Told if it was waited for: whoever was to make it says why) or no frame of the
    day could be read.
    """
    wanted = plan.load(folder)
    keep = earlier.find(wanted.keep) if wanted.keep else None
    if wanted.keep and keep is None:
        raise BadInput(f"the earlier result that the parts belong to is gone: {wanted.keep!r}")

    def written(body=None):
        # Most of an earlier day file stays as it is: a copy of it is gone on with.  Where it is not known when the
        # machine was started, one that is there may be of before a power cut.
        copied = Folder.holding(out).copied if files.boot() else ""
        copy = functools.partial(keep.copy_to, copied=copied) if keep else None
        onto = (body.path, body.begin) if body else None
        with layout.writing(out, begin=copy, whole=whole, onto=onto) as file:
            made = _Merge(wanted, keep, keep if file.goes_on else None, _Parts(wanted, folder, wait), body)
            made.write_channels(file)
            provenance = made.provenance(origin)
            made.write_provenance(file, provenance)
            layout.stamp(file, wanted.window, wanted.increment, os.path.splitext(os.path.basename(out))[0])
            if not shrink:
                made.refuse_loss(out, file[layout.CHANNELS], provenance)
            if transient:
                _note_transient(transient, sorted(provenance.account.transient))
            Folder.holding(out).drop_manifest()
        return provenance

    there(_on_body(Body(wanted, folder), out, written) or written())
    if keep:
        keep.close()


def _on_body(body, out, written):
    """What `written` gives for a body that is lent; None if there is none."""
    with body.lent(out) as is_lent:
        if is_lent:
            # Where something is out of the ordinary, the chunks are copied.
            with contextlib.suppress(layout.Astray):
                return written(body)
    return None


def _note_transient(path, paths):
    if paths:
        files.write(path, "".join(f"{each}\n" for each in paths))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class _Parts:
    """The parts of a plan, each opened when a channel of it is wanted first, and closed after the last."""

    def __init__(self, wanted: plan.Plan, folder: str, wait: Callable[[], object] | None):
        self._plan, self._folder, self._wait = wanted, folder, wait
        self._open: dict[int, Part] = {}
        self._last = [max(block.channels) for block in wanted.blocks]
        self.blocks_of: list[list[int]] = [[] for _ in wanted.channels]
        for number, block in enumerate(wanted.blocks):
            for member in block.channels:
                self.blocks_of[member].append(number)

    def open_for(self, at: int) -> list[Part]:
        """Open the parts of a channel that are not open yet; returns these."""
        new = [number for number in self.blocks_of[at] if number not in self._open]
        self._open.update((number, self._opened(number)) for number in new)
        return [self._open[number] for number in new]

    def close_after(self, at: int) -> None:
        """Close the parts of which a channel was the last."""
        for number in self.blocks_of[at]:
            if self._last[number] == at:
                self._open[number].close()

    def _opened(self, number):
        """The part of a block, waited for if it is on its way."""
        block = self._plan.blocks[number]
        path = plan.part_path(self._folder, block)
        while not os.path.exists(path):
            if self._wait is not None and not self._wait() and not os.path.exists(path):
                raise Told
            if self._wait is None:
                raise BadInput(f"a part is missing, run extract-increment again: {path!r}")
        try:
            return Part(path, block)
        except (OSError, KeyError, ValueError):
            raise BadInput(f"a part is damaged, remove it and run extract-increment again: {path!r}") from None


class _Channel:
    """One channel while it is written: rows of parts, and units of the earlier result that still hold.

    keep: the earlier result; there must be one if `held`, the numbers of these units, is not empty.
    """

    def __init__(self, name: str, rows: list[PartRow], keep: Earlier | None, held: list[int]):
        self.name, self.rows, self.held = name, rows, held
        self.keep: Any = keep

    def grids(self) -> tuple[dict, dict]:
        """({key of a grid: seconds of samples on it}, {key: the grid})."""
        seconds: dict = {}
        grids: dict = {}
        if self.held:
            where, _ = self.keep.grid_of(self.name)
            counts = self.keep.statistics(self.name)[self.held, statistics.COUNT]
            seconds[where.key], grids[where.key] = counts.sum() / where.rate, where
        for row in self.rows:
            key = row.grid.key
            seconds[key] = seconds.get(key, 0) + row.good / row.grid.rate
            grids.setdefault(key, row.grid)
        return seconds, grids

    def keep_only(self, where: grid.Grid) -> set[str]:
        """Leave out what lies on another grid; returns the dtypes of the rest."""
        self.rows = [row for row in self.rows if row.grid.key == where.key]
        dtypes = {row.dtype for row in self.rows}
        if self.held:
            held_where, held_dtype = self.keep.grid_of(self.name)
            if held_where.key == where.key:
                dtypes.add(held_dtype.str[1:])
            else:
                self.held = []
        return dtypes

    def move_chunks(self, dataset: h5py.h5d.DatasetID, cut: grid.Cut) -> None:
        """Move compressed chunks as they are, in order: nothing is compressed twice, and few are in memory at once."""
        if not self.held:
            self.move_new_chunks(dataset)
            return
        old = self.keep.chunks(self.name, set(self.held), cut.unit)
        for first, data, mask in heapq.merge(old, self._new_chunks(), key=lambda chunk: chunk[0]):
            dataset.write_direct_chunk((first,), data, mask)

    def move_new_chunks(self, dataset: h5py.h5d.DatasetID) -> None:
        """The same of those that the parts have; where the dataset has one already, it is replaced."""
        write = dataset.write_direct_chunk
        for first, data, mask in self._new_chunks():
            write((first,), data, mask)

    def expect_chunks(self, dataset: h5py.h5d.DatasetID) -> None:
        """Make room in the index of a dataset for the chunks that the parts have."""
        for row in sorted(self.rows, key=lambda row: row.first):
            for first, *_ in row.places():
                dataset.write_direct_chunk((first,), b"\0", 0)

    def _new_chunks(self):
        return (chunk for row in sorted(self.rows, key=lambda row: row.first) for chunk in row.chunks())

    def replaces_all(self, counts: np.ndarray, cut: grid.Cut, total: int) -> bool:
        """Whether the parts have each chunk that an earlier dataset has in units which it does not go on to hold.

        counts: how many samples each unit has now.  An HDF5 dataset never loses a chunk.
        """
        before = self.keep.statistics(self.name)[:, statistics.COUNT]
        full = np.minimum(cut.unit, total - cut.unit * np.arange(len(counts)))
        there = (counts == full) | ((counts > 0) & (cut.chunk >= cut.unit)) | (before == 0)
        there[self.held] = True
        return bool(there.all())

    def join_statistics(self, cut: grid.Cut, total: int) -> np.ndarray:
        result = np.empty((math.ceil(total / cut.unit), statistics.COLUMNS))
        result[:] = statistics.NOTHING
        if self.held:
            result[self.held] = self.keep.statistics(self.name)[self.held]
        for row in self.rows:
            values = row.statistics()
            first = row.first // cut.unit
            result[first : first + len(values)] = values
        return result

    def write_samples(self, dataset: h5py.h5d.DatasetID, cut: grid.Cut, total: int, compression: str) -> np.ndarray:
        """Join samples unit by unit where dtype or cut differ, so that chunks cannot be moved; the statistics."""
        held = set(self.held)
        result = np.empty((math.ceil(total / cut.unit), statistics.COLUMNS))
        for unit in range(len(result)):
            a, b = unit * cut.unit, min((unit + 1) * cut.unit, total)
            values = np.full(b - a, np.nan, dtype=dataset.dtype)
            if unit in held:
                values[:] = self.keep.day.samples(self.name, a, b)
            for row in self.rows:
                first, samples = row.samples(a, b)
                into = values[first - a : first - a + len(samples)]
                good = ~np.isnan(samples)
                into[good] = samples[good]
            good = ~np.isnan(values)
            if good.any():
                # Chunk by chunk, so that one without a sample is not written.
                for at in range(0, b - a, cut.chunk):
                    if good[at : at + cut.chunk].any():
                        layout.write_chunk(dataset, (a + at,), values[at : at + cut.chunk], cut.chunk, compression)
            result[unit] = statistics.of_units(values[None], good[None], a, cut.unit)[0, 0]
        return result


class _Merge:
    """The writing of a day file: what it will say of itself, as far as it is known."""

    def __init__(
        self, wanted: plan.Plan, keep: Earlier | None, copied: Earlier | None, parts: _Parts, body: Body | None
    ):
        """copied: the earlier result, if the file that is written was begun as a copy of it; body: if it is that."""
        self.plan, self.keep, self.copied, self.parts = wanted, keep, copied, parts
        self.fresh = set(wanted.fresh)
        # Channels that stay in the copy as they are.
        self.same: set[str] = set()
        self._rebuilt: dict = {}
        self.body = body
        # Of channels of the body, whose chunks lie there: their rows, and the datasets that are to have them.
        self.lying: list[tuple[PartRow, h5py.h5d.DatasetID]] = []
        self.rows: dict[int, list[PartRow]] = {}
        near = [(at, frame) for at, frame in enumerate(wanted.frames) if frame.status not in catalog.NOT_THERE]
        whole = [(0, wanted.window.duration)]
        pairs = coverage.pairs(wanted.window, wanted.increment, near, whole)
        self.account = Account(pairs, len(wanted.channels))
        if keep:
            columns = [at for at in range(len(wanted.channels)) if at not in self.fresh]
            names = [wanted.channels[at].name for at in columns]
            self.account.join(keep.account(wanted.frames, pairs, names, set(wanted.dirty)), columns)
        self.datasets: dict[str, Dataset] = {}
        self.statistics: dict[int, np.ndarray] = {}
        self.rates_dropped: dict[str, dict] = {}
        self.units_dropped: dict[str, dict] = {}

    def write_channels(self, file: layout.NewFile) -> None:
        """Write all channels, in the order of the list, whatever the order of the parts: same input, same bytes.

        Those of a body go before.  Raises layout.Astray if the file cannot be what the body is.
        """
        group = file.require_group(layout.CHANNELS)
        if self.copied:
            for name in set(group) - {channel.name for channel in self.plan.channels}:
                del group[name]
        first = self.body.members if self.body else set()
        self._write(file, group, sorted(first))
        if self.body:
            self.lying.sort(key=lambda each: each[0].at)
            file.take_in(self.body.begin, ((made, *place) for row, made in self.lying for place in row.places()))
        self._write(file, group, [at for at in range(len(self.plan.channels)) if at not in first])
        self._refuse_if_unread()

    def _write(self, file, group, positions):
        for at in positions:
            file.check()
            if self.copied and at not in self.fresh and not self.parts.blocks_of[at]:
                self._leave(self.copied, at)
                continue
            for part in self.parts.open_for(at):
                self.account.join(part.account, part.block.channels)
                for member, row in part.rows():
                    self.rows.setdefault(member, []).append(row)
            self._write_channel(group, at)
            self.parts.close_after(at)

    def _leave(self, copied, at):
        """A channel of which nothing is read stays as the copy has it."""
        made, name = copied.day.provenance, self.plan.channels[at].name
        if name in made.datasets:
            self.same.add(name)
            self.datasets[name], self.statistics[at] = made.datasets[name], copied.statistics(name)
            if name in made.units_dropped:
                self.units_dropped[name] = made.units_dropped[name]

    def write_provenance(self, file: h5py.File, provenance: Provenance) -> None:
        """Write the provenance with the statistics, in place of that of a copy."""
        if self.copied:
            del file[layout.PROVENANCE]
        group = file.create_group(layout.PROVENANCE)
        provenance.save(group)
        write_statistics(group, self.statistics, provenance)
        if self.copied:
            group.attrs["unused"] = self.copied.day.unused + file.id.get_freespace() + _UNTOLD

    def provenance(self, origin: Origin) -> Provenance:
        # Of what might be kept, only that stands there which gave something.
        rows = self.account.rows_by_frame()
        idle = {
            at
            for at, frame in enumerate(self.plan.frames)
            if frame.status == catalog.KEPT and not self.account.gave[rows.get(at, [])].any()
        }
        left = [at for at in range(len(self.plan.frames)) if at not in idle]
        names = [channel.name for channel in self.plan.channels]
        # Nothing tells in what order channels were written.
        of_channels = (self.datasets, self.rates_dropped, self.units_dropped)
        datasets, rates, units = ({name: each[name] for name in names if name in each} for each in of_channels)
        # Units are numbered by name, so that they do not tell in what order the parts came.
        return Provenance(
            version(),
            self.plan.window,
            self.plan.increment,
            self.plan.compression,
            origin,
            names,
            datasets,
            [self.plan.frames[at] for at in left],
            self.account.of_frames(left).by_unit_name(),
            rates,
            units,
        )

    def refuse_loss(self, out: str, group: h5py.Group, provenance: Provenance) -> None:
        """Raise errors.WouldLose if the day file that is there has what was not written to the group of channels."""
        here = self.keep is not None and os.path.realpath(self.keep.path) == os.path.realpath(out)
        # Whoever made it: a day of the converter, or of streams, is no less finished.
        old = self.keep.day if self.keep and here else dayfile.find(out)
        if old is None:
            return
        number = {channel.name: at for at, channel in enumerate(self.plan.channels)}
        counts = lambda name: self.statistics[number[name]][:, statistics.COUNT]  # noqa: E731
        samples = lambda name, first, stop: group[name][first:stop]  # noqa: E731
        # What is built on the earlier result has all of it but what was read anew.
        earlier.refuse_loss(old, provenance, samples, counts, self.same if here else (), goes_on=here)

    def _refuse_if_unread(self):
        """A day of which no frame at all can be read is a failure, not a day of NaN."""
        whole = self.account.unreadable()
        used = [frame for frame in self.plan.frames if frame.status not in catalog.NOT_THERE]
        if any(frame.path not in whole for frame in used):
            return
        raise BadInput(catalog.none_readable(self.plan.frames, whole))

    def _write_channel(self, group, at):
        wanted, window = self.plan.channels[at], self.plan.window
        channel = _Channel(
            wanted.name, [row for row in self.rows.pop(at, ()) if row.good], self.keep, self._units_held(at)
        )
        where = self._choose_grid(channel)
        if where is None:
            self._remove(group, wanted.name)
            return
        dtypes = channel.keep_only(where)
        dtype = max(dtypes)
        cut = grid.cut(where.rate, self.plan.increment, window.duration)
        total = grid.length(window.duration, where.rate)
        made = Dataset(where.rate, np.dtype(dtype).name, total, grid.t0(window, where), self._unit_of(at))
        self.datasets[wanted.name] = made
        # Rows of one grid and dtype never overlap: a block has one of each channel, and no two blocks share a time.
        movable = len(dtypes) == 1 and all(row.aligned for row in channel.rows)
        if movable and channel.held:
            held = self.keep.day.dataset(wanted.name)
            movable = held is not None and layout.takes_chunks(held.id, cut.chunk, self.plan.compression)
        if movable:
            self.statistics[at] = channel.join_statistics(cut, total)
            if self._goes_on(at, made) and channel.replaces_all(self.statistics[at][:, statistics.COUNT], cut, total):
                channel.move_new_chunks(h5py.h5d.open(group.id, wanted.name.encode()))
                return
        self._remove(group, wanted.name)
        dataset = layout.create(group, wanted.name, dtype, total, cut.chunk, self.plan.compression)
        layout.describe(dataset, wanted.name, made.rate, made.unit, made.t0)
        if self.body and at in self.body.members:
            if not movable or any(row.body != self.body.path for row in channel.rows):
                raise layout.Astray
            channel.expect_chunks(dataset)
            self.lying.extend((row, dataset) for row in channel.rows)
        elif movable:
            channel.move_chunks(dataset, cut)
        else:
            self.statistics[at] = channel.write_samples(dataset, cut, total, self.plan.compression)

    def _goes_on(self, at, made):
        """Whether the copy has the dataset of a channel as it is to be made."""
        if self.copied is None or at in self.fresh:
            return False
        return self.copied.day.datasets.get(self.plan.channels[at].name) == made

    def _remove(self, group, name):
        """Remove what a copy has of a channel."""
        if self.copied and name in group:
            del group[name]

    def _units_held(self, at):
        """Units of the earlier result that no block of this plan rebuilds, and that have a sample."""
        name = self.plan.channels[at].name
        if self.keep is None or at in self.fresh or name not in self.keep.day.datasets:
            return []
        where, _ = self.keep.grid_of(name)
        good = self.keep.statistics(name)[:, statistics.COUNT]
        rebuilt = self._units_rebuilt(at, where.rate, len(good))
        return [unit for unit, count in enumerate(good.tolist()) if count and unit not in rebuilt]

    def _units_rebuilt(self, at, rate, count):
        """The units, of so many, that blocks of this plan rebuild of a channel."""
        key = tuple(self.parts.blocks_of[at]), rate, count
        if key not in self._rebuilt:
            seconds = grid.cut(rate, self.plan.increment, self.plan.window.duration).unit / rate
            found = self._rebuilt[key] = set()
            for block in (self.plan.blocks[number] for number in key[0]):
                found.update(range(round(block.start / seconds), min(count, math.ceil(block.end / seconds - 1e-6))))
        return self._rebuilt[key]

    def _choose_grid(self, channel):
        """The grid that holds for most of the day, or None; the others' samples are NaN, and told."""
        seconds, grids = channel.grids()
        if not seconds:
            return None
        best = max(seconds, key=lambda key: (seconds[key], key))
        if len(seconds) > 1:
            dropped = {_grid_name(key): seconds[key] for key in sorted(seconds) if key != best}
            rates = [key[0] for key in sorted(seconds) if key != best]
            change = {"kept": _grid_name(best), "dropped_seconds": dropped, "dropped_rates": rates}
            self.rates_dropped[channel.name] = change
        return grids[best]

    def _unit_of(self, at):
        """The unit that most of the samples' files give; a change is told."""
        channel, seen = self.plan.channels[at], self.account.units_of(at)
        if not seen:
            return channel.unit
        best = max(sorted(seen), key=seen.get)
        if len(seen) > 1:
            self.units_dropped[channel.name] = {"kept": best, "seen": dict(sorted(seen.items()))}
        return best


def _grid_name(key):
    rate, phase = key
    return f"{rate:g} Hz" + (f" shifted by {phase:g} samples" if phase else "")
