"""Comparing a day file with its frames through a second reader: gwpy over lalframe, which made none of it."""

import os
import warnings

import h5py
import numpy as np

from .. import grid, gwf
from ..errors import BadInput
from ..frames import catalog
from . import layout, summary

# Samples of one channel, and of all, that are held at once: a day of a fast channel does not fit into memory.
_AT_ONCE, _MOST = 1 << 22, 1 << 24


def structure(path):
    """What is wrong with the form of a day file, a line each: lengths, attributes, statistics against samples."""
    day = summary.Day(path)
    with h5py.File(path, "r") as file:
        present = set(file[layout.CHANNELS])
        for name in sorted(present ^ set(day.datasets)):
            yield name, "", "", "in the file" if name in present else "not in the file, but should be"
        for name, (rate, dtype, total, t0, unit) in day.datasets.items():
            if name not in present:
                continue
            dataset = file[layout.CHANNELS][name]
            attrs = dict(dataset.attrs)
            told = (attrs.get("channel"), attrs.get("sample_rate"), attrs.get("t0"), attrs.get("unit"))
            if told != (name, rate, t0, unit):
                yield name, "", "", f"attributes are {told}, want {(name, rate, t0, unit)}"
            if dataset.shape != (total,) or dataset.dtype != dtype:
                yield name, "", "", f"is {dataset.dtype} {dataset.shape}, want {dtype} {(total,)}"
                continue
            good = total - day.coverage_of(name)["nan_samples"]
            pieces = (dataset[at : at + _AT_ONCE] for at in range(0, total, _AT_ONCE))
            found = sum(int(np.count_nonzero(~np.isnan(piece))) for piece in pieces)
            if found != good:
                yield name, "", "", f"has {found} samples, its coverage says {good}"


def missing(path):
    """(samples that are NaN, all samples, channels asked for that are not there) of a day file."""
    day = summary.Day(path)
    covered = [day.coverage_of(name) for name in day.datasets]
    _, invalid, pruned = day.channel_lists()
    return (
        sum(entry["nan_samples"] for entry in covered),
        sum(entry["total_samples"] for entry in covered),
        len(invalid) + len(pruned),
    )


def values(path, most=None, say=lambda message: None):
    """Where a day file differs from its frames: yields (channel, GPS start, GPS end, what).

    most: compare at most so many channels, spread over the list; None: all.  Each sample that is not NaN must
    be the frame's, to the last bit; each NaN must be a sample that no frame gives: none there, or masked.
    Raises BadInput if no frame of the day is left.
    """
    day = summary.Day(path)
    names = list(day.datasets)
    if most and len(names) > most:
        names = [names[round(i * (len(names) - 1) / max(1, most - 1))] for i in range(most)]
    held, gone = [], 0
    for frame in day.frames:
        if frame.status == catalog.ABSENT:
            continue
        now = catalog.judge([frame])[0]
        if now.status == catalog.ABSENT:
            gone += 1
        elif (now.size, now.mtime) != (frame.size, frame.mtime):
            yield "", frame.start, frame.end, f"frame file has changed since: {frame.path!r}"
        else:
            held.append(frame)
    if gone:
        say(f"{gone} frame files are gone, their span is not compared")
    if not held:
        raise BadInput(f"no frame of the day is left to compare with: {path!r}")
    with h5py.File(path, "r") as file:
        # Where files overlap any of them may have given a sample: it must equal one, so they go together.
        for group in _overlapping(held):
            for some in _batches(day, names, group):
                yield from _compare(day, file[layout.CHANNELS], some, group)


def _overlapping(held):
    groups, reach = [], None
    for frame in sorted(held, key=lambda frame: frame.start):
        if groups and frame.start < reach:
            groups[-1].append(frame)
            reach = max(reach, frame.end)
        else:
            groups.append([frame])
            reach = frame.end
    return groups


def _batches(day, names, group):
    """The names in lists whose samples in the span of some files fit into memory together; one at least a list."""
    seconds = max(frame.end for frame in group) - min(frame.start for frame in group)
    batch, held = [], 0
    for name in names:
        size = day.datasets[name][0] * seconds
        if batch and held + size > _MOST:
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += size
    if batch:
        yield batch


