"""bin/export-streams: a day of streams in the layout of the day dataset, right or NaN."""

import json

import framemake
import h5py
import numpy as np
import pytest
from framemake.streams.records import Info
from support import days as made
from support.commands import refused, run, well
from support.sites import samples_without_times
from support.stream_files import DOUBLE, INT, Written

DAY, START, END = "2016-05-22", 1147910417, 1147996817  # 17 leap seconds: minutes of GPS time lie between those of UTC
FIRST = 1147910460  # the first whole minute of GPS time in it
NAME, RAIN = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN"


@pytest.fixture
def export(tmp_path):
    """Write streams ({name: Written}), export them; the process's (status, stdout, stderr) and the open day file."""

    def export(streams, *options, day=DAY):
        for name, written in streams.items():
            written.write(tmp_path / "streams", name)
        done = run("export-streams", tmp_path / "streams", "--day", day, "--out", tmp_path / "out", *options)
        path = tmp_path / "out" / f"elab-{day}" / f"elab_{day.replace('-', '')}.h5"
        return done, path

    return export


def samples(path, name=f"{NAME}.mean"):
    with h5py.File(path) as file:
        return file["channels"][name][()]


def minutes(count, first=1.0):
    return first + np.arange(count, dtype=float)


def test_a_day_of_minutes_is_there_as_the_day_dataset_wants_it(export):
    info = Info("double", 64, 0.5, 2.0, "um")
    means = minutes(2000)
    means[100] = 0
    written = Written(info, 256).file(FIRST - 12000, 60, means, means + 1)
    (status, out, told), path = export({NAME: written})
    assert (status, out, told) == (0, f"{path}\n", "")
    with h5py.File(path) as file:
        assert set(file["channels"]) == {f"{NAME}.mean", f"{NAME}.rms"}
        assert set(file.attrs) == {"start_dt", "end_dt", "created_utc", "increment_size", "dama_name", "time_stamp"}
        assert (file.attrs["start_dt"], file.attrs["end_dt"]) == (
            "2016-05-22T00:00:00+00:00",
            "2016-05-23T00:00:00+00:00",
        )
        assert (file.attrs["dama_name"], file.attrs["increment_size"]) == ("elab_20160522", 600)
        for kind, more in (("mean", 0), ("rms", 1)):
            dataset = file["channels"][f"{NAME}.{kind}"]
            want = 2 * (minutes(2000)[200:1640] + more) + 0.5
            assert dataset.shape == (1440,) and dataset.dtype == np.float64
            np.testing.assert_allclose(dataset[()], want, rtol=1e-9)
            assert dict(dataset.attrs) == {
                "channel": f"{NAME}.{kind}", "sample_rate": 1 / 60, "unit": "um", "t0": float(FIRST), "xunit": "s",
            }  # fmt: skip
            assert dataset.compression == "lzf" and dataset.shuffle


def test_gwpy_opens_it(export):
    from gwpy.timeseries import TimeSeries

    written = Written(Info("int", 32, 0.0, 1.0, "m"), 16).file(FIRST, 60, [7] * 60).file(FIRST + 7200, 60, [8] * 60)
    _, path = export({RAIN: written})
    series = TimeSeries.read(path, f"channels/{RAIN}.mean", format="hdf5")
    want = np.full(1440, np.nan)
    want[:60], want[120:180] = 7, 8
    np.testing.assert_array_equal(series.value, want)
    assert (series.t0.value, series.dt.value, str(series.unit)) == (FIRST, 60, "m")
    assert str(series.channel) == f"{RAIN}.mean"


def test_gaps_bad_samples_and_what_is_not_there_are_nan(export):
    means = minutes(120)
    means[40:50] = 0
    written = Written(DOUBLE, 256).file(FIRST, 60, means).file(FIRST + 36000, 60, minutes(60, 500))
    _, path = export({NAME: written})
    want = np.full(1440, np.nan)
    want[:120], want[40:50], want[600:660] = minutes(120), np.nan, minutes(60, 500)
    np.testing.assert_allclose(samples(path), want, rtol=1e-9)


