"""state_day.json: how far a day is, for the scripts that look at it while it runs."""

import fcntl
import json
import os
import time

from .. import files

NAME = "state_day.json"
LOCK = os.path.join(".work", "lock")
# Frame files that the system did not give when the day was made, a line each: they are to be read again.
TRANSIENT = os.path.join(".work", "transient")
INTERRUPTED = "interrupted"


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def seconds_between(start, end):
    """Seconds from one time of now() to another."""
    import calendar

    first, last = (calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) for text in (start, end))
    return last - first


def read(folder):
    """The state of a day folder as a dict; empty if there is none yet, or a damaged one."""
    try:
        with open(os.path.join(folder, NAME), encoding="utf-8") as source:
            told = json.load(source)
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def is_held(folder):
    """Whether a make holds the lock of a day's folder."""
    try:
        handle = os.open(os.path.join(folder, LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def now_of(folder):
    """The state of a day folder, in which a day that was killed while it ran is failed: interrupted."""
    state = read(folder)
    if state.get("status") == "running" and not is_held(folder):
        state = read(folder)  # it may have ended between the two looks
        if state.get("status") == "running":
            state.update(status="failed", error=INTERRUPTED)
    return state


def completed(folder, h5, told):
    """Note that a day is done; told: its summary."""
    update(
        folder,
        date=told["date"],
        h5_path=h5,
        increment_size=told["increment_size"],
        last_completed_chunk=told["total_chunks"] - 1,
        status="completed",
        error=None,
        finished_at_utc=told["completed_at_utc"],
    )


def running(folder, begun, **changes):
    """Note how far the run that began at `begun` is, unless it has ended by what another process of it said."""
    _change(folder, lambda state: begun and _ended(state, begun), status="running", started_at_utc=begun, **changes)


def _ended(state, begun):
    return state.get("started_at_utc") == begun and state.get("status") in ("completed", "failed")


def update(folder, **changes):
    """Change some keys of a day's state; several processes may do so at once."""
    _change(folder, lambda state: False, **changes)


def _change(folder, unless, **changes):
    with files.locked(os.path.join(folder, ".state.lock")):
        state = read(folder)
        if unless(state):
            return
        for key in ("date", "h5_path", "increment_size", "last_completed_chunk", "status", "error"):
            state.setdefault(key, None)
        state.update(changes)
        files.write(os.path.join(folder, NAME), json.dumps(state, indent=1) + "\n", durable=False)
