"""The settings of a day or a range: keys of TOML files, their checks, and the make variables that they become.

The keys are those of the converter that Virgo's people have used so far, with its meanings.  A check
takes a value as TOML gives it and returns the text of the make variable; it raises ValueError if it is none.
"""

import datetime
import os
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from . import files, gps
from .errors import BadInput

DAY, RANGE = "day", "range"
# Virgo's frame file lists by ffl_spec, as gwdama (io/ffl_paths) has them: either names the other if it is alone.
LISTS = {
    "V1raw": "/virgoData/ffl/raw.ffl",
    "V1trend": "/virgoData/ffl/trend.ffl",
    "V1trend100": "/virgoData/ffl/trend100s.ffl",
}
# The levels of Python's logging; what is CRITICAL there is an error here.
_LEVELS = {"WARN": "WARNING", "CRITICAL": "ERROR", **{name: name for name in ("DEBUG", "INFO", "WARNING", "ERROR")}}
_DAY_FIRST = re.compile(r"^(\d\d?)-(\d\d?)-(\d{4})", re.ASCII)
_ISO = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[Tt ](\d\d?):(\d\d)(?::(\d\d)(?:\.0+)?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)
_BEGIN = "1980-01-06"  # of GPS time


class ValueKind(NamedTuple):
    """What a value must be, in words; its check; and what makes of an option's text what TOML would have given."""

    want: str
    check: Any
    of_text: Any = str


class Setting(NamedTuple):
    """The make variable of a key ('' for none of its own), its kind, and what it is for."""

    variable: str
    kind: ValueKind
    help: str


# --- checks -------------------------------------------------------------------------------


def _number(text):
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else float(text)


def _truth(text):
    return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]


def _text(value):
    # make drops white space at the head of a value: a path would become another one.
    if not isinstance(value, str) or not value or value != value.strip() or min(value) < " ":
        raise ValueError
    return value


def _spec(value):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", _text(value)):
        raise ValueError
    return value


def _compression(value):
    # What h5py calls None; TOML has no word for it.
    name = value.lower() or "none" if isinstance(value, str) else None
    if name not in ("lzf", "gzip", "none"):
        raise ValueError
    return name


def _level(value):
    name = _LEVELS.get(_text(value).upper())
    if name is None:
        raise ValueError
    return name


def _flag(value):
    if not isinstance(value, bool):
        raise ValueError
    return "yes" if value else "no"


def _seconds(value):
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise ValueError
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _whole(least, most=999_999_999, none=None):
    """The kind of whole numbers; 0 becomes `none`, if that is given."""

    def check(value):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return none if value == 0 and none is not None else str(value)

    return ValueKind(f"a whole number from {least} to {most}", check, _number)


def _date(value):
    if isinstance(value, str):
        year, month, day, hour = _ISO.fullmatch(value).groups()[:4]
        value = None if hour else datetime.date(int(year), int(month), int(day))
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime) or value.isoformat() < _BEGIN:
        raise ValueError
    return value.isoformat()


def _time(value):
    """The text YYYY-MM-DDThh:mm:ss, UTC, of a time; one without an offset is UTC.

    value: a TOML date or date and time, or text YYYY-MM-DD, YYYY-MM-DD hh:mm[:ss] or DD-MM-YYYY.
    """
    if isinstance(value, str):
        *numbers, zone = _ISO.fullmatch(_DAY_FIRST.sub(r"\3-\2-\1", value)).groups("0")
        text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*map(int, numbers))
        if text.endswith(":60") and zone in "0Zz":
            gps.parse(text)  # datetime knows no leap second
            return text
        value = datetime.datetime.fromisoformat(text + ("+00:00" if zone in "0Zz" else zone))
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if value.tzinfo:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    if value.microsecond or value.isoformat() < _BEGIN:
        raise ValueError
    return value.isoformat()


def checked(key: str, setting: Setting, value: Any) -> str:
    """The text of a setting's variable; BadInput names the key and the value."""
    try:
        return setting.kind.check(value)
    except (ValueError, TypeError, AttributeError, OverflowError, BadInput):
        raise BadInput(f"{key} must be {setting.kind.want}: {_shown(value)!r}") from None


def _shown(value):
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 200 else text[:200] + "..."


# --- the keys, in the order in which their variables are printed -----------------------------

_TEXT = ValueKind("text without control characters, or white space at its ends", _text)
_SPEC = ValueKind("a letter or digit and then letters, digits, _ . + -", _spec)
_DATE = ValueKind(f"a day since {_BEGIN}, YYYY-MM-DD", _date)
_TIME = ValueKind(f"a UTC time since {_BEGIN} on a whole second, YYYY-MM-DD hh:mm:ss", _time)
_GPS = _whole(0, 2**31 - 1)
FLAG = ValueKind("true or false", _flag, _truth)

