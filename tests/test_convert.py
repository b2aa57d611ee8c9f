"""bin/convert-day and bin/convert-range: the flags and files that people have, as one call of make.

Most tests put a `make` of their own first on PATH, which prints the arguments that it gets: what make does with
them is what the tests of a day and of a range look at.  The last ones run the real make.
"""

import os
import re
import subprocess
import sys

import pytest
from framemake import settings
from support.commands import BIN, needs, refused, run
from support.inside import inside
from support.sites import DAY, ROOT, START, Site, command

WINDOW = ("--start-dt", "2024-04-10 00:00:00", "--end-dt", "2024-04-11 00:00:00")
DATES = ("--start-date", "2024-04-10", "--end-date", "2024-04-12")


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    """Neither variables of ours nor a make around the tests."""
    for name in ("GIVEN", "CONFIG", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", *settings.VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site(tmp_path):
    """A folder with a make that shows its arguments, its folder and a few of its variables, NUL after each."""
    fake = tmp_path / "bin" / "make"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/bash\nprintf "%s\\0" "$@" @ "$PWD" "FFL=$FFL" "SPEC=$SPEC" "${MAKEFLAGS-}" "${DAY-}"\nexit ${FAKE-0}\n'
    )
    fake.chmod(0o755)
    return tmp_path


def called(site, name, *args, status=0, **environment):
    """What make was called with: (options, target, {variable: text}, what it sees)."""
    environment = {"PATH": f"{site / 'bin'}:{os.environ['PATH']}", **environment}
    got, out, told = run(name, *args, cwd=site, env=environment)
    assert (got, told) == (status, "")
    words = out.split("\0")[:-1]
    at = words.index("@")
    target = words.index(name.partition("-")[2])
    variables = dict(word.split("=", 1) for word in words[target + 1 : at])
    assert len(variables) == at - target - 1
    return words[:target], words[target], variables, words[at + 1 :]


def variables(site, name, *args, **environment):
    return called(site, name, *args, **environment)[2]


# --- one call of make ------------------------------------------------------------------------


def test_a_day_by_flags(site):
    flags = "--channels-file c.txt --ffl-path t.ffl --ffl-spec V1trend --out o --increment-size 600 --max-retries 3"
    options, target, given, seen = called(
        site, "convert-day", *WINDOW, *flags.split(), "--resume", "--log-level", "DEBUG"
    )
    assert options == ["-f", str(ROOT / "Makefile"), "--no-print-directory"] and target == "day"
    assert given == {
        "DAY": "2024-04-10",
        "CHANNELS": "c.txt",
        "FFL": "t.ffl",
        "SPEC": "V1trend",
        "OUT": "o",
        "INCREMENT": "600",
        "MAX_RETRIES": "3",
        "RESUME": "yes",
        "LOG_LEVEL": "DEBUG",
    }
    # Relative paths are those of the caller's folder, so make runs there.
    assert seen[0] == str(site)


def test_a_range_by_flags(site):
    flags = (
        "--channels-file c.txt --ffl-path t.ffl --ffl-spec V1raw --out-dir o --increment-size 100 --max-retries 2 "
        "--concurrency 4 --stagger-seconds 5 --mem-guard-mb 2000 --log-level WARN --resume --dry-run "
        "--compression gzip --limit-days 2 --minutes-per-day 30 --worker-path scripts/convert_one_day.py"
    )
    options, target, given, _ = called(site, "convert-range", *DATES, *flags.split())
    assert options == ["-f", str(ROOT / "Makefile"), "--no-print-directory", "-j4"] and target == "range"
    assert given == {
        "START": "2024-04-10",
        "END": "2024-04-12",
        "CHANNELS": "c.txt",
        "FFL": "t.ffl",
        "SPEC": "V1raw",
        "OUT": "o",
        "INCREMENT": "100",
        "COMPRESSION": "gzip",
        "MAX_RETRIES": "2",
        "RESUME": "yes",
        "LOG_LEVEL": "WARNING",
        "STAGGER": "5",
        "MEM_GUARD": "2000",
        "DRY_RUN": "yes",
        "LIMIT_DAYS": "2",
        "MINUTES": "30",
    }


@pytest.mark.parametrize(("name", "flag"), [("convert-day", "-c"), ("convert-range", "--config-file")])
def test_a_file_goes_to_make_as_it_is(site, name, flag):
    assert variables(site, name, flag, "my o4.toml") == {"CONFIG": "my o4.toml"}


def test_an_option_wins_over_the_file(site):
    # make tells read-config which variables were typed, and it leaves those out.
    got = variables(site, "convert-range", "-c", "o4.toml", "--out", "x", "--end-date", "2024-05-01")
    assert got == {"CONFIG": "o4.toml", "OUT": "x", "END": "2024-05-01"}


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        (("--resume",), "yes"),
        (("--resume", "true"), "yes"),
        (("--resume", "false"), "no"),
        (("--resume=no",), "no"),
        (("--no-resume",), "no"),
        (("--resume", "--no-resume"), "no"),
    ],
)
def test_resume_in_all_its_ways(site, flags, want):
    assert variables(site, "convert-day", "-c", "x", *flags)["RESUME"] == want


