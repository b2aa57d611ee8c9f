"""Mirrors of frame trees: rsync run once for each origin, and what its exit status means.

rsync writes a file under a hidden name and renames it when it is whole and synced.  What a broken transfer had goes
into a hidden folder beside it, and the next transfer begins there.  Exit statuses: section EXIT VALUES of rsync(1).
"""

import contextlib
import enum
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .. import files
from ..errors import BadInput

# The mirror's own folder in DEST: the lock, the mark of a run that was killed, and the logs.
OWN = ".mirror-frames"
PARTIAL = ".rsync-partial"
# A frame as rsync names it while it comes.
_COMING = re.compile(r"\.(.+\.gwf)\.[A-Za-z0-9]{6}")
# A log larger than this is put aside when a run begins; one such is kept.
_LOG_BYTES = 10_000_000
# Seconds that rsync may take to end when it is told to.
_PATIENCE = 30
# Exit statuses of rsync, and of ssh (255), that mean that the other end is not there.
_AWAY = {
    10: "the connection failed",
    12: "the connection broke",
    30: "nothing came for too long",
    35: "no answer",
    255: "ssh failed",
}
# The number of the system's error that a disk is full, or a quota, as rsync writes it.
_FULL = re.compile(r"\((28|122)\)$")
_SHORT = 150
# Which of rsync's processes says it is of no use to people.
_PREFIX = re.compile(r"^(rsync: )?(\[\w+\] )?")
_OPTIONS = ("password-file", "rsh", "bwlimit", "timeout")


class Origin(NamedTuple):
    """Where frames come from, in rsync's words, the folder of DEST that they go to, and options of rsync for it."""

    address: str
    folder: str = ""
    options: Mapping[str, str] = {}


class Result(enum.Enum):
    """What came of an origin, or of several; the last is the worst."""

    DONE = "all came"
    MISSING = "the origin was away, or some of its files did not come"
    FAILED = "it refused, or could not be mirrored"


_WORST = list(Result)


class Outcome(NamedTuple):
    """What came of one origin: the Result, and a message for people ('' if there is nothing to tell).

    tidy: rsync ended by itself, so no half a file lies under a name that nobody looks for.
    """

    result: Result
    message: str = ""
    tidy: bool = True


def read_origins(text: str) -> list[Origin]:
    """The Origins of a text that has one a line: SOURCE [FOLDER] [password-file=F] [rsh=R] [bwlimit=B] [timeout=S].

    Words are quoted as in a shell, # begins a comment.  Raises BadInput for a line that is none.
    """
    found = []
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise BadInput(f"not a source, {str(error).lower()}: {line!r}") from None
        if not words:
            continue
        options = dict(word.split("=", 1) for word in words[1:] if re.match(r"[a-z-]+=", word))
        folders = [word for word in words[1:] if not re.match(r"[a-z-]+=", word)]
        unknown = [name for name in options if name not in _OPTIONS]
        if len(folders) > 1 or unknown:
            raise BadInput(f"not a source, want SOURCE [FOLDER] [{'= '.join(_OPTIONS)}=]: {line!r}")
        found.append(Origin(words[0], folders[0] if folders else "", options))
    return found


def check(origins: Sequence[Origin], dest: str, delete: bool = False) -> None:
    """Raise BadInput for what rsync would misread, or where it would remove what another origin gave."""
    if not origins:
        raise BadInput("no source is given")
    if _is_remote(dest):
        raise BadInput(f"the place to mirror to is not a local folder: {dest!r}")
    whole = []
    for origin in origins:
        parts = origin.folder.split("/")
        if os.path.isabs(origin.folder) or ".." in parts or parts[0] == OWN:
            raise BadInput(f"not a folder below the mirror: {origin.folder!r}")
        if origin.address.startswith("-"):
            raise BadInput(f"not a source: {origin.address!r}")
        whole += [os.path.normpath(origin.folder)] if origin.address.endswith("/") else []
    for folder in whole if delete else []:
        others = [each for each in origins if _holds(folder, os.path.normpath(each.folder))]
        if len(others) > 1:
            raise BadInput(f"--delete would remove what another source gives, name folders apart: {folder!r}")


def _holds(folder, other):
    return folder == "." or other == folder or other.startswith(folder + "/")


def _is_remote(place):
    return "://" in place or ":" in place.split("/", 1)[0]


def _is_daemon(address):
    return address.startswith("rsync://") or "::" in address.split("/", 1)[0]


