"""Days as xarray opens them: a real time axis for each rate; samples are read when they are wanted, and no others."""

import pickle

import framemake
import numpy as np
import pytest
import xarray
from framemake.days import engine, lazy, opened
from framemake.errors import BadInput
from support import days as made
from support.commands import START

DAY, LATER = "2024-04-10", "2024-04-12"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two days, with one between them that is not there; a channel at 2 Hz is in the first."""
    folder = tmp_path_factory.mktemp("xarray") / "out"
    for day in (DAY, LATER):
        holed = made.ramp_day(day)
        holed[0][3600:7200] = np.nan
        channels = {"V1:A-b.c%": holed, "V1:B": made.ramp_day(day, first=7, unit="m", dtype="f8")}
        if day == DAY:
            channels["V1:FAST"] = made.ramp_day(day, 2.0, first=0)
        made.write_day(folder, day, channels)
    return folder


@pytest.fixture
def h5(out):
    return str(out / f"V1trend-{DAY}" / "V1trend_20240410.h5")


def opened_by(path, **how):
    return xarray.open_dataset(path, engine=framemake.XarrayEngine, **how)


def test_a_day_has_its_channels_over_time(h5):
    with opened_by(h5) as day:
        assert dict(day.sizes) == {"time": 86400, "time_2Hz": 172800} and set(day.data_vars) == {
            "V1:A-b.c%",
            "V1:B",
            "V1:FAST",
        }
        some = day["V1:A-b.c%"].sel(time=slice("2024-04-10T00:59:59", "2024-04-10T02:00:00"))
        assert len(some) == 3602 and int(some.notnull().sum()) == 2
        assert some.values[[0, -1]].tolist() == [1003599, 1007200]
        assert day["V1:B"].dtype == "f8" and day["V1:B"].attrs["units"] == "m"
        assert day["V1:FAST"].sel(time_2Hz="2024-04-10T12:00:00.500").item() == 86401
        assert day["V1:A-b.c%"].resample(time="1h").count().values[:3].tolist() == [3600, 0, 3600]
        assert day.attrs["start"] == "2024-04-10T00:00:00+00:00" and day.attrs["source"] == h5
        assert day["V1:A-b.c%"].attrs == {"units": "V", "sample_rate": 1.0, "t0": START, "channel": "V1:A-b.c%"}
        series = framemake.open_days(h5).read("V1:A-b.c%")
        np.testing.assert_array_equal(day["V1:A-b.c%"].values, series.values)
        np.testing.assert_array_equal(day["time"].values, series.datetimes())


def test_a_folder_is_one_dataset_in_which_a_day_that_is_not_there_is_nan(out):
    both = opened_by(out, channels=["V1:A-b.c%", "V1:B"])
    assert dict(both.sizes) == {"time": 3 * 86400}
    assert both["V1:B"].sel(time="2024-04-11").isnull().all() and both["V1:B"][-1].item() == 86406
    some = opened_by(out, drop_variables="V1:B", start="2024-04-10T23:59:58", end="2024-04-11T00:00:01")
    assert set(some.data_vars) == {"V1:A-b.c%", "V1:FAST"} and dict(some.sizes) == {"time": 3, "time_2Hz": 6}
    with pytest.raises(BadInput, match="no day has the channel"):
        opened_by(out, channels=["V1:NONE"])


def test_nothing_is_read_before_it_is_wanted(h5, monkeypatch):
    read, into = [], opened.OpenDays.read_into
    monkeypatch.setattr(
        opened.OpenDays, "read_into", lambda *given: read.append((given[3], len(given[4]))) or into(*given)
    )
    monkeypatch.setattr(lazy, "_MOST_TIMES", 100_000)
    day = opened_by(h5)
    assert read == [] and list(day.indexes) == ["time"] and set(day.coords) == {"time", "utc_2Hz"}
    assert day["V1:B"][5:8].values.tolist() == [12, 13, 14] and read == [(5, 3)]
    # A long dimension has its times all the same, and those alone that are wanted.
    some = day["V1:FAST"].isel(time_2Hz=slice(100, 104, 2))
    assert some["utc_2Hz"].values.astype(str).tolist() == [f"2024-04-10T00:00:{at}.000000000" for at in (50, 51)]
    assert some.values.tolist() == [100, 102] and read[1:] == [(100, 3)]
    assert pickle.loads(pickle.dumps(day))["V1:B"][1].item() == 8


def test_grids_of_one_rate_have_times_of_their_own(tmp_path):
    made.write_day(tmp_path / "a", DAY, {"V1:A": made.ramp_day(DAY, 0.1), "V1:B": made.ramp_day(DAY, 0.1)})
    made.write_day(tmp_path / "b", DAY, {"V1:C": made.ramp_day(DAY, 0.1)}, offset=2.0)
    series = [framemake.open_days(tmp_path / each[0]).read(each[1]) for each in (("a", "V1:A"), ("b", "V1:C"))]
    found = engine._by_times([series[0], *[series[1]] * 3])
    assert {name: len(some) for name, some in found.items()} == {"time": 3, "time_0.1Hz": 1}
    later = framemake.open_days(tmp_path / "a").read("V1:A", START + 40)
    assert list(engine._by_times([series[1], series[0], later])) == ["time", "time_0.1Hz", "time_0.1Hz_2"]


def test_it_knows_its_files_by_themselves(h5, tmp_path):
    known = framemake.XarrayEngine()
    (tmp_path / "x.h5").write_text("none")
    assert known.guess_can_open(h5) and not known.guess_can_open(tmp_path / "x.h5")
    assert not known.guess_can_open(h5[:-3] + ".summary.json") and not known.guess_can_open(tmp_path)


def test_a_leap_second(tmp_path):
    day = "2016-12-31"
    made.write_day(tmp_path / "out", day, {"V1:A": made.ramp_day(day)})
    times = opened_by(tmp_path / "out")["time"].values
    assert len(times) == 86401 and times[-1] == times[-2] == np.datetime64("2016-12-31T23:59:59")
    series = framemake.open_days(tmp_path / "out").read("V1:A")
    assert (series.datetimes(86398) == times[86398:]).all() and (series.datetimes(3, 7) == times[3:7]).all()
