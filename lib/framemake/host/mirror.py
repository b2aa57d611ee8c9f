"""Mirrors of frame trees: rsync run once a source, and what its exit status means.

rsync writes a file under a hidden name and renames it when it is whole and synced; what a broken transfer had goes
into a hidden folder beside it and is where the next one begins.  Exit statuses: the section EXIT VALUES of rsync(1).
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

from .. import cli, files
from ..errors import BadInput

# The mirror's own folder in DEST: the lock, what tells a killed run, and the logs.
OWN = ".mirror-frames"
PARTIAL = ".rsync-partial"
# A frame as rsync names it while it comes.
_COMING = re.compile(r"\.(.+\.gwf)\.[A-Za-z0-9]{6}")
# A log larger than this is put aside when a run begins; one such is kept.
_LOG_BYTES = 10_000_000
# Seconds that rsync may take to end when it is told to.
_PATIENCE = 30
_AWAY = {
    10: "the connection failed",
    12: "the connection broke",
    30: "nothing came for too long",
    35: "no answer",
    255: "ssh failed",
}
# Who of rsync's processes says it is of no use to people.
_PREFIX = re.compile(r"^(rsync: )?(\[\w+\] )?")
_OPTIONS = ("password-file", "rsh", "bwlimit", "timeout")


class Source(NamedTuple):
    """Where frames come from, in rsync's words, the folder of DEST that they go to, and options of its own."""

    address: str
    folder: str = ""
    options: dict = {}  # noqa: RUF012 (never changed)


class Outcome(NamedTuple):
    """What came of one source: an exit status of the contract, and what to tell ('' if nothing).

    tidy: rsync ended by itself, so no half a file lies under a name that nobody looks for.
    """

    status: int
    told: str = ""
    tidy: bool = True


def read_sources(text):
    """The Sources of a text that has one a line: SOURCE [FOLDER] [password-file=F] [rsh=R] [bwlimit=B] [timeout=S].

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
        found.append(Source(words[0], *folders or [""], options))
    return found


def check(sources, dest, delete=False):
    """Raise BadInput for what rsync would misread, or where it would remove what another source gave."""
    if not sources:
        raise BadInput("no source is given")
    if _is_remote(dest):
        raise BadInput(f"the place to mirror to is not a local folder: {dest!r}")
    whole = []
    for source in sources:
        parts = source.folder.split("/")
        if os.path.isabs(source.folder) or ".." in parts or parts[0] == OWN:
            raise BadInput(f"not a folder below the mirror: {source.folder!r}")
        if source.address.startswith("-"):
            raise BadInput(f"not a source: {source.address!r}")
        whole += [os.path.normpath(source.folder)] if source.address.endswith("/") else []
    for folder in whole if delete else []:
        others = [s.folder for s in sources if _holds(folder, os.path.normpath(s.folder))]
        if len(others) > 1:
            raise BadInput(f"--delete would remove what another source gives, name folders apart: {folder!r}")


def _holds(folder, other):
    return folder == "." or other == folder or other.startswith(folder + "/")


def _is_remote(place):
    return "://" in place or ":" in place.split("/", 1)[0]


def _is_daemon(address):
    return address.startswith("rsync://") or "::" in address.split("/", 1)[0]


def before(gps):
    """rsync patterns of the frame files whose names tell a start before a GPS second: OBS-DESCRIPTION-GPS-DURATION.gwf.

    A number is smaller if it has fewer digits, or the same as far as some digit, and then a smaller one.
    """
    digits = str(gps)
    numbers = ["[0-9]" * count for count in range(1, len(digits))]
    for at, digit in enumerate(digits):
        if digit != "0":
            numbers.append(f"{digits[:at]}[0-{int(digit) - 1}]{'[0-9]' * (len(digits) - at - 1)}")
    return [f"*-{number}-*.gwf" for number in numbers]


def run(sources, dest, came, say, logs=None, wait=False, more=None):
    """Bring all sources to DEST, one after another; the exit status of the worst.

    came: called with the local path of each file that has come.  say: called with each message.  logs: folder of the
    logs, None for the mirror's own.  wait: for another mirror of DEST.  more: rsync options for all sources, as
    {name: value}, True for one without a value, a list for one that is repeated; a source's own go before them.
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
        open(mark, "w").close()
        outcomes = []
        for source in sources:
            outcomes.append(_mirror(source, dest, logs or own, lock, more or {}, came))
            if outcomes[-1].told:
                say(outcomes[-1].told)
        if all(outcome.tidy for outcome in outcomes):
            os.unlink(mark)
    statuses = {outcome.status for outcome in outcomes}
    return cli.FAILED if cli.FAILED in statuses else max(statuses)


