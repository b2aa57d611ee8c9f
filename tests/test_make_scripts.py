"""The bash that make and cron run, with stand-ins for what it starts: what it hands on, refuses, and comes to.

The stand-ins write down how they were called.  That the real programs do with it what they should is seen where they
run, in test_make_day, test_make_range and test_nightly.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from framemake import files
from framemake.day import travel
from framemake.day.folder import COMPLETED, FAILED, Folder
from framemake.days import run
from framemake.errors import BadInput, WouldLose
from support.commands import DAY, ROOT, call, needs
from support.inside import DaySite
from support.sites import signal as samples

LIB = ROOT / "lib" / "make"
SETTINGS = {"SPEC": "V1trend", "INCREMENT": "600", "COMPRESSION": "lzf", "MAX_RETRIES": "3", "LOCK_WAIT": "3600"}


def stand_in(folder, name, script):
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)
    return path


def bash(script, *args, cwd, path=(), **env):
    """The CompletedProcess of a script whose programs are looked for in `path` first; env: all that it has."""
    where = ":".join([*map(str, path), str(ROOT / "bin"), os.environ["PATH"]])
    given = {"PATH": where, "HOME": str(cwd), **{name: str(value) for name, value in env.items()}}
    return call("bash", "-euc", script, "bash", *args, cwd=cwd, env=given, bare=True, timeout=60)


# --- what people type ------------------------------------------------------------------------


@pytest.fixture
def typed(tmp_path):
    """A function: what lib/make/checks makes of variables, as {name: value}, or the line that refuses them."""
    needs("bash")
    (tmp_path / "c.txt").write_text("V1:A\n")
    (tmp_path / "t.ffl").write_text("")
    names = [
        "FFL",
        "CHANNELS",
        "RESUME",
        "SHRINK",
        "SUMMARY",
        "LOG_LEVEL",
        "DRY_RUN",
        "INCREMENT",
        "MAX_RETRIES",
        "MINUTES",
    ]

    def checked(**given):
        script = f'. "{LIB}/checks" day; for name; do printf "%s=%s\\0" "$name" "${{!name-}}"; done'
        values = {"FFL": "t.ffl", "CHANNELS": "c.txt", **SETTINGS, **given}
        done = bash(script, *names, cwd=tmp_path, **values)
        if done.returncode:
            assert done.stdout == "" and done.stderr.startswith("make: ") and done.stderr.count("\n") == 1
            return done.stderr
        return dict(word.split("=", 1) for word in done.stdout.split("\0")[:-1])

    return checked


def test_what_is_given_is_completed_and_made_absolute(typed, tmp_path):
    found = typed()
    assert found["FFL"] == f"{tmp_path}/t.ffl" and found["CHANNELS"] == f"{tmp_path}/c.txt"
    assert [found[name] for name in ("RESUME", "SHRINK", "SUMMARY", "LOG_LEVEL", "DRY_RUN")] == [
        "yes", "no", "yes", "INFO", "no",
    ]  # fmt: skip
    assert typed(FFL="gwdatafind://host/V/V1trend")["FFL"] == "gwdatafind://host/V/V1trend"


@pytest.mark.parametrize(("flags", "dry"), [("n", "yes"), ("kn", "yes"), (" -j4 --no-print", "no"), ("k -- n=1", "no")])
def test_make_n_is_a_dry_run(typed, flags, dry):
    assert typed(MAKEFLAGS=flags)["DRY_RUN"] == dry


def test_numbers_are_decimal_and_as_large_as_they_must_be(typed):
    """08 is no octal number, and neither is 010 eight."""
    for name, good, bad in (
        ("INCREMENT", ["1", "08", "010", "999999999"], ["0", "00", "-1", "1.5", "1e3", "9999999999", "0x10", ""]),
        ("MAX_RETRIES", ["0", "08", "3"], ["-1", "x"]),
        ("MINUTES", ["1", "09", ""], ["0", "-5"]),
    ):  # fmt: skip
        for text in good:
            assert typed(**{name: text})[name] == text
        for text in bad:
            assert f"make: {name} must be a whole number from" in typed(**{name: text}), (name, text)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RESUME", "maybe"), ("COMPRESSION", "zip"), ("SPEC", "../up"), ("SPEC", "-x"), ("SPEC", "a b"),
     ("LOG_LEVEL", "info"), ("FFL", "none.ffl"), ("FFL", ""), ("CHANNELS", "none.txt"), ("CHANNELS", "."),
     ("SHRINK", "YES"), ("SUMMARY", "1")],
)  # fmt: skip
def test_a_value_that_is_none_is_named(typed, name, value):
    told = typed(**{name: value})
    assert name in told and (not value or value in told)


@pytest.fixture
def ranged(tmp_path):
    """A function: what lib/make/range hands to run-range, as {name: value}, or the line that refuses it."""
    needs("bash")
    names = "FIRST LAST AT_ONCE"
    stand_in(
        tmp_path / "tools", "run-range", f'for n in {names}; do printf "%s=%s\\n" $n "${{!n-}}"; done; echo "args=$*"'
    )
    (tmp_path / "c.txt").write_text("V1:A\n")
    (tmp_path / "t.ffl").write_text("")

    def handed(given="", **more):
        # make exports every variable, given or not.
        empty = dict.fromkeys(("FIRST", "LAST", "START", "END"), "")
        values = {"FFL": "t.ffl", "CHANNELS": "c.txt", "OUT": "o ut", "GIVEN": given, **SETTINGS, **empty, **more}
        done = bash(f'exec "{LIB}/range"', cwd=tmp_path, path=[tmp_path / "tools"], **values)
        if done.returncode:
            assert done.stdout == "" and done.stderr.startswith("make: ")
            return done.stderr
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    return handed


def test_the_days_of_a_range_by_either_name_and_what_is_typed_goes_first(ranged):
    days = {"FIRST": "2024-04-10", "LAST": "2024-04-12"}
    assert ranged("FIRST LAST", **days) | {"args": ""} == {**days, "AT_ONCE": "1", "args": ""}
    assert ranged(START="2024-04-10", END="2024-04-12")["FIRST"] == "2024-04-10"
    # As from a settings file, whose keys are START and END.
    found = ranged("FIRST", FIRST="2024-04-11", START="2024-04-10", END="2024-04-12")
    assert (found["FIRST"], found["LAST"]) == ("2024-04-11", "2024-04-12")
    found = ranged("START END", START="2024-04-10", END="2024-04-12", **{"FIRST": "2024-04-11", "LAST": "2024-04-11"})
    assert (found["FIRST"], found["LAST"]) == ("2024-04-10", "2024-04-12")
    told = ranged("FIRST START", FIRST="2024-04-11", START="2024-04-10", END="2024-04-12")
    assert "FIRST and START are the same, give one" in told
    assert "the range is empty" in ranged(FIRST="2024-04-12", LAST="2024-04-11")
    assert ranged(FIRST="2024-04-12", LAST="2024-04-12")["LAST"] == "2024-04-12"
    assert "no such day" in ranged(FIRST="2024-02-30", LAST="2024-03-12")
    assert "which days?" in ranged() and "which days?" in ranged(FIRST="2024-04-12")
    assert "not DAY" in ranged(DAY="2024-04-10", **days)


def test_as_many_days_at_once_as_make_was_told(ranged):
    days = {"FIRST": "2024-04-10", "LAST": "2024-04-12"}
    assert ranged(MAKEFLAGS=" -j8 --jobserver-auth=3,4 ", **days)["AT_ONCE"] == "8"
    assert ranged(CONCURRENCY="5", **days)["AT_ONCE"] == "5"
    assert ranged(CONCURRENCY="5", MAKEFLAGS=" -j2 --jobserver-auth=3,4 ", **days)["AT_ONCE"] == "2"
    assert int(ranged(MAKEFLAGS=" -j ", **days)["AT_ONCE"]) == os.cpu_count()
    assert "ENGINE must be one of" in ranged(ENGINE="../local", **days)
    assert "STAGGER must be seconds" in ranged(STAGGER="1s", **days)


# --- one day ---------------------------------------------------------------------------------

# Each writes down its name, its arguments and whether it has the lock's handle, and what make looks for.  The clock of
# a file system ticks every few milliseconds: the real summarize takes longer, so that its file is the newer one.
TOOL = """said=${0##*/}; for word; do said+=" $word"; done
[ ! -e /proc/self/fd/9 ] || said+=' LOCK'
printf '%s\\n' "$said" >>"$LOG"
case ${0##*/} in
run-steps) [ -z "${STEPS-}" ] || exit "$STEPS"; echo h5 >V.h5 ;;&
run-steps | summarize) sleep 0.02; [[ $* == *no-summary* ]] || echo {} >V.summary.json ;;
esac"""
NAMES = "list-frames run-steps summarize"


@pytest.fixture
def day(tmp_path):
    """A function: what lib/make/day.mk runs in a day's folder, the first word of each line the program."""
    needs("make", "bash")
    folder = tmp_path / "V1trend-2024-04-10"
    (folder / ".work").mkdir(parents=True)
    for name in NAMES.split():
        stand_in(tmp_path / "tools", name, TOOL)
    for name in ("frames.tsv", "requested.txt", "settings"):
        (folder / ".work" / name).write_text("x")

    def runs(**more):
        log = tmp_path / "log"
        log.write_text("")
        names = {"h5": "V.h5", "last": "V.summary.json"}
        tables = {"frames": "frames.tsv", "requested": "requested.txt", "channels": "channels.tsv"}
        tables |= {"rejected": "rejected.tsv", "parts": "parts"}
        names |= {name: f".work/{path}" for name, path in tables.items()}
        names["inputs"] = ".work/frames.tsv .work/requested.txt .work/settings"
        given = {**SETTINGS, "FFL": "/t $(touch owned).ffl", "CHANNELS": "/c.txt", "DAY": DAY, "OUT": "/o", "LOG": log,
                 "KEEP": "V.h5", "BEGUN": "now", **names, **more}  # fmt: skip
        given["PATH"] = f"{tmp_path / 'tools'}:{os.environ['PATH']}"
        words = ["make", "--no-print-directory", "-C", folder, "-f", LIB / "day.mk"]
        with open(folder / ".work" / "lock", "w") as lock:
            done = subprocess.run(
                ["bash", "-c", 'exec "$@" 9>&1', "bash", *words],
                env={name: str(value) for name, value in given.items()}, stdout=lock, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not (folder / "owned").exists()
        return [line.split(" ") for line in log.read_text().splitlines()]

    runs.folder = folder
    return runs


def called(lines, name):
    return [line for line in lines if line[0] == name]


def test_a_new_day_is_listed_read_joined_and_told_and_only_then_is_there_nothing_to_do(day):
    lines = day()
    assert [line[0] for line in lines] == ["list-frames", "run-steps"]
    assert lines[0][:4] == ["list-frames", "/t", "$(touch", "owned).ffl"] and "--day" in lines[0]
    (steps,) = called(lines, "run-steps")
    assert steps[steps.index("--keep") + 1] == "V.h5" and "--shrink" not in steps
    wanted = {"--increment": "600", "--compression": "lzf", "--retries": "3", "--begun": "now"}
    assert {name: steps[steps.index(name) + 1] for name in wanted} == wanted
    each = [steps[at + 1] for at, word in enumerate(steps) if word == "|"]
    assert each == ["extract-increment", "pad-merge", "summarize"] and "prune-channels" in steps and "LOCK" in steps
    assert [line[0] for line in day()] == ["list-frames"]


def test_a_day_that_may_shrink_may_do_so_where_it_is_read_and_where_it_is_joined(day):
    (steps,) = called(day(SHRINK="yes"), "run-steps")
    reads, joins = steps.index("extract-increment"), steps.index("pad-merge")
    assert "--shrink" in steps[reads:joins] and "--shrink" in steps[joins:] and "--shrink" not in steps[:reads]


def test_what_was_pruned_is_not_listed_and_not_read(day):
    (day.folder / "V.h5").write_text("there")
    lines = day(CLOSED="yes")
    assert [line[0] for line in lines] == ["summarize"] and "V.h5" in lines[0]
    assert day(CLOSED="yes") == []


def test_in_a_range_the_frames_have_been_listed(day):
    assert not called(day(LISTED="yes"), "list-frames")


def test_the_cores_of_a_scheduler_are_a_days_share(day):
    (steps,) = called(day(CORES="7"), "run-steps")
    assert steps[steps.index("--at-once") + 1] == "7"


def test_a_day_of_one_core_is_made_in_one_process_whatever_it_takes(day):
    (steps,) = called(day(CORES="1"), "run-steps")
    assert "--alone" not in steps and steps.count("|") == 3
    (day.folder / "V.h5").unlink()
    (steps,) = called(day(CORES="2", ALONE="7"), "run-steps")
    assert steps[steps.index("--alone") + 1] == "7"


def test_a_day_of_which_a_step_fails_has_failed(day):
    with pytest.raises(AssertionError, match=r"\*\*\*"):
        day(CORES="2", STEPS="1")


def test_a_day_whose_telling_is_older_is_told_again_and_not_read(day):
    day()
    os.utime(day.folder / "V.summary.json", (0, 0))
    lines = day()
    assert [line[0] for line in lines] == ["list-frames", "summarize"] and "LOCK" in lines[1]
    # And one whose pipe has just told it is not told twice.
    assert [line[0] for line in day()] == ["list-frames"]


def test_a_day_without_a_summary_has_a_stamp_and_is_told_by_it(day):
    more = {"SUMMARY": "no", "last": ".work/told"}
    assert "--no-summary" in called(day(**more), "summarize")[0]
    assert (day.folder / ".work" / "told").exists() and [line[0] for line in day(**more)] == ["list-frames"]


# --- days of a range -------------------------------------------------------------------------


def test_a_day_that_fails_stops_no_other_on_this_machine(tmp_path):
    needs("make", "bash")
    shutil.copytree(LIB, tmp_path / "make")
    stand_in(tmp_path / "make", "build-day", 'echo "$2" >>"$1"; [[ $2 != *10 ]]')
    (tmp_path / "days").write_text("2024-04-10\n2024-04-11\n2024-04-12\n")
    call(
        tmp_path / "make" / "engine" / "local", tmp_path / "log", tmp_path / "days", env={"AT_ONCE": "1"}, cwd=tmp_path
    )
    assert sorted((tmp_path / "log").read_text().split()) == (tmp_path / "days").read_text().split()


def test_a_day_waits_for_memory_and_says_so_once(tmp_path):
    needs("bash")
    shutil.copytree(LIB, tmp_path / "make")
    stand_in(tmp_path / "make", "day", "echo built $DAY $START. $LISTED ${MAKEFLAGS-none}")
    settings = tmp_path / "settings"
    settings.write_text(f"export RUN={tmp_path} STAGGER=0 MEM_GUARD=999999999 START=2024-04-10\n")
    environ = {**os.environ, "MAKEFLAGS": "-j4"}
    process = subprocess.Popen(
        [tmp_path / "make" / "build-day", settings, DAY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    assert "waits for memory" in process.stderr.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "") and process.returncode
    settings.write_text(settings.read_text().replace("999999999", "1"))
    done = call(tmp_path / "make" / "build-day", settings, DAY, env={"MAKEFLAGS": "-j4"})
    assert (done.stdout, done.stderr) == (f"built {DAY} . yes none\n", "")


def test_a_day_that_waits_for_memory_ends_when_its_range_is_gone(tmp_path):
    needs("bash")
    settings, run_folder = tmp_path / "settings", tmp_path / "run"
    run_folder.mkdir()
    settings.write_text(f"export RUN={run_folder} STAGGER=0 MEM_GUARD=999999999\n")
    process = subprocess.Popen([LIB / "build-day", settings, DAY], stderr=subprocess.PIPE, text=True)
    assert "waits for memory" in process.stderr.readline()
    run_folder.rmdir()
    assert process.communicate(timeout=30) == (None, "") and process.returncode == 1


@pytest.fixture
def engine(tmp_path):
    """A function: have an engine that does something run two days; (Outcome, the attempts that it made)."""
    days = [DAY, "2024-04-11"]

    def runs(does, retries=2):
        log = tmp_path / "attempts"
        log.unlink(missing_ok=True)
        script = f'. "$1"; echo "$ATTEMPT: $(xargs <"$2")" >>"{log}"; {does}'
        for day in days:
            folder = Folder.of(str(tmp_path / "out"), "V1trend", day)
            os.makedirs(folder.work, exist_ok=True)
            folder.note(date=day, status=FAILED, error="why")
        found = run.run(
            str(tmp_path / "out"), "V1trend", days, {}, str(stand_in(tmp_path, "engine", script)), 1, retries
        )
        assert not list((tmp_path / "out").glob(".range.*"))
        return found, log.read_text().splitlines()

    return runs


def test_days_that_are_not_done_are_tried_so_often_and_others_not_again(engine, tmp_path):
    both = f"{DAY} 2024-04-11"
    found, tried = engine("true", retries=2)
    assert found == run.Outcome([DAY, "2024-04-11"], False) and tried == [f"{n}: {both}" for n in range(3)]
    assert engine("true", retries=0)[1] == [f"0: {both}"]
    done = f'echo \'{{"status": "{COMPLETED}"}}\' >"{tmp_path}/out/V1trend-{DAY}/state_day.json"'
    found, tried = engine(done, retries=1)
    assert found.failed == ["2024-04-11"] and tried == [f"0: {both}", "1: 2024-04-11"]
    assert list(run.failures(str(tmp_path / "out"), "V1trend", found.failed)) == ["2024-04-11 failed: why"]


def test_an_engine_that_cannot_run_here_is_not_tried_again(engine):
    assert len(engine("exit 2")[1]) == 1 and len(engine("exit 1")[1]) == 3


def test_what_killed_runs_left_is_removed_and_what_another_run_has_is_not(engine, tmp_path):
    out = tmp_path / "out"
    for name in (".range.abc123", ".range.def456", ".range.else"):
        (out / name).mkdir(parents=True)
        (out / name / "lock").touch()
    holder = subprocess.Popen(["flock", out / ".range.def456" / "lock", "sleep", "60"])
    try:
        while subprocess.run(["flock", "-n", out / ".range.def456" / "lock", "true"], check=False).returncode == 0:
            time.sleep(0.02)
        own = {path.name for path in out.iterdir()}
        run.remove_left(str(out))
        assert own - {path.name for path in out.iterdir()} == {".range.abc123"}
    finally:
        holder.kill()
        holder.wait()


# --- a day that comes from elsewhere ---------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    site = DaySite(tmp_path / "there")
    site.want("V1:A")
    site.frame(0, 60, [samples()])
    site.frame(60, 60, [samples(first=60)])
    site.build(120)
    folder = Folder.of(str(site.out), "V1trend", DAY)
    os.makedirs(folder.parts)
    for path in (folder.lock, folder.state_lock, f"{folder.parts}/one.h5"):
        with open(path, "w"):
            pass
    return site


def test_what_goes_home_has_its_state_last_and_neither_locks_nor_parts(site):
    folder = Folder.of(str(site.out), "V1trend", DAY)
    names = travel.pack(folder, str(site.out), "/home/out")
    assert names[-1] == "state_day.json" and len(set(names)) == len(names)
    assert not [name for name in names if "lock" in name or "parts" in name]
    assert folder.state()["h5_path"] == f"/home/out/V1trend-{DAY}/V1trend_20240410.h5"


def test_what_came_takes_its_place_unless_the_day_at_home_has_more(site, tmp_path):
    home = tmp_path / "home"
    os.makedirs(Folder.of(str(home), "V1trend", DAY).work)

    def come(seconds=120):
        shutil.rmtree(site.parts)
        site.build(seconds, shrink=True)
        came = tmp_path / "came"
        shutil.copytree(site.day, came)
        return str(came)

    taken = travel.take(come(), str(home), "V1trend", 1)
    assert taken.is_finished() and not (tmp_path / "came").exists()
    before = Path(taken.h5).read_bytes()
    with pytest.raises(WouldLose, match=r"would lose 60 s of 'V1:A'"):
        travel.take(come(60), str(home), "V1trend", 1)
    assert Path(taken.h5).read_bytes() == before and "would lose" in taken.state()["left_out"]
    assert not (tmp_path / "came").exists()
    travel.take(come(60), str(home), "V1trend", 1, shrink=True)
    assert Path(taken.h5).read_bytes() != before
    os.unlink(site.day / "state_day.json")
    shutil.copytree(site.day, tmp_path / "came")
    with pytest.raises(BadInput, match="not whole"):
        travel.take(str(tmp_path / "came"), str(home), "V1trend", 1)


def test_a_stream_that_was_cut_short_changes_nothing(tmp_path):
    needs("tar", "bash")
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "a").write_bytes(os.urandom(100_000))
    subprocess.run(["tar", "-cf", tmp_path / "stream", "-C", tmp_path / "day", "."], check=True)
    stand_in(tmp_path / "tools", "day-folder", 'echo taken "$@"')
    whole = (tmp_path / "stream").read_bytes()
    for raw, said in ((whole[:50_000], ""), (b"", ""), (whole, "taken take . V1trend")):
        stream = tmp_path / f"s{len(raw)}"
        stream.write_bytes(raw)
        done = bash(f'exec "{LIB}/apart" take "$1"', stream, cwd=tmp_path, path=[tmp_path / "tools"], SPEC="V1trend")
        assert done.stdout.startswith(said) and bool(done.returncode) == (raw != whole), done
        assert not stream.exists()
        if raw != whole:
            assert "is not whole" in done.stderr


def test_what_a_machine_that_lost_its_power_left_goes_and_what_another_holds_stays(tmp_path):
    needs("tar", "bash", "flock")
    scratch = tmp_path / "scratch"
    for name, has in (("aaaaaa", "held"), ("bbbbbb", "held"), ("cccccc", "holding"), ("dddddd", "holding")):
        (scratch / f"framemake.{name}").mkdir(parents=True)
        (scratch / f"framemake.{name}" / has).touch()
    (scratch / "mine").mkdir()
    # Held and killed as they began, all but one of them hours ago.
    for name in ("framemake.bbbbbb", "framemake.dddddd", "mine"):
        os.utime(scratch / name, (time.time() - 7200,) * 2)
    with files.locked(scratch / "framemake.bbbbbb" / "held"):
        # No day comes, so there is nothing to build.
        done = bash(f'exec "{LIB}/apart" build "$1" run {DAY} </dev/null', scratch, cwd=tmp_path)
    assert done.returncode != 0
    assert sorted(path.name for path in scratch.iterdir()) == ["framemake.bbbbbb", "framemake.cccccc", "mine"]


# --- a night ---------------------------------------------------------------------------------


@pytest.fixture
def night(tmp_path):
    """A function: what cron/nightly asks of run-night, {step: words} with its own options and settings under ''."""
    needs("bash", "make", "jq", "flock", "timeout", "rsync", "parallel")
    stand_in(tmp_path / "venv" / "bin", "run-night", 'printf "%s\\0" "$@"; cat <&8 2>/dev/null || true')
    conf = tmp_path / "night.conf"

    def asks(text, *options, status=0, **env):
        conf.write_text(text)
        done = call(
            ROOT / "cron" / "nightly", *options, conf, env={"VENV": str(tmp_path / "venv"), **env}, cwd=tmp_path
        )
        assert done.returncode == status, done.stderr
        if status:
            assert done.stdout == "" and done.stderr.startswith("nightly: ") and done.stderr.count("\n") == 1
            return done.stderr
        groups, words = {}, []
        for word in [*done.stdout.split("\0")[:-1], "::"]:
            if word != "::":
                words.append(word)
                continue
            groups[words[0] if groups else ""] = words if not groups else words[1:]
            words = []
        return groups

    return asks


DAYS_AND_STREAMS = """FRAMES=/frames STREAMS=/streams CHANNELS=/c.txt OUT="/o ut" LOGS=/logs
SOURCES="rsync://host/trend"
"""


def test_a_night_has_the_steps_that_its_settings_ask_for(night):
    found = night(DAYS_AND_STREAMS)
    assert list(found) == ["", "mirror", "import", "check", "build", "index", "status", "faults", "pictures"]
    assert "FFL=/frames" in found["build"] and "OUT=/o ut" in found["build"] and "-j1" in found["build"]
    assert found["check"] == ["check-streams", "--", "/streams"]
    assert list(night("FRAMES=/frames STREAMS=/streams LOGS=/logs CHECK_STREAMS=no")) == ["", "import", "faults"]
    assert list(night("CHANNELS=/c FFL=/t.ffl OUT=/o LOGS=/l PICTURE_DAYS=")) == [
        "",
        "build",
        "index",
        "status",
        "faults",
    ]
    assert night(DAYS_AND_STREAMS + "REPORT=/r")["report"] == ["make-report", "--spec", "V1trend", "--", "/o ut", "/r"]
    assert "FFL=/t.ffl" in night(DAYS_AND_STREAMS + "FFL=/t.ffl")["build"]
    assert night(DAYS_AND_STREAMS + "CHECK_STREAMS=frames")["check"][1:3] == ["--frames", "/frames"]


def test_streams_are_checked_in_shares_so_that_all_are_in_so_many_nights(night):
    nights = [f"2024-04-{day:02d}" for day in range(1, 11)]
    asked = [night(DAYS_AND_STREAMS + "CHECK_NIGHTS=5", "--until", until)["check"][1:] for until in nights]
    assert all(words[2:] == ["--again", "/logs/faulty-streams", "--", "/streams"] for words in asked)
    shares = [words[1] for words in asked]
    assert sorted(shares[:5]) == [f"{number}/5" for number in range(1, 6)] and shares[:5] == shares[5:]
    for number in ("1", "0", "a[$(touch owned)]"):  # what is no number is refused by run-night
        assert night(DAYS_AND_STREAMS + f"CHECK_NIGHTS='{number}'")["check"] == ["check-streams", "--", "/streams"]


def test_frames_are_removed_only_where_it_is_asked_for_and_then_without_a_question(night):
    found = night(DAYS_AND_STREAMS + "KEEP_DAYS=30")
    options = ["--keep-days", "30", "--yes", "--spec", "V1trend", "--streams", "/streams"]
    assert found["prune"] == ["prune-frames", *options, "--", "/frames", "/o ut"]
    assert "--keep-days" in found["mirror"] and "prune" not in night(DAYS_AND_STREAMS)


def test_an_engine_of_the_e_lab_is_told_to_reload_only_if_there_is_one(night):
    assert "--reload" in night(DAYS_AND_STREAMS + "ELAB_ENGINE=yes")["import"]
    assert "--reload" not in night(DAYS_AND_STREAMS)["import"]


def test_some_steps_by_hand_are_a_part_of_a_night(night):
    found = night(DAYS_AND_STREAMS, "--only", "build,status", "--until", "2024-04-10", "--early")
    assert list(found) == ["", "build", "status"]
    assert found[""][:5] == ["--until", "2024-04-10", "--part", "--early", "--"]
    assert "--part" not in night(DAYS_AND_STREAMS)[""]
    assert "no such step" in night(DAYS_AND_STREAMS, "--only", "built", status=2)
    assert "no such day" in night(DAYS_AND_STREAMS, "--until", "2024-02-30", status=2)


def test_a_setting_is_what_the_file_says_and_not_what_cron_has_in_its_environment(night):
    there = {"SPEC": "V1raw", "STREAMS": "/s", "KEEP_DAYS": "5", "JOBS": "8", "DAYS": "9", "FIRST_DAY": "2024-04-10"}
    found = night("CHANNELS=/c FFL=/t.ffl OUT=/o LOGS=/l", **there)
    assert not [word for word in found[""] if word.startswith(("DAYS=", "FIRST_DAY="))]
    assert list(found) == ["", "build", "index", "status", "faults", "pictures"]
    assert "SPEC=V1trend" in found["build"] and "-j1" in found["build"]


@pytest.mark.parametrize("text", ["KEEPDAYS=5", "OUT=/o\nCHANEL=/c", "Out=1"])
def test_a_setting_that_is_misspelt_is_refused(night, text):
    assert "no such setting" in night(f"LOGS=/l\n{text}", status=1)


def test_settings_that_are_no_bash_are_refused(night, tmp_path):
    assert "syntax error" in night("LOGS=/l\nif", status=1)
    assert "no such file of settings" in call(ROOT / "cron" / "nightly", tmp_path / "none").stderr
