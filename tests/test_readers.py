"""The day file opens as it is with what people have: plain h5py, gwpy, gwdama."""

from datetime import datetime, timedelta

import h5py
import numpy as np
import pytest
from framemake.gps import Window
from support.commands import call, needs, needs_package
from support.day_files import day_file
from support.inside import inside
from support.sites import ROOT, START, Site, ramp, signal

NAME = "V1:Sa_NE-F0.ACC_mean"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("readers"))
    site.want(NAME, "V1:FAST")
    site.frame(0, 60, [signal(NAME, unit="m"), signal("V1:FAST", count=1200, rate=20.0, dtype="f8")])
    site.frame(120, 60, [signal(NAME, first=120, unit="m"), signal("V1:FAST", count=1200, rate=20.0, dtype="f8")])
    site.span(180)
    return site


def want():
    values = ramp(180)
    values[60:120] = np.nan
    return values


def test_h5py(site):
    with h5py.File(site.h5) as file:
        dataset = file["channels"][NAME]
        np.testing.assert_array_equal(dataset[()], want())
        assert set(dataset.attrs) == {"channel", "sample_rate", "unit", "t0", "xunit"}
        assert all(isinstance(dataset.attrs[key], str) for key in ("channel", "unit", "xunit"))
        assert all(dataset.attrs[key].dtype == np.float64 for key in ("sample_rate", "t0"))
        assert set(file.attrs) == {"start_dt", "end_dt", "created_utc", "increment_size", "dama_name", "time_stamp"}


def test_gwpy_reads_all_channels_at_once(site):
    from gwpy.timeseries import TimeSeriesDict

    found = TimeSeriesDict.read(site.h5, format="hdf5", group="channels")
    assert sorted(found) == ["V1:FAST", NAME]
    np.testing.assert_array_equal(found[NAME].value, want())


def test_gwpy(site):
    from gwpy.timeseries import TimeSeries

    series = TimeSeries.read(site.h5, f"channels/{NAME}", format="hdf5")
    np.testing.assert_array_equal(series.value, want())
    assert (series.t0.value, series.dt.value, str(series.unit)) == (START, 1.0, "m")
    assert str(series.channel) == NAME
    fast = TimeSeries.read(site.h5, "channels/V1:FAST", format="hdf5")
    assert fast.sample_rate.value == 20.0 and len(fast) == 3600


def test_its_times_are_what_fromisoformat_takes(site):
    with h5py.File(site.h5) as file:
        times = [datetime.fromisoformat(file.attrs[name]) for name in ("start_dt", "end_dt", "created_utc")]
    told = site.json("summary")
    times += [datetime.fromisoformat(told[name]) for name in told if name.endswith("_utc")]
    assert {time.utcoffset() for time in times} == {timedelta(0)} and len(times) == 7


@pytest.mark.parametrize(("compression", "opens"), [("gzip", True), ("none", True), ("lzf", False)])
def test_h5dump_knows_no_lzf(tmp_path, compression, opens):
    """What reads HDF5 without h5py, as h5dump and MATLAB do, has no filter for lzf: README says so."""
    needs("h5dump")
    day = day_file(
        tmp_path / "day.h5",
        {"V1:A": (1.0, 0.0, ramp(600))},
        Window(START, START + 600),
        compression=compression,
    )
    done = call("h5dump", "-d", "/channels/V1:A", "-y", "-w", "1", day)
    assert (done.returncode == 0) == opens
    if opens:
        data = done.stdout.split("DATA {")[1].split("}")[0]
        np.testing.assert_array_equal([float(value) for value in data.split(",")], ramp(600))


def test_h5dump_reads_what_read_days_writes(site, tmp_path):
    needs("h5dump")
    call(ROOT / "bin/read-days", site.h5, NAME, "--end", START + 5, "--out", tmp_path / "x.h5")
    done = call("h5dump", "-d", f"/{NAME}", "-y", "-w", "1", tmp_path / "x.h5")
    data = done.stdout.split("DATA {")[1].split("}")[0]
    np.testing.assert_array_equal([float(value) for value in data.split(",")], want()[:5])


def test_gwdama(site):
    needs_package("gwdama")
    from gwdama.io import GwDataManager

    manager = GwDataManager(str(site.h5), storage="disk", mode="r")
    try:
        dataset = manager[f"channels/{NAME}"]
        np.testing.assert_array_equal(dataset.data.value, want())
        assert dataset.data.unit == "m"
        assert dataset.times.value[0] == START and dataset.times.value[-1] == START + 179
        assert manager.attrs["dama_name"] == "V1trend_20240410"
        assert NAME in str(manager)
    finally:
        manager.close()


@pytest.mark.long
def test_a_real_frame_of_three_detectors(tmp_path):
    """gwpy's wheel ships real H1, L1 and V1 strain, so every machine has it."""
    from importlib.resources import files

    from gwpy.timeseries import TimeSeries
    from support.sites import command

    path = files("gwpy") / "testing" / "data" / "HLV-HW100916-968654552-1.gwf"
    names = ["H1:LDAS-STRAIN", "L1:LDAS-STRAIN", "V1:h_16384Hz"]
    channels = tmp_path / "channels.txt"
    channels.write_text("\n".join(names))
    span = ("--start", "968654552", "--end", "968654553", "--increment", "1")
    command("extract-increment", path, channels, *span, "--parts", tmp_path / "parts")
    command("pad-merge", tmp_path / "parts", "--out", tmp_path / "day.h5")
    for name in names:
        ours = TimeSeries.read(tmp_path / "day.h5", f"channels/{name}", format="hdf5")
        theirs = TimeSeries.read(path, name, format="gwf.lalframe")
        np.testing.assert_array_equal(ours.value, theirs.value)
        assert ours.t0 == theirs.t0 and ours.dt == theirs.dt and str(ours.unit) == "strain"
    assert inside("check-day", tmp_path / "day.h5").stdout == ""


@pytest.mark.slow
def test_real_o4_frames(tmp_path, shared):
    from support.sites import command

    path = shared / "frames" / "L-L1_llhoft-1384353755-1.gwf"
    import gwframe._core as core

    stream = core.IFrameFStream(str(path))
    names = stream.get_toc().get_proc()
    channels = tmp_path / "channels.txt"
    channels.write_text("\n".join(names))
    span = ("--start", "1384353755", "--end", "1384353756", "--increment", "1")
    command("extract-increment", path, channels, *span, "--parts", tmp_path / "parts")
    command("pad-merge", tmp_path / "parts", "--out", tmp_path / "day.h5")
    with h5py.File(tmp_path / "day.h5") as file:
        assert set(file["channels"]) == set(names)
        for name in names:
            channel = stream.read_fr_proc_data(0, name)
            vector = channel.get_data_vector(0)
            values = vector.get_data_uncompressed()
            np.testing.assert_array_equal(file["channels"][name][()], values.astype(file["channels"][name].dtype))
    assert inside("check-day", "--all", tmp_path / "day.h5").stdout == ""
