"""An earlier day file, for what still holds of it: a day is rebuilt as far as its inputs changed, and no further."""

from collections.abc import Iterable, Iterator

import h5py
import numpy as np

from ..errors import BadInput
from ..gps import Window
from . import layout
from .account import Account
from .dayfile import DayFile, open_day


class Earlier:
    """An open day file, asked what of it still holds."""

    def __init__(self, day: DayFile):
        self.day, self.path, self.digest = day, day.path, day.digest
        made = day.provenance
        # A frame that could not be had then counts as one that has changed: it is read again.
        self.frames = [f._replace(mtime=-1) if f.path in made.account.transient else f for f in made.frames]
        # A channel seen on several grids is read whole again: which grid has most of the day may change.
        self._read = set(made.channels) - set(made.rates_dropped)

    def __contains__(self, name: str) -> bool:
        """Whether the file was made with the channel in its list, found or not, and what it has of it holds."""
        return name in self._read

    def fits(self, window: Window, increment: int, compression: str) -> bool:
        """Whether chunks of this file can be chunks of a day with these settings."""
        made = self.day.provenance
        return (made.window, made.increment, made.compression) == (window, increment, compression)

    def dataset(self, name: str) -> h5py.Dataset | None:
        return self.day.dataset(name)

    def grid_of(self, name: str) -> tuple:
        """(grid.Grid, numpy dtype) of a channel, or (None, None) if it had no sample."""
        return self.day.grid_of(name)

    def statistics(self, name: str) -> np.ndarray:
        return self.day.statistics(name)

    def chunks(self, name: str, units: set[int], unit: int) -> Iterator[tuple[int, bytes, int]]:
        """The stored chunks of some units of a channel, as of DayFile.chunks; unit: samples a unit."""
        return self.day.chunks(name, lambda first: first // unit in units)

    def account(self, frames: list, pairs: Iterable, names: list[str], dirty: set[int]) -> Account:
        """What the file tells of channels, for increments and files that are not read anew.

        frames: those of the new day, whose numbers the account has.  pairs: those of the new day's account.  names:
        of the channels, in the order of the account's columns.  dirty: increments that are read anew.
        """
        made, now = self.day.provenance, {frame: at for at, frame in enumerate(frames)}
        wanted, kept = set(pairs), []
        for row, (at, increment) in enumerate(made.account.pairs):
            new = now.get(self.frames[at])
            if new is not None and increment not in dirty and (new, increment) in wanted:
                kept.append(((new, increment), row))
        account = Account([pair for pair, _ in kept], len(names))
        account.units = dict(made.account.units)
        column = {name: at for at, name in enumerate(made.channels)}
        if kept and names:
            account.gave = made.account.gave[np.ix_([row for _, row in kept], [column[name] for name in names])]
        # What was wrong holds where it is about files and channels that are still the same.
        here, before = ({frame.path: frame for frame in each} for each in (frames, self.frames))
        mine = set(names)
        for (path, name), reason in made.account.bad.items():
            if here.get(path) == before.get(path) and (not name or name in mine):
                account.bad[path, name] = reason
        account.unverified = {path for path in made.account.unverified & here.keys() if here[path] == before.get(path)}
        account.problems = {name: why for name, why in made.account.problems.items() if name in mine}
        account.seen = mine & made.account.seen
        return account


def find(path: str) -> Earlier | None:
    """What still holds of a day file; None if there is none, or none that a day can be built on."""
    try:
        day = open_day(path)
    except BadInput:
        return None
    if day.provenance.layout != layout.LAYOUT:
        day.close()
        return None
    return Earlier(day)
