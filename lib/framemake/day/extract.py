"""Reading a block's channels out of the frames, and the part file that keeps them.

A part file holds, for each sample grid and dtype it met, a 2-D dataset of channels x samples whose chunks
(1, n) have the bytes that a chunk (n,) of the day file has.  With the samples in memory, their statistics
and which frame file gave what are taken too, so nothing is read back.
"""

import math
import os
import sys
import time
from collections import OrderedDict

import h5py
import numpy as np

from .. import files, grid, gwf
from ..days import index
from ..errors import wording
from ..frames import catalog
from . import blocks, coverage, parts

_ATTEMPT_PAUSE = 0.05
# Bytes of samples at once where channels turn out larger than the plan could know.
_MOST = 2 * blocks.BUDGET


class Reader:
    """Open frame files, kept open between blocks, each failing read tried again `retries` times."""

    def __init__(self, retries=3, names=1000):
        self._retries = retries
        self._names, self._largest = names, 0
        self._open = OrderedDict()
        self._bad, self._refusals = {}, {}

    def open(self, path):
        """The open file of a path; raises gwf.BadFrame, and again at once if the path was bad before."""
        if path in self._bad:
            raise self._bad[path]
        file = self._open.get(path)
        if file is None:
            try:
                file = self._try(path, gwf.open_file, path)
            except gwf.BadFrame as error:
                self._bad[path] = error
                raise
            self._open[path] = file
            self._close_some()
        self._open.move_to_end(path)
        return file

    def read(self, path, file, index, name, kind):
        """The gwf.Series of a channel in a frame of the open file of a path; raises gwf.BadFrame."""
        try:
            series = file.read(index, name, kind)
        except (gwf.BadFrame, OSError):
            series = self._try(path, file.read, index, name, kind)
        if series and series.data is not None and series.data.nbytes > self._largest:
            self._largest = series.data.nbytes
            self._close_some()
        return series

    def _close_some(self):
        """Close the files used longest ago, as far as memory wants it."""
        most = blocks.streams_kept(self._names, self._largest)
        while len(self._open) > most:
            self._open.popitem(last=False)

    def _try(self, path, call, *args):
        for attempt in range(self._retries + 1):
            try:
                return call(*args)
            except (gwf.BadFrame, OSError) as error:
                if attempt == self._retries:
                    raise self._blamed(path, error) from None
                time.sleep(_ATTEMPT_PAUSE * 2**attempt)
        raise AssertionError

    def _blamed(self, path, error):
        """What is raised for an error that stays: gwf.Unreadable if the file, as it is, cannot be had."""
        if isinstance(error, OSError):
            return gwf.Unreadable(wording(error))
        if path not in self._refusals:
            # frameCPP and lalframe do not tell a disk that fails from a file that is damaged.
            self._refusals[path] = gwf.refusal(path)
        return gwf.Unreadable(self._refusals[path]) if self._refusals[path] else error


class _Rows:
    """Samples of channels of one grid and dtype in one block: a 2-D array, NaN where nothing is yet."""

    def __init__(self, members, rate, dtype, first, count):
        self.members = list(members)
        self.rate, self.dtype, self.first = rate, np.dtype(dtype), first
        self.grid = self.good = None
        self.data = np.full((len(self.members), count), np.nan, dtype=self.dtype)
        self.touched = np.zeros(len(self.members), dtype=bool)
        self.row_of = {member: row for row, member in enumerate(self.members)}


