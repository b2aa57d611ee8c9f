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

from . import adc
from .model import (
    ABSENT,
    CHECKSUM,
    CUT,
    INEXACT,
    NO_DATA,
    ODD,
    TYPES,
    BadFrame,
    Calibration,
    Damaged,
    Kind,
    Series,
    Spot,
    Wanted,
    all_bad,
    convertible,
    exact,
    spread,
)
from .owners import Owned, Owners

# dataValid of a channel: bit 2 (value 2) says that samples are missing and a second vector tells which.
_SOME_MISSING = 2
_AVAILABLE = "Available_data_for_"


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
            good = None
            if isinstance(data, np.ma.MaskedArray):
                good, data = ~np.ma.getmaskarray(data), data.data
            problem = _problem(vector, getattr(data, "dtype", None), owned)
            if problem:
                return Series(None, None, 0.0, 0.0, unit, problem)
            if kind == "adc":
                good = _valid(found, data, good)
            if owned.data > 1:
                good = _available(found, name, data, good)
            held = exact(data)
            if held is not None:
                good = held if good is None else good & held
            lost = "" if held is None else INEXACT
            return Series(data, good, found.get_time_offset() + origin, dt, unit, lost=lost)
        except BadFrame:
            raise
        except Exception as error:
            raise _damage(error) from error

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """{channel name: Calibration} of the ADC channels, those of `names`, or all for None: see model.FrameFile."""
        return adc.calibrations(self._path, names)

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take nothing: each channel is to be read by itself."""
        wanted.status[:] = np.where(wanted.active, ODD, ABSENT)


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


def _valid(adc, data, good):
    """Apply what an FrAdcData says of its samples: dataValid, and the CDS mask in its auxiliary vector."""
    flags = adc.get_data_valid()
    # Then the second vector has them, and _available applies it.
    in_vector = flags == _SOME_MISSING and adc.get_data_size() > 1
    if flags and not in_vector:
        return all_bad(len(data))
    if adc.get_aux_size():
        vector = adc.get_aux_vector(0)
        mask = vector.get_data_uncompressed()
        # An auxiliary vector is free-form; only 16-bit words that divide the samples are a CDS mask, and not one alone.
        if getattr(mask, "dtype", None) in (np.int16, np.uint16) and len(mask) > 1:
            clear = spread(mask == 0, len(data))
            if clear is not None:
                return clear if good is None else good & clear
    return good


def _available(found, name, data, good):
    """Apply Virgo's second vector, int8, 1 where a sample is there; one that does not fit leaves nothing good."""
    vector = found.get_data_vector(1)
    if not vector.get_name().startswith(_AVAILABLE):
        return good
    there = spread(vector.get_data_uncompressed() == 1, len(data))
    if there is None:
        return all_bad(len(data))
    return there if good is None else good & there


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
