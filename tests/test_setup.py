"""Setting up: what is missing is said before it is installed, or in one message where it cannot be."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.commands import call, make, needs
from support.sites import ROOT

NAMES = """bash dirname pwd id env grep cat printf mkdir flock rm find sha256sum touch tail ls jq rsync python3 awk"""
TOOLS = NAMES.split()


@pytest.fixture
def tools(tmp_path):
    """A PATH with just these programs: neither parallel nor apt-get."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found:
            (folder / name).symlink_to(found)
    return folder


def setup(use, path, **environment):
    return subprocess.run(
        [str(ROOT / "lib" / "make" / "setup"), use], env={"PATH": str(path), "HOME": "/tmp", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_a_way_to_install_one_message_names_what_is_missing(tools):
    (tools / "jq").unlink(missing_ok=True)
    done = setup("run", tools, VENV="")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "parallel" in done.stderr and "jq" in done.stderr and "rsync" not in done.stderr.split(":", 2)[-1]


def test_another_parallel_is_not_gnu_parallel(tools):
    (tools / "parallel").write_text("#!/bin/sh\necho moreutils\n")
    (tools / "parallel").chmod(0o755)
    done = setup("run", tools, VENV="")
    assert done.returncode == 1 and "parallel" in done.stderr


def test_with_an_empty_venv_the_packages_of_the_python_on_path_are_checked(tools, tmp_path):
    (tools / "parallel").write_text("#!/bin/sh\necho GNU parallel\n")
    (tools / "python3").unlink()
    (tools / "python3").write_text('#!/bin/sh\nexec /usr/bin/python3 -S -I "$@"\n')
    for name in ("parallel", "python3"):
        (tools / name).chmod(0o755)
    if not (tools / "jq").exists() or not (tools / "rsync").exists():
        needs("jq", "rsync")
    done = setup("run", tools, VENV="")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in ("numpy", "h5py", "gwframe", "lal", "gwpy"))


def test_a_checkout_in_a_path_with_a_space_is_refused(tmp_path):
    copy = tmp_path / "a b" / "lib" / "make"
    copy.mkdir(parents=True)
    shutil.copy(ROOT / "lib" / "make" / "setup", copy / "setup")
    done = subprocess.run([copy / "setup", "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "whitespace" in done.stderr and len(done.stderr.splitlines()) == 1
    # make itself says it too, whatever it was asked for, and however it was called.
    shutil.copy(ROOT / "Makefile", copy.parents[1])
    shutil.copytree(ROOT / "lib" / "make", copy, dirs_exist_ok=True)
    for words in (["help"], ["-f", copy.parents[1] / "Makefile", "DAY=2024-04-10"]):
        done = call("make", *words, cwd=copy.parents[1])
        assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1
        assert "the path of the checkout must have no whitespace, move it: " in done.stderr


def test_every_package_that_is_needed_is_checked_and_named_as_conda_has_it():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    needed = {line.partition(" ")[0].partition("==")[0] for line in lines} - {"#", "", "tomli"}
    alone = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "", "PYTHONNOUSERSITE": "1"}
    code = 'python3() { command python3 -S -I "$@"; }; export -f python3; exec bash lib/make/setup run'
    needs("parallel", "jq", "rsync", "flock")
    done = call("bash", "-c", code, cwd=ROOT, env={**alone, "VENV": ""})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    missing = re.search(r"it cannot import (.*) \(conda install -c conda-forge (.*)\)", done.stderr)
    assert {*missing[1].split(", ")} - {"tomli"} == needed and "imagecodecs" in needed
    conda = {*missing[2].split()} - {"tomli"}
    assert "python-lalframe" in conda and "lalsuite" not in conda
    # The README has the same line.
    line = re.search(r"conda install -c conda-forge ([^`]*?)\n\n", (ROOT / "README.md").read_text())[1]
    assert conda <= set(line.replace("\\\n", " ").split())


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "package", "conda"),
    [("lalframe", "lalsuite", "python-lal python-lalframe"), ("gwframe", "gwframe", "gwframe=0.8.4")],
)
def test_the_one_package_that_an_environment_lacks_is_named_as_conda_has_it(module, package, conda, tmp_path):
    needs("make", "parallel", "jq", "rsync", "flock")
    (tmp_path / f"{module}.py").write_text("raise ImportError\n")
    done = make("VENV=", "setup", cwd=ROOT, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and done.stderr.splitlines()[0] == (
        "setup: VENV is empty, and of python3 on PATH: "
        f"it cannot import {package} (conda install -c conda-forge {conda})"
    )


@pytest.fixture
def environment(monkeypatch):
    """A checkout with an environment that is up to date, as another user may see it: its folder."""
    needs("parallel", "jq", "rsync", "flock")
    # make gives its own to whatever it runs, the tests among it.
    monkeypatch.delenv("VENV", raising=False)
    with tempfile.TemporaryDirectory() as name:
        checkout = Path(name)
        checkout.chmod(0o755)
        (checkout / "lib" / "make").mkdir(parents=True)
        shutil.copy(ROOT / "lib" / "make" / "setup", checkout / "lib" / "make")
        (checkout / "requirements.lock").write_text(f"no-such-package-of-framemake==1 --hash=sha256:{'0' * 64}\n")
        (checkout / ".venv" / "bin").mkdir(parents=True)
        python = checkout / ".venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (checkout / ".venv" / ".framemake-lock").touch()
        stamp = call("sha256sum", input=(checkout / "requirements.lock").read_text()).stdout
        (checkout / ".venv" / ".framemake-requirements.lock").write_text(stamp)
        yield checkout


def test_another_user_of_the_checkout_uses_its_environment_as_it_is(environment):
    needs("setpriv")
    if os.geteuid() != 0:
        pytest.skip("root alone can be another user")
    (environment / ".venv/bin/python").write_text("#!/bin/sh\n")  # ours may lie where others see nothing
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", environment / "lib/make/setup", "run"]
    done = call(*other, cwd=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (environment / "requirements.lock").write_text("another==1\n")
    done = call(*other, cwd=environment)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "the Python environment is another user's and not up to date, they run 'make setup'" in done.stderr


@pytest.mark.long
def test_no_network_is_one_line(environment):
    needs("unshare")
    apart = ["unshare", "--net"]
    if call(*apart, "true").returncode:
        pytest.skip("root alone can be without a network")
    (environment / ".venv" / ".framemake-requirements.lock").unlink()
    done = call(*apart, environment / "lib/make/setup", "run", cwd=environment)
    first, *rest = done.stderr.splitlines()
    assert done.returncode == 1 and first.startswith("setup: installing requirements.lock into ")
    said = "setup: no package index answers, is there a network? Then run 'make setup' again, or see VENV: "
    assert len(rest) == 1 and rest[0].startswith(said) and "onnection" in rest[0][len(said) :]


def test_the_lock_pins_every_package_with_its_hashes():
    for name in ("requirements.lock", "requirements-test.lock", "requirements-datafind.lock"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.lstrip().startswith("#")]
        pins = [line for line in lines if not line.startswith(" ")]
        assert len(pins) > 10 and all("==" in line for line in pins)
        assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
        assert "://" not in "".join(lines)


def test_a_sites_own_defaults(tmp_path):
    """local.mk beside the Makefile, tried in a copy of the checkout."""
    needs("make", "parallel", "jq")
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    for name in ("lib", "bin", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "local.mk").write_text("SPEC = V1mine\nCOMPRESSION = zip\n")
    done = subprocess.run(
        ["make", "VENV=", "DAY=2024-04-10", "FFL=Makefile", "CHANNELS=Makefile"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    assert done.returncode == 2 and "COMPRESSION must be one of lzf gzip none: 'zip'" in done.stderr
