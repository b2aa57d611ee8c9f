"""index.json: all days of an output folder, made from the day folders each time, so it cannot drift."""

import glob
import json
import os

from . import files, state

NAME = "index.json"
# What the newest range was asked for; the days' own folders tell the rest.
RANGE = ".range.json"


def begin(out, wanted, concurrency, work):
    """Note a range that begins: its days, how many at once.  work: whether any day has work to do."""
    path = os.path.join(out, RANGE)
    asked = {"start_date": wanted[0], "end_date": wanted[-1], "concurrency": concurrency}
    before = _read(path)
    if work or before != {**before, **asked} or not os.path.exists(os.path.join(out, NAME)):
        os.makedirs(out, exist_ok=True)
        files.write(path, json.dumps({**asked, "run_utc_started": state.now()}) + "\n", durable=False)
        write(out)


def write(out):
    """Make OUT/index.json anew from the states in OUT's day folders; returns it as a dict."""
    with files.locked(os.path.join(out, ".index.lock")):
        path = os.path.join(out, NAME)
        made = _collect(out)
        files.write_if_changed(path, json.dumps(made, indent=1) + "\n")
    return made


def _read(path):
    try:
        with open(path, encoding="utf-8") as source:
            return json.load(source)
    except (OSError, ValueError):
        return {}


def _collect(out):
    days, increments, started = {}, set(), []
    for path in sorted(glob.glob(os.path.join(glob.escape(out), "*", state.NAME))):
        day = state.now_of(os.path.dirname(path))
        if not day.get("date"):
            continue
        h5 = day.get("h5_path")
        increments.add(day.get("increment_size"))
        started.append(day.get("started_at_utc") or "")
        summary = h5.removesuffix(".h5") + ".summary.json" if h5 else None
        done = day["status"] == "completed"
        days[day["date"]] = {
            "status": day["status"],
            "retries": day.get("retries") or 0,
            "started_utc": day.get("started_at_utc"),
            "finished_utc": day.get("finished_at_utc"),
            "h5": h5 if done else None,
            "summary": summary if done else None,
            "error": day.get("error"),
        }
    counts = dict.fromkeys(("completed", "failed", "running", "queued"), 0)
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
        "days": days,
        "stats": {"total": len(days), **counts},
        "run_utc_started": asked.get("run_utc_started") or min(filter(None, started), default=None),
    }
