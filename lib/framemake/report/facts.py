"""What the report tells of one day: of each channel what a day file has of it, its holes and why they are there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import gps, grid
from ..day import coverage, dayfile, layout, statistics, summary, why
from ..day.dayfile import DayFile
from ..days import find
from ..frames import catalog

Span = tuple[float, float]
# Columns of Facts.values.
VALUES = ("mean", "std", "min", "max")
# So many channels of a day are asked of their frame files why samples inside of these are missing: a file takes
# milliseconds.  Of the others the report says what why-missing would ask.
MOST_ASKED = 40
# So many samples of a day are read to find holes inside of frame files, and so many holes of a channel and day are
# told; what is missing beyond that counts for the coverage alone.
MOST_READ, MOST_HOLES = 3_000_000, 500
# A frame file whose own time is so many seconds after its span is over came late.
LATE = 86400
# So many of these are named, the latest first.
_NAMED = 20


class Hole(NamedTuple):
    """A span [start, end) in s from the begin of the day's window without a sample; the rest as of days/why.Missing."""

    start: float
    end: float
    kind: str
    detail: str
    path: str


class Facts(NamedTuple):
    """What the report tells of a day file.  Arrays have an element, or row, a channel.

    names: the channels with samples.  seconds: of each that its samples stand for, and asked: how many there could be,
    in the state if one is given.  values: float32 (channels, VALUES), NaN where there is no sample.
    holes; sets: lists of numbers of holes; set_of: the number of each channel's list.
    late: of each channel the most seconds that a file which gave it samples came after its span, 0 if none was late.
    lacking: [(channel, kind, words)] of those that were asked for and have no sample.  bad: [(path, channel or '',
    reason)].  late_files: how many came late; came: [(path, GPS start, duration, s after its end)] of the latest.
    version: what made it.
    """

    window: tuple[int, int]
    names: tuple[str, ...]
    seconds: np.ndarray
    asked: float
    values: np.ndarray
    holes: list[Hole]
    sets: list[list[int]]
    set_of: np.ndarray
    late: np.ndarray
    lacking: list
    bad: list
    late_files: int
    came: list
    version: str


def take(path: str, state: Sequence[Span] | None = None) -> tuple[find.Taken, Facts]:
    """(what find keeps, the Facts) of a day file; BadInput, which names it, if it cannot be read.

    state: the spans in GPS seconds, in order, of which something is told; None: all.
    """
    with dayfile.reading(path) as day:
        taken, inner = find.of_day(day)
        return taken, _facts(day, taken, inner, state)


def _facts(day, taken, inner, state):
    made, (start, end) = day.provenance, taken.window
    count = len(taken.names)
    spans = None if state is None else _within(state, start, end)
    if spans == [(start, end)]:
        spans = None
    table = np.array([fact[3:6] for fact in taken.facts], dtype=float).reshape(-1, 3)[taken.numbers]
    values, seconds = np.full((count, len(VALUES)), np.nan, dtype=np.float32), table[:, 0].copy()
    if spans is None:
        found = day.totals()
    else:
        within = _Within(day, spans)
        found = {name: within.total(name) for name in taken.names}
        rates = np.array([fact.rate for fact in taken.facts])[taken.numbers]
        seconds = np.array([found[name][statistics.COUNT] for name in taken.names]) / rates
    for row, name in enumerate(taken.names):
        values[row] = _values(found[name])
    pool = _Pool(start)
    set_of = np.zeros(count, dtype=np.int32)
    for row, own in enumerate(_holes(day, taken, inner, table, spans)):
        set_of[row] = pool.set_of(own)
    came, late = _late(made, taken.names)
    came.sort(key=lambda entry: -entry[3])
    lacking = list(_lacking(day))
    bad = [(where, name, reason) for (where, name), reason in sorted(made.account.bad.items())]
    asked = float(end - start) if spans is None else sum(b - a for a, b in spans)
    return Facts(
        (start, end), taken.names, seconds, asked, values, list(pool.holes), pool.sets, set_of, late, lacking, bad,
        len(came), came[:_NAMED], made.version,
    )  # fmt: skip


