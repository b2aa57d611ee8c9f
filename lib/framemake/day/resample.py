"""A day at a lower sample rate, by means: made from its day file, as a day file like any other.

A sample of the new day is a bin: bin n of a rate r begins n/r seconds after 00:00 UTC, and holds the samples whose time
lies in [n/r, (n+1)/r).  Its value is the mean of its good samples, summed in float64 and kept in the channel's own
dtype, if at least the part `least` of the samples that the bin can hold is good; else it is NaN.  The bins of a day are
those that begin in its window.  A channel whose rate is not above r is taken over as it is.  Where the samples came
from, and what was wrong with them, is told as the day file tells it that the new one is made from.
"""

import functools
import math
import os
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .. import gps, grid
from ..errors import BadInput, WouldLose
from ..frames import catalog
from ..version import version
from . import dayfile, derived, earlier, layout
from .account import Account
from .dayfile import DayFile
from .provenance import Provenance

# Samples of a channel that are held at once.
_AT_ONCE = 1 << 22
# Samples whose times differ by less than this part of a sample are at one time, as everywhere.
_SAME = 1e-3


class Lower(NamedTuple):
    """What days are resampled to: rate in Hz, and the part of a bin's samples, 0 to 1, that must be good.

    Both are as they were given, so that the same words give the same day.
    """

    rate: str
    least: str = "0.5"

    def checked(self) -> "Lower":
        """The same; BadInput if one of them is none."""
        _ = self.hertz, self.part
        return self

    @property
    def hertz(self) -> Fraction:
        """The rate; BadInput if it is none, or a day does not hold a whole number of samples of it."""
        try:
            rate = Fraction(self.rate)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if rate <= 0:
            raise BadInput(f"no such rate, want Hz as 0.1 or 1/60: {self.rate!r}")
        if (86400 * rate).denominator != 1:
            raise BadInput(f"a day of 86400 s holds no whole number of samples at this rate: {self.rate!r}")
        return rate

    @property
    def part(self) -> float:
        """The part of a bin that must be good; BadInput if it is none."""
        try:
            part = float(Fraction(self.least))
        except (ValueError, ZeroDivisionError):
            part = -1
        if not 0 < part <= 1:
            raise BadInput(f"no such part of a bin, want above 0 and up to 1: {self.least!r}")
        return part


class Bins(NamedTuple):
    """The bins of a window: their grid, and how many there are."""

    where: grid.Grid
    total: int

    @classmethod
    def of(cls, window: gps.Window, rate: Fraction) -> "Bins":
        """Bins are counted from 00:00 UTC, so that days of any window, and spans of one, are on one grid."""
        begun = window.start - gps.day_window(gps.day_of(window.start)).start
        late = Fraction(math.ceil(begun * rate), 1) - begun * rate  # in bins
        return cls(grid.Grid(float(rate), float(late)), grid.length(window.duration, float(rate)))

    def edges(self, where: grid.Grid) -> np.ndarray:
        """The number, on the grid of a channel, of the first sample of each bin, and of the one after the last."""
        seconds = (np.arange(self.total + 1) + self.where.phase) / self.where.rate
        return np.ceil(seconds * where.rate - where.phase - _SAME).astype(np.int64)


def means(read: Callable[[int, int], np.ndarray], total: int, edges: np.ndarray, least: float) -> np.ndarray:
    """The mean of each bin: float64 (bins,), NaN where too few of its samples are good.

    read: samples [first, stop) of a channel, 1-D.  total: how many it has; what a bin holds beyond them is not good.
    edges: as of Bins.edges.  least: the part of a bin's samples that must be good.
    """
    held = np.clip(edges, 0, total)
    sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1, dtype=np.int64)
    count = int(np.searchsorted(held[:-1], total))  # the bins after these hold nothing
    at = 0
    while at < count:
        # As many bins as fit into memory, or one in several pieces.
        stop = max(at + 1, min(count, int(np.searchsorted(held, held[at] + _AT_ONCE, "right")) - 1))
        for first in range(held[at], held[stop], _AT_ONCE):
            values = read(first, min(first + _AT_ONCE, int(held[stop]))).astype(np.float64)
            good = ~np.isnan(values)
            begins = held[at:stop] - held[at] if first == held[at] else np.zeros(1, dtype=np.int64)
            if good.all():
                counts[at:stop] += np.diff(begins, append=len(values))
            else:
                counts[at:stop] += np.add.reduceat(good, begins, dtype=np.int64)
                values[~good] = 0
            with np.errstate(over="ignore", invalid="ignore"):
                sums[at:stop] += np.add.reduceat(values, begins)
        at = stop
    enough = counts >= np.maximum(1, np.ceil(least * np.diff(edges) - 1e-9))
    result = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=result, where=enough)
    return result


