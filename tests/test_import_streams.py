"""bin/import-streams: the original importer's bytes, whatever the nights, the faults and the kills."""

import fcntl
import os
import pty
import random
import re
import resource
import shutil
import subprocess
import time

import numpy as np
import pytest
from framemake.gwf.write import Signal
from framemake.streams import records, store
from framemake.streams.intake import importer
from support import sites
from support import streams as made
from support.commands import BIN, bound, long, refused, run
from support.streams import HOUR, MINUTE, NIGHT, TEN
from support.undisturbed import check_streams, opened

RAIN, SEIS, TILT, MAG = "H0:PEM-EX_RAIN", "H0:PEM-EX_SEISX", "H0:PEM-LVEA_TILTX", "H0:PEM-LVEA_MAGX"
FLOAT = {SEIS: "f4"}
ALL = {RAIN: "i4", SEIS: "f4", TILT: "f8"}


@pytest.fixture
def tree(tmp_path):
    return tmp_path / "frames"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "streams"


@pytest.fixture(scope="module")
def golden(shared):
    """The shared tree of frames, and what the original importer made of it."""
    folder = shared / "elab"
    if not folder.is_dir():
        pytest.skip(f"no shared data: {folder}")
    return folder / "frames", folder / "streams"


def whole(folder):
    """{name: bytes} of all that is visible in a folder of streams."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def files_of(tree):
    """The frame files of a tree in the order of their times."""
    return sorted(tree.glob("*/*/*/*.gwf"), key=lambda path: (path.name.split("-")[2], path.name))


def faulty(tree, out):
    """The lines of ImportData.errors of an import that must end with exit status 3."""
    before = len(made.errors(out))
    status, data, told = run("import-streams", tree, out)
    assert (status, data) == (3, ""), told
    many = r"'.+', see|\d+ files with faults, '.+' and others, see"
    assert re.fullmatch(
        rf"import-streams: \d+ files done, .*; (a file with faults, {many}) '.*ImportData.errors'\n", told
    )
    return made.errors(out)[before:]


def once(tmp_path, tree):
    """The stream files that one import of the whole tree gives."""
    folder = tmp_path / "once"
    shutil.rmtree(folder, ignore_errors=True)
    importer.run(str(tree), str(folder))
    return made.contents(folder)


# --- the original's bytes ----------------------------------------------------------------


def test_make_streams_does_what_the_command_does(tmp_path):
    tree, out = tmp_path / "frames $(touch owned) #1", tmp_path / "it's & out"
    made.frame(tree, NIGHT, ALL)

    def make(*variables):
        return sites.make("streams", *variables, cwd=tmp_path)

    done = make(f"FRAMES={tree}", f"STREAMS={out}")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert made.contents(out) == once(tmp_path, tree) and not (tmp_path / "owned").exists()
    made.frame(tree, NIGHT + HOUR, ALL).write_bytes(b"no frame")
    done = make(f"FRAMES={tree}", f"STREAMS={out}")
    assert done.returncode != 0 and "a file with faults" in done.stderr
    for given, missing in (((), "FRAMES"), ((f"FRAMES={tree}",), "STREAMS")):
        told = make(*given).stderr.splitlines()
        assert told[0].startswith(f"make: {missing} names no ") and len(told) == 2


def test_one_run_gives_the_bytes_of_the_original_importer(golden, out):
    frames, expected = golden
    told = made.commanded(frames, out)
    assert whole(out) == whole(expected)
    assert re.fullmatch(r"import-streams: 35 files done, 50692 records in 16 streams, [\d.]+ s\n", told)


def test_a_second_run_has_nothing_to_do_and_changes_nothing(golden, out):
    made.imported(golden[0], out)
    before = whole(out)
    assert "0 files done, 0 records" in made.commanded(golden[0], out)
    assert whole(out) == before


def test_one_file_a_night_gives_the_bytes_of_one_run(golden, tree, out):
    for path in files_of(golden[0]):
        made.arrive([path], golden[0], tree)
        assert importer.run(str(tree), str(out)).faulty == []
    assert made.contents(out) == made.contents(golden[1])


@pytest.mark.parametrize("seed", range(3))
def test_random_nights_give_the_bytes_of_one_run(golden, tree, out, seed):
    left = files_of(golden[0])
    chance = random.Random(seed)
    chance.shuffle(left)
    while left:
        some = chance.randrange(1, 12)
        made.arrive(left[:some], golden[0], tree)
        left = left[some:]
        importer.run(str(tree), str(out))
    assert made.contents(out) == made.contents(golden[1])
    assert sorted(made.logged(out)) == sorted(made.logged(golden[1]))


@pytest.mark.parametrize("nights", (3, 11, 17, 25))
def test_a_folder_that_the_original_importer_began_is_continued(golden, tree, out, nights):
    paths = sorted(files_of(golden[0]), key=lambda path: path.name[0])
    made.arrive(paths[:nights], golden[0], tree)
    importer.run(str(tree), str(out))
    shutil.rmtree(out / ".framemake")
    made.arrive(paths[nights:], golden[0], tree)
    assert importer.run(str(tree), str(out)).faulty == []
    assert made.contents(out) == made.contents(golden[1])
    assert made.errors(out) == []


def test_a_folder_of_the_original_is_continued_without_the_frames_it_was_made_of(golden, tmp_path, tree, out):
    paths = [path for path in files_of(golden[0]) if path.name[0] == "H"]
    early = [path for path in paths if path.name < "H-M-1147996800"]
    made.arrive([path for path in early if "-M-" in path.name], golden[0], tree)
    importer.run(str(tree), str(out))
    shutil.rmtree(out / ".framemake")
    shutil.rmtree(tree)
    # The night begins with a gap, for which the last good values are needed.
    made.arrive([path for path in paths if path not in early or "-T-" in path.name], golden[0], tree)
    assert importer.run(str(tree), str(out)).faulty == []
    ours, theirs = made.contents(out), made.contents(golden[1])
    doubles = [name[: -len(".info")] for name, text in ours.items() if name.endswith(".info") and b"double" in text]
    exact = [name for name in ours if not name.startswith(tuple(doubles))]
    assert len(exact) >= 18
    assert {name: ours[name] for name in exact} == {name: theirs[name] for name in exact}
    # Of a double channel the sums tell them but for rounding, and that is said.
    assert sum("known but for rounding" in line for line in made.errors(out)) == 3
    for name in ("H0:PEM-MX_TILTT", "H0:DMT-BRMS_PEM_LVEA_SEISX_0.03_0.1Hz"):
        mine, original = (store.open_stream(str(folder), name).records for folder in (out, golden[1]))
        assert (mine["time"] == original["time"]).all() and (mine["valid"] == original["valid"]).all()
        np.testing.assert_allclose(mine["square"], original["square"], rtol=1e-12)


def test_the_line_of_old_crontabs_works_with_its_argument_in_the_middle(golden, out):
    status, data, _ = run("import-streams", golden[0], "/no/such/ligotools", out)
    assert (status, data) == (0, "")
    assert made.contents(out) == made.contents(golden[1])


# --- defects of the original that ours must not have -------------------------------------


def test_a_night_that_begins_with_zeros_carries_the_last_good_values_on(tmp_path, tree, out):
    for at in range(3):
        mean, rms = (signal.data for signal in made.trend(MAG, NIGHT + at * HOUR, 60, 60))
        mean[:5] = rms[:5] = 0
        made.frame(tree, NIGHT + at * HOUR, made.trend(MAG, NIGHT + at * HOUR, 60, 60, mean=mean, rms=rms))
        made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    kept = made.records(out, MAG)
    # Across the invalid records the mean square is that of the last good one, not zero or a part of it.
    step = (kept["square"][62] - kept["square"][61]) / (60 * 2048)
    last = (kept["square"][59] - kept["square"][58]) / (60 * 2048)
    assert not kept["valid"][61] and step == pytest.approx(last, rel=1e-9)


def test_a_night_that_begins_with_a_gap_carries_the_last_good_values_on(tmp_path, tree, out):
    for start in (NIGHT, NIGHT + 2 * HOUR, NIGHT + 5 * HOUR):
        made.frame(tree, start, {MAG: "f4", TILT: "f8", RAIN: "i4"})
        made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)


@pytest.mark.parametrize(
    "late",
    (
        pytest.param([1], id="one"),
        pytest.param([0], id="the first of all"),
        pytest.param([2, 3], id="within a gap"),
        pytest.param([0, 1, 2, 3, 5], id="many"),
    ),
)
def test_late_files_are_put_in_their_place(tmp_path, tree, out, late):
    hours = [0, 1, 2, 3, 4, 5, 9]
    for hour in hours:
        if hour not in late:
            made.frame(tree, NIGHT + hour * HOUR, ALL)
    made.imported(tree, out)
    for hour in late:
        made.frame(tree, NIGHT + hour * HOUR, ALL)
    made.commanded(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    assert len(made.logged(out)) == len(hours)
    valid = made.records(out, SEIS)
    assert valid["time"][valid["valid"] == 255].tolist() == [
        NIGHT + h * HOUR + 60 * k for h in hours for k in range(60)
    ]


def test_second_trend_that_comes_after_the_minute_trend_of_its_hour_takes_its_place(tmp_path, tree, out):
    made.frame(tree, NIGHT, ALL)
    made.frame(tree, NIGHT + HOUR, ALL)
    made.imported(tree, out)
    made.frame(tree, NIGHT + TEN, ALL, fine=True)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    times = made.records(out, SEIS)["time"] - NIGHT
    assert times.tolist() == [*range(0, 600, 60), *range(600, 1200), *range(1200, 7200, 60)]


def test_minute_samples_around_second_trend_that_covers_part_of_the_hour_are_kept(tree, out):
    made.frame(tree, NIGHT, FLOAT)
    made.frame(tree, NIGHT + 2 * TEN, FLOAT, fine=True)
    made.imported(tree, out)
    kept = made.records(out, SEIS)
    assert (kept["time"] - NIGHT).tolist() == [*range(0, 1200, 60), *range(1200, 1800), *range(1800, 3600, 60)]
    assert (kept["valid"] == 255).all()


def test_coverage_is_of_each_channel_by_itself(tree, out):
    made.frame(tree, NIGHT, {SEIS: "f4", TILT: "f8"})
    made.frame(tree, NIGHT, FLOAT, fine=True)
    made.imported(tree, out)
    assert len(made.records(out, SEIS)) == 600 + 50
    assert len(made.records(out, TILT)) == 60


def test_of_two_files_of_one_trend_that_overlap_the_first_wins(tree, out):
    made.frame(tree, NIGHT, FLOAT, fine=True)
    seconds = np.full(MINUTE, 5.0, "f4")
    doubled = made.trend(SEIS, NIGHT + 570, 1, MINUTE, mean=seconds, rms=seconds)
    made.frame(tree, NIGHT + 570, doubled, fine=True, duration=MINUTE)
    made.imported(tree, out)
    kept = made.records(out, SEIS)
    assert (kept["time"] - NIGHT).tolist() == list(range(630))
    means = np.diff(kept["sum"]) / 256
    assert (means[:599] > 100).all() and (means[599:] == 5).all()


def test_a_late_file_whose_neighbours_are_gone_is_told_and_changes_nothing(tree, out):
    paths = [made.frame(tree, NIGHT + hour * HOUR, ALL) for hour in (0, 2, 3)]
    made.imported(tree, out)
    before = made.contents(out)
    paths[1].unlink()
    late = made.frame(tree, NIGHT + HOUR, ALL)
    lines = faulty(tree, out)
    assert len(lines) == 3 and all(late.name in line and "too late" in line for line in lines)
    assert made.contents(out) == before
    assert late.name not in made.logged(out)
    # Told once; and what comes next goes on.
    made.frame(tree, NIGHT + 4 * HOUR, ALL)
    made.imported(tree, out)
    assert made.records(out, SEIS)["time"][-1] == NIGHT + 5 * HOUR - 60


def test_a_late_file_needs_no_frame_of_the_time_before_it_but_for_double(tmp_path, tree, out):
    paths = [made.frame(tree, NIGHT + hour * HOUR, {RAIN: "i4", SEIS: "f4"}) for hour in (0, 2)]
    made.imported(tree, out)
    kept = paths[0].read_bytes()
    paths[0].unlink()
    made.frame(tree, NIGHT + HOUR, {RAIN: "i4", SEIS: "f4"})
    made.imported(tree, out)
    paths[0].write_bytes(kept)
    assert made.contents(out) == once(tmp_path, tree)


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-4000])


def damage_empty(path):
    path.write_bytes(b"")


def damage_text(path):
    path.write_text("no frame\n")


@pytest.mark.parametrize("damage", (damage_cut, damage_empty, damage_text))
def test_a_damaged_file_is_told_and_tried_again_when_it_has_changed(tmp_path, tree, out, damage):
    made.frame(tree, NIGHT, ALL)
    bad = made.frame(tree, NIGHT + HOUR, ALL)
    made.frame(tree, NIGHT + 2 * HOUR, ALL)
    good = bad.read_bytes()
    damage(bad)
    lines = faulty(tree, out)
    assert len(lines) == 1 and bad.name in lines[0]
    assert bad.name not in made.logged(out) and len(made.logged(out)) == 2
    # Not changed: not tried, not told again.
    made.imported(tree, out)
    bad.write_bytes(good)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    assert bad.name in made.logged(out)


def test_a_file_that_cannot_be_had_is_tried_again_though_it_is_what_it_was(tmp_path, tree, out):
    made.frame(tree, NIGHT, ALL)
    denied = made.frame(tree, NIGHT + HOUR, ALL)
    made.frame(tree, NIGHT + 2 * HOUR, ALL)
    denied.chmod(0)
    command = [*bound(), BIN / "import-streams", tree, out]
    for night in (1, 2):
        assert subprocess.run(command, check=False, capture_output=True).returncode == 3
        assert len(made.errors(out)) == night and made.errors(out)[-1].endswith(f"{denied.name}: permission denied")
    denied.chmod(0o644)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    made.imported(tree, out)
    assert made.logged(out).count(denied.name) == 1


def without(signals, ending):
    return [signal for signal in signals if not signal.name.endswith(ending)]


def test_a_mean_without_rms_costs_that_channel_alone(tmp_path, tree, out):
    signals = [*made.trend(SEIS, NIGHT, 60, 60), *made.trend(TILT, NIGHT, 60, 60, "f8")]
    path = made.frame(tree, NIGHT, without(signals, f"{SEIS}.rms"))
    made.frame(tree, NIGHT + HOUR, {SEIS: "f4", TILT: "f8"})
    lines = faulty(tree, out)
    assert len(lines) == 1 and path.name in lines[0] and SEIS in lines[0] and ".rms" in lines[0]
    assert len(made.records(out, TILT)) == 120 and len(made.records(out, SEIS)) == 60
    # The file comes whole: its channel is put in its place.
    time.sleep(0.01)
    made.frame(tree, NIGHT, signals)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    assert len(made.logged(out)) == 2


def test_another_dtype_is_told_and_the_rest_goes_on(tree, out):
    made.frame(tree, NIGHT, {SEIS: "f4", "H0:PEM-EX_WIND": "i2", TILT: "f8"})
    lines = faulty(tree, out)
    assert len(lines) == 1 and "WIND" in lines[0] and "int16" in lines[0]
    assert store.names(str(out)) == [SEIS, TILT]


def test_a_dtype_that_changes_is_told_and_what_is_stored_stays(tree, out):
    made.frame(tree, NIGHT, {SEIS: "f4", TILT: "f8"})
    made.imported(tree, out)
    before = made.contents(out)[f"{SEIS}.bin"]
    made.frame(tree, NIGHT + HOUR, {SEIS: "f8", TILT: "f8"})
    lines = faulty(tree, out)
    assert len(lines) == 1 and SEIS in lines[0] and "double" in lines[0] and "float" in lines[0]
    assert made.contents(out)[f"{SEIS}.bin"] == before and len(made.records(out, TILT)) == 120


def set_slope(path, slope, bias=0.0):
    """Write another slope and bias into the FrAdcData of every channel of a file, and their checksums."""
    import struct

    from framemake.gwf import adc

    data = bytearray(path.read_bytes())
    with open(path, "rb") as file:
        order, _, places = adc.positions(file)
    for of_frames in places.values():
        for at in of_frames:
            length = struct.unpack_from(order + "Q", data, at)[0]
            place = at + 14
            for _ in range(2):
                place += 2 + struct.unpack_from(order + "H", data, place)[0]
            struct.pack_into(order + "ff", data, place + 12, bias, slope)
            struct.pack_into(order + "I", data, at + length - 4, adc.cksum(bytes(data[at : at + length - 4])))
    path.write_bytes(data)


def test_slope_and_bias_of_the_frame_go_into_info(tree, out):
    set_slope(made.frame(tree, NIGHT, ALL), 0.000061035, -2.5)
    made.imported(tree, out)
    text = (out / f"{SEIS}.info").read_text()
    assert text == "datatype = float\nnbits = 32\nbias = -2.5\nslope = 6.1035e-05\nunits = \n"


def test_a_slope_that_changes_is_told_and_its_samples_are_left_out(tree, out):
    made.frame(tree, NIGHT, ALL)
    set_slope(made.frame(tree, NIGHT + HOUR, ALL), 2.0)
    made.frame(tree, NIGHT + 2 * HOUR, ALL)
    lines = faulty(tree, out)
    assert len(lines) == 3 and all("slope 2" in line for line in lines)
    assert "slope = 1\n" in (out / f"{SEIS}.info").read_text()
    kept = made.records(out, SEIS)
    assert sum(kept["valid"] == 255) == 120 and sum(kept["valid"] == 0) == 2
    made.imported(tree, out)  # told once


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf, 3e38))
@pytest.mark.parametrize("ending", ("mean", "rms"))
def test_nan_and_inf_are_invalid_like_zero_and_do_not_stay_in_the_sums(tree, out, value, ending):
    mean, rms = (signal.data.copy() for signal in made.trend(SEIS, NIGHT, 60, 60))
    (mean if ending == "mean" else rms)[30] = value
    made.frame(tree, NIGHT, made.trend(SEIS, NIGHT, 60, 60, mean=mean, rms=rms))
    made.frame(tree, NIGHT + HOUR, FLOAT)
    made.imported(tree, out)
    kept = made.records(out, SEIS)
    assert np.isfinite(kept["sum"]).all() and np.isfinite(kept["square"]).all()
    expected = [] if value == 3e38 else [29, 30, 31]
    assert np.flatnonzero(kept["valid"] == 0).tolist() == expected


def test_a_square_that_no_double_holds_is_invalid(tree, out):
    mean, rms = (signal.data.copy() for signal in made.trend(TILT, NIGHT, 60, 60, "f8"))
    rms[30] = 1e200
    made.frame(tree, NIGHT, made.trend(TILT, NIGHT, 60, 60, mean=mean, rms=rms))
    made.imported(tree, out)
    kept = made.records(out, TILT)
    assert np.isfinite(kept["square"]).all() and not kept["valid"][30]


def test_sums_that_would_leave_their_type_are_told_and_left_out(tree, out):
    most = np.full(60, 2**31 - 1, "i4")
    made.frame(
        tree, NIGHT, [*made.trend("H0:X-Y_MAGX", NIGHT, 60, 60, mean=most, rms=most), *made.trend(SEIS, NIGHT, 60, 60)]
    )
    lines = faulty(tree, out)
    assert len(lines) == 1 and "MAGX" in lines[0] and "overflow" in lines[0]
    assert store.names(str(out)) == [SEIS]


def test_what_the_frame_says_is_invalid_is_invalid(tree, out):
    mask = np.zeros(60, "u2")
    mask[10] = 1
    signals = [*made.trend(SEIS, NIGHT, 60, 60, mask=mask), *made.trend(TILT, NIGHT, 60, 60, "f8", valid=1)]
    made.frame(tree, NIGHT, signals)
    made.frame(tree, NIGHT + HOUR, {SEIS: "f4", TILT: "f8"})
    made.imported(tree, out)
    assert np.flatnonzero(made.records(out, SEIS)["valid"] == 0).tolist() == [9, 10, 11]
    assert np.flatnonzero(made.records(out, TILT)["valid"] == 0).tolist() == list(range(60))


def test_virgos_vector_of_available_data_counts(tree, out):
    there = np.ones(60, "i1")
    there[20:23] = 0
    made.frame(tree, NIGHT, made.trend(SEIS, NIGHT, 60, 60, there=there))
    made.imported(tree, out)
    assert np.flatnonzero(made.records(out, SEIS)["valid"] == 0).tolist() == [19, 20, 21, 22, 23]


def test_all_frames_of_a_file_of_several_count(tmp_path, tree, out):
    path = made.path_of(tree, NIGHT)
    starts = (NIGHT, NIGHT + 1200, NIGHT + 3000)
    frames = [(start, TEN, made.trend(SEIS, start, 60, 10)) for start in starts]
    made.multi_frame(path, frames)
    made.imported(tree, out)
    kept = made.records(out, SEIS)
    valid = kept["time"][kept["valid"] == 255] - NIGHT
    assert valid.tolist() == [*range(0, 600, 60), *range(1200, 1800, 60), *range(3000, 3600, 60)]
    assert np.count_nonzero(kept["valid"] == 0) == 4


def test_frames_elsewhere_than_the_name_tells_are_told(tree, out):
    path = made.path_of(tree, NIGHT)
    made.multi_frame(path, [(NIGHT + HOUR, HOUR, made.trend(SEIS, NIGHT + HOUR, 60, 60))])
    lines = faulty(tree, out)
    assert len(lines) == 1 and "outside of what its name tells" in lines[0]


def test_a_switch_from_minute_to_second_trend_after_a_gap_is_in_the_index(tree, out):
    # R = 1: the records of the gap are as far apart from their neighbours as the samples of second trend.
    channel = "H1:PEM-X_DQ"
    made.frame(tree, NIGHT, {channel: "f4"})
    made.frame(tree, NIGHT + HOUR + TEN, {channel: "f4"}, fine=True)
    made.imported(tree, out)
    index = store.open_stream(str(out), channel).index
    last = NIGHT + HOUR - 60
    assert index.tolist() == [
        (0.0, NIGHT),
        (NIGHT, 60.0),
        (last, 1.0),
        (last + 1, 658.0),
        (NIGHT + HOUR + TEN - 1, 1.0),
    ]


def place_of(stream, time):
    """The record of a time by the index, as the original's reader counts."""
    at, count = 0, 0
    entries = stream.index
    while at + 1 < len(entries) and entries["time"][at + 1] <= time:
        count += round((entries["time"][at + 1] - entries["time"][at]) / entries["interval"][at])
        at += 1
    return count - 1 + int((time - entries["time"][at]) / entries["interval"][at])


