"""make install and make uninstall: commands on PATH, man pages, completion; what is taken away, and what stays."""

import os
import re
import shutil
import subprocess

import pytest
from support.commands import BIN, ROOT, bound, call, make, needs, needs_package

COMMANDS = sorted(path.name for path in BIN.iterdir() if path.is_file())
OURS = ("bin/{}", "share/man/man1/{}.1", "share/bash-completion/completions/{}")


def tree(folder):
    """{path: content or link} of a folder."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def install(prefix, what="install", *words, status=0):
    """Run make as an ordinary user does, whom file permissions bind; its messages."""
    done = make(what, f"PREFIX={prefix}", *words, cwd=ROOT, before=bound())
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A folder of a user's own, with something in it, in which all is installed."""
    needs("make")
    needs_package("argparse_manpage", "shtab")
    folder = tmp_path_factory.mktemp("home") / "my local"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "theirs").write_text("#!/bin/sh\n")
    assert install(folder) == ""
    return folder


def test_every_command_is_on_path_with_a_man_page_and_completion(prefix):
    for name in COMMANDS:
        assert all((prefix / path.format(name)).is_file() for path in OURS), name
    path = f"{prefix / 'bin'}:/usr/bin:/bin"
    done = call("sh", "-c", "list-frames --version && day-status --help", cwd=prefix, env={"PATH": path}, bare=True)
    assert done.returncode == 0 and done.stdout.startswith("framemake 0."), done.stderr


def test_the_man_pages_are_the_commands_help(prefix):
    page = (prefix / "share/man/man1/read-days.1").read_text()
    assert page.startswith('.TH READ\\-DAYS "1"') and ".SH OPTIONS" in page and "\\-\\-segments" in page
    known = re.compile(r"\.(TH|SH|SS|TP|PP|IP|RS|RE|B|I|BR|br|nf|fi|sp)\b")
    for name in COMMANDS:
        lines = (prefix / f"share/man/man1/{name}.1").read_text().splitlines()
        assert [line for line in lines if line[:1] in (".", "'") and not known.match(line)] == [], name
    if shutil.which("man"):
        for name in ("read-days", "convert-range"):
            done = call("man", "--warnings", "-l", prefix / f"share/man/man1/{name}.1", env={"LC_ALL": "C.UTF-8"})
            assert (done.returncode, done.stderr) == (0, ""), name
            assert f"{name} [-h]" in " ".join(done.stdout.split()) and "--verbose" in done.stdout


@pytest.fixture(scope="module")
def completed(prefix, tmp_path_factory):
    """A function: what bash offers for the last of the words of a line, in a folder with a folder of days."""
    folder = tmp_path_factory.mktemp("days")
    for date, names in (("2024-04-10", "V1:OLD\n"), ("2024-04-11", "V1:Sa_NE_mean\nV1:Sa_WE_rms\nV1:ENV\n")):
        lists = folder / "my" / f"V1trend-{date}" / "channels_info"
        lists.mkdir(parents=True)
        (lists / "valid_channels.txt").write_text(names)
    (folder / "my" / "V1trend-latest").mkdir()
    (folder / "file.toml").touch()

    def offers(*words):
        code = 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); "_framemake_${1//-/_}"; '
        code += 'printf "%s\\n" "${COMPREPLY[@]}"'
        script = prefix / "share/bash-completion/completions" / words[0]
        done = call("bash", "-c", code, "bash", script, *words, cwd=folder)
        assert done.returncode == 0 and "complete" not in done.stderr, done.stderr
        return done.stdout.split()

    return offers


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ("day-status my --fi", ["--first"]),
        ("day-status m", ["my"]),
        ("day-status my --first 2024-04-1", ["2024-04-10", "2024-04-11"]),
        ("read-days my V1:A --start 2024-04-11", ["2024-04-11"]),
        # bash breaks a word at a colon.
        ("read-days my V1 : Sa", ["Sa_NE_mean", "Sa_WE_rms"]),
        ("read-days my V1 : ENV V1 : Sa_N", ["Sa_NE_mean"]),
        ("why-missing my V1", ["V1:Sa_NE_mean", "V1:Sa_WE_rms", "V1:ENV"]),
        ("plan-range x y z --compression l", []),
        ("convert-day -c f", ["file.toml"]),
        ("day-status elsewhere --first 2", []),
    ],
)
def test_options_files_days_and_channels_are_completed(completed, words, want):
    assert completed(*words.split()) == want


def test_once_more_is_the_same_and_uninstall_takes_away_what_came_and_nothing_else(prefix, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(prefix, mine, symlinks=True)
    before = tree(mine)
    assert install(mine) == "" and tree(mine) == before
    (mine / "share/man/man1/my.1").write_text("mine")
    (mine / "share/man/man1/read-days.1").write_text("mine now")
    said = install(mine, "uninstall")
    assert said.count("\n") == 1 and "has changed since it was installed, and stays" in said
    left = tree(mine)
    assert {path for path in left if left[path] is not False} == {
        "bin/theirs", "share/man/man1/my.1", "share/man/man1/read-days.1"
    }  # fmt: skip
    assert "nothing of ours is installed there" in install(mine, "uninstall", status=2)


def test_folders_that_it_made_go_with_it(prefix, tmp_path):
    install(tmp_path / "new" / "usr")
    install(tmp_path / "new" / "usr", "uninstall")
    assert not (tmp_path / "new" / "usr").exists()


def test_for_a_package_all_goes_below_destdir_and_leads_to_the_checkout(prefix, tmp_path):
    install("/opt/none", "install", f"DESTDIR={tmp_path}")
    assert os.readlink(tmp_path / "opt/none/bin/day-status") == str(BIN / "day-status")
    install("/opt/none", "uninstall", f"DESTDIR={tmp_path}")
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_with_another_environment_the_commands_name_it(prefix, tmp_path):
    other = tmp_path / "it's mine"
    done = subprocess.run(
        ["python3", ROOT / "lib/make/install.py", "install"], check=False, capture_output=True, text=True,
        env={**os.environ, "PREFIX": str(tmp_path / "p"), "VENV": str(other), "DESTDIR": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"VENV=${{VENV-'{tmp_path}/it'\"'\"'s mine'}} exec " in (tmp_path / "p/bin/day-status").read_text()
    done = call(tmp_path / "p/bin/day-status", "--version", env={"VENV": ""})
    assert done.returncode == 0 and done.stdout.startswith("framemake 0.")


def test_what_is_not_ours_is_not_overwritten(prefix, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "check-day").write_text("theirs")
    said = install(tmp_path, status=2).splitlines()[0]
    assert said == f"make: is there, and no install of ours put it there: '{tmp_path}/bin/check-day'"
    assert tree(tmp_path) == {"bin": False, "bin/check-day": b"theirs"}


@pytest.mark.parametrize(
    ("given", "words"),
    [("PREFIX=", "PREFIX names no folder"), ("PREFIX=here", "PREFIX must be an absolute path: 'here'")],
)
def test_a_prefix_is_an_absolute_path(prefix, given, words):
    done = make("install", given, cwd=ROOT)
    assert done.returncode == 2 and words in done.stderr.splitlines()[0]


def test_a_prefix_that_others_own_is_one_line(prefix, tmp_path):
    (tmp_path / "usr").mkdir(mode=0o555)
    said = install(tmp_path / "usr", status=2).splitlines()
    assert said[0] == f"make: permission denied: '{tmp_path}/usr/bin'" and len(said) == 2