class _Job:
    """One block while it is read."""

    def __init__(self, plan, block, reader, keep):
        self.plan, self.block, self.reader, self.keep = plan, block, reader, keep
        self.begin, self.stop = block.start, block.end
        self.runs = self._dirty_runs()
        near = [
            (at, frame)
            for at, frame in enumerate(plan.frames)
            if frame.status != catalog.ABSENT
            and any(frame.start - plan.window.start < b and frame.end - plan.window.start > a for a, b in self.runs)
        ]
        self.used = [(at, frame) for at, frame in near if frame.status == catalog.USED]
        self.spare = [(at, frame) for at, frame in near if frame.status in (catalog.DUPLICATE, catalog.COVERED)]
        self.pairs = coverage.pairs(plan, near, self.runs)
        self.pair_rows = {}
        for row, (at, _) in enumerate(self.pairs):
            self.pair_rows.setdefault(at, []).append(row)
        self.gave = np.zeros((len(self.pairs), len(block.channels)), dtype=np.uint16)
        self.column = {member: at for at, member in enumerate(block.channels)}
        self.units, self.unit_of, self.odd_units = {}, {}, {}
        self.bad, self.transient, self.problems, self.seen = {}, set(), {}, set()
        self.groups = []
        # Most vectors go where the last one went.
        self.last = (None, None)
        self.wanted, self.deferred, self.first_pass = list(block.channels), set(), True
        self.reach = _reaches(self.used)
        self.crowded = _crowded(self.used)

    def _dirty_runs(self):
        """Spans of the block, in seconds from the window's start, that are to be read anew."""
        plan, (begin, stop) = self.plan, (self.begin, self.stop)
        if not self.keep or self.block.channels[0] in set(plan.fresh):
            return [(begin, stop)]
        runs = []
        for increment in plan.dirty:
            a, b = max(begin, increment * plan.increment), min(stop, (increment + 1) * plan.increment)
            if a < b:
                if runs and runs[-1][1] == a:
                    runs[-1] = (runs[-1][0], b)
                else:
                    runs.append((a, b))
        return runs

    # Where samples go

    def plan_rows(self):
        """Rows for what the plan expects, all of one rate and dtype in one array; in the first pass only."""
        expected = {}
        for member in self.wanted if self.first_pass else ():
            channel = self.plan.channels[member]
            if channel.rate:
                expected.setdefault((channel.rate, channel.dtype or "float32"), []).append(member)
        for (rate, dtype), members in expected.items():
            # Units begin on whole samples, so a phase, known once a frame is read, changes no bounds.
            self.groups.append(self._new_rows(members, rate, dtype, 0.0))
        if self.runs != [(self.begin, self.stop)]:
            self._prefill()

    def _new_rows(self, members, rate, dtype, phase):
        total = grid.length(self.plan.window.duration, rate)
        first = min(total, grid.first_at(self.begin, grid.Grid(rate, phase)))
        end = min(total, grid.first_at(self.stop, grid.Grid(rate, phase)))
        return _Rows(members, rate, dtype, first, end - first)

    def rows_for(self, member, where, dtype):
        """(rows, row) that take samples of a channel on a grid with a dtype; made if there are none yet."""
        known, rows = self.last
        if known == (where, dtype) and member in rows.row_of:
            return rows, rows.row_of[member]
        for rows in self.groups:
            row = rows.row_of.get(member)
            if row is None or rows.rate != where.rate or rows.dtype != dtype:
                continue
            if rows.grid is None:
                rows.grid = where
            if rows.grid.key == where.key:
                self.last = (where, dtype), rows
                return rows, row
        rows = self._new_rows([member], where.rate, dtype, where.phase)
        # A channel alone is never left: each pass brings at least one to its end.
        others = any(group.members != [member] for group in self.groups)
        if others and sum(group.data.nbytes for group in self.groups) + rows.data.nbytes > _MOST:
            self._defer(member)
            return None, 0
        rows.grid = where
        self.groups.append(rows)
        return rows, 0

    def _defer(self, member):
        """Leave a channel to another pass over the frames: what is held already fills the memory."""
        self.deferred.add(member)
        self.groups, self.last = [rows for rows in self.groups if rows.members != [member]], (None, None)
        for rows in self.groups:
            if member in rows.row_of:
                rows.data[rows.row_of[member]] = np.nan
                rows.touched[rows.row_of[member]] = False

    def next_pass(self):
        """Make ready for the channels that were left; False when none were."""
        self.wanted, self.deferred, self.first_pass = sorted(self.deferred), set(), False
        self.groups, self.last = [], (None, None)
        return bool(self.wanted)

    def _prefill(self):
        """Take over the samples of an earlier result that still hold: units are rebuilt as one."""
        for member in self.wanted:
            name = self.plan.channels[member].name
            where, dtype = self.keep.grid_of(name)
            if where is None:
                continue
            rows, row = self.rows_for(member, where, dtype)
            held = self.keep.samples(name, rows.first, rows.data.shape[1])
            rows.data[row, : len(held)] = held
            rows.touched[row] = True
            for begin, stop in self.runs:
                a, b = (grid.first_at(t, where) - rows.first for t in (begin, stop))
                rows.data[row, max(0, a) : max(0, b)] = np.nan

    # Reading

    def read_frames(self):
        failed = {}
        for at, frame in self.used:
            lost = self._read_file(at, frame, self.wanted, self.reach[at], at in self.crowded)
            if lost:
                failed[at] = lost
        for at, lost in failed.items():
            # What the file that was to be used does not give, one that covers the same span may.
            broken = self.plan.frames[at]
            for spare_at, spare in self.spare:
                if spare.start < broken.end and spare.end > broken.start:
                    self._read_file(spare_at, spare, lost, math.inf, True, (broken.start, broken.end))

    def _note_bad(self, path, name, error):
        self.bad[path, name] = str(error)
        if isinstance(error, gwf.Unreadable):
            self.transient.add(path)

    def _read_file(self, at, frame, members, reach, careful, within=None):
        """Read channels of one file; returns those that its faults kept from being read.

        reach: up to this GPS time earlier files have been read, so only holes are filled.
        careful: note at once what the file gave, as others share its span.
        """
        channels = self.plan.channels
        try:
            file = self.reader.open(frame.path)
        except gwf.BadFrame as error:
            self._note_bad(frame.path, "", error)
            return list(members)
        if not any(frame.start < s + ns * 1e-9 + d and frame.end > s + ns * 1e-9 for s, ns, d in file.frames):
            self.bad[frame.path, ""] = "holds nothing of the span it is listed with"
            return list(members)
        lost = []
        begin, end = frame.start, frame.end
        if within:
            begin, end = max(begin, within[0]), min(end, within[1])
        start = self.plan.window.start
        begin, end, reach = begin - start, end - start, reach - start
        for number, (seconds, nanoseconds, duration) in enumerate(file.frames):
            at_frame = (seconds - start) + nanoseconds * 1e-9
            if at_frame >= self.stop or at_frame + duration <= self.begin:
                continue
            places = {}
            for member in members:
                if member in self.deferred:
                    continue
                name, kind = channels[member].name, channels[member].kind
                try:
                    series = self.reader.read(frame.path, file, number, name, kind) if kind else None
                    if series is None:
                        found = file.kinds.get(name)
                        if found is None or found == kind:
                            continue
                        series = self.reader.read(frame.path, file, number, name, found)
                        if series is None:
                            continue
                except gwf.BadFrame as error:
                    self._note_bad(frame.path, name, error)
                    lost.append(member)
                    continue
                self.seen.add(member)
                if series.problem:
                    self.problems.setdefault(member, series.problem)
                    continue
                spot = (series.dt, series.offset, series.data.dtype, len(series.data))
                if spot not in places:
                    places[spot] = self._place(at_frame, series, begin, end)
                if places[spot]:
                    self._store(member, series, places[spot], at, reach, careful)
                else:
                    self.problems.setdefault(member, f"no sample rate: spacing {series.dt!r} s")
        return lost

    def _place(self, at_frame, series, begin, end):
        """Where a vector's samples go: (grid, dtype, [(first k, first sample, end sample)]); None if nowhere."""
        if not (series.dt > 0 and math.isfinite(series.dt) and math.isfinite(series.offset)):
            return None
        rate = grid.rate_of(series.dt)
        k, phase = grid.place(at_frame + series.offset, rate)
        where = grid.Grid(rate, phase)
        pieces = []
        total = grid.length(self.plan.window.duration, rate)
        for run_begin, run_stop in self.runs:
            first = max(grid.first_at(max(begin, run_begin), where), k, 0)
            stop = min(grid.first_at(min(end, run_stop), where), k + len(series.data), total)
            if first < stop:
                pieces.append((first, first - k, stop - k))
        return where, gwf.convertible(series.data.dtype), pieces

    def _store(self, member, series, place, at, reach, careful):
        where, dtype, pieces = place
        if not pieces:
            return
        rows, row = self.rows_for(member, where, dtype)
        if rows is None:
            return
        rows.touched[row] = True
        line, origin = rows.data[row], rows.first
        unit = self.units.setdefault(series.unit, len(self.units) + 1)
        if self.unit_of.setdefault(member, unit) != unit:
            self.odd_units[at, member] = unit
        for k, a, b in pieces:
            values = series.data[a:b]
            good = None if series.good is None else series.good[a:b]
            into = line[k - origin : k - origin + b - a]
            if careful:
                self._store_carefully(into, values, good, at, member, where, k, reach, unit)
            elif good is None:
                into[:] = values
            else:
                into[good] = values[good]

    def _store_carefully(self, into, values, good, at, member, where, k, reach, unit):
        """Store what the file gives and no earlier one gave, and note which increments it gave it to."""
        free = np.ones(len(into), dtype=bool) if good is None else good.copy()
        shared = len(into) if reach == math.inf else 0
        if math.isfinite(reach):
            shared = max(0, min(len(into), grid.first_at(reach, where) - k))
        free[:shared] &= np.isnan(into[:shared])
        into[free] = values[free]
        free &= ~np.isnan(into)
        for pair in self.pair_rows.get(at, ()):
            _, increment = self.pairs[pair]
            a = grid.first_at(increment * self.plan.increment, where) - k
            b = grid.first_at((increment + 1) * self.plan.increment, where) - k
            if free[max(0, a) : max(0, b)].any():
                self.gave[pair, self.column[member]] = unit

    # What came of it

    def note_coverage(self):
        """Note which file gave which channel samples in which increment, from the samples themselves."""
        start = self.plan.window.start
        for rows in self.groups:
            if rows.grid is None or not rows.touched.any():
                continue
            if not np.isnan(rows.data.min(axis=1, initial=np.inf)).any():
                good = None  # min hands on a NaN: none means that every sample is there
            else:
                good = rows.good = ~np.isnan(rows.data)
            columns = np.array([self.column[member] for member in rows.members])
            units = np.array([self.unit_of.get(member, 0) for member in rows.members], dtype=np.uint16)
            for pair, (at, increment) in enumerate(self.pairs):
                if at in self.crowded or self.plan.frames[at].status != catalog.USED:
                    continue
                frame = self.plan.frames[at]
                begin = max(frame.start - start, increment * self.plan.increment, self.begin)
                stop = min(frame.end - start, (increment + 1) * self.plan.increment, self.stop)
                a, b = (grid.first_at(t, rows.grid) - rows.first for t in (begin, stop))
                a, b = max(0, a), max(0, min(b, rows.data.shape[1]))
                if a >= b:
                    continue
                given = np.True_ if good is None else good[:, a:b].any(axis=1)
                self.gave[pair, columns] = np.maximum(self.gave[pair, columns], np.where(given, units, 0))
        for (at, member), unit in self.odd_units.items():
            for pair in self.pair_rows.get(at, ()):
                if self.gave[pair, self.column[member]]:
                    self.gave[pair, self.column[member]] = unit


