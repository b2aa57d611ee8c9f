"""Virgo-like trend frames that are made up: each sample depends on its channel and GPS time alone.

So the same day cut into frames of any length holds the same samples, and a test can tell what any of them
must be.
"""

import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..gps import Window
from ..gwf.write import Signal, write
from . import catalog

_NOISE = 1 << 20
# A turn of the drift that has no more samples is kept.
_TABLE = 1 << 22
_DAY = 86400
_SYSTEMS = ("Sa_NE", "Sa_WE", "INJ_IMC", "LSC_DARM", "ENV_CEB", "SUSP_BS", "VAC_MC", "DET_B1", "ASC_DIFF", "TCS_NI")
_UNITS = ("V", "um", "W", "m/s", "K", "um", "mbar", "mW", "urad", "A")


class Trouble(NamedTuple):
    """What a day with troubles has, by number of the frame file or channel."""

    missing_file: int
    holed_file: int
    holed_channels: range
    late_channel: int
    late_from: int


def names(count: int) -> list[str]:
    """`count` channel names like Virgo's, each different."""
    ends = ("mean", "rms", "min", "max")
    return [f"V1:{_SYSTEMS[i % 10]}_CH{i // 4:05d}_{ends[i % 4]}" for i in range(count)]


class Maker:
    """Samples of channels, by number: level, daily drift and noise; float32."""

    def __init__(self, rate: float = 1.0, seed: int = 0) -> None:
        self.rate = rate
        self._noise = np.random.default_rng(seed).standard_normal(_NOISE).astype(np.float32)
        self._turn = round(_DAY * rate)
        # All of one turn for trends; for fast channels it would fill the memory.
        self._table = _drift(np.arange(self._turn), self._turn) if self._turn <= _TABLE else None

    def samples(self, channel: int, start: float, count: int) -> np.ndarray:
        """`count` samples, float32, of a channel from GPS `start`."""
        first = math.ceil(start * self.rate - 1e-6)
        values = _loop(self._noise, first + 7919 * channel, count) * np.float32(0.1)
        at = first + 977 * channel
        if self._table is None:
            values += _drift((at + np.arange(count)) % self._turn, self._turn)
        else:
            values += _loop(self._table, at, count)
        return values + np.float32(10 * (channel % 17))


def _drift(numbers, turn):
    """Samples of a sine of `turn` samples, float32."""
    return np.sin(numbers * (2 * math.pi / max(1, turn))).astype(np.float32)


def _loop(table, first, count):
    """Samples [first, first + count) of an endless repetition of a table."""
    first %= len(table)
    if first + count <= len(table):
        return table[first : first + count]
    return table[(first + np.arange(count)) % len(table)]


def write_frames(
    folder: str,
    window: Window,
    duration: int,
    channels: Sequence[str],
    rate: float = 1.0,
    seed: int = 0,
    kind: str = "adc",
    trouble: bool = False,
) -> Iterator[catalog.Frame]:
    """Write the frame files that overlap a window, each beginning on a multiple of `duration` seconds.

    channels: names; rate: Hz; kind: adc, proc or sim.  Yields a catalog.Frame a file, in time order, as it is
    written, absent ones included; with trouble as `troubles` says.
    """
    maker = Maker(rate, seed)
    starts = range(window.start // duration * duration, window.end, duration)
    planted = troubles(len(starts), len(channels)) if trouble else None
    for number, start in enumerate(starts):
        path = os.path.abspath(os.path.join(folder, f"V-trend-{start}-{duration}.gwf"))
        if planted and number == planted.missing_file:
            yield catalog.Frame(path, start, duration, status=catalog.ABSENT)
            continue
        signals = []
        count = round(duration * rate)
        for channel, name in enumerate(channels):
            if planted and channel == planted.late_channel and number < planted.late_from:
                continue
            there = None
            if planted and number == planted.holed_file and channel in planted.holed_channels:
                there = np.ones(count, dtype=bool)
                there[count // 4 : count // 2] = False
            unit = _UNITS[channel % 10]
            signals.append(Signal(name, maker.samples(channel, start, count), rate, unit, kind, there))
        write(path, [(start, duration, signals)])
        yield catalog.Frame(path, start, duration)


def troubles(files: int, channels: int) -> Trouble:
    """Where a day of so many files and channels has its troubles."""
    return Trouble(files // 3, files // 2, range(1, min(6, channels)), channels - 1, files // 4)
