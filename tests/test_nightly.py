"""cron/nightly: nights as a host has them, with real servers of frames, faults, kills and late frames."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import time
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support import streams as elab
from support.commands import needs, refused, run
from support.daemons import wait_until
from support.rsync import Server, kill_all
from support.sites import ROOT, command, contents, samples_without_times
from support.undisturbed import assert_same

NIGHTLY = ROOT / "cron" / "nightly"
DAYS = ["2024-04-10", "2024-04-11", "2024-04-12"]
RAIN, SEIS = "0:PEM-EX_RAIN", "0:PEM-EX_SEISX"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Frames that nights are made of: three days of Virgo-like trend, eight hours of the e-Lab's at two sites."""
    needs("make", "parallel", "jq", "flock", "timeout", "rsync")
    folder = tmp_path_factory.mktemp("pool")
    for day in DAYS:
        command(
            "make-frames", folder / "virgo/trend", "--day", day, "--channels", 3, "--duration", 21600,
            "--list", folder / "channels.txt",
        )  # fmt: skip
    for letter, module in (("H", "lho"), ("L", "llo")):
        for hour in range(8):
            start = elab.NIGHT + hour * elab.HOUR
            elab.frame(folder / module, start, {f"{letter}{RAIN}": "i4", f"{letter}{SEIS}": "f4"}, site=letter)
    return folder


