"""Frame files of formats 4 to 7 (the e-Lab's of 2003 to 2011), through lalframe, in a process of its own.

Nothing in these files has a checksum but the whole of them, if that: it is verified as a file is opened.
"""

import functools
import io
import os
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from .apart import Apart, Ended, Refused
from .model import (
    CHECKSUM,
    CUT,
    INEXACT,
    BadFrame,
    Calibration,
    Damaged,
    Flaw,
    Kind,
    Series,
    Spot,
    Wanted,
    exact,
    shared_by,
)

_PROCESS = Apart("framemake.gwf.lalreader")
_HEAD_SIZE = 40
# FrEndOfFile, its length first: frames, bytes of the file, type of the checksum, checksum, place of the contents.
_ENDS = ("QHIIQIIQ", "IHHIIIII")
_ORDERS = {b"\x34\x12": "<", b"\x12\x34": ">"}
_OVERRUN = "damaged: its reader crashed, or would have taken all memory"
_UNREADABLE = "damaged: no frame reader can read it"
_OF_2001 = "format 4 as FrameL wrote it in 2001, which lalframe does not read, or damaged"


class OldFile:
    """An open frame file of a format before 8: a model.FrameFile."""

    kinds: Mapping[str, str]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        # What made the process end is not asked for again.
        self._bad: BadFrame | None = None
        with open(path, "rb", buffering=0) as file:
            number, self.verified = _end(file)
        told, _ = self._ask(cksum=self.verified)
        if not told["valid"]:
            raise Damaged(CHECKSUM)
        if number == 4 and not told["readable"]:
            raise Damaged(_OF_2001)
        self.frames: list[tuple[int, int, float]] = [(s, ns, dt) for s, ns, dt in told["frames"]]
        self._names: dict[str, list[str]] = told["names"]
        kinds: dict[str, str] = {}
        for kind in ("sim", "proc", "adc"):
            kinds.update(dict.fromkeys(self._names[kind], kind))
        self.kinds = kinds

    @functools.cached_property
    def shared(self) -> Collection[str]:
        """The names that more than one channel of the file has."""
        return shared_by(self._names.values())

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """Nothing: each channel needs describe."""
        return {}

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel in frame `index`; None if the file has no such channel of that kind."""
        series = self.read(index, name, kind)
        if series is None:
            return None
        if series.data is None:
            return Kind(None, 0.0, series.unit, series.problem)
        return Kind(series.data.dtype, series.dt, series.unit)

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`; None if the file has no such channel of that kind."""
        if self.kinds.get(name) != kind:
            return None
        told, arrays = self._ask(name=name, index=index)
        if told["problem"]:
            return Series(None, None, 0.0, 0.0, told["unit"], told["problem"])
        good = exact(arrays[0])
        lost = "" if good is None else INEXACT
        said = Flaw.INTEGER if lost else Flaw(0)
        if arrays[0].dtype.kind == "f" and np.isnan(arrays[0]).any():
            said |= Flaw.NAN
        return Series(arrays[0], good, told["offset"], told["dt"], told["unit"], lost=lost, said=said)

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """None: lalframe does not give them."""
        return {}

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take nothing: each channel is to be read by itself."""
        wanted.leave()

    def _ask(self, **request):
        if self._bad:
            raise self._bad
        try:
            return _PROCESS.ask(path=self._path, **request)
        except Ended:
            pass
        except Refused as error:
            raise BadFrame(_UNREADABLE) from error
        try:
            # An earlier file may have left the process ill: a new one asked for this file alone tells which it was.
            return _PROCESS.ask(path=self._path, **request)
        except Ended:
            self._bad = Damaged(_OVERRUN)
            raise self._bad from None
        except Refused as error:
            raise BadFrame(_UNREADABLE) from error


def _end(file: io.FileIO) -> tuple[int, bool]:
    """(format, whether the whole has a checksum) of an open file of a format before 8; BadFrame if it is cut short."""
    head = os.pread(file.fileno(), _HEAD_SIZE, 0)
    order, size = _ORDERS.get(head[12:14]), os.fstat(file.fileno()).st_size
    if order is None:
        raise Damaged("damaged: no byte order in the file header")
    for form in _ENDS:
        end = struct.Struct(order + form)
        raw = os.pread(file.fileno(), end.size, max(0, size - end.size))
        if len(raw) == end.size:
            length, _, _, _, total, scheme, _, _ = end.unpack(raw)
            if length == end.size and total == size:
                return head[5], scheme != 0
    raise BadFrame(CUT)
