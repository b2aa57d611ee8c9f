"""How a host that runs by itself stands: frames, days, streams, disks, and how the last night went.

A look costs little however much there is: of a tree of frames it opens the folders with the highest numbers, of a
stream the last record, of the days the last few.
"""

import calendar
import contextlib
import datetime
import functools
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .. import files, gps
from ..day.folder import COMPLETED, MISSING
from ..days import status
from ..errors import BadInput
from ..frames import catalog, lists
from . import faults, plugin
from .night import Verdict
from .plugin import CRITICAL, OK, UNKNOWN, WARNING, Finding, Limits, Probe, datum

_HOUR, _DAY = 3600, 86400
# Clocks of two machines differ: so many seconds in the future are still now.
_SKEW = 600
# Of folders that are numbered alike the newest frames are in the last; one before it is looked into as well.
_NEWEST = 2
_NUMBERED = re.compile(r"(.*?)(\d+)")
# What a night calls how it, or one of its steps, ended.
_ENDED = {Verdict.OK.value: OK, Verdict.WARNING.value: WARNING, Verdict.FAILED.value: CRITICAL}


class Moment(NamedTuple):
    """A time, in GPS seconds and as the seconds since 1970 that a clock of UTC shows."""

    gps: float
    unix: float

    @property
    def day(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.unix, datetime.timezone.utc).date()


def moment(text: str | None = None) -> Moment:
    """Now by the clock, or the time that a text tells: GPS seconds or ISO UTC."""
    if text is None:
        unix = time.time()
        return Moment(gps.parse(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix))) + unix % 1, unix)
    second = gps.parse(text)
    return Moment(second, calendar.timegm(time.strptime(gps.utc(second), "%Y-%m-%dT%H:%M:%S")))


class Watched(NamedTuple):
    """What is to be looked at: paths of each kind, and the Limits of what is found there.

    frames: folders or lists of frames.  out: folders of days, of which those of `specs` (all, if none is named) are
    looked at.  streams: folders of streams.  disks: paths on the disks.  nightly: reports that nights left.
    faulty: how many things may be faulty in the days or the streams, whenever that was.
    days: failures are counted over so many days.  now: GPS seconds or ISO UTC in place of the clock.
    Limits of ages are in hours, those of `failed` are days, those of `full` percent.
    """

    frames: Sequence[str] = ()
    out: Sequence[str] = ()
    streams: Sequence[str] = ()
    disks: Sequence[str] = ()
    nightly: Sequence[str] = ()
    frame_age: Limits = Limits(None, None)
    day_age: Limits = Limits(None, None)
    stream_age: Limits = Limits(None, None)
    nightly_age: Limits = Limits(None, None)
    failed: Limits = Limits(None, None)
    faulty: Limits = Limits(None, None)
    full: Limits = Limits(None, None)
    specs: Sequence[str] = ()
    days: int = 7
    now: str | None = None


def probes(watched: Watched) -> Iterator[Probe]:
    """A Probe for each thing that is to be looked at, for findings()."""
    # Whoever needs the time first reads the clock, and with it lal's table of leap seconds, which takes a moment.
    clock = functools.cache(lambda: moment(watched.now))
    for probe, paths, more in (
        (frames_in, watched.frames, (watched.frame_age,)),
        (days, watched.out, (watched.day_age, watched.failed, watched.days, watched.specs)),
        (streams_in, watched.streams, (watched.stream_age,)),
        (faulty_days, watched.out, (watched.faulty, watched.days, watched.specs)),
        (faulty_streams, watched.streams, (watched.faulty,)),
        (disk, watched.disks, (watched.full,)),
        (nightly, watched.nightly, (watched.nightly_age,)),
    ):
        for path in paths:
            # A label needs its path only where there are several.
            which = f" {path}" if len(paths) > 1 else ""
            yield Probe(path, functools.partial(probe, path, which, clock, *more))


def _age(what, label, seconds, hours):
    """The Finding of an age in seconds, against Limits in hours."""
    seconds = 0 if -_SKEW <= seconds < 0 else seconds
    age = f"{_span(seconds)} old" if seconds >= 0 else f"{_span(-seconds)} in the future"
    return Finding(
        hours.judge(seconds / _HOUR), f"{what} is {age}", datum(label, round(seconds), "s", hours.times(_HOUR), 0)
    )


