"""Statistics of the samples of a channel, unit by unit, taken while the samples are in memory, and their sum.

A unit is what is read and rebuilt as one (see grid.cut); the statistics of a day are combined from those of its units.
"""

import math

import numpy as np

# Columns of the statistics of one unit of one channel; `first` and `last` are sample numbers, -1 for none.
COUNT, MIN, MAX, MEAN, M2, FIRST, LAST = range(7)
NOTHING = (0, math.nan, math.nan, math.nan, 0, -1, -1)
_ROWS_AT_ONCE, _SAMPLES_AT_ONCE = 64, 1 << 21


def of_units(data: np.ndarray, good: np.ndarray | None, first: int, unit: int) -> np.ndarray:
    """Statistics of each unit of each row.

    data: float array (rows, samples), NaN where nothing is; good: bool array of its shape, or None if all
    are; first: number of sample 0; unit: samples a unit.  Returns float64 (rows, units, 7); M2 is the sum of
    squared deviations from the unit's mean, in float64 throughout.  Rows do not touch one another, nor does the cut
    of the work into blocks.
    """
    height, width = data.shape
    count = math.ceil(width / unit)
    result = np.empty((height, count, 7))
    some = max(1, min(_ROWS_AT_ONCE, _SAMPLES_AT_ONCE // unit))
    for number in range(count):
        a, b = number * unit, min((number + 1) * unit, width)
        for top in range(0, height, some):
            rows = slice(top, top + some)
            result[rows, number] = _of_unit(data[rows, a:b], None if good is None else good[rows, a:b], first + a)
    return result


def _of_unit(data, good, first):
    if good is None:
        return _of_full(data, first)
    counts = np.count_nonzero(good, axis=1)
    whole = counts == data.shape[1]
    result = np.full((len(data), 7), np.nan)
    if whole.all():
        result[:] = _of_full(data, first)
        return result
    for row, count in enumerate(counts):
        if count == 0:
            result[row] = NOTHING
        elif whole[row]:
            result[row] = _of_full(data[row : row + 1], first)[0]
        else:
            at = np.flatnonzero(good[row])
            result[row] = _of_full(data[row : row + 1, at], first)[0]
            result[row, FIRST], result[row, LAST] = first + at[0], first + at[-1]
    return result


def _of_full(data, first):
    width = data.shape[1]
    result = np.empty((len(data), 7))
    with np.errstate(over="ignore", invalid="ignore"):
        wide = data.astype(np.float64)
        mean = wide.sum(axis=1) / width
        wide -= mean[:, None]
        np.multiply(wide, wide, out=wide)
        result[:, M2] = wide.sum(axis=1)
    result[:, COUNT], result[:, MIN], result[:, MAX] = width, data.min(axis=1), data.max(axis=1)
    result[:, MEAN], result[:, FIRST], result[:, LAST] = mean, first, first + width - 1
    return result


def combine(units: np.ndarray) -> np.ndarray:
    """Statistics of a whole from those of its units, in their order: (..., units, 7) to (..., 7).

    Mean and M2 are joined pair by pair (Chan, Golub, LeVeque 1979), which is stable whatever the mean.
    """
    total = units[..., 0, :].copy()
    for number in range(1, units.shape[-2]):
        more = units[..., number, :]
        a, b = total[..., COUNT], more[..., COUNT]
        empty, start = b == 0, a == 0
        count = a + b
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            delta = more[..., MEAN] - total[..., MEAN]
            mean = total[..., MEAN] + delta * (b / count)
            m2 = total[..., M2] + more[..., M2] + delta * delta * (a * b / count)
        total[..., MEAN] = np.where(start, more[..., MEAN], np.where(empty, total[..., MEAN], mean))
        total[..., M2] = np.where(start, more[..., M2], np.where(empty, total[..., M2], m2))
        total[..., MIN] = np.fmin(total[..., MIN], more[..., MIN])
        total[..., MAX] = np.fmax(total[..., MAX], more[..., MAX])
        total[..., FIRST] = np.where(start, more[..., FIRST], total[..., FIRST])
        total[..., LAST] = np.where(empty, total[..., LAST], more[..., LAST])
        total[..., COUNT] = count
    return total
