"""bin/read-stream and streams.reading: what the running sums of a stream say, and where they say nothing."""

import json
import time

import numpy as np
import pytest
from framemake.streams import reading, records, store
from framemake.streams.records import Info
from support.commands import long, needs, refused, run, well
from support.stream_files import DOUBLE, FLOAT, INT, Written, write

T0 = 1148000400
NAME = "H0:PEM-EX_SEISX"  # 256 raw samples a second
RATES = {1: "H1:PEM-CS_SEIS_DQ", 16: "H0:PEM-EX_RAIN", 256: NAME, 2048: "H0:PEM-LVEA_MAGX"}


def opened(written, folder):
    written.write(folder, RATES[written.rate])
    return store.open_stream(str(folder), RATES[written.rate])


def ramp(count, first=1.0):
    return first + np.arange(count, dtype=float)


def read(stream, start, end, points=None, kind="mean"):
    times, values = reading.points(stream, kind, start, end, points)
    assert times.dtype == values.dtype == np.float64 and len(times) == len(values)
    return times.tolist(), values


# Samples


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("info", [FLOAT, DOUBLE, INT], ids=lambda info: info.datatype)
def test_each_sample_comes_back_whatever_rate_and_type(tmp_path, rate, info):
    stream = opened(Written(info, rate).file(T0, 60, ramp(60), ramp(60, 3)), tmp_path)
    times, values = read(stream, T0, T0 + 3600)
    assert times == [T0 + 60 * k for k in range(60)]
    np.testing.assert_allclose(values, ramp(60), rtol=1e-12)
    np.testing.assert_allclose(read(stream, T0, T0 + 3600, kind="rms")[1], ramp(60, 3), rtol=1e-12)


def test_the_original_divided_integers_by_time_alone_and_this_does_not(tmp_path):
    stream = opened(Written(INT, 16).file(T0, 60, [32] * 60), tmp_path)
    assert set(read(stream, T0, T0 + 3600, 7)[1]) == {32.0}


def test_slope_and_bias_are_applied(tmp_path):
    info = Info("float", 16, 0.5, -2.0, "um")
    stream = opened(Written(info, 256).file(T0, 60, ramp(60)), tmp_path)
    np.testing.assert_allclose(read(stream, T0, T0 + 3600)[1], ramp(60) * -2 + 0.5)
    np.testing.assert_allclose(read(stream, T0, T0 + 3600, kind="rms")[1], ramp(60) * -2 + 0.5)


def test_a_span_is_half_open(tmp_path):
    stream = opened(Written().file(T0, 60, ramp(60)), tmp_path)
    assert read(stream, T0 + 60, T0 + 180)[0] == [T0 + 60, T0 + 120]
    assert read(stream, T0 + 60.5, T0 + 120.5)[0] == [T0 + 120]


@pytest.mark.parametrize("kind", ["mean", "rms"])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("info", [FLOAT, DOUBLE, INT], ids=lambda info: info.datatype)
def test_one_minute_between_seconds_and_a_gap_is_a_minute(tmp_path, rate, info, kind):
    written = Written(info, rate).file(T0, 60, ramp(60)).file(T0 + 3600, 1, ramp(600, 60)).file(T0 + 4200, 60, [90])
    begun = opened(written, tmp_path / "begun")
    # What follows a last sample is not there to tell how long it is.
    assert np.isnan(read(begun, T0 + 4200, T0 + 4260, kind=kind)[1]).all()
    np.testing.assert_allclose(read(begun, T0 + 3600, T0 + 4200, kind=kind)[1], ramp(600, 60))
    stream = opened(written.file(T0 + 7200, 1, ramp(600, 20)), tmp_path)
    times, values = read(stream, T0 + 4140, T0 + 7260, kind=kind)
    there = ~np.isnan(values)
    assert np.array(times)[there].tolist() == [T0 + k for k in (*range(4140, 4201), *range(7200, 7260))]
    np.testing.assert_allclose(values[there], [*ramp(60, 600), 90, *ramp(60, 20)], rtol=1e-9)
    np.testing.assert_allclose(read(stream, T0 + 4200, T0 + 4260, 1, kind=kind)[1], [90], rtol=1e-9)


