"""Running a program as a child that a signal ends, and not us: there is still something to note of its end."""

import contextlib
import os
import signal
from collections.abc import Mapping


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
