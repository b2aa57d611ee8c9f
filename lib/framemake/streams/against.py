"""Streams against the frames that they were made from, read again through gwpy.

Nothing of the importer is used here.  A fault is (stream name, GPS start, GPS end, what).
"""

import os
import re
from typing import NamedTuple

import numpy as np

from .. import check, frames, gwf
from ..errors import BadInput
from . import records, store
from .runs import SAME, Runs

_ENDS = (".mean", ".rms")
_TRENDS = {
    "second-trend": re.compile(r"[HL]-T-\d+-(60|600)\.gwf"),
    "minute-trend": re.compile(r"[HL]-M-\d+-3600\.gwf"),
}
_FOLDER = re.compile(r"[HL]-[^/]+")
_SITES = ("LHO", "LLO")
# So many records back the last good one before an invalid one is looked for.
_FAR = 1 << 20


def faults(folder, root, say=lambda message: None, progress=lambda done, total: None):
    """The faults of streams against the frames of a tree: each sample that should be in a stream must be there.

    A valid sample's sums must be, to the last bit, those of the record before with mean * n and rms**2 * n added.  An
    invalid one adds the last good sample, which is known only from sums, so to within their rounding.  Samples
    of minute trend that second trend covers, even in part, need not be there.  Raises BadInput if there is no frame.
    """
    listing = [file for site in _SITES for file in _files(root, site)]
    if not listing:
        raise BadInput(f"no frame file of a trend below folder: {root!r}")
    known, unread = _Known(folder), 0
    for number, (frame, fine) in enumerate(listing):
        progress(number, len(listing))
        try:
            yield from _compare(known, gwf.open_file(frame.path), frame, fine)
        except (gwf.BadFrame, OSError):
            unread += 1
    progress(len(listing), len(listing))
    if unread:
        say(f"{unread} frame files cannot be read, they are not compared")


def _files(root, site):
    """[(frames.Frame, whether second trend)] of a site, in the order of time; strays, in other places, left out."""
    found = {}
    for trend, pattern in _TRENDS.items():
        folder = os.path.join(root, trend, site)
        for frame in frames.list_frames(folder).frames if os.path.isdir(folder) else ():
            place, name = os.path.split(os.path.relpath(frame.path, folder))
            if pattern.fullmatch(name) and _FOLDER.fullmatch(place):
                found.setdefault(name, (frame, trend == "second-trend"))
    return sorted(found.values(), key=lambda each: (each[0].start, each[0].end))


class _Known:
    """The streams of a folder, opened once each, and how far each trend of each has been compared."""

    def __init__(self, folder):
        self.folder, self.opened, self.reach = folder, {}, {}

    def stream(self, name):
        """The Stream of a name, or None."""
        if name not in self.opened:
            try:
                self.opened[name] = store.open_stream(self.folder, name)
            except BadInput:
                self.opened[name] = None
        return self.opened[name]


class _Piece(NamedTuple):
    """A channel in a frame: GPS start, seconds a sample, what gwpy reads of .mean and .rms, and their gwf.Series."""

    start: float
    length: float
    pair: list
    told: list


def _compare(known, file, frame, fine):
    """Compare the channels of one file: those of which each frame in it has a mean and an rms that go together."""
    spans = [(seconds + nanoseconds * 1e-9, duration) for seconds, nanoseconds, duration in file.frames]
    if any(start < frame.start - SAME or start + duration > frame.end + SAME for start, duration in spans):
        raise gwf.BadFrame("its name tells another time")
    stems = [name[:-5] for name in file.kinds if name.endswith(_ENDS[0]) and name[:-5] + _ENDS[1] in file.kinds]
    names = [stem + end for stem in stems for end in _ENDS]
    pieces = {stem: [] for stem in stems}
    for index, (start, duration) in enumerate(spans):
        values = check.second_reader(frame.path, names, start, duration)
        for stem in stems:
            pieces[stem].append(_piece(file, index, stem, values, start, duration))
    for stem, found in pieces.items():
        kinds = {piece and piece.pair[0].dtype for piece in found}
        datatype = records.DATATYPES.get(kinds.pop()) if len(kinds) == 1 else None
        if datatype is None:
            continue
        name = records.stream_name(stem)
        stream = known.stream(name)
        if stream is None:
            if name not in known.reach:
                yield name, frame.start, frame.end, f"no such stream, but in frame: {frame.path!r}"
            known.reach[name] = None
        elif stream.info.datatype == datatype and len(stream.records):
            for piece in found:
                begin = known.reach.get((name, fine), -np.inf)
                mean, rms = _without_zeros(piece.pair, piece.told, records.SUMS[datatype])
                time = piece.start + np.arange(len(mean)) * piece.length
                # Where files of one trend overlap, the first in time has given the samples.
                new = time >= begin - SAME
                yield from _wrong_samples(stream, time[new], piece.length, mean[new], rms[new], fine)
                known.reach[name, fine] = max(begin, time[-1] + piece.length)


