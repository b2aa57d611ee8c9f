"""What a person types for a time: a year, a month, a day, a time of day, 'now', '-3d', or a line that the page prints.

A text that has one meaning is taken, one that has several is refused, with the meanings.  All times are UTC unless the
text has an offset from it.  gps.parse is what programs say for a time; what it takes is taken here, but for a number
of four digits, which is a year if there can be data of it, and other numbers that may be a date or a Unix time.
"""

import datetime
import re
from typing import NamedTuple

from .. import gps
from ..errors import BadInput

WANTED = "a year, a month or a day, such as 2024-04-10, a time of it, now, -3d, or GPS seconds"
_LAST, _LONGEST = 2**31 - 1, 160
# lal's table ends in 2048; GPS time begins in 1980.
_YEARS = range(1980, 2048)
_NUMBER = re.compile(r"(gps\s*)?(\d+(?:\.\d+)?)")
_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?")
_EITHER = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{2}|\d{4})")
_MONTH_FIRST = re.compile(r"([a-z]{3,9})\.?(?:\s+(\d{1,2})(?:st|nd|rd|th)?\s*,?)?\s+(\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)?\s+([a-z]{3,9})\.?\s*,?\s+(\d{4})")
_NO_YEAR = re.compile(r"[a-z]{3,9}\.?\s+\d{1,2}(?:st|nd|rd|th)?|\d{1,2}(?:st|nd|rd|th|\.)?\s+[a-z]{3,9}\.?")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2})(?::(\d{2})(\.\d+)?)?)?\s*(am|pm)?\s*(z|utc|gmt|[+-]\d{2}:?\d{2})?")
_AGO = re.compile(r"(?:now\s*)?-\s*(\d{1,6}(?:\.\d+)?)\s*([a-z]*)|(\d{1,6}(?:\.\d+)?)\s*([a-z]+)\s+ago")
_SPAN = re.compile(r"(.+?)\s+(?:to|until)\s+(.+?)(?:\s*\(gps .*\))?", re.IGNORECASE)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 0, "y": 0}
_WORDS = {
    "s": "s sec secs second seconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours", "d": "d day days",
    "w": "w week weeks", "mo": "mo month months", "y": "y yr yrs year years",
}  # fmt: skip
_UNIT_OF = {word: unit for unit, words in _WORDS.items() for word in words.split()}


class Period(NamedTuple):
    """What a text means: [start, end) in GPS seconds; end: that of a year, month or day, None for a moment.

    to_now: whether it is told as so long before now, and so, alone, means the time from then until now.
    """

    start: float
    end: float | None = None
    to_now: bool = False


def span(first: str, last: str, now: float) -> tuple[float | None, float | None]:
    """(start, end) in GPS seconds of what was typed for both ends of a span; None for an end that nothing is said of.

    first alone may be a period, such as 2018-03, or 'A to B'.  Of a period in last its beginning is the end: the end
    is excluded.  now: GPS seconds.  BadInput for what is no time, has several meanings, or leaves nothing between.
    """
    first, last = first.strip(), last.strip()
    both = _SPAN.fullmatch(first)
    if both and not last:
        first, last = both.groups()
    begin = read(first, now) if first else None
    stop = read(last, now).start if last else None
    start = begin.start if begin else None
    if stop is None and begin:
        stop = now if begin.to_now else begin.end
    if start is not None and stop is not None and start >= stop:
        more = f"; for the whole of {first} leave the second empty" if begin and begin.end else ""
        raise BadInput(f"the span is empty, it ends before it begins{more}: {first!r} to {last or 'now'!r}")
    return start, stop


def read(text: str, now: float) -> Period:
    """The Period that a text means; BadInput, which says what is wanted or which meanings there are, for none."""
    text = text.strip()
    words = " ".join(text.lower().replace("\u2212", "-").split())
    if len(text) > _LONGEST or not words.isascii():
        raise BadInput(f"no such time, want {WANTED}: {text[:40]!r}")
    found = _number(words, text, now) or _named(words, now) or _ago(words, text, now) or _dated(words, text)
    if found is None:
        raise BadInput(f"no such time, want {WANTED}: {text!r}")
    if not 0 <= found.start <= _LAST:
        raise BadInput(f"no such time, they go from 1980-01-06 to 2047: {text!r}")
    return found


