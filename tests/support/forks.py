"""Commands of bin/ as processes of their own that need not start an interpreter each: two thirds of most tests' time.

A process beside pytest has loaded what commands load, and forks for each call.  The child gets the call's words,
environment, folder and standard files, and runs the command from its first line to its last exit handler, those of
C libraries among them.  What Python then does, it takes its modules down one by one, is left out: half of a call.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What decides how an interpreter starts, or which one: a call that changes it starts one.
_OF_A_START = ("PYTHON", "LC_", "LANG", "LD_", "PATH", "VENV", "OPENBLAS", "HDF5", "LAL", "MPL", "GWPY", "GWDATAFIND")

_SERVER = """
import contextlib, gc, importlib, io, json, os, pkgutil, runpy, select, socket, sys, time

for wing in ("", ".frames", ".gwf", ".day", ".days", ".streams", ".streams.intake", ".streams.verify", ".host"):
    package = importlib.import_module("framemake" + wing)
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.ispkg and module.name not in LATER:
            importlib.import_module(module.name)
gc.freeze()
calls = socket.socket(fileno=int(sys.argv[1]))
at_work = {}
while True:
    ready, _, _ = select.select([calls, *at_work], [], [])
    for handle in ready:
        if handle is calls:
            continue
        # A command has ended: the one who asked is told how.
        child, answer = at_work.pop(handle)
        os.close(handle)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            os.write(answer, b"%d\\n" % os.waitstatus_to_exitcode(status))
        os.close(answer)
    if calls not in ready:
        continue
    word, handles, _, _ = socket.recv_fds(calls, 1 << 20, 5)
    if not word:
        os._exit(0)
    given, *standard, answer = handles
    child = os.fork()
    if not child:
        break
    for handle in (given, *standard):
        os.close(handle)
    os.write(answer, b"%d\\n" % child)
    at_work[os.pidfd_open(child)] = child, answer

for handle, (_, other) in at_work.items():
    os.close(handle)
    os.close(other)
with open(given) as source:
    words, folder, environment = json.load(source)
for number, handle in enumerate(standard):
    os.dup2(handle, number)
for handle in (*standard, answer):
    os.close(handle)
calls.close()
os.environ.clear()
os.environ.update(environment)
time.tzset()
os.chdir(folder)
sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), errors="strict")
sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), errors="strict")
sys.stderr = io.TextIOWrapper(
    io.BufferedWriter(io.FileIO(2, "w", closefd=False)), errors="backslashreplace", line_buffering=True
)
sys.argv = words
sys.orig_argv = [sys.executable, *words]
sys.path[0] = os.path.dirname(words[0])
del at_work, contextlib, gc, importlib, pkgutil, select, socket, time
status = 0
try:
    runpy.run_path(words[0], run_name="__main__")
except SystemExit as end:
    status = end.code if isinstance(end.code, int) else int(end.code is not None)
    if status and not isinstance(end.code, int):
        print(end.code, file=sys.stderr)
except BaseException:
    import traceback

    traceback.print_exc()
    status = 1
import atexit, ctypes, threading

threading._shutdown()
atexit._run_exitfuncs()
for stream in (sys.stdout, sys.stderr):
    try:
        stream.flush()
    except (OSError, ValueError):
        status = status or 120
ctypes.CDLL(None).exit(status & 255)
"""
# What takes long to load, or starts threads, which a fork does not have.
_LATER = ("framemake.days.plots", "framemake.days.lazy", "framemake.gwf.lalreader")


def can(program, env, bare):
    """Whether a program is a command that may be run here, as nothing that decides how it starts is changed."""
    program = Path(program)
    return (
        program.parent == ROOT / "bin"
        and not bare
        and not any(name.startswith(_OF_A_START) for name in env or ())
        and _start() == _first_start()
        and program.is_file()
        and os.access(program, os.X_OK)
    )


def _start():
    """What of this process's environment decides how an interpreter starts."""
    return {name: value for name, value in os.environ.items() if name.startswith(_OF_A_START)}


@functools.cache
def _first_start():
    return _start()


@functools.cache
def _server(_):
    """A socket that takes calls; _: the process that asks, as a fork of it needs its own."""
    _first_start()
    ours, theirs = socket.socketpair()
    source = f"LATER = {_LATER!r}\n{_SERVER}"
    settled = {"OPENBLAS_NUM_THREADS": "1", "HDF5_USE_FILE_LOCKING": "FALSE", "LAL_DEBUG_LEVEL": "0"}
    env = {**os.environ, **settled, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT / "lib")}
    subprocess.Popen([sys.executable, "-c", source, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=env, cwd="/")
    theirs.close()
    return ours


def run(words, input, cwd, env, timeout):
    """The CompletedProcess of a command, as subprocess.run gives it; its texts keep every byte."""
    with contextlib.ExitStack() as stack:
        given, fed, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(4))
        given.write(json.dumps([words, os.path.abspath(cwd or os.getcwd()), {**os.environ, **(env or {})}]).encode())
        fed.write(input.encode("utf-8", "surrogateescape"))
        for file in (given, fed):
            file.flush()
            file.seek(0)
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        with theirs:
            handles = [each.fileno() for each in (given, fed, out, err, theirs)]
            socket.send_fds(_server(os.getpid()), [b"."], handles)
        ours.settimeout(timeout)
        with ours.makefile("rb") as answers:
            child = int(answers.readline())
            try:
                status = int(answers.readline())
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout) from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
        return subprocess.CompletedProcess(words, status, *texts)
