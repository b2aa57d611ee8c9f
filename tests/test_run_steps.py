"""run-steps: several commands in one process do what they do in a pipe."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.commands import BIN, ROOT, call, refused, run
from support.daemons import wait_until
from support.sites import START, Site
from support.sites import signal as samples


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.want("V1:A")
    site.frame(0, 100, [samples(count=100)])
    return site


def test_each_reads_what_the_one_before_printed(site):
    span = ("--start", START, "--end", START + 100)
    listing = ("list-frames", site.ffl, *span)
    status, out, told = run("run-steps", *listing, "|", "prune-channels", "-", site.channels)
    assert (status, out, told) == (0, "V1:A\t1.0\tadc\tfloat32\tV\n", "")
    # The first reads what run-steps is given, and a step of one command is that command.
    given = run("list-frames", *listing[1:])[1]
    done = call(BIN / "run-steps", "prune-channels", "-", site.channels, input=given)
    assert (done.returncode, done.stdout) == (0, out)


def test_a_command_whose_file_cannot_be_read_is_named(tmp_path):
    """Alone, and as one of several at once."""
    shutil.copy(BIN / "run-steps", tmp_path)
    (tmp_path / "summarize").symlink_to("/proc/self/mem")  # is opened, and no read of it goes well
    (tmp_path / "large").write_text("import sys\nsys.exit(0 if '--share' in sys.argv else 4)\n")
    env = {"PYTHONPATH": str(ROOT / "lib")}
    for words in (["summarize"], ["--at-once", "2", "large", "|", "summarize"]):
        done = call(sys.executable, tmp_path / "run-steps", *words, env=env)
        told = f"run-steps: input/output error: '{tmp_path}/summarize'\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_the_first_that_fails_is_the_last(site):
    steps = ("prune-channels", site.ffl, "/none", "|", "pad-merge", site.folder, "--out", site.folder / "x.h5")
    status, out, told = run("run-steps", *steps)
    assert (status, out, told) == (1, "", "prune-channels: no such file or directory: '/none'\n")


@pytest.mark.parametrize("steps", [["nothing"], ["list-frames", "x", "|"], []])
def test_what_is_no_command_is_a_usage_error(steps):
    assert "no such command" in refused("run-steps", *steps, status=2)


def test_what_is_too_much_for_one_process_is_not_read(site):
    parts = site.folder / "parts"
    words = ("extract-increment", site.ffl, site.channels, "--start", START, "--end", START + 100, "--parts", parts)
    after = ("|", "pad-merge", parts, "--out", site.folder / "x.h5")
    status, out, told = run("run-steps", *words, "--alone", "0", *after)
    assert (status, out, told) == (4, "", "")
    assert [path.name for path in parts.iterdir()] == ["plan.json"] and not (site.folder / "x.h5").exists()
    status, out, told = run("run-steps", *words, "--alone", "100", *after)
    assert (status, out, told) == (0, f"{site.folder / 'x.h5'}\n", "")


def test_a_part_that_what_a_killed_run_left_is_still_at_is_waited_for(site):
    parts = site.folder / "parts"
    words = ("extract-increment", site.ffl, site.channels, "--start", START, "--end", START + 100, "--parts", parts)
    assert run(*words, "--alone", "0")[0] == 4
    (block,) = json.loads((parts / "plan.json").read_text())["blocks"]
    lock = parts / f".{block[0]}.lock"
    holder = subprocess.Popen(["flock", lock, "sleep", "3"])
    while not lock.exists():
        time.sleep(0.01)
    assert run(*words)[0] == 0
    assert (parts / f"{block[0]}.h5").exists()
    holder.wait()


# --- several at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [False, True])
def test_what_is_too_much_for_one_process_is_read_by_several(site, threads):
    """As the frames tell it, whether they are forks or, where that has threads, begin anew."""
    parts, log = site.folder / "parts", site.folder / "worker.log"
    span = ("--start", START, "--end", START + 100)
    steps = ["extract-increment", site.ffl, site.channels, *span, "--parts", parts, "--alone", "0"]
    record = ["--record", site.folder]
    steps += [*record, "|", "pad-merge", parts, "--follow", "--out", site.folder / "x.h5", *record]
    code = "import runpy, sys, threading; sys.argv = sys.argv[1:]; sys.path[0] = sys.argv.pop(0)\n"
    code += "if THREADS: threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [sys.executable, "-c", code.replace("THREADS", str(threads)), BIN, BIN / "run-steps", "--at-once", "2"]
    done = call(*words, *steps, env={"LOG_LEVEL": "DEBUG"})
    assert (done.returncode, done.stdout) == (0, f"{site.folder / 'x.h5'}\n"), done.stderr
    begun = [line for line in log.read_text().splitlines() if ": begins: " in line]
    assert [sum(word in line for line in begun) for word in ("extract-increment", "--share", "pad-merge")] == [3, 2, 1]
    assert log.read_text().count("part 1 of 1") == 1


def test_one_of_several_that_fails_fails_all(site):
    parts = site.folder / "parts"
    span = ("--start", START, "--end", START + 100)
    steps = ["extract-increment", site.ffl, site.channels, *span, "--parts", parts, "--alone", "0"]
    steps += ["|", "pad-merge", parts, "--follow", "--out", site.ffl / "x.h5"]
    done = call(BIN / "run-steps", "--at-once", "2", *steps)
    assert done.returncode == 1 and done.stderr.startswith("pad-merge: "), done.stderr
    assert "Traceback" not in done.stderr


CALLS = """
import os, sys, time
from framemake import child
# In one write, as those do who share a pipe: an unbuffered print makes two.
say = lambda *words: 0 * os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def echo(status):
    say(*sorted(sys.stdin.read().split()))
    return status
def killed():
    os.kill(os.getpid(), 9)
def wrong():
    raise ValueError
def sleeps():
    open(sys.argv[1] + f"/{os.getpid()}", "w").close()
    time.sleep(60)
    return 0
"""


def calls(code, *words, **more):
    return subprocess.Popen(
        [sys.executable, "-c", f"{CALLS}{code}", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")}, text=True, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stages", "status", "out"),
    [
        ("[lambda: say(1), lambda: say(2), lambda: say(3)], [lambda: echo(0)]", 0, "1 2 3\n"),
        ("[lambda: say(sys.stdin.read()), lambda: 5, lambda: 3], [lambda: echo(0)]", 5, "\n"),
        ("[lambda: 5], [lambda: echo(4)], [lambda: echo(0)]", 4, "\n"),
        ("[killed], [lambda: echo(0)]", 137, "\n"),
        ("[lambda: sys.exit(7)], [lambda: echo(0)]", 7, "\n"),
        ("[wrong, lambda: say('x')], [lambda: echo(0)]", 1, "x\n"),
    ],
)
def test_calls_at_once_print_into_those_behind_and_the_last_that_fails_tells(stages, status, out):
    process = calls(f"print(child.pipeline([{stages}]))", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, told = process.communicate(input=None)
    assert printed == f"{out}{status}\n", told
    assert ("ValueError" in told) == ("wrong" in stages)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_ends_them_that_wait_ends_those_at_work(tmp_path, number):
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
    process = calls(f"{code}child.pipeline([[sleeps, sleeps], [sleeps]])", tmp_path, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(os.listdir(tmp_path)) == 3, "three are at work", 10)
    process.send_signal(number)
    assert process.wait(timeout=10) != 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in os.listdir(tmp_path))
