"""What commands share: the bar of long work, and standard input as a source."""

import os
import pty
import re
import signal
import subprocess
import sys

import h5py
import pytest
from support.sites import ROOT

# A command whose work has three parts, and which says something after the first; told by a word, it fails then.
CODE = """
import sys
from framemake import cli
from framemake.errors import BadInput
command = cli.Command("Work.", "work")
command.option("how")

def main(command):
    show = command.progress("frame files")
    show(0, 3)
    show(1, 3)
    command.say("one is odd")
    if command.args.how == "fails":
        raise BadInput("no more")
    show(2, 3)
    show(3, 3)
    show(3, 3)
    print("tqdm" in sys.modules)

command.run(main)
"""


def work(how="ends", terminal=True, **env):
    """(stdout, stderr) of the command, with stderr a terminal or not."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "lib"), **env},
    )  # fmt: skip
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    return done.stdout, said


def shown(said):
    """What stands on the lines of a terminal in the end: a carriage return goes back to where a line begins."""
    lines = []
    for line in said.split("\r\n"):
        text = ""
        for part in line.split("\r"):
            text = part + text[len(part) :]
        lines.append(text.rstrip())
    return lines


def test_one_bar_on_a_terminal():
    out, said = work()
    assert out == "True\n"
    assert re.search(r"frame files \[#+ +\] +67 % +\d+ s left, 2 of 3, \S+/s", said)
    message, bar, end = shown(said)
    assert (message, end) == ("work: one is odd", "")
    assert re.fullmatch(r"frame files \[#{30}\] 100 % +0 s left, 3 of 3, \S+/s", bar)


def test_a_bar_that_does_not_fill_is_taken_away():
    _, said = work("fails")
    assert shown(said) == ["work: one is odd", "work: no more", ""]


@pytest.mark.parametrize(("terminal", "env"), [(False, {}), (True, {"PROGRESS": "no"})])
def test_elsewhere_there_is_none_and_nothing_is_loaded_for_it(terminal, env):
    out, said = work(terminal=terminal, **env)
    assert (out, said.replace("\r\n", "\n")) == ("False\n", "work: one is odd\n")


def test_a_module_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "module_of_a_bad_disk.py"
    path.symlink_to("/proc/self/mem")  # is opened, and no read of it goes well
    code = "from framemake import cli\ncli.Command('', 'work').run(lambda command: __import__('module_of_a_bad_disk'))"
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (1, f"work: input/output error: {str(path)!r}\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("count", [1, 100_000])
def test_standard_output_that_cannot_be_written_is_named(count, unbuffered):
    """Whether it is noticed as the command ends, or before."""
    code = f"import sys; from framemake import cli; cli.Command('', 'work').run(lambda _: print('x' * {count}))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib"), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "work: disk full: 'standard output'\n")


@pytest.mark.parametrize("how", ["sys.stdin.read()", "sys.stdin.readline()", "list(sys.stdin)"])
def test_standard_input_that_cannot_be_read_is_named(how):
    code = f"import sys; from framemake import cli; cli.Command('', 'work').run(lambda _: {how})"
    with open("/proc/self/mem") as unreadable:  # at its beginning nothing can be read
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=unreadable, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "work: input/output error: 'standard input'\n")


def python(code, *words, **more):
    """What came of a program that has the package; more: of subprocess.run."""
    given = [sys.executable, "-c", code, *map(str, words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    return subprocess.run(given, capture_output=True, text=True, check=False, env=env, **more)


# A command that writes an HDF5 file; a signal comes while HDF5 asks our file for something.
WRITES = """
import os, sys, time
from framemake import cli, files
from framemake.day import layout
name, number, sleeps = sys.argv.pop(1), int(sys.argv.pop(1)), bool(int(sys.argv.pop(1)))
plain, came = getattr(files.Sink, name), []

def ends(self, *args):
    if not came:
        came.append(os.kill(os.getpid(), number))
    return plain(self, *args)

setattr(files.Sink, name, ends)

def main(command):
    with layout.writing("day.h5", durable=False) as file:
        file["values"] = [1.0]
    if sleeps:
        time.sleep(20)
        print("slept")

cli.Command("Write.", "work").run(main)
"""


@pytest.mark.parametrize("sleeps", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["seek", "write", "truncate"])
def test_a_signal_that_meets_hdf5_as_it_writes_ends_the_command(name, number, sleeps, tmp_path):
    """HDF5 makes an error of its own of what our file raises; a day that was stopped was told as failed by it.

    sleeps: whether the command goes on for long after it, or ends at once.
    """
    done = python(WRITES, name, int(number), int(sleeps), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")
    for path in tmp_path.iterdir():  # which may have been finished
        with h5py.File(path) as file:
            assert (path.name, file["values"][()].tolist()) == ("day.h5", [1.0])


def test_ctrl_c_that_waits_for_a_command_that_begins_ends_it_without_a_word():
    code = "import os\nfrom signal import *\npthread_sigmask(SIG_BLOCK, [SIGINT])\nos.kill(os.getpid(), SIGINT)\n"
    code += "from framemake import cli\ncli.Command('', 'work').run(lambda _: print('worked'))"
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


# A command that goes on for ever; five signals come in what Python calls by itself, where it drops what is raised.
DROPS = """
import os, sys, weakref
from framemake import cli
end, number, left = sys.argv.pop(1), int(sys.argv.pop(1)), [5]

def meet(*_):
    if left[0]:
        left[0] -= 1
        os.kill(os.getpid(), number)

class Thing:
    if end == "of it":
        __del__ = meet

def main(command):
    while True:
        thing = Thing()
        reference = weakref.ref(thing, meet) if end == "of a reference" else None
        del thing

cli.Command("Go on.", "work").run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("end", ["of it", "of a reference"])
def test_a_signal_that_comes_where_python_drops_what_is_raised_ends_the_command(end, number):
    """One that met the end of a weak reference left a traceback, and the command went on."""
    done = python(DROPS, end, int(number), timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


def test_another_exception_that_python_drops_is_told():
    code = "class Thing:\n def __del__(self): raise ValueError('of its own')\nfrom framemake import cli\n"
    code += "cli.Command('', 'work').run(lambda _: [Thing() for _ in range(3)])"
    done = python(code)
    assert done.returncode == 0 and done.stderr.count("ValueError: of its own") == 3