def _within(spans, start, end):
    return [(max(a, start), min(b, end)) for a, b in spans if a < end and b > start]


def _values(total):
    count, least, most, mean, m2 = total[: statistics.M2 + 1]
    if not count:
        return (np.nan,) * 4
    return mean, np.sqrt(m2 / count), least, most


class _Within:
    """The statistics of channels in some spans: units that lie in one as a whole, or in none, are not read."""

    def __init__(self, day: DayFile, spans: Sequence[Span]):
        self._day, self._spans = day, spans
        # By grid: which samples of a day count.
        self._flags: dict[tuple, np.ndarray] = {}

    def total(self, name: str) -> np.ndarray:
        made = self._day.provenance
        dataset, units, size = made.datasets[name], self._day.statistics(name), made.unit_of(name)
        flags, parts = self._of(dataset, made.window.start), []
        for number, unit in enumerate(units):
            own = flags[number * size : (number + 1) * size]
            if not unit[statistics.COUNT] or not own.any():
                continue
            if own.all():
                parts.append(unit)
                continue
            samples = self._day.samples(name, number * size, number * size + len(own))[None]
            good = ~np.isnan(samples) & own
            parts.append(statistics.of_units(samples, good, number * size, len(own))[0, 0])
        return statistics.combine(np.array(parts)) if parts else np.array(statistics.NOTHING[: statistics.WORDS.start])

    def _of(self, dataset, start):
        where = grid.Grid(dataset.rate, grid.place(dataset.t0 - start, dataset.rate)[1])
        key = *where.key, dataset.total
        if key not in self._flags:
            flags = np.zeros(dataset.total, dtype=bool)
            for a, b in self._spans:
                flags[max(0, grid.first_at(a - start, where)) : max(0, grid.first_at(b - start, where))] = True
            self._flags[key] = flags
        return self._flags[key]


# --- holes -------------------------------------------------------------------------------


class _Pool:
    """Holes and lists of them, each once: most channels of a day have the same."""

    def __init__(self, start: int):
        self._start = start
        self.holes: dict[Hole, int] = {}
        self._sets: dict[tuple[int, ...], int] = {(): 0}

    @property
    def sets(self) -> list[list[int]]:
        return [list(some) for some in self._sets]

    def set_of(self, reasons: Sequence[why.Reason]) -> int:
        """The number of the list of these reasons, which are joined to holes."""
        own = tuple(
            self.holes.setdefault(
                Hole(round(a - self._start, 6), round(b - self._start, 6), kind, detail, path), len(self.holes)
            )
            for a, b, kind, detail, path in reasons
        )
        return self._sets.setdefault(own, len(self._sets))


def _holes(day, taken, inner, table, spans):
    """The Reasons of each channel's holes, in the order of the channels.

    What the day notes of a file it notes for all channels, so channels with the same holes are explained as one, unless
    something is noted of the channel itself, or a file is to be asked.
    """
    start, end = taken.window
    made = day.provenance
    noted = {name for _, name in made.account.bad if name} | set(made.account.problems) | set(made.rates_dropped)
    known: dict[tuple, list] = {}
    asked, read = 0, _Read(day)
    for name, number, (seconds, first, stop) in zip(taken.names, taken.numbers.tolist(), table.tolist(), strict=True):
        rate = taken.facts[number].rate
        holes = [*_edge(0.0, first, rate), *inner.get(name, ()), *_edge(stop, float(end - start), rate)]
        whole = [(start + a, start + b) for a, b in holes]
        lost = end - start - sum(b - a for a, b in whole) - seconds
        if lost > 0.75 / rate or not all(
            _is_sample(time - first, rate) for span in inner.get(name, ()) for time in span
        ):
            whole = read.holes(name) or whole
        if spans is not None:
            whole = [piece for span in whole for piece in _within(spans, *span)]
        if not whole:
            yield []
            continue
        key = (tuple(whole), name if name in noted else "")
        if key not in known:
            known[key] = list(why.reasons(day, name, whole, probe=False))
        found = known[key]
        if asked < MOST_ASKED and any(each.kind == why.INSIDE for each in found):
            asked += 1
            found = list(why.reasons(day, name, whole))
        yield found


