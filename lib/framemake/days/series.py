"""Samples of a channel over days, read when they are wanted: values, times, what is missing and why, other forms.

Nothing is read but the days and the slice that were asked for, and a day file that cannot be read raises: a sample is
the day file's, or it is NaN and `missing` has the reason.
"""

import collections
import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import gps
from ..day.coverage import stretches
from ..errors import BadInput
from . import why
from .onegrid import Line, by_grid
from .opened import Held, OpenDays

if TYPE_CHECKING:
    import pandas
    import xarray
    from gwpy.timeseries import TimeSeries, TimeSeriesDict

# Samples of a piece, if nobody says how long it is to be.
_PIECE = 1 << 20
# Samples of a span that is read at once, while its day files are open.
_MOST_AT_ONCE = 1 << 26


class Part(NamedTuple):
    """Samples [begin, stop) of a channel in a day file, which are samples `first` and on of a series.

    factor: what they are multiplied with, for the series' unit; None if they are taken as they are.
    """

    held: Held
    first: int
    begin: int
    stop: int
    factor: float | None = None


class Piece(NamedTuple):
    """Some samples of a series that follow one another.

    t0: GPS time of the first; dt: s between two; values: 1-D; good: bool of its shape, False where a value is missing.
    """

    t0: float
    dt: float
    values: np.ndarray
    good: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """GPS time of each sample, float64."""
        return self.t0 + np.arange(len(self.values)) * self.dt


