"""A UTC day of streams as a day file: the layout of dayfile, with NAME.mean and NAME.rms as its channels.

A day file has one sample rate a channel; a stream may change between second and minute trend.  The length of
sample that covers most of the day is kept; shorter samples are averaged to it through the running sums, where they
fill a whole one and all are valid; the others are NaN, and what is lost is told.  Values are physical ones: slope
and bias are applied, as reading.calibrated does.
"""

import json
import math
import os

import h5py
import numpy as np

from .. import files, gps, grid
from ..day import coverage, dayfile, layout
from ..frames import catalog
from ..version import version
from . import reading
from .records import SAME

# What the day's files call the form of this provenance: make builds no later day from it.
_LAYOUT = "streams"


def path_of(out, spec, day):
    """Where the file of a day belongs: OUT/SPEC-2024-04-10/SPEC_20240410.h5."""
    return os.path.join(out, f"{spec}-{day}", f"{spec}_{day.replace('-', '')}.h5")


def write(folder, streams, day, path, spec, increment=600, compression="lzf"):
    """Write the day file of streams (store.Stream); returns what was odd, a line each.

    folder: where the streams are, for the provenance.  Raises NoSample, and writes nothing, if none has a valid sample
    on the day.
    """
    layout.filters(compression)
    window = gps.day_window(day)
    if not any(_has_sample(stream, window) for stream in streams):
        raise NoSample
    made = _Made(window, increment, compression)
    with files.replacing(path) as aside, h5py.File(aside, "w", libver=("earliest", "v110")) as file:
        made.group = file.create_group(layout.CHANNELS)
        for stream in streams:
            made.add(stream)
        made.write_provenance(file.create_group(layout.PROVENANCE), folder, spec)
        layout.stamp(file, window, increment, os.path.splitext(os.path.basename(path))[0])
    return made.told


class NoSample(Exception):
    """No stream has a sample on the day."""


