"""Comparing a day file with its frames through a second reader: gwpy over lalframe, which made none of it.

A day at a lower rate is compared with the day file that it was made from, its means taken in a second way.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from .. import gps, grid, gwf
from ..errors import BadInput, wording
from ..frames import catalog, lists, remote
from . import coverage, layout, second, statistics, summary
from .dayfile import reading

# Samples of one channel, and of all, that are held at once: a day of a fast channel does not fit into memory.
_AT_ONCE, _MOST = 1 << 22, 1 << 24


def structure(path: str) -> Iterator[tuple]:
    """What is wrong with the form of a day file, a line each: lengths, attributes, statistics against samples."""
    with reading(path) as day:
        totals = day.totals()
        present = set(day.file[layout.CHANNELS])
        for name in sorted(present ^ set(day.datasets)):
            yield name, "", "", "in the file" if name in present else "not in the file, but should be"
        for name, (rate, dtype, total, t0, unit) in day.datasets.items():
            if name not in present:
                continue
            dataset = day.file[layout.CHANNELS][name]
            attrs = dict(dataset.attrs)
            held = (attrs.get("channel"), attrs.get("sample_rate"), attrs.get("t0"), attrs.get("unit"))
            if held != (name, rate, t0, unit):
                yield name, "", "", f"attributes are {held}, want {(name, rate, t0, unit)}"
            if dataset.shape != (total,) or dataset.dtype != dtype:
                yield name, "", "", f"is {dataset.dtype} {dataset.shape}, want {dtype} {(total,)}"
                continue
            good = int(totals[name][statistics.COUNT])
            pieces = (dataset[at : at + _AT_ONCE] for at in range(0, total, _AT_ONCE))
            found = sum(int(np.count_nonzero(~np.isnan(piece))) for piece in pieces)
            if found != good:
                yield name, "", "", f"has {found} samples, its coverage says {good}"


def samples(path: str) -> Iterator[tuple]:
    """Which channels of a day file do not hold what was written, by their digests, a line each; no frame is read."""
    with reading(path) as day:
        for name in day.datasets:
            told, dataset = day.digest_of(name), day.dataset(name)
            if told and dataset is not None and statistics.digest(dataset, day.provenance.unit_of(name)) != told:
                yield name, "", "", "its samples are not those that were written: their SHA-256 differs"


def missing(path: str) -> tuple[int, int, int]:
    """(samples that are NaN, all samples, channels asked for that are not there) of a day file."""
    with reading(path) as day:
        total = sum(dataset.total for dataset in day.datasets.values())
        good = sum(int(values[statistics.COUNT]) for values in day.totals().values())
        _, invalid, pruned = summary.channel_lists(day)
        return total - good, total, len(invalid) + len(pruned)


def differences(
    path: str,
    most: int | None = None,
    say: Callable[[str], None] = lambda message: None,
    skipped: Callable[[str, int], None] = lambda name, samples: None,
) -> Iterator[tuple[str, float, float, str]]:
    """Where a day file differs from its frames: yields (channel, GPS start, GPS end, what).

    most: compare at most so many channels, spread over the list; None: all.  Each sample that is not NaN must
    be the frame's, to the last bit; each NaN must be a sample that no frame gives: none there, or masked.
    What is kept of frames that are gone is not compared.  A day at a lower rate is compared with the day file that it
    was made from: a mean must be that of the good samples but for the rounding of the sum.  skipped: called with a
    channel, and how many of its samples are not compared as the second reader does not give them.  Raises BadInput if
    no frame of the day is left.
    """
    uncompared: dict[str, int] = {}
    with reading(path) as day:
        names = list(day.datasets)
        if most and len(names) > most:
            names = [names[round(i * (len(names) - 1) / max(1, most - 1))] for i in range(most)]
        if day.provenance.source is not None:
            yield from _against_source(day, names)
            return
        held, kept, gone, on_tape = [], [], 0, 0
        elsewhere = _asked(day.provenance.frames, say)
        for frame in day.provenance.frames:
            if frame.status in catalog.NOT_THERE:
                continue
            if frame.status == catalog.KEPT:
                kept.append((frame.start, frame.end))
                gone += 1
                continue
            now = catalog.judge([frame], known=elsewhere)[0]
            if now.status == catalog.ABSENT:
                gone += 1
            elif now.status == catalog.ON_TAPE:
                on_tape += 1
            elif (now.size, now.mtime) != (frame.size, frame.mtime):
                yield "", frame.start, frame.end, f"frame file has changed since: {frame.path!r}"
            else:
                held.append(frame)
        if gone:
            say(f"{gone} frame files are gone, their span is not compared")
        if on_tape:
            say(f"{on_tape} frame files are on tape, their span is not compared")
        if not held:
            raise BadInput(f"no frame of the day is left to compare with: {path!r}")
        # Where files overlap any of them may have given a sample: it must equal one, so they go together.
        for group in _overlapping(held):
            for some in _batches(day, names, group):
                yield from _compare(day, some, group, kept, uncompared)
    for name, samples in uncompared.items():
        skipped(name, samples)


def _asked(frames, say):
    """What servers tell now of the frames at URLs; of those of which they tell nothing, that they are absent."""
    notes: list[str] = []
    urls = [
        frame.path for frame in frames if frame.is_remote and frame.status not in (*catalog.NOT_THERE, catalog.KEPT)
    ]
    known = lists.asked(urls, notes)
    for note in notes:
        say(note)
    return {url: known.get(url, (-1, -1, catalog.ABSENT)) for url in urls}


def _against_source(day, names):
    """Where channels of a day at a lower rate differ from the means of the day file that it was made from.

    Each sample is put into its bin by its own time, and summed one after another: resample does neither.
    """
    told = day.provenance.source
    rate, least, midnight = (
        float(Fraction(told["rate"])),
        float(Fraction(told["least"])),
        gps.day_window(gps.day_of(day.window.start)).start,
    )
    with reading(told["path"]) as source:
        seen = os.stat(told["path"])
        if (seen.st_size, seen.st_mtime_ns) != (told["size"], told["mtime"]):
            yield "", *day.window, f"the day file that it was made from has changed since: {told['path']!r}"
            return
        for name in names:
            made, before = day.datasets[name], source.datasets[name]
            taken = before.rate <= rate * (1 + 1e-9)
            first = 0 if taken else round((made.t0 - midnight) * made.rate)
            sums, good, held = np.zeros((3, made.total))
            for at in range(0, before.total, _AT_ONCE):
                values = source.samples(name, at, min(at + _AT_ONCE, before.total)).astype(np.float64)
                k = at + np.arange(len(values))
                # The time of a sample in whole ones and its own t0: exact where float64 holds no GPS time so well.
                place = k if taken else np.floor((before.t0 - midnight) * rate + (k + 1e-3) * (rate / before.rate))
                place = place.astype(np.int64) - first
                inside = (place >= 0) & (place < made.total)
                for total, weights in (
                    (sums, np.where(np.isnan(values), 0, values)),
                    (good, ~np.isnan(values)),
                    (held, None),
                ):
                    some = None if weights is None else weights[inside]
                    total += np.bincount(place[inside], some, made.total)
            # What a bin at the end of a window could hold beyond it counts.
            held[-1] = max(held[-1], math.floor(before.rate / rate + 1e-6))
            enough = (good > 0) & (good >= least * held - 1e-6)
            want = np.divide(sums, good, out=np.full(made.total, np.nan), where=enough)
            have = day.samples(name, 0, made.total).astype(np.float64)
            little = 1e-9 * np.abs(sums[np.isfinite(sums)]).max(initial=0)
            near = np.isclose(have, want, rtol=4 * np.finfo(made.dtype).eps, atol=little, equal_nan=True)
            for a, b in coverage.stretches(~near):
                times = [made.t0 + k / made.rate for k in (a, b)]
                yield name, times[0], times[1], f"is not the mean of its samples: {b - a} samples"


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


def _compare(day, names, group, kept, uncompared):
    """Compare channels over the span of files that overlap one another.

    kept: spans of files whose samples are kept.  uncompared: see _Compared.skip.
    """
    start = day.window.start
    begin = max(start, min(frame.start for frame in group))
    end = min(day.window.end, max(frame.end for frame in group))
    compared = {name: _Compared(day, name, begin, end) for name in names}
    for frame in group:
        with contextlib.ExitStack() as read:
            try:
                path = read.enter_context(catalog.local(frame))
                file = gwf.open_file(path)
            except (remote.Away, remote.Refused) as error:
                if (frame.path, "") in day.provenance.account.bad:
                    continue  # nor could it be had then
                raise BadInput(f"cannot be compared, {wording(error)}: {frame.path!r}") from error
            except (gwf.BadFrame, OSError):
                continue  # it stands in bad_frames, and gives nothing
            _mark_all(day, frame, (path, file), names, compared, (begin - start, end - start))
    for each in compared.values():
        if each.skipped.any():
            uncompared[each.name] = uncompared.get(each.name, 0) + int(np.count_nonzero(each.skipped))
        yield from each.faults(kept)


def _mark_all(day, frame, source, names, compared, reach):
    """Mark what a frame file, (path, open file), gives of channels within reach, in s from the window's start."""
    (path, file), (begin, end), start = source, reach, day.window.start
    for index, (seconds, nanoseconds, duration) in enumerate(file.frames):
        at = seconds - start + nanoseconds * 1e-9
        if at >= end or at + duration <= begin:
            continue
        present = [name for name in names if name in file.kinds and len(compared[name].expected)]
        values = second.read(path, present, seconds + nanoseconds * 1e-9, duration)
        for name in present:
            try:
                series = file.read(index, name, file.kinds[name])
            except (gwf.BadFrame, OSError):
                continue
            if series and not series.problem and series.dt > 0:
                compared[name].mark(series, values.get(name), at, frame)