def _edge(start, end, rate):
    """[the hole] before the first sample of a day, or after the last, if a sample is missing there.

    Where samples lie between whole seconds, or their rate does not divide the day, a part of one is no hole.
    """
    return [(start, end)] if end - start > (1 - 1e-6) / rate else []


def _is_sample(seconds, rate):
    """Whether a sample lies so many seconds from another: what a file did not give need not begin with one."""
    return abs(seconds * rate - round(seconds * rate)) < 1e-3


class _Read:
    """A day whose samples are read where frame files gave some and not all."""

    def __init__(self, day: DayFile):
        self._day, self._left = day, MOST_READ

    def holes(self, name: str) -> list[Span]:
        """The spans without a sample in GPS seconds, to the sample; [] if too much would have to be read, or told."""
        made = self._day.provenance
        dataset, size, counts = made.datasets[name], made.unit_of(name), self._day.statistics(name)[:, statistics.COUNT]
        lengths = np.minimum(size, dataset.total - size * np.arange(len(counts)))
        partly = (counts > 0) & (counts < lengths)
        self._left -= int(lengths[partly].sum())
        if self._left < 0:
            return []
        missing = np.repeat(counts == 0, lengths)
        for number in np.flatnonzero(partly).tolist():
            first, stop = number * size, number * size + int(lengths[number])
            missing[first:stop] = np.isnan(self._day.samples(name, first, stop))
        found = coverage.stretches(missing)
        if len(found) > MOST_HOLES:
            return []
        start, end = made.window
        time = lambda k: round(min(max(dataset.t0 + k / dataset.rate, start), end), 6)  # noqa: E731
        return [(time(a) if a else float(start), float(end) if b == dataset.total else time(b)) for a, b in found]


def _lacking(day):
    if layout.PROVENANCE not in day.file:
        return
    _, invalid, pruned = summary.channel_lists(day)
    for kind, some in ((why.IN_NO_FRAME, invalid), (why.PRUNED, pruned)):
        for name, reason in some:
            yield name, kind, reason


def _late(made, names):
    """([(path, start, duration, s)] of the files that came late, of each channel the most s that one of its came)."""
    found, worst = [], np.zeros(len(names), dtype=np.float32)
    if made.layout != layout.LAYOUT or made.source:
        return found, worst
    rows, columns = made.account.rows_by_frame(), None
    for at, frame in enumerate(made.frames):
        if frame.status not in (catalog.USED, catalog.KEPT) or frame.mtime < 0:
            continue
        after = frame.mtime / 1e9 - _unix(frame.end)
        if after < LATE:
            continue
        found.append((frame.path, frame.start, frame.duration, round(after)))
        if at in rows:
            if columns is None:
                place = {name: column for column, name in enumerate(made.channels)}
                columns = np.array([place[name] for name in names], dtype=np.int64)
            gave = made.account.gave[rows[at]][:, columns].any(axis=0)
            worst = np.where(gave, np.maximum(worst, after), worst)
    return found, worst


def _unix(time):
    return time + _offset(int(time) // 86400)


_OFFSETS: dict[int, int] = {}


def _offset(day):
    """What is to be added to the GPS seconds of a day for Unix time; a leap second off on the day that has one."""
    if day not in _OFFSETS:
        ((_, _OFFSETS[day]), *_) = gps.unix_offsets(day * 86400, day * 86400 + 1)
    return _OFFSETS[day]
