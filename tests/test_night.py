"""host/night and run-night: which days a night has, how its steps are judged, and what it withstands."""

import datetime
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from framemake import files
from framemake.errors import BadInput
from framemake.host import night, nightconf
from framemake.host.night import RangeCounts, Verdict
from support.commands import BIN, refused, run
from support.daemons import wait_until

DAY = datetime.date.fromisoformat


def asked(**given):
    return nightconf.settings({"LOGS": "/logs", **{name: str(value) for name, value in given.items()}})


# --- what is asked for -------------------------------------------------------------------


def test_words_are_settings_and_steps():
    given, steps = nightconf.parse(["LOGS=/a=b", "SOURCES=", "::", "mirror", "a", "--", "c=d", "::", "prune", "b"])
    assert given == {"LOGS": "/a=b", "SOURCES": ""}
    assert steps == [("mirror", ("a", "--", "c=d")), ("prune", ("b",))]
    assert nightconf.parse([]) == ({}, [])
    for wrong in (["LOGS"], ["A=1", "::"], ["::", "mirror"], ["::", "mirror", "::", "a", "b"]):
        with pytest.raises(BadInput):
            nightconf.parse(wrong)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"KEEP_DAYS": 7, "CHANNELS": "/c", "FRAMES": "/f"}, "KEEP_DAYS must be more than DAYS: '7'"),
        ({"KEEP_DAYS": 8}, "FRAMES must be an absolute path: ''"),
        ({"CHANNELS": "/c", "FFL": "/f", "OUT": "/o", "REPORT": "r"}, "REPORT must be an absolute path: 'r'"),
        ({"PICTURE_DAYS": 20001}, "PICTURE_DAYS must be at most 20000: '20001'"),
        ({"CHANNELS": "/c", "OUT": "/o", "FFL": "trend"}, "FFL must be an absolute path: 'trend'"),
        ({"TIME_LIMIT": "5 h"}, "TIME_LIMIT must be a number with s, m, h or d: '5 h'"),
        ({"JOBS": ""}, "JOBS must be a whole number from 1: ''"),
        ({"TIMELIMIT": "5h"}, "no such setting: 'TIMELIMIT'"),
    ],
)
def test_a_wrong_setting_is_named(given, words):
    with pytest.raises(BadInput, match="^" + words.replace("(", "\\(") + "$"):
        asked(**given)


def test_settings_have_units_and_defaults():
    assert asked()[3:] == (7, None, None, 60, 72000, "20h")
    assert [asked(TIME_LIMIT=text).time_limit for text in ("90", "90s", "2m", "1d")] == [90, 90, 120, 86400]
    assert asked(DAYS="08", FFL="gwdatafind://host/V/V1trend", CHANNELS="/c", OUT="/o").days == 8


# --- which days --------------------------------------------------------------------------


def day_in(out, day, status):
    folder = out / f"V1trend-{day}"
    folder.mkdir(parents=True)
    (folder / "state_day.json").write_text(json.dumps({"date": day, "status": status}))


@pytest.mark.parametrize(
    ("given", "there", "span"),
    [
        # Nothing is there yet.
        ({"DAYS": 1}, {}, ("03-01", "03-01", "03-01")),
        ({"DAYS": 3}, {}, ("02-28", "02-28", "02-28")),
        ({"DAYS": 3, "FIRST_DAY": "2024-04-01"}, {}, ("04-01", "04-01", "04-01")),
        # All that is there is done, but there is none since.
        ({"DAYS": 3}, {"02-20": "completed"}, ("02-20", "02-28", "02-20")),
        ({"DAYS": 3}, {"02-29": "completed"}, ("02-28", "02-28", "02-28")),
        ({"DAYS": 3}, {f"02-2{n}": "completed" for n in range(4, 10)}, ("02-24", "02-28", "02-28")),
        # A day that failed long ago stays, until FIRST_DAY is after it.
        (
            {"DAYS": 3},
            {**{f"01-0{n}": "completed" for n in range(1, 9)}, "01-06": "failed"},
            ("01-01", "02-28", "01-03"),
        ),
        ({"DAYS": 3, "FIRST_DAY": "2024-02-29"}, {"01-05": "failed"}, ("02-29", "02-29", "02-29")),
        # What lies beyond is of no matter.
        ({"DAYS": 3}, {"12-31": "failed"}, ("02-28", "02-28", "02-28")),
    ],
)
def test_a_night_goes_back_to_what_is_not_done_and_not_to_a_date(tmp_path, given, there, span):
    """It went back to the day that the last night had reached, whatever had come of that."""
    for day, status in there.items():
        day_in(tmp_path, f"2024-{day}", status)
    found = night.span(asked(OUT=tmp_path, **given), DAY("2024-03-01"))
    assert [str(day)[5:] for day in found[:3]] == list(span) and str(found.last) == "2024-03-01"