class _Compared:
    """A channel over a span: its samples in the day file, and what the frames give there."""

    def __init__(self, day, name, begin, end):
        rate, _, total, t0, _ = day.datasets[name]
        self.name, self.start = name, day.window.start
        self.grid = grid.Grid(rate, grid.place(t0 - self.start, rate)[1])
        self.first = max(0, grid.first_at(begin - self.start, self.grid))
        self.stop = min(total, grid.first_at(end - self.start, self.grid))
        self.expected = day.samples(name, self.first, self.stop)
        # For each sample: 0 no file has it, 1 a file has it but says it is no good, 2 a file gives it.
        self.found = np.zeros(len(self.expected), dtype=np.uint8)
        self.equal = np.zeros(len(self.expected), dtype=bool)
        # The second reader does not give what a file has there.
        self.skipped = np.zeros(len(self.expected), dtype=bool)

    def mark(self, series, values, at, frame):
        """Note which samples a file gives, and where the day file has their value.

        series: by the first reader, for grid and masks; values: by the second, None if it gives none.  at: the frame's
        begin in s from the window's; frame: the file, a catalog.Frame.
        """
        rate = grid.rate_of(series.dt)
        k, phase = grid.place(at + series.offset, rate)
        if grid.Grid(rate, phase).key != self.grid.key:
            return  # another sample rate: left out: rate_changes says so
        low = max(self.first, k, grid.first_at(frame.start - self.start, self.grid))
        high = min(self.stop, k + len(series.data), grid.first_at(frame.end - self.start, self.grid))
        if low >= high:
            return
        span = slice(low - self.first, high - self.first)
        if values is None or values.shape != series.data.shape:
            self.skipped[span] = True
            return
        with np.errstate(invalid="ignore"):
            exact = values[low - k : high - k].astype(self.expected.dtype)
            there = ~np.isnan(exact)
        if series.good is not None:
            there &= series.good[low - k : high - k]
        self.found[span] = np.maximum(self.found[span], np.where(there, 2, 1))
        self.equal[span] |= there & (exact == self.expected[span])

    def faults(self, kept):
        has = ~np.isnan(self.expected)
        for begin, end in kept:
            # What no frame gives any more is not to be had from another: it is what it was.
            a, b = (grid.first_at(time - self.start, self.grid) - self.first for time in (begin, end))
            span = slice(max(0, a), max(0, b))
            self.equal[span] |= self.found[span] == 0
        for wrong, what in (
            (has & ~self.equal & ~self.skipped, "differs from the frame"),
            (~has & (self.found == 2) & ~self.skipped, "NaN, but the frame has a sample"),
        ):
            for first, last in coverage.stretches(wrong):
                times = [self.start + (self.first + k + self.grid.phase) / self.grid.rate for k in (first, last)]
                yield self.name, times[0], times[1], f"{what}: {last - first} samples"