class Series:
    """A channel in a span: the samples whose time lies in [start, end), NaN where there is no data.

    name, unit; rate: Hz; dtype: float32 or float64; t0: GPS time of sample 0; start, end: the span, in GPS seconds.
    parts: where the samples lie.  The samples are kept once they are read: of a span that is not long at once, else
    when `values` is asked for first.
    """

    def __init__(self, days: OpenDays, name: str, start: float, end: float, parts: Sequence[Part], **form: Any):
        self._days, self.name, self.start, self.end, self.parts = days, name, start, end, tuple(parts)
        self.unit: str = form.pop("unit")
        self.dtype: np.dtype = form.pop("dtype")
        self._line: Line = form.pop("line")
        self.rate = self._line.rate
        self._first = self._line.first_at(start)
        self._size = max(0, self._line.first_at(end) - self._first)
        self.t0 = self._line.time_of(self._first)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        span = f"GPS {self.start:.16g} to {self.end:.16g}"
        return f"<Series {self.name!r}, {len(self)} samples at {self.rate:g} Hz in {self.unit!r}, {span}>"

    @property
    def dt(self) -> float:
        """Seconds between two samples."""
        return 1 / self.rate

    @property
    def times(self) -> np.ndarray:
        """GPS time of each sample, float64, shape (samples,)."""
        return self.t0 + np.arange(len(self)) / self.rate

    @functools.cached_property
    def values(self) -> np.ndarray:
        """The samples, shape (samples,), of `dtype`; BadInput, which names it, for a day file that cannot be read."""
        return self.sliced(0, len(self))

    @property
    def good(self) -> np.ndarray:
        """Whether each sample is there, bool, shape (samples,)."""
        return ~np.isnan(self.values)

    @functools.cached_property
    def missing(self) -> list[why.Missing]:
        """The spans without data, in order, each with its reason: why.Missing."""
        return why.explain(self._days, self.name, self.gaps())

    def gaps(self) -> list[tuple[float, float]]:
        """The spans without data as [(start, end)] in GPS seconds, in order."""
        found: list[tuple[float, float]] = []
        at = 0
        for piece in [self.values] if "values" in vars(self) else (part.values for part in self.pieces()):
            for a, b in stretches(np.isnan(piece)):
                span = self.time_of(at + a), self.time_of(at + b)
                if found and found[-1][1] == span[0]:
                    span = found.pop()[0], span[1]
                found.append(span)
            at += len(piece)
        return found

    def time_of(self, number: int) -> float:
        """GPS time of a sample by its number in the series."""
        return self._line.time_of(self._first + number)

    def number_at(self, time: float) -> int:
        """The number of the first sample at or after a GPS time, 0 to the number of samples."""
        return min(max(self._line.first_at(time) - self._first, 0), self._size)

    def numbers_at(self, times: np.ndarray) -> np.ndarray:
        """The same of many times: int64, of their shape."""
        return np.clip(self._line.first_at_each(times) - self._first, 0, self._size)

    def numbers_after(self, times: np.ndarray) -> np.ndarray:
        """The number of the first sample after each GPS time: int64."""
        return np.clip(self._line.after_each(times) - self._first, 0, self._size)

    def sliced(self, begin: int, stop: int) -> np.ndarray:
        """Samples [begin, stop) of the series, read now."""
        if "values" in vars(self):
            return self.values[begin:stop]
        values = np.empty(stop - begin, dtype=self.dtype)
        at = 0
        for part in self.parts:
            a = max(begin, part.first)
            b = min(stop, part.first + part.stop - part.begin)
            if a < b:
                values[at : a - begin] = np.nan
                self._read(part, part.begin + a - part.first, values[a - begin : b - begin])
                at = b - begin
        values[at:] = np.nan
        return values

    def _read(self, part, first, values):
        """Fill an array with samples of a part's day from number `first` on."""
        if part.factor is None and values.dtype.name == part.held.form.dtype:
            self._days.read_into(part.held, self.name, first, values)
            return
        held = np.empty(len(values), dtype=part.held.form.dtype)
        self._days.read_into(part.held, self.name, first, held)
        values[:] = held if part.factor is None else held * np.float64(part.factor)

    def pieces(self, seconds: float | None = None) -> Iterator[Piece]:
        """The samples, one Piece after another, so that a long span is never in memory as a whole.

        seconds: how long a piece is, the last one excepted; it is rounded to whole samples, at least one.
        """
        step = _PIECE if seconds is None else max(1, round(seconds * self.rate))
        for begin in range(0, len(self), step):
            values = self.sliced(begin, min(begin + step, len(self)))
            yield Piece(self.time_of(begin), self.dt, values, ~np.isnan(values))

    # --- other forms -------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self.values if dtype is None else self.values.astype(dtype, copy=False)
        return found.copy() if copy else found

    def to_numpy(self) -> np.ndarray:
        """The samples: `values`."""
        return self.values

    def to_gwpy(self) -> "TimeSeries":
        """A gwpy TimeSeries of the samples, with name, channel, unit, t0 and rate."""
        from gwpy.timeseries import TimeSeries

        unit = self.unit or None
        return TimeSeries(self.values, t0=self.t0, sample_rate=self.rate, unit=unit, name=self.name, channel=self.name)

    def to_pandas(self) -> "pandas.Series":
        """A pandas Series over UTC times; the last second of a day with a leap second has its times twice."""
        import pandas

        return pandas.Series(self.values, index=pandas.DatetimeIndex(self.datetimes(), tz="UTC"), name=self.name)

    def to_xarray(self) -> "xarray.DataArray":
        """An xarray DataArray over `time`, UTC without a zone as xarray has it; the samples are read when wanted."""
        from . import lazy

        return lazy.array(self)

    def datetimes(self, begin: int = 0, stop: int | None = None) -> np.ndarray:
        """UTC of samples [begin, stop), or of all, datetime64[ns].

        It is what clocks show, so the times of a leap second are those of the second before.
        """
        stop = len(self) if stop is None else stop
        # Whole seconds and the rest apart: float64 does not hold a time since 1970 to the nanosecond.
        second = int(self.t0)
        rest = (self.t0 - second) + np.arange(begin, stop) / self.rate
        found = np.round(rest * 1e9).astype(np.int64).view("timedelta64[ns]") + np.datetime64(second, "s")
        offsets = gps.unix_offsets(self.time_of(begin), self.time_of(max(begin, stop - 1)))
        for at, (time, offset) in enumerate(offsets):
            first = begin if at == 0 else self.number_at(time)
            last = self.number_at(offsets[at + 1][0]) if at + 1 < len(offsets) else stop
            found[first - begin : last - begin] += np.timedelta64(offset, "s")
        return found


class SeriesDict(dict[str, Series]):
    """Several channels in one span: {name: Series}, in the order in which they were asked for."""

    def to_gwpy(self) -> "TimeSeriesDict":
        """A gwpy TimeSeriesDict of all of them."""
        from gwpy.timeseries import TimeSeriesDict

        return TimeSeriesDict((name, series.to_gwpy()) for name, series in self.items())

    def to_pandas(self) -> "pandas.DataFrame":
        """A pandas DataFrame, a column a channel; BadInput if they are not on one grid."""
        import pandas

        first = self._on_one_grid()
        index = pandas.DatetimeIndex(first.datetimes(), tz="UTC")
        return pandas.DataFrame({name: series.values for name, series in self.items()}, index=index)

    def to_xarray(self) -> "xarray.Dataset":
        """An xarray Dataset, a variable a channel, read when wanted; BadInput if they are not on one grid."""
        from . import lazy

        self._on_one_grid()
        return lazy.dataset(self)

    def to_numpy(self) -> np.ndarray:
        """The samples, shape (channels, samples); BadInput if they are not on one grid."""
        self._on_one_grid()
        return np.array([series.values for series in self.values()])

    def pieces(self, seconds: float = 3600) -> Iterator[dict[str, Piece]]:
        """{name: Piece} of so many seconds after another; of one grid all pieces have the same times."""
        return (dict(zip(self, some, strict=True)) for some in zip(*(s.pieces(seconds) for s in self.values())))  # noqa: B905

    def _on_one_grid(self):
        first, *others = self.values()
        for other in others:
            if not on_one_grid(first, other):
                raise BadInput(
                    f"not on one grid, read one by one: {first.name!r} at {first.rate:g} Hz from {first.t0!r}, "
                    f"{other.name!r} at {other.rate:g} Hz from {other.t0!r}"
                )
        return first


