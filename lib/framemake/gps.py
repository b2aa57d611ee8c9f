"""Days, UTC and GPS seconds.

GPS seconds count from 1980-01-06T00:00:00 UTC and know no leap seconds, so a UTC day with one has 86,401 of them.
lal holds the table of leap seconds, which the IERS announces; it is loaded when a time is converted.  Its C functions
are called as they are: lal's own Python loads numpy, which takes five times as long as the rest of a small command.
"""

import contextlib
import functools
import math
import os
import re
import time
from typing import Any, NamedTuple

from .errors import BadInput

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_UTC = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(\.\d+)?)?(?:Z|\+00:00)?")
# lal's seconds end in 2048.  From here on they are counted as it does, without leap seconds that nobody knows yet.
_FAR = (2040, 1, 1)
_ZONE = "+00:00"
_NUMBER = re.compile(r"\d+(\.\d+)?")
# Seconds from 1970 to 1980-01-06, and the last GPS second that lal can count.
_EPOCH, _LAST = 315964800, 2**31 - 1


class Window(NamedTuple):
    """A half-open span [start, end) in whole GPS seconds."""

    start: int
    end: int

    @property
    def duration(self) -> int:
        return self.end - self.start

    def overlaps(self, start: float, end: float) -> bool:
        return start < self.end and end > self.start


@functools.cache
def _lal() -> Any:
    """(UTC to GPS, GPS to UTC, leap seconds) of lal: of (year, month, day, h, min, s), of GPS seconds, and of these."""
    import importlib.machinery
    import importlib.util

    found = importlib.util.find_spec("lal")
    if found is None or not found.origin:
        raise ModuleNotFoundError(name="lal")
    # Of several Pythons' in one folder it is ours.
    for end in importlib.machinery.EXTENSION_SUFFIXES:
        path = os.path.join(os.path.dirname(found.origin), f"_lal{end}")
        if os.path.exists(path):
            with contextlib.suppress(OSError, AttributeError):
                return _lal_in_c(path)
    return _lal_in_python()


def _lal_in_c(path):
    """The same by lal's C functions, which the extension module at a path is linked with."""
    import ctypes

    class Tm(ctypes.Structure):
        _fields_ = [
            *((f"tm_{name}", ctypes.c_int) for name in ("sec", "min", "hour", "mday", "mon", "year", "wday", "yday")),
            *(("tm_isdst", ctypes.c_int), ("tm_gmtoff", ctypes.c_long), ("tm_zone", ctypes.c_char_p)),
        ]

    library = ctypes.CDLL(path)
    to_utc, to_gps, leaps = library.XLALGPSToUTC, library.XLALUTCToGPS, library.XLALLeapSeconds
    to_utc.restype, to_utc.argtypes = ctypes.c_void_p, (ctypes.POINTER(Tm), ctypes.c_int)
    to_gps.restype, to_gps.argtypes = ctypes.c_int, (ctypes.POINTER(Tm),)
    leaps.restype, leaps.argtypes = ctypes.c_int, (ctypes.c_int,)

    def gps_of(year, month, day, hour, minute, second):
        return to_gps(Tm(second, minute, hour, day, month - 1, year - 1900))

    def utc_of(gps):
        tm = Tm()
        if not to_utc(tm, gps):
            raise ValueError(f"no such GPS second: {gps}")
        return tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec

    return gps_of, utc_of, leaps


def _lal_in_python():
    """The same by lal's own Python, should its extension module have another name."""
    import lal

    return (
        lambda *utc: int(lal.UTCToGPS((*utc, 0, 0, 0))),
        lambda gps: tuple(lal.GPSToUTC(gps)[:6]),
        lambda gps: int(lal.LeapSeconds(gps)),
    )


