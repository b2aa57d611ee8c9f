"""Frame files of format 8 and later, through gwframe's low-level objects (frameCPP).

gwframe's public read() searches all names for each channel, and gives neither Virgo's second vector nor
gaps inside a file; its low-level objects do.  One object borrows its memory from another, so each is kept in a
variable while the next is in use.  The module is private: requirements.txt pins its version, tests watch its shape.
"""

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gwframe import _core

from . import adc, flags
from .model import (
    CHECKSUM,
    CUT,
    INEXACT,
    NO_DATA,
    TYPES,
    BadFrame,
    Calibration,
    Damaged,
    Flaw,
    Kind,
    Series,
    Spot,
    Wanted,
    convertible,
)
from .owners import Owned, Owners


class CoreFile:
    """An open frame file of format 8 or later: a model.FrameFile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        # First, as it holds the table of contents against its checksum: a wrong one can take all memory.
        self._owners = Owners(path)
        self.verified = self._owners.verified
        try:
            os.fspath(path).encode()
            self._stream = _core.IFrameFStream(os.fspath(path))
            self._toc = toc = self._stream.get_toc()
            self.frames = list(zip(toc.get_time_s(), toc.get_time_ns(), toc.get_dt(), strict=True))
        except UnicodeEncodeError:
            raise BadFrame("its path is no UTF-8, which frameCPP cannot open") from None
        except Exception as error:
            raise _damage(error) from error
        self._read = {
            "adc": self._stream.read_fr_adc_data,
            "proc": self._stream.read_fr_proc_data,
            "sim": self._stream.read_fr_sim_data,
        }
        self._kinds: dict[str, str] | None = None

    @property
    def kinds(self) -> Mapping[str, str]:
        """Channel name to kind; where two kinds share a name, adc goes before proc, proc before sim."""
        if self._kinds is None:
            toc = self._toc
            self._kinds = dict.fromkeys(toc.get_sim(), "sim")
            self._kinds.update(dict.fromkeys(toc.get_proc(), "proc"))
            self._kinds.update(dict.fromkeys(toc.get_adc(), "adc"))
        return self._kinds

    @functools.cached_property
    def shared(self) -> Collection[str]:
        """The names that more than one channel of the file has."""
        return self._owners.shared

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel in frame `index`; None if the file has no such channel of that kind."""
        owned = self._owners.of(index, name, kind)
        if owned is None:
            return None
        if not owned.data:
            return Kind(None, 0.0, "", NO_DATA)
        try:
            found = self._read[kind](index, name)
            _as_referred(found, owned, kind)
            vector = found.get_data_vector(0)
            unit, dtype = vector.get_unit_y(), TYPES.get(vector.get_type())
            problem = _problem(vector, dtype, owned)
            if problem:
                return Kind(None, 0.0, unit, problem)
            return Kind(dtype, _spacing(vector.get_dim(0).dx, found, kind), unit)
        except BadFrame:
            raise
        except Exception as error:
            raise _damage(error) from error

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """Nothing: each channel needs describe."""
        return {}

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`; None if the file has no such channel of that kind."""
        owned = self._owners.of(index, name, kind)
        if owned is None:
            return None
        if not owned.data:
            return Series(None, None, 0.0, 0.0, "", NO_DATA)
        try:
            found = self._read[kind](index, name)
            _as_referred(found, owned, kind)
            vector = found.get_data_vector(0)
            data = vector.get_data_uncompressed()
            axis = vector.get_dim(0)
            dt, origin = _spacing(axis.dx, found, kind), axis.start_x
            unit = vector.get_unit_y()
            problem = _problem(vector, getattr(data, "dtype", None), owned)
            if problem:
                return Series(None, None, 0.0, 0.0, unit, problem)
            bad = flags.of(found, kind, data)
            good = ~np.logical_or.reduce(list(bad.values())) if bad else None
            lost = INEXACT if flags.INTEGER in bad else ""
            data, said = np.ma.getdata(data), flags.flaws(bad)
            if data.dtype.kind == "f" and np.isnan(data if good is None else data[good]).any():
                said |= Flaw.NAN
            return Series(data, good, found.get_time_offset() + origin, dt, unit, lost=lost, said=said)
        except BadFrame:
            raise
        except Exception as error:
            raise _damage(error) from error

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """{channel name: Calibration} of the ADC channels, those of `names`, or all for None: see model.FrameFile."""
        return adc.calibrations(self._path, names)

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take nothing: each channel is to be read by itself."""
        wanted.leave()


def _as_referred(found: Any, owned: Owned, kind: str) -> None:
    """Damaged, if frameCPP gives other vectors than those that a channel refers to."""
    if found.get_data_size() != owned.data or (kind == "adc" and found.get_aux_size() != owned.aux):
        raise Damaged("damaged: a vector of the channel is not there")


def _problem(vector, dtype, owned):
    """Why what a vector holds is no series of numbers in time, or ''."""
    if owned.problem:
        return owned.problem
    if vector.get_n_dim() != 1:
        return f"{vector.get_n_dim()} dimensions"
    if dtype is None or convertible(dtype) is None:
        return f"{_type_name(dtype)} values"
    return ""


def _spacing(dx, found, kind):
    """Seconds between samples: the vector's own, or that of the ADC channel's sample rate if it has none."""
    if not dx > 0 and kind == "adc" and found.get_sample_rate() > 0:
        return 1 / found.get_sample_rate()
    return dx


def _type_name(dtype):
    if dtype is None or dtype.kind in "OSU":
        return "string"
    return "complex" if dtype.kind == "c" else str(dtype)


def _damage(error):
    """What to raise for an error of frameCPP, whose own words, addresses and paths are nobody's."""
    text = str(error)
    if "CHECKSUM_ERROR" in text:
        return Damaged(CHECKSUM)
    return BadFrame(CUT if "No Table of Contents" in text else "damaged: no frame reader can read it")
