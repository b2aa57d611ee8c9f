"""bin/resample-days and make range SOURCE=: a day at a lower rate holds the means of its samples, or NaN."""

import json
import os

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import check, dayfile, resample, summary
from framemake.day.folder import Folder
from framemake.days import lower as lower_days
from framemake.errors import BadInput, WouldLose
from support.commands import make, refused, run, well
from support.day_files import day_file, day_folder
from support.sites import Site, ramp, signal

NAN = np.nan
DAY = "2024-04-10"
START = gps.day_window(DAY).start
WINDOW = gps.Window(START, START + 600)


def source_day(path, channels, window=WINDOW, mtime=1):
    return day_file(path, channels, window, mtime)


@pytest.fixture
def lower(tmp_path):
    """Resample a channel in process: its samples, t0 and dtype in the new day, and what was said."""

    def made(samples, rate, to, least="0.5", phase=0.0, window=WINDOW):
        source = source_day(tmp_path / "source.h5", {"V1:A": (rate, phase, samples)}, window)
        said = resample.write(source, str(tmp_path / "lower.h5"), resample.Lower(to, least), shrink=True)
        assert list(check.differences(str(tmp_path / "lower.h5"))) == []
        assert list(check.structure(str(tmp_path / "lower.h5"))) == []
        with dayfile.open_day(str(tmp_path / "lower.h5")) as day:
            held = day.datasets["V1:A"]
            return day.samples("V1:A", 0, held.total), held, said

    return made


def ramped(count, dtype="f4"):
    return np.arange(count, dtype=dtype)


# --- the values --------------------------------------------------------------------------


def test_a_sample_is_the_mean_of_its_bin(lower):
    values, held, said = lower(ramped(600), 1.0, "0.1")
    np.testing.assert_array_equal(values, np.arange(60) * 10 + 4.5)
    assert (held.rate, held.dtype, held.total, held.t0, held.unit) == (0.1, "float32", 60, START, "um")
    assert said == []


def test_gaps_count_as_the_rule_says(lower):
    samples = ramped(600)
    samples[0:5], samples[10:16], samples[20:30] = NAN, NAN, NAN
    samples[35] = NAN
    values, _, _ = lower(samples, 1.0, "0.1")
    # Five of ten are enough, four are not.
    np.testing.assert_array_equal(values[:5], [7, NAN, NAN, np.float32((345 - 35) / 9), 44.5])
    values, _, _ = lower(samples, 1.0, "0.1", least="0.4")
    np.testing.assert_array_equal(values[:3], [7, 17.5, NAN])
    values, _, _ = lower(samples, 1.0, "0.1", least="1")
    np.testing.assert_array_equal(values[:5], [NAN, NAN, NAN, NAN, 44.5])
    # The smallest part wants one sample all the same.
    values, _, _ = lower(samples, 1.0, "0.1", least="1e-9")
    assert np.isnan(values).tolist() == [False, False, True] + [False] * 57


def test_a_rate_that_does_not_divide_puts_each_sample_into_the_bin_of_its_time(lower):
    values, held, _ = lower(ramped(600), 1.0, "0.3")
    assert held.total == 180
    # 0 to 3.3 s, 3.3 to 6.7 s, 6.7 to 10 s
    np.testing.assert_allclose(values[:4], [1.5, 5, 8, 11.5])


def test_samples_that_are_shifted_go_by_their_time(lower):
    values, held, _ = lower(ramped(600), 1.0, "0.1", phase=0.25)
    assert held.t0 == START and values[0] == 4.5


@pytest.mark.parametrize("rate", ["1", "2", "4"])
def test_a_channel_without_a_higher_rate_is_taken_over(lower, rate):
    samples = ramped(600, "f8") * 1.1
    samples[7] = NAN
    values, held, said = lower(samples, 1.0, rate, phase=0.5)
    np.testing.assert_array_equal(values, samples)
    assert (held.rate, held.t0) == (1, START + 0.5)
    assert said == [f"'V1:A' has no higher rate than {rate} Hz, taken over as they are"]


def test_bins_are_counted_from_midnight_whatever_the_window(lower):
    window = gps.Window(START + 7, START + 607)
    values, held, _ = lower(ramped(600), 1.0, "0.1", window=window)
    assert (held.t0, held.total) == (START + 10, 60)
    # The last one has seven of its ten seconds.
    assert values[0] == 3 + 4.5 and values[-1] == 593 + 3
    values, held, _ = lower(ramped(600), 1.0, "0.1", window=window, least="0.8")
    assert np.isnan(values[-1]) and not np.isnan(values[:-1]).any()


