"""Setting up: what is missing is said before it is installed, or in one message where it cannot be."""

import os
import shutil
import subprocess

import pytest
from support.commands import needs
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