def _span(seconds):
    return f"{seconds / _HOUR:.1f} h" if seconds < 4 * _DAY else f"{seconds / _DAY:.1f} days"


# --- what is looked at --------------------------------------------------------------------


# Each takes a path, what tells it from others in the labels of the data (''), a function that gives the Moment which is
# now, and Limits; it yields Findings.


def frames_in(source: str, which: str, clock: Callable[[], Moment], hours: Limits) -> Iterator[Finding]:
    """The age of the newest frame, by its name, of a folder or a list of frames."""
    end = newest(source) if os.path.isdir(source) else _newest_listed(source)
    if end is None:
        yield Finding(CRITICAL, f"no frame in {source!r}")
    else:
        yield _age(f"newest frame of {source!r}", f"frame_age{which}", clock().gps - end, hours)


def newest(folder: str) -> float | None:
    """GPS end of the newest frame file below a folder, as the names tell it; None if there is none.

    Of folders whose names differ by a number at their end alone, be it GPS time or a date, those with the highest
    are looked into; of all others each.  Names that begin with a dot are left out.
    """
    ends: list[float] = []
    groups: dict[str, list] = {}
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(".gwf"):
                span = catalog.span_of_name(entry.name)
                ends += [span[0] + span[1]] if span else []
            elif entry.is_dir(follow_symlinks=False):
                match = _NUMBERED.fullmatch(entry.name)
                if match:
                    groups.setdefault(match[1], []).append((int(match[2]), entry.path))
                else:
                    others.append(entry.path)
    ends += filter(None, map(newest, others))
    for group in groups.values():
        found = []
        for _, path in sorted(group, reverse=True):
            end = newest(path)
            found += [] if end is None else [end]
            if len(found) == _NEWEST:
                break
        ends += found
    return max(ends, default=None)


def _newest_listed(source):
    return max((frame.end for frame in lists.named(source).frames), default=None)


def days(
    out: str,
    which: str,
    clock: Callable[[], Moment],
    hours: Limits,
    failed: Limits,
    count: int,
    specs: Sequence[str],
) -> Iterator[Finding]:
    """The age of the newest finished day of each spec, and how many of the last `count` days failed."""
    first, last = str(clock().day - datetime.timedelta(days=count)), str(clock().day)
    by_spec: dict[str, list] = {}
    for day in (day for spec in specs or (None,) for day in status.days_of(out, spec, first, last)):
        by_spec.setdefault(day.spec, []).append(day)
    for spec, held in by_spec.items():
        yield from _of_spec(out, spec, held, which, f" {spec}" if len(by_spec) > 1 else "", clock, hours, failed)


def _of_spec(out, spec, held, which, name, clock, hours, failed):
    done = [day.date for day in held if day.status == COMPLETED]
    if not done:
        # None of late: how old is the last that there is?
        with contextlib.suppress(BadInput):
            done = [day.date for day in status.days_of(out, spec or None) if day.status == COMPLETED]
    where = f"{name} in {out!r}"
    if done:
        age = clock().gps - gps.day_window(max(done)).end
        yield _age(f"newest day{where}, {max(done)},", f"day_age{which}{name}", age, hours)
    else:
        yield Finding(CRITICAL, f"no finished day{where}")
    # Days before the first and after the last were never asked for.
    there = [at for at, day in enumerate(held) if day.status != MISSING]
    asked = held[there[0] : there[-1] + 1] if there else []
    bad = [day for day in asked if day.status in status.BAD]
    text = f"{len(bad)} of {len(asked)} days failed{where}"
    if bad:
        text += f": {bad[-1].date} {bad[-1].status}" + (f", {bad[-1].error}" if bad[-1].error else "")
    yield Finding(failed.judge(len(bad)), text, datum(f"days_failed{which}{name}", len(bad), "", failed, 0))


