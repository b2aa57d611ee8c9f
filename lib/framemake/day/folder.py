"""The folder of a day: every name in it, its lock, its state, and when a day is closed.

    OUT/V1trend-2024-04-10/
      V1trend_20240410.h5               the day file
      V1trend_20240410.summary.json     what it holds, in numbers
      channels_info/                    channel lists and coverage
      V1trend_20240410.sha256           digests of all of these: see manifest
      state_day.json                    how far the day is: see Folder.state
      worker.log                        what happened when
      .work/                            what the day was made from, and what a run needs
      .pruned.tsv                       frame files of the day that were removed since: see Folder.gone

Nothing else in the project writes a path or a rule of these down.
"""

import contextlib
import datetime
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .. import files

# What the status of a day can be.  The first four stand in state_day.json.  A day is interrupted if its state says that
# it runs and no process holds its lock, and missing if it has no folder, or an empty one.
COMPLETED, RUNNING, QUEUED, FAILED, INTERRUPTED, MISSING = STATUSES = (
    "completed",
    "running",
    "queued",
    "failed",
    "interrupted",
    "missing",
)
# The reason of a day that failed as there is no frame of it.
NO_FRAME = "no_frame"
# The keys that a state always has, as the converter before this project wrote them.
_KEYS = ("date", "h5_path", "increment_size", "last_completed_chunk", "status", "error")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.+-]*)-(\d{4}-\d{2}-\d{2})")
STATE, SUMMARY = "state_day.json", ".summary.json"