def test_a_day_with_a_leap_second(lower):
    window = gps.day_window("2016-12-31")
    samples = ramped(86401, "f8")
    values, _, _ = lower(samples, 1.0, "0.1", window=window)
    # The leap second, 23:59:60, is in no bin of ten seconds that the day has.
    np.testing.assert_array_equal(values, np.arange(8640) * 10 + 4.5)
    values, _, _ = lower(np.repeat(samples, 2), 2.0, "1", window=window)
    np.testing.assert_array_equal(values, samples)


def test_what_does_not_fit_into_memory_is_summed_in_pieces(lower, monkeypatch):
    samples = ramped(600 * 16, "f8")
    samples[::7] = NAN
    whole = lower(samples, 16.0, "1/60")[0]
    for size in (100, 1000, 5000):
        monkeypatch.setattr(resample, "_AT_ONCE", size)
        np.testing.assert_allclose(lower(samples, 16.0, "1/60")[0], whole, rtol=1e-15)


def test_infinities_are_samples(lower):
    samples = ramped(600)
    samples[3], samples[15], samples[16] = np.inf, np.inf, -np.inf
    values, _, _ = lower(samples, 1.0, "0.1")
    np.testing.assert_array_equal(values[:3], [np.inf, NAN, 24.5])


def test_a_channel_of_which_no_bin_is_good_enough_says_why(tmp_path):
    samples = np.full(600, NAN, dtype="f4")
    samples[::5] = 1
    folder = Folder.of(str(tmp_path / "out"), "V1trend", DAY)
    source = source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, samples), "V1:B": (1.0, 0.0, ramped(600))})
    said = resample.write(source, folder.h5, resample.Lower("0.1"))
    assert said == ["too few good samples in each 10 s: 'V1:A'"]
    summary.tell(folder.h5)
    with open(folder.rejected) as table:
        assert table.read() == "V1:A\tpruned\ttoo few good samples in each 10 s\n"
    with open(folder.summary) as told:
        told = json.load(told)
    assert (told["valid_channels"], told["pruned_channels"]) == (1, 1)
    assert told["provenance"]["source"]["path"] == source
    assert [frame["path"] for frame in told["provenance"]["frames"]] == ["/frames/V-x.gwf"]


def test_a_day_of_the_converter_before(tmp_path):
    source = source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, ramped(600)), "V1:B": (0.1, 0.0, ramped(60))})
    with h5py.File(source, "r+") as file:
        del file["provenance"]
    resample.write(source, str(tmp_path / "lower.h5"), resample.Lower("0.1"))
    with dayfile.open_day(str(tmp_path / "lower.h5")) as day:
        np.testing.assert_array_equal(day.samples("V1:A", 0, 2), [4.5, 14.5])
        assert day.masks() == {"V1:A": "1", "V1:B": "1"}


def test_the_check_finds_what_is_not_the_mean(tmp_path):
    source = source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, ramped(600))})
    path = str(tmp_path / "lower.h5")
    resample.write(source, path, resample.Lower("0.1"))
    with h5py.File(path, "r+") as file:
        file["channels/V1:A"][3:5] = 0, NAN
    told = [("V1:A", START + 30, START + 50, "is not the mean of its samples: 2 samples")]
    assert list(check.differences(path)) == told
    os.utime(source)
    (line,) = check.differences(path)
    assert "has changed since" in line[3]


# --- a day that is there -----------------------------------------------------------------


def test_a_finished_day_never_shrinks_unasked(tmp_path):
    path, samples = str(tmp_path / "lower.h5"), ramped(600)
    source = source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, samples)})
    resample.write(source, path, resample.Lower("0.1"))
    before = (tmp_path / "lower.h5").read_bytes()
    samples[100:120] = NAN
    source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, samples)})
    with pytest.raises(WouldLose, match="would lose 20 s of 'V1:A'"):
        resample.write(source, path, resample.Lower("0.1"))
    for other, words in (
        (resample.Lower("0.2"), "with RATE=0.1,"),
        (resample.Lower("0.1", "1"), "with LEAST=0.5,"),
    ):
        with pytest.raises(WouldLose, match=words):
            resample.write(source, path, other)
    with pytest.raises(WouldLose, match="not made by resampling"):
        resample.write(path, source, resample.Lower("0.1"))
    assert (tmp_path / "lower.h5").read_bytes() == before and sorted(os.listdir(tmp_path)) == ["lower.h5", "source.h5"]
    resample.write(source, path, resample.Lower("0.1"), shrink=True)
    with dayfile.open_day(path) as day:
        assert np.isnan(day.samples("V1:A", 9, 13)).tolist() == [False, True, True, False]


