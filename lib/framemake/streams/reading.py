"""From records to values: means and rms of any span of a stream, by two record reads a point.

Record k holds the running sums through sample k, which begins at the record's time.  Between records a and b the
mean is (S[b] - S[a]) / n and the rms sqrt((Q[b] - Q[a]) / n), where n is the number of raw samples behind the samples
a+1 ... b.  Where samples are equally long, n is R times the seconds from a to b; where the trend changes, or behind a
gap, only the lengths of the samples themselves are right, and they are what is used here (see runs).

In a gap the sums run on with the last good sample.  That is no data, so a gap's share is taken out again.  Runs of
invalid samples inside a file are in no index: see values() for what is known of them.
"""

import json
from typing import NamedTuple

import numpy as np

from .. import gps
from ..errors import BadInput
from ..frames.catalog import number
from . import store
from .runs import SAME, Runs

MEAN, RMS = "mean", "rms"
_COLUMNS = {MEAN: "sum", RMS: "square"}
POINTS = 800
_MOST_POINTS = 10_000_000
_AT_ONCE = 100_000


class Samples(NamedTuple):
    """Records one after another: arrays of one length, but for `sums`, which also has the sum before the first.

    time: GPS s of the sample's start; seconds: its length and count: the raw samples behind it, both 0 if the record
    is none (it bounds a gap) or nothing tells its length; good: whether it is data; sums: S or Q as stored.
    """

    time: np.ndarray
    seconds: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # tuple.count
    good: np.ndarray
    sums: np.ndarray


def span(stream, start, end):
    """(first, stop): numbers of the records whose time lies in [start, end) GPS s, those that bound gaps included."""
    if not len(stream.records):
        return 0, 0
    return _span(Runs(stream, start, end), start, end)


def _span(runs, start, end):
    times = np.array([start, end], dtype=float)
    first, stop = runs.before(times) + 1
    # A time in the last sample before a gap: before() gives the sample, but the gap's record lies before it too.
    while first < stop and runs.times(first) < start - SAME:
        first += 1
    while stop < runs.size and runs.times(stop) < end - SAME:
        stop += 1
    return int(first), int(stop)


def samples(stream, kind, first, stop):
    """The Samples of records [first, stop); kind: mean for S, rms for Q."""
    column = _COLUMNS[kind]
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


def each(stream, kind, first, stop):
    """(times, values) of records [first, stop), float64: NaN for what is invalid."""
    found = samples(stream, kind, first, stop)
    result = calibrated(stream.info, kind, less(found.sums[1:], found.sums[:-1]), found.count)
    result[~found.good] = np.nan
    return found.time, result


def every(stream, kind, start, end):
    """each() of all records of a span in GPS s, some at a time; BadInput if the span is empty."""
    _check_span(kind, start, end)
    first, stop = span(stream, start, end)
    for at in range(first, stop, _AT_ONCE):
        yield each(stream, kind, at, min(stop, at + _AT_ONCE))


def calibrated(info, kind, sums, count):
    """Physical values, float64, of differences of sums and the raw samples behind them; NaN where that is no number.

    value * slope + bias, for the rms as for the mean: that is the rms of the calibrated signal where the bias
    is 0, as it is for a seismometer or a microphone; else it is the rms of the stored one, calibrated.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = sums.astype(float) / count
        if kind == RMS:
            # Q never falls, but a difference of two large sums may be a rounding below 0.
            value = np.sqrt(np.maximum(value, 0))
        value = value * info.slope + info.bias
    value[~np.isfinite(value)] = np.nan
    return value


def less(sums, before):
    """Differences of sums; those of sums that are poisoned with NaN or infinity are none, without a word."""
    with np.errstate(invalid="ignore", over="ignore"):
        return sums - before


def values(stream, kind, start, end, points=None):
    """(times, values) of a span in GPS s: two float64 arrays, a value for each point, NaN where there is none.

    kind: 'mean' or 'rms', of all samples that begin in a point, in the units of the stream.  points: the span is cut
    into so many equal points, each told by the time at which it begins; where no sample begins in a point it has
    the value of the sample that goes on through it.  None: every record, if there are 1 to 800,
    told by its own time; else 800 points, or one if no record begins in the span.

    A point costs two record reads, one at its edge and one in its middle, and each gap three more.  It is NaN if
    - an edge of it lies in a gap, or before or after the stream;
    - gaps leave less than half of its time (a smaller gap is taken out: the value is that of the samples);
    - its last sample, the one in its middle, or the one just before it is invalid.  So a stretch of invalid
      samples that goes over an edge, or is longer than half of the point, is seen.  A shorter one between is not: the
      sums hold the last good sample in its place, and so does the value.
    Raises BadInput for an empty span, a kind or a number of points that there is not.
    """
    _check_span(kind, start, end)
    if points is not None and not 0 < points <= _MOST_POINTS:
        raise BadInput(f"the number of points is from 1 to {_MOST_POINTS}: {points!r}")
    runs = Runs(stream, start, end) if len(stream.records) else None
    if points is None:
        first, stop = _span(runs, start, end) if runs else (0, 0)
        if 0 < stop - first <= POINTS:
            return each(stream, kind, first, stop)
        points = min(POINTS, max(1, stop - first))
    fine = start + np.arange(2 * points + 1) * ((end - start) / (2 * points))
    fine[-1] = end
    return fine[:-1:2], _points(stream, kind, runs, fine) if runs else np.full(points, np.nan)


def read_stream(
    folder: str, name: str, kind: str, start: float | str, end: float | str, points: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Open a stream of an e-Lab folder and give its values() in a span: (times, values), float64, NaN where none is.

    name: of the stream, such as 'H0:PEM-EX_SEISX'.  start, end: GPS seconds, or a text as gps.parse takes it; end
    is excluded.  Raises BadInput too for a stream that is not there or is torn.
    """
    first, last = (gps.parse(time) if isinstance(time, str) else time for time in (start, end))
    return values(store.open_stream(folder, name), kind, first, last, points)


