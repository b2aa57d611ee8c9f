"""How the days of an output folder stand, from their states and summaries: for people, and for scripts."""

import fcntl
import itertools
import json
import math
import os
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from .. import files, gps, jsontext
from ..day.folder import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    MISSING,
    QUEUED,
    RUNNING,
    STATUSES,
    Folder,
)
from ..errors import BadInput, wording

# Those for which somebody has to do something.
BAD = (FAILED, INTERRUPTED, MISSING)
# What is wanted of a summary.
_WANTED = (
    "start_dt_utc",
    "start_gps",
    "end_gps",
    "completed_at_utc",
    "requested_channels",
    "valid_channels",
    "total_samples",
    "nan_samples",
    "missing_spans_gps",
    "frame_files",
    "unreadable_frames",
    "kept_frames",
)
_RUN = re.compile(r"\.range\.\w{6}")
_WIDTH = 100
# So many days in a row of which there is the same to tell are one line.
_FOLD = 3
_COLOURS = {FAILED: "31", INTERRUPTED: "31", MISSING: "31", RUNNING: "33"}


class DayStatus(NamedTuple):
    """How a day stands.

    h5: path of the day file, or None if there is none.  size: its bytes.  samples, good: samples of all its
    channels, and how many of them are not NaN.  late: stretches of the day without any frame, pairs of GPS seconds.
    midnight: GPS second at which the day begins.  absent, unreadable, kept, on_tape: frame files that were listed but
    not there, that are damaged, that are gone since, while their samples stay, and that were on tape.  What is not
    known is None.
    """

    date: str
    spec: str
    status: str
    h5: str | None = None
    size: int | None = None
    samples: int | None = None
    good: int | None = None
    channels: int | None = None
    requested: int | None = None
    retries: int = 0
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    midnight: int | None = None
    late: tuple = ()
    absent: int = 0
    unreadable: int = 0
    kept: int = 0
    on_tape: int = 0

    @property
    def coverage(self) -> float | None:
        """Part of the samples that are not NaN, 0 to 1; None if nothing tells (a site may want no summary)."""
        if self.samples is None or self.good is None:
            return None
        return self.good / self.samples if self.samples else 0.0

    @property
    def late_seconds(self) -> int:
        return sum(end - start for start, end in self.late)


def days_of(out: str, spec: str | None = None, first: str | None = None, last: str | None = None) -> list[DayStatus]:
    """The DayStatus of each day of an output folder, by spec, then by date, with those that are missing between.

    spec: only of this one.  first, last: days 'YYYY-MM-DD', both included; without them, the first and the last that
    there is of the spec.  Raises BadInput if there is no such folder, no day in it, or no such day.
    """
    gps.check_days(first, last)
    found = Folder.all_in(out)
    if spec is not None:
        found = {spec: found.get(spec, {})}
    if not any(found.values()):
        if not (first and last):
            raise BadInput(f"no day{f' of {spec}' if spec else ''} in folder: {out!r}")
        found = found or {"": {}}
    found_days = []
    for name, folders in sorted(found.items()):
        dates = [date for date in folders if (not first or date >= first) and (not last or date <= last)]
        begin, end = first or min(dates, default=None), last or max(dates, default=None)
        if begin is None or end is None or begin > end:
            continue
        for date in gps.dates(begin, end):
            found_days.append(_status(folders[date], name, date) if date in folders else DayStatus(date, name, MISSING))
    if not found_days:
        raise BadInput(f"no day from {first or 'the first'} to {last or 'the last'} in folder: {out!r}")
    if any(day.status == QUEUED for day in found_days) and not any(is_run_at_work(path) for path in runs(out)):
        # The range that was to build them is no more.
        return [day._replace(status=INTERRUPTED) if day.status == QUEUED else day for day in found_days]
    return found_days


def runs(out: str) -> list[str]:
    """The folders of the ranges that are, or were, at work in an output folder: see days.run."""
    return [entry.path for entry in os.scandir(out) if _RUN.fullmatch(entry.name) and entry.is_dir()]


