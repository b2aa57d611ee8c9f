"""Days, UTC and GPS seconds."""

import datetime
import time

import lal
import numpy as np
import pytest
from framemake import gps
from framemake.errors import BadInput


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Los_Angeles", "Europe/Rome"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_day_is_from_midnight_to_midnight_utc():
    assert gps.day_window("2024-04-10") == (1396742418, 1396828818)
    assert gps.day_window("2024-04-10").duration == 86400


def test_the_first_day_of_gps_begins_at_zero():
    assert gps.day_window("1980-01-06") == (0, 86400)


@pytest.mark.parametrize("day", ["2015-06-30", "2016-12-31", "2008-12-31"])
def test_a_day_with_a_leap_second_has_one_second_more(day):
    assert gps.day_window(day).duration == 86401


def test_the_days_around_a_leap_second_join():
    assert gps.day_window("2016-12-31") == (1167177617, 1167264018)
    assert gps.day_window("2017-01-01") == (1167264018, 1167350418)


def test_29_february_is_a_day_in_a_leap_year_only():
    assert gps.day_window("2024-02-29").duration == 86400
    with pytest.raises(BadInput):
        gps.day_window("2023-02-29")


@pytest.mark.parametrize(
    "day", ["2024-02-30", "1979-01-01", "1980-01-05", "x", "", "2024-4-10", "20240410", "2024-04-10 ", "9999-12-31"]
)
def test_a_bad_day_is_named(day):
    with pytest.raises(BadInput, match="no such day") as caught:
        gps.day_window(day)
    assert repr(day) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1396742418", 1396742418),
        ("1396742418.0", 1396742418),
        ("1396742418.25", 1396742418.25),
        ("0", 0),
        ("2024-04-10", 1396742418),
        ("2024-04-10T00:00:00", 1396742418),
        ("2024-04-10T00:00:00Z", 1396742418),
        ("2024-04-10 12:30", 1396742418 + 45000),
        ("2016-12-31T23:59:59", 1167264016),
        ("2016-12-31T23:59:60", 1167264017),
        ("2017-01-01T00:00:00", 1167264018),
        ("2017-01-01T00:00:00+00:00", 1167264018),
        ("2024-04-10T00:00:00.25Z", 1396742418.25),
        ("2024-04-10T00:00:00.000", 1396742418),
    ],
)
def test_a_time_is_gps_or_utc(text, value):
    parsed = gps.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text",
    ["-5", "nan", "inf", "", "now", "2024-04-10T24:00", "2024-04-10T25:00", "2024-04-10T00:60", "2024-13-01T00:00",
     "2015-12-31T23:59:60", "1979-01-01T00:00:00", "2024-02-30", "2024-04-10T00:00+02:00", "2024-04-10T00:00.5"],
)  # fmt: skip
def test_a_bad_time_is_named(text):
    with pytest.raises(BadInput, match="no such") as caught:
        gps.parse(text)
    assert repr(text) in str(caught.value)


def test_day_of_changes_at_midnight_utc():
    assert [gps.day_of(1396742418 + k) for k in (-1, 0, 86399, 86400)] == [
        "2024-04-09",
        "2024-04-10",
        "2024-04-10",
        "2024-04-11",
    ]


def test_the_leap_second_belongs_to_its_day():
    assert gps.day_of(1167264017) == "2016-12-31"
    assert gps.utc(1167264017) == "2016-12-31T23:59:60"


def test_the_clock_of_the_host_does_not_matter(zone):
    assert gps.day_window("2024-04-10") == (1396742418, 1396828818)
    assert gps.day_window("2024-03-31").duration == 86400  # clocks change in Rome
    assert gps.parse("2024-07-10T00:00:00") == 1404604818
    assert gps.day_of(1396742418) == "2024-04-10"
    assert gps.utc(1396742418) == "2024-04-10T00:00:00"


def test_a_window_is_half_open():
    window = gps.Window(100, 200)
    assert window.overlaps(199, 300) and window.overlaps(0, 101) and window.overlaps(0, 300)
    assert not window.overlaps(200, 300) and not window.overlaps(0, 100)


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (1396742418, 1396742418),
        (1396742418.5, 1396742418.5),
        (np.float64(1396742418), 1396742418),
        (lal.LIGOTimeGPS(1396742418, 500_000_000), 1396742418.5),
        ("2024-04-10T00:00:00", 1396742418),
        (datetime.date(2024, 4, 10), 1396742418),
        (datetime.datetime(2024, 4, 10, 0, 0, 0, 250_000), 1396742418.25),
        (datetime.datetime(2024, 4, 10, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), 1396742418),
        (np.datetime64("2024-04-10T00:00:01"), 1396742419),
    ],
)
def test_a_program_gives_a_time_as_it_has_it(time, value):
    found = gps.seconds(time)
    assert found == value and type(found) is type(value)


def test_days_are_both_included_over_the_end_of_a_february():
    assert gps.dates("2024-02-28", "2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert gps.dates("2024-04-10", "2024-04-10") == ["2024-04-10"]


@pytest.mark.parametrize("time", [None, "now", -1, float("nan"), float("inf"), [], np.datetime64("NaT", "s")])
def test_what_is_no_time_is_named(time):
    with pytest.raises(BadInput, match="no such time"):
        gps.seconds(time)


def test_clocks_count_the_last_second_of_a_day_with_a_leap_second_twice():
    assert gps.unix_offsets(1396742418, 1396828818) == [(1396742418, 315964782)]
    before, after = gps.unix_offsets(1167264010.5, 1167264030)
    assert before == (1167264010.5, 315964783) and after == (1167264017, 315964782)
    assert len(gps.unix_offsets(0, 1396742418)) == 19


def test_times_of_states_are_read_with_either_zone():
    now = gps.now_utc()
    assert now.endswith("+00:00") and gps.unix(now) == gps.unix(now.replace("+00:00", "Z"))
    assert gps.seconds_between("2024-04-10T00:00:00Z", "2024-04-10T00:01:00+00:00") == 60
    assert gps.zoned(1396742418) == "2024-04-10T00:00:00+00:00"
    with pytest.raises(ValueError, match="does not match"):
        gps.unix("yesterday")
