"""The last that still counts, the first that does not: half covered, empty, one sample, leap seconds, ages, limits."""

import datetime
import json
import os

import numpy as np
import pytest
from framemake import gps, grid, settings
from framemake.day import statistics
from framemake.day.coverage import missing_spans, pairs
from framemake.day.folder import Folder
from framemake.days import plan
from framemake.errors import BadInput
from framemake.frames import catalog, channels, lists
from framemake.frames.catalog import ABSENT, COVERED, DUPLICATE, USED
from framemake.gps import Window
from framemake.host import night, nightconf, retention, watch
from framemake.host.night import Verdict
from framemake.host.plugin import CRITICAL, OK, WARNING
from framemake.serve import query, spans
from framemake.serve.dayfiles import OpenChannels
from framemake.streams import reading, store
from support.commands import START, stub
from support.inside import DaySite
from support.sites import ramp, signal
from support.stream_files import Written
from werkzeug.datastructures import MultiDict

NAN = np.nan
NAME = "H0:PEM-EX_RAIN"  # 16 raw samples a second
NOW = 1148000400


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, dtype=np.asarray(got).dtype))


# --- points of a stream ----------------------------------------------------------------------


def opened(folder, written):
    written.write(folder, NAME)
    return store.open_stream(str(folder), NAME)


def values(stream, start, end, count=None, kind="mean"):
    return reading.points(stream, kind, start, end, count)[1]


@pytest.mark.parametrize(("gap", "value"), [(299, 2.333333), (300, 2.2), (301, NAN), (360, NAN)])
def test_a_point_that_is_half_covered_has_a_value_and_one_that_is_less_has_none(tmp_path, gap, value):
    """Ten minutes: two of samples, so many seconds of gap, and then samples again."""
    stream = opened(tmp_path, Written().file(NOW, 60, [1.0] * 2).file(NOW + 120 + gap, 60, [3.0] * 10))
    same(values(stream, NOW, NOW + 600, 1).round(6), [value])


def test_a_span_of_800_records_is_told_as_they_are_and_of_801_in_points(tmp_path):
    stream = opened(tmp_path, Written().file(NOW, 60, np.arange(1.0, 901.0)))
    times, found = reading.points(stream, "mean", NOW, NOW + 800 * 60)
    same(times, NOW + 60 * np.arange(800))
    same(found, np.arange(1.0, 801.0))
    # With a gap among them too, whose two records are no data, and lie at times of their own.
    gapped = opened(tmp_path / "gap", Written().file(NOW, 60, np.ones(700)).file(NOW + 43000, 60, np.ones(98)))
    times, found = reading.points(gapped, "mean", NOW, NOW + 43000 + 98 * 60)
    same(times, gapped.records["time"])
    assert len(times) == 800 and np.flatnonzero(np.isnan(found)).tolist() == [700, 701]
    times, found = reading.points(stream, "mean", NOW, NOW + 801 * 60)
    assert len(times) == 800 and times[1] - times[0] == pytest.approx(60 * 801 / 800, rel=1e-6)


def test_the_last_edge_of_points_is_the_end_that_was_asked_for(tmp_path):
    """Sevenths of a span do not add up to it in float64: the last sample is in the last point, not beyond it."""
    stream = opened(tmp_path, Written().file(NOW, 1, np.arange(1.0, 8.0)))
    for count in (3, 6, 7):
        found = values(stream, NOW, NOW + 7, count)
        assert not np.isnan(found).any() and found[-1] >= 6, (count, found)


@pytest.mark.parametrize("kind", ["mean", "rms"])
def test_one_record_and_none(tmp_path, kind):
    one = opened(tmp_path / "one", Written().file(NOW, 60, [5.0]))
    assert len(one.records) == 1
    times, found = reading.points(one, kind, NOW - 60, NOW + 120)
    same(times, [NOW])
    assert np.isnan(found).all() or found == [5.0]  # nothing tells how long a lone sample is
    none = opened(tmp_path / "none", Written())
    same(reading.points(none, kind, NOW, NOW + 60)[1], [NAN])
    assert reading.span(none, NOW, NOW + 60) == (0, 0)
    assert reading.extent(none) == "the stream is empty"


@pytest.mark.parametrize(("start", "end", "numbers"), [(0, 60, [0]), (0, 61, [0, 1]), (1, 60, []), (59, 61, [1]),
                                                       (540, 600, [9]), (541, 600, []), (600, 660, [])])  # fmt: skip
