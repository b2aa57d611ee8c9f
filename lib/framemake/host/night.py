"""One night of a host: steps that run one after the other, what each said, and a verdict on each and on all.

    LOGS/nightly-20240411T005000-1234.log   messages of the steps as they came, a log a run
    LOGS/nightly.log                        a link to the newest of them
    LOGS/nightly.json                       how the newest run went: see _Night._report
    LOGS/nightly.lock                       held by every process of a night, so it is free when the last has ended

A step is a command.  Its exit status says how it went: 0 well, 3 data is missing, anything else failed.  `build`, a
range of days, is looked at more closely.  A step that fails stops no other.

Which days a night builds is read from what is there: the last DAYS days, every day since the first that there is which
is not done, whenever that was, and every day that a frame has come for.  No date is kept that could be wrong.
"""

import contextlib
import datetime
import enum
import errno
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .. import files, gps
from ..day.folder import COMPLETED, Folder
from ..days import index
from ..errors import BadInput, on_a_line, wording
from .nightconf import Settings, Step

# What the night is called in its messages and in the names of its files.
NAME = "nightly"
# The status of a night that has not come to its end; the others are Verdicts.
RUNNING = "running"
# Exit statuses: of a command that is done but lacks data, of timeout(1), and of what cannot be started.
_MISSING, _TIMED_OUT, _KILLED, _NOT_STARTED = 3, 124, 137, 126
# Seconds that a step which is told to end may take before it is killed.
_PATIENCE = 60
# The system's errors that mean that a disk is full.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# So many lines of what a step said go to cron's mail.
_LINES = 10
# No day of GPS time is before this one.
_EARLIEST = datetime.date(1980, 1, 6)
# Words that stand for days which are known only when the step begins, alone or as NAME={first}.
_STANDS_FOR_A_DAY = re.compile(r"((?:[A-Z]+=)?)\{(first|recent|open|last|picture_first|picture_last)\}")
# What make says when a recipe failed, which has said itself why.
_OF_MAKE = re.compile(r"make\[\d+\]: |make: (\*\*\* |Target .* not remade)")


