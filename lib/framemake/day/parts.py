"""Part files: what a block of channels and time holds, compressed as the day file will have it.

A group `rows<n>` has the channels of one rate, phase and dtype: the chunks of the day file, packed, one behind another
(`packed`), and the bytes of each (`sizes`, channels by chunks, 0 for a gap), `members` (positions in the plan's
channels), `good` (how many samples are there) and `statistics` by unit.  Instead of `packed` it may have attributes:
the name of the body in which they lie, and `at`, where.  Beside it is the account of the block: see
account.Account.save.
"""

import bisect
import errno
import functools
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from .. import files, grid
from . import pack, statistics
from .account import Account
from .body import Place
from .plan import Block, Plan

# Bytes of chunks that are read in one go, one chunk at least: what a core has at hand until it is written.
_AT_ONCE = 1 << 18


# --- writing -------------------------------------------------------------------------------


def write_rows(part: h5py.File, plan: Plan, groups: list, count: int, place: Place | None = None) -> int:
    """Write the rows.Rows of a pass over the frames as groups numbered from count; returns the next number.

    place: of the block in a body, for those of fast channels.
    """
    groups = [rows for rows in groups if rows.grid and rows.touched.any() and rows.data.shape[1]]
    fast = [rows for rows in groups if place and place.body.members.issuperset(rows.members)]
    for rows in groups:
        group = part.create_group(f"rows{count}")
        count += 1
        cut = grid.cut(rows.rate, plan.increment, plan.window.duration)
        aligned = rows.first % cut.unit == 0
        put = functools.partial(place.put, is_last=rows is fast[-1]) if place and rows in fast else None
        where = _write_samples(group, rows, cut.chunk, plan.compression, put)
        if place and where is not None:
            group.attrs.update(body=place.body.name, at=where)
        group["members"] = np.array(rows.members, dtype=np.int32)
        height, width = rows.data.shape
        counts = np.full(height, width) if rows.good is None else np.count_nonzero(rows.good, axis=1)
        group["good"] = counts.astype(np.int64)
        if aligned:
            group["statistics"] = statistics.of_units(rows.data, rows.good, rows.first, cut.unit)
        group.attrs.update(rate=rows.grid.rate, phase=rows.grid.phase, first=rows.first, aligned=aligned)
    return count


def _write_samples(group, rows, chunk, compression, put):
    """Write the samples; a chunk that holds nothing but NaN is not written: it is a gap.

    put: as of Place.put, or None.  Returns where in a body the packed chunks lie, None if they are in the group.
    """
    height, width = rows.data.shape
    count = math.ceil(width / chunk)
    holds = None if rows.good is None else np.logical_or.reduceat(rows.good, np.arange(0, width, chunk), axis=1)
    out = _room(height * count * chunk * rows.dtype.itemsize)
    sizes, at = np.empty((height, count), np.int64), 0
    for row, samples in enumerate(rows.data):
        sizes[row] = pack.pack(samples, chunk, compression, out[at:], None if holds is None else holds[row])
        at += int(sizes[row].sum())
    group["sizes"] = sizes
    where = put(out[:at]) if put else None
    if where is None:
        # In one go, and found again by its place in the file.
        group["packed"] = out[:at]
    group.attrs.update(dtype=rows.dtype.str[1:], chunk=chunk, width=width, compression=compression)
    return where


_ROOM: list[np.ndarray] = []


def _room(size):
    """Memory of at least so many bytes, which later parts use again: new memory the system clears first."""
    if not _ROOM or len(_ROOM[0]) < size:
        _ROOM[:] = [np.empty(size, np.uint8)]
    return _ROOM[0]


# --- reading -------------------------------------------------------------------------------


class PartRow(NamedTuple):
    """Samples of one channel in one part: row number `row` of a group, on a grid, from sample `first` of the day on.

    aligned: whether they begin with a unit.  good: how many of them are there.
    """

    part: "Part"
    group: str
    row: int
    grid: grid.Grid
    dtype: str
    first: int
    aligned: bool
    good: int

    @property
    def body(self) -> str:
        """The path of the body in which its chunks lie, '' if they lie in the part."""
        return self.part.body(self)

    @property
    def at(self) -> int:
        """The position of its first chunk in the file."""
        return self.part.at(self)

    def places(self) -> Iterator[tuple[int, int, int, int]]:
        """(first sample of the day, position in the file, bytes there, filter mask) of its chunks, in order."""
        return self.part.places(self)

    def chunks(self) -> Iterator[tuple[int, bytes | memoryview, int]]:
        """(first sample of the day, bytes as they are stored, filter mask) of its chunks, in order."""
        return self.part.chunks(self)

    def samples(self, first: int, end: int) -> tuple[int, np.ndarray]:
        """Samples [first, end) of the day as far as they are here: (number of the first, samples)."""
        return self.part.samples(self, first, end)

    def statistics(self) -> np.ndarray:
        """Statistics of each unit: float64 (units, statistics.COLUMNS)."""
        return self.part.statistics(self)


