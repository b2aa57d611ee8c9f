"""A finished day never shrinks unasked: frames that go, lists and spans that become shorter, settings that change."""

import json
import os

import h5py
import numpy as np
import pytest
from support.commands import bound, command
from support.inside import inside
from support.sites import DAY, START, Site, make, ramp, signal

NAN = np.nan
LENGTH = 600


@pytest.fixture
def site(tmp_path):
    """A day of ten minutes of two channels, in frames of a minute, made with MINUTES=10."""
    site = Site(tmp_path)
    for minute in range(10):
        write(site, minute)
    site.want("V1:A", "V1:B")
    return site


def write(site, minute, names=("V1:A", "V1:B"), **more):
    first = 60 * minute
    return site.frame(first, 60, [signal(name, first=first + 1000 * at, **more) for at, name in enumerate(names)])


def build(site, *variables):
    return site.make("INCREMENT=120", "MINUTES=10", *variables)


def finished(site, *variables):
    done = build(site, *variables)
    assert done.returncode == 0, done.stderr
    return site.read("V1:A")[0]


def stands(done, *words):
    """The one line of make that says why a day stays as it is."""
    assert done.returncode == 2 and "Error 3" in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("make: 2024") or "would lose" in line]
    assert all(word in line for word in words) and "SHRINK=yes" in line, line
    return line


def same(one, other):
    np.testing.assert_array_equal(one, other)


def gone(site, *minutes):
    for minute in minutes:
        (path,) = site.frames.glob(f"V-test-{START + 60 * minute}-60.gwf")
        path.unlink()


def unlist(site, *minutes):
    site.listed = [line for line in site.listed if not any(f" {START + 60 * m} " in line for m in minutes)]
    site.ffl.write_text("".join(site.listed))