def test_a_span_begins_with_its_first_second_and_ends_before_its_last(tmp_path, start, end, numbers):
    stream = opened(tmp_path, Written().file(NOW, 60, np.arange(1.0, 11.0)))
    first, stop = reading.span(stream, NOW + start, NOW + end)
    assert list(range(first, stop)) == numbers


def test_an_rms_of_what_rounding_made_negative_is_0_and_no_nan(tmp_path):
    stream = opened(tmp_path, Written().file(NOW, 60, [1e9] * 5, rms=[1e-9] * 5))
    sums = np.array([-1e-9, 4.0])
    same(reading.calibrated(stream.info, "rms", sums, np.array([960.0, 1.0])), [0.0, 2.0])
    same(reading.calibrated(stream.info, "mean", np.array([np.inf, 1.0]), np.array([1.0, 0.0])), [NAN, NAN])


# --- a day -----------------------------------------------------------------------------------

LEAP_DAY = gps.day_window("2016-12-31")


def test_the_last_second_of_a_day_and_its_leap_second(tmp_path):
    """Frames over the midnight after a leap second: the day has its 86,401 seconds, and none of the next day's."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    begin = LEAP_DAY.end - 120
    site.listed = []
    for start, count in ((begin, 60), (begin + 60, 120), (begin + 180, 60)):
        site.frame(start - START, count, [signal(count=count, first=start - begin)])
    site.build(120, start=begin)
    same(site.read("V1:A")[0], ramp(120))
    summary = site.json("summary")
    assert (summary["start_dt_utc"], summary["end_dt_utc"]) == (
        "2016-12-31T23:58:01+00:00",
        "2017-01-01T00:00:00+00:00",
    )
    assert summary["date"] == "2016-12-31" and summary["total_chunks"] == 2
    frames = lists.list_frames(str(site.ffl), LEAP_DAY).frames
    assert [frame.start - begin for frame in frames] == [0, 60]
    frames = lists.list_frames(str(site.ffl), gps.day_window("2017-01-01")).frames
    assert [frame.start - begin for frame in frames] == [60, 180]


def test_minutes_of_a_day_are_its_first_and_no_more_than_it_has():
    for day in ("2016-12-31", "2024-04-10"):
        whole = gps.day_window(day)
        assert gps.day_window(day, 1) == (whole.start, whole.start + 60)
        assert gps.day_window(day, 1440).duration == 86400
        assert gps.day_window(day, 1441) == gps.day_window(day, 10**6) == whole


@pytest.mark.parametrize("count", [1, 2, 59, 60, 61, 120])
def test_a_span_of_any_length_is_whole(tmp_path, count):
    """Shorter than an increment, as long, a second longer; the file goes on behind it."""
    site = DaySite(tmp_path)
    site.want("V1:A", "V1:B")
    site.frame(0, 120, [signal(count=120), signal("V1:B", 1920, rate=16)])
    site.build(count)
    same(site.read("V1:A")[0], ramp(count))
    same(site.read("V1:B")[0], ramp(16 * count))
    entry = site.json("coverage")["V1:A"]
    assert (entry["first_good_gps"], entry["last_good_gps"]) == (START, START + count - 1)
    assert entry["std"] == pytest.approx(np.std(np.arange(count)))


def test_samples_of_no_whole_hertz_are_told_at_their_own_times(tmp_path):
    site = DaySite(tmp_path)
    site.want("V1:A")
    site.frame(60, 60, [signal(count=30, rate=0.5)])
    site.frame(180, 60, [signal(count=30, first=60, rate=0.5)])
    site.build(240)
    entry = site.json("coverage")["V1:A"]
    assert (entry["first_good_gps"], entry["last_good_gps"]) == (START + 60, START + 238)
    summary = site.json("summary")
    assert summary["missing_spans_gps"] == [[START, START + 60], [START + 120, START + 180]]
    # Each character of a mask has its time; whole seconds are whole numbers in the JSON, whatever prints it.
    assert entry["gwf_mask"] == "0101"
    assert summary["gwf_mask_gps"] == [[START + at, START + at + 60] for at in (0, 60, 120, 180)]
    assert ".0" not in json.dumps([summary["gwf_mask_gps"], summary["provenance"]["frames"][0]["gps_start"]])


@pytest.mark.parametrize("order", ["gap first", "gap last", "gaps only at the ends"])
def test_zeros_at_the_ends_are_samples_and_gaps_there_are_gaps(tmp_path, order):
    """A zero is a value; a gap at either end is NaN, and the statistics begin and end with what is there."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    held = {"gap first": (1, 2), "gap last": (0, 1), "gaps only at the ends": (1,)}[order]
    for minute in held:
        data = np.where(np.arange(60) % 59 == 0, 0, 7).astype("f4")  # a zero at each end
        site.frame(60 * minute, 60, [signal()._replace(data=data)])
    site.build(180)
    got = site.read("V1:A")[0]
    good = np.zeros(180, bool)
    for minute in held:
        good[60 * minute : 60 * minute + 60] = True
    same(~np.isnan(got), good)
    assert np.count_nonzero(got == 0) == 2 * len(held)
    entry = site.json("coverage")["V1:A"]
    assert entry["first_good_gps"] == START + 60 * held[0] and entry["last_good_gps"] == START + 60 * held[-1] + 59
    assert (entry["min"], entry["non_nan_samples"]) == (0, 60 * len(held))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_values_of_every_type_come_exactly_or_not_at_all(tmp_path, dtype):
    """The least, the greatest and what lies beside them: a rounded value would be a wrong one."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    kind = np.dtype(dtype)
    if kind.kind == "f":
        ends = [np.finfo(kind).min, np.finfo(kind).max, np.finfo(kind).tiny, -0.0, 1 / 3]
    else:
        ends = [
            np.iinfo(kind).min,
            np.iinfo(kind).max,
            np.iinfo(kind).max - 1,
            0,
            1,
            2**24 + 1,
            2**53,
            2**53 - 1,
            2**53 + 1,
        ]
    data = np.array([value for value in ends if kind.kind == "f" or value <= np.iinfo(kind).max], kind)
    site.frame(0, len(data), [signal()._replace(data=data)])
    site.build(len(data))
    for value, got in zip(data.tolist(), site.read("V1:A")[0].tolist(), strict=True):
        if kind.kind != "f" and abs(value) > 2**53:
            assert np.isnan(got), value
        else:
            assert got == value and (kind.kind == "f" or int(got) == value)


def test_what_nothing_compresses_is_stored_as_it_is_and_read_so(tmp_path):
    """Noise of all bits is no smaller when it is packed: then the chunk says that its filter was left out."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    noise = np.random.default_rng(1).integers(1, 2**31, 512).astype("u4").view("f4")
    noise = np.where(np.isfinite(noise), noise, np.float32(1)).astype("f4")
    site.frame(0, 2, [signal()._replace(data=noise, rate=256.0)])
    for compression in ("lzf", "gzip"):
        site.build(2, "--compression", compression, increment=1, shrink=True)
        same(site.read("V1:A")[0].view("u4"), noise.view("u4"))


