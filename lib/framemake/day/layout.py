"""What the HDF5 files have in common: names and attributes, datasets, filters, and chunks past these filters."""

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import h5py
import numpy as np

from .. import files, gps
from ..errors import BadInput
from . import pack
from .pack import COMPRESSIONS, GZIP_LEVEL

# What a day file of this form is called; of one with another form no later day is built.
LAYOUT = 1
# That of the converter which the field used before: no provenance, and a t0 that is off by years.
CONVERTER = "converter"
# That of a day that was made from another day file: see resample.
RESAMPLED = "resampled"
CHANNELS = "channels"
PROVENANCE = "provenance"
AXIS_UNIT = "s"
# The attributes of a channel's dataset.
ATTRIBUTES = ("channel", "sample_rate", "unit", "t0", "xunit")
# HDF5 types by dtype.
TYPES = {"float32": h5py.h5t.IEEE_F32LE, "float64": h5py.h5t.IEEE_F64LE}


class Astray(Exception):
    """HDF5 would have chunks elsewhere than where they lie."""


class NewFile(h5py.File):
    """An HDF5 file that is open for writing, as writing() gives it.

    goes_on: whether it began as a copy of an earlier file.  check(): raises the error of a write that has failed, which
    HDF5 is not told of.
    """

    def __init__(self, sink: files.Sink, goes_on: bool, libver: object):
        super().__init__(sink, "r+" if goes_on else "w", libver=libver)
        self.goes_on, self.check, self._sink = goes_on, sink.check, sink

    def take_in(self, begin: int, chunks: Iterable[tuple[h5py.h5d.DatasetID, int, int, int, int]]) -> None:
        """Let chunks, for which there is room in the index, be where they lie in a file that is written `onto`.

        begin: where the first of them lies; all that was written until now has to fit before.  chunks: (dataset, first
        sample, position in the file, bytes, filter mask), one behind another.  Raises Astray if that cannot be.

        HDF5 puts a chunk that it has to move, as it grows, at the end of the file, and nothing else is put there
        meanwhile, as the index has all entries already.
        """
        sink = self._sink
        assert isinstance(sink, _Onto)
        fill = self._fill(begin)
        nothing: Any = np.empty(0, np.uint8)
        for dataset, first, position, size, mask in chunks:
            if len(nothing) < size:
                nothing = np.empty(size, np.uint8)
            sink.lies = position, size
            dataset.write_direct_chunk((first,), nothing[:size], mask)
            if sink.astray or sink.lies or position != begin:
                raise Astray
            begin += size
        sink.end_at(begin)
        for name in fill:
            del self[name]

    def _fill(self, end):
        """Fill the file up to its `end`; returns the names of what is in it for that."""
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        names, size, takes = ("fill", "filled"), 1, 0
        for name in names:
            before = self.id.get_filesize()
            if name == names[1]:
                size = end - before - takes
            if size < 1:
                raise Astray
            h5py.h5d.create(self.id, name.encode(), h5py.h5t.STD_U8LE, h5py.h5s.create_simple((size,)), made)
            # What describes it.
            takes = self.id.get_filesize() - before - size
        if self.id.get_filesize() != end:
            raise Astray
        return names


class _Onto(files.Sink):
    """The Sink of a file in which something lies from `begin` to `end`, where nothing is written; it seems to be new.

    lies: (position, bytes) of what HDF5 may believe that it writes there, None once it has.  astray: whether it tried
    something else.
    """

    def __init__(self, path: files.Path, begin: int):
        super().__init__(path, goes_on=True)
        self.lies: tuple[int, int] | None = None
        self.astray = False
        self._begin, self._end, self._size = begin, math.inf, 0
        # A join that was killed has left something there.
        self.empty(begin)

    def end_at(self, end: int) -> None:
        """Tell where the end is of what lies there; what follows is not kept."""
        self._end = end
        super().truncate(end)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(position + self._size if whence == os.SEEK_END else position)

    def write(self, data: "bytes | memoryview") -> int:
        at = self.tell()
        self._size = max(self._size, at + len(data))
        if at + len(data) <= self._begin or at >= self._end:
            return super().write(data)
        if (at, len(data)) == self.lies:
            self.lies = None
        else:
            self.astray = True
        self.seek(at + len(data))
        return len(data)

    def truncate(self, size: int) -> int:
        self._size = size
        return super().truncate(size) if size >= self._end else size