@pytest.mark.parametrize("how", [gone, unlist])
def test_samples_whose_frames_are_gone_are_kept_and_the_day_says_so(site, how):
    before = finished(site)
    covered = site.json("coverage")
    how(site, 3, 4, 7)
    if how is unlist:
        gone(site, 3, 4, 7)
    same(finished(site), before)
    assert site.json("coverage") == covered
    summary = site.json("summary")
    assert (summary["kept_frames"], summary["nan_samples"], summary["frame_files"]["kept"]) == (3, 0, 3)
    told = {frame["gps_start"] - START: frame["status"] for frame in summary["provenance"]["frames"]}
    assert [start // 60 for start, status in told.items() if status == "kept"] == [3, 4, 7]
    status = json.loads(command("day-status", site.out, "--json", check=False).stdout)["days"][0]
    assert status["status"] == "completed" and status["kept_files"] == 3
    # Nothing new is done the next time, and when they are back they are used as before.
    day = site.h5.read_bytes()
    assert build(site).returncode == 0 and site.h5.read_bytes() == day


def test_a_frame_that_is_back_as_it_was_is_used_and_not_read_again(site):
    before = finished(site)
    (path,) = site.frames.glob(f"V-test-{START + 180}-60.gwf")
    aside, stat = path.with_name("aside"), path.stat()
    path.rename(aside)
    finished(site)
    aside.rename(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    same(finished(site), before)
    assert site.json("summary")["kept_frames"] == 0


def test_a_late_frame_beside_one_that_is_gone_is_added_and_nothing_lost(site):
    gone(site, 2)
    before = finished(site)
    assert np.isnan(before[120:180]).all()
    gone(site, 3)
    write(site, 2)
    wanted = ramp(LENGTH)
    same(finished(site), wanted)
    assert site.json("summary")["kept_frames"] == 1
    assert site.json("coverage")["V1:A"]["gwf_mask"] == "1" * 10


def test_a_frame_that_is_damaged_later_loses_nothing(site):
    before = finished(site)
    (path,) = site.frames.glob(f"V-test-{START + 240}-60.gwf")
    path.write_bytes(path.read_bytes()[:200])
    same(finished(site), before)
    summary = site.json("summary")
    assert [bad["path"] for bad in summary["bad_frames"]] == [str(path)] and summary["nan_samples"] == 0


def test_a_frame_that_is_healed_is_no_longer_bad(site):
    before = finished(site)
    (path,) = site.frames.glob(f"V-test-{START + 240}-60.gwf")
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    finished(site)
    path.write_bytes(whole)
    same(finished(site), before)
    summary = site.json("summary")
    assert (summary["bad_frames"], summary["unreadable_frames"], summary["kept_frames"]) == ([], 0, 0)


def test_a_frame_that_changed_has_the_last_word(site):
    finished(site)
    good = signal("V1:A", first=5000)
    site.frame(240, 60, [good], listed=False)
    got = finished(site)
    same(got[240:300], ramp(60, 5000))
    # It no longer has V1:B: that is what the frame says now.
    assert np.isnan(site.read("V1:B")[0][240:300]).all()


@pytest.mark.long
def test_check_day_does_not_compare_what_is_kept_and_finds_what_is_wrong_beside_it(site):
    finished(site)
    gone(site, 3)
    (path,) = site.frames.glob(f"V-test-{START + 240}-60.gwf")
    path.write_bytes(path.read_bytes()[:200])
    finished(site)
    done = inside("check-day", site.h5, "--all", check=False)
    assert (done.returncode, done.stdout) == (0, "") and "2 frame files are gone" in done.stderr
    with h5py.File(site.h5, "a") as file:
        file["channels/V1:A"][130] = -1
    done = inside("check-day", site.h5, "--all", check=False)
    assert done.returncode == 1 and "differs from the frame: 1 samples" in done.stdout


def test_with_shrink_what_is_gone_goes(site):
    finished(site)
    gone(site, 3)
    got = finished(site, "SHRINK=yes")
    assert np.isnan(got[180:240]).all() and not np.isnan(got[:180]).any()
    assert site.json("summary")["kept_frames"] == 0


def test_a_list_with_a_typing_error_loses_no_channel(site):
    before = finished(site)
    site.want("V1:a", "V1:B")
    line = stands(build(site), "1 channels that are not in the list")
    assert str(site.h5) in line
    same(site.read("V1:A")[0], before)
    assert site.json("summary")["kept_channels"] == ["V1:A"] and site.names("valid") == ["V1:B", "V1:A"]
    # It goes on growing with the others, and goes when it is to go.
    gone(site, 9)
    site.frame(540, 60, [signal("V1:A", first=9000), signal("V1:B", first=9000)], name="V-test-late.gwf")
    stands(build(site))
    same(site.read("V1:A")[0][540:], ramp(60, 9000))
    finished_b = build(site, "SHRINK=yes")
    assert finished_b.returncode == 0, finished_b.stderr
    assert site.names("valid") == ["V1:B"] and "V1:A" not in h5py.File(site.h5)["channels"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (("MINUTES=5",), "300 s of it"),
        (("INCREMENT=60",), "INCREMENT=120"),
        (("COMPRESSION=gzip",), "COMPRESSION=lzf"),
    ],
)
def test_other_settings_leave_a_finished_day_as_it_is(site, variables, words):
    finished(site)
    day, state = site.h5.read_bytes(), site.json("state_day.json")
    done = site.make("INCREMENT=120", "MINUTES=10", *variables)
    stands(done, words)
    assert site.h5.read_bytes() == day and site.json("state_day.json") == state
    assert site.make("INCREMENT=120", "MINUTES=10", *variables, "SHRINK=yes").returncode == 0
    assert site.h5.read_bytes() != day


def test_a_shorter_span_leaves_a_finished_day_and_a_longer_one_makes_it_longer(site):
    finished(site)
    day = site.h5.read_bytes()
    given = (f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}", "INCREMENT=120")
    done = make("day", f"START={START + 60}", f"END={START + 300}", *given, cwd=site.folder)
    stands(done, "360 s of it")
    assert site.h5.read_bytes() == day
    assert site.make("INCREMENT=120", "MINUTES=20").returncode == 0
    same(site.read("V1:A")[0], np.append(ramp(LENGTH), np.full(LENGTH, NAN)))


def test_made_anew_it_may_not_have_less(site):
    before = finished(site)
    gone(site, 5)
    done = build(site, "RESUME=no")
    assert "would lose 60 s of 'V1:B'" in stands(done)
    same(site.read("V1:A")[0], before)
    assert site.json("state_day.json")["status"] == "completed"
    same(finished(site), before)  # and the next plain make keeps what is gone
    assert np.isnan(finished(site, "RESUME=no", "SHRINK=yes")[300:360]).all()


def test_a_day_all_of_whose_frames_are_gone_stays_finished(site):
    before = finished(site)
    gone(site, *range(10))
    site.ffl.write_text(f"{site.frames}/V-test-{START + 90000}-60.gwf {START + 90000} 60 0 0\n")
    done = build(site)
    assert done.returncode == 2 and "all its frames are gone" in done.stderr
    assert site.json("state_day.json")["status"] == "completed"
    same(site.read("V1:A")[0], before)


def test_a_range_shows_what_it_would_leave_and_leaves_it(site):
    finished(site)
    day = site.h5.read_bytes()
    given = (
        f"FIRST={DAY}",
        f"LAST={DAY}",
        f"FFL={site.ffl}",
        f"CHANNELS={site.channels}",
        f"OUT={site.out}",
        "INCREMENT=120",
    )
    for dry in (("DRY_RUN=yes",), ()):
        done = make("range", *given, "MINUTES=5", *dry, cwd=site.folder)
        assert f"so left as they are (SHRINK=yes makes them anyway): {DAY}" in done.stderr
        assert DAY not in done.stdout and site.h5.read_bytes() == day
        assert done.returncode == 2 and "Error 3" in done.stderr
    assert site.json("state_day.json")["status"] == "completed"
    site.ffl.write_text(f"{site.frames}/V-test-{START + 90000}-60.gwf {START + 90000} 60 0 0\n")
    done = make("range", *given, "MINUTES=10", cwd=site.folder)
    assert f"all frames that finished days were made from are gone, is their disk there? Kept: {DAY}" in done.stderr
    assert site.json("state_day.json")["status"] == "completed" and site.h5.read_bytes() == day


def test_made_anew_a_late_frame_does_not_make_up_for_one_that_is_gone(site):
    """As many samples as before, in the same unit, but not the same: counts do not tell."""
    gone(site, 2)
    before = finished(site)
    gone(site, 3)
    write(site, 2)
    done = build(site, "RESUME=no")
    assert "would lose 60 s of 'V1:B'" in stands(done)
    same(site.read("V1:A")[0], before)
    wanted = ramp(LENGTH)
    same(finished(site), wanted)  # the next plain make has both


def test_a_day_from_a_machine_that_did_not_have_the_old_one_may_not_have_less(site):
    from framemake.day import travel
    from framemake.day.folder import Folder
    from framemake.errors import WouldLose

    before = finished(site)
    home, out = site.out, site.folder / "there"
    gone(site, 4)
    site.out = out
    finished(site)
    there = Folder.of(str(out), "V1trend", DAY)
    travel.pack(there, str(out), str(home))
    site.out = home
    with pytest.raises(WouldLose, match="would lose 60 s"):
        travel.take(there.path, str(home), "V1trend", 1)
    same(site.read("V1:A")[0], before)
    state = site.json("state_day.json")
    assert (
        state["status"] == "completed" and "would lose" in state["left_out"] and not out.joinpath(there.path).exists()
    )


def test_a_day_file_that_cannot_be_looked_at_is_not_taken_for_none(site):
    finished(site)
    before = site.h5.read_bytes()
    gone(site, 3)
    unlist(site, 3)
    site.h5.chmod(0)
    done = site.make("INCREMENT=120", "MINUTES=10", before=bound())
    site.h5.chmod(0o644)
    assert done.returncode == 2 and f"cannot be opened, permission denied: '{site.h5.name}'" in done.stderr
    assert site.h5.read_bytes() == before