# --- pieces of the day -----------------------------------------------------------------------


def test_statistics_of_a_whole_are_those_of_its_units_whatever_is_empty():
    chance = np.random.default_rng(2)
    for case in range(60):
        data = chance.normal(1e6, 1, (1, 12)).round(3)
        good = chance.random((1, 12)) < chance.choice([0.1, 0.5, 1.0])
        data[~good] = NAN
        units = statistics.of_units(data, good, 100, 5)
        got = statistics.combine(units)[0]
        kept = data[good]
        assert got[statistics.COUNT] == len(kept), case
        if len(kept):
            at = np.flatnonzero(good[0])
            assert (got[statistics.FIRST], got[statistics.LAST]) == (100 + at[0], 100 + at[-1])
            assert (got[statistics.MIN], got[statistics.MAX]) == (kept.min(), kept.max())
            assert got[statistics.MEAN] == pytest.approx(kept.mean(), rel=1e-12)
            assert got[statistics.M2] == pytest.approx(((kept - kept.mean()) ** 2).sum(), rel=1e-6, abs=1e-6)
        else:
            assert (got[statistics.FIRST], got[statistics.LAST]) == (-1, -1)


def test_a_frame_meets_the_increments_that_it_touches_and_no_others():
    window = Window(1000, 1300)
    frame = lambda start, length: catalog.Frame("/a", start, length)  # noqa: E731
    for start, length, met in (
        (1000, 100, [0]), (1100, 100, [1]), (1099, 2, [0, 1]), (1099, 1, [0]), (900, 100, []), (900, 101, [0]),
        (1299, 5, [2]), (1300, 5, []), (900, 1000, [0, 1, 2]), (1100, 100.5, [1, 2]),
    ):  # fmt: skip
        found = pairs(window, 100, [(7, frame(start, length))], [(0, 300)])
        assert found == [(7, number) for number in met], (start, length)
    assert pairs(window, 100, [(0, frame(1000, 300))], [(0, 100), (200, 300)]) == [(0, 0), (0, 2)]


