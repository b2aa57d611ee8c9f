"""How the host stands, for the page: what check-nightly knows, how the last night went, and what is faulty now.

A look goes over all frames and days, so it is made at most once in a while, by one thread, and kept.  Folders of this
machine are not told: of a path only its last part is.
"""

import json
import os
import re
import threading
import time

from .. import files, gps
from ..errors import BadInput
from ..host import faults, plugin, watch
from .query import Refused

# Hours of age and numbers, as check-nightly has them if it is not told others.
LIMITS = {"age": "30,54", "failed": "0,2", "faulty": "0,"}
# Seconds for which what was found is kept, and for which one waits while another looks.
_KEPT, _PATIENCE = 20.0, 10.0
MOST_FAULTS = 200
# The folders of a path: between quotes with all that is in them, elsewhere up to a space.
_PATH = re.compile(r"(?<=['\"])/[^'\"]*/(?=[^'\"/])|(?<![\w.])/(?:[^\s'\"/]+/)+(?=[^\s'\"/])")


def without_folders(text: str) -> str:
    """A text in which of each path only the last part is left."""
    return _PATH.sub("", text)


class Standing:
    """How the streams of a folder, the days of `out` ('' for none) and the nights of a report ('' for none) stand."""

    def __init__(self, streams: str, out: str = "", nightly: str = ""):
        self._streams, self._out, self._nightly = streams, out, nightly
        self._lock = threading.Lock()
        self._held: tuple[float, dict] | None = None

    def now(self) -> dict:
        """What /api/status tells; Refused if it takes too long."""
        held = self._held
        if held and time.monotonic() - held[0] < _KEPT:
            return held[1]
        if not self._lock.acquire(timeout=_PATIENCE):
            raise Refused(503, "the host is being looked at, try again")
        try:
            if self._held is None or time.monotonic() - self._held[0] >= _KEPT:
                self._held = time.monotonic(), self._look()
            return self._held[1]
        finally:
            self._lock.release()

    def _look(self):
        found = faulty(self._streams, self._out)
        return {
            "now": gps.parse(gps.now_utc()),
            "findings": [
                {"status": plugin.WORDS[each.status], "text": without_folders(each.text)} for each in self._findings()
            ],
            "faults": [
                {
                    "kind": fault.kind,
                    "name": os.path.basename(fault.name),
                    "where": os.path.basename(fault.where),
                    "reason": without_folders(fault.reason),
                }
                for fault in found[:MOST_FAULTS]
            ],
            "more": max(0, len(found) - MOST_FAULTS),
            "night": night(self._nightly) if self._nightly else None,
        }

    def _findings(self):
        age, failed, most = (plugin.limits(LIMITS[name]) for name in ("age", "failed", "faulty"))
        watched = watch.Watched(
            out=[self._out] if self._out else [],
            streams=[self._streams],
            nightly=[self._nightly] if self._nightly else [],
            day_age=age,
            stream_age=age,
            nightly_age=age,
            failed=failed,
            faulty=most,
        )
        found: list[plugin.Finding] = []
        for probe in watch.probes(watched):
            try:
                found += probe.find()
            except Exception as error:
                # As check-nightly does: what cannot be looked at is told.
                found.append(plugin.Finding(plugin.UNKNOWN, plugin.why(error)))
        return sorted(found, key=lambda each: -each.status)


def faulty(streams: str, out: str) -> list[faults.Fault]:
    """The Faults of streams and days, those of days newest first; what cannot be read is one."""
    found: list[faults.Fault] = []
    try:
        found += reversed(list(faults.of_days(out))) if out else []
    except (BadInput, OSError) as error:
        found.append(faults.Fault(faults.DAY, out, out, plugin.why(error)))
    try:
        found += faults.of_streams(streams)
    except (BadInput, OSError) as error:
        found.append(faults.Fault(faults.STREAM, streams, streams, plugin.why(error)))
    return found


def night(path: str) -> dict | None:
    """{status, started, finished, steps: [{name, status, seconds}]} of the report of a night; None if it is none."""
    try:
        with files.opened(path, encoding="utf-8", errors="replace") as source:
            report = json.load(source)
        steps = [each for each in report.get("steps") or () if isinstance(each, dict)]
        return {
            "status": _text(report.get("status")),
            "started": _text(report.get("started_utc")),
            "finished": _text(report.get("finished_utc")),
            "steps": [
                {"name": _text(each.get("name")), "status": _text(each.get("status")), "seconds": _number(each)}
                for each in steps
            ],
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _text(value):
    return str(value)[:200] if value is not None else None


def _number(step):
    value = step.get("seconds")
    return value if isinstance(value, (int, float)) and abs(value) < 1e12 else None
