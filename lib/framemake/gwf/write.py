"""Writing frame files: for make-frames and the tests, so that both have every trap that real files have."""

import os
from typing import NamedTuple

import numpy as np
from gwframe import _core

from .. import files
from .core import DTYPES

_TYPES = {dtype: code for code, dtype in DTYPES.items()}
_SAME, _ZERO_SUPPRESS_OR_GZIP = 0, _core.FrVect.ZERO_SUPPRESS_OTHERWISE_GZIP


class Signal(NamedTuple):
    """One channel in one frame.

    data: 1-D array; rate: Hz; kind: adc, proc or sim; there: bool array, Virgo's Available_data_for_ vector;
    valid: dataValid of an ADC channel; mask: 16-bit CDS mask; offset: s from the frame's start to sample 0;
    origin: s that the vector itself adds to that.
    """

    name: str
    data: np.ndarray
    rate: float
    unit: str = ""
    kind: str = "adc"
    there: np.ndarray | None = None
    valid: int = 0
    mask: np.ndarray | None = None
    offset: float = 0.0
    origin: float = 0.0


def write(path, frames, level=1):
    """Write a frame file, whole and at once: frames is [(GPS start, duration, [Signal])].

    level: of the compression.  A file with an Available_data_for_ vector is not compressed: frameCPP drops
    the second vector of a channel when it does.  All frames must hold the same channels.
    """
    plain = any(signal.there is not None for _, _, signals in frames for signal in signals)
    with files.replacing(path) as aside:
        stream = _core.OFrameFStream(os.fspath(aside))
        for number, (start, duration, signals) in enumerate(frames):
            frame = _core.FrameH()
            frame.set_name("framemake")
            frame.set_run(-1)
            frame.set_gps_time(_core.gpstime_from_float(float(start)))
            frame.set_dt(float(duration))
            # The objects are borrowed from one another: all live until the frame is written.
            alive = [_add(frame, signal, duration) for signal in signals]
            frame.write(stream, _SAME if plain else _ZERO_SUPPRESS_OR_GZIP, 0 if plain else level)
            del alive, number
        stream.close()


def _add(frame, signal, duration):
    vectors = [_vector(signal.name, signal.data, signal.rate, signal.unit, signal.origin)]
    if signal.there is not None:
        there = np.asarray(signal.there, dtype=np.int8)
        vectors.append(_vector(f"Available_data_for_{signal.name}", there, signal.rate, "1 if data is there"))
    if signal.kind == "adc":
        bits = 8 * np.asarray(signal.data).dtype.itemsize
        channel = _core.FrAdcData(signal.name, 0, 0, bits, float(signal.rate))
        channel.set_time_offset(float(signal.offset))
        missing = signal.there is not None and not np.all(signal.there)
        channel.set_data_valid(signal.valid or (2 if missing else 0))
    elif signal.kind == "proc":
        channel = _core.FrProcData(signal.name, "", 1, 0, float(signal.offset), float(duration))
    else:
        # gwframe 0.8.4 hands its phase to frameCPP as the time offset, and the other way round.
        channel = _core.FrSimData(signal.name, "", float(signal.rate), 0.0, phase=float(signal.offset))
    for vector in vectors:
        channel.append_data(vector)
    if signal.mask is not None:
        mask = np.asarray(signal.mask)
        vectors.append(_vector("dataValid", mask, signal.rate * len(mask) / len(signal.data), ""))
        channel.append_aux(vectors[-1])
    getattr(frame, f"append_fr_{signal.kind}_data")(channel)
    return vectors, channel


def _vector(name, data, rate, unit, origin=0.0):
    data = np.ascontiguousarray(data)
    axis = _core.Dimension(len(data), 1.0 / rate, "s", float(origin))
    vector = _core.FrVect(name, _TYPES[data.dtype], 1, axis, unit)
    vector.set_data(data)
    return vector
