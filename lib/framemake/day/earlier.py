"""An earlier day file, for what still holds of it: a day is rebuilt as far as its inputs changed, and no further."""

import math
import os
from collections.abc import Callable, Container, Iterable, Iterator

import numpy as np

from .. import files, grid, gwf
from ..errors import BadInput, WouldLose
from ..frames import catalog
from ..gps import Window
from . import dayfile, layout, statistics
from .account import Account
from .dayfile import DayFile
from .provenance import Provenance

# Samples of a channel that are looked at in one go.
_AT_ONCE = 1 << 22
# A file of which one byte in so many holds nothing is not gone on with.
_UNUSED = 10


class Earlier:
    """An open day file, asked what of it still holds."""

    def __init__(self, day: DayFile):
        self.day, self.path, self.digest = day, day.path, day.digest
        made = day.provenance
        # A frame that could not be had then counts as one that has changed: it is read again.
        self.frames = [f._replace(mtime=-1) if f.path in made.account.transient else f for f in made.frames]
        # A channel seen on several grids is read whole again: which grid has most of the day may change.
        self._read = set(made.channels) - set(made.rates_dropped)
        self._place: tuple | None = None

    def close(self) -> None:
        """Close the file.  One that has been replaced the system removes then; other threads run meanwhile."""
        # HDF5 lets none run.
        handle = os.dup(self.day.file.id.get_vfd_handle())
        self.day.close()
        os.close(handle)

    def gave(self) -> list:
        """The frames that gave the day samples of any channel."""
        account = self.day.provenance.account
        rows = np.flatnonzero(account.gave.any(axis=1)).tolist() if account.gave.size else []
        return [self.day.provenance.frames[at] for at in sorted({account.pairs[row][0] for row in rows})]

    def unit_given(self, frame: catalog.Frame, increment: int, name: str) -> str | None:
        """The unit in which a frame gave a channel samples in an increment; None if it gave none."""
        account = self.day.provenance.account
        found = self._at(frame, increment, name)
        if found is None:
            return None
        units = {number: unit for unit, number in account.units.items()}
        return units.get(int(account.gave[found]))

    def why_not(self, frame: catalog.Frame, increment: int, name: str) -> int:
        """The gwf.Flaws that were noted of a channel in a frame, in an increment."""
        why, found = self.day.provenance.account.why, self._at(frame, increment, name)
        return 0 if why is None or found is None else int(why[found])

    def untold(self) -> set:
        """The frames of which samples are kept, and of which the day has nothing to tell of some channel.

        The channel was wanted when the file was gone: in the file, once it is back, it is looked for.
        """
        made, rows = self.day.provenance, self.day.provenance.account.rows_by_frame()
        found = set()
        for at, frame in enumerate(made.frames):
            if frame.status == catalog.KEPT:
                told = made.account.gave[rows.get(at, [])] != 0
                if made.account.why is not None:
                    told |= made.account.why[rows.get(at, [])] != 0
                if not told.all():
                    found.add(frame)
        return found

    def _at(self, frame, increment, name):
        """Where the account tells of a channel in a frame, in an increment; None if it does not."""
        made = self.day.provenance
        if self._place is None:
            frames = {catalog.identity(each): at for at, each in enumerate(made.frames)}
            columns = {each: at for at, each in enumerate(made.channels)}
            self._place = frames, columns
        frames, columns = self._place
        pair = frames.get(catalog.identity(frame)), increment
        if pair not in made.account or name not in columns:
            return None
        return made.account.row_of(pair), columns[name]

    def __contains__(self, name: object) -> bool:
        """Whether the file was made with the channel in its list, found or not, and what it has of it holds."""
        return name in self._read

    def fits(self, window: Window, increment: int, compression: str) -> bool:
        """Whether chunks of this file can be chunks of a day with these settings."""
        made = self.day.provenance
        return (made.window, made.increment, made.compression) == (window, increment, compression)

    def grid_of(self, name: str) -> tuple:
        """(grid.Grid, numpy dtype) of a channel, or (None, None) if it had no sample."""
        dataset = self.day.datasets.get(name)
        if dataset is None:
            return None, None
        _, phase = grid.place(dataset.t0 - self.day.window.start, dataset.rate)
        return grid.Grid(dataset.rate, phase), np.dtype(dataset.dtype)

    def copy_to(self, path: str, copied: str = "") -> bool:
        """Copy the file, to go on with the copy; whether it did.

        copied: the path of a copy that may be there, or still be made, by another process, and is moved instead.

        Not where too much of the file holds nothing, nor where an older version made it, whose datasets tell less.
        """
        handle = self.day.file.id.get_vfd_handle()
        size = os.fstat(handle).st_size
        if self.day.unused * _UNUSED > size or not self._tells_all():
            return False
        if copied and files.take(copied, handle, path):
            return True
        with files.opened(path, "wb") as out:
            files.copy_head(handle, out.fileno(), size)
        return True

    def _tells_all(self):
        """Whether the datasets have all attributes that they are given now; one is asked for all."""
        with dayfile.naming(self.path):
            some = next(iter(self.day.file[layout.CHANNELS].values()), None)
            return some is None or set(layout.ATTRIBUTES) <= set(some.attrs)

    def statistics(self, name: str) -> np.ndarray:
        """As of DayFile.statistics; digests that an older file does not have are taken from the samples."""
        found = self.day.statistics(name)
        if np.isnan(found[:, statistics.WORDS]).any():
            unit = self.day.provenance.unit_of(name)
            found[:] = statistics.with_digest(found, unit, self.day.dataset(name))
        return found

    def chunks(self, name: str, units: set[int], unit: int) -> Iterator[tuple[int, bytes, int]]:
        """The stored chunks of some units of a channel, as of DayFile.chunks; unit: samples a unit."""
        return self.day.chunks(name, lambda first: first // unit in units)

    def account(self, frames: list, pairs: Iterable, names: list[str], dirty: set[int]) -> Account:
        """What the file tells of channels, for increments and files that are not read anew.

        frames: those of the new day, whose numbers the account has.  pairs: those of the new day's account.  names:
        of the channels, in the order of the account's columns.  dirty: increments that are read anew.
        """
        made, now = self.day.provenance, {catalog.identity(frame): at for at, frame in enumerate(frames)}
        wanted, kept = set(pairs), []
        for row, (at, increment) in enumerate(made.account.pairs):
            new = now.get(catalog.identity(self.frames[at]))
            if new is not None and increment not in dirty and (new, increment) in wanted:
                kept.append(((new, increment), row))
        account = Account([pair for pair, _ in kept], len(names))
        account.units = dict(made.account.units)
        column = {name: at for at, name in enumerate(made.channels)}
        if kept and names:
            cut = np.ix_([row for _, row in kept], [column[name] for name in names])
            account.gave = made.account.gave[cut]
            account.why = None if made.account.why is None else made.account.why[cut]
        # What was wrong holds where it is about files and channels that are still the same.
        here, before = (_by_path(each) for each in (frames, self.frames))
        mine = set(names)
        for (path, name), reason in made.account.bad.items():
            if here.get(path) == before.get(path) and (not name or name in mine):
                account.bad[path, name] = reason
        account.unverified = {path for path in made.account.unverified & here.keys() if here[path] == before.get(path)}
        account.problems = {name: why for name, why in made.account.problems.items() if name in mine}
        account.seen = mine & made.account.seen
        # A file that is no longer used shows no channel; without notes that is known of those that had samples alone.
        had = account.gave != 0
        if account.why is not None:
            had |= (account.why != 0) & (account.why & gwf.Flaw.NOT_IN_FILE == 0)
        gone = ~had.any(axis=0)
        if made.account.why is None and names:
            gone &= (made.account.gave[:, [column[name] for name in names]] != 0).any(axis=0)
        account.seen -= {names[at] for at in np.flatnonzero(gone).tolist()}
        return account


def _by_path(frames):
    """Files by path as they are now: what is kept of one that was there before is not meant."""
    return {frame.path: frame for frame in frames if frame.status != catalog.KEPT}


def find(path: str) -> Earlier | None:
    """What still holds of a day file; None if there is none, or none that a day can be built on."""
    day = dayfile.find(path)
    if day is None:
        return None
    try:
        if day.provenance.layout == layout.LAYOUT and day.is_whole():
            return Earlier(day)
    except dayfile.NotGiven:
        raise
    except BadInput:
        pass  # damaged: nothing of it holds
    day.close()
    return None


def refuse_loss(
    old: DayFile,
    made: Provenance,
    samples: Callable[[str, int, int], np.ndarray],
    counts: Callable[[str], np.ndarray] | None = None,
    same: Container[str] = (),
    goes_on: bool = False,
) -> None:
    """Raise WouldLose if a finished day has a sample which the one that is to take its place has not.

    made, samples: the new day's provenance, and samples [first, stop) of a channel of it.  counts: how many samples
    each unit of a channel has in the new day; where they are enough to tell, its samples are not read.  same: channels
    that are in the new day as they were.  goes_on: whether the new day was built on the old one, so that it has no
    samples elsewhere in place of those that it has not.  What a frame that changed no longer gives is no loss.
    """
    changed = _changed(old.provenance.frames, made)
    lost = {}
    if (made.window, made.increment) != (old.window, old.provenance.increment):
        counts = None  # of other units
    for name, dataset in old.datasets.items():
        if name in same:
            continue
        now = made.datasets.get(name)
        # Frames that changed and give the channel.
        spans = [(frame.start, frame.end) for frame in changed if (frame.path, name) not in made.account.bad]
        offset = (dataset.t0 - now.t0) * now.rate if now else 0.0
        if now is None:
            seconds = float(old.statistics(name)[:, statistics.COUNT].sum()) / dataset.rate
        elif now.rate == dataset.rate and abs(offset - round(offset)) < 1e-3:
            after = counts(name) if counts and round(offset) == 0 else None
            seconds = _lost(old, name, round(offset), spans, samples, after, goes_on)
        else:
            # Another grid has most of the day: samples cannot be compared one by one.
            good = sum(int(np.count_nonzero(~np.isnan(piece))) for piece in _pieces(samples, name, now))
            seconds = float(old.statistics(name)[:, statistics.COUNT].sum()) / dataset.rate - good / now.rate
            seconds = 0.0 if spans else seconds
        if seconds > 1e-6:
            lost[name] = seconds
    if lost:
        worst = max(lost, key=lambda name: (lost[name], name))
        more = f" and samples of {len(lost) - 1} more channels" if len(lost) > 1 else ""
        raise WouldLose(
            f"would lose {lost[worst]:g} s of {worst!r}{more}, the day stays as it is, "
            f"SHRINK=yes (--shrink) makes it anyway: {old.path!r}"
        )


def _lost(old, name, offset, changed, samples, after, goes_on):
    """Seconds of samples of a channel that are in the old day, and not in the new one, whose grids agree.

    offset: number that the old day's first sample has in the new one.  after: counts of the new day's units, or None.
    """
    dataset = old.datasets[name]
    cut = grid.cut(dataset.rate, old.provenance.increment, old.window.duration)
    before = old.statistics(name)[:, statistics.COUNT]
    lost = 0
    fewer = before > 0
    if after is not None and len(after) == len(before):
        # Where all samples are there, none can be lost.
        fewer &= after < (before if goes_on else np.minimum(cut.unit, dataset.total - cut.unit * np.arange(len(after))))
    if fewer.any() and old.dataset(name) is None:
        return 0.0  # its samples lie in another file, which nothing is done to
    for unit in np.flatnonzero(fewer).tolist():
        first, stop = unit * cut.unit, min((unit + 1) * cut.unit, dataset.total)
        had = ~np.isnan(old.samples(name, first, stop))
        piece = samples(name, max(0, first + offset), max(0, stop + offset))
        has = np.zeros(len(had), dtype=bool)
        skipped = max(0, -(first + offset))
        has[skipped : skipped + len(piece)] = ~np.isnan(piece)
        gone = had & ~has
        for begin, end in changed:
            a, b = (math.ceil((time - dataset.t0) * dataset.rate - 1e-3) - first for time in (begin, end))
            gone[max(0, a) : max(0, b)] = False
        lost += int(np.count_nonzero(gone))
    return lost / dataset.rate


def _pieces(samples, name, dataset):
    return (samples(name, at, min(at + _AT_ONCE, dataset.total)) for at in range(0, dataset.total, _AT_ONCE))


def _changed(before, made):
    """The frame files that are used, are not what they were, and can be read."""
    was, bad = _by_path(before), made.account.unreadable()
    return [
        frame
        for frame in made.frames
        if frame.status == catalog.USED
        and frame.path in was
        and frame.path not in bad
        and catalog.identity(was[frame.path]) != frame
    ]