def test_the_index_finds_every_record(golden, out):
    made.imported(golden[0], out)
    for name in store.names(str(out))[::3]:
        stream = store.open_stream(str(out), name)
        for at in range(0, len(stream.records), 97):
            assert place_of(stream, stream.records["time"][at]) == at


def test_a_name_of_a_folder_reaches_no_shell(tmp_path, tree, out):
    folder = tree / "minute-trend" / "LHO" / "H-M-1148;touch touched;`touch touched`$(touch touched)"
    folder.mkdir(parents=True)
    shutil.move(made.frame(tmp_path / "other", NIGHT, FLOAT), folder)
    status, _, _ = run("import-streams", tree, out, cwd=tmp_path)
    assert status == 0 and not (tmp_path / "touched").exists()
    assert len(made.records(out, SEIS)) == 60


def test_strays_are_told_once_and_skipped(tree, out):
    path = made.frame(tree, NIGHT, FLOAT)
    for stray in ("readme.txt", "H-M-1148000400-360.gwf", "H-T-1148000400-600.gwf", "L M-1-3600.gwf"):
        (path.parent / stray).write_text("x")
    (path.parent / f".{path.name}.Xy12").write_text("rsync writes here")
    (path.parents[1] / "lost+found").mkdir()
    lines = faulty(tree, out)
    assert len(lines) == 5 and not any("Xy12" in line for line in lines)
    assert len(made.records(out, SEIS)) == 60
    made.imported(tree, out)


