"""Series (see series) as xarray has them: samples are read when they are wanted, and only those."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray
from xarray.backends import BackendArray
from xarray.backends.locks import HDF5_LOCK
from xarray.core import indexing

# So many times are made at once, for an index of them.
_MOST_TIMES = 1 << 24


class _Sliced(BackendArray):
    """Something of the samples of a Series, for xarray, that is made when it is wanted.

    of: gives that of samples [begin, stop), a 1-D array; it can be pickled, as xarray may send it to other processes.
    """

    def __init__(self, series: Any, dtype: Any, of: Callable[[int, int], np.ndarray]):
        self._count, self.shape, self.dtype, self._of = len(series), (len(series),), np.dtype(dtype), of

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._sliced)

    def _sliced(self, key):
        (where,) = key
        if not isinstance(where, slice):
            number = range(self._count)[int(where)]
            return self._of(number, number + 1)[0]
        begin, stop, step = where.indices(self._count)
        if step == 1:
            return self._of(begin, max(begin, stop))
        numbers = range(begin, stop, step)
        if not numbers:
            return np.empty(0, dtype=self.dtype)
        low = min(numbers[0], numbers[-1])
        found = self._of(low, max(numbers[0], numbers[-1]) + 1)
        return found[np.array(numbers) - low]


def _samples(series, begin, stop):
    # xarray may read in several threads; open day files are shared.
    with HDF5_LOCK:
        return series.sliced(begin, stop)


def array(series: Any) -> xarray.DataArray:
    """The DataArray of a Series."""
    return xarray.DataArray(_variable(series), coords={"time": _times(series)}, name=series.name)


def dataset(many: Any) -> xarray.Dataset:
    """The Dataset of Series on one grid."""
    return datasets({"time": list(many.values())})


def datasets(groups: Mapping[str, Sequence[Any]]) -> xarray.Dataset:
    """The Dataset of Series, those that are on one grid together: {name of their dimension: Series}."""
    times = {}
    for dimension, (first, *_) in groups.items():
        # xarray makes an index, for which it wants all times, of a coordinate that has the name of its dimension.
        name = dimension if len(first) <= _MOST_TIMES else dimension.replace("time", "utc")
        times[name] = _times(first, dimension)
    return xarray.Dataset({each.name: _variable(each, at) for at, some in groups.items() for each in some}, times)


def _variable(series, dimension="time"):
    attributes = {"units": series.unit, "sample_rate": series.rate, "t0": series.t0, "channel": series.name}
    lazy = _Sliced(series, series.dtype, functools.partial(_samples, series))
    return xarray.Variable(dimension, indexing.LazilyIndexedArray(lazy), attributes)


def _times(series, dimension="time"):
    """The coordinate; times are made when they are wanted, which those of an index are at once."""
    attributes = {"standard_name": "time", "long_name": "UTC"}
    lazy = _Sliced(series, "datetime64[ns]", series.datetimes)
    return xarray.Variable(dimension, indexing.LazilyIndexedArray(lazy), attributes)
