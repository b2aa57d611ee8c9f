"""Part files: what a block of channels and time holds, compressed as the day file will have it.

A group `rows<n>` has the channels of one rate, phase and dtype: `samples` (channels, samples) in chunks of one
row that are chunks of the day file, `members` (positions in the plan's channels), `good` (how many samples are
there) and `statistics` by unit.  Beside them is the account of the block: see account.Account.save.
"""

import errno
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from .. import grid
from . import layout, statistics
from .account import Account
from .plan import Block, Plan

# Chunks of at most half a MB each that are read in one go; a read brings no more than 2 GiB, whatever it is asked for.
_CHUNKS_AT_ONCE = 64


# --- writing -------------------------------------------------------------------------------


def write_rows(part: h5py.File, plan: Plan, groups: list, count: int) -> int:
    """Write the rows.Rows of a pass over the frames as groups numbered from count; returns the next number."""
    for rows in groups:
        if rows.grid is None or not rows.touched.any() or not rows.data.shape[1]:
            continue
        group = part.create_group(f"rows{count}")
        count += 1
        cut = grid.cut(rows.rate, plan.increment, plan.window.duration)
        aligned = rows.first % cut.unit == 0
        _write_samples(group, rows, cut.chunk, plan.compression)
        group["members"] = np.array(rows.members, dtype=np.int32)
        height, width = rows.data.shape
        counts = np.full(height, width) if rows.good is None else np.count_nonzero(rows.good, axis=1)
        group["good"] = counts.astype(np.int64)
        if aligned:
            group["statistics"] = statistics.of_units(rows.data, rows.good, rows.first, cut.unit)
        group.attrs.update(rate=rows.grid.rate, phase=rows.grid.phase, first=rows.first, aligned=aligned)
    return count


def _write_samples(group, rows, chunk, compression):
    """Write the samples; a chunk that holds nothing but NaN is not written: it is a gap."""
    height, width = rows.data.shape
    # Whole chunks, padded with NaN as HDF5 itself pads the last chunk of the day file.
    padded = math.ceil(width / chunk) * chunk
    dataset = group.create_dataset(
        "samples",
        shape=(height, padded),
        dtype=rows.dtype,
        chunks=(1, chunk),
        fillvalue=np.nan,
        **layout.filters(compression),
    )
    if rows.good is None:
        holds = np.ones((height, padded // chunk), dtype=bool)
    else:
        holds = np.logical_or.reduceat(rows.good, np.arange(0, width, chunk), axis=1)
    for row in range(height):
        for number in np.flatnonzero(holds[row]).tolist():
            a = number * chunk
            values = rows.data[row, a : min(a + chunk, width)]
            layout.write_chunk(dataset.id, (row, a), values, chunk, compression)


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
        self.file = h5py.File(path, "r")
        self.account = Account.load(self.file)
        self._groups = {name: self.file[name] for name in sorted(self.file) if name.startswith("rows")}
        self._samples = {name: group["samples"] for name, group in self._groups.items()}
        self._statistics: dict[str, np.ndarray] = {}
        self._chunks: dict[str, dict] = {}

    def close(self) -> None:
        self.file.close()

    def rows(self) -> Iterator[tuple[int, PartRow]]:
        """(position of a channel in the plan, PartRow) of all rows."""
        for name, group in self._groups.items():
            attrs = group.attrs
            where = grid.Grid(float(attrs["rate"]), float(attrs["phase"]))
            first, aligned = int(attrs["first"]), bool(attrs["aligned"])
            dtype = self._samples[name].dtype.str[1:]
            goods = group["good"][()].tolist()
            for row, member in enumerate(group["members"][()].tolist()):
                yield member, PartRow(self, name, row, where, dtype, first, aligned, goods[row])

    def chunks(self, row: PartRow) -> Iterator[tuple[int, bytes | memoryview, int]]:
        if row.group not in self._chunks:
            # All at once: asking for one chunk by its place searches the file's index anew.
            by_row: dict[int, list] = {}
            self._chunks[row.group] = by_row

            def note(chunk):
                (at_row, at), place = chunk.chunk_offset, (chunk.byte_offset, chunk.size, chunk.filter_mask)
                by_row.setdefault(at_row, []).append((at, *place))

            self._samples[row.group].id.chunk_iter(note)
        chunks = sorted(self._chunks[row.group].pop(row.row, ()))
        handle = self.file.id.get_vfd_handle()
        # A row is written in one go, so its chunks lie together: one read brings many.
        for start in range(0, len(chunks), _CHUNKS_AT_ONCE):
            some = chunks[start : start + _CHUNKS_AT_ONCE]
            begin = min(offset for _, offset, _, _ in some)
            end = max(offset + size for _, offset, size, _ in some)
            raw = memoryview(os.pread(handle, end - begin, begin))
            if len(raw) < end - begin:
                raise OSError(errno.EIO, "shorter than it was", self.file.filename)
            for at, offset, size, mask in some:
                yield row.first + at, raw[offset - begin : offset - begin + size], mask

    def samples(self, row: PartRow, first: int, end: int) -> tuple[int, np.ndarray]:
        dataset = self._samples[row.group]
        a, b = max(first, row.first), min(end, row.first + dataset.shape[1])
        return a, dataset[row.row, a - row.first : max(a, b) - row.first]

    def statistics(self, row: PartRow) -> np.ndarray:
        if row.group not in self._statistics:
            self._statistics[row.group] = self._groups[row.group]["statistics"][()]
        return self._statistics[row.group][row.row]
