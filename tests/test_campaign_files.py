"""Files that shrink, vanish, change or lose permission just as they are read: right, or NaN with a reason, or one line.

What else is read at that time is kept, and with the file as it was the next run comes out as one that nobody disturbed.
"""

import os
import shutil

import numpy as np
import pytest
from framemake import gwf
from framemake.gwf.write import write
from support import faults, sites, undisturbed
from support.commands import bound, needs
from support.sites import Signal, Site

NAMES = ["V1:A", "V1:B", "V1:C"]
FILE, COUNT = 600, 6
GIVEN = ("MINUTES=60", "INCREMENT=300", "MAX_RETRIES=0")


# --- a frame file between two reads ------------------------------------------------------


def frame(path, seed):
    """A file of channels that fill no buffer; their samples."""
    chance = np.random.default_rng(seed)
    signals = [Signal(name, chance.standard_normal(1 << 16).astype("f4"), 1024.0, "V") for name in NAMES]
    write(path, [(sites.START, 64, signals)])
    return {signal.name: signal.data for signal in signals}


CHANGES = {
    "shrinks": lambda path, other: os.truncate(path, path.stat().st_size // 3),
    "is emptied": lambda path, other: os.truncate(path, 0),
    "vanishes": lambda path, other: path.unlink(),
    "is replaced": lambda path, other: os.replace(other, path),
    "is written over": lambda path, other: write_over(path, other.read_bytes()),
    "is written over with zeros": lambda path, other: write_over(path, bytes(path.stat().st_size)),
}


def write_over(path, data):
    with open(path, "r+b") as file:
        file.write(data)


@pytest.mark.parametrize("how", CHANGES)
def test_an_open_frame_file_that_changes_gives_what_it_had_or_is_damaged(tmp_path, how):
    path, other = tmp_path / "V-a-1396742418-64.gwf", tmp_path / "other.gwf"
    want = frame(path, 1)
    frame(other, 2)
    file = gwf.open_file(path)
    assert np.array_equal(file.read(0, NAMES[0], "adc").data, want[NAMES[0]])
    CHANGES[how](path, other)
    for name in NAMES[1:]:
        try:
            found = file.read(0, name, "adc").data
        except (gwf.BadFrame, OSError):
            assert how not in ("vanishes", "is replaced")
        else:
            assert np.array_equal(found, want[name])


# --- frames of a day that is built -------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    """Six frame files of three channels; site.data: {channel: all of its samples}."""
    needs("make", "parallel", "jq", "flock")
    site, chance = Site(tmp_path), np.random.default_rng(3)
    site.data = {name: chance.standard_normal(COUNT * FILE).astype("f4") for name in NAMES}
    for at in range(0, COUNT * FILE, FILE):
        site.frame(at, FILE, [Signal(name, data[at : at + FILE], 1.0, "V") for name, data in site.data.items()])
    site.want(*NAMES)
    return site


def frames(site):
    return sorted(site.frames.glob("*.gwf"))


def test_frames_that_change_as_a_day_reads_them_spoil_nothing_but_themselves(site):
    """One shrinks, one vanishes, one is denied, one is written over: the other two are read, then all of them."""
    shrinks, vanishes, denied, over = frames(site)[:4]
    before = site.folder / "as they were"
    shutil.copytree(site.frames, before)
    reads, zeros = "extract-increment", ("dd", "if=/dev/zero", "bs=3000", "seek=1", "count=2", "conv=notrunc")
    hook = site.folder / "hook"
    armed = faults.armed(
        hook,
        (shrinks, 2, reads, "truncate", "-s", "5000", shrinks),
        (vanishes, 1, reads, "rm", vanishes),
        (denied, 2, reads, "chmod", "0", denied),
        (over, 2, reads, *zeros, "status=none", f"of={over}"),
    )
    done = site.make(*GIVEN, before=bound(), env=armed)
    assert (done.returncode, faults.happened(hook)) == (0, 4), done.stderr
    bad = {each["path"]: each["reason"] for each in site.json("summary")["bad_frames"]}
    assert set(bad) == {str(path) for path in (shrinks, vanishes, denied, over)}
    assert bad[str(vanishes)] == "no such file or directory" and bad[str(denied)] == "permission denied"
    for path, reason in bad.items():
        assert f"cannot be read, {reason}: {path!r}" in done.stderr
    for name, want in site.data.items():
        samples, _ = site.read(name)
        assert np.isnan(samples[: 3 * FILE]).all()
        # Of the fourth a channel may be whole.
        assert np.isnan(samples[3 * FILE : 4 * FILE]).all() or np.array_equal(samples[3 * FILE :], want[3 * FILE :])
        assert np.array_equal(samples[4 * FILE :], want[4 * FILE :])

    # They come back with the sizes and times that they had, as from a copy that keeps these.
    for path in frames(site):
        path.unlink()
    for path in before.iterdir():
        shutil.copy2(path, site.frames)
    done = site.make(*GIVEN)
    assert (done.returncode, done.stderr) == (0, "")
    found = undisturbed.days(site.out)
    shutil.rmtree(site.out)
    assert site.make(*GIVEN).returncode == 0
    want = undisturbed.days(site.out)
    assert {path for path in want if found.get(path) != want[path]} == set()
    assert set(found) == set(want)
