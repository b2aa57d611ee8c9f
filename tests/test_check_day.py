"""check-day: silent when a day is its frames', loud for each way in which it is not."""

import h5py
import numpy as np
import pytest
from framemake.day import check as check_module
from support.inside import inside
from support.sites import START, Site, command, make, signal


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.want("V1:A", "V1:B")
    for number in range(3):
        signals = [signal("V1:A", first=60 * number), signal("V1:B", count=600, rate=10.0, dtype="i4")]
        site.frame(60 * number, 60, signals)
    site.span(180)
    return site


def spoil(site, change):
    with h5py.File(site.h5, "r+") as file:
        change(file["channels"])


def check(site, *options):
    # In this process: the one of gwpy, which takes seconds to start, stays from test to test.
    done = inside("check-day", "--all", site.h5, *options, check=False)
    return done.returncode, done.stdout, done.stderr


def test_silent_when_all_is_well(site):
    assert check(site) == (0, "", "")


def test_a_changed_sample_is_named_with_its_time(site):
    def change(channels):
        channels["V1:A"][100] = 0.5

    spoil(site, change)
    status, out, _ = check(site)
    assert (status, out) == (1, f"V1:A\t{START + 100}\t{START + 101}\tdiffers from the frame: 1 samples\n")


def test_channels_that_do_not_fit_into_memory_together_are_compared_in_turn(site, monkeypatch):
    def change(channels):
        channels["V1:A"][100] = 0.5
        channels["V1:B"][900:910] = np.nan

    spoil(site, change)
    once = list(check_module.differences(str(site.h5)))
    assert [row[0] for row in once] == ["V1:A", "V1:B"]
    calls = []
    compare = check_module._compare
    monkeypatch.setattr(check_module, "_compare", lambda *given: calls.append(given[1]) or compare(*given))
    monkeypatch.setattr(check_module, "_MOST", 600)
    monkeypatch.setattr(check_module, "_AT_ONCE", 7)
    assert list(check_module.differences(str(site.h5))) == once
    assert calls == [["V1:A"], ["V1:B"]] * 3
    assert [row[0] for row in check_module.structure(str(site.h5))] == ["V1:B"]


def test_moved_samples_differ(site):
    def change(channels):
        channels["V1:B"][:] = np.roll(channels["V1:B"][()], 1)

    spoil(site, change)
    assert check(site)[0] == 1


def test_a_nan_that_the_frame_does_not_have(site):
    def change(channels):
        channels["V1:B"][:20] = np.nan

    spoil(site, change)
    status, out, _ = check(site)
    assert status == 1
    assert f"V1:B\t{START}\t{START + 2}\tNaN, but the frame has a sample: 20 samples" in out
    assert "its coverage says 1800" in out


def test_a_sample_where_no_frame_gives_one(tmp_path):
    site = Site(tmp_path)
    site.want("V1:A")
    there = np.ones(60, dtype=bool)
    there[10:20] = False
    site.frame(0, 60, [signal(there=there)])
    site.span(60)
    assert check(site)[0] == 3

    def change(channels):
        channels["V1:A"][12] = 12.0

    spoil(site, change)
    status, out, _ = check(site)
    assert status == 1 and "differs from the frame: 1 samples" in out


@pytest.mark.parametrize("attribute", ["t0", "sample_rate", "unit", "channel"])
def test_a_changed_attribute(site, attribute):
    def change(channels):
        old = channels["V1:A"].attrs[attribute]
        channels["V1:A"].attrs[attribute] = "x" if isinstance(old, str) else old + 1

    spoil(site, change)
    status, out, _ = check(site)
    assert status == 1 and "attributes are" in out


def test_a_dataset_that_is_gone(site):
    def change(channels):
        del channels["V1:A"]

    spoil(site, change)
    status, out, _ = check(site, "--no-frames")
    assert status == 1 and "not in the file, but should be" in out


def test_missing_data_is_its_own_status(site):
    site.want("V1:A", "V1:B", "V1:NONE")
    (site.frames / f"V-test-{START + 60}-60.gwf").unlink()
    site.h5.unlink()  # else what it has is kept
    site.span(180)
    status, out, err = check(site)
    assert (status, out) == (3, "")
    assert "33.333 % of the samples, 1 channels not there" in err