def is_run_at_work(path: str) -> bool:
    """Whether a process holds the folder of a range."""
    try:
        with files.opened(os.path.join(path, "lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def totals(days: list[DayStatus]) -> dict:
    """What the days come to, as a dict: how many of each status, size, coverage of the completed, what is late."""
    done = [day for day in days if day.status == COMPLETED]
    samples, good = sum(day.samples or 0 for day in done), sum(day.good or 0 for day in done)
    late = [day for day in done if day.late]
    return {
        "days": len(days),
        **{status: sum(day.status == status for day in days) for status in STATUSES},
        "size_bytes": sum(day.size or 0 for day in days),
        "retries": sum(day.retries for day in days),
        "coverage": good / samples if samples else None,
        "late_days": len(late),
        "late_seconds": sum(day.late_seconds for day in late),
    }


def as_json(out: str, days: list[DayStatus]) -> dict:
    """The same facts as the table's, as a dict: out, totals, specs (totals of each) and days (a list)."""
    specs = {spec: totals(list(members)) for spec, members in itertools.groupby(days, lambda day: day.spec)}
    return {"out": out, "totals": totals(days), "specs": specs, "days": [_entry(day) for day in days]}


def _entry(day):
    return {
        "date": day.date,
        "spec": day.spec,
        "status": day.status,
        "coverage": day.coverage,
        "size_bytes": day.size,
        "retries": day.retries,
        "started_utc": day.started,
        "finished_utc": day.finished,
        "error": day.error,
        "late_gps": [list(span) for span in day.late],
        "late_seconds": day.late_seconds,
        "absent_files": day.absent,
        "unreadable_files": day.unreadable,
        "kept_files": day.kept,
        "on_tape_files": day.on_tape,
        "valid_channels": day.channels,
        "requested_channels": day.requested,
        "h5": day.h5,
    }


def table(days: list[DayStatus], everything: bool = False, colour: bool = False) -> Iterator[str]:
    """The lines of the table, at most 100 columns wide: totals of each spec, then its days.

    everything: a line for each day; else days in a row of which there is the same to tell are one line.
    colour: with the escape sequences of a terminal.
    """
    several = len({day.spec for day in days}) > 1
    for number, (spec, group) in enumerate(itertools.groupby(days, lambda day: day.spec)):
        members = list(group)
        if number:
            yield ""
        for line in textwrap.wrap(_head(members, spec if several else ""), _WIDTH):
            yield _coloured(line, "1", colour)
        runs = [[day] for day in members] if everything else list(_fold(members))
        rows = [_row(run) for run in runs]
        titles = ("day", "status", "coverage", "size", "retries", "finished (UTC)")
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        yield _line(titles, widths)
        for run, row in zip(runs, rows, strict=True):
            line, note = _line(row, widths), _note(run[0])
            beside = len(line) + 2 + len(note) <= _WIDTH
            if colour and run[0].status in _COLOURS:
                line = line.replace(run[0].status, _coloured(run[0].status, _COLOURS[run[0].status], True), 1)
            yield f"{line}  {note}".rstrip() if beside else line
            if not beside:
                yield from textwrap.wrap(note, _WIDTH, initial_indent="    ", subsequent_indent="    ", max_lines=4)


def bad(days: list[DayStatus]) -> str:
    """What somebody has to look at, in a few words; '' if all is well."""
    counts = totals(days)
    return ", ".join(f"{counts[status]} {status}" for status in BAD if counts[status])


def _status(folder, spec, date):
    try:
        state, status = folder.standing()
        summary = _summary(folder.summary)
        if summary and "total_samples" not in summary:
            summary.update(_covered(folder.coverage))
    except OSError as refused:
        return DayStatus(date, spec, FAILED, error=f"{wording(refused)}: {refused.filename!r}")
    error = state.get("error")
    h5 = folder.h5
    try:
        size = os.stat(h5).st_size
    except OSError:
        h5 = size = None
    if status == COMPLETED:
        if h5 is None:
            status, error = FAILED, "the day file is gone"
        elif summary == {}:
            status, error = FAILED, "the summary is damaged"
    elif status == INTERRUPTED:
        error = "stopped before it was done"
    elif status not in STATUSES:
        status, error = FAILED, f"its state is damaged: status {status!r}"
    day = DayStatus(
        date,
        spec,
        status,
        h5,
        size,
        retries=_whole(state.get("retries")),
        started=_text(state.get("started_at_utc")),
        finished=_text(state.get("finished_at_utc")) if status == COMPLETED else None,
        error=_text(error) if status != COMPLETED else None,
    )
    if not (summary and h5):
        return day
    # The converter before this project tells when a day was done in its summary alone.
    ended = day.finished or (_text(summary.get("completed_at_utc")) if status == COMPLETED else None)
    return day._replace(finished=ended, **_facts(summary))


def _summary(path):
    """What is wanted of a day's summary, which is mostly its list of frames; None if there is none, {} if damaged."""
    try:
        with files.opened(path, encoding="utf-8", errors="replace") as source:
            return jsontext.members(source.read(), _WANTED)
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def _covered(path):
    """What the coverage of a day tells that the summary of the converter before this project does not."""
    try:
        with files.opened(path, encoding="utf-8", errors="replace") as source:
            entries = json.load(source).values()
        return {key: sum(entry[key] for entry in entries) for key in ("total_samples", "nan_samples")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _facts(summary):
    """What a summary tells, as fields of a DayStatus."""
    known = "total_samples" in summary
    samples, start = _whole(summary.get("total_samples")), _whole(summary.get("start_gps"))
    told = _mapping(summary.get("frame_files"))
    # A summary of an earlier version tells when the files begin and end, which may be on another day.
    stop = summary.get("end_gps") or math.inf
    clipped = ((max(a, start), min(b, stop)) for a, b in summary.get("missing_spans_gps") or [])
    return {
        "samples": samples if known else None,
        "good": samples - _whole(summary.get("nan_samples")) if known else None,
        "channels": _whole(summary.get("valid_channels")),
        "requested": _whole(summary.get("requested_channels")),
        "midnight": start - _seconds(summary.get("start_dt_utc")),
        "late": tuple((a, b) for a, b in clipped if a < b),
        "absent": _whole(told.get("absent")),
        "unreadable": _whole(summary.get("unreadable_frames")),
        "kept": _whole(summary.get("kept_frames")),
        "on_tape": _whole(told.get("tape")),
    }


def _mapping(value):
    return value if isinstance(value, dict) else {}


def _whole(value):
    return value if isinstance(value, int) else 0


def _seconds(text):
    """Seconds of the day of an ISO time."""
    match = re.fullmatch(r"[0-9-]+[T ](\d\d):(\d\d):(\d\d)(?:\+00:00|Z)?", text or "")
    hours, minutes, seconds = map(int, match.groups()) if match else (0, 0, 0)
    return 3600 * hours + 60 * minutes + seconds


def _text(value):
    return str(value) if value else None


def _fold(days):
    """Runs of days that one line tells."""
    for _, run in itertools.groupby(days, lambda day: (day.status, _note(day))):
        run = list(run)
        if len(run) < _FOLD:
            yield from ([day] for day in run)
        else:
            yield run


def _head(days, spec):
    counts = totals(days)
    of_each = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    parts = [f"{_count(len(days), 'day')}: {', '.join(of_each)}", size(counts["size_bytes"])]
    if counts["coverage"] is not None:
        parts.append(f"{percent(counts['coverage'])} covered")
    if counts["late_days"]:
        parts.append(f"{gps.lasting(counts['late_seconds'])} without frames")
    return (f"{spec}, " if spec else "") + "; ".join(parts)


def _row(run):
    """The cells of a line for days in a row that are told together."""
    first, last, counts = run[0], run[-1], totals(run)
    span, status, coverage = first.date, first.status, first.coverage
    if len(run) > 1:
        span, status = f"{first.date} .. {last.date}", f"{len(run)} days {first.status}"
        coverage = counts["coverage"]
    finished = max((day.finished or "" for day in run), default="")
    # A day that is not done has neither; one that is done and does not tell is another matter.
    untold = "unknown" if first.status == COMPLETED else ""
    return (
        span,
        status,
        untold if coverage is None else percent(coverage),
        size(counts["size_bytes"]) if counts["size_bytes"] else "",
        str(counts["retries"]) if first.status != MISSING else "",
        finished.replace("T", " ")[:16] or untold,
    )


def _line(cells, widths):
    """Numbers to the right, the rest to the left."""
    aligned = [
        cell.rjust(width) if at in (2, 3, 4) else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def _note(day):
    """What is odd about a day: its error, or what it lacks."""
    if day.error:
        return "".join(character if character.isprintable() else "?" for character in day.error)
    notes = []
    if day.late:
        spans = [f"{_clock(start - day.midnight)}-{_clock(end - day.midnight)}" for start, end in day.late[:3]]
        more = f" and {len(day.late) - 3} more" if len(day.late) > 3 else ""
        notes.append(f"no frames {', '.join(spans)}{more}")
    if day.absent:
        notes.append(f"{_count(day.absent, 'file')} absent")
    if day.on_tape:
        notes.append(f"{_count(day.on_tape, 'file')} on tape")
    if day.unreadable:
        notes.append(f"{_count(day.unreadable, 'file')} unreadable")
    if day.kept:
        notes.append(f"{_count(day.kept, 'file')} gone since, samples kept")
    if day.requested and not day.channels:
        notes.append("no channel has a sample")
    return "; ".join(notes)


def _clock(seconds):
    """Time of day, with the seconds where they are not nought; a leap second is told as 24:00:00."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")


def percent(part: float) -> str:
    """Rounded down, so that nothing is 100 % but what is whole."""
    return f"{math.floor(part * 1000) / 10:.1f} %"


def size(count: float) -> str:
    """Bytes in a few characters: '1.5 GB'."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.0f} B" if units[0] == "B" else f"{count:.1f} {units[0]}"


def _count(number, what):
    return f"{number} {what}" + ("" if number == 1 else "s")


def _coloured(text, code, colour):
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
