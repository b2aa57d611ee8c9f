"""What a frame file says of its ADC channels and gwframe does not give: bias, slope, bits and units.

Sources: LIGO-T970130 (frame format version 8) for the structures; POSIX cksum for their checksums.
Only the file's header, its end, its table of contents and the wanted FrAdcData are read, however large the file.
Each of these must agree with its checksum, if it has one, and a FrAdcData with its name, class and length as well:
what comes back is what was written, else BadFrame is raised.
"""

import functools
import io
import os
import struct
import zlib
from collections.abc import Container, Iterable
from typing import NamedTuple

import numpy as np

from . import calls
from .model import CHECKSUM, CUT, BadFrame, Calibration, Damaged, shared_by

_FORMAT = 8
_ORDERS = {b"\x34\x12": "<", b"\x12\x34": ">"}
# Every structure begins with its length, checksum type, class and instance; FrEndOfFile is always as long.
_BEGIN = "QBBI"
_HEAD_SIZE, _BEGIN_SIZE, _END_SIZE = 40, 14, 46
# The most bytes of a FrTOC and a FrAdcData, so that a wrong length does not make a reader ask for all memory.
_LONGEST_TOC, _LONGEST_ADC = 1 << 28, 3 * 0xFFFF + 92
_CLASSES = {"adc": "FrAdcData", "proc": "FrProcData", "sim": "FrSimData"}
_NONE = 2**32 - 1
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_MISFIT = "damaged: a length or position does not fit"


class Names:
    """Names as a table of contents has them: files of a day share them, so there is one of these for many.

    raw: as they are in the file, each a length and as many bytes, a zero the last.  listed: all, in order.
    numbers: {name: its number}, the last one's where several share a name.
    """

    def __init__(self, raw: bytes, order: str, listed: list[str]) -> None:
        self.raw, self.listed = raw, listed
        self.numbers = {name: number for number, name in enumerate(listed)}
        self._order = order

    @functools.cached_property
    def places(self) -> np.ndarray:
        """int64 (names, 2): where in raw each begins, and its size, the zero counted."""
        places, at, size = [], 0, struct.Struct(self._order + "H")
        for _ in self.listed:
            (count,) = size.unpack_from(self.raw, at)
            places.append((at + 2, count))
            at += 2 + count
        return np.array(places, dtype=np.int64).reshape(-1, 2)

    @functools.cached_property
    def twice(self) -> frozenset[str]:
        """The names that occur more than once."""
        return frozenset(shared_by([self.listed])) if len(self.numbers) < len(self.listed) else frozenset()


class Members(NamedTuple):
    """The channels of one kind in a table of contents: their Names, and where they are."""

    names: Names
    raw: bytes
    row: struct.Struct

    @property
    def places(self) -> np.ndarray:
        """int64 (names, frames): where the structure of each is in each frame, 0 for nowhere; < 0 is never right."""
        shape = len(self.names.listed), self.row.size // 8
        return np.frombuffer(self.raw, f"{self.row.format[0]}u8").reshape(shape).astype(np.int64)

    def positions(self, name: str) -> tuple[int, ...]:
        """Where its structure is in each frame, bytes from the beginning of the file, 0 for nowhere; KeyError."""
        return self.row.unpack_from(self.raw, self.row.size * self.names.numbers[name])


class Table(NamedTuple):
    """A table of contents.

    classes: numbers by name.  frames: where each frame begins.  times: (GPS s, ns, duration s) of each.  channels: the
    Members of each kind.
    """

    classes: dict[str, int]
    frames: tuple[int, ...]
    times: list[tuple[int, int, float]]
    channels: dict[str, Members]