def test_what_a_frame_no_longer_gives_is_no_loss(tmp_path):
    path, samples = str(tmp_path / "lower.h5"), ramped(600)
    source = source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, samples)})
    resample.write(source, path, resample.Lower("0.1"))
    samples[100:120] = NAN
    source_day(tmp_path / "source.h5", {"V1:A": (1.0, 0.0, samples)}, mtime=2)
    resample.write(source, path, resample.Lower("0.1"))
    with dayfile.open_day(path) as day:
        assert np.isnan(day.samples("V1:A", 9, 13)).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("rate", "least", "words"),
    [
        ("-1", "1", "no such rate"),
        ("x", "1", "no such rate"),
        ("1/0", "1", "no such rate"),
        ("nan", "1", "no such rate"),
        ("inf", "1", "no such rate"),
        ("0.007", "1", "no whole number of samples"),
        ("1", "1.1", "no such part of a bin"),
        ("1", "nan", "no such part of a bin"),
        ("1", "", "no such part of a bin"),
    ],
)
def test_a_rate_and_a_part_are_numbers_that_make_sense(rate, least, words):
    with pytest.raises(BadInput, match=words):
        resample.Lower(rate, least).checked()


# --- the command -------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path):
    """A folder of two days."""
    for day in (DAY, "2024-04-11"):
        day_folder(tmp_path / "out", day, {"V1:A": (1.0, 0.0, ramped(600))})
    return tmp_path / "out"


def test_the_command_makes_what_is_new_and_nothing_else(out, tmp_path):
    line = ("resample-days", out, "--rate", "0.1", "--out", tmp_path / "two")
    first, second = (
        tmp_path / "two" / f"V1trend-{day}" / f"V1trend_{day.replace('-', '')}.h5" for day in (DAY, "2024-04-11")
    )
    assert well(*line) == f"{first}\n{second}\n"
    index = json.loads((tmp_path / "two" / "index.json").read_text())
    assert index["stats"]["completed"] == 2
    before = first.stat().st_mtime_ns
    assert well(*line) == ""
    # One that was stopped, and one whose source was built again.
    Folder.holding(str(second)).note(status="running")
    assert well(*line) == f"{second}\n"
    os.utime(out / f"V1trend-{DAY}" / "V1trend_20240410.h5")
    assert well(*line) == f"{first}\n" and first.stat().st_mtime_ns > before
    status, paths, told = run(*line[:3], "0.2", *line[4:])
    assert (status, paths, told.count("\n")) == (3, "", 2) and "it was made with RATE=0.1" in told
    assert well(*line) == ""


def test_a_bad_day_stops_no_other(out, tmp_path):
    bad = out / f"V1trend-{DAY}" / "V1trend_20240410.h5"
    bad.write_bytes(b"no HDF5")
    status, paths, told = run("resample-days", out, "--rate", "0.1", "--out", tmp_path / "two")
    assert status == 1 and paths.count("\n") == 1 and "2024-04-11" in paths
    assert told.startswith("resample-days: day file cannot be read as HDF5") and told.count("\n") == 1
    state = json.loads((tmp_path / "two" / f"V1trend-{DAY}" / "state_day.json").read_text())
    assert state["status"] == "failed" and "cannot be read" in state["error"]


