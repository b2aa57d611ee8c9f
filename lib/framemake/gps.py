"""Days, UTC and GPS seconds."""

import calendar
import re
import time
from typing import NamedTuple

from .errors import BadInput

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_UTC = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2}))?Z?")
_NUMBER = re.compile(r"\d+(\.\d+)?")


class Window(NamedTuple):
    """A half-open span [start, end) in GPS seconds."""

    start: int
    end: int

    @property
    def duration(self):
        return self.end - self.start

    def overlaps(self, start, end):
        return start < self.end and end > self.start


def _to_gps(year, month, day, hour=0, minute=0, second=0):
    """GPS second of a UTC time; lal holds the table of leap seconds and checks nothing, so this does."""
    import datetime

    import lal

    if datetime.datetime(year, month, day, hour, minute, min(second, 59)) < datetime.datetime(1980, 1, 6):
        raise ValueError
    gps = lal.UTCToGPS((year, month, day, hour, minute, second, 0, 0, 0))
    if second > 59 and lal.GPSToUTC(gps)[5] != second:
        raise ValueError
    return int(gps)


def day_window(day, minutes=None):
    """The window of a UTC day 'YYYY-MM-DD', leap second included; BadInput if there is no such day.

    minutes: only so many minutes from its beginning.
    """
    import datetime

    match = _DAY.fullmatch(day)
    try:
        date = datetime.date(*map(int, match.groups()))
        after = date + datetime.timedelta(days=1)
        start, end = _to_gps(*date.timetuple()[:3]), _to_gps(*after.timetuple()[:3])
        return Window(start, end if minutes is None else min(end, start + 60 * minutes))
    except (AttributeError, ValueError, OverflowError):
        raise BadInput(f"no such day, want YYYY-MM-DD since 1980-01-06: {day!r}") from None


def parse(text):
    """GPS seconds (int, or float if it has a fraction) from a GPS number, a UTC day or an ISO UTC time."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        return int(value) if value == int(value) else value
    if _DAY.fullmatch(text):
        return day_window(text).start
    match = _UTC.fullmatch(text)
    try:
        return _to_gps(*(int(part or 0) for part in match.groups()))
    except (AttributeError, ValueError):
        raise BadInput(f"no such time, want GPS seconds or YYYY-MM-DDThh:mm:ss UTC: {text!r}") from None


def utc(gps):
    """ISO UTC text of a GPS second, as '2024-04-10T00:00:00'."""
    import lal

    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*lal.GPSToUTC(int(gps))[:6])


def now_utc():
    """The clock's time as states and logs have it: '2024-04-10T12:00:00Z'."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def seconds_between(start, end):
    """Whole seconds from one time of now_utc() to another."""
    first, last = (calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) for text in (start, end))
    return last - first


def day_of(gps):
    """The UTC day 'YYYY-MM-DD' that holds a GPS second."""
    return utc(gps)[:10]