class _Made:
    """A day file that is being written: its channels, and what it will tell of them."""

    def __init__(self, window, increment, compression):
        self.window, self.increment, self.compression = window, increment, compression
        self.group, self.told, self.datasets = None, [], {}
        self.requested, self.rejected, self.dropped, self.statistics, self.gave = [], [], {}, {}, []

    def add(self, stream):
        """Write the two channels of a stream."""
        names = [f"{stream.name}.{kind}" for kind in (reading.MEAN, reading.RMS)]
        self.requested += names
        where, values, lost = day_of(stream, self.window)
        if where is None:
            self.rejected += [(name, "invalid", "no sample in the day") for name in names]
            self.told.append(f"no sample in the day: {stream.name!r}")
            return
        if lost:
            kept = _length(1 / where.rate)
            self.dropped.update((name, {"kept": kept, "dropped_seconds": lost}) for name in names)
            parts = ", ".join(f"{seconds:g} s at {what}" for what, seconds in lost.items())
            self.told.append(f"samples change, kept {kept}, left out {parts}: {stream.name!r}")
        for name, samples in zip(names, values, strict=True):
            self._write(name, samples, where, stream.info.units)

    def _write(self, name, samples, where, unit):
        cut = grid.cut(where.rate, self.increment, self.window.duration)
        total, t0 = len(samples), grid.t0(self.window, where)
        dataset = layout.create(self.group, name, samples.dtype, total, cut.chunk, self.compression)
        layout.describe(dataset, name, where.rate, unit, t0)
        good = ~np.isnan(samples)
        for at in range(0, total, cut.chunk):
            if good[at : at + cut.chunk].any():
                layout.write_chunk(dataset, (at,), samples[at : at + cut.chunk], cut.chunk, self.compression)
        units = [slice(at, at + cut.unit) for at in range(0, total, cut.unit)]
        self.statistics[name] = np.array(
            [coverage.statistics(samples[None, u], good[None, u], u.start, cut.unit)[0, 0] for u in units]
        )
        self.datasets[name] = [where.rate, samples.dtype.name, total, t0, unit]
        seconds = t0 - self.window.start + np.flatnonzero(good) / where.rate
        self.gave.append(np.unique((seconds // self.increment).astype(int)))

    def write_provenance(self, group, folder, spec):
        """What the day was made from, so that summarize tells of it as of any day: one source, the folder."""
        read = list(self.datasets)
        units = sorted({unit for *_, unit in self.datasets.values()})
        source = catalog.Frame(os.path.abspath(folder), self.window.start, self.window.duration)
        count = math.ceil(self.window.duration / self.increment)
        inputs = {
            "layout": _LAYOUT,
            "version": version(),
            "window": list(self.window),
            "increment": self.increment,
            "compression": self.compression,
            **dayfile.Origin(spec, folder, requested=self.requested, rejected=self.rejected)._asdict(),
            "read": read,
            "seen": read,
            "datasets": self.datasets,
            "frames": [list(source)],
            "units": units,
            "bad": [],
            "problems": {},
            "grids_dropped": self.dropped,
            "units_dropped": {},
        }
        gave = np.zeros((count, len(read)), dtype=np.uint16)
        for column, (name, increments) in enumerate(zip(read, self.gave, strict=True)):
            gave[increments, column] = units.index(self.datasets[name][-1]) + 1
        group["inputs"] = np.bytes_(json.dumps(inputs).encode("utf-8", "surrogateescape"))
        group["pairs"] = np.array([(0, at) for at in range(count)], dtype=np.int32)
        group.create_dataset("gave", data=gave, compression="gzip", compression_opts=1, shuffle=True)
        layout.write_statistics(group, {at: self.statistics[name] for at, name in enumerate(read)})


def _has_sample(stream, window):
    first, stop = reading.span(stream, window.start, window.end)
    return bool(reading.samples(stream, reading.MEAN, first, stop).good.any())


def day_of(stream, window):
    """(Grid, [means, rms], lost) of a stream in a window; (None, None, {}) if it has no sample there.

    means, rms: float64 arrays over the whole window, NaN where nothing is.  lost: {length of sample in words:
    seconds} of valid samples that are not in them.
    """
    first, stop = reading.span(stream, window.start, window.end)
    found = reading.samples(stream, reading.MEAN, first, stop)
    length, where = _most(found, window)
    if where is None:
        return None, None, {}
    # The last sample may go on behind the window, and be made of shorter ones.
    stop = max(stop, reading.span(stream, window.start, window.end + length)[1])
    values = []
    for kind in (reading.MEAN, reading.RMS):
        found = reading.samples(stream, kind, first, stop)
        held, used = _on_grid(stream.info, kind, found, length, where, window)
        values.append(held)
    inside = found.good & ~used & (found.time < window.end - SAME)
    lost = {
        _length(seconds): float(seconds * np.count_nonzero(found.seconds[inside] == seconds))
        for seconds in np.unique(found.seconds[inside]).tolist()
    }
    return where, values, lost


def _length(seconds):
    return f"{seconds:.10g} s a sample"


def _most(found, window):
    """(length in s, Grid) of the valid samples that cover most of the window, the shorter of equals; or (0, None)."""
    best = (0, None)
    most = 0
    for length in np.unique(found.seconds[found.good]).tolist():
        rate = grid.rate_of(length)
        offsets = found.time[found.good & (found.seconds == length)] - window.start
        phases = np.round(np.mod(offsets * rate, 1), 3) % 1
        _, begins, counts = np.unique(phases, return_index=True, return_counts=True)
        at = int(np.argmax(counts))
        if counts[at] * length > most:
            most = counts[at] * length
            best = length, grid.Grid(rate, grid.place(float(offsets[begins[at]]), rate)[1])
    return best


def _on_grid(info, kind, found, length, where, window):
    """(values, used): float64 over the window, and which of the records are in them.

    A value is there where valid samples fill the sample of the grid from its beginning to its end.
    """
    total, t0 = grid.length(window.duration, where.rate), grid.t0(window, where)
    values, used = np.full(total, np.nan), np.zeros(len(found.time), bool)
    is_sample = np.flatnonzero(found.count > 0)
    cell = np.floor((found.time[is_sample] - t0 + SAME) / length).astype(int)
    kept = (cell >= 0) & (cell < total)
    at, cell = is_sample[kept], cell[kept]
    if not len(at):
        return values, used
    begins = np.flatnonzero(np.diff(cell, prepend=-1))
    cells = cell[begins]
    seconds, count = np.add.reduceat(found.seconds[at], begins), np.add.reduceat(found.count[at], begins)
    good = np.logical_and.reduceat(found.good[at], begins)
    last = at[np.append(begins[1:], len(at)) - 1]
    ends = found.time[last] + found.seconds[last]
    close = np.abs(found.time[at[begins]] - (t0 + cells * length)) < 1e-3 * length
    whole = good & close & (np.abs(seconds - length) < SAME) & (ends < t0 + (cells + 1) * length + 1e-3 * length)
    added = np.add.reduceat(reading.less(found.sums[1:], found.sums[:-1])[at], begins)
    held = reading.calibrated(info, kind, added, count)
    values[cells[whole]] = held[whole]
    used[at] = np.repeat(whole, np.diff(np.append(begins, len(at))))
    return values, used
