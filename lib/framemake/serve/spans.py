"""Min, max and mean of a channel over a span of days, in points.

They are taken of the samples or, where these are many, of the statistics that the day files keep of each unit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..day import statistics
from ..days.bins import Bins
from . import dayfiles

# Samples that are read for one request: more than the longest unit has, and some tenths of a second's work.
MOST_SAMPLES = 16_000_000
_AT_ONCE = 1 << 20


class Curve(NamedTuple):
    """Points of a channel: GPS s at which each begins (it ends where the next does), and float64 arrays as long.

    unit: None if no day has the channel.  covered: part of the time of each point that has good samples, 0 to 1.
    problem: what was left out, or ''.
    """

    unit: str | None
    times: np.ndarray
    min: np.ndarray
    max: np.ndarray
    mean: np.ndarray
    covered: np.ndarray
    problem: str = ""


def curve(
    days: Sequence[dayfiles.OpenChannel | None], start: float, end: float, points: int, most: int = MOST_SAMPLES
) -> Curve:
    """The Curve of a channel over a span in GPS s, in at most so many points.

    days: the channel in each day file of the span, in order; None where a day does not have it.  most: samples that
    may be read.  If the span has more, points begin and end on units, and may be fewer.  Raises BadInput if a day file
    has been replaced since its channel was opened.
    """
    held = [day for day in days if day is not None]
    unit = held[-1].unit if held else None
    other = sorted({day.unit for day in held} - {unit})
    problem = (
        f"unit changes, days in another than the last are left out: {', '.join(map(repr, other))}" if other else ""
    )
    held = [day for day in held if day.unit == unit]
    edges = start + np.arange(points + 1) * ((end - start) / points)
    edges[-1] = end
    exact = sum(np.ptp(_samples_at(day, edges[[0, -1]])) for day in held) <= most
    if not exact:
        edges = _on_units(held, edges)
    made, seconds = Bins(len(edges) - 1), np.zeros(len(edges) - 1)
    for day in held:
        before = made.count.copy()
        _add(made, day, edges, exact)
        seconds += (made.count - before) / day.rate
    # A point that is shorter than a sample has it or has not; one that holds more samples than its length does is full.
    covered = np.minimum(np.where(made.count > 0, np.maximum(seconds / np.diff(edges), 0), 0), 1)
    return Curve(unit, edges[:-1], made.min, made.max, made.mean(), covered, problem)


def _samples_at(day, times):
    """The first sample of a day at or after each time, as numbers within the day's samples."""
    # float64 holds a GPS time to some 1e-7 s: a sample that is so near to a time is at it.
    near = max(1e-3, day.rate * 5e-7)
    return np.clip(np.ceil((times - day.t0) * day.rate - near), 0, day.total).astype(np.int64)


def _on_units(days, edges):
    """Edges of points moved to the nearest edge of a unit, those that fall together one; the first and last stay."""
    moved = edges.copy()
    for day in days:
        length = day.size / day.rate
        inside = (edges >= day.t0) & (edges < day.t0 + day.total / day.rate)
        number = np.minimum(np.rint((edges[inside] - day.t0) / length), len(day.units))
        moved[inside] = day.t0 + np.minimum(number * length, day.total / day.rate)
    inner = moved[1:-1]
    inner = inner[(inner > edges[0]) & (inner < edges[-1])]
    found = np.concatenate((edges[:1], inner, edges[-1:]))
    # The end of a day and the beginning of the next may differ by their rounding.
    return found[np.append(np.diff(found) > 1e-6, True)] if len(found) > 2 else found


def _add(made, day, edges, exact):
    """Take in what a day gives to the points between the edges."""
    bounds = _samples_at(day, edges)
    first, stop = int(bounds[0]), int(bounds[-1])
    if first >= stop:
        return
    if exact:
        runs = [(first, stop)]
    else:
        begin = -(-first // day.size)
        end = len(day.units) if stop == day.total else stop // day.size
        if begin < end:
            _add_units(made, day, bounds, begin, end)
            runs = [(first, begin * day.size), (min(end * day.size, day.total), stop)]
        else:
            runs = [(first, stop)]
    runs = [(at, min(at + _AT_ONCE, b)) for a, b in runs for at in range(a, b, _AT_ONCE)]
    # A run that touches only units without a good sample need not be read.
    runs = [(a, b) for a, b in runs if day.units[a // day.size : -(-b // day.size), statistics.COUNT].any()]
    for at in range(0, len(runs), 4):
        some = runs[at : at + 4]
        for (a, _), held in zip(some, dayfiles.read_samples(day, some), strict=True):
            made.add_samples(bounds, a, held)


def _add_units(made, day, bounds, begin, end):
    units = day.units[begin:end]
    at = np.searchsorted(bounds, np.arange(begin, end) * day.size, side="right") - 1
    some = units[:, statistics.COUNT] > 0
    units, at = units[some], at[some]
    count = units[:, statistics.COUNT]
    with np.errstate(invalid="ignore", over="ignore"):
        total = units[:, statistics.MEAN] * count
    made.add(at, count, total, units[:, statistics.MIN], units[:, statistics.MAX])