def on_one_grid(one: Series, other: Series) -> bool:
    """Whether two Series of one span have their samples at the same times."""
    return (one.rate, len(one)) == (other.rate, len(other)) and abs(one.t0 - other.t0) * one.rate < 1e-3


# --- which days go together --------------------------------------------------------------


def plan(
    days: OpenDays,
    name: str,
    start: float,
    end: float,
    split: bool = False,
    convert: bool = False,
    at_once: bool = True,
) -> list[Series]:
    """The Series of a channel in [start, end) GPS seconds; several only if split is set and the channel changes.

    Days of which there is no file, and those without the channel, are NaN.  A change of rate, grid, dtype or unit
    raises BadInput.  With split each form is a Series of its own.  With convert days of smaller dtype are widened and
    units converted to the one that most days have; a change of rate or grid still raises.  BadInput, too, if no day of
    the span has the channel.  at_once: whether the samples of a span that is not long are read now.
    """
    if not start < end:
        raise BadInput(f"the span is empty: {gps.span_text(start, end)}")
    there = days.between(start, end)
    if at_once and not split:
        found = _read_at_once(days, name, start, end, there)
        if found:
            return [found]
    members = [held for date, folder in there.items() if (held := days.held(date, folder, name))]
    members = [held for held in members if held.window.overlaps(start, end)]
    if not members:
        raise BadInput(_nowhere(days, name, start, end))
    return plan_of(days, name, start, end, members, split, convert)


def plan_of(
    days: OpenDays, name: str, start: float, end: float, members: list[Held], split: bool = False, convert: bool = False
) -> list[Series]:
    """The same of these days only; members: the channel in each, in their order, at least one."""
    groups = by_grid(members, lambda held: (_compared(held.form, convert), held.window.start))
    if not convert:
        groups = [list(some) for group in groups for some in _by_unit(group)]
    if len(groups) > 1 and not split:
        what = ", ".join(f"{_described(group, groups)} ({_dates(group)})" for group in groups)
        ways = "split" if convert else "split or convert"
        raise BadInput(f"changes between days, {ways} it: {name!r}: {what}")
    return [_series(days, name, start, end, group) for group in groups]


def _compared(form, convert):
    """A form as far as days of one series must have the same."""
    return form._replace(dtype="") if convert else form


def _by_unit(group):
    found: dict[str, list[Held]] = {}
    for held in group:
        found.setdefault(held.form.unit, []).append(held)
    return found.values()


def _described(group, groups):
    form = group[0].form
    shift = "" if len({other[0].form.rate for other in groups}) > 1 else f", a sample at GPS {group[0].t0:.16g}"
    return f"{form.dtype} at {form.rate:g} Hz in {form.unit!r}{shift}"


def _dates(group):
    first, last = group[0].date, group[-1].date
    return first if first == last else f"{len(group)} days from {first} to {last}"


def _nowhere(days, name, start, end):
    spans = why.explain(days, name, [(start, end)])
    kinds = collections.Counter(each.kind for each in spans)
    return f"no day has the channel ({', '.join(kinds)}) in {gps.span_text(start, end)}: {name!r}"


class _Parts:
    """The parts of a series as days are added to it, in their order; like: a day that is on its grid."""

    def __init__(self, name: str, start: float, end: float, like: Held):
        self.name, self.line = name, Line(like.form.rate, like.t0)
        self.origin, self.stop = self.line.first_at(start), self.line.first_at(end)
        self.found: list[Part] = []

    def add(self, held: Held, factor: float | None = None) -> Part | None:
        """The part that a day has; None if it has none."""
        first = self.line.number_of(held.t0) - self.origin
        begin, last = max(0, -first), min(held.form.total, self.stop - self.origin - first)
        if begin >= last:
            return None
        part = Part(held, first + begin, begin, last, factor)
        if self.found:
            before = self.found[-1]
            over = before.first + before.stop - before.begin - part.first
            if over > 1:
                raise BadInput(f"samples of {self.name!r} overlap those of the day before: {held.path!r}")
            # The last of round(duration * rate) samples can have the time of the next day's first; that one is kept.
            if over == 1:
                self.found[-1] = before._replace(stop=before.stop - 1)
        self.found.append(part)
        return part


