"""What is added to a finished day goes into a copy of its file: what stays is not touched, what goes leaves no room."""

import os
import re
import shutil
import signal as signal_numbers
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import files
from framemake.day import dayfile, earlier, folder, merge, plan, work
from framemake.frames import channels, lists, probe
from framemake.gps import Window
from support import processes
from support.sites import DAY, ROOT, START, Site, contents, signal

LENGTH, FRAME, RATE = 3600, 900, 8.0
NAMES = ("V1:A", "V1:B", "V1:C")


@pytest.fixture
def site(tmp_path):
    """An hour of four frames: each is a unit, and a chunk, of each channel."""
    site = Site(tmp_path)
    site.want(*NAMES[:2])
    for number in range(LENGTH // FRAME):
        add(site, number)
    return site


def add(site, number, names=NAMES, **more):
    count = round(FRAME * RATE)
    first = count * number + more.pop("offset", 0)
    signals = [signal(name, count, first + at, RATE, **more) for at, name in enumerate(names)]
    path = site.frame(FRAME * number, FRAME, signals, listed=False)
    line = f"{path} {START + FRAME * number} {FRAME} 0 0\n"
    if line not in site.listed:
        site.list(path, START + FRAME * number, FRAME)
    return path


def build(site, shrink=False, out=None, there=lambda made: None):
    """Build the hour in this process, on the day file that is there, if there is one."""
    out, window, parts = str(out or site.h5), Window(START, START + LENGTH), str(site.folder / "parts")
    shutil.rmtree(parts, ignore_errors=True)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    listing, _ = lists.list_frames(str(site.ffl), window)
    keep = earlier.find(out)
    wanted = probe.expect(channels.read(site.channels.read_text(), "list")[0], listing, keep or ())
    planned = plan.make(window, 60, "lzf", listing, wanted, keep, shrink)
    plan.save(planned, parts)
    work.work(planned, parts, keep, (1, 1), 0, lambda path: None)
    merge.merge(parts, out, merge.origin_of("V1trend", "", str(site.channels), None), shrink=shrink, there=there)
    if keep:
        keep.day.close()


def agrees(site):
    """It holds what it would if it had been built at once."""
    fresh = site.folder / "fresh" / site.h5.name
    fresh.unlink(missing_ok=True)
    build(site, out=fresh)
    assert contents(site.h5) == contents(fresh)


def places(site):
    """{channel: {first sample of a chunk: where it lies in the file}}."""
    found = {}
    with h5py.File(site.h5) as file:
        for name, dataset in file["channels"].items():
            at = found[name] = {}
            dataset.id.chunk_iter(lambda chunk, at=at: at.update({chunk.chunk_offset[0]: chunk.byte_offset}))
    return found


def unused(site):
    with dayfile.open_day(str(site.h5)) as day:
        return day.unused


def test_a_channel_more_leaves_all_others_where_they_are(site, monkeypatch):
    build(site)
    before = places(site)
    # No chunk and no sample of the earlier file comes through Python.
    for name in ("chunks", "samples"):
        monkeypatch.setattr(dayfile.DayFile, name, lambda *_: pytest.fail("an old chunk was read"))
    site.want(*NAMES)
    build(site)
    after = places(site)
    assert sorted(after) == sorted(NAMES) and len(after["V1:C"]) == 4
    assert {name: after[name] for name in before} == before
    agrees(site)


def test_a_day_is_told_of_before_the_file_that_it_replaces_goes(site, monkeypatch):
    """The system takes a quarter of a second to remove one of 350 MB, when it is closed last."""
    build(site)
    before, seen, close = site.h5.stat().st_ino, [], earlier.Earlier.close
    monkeypatch.setattr(earlier.Earlier, "close", lambda self: (seen.append("closed"), close(self)))
    site.want(*NAMES)
    build(site, there=lambda made: seen.append((sorted(made.datasets), site.h5.stat().st_ino != before)))
    assert seen == [(sorted(NAMES), True), "closed"]
    agrees(site)


def test_a_late_frame_writes_the_chunks_that_it_meets(site):
    build(site)
    before = places(site)
    add(site, 2, offset=5)
    build(site)
    after = places(site)
    for name in NAMES[:2]:
        moved = {first for first in before[name] if after[name][first] != before[name][first]}
        assert moved <= {14400}, "only the third of four chunks was read anew"
    agrees(site)


def test_what_leaves_no_sample_leaves_no_chunk(site):
    build(site)
    gone = site.listed.pop(2)
    os.unlink(gone.split()[0])
    site.ffl.write_text("".join(site.listed))
    build(site, shrink=True)
    assert [sorted(each) for each in places(site).values()] == [[0, 7200, 21600]] * 2
    agrees(site)


def test_a_channel_that_goes_is_gone(site):
    build(site)
    site.want(NAMES[0])
    build(site, shrink=True)
    assert list(places(site)) == [NAMES[0]] and unused(site) > 0
    agrees(site)


def test_the_room_that_changes_leave_is_bounded(site):
    build(site)
    once, seen = site.h5.stat().st_size, []
    for number in range(8):
        add(site, number % 4, offset=1000 * number, unit="VW"[number % 2])
        build(site)
        seen.append(unused(site))
        assert site.h5.stat().st_size < 1.4 * once
    assert 0 in seen and max(seen) > 0, "either it was never gone on with, or never written as a whole"
    agrees(site)


def test_a_file_with_too_much_room_in_it_is_written_as_a_whole(site):
    build(site)
    with h5py.File(site.h5, "r+") as file:
        file["provenance"].attrs["unused"] = site.h5.stat().st_size
    site.want(*NAMES)
    build(site)
    assert unused(site) == 0
    agrees(site)


def repacked(path, **how):
    """The same datasets, stored in another way, as h5repack does it."""
    with h5py.File(path, "r+") as file:
        group = file["channels"]
        for name in list(group):
            samples, attributes = group[name][()], dict(group[name].attrs)
            del group[name]
            group.create_dataset(name, data=samples, **how).attrs.update(attributes)


@pytest.mark.parametrize("how", [{}, {"chunks": (1000,)}, {"chunks": (7200,), "compression": "gzip"}])
def test_a_file_that_was_packed_anew_is_read_as_it_is_packed(site, how):
    build(site)
    repacked(site.h5, **how)
    late = add(site, 2, offset=5)
    build(site)
    with h5py.File(site.h5) as file:
        samples = [file[f"channels/{name}"][()] for name in NAMES[:2]]
    want = np.arange(LENGTH * RATE) + np.where((np.arange(LENGTH * RATE) // 7200) == 2, 5, 0)
    for at, got in enumerate(samples):
        np.testing.assert_array_equal(got, want + at, err_msg=str(late))


def test_a_channel_that_lies_in_another_file_is_not_gone_on_with(site):
    build(site)
    other = site.folder / "other.h5"
    shutil.copyfile(site.h5, other)
    with h5py.File(site.h5, "r+") as file:
        del file["channels/V1:A"]
        file["channels/V1:A"] = h5py.ExternalLink(str(other), "channels/V1:A")
    held = other.read_bytes()
    assert earlier.find(str(site.h5)) is None
    add(site, 2, offset=5)
    build(site)
    assert other.read_bytes() == held
    agrees(site)


def test_a_copy_of_a_file_that_is_shorter_than_it_was_fails(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb") as out:
        files.copy_head(source.fileno(), out.fileno(), 60)
        with pytest.raises(OSError, match="shorter"):
            files.copy_head(source.fileno(), out.fileno(), 200)
    assert re.fullmatch(b"x{160}", (tmp_path / "b").read_bytes())


def test_a_file_whose_datasets_tell_less_than_they_do_now_is_written_as_a_whole(site):
    build(site)
    with h5py.File(site.h5, "r+") as file:
        for dataset in file["channels"].values():
            del dataset.attrs["xunit"]
    site.want(*NAMES)
    build(site)
    agrees(site)


@pytest.mark.slow
@pytest.mark.parametrize("comes", [(), (2,)], ids=["nothing", "a late frame"])
def test_several_readers_go_on_as_one_does(site, tmp_path, comes):
    """A frame is gone, a channel is new: readers of new channels alone do not look at the day as it is."""
    for number in comes:
        site.listed.pop(number)
    site.ffl.write_text("".join(site.listed))
    assert site.make("MINUTES=60", "INCREMENT=60").returncode == 0
    site.want(*NAMES)
    site.frames.joinpath(f"V-test-{START}-{FRAME}.gwf").unlink()
    site.listed.pop(0)
    for number in comes:
        add(site, number)
    site.ffl.write_text("".join(site.listed))
    alone = Site(tmp_path / "alone")
    alone.ffl, alone.channels = site.ffl, site.channels
    shutil.copytree(site.out, alone.out)
    for each, shares, variables in ((site, 2, {"ALONE": "0", "CORES": "2"}), (alone, 0, {"CORES": "1"})):
        done = each.make("MINUTES=60", "INCREMENT=60", "LOG_LEVEL=DEBUG", env=variables)
        assert done.returncode == 0, done.stderr
        assert len(re.findall("extract-increment: begins: .* --share", (each.day / "worker.log").read_text())) == shares
    assert contents(site.h5) == contents(alone.h5)
    summary = site.json("summary")
    assert summary["kept_frames"] == 1 and summary["nan_samples"] == FRAME * RATE, "only V1:C has nothing to be kept"


# What stands in the place of cp: arguments are FILE COPY.
COPIES = {
    "as it is": """/bin/cp "$@"; stat -L -c %i "$2" > "$TOLD" """,
    "slowly": """sleep 1; /bin/cp "$@"; stat -L -c %i "$2" > "$TOLD" """,
    "half of it, and fails": """head -c 5000 "$1" > "$2"; exit 1""",
    "half of it, and says nothing": """head -c 5000 "$1" > "$2"; exit 0""",
    "other bytes, as many, and fails": """head -c "$(stat -c %s "$1")" /dev/zero > "$2"; exit 1""",
    "and is killed": """head -c 5000 "$1" > "$2"; kill -9 $$""",
    "nothing": "exit 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", COPIES)
def test_the_copy_that_make_makes_is_gone_on_with_if_it_is_whole(site, tmp_path, how):
    told, stub = tmp_path / "told", tmp_path / "bin" / "cp"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/bash\n{COPIES[how]}\n")
    stub.chmod(0o755)
    variables = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "TOLD": str(told)}
    words = ("MINUTES=60", "INCREMENT=60")
    assert site.make(*words, env=variables).returncode == 0
    assert not told.exists(), "there was nothing to copy"
    site.want(*NAMES)
    done = site.make(*words, env=variables)
    assert (done.returncode, done.stderr) == (0, "")
    if "TOLD" in COPIES[how]:
        assert int(told.read_text()) == os.stat(site.h5).st_ino
        told.unlink()
    assert not list((site.day / ".work").glob("**/copied*"))
    fresh = Site(tmp_path / "fresh")
    fresh.ffl, fresh.channels = site.ffl, site.channels
    assert fresh.make(*words, "RESUME=no").returncode == 0
    assert contents(site.h5) == contents(fresh.h5)
    # With other settings nothing of it holds.
    assert site.make("MINUTES=60", "INCREMENT=120", "SHRINK=yes", env=variables).returncode == 0
    assert not told.exists()


@pytest.mark.slow
def test_a_copy_that_comes_after_its_day_has_failed_leaves_no_file(site, tmp_path):
    assert site.make("MINUTES=60").returncode == 0
    before = site.h5.read_bytes()
    stub = tmp_path / "bin" / "cp"
    stub.parent.mkdir()
    stub.write_text('#!/bin/bash\nsleep 2\nexec /bin/cp "$@"\n')
    stub.chmod(0o755)
    site.want()
    env = {**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}"}
    given = (f"DAY={DAY}", f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}", "MINUTES=60")
    process = processes.start("make", "-f", ROOT / "Makefile", *given, env=env, stdout=subprocess.DEVNULL)
    assert process.wait(30) != 0
    assert any("cp" in words for words in processes.alive(process.mark).values()), "it was there before"
    while processes.alive(process.mark):
        time.sleep(0.05)
    assert not list((site.day / ".work").glob("**/copied*")) and site.h5.read_bytes() == before
    site.want(*NAMES)
    assert site.make("MINUTES=60").returncode == 0 and site.names("valid") == list(NAMES)


@pytest.mark.parametrize("number", [signal_numbers.SIGTERM, signal_numbers.SIGINT])
def test_a_day_that_is_stopped_while_it_is_told_keeps_its_new_file(site, number):
    """make removed it, and with it a finished day, as it removes what it takes for half-written."""
    assert site.make("MINUTES=60").returncode == 0
    before = site.h5.stat().st_ino
    site.want(*NAMES)
    # Whoever looks what the coverage was waits for ever.
    coverage = site.day / "channels_info" / "channels_coverage.json"
    coverage.unlink()
    os.mkfifo(coverage)
    given = (f"DAY={DAY}", f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}", "MINUTES=60")
    process = processes.start("make", "-f", ROOT / "Makefile", *given, stdout=subprocess.DEVNULL)
    while site.h5.stat().st_ino == before:
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    os.killpg(process.pid, number) if number == signal_numbers.SIGINT else process.terminate()
    assert process.wait(30) != 0
    coverage.unlink()
    made = site.h5.stat()
    assert list(places(site)) == list(NAMES)
    assert site.make("MINUTES=60").returncode == 0
    assert site.names("valid") == list(NAMES) and site.h5.stat() == made, "it is told of, not made again"


@pytest.mark.slow
def test_a_copy_that_can_be_neither_made_nor_removed_is_none(site):
    """As of another user's run that was stopped."""
    assert site.make("MINUTES=60").returncode == 0
    site.want(*NAMES)
    copied = Path(folder.Folder.holding(str(site.h5)).copied)
    copied.mkdir(parents=True)
    done = site.make("MINUTES=60")
    assert (done.returncode, done.stderr, site.names("valid")) == (0, "", list(NAMES))
    assert not copied.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal_numbers.SIGTERM, signal_numbers.SIGINT, signal_numbers.SIGKILL])
def test_a_day_that_is_stopped_while_it_is_copied_copies_on_behind_nobodys_back(site, tmp_path, number):
    assert site.make("MINUTES=60").returncode == 0
    before = site.h5.read_bytes()
    site.want(*NAMES)
    told, stub = tmp_path / "told", tmp_path / "bin" / "cp"
    stub.parent.mkdir()
    # bash itself writes the word: one that waits for a program goes on after Ctrl-C if that has ended well.
    stub.write_text('#!/bin/bash\nhead -c 5000 "$1" > "$2"\n: > "$TOLD"\nexec sleep 100\n')
    stub.chmod(0o755)
    given = (f"DAY={DAY}", f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}", "MINUTES=60")
    env = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "TOLD": str(told)}
    process = processes.start("make", "-f", ROOT / "Makefile", *given, env=env, stdout=subprocess.DEVNULL)
    while not told.exists():
        assert process.poll() is None
        time.sleep(0.02)
    if number == signal_numbers.SIGKILL:
        processes.kill_all(process)
    elif number == signal_numbers.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.terminate()
    assert process.wait(30) != 0
    end = time.monotonic() + 10
    while left := processes.alive(process.mark):
        assert time.monotonic() < end, left
        time.sleep(0.05)
    assert site.h5.read_bytes() == before
    assert number == signal_numbers.SIGKILL or not list((site.day / ".work").glob("**/copied*"))
    assert site.make("MINUTES=60").returncode == 0
    assert site.names("valid") == list(NAMES) and not list((site.day / ".work").glob("**/copied*"))
