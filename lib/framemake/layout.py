"""What the HDF5 files have in common: names in the day file, filters, and chunks compressed by our own hand.

HDF5's LZF filter gives bytes that depend on what it compressed before: its table is not cleared between
chunks, and an old entry can point at a match.  imagecodecs' LZF gives the same bytes for the same samples, in
half the time, and any HDF5 with the LZF filter (h5py has it) reads them.
"""

import zlib

import imagecodecs
import numpy as np

from .errors import BadInput

CHANNELS = "channels"
PROVENANCE = "provenance"
COMPRESSIONS = ("lzf", "gzip", "none")
GZIP_LEVEL = 4
# Bits of a chunk's filter mask, in the order of the filters: a bit that is set says that the filter was left out.
_SECOND_LEFT_OUT = 0b10


def filters(compression):
    """h5py options of a compression: bytes are shuffled first, which makes both filters work on floats."""
    if compression not in COMPRESSIONS:
        raise BadInput(f"no such compression, want {', '.join(COMPRESSIONS)}: {compression!r}")
    if compression == "none":
        return {}
    return {"compression": compression, "shuffle": True}


def write_chunk(dataset, offset, values, chunk, compression):
    """Write one chunk of a dataset, compressed here, past HDF5's own filters.

    dataset: h5py.h5d.DatasetID; offset: tuple, the chunk's first element; values: 1-D float array, padded
    with NaN to `chunk` samples, as HDF5 pads the last chunk with the fill value.
    """
    if len(values) < chunk:
        values = np.concatenate((values, np.full(chunk - len(values), np.nan, dtype=values.dtype)))
    data, mask = _pack(values, compression)
    dataset.write_direct_chunk(offset, data, mask)


def _pack(values, compression):
    """(bytes, filter mask) of a chunk; one that its filter would not make smaller goes without it."""
    if compression == "none":
        return values.tobytes(), 0
    shuffled = _shuffle(values)
    packed = imagecodecs.lzf_encode(shuffled) if compression == "lzf" else zlib.compress(shuffled, GZIP_LEVEL)
    if len(packed) >= len(shuffled):
        return shuffled.tobytes(), _SECOND_LEFT_OUT
    return packed, 0


def _shuffle(values):
    """The bytes of samples as HDF5's shuffle filter orders them: all first bytes, all second bytes, ..."""
    size = values.dtype.itemsize
    raw = np.ascontiguousarray(values).view(np.uint8)
    shuffled = np.empty((size, len(values)), dtype=np.uint8)
    for byte in range(size):
        shuffled[byte] = raw[byte::size]
    return shuffled.reshape(-1)
