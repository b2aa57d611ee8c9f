"""What programs are told: 0 done, 1 failed, 2 asked wrongly, 3 done but data is missing; and one line for people."""

import json
import os
import shutil
import subprocess

import pytest
from framemake.day import attempt, check
from framemake.day.folder import COMPLETED, FAILED, Folder
from framemake.days import plan, run
from framemake.errors import BadInput
from framemake.frames import datafind
from framemake.gps import Window
from framemake.streams.intake import importer
from support import streams as made
from support.commands import BIN, DAY, START, needs, stub
from support.inside import DaySite, inside
from support.sites import signal
from support.streams import HOUR, NIGHT

RAIN = "H0:PEM-EX_RAIN"


def ends(status, name, *args):
    """The (stdout, line on stderr) of a command that must end so, without a trace and with a line at most."""
    done = inside(name, *args, check=False)
    assert done.returncode == status, done
    assert done.stderr.count("\n") <= 1 and (not done.stderr or done.stderr.startswith(f"{name}: "))
    return done.stdout, done.stderr


@pytest.fixture
def streams(tmp_path):
    made.frame(tmp_path / "frames", NIGHT, {RAIN: "i4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    return tmp_path / "streams"


@pytest.fixture
def site(tmp_path):
    site = DaySite(tmp_path / "site")
    site.want("V1:A", "V1:B")
    site.frame(0, 60, [signal()])
    return site


def test_an_import_with_a_fault_or_beside_another_program_lacks_data(streams):
    frames = streams.parent / "frames"
    ends(0, "import-streams", frames, streams)
    with open(streams / "ligoimport.files", "a") as log:
        log.write("H-M-1-3600.gwf\n")
    made.frame(frames, NIGHT + HOUR, {RAIN: "i4"})
    done = inside("import-streams", frames, streams, check=False)
    assert done.returncode == 3 and "another program has written to the streams" in done.stderr
    ends(0, "import-streams", frames, streams)
    made.path_of(frames, NIGHT + 2 * HOUR).write_bytes(b"no frame")
    assert "a file with faults" in ends(3, "import-streams", frames, streams)[1]
    assert "no such folder" in ends(1, "import-streams", frames / "none", streams)[1]


def test_a_fault_is_data_that_is_missing(streams, tmp_path):
    assert ends(0, "list-faults", "--streams", streams) == ("", "")
    made.path_of(tmp_path / "frames", NIGHT + HOUR).write_bytes(b"no frame")
    importer.run(str(tmp_path / "frames"), str(streams))
    out, _ = ends(3, "list-faults", "--streams", streams)
    assert out.count("\n") == 1 and out.split("\t")[0] == "frame"
    assert ends(2, "list-faults")[0] == ""


def test_streams_that_are_wrong_fail_and_a_span_without_data_lacks_it(streams):
    assert ends(0, "check-streams", streams) == ("", "")
    assert ends(0, "read-stream", streams / RAIN, "--mean", NIGHT, NIGHT + 120)[0].count("\n") == 2
    assert "no data in the span" in ends(3, "read-stream", streams / RAIN, "--mean", NIGHT + HOUR, NIGHT + 2 * HOUR)[1]
    assert ends(3, "read-stream", streams / RAIN, "--mean", NIGHT + HOUR, NIGHT + 2 * HOUR, "--json")[0].startswith("{")
    os.truncate(streams / f"{RAIN}.bin", 1499)
    assert "torn" in ends(1, "check-streams", streams)[0]


def test_a_day_without_a_sample_is_told_and_the_others_are_written(streams, tmp_path):
    days = ("--first", "2016-05-23", "--last", "2016-05-24", "--out", tmp_path / "out")
    out, told = ends(3, "export-streams", streams, *days)
    assert "no stream has a sample on the day: '2016-05-24'" in told and out.endswith("elab_20160523.h5\n")
    assert out.count("\n") == 1
    assert ends(0, "export-streams", streams, "--day", "2016-05-23", "--out", tmp_path / "out") == (out, "")


def test_channels_that_no_frame_has_are_left_out_and_without_any_it_fails(site):
    out, _ = ends(0, "prune-channels", site.ffl, site.channels)
    assert out.startswith("V1:A\t1.0\tadc") and out.count("\n") == 1
    site.want("V1:B")
    assert "no channel of the list" in ends(1, "prune-channels", site.ffl, site.channels)[1]
    next(site.frames.iterdir()).write_bytes(b"")
    assert "no frame can be read" in ends(1, "prune-channels", site.ffl, site.channels)[1]


def test_a_day_is_completed_when_it_is_told_and_not_before(site):
    site.extract(60)
    assert inside("pad-merge", site.parts, "--out", site.h5).returncode == 0
    folder = Folder.of(str(site.out), "V1trend", DAY)
    assert folder.state() == {}
    ends(0, "summarize", site.h5)
    assert folder.state()["status"] == COMPLETED and os.path.exists(folder.summary)
    ends(0, "summarize", site.h5, "--no-summary", "--index", site.out)
    assert not os.path.exists(folder.summary) and (site.out / "index.json").exists()
    assert ends(2, "summarize")[0] == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--day", DAY, "--start", "5"), "exclude each other"),
        (("--start", "5", "--end", "5"), "the span is empty"),
        (("--start", "6", "--end", "5"), "the span is empty"),
        (("--start", "5"), "a span is needed"),
        (("--minutes", "5"), "--minutes goes with --day"),
        (("--start", "5.5", "--end", "7"), "whole GPS seconds"),
        (("--day", "2024-02-30"), "no such day"),
    ],
)
def test_a_span_that_is_none_is_named(site, options, words):
    out, told = ends(1, "list-frames", site.ffl, *options)
    assert out == "" and words in told


