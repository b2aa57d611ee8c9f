"""make range beyond one machine: a real sshd, a real Slurm, and what would be submitted to HTCondor."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import files, gps
from framemake.gwf.write import write
from support import commands, daemons, elsewhere, processes, sites

DAYS = ["2024-04-10", "2024-04-11", "2024-04-12", "2024-04-13"]
BROKEN = "2024-04-12"
NAMES = ["V1:A", "V1:B", "V1:C"]


class Site:
    """Four days of one hour of frames each.  What is in `home` only the machine that asks need see."""

    def __init__(self, folder, home=None):
        self.folder, self.home, self.frames = folder, home or folder / 'ho\'me of "it" & co', folder / "frames"
        self.home.mkdir(parents=True)
        self.frames.mkdir()
        self.out, self.ffl, self.channels = (self.home / name for name in ("out", "t.ffl", "channels.txt"))
        self.channels.write_text("".join(f"{name}\n" for name in NAMES))
        self.ffl.write_text("".join(f"{self.frame(day)} {self.start(day)} 3600 0 0\n" for day in DAYS))
        for day in DAYS:
            self.write(day)

    def start(self, day):
        return gps.day_window(day).start

    def frame(self, day):
        return self.frames / f"V-trend-{self.start(day)}-3600.gwf"

    def write(self, day):
        write(self.frame(day), [(self.start(day), 3600, [sites.signal(name, 3600) for name in NAMES])])

    def given(self, *variables):
        """What make is told: two days at once, no day given to the engine twice."""
        span = (f"START={DAYS[0]}", f"END={DAYS[-1]}", "MAX_RETRIES=0")
        paths = (f"FFL={self.ffl}", f"CHANNELS={self.channels}", f"OUT={self.out}")
        return "-j2", "range", *span, *paths, *variables

    def range(self, part, *variables):
        """Run make range to its end; the finished process."""
        return sites.make(*self.given(*variables), cwd=self.folder, env=part.env)

    def hosts(self, *names):
        """HOSTS=FILE, of these machines."""
        path = self.folder / "hosts"
        path.write_text("".join(f"{name}\n" for name in names))
        return f"HOSTS={path}"

    def day(self, day):
        return self.out / f"V1trend-{day}"

    def h5(self, day):
        return self.day(day) / f"V1trend_{day.replace('-', '')}.h5"

    def status(self):
        """Of each day, as the index tells it."""
        index = json.loads((self.out / "index.json").read_text())
        return {day: told["status"] for day, told in index["days"].items()}

    def made(self):
        """What tells one building of a day file from another, of each day that has one."""
        found = {day: self.h5(day) for day in DAYS if self.h5(day).exists()}
        return {day: (path.stat().st_ino, path.stat().st_mtime_ns) for day, path in found.items()}

    def check(self):
        """Every day holds its hour as its frames have it, and says nothing of where it was built."""
        assert set(self.status().values()) == {"completed"}
        for day in DAYS:
            with h5py.File(self.h5(day)) as file:
                assert sorted(file["channels"]) == NAMES
                for name in NAMES:
                    samples = file["channels"][name][()]
                    assert np.array_equal(samples[:3600], sites.ramp(3600))
                    assert np.isnan(samples[3600:]).all()
            summary = json.loads(self.h5(day).with_suffix(".summary.json").read_text())
            assert summary["ffl_path"] == str(self.ffl)
            assert summary["provenance"]["channel_list"] == str(self.channels)
            assert json.loads((self.day(day) / "state_day.json").read_text())["h5_path"] == str(self.h5(day))
            assert "completed" in (self.day(day) / "worker.log").read_text()
        assert [path.name for path in self.out.iterdir() if path.name.startswith(".range.")] == [".range.json"]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """An sshd that is the machines one and two; three is down."""
    with daemons.sshd(tmp_path_factory.mktemp("sshd"), ("one", "two"), dead=("three",)) as part:
        yield part


@pytest.fixture(scope="module")
def slurm():
    with daemons.slurm() as part:
        yield part


def a_bad_day_stops_itself_alone(site, part, jobs, *variables):
    """Three of four days are built, the fourth when it can be, and then nothing; jobs() counts what was handed out."""
    site.frame(BROKEN).write_bytes(b"no frame")
    first = site.range(part, *variables)
    assert first.returncode != 0
    assert f"make: {BROKEN} failed: " in first.stderr
    assert ": 3 built, 0 had nothing new, 1 failed" in first.stderr
    assert site.status() == {day: "failed" if day == BROKEN else "completed" for day in DAYS}

    before = site.made()
    assert sorted(before) == [day for day in DAYS if day != BROKEN]
    site.write(BROKEN)
    second = site.range(part, *variables)
    assert second.returncode == 0, second.stderr
    assert ": 1 built, 3 had nothing new, 0 failed" in second.stderr
    after = site.made()
    assert {day: after[day] for day in before} == before
    site.check()

    handed = jobs()
    third = site.range(part, *variables)
    assert third.returncode == 0, third.stderr
    assert ": 0 built, 4 had nothing new, 0 failed" in third.stderr
    assert (site.made(), jobs()) == (after, handed)


def test_machines_that_share_a_file_system_build_the_days(site, machines):
    a_bad_day_stops_itself_alone(site, machines, machines.logins, "ENGINE=ssh", site.hosts("one", "two"))


@pytest.mark.long
def test_a_machine_that_is_down_leaves_its_days_to_the_others(site, machines):
    done = site.range(machines, "ENGINE=ssh", site.hosts("three", "one"))
    assert done.returncode == 0, done.stderr
    assert "three" in done.stderr
    site.check()


@pytest.mark.long
def test_a_login_that_prints_harms_nothing(site, tmp_path):
    with daemons.sshd(tmp_path, ("one", "two"), greeting="Welcome to this machine") as part:
        done = site.range(part, "ENGINE=ssh", site.hosts("# ours", "", "one", "2/two"))
        assert part.logins() > 2
    assert done.returncode == 0, done.stderr
    site.check()


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (None, "make: ENGINE=ssh needs HOSTS: a file with a machine a line, [user@]host"),
        ("nowhere", "make: cannot be read: HOSTS='nowhere'"),
        ("three", "make: no machine answers of HOSTS="),
        ("# nobody", "make: no machine answers of HOSTS="),
    ],
)
def test_without_a_machine_no_day_is_tried(site, machines, hosts, told):
    given = [] if hosts is None else ["HOSTS=nowhere"] if hosts == "nowhere" else [site.hosts(hosts)]
    done = site.range(machines, "ENGINE=ssh", "MAX_RETRIES=3", *given)
    assert done.returncode != 0
    assert done.stderr.count(told) == 1
    assert done.stderr.count("queued: not run") == len(DAYS)
    assert set(site.status().values()) == {"queued"}


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    """The machines one and two, whose file system holds nothing of what is in HOME here."""
    folder = tmp_path_factory.mktemp("away")
    (folder / "home").mkdir()
    with daemons.sshd(folder, ("one", "two"), hidden=folder / "home") as part:
        part.home = folder / "home"
        yield part


@pytest.mark.long
def test_machines_that_share_frames_alone_build_the_days(tmp_path, away):
    site = Site(tmp_path, away.home / 'ho\'me of "it" & co')
    scratch = tmp_path / "scratch"
    a_bad_day_stops_itself_alone(site, away, away.logins, "ENGINE=ssh", site.hosts("one", "two"), f"SCRATCH={scratch}")
    assert list(scratch.iterdir()) == []


@pytest.mark.long
def test_machines_that_share_no_frame_fetch_them_by_their_urls(tmp_path, away):
    """Over plain http: what these machines trust is the affair of whoever sets them up."""
    site, scratch = Site(tmp_path, away.home / "elsewhere"), tmp_path / "scratch"
    far = site.frames.rename(site.home / "far")
    with elsewhere.Elsewhere(far, None) as server:
        site.ffl.write_text("".join(f"{server.url}/{site.frame(day).name}\n" for day in DAYS))
        given = (f"SCRATCH={scratch}", f"FRAME_CACHE={tmp_path / 'cache'}")
        done = site.range(away, "ENGINE=ssh", site.hosts("one", "two"), *given)
        assert done.returncode == 0, done.stderr
        site.check()
        assert sorted(path for path, _ in server.gets()) == sorted(f"/{site.frame(day).name}" for day in DAYS)
        assert elsewhere.held(tmp_path / "cache") == []


@pytest.mark.long
def test_a_machine_without_the_shared_folder_builds_nothing_and_says_so(tmp_path, away):
    site = Site(tmp_path, away.home / "not shared")
    done = site.range(away, "ENGINE=ssh", site.hosts("one"), "LIMIT_DAYS=1")
    assert done.returncode != 0
    assert " has no " in done.stderr
    assert f"make: {DAYS[0]} queued: not run" in done.stderr
    assert site.made() == {}


def test_a_day_that_comes_home_in_part_changes_nothing(tmp_path):
    came, home = tmp_path / "came", tmp_path / f"V1trend-{DAYS[0]}"
    came.mkdir()
    (home / ".work").mkdir(parents=True)
    (came / "state_day.json").write_text(json.dumps({"date": DAYS[0], "status": "completed"}))
    for folder, byte in (came, b"n"), (home, b"o"):
        (folder / "V1trend_20240410.h5").write_bytes(byte * 100_000)
    stream = tmp_path / "stream"
    subprocess.run(["tar", "-cf", stream, "-C", came, "V1trend_20240410.h5", "state_day.json"], check=True)
    whole = stream.read_bytes()
    env = {"SPEC": "V1trend", "OUT": str(tmp_path), "LOCK_WAIT": "1", "PATH": f"{commands.BIN}:{os.environ['PATH']}"}

    # Cut short, and with one member that tar steps over, whose state comes all the same.
    for raw in (whole[:50_000], whole[:100] + b"x" + whole[101:]):
        stream.write_bytes(raw)
        take = (commands.ROOT / "lib" / "make" / "apart", "take", "stream")
        status, out, told = commands.run(*take, cwd=tmp_path, env=env)
        assert (status, out) == (1, "")
        assert told.startswith("make: what a machine sent of a day is not whole: ")
        assert (home / "V1trend_20240410.h5").read_bytes() == b"o" * 100_000
        assert not (home / "state_day.json").exists()
        shutil.rmtree(tmp_path / "stream.got")

    stream.write_bytes(whole)
    commands.well(commands.ROOT / "lib" / "make" / "apart", "take", "stream", cwd=tmp_path, env=env)
    assert (home / "V1trend_20240410.h5").read_bytes() == b"n" * 100_000
    assert json.loads((home / "state_day.json").read_text())["status"] == "completed"
    assert not stream.exists()


def test_slurm_builds_the_days(site, slurm):
    a_bad_day_stops_itself_alone(site, slurm, slurm.submitted, "ENGINE=slurm")
    # Four days in arrays of two, as MaxArraySize has it, and the bad one once more.
    assert slurm.submitted() == 3
    assert slurm.queued() == ""


def test_slurm_gets_what_a_site_wants(site, slurm):
    """Licences and the like, as options of sbatch in a file; quotes keep words together, nothing is run."""
    extra = site.folder / "extra"
    extra.write_text("# ours\n#SBATCH -L sps\n--comment='two words $(touch owned)' --nice=7\n")
    done = site.range(slurm, "ENGINE=slurm", f"SLURM_EXTRA={extra}", "LIMIT_DAYS=1")
    assert done.returncode == 0, done.stderr
    (job,) = jobs_of(slurm, site)
    assert "Licenses=sps" in job and "Comment=two words $(touch owned)" in job and "Nice=7" in job
    assert not list(site.folder.rglob("owned"))
    extra.write_text("--no-such-option\n")
    done = site.range(slurm, "ENGINE=slurm", f"SLURM_EXTRA={extra}")
    assert done.returncode != 0 and "make: Slurm does not take the days" in done.stderr
    assert "unrecognized option '--no-such-option'" in done.stderr
    done = site.range(slurm, "ENGINE=slurm", "SLURM_EXTRA=none")
    assert done.stderr.count("make: cannot be read: SLURM_EXTRA='none'") == 1


def jobs_of(part, site):
    """What Slurm knows of the jobs of a site."""
    told = commands.call("scontrol", "show", "job", env=part.env).stdout
    return [job for job in told.split("\n\n") if str(site.out) in job]


@pytest.mark.long
def test_nodes_that_share_frames_alone_build_the_days_in_their_tmpdir(tmp_path):
    home, scratch = tmp_path / "home", tmp_path / "node's tmp"
    home.mkdir()
    scratch.mkdir()
    with daemons.slurm(hidden=home) as part:
        part.env["TMPDIR"] = str(scratch)
        site = Site(tmp_path, home / 'ho\'me of "it" & co')
        done = site.range(part, "ENGINE=slurm", "SCRATCH=here")
        said = "SCRATCH must be an absolute path, of a folder on the machines, or '$TMPDIR' for theirs: 'here'"
        assert done.stderr.count(said) == 1
        a_bad_day_stops_itself_alone(site, part, part.queued, "ENGINE=slurm", "SCRATCH=$TMPDIR")
        assert [path for path in scratch.iterdir() if path.name.startswith("framemake")] == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["preempted", "out of time"])
def test_a_job_that_slurm_ends_is_told_and_its_day_built_by_the_next_try(site, slurm, how):
    """Two tries: the first is ended while its day waits for its lock, the second finds it free."""
    lock = site.day(DAYS[0]) / ".work" / "lock"
    lock.parent.mkdir(parents=True)
    part = slurm
    if how == "out of time":
        part.env["SBATCH_TIMELIMIT"] = "0:01"  # Slurm counts by the minute
    try:
        with files.locked(str(lock)):
            process = begun(site, part, "ENGINE=slurm", "LIMIT_DAYS=1", "MAX_RETRIES=1")
            daemons.wait_until(lambda: running(site), "the day is under way", 60)
            if how == "preempted":
                first = ["srun", "--partition=first", "--exclusive", "--chdir=/", "true"]
                assert commands.call(*first, env=part.env).returncode == 0
            daemons.wait_until(lambda: not running(site), "its job is ended", 180)
        told = process.communicate(timeout=240)[1]
    finally:
        part.env.pop("SBATCH_TIMELIMIT", None)
    assert process.returncode == 0 and ": 1 built, 0 had nothing new, 0 failed" in told, told
    assert ("DUE TO PREEMPTION" if how == "preempted" else "DUE TO TIME LIMIT") in told


def running(site, where=None):
    """The processes that build days of a site, wherever they were started: {process id: its arguments}.

    where: a folder that they are told of, if it is not the site's own.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            builds = any(word.endswith(("lib/make/build-day", "bin/hold-day")) for word in words)
            if builds and str(where or site.out) in " ".join(words):
                found[int(folder.name)] = words
    return found


