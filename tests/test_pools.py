"""ENGINE=condor with a real pool, HTCondor of Debian 13 in a tree: days, with and without a shared folder."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from support import daemons, trees

pytestmark = pytest.mark.long
FIRST, LAST = "2024-04-10", "2024-04-12"
PACKAGES = ("parallel", "jq", "rsync", "python3-venv", "procps", "gcc", "libc6-dev", "minicondor")
# A submit without one is refused, as at sites of the field; the words are the site's own.
SITE = """SUBMIT_REQUIREMENT_NAMES = Group
SUBMIT_REQUIREMENT_Group = AccountingGroup isnt undefined
SUBMIT_REQUIREMENT_Group_REASON = "an accounting_group is needed here, ask the pool's people"
PERIODIC_EXPR_INTERVAL = 5
"""


@pytest.fixture(scope="module")
def pool():
    """A pool of one machine, with the frames of three days and a channel list in the user's home."""
    with trees.tree("trixie", *PACKAGES) as entered:
        (entered.folder / "etc/condor/config.d/99-site").write_text(SITE)
        # Jobs of a pool that was killed are not to come back.
        shutil.rmtree(entered.folder / "var/spool/condor", ignore_errors=True)
        entered.well("install -d -o condor -g condor /var/spool/condor", user=None)
        entered.well("install -d -o condor -g condor /run/condor && condor_master", user=None)
        is_up = lambda: entered.run("condor_status -af Name").stdout.strip()  # noqa: E731
        daemons.wait_until(is_up, "the pool is up", 60)
        entered.well("make -C framemake setup && rm -rf work && mkdir work")
        frames = f"fr --start {FIRST} --end 2024-04-13 --channels 3 --duration 3600 --list c.txt >t.ffl"
        entered.well(f"cd work && ../framemake/bin/make-frames {frames}")
        (entered.home / "work/extra").write_text("accounting_group = ligo.dev.o4.detchar\n+Mine = 7\n")
        yield entered
        entered.run("condor_off -all -fast -master", user=None)


def line(out, *variables, extra="extra"):
    """A shell command that makes the three days, two at once."""
    given = [f"FIRST={FIRST}", f"LAST={LAST}", "FFL=t.ffl", "CHANNELS=c.txt", f"OUT={out}", "MAX_RETRIES=0", *variables]
    if extra:
        given.append(f"CONDOR_EXTRA={extra}")
    return f"cd work && make -f ../framemake/Makefile range -j2 ENGINE=condor {shlex.join(given)}"


def statuses(pool, out):
    index = json.loads((pool.home / "work" / out / "index.json").read_text())
    return [index["days"][day]["status"] for day in sorted(index["days"])]


def jobs(pool, *names):
    """Attributes of the jobs that wait or run, a list each."""
    return [row.split("\t") for row in pool.run(f"condor_q -af:t {' '.join(names)}").stdout.splitlines()]


def history(pool, count, names):
    """Attributes of the jobs that ended last, a list each."""
    return [row.split("\t") for row in pool.well(f"condor_history -limit {count} -af:t {names}").splitlines()]


def running(pool, out):
    """The days of an output folder that are built at this moment."""
    found = jobs(pool, "FramemakeDay", "JobStatus", "Iwd")
    return sorted(day for day, status, folder in found if status == "2" and f"/{out}/" in folder)


@pytest.mark.parametrize("variables", [(), ("SCRATCH=$TMPDIR",)], ids=["shared", "no shared folder"])
def test_a_pool_builds_the_days_as_this_machine_does(pool, variables):
    out = "shared" if not variables else "apart"
    done = pool.run(line(out, *variables))
    assert done.returncode == 0, done.stderr
    assert f": 3 built, 0 had nothing new, 0 failed, 0 without a frame: /home/tester/work/{out}" in done.stderr
    assert statuses(pool, out) == ["completed"] * 3
    h5py = pytest.importorskip("h5py")
    pool.well(line("here", extra="").replace("ENGINE=condor", "ENGINE=local"))
    for day in (FIRST, LAST):
        name = f"V1trend-{day}/V1trend_{day.replace('-', '')}.h5"
        with h5py.File(pool.home / "work" / out / name) as one, h5py.File(pool.home / "work/here" / name) as other:
            assert sorted(one["channels"]) == sorted(other["channels"]) != []
            for channel in one["channels"]:
                assert np.array_equal(one["channels"][channel][()], other["channels"][channel][()], equal_nan=True)
        state = json.loads((pool.home / "work" / out / f"V1trend-{day}" / "state_day.json").read_text())
        assert state["h5_path"] == f"/home/tester/work/{out}/{name}"
    # What a day took, and what a site wanted, stand in the pool's history.
    rows = history(pool, 3, "FramemakeDay AccountingGroup Mine RequestMemory ExitCode")
    assert sorted(row[0] for row in rows) == [FIRST, "2024-04-11", LAST]
    assert all("ligo.dev.o4.detchar" in row[1] and row[2:] == ["7", "1024", "0"] for row in rows), rows
    # Once more there is nothing to do, and nothing is submitted.
    before = pool.well("condor_history -limit 1 -af ClusterId")
    assert ": 0 built, 3 had nothing new" in pool.run(line(out, *variables)).stderr
    assert pool.well("condor_history -limit 1 -af ClusterId") == before


