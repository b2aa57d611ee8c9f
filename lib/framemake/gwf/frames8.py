"""Frame files of format 8, many vectors in one compiled call: see frames8.c, whose other half this is.

Of a file its header, its end and its table of contents are read as it is opened; then, of each frame, the structures of
the channels that are wanted, in their order in the file.  Every structure that is read is held against its checksum,
and each vector against what its channel refers to.  What is out of the ordinary in any way, or wrong, is left to
frameCPP: this need not know why it cannot be read.

Not verified is the checksum of the file as a whole: whatever is used here is in a structure with one of its own.
"""

import functools
import itertools
import os
import struct
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import adc
from .calls import Library
from .model import (
    ABSENT,
    CHANNEL,
    INEXACT,
    LOOKED,
    ODD,
    TAKEN,
    TYPES,
    Calibration,
    Damaged,
    FrameFile,
    Kind,
    Series,
    Spot,
    Unreadable,
    Wanted,
    convertible,
    shared_by,
)

_KINDS = ("adc", "proc", "sim")
_OWNERS = ("FrAdcData", "FrProcData", "FrSimData")
_NUMBERS = {dtype: number for number, dtype in TYPES.items()}
_FILE = np.dtype(
    [(name, "i8") for name in ("size", "end", "id", "ahead")]
    + [(name, "i4") for name in ("number", "swap", "verified", "vector")]
    + [("owner", "i4", (3,)), ("failed", "i4")]
)
_SPOT = np.dtype(
    [("count", "i8"), ("dt", "f8"), ("offset", "f8"), ("out", "u8"), ("good", "u8")]
    + [(name, "i8") for name in ("out_stride", "good_stride", "rows", "columns")]
    + [("pieces", "u8"), ("n_pieces", "i8"), ("type", "i4"), ("floats", "i4")]
)
_TEXTS = np.dtype([("all", "u8"), ("at", "u8")] + [(name, "i8") for name in ("room", "most", "used", "count")])
_TEXT_ROOM, _MOST_TEXTS = 1 << 16, 4096
# Read at once where most channels of a file are wanted, and where few are.
_MUCH, _LITTLE = 1 << 20, 1 << 15
_IDS = itertools.count(1)
_ASTRAY = "damaged: a vector that the channel refers to is not there"


def opened(path: str | os.PathLike[str], library: Library | None) -> FrameFile:
    """The open file of format 8 of a path, by the compiled library if there is one and it knows such files.

    Raises BadFrame if it is damaged, OSError if it cannot be read.
    """
    if library is not None and sys.byteorder == "little" and _agree(library):
        file = Frames8(path, library)
        if file.plain:
            return file
    return _by_framecpp(path)


def _by_framecpp(path: str | os.PathLike[str]) -> FrameFile:
    # Where all is ordinary it need not be loaded.
    from .core import CoreFile

    return CoreFile(path)


@functools.cache
def _agree(library: Library) -> bool:
    """Whether the compiled half means the same by the structures that both know."""
    return [each.itemsize for each in (_FILE, _SPOT, CHANNEL, _TEXTS)] == [library.size_of_struct(n) for n in range(4)]