def _compare(day, datasets, names, group):
    """Compare the span of files that overlap one another."""
    start = day.window.start
    begin = max(start, min(frame.start for frame in group))
    end = min(day.window.end, max(frame.end for frame in group))
    expected, allowed, extents = {}, {}, {}
    for name in names:
        rate, _, total, t0, _ = day.datasets[name]
        where = grid.Grid(rate, grid.place(t0 - start, rate)[1])
        a = max(0, grid.first_at(begin - start, where))
        b = min(total, grid.first_at(end - start, where))
        extents[name] = where, a, b
        expected[name] = datasets[name][a:b]
        # For each sample: 0 no file has it, 1 a file has it but says it is no good, 2 a file gives it.
        allowed[name] = np.zeros(max(0, b - a), dtype=np.uint8), np.zeros(max(0, b - a), dtype=bool)
    for frame in group:
        try:
            file = gwf.open_file(frame.path)
        except (gwf.BadFrame, OSError):
            continue  # told in bad_frames: it gives nothing
        for index, (seconds, nanoseconds, duration) in enumerate(file.frames):
            at = seconds - start + nanoseconds * 1e-9
            if at >= end - start or at + duration <= begin - start:
                continue
            present = [name for name in names if name in file.kinds and len(expected[name])]
            second = second_reader(frame.path, present, seconds + nanoseconds * 1e-9, duration)
            for name in present:
                _mark(
                    file, index, name, second.get(name), at, frame, start, extents[name], expected[name], allowed[name]
                )
    for name in names:
        found, equal = allowed[name]
        has = ~np.isnan(expected[name])
        where, a, _ = extents[name]
        for wrong, what in (
            (has & ~equal, "differs from the frame"),
            (~has & (found == 2), "NaN, but the frame has a sample"),
        ):
            for first, last in stretches(wrong):
                times = [start + (a + k + where.phase) / where.rate for k in (first, last)]
                yield name, times[0], times[1], f"{what}: {last - first} samples"


def _mark(file, index, name, values, at, frame, start, extent, expected, allowed):
    """Note for each sample of the span whether this file gives it, and whether the day file has its value."""
    where, a, b = extent
    found, equal = allowed
    try:
        series = file.read(index, name, file.kinds[name])
    except (gwf.BadFrame, OSError):
        return
    if series is None or series.problem or values is None or not series.dt > 0:
        return
    k, phase = grid.place(at + series.offset, grid.rate_of(series.dt))
    if grid.Grid(grid.rate_of(series.dt), phase).key != where.key:
        return  # another sample rate: left out, and told in rate_changes
    low = max(a, k, grid.first_at(frame.start - start, where))
    high = min(b, k + len(values), grid.first_at(frame.end - start, where))
    if low >= high:
        return
    span = slice(low - a, high - a)
    theirs = values[low - k : high - k]
    with np.errstate(invalid="ignore"):
        exact = theirs.astype(expected.dtype)
        there = ~np.isnan(exact)
    if series.good is not None:
        there &= series.good[low - k : high - k]
    found[span] = np.maximum(found[span], np.where(there, 2, 1))
    equal[span] |= there & (exact == expected[span])


def second_reader(path, names, start, duration):
    """Channel name to array, read by gwpy; channels that it refuses alone are left out."""
    from gwpy.timeseries import TimeSeries, TimeSeriesDict

    options = {"format": "gwf.lalframe", "start": start, "end": start + duration}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = TimeSeriesDict.read(path, names, **options)
            return {str(name): series.value for name, series in read.items()}
        except Exception:
            # One channel that it cannot read refuses all: then one by one.
            found = {}
            for name in names:
                try:
                    found[name] = TimeSeries.read(path, name, **options).value
                except Exception:
                    continue
            return found


def stretches(flags):
    """Runs of True as half-open pairs of positions."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.view(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def quiet():
    """LAL prints its own reports of an error; what a command says is enough."""
    os.environ.setdefault("LAL_DEBUG_LEVEL", "0")
