"""index.json: all days of an output folder, made from the day folders each time, so it cannot drift."""

import glob
import json
import os

from . import files, state

NAME = "index.json"


def write(out):
    """Make OUT/index.json anew from the states in OUT's day folders; returns it as a dict."""
    with files.locked(os.path.join(out, ".index.lock")):
        path = os.path.join(out, NAME)
        made = _collect(out)
        files.write_if_changed(path, json.dumps(made, indent=1) + "\n")
    return made


def _collect(out):
    days, concurrency, increments, started = {}, 1, set(), []
    for path in sorted(glob.glob(os.path.join(glob.escape(out), "*", state.NAME))):
        day = state.read(os.path.dirname(path))
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
    counts = {status: 0 for status in ("completed", "failed", "running", "queued")}
    for day in days.values():
        counts[day["status"]] = counts.get(day["status"], 0) + 1
    return {
        "range": {"start_date": min(days, default=None), "end_date": max(days, default=None)},
        "params": {"concurrency": concurrency, "increment_size": max(increments, default=None)},
        "days": days,
        "stats": {"total": len(days), **counts},
        "run_utc_started": min(started, default=None),
    }
