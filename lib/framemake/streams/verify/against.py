"""Streams against the frames that they were made from, read again through gwpy (see `reread`).

Nothing of the importer is used here.
"""

import bisect
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ... import gwf
from ...day import coverage
from ...errors import BadInput
from .. import store
from ..records import MOST_WEIGHT, SAME, last_valid
from . import reread
from .check import Fault

# So many records before the first sample of a span are read with it: the two of a gap, and the sample before it.
_BEFORE = 3
# In place of the number of a record: there is none, and it is not known.
_NONE, _UNKNOWN = -1, -2
_COLUMNS = ("sum", "square")


def faults(
    folder: str,
    root: str,
    say: Callable[[str], object] = lambda message: None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[Fault]:
    """The faults of the streams of a folder against the frames of a tree, `root`.

    Each sample that should be in a stream must be there.  Its sums must be, to the last bit, those of the record before
    with mean * n and rms**2 * n added; an invalid sample and the records of a gap add the last good sample.  What they
    add is not compared if the frame with the last good sample is gone.  Samples of minute trend need not be there
    where a stream has second trend.  Records of no frame are no fault: their frames may be gone.  (Of two files of
    a trend that overlap, the one that the importer preferred may be gone: then the other differs.)
    say: called with a message of what could not be compared; progress: with (files done, files to do).  Raises BadInput
    if there is no frame.
    """
    sites = [(site, reread.clusters(root, site)) for site in reread.SITES]
    total, done = sum(len(cluster) for _, listing in sites for cluster in listing), 0
    if not total:
        raise BadInput(f"no frame file of a trend below folder: {root!r}")
    known, unread, left_out, alone = _Known(folder), 0, 0, 0
    for site, listing in sites:
        for cluster in listing:
            pieces: dict[str, list[reread.TrendPiece]] = {}
            for file in cluster:
                progress(done, total)
                done += 1
                try:
                    found = reread.read(file)
                except (gwf.BadFrame, OSError):
                    unread += 1
                    continue
                for name, channel in found:
                    stream = known.stream(name, site)
                    if stream is None:
                        if known.is_new(name):
                            what = f"no such stream, but in frame: {file.path!r}"
                            yield Fault(name, file.start, file.end, what)
                    elif not stream.takes(channel):
                        left_out += 1
                    else:
                        pieces.setdefault(name, []).extend(channel.pieces)
                        alone += not all(piece.known for piece in channel.pieces)
            for name, held in pieces.items():
                yield from known.stream(name, site).compare(reread.expected(held))
    progress(total, total)
    if unread:
        say(f"{unread} frame files cannot be read, they are not compared")
    if left_out:
        say(f"{left_out} times a channel has another type, interval, slope or bias than its stream: not compared")
    if alone:
        say(f"{alone} times gwpy cannot read a channel: only that its samples are there is compared")


class _Known:
    """The streams of a folder, opened once each.  A stream belongs to the first site whose frames have it."""

    def __init__(self, folder):
        self._folder, self._opened, self._missed = folder, {}, set()

    def stream(self, name, site):
        """The _Compared of a name, or None."""
        if name not in self._opened:
            try:
                self._opened[name] = site, _Compared(store.open_stream(self._folder, name))
            except BadInput:
                self._opened[name] = site, None
        first, stream = self._opened[name]
        return stream if first == site else None

    def is_new(self, name):
        """Whether a name has no stream, and this was not asked before."""
        new = self._opened[name][1] is None and name not in self._missed
        self._missed.add(name)
        return new


class _Last(NamedTuple):
    """A sample: the number of its record, below 0 for none, its GPS time and that of its end."""

    at: int
    time: float
    end: float


class _Span(NamedTuple):
    """Records from number `low` on; good: the number of the last valid one before each and after all, -1 for none."""

    low: int
    part: np.ndarray
    good: np.ndarray

    def of(self, at, column):
        """A column of the records of these numbers; numbers beyond the last record give the last."""
        return self.part[column][np.minimum(at - self.low, len(self.part) - 1)]


class _Adds(NamedTuple):
    """The last valid sample up to each: mean, rms, and whether its record is the stream's last valid one as well."""

    mean: np.ndarray
    rms: np.ndarray
    sure: np.ndarray


class _Compared:
    """A stream that is compared with the samples of its frames, in time order, some at a time."""

    def __init__(self, stream):
        self.stream = stream
        self._last = _Last(_UNKNOWN, 0.0, 0.0)
        # The last valid sample of the frames: the number of its record, mean and rms.
        self._good = _NONE, 0, 0
        # The last valid record before record number `seen`.
        self._seen, self._valid = 0, _NONE

    def takes(self, channel):
        """Whether the samples of a channel belong into the stream, by type, interval, slope and bias."""
        info, calibration = self.stream.info, channel.calibration
        if info.datatype != channel.datatype:
            return False
        if any(int(piece.length * self.stream.rate) < 1 for piece in channel.pieces):
            return False
        # An .info file holds six digits.
        return calibration is None or _six_digits(calibration) == _six_digits(info)

    def compare(self, held):
        """Faults of reread.Expected, which come after those of an earlier call, against the stream."""
        if not len(self.stream.records):
            return
        span = self._span(held)
        at = span.low + np.searchsorted(span.part["time"], held.time - SAME)
        there = np.abs(span.of(at, "time") - held.time) < SAME
        finer = _finer(span, held)
        adds, before = self._adds(span, held, np.where(there, at, _UNKNOWN), finer)
        flag = held.known & ((span.of(at, "valid") != 0) != (held.mean != 0))
        misfit = flag | (held.known & adds.sure & ~self._adds_up(span, held, at, adds))
        # At the time of a sample of second trend there may be a record of minute trend: then the next has none.
        alone = np.append(~(there | finer)[1:] & (held.piece[1:] == held.piece[:-1]), False)
        there &= ~(misfit & alone)
        missing = ~there & ~finer
        yield from self._each(held, missing, "not in the stream: {} samples")
        # What a record adds is not known if the one before it is not there.
        loose = np.insert(missing[:-1], 0, self._last.at == _NONE)
        wrong = there & ~finer & (flag | (misfit & ~loose))
        yield from self._each(held, wrong, "differs from the frame: {} samples")
        number = np.where(finer, _UNKNOWN, np.where(there, at, _NONE))
        yield from self._wrong_between(span, held, number, before)
        self._last = _Last(int(number[-1]), float(held.time[-1]), float(held.end[-1]))

    def _each(self, held, flags, what):
        for first, stop in coverage.stretches(flags):
            yield Fault(self.stream.name, held.time[first], held.end[stop - 1], what.format(stop - first))

    def _span(self, held):
        times, valid = self.stream.records["time"], self.stream.records["valid"]
        first = bisect.bisect_left(times, held.time[0] - SAME)
        low = max(0, first - _BEFORE)
        stop = max(bisect.bisect_left(times, held.end[-1] - SAME, lo=first), low + 1)
        part = np.array(self.stream.records[low:stop])
        found = last_valid(valid, self._seen, low)
        self._valid, self._seen = (self._valid if found < 0 else found), low
        good = np.where(part["valid"] != 0, np.arange(low, stop), _NONE)
        return _Span(low, part, np.maximum.accumulate(np.insert(good, 0, self._valid)))

    def _adds(self, span, held, at, finer):
        """(_Adds of each sample, _Adds of the sample before each)."""
        valid = held.known & (held.mean != 0) & ~finer
        good = np.maximum.accumulate(np.append(0, np.where(valid, np.arange(1, len(at) + 1), 0)))
        number, mean, rms = (
            np.insert(part, 0, first)[good] for part, first in zip((at, held.mean, held.rms), self._good, strict=True)
        )
        self._good = tuple(part[-1].item() for part in (number, mean, rms))
        # The last valid record before that of the sample, and up to that of the sample before.
        here = span.good[np.clip(at - span.low, 0, len(span.part))]
        prior = np.insert(at[:-1], 0, self._last.at)
        there = span.good[np.clip(prior + 1 - span.low, 0, len(span.part))]
        each = _Adds(mean[1:], rms[1:], valid | (here == number[:-1]))
        return each, _Adds(mean[:-1], rms[:-1], there == number[:-1])

    def _adds_up(self, span, held, at, adds):
        """Which records hold the sums of the record before with what their sample adds."""
        weight = np.trunc(held.length * self.stream.rate).astype(np.int64)
        same = np.ones(len(at), bool)
        for column, each in zip(_COLUMNS, (adds.mean, adds.rms * adds.rms), strict=True):
            begin = np.where(at == 0, 0, span.of(np.maximum(at - 1, 0), column))
            with np.errstate(over="ignore", invalid="ignore"):
                same &= span.of(at, column) == begin + each * weight
        return same

    def _wrong_between(self, span, held, number, before):
        """Faults of the records between two samples that follow one another in the frames, if both are there."""
        prior = np.insert(number[:-1], 0, self._last.at)
        end = np.insert(held.end[:-1], 0, self._last.end)
        both = (number >= 0) & (prior >= 0)
        gap, step = held.time - end > SAME, number - prior
        # More records than the two of a gap come from frames that are gone.
        for at in np.flatnonzero(both & np.where(gap, step <= 3, step > 1)).tolist():
            between = span.part[max(prior[at] + 1 - span.low, 0) : number[at] - span.low]
            if not gap[at]:
                what = f"between samples that follow one another: {step[at] - 1} records of no frame"
            else:
                last = held.time[at - 1] if at else self._last.time
                times = float(last), float(end[at]), float(held.time[at])
                adds = (before.mean[at], before.rms[at]) if before.sure[at] else None
                sums = [span.of(prior[at], column) for column in _COLUMNS]
                what = self._wrong_gap(between, times, adds, sums)
            if what:
                yield Fault(self.stream.name, end[at], held.time[at], what)

    def _wrong_gap(self, between, times, adds, sums):
        """What is wrong with the records of a gap, in words; '' for nothing.

        times: GPS s at which the sample before it begins and ends, and the next one begins; adds: the mean and rms that
        the gap adds, None if not known; sums: S and Q of the record before the gap.
        """
        (last, end, start), rate = times, self.stream.rate
        early, late = last + 1 / rate, start - 1 / rate
        inside = min(max(int((start - last) * rate - 2), 0), MOST_WEIGHT)
        wanted = [(early, 1), (late, inside)]
        if len(between) == 1 and late <= early:
            wanted.pop()
        if any(min(abs(time - at) for time, _ in wanted) >= SAME for at in between["time"].tolist()):
            return ""  # they are samples of frames that are gone
        if len(between) < len(wanted):
            # With one raw sample a sample it may be the next sample, of a frame that is gone.
            if len(between) == 1 and between["time"][0] > end - SAME and early > end - SAME:
                return ""
            return f"of the {len(wanted)} records of a gap {len(between)} are there"
        if (between["valid"] != 0).any():
            return "a record of a gap is valid"
        if adds is not None:
            for column, each, begin in zip(_COLUMNS, (adds[0], adds[1] * adds[1]), sums, strict=True):
                for (_, weight), found in zip(wanted, between[column], strict=True):
                    begin = begin + each * weight
                    if begin != found:
                        return "the records of a gap do not go on with the last valid sample"
        return ""


def _finer(span, held):
    """For which samples the stream has finer ones: several records within them that are not just the two of a gap."""
    time = span.part["time"]
    first, stop = np.searchsorted(time, held.time + SAME), np.searchsorted(time, held.end - SAME)
    valid = np.insert(np.cumsum(span.part["valid"] != 0), 0, 0)
    return (stop - first > 2) | ((stop - first > 1) & (valid[stop] > valid[first]))


def _six_digits(held):
    return f"{held.slope:g} {held.bias:g}"