class Verdict(enum.Enum):
    """How a step went, or all of them."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class RangeCounts(NamedTuple):
    """What a range of days left when it came to its end: days that failed, that have no frame, whose frames went.

    left_out: days that stay as they are, as they would lose samples.
    """

    failed: int
    no_frame: int
    vanished: int = 0
    left_out: int = 0


class Span(NamedTuple):
    """The days of a night, both ends included.

    first: since when days are looked at that are not done, and those that a frame came for; recent: since when each
    day is looked at; open: as many days before the first that was not done when the night began, or `recent`.
    """

    first: datetime.date
    recent: datetime.date
    open: datetime.date
    last: datetime.date


# --- which days ---------------------------------------------------------------------------


def span(asked: Settings, until: datetime.date) -> Span:
    """The Span of a night whose last day is `until`: it goes back to the first day that there is in OUT."""
    recent = max(_back(until, asked.days), asked.first_day or _EARLIEST)
    there = _days_in(asked)
    first = min([recent, *(datetime.date.fromisoformat(day) for day in sorted(there)[:1])])
    first = max(first, asked.first_day or first)
    day = first
    while day < recent and _is_done(there.get(str(day))):
        day += datetime.timedelta(days=1)
    if day < recent:
        day = max(first, _back(day, asked.days + 1))
    return Span(first, recent, day, until)


def _days_in(asked):
    """{date: Folder} of the days that there are."""
    with contextlib.suppress(OSError):
        return Folder.all_in(asked.out).get(asked.spec, {})
    return {}


def _is_done(folder):
    with contextlib.suppress(OSError):
        return folder is not None and folder.state().get("status") == COMPLETED
    return False


def days_to_show(
    asked: Settings, until: datetime.date, built_to: datetime.date | None
) -> tuple[datetime.date, datetime.date]:
    """(first, last) day of the picture: the last days that were built, none before the first that there is."""
    last = max(until, built_to or until)
    first = _back(last, asked.picture_days or 1)
    there = sorted(_days_in(asked))[:1]
    first = max(first, *(datetime.date.fromisoformat(day) for day in there), asked.first_day or first)
    return min(first, last), last


def _back(last, count):
    """The first of `count` days of which this is the last."""
    return last - datetime.timedelta(days=min(count - 1, max((last - _EARLIEST).days, 0)))


# --- what came of it ----------------------------------------------------------------------


def range_counts(out: str, first: datetime.date, begun: str) -> RangeCounts | None:
    """What a range left in OUT, if it began with the day `first` and ended since `begun`, a time of gps.now_utc.

    None if this range left nothing: it was killed, or what is there is of another one.
    """
    try:
        with files.opened(os.path.join(out, index.RANGE), encoding="utf-8") as source:
            left = json.load(source)
        if left["start_date"] != str(first) or gps.unix(left["finished_utc"]) < gps.unix(begun):
            return None
        names = ("failed", "no_frame", "vanished", "left_out")
        return RangeCounts(*(int(left.get(name, 0)) for name in names))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def status_of_build(status: int, found: RangeCounts | None) -> int:
    """The exit status that a range amounts to: days without a frame, or left as they were, are no failure."""
    if found and 0 < status < _TIMED_OUT and not found.failed and (found.no_frame or found.vanished or found.left_out):
        return _MISSING
    return status


def verdict_on(status: int, limit: str) -> tuple[Verdict, str]:
    """The Verdict on a step by its exit status, and why it is that ('' for OK).  limit: the time limit in words."""
    if status == 0:
        return Verdict.OK, ""
    if status == _MISSING:
        return Verdict.WARNING, "data is missing"
    if status in (_TIMED_OUT, _KILLED):
        return Verdict.FAILED, f"stopped after the time limit of {limit}"
    return Verdict.FAILED, f"failed, exit status {status}"


# --- the night ----------------------------------------------------------------------------


def run(
    asked: Settings,
    until: datetime.date,
    steps: Sequence[Step],
    say: Callable[[str], None],
    part: bool = False,
    early: bool = False,
) -> Verdict:
    """Run the steps, and say what is wrong; the worst Verdict of all.

    until: the last UTC day to build.  part: these are some of the steps, by hand: they need no lock, as each command
    has its own, and nightly.json stays as it is.  early: what is missing is not told, as a later run tries it again.
    In the words of a step {first}, {recent}, {open} and {last}, alone or as NAME={first}, are the days of its Span,
    {picture_first} and {picture_last} those of the picture.  SIGINT, SIGTERM and SIGHUP end the step that runs, and no
    other begins.
    Raises BadInput if LOGS cannot be written to, another night is at work, or what one that has ended started, or
    `until` has not come yet.
    """
    if until > _today():
        raise BadInput(f"that day has not come yet: '{until}'")
    try:
        os.makedirs(asked.logs, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise BadInput(f"cannot make the folder: {asked.logs!r}") from None
    if not os.access(asked.logs, os.W_OK):
        raise BadInput(f"cannot write to the folder: {asked.logs!r}")
    with contextlib.nullcontext() if part else _alone(asked.logs):
        night = _Night(asked, until, say, part, early)
        with _asked_to_end(night.stop):
            return night.run(steps)


def _today():
    return datetime.datetime.now(datetime.timezone.utc).date()


@contextlib.contextmanager
def _alone(logs):
    """Hold the lock of the nights; every process that is started meanwhile holds it as well."""
    path = os.path.join(logs, f"{NAME}.lock")
    with files.locked(path, wait=False) as lock:
        if lock is None:
            since, _, process = files.read_text(path).strip().partition(" ")
            left = _holders(path)
            if process and left and process not in left:
                number, words = min(left.items(), key=lambda each: int(each[0]))
                what = f"process {number} that it started goes on"
                raise BadInput(f"the {NAME} of {since} has ended, but {what}: {words!r}")
            raise BadInput(f"another {NAME} is at work, since {since}: {logs!r}")
        os.set_inheritable(lock, True)
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{gps.now_utc()} {os.getpid()}\n".encode(), 0)
        yield


def _holders(path):
    """{process id: its words} of the processes of this machine that have a file open, as far as they let us see."""
    found, path = {}, os.path.realpath(path)
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            handles = os.listdir(f"/proc/{number}/fd")
            if any(os.readlink(f"/proc/{number}/fd/{handle}") == path for handle in handles):
                words = files.read_text(f"/proc/{number}/cmdline")
                found[number] = on_a_line(words.replace("\0", " "))
    found.pop(str(os.getpid()), None)
    return found


@contextlib.contextmanager
def _asked_to_end(stop):
    """Call stop() for each signal that asks to end, but for those that whoever started us has switched off (nohup)."""
    asking = [
        each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) != signal.SIG_IGN
    ]
    before = {each: signal.signal(each, lambda *_: stop()) for each in asking}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Log:
    """The log of a run.  A full disk stops no step by the log that tells of it."""

    def __init__(self, path, say):
        self.path = path
        try:
            self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError:
            say(f"cannot be written: {path!r}")
            # What the steps say goes to cron's mail then.
            self.handle = os.dup(2)

    def note(self, text):
        self.write(os.fsencode(f"{gps.now_utc()} {text}\n"))

    def write(self, data):
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.handle, data) :]

    def size(self):
        return os.fstat(self.handle).st_size

    def tail(self, since):
        """The last lines that were written since it had a size."""
        with contextlib.suppress(OSError), files.opened(self.path, "rb") as source:
            source.seek(max(since, self.size() - 1_000_000))
            return [line for line in _lines(source.read()) if not _OF_MAKE.match(line)][-_LINES:]
        return []


def _lines(data):
    return data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else []


def _first(lines):
    """The first of some lines, and how many more there are."""
    more = len(lines) - _LINES
    return [*lines[:_LINES], f"and {more} more, in the log"] if more > 0 else lines


class _Night:
    """A run of a night.

    span: its days.  built_to: the last day of the newest night that came to the end of its range, for the picture and
    for people: no night depends on it.  steps: what came of those that are over, as nightly.json has it.
    """

    def __init__(self, asked, until, say, part, early):
        self.asked, self.until, self.say, self.part, self.early = asked, until, say, part, early
        self.began, self.deadline = gps.now_utc(), time.monotonic() + asked.time_limit
        self.built_to = _built_to(self._file(f"{NAME}.json"))
        self.span = span(asked, until)
        self.steps, self.worst = [], Verdict.OK
        self.stopped, self.child, self.unwritten = False, None, False
        stamp = re.sub(r"[:-]", "", self.began[:19])
        self.log = _Log(self._file(f"{NAME}-{stamp}-{os.getpid()}.log"), say)
        self._tidy()

    def _file(self, name):
        return os.path.join(self.asked.logs, name)

    def _tidy(self):
        """Point nightly.log to this log, and remove the oldest logs: their names are in the order of their times."""
        link = self._file(f"{NAME}.log")
        logs = glob.glob(os.path.join(glob.escape(self.asked.logs), f"{NAME}-{'?' * 8}T{'?' * 6}-*.log"))
        with contextlib.suppress(OSError):
            if not self.part:
                aside = files.beside(link)
                os.symlink(os.path.basename(self.log.path), aside)
                os.replace(aside, link)
        for path in sorted(logs)[: -self.asked.keep_logs]:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def stop(self):
        """End the step that runs, and begin no other."""
        self.stopped = True
        if self.child:
            self.child.terminate()

    def run(self, steps):
        self._report(RUNNING)
        for step in steps:
            self._take(step)
            self._report(RUNNING)
        self._report(self.worst.value, gps.now_utc())
        each = ", ".join(f"{step['name']} {step['status']}" for step in self.steps)
        last = f"{self.worst.value}: {each}: {self.log.path!r}"
        self.log.note(f"{NAME}: {last}")
        if self._is_told(self.worst):
            self.say(last)
        return self.worst

    def _is_told(self, verdict):
        return verdict is Verdict.FAILED or (verdict is Verdict.WARNING and not self.early)

    def _take(self, step):
        """Run a step, if there is time for it, and judge it."""
        begun, left, said = time.monotonic(), self.deadline - time.monotonic(), []
        if self.stopped or left <= 0:
            status, verdict = _TIMED_OUT, Verdict.FAILED
            why = "not run, stopped" if self.stopped else f"not run, the time limit of {self.asked.limit_text} is over"
        else:
            status, said = self._execute(step, left)
            verdict, why = (Verdict.FAILED, "stopped") if self.stopped else verdict_on(status, self.asked.limit_text)
        seconds = int(time.monotonic() - begun)
        self.log.note(f"{NAME}: {step.name}: {why or 'ok'}, {seconds} s")
        if self._is_told(verdict):
            self.say("\n  ".join([f"{step.name}: {why}", *said]))
        if verdict is not Verdict.OK and self.worst is not Verdict.FAILED:
            self.worst = verdict
        message = None if verdict is Verdict.OK else "\n".join(said)
        self.steps.append(
            {"name": step.name, "status": verdict.value, "exit": status, "seconds": seconds, "message": message}
        )

    def _execute(self, step, left):
        """(exit status, lines that it said) of a step: messages go to the log as they come, its data after them."""
        self.log.note(f"{NAME}: {step.name} begins")
        since, begun = self.log.size(), gps.now_utc()
        with _aside() as data:
            status = self._wait_for(self._words(step), left, data)
            if step.name == "build":
                status = self._judge_build(status, begun)
            said = self.log.tail(since)
            if data:
                try:
                    data.seek(0)
                    said = said or _first(_lines(data.read(1_000_000)))
                    data.seek(0)
                    while piece := data.read(1 << 20):
                        self.log.write(piece)
                except OSError as error:
                    self.log.note(f"{NAME}: what {step.name} printed cannot be read: {wording(error)}")
        return status, said

    def _wait_for(self, words, left, data):
        """The exit status of a command, which timeout(1) ends in time even if this process is killed meanwhile."""
        limit = [shutil.which("timeout") or "timeout", f"--kill-after={_PATIENCE}", f"{max(left, 0.001):.3f}"]
        try:
            # By its path, and with env to change the folder, it is spawned.  One that is forked tells by a pipe whether
            # it could be started; where that cannot be read it would be said not to run, and run on.
            self.child = subprocess.Popen(
                [*limit, "env", f"--chdir={self.asked.logs}", *words],
                stdin=subprocess.DEVNULL,
                stdout=data or self.log.handle,
                stderr=self.log.handle,
                # Each has the lock of the night, and whatever else was opened for it.
                close_fds=False,
            )
        except OSError as error:
            self.log.write(os.fsencode(f"{NAME}: {words[0]} cannot be started: {wording(error)}\n"))
            return _NOT_STARTED
        if self.stopped:
            self.child.terminate()
        status = self.child.wait()
        self.child = None
        return status if status >= 0 else 128 - status

    def _words(self, step):
        """The words of a step with the days that some of them stand for."""
        matches = [(word, _STANDS_FOR_A_DAY.fullmatch(word)) for word in step.words]
        if not any(match for _, match in matches):
            return step.words
        show_first, show_last = days_to_show(self.asked, self.until, self.built_to)
        days = {**self.span._asdict(), "picture_first": show_first, "picture_last": show_last}
        return [f"{match[1]}{days[match[2]]}" if match else word for word, match in matches]

    def _judge_build(self, status, begun):
        """Note how far the range came, if it came to its end."""
        found = range_counts(self.asked.out, self.span.first, begun)
        if found and status < _TIMED_OUT:
            self.built_to = max(self.until, self.built_to or self.until)
        return status_of_build(status, found)

    def _report(self, status, finished=None):
        """Write nightly.json, which check-nightly reads.

        started_utc, finished_utc (null until then), status (ok, warning, failed, running), steps (name, status, exit
        status, seconds, message), start and end (from the first day that was not done), built_to, host, pid, log.
        """
        if self.part:
            return
        path = self._file(f"{NAME}.json")
        report = {
            "started_utc": self.began,
            "finished_utc": finished,
            "status": status,
            "steps": self.steps,
            "start": str(self.span.open),
            "end": str(self.until),
            "built_to": str(self.built_to) if self.built_to else None,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "log": self.log.path,
        }
        try:
            files.write(path, json.dumps(report, indent=2) + "\n")
        except OSError as error:
            self.worst = Verdict.FAILED
            # Once a night: after each step it is the same.
            if not self.unwritten:
                self.unwritten = True
                self.say(f"cannot be written: {path!r}")
                if error.errno in _FULL:
                    self.say(f"disk full: {self.asked.logs!r}")


@contextlib.contextmanager
def _aside():
    """A temporary file, or None if there can be none."""
    with contextlib.ExitStack() as held:
        data = None
        with contextlib.suppress(OSError):
            data = held.enter_context(tempfile.TemporaryFile())
        yield data


def _built_to(path):
    """The built_to of the report that the night before left; None if there is none, a damaged one, or one to come."""
    try:
        with files.opened(path, encoding="utf-8", errors="replace") as source:
            text = json.load(source)["built_to"]
        found = datetime.date.fromisoformat(text)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found <= _today() else None
