"""Samples in bins of time: count, mean, min, max, std and median of each; the server's points are bins, too."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import BadInput

# What a bin can have.  std: sqrt of the mean squared deviation from the bin's mean, as the coverage of a day has it.
VALUES = ("mean", "min", "max", "median", "std", "count")
# Samples that are in memory at once, and bins.  A median needs all samples of its bin.
_AT_ONCE, _BINS_AT_ONCE = 1 << 21, 1 << 15
_MOST_FOR_MEDIAN = 1 << 26
_MOST_BINS = 100_000_000


class Bins:
    """Bins as they fill: arrays of what the good samples in each come to, NaN or 0 where there is none."""

    def __init__(self, number: int):
        self.count, self.sum, self.m2 = np.zeros(number, dtype=np.int64), np.zeros(number), np.zeros(number)
        self.min, self.max = np.full(number, np.nan), np.full(number, np.nan)

    def add(self, at: np.ndarray, count: np.ndarray, total: np.ndarray, least: np.ndarray, most: np.ndarray) -> None:
        """Take in pieces: arrays of one length; at: the bin of each, rising.  `std` does not know of them."""
        with np.errstate(invalid="ignore", over="ignore"):
            np.add.at(self.count, at, count.astype(np.int64))
            np.add.at(self.sum, at, total)
            np.fmin.at(self.min, at, least)
            np.fmax.at(self.max, at, most)

    def add_samples(self, bounds: np.ndarray, first: int, held: np.ndarray, spread: bool = False) -> None:
        """Take in samples, the first of which has the number `first`; bounds: the number at which each bin begins, and
        the last ends; spread: for std."""
        low = int(np.searchsorted(bounds, first, side="right")) - 1
        high = int(np.searchsorted(bounds, first + len(held) - 1, side="right"))
        begin = np.maximum(bounds[low:high] - first, 0)
        # A bin without a sample begins where the next does; reduceat would give it that one's first sample.
        some = np.diff(begin, append=len(held)) > 0
        begin, at = begin[some], np.arange(low, high)[some]
        good = ~np.isnan(held)
        count = np.add.reduceat(good, begin, dtype=np.int64)
        with np.errstate(invalid="ignore", over="ignore"):
            total = np.add.reduceat(np.where(good, held, 0), begin, dtype=np.float64)
            least, most = np.fmin.reduceat(held, begin), np.fmax.reduceat(held, begin)
        if spread:
            self._spread(at, count, total, begin, np.where(good, held, np.nan))
        self.add(at, count, total, least, most)

    def _spread(self, at, count, total, begin, held):
        """Join squared deviations pair by pair (Chan, Golub, LeVeque 1979), before the samples are counted."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            mean = np.where(count > 0, total / count, 0)
            lengths = np.diff(begin, append=len(held))
            deviation = held - np.repeat(mean, lengths)
            m2 = np.add.reduceat(np.nan_to_num(deviation, nan=0.0, posinf=np.inf, neginf=-np.inf) ** 2, begin)
            before = self.count[at]
            both = (before > 0) & (count > 0)
            apart = np.where(both, self.sum[at] / before - mean, 0.0)
            self.m2[at] += m2 + np.where(both, apart * apart * before * count / (before + count), 0.0)

    def mean(self) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.where(self.count > 0, self.sum / self.count, np.nan)

    def std(self) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.where(self.count > 0, np.sqrt(self.m2 / self.count), np.nan)


def edges(start: float, end: float, every: float | None = None, points: int | None = None) -> np.ndarray:
    """Where the bins of a span in GPS seconds begin, and the last ends: float64.

    every: seconds of a bin, of which the last may be shorter; or points: into how many equal bins it is cut.
    """
    if points is None:
        if every is None or not every > 0:
            raise BadInput(f"a bin is longer than 0 seconds: {every!r}")
        points = max(1, math.ceil((end - start) / every - 1e-9))
    if points > _MOST_BINS:
        raise BadInput(f"at most {_MOST_BINS} bins: {points}")
    step = every if every is not None else (end - start) / points
    found = start + np.arange(points + 1) * step
    found[-1] = end
    return found


def binned(
    series: Any, cut: np.ndarray, values: Sequence[str], keep: Sequence[tuple[float, float]] | None = None
) -> Iterator[list[np.ndarray]]:
    """Of some bins after another: an array for each of the values wanted, one after another, NaN for an empty bin.

    series: a Series; cut: as of edges; values: of VALUES; keep: the spans in GPS seconds, in order, of which samples
    count, if not all do.  BadInput for a value that there is not, or a median over too many samples.
    """
    for value in values:
        if value not in VALUES:
            raise BadInput(f"no such value, want {', '.join(VALUES)}: {value!r}")
    bounds = series.numbers_at(cut)
    at = 0
    while at < len(bounds) - 1:
        most = int(np.searchsorted(bounds, bounds[at] + _AT_ONCE, side="right")) - 1
        stop = min(max(at + 1, most), at + _BINS_AT_ONCE, len(bounds) - 1)
        yield _some(series, bounds[at : stop + 1], values, keep)
        at = stop


def _some(series, bounds, values, keep):
    first, last = int(bounds[0]), int(bounds[-1])
    made, whole = Bins(len(bounds) - 1), "median" in values
    if whole and last - first > _MOST_FOR_MEDIAN:
        raise BadInput(f"a median of more than {_MOST_FOR_MEDIAN} samples, shorter bins have fewer: {series.name!r}")
    step = last - first if whole else _AT_ONCE
    for begin in range(first, last, max(1, step)):
        held = series.sliced(begin, min(begin + step, last))
        if keep is not None:
            held = np.where(inside(series, begin, len(held), keep), held, np.nan)
        made.add_samples(bounds, begin, held, "std" in values)
    medians = _medians(held, bounds - first) if whole and last > first else np.full(len(bounds) - 1, np.nan)
    ways = {"mean": made.mean, "std": made.std, "median": lambda: medians}
    return [ways[value]() if value in ways else getattr(made, value) for value in values]


def _medians(held, bounds):
    """The median of the good samples between each two bounds."""
    lengths = np.diff(bounds)
    if len(lengths) > 1 and (lengths[:-1] == lengths[0]).all() and lengths[0] > 0 and lengths[-1] <= lengths[0]:
        # Equal bins, as most are: all in one go, the last filled up.
        table = np.full(len(lengths) * lengths[0], np.nan)
        table[: len(held)] = held
        return _median_of_rows(table.reshape(len(lengths), lengths[0]))
    return np.array([_median_of_rows(held[None, a:b])[0] if b > a else np.nan for a, b in itertools.pairwise(bounds)])


def _median_of_rows(rows):
    """np.nanmedian along rows, of which some may be empty, without its warnings."""
    ordered = np.sort(rows.astype(np.float64), axis=1)
    count = np.count_nonzero(~np.isnan(ordered), axis=1)
    at = np.arange(len(rows))
    low, high = ordered[at, np.maximum(count - 1, 0) // 2], ordered[at, np.minimum(count // 2, rows.shape[1] - 1)]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (low + high) / 2, np.nan)


def inside(series: Any, first: int, count: int, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """Which of so many samples of a series, from number `first` on, lie in one of the spans in GPS seconds."""
    found = np.zeros(count, dtype=bool)
    if len(spans):
        for a, b in series.numbers_at(np.array(spans, dtype=float)).tolist():
            if a < first + count and b > first:
                found[max(0, a - first) : max(0, b - first)] = True
    return found