def _reaches(used):
    """By frame index, the GPS time up to which files earlier in time order reach."""
    reach, reaches = -math.inf, {}
    for at, frame in used:
        reaches[at] = reach
        reach = max(reach, frame.end)
    return reaches


def _crowded(used):
    """Indices of frames that share some of their span with another."""
    crowded, reach, last = set(), -math.inf, None
    for at, frame in used:
        if frame.start < reach:
            crowded.update((at, last))
        if frame.end > reach:
            reach, last = frame.end, at
    return crowded


def extract(plan, block, folder, reader, keep=None):
    """Read one block and write its part file, whole and at once.

    plan: blocks.Plan; block: one of its blocks; folder: where parts go; reader: a Reader;
    keep: what stored.holds gave if the plan keeps an earlier result.  Raises OSError if it cannot write.
    """
    job = _Job(plan, block, reader, keep)
    # A part is named for the boot it was written in, so it need not wait for the disk; most never get there.
    path = blocks.part_path(folder, block)
    with files.replacing(path, durable=not files.boot()) as aside, h5py.File(aside, "w", libver="latest") as part:
        going, count = True, 0
        while going:
            job.plan_rows()
            job.read_frames()
            job.note_coverage()
            count = parts.write_rows(part, plan, job.groups, count)
            going = job.next_pass()
        parts.write_notes(part, plan, job)