def test_a_first_day_of_gps_time_is_the_earliest(tmp_path):
    assert str(night.span(asked(OUT=tmp_path, DAYS=999999), DAY("2024-03-01")).first) == "1980-01-06"


def test_a_day_that_has_not_come_is_refused(tmp_path):
    status, out, told = run("run-night", "--until", "2999-01-01", "--", f"LOGS={tmp_path}")
    assert (status, out, told) == (1, "", "nightly: that day has not come yet: '2999-01-01'\n")
    assert not list(tmp_path.iterdir())


def test_what_make_says_of_a_recipe_is_no_news(tmp_path):
    of_make = "make: *** [Makefile:26: range] Error 1", "make[1]: *** x", "make[1]: Target 'all' not remade because"
    text = (
        f'printf \'%s\\n\' why "{of_make[0]}" "{of_make[1]}" "{of_make[2]}" \'make: 2024-04-10 failed: x\' >&2; exit 2'
    )
    _, _, said = run("run-night", "--", f"LOGS={tmp_path}", *shell("build", text))
    assert said.splitlines()[:3] == ["nightly: build: failed, exit status 2", "  why", "  make: 2024-04-10 failed: x"]
    assert not any(line in said for line in of_make)
    assert "make: ***" in Path(report(tmp_path)["log"]).read_text()


def test_an_early_run_tells_what_failed_and_not_what_is_missing(tmp_path):
    early = ("run-night", "--part", "--early", "--", f"LOGS={tmp_path}")
    assert run(*early, *shell("mirror", "echo away >&2; exit 3")) == (0, "", "")
    status, _, said = run(*early, *shell("mirror", "echo away >&2; exit 3"), *shell("next", "echo bad >&2; exit 1"))
    assert status == 1 and "away" not in said and "nightly: next: failed, exit status 1\n  bad\n" in said


def test_the_picture_shows_the_last_days_that_there_are(tmp_path):
    def shown(built_to=None, **given):
        given = {"OUT": tmp_path / "out", "PICTURE_DAYS": 10, **given}
        return [str(day) for day in night.days_to_show(asked(**given), DAY("2024-04-10"), built_to)]

    assert shown() == ["2024-04-01", "2024-04-10"]
    for name in ("V1trend-2024-04-04", "V1trend-2024-04-09", "V1raw-2024-04-02", "V1trend-2024-04-00"):
        (tmp_path / "out" / name).mkdir(parents=True)
    assert shown() == ["2024-04-04", "2024-04-10"]
    assert shown(DAY("2024-04-20")) == ["2024-04-11", "2024-04-20"]
    assert shown(FIRST_DAY="2024-04-06") == ["2024-04-06", "2024-04-10"]
    assert shown(FIRST_DAY="2024-05-06") == ["2024-04-10", "2024-04-10"]
    assert shown(SPEC="V1raw", PICTURE_DAYS=20000) == ["2024-04-02", "2024-04-10"]


# --- what came of it ---------------------------------------------------------------------