# --- names and rates ---------------------------------------------------------------------


def test_later_dashes_of_a_channel_are_underscores_in_its_stream(tree, out):
    made.frame(tree, NIGHT, {"H0:DMT-BRMS_SEISZ_0.1-0.3Hz": "f8"})
    made.imported(tree, out)
    assert store.names(str(out)) == ["H0:DMT-BRMS_SEISZ_0.1_0.3Hz"]


def test_two_channels_of_one_stream_in_a_file_are_told(tree, out):
    made.frame(tree, NIGHT, {"H0:A-B-X_DQ": "f4", "H0:A-B_X_DQ": "f4"})
    assert "the same stream" in faulty(tree, out)[0]
    assert len(made.records(out, "H0:A-B_X_DQ")) == 60


def test_an_unknown_subsystem_takes_its_rate_from_the_n_trend_and_keeps_it(tree, out):
    made.frame(tree, NIGHT, made.trend("H0:PEM-X_STRANGE", NIGHT, 60, 60, rate=128, n=True))
    made.imported(tree, out)
    assert [line.split(": ", 1)[1] for line in made.errors(out)] == [
        "H0:PEM-X_STRANGE: not in the table of rates: 128 raw samples a second, by its .n trend"
    ]
    made.frame(tree, NIGHT + HOUR, made.trend("H0:PEM-X_STRANGE", NIGHT, 60, 60, rate=4, n=True))
    made.imported(tree, out)
    assert store.open_stream(str(out), "H0:PEM-X_STRANGE").rate == 128 and len(made.errors(out)) == 1