def test_one_minute_between_seconds_and_a_gap_whose_sums_do_not_tell_it_is_nan(tmp_path):
    written = Written(FLOAT, 256).file(T0, 60, ramp(60)).file(T0 + 3600, 1, ramp(600, 60)).file(T0 + 4200, 60, [90])
    written.file(T0 + 7200, 1, ramp(600, 20))
    kept = written.records()
    kept["square"][661:] += 90 * 90
    write(tmp_path, NAME, kept, written.entries(), FLOAT)
    values = read(store.open_stream(str(tmp_path), NAME), T0 + 4190, T0 + 4210)[1]
    assert np.isnan(values).tolist() == [False] * 10 + [True] * 2


def test_an_invalid_sample_is_nan_and_its_neighbours_are_not(tmp_path):
    means = ramp(60)
    means[30] = 0
    stream = opened(Written().file(T0, 60, means), tmp_path)
    values = read(stream, T0, T0 + 3600)[1]
    assert np.flatnonzero(np.isnan(values)).tolist() == [30]
    np.testing.assert_allclose(values[31], 32)


# Points


def test_a_point_is_the_mean_of_the_samples_that_begin_in_it(tmp_path):
    stream = opened(Written().file(T0, 60, ramp(60)), tmp_path)
    times, values = read(stream, T0, T0 + 3600, 6)
    assert times == [T0 + 600 * k for k in range(6)]
    np.testing.assert_allclose(values, ramp(60).reshape(6, 10).mean(axis=1))
    rms = read(stream, T0, T0 + 3600, 6, "rms")[1]
    np.testing.assert_allclose(rms, np.sqrt((ramp(60) ** 2).reshape(6, 10).mean(axis=1)))


def test_points_finer_than_samples_hold_the_sample_that_goes_on(tmp_path):
    stream = opened(Written().file(T0, 60, ramp(60)), tmp_path)
    times, values = read(stream, T0, T0 + 120, 12)
    assert len(times) == 12
    np.testing.assert_allclose(values, [1] * 6 + [2] * 6)


def test_by_default_800_records_come_as_they_are_and_more_as_800_points(tmp_path):
    stream = opened(Written().file(T0, 1, ramp(801)), tmp_path)
    assert read(stream, T0, T0 + 800)[0] == list(range(T0, T0 + 800))
    times, values = read(stream, T0, T0 + 801)
    assert len(times) == 800 and times[1] - times[0] == pytest.approx(801 / 800)
    assert not np.isnan(values).any()


def test_a_span_inside_one_sample_is_one_point(tmp_path):
    stream = opened(Written().file(T0, 60, ramp(60)), tmp_path)
    assert [*map(list, read(stream, T0 + 70, T0 + 80))] == [[T0 + 70], [2.0]]


def test_trends_that_follow_one_another_are_weighed_by_their_lengths(tmp_path):
    written = Written(DOUBLE, 256).file(T0, 60, [10.0] * 60).file(T0 + 3600, 1, [20.0] * 600)
    stream = opened(written.file(T0 + 4200, 60, [40.0] * 60), tmp_path)
    assert [entry[1] for entry in written.index][2:] == [60, 1, 1, 60]
    np.testing.assert_allclose(read(stream, T0, T0 + 7800, 13)[1], [10] * 6 + [20] + [40] * 6)
    np.testing.assert_allclose(read(stream, T0 + 3000, T0 + 4800, 1)[1], [(600 * 10 + 600 * 20 + 600 * 40) / 1800])
    times, values = reading.each(stream, "mean", 58, 62)
    assert times.tolist() == [T0 + 3480, T0 + 3540, T0 + 3600, T0 + 3601]
    np.testing.assert_allclose(values, [10, 10, 20, 20])