RANGE = {
    "start_date": "2024-04-10",
    "end_date": "2024-04-12",
    "concurrency": 1,
    "run_utc_started": "2024-04-13T00:50:00Z",
    "finished_utc": "2024-04-13T01:00:00Z",
    "days": 3,
    "built": 1,
    "unchanged": 1,
    "failed": 0,
    "no_frame": 1,
}


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (RANGE, (0, 1, 0)),
        ({**RANGE, "failed": 2, "vanished": 3}, (2, 1, 3)),
        # Of another run: that before, one over other days, one that has not come to its end.
        ({**RANGE, "finished_utc": "2024-04-13T00:50:59Z"}, None),
        ({**RANGE, "start_date": "2024-04-09"}, None),
        ({name: value for name, value in RANGE.items() if name != "finished_utc"}, None),
        ({**RANGE, "failed": None}, None),
        ([], None),
    ],
)
def test_the_counts_of_a_range_are_those_of_this_run(tmp_path, left, found):
    (tmp_path / ".range.json").write_text(json.dumps(left))
    counts = night.range_counts(str(tmp_path), DAY("2024-04-10"), "2024-04-13T00:51:00Z")
    assert (counts and counts[:3]) == found
    (tmp_path / ".range.json").write_text("{half")
    assert night.range_counts(str(tmp_path), DAY("2024-04-10"), "2024-04-13T00:51:00Z") is None
    (tmp_path / ".range.json").unlink()
    assert night.range_counts(str(tmp_path), DAY("2024-04-10"), "2024-04-13T00:51:00Z") is None


def test_days_without_a_frame_are_missing_data_and_failed_ones_a_failure():
    assert night.status_of_build(2, RangeCounts(failed=0, no_frame=1)) == 3
    assert night.status_of_build(2, RangeCounts(0, 0, vanished=4)) == 3
    assert night.status_of_build(2, RangeCounts(0, 0, left_out=4)) == 3
    assert night.status_of_build(0, RangeCounts(0, 1)) == 0
    for status, found in (
        (2, RangeCounts(1, 1)),
        (2, RangeCounts(0, 0)),
        (2, None),
        (124, RangeCounts(0, 1)),
        (143, RangeCounts(0, 1)),
    ):
        assert night.status_of_build(status, found) == status


def test_an_exit_status_is_a_verdict():
    assert night.verdict_on(0, "5s") == (Verdict.OK, "")
    assert night.verdict_on(3, "5s") == (Verdict.WARNING, "data is missing")
    assert (
        night.verdict_on(137, "5s")
        == night.verdict_on(124, "5s")
        == (Verdict.FAILED, "stopped after the time limit of 5s")
    )
    assert night.verdict_on(127, "5s") == (Verdict.FAILED, "failed, exit status 127")


# --- the night ---------------------------------------------------------------------------


def shell(name, text):
    return ["::", name, "bash", "-c", text]


def report(logs):
    return json.loads((logs / "nightly.json").read_text())


def test_each_step_is_told_by_its_status_and_what_it_said(tmp_path):
    steps = [
        *shell("silent", "exit 1"),
        *shell("data", "seq 12; exit 3"),
        *shell("said", "seq 3; for i in {1..12}; do echo message $i >&2; done; printf '\\377' >&2; exit 4"),
        *shell("well", "echo fine >&2"),
        *("::", "none", "no-such-command"),
    ]
    status, out, said = run("run-night", "--until", "2024-04-10", "--", f"LOGS={tmp_path}", *steps)
    assert (status, out) == (1, "")
    lines = said.splitlines()
    log = report(tmp_path)["log"]
    assert lines[0] == "nightly: silent: failed, exit status 1"
    assert lines[1:12] == ["nightly: data: data is missing", *(f"  {number}" for number in range(1, 11))]
    assert lines.pop(12) == "  and 2 more, in the log"
    assert lines[12:23] == [
        "nightly: said: failed, exit status 4", *(f"  message {number}" for number in range(4, 13)), "  \ufffd",
    ]  # fmt: skip
    assert lines[23] == "nightly: none: failed, exit status 127"
    assert lines[-1] == f"nightly: failed: silent failed, data warning, said failed, well ok, none failed: {log!r}"
    steps = {step["name"]: step for step in report(tmp_path)["steps"]}
    assert [step["exit"] for step in steps.values()] == [1, 3, 4, 0, 127]
    assert steps["well"]["message"] is None and steps["silent"]["message"] == ""
    assert steps["data"]["message"].splitlines()[:10] == [str(number) for number in range(1, 11)]
    # The log has all of it, data after messages.
    text = Path(log).read_bytes().decode("utf-8", "replace")
    assert "message 12\n\ufffd1\n2\n3\n" in text and "\n11\n12\n" in text and text.count("+00:00 nightly: ") == 11


