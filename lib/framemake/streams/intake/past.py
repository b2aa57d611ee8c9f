"""Where a stream stood at an earlier time, exactly, from its records and from the frames they were made from.

The records hold S, Q and times.  The last valid mean and rms before a time, which stand in for missing samples, come
from the frames.  Where these are gone they come from the records, if only one value of the stream's type gives their
sums: that is always so for int, and for float unless the sums dwarf the value.
"""

import bisect
import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from ... import gwf
from .. import records, store
from . import samples, sums, tree, writing

# The contents of so many files are kept in memory.
_OPEN = 6


class PastUnknown(Exception):
    """Why an earlier state cannot be known."""


class Prior(NamedTuple):
    """How many records and index entries of a stream stay, and where it stands after them."""

    counts: writing.Lengths
    running: sums.Running


class Past:
    """Looks samples up in files that are done.

    guessed: names of the streams of which the last valid mean and rms are known but for rounding.  unread: whether the
    system did not give some file.
    """

    def __init__(self, listing: list[tree.TrendFile], wanted: Collection[str]):
        """listing: the files, in order of their start; wanted: names of the streams that will be asked for."""
        self._trends = [[file for file in listing if file.fine == fine] for fine in (True, False)]
        self._starts = [[file.start for file in trend] for trend in self._trends]
        self._wanted = wanted
        self._read: dict[str, dict[str, samples.ChannelTrend]] = {}
        self.guessed: set[str] = set()
        self.unread = False

    def sample(self, name: str, time: float) -> tuple[float, float, float] | None:
        """(interval, mean, rms) of the sample of a stream at a GPS time, as imported; None if no frame has it."""
        for file in self._covering(time):
            found = self._contents(file).get(name)
            for piece in found.pieces if found else ():
                at = round((time - piece.start) / piece.interval)
                if 0 <= at < len(piece.mean) and piece.start + at * piece.interval == time:
                    mean, rms = sums.cleaned([piece], records.SUMS[found.datatype])
                    return piece.interval, mean[at].item(), rms[at].item()
        return None

    def _covering(self, time):
        """The files that a time lies in, in the order in which their samples count."""
        for trend, starts in zip(self._trends, self._starts, strict=True):
            first, end = bisect.bisect_right(starts, time - tree.LONGEST), bisect.bisect_right(starts, time)
            yield from (file for file in trend[first:end] if time < file.end)

    def _contents(self, file):
        if file.path not in self._read:
            while len(self._read) >= _OPEN:
                del self._read[next(iter(self._read))]
            try:
                self._read[file.path] = samples.read(file, self._wanted, calibrated=False).found
            except (gwf.BadFrame, OSError) as error:
                self.unread = self.unread or isinstance(error, OSError) or bool(gwf.refusal(file.path))
                self._read[file.path] = {}
        return self._read[file.path]

    def prior(self, stream: store.Stream, time: float = math.inf) -> Prior:
        """The Prior of a stream before a GPS time; PastUnknown if neither frames nor records tell it.

        The time must not lie inside of a frame of the stream.  Without one the whole stream is meant, as the original
        importer left it: it is taken as it is, if need be with a mean and rms that the records tell only but for their
        rounding, and then its name is in `guessed`.
        """
        kept, index, whole = stream.records, stream.index, time == math.inf
        count = len(kept) if whole else bisect.bisect_left(kept["time"], time)
        if not count:
            return Prior(writing.Lengths(0, 0), sums.Running())
        last, interval = self._last_sample(stream, count, whole)
        ends = kept[last]
        entries = int(np.searchsorted(index["time"], ends["time"], side="left"))
        if not entries:
            raise PastUnknown("its index is empty")
        valid = records.last_valid(kept["valid"], 0, last + 1)
        mean, rms = self._good(stream, valid, whole) if valid >= 0 else (0, 0)
        listed = float(index["interval"][entries - 1])
        running = sums.Running(
            ends["sum"].item(), ends["square"].item(), float(ends["time"]), interval, listed, mean, rms
        )
        return Prior(writing.Lengths(last + 1, entries), running)

    def _last_sample(self, stream, count, whole):
        """(place, interval) of the last record before `count` that stands for a sample, not for a gap."""
        kept, times = stream.records, stream.records["time"]
        # At most the two records of a gap come after it.
        for at in range(count - 1, max(count - 4, -1), -1):
            known = self.sample(stream.name, float(times[at]))
            if known:
                return at, known[0]
        if whole and count > 1:
            return count - 1, float(times[count - 1] - times[count - 2])
        # Without the frame, three valid samples in a row give the interval, if it is not that of a gap's records.
        at = count - 1 - _gap_records(kept, count, stream.rate)
        steps = np.diff(times[max(0, at - 2) : at + 1])
        sound = len(steps) == 2 and steps[0] == steps[1] and abs(steps[0] - 1 / stream.rate) > records.SAME
        if sound and (kept["valid"][at - 2 : at + 1] == records.VALID).all():
            return at, float(steps[0])
        raise PastUnknown("the frames before it are gone")

    def _good(self, stream, at, whole):
        """(mean, rms) of the valid record at a place."""
        kept = stream.records
        known = self.sample(stream.name, float(kept["time"][at]))
        if known:
            return known[1:]
        exact = from_records(kept, at, stream.rate, stream.info.datatype)
        if exact is None and whole:
            self.guessed.add(stream.name)
            return nearly(kept, at, stream.rate)
        if exact is None:
            raise PastUnknown("the frame with the last valid sample before it is gone")
        return exact


