"""The plan of a range of days: which of them have work to do, and why; the frames of all are listed in one go."""

import bisect
import datetime
import io
import itertools
import os
from collections.abc import Mapping
from typing import NamedTuple, TextIO

from .. import files, gps
from ..day import attempt
from ..day import folder as day_folder
from ..day.folder import COMPLETED, FAILED, QUEUED, Folder
from ..errors import BadInput
from ..frames import catalog, lists

NEW, STOPPED, NO_FRAME = "new", "was stopped", "no frame"
NO_SUMMARY, OLD_SUMMARY = "no summary", "summary is older"
TRANSIENT = "a frame could not be had"
# A day of which frames were pruned would have work to do, but cannot be made again: it is left as it is.
CLOSED = "frames were pruned"
# A finished day of which all frames are gone, as are all others like them in the whole range: that is one fault, of a
# disk or a server, and no change of each day.  It is left as it is.
VANISHED = "all its frames are gone"
# A finished day that would lose something if it was made as asked, or that alone has no frame any more, stays.
STANDS, GONE = "finished, would lose something", "finished, its frames are gone"
# Those that are not built, though something is to be said of them.
_LEFT = (CLOSED, VANISHED, STANDS, GONE)
# So many frames are looked up by several processes, which find what to do in _tasks.
_MANY = 50_000
_tasks: list = []


class RangeInputs(NamedTuple):
    """What the days of a range are made from and where they go.

    out: the output folder.  spec: the ffl_spec.  requested: the bytes of the channel list.  shape: as folder.shape_of
    gives it.  minutes: how many first minutes of each day, or None: all.  again: make every day anew.  summary:
    whether a day that is done has one.  recent: a day, or None: a day before it that is done has work to do only if a
    frame has come for it.  recall: frame files on tape are used.  check: servers are asked for the frames at URLs that
    a day was made from, too.
    """

    out: str
    spec: str
    requested: bytes
    shape: str
    minutes: int | None = None
    again: bool = False
    summary: bool = True
    recent: str | None = None
    request: attempt.Request | None = None
    recall: bool = False
    check: bool = False

    @classmethod
    def of(cls, variables: Mapping) -> "RangeInputs":
        """The RangeInputs that make's variables come to; OSError if the channel list cannot be read."""
        requested = files.read_bytes(variables["CHANNELS"])
        minutes = variables.get("MINUTES")
        return cls(
            variables["OUT"],
            variables["SPEC"],
            requested,
            day_folder.shape_of({**variables, "START": None}),
            int(minutes) if minutes else None,
            variables.get("RESUME") == "no",
            variables.get("SUMMARY") != "no",
            variables.get("RECENT") or None,
            attempt.Request.of({**variables, "START": None, "END": None}),
            variables.get("RECALL") == "yes",
            variables.get("CHECK_REMOTE") == "yes",
        )

    def folder(self, day: str) -> Folder:
        return Folder.of(self.out, self.spec, day)


class PlannedDay(NamedTuple):
    """A day of a range, and why it has work to do; `why` is '' for one that is as it should be.

    seconds: how much of it frames cover, of a day that has work to do.
    """

    day: str
    why: str
    seconds: float = 0

    @property
    def is_due(self) -> bool:
        """Whether it is to be built: it has work to do, and that can be done."""
        return self.why not in ("", NO_FRAME, *_LEFT)


class _Look(NamedTuple):
    """What a day needs: the PlannedDay, and the sources that it was made from and has no frame of now.

    table: of its frames, if they are still to be written down, as the days together decide whether the day is due.
    odd: what was odd as servers were asked about its frames.
    """

    day: PlannedDay
    lost: frozenset = frozenset()
    table: str = ""
    odd: tuple[str, ...] = ()


def days(first: str, last: str, limit: int | None = None) -> list[str]:
    """The days 'YYYY-MM-DD' from first to last, both included, at most `limit`; BadInput if there are none."""
    gps.day_window(first), gps.day_window(last)
    if first > last:
        raise BadInput(f"the range is empty: {first!r} to {last!r}")
    return gps.dates(first, last)[: limit or None]


def frames_of(variables: Mapping, wanted: list[str]) -> str | TextIO:
    """What names the frames of some days, by make's variables: FFL or, with SOURCE, a list of the day files there."""
    if not variables.get("SOURCE"):
        return variables["FFL"]
    from . import lower

    days = lower.source_days(variables["SOURCE"], variables["SPEC"], wanted[0], wanted[-1])
    return io.StringIO("".join(lower.listing(days)))


