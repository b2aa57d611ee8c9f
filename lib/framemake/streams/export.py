"""A UTC day of streams as a day file: the layout of dayfile, with NAME.mean and NAME.rms as its channels.

A day file has one sample rate a channel, but a stream may change between second and minute trend.  The length of
sample that covers most of the day is kept.  Shorter samples are averaged to it through the running sums, where they
fill a whole one and all are valid.  The rest is NaN, and a message says how much that is.  Values are physical ones:
slope and bias are applied, as reading.calibrated does.
"""

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import gps, grid
from ..day import derived, layout
from ..day.account import Account
from ..day.folder import Folder
from ..day.provenance import Origin, Provenance
from ..frames import catalog
from ..version import version
from . import reading
from .records import SAME
from .store import Stream

# The layout that the provenance names.  make does not take a day of another layout for one that it can build on.
_LAYOUT = "streams"
# How a channel without a valid sample is told among those that the day does not have.
_NO_SAMPLE = "invalid", "no sample in the day"
# Seconds of an increment, which the statistics and the provenance are by, as make has it.
_INCREMENT = 600


class NoSample(Exception):
    """No stream has a valid sample on the day."""


class Exported(NamedTuple):
    """The path of a day file that was written, and what people should know of it, a message each."""

    path: str
    messages: list[str]


class Sampled(NamedTuple):
    """A stream on the grid of samples that it has on most of a day.

    mean, rms: float64, shape (samples of the window,), NaN where there is no data; lost: {length of sample in words:
    seconds} of the valid samples that are not in them.
    """

    where: grid.Grid
    mean: np.ndarray
    rms: np.ndarray
    lost: dict[str, float]


def write(folder: str, streams: Sequence[Stream], out: str, spec: str, date: str, compression: str = "lzf") -> Exported:
    """Write the day file of a UTC day 'YYYY-MM-DD' of streams, as make lays it out: OUT/SPEC-DAY/SPEC_DAY.h5.

    folder: where the streams are, for the provenance; compression: lzf, gzip or none.  Raises NoSample, and writes
    nothing, if no stream has a valid sample on the day; BadInput if there is no such day or compression.
    """
    layout.filters(compression)
    window, path = gps.day_window(date), Folder.of(out, spec, date).h5
    if not any(_has_sample(stream, window) for stream in streams):
        raise NoSample
    with derived.writing(path, window, _INCREMENT, compression) as writer:
        made = _StreamsDay(writer)
        for stream in streams:
            made.add(stream)
        writer.finish(made.provenance(folder, spec))
    return Exported(path, made.messages)


class _StreamsDay:
    """A day that is being written: what its provenance and the messages say of its channels."""

    def __init__(self, writer: derived.Writer):
        self.writer, self.window = writer, writer.window
        self.messages: list[str] = []
        self.requested: list[str] = []
        self.rejected: list[tuple[str, str, str]] = []
        self.dropped: dict[str, dict] = {}
        # Of each dataset, the numbers of the increments in which it has samples.
        self.gave: list[np.ndarray] = []

    def add(self, stream):
        """Write the two channels of a stream."""
        names = [f"{stream.name}.{kind}" for kind in (reading.MEAN, reading.RMS)]
        self.requested += names
        found = sampled(stream, self.window)
        if found is None:
            self.rejected += [(name, *_NO_SAMPLE) for name in names]
            self.messages.append(f"no sample in the day: {stream.name!r}")
            return
        if found.lost:
            kept = _length(1 / found.where.rate)
            self.dropped.update((name, {"kept": kept, "dropped_seconds": found.lost}) for name in names)
            parts = ", ".join(f"{seconds:g} s at {what}" for what, seconds in found.lost.items())
            self.messages.append(f"samples change, kept {kept}, left out {parts}: {stream.name!r}")
        for name, values in zip(names, (found.mean, found.rms), strict=True):
            self._write(name, values, found.where, stream.info.units)

    def _write(self, name, samples, where, unit):
        has_any = self.writer.add(name, samples.dtype.name, where, unit, lambda first, stop: samples[first:stop])
        if not has_any:
            self.rejected.append((name, *_NO_SAMPLE))
            return
        seconds = grid.t0(self.window, where) - self.window.start + np.flatnonzero(~np.isnan(samples)) / where.rate
        self.gave.append(np.unique((seconds // self.writer.increment).astype(int)))

    def provenance(self, folder, spec):
        """What the day was made from, as summarize reads it of any day: the only frame that is named is the folder."""
        source = catalog.Frame(os.path.abspath(folder), self.window.start, self.window.duration)
        datasets = self.writer.datasets
        count = math.ceil(self.window.duration / self.writer.increment)
        account = Account([(0, at) for at in range(count)], len(datasets))
        for unit in sorted({dataset.unit for dataset in datasets.values()}):
            account.number_of(unit)
        for column, (dataset, increments) in enumerate(zip(datasets.values(), self.gave, strict=True)):
            account.gave[increments, column] = account.number_of(dataset.unit)
        account.seen = set(datasets)
        return Provenance(
            version(),
            self.window,
            self.writer.increment,
            self.writer.compression,
            Origin(spec, folder, requested=self.requested, rejected=self.rejected),
            list(datasets),
            datasets,
            [source],
            account,
            self.dropped,
            {},
            _LAYOUT,
        )


def _has_sample(stream, window):
    first, stop = reading.span(stream, window.start, window.end)
    return bool(reading.samples(stream, reading.MEAN, first, stop).good.any())


def sampled(stream: Stream, window: gps.Window) -> Sampled | None:
    """A stream in a window of GPS s, on the grid that covers most of it; None if it has no valid sample there."""
    first, stop = reading.span(stream, window.start, window.end)
    length, where = _most(reading.samples(stream, reading.MEAN, first, stop), window)
    if where is None:
        return None
    # The last sample may end after the window, and be made of shorter ones.
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
    return Sampled(where, values[0], values[1], lost)


def _length(seconds):
    return f"{seconds:.10g} s a sample"


def _most(found, window):
    """(length in s, Grid) of the valid samples that cover most of a window, the shorter of equals; or (0, None)."""
    best: tuple[float, grid.Grid | None] = (0, None)
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
    """(values, used): float64, shape (samples of the window,), and bool, which of the records found are in them.

    A value is NaN unless valid samples fill the sample of the grid from its beginning to its end.
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
