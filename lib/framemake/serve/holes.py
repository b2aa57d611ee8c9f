"""Why samples of a channel of days are missing, for the page: what the days note, without the machine's folders.

No frame file is opened: the libraries that read old formats crash over some damage, and what they do takes long.  So
where a day notes several reasons inside of a file it is told that it is one of them, and why-missing tells which.  The
samples of a span are read, which takes a moment: one span at a time, and its first days alone.
"""

import contextlib
import os
import threading
from collections.abc import Callable

from ..days import opened, series
from ..errors import BadInput, wording
from .query import Refused
from .standing import without_folders

# Seconds of a span that are looked at, and samples; reasons that are told; seconds for which one waits while others
# are asked.
SPAN, SAMPLES, MOST = 2 * 86400, 16_000_000, 20
_PATIENCE = 5.0


class Holes:
    """The holes in the days of an output folder."""

    def __init__(self, out: str):
        self._out, self._lock = out, threading.Lock()

    def missing(self, name: str, spec: str, rate: float, start: float, end: float) -> dict:
        """{missing: [{start, end, kind, detail, file, day}], more: whether there may be others}; times GPS s.

        rate: of the channel, in Hz.
        """
        stop = min(end, start + SPAN, start + SAMPLES / rate)
        found = self._alone(lambda: self._reasons(name, spec, start, stop))
        entries = [
            {
                "start": each.start,
                "end": each.end,
                "kind": each.kind,
                "detail": without_folders(each.detail),
                "file": os.path.basename(each.path),
                "day": each.date,
            }
            for each in found[:MOST]
        ]
        return {"missing": entries, "more": stop < end or len(found) > MOST}

    def _reasons(self, name, spec, start, end):
        with contextlib.closing(opened.OpenDays(self._out, spec or None)) as days:
            return series.missing(days, name, start, end, probe=False)

    def _alone(self, ask: Callable[[], list]) -> list:
        if not self._lock.acquire(timeout=_PATIENCE):
            raise Refused(503, "busy with the holes of others, try again")
        try:
            return ask()
        except BadInput as error:
            raise Refused(503, without_folders(str(error))) from None
        except OSError as error:
            raise Refused(503, wording(error)) from None
        finally:
            self._lock.release()
