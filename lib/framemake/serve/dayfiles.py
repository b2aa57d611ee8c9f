"""Day files opened for one channel: where its samples lie, the statistics of its units, and samples on demand.

A day file is opened anew each time, and only under the name that is its place.  So what is read in one go is of one
version, whole, even if a new file takes its place meanwhile.  What was read is kept by the file's identity.
"""

import collections
import math
import threading
from typing import NamedTuple

import h5py
import numpy as np

from .. import grid, jsontext
from ..day import layout
from ..errors import BadInput
from .streams import LINK, identity

# Bytes of statistics that a process keeps.
_KEPT = 48 << 20
_ENTRY = 400


class OpenChannel(NamedTuple):
    """A channel in a day file.

    rate in Hz, unit, t0: GPS s of sample 0, total samples; size: samples a unit (the last may have less); units:
    statistics, float64 (units, 7), as of coverage.statistics.
    """

    path: str
    identity: tuple
    name: str
    rate: float
    unit: str
    t0: float
    total: int
    size: int
    units: np.ndarray


class OpenChannels:
    """The OpenChannels that were asked for last; None for a channel that a file does not have."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held, self._size = collections.OrderedDict(), 0

    def channel(self, path: str, name: str) -> OpenChannel | None:
        """The OpenChannel of a name in a day file, None if it has none; BadInput if the file cannot be read."""
        # Taken before the file is opened: never newer than what is read.
        file_identity = identity(path)
        key = path, file_identity, name
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = _read_channel(path, file_identity, name)
        with self._lock:
            if key not in self._held:
                self._held[key] = found
                self._size += _bytes(found)
            while self._size > _KEPT:
                self._size -= _bytes(self._held.popitem(last=False)[1])
        return found


def read_samples(channel: OpenChannel, runs: list[tuple[int, int]]) -> list[np.ndarray]:
    """The samples of runs [(first, stop)] of a channel, one array each; BadInput if the file has been replaced."""
    if not runs:
        return []
    with _opened(channel.path) as file:
        if identity(channel.path) != channel.identity:
            raise BadInput(f"is being replaced, try again: {channel.path!r}")
        dataset = _dataset(file, channel.name)
        return [dataset[first:stop] for first, stop in runs]


def channels_of(path: str) -> dict[str, tuple[float, str]]:
    """{name: (rate in Hz, unit)} of the channels of a day file; BadInput if it cannot be read."""
    with _opened(path) as file:
        datasets = _provenance(file, "datasets")
        return {name: (rate, unit) for name, (rate, _, _, _, unit) in datasets.items()}


# --- what is read of a day file ----------------------------------------------------------


def _read_channel(path, file_identity, name):
    with _opened(path) as file:
        names, dataset = _provenance(file, "read"), _dataset(file, name)
        if dataset is None or name not in names:
            return None
        attributes = dataset.attrs
        rate, total = float(attributes["sample_rate"]), len(dataset)
        size = grid.cut(rate, int(file.attrs["increment_size"]), total / rate).unit
        units = _statistics(file, names.index(name), math.ceil(total / size))
        unit, t0 = str(attributes["unit"]), float(attributes["t0"])
        return OpenChannel(path, file_identity, name, rate, unit, t0, total, size, units)


def _provenance(file, name):
    """A member of the JSON that says where an open day file came from; KeyError if there is none."""
    # Through h5py's low-level objects: Dataset's own way takes half as long again.
    dataset = h5py.h5d.open(file.id, f"{layout.PROVENANCE}/inputs".encode())
    kind = dataset.get_type()
    raw = np.empty((), f"S{kind.get_size()}")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, kind)
    return jsontext.members(str(raw.data, "utf-8", "surrogatepass"), (name,))[name]


def _statistics(file, number, count):
    """Statistics of the `count` units of the channel of a number in the list that the day was made with."""
    table = file[f"{layout.PROVENANCE}/statistics/units{count}"]
    row = np.flatnonzero(table["members"][()] == number)
    if len(row) != 1:
        raise KeyError(number)
    return table["values"][int(row[0])]


def _dataset(file, name):
    """The dataset of a channel, or None; one whose samples lie in another file is none."""
    group = file[layout.CHANNELS]
    if "/" in name or "\0" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    dataset = group[name]
    return None if dataset.is_virtual or dataset.external else dataset


class _opened:
    """A day file, open for reading; BadInput, naming it, for whatever goes wrong inside."""

    def __init__(self, path):
        self.path, self.file = path, None

    def __enter__(self):
        if identity(self.path) == LINK:
            raise BadInput(f"is no plain file: {self.path!r}")
        try:
            self.file = h5py.File(self.path, "r")
        except OSError:
            raise BadInput(f"day file cannot be read, try again: {self.path!r}") from None
        return self.file

    def __exit__(self, kind, error, trace):
        self.file.close()
        if kind and issubclass(kind, (AttributeError, KeyError, OSError, ValueError, TypeError)):
            raise BadInput(f"not a day file of this project, or damaged: {self.path!r}") from None


def _bytes(channel):
    """What a kept channel takes of memory."""
    return _ENTRY + (channel.units.nbytes if channel else 0)
