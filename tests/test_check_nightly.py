"""check-nightly: the one line and the exit status that a Nagios or Icinga sees, whatever there is to look at."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from framemake.host import plugin, watch
from framemake.host.plugin import CRITICAL, OK, UNKNOWN, WARNING, Limits, Range
from support import streams
from support.commands import ROOT, refused, run, stub

# 2024-04-12T06:00:00 UTC
NOW, GPS = "2024-04-12T06:00:00", 1396936818
HOUR = 3600
DATUM = re.compile(r"('(?:[^']|'')+'|[^' =]+)=(-?[\d.]+)(s|%|)((?:;[^; ]*){0,4})")


def check(*options, now=NOW):
    """(exit status, line without its data, {label: (value, unit, [warn, crit, min, max])}); the form must be right."""
    status, out, told = run("check-nightly", *options, *(["--now", now] if now else []))
    assert told == "" and out.count("\n") == 1 and out.endswith("\n")
    text, _, data = out.rstrip("\n").partition(" | ")
    assert text.startswith(f"NIGHTLY {plugin.WORDS[status]}: ") and "|" not in text + data
    found = {}
    while data:
        match = DATUM.match(data)
        assert match, data
        found[match[1].strip("'").replace("''", "'")] = float(match[2]), match[3], match[4].split(";")[1:]
        data = data[match.end() :].lstrip(" ")
    return status, text, found


def state(out, day, status="completed", spec="V1trend", **more):
    """A day folder in some state."""
    folder = Path(out) / f"{spec}-{day}"
    folder.mkdir(parents=True)
    told = {"date": day, "status": status, "finished_at_utc": f"{day}T23:00:00Z", **more}
    (folder / "state_day.json").write_text(json.dumps(told))
    if status == "completed":
        (folder / f"{spec}_{day.replace('-', '')}.h5").write_bytes(b"x")
    return folder


# Ranges, by the table of the plugins' guidelines


@pytest.mark.parametrize(
    ("text", "well", "alert"),
    [
        ("10", (0, 5, 10), (-0.1, 10.1)),
        ("10:", (10, 1e9), (9.9, -5)),
        ("~:10", (-1e9, 10), (10.1,)),
        ("10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10:20", (9.9, 20.1), (10, 15, 20)),
        ("0", (0,), (1, -1)),
        ("-5:0.5", (-5, 0, 0.5), (-5.1, 0.6)),
        ("@0", (1, -1), (0,)),
    ],
)
def test_a_range_alerts_as_the_guidelines_say(text, well, alert):
    limit = plugin.limits(f",{text}").critical
    assert not any(map(limit.alerts, well)) and all(map(limit.alerts, alert))
    again = plugin.limits(f"{limit},").warning
    assert again == limit


def test_limits_are_a_pair_of_which_either_may_be_none():
    assert plugin.limits("1:2,@3") == Limits(Range(1, 2), Range(0, 3, True))
    assert plugin.limits(",5") == (None, Range(0, 5)) and plugin.limits(",").judge(1e9) == OK
    assert [plugin.limits("1,2").judge(value) for value in (0, 1, 1.5, 2, 2.5)] == [OK, OK, WARNING, WARNING, CRITICAL]
    for text in ("5", "1,2,3", "x,2", "5:4,9", "@,1", ":,1", "1e3,2"):
        with pytest.raises(ValueError):
            plugin.limits(text)
    told = refused("check-nightly", "--full", "85", status=2)
    assert "--full" in told and "WARN,CRIT" in told


def test_what_is_worst_is_told_first_and_a_known_fault_before_an_unknown():
    found = [plugin.Finding(each, f"is {each}") for each in (OK, UNKNOWN, CRITICAL, WARNING)]
    assert plugin.line(found) == (CRITICAL, "NIGHTLY CRITICAL: is 2; is 1; is 3; is 0")
    assert plugin.line(found[:2])[0] == UNKNOWN and plugin.line([found[1], found[3]])[0] == WARNING
    assert plugin.line([]) == (UNKNOWN, "NIGHTLY UNKNOWN: nothing to look at")
    _, text = plugin.line([plugin.Finding(OK, "a|b\nc\x1b[31m", "x=1"), plugin.Finding(OK, "d")])
    assert text == "NIGHTLY OK: a/b?c?[31m; d | x=1"


# Frames


def test_the_newest_frame_by_its_name_in_folders_of_any_shape(tmp_path):
    trend = tmp_path / "trend"
    for start in (999_999_900, 1_000_000_000, GPS - 5 * HOUR - 100):
        stub(trend / str(start // 1_000_000), start)
    status, text, data = check("--frames", trend)
    assert status == OK and text == f"NIGHTLY OK: newest frame of {str(trend)!r} is 5.0 h old"
    assert data == {"frame_age": (18000.0, "s", ["108000", "194400", "0"])}
    # By kind, by site, by date, and lying about.
    stub(trend / "minute" / "H-M-9" / "x", 1000)
    stub(trend / "minute" / "H-M-10", GPS - 4 * HOUR - 100)
    assert watch.newest(trend) == GPS - 4 * HOUR
    stub(trend / "2024" / "04" / "11", GPS - 3 * HOUR - 100)
    stub(trend / "2024" / "04" / "09", 1000)
    assert watch.newest(trend) == GPS - 3 * HOUR
    stub(trend, GPS - 2 * HOUR - 100)
    assert watch.newest(trend) == GPS - 2 * HOUR
    # What is no frame: temporary files, other names, links.
    stub(trend, name=f".V-trend-{GPS}-100.gwf.Xy12")
    stub(trend / ".partial", GPS)
    stub(trend, name="readme.gwf")
    (trend / f"V-trend-{GPS}-100.gwf.part").write_text("x")
    assert watch.newest(trend) == GPS - 2 * HOUR
    (trend / "3000").mkdir()
    (trend / "2999").mkdir()
    assert watch.newest(trend) == GPS - 2 * HOUR


@pytest.mark.parametrize(("hours", "status"), [(29, OK), (31, WARNING), (53, WARNING), (55, CRITICAL), (-2, CRITICAL)])
def test_frames_that_do_not_come_any_more(tmp_path, hours, status):
    stub(tmp_path, int(GPS - hours * HOUR - 100))
    got, text, _ = check("--frames", tmp_path)
    assert got == status and ("in the future" in text) == (hours < 0)


def test_a_clock_that_is_a_little_slow_is_no_fault(tmp_path):
    stub(tmp_path, GPS - 50)
    assert check("--frames", tmp_path)[2]["frame_age"][0] == 0


def test_a_list_of_frames_and_several_sources(tmp_path):
    ffl = tmp_path / "t.ffl"
    ffl.write_text(
        f"/d/V-a-{GPS - 7300}-100.gwf {GPS - 7300} 100 0 0\n/d/V-a-{GPS - 9000}-100.gwf {GPS - 9000} 100 0 0\n"
    )
    folder = tmp_path / "it's a = folder"
    stub(folder, GPS - 40 * HOUR - 100)
    status, text, data = check("--frames", ffl, "--frames", folder)
    assert status == WARNING and text.startswith("NIGHTLY WARNING: newest frame of") and "40.0 h old" in text
    assert data[f"frame_age {ffl}"][0] == 7200
    assert data[f"frame_age {str(folder).replace('=', '_')}"][0] == 40 * HOUR
    assert check("--frames", tmp_path / "none")[:2] == (
        UNKNOWN,
        f"NIGHTLY UNKNOWN: {tmp_path}/none: no such file or directory: '{tmp_path}/none'",
    )
    (tmp_path / "empty").mkdir()
    assert check("--frames", tmp_path / "empty")[:2] == (CRITICAL, f"NIGHTLY CRITICAL: no frame in '{tmp_path}/empty'")


def test_a_tree_of_very_many_files_is_not_walked(tmp_path, monkeypatch):
    for number in range(1, 200):
        stub(tmp_path / f"V-trend-{number}", 1000 * number)
    seen, scan = [], os.scandir
    monkeypatch.setattr(watch.os, "scandir", lambda path: seen.append(path) or scan(path))
    assert watch.newest(tmp_path) == 199_100 and len(seen) == 3


# Days


def test_the_newest_finished_day_and_those_that_failed(tmp_path):
    for day in ("2024-04-05", "2024-04-06", "2024-04-08", "2024-04-09", "2024-04-10"):
        state(tmp_path, day)
    status, text, data = check(tmp_path)
    # 30 h since the end of the 10th: just well; the 7th was left out, in the last seven days.
    assert data == {"day_age": (30 * HOUR, "s", ["108000", "194400", "0"]), "days_failed": (1.0, "", ["0", "2", "0"])}
    assert status == WARNING and "1 of 6 days failed" in text and "2024-04-07 missing" in text
    state(tmp_path, "2024-04-11", "failed", error="disk | full")
    status, text, data = check(tmp_path)
    assert data["days_failed"][0] == 2 and "2024-04-11 failed, disk / full" in text and status == WARNING
    assert check(tmp_path, "--failed", "5,9")[0] == OK
    assert check(tmp_path, "--days", "2", "--failed", ",0")[0] == CRITICAL
    assert check(tmp_path, "--day-age", "20,29")[0] == CRITICAL


def test_a_day_that_runs_or_waits_is_not_failed_and_a_fresh_folder_has_none_missing(tmp_path):
    state(tmp_path, "2024-04-10")
    state(tmp_path, "2024-04-11", "queued")
    assert check(tmp_path)[2]["days_failed"][0] == 1  # no range is at work that would build it
    at_work = tmp_path / ".range.abc123"
    at_work.mkdir()
    with open(at_work / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, text, data = check(tmp_path)
    assert status == OK and data["days_failed"][0] == 0 and "0 of 2 days failed" in text
    shutil.rmtree(tmp_path / "V1trend-2024-04-11")
    running = state(tmp_path, "2024-04-12", "running")
    assert check(tmp_path)[2]["days_failed"][0] == 2  # one is missing, nobody builds the other
    (running / ".work").mkdir()
    (running / ".work" / "lock").write_text("")
    holder = subprocess.Popen(["flock", running / ".work" / "lock", "sleep", "60"], start_new_session=True)
    try:
        until = time.monotonic() + 10
        while check(tmp_path)[2]["days_failed"][0] > 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert check(tmp_path)[2]["days_failed"][0] == 1
    finally:
        os.killpg(holder.pid, 9)
        holder.wait()


def test_no_day_of_late_and_none_at_all(tmp_path):
    assert check(tmp_path)[:2] == (
        CRITICAL,
        f"NIGHTLY CRITICAL: no finished day in {str(tmp_path)!r}; 0 of 0 days failed in {str(tmp_path)!r}",
    )
    state(tmp_path, "2023-12-31")
    status, text, data = check(tmp_path)
    assert status == CRITICAL and "2023-12-31, is 102.2 days old" in text and data["day_age"][0] == 102.25 * 86400
    assert check(tmp_path / "none")[0] == UNKNOWN


def test_each_spec_of_a_folder_has_its_own_data(tmp_path):
    state(tmp_path, "2024-04-11")
    state(tmp_path, "2024-04-01", spec="V1raw")
    status, text, data = check(tmp_path)
    assert status == CRITICAL and text.startswith("NIGHTLY CRITICAL: newest day V1raw")
    assert data["day_age V1trend"][0] == 6 * HOUR and data["day_age V1raw"][0] == (240 + 6) * HOUR
    assert check(tmp_path, "--spec", "V1trend")[0] == OK


def test_days_of_several_folders_as_places_or_as_monitors_have_them_as_options(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    state(one, "2024-04-11")
    state(other, "2024-04-10")
    found = check(one, other)
    assert found[0] == OK and found[2][f"day_age {one}"][0] == 6 * HOUR and found[2][f"day_age {other}"][0] == 30 * HOUR
    assert check("--out", one, "--out", other) == check(one, "--out", other) == found


# Streams


def test_the_newest_record_of_each_site(tmp_path):
    root, folder = tmp_path / "frames", tmp_path / "streams"
    for site, start in (("H", streams.NIGHT), ("L", streams.NIGHT + streams.HOUR)):
        streams.frame(root, start, {f"{site}0:PEM-A_SEISX": "f4"}, site=site)
    streams.imported(root, folder)
    end = streams.NIGHT + 2 * streams.HOUR
    status, _, data = check("--streams", folder, now=str(end + 25 * HOUR))
    # The last record begins a minute before the end.
    assert status == OK and data["stream_age L"][0] == 25 * HOUR + 60 and data["stream_age H"][0] == 26 * HOUR + 60
    assert check("--streams", folder, "--stream-age", "25.5,40", now=str(end + 25 * HOUR))[0] == WARNING
    # One site alone needs no name; a torn stream is told, and the others are looked at.
    for path in folder.glob("L0*"):
        path.unlink()
    state_file = folder / ".framemake" / "state.json"
    told = json.loads(state_file.read_text())
    told["streams"] = {name: held for name, held in told["streams"].items() if name[0] == "H"}
    state_file.write_text(json.dumps(told))
    assert list(check("--streams", folder, now=str(end))[2]) == ["stream_age"]
    (folder / "H0:PEM-A_SEISX.bin").write_bytes(b"torn")
    status, text, _ = check("--streams", folder, now=str(end))
    assert status == CRITICAL and "1 of 1 streams cannot be opened: torn" in text and "no record" in text


# The disk and the nightly run


def test_how_full_the_disk_is(tmp_path):
    status, text, data = check("--disk", tmp_path, "--full", ",", now=None)
    usage = shutil.disk_usage(tmp_path)
    value, unit, limits = data["disk_used"]
    assert status == OK and unit == "%" and limits == ["", "", "0", "100"] and "GB free" in text
    assert abs(value - 100 * usage.used / (usage.used + usage.free)) < 1
    assert check("--disk", tmp_path, "--full", "0,100", now=None)[0] == WARNING
    assert check("--disk", tmp_path, "--full", "100,0", now=None)[0] == CRITICAL
    assert check("--disk", tmp_path / "none", now=None)[0] == UNKNOWN


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({"status": "ok"}, OK, "nightly run: ok"),
        (
            {
                "status": "warning",
                "steps": [{"name": "mirror", "status": "warning"}, {"name": "build", "status": "ok"}],
            },
            WARNING,
            "nightly run: warning (mirror warning)",
        ),
        ({"status": "failed", "steps": [{"name": "build", "status": "failed"}]}, CRITICAL, "failed (build failed)"),
        ({"status": 1}, UNKNOWN, "nightly run: 1"),
        (
            {"status": "warning", "steps": [{"name": "import", "status": "warning", "exit": 3}], "built_to": None},
            WARNING,
            "nightly run: warning (import warning)",
        ),
        ({"status": "odd"}, UNKNOWN, "nightly run: odd"),
        ({}, UNKNOWN, "nightly run: none"),
        ({"status": "ok", "steps": [1, "x", {}]}, OK, "nightly run: ok"),
        ({"status": "ok", "finished_utc": "2024-04-11T00:30:00Z"}, OK, "29.5 h old"),
        ({"status": "ok", "finished_utc": "2024-04-10T00:00:00Z"}, WARNING, "last nightly run is 54.0 h old"),
        ({"status": "ok", "finished_utc": "2024-04-09T00:00:00Z"}, CRITICAL, "last nightly run is 78.0 h old"),
        ({"status": "running", "finished_utc": None}, OK, "under way or killed, begun 2024-04-12T00:50:00Z, is 5.2 h"),
        ({"started_utc": "2024-04-09T00:50:00Z", "finished_utc": None}, CRITICAL, "is 77.2 h old"),
        ({"started_utc": "yesterday", "finished_utc": 5}, UNKNOWN, "tells no time"),
    ],
)
def test_how_the_last_night_ended(tmp_path, told, status, words):
    path = tmp_path / "nightly.json"
    path.write_text(json.dumps({"started_utc": "2024-04-12T00:50:00Z", "finished_utc": "2024-04-12T02:00:00Z", **told}))
    got, text, data = check("--nightly", path)
    assert got == status and words in text, text
    assert status == UNKNOWN or "nightly_age" in data


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\0\0"])
def test_an_account_that_cannot_be_read_is_unknown(tmp_path, text):
    path = tmp_path / "nightly.json"
    path.write_text(text)
    got, line, _ = check("--nightly", path)
    assert got == UNKNOWN and str(path) in line
    path.unlink()
    assert check("--nightly", path)[0] == UNKNOWN


# As a plugin


@pytest.mark.slow
def test_a_file_system_that_does_not_answer_ends_in_time(tmp_path):
    """A fifo that nobody writes to holds who opens it, as a dead network disk does."""
    os.mkfifo(tmp_path / "nightly.json")
    begun = time.monotonic()
    status, text, _ = check("--nightly", tmp_path / "nightly.json", "-t", "1")
    assert (status, text) == (UNKNOWN, "NIGHTLY UNKNOWN: no answer after 1 s")
    assert time.monotonic() - begun < 5


def test_a_fault_is_told_with_all_that_is_well(tmp_path):
    stub(tmp_path / "frames", GPS - HOUR - 100)
    state(tmp_path / "out", "2024-04-11", "failed", error="no frame")
    state(tmp_path / "out", "2024-04-10")
    options = (tmp_path / "out", "--frames", tmp_path / "frames", "--disk", tmp_path, "--full", "100,100")
    status, text, data = check(*options)
    assert status == WARNING and text.startswith("NIGHTLY WARNING: 1 of 2 days failed")
    assert list(data) == ["frame_age", "day_age", "days_failed", "disk_used"] and "newest frame of" in text


def test_now_is_the_clock_in_utc_in_any_time_zone(tmp_path):
    from framemake import gps

    now = gps.parse(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()))
    stub(tmp_path, now - 1100)
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles"):
        status, out, _ = run("check-nightly", "--frames", tmp_path, env={"TZ": zone})
        assert status == OK and 1000 <= float(DATUM.search(out)[2]) < 1100
    assert refused_now(tmp_path) == UNKNOWN


def refused_now(tmp_path):
    return check("--frames", tmp_path, now="tomorrow")[0]


def test_a_leap_second_does_not_move_a_day(tmp_path):
    state(tmp_path, "2016-12-31")
    # 2016-12-31 had 86401 seconds.
    assert check(tmp_path, now="2017-01-01T00:00:00")[2]["day_age"][0] == 0
    assert check(tmp_path, now="2017-01-01T01:00:00")[2]["day_age"][0] == HOUR


def test_it_loads_no_numpy(tmp_path):
    """numpy takes longer than all the rest, and so would lal's own Python, for the time."""
    stub(tmp_path)
    state(tmp_path, "2024-04-10")
    code = (
        "import sys; from framemake.days import status; from framemake.host import plugin, watch; "
        "path, loaded = sys.argv[1], lambda: 'numpy' in sys.modules;"
        "list(watch.disk(path, '', None, plugin.limits(','))); watch.newest(path); status.days_of(path);"
        "list(watch.frames_in(path, '', lambda: watch.moment(), plugin.limits(','))); print(loaded())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    line = [sys.executable, "-c", code, tmp_path]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "False\n"