def test_what_a_pool_refuses_is_told_in_its_words(pool):
    done = pool.run(line("refused", extra=""))
    assert done.returncode != 0 and "an accounting_group is needed here, ask the pool's people" in done.stderr
    assert "make: HTCondor does not take the days" in done.stderr and statuses(pool, "refused") == ["queued"] * 3


def under_way(pool, out):
    """A range of which two days wait for memory that no machine has."""
    process = trees.popen(pool, line(out, "MEM_GUARD=999999999"))
    logs = pool.home / "work" / out
    # A job runs, for the pool, before it has read its settings.
    waits = lambda: sum("waits for memory" in log.read_text() for log in logs.glob(".range.??????/condor-*.log"))  # noqa: E731
    daemons.wait_until(lambda: waits() == len(running(pool, out)) == 2, "two days at once wait for memory", 90)
    return process


def find_memory(pool, out):
    """What begins from now on finds the memory that the others wait for."""
    (settings,) = (pool.home / "work" / out).glob(".range.??????/settings")
    settings.write_text(settings.read_text().replace("MEM_GUARD=999999999", "MEM_GUARD=0"))


def ended(process, timeout=120):
    told = process.communicate(timeout=timeout)[0]
    return process.returncode, told


def test_condor_q_names_the_day_and_ctrl_c_takes_all_of_them_back(pool):
    process = under_way(pool, "stopped")
    shown = pool.well("condor_q -nobatch")
    assert all(f"framemake {day}" in shown for day in running(pool, "stopped"))
    assert "framemake" in pool.well("condor_q")
    # A terminal sends it to the whole group.
    pool.well('kill -INT -- -$(ps -o pgid= -p $(pgrep -of bin/run-range) | tr -d " ")')
    status, told = ended(process)
    assert status != 0 and ": 0 built, 0 had nothing new, 3 failed" in told, told
    daemons.wait_until(lambda: jobs(pool, "ClusterId") == [], "no job is left", 60)
    assert pool.run("pgrep -f lib/make/[b]uild-day").stdout == ""


def test_a_job_that_is_held_is_let_go_of_and_why_is_told(pool):
    process = under_way(pool, "held")
    # A pool counts whole seconds, and a day of three channels takes less than one.
    ran = lambda: {row[0] for row in jobs(pool, "'time() - JobCurrentStartDate > 2'")} == {"true"}  # noqa: E731
    daemons.wait_until(ran, "two days have waited for some seconds", 60)
    find_memory(pool, "held")
    # One is held, as a pool does; of all, by hand, HTCondor would hold those to come as well, until they are released.
    (held, day), (other, other_day) = (row[1:] for row in sorted(jobs(pool, "Iwd", "ProcId", "FramemakeDay")))
    cluster = jobs(pool, "ClusterId")[0][0]
    pool.well(f"condor_hold {cluster}.{held} -reason 'too much of something'")
    pool.well(f"condor_vacate_job -fast {cluster}.{other}")
    status, told = ended(process)
    assert status != 0 and ": 2 built, 0 had nothing new, 1 failed" in told, told
    # What a day took stands in the pool's history.
    took = {row[0]: row for row in history(pool, 3, "FramemakeDay RemoteWallClockTime MemoryUsage ExitCode")}
    assert float(took[other_day][1]) > 0 and int(took[other_day][2]) > 0 and took[other_day][3] == "0", took
    assert re.search(rf"make: HTCondor held the job of {day}: .*too much of something", told), told


def test_a_job_that_is_removed_by_hand_fails_its_day_alone(pool):
    process = under_way(pool, "removed")
    pool.well("condor_rm -all")
    status, told = ended(process)
    assert status != 0 and ": 0 built, 0 had nothing new, 3 failed" in told, told
    done = pool.run(line("removed"))
    assert done.returncode == 0 and statuses(pool, "removed") == ["completed"] * 3, done.stderr


@pytest.mark.parametrize("how", ["evicted", "killed"])
def test_a_job_whose_machine_gives_it_up_is_run_again(pool, how):
    process = under_way(pool, how)
    find_memory(pool, how)
    # A day is short, so it may take several tries to meet one.
    ends = "condor_vacate_job -fast -all" if how == "evicted" else "pkill -KILL -f lib/make/[b]uild-day"
    daemons.wait_until(lambda: pool.run(ends).returncode == 0, "a job is ended", 60)
    status, told = ended(process)
    assert status == 0 and ": 3 built, 0 had nothing new, 0 failed" in told, told
    assert statuses(pool, how) == ["completed"] * 3
