"""index.json: all days of an output folder, made from the day folders each time, so it cannot drift.

days has an entry for each date.  Where a date has folders of several SPECs that is the one which is furthest from done,
so that no failure hides, and `specs` has the entries of each SPEC by date.  pid is the process that is at a day, on its
machine.
"""

import json
import os

from .. import files, gps, jsontext
from ..day.folder import COMPLETED, FAILED, INTERRUPTED, QUEUED, RUNNING, SUMMARY, Folder

NAME = "index.json"
# What the newest range was asked for, and when it has ended what it came to; the days' own folders tell the rest.
RANGE = ".range.json"
# The furthest from done first.
STATUSES = (FAILED, RUNNING, QUEUED, COMPLETED)


def begin(out: str, wanted: list[str], concurrency: int, work: bool) -> None:
    """Note a range that begins: its days, how many at once.  work: whether any day has work to do."""
    path = os.path.join(out, RANGE)
    asked = {"start_date": wanted[0], "end_date": wanted[-1], "concurrency": concurrency}
    before = _read(path)
    if work or before != {**before, **asked} or not os.path.exists(os.path.join(out, NAME)):
        os.makedirs(out, exist_ok=True)
        files.write(path, json.dumps({**asked, "run_utc_started": gps.now_utc()}) + "\n", durable=False)
        write(out)


def note(out: str, counts: dict) -> None:
    """Add what a range came to: finished_utc, and numbers of days; see days.run.Counts."""
    path = os.path.join(out, RANGE)
    files.write(path, json.dumps({**_read(path), **counts}) + "\n", durable=False)


def write(out: str, durable: bool = True) -> dict:
    """Make OUT/index.json anew from the states in OUT's day folders; returns it as a dict.

    durable: as of files.replacing.
    """
    with files.locked(os.path.join(out, ".index.lock")):
        path = os.path.join(out, NAME)
        made = _collect(out)
        files.write_if_changed(path, jsontext.indented(made) + "\n", durable)
    return made


def _read(path):
    try:
        with files.opened(path, encoding="utf-8") as source:
            return json.load(source)
    except (OSError, ValueError):
        return {}


def _collect(out):
    days, specs, increments, started = {}, {}, set(), []
    days_of = sorted(Folder.all_in(out).items())
    for spec, folder in ((spec, folder) for spec, dates in days_of for _, folder in sorted(dates.items())):
        if not os.path.exists(folder.state_path):
            continue
        day, status = folder.standing()
        if not day.get("date"):
            continue
        error = day.get("error")
        if status == INTERRUPTED:
            status, error = FAILED, INTERRUPTED
        if status not in STATUSES:
            status, error = FAILED, f"its state is damaged: status {status!r}"
        h5 = day.get("h5_path")
        increments.add(day.get("increment_size"))
        started.append(day.get("started_at_utc") or "")
        summary = h5.removesuffix(".h5") + SUMMARY if h5 else None
        done = status == COMPLETED
        entry = {
            "status": status,
            "retries": day.get("retries") or 0,
            "started_utc": day.get("started_at_utc"),
            "finished_utc": day.get("finished_at_utc"),
            "h5": h5 if done else None,
            "summary": summary if done else None,
            "error": error,
            "pid": folder.holder() if status == RUNNING else None,
            "spec": spec,
        }
        specs.setdefault(entry["spec"], {})[day["date"]] = entry
        before = days.setdefault(day["date"], entry)
        if STATUSES.index(status) < STATUSES.index(before["status"]):
            days[day["date"]] = entry
    counts = dict.fromkeys((COMPLETED, FAILED, RUNNING, QUEUED), 0)
    for day in days.values():
        counts[day["status"]] += 1
    asked = _read(os.path.join(out, RANGE))
    return {
        "range": {
            "start_date": asked.get("start_date") or min(days, default=None),
            "end_date": asked.get("end_date") or max(days, default=None),
        },
        "params": {
            "concurrency": asked.get("concurrency", 1),
            "increment_size": max((size for size in increments if size), default=None),
        },
        "days": dict(sorted(days.items())),
        **({"specs": specs} if len(specs) > 1 else {}),
        "stats": {"total": len(days), **counts},
        "run_utc_started": asked.get("run_utc_started") or min(filter(None, started), default=None),
    }
