"""What is noted of a block while it is read: in what unit which file gave a channel samples, why not, what was wrong.

The notes are an Account; here stands how they are taken, of many channels at once where they were read so.
"""

from collections.abc import Iterable

import numpy as np

from .. import grid, gwf
from ..frames import catalog
from . import coverage
from .account import Account
from .plan import Block, Plan
from .rows import Rows

# Times nearer than so many seconds are one.
_CLOSE = 1e-6


class Group:
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


class Notes:
    """The notes of a block.

    near: [(number of a frame, catalog.Frame)] of those that reach into runs, the spans [(begin, stop)] that are read,
    in s from the window's start.  account: the notes; its columns are the block's channels, and column tells by
    position in the plan which.  A span of a frame, as the methods take it, is (begin, duration), in s from the
    window's start.
    """

    def __init__(self, plan: Plan, block: Block, near: list, runs: list):
        self._plan, self._block = plan, block
        self.account = Account(coverage.pairs(plan.window, plan.increment, near, runs), len(block.channels))
        self.column = {member: at for at, member in enumerate(block.channels)}
        self._rows = self.account.rows_by_frame()
        # The unit of a channel, by column, 0 for none, and where a file (number of its frame) has another.
        self._unit_of = np.zeros(len(block.channels), dtype=np.uint16)
        self._odd_units: dict[tuple[int, int], int] = {}

    def increments(self, at: int) -> list[tuple[int, int]]:
        """[(row of the account, increment)] of a frame file, of those that are read."""
        return [(row, self.account.pairs[row][1]) for row in self._rows.get(at, ())]

    # --- of a file, or a channel in it --------------------------------------------------------

    def bad(self, frame: catalog.Frame, name: str, error: Exception) -> None:
        """Note that a file, or with a name a channel of it, cannot be read."""
        self.account.bad[frame.path, name] = str(error)
        # One that changes while it is read may be again what it was, size and time included: nothing else would tell.
        if isinstance(error, gwf.Unreadable) or catalog.has_changed(frame):
            self.account.transient.add(frame.path)

    def problem(self, name: str, problem: str) -> None:
        """Note why samples of a channel cannot be used; the first time counts."""
        self.account.problems.setdefault(name, problem)

    def see(self, group: Group, some: np.ndarray) -> None:
        """Note that some channels of a group, numbers or flags, are in a file."""
        new = np.zeros(len(group.seen), dtype=bool)
        new[some] = True
        new &= ~group.seen
        if new.any():
            group.seen |= new
            self.account.seen.update(group.wanted.names[each] for each in np.flatnonzero(new).tolist())

    # --- units ------------------------------------------------------------------------------

    def units(self, group: Group, some: np.ndarray, at: int) -> np.ndarray:
        """Note the units that some channels of a group, numbers, have in a file; returns their numbers."""
        texts, found = group.wanted.texts, group.wanted.channels["unit"][some]
        known = np.zeros(len(texts), dtype=np.uint16)
        for text in np.flatnonzero(np.bincount(found, minlength=len(texts))).tolist():
            known[text] = self.account.number_of(texts[text])
        units = known[found]
        self._note_units(group.columns[some], units, at)
        return units

    def unit(self, column: int, unit: str, at: int) -> int:
        """Note the unit that one channel has in a file; returns its number."""
        number = self.account.number_of(unit)
        self._note_units(np.array([column]), np.array([number], dtype=np.uint16), at)
        return number

    def _note_units(self, columns, units, at):
        before = self._unit_of[columns]
        self._unit_of[columns] = np.where(before, before, units)
        for each in np.flatnonzero((before != 0) & (before != units)).tolist():
            self._odd_units[at, int(columns[each])] = int(units[each])

    # --- what was given, and why not -----------------------------------------------------------

    def still_missing(self, row: int, member: int, why: int) -> None:
        """Note the gwf.Flaws that an earlier result had noted, for a row of the account."""
        if why:
            self.account.tell([row], self.column[member], why)

    def kept(self, row: int, member: int, unit: str) -> None:
        """Note that samples of an earlier result were kept, for a row of the account."""
        column, number = self.column[member], self.account.number_of(unit)
        self.account.gave[row, column] = number
        if not self._unit_of[column]:
            self._unit_of[column] = number
        self.account.seen.add(self._plan.channels[member].name)

    def given(self, at: int, rows: Rows, k: int, taken: np.ndarray, where: tuple) -> None:
        """Note which increments a file gave samples of.

        taken: bool (channels, samples), from sample k of the day on.  where: columns of the channels and numbers of
        their units.
        """
        columns, units = where
        assert rows.grid is not None
        for row, increment in self.increments(at):
            a, b = (grid.first_at(n * self._plan.increment, rows.grid) - k for n in (increment, increment + 1))
            some = taken[:, max(0, a) : max(0, b)].any(axis=1)
            self.account.gave[row, columns[some]] = units[some]

    def flaws(self, at: int, span: tuple[float, float], columns: np.ndarray | int, flaws: np.ndarray | int) -> None:
        """Note gwf.Flaws of channels in a frame of a file, in the increments that the frame reaches into."""
        (begin, duration), width = span, self._plan.increment
        rows = [
            row
            for row, increment in self.increments(at)
            if begin < (increment + 1) * width and begin + duration > increment * width
        ]
        self.account.tell(rows, columns, flaws)

    def unfilled(self, at: int, reach: tuple[float, float], spans: Iterable[tuple], columns: np.ndarray) -> None:
        """Note where frames leave open some of what their file is to give; reach: (begin, end) of that, as of spans."""
        done, last = reach
        for begin, end in [*sorted(spans), (last, last)]:
            if begin > done + _CLOSE and done < last:
                self.flaws(at, (done, min(begin, last) - done), columns, gwf.Flaw.GAP)
            done = max(done, end)

    def coverage(self, groups: list[Rows], crowded: set) -> None:
        """Note which file gave which channel samples in which increment, from the samples themselves.

        crowded: numbers of the frames of which that is noted as they are read.
        """
        start, width, gave = self._plan.window.start, self._plan.increment, self.account.gave
        for rows in groups:
            if rows.grid is None or not rows.touched.any():
                continue
            if not np.isnan(rows.data.min(axis=1, initial=np.inf)).any():
                good = None  # min hands on a NaN: none means that every sample is there
            else:
                good = rows.good = ~np.isnan(rows.data)
            columns = np.array([self.column[member] for member in rows.members])
            units = self._unit_of[columns]
            for row, (at, increment) in enumerate(self.account.pairs):
                if at in crowded or self._plan.frames[at].status != catalog.USED:
                    continue
                frame = self._plan.frames[at]
                begin = max(frame.start - start, increment * width, self._block.start)
                stop = min(frame.end - start, (increment + 1) * width, self._block.end)
                a, b = (grid.first_at(t, rows.grid) - rows.first for t in (begin, stop))
                a, b = max(0, a), max(0, min(b, rows.data.shape[1]))
                if a < b:
                    given = np.True_ if good is None else good[:, a:b].any(axis=1)
                    gave[row, columns] = np.maximum(gave[row, columns], np.where(given, units, 0))
        for (at, column), unit in self._odd_units.items():
            for row, _ in self.increments(at):
                if gave[row, column]:
                    gave[row, column] = unit


def fills(shape: gwf.Shape, duration: float) -> bool:
    """Whether samples reach from the begin of their frame to its end."""
    behind = shape.offset + shape.samples * shape.dt
    return shape.offset < shape.dt and behind > duration - shape.dt + _CLOSE