class Frames8:
    """An open frame file of format 8: a model.FrameFile.

    plain: whether it is one that is known here; nothing else may be asked of one that is not.
    """

    def __init__(self, path: str | os.PathLike[str], library: Library) -> None:
        self._path, self._library = path, library
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - it is closed with this object
        try:
            order, end, self.verified, self._table = adc.table(self._file)
        except struct.error:
            raise Damaged(_ASTRAY) from None
        self.frames = self._table.times
        self._members = tuple(self._table.channels[kind] for kind in _KINDS)
        self._names = tuple(members.names for members in self._members)
        self._places = [members.places for members in self._members]
        self.plain = all(names.raw.isascii() for names in self._names)
        classes = self._table.classes
        self._opened = self._stamp()
        self._about = np.zeros(1, _FILE)
        self._about[0] = (
            *(os.fstat(self._file.fileno()).st_size, end, next(_IDS), 0, self._file.fileno()),
            *(order == ">", self.verified, classes.get("FrVect", -1)),
            *([classes.get(owner, -1) for owner in _OWNERS], 0),
        )

    @property
    def kinds(self) -> Mapping[str, str]:
        """Channel name to kind; where two kinds share a name, adc goes before proc, proc before sim."""
        return _kinds(self._names)

    @functools.cached_property
    def shared(self) -> Collection[str]:
        """The names that more than one channel of the file has."""
        return shared_by(names.listed for names in self._names)

    def _stamp(self):
        """What changes with what is in the file: of one that was written over, the table of contents is another's."""
        about = os.fstat(self._file.fileno())
        return about.st_size, about.st_mtime_ns

    @functools.cached_property
    def _core(self) -> FrameFile:
        return _by_framecpp(self._path)

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel in frame `index`; None if the file has no such channel of that kind."""
        wanted = self._one(index, name, kind)
        if wanted is None or wanted.status[0] == ABSENT:
            return None
        if wanted.status[0] == LOOKED:
            # None of its samples, but all of its checksums.
            told, shape = _kind(wanted, 0), wanted.shape(0)
            wanted.spot[0] = wanted.row[0] = 0
            nothing = np.empty((1, 1), shape.dtype)
            self.take(index, wanted, [Spot(shape, nothing, None, np.empty((0, 3), np.int64))])
            if wanted.status[0] == TAKEN:
                return told
        return self._core.describe(index, name, kind)

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """{name: Kind} of those channels of the first frame that are plain; others need describe."""
        wanted = Wanted(list(names))
        if not self.frames or not wanted.names:
            return {}
        self.take(0, wanted)
        return {wanted.names[at]: _kind(wanted, at) for at in np.flatnonzero(wanted.status == LOOKED).tolist()}

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`; None if the file has no such channel of that kind."""
        wanted = self._one(index, name, kind)
        if wanted is None or wanted.status[0] == ABSENT:
            return None
        if wanted.status[0] == LOOKED:
            shape = wanted.shape(0)
            data, good = np.empty((1, shape.samples), shape.dtype), np.empty((1, shape.samples), bool)
            wanted.spot[0] = wanted.row[0] = 0
            self.take(index, wanted, [Spot(shape, data, good, np.array([[0, 0, shape.samples]]))])
        if self._stamp() != self._opened:
            raise Unreadable("it changed while it was read")
        failed = int(self._about["failed"][0])
        if wanted.status[0] != TAKEN and failed:
            # frameCPP would take it for damage.
            raise OSError(failed, os.strerror(failed), os.fspath(self._path))
        if wanted.status[0] != TAKEN:
            return self._core.read(index, name, kind)
        told = wanted.channels[0]
        unit, lost = wanted.texts[told["unit"]], INEXACT if told["lost"] else ""
        good_ones, said = good[0] if told["masked"] else None, int(told["said"])
        return Series(data[0], good_ones, shape.offset, shape.dt, unit, lost=lost, said=said)

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """{channel name: Calibration} of the ADC channels, those of `names`, or all for None: see model.FrameFile."""
        adcs = self._names[0].numbers
        asked = list(adcs) if names is None else [name for name in dict.fromkeys(names) if name in adcs]
        wanted, odd = Wanted(asked, ["adc"] * len(asked)), []
        found: dict[str, Calibration] = {}
        for index in range(len(self.frames)):
            self.take(index, wanted)
            found.update(wanted.calibrations())
            odd += [asked[at] for at in np.flatnonzero(wanted.status == ODD).tolist()]
            wanted.active &= wanted.status == ABSENT
            if not wanted.active.any():
                break
        if odd:
            found.update(adc.calibrations(self._path, odd))
        return {name: found[name] for name in asked if name in found}

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take the samples of channels in frame `index`: see model.FrameFile."""
        self._bind(wanted)
        channels = wanted.channels
        if self._stamp() != self._opened:
            return wanted.leave()
        for kind, (rows, numbers) in enumerate(wanted.bound[1]):
            if len(rows):
                channels["position"][rows] = self._places[kind][numbers, index] * wanted.active[rows]
        self._about["ahead"] = _MUCH if 2 * len(channels) > wanted.bound[2] else _LITTLE
        packed, kept = _packed(spots)
        texts = _Texts()
        names = np.array([_address(each.raw) for each in self._names], np.uint64)
        self._library.take(
            *(self._about.ctypes.data, names.ctypes.data, channels.ctypes.data, len(channels)),
            *(packed.ctypes.data, len(packed), texts.address),
        )
        wanted.texts = texts.listed()
        del kept
        if len(wanted.bound[3]):
            # Of another kind it may be there.
            some = wanted.bound[3]
            channels["status"][some[(channels["status"][some] == ABSENT) & wanted.active[some]]] = ODD

    def _one(self, index, name, kind):
        """Wanted of one channel, looked at; None if there is no such channel of that kind or no such frame."""
        if name not in self._names[_KINDS.index(kind)].numbers or not 0 <= index < len(self.frames):
            return None
        wanted = Wanted([name], [kind])
        self.take(index, wanted)
        return wanted

    def _bind(self, wanted):
        """Look the wanted channels up among the names of this file, which the one before will have had too."""
        if wanted.bound and wanted.bound[0] == self._names:
            return
        kinds, channels = self.kinds, wanted.channels
        found: list[tuple[list[int], list[int]]] = [([], []) for _ in _KINDS]
        two = []
        channels["position"], channels["kind"] = 0, -1
        for at, (name, kind) in enumerate(zip(wanted.names, wanted.kinds, strict=True)):
            if not kind or name not in self._names[_KINDS.index(kind)].numbers:
                kind = kinds.get(name, "")
            if kind:
                if kinds[name] != kind:
                    two.append(at)
                number = _KINDS.index(kind)
                found[number][0].append(at)
                found[number][1].append(self._names[number].numbers[name])
        bound = [(np.array(rows, np.intp), np.array(numbers, np.intp)) for rows, numbers in found]
        for kind, (rows, numbers) in enumerate(bound):
            if len(rows):
                channels["kind"][rows] = kind
                channels["name_at"][rows], channels["name_size"][rows] = self._names[kind].places[numbers].T
                if self._names[kind].twice:
                    # Which of them frameCPP means it may tell itself.
                    for at in rows.tolist():
                        if wanted.names[at] in self._names[kind].twice:
                            channels["name_size"][at] = -1
        wanted.bound = self._names, bound, sum(len(names.listed) for names in self._names), np.array(two, np.intp)


class _Texts:
    """Room for the distinct texts of a call."""

    def __init__(self) -> None:
        self._all, self._at = bytearray(_TEXT_ROOM), np.zeros(_MOST_TEXTS + 1, np.int64)
        self._about = np.zeros(1, _TEXTS)
        begin = np.frombuffer(self._all, np.uint8).ctypes.data
        self._about[0] = begin, self._at.ctypes.data, _TEXT_ROOM, _MOST_TEXTS, 0, 0
        self.address = self._about.ctypes.data

    def listed(self) -> list[str]:
        """The texts, in the order of their numbers."""
        ends = self._at[: int(self._about["count"][0]) + 1].tolist()
        return [self._all[a:b].decode("ascii") for a, b in itertools.pairwise(ends)]


def _packed(spots: Sequence[Spot]) -> tuple[np.ndarray, Any]:
    """Spots as the compiled half knows them, and what has to live as long."""
    packed, kept = np.zeros(len(spots), _SPOT), []
    for at, (shape, out, good, pieces) in enumerate(spots):
        pieces = np.ascontiguousarray(pieces, np.int64)
        kept.append(pieces)
        # The memory is written to past numpy, so all of this has to hold.
        floats = out.dtype != shape.dtype
        assert out.ndim == 2 and out.strides[1] == out.itemsize and out.flags.writeable
        assert out.dtype == (convertible(shape.dtype) if floats else shape.dtype)
        if good is not None:
            assert good.shape == out.shape and good.dtype == bool and good.strides[1] == 1 and good.flags.writeable
        packed[at] = (
            *(shape.samples, shape.dt, shape.offset, out.ctypes.data, 0 if good is None else good.ctypes.data),
            *(out.strides[0], 0 if good is None else good.strides[0], *out.shape),
            *(pieces.ctypes.data, len(pieces), _NUMBERS[shape.dtype], floats),
        )
    return packed, kept


def _kind(wanted: Wanted, at: int) -> Kind:
    shape = wanted.shape(at)
    return Kind(shape.dtype, shape.dt, wanted.texts[wanted.channels["unit"][at]])


# Of the files before; the names are those of a few files' tables of contents.
@functools.lru_cache(maxsize=4)
def _kinds(names: tuple[adc.Names, ...]) -> Mapping[str, str]:
    kinds: dict[str, str] = {}
    for kind, each in zip(reversed(_KINDS), reversed(names), strict=True):
        kinds.update(dict.fromkeys(each.listed, kind))
    return kinds


def _address(raw: bytes) -> int:
    return np.frombuffer(raw, np.uint8).ctypes.data if raw else 0
