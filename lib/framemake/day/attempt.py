"""One attempt at a day: its folder is made ready, make runs there under the day's lock, its end is noted."""

import contextlib
import enum
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .. import child, files, gps
from ..errors import BadInput
from ..version import ROOT
from .folder import COMPLETED, FAILED, INTERRUPTED, NO_FRAME, RUNNING, Folder, shape_of

# The handle of the lock in make and what it runs.
LOCK_HANDLE = 9


class Outcome(enum.Enum):
    """What came of an attempt.

    STANDS: the day is finished, and stays as it is or is told to have more than was asked for, as it would lose
    something else.
    """

    DONE = "done"
    STANDS = "stands"
    NOT_DONE = "not done"


class Request(NamedTuple):
    """How a day is to be made.

    channels: the path of the channel list.  shape: as folder.shape_of gives it.  resume: use what earlier runs left.
    summary: whether the day is to have one.  wait: seconds to wait for another make on the day.  listed: its frames
    have been listed, see Folder.listed.  retries: how often a range has tried it before; None outside a range.
    shrink: whether a finished day may lose something.  span: START, END and MINUTES as they were given, or ''.
    increment, compression: as they were given.  rate, least: of a day that is resampled, as of resample.Lower; else ''.
    """

    channels: str
    shape: str
    resume: bool = True
    summary: bool = True
    wait: float = 3600
    listed: bool = False
    retries: int | None = None
    shrink: bool = False
    span: tuple[str, str, str] = ("", "", "")
    increment: str = ""
    compression: str = ""
    rate: str = ""
    least: str = ""

    @classmethod
    def of(cls, variables: Mapping) -> "Request":
        """The Request that make's variables come to; lib/make/checks has checked all but RATE and LEAST: BadInput."""
        lower: tuple[str, str] = ("", "")
        if variables.get("SOURCE"):
            from . import resample

            lower = resample.Lower(variables["RATE"], variables["LEAST"]).checked()
        return cls(
            variables.get("COPIED_CHANNELS") or variables["CHANNELS"],
            shape_of(variables),
            variables.get("RESUME") != "no",
            variables.get("SUMMARY") != "no",
            float(variables.get("LOCK_WAIT") or 3600),
            bool(variables.get("LISTED")),
            int(variables["ATTEMPT"]) if variables.get("ATTEMPT") else None,
            variables.get("SHRINK") == "yes",
            (variables.get("START") or "", variables.get("END") or "", variables.get("MINUTES") or ""),
            variables["INCREMENT"],
            variables["COMPRESSION"],
            *lower,
        )

    def window(self, date: str) -> gps.Window:
        """The window that is asked for, of a day 'YYYY-MM-DD'."""
        start, end, minutes = self.span
        if start:
            return gps.Window(int(gps.parse(start)), int(gps.parse(end)))
        return gps.day_window(date, int(minutes) if minutes else None)


def is_of_converter(folder: Folder) -> bool:
    """Whether a day was finished by the converter before this project, and is in its folder as that left it."""
    if os.path.exists(folder.settings) or not folder.is_finished():
        return False
    from . import dayfile, layout

    try:
        with dayfile.open_day(folder.h5) as day:
            return day.provenance.layout == layout.CONVERTER
    except BadInput:
        return False


def stands(folder: Folder, date: str, request: Request) -> str:
    """Why a finished day is not to be made again as it would lose something, and how to do it anyway; '' if it may be.

    Looked at are the settings; what frames and the channel list no longer have is kept.
    """
    if request.shrink or folder.is_made_with(request.shape) or folder.state().get("status") != COMPLETED:
        return ""
    if is_of_converter(folder):
        return f"{date} was finished by another program and stays as it is, SHRINK=yes makes it anew: {folder.h5!r}"
    # Loaded here: h5py takes longer than a day with nothing new.
    from . import dayfile

    try:
        with dayfile.open_day(folder.h5) as day:
            made = day.provenance
    except BadInput:
        return ""
    asked, why = request.window(date), ""
    if request.rate:
        from . import resample

        why = resample.refusal(made, resample.Lower(request.rate, request.least), request.compression)
    elif not asked.start <= made.window.start < made.window.end <= asked.end:
        lost = max(0, asked.start - made.window.start) + max(0, made.window.end - asked.end)
        why = f"{lost} s of it are not in the span that was asked for"
    elif str(made.increment) != request.increment:
        why = f"it was made with INCREMENT={made.increment}"
    elif made.compression != request.compression:
        why = f"it was made with COMPRESSION={made.compression}"
    return f"{date} is finished and stays as it is, {why}, SHRINK=yes makes it anyway: {folder.h5!r}" if why else ""