# Gaps


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("second", [1, 60])
@pytest.mark.parametrize("first", [1, 60])
def test_a_gap_is_no_data_and_changes_no_mean(tmp_path, rate, first, second):
    written = Written(DOUBLE, rate).file(T0, first, [10.0] * (3600 // first))
    stream = opened(written.file(T0 + 7200, second, [20.0] * (3600 // second)), tmp_path)
    values = read(stream, T0, T0 + 10800, 18)[1]
    np.testing.assert_allclose(values, [10.0] * 6 + [np.nan] * 6 + [20.0] * 6)
    # Two thirds are there: their mean is, and not that of what the sums carried on.
    np.testing.assert_allclose(read(stream, T0, T0 + 10800, 1)[1], [15.0])
    # Over the edge of a gap, and mostly in one, there is nothing to tell.
    assert np.isnan(read(stream, T0, T0 + 5400, 1)[1]).all()
    assert np.isnan(read(stream, T0 + 3000, T0 + 7800, 1)[1]).all()
    assert np.isnan(read(stream, T0 + 5000, T0 + 6000, 3)[1]).all()
    lengths = written.lengths
    count = reading.samples(stream, "mean", 0, len(lengths)).count
    np.testing.assert_array_equal(count, np.array(lengths) * rate)


def test_before_and_after_the_stream_there_is_nothing(tmp_path):
    stream = opened(Written().file(T0, 60, ramp(60)), tmp_path)
    values = read(stream, T0 - 600, T0 + 4200, 8)[1]
    assert np.isnan(values[[0, -1]]).all() and not np.isnan(values[1:-1]).any()
    assert np.isnan(read(stream, T0 - 600, T0 + 4200, 1)[1]).all()


def test_one_lost_second_of_second_trend_as_ours_and_as_the_original_has_it(tmp_path):
    """At R = 1 both records of the gap fall on one time: the original writes two, with no second between them."""
    kept = Written(DOUBLE, 1).file(T0, 1, [10.0] * 60).file(T0 + 61, 1, [20.0] * 60)
    assert [row[1] for row in kept.rows[60:62]] == [T0 + 60, T0 + 60]
    stream = opened(kept, tmp_path)
    values = reading.each(stream, "mean", 0, len(kept.rows))[1]
    assert np.isnan(values[60:62]).all()
    np.testing.assert_allclose(values[62:], 20)
    np.testing.assert_allclose(read(stream, T0 + 58, T0 + 64, 6)[1], [10, 10, np.nan, 20, 20, 20])
    rows, index = np.delete(kept.records(), 61), kept.entries()
    write(tmp_path, "H1:PEM-CS_OTHER_DQ", rows, index[~np.isin(index["time"], [T0 + 60])], DOUBLE)
    stream = store.open_stream(str(tmp_path), "H1:PEM-CS_OTHER_DQ")
    np.testing.assert_allclose(read(stream, T0 + 58, T0 + 64, 6)[1], [10, 10, np.nan, 20, 20, 20])


def test_an_index_that_lacks_an_entry_misleads_nobody(tmp_path):
    """The original forgets one at R = 1, where second trend follows minute trend behind a gap."""
    written = Written(DOUBLE, 1).file(T0, 60, ramp(60)).file(T0 + 7200, 1, ramp(600, 100))
    stream = opened(written, tmp_path)
    lacking = np.delete(written.entries(), 2)
    want = read(stream, T0, T0 + 7800, 130)[1]
    assert not np.isnan(want[-10:]).any()
    np.testing.assert_array_equal(read(stream._replace(index=lacking), T0, T0 + 7800, 130)[1], want)
    np.testing.assert_array_equal(read(stream._replace(index=lacking[:0]), T0, T0 + 7800, 130)[1], want)


def test_a_long_stretch_of_invalid_samples_inside_a_file_is_seen(tmp_path):
    means = np.full(3600, 5.0)
    means[100:160] = 0
    stream = opened(Written().file(T0, 1, means), tmp_path)
    # Over an edge, over the middle, and short and between: that one counts as the last good sample.
    assert np.isnan(read(stream, T0 + 90, T0 + 110, 1)[1]).all()
    assert np.isnan(read(stream, T0 + 150, T0 + 250, 1)[1]).all()
    assert np.isnan(read(stream, T0 + 80, T0 + 180, 1)[1]).all()
    np.testing.assert_allclose(read(stream, T0, T0 + 3600, 1)[1], 5.0)
    np.testing.assert_allclose(read(stream, T0 + 160, T0 + 200, 40)[1], 5.0)


def test_poisoned_sums_are_nan_and_not_infinite(tmp_path):
    written = Written().file(T0, 60, ramp(60))
    rows = written.records()
    rows["sum"][30:], rows["square"][40:] = np.nan, np.inf
    write(tmp_path, NAME, rows, written.entries(), DOUBLE)
    stream = store.open_stream(str(tmp_path), NAME)
    assert np.isnan(read(stream, T0, T0 + 3600)[1][30:]).all()
    assert not np.isinf(read(stream, T0, T0 + 3600, kind="rms")[1]).any()


# Against a slow reader that looks at every sample


def random_stream(random, rate, info):
    written, at = Written(info, rate), float(T0)
    for _ in range(random.integers(3, 12)):
        seconds, count = ((1, 600), (60, 60))[random.integers(2)]
        means = np.round(random.normal(50, 20, count)).clip(1)
        for _ in range(random.integers(3)):
            a = random.integers(count)
            means[a : a + random.integers(1, 40)] = 0
        written.file(at, seconds, means, means + 3)
        at += seconds * count + random.choice([0, 0, 60, 600, 3600, 7260])
    return written


@pytest.mark.parametrize("seed", [0, 8, 11, *map(long, (*range(1, 8), 9, 10))])
def test_values_are_those_of_a_reader_that_looks_at_every_sample(tmp_path, seed):
    random = np.random.default_rng(seed)
    written = random_stream(random, list(RATES)[seed % 4], (FLOAT, INT)[seed % 2])
    stream = opened(written, tmp_path)
    rows, length = written.records(), np.array(written.lengths)
    begin, end = rows["time"][0], rows["time"][-1] + length[-1]
    held = np.diff(rows["sum"], prepend=rows["sum"].dtype.type(0)) / np.where(length, length * stream.rate, 1)
    valid = rows["valid"] != 0
    found = reading.samples(stream, "mean", 0, len(rows))
    np.testing.assert_array_equal(found.seconds, length)
    np.testing.assert_array_equal(found.good, valid)
    told = 0
    for _ in range(20):
        a, b = np.sort(random.integers(begin - 600, end + 600, 2))
        points = int(random.integers(1, 400))
        times, values = read(stream, a, b + 1, points)
        edges = [*times, b + 1]
        for start, stop, value in zip(edges[:-1], edges[1:], values, strict=True):
            if np.isnan(value):
                continue
            told += 1
            inside = (rows["time"] >= start - 1e-6) & (rows["time"] < stop - 1e-6) & (length > 0)
            if not inside.any():
                inside = (rows["time"] <= start) & (rows["time"] + length >= stop - 1e-6) & (length > 0)
                assert inside.sum() == 1 and valid[inside].all()
            # Not over an edge of a gap; and of the time at least half there.
            gaps = [
                (rows["time"][k - 1] + length[k - 1], rows["time"][k + 1]) for k in np.flatnonzero(length == 0)[::2]
            ]
            assert not any(low + 1e-3 < edge < high - 1e-3 for low, high in gaps for edge in (start, stop))
            lost = sum(max(0, min(high, stop) - max(low, start)) for low, high in gaps)
            assert lost <= 0.5 * (stop - start) + 1e-3
            want = np.average(held[inside], weights=length[inside])
            assert value == pytest.approx(want, rel=1e-6)
    assert told > 500


def test_a_point_costs_two_record_reads_whatever_the_span(tmp_path):
    class Counting:
        """Records that count how many are read."""

        def __init__(self, held, count=None):
            self.held, self.count = held, [0] if count is None else count

        def __len__(self):
            return len(self.held)

        def __getitem__(self, key):
            found = self.held[key]
            if isinstance(key, str):
                return Counting(found, self.count)
            self.count[0] += np.size(found)
            return found

    stream = opened(Written().file(T0, 1, ramp(100_000)), tmp_path)
    for span in (10_000, 100_000):
        counting = Counting(stream.records)
        reading.points(stream._replace(records=counting), "mean", T0, T0 + span, 800)
        assert counting.count[0] <= 2 * 801 + 10


# The original importer's own output


def test_golden_streams_give_back_their_samples(shared):
    folder = str(shared / "elab" / "streams")
    if not (shared / "elab").is_dir():
        pytest.skip(f"no shared data: {folder}")
    for name in store.names(folder):
        stream = store.open_stream(folder, name)
        kept = stream.records
        values = reading.each(stream, "mean", 0, len(kept))[1]
        step = np.diff(kept["time"], append=np.nan)
        steady = (np.roll(step, 1) == step) & (step == np.round(step))
        steady[0] = False
        want = np.diff(kept["sum"], prepend=kept["sum"][:1])[steady] / (step[steady] * stream.rate)
        np.testing.assert_allclose(values[steady], np.where(kept["valid"][steady] != 0, want, np.nan), rtol=1e-12)
        assert np.isnan(values[kept["valid"] == 0]).all() and not np.isnan(values[kept["valid"] != 0]).any()


# The command


@pytest.fixture
def path(tmp_path):
    info = Info("double", 64, 0.0, 1.0, "um")
    written = Written(info, 256).file(T0, 60, ramp(60)).file(T0 + 7200, 60, ramp(60))
    return written.write(tmp_path / "streams", NAME)


def test_lines_of_time_and_value(path):
    want = f"{T0}\t1.0\n{T0 + 60}\t2.0\n"
    assert well("read-stream", path, "--mean", str(T0), str(T0 + 120)) == want
    assert well("read-stream", f"{path}.bin", "--mean", str(T0), str(T0 + 120)) == want
    assert well("read-stream", NAME, "--rms", str(T0), str(T0 + 120), cwd=path.parent) == want


def test_times_in_utc(path):
    span = ("2016-05-23T01:00:00", "2016-05-23T01:02:00")  # 17 leap seconds
    assert well("read-stream", path, "--mean", *span) == f"{T0 + 60}\t2.0\n{T0 + 120}\t3.0\n"


def test_a_gap_is_nan_in_lines_and_null_in_json(path):
    out = well("read-stream", path, "--mean", str(T0), str(T0 + 10800), "--points", "3")
    assert out == f"{T0}\t30.5\n{T0 + 3600}\tnan\n{T0 + 7200}\t30.5\n"
    told = json.loads(well("read-stream", path, "--mean", str(T0), str(T0 + 10800), "--points", "3", "--json"))
    assert told == {
        "name": NAME, "kind": "mean", "unit": "um",
        "times": [T0, T0 + 3600, T0 + 7200], "values": [30.5, None, 30.5],
    }  # fmt: skip


def test_every_record_however_many(tmp_path):
    path = Written().file(T0, 1, ramp(2000)).write(tmp_path, NAME)
    out = well("read-stream", path, "--mean", str(T0), str(T0 + 5000), "--every").splitlines()
    assert len(out) == 2000 and out[-1].split("\t")[0] == str(T0 + 1999)
    assert len(well("read-stream", path, "--mean", str(T0), str(T0 + 1999)).splitlines()) == 800


def test_a_span_without_data_is_status_3(path):
    for options in ((), ("--points", "4"), ("--every",), ("--json",)):
        status, _, told = run("read-stream", path, "--mean", "1000000000", "1000000100", *options)
        extent = f"the stream goes from {T0} to {T0 + 10740}"
        assert (status, told) == (3, f"read-stream: no data in the span, {extent}: {str(path)!r}\n")


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (("20", "10"), "the span is empty"),
        (("10", "10"), "the span is empty"),
        (("x", "10"), "no such time"),
        (("10", "2016-05-33"), "no such day"),
        (("1", "2", "--points", "99999999999"), "the number of points is"),
    ],
)
def test_a_bad_span_is_one_line(path, span, words):
    assert words in refused("read-stream", path, "--mean", *span)


@pytest.mark.parametrize("options", [(), ("--mean", "--rms"), ("--mean", "--points", "0"), ("--mean", "--points", "x")])
def test_wrong_usage_is_status_2(path, options):
    refused("read-stream", path, "1", "2", *options, status=2)


def test_an_unknown_or_torn_stream_is_one_line(path):
    assert "no such stream" in refused("read-stream", f"{path}Y", "--mean", "1", "2")
    assert "no such stream" in refused("read-stream", path.parent, "--mean", "1", "2")
    with open(f"{path}.bin", "ab") as torn:
        torn.write(b"\xff\0\0")
    assert "torn" in refused("read-stream", path, "--mean", "1", "2")


def test_a_reader_that_has_enough_is_no_error(path):
    needs("bash", "head")
    from support.commands import BIN

    line = f'"{BIN}/read-stream" "$0" --mean {T0} {T0 + 3600} | head -1'
    assert well("/bin/bash", "-o", "pipefail", "-c", line, path) == f"{T0}\t1.0\n"


@pytest.mark.long
def test_800_points_of_ten_years_of_minutes_take_less_than_50_ms(tmp_path):
    count = 5_260_000
    kept = np.zeros(count, records.record("double"))
    kept["valid"], kept["time"] = records.VALID, 800_000_000 + 60.0 * np.arange(count)
    kept["sum"] = kept["square"] = np.cumsum(np.full(count, 7.0 * 60 * 256))
    index = np.array([(0.0, kept["time"][0]), (kept["time"][0], 60.0)], records.INDEX)
    write(tmp_path, NAME, kept, index, DOUBLE)
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        stream = store.open_stream(str(tmp_path), NAME)
        values = reading.points(stream, "mean", 800_000_000, 800_000_000 + 60 * count, 800)[1]
        took.append(time.perf_counter() - begun)
    np.testing.assert_allclose(values, 7)
    assert min(took) < 0.05