class Part:
    """An open part file: the account of its block, its rows and, on demand, their compressed chunks."""

    def __init__(self, path: str, block: Block):
        """Raises OSError, KeyError or ValueError if the file is damaged."""
        self.block = block
        self.file, self._path = h5py.File(path, "r"), path
        self.account = Account.load(self.file)
        self._groups = {name: self.file[name] for name in sorted(self.file) if name.startswith("rows")}
        self._packed = {name: _Packed(group) for name, group in self._groups.items()}
        self._statistics: dict[str, np.ndarray] = {}
        for name in self._packed:
            body = self._body(name)
            if body and not os.path.exists(body):
                raise ValueError("damaged")

    def close(self) -> None:
        self.file.close()

    def body(self, row: PartRow) -> str:
        return self._body(row.group)

    def _body(self, group):
        name = self._packed[group].body
        return os.path.join(os.path.dirname(self._path), name) if name else ""

    def rows(self) -> Iterator[tuple[int, PartRow]]:
        """(position of a channel in the plan, PartRow) of all rows."""
        for name, group in self._groups.items():
            attrs = group.attrs
            where = grid.Grid(float(attrs["rate"]), float(attrs["phase"]))
            first, aligned = int(attrs["first"]), bool(attrs["aligned"])
            dtype = self._packed[name].dtype.str[1:]
            goods = group["good"][()].tolist()
            for row, member in enumerate(group["members"][()].tolist()):
                yield member, PartRow(self, name, row, where, dtype, first, aligned, goods[row])

    def at(self, row: PartRow) -> int:
        return int(self._packed[row.group].offsets[row.row, 0])

    def places(self, row: PartRow) -> Iterator[tuple[int, int, int, int]]:
        packed = self._packed[row.group]
        offsets = packed.offsets[row.row].tolist()
        for number, size in enumerate(packed.sizes[row.row].tolist()):
            if size:
                yield row.first + number * packed.chunk, offsets[number], size, packed.mask_of(size)

    def chunks(self, row: PartRow) -> Iterator[tuple[int, bytes | memoryview, int]]:
        body = self._body(row.group)
        if not body:
            yield from self._chunks(row, self.file.id.get_vfd_handle(), self._path)
            return
        with files.opened(body, "rb", buffering=0) as file:
            yield from self._chunks(row, file.fileno(), body)

    def _chunks(self, row, handle, path):
        packed = self._packed[row.group]
        sizes = packed.sizes[row.row]
        offsets = packed.offsets[row.row].tolist()
        numbers = np.flatnonzero(sizes).tolist()
        ends = [offsets[number + 1] for number in numbers]
        start = 0
        # A row is written in one go, so its chunks lie together: one read brings many.
        while start < len(numbers):
            begin = offsets[numbers[start]]
            stop = max(start + 1, bisect.bisect_right(ends, begin + _AT_ONCE, start))
            some, end, start = numbers[start:stop], ends[stop - 1], stop
            with files.named(path):
                raw = memoryview(os.pread(handle, end - begin, begin))
                if len(raw) < end - begin:
                    raise OSError(errno.EIO, "shorter than it was")
            for number in some:
                piece = raw[offsets[number] - begin : offsets[number + 1] - begin]
                yield row.first + number * packed.chunk, piece, packed.mask_of(len(piece))

    def samples(self, row: PartRow, first: int, end: int) -> tuple[int, np.ndarray]:
        packed = self._packed[row.group]
        a, b = max(first, row.first), min(end, row.first + packed.width)
        samples = np.full(max(0, b - a), np.nan, packed.dtype)
        for at, raw, mask in self.chunks(row) if a < b else ():
            begin, stop = max(a, at), min(b, at + packed.chunk)
            if begin < stop:
                values = pack.unpacked(raw, mask, packed.dtype, packed.chunk, packed.compression)
                samples[begin - a : stop - a] = values[begin - at : stop - at]
        return a, samples

    def statistics(self, row: PartRow) -> np.ndarray:
        if row.group not in self._statistics:
            self._statistics[row.group] = self._groups[row.group]["statistics"][()]
        return self._statistics[row.group][row.row]


class _Packed:
    """Where the packed chunks of a group lie: offsets, int64 (channels, chunks + 1), in the file."""

    def __init__(self, group: h5py.Group):
        attrs = group.attrs
        self.dtype, self.chunk, self.width = np.dtype(attrs["dtype"]), int(attrs["chunk"]), int(attrs["width"])
        self.compression = attrs["compression"]
        self.sizes = group["sizes"][()]
        self.body = attrs.get("body", "")
        begin = attrs["at"] if self.body else group["packed"].id.get_offset()
        ends = np.cumsum(self.sizes).reshape(self.sizes.shape) + (begin or 0)
        self.offsets = np.concatenate((ends[:, :1] - self.sizes[:, :1], ends), axis=1)
        if self.sizes.min(initial=0) < 0 or not (self.body or self.sizes.sum() == len(group["packed"])):
            raise ValueError("damaged")

    def mask_of(self, size: int) -> int:
        return pack.mask_of(size, self.chunk * self.dtype.itemsize, self.compression)
