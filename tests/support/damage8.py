"""Files of format 8 that are damaged in ways that no checksum tells, and what the compiled reader makes of them.

It loads nothing but that reader: the sanitizers are to see no other library.
"""

import random
import struct
from pathlib import Path

import numpy as np
from framemake import gwf
from framemake.gwf import adc, frames8
from framemake.gwf.model import LOOKED, Spot, Wanted, convertible


def damaged(raw, chance, places):
    """The bytes of a file with a structure that was changed, its checksum made right: what no checksum can tell."""
    raw = bytearray(raw)
    at = chance.choice(places)
    (length,) = struct.unpack_from("<Q", raw, at)
    for _ in range(chance.choice([1, 1, 2, 6])):
        # What stands before and behind the samples is what matters.
        near = chance.choice(
            [chance.randrange(length), chance.randrange(min(length, 60)), length - chance.randrange(1, min(length, 70))]
        )
        how = chance.randrange(4)
        if how == 0:
            raw[at + near] ^= 1 << chance.randrange(8)
        else:
            value = [bytes(8), b"\xff" * 8, chance.randbytes(8)][how - 1][: chance.choice([1, 2, 4, 8])]
            raw[at + near : at + near + len(value)] = value
    (now,) = struct.unpack_from("<Q", raw, at)
    for size in {length, now}:
        if 18 <= size <= len(raw) - at:
            struct.pack_into("<I", raw, at + size - 4, adc.cksum(bytes(raw[at : at + size - 4])))
    return raw


def campaign(library, paths, count, seed):
    """{status: how often} of channels of so many files that no checksum tells to be damaged, by compiled code alone.

    paths: of the whole files; what is damaged is written beside the first.
    """
    contents = [(raw, structures(raw)) for raw in (Path(path).read_bytes() for path in paths)]
    target = Path(paths[0]).parent / "damaged.gwf"
    counts = dict.fromkeys(range(4), 0)
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        raw, places = contents[number % len(contents)]
        target.write_bytes(damaged(raw, chance, places))
        try:
            file = frames8.Frames8(target, library)
        except gwf.BadFrame:
            continue
        wanted = Wanted(list(file.kinds))
        for index in range(len(file.frames)):
            wanted.spot[:] = -1
            file.take(index, wanted)
            spots = []
            for at in np.flatnonzero(wanted.status == LOOKED).tolist():
                shape = wanted.shape(at)
                if shape.samples * shape.dtype.itemsize < 1 << 20:
                    wanted.spot[at], wanted.row[at] = len(spots), 0
                    out = np.zeros((1, shape.samples), convertible(shape.dtype))
                    some = np.array([[0, 0, shape.samples]])
                    good = np.zeros(out.shape, bool) if chance.random() < 0.5 else None
                    spots.append(Spot(shape, out, good, some))
            file.take(index, wanted, spots)
            for status in wanted.status.tolist():
                counts[status] += 1
    return counts


def structures(raw):
    """Where the structures begin in a little-endian file, but those that tell what structures there are."""
    found, at = [], 40
    while at < len(raw) - 46:
        if raw[at + 9] not in (1, 2):
            found.append(at)
        at += struct.unpack_from("<Q", raw, at)[0]
    # The table of contents is the last.
    return found[:-1]


def every_channel(library, paths):
    """Take every channel of whole files, with and without its flags."""
    for path in paths:
        file = frames8.Frames8(path, library)
        for index in range(len(file.frames)):
            for name, kind in file.kinds.items():
                assert len(file.read(index, name, kind).data)
