"""A run over a range of days: an engine builds them, and what came of them is read from their folders."""

import contextlib
import json
import math
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .. import child, files, gps
from ..day.folder import COMPLETED, Folder
from . import index, status

# Exit status of an engine that cannot run here, and has said why.
_NO_ENGINE = 2
_MANY_FAILED = 20


class Outcome(NamedTuple):
    """What came of a run: failed, days that were to be built and are not done; stopped: whether a signal ended it."""

    failed: list
    stopped: bool


class Counts(NamedTuple):
    """What a range came to, in days: all, built, with nothing new, failed, without a frame, kept without theirs.

    left_out: of those with nothing new, finished ones that stay as they are, as they would lose something.
    """

    days: int
    built: int
    unchanged: int
    failed: int
    no_frame: int
    vanished: int = 0
    left_out: int = 0

    def sentence(self, out: str) -> str:
        kept = f", {self.vanished} whose frames are gone kept" if self.vanished else ""
        return (
            f"{self.days} day(s): {self.built} built, {self.unchanged} had nothing new, {self.failed} failed, "
            f"{self.no_frame} without a frame{kept}: {out}"
        )


def run(out: str, spec: str, due: list, variables: Mapping, engine: str, at_once: int, retries: int) -> Outcome:
    """Have an engine build days, and again those that are not done, `retries` times.

    out: absolute.  due: the days.  variables: make's, as any process on any machine needs them to build a day.
    engine: a program, called with a file of settings and one of days; AT_ONCE says how many at once.  Ctrl-C and
    SIGTERM stop it where it is.
    """
    with _folder(out) as own:
        constant = {**variables, "OUT": out, "SPEC": spec, "AT_ONCE": at_once, "RUN": own}
        constant.update(BEGAN=int(time.time()), TOTAL=len(due))
        words = [engine, os.path.join(own, "settings"), os.path.join(own, "days")]
        with child.Runner() as worker:
            for attempt in range(retries + 1):
                _write_settings(own, {**constant, "ATTEMPT": attempt})
                files.write(os.path.join(own, "days"), "".join(f"{day}\n" for day in due), durable=False)
                status = worker.run(words, {**os.environ, "AT_ONCE": str(at_once)})
                wait = float(variables.get("LOCK_WAIT") or 3600)
                due = [day for day in due if not is_done(Folder.of(out, spec, day), 0 if worker.stopped else wait)]
                if not due or worker.stopped or status == _NO_ENGINE:
                    break
            return Outcome(due, worker.stopped)


def is_done(folder: Folder, wait: float) -> bool:
    """Whether a day is done; while another make has it, and says that it runs, that is waited for so many seconds."""
    if folder.state().get("status") != COMPLETED:
        with contextlib.suppress(OSError), folder.hold(wait):
            pass
    return folder.state().get("status") == COMPLETED


def failures(out: str, spec: str, failed: list) -> Iterator[str]:
    """A line for each of the first days that failed: why."""
    for day in failed[:_MANY_FAILED]:
        state = Folder.of(out, spec, day).state()
        if state:
            yield f"{day} {state.get('status')}: {state.get('error') or 'not run'}"
        else:
            yield f"{day} has no state that can be read: not run"
    if len(failed) > _MANY_FAILED:
        yield f"and {len(failed) - _MANY_FAILED} more"


def progress(folder: Folder, date: str, variables: Mapping) -> str:
    """What came of a day that a range has built, and how far the range is.

    variables: as run() gives them; a machine that builds apart knows nothing of the other days, and has no TOTAL.
    """
    try:
        with files.opened(folder.summary, encoding="utf-8") as source:
            summary = json.load(source)
        missing = 1 if summary["nan_fraction"] is None else summary["nan_fraction"]
        facts = (
            f"{summary['valid_channels']} of {summary['requested_channels']} channels, "
            f"{math.floor(missing * 1000 + 0.5) / 10:g} % NaN, {summary['elapsed_time_seconds']} s"
        )
    except (OSError, ValueError, KeyError, TypeError):
        facts = "built"
    if not variables.get("TOTAL"):
        return facts
    path, total = os.path.join(variables["RUN"], "finished"), int(variables["TOTAL"])
    with files.opened(path, "a", encoding="ascii") as finished:
        finished.write(f"{date}\n")
    with files.opened(path, encoding="ascii") as finished:
        # The place of the day among those that are finished: another may have been added since.
        done = list(dict.fromkeys(finished)).index(f"{date}\n") + 1
    left = (time.time() - int(variables["BEGAN"])) * (total - done) / done
    return f"{facts} [{done} of {total}" + (f", {gps.lasting(left)} left]" if done < total else "]")


def note(out: str, counts: Counts) -> None:
    """Leave the counts of a range that has come to its end for programs, in the file that index.begin wrote.

    What killed ranges left goes as well, also where this one had nothing to do.
    """
    remove_left(out)
    index.note(out, {"finished_utc": gps.now_utc(), **counts._asdict()})


def _write_settings(own, variables):
    """What a day needs to know, as lines that bash reads: the file is another one, so whoever reads the old has it."""
    text = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in variables.items())
    files.write(os.path.join(own, "settings"), text, durable=False)


@contextlib.contextmanager
def _folder(out):
    """A folder of our own for as long as we are there.

    It has the settings, the days, those that are finished, and whatever the engine puts there.
    """
    own = os.path.join(out, f".range.{secrets.token_hex(3)}")
    os.mkdir(own)
    try:
        with files.locked(os.path.join(own, "lock")):
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def remove_left(out: str) -> None:
    """Remove the folders that killed runs left in an output folder."""
    for path in status.runs(out):
        # One that has no lock yet begins at this moment.
        if os.path.exists(os.path.join(path, "lock")) and not status.is_run_at_work(path):
            shutil.rmtree(path, ignore_errors=True)