def test_a_frame_that_has_changed_since(site):
    site.frame(60, 60, [signal("V1:A", first=7)])
    status, out, _ = check(site)
    assert status == 1 and "frame file has changed since" in out


def test_frames_that_are_gone(site):
    paths = sorted(site.frames.iterdir())
    paths[0].unlink()
    status, out, err = check(site)
    assert (status, out) == (0, "") and "1 frame files are gone" in err
    for path in paths[1:]:
        path.unlink()
    status, _, err = check(site)
    assert status == 1 and "no frame of the day is left" in err


def test_not_a_day_file(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["data"] = 1
    done = command("check-day", path, check=False)
    assert done.returncode == 1 and "not a day file" in done.stderr and str(path) in done.stderr
    path.write_text("text")
    done = command("check-day", path, check=False)
    assert done.returncode == 1 and str(path) in done.stderr and len(done.stderr.splitlines()) == 1
    done = command("check-day", tmp_path / "none.h5", check=False)
    assert done.returncode == 1 and "no such file" in done.stderr


def test_what_gwpy_does_not_read_is_not_compared_and_no_difference(tmp_path):
    """8-bit integers and channels with an offset: it said that they differ, or that a sample is missing."""
    site = Site(tmp_path)
    site.want("V1:A", "V1:BYTE", "V1:LATE", "V1:SHORT")
    for number in range(2):
        odd = [signal("V1:BYTE", dtype="i1"), signal("V1:LATE", offset=10.5), signal("V1:SHORT", count=30)]
        site.frame(60 * number, 60, [signal(first=60 * number), *odd])
    site.span(120)
    status, out, err = check(site)
    assert (status, out) == (3, "")
    assert "check-day: not compared, gwpy does not read it: 'V1:BYTE', 120 samples\n" in err

    def change(channels):
        channels["V1:A"][100] = 0.5

    spoil(site, change)
    assert check(site)[:2] == (1, f"V1:A\t{START + 100}\t{START + 101}\tdiffers from the frame: 1 samples\n")


@pytest.mark.long
def test_a_name_that_makes_gwpy_crash_is_read_under_another(shared, tmp_path):
    """L-1126259446-6-10.gwf and the like ended check-day."""
    path = tmp_path / "F-600000000-6-10.gwf"
    path.write_bytes((shared / "frames/v6/F-TEST-600000000-60.gwf").read_bytes())
    (tmp_path / "list").write_text("H1:LSC-AS_Q\n")
    (tmp_path / "t.ffl").write_text(f"{path} 600000000 60 0 0\n")
    span = ("--start", "600000000", "--end", "600000060", "--increment", "60")
    command("extract-increment", tmp_path / "t.ffl", tmp_path / "list", *span, "--parts", tmp_path / "parts")
    command("pad-merge", tmp_path / "parts", "--out", tmp_path / "day.h5")
    done = command("check-day", tmp_path / "day.h5", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.long
def test_every_sample_of_a_range_with_troubles_is_that_of_its_frames(tmp_path):
    """Three days as make demo has one: in each a file absent, holes, a channel that comes late."""
    days, lines = ["2024-04-10", "2024-04-11", "2024-04-12"], []
    for day in days:
        span = ("--day", day, "--channels", 20, "--duration", 3600, "--trouble", "--list", tmp_path / "list")
        lines.append(command("make-frames", tmp_path / "frames", *span).stdout)
    (tmp_path / "t.ffl").write_text("".join(lines))
    given = (f"FFL={tmp_path}/t.ffl", f"CHANNELS={tmp_path}/list", f"OUT={tmp_path}/out")
    assert make("range", "-j2", f"FIRST={days[0]}", f"LAST={days[-1]}", *given, cwd=tmp_path).returncode == 0
    for path in sorted(tmp_path.glob("out/V1trend-*/*.h5")):
        done = inside("check-day", "--all", path, check=False)
        assert (done.returncode, done.stdout) == (3, ""), done.stdout[:1000]
        assert done.stderr.startswith("check-day: ") and "data is missing" in done.stderr