@pytest.mark.parametrize("of_make", ["1", "2", "3"])
def test_the_status_is_1_if_make_fails(site, of_make):
    called(site, "convert-day", "-c", "x", status=1, FAKE=of_make)


def test_make_does_not_inherit_an_ignored_sigpipe(site):
    # Python ignores SIGPIPE; were that passed on, a pipe that ends early would be an error in every command below.
    (site / "bin" / "make").write_text("#!/bin/bash\ngrep SigIgn /proc/$$/status\n")
    environment = {"PATH": f"{site / 'bin'}:{os.environ['PATH']}"}
    _, out, _ = run("convert-day", "-c", "x", cwd=site, env=environment)
    assert int(out.split()[1], 16) >> 12 & 1 == 0


def test_a_make_around_it_passes_on_nothing(site):
    seen = called(site, "convert-day", "-c", "x", MAKELEVEL="1", MAKEFLAGS=" -- THEIRS=1", DAY="1999-01-01")[3]
    assert seen[3:] == ["", ""]
    # Without one, MAKEFLAGS is what a person wants.
    assert called(site, "convert-day", "-c", "x", MAKEFLAGS="-j3")[3][3] == "-j3"


# --- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        ("--start-gps 1396742418 --end-gps 1396828818", {"DAY": "2024-04-10"}),
        ("--start-dt 2024-04-10 --duration 86400", {"DAY": "2024-04-10"}),
        ("--start-dt 10-04-2024 --end-dt 11-04-2024", {"DAY": "2024-04-10"}),
        ("--start-gps 1396742418 --duration 600", {"START": "1396742418", "END": "1396743018"}),
        (
            "--start-dt 2024-04-10T06:00:00 --end-dt 2024-04-10T07:00:00",
            {"START": "2024-04-10T06:00:00", "END": "2024-04-10T07:00:00"},
        ),
    ],
)
def test_the_window_of_a_day(site, flags, want):
    assert variables(site, "convert-day", *flags.split()) == want


@pytest.mark.parametrize(
    ("file", "flags", "want"),
    [
        # One side of the option, the other of the file; a duration only where the file has no other end.
        ("start_dt = 2024-04-10\nduration = 5", "--end-dt 2024-04-12", ("2024-04-10T00:00:00", "2024-04-12T00:00:00")),
        ('start_dt = "2024-04-10"\nduration = 600', "--start-gps 1396742500", ("1396742500", "1396743100")),
        ('start_dt = "2024-04-10"\nend_dt = "2024-04-11"', "--duration 60", ("1396742418", "1396742478")),
        ('end_dt = "2024-04-11"\nduration = 600', "--start-gps 1396828800", ("1396828800", "1396828818")),
        ('start_dt = "2024-04-10"\nend_dt = "2024-04-11"', "--start-gps 5 --duration 9", ("5", "14")),
    ],
)  # fmt: skip
def test_a_window_of_file_and_options(site, file, flags, want):
    (site / "x.toml").write_text(f"{file}\nresume = true\n")
    got = variables(site, "convert-day", "-c", "x.toml", *flags.split())
    assert got == {"CONFIG": "x.toml", "START": want[0], "END": want[1]}


# --- whose list ------------------------------------------------------------------------------


def test_a_spec_without_a_list_has_the_least_say(site):
    # In the environment, so that a site's local.mk goes before it.
    _, _, given, seen = called(site, "convert-day", *WINDOW, "--ffl-spec", "V1raw")
    assert "FFL" not in given and seen[1] == f"FFL={settings.LISTS['V1raw']}"
    assert called(site, "convert-day", *WINDOW, "--ffl-spec", "V1raw", FFL="mine")[3][1] == "FFL=mine"