def build(folder: Folder, date: str, request: Request, environ: Mapping, say: Callable[[str], None]) -> Outcome:
    """Build a day.  The folder's path is absolute.

    environ: make's variables, and all else that make and what it runs are to have.  say: is called with what people
    are to know.  BadInput if the folder cannot be used, or the day cannot be made anew.  Ctrl-C and SIGTERM stop make
    and what it runs; that the day was interrupted is noted all the same.
    """
    try:
        os.makedirs(folder.work, exist_ok=True)
    except OSError:
        raise BadInput(f"cannot make the day's folder: {folder.path!r}") from None
    if not (os.access(folder.path, os.W_OK) and os.access(folder.work, os.W_OK)):
        raise BadInput(f"cannot write to the day's folder: {folder.path!r}")
    begun = gps.now_utc()
    waiting = lambda: say(f"{date} is being built by another make, waiting: {folder.path}")  # noqa: E731
    try:
        with folder.hold(request.wait, waiting) as handle, child.Runner(whole=True) as runner:
            if why := stands(folder, date, request):
                say(why)
                return Outcome.STANDS
            closed = _closed(folder, request, say)
            before = folder.state()
            whole = not request.resume or not (os.path.isfile(folder.h5) or os.path.isdir(folder.parts))
            clock = time.monotonic()
            prepare(folder, date, request, closed, begun)
            names = environment(folder, date, request, closed, begun)
            with _inherited(handle):
                status = runner.run(make(folder), {**environ, **names})
            with contextlib.suppress(OSError):
                os.unlink(folder.copied)  # of a day that failed, or was stopped
            if status == 0:
                _let_go(folder)
                if before.get("status") == COMPLETED and folder.state().get("status") == RUNNING:
                    folder.note(**before)  # another has built it meanwhile, and nobody had anything to tell
                folder.drop_parts()  # where a run that was stopped left some, and this one needed none
                if whole and not closed:
                    # By this it is told how long others will take.
                    one_go = {"seconds": round(time.monotonic() - clock, 1), "bytes": os.path.getsize(folder.h5)}
                    folder.note(one_go={**one_go, "at_once": int(environ.get("AT_ONCE") or 1)})
                kept = folder.state().get("kept_channels")
                if kept:
                    what = f"{kept} channels that are not in the list"
                    say(f"{date} keeps {what}, SHRINK=yes leaves them out: {folder.h5!r}")
                return Outcome.STANDS if kept else Outcome.DONE
            after = folder.state()
            if after.get("status") == COMPLETED and after.get("left_out"):
                return Outcome.STANDS
            if after.get("reason") == NO_FRAME and before.get("status") == COMPLETED and os.path.isfile(folder.h5):
                folder.note(**before)
                say(f"{date} is finished and stays as it is, all its frames are gone: {folder.h5!r}")
                return Outcome.STANDS
            # A command that failed has noted why; one that was killed could not.
            if folder.state().get("status") == RUNNING:
                with contextlib.suppress(OSError):
                    folder.note(status=FAILED, error=INTERRUPTED)
            return Outcome.NOT_DONE
    except TimeoutError:
        raise BadInput(f"gave up waiting after {request.wait:g} s: {folder.path!r}") from None


def _let_go(folder):
    """Have the cache let go of the copies of frames at URLs that the day was made from.

    One that reaches into the next day is left to that.
    """
    try:
        if "://" not in files.read_text(folder.frames):
            return
    except FileNotFoundError:
        return  # of a day that is closed
    from ..frames import cache, catalog, lists

    frames = lists.named(folder.frames).frames
    end = gps.day_window(gps.day_of(max(frame.start for frame in frames))).end if frames else 0
    copies = [catalog.wanted(frame) for frame in frames if frame.is_remote and frame.end <= end]
    cache.Cache.of_environment().let_go(copies)


