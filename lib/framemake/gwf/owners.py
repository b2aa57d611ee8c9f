"""Which vectors a channel refers to, and whether these are the ones that lie there.

Source: LIGO-T970130 (frame format version 8).  A structure refers to another by class and instance, which stand in the
head of that one.  frameCPP reads on from a channel until it meets what it refers to: a vector whose head is damaged is
passed over without a look at its checksum, and the same instance of a later frame taken, or none.  So the references
are followed here: in the known writers' files a vector comes right behind its channel, and the next one behind that;
where it does not, all structures of the frame are looked through.
"""

import os
import struct
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from . import adc
from .model import CHECKSUM, FREQUENCIES, Damaged, shared_by

# Bytes from the end of a channel's structure to its reference to the data, and which of those that follow are read.
_DATA = {"adc": 22, "proc": 34, "sim": 28}
# A structure's begin: length, checksum type, class, instance.  A reference: class, instance; of a vector, before its
# checksum, to the next one.
_BEGIN_SIZE, _REFERENCE_SIZE, _NEXT = 14, 6, 10
_DICTIONARY = (1, 2)
_LONGEST_OWNER, _MOST_VECTORS = 1 << 20, 64
# A file of small vectors is read whole, and looked at in one go.
_SMALL_FILE, _SMALL_VECTOR = 1 << 25, 1 << 14

# What a FrProcData is by its type; 1 is a time series, and 0 and 3 leave it to the unit of the axis.
_TIME_SERIES = 1
_TYPES = {2: FREQUENCIES, 4: "a time-frequency series", 5: "wavelets", 6: "several dimensions"}
_FREQUENCY_UNITS = ("hz", "hertz", "1/s", "s^-1", "s^{-1}")

_ASTRAY = "damaged: a vector that the channel refers to is not there"
_MISFIT = "damaged: a length or position does not fit"


class Owned(NamedTuple):
    """What a channel refers to in a frame: how many vectors of data, how many auxiliary ones.

    problem: why a FrProcData is no series in time, by its type and by what the axis of its vector is in; '' if it is.
    """

    data: int
    aux: int
    problem: str = ""


_PLAIN = Owned(1, 0)