def test_an_unknown_subsystem_without_n_trend_has_one_raw_sample_a_second(tree, out):
    made.frame(tree, NIGHT, {"H0:PEM-X_STRANGE": "f4"})
    made.imported(tree, out)
    assert store.open_stream(str(out), "H0:PEM-X_STRANGE").rate == 1
    assert "1 raw sample a second is taken" in made.errors(out)[0]


# --- torn files, kills, locks, full disks ------------------------------------------------


def nightly(tree):
    """A tree whose second half is late files and new ones; (what comes first, what comes then)."""
    few = {SEIS: "f4", RAIN: "i4"}
    first = [made.frame(tree, NIGHT + hour * HOUR, few) for hour in (0, 2, 3)]
    then = [made.frame(tree, NIGHT + hour * HOUR, few | {MAG: "f4"}) for hour in (1, 4)]
    then.append(made.frame(tree, NIGHT + 2 * HOUR + TEN, FLOAT, fine=True))
    return first, then


TEARS = [(suffix, how) for suffix in store.SUFFIXES for how in ("shorter", "empty", "absent", "longer")]


@pytest.mark.parametrize(("suffix", "change"), TEARS[:-1])  # no .info is appended to
def test_a_torn_file_is_mended(tmp_path, tree, out, suffix, change):
    for hour in (0, 1, 3):
        made.frame(tree, NIGHT + hour * HOUR, ALL)
    made.imported(tree, out)
    path = out / f"{SEIS}{suffix}"
    whole = path.read_bytes()
    if change == "absent":
        path.unlink()
    else:
        path.write_bytes({"shorter": whole[:-21], "empty": b"", "longer": whole}[change])
    if change == "longer":  # as a kill leaves it
        path.write_bytes(whole + b"x" * 33)
        (out / ".framemake" / "running").touch()
    made.frame(tree, NIGHT + 4 * HOUR, ALL)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)


