"""open_days: samples of days as programs ask for them, what is missing with its reason, and the other forms."""

import datetime
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import framemake
import h5py
import numpy as np
import pytest
from framemake.days import opened
from framemake.errors import BadInput
from support import days as made
from support.commands import ROOT, START

DAYS = ("2024-04-10", "2024-04-11", "2024-04-13")
MIDNIGHT = START + 86400


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Three days of a channel at 1 Hz and one at 0.1 Hz, 2 s later than the day; 2024-04-12 is not there."""
    folder = tmp_path_factory.mktemp("days") / "out"
    for day in DAYS:
        plain = made.ramp_day(day)
        if day == DAYS[1]:
            plain[0][3600:7200] = np.nan
            plain[0][50_000] = np.nan
        frames = made.frames_of(made.gps.day_window(day), absent=(1, 2) if day == DAYS[1] else ())
        channels = {"V1:A-b.c%": plain, "V1:B": made.ramp_day(day, first=7)}
        if day == DAYS[1]:
            channels["V1:ONLY"] = made.ramp_day(day)
        made.write_day(folder, day, channels, frames=frames)
    return str(folder)


@pytest.fixture
def days(out):
    return framemake.open_days(out)


def test_samples_over_midnight_and_a_day_that_is_not_there(days):
    series = days.read("V1:A-b.c%", "2024-04-11T23:59:58", "2024-04-13T00:00:02")
    assert (series.t0, series.rate, series.dt, series.unit, len(series)) == (MIDNIGHT + 86398, 1, 1, "V", 86404)
    assert series.values.dtype == np.float32 and series.values[:2].tolist() == [1186398, 1186399]
    assert np.isnan(series.values[2:-2]).all() and series.values[-2:].tolist() == [1300000, 1300001]
    assert series.times[0] == series.t0 and series.times[-1] == series.t0 + 86403
    (missing,) = series.missing
    assert missing[:3] == (MIDNIGHT + 86400, MIDNIGHT + 2 * 86400, "day not built") and missing.date == "2024-04-12"
    assert np.asarray(series) is series.values and series.good.sum() == 4


@pytest.mark.parametrize("at_once", [10, 1 << 26])
def test_what_no_day_has_is_nan_at_both_ends(days, monkeypatch, at_once):
    monkeypatch.setattr("framemake.days.series._MOST_AT_ONCE", at_once)
    # Memory that is used again holds numbers.
    held = np.ones(300, dtype="f4")
    del held
    series = days.read("V1:B", START - 100, START + 100)
    assert np.isnan(series.values[:100]).all() and series.values[100:102].tolist() == [7, 8]
    series = days.read("V1:B", START + 4 * 86400 - 100, START + 4 * 86400 + 200)
    assert series.good[:100].all() and np.isnan(series.values[100:]).all()
    series = days.read("V1:B", MIDNIGHT + 86400 - 100, MIDNIGHT + 2 * 86400 + 100)
    assert series.good[:100].all() and np.isnan(series.values[100:-100]).all() and series.good[-100:].all()


def test_a_time_is_taken_in_any_form(days):
    second = datetime.datetime(2024, 4, 10, 0, 0, 5, tzinfo=datetime.timezone.utc)
    for start in (START + 5, "2024-04-10T00:00:05", "2024-04-10T00:00:05.0Z", second, np.float64(START + 5)):
        assert days.read("V1:A-b.c%", start, START + 7).values.tolist() == [1000005, 1000006]
    assert days.read("V1:A-b.c%", START + 4.5, START + 6.5).values.tolist() == [1000005, 1000006]
    assert len(days.read("V1:B")) == 4 * 86400


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("V1:A-b.c%", 5, 5), "the span is empty"),
        (("V1:A-b.c%", 7, 5), "the span is empty"),
        (("V1:A-b.c%", "soon", 5), "no such time"),
        (
            ("V1:NONE", START, START + 5),
            "no day has the channel .channel not listed. in 2024-04-10T00:00:00 to .*: 'V1:NONE'",
        ),
        (("V1:A-b.c%", MIDNIGHT + 86400, MIDNIGHT + 86500), "no day has the channel .*day not built"),
        (("V1:ONLY", START, START + 5), "channel not listed"),
    ],
)
def test_what_cannot_be_read_is_named(days, given, words):
    with pytest.raises(BadInput, match=words):
        days.read(*given)


def test_missing_says_why(days):
    series = days.read("V1:A-b.c%", MIDNIGHT, MIDNIGHT + 86400)
    found = [(each.start - MIDNIGHT, each.end - MIDNIGHT, each.kind) for each in series.missing]
    # Frames are on multiples of 3600 s: the second begins 3582 s after midnight, the fourth 10782 s.
    assert found == [(3600, 7182, "file absent"), (7182, 7200, "file absent"), (50000, 50001, "not recorded")]
    assert series.missing[0].path.endswith("V-trend-1396832400-3600.gwf")
    assert [(each.start, each.end) for each in days.why("V1:A-b.c%", MIDNIGHT + 50000.5)] == [
        (MIDNIGHT + 50000, MIDNIGHT + 50001)
    ]
    assert days.why("V1:A-b.c%", MIDNIGHT + 50001) == []
    assert days.why("V1:A-b.c%", MIDNIGHT + 40000, MIDNIGHT + 50000) == []
    (told,) = days.why("V1:ONLY", START + 10)
    assert told[:3] == (START, START + 86400, "channel not listed")


def test_a_day_of_a_lower_rate_keeps_its_own_times(tmp_path):
    slow = made.ramp_day("2024-04-10", 0.1)
    made.write_day(tmp_path / "out", "2024-04-10", {"V1:S": slow}, offset=2.0)
    made.write_day(tmp_path / "out", "2024-04-11", {"V1:S": made.ramp_day("2024-04-11", 0.1)}, offset=2.0)
    series = framemake.open_days(tmp_path / "out").read("V1:S", START, MIDNIGHT + 10)
    assert series.t0 == START + 2 and len(series) == 8641 and series.values[-1] == 1100000
    assert series.times[1] == START + 12


def changed(tmp_path, **changes):
    """Two days of a channel, of which the second is another."""
    first, second = made.ramp_day("2024-04-10"), made.ramp_day("2024-04-11", **changes)
    made.write_day(tmp_path / "out", "2024-04-10", {"V1:A": first})
    made.write_day(tmp_path / "out", "2024-04-11", {"V1:A": second})
    return framemake.open_days(tmp_path / "out")


@pytest.mark.parametrize("change", [{"rate": 2.0}, {"dtype": "f8"}, {"unit": "mV"}])
def test_a_change_between_days_raises_unless_it_is_split(tmp_path, change):
    days = changed(tmp_path, **change)
    with pytest.raises(BadInput, match="changes between days, split or convert it: 'V1:A': float32 at 1 Hz in 'V'"):
        days.read("V1:A")
    one, other = days.split("V1:A")
    assert one.values[5] == 1000005 and np.isnan(one.values[86400:]).all()
    assert (
        np.isnan(other.values[: 86400 * int(other.rate)]).all() and other.values[-1] == 1100000 + other.rate * 86400 - 1
    )
    assert days.read("V1:A", MIDNIGHT).values[0] == 1100000


def test_a_change_of_dtype_or_unit_can_be_converted(tmp_path):
    series = changed(tmp_path / "a", dtype="f8").read("V1:A", convert=True)
    assert series.dtype == np.float64 and series.values[[0, 86400]].tolist() == [1000000, 1100000]
    series = changed(tmp_path / "b", unit="mV").read("V1:A", convert=True)
    assert series.unit == "V" and series.values[[0, 86400]].tolist() == [1000000, 1100]
    with pytest.raises(BadInput, match="cannot convert 'K' to 'V': 'V1:A'"):
        changed(tmp_path / "c", unit="K").read("V1:A", convert=True)
    with pytest.raises(BadInput, match="changes between days, split it"):
        changed(tmp_path / "d", rate=2.0).read("V1:A", convert=True)


# --- never silent ------------------------------------------------------------------------


def copied(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "out", str(tmp_path / "out" / "V1trend-2024-04-11" / "V1trend_20240411.h5")


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "link", "shorter"])
def test_a_day_file_that_cannot_be_read_raises_and_is_named(out, tmp_path, damage):
    folder, path = copied(out, tmp_path)
    raw = Path(path).read_bytes()
    if damage == "cut":
        Path(path).write_bytes(raw[: len(raw) // 2])
    elif damage == "empty":
        Path(path).write_bytes(b"")
    elif damage == "other":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "r+") as file:
            group = file["channels"]
            del group["V1:B"]
            if damage == "link":
                group["V1:B"] = h5py.ExternalLink("nowhere.h5", "/x")
            else:
                group["V1:B"] = np.zeros(100, dtype="f4")
                group["V1:B"].attrs.update(sample_rate=1.0, t0=float(MIDNIGHT), unit="V")
    with pytest.raises(BadInput) as caught:
        framemake.open_days(folder).read("V1:B", START, MIDNIGHT + 5)
    assert "day file cannot be read" in str(caught.value) and repr(path) in str(caught.value)


def test_a_chunk_that_is_damaged_raises(tmp_path):
    path = made.write_day(tmp_path / "out", "2024-04-10", {"V1:A": made.ramp_day("2024-04-10")})
    with h5py.File(path) as file:
        at = file["channels/V1:A"].id.get_chunk_info(3).byte_offset
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 2000)
    days = framemake.open_days(tmp_path / "out")
    assert days.read("V1:A", START, START + 7200).good.all()
    with pytest.raises(BadInput, match="day file cannot be read"):
        days.read("V1:A")


def test_a_day_file_that_is_replaced_meanwhile_is_told(out, tmp_path, monkeypatch):
    monkeypatch.setattr("framemake.days.series._MOST_AT_ONCE", 10)
    folder, path = copied(out, tmp_path)
    series = framemake.open_days(folder).read("V1:B", MIDNIGHT, MIDNIGHT + 100)
    raw = Path(path).read_bytes()
    (tmp_path / "new").write_bytes(raw)
    (tmp_path / "new").rename(path)
    with pytest.raises(BadInput, match="has been replaced since, read again"):
        series.values  # noqa: B018


def test_a_day_built_meanwhile_is_seen(tmp_path):
    made.write_day(tmp_path / "out", "2024-04-10", {"V1:A": made.ramp_day("2024-04-10")})
    days = framemake.open_days(tmp_path / "out")
    assert days.read("V1:A", START, MIDNIGHT + 5).good.sum() == 86400
    made.write_day(tmp_path / "out", "2024-04-11", {"V1:A": made.ramp_day("2024-04-11")})
    assert days.read("V1:A", START, MIDNIGHT + 5).good.sum() == 86405


def test_several_specs_none_and_no_folder(out, tmp_path):
    made.write_day(tmp_path / "out", "2024-04-10", {"V1:A": made.ramp_day("2024-04-10")})
    made.write_day(tmp_path / "out", "2024-04-10", {"V1:A": made.ramp_day("2024-04-10", first=3)}, spec="V1raw")
    with pytest.raises(BadInput, match=r"several SPECs, spec says which \(V1raw, V1trend\)"):
        framemake.open_days(tmp_path / "out")
    assert framemake.open_days(tmp_path / "out", "V1raw").read("V1:A", START, START + 1).values[0] == 3
    with pytest.raises(BadInput, match="no such folder"):
        framemake.open_days(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no day in folder"):
        framemake.open_days(tmp_path / "empty")


def test_one_day_file_is_days_too(out):
    days = framemake.open_days(f"{out}/V1trend-2024-04-11/V1trend_20240411.h5")
    assert days.span() == (MIDNIGHT, MIDNIGHT + 86400)
    assert days.read("V1:B", MIDNIGHT, MIDNIGHT + 2).values.tolist() == [7, 8]


# --- only what is asked for --------------------------------------------------------------


def test_only_the_days_and_the_slice_asked_for_are_read(out, monkeypatch):
    opened_files, read = [], []
    real, into = opened.DayFile, opened.OpenDays.read_into
    monkeypatch.setattr(opened, "DayFile", lambda path: opened_files.append(path) or real(path))
    monkeypatch.setattr(
        opened.OpenDays, "read_into", lambda *given: read.append((given[3], len(given[4]))) or into(*given)
    )
    framemake.open_days(out).read("V1:B", MIDNIGHT + 60, MIDNIGHT + 360)
    assert [path[-11:] for path in opened_files] == ["20240411.h5"] and read == [(60, 300)]


def test_a_long_range_comes_in_pieces_with_a_mask(days, monkeypatch):
    monkeypatch.setattr("framemake.days.series._MOST_AT_ONCE", 10)
    series = days.read("V1:A-b.c%")
    largest, count, at = 0, 0, series.t0
    for piece in series.pieces(3600):
        assert piece.t0 == at and (piece.good == ~np.isnan(piece.values)).all() and piece.times[0] == at
        largest, count, at = max(largest, len(piece.values)), count + piece.good.sum(), at + 3600
    assert (largest, count) == (3600, 3 * 86400 - 3601) and "values" not in vars(series)
    both = list(days.read(["V1:A-b.c%", "V1:B"], START, START + 100).pieces(60))
    assert [len(piece["V1:B"].values) for piece in both] == [60, 40]


def test_xarray_reads_what_is_asked_of_it_alone(days, monkeypatch):
    monkeypatch.setattr("framemake.days.series._MOST_AT_ONCE", 10)
    read, into = [], opened.OpenDays.read_into
    monkeypatch.setattr(
        opened.OpenDays, "read_into", lambda *given: read.append((given[3], len(given[4]))) or into(*given)
    )
    array = days.read("V1:B", START, MIDNIGHT + 86400).to_xarray()
    assert read == []
    some = array.sel(time=slice("2024-04-11T00:00:01", "2024-04-11T00:00:03"))
    assert some.values.tolist() == [8, 9, 10] and read == [(1, 3)]
    assert array.attrs["units"] == "V" and array[5].item() == 12 and array[10:4:-3].values.tolist() == [17, 14]


# --- other forms -------------------------------------------------------------------------


def test_it_goes_on_as_pandas_xarray_and_numpy(days):
    both = days.read(["V1:A-b.c%", "V1:B"], START, START + 3)
    frame = both.to_pandas()
    assert frame.index[1].isoformat() == "2024-04-10T00:00:01+00:00"
    assert frame["V1:B"].tolist() == [7, 8, 9] and frame["V1:B"].dtype == np.float32
    assert both.to_numpy().shape == (2, 3) and both.to_xarray()["V1:B"].values.tolist() == [7, 8, 9]
    series = days.read("V1:B", START, START + 3).to_pandas()
    assert series.name == "V1:B" and series.tolist() == [7, 8, 9]


def test_channels_of_different_rates_are_no_table(tmp_path):
    day = "2024-04-10"
    made.write_day(tmp_path / "out", day, {"V1:A": made.ramp_day(day), "V1:B": made.ramp_day(day, 2.0)})
    both = framemake.open_days(tmp_path / "out").read(["V1:A", "V1:B"], START, START + 5)
    for way in (both.to_pandas, both.to_xarray, both.to_numpy):
        with pytest.raises(BadInput, match="not on one grid, read one by one: 'V1:A' at 1 Hz"):
            way()


@pytest.mark.slow
def test_it_goes_on_as_gwpy(days):
    both = days.read(["V1:A-b.c%", "V1:B"], START + 5, START + 8).to_gwpy()
    series = both["V1:B"]
    assert series.value.tolist() == [12, 13, 14] and series.t0.value == START + 5 and str(series.unit) == "V"
    assert series.sample_rate.value == 1 and series.name == str(series.channel) == "V1:B"


def test_clocks_at_a_leap_second(tmp_path):
    day = "2016-12-31"
    made.write_day(tmp_path / "out", day, {"V1:A": made.ramp_day(day)})
    made.write_day(tmp_path / "out", "2017-01-01", {"V1:A": made.ramp_day("2017-01-01")})
    series = framemake.open_days(tmp_path / "out").read("V1:A", "2016-12-31T23:59:58", "2017-01-01T00:00:01")
    assert series.values.tolist() == [3186398, 3186399, 3186400, 100000]
    assert [str(time)[11:19] for time in series.datetimes()] == ["23:59:58", "23:59:59", "23:59:59", "00:00:00"]


def test_it_can_be_sent_to_another_process(days):
    series = pickle.loads(pickle.dumps(days)).read("V1:B", START, START + 2)
    assert series.values.tolist() == [7, 8] and pickle.loads(pickle.dumps(series)).values.tolist() == [7, 8]


def test_the_large_packages_are_loaded_only_when_asked_for(out):
    code = f"""
import sys, framemake
series = framemake.open_days({out!r}).read("V1:B", {START}, {START + 5})
series.values, series.datetimes(), framemake.open_days({out!r}).segments("V1:B", {START}, {START + 5})
print(sorted({{"pandas", "xarray", "pyarrow", "gwpy", "astropy", "gwframe", "lalframe"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "lib")}
    )
    assert done.stdout == "[]\n"
