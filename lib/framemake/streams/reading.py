"""From records to values: means and rms of any span of a stream, by two record reads a point.

Record k holds the running sums through sample k, which begins at the record's time.  Between records a and b the
mean is (S[b] - S[a]) / n and the rms sqrt((Q[b] - Q[a]) / n), where n is the number of raw samples behind the samples
a+1 ... b.  Where samples are equally long, n is R times the seconds from a to b; where the trend changes, or behind a
gap, it is not.  So n is taken from the lengths of the samples themselves (see runs).

In a gap the sums run on with the last good sample.  That is no data, so a gap's share is taken out again.  Invalid
samples inside a file are not in the index: points() says which of them are noticed.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .. import gps
from ..errors import BadInput
from . import store
from .records import SAME, Info
from .runs import Runs
from .store import Stream

MEAN, RMS = "mean", "rms"
COLUMNS = {MEAN: "sum", RMS: "square"}
POINTS = 800
_MOST_POINTS = 10_000_000
_AT_ONCE = 100_000


class Samples(NamedTuple):
    """The samples of records that follow one another: arrays of one length, but for `sums`, which is one longer.

    time: GPS s of the sample's start; seconds: its length; count: the raw samples behind it.  The last two are 0 if the
    record bounds a gap, or nothing gives its length.  good: whether it is data.
    sums: S or Q, float64 or int64, before the first sample and then after each.
    """

    time: np.ndarray
    seconds: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # hides tuple.count
    good: np.ndarray
    sums: np.ndarray


def span(stream: Stream, start: float, end: float) -> tuple[int, int]:
    """(first, stop): numbers of the records whose time lies in [start, end) GPS s, those that bound gaps included."""
    if not len(stream.records):
        return 0, 0
    return _span(Runs(stream, start, end), start, end)


def _span(runs, start, end):
    times = np.array([start, end], dtype=float)
    first, stop = runs.before(times) + 1
    # In the last sample before a gap before() gives the sample, but the gap's first record lies before the time too.
    while first < stop and runs.times(first) < start - SAME:
        first += 1
    while stop < runs.size and runs.times(stop) < end - SAME:
        stop += 1
    return int(first), int(stop)


def samples(stream: Stream, kind: str, first: int, stop: int) -> Samples:
    """The Samples of records [first, stop), with S for the kind 'mean', Q for 'rms'."""
    column = COLUMNS[kind]
    held = stream.records[max(0, first - 1) : stop]
    sums = held[column]
    if first == 0:
        sums = np.insert(sums, 0, 0)
    held = held[len(held) - max(0, stop - first) :]
    if not len(held):
        empty = np.empty(0)
        return Samples(empty, empty, empty, empty.astype(bool), sums)
    runs = Runs(stream, held["time"][0], held["time"][-1])
    at = np.arange(first, stop)
    seconds, count = runs.lengths(at), runs.counts(at)
    return Samples(held["time"].astype(float), seconds, count, (held["valid"] != 0) & (count > 0), sums)


def each(stream: Stream, kind: str, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """(times, values) of records [first, stop): float64, a GPS second and a value each, NaN where that is no data."""
    found = samples(stream, kind, first, stop)
    result = calibrated(stream.info, kind, less(found.sums[1:], found.sums[:-1]), found.count)
    result[~found.good] = np.nan
    return found.time, result


def every(stream: Stream, kind: str, start: float, end: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(times, values) of all records of a span in GPS s, as each() gives them, some at a time.

    BadInput for an empty span, or a kind that there is not.
    """
    _check_span(kind, start, end)
    first, stop = span(stream, start, end)
    for at in range(first, stop, _AT_ONCE):
        yield each(stream, kind, at, min(stop, at + _AT_ONCE))