def _series(days, name, start, end, members):
    units = collections.Counter(held.form.unit for held in members)
    ((unit, _),) = units.most_common(1)
    factors = {each: _factor(each, unit, name) for each in units if each != unit}
    parts = _Parts(name, start, end, members[0])
    for held in members:
        parts.add(held, factors.get(held.form.unit))
    wide = bool(factors) or any(held.form.dtype == "float64" for held in members)
    dtype = np.dtype("float64" if wide else "float32")
    return Series(days, name, start, end, parts.found, unit=unit, dtype=dtype, line=parts.line)


def _read_at_once(days, name, start, end, there):
    """The Series of a span that is not long, read while each day file is open; None if it is long, or changes."""
    parts: Any = None
    for date, folder in there.items():
        held = days.held(date, folder, name)
        if held is None or not held.window.overlaps(start, end):
            continue
        if parts is None:
            parts, like = _Parts(name, start, end, held), held.form
            if parts.stop - parts.origin > _MOST_AT_ONCE:
                return None
            values = np.empty(max(0, parts.stop - parts.origin), dtype=like.dtype)
        if held.form[:2] + held.form[4:] != like[:2] + like[4:] or not parts.line.holds(held.t0):
            return None
        part = parts.add(held)
        if part:
            days.read_into(held, name, part.begin, values[part.first : part.first + part.stop - part.begin])
    if parts is None:
        return None
    found = Series(days, name, start, end, parts.found, unit=like.unit, dtype=values.dtype, line=parts.line)
    _clear(values, parts.found)
    found.values = values
    return found


def _clear(values, parts):
    """Make NaN what no part has."""
    at = 0
    for part in parts:
        values[at : part.first] = np.nan
        at = part.first + part.stop - part.begin
    values[at:] = np.nan


def _factor(unit, wanted, name):
    """What samples in a unit are multiplied with for another."""
    from astropy import units

    try:
        return float(units.Unit(unit).to(units.Unit(wanted)))
    except (ValueError, TypeError, units.UnitsError):
        raise BadInput(f"cannot convert {unit!r} to {wanted!r}: {name!r}") from None


def missing(
    days: OpenDays, name: str, start: float, end: float | None = None, probe: bool = True, fetch: bool = False
) -> list[why.Missing]:
    """The spans of [start, end) GPS seconds without a sample of a channel, each with its reason.

    end: None for the sample that covers the time `start`; of a day without the channel that is the whole day.
    probe: whether frame files may be opened, fetch: those at URLs, too; see day/why.
    """
    if end is not None and not start < end:
        raise BadInput(f"the span is empty: {gps.span_text(start, end)}")
    spans: list[tuple[float, float]] = []
    stop = math.floor(start) + 1 if end is None else end
    there, at = days.folders(), start
    while at < stop:
        date = gps.day_of(at)
        whole = gps.day_window(date)
        held = days.held(date, there[date], name) if date in there else None
        over = min(whole.end, stop)
        if held is None:
            spans.append((whole.start, whole.end) if end is None else (at, over))
        elif end is None:
            spans += _at_time(days, held, name, start)
        else:
            spans += _of_day(days, held, name, at, over)
        at = over
    return why.explain(days, name, _touching(spans), probe, fetch)


def _at_time(days, held, name, time):
    """The span of the sample that covers a time, if it is missing."""
    line = Line(held.form.rate, held.t0)
    number = line.first_at(time)
    number -= line.time_of(number) > time
    if not 0 <= number < held.form.total:
        return [(time, time + 1 / held.form.rate)]
    with days.day(held.path, held.identity) as day:
        good = not np.isnan(day.samples(name, number, number + 1)[0])
    return [] if good else [(line.time_of(number), line.time_of(number + 1))]


def _of_day(days, held, name, start, end):
    """The missing spans of a day that has the channel, what is outside of its window included."""
    inside = [max(start, held.window.start), min(end, held.window.end)]
    spans = [(start, min(end, inside[0]))] if start < inside[0] else []
    if inside[0] < inside[1]:
        spans += plan_of(days, name, *inside, [held])[0].gaps()
    if end > inside[1]:
        spans.append((max(start, inside[1]), end))
    return spans


def _touching(spans):
    """Spans, those that touch as one."""
    found: list[tuple[float, float]] = []
    for start, end in spans:
        if found and found[-1][1] >= start:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
