"""Writing frame files: for make-frames and the tests, so that both have every trap that real files have."""

import os
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from gwframe import _core

from .. import files
from . import adc
from .model import TYPES

_TYPES = {dtype: code for code, dtype in TYPES.items()}
# What gwframe writes as bias and slope; it can set neither.
_UNCALIBRATED = (0.0, 1.0)
_SAME, _ZERO_SUPPRESS_OR_GZIP = 0, _core.FrVect.ZERO_SUPPRESS_OTHERWISE_GZIP


class Signal(NamedTuple):
    """One channel in one frame.

    data: 1-D array; rate: Hz; kind: adc, proc or sim; there: bool array, Virgo's Available_data_for_ vector;
    valid: dataValid of an ADC channel; mask: 16-bit CDS mask; offset: s from the frame's start to sample 0;
    origin: s that the vector itself adds to that.  bias, slope: of an ADC channel; nbits: 0 for those of a sample.
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
    bias: float = 0.0
    slope: float = 1.0
    nbits: int = 0


def write(
    path: str | os.PathLike[str], frames: Sequence[tuple[float, float, Sequence[Signal]]], level: int = 1
) -> None:
    """Write a frame file, whole and at once: frames is [(GPS start, duration, [Signal])].

    level: of the compression.  A file with an Available_data_for_ vector is not compressed: frameCPP drops
    the second vector of a channel when it does.  All frames must hold the same channels.
    """
    plain = any(signal.there is not None for _, _, signals in frames for signal in signals)
    with files.replacing(path) as aside:
        _write(aside, frames, plain, level)
        if any((signal.bias, signal.slope) != _UNCALIBRATED for _, _, signals in frames for signal in signals):
            _calibrate(aside, frames)


def write_each(
    path: str | os.PathLike[str], frames: Iterable[tuple[float, float, Sequence[Signal]]], level: int = 1
) -> None:
    """The same of frames that are made one by one, so that they are never in memory all at once.

    Their signals can have neither `there` nor a bias and slope.
    """
    with files.replacing(path) as aside:
        _write(aside, frames, False, level)


def _write(path, frames, plain, level):
    stream = _core.OFrameFStream(os.fspath(path))
    for start, duration, signals in frames:
        frame = _core.FrameH()
        frame.set_name("framemake")
        frame.set_run(-1)
        frame.set_gps_time(_core.gpstime_from_float(float(start)))
        frame.set_dt(float(duration))
        # The objects are borrowed from one another: all live until the frame is written.
        alive = [_add(frame, signal, duration) for signal in signals]
        frame.write(stream, _SAME if plain else _ZERO_SUPPRESS_OR_GZIP, 0 if plain else level)
        del alive
    stream.close()


def _add(frame, signal, duration):
    vectors = [_vector(signal.name, signal.data, signal.rate, signal.unit, signal.origin)]
    if signal.there is not None:
        there = np.asarray(signal.there, dtype=np.int8)
        vectors.append(_vector(f"Available_data_for_{signal.name}", there, signal.rate, "1 if data is there"))
    if signal.kind == "adc":
        bits = signal.nbits or 8 * np.asarray(signal.data).dtype.itemsize
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


def _calibrate(path, frames):
    """Put the bias and slope of ADC channels into a written file, and make its checksums right again."""
    with open(path, "r+b") as file:
        order, _, places = adc.positions(file)
        for number, (_, _, signals) in enumerate(frames):
            for signal in signals:
                if signal.kind != "adc":
                    continue
                position = places[signal.name][number]
                raw = bytearray(adc.structure_at(file, order, position)[:-4])
                # After 14 bytes: the name, an empty comment (both a length, text and a zero), and three numbers.
                at = 14 + 3 + len(signal.name.encode()) + 3 + 12
                if struct.unpack_from(order + "ff", raw, at) != _UNCALIBRATED:
                    raise ValueError(f"no bias and slope in the FrAdcData of {signal.name!r}")
                struct.pack_into(order + "ff", raw, at, signal.bias, signal.slope)
                os.pwrite(file.fileno(), raw + struct.pack(order + "I", adc.cksum(bytes(raw))), position)
        whole = file.read()[:-4]
        os.pwrite(file.fileno(), struct.pack(order + "I", adc.cksum(whole)), len(whole))


def _vector(name, data, rate, unit, origin=0.0):
    data = np.ascontiguousarray(data)
    axis = _core.Dimension(len(data), 1.0 / rate, "s", float(origin))
    vector = _core.FrVect(name, _TYPES[data.dtype], 1, axis, unit)
    vector.set_data(data)
    return vector
