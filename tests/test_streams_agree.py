"""The importer, check-streams, the reader and the rule taken literally: all must agree on any tree of frames."""

import itertools
import os
import random
import shutil

import numpy as np
import pytest
from framemake.day import second
from framemake.frames.catalog import number
from framemake.gwf.write import Signal
from framemake.streams import reading, records, store
from framemake.streams.intake import importer
from framemake.streams.verify import against, check, reread
from support import streams as made
from support.commands import long
from support.stream_files import Written

pytestmark = pytest.mark.slow

RAIN, SEIS, TILT, DQ = "H0:PEM-EX_RAIN", "H0:PEM-EX_SEISX", "H0:PEM-LVEA_TILTX", "H0:X-Y_DQ"
NIGHT, HOUR, TEN, MINUTE = made.NIGHT, made.HOUR, made.TEN, made.MINUTE


@pytest.fixture(scope="module", autouse=True)
def quiet():
    os.environ.setdefault("LAL_DEBUG_LEVEL", "0")


def told(folder):
    """What check-streams --frames prints, without its second of start-up."""
    found = [
        *check.structure(str(folder / "streams")),
        *against.faults(str(folder / "streams"), str(folder / "frames")),
    ]
    return [[name, number(float(start)), number(float(end)), what] for name, start, end, what in found]


def grown(folder, seed):
    made.random_tree(folder / "frames", random.Random(seed))
    importer.run(str(folder / "frames"), str(folder / "streams"))


def by_the_rule(root, folder):
    """{stream: Written} of a tree of one site: each sample that gwpy reads, and each gap, one after another."""
    written = {}
    for cluster in reread.clusters(str(root), "LHO"):
        pieces = {}
        for file in cluster:
            for name, channel in reread.read(file):
                pieces.setdefault(name, []).extend(channel.pieces)
        for name, parts in pieces.items():
            stream = store.open_stream(str(folder), name)
            held = reread.expected(parts)
            apart = (np.diff(held.piece) != 0) | (held.time[1:] > held.end[:-1])
            cuts = [0, *(np.flatnonzero(apart) + 1), len(apart) + 1]
            for first, stop in itertools.pairwise(cuts):
                start, length = float(held.time[first]), float(held.length[first])
                mean, rms = held.mean[first:stop].tolist(), held.rms[first:stop].tolist()
                written.setdefault(name, Written(stream.info, stream.rate)).file(start, length, mean, rms)
    return written


def read_well(stream, rule):
    """A reader must give the value of each sample, and nothing else."""
    made_of = rule.records()
    count = np.trunc(np.array(rule.lengths) * stream.rate)
    good = (made_of["valid"] != 0) & (count > 0)
    for kind, column, root in (("mean", "sum", np.asarray), ("rms", "square", np.sqrt)):
        each = np.diff(made_of[column], prepend=0)
        expected = np.full(len(good), np.nan)
        expected[good] = root(each[good] / count[good])
        _, values = reading.each(stream, kind, 0, len(stream.records))
        np.testing.assert_allclose(values, expected, rtol=1e-12, err_msg=stream.name)


def all_agree(folder, seed):
    grown(folder, seed)
    assert told(folder) == []
    written = by_the_rule(folder / "frames", folder / "streams")
    assert sorted(written) == store.names(str(folder / "streams"))
    for name, rule in written.items():
        held = store.open_stream(str(folder / "streams"), name)
        assert np.array(held.records).tobytes() == rule.records().tobytes(), name
        assert held.index.tobytes() == rule.entries().tobytes(), name
        read_well(held, rule)
    # Where frames are gone there is less to compare, and nothing to tell.
    for trend in ("second-trend", "minute-trend"):
        (folder / "frames" / trend).rename(folder / trend)
        if any((folder / "frames").glob("*/*/*/*.gwf")):
            assert told(folder) == [], trend
        (folder / trend).rename(folder / "frames" / trend)


