"""The contract that every command in bin/ keeps: help, usage, links, pipes, messages."""

import os
import re
import sys

import pytest
from support.commands import BIN, ROOT, call, make_database, needs, refused, run

COMMANDS = sorted(path.name for path in BIN.iterdir() if path.is_file())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_docstring_with_an_example(name):
    status, out, told = run(name, "--help")
    assert (status, told) == (0, "")
    doc = re.search(r'"""(.*?)"""', (BIN / name).read_text(), re.DOTALL)[1]
    first = doc.splitlines()[0]
    assert first in out and first.endswith((".", ":"))
    assert re.search(rf"^  .*\b{name} ", doc, re.MULTILINE), "no example that calls it"


@pytest.mark.parametrize("name", COMMANDS)
def test_readme_names_it(name):
    readme = (ROOT / "README.md").read_text()
    assert re.search(rf"(`|bin/){name}\b", readme)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_usage_error(name):
    refused(name, "--no-such-option", status=2)


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs_through_a_link_from_any_folder_with_nothing_activated(name, tmp_path):
    (tmp_path / "alias").symlink_to(BIN / name)
    # A PATH with nothing of the project's environment on it.
    path = ":".join(p for p in os.environ["PATH"].split(":") if ".venv" not in p)
    done = call("./alias", "--version", cwd=tmp_path, env={"PATH": path}, bare=True)
    assert done.returncode == 0 and done.stdout.startswith("framemake 0."), done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_short(name):
    assert len((BIN / name).read_text().splitlines()) <= 80


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
    assert words in refused(*command, status=status, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["prune-channels", os.devnull, "."], "numpy"),
        (["pad-merge", ".", "--out", "day.h5"], "h5py"),
        (["list-frames", ".", "--day", "2024-04-10"], "lal"),
        (["serve-streams", "."], "waitress"),
    ],
)
def test_a_package_that_is_missing_is_named(command, package, tmp_path):
    # -S: a Python without any package that was installed for it.
    name, *args = command
    done = call(sys.executable, "-E", "-S", BIN / name, *args, cwd=tmp_path, env={"VENV": ""})
    told = f"{name}: a package is not installed, 'make setup' installs it: {package!r}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_no_tool_of_ours_is_missed_by_lint():
    needs("make")
    patterns = re.search(r"^SCRIPTS := (.*)$", make_database(), re.MULTILINE)[1].split()
    linted = {path for pattern in patterns for path in ROOT.glob(pattern)}
    ours = (path for folder in ("lib", "cron") for path in (ROOT / folder).rglob("*") if path.is_file())
    bash = {path for path in ours if path.read_bytes().startswith((b"#!/usr/bin/env bash", b"# Sourced"))}
    assert bash and bash <= linted
