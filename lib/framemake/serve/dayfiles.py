"""Day files opened for one channel: where its samples lie, the statistics of its units, and samples on demand.

A day file is opened anew for each look, and only under the name that is its place: so it is one version, whole, even
if a new one takes its place meanwhile.  What was read is kept by the file's identity.
"""

import collections
import hashlib
import json
import math
import threading
from typing import NamedTuple

import h5py
import numpy as np

from .. import grid
from ..day import layout
from ..errors import BadInput
from .streams import LINK, identity

# Bytes of statistics that a process keeps.
_KEPT = 48 << 20
_ENTRY = 400
# Where the names that a file's rows of statistics belong to begin and end in its JSON; quotes in names are escaped.
_READ, _AFTER = b'"read": ', b', "seen": ['


class Channel(NamedTuple):
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


class Cache:
    """The Channels that were looked at last; None for a channel that a file does not have."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held, self._size = collections.OrderedDict(), 0
        self._orders = {}

    def channel(self, path, name):
        """The Channel of a name in a day file, or None; BadInput if the file cannot be read."""
        told = identity(path)
        key = path, told, name
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = self._read(path, told, name)
        with self._lock:
            if key not in self._held:
                self._held[key] = found
                self._size += _size(found)
            while self._size > _KEPT:
                self._size -= _size(self._held.popitem(last=False)[1])
        return found

    def _read(self, path, told, name):
        with _opened(path) as file:
            at = self._order(file[layout.PROVENANCE]["inputs"][()]).get(name)
            dataset = _dataset(file, name)
            if at is None or dataset is None:
                return None
            attributes = dataset.attrs
            rate, total = float(attributes["sample_rate"]), len(dataset)
            size = grid.cut(rate, int(file.attrs["increment_size"]), total / rate).unit
            table = file[layout.PROVENANCE]["statistics"][f"units{math.ceil(total / size)}"]
            row = np.flatnonzero(table["members"][()] == at)
            if len(row) != 1:
                raise KeyError(name)
            units = table["values"][int(row[0])]
            return Channel(path, told, name, rate, str(attributes["unit"]), float(attributes["t0"]), total, size, units)

    def _order(self, raw):
        """{name: number} of the channels that a day file was made with; files that have the same share it."""
        begin = raw.find(_READ)
        end = raw.find(_AFTER, begin)
        if begin < 0 or end < 0:
            return {name: at for at, name in enumerate(json.loads(raw)["read"])}
        text = raw[begin + len(_READ) : end]
        digest = hashlib.blake2b(text, digest_size=16).digest()
        order = self._orders.get(digest)
        if order is None:
            order = {name: at for at, name in enumerate(json.loads(text))}
            if len(self._orders) > 8:
                self._orders.clear()
            self._orders[digest] = order
        return order


def samples(channel, runs):
    """The samples of runs [(first, stop)] of a channel, one array each; BadInput if the file changes meanwhile."""
    if not runs:
        return []
    with _opened(channel.path) as file:
        if identity(channel.path) != channel.identity:
            raise BadInput(f"is being replaced, try again: {channel.path!r}")
        dataset = _dataset(file, channel.name)
        return [dataset[first:stop] for first, stop in runs]


def channels(path):
    """{name: (rate in Hz, unit)} of the channels of a day file; BadInput if it cannot be read."""
    with _opened(path) as file:
        told = json.loads(file[layout.PROVENANCE]["inputs"][()])
        return {name: (rate, unit) for name, (rate, _, _, _, unit) in told["datasets"].items()}


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
        if kind and issubclass(kind, (KeyError, OSError, ValueError, TypeError)):
            raise BadInput(f"not a day file of this project, or damaged: {self.path!r}") from None


def _dataset(file, name):
    """The dataset of a channel, or None; one whose samples lie in another file is none."""
    group = file[layout.CHANNELS]
    if "/" in name or "\0" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    dataset = group[name]
    return None if dataset.is_virtual or dataset.external else dataset


def _size(channel):
    return _ENTRY + (channel.units.nbytes if channel else 0)
