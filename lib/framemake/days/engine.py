"""Days as xarray opens them: xarray.open_dataset(path, engine=framemake.XarrayEngine), each channel over its times.

Where the package is installed xarray knows it as engine="framemake", and takes it for day files by itself.
"""

import os
from collections.abc import Iterable
from typing import Any

import h5py
import xarray
from xarray.backends import BackendEntrypoint

from .. import gps
from ..day import layout
from . import lazy, series
from .read import Days, open_days
from .series import Series


class Engine(BackendEntrypoint):
    """A backend of xarray for a day file, or a folder of days."""

    description = "Day files of framemake, and folders of them"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "channels", "start", "end", "spec")

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        channels: Iterable[str] | None = None,
        start: Any = None,
        end: Any = None,
        spec: str | None = None,
    ) -> xarray.Dataset:
        """The channels of a day file or of a folder of days, a variable each: samples are read when they are wanted.

        channels: only these; of many days it is quicker to say which.  start, end: as of Days.read; spec: as of
        open_days.  Channels that have their samples at the same times share a dimension, which is `time` for most and
        `time_16Hz` or the like for others.  Its coordinate is UTC, datetime64[ns]; of a dimension with more than
        16 million times it is `utc` or `utc_16Hz`, and has no index: such a one is cut by isel.  Raises BadInput as
        Days.read does.
        """
        days = open_days(os.fspath(filename_or_obj), spec)
        left_out = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        span = days.span()
        begin = span.start if start is None else gps.seconds(start)
        stop = span.end if end is None else gps.seconds(end)
        names = [name for name in (_names(days, begin, stop) if channels is None else channels) if name not in left_out]
        found = [series.plan(days, name, begin, stop, at_once=False)[0] for name in names]
        made = lazy.datasets(_by_times(found))
        made.attrs.update(source=days.out, start=gps.zoned(begin), end=gps.zoned(stop))
        made.set_close(days.close)
        return made

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether it is a day file."""
        path = filename_or_obj
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).endswith(".h5") or not os.path.isfile(path):
            return False
        try:
            with h5py.File(path, "r") as file:
                return layout.CHANNELS in file and "start_dt" in file.attrs
        except (OSError, KeyError, RuntimeError):
            return False


def _names(days: Days, start: float, end: float) -> list[str]:
    """The channels of all days of a span, in the order in which they are met."""
    found: dict[str, None] = {}
    for folder in days.between(start, end).values():
        if os.path.exists(folder.h5):
            with days.day(folder.h5) as day:
                found.update(dict.fromkeys(day.peek("datasets")["datasets"]))
    return list(found)


def _by_times(found: list[Series]) -> dict[str, list[Series]]:
    """{dimension: the channels that have it}."""
    groups: list[list[Series]] = []
    for each in found:
        own = next((group for group in groups if series.on_one_grid(group[0], each)), None)
        if own is None:
            groups.append([each])
        else:
            own.append(each)
    named: dict[str, list[Series]] = {}
    for group in sorted(groups, key=len, reverse=True):
        name = f"time_{group[0].rate:g}Hz" if named else "time"
        same = sum(other == name or other.startswith(f"{name}_") for other in named)
        named[f"{name}_{same + 1}" if same else name] = group
    return named
