"""Which channels days have, and how much of them, in some segments of time alone: see find for all of the time.

A sample stands for the time from its own to the next one's, as in segments.  Units that are whole or empty are told by
the statistics of a day; the samples of the others are read, so what is told is exact.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .. import gps
from ..day import dayfile, statistics
from . import find, segments
from .find import Found
from .opened import OpenDays

Span = segments.Span


class _Cover(NamedTuple):
    """What a day has of channels in spans, an element a channel: GPS times and seconds, NaN and 0 where there is none.

    seconds that samples stand for; gaps, longest: stretches of the spans without; first, last: of the samples.
    """

    seconds: np.ndarray
    gaps: np.ndarray
    longest: np.ndarray
    first: np.ndarray
    last: np.ndarray


def channels(
    days: OpenDays,
    spans: Sequence[Span],
    first: str | None = None,
    last: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Found]:
    """The Found of each channel as of find.channels, of what lies in spans in GPS seconds, in order and apart.

    Coverage is part of these spans; a gap ends where its span does, and at midnight.  Rate, dtype, unit and changes are
    those of the whole days that have a part in the spans; days counts those with a sample in them, and a channel
    without one is left out.  Raises BadInput as find.channels does.
    """
    begin, stop, paths = find.day_range(days, first, last)
    start, end = gps.day_window(begin).start, gps.day_window(stop).end
    own = {date: _of_day(spans, date) for date in gps.dates(begin, stop)}
    asked = sum(b - a for some in own.values() for a, b in some)
    if not asked:
        return []
    wanted = [date for date, path in paths.items() if own[date]]
    kept, keys = find.taken(days.out, [paths[date] for date in wanted], progress)
    if not keys:
        return []
    # Rates, units and how they change are as of whole days.
    forms = list(find.joined(kept, keys, gps.Window(start, end)))
    number, lists = {each.name: at for at, each in enumerate(forms)}, list(kept.names)
    made = _Cover(*(np.full(len(forms), value) for value in (0.0, 0.0, 0.0, np.nan, np.nan)))
    has, numbers = np.zeros(len(forms), dtype=int), dict(zip(wanted, keys, strict=True))
    work = [(paths[date], lists[kept.entries[numbers[date]][1]], own[date]) for date in wanted]
    covers: dict[str, _Cover] = {}
    for date, cover in zip(wanted, find.each_of(_cover, work), strict=True):
        covers[date] = cover
        progress(len(covers), len(wanted))
    for date, some in own.items():
        if not some:
            continue
        gaps, longest = np.full(len(forms), len(some)), np.full(len(forms), max(b - a for a, b in some))
        if date in covers:
            at = np.array([number[name] for name in lists[kept.entries[numbers[date]][1]]], dtype=np.int64)
            cover = covers[date]
            gaps[at], longest[at] = cover.gaps, cover.longest
            made.seconds[at] += cover.seconds
            made.first[at], made.last[at] = np.fmin(made.first[at], cover.first), np.fmax(made.last[at], cover.last)
            has[at] += cover.seconds > 0
        made.gaps[:] += gaps
        made.longest[:] = np.maximum(made.longest, longest)
    part = (made.seconds / asked).tolist()
    return [
        each._replace(
            coverage=min(1.0, part[at]), gaps=int(made.gaps[at]), longest=round(float(made.longest[at]), 6),
            days=int(has[at]), first=round(float(made.first[at]), 6), last=round(float(made.last[at]), 6),
        )
        for at, each in enumerate(forms)
        if has[at]
    ]  # fmt: skip


def _of_day(spans, date):
    whole = gps.day_window(date)
    return segments.common(spans, [(whole.start, whole.end)])


def _cover(work):
    """The _Cover of the channels of a day file; work: (path, names, spans)."""
    path, names, spans = work
    # Channels that are alike, as most are, are told alike.
    alike = functools.cache(functools.partial(_told, spans))
    with dayfile.reading(path) as day:
        made, rows = day.provenance, []
        for name in names:
            form, counts, size = made.datasets[name], day.statistics(name)[:, statistics.COUNT], made.unit_of(name)
            if counts.sum() == form.total:
                there = [(0, form.total)]
            else:
                near = [(round((a - form.t0) * form.rate) - 1, round((b - form.t0) * form.rate) + 1) for a, b in spans]
                there = segments.runs(counts, size, form.total, functools.partial(day.samples, name), near)
            rows.append(alike(form.rate, tuple((form.t0 + a / form.rate, form.t0 + b / form.rate) for a, b in there)))
    return _Cover(*np.array(rows, dtype=float).reshape(-1, len(_Cover._fields)).T)


def _told(spans, rate, active):
    """The fields of a _Cover of a channel that has samples in some time, from sample to sample."""
    there = segments.common(spans, active)
    lost = [end - start for start, end in segments.without(spans, active)]
    if not there:
        return 0.0, len(lost), max(lost), np.nan, np.nan
    # The samples that stand for the first and the last moment.
    begin, at = active[0][0], (there[0][0], there[-1][1])
    first, last = math.floor((at[0] - begin) * rate + 1e-3), math.ceil((at[1] - begin) * rate - 1e-3) - 1
    seconds = sum(end - start for start, end in there)
    return seconds, len(lost), max(lost, default=0.0), begin + first / rate, begin + last / rate