def streams_in(folder: str, which: str, clock: Callable[[], Moment], hours: Limits) -> Iterator[Finding]:
    """The age of the newest record of the streams of a folder, by the site that their names begin with."""
    from ..streams import store

    names, problems = store.names(folder), []
    ends: dict[str, float] = {}
    for name in names:
        try:
            held = store.open_stream(folder, name).records
        except (BadInput, OSError) as error:
            problems.append(plugin.why(error))
            continue
        if len(held):
            ends[name[0]] = max(ends.get(name[0], 0.0), float(held["time"][-1]))
    if problems:
        yield Finding(WARNING, f"{len(problems)} of {len(names)} streams cannot be opened: {problems[0]}")
    if not ends:
        yield Finding(CRITICAL, f"no record in the streams of {folder!r}")
    for site, end in sorted(ends.items()):
        name = f" {site}" if len(ends) > 1 else ""
        age = clock().gps - end
        yield _age(f"newest record of the streams{name} in {folder!r}", f"stream_age{which}{name}", age, hours)


def faulty_days(
    out: str, which: str, clock: Callable[[], Moment], most: Limits, count: int, specs: Sequence[str]
) -> Iterator[Finding]:
    """How many frames of days are faulty now, and days before the last `count`, of which days() tells: see faults.

    Nothing if none is.
    """
    # A clock that was ahead may have left days that have not come yet.
    today, first = clock().day, str(clock().day - datetime.timedelta(days=count))
    found = [fault for spec in specs or (None,) for fault in faults.of_days(out, spec) if fault.where < str(today)]
    found = [fault for fault in found if fault.kind != faults.DAY or fault.where < first]
    yield from _faulty(found, f"days_faulty{which}", out, most)


def faulty_streams(folder: str, which: str, clock: Callable[[], Moment], most: Limits) -> Iterator[Finding]:
    """How many frames that streams are made from, and streams, are faulty now.  Nothing if none is."""
    yield from _faulty(list(faults.of_streams(folder)), f"streams_faulty{which}", folder, most)


def _faulty(found, label, where, most):
    if found:
        text = f"{len(found)} faulty in {where!r}: {found[0].kind} {found[0].name}: {found[0].reason}"
        yield Finding(most.judge(len(found)), text, datum(label, len(found), "", most, 0))


def disk(path: str, which: str, clock: Callable[[], Moment], percent: Limits) -> Iterator[Finding]:
    """How full the disk of a path is, in percent of what a user can have, as df tells it."""
    held = os.statvfs(path)
    used, free = held.f_blocks - held.f_bfree, held.f_bavail
    share = 100 * used / (used + free) if used + free else 0.0
    text = f"disk of {path!r} is {math.ceil(share)} % full, {free * held.f_frsize / 1e9:.1f} GB free"
    yield Finding(percent.judge(share), text, datum(f"disk_used{which}", share, "%", percent, 0, 100))


def nightly(path: str, which: str, clock: Callable[[], Moment], hours: Limits) -> Iterator[Finding]:
    """How the last night ended, and its age, from the report that it leaves (see night)."""
    with files.opened(path, encoding="utf-8", errors="replace") as source:
        try:
            report = json.load(source)
        except ValueError:
            raise BadInput(f"not JSON: {path!r}") from None
    if not isinstance(report, dict):
        raise BadInput(f"not the account of a nightly run: {path!r}")
    started, finished = (_seconds(report.get(key)) for key in ("started_utc", "finished_utc"))
    if finished is None:
        if started is None:
            raise BadInput(f"tells no time: {path!r}")
        begun = f"nightly run, under way or killed, begun {report['started_utc']},"
        yield _age(begun, f"nightly_age{which}", clock().unix - started, hours)
        return
    yield _age("last nightly run", f"nightly_age{which}", clock().unix - finished, hours)
    word = str(report.get("status") or "none")
    steps = [each for each in report.get("steps") or () if isinstance(each, dict)]
    bad = [f"{each.get('name')} {each.get('status')}" for each in steps if each.get("status") != "ok"]
    yield Finding(_ENDED.get(word, UNKNOWN), f"nightly run: {word}" + (f" ({', '.join(bad[:5])})" if bad else ""))


def _seconds(text):
    """Seconds since 1970 of an ISO time in UTC; None if it is none."""
    try:
        return gps.unix(str(text))
    except ValueError:
        return None
