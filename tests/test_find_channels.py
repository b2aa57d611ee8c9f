"""find-channels: coverage and gaps of channels over days, against what is counted from the samples themselves."""

import json

import framemake
import numpy as np
import pytest
from framemake.days import find, segments
from framemake.errors import BadInput
from framemake.frames import channels
from support import days as made
from support.commands import START, refused, run, well
from test_converter_days import converter_day

DAYS = ("2024-04-10", "2024-04-11", "2024-04-13")


@pytest.fixture
def out(tmp_path):
    """Three days with one between them that is not there."""
    for number, day in enumerate(DAYS):
        whole, holed, fast = made.ramp_day(day), made.ramp_day(day), made.ramp_day(day, 2.0, unit="m")
        if number == 1:
            # A file that gave nothing, a hole within one, and the end of the day.
            holed[0][3582:7182] = np.nan
            holed[0][20000:20010] = np.nan
            holed[0][86000:] = np.nan
        names = {"V1:WHOLE": whole, "V1:HOLED": holed, "V1:FAST": fast}
        if number == 2:
            del names["V1:FAST"]
            names["V1:LATE"] = made.ramp_day(day, unit="K")
        made.write_day(tmp_path / "out", day, names)
    return tmp_path / "out"


def by_name(found):
    return {each.name: each for each in found}


def test_coverage_gaps_and_times_are_those_of_the_samples(out):
    found = by_name(framemake.open_days(out).channels())
    assert list(found) == ["V1:FAST", "V1:HOLED", "V1:LATE", "V1:WHOLE"]
    whole = found["V1:WHOLE"]
    assert whole[1:9] == (0.75, 1, 86400, 1, "V", 3, START, START + 4 * 86400 - 1)
    holed = found["V1:HOLED"]
    assert holed.coverage == (3 * 86400 - 3600 - 10 - 400) / (4 * 86400)
    # The hole of 10 s is shorter than an increment: it counts for the coverage alone.
    assert (holed.gaps, holed.longest, holed.days) == (2, 86400 + 400, 3)
    fast, late = found["V1:FAST"], found["V1:LATE"]
    assert (fast.gaps, fast.longest, fast.days, fast.last) == (1, 2 * 86400, 2, START + 2 * 86400 - 0.5)
    assert (late.gaps, late.longest, late.first, late.unit) == (1, 3 * 86400, START + 3 * 86400, "K")


def test_a_range_counts_its_own_days_alone(out):
    found = by_name(framemake.open_days(out).channels("2024-04-10", "2024-04-10"))
    assert found["V1:HOLED"].coverage == 1 and found["V1:HOLED"].gaps == 0 and "V1:LATE" not in found
    found = by_name(framemake.open_days(out).channels("2024-04-09", "2024-04-11"))
    assert found["V1:WHOLE"].coverage == 2 / 3 and found["V1:WHOLE"].longest == 86400
    with pytest.raises(BadInput, match="no day is built from 2024-04-12 to 2024-04-12"):
        framemake.open_days(out).channels("2024-04-12", "2024-04-12")
    with pytest.raises(BadInput, match="the range is empty"):
        framemake.open_days(out).channels("2024-04-12", "2024-04-11")


def test_others_are_left_out_and_the_worst_come_first(out):
    days = framemake.open_days(out)
    names = lambda **wanted: [each.name for each in days.channels(**wanted)]  # noqa: E731
    assert names(coverage=0.74) == ["V1:WHOLE"]
    assert names(rate=2) == ["V1:FAST"] and names(unit="K") == ["V1:LATE"] and names(match="V1:*L*E") == [
        "V1:LATE", "V1:WHOLE"
    ]  # fmt: skip
    assert names(worst=True) == ["V1:LATE", "V1:FAST", "V1:HOLED", "V1:WHOLE"]


def test_a_channel_that_changes_is_told(out):
    made.write_day(out, "2024-04-14", {"V1:WHOLE": made.ramp_day("2024-04-14", 0.1, unit="mV", dtype="f8")})
    whole = by_name(framemake.open_days(out).channels())["V1:WHOLE"]
    assert whole.changes == "float32 at 1 Hz in 'V' (3 days), float64 at 0.1 Hz in 'mV' (1 day)"
    assert (whole.rate, whole.unit, whole.days, whole.coverage) == (1, "V", 4, 0.8)


def test_what_is_known_is_not_read_again_and_what_is_new_is(out, monkeypatch):
    days, read, take = framemake.open_days(out), [], find.take
    monkeypatch.setattr(find, "take", lambda path: read.append(path) or take(path))
    first = days.channels()
    assert len(read) == 3 and days.channels() == first and len(read) == 3
    made.write_day(out, "2024-04-12", {"V1:WHOLE": made.ramp_day("2024-04-12")})
    whole = by_name(days.channels())["V1:WHOLE"]
    assert len(read) == 4 and (whole.coverage, whole.gaps) == (1, 0)
    path = out / "V1trend-2024-04-12" / "V1trend_20240412.h5"
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy)
    days.channels()
    assert len(read) == 5
    (out / find.KEPT).write_bytes(b"damaged")
    assert by_name(days.channels())["V1:WHOLE"] == whole and len(read) == 9
    (out / find.KEPT).unlink()
    (out / find.KEPT).mkdir()
    assert by_name(days.channels())["V1:WHOLE"] == whole