def test_a_step_that_cannot_be_started_stops_no_other(tmp_path, monkeypatch):
    said = []
    monkeypatch.setenv("PATH", str(tmp_path))
    steps = [nightconf.Step("first", ("true",)), nightconf.Step("next", ("true",))]
    assert night.run(asked(LOGS=tmp_path), DAY("2024-04-10"), steps, said.append) is Verdict.FAILED
    assert said[0] == "first: failed, exit status 126\n  nightly: true cannot be started: no such file or directory"
    assert [step["exit"] for step in report(tmp_path)["steps"]] == [126, 126]


def test_a_full_disk_stops_no_step(tmp_path):
    """The disk of the logs alone is full: each step runs, and what they say goes where it can."""
    logs, done = tmp_path / "logs", tmp_path / "done"
    logs.mkdir()
    own = 'mount -t tmpfs -o size=64k none "$0" && shift && exec "$@"'
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", own, logs, "-"]
    if os.geteuid() != 0 or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a file system is mounted by root, in a mount namespace")
    steps = [*shell("first", f"echo 1 >>'{done}'; echo lost >&2; true"), *shell("next", f"echo 2 >>'{done}'")]
    fill = 'head -c 1M /dev/zero >"$0/fill" 2>/dev/null; exec "$@"'
    call = [*apart, "sh", "-c", fill, logs, BIN / "run-night", "--", f"LOGS={logs}", *steps]
    night = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.read_text() == "1\n2\n", night.stderr
    assert night.returncode == 1 and f"nightly: cannot be written: '{logs}/nightly.json'\n" in night.stderr
    assert night.stderr.count(f"nightly: disk full: '{logs}'\n") == 1 == night.stderr.count("cannot be written")
    assert night.stderr.splitlines()[-1].startswith("nightly: failed: first ok, next ok: ")


def test_a_log_that_cannot_be_opened_is_told_and_messages_go_to_the_mail(tmp_path):
    (tmp_path / "nightly.json").mkdir()
    said = []
    log = night._Log(str(tmp_path / "none" / "log"), said.append)
    assert said == [f"cannot be written: '{tmp_path}/none/log'"] and log.tail(0) == []
    os.close(log.handle)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_night_that_is_told_to_end_ends_its_step_and_begins_no_other(tmp_path, number):
    steps = [*shell("long", "echo begun >&2; sleep 60"), *shell("next", "true")]
    # The tests may run under nohup, or in the background of a script.
    call = ["env", "--default-signal", BIN / "run-night", "--", f"LOGS={tmp_path}", *steps]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "nightly.log").exists() and "begun" in (tmp_path / "nightly.log").read_text(), "it")
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.startswith("nightly: long: stopped\n  begun\nnightly: next: not run, stopped\nnightly: failed: ")
    assert report(tmp_path)["finished_utc"] and report(tmp_path)["status"] == "failed"


@pytest.mark.slow
def test_a_signal_that_is_switched_off_stays_so(tmp_path):
    """As nohup does."""
    steps = shell("short", "echo begun >&2; sleep 1")
    call = ["nohup", BIN / "run-night", "--", f"LOGS={tmp_path}", *steps]
    process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until(lambda: (tmp_path / "nightly.log").exists() and "begun" in (tmp_path / "nightly.log").read_text(), "it")
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=20)[1] == b"" and process.returncode == 0