def calibrated(info: Info, kind: str, sums: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Physical values, float64, of differences of sums and the raw samples behind them; NaN where that is no number.

    value * slope + bias, for the rms as for the mean, as the e-Lab's reader does.  If the bias is 0, as for a
    seismometer or a microphone, that is the rms of the calibrated signal; else it is not.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = sums.astype(float) / count
        if kind == RMS:
            # Q never falls, but a difference of two large sums may be a rounding below 0.
            value = np.sqrt(np.maximum(value, 0))
        value = value * info.slope + info.bias
    value[~np.isfinite(value)] = np.nan
    return value


def less(sums: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Differences of sums, without a warning where a NaN or infinity was added to one by the original importer."""
    with np.errstate(invalid="ignore", over="ignore"):
        return sums - before


def points(
    stream: Stream, kind: str, start: float, end: float, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(times, values) of a span in GPS s: two float64 arrays, shape (points,), the values NaN where there is no data.

    kind: 'mean' or 'rms', of all samples that begin in a point, in the units of the stream.
    count: the span is cut into so many equal points, and a point's time is when it begins.  If no sample begins in a
    point, its value is that of the sample that goes on through it.
    None: each record of the span is a point, at its own time, if there are 1 to 800; if there are more, 800 equal
    points; if there is none, one.

    A point takes two record reads, one at its edge and one in its middle, and each gap three more.  It is NaN if
    - an edge of it lies in a gap, or before or after the stream;
    - samples fill less than half of its time (of a smaller gap, the value is that of the samples);
    - its last sample, the one in its middle, or the one just before it is invalid.  So invalid
      samples are noticed if they lie over an edge, or fill more than half of the point.  Fewer of them in between are
      not: the sums, and so the value, have the last good sample in their place.
    Raises BadInput for an empty span, a kind that there is not, or a count that is not from 1 to ten million.
    """
    return curve(stream, kind, start, end, count)[:2]


def curve(
    stream: Stream, kind: str, start: float, end: float, count: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(times, values, edges): points(), and the edges of its points, one more than those; None if each is a record."""
    _check_span(kind, start, end)
    if count is not None and not 0 < count <= _MOST_POINTS:
        raise BadInput(f"the number of points is from 1 to {_MOST_POINTS}: {count!r}")
    runs = Runs(stream, start, end) if len(stream.records) else None
    if count is None:
        first, stop = _span(runs, start, end) if runs else (0, 0)
        if 0 < stop - first <= POINTS:
            return *each(stream, kind, first, stop), None
        count = min(POINTS, max(1, stop - first))
    fine = start + np.arange(2 * count + 1) * ((end - start) / (2 * count))
    fine[-1] = end
    return fine[:-1:2], _points(stream, kind, runs, fine) if runs else np.full(count, np.nan), fine[::2]


def read_stream(
    folder: str, name: str, kind: str, start: float | str, end: float | str, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Open a stream of an e-Lab folder and give its points in a span: (times, values), float64, NaN where none is.

    name: of the stream, such as 'H0:PEM-EX_SEISX'.  start, end: GPS seconds, or a text as gps.parse takes it; end
    is excluded.  Raises BadInput too for a stream that is not there or is torn.
    """
    first, last = (gps.parse(time) if isinstance(time, str) else time for time in (start, end))
    return points(store.open_stream(folder, name), kind, first, last, count)


def _check_span(kind, start, end):
    if kind not in COLUMNS:
        raise BadInput(f"no such kind, want mean or rms: {kind!r}")
    if not (np.isfinite(start) and np.isfinite(end) and start < end):
        raise BadInput(f"the span is empty: {start!r} to {end!r}")


def _points(stream, kind, runs, fine):
    """The values of points whose edges are fine[0::2] and whose middles are fine[1::2]."""
    at = runs.before(fine)
    edge, middle, start, end = at[::2], at[1::2], fine[:-1:2], fine[2::2]
    a, b = edge[:-1], edge[1:]
    # If no sample begins in a point, the one that goes on through it counts.
    through = a == b
    a = np.where(through, b - 1, a)
    read = _Read(stream.records, kind, np.concatenate((a, b, middle)))
    good = read.valid(b) & (runs.lengths(b) > 0)
    # The record before need not be valid for a point of one sample, or one that begins behind a gap.
    good &= read.valid(a) | (b - a == 1) | (runs.lengths(a) == 0)
    good &= read.valid(middle) | (middle <= a) | (middle >= b) | (runs.lengths(middle) == 0)
    # Seconds from each edge to the end of the sample that lies over it; below 0 if none does.
    left = np.where(edge < 0, fine[::2] - runs.time[0], runs.end_of(edge) - fine[::2])
    good &= (left[:-1] >= -SAME) & (left[1:] >= -SAME)
    seconds_b, count_b = runs.through(b)
    seconds_a, count_a = runs.through(a)
    none = a < 0
    seconds, count = seconds_b - np.where(none, 0, seconds_a), count_b - np.where(none, 0, count_a)
    # How much of a point its samples cover: with what the one before it has in it, without what its last has beyond.
    covered = np.where(none, 0, left[:-1]) + seconds - left[1:]
    good &= through | (covered >= 0.5 * (end - start))
    sums = less(read.sums(b), read.sums(a))
    _take_out(stream.records, kind, runs, a, b, sums)
    value = calibrated(stream.info, kind, sums, count)
    value[~good] = np.nan
    return value


class _Read:
    """Records by their numbers, each read once; the sums before record 0 are 0."""

    def __init__(self, records, kind, numbers):
        # Not np.unique, which imports numpy.ma: that takes longer than all else here.
        numbers = np.sort(np.maximum(numbers, 0))
        self.numbers = numbers[np.diff(numbers, prepend=-1) > 0]
        self.held = records[self.numbers]
        self.column = self.held[COLUMNS[kind]]

    def valid(self, numbers):
        return (self.held["valid"][np.searchsorted(self.numbers, np.maximum(numbers, 0))] != 0) & (numbers >= 0)

    def sums(self, numbers):
        found = self.column[np.searchsorted(self.numbers, np.maximum(numbers, 0))]
        return np.where(numbers < 0, found.dtype.type(0), found)


def _take_out(records, kind, runs, a, b, sums):
    """Take out of the sums of points what the gaps inside them added."""
    before, last = runs.left_out()
    point = np.searchsorted(b, last)
    inside = (point < len(b)) & (before >= -1)
    inside[inside] = before[inside] >= a[point[inside]]
    if not inside.any():
        return
    before, last, point = before[inside], last[inside], point[inside]
    read = _Read(records, kind, np.concatenate((before, last)))
    with np.errstate(invalid="ignore", over="ignore"):
        np.subtract.at(sums, point, less(read.sums(last), read.sums(before)))


def extent(stream: Stream) -> str:
    """From when to when a stream goes, in words for people."""
    if not len(stream.records):
        return "the stream is empty"
    from ..frames.catalog import number

    first, last = (number(float(stream.records["time"][at])) for at in (0, -1))
    return f"the stream goes from {first} to {last}"


def to_json(stream: Stream, kind: str, found: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[str, bool]]:
    """The same once for all, as a JSON object: name, kind, unit, times, values; null for none."""
    found = list(found)
    times = [time for part, _ in found for time in part.tolist()]
    held = [None if value != value else value for _, part in found for value in part.tolist()]
    answer = {"name": stream.name, "kind": kind, "unit": stream.info.units, "times": times, "values": held}
    yield json.dumps(answer) + "\n", any(value is not None for value in held)