@pytest.mark.parametrize("share", ["0/2", "3/2", "x", "1", "1/2/3"])
def test_a_share_that_is_none_is_named(site, share):
    span = ("--start", START, "--end", START + 60)
    told = ends(1, "extract-increment", site.ffl, site.channels, *span, "--parts", site.parts, "--share", share)[1]
    assert "no such share, want I/N" in told


def test_what_fails_is_noted_in_the_day_that_it_is_about(site, tmp_path):
    folder = Folder.of(str(tmp_path / "out"), "V1trend", DAY)
    os.makedirs(folder.work)
    site.listed.clear()
    site.ffl.write_text(f"{site.frames}/gone.gwf {START} 60 0 0\n")
    span = ("--day", DAY, "--record", folder.path)
    told = ends(1, "extract-increment", site.ffl, site.channels, *span, "--parts", site.parts)[1]
    state = folder.state()
    assert (state["status"], f"{state['error']}\n", state["date"]) == (FAILED, told, DAY)
    with open(folder.log) as log:
        assert told.rstrip("\n") in log.read()


def test_who_gets_nothing_from_the_command_before_in_a_pipe_fails_without_another_word(site):
    """That one has said why."""
    assert ends(1, "prune-channels", site.ffl, "-") == ("", "")
    assert inside("prune-channels", site.ffl, "-", input="V1:A\n").stdout.startswith("V1:A\t")