def test_a_process_that_outlives_its_night_is_told_by_its_number_and_words(tmp_path):
    """It may have work to end, so it is left alone; but the night that began it is not said to be at work."""
    steps = [nightconf.Step("leaves", ("sh", "-c", "sleep 321 & echo $!"))]
    settings, day, said = asked(LOGS=tmp_path), DAY("2024-04-10"), []
    assert night.run(settings, day, steps, said.append) is Verdict.OK
    left = int(Path(tmp_path / "nightly.log").read_text().splitlines()[1])
    try:
        words = f"has ended, but process {left} that it started goes on: 'sleep 321'$"
        with pytest.raises(BadInput, match=f"^the nightly of 20.* {words}"):
            night.run(settings, day, steps, said.append)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_step_runs_where_it_is_not_said_not_to_and_is_waited_for(tmp_path, monkeypatch):
    """No call of the system after its start can make it go on unseen: of one that is forked a pipe would be read."""
    said, steps = [], [nightconf.Step("first", ("sh", "-c", "pwd >done"))]

    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", failing)
    assert night.run(asked(LOGS=tmp_path), DAY("2024-04-10"), steps, said.append) is Verdict.OK
    assert (tmp_path / "done").read_text() == f"{tmp_path}\n" and not said


def test_what_a_step_printed_and_cannot_be_read_ends_no_night(tmp_path, monkeypatch):
    said, steps = [], [nightconf.Step("first", ("true",)), nightconf.Step("next", ("false",))]
    # A file of which every read fails.
    monkeypatch.setattr(night.tempfile, "TemporaryFile", lambda: files.opened("/proc/self/mem", "r+", buffering=0))
    assert night.run(asked(LOGS=tmp_path), DAY("2024-04-10"), steps, said.append) is Verdict.FAILED
    assert [step["status"] for step in report(tmp_path)["steps"]] == ["ok", "failed"]
    log = (tmp_path / "nightly.log").read_text()
    assert log.count("printed cannot be read: input/output error") == 2


@pytest.mark.slow
def test_a_time_limit_that_is_over_leaves_the_rest(tmp_path):
    begun = time.monotonic()
    steps = [*shell("long", "sleep 60"), *shell("next", "true")]
    status, _, said = run("run-night", "--", f"LOGS={tmp_path}", "TIME_LIMIT=1", *steps)
    assert status == 1 and time.monotonic() - begun < 20
    assert said.splitlines()[:2] == [
        "nightly: long: stopped after the time limit of 1", "nightly: next: not run, the time limit of 1 is over",
    ]  # fmt: skip
    assert [step["exit"] for step in report(tmp_path)["steps"]] == [124, 124]


def test_words_that_stand_for_days(tmp_path):
    words = ["{first}", "START={first}", "END={last}", "{picture_first}", "{picture_last}", "x{first}", "{other}"]
    given = (f"LOGS={tmp_path}", f"OUT={tmp_path}", "DAYS=2", "PICTURE_DAYS=3")
    status, _, said = run("run-night", "--until", "2024-04-10", "--", *given, "::", "show", "echo", *words)
    assert (status, said) == (0, "")
    told = (tmp_path / "nightly.log").read_text().splitlines()[1]
    assert told == "2024-04-09 START=2024-04-09 END=2024-04-10 2024-04-08 2024-04-10 x{first} {other}"


def test_what_is_wrongly_asked_is_refused(tmp_path):
    assert "LOGS must be an absolute path: ''" in run("run-night")[2]
    assert "--until" in refused("run-night", "--until", "x", "--", f"LOGS={tmp_path}", status=2)
    (tmp_path / "file").write_text("")
    assert run("run-night", "--", f"LOGS={tmp_path}/file")[::2] == (
        1, f"nightly: cannot make the folder: '{tmp_path}/file'\n",
    )  # fmt: skip
