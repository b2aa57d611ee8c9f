"""What a day holds, trap by trap: each test plants one thing in frames and looks at the samples that come out."""

import math
import os
import shutil
import subprocess
import sys

import gwframe._core as core
import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import plan as planning
from framemake.frames import catalog, channels, lists, synthetic
from framemake.gwf.write import Signal, write
from support.commands import BIN
from support.inside import inside
from support.sites import DAY, START, Site, command, ramp, samples_without_times, signal

NAN = math.nan


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.want("V1:A")
    return site


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, dtype=got.dtype))


def minutes(site, *numbers, **more):
    """One-minute frames of V1:A that count the seconds of the day."""
    for number in numbers:
        site.frame(60 * number, 60, [signal(first=60 * number, **more)])


@pytest.mark.quick
def test_samples_are_the_frames_own_at_their_own_times(site):
    minutes(site, 0, 1, 2, 3, 4, 5)
    site.span()
    samples, attributes = site.read("V1:A")
    same(samples, ramp(360))
    assert (attributes["channel"], attributes["unit"]) == ("V1:A", "V")
    assert (attributes["sample_rate"], attributes["t0"]) == (1.0, START)


def test_a_missing_file_is_nan_and_moves_nothing(site):
    minutes(site, 0, 1, 3, 4, 5)
    site.span()
    want = ramp(360)
    want[120:180] = NAN
    same(site.read("V1:A")[0], want)
    assert site.json("coverage")["V1:A"]["gwf_mask"] == "110111"


