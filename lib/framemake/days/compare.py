"""Two productions of days held against each other, channel by channel, sample by sample.

Samples are the same if they are the same number, or both missing.  With a tolerance they may differ by so much of the
greater of the two, for values that were calculated in another way, as those of streams are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .. import gps
from ..day.coverage import stretches
from ..errors import BadInput
from ..frames.catalog import number
from . import bins
from . import series as series_of
from .opened import Held, OpenDays, identity_of

# Samples of each side in memory at once.
_AT_ONCE = 1 << 21
# Stretches of a channel and day that are told one by one: two that have little in common differ all over.
_MOST = 20


class Difference(NamedTuple):
    """What is not the same: the channel ('' for a whole day), the day, GPS start and end (0 if not in time), what."""

    channel: str
    date: str
    start: float
    end: float
    what: str


class _How(NamedTuple):
    """How samples are compared: tolerance, and the spans of those that are, None for all."""

    tolerance: float
    keep: Sequence[tuple[float, float]] | None


def differences(
    a: OpenDays,
    b: OpenDays,
    first: str | None = None,
    last: str | None = None,
    names: Mapping[str, str] | None = None,
    tolerance: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    keep: Sequence[tuple[float, float]] | None = None,
) -> Iterator[Difference]:
    """Each Difference of the days of a and b from first to last 'YYYY-MM-DD', both included, in order of time.

    names: {channel of a: that of b}, if only these are compared; else those of one name are, and channels that one side
    alone has are told.  tolerance: relative.  progress: called with how many of all days were compared.  keep:
    spans in GPS seconds, in order, if only samples in them are compared.  Raises BadInput if a day file cannot be read,
    or neither has a day in the range.
    """
    gps.check_days(first, last)
    mine, others = ({d: f for d, f in days.folders().items() if identity_of(f.h5)} for days in (a, b))
    dates = [d for d in sorted({*mine, *others}) if (not first or d >= first) and (not last or d <= last)]
    if not dates:
        raise BadInput(f"no day to compare from {first or 'the first'} to {last or 'the last'}: {a.out!r}, {b.out!r}")
    for done, date in enumerate(dates):
        progress(done, len(dates))
        if date not in mine or date not in others:
            yield Difference("", date, 0, 0, f"only in {(a if date in mine else b).out}")
            continue
        yield from _of_day(a, b, date, mine[date], others[date], names, _How(tolerance, keep))
    progress(len(dates), len(dates))


def _of_day(a, b, date, mine, other, names, how):
    here, there = (_names(days, folder) for days, folder in ((a, mine), (b, other)))
    pairs = dict(names) if names is not None else {name: name for name in here}
    for name, its in pairs.items():
        if name in here and its in there:
            held, its_held = a.held(date, mine, name), b.held(date, other, its)
            yield from _of_channel((a, name, held), (b, its, its_held), date, how)
        elif name in here or its in there:
            yield Difference(name, date, 0, 0, f"only in {(a if name in here else b).out}")
    if names is None:
        for name in there:
            if name not in here:
                yield Difference(name, date, 0, 0, f"only in {b.out}")


def _names(days, folder):
    """The channels of a day, as its file holds them."""
    with days.day(folder.h5) as day:
        return list(day.peek("datasets")["datasets"])


def _of_channel(mine, other, date, how):
    (a, name, held), (b, its_name, its) = mine, other
    what = _form(held, its)
    if what:
        yield Difference(name, date, 0, 0, what)
    if held.form.rate != its.form.rate or abs((held.t0 - its.t0) * held.form.rate) % 1 > 1e-3:
        return
    start, end = min(held.window.start, its.window.start), max(held.window.end, its.window.end)
    ours = series_of.plan_of(a, name, start, end, [held])[0]
    theirs = series_of.plan_of(b, its_name, start, end, [its])[0]
    # Where a window is shorter, the rest of it is missing.
    size, told, more = min(len(ours), len(theirs)), 0, 0
    for begin in range(0, size, _AT_ONCE):
        stop = min(begin + _AT_ONCE, size)
        x, y = ours.sliced(begin, stop), theirs.sliced(begin, stop)
        if x.dtype == y.dtype and x.tobytes() == y.tobytes():
            continue
        if how.keep is not None:
            there = bins.inside(ours, begin, stop - begin, how.keep)
            x, y = np.where(there, x, np.nan), np.where(there, y, np.nan)
        for each in _told(name, date, ours, begin, x.astype(np.float64), y.astype(np.float64), how.tolerance):
            told += 1
            if told <= _MOST:
                yield each
            else:
                more += 1
    if more:
        yield Difference(name, date, 0, 0, f"and {more} more such stretches")


def _form(held: Held, its: Held) -> str:
    """What differs in rate, dtype, unit or times, in words; '' if nothing does."""
    parts = [
        f"{word} {mine!r} and {other!r}"
        for word, mine, other in zip(("rate", "dtype", "", "", "unit"), held.form, its.form, strict=True)
        if word and mine != other
    ]
    if abs(held.t0 - its.t0) > 1e-6:
        parts.append(f"first sample at GPS {held.t0!r} and {its.t0!r}")
    return ", ".join(parts)


def _told(name, date, series, begin, x, y, tolerance):
    missing, absent = np.isnan(x) & ~np.isnan(y), ~np.isnan(x) & np.isnan(y)
    with np.errstate(invalid="ignore"):
        apart = np.abs(x - y)
        differs = ~(np.isnan(x) | np.isnan(y)) & (x != y) & ~(apart <= tolerance * np.maximum(np.abs(x), np.abs(y)))
    found = []
    for flags, what in ((missing, "missing in the first"), (absent, "missing in the second"), (differs, "")):
        for first, stop in stretches(flags):
            words = what or f"by up to {np.nanmax(apart[first:stop]):.6g}"
            found.append((first, stop, f"{stop - first} samples {'differ ' if not what else ''}{words}"))
    for first, stop, what in sorted(found):
        yield Difference(name, date, series.time_of(begin + first), series.time_of(begin + stop), what)


def names_of(text: str, source: str) -> dict[str, str]:
    """{channel of the first: that of the second} of lines with two names; BadInput for other lines."""
    found = {}
    for line in text.splitlines():
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != 2:
            raise BadInput(f"want two channel names a line in {source!r}: {line!r}")
        found[fields[0]] = fields[1]
    if not found:
        raise BadInput(f"no channel names in file: {source!r}")
    return found


def to_line(each: Difference) -> str:
    """Channel, day, GPS start, GPS end, what; tab-separated, times empty where it is not about a time."""
    times = [number(time) if each.start else "" for time in (each.start, each.end)]
    return "\t".join((each.channel, each.date, *times, each.what)) + "\n"
