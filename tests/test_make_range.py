"""`make range` as a person runs it: which days it builds, what stops only itself, what it tells."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from framemake import files, gps
from framemake.day.folder import Folder
from framemake.days import plan
from support import processes
from support.commands import bound, long, needs, run, well
from support.sites import ROOT, command, make, samples_without_times

FIRST, LAST = "2024-04-10", "2024-04-13"
DAYS = ["2024-04-10", "2024-04-11", "2024-04-12", "2024-04-13"]


class Range:
    """Four days of small trend frames, and make range over them."""

    def __init__(self, folder):
        self.folder, self.frames, self.out = folder, folder / "frames", folder / "out"
        self.ffl, self.channels = folder / "t.ffl", folder / "channels.txt"
        self.lines = {}
        for day in DAYS:
            made = command(
                "make-frames", self.frames, "--day", day, "--channels", 4, "--duration", 21600, "--list", self.channels
            )
            self.lines.update(dict.fromkeys(made.stdout.splitlines(), day))
        self.list()

    def list(self, without=()):
        """Write the FFL, without the lines that name any of these."""
        self.ffl.write_text("".join(f"{line}\n" for line in self.lines if not any(w in line for w in without)))

    def variables(self, **more):
        given = {"START": FIRST, "END": LAST, "FFL": self.ffl, "CHANNELS": self.channels, "OUT": self.out, **more}
        return [f"{name}={value}" for name, value in given.items()]

    def make(self, *options, before=(), **more):
        return make("range", *options, *self.variables(**more), cwd=self.folder, before=before)

    def folder_of(self, day):
        return self.out / f"V1trend-{day}"

    def h5(self, day):
        return self.folder_of(day) / f"V1trend_{day.replace('-', '')}.h5"

    def state(self, day):
        return json.loads((self.folder_of(day) / "state_day.json").read_text())

    def index(self):
        return json.loads((self.out / "index.json").read_text())

    def made(self):
        """By day: inode and time of its day file."""
        return {
            day: (self.h5(day).stat().st_ino, self.h5(day).stat().st_mtime_ns) for day in DAYS if self.h5(day).exists()
        }

    def break_day(self, day):
        """Put a file where the day's parts go: it fails, whatever is tried."""
        work = self.folder_of(day) / ".work"
        work.mkdir(parents=True, exist_ok=True)
        (work / "parts").write_text("in the way\n")

    def heal(self, day):
        (self.folder_of(day) / ".work" / "parts").unlink()


@pytest.fixture(scope="module")
def made_frames(tmp_path_factory):
    needs("make", "parallel", "jq", "flock")
    return Range(tmp_path_factory.mktemp("range"))


@pytest.fixture
def days(made_frames, tmp_path):
    """The same frames for all tests, outputs of their own."""
    made_frames.out = tmp_path / "out"
    made_frames.list()
    return made_frames


@pytest.fixture(scope="module")
def once(made_frames, tmp_path_factory):
    """The four days built by one make range: what it said, and where they are."""
    made_frames.out = tmp_path_factory.mktemp("once") / "out"
    made_frames.list()
    return made_frames.make("-j2"), made_frames.out


@pytest.fixture
def built(once, days):
    """Four days that are done, to be changed by the test."""
    shutil.copytree(once[1], days.out)
    return days


def counts(days):
    """What programs read of the last range: days, built, unchanged, failed, no_frame."""
    told = json.loads((days.out / ".range.json").read_text())
    assert gps.seconds_between(told["run_utc_started"], told["finished_utc"]) >= 0
    return [told[name] for name in ("days", "built", "unchanged", "failed", "no_frame")]


def statuses(days):
    return {day: entry["status"] for day, entry in days.index()["days"].items()}


def test_every_day_is_built_the_last_included(days, once):
    done, days.out = once
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "4 day(s): 4 built, 0 had nothing new, 0 failed, 0 without a frame" in done.stderr
    assert counts(days) == [4, 4, 0, 0, 0]
    index = days.index()
    assert index["range"] == {"start_date": FIRST, "end_date": LAST}
    assert index["params"] == {"concurrency": 2, "increment_size": 600}
    assert index["stats"] == {"total": 4, "completed": 4, "failed": 0, "running": 0, "queued": 0}
    for day in DAYS:
        assert index["days"][day]["h5"] == str(days.h5(day)) and days.h5(day).exists()
        assert index["days"][day]["retries"] == 0 and index["days"][day]["finished_utc"]
        with h5py.File(days.h5(day)) as file:
            assert all(len(dataset) == 86400 for dataset in file["channels"].values())


