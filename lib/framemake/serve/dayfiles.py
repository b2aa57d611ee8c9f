"""Day files opened for one channel: where its samples lie, the statistics of its units, and samples on demand.

A day file is opened anew each time, and only under the name that is its place.  So what is read in one go is of one
version, whole, even if a new file takes its place meanwhile.  What was read is kept by the file's identity.
"""

import collections
import math
import threading
from typing import NamedTuple

import numpy as np

from .. import grid
from ..day.dayfile import FAULTS, DayFile
from ..errors import BadInput
from .streams import LINK, identity

# Bytes of statistics that a process keeps.
_KEPT = 48 << 20
_ENTRY = 400


class OpenChannel(NamedTuple):
    """A channel in a day file.

    rate in Hz, unit, t0: GPS s of sample 0, total samples; size: samples a unit (the last may have less); units:
    statistics, float64 (units, columns), see day.statistics.
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
    with _opened(channel.path) as day:
        if identity(channel.path) != channel.identity:
            raise BadInput(f"is being replaced, try again: {channel.path!r}")
        return [day.samples(channel.name, first, stop) for first, stop in runs]


def channels_of(path: str) -> dict[str, tuple[float, str]]:
    """{name: (rate in Hz, unit)} of the channels of a day file; BadInput if it cannot be read."""
    with _opened(path) as day:
        return {name: (rate, unit) for name, (rate, _, _, _, unit) in day.peek("datasets")["datasets"].items()}


# --- what is read of a day file ----------------------------------------------------------


def _read_channel(path, file_identity, name):
    with _opened(path) as day:
        dataset = day.dataset(name)
        if dataset is None or name not in day.peek("read")["read"]:
            return None
        attributes = dataset.attrs
        rate, total = float(attributes["sample_rate"]), len(dataset)
        # Damage: no window is shorter than a second, and units of such a rate are looked for for ever.
        if not 0 < rate <= total * 1.001:
            raise ValueError(rate)
        size = grid.cut(rate, int(day.file.attrs["increment_size"]), total / rate).unit
        units = day.statistics_alone(name)
        if len(units) != math.ceil(total / size):
            raise KeyError(name)
        unit, t0 = str(attributes["unit"]), day.t0_of(name)
        return OpenChannel(path, file_identity, name, rate, unit, t0, total, size, units)


class _opened:
    """A day file, open for reading; BadInput, naming it, for whatever goes wrong inside."""

    def __init__(self, path):
        self.path, self.day = path, None

    def __enter__(self):
        if identity(self.path) == LINK:
            raise BadInput(f"is no plain file: {self.path!r}")
        try:
            self.day = DayFile(self.path)
        except BadInput:
            raise BadInput(f"day file cannot be read, try again: {self.path!r}") from None
        return self.day

    def __exit__(self, kind, error, trace):
        self.day.close()
        if kind and issubclass(kind, FAULTS):
            raise BadInput(f"not a day file of this project, or damaged: {self.path!r}") from None


def _bytes(channel):
    """What a kept channel takes of memory."""
    return _ENTRY + (channel.units.nbytes if channel else 0)