def begun(site, part, *variables):
    """A make range that runs in a group of its own."""
    return subprocess.Popen(
        ["make", "-f", commands.ROOT / "Makefile", *site.given(*variables)],
        cwd=site.folder,
        env={**os.environ, **part.env},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lose(process, part):
    """Kill the login that a process belongs to, and all that runs in it: what is left of a machine without power."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    server, login = int((part.log.parent / "pid").read_text()), process
    while parents[login] != server:
        login = parents[login]
    lost = [login]
    for one in lost:
        lost += [child for child, parent in parents.items() if parent == one]
    for one in lost:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def test_a_machine_that_is_lost_in_mid_day_leaves_it_to_another(site, machines):
    # The first day waits for its lock, so that it is under way when its machine goes.
    lock = site.day(DAYS[0]) / ".work" / "lock"
    lock.parent.mkdir(parents=True)
    with files.locked(str(lock)):
        process = begun(site, machines, "ENGINE=ssh", site.hosts("one", "two"))
        of_day = lambda: [pid for pid, words in running(site).items() if DAYS[0] in words]  # noqa: E731
        lose(daemons.wait_until(of_day, "the first day is under way", 30)[0], machines)
        daemons.wait_until(lambda: not of_day(), "its machine is gone", 10)
        daemons.wait_until(of_day, "it is given to another", 30)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and ": 4 built, 0 had nothing new" in told, told
    site.check()


@pytest.mark.long
def test_a_machine_that_is_lost_and_shares_nothing_leaves_its_day_to_another_and_its_folder_to_the_next(tmp_path, away):
    site, scratch = Site(tmp_path, away.home / "lost"), tmp_path / "scratch"
    process = begun(site, away, "ENGINE=ssh", site.hosts("one", "two"), f"SCRATCH={scratch}", "LIMIT_DAYS=2")
    of_day = lambda: [pid for pid, words in running(site, scratch).items() if DAYS[0] in words]  # noqa: E731
    lose(daemons.wait_until(of_day, "the first day is under way", 30)[0], away)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and "2 day(s): 2 built, 0 had nothing new, 0 failed" in told, told
    # What lay on it is there until a day is built there again.
    assert len(list(scratch.iterdir())) <= 1
    done = site.range(away, "ENGINE=ssh", site.hosts("one"), f"SCRATCH={scratch}")
    assert ": 2 built, 2 had nothing new, 0 failed" in done.stderr, done.stderr
    assert list(scratch.iterdir()) == []
    site.check()


@pytest.mark.long
def test_when_all_machines_are_lost_the_days_are_told_and_built_by_the_next_run(site, tmp_path):
    (tmp_path / "sshd").mkdir()
    lock = site.day(DAYS[0]) / ".work" / "lock"
    lock.parent.mkdir(parents=True)
    with daemons.sshd(tmp_path / "sshd", ("one", "two")) as part:
        with files.locked(str(lock)):
            process = begun(site, part, "ENGINE=ssh", site.hosts("one", "two"), "LIMIT_DAYS=2")
            of_day = lambda: [pid for pid, words in running(site).items() if DAYS[0] in words]  # noqa: E731
            lost = daemons.wait_until(of_day, "the first day is under way", 30)[0]
            os.kill(int((part.log.parent / "pid").read_text()), signal.SIGSTOP)  # takes no login any more
            lose(lost, part)
            os.kill(int((part.log.parent / "pid").read_text()), signal.SIGKILL)
        told = process.communicate(timeout=120)[1]
    assert process.returncode != 0 and "failed" in told, told
    assert f"make: {DAYS[0]} queued: not run" in told
    status, out, _ = commands.run("day-status", site.out, "--first", DAYS[0], "--last", DAYS[1])
    assert status == 3 and f"{DAYS[0]}  interrupted" in out, out
    done = site.range(part, "ENGINE=local")
    assert done.returncode == 0 and "0 failed" in done.stderr, done.stderr
    site.check()


@pytest.mark.long
def test_a_child_that_the_system_kills_fails_its_day_alone_and_the_next_run_builds_it(site):
    """As for want of memory: the process that reads a day's frames is killed, and nothing else."""
    line = ["make", "-f", commands.ROOT / "Makefile", *site.given("LIMIT_DAYS=2")]
    process = processes.start(*line, cwd=site.folder)
    reads = lambda: [  # noqa: E731
        pid for pid, words in processes.alive(process.mark).items()
        if ("bin/run-steps" in words or "bin/extract-increment" in words)
        and "parallel" not in words
        and DAYS[0] in words
    ]  # fmt: skip
    killed = set()
    while process.poll() is None:
        for pid in reads():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    told = process.communicate()[0].decode()
    assert killed and process.returncode != 0
    assert f"make: {DAYS[0]} failed: interrupted" in told and "1 built, 0 had nothing new, 1 failed" in told, told
    status, out, _ = commands.run("day-status", site.out, "--first", DAYS[0], "--last", DAYS[1])
    assert status == 3 and f"{DAYS[0]}  interrupted" in out and f"{DAYS[1]}  completed" in out, out
    assert sites.make(*site.given(), cwd=site.folder).returncode == 0
    site.check()


@pytest.mark.parametrize("engine", ["local", "ssh", "slurm"])
def test_an_interrupt_stops_the_days_where_they_are(site, engine, request):
    named = {"ssh": "machines", "slurm": "slurm"}.get(engine)
    part = request.getfixturevalue(named) if named else types.SimpleNamespace(env={})
    # No machine has so much memory: each day waits for it.
    process = begun(site, part, f"ENGINE={engine}", site.hosts("one"), "MEM_GUARD=999999999")
    try:
        daemons.wait_until(lambda: len(running(site)) >= 2, "two days at once", 30)
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate(timeout=30)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert ": 0 built, 0 had nothing new, 4 failed" in told
    daemons.wait_until(lambda: not running(site), "no day is built any more", 15)
    if engine == "slurm":
        daemons.wait_until(lambda: not part.queued(), "no job is left", 15)


def words(text):
    """The arguments in an `Arguments` attribute: between single quotes a space is no end, and '' is a quote."""
    out, quoted, at = [""], False, 0
    while at < len(text):
        if quoted and text.startswith("''", at):
            out[-1], at = out[-1] + "'", at + 1
        elif text[at] == "'":
            quoted = not quoted
        elif text[at] == " " and not quoted:
            out.append("")
        else:
            out[-1] += text[at]
        at += 1
    return out


def submitted(run, environment, cwd, facts=()):
    """What is submitted for the days of a run, and the jobs that HTCondor makes of it, as dicts.

    facts: (attribute, value, expression); after the jobs come the values of the expressions, as the first job has
    one attribute after another changed.
    """
    commands.needs_package("htcondor")
    engine = commands.ROOT / "lib" / "make" / "engine" / "condor"
    text = commands.well(engine, "--print", run / "settings", run / "days", env=environment)
    expand = "import htcondor, json, sys; jobs = list(htcondor.Submit(sys.stdin.read()).jobs())\n"
    expand += "told = [{name: str(job.eval(name)) for name in job} for job in jobs]\n"
    expand += f"for name, value, wanted in {facts!r}:\n  jobs[0][name] = value; told.append(jobs[0].eval(wanted))\n"
    expand += "print(json.dumps(told))"
    env = {**os.environ, "CONDOR_CONFIG": os.devnull}
    command = [sys.executable, "-W", "ignore", "-c", expand]
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=env, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return text, json.loads(done.stdout)


@pytest.mark.parametrize("name", ["out", 'o u\'t "of" $HOME$(x)'])
def test_condor_gets_one_job_a_day_with_its_arguments(tmp_path, name):
    run = tmp_path / name / ".range.a"
    run.mkdir(parents=True)
    (run / "days").write_text("".join(f"{day}\n" for day in DAYS))
    text, jobs = submitted(run, {"AT_ONCE": "2"}, tmp_path)
    assert [words(job["Arguments"]) for job in jobs] == [[str(run / "settings"), day] for day in DAYS]
    assert {job["Cmd"] for job in jobs} == {str(commands.ROOT / "lib" / "make" / "build-day")}
    assert {job["Iwd"] for job in jobs} == {str(run)}
    assert {job["UserLog"] for job in jobs} == {str(run / "condor.log")}
    assert {"CORES=1", f"HOME={os.environ['HOME']}"} == set(words(jobs[0]["Environment"]))
    assert "max_materialize = 2\n" in text


def test_condor_lets_go_of_a_held_job_and_leaves_a_failed_day_to_make(tmp_path):
    (tmp_path / "days").write_text(f"{DAYS[0]}\n")
    facts = [
        ("JobStatus", 2, "PeriodicRemove"),
        ("JobStatus", 5, "PeriodicRemove"),
        ("ExitCode", 0, "OnExitRemove"),
        ("ExitCode", 1, "OnExitRemove"),
        ("ExitCode", 137, "OnExitRemove"),
        ("NumJobCompletions", 3, "OnExitRemove"),
    ]
    _, (_, *became) = submitted(tmp_path, {}, tmp_path, facts)
    assert became == [False, True, True, True, False, True]


def test_condor_gets_what_a_site_wants(tmp_path):
    (tmp_path / "days").write_text(f"{DAYS[0]}\n")
    (tmp_path / "site").write_text(
        "accounting_group = ligo.dev.o4.detchar\nrequest_cpus = 4\nrequest_memory = 2GB\n"
        "use_oauth_services = scitokens\n"
    )
    _, (job,) = submitted(tmp_path, {"CONDOR_EXTRA": str(tmp_path / "site")}, tmp_path)
    assert (job["RequestCpus"], job["RequestMemory"]) == ("4", "2048")
    assert "CORES=4" in words(job["Environment"])
    assert "ligo.dev.o4.detchar" in job["AccountingGroup"]
    assert job["OAuthServicesNeeded"] == "scitokens"


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("slurm", "make: ENGINE=slurm needs sbatch, scancel and scontrol on PATH"),
        ("condor", "make: ENGINE=condor needs condor_submit, condor_wait, condor_q and condor_rm on PATH"),
    ],
)
def test_an_engine_that_is_not_there_is_told_once(tmp_path, engine, told):
    path = tmp_path / "bin"
    path.mkdir()
    for program in ("bash", "env", "dirname", "realpath"):
        (path / program).symlink_to(shutil.which(program))
    (tmp_path / "days").write_text(f"{DAYS[0]}\n")
    command = commands.ROOT / "lib" / "make" / "engine" / engine
    status, out, said = commands.run(command, tmp_path / "settings", tmp_path / "days", env={"PATH": str(path)})
    assert (status, out, said) == (2, "", told + "\n")