def test_days_of_streams_are_asked_as_others_and_held_against_days_of_frames(export, tmp_path):
    means = minutes(120)
    means[40:50] = 0
    export({NAME: Written(DOUBLE, 256).file(FIRST, 60, means).file(FIRST + 36000, 60, minutes(60, 500))})
    days, out = framemake.open_days(tmp_path / "out"), tmp_path / "out"
    series = days.read(f"{NAME}.mean", FIRST, FIRST + 120 * 60)
    assert (series.t0, series.rate, len(series)) == (FIRST, 1 / 60, 120)
    lost = [(each.start - FIRST, each.end - FIRST, each.kind) for each in series.missing]
    assert lost == [(2400, 3000, "nothing in the stream")]
    assert days.segments(f"{NAME}.mean", END - 51000, END).active == [(FIRST + 36000, FIRST + 39600)]
    assert well("find-channels", out, "--list") == f"{NAME}.mean\n{NAME}.rms\n"
    want = np.full(1440, np.nan)
    want[:120], want[40:50], want[600:660] = minutes(120), np.nan, minutes(60, 500)
    made.write_day(tmp_path / "frames", DAY, {"H0:X": (want, 1 / 60, "V")}, offset=FIRST - START)
    how = ("compare-days", tmp_path / "frames", out, "--names", "-", "--tolerance", "1e-9")
    told = run(*how, input=f"H0:X\t{NAME}.mean\n")
    assert told[0] == 1 and told[1].count("\n") == 1 and "unit 'V' and " in told[1], told
    want[10] += 1
    made.write_day(
        tmp_path / "other", DAY, {"H0:X": (want, 1 / 60, days.read(f"{NAME}.mean").unit)}, offset=FIRST - START
    )
    _, told, _ = run("compare-days", tmp_path / "other", *how[2:], input=f"H0:X\t{NAME}.mean\n")
    assert told == f"H0:X\t{DAY}\t{FIRST + 600}\t{FIRST + 660}\t1 samples differ by up to 1\n"


def test_second_trend_is_averaged_to_the_minutes_that_cover_more_of_the_day(export):
    seconds = 100 + np.arange(1200.0)
    seconds[300] = 0
    written = Written(DOUBLE, 256).file(FIRST, 60, minutes(60)).file(FIRST + 3600, 1, seconds, seconds + 1)
    written.file(FIRST + 4800, 60, minutes(60, 900))
    (status, _, told), path = export({NAME: written})
    assert status == 0
    lost = "samples change, kept 60 s a sample, left out 59 s at 1 s a sample"
    assert told == f"export-streams: {lost}: {NAME!r}\n"
    by_minute = seconds.reshape(20, 60)
    want = np.concatenate((minutes(60), by_minute.mean(axis=1), minutes(60, 900)))
    want[65] = np.nan
    np.testing.assert_allclose(samples(path)[:140], want, rtol=1e-9)
    rms = np.sqrt(((by_minute + 1) ** 2).mean(axis=1))
    rms[5] = np.nan
    np.testing.assert_allclose(samples(path, f"{NAME}.rms")[60:80], rms, rtol=1e-9)


def test_integers_are_averaged_exactly(export):
    written = Written(INT, 16).file(FIRST, 60, [4] * 60).file(FIRST + 3600, 1, [1, 2] * 300)
    _, path = export({RAIN: written})
    assert samples(path, f"{RAIN}.mean")[:70].tolist() == [4.0] * 60 + [1.5] * 10


def test_minute_trend_on_a_day_of_seconds_is_left_out_and_told(export):
    written = Written(DOUBLE, 256).file(START, 1, minutes(7200)).file(START + 7243, 60, minutes(60, 9000))
    (status, _, told), path = export({NAME: written})
    assert status == 0
    assert f"kept 1 s a sample, left out 3600 s at 60 s a sample: {NAME!r}" in told
    want = np.full(86400, np.nan)
    want[:7200] = minutes(7200)
    np.testing.assert_allclose(samples(path), want, rtol=1e-9)


def test_a_minute_that_is_not_whole_is_nan(export):
    written = (
        Written(DOUBLE, 1)
        .file(FIRST, 60, minutes(60))
        .file(FIRST + 3600, 1, minutes(30))
        .file(FIRST + 3690, 1, minutes(30))
    )
    _, path = export({"H1:PEM-CS_SEIS_DQ": written})
    assert np.isnan(samples(path, "H1:PEM-CS_SEIS_DQ.mean")[60:]).all()


def test_a_day_with_a_leap_second_has_a_second_more(export):
    start = 1167177617
    written = Written(DOUBLE, 256).file(start - 100, 1, minutes(86700))
    _, path = export({NAME: written}, day="2016-12-31")
    np.testing.assert_allclose(samples(path), 101 + np.arange(86401.0), rtol=1e-6)


