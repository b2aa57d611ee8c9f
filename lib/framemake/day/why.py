"""Why samples of a day are missing: what the day file noted and, while it is there, what the frame file itself says.

A day notes of each frame file whether it is absent or damaged, and of each channel and increment which reasons there
were inside the file.  Where exactly is asked of the frame file, if that is still the one which the day was made from;
else the notes tell: which reason it was, or of several that it was one of them.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .. import grid, gwf
from ..errors import wording
from ..frames import catalog, remote
from ..gwf import flags
from . import layout, summary
from .dayfile import DayFile

# What a reason can be.  The first five are of a frame file, the next of a channel in one, then those of samples.
NOT_LISTED, FILE_ABSENT, DAMAGED, NOT_READ = "no file listed", "file absent", "damaged", "not read"
FILE_ON_TAPE = "file on tape"
CHANNEL_DAMAGED, NOT_IN_FILE = "channel damaged in the file", "channel not in the file"
RATE_CHANGE, OFF_GRID, UNUSABLE = "rate change", "off grid", "no series of numbers"
GAP, NAN = "gap inside the file", "NaN in the frame"
DATA_VALID, MASK, INTEGER = flags.DATA_VALID, flags.MASK, flags.INTEGER
# Of a channel as a whole, and of what was made from something else than frames.
CHANNEL_NOT_LISTED, IN_NO_FRAME, PRUNED = "channel not listed", "channel in no file", "channel cannot be used"
OUTSIDE, NOT_IN_STREAM, NOT_RECORDED = "outside the built span", "nothing in the stream", "not recorded"
# Of what only the frame file tells, where that is not to be asked.
INSIDE = "inside the file"
# What a day notes, in the words above.
_OF_FLAWS = {
    gwf.Flaw.GAP: GAP,
    gwf.Flaw.NAN: NAN,
    gwf.Flaw.DATA_VALID: DATA_VALID,
    gwf.Flaw.MASK: MASK,
    gwf.Flaw.AVAILABLE_DATA: MASK,
    gwf.Flaw.INTEGER: INTEGER,
    gwf.Flaw.NOT_IN_FILE: NOT_IN_FILE,
    gwf.Flaw.UNUSABLE: UNUSABLE,
}
_FAULTS = (gwf.BadFrame, OSError, ValueError, RuntimeError)


class Reason(NamedTuple):
    """Why a span [start, end) in GPS seconds is missing: one of the words above, more words, and the file with it."""

    start: float
    end: float
    kind: str
    detail: str = ""
    path: str = ""


def reasons(
    day: DayFile, name: str, spans: Iterable[tuple[float, float]], probe: bool = True, fetch: bool = False
) -> Iterator[Reason]:
    """The Reasons of spans [(start, end)] in GPS seconds in which a day has no sample of a channel, in order.

    probe: whether frame files may be asked; else of what only they tell it is INSIDE.  fetch: those at URLs, too, which
    have to be fetched for it.  No file is asked that is on tape.
    """
    asked = _Asked(day, name, probe, fetch)
    for start, end in spans:
        yield from _joined(asked.of(start, end))


def _joined(found):
    """Reasons, those that follow one another and say the same as one."""
    last = None
    for reason in found:
        if last and last[1:2] == reason[:1] and last[2:] == reason[2:]:
            last = last._replace(end=reason.end)
            continue
        if last:
            yield last
        last = reason
    if last:
        yield last


class _Asked:
    """A channel of a day of which it is asked why."""

    def __init__(self, day: DayFile, name: str, probe: bool, fetch: bool):
        self._day, self._made, self._name, self._probe, self._fetch = day, day.provenance, name, probe, fetch
        self._files: dict[str, gwf.FrameFile | None] = {}
        dataset = self._made.datasets.get(name)
        self._grid = None
        if dataset:
            self._grid = grid.Grid(dataset.rate, grid.place(dataset.t0 - day.window.start, dataset.rate)[1])

    def of(self, start: float, end: float) -> Iterator[Reason]:
        window, path = self._day.window, self._day.path
        built = f"the day was built from GPS {window.start} to {window.end}"
        if start < window.start:
            yield Reason(start, min(end, window.start), OUTSIDE, built, path)
        inside = max(start, window.start), min(end, window.end)
        if inside[0] < inside[1]:
            yield from self._inside(*inside)
        if end > window.end:
            yield Reason(max(start, window.end), end, OUTSIDE, built, path)

    def _inside(self, start, end):
        path = self._day.path
        if self._made.layout == layout.CONVERTER:
            yield Reason(start, end, NOT_RECORDED, "the converter that made the day notes no reasons", path)
        elif self._grid is None:
            yield Reason(start, end, *self._of_channel(), path)
        elif self._made.layout != layout.LAYOUT:
            source = self._made.frames[0].path if self._made.frames else path
            yield Reason(start, end, NOT_IN_STREAM, self._dropped() or "no valid sample", source)
        else:
            edges = {start, end}
            near = [frame for frame in self._made.frames if frame.start < end and frame.end > start]
            edges.update(time for frame in near for time in (frame.start, frame.end) if start < time < end)
            times = sorted(edges)
            for a, b in itertools.pairwise(times):
                yield from self._between(a, b, [frame for frame in near if frame.start <= a and frame.end >= b])

    def _of_channel(self):
        """(kind, detail) of a channel of which the day has nothing."""
        _, invalid, pruned = summary.channel_lists(self._day)
        for kind, found in ((IN_NO_FRAME, dict(invalid)), (PRUNED, dict(pruned))):
            if self._name in found:
                return kind, found[self._name]
        return CHANNEL_NOT_LISTED, "not in the channel list that the day was made with"

    def _dropped(self):
        """What the day notes of samples on other grids, or ''."""
        change = self._made.rates_dropped.get(self._name)
        if change is None:
            return ""
        lost = ", ".join(f"{seconds:g} s at {what}" for what, seconds in change["dropped_seconds"].items())
        return f"the day has {change['kept']}, left out are {lost}"

    def _between(self, start, end, frames):
        """The reasons in a span over which the same files reach."""
        bad, name = self._made.account.bad, self._name
        for frame in frames:
            if frame.status == catalog.ABSENT:
                yield Reason(start, end, FILE_ABSENT, "listed, but not there when the day was built", frame.path)
                return
            if frame.status == catalog.ON_TAPE:
                yield Reason(start, end, FILE_ON_TAPE, "not read when the day was built, RECALL=yes has it", frame.path)
                return
            for key, kind in (((frame.path, ""), DAMAGED), ((frame.path, name), CHANNEL_DAMAGED)):
                if key in bad:
                    kind = NOT_READ if frame.path in self._made.account.transient else kind
                    yield Reason(start, end, kind, bad[key], frame.path)
                    return
        frames = [frame for frame in frames if frame.status in (catalog.USED, catalog.KEPT)]
        if not frames:
            source = self._made.origin.ffl_path
            yield Reason(start, end, NOT_LISTED, "no file in the list covers it", source)
            return
        yield from self._of_file(start, end, frames[0])

    # --- asked of the frame file itself --------------------------------------------------------

    def _of_file(self, start, end, frame):
        if frame.status != catalog.USED or catalog.has_changed(frame):
            state = "has changed since" if os.path.exists(frame.path) else "is gone"
            yield self._noted(start, end, frame, NOT_RECORDED, f"; it {state}")
            return
        if not self._probe:
            yield self._noted(start, end, frame, INSIDE, "")
            return
        if catalog.judge([frame])[0].status == catalog.ON_TAPE:
            yield self._noted(start, end, frame, INSIDE, "; it is on tape")
            return
        if frame.is_remote and not self._fetch:
            yield self._noted(start, end, frame, INSIDE, "; it is elsewhere")
            return
        try:
            with catalog.local(frame) as path:
                yield from self._probed(start, end, frame.path, path)
        except (remote.Away, remote.Refused) as error:
            yield self._noted(start, end, frame, INSIDE, f"; it cannot be had, {wording(error)}")
        except _FAULTS as error:
            yield Reason(start, end, CHANNEL_DAMAGED, " ".join(str(error).split()), frame.path)

    def _noted(self, start, end, frame, unsure, state):
        """What the day's own notes tell of a file that is not asked; unsure: the kind where they leave it open."""
        account, at = self._made.account, self._made.frames.index(frame)
        column = self._made.channels.index(self._name)
        begin, stop = ((time - self._day.window.start) / self._made.increment for time in (start, end))
        rows = [
            account.row_of((at, number)) for number in range(int(begin), int(np.ceil(stop))) if (at, number) in account
        ]
        gave = [row for row in rows if account.gave[row, column]]
        if gave and self._dropped() and not self._has_any(frame, [account.pairs[row][1] for row in gave]):
            # What the file gave, and the day does not have, lies on a grid that the day left out.
            kinds = self._grid_kinds()
        else:
            flaws = 0 if account.why is None else int(np.bitwise_or.reduce(account.why[rows, column], initial=0))
            kinds = list(dict.fromkeys(kind for flaw, kind in _OF_FLAWS.items() if flaws & flaw))
        if len(kinds) == 1:
            detail = self._dropped() if kinds[0] in (RATE_CHANGE, OFF_GRID) else ""
            return Reason(start, end, kinds[0], detail or f"as noted when the file was read{state}", frame.path)
        if kinds:
            what = f"one of: {', '.join(kinds)}"
        else:
            what = "the file gave other samples of these increments" if gave else "the file gave no sample"
        return Reason(start, end, unsure, f"{what}{state or ', only the file tells'}", frame.path)

    def _has_any(self, frame, increments):
        """Whether the day has a sample of the channel where a frame file meets some increments."""
        window, width = self._day.window, self._made.increment
        for increment in increments:
            begin = max(frame.start - window.start, increment * width)
            stop = min(frame.end - window.start, (increment + 1) * width)
            a, b = (max(0, grid.first_at(time, self._grid)) for time in (begin, stop))
            if not np.isnan(self._day.samples(self._name, a, b)).all():
                return True
        return False

    def _grid_kinds(self):
        """Which of RATE_CHANGE and OFF_GRID the grids are that the day left out; older days do not note it."""
        rates = self._made.rates_dropped[self._name].get("dropped_rates", [None])
        return [
            *([RATE_CHANGE] if any(rate != self._grid.rate for rate in rates) else []),
            *([OFF_GRID] if self._grid.rate in rates else []),
        ]

    def _probed(self, start, end, path, copy):
        """What a frame file, read at the path `copy`, says of samples: yields Reasons that fill the span."""
        file, name = gwf.open_file(copy), self._name
        if name not in file.kinds:
            yield Reason(start, end, NOT_IN_FILE, "", path)
            return
        base, where = self._day.window.start, self._grid
        first, stop = (grid.first_at(time - base, where) for time in (start, end))
        # Of each sample the number of its reason: a gap, if no frame in the file says another thing.
        told: list[tuple[str, str]] = [(GAP, "")]
        codes = np.zeros(max(0, stop - first), dtype=np.int8)
        for index, (seconds, nanoseconds, duration) in enumerate(file.frames):
            at = seconds - base + nanoseconds * 1e-9
            a, b = (min(max(grid.first_at(time, where) - first, 0), len(codes)) for time in (at, at + duration))
            if a >= b:
                continue
            series = file.read(index, name, file.kinds[name])
            if series is None or series.problem == gwf.NO_DATA:
                codes[a:b] = _number(told, NOT_IN_FILE)
            elif series.problem:
                codes[a:b] = _number(told, UNUSABLE, series.problem)
            else:
                self._judge(codes, told, (index, at, first, copy, file.kinds[name]), series, (a, b))
        if not len(codes):
            yield Reason(start, end, *told[0], path)
            return
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        times = [start, *(base + (first + k + where.phase) / where.rate for k in edges[1:-1]), end]
        for number, k in enumerate(edges[:-1]):
            yield Reason(times[number], times[number + 1], *told[codes[k]], path)

    def _judge(self, codes, told, place, series, reach):
        """Note why samples [reach) are missing though a frame of the file has a series of the channel."""
        (index, at, first, path, kind), (a, b) = place, reach
        rate = grid.rate_of(series.dt)
        k, phase = grid.place(at + series.offset, rate)
        if grid.Grid(rate, phase).key != self._grid.key:
            if rate != self._grid.rate:
                codes[a:b] = _number(told, RATE_CHANGE, f"{rate:g} Hz there, {self._grid.rate:g} Hz in the day")
            else:
                codes[a:b] = _number(told, OFF_GRID, f"shifted by {phase:g} samples there")
            return
        a, b = max(a, k - first), min(b, k - first + len(series.data))
        if a >= b:
            return
        span = slice(first + a - k, first + b - k)
        into = codes[a:b]
        if series.data.dtype.kind == "f":
            into[np.isnan(series.data[span])] = _number(told, NAN)
        if series.good is not None:
            into[~series.good[span]] = _number(told, MASK, "the frame says so")
            for what, flag in flags.bad(path, index, self._name, kind).items():
                detail = {flags.AVAILABLE_DATA: flags.AVAILABLE_DATA, MASK: "CDS mask"}.get(what, "")
                known = MASK if what == flags.AVAILABLE_DATA else what
                into[flag[span]] = _number(told, known, detail)
        taken = ~np.isin(into, range(1, len(told)))
        if taken.any():
            into[taken] = _number(told, NOT_RECORDED, "the file has a sample here; build the day again")


def _number(told, kind, detail=""):
    """The number of a reason, which gets one if it has none."""
    if (kind, detail) not in told:
        told.append((kind, detail))
    return told.index((kind, detail))