def plan(
    source: str | TextIO, wanted: list[str], inputs: RangeInputs, write: bool = True
) -> tuple[list[PlannedDay], list[str]]:
    """List the frames of all days at once and find what each day needs.

    source: as in lists.list_frames.  wanted: days, in order.  write: for the days that have work to do, write down
    what they are to be made from, and note that they wait.  Returns the days, and what was odd about the list.
    """
    windows = [gps.day_window(day, inputs.minutes) for day in wanted]
    found, odd = lists.named(source, gps.Window(windows[0].start, windows[-1].end))
    found.sort(key=lambda frame: frame.start)
    named = source if isinstance(source, str) else "-"
    _tasks[:] = _cut(wanted, windows, found, inputs, named, write)
    if len(found) < _MANY:
        looks = _look_at_share(0, len(_tasks))
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # Looking up half a million files takes seconds: all cores share it, each some days in a row.
        cores = len(os.sched_getaffinity(0))
        bounds = [len(_tasks) * share // cores for share in range(cores + 1)]
        with ProcessPoolExecutor(cores, mp_context=get_context("fork")) as pool:
            looks = list(itertools.chain(*pool.map(_look_at_share, bounds[:-1], bounds[1:])))
    planned = _without_vanished(looks, found)
    for day, look in zip(planned, looks, strict=True):
        if write and day.is_due and look.table:
            _queue(day.day, inputs, look.table)
    return planned, [*odd, *dict.fromkeys(line for look in looks for line in look.odd)]


def _look_at_share(first, end):
    return [_look_at(*task) for task in _tasks[first:end]]


def _look_at(day, named, inputs, source, write):
    folder = inputs.folder(day)
    known, odd = _known(named, folder, inputs)
    listing = catalog.judge(named, inputs.recall, known)
    pruned = folder.gone()
    if pruned:
        return _Look(PlannedDay(day, _why_closed(day, listing, pruned, inputs)))
    done = not inputs.again and folder.is_finished()
    if done and inputs.recent and day < inputs.recent and not (folder.is_transient() or _came(folder, listing)):
        return _Look(PlannedDay(day, ""))
    table, why = catalog.table(listing), NO_FRAME
    if listing:
        # What went to tape since then has not changed.
        as_made = catalog.as_held(listing, _made_from(folder)) if catalog.ON_TAPE in table else listing
        why = _why(day, catalog.table(as_made) if as_made is not listing else table, inputs) or (
            TRANSIENT if folder.is_transient() else ""
        )
    lost = _lost(folder, listing) if done and why else frozenset()
    if why and folder.is_finished() and not (inputs.request and inputs.request.shrink):
        if attempt.is_of_converter(folder):
            why = ""
        elif not listing:
            why = GONE
        elif inputs.request and attempt.stands(folder, day, inputs.request):
            why = STANDS
    planned = PlannedDay(day, why, _covered(listing, gps.day_window(day, inputs.minutes)) if why else 0)
    if not lost and write:
        # By several processes at once: a range of new days has hundreds of lists to write.
        if why == NO_FRAME:
            _refuse(day, inputs, source)
        elif planned.is_due:
            _queue(day, inputs, table)
    return _Look(planned, lost, table if lost else "", tuple(odd))


def _known(named, folder, inputs):
    """(what is known of a day's frames at URLs, what was odd as their servers were asked).

    What a finished day was made from is taken as unchanged, unless it is to be checked; what was absent then, or could
    not be had, is asked for.  The others are asked for as the day is built.
    """
    odd: list[str] = []
    if not any(frame.is_remote for frame in named) or not folder.is_finished():
        return {}, odd
    made = _made_from(folder)
    known = lists.known_of(made)
    absent = {
        frame.path: (-1, -1, catalog.ABSENT) for frame in made if frame.is_remote and frame.status == catalog.ABSENT
    }
    here = {frame.path for frame in named}
    again = {*absent, *(known if inputs.check else known.keys() & folder.transient_paths())} & here
    try:
        known.update({**absent, **lists.asked(again, odd)})
    except BadInput as error:
        # The day stays what it is: as one whose disk is not mounted.
        odd.append(str(error))
        known.update(absent)
    return known, odd


def _covered(listing, window):
    """Seconds of a window that used frames of a listing cover."""
    covered, reach = 0.0, float(window.start)
    for frame in listing:
        if frame.status == catalog.USED and frame.end > reach:
            covered += max(0.0, min(frame.end, window.end) - max(frame.start, reach))
            reach = frame.end
    return covered


def _came(folder, listing):
    """Whether there is a frame that a day was not made from; not if it is not known what it was made from."""
    made = {frame[:5] for frame in _made_from(folder)}
    return bool(made) and any(frame[:5] not in made for frame in listing if frame.status != catalog.ABSENT)


def _made_from(folder):
    return lists.named(folder.frames).frames if os.path.exists(folder.frames) else []


def _lost(folder, listing):
    """The sources that a day was made from and has no frame of now; none if any frame has come."""
    there = [frame for frame in listing if frame.status != catalog.ABSENT]
    made = [frame for frame in _made_from(folder) if frame.status != catalog.ABSENT]
    if {frame[:5] for frame in there} - {frame[:5] for frame in made}:
        return frozenset()
    return frozenset(map(_source_of, made)) - frozenset(map(_source_of, there))


def _source_of(frame):
    """What the names of frames of one source have in common: OBSERVATORY-DESCRIPTION, or else the folder."""
    folder, name = os.path.split(frame.path)
    return name.rsplit("-", 2)[0] if catalog.span_of_name(frame.path) else folder


def _without_vanished(looks, found):
    """The PlannedDays, of which those have nothing to do that only a source has gone from, all of it at once."""
    lost = frozenset().union(*(look.lost for look in looks))
    lost -= {source for source in lost if _is_there(source, found)}
    return [PlannedDay(look.day.day, VANISHED) if look.lost & lost else look.day for look in looks]


def _is_there(source, found):
    """Whether any of the frames that are named is one of a source, and there."""
    return any(_source_of(frame) == source and os.path.exists(frame.path) for frame in found)


def _why_closed(day, listing, pruned, inputs):
    """Why a day of which frames were pruned has work to do: what its day file tells, and nothing else."""
    if not inputs.folder(day).is_made_from(listing, pruned):
        return CLOSED
    made = _text(inputs.folder(day).frames).decode("utf-8", "surrogateescape")
    why = _why(day, made, inputs)
    return why if why in ("", NO_SUMMARY, OLD_SUMMARY) else CLOSED


def _cut(wanted, windows, found, inputs, source, write):
    starts = [frame.start for frame in found]
    longest = max((frame.duration for frame in found), default=0)
    for day, window in zip(wanted, windows, strict=True):
        near = found[bisect.bisect_left(starts, window.start - longest) : bisect.bisect_left(starts, window.end)]
        yield day, [frame for frame in near if frame.start + frame.duration > window.start], inputs, source, write


def _why(day, table, inputs):
    """Why a day has work to do, '' if it has none.

    make comes to the same in the day's folder, by lib/make/day.mk after attempt.prepare: a test holds them together.
    """
    folder = inputs.folder(day)
    if inputs.again:
        return "asked to"
    try:
        made = os.stat(folder.h5).st_mtime_ns
    except OSError:
        return NEW
    contents = {
        folder.frames: table.encode("utf-8", "surrogateescape"),
        folder.requested: inputs.requested,
        folder.settings: os.fsencode(inputs.shape + "\n"),
    }
    for path, changed in folder.inputs:
        if _text(path) != contents[path]:
            return changed
    if max(os.stat(path).st_mtime_ns for path, _ in folder.inputs) > made:
        return STOPPED
    if inputs.request and inputs.request.shrink and folder.keeps():
        return "asked to"
    status = folder.state().get("status")
    if status != COMPLETED:
        return STOPPED if status != FAILED else "failed before"
    try:
        return "" if os.stat(folder.last(inputs.summary)).st_mtime_ns >= made else OLD_SUMMARY
    except OSError:
        return NO_SUMMARY


def _text(path):
    try:
        with files.opened(path, "rb") as source:
            return source.read()
    except OSError:
        return b""


def _queue(day, inputs, table):
    """Lay down what a day is to be made from, and note that it waits for its turn."""
    folder = inputs.folder(day)
    os.makedirs(folder.work, exist_ok=True)
    files.write(folder.listed, table, durable=False)
    if not folder.is_held() or not folder.state():
        folder.note(date=day, status=QUEUED, error=None, retries=0)


def _refuse(day, inputs, source):
    """Note that a day has failed as there is no frame of it."""
    folder, error = inputs.folder(day), f"no frame of {day} in {source!r}"
    before = folder.state()
    if [before.get(key) for key in ("status", "error", "reason")] != [FAILED, error, day_folder.NO_FRAME]:
        os.makedirs(folder.path, exist_ok=True)
        folder.note(date=day, status=FAILED, error=error, reason=day_folder.NO_FRAME, retries=0)


def left_out(planned: list[PlannedDay]) -> str:
    """Which days are not built though something of them is new; '' if there are none."""
    words = {
        CLOSED: "frames were pruned, so what is new is left out",
        STANDS: "finished, and would lose samples if made as asked, so left as they are (SHRINK=yes makes them anyway)",
        GONE: "finished, and all their frames are gone, so left as they are",
    }
    left = {why: [day.day for day in planned if day.why == why] for why in words}
    return "; ".join(f"{words[why]}: {runs(days)}" for why, days in left.items() if days)


def vanished(planned: list[PlannedDay], source: str) -> str:
    """Which days are left as they are though their frames are gone; '' if there are none."""
    left = [day.day for day in planned if day.why == VANISHED]
    if not left:
        return ""
    return f"all frames that finished days were made from are gone, is their disk there? Kept: {runs(left)}: {source!r}"


def without_frame(planned: list[PlannedDay], source: str) -> str:
    """Which days have no frame; '' if there are none."""
    empty = [day.day for day in planned if day.why == NO_FRAME]
    return f"no frame of {runs(empty)} in {source!r}" if empty else ""


def runs(wanted: list[str]) -> str:
    """Days in a few words: '2024-04-10 to 2024-04-12, 2024-04-15'."""
    words = []
    counted = itertools.groupby(enumerate(wanted), lambda e: datetime.date.fromisoformat(e[1]).toordinal() - e[0])
    for run in ([day for _, day in group] for _, group in counted):
        words.append(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}")
    return ", ".join(words)