def adopt(dest):
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


def _mirror(source, dest, logs, lock, more, came):
    """Bring one source to DEST: its Outcome."""
    target = os.path.join(dest, source.folder) if source.folder else dest
    os.makedirs(target, exist_ok=True)
    log = _log_of(source, logs)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            _command(source, target, log, more),
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
        outcome = judge(source.address, status, os.fsdecode(said.read(1_000_000)))
    with contextlib.suppress(OSError), open(log, "a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {outcome.told or 'done'}\n")
    return outcome


def _end(process):
    """Tell rsync to end, which keeps what it has of a file; make it, if it does not."""
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _command(source, target, log, more):
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
    if _is_daemon(source.address):
        options["contimeout"] = "60"
    elif _is_remote(source.address):
        # Nobody is there to answer a question at night.
        options |= {"protect-args": True, "rsh": "ssh -o BatchMode=yes -o ConnectTimeout=60"}
    options |= {name: value for name, value in more.items() if name != "exclude" and value} | source.options
    if not _is_daemon(source.address):
        options.pop("password-file", None)
    words = ["rsync"]
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--{name}" if each is True else f"--{name}={each}")
    return [*words, "--", source.address, os.path.join(os.path.abspath(target), "")]


def _log_of(source, logs):
    """The path of a source's log, in a folder that is made if need be; a large one is put aside."""
    name = re.sub(r"[^A-Za-z0-9_.@+-]+", "-", source.address.split("://")[-1]).strip("-.") or "source"
    os.makedirs(logs, exist_ok=True)
    log = os.path.join(logs, f"mirror-{name}.log")
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(log) > _LOG_BYTES:
            os.replace(log, f"{log}.1")
    return log


def judge(address, status, said):
    """The Outcome of an rsync that ended with an exit status and said something.

    3, data is missing: some files could not be sent (23), or the source is away (10, 12, 30, 35, and ssh's 255).
    Files that went while they were looked at (24) are told, and no fault.  All else failed.
    """
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    vanished = sum("has vanished:" in line for line in lines)
    reasons = [line for line in lines if not line.startswith(("rsync error:", "rsync warning:"))]
    reasons = [_PREFIX.sub("", line) for line in reasons if "has vanished:" not in line]
    why = f"rsync {status}: {reasons[0].rstrip('.')[:200] if reasons else 'no reason given'}"
    if status == 0:
        return Outcome(0)
    if status < 0:
        return Outcome(cli.FAILED, f"rsync was killed by signal {-status}: {address!r}", tidy=False)
    if status == 24:
        return Outcome(0, f"{vanished or 'some'} file(s) vanished at the source, the rest came: {address!r}")
    if status == 23:
        return Outcome(cli.MISSING, f"some files did not come ({len(reasons)} messages; {why}): {address!r}")
    if status in _AWAY:
        return Outcome(cli.MISSING, f"the source is away, {_AWAY[status]} ({why}): {address!r}", status != 12)
    if status == 5:
        return Outcome(cli.FAILED, f"the source refuses us ({why}): {address!r}")
    return Outcome(cli.FAILED, f"not mirrored ({why}): {address!r}", tidy=False)
