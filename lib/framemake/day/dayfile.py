"""The day's HDF5 file: written whole and at once from part files, and what still holds of an earlier one.

Layout: /channels/<name>, 1-D, always the full window, NaN where there is no data; a chunk that holds nothing
is not written.  /provenance says where the day came from: `inputs` (JSON: frames, channel list, settings,
version, what was odd), `pairs` and `gave` (which file gave which channel samples in which increment, with
the unit), and `statistics`.  Two builds from the same input differ in nothing but their time stamps.
"""

import contextlib
import hashlib
import heapq
import json
import math
import os
from typing import NamedTuple

import h5py
import numpy as np

from .. import files, grid
from ..errors import BadInput, Told
from ..frames import catalog, channels
from ..version import version
from . import blocks, coverage, layout, stored


class Origin(NamedTuple):
    """What a person chose for the day, told in the file: for the provenance alone."""

    ffl_spec: str = ""
    ffl_path: str = ""
    channel_list: str = ""
    channel_list_sha256: str = ""
    requested: tuple = ()
    rejected: tuple = ()


def origin_of(spec, source, requested, rejected, channel_list=None):
    """The Origin that pad-merge's options name; requested and rejected are files, or None.

    channel_list: the path to tell, if requested is a copy of what lies there.
    """
    origin = Origin(spec, source or "")
    if requested:
        with open(requested, "rb") as file:
            raw = file.read()
        names, _ = channels.read(raw.decode("utf-8", "surrogateescape"), requested)
        origin = origin._replace(
            channel_list=os.path.abspath(channel_list or requested),
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


def merge(folder, out, origin, wait=None, transient=None):
    """Join the parts of a plan into the day file `out`.

    folder: where extract-increment left the parts and their plan.  wait: called while a part that is needed
    next is not there; returns False when none will come any more.  Raises BadInput if a part is missing (Told
    if it was waited for: whoever was to make it says why) or no frame of the day could be read.  Returns the
    inputs that it wrote (a dict; see the head).  transient: a file that is there afterwards, and lists them, if the
    system did not give some frame files: they are to be read again though they are what they were.
    """
    plan = blocks.load(folder)
    keep = stored.holds(plan.keep) if plan.keep else None
    if plan.keep and keep is None:
        raise BadInput(f"the earlier result that the parts belong to is gone: {plan.keep!r}")
    day = _Day(plan, keep, folder, wait)
    with (
        files.replacing(out) as aside,
        h5py.File(aside, "w", libver=("earliest", "v110")) as file,
        files.flushing(aside),
    ):
        day.write(file, os.path.splitext(os.path.basename(out))[0], origin)
        if transient:
            _note_transient(transient, day.inputs["transient"])
    return day.inputs


def _note_transient(path, paths):
    if paths:
        files.write(path, "".join(f"{each}\n" for each in paths))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class _Day:
    def __init__(self, plan, keep, folder, wait):
        self.plan, self.keep, self.folder, self.wait = plan, keep, folder, wait
        self.fresh = set(plan.fresh)
        self.blocks_of = [[] for _ in plan.channels]
        for number, block in enumerate(plan.blocks):
            for member in block.channels:
                self.blocks_of[member].append(number)
        self.sources = {}
        near = [(at, frame) for at, frame in enumerate(plan.frames) if frame.status != catalog.ABSENT]
        self.pairs = coverage.pairs(plan, near, [(0, plan.window.duration)])
        self.row_of = {pair: row for row, pair in enumerate(self.pairs)}
        self.gave = np.zeros((len(self.pairs), len(plan.channels)), dtype=np.uint16)
        self.units, self.bad, self.transient, self.problems, self.seen = {}, {}, set(), {}, set()
        if keep:
            self._carry_coverage()
            self._carry_notes()
        self.grids_dropped, self.units_dropped, self.statistics, self.datasets = {}, {}, {}, {}
        self.inputs = {}

    def _open(self, number):
        """The part of a block, waited for if it is on its way; its coverage and notes are taken in."""
        block = self.plan.blocks[number]
        path = blocks.part_path(self.folder, block)
        while not os.path.exists(path):
            if self.wait is not None and not self.wait() and not os.path.exists(path):
                raise Told
            if self.wait is None:
                raise BadInput(f"a part is missing, run extract-increment again: {path!r}")
        try:
            part = stored.Part(path, block)
        except (OSError, KeyError, ValueError):
            raise BadInput(f"a part is damaged, remove it and run extract-increment again: {path!r}") from None
        for member, source in part.sources():
            self.sources.setdefault(member, []).append(source)
        self._join_coverage(part)
        self.bad.update({(path, name): reason for path, name, reason in part.notes["bad"]})
        self.transient.update(part.notes.get("transient", ()))
        self.problems.update(part.notes["problems"])
        self.seen.update(self.plan.channels[at].name for at in part.notes["seen"])
        return part

    # What the parts and the earlier result tell, put together

    def _join_coverage(self, part):
        names = part.notes["units"]
        number = [0] + [self.units.setdefault(name, len(self.units) + 1) for name in names]
        rows = [self.row_of[pair] for pair in map(tuple, part.file["pairs"][()].tolist())]
        if rows:
            at = np.ix_(rows, part.block.channels)
            self.gave[at] = np.maximum(self.gave[at], np.array(number, dtype=np.uint16)[part.file["gave"][()]])

    def _carry_coverage(self):
        """Take over which file gave what, for increments and channels that are not read anew."""
        keep, plan = self.keep, self.plan
        number = [0] + [self.units.setdefault(name, len(self.units) + 1) for name in keep.inputs["units"]]
        old_column = {name: at for at, name in enumerate(keep.inputs["read"])}
        columns = [(at, old_column[channel.name]) for at, channel in enumerate(plan.channels) if at not in self.fresh]
        new_frame = {frame: at for at, frame in enumerate(plan.frames)}
        dirty = set(plan.dirty)
        rows = []
        for old_row, (at, increment) in enumerate(keep.provenance("pairs")[()].tolist()):
            now = new_frame.get(keep.frames[at])
            if increment not in dirty and (now, increment) in self.row_of:
                rows.append((self.row_of[now, increment], old_row))
        if rows and columns:
            gave = np.array(number, dtype=np.uint16)[keep.provenance("gave")[()]]
            (new_rows, old_rows), (new_columns, old_columns) = zip(*rows, strict=True), zip(*columns, strict=True)
            self.gave[np.ix_(new_rows, new_columns)] = gave[np.ix_(old_rows, old_columns)]

    def _carry_notes(self):
        """Take over what was odd, where it is about files and channels that are still the same."""
        here = {frame.path: frame for frame in self.plan.frames}
        before = {frame.path: frame for frame in self.keep.frames}
        names = {channel.name for at, channel in enumerate(self.plan.channels) if at not in self.fresh}
        for path, name, reason in self.keep.inputs["bad"]:
            if here.get(path) == before.get(path) and (not name or name in names):
                self.bad[path, name] = reason
        self.problems.update((name, why) for name, why in self.keep.inputs["problems"].items() if name in names)
        self.seen.update(names.intersection(self.keep.inputs["seen"]))

    def refuse_if_unread(self):
        """A day of which no frame at all can be read is a failure, not a day of NaN."""
        whole = {path: reason for (path, name), reason in self.bad.items() if not name}
        used = [frame for frame in self.plan.frames if frame.status != catalog.ABSENT]
        if any(frame.path not in whole for frame in used):
            return
        told = [f"{frame.path!r} ({whole[frame.path]})" for frame in used]
        told += [f"{frame.path!r} (absent)" for frame in self.plan.frames if frame.status == catalog.ABSENT]
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise BadInput(f"no frame can be read: {', '.join(told[:5])}{more}")

    # Writing

    def write(self, file, name, origin):
        plan = self.plan
        group = file.create_group(layout.CHANNELS)
        parts, last = {}, {}
        for number, block in enumerate(plan.blocks):
            last[number] = max(block.channels)
        # In the order of the list, whatever the order of the parts: same input, same bytes.
        for at, channel in enumerate(plan.channels):
            for number in self.blocks_of[at]:
                if number not in parts:
                    parts[number] = self._open(number)
            self._write_channel(group, at, channel)
            for number in self.blocks_of[at]:
                if last[number] == at:
                    parts[number].close()
        self.refuse_if_unread()
        self._write_provenance(file.create_group(layout.PROVENANCE), origin)
        layout.stamp(file, plan.window, plan.increment, name)

    def _held(self, at, channel):
        """The dataset of a channel in the earlier result, if what it holds still counts."""
        if self.keep is None or at in self.fresh:
            return None
        return self.keep.dataset(channel.name)

    def _write_channel(self, group, at, channel):
        found = [source for source in self.sources.pop(at, ()) if source.good]
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
        dataset = layout.create(group, channel.name, max(dtypes), total, cut.chunk, plan.compression)
        t0, unit = grid.t0(window, where), self._unit_of(channel, at)
        layout.describe(dataset, channel.name, where.rate, unit, t0)
        self.datasets[channel.name] = [where.rate, np.dtype(max(dtypes)).name, total, t0, unit]
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
        for block in (self.plan.blocks[number] for number in self.blocks_of[at]):
            rebuilt.update(range(round(block.start / seconds), min(count, math.ceil(block.end / seconds - 1e-6))))
        good = self.keep.statistics(channel.name)[:, coverage.COUNT]
        return [unit for unit in range(count) if unit not in rebuilt and good[unit]]

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
        counts = np.bincount(self.gave[:, at], minlength=1)
        seen = {name: int(counts[n]) for name, n in self.units.items() if n < len(counts) and counts[n]}
        if not seen:
            return channel.unit
        best = max(sorted(seen), key=seen.get)
        if len(seen) > 1:
            self.units_dropped[channel.name] = {"kept": best, "seen": dict(sorted(seen.items()))}
        return best

    def _move_chunks(self, dataset, mine, held, units_held, cut):
        """Move compressed chunks as they are, in order: nothing is compressed twice, and few are in memory at once."""
        kept = set(units_held)
        old = self.keep.chunks(held, lambda offset: offset // cut.unit in kept) if kept else ()
        new = (
            (source.first + offset, data, mask)
            for source in sorted(mine, key=lambda source: source.first)
            for offset, data, mask in source.part.chunks(source)
        )
        for offset, data, mask in heapq.merge(old, new, key=lambda move: move[0]):
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
                        piece = values[at : at + cut.chunk]
                        layout.write_chunk(dataset, (a + at,), piece, cut.chunk, self.plan.compression)
            result[unit] = coverage.statistics(values[None], good[None], a, cut.unit)[0, 0]
        return result

    def _write_provenance(self, group, origin):
        plan = self.plan
        # Numbered by name, so that they do not tell in what order the parts came.
        units = sorted(self.units)
        number = np.zeros(len(units) + 1, dtype=np.uint16)
        for at, name in enumerate(units, 1):
            number[self.units[name]] = at
        gave = number[self.gave]
        self.inputs = {
            "layout": blocks.LAYOUT,
            "version": version(),
            "window": list(plan.window),
            "increment": plan.increment,
            "compression": plan.compression,
            **origin._asdict(),
            "read": [channel.name for channel in plan.channels],
            "seen": [channel.name for channel in plan.channels if channel.name in self.seen],
            "datasets": self.datasets,
            "frames": [list(frame) for frame in plan.frames],
            "units": units,
            "bad": [[path, name, reason] for (path, name), reason in sorted(self.bad.items())],
            "transient": sorted(self.transient),
            "problems": {c.name: self.problems[c.name] for c in plan.channels if c.name in self.problems},
            "grids_dropped": self.grids_dropped,
            "units_dropped": self.units_dropped,
        }
        text = json.dumps(self.inputs).encode("utf-8", "surrogateescape")
        group.create_dataset("inputs", data=np.bytes_(text))
        group.create_dataset("pairs", data=np.array(self.pairs, dtype=np.int32).reshape(-1, 2))
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if gave.size else {}
        group.create_dataset("gave", data=gave, **packed)
        layout.write_statistics(group, self.statistics)


def _grid_name(key):
    rate, phase = key
    return f"{rate:g} Hz" + (f" shifted by {phase:g} samples" if phase else "")