def _check_span(kind, start, end):
    if kind not in _COLUMNS:
        raise BadInput(f"no such kind, want mean or rms: {kind!r}")
    if not (np.isfinite(start) and np.isfinite(end) and start < end):
        raise BadInput(f"the span is empty: {start!r} to {end!r}")


def _points(stream, kind, runs, fine):
    """Values of points whose edges are fine[0::2] and middles fine[1::2]."""
    at = runs.before(fine)
    edge, middle, start, end = at[::2], at[1::2], fine[:-1:2], fine[2::2]
    a, b = edge[:-1], edge[1:]
    # No sample begins in the point: the one that goes on through it.
    through = a == b
    a = np.where(through, b - 1, a)
    read = _Read(stream.records, kind, np.concatenate((a, b, middle)))
    good = read.valid(b) & (runs.lengths(b) > 0)
    # A lone sample is right whatever was before it; so is the first one behind a gap.
    good &= read.valid(a) | (b - a == 1) | (runs.lengths(a) == 0)
    good &= read.valid(middle) | (middle <= a) | (middle >= b) | (runs.lengths(middle) == 0)
    # Seconds from each edge to the end of the sample that is under way: below 0 where none is.
    left = np.where(edge < 0, fine[::2] - runs.time[0], runs.end_of(edge) - fine[::2])
    good &= (left[:-1] >= -SAME) & (left[1:] >= -SAME)
    seconds_b, count_b = runs.through(b)
    seconds_a, count_a = runs.through(a)
    none = a < 0
    seconds, count = seconds_b - np.where(none, 0, seconds_a), count_b - np.where(none, 0, count_a)
    # What the samples in the point cover of it, with the end of the one before it and without that of the last.
    covered = np.where(none, 0, left[:-1]) + seconds - left[1:]
    good &= through | (covered >= 0.5 * (end - start))
    sums = less(read.sums(b), read.sums(a))
    _take_out(stream.records, kind, runs, a, b, sums)
    value = calibrated(stream.info, kind, sums, count)
    value[~good] = np.nan
    return value


class _Read:
    """Records read once each, asked for by their numbers; the sums before record 0 are 0."""

    def __init__(self, records, kind, numbers):
        # Not np.unique, which imports numpy.ma: that takes longer than all else here.
        numbers = np.sort(np.maximum(numbers, 0))
        self.numbers = numbers[np.diff(numbers, prepend=-1) > 0]
        self.held = records[self.numbers]
        self.column = self.held[_COLUMNS[kind]]

    def valid(self, numbers):
        return (self.held["valid"][np.searchsorted(self.numbers, np.maximum(numbers, 0))] != 0) & (numbers >= 0)

    def sums(self, numbers):
        found = self.column[np.searchsorted(self.numbers, np.maximum(numbers, 0))]
        return np.where(numbers < 0, found.dtype.type(0), found)


def _take_out(records, kind, runs, a, b, sums):
    """Take from the sums of points what gaps inside them put there."""
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


def extent(stream):
    """From when to when a stream goes, in words."""
    if not len(stream.records):
        return "the stream is empty"
    first, last = (number(float(stream.records["time"][at])) for at in (0, -1))
    return f"the stream goes from {first} to {last}"


def to_lines(found):
    """(text, whether a value is in it) of each of the (times, values) found: TSV lines, nan for none."""
    for times, held in found:
        lines = [f"{number(time)}\t{value!r}\n" for time, value in zip(times.tolist(), held.tolist(), strict=True)]
        yield "".join(lines), not np.isnan(held).all()


def to_json(stream, kind, found):
    """The same as one JSON object: name, kind, unit, times, values; null for none."""
    found = list(found)
    times = [time for part, _ in found for time in part.tolist()]
    held = [None if value != value else value for _, part in found for value in part.tolist()]
    told = {"name": stream.name, "kind": kind, "unit": stream.info.units, "times": times, "values": held}
    yield json.dumps(told) + "\n", any(value is not None for value in held)