def _to_gps(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """GPS second of a UTC time; ValueError if there is no such time, which lal does not check."""
    import datetime

    to_gps, to_utc, _ = _lal()
    if datetime.datetime(year, month, day, hour, minute, min(second, 59)) < datetime.datetime(1980, 1, 6):
        raise ValueError
    if year >= _FAR[0]:
        whole = datetime.datetime(year, month, day, hour, minute, second) - datetime.datetime(*_FAR)
        return to_gps(*_FAR, 0, 0, 0) + whole.days * 86400 + whole.seconds
    gps = to_gps(year, month, day, hour, minute, second)
    if second > 59 and to_utc(gps)[5] != second:
        raise ValueError
    return gps


def day_window(day: str, minutes: int | None = None) -> Window:
    """The Window of a UTC day 'YYYY-MM-DD', a leap second at its end included; BadInput if there is no such day.

    minutes: only so many minutes from its beginning.
    """
    import datetime

    match = _DAY.fullmatch(day)
    try:
        if match is None:
            raise ValueError
        date = datetime.date(int(match[1]), int(match[2]), int(match[3]))
        after = date + datetime.timedelta(days=1)
        start, end = (_to_gps(each.year, each.month, each.day) for each in (date, after))
        return Window(start, end if minutes is None else min(end, start + 60 * minutes))
    except (ValueError, OverflowError):
        raise BadInput(f"no such day, want YYYY-MM-DD since 1980-01-06: {day!r}") from None


def check_days(first: str | None, last: str | None) -> None:
    """Raise BadInput if of the first and the last day of a range one is no day, or there is none between them."""
    for day in filter(None, (first, last)):
        day_window(day)
    if first and last and first > last:
        raise BadInput(f"the range is empty: {first!r} to {last!r}")


def dates(first: str, last: str) -> list[str]:
    """The days 'YYYY-MM-DD' from first to last, both included, which are days; no leap second is asked for."""
    import datetime

    begin, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    return [str(begin + datetime.timedelta(days=at)) for at in range((end - begin).days + 1)]


def parse(text: str) -> int | float:
    """GPS seconds of a text: GPS seconds ('1396742418.5'), a UTC day, for its beginning, or an ISO 8601 time in UTC.

    The time is 'YYYY-MM-DDThh:mm[:ss[.ff]]', with a space for the T if need be, and with Z, +00:00 or nothing behind.
    An int, or a float if there is a fraction; BadInput for anything else.
    """
    if _NUMBER.fullmatch(text):
        value = float(text)
        return plain(value)
    if _DAY.fullmatch(text):
        return day_window(text).start
    match = _UTC.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        *whole, fraction = match.groups()
        second = _to_gps(*(int(part or 0) for part in whole))
        return second + float(fraction) if fraction and float(fraction) else second
    except ValueError:
        raise BadInput(f"no such time, want GPS seconds or YYYY-MM-DDThh:mm:ss UTC: {text!r}") from None


def seconds(time: Any) -> int | float:
    """GPS seconds of whatever a program has for a time; BadInput, which names it, for what is no time.

    A number of GPS seconds (numpy's, and lal's and gwpy's LIGOTimeGPS, too), a text as parse takes it, a date, for its
    beginning, or a datetime, which is UTC if it has no time zone.  A datetime knows no leap second.
    """
    import datetime

    if isinstance(time, str):
        return parse(time)
    if isinstance(time, datetime.datetime):
        if time.tzinfo is not None:
            time = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return parse(time.isoformat())
    if isinstance(time, datetime.date):
        return parse(time.isoformat())
    if type(time).__name__ == "datetime64":
        return parse(str(time.astype("datetime64[us]")))
    try:
        value = float(time)
    except (TypeError, ValueError):
        raise BadInput(f"no such time, want GPS seconds, UTC or a datetime: {time!r}") from None
    if not 0 <= value < math.inf:
        raise BadInput(f"no such time, want GPS seconds, UTC or a datetime: {time!r}")
    return plain(value)


def unix_offsets(start: float, end: float) -> list[tuple[float, int]]:
    """What is to be added to GPS seconds for the seconds that clocks count since 1970: [(GPS second, s from there on)].

    One more for each leap second between the two GPS seconds.  Clocks count the last second of such a day twice.
    """
    _, _, leaps = _lal()
    offset = lambda gps: _EPOCH + 19 - leaps(min(int(gps), _LAST))  # noqa: E731
    found: list[tuple[float, int]] = [(start, offset(start))]
    while offset(end) != found[-1][1]:
        low, high = int(found[-1][0]), math.ceil(end)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == found[-1][1] else (low, middle)
        found.append((high, offset(high)))
    return found


def utc(gps: float) -> str:
    """ISO UTC text of a GPS second, as '2024-04-10T00:00:00'."""
    import datetime

    to_gps, to_utc, _ = _lal()
    far = to_gps(*_FAR, 0, 0, 0)
    if gps >= far:
        return (datetime.datetime(*_FAR) + datetime.timedelta(seconds=int(gps) - far)).isoformat()
    return "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format(*to_utc(int(gps)))


def span_text(start: float, end: float) -> str:
    """A span of GPS seconds for people: '2024-04-10T00:00:00 to 2024-04-11T00:00:00 (GPS 1396742418 to 1396828818)'."""
    texts = [utc(time) if time >= 0 else "before GPS" for time in (start, end)]
    return f"{texts[0]} to {texts[1]} (GPS {start:.16g} to {end:.16g})"


def zoned(gps: float) -> str:
    """The same with its zone, as JSON and attributes have times: '2024-04-10T00:00:00+00:00'.

    Written so, and not with Z, Python's fromisoformat takes it since 3.7; the converter before this project wrote it.
    """
    return f"{utc(gps)}{_ZONE}"


def now_utc() -> str:
    """The time of the machine's clock as states and logs have it: '2024-04-10T12:00:00+00:00'."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + _ZONE


def unix(text: str) -> int:
    """Seconds since 1970 of a time of now_utc(), or of one with Z as older states have; ValueError for neither."""
    import calendar

    return calendar.timegm(time.strptime(text.removesuffix("Z").removesuffix(_ZONE), "%Y-%m-%dT%H:%M:%S"))


def seconds_between(start: str, end: str) -> int:
    """Whole seconds from one time of now_utc() to another."""
    return unix(end) - unix(start)


def plain(seconds: float) -> int | float:
    """The same number, as an int if it is whole: in JSON jq 1.7 prints 1396742418.0 as it stands."""
    return int(seconds) if seconds == int(seconds) else seconds


def lasting(seconds: float) -> str:
    """How long so many seconds are, for people, rounded up: '90 s', '12 min', '6 h 05 min'."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def day_of(gps: float) -> str:
    """The UTC day 'YYYY-MM-DD' that holds a GPS second."""
    return utc(gps)[:10]
