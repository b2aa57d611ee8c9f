"""Two users, two real uids, on one OUT: they take turns, or it is one line whose it is; nothing is doubled or lost.

Run by root, who can be others.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import gps
from support import processes, undisturbed
from support.commands import BIN, ROOT, call, make, needs
from support.sites import Signal
from support.stream_files import DOUBLE, Written

DAYS = ["2024-04-10", "2024-04-11"]
ONE, OTHER, GROUP = 3001, 3002, 3003
FILE, COUNT = 600, 2


def user(uid, gid):
    """Words before a command that is run by a user, who writes only where it may."""
    words = ["setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups"]
    # The Python of this machine may lie in a folder of root's: they may read all the same.
    readable = all(os.stat(path).st_mode & 1 for path in Path(os.path.realpath(sys.executable)).parents)
    return words if readable else [*words, "--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.fixture
def place():
    """A folder that everybody can enter, which pytest's are not, with the frames of two days."""
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    needs("make", "parallel", "jq", "flock", "setpriv")
    with tempfile.TemporaryDirectory(prefix="framemake-users-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "frames").mkdir()
        (place / "channels.txt").write_text("V1:A\nV1:B\n")
        lines = []
        from framemake.gwf.write import write

        for day in DAYS:
            for at in range(COUNT):
                start = gps.day_window(day).start + at * FILE
                path = place / "frames" / f"V-t-{start}-{FILE}.gwf"
                data = np.arange(FILE, dtype="f4") + at
                write(path, [(start, FILE, [Signal(name, data, 1.0, "V") for name in ("V1:A", "V1:B")])])
                lines.append(f"{path} {start} {FILE} 0 0\n")
        (place / "t.ffl").write_text("".join(lines))
        yield place


def shared(place, mode, group=0):
    out = place / "out"
    out.mkdir()
    os.chown(out, 0, group)
    out.chmod(mode)
    return out


def words(*more):
    """The words of make for one's own list of two days."""
    given = {
        "FFL": "t.ffl",
        "CHANNELS": "channels.txt",
        "OUT": "out",
        "MINUTES": 20,
        "INCREMENT": 300,
        "MAX_RETRIES": 0,
    }
    return [*more, *(f"{name}={value}" for name, value in given.items())]


RANGE = ("range", "-j2", f"FIRST={DAYS[0]}", f"LAST={DAYS[1]}")


@pytest.mark.long
def test_users_who_share_a_group_take_turns(place):
    """Two ranges and a day at once."""
    out = shared(place, 0o2775, GROUP)
    env = {"HOME": str(place)}
    before = os.umask(0o002)
    try:
        runs = [
            processes.start(*user(uid, GROUP), "make", "-f", ROOT / "Makefile", *words(*what), cwd=place, env=env)
            for uid, what in ((ONE, RANGE), (OTHER, RANGE), (OTHER, [f"DAY={DAYS[1]}"]))
        ]
        told = [run.communicate()[0].decode() for run in runs]
    finally:
        os.umask(before)
    assert [run.returncode for run in runs] == [0, 0, 0], "\n".join(told)
    assert not any("Traceback" in each for each in told)
    found = undisturbed.days(out)
    # Each day was written by one of them, and each was built once.
    for day in DAYS:
        log = (out / f"V1trend-{day}" / "worker.log").read_text()
        assert log.count("pad-merge: wrote") == 1, log
        assert os.stat(out / f"V1trend-{day}").st_gid == GROUP
    shutil.rmtree(out)
    assert make(*words(*RANGE), cwd=place).returncode == 0
    want = undisturbed.days(out)
    assert {path for path in {*want, *found} if found.get(path) != want.get(path)} == set()


@pytest.mark.slow
def test_what_another_user_has_and_nobody_else_may_write_is_one_line(place):
    out, env = shared(place, 0o1777), {"HOME": str(place)}
    assert make(*words(f"DAY={DAYS[0]}"), cwd=place, before=user(ONE, ONE), env=env).returncode == 0
    # To read it they need nobody.
    assert call(*user(OTHER, OTHER), BIN / "day-status", out, env=env).returncode == 0
    before, made = undisturbed.days(out), undisturbed.made(out)
    for more, why in (
        ((f"DAY={DAYS[0]}", "SHRINK=yes"), f"make: cannot write to the day's folder: '{out}/V1trend-{DAYS[0]}'\n"),
        (RANGE, f"make: permission denied: '{out}/.index.lock'\n"),
    ):
        done = make(*words(*more), cwd=place, before=user(OTHER, OTHER), env=env)
        assert done.returncode != 0
        said = "".join(line for line in done.stderr.splitlines(True) if not line.startswith("make: ***"))
        assert said == why
    now, found = undisturbed.made(out), undisturbed.days(out)
    assert {path: now[path] for path in made} == made
    assert {path: found[path] for path in before} == before
    h5 = out / f"V1trend-{DAYS[0]}" / f"V1trend_{DAYS[0].replace('-', '')}.h5"
    assert call(*user(OTHER, OTHER), BIN / "check-day", h5, env=env).stdout == ""


@pytest.mark.slow
def test_who_reads_what_another_exports_sees_the_old_day_or_the_new(place):
    out, streams = shared(place, 0o1777), place / "streams"
    start = gps.day_window(DAYS[0]).start // 60 * 60 + 60
    given = ("export-streams", streams, "--day", DAYS[0], "--out", out)
    h5, seen = out / f"elab-{DAYS[0]}" / "elab_20240410.h5", set()
    for value in (1.0, 2.0):
        Written(DOUBLE, 256).file(start, 60, [value] * 600).write(streams, "H0:PEM-EX_SEISX")
        run = processes.start(*user(ONE, ONE), BIN / given[0], *given[1:], env={"HOME": str(place)})
        while run.poll() is None:
            with contextlib.suppress(FileNotFoundError), h5py.File(h5) as file:
                held = file["channels/H0:PEM-EX_SEISX.mean"][:600]
                assert len(set(held[~np.isnan(held)].tolist())) == 1
                seen.add(held[~np.isnan(held)][0])
        assert run.returncode == 0, run.communicate()[0]
        run.stdout.close()
    done = call(*user(OTHER, OTHER), BIN / given[0], *given[1:], env={"HOME": str(place)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"export-streams: permission denied: '{h5}'\n"
    assert seen in ({1.0}, {1.0, 2.0}) and h5py.File(h5)["channels/H0:PEM-EX_SEISX.mean"][100] == 2.0
