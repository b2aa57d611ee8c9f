"""The files of the report: a page, its style and script, and what they show as scripts that a page of a disk may load.

    SITE/index.html                    names the folder, and nothing else changes from one report to the next
    SITE/data/STAMP/report.css report.js
    SITE/data/STAMP/main.js            the days, the channels, and how much of each channel each day has
    SITE/data/STAMP/days-2024-04.js    of each day of a month: holes and why, bad and late files
    SITE/data/STAMP/values-2024-04.js  of each day of a month: mean, std, min and max of each channel
    SITE/data/STAMP/channels-000.js    of so many channels: the same, a channel after another over all days

A file of data is one call, framemake(name, {...}).  Arrays in it are the base64 of little-endian numbers.  Each report
has a folder of its own, and is there once the page names it: whenever it is stopped the page shows the old report or
the new one, and one that stays open while the report is made anew does not mix the two.
"""

import base64
import contextlib
import json
import os
import re
import secrets
import shutil
from typing import Any

import numpy as np

from .. import files, gps
from ..days import status
from ..errors import BadInput
from ..frames import names
from ..version import version
from .facts import VALUES
from .gather import Day, Report

_STATIC = os.path.join(os.path.dirname(os.path.realpath(__file__)), "static")
PAGE, DATA, _MAIN, _LOCK = "index.html", "data", "main.js", ".lock"
_BESIDE = "report.css", "report.js"
_STAMP = re.compile(r"[0-9a-f]{16}")
# Channels whose values are in one file.
_CHANNELS = 64
# A day has no such channel.
_NONE = 0xFFFF


def write(report: Report, site: str) -> str:
    """Write the site of a Report to a folder, which is made if need be; returns the path of its page.

    The page is replaced last, and then earlier reports are removed.  Of two writers one waits for the other.  Raises
    BadInput for a folder that holds something else.
    """
    data = os.path.join(site, DATA)
    _check(site)
    os.makedirs(data, exist_ok=True)
    with files.locked(os.path.join(data, _LOCK)):
        stamp = secrets.token_hex(8)
        own = os.path.join(data, stamp)
        os.mkdir(own)
        try:
            for name in _BESIDE:
                shutil.copyfile(os.path.join(_STATIC, name), os.path.join(own, name))
            for name, content in _files(report, site, *_arrays(report)):
                _put(own, name, content)
            page = files.read_text(os.path.join(_STATIC, PAGE)).replace('"report.', f'"{DATA}/{stamp}/report.')
            files.write(os.path.join(site, PAGE), page, durable=False)
        except BaseException:
            shutil.rmtree(own, ignore_errors=True)
            raise
        _remove_others(site, stamp)
    return os.path.join(site, PAGE)


def _remove_others(site, stamp):
    """Remove earlier reports, and those that were stopped; also of the form that had its files in no folder."""
    data = os.path.join(site, DATA)
    plain = os.path.isfile(os.path.join(data, _MAIN))
    for name in os.listdir(data):
        if _STAMP.fullmatch(name) and name != stamp:
            shutil.rmtree(os.path.join(data, name), ignore_errors=True)
        elif plain and name.endswith(".js"):
            _remove(os.path.join(data, name))
    if plain:
        for name in _BESIDE:
            _remove(os.path.join(site, name))


def _remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


def _check(site):
    """BadInput for a folder that is not empty and holds no report: its files would be mixed with ours.

    A report has our lock in its folder of data; one whose first writing was stopped before that has nothing.
    """
    data = os.path.join(site, DATA)
    if not os.path.isdir(site) or any(os.path.isfile(os.path.join(data, name)) for name in (_LOCK, _MAIN)):
        return
    there = {name for name in os.listdir(site) if not files.is_left(os.path.join(site, name))}
    if there and not (there == {DATA} and os.path.isdir(data) and not os.listdir(data)):
        raise BadInput(f"the folder has other files, want an empty one or a report: {site!r}")


def _files(report, site, values, sets, late):
    for month in sorted({day.standing.date[:7] for day in report.days}):
        columns = [at for at, day in enumerate(report.days) if day.standing.date[:7] == month]
        days = {report.days[at].standing.date: _of_day(report.days[at], sets[:, at], site) for at in columns}
        yield f"days-{month}", days
        yield f"values-{month}", {report.days[at].standing.date: _packed(values[:, at]) for at in columns}
    for first in range(0, len(report.channels), _CHANNELS):
        some = slice(first, first + _CHANNELS)
        held = late[some].any()
        yield (
            f"channels-{first // _CHANNELS:03d}",
            {
                "values": _packed(values[some]),
                "sets": _packed(sets[some]),
                "late": _packed(late[some]) if held else None,
                "titles": [names.told(each.name)["title"] for each in report.channels[some]],
            },
        )
    yield "main", _main(report)


def _arrays(report):
    shape = len(report.channels), len(report.days)
    values = np.full((*shape, len(VALUES)), np.nan, dtype="<f4")
    sets, late = np.full(shape, _NONE, dtype="<u2"), np.zeros(shape, dtype="<f4")
    for column, day in enumerate(report.days):
        if day.facts is not None:
            at = report.rows[day.facts.names]
            values[at, column], sets[at, column] = day.facts.values, np.minimum(day.facts.set_of, _NONE - 1)
            late[at, column] = day.facts.late
    return values, sets, late


