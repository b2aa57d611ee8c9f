"""The day datasets as the server knows them: the days of an output folder, their channels, and curves of these."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from .. import files, gps
from ..day.folder import COMPLETED, INTERRUPTED, MISSING, QUEUED, RUNNING, Folder
from ..days import status
from ..errors import BadInput, wording
from ..frames import names as channel_names
from . import dayfiles, spans
from .query import Refused
from .standing import without_folders
from .streams import identity

# Day files times channels that one request may look into, a few milliseconds each.
MOST_FILES = 4000
_ATTEMPTS = 3
# Long spans that a process reads at once, and from how many days, of all names together, a span is long: the rest of
# the threads answer the others.
LONG_ONES, LONG = 2, 100
# Seconds for which nothing is looked at again, and for which the states of days are not.
_AT_ONCE, _STATES = 0.05, 1.0
_CHANGING = (RUNNING, QUEUED, INTERRUPTED)


class _Snapshot(NamedTuple):
    """The days as they were found.

    checked, made: time.monotonic() of when the files were last seen to be the same, and of when the days were read.
    key, states: the identities of the day files and summaries, and of the states, that the days were read from.
    """

    checked: float
    made: float
    key: tuple
    states: tuple
    days: list


class ServedDays:
    """The day datasets of an output folder `out`; what was read is kept while the files that it was read from stay."""

    def __init__(self, out: str):
        self.out = out
        self._lock = threading.Lock()
        self._snapshot: _Snapshot | None = None
        self._listed: tuple[tuple, list[dict]] | None = None
        self._open = dayfiles.OpenChannels()
        self._long = threading.BoundedSemaphore(LONG_ONES)

    def current(self) -> tuple[tuple, list[status.DayStatus]]:
        """(what changes whenever a day file does, the days by status.days_of); Refused if they cannot be read.

        A new day file is seen at once, a new state of a day within a second.
        """
        with self._lock:
            held, now = self._snapshot, time.monotonic()
        if held and now - held.checked < _AT_ONCE:
            return held.key, held.days
        key, states = self._identities()
        fresh = held and now - held.made < _STATES
        settled = held and held.states == states and not any(day.status in _CHANGING for day in held.days)
        if held and held.key == key and (fresh or settled):
            held = held._replace(checked=now)
        else:
            held = _Snapshot(now, now, key, states, self._days())
        with self._lock:
            self._snapshot = held
        return held.key, held.days

    def _days(self):
        try:
            return status.days_of(self.out)
        except BadInput:
            return []
        except OSError as error:
            raise Refused(503, f"the folder of days cannot be read, {wording(error)}") from None

    def _identities(self):
        """The identities of the day files and summaries that there are, and those of the states: two tuples."""
        try:
            folders = sorted(folder for days in Folder.all_in(self.out).values() for folder in days.values())
        except OSError:
            return (), ()
        files = tuple((folder.path, identity(folder.h5), identity(folder.summary)) for folder in folders)
        return files, tuple(identity(folder.state_path) for folder in folders)

    def listing(self) -> list[dict]:
        """The entries of /api/days: a dict for each day, by spec, then by date."""
        return [
            {
                "day": day.date,
                "spec": day.spec,
                # export-streams writes no state: a day file that is there is whole.
                "status": COMPLETED if day.h5 and day.status == MISSING else day.status,
                "start": window.start,
                "end": window.end,
                "file": day.h5 is not None,
                "channels": day.channels if day.h5 else None,
                "coverage": day.coverage,
                "finished": day.finished,
                "error": without_folders(day.error) if day.error else None,
                "absent": day.absent,
                "damaged": day.unreadable,
            }
            for day in self.current()[1]
            for window in (gps.day_window(day.date),)
        ]

    def channels(self, spec: str = "") -> list[dict]:
        """The entries of /api/channels: a dict for each channel of the days, by spec and name; spec: only of this."""
        return [entry for entry in self._channels() if not spec or entry["spec"] == spec]

    def _channels(self):
        key, days = self.current()
        with self._lock:
            if self._listed and self._listed[0] == key:
                return self._listed[1]
        found = {}
        for day in reversed(_there(days)):
            names = _valid(day)
            if names is not None and all((day.spec, name) in found for name in names):
                continue
            with contextlib.suppress(BadInput):
                for name, (rate, unit) in dayfiles.channels_of(day.h5).items():
                    entry = {"name": name, "rate": rate, "unit": unit, "spec": day.spec}
                    found.setdefault((day.spec, name), entry)
        entries = [
            {
                **found[at],
                "subsystem": channel_names.parts(at[1])["subsystem"],
                "title": channel_names.told(at[1])["title"],
            }
            for at in sorted(found)
        ]
        with self._lock:
            self._listed = key, entries
        return entries

    def _channel(self, name, spec):
        """The entry of a channel in channels(); Refused if there is none, or one in each of several specs."""
        found = [entry for entry in self.channels(spec) if entry["name"] == name]
        if not found:
            raise Refused(404, f"no such channel: {name[:200]!r}")
        if len(found) > 1:
            specs = ", ".join(entry["spec"] for entry in found)
            raise Refused(400, f"several specs have the channel, spec says which ({specs}): {name[:200]!r}")
        return found[0]

    def known(self, name: str, spec: str = "") -> tuple[str, float]:
        """(the spec that has a channel, its rate in Hz); Refused if there is none, or several and `spec` is ''."""
        entry = self._channel(name, spec)
        return entry["spec"], entry["rate"]

    def tag(self, start: float, end: float) -> tuple:
        """What changes whenever the values of a span in GPS s do, as a tuple."""
        return self.current()[0], start, end

    def curves(self, names: Sequence[str], spec: str, start: float, end: float, points: int) -> list[spans.Curve]:
        """The Curve of each channel over a span in GPS s, in at most so many points.

        spec: '' if only one has the channels.  Refused for a channel that there is not, too many days, a day file that
        cannot be read, or a long span while others are read.
        """
        days = _there(self.current()[1])
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
            found = [self._curve(files, entry["name"], start, end, points, most) for entry, files in wanted]
        # A curve has a unit though no day of its span has the channel.
        return [
            curve if curve.unit is not None else curve._replace(unit=entry["unit"])
            for curve, (entry, _) in zip(found, wanted, strict=True)
        ]

    @contextlib.contextmanager
    def _turn(self, count):
        """Wait for nothing: Refused if a long span would take the last threads."""
        if count <= LONG:
            yield
            return
        if not self._long.acquire(blocking=False):
            raise Refused(503, "busy with other long spans, try again")
        try:
            yield
        finally:
            self._long.release()

    def _curve(self, files, name, start, end, points, most):
        for attempt in range(_ATTEMPTS):
            try:
                return spans.curve([self._open.channel(path, name) for path in files], start, end, points, most)
            except BadInput as error:
                # A day file that was replaced meanwhile can be opened again.
                if attempt == _ATTEMPTS - 1:
                    raise Refused(503, str(error).replace(self.out.rstrip("/") + "/", "")) from None
        raise AssertionError


def _there(days):
    """The days that have a day file.  It is whole and right, also while the day is made again."""
    return [day for day in days if day.h5]


def _valid(day):
    """The names of a day's valid channels by its list of them; None if there is no list."""
    try:
        path = Folder.holding(day.h5).channel_list("valid")
        with files.opened(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read().split("\n")[:-1]
    except OSError:
        return None
