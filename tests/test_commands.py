"""The contract that every command in bin/ keeps: help, usage, links, pipes, messages."""

import os
import re
import subprocess

import pytest
from support.sites import ROOT

COMMANDS = sorted(path.name for path in (ROOT / "bin").iterdir() if path.is_file())


def call(*args, **options):
    return subprocess.run(args, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_docstring_with_an_example(name):
    done = call(ROOT / "bin" / name, "--help")
    assert done.returncode == 0 and done.stderr == ""
    doc = re.search(r'"""(.*?)"""', (ROOT / "bin" / name).read_text(), re.DOTALL)[1]
    first = doc.splitlines()[0]
    assert first in done.stdout and first.endswith((".", ":"))
    assert re.search(rf"^  .*\b{name} ", doc, re.MULTILINE), "no example that calls it"


@pytest.mark.parametrize("name", COMMANDS)
def test_readme_names_it(name):
    assert f"`{name}" in (ROOT / "README.md").read_text() or f"bin/{name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_usage_error(name):
    done = call(ROOT / "bin" / name, "--no-such-option")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"{name}: ") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs_through_a_link_from_any_folder_with_nothing_activated(name, tmp_path):
    (tmp_path / "alias").symlink_to(ROOT / "bin" / name)
    # A PATH with nothing of the project's environment on it.
    path = ":".join(p for p in os.environ["PATH"].split(":") if ".venv" not in p)
    done = call("./alias", "--version", cwd=tmp_path, env={"PATH": path})
    assert done.returncode == 0 and done.stdout.startswith("framemake 0."), done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_short(name):
    assert len((ROOT / "bin" / name).read_text().splitlines()) <= 80


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (["list-frames", "/none.ffl"], 1, "no such file or directory: '/none.ffl'"),
        (["list-frames", "-", "--start", "5"], 1, "a span is needed"),
        (["list-frames", "-", "--start", "5", "--end", "5"], 1, "the span is empty"),
        (["list-frames", "-", "--start", "1.5", "--end", "5"], 1, "whole GPS seconds"),
        (["list-frames", "-", "--day", "2024-04-10", "--end", "5"], 1, "exclude each other"),
        (["prune-channels", "-", "-"], 1, "cannot both be standard input"),
        (["extract-increment", "-", "-", "--parts", "p"], 1, "cannot both be standard input"),
        (["extract-increment", "/none", "/none", "--parts", "p", "--increment", "0"], 2, "above 0"),
        (["extract-increment", "/none", "/none", "--parts", "p", "--compression", "x"], 1, "no such compression"),
        (["pad-merge", "/none", "--out", "x.h5"], 1, "no plan of extract-increment in folder: '/none'"),
        (["summarize"], 2, "a day file, or --index"),
        (["summarize", "/none.h5"], 1, "/none.h5"),
        (["make-frames", "d", "--day", "2024-04-10", "--channels", "0"], 1, "channels"),
    ],
)
def test_bad_input_gets_one_clear_line(command, status, words, tmp_path):
    done = call(ROOT / "bin" / command[0], *command[1:], cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done.stderr
    assert words in done.stderr and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named(tmp_path):
    # A python with no packages at all.
    done = call("env", "VENV=", "PATH=/usr/bin:/bin", "/usr/bin/python3", "-S", ROOT / "bin" / "list-frames", ROOT)
    assert done.returncode in (0, 1)
    if done.returncode:
        assert "not installed" in done.stderr or "no frame" in done.stderr, done.stderr


def test_no_tool_of_ours_is_missed_by_lint():
    done = call(
        "make",
        "-s",
        "-f",
        ROOT / "Makefile",
        "--eval",
        "show: ; @echo $(wildcard $(addprefix $(ROOT)/,$(SCRIPTS)))",
        "show",
    )
    linted = {ROOT / name for name in done.stdout.split()}
    bash = {
        p
        for p in [*(ROOT / "lib").rglob("*"), *(ROOT / "cron").rglob("*"), *(ROOT / ".ci").rglob("*")]
        if p.is_file() and p.read_bytes().startswith((b"#!/usr/bin/env bash", b"# Sourced"))
    }
    assert bash and bash == linted