def test_it_tells_of_itself_as_any_day_does(export, tmp_path):
    written = Written(DOUBLE, 256).file(FIRST, 60, minutes(60))
    _, path = export({NAME: written, RAIN: Written(INT, 16).file(FIRST - 90000, 60, [5] * 60)})
    assert well("summarize", path, "--index", tmp_path / "out") == ""
    told = json.loads(path.with_suffix("").with_suffix(".summary.json").read_text())
    assert told["date"] == DAY and told["ffl_spec"] == "elab" and told["requested_channels"] == 4
    assert (told["valid_channels"], told["invalid_channels"]) == (2, 2)
    assert told["nan_samples"] == 2 * (1440 - 60)
    covered = json.loads((path.parent / "channels_info" / "channels_coverage.json").read_text())[f"{NAME}.mean"]
    assert (covered["min"], covered["max"], covered["gwf_mask"]) == (1, 60, "1")
    assert covered["first_good_gps"] == FIRST and covered["last_good_gps"] == FIRST + 3540
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert index["days"][DAY]["status"] == "completed"
    status, out, _ = run("check-day", "--no-frames", path)
    assert (status, out) == (3, "")


def test_chosen_streams_and_several_days(export, tmp_path):
    written = Written(INT, 16).file(FIRST, 60, [5] * 60).file(FIRST + 2 * 86400, 60, [6] * 60)
    export({NAME: Written(DOUBLE, 256).file(FIRST, 60, minutes(60)), RAIN: written})
    days = ("--first", DAY, "--last", "2016-05-24", "--out", tmp_path / "two", "--spec", "rain")
    status, out, told = run("export-streams", tmp_path / "streams", RAIN, *days)
    assert status == 3
    assert told == "export-streams: no stream has a sample on the day: '2016-05-23'\n"
    paths = [tmp_path / "two" / f"rain-{day}" / f"rain_{day.replace('-', '')}.h5" for day in (DAY, "2016-05-24")]
    assert out == "".join(f"{path}\n" for path in paths)
    assert sorted(tmp_path.joinpath("two").iterdir()) == [path.parent for path in paths]
    with h5py.File(paths[1]) as file:
        assert set(file["channels"]) == {f"{RAIN}.mean", f"{RAIN}.rms"}


def test_the_options_of_old_crontabs_name_the_same_days(tmp_path):
    Written(INT, 16).file(FIRST, 60, [5] * 60).write(tmp_path / "streams", RAIN)
    out = well("export-streams", tmp_path / "streams", "--start", DAY, "--end", DAY, "--out", tmp_path / "out")
    assert out == f"{tmp_path}/out/elab-{DAY}/elab_20160522.h5\n"
    assert "--start" not in well("export-streams", "--help")


def test_a_stream_without_a_sample_on_the_day_is_told(export):
    streams = {
        NAME: Written(DOUBLE, 256).file(FIRST, 60, minutes(60)),
        RAIN: Written(INT, 16).file(FIRST, 60, [0] * 60),
    }
    (status, _, told), path = export(streams)
    assert (status, told) == (0, f"export-streams: no sample in the day: {RAIN!r}\n")
    with h5py.File(path) as file:
        assert set(file["channels"]) == {f"{NAME}.mean", f"{NAME}.rms"}


@pytest.mark.parametrize("compression", ["none", "gzip", "lzf"])
def test_every_compression_and_the_same_file_twice(export, compression):
    streams = {NAME: Written(DOUBLE, 256).file(START, 1, minutes(20000))}
    _, path = export(streams, "--compression", compression)
    before = samples_without_times(path)
    np.testing.assert_allclose(samples(path)[:20000], minutes(20000), rtol=1e-6)
    export(streams, "--compression", compression)
    assert samples_without_times(path) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--day", "2016-05-33"), "no such day"),
        (("--first", DAY), "days are needed"),
        (("--last", DAY), "days are needed"),
        ((), "days are needed"),
        (("--day", DAY, "--first", DAY, "--last", DAY), "days are needed"),
        (("--first", DAY, "--last", "2016-05-01"), "the range is empty"),
        (("--day", DAY, "--compression", "zip"), "no such compression"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, options, words):
    Written(DOUBLE, 256).file(FIRST, 60, minutes(60)).write(tmp_path / "streams", NAME)
    assert words in refused("export-streams", tmp_path / "streams", *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_stream_or_folder_is_one_line(tmp_path):
    Written(DOUBLE, 256).file(FIRST, 60, minutes(60)).write(tmp_path / "streams", NAME)
    day = ("--day", DAY, "--out", tmp_path / "out")
    assert "no such stream" in refused("export-streams", tmp_path / "streams", "H0:NONE", *day)
    assert "absent" in refused("export-streams", tmp_path / "absent", *day)
    (tmp_path / "empty").mkdir()
    assert "no stream in folder" in refused("export-streams", tmp_path / "empty", *day)
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_the_old_file(export, tmp_path):
    _, path = export({NAME: Written(DOUBLE, 256).file(FIRST, 60, minutes(60))})
    before = path.read_bytes()
    with open(tmp_path / "streams" / f"{NAME}.bin", "ab") as torn:
        torn.write(b"torn")
    (status, out, told), _ = export({})
    assert (status, out) == (1, "") and "torn" in told
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