def test_a_reader_that_is_gone_is_no_error(site):
    """As `| head -1` once it has its line: the pipe is closed before the first write."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([BIN / "list-frames", site.ffl], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_frames_that_wait_for_a_day_are_missing_data_and_a_day_that_is_wrong_is_a_failure(tmp_path, monkeypatch):
    frames, out = tmp_path / "frames", tmp_path / "out"
    stub(frames)
    folder = Folder.of(str(out), "V1trend", DAY)
    os.makedirs(folder.work)
    folder.note(status=FAILED)
    assert "2024-04-10 is failed" in ends(3, "prune-frames", frames, out, "--keep-days", "5", "--yes")[1]
    folder.note(status=COMPLETED)
    with open(folder.h5, "w"):
        pass
    ends(1, "prune-frames", frames, out, "--keep-days", "5", "--yes")
    assert ends(2, "prune-frames", frames, "--keep-days", "5")[0] == ""
    # Without --yes it shows, and removes nothing.
    shutil.rmtree(out)
    made.frame(tmp_path / "tree", NIGHT, {RAIN: "i4"})
    made.imported(tmp_path / "tree", tmp_path / "streams")
    asked = ("prune-frames", tmp_path / "tree", "--streams", tmp_path / "streams", "--keep-days", "5")
    path = made.path_of(tmp_path / "tree", NIGHT)
    assert ends(0, *asked) == (f"{path}\n", "") and path.exists()
    assert ends(0, *asked, "--yes") == (f"{path}\n", "") and not path.exists()


def test_a_mirror_that_lacks_files_lacks_data(tmp_path):
    needs("rsync")
    (tmp_path / "source").mkdir()
    ends(0, "mirror-frames", tmp_path / "source", tmp_path / "dest")
    assert "some files did not come" in ends(3, "mirror-frames", tmp_path / "none", tmp_path / "dest")[1]
    assert "no source is given" in ends(1, "mirror-frames", tmp_path / "dest")[1]


# --- days and ranges: what make is told ------------------------------------------------------

RANGE = {"FIRST": DAY, "LAST": DAY, "SPEC": "V1trend", "INCREMENT": "600", "COMPRESSION": "lzf"}
RANGE |= {"ENGINE": "local", "SETTINGS": "SPEC", "MAX_RETRIES": "0", "LIMIT_DAYS": "", "AT_ONCE": "2", "DRY_RUN": "no"}


@pytest.mark.parametrize(
    ("outcome", "status"), [(attempt.Outcome.DONE, 0), (attempt.Outcome.STANDS, 3), (attempt.Outcome.NOT_DONE, 1)]
)
def test_what_an_attempt_comes_to_is_told_to_make_and_to_the_index(tmp_path, monkeypatch, outcome, status):
    monkeypatch.setattr(attempt, "build", lambda *args: outcome)
    (tmp_path / "c.txt").write_text("V1:A\n")
    given = {"CHANNELS": f"{tmp_path}/c.txt", "INCREMENT": "600", "COMPRESSION": "lzf", "ATTEMPT": ""}
    (tmp_path / "out").mkdir()
    done = inside("hold-day", tmp_path / "out", "V1trend", DAY, check=False, env=given)
    assert (done.returncode, done.stderr) == (status, "")
    # Who has done the day has told the index, too; else somebody has to.
    assert (tmp_path / "out" / "index.json").exists() == (status != 0)


def test_a_time_that_is_none_is_named(tmp_path):
    given = {"CHANNELS": f"{tmp_path}/c.txt", "INCREMENT": "600", "COMPRESSION": "lzf"}
    assert "START: no such time: 'now'" in inside("hold-day", tmp_path, "V1trend", "now", check=False, env=given).stderr


@pytest.mark.parametrize(
    ("failed", "stopped", "status", "words"),
    [
        ([], False, 0, "1 built"),
        ([DAY], False, 1, "1 failed"),
        ([], True, 130, "1 built"),
        ([DAY], True, 130, "1 failed"),
    ],
)
def test_what_a_range_comes_to(tmp_path, monkeypatch, failed, stopped, status, words):
    stub(tmp_path / "frames")
    (tmp_path / "c.txt").write_text("V1:A\n")
    given = {**RANGE, "FFL": str(tmp_path / "frames"), "CHANNELS": f"{tmp_path}/c.txt"}
    monkeypatch.setattr(run, "run", lambda *args: run.Outcome(failed, stopped))
    done = inside("run-range", tmp_path / "out", check=False, env=given)
    assert done.returncode == status and words in done.stderr.splitlines()[-1], done
    assert (DAY in done.stderr) == bool(failed)
    with open(tmp_path / "out" / ".range.json") as left:
        told = json.load(left)
    assert (told["failed"], told["built"], bool(told["finished_utc"])) == (len(failed), 1 - len(failed), True)


@pytest.mark.parametrize(("why", "status"), [(plan.STANDS, 3), (plan.GONE, 0), (plan.CLOSED, 0), (plan.VANISHED, 1),
                                             (plan.NO_FRAME, 1), ("", 0)])  # fmt: skip
@pytest.mark.parametrize("dry", ["no", "yes"])
def test_a_range_of_days_that_are_left_as_they_are(tmp_path, monkeypatch, why, status, dry):
    (tmp_path / "c.txt").write_text("V1:A\n")
    monkeypatch.setattr(plan, "plan", lambda *args: ([plan.PlannedDay(DAY, why)], []))
    given = {**RANGE, "FFL": "x", "CHANNELS": f"{tmp_path}/c.txt", "DRY_RUN": dry}
    done = inside("run-range", tmp_path / "out", check=False, env=given)
    if dry == "yes":
        status = 3 if status else 0
        assert done.stdout == "" and not (tmp_path / "out").exists()
    assert done.returncode == status and (not why or DAY in done.stderr)


def test_a_day_whose_frames_changed_has_nothing_to_be_compared_with(site):
    site.build(60)
    (path,) = site.frames.iterdir()
    os.utime(path, (1, 1))
    found = check.differences(str(site.h5))
    assert "frame file has changed since" in next(found)[3]
    with pytest.raises(BadInput, match="no frame of the day is left"):
        next(found)
    assert check.missing(str(site.h5)) == (0, 60, 1)  # V1:B is in no frame


# --- servers of frames -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (408, True), (404, False), (401, False)]
)
def test_a_server_that_may_answer_later_is_asked_again_and_no_password_is_told(monkeypatch, status, again):
    requests = pytest.importorskip("requests")
    pytest.importorskip("gwdatafind")
    asked = []

    def refuse(url, **more):
        asked.append(url)
        answer = requests.Response()
        answer.status_code, answer.reason = status, "why"
        raise requests.HTTPError(response=answer)

    monkeypatch.setattr("gwdatafind.ui.get_json", refuse)
    monkeypatch.setattr(datafind.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("GWDATAFIND_SERVER", "http://me:secret@host:80")
    notes = []
    with pytest.raises(BadInput) as caught:
        datafind.find("gwdatafind:///V/V1trend", Window(START, START + 100), notes)
    assert len(asked) == (len(datafind._PAUSES) + 1 if again else 1)
    assert "secret" not in str(caught.value) + "".join(notes) and f"{status} why" in str(caught.value)
