"""The README's sessions give what it says they give, so they cannot go stale; `make help` tells all that there is."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from support import pictures
from support.commands import ROOT, call, make, make_database, needs

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def sessions():
    """(command, output) of all that a reader is told to type."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A copy of the checkout in which `make demo` was run: its folder, and what make printed."""
    needs("make", "parallel", "jq")
    folder = tmp_path_factory.mktemp("readme") / "framemake"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, folder)
        elif path.name in ("bin", "channels", "cron", "lib"):
            shutil.copytree(path, folder / path.name, symlinks=True)
    if (ROOT / ".venv").exists():
        (folder / ".venv").symlink_to(ROOT / ".venv")
    done = call("make", "demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_the_demo_and_the_sessions(demo):
    folder, printed = demo
    assert "200 of 201 channels valid, 1 invalid, 0 pruned" in printed
    assert "demo/week/report/index.html" in printed and (folder / "demo/week/report/index.html").exists()
    assert "V1trend_20240410.h5" in printed and "check-day" in printed.splitlines()[-1]
    words = ("OUT=demo/out", "REPORT=demo/a report", "STATE=V1:Sa_WE_CH00000_rms > 9")
    report = call("make", "report", *words, cwd=folder)
    assert (report.returncode, report.stdout) == (0, "demo/a report/index.html\n"), report.stderr
    assert "V1:Sa_WE_CH00000_rms > 9" in next((folder / "demo" / "a report").glob("data/*/main.js")).read_text()
    found = list(sessions())
    assert len(found) >= 7
    for command, output in found:
        done = call("bash", "-o", "pipefail", "-c", command, cwd=folder)
        # What a person sees on a terminal: messages and data; list-frames' word on the absent file is not shown.
        lines = (done.stderr + done.stdout).splitlines(True)
        assert "".join(line for line in lines if "listed but absent" not in line) == output, command


@pytest.mark.slow
def test_the_python_in_it_runs(demo):
    folder, _ = demo
    code = "\n".join(blocks("python"))
    code += "\nassert len(samples) == len(series) == 86400 and str(series.unit) == 'V'"
    done = call(sys.executable, "-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr


def variables():
    """The names that make takes on its command line: of all that are written in its files, those it does not refuse."""
    texts = [path.read_text() for path in (ROOT / "Makefile", *(ROOT / "lib").rglob("*.mk"))]
    names = {name for text in texts for name in re.findall(r"\b[A-Z][A-Z_]+\b", text) if not name.startswith("MAKE")}
    taken = {name for name in names if make("-n", "help", f"{name}=x", cwd=ROOT).returncode == 0}
    assert {"DAY", "FFL", "OUT", "VENV"} <= taken < names
    return sorted(taken)


def test_help_lists_every_target():
    needs("make")
    targets = re.search(r"^\.PHONY: (.*)$", make_database(), re.MULTILINE)[1].split()
    told = make("help", cwd=ROOT).stdout
    assert [name for name in targets if not re.search(rf"^{name}\s", told, re.MULTILINE)] == []


def test_help_lists_every_variable():
    """What make takes, what help tells and what the file of variables holds are the same names."""
    needs("make")
    listed = re.findall(r"^([A-Z_]+) \?=", (ROOT / "lib" / "make" / "variables.mk").read_text(), re.MULTILINE)
    told = re.findall(r"^  ([A-Z_]+) +\S.*$", make("help", cwd=ROOT).stdout, re.MULTILINE)
    assert listed == told and sorted(listed) == variables()


def test_readme_names_every_variable_of_a_day():
    readme = (ROOT / "README.md").read_text()
    for variable in ["DAY", "FFL", "CHANNELS", "OUT", "SPEC", "INCREMENT", "COMPRESSION", "MAX_RETRIES", "LOCK_WAIT"]:
        assert f"`{variable}`" in readme, variable


def test_make_alone_is_help():
    needs("make")
    assert make(cwd=ROOT).stdout == make("help", cwd=ROOT).stdout != ""


def test_the_messages_that_it_explains_are_those_of_the_code():
    """The words between the marks of omission stand in some file as they are: a message that changes is found here."""
    part = (ROOT / "README.md").read_text().split("## When something is wrong")[1].split("\n## ")[0]
    messages = re.findall(r"^\| `([^`]*)`", part, re.MULTILINE)
    assert len(messages) >= 15
    folders = ("lib", "bin", "cron", "tests")
    paths = [
        p for name in folders for p in (ROOT / name).rglob("*") if p.is_file() and p.suffix not in (".pyc", ".png")
    ]
    texts = [path.read_text(errors="replace") for path in paths if path != Path(__file__)]
    pieces = [piece.strip(" :,") for message in messages for piece in message.split("\u2026")]
    assert [piece for piece in pieces if len(piece) > 3 and not any(piece in text for text in texts)] == []


def test_its_pictures_are_there_and_small():
    shown = re.findall(r"^!\[[^\]]+\]\((\S+)\)$", README, re.MULTILINE)
    assert len(shown) == 2
    for path in shown:
        assert 5000 < (ROOT / path).stat().st_size < 60_000, path
    # Each is one that tests/support/pictures.py takes of the demo's report.
    assert {Path(path).name for path in shown} == set(pictures.SHOWN)


def test_each_test_that_it_promises_is_there():
    part = README.split("| promise | fault | test |")[1].split("\n\n")[0]
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", part)
    assert len(named) >= 30 and part.count("::") == len(named)
    gone = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]
    assert gone == []
