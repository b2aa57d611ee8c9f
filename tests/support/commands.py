"""Programs as real processes: the one way in which tests run them, what must come of it, and the frames they are given.

call runs any program; run, command, well and refused run a command of bin/, make runs make.  needs, needs_package
and bound skip a test that cannot be run here, and name what is missing.
"""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from framemake.gwf.write import write

from support import forks

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "bin"
# 2024-04-10, and the first 100-s frame that overlaps it.
DAY, START, END = "2024-04-10", 1396742418, 1396828818


def call(program, *args, input="", cwd=None, env=None, bare=False, timeout=300):
    """The CompletedProcess of a program that ran to its end; its output is text that keeps every byte.

    env: variables beside those of this process; bare: in place of them.
    """
    if forks.can(program, env, bare):
        return forks.run([os.fspath(program), *map(str, args)], input, cwd, env, timeout)
    return subprocess.run(
        [os.fspath(program), *map(str, args)],
        input=input,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env={**({} if bare else os.environ), **(env or {})},
        timeout=timeout,
        check=False,
    )


def run(command, *args, **options):
    """(status, stdout, stderr) of a command of bin/, or of a program given by its whole path; options: of call."""
    done = call(BIN / command, *args, **options)
    return done.returncode, done.stdout, done.stderr


def command(name, *args, check=True, **options):
    """The CompletedProcess of a command of bin/; unless check is off it must succeed, whatever it says."""
    done = call(BIN / name, *args, **options)
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def make(*words, cwd, before=(), env=None, **options):
    """The CompletedProcess of the project's make in a folder; `before`: words before it, as of bound."""
    # A make around the tests passes nothing on to it.
    mine = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    line = [*before, "make", "-f", ROOT / "Makefile", *words]
    return call(*line, cwd=cwd, env={**mine, **(env or {})}, bare=True, **options)


def make_database():
    """What make has read of the project's makefiles: each rule, and each variable as `NAME := value`."""
    return make("-pqn", "help", cwd=ROOT).stdout


def well(command, *args, **options):
    """The stdout of a command that must succeed and say nothing."""
    status, out, told = run(command, *args, **options)
    assert (status, told) == (0, "")
    return out


def refused(command, *args, status=1, **options):
    """The one line that a command which must fail says; it prints no data and no trace of Python."""
    got, out, told = run(command, *args, **options)
    assert (got, out) == (status, "")
    assert "Traceback" not in told
    assert told.endswith("\n") and told.count("\n") == 1, told
    assert told.startswith(f"{os.path.basename(command)}: ")
    return told


def long(*values):
    """A case of parametrize that make test-long alone tries: beside it is one that make test tries."""
    return pytest.param(*values, marks=pytest.mark.long)


def needs(*programs):
    """Skip the test, or under FRAMEMAKE_CI=1 fail it, when a program is not on PATH."""
    _missing("program", [name for name in programs if shutil.which(name) is None])


def bound(reads=True):
    """Words before a command that file permissions bind though root runs it.

    reads: bound as it reads, too; else only as it writes, and folders of others above the test's are no hindrance.
    """
    if os.geteuid() != 0:
        return []
    needs("setpriv")
    without = "-dac_override,-dac_read_search" if reads else "-dac_override"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


def needs_package(*names):
    """Skip the test, or under FRAMEMAKE_CI=1 fail it, when a Python package is not installed."""
    _missing("Python package", [name for name in names if importlib.util.find_spec(name) is None])


def _missing(what, names):
    if names:
        stop = pytest.fail if os.environ.get("FRAMEMAKE_CI") == "1" else pytest.skip
        stop(f"{what} not installed: {', '.join(names)}")


def frame_file(folder, start, duration, *signals, name=None):
    """Write a one-frame file of these signals; its path."""
    path = Path(folder) / (name or f"V-trend-{start}-{duration}.gwf")
    write(path, [(start, duration, list(signals))])
    return path


def stub(folder, start=START, duration=100, name=None, size=1):
    """A file that is a frame file by name alone: enough for what only lists."""
    path = Path(folder) / (name or f"V-trend-{start}-{duration}.gwf")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path