def test_gaps_that_touch_are_one():
    seconds = [(0, 10), (10, 20), (20, 30), (35, 40), (38, 50)]
    assert missing_spans(seconds, "00111") == [(0, 20)]
    assert missing_spans(seconds, "01000") == [(0, 10), (20, 30), (35, 50)]
    assert missing_spans(seconds, "11111") == []
    assert missing_spans(seconds, "01000", Window(5, 25)) == [(5, 10), (20, 25)]
    assert missing_spans(seconds, "01111", Window(10, 25)) == []


@pytest.mark.parametrize("odd", ["", "# a remark, as people write them\n"])
def test_a_span_has_the_frames_that_share_a_moment_with_it_and_not_those_that_touch_it(tmp_path, odd):
    """In a list as machines write it, and in any other."""
    spans = [(-100, 100), (-100, 100.5), (0, 50), (50, 50), (99.5, 10), (100, 10), (100.5, 10)]
    path = tmp_path / "t.ffl"
    path.write_text(odd + "".join(f"/f{at}.gwf {START + a} {n} 0 0\n" for at, (a, n) in enumerate(spans)))
    window = Window(START, START + 100)
    assert [frame.path for frame in lists.named(str(path), window).frames] == [f"/f{at}.gwf" for at in (1, 2, 3, 4)]
    names = [f"V-x-{START + a}-{n}.gwf" for a, n in spans]
    for name in names:
        (tmp_path / "frames" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "frames" / name).touch()
    found = {os.path.basename(frame.path) for frame in lists.named(str(tmp_path / "frames"), window).frames}
    assert found == {names[at] for at in (1, 2, 3, 4)}


def test_a_name_that_no_dataset_can_have_is_unfit():
    for name in ("a/b", "..", ".", "a\nb", "a\x7f", "\udc80", "a\0b"):
        assert channels.unfit(name), name
    assert not any(map(channels.unfit, ("V1:A", "a b", "$(x)", "ü", "...", "-", "it's")))


def test_files_that_end_where_others_do(tmp_path):
    """Covered: the whole span is that of files which begin earlier; a second more, and it is used."""
    frames = [(0, 100), (40, 60), (40, 59), (50, 51), (101, 10), (101, 10)]
    found = [catalog.Frame(str(stub(tmp_path, START + a, d, f"V-x{at}-{START + a}-{d}.gwf")), START + a, d)
             for at, (a, d) in enumerate(frames)]  # fmt: skip
    judged = {frame.path[-40:].split("/")[-1][2:4]: frame.status for frame in catalog.judge(found)}
    assert judged == {"x0": USED, "x1": COVERED, "x2": DUPLICATE, "x3": USED, "x4": DUPLICATE, "x5": USED}
    os.truncate(found[5].path, 0)
    os.unlink(found[0].path)
    judged = {frame.path.split("/")[-1][2:4]: frame.status for frame in catalog.judge(found)}
    assert judged == {"x0": ABSENT, "x1": USED, "x2": DUPLICATE, "x3": USED, "x4": USED, "x5": DUPLICATE}


def test_of_two_files_that_tell_the_same_the_newer_is_used(tmp_path):
    paths = [stub(tmp_path, name=f"V-{name}-{START}-100.gwf") for name in "ab"]
    for newer in (0, 1):
        for at, path in enumerate(paths):
            os.utime(path, (100 + (at == newer),) * 2)
        found = catalog.judge([catalog.Frame(str(path), START, 100) for path in paths])
        assert [frame.path for frame in found if frame.status == USED] == [str(paths[newer])]


# --- a range, a night ------------------------------------------------------------------------


