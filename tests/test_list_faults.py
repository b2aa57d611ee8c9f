"""list-faults: what is faulty now, over days, frames and streams, as long as it is; and check-nightly knows it."""

import json

import pytest
from support import streams
from support.commands import needs, refused, run, well
from support.sites import DAY, Site, signal

CHANNELS = {"H0:PEM-EX_RAIN": "i4", "H0:PEM-EX_SEISX": "f4"}


def listed(*options):
    """The rows of list-faults; the exit status must tell whether there are any."""
    status, out, said = run("list-faults", *options)
    rows = [tuple(line.split("\t")) for line in out.splitlines()]
    assert status == (3 if rows else 0) and all(len(row) == 4 for row in rows)
    assert said == ""
    found = json.loads(run("list-faults", *options, "--json")[1])
    assert [tuple(" ".join(value.split()) for value in fault.values()) for fault in found] == rows
    return rows


def state(out, day, status, **more):
    folder = out / f"V1trend-{day}"
    folder.mkdir(parents=True)
    (folder / "state_day.json").write_text(json.dumps({"date": day, "status": status, **more}))
    if status == "completed":
        (folder / f"V1trend_{day.replace('-', '')}.h5").write_bytes(b"x")


def test_days_that_failed_were_stopped_or_are_missing(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert listed(out) == []
    state(out, "2024-04-10", "completed")
    state(out, "2024-04-11", "failed", error="no frame\tof it")
    state(out, "2024-04-12", "running")
    state(out, "2024-04-14", "completed")
    assert listed(out) == [
        ("day", "V1trend-2024-04-11", "2024-04-11", "no frame of it"),
        ("day", "V1trend-2024-04-12", "2024-04-12", "stopped before it was done"),
        ("day", "V1trend-2024-04-13", "2024-04-13", "missing"),
    ]
    assert [row[2] for row in listed(out, "--first", "2024-04-12", "--last", "2024-04-12")] == ["2024-04-12"]
    assert listed(out, "--spec", "V1raw") == [] == listed(out, "--last", "2024-04-09")
    assert [row[2] for row in listed(out, "--first", "2024-04-14", "--last", "2024-04-15")] == ["2024-04-15"]


def test_a_frame_that_a_finished_day_lacks_is_told_until_it_is_healed(tmp_path):
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path)
    site.want("V1:A")
    site.frame(0, 43200, [signal(count=43200)])
    bad = site.frame(43200, 43200, [signal(count=43200)])
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        site.make()
        ((kind, path, day, reason),) = listed(site.out)
        assert (kind, path, day) == ("frame", str(bad), DAY) and reason.startswith("cut short or damaged")
    status, line, _ = run("check-nightly", site.out, "--now", f"{DAY}T06:00:00", "--day-age", ",")
    assert status == 0, "a day that is not over"
    status, line, _ = run("check-nightly", site.out, "--now", "2024-04-11T06:00:00")
    assert status == 1 and f"1 faulty in {str(site.out)!r}: frame {bad}: cut short or damaged" in line
    bad.write_bytes(whole)
    site.make()
    assert listed(site.out) == []
    assert run("check-nightly", site.out, "--now", "2024-04-11T06:00:00")[0] == 0


def test_check_nightly_knows_of_a_day_that_failed_long_ago(tmp_path):
    """Failures were counted over the last days alone."""
    state(tmp_path, "2024-03-01", "failed", error="no frame")
    state(tmp_path, "2024-03-02", "completed")
    for day in range(3, 11):
        state(tmp_path, f"2024-03-{day:02d}", "completed")
    status, line, _ = run("check-nightly", tmp_path, "--now", "2024-03-11T06:00:00")
    assert status == 1 and f"1 faulty in {str(tmp_path)!r}: day V1trend-2024-03-01: no frame" in line
    assert run("check-nightly", tmp_path, "--now", "2024-03-11T06:00:00", "--faulty", ",")[0] == 0


@pytest.fixture
def streamed(tmp_path):
    """(tree, folder of streams, the file in the middle) of three hours."""
    tree = tmp_path / "frames"
    paths = [streams.frame(tree, streams.NIGHT + hour * streams.HOUR, CHANNELS) for hour in range(3)]
    return tree, tmp_path / "streams", paths[1]


