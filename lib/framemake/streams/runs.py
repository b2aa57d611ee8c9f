"""Where the records of a stream lie in time, how long their samples are and where the gaps are, from its index.

The only records read for it are those at gaps and at entries of the index, near the span that is asked for.  Their
times must be those of the index; if they are not, the times of all records are read.
"""

import functools

import numpy as np

from .records import CHANGE, SAME
from .store import Stream

# So many runs before and after a span are taken in, so that each record in it is seen with its neighbours.
_AROUND = 4


class Runs:
    """How the records of a stream lie in time around a span: runs of equal intervals, and what lies between them.

    Arrays with one element a run:
    - first: the number of the record that begins it, and time: that record's GPS time;
    - steps: how many records on the next run begins, and interval: the seconds between them;
    - gap: True for the step between the two records of a gap; plain: False for that step and the two beside it;
    - seconds: the length of the sample of record `first`, 0 if it is no sample or nothing gives its length.
    size: records in the stream; rate: raw samples a second.
    """

    def __init__(self, stream: Stream, start: float, end: float):
        """stream: with one record at least; start, end: the span in GPS s."""
        self.records, self.rate, self.size = stream.records, stream.rate, len(stream.records)
        by_index = True
        first, time, interval, opened = _of_index(stream.index, self.size)
        around = _around(time, start, end)
        if not self._fits(first[around], time[around], interval[around], around.stop >= len(time)):
            # An index of the original importer can lack an entry: then the times of all records are read.
            by_index = False
            first, time, interval = _of_times(self.records)
            opened = np.zeros(len(first), bool)
            around = _around(time, start, end)
            self._held = self.records[first[around]]
        self.first, self.time, self.interval = first[around], time[around], interval[around]
        following = first[around.stop] if around.stop < len(first) else self.size - 1
        self.steps = _after_each(self.first, following) - self.first
        self._find_gaps()
        self._measure(by_index, opened[around])

    def _fits(self, first, time, interval, to_end):
        """Whether the records that begin the runs are there, with those times; to_end: and the last record as well."""
        if not len(first) or first[-1] >= self.size or (np.diff(first) <= 0).any():
            return False
        self._held = self.records[first]
        if (np.abs(self._held["time"] - time) > SAME).any():
            return False
        left = self.size - 1 - first[-1]
        if not to_end or not left:
            return True
        return abs(time[-1] + left * interval[-1] - self.records["time"][-1]) < max(SAME, 1e-3 * interval[-1])

    def _find_gaps(self):
        """A gap is a single step between two invalid records, with a step of 1/R before it and another after it."""
        step = 1 / self.rate
        near = np.abs(self.interval - step) < SAME
        one = self.steps == 1
        self.gap = one & ~near
        if not self.gap.any():
            self.plain = ~self.gap
            return
        # A single step leads to the record that begins the next run; the last run has no next one here.
        invalid = np.append(self._held["valid"], self.records[min(self.first[-1] + 1, self.size - 1)]["valid"]) == 0
        self.gap &= invalid[:-1] & invalid[1:]
        # Without a step of 1/R before and after it, the two records are samples that happen to be invalid.
        self.gap &= _before_each(near, True) & _after_each(near, True)
        short = one & near
        lead, tail = short & _after_each(self.gap, False), short & _before_each(self.gap, False)
        self.plain = ~(self.gap | lead | tail)

    def _measure(self, by_index, opened):
        """Find the length of the first sample of each run, and of the others.

        A sample is as long as the interval after it, as a file's first sample is followed by its second.  The last
        sample before a gap is as long as those before it; so is one during which the next one begins.
        Where a shorter interval follows and no data is lost, the index has an entry for the step
        between.  The times alone (by_index is False) have none, and the length is not known.
        Where that entry says (opened) that another trend begins, and a gap follows its first sample at once, only the
        sums tell that sample's length.
        """
        after = np.where(self.plain, self.interval, np.nan)
        before = _before_each(after, np.nan)
        ends = (before - after > SAME) & ~_before_each(self.steps == 1, True)
        before[opened] = np.nan
        self.seconds = np.where(ends, before if by_index else np.nan, np.where(np.isnan(after), before, after))
        if self.gap.any():
            for at in np.flatnonzero(opened & np.isnan(self.seconds) & _after_each(self.gap, False)).tolist():
                self.seconds[at] = self._lone(int(self.first[at]))
        self._closing = _before_each(self.gap, False)
        self.seconds[self.gap | self._closing | np.isnan(self.seconds)] = 0
        self._inner = np.where(self.plain & (self.steps != 0), self.interval, 0)

    @functools.cached_property
    def _total_seconds(self):
        """Seconds of all samples through the first of each run."""
        return self._totals(self.seconds, self._inner)

    @functools.cached_property
    def _total_count(self):
        """The raw samples behind them."""
        return self._totals(self._counts(self.seconds), self._counts(self._inner))

    def _lone(self, at):
        """Seconds of a lone sample before a gap, of n raw samples; NaN if not known.

        Its record adds its value n times, and the gap's first record adds it once, so the sums give n.  As they are
        rounded, the length is chosen from those that other samples have.
        """
        held = self.records[max(0, at - 1) : at + 2]
        lengths = np.sort(self.interval[self.plain & (self.interval > 0)])
        lengths = lengths[np.diff(lengths, prepend=0) > SAME]
        if len(held) < 3 or not held["valid"][1] or not len(lengths):
            return np.nan
        adds, once = np.diff(held["square"]).astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            likely = lengths[np.abs(adds / once / self._counts(lengths) - 1) < 0.05]
        return likely[0] if len(likely) == 1 else np.nan

    def _counts(self, seconds):
        return np.trunc(seconds * self.rate + SAME)

    def _totals(self, firsts, inner):
        through = firsts.copy()
        through[1:] += (self.steps[:-1] - 1) * inner[:-1]
        return np.cumsum(through)

    def run_of(self, at: np.ndarray) -> np.ndarray:
        """The run that each record belongs to; a record between two belongs to the second."""
        return np.maximum(np.searchsorted(self.first, at, side="right") - 1, 0)

    def before(self, times: np.ndarray) -> np.ndarray:
        """The number of the last record that begins before each GPS time; one before the first run's if none does."""
        run = np.searchsorted(self.time, times - SAME, side="left") - 1
        none, run = run < 0, np.maximum(run, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.ceil((times - SAME - self.time[run]) / self.interval[run]) - 1
        most = np.where(run == len(self.first) - 1, self.size - 1 - self.first[-1], self.steps[run] - 1)
        at = self.first[run] + np.clip(np.nan_to_num(steps), 0, np.maximum(most, 0)).astype(np.int64)
        at = np.where(none, self.first[0] - 1, at)
        return self._not_in_sample(at, times)

    def _not_in_sample(self, at, times):
        """For times in the last sample before a gap take that sample, not the gap's first record, which lies in it."""
        starts = self.first[self.gap]
        if not len(starts):
            return at
        near = np.minimum(np.searchsorted(starts, at), len(starts) - 1)
        inside = (starts[near] == at) & (times <= self.end_of(at - 1) + SAME)
        return np.where(inside, at - 1, at)

    def times(self, at: np.ndarray) -> np.ndarray:
        """GPS time of records."""
        run = self.run_of(at)
        return self.time[run] + (at - self.first[run]) * np.where(at == self.first[run], 0, self.interval[run])

    def lengths(self, at: np.ndarray) -> np.ndarray:
        """Seconds of the samples of records; 0 for a record that is no sample."""
        run = self.run_of(at)
        return np.where(at == self.first[run], self.seconds[run], np.where(at < 0, 0, self._inner[run]))

    def counts(self, at: np.ndarray) -> np.ndarray:
        """Raw samples behind the samples of records."""
        return self._counts(self.lengths(at))

    def raw_samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each run: the number of the record that begins it, int64, and the raw samples behind the sample of that
        record, and of each of the others, float64: what counts() gives, in short."""
        first = np.ascontiguousarray(self.first, np.int64)
        return first, self._counts(self.seconds), self._counts(np.asarray(self._inner, float))

    def through(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(seconds, raw samples) of all samples through each record: running sums, whose differences count."""
        run = self.run_of(at)
        more = at - self.first[run]
        inner = self._inner[run]
        return self._total_seconds[run] + more * inner, self._total_count[run] + more * self._counts(inner)

    def end_of(self, at: np.ndarray) -> np.ndarray:
        """GPS time at which the sample of each record ends; after a gap's last record, where data begins again."""
        run = self.run_of(at)
        closing = self._closing[run] & (at == self.first[run])
        return self.times(at) + np.where(closing, 1 / self.rate, self.lengths(at))

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(a, b), two arrays: records a + 1 to b are no data: they bound a gap, or are one of unknown length."""
        gaps = self.first[self.gap]
        lone = self.first[(self.seconds == 0) & ~self.gap & ~self._closing]
        return np.concatenate((gaps - 1, lone - 1)), np.concatenate((gaps + 1, lone))


def _before_each(values, first):
    """What comes before each of the values; `first` before the first of them."""
    found = np.empty_like(values)
    found[:1], found[1:] = first, values[:-1]
    return found


def _after_each(values, last):
    """What comes after each of the values; `last` after the last of them."""
    found = np.empty_like(values)
    found[-1:], found[:-1] = last, values[1:]
    return found


def _of_index(index, size):
    """(first, time, interval, opened) of the runs of an index.  Its first entry is (0, time of record 0).

    opened: which runs begin with the first sample of another trend; the step before is not that sample's length.
    """
    if not len(index):
        empty = np.empty(0)
        return empty.astype(np.int64), empty, empty, empty.astype(bool)
    if len(index) == 1:
        return np.zeros(1, dtype=np.int64), index["interval"].astype(float), np.full(1, np.nan), np.zeros(1, bool)
    time, interval = index["time"][1:].astype(float), index["interval"][1:].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A gap of two samples at one sample a second has both its records at one time: a step of 0 s.
        steps = np.where(interval[:-1] == 0, 1, np.rint(np.diff(time) / interval[:-1]))
    steps = np.where(np.isfinite(steps) & (np.abs(steps) < 2**53), steps, -1)
    first = np.zeros(len(interval), np.int64)
    first[1:] = np.cumsum(steps)
    return _opened(first, time, interval, size)


def _opened(first, time, interval, size):
    """Begin a run with the first sample of another trend: an entry that repeats the interval is for the step to it."""
    again = np.flatnonzero(np.abs(np.diff(interval)) < CHANGE) + 1
    if not len(again):
        return first, time, interval, np.zeros(len(first), bool)
    following = np.append(first[1:], size)[again]
    opened = np.zeros(len(first), bool)
    opened[again[(following == first[again] + 1) & (again + 1 < len(first))] + 1] = True
    more = again[(following > first[again] + 1) | (again + 1 == len(first))]
    more = more[first[more] + 1 < size]
    steps = np.where(first[more] + 2 < size, interval[more], np.nan)
    return (
        np.insert(first, more + 1, first[more] + 1),
        np.insert(time, more + 1, time[more] + interval[more]),
        np.insert(interval, more + 1, steps),
        np.insert(opened, more + 1, True),
    )


def _of_times(records):
    """(first, time, interval) of the runs of the records' own times."""
    time = np.ascontiguousarray(records["time"])
    if len(time) < 2:
        return np.arange(len(time)), time, np.full(len(time), np.nan)
    interval = np.diff(time)
    first = np.flatnonzero(np.insert(np.abs(np.diff(interval)) >= CHANGE, 0, True))
    return first, time[first], interval[first]


def _around(time, start, end):
    """The slice of the runs that a span touches, and of some before and after it."""
    first = np.searchsorted(time, start) - _AROUND
    last = np.searchsorted(time, end) + _AROUND
    return slice(max(0, int(first)), min(len(time), int(last)))