def refusal(made: Provenance, to: Lower, compression: str) -> str:
    """Why a day that is there would lose something if it was resampled anew; '' if it was made in the same way."""
    if made.source is None:
        return "it was not made by resampling"
    for name, was, now in (
        ("RATE", made.source["rate"], to.rate),
        ("LEAST", made.source["least"], to.least),
        ("COMPRESSION", made.compression, compression),
    ):
        if was != now:
            return f"it was made with {name}={was}"
    return ""


def is_made_from(path: str, source: str, to: Lower, compression: str) -> bool:
    """Whether a day file is there that was made from the day file `source` as it is now, and in this way."""
    old = dayfile.find(path)
    if old is None:
        return False
    with old:
        made = old.provenance
    there = os.stat(source)
    held = (made.source or {}).get("size"), (made.source or {}).get("mtime")
    return held == (there.st_size, there.st_mtime_ns) and not refusal(made, to, compression)


def write(source: str, out: str, to: Lower, compression: str = "lzf", shrink: bool = False) -> list[str]:
    """Write the day file `out` from the day file `source`; returns what people should know of it, a line each.

    compression: lzf, gzip or none.  shrink: whether a day file that is there may be replaced by one that has less, or
    was made in another way: else that raises WouldLose, and nothing is changed.  BadInput if the source cannot be read.
    """
    rate, least = to.hertz, to.part
    old = dayfile.find(out)
    if old is not None and not shrink and (why := refusal(old.provenance, to, compression)):
        old.close()
        raise WouldLose(f"stays as it is, {why}, SHRINK=yes (--shrink) makes it anyway: {out!r}")
    with dayfile.open_day(source) as day:
        made, bins = day.provenance, Bins.of(day.window, rate)
        slow, empty = [], {}
        with derived.writing(out, day.window, made.increment, compression) as writer:
            for name, dataset in day.datasets.items():
                where, dtype = day.grid_of(name)
                if where is None:
                    raise BadInput(f"the samples of {name!r} cannot be read: {source!r}")
                samples = functools.partial(day.samples, name)
                if dataset.rate <= rate * (1 + 1e-9):
                    slow.append(name)
                    writer.add(name, dtype.name, where, dataset.unit, samples)
                    continue
                values = means(samples, dataset.total, bins.edges(where), least)
                if not writer.add(name, dtype.name, bins.where, dataset.unit, functools.partial(_piece, values)):
                    empty[name] = f"too few good samples in each {1 / rate} s"
            told = _told(day, writer.datasets, empty)
            provenance = made._replace(
                version=version(),
                compression=compression,
                datasets=writer.datasets,
                layout=layout.RESAMPLED,
                source=_source(day, to),
                **told,
            )
            writer.finish(provenance)
            if old is not None:
                with old:
                    if not shrink:
                        earlier.refuse_loss(old, provenance, lambda name, a, b: writer.group[name][a:b])
    messages = [f"{why}: {name!r}" for name, why in empty.items()]
    if slow:
        more = f" and {len(slow) - 1} more channels have" if len(slow) > 1 else " has"
        messages.append(f"{slow[0]!r}{more} no higher rate than {to.rate} Hz, taken over as they are")
    return messages


def _piece(values, first, stop):
    return values[first:stop]


def _source(day: DayFile, to: Lower) -> dict:
    """The day file that a day is made from, as it was when it was opened, and how."""
    seen = os.fstat(day.file.id.get_vfd_handle())
    return {
        "path": os.path.abspath(day.path),
        "size": seen.st_size,
        "mtime": seen.st_mtime_ns,
        "version": day.provenance.version,
        **to._asdict(),
    }


def _told(day: DayFile, datasets: dict, empty: dict[str, str]) -> dict:
    """The frames and the account of a day; of one that has none, as of the earlier converter, its file is the frame."""
    made = day.provenance
    if made.frames:
        made.account.problems.update(empty)
        return {"account": made.account}
    window = day.window
    account = Account([(0, at) for at in range(math.ceil(window.duration / made.increment))], len(made.channels))
    for column, name in enumerate(made.channels):
        if name in datasets:
            account.gave[:, column] = account.number_of(datasets[name].unit)
    account.seen, account.problems = set(made.channels), dict(empty)
    return {"account": account, "frames": [catalog.Frame(os.path.abspath(day.path), window.start, window.duration)]}
