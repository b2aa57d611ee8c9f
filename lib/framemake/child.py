"""Children: a program that a signal ends, and not us, who have to note something of its end; and forks of us."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn


class Runner:
    """A context in which SIGINT and SIGTERM do not end this process: they end the program that it runs.

    whole: pass SIGTERM on to all that the program has started, too, as make stops but what stands first in its
    recipes.  stopped: whether a signal came.
    """

    def __init__(self, whole: bool = False) -> None:
        self.stopped = False
        self._whole = whole
        self._child = 0
        self._before: dict = {}

    def __enter__(self) -> "Runner":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number, _):
        self.stopped = True
        # Ctrl-C reaches the child by itself, as it is in our group; a plain kill does not.
        if number == signal.SIGTERM and self._child:
            below = _below(self._child) if self._whole else []
            for process in [self._child, *below]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)

    def run(self, words: list, environ: Mapping, stderr: int | None = None) -> int:
        """Run a program to its end; its exit status, minus the number of the signal if one killed it.

        stderr: the handle that is to be its stderr (ours).  FileNotFoundError if it is not on PATH.
        """
        # It starts with what a shell would give it: Python ignores SIGPIPE, and so would all that it runs.
        reset = [signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ]
        handles = [] if stderr is None else [(os.POSIX_SPAWN_DUP2, stderr, 2)]
        self._child = os.posix_spawnp(words[0], words, environ, setsigdef=reset, file_actions=handles)
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        finally:
            self._child = 0


def _below(process):
    """The processes that a process has started, and those that they have."""
    children: dict = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
            # The name of the program, in parentheses, may hold anything.
            parent = int(stat.read().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(name))
    found = list(children.get(process, []))
    for one in found:
        found += children.get(one, [])
    return found


def has_threads() -> bool:
    """Whether this process has more than one thread, of whatever library: a fork has only the one that forks."""
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return threading.active_count() > 1


def pipeline(stages: Sequence[Sequence[Callable[[], int]]]) -> int:
    """Run calls in forks of this process, all at once: those of a stage read what those of the stage before print.

    A call gives its exit status.  The first stage reads nothing, the last one prints where we do.  Returns, when all
    have ended, the status of the last stage of which a call did not end with 0, or 0.  What ends us ends them.
    What waits to be written when this is called is written by each fork.
    """
    running: dict[int, int] = {}
    statuses = [0] * len(stages)
    source = os.open(os.devnull, os.O_RDONLY)
    try:
        for number, calls in enumerate(stages):
            following, out = os.pipe() if number < len(stages) - 1 else (-1, os.dup(1))
            for call in calls:
                # A signal waits until the fork is known, or the fork knows what it is.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
                fork = os.fork()
                if not fork:
                    _become(call, source, out, following, before)
                running[fork] = number
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(source)
            os.close(out)
            source = following
        while running:
            fork, status = os.wait()
            if fork in running:  # another child of ours may end
                number = running.pop(fork)
                statuses[number] = max(statuses[number], _exit_status(status))
    finally:
        for fork in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(fork, signal.SIGTERM)
        for fork in running:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(fork, 0)
    return next((status for status in reversed(statuses) if status), 0)


def _exit_status(status):
    """As a shell tells it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(call: Callable[[], int], source: int, out: int, following: int, signals: set) -> NoReturn:
    """Be the fork that runs a call, to its end.

    following: the other end of `out`, which is not ours; signals: that are to be blocked.
    """
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        os.dup2(source, 0)
        os.dup2(out, 1)
        for handle in (source, out, following):
            if handle > 2:
                os.close(handle)
        status = call()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # No handler of the process that we are a fork of is run twice.
        os._exit(status)