def work(plan, folder, keep, share, retries, command):
    """Make every part of a plan that is not there yet; several processes may do so at once.

    Prints the path of the plan, then of each part that is there.

    share: (i, n), which of n processes this is.  Parts are made in the order of the plan, which is the order in
    which they are joined; each has a lock while it is made, and one that another process holds is left to it.
    command: for progress and the day's state.
    """
    reader = Reader(retries, max(1000, len(plan.channels)))
    count = len(plan.blocks)
    began = time.monotonic()
    blocks.note_progress(plan, folder, command, began)
    if share[0] == 1:
        if command.args.index:
            index.write(command.args.index)
        _print(os.path.join(folder, blocks.PLAN))
    for number in range(count):
        block = plan.blocks[number]
        path = blocks.part_path(folder, block)
        if os.path.exists(path):
            if number % share[1] == share[0] - 1:
                _print(path)
            continue
        lock = os.path.join(folder, f".{block.id}.lock")
        with files.locked(lock, wait=False) as mine:
            if mine is not None and not os.path.exists(path):
                since = time.monotonic()
                extract(plan, block, folder, reader, keep)
                os.unlink(lock)
                _print(path)
                span = f"GPS {plan.window.start + block.start:.0f} to {plan.window.start + block.end:.0f}"
                spent = f"{time.monotonic() - since:.1f} s"
                command.log(f"part {number + 1} of {count}: {len(block.channels)} channels, {span}, {spent}")
                blocks.note_progress(plan, folder, command, began)


def _print(path):
    """One line in one write, so that lines of several processes never mix."""
    os.write(sys.stdout.fileno(), os.fsencode(path) + b"\n")