def _number(words, text, now):
    match = _NUMBER.fullmatch(words)
    if not match:
        return None
    value, digits = float(match[2]), match[2]
    if not match[1]:
        if len(digits) == 4 and digits.isdigit() and int(digits) in _YEARS:
            return None
        if len(digits) in (6, 8) and digits.isdigit():
            parts = digits[:4], digits[4:6], digits[6:] or None
            date = _period(*parts)
            if date:
                _several(text, "-".join(filter(None, parts)), f"GPS {digits} ({_told(value)})")
        if now < value <= _LAST and len(digits.partition(".")[0]) == 10:
            unix = datetime.datetime.fromtimestamp(value, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
            _several(text, f"GPS {digits} ({_told(value)}, still to come)", f"{unix} (if it counts from 1970)")
    return Period(value) if value <= _LAST else None


def _named(words, now):
    if words == "now":
        return Period(now)
    if words in ("today", "yesterday"):
        window = gps.day_window(gps.day_of(now))
        return Period(*(window if words == "today" else gps.day_window(gps.day_of(window.start - 43200))))
    return None


def _ago(words, text, now):
    match = _AGO.fullmatch(words)
    if not match:
        return None
    count, word = match[1] or match[3], match[2] or match[4] or ""
    if word == "m":
        _several(text, f"-{count}min (minutes)", f"-{count}mo (months)")
    if not word:
        _several(text, *(f"-{count}{unit}" for unit in _UNITS))
    unit = _UNIT_OF.get(word)
    if unit is None:
        return None
    if _UNITS[unit]:
        return Period(now - float(count) * _UNITS[unit], None, True)
    if not count.isdigit():
        return None
    date, months = gps.utc(now), int(count) * (12 if unit == "y" else 1)
    whole = int(date[:4]) * 12 + int(date[5:7]) - 1 - months
    year, month = divmod(whole, 12)
    if year not in _YEARS:
        raise BadInput(f"no such time, they go from 1980-01-06 to 2047: {text!r}")
    days = _days(year, month + 1)
    return Period(gps.parse(f"{year}-{month + 1:02d}-{min(int(date[8:10]), days):02d}{date[10:]}"), None, True)


def _dated(words, text):
    """A year, month or day, or a time of a day."""
    date, clock = words, None
    # The clock is what stands after the day: the longest beginning that is a date wins.
    cuts = [*(at.start() for at in re.finditer(r"[t ]", words)), len(words)]
    for cut in reversed(cuts):
        date, clock = words[:cut].rstrip(","), words[cut:].lstrip("t ") or None
        found = _date(date, text)
        if found:
            return _at(found, clock, text) if clock else _period(*found)
    if _NO_YEAR.fullmatch(words) and _month(re.search("[a-z]{3,}", words)[0]):
        raise BadInput(f"which year? write it behind the day: {text!r}")
    if _CLOCK.fullmatch(words) and ":" in words:
        raise BadInput(f"of which day? write it before the time: {text!r}")
    return None


def _date(words, text):
    """(year, month or None, day or None) as texts; None if it is no date."""
    match = _DATE.fullmatch(words)
    if match:
        return match.groups() if _period(*match.groups()) else None
    match = _MONTH_FIRST.fullmatch(words)
    if match:
        name, day, year = match.groups()
    elif match := _DAY_FIRST.fullmatch(words):
        day, name, year = match.groups()
    else:
        return _either(words, text)
    month = _month(name)
    return (year, str(month), day) if month and _period(year, month, day) else None


def _either(words, text):
    """A day whose year stands last: which of the others is the month, only the numbers may tell."""
    match = _EITHER.fullmatch(words)
    if not match:
        return None
    one, other, year = match.groups()
    if len(year) == 2:
        parts = {(f"20{year}", other, one), (f"20{year}", one, other), (f"20{one.zfill(2)}", other, year)}
        found = sorted(filter(None, (_written(*each) for each in parts)))
        _several(text, *found) if found else None
        return None
    found = sorted({each for each in (_written(year, other, one), _written(year, one, other)) if each})
    if len(found) > 1:
        _several(text, *found)
    return tuple(found[0].split("-")) if found else None


def _written(year, month, day):
    return f"{year}-{int(month):02d}-{int(day):02d}" if _period(year, month, day) else None


def _at(date, clock, text):
    """The moment of a day at which a clock shows a text; BadInput if that is none."""
    match = _CLOCK.fullmatch(clock)
    if not match or date[2] is None:
        zone = re.fullmatch(r"[\d:. ]+(?:am|pm)?\s*[a-z]{1,5}", clock)
        if zone and date[2]:
            raise BadInput(f"such a zone has several meanings, want UTC, or an offset as -05:00: {text!r}")
        raise BadInput(f"no such time, want {WANTED}: {text!r}")
    hour, minute, second, fraction, half, offset = match.groups()
    if minute is None and half is None:
        raise BadInput(f"no such time, want hours and minutes as 06:00: {text!r}")
    if half:
        if not 1 <= int(hour) <= 12:
            raise BadInput(f"no such time, an hour with am or pm is from 1 to 12: {text!r}")
        hour = int(hour) % 12 + 12 * (half == "pm")
    year, month, day = (int(part) for part in date)
    try:
        moment = gps.parse(f"{year}-{month:02d}-{day:02d}T{int(hour):02d}:{minute or '00'}:{second or '00'}")
    except BadInput:
        raise BadInput(f"no such time of that day: {text!r}") from None
    moment += float(fraction or 0)
    if offset and offset[0] in "+-":
        away = 3600 * int(offset[1:3]) + 60 * int(offset[-2:])
        moment -= away if offset[0] == "+" else -away
    return Period(moment)


def _period(year, month=None, day=None):
    """The Period of a year, a month or a day; None if there is no such one."""
    year = int(year)
    if year not in _YEARS or (month is not None and not 1 <= int(month) <= 12):
        return None
    if day is not None:
        try:
            return Period(*gps.day_window(f"{year}-{int(month):02d}-{int(day):02d}"))
        except BadInput:
            return None
    first, last = (int(month), int(month)) if month is not None else (1, 12)
    # GPS time begins on 6 January 1980.
    begin = max(f"{year}-{first:02d}-01", "1980-01-06")
    return Period(gps.parse(begin), gps.day_window(f"{year}-{last:02d}-{_days(year, last)}").end)


def _days(year, month):
    return (datetime.date(year + month // 12, month % 12 + 1, 1) - datetime.timedelta(days=1)).day


def _month(word):
    found = [at for at, name in enumerate(_MONTHS, 1) if name.startswith(word) or (word == "sept" and at == 9)]
    return found[0] if len(found) == 1 else None


def _told(value):
    return gps.utc(value).replace("T", " ")


def _several(text, *meanings):
    raise BadInput(f"this has several meanings, want one of {'; '.join(meanings)}: {text!r}")
