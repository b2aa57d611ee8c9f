"""What is read back to make a day file: an earlier one, for what still holds of it, and the part files."""

import hashlib
import json
import os
from typing import NamedTuple

import h5py

from .. import grid
from ..frames import catalog
from ..gps import Window
from . import blocks, layout

# Chunks of at most half a MB each that are read in one go; a read brings no more than 2 GiB, whatever it is asked for.
_CHUNKS_AT_ONCE = 64


class Source(NamedTuple):
    """Samples of a channel in one part: `group` of `part`, `row` in it, and how many are good."""

    part: object
    group: str
    row: int
    grid: grid.Grid
    dtype: str
    first: int
    aligned: bool
    good: int


class Held:
    """An earlier day file, for what still holds of it."""

    def __init__(self, path, file):
        self.path, self._file = path, file
        self._raw = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raw = file[layout.PROVENANCE]["inputs"][()]
        self.inputs = json.loads(raw)
        self.digest = hashlib.sha256(raw).hexdigest()
        # A frame that could not be had then counts as one that has changed: it is read again.
        transient = set(self.inputs.get("transient", ()))
        listed = [catalog.Frame(*frame) for frame in self.inputs["frames"]]
        self.frames = [frame._replace(mtime=-1) if frame.path in transient else frame for frame in listed]
        # A channel seen on several grids is read whole again: which grid has most of the day may change.
        mixed = set(self.inputs["grids_dropped"])
        self._read = {name for name in self.inputs["read"] if name not in mixed}
        self._datasets = file[layout.CHANNELS]
        self._statistics = None

    def fits(self, window, increment, compression):
        """Whether chunks of this file can be chunks of a day with these settings."""
        mine = self.inputs["layout"], Window(*self.inputs["window"]), self.inputs["increment"]
        same = mine == (blocks.LAYOUT, window, increment)
        return same and self.inputs["compression"] == compression

    def __contains__(self, name):
        """Whether this file was made with the channel in its list, found or not."""
        return name in self._read

    def grid_of(self, name):
        """(grid, dtype) of a channel, or (None, None) if it had no sample."""
        if name not in self._datasets:
            return None, None
        dataset = self._datasets[name]
        rate, start = dataset.attrs["sample_rate"], self.inputs["window"][0]
        _, phase = grid.place(dataset.attrs["t0"] - start, rate)
        return grid.Grid(rate, phase), dataset.dtype

    def samples(self, name, first, count):
        """Samples [first, first + count) of a channel."""
        return self._datasets[name][first : first + count]

    def dataset(self, name):
        return self._datasets.get(name)

    def statistics(self, name):
        """Statistics of each unit of a channel: float64 (units, 7)."""
        if self._statistics is None:
            self._statistics = {}
            for table in self._file[layout.PROVENANCE]["statistics"].values():
                values = table["values"][()]
                for row, at in enumerate(table["members"][()].tolist()):
                    self._statistics[self.inputs["read"][at]] = values[row]
        return self._statistics[name]

    def chunks(self, dataset, wanted):
        """(offset, bytes, filter mask) of those compressed chunks whose offset `wanted` accepts, in order."""
        found = []
        dataset.id.chunk_iter(found.append)
        for chunk in sorted(found, key=lambda chunk: chunk.chunk_offset):
            if wanted(chunk.chunk_offset[0]):
                yield chunk.chunk_offset[0], os.pread(self._raw, chunk.size, chunk.byte_offset), chunk.filter_mask

    def provenance(self, name):
        return self._file[layout.PROVENANCE][name]


def holds(path):
    """Open a day file for what still holds of it; None if there is none or it is not one of this layout."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        return None
    except OSError:
        return None
    try:
        held = Held(path, file)
        return held if held.inputs["layout"] == blocks.LAYOUT else None
    except (KeyError, ValueError, TypeError):
        file.close()
        return None


class Part:
    """An open part file: its rows, notes and, on demand, its compressed chunks."""

    def __init__(self, path, block):
        self.block = block
        self.file = h5py.File(path, "r")
        self._raw = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.notes = json.loads(self.file.attrs["notes"])
        self._groups = {name: self.file[name] for name in sorted(self.file) if name.startswith("rows")}
        self._samples = {name: group["samples"] for name, group in self._groups.items()}
        self._statistics, self._chunks = {}, {}

    def close(self):
        self.file.close()
        os.close(self._raw)

    def sources(self):
        for name, group in self._groups.items():
            attrs = group.attrs
            where = grid.Grid(float(attrs["rate"]), float(attrs["phase"]))
            first, aligned = int(attrs["first"]), bool(attrs["aligned"])
            dtype = self._samples[name].dtype.str[1:]
            goods = group["good"][()].tolist()
            for row, member in enumerate(group["members"][()].tolist()):
                yield member, Source(self, name, row, where, dtype, first, aligned, goods[row])

    def chunks(self, source):
        """(offset in samples, bytes, filter mask) of a source, compressed as they lie in the file, in order."""
        if source.group not in self._chunks:
            # All at once: asking for one chunk by its place searches the file's index anew.
            rows = self._chunks[source.group] = {}

            def note(chunk):
                (row, at), place = chunk.chunk_offset, (chunk.byte_offset, chunk.size, chunk.filter_mask)
                rows.setdefault(row, []).append((at, *place))

            self._samples[source.group].id.chunk_iter(note)
        chunks = sorted(self._chunks[source.group].pop(source.row, ()))
        if not chunks:
            return
        # A row is written in one go, so its chunks lie together: one read brings many.
        for first in range(0, len(chunks), _CHUNKS_AT_ONCE):
            some = chunks[first : first + _CHUNKS_AT_ONCE]
            begin = min(offset for _, offset, _, _ in some)
            end = max(offset + size for _, offset, size, _ in some)
            raw = memoryview(os.pread(self._raw, end - begin, begin))
            for at, offset, size, mask in some:
                yield at, raw[offset - begin : offset - begin + size], mask

    def samples(self, source, first, end):
        """Samples of a source, numbered in the day: those of [first, end) that the part has, and their first."""
        dataset = self._samples[source.group]
        a, b = max(first, source.first), min(end, source.first + dataset.shape[1])
        return a, dataset[source.row, a - source.first : max(a, b) - source.first]

    def statistics(self, source):
        """Statistics of each unit that a source has: float64 (units, 7)."""
        if source.group not in self._statistics:
            self._statistics[source.group] = self._groups[source.group]["statistics"][()]
        return self._statistics[source.group][source.row]