def before(second: int) -> list[str]:
    """rsync patterns of the frame files whose names say that they begin before a GPS second.

    Names are OBSERVATORY-DESCRIPTION-GPS-DURATION.gwf (LIGO-T010150).

    A number is smaller if it has fewer digits, or the same as far as some digit, and then a smaller one.
    """
    digits = str(second)
    numbers = ["[0-9]" * count for count in range(1, len(digits))]
    for at, digit in enumerate(digits):
        if digit != "0":
            numbers.append(f"{digits[:at]}[0-{int(digit) - 1}]{'[0-9]' * (len(digits) - at - 1)}")
    return [f"*-{number}-*.gwf" for number in numbers]


def run(
    origins: Sequence[Origin],
    dest: str,
    came: Callable[[str], object],
    say: Callable[[str], object],
    logs: str | None = None,
    wait: bool = False,
    more: Mapping[str, object] | None = None,
) -> Result:
    """Bring the frames of all origins to DEST, one origin after another; the worst Result.

    came: called with the local path of each file that has come.  say: called with each message.  logs: folder of the
    logs, None for the mirror's own.  wait: for another mirror of DEST.  more: rsync options for all origins, as
    {name: value}, True for one without a value, a list for one that is repeated; an origin's own go before them.
    Raises BadInput if another mirror works on DEST.
    """
    own = os.path.join(dest, OWN)
    os.makedirs(own, exist_ok=True)
    with files.locked(os.path.join(own, "lock"), wait) as lock:
        if lock is None:
            raise BadInput(f"another mirror is at work there: {dest!r}")
        mark = os.path.join(own, "running")
        if os.path.exists(mark):
            adopt(dest)
        files.opened(mark, "w").close()
        outcomes = []
        for origin in origins:
            outcomes.append(_mirror(origin, dest, logs or own, lock, more or {}, came))
            if outcomes[-1].message:
                say(outcomes[-1].message)
        if all(outcome.tidy for outcome in outcomes):
            os.unlink(mark)
    return max((outcome.result for outcome in outcomes), key=_WORST.index, default=Result.DONE)


def adopt(dest: str) -> None:
    """Let the next transfer begin with what a killed rsync had: move it to where rsync looks for it.

    Whatever a part holds, rsync compares it with the source by checksum.
    """
    umask = os.umask(0)
    os.umask(umask)
    for folder, _, names in os.walk(dest):
        for name in names:
            match = _COMING.fullmatch(name)
            part = os.path.join(folder, name)
            if not match or os.path.basename(folder) == PARTIAL or os.path.islink(part):
                continue
            kept = os.path.join(folder, PARTIAL, match[1])
            if os.path.exists(kept) and os.path.getsize(kept) >= os.path.getsize(part):
                os.unlink(part)
            else:
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                # rsync lets nobody else read what is on its way, and leaves a part's mode to the whole file.
                os.chmod(part, 0o666 & ~umask)
                os.replace(part, kept)


def _mirror(origin, dest, logs, lock, more, came):
    """Bring the frames of one origin to DEST: its Outcome."""
    target = os.path.join(dest, origin.folder) if origin.folder else dest
    os.makedirs(target, exist_ok=True)
    log = _log_of(origin, logs)
    vanished = bool(more.get("delete")) and _would_delete_all(origin, target, more)
    if vanished:
        more = {**more, "delete": False}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            _command(origin, target, log, more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
            # A mirror that is killed leaves its lock with the rsync that goes on: no two write to one tree.
            pass_fds=(lock,),
            # Out of the group that a time limit or Ctrl-C ends as one: a receiver that is told so by others than its
            # rsync reads on until the source has sent all.  And with no terminal it asks nobody for a password.
            start_new_session=True,
        )
        try:
            for line in process.stdout:
                words = os.fsdecode(line.rstrip(b"\n")).split(" ", 2)
                if words[0].startswith(">f"):
                    came(os.path.join(target, words[2]))
            status = process.wait()
        finally:
            if process.poll() is None:
                _end(process)
        said.seek(0)
        password = {**more, **origin.options}.get("password-file") if _is_daemon(origin.address) else None
        outcome = outcome_of(origin.address, status, os.fsdecode(said.read(1_000_000)), target, password)
        if vanished and outcome.result is Result.DONE:
            outcome = Outcome(
                Result.MISSING,
                f"no frame is left at the source, is its disk there? None is deleted: {origin.address!r}",
            )
    with contextlib.suppress(OSError), files.opened(log, "a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {outcome.message or 'done'}\n")
    return outcome