@pytest.mark.parametrize("how", ["empty", "junk", "short", "flipped"])
def test_an_unreadable_file_is_nan_and_told(site, how):
    minutes(site, 0, 1, 2)
    path = site.frames / f"V-test-{START + 60}-60.gwf"
    raw = bytearray(path.read_bytes())
    if how == "flipped":
        at = raw.rindex(b"V1:A")  # the name in the table of contents stays; what follows it does not
        raw[raw.index(b"V1:A") + 60] ^= 1
        assert at
    path.write_bytes({"empty": b"", "junk": b"no frame" * 99, "short": raw[: len(raw) // 2]}.get(how, bytes(raw)))
    done = site.span(180)
    want = ramp(180)
    want[60:120] = NAN
    same(site.read("V1:A")[0], want)
    (bad,) = site.json("summary")["bad_frames"]
    assert bad["path"] == str(path) and bad["reason"] and "\n" not in bad["reason"]
    assert (bad["gps_start"], bad["duration"]) == (START + 60, 60)
    assert repr(str(path)) in done.stderr


def test_a_day_of_which_no_frame_can_be_read_fails_and_names_them(site):
    for number in range(2):
        path = site.frames / f"V-test-{START + 60 * number}-60.gwf"
        path.write_bytes(b"")
        site.list(path, START + 60 * number, 60)
    site.list(site.frames / "gone.gwf", START + 120, 60)
    done = site.span(180)
    assert done.returncode == 1 and not site.h5.exists()
    assert all(name in done.stderr for name in (f"{START}-60.gwf' (empty file)", "gone.gwf' (absent)"))


def test_a_listed_file_that_is_absent_is_a_slot_of_zeros(site):
    minutes(site, 0, 2)
    site.list(site.frames / "gone.gwf", START + 60, 60)
    site.span(180)
    assert site.json("coverage")["V1:A"]["gwf_mask"] == "101"
    assert site.json("summary")["frame_files"]["absent"] == 1


def test_a_channel_not_in_a_file_is_nan_there_and_others_are_not_touched(site):
    site.want("V1:A", "V1:B", "V1:C")
    site.frame(0, 60, [signal("V1:A"), signal("V1:B")])
    site.frame(60, 60, [signal("V1:B", first=60)])
    site.span(120)
    same(site.read("V1:A")[0], [*range(60), *[NAN] * 60])
    same(site.read("V1:B")[0], ramp(120))
    assert site.names("valid") == ["V1:A", "V1:B"] and site.names("invalid") == ["V1:C"]


def test_a_file_shorter_than_its_listed_span_is_nan_outside(site):
    path = site.frames / "short.gwf"
    write(path, [(START + 10, 30, [signal(count=30, first=10)])])
    site.list(path, START, 60)
    site.span(60)
    same(site.read("V1:A")[0], [*[NAN] * 10, *range(10, 40), *[NAN] * 20])


def test_samples_beyond_the_listed_span_are_left_out(site):
    path = site.frames / "long.gwf"
    write(path, [(START, 60, [signal()])])
    site.list(path, START, 20)
    site.span(60)
    same(site.read("V1:A")[0], [*range(20), *[NAN] * 40])


def test_a_file_that_holds_another_time_than_listed_gives_nothing_and_is_told(site):
    minutes(site, 0)
    path = site.frames / "other.gwf"
    write(path, [(START + 9000, 60, [signal()])])
    site.list(path, START + 60, 60)
    site.span(120)
    same(site.read("V1:A")[0], [*range(60), *[NAN] * 60])
    assert "nothing of the span" in site.json("summary")["bad_frames"][0]["reason"]


def test_a_gap_inside_a_file_is_nan(site):
    path = site.frames / "gap.gwf"
    write(path, [(START, 20, [signal(count=20)]), (START + 40, 20, [signal(count=20, first=40)])])
    site.list(path, START, 60)
    site.span(60)
    same(site.read("V1:A")[0], [*range(20), *[NAN] * 20, *range(40, 60)])


def test_data_valid_of_a_whole_channel(site):
    site.frame(0, 60, [signal()])
    site.frame(60, 60, [signal(first=60, valid=1)])
    site.span(120)
    same(site.read("V1:A")[0], [*range(60), *[NAN] * 60])


def test_a_cds_mask_blanks_its_blocks(site):
    mask = np.zeros(10, dtype=np.int16)
    mask[3] = 7
    site.frame(0, 60, [signal(mask=mask)])
    site.span(60)
    same(site.read("V1:A")[0], [*range(18), *[NAN] * 6, *range(24, 60)])


@pytest.mark.parametrize("kind", ["adc", "proc"])
def test_virgos_available_vector_blanks_what_is_not_there(site, kind):
    there = np.ones(60, dtype=bool)
    there[5:9] = False
    site.frame(0, 60, [signal(kind=kind, there=there)])
    site.span(60)
    same(site.read("V1:A")[0], [*range(5), *[NAN] * 4, *range(9, 60)])


def test_missing_samples_are_never_zero_in_the_real_file(site, shared):
    path = shared / "frames" / "V-available-925484670-20.gwf"
    site.want("fastAdc0", "fastProc", "Adc0", "Bad_data_(data[0]=nan)")
    site.ffl.write_text(f"{path} 925484670 20 0 0\n")
    parts = site.folder / "parts"
    span = ("--start", "925484670", "--end", "925484690", "--increment", "10")
    command("extract-increment", site.ffl, site.channels, *span, "--parts", parts)
    site.day.mkdir(parents=True)
    command("pad-merge", parts, "--out", site.h5)
    stream = core.IFrameFStream(str(path))
    for name, read in (("fastAdc0", stream.read_fr_adc_data), ("fastProc", stream.read_fr_proc_data)):
        got = site.read(name)[0]
        for frame in (0, 1):
            channel = read(frame, name)
            vector, second = channel.get_data_vector(0), channel.get_data_vector(1)
            values, there = vector.get_data_uncompressed(), second.get_data_uncompressed() == 1
            assert 0 < there.sum() < len(there)
            half = got[frame * len(values) : (frame + 1) * len(values)]
            same(half, np.where(there, values, NAN))


@pytest.mark.parametrize(
    ("dtype", "want"),
    [
        ("i1", "f4"),
        ("u1", "f4"),
        ("i2", "f4"),
        ("u2", "f4"),
        ("i4", "f8"),
        ("u4", "f8"),
        ("i8", "f8"),
        ("f4", "f4"),
        ("f8", "f8"),
    ],
)
def test_each_dtype_becomes_the_smallest_float_that_is_exact(site, dtype, want):
    values = ramp(60, dtype="f8")
    if dtype[0] in "iu":
        top = np.iinfo(dtype).max if dtype != "i8" else 2**53
        values = values.astype(dtype)
        values[-1] = top
    else:
        values = (values / 7).astype(dtype)
    site.frame(0, 60, [Signal("V1:A", values, 1.0)])
    site.span(60)
    samples = site.read("V1:A")[0]
    assert samples.dtype == want
    assert [int(a) for a in samples] == [int(a) for a in values] if dtype[0] in "iu" else (samples == values).all()


def test_a_64_bit_integer_that_float64_cannot_hold_is_nan(site):
    values = np.array([2**53, 2**53 + 1, 5] * 20, dtype="i8")
    site.frame(0, 60, [Signal("V1:A", values, 1.0)])
    site.span(60)
    same(site.read("V1:A")[0], [float(2**53), NAN, 5] * 20)


def test_where_dtypes_differ_the_widest_holds_the_day(site):
    site.frame(0, 60, [signal(dtype="f4")])
    site.frame(60, 60, [Signal("V1:A", ramp(60, 60, "f8") + 1e-9, 1.0, "V")])
    site.span(120)
    samples = site.read("V1:A")[0]
    assert samples.dtype == "f8"
    same(samples, [*range(60), *(ramp(60, 60, "f8") + 1e-9)])


def test_the_rate_of_most_of_the_day_is_kept_and_the_rest_is_nan_and_told(site):
    site.frame(0, 60, [signal()])
    site.frame(60, 60, [signal(count=240, rate=4.0)])
    site.frame(120, 60, [signal(first=120)])
    done = site.span(180)
    same(site.read("V1:A")[0], [*range(60), *[NAN] * 60, *range(120, 180)])
    told = site.json("summary")["rate_changes"]["V1:A"]
    assert told == {"kept": "1 Hz", "dropped_seconds": {"4 Hz": 60.0}, "dropped_rates": [4.0]}
    assert "sample rate changes" in done.stderr


def test_samples_off_the_grid_of_most_of_the_day_are_nan_and_told(site):
    minutes(site, 0, 1)
    site.frame(120, 60, [signal(first=120, offset=0.25)])
    site.span(180)
    same(site.read("V1:A")[0], [*range(120), *[NAN] * 60])
    assert site.json("summary")["rate_changes"]["V1:A"]["dropped_seconds"] == {"1 Hz shifted by 0.25 samples": 60.0}


def test_a_unit_that_changes_is_told_and_the_most_frequent_kept(site):
    minutes(site, 0, 1)
    site.frame(120, 60, [signal(first=120, unit="mV")])
    site.span(180)
    assert site.read("V1:A")[1]["unit"] == "V"
    assert site.json("summary")["unit_changes"]["V1:A"] == {"kept": "V", "seen": {"V": 2, "mV": 1}}


@pytest.mark.parametrize("kind", ["adc", "proc", "sim"])
def test_kinds(site, kind):
    minutes(site, 0, kind=kind)
    site.span(60)
    same(site.read("V1:A")[0], ramp(60))


def test_a_channel_whose_kind_changes_is_read_all_the_same(site):
    site.frame(0, 60, [signal()])
    site.frame(60, 60, [signal(first=60, kind="proc")])
    command("prune-channels", site.ffl, site.channels, "--probe", "1", "--out", site.folder / "c.tsv")
    site.channels = site.folder / "c.tsv"
    site.span(120)
    same(site.read("V1:A")[0], ramp(120))


def test_rates_below_one_hertz_stay_on_their_grid(site):
    # The day starts at GPS ...418: a 0.1 Hz channel's samples lie at ...420, ...430 and so on.
    path = site.frames / "V-slow-1396742400-100.gwf"
    write(path, [(START - 18, 100, [Signal("V1:A", ramp(10), 0.1, "V")])])
    site.list(path, START - 18, 100)
    site.span(60)
    samples, attributes = site.read("V1:A")
    assert attributes["t0"] == 1396742420.0 and len(samples) == 6
    same(samples, [2, 3, 4, 5, 6, 7])


def test_a_time_offset_and_an_origin_shift_the_samples(site):
    site.frame(0, 60, [signal("V1:A", offset=3.0, count=50), signal("V1:B", origin=3.0, count=50)])
    site.want("V1:A", "V1:B")
    site.span(60)
    for name in ("V1:A", "V1:B"):
        same(site.read(name)[0], [*[NAN] * 3, *range(50), *[NAN] * 7])


def test_a_rate_at_which_frames_do_not_start_on_a_sample(site):
    # 0.7 s a sample: frames of 10 s hold 14 or 15 samples, each where the one grid of the channel has it.
    times = np.arange(0, 60, 0.7)
    for start in range(0, 60, 10):
        inside = (times >= start) & (times < start + 10)
        first = times[inside][0]
        values = np.flatnonzero(inside).astype("f4")
        site.frame(start, 10, [Signal("V1:A", values, 1 / 0.7, "V", offset=first - start)])
    site.span(60, increment=10)
    samples, attributes = site.read("V1:A")
    assert len(samples) == round(60 / 0.7) and attributes["t0"] == START
    same(samples, ramp(86))


def test_frames_of_a_length_that_is_no_whole_number(site):
    for number in range(4):
        start = START + 7.5 * number
        path = site.frames / f"V-odd-{start}-7.5.gwf"
        write(path, [(start, 7.5, [Signal("V1:A", ramp(15, 15 * number), 2.0)])])
        site.list(path, start, 7.5)
    site.span(30, increment=10)
    same(site.read("V1:A")[0], ramp(60))


def test_of_overlapping_files_the_first_in_time_keeps_its_samples(site):
    site.frame(0, 60, [signal()])
    site.frame(40, 60, [signal(first=1040)])
    site.span(100)
    same(site.read("V1:A")[0], [*range(60), *range(1060, 1100)])


def test_where_the_first_of_overlapping_files_has_none_the_next_fills(site):
    there = np.ones(60, dtype=bool)
    there[50:] = False
    site.frame(0, 60, [signal(there=there)])
    site.frame(40, 60, [signal(first=1040)])
    site.span(100)
    same(site.read("V1:A")[0], [*range(50), *range(1050, 1100)])


def test_of_duplicates_the_longer_is_used_and_the_other_only_in_its_place(site):
    long = site.frame(0, 60, [signal()])
    site.frame(0, 30, [signal(count=30, first=1000)])
    site.span(60)
    same(site.read("V1:A")[0], ramp(60))
    long.write_bytes(b"broken")
    command(
        "extract-increment",
        site.ffl,
        site.channels,
        "--start",
        START,
        "--end",
        START + 60,
        "--parts",
        site.folder / "p2",
    )
    command("pad-merge", site.folder / "p2", "--out", site.h5, "--shrink")
    same(site.read("V1:A")[0], [*range(1000, 1030), *[NAN] * 30])


def test_mixed_frame_lengths_in_one_list(site):
    site.frame(0, 120, [signal(count=120)])
    minutes(site, 2, 3)
    site.frame(240, 30, [signal(count=30, first=240)])
    site.span(270)
    same(site.read("V1:A")[0], ramp(270))
    assert site.json("coverage")["V1:A"]["gwf_mask"] == "1111"


def test_names_with_dots_dashes_and_colons(site):
    names = ["H0:DMT-BRMS_PEM_LVEA_SEISX_0.03_0.1Hz.mean", "V1:A-b.c:d", "Bad_data_(data[0]=nan)"]
    site.want(*names)
    site.frame(0, 60, [signal(name, first=n) for n, name in enumerate(names)])
    site.span(60)
    for n, name in enumerate(names):
        same(site.read(name)[0], ramp(60, n))


def test_channels_that_cannot_be_used_are_pruned_each_with_its_reason(site):
    site.want("V1:A", "V1:COMPLEX", "V1:MASKED", "V1:NOWHERE", "V1:A/B")
    nothing = np.zeros(60, dtype=bool)
    site.frame(
        0,
        60,
        [
            signal(),
            Signal("V1:COMPLEX", np.ones(60, dtype="c8"), 1.0),
            signal("V1:MASKED", there=nothing),
        ],
    )
    rejected = site.folder / "rejected.tsv"
    table = site.folder / "channels.tsv"
    command("prune-channels", site.ffl, site.channels, "--probe", "4", "--rejected", rejected, "--out", table)
    parts = site.folder / "parts"
    command("extract-increment", site.ffl, table, "--start", START, "--end", START + 60, "--parts", parts)
    site.day.mkdir(parents=True)
    command("pad-merge", parts, "--out", site.h5, "--requested", site.channels, "--rejected", rejected)
    command("summarize", site.h5)
    assert site.names("requested") == ["V1:A", "V1:COMPLEX", "V1:MASKED", "V1:NOWHERE", "V1:A/B"]
    assert site.names("valid") == ["V1:A"]
    assert site.rejected() == {
        "V1:COMPLEX": ("pruned", "complex values"),
        "V1:MASKED": ("pruned", "no sample left after masks"),
        "V1:NOWHERE": ("invalid", "in no frame"),
        "V1:A/B": ("invalid", "name cannot be that of a dataset"),
    }


def test_statistics_are_of_the_samples_that_are_there(site):
    values = np.random.default_rng(1).normal(1e6, 3, 360)
    there = np.random.default_rng(2).random(360) > 0.3
    there[:7] = False
    for number in range(6):
        part = slice(60 * number, 60 * number + 60)
        site.frame(60 * number, 60, [Signal("V1:A", values[part], 1.0, there=there[part])])
    site.span(360)
    told, good = site.json("coverage")["V1:A"], values[there]
    assert (told["min"], told["max"]) == (good.min(), good.max())
    assert told["mean"] == pytest.approx(good.mean(), rel=1e-14)
    assert told["std"] == pytest.approx(good.std(), rel=1e-9)
    assert told["nan_samples"] == 360 - len(good) and told["non_nan_samples"] == len(good)
    assert told["first_good_gps"] == START + np.flatnonzero(there)[0]
    assert told["last_good_gps"] == START + np.flatnonzero(there)[-1]


def test_old_frame_formats(site, shared):
    path = shared / "frames" / "v6" / "F-TEST-600000000-60.gwf"
    site.want("H1:LSC-AS_Q")
    site.ffl.write_text(f"{path} 600000000 60 0 0\n")
    parts = site.folder / "parts"
    span = ("--start", "600000000", "--end", "600000060", "--increment", "10")
    command("extract-increment", site.ffl, site.channels, *span, "--parts", parts)
    site.day.mkdir(parents=True)
    command("pad-merge", parts, "--out", site.h5)
    samples, attributes = site.read("H1:LSC-AS_Q")
    from gwpy.timeseries import TimeSeries  # here: it takes seconds

    theirs = TimeSeries.read(path, "H1:LSC-AS_Q", format="gwf.lalframe")
    assert samples.dtype == "f8" and attributes["unit"] == "count"
    same(samples, theirs.value.astype("f8"))


@pytest.mark.parametrize("compression", ["lzf", "gzip", "none"])
def test_compressions_hold_the_same_samples(site, compression):
    minutes(site, 0, 1, 3)
    site.span(240, "--compression", compression)
    same(site.read("V1:A")[0], [*range(120), *[NAN] * 60, *range(180, 240)])
    with h5py.File(site.h5) as file:
        used = file["channels/V1:A"].compression
    assert (used or "none") == compression


def test_a_gap_takes_no_space(site):
    site.frame(0, 60, [signal(count=60 * 4096, rate=4096.0)])
    site.span(3600, increment=60)
    with h5py.File(site.h5) as file:
        dataset = file["channels/V1:A"]
        assert dataset.id.get_num_chunks() * dataset.chunks[0] < 2 * 60 * 4096 < len(dataset)


def test_two_builds_differ_in_nothing_but_their_time_stamps(site):
    site.want("V1:A", "V1:B", "V1:C")
    for number in (0, 1, 3):
        site.frame(
            60 * number,
            60,
            [signal("V1:A", first=number), signal("V1:B", count=3600, rate=60.0), signal("V1:C", count=1, rate=1 / 60)],
        )
    site.span(300)
    first = samples_without_times(site.h5)
    shutil.rmtree(site.folder / "parts")
    site.h5.unlink()
    site.span(300)
    assert samples_without_times(site.h5) == first


def test_parts_that_are_there_are_not_read_again(site):
    minutes(site, 0, 1)
    site.span(120)
    for path in site.frames.iterdir():
        stat = path.stat()
        path.write_bytes(b"x" * stat.st_size)  # nothing may look inside again
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    site.h5.unlink()
    site.span(120)
    same(site.read("V1:A")[0], ramp(120))


def test_channels_that_turn_out_large_are_read_in_several_passes(site, monkeypatch, tmp_path):
    """A list without rates says nothing of the memory that channels take; they still all come out right."""
    from framemake.day import extract, rows
    from framemake.day import reader as readers
    from framemake.gps import Window

    names = [f"V1:C{i}" for i in range(5)]
    for number in range(3):
        site.frame(
            60 * number,
            60,
            [signal(name, count=6000, first=6000 * number + 9 * i, rate=100.0) for i, name in enumerate(names)],
        )
    site.want(*names)
    held = []
    monkeypatch.setattr(rows, "_MOST", 2 * 18000 * 4)
    plain = rows.BlockRows.next_pass
    monkeypatch.setattr(
        rows.BlockRows,
        "next_pass",
        lambda block: held.append(sum(r.data.nbytes for r in block.groups)) or plain(block),
    )
    window = Window(START, START + 180)
    listing = lists.list_frames(str(site.ffl), window).frames
    plan = planning.make(window, 60, "lzf", listing, [channels.Channel(name) for name in names])
    parts = tmp_path / "parts"
    planning.save(plan, parts)
    for block in plan.blocks:
        extract.extract(plan, block, parts, readers.Reader())
    assert len(held) == 3 and max(held) <= 2 * 18000 * 4
    site.day.mkdir(parents=True)
    command("pad-merge", parts, "--out", site.h5)
    for i, name in enumerate(names):
        same(site.read(name)[0], ramp(18000, 9 * i))


def test_frames_at_gps_zero(site):
    path = site.frames / "V-zero-0-60.gwf"
    write(path, [(0, 60, [signal()])])
    span = ("--start", 0, "--end", 60, "--increment", 60)
    command("extract-increment", path, site.channels, *span, "--parts", site.folder / "parts")
    site.day.mkdir(parents=True)
    command("pad-merge", site.folder / "parts", "--out", site.h5)
    samples, attributes = site.read("V1:A")
    same(samples, ramp(60))
    assert attributes["t0"] == 0.0


def test_a_file_without_any_channel_gives_nothing_and_harms_nothing(site):
    minutes(site, 0, 2)
    site.frame(60, 60, [])
    site.span(180)
    same(site.read("V1:A")[0], [*range(60), *[NAN] * 60, *range(120, 180)])
    assert site.json("coverage")["V1:A"]["gwf_mask"] == "101"


def test_a_failing_read_is_tried_again_and_only_so_often(monkeypatch):
    from framemake import gwf
    from framemake.day import reader as readers

    calls = []

    def failing(times):
        def open_file(path):
            calls.append(path)
            if len(calls) <= times:
                raise OSError(5, "Input/output error")
            return "open"

        calls.clear()
        return open_file

    monkeypatch.setattr(readers, "_ATTEMPT_PAUSE", 0)
    monkeypatch.setattr(gwf, "open_file", failing(3))
    assert readers.Reader(retries=3).open("a.gwf") == "open" and len(calls) == 4
    monkeypatch.setattr(gwf, "open_file", failing(3))
    reader = readers.Reader(retries=2)
    with pytest.raises(gwf.BadFrame, match=r"^input/output error$"):
        reader.open("a.gwf")
    assert len(calls) == 3
    with pytest.raises(gwf.BadFrame):
        reader.open("a.gwf")
    assert len(calls) == 3  # a file that was bad is not tried again for each block


def test_a_disk_that_fails_under_a_reader_is_told_from_a_frame_that_is_damaged(site, monkeypatch):
    from framemake import gwf
    from framemake.day import reader as readers

    monkeypatch.setattr(readers, "_ATTEMPT_PAUSE", 0)
    path = site.frame(0, 10, [signal(count=10)])
    whole = path.read_bytes()
    # The table of contents is whole, the channel's structure is not: it is read when the channel is.
    at = whole.index(b"V1:A\0") - 20
    path.write_bytes(whole[:at] + b"\xff" * 40 + whole[at + 40 :])
    for system in (False, True):
        reader = readers.Reader(retries=1)
        file = reader.open(str(path))
        if system:
            # What Linux answers for this file is the error of a disk that fails.
            path.unlink()
            path.symlink_to("/proc/self/mem")
        with pytest.raises(gwf.BadFrame) as error:
            reader.read(str(path), file, 0, "V1:A", "adc")
        assert isinstance(error.value, gwf.Unreadable) == system
        assert (str(error.value) == "input/output error") == system


def peak(*command):
    """MB of the memory that a command's process takes, which must go well."""
    code = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], check=True, stdout=s.DEVNULL);"
    code += "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    command = [sys.executable, "-c", code, *map(str, command)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.long
def test_a_raw_channel_takes_no_more_memory_than_a_trend(site):
    """20 kHz for 20 minutes: a day's row of chunks would be more than one read brings, and than memory holds."""
    span = ("--start", START, "--end", START + 1200)
    raw = ("--channels", 1, "--rate", 20000, "--duration", 100, "--list", site.channels)
    site.ffl.write_text(command("make-frames", site.frames, *span, *raw).stdout)
    site.day.mkdir(parents=True)
    parts = site.folder / "parts"
    assert peak(BIN / "extract-increment", site.ffl, site.channels, *span, "--parts", parts) < 400
    assert len(list(parts.glob("*.h5"))) == 2
    assert peak(BIN / "pad-merge", parts, "--out", site.h5) < 250
    assert peak(BIN / "check-day", site.h5) < 600  # with gwpy
    maker = synthetic.Maker(20000)
    with h5py.File(site.h5) as file:
        (dataset,) = file["channels"].values()
        for second in (0, 599, 600, 1199):
            wanted = maker.samples(0, START + second, 20000)
            np.testing.assert_array_equal(dataset[20000 * second : 20000 * (second + 1)], wanted)


@pytest.mark.parametrize(("rate", "dtype"), [(20000, "float32"), (16384, "float64"), (50, "float32"), (1, "float32")])
@pytest.mark.parametrize("duration", [100, 3600, 86400])
def test_a_block_fits_into_memory_whatever_the_rate_and_the_frames(rate, dtype, duration):
    window = gps.day_window(DAY)
    starts = range(window.start // duration * duration, window.end, duration)
    listing = [catalog.Frame(f"/f/V-raw-{start}-{duration}.gwf", start, duration, 1, 1) for start in starts]
    wanted = [channels.Channel(f"V1:C{n}", rate, "adc", dtype) for n in range(3 if rate > 1000 else 500)]
    plan = planning.make(window, 600, "lzf", listing, wanted)
    sizes = [len(block.channels) * (block.end - block.start) * rate * np.dtype(dtype).itemsize for block in plan.blocks]
    assert sum(sizes) == pytest.approx(len(wanted) * 86400 * rate * np.dtype(dtype).itemsize)
    # One unit of one channel is read whole.
    assert max(sizes) <= max(planning.BUDGET, 600 * rate * np.dtype(dtype).itemsize)


@pytest.mark.long
def test_twenty_thousand_channels(site):
    names = [f"V1:SYS_{i % 100}_CH{i:05d}_mean" for i in range(20_000)]
    site.want(*names)
    site.frame(0, 10, [signal(name, count=10, first=i) for i, name in enumerate(names)])
    site.span(10, increment=10)
    with h5py.File(site.h5) as file:
        assert len(file["channels"]) == 20_000
        for i in (0, 1, 9_999, 19_999):
            same(file["channels"][names[i]][()], ramp(10, i))
    assert len(site.json("coverage")) == 20_000


@pytest.mark.long
def test_a_frame_list_of_a_whole_day_meets_two_utc_days(site):
    """Virgo's trend files of 86400 s begin at 23:59:42 UTC: one UTC day spans two of them."""
    made = command("make-frames", site.frames, "--day", "2024-04-10", "--duration", 86400, "--channels", 2)
    lines = made.stdout.splitlines()
    assert [line.split()[1:3] for line in lines] == [["1396742400", "86400"], ["1396828800", "86400"]]
    site.ffl.write_text(made.stdout)
    site.want("V1:Sa_NE_CH00000_mean")
    parts = site.folder / "parts"
    command("extract-increment", site.ffl, site.channels, "--day", "2024-04-10", "--parts", parts)
    site.day.mkdir(parents=True)
    command("pad-merge", parts, "--out", site.h5)
    samples, attributes = site.read("V1:Sa_NE_CH00000_mean")
    assert len(samples) == 86400 and not np.isnan(samples).any() and attributes["t0"] == START
    assert inside("check-day", "--all", site.h5).stdout == ""


def test_a_channel_larger_than_the_memory_that_is_allowed_is_read_all_the_same(site, monkeypatch, tmp_path):
    """Hints that are wrong, rows larger than the limit, two rates in one channel: each pass still ends one channel."""
    from framemake.day import extract, rows
    from framemake.day import reader as readers
    from framemake.gps import Window

    names = ["V1:A", "V1:B", "V1:C"]
    for number, rate in enumerate((100.0, 50.0, 100.0)):
        signals = [signal(name, count=round(60 * rate), rate=rate) for name in names]
        site.frame(60 * number, 60, signals)
    monkeypatch.setattr(rows, "_MOST", 1000)
    window = Window(START, START + 180)
    wanted = [channels.Channel(name, 1.0, "adc", "float32", "V") for name in names]
    plan = planning.make(window, 60, "lzf", lists.list_frames(str(site.ffl), window).frames, wanted)
    planning.save(plan, tmp_path / "parts")
    for block in plan.blocks:
        extract.extract(plan, block, tmp_path / "parts", readers.Reader())
    site.day.mkdir(parents=True)
    command("pad-merge", tmp_path / "parts", "--out", site.h5)
    for name in names:
        same(site.read(name)[0], [*range(6000), *[NAN] * 6000, *range(6000)])


@pytest.mark.parametrize("rate", [1.0, 16.0, 20000.0, 0.1])
def test_a_window_shorter_than_an_increment_works_for_every_rate(site, rate):
    """A chunk was longer than its dataset: pad-merge failed for 16 Hz."""
    site.frame(0, 60, [signal(count=int(60 * rate), rate=rate)])
    site.span(60, increment=600)
    same(site.read("V1:A")[0], ramp(int(60 * rate)))


def test_a_day_after_gps_2_to_the_31(tmp_path):
    start = 2**31 + 600
    write(tmp_path / f"V-test-{start}-60.gwf", [(start, 60, [signal()])])
    (tmp_path / "list").write_text("V1:A\n")
    span = ("--start", start, "--end", start + 60, "--increment", "60")
    command("extract-increment", tmp_path, tmp_path / "list", *span, "--parts", tmp_path / "parts")
    command("pad-merge", tmp_path / "parts", "--out", tmp_path / "day.h5")
    with h5py.File(tmp_path / "day.h5") as file:
        same(file["channels/V1:A"][()], ramp(60))
        assert file["channels/V1:A"].attrs["t0"] == start


def test_integers_that_no_float_holds_are_nan_and_told(site):
    data = np.arange(60) + 2**53 - 30
    site.frame(0, 60, [Signal("V1:A", data, 1.0)])
    done = site.span(60)
    samples, _ = site.read("V1:A")
    assert np.isnan(samples).sum() == 29 and (samples[:31] == data[:31]).all()
    said = "integers beyond 2^53, which no float holds"
    assert f"not all samples can be used, {said}: 'V1:A'" in done.stderr
    assert site.json("summary")["unusable_samples"] == {"V1:A": said}


def test_a_channel_that_is_damaged_in_each_frame_is_pruned_with_that_reason(site):
    site.want("V1:A", "V1:B")
    for number in range(2):
        path = site.frame(60 * number, 60, [signal(first=60 * number), signal("V1:B", there=np.ones(60, bool))])
        raw = bytearray(path.read_bytes())
        raw[raw.index(ramp(60).tobytes(), raw.index(b"V1:B\0")) + 100] ^= 1
        path.write_bytes(raw)
    site.span(120)
    said = "damaged in each frame that has it: damaged: checksum does not match"
    assert site.rejected() == {"V1:B": ("pruned", said)}
    assert [entry["channel"] for entry in site.json("summary")["bad_frames"]] == ["V1:B", "V1:B"]
    same(site.read("V1:A")[0], ramp(120))


def test_a_day_whose_frames_are_all_absent_fails_in_one_line(site):
    """It was an IndexError, in each command that looks into the frames."""
    site.list("/nowhere/V-test-1.gwf", START, 60)
    span = ("--start", START, "--end", START + 60)
    for name, more in (("prune-channels", ()), ("extract-increment", ("--parts", site.folder / "parts"))):
        done = command(name, site.ffl, site.channels, *span, *more, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"{name}: no frame can be read: '/nowhere/V-test-1.gwf' (absent)\n"
