"""What the HDF5 files have in common: names and attributes, datasets, filters, and chunks compressed by our own hand.

HDF5's LZF filter gives bytes that depend on what it compressed before: its table is not cleared between
chunks, and an old entry can point at a match.  imagecodecs' LZF gives the same bytes for the same samples, in
half the time, and any HDF5 with the LZF filter (h5py has it) reads them.
"""

import zlib

import h5py
import imagecodecs
import numpy as np

from .. import gps
from ..errors import BadInput

# What a day file of this form is called; of one with another form no later day is built.
LAYOUT = 1
# That of the converter which the field used before: no provenance, and a t0 that is off by years.
CONVERTER = "converter"
# That of a day that was made from another day file: see resample.
RESAMPLED = "resampled"
CHANNELS = "channels"
PROVENANCE = "provenance"
COMPRESSIONS = ("lzf", "gzip", "none")
GZIP_LEVEL = 4
AXIS_UNIT = "s"
# HDF5 types by dtype.
TYPES = {"float32": h5py.h5t.IEEE_F32LE, "float64": h5py.h5t.IEEE_F64LE}
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


_PROPERTIES: dict = {}


def create(group, name, dtype, total, chunk, compression):
    """A dataset of the day file, through h5py's low-level objects: a quarter of the time of create_dataset."""
    key = dtype, total, chunk, compression
    if key not in _PROPERTIES:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((chunk,))
        made.set_fill_value(np.array(np.nan, dtype=dtype))
        made.set_obj_track_times(False)
        if compression != "none":
            made.set_shuffle()
        if compression == "gzip":
            made.set_deflate(GZIP_LEVEL)
        elif compression == "lzf":
            made.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
        _PROPERTIES[key] = made
    space = h5py.h5s.create_simple((total,))
    kind = h5py.h5t.py_create(np.dtype(dtype))
    return h5py.h5d.create(group.id, name.encode(), kind, space, _PROPERTIES[key])


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
_TEXT = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
_DOUBLE = h5py.h5t.py_create(np.dtype("f8"))


def describe(dataset, name, rate, unit, t0):
    """Write the attributes of a channel's dataset: rate in Hz, t0 in GPS seconds.

    By xunit, that of the axis, gwpy's TimeSeriesDict.read(path, format="hdf5", group="channels") knows a series.
    """
    found = ((b"channel", name), (b"sample_rate", rate), (b"unit", unit), (b"t0", t0), (b"xunit", AXIS_UNIT))
    for key, value in found:
        text = isinstance(value, str)
        attribute = h5py.h5a.create(dataset, key, _TEXT if text else _DOUBLE, _SCALAR)
        attribute.write(np.array(value, dtype=object if text else np.float64))


def stamp(file, window, increment, name):
    """Write the attributes of a day file: its window, increment in s and name, and now, twice."""
    now = gps.now_utc()
    file.attrs["start_dt"] = gps.zoned(window.start)
    file.attrs["end_dt"] = gps.zoned(window.end)
    file.attrs["created_utc"] = now
    file.attrs["increment_size"] = increment
    file.attrs["dama_name"] = name
    file.attrs["time_stamp"] = now
