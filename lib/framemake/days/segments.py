"""Segments of time: where a channel has data, where an expression over channels holds; and as files of the field.

A sample stands for the time from its own to the next one's.  Known is the time of which the days say anything: of a
channel, the spans that day files cover; of an expression, where each of its channels has data.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import files, gps
from ..day import statistics
from ..day.coverage import stretches
from ..errors import BadInput
from ..frames.catalog import number
from ..grid import cut as cut_of
from ..version import version
from . import series as series_of
from .expression import Expression
from .opened import OpenDays

Span = tuple[float, float]
# Samples of an expression's fastest channel that are looked at in one go.
_AT_ONCE = 1 << 20
# Spans that are no further apart, in s, are one: times are rounded to the microsecond.
_NEAR = 2e-6


class Segments(NamedTuple):
    """name: of the channel, or the expression; known, active: spans [start, end) in GPS seconds, in order, apart."""

    name: str
    known: list[Span]
    active: list[Span]

    def within(self, spans: Sequence[Span]) -> "Segments":
        """What of them lies in spans in order."""
        return self._replace(known=common(self.known, spans), active=common(self.active, spans))

    def longer_than(self, shortest: float) -> "Segments":
        """The same without active segments of fewer seconds."""
        return self._replace(active=[(start, end) for start, end in self.active if end - start >= shortest])

    def to_gwpy(self) -> Any:
        """A gwpy DataQualityFlag."""
        from gwpy.segments import DataQualityFlag

        return DataQualityFlag(self.name, known=self.known, active=self.active)


def of_channel(days: OpenDays, name: str, start: float, end: float) -> Segments:
    """The Segments of a channel in [start, end): active where it has data, known where there is a day file.

    A change of rate between days is none here.  Raises BadInput if a day file cannot be read, or no day of the span has
    a file.
    """
    if not start < end:
        raise BadInput(f"the span is empty: {gps.span_text(start, end)}")
    known, active = _Spans(), _Spans()
    for date, folder in days.between(start, end).items():
        held = days.held(date, folder, name)
        if held is None:
            window = days.window(folder)
            if window is not None:
                known.add(max(start, window.start), min(end, window.end))
            continue
        known.add(max(start, held.window.start), min(end, held.window.end))
        for a, b in _active(days, held, name, start, end):
            active.add(a, b)
    if not known.found:
        raise BadInput(f"no day is built in {gps.span_text(start, end)}: {days.out!r}")
    return Segments(name, known.found, active.found)


def _active(days, held, name, start, end):
    """The spans in which a day has samples; units that are whole or empty, by their statistics, are not read."""
    (one,) = series_of.plan_of(days, name, max(start, held.window.start), min(end, held.window.end), [held])
    form = held.form
    with days.day(held.path, held.identity) as day:
        counts = day.statistics_alone(name)[:, statistics.COUNT]
        size = cut_of(form.rate, int(day.peek("increment")["increment"]), held.window.duration).unit
    for part in one.parts:
        shift = part.first - part.begin
        read = lambda a, b, shift=shift: one.sliced(a + shift, b + shift)  # noqa: E731
        for first, last in runs(counts, size, form.total, read, [(part.begin, part.stop)]):
            yield max(start, one.time_of(first + shift)), min(end, one.time_of(last + shift))


def runs(
    counts: np.ndarray, size: int, total: int, read: Callable[[int, int], np.ndarray], wanted: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Runs [a, b) of the samples that a channel has of those wanted in a day, in order; those that touch may be two.

    counts: good samples of each unit, of which each but the last has `size` samples, and all have `total`; read: gives
    the samples [a, b), asked of units alone that are neither whole nor empty.  wanted: runs of samples, in order.
    """
    for begin, stop in wanted:
        begin, stop = max(0, begin), min(total, stop)
        for unit in range(begin // size, math.ceil(stop / size)):
            a, b = max(begin, unit * size), min(stop, (unit + 1) * size)
            if a >= b or counts[unit] == 0:
                continue
            if counts[unit] == min(total, (unit + 1) * size) - unit * size:
                yield a, b
                continue
            for first, last in stretches(~np.isnan(read(a, b))):
                yield a + first, a + last


def of_state(days: OpenDays, text: str, start: float, end: float) -> Segments:
    """The Segments of an expression (see expression) in [start, end): active where it holds.

    The channels may have different rates: a sample counts until the next one.  Raises BadInput for a text that is no
    expression, a channel that no day of the span has, and one whose rate, dtype or unit changes.
    """
    state = Expression(text)
    many = {name: series_of.plan(days, name, start, end)[0] for name in state.channels}
    fine = max(many.values(), key=lambda each: each.rate)
    known, active = _Spans(), _Spans()
    for begin in range(0, len(fine), _AT_ONCE):
        stop = min(begin + _AT_ONCE, len(fine))
        samples = {name: _on(fine, each, begin, stop) for name, each in many.items()}
        for flags, spans in zip(state.of(samples), (known, active), strict=True):
            for a, b in stretches(flags):
                spans.add(max(start, fine.time_of(begin + a)), min(end, fine.time_of(begin + b)))
    return Segments(text, known.found, active.found)


def _on(fine, other, begin, stop):
    """The sample of a channel that covers the time of each sample [begin, stop) of another: NaN before the first."""
    if other is fine:
        return fine.sliced(begin, stop)
    times = fine.time_of(begin) + np.arange(stop - begin) / fine.rate
    # The last sample at or before a time is the one before the first after it.
    at = other.numbers_after(times) - 1
    low, high = int(at[0]), int(at[-1]) + 1
    held = other.sliced(max(0, low), max(0, high))
    found = np.full(len(at), np.nan, dtype=np.float64)
    there = at >= 0
    found[there] = held[at[there] - max(0, low)]
    return found


class _Spans:
    """Spans as they are found, in order; those that touch are one."""

    def __init__(self):
        self.found: list[Span] = []

    def add(self, start: float, end: float) -> None:
        if self.found and start - self.found[-1][1] < _NEAR:
            self.found[-1] = self.found[-1][0], max(end, self.found[-1][1])
        elif start < end:
            self.found.append((start, end))


def common(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """What lies in both of two lists of spans in order; those of each that touch count as one."""
    found, at, ours, theirs = list[Span](), [0, 0], _joined(a), _joined(b)
    while at[0] < len(ours) and at[1] < len(theirs):
        one, other = ours[at[0]], theirs[at[1]]
        start, end = max(one[0], other[0]), min(one[1], other[1])
        if start < end:
            found.append((start, end))
        at[one[1] > other[1]] += 1
    return found


def without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What of spans in order lies in none of some others in order; what is shorter than 2 us is none."""
    found, first, theirs = list[Span](), 0, _joined(others)
    for start, end in _joined(spans):
        while first < len(theirs) and theirs[first][1] <= start:
            first += 1
        at = first
        while at < len(theirs) and theirs[at][0] < end:
            if theirs[at][0] - start > _NEAR:
                found.append((start, theirs[at][0]))
            start = theirs[at][1]
            at += 1
        if end - start > _NEAR:
            found.append((start, end))
    return found


def _joined(spans):
    made = _Spans()
    for start, end in spans:
        made.add(start, end)
    return made.found


# --- as files ----------------------------------------------------------------------------


def to_segwizard(found: Segments) -> Iterator[str]:
    """The active segments as segwizard has them: number, start, end, duration; the known ones as a comment."""
    yield f"# {' '.join(found.name.split())}\n"
    yield f"# known: {' '.join(f'[{number(a)} {number(b)})' for a, b in found.known)}\n"
    yield "# seg\tstart\tstop\tduration\n"
    for at, (start, end) in enumerate(found.active):
        yield f"{at}\t{number(start)}\t{number(end)}\t{number(round(end - start, 6))}\n"


def to_json(found: Segments) -> str:
    """The segments as the JSON of a segment server, which gwpy's DataQualityFlag.read takes."""
    site, _, name = _flag_name(found.name).partition(":")
    return json.dumps({
        "ifo": site, "name": name, "version": 1, "known": found.known, "active": found.active,
        "metadata": {"active_indicates_ifo_badness": False, "flag_description": found.name, "made_by": version()},
    }) + "\n"  # fmt: skip


def write_hdf5(path: str, found: Segments) -> None:
    """Write the HDF5 file that gwpy's DataQualityFlag.read takes."""
    flag = found._replace(name=f"{_flag_name(found.name)}:1").to_gwpy()
    with files.replacing(path) as aside:
        flag.write(aside, format="hdf5", path="flag", overwrite=True)


def _flag_name(name):
    """A name as that of a flag, SITE:NAME, which an expression is not."""
    plain = "".join(mark if mark.isalnum() or mark in ":_.-" else "_" for mark in name)
    return plain if ":" in plain and plain.count(":") == 1 else f"X1:{plain.replace(':', '-')}"


def read(text: str, source: str) -> list[Span]:
    """The active segments of a text: segwizard, lines of start and end, or the JSON that to_json gives.

    In order, those that touch as one.  source: what it is called in messages.  Raises BadInput for what is none.
    """
    try:
        if text.lstrip()[:1] == "{":
            spans = [(float(start), float(end)) for start, end in json.loads(text)["active"]]
        else:
            spans = [_of_line(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if any(not start <= end for start, end in spans):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"no list of segments, want lines of list-segments: {source!r}") from None
    found = _Spans()
    for start, end in sorted(spans):
        found.add(start, end)
    return found.found


def _of_line(line):
    fields = [float(field) for field in line.split()]
    if len(fields) not in (2, 3, 4):
        raise ValueError(line)
    return (fields[0], fields[1]) if len(fields) == 2 else (fields[1], fields[2])
