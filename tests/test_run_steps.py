"""run-steps: several commands in one process do what they do in a pipe."""

import json
import subprocess
import time

import pytest
from support.commands import BIN, call, refused, run
from support.sites import START, Site, signal


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.want("V1:A")
    site.frame(0, 100, [signal(count=100)])
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