def _main(report):
    return {
        "spec": report.spec,
        "state": report.state,
        "out": report.out,
        "made": gps.now_utc(),
        "version": version(),
        "per": _CHANNELS,
        "values": VALUES,
        "days": [_day(day) for day in report.days],
        "channels": [
            [each.name, each.coverage, each.gaps, each.longest, each.rate, each.unit, each.days, each.first, each.last,
             each.dtype, each.changes] for each in report.channels
        ],
        "there": _packed(report.there).decode("ascii"),
        "odd": report.odd,
        "words": names.words()["subsystem"],
        "coverage": _coverage(report),
        "totals": status.totals([day.standing for day in report.days]),
    }  # fmt: skip


def _coverage(report):
    """The part of what the channels of all built days could have that is there; None if there is none."""
    some = [day.facts for day in report.days if day.facts is not None]
    whole = sum(facts.asked * len(facts.names) for facts in some)
    return float(sum(facts.seconds.sum() for facts in some) / whole) if whole else None


def _day(day: Day) -> list:
    """date, GPS of its begin, its seconds, status, coverage, channels, asked for, kept, closed, bad and late files."""
    told, facts = day.standing, day.facts
    coverage = told.coverage
    if facts is not None:
        whole = facts.asked * len(facts.names)
        coverage = float(facts.seconds.sum() / whole) if whole else None
    lacking = told.absent + told.unreadable + told.on_tape
    return [
        told.date, day.start, gps.day_window(told.date).duration, told.status, coverage,
        told.channels if facts is None else len(facts.names), told.requested, told.kept, int(day.closed),
        lacking, facts.late_files if facts else 0,
    ]  # fmt: skip


def _of_day(day: Day, sets: np.ndarray, site: str) -> dict[str, Any]:
    told, facts = day.standing, day.facts
    found: dict[str, Any] = {
        "error": told.error or "",
        "problem": day.problem,
        "started": told.started,
        "finished": told.finished,
        "took": _took(told),
        "retries": told.retries,
        "size": told.size,
        "absent": told.absent,
        "on_tape": told.on_tape,
        "unreadable": told.unreadable,
        "kept": told.kept,
        "late": [list(span) for span in told.late],
        "links": list(_links(day, site)),
    }
    if facts is None:
        return found
    words: dict[str, int] = {}
    number = lambda text: words.setdefault(text, len(words))  # noqa: E731
    # Of a day that was built from another time on they count from there; the page counts from midnight.
    shift = facts.window[0] - day.start
    holes = [
        [shift + hole.start, shift + hole.end, number(hole.kind), number(hole.detail), number(hole.path)]
        for hole in facts.holes
    ]
    come = [text for text in words if any(hole[4] == words[text] for hole in holes) and _has_come(day, text)]
    return {
        **found,
        "window": list(facts.window),
        "asked": facts.asked,
        "holes": holes,
        "words": list(words),
        "come": [words[text] for text in come],
        "sets": facts.sets,
        "set": _packed(sets).decode("ascii"),
        "lacking": facts.lacking,
        "bad": facts.bad,
        "late_files": facts.late_files,
        "came": facts.came,
        "made": facts.version,
    }


def _has_come(day, path):
    """Whether a file that was absent when the day was built is there by now."""
    absent = any(hole.path == path and hole.kind == "file absent" for hole in day.facts.holes)
    return absent and os.path.exists(path)


def _took(told):
    if not (told.started and told.finished):
        return None
    with contextlib.suppress(ValueError):
        return gps.seconds_between(told.started, told.finished)
    return None


def _links(day, site):
    """(what, address as seen from the page) of the day's files that are there."""
    if day.standing.h5 is None:
        return
    from ..day.folder import Folder

    folder = Folder.holding(day.standing.h5)
    named = (
        ("day file (HDF5)", folder.h5), ("summary", folder.summary), ("coverage", folder.coverage),
        ("digests", folder.manifest), ("log", folder.log),
    )  # fmt: skip
    for what, path in named:
        if os.path.exists(path):
            yield what, os.path.relpath(path, site)


def _packed(array: np.ndarray) -> bytes:
    return base64.b64encode(np.ascontiguousarray(array).data)


def _put(folder: str, name: str, content: dict) -> None:
    """Write a file of data.  What a name of a channel or file says can end neither the script nor a line of it."""
    with files.opened(os.path.join(folder, f"{name}.js"), "wb") as out:
        out.write(f'framemake("{name}",{{'.encode())
        for at, (key, value) in enumerate(content.items()):
            # Packed numbers, which are most of it, need no escape.
            packed = isinstance(value, bytes)
            out.write(b"," * (at > 0) + _text(key) + b":" + (b'"' + value + b'"' if packed else _text(value)))
        out.write(b"});\n")


def _text(value: Any) -> bytes:
    """JSON in ASCII; a file is not read as HTML, but may be pasted into some."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").encode("ascii")


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