class Site:
    """A host with two servers of frames, and the settings of its nights; every path has a space."""

    def __init__(self, folder, pool):
        self.pool, self.source, self.home = pool, folder / "source", folder / "a site"
        for module in ("virgo", "lho", "llo"):
            (self.source / module).mkdir(parents=True)
        self.near = Server(folder / "near", {name: self.source / name for name in ("virgo", "lho")})
        self.far = Server(folder / "far", {"llo": self.source / "llo"})
        self.frames, self.streams, self.out, self.logs = (
            self.home / name for name in ("frames", "streams", "out", "logs")
        )
        self.settings = folder / "nightly.conf"
        self.set()

    def set(self, **more):
        password = f'password-file="{self.near.password}"'
        sources = [
            f"{self.near.address('virgo/trend')} {password}",
            f"{self.near.address('lho/minute-trend')} {password}",
            f"{self.far.address('llo/minute-trend')} password-file='{self.far.password}'",
        ]
        values = {
            "FRAMES": self.frames,
            "STREAMS": self.streams,
            "CHANNELS": self.pool / "channels.txt",
            "FFL": self.frames / "trend",
            "OUT": self.out,
            "DAYS": 3,
            "FIRST_DAY": DAYS[0],
            "LOGS": self.logs,
            **more,
        }
        lines = [f'{name}="{value}"' for name, value in values.items() if not str(value).startswith("(")]
        lines += [f"{name}={value}" for name, value in values.items() if str(value).startswith("(")]
        lines += [] if "SOURCES" in more else ["SOURCES='", *(s.replace("'", '"') for s in sources), "'"]
        self.settings.write_text("".join(f"{line}\n" for line in lines))

    def arrive(self, *patterns, cut=False):
        """The files of the pool that match are at their servers from now on; cut: the first half of each."""
        for pattern in patterns:
            found = sorted(self.pool.glob(pattern))
            assert found, pattern
            for path in found:
                target = self.source / path.relative_to(self.pool)
                target.parent.mkdir(parents=True, exist_ok=True)
                if cut:
                    target.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                else:
                    shutil.copy2(path, target)

    def start(self, *options, **more):
        """A night as a process that leads a session."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        call = [NIGHTLY, *options, self.settings]
        return subprocess.Popen(call, start_new_session=True, cwd="/", **pipes, **more)

    def night(self, *options, until=DAYS[-1], **more):
        """Run a night; its exit status, what it said, and nightly.json."""
        process = self.start(*(("--until", until) if until else ()), *options, **more)
        out, said = process.communicate(timeout=200)
        assert out == "" and "Traceback" not in said
        return SimpleNamespace(status=process.returncode, said=said, told=self.told())

    def told(self):
        path = self.logs / "nightly.json"
        return json.loads(path.read_text()) if path.exists() else None

    def log(self):
        return (self.logs / "nightly.log").read_text()

    def steps(self):
        return {step["name"]: step["status"] for step in self.told()["steps"]}

    def watched(self):
        """(exit status, what it says of the last run) of check-nightly."""
        status, out, _ = run("check-nightly", "--nightly", self.logs / "nightly.json")
        return status, next(part for part in re.split("; | \\| |: (?=nightly)", out) if part.startswith("nightly run"))

    def h5(self, day):
        return self.out / f"V1trend-{day}" / f"V1trend_{day.replace('-', '')}.h5"

    def result(self):
        """All that the nights are for: the bytes of streams, what the days hold."""
        return elab.contents(self.streams), {day: contents(self.h5(day)) for day in DAYS}

    def afresh(self):
        """The result of one night that has everything, at the same paths, with the servers up."""
        self.home.rename(f"{self.home} before")
        self.set()
        night = self.night()
        assert (night.status, night.said) == (0, ""), night.said
        result = self.result()
        shutil.rmtree(self.home)
        os.rename(f"{self.home} before", self.home)
        return result


@pytest.fixture
def site(tmp_path, pool):
    made = Site(tmp_path, pool)
    with made.near, made.far:
        yield made


def test_three_nights_end_as_one_that_has_everything(site):
    late = f"virgo/trend/V-trend-{1396742400 + 21600}-21600.gwf"
    broken = f"virgo/trend/V-trend-{1396742400 + 5 * 21600}-21600.gwf"
    # The first night: all is well, though a frame of the day will come late.
    site.arrive("virgo/trend/V-trend-1396[78]*", "lho/*/*/*/*-114800[04]*", "llo/*/*/*/*-1148000400-*")
    (site.source / late).unlink()
    (site.source / broken).unlink(missing_ok=True)
    night = site.night(until=DAYS[0])
    assert (night.status, night.said) == (0, ""), night.said
    assert site.watched() == (0, "nightly run: ok")
    first = elab.contents(site.streams)
    assert len(first) == 4 * 2 + 4 and site.h5(DAYS[0]).exists()
    # The second: a server is away, a frame of the day and one of the streams are cut short.
    site.far.stop()
    site.arrive("virgo/trend/V-trend-13968*", "lho/*/*/*/*-11480*")
    site.arrive(broken, "lho/*/*/*/*-1148007600-*", cut=True)
    (site.source / late).unlink(missing_ok=True)
    night = site.night(until=DAYS[1])
    assert night.status == 3
    assert night.told["status"] == "warning"
    assert site.watched() == (1, "nightly run: warning (mirror warning, import warning, faults warning)")
    assert site.steps() == {
        "mirror": "warning", "import": "warning", "check": "ok", "build": "ok", "index": "ok", "status": "ok",
        "faults": "warning", "pictures": "ok",
    }  # fmt: skip
    assert "nightly: mirror: data is missing\n  mirror-frames: the source is away, " in night.said
    assert "nightly: import: data is missing\n  import-streams: " in night.said
    frame = f"frame\t{site.frames}/{broken.removeprefix('virgo/')}\t{DAYS[1]}\tcut short or damaged"
    assert f"nightly: faults: data is missing\n  {frame}" in night.said
    assert "a file with faults, 'H-M-1148007600-3600.gwf', see " in night.said
    assert night.said.splitlines()[-1].startswith("nightly: warning: ")
    with h5py.File(site.h5(DAYS[1])) as file:
        share = np.mean([np.isnan(dataset[:]).mean() for dataset in file["channels"].values()])
    assert 0.2 < share < 0.3
    # The third: healed, and what was late is there.
    site.far.start()
    site.arrive("virgo/**/*.gwf", "lho/**/*.gwf", "llo/**/*.gwf")
    night = site.night()
    assert (night.status, night.said) == (0, ""), night.said
    assert set(site.steps().values()) == {"ok"}
    result = site.result()
    assert result == site.afresh()
    assert len(result[0]) > len(first) - 1 and any(result[0][name] != first[name] for name in first)
    # A fourth night has nothing to do, and does nothing.
    before = {day: site.h5(day).stat().st_mtime_ns for day in DAYS}
    assert site.night().status == 0
    assert site.result() == result and {day: site.h5(day).stat().st_mtime_ns for day in DAYS} == before


@pytest.mark.long
def test_a_night_that_is_killed_while_frames_come_goes_on(site):
    site.arrive("virgo/**/*.gwf", "lho/**/*.gwf", "llo/**/*.gwf")
    site.set(MIRROR_OPTIONS="(--bwlimit 500)")
    process = site.start("--until", DAYS[-1])
    wait_until(lambda: list(site.frames.rglob(".V-*.gwf.*")), "a frame that is on its way")
    kill_all(process, site.home)
    process.communicate()
    assert site.told()["status"] == "running" and site.told()["finished_utc"] is None
    site.set()
    process = site.start("--until", DAYS[-1])
    wait_until(lambda: "nightly: import begins" in site.log(), "the import")
    time.sleep(0.5)
    kill_all(process, site.home)
    process.communicate()
    night = site.night()
    assert (night.status, night.said) == (0, ""), night.said
    assert_same(site.result(), site.afresh())


# --- what it leaves and tells ------------------------------------------------------------


@pytest.fixture
def quick(site):
    """A site whose nights only mirror: a second each."""
    site.set(STREAMS="", CHANNELS="", SOURCES=f"'{site.pool / 'lho/minute-trend'}'")
    return site


def test_when_all_is_well_it_is_silent_and_its_log_and_account_tell(quick):
    night = quick.night(until=DAYS[0])
    assert (night.status, night.said) == (0, ""), night.said
    assert (night.told["status"], night.told["start"], night.told["end"]) == ("ok", DAYS[0], DAYS[0])
    assert night.told["started_utc"] <= night.told["finished_utc"] and night.told["finished_utc"].endswith("+00:00")
    (step,) = night.told["steps"]
    assert (step["name"], step["status"], step["exit"], step["message"]) == ("mirror", "ok", 0, None)
    lines = quick.log().splitlines()
    assert f"nightly: ok: mirror ok: '{night.told['log']}'" in lines[-1]
    assert sum(line.endswith("-3600.gwf") for line in lines) == 8
    assert not list(quick.logs.glob("*.tmp")) and (quick.logs / "nightly.log").samefile(night.told["log"])


def test_a_step_that_fails_is_told_and_the_others_still_run(site):
    site.arrive("virgo/**/*.gwf", "lho/**/*.gwf", "llo/**/*.gwf")
    site.streams.parent.mkdir(parents=True)
    site.streams.write_text("a file where a folder should be")
    site.set(REPORT=site.out.parent / "report")
    night = site.night(until=DAYS[0])
    assert night.status == 1 and night.told["status"] == "failed"
    assert [name for name, status in site.steps().items() if status == "failed"] == ["import", "check"]
    assert [name for name, status in site.steps().items() if status == "ok"] == [
        "mirror", "build", "index", "status", "pictures", "report",
    ]  # fmt: skip
    assert DAYS[0] in next((site.out.parent / "report").glob("data/*/main.js")).read_text()
    assert "nightly: import: failed, exit status 1\n  import-streams: " in night.said
    last = night.said.splitlines()[-1]
    assert (
        last.startswith("nightly: failed: mirror ok, import failed, check failed, build ok") and str(site.logs) in last
    )
    assert site.h5(DAYS[0]).exists()


def test_a_day_without_a_frame_is_missing_data_and_not_a_failure(site):
    site.set(STREAMS="", SOURCES="")
    trend = site.frames / "trend"
    trend.mkdir(parents=True)
    for path in site.pool.glob("virgo/trend/V-trend-13967*"):
        shutil.copy2(path, trend)
    night = site.night(until=DAYS[2])
    assert night.status == 3 and site.steps() == {
        "build": "warning", "index": "ok", "status": "warning", "faults": "warning", "pictures": "ok",
    }  # fmt: skip
    assert night.told["built_to"] == DAYS[2]


@pytest.mark.long
def test_the_picture_has_the_days_that_there_are_up_to_the_last_that_was_built(site):
    site.set(STREAMS="", SOURCES=f"'{site.pool / 'virgo/trend'}'", DAYS=1, FIRST_DAY="", PICTURE_DAYS=2)
    spans = []
    for until in (DAYS[0], DAYS[1], DAYS[2], DAYS[0]):
        night = site.night(until=until)
        assert (night.status, night.said) == (0, ""), night.said
        with open(site.out / "coverage.png", "rb") as picture:
            head = picture.read(500)
        assert head.startswith(b"\x89PNG")
        title = re.search(rb"V1trend: (?:2 days, )?([0-9-]+)(?: to ([0-9-]+))?", head)
        spans.append([day.decode() for day in title.groups() if day])
    assert spans == [[DAYS[0]], DAYS[:2], DAYS[1:], DAYS[1:]]


def test_a_picture_that_fails_is_told_and_none_is_made_where_none_is_wanted(site):
    wanted = {"STREAMS": "", "SOURCES": f"'{site.pool / 'virgo/trend'}'", "DAYS": 1}
    (site.out / "coverage.png").mkdir(parents=True)
    site.set(**wanted)
    night = site.night(until=DAYS[0])
    assert night.status == 1 and [name for name, status in site.steps().items() if status == "failed"] == ["pictures"]
    assert "nightly: pictures: failed, exit status 1\n  plot-coverage: is a folder, want a file" in night.said
    site.set(**wanted, PICTURE_DAYS="")
    night = site.night(until=DAYS[0])
    assert (night.status, night.said) == (0, ""), night.said
    assert set(site.steps()) == {"mirror", "build", "index", "status", "faults"}


def test_only_one_nightly_at_a_time(quick):
    quick.set(STREAMS="", CHANNELS="", MIRROR_OPTIONS="(--bwlimit 1)")
    quick.arrive("virgo/**/*.gwf")
    slow = quick.start("--until", DAYS[0])
    try:
        wait_until(lambda: list(quick.frames.rglob(".V-*.gwf.*")), "a frame that comes")
        told = refused(str(NIGHTLY), "--until", DAYS[0], quick.settings)
        assert "another nightly is at work, since 20" in told and quick.told()["status"] == "running"
        # SIGTERM stops the step, the rest is not begun, and the account is closed.
        slow.terminate()
        _, said = slow.communicate(timeout=60)
        assert slow.returncode == 1 and "nightly: mirror: stopped" in said
        assert quick.told()["status"] == "failed" and quick.told()["finished_utc"]
    finally:
        kill_all(slow, quick.home)


@pytest.mark.long
def test_a_time_limit_stops_what_runs_and_leaves_the_rest(site):
    site.arrive("virgo/**/*.gwf")
    site.set(MIRROR_OPTIONS="(--bwlimit 1)", TIME_LIMIT="3s")
    begun = time.monotonic()
    night = site.night()
    assert night.status == 1 and time.monotonic() - begun < 30
    assert "nightly: mirror: stopped after the time limit of 3s" in night.said
    assert "nightly: build: not run, the time limit of 3s is over" in night.said
    assert set(site.steps().values()) == {"failed"}
    assert night.told["built_to"] is None
    # Nothing goes on that would keep the next night from its work.
    site.set(STREAMS="", SOURCES=f"{site.near.address('virgo/trend')} password-file={site.near.password}")
    assert site.night().status == 0


def test_logs_of_so_many_runs_are_kept(quick):
    quick.set(STREAMS="", CHANNELS="", SOURCES="", KEEP_LOGS="02")
    quick.logs.mkdir(parents=True)
    mine = quick.logs / "nightly-notes.log"
    mine.write_text("mine")
    for number in range(4):
        (quick.logs / f"nightly-2024041{number}T005000-12.log").write_text(str(number))
    assert quick.night().status == 0
    kept = sorted(path.name for path in quick.logs.glob("nightly-*T*.log"))
    assert len(kept) == 2 and kept[0] == "nightly-20240413T005000-12.log"
    assert mine.exists() and quick.log()


def test_some_of_the_steps_alone_leave_the_account_as_it_is(quick):
    assert quick.night(until=DAYS[0]).status == 0
    told, log = quick.told(), quick.log()
    night = quick.night("--only", "mirror", until=DAYS[1])
    assert (night.status, night.said, night.told) == (0, "", told) and quick.log() == log
    assert "nothing" in refused(str(NIGHTLY), "--only", "nothing", status=2)


# --- days and clocks ---------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Rome"])
def test_a_day_is_a_utc_day_whatever_the_hosts_clock_shows(quick, zone):
    def yesterday():
        return str(datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1))

    quick.set(STREAMS="", CHANNELS="", SOURCES="", FIRST_DAY="", DAYS=2)
    before = yesterday()
    night = quick.night(until=None, env={**os.environ, "TZ": zone})
    assert night.status == 0 and night.told["end"] in (before, yesterday())
    first = datetime.date.fromisoformat(night.told["end"]) - datetime.timedelta(days=1)
    assert night.told["start"] == str(first)


def test_the_last_days_are_counted_by_the_calendar_across_a_change_of_clocks(quick):
    quick.set(STREAMS="", CHANNELS="", SOURCES="", FIRST_DAY="", DAYS=3)
    for until, start in (("2024-04-01", "2024-03-30"), ("2024-03-01", "2024-02-28"), ("2024-01-01", "2023-12-30")):
        assert quick.night(until=until, env={**os.environ, "TZ": "Europe/Rome"}).told["start"] == start


@pytest.mark.long
def test_after_nights_that_the_host_was_down_it_goes_back_to_where_it_was(site):
    site.arrive("virgo/**/*.gwf")
    site.set(STREAMS="", DAYS=1, SOURCES=f"'{site.pool / 'virgo/trend'}'")
    night = site.night(until=DAYS[0])
    assert (night.status, night.told["start"], night.told["built_to"]) == (0, DAYS[0], DAYS[0]), night.said
    # Two nights later; only one day a night is asked for.
    night = site.night(until=DAYS[2])
    assert (night.status, night.told["start"], night.told["built_to"]) == (0, DAYS[0], DAYS[2]), night.said
    assert all(site.h5(day).exists() for day in DAYS)
    night = site.night(until=DAYS[2])
    assert night.told["start"] == DAYS[2]
    # An older night by hand does not set it back; an account that is damaged is as none.
    assert site.night(until=DAYS[0]).told["built_to"] == DAYS[2]
    (site.logs / "nightly.json").write_text("{half")
    assert site.night(until=DAYS[2]).told["start"] == DAYS[2]


def nan_fraction(site, day):
    return json.loads(site.h5(day).with_suffix(".summary.json").read_text())["nan_fraction"]


def bring(site, *patterns):
    """Frames of the pool come to the tree of the site, without a server."""
    trend = site.frames / "trend"
    trend.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for path in site.pool.glob(f"virgo/trend/{pattern}"):
            shutil.copy2(path, trend)


def test_when_a_source_is_back_all_days_that_it_missed_are_built(site):
    """Days of which no frame came within DAYS stayed failed, with exit status 0 and no mail."""
    site.set(STREAMS="", SOURCES="", DAYS=1, FIRST_DAY="", PICTURE_DAYS="")
    # The source breaks off in the first day.
    bring(site, "V-trend-1396742400-*", "V-trend-1396764000-*")
    night = site.night(until=DAYS[0])
    assert (night.status, night.said) == (0, "") and nan_fraction(site, DAYS[0]) > 0.4
    for until in (DAYS[1], DAYS[2], DAYS[2]):
        night = site.night(until=until)
        assert night.status == 3 and site.steps()["build"] == site.steps()["status"] == "warning"
        assert f"no frame of {DAYS[1]}" in night.said and "***" not in night.said
        assert night.told["end"] == until
    # As many days back from the first that is not done as each night looks at.
    assert night.told["start"] == DAYS[0]
    bring(site, "*.gwf")
    night = site.night(until=DAYS[2])
    assert (night.status, night.said) == (0, ""), night.said
    assert [nan_fraction(site, day) for day in DAYS] == [0, 0, 0]
    before = {day: site.h5(day).stat().st_mtime_ns for day in DAYS}
    night = site.night(until=DAYS[2])
    assert (night.status, night.said, night.told["start"]) == (0, "", DAYS[2])
    assert {day: site.h5(day).stat().st_mtime_ns for day in DAYS} == before


@pytest.mark.long
def test_a_night_that_reached_a_day_to_come_switches_nothing_off(site):
    """After a built_to in the future no night went back to what it had missed."""
    site.set(STREAMS="", SOURCES="", DAYS=1, FIRST_DAY="", PICTURE_DAYS=2)
    bring(site, "*.gwf")
    assert site.night(until=DAYS[0]).status == 0
    told = site.told()
    (site.logs / "nightly.json").write_text(json.dumps({**told, "end": "2999-12-31", "built_to": "2999-12-31"}))
    night = site.night(until=DAYS[2])
    assert (night.status, night.said) == (0, ""), night.said
    assert (night.told["start"], night.told["built_to"]) == (DAYS[0], DAYS[2])
    assert all(site.h5(day).exists() for day in DAYS)
    assert re.search(rb"V1trend: (?:2 days, )?([0-9-]+) to ([0-9-]+)", (site.out / "coverage.png").read_bytes()[:500])[
        2
    ] == (DAYS[2].encode())


@pytest.mark.long
def test_what_is_faulty_is_told_each_night_until_it_is_healed(site):
    """The second night said that all was well."""
    site.set(SOURCES="", PICTURE_DAYS="")
    bring(site, "*.gwf")
    hours = [elab.NIGHT + hour * elab.HOUR for hour in range(3)]
    for hour in hours:
        elab.frame(site.frames, hour, {f"H{RAIN}": "i4"})
    broken = [next((site.frames / "trend").glob("V-trend-13968*")), elab.path_of(site.frames, hours[1])]
    whole = [path.read_bytes() for path in broken]
    for path, content in zip(broken, whole, strict=True):
        path.write_bytes(content[: len(content) // 2])
    for _ in range(3):
        night = site.night(until=DAYS[2])
        assert night.status == 3 and site.steps()["faults"] == "warning"
        assert all(f"  frame\t{path}\t" in night.said for path in broken), night.said
        assert "faults warning" in site.watched()[1]
    # One is healed: it leaves the list, the other stays.
    broken[0].write_bytes(whole[0])
    night = site.night(until=DAYS[2])
    assert night.status == 3 and str(broken[0]) not in night.said and str(broken[1]) in night.said
    broken[1].write_bytes(whole[1])
    night = site.night(until=DAYS[2])
    assert (night.status, night.said) == (0, ""), night.said


@pytest.mark.long
def test_when_all_frames_vanish_that_is_one_fault_of_the_night_and_no_day_changes(site):
    site.set(STREAMS="", SOURCES="", DAYS=3, PICTURE_DAYS="")
    bring(site, "*.gwf")
    assert site.night(until=DAYS[2]).status == 0
    before = {day: (site.h5(day).stat().st_mtime_ns, site.h5(day).parent.stat().st_mtime_ns) for day in DAYS}
    (site.frames / "trend").rename(site.frames / "away")
    (site.frames / "trend").mkdir()
    for _ in range(2):
        night = site.night(until=DAYS[2])
        assert night.status == 3, night.said
        assert night.said.count("all frames that finished days were made from are gone") == 1
        assert {name for name, status in site.steps().items() if status != "ok"} == {"build"}
        now = {day: (site.h5(day).stat().st_mtime_ns, site.h5(day).parent.stat().st_mtime_ns) for day in DAYS}
        assert now == before
    (site.frames / "trend").rmdir()
    (site.frames / "away").rename(site.frames / "trend")
    assert site.night(until=DAYS[2]).status == 0


@pytest.mark.parametrize("engine", ["yes", "no"])
def test_an_elab_whose_engine_reads_the_streams_is_asked_to_read_them_again(site, engine):
    site.set(CHANNELS="", SOURCES="", CHECK_STREAMS="no", ELAB_ENGINE=engine)
    sizes = []
    for hour in (0, 2, 1):
        elab.frame(site.frames, elab.NIGHT + hour * elab.HOUR, {f"H{RAIN}": "i4"})
        night = site.night(until=DAYS[0])
        assert (night.status, night.said) == (0, ""), night.said
        sizes.append(sum(path.stat().st_size for path in site.streams.glob("*.info")))
    assert (sizes[2] != sizes[1]) == (engine == "yes")
    assert ("right again when it is restarted" in site.log()) == (engine == "no")


@pytest.mark.long
def test_a_disk_that_is_full_under_the_days_says_so_in_the_mail(site):
    """Half of the mail was what make says when a recipe fails."""
    site.set(STREAMS="", SOURCES="", DAYS=1, PICTURE_DAYS="")
    bring(site, "V-trend-13967*")
    site.out.mkdir(parents=True)
    own = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", own, site.out]
    if os.geteuid() != 0 or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a file system is mounted by root, in a mount namespace")
    call = [*apart, NIGHTLY, "--until", DAYS[0], site.settings]
    night = subprocess.run(call, capture_output=True, text=True, check=False)
    assert night.returncode == 1 and "disk full: " in night.stderr, night.stderr
    assert "***" not in night.stderr and "make[" not in night.stderr and "Target" not in night.stderr
    assert any(line.startswith("  day\t") and "disk full: " in line for line in night.stderr.splitlines()), night.stderr


def test_a_source_that_is_away_is_one_mail_a_night(site):
    """Both lines of the crontab told of it."""
    lines = [line for line in (ROOT / "cron/crontab").read_text().splitlines() if "cron/nightly" in line]
    options = [re.search(r'nightly" (.*)"\$NIGHTLY"', line)[1].split() for line in lines]
    site.set(STREAMS="", CHANNELS="", SOURCES=f"{site.far.address('llo')} password-file={site.far.password}")
    site.far.stop()
    mails = [site.night(*given, until=DAYS[0]).said for given in options]
    assert [bool(mail) for mail in mails] == [False, True] and mails[1].count("the source is away, ") == 1


@pytest.mark.long
def test_frames_that_are_pruned_are_not_mirrored_again_and_their_days_stay(site):
    site.arrive("virgo/**/*.gwf")
    virgo = {"STREAMS": "", "SOURCES": f"{site.near.address('virgo/trend')} password-file={site.near.password}"}
    site.set(**virgo)
    assert site.night().status == 0
    before = {day: samples_without_times(site.h5(day)) for day in DAYS}
    site.set(**virgo, KEEP_DAYS=30)
    for _ in range(2):
        night = site.night()
        assert site.steps()["mirror"] == site.steps()["build"] == "ok", night.said
        assert {day: samples_without_times(site.h5(day)) for day in DAYS} == before
    left = {path.name for path in site.frames.rglob("*.gwf")}
    assert left < {path.name for path in site.pool.rglob("V-*.gwf")}


# --- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"STREAM": "x"}, "no such setting: 'STREAM'"),
        ({"DAYS": "many"}, "DAYS must be a whole number from 1: 'many'"),
        ({"PICTURE_DAYS": "0"}, "PICTURE_DAYS must be a whole number from 1: '0'"),
        ({"DAYS": "0"}, "DAYS must be a whole number from 1: '0'"),
        ({"FRAMES": "here"}, "FRAMES must be an absolute path: 'here'"),
        ({"LOGS": ""}, "LOGS must be an absolute path: ''"),
        ({"TIME_LIMIT": "long"}, "TIME_LIMIT must be a number with s, m, h or d: 'long'"),
        ({"CHECK_STREAMS": "maybe"}, "CHECK_STREAMS must be yes, frames or no: 'maybe'"),
        ({"CHECK_NIGHTS": "0"}, "CHECK_NIGHTS must be a whole number from 1: '0'"),
        ({"CHECK_NIGHTS": "30", "CHECK_STREAMS": "frames"}, "CHECK_NIGHTS goes with CHECK_STREAMS=yes"),
        ({"FIRST_DAY": "2024-02-30"}, "FIRST_DAY: no such day, want YYYY-MM-DD: '2024-02-30'"),
        ({"DAYS": "a[$(touch owned)]"}, "DAYS must be a whole number"),
    ],
)
def test_a_bad_setting_is_refused_by_name(quick, more, words):
    quick.set(**more)
    if "$(" in next(iter(more.values())):
        quick.settings.write_text(quick.settings.read_text().replace('"a[$(touch owned)]"', "'a[$(touch owned)]'"))
    assert words in refused(str(NIGHTLY), quick.settings, cwd=quick.home.parent)
    assert not (quick.home.parent / "owned").exists() and not quick.logs.exists()


def test_a_file_of_settings_that_is_none_is_refused(tmp_path):
    assert "no such file of settings: '/none.conf'" in refused(str(NIGHTLY), "/none.conf")
    broken = tmp_path / "broken.conf"
    broken.write_text("FRAMES='/data\n")
    assert "broken.conf" in refused(str(NIGHTLY), broken)
    assert "no such day" in refused(str(NIGHTLY), "--until", "yesterday", ROOT / "cron/nightly.conf.example", status=2)
    for wrong in (["--untl"], ["--until"], ["a", "b"]):
        assert "(see nightly --help)" in refused(str(NIGHTLY), *wrong, status=2)


def test_the_example_has_every_setting_and_is_one(tmp_path):
    text = (ROOT / "cron/nightly.conf.example").read_text()
    known = subprocess.run(
        ["bash", "-c", 'sed -n "/^known=(/,/)/p" "$0" | tr -d "()" | sed s/known=//', NIGHTLY],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert len(known) > 10 and all(f"\n{name}=" in text for name in known)
    mine = tmp_path / "mine.conf"
    mine.write_text(f"{text}\nSOURCES= STREAMS= CHANNELS= LOGS={tmp_path}/logs\n")
    done = subprocess.run([NIGHTLY, mine], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_nightly_that_is_killed_leaves_its_lock_with_what_goes_on(quick):
    quick.arrive("virgo/**/*.gwf", "lho/**/*.gwf", "llo/**/*.gwf")
    quick.set(STREAMS="", CHANNELS="", MIRROR_OPTIONS="(--bwlimit 1)")
    process = quick.start()
    try:
        wait_until(lambda: list(quick.frames.rglob(".V-*.gwf.*")), "a frame that comes")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        told = refused(str(NIGHTLY), quick.settings)
        assert "has ended, but process " in told and "that it started goes on: " in told and "mirror-frames" in told
    finally:
        kill_all(process, quick.home)
    quick.set(STREAMS="", CHANNELS="")
    assert quick.night().status == 0