@pytest.mark.parametrize("seed", (17, 115))
def test_all_agree_on_the_streams_of_a_tree(tmp_path, seed):
    all_agree(tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", (3, 90, 150, *range(200, 205), *range(300, 400)))
def test_all_agree_on_the_streams_of_many_trees(tmp_path, seed):
    all_agree(tmp_path, seed)


# Planted faults


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A random tree and its streams, in which nothing is amiss."""
    folder = tmp_path_factory.mktemp("sound")
    grown(folder, 3)
    assert told(folder) == []
    return folder


@pytest.fixture
def site(sound, tmp_path):
    shutil.copytree(sound / "streams", tmp_path / "streams")
    (tmp_path / "frames").symlink_to(sound / "frames")
    return tmp_path


def plant(site, name, change):
    """Change the committed records of a stream: change(records) may give others of another number."""
    held = np.array(store.open_stream(str(site / "streams"), name).records)
    shutil.rmtree(site / "streams" / ".framemake", ignore_errors=True)
    made_anew = change(held)
    path = site / "streams" / (name + records.BIN)
    path.write_bytes((held if made_anew is None else made_anew).tobytes())


def the_fault(site, name):
    """What the comparison with the frames tells, of one stream alone."""
    found = list(against.faults(str(site / "streams"), str(site / "frames")))
    assert {fault[0] for fault in found} == {name}
    return [[start, end, what] for _, start, end, what in found]


def some_records(site, name, wanted, many=2):
    """Numbers of a few records for which wanted(records) holds, spread over the stream."""
    places = np.flatnonzero(wanted(store.open_stream(str(site / "streams"), name).records))
    assert len(places) >= many
    return places[np.linspace(0, len(places) - 1, many).astype(int)].tolist()


def next_up(held, field, at):
    held[field][at] += 1 if held[field].dtype.kind == "i" else np.spacing(held[field][at])


@pytest.mark.parametrize("field", ("sum", "square"))
@pytest.mark.parametrize("name", (RAIN, long(SEIS), long(TILT), long(DQ)))
def test_a_sum_that_is_off_by_its_last_bit_is_told(site, name, field):
    original = np.array(store.open_stream(str(site / "streams"), name).records)
    for at in some_records(site, name, lambda held: held["valid"] != 0):

        def change(_, at=at):
            held = original.copy()
            next_up(held, field, at)
            return held

        plant(site, name, change)
        time = original["time"][at]
        assert any(start <= time < end and "differs" in what for start, end, what in the_fault(site, name)), at


@pytest.mark.parametrize("name", (DQ, long(RAIN), long(SEIS), long(TILT)))
def test_a_record_that_was_dropped_is_told_and_nothing_else(site, name):
    original = np.array(store.open_stream(str(site / "streams"), name).records)
    for at in some_records(site, name, lambda held: held["valid"] != 0, 4)[1:-1]:
        plant(site, name, lambda _, at=at: np.delete(original, at))
        ((start, _, what),) = the_fault(site, name)
        assert (start, what) == (original["time"][at], "not in the stream: 1 samples")


@pytest.mark.parametrize("name", (SEIS, long(RAIN), long(TILT), long(DQ)))
def test_a_sample_that_should_be_invalid_and_is_not_is_told(site, name):
    original = np.array(store.open_stream(str(site / "streams"), name).records)
    invalid = np.flatnonzero(original["valid"] == 0)
    for at in invalid[:: max(1, len(invalid) // 2)].tolist():

        def change(_, at=at):
            held = original.copy()
            held["valid"][at] = records.VALID
            return held

        plant(site, name, change)
        assert any("differs" in what or "is valid" in what for _, _, what in the_fault(site, name)), at


def test_a_time_that_is_off_by_a_hundredth_of_a_second_is_told(site):
    def change(held):
        held["time"][1200] += 0.01

    plant(site, TILT, change)
    ((_, _, what),) = the_fault(site, TILT)
    assert what == "not in the stream: 1 samples"


# Single rules


@pytest.fixture
def two_hours(tmp_path):
    """Two hours of minute trend, an hour between them missing, and two bad samples after it."""
    values = np.arange(60, dtype="f4") + 1
    made.frame(tmp_path / "frames", NIGHT, made.trend(TILT, NIGHT, 60, 60, mean=values, rms=values))
    late = values.copy()
    late[[20, 21]] = np.nan
    start = NIGHT + 2 * HOUR
    made.frame(tmp_path / "frames", start, made.trend(TILT, start, 60, 60, mean=late, rms=values))
    made.imported(tmp_path / "frames", tmp_path / "streams")
    assert told(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda held: np.delete(held, 61), "of the 2 records of a gap 1 are there"),
        (lambda held: np.delete(held, [60, 61]), "of the 2 records of a gap 0 are there"),
        (lambda held: held["valid"].__setitem__(60, 255), "a record of a gap is valid"),
        (
            lambda held: held["sum"].__setitem__(slice(61, None), held["sum"][61:] + 1),
            "the records of a gap do not go on",
        ),
        (lambda held: held["square"].__setitem__(60, held["square"][60] + 1), "the records of a gap do not go on"),
    ],
)
def test_the_records_of_a_gap_must_be_what_its_neighbours_make_them(two_hours, change, what):
    plant(two_hours, TILT, change)
    found = the_fault(two_hours, TILT)
    assert found[-1][:2] == [NIGHT + HOUR, NIGHT + 2 * HOUR] and found[-1][2].startswith(what)


def test_records_that_stand_between_samples_that_follow_one_another_are_told(two_hours):
    def change(held):
        more = held[10:11].copy()
        more["time"] += 0.5
        return np.insert(held, 11, more)

    plant(two_hours, TILT, change)
    (found,) = the_fault(two_hours, TILT)
    assert found[2] == "between samples that follow one another: 1 records of no frame"


def test_an_invalid_sample_adds_the_last_valid_one_to_the_last_bit(two_hours):
    def change(held):
        at = np.flatnonzero(held["valid"] == 0)[-1]
        held["sum"][at:] = np.nextafter(held["sum"][at:], np.inf)

    plant(two_hours, TILT, change)
    assert any("differs from the frame: 1 samples" in what for _, _, what in the_fault(two_hours, TILT))


def test_what_an_invalid_sample_adds_is_not_compared_where_the_last_valid_one_is_gone(two_hours):
    start = NIGHT + 3 * HOUR
    values = np.full(60, 5, "f4")
    values[:3] = np.nan
    made.frame(two_hours / "frames", start, made.trend(TILT, start, 60, 60, mean=values, rms=values))
    made.imported(two_hours / "frames", two_hours / "streams")
    assert told(two_hours) == []
    made.path_of(two_hours / "frames", start - HOUR).unlink()
    assert told(two_hours) == []


def test_minutes_of_invalid_seconds_need_not_be_there_when_the_seconds_frames_are_gone(two_hours):
    start = NIGHT + TEN
    signals = made.trend(TILT, start, 1, TEN, mean=np.zeros(TEN, "f4"), rms=np.zeros(TEN, "f4"))
    path = made.frame(two_hours / "frames", start, signals, fine=True)
    made.imported(two_hours / "frames", two_hours / "streams")
    assert told(two_hours) == []
    path.unlink()
    assert told(two_hours) == []


@pytest.mark.parametrize(("kind", "slope"), [("f8", 1.0), ("f4", 2.0)])
def test_samples_of_another_type_or_slope_are_left_out_and_counted(two_hours, kind, slope):
    start = NIGHT + 4 * HOUR
    odd = [Signal(f"{TILT}.{end}", np.full(60, 5, kind), 1 / 60, slope=slope) for end in ("mean", "rms")]
    made.frame(two_hours / "frames", start, odd)
    assert len(importer.run(str(two_hours / "frames"), str(two_hours / "streams")).faulty) == 1
    said = []
    assert list(against.faults(str(two_hours / "streams"), str(two_hours / "frames"), said.append)) == []
    assert said == ["1 times a channel has another type, interval, slope or bias than its stream: not compared"]


def test_minutes_under_seconds_of_another_slope_are_those_that_must_be_there(two_hours):
    start = NIGHT + TEN
    seconds = np.full(TEN, 5, "f4")
    odd = [Signal(f"{TILT}.{end}", seconds, 1.0, slope=2.0) for end in ("mean", "rms")]
    made.frame(two_hours / "frames", start, odd, fine=True)
    assert len(importer.run(str(two_hours / "frames"), str(two_hours / "streams")).faulty) == 1
    assert told(two_hours) == []
    plant(two_hours, TILT, lambda held: np.delete(held, 15))
    assert the_fault(two_hours, TILT) == [[start + 300, start + 360, "not in the stream: 1 samples"]]


def test_each_frame_of_a_file_of_several_is_compared(tmp_path):
    starts = [NIGHT, NIGHT + 60, NIGHT + 240]
    frames = [(start, 60, made.trend(TILT, start, 1, 60)) for start in starts]
    made.multi_frame(made.path_of(tmp_path / "frames", NIGHT, fine=True), frames)
    made.imported(tmp_path / "frames", tmp_path / "streams")
    assert told(tmp_path) == []
    plant(tmp_path, TILT, lambda held: np.delete(held, 70))
    assert the_fault(tmp_path, TILT) == [[NIGHT + 70, NIGHT + 71, "not in the stream: 1 samples"]]


def test_of_a_channel_that_gwpy_cannot_read_only_that_it_is_there_is_compared(two_hours, monkeypatch):
    monkeypatch.setattr(second, "read", lambda *_: {})
    said = []
    path = str(two_hours / "streams"), str(two_hours / "frames")
    assert list(against.faults(*path, said.append)) == []
    assert said == ["2 times gwpy cannot read a channel: only that its samples are there is compared"]
    plant(two_hours, TILT, lambda held: held[:-1])
    assert [fault[3] for fault in against.faults(*path)] == ["not in the stream: 1 samples"]


def test_means_that_no_square_holds_are_samples_and_such_rms_are_none():
    mean, rms = np.array([1e200, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1e200])
    mean, rms = reread.without_bad(mean, rms, None, np.dtype("f8"))
    assert mean.tolist() == [1e200, 1.0, 0.0, 0.0] and rms.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_zeros_spread_to_their_neighbours_but_not_from_the_first_sample_to_the_second():
    ones = np.ones(6)
    for zeros, invalid in (([0], [0]), ([1], [0, 1, 2]), ([0, 1], [0, 1, 2]), ([3], [2, 3, 4]), ([5], [4, 5])):
        mean = ones.copy()
        mean[zeros] = 0
        mean, rms = reread.without_bad(mean, ones, None, np.dtype("f8"))
        assert np.flatnonzero(mean == 0).tolist() == invalid and rms.all()


def test_a_sample_that_begins_within_another_bounds_no_gap_where_samples_are_as_long_as_raw_ones(tmp_path):
    """One raw sample a second, in second trend: all steps but one are those that stand beside a gap."""
    rule = Written(rate=1).file(1000, 1, [1.0, 2.0, 3.0, 4.0]).file(1003.5, 1, [5.0, 6.0, 7.0, 8.0])
    rule.write(tmp_path, "H0:X")
    read_well(store.open_stream(str(tmp_path), "H0:X"), rule)
