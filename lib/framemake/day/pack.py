"""Chunks of samples as HDF5's filters read them: their bytes shuffled, then compressed; by our own hand.

HDF5's LZF filter gives bytes that depend on what it compressed before: its table is not cleared between chunks, and an
old entry can point at a match.  The compiled code (pack.c) gives the same bytes for the same samples, in a fifth of the
time of LibLZF; where there is none imagecodecs' LZF does, which is loaded only then.  Any HDF5 with the LZF filter
(h5py has it) reads either.
"""

import ctypes
import functools
import math
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import compiled

COMPRESSIONS = ("lzf", "gzip", "none")
GZIP_LEVEL = 1
# Bits of a chunk's filter mask, in the order of the filters: a bit that is set says that the filter was left out.
_SECOND_LEFT_OUT = 0b10


def pack(samples: np.ndarray, chunk: int, compression: str, out: np.ndarray, holds: np.ndarray | None = None) -> Any:
    """Pack a row of samples into `out`, one chunk behind another: int64 array, the bytes of each.

    samples: 1-D, float32 or float64, the last chunk of which is filled up with NaN, as HDF5 does with the fill value.
    out: uint8, room for all chunks as they are.  holds: bool, whether each chunk has a sample; one that has none is
    left out, and has 0 bytes.  A chunk has the bytes of its samples if these would not become fewer: see mask_of.
    """
    count, full = math.ceil(len(samples) / chunk), chunk * samples.itemsize
    sizes = np.zeros(count, np.int64)
    held = np.ones(count, bool) if holds is None else holds
    # The memory is read and written past numpy, so all of this has to hold.
    assert out.dtype == np.uint8 and out.ndim == 1 and out.flags.c_contiguous and len(out) >= count * full
    assert samples.dtype in (np.float32, np.float64) and held.dtype == bool and held.shape == sizes.shape
    call = _call() if compression == "lzf" else None
    if call:
        samples, held = np.ascontiguousarray(samples), np.ascontiguousarray(held)
        others = held, np.array(np.nan, samples.dtype), np.empty(full, np.uint8), out, sizes
        where = [each.ctypes.data for each in others]
        call(samples.ctypes.data, len(samples), samples.itemsize, chunk, *where)
        return sizes
    at = 0
    for number in np.flatnonzero(held).tolist():
        values = samples[number * chunk : (number + 1) * chunk]
        if len(values) < chunk:
            values = np.concatenate((values, np.full(chunk - len(values), np.nan, values.dtype)))
        packed = np.frombuffer(_packed(values, compression), np.uint8)
        out[at : at + len(packed)] = packed
        sizes[number] = len(packed)
        at += len(packed)
    return sizes


def one(values: np.ndarray, chunk: int, compression: str) -> tuple[bytes, int]:
    """(bytes, filter mask) of one chunk, of at most so many samples: see pack."""
    out = np.empty(chunk * values.itemsize, np.uint8)
    (size,) = pack(values, chunk, compression, out).tolist()
    return out[:size].tobytes(), mask_of(size, len(out), compression)


def mask_of(size: int, full: int, compression: str) -> int:
    """The filter mask of a chunk that has been packed into so many bytes; full: those of its samples."""
    return _SECOND_LEFT_OUT if size == full and compression != "none" else 0


def unpacked(raw: bytes | memoryview, mask: int, dtype: np.dtype, chunk: int, compression: str) -> np.ndarray:
    """The samples of a chunk, 1-D, from its bytes and its filter mask."""
    if compression == "none":
        return np.frombuffer(raw, dtype)
    size = dtype.itemsize
    if compression == "gzip" and not mask:
        raw = zlib.decompress(raw)
    elif not mask:
        import imagecodecs

        raw = bytes(imagecodecs.lzf_decode(bytes(raw), out=chunk * size))
    return np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(size, chunk).T).view(dtype).reshape(chunk)


@functools.cache
def _call() -> Callable | None:
    """The compiled function; None if there is none, or it would take the bytes of samples in another order."""
    loaded = compiled.library() if sys.byteorder == "little" else None
    if loaded is None:
        return None
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    loaded.pack.argtypes = [pointer, count, count, count, pointer, pointer, pointer, pointer, pointer]
    loaded.pack.restype = count
    return loaded.pack


def _packed(values, compression):
    """The bytes of a chunk; if its second filter would not make it smaller, that is left out."""
    if compression == "none":
        return values.tobytes()
    shuffled = np.ascontiguousarray(np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1).T).reshape(-1)
    import imagecodecs

    if compression == "lzf":
        packed = imagecodecs.lzf_encode(shuffled)
    else:
        # libdeflate at its first level: nearly as small as by zlib at its fourth, in two fifths of the time.
        packed = imagecodecs.deflate_encode(shuffled, level=GZIP_LEVEL, raw=False)
    return packed if len(packed) < len(shuffled) else shuffled