def test_a_torn_stream_of_the_original_is_mended(tmp_path, tree, out):
    paths = [made.frame(tree, NIGHT + hour * HOUR, ALL) for hour in (0, 1, 3)]
    importer.run(str(tree), str(out))
    shutil.rmtree(out / ".framemake")
    path = out / f"{SEIS}.bin"
    path.write_bytes(path.read_bytes()[:-7])
    (out / f"{RAIN}.info").write_bytes(b"")
    # The killed import of the original had not logged its last file.
    log = out / "ligoimport.files"
    log.write_text("".join(f"{path.name}\n" for path in paths[:2]))
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    assert any("not whole" in line and RAIN in line for line in made.errors(out))


@pytest.mark.slow
@pytest.mark.parametrize("begun", (long("ours"), long("the original's"), "nothing"))
def test_an_import_killed_at_any_of_its_writes_leaves_old_or_new_and_is_continued(tmp_path, tree, out, begun):
    first, then = nightly(tmp_path / "source")
    made.arrive(first, tmp_path / "source", tree)
    out.mkdir()
    if begun != "nothing":
        made.imported(tree, out)
    if begun == "the original's":
        shutil.rmtree(out / ".framemake")
    before = opened(out)
    made.arrive(then, tmp_path / "source", tree)
    expected = once(tmp_path, tree)
    after = opened(tmp_path / "once")
    shutil.copytree(out, tmp_path / "begun")
    for call in range(1, 1000):
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "begun", out)
        died = made.killed_at(call, tree, out)
        check_streams(out, before, after)
        made.imported(tree, out)
        assert made.contents(out) == expected, call
        assert sorted(made.logged(out)) == sorted(path.name for path in first + then)
        assert (out / "ligoimport.files").read_text().endswith("\n# done\n")
        if not died:
            break
    assert call > 20