def calibrations(path: str | os.PathLike[str], names: Iterable[str] | None = None) -> dict[str, Calibration]:
    """{channel name: Calibration} of the ADC channels of a frame file, those of `names`, or all for None.

    Each is that of the first frame in the file that has the channel; a name that is in none is left out.  Files of
    formats before 8, damaged or not, give {}: lalframe, which reads those, does not give it.  Raises BadFrame for a
    file that is no frame file, is cut short or damaged, or of a format after 8, OSError if it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        try:
            order, kind, places = positions(file, None if names is None else set(names))
            found = {}
            for name, of_frames in places.items():
                first = next(filter(None, of_frames), None)
                if first is not None:
                    found[name] = _calibration(structure_at(file, order, first), order, name, kind)
            return found
        except struct.error:
            raise BadFrame(_MISFIT) from None


def positions(
    file: io.FileIO, names: Container[str] | None = None, kind: str = "adc"
) -> tuple[str, int | None, dict[str, tuple[int, ...]]]:
    """Byte order, class number of FrAdcData, {ADC channel: position of its FrAdcData in each frame}, of an open file.

    A position is bytes from the beginning of the file, 0 where a frame does not have the channel.  names: the wanted
    channels, None for all.  kind: adc, or proc for the same of FrProcData.  A file of a format before 8 gives no
    channel.  Raises BadFrame for what is damaged, and struct.error where a length in it leads beyond its end.
    """
    order, _, raw = _contents(file)
    if not raw:
        return order, None, {}
    return order, *_entries(raw, order, names, kind)


def _contents(file):
    """(byte order, position, bytes) of the table of contents of an open file; no bytes for a format before 8."""
    head = os.pread(file.fileno(), _HEAD_SIZE, 0)
    if not head:
        raise BadFrame("empty file")
    if len(head) < _HEAD_SIZE or not head.startswith(b"IGWD\0"):
        raise BadFrame("not a frame file")
    order = _ORDERS.get(head[12:14])
    if order is None:
        raise Damaged("damaged: no byte order in the file header")
    at, room = _table(file, head, order)
    return order, at, _structure(file, order, at, min(room, _LONGEST_TOC)) if room else b""


def table(file: io.FileIO) -> tuple[str, int, bool, Table]:
    """(byte order, where the table of contents begins, whether it has a checksum, it) of an open file of format 8.

    Raises BadFrame for what is damaged, or a file of another format, struct.error as `positions` does.
    """
    order, at, raw = _contents(file)
    if not raw:
        raise BadFrame("of a format before 8")
    verified = raw[8] != 0
    if not verified and os.pread(file.fileno(), _END_SIZE, _size(file) - _END_SIZE)[8]:
        # The end of the file has a checksum, and what it tells the place of has none any more.
        raise Damaged(CHECKSUM)
    return order, at, verified, parse(raw, order)


def structure_at(file: io.FileIO, order: str, position: int) -> bytes:
    """The bytes of the structure at a position of an open file, its checksum right.  Raises as `positions` does."""
    return _structure(file, order, position, min(_size(file) - position, _LONGEST_ADC))


def cksum(raw: bytes) -> int:
    """The CRC of POSIX cksum, of bytes and then their count: zlib's polynomial, with the bits of each byte mirrored."""
    library = calls.library()
    if library:
        return library.cksum(raw)
    raw += len(raw).to_bytes((len(raw).bit_length() + 7) // 8, "little")
    mirrored = zlib.crc32(raw.translate(_MIRRORED), 0xFFFFFFFF)
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def _size(file):
    return os.fstat(file.fileno()).st_size


def _table(file, head, order):
    """Where the table of contents is, by FrEndOfFile, and how long it can be; (0, 0) for a format before 8."""
    size = _size(file)
    end = os.pread(file.fileno(), _END_SIZE, max(0, size - _END_SIZE))
    whole = False
    if len(end) == _END_SIZE:
        length, scheme, _, _, _, total, back, of_head, of_end, _ = struct.unpack(f"{order}{_BEGIN}IQQIII", end)
        whole = length == _END_SIZE and total == size
    if not whole:
        if head[5] < _FORMAT:
            return 0, 0
        raise BadFrame(CUT)
    # The last 8 bytes are its own checksum and that of the file.
    _check(end[:-8], scheme, of_end)
    if of_head and of_head != cksum(head):
        raise Damaged(CHECKSUM)
    if head[5] != _FORMAT:
        raise BadFrame(f"frame format {head[5]}, which is not known here")
    if not _END_SIZE < back <= size - _HEAD_SIZE:
        raise BadFrame(CUT)
    return size - back, back - _END_SIZE


def _structure(file, order, position, room):
    """The bytes of the structure that begins at `position` and takes `room` at most, its checksum right."""
    if position < _HEAD_SIZE or room < _BEGIN_SIZE + 4:
        raise BadFrame(_MISFIT)
    # One read has most FrAdcData: they take about 120 bytes.
    raw = os.pread(file.fileno(), min(256, room), position)
    length, scheme = struct.unpack_from(order + "QB", raw)
    if not _BEGIN_SIZE + 4 <= length <= room:
        raise BadFrame(_MISFIT)
    if length > len(raw):
        raw += os.pread(file.fileno(), length - len(raw), position + len(raw))
    raw = raw[:length]
    _check(raw[:-4], scheme, struct.unpack_from(order + "I", raw, length - 4)[0])
    return raw


def _entries(toc, order, names, kind):
    """The class number of a kind and {name: positions} of its wanted channels, from the bytes of a FrTOC."""
    found = parse(toc, order, kind)
    members = found.channels[kind]
    wanted = (name for name in members.names.numbers if names is None or name in names)
    return found.classes.get(_CLASSES[kind]), {name: members.positions(name) for name in wanted}


def parse(toc: bytes, order: str, last: str = "sim") -> Table:
    """The Table in the bytes of a FrTOC, up to the kind `last`; struct.error where a length leads beyond its end."""
    # The leap seconds come first, which are of no use here.
    (frames,) = struct.unpack_from(order + "I", toc, _BEGIN_SIZE + 2)
    # Of each frame: quality, seconds, nanoseconds, duration, run, number and five positions, the first the frame's own.
    begins = struct.unpack_from(f"{order}{frames}Q", toc, _BEGIN_SIZE + 6 + 28 * frames)
    seconds, nanoseconds = (struct.unpack_from(f"{order}{frames}I", toc, _BEGIN_SIZE + 6 + n * frames) for n in (4, 8))
    durations = struct.unpack_from(f"{order}{frames}d", toc, _BEGIN_SIZE + 6 + 12 * frames)
    times = list(zip(seconds, nanoseconds, durations, strict=True))
    classes, at = _count(toc, order, _BEGIN_SIZE + 6 + 68 * frames)
    numbers = struct.unpack_from(f"{order}{classes}H", toc, at)
    kinds, at = strings(toc, order, at + 2 * classes, classes)
    detectors, at = _count(toc, order, at)
    at = strings(toc, order, at, detectors)[1] + 8 * detectors
    # Static data: name and detector of each type, and its number of blocks; of each block times, version, position.
    types, at = _count(toc, order, at)
    at = strings(toc, order, at, 2 * types)[1] + 4 * types
    blocks, at = _count(toc, order, at)
    at += 20 * blocks
    row = struct.Struct(f"{order}{frames}Q")
    # Of each kind the names, of adc a group and a number each, then positions: all frames of one channel together.
    members = {}
    for kind, more in (("adc", 8), ("proc", 0), ("sim", 0)):
        channels, at = _count(toc, order, at)
        names, at = _names(toc, order, at, channels)
        at += more * channels
        end = at + row.size * channels
        if end > len(toc):
            raise struct.error
        members[kind] = Members(names, toc[at:end], row)
        if kind == last:
            break
        at = end
    return Table(dict(zip(kinds, numbers, strict=True)), begins, times, members)


# The names of files before, in each byte order: the files of a day have the same, and to compare them is quicker.
_LAST: dict[tuple[str, int], Names] = {}


def _names(toc, order, at, count):
    """(Names, where they end) of so many strings."""
    known = _LAST.get((order, count))
    if known and toc.startswith(known.raw, at):
        return known, at + len(known.raw)
    listed, end = strings(toc, order, at, count)
    if end > len(toc):
        raise struct.error
    if len(_LAST) >= 8:
        _LAST.clear()
    names = _LAST[order, count] = Names(toc[at:end], order, listed)
    return names, end


def _calibration(raw, order, name, kind):
    """The Calibration in the bytes of a FrAdcData; BadFrame if it is not that of `name`, of class `kind`."""
    (title, _), at = strings(raw, order, _BEGIN_SIZE, 2)
    _, _, nbits, bias, slope = struct.unpack_from(order + "IIIff", raw, at)
    (units,), at = strings(raw, order, at + 20, 1)
    # Then come rate, time offset, shift, phase, dataValid, three references and the checksum, 52 bytes in all.
    if title != name or raw[9] != kind or at + 52 != len(raw):
        raise BadFrame(_MISFIT)
    return Calibration(bias, slope, nbits, units)


def _count(raw, order, at):
    """A number of things, of which the largest stands for none, and where it ends."""
    (count,) = struct.unpack_from(order + "I", raw, at)
    return 0 if count == _NONE else count, at + 4


def strings(raw: bytes, order: str, at: int, count: int) -> tuple[list[str], int]:
    """`count` strings, each a length and as many bytes, of which the last is zero; and where they end."""
    texts, size = [], struct.Struct(order + "H")
    for _ in range(count):
        end = at + 2 + size.unpack_from(raw, at)[0]
        texts.append(raw[at + 2 : end].partition(b"\0")[0].decode("utf-8", "surrogateescape"))
        at = end
    return texts, at


def _check(raw, scheme, checksum):
    """BadFrame if a checksum is not that of the bytes; of the schemes 0 is none, and 1 that of cksum."""
    if scheme > 1 or (scheme and checksum != cksum(raw)):
        raise Damaged(CHECKSUM)