def _would_delete_all(origin, target, more):
    """Whether rsync would delete every frame that is here of an origin: a fault there, not here."""
    command = _command(origin, target, os.devnull, more)
    command[-3:-3] = ["--dry-run", "--out-format=%i %n"]
    shown = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    names = [line.split(b" ", 1)[1].strip() for line in shown.stdout.splitlines() if line.startswith(b"*deleting ")]
    going = sum(name.endswith(b".gwf") for name in names)
    last = os.path.basename(origin.address.rpartition(":")[2])
    here = sum(name.endswith(".gwf") for _, _, names in os.walk(os.path.join(target, last)) for name in names)
    return 0 < here <= going


def _end(process):
    """Tell rsync to end, which keeps what it has of a file; make it, if it does not."""
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _command(origin, target, log, more):
    """The words of one rsync: no shell reads them, here or, by --protect-args, at the other end of ssh."""
    if not shutil.which("rsync"):
        raise BadInput("a program is not installed: 'rsync'")
    options = {
        "recursive": True,
        "times": True,
        "links": True,
        "safe-links": True,
        "chmod": "Du+rwx,Fu+rw",
        "partial-dir": PARTIAL,
        "fsync": True,
        "no-motd": True,
        "8-bit-output": True,
        "outbuf": "L",
        # With %b, the bytes, a line comes after its file.
        "out-format": "%i %b %n",
        "log-file": os.path.abspath(log),
        "exclude": [f"{OWN}/", *more.get("exclude", [])],
    }
    if _is_daemon(origin.address):
        options["contimeout"] = "60"
    elif _is_remote(origin.address):
        # Nobody is there to answer a question at night.
        options |= {"protect-args": True, "rsh": "ssh -o BatchMode=yes -o ConnectTimeout=60"}
    options |= {name: value for name, value in more.items() if name != "exclude" and value} | origin.options
    if not _is_daemon(origin.address):
        options.pop("password-file", None)
    words = ["rsync"]
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--{name}" if each is True else f"--{name}={each}")
    return [*words, "--", origin.address, os.path.join(os.path.abspath(target), "")]


def _log_of(origin, logs):
    """The path of an origin's log, in a folder that is made if need be; a large one is put aside."""
    name = re.sub(r"[^A-Za-z0-9_.@+-]+", "-", origin.address.split("://")[-1]).strip("-.") or "source"
    os.makedirs(logs, exist_ok=True)
    log = os.path.join(logs, f"mirror-{name}.log")
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(log) > _LOG_BYTES:
            os.replace(log, f"{log}.1")
    return log


def outcome_of(address: str, status: int, said: str, target: str = "", password: str | None = None) -> Outcome:
    """The Outcome of an rsync to a folder `target`, that ended with an exit status and said something.

    MISSING: some files could not be sent (23), or the other end is away (10, 12, 30, 35, and 255 of ssh).  Files that
    were deleted there meanwhile (24) are told, and are no fault.  All else FAILED.  password: the file that it is in.
    """
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    vanished = sum("has vanished:" in line for line in lines)
    reasons = [line for line in lines if not line.startswith(("rsync error:", "rsync warning:"))]
    reasons = [_PREFIX.sub("", line) for line in reasons if "has vanished:" not in line]
    why = f"rsync {status}: {_short(reasons[0].rstrip('.')) if reasons else 'no reason given'}"
    secret = f", password file {password!r}" if password else ""
    if status == 0:
        return Outcome(Result.DONE)
    if status < 0:
        return Outcome(Result.FAILED, f"rsync was killed by signal {-status}: {address!r}", tidy=False)
    if any(_FULL.search(line) for line in reasons):
        return Outcome(Result.FAILED, f"disk full, not all came from {address!r}: {target!r}", tidy=False)
    if status == 24:
        return Outcome(Result.DONE, f"{vanished or 'some'} file(s) vanished at the source, the rest came: {address!r}")
    if status == 23:
        return Outcome(Result.MISSING, f"some files did not come ({len(reasons)} messages; {why}): {address!r}")
    if status in _AWAY:
        return Outcome(Result.MISSING, f"the source is away, {_AWAY[status]} ({why}): {address!r}", status != 12)
    if status == 5:
        return Outcome(Result.FAILED, f"the source refuses us ({why}): {address!r}{secret}")
    return Outcome(Result.FAILED, f"not mirrored ({why}): {address!r}{secret}", tidy=False)


def _short(text):
    """A text of at most some hundred letters: what is wrong stands at the end of a line as often as at its head."""
    return text if len(text) <= 2 * _SHORT else f"{text[:_SHORT]} ... {text[-_SHORT:]}"
