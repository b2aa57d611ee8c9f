"""HDF5 files of time series as gwpy and read-days write them, read as if each were a file of frames.

A dataset at the root is a channel: 1-D, with the attributes x0 (GPS time of sample 0), dx (s between samples) and, if
it has one, unit: what gwpy's TimeSeriesDict.write(path, format="hdf5") writes.  A NaN is a sample that is missing.  The
span is cut into frames that are short enough to be read one by one.

Over some damage HDF5 2.0 goes on for ever, as over a text of an attribute that has another length.  So what a file says
of itself is read in a process of its own.
"""

import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import h5py
import numpy as np

from .. import grid
from .apart import Apart, Ended, Refused
from .model import (
    INEXACT,
    BadFrame,
    Calibration,
    Damaged,
    Flaw,
    Kind,
    Series,
    Spot,
    Wanted,
    convertible,
    exact,
)

# A frame is the longest of these, in s, in which no channel has more samples than that: what is read in one go; or
# longer, where there would be too many frames.
_LENGTHS, _MOST, _MOST_FRAMES = (86400, 3600, 600, 60, 10, 1), 1 << 18, 100_000
# What is beyond is damage: GPS seconds, Hz.
_LAST, _FASTEST = 1 << 32, 1e7
_KIND = "proc"
# CPU seconds for what a file says of itself: a hundred thousand datasets take 60.
_PROCESS = Apart("framemake.gwf.hdf5", seconds=240)


class _Line(NamedTuple):
    """What is known of a dataset, and its times: sample n lies at GPS `second` + (`shift` + n) / rate.

    dtype: as of numpy.dtype.str; size: how many samples; checked: whether its chunks have checksums.
    """

    second: int
    shift: float
    rate: float
    unit: str
    problem: str
    dtype: str
    size: int
    checked: bool

    def number_at(self, time: float) -> int:
        """The number of the first sample at or after a GPS time, 0 to the number of samples."""
        first = grid.first_at(time - self.second, grid.Grid(self.rate, self.shift))
        return min(max(first, 0), self.size)


class Hdf5File:
    """An open HDF5 file of time series: a model.FrameFile, of which all channels are of kind 'proc'."""

    shared: Collection[str] = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        lines = _told(os.fspath(path))
        try:
            # Without a cache: most channels are read once a frame, and each would have its own.
            self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
            self._lines = dict(_lines(self._file)) if lines is None else lines
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise _damage(error) from error
        self._open: dict[str, h5py.Dataset] = {}
        usable = [line for line in self._lines.values() if not line.problem and line.size]
        if not usable:
            raise BadFrame("no time series in it as gwpy writes them: a dataset at the root, with x0 and dx")
        self.kinds: Mapping[str, str] = dict.fromkeys(self._lines, _KIND)
        self.verified = all(line.checked for line in usable)
        begin = min(math.floor(line.second + line.shift / line.rate) for line in usable)
        end = max(math.ceil(line.second + (line.shift + line.size) / line.rate - 1e-6) for line in usable)
        fastest = max(line.rate for line in usable)
        length = next((some for some in _LENGTHS if some * fastest <= _MOST), _LENGTHS[-1])
        length = max(length, math.ceil((end - begin) / _MOST_FRAMES))
        self.frames = [(at, 0, float(min(length, end - at))) for at in range(begin, end, length)]

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """The Kind of each of these channels."""
        return {name: self._kind(line) for name in names if (line := self._lines.get(name))}

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel, which is the same in all frames; None if there is no such channel."""
        line = self._lines.get(name)
        return self._kind(line) if line and kind == _KIND else None

    @staticmethod
    def _kind(line):
        return Kind(None if line.problem else np.dtype(line.dtype), 1 / line.rate, line.unit, line.problem)

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`, empty where it has no sample; None if there is no such channel."""
        line = self._lines.get(name)
        if line is None or kind != _KIND:
            return None
        if line.problem:
            return Series(None, None, 0.0, 0.0, line.unit, line.problem)
        begin, _, duration = self.frames[index]
        first, stop = line.number_at(begin), line.number_at(begin + duration)
        try:
            if name not in self._open:
                self._open[name] = self._file[name]
            held = self._open[name][first:stop]
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise _damage(error) from error
        data = held.astype(held.dtype.newbyteorder("="), copy=False)
        good = exact(data)
        said = Flaw(0) if good is None else Flaw.INTEGER
        if data.dtype.kind == "f" and np.isnan(data).any():
            said |= Flaw.NAN
        offset = (line.shift + first) / line.rate - (begin - line.second)
        return Series(data, good, offset, 1 / line.rate, line.unit, lost="" if good is None else INEXACT, said=said)

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """None: samples are what they are."""
        return {}

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take nothing: each channel is to be read by itself."""
        wanted.leave()


def answer(request: dict) -> tuple[dict, list]:
    """In a process of its own: what a file says of itself."""
    with h5py.File(os.fsdecode(bytes.fromhex(request["raw"])), "r", locking=False) as file:
        return {"lines": list(_lines(file))}, []


def _told(path):
    """{name: _Line} of a file; None if it is to be read here, to tell what is wrong.  Damaged if that has no end."""
    for again in (True, False):
        try:
            told, _ = _PROCESS.ask(raw=os.fsencode(path).hex())
        except Refused:
            return None
        except Ended:
            # It may have been ended by others.
            if not again:
                raise Damaged("damaged: HDF5 crashes over it, or comes to no end") from None
        else:
            return {name: _Line(*line) for name, line in told["lines"]}
    raise AssertionError("the second try returns or raises")


def _lines(file):
    """(name, _Line) of the datasets at the root of a file that say when their samples are."""
    for name in file:
        # What a link leads to may be in another file.
        if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
            continue
        dataset = file[name]
        if dataset.is_virtual or dataset.external or not {"x0", "dx"} <= set(dataset.attrs):
            continue
        x0, dx = (float(dataset.attrs[key]) for key in ("x0", "dx"))
        unit = dataset.attrs.get("unit", "")
        unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
        rate, problem = 1.0, ""
        if not (0 <= x0 < _LAST and 1 / _FASTEST <= dx < _LAST):
            x0, problem = 0.0, f"no times of samples: x0 {x0!r}, dx {dx!r} s"
        elif dataset.ndim != 1:
            problem = f"{dataset.ndim} dimensions"
        elif convertible(dataset.dtype) is None:
            problem = f"no numbers that a float holds: {dataset.dtype}"
        elif x0 + dataset.shape[0] * dx > _LAST:
            problem = f"no times of samples: {dataset.shape[0]} of them from GPS {x0!r}, every {dx!r} s"
        else:
            rate = grid.rate_of(dx)
        second, dtype = math.floor(x0), "" if problem else dataset.dtype.str
        size, checked = 0 if problem else len(dataset), bool(dataset.fletcher32)
        yield name, _Line(second, _shift((x0 - second) * rate, rate), rate, unit, problem, dtype, size, checked)


def _shift(samples, rate):
    """By how many samples sample 0 is behind a whole second; x0 is exact to the microsecond at best."""
    near = round(samples)
    return float(near) if abs(samples - near) < 1e-3 + 1e-6 * rate else samples


def _damage(error):
    """What is raised for an error of h5py: the system's own as it is."""
    if isinstance(error, OSError) and error.errno:
        return error
    return Damaged(f"damaged: {' '.join(str(error).split())[:120]}")
