"""Samples of a block while it is read: 2-D arrays, a row a channel, NaN where nothing is yet."""

import numpy as np

from .. import grid
from ..gps import Window
from .plan import BUDGET, Block, Plan

# Bytes of samples at once where channels turn out larger than the plan could know.
_MOST = 2 * BUDGET


# Memory of blocks that came before, for those that come: new memory the system clears first.
_FREE: list[np.ndarray] = []


def _taken(size):
    """uint8 of at least so many bytes, which nobody else has."""
    fit = [at for at, each in enumerate(_FREE) if len(each) >= size]
    if fit:
        return _FREE.pop(min(fit, key=lambda at: len(_FREE[at])))
    _FREE.clear()
    return np.empty(size, np.uint8)


def forget() -> None:
    """Let go of the memory that is kept for rows that are still to come."""
    _FREE.clear()


class Rows:
    """Samples of channels of one grid and dtype, as many in each row.

    members: positions of the channels in the plan.  data: (members, samples).  first: number of the first sample in the
    day.  grid: None until a frame tells the phase.  touched: rows that a frame gave anything.  good: bool of data's
    shape once coverage was looked at, None if all samples are there.
    """

    def __init__(self, members: list, rate: float, dtype: np.dtype | str, first: int, count: int):
        self.members = list(members)
        self.rate, self.dtype, self.first = rate, np.dtype(dtype), first
        self.grid: grid.Grid | None = None
        self.good: np.ndarray | None = None
        size = len(self.members) * count * self.dtype.itemsize
        self._room = _taken(size)
        self.data = self._room[:size].view(self.dtype).reshape(len(self.members), count)
        self.data.fill(np.nan)
        self.touched = np.zeros(len(self.members), dtype=bool)
        self.row_of = {member: row for row, member in enumerate(self.members)}
        self._order = np.argsort(self.members, kind="stable")
        self._sorted = np.array(self.members, dtype=np.int64)[self._order]

    def give_back(self) -> None:
        """Leave the memory of the samples, which nothing may look at any more, to rows that are still to come."""
        _FREE.append(self._room)
        del self.data, self._room

    def rows_of(self, members: np.ndarray) -> np.ndarray:
        """The row of each of some channels, positions in the plan; -1 where it has none."""
        at = np.minimum(np.searchsorted(self._sorted, members), len(self._sorted) - 1)
        return np.where(self._sorted[at] == members, self._order[at], -1)


class BlockRows:
    """All Rows of a block, found by channel, grid and dtype, within a limit of memory.

    Where channels turn out larger than the plan could know, some are left to another pass over the frames.
    """

    def __init__(self, plan: Plan, block: Block):
        self._plan, self._begin, self._stop = plan, block.start, block.end
        self.wanted: list[int] = list(block.channels)
        self.deferred: set[int] = set()
        self.groups: list[Rows] = []
        # Most vectors go where the last one went.
        self._last: tuple = (None, None)
        self._first_pass = True

    @property
    def window(self) -> Window:
        return self._plan.window

    def expect(self) -> None:
        """Make rows for what the plan expects, all of one rate and dtype in one array; in the first pass only."""
        expected: dict[tuple, list] = {}
        for member in self.wanted if self._first_pass else ():
            channel = self._plan.channels[member]
            if channel.rate:
                expected.setdefault((channel.rate, channel.dtype or "float32"), []).append(member)
        for (rate, dtype), members in expected.items():
            # Units begin on whole samples, so a phase, known once a frame is read, changes no bounds.
            self.groups.append(self._new(members, rate, dtype, 0.0))

    def _new(self, members, rate, dtype, phase):
        total = grid.length(self.window.duration, rate)
        first = min(total, grid.first_at(self._begin, grid.Grid(rate, phase)))
        end = min(total, grid.first_at(self._stop, grid.Grid(rate, phase)))
        return Rows(members, rate, dtype, first, end - first)

    def find(self, member: int, where: grid.Grid, dtype: np.dtype) -> tuple:
        """(Rows, row) for samples of a channel on a grid with a dtype, made if need be; (None, 0) if it is left."""
        known, rows = self._last
        if known == (where, dtype) and member in rows.row_of:
            return rows, rows.row_of[member]
        for rows in self.groups:
            row = rows.row_of.get(member)
            if row is None or rows.rate != where.rate or rows.dtype != dtype:
                continue
            if rows.grid is None:
                rows.grid = where
            if rows.grid.key == where.key:
                self._last = (where, dtype), rows
                return rows, row
        rows = self._new([member], where.rate, dtype, where.phase)
        # A channel alone is never left: each pass brings at least one to its end.
        others = any(group.members != [member] for group in self.groups)
        if others and sum(group.data.nbytes for group in self.groups) + rows.data.nbytes > _MOST:
            self._defer(member)
            return None, 0
        rows.grid = where
        self.groups.append(rows)
        return rows, 0

    def find_all(self, members: np.ndarray, where: grid.Grid, dtype: np.dtype) -> list:
        """[(Rows, which of the members, their rows)], as of `find`; a member that is left is in none."""
        found, left = [], np.ones(len(members), dtype=bool)
        for rows in self.groups:
            if rows.rate != where.rate or rows.dtype != dtype or (rows.grid and rows.grid.key != where.key):
                continue
            numbers = rows.rows_of(members)
            mine = left & (numbers >= 0)
            if mine.any():
                rows.grid = rows.grid or where
                left &= ~mine
                found.append((rows, np.flatnonzero(mine), numbers[mine]))
        for at in np.flatnonzero(left).tolist():
            rows, row = self.find(int(members[at]), where, dtype)
            if rows is not None:
                found.append((rows, np.array([at]), np.array([row])))
        return found

    def _defer(self, member):
        """Leave a channel to another pass over the frames: what is held already fills the memory."""
        self.deferred.add(member)
        self.groups, self._last = [rows for rows in self.groups if rows.members != [member]], (None, None)
        for rows in self.groups:
            if member in rows.row_of:
                rows.data[rows.row_of[member]] = np.nan
                rows.touched[rows.row_of[member]] = False

    def next_pass(self) -> bool:
        """Make ready for the channels that were left; False when none were."""
        for rows in self.groups:
            rows.give_back()
        self.wanted, self.deferred, self._first_pass = sorted(self.deferred), set(), False
        self.groups, self._last = [], (None, None)
        return bool(self.wanted)
