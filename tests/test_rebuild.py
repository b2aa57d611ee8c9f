"""A day is rebuilt exactly as far as its inputs changed, and comes out as if it had been built at once."""

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from framemake.gwf.write import Signal
from support.sites import ROOT, START, Site, command, contents, ramp, signal

LENGTH = 3600
NAMES = ("V1:A", "V1:FAST", "V1:SLOW")


def add(site, number, offset=0, names=NAMES, **more):
    """A 100-s frame of three channels at 1, 200 and 0.1 Hz, beginning 18 s before a multiple of 100 s."""
    start = 100 * number - 18
    rates = {"V1:A": 1.0, "V1:FAST": 200.0, "V1:SLOW": 0.1}
    signals = []
    for name in names:
        rate = rates[name]
        count = round(100 * rate)
        signals.append(Signal(name, ramp(count, count * number + offset, "f4"), rate, more.get("unit", "V")))
    return site.frame(start, 100, signals)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.want(*NAMES)
    for number in range(37):
        add(site, number)
    return site


def afresh(site, tmp_path):
    """What the day holds when it is built from nothing."""
    old = site.out
    site.out = tmp_path / "fresh"
    shutil.rmtree(site.folder / "parts", ignore_errors=True)
    site.span(LENGTH)
    held, tree = contents(site.h5), {p.name: p.read_text() for p in (site.day / "channels_info").iterdir()}
    site.out = old
    return held, tree


