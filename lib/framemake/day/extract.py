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

# Times nearer than so many seconds are one.
_CLOSE = 1e-6


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


class _Group:
    """Channels that are read out of many frames, and what the frame before has told of them.

    members: positions in the plan.  wanted: the same for the frame files.  columns: positions in the block.  seen:
    whether each was in any file.
    """

    def __init__(self, plan: Plan, members: list[int], column: dict[int, int]):
        channels = [plan.channels[member] for member in members]
        self.source = members
        self.members = np.array(members, dtype=np.int64)
        self.columns = np.array([column[member] for member in members], dtype=np.int64)
        self.wanted = gwf.Wanted([channel.name for channel in channels], [channel.kind for channel in channels])
        self.seen = np.zeros(len(members), dtype=bool)


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
        # The unit of a channel, by column, 0 for none, and where a file (number of its frame) has another.
        self.unit_of = np.zeros(len(block.channels), dtype=np.uint16)
        self.odd_units: dict[tuple[int, int], int] = {}
        self.group: _Group | None = None

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
                    if why := self.keep.why_not(frame, increment, name):
                        self.account.tell([pair], self.column[member], why)
                    if not self.unit_of[self.column[member]]:
                        self.unit_of[self.column[member]] = self.account.number_of(unit)
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
        account, start = self.account, self.plan.window.start
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
        goal = _Goal(at, begin - start, end - start, reach - start, careful)
        group = self._group_of(members)
        spans = [(s - start + ns * 1e-9, s - start + ns * 1e-9 + d) for s, ns, d in file.frames]
        self._tell_gaps(goal, spans, group.columns)
        for number, (at_frame, end_frame) in enumerate(spans):
            duration = end_frame - at_frame
            if at_frame >= self.block.end or at_frame + duration <= self.block.start:
                continue
            for each in self._take(file, number, (at_frame, duration), group, goal):
                if not self._read_one(file, number, (at_frame, duration), int(group.members[each]), goal):
                    lost.append(int(group.members[each]))
        return lost

    def _group_of(self, members):
        """The _Group of so many channels; that of the pass is kept."""
        if members is not self.rows.wanted:
            return _Group(self.plan, members, self.column)
        if self.group is None or self.group.source is not members:
            self.group = _Group(self.plan, members, self.column)
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
                self._tell(goal.at, *span, group.columns[absent], gwf.Flaw.NOT_IN_FILE)
            left += np.flatnonzero(todo & (wanted.status == gwf.ODD)).tolist()
            todo &= wanted.status == gwf.LOOKED
            if not todo.any():
                return left
            looked = todo
            todo = wanted.learn(looked)
            self._see(group, looked & ~todo)
            for each in np.flatnonzero(looked & ~todo).tolist():
                shape = wanted.shapes[wanted.shape_of[each]]
                if self._place(at_frame, shape, goal) is None:
                    self._tell(goal.at, *span, group.columns[each], gwf.Flaw.UNUSABLE)
                    self.account.problems.setdefault(group.wanted.names[each], _no_rate(shape.dt))
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
            self._see(group, some)
            units = self._units_of(group, some, goal.at)
            rows.touched[numbers] = True
            if goal.careful:
                for (k, _, _), (column, a, b) in zip(pieces, spot.pieces.tolist(), strict=True):
                    cut = taken, slice(column, column + b - a)
                    where = group.columns[some], units
                    self._store_carefully(rows, numbers, k, spot.out[cut], spot.good[cut], where, goal)
            flaws = wanted.channels["said"][some]
            if not _fills(spot.shape, span[1]):
                flaws = flaws | np.uint8(gwf.Flaw.GAP)
            if flaws.any():
                self._tell(goal.at, *span, group.columns[some], flaws)
            for each in some[wanted.channels["lost"][some] != 0].tolist():
                self.account.problems.setdefault(wanted.names[each], gwf.INEXACT)

    def _see(self, group, some):
        """Note that some channels of a group, numbers or flags, are in a file."""
        new = np.zeros(len(group.seen), dtype=bool)
        new[some] = True
        new &= ~group.seen
        if new.any():
            group.seen |= new
            self.account.seen.update(group.wanted.names[each] for each in np.flatnonzero(new).tolist())

    def _units_of(self, group, some, at):
        """The numbers of the units that some channels of a group, numbers, have in a file; noted where it is odd."""
        texts, found = group.wanted.texts, group.wanted.channels["unit"][some]
        known = np.zeros(len(texts), dtype=np.uint16)
        for text in np.flatnonzero(np.bincount(found, minlength=len(texts))).tolist():
            known[text] = self.account.number_of(texts[text])
        units, columns = known[found], group.columns[some]
        before = self.unit_of[columns]
        self.unit_of[columns] = np.where(before, before, units)
        for each in np.flatnonzero((before != 0) & (before != units)).tolist():
            self.odd_units[at, int(group.members[some[each]])] = int(units[each])
        return units

    # --- one channel by itself -------------------------------------------------------------

    def _read_one(self, file, number, span, member, goal):
        """Read one channel in one frame; False if it cannot be read.  span: as of _take."""
        channel, account, frame = self.plan.channels[member], self.account, self.plan.frames[goal.at]
        tell = lambda flaws: self._tell(goal.at, *span, self.column[member], flaws)  # noqa: E731
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
            self._note_bad(frame, name, error)
            return False
        account.seen.add(name)
        if series.problem:
            tell(gwf.Flaw.NOT_IN_FILE if series.problem == gwf.NO_DATA else gwf.Flaw.UNUSABLE)
            account.problems.setdefault(name, series.problem)
            return True
        if series.lost:
            account.problems.setdefault(name, series.lost)
        shape = gwf.Shape(series.data.dtype, len(series.data), series.dt, series.offset)
        place = self._place(span[0], shape, goal)
        flaws = series.said | (gwf.Flaw(0) if place is None or _fills(shape, span[1]) else gwf.Flaw.GAP)
        if flaws:
            tell(flaws)
        if place is None:
            tell(gwf.Flaw.UNUSABLE)
            account.problems.setdefault(name, _no_rate(series.dt))
        elif place[2]:
            self._store(series, *place, member, goal)
        return True

    def _store(self, series, where, dtype, pieces, member, goal):
        rows, row = self.rows.find(member, where, dtype)
        if rows is None:
            return
        rows.touched[row] = True
        column, unit = self.column[member], self.account.number_of(series.unit)
        if not self.unit_of[column]:
            self.unit_of[column] = unit
        if self.unit_of[column] != unit:
            self.odd_units[goal.at, member] = unit
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
        columns, units = where
        for pair in self.pair_rows.get(goal.at, ()):
            _, increment = self.account.pairs[pair]
            a = grid.first_at(increment * self.plan.increment, rows.grid) - k
            b = grid.first_at((increment + 1) * self.plan.increment, rows.grid) - k
            given = free[:, max(0, a) : max(0, b)].any(axis=1)
            self.account.gave[pair, columns[given]] = units[given]

    # --- why samples are missing -----------------------------------------------------------

    def _tell(self, at, begin, duration, columns, flaws):
        """Note gwf.Flaws of channels in a frame of a file, in the increments that the frame reaches into."""
        width = self.plan.increment
        rows = [
            row
            for row in self.pair_rows.get(at, ())
            if begin < (self.account.pairs[row][1] + 1) * width
            and begin + duration > self.account.pairs[row][1] * width
        ]
        self.account.tell(rows, columns, flaws)

    def _tell_gaps(self, goal, spans, columns):
        """Note where the frames of a file leave some of what it is listed with open; spans: (begin, end) of each."""
        reach = goal.begin
        for begin, end in [*sorted(spans), (goal.end, goal.end)]:
            if begin > reach + _CLOSE and reach < goal.end:
                self._tell(goal.at, reach, min(begin, goal.end) - reach, columns, gwf.Flaw.GAP)
            reach = max(reach, end)

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
            units = self.unit_of[columns]
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


def _fills(shape, duration):
    """Whether samples reach from the begin of their frame to its end."""
    behind = shape.offset + shape.samples * shape.dt
    return shape.offset < shape.dt and behind > duration - shape.dt + _CLOSE


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
