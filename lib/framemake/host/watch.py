"""How a host that runs by itself stands, as one line in the convention of Nagios and Icinga plugins.

The form is that of the Monitoring Plugins Development Guidelines: exit status 0 to 3, one line of text, performance
data after a bar, thresholds as ranges.  What is looked at costs little however large it is: of a tree of frames the
folders with the highest numbers, of a stream its last record, of the days the last few.
"""

import calendar
import contextlib
import datetime
import functools
import json
import math
import os
import re
import select
import signal
import time
from typing import NamedTuple

from .. import gps
from ..day.folder import COMPLETED, MISSING
from ..days import status
from ..errors import BadInput, wording
from ..frames import catalog

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
# Which of several is told: a fault that is known goes before what is not known.
_WEIGHT = (OK, UNKNOWN, WARNING, CRITICAL)
_HOUR, _DAY = 3600, 86400
# Clocks of two machines differ: so many seconds in the future are still now.
_SKEW = 600
# Of folders that are numbered alike the newest frames are in the last; one before it is looked into as well.
_NEWEST = 2
_NUMBERED = re.compile(r"(.*?)(\d+)")
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"(@?)(?:(~|{_NUMBER})?:)?({_NUMBER})?")
_UTC = "%Y-%m-%dT%H:%M:%SZ"
# What cron/nightly calls how it, or one of its steps, ended.
_RUN = {"ok": OK, "warning": WARNING, "failed": CRITICAL}


class Range(NamedTuple):
    """Values that are well: from low to high, both included; `inside`: those are the ones that are not."""

    low: float
    high: float
    inside: bool = False

    def alerts(self, value):
        return (self.low <= value <= self.high) == self.inside

    def times(self, factor):
        return self._replace(low=self.low * factor, high=self.high * factor)

    def __str__(self):
        high = "" if self.high == math.inf else catalog.number(self.high)
        low = "~:" if self.low == -math.inf else f"{catalog.number(self.low)}:" if self.low or not high else ""
        return ("@" if self.inside else "") + low + high


class Limits(NamedTuple):
    """The Ranges outside of which there is a warning, and a critical alert; None: there is none."""

    warning: Range | None
    critical: Range | None

    def judge(self, value):
        if self.critical and self.critical.alerts(value):
            return CRITICAL
        return WARNING if self.warning and self.warning.alerts(value) else OK

    def times(self, factor):
        return Limits(*(limit and limit.times(factor) for limit in self))


class Finding(NamedTuple):
    """What one look gave: a status, words for people, performance data or ''."""

    status: int
    text: str
    data: str = ""


class Moment(NamedTuple):
    """Now, in GPS seconds and as the seconds since 1970 that a clock of UTC shows."""

    gps: float
    unix: float

    @property
    def day(self):
        return datetime.datetime.fromtimestamp(self.unix, datetime.timezone.utc).date()


def limits(text):
    """argparse type: 'WARN,CRIT', each a range [@][start:][end] of the plugins' guidelines, or nothing."""
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError
    return Limits(*(_range(part) for part in parts))


limits.__name__ = "pair of ranges, WARN,CRIT"


def _range(text):
    match = _RANGE.fullmatch(text)
    if not text:
        return None
    if not match or text in ("@", ":", "@:"):
        raise ValueError
    at, low, high = match.groups()
    low = -math.inf if low == "~" else float(low or 0)
    high = float(high) if high else math.inf
    if low > high:
        raise ValueError
    return Range(low, high, bool(at))


def moment(text=None):
    """Now by the clock, or the time that a text tells: GPS seconds or ISO UTC."""
    if text is None:
        unix = time.time()
        return Moment(gps.parse(time.strftime(_UTC, time.gmtime(unix))) + unix % 1, unix)
    told = gps.parse(text)
    return Moment(told, calendar.timegm(time.strptime(gps.utc(told), "%Y-%m-%dT%H:%M:%S")))


def probes(asked):
    """(path, probe) of all that the options of check-nightly ask for, for look()."""
    # Whoever needs the time first reads the clock, and with it lal's table of leap seconds, which takes a moment.
    now = functools.cache(lambda: moment(asked.now))
    for probe, paths, more in (
        (frames_in, asked.frames, (asked.frame_age,)),
        (days, asked.out, (asked.day_age, asked.failed, asked.days, asked.spec)),
        (streams_in, asked.streams, (asked.stream_age,)),
        (disk, asked.disk, (asked.full,)),
        (nightly, filter(None, [asked.nightly]), (asked.nightly_age,)),
    ):
        paths = list(paths)
        for path in paths:
            # A label needs its path only where there are several.
            yield path, functools.partial(probe, path, f" {path}" if len(paths) > 1 else "", now, *more)


