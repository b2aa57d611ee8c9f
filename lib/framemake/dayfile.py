"""The day's HDF5 file: written whole and at once from part files, and what still holds of an earlier one.

Layout: /channels/<name>, 1-D, always the full window, NaN where there is no data; a chunk that holds nothing
is not written.  /provenance says where the day came from: `inputs` (JSON: frames, channel list, settings,
version, what was odd), `pairs` and `gave` (which file gave which channel samples in which increment, with
the unit), and `statistics`.  Two builds from the same input differ in nothing but their time stamps.
"""

import hashlib
import json
import math
import mmap
import os
import time
from typing import NamedTuple

import h5py
import numpy as np

from . import blocks, channels, cli, coverage, files, frames, gps, grid, layout
from .errors import BadInput
from .gps import Window

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
        raw = file[layout.PROVENANCE]["inputs"][()]
        self.inputs = json.loads(raw)
        self.digest = hashlib.sha256(raw).hexdigest()
        self.frames = [frames.Frame(*frame) for frame in self.inputs["frames"]]
        # A channel seen on several grids is read whole again: which grid has most of the day may change.
        mixed = set(self.inputs["grids_dropped"])
        self._read = {name for name in self.inputs["read"] if name not in mixed}
        self._datasets = file[layout.CHANNELS]
        self._statistics = self._map = None

    def fits(self, window, increment, compression):
        """Whether chunks of this file can be chunks of a day with these settings."""
        mine = self.inputs["layout"], Window(*self.inputs["window"]), self.inputs["increment"]
        same = mine == (blocks.LAYOUT, window, increment)
        return same and self.inputs["compression"] == compression

    def has(self, name):
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
        return self._datasets[name] if name in self._datasets else None

    def statistics(self, name):
        """Statistics of each unit of a channel: float64 (units, 7)."""
        if self._statistics is None:
            self._statistics = {}
            for table in self._file[layout.PROVENANCE]["statistics"].values():
                values = table["values"][()]
                for row, at in enumerate(table["members"][()].tolist()):
                    self._statistics[self.inputs["read"][at]] = values[row]
        return self._statistics[name]

    def chunks(self, dataset, wanted, moves):
        """Append (offset, bytes, filter mask) of those compressed chunks whose offset `wanted` accepts."""
        if self._map is None:
            with open(self.path, "rb") as raw:
                self._map = memoryview(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))

        def note(chunk):
            if wanted(chunk.chunk_offset[0]):
                data = self._map[chunk.byte_offset : chunk.byte_offset + chunk.size]
                moves.append((chunk.chunk_offset[0], data, chunk.filter_mask))

        dataset.id.chunk_iter(note)

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


class _Part:
    """An open part file: its rows, notes and, on demand, where its compressed chunks lie."""

    def __init__(self, path, block):
        self.block = block
        self._path = path
        self.file = h5py.File(path, "r")
        self.notes = json.loads(self.file.attrs["notes"])
        self._chunks, self._map, self._statistics = {}, None, {}

    def sources(self):
        for name in sorted(key for key in self.file if key.startswith("rows")):
            group = self.file[name]
            attrs = group.attrs
            where = grid.Grid(float(attrs["rate"]), float(attrs["phase"]))
            dtype, first, aligned = group["samples"].dtype.str[1:], int(attrs["first"]), bool(attrs["aligned"])
            for row, (member, good) in enumerate(
                zip(group["members"][()].tolist(), attrs["samples"].tolist(), strict=True)
            ):
                yield member, Source(self, name, row, where, dtype, first, aligned, good)

    def chunks(self, group, row):
        """[(offset in samples, bytes, filter mask)] of a row of a group, compressed as they lie in the file."""
        if self._map is None:
            with open(self._path, "rb") as raw:
                self._map = memoryview(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))
        if group not in self._chunks:
            rows = self._chunks[group] = {}

            def note(chunk):
                rows.setdefault(chunk.chunk_offset[0], []).append(chunk)

            self.file[group]["samples"].id.chunk_iter(note)
        return [
            (c.chunk_offset[1], self._map[c.byte_offset : c.byte_offset + c.size], c.filter_mask)
            for c in sorted(self._chunks[group].get(row, ()), key=lambda c: c.chunk_offset)
        ]

    def samples(self, source, first, end):
        """Samples of a source, numbered in the day: those of [first, end) that the part has, and their first."""
        dataset = self.file[source.group]["samples"]
        a, b = max(first, source.first), min(end, source.first + dataset.shape[1])
        return a, dataset[source.row, a - source.first : max(a, b) - source.first]

    def statistics(self, source):
        """Statistics of each unit that a source has: float64 (units, 7)."""
        if source.group not in self._statistics:
            self._statistics[source.group] = self.file[source.group]["statistics"][()]
        return self._statistics[source.group][source.row]


