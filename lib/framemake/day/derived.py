"""A day file whose samples are computed and not a frame's own: written channel by channel, whole and at once.

Days of streams and days at a lower rate are written here, in the layout that dayfile tells.
"""

import contextlib
import os
from collections.abc import Callable, Iterator

import h5py
import numpy as np

from .. import grid
from ..gps import Window
from . import layout, statistics
from .folder import Folder
from .provenance import Dataset, Provenance, write_statistics


class Writer:
    """A day file that is being written: add() each channel, then finish().

    group: the HDF5 group of the channels.  datasets: {channel: Dataset} of those that were written.
    """

    def __init__(self, file: h5py.File, path: str, window: Window, increment: int, compression: str):
        self.window, self.increment, self.compression = window, increment, compression
        self.datasets: dict[str, Dataset] = {}
        self.group = file.create_group(layout.CHANNELS)
        self._file, self._path = file, path
        self._statistics: dict[str, np.ndarray] = {}

    def add(
        self, name: str, dtype: str, where: grid.Grid, unit: str, samples: Callable[[int, int], np.ndarray]
    ) -> bool:
        """Write a channel; returns whether it has a sample: one without any is not written.

        dtype: 'float32' or 'float64'.  where: its grid.  samples: samples [first, stop) of it, 1-D, NaN where there is
        no data; called with one unit of the grid after another, so that a fast channel need not fit into memory.
        """
        cut = grid.cut(where.rate, self.increment, self.window.duration)
        total, t0 = grid.length(self.window.duration, where.rate), grid.t0(self.window, where)
        dataset, units = None, []
        for first in range(0, total, cut.unit):
            values = samples(first, min(first + cut.unit, total)).astype(dtype, copy=False)
            good = ~np.isnan(values)
            units.append(statistics.of_units(values[None], good[None], first, cut.unit)[0, 0])
            for at in range(0, len(values), cut.chunk):
                if not good[at : at + cut.chunk].any():
                    continue
                if dataset is None:
                    dataset = layout.create(self.group, name, dtype, total, cut.chunk, self.compression)
                    layout.describe(dataset, name, where.rate, unit, t0)
                chunk = values[at : at + cut.chunk]
                layout.write_chunk(dataset, (first + at,), chunk, cut.chunk, self.compression)
        if dataset is None:
            return False
        self.datasets[name] = Dataset(where.rate, np.dtype(dtype).name, total, t0, unit)
        self._statistics[name] = np.array(units)
        return True

    def finish(self, provenance: Provenance) -> None:
        """Write where the day comes from, the statistics, and the attributes of the file."""
        group = self._file.create_group(layout.PROVENANCE)
        provenance.save(group)
        number = {name: at for at, name in enumerate(provenance.channels)}
        write_statistics(group, {number[name]: units for name, units in self._statistics.items()}, provenance)
        layout.stamp(self._file, self.window, self.increment, os.path.splitext(os.path.basename(self._path))[0])


@contextlib.contextmanager
def writing(path: str, window: Window, increment: int, compression: str) -> Iterator[Writer]:
    """A Writer of the day file `path`, which takes its place when the block ends, and not if an error ends it.

    increment: seconds of the pieces that the statistics are by.  BadInput if there is no such compression.
    """
    layout.filters(compression)
    with layout.writing(path) as file:
        yield Writer(file, path, window, increment, compression)
        Folder.holding(path).drop_manifest()
