"""What a channel is, read from the heads of its structures: no sample is read, however many there are.

Source: LIGO-T970130 (frame format version 8).  In files of the known writers a channel's FrVect follows its FrAdcData
or FrProcData.  A channel that is stored otherwise, or is unusual in any way, is left to frameCPP.
"""

import contextlib
import os
import struct
from collections.abc import Iterable, Mapping

from . import adc
from .model import BadFrame

# The reference to the data, from the end of a structure: after it come 2 (adc) or 4 references and the checksum.
_DATA = {"adc": 22, "proc": 34}
# A structure's begin: length, checksum type, class, instance; a FrVect's name, compression, type, count and bytes.
_BEGIN, _LONGEST_HEAD, _LONGEST_TAIL = "QBBI", 14 + 2 + 0xFFFF + 20, 4096


def read(
    path: str | os.PathLike[str], wanted: Mapping[str | None, Iterable[str]]
) -> dict[tuple[str, str], tuple[int, float, str]]:
    """{(channel, kind): (FrVect type, seconds between samples, unit)} of the first frame of a file, where it is plain.

    wanted: {kind: names}; kinds other than adc and proc are left out.  A file that cannot be read so gives {}.
    """
    found = {}
    with open(path, "rb", buffering=0) as file:
        for kind in _DATA.keys() & wanted.keys():
            try:
                order, _, places = adc.positions(file, set(wanted[kind]), kind)
            except (struct.error, BadFrame):
                return {}
            for name, (at, *_) in places.items():
                with contextlib.suppress(struct.error, BadFrame):
                    vector = _vector(file, order, at, _DATA[kind]) if at else None
                    if vector:
                        found[name, kind] = vector
    return found


def _vector(file, order, position, data):
    """(type, seconds between samples, unit) of the vector behind the structure at a position; None if it is unusual.

    data: how many bytes before its end the structure refers to its vector.
    """
    owner = adc.structure_at(file, order, position)
    refers = struct.unpack_from(order + "HI", owner, len(owner) - data)
    at = position + len(owner)
    head = os.pread(file.fileno(), 256, at)
    length, _, kind, instance = struct.unpack_from(order + _BEGIN, head)
    if (kind, instance) != refers:
        return None
    (name,) = struct.unpack_from(order + "H", head, 14)
    if 16 + name + 20 > len(head):
        head = os.pread(file.fileno(), _LONGEST_HEAD, at)
    _, dtype, _, size = struct.unpack_from(order + "HHQQ", head, 16 + name)
    begin = 16 + name + 20 + size
    if not 0 < length - begin <= _LONGEST_TAIL:
        return None
    tail = os.pread(file.fileno(), length - begin, at + begin)
    dimensions, _, dx, _ = struct.unpack_from(order + "IQdd", tail)
    if dimensions != 1 or not dx > 0:
        return None
    (_, unit), end = adc.strings(tail, order, 28, 2)
    # Then come the reference to a next vector and the checksum.
    return (dtype, dx, unit) if end + 10 == len(tail) else None