def test_a_day_of_a_range_is_the_day_built_alone(built, tmp_path):
    days = built
    alone = [f"DAY={DAYS[1]}", f"FFL={days.ffl}", f"CHANNELS={days.channels}", f"OUT={tmp_path / 'alone'}"]
    assert make(*alone, cwd=tmp_path).returncode == 0
    other = tmp_path / "alone" / f"V1trend-{DAYS[1]}" / days.h5(DAYS[1]).name
    assert samples_without_times(days.h5(DAYS[1])) == samples_without_times(other)
    # And make DAY= finds nothing to do in what the range made.
    before = days.made()
    assert make(f"OUT={days.out}", *alone[:3], cwd=tmp_path).returncode == 0
    assert days.made() == before


def test_nothing_new_does_nothing(built):
    days = built
    before = days.made()
    folders = {day: os.stat(days.folder_of(day)).st_mtime_ns for day in DAYS}
    index = (days.out / "index.json").stat().st_mtime_ns
    done = days.make("-j2")
    assert done.returncode == 0 and "4 day(s): 0 built, 4 had nothing new" in done.stderr
    assert counts(days) == [4, 0, 4, 0, 0]
    assert days.made() == before
    assert {day: os.stat(days.folder_of(day)).st_mtime_ns for day in DAYS} == folders
    assert (days.out / "index.json").stat().st_mtime_ns == index


def test_a_late_frame_reopens_its_day_alone(days):
    late = str(1396742418 + 86400 + 21600 - 18)
    days.list(without=[f"-{late}-"])
    assert days.make("-j2").returncode == 0
    before = days.made()
    days.list()
    done = days.make("-j2")
    assert "4 day(s): 1 built, 3 had nothing new" in done.stderr, done.stderr
    assert {day for day in DAYS if days.made()[day] != before[day]} == {DAYS[1]}
    coverage = json.loads((days.folder_of(DAYS[1]) / "channels_info/channels_coverage.json").read_text())
    assert {entry["nan_samples"] for entry in coverage.values()} == {0}


def test_a_bad_day_stops_only_itself_is_retried_and_told(days):
    days.break_day(DAYS[2])
    done = days.make("-j2", MAX_RETRIES=2)
    assert done.returncode != 0
    assert "4 day(s): 3 built, 0 had nothing new, 1 failed" in done.stderr
    assert counts(days) == [4, 3, 0, 1, 0]
    assert f"make: {DAYS[2]} failed: extract-increment: " in done.stderr
    assert statuses(days) == {**dict.fromkeys(DAYS, "completed"), DAYS[2]: "failed"}
    entry = days.index()["days"][DAYS[2]]
    assert entry["retries"] == 2 and "parts" in entry["error"] and entry["h5"] is None
    before = days.made()
    days.heal(DAYS[2])
    done = days.make("-j2")
    assert done.returncode == 0 and "1 built, 3 had nothing new, 0 failed" in done.stderr
    assert {day: made for day, made in days.made().items() if day != DAYS[2]} == before
    assert statuses(days) == dict.fromkeys(DAYS, "completed")


def test_a_day_without_a_frame_is_failed_and_one_with_seconds_is_completed(days):
    # The day after the last has the 18 s that the last day's file begins before midnight... of nothing else.
    done = days.make("-j2", END="2024-04-15")
    assert done.returncode != 0
    assert "plan-range: no frame of 2024-04-15 in" in done.stderr
    told = days.index()["days"]
    assert told["2024-04-15"]["status"] == "failed" and told["2024-04-15"]["error"].startswith("no frame of 2024-04-15")
    assert told["2024-04-14"]["status"] == "completed"
    summary = json.loads(days.h5("2024-04-14").with_suffix(".summary.json").read_text())
    assert 0.5 < summary["nan_fraction"] < 1
    done = days.make("-j2", END="2024-04-15")
    assert done.returncode != 0 and "0 built, 5 had nothing new, 0 failed, 1 without a frame" in done.stderr
    assert counts(days) == [6, 0, 5, 0, 1]
    assert days.state("2024-04-15")["reason"] == "no_frame" and "reason" not in days.state("2024-04-14")


