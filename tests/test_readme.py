"""The README's sessions give what it says they give, so they cannot go stale."""

import re
import subprocess

from support.commands import needs
from support.sites import ROOT, make


def sessions():
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def test_the_demo_and_the_sessions():
    needs("make", "parallel", "jq")
    done = make("demo", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "200 of 201 channels valid, 1 invalid, 0 pruned" in done.stdout
    assert "V1trend_20240410.h5" in done.stdout and "check-day" in done.stdout.splitlines()[-1]
    found = list(sessions())
    assert len(found) >= 7
    for command, output in found:
        shell = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        # What a person sees on a terminal: messages and data; list-frames' word on the absent file is not shown.
        seen = "".join(
            line for line in (shell.stderr + shell.stdout).splitlines(True) if "listed but absent" not in line
        )
        assert seen == output, command


def test_the_python_in_it_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if not (ROOT / "demo" / "out").exists():
        make("demo", cwd=ROOT)
    check = "\nassert len(samples) == len(series) == 86400 and str(series.unit) == 'V'"
    python = ROOT / ".venv" / "bin" / "python"
    import sys

    done = subprocess.run(
        [python if python.exists() else sys.executable, "-c", code + check], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_help_lists_every_target_and_variable():
    done = make("help", cwd=ROOT)
    text = (ROOT / "Makefile").read_text()
    for target in re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split():
        assert re.search(rf"^{target}\s", done.stdout, re.MULTILINE), target
    # One list: what make takes, what help tells and what the file of variables holds are the same names.
    listed = re.findall(r"^([A-Z_]+) \?=", (ROOT / "lib" / "make" / "variables.mk").read_text(), re.MULTILINE)
    taken = make("-s", "--eval", "show: ; @echo $(SETTINGS)", "show", cwd=ROOT).stdout.split()
    told = dict(re.findall(r"^  ([A-Z_]+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert len(listed) > 30 and listed == taken == list(told)
    readme = (ROOT / "README.md").read_text()
    for variable in ["DAY", "FFL", "CHANNELS", "OUT", "SPEC", "INCREMENT", "COMPRESSION", "MAX_RETRIES", "LOCK_WAIT"]:
        assert f"`{variable}`" in readme, variable
    assert make(cwd=ROOT).stdout == done.stdout
