"""All that the report tells of a range of days: how they stand, what each has, and each channel over the range."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .. import gps
from ..day.folder import Folder
from ..days import find, status, why
from ..days.read import open_days
from ..days.status import DayStatus
from ..errors import BadInput
from .facts import Facts, Span
from .kept import Days

# What a day has of a channel, a byte: nothing; 1 and up 200ths of what there could be; all of it; no such day.
WHOLE, NO_DAY = 200, 255


class Day(NamedTuple):
    """A day of the report.

    start: GPS second at which it begins.  closed: frames that it was made from were removed.  facts: None of a day
    without a day file, or one that cannot be read.  problem: why there are none, or ''.
    """

    standing: DayStatus
    start: int
    closed: bool
    facts: Facts | None
    problem: str


class Report(NamedTuple):
    """What the report tells.

    state: what it is restricted to, or ''.  channels: by name.  rows: of each list of names that a day has, their
    numbers among the channels.  there: uint8 (channels, days), see WHOLE.
    odd: what could not be read, a line each.  new: how many day files were read for it.
    """

    out: str
    spec: str
    state: str
    days: list[Day]
    channels: list[find.Found]
    rows: dict[tuple[str, ...], np.ndarray]
    there: np.ndarray
    odd: list[str]
    new: int


def gather(
    out: str,
    first: str | None = None,
    last: str | None = None,
    spec: str | None = None,
    state: str | None = None,
    segments: tuple[str, Sequence[Span]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """The Report of the days from first to last 'YYYY-MM-DD', both included; without them, of all that there are.

    state: an expression over channels; only while it holds is told of.  segments: instead, (what they are called,
    spans in GPS seconds).  progress: called with how many of all day files were read.  Raises BadInput if there is
    no day, there are several SPECs and none is named, or the state is none.
    """
    standing = status.days_of(out, spec, first, last)
    specs = sorted({day.spec for day in standing})
    if len(specs) > 1:
        raise BadInput(f"several SPECs, --spec says which ({', '.join(specs)}): {out!r}")
    paths = {day.date: day.h5 for day in standing if day.h5 is not None}
    if state is not None:
        begin, stop = gps.day_window(standing[0].date).start, gps.day_window(standing[-1].date).end
        segments = state, open_days(out, specs[0]).segments(None, begin, stop, state=state).active
    held = Days(out, paths, segments, progress)
    days = [_day(out, day, held) for day in standing]
    found = _found(held, days)
    rows = _rows(found, days)
    channels = _told(found, days, rows, segments is not None)
    there = _there(len(channels), days, rows)
    odd = list(held.problems.values())
    return Report(out, specs[0], segments[0] if segments else "", days, channels, rows, there, odd, held.new)


def _day(out, standing, held):
    date = standing.date
    folder = Folder.of(out, standing.spec, date)
    problem = held.problems.get(date, "")
    if standing.h5 is None:
        problem, _ = why.unbuilt(out, folder if os.path.isdir(folder.path) else None)
    start = standing.midnight or gps.day_window(date).start
    return Day(standing, start, bool(folder.gone()), held.facts.get(date), problem)


def _found(held, days):
    """What find has of each channel over the range, by name."""
    some = [held.keys[day.standing.date] for day in days if day.facts is not None]
    range_ = gps.Window(gps.day_window(days[0].standing.date).start, gps.day_window(days[-1].standing.date).end)
    return list(find.joined(held.found, some, range_)) if some else []


def _rows(found, days):
    number = {each.name: at for at, each in enumerate(found)}
    lists = {day.facts.names for day in days if day.facts is not None}
    return {names: np.array([number[name] for name in names], dtype=np.int64) for names in lists}


def _told(found, days, rows, restricted):
    """The same with holes to the sample; in a state coverage and holes are those of the state."""
    gaps, longest, seconds = (_in_state if restricted else _holes)(days, rows, len(found))
    asked = sum(day.facts.asked for day in days if day.facts is not None)
    part = (seconds / asked if asked else seconds).tolist()
    return [
        each._replace(
            coverage=part[at] if restricted else each.coverage, gaps=int(gaps[at]), longest=float(longest[at])
        )
        for at, each in enumerate(found)
    ]


def _in_state(days, rows, count):
    """(how many holes, s of the longest, s of the samples) of each channel in the state, a day's at a time."""
    seconds, gaps, longest = (np.zeros(count) for _ in range(3))
    for facts in filter(None, (day.facts for day in days)):
        at = rows[facts.names]
        lengths = [[facts.holes[hole].end - facts.holes[hole].start for hole in each] for each in facts.sets]
        seconds[at] += facts.seconds
        gaps[at] += np.array([len(each) for each in lengths])[facts.set_of]
        longest[at] = np.maximum(longest[at], np.array([max(each, default=0) for each in lengths])[facts.set_of])
    return gaps, longest, seconds


def _holes(days, rows, count):
    """(how many holes, s of the longest, s of the samples) of each channel; one that goes on over midnight is one."""
    # open: how long nothing has been there, up to the end of the days so far.
    seconds, gaps, longest, open_ = (np.zeros(count) for _ in range(4))
    for day in days:
        whole = gps.day_window(day.standing.date)
        facts = day.facts
        has = np.zeros(count, dtype=bool)
        if facts is not None:
            at = rows[facts.names]
            has[at] = True
            seconds[at] += facts.seconds
            lead, inner, most, tail = np.array([_of_set(facts, some, whole) for some in facts.sets])[facts.set_of].T
            open_[at] += lead
            gaps[at] += inner + (open_[at] > 0)
            longest[at] = np.maximum(longest[at], np.maximum(open_[at], most))
            open_[at] = tail
        open_[~has] += whole.duration
    return gaps + (open_ > 0), np.maximum(longest, open_), seconds


def _of_set(facts, some, whole):
    """(s up to the first sample of the day, holes after it, s of the longest of these, s after the last sample)."""
    before, after = facts.window[0] - whole.start, whole.end - facts.window[1]
    end = facts.window[1] - facts.window[0]
    spans: list[list[float]] = []
    for at in some:
        hole = facts.holes[at]
        if spans and hole.start - spans[-1][1] < 2e-6:
            spans[-1][1] = hole.end
        else:
            spans.append([hole.start, hole.end])
    lead = spans.pop(0)[1] if spans and spans[0][0] < 2e-6 else 0.0
    tail = end - spans.pop()[0] if spans and spans[-1][1] > end - 2e-6 else 0.0
    return before + lead, len(spans), max((b - a for a, b in spans), default=0.0), tail + after


def _there(count, days, rows):
    there = np.full((count, len(days)), NO_DAY, dtype=np.uint8)
    for column, day in enumerate(days):
        if day.facts is None or not day.facts.asked:
            continue
        there[:, column] = 0
        facts = day.facts
        part = facts.seconds / facts.asked
        some = np.clip(np.floor(WHOLE * part), 1, WHOLE - 1)
        level = np.where(part > 1 - 1e-9, WHOLE, np.where(facts.seconds > 0, some, 0))
        there[rows[facts.names], column] = level
    return there
