"""`make DAY=...` as a person runs it: what it makes, what it refuses, what a lock or a full disk leave."""

import json
import os
import pty
import re
import shutil
import signal as signals
import subprocess
import time

import numpy as np
import pytest
from support.commands import bound, long, needs
from support.inside import inside
from support.sites import DAY, ROOT, START, Site, command, contents, make, signal

TREE = {
    "V1trend_20240410.h5",
    "V1trend_20240410.summary.json",
    "V1trend_20240410.sha256",
    "channels_info",
    "state_day.json",
    "worker.log",
}


def fill(site, channels=12, duration=3600, trouble=False):
    """A whole made-up day; the channel list has one more that never comes if trouble is planted."""
    options = ["--trouble"] if trouble else []
    made = command(
        "make-frames", site.frames, "--day", DAY, "--channels", channels, "--duration", duration,
        "--list", site.channels, *options,
    )  # fmt: skip
    site.ffl.write_text(made.stdout)
    return site


@pytest.fixture
def site(tmp_path):
    needs("make", "parallel", "jq", "flock")
    return Site(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A day with troubles, built once; tests that only look share it."""
    needs("make", "parallel", "jq", "flock")
    site = fill(Site(tmp_path_factory.mktemp("built")), 40, trouble=True)
    site.done = site.make()
    assert site.done.returncode == 0, site.done.stderr
    return site


def test_the_tree_is_the_one_its_users_have(built):
    assert {p.name for p in built.day.iterdir() if not p.name.startswith(".")} == TREE
    lists = {p.name for p in (built.day / "channels_info").iterdir()}
    kinds = {f"{kind}_channels.txt" for kind in ("requested", "valid", "invalid", "pruned")}
    assert lists == kinds | {"channels_coverage.json", "rejected.tsv"}
    assert (built.out / "index.json").exists()


def test_the_jsons_have_the_keys_that_scripts_read(built):
    summary = built.json("summary")
    keys = [
        "date",
        "start_dt_utc",
        "end_dt_utc",
        "start_gps",
        "end_gps",
        "total_seconds",
        "ffl_spec",
        "ffl_path",
        "increment_size",
        "total_chunks",
        "started_at_utc",
        "completed_at_utc",
        "elapsed_time_seconds",
        "dataset_size_bytes",
        "requested_channels",
        "valid_channels",
        "invalid_channels",
        "pruned_channels",
    ]
    assert set(keys) <= set(summary)
    assert (summary["date"], summary["start_gps"], summary["total_seconds"]) == (DAY, START, 86400)
    assert (summary["start_dt_utc"], summary["end_dt_utc"]) == (f"{DAY}T00:00:00+00:00", "2024-04-11T00:00:00+00:00")
    assert summary["total_chunks"] == 144 and summary["ffl_path"] == str(built.ffl)
    assert summary["dataset_size_bytes"] == built.h5.stat().st_size
    counts = [summary[f"{kind}_channels"] for kind in ("requested", "valid", "invalid", "pruned")]
    assert counts == [41, 40, 1, 0]
    coverage = built.json("coverage")
    keys = [
        "channel_name",
        "sample_rate",
        "dtype",
        "total_samples",
        "nan_samples",
        "non_nan_samples",
        "nan_fraction",
        "gwf_gaps",
        "gwf_mask",
        "missing_fraction",
    ]
    for name, entry in coverage.items():
        assert set(keys) <= set(entry) and entry["channel_name"] == name
        assert entry["total_samples"] == 86400 == entry["nan_samples"] + entry["non_nan_samples"]
        assert entry["gwf_gaps"] == entry["gwf_mask"].count("0")
        assert entry["missing_fraction"] == entry["gwf_gaps"] / len(entry["gwf_mask"])
    state = built.json("state_day.json")
    assert (state["status"], state["error"], state["last_completed_chunk"]) == ("completed", None, 143)
    assert (state["date"], state["h5_path"], state["increment_size"]) == (DAY, str(built.h5), 600)
    index = json.loads((built.out / "index.json").read_text())
    assert index["days"][DAY]["status"] == "completed" and index["days"][DAY]["h5"] == str(built.h5)
    assert index["stats"] == {"total": 1, "completed": 1, "failed": 0, "running": 0, "queued": 0}


def test_the_planted_troubles_are_told(built):
    summary, coverage = built.json("summary"), built.json("coverage")
    names = [line for line in built.channels.read_text().split() if line in coverage]
    # Of 25 files number 8 is absent, 12 has holes in channels 1 to 5, and the last channel begins with file 6.
    assert summary["frame_files"] == {"used": 24, "absent": 1, "duplicate": 0, "covered": 0, "kept": 0, "tape": 0}
    assert coverage[names[0]]["gwf_mask"] == "1" * 8 + "0" + "1" * 16
    assert coverage[names[-1]]["gwf_mask"] == "0" * 6 + "11" + "0" + "1" * 16
    assert [coverage[name]["nan_samples"] for name in names[:7]] == [3600, *[4500] * 5, 3600]
    assert built.rejected() == {"V1:NEVER_THERE_mean": ("invalid", "in no frame")}
    assert summary["missing_spans_gps"] == [[1396771200, 1396774800]]


def test_the_day_says_where_it_came_from(built):
    import h5py

    told = built.json("summary")["provenance"]
    assert len(told["frames"]) == 25 and {f["status"] for f in told["frames"]} == {"used", "absent"}
    first = told["frames"][0]
    assert os.path.getsize(first["path"]) == first["size_bytes"]
    assert os.path.getmtime(first["path"]) == pytest.approx(first["mtime"])
    with h5py.File(built.h5) as file:
        inside = json.loads(file["provenance/inputs"][()])
    assert inside["requested"] == built.channels.read_text().split()
    assert inside["channel_list"] == str(built.channels) and inside["version"].startswith("0.")
    assert (inside["increment"], inside["compression"], inside["ffl_spec"]) == (600, "lzf", "V1trend")
    assert inside["frames"][0][0] == first["path"]


def test_the_log_tells_the_day_in_utc(built):
    lines = (built.day / "worker.log").read_text().splitlines()
    assert all(line[10] == "T" and line[19:25] == "+00:00" for line in lines)
    assert any("list-frames" in line for line in lines) and any("summarize: completed" in line for line in lines)


def test_nothing_new_does_no_work(built):
    before = {p: p.stat().st_mtime_ns for p in built.day.rglob("*") if p.is_file() and p.name != "lock"}
    done = built.make()
    assert done.returncode == 0 and done.stdout == done.stderr == ""
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize("missing", ["h5", "work", long("summary"), long("lists")])
def test_what_is_deleted_is_made_again(built, missing):
    want = contents(built.h5)
    gone = {
        "h5": built.h5,
        "summary": built.h5.with_suffix(".summary.json"),
        "work": built.day / ".work",
        "lists": built.day,
    }[missing]
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert built.make().returncode == 0
    assert contents(built.h5) == want and built.h5.with_suffix(".summary.json").exists()


@pytest.mark.parametrize(("cores", "alone"), [(3, "0"), (3, "100"), long(1, "0")])
def test_a_day_depends_on_neither_the_cores_nor_the_processes(built, tmp_path, cores, alone):
    # A nproc of our own on PATH: that is what the recipe asks.
    (tmp_path / "nproc").write_text(f"#!/bin/sh\necho {cores}\n")
    (tmp_path / "nproc").chmod(0o755)
    other = Site(tmp_path)
    other.ffl, other.channels = built.ffl, built.channels
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    # VENV= leaves PATH's order to us; the environment's python comes second.
    environment["PATH"] = f"{tmp_path}:{ROOT}/.venv/bin:{os.environ['PATH']}"
    assert other.make("VENV=", "LOG_LEVEL=DEBUG", env={**environment, "ALONE": alone}).returncode == 0
    log = (other.day / "worker.log").read_text()
    assert "extract-increment: part 1 of" in log
    shares = re.findall("extract-increment: begins: .* --share (./.)", log)
    assert sorted(shares) == (["1/3", "2/3", "3/3"] if cores == 3 and alone == "0" else [])
    assert contents(other.h5) == contents(built.h5)


def test_a_late_file_reopens_the_day(site):
    fill(site)
    late = sorted(site.frames.iterdir())[10]
    late.rename(site.folder / "aside")
    assert site.make().returncode == 0
    name = site.channels.read_text().split()[0]
    assert site.json("coverage")[name]["nan_samples"] == 3600
    (site.folder / "aside").rename(late)
    assert site.make().returncode == 0
    assert site.json("coverage")[name]["nan_samples"] == 0
    assert inside("check-day", "--all", site.h5).stdout == ""


@pytest.mark.parametrize("word", ["DRY_RUN=yes", "-n"])
def test_a_dry_run_says_why_the_day_has_work_to_do_and_changes_nothing(site, word):
    fill(site, 2)
    done = site.make(word)
    assert done.returncode == 0 and done.stdout.endswith(f"{DAY}\tnew\n"), done.stderr
    assert not site.out.exists()


# --- refusals ---------------------------------------------------------------------------


def refused(done, *words):
    """One clear line, a status that is not 0, no trace of Python or of a half-run recipe."""
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make") or ": *** " not in line]
    assert len(told) == 1, done.stderr
    assert all(word in told[0] for word in words), told
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("DAY=2024-02-30", ("no such day", "2024-02-30")),
        ("DAY=tomorrow", ("no such day", "tomorrow")),
        ("DAY=1970-01-01", ("no such day", "1970-01-01")),
        ("FFL=nowhere.ffl", ("no such file", "nowhere.ffl")),
        ("FFL=", ("FFL",)),
        ("CHANNELS=none.txt", ("no such file", "none.txt")),
        ("COMPRESSION=zip", ("COMPRESSION", "zip")),
        ("INCREMENT=0", ("INCREMENT", "'0'")),
        ("INCREMENT=ten", ("INCREMENT", "ten")),
        ("MAX_RETRIES=-1", ("MAX_RETRIES", "-1")),
        ("SPEC=../up", ("SPEC", "../up")),
        ("SPEC=$$(touch owned)", ("SPEC",)),
        ("OUT=/proc/none", ("cannot make", "/proc/none")),
    ],
)
def test_a_bad_value_is_refused_in_one_line(site, variable, words):
    site.want("V1:A")
    site.frame(0, 60, [])
    refused(site.make(variable), *words)
    assert not (site.folder / "owned").exists()


def test_a_variable_that_does_not_exist_is_refused(site):
    done = make("DAY=2024-04-10", "CHANELS=x", cwd=site.folder)
    assert done.returncode == 2 and "no such variable" in done.stderr and "CHANELS" in done.stderr


def test_a_day_without_a_frame_fails_and_says_so(site):
    fill(site, 2)
    refused(site.make("DAY=2024-05-01"), "no frame of 2024-05-01", str(site.ffl))
    index = json.loads((site.out / "index.json").read_text())
    assert index["days"]["2024-05-01"]["status"] == "failed"
    assert "no frame" in index["days"]["2024-05-01"]["error"]


def test_a_list_without_a_channel_fails(site):
    fill(site, 2)
    site.channels.write_text("# nothing\n\n")
    refused(site.make(), "no channel in list")


def test_paths_with_spaces_and_shell_words_are_only_paths(site):
    odd = Site(site.folder / "a b; touch owned $(touch owned) 'q'")
    fill(odd, 2)
    assert odd.make().returncode == 0
    assert odd.h5.exists() and not list(site.folder.rglob("owned"))


def test_a_frame_that_cannot_be_had_is_read_when_it_can_though_it_is_what_it_was(site):
    fill(site)
    whole = contents(site.h5) if site.make().returncode == 0 else None
    (site.day / ".work" / "frames.tsv").unlink()
    site.h5.unlink()
    denied = site.frames / "V-trend-1396760400-3600.gwf"
    denied.chmod(0)
    for _ in range(2):
        done = site.make(before=bound())
        assert done.returncode == 0, done.stderr
        assert f"cannot be read, permission denied: {str(denied)!r}\n" in done.stderr
        bad = site.json("summary")["bad_frames"]
        assert [(each["path"], each["reason"]) for each in bad] == [(str(denied), "permission denied")]
        samples = site.read("V1:Sa_NE_CH00000_mean")[0]
        assert np.flatnonzero(np.isnan(samples)).tolist() == list(range(17982, 17982 + 3600))
    denied.chmod(0o644)
    log = site.day / "worker.log"
    before = len(log.read_text())
    done = site.make(before=bound())
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert contents(site.h5) == whole
    # Its own increments were read again, and nothing else.
    read = re.findall(r"part \d+ of \d+: .*, GPS (\d+) to (\d+),", log.read_text()[before:])
    assert read and min(int(start) for start, _ in read) > 1396760400 - 7200
    assert max(int(end) for _, end in read) < 1396764000 + 7200
    made = site.h5.stat().st_mtime_ns
    assert site.make().returncode == 0 and site.h5.stat().st_mtime_ns == made


def test_a_read_only_out_is_refused(site):
    fill(site, 2)
    site.out.mkdir()
    site.out.chmod(0o555)
    refused(site.make(before=bound(reads=False)), "cannot make the day's folder")


# --- locks and signals --------------------------------------------------------------------


def start(site, *variables, **more):
    given = (f"DAY={DAY}", f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}", *variables)
    return subprocess.Popen(
        ["make", "-f", str(ROOT / "Makefile"), *given],
        cwd=site.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **more},
    )


def test_two_makes_on_one_day_at_once(site):
    fill(site, 60)
    first = start(site)
    while not (site.day / ".work" / "frames.tsv").exists():
        time.sleep(0.01)
    second = site.make()
    assert second.returncode == 0 and "waiting" in second.stderr
    assert first.wait() == 0
    first.stderr.close()
    assert inside("check-day", site.h5).stdout == ""


def test_a_second_make_leaves_when_it_waited_long_enough(site):
    fill(site, 2)
    lock = site.day / ".work" / "lock"
    lock.parent.mkdir(parents=True)
    holder = subprocess.Popen(["flock", lock, "sleep", "60"], start_new_session=True)
    try:
        time.sleep(0.3)
        done = site.make("LOCK_WAIT=1")
        assert done.returncode != 0 and "gave up waiting" in done.stderr
    finally:
        os.killpg(holder.pid, signals.SIGKILL)
        holder.wait()


def test_progress_on_a_terminal(site):
    needs("script")
    fill(site, 40)
    variables = f"DAY={DAY} FFL={site.ffl} CHANNELS={site.channels} OUT={site.out}"
    done = subprocess.run(
        ["script", "-qec", f"make -f {ROOT}/Makefile {variables}", "/dev/null"],
        capture_output=True, text=True, check=False, cwd=site.folder,
    )  # fmt: skip
    assert done.returncode == 0 and "100 %" in done.stdout and "2024-04-10 [" in done.stdout


@pytest.mark.parametrize("number", [signals.SIGTERM, long(signals.SIGINT)])
def test_a_day_that_is_stopped_ends_with_all_that_it_runs_and_says_so(site, number):
    fill(site, 200, duration=100)
    process = start(site)
    state = site.day / "state_day.json"
    while not state.exists() or site.json("state_day.json")["status"] != "running":
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    if number == signals.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.terminate()
    told = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "Traceback" not in told
    told = site.json("state_day.json")
    assert (told["status"], told["error"]) == ("failed", "interrupted")
    index = json.loads((site.out / "index.json").read_text())
    assert index["days"][DAY]["error"] == "interrupted"
    # Nothing works on behind its back.
    end = time.monotonic() + 10
    while subprocess.run(["flock", "--nonblock", site.day / ".work" / "lock", "true"], check=False).returncode:
        assert time.monotonic() < end, "the lock is held"
        time.sleep(0.1)
    assert not site.h5.exists()


def test_ctrl_c_is_told_in_make_s_words_whatever_it_meets(site):
    """Python that only begins told it in a traceback, one time in six, and what it dropped it told in another."""
    needs("env")
    if subprocess.run(["env", "--block-signal=INT", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this env has no --block-signal")
    fill(site, 2)
    for moment in range(12):
        process = start(site)
        time.sleep(0.04 * moment)
        os.killpg(process.pid, signals.SIGINT)
        told = process.communicate(timeout=60)[1]
        assert [line for line in told.splitlines() if not line.startswith("make")] == [], moment


def test_where_env_blocks_no_signal_a_day_is_built_all_the_same(site, tmp_path):
    fill(site, 2)
    stub = tmp_path / "bin" / "env"
    stub.parent.mkdir()
    stub.write_text('#!/bin/bash\n[[ $1 != --block* ]] || { echo "env: no such option" >&2; exit 125; }\nexec "$@"\n')
    stub.chmod(0o755)
    process = start(site, PATH=f"{stub.parent}:{os.environ['PATH']}")
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    assert site.h5.exists()


def test_five_minutes_of_a_channel_of_16_hz(tmp_path):
    """MINUTES=5 with an INCREMENT of 600 failed in pad-merge."""
    site = Site(tmp_path)
    site.want("V1:A")
    for number in range(5):
        site.frame(60 * number, 60, [signal(first=960 * number, count=960, rate=16.0)])
    done = site.make("MINUTES=5")
    assert done.returncode == 0, done.stderr
    assert site.read("V1:A")[0].tolist() == list(range(4800))


def test_a_day_whose_frames_are_all_absent_says_so_in_one_line(tmp_path):
    """It was an IndexError."""
    site = Site(tmp_path)
    site.want("V1:A")
    site.list(tmp_path / "gone.gwf", START, 60)
    done = site.make()
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "no frame can be read" in line]
    assert len(said) == 1 and said[0].endswith(f"no frame can be read: {str(tmp_path / 'gone.gwf')!r} (absent)")
    assert "IndexError" not in done.stderr


def test_on_a_terminal_a_day_leaves_one_line(site):
    """The bar is drawn by the processes that read, and taken away: what came of the day stays."""
    site.want("V1:A")
    site.frame(0, 60, [signal()])
    words = ["make", "-f", ROOT / "Makefile", f"DAY={DAY}", f"FFL={site.ffl}", f"CHANNELS={site.channels}"]
    environment = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    for told in ("1 of 1 channels, 0 % NaN, ", "nothing new"):
        ours, theirs = pty.openpty()
        given = {"stderr": theirs, "env": environment, "cwd": site.folder}
        done = subprocess.run([*words, "MINUTES=1"], stdout=subprocess.PIPE, check=True, **given)
        os.close(theirs)
        lines = os.read(ours, 65536).decode().split("\r\n")
        os.close(ours)
        assert done.stdout == b"" and len(lines) == 2 and lines[1] == ""
        assert lines[0].rpartition("\r")[2].startswith(f"make: {DAY}: {told}")
