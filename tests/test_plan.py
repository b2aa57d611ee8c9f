"""The plan of a range and lib/make/day.mk come to the same judgement of a day: they cannot be told from one another."""

import itertools
import os
import subprocess

import pytest
from framemake import gps
from framemake.day import attempt
from framemake.day.folder import Folder
from framemake.days import plan
from framemake.frames import catalog, lists
from support.commands import needs
from support.sites import DAY, START, Site, signal

VARIABLES = {"SPEC": "V1trend", "INCREMENT": "600", "COMPRESSION": "lzf", "MAX_RETRIES": "3", "LISTED": "yes"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A day that is done, of one frame."""
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path_factory.mktemp("plan"))
    site.want("V1:A")
    site.frame(0, 60, [signal()])
    assert site.make().returncode == 0
    return site


# What may have happened to each file of the folder since: its name is that of Folder's attribute.
AGES = ("as it was", "missing", "older", "newer")
CONTENTS = ("as it was", "missing", "changed", "newer")
STATES = ("completed", "failed", "running", "queued", "damaged", "missing")


class Kept:
    """A day's folder that is put back after each change."""

    def __init__(self, folder):
        self.folder = folder
        names = ("h5", "frames", "requested", "settings", "summary", "stamp", "state_path", "transient", "listed")
        self.paths = {name: getattr(folder, name) for name in names}
        self.before = {}
        for name, path in self.paths.items():
            if os.path.exists(path):
                with open(path, "rb") as source:
                    self.before[name] = source.read(), os.stat(path).st_mtime_ns
        self.made = self.before["h5"][1]

    def restore(self):
        for name, path in self.paths.items():
            if name not in self.before:
                if os.path.exists(path):
                    os.unlink(path)
                continue
            content, moment = self.before[name]
            with open(path, "wb") as out:
                out.write(content)
            os.utime(path, ns=(moment, moment))

    def change(self, name, what):
        path = self.paths[name]
        if what == "missing":
            os.unlink(path)
        elif what == "changed":
            with open(path, "ab") as out:
                out.write(b"another\n")
            os.utime(path, ns=(self.made - 10**9, self.made - 10**9))
        elif what in ("older", "newer"):
            moment = self.made + (10**9 if what == "newer" else -(10**9))
            os.utime(path, ns=(moment, moment))

    def state(self, status):
        if status == "missing":
            os.unlink(self.folder.state_path)
        elif status == "damaged":
            with open(self.folder.state_path, "w") as out:
                out.write("{")
        elif status != "completed":
            self.folder.note(status=status)


def planned(site, **more):
    inputs = plan.RangeInputs.of({**VARIABLES, "CHANNELS": str(site.channels), "OUT": str(site.out), **more})
    ((day, why, *_),), _ = plan.plan(str(site.ffl), [DAY], inputs, write=False)
    assert day == DAY
    return why


def nothing_to_do(site, folder, table, **more):
    """Whether make, asked by -q in the day's folder that has been made ready, has nothing to do."""
    with open(folder.listed, "w") as out:
        out.write(table)
    given = {**VARIABLES, "CHANNELS": str(site.channels), "FFL": str(site.ffl), "OUT": str(site.out), **more}
    request = attempt.Request.of(given)
    attempt.prepare(folder, DAY, request, False, gps.now_utc())
    environ = {**os.environ, **given, **attempt.environment(folder, DAY, request, False, gps.now_utc())}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environ.pop(name, None)
    done = subprocess.run([*attempt.make(folder), "-q"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def cases():
    """Each file changed alone, and pairs of what may happen at once; with each state."""
    alone = [(name, what) for name in ("frames", "requested", "settings") for what in CONTENTS[1:]]
    alone += [(name, what) for name in ("h5", "summary") for what in AGES[1:]]
    yield from ((change,) for change in alone)
    yield from (pair for pair in itertools.combinations(alone, 2) if pair[0][0] != pair[1][0])


def agree(site, folder, table, **more):
    why = planned(site, **more)
    assert (why == "") == nothing_to_do(site, folder, table, **more), why
    return why


def test_the_plan_is_what_make_does(site):
    folder = Folder.of(str(site.out), "V1trend", DAY)
    kept = Kept(folder)
    table = catalog.table(lists.list_frames(str(site.ffl), gps.day_window(DAY))[0])
    reasons = set()
    assert agree(site, folder, table) == ""
    for changes in cases():
        kept.restore()
        for name, what in changes:
            kept.change(name, what)
        reasons.add(agree(site, folder, table))
    for status in STATES:
        kept.restore()
        kept.state(status)
        reasons.add(agree(site, folder, table))
    # Settings that differ from those the day was made with; a summary that is not wanted; frames to be read again.
    for more in ({"COMPRESSION": "gzip"}, {"MINUTES": "5"}, {"RESUME": "no"}, {"SUMMARY": "no"}):
        kept.restore()
        reasons.add(agree(site, folder, table, **more))
    for content in (b"", b"one\n"):
        kept.restore()
        with open(folder.transient, "wb") as out:
            out.write(content)
        reasons.add(agree(site, folder, table))
    kept.restore()
    # Each reason has come up: "" is that a summary may be younger than its day file, and a file's time another.
    assert reasons == {
        "", plan.NEW, "frames changed", "channel list changed", "settings changed", plan.STOPPED, "failed before",
        plan.NO_SUMMARY, plan.OLD_SUMMARY, plan.TRANSIENT, "asked to",
        plan.STANDS,
    }  # fmt: skip


def test_a_day_without_a_frame_says_so_by_a_key(site, tmp_path):
    inputs = plan.RangeInputs.of({**VARIABLES, "CHANNELS": str(site.channels), "OUT": str(tmp_path)})
    (day,), _ = plan.plan(str(site.ffl), ["2024-05-01"], inputs)
    assert day.why == plan.NO_FRAME and not day.is_due
    state = Folder.of(str(tmp_path), "V1trend", "2024-05-01").state()
    assert (state["status"], state["reason"]) == ("failed", "no_frame")
    # A day that is tried again has no reason any more.
    folder = Folder.of(str(tmp_path), "V1trend", "2024-05-01")
    folder.note(status="queued", error=None)
    assert "reason" not in folder.state()
    assert gps.day_window(DAY).start == START
