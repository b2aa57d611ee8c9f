"""The folder of day datasets as the server tells it: its days, its channels, and values of a span of them."""

import contextlib
import os
import threading
import time
from typing import NamedTuple

from .. import gps
from ..day.folder import COMPLETED, INTERRUPTED, MISSING, QUEUED, RUNNING, Folder
from ..days import status
from ..errors import BadInput, wording
from . import dayfiles, spans
from .query import Refused
from .streams import identity

# Day files times channels that one request may look into, a few milliseconds each.
MOST_FILES = 4000
_ATTEMPTS = 3
# Long spans that a process looks into at once, and days of all names together from which one is long: the rest of
# its threads answer the others.
LONG_ONES, LONG = 2, 100
# Seconds for which what was seen is taken as it is, and for which the states of days are.
_AT_ONCE, _STATES = 0.05, 1.0
_CHANGING = (RUNNING, QUEUED, INTERRUPTED)


class _Looked(NamedTuple):
    """Days, the time.monotonic() of when they were last checked and looked at, and what names the files they are of."""

    at: float
    looked: float
    key: tuple
    states: tuple
    days: list


class Days:
    """The day datasets of an output folder `out`; what was looked up is kept while the files that told it are."""

    def __init__(self, out):
        self.out = out
        self._lock = threading.Lock()
        self._looked = self._listed = None
        self._files = dayfiles.Cache()
        self._long = threading.BoundedSemaphore(LONG_ONES)

    def look(self):
        """(what changes whenever a day file does, [status.Day]).

        A day file that is new is seen at once; how far a day is that runs, and the like, every second.
        """
        with self._lock:
            held, now = self._looked, time.monotonic()
        if held and now - held.at < _AT_ONCE:
            return held.key, held.days
        key, states = self._identities()
        fresh = held and now - held.looked < _STATES
        settled = held and held.states == states and not any(day.status in _CHANGING for day in held.days)
        if held and held.key == key and (fresh or settled):
            held = held._replace(at=now)
        else:
            held = _Looked(now, now, key, states, self._days())
        with self._lock:
            self._looked = held
        return held.key, held.days

    def _days(self):
        try:
            return status.days_of(self.out)
        except BadInput:
            return []
        except OSError as error:
            raise Refused(503, f"the folder of days cannot be read, {wording(error)}") from None

    def _identities(self):
        """What names the day files and summaries that there are, and their states: two tuples."""
        try:
            with os.scandir(self.out) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except OSError:
            return (), ()
        files, states = [], []
        for name in names:
            folder = Folder.of(self.out, name[:-11], name[-10:])
            files.append((name, identity(folder.h5), identity(folder.summary)))
            states.append(identity(folder.state_path))
        return tuple(files), tuple(states)

    def listing(self):
        """What /api/days tells: a dict for each day, by spec, then by date."""
        return [
            {
                "day": day.date,
                "spec": day.spec,
                # export-streams writes no state: a day file that is there is whole.
                "status": COMPLETED if day.h5 and day.status == MISSING else day.status,
                "start": window.start,
                "end": window.end,
                "channels": day.channels if day.h5 else None,
            }
            for day in self.look()[1]
            for window in (gps.day_window(day.date),)
        ]

    def channels(self, spec=""):
        """What /api/channels tells: a dict for each channel of the days, by spec and name."""
        return [entry for entry in self._channels() if not spec or entry["spec"] == spec]

    def _channels(self):
        key, days = self.look()
        with self._lock:
            if self._listed and self._listed[0] == key:
                return self._listed[1]
        found = {}
        for day in reversed(_there(days)):
            names = _valid(day)
            if names is not None and all((day.spec, name) in found for name in names):
                continue
            with contextlib.suppress(BadInput):
                for name, (rate, unit) in dayfiles.channels(day.h5).items():
                    found.setdefault((day.spec, name), {"name": name, "rate": rate, "unit": unit, "spec": day.spec})
        told = [found[at] for at in sorted(found)]
        with self._lock:
            self._listed = key, told
        return told

    def _channel(self, name, spec):
        """The entry of a channel in channels(); Refused if there is none, or in several specs and none is said."""
        found = [entry for entry in self.channels(spec) if entry["name"] == name]
        if not found:
            raise Refused(404, f"no such channel: {name[:200]!r}")
        if len(found) > 1:
            specs = ", ".join(entry["spec"] for entry in found)
            raise Refused(400, f"several specs have the channel, spec says which ({specs}): {name[:200]!r}")
        return found[0]

    def tag(self, start, end):
        """What changes whenever the values of a span in GPS s do, as a tuple."""
        return self.look()[0], start, end

    def values(self, names, spec, start, end, points):
        """[spans.Series] of channels over a span in GPS s, each of at most so many points; Refused if unknown."""
        days = _there(self.look()[1])
        wanted = []
        for name in names:
            entry = self._channel(name, spec)
            own = [day for day in days if day.spec == entry["spec"]]
            wanted.append((entry, [day.h5 for day in own if gps.day_window(day.date).overlaps(start, end)]))
        count = sum(len(files) for _, files in wanted)
        if count > MOST_FILES:
            raise Refused(400, f"at most {MOST_FILES} days of all names together: {count}")
        most = spans.MOST_SAMPLES // len(names)
        with self._turn(count):
            found = [self._series(files, entry["name"], start, end, points, most) for entry, files in wanted]
        # Of a span without the channel the unit is told all the same.
        return [
            series if series.unit is not None else series._replace(unit=entry["unit"])
            for series, (entry, _) in zip(found, wanted, strict=True)
        ]

    @contextlib.contextmanager
    def _turn(self, count):
        """Refused where a long span would take the last threads."""
        if count <= LONG:
            yield
            return
        if not self._long.acquire(blocking=False):
            raise Refused(503, "busy with other long spans, try again")
        try:
            yield
        finally:
            self._long.release()

    def _series(self, files, name, start, end, points, most):
        for attempt in range(_ATTEMPTS):
            try:
                return spans.values([self._files.channel(path, name) for path in files], start, end, points, most)
            except BadInput as error:
                # A day file that was replaced meanwhile is another one when it is opened again.
                if attempt == _ATTEMPTS - 1:
                    raise Refused(503, str(error).replace(self.out.rstrip("/") + "/", "")) from None
        raise AssertionError


def _there(days):
    """The days that have a day file, which is whole and true: also while the day is made again."""
    return [day for day in days if day.h5]


def _valid(day):
    """The names of a day's valid channels by its list of them; None if there is no list."""
    try:
        path = Folder.holding(day.h5).channel_list("valid")
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read().split("\n")[:-1]
    except OSError:
        return None