def look(probes, seconds):
    """The Findings of probes, each a function that yields some; one UNKNOWN if they take longer than `seconds`.

    They run in a process of their own, which is left behind if a file system that does not answer holds it: no
    signal ends that.
    """
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        return [Finding(UNKNOWN, _why(error))]
    if not child:
        os.close(reading)
        _report(probes, writing)
    os.close(writing)
    try:
        text = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    if text is None:
        return [Finding(UNKNOWN, f"no answer after {seconds:g} s")]
    os.waitpid(child, 0)
    try:
        return [Finding(*each) for each in json.loads(text)]
    except ValueError:
        return [Finding(UNKNOWN, "the look ended without a word")]


def _report(probes, out):
    """In the child: write what the probes find, and end whatever happens."""
    try:
        # Who waits for the output must not wait for a child that was left behind.
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        found = []
        for name, probe in probes:
            try:
                found += probe()
            except Exception as error:
                found.append(Finding(UNKNOWN, f"{name}: {_why(error)}"))
        data = json.dumps(found).encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(out, data) :]
    finally:
        os._exit(0)


def _read(source, until):
    """All that comes from a file descriptor until its end, or None if that is not there in time."""
    parts = []
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return None
        part = os.read(source, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _why(error):
    if isinstance(error, OSError) and error.strerror:
        return wording(error) + (f": {error.filename!r}" if error.filename else "")
    return str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"


def line(found):
    """(exit status, line) of what was found: what is worst comes first."""
    ordered = sorted(found, key=lambda each: -_WEIGHT.index(each.status))
    worst = ordered[0].status if ordered else UNKNOWN
    text = "; ".join(each.text for each in ordered) or "nothing to look at"
    # A bar begins the performance data, and a line end the text that only some monitors keep.
    text = "".join(c if c.isprintable() else "?" for c in text.replace("|", "/"))
    data = " ".join(each.data for each in found if each.data)
    return worst, f"NIGHTLY {WORDS[worst]}: {text}" + (f" | {data}" if data else "")


def _data(label, value, unit="", limits=None, low="", high=""):
    """One datum: 'label'=value[UOM];warn;crit;min;max."""
    quoted = label.replace("=", "_").replace("'", "''")
    quoted = f"'{quoted}'" if re.search(r"[^\w./:-]", label) else quoted
    ranges = [str(limit or "") for limit in limits or ("", "")]
    value = f"{value:.1f}".removesuffix(".0")
    return ";".join([f"{quoted}={value}{unit}", *ranges, str(low), str(high)]).rstrip(";")


def _age(what, label, seconds, hours):
    """The Finding of an age in seconds, against Limits in hours."""
    seconds = 0 if -_SKEW <= seconds < 0 else seconds
    found = hours.judge(seconds / _HOUR)
    told = f"{_span(seconds)} old" if seconds >= 0 else f"{_span(-seconds)} in the future"
    return Finding(found, f"{what} is {told}", _data(label, round(seconds), "s", hours.times(_HOUR), 0))


def _span(seconds):
    return f"{seconds / _HOUR:.1f} h" if seconds < 4 * _DAY else f"{seconds / _DAY:.1f} days"


# --- what is looked at --------------------------------------------------------------------


# Each takes a path, what tells it from others in the labels of the data, a function that gives the Moment, and Limits.


def frames_in(source, which, now, hours):
    """The age of the newest frame, by its name, of a folder or a list of frames."""
    end = newest(source) if os.path.isdir(source) else _newest_listed(source)
    if end is None:
        yield Finding(CRITICAL, f"no frame in {source!r}")
    else:
        yield _age(f"newest frame of {source!r}", f"frame_age{which}", now().gps - end, hours)


def newest(folder):
    """GPS end of the newest frame file below a folder, as the names tell it; None if there is none.

    Of folders whose names differ by a number at their end alone, be it GPS time or a date, those with the highest
    are looked into; of all others each.  Names that begin with a dot are left out.
    """
    ends, groups, others = [], {}, []
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
    return max((frame.end for frame in catalog.named(source).frames), default=None)


def days(out, which, now, hours, failed, count, specs):
    """The age of the newest finished day of each spec, and how many of the last `count` days failed."""
    first, looked = now().day - datetime.timedelta(days=count), {}
    for spec in specs or [None]:
        for day in status.days_of(out, spec, str(first), str(now().day)):
            looked.setdefault(day.spec, []).append(day)
    for spec, held in looked.items():
        yield from _of_spec(out, spec, held, which, f" {spec}" if len(looked) > 1 else "", now, hours, failed)


def _of_spec(out, spec, held, which, name, now, hours, failed):
    done = [day.date for day in held if day.status == COMPLETED]
    if not done:
        # None of late: how old is the last that there is?
        with contextlib.suppress(BadInput):
            done = [day.date for day in status.days_of(out, spec or None) if day.status == COMPLETED]
    where = f"{name} in {out!r}"
    if done:
        age = now().gps - gps.day_window(max(done)).end
        yield _age(f"newest day{where}, {max(done)},", f"day_age{which}{name}", age, hours)
    else:
        yield Finding(CRITICAL, f"no finished day{where}")
    # Days before the first and after the last were never asked for.
    there = [at for at, day in enumerate(held) if day.status != MISSING]
    asked = held[there[0] : there[-1] + 1] if there else []
    bad = [day for day in asked if day.status in status.BAD]
    told = f"{len(bad)} of {len(asked)} days failed{where}"
    if bad:
        told += f": {bad[-1].date} {bad[-1].status}" + (f", {bad[-1].error}" if bad[-1].error else "")
    yield Finding(failed.judge(len(bad)), told, _data(f"days_failed{which}{name}", len(bad), "", failed, 0))


def streams_in(folder, which, now, hours):
    """The age of the newest record of the streams of a folder, by the site that their names begin with."""
    from ..streams import store

    names, ends, problems = store.names(folder), {}, []
    for name in names:
        try:
            held = store.open_stream(folder, name).records
        except (BadInput, OSError) as error:
            problems.append(_why(error))
            continue
        if len(held):
            ends[name[0]] = max(ends.get(name[0], 0.0), float(held["time"][-1]))
    if problems:
        yield Finding(WARNING, f"{len(problems)} of {len(names)} streams cannot be opened: {problems[0]}")
    if not ends:
        yield Finding(CRITICAL, f"no record in the streams of {folder!r}")
    for site, end in sorted(ends.items()):
        name = f" {site}" if len(ends) > 1 else ""
        age = now().gps - end
        yield _age(f"newest record of the streams{name} in {folder!r}", f"stream_age{which}{name}", age, hours)


def disk(path, which, now, percent):
    """How full the disk of a path is, in percent of what a user can have, as df tells it."""
    held = os.statvfs(path)
    used, free = held.f_blocks - held.f_bfree, held.f_bavail
    share = 100 * used / (used + free) if used + free else 0.0
    text = f"disk of {path!r} is {math.ceil(share)} % full, {free * held.f_frsize / 1e9:.1f} GB free"
    yield Finding(percent.judge(share), text, _data(f"disk_used{which}", share, "%", percent, 0, 100))


def nightly(path, which, now, hours):
    """How the last nightly run ended, and its age, from the JSON that it leaves."""
    with open(path, encoding="utf-8", errors="replace") as source:
        try:
            told = json.load(source)
        except ValueError:
            raise BadInput(f"not JSON: {path!r}") from None
    if not isinstance(told, dict):
        raise BadInput(f"not the account of a nightly run: {path!r}")
    started, finished = (_seconds(told.get(key)) for key in ("started_utc", "finished_utc"))
    if finished is None:
        if started is None:
            raise BadInput(f"tells no time: {path!r}")
        begun = f"nightly run, under way or killed, begun {told['started_utc']},"
        yield _age(begun, f"nightly_age{which}", now().unix - started, hours)
        return
    yield _age("last nightly run", f"nightly_age{which}", now().unix - finished, hours)
    word = str(told.get("status") or "none")
    steps = [each for each in told.get("steps") or () if isinstance(each, dict)]
    bad = [f"{each.get('name')} {each.get('status')}" for each in steps if each.get("status") != "ok"]
    yield Finding(_RUN.get(word, UNKNOWN), f"nightly run: {word}" + (f" ({', '.join(bad[:5])})" if bad else ""))


def _seconds(text):
    """Seconds since 1970 of an ISO time in UTC; None if it is none."""
    try:
        return calendar.timegm(time.strptime(str(text), _UTC))
    except ValueError:
        return None
