"""read-days: samples and bins of days, as text and as files of other programs, which give the same values again."""

import csv
import io
import json
import tracemalloc

import framemake
import h5py
import numpy as np
import pytest
from framemake.days import bins, export, tables
from framemake.errors import BadInput
from support import days as made
from support.commands import START, command, refused, run, well
from support.sites import Site

DAY, NEXT = "2024-04-10", "2024-04-11"
MIDNIGHT = START + 86400


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two days of a channel at 1 Hz with holes, one at 2 Hz; samples that no float32 has are in neither."""
    folder = tmp_path_factory.mktemp("read") / "out"
    for day in (DAY, NEXT):
        plain = made.ramp_day(day)
        if day == NEXT:
            plain[0][60:120] = np.nan
            plain[0][130] = np.nan
        made.write_day(folder, day, {"V1:A": plain, "V1:B": made.ramp_day(day, 2.0, dtype="f8", unit="m")})
    return folder


def wanted(out, names, start, end, *how, **more):
    return export.Wanted(framemake.open_days(out).read(names, start, end), *how, **more)


def text(found):
    return "".join(part for part, _ in found)


@pytest.mark.slow
def test_samples_are_printed_as_read_stream_prints_them(out):
    span = ("--start", "2024-04-11T00:00:58", "--end", MIDNIGHT + 60)
    got = well("read-days", out, "V1:A", "--start", MIDNIGHT - 1, "--end", MIDNIGHT + 1)
    assert got == f"{MIDNIGHT - 1}\t1086399.0\n{MIDNIGHT}\t1100000.0\n"
    got = well("read-days", out, "V1:A", *span[:2], "--end", MIDNIGHT + 61, "--csv")
    assert got.splitlines() == [
        "utc,gps,V1:A",
        f"2024-04-11T00:00:58,{MIDNIGHT + 58},1100058.0",
        f"2024-04-11T00:00:59,{MIDNIGHT + 59},1100059.0",
        f"2024-04-11T00:01:00,{MIDNIGHT + 60},",
    ]
    told = refused("read-days", out, "V1:A", "V1:B", *span)
    assert "samples of different rates or grids, --every or --points makes rows of them: 'V1:A' and 'V1:B'" in told
    assert "--value goes with --every or --points: 'max'" in refused("read-days", out, "V1:A", *span, "--value", "max")
    status, printed, told = run("read-days", out, "V1:A", "--start", MIDNIGHT + 60, "--end", MIDNIGHT + 62, "--json")
    assert status == 3 and told == "read-days: no data in the span: 'V1:A'\n"
    assert json.loads(printed)["rows"] == [[MIDNIGHT + 60, None], [MIDNIGHT + 61, None]]


def test_bins_are_those_of_the_good_samples_and_an_empty_one_is_empty(out):
    values = ["mean", "min", "max", "median", "std", "count"]
    got = text(export.to_text(wanted(out, ["V1:A"], MIDNIGHT, MIDNIGHT + 150, 60, None, values), "csv"))
    head, *rows = csv.reader(io.StringIO(got))
    assert head == ["utc", "gps", *(f"V1:A {value}" for value in values)]
    samples = [np.arange(60) + 1100000.0, np.empty(0), np.delete(np.arange(120, 150) + 1100000.0, 10)]
    for row, held in zip(rows, samples, strict=True):
        if not len(held):
            assert row[2:] == ["", "", "", "", "", "0"]
            continue
        expected = [held.mean(), held.min(), held.max(), np.median(held), held.std(), len(held)]
        np.testing.assert_allclose([float(field) for field in row[2:]], expected, rtol=1e-12)
    assert [row[1] for row in rows] == [str(MIDNIGHT + at) for at in (0, 60, 120)]


def test_bins_of_channels_of_several_rates_are_rows(out):
    got = text(export.to_text(wanted(out, ["V1:A", "V1:B"], START, START + 4, None, 2, ["mean"]), "json"))
    told = json.loads(got)
    assert told["columns"] == [
        {"channel": "V1:A", "value": "", "unit": "V"}, {"channel": "V1:B", "value": "", "unit": "m"}
    ]  # fmt: skip
    assert told["rows"] == [[START, 1000000.5, 1000001.5], [START + 2, 1000002.5, 1000005.5]]


@pytest.mark.parametrize("at_once", [1, 7, 1 << 21])
def test_bins_do_not_depend_on_the_pieces_in_which_they_are_read(out, monkeypatch, at_once):
    series = framemake.open_days(out).read("V1:A", MIDNIGHT, MIDNIGHT + 150)
    cut = bins.edges(MIDNIGHT, MIDNIGHT + 150, 40.0)
    monkeypatch.setattr(bins, "_AT_ONCE", at_once)
    pieces = [piece[~np.isnan(piece)].astype(float) for piece in np.split(series.values, [40, 80, 120])]
    ways = {"mean": np.mean, "min": np.min, "max": np.max, "median": np.median, "std": np.std, "count": len}
    # With a median a bin is read as a whole, without one it is joined from pieces.
    for values in (bins.VALUES, ("std", "mean", "count"), ("min", "max")):
        found = [np.concatenate(part) for part in zip(*bins.binned(series, cut, values), strict=True)]
        for got, way in zip(found, (ways[value] for value in values), strict=True):
            expected = [way(piece) if len(piece) or way is len else np.nan for piece in pieces]
            # Joined sample by sample, at a mean of a million, a std has lost some digits.
            np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ((0.0, None, ["mean"]), "longer than 0 seconds"),
        ((60, None, ["mode"]), "no such value, want mean, min, max, median, std, count: 'mode'"),
        ((1e-9, None, ["mean"]), "at most 100000000 bins"),
    ],
)
def test_bins_that_there_cannot_be(out, how, words):
    with pytest.raises(BadInput, match=words):
        wanted(out, ["V1:A"], MIDNIGHT, MIDNIGHT + 150, *how)


def test_a_median_of_too_many_samples_is_refused(out, monkeypatch):
    monkeypatch.setattr(bins, "_MOST_FOR_MEDIAN", 100)
    with pytest.raises(BadInput, match="a median of more than 100 samples"):
        text(export.to_text(wanted(out, ["V1:A"], MIDNIGHT, MIDNIGHT + 150, None, 1, ["median"]), "tsv"))


def test_only_samples_in_segments_count(out):
    keep = [(START + 1, START + 3), (START + 5, START + 5.5)]
    lines = text(export.to_text(wanted(out, ["V1:A"], START, START + 10, keep=keep), "tsv"))
    assert [line.split("\t")[1] for line in lines.splitlines()] == ["1000001.0", "1000002.0", "1000005.0"]
    lines = text(export.to_text(wanted(out, ["V1:A"], START, START + 10, 5, None, ["count"], keep), "tsv"))
    assert lines == f"{START}\t2\n{START + 5}\t1\n"


def test_utc_is_told_with_fractions_and_at_a_leap_second():
    assert tables.utc_texts(np.array([START, START + 0.5])) == ["2024-04-10T00:00:00", "2024-04-10T00:00:00.5"]
    leap = 1167264017
    assert [each[11:] for each in tables.utc_texts(np.array([leap - 1, leap, leap + 1.25]))] == [
        "23:59:59", "23:59:60", "00:00:00.25"
    ]  # fmt: skip


# --- files -------------------------------------------------------------------------------


def test_a_csv_file_is_what_is_printed(out, tmp_path):
    path = tmp_path / "x.csv"
    assert export.to_file(wanted(out, ["V1:A"], START, START + 3), str(path))
    assert path.read_text() == text(export.to_text(wanted(out, ["V1:A"], START, START + 3), "csv"))
    with pytest.raises(BadInput, match=r"no such form of file, want \.csv, \.parquet"):
        export.to_file(wanted(out, ["V1:A"], START, START + 3), str(tmp_path / "x.xls"))


@pytest.mark.slow
def test_a_parquet_file_has_times_and_nulls(out, tmp_path):
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    assert export.to_file(wanted(out, ["V1:A"], MIDNIGHT + 59, MIDNIGHT + 61), str(path))
    table = parquet.read_table(path)
    assert table.schema.field("V1:A").type == "float" and table.schema.field("V1:A").metadata[b"unit"] == b"V"
    assert table["V1:A"].to_pylist() == [1100059, None] and table["gps"].to_pylist() == [MIDNIGHT + 59, MIDNIGHT + 60]
    assert [str(time)[:19] for time in table["utc"].to_pylist()] == ["2024-04-11 00:00:59", "2024-04-11 00:01:00"]


@pytest.mark.slow
def test_an_hdf5_file_is_read_by_gwpy(out, tmp_path):
    from gwpy.timeseries import TimeSeriesDict

    path = tmp_path / "x.h5"
    assert export.to_file(wanted(out, ["V1:A", "V1:B"], MIDNIGHT - 5, MIDNIGHT + 100), str(path))
    got = TimeSeriesDict.read(path)
    for name in ("V1:A", "V1:B"):
        series = framemake.open_days(out).read(name, MIDNIGHT - 5, MIDNIGHT + 100)
        np.testing.assert_array_equal(got[name].value, series.values)
        assert (got[name].t0.value, got[name].dx.value, str(got[name].unit)) == (series.t0, series.dt, series.unit)
    assert export.to_file(wanted(out, ["V1:A"], MIDNIGHT, MIDNIGHT + 120, 60, None, ["mean", "count"]), str(path))
    with h5py.File(path) as file:
        assert file["V1:A.count"][()].tolist() == [60, 0] and file["V1:A.mean"].attrs["dx"] == 60


@pytest.mark.slow
def test_frames_go_back_in_to_the_same_values(out, tmp_path):
    site = Site(tmp_path)
    path = site.frames / f"V-back-{START}-{2 * 86400}.gwf"
    command("read-days", out, "V1:A", "V1:B", "--start", DAY, "--end", "2024-04-12", "--out", path)
    site.list(path, START, 2 * 86400)
    site.want("V1:A", "V1:B")
    done = site.span(86400, increment=600)
    assert done.returncode == 0, done.stderr
    for name in ("V1:A", "V1:B"):
        before = framemake.open_days(out).read(name, DAY, NEXT)
        after = framemake.open_days(site.out).read(name, DAY, NEXT)
        assert after.values.tobytes() == before.values.tobytes() and (after.t0, after.unit) == (before.t0, before.unit)
    # A file whose name does not tell its time is asked itself.
    path.rename(tmp_path / "back.gwf")
    assert well("list-frames", tmp_path / "back.gwf") == f"{tmp_path}/back.gwf {START} {2 * 86400} 0 0\n"
    (tmp_path / "none.gwf").write_bytes(b"IGWD")
    assert refused("list-frames", tmp_path / "none.gwf") == (
        f"list-frames: its name tells no time, and it cannot be read, not a frame file: '{tmp_path}/none.gwf'\n"
    )
    with pytest.raises(BadInput, match="whole GPS seconds"):
        export.to_file(wanted(out, ["V1:A"], START + 0.5, MIDNIGHT), str(path))
    with pytest.raises(BadInput, match="not bins or segments"):
        export.to_file(wanted(out, ["V1:A"], START, MIDNIGHT, 60, None, ["mean"]), str(path))


NAMES = {"V1:A": 1.0, "V1:b c,#%é.mean": 0.1, "V1:Slow": 1 / 60, "V1:D-e.f": 16.0, "V1:Fast": 256.0}


def test_hdf5_goes_back_in_to_the_same_values(tmp_path):
    site, span = Site(tmp_path), framemake.Window(START, START + 7200)
    holes = np.random.default_rng(7)
    channels = {}
    for at, (name, rate) in enumerate(NAMES.items()):
        samples = holes.standard_normal(round(7200 * rate)).astype("f8" if at % 2 else "f4")
        samples[round(1000 * rate) : round(2300 * rate)] = np.nan
        samples[holes.random(len(samples)) < 0.01] = np.nan
        channels[name] = samples, rate, ("V", "", "m/s^2", "µm", "counts")[at]
    made.write_day(tmp_path / "days", DAY, channels, window=span)
    path = tmp_path / "back.h5"
    command("read-days", tmp_path / "days", *NAMES, "--start", START, "--end", START + 7200, "--out", path)
    site.channels.write_text(json.dumps(list(NAMES)))
    site.ffl = path
    done = site.span(7200, increment=600)
    assert done.returncode == 0, done.stderr
    assert well("compare-days", tmp_path / "days", site.h5) == ""
    assert well("why-missing", site.h5, "V1:A", START + 1500).split("\t")[2] == "NaN in the frame"
    assert refused("read-days", path, "V1:A") == (
        f"read-days: no day file, though make builds days of an HDF5 file of time series (FFL=FILE): '{path}'\n"
    )


@pytest.mark.long
def test_a_second_reader_checks_what_went_in_as_hdf5(tmp_path):
    site = Site(tmp_path)
    made.write_day(tmp_path / "days", DAY, {"V1:A": made.ramp_day(DAY), "V1:B": made.ramp_day(DAY, 0.1)})
    path = site.ffl = tmp_path / "back.h5"
    command("read-days", tmp_path / "days", "V1:A", "V1:B", "--end", START + 7200, "--out", path)
    site.want("V1:A", "V1:B")
    site.span(7200, increment=600)
    assert well("check-day", site.h5) == ""
    with h5py.File(site.h5, "r+") as file:
        file["channels/V1:A"][100] = 7
    found = run("check-day", site.h5)
    assert found[0] == 1 and f"V1:A\t{START + 100}\t{START + 101}\tdiffers from the frame: 1 samples" in found[1], found


def test_a_failure_leaves_the_file_as_it_was(out, tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("before")
    days = tmp_path / "days"
    h5 = made.write_day(days, DAY, {"V1:A": made.ramp_day(DAY)})
    found = wanted(days, ["V1:A"], START, MIDNIGHT)
    h5.unlink()
    found.many[0].__dict__.pop("values")
    with pytest.raises(BadInput, match="day file"):
        export.to_file(found, str(path))
    assert path.read_text() == "before" and list(tmp_path.glob(".x*")) == []


@pytest.mark.slow
def test_a_long_span_takes_no_more_memory(out, monkeypatch):
    monkeypatch.setattr("framemake.days.series._MOST_AT_ONCE", 10)
    monkeypatch.setattr(export, "_ROWS", 1000)
    monkeypatch.setattr(bins, "_AT_ONCE", 1000)
    peaks = []
    for end in (START + 5000, START + 30000):
        found = wanted(out, ["V1:A"], START, end)
        tracemalloc.start()
        rows = sum(part.count("\n") for part, _ in export.to_text(found, "tsv"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows == end - START
    assert peaks[1] < 1.5 * peaks[0]