def test_a_second_import_leaves_at_once_with_a_message(tree, out):
    made.frame(tree, NIGHT, FLOAT)
    made.imported(tree, out)
    made.frame(tree, NIGHT + HOUR, FLOAT)
    before = whole(out)
    with open(out / ".framemake" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = refused("import-streams", tree, out)
    assert told == f"import-streams: another import is at work: {str(out)!r}\n"
    assert whole(out) == before


def test_two_imports_at_once_write_every_record_once(tmp_path, tree, out):
    for hour in range(6):
        made.frame(tree, NIGHT + hour * HOUR, ALL)
    commands = [[BIN / "import-streams", tree, out, *wait] for wait in ([], ["--wait"], ["--wait"])]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    told = [each.communicate()[1] for each in runs]
    assert [each.returncode for each in runs][1:] == [0, 0]
    assert sum("6 files done" in line for line in told) == 1
    assert made.contents(out) == once(tmp_path, tree)


def limited(tree, out, size):
    """Import where no file may grow beyond a size: (status, stderr)."""
    done = subprocess.run(
        [BIN / "import-streams", tree, out],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_an_import_that_may_write_no_more_fails_in_one_line_and_is_continued(tmp_path, tree, out):
    made.frame(tree, NIGHT, ALL)
    made.imported(tree, out)
    before = opened(out)
    for hour in range(1, 4):
        made.frame(tree, NIGHT + hour * HOUR, ALL)
    status, told = limited(tree, out, 4000)
    assert status == 1 and told.count("\n") == 1 and "file too large: " in told
    assert opened(out) == before
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)


@pytest.mark.slow
def test_readers_see_old_or_new_while_an_import_writes_the_ends_of_streams_again(tmp_path, tree, out):
    first, then = nightly(tmp_path / "source")
    made.arrive(first, tmp_path / "source", tree)
    made.imported(tree, out)
    before = opened(out)
    shutil.copytree(out, tmp_path / "begun")
    made.arrive(then, tmp_path / "source", tree)
    made.imported(tree, out)
    after, seen = opened(out), 0
    for _ in range(4):
        again = tmp_path / "again"
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(tmp_path / "begun", again)
        process = subprocess.Popen([BIN / "import-streams", tree, again], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            for name, held in opened(again).items():
                begins = [new.startswith(old) for new, old in zip(after[name], held, strict=True)]
                assert held == before.get(name) or all(begins), name
                seen += 1
        assert process.returncode == 0 and opened(again) == after
    assert seen > 100


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is mounted by root")
def test_a_full_disk_is_one_line_and_the_import_is_continued(tmp_path, tree):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        out = disk / "streams"
        made.frame(tree, NIGHT, ALL)
        made.imported(tree, out)
        before = opened(out)
        for hour in range(1, 9):
            made.frame(tree, NIGHT + hour * HOUR, ALL)
        told = refused("import-streams", tree, out)
        assert re.fullmatch(r"import-streams: disk full: '.*'\n", told)
        assert opened(out) == before
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        made.imported(tree, out)
        assert made.contents(out) == once(tmp_path, tree)
    finally:
        subprocess.run(["umount", disk], check=True)


# --- the command -------------------------------------------------------------------------


def test_progress_on_a_terminal_has_a_bar_and_the_time_left(tree, out):
    for hour in range(3):
        made.frame(tree, NIGHT + hour * HOUR, FLOAT)
    ours, theirs = pty.openpty()
    done = subprocess.run([BIN / "import-streams", tree, out], stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, b"")
    assert re.search(r"frame files \[#+ *\] +67 % +\d+ s left, 2 of 3, \S+/s", text)
    assert "3 files done, 180 records in 1 streams" in text.splitlines()[-1]


def test_a_tree_that_is_not_there_is_told(tmp_path, out):
    told = refused("import-streams", tmp_path / "none", out)
    assert told == f"import-streams: no such folder: {str(tmp_path / 'none')!r}\n"
    assert not out.exists()


def test_a_folder_that_is_no_tree_is_told(tmp_path, out):
    assert "neither second-trend nor minute-trend" in refused("import-streams", tmp_path, out)


def test_streams_that_are_removed_begin_anew(tree, out):
    made.frame(tree, NIGHT, {SEIS: "f4", TILT: "f8"})
    made.imported(tree, out)
    for suffix in store.SUFFIXES:
        (out / f"{SEIS}{suffix}").unlink()
    set_slope(made.frame(tree, NIGHT + HOUR, FLOAT), 3.0)
    made.imported(tree, out)
    stream = store.open_stream(str(out), SEIS)
    assert stream.info.slope == 3 and stream.records["time"][0] == NIGHT + HOUR
    assert any("removed" in line for line in made.errors(out))


def test_what_the_original_importer_appended_in_between_is_kept(tmp_path, tree, out):
    made.frame(tree, NIGHT, ALL)
    made.imported(tree, out)
    # It knows nothing of our hidden folder: what it does is what we do in a folder without one.
    state = shutil.move(out / ".framemake", tmp_path / "aside")
    made.frame(tree, NIGHT + HOUR, ALL)
    made.imported(tree, out)
    shutil.rmtree(out / ".framemake")
    shutil.move(state, out / ".framemake")
    made.frame(tree, NIGHT + 3 * HOUR, ALL)
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)
    assert len(made.logged(out)) == 3


def test_a_stream_whose_sums_are_not_finite_is_told_and_left_as_it_is(tree, out):
    made.frame(tree, NIGHT, ALL)
    made.imported(tree, out)
    shutil.rmtree(out / ".framemake")
    kept = np.fromfile(out / f"{SEIS}.bin", records.record("float"))
    kept["square"][30:] = np.nan
    kept.tofile(out / f"{SEIS}.bin")
    before = made.contents(out)[f"{SEIS}.bin"]
    made.frame(tree, NIGHT + HOUR, ALL)
    lines = faulty(tree, out)
    assert "its sums are not finite" in lines[0] and all(SEIS in line for line in lines)
    assert made.contents(out)[f"{SEIS}.bin"] == before and len(made.records(out, RAIN)) == 120


def test_a_stream_of_a_reader_stays_as_it_was_opened(tree, out):
    made.frame(tree, NIGHT + HOUR, ALL)
    made.imported(tree, out)
    stream = store.open_stream(str(out), SEIS)
    before = stream.records.tobytes(), stream.index.tobytes()
    made.frame(tree, NIGHT, ALL)
    made.imported(tree, out)
    assert (stream.records.tobytes(), stream.index.tobytes()) == before
    assert len(store.open_stream(str(out), SEIS).records) == 120


def test_the_table_of_rates_is_that_of_the_reference():
    table = records.rates()
    assert table["MAGX"] == 2048 and table["SEISY"] == 256 and table["WINDMPH"] == 16 and table["300MHZ10000"] == 1
    assert {table[f"SEIS{axis}_0.03_0.1Hz"] for axis in "XYZ"} == {1}
    assert len(table) == 48


def test_a_signal_that_is_no_trend_is_left_alone(tree, out):
    raw = Signal("H0:PEM-RAW", np.ones(3600, "f4"), 1.0)
    made.frame(tree, NIGHT, [*made.trend(SEIS, NIGHT, 60, 60), raw])
    made.imported(tree, out)
    assert store.names(str(out)) == [SEIS]