@pytest.mark.long
def test_a_channel_list_that_changes_and_a_setting_that_changes_rebuild_every_day(built, tmp_path):
    days = built
    names = days.channels.read_text()
    other = tmp_path / "fewer.txt"
    other.write_text("".join(names.splitlines(True)[:2]))
    assert "2 built" in days.make("-j2", CHANNELS=other, LIMIT_DAYS=2).stderr
    settings = {"CHANNELS": other, "LIMIT_DAYS": 2, "COMPRESSION": "gzip"}
    assert "finished, and would lose samples if made as asked" in days.make("-j2", **settings).stderr
    assert "2 built" in days.make("-j2", **settings, SHRINK="yes").stderr
    assert "0 built" in days.make("-j2", CHANNELS=other, LIMIT_DAYS=2, COMPRESSION="gzip").stderr
    with h5py.File(days.h5(FIRST)) as file:
        assert len(file["channels"]) == 2 and next(iter(file["channels"].values())).compression == "gzip"


@pytest.mark.long
def test_what_is_deleted_is_made_again(built):
    days = built
    days.h5(DAYS[0]).unlink()
    days.h5(DAYS[1]).with_suffix(".summary.json").unlink()
    assert "2 built, 2 had nothing new" in days.make("-j2").stderr
    assert days.h5(DAYS[0]).exists() and days.h5(DAYS[1]).with_suffix(".summary.json").exists()
    # The index, from nothing.
    before = days.index()["days"]
    (days.out / "index.json").unlink()
    assert days.make().returncode == 0
    assert days.index()["days"] == before


def test_first_and_last_are_the_days_and_start_and_end_their_other_names(built, tmp_path):
    given = [word for word in built.variables() if not word.startswith(("START=", "END="))]
    for span in (["FIRST=2024-04-11", "LAST=2024-04-12"], ["START=2024-04-11", "LAST=2024-04-12"]):
        done = make("range", *span, *given, cwd=built.folder)
        assert done.returncode == 0 and "2 day(s): 0 built, 2 had nothing new" in done.stderr, done.stderr
    (tmp_path / "o4.toml").write_text('start_date = "2024-04-10"\nend_date = "2024-04-12"\n')
    done = make("range", "FIRST=2024-04-12", f"CONFIG={tmp_path / 'o4.toml'}", *given, cwd=built.folder)
    assert done.returncode == 0 and "1 day(s): 0 built, 1 had nothing new" in done.stderr, done.stderr
    done = make("range", "FIRST=2024-04-11", *built.variables(), cwd=built.folder)
    assert done.returncode != 0 and "FIRST and START are the same, give one: '2024-04-11', '2024-04-10'" in done.stderr
    done = make("range", "FIRST=2024-04-31", "LAST=2024-05-01", *given, cwd=built.folder)
    assert done.returncode != 0 and "FIRST: no such day: '2024-04-31'" in done.stderr


@pytest.mark.long
def test_resume_no_makes_every_day_anew(built):
    before = built.made()
    assert "2 built" in built.make("-j2", RESUME="no", LIMIT_DAYS=2).stderr
    assert set(before.values()) & set(built.made().values()) == {before[day] for day in DAYS[2:]}


@pytest.mark.long
def test_summary_no_writes_none(built):
    first = built.h5(FIRST).with_suffix(".summary.json")
    assert "0 built, 2 had nothing new" in built.make(LIMIT_DAYS=2).stderr and first.exists()
    built.h5(FIRST).unlink()
    done = built.make("-j2", SUMMARY="no", LIMIT_DAYS=1)
    assert done.returncode == 0 and "1 built" in done.stderr, done.stderr
    assert not first.exists() and built.h5(FIRST).exists() and statuses(built)[FIRST] == "completed"
    assert "0 built" in built.make(SUMMARY="no", LIMIT_DAYS=1).stderr
    assert "1 built" in built.make(LIMIT_DAYS=1).stderr and first.exists()


@pytest.mark.long
def test_a_day_that_another_make_holds_is_not_taken_for_built(days):
    lock = days.folder_of(DAYS[1]) / ".work" / "lock"
    lock.parent.mkdir(parents=True)
    with files.locked(str(lock)):
        done = days.make("-j2", LOCK_WAIT=1, MAX_RETRIES=0)
    assert done.returncode != 0 and "3 built, 0 had nothing new, 1 failed" in done.stderr, done.stderr
    assert f"make: {DAYS[1]} queued: not run\n" in done.stderr
    assert "1 built, 3 had nothing new, 0 failed" in days.make("-j2").stderr


