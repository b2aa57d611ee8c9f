"""A range of days: which of them have work to do, and why; the frames of all are listed in one go."""

import bisect
import datetime
import itertools
import os
from typing import NamedTuple

from .. import files, gps
from ..day.folder import COMPLETED, FAILED, QUEUED, Folder
from ..errors import BadInput
from ..frames import catalog

NEW, STOPPED, NO_FRAME = "new", "was stopped", "no frame"
NO_SUMMARY, OLD_SUMMARY = "no summary", "summary is older"
TRANSIENT = "a frame could not be had"
# A day of which frames were pruned would have work to do, but cannot be made again: it is left as it is.
CLOSED = "frames were pruned"
# So many frames are looked up by several processes, which find what to do in _tasks.
_MANY = 50_000
_tasks: list = []


class Site(NamedTuple):
    """What the days of a range are made from and where they go.

    out: the output folder.  spec: the ffl_spec.  requested: the bytes of the channel list.  shape: one line that
    holds every setting which changes a day's content.  minutes: how many first minutes of each day, or None: all.
    again: make every day anew.  summary: whether a day that is done has one.
    """

    out: str
    spec: str
    requested: bytes
    shape: str
    minutes: int | None = None
    again: bool = False
    summary: bool = True

    def folder(self, day):
        return Folder.of(self.out, self.spec, day)


class Day(NamedTuple):
    """A day of a range, and why it has work to do; `why` is '' for one that is as it should be."""

    day: str
    why: str


def days(start, end, limit=None):
    """The days 'YYYY-MM-DD' from start to end, both included, at most `limit`; BadInput if there are none."""
    gps.day_window(start), gps.day_window(end)
    first, last = datetime.date.fromisoformat(start), datetime.date.fromisoformat(end)
    if first > last:
        raise BadInput(f"the range is empty: {start!r} to {end!r}")
    count = (last - first).days + 1
    return [str(first + datetime.timedelta(days=n)) for n in range(min(count, limit or count))]


def plan(source, wanted, site, write=True):
    """List the frames of all days at once and tell what each day needs.

    source: as in catalog.list_frames.  wanted: days, in order.  write: lay down, for the days that have work to do,
    what they are to be made from, and note that they wait.  Returns ([Day], what was odd about the list).
    """
    windows = [gps.day_window(day, site.minutes) for day in wanted]
    found, told = catalog.named(source, gps.Window(windows[0].start, windows[-1].end))
    found.sort(key=lambda frame: frame.start)
    _tasks[:] = _cut(source, wanted, windows, found, site, write)
    if len(found) < _MANY:
        return _plan_share(0, len(_tasks)), told
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Looking up half a million files takes seconds: all cores share it, each some days in a row.
    cores = len(os.sched_getaffinity(0))
    bounds = [len(_tasks) * share // cores for share in range(cores + 1)]
    with ProcessPoolExecutor(cores, mp_context=get_context("fork")) as pool:
        return list(itertools.chain(*pool.map(_plan_share, bounds[:-1], bounds[1:]))), told


def _plan_share(first, end):
    return [_plan_day(*task) for task in _tasks[first:end]]


def _plan_day(source, day, named, site, write):
    listing = catalog.judge(named)
    pruned = site.folder(day).gone()
    if pruned:
        return Day(day, _why_closed(day, listing, pruned, site))
    if not listing:
        if write:
            _refuse(day, site, source)
        return Day(day, NO_FRAME)
    table = catalog.table(listing)
    why = _why(day, table, site)
    if not why and os.path.exists(site.folder(day).transient):
        why = TRANSIENT
    if why and write:
        _queue(day, site, table)
    return Day(day, why)


def _why_closed(day, listing, pruned, site):
    """Why a day of which frames were pruned has work to do: what its day file tells, and nothing else."""
    if not site.folder(day).is_made_from(listing, pruned):
        return CLOSED
    made = _text(site.folder(day).frames).decode("utf-8", "surrogateescape")
    why = _why(day, made, site)
    return why if why in ("", NO_SUMMARY, OLD_SUMMARY) else CLOSED


def _cut(source, wanted, windows, found, site, write):
    starts = [frame.start for frame in found]
    longest = max((frame.duration for frame in found), default=0)
    for day, window in zip(wanted, windows, strict=True):
        near = found[bisect.bisect_left(starts, window.start - longest) : bisect.bisect_left(starts, window.end)]
        overlap = [frame for frame in near if frame.start + frame.duration > window.start]
        yield source if isinstance(source, str) else "-", day, overlap, site, write


def _why(day, table, site):
    """Why a day has work to do, '' if it has none: the judgement that make comes to in the day's folder."""
    folder = site.folder(day)
    if site.again:
        return "asked to"
    try:
        made = os.stat(folder.h5).st_mtime_ns
    except OSError:
        return NEW
    if _text(folder.frames) != table.encode("utf-8", "surrogateescape"):
        return "frames changed"
    if _text(folder.requested) != site.requested:
        return "channel list changed"
    if _text(folder.settings).rstrip(b"\n") != os.fsencode(site.shape):
        return "settings changed"
    if max(os.stat(path).st_mtime_ns for path in (folder.frames, folder.requested, folder.settings)) > made:
        return STOPPED
    status = folder.state().get("status")
    if status != COMPLETED:
        return STOPPED if status != FAILED else "failed before"
    last = folder.summary if site.summary else folder.told
    try:
        return "" if os.stat(last).st_mtime_ns >= made else OLD_SUMMARY
    except OSError:
        return NO_SUMMARY


def _text(path):
    try:
        with open(path, "rb") as source:
            return source.read()
    except OSError:
        return b""


def _queue(day, site, table):
    """Lay down what a day is to be made from, and note that it waits for its turn."""
    folder = site.folder(day)
    os.makedirs(folder.work, exist_ok=True)
    files.write(folder.listed, table, durable=False)
    if not folder.is_held() or not folder.state():
        folder.note(date=day, status=QUEUED, error=None, retries=0)


def _refuse(day, site, source):
    """Note that a day has failed as there is no frame of it."""
    folder, error = site.folder(day), f"no frame of {day} in {source!r}"
    before = folder.state()
    if (before.get("status"), before.get("error")) != (FAILED, error):
        os.makedirs(folder.path, exist_ok=True)
        folder.note(date=day, status=FAILED, error=error, retries=0)


def runs(wanted):
    """Days in a few words: '2024-04-10 to 2024-04-12, 2024-04-15'."""
    told = []
    for _, run in itertools.groupby(enumerate(wanted), lambda e: datetime.date.fromisoformat(e[1]).toordinal() - e[0]):
        run = [day for _, day in run]
        told.append(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}")
    return ", ".join(told)
