"""day-status: what it says of a day is what the day's folder, its state, summary and lock say."""

import contextlib
import datetime
import fcntl
import json
import os
import re
import subprocess
import sys
import time

import pytest
from framemake import files
from support.commands import BIN, needs, refused, run, well
from support.sites import ROOT, Site, signal

START = 1396742418
FIRST = datetime.date(2024, 4, 10)


def day_after(number):
    return str(FIRST + datetime.timedelta(days=number))


class Out:
    """An output folder whose day folders the test lays down, as the real commands leave them."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def day(self, number=0, status="completed", spec="V1trend", size=42_000_000, summary=True, **told):
        """A day folder; told: keys of the state, or of the summary."""
        date = day_after(number)
        folder = self.path / f"{spec}-{date}"
        (folder / ".work").mkdir(parents=True)
        (folder / ".work" / "lock").touch()
        start = START + 86400 * number
        of_summary = {
            "date": date,
            "start_dt_utc": f"{date}T00:00:00",
            "start_gps": start,
            "requested_channels": 3,
            "valid_channels": 2,
            "total_samples": 172800,
            "nan_samples": 0,
            "missing_spans_gps": [],
            "frame_files": {"used": 24, "absent": 0, "duplicate": 0, "covered": 0},
            "unreadable_frames": 0,
        }
        of_summary.update({key: told.pop(key) for key in list(told) if key in of_summary})
        state = {"date": date, "status": status, "error": None, "started_at_utc": "2026-11-21T12:00:15Z"}
        if status == "completed":
            state["finished_at_utc"] = "2026-11-21T12:34:56Z"
        (folder / "state_day.json").write_text(json.dumps({**state, **told}, indent=1))
        base = folder / f"{spec}_{date.replace('-', '')}"
        if status == "completed":
            with open(f"{base}.h5", "wb") as file:
                file.truncate(size)
            if summary:
                of_summary["provenance"] = {"frames": [{"path": '\n "provenance": {', "status": "used"}] * 865}
                base.with_suffix(".summary.json").write_text(json.dumps(of_summary, indent=1) + "\n")
        return folder

    def json(self, *args):
        status, printed, _ = run("day-status", self.path, "--json", *args)
        return status, json.loads(printed)

    def days(self, *args):
        return {day["date"]: day for day in self.json(*args)[1]["days"]}

    def lines(self, *args):
        return run("day-status", self.path, *args)[1].splitlines()


@pytest.fixture
def out(tmp_path):
    return Out(tmp_path / "out")


@contextlib.contextmanager
def held(folder):
    """A make at work: another process has the lock of the day."""
    with open(folder / ".work" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_real_day(tmp_path):
    needs("make", "parallel", "jq")
    site = Site(tmp_path)
    site.want("V1:A", "V1:B", "V1:NEVER")
    for start in range(0, 86400, 21600):
        missing = start == 43200
        site.frame(start, 21600, [signal("V1:A", 21600)] + ([] if missing else [signal("V1:B", 21600)]))
    site.listed.pop(1)
    site.list(site.frames / "absent.gwf", START + 21600, 21600)
    assert site.make().returncode == 0
    status, printed, told = run("day-status", cwd=tmp_path)
    assert (status, told) == (0, "")
    size = (site.h5).stat().st_size
    head, titles, line, *rest = printed.splitlines()
    assert head.startswith("1 day: 1 completed; ") and head.endswith("; 62.5 % covered; 6.0 h without frames")
    assert titles.split() == ["day", "status", "coverage", "size", "retries", "finished", "(UTC)"]
    assert line.startswith("2024-04-10  completed    62.5 %  ")
    assert "no frames 06:00-12:00; 1 file absent" in " ".join([line, *rest])
    entry = json.loads(well("day-status", site.out, "--json"))["days"][0]
    assert entry["coverage"] == 0.625 and entry["size_bytes"] == size
    assert entry["late_gps"] == [[START + 21600, START + 43200]] and entry["late_seconds"] == 21600
    assert (entry["valid_channels"], entry["requested_channels"], entry["absent_files"]) == (2, 3, 1)
    assert entry["finished_utc"] == site.json("state_day.json")["finished_at_utc"]


def test_all_well_is_nought_and_silent(out):
    out.day(0), out.day(1)
    well("day-status", out.path)


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_day_that_is_not_there_is_three(out, status):
    out.day(0), out.day(1, status, error="pad-merge: no frame can be read")
    code, printed, told = run("day-status", out.path)
    kind = "failed" if status == "failed" else "interrupted"
    assert code == 3 and told == f"day-status: days that are not there: 1 {kind}: {str(out.path)!r}\n"
    assert f"2 days: 1 completed, 1 {kind}" in printed


def test_a_day_between_without_a_folder_is_missing(out):
    out.day(0), out.day(3)
    code, told = out.json()
    assert code == 3 and [day["status"] for day in told["days"]] == ["completed", "missing", "missing", "completed"]
    assert (told["totals"]["missing"], told["totals"]["days"]) == (2, 4)


def test_the_range_asked_for_counts(out):
    out.day(0), out.day(1), out.day(5, "failed")
    code, told = out.json("--start", day_after(-1), "--end", day_after(1))
    assert code == 3 and [day["status"] for day in told["days"]] == ["missing", "completed", "completed"]
    assert out.json("--end", day_after(1))[0] == 0
    assert list(out.days("--start", day_after(5))) == [day_after(5)]


def test_running_is_what_holds_the_lock(out):
    folder = out.day(0, "running")
    assert out.days()[day_after(0)]["status"] == "interrupted"
    with held(folder):
        code, told = out.json()
        assert code == 0 and told["days"][0]["status"] == "running"
    day = out.days()[day_after(0)]
    assert (day["status"], day["error"]) == ("interrupted", "stopped before it was done")


def test_a_failed_or_queued_day_at_which_a_make_is_at_work_runs(out):
    run = out.path / ".range.abcdef"
    run.mkdir(parents=True)
    for number, status in enumerate(("failed", "queued")):
        folder = out.day(number, status, error="before")
        with files.locked(run / "lock"):
            assert out.days()[day_after(number)]["status"] == status
            with held(folder):
                assert out.days()[day_after(number)]["status"] == "running"


def test_a_day_that_is_queued_by_a_range_that_is_no_more_is_interrupted(out):
    out.day(0, "queued")
    assert out.days()[day_after(0)]["status"] == "interrupted"
    run = out.path / ".range.abcdef"
    run.mkdir()
    (run / "lock").touch()  # as a kill leaves it
    code, told = out.json()
    assert (code, told["days"][0]["status"]) == (3, "interrupted")
    with files.locked(run / "lock"):
        assert out.days()[day_after(0)]["status"] == "queued"


def test_what_a_stopped_make_noted_is_interrupted(out):
    out.day(0, "failed", error="interrupted")
    assert out.days()[day_after(0)]["status"] == "interrupted"


def test_it_changes_nothing_and_keeps_no_make_waiting(out):
    folder = out.day(0, "running")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in out.path.rglob("*"))
    out.lines()
    assert sorted((str(path), path.stat().st_mtime_ns) for path in out.path.rglob("*")) == before
    with open(folder / ".work" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_without_a_state(out):
    (out.path / f"V1trend-{day_after(0)}").mkdir()
    begun = out.path / f"V1trend-{day_after(1)}" / ".work"
    begun.mkdir(parents=True)
    (begun / "lock").touch()
    assert [day["status"] for day in out.days().values()] == ["missing", "interrupted"]
    with held(begun.parent):
        assert out.days()[day_after(1)]["status"] == "running"


def test_a_completed_day_whose_file_is_gone_has_failed(out):
    folder = out.day(0)
    next(folder.glob("*.h5")).unlink()
    day = out.days()[day_after(0)]
    assert (day["status"], day["error"], day["h5"]) == ("failed", "the day file is gone", None)


def test_damaged_states_and_summaries_are_told_of_their_day_alone(out):
    folders = [out.day(number) for number in range(5)]
    (folders[0] / "state_day.json").write_text("{")
    (folders[1] / "state_day.json").write_text('["a list"]')
    (folders[2] / "state_day.json").write_text('{"status": "dreaming"}')
    next(folders[3].glob("*.summary.json")).write_text("{")
    statuses = [(day["status"], day["error"]) for day in out.days().values()]
    assert statuses == [
        ("interrupted", "stopped before it was done"),
        ("interrupted", "stopped before it was done"),
        ("failed", "its state is damaged: status 'dreaming'"),
        ("failed", "the summary is damaged"),
        ("completed", None),
    ]


def test_a_site_that_wants_no_summaries(out):
    out.day(0, summary=False)
    line = well("day-status", out.path).splitlines()[2]
    assert line.split() == ["2024-04-10", "completed", "42.0", "MB", "0", "2026-11-21", "12:34"]
    assert out.days()[day_after(0)]["coverage"] is None


def test_states_from_elsewhere_do_not_matter(out):
    """The folder has moved since, and h5_path names where it was."""
    out.day(0, h5_path="/gone/V1trend_20240410.h5")
    day = out.days()[day_after(0)]
    assert day["status"] == "completed" and day["h5"] == str(out.path / "V1trend-2024-04-10" / "V1trend_20240410.h5")


def test_coverage_is_by_samples_and_never_rounded_up(out):
    out.day(0, nan_samples=1)
    out.day(1, nan_samples=172800, valid_channels=2)
    out.day(2, total_samples=0, valid_channels=0)
    days = list(out.days().values())
    assert days[0]["coverage"] == 172799 / 172800 and days[1]["coverage"] == 0 and days[2]["coverage"] == 0
    assert out.json()[1]["totals"]["coverage"] == 172799 / 345600
    printed = "\n".join(out.lines("--all"))
    assert " 99.9 %" in printed and "100.0 %" not in printed and "no channel has a sample" in printed


def test_many_days_of_which_there_is_the_same_to_tell_are_one_line(out):
    for number in (*range(10), *range(20, 31)):
        out.day(number, retries=number % 2)
    out.day(31, missing_spans_gps=[[START + 31 * 86400, START + 31 * 86400 + 90]])
    out.day(32, "failed", error="prune-channels: " + "a long story of what went wrong " * 8, retries=3)
    lines = out.lines()
    table = lines[next(n for n, line in enumerate(lines) if line.startswith("day ")) + 1 :]
    assert table[0].startswith("2024-04-10 .. 2024-04-19  10 days completed   100.0 %  420.0 MB        5  2026-11-21")
    assert table[1].startswith("2024-04-20 .. 2024-04-29  10 days missing")
    assert table[2].startswith("2024-04-30 .. 2024-05-10  11 days completed ")
    assert table[3].startswith("2024-05-11                completed ") and "no frames 00:00-00:01:30" in table[4]
    assert table[5].split()[:3] == ["2024-05-12", "failed", "3"]
    assert " ".join(" ".join(table[6:]).split()).count("a long story") == 8
    every = out.lines("--all")
    assert sum(line.startswith("2024-") for line in every) == 33
    assert all(len(line) <= 100 for line in lines + every)


def test_two_days_alike_stay_two_lines(out):
    out.day(0), out.day(1)
    assert [line.split()[0] for line in out.lines()[2:]] == [day_after(0), day_after(1)]


def test_several_specs_are_shown_each_with_its_own(out):
    out.day(0), out.day(1), out.day(1, spec="V1raw-x"), out.day(3, "failed", spec="V1raw-x")
    code, told = out.json()
    assert code == 3 and list(told["specs"]) == ["V1raw-x", "V1trend"]
    assert told["specs"]["V1raw-x"]["missing"] == 1 and told["specs"]["V1trend"]["days"] == 2
    printed = "\n".join(out.lines())
    assert "V1raw-x, 3 days: " in printed and "V1trend, 2 days: 2 completed" in printed
    assert out.json("--spec", "V1trend")[0] == 0
    assert {day["spec"] for day in out.days("--spec", "V1trend").values()} == {"V1trend"}


def test_what_is_no_day_folder_is_not_looked_at(out):
    out.day(0)
    for name in ("V1trend-2024-13-45", "notes", "V1trend-2024-4-1", "-2024-04-20"):
        (out.path / name).mkdir()
    (out.path / "V1trend-2024-05-01").write_text("a file")
    (out.path / "index.json").write_text("{}")
    assert list(out.days()) == [day_after(0)]


def test_messages_of_others_cannot_steer_a_terminal(out):
    out.day(0, "failed", error="\x1b[2Jgone\nnext")
    assert "?[2Jgone?next" in "\n".join(out.lines())


def test_a_span_that_begins_within_its_day_tells_the_time_of_day(out):
    begin = START + 43200
    out.day(0, start_gps=begin, start_dt_utc="2024-04-10T12:00:00", missing_spans_gps=[[begin + 60, begin + 120]])
    assert "no frames 12:01-12:02" in "\n".join(out.lines())


def test_colour_is_for_terminals(out):
    out.day(0), out.day(1, "failed", error="what")
    assert "\x1b" not in "\n".join(out.lines())
    needs("script")
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    show = ["script", "-qc", f"{BIN / 'day-status'} '{out.path}'", "/dev/null"]
    shown = subprocess.run(show, capture_output=True, text=True, env=environment, check=False).stdout
    assert "\x1b[31mfailed\x1b[0m" in shown and re.search(r"\x1b\[1m2 days: .*\x1b\[0m", shown)
    plain = subprocess.run(show, capture_output=True, text=True, env={**environment, "NO_COLOR": "1"}, check=False)
    assert "\x1b" not in plain.stdout and "2 days: " in plain.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["none"], "no such file or directory: 'none'"),
        (["empty"], "no day in folder: 'empty'"),
        (["empty", "--spec", "V1raw"], "no day of V1raw in folder: 'empty'"),
        (["empty", "--start", "yesterday"], "no such day, want YYYY-MM-DD"),
        (["empty", "--start", "2024-02-02", "--end", "2024-02-01"], "the range is empty"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, args, words):
    (tmp_path / "empty").mkdir()
    assert words in refused("day-status", *args, cwd=tmp_path)


def test_a_range_of_which_nothing_is_there_is_all_missing(out):
    code, told = out.json("--start", day_after(0), "--end", day_after(9), "--spec", "V1trend")
    assert code == 3 and told["totals"]["missing"] == 10 and told["days"][0]["spec"] == "V1trend"
    assert out.json("--start", day_after(0), "--end", day_after(9))[0] == 3


def test_of_a_day_four_small_files_are_opened_and_no_day_file(out):
    """What the time of a range of years is made of: make bench tells it."""
    opened = []

    def look(event, given):
        if event == "open" and str(given[0]).startswith(str(out.path)):
            opened.append(os.path.basename(given[0]))

    for number in range(20):
        out.day(number, nan_samples=number)
    sys.addaudithook(look)
    status.days_of(str(out.path))
    assert len(opened) <= 20 * 4 and not any(name.endswith(".h5") for name in opened)


def test_nothing_heavy_is_imported(out):
    out.day(0)
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['day-status', {str(out.path)!r}]\n"
        "try: runpy.run_path(sys.orig_argv[-1], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'h5py', 'gwpy', 'gwframe'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, BIN / "day-status"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