class Origin(NamedTuple):
    """What a person chose for the day, told in the file: for the provenance alone."""

    ffl_spec: str = ""
    ffl_path: str = ""
    channel_list: str = ""
    channel_list_sha256: str = ""
    requested: tuple = ()
    rejected: tuple = ()


def origin_of(spec, source, channel_list, rejected):
    """The Origin that pad-merge's options name; the last two are files, or None."""
    origin = Origin(spec, source or "")
    if channel_list:
        with open(channel_list, "rb") as file:
            raw = file.read()
        names, _ = channels.read(raw.decode("utf-8", "surrogateescape"), channel_list)
        origin = origin._replace(
            channel_list=os.path.abspath(channel_list),
            channel_list_sha256=hashlib.sha256(raw).hexdigest(),
            requested=[channel.name for channel in names],
        )
    if rejected:
        with open(rejected, encoding="utf-8", errors="surrogateescape") as file:
            origin = origin._replace(rejected=[line.rstrip("\n").split("\t") for line in file])
    return origin


def told(inputs):
    """What was odd about a day, a line each, from the inputs that merge returned."""
    for path, name, reason in inputs["bad"]:
        yield f"cannot be read, {reason}: {path!r}" + (f", channel {name!r}" if name else "")
    for name, change in inputs["grids_dropped"].items():
        lost = ", ".join(f"{seconds:g} s at {what}" for what, seconds in change["dropped_seconds"].items())
        yield f"sample rate changes, kept {change['kept']}, left out {lost}: {name!r}"
    for name, change in inputs["units_dropped"].items():
        yield f"unit changes, kept {change['kept']!r} of {', '.join(map(repr, change['seen']))}: {name!r}"


def merge(folder, out, origin):
    """Join the parts of a plan into the day file `out`.

    folder: where extract-increment left the parts and their plan.  Raises BadInput if a part is missing or
    no frame of the day could be read.  Returns the inputs that it wrote (a dict; see the head).
    """
    plan = blocks.load(folder)
    parts = _open_parts(plan, folder)
    keep = holds(plan.keep) if plan.keep else None
    if plan.keep and keep is None:
        raise BadInput(f"the earlier result that the parts belong to is gone: {plan.keep!r}")
    day = _Day(plan, parts, keep)
    day.refuse_if_unread()
    with files.replacing(out) as aside:
        with h5py.File(aside, "w", libver=("earliest", "v110")) as file:
            day.write(file, os.path.splitext(os.path.basename(out))[0], origin)
    return day.inputs


def _open_parts(plan, folder):
    parts = []
    for block in plan.blocks:
        path = blocks.part_path(folder, block)
        try:
            parts.append(_Part(path, block))
        except FileNotFoundError:
            raise BadInput(f"a part is missing, run extract-increment again: {path!r}") from None
        except (OSError, KeyError):
            raise BadInput(f"a part is damaged, remove it and run extract-increment again: {path!r}") from None
    return parts


