"""Series (see series) as xarray has them: samples are read when they are wanted, and only those."""

from typing import Any

import numpy as np
import xarray
from xarray.backends import BackendArray
from xarray.core import indexing


class _Samples(BackendArray):
    """The samples of a Series, for xarray: a slice of it is a slice of the day files."""

    def __init__(self, series: Any):
        self._series, self.shape, self.dtype = series, (len(series),), series.dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._sliced)

    def _sliced(self, key):
        (where,) = key
        if not isinstance(where, slice):
            number = range(len(self._series))[int(where)]
            return self._series.sliced(number, number + 1)[0]
        begin, stop, step = where.indices(len(self._series))
        if step == 1:
            return self._series.sliced(begin, max(begin, stop))
        numbers = range(begin, stop, step)
        if not numbers:
            return np.empty(0, dtype=self.dtype)
        low = min(numbers[0], numbers[-1])
        found = self._series.sliced(low, max(numbers[0], numbers[-1]) + 1)
        return found[np.array(numbers) - low]


def array(series: Any) -> xarray.DataArray:
    """The DataArray of a Series."""
    return xarray.DataArray(_variable(series), coords={"time": _times(series)}, name=series.name)


def dataset(many: Any) -> xarray.Dataset:
    """The Dataset of Series on one grid."""
    first = next(iter(many.values()))
    return xarray.Dataset({name: _variable(series) for name, series in many.items()}, coords={"time": _times(first)})


def _variable(series):
    attributes = {"units": series.unit, "sample_rate": series.rate, "t0": series.t0, "channel": series.name}
    return xarray.Variable("time", indexing.LazilyIndexedArray(_Samples(series)), attributes)


def _times(series):
    return "time", series.datetimes(), {"standard_name": "time", "long_name": "UTC"}