@pytest.mark.slow
def test_a_frame_that_streams_lack_is_told_until_it_is_healed(streamed):
    """The second import said nothing, as if all were well."""
    tree, out, bad = streamed
    whole = bad.read_bytes()
    bad.write_bytes(b"")
    assert run("import-streams", tree, out)[0] == 3
    for _ in range(2):
        assert run("import-streams", tree, out)[0] in (0, 3)
        ((kind, path, folder, reason),) = listed("--streams", out, "--frames", tree)
        assert (kind, path, folder) == ("frame", str(bad), str(out)) and reason in streams.errors(out)[-1]
    assert listed("--streams", out) == listed("--streams", out, "--frames", tree)
    status, line, _ = run("check-nightly", "--streams", out, "--now", str(streams.NIGHT + 4 * streams.HOUR))
    assert status == 1 and f"1 faulty in {str(out)!r}: frame {bad}: " in line
    bad.write_bytes(whole)
    assert run("import-streams", tree, out)[0] == 0
    assert listed("--streams", out, "--frames", tree) == [] == listed("--streams", out)


@pytest.mark.slow
def test_a_frame_that_is_taken_away_is_no_fault_of_streams_any_more(streamed):
    tree, out, bad = streamed
    bad.write_bytes(b"")
    stray = tree / "minute-trend" / "LHO" / "notes.txt"
    stray.write_text("a stray")
    run("import-streams", tree, out)
    rows = listed("--streams", out, "--frames", tree)
    assert {row[1] for row in rows} == {str(bad), str(stray)}
    bad.unlink()
    stray.unlink()
    assert listed("--streams", out, "--frames", tree) == [] == listed("--streams", out)
    # A tree that is not there now, or is empty, tells of nothing that it would be healed.
    tree.rename(tree.with_name("away"))
    for _ in range(2):
        for options in ((), ("--frames", tree)):
            assert {row[1] for row in listed("--streams", out, *options)} == {bad.name, "minute-trend/LHO/notes.txt"}
        tree.mkdir(exist_ok=True)


def test_a_fault_of_a_channel_names_it_and_more_of_them_are_counted(streamed):
    tree, out, _ = streamed
    signals = [signal for name in ("A", "B", "C", "D", "E") for signal in streams.trend(f"H0:X-{name}_DQ", 0, 60, 60)]
    signals = [signal for signal in signals if not signal.name.endswith(".rms")]
    signals += streams.trend("H0:PEM-EX_SEISX", 0, 60, 60)
    streams.frame(tree, streams.NIGHT + streams.HOUR, signals)
    assert run("import-streams", tree, out)[0] == 3
    ((_, _, _, reason),) = listed("--streams", out, "--frames", tree)
    assert reason.startswith("H0:X-A_DQ: ") and reason.count("H0:X-") == 3 and reason.endswith("; and 2 more")


def test_a_list_of_before_there_were_reasons_is_read(streamed):
    tree, out, bad = streamed
    bad.write_bytes(b"")
    run("import-streams", tree, out)
    path, state = (out / ".framemake" / name for name in ("faults", "state.json"))
    path.write_bytes(path.read_bytes().split(b"\0")[0] + b"\n")
    state.write_text(json.dumps({**json.loads(state.read_text()), "faults": path.stat().st_size}))
    ((_, name, _, reason),) = listed("--streams", out)
    assert name == str(bad) and reason == "ImportData.errors says why"


def test_a_stream_that_cannot_be_opened_is_told(streamed):
    tree, out, _ = streamed
    assert run("import-streams", tree, out)[0] == 0
    (out / "H0:PEM-EX_SEISX.info").write_text("half")
    assert [row[:2] for row in listed("--streams", out)] == [("stream", "H0:PEM-EX_SEISX")]


def test_what_is_wrongly_asked_is_refused(tmp_path):
    assert "OUT, --streams or both" in refused("list-faults", status=2)
    assert "no such file or directory" in refused("list-faults", tmp_path / "none")
    assert listed("--streams", tmp_path / "none")[0][3] == "no folder of streams"
    (tmp_path / "V1trend-2024-04-10").mkdir()
    assert "no such day" in refused("list-faults", tmp_path, "--first", "2024-04-1x", "--last", "2024-04-11")
    assert well("list-faults", "--out", tmp_path, "--last", "2024-04-09") == ""