_WINDOW = {
    "start_dt": Setting("START", _TIME, "beginning, UTC"),
    "end_dt": Setting("END", _TIME, "end, UTC, exclusive"),
    "start_gps": Setting("START", _GPS, "beginning, GPS seconds"),
    "end_gps": Setting("END", _GPS, "end, GPS seconds, exclusive"),
    "duration": Setting("", _whole(1), "seconds, with a beginning or an end"),
}
_DATES = {
    "start_date": Setting("START", _DATE, "first day"),
    "end_date": Setting("END", _DATE, "last day, included"),
}
_BOTH = {
    "channels_file": Setting("CHANNELS", _TEXT, "channel list"),
    "ffl_path": Setting("FFL", _TEXT, "frame file list, cache or folder"),
    "ffl_spec": Setting("SPEC", _SPEC, "what the frames are, as V1trend"),
    "out_root": Setting("OUT", _TEXT, "where day folders go"),
    "out_dir": Setting("OUT", _TEXT, "where day folders go"),
    "increment_size": Setting("INCREMENT", _whole(1), "seconds of the pieces that a day is rebuilt by"),
    "compression": Setting("COMPRESSION", ValueKind("lzf, gzip or none", _compression), "lzf, gzip or none"),
    "max_retries": Setting("MAX_RETRIES", _whole(0), "how often to try again"),
    "resume": Setting("RESUME", FLAG, "use what earlier runs left"),
    "log_level": Setting("LOG_LEVEL", ValueKind("DEBUG, INFO, WARNING or ERROR", _level), "which messages there are"),
    "produce_summary": Setting("SUMMARY", FLAG, "write the summary"),
    "worker_path": Setting("", _TEXT, "the script of the converter's worker: taken, and of no meaning here"),
}
_MANY = {
    "concurrency": Setting("CONCURRENCY", _whole(1, 9999), "days at once"),
    "stagger_seconds": Setting(
        "STAGGER", ValueKind("seconds from 0 to 86400", _seconds, _number), "between starts of days"
    ),
    "mem_guard_mb": Setting("MEM_GUARD", _whole(0), "start no day with less memory available, MB; 0: always"),
    "dry_run": Setting("DRY_RUN", FLAG, "say what would be done"),
    "limit_days": Setting("LIMIT_DAYS", _whole(0, none=""), "only the first days; 0: all"),
    "minutes_per_day": Setting("MINUTES", _whole(0, none=""), "only the first minutes of each day; 0: all"),
}
SPANS = {DAY: _WINDOW, RANGE: _DATES}
KEYS = {DAY: {**_WINDOW, **_BOTH}, RANGE: {**_DATES, **_BOTH, **_MANY}}
VARIABLES = list(
    dict.fromkeys(["DAY", *(key.variable for keys in KEYS.values() for key in keys.values() if key.variable)])
)


# --- files --------------------------------------------------------------------------------


def read(path: str, purpose: str) -> dict[str, Any]:
    """The settings {key: value} of a TOML file; OSError if it cannot be read, BadInput as in parse."""
    return parse(files.read_text(path), path, purpose)