def _closed(folder, request, say):
    """Whether the day is closed: it stays as it is until the frames that were pruned are back."""
    if not folder.gone():
        return False
    if not request.resume or not os.path.isfile(folder.h5):
        raise BadInput(f"cannot be made anew, frames of it were pruned: {folder.pruned!r}")
    say(f"{folder.name} stays as it is, frames of it were pruned: {folder.pruned}")
    return True


def prepare(folder: Folder, date: str, request: Request, closed: bool, begun: str) -> None:
    """Make a day's folder ready for make: what was left is sorted out, and what the day is made from is laid down."""
    # A range that plans this day may be writing these at this moment; all else is written under the lock, so by us.
    planned = tuple(f".{os.path.basename(path)}." for path in (folder.state_path, folder.listed))
    for path, _, names in os.walk(folder.path):
        for name in names:
            each = os.path.join(path, name)
            killed = name.startswith(".") and name.endswith(".tmp") and not name.startswith(planned)
            if killed or files.is_left(each):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(each)
    unfinished = folder.state().get("status") != COMPLETED
    if not closed:
        # A day file that was damaged since it was written is newer than all that it is made from.
        damaged = unfinished and _is_damaged(folder.h5)
        if not request.resume:
            folder.drop_parts()
        for path, _ in folder.inputs:
            # Frames that the system did not give the last time, though they were there, are read again.
            # What is kept can go by making the day again, though nothing that it is made from has changed.
            again = damaged or folder.is_transient() or (request.shrink and folder.keeps())
            if not request.resume or (path == folder.frames and again):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        folder.lay_down(folder.requested, files.read_bytes(request.channels))
        folder.lay_down(folder.settings, os.fsencode(request.shape + "\n"))
        if request.listed:
            folder.lay_down(folder.frames, files.read_bytes(folder.listed))
    # If the state does not say that the day is done, summarize runs again at least: the state may have been lost.
    if unfinished:
        for path in (folder.summary, folder.stamp):
            try:
                os.utime(path, (0, 0))
            except FileNotFoundError:
                pass
            except PermissionError:
                os.unlink(path)  # another user's, who shares the folder
    # In a range a day that is run has work to do, maybe not for the first time.
    if request.retries is not None:
        note = {"status": RUNNING, "retries": request.retries, "error": None}
        folder.note(date=date, **note, started_at_utc=begun, finished_at_utc=None)


def _is_damaged(h5):
    """Whether there is such a file, we may read it, and it is no HDF5 file."""
    if not os.access(h5, os.R_OK):
        return False
    # Loaded here: a day with nothing new needs none of it.
    from . import dayfile

    try:
        dayfile.DayFile(h5).close()
    except BadInput:
        return True
    return False


def make(folder: Folder) -> list:
    """The make that runs in a day's folder."""
    return ["make", "--no-print-directory", "-C", folder.path, "-f", os.path.join(ROOT, "lib", "make", "day.mk")]


def environment(folder: Folder, date: str, request: Request, closed: bool, begun: str) -> dict:
    """What lib/make/day.mk needs to know: the names of the folder's files, from the folder, and how the day is made."""
    paths = {
        "h5": folder.h5,
        "last": folder.last(request.summary),
        "inputs": " ".join(os.path.relpath(path, folder.path) for path, _ in folder.inputs),
        "frames": folder.frames,
        "requested": folder.requested,
        "channels": folder.channels,
        "rejected": folder.unread,
        "parts": folder.parts,
        "copied": folder.copied,
    }
    return {
        **{name: path.removeprefix(folder.path + "/") for name, path in paths.items()},
        "DAY": date,
        "BEGUN": begun,
        "KEEP": os.path.basename(folder.h5) if request.resume else "",
        "CLOSED": "yes" if closed else "",
        "LISTED": "yes" if request.listed else "",
    }


@contextlib.contextmanager
def _inherited(handle):
    """Give children a handle of the lock, under a number that they use for nothing else."""
    os.dup2(handle, LOCK_HANDLE, inheritable=True)
    os.set_inheritable(LOCK_HANDLE, True)  # if it had that number before
    try:
        yield
    finally:
        if handle != LOCK_HANDLE:
            os.close(LOCK_HANDLE)