def from_records(kept: np.ndarray, at: int, rate: float, datatype: str) -> tuple[float, float] | None:
    """(mean, rms) that alone can have given the sums of the record at a place; None if several can."""
    if datatype == "double":
        return None
    possible = {_of_weight(kept, at, sums.raw(interval, rate)) for interval in _intervals(kept, at, rate)}
    possible.discard(None)
    return possible.pop() if len(possible) == 1 else None


def nearly(kept: np.ndarray, at: int, rate: float) -> tuple[float, float]:
    """(mean, rms) of the record at a place, to the rounding of its sums; PastUnknown if its interval is not sure."""
    intervals = _intervals(kept, at, rate)
    if len(intervals) != 1:
        raise PastUnknown("its records do not tell its last valid mean and rms")
    weight = sums.raw(intervals.pop(), rate)
    total, power = (end - begin for begin, end in _sums_around(kept, at))
    return total / weight, math.sqrt(max(power / weight, 0.0))


def _of_weight(kept, at, weight):
    """(mean, rms) of a record that stands for so many raw samples; None if it cannot."""
    (begin, end), (low, high) = _sums_around(kept, at)
    if isinstance(end, int):
        mean, over = divmod(end - begin, weight)
        power, more = divmod(high - low, weight)
        rms = math.isqrt(max(power, 0))
        return None if over or more or rms * rms != power else (mean, rms)
    mean = _only(begin, end, (end - begin) / weight, lambda value: value * weight)
    rms = _only(low, high, math.sqrt(max(high - low, 0.0) / weight), lambda value: value * value * weight)
    return None if mean is None or rms is None else (mean, rms)


def _sums_around(kept, at):
    """((S before, S after), (Q before, Q after)) the record at a place."""
    return tuple((kept[name][at - 1].item() if at else 0, kept[name][at].item()) for name in ("sum", "square"))


def lost(old: np.ndarray, spans: list[tuple[float, float, float]]) -> bool:
    """Whether valid records of the end of a stream would have no sample in what is to take their place.

    old: records; spans: [(start, end, seconds between samples)] of the samples that there are to be, in time order.
    A record is still there if a sample that is no coarser covers its time.
    """
    times = np.array(old["time"][old["valid"] == records.VALID])
    if not len(times):
        return False
    if not spans:
        return True
    start, end, interval = np.array(spans, dtype=float).T
    at = np.maximum(np.searchsorted(start, times, side="right") - 1, 0)
    inside = (start[at] <= times) & (times < end[at])
    # A sample of second trend must not give way to one of minute trend.
    steps = np.diff(times, append=np.inf)
    return not (inside & (interval[at] <= steps)).all()


def _only(begin, end, guess, term):
    """The one float32 whose term takes a sum from begin to end; None if none or several do.

    Neighbours are asked too: sums that dwarf the terms round many of them to one.
    """
    near = np.float32(guess)
    if not np.isfinite(near):
        return None
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    fitting = [float(value) for value in around if begin + term(float(value)) == end]
    return fitting[0] if fitting == [float(near)] else None


def _gap_records(kept, count, rate):
    """How many of the records before `count` begin or make a gap: the first of one is 1/R after a sample."""
    for back in (1, 2):
        at = count - back
        if at < 1 or kept["valid"][at] == records.VALID:
            return 0
        if abs(kept["time"][at] - kept["time"][at - 1] - 1 / rate) < records.SAME:
            return back
    return 0


def _intervals(kept, at, rate):
    """Seconds that the sample of a record may stand for: to the record before or after, unless that is of a gap."""
    steps = set()
    for near in (at - 1, at + 1):
        if 0 <= near < len(kept):
            step = abs(float(kept["time"][near] - kept["time"][at]))
            # A step of 1/R to an invalid record may lead to a gap: it is no sign of the sample's length.
            sample = kept["valid"][near] == records.VALID or abs(step - 1 / rate) > records.SAME
            if sample and sums.raw(step, rate) >= 1:
                steps.add(step)
    return steps