@pytest.mark.parametrize("damage", [b"{", long(b""), long(b"[1]")])
def test_a_damaged_state_is_made_again(built, damage):
    for day in DAYS[:2]:
        (built.folder_of(day) / "state_day.json").write_bytes(damage)
    done = built.make("-j2")
    assert done.returncode == 0 and "2 built, 2 had nothing new, 0 failed" in done.stderr, done.stderr
    assert statuses(built) == dict.fromkeys(DAYS, "completed")
    assert {built.state(day)["status"] for day in DAYS} == {"completed"}


@pytest.mark.quick
def test_a_dry_run_says_what_it_would_do_and_writes_nothing(days):
    done = days.make("-j2", DRY_RUN="yes")
    assert done.returncode == 0 and done.stdout == "".join(f"{day}\tnew\n" for day in DAYS)
    assert not days.out.exists()
    assert days.make("-n").stdout.endswith(done.stdout) and not days.out.exists()


@pytest.mark.long
def test_a_day_of_which_a_frame_could_not_be_had_has_work_to_do_until_it_can(days):
    denied = days.frames / "V-trend-1396936800-21600.gwf"
    denied.chmod(0)
    assert days.make("-j2", before=bound()).returncode == 0
    why = "a frame could not be had"
    for _ in range(2):
        assert days.make(DRY_RUN="yes", before=bound()).stdout == f"{DAYS[2]}\t{why}\n"
        done = days.make("-j2", before=bound())
        assert done.returncode == 0 and "1 built, 3 had nothing new" in done.stderr, done.stderr
    denied.chmod(0o644)
    assert "1 built, 3 had nothing new" in days.make("-j2").stderr
    assert days.make(DRY_RUN="yes").stdout == ""
    told = json.loads(days.h5(DAYS[2]).with_suffix(".summary.json").read_text())
    assert told["bad_frames"] == [] and told["nan_samples"] == 0


def test_two_specs_in_one_folder_hide_nothing_of_each_other(built):
    assert built.make("-j2", SPEC="V1other", LIMIT_DAYS=1).returncode == 0
    other = built.folder_of(FIRST).with_name(f"V1other-{FIRST}")
    Folder.at(str(other)).note(status="failed", error="for a test")
    well("summarize", "--index", built.out)
    index = built.index()
    assert index["days"][FIRST]["status"] == "failed" and index["days"][FIRST]["spec"] == "V1other"
    assert [entry["spec"] for entry in index["days"].values()] == ["V1other", "V1trend", "V1trend", "V1trend"]
    assert index["specs"]["V1trend"][FIRST]["status"] == "completed"
    assert list(index["specs"]["V1other"]) == [FIRST]
    assert (index["stats"]["total"], index["stats"]["completed"], index["stats"]["failed"]) == (4, 3, 1)


@pytest.mark.parametrize("status", [None, "done?"])
def test_a_state_of_no_known_status_is_a_failure(built, status):
    Folder.at(str(built.folder_of(FIRST))).note(status=status)
    well("summarize", "--index", built.out)
    assert built.index()["days"][FIRST]["error"] == f"its state is damaged: status {status!r}"
    assert built.index()["stats"]["failed"] == 1
    assert built.make("-j2").returncode == 0 and built.index()["stats"]["completed"] == 4


def test_a_dry_run_leaves_out_what_is_done(built):
    size = sum(built.h5(day).stat().st_size for day in DAYS[2:])
    for day in DAYS[2:]:
        shutil.rmtree(built.folder_of(day))
    done = built.make(DRY_RUN="yes")
    assert done.stdout == f"{DAYS[2]}\tnew\n{DAYS[3]}\tnew\n"
    # What the two that are left tell of the others: samples only, a small file has as much of other things.
    told = re.search(
        r"2 day\(s\) to build: about ([0-9.]+) MB \(4 channels as in 2 .*; about \d+ s \(as 2 ", done.stderr
    )
    assert 0.5 * size < float(told[1]) * 1e6 < size
    assert not built.folder_of(DAYS[2]).exists()