def rebuild(site, shrink=False):
    """Build again, keeping what holds; returns which frame files were opened."""
    shutil.rmtree(site.folder / "parts", ignore_errors=True)
    trace = site.folder / "opened"
    script = site.folder / "trace.py"
    # The command itself, with each frame file that it opens noted: what is read is what counts.
    script.write_text(
        "import runpy, sys\n"
        "def note(event, args):\n"
        "    if event == 'open' and str(args[0]).endswith('.gwf'):\n"
        f"        with open({str(trace)!r}, 'a') as out: out.write(str(args[0]) + '\\n')\n"
        "sys.addaudithook(note)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    trace.write_text("")
    extract = (ROOT / "bin" / "extract-increment", site.ffl, site.channels, "--parts", site.folder / "parts")
    span = ("--start", str(START), "--end", str(START + LENGTH), "--increment", "60", "--keep", site.h5)
    may = ("--shrink",) if shrink else ()
    done = subprocess.run(
        [sys.executable, script, *extract, *span, *may],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
    )
    assert done.returncode == 0, done.stderr
    command("pad-merge", site.folder / "parts", "--out", site.h5, "--requested", site.channels, *may)
    command("summarize", site.h5)
    return {os.path.basename(line) for line in trace.read_text().split()}


def opened(*numbers):
    return {f"V-test-{START + 100 * number - 18}-100.gwf" for number in numbers}


def agrees(site, tmp_path):
    held, tree = afresh(site, tmp_path)
    assert {p.name: p.read_text() for p in (site.day / "channels_info").iterdir()} == tree
    assert contents(site.h5) == held


def test_nothing_new_reads_nothing(site, tmp_path):
    site.span(LENGTH)
    assert rebuild(site) == set()
    agrees(site, tmp_path)


def test_a_late_frame_rebuilds_its_own_increments_only(site, tmp_path):
    late = site.frames / f"V-test-{START + 100 * 10 - 18}-100.gwf"
    late.rename(tmp_path / "aside")
    site.span(LENGTH)
    assert np.isnan(site.read("V1:A")[0]).sum() == 100
    (tmp_path / "aside").rename(late)
    # GPS 982 to 1082 of the day lies in the increments 960 to 1140: frames 9, 10 and 11 meet those.
    assert rebuild(site) == opened(9, 10, 11)
    assert not np.isnan(site.read("V1:A")[0]).any()
    agrees(site, tmp_path)


def test_a_changed_frame_rebuilds_its_own_increments_only(site, tmp_path):
    site.span(LENGTH)
    site.listed.pop(20)
    add(site, 20, offset=500)
    assert rebuild(site) == opened(19, 20, 21)
    assert site.read("V1:A")[0][100 * 20 + 10] == 100 * 20 + 28 + 500
    agrees(site, tmp_path)


def test_of_a_withdrawn_frame_nothing_is_lost_and_nothing_read(site, tmp_path):
    site.span(LENGTH)
    before = site.read("V1:A")[0]
    (site.frames / f"V-test-{START + 100 * 5 - 18}-100.gwf").unlink()
    assert rebuild(site) == set()
    np.testing.assert_array_equal(site.read("V1:A")[0], before)
    assert site.json("summary")["kept_frames"] == 1


def test_with_shrink_a_withdrawn_frame_is_nan_again(site, tmp_path):
    site.span(LENGTH)
    (site.frames / f"V-test-{START + 100 * 5 - 18}-100.gwf").unlink()
    assert rebuild(site, shrink=True) == opened(4, 6)
    got = site.read("V1:A")[0]
    assert np.isnan(got[482:582]).all() and not np.isnan(got[:482]).any() and not np.isnan(got[582:]).any()
    agrees(site, tmp_path)


def test_a_channel_that_is_new_in_the_list_is_read_and_no_other(site, tmp_path):
    site.want("V1:A")
    site.span(LENGTH)
    site.want("V1:SLOW", "V1:A", "V1:NONE")
    rebuild(site)
    assert site.names("valid") == ["V1:SLOW", "V1:A"] and site.names("invalid") == ["V1:NONE"]
    agrees(site, tmp_path)


def test_a_channel_that_leaves_the_list_stays_unless_the_day_may_shrink(site, tmp_path):
    site.span(LENGTH)
    channels = site.names("valid")
    site.want("V1:FAST")
    assert rebuild(site) == set()
    assert sorted(site.names("valid")) == sorted(channels) and len(channels) > 1
    assert rebuild(site, shrink=True) == set()
    assert site.names("valid") == ["V1:FAST"]
    agrees(site, tmp_path)


def test_a_channel_that_comes_with_a_late_frame(site, tmp_path):
    site.want("V1:A", "V1:LATE")
    site.span(LENGTH)
    assert site.names("invalid") == ["V1:LATE"]
    site.listed.pop(30)
    start = 100 * 30 - 18
    site.frame(start, 100, [signal(count=100, first=3000), signal("V1:LATE", count=100)])
    rebuild(site)
    assert site.names("valid") == ["V1:A", "V1:LATE"]
    agrees(site, tmp_path)


def test_a_frame_that_is_healed_is_read(site, tmp_path):
    path = site.frames / f"V-test-{START + 100 * 7 - 18}-100.gwf"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    site.span(LENGTH)
    assert site.json("summary")["unreadable_frames"] == 1
    path.write_bytes(whole)
    assert rebuild(site) == opened(6, 7, 8)
    assert site.json("summary")["bad_frames"] == []
    agrees(site, tmp_path)


def test_a_unit_that_changes_with_a_late_frame_is_told_as_if_at_once(site, tmp_path):
    site.span(LENGTH)
    site.listed.pop(12)
    add(site, 12, unit="mV")
    rebuild(site)
    assert site.json("summary")["unit_changes"]["V1:A"]["kept"] == "V"
    agrees(site, tmp_path)


def test_a_rate_that_changes_with_a_late_frame_is_left_out_as_if_at_once(site, tmp_path):
    site.span(LENGTH)
    site.listed.pop(12)
    site.frame(100 * 12 - 18, 100, [signal(count=400, rate=4.0)])
    rebuild(site)
    assert site.json("summary")["rate_changes"]["V1:A"]["kept"] == "1 Hz"
    agrees(site, tmp_path)


def test_a_dtype_that_widens_with_a_late_frame(site, tmp_path):
    site.span(LENGTH)
    site.listed.pop(12)
    site.frame(100 * 12 - 18, 100, [signal(count=100, first=1200, dtype="f8")])
    rebuild(site)
    got = site.read("V1:A")[0]
    assert got.dtype == "f8" and not np.isnan(got).any()
    assert (got == np.arange(18, 3618)).all()


def test_another_increment_or_compression_builds_anew(site, tmp_path):
    site.span(LENGTH)
    shutil.rmtree(site.folder / "parts")
    site.span(LENGTH, "--compression", "gzip", keep=site.h5)
    with h5py.File(site.h5) as file:
        assert file["channels/V1:A"].compression == "gzip"
    assert (site.read("V1:A")[0] == np.arange(18, 3618)).all()
    shutil.rmtree(site.folder / "parts")
    site.span(LENGTH, "--compression", "gzip", keep=site.h5, increment=120)
    assert site.json("summary")["increment_size"] == 120
    assert (site.read("V1:A")[0] == np.arange(18, 3618)).all()


def test_an_earlier_result_that_is_damaged_is_not_kept(site, tmp_path):
    site.span(LENGTH)
    site.h5.write_bytes(site.h5.read_bytes()[:5000])
    shutil.rmtree(site.folder / "parts")
    site.span(LENGTH, keep=site.h5)
    agrees(site, tmp_path)


def test_the_parts_of_a_stopped_run_are_not_used_for_other_frames(site, tmp_path):
    parts = site.folder / "parts"
    span = ("--start", START, "--end", START + LENGTH, "--increment", 60)
    command("extract-increment", site.ffl, site.channels, *span, "--parts", parts)
    site.listed.pop(20)
    add(site, 20, offset=500)
    site.span(LENGTH)
    agrees(site, tmp_path)