def _piece(file, index, stem, values, start, duration):
    """The _Piece of a channel in a frame, or None if no stream can hold it."""
    pair, told = [values.get(stem + end) for end in _ENDS], []
    for end in _ENDS:
        # gwpy knows nothing of the frame's own word on what is good.
        series = file.read(index, stem + end, file.kinds[stem + end])
        if series is None or series.problem or abs(series.dt * len(series.data) - duration) > SAME * duration:
            return None
        if abs(series.offset) > SAME:
            return None
        told.append(series)
    if any(part is None for part in pair) or len(pair[0]) != len(pair[1]) or pair[0].dtype != pair[1].dtype:
        return None
    return _Piece(start, duration / len(pair[0]), pair, told)


def _without_zeros(pair, told, dtype):
    """mean and rms of a frame as the sums take them: 0 where there is no data, and beside a 0."""
    bad = np.zeros(len(pair[0]), bool)
    for values, series in zip(pair, told, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            bad |= ~np.isfinite(values.astype(float) ** 2)
        if series.good is not None:
            bad |= ~series.good
    found = []
    for values in pair:
        held = np.where(bad, 0, values).astype(dtype)
        zero = held == 0
        spread = zero.copy()
        spread[:-1] |= zero[1:]
        spread[2:] |= zero[1:-1]
        found.append(np.where(spread, dtype.type(0), held))
    return found


def _wrong_samples(stream, time, length, mean, rms, fine):
    """Faults of samples of one length against a stream."""
    if not len(time):
        return
    runs = Runs(stream, time[0], time[-1] + length)
    at = runs.before(time) + 1
    inside = np.minimum(at, runs.size - 1)
    # The first record of a gap may lie in the sample before, so one further on is looked at too.
    late = (stream.records["time"][inside] < time - SAME) & (inside < runs.size - 1)
    inside = inside + late
    there = np.abs(stream.records["time"][inside] - time) < SAME
    same = there & ((np.abs(runs.lengths(inside) - length) < SAME) | (runs.lengths(inside) == 0))
    missing = ~same & ~_given_by_other(runs, time, length, fine)
    for first, stop in check.stretches(missing):
        yield stream.name, time[first], time[stop - 1] + length, f"not in the stream: {stop - first} samples"
    count = int(length * stream.rate)
    wrong = _wrong_sums(stream, runs, inside, count, mean, rms) & same
    for first, stop in check.stretches(wrong):
        what = f"differs from the frame: {stop - first} samples"
        yield stream.name, time[first], time[stop - 1] + length, what


def _given_by_other(runs, time, length, fine):
    """Which samples need not be there: those that another sample overlaps, of second trend for minute trend."""
    least, most = (length, length) if fine else (0, length)
    given = np.zeros(len(time), bool)
    before = runs.before(time + length)
    lengths = runs.lengths(before)
    given |= (before >= 0) & (lengths > 0) & (runs.end_of(before) > time + SAME)
    return given & (lengths >= least - SAME) & (lengths <= most + SAME)


def _wrong_sums(stream, runs, at, count, mean, rms):
    """Which samples' records, numbered `at`, have another validity or other sums than the frame makes."""
    here, before = stream.records[at], stream.records[np.maximum(at - 1, 0)]
    valid = mean != 0
    wrong = (here["valid"] != 0) != valid
    # Before the first record all sums are 0.
    zero = at == 0
    good = _last_good(stream.records["valid"], at, max(int(runs.first[0]), int(at[0]) - _FAR))
    for column, values in (("sum", mean), ("square", rms * rms)):
        begin = np.where(zero, here[column].dtype.type(0), before[column])
        with np.errstate(over="ignore", invalid="ignore"):
            wrong |= valid & (here[column] != begin + values * count)
        wrong |= ~valid & ~_carries_on(stream.records, runs, column, at, begin, good, count)
    return wrong


def _last_good(valid, at, least):
    """The last valid record before each of some, none before `least` looked at; -1 for none, -2 for not known."""
    first, step = int(at[0]), 1024
    while first > least and not np.any(valid[first : int(at[0]) + 1]):
        first, step = max(least, first - step), 2 * step
    here = np.arange(first, int(at[-1]) + 1)
    found = np.maximum.accumulate(np.where(np.asarray(valid[first : int(at[-1]) + 1]) != 0, here, -1))
    return np.where(found < 0, -1 if first == 0 else -2, found)[at - first]


def _carries_on(kept, runs, column, at, begin, good, count):
    """Whether invalid records add what the last good one is, as far as sums tell."""
    counts = np.where(good < 0, 1, runs.counts(np.maximum(good, 0)))
    last = kept[column][np.maximum(good, 0)]
    first = np.where(good > 0, kept[column][np.maximum(good - 1, 0)], last.dtype.type(0))
    share = np.where(good < 0, 0, (last - first).astype(float) / np.maximum(counts, 1))
    added = (kept[column][at] - begin).astype(float)
    eps = 0 if kept[column].dtype.kind == "i" else 2.0**-51
    slack = eps * (np.abs(kept[column][at].astype(float)) * (1 + count / np.maximum(counts, 1)))
    # Where the good record is far back, or its length is told by nothing, there is nothing to compare with.
    unknown = (good == -2) | ((good >= 0) & (counts == 0))
    return unknown | (np.abs(added - share * count) <= slack)