@contextlib.contextmanager
def writing(
    path: files.Path,
    durable: bool = True,
    libver: object = ("earliest", "v110"),
    begin: Callable[[str], bool] | None = None,
    whole: Callable[[str], None] = lambda path: None,
    onto: tuple[str, int] | None = None,
) -> Iterator[NewFile]:
    """Give an HDF5 file that replaces `path`, whole and at once, when the block ends: see files.replacing.

    begin: called with a temporary path, may copy an earlier file to it, and returns whether it did; else the file is
    new.  onto: (path, position) of a file that has, from a position on, what is to be in the new one: it is written to,
    and gets `path` as another name; see NewFile.take_in.  whole: called with the temporary path once all is written,
    before it is synced.

    Raises OSError, which names `path`, if the system cannot write it; at the end, or when check() of the file is asked.
    HDF5 does not find that out: once it could not write what it has left as it closes a file, it crashes, or objects
    that it has kept complain one by one as the process ends (seen with 2.0.0).
    """
    with files.replacing(path, durable) as aside:
        goes_on = begin is not None and begin(aside)
        written = onto[0] if onto else aside
        with (
            _Onto(*onto) if onto else files.Sink(aside, goes_on) as sink,
            files.flushing(written) if durable else contextlib.nullcontext(),
            NewFile(sink, goes_on, libver) as file,
        ):
            yield file
        if onto:
            os.unlink(aside)
            os.link(written, aside)
        whole(aside)


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
    data, mask = pack.one(values, chunk, compression)
    dataset.write_direct_chunk(offset, data, mask)


# Datasets that differ in nothing but their names share what describes them.
_ALIKE: dict = {}


def create(group, name, dtype, total, chunk, compression):
    """A dataset of the day file, through h5py's low-level objects: an eighth of the time of create_dataset."""
    key = dtype, total, chunk, compression
    if key not in _ALIKE:
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
        _ALIKE[key] = h5py.h5t.py_create(np.dtype(dtype)), h5py.h5s.create_simple((total,)), made
    return h5py.h5d.create(group.id, name.encode(), *_ALIKE[key])


_FILTERS = {
    "lzf": [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF],
    "gzip": [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE],
    "none": [],
}


def takes_chunks(dataset, chunk, compression):
    """Whether a dataset has stored chunks of so many samples, to be moved: another program may have packed it anew."""
    made = dataset.get_create_plist()
    if made.get_layout() != h5py.h5d.CHUNKED or made.get_chunk() != (chunk,):
        return False
    return [made.get_filter(at)[0] for at in range(made.get_nfilters())] == _FILTERS[compression]


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
_TEXT = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
_DOUBLE = h5py.h5t.py_create(np.dtype("f8"))
# A text in memory.
_OBJECT = h5py.h5t.py_create(h5py.string_dtype())


def describe(dataset, name, rate, unit, t0):
    """Write the attributes of a channel's dataset: rate in Hz, t0 in GPS seconds.

    By xunit, that of the axis, gwpy knows a time series: without it TimeSeriesDict.read leaves the channel out.  gwpy
    takes no attribute that it does not know.
    """
    for key, value in zip(ATTRIBUTES, (name, rate, unit, t0, AXIS_UNIT), strict=True):
        kind, dtype, held = (_TEXT, object, _OBJECT) if isinstance(value, str) else (_DOUBLE, np.float64, _DOUBLE)
        # With the type in memory given, h5py does not make one from the value's dtype: half of the time.
        h5py.h5a.create(dataset, key.encode(), kind, _SCALAR).write(np.array(value, dtype=dtype), held)


def stamp(file, window, increment, name):
    """Write the attributes of a day file: its window, increment in s and name, and now, twice."""
    now = gps.now_utc()
    file.attrs["start_dt"] = gps.zoned(window.start)
    file.attrs["end_dt"] = gps.zoned(window.end)
    file.attrs["created_utc"] = now
    file.attrs["increment_size"] = increment
    file.attrs["dama_name"] = name
    file.attrs["time_stamp"] = now