class Folder(NamedTuple):
    """A day's folder: its path, and the name that its products have: V1trend_20240410."""

    path: str
    name: str

    @classmethod
    def of(cls, out: str, spec: str, date: str) -> "Folder":
        """The Folder of a day 'YYYY-MM-DD' in an output folder."""
        return cls(os.path.join(out, f"{spec}-{date}"), f"{spec}_{date.replace('-', '')}")

    @classmethod
    def holding(cls, h5: str) -> "Folder":
        """The Folder that a day file lies in, whatever its name is."""
        return cls(os.path.dirname(os.path.abspath(h5)), os.path.basename(h5).removesuffix(".h5"))

    @classmethod
    def at(cls, path: str) -> "Folder":
        """The Folder of a path alone: for its state and its work, not for its products."""
        return cls(path, "")

    @classmethod
    def all_in(cls, out: str) -> dict:
        """{spec: {date: Folder}} of an output folder; OSError if it cannot be read."""
        found: dict = {}
        for entry in os.scandir(out):
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir() and is_date(match[2]):
                found.setdefault(match[1], {})[match[2]] = cls.of(out, match[1], match[2])
        return found

    # --- names -----------------------------------------------------------------------------

    @property
    def h5(self) -> str:
        return self._named(f"{self.name}.h5")

    @property
    def summary(self) -> str:
        return self._named(self.name + SUMMARY)

    @property
    def lists(self) -> str:
        """The folder of the channel lists."""
        return self._named("channels_info")

    @property
    def coverage(self) -> str:
        return os.path.join(self.lists, "channels_coverage.json")

    def channel_list(self, kind: str) -> str:
        """The list of the requested, valid, invalid or pruned channels."""
        return os.path.join(self.lists, f"{kind}_channels.txt")

    @property
    def rejected(self) -> str:
        """The table of the channels that the day does not have: name, invalid or pruned, reason."""
        return os.path.join(self.lists, "rejected.tsv")

    @property
    def told(self) -> tuple[str, ...]:
        """The paths of the day file and of all that is told of it: what is the same until the day is made again."""
        lists = (self.channel_list(kind) for kind in ("requested", "valid", "invalid", "pruned"))
        return (self.h5, self.summary, *lists, self.rejected, self.coverage)

    @property
    def manifest(self) -> str:
        """The digests of `told`, as sha256sum has them."""
        return self._named(f"{self.name}.sha256")

    def drop_manifest(self) -> None:
        """Remove the manifest, as the day file is about to be another."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.manifest)

    @property
    def hashed(self) -> str:
        """The digest of the day file from the run that wrote it, which goes with the parts: see manifest.note."""
        return os.path.join(self.parts, "hashed")

    @property
    def state_path(self) -> str:
        return self._named(STATE)

    @property
    def state_lock(self) -> str:
        """Held while the state is changed."""
        return self._named(".state.lock")

    @property
    def log(self) -> str:
        return self._named("worker.log")

    @property
    def pruned(self) -> str:
        """The table of the frame files that were removed since the day was made from them."""
        return self._named(".pruned.tsv")

    @property
    def work(self) -> str:
        return self._named(".work")

    @property
    def lock(self) -> str:
        return self._worked("lock")

    @property
    def frames(self) -> str:
        """The table of the frame files that the day was made from."""
        return self._worked("frames.tsv")

    @property
    def listed(self) -> str:
        """The table of the frame files that the day is to be made from: what the plan of a range lays down."""
        return self._worked("listed.tsv")

    @property
    def requested(self) -> str:
        """A copy of the channel list that the day was made from."""
        return self._worked("requested.txt")

    @property
    def settings(self) -> str:
        """One line that holds every setting which changes what a day holds."""
        return self._worked("settings")

    @property
    def stamp(self) -> str:
        """Written when all has been told of a day that is to have no summary."""
        return self._worked("told")

    @property
    def transient(self) -> str:
        """There if the system did not give some frame files, a line each: they are to be read again as they are."""
        return self._worked("transient")

    @property
    def parts(self) -> str:
        return self._worked("parts")

    @property
    def copied(self) -> str:
        """A copy of the day file, made in this boot of the machine, for the next one to go on with: see files.take."""
        return os.path.join(self.parts, f"copied-{files.boot()}")

    @property
    def channels(self) -> str:
        """The table of the channels that the frames have, for those who read."""
        return self._worked("channels.tsv")

    @property
    def unread(self) -> str:
        """The table of the channels that are not read: name, invalid or pruned, reason."""
        return self._worked("rejected.tsv")

    # --- what a day is made from -----------------------------------------------------------

    @property
    def inputs(self) -> tuple:
        """((path, what has happened if it is another), ...): what the day file is made from, in the order of asking.

        The day file is made anew if one of them is newer; they are written only if their content changes.
        """
        return (
            (self.frames, "frames changed"),
            (self.requested, "channel list changed"),
            (self.settings, "settings changed"),
        )

    def is_made_with(self, shape: str) -> bool:
        """Whether the settings that the day was made with last, see shape_of, are these."""
        try:
            with files.opened(self.settings, "rb") as source:
                return source.read() == os.fsencode(shape + "\n")
        except OSError:
            return False

    def last(self, summary: bool) -> str:
        """The file that is written last, so that it tells that all is there: a day need not have a summary."""
        return self.summary if summary else self.stamp

    def is_transient(self) -> bool:
        """Whether some frame files are to be read again, though they are what they were."""
        try:
            return os.stat(self.transient).st_size > 0
        except OSError:
            return False

    def transient_paths(self) -> set[str]:
        """The frame files that are to be read again, though they are what they were."""
        try:
            return set(files.read_text(self.transient).splitlines())
        except OSError:
            return set()

    def lay_down(self, path: str, content: bytes) -> None:
        """Write one of the inputs, if its content is another."""
        try:
            if files.read_bytes(path) == content:
                return
        except FileNotFoundError:
            pass
        files.write_bytes(path, content, durable=False)

    def _named(self, name):
        return os.path.join(self.path, name)

    def _worked(self, name):
        return os.path.join(self.work, name)

    # --- the lock, and the state -----------------------------------------------------------

    @contextlib.contextmanager
    def hold(self, wait: float, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
        """Hold the lock of the day; yields its handle, which a child that is given it holds as well.

        The lock is free when the last process that has the handle has ended, however it ended.
        wait: seconds to wait for another holder; TimeoutError after that.  waiting: called before it waits.
        """
        handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not _taken(handle):
                waiting()
                end = time.monotonic() + wait
                while not _taken(handle):
                    if time.monotonic() >= end:
                        raise TimeoutError
                    time.sleep(0.05)
            with contextlib.suppress(OSError):  # a full disk, say: who holds it is for people
                os.ftruncate(handle, 0)
                os.pwrite(handle, b"%d\n" % os.getpid(), 0)
            yield handle
        finally:
            os.close(handle)

    def is_held(self) -> bool:
        """Whether a process holds the lock of the day."""
        try:
            handle = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The process id of whoever took the lock last, on its machine; None if that is not known."""
        try:
            with files.opened(self.lock, encoding="ascii") as lock:
                return int(lock.read())
        except (OSError, ValueError):
            return None

    def state(self) -> dict:
        """What state_day.json says; empty if there is none yet, or a damaged one.

        Besides the keys that are always there: started_at_utc, finished_at_utc, retries.  Of a day that failed for want
        of frames reason, which is NO_FRAME.  Of one that make has made from nothing one_go: the seconds that took, how
        many days were made at once then, and the bytes of the day file that came of it.
        """
        try:
            said = json.loads(files.read_bytes(self.state_path))
        except (FileNotFoundError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def standing(self, ours: bool = False) -> tuple:
        """(the state, the status that it and the lock come to: one of STATUSES, or what a damaged state says).

        ours: nobody else is at work at the day, as we have asked, and may hold its lock ourselves.
        """
        said = self.state()
        status = said.get("status")
        # A run notes that the day is done while it still holds the lock.
        if status == COMPLETED:
            return said, status
        if not ours and self.is_held():
            return said, RUNNING
        if status == RUNNING:
            # It may have come to its end between the two looks.
            said = self.state()
            status = said.get("status")
            return said, INTERRUPTED if status == RUNNING else status
        if not said:
            return said, INTERRUPTED if os.path.exists(self.lock) else MISSING
        if status == FAILED and said.get("error") == INTERRUPTED:
            return said, INTERRUPTED
        return said, status

    def is_finished(self) -> bool:
        """Whether the state says that the day is completed, and its file is there."""
        return self.state().get("status") == COMPLETED and os.path.isfile(self.h5)

    def keeps(self) -> bool:
        """Whether the day has samples of frames that are gone, or channels that are not in its list."""
        state = self.state()
        return bool(state.get("kept_frames") or state.get("kept_channels"))

    def note(self, **changes: object) -> None:
        """Change some keys of the state; several processes may do so at once."""
        self._change(lambda state: False, **changes)

    def note_running(self, begun: str, **changes: object) -> None:
        """Note how far the run that began at `begun` is, unless another process of it has said that it ended."""

        def ended(state):
            return begun and state.get("started_at_utc") == begun and state.get("status") in (COMPLETED, FAILED)

        self._change(ended, status=RUNNING, started_at_utc=begun, **changes)

    def drop_parts(self) -> None:
        """Remove the parts, which are joined or of no use; only for the run that holds the day."""
        if os.path.lexists(self.parts):
            # Here: it takes as long to load as all the rest.
            import shutil

            shutil.rmtree(self.parts, ignore_errors=True)

    @contextlib.contextmanager
    def dropping_parts(self) -> Iterator[None]:
        """As drop_parts, beside the block, as the system takes long for it; but the note of the digest, at its end."""
        thread = threading.Thread(target=self._drop_joined)
        thread.start()
        try:
            yield
        finally:
            thread.join()
        self.drop_parts()

    def _drop_joined(self):
        with contextlib.suppress(OSError):
            for name in os.listdir(self.parts):
                path = os.path.join(self.parts, name)
                # Nor what is being written: see files.beside.
                if path != self.hashed and not name.startswith("."):
                    os.unlink(path)

    def note_completed(self, summary: dict) -> None:
        """Note that the day is done, as its summary tells."""
        self.note(
            date=summary["date"],
            h5_path=self.h5,
            increment_size=summary["increment_size"],
            last_completed_chunk=summary["total_chunks"] - 1,
            status=COMPLETED,
            error=None,
            finished_at_utc=summary["completed_at_utc"],
            left_out=None,
            kept_frames=summary["kept_frames"],
            kept_channels=len(summary["kept_channels"]),
        )

    def note_stands(self, why: str) -> None:
        """Note that the day stays as it was, completed, though it was to be made again: see errors.WouldLose."""
        self.note(status=COMPLETED, error=None, left_out=why)

    def _change(self, unless, **changes):
        with files.locked(self.state_lock):
            state = self.state()
            if unless(state):
                return
            for key in _KEYS:
                state.setdefault(key, None)
            if "status" in changes:
                state.pop("reason", None)
            state.update(changes)
            files.write(self.state_path, json.dumps(state, indent=1) + "\n", durable=False)

    # --- days of which frames were removed -------------------------------------------------

    def gone(self) -> list:
        """The catalog.Frames that were removed since the day was made from them, and are not there.

        While there are any the day is closed: it cannot be made again, as what is gone would become NaN.
        """
        if not os.path.exists(self.pruned):
            return []
        return [frame for frame in _table(self.pruned) if not os.path.exists(frame.path)]

    def is_made_from(self, listing: list, gone: list) -> bool:
        """Whether the day was made from the frames of a listing and those that are gone, and from no others.

        A frame that is gone may be listed as absent or not at all, and so may one that was absent before.
        """
        from ..frames import catalog

        made = {frame[:5] for frame in _table(self.frames)} if os.path.exists(self.frames) else set()
        there = {frame[:5] for frame in listing if frame.status != catalog.ABSENT}
        return there | {frame[:5] for frame in gone} == {frame for frame in made if frame[3] >= 0}


def shape_of(variables: Mapping) -> str:
    """The line of Folder.settings: every one of make's variables that changes what a day holds.

    A day that was made with another line is made anew.
    """
    if variables.get("SOURCE"):
        return "{SPEC} at {RATE} Hz, {LEAST} of it good, {COMPRESSION}".format_map(variables)
    start, end, minutes = (variables.get(name) for name in ("START", "END", "MINUTES"))
    shape = " ".join(variables[name] for name in ("SPEC", "INCREMENT", "COMPRESSION"))
    return shape + (f", {minutes} minutes" if minutes else "") + (f", {start} to {end}" if start else "")


def is_date(text: str) -> bool:
    """Whether a text is a day, YYYY-MM-DD."""
    try:
        return str(datetime.date.fromisoformat(text)) == text
    except ValueError:
        return False


def _taken(handle):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _table(path):
    # Only here, and above: a day with nothing new is not to wait for what reads lists of frames.
    from ..frames import lists

    return lists.named(path).frames
