"""What a night is asked for: its settings, by their names in cron/nightly.conf.example, and its steps."""

import datetime
import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..day.folder import is_date
from ..errors import BadInput

# Every setting, and what it is when it is not given.  Those that only the commands of the steps use are checked here
# as well, so that a wrong one is refused before anything begins.
_DEFAULTS = {
    "SOURCES": "",
    "FRAMES": "",
    "STREAMS": "",
    "CHECK_STREAMS": "no",
    "CHECK_NIGHTS": "1",
    "ELAB_ENGINE": "no",
    "CHANNELS": "",
    "FFL": "",
    "OUT": "",
    "SPEC": "V1trend",
    "DAYS": "7",
    "FIRST_DAY": "",
    "JOBS": "1",
    "PICTURE_DAYS": "",
    "REPORT": "",
    "KEEP_DAYS": "",
    "LOGS": "",
    "KEEP_LOGS": "60",
    "TIME_LIMIT": "20h",
}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Step(NamedTuple):
    """A step: its name, and the words of its command."""

    name: str
    words: tuple[str, ...]


class Settings(NamedTuple):
    """The settings that the night itself needs; cron/nightly.conf.example explains them.

    time_limit: seconds; limit_text: the same as it was given.  picture_days: None for no picture.
    """

    logs: str
    out: str
    spec: str
    days: int
    first_day: datetime.date | None
    picture_days: int | None
    keep_logs: int
    time_limit: int
    limit_text: str


def parse(words: Sequence[str]) -> tuple[dict[str, str], list[Step]]:
    """({name: value}, Steps) of the words NAME=VALUE... :: STEP COMMAND... :: STEP COMMAND...; BadInput for others."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "::":
            groups.append([])
        else:
            groups[-1].append(word)
    given = {}
    for word in groups[0]:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadInput(f"not NAME=VALUE: {word!r}")
        given[name] = value
    for group in groups[1:]:
        if len(group) < 2:
            raise BadInput(f"a step is a name and a command: {' '.join(group)!r}")
    return given, [Step(name, tuple(command)) for name, *command in groups[1:]]


def settings(given: Mapping[str, str]) -> Settings:
    """The Settings of {name: value}; BadInput names a setting that is wrong, or that there is none of."""
    for name in given:
        if name not in _DEFAULTS:
            raise BadInput(f"no such setting: {name!r}")
    values = {**_DEFAULTS, **given}
    first_day = values["FIRST_DAY"]
    if first_day and not is_date(first_day):
        raise BadInput(f"FIRST_DAY: no such day, want YYYY-MM-DD: {first_day!r}")
    days, _, keep_logs = (_whole(name, values[name]) for name in ("DAYS", "JOBS", "KEEP_LOGS"))
    picture_days, keep_days = (values[name] and _whole(name, values[name]) for name in ("PICTURE_DAYS", "KEEP_DAYS"))
    if picture_days and picture_days > 20000:
        raise BadInput(f"PICTURE_DAYS must be at most 20000: '{picture_days}'")
    if keep_days and values["CHANNELS"] and keep_days <= days:
        # A day that is still built must keep its frames.
        raise BadInput(f"KEEP_DAYS must be more than DAYS: '{keep_days}'")
    limit = re.fullmatch(r"([0-9]{1,6})([smhd]?)", values["TIME_LIMIT"])
    if not limit:
        raise BadInput(f"TIME_LIMIT must be a number with s, m, h or d: {values['TIME_LIMIT']!r}")
    if values["CHECK_STREAMS"] not in ("yes", "frames", "no"):
        raise BadInput(f"CHECK_STREAMS must be yes, frames or no: {values['CHECK_STREAMS']!r}")
    nights = _whole("CHECK_NIGHTS", values["CHECK_NIGHTS"])
    if nights > 1 and values["CHECK_STREAMS"] == "frames":
        raise BadInput(f"CHECK_NIGHTS goes with CHECK_STREAMS=yes, the frames are read whole: '{nights}'")
    if values["ELAB_ENGINE"] not in ("yes", "no"):
        raise BadInput(f"ELAB_ENGINE must be yes or no: {values['ELAB_ENGINE']!r}")
    for name in _needed(values):
        if not (os.path.isabs(values[name]) or (name == "FFL" and "://" in values[name])):
            raise BadInput(f"{name} must be an absolute path: {values[name]!r}")
    return Settings(
        logs=values["LOGS"],
        out=values["OUT"],
        spec=values["SPEC"],
        days=days,
        first_day=datetime.date.fromisoformat(first_day) if first_day else None,
        picture_days=picture_days or None,
        keep_logs=keep_logs,
        time_limit=int(limit[1]) * _UNITS[limit[2]],
        limit_text=limit[0],
    )


def _needed(values):
    """The names of the paths that these settings need."""
    yield "LOGS"
    if values["SOURCES"] or values["STREAMS"] or values["KEEP_DAYS"]:
        yield "FRAMES"
    if values["STREAMS"]:
        yield "STREAMS"
    if values["CHANNELS"]:
        yield from ("CHANNELS", "FFL", "OUT")
        if values["REPORT"]:
            yield "REPORT"


def _whole(name, text):
    """The whole number above 0 that a text is."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise BadInput(f"{name} must be a whole number from 1: {text!r}")
    return int(text)
