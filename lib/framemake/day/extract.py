"""Reading a block's channels out of the frames, into the part file that keeps them.

With the samples in memory, their statistics and which frame file gave what are taken too, so nothing is read back.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import files, grid, gwf
from ..frames import catalog
from . import coverage, layout, parts
from .account import Account
from .earlier import Earlier
from .plan import Block, Plan, part_path
from .reader import Reader
from .rows import BlockRows


class _Goal(NamedTuple):
    """Where samples of one vector go: a channel on a grid; from which frame (its number), in which unit.

    reach: up to this time, in s from the window's start, earlier files have been read, so only holes are filled.
    careful: note at once what the file gave, as others share its span.
    """

    at: int
    member: int
    grid: grid.Grid
    unit: int
    reach: float
    careful: bool


class _BlockReading:
    """One block while it is read: its samples in `rows`, all else that was found in `account`."""

    def __init__(self, plan: Plan, block: Block, reader: Reader, keep: Earlier | None):
        self.plan, self.block, self.reader, self.keep = plan, block, reader, keep
        self.runs = self._dirty_runs()
        near = [
            (at, frame)
            for at, frame in enumerate(plan.frames)
            if frame.status != catalog.ABSENT
            and any(frame.start - plan.window.start < b and frame.end - plan.window.start > a for a, b in self.runs)
        ]
        self.used = [(at, frame) for at, frame in near if frame.status == catalog.USED]
        self.spare = [(at, frame) for at, frame in near if frame.status in (catalog.DUPLICATE, catalog.COVERED)]
        self.kept = [(at, frame) for at, frame in near if frame.status == catalog.KEPT]
        self.reach, self.crowded = _reaches(self.used), _crowded(self.used)
        self.rows = BlockRows(plan, block)
        self.account = Account(coverage.pairs(plan.window, plan.increment, near, self.runs), len(block.channels))
        self.pair_rows = self.account.rows_by_frame()
        self.column = {member: at for at, member in enumerate(block.channels)}
        # The unit of a channel, and where a file has another.
        self.unit_of: dict[int, int] = {}
        self.odd_units: dict[tuple[int, int], int] = {}

    def _dirty_runs(self):
        """Spans of the block, in seconds from the window's start, that are to be read anew."""
        plan, (begin, stop) = self.plan, (self.block.start, self.block.end)
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

    def prefill(self):
        """Take over the samples of an earlier result that still hold, as a unit is rebuilt as one."""
        if self.runs == [(self.block.start, self.block.end)]:
            return
        for member in self.rows.wanted:
            name = self.plan.channels[member].name
            where, dtype = self.keep.grid_of(name)
            if where is None:
                continue
            rows, row = self.rows.find(member, where, dtype)
            held = self.keep.day.samples(name, rows.first, rows.first + rows.data.shape[1])
            rows.data[row, : len(held)] = held
            rows.touched[row] = True
            for begin, stop in self.runs:
                a, b = (grid.first_at(t, where) - rows.first for t in (begin, stop))
                rows.data[row, max(0, a) : max(0, b)] = np.nan

    # --- reading ---------------------------------------------------------------------------

    def read_frames(self):
        failed = {}
        for at, frame in self.used:
            lost = self._read_file(at, frame, self.rows.wanted, self.reach[at], at in self.crowded)
            if lost:
                failed[at] = lost
        for at, lost in failed.items():
            # What the file that was to be used does not give, one that covers the same span may.
            broken = self.plan.frames[at]
            for spare_at, spare in self.spare:
                if spare.start < broken.end and spare.end > broken.start:
                    self._read_file(spare_at, spare, lost, math.inf, True, (broken.start, broken.end))

    def keep_samples(self):
        """Where no frame gave any, keep the samples of frames that are gone, or that can no longer be read."""
        here = {frame.path for _, frame in self.used}
        for at, frame in self.kept:
            for member in self.rows.wanted:
                name = self.plan.channels[member].name
                # A file that changed and can be read has the last word on what it holds.
                lost = frame.path not in here or {(frame.path, ""), (frame.path, name)} & self.account.bad.keys()
                where, dtype = self.keep.grid_of(name) if lost and member not in self.rows.deferred else (None, None)
                if where is not None:
                    rows, row = self.rows.find(member, where, dtype)
                    if rows is not None:
                        self._keep_of(at, frame, member, rows, row)

    def _keep_of(self, at, frame, member, rows, row):
        name, start = self.plan.channels[member].name, self.plan.window.start
        for pair in self.pair_rows.get(at, ()):
            _, increment = self.account.pairs[pair]
            unit = self.keep.unit_given(frame, increment, name)
            if unit is None:
                continue
            begin = max(frame.start - start, increment * self.plan.increment)
            stop = min(frame.end - start, (increment + 1) * self.plan.increment)
            for run_begin, run_stop in self.runs:
                a = grid.first_at(max(begin, run_begin), rows.grid) - rows.first
                b = grid.first_at(min(stop, run_stop), rows.grid) - rows.first
                into = rows.data[row, max(0, a) : max(0, b)]
                held = self.keep.day.samples(name, rows.first + max(0, a), rows.first + max(0, a) + len(into))
                free = np.isnan(into[: len(held)]) & ~np.isnan(held)
                if free.any():
                    into[: len(held)][free] = held[free]
                    rows.touched[row] = True
                    self.account.gave[pair, self.column[member]] = self.account.number_of(unit)
                    self.unit_of.setdefault(member, self.account.number_of(unit))
                    self.account.seen.add(name)

    def _note_bad(self, frame, name, error):
        self.account.bad[frame.path, name] = str(error)
        # One that changes while it is read may be again what it was, size and time included: nothing else would tell.
        if isinstance(error, gwf.Unreadable) or catalog.judge([frame])[0][3:5] != frame[3:5]:
            self.account.transient.add(frame.path)

    def _read_file(self, at, frame, members, reach, careful, within=None):
        """Read channels of one file; returns those that its faults kept from being read.

        reach, in GPS s, and careful: as of _Goal.  within: the GPS span to read, if it is not all of the file.
        """
        channels, account = self.plan.channels, self.account
        try:
            file = self.reader.open(frame.path)
        except gwf.BadFrame as error:
            self._note_bad(frame, "", error)
            return list(members)
        if not file.verified:
            account.unverified.add(frame.path)
        if not any(frame.start < s + ns * 1e-9 + d and frame.end > s + ns * 1e-9 for s, ns, d in file.frames):
            account.bad[frame.path, ""] = "holds nothing of the span it is listed with"
            return list(members)
        lost = []
        begin, end = frame.start, frame.end
        if within:
            begin, end = max(begin, within[0]), min(end, within[1])
        start = self.plan.window.start
        begin, end, reach = begin - start, end - start, reach - start
        for number, (seconds, nanoseconds, duration) in enumerate(file.frames):
            at_frame = (seconds - start) + nanoseconds * 1e-9
            if at_frame >= self.block.end or at_frame + duration <= self.block.start:
                continue
            places = {}
            for member in members:
                if member in self.rows.deferred:
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
                    self._note_bad(frame, name, error)
                    lost.append(member)
                    continue
                account.seen.add(name)
                if series.problem:
                    account.problems.setdefault(name, series.problem)
                    continue
                if series.lost:
                    account.problems.setdefault(name, series.lost)
                spot = (series.dt, series.offset, series.data.dtype, len(series.data))
                if spot not in places:
                    places[spot] = self._place(at_frame, series, begin, end)
                if places[spot] is None:
                    account.problems.setdefault(name, f"no sample rate: spacing {series.dt!r} s")
                    continue
                where, dtype, pieces = places[spot]
                if pieces:
                    unit = account.number_of(series.unit)
                    self._store(series, dtype, pieces, _Goal(at, member, where, unit, reach, careful))
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

    def _store(self, series, dtype, pieces, goal):
        rows, row = self.rows.find(goal.member, goal.grid, dtype)
        if rows is None:
            return
        rows.touched[row] = True
        line, origin = rows.data[row], rows.first
        if self.unit_of.setdefault(goal.member, goal.unit) != goal.unit:
            self.odd_units[goal.at, goal.member] = goal.unit
        for k, a, b in pieces:
            values = series.data[a:b]
            good = None if series.good is None else series.good[a:b]
            into = line[k - origin : k - origin + b - a]
            if goal.careful:
                self._store_carefully(into, values, good, k, goal)
            elif good is None:
                into[:] = values
            else:
                into[good] = values[good]

    def _store_carefully(self, into, values, good, k, goal):
        """Store what the file gives and no earlier one gave, from sample k of the day on, and note that it gave it."""
        free = np.ones(len(into), dtype=bool) if good is None else good.copy()
        shared = len(into) if goal.reach == math.inf else 0
        if math.isfinite(goal.reach):
            shared = max(0, min(len(into), grid.first_at(goal.reach, goal.grid) - k))
        free[:shared] &= np.isnan(into[:shared])
        into[free] = values[free]
        free &= ~np.isnan(into)
        for pair in self.pair_rows.get(goal.at, ()):
            _, increment = self.account.pairs[pair]
            a = grid.first_at(increment * self.plan.increment, goal.grid) - k
            b = grid.first_at((increment + 1) * self.plan.increment, goal.grid) - k
            if free[max(0, a) : max(0, b)].any():
                self.account.gave[pair, self.column[goal.member]] = goal.unit

    # --- what came of it -------------------------------------------------------------------

    def note_coverage(self):
        """Note which file gave which channel samples in which increment, from the samples themselves."""
        start, gave = self.plan.window.start, self.account.gave
        for rows in self.rows.groups:
            if rows.grid is None or not rows.touched.any():
                continue
            if not np.isnan(rows.data.min(axis=1, initial=np.inf)).any():
                good = None  # min hands on a NaN: none means that every sample is there
            else:
                good = rows.good = ~np.isnan(rows.data)
            columns = np.array([self.column[member] for member in rows.members])
            units = np.array([self.unit_of.get(member, 0) for member in rows.members], dtype=np.uint16)
            for pair, (at, increment) in enumerate(self.account.pairs):
                if at in self.crowded or self.plan.frames[at].status != catalog.USED:
                    continue
                frame = self.plan.frames[at]
                begin = max(frame.start - start, increment * self.plan.increment, self.block.start)
                stop = min(frame.end - start, (increment + 1) * self.plan.increment, self.block.end)
                a, b = (grid.first_at(t, rows.grid) - rows.first for t in (begin, stop))
                a, b = max(0, a), max(0, min(b, rows.data.shape[1]))
                if a >= b:
                    continue
                given = np.True_ if good is None else good[:, a:b].any(axis=1)
                gave[pair, columns] = np.maximum(gave[pair, columns], np.where(given, units, 0))
        for (at, member), unit in self.odd_units.items():
            for pair in self.pair_rows.get(at, ()):
                if gave[pair, self.column[member]]:
                    gave[pair, self.column[member]] = unit


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


def extract(plan: Plan, block: Block, folder: str, reader: Reader, keep: Earlier | None = None) -> None:
    """Read one block of a plan and write its part file into a folder, whole and at once.

    keep: the earlier result, if the plan keeps one.  Raises OSError if it cannot write.
    """
    reading = _BlockReading(plan, block, reader, keep)
    # A part is named for the boot it was written in, so it need not wait for the disk; most never get there.
    path = part_path(folder, block)
    with layout.writing(path, durable=not files.boot(), libver="latest") as part:
        going, count = True, 0
        while going:
            reading.rows.expect()
            reading.prefill()
            reading.read_frames()
            reading.keep_samples()
            reading.note_coverage()
            count = parts.write_rows(part, plan, reading.rows.groups, count)
            going = reading.rows.next_pass()
        reading.account.save(part, [plan.channels[member].name for member in block.channels])