def test_days_from_the_first_to_the_last_both_included():
    assert plan.days("2024-02-28", "2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert plan.days("2024-02-28", "2024-02-28") == ["2024-02-28"]
    assert plan.days("2024-02-28", "2024-03-01", 2) == ["2024-02-28", "2024-02-29"]
    with pytest.raises(BadInput, match="empty"):
        plan.days("2024-02-28", "2024-02-27")
    assert plan.runs(["2024-02-28", "2024-02-29", "2024-03-02"]) == "2024-02-28 to 2024-02-29, 2024-03-02"


def test_a_frame_over_midnight_is_one_of_both_days_and_one_that_ends_there_is_not(tmp_path):
    day = gps.day_window("2024-04-10")
    for start, length in ((day.start - 100, 100), (day.start - 100, 101), (day.end - 1, 1), (day.end, 100)):
        stub(tmp_path, start, length)
    (tmp_path / "channels.txt").write_text("V1:A\n")
    variables = {"OUT": str(tmp_path / "out"), "CHANNELS": f"{tmp_path}/channels.txt", "SPEC": "V1trend",
                 "INCREMENT": "600", "COMPRESSION": "lzf"}  # fmt: skip
    days = ["2024-04-09", "2024-04-10", "2024-04-11"]
    plan.plan(str(tmp_path), days, plan.RangeInputs.of(variables))
    listed = []
    for date in days:
        table = lists.named(str(plan.RangeInputs.of(variables).folder(date).listed)).frames
        listed.append([(frame.start - day.start, frame.duration) for frame in table])
    assert listed == [[(-100, 101), (-100, 100)], [(-100, 101), (86399, 1)], [(86400, 100)]]


def asked(**given):
    return nightconf.settings({"LOGS": "/logs", **given})


def test_a_limit_of_time_is_in_its_unit():
    for text, seconds in (("90", 90), ("90s", 90), ("90m", 5400), ("20h", 72000), ("2d", 172800)):
        assert asked(TIME_LIMIT=text).time_limit == seconds
    for text in ("", "h", "1.5h", "-1", "1w", "1 h"):
        with pytest.raises(BadInput, match="TIME_LIMIT"):
            asked(TIME_LIMIT=text)


def test_a_night_of_as_many_days_as_frames_are_kept_is_refused():
    paths = {"CHANNELS": "/c", "FFL": "/f", "OUT": "/o", "FRAMES": "/f"}
    asked(DAYS="7", KEEP_DAYS="8", **paths)
    with pytest.raises(BadInput, match="KEEP_DAYS must be more than DAYS"):
        asked(DAYS="7", KEEP_DAYS="7", **paths)


def test_so_many_logs_are_kept_and_these_are_the_newest(tmp_path):
    names = [f"nightly-202404{day:02d}T000000-{day}.log" for day in range(10, 15)]
    for name in names:
        (tmp_path / name).touch()
    settled = asked(LOGS=str(tmp_path), KEEP_LOGS="2")
    assert night.run(settled, datetime.date(2024, 4, 15), [], lambda line: None) is Verdict.OK
    there = sorted(path.name for path in tmp_path.glob("nightly-*.log"))
    assert there[0] == names[-1] and len(there) == 2


def test_a_built_to_that_is_to_come_is_none(tmp_path):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for days, found in ((-1, True), (0, True), (1, False), (3000, False)):
        day = today + datetime.timedelta(days=days)
        (tmp_path / "nightly.json").write_text(json.dumps({"built_to": str(day)}))
        assert night._built_to(str(tmp_path / "nightly.json")) == (day if found else None)


# --- ages and limits -------------------------------------------------------------------------


class Lets:
    def concerns(self, frame):
        return True

    def hold(self, days, held, remove):
        return None

    def objection(self, frame, days):
        return None

    def note_removal(self, frames, days):
        pass


def test_a_frame_goes_when_the_last_of_its_days_is_old_enough(tmp_path):
    """A day that is kept is kept whole: a frame that ends at its midnight goes, one that ends a second later stays."""
    midnight = gps.day_window("2024-04-10").start
    old, over, new = (stub(tmp_path, midnight + start, 100) for start in (-100, -99, 0))
    today = datetime.date(2024, 4, 12)
    gone = [path for path, why in retention.prune(str(tmp_path), [Lets()], 2, True, today) if not why]
    assert gone == [str(old)] and over.exists() and new.exists()
    days = []
    lets = Lets()
    lets.hold = lambda those, held, remove: days.append(those)
    list(retention.prune(str(tmp_path), [lets], 1, False, today))
    assert days == [["2024-04-09", "2024-04-10"], ["2024-04-10"]]
    with pytest.raises(BadInput, match="not so many days"):
        list(retention.prune(str(tmp_path), [lets], (today - datetime.date(1980, 1, 6)).days, False, today))


@pytest.mark.parametrize(
    ("age", "status", "words"),
    [(0, OK, "0.0 h old"), (-600, OK, "0.0 h old"), (-601, CRITICAL, "0.2 h in the future"),
     (3600 * 30, OK, "30.0 h old"), (3600 * 30 + 1, WARNING, "30.0 h old"), (3600 * 54, WARNING, "54.0 h old"),
     (3600 * 54 + 1, CRITICAL, "54.0 h old")],
)  # fmt: skip
def test_a_limit_belongs_to_what_is_well(tmp_path, age, status, words):
    stub(tmp_path, NOW - 100, 100)
    watched = watch.Watched([str(tmp_path)], frame_age=watch.plugin.limits("30,54"), now=str(NOW + age))
    (probe,) = watch.probes(watched)
    (finding,) = probe.find()
    assert (finding.status, finding.text.partition(" is ")[2]) == (status, words)


def test_the_newest_frame_is_looked_for_where_numbers_are_highest(tmp_path):
    """And before an empty or a wrong folder with a high number."""
    for number, start in ((7, NOW - 3000), (8, NOW - 2000), (9, NOW - 1000), (10, NOW - 500), (11, None), (12, None)):
        (tmp_path / f"H-M-{number}").mkdir()
        if start:
            stub(tmp_path / f"H-M-{number}", start, 100)
    assert watch.newest(str(tmp_path)) == NOW - 400
    assert watch.newest(str(tmp_path / "H-M-12")) is None


def test_a_day_that_failed_long_ago_is_faulty_and_one_of_late_is_counted_elsewhere(tmp_path):
    """Of the last days check-nightly tells how many failed; an older one is among what is faulty, as long as it is."""
    for date in ("2024-04-01", "2024-04-09", "2024-04-30"):
        folder = Folder.of(str(tmp_path), "V1trend", date)
        os.makedirs(folder.work)
        folder.note(date=date, status="failed", error=f"why of {date}")
    days = [f"2024-04-{number:02d}" for number in range(2, 9)]
    for date in days:
        folder = Folder.of(str(tmp_path), "V1trend", date)
        os.makedirs(folder.work)
        folder.note(date=date, status="completed")
        for path in (folder.h5, folder.summary):
            with open(path, "w") as out:
                out.write("{}" if path == folder.h5 else '{"total_samples": 1}')
    watched = watch.Watched(out=[str(tmp_path)], now="2024-04-11", days=7)
    (finding,) = watch.faulty_days(str(tmp_path), "", lambda: watch.moment("2024-04-11"), watched.faulty, 7, ())
    assert finding.text.startswith("1 faulty in ") and "V1trend-2024-04-01: why of 2024-04-01" in finding.text
    found = list(
        watch.days(str(tmp_path), "", lambda: watch.moment("2024-04-11"), watched.day_age, watched.failed, 7, ())
    )
    assert "1 of 6 days failed" in found[-1].text and "2024-04-09 failed" in found[-1].text


# --- what may be asked of the server ---------------------------------------------------------


def test_the_latest_time_and_the_most_points_that_may_be_asked_for():
    assert query.time(str(2**31 - 1)) == 2**31 - 1
    for text in (str(2**31), "2048-01-01", "1" * 41):
        with pytest.raises(query.Refused):
            query.time(text)
    ask = lambda points: query.Query(MultiDict({"points": str(points)}), ("points",))  # noqa: E731
    assert ask(10_000).points(5, None) == 10_000
    for points, names in ((10_001, 1), (10_000, 6), (0, 1)):
        with pytest.raises(query.Refused):
            ask(points).points(names, None)


def test_a_parameter_that_is_given_twice_is_none():
    ask = query.Query(MultiDict([("kind", "mean"), ("kind", "rms"), ("start", "5")]), ("kind", "start"))
    with pytest.raises(query.Refused, match="given 2 times: 'kind'"):
        ask.kind()
    assert ask.text("start") == "5" and ask.text("end", "") == ""
    with pytest.raises(query.Refused, match="parameter missing: 'end'"):
        ask.text("end")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Ten minutes of a channel of 512 Hz, in units of a minute, with a gap in the fourth, and of one of 1 Hz."""
    site = DaySite(tmp_path_factory.mktemp("served"))
    site.want("V1:A", "V1:SLOW")
    held = {"V1:A": ramp(600 * 512), "V1:SLOW": ramp(600)}
    for minute in (0, 1, 2, 4, 5, 6, 7, 8, 9):
        first = 60 * minute
        site.frame(first, 60, [signal(count=60 * 512, first=first * 512, rate=512.0), signal("V1:SLOW", first=first)])
    site.build(600)
    held["V1:A"][180 * 512 : 240 * 512] = held["V1:SLOW"][180:240] = NAN
    return {name: (OpenChannels().channel(str(site.h5), name), samples) for name, samples in held.items()}


@pytest.mark.parametrize("name", ["V1:A", "V1:SLOW"])
@pytest.mark.parametrize("points", [1, 7, 40])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 600), (60, 600), (59.5, 601), (-60, 660), (100, 130), (180, 240), (595, 600), (300.25, 303)]
)
def test_points_are_those_of_all_samples_that_begin_in_them(served, name, points, start, end):
    """Whether the samples are read, or the statistics of units where that is enough."""
    channel, samples = served[name]
    for most in (10**9, 0):
        curve = spans.curve([channel], START + start, START + end, points, most)
        edges = np.append(curve.times, START + end)
        assert (np.diff(edges) > 0).all() and len(curve.times) <= points and edges[0] == START + start
        at = np.clip(np.ceil((edges - START) * channel.rate - 1e-3), 0, len(samples)).astype(int)
        for number, (a, b) in enumerate(zip(at[:-1].tolist(), at[1:].tolist(), strict=True)):
            piece = samples[a:b][~np.isnan(samples[a:b])]
            got = (curve.min[number], curve.max[number], curve.mean[number])
            if len(piece):
                assert got == pytest.approx((piece.min(), piece.max(), piece.mean(dtype=float)), rel=1e-6)
            else:
                assert np.isnan(got).all()


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "made"),
    [
        ({"start_dt": "2016-12-31", "end_dt": "2017-01-01"}, {"DAY": "2016-12-31"}),
        ({"start_dt": "2016-12-31", "duration": 86401}, {"DAY": "2016-12-31"}),
        ({"start_dt": "2016-12-31", "duration": 86400}, {"START": "1167177617", "END": "1167264017"}),
        ({"start_gps": 1167177617, "end_gps": 1167264018}, {"DAY": "2016-12-31"}),
        ({"start_dt": "2016-12-31T23:59:60", "end_dt": "2017-01-01"},
         {"START": "2016-12-31T23:59:60", "END": "2017-01-01T00:00:00"}),
        ({"start_dt": "31-12-2016", "end_dt": "01-01-2017"}, {"DAY": "2016-12-31"}),
        ({"start_dt": "2017-01-01T01:00:00+01:00", "end_dt": "2017-01-02"}, {"DAY": "2017-01-01"}),
    ],
)  # fmt: skip
def test_a_window_of_settings_at_a_leap_second(span, made):
    assert settings.variables(span, settings.DAY) == made


@pytest.mark.parametrize(
    "span",
    [{"start_dt": "2016-12-31", "end_dt": "2017-01-01", "duration": 86400}, {"start_gps": 5, "end_gps": 5},
     {"start_dt": "2015-12-31T23:59:60", "end_dt": "2017-01-01"}, {"start_gps": True, "end_gps": 5},
     {"start_gps": 0, "duration": 2**31}],
)  # fmt: skip
def test_a_window_that_is_none_is_refused(span):
    with pytest.raises(BadInput):
        settings.variables(span, settings.DAY)


def test_what_was_typed_is_left_out_of_what_a_file_says():
    held = {"ffl_spec": "V1raw", "out_root": "/o", "start_dt": "2024-04-10", "end_dt": "2024-04-11", "max_retries": 5}
    whole = {"DAY": "2024-04-10", "SPEC": "V1raw", "OUT": "/o", "MAX_RETRIES": "5"}
    assert settings.variables(held, settings.DAY) == whole
    for typed in (("SPEC",), ("OUT", "MAX_RETRIES"), ("DAY",), ("START", "END")):
        left = {
            name: text for name, text in whole.items() if name not in typed and not ("END" in typed and name == "DAY")
        }
        assert settings.variables(held, settings.DAY, typed) == left


def test_a_cut_has_no_chunk_that_is_longer_than_what_there_is():
    for rate in (1, 16, 512, 16384):
        for duration in (1, 5, 59, 60, 600, 86401):
            cut = grid.cut(rate, 600, duration)
            total = grid.length(duration, rate)
            assert cut.chunk <= cut.unit <= max(total, 1)
