"""Reading a block's channels out of the frames, into the part file that keeps them.

With the samples in memory, their statistics and which frame file gave what (see notes) are taken too, so nothing is
read back.
"""

import contextlib
import math
from typing import NamedTuple

import numpy as np

from .. import files, grid, gwf
from ..frames import catalog
from . import layout, parts
from .body import Place
from .earlier import Earlier
from .notes import Group, Notes, fills
from .plan import Block, Plan, part_path
from .reader import Reader
from .rows import BlockRows


class _Goal(NamedTuple):
    """Where samples of one file go.

    at: number of its frame.  begin, end: what it is read for, and reach: up to this time earlier files have been read,
    so only holes are filled; all in s from the window's start.  careful: note at once what the file gave, as others
    share its span.
    """

    at: int
    begin: float
    end: float
    reach: float
    careful: bool


class _BlockReading:
    """One block while it is read: its samples in `rows`, all else that was found in `notes`."""

    def __init__(self, plan: Plan, block: Block, reader: Reader, keep: Earlier | None):
        self.plan, self.block, self.reader, self.keep = plan, block, reader, keep
        self.runs = self._dirty_runs()
        near = [
            (at, frame)
            for at, frame in enumerate(plan.frames)
            if frame.status not in catalog.NOT_THERE
            and any(frame.start - plan.window.start < b and frame.end - plan.window.start > a for a, b in self.runs)
        ]
        self.used = [(at, frame) for at, frame in near if frame.status == catalog.USED]
        self.spare = [(at, frame) for at, frame in near if frame.status in (catalog.DUPLICATE, catalog.COVERED)]
        self.kept = [(at, frame) for at, frame in near if frame.status == catalog.KEPT]
        self.reach, self.crowded = _reaches(self.used), _crowded(self.used)
        self.rows = BlockRows(plan, block)
        self.notes = Notes(plan, block, near, self.runs)
        self.group: Group | None = None

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
                lost = frame.path not in here or {(frame.path, ""), (frame.path, name)} & self.notes.account.bad.keys()
                if not lost or member in self.rows.deferred:
                    continue
                for pair, increment in self.notes.increments(at):
                    self.notes.still_missing(pair, member, self.keep.why_not(frame, increment, name))
                where, dtype = self.keep.grid_of(name)
                if where is not None:
                    rows, row = self.rows.find(member, where, dtype)
                    if rows is not None:
                        self._keep_of(at, frame, member, rows, row)

    def _keep_of(self, at, frame, member, rows, row):
        name, start = self.plan.channels[member].name, self.plan.window.start
        for pair, increment in self.notes.increments(at):
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
                    self.notes.kept(pair, member, unit)

    def _read_file(self, at, frame, members, reach, careful, within=None):
        """Read channels of one file; returns those that its faults kept from being read.

        reach, in GPS s, and careful: as of _Goal.  within: the GPS span to read, if it is not all of the file.
        """
        notes, start = self.notes, self.plan.window.start
        try:
            file = self.reader.open(frame.path)
        except gwf.BadFrame as error:
            notes.bad(frame, "", error)
            return list(members)
        if not file.verified:
            notes.account.unverified.add(frame.path)
        if not any(frame.start < s + ns * 1e-9 + d and frame.end > s + ns * 1e-9 for s, ns, d in file.frames):
            notes.account.bad[frame.path, ""] = "holds nothing of the span it is listed with"
            return list(members)
        lost = []
        begin, end = frame.start, frame.end
        if within:
            begin, end = max(begin, within[0]), min(end, within[1])
        goal = _Goal(at, begin - start, end - start, reach - start, careful)
        group = self._group_of(members)
        spans = [(s - start + ns * 1e-9, s - start + ns * 1e-9 + d) for s, ns, d in file.frames]
        notes.unfilled(at, (goal.begin, goal.end), spans, group.columns)
        for number, (at_frame, end_frame) in enumerate(spans):
            duration = end_frame - at_frame
            if at_frame >= self.block.end or at_frame + duration <= self.block.start:
                continue
            for each in self._take(file, number, (at_frame, duration), group, goal):
                if not self._read_one(file, number, (at_frame, duration), int(group.members[each]), goal):
                    lost.append(int(group.members[each]))
        return lost

    def _group_of(self, members):
        """The Group of so many channels; that of the pass is kept."""
        if members is not self.rows.wanted:
            return Group(self.plan, members, self.notes.column)
        if self.group is None or self.group.source is not members:
            self.group = Group(self.plan, members, self.notes.column)
        return self.group

    # --- a whole frame at once -------------------------------------------------------------

    def _take(self, file, number, span, group, goal):
        """Take what is ordinary in a frame, all channels at once; which of the group have to be read by themselves.

        span: (begin, duration) of the frame, in s from the window's start.
        """
        (at_frame, _), wanted, left = span, group.wanted, []
        todo = self._not_deferred(group)
        # Once as the frame before was, and once more for those that are not like it.
        for again in (False, True):
            spots = self._spots(group, todo, at_frame, goal)
            wanted.active[:] = todo & self._not_deferred(group)
            file.take(number, wanted, [spot for spot, *_ in spots])
            todo = wanted.active.copy()
            self._note_taken(group, spots, goal, span)
            absent = todo & (wanted.status == gwf.ABSENT)
            if absent.any():
                self.notes.flaws(goal.at, span, group.columns[absent], gwf.Flaw.NOT_IN_FILE)
            left += np.flatnonzero(todo & (wanted.status == gwf.ODD)).tolist()
            todo &= wanted.status == gwf.LOOKED
            if not todo.any():
                return left
            looked = todo
            todo = wanted.learn(looked)
            self.notes.see(group, looked & ~todo)
            for each in np.flatnonzero(looked & ~todo).tolist():
                shape = wanted.shapes[wanted.shape_of[each]]
                if self._place(at_frame, shape, goal) is None:
                    self.notes.flaws(goal.at, span, group.columns[each], gwf.Flaw.UNUSABLE)
                    self.notes.problem(group.wanted.names[each], _no_rate(shape.dt))
            if again:
                left += np.flatnonzero(todo).tolist()
        return left

    def _not_deferred(self, group):
        if not self.rows.deferred:
            return np.ones(len(group.members), dtype=bool)
        return ~np.isin(group.members, list(self.rows.deferred))

    def _spots(self, group, todo, at_frame, goal):
        """[(gwf.Spot, Rows, channels of the group, their rows, pieces)] of those channels whose shape is known."""
        spots, wanted = [], group.wanted
        wanted.spot[:] = -1
        for number in np.unique(wanted.shape_of[todo]).tolist():
            place = self._place(at_frame, wanted.shapes[number], goal) if number >= 0 else None
            if place is None or not place[2]:
                continue
            where, dtype, pieces = place
            some = np.flatnonzero(todo & (wanted.shape_of == number))
            for rows, mine, numbers in self.rows.find_all(group.members[some], where, dtype):
                wanted.spot[some[mine]] = len(spots)
                if goal.careful:
                    # Beside the day's own rows, to be looked at first.
                    widths = [b - a for _, a, b in pieces]
                    columns = np.cumsum([0, *widths[:-1]]).tolist()
                    out = np.empty((len(mine), sum(widths)), dtype=rows.dtype)
                    good = np.empty(out.shape, dtype=bool)
                    wanted.row[some[mine]] = np.arange(len(mine))
                else:
                    columns = [k - rows.first for k, _, _ in pieces]
                    out, good = rows.data, None
                    wanted.row[some[mine]] = numbers
                cut = np.array([(c, a, b) for c, (_, a, b) in zip(columns, pieces, strict=True)], dtype=np.int64)
                spots.append((gwf.Spot(wanted.shapes[number], out, good, cut), rows, some[mine], numbers, pieces))
        return spots

    def _note_taken(self, group, spots, goal, span):
        """Note what came of the channels that were to go to spots; span: (begin, duration) of the frame."""
        wanted = group.wanted
        for spot, rows, some, numbers, pieces in spots:
            taken = wanted.status[some] == gwf.TAKEN
            if not taken.all():
                some, numbers = some[taken], numbers[taken]
            if not len(some):
                continue
            self.notes.see(group, some)
            units = self.notes.units(group, some, goal.at)
            rows.touched[numbers] = True
            if goal.careful:
                for (k, _, _), (column, a, b) in zip(pieces, spot.pieces.tolist(), strict=True):
                    cut = taken, slice(column, column + b - a)
                    where = group.columns[some], units
                    self._store_carefully(rows, numbers, k, spot.out[cut], spot.good[cut], where, goal)
            flaws = wanted.channels["said"][some]
            if not fills(spot.shape, span[1]):
                flaws = flaws | np.uint8(gwf.Flaw.GAP)
            if flaws.any():
                self.notes.flaws(goal.at, span, group.columns[some], flaws)
            for each in some[wanted.channels["lost"][some] != 0].tolist():
                self.notes.problem(wanted.names[each], gwf.INEXACT)

    # --- one channel by itself -------------------------------------------------------------

    def _read_one(self, file, number, span, member, goal):
        """Read one channel in one frame; False if it cannot be read.  span: as of _take."""
        channel, notes, frame = self.plan.channels[member], self.notes, self.plan.frames[goal.at]
        tell = lambda flaws: notes.flaws(goal.at, span, notes.column[member], flaws)  # noqa: E731
        name, kind = channel.name, channel.kind
        try:
            series = self.reader.read(frame.path, file, number, name, kind) if kind else None
            if series is None:
                found = file.kinds.get(name)
                if found is not None and found != kind:
                    series = self.reader.read(frame.path, file, number, name, found)
            if series is None:
                tell(gwf.Flaw.NOT_IN_FILE)
                return True
        except gwf.BadFrame as error:
            notes.bad(frame, name, error)
            return False
        notes.account.seen.add(name)
        if series.problem:
            tell(gwf.Flaw.NOT_IN_FILE if series.problem == gwf.NO_DATA else gwf.Flaw.UNUSABLE)
            notes.problem(name, series.problem)
            return True
        if series.lost:
            notes.problem(name, series.lost)
        shape = gwf.Shape(series.data.dtype, len(series.data), series.dt, series.offset)
        place = self._place(span[0], shape, goal)
        flaws = series.said | (gwf.Flaw(0) if place is None or fills(shape, span[1]) else gwf.Flaw.GAP)
        if flaws:
            tell(flaws)
        if place is None:
            tell(gwf.Flaw.UNUSABLE)
            notes.problem(name, _no_rate(series.dt))
        elif place[2]:
            self._store(series, *place, member, goal)
        return True

    def _store(self, series, where, dtype, pieces, member, goal):
        rows, row = self.rows.find(member, where, dtype)
        if rows is None:
            return
        rows.touched[row] = True
        column = self.notes.column[member]
        unit = self.notes.unit(column, series.unit, goal.at)
        for k, a, b in pieces:
            values = series.data[a:b]
            good = None if series.good is None else series.good[a:b]
            if goal.careful:
                flags = np.ones(len(values), dtype=bool) if good is None else good
                where_to = np.array([column]), np.array([unit])
                self._store_carefully(rows, np.array([row]), k, values[None], flags[None], where_to, goal)
                continue
            into = rows.data[row, k - rows.first : k - rows.first + b - a]
            if good is None:
                into[:] = values
            else:
                into[good] = values[good]

    # --- where it goes ---------------------------------------------------------------------

    def _place(self, at_frame, shape, goal):
        """Where samples of a gwf.Shape go: (grid, dtype, [(first k, first sample, end sample)]); None if nowhere."""
        if not (shape.dt > 0 and math.isfinite(shape.dt) and math.isfinite(shape.offset)):
            return None
        rate = grid.rate_of(shape.dt)
        k, phase = grid.place(at_frame + shape.offset, rate)
        where = grid.Grid(rate, phase)
        pieces = []
        total = grid.length(self.plan.window.duration, rate)
        for run_begin, run_stop in self.runs:
            first = max(grid.first_at(max(goal.begin, run_begin), where), k, 0)
            stop = min(grid.first_at(min(goal.end, run_stop), where), k + shape.samples, total)
            if first < stop:
                pieces.append((first, first - k, stop - k))
        return where, gwf.convertible(shape.dtype), pieces

    def _store_carefully(self, rows, numbers, k, values, good, where, goal):
        """Store what a file gives and no earlier one gave, and note that it gave it.

        values, good: (channels, samples), from sample k of the day on, which go to rows of those numbers.  where:
        columns of the channels and numbers of their units.
        """
        first, width = k - rows.first, values.shape[1]
        into = rows.data[numbers, first : first + width]
        free = good.copy()
        shared = width if goal.reach == math.inf else 0
        if math.isfinite(goal.reach):
            shared = max(0, min(width, grid.first_at(goal.reach, rows.grid) - k))
        free[:, :shared] &= np.isnan(into[:, :shared])
        into[free] = values[free]
        rows.data[numbers, first : first + width] = into
        free &= ~np.isnan(into)
        self.notes.given(goal.at, rows, k, free, where)


def _no_rate(spacing):
    return f"no sample rate: spacing {spacing!r} s"


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


def extract(
    plan: Plan, block: Block, folder: str, reader: Reader, keep: Earlier | None = None, place: Place | None = None
) -> None:
    """Read one block of a plan and write its part file into a folder, whole and at once.

    keep: the earlier result, if the plan keeps one.  place: of the block in a body.  Raises OSError if it cannot write.
    """
    reading = _BlockReading(plan, block, reader, keep)
    # A part is named for the boot it was written in, so it need not wait for the disk; most never get there.
    path = part_path(folder, block)
    with place or contextlib.nullcontext(), layout.writing(path, durable=not files.boot(), libver="latest") as part:
        going, count = True, 0
        while going:
            reading.rows.expect()
            reading.prefill()
            reading.read_frames()
            reading.keep_samples()
            reading.notes.coverage(reading.rows.groups, reading.crowded)
            if reading.rows.deferred:
                place = None
            count = parts.write_rows(part, plan, reading.rows.groups, count, place)
            going = reading.rows.next_pass()
        if place:
            place.end()
        reading.notes.account.save(part, [plan.channels[member].name for member in block.channels])