def test_smoke_mode_takes_the_first_days_and_their_first_minutes(days):
    done = days.make("-j2", LIMIT_DAYS=2, MINUTES=30)
    assert done.returncode == 0 and "2 day(s): 2 built" in done.stderr, done.stderr
    assert sorted(p.name for p in days.out.glob("V1*")) == [f"V1trend-{day}" for day in DAYS[:2]]
    with h5py.File(days.h5(FIRST)) as file:
        assert {len(dataset) for dataset in file["channels"].values()} == {1800}
    assert "0 built" in days.make(LIMIT_DAYS=2, MINUTES=30).stderr
    # The whole day next: not what the smoke run left.
    assert "2 built" in days.make("-j2", LIMIT_DAYS=2).stderr
    with h5py.File(days.h5(FIRST)) as file:
        assert {len(dataset) for dataset in file["channels"].values()} == {86400}


@pytest.mark.long
def test_stagger_keeps_the_starts_apart(days):
    """Four seconds asked for: on a busy machine two are left at least; without, both start at once."""
    assert days.make("-j2", STAGGER="4", LIMIT_DAYS=2, MINUTES=20).returncode == 0
    first, second = sorted(
        gps.seconds_between(days.state(FIRST)["started_at_utc"], days.state(day)["started_at_utc"]) for day in DAYS[:2]
    )
    assert second - first >= 2


def test_a_memory_guard_waits_and_says_so(days):
    line = ["make", "-f", ROOT / "Makefile", "range", *days.variables(MEM_GUARD=99_999_999, LIMIT_DAYS=1)]
    process = processes.start(*line, cwd=days.folder)
    try:
        told = process.stdout.readline().decode()
        assert "waits for memory" in told and "MEM_GUARD=99999999" in told
        assert days.state(FIRST)["status"] == "queued"
    finally:
        processes.kill_all(process)
    assert days.make(LIMIT_DAYS=1, MEM_GUARD=1).returncode == 0


def test_a_settings_file_and_what_is_typed_goes_before_it(days, tmp_path):
    config = tmp_path / "o4.toml"
    config.write_text(
        f'start_date = "{FIRST}"\nend_date = "{LAST}"\nchannels_file = "{days.channels}"\nffl_path = "{days.ffl}"\n'
        f'ffl_spec = "V1trend"\nout_dir = "{days.out}"\nconcurrency = 2\nincrement_size = 300\nlimit_days = 3\n'
        'resume = true\nlog_level = "INFO"\nmax_retries = 1\nminutes_per_day = 20\n'
    )
    done = make("range", f"CONFIG={config}", "LIMIT_DAYS=1", cwd=tmp_path)
    assert done.returncode == 0 and "1 day(s): 1 built" in done.stderr, done.stderr
    assert days.index()["params"] == {"concurrency": 2, "increment_size": 300}
    config.write_text(config.read_text() + "colour = 1\n")
    done = make("range", f"CONFIG={config}", cwd=tmp_path)
    assert done.returncode != 0 and "colour" in done.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"START": ""}, "which days?"),
        ({"END": "2024-13-01"}, "END: no such day: '2024-13-01'"),
        ({"END": "2024-04-09"}, "the range is empty: '2024-04-10' to '2024-04-09'"),
        ({"FFL": "none.ffl"}, "no such file or folder: FFL='none.ffl'"),
        ({"ENGINE": "warp"}, "ENGINE must be one of"),
        ({"ENGINE": "../../bin/sh"}, "ENGINE must be one of"),
        ({"LIMIT_DAYS": "some"}, "LIMIT_DAYS must be a whole number from 1: 'some'"),
        ({"STAGGER": "1; touch owned"}, "STAGGER must be seconds: '1; touch owned'"),
        ({"DAY": FIRST}, "a range has FIRST and LAST, not DAY"),
        ({"DRY_RUN": "perhaps"}, "DRY_RUN must be one of yes no: 'perhaps'"),
    ],
)
def test_a_bad_setting_is_refused_by_name(days, more, words):
    done = days.make(**more)
    assert done.returncode != 0 and words in done.stderr and not days.out.exists()
    assert not (days.folder / "owned").exists()


def test_an_output_folder_with_an_odd_name(days, tmp_path):
    days.out = tmp_path / "a b $(touch owned) 'quoted' & more"
    done = days.make("-j2", LIMIT_DAYS=2)
    assert done.returncode == 0 and len(days.made()) == 2, done.stderr
    assert not list(tmp_path.rglob("owned")) and not (days.folder / "owned").exists()