def parse(text: str, source: str, purpose: str) -> dict[str, Any]:
    """The settings {key: value} of the text of a TOML file.

    source: the file's name, for messages.  purpose: DAY or RANGE.  The keys stand at the top, or in one table that is
    named as the purpose.  BadInput names what is no TOML, a key that is unknown, another purpose's, or there twice.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # novermin
    else:
        import tomli as tomllib

    try:
        found = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not TOML ({error}): {source!r}") from None
    table = found.pop(purpose, {})
    if not isinstance(table, dict):
        raise BadInput(f"{purpose} must be a table: {_shown(table)!r}")
    for key, value in table.items():
        if key in found:
            raise BadInput(f"both at the top and in [{purpose}]: {f'{key} = {_shown(value)}'!r}")
    found.update(table)
    for key, value in found.items():
        if key not in KEYS[purpose]:
            raise BadInput(_unknown(key, value, purpose))
    return found


def _unknown(key, value, purpose):
    import difflib

    other = RANGE if purpose == DAY else DAY
    shown = f"[{key}]" if isinstance(value, dict) else f"{key} = {_shown(value)}"
    if key in KEYS[other] or key == other:
        return f"this belongs to a {other}, not to a {purpose}: {shown!r}"
    near = difflib.get_close_matches(key, KEYS[purpose], 1)
    return f"no such key of a {purpose}{f', {near[0]} is meant perhaps' if near else ''}: {shown!r}"


# --- variables ----------------------------------------------------------------------------


def variables(values: dict, purpose: str, given: Collection = ()) -> dict[str, str]:
    """The make variables {name: text} of settings {key: value}, in a fixed order.

    given: variables that were typed, which win: they are left out, and DAY, or START and END, leave out the window.
    BadInput names a bad value, or a window that is incomplete, empty or in contradiction with itself.
    """
    keys = KEYS[purpose]
    texts = {key: checked(key, keys[key], values[key]) for key in keys if key in values}
    found: dict[str, str] = {}
    for key, text in texts.items():
        name = keys[key].variable
        if key not in _WINDOW and found.setdefault(name, text) != text:
            raise BadInput(f"{' and '.join(k for k in texts if keys[k].variable == name)} differ: {text!r}")
    if purpose == RANGE and found.get("START", "") > found.get("END", "~"):
        raise BadInput(f"the range is empty: {found['START']!r} to {found['END']!r}")
    span = {key: texts[key] for key in _WINDOW if key in texts}
    if span and "DAY" not in given and not {"START", "END"} <= {*given}:
        found.update(window(span, whole="START" not in given and "END" not in given))
    return {name: found[name] for name in VARIABLES if name in found and name not in given}


def window(span: dict[str, str], whole: bool = True) -> dict[str, str]:
    """{'DAY': day} if the window is one UTC day (and whole is true), else {'START': text, 'END': text}.

    span: checked texts by the keys of a window; times in GPS seconds or as YYYY-MM-DDThh:mm:ss UTC.  What is given
    twice must agree: a leap second is one second of duration.
    """
    if span.keys() == {"start_dt", "end_dt"}:  # the usual case, without the table of leap seconds
        start, end = span["start_dt"], span["end_dt"]
    else:
        start, end = _seconds_of(span)
    if start >= end:
        raise BadInput(f"the window is empty: {' to '.join(_sides(span))!r}")
    if whole:
        day = _day_between(start, end)
        if day:
            return {"DAY": day}
    return {"START": str(start), "END": str(end)}


def _sides(span):
    return [f"{key} = {text}" for key, text in span.items()]


def _seconds_of(span):
    """(start, end) in GPS seconds."""
    sides = {}
    for key, text in span.items():
        side = key.partition("_")[0]
        second = int(text) if text.isdigit() else gps.parse(text)
        if sides.setdefault(side, second) != second:
            raise BadInput(f"{side}_dt and {side}_gps are not the same time: {', '.join(_sides(span))!r}")
    if len(sides) < 2:
        raise BadInput(f"a window needs two of start, end and duration: {', '.join(_sides(span))!r}")
    start = sides["start"] if "start" in sides else sides["end"] - sides["duration"]
    end = sides["end"] if "end" in sides else start + sides["duration"]
    if sides.get("duration", end - start) != end - start:
        raise BadInput(f"the duration is not that from start to end, {end - start} s: {', '.join(_sides(span))!r}")
    if start < 0 or end >= 2**31:
        raise BadInput(f"the window is outside GPS time: {', '.join(_sides(span))!r}")
    return start, end


def _day_between(start, end):
    """The UTC day 'YYYY-MM-DD' that begins at start and ends at end, or None; both as text, or both GPS seconds."""
    if isinstance(start, str):
        first, last = (datetime.datetime.fromisoformat(text.replace(":60", ":59")) for text in (start, end))
        midnights = start.endswith("T00:00:00") and last - first == datetime.timedelta(days=1)
        return start[:10] if midnights and end.endswith("T00:00:00") else None
    if abs(end - start - 86400) > 1:
        return None
    day = gps.day_of(start)
    return day if gps.day_window(day) == (start, end) else None


def site_lists(found: dict, environ: Mapping, given: Collection = ()) -> dict[str, str]:
    """What Virgo's own frame file lists add: {'FFL': path} to a SPEC without FFL, {'SPEC': spec} to an FFL without.

    found: variables of settings.  environ: what make has exported: a site's own defaults, and what was typed if
    its name is in given.  A site's own FFL is left alone where Virgo's lists are not.
    """
    spec, path = (found.get(name, environ.get(name) if name in given else None) for name in ("SPEC", "FFL"))
    known = LISTS.get(spec or "")
    if known and path is None and (os.path.exists(known) or not environ.get("FFL")):
        return {"FFL": known}
    if path and spec is None:
        names = {os.path.basename(known): spec for spec, known in LISTS.items()}
        return {"SPEC": names[os.path.basename(path)]} if os.path.basename(path) in names else {}
    return {}
