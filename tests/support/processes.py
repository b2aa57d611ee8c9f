"""All processes that a command has started, whatever session or group they are in: found, killed, counted.

Each has a word in its environment that was given to the first and is handed down to all that it starts.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

MARK = "FRAMEMAKE_TEST_RUN"


def start(*words, env=None, **options):
    """A Popen that leads a session, whose descendants are known by its `mark`; options: of Popen."""
    mark = secrets.token_hex(8)
    mine = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
    process = subprocess.Popen(
        list(map(os.fspath, words)), env={**mine, **(env or {}), MARK: mark}, start_new_session=True, **quiet
    )
    process.mark = mark
    return process


def alive(mark):
    """{process id: command line} of those that have a mark and run; zombies are none."""
    found, wanted = {}, f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


def _signal(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(process):
    """kill -9 of all that a process has started, and of itself, at one moment: none sees another die."""
    stopped = set()
    while fresh := set(alive(process.mark)) - stopped:
        _signal(fresh, signal.SIGSTOP)
        stopped |= fresh
    _signal(stopped, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
    end = time.monotonic() + 20
    while left := alive(process.mark):
        assert time.monotonic() < end, f"they do not die: {left}"
        _signal(left, signal.SIGKILL)  # one that was about to begin as we looked
        stopped |= set(left)
        time.sleep(0.005)
    # Whoever has lost its memory may still have its files, and the locks on them.
    while not all(map(_has_ended, stopped)):
        assert time.monotonic() < end, f"they do not end: {stopped}"
        time.sleep(0.005)


def stop(process, number):
    """End a command as people and systems do, Ctrl-C of a terminal (SIGINT) or SIGTERM; what it has printed.

    All that it has started must end with it, soon.
    """
    if number == signal.SIGINT:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = process.communicate(timeout=60)[0].decode()
    end = time.monotonic() + 20
    while left := alive(process.mark):
        assert time.monotonic() < end, f"they go on: {left}"
        time.sleep(0.02)
    return said


def _has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


# --- what is left of them ----------------------------------------------------------------


def peak(*words, input=None, **options):
    """(MB of the largest process of a command, its stdout); it must go well."""
    # What a process waited for counts, and what that waited for; a process's peak counts what its parent had before
    # exec, so that the one between stays small.
    code = "import resource as r, subprocess as s, sys; d = s.run(sys.argv[1:]);"
    code += "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr); sys.exit(d.returncode)"
    done = subprocess.run(
        ["python3", "-S", "-c", code, *map(os.fspath, words)], input=input, capture_output=True, text=True, check=False,
        **options,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    return int(done.stderr.splitlines()[-1]), done.stdout


def leaving_nothing(folder, *words, status=0, **options):
    """Run a command to its end; what it said.  No process of it may be left, and no temporary file.

    folder: an empty one, its TMPDIR.
    """
    process = start(*words, env={"TMPDIR": str(folder)}, **options)
    said = process.communicate()[0].decode(errors="replace")
    assert process.returncode == status, said
    assert alive(process.mark) == {}, "a process is left"
    assert list(Path(folder).rglob("*")) == [], "a temporary file is left"
    return said


def handles(pid):
    """What a process has open: {handle: path}."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = os.readlink(entry)
    return found