@pytest.mark.long
def test_the_index_is_whole_whenever_it_is_looked_at(days):
    line = ["make", "-j4", "-f", str(ROOT / "Makefile"), "range", *days.variables()]
    process = subprocess.Popen(line, cwd=days.folder, stderr=subprocess.DEVNULL)
    seen = set()
    while process.poll() is None:
        if (days.out / "index.json").exists():
            index = days.index()
            assert (
                sum(index["stats"][s] for s in ("completed", "failed", "running", "queued")) == index["stats"]["total"]
            )
            for day, entry in index["days"].items():
                seen.add(entry["status"])
                assert entry["status"] != "completed" or days.h5(day).exists()
        time.sleep(0.02)
    assert process.returncode == 0 and seen == {"queued", "running", "completed"}


@pytest.mark.parametrize("start", ["2024-04-10T06:00:00", long("2024-04-10T06:00:00Z"), long("1396764018")])
def test_a_span_goes_to_the_folder_of_its_day(days, start):
    given = (f"START={start}", "END=2024-04-10T06:10:00", f"FFL={days.ffl}", f"CHANNELS={days.channels}")
    done = make("day", *given, f"OUT={days.out}", cwd=days.folder)
    assert done.returncode == 0, done.stderr
    with h5py.File(days.h5(FIRST)) as file:
        assert {len(dataset) for dataset in file["channels"].values()} == {600}
    done = make("day", "START=yesterday", *given[1:], f"OUT={days.out}", cwd=days.folder)
    assert done.returncode != 0 and "START: no such time: 'yesterday'" in done.stderr


# plan-range by itself


def test_plan_range_tells_why(built):
    days = built
    arguments = [days.ffl, days.channels, days.out, "--first", FIRST, "--last", LAST]
    assert well("plan-range", *arguments) == ""
    # As crontabs have it.
    old = [days.ffl, "--start", FIRST, "--end", LAST, "--channels", days.channels, "--out", days.out]
    assert well("plan-range", *old, "--shape", "V1trend 600 lzf") == ""
    state = days.folder_of(DAYS[0]) / "state_day.json"
    state.write_text(state.read_text().replace("completed", "failed"))
    (days.folder_of(DAYS[1]) / ".work/requested.txt").write_text("V1:OTHER\n")
    (days.folder_of(DAYS[2]) / ".work/settings").write_text("V1trend 60 lzf\n")
    os.utime(days.folder_of(DAYS[3]) / ".work/frames.tsv")
    assert well("plan-range", *arguments, "--dry-run").splitlines() == [
        f"{DAYS[0]}\tfailed before",
        f"{DAYS[1]}\tchannel list changed",
        f"{DAYS[2]}\tsettings changed",
        f"{DAYS[3]}\twas stopped",
    ]


def test_plan_range_lists_a_day_as_list_frames_does(days):
    """Overlaps, duplicates, absent files and lines across midnight: the same table by either way."""
    days.ffl.write_text("".join(f"{line}\n" for line in [*days.lines, *list(days.lines)[3:6]]))
    with days.ffl.open("a") as ffl:
        ffl.write(f"{days.frames}/V-gone-{1396828818 - 50}-100.gwf {1396828818 - 50} 100 0 0\n")
        first = next(iter(days.lines)).split()
        ffl.write(f"{first[0]} {int(first[1]) + 500} 100 0 0\n")
    status, _, _ = run("plan-range", days.ffl, days.channels, days.out, "--first", FIRST, "--last", LAST)
    assert status == 0
    for day in DAYS:
        table = (days.folder_of(day) / ".work/listed.tsv").read_text()
        assert table == well("list-frames", days.ffl, "--day", day, "--table")


# --- sources that go, and days of long ago -----------------------------------------------


def hide(days):
    """Let all frames vanish, as when a server is not mounted; whatever brings them back."""
    away = days.frames.with_name("away")
    days.frames.rename(away)
    return lambda: away.rename(days.frames)


