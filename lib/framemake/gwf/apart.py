"""Reading by a library that damage makes crash: in a process of its own, with bounded memory and time.

What goes wrong there ends that process and no other.  It is started when it is first asked, kept over many files, and
started anew after its end.  Requests and answers are JSON, an answer's arrays follow it as they are in memory.
"""

import contextlib
import importlib
import json
import os
import resource
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

import numpy as np

# What a process may take more than it has when it begins, and more by the size of a file; CPU seconds for an answer.
_ROOM, _TIMES_FILE, _SECONDS = 1 << 30, 8, 120
_LENGTH = struct.Struct("<Q")
# The library may write to its standard output and error whatever it likes: answers go another way.
_START = "import sys; sys.path[0] = sys.argv[1]; from framemake.gwf import apart; apart.serve(sys.argv[2])"


class Ended(Exception):
    """The process came to an end over a request: what it was asked for made its library crash, or took too much."""


class Refused(Exception):
    """The library refused what it was asked for; the message is its own, for nobody but a programmer."""


class Apart:
    """A process that answers requests by a module's function `answer(request)`, a dict.

    It gives (dict, arrays); both are as of JSON and numpy.  room: bytes that it may take beside 8 times the size of the
    file that is the request's `path`.  seconds: of CPU, for an answer.
    """

    def __init__(self, module: str, room: int = _ROOM, seconds: int = _SECONDS) -> None:
        self._module, self._room, self._seconds = module, room, seconds
        self._process: subprocess.Popen | None = None
        self._owner = 0
        self._lock = threading.Lock()
        self.starts = 0

    def ask(self, **request: Any) -> tuple[dict, list[np.ndarray]]:
        """The answer to a request; raises Ended, Refused, and ModuleNotFoundError where the library is not there."""
        with self._lock:
            process = self._started()
            assert process.stdin and process.stdout
            try:
                process.stdin.write(_packed(request))
                process.stdin.flush()
                answer, arrays = _received(process.stdout)
            except (EOFError, BrokenPipeError, ValueError, OSError):
                self._stop()
                raise Ended from None
            except BaseException:
                # Its answer to this would be taken for that to the next.
                self._stop()
                raise
        if "absent" in answer:
            raise ModuleNotFoundError(name=answer["absent"])
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer, arrays

    def _started(self) -> subprocess.Popen:
        if self._process is not None and self._owner != os.getpid():
            # After a fork it is the other's.
            self._process = None
        if self._process is None or self._process.poll() is not None:
            lib = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
            words = [sys.executable, "-c", _START, lib, self._module, str(self._room), str(self._seconds)]
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._owner = os.getpid()
            self.starts += 1
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()

    def __del__(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._stop()


def _packed(header: dict, arrays: list[np.ndarray] | tuple = ()) -> bytes:
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps([header, shapes]).encode("utf-8", "surrogatepass")
    return b"".join([_LENGTH.pack(len(text)), text, *(np.ascontiguousarray(array).tobytes() for array in arrays)])


def _received(source: IO[bytes]) -> tuple[dict, list[np.ndarray]]:
    header, shapes = json.loads(_exactly(source, _LENGTH.unpack(_exactly(source, _LENGTH.size))[0]))
    arrays = []
    for dtype, shape in shapes:
        raw = bytearray(_exactly(source, int(np.prod(shape)) * np.dtype(dtype).itemsize))
        arrays.append(np.frombuffer(raw, np.dtype(dtype)).reshape(shape))
    return header, arrays


def _exactly(source: IO[bytes], count: int) -> bytes:
    raw = source.read(count)
    if len(raw) < count:
        raise EOFError
    return raw


# --- in that process -----------------------------------------------------------------------


def serve(module: str) -> None:
    """Answer requests from standard input until it ends."""
    source, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    room, seconds = map(int, sys.argv[3:])
    try:
        answer: Callable[[dict], tuple[dict, list]] = importlib.import_module(module).answer
    except ModuleNotFoundError as error:
        absent = error.name
        answer = lambda request: ({"absent": absent}, [])  # noqa: E731
    # No core file of each crash.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = _held()
    while True:
        try:
            request, _ = _received(source)
        except EOFError:
            return
        size = os.path.getsize(request["path"]) if os.path.exists(request.get("path", "")) else 0
        _bound(resource.RLIMIT_AS, held + room + _TIMES_FILE * size)
        _bound(resource.RLIMIT_CPU, int(sum(os.times()[:2])) + seconds)
        try:
            found = answer(request)
        except Exception as error:
            found = {"refused": f"{type(error).__name__}: {error}"}, []
        _bound(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        out.write(_packed(*found))
        out.flush()


def _bound(what: int, most: int) -> None:
    """Set a soft limit, as far as the hard one lets it."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else hard if most == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, hard))


def _held() -> int:
    """The bytes of address space of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