class _Day:
    def __init__(self, plan, parts, keep):
        self.plan, self.parts, self.keep = plan, parts, keep
        self.sources = {at: [] for at in range(len(plan.channels))}
        for part in parts:
            for member, source in part.sources():
                self.sources[member].append(source)
        self.fresh = set(plan.fresh)
        self._spans = None
        self._join_coverage()
        self._join_notes()
        self.grids_dropped, self.units_dropped, self.statistics = {}, {}, {}
        self.inputs = {}

    # What the parts and the earlier result tell, put together

    def _join_coverage(self):
        plan = self.plan
        near = [(at, frame) for at, frame in enumerate(plan.frames) if frame.status != frames.ABSENT]
        self.pairs = coverage.pairs(plan, near, [(0, plan.window.duration)])
        row_of = {pair: row for row, pair in enumerate(self.pairs)}
        self.gave = np.zeros((len(self.pairs), len(plan.channels)), dtype=np.uint16)
        units = {}
        if self.keep:
            self._carry_coverage(row_of, units)
        for part in self.parts:
            names = part.notes["units"]
            number = np.array([0] + [units.setdefault(name, len(units) + 1) for name in names], dtype=np.uint16)
            gave = number[part.file["gave"][()]]
            rows = [row_of[pair] for pair in map(tuple, part.file["pairs"][()].tolist())]
            if rows:
                at = np.ix_(rows, part.block.channels)
                self.gave[at] = np.maximum(self.gave[at], gave)
        self.units = ["", *units]

    def _carry_coverage(self, row_of, units):
        keep, plan = self.keep, self.plan
        number = [0] + [units.setdefault(name, len(units) + 1) for name in keep.inputs["units"]]
        old_column = {name: at for at, name in enumerate(keep.inputs["read"])}
        columns = [
            (at, old_column[channel.name])
            for at, channel in enumerate(plan.channels)
            if at not in self.fresh
        ]
        new_frame = {frame: at for at, frame in enumerate(plan.frames)}
        dirty = set(plan.dirty)
        rows = []
        for old_row, (at, increment) in enumerate(keep.provenance("pairs")[()].tolist()):
            now = new_frame.get(keep.frames[at])
            if increment not in dirty and now is not None and (now, increment) in row_of:
                rows.append((row_of[now, increment], old_row))
        if rows and columns:
            gave = np.array(number, dtype=np.uint16)[keep.provenance("gave")[()]]
            new, old = zip(*rows, strict=True), zip(*columns, strict=True)
            (new_rows, old_rows), (new_columns, old_columns) = new, old
            self.gave[np.ix_(new_rows, new_columns)] = gave[np.ix_(old_rows, old_columns)]

    def _join_notes(self):
        here = {frame.path: frame for frame in self.plan.frames}
        names = [channel.name for channel in self.plan.channels]
        bad, self.problems, self.seen = {}, {}, set()
        if self.keep:
            old = {frame.path: frame for frame in self.keep.frames}
            for path, name, reason in self.keep.inputs["bad"]:
                if here.get(path) == old.get(path) and (not name or name in set(names)):
                    bad[path, name] = reason
            self.problems.update(self.keep.inputs["problems"])
            self.seen.update(self.keep.inputs["seen"])
        for part in self.parts:
            bad.update({(path, name): reason for path, name, reason in part.notes["bad"]})
            self.problems.update(part.notes["problems"])
            self.seen.update(names[at] for at in part.notes["seen"])
        self.bad = sorted((path, name, reason) for (path, name), reason in bad.items())
        self.problems = {name: self.problems[name] for name in names if name in self.problems}
        self.seen &= set(names)

    def refuse_if_unread(self):
        """A day of which no frame at all can be read is a failure, not a day of NaN."""
        whole = {path: reason for path, name, reason in self.bad if not name}
        used = [frame for frame in self.plan.frames if frame.status != frames.ABSENT]
        if any(frame.path not in whole for frame in used):
            return
        told = [f"{frame.path!r} ({whole[frame.path]})" for frame in used]
        told += [f"{frame.path!r} (absent)" for frame in self.plan.frames if frame.status == frames.ABSENT]
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise BadInput(f"no frame can be read: {', '.join(told[:5])}{more}")

    # Writing

    def write(self, file, name, origin):
        plan = self.plan
        group = file.create_group(layout.CHANNELS)
        for at, channel in enumerate(plan.channels):
            self._write_channel(group, at, channel)
        self._write_provenance(file.create_group(layout.PROVENANCE), origin)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        file.attrs["start_dt"] = gps.utc(plan.window.start)
        file.attrs["end_dt"] = gps.utc(plan.window.end)
        file.attrs["created_utc"] = now
        file.attrs["increment_size"] = plan.increment
        file.attrs["dama_name"] = name
        file.attrs["time_stamp"] = now

    def _held(self, at, channel):
        """The dataset of a channel in the earlier result, if what it holds still counts."""
        if self.keep is None or at in self.fresh:
            return None
        return self.keep.dataset(channel.name)

    def _write_channel(self, group, at, channel):
        found = [source for source in self.sources[at] if source.good]
        # Of an earlier result's dataset, the units that no block rebuilds still hold.
        held = self.keep.dataset(channel.name) if self.keep and at not in self.fresh else None
        units_held = self._units_held(at, channel) if held is not None else []
        where = self._choose_grid(channel, found, units_held)
        if where is None:
            return
        plan, window = self.plan, self.plan.window
        mine = [source for source in found if source.grid.key == where.key]
        dtypes = {source.dtype for source in mine}
        if units_held:
            held_where, held_dtype = self.keep.grid_of(channel.name)
            if held_where.key == where.key:
                dtypes.add(held_dtype.str[1:])
            else:
                units_held = []
        cut = grid.cut(where.rate, plan.increment, window.duration)
        total = grid.length(window.duration, where.rate)
        dataset = _create(group, channel.name, max(dtypes), total, cut.chunk, plan.compression)
        _set_attributes(dataset, channel.name, where.rate, self._unit_of(channel, at), grid.t0(window, where))
        firsts = {source.first for source in mine}
        if len(dtypes) == 1 and len(firsts) == len(mine) and all(source.aligned for source in mine):
            self._move_chunks(dataset, mine, held, units_held, cut)
            self.statistics[at] = self._join_statistics(channel, mine, units_held, cut, total)
        else:
            self.statistics[at] = self._write_samples(dataset, mine, held, units_held, cut, total)

    def _units_held(self, at, channel):
        """Units of an earlier result that no block of this plan rebuilds."""
        where, _ = self.keep.grid_of(channel.name)
        count = len(self.keep.statistics(channel.name))
        seconds = grid.cut(where.rate, self.plan.increment, self.plan.window.duration).unit / where.rate
        rebuilt = set()
        for begin, end in self._spans_of(at):
            rebuilt.update(range(round(begin / seconds), min(count, math.ceil(end / seconds - 1e-6))))
        good = self.keep.statistics(channel.name)[:, coverage.COUNT]
        return [unit for unit in range(count) if unit not in rebuilt and good[unit]]

    def _spans_of(self, at):
        if self._spans is None:
            self._spans = {}
            for block in self.plan.blocks:
                for member in block.channels:
                    self._spans.setdefault(member, []).append((block.start, block.end))
        return self._spans.get(at, ())

    def _choose_grid(self, channel, found, units_held):
        """The grid that holds for most of the day, or None; the others' samples are NaN, and told."""
        seconds, first = {}, {}
        if units_held:
            where, _ = self.keep.grid_of(channel.name)
            counts = self.keep.statistics(channel.name)[units_held, coverage.COUNT]
            seconds[where.key], first[where.key] = counts.sum() / where.rate, where
        for source in found:
            key = source.grid.key
            seconds[key] = seconds.get(key, 0) + source.good / source.grid.rate
            first.setdefault(key, source.grid)
        if not seconds:
            return None
        best = max(seconds, key=lambda key: (seconds[key], key))
        if len(seconds) > 1:
            dropped = {_grid_name(key): seconds[key] for key in sorted(seconds) if key != best}
            self.grids_dropped[channel.name] = {"kept": _grid_name(best), "dropped_seconds": dropped}
        return first[best]

    def _unit_of(self, channel, at):
        """The unit that most of the samples' files give; a change is told."""
        given = self.gave[:, at]
        counts = np.bincount(given[given > 0], minlength=len(self.units))
        seen = {self.units[n]: int(counts[n]) for n in np.flatnonzero(counts).tolist()}
        if not seen:
            return channel.unit
        best = max(sorted(seen), key=seen.get)
        if len(seen) > 1:
            self.units_dropped[channel.name] = {"kept": best, "seen": dict(sorted(seen.items()))}
        return best

    def _move_chunks(self, dataset, mine, held, units_held, cut):
        """Move compressed chunks as they are: nothing is compressed twice."""
        moves = []
        if units_held:
            kept, chunks_a_unit = set(units_held), cut.unit // cut.chunk
            self.keep.chunks(held, lambda chunk: chunk // cut.chunk // chunks_a_unit in kept, moves)
        for source in mine:
            for offset, data, mask in source.part.chunks(source.group, source.row):
                moves.append((source.first + offset, data, mask))
        moves.sort(key=lambda move: move[0])
        for offset, data, mask in moves:
            dataset.write_direct_chunk((offset,), data, mask)

    def _join_statistics(self, channel, mine, units_held, cut, total):
        result = np.empty((math.ceil(total / cut.unit), 7))
        result[:] = coverage.NOTHING
        if units_held:
            result[units_held] = self.keep.statistics(channel.name)[units_held]
        for source in mine:
            values = source.part.statistics(source)
            first = source.first // cut.unit
            result[first : first + len(values)] = values
        return result

    def _write_samples(self, dataset, mine, held, units_held, cut, total):
        """Join samples unit by unit where dtype or cut differ, so that chunks cannot be moved."""
        dataset = h5py.Dataset(dataset)
        kept = set(units_held)
        result = np.empty((math.ceil(total / cut.unit), 7))
        for unit in range(len(result)):
            a, b = unit * cut.unit, min((unit + 1) * cut.unit, total)
            values = np.full(b - a, np.nan, dtype=dataset.dtype)
            if unit in kept:
                values[:] = held[a:b]
            for source in mine:
                first, samples = source.part.samples(source, a, b)
                into = values[first - a : first - a + len(samples)]
                good = ~np.isnan(samples)
                into[good] = samples[good]
            good = ~np.isnan(values)
            if good.any():
                # Chunk by chunk, so that one without a sample is not written.
                for at in range(0, b - a, cut.chunk):
                    if good[at : at + cut.chunk].any():
                        dataset[a + at : min(a + at + cut.chunk, b)] = values[at : at + cut.chunk]
            result[unit] = coverage.statistics(values[None], good[None], a, cut.unit)[0, 0]
        return result

    def _write_provenance(self, group, origin):
        plan = self.plan
        self.inputs = {
            "layout": blocks.LAYOUT,
            "version": cli.version(),
            "window": list(plan.window),
            "increment": plan.increment,
            "compression": plan.compression,
            **origin._asdict(),
            "read": [channel.name for channel in plan.channels],
            "seen": [channel.name for channel in plan.channels if channel.name in self.seen],
            "frames": [list(frame) for frame in plan.frames],
            "units": self.units,
            "bad": [list(entry) for entry in self.bad],
            "problems": self.problems,
            "grids_dropped": self.grids_dropped,
            "units_dropped": self.units_dropped,
        }
        text = json.dumps(self.inputs).encode("utf-8", "surrogateescape")
        group.create_dataset("inputs", data=np.bytes_(text))
        group.create_dataset("pairs", data=np.array(self.pairs, dtype=np.int32).reshape(-1, 2))
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if self.gave.size else {}
        group.create_dataset("gave", data=self.gave, **packed)
        tables = {}
        for at, values in self.statistics.items():
            tables.setdefault(len(values), []).append(at)
        statistics = group.create_group("statistics")
        for count, members in sorted(tables.items()):
            table = statistics.create_group(f"units{count}")
            table["members"] = np.array(members, dtype=np.int32)
            values = np.array([self.statistics[at] for at in members])
            table.create_dataset("values", data=values, compression="gzip", compression_opts=1, shuffle=True)


def _grid_name(key):
    rate, phase = key
    return f"{rate:g} Hz" + (f" shifted by {phase:g} samples" if phase else "")


_PROPERTIES = {}


def _create(group, name, dtype, total, chunk, compression):
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
            made.set_deflate(4)
        elif compression == "lzf":
            made.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
        _PROPERTIES[key] = made
    space = h5py.h5s.create_simple((total,))
    kind = h5py.h5t.py_create(np.dtype(dtype))
    return h5py.h5d.create(group.id, name.encode(), kind, space, _PROPERTIES[key])


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
_TEXT = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
_DOUBLE = h5py.h5t.py_create(np.dtype("f8"))


def _set_attributes(dataset, name, rate, unit, t0):
    for key, value in ((b"channel", name), (b"sample_rate", rate), (b"unit", unit), (b"t0", t0)):
        text = isinstance(value, str)
        attribute = h5py.h5a.create(dataset, key, _TEXT if text else _DOUBLE, _SCALAR)
        attribute.write(np.array(value, dtype=object if text else np.float64))
