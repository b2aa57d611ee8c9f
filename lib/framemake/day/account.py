"""What was found while frames were read: which file gave which channel samples, in what unit, what was wrong.

The reading of a block fills an Account, the merge joins those of all blocks and of an earlier day file, and the day
file keeps the whole: summary, coverage and every question why a sample is not there are answered from it.
"""

import json
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np


class Account:
    """What was found of some channels, in some frame files, over some increments.

    pairs: [(index of a frame, increment)], the rows of `gave`.
    gave: uint16 (pairs, channels): 0 where a file gave a channel no sample in an increment, else the number of the unit
    in which it did; the order of the channels is its owner's.
    why: uint8 (pairs, channels), why samples of a channel in an increment are missing though the file is there: the
    gwf.Flaws of the frames that it has there.  None where there is nothing to tell.
    units: {unit: its number, from 1}, in the order of the numbers.
    bad: {(path, channel, or '' for the whole file): why it cannot be read}.
    transient: paths of files that the system did not give, which may be there another time as they are.
    unverified: paths of files without checksums, in which damage cannot be seen.
    problems: {channel: why samples of it cannot be used}.
    seen: the channels that were in any file.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]], width: int):
        self.pairs = list(pairs)
        self.gave = np.zeros((len(self.pairs), width), dtype=np.uint16)
        self.why: np.ndarray | None = None
        self.units: dict[str, int] = {}
        self.bad: dict[tuple[str, str], str] = {}
        self.transient: set[str] = set()
        self.unverified: set[str] = set()
        self.problems: dict[str, str] = {}
        self.seen: set[str] = set()
        self._row_of = {pair: row for row, pair in enumerate(self.pairs)}

    def __contains__(self, pair: tuple[int, int]) -> bool:
        return pair in self._row_of

    def number_of(self, unit: str) -> int:
        """The number of a unit, which gets one if it has none."""
        return self.units.setdefault(unit, len(self.units) + 1)

    def row_of(self, pair: tuple[int, int]) -> int:
        """The row of `gave` of a pair; KeyError if there is none."""
        return self._row_of[pair]

    def tell(self, rows: Iterable[int], columns: Any, flaws: Any) -> None:
        """Note gwf.Flaws of channels, columns of `why`, in pairs, rows of it: one for all, or one a column."""
        why, flaws = self._noted(), np.asarray(flaws, dtype=np.uint8)
        for row in rows:
            why[row, columns] |= flaws

    def _noted(self):
        if self.why is None:
            self.why = np.zeros(self.gave.shape, dtype=np.uint8)
        return self.why

    def rows_by_frame(self) -> dict[int, list[int]]:
        """The rows of `gave` by the index of their frame."""
        rows: dict[int, list[int]] = {}
        for row, (at, _) in enumerate(self.pairs):
            rows.setdefault(at, []).append(row)
        return rows

    def join(self, other: "Account", columns: Iterable[int]) -> None:
        """Take in what another account found; columns: where its channels stand in this one."""
        number = np.array([0, *map(self.number_of, other.units)], dtype=np.uint16)
        rows, columns = [self._row_of[pair] for pair in other.pairs], list(columns)
        if rows and columns:
            at = np.ix_(rows, columns)
            self.gave[at] = np.maximum(self.gave[at], number[other.gave])
            if other.why is not None:
                self._noted()[at] |= other.why
        self.bad.update(other.bad)
        self.transient |= other.transient
        self.unverified |= other.unverified
        self.problems.update(other.problems)
        self.seen |= other.seen

    def units_of(self, column: int) -> dict[str, int]:
        """{unit: in how many pairs a file gave the channel samples in it} of a column."""
        counts = np.bincount(self.gave[:, column], minlength=1)
        return {unit: int(counts[n]) for unit, n in self.units.items() if n < len(counts) and counts[n]}

    def of_frames(self, frames: list[int]) -> "Account":
        """The same of some frames only; frames: their numbers, which are counted anew in this order."""
        number = {at: new for new, at in enumerate(frames)}
        rows = [row for row, (at, _) in enumerate(self.pairs) if at in number]
        pairs = [(number[self.pairs[row][0]], self.pairs[row][1]) for row in rows]
        return self._with(pairs, self.gave[rows], self.units, None if self.why is None else self.why[rows])

    def _with(self, pairs, gave, units, why):
        """The same notes with other numbers."""
        same = Account(pairs, 0)
        for name, value in vars(self).items():
            if name not in ("pairs", "gave", "why", "units", "_row_of"):
                setattr(same, name, value)
        same.gave, same.why, same.units = gave, why, units
        return same

    def unreadable(self) -> dict[str, str]:
        """{path: why} of the files of which nothing can be read."""
        return {path: reason for (path, channel), reason in self.bad.items() if not channel}

    # --- in a file ---------------------------------------------------------------------------

    def facts(self, order: Iterable[str]) -> dict:
        """All but the arrays, as JSON has it; order: all channels, in the order in which they are told."""
        order = list(order)
        return {
            "seen": [name for name in order if name in self.seen],
            "units": list(self.units),
            "bad": [[path, channel, reason] for (path, channel), reason in sorted(self.bad.items())],
            "transient": sorted(self.transient),
            "unverified": sorted(self.unverified),
            "problems": {name: self.problems[name] for name in order if name in self.problems},
        }

    def by_unit_name(self) -> "Account":
        """The same, its units numbered by name, so that nothing tells in what order it was joined."""
        units = sorted(self.units)
        number = np.zeros(len(units) + 1, dtype=np.uint16)
        for at, unit in enumerate(units, 1):
            number[self.units[unit]] = at
        return self._with(self.pairs, number[self.gave], {unit: at for at, unit in enumerate(units, 1)}, self.why)

    def save(self, group: h5py.Group, order: Iterable[str]) -> None:
        """Write the whole account to a group: its arrays, and `facts` as its attribute `notes`."""
        self.save_arrays(group)
        group.attrs["notes"] = json.dumps(self.facts(order))

    def save_arrays(self, group: h5py.Group, **packed: Any) -> None:
        """Write `pairs`, int32 (pairs, 2), `gave` and, if it tells anything, `why`; packed: how h5py compresses."""
        group["pairs"] = np.array(self.pairs, dtype=np.int32).reshape(-1, 2)
        packed = packed if self.gave.size else {}
        group.create_dataset("gave", data=self.gave, **packed)
        if self.why is not None and self.why.any():
            group.create_dataset("why", data=self.why, **packed)

    @classmethod
    def load(cls, group: h5py.Group, facts: dict | None = None) -> "Account":
        """The account that a group holds; facts: as of `facts`, if the group's attribute does not have them.

        Raises KeyError or ValueError if it holds none.
        """
        if facts is None:
            facts = json.loads(group.attrs["notes"])
        gave = group["gave"][()]
        account = cls(map(tuple, group["pairs"][()].tolist()), 0)
        account.gave = gave
        if "why" in group:
            account.why = group["why"][()]
        account.units = {unit: at for at, unit in enumerate(facts["units"], 1)}
        account.bad = {(path, channel): reason for path, channel, reason in facts["bad"]}
        # Days of before there was such a list, and those of streams, have none.
        account.transient = set(facts.get("transient", ()))
        account.unverified = set(facts.get("unverified", ()))
        account.problems, account.seen = dict(facts["problems"]), set(facts["seen"])
        return account
