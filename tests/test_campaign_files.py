"""Files that shrink, vanish, change or lose permission just as they are read: right, or NaN with a reason, or one line.

What else is read at that time is kept, and with the file as it was the next run comes out as one that nobody disturbed.
"""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import gwf
from framemake.day import dayfile
from framemake.errors import BadInput
from framemake.gwf.write import write
from support import faults, sites, undisturbed
from support.commands import BIN, bound, call, frame_file, needs, refused, run
from support.serving import served
from support.sites import Signal, Site
from support.stream_files import DOUBLE, Written

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


# --- the day file, lists and settings ----------------------------------------------------


@pytest.mark.parametrize("how", ["shrinks", "vanishes"])
def test_a_day_file_that_changes_while_its_day_is_rebuilt_is_one_line_and_the_next_run_is_right(site, how):
    late = frames(site)[-1]
    whole = site.ffl.read_text()
    site.ffl.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert site.make(*GIVEN).returncode == 0
    site.ffl.write_text(whole)
    half = str(site.h5.stat().st_size // 2)
    words = {"shrinks": ("truncate", "-s", half, site.h5), "vanishes": ("rm", site.h5)}[how]
    hook = site.folder / "hook"
    done = site.make(*GIVEN, env=faults.armed(hook, (late, 1, "extract-increment", *words)))
    assert faults.happened(hook) == 1
    assert "Traceback" not in done.stderr
    if done.returncode:
        (said,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        assert site.h5.name in said and "unexpected" not in said
        assert site.make(*GIVEN).returncode == 0
    for name, want in site.data.items():
        assert np.array_equal(site.read(name)[0], want)


def test_an_open_day_file_that_is_cut_short_gives_no_bytes_that_it_has_not(tmp_path):
    path, data = tmp_path / "day.h5", np.random.default_rng(1).standard_normal(1 << 16)
    with h5py.File(path, "w") as file:
        file.create_dataset("channels/V1:A", data=data, chunks=(1 << 12,))
    with dayfile.DayFile(str(path)) as day:
        # With what it needs to know of itself read, as in the middle of a reading.
        assert np.array_equal(day.samples("V1:A", 0, 10), data[:10])
        assert [first for first, _, _ in day.chunks("V1:A", lambda first: True)] == list(range(0, 1 << 16, 1 << 12))
        os.truncate(path, path.stat().st_size // 2)
        for read in (lambda: day.samples("V1:A", 0, 1 << 16), lambda: list(day.chunks("V1:A", lambda first: True))):
            with pytest.raises(BadInput, match="has changed while it was read: "):
                read()


@pytest.fixture
def lists(tmp_path):
    """(FFL, channel list) of one frame."""
    path = frame_file(tmp_path, sites.START, 60, sites.signal("V1:A", 60))
    (tmp_path / "t.ffl").write_text(f"{path} {sites.START} 60 0 0\n")
    (tmp_path / "channels.txt").write_text("V1:A\n")
    return tmp_path / "t.ffl", tmp_path / "channels.txt"


@pytest.mark.parametrize(
    ("which", "how", "why"),
    [
        (0, ("rm",), "no such file or directory"),
        (0, ("truncate", "-s", "0"), "no frame in"),
        (1, ("rm",), "no such file or directory"),
        (1, ("chmod", "0"), "permission denied"),
        (1, ("truncate", "-s", "0"), "no channel"),
    ],
)
def test_a_list_that_goes_as_it_is_opened_is_one_line(tmp_path, lists, which, how, why):
    given = [["list-frames", lists[0]], ["prune-channels", *lists]][which]
    armed = faults.armed(tmp_path / "hook", (lists[which], 1, given[0], *how, lists[which]))
    status, out, told = run(BIN / given[0], *given[1:], env=armed) if how[0] != "chmod" else denied(given, armed)
    assert (status, out, faults.happened(tmp_path / "hook")) == (1, "", 1), told
    assert why in told and str(lists[which]) in told and told.count("\n") == 1


def denied(given, armed):
    """The same, of a command that file permissions bind."""
    done = call(*bound(), BIN / given[0], *given[1:], env=armed)
    return done.returncode, done.stdout, done.stderr


def test_a_settings_file_that_goes_as_it_is_opened_is_one_line(tmp_path):
    path = tmp_path / "o4.toml"
    path.write_text('start_date = "2024-04-10"\n')
    armed = faults.armed(tmp_path / "hook", (path, 1, "read-config", "rm", path))
    told = refused("read-config", path, "--for", "range", env=armed)
    assert "no such file or directory" in told and str(path) in told


# --- streams -----------------------------------------------------------------------------


def test_stream_files_that_change_under_a_server_are_refused_and_told_when_they_are_back(tmp_path):
    name, start = "H0:PEM-EX_SEISX", 1147910460
    path = Written(DOUBLE, 256).file(start, 60, [1.0 + k for k in range(5000)]).write(tmp_path, name)
    (whole := tmp_path / "whole").mkdir()
    with served(tmp_path) as server:
        span = {"start": start, "end": start + 300_000, "points": 7}
        want = server.get("/api/values", name, **span)
        assert want.status == 200
        for suffix in (".bin", ".index.bin", ".info"):
            file = Path(f"{path}{suffix}")
            shutil.copy2(file, whole)
            for change in (lambda file: os.truncate(file, file.stat().st_size // 2 + 1), os.unlink):
                change(file)
                answer = server.get("/api/values", name, **span)
                assert answer.status in (404, 503) and name in answer.error, (suffix, answer)
                shutil.copy2(whole / file.name, file)
                assert server.get("/api/values", name, **span).body == want.body