@pytest.mark.parametrize("named", ["list", "folder"])
def test_when_all_frames_vanish_at_once_that_is_one_fault_and_no_day_changes(built, named):
    """Each day was made again without a sample, or its state became failed."""
    days = built
    before, states = days.made(), {day: days.state(day) for day in DAYS}
    if named == "folder":
        days.make("-j2", FFL=days.frames)
        before, states = days.made(), {day: days.state(day) for day in DAYS}
    source = days.ffl if named == "list" else days.frames
    back = hide(days)
    days.frames.mkdir()
    try:
        dry = days.make("-j2", FFL=source, DRY_RUN="yes")
        done = days.make("-j2", FFL=source)
    finally:
        days.frames.rmdir()
        back()
    message = f"all frames that finished days were made from are gone, is their disk there? Kept: {FIRST} to {LAST}: "
    assert done.returncode != 0 and done.stderr.count(message) == 1, done.stderr
    assert dry.stdout == "" and message in dry.stderr
    assert "0 built, 0 had nothing new, 0 failed, 0 without a frame, 4 whose frames are gone kept" in done.stderr
    assert json.loads((days.out / ".range.json").read_text())["vanished"] == 4
    assert days.made() == before and {day: days.state(day) for day in DAYS} == states
    done = days.make("-j2", FFL=source)
    assert done.returncode == 0 and "4 had nothing new" in done.stderr and days.made() == before


def test_a_plan_that_several_processes_make_is_the_same(built, monkeypatch):
    """And what it writes down: it is written by one of them, when all is known."""
    days = built
    days.list(without=[f"-{1396742418 - 18 + 43200}-"])
    inputs = plan.RangeInputs(str(days.out), "V1trend", days.channels.read_bytes(), "V1trend 600 lzf")
    wanted = [*DAYS, "2024-06-01"]
    found, written = [], []
    for many in (plan._MANY, 1):
        monkeypatch.setattr(plan, "_MANY", many)
        found.append(plan.plan(str(days.ffl), wanted, inputs))
        written.append([Path(Folder.of(str(days.out), "V1trend", day).listed).read_text() for day in DAYS[:1]])
        assert days.state("2024-06-01")["error"].startswith("no frame of 2024-06-01 in ")
        shutil.rmtree(days.folder_of("2024-06-01"))
    assert found[0] == found[1] and written[0] == written[1]
    assert [day.day for day in found[0][0] if day.is_due] == [DAYS[0]] and found[0][0][-1].why == plan.NO_FRAME


def test_a_frame_that_goes_alone_is_no_fault_of_its_source(built):
    days = built
    gone = next(line for line, day in days.lines.items() if day == DAYS[1] and "-13968" in line)
    days.list(without=[gone])
    plan = days.make("-j2", DRY_RUN="yes")
    assert "are gone" not in plan.stderr


def test_days_before_the_recent_ones_are_built_when_they_are_not_done_or_a_frame_came(built):
    days = built
    before = days.made()
    day = str(1396742418 + 86400 + 21600 - 18)
    # Long ago: a frame of the first day is no more, one of the second has changed, the third failed.
    days.list(without=[f"-{1396742418 - 18 + 43200}-"])
    changed = next(days.frames.glob(f"*-{day}-*"))
    seen = changed.stat()
    os.utime(changed, ns=(5, 5))
    Folder.of(str(days.out), "V1trend", DAYS[2]).note(status="failed", error="as if")
    with open(days.channels, "a") as channels:
        channels.write("V1:NOT_THERE\n")
    try:
        plan = days.make("-j2", RECENT="2024-04-14", DRY_RUN="yes")
        assert [line.split("\t")[0] for line in plan.stdout.splitlines()] == [DAYS[1], DAYS[2]], plan.stdout
        plan = days.make("-j2", RECENT=DAYS[3], DRY_RUN="yes")
        assert [line.split("\t")[0] for line in plan.stdout.splitlines()] == DAYS[1:]
        assert days.made() == before
        assert "RECENT: no such day" in days.make(RECENT="2024-4-1").stderr
        # Of a day that another program made it is not known what it was made from.
        os.unlink(days.folder_of(DAYS[1]) / ".work" / "frames.tsv")
        plan = days.make("-j2", RECENT="2024-04-14", DRY_RUN="yes")
        assert [line.split("\t")[0] for line in plan.stdout.splitlines()] == [DAYS[2]]
    finally:
        os.utime(changed, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        text = days.channels.read_text()
        days.channels.write_text(text.replace("V1:NOT_THERE\n", ""))