def test_a_list_of_virgo_without_a_spec(site):
    _, _, given, seen = called(site, "convert-range", *DATES, "--ffl-path", "/there/raw.ffl")
    assert "SPEC" not in given and seen[2] == "SPEC=V1raw"


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flags", "status", "words"),
    [
        ("convert-day", "", 2, ("a span is needed", "-c FILE", "--start-dt", "--duration")),
        ("convert-range", "--out x", 2, ("a span is needed", "--start-date")),
        ("convert-day", "--start-dt 2024-04-10", 1, ("two of start, end and duration",)),
        ("convert-day", "--start-dt 2024-04-11 --end-dt 2024-04-10", 1, ("empty", "2024-04-11")),
        ("convert-range", "--start-date 2024-04-11 --end-date 2024-04-10", 1, ("empty", "2024-04-11")),
        ("convert-day", "--start-dt tomorrow", 2, ("--start-dt", "'tomorrow'")),
        ("convert-day", "-c x --increment-size 0", 2, ("--increment-size", "from 1", "'0'")),
        ("convert-day", "-c x --start-gps 1.5", 2, ("--start-gps", "'1.5'")),
        ("convert-day", "-c x --max-retries -1", 2, ("--max-retries",)),
        ("convert-day", "-c x --ffl-spec a/b", 2, ("--ffl-spec", "'a/b'")),
        ("convert-day", "-c x --resume maybe", 2, ("--resume", "true or false", "'maybe'")),
        ("convert-range", "-c x --stagger-seconds soon", 2, ("--stagger-seconds", "'soon'")),
        ("convert-range", "-c x --concurrency 0", 2, ("--concurrency", "'0'")),
        ("convert-range", "-c x --log-level LOUD", 2, ("--log-level", "'LOUD'")),
        ("convert-range", "-c x --start-dt 2024-04-10", 2, ("--start-dt",)),
        ("convert-day", "-c -", 1, ("cannot be standard input",)),
        ("convert-day", "-c none.toml --end-gps 5", 1, ("no such file", "'none.toml'")),
    ],
)
def test_a_bad_option_is_refused_by_name(site, name, flags, status, words):
    environment = {"PATH": f"{site / 'bin'}:{os.environ['PATH']}"}
    line = refused(name, *flags.split(), status=status, cwd=site, env=environment)
    assert all(word in line for word in words), line


def test_no_make_is_told(site):
    command, environment = [sys.executable, BIN / "convert-day", "-c", "x"], {"PATH": str(site), "VENV": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1 and done.stderr == "convert-day: no such program on PATH: 'make'\n"


# --- with the real make ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["a $(touch owned) b.ffl", "a#b", "a\\b", "q'\"q", "a%b;c&d|e", "$$HOME", "a=b:=c", "\udce9", "~"]
)
def test_a_path_is_only_a_path(tmp_path, path):
    needs("make")
    status, out, told = run("convert-day", *WINDOW, "--channels-file", "c.txt", "--ffl-path", path, cwd=tmp_path)
    assert status != 0 and out == "" and f"FFL='{path}'" in told.splitlines()[0]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def day(tmp_path):
    """The frames of a whole day, in a folder whose name a shell would run."""
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path / "a b $(touch owned)")
    options = ("--channels", 4, "--duration", 43200, "--list", site.channels)
    site.ffl.write_text(command("make-frames", site.frames, "--day", DAY, *options).stdout)
    yield site
    assert not list(tmp_path.rglob("owned"))


def test_a_day_from_its_frames(day):
    flags = ("--ffl-path", "t.ffl", "--channels-file", "channels.txt", "--out", "out", "--compression", "gzip")
    status, _, told = run("convert-day", *WINDOW, *flags, cwd=day.folder)
    assert status == 0, told
    summary = day.json("summary")
    assert (summary["start_gps"], summary["total_seconds"], summary["valid_channels"]) == (START, 86400, 4)
    assert summary["ffl_path"] == str(day.ffl)
    assert inside("check-day", "--all", day.h5).stdout == ""


@pytest.mark.long
def test_a_window_of_a_file_with_an_option_that_wins(day):
    (day.folder / "worker.toml").write_text(
        f'start_gps = {START}\nduration = 7200\nchannels_file = "channels.txt"\nffl_path = "t.ffl"\n'
        'ffl_spec = "V1trend"\nout_root = "elsewhere"\nincrement_size = 600\nresume = false\n'
    )
    flags = ("-c", "worker.toml", "--out", "out", "--duration", "3600")
    status, out, told = run("convert-day", *flags, cwd=day.folder)
    assert (status, told) == (0, "")
    # What is done is told on stdout, a line each: time, level, whose folder, command.
    lines = [line.split(" ", 3) for line in out.splitlines()]
    assert all(re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\+00:00", line[0]) and line[1] == "INFO" for line in lines)
    assert [line[2:] for line in lines][-1] == ["make:", "2024-04-10: 4 of 4 channels, 0 % NaN, " + lines[-1][3][-3:]]
    assert "V1trend-2024-04-10: pad-merge: wrote 'V1trend_20240410.h5'" in out
    # DEBUG tells the steps that are run as well; with nothing new that is the listing of the frames.
    status, out, told = run("convert-day", *flags, "--resume", "--log-level", "DEBUG", cwd=day.folder)
    assert status == 0 and " DEBUG V1trend-2024-04-10: list-frames: begins: " in out and "hing new\n" in out
    assert told == ""
    summary = day.json("summary")
    assert (summary["start_gps"], summary["total_seconds"], summary["increment_size"]) == (START, 3600, 600)
    assert not (day.folder / "elsewhere").exists()