class Owners:
    """The channels of a file of format 8.  Raises BadFrame where it is damaged, OSError if it cannot be read.

    verified: whether what is in the file has checksums.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - it is closed with this object
        try:
            self._order, self._end, self.verified, self._table = adc.table(self._file)
        except struct.error:
            raise Damaged(_ASTRAY) from None
        order = self._order
        self._begin, self._reference = struct.Struct(order + "QBBI"), struct.Struct(order + "HI")
        self._by_frame: dict[int, Mapping[tuple[int, int], int]] = {}
        self._plain = self._all_plain()

    @property
    def shared(self) -> Collection[str]:
        """The names that more than one channel has."""
        return shared_by(members.names.listed for members in self._table.channels.values())

    def of(self, index: int, name: str, kind: str) -> Owned | None:
        """What a channel refers to in frame `index`, all of it there; None if the frame has no such channel."""
        members = self._table.channels[kind]
        number = members.names.numbers.get(name)
        if number is None or not 0 <= index < len(self._table.frames):
            return None
        plain = self._plain.get(kind)
        if plain is not None and plain[number * len(self._table.frames) + index]:
            return _PLAIN
        (position,) = members.row.unpack_from(members.raw, members.row.size * number)[index : index + 1]
        if not position:
            return None
        try:
            return self._followed(index, position, kind)
        except struct.error:
            raise Damaged(_ASTRAY) from None

    def _followed(self, index, position, kind):
        """Owned, of the channel at a position, its references followed one by one."""
        raw = self._pread(512, position)
        length, scheme, *_ = self._begin.unpack_from(raw)
        if not _BEGIN_SIZE + _DATA[kind] <= length <= _LONGEST_OWNER:
            raise Damaged(_ASTRAY)
        if length > len(raw):
            raw += self._pread(length - len(raw), position + len(raw))
        if length > len(raw):
            raise Damaged(_ASTRAY)
        # Before a word of it is believed: frameCPP reads it too, but not if it says that it has no data, say.
        self._verify(position, length, scheme, raw[length - 4 : length], always=True)
        at, behind = length - _DATA[kind], position + length
        data, behind = self._chain(index, self._reference.unpack_from(raw, at), behind)
        aux = 0
        if kind == "adc":
            aux, _ = self._chain(index, self._reference.unpack_from(raw, at + _REFERENCE_SIZE), behind)
        problem = ""
        if kind == "proc" and data:
            problem = self._problem(raw, self._find(index, self._reference.unpack_from(raw, at), position + length))
        return Owned(data, aux, problem)

    def _problem(self, raw, position):
        """Why the FrProcData of these bytes, its vector at a position, is no series in time, or ''."""
        at, size = _BEGIN_SIZE, struct.Struct(self._order + "H")
        for _ in range(2):
            at += 2 + size.unpack_from(raw, at)[0]
        (of_type,) = size.unpack_from(raw, at)
        if of_type == _TIME_SERIES or of_type in _TYPES:
            return _TYPES.get(of_type, "")
        return FREQUENCIES if self._axis(position).strip().lower() in _FREQUENCY_UNITS else ""

    def _axis(self, position):
        """What the first axis of the vector at a position is in."""
        head = self._pread(_BEGIN_SIZE + 2 + 0xFFFF + 20, position)
        (name,) = struct.unpack_from(self._order + "H", head, _BEGIN_SIZE)
        (count,) = struct.unpack_from(self._order + "Q", head, _BEGIN_SIZE + 2 + name + 12)
        at = position + _BEGIN_SIZE + 2 + name + 20 + count
        tail = self._pread(4096, at) if at < self._end else b""
        (dimensions,) = struct.unpack_from(self._order + "I", tail)
        return adc.strings(tail, self._order, 4 + 24 * dimensions, 1)[0][0] if dimensions else ""

    def _pread(self, count, position):
        """So many bytes at a position, or as many as there are; Damaged if that lies outside of the frames."""
        if not 0 < position < self._end:
            raise Damaged(_ASTRAY)
        return os.pread(self._file.fileno(), count, position)

    def _chain(self, index, reference, behind):
        """(how many vectors a reference leads to, one after another; where the last one ends)."""
        count = 0
        while any(reference):
            if count == _MOST_VECTORS:
                raise Damaged(_ASTRAY)
            position = self._find(index, reference, behind)
            head = self._pread(_BEGIN_SIZE, position)
            length, scheme, *_ = self._begin.unpack(head)
            behind = position + length
            if length < _BEGIN_SIZE + _NEXT or behind > self._end:
                raise Damaged(_ASTRAY)
            tail = self._pread(_NEXT, behind - _NEXT)
            self._fits(position, length)
            self._verify(position, length, scheme, tail[_REFERENCE_SIZE:])
            reference, count = self._reference.unpack_from(tail), count + 1
        return count, behind

    def _fits(self, position, length):
        """Damaged, if a vector says that it has more bytes or dimensions than there is room for: frameCPP asks for that
        much memory before it looks at the checksum."""
        (name,) = struct.unpack(self._order + "H", self._pread(2, position + _BEGIN_SIZE))
        head = position + _BEGIN_SIZE + 2 + name
        (count,) = struct.unpack(self._order + "Q", self._pread(8, head + 12))
        if head + 20 + count + 4 > position + length:
            raise Damaged(_MISFIT)
        (dimensions,) = struct.unpack(self._order + "I", self._pread(4, head + 20 + count))
        if head + 24 + count + 24 * dimensions > position + length:
            raise Damaged(_MISFIT)

    def _verify(self, position, length, scheme, checksum, always=False):
        """Damaged, if frameCPP would not see it: it takes a checksum of 0, or of no type, for none.

        always: if it would, too.
        """
        if not self.verified or (not always and scheme == 1 and any(checksum)):
            return
        raw = self._pread(length, position)
        if scheme != 1 or struct.unpack(self._order + "I", checksum)[0] != adc.cksum(raw[:-4]):
            raise Damaged(CHECKSUM)

    def _find(self, index, reference, behind):
        """Where the structure is that a reference means; `behind`: where it is looked for first."""
        for _ in range(1000):
            length, _, kind, instance = self._begin.unpack(self._pread(_BEGIN_SIZE, behind))
            if (kind, instance) == reference:
                return behind
            # The dictionary of structures stands before the first of a kind.
            if kind not in _DICTIONARY or length < _BEGIN_SIZE:
                break
            behind += length
        try:
            return self._structures(index)[reference]
        except KeyError:
            raise Damaged(_ASTRAY) from None

    def _structures(self, index):
        """{(class, instance): position} of all structures of a frame; one that two share is left out."""
        if index not in self._by_frame:
            places: dict[tuple[int, int], int] = {}
            at = self._table.frames[index]
            end = min((each for each in self._table.frames if each > at), default=self._end)
            twice = set()
            while at < end:
                length, _, kind, instance = self._begin.unpack(self._pread(_BEGIN_SIZE, at))
                if length < _BEGIN_SIZE:
                    break
                if places.setdefault((kind, instance), at) != at:
                    twice.add((kind, instance))
                at += length
            self._by_frame[index] = {key: at for key, at in places.items() if key not in twice}
        return self._by_frame[index]

    def _all_plain(self):
        """{kind: a byte for each frame of each channel}: 1 where it has one vector of data, right behind it.

        Of a large file nothing is looked at beforehand, and only a time series' FrProcData is plain.
        """
        size = os.fstat(self._file.fileno()).st_size
        kinds = {kind: members for kind, members in self._table.channels.items() if members.names.listed}
        count = sum(len(members.names.listed) for members in kinds.values()) * len(self._table.frames)
        if not count or size > _SMALL_FILE or size > count * _SMALL_VECTOR:
            return {}
        raw = np.frombuffer(os.pread(self._file.fileno(), size, 0), np.uint8)
        return {kind: self._are_plain(raw, kind, members) for kind, members in kinds.items() if kind != "sim"}

    def _are_plain(self, raw, kind, members):
        positions = np.frombuffer(members.raw, self._order + "u8")
        at = positions.astype(np.int64)
        plain = (at > 0) & (at < len(raw) - 64)
        at = np.where(plain, at, 0)

        def number(where, dtype):
            """The numbers that stand at positions of the file."""
            size = int(dtype[1:])
            return raw[where[:, None] + np.arange(size)].view(self._order + dtype)[:, 0]

        length = number(at, "u8")
        plain &= (length >= _BEGIN_SIZE + _DATA[kind]) & (length < _LONGEST_OWNER)
        behind = at + np.where(plain, length, 0).astype(np.int64)
        plain &= behind < len(raw) - 64
        if self.verified:
            # Without a checksum of its own it is looked at more closely.
            plain &= (raw[at + 8] == 1) & (number(behind - 4, "u4") != 0)
        behind = np.where(plain, behind, 64)
        refers = behind - _DATA[kind]
        plain &= (number(refers, "u2") == raw[behind + 9]) & (number(refers + 2, "u4") == number(behind + 10, "u4"))
        plain &= number(refers, "u2") > 0
        if kind == "adc":
            plain &= (number(refers + 6, "u2") == 0) & (number(refers + 8, "u4") == 0)
        if kind == "proc":
            name = number(at + _BEGIN_SIZE, "u2").astype(np.int64)
            comment = at + _BEGIN_SIZE + 2 + name
            comment = np.where(comment < behind - 4, comment, 0)
            kind_at = comment + 2 + number(comment, "u2")
            kind_at = np.where(kind_at < behind - 2, kind_at, 0)
            plain &= number(kind_at, "u2") == _TIME_SERIES
        length = number(behind, "u8")
        plain &= (length >= _BEGIN_SIZE + _NEXT) & (length < len(raw))
        end = behind + np.where(plain, length, 0).astype(np.int64)
        plain &= end <= self._end
        # How many bytes and dimensions the vector has: see _fits.
        head = behind + _BEGIN_SIZE + 2 + number(behind + _BEGIN_SIZE, "u2").astype(np.int64)
        plain &= head + 24 < end
        head = np.where(plain, head, 0)
        count = number(head + 12, "u8")
        plain &= count < len(raw)
        head += 20 + np.where(plain, count, 0).astype(np.int64)
        plain &= head + 4 <= end
        head = np.where(plain, head, 0)
        plain &= head + 4 + 24 * number(head, "u4").astype(np.int64) <= end
        end = np.where(plain, end, 64)
        if self.verified:
            plain &= (raw[behind + 8] == 1) & (number(end - 4, "u4") != 0)
        plain &= (number(end - _NEXT, "u2") == 0) & (number(end - _NEXT + 2, "u4") == 0)
        return plain.tobytes()
