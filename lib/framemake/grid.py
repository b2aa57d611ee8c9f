"""The sample grid of a channel in a window, and how its samples are cut into units and HDF5 chunks.

Sample k of a grid lies at window start + (k + phase) / rate, 0 <= phase < 1: samples stay where the frames
have them.  A unit is what is read, reduced to statistics and rebuilt as one: whole increments where the
rate is low, a part of one where it is high.  A chunk divides a unit, so a unit's compressed chunks can be
moved from file to file as they are.
"""

import math
from typing import NamedTuple

from .gps import Window

# One chunk a 600-s increment of a 1 Hz channel holds 2.4 kB: a day is then slower to join (x3) and to read
# (x1.3) and 8 % larger than with chunks of at least 7200 samples.
_CHUNK_LEAST = 7200
_CHUNK_MOST = 131072
_UNIT_MOST = 12_500_000
# Frames whose sample times differ by less than this part of a sample are on one grid.
_SAME = 1e-3


class Grid(NamedTuple):
    """Where samples lie: rate in Hz, and phase, the time of sample 0 after the window's start, in samples."""

    rate: float
    phase: float

    @property
    def key(self) -> tuple[float, float]:
        """What is the same for all grids that count as one."""
        return self.rate, round(self.phase, 3)


class Cut(NamedTuple):
    """How many samples a unit has, and how many a chunk."""

    unit: int
    chunk: int


def length(duration: float, rate: float) -> int:
    """Samples in a window of `duration` seconds at `rate` Hz: round(duration * rate)."""
    return round(duration * rate)


def rate_of(dt: float) -> float:
    """Sample rate in Hz of a spacing in seconds, free of the rounding in 1/dt."""
    rate = 1.0 / dt
    whole = round(rate)
    if whole and abs(rate - whole) < 1e-9 * whole:
        return float(whole)
    return rate


def place(offset: float, rate: float) -> tuple[int, float]:
    """(k, phase) of a sample at `offset` seconds from the start of the window; k may be negative."""
    position = offset * rate
    k = math.floor(position)
    phase = position - k
    if phase > 1 - _SAME:
        return k + 1, 0.0
    return k, 0.0 if phase < _SAME else round(phase, 9)


def first_at(seconds: float, grid: Grid) -> int:
    """The first k whose time is at or after `seconds` from the start of the window."""
    return math.ceil(seconds * grid.rate - grid.phase - _SAME)


def t0(window: Window, grid: Grid) -> float:
    """GPS time of sample 0, rounded to the microsecond: what float64 holds of a GPS time."""
    return float(window.start) + round(grid.phase / grid.rate, 6)


def cut(rate: float, increment: float, duration: float) -> Cut:
    """How the samples of a channel of `rate` Hz are cut, in a window of `duration` and increments, both in seconds.

    A channel that has no whole number of samples an increment is one unit.
    """
    total = max(1, length(duration, rate))
    per = rate * increment
    whole = round(per)
    if whole < 1 or abs(per - whole) > 1e-6 * per:
        return Cut(total, min(total, _CHUNK_MOST))
    if whole < _CHUNK_LEAST:
        unit = whole * math.ceil(_CHUNK_LEAST / whole)
        return Cut(unit, unit) if unit < total else Cut(total, total)
    unit = _largest_divisor(whole, _UNIT_MOST)
    chunk = _largest_divisor(unit, _CHUNK_MOST)
    # A window shorter than an increment is one unit, and no chunk is longer than what there is.
    return Cut(unit, chunk) if unit < total else Cut(total, min(chunk, total))


def _largest_divisor(value, most):
    """The largest divisor of value that is at most `most`; value itself if only tiny ones are."""
    for parts in range(math.ceil(value / most), value // 256 + 1):
        if value % parts == 0:
            return value // parts
    return value