def test_many_days_are_taken_by_several_processes(out, monkeypatch):
    expected = framemake.open_days(out).channels()
    monkeypatch.setattr(find, "_DAYS_A_PROCESS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    (out / find.KEPT).unlink()
    assert framemake.open_days(out).channels() == expected


def test_a_day_file_that_cannot_be_read_is_named(out):
    path = out / "V1trend-2024-04-11" / "V1trend_20240411.h5"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadInput, match="day file cannot be read") as caught:
        framemake.open_days(out).channels()
    assert str(path) in str(caught.value)


def test_days_of_the_converter_have_channels_too(tmp_path):
    converter_day(tmp_path / "out", DAYS[0])
    found = by_name(framemake.open_days(tmp_path / "out").channels())
    assert found["V1:A"].coverage == 23 / 24 and found["V1:A"].first == START


@pytest.mark.slow
def test_the_command_prints_lines_a_list_or_json(out):
    printed = well("find-channels", out, "--last", "2024-04-11", "--worst")
    assert printed.splitlines()[0].split("\t")[:3] == ["V1:HOLED", "0.976794", "2"]
    listed = well("find-channels", out, "--coverage", "0.7", "--list")
    assert [each.name for each in channels.read(listed, "-")[0]] == ["V1:HOLED", "V1:WHOLE"]
    told = json.loads(well("find-channels", out, "--match", "V1:W*", "--json"))
    assert told["channels"][0]["longest"] == 86400
    status, printed, said = run("find-channels", out, "--match", "V2:*")
    assert (status, printed) == (3, "") and "no such channel among 4" in said


def test_in_segments_it_is_what_list_segments_has_of_each_channel(out):
    days = framemake.open_days(out)
    day = 86400
    spans = [
        (START - 50, START + 100.25), (START + 3000, START + 3000.5), (START + day - 10, START + day + 3590),
        (START + day + 7000, START + day + 20005), (START + 2 * day + 5, START + 2 * day + 65),
        (START + 4 * day - 5, 2e9),
    ]  # fmt: skip
    inside = segments.common(spans, [(START, START + 4 * day)])
    found = by_name(days.channels(segments=spans))
    asked = sum(b - a for a, b in inside)
    assert list(found) == ["V1:FAST", "V1:HOLED", "V1:LATE", "V1:WHOLE"]
    for name, each in found.items():
        active = segments.common(days.segments(name).active, inside)
        pieces = [
            piece for at in range(4) for piece in segments.common(inside, [(START + at * day, START + (at + 1) * day)])
        ]
        lost = [b - a for piece in pieces for a, b in segments.without([piece], active)]
        assert each.coverage == pytest.approx(sum(b - a for a, b in active) / asked, abs=1e-12)
        assert (each.gaps, each.longest) == (len(lost), pytest.approx(max(lost, default=0)))
    assert found["V1:HOLED"].coverage < found["V1:WHOLE"].coverage < 1 and found["V1:WHOLE"].days == 3
    assert (found["V1:WHOLE"].first, found["V1:WHOLE"].last) == (START, START + 4 * day - 1)
    # In a segment without a gap all is there, whatever is missing elsewhere.
    some = by_name(days.channels(segments=[(START + day + 8000, START + day + 9000)]))
    assert some["V1:HOLED"][1:4] == (1, 0, 0) and "V1:LATE" not in some and some["V1:HOLED"].unit == "V"
    assert (
        days.channels("2024-04-11", "2024-04-11", segments=[(START + day + 4000, START + day + 4100)], match="V1:HOLED")
        == []
    )
    assert days.channels(segments=[(START - 5, START)]) == []
    status, printed, told = run("find-channels", out, "--state", "V1:WHOLE > 1e9")
    assert (status, printed, told) == (3, "", f"find-channels: no channel in the segments: {'V1:WHOLE > 1e9'!r}\n")


def test_days_and_a_coverage_that_are_none(out):
    assert "no such day, want YYYY-MM-DD since 1980-01-06: 'yesterday'" in refused(
        "find-channels", out, "--first", "yesterday"
    )
    assert "the range is empty: '2024-04-12' to '2024-04-11'" in refused(
        "find-channels", out, "--first", "2024-04-12", "--last", "2024-04-11"
    )
    assert "a coverage is 0 to 1: 99" in refused("find-channels", out, "--coverage", "99")


def test_a_list_has_every_name_as_a_channel_list_has_it(tmp_path):
    names = ["V1:A", "V1:b c", "V1:#d", "V1:e,f", "[g]", "name", "V1:h=i;", "V1:j"]
    made.write_day(tmp_path / "out", DAYS[0], {name: made.ramp_day(DAYS[0], 0.01) for name in names})
    listed = well("find-channels", tmp_path / "out", "--list")
    found, notes = channels.read(listed, "list")
    assert sorted(each.name for each in found) == sorted(names) and notes == []
    assert "V1:A\n" in listed