def test_a_day_that_stays_and_one_that_another_builds_are_told_and_noted(out, tmp_path):
    two, left = tmp_path / "two", []
    days = lower_days.source_days(str(out))
    how = {"compression": "lzf", "shrink": False, "say": print, "left": left.append, "wait": 0}
    assert len(list(lower_days.make(days, str(two), resample.Lower("0.1", "0.5"), **how))) == 2
    held, free = (Folder.of(str(two), day.spec, day.date) for day in days)
    with held.hold(0):
        assert list(lower_days.make(days, str(two), resample.Lower("0.2", "0.5"), **how)) == []
    assert [type(error) for error in left] == [BadInput, WouldLose]
    assert str(left[0]) == f"gave up waiting after 0 s: {held.path!r}"
    # It is done, as before, and says why it is not what was asked for.
    assert free.state()["status"] == held.state()["status"] == "completed"
    assert "it was made with RATE=0.1" in free.state()["left_out"] and not held.state().get("left_out")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--rate", "0"), 1, "no such rate"),
        (("--rate", "1", "--least", "0"), 1, "no such part of a bin"),
        (("--rate", "1", "--compression", "zip"), 1, "no such compression"),
        (("--rate", "1", "--first", "2024-04-12"), 1, "no day file in folder"),
        ((), 2, "are required"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(out, tmp_path, options, status, words):
    assert words in refused("resample-days", out, "--out", tmp_path / "two", *options, status=status)
    assert not (tmp_path / "two").exists()


def test_days_are_not_written_over_their_own_source(out):
    assert "in the place of those" in refused("resample-days", out, "--rate", "0.1", "--out", f"{out}/../out")


# --- by make -----------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path):
    """A day of ten minutes of one channel that make has built, and make over the range that is made from it."""
    site = Site(tmp_path)
    for minute in range(10):
        site.frame(60 * minute, 60, [signal("V1:A", first=60 * minute)])
    site.want("V1:A")
    done = site.make("MINUTES=10", "OUT=full")
    assert done.returncode == 0, done.stderr
    return site


def resampled(site, *words, target="range", status=0):
    days = (f"FIRST={DAY}", f"LAST={DAY}") if target == "range" else (f"DAY={DAY}",)
    done = make(target, *days, "SOURCE=full", "OUT=lower", *words, cwd=site.folder)
    assert done.returncode == status, done.stderr
    return done


def test_a_range_of_days_is_resampled_and_again_when_its_source_is_rebuilt(built):
    path = built.folder / "lower" / f"V1trend-{DAY}" / "V1trend_20240410.h5"
    assert resampled(built, "RATE=0.1", "DRY_RUN=yes").stdout == f"{DAY}\tnew\n"
    resampled(built, "RATE=0.1", "-j2")
    with dayfile.open_day(str(path)) as day:
        want = ramp(600).reshape(60, 10).mean(axis=1)
        np.testing.assert_allclose(day.samples("V1:A", 0, 60), want, rtol=1e-6)
    before = path.stat().st_mtime_ns
    assert "1 had nothing new" in resampled(built, "RATE=0.1").stderr
    resampled(built, "RATE=0.1", target="day")
    assert path.stat().st_mtime_ns == before
    # A frame that changes its source changes it.
    built.frame(120, 60, [signal("V1:A", first=5000)])
    assert built.make("MINUTES=10", "OUT=full").returncode == 0
    assert resampled(built, "RATE=0.1", "DRY_RUN=yes").stdout == f"{DAY}\tframes changed\n"
    resampled(built, "RATE=0.1", target="day")
    with dayfile.open_day(str(path)) as day:
        np.testing.assert_allclose(day.samples("V1:A", 12, 13), ramp(10, 5000).mean(), rtol=1e-6)
    # Another rate would lose samples, and is made only when asked.
    assert "SHRINK=yes" in resampled(built, "RATE=1/60", status=2).stderr
    resampled(built, "RATE=1/60", "SHRINK=yes")
    with dayfile.open_day(str(path)) as day:
        assert day.datasets["V1:A"].total == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["RATE="], "SOURCE needs a RATE"),
        (["RATE=0"], "no such rate"),
        (["RATE=1", "LEAST=7"], "no such part of a bin"),
        (["RATE=1", "FFL=x"], "FFL does not go with SOURCE"),
        (["RATE=1", "SOURCE=none"], "no such folder: SOURCE='none'"),
        (["RATE=1", "OUT=full"], "OUT must be another folder than SOURCE"),
        (["RATE=1", "SOURCE="], "RATE goes with SOURCE"),
    ],
)
def test_make_refuses_what_makes_no_sense(tmp_path, words, told):
    (tmp_path / "full").mkdir()
    done = resampled(Site(tmp_path), *words, status=2)
    assert told in done.stderr and not (tmp_path / "lower").exists()
