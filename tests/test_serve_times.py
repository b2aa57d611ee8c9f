"""What a person types for a time: one meaning is taken, several are refused with the meanings."""

import re

import pytest
from framemake import gps
from framemake.errors import BadInput
from framemake.serve import times
from hypothesis import example, given
from hypothesis import strategies as some

pytestmark = pytest.mark.quick
NOW = gps.parse("2024-03-31T12:30:00")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    (
        ("2018", "2018-01-01", "2019-01-01"),
        ("1980", "1980-01-06", "1981-01-01"),
        ("2018-03", "2018-03-01", "2018-04-01"),
        ("2018/3", "2018-03-01", "2018-04-01"),
        ("March 2018", "2018-03-01", "2018-04-01"),
        ("dec 2016", "2016-12-01", "2017-01-01"),
        ("2016-12-31", "2016-12-31", "2017-01-01"),
        ("2024/2/29", "2024-02-29", "2024-03-01"),
        ("25/12/2017", "2017-12-25", "2017-12-26"),
        ("12/25/2017", "2017-12-25", "2017-12-26"),
        ("3.3.2018", "2018-03-03", "2018-03-04"),
        ("5 March 2018", "2018-03-05", "2018-03-06"),
        ("March 5th, 2018", "2018-03-05", "2018-03-06"),
        ("Sept 1 2018", "2018-09-01", "2018-09-02"),
        ("today", "2024-03-31", "2024-04-01"),
        ("yesterday", "2024-03-30", "2024-03-31"),
        ("-3d", "2024-03-28T12:30:00", NOW),
        ("now - 12 hours", "2024-03-31T00:30:00", NOW),
        ("2 weeks ago", "2024-03-17T12:30:00", NOW),
        ("\u22121mo", "2024-02-29T12:30:00", NOW),
        ("-1 year", "2023-03-31T12:30:00", NOW),
        ("2018 to 2020", "2018-01-01", "2020-01-01"),
        ("2018-03-01 06:00 until 2018-03-02", "2018-03-01T06:00", "2018-03-02"),
        ("-2d to -1d", "2024-03-29T12:30:00", "2024-03-30T12:30:00"),
        ("2016-12-01 00:00:00 UTC to 2017-01-29 23:59:00 UTC (GPS 1164585617 to 1169769557)",
         "2016-12-01", "2017-01-29T23:59:00"),
        ("1164585617 to 1169769557", 1164585617, 1169769557),
    ),
)  # fmt: skip
def test_a_text_that_means_a_time_from_and_to_is_taken(text, start, end):
    wanted = tuple(gps.parse(time) if isinstance(time, str) else time for time in (start, end))
    assert times.span(text, "", NOW) == wanted


@pytest.mark.parametrize(
    ("text", "moment"),
    (
        ("1164585617", 1164585617),
        ("GPS 1164585617.25", 1164585617.25),
        ("gps 2018", 2018),
        ("3", 3),
        ("1979", 1979),
        ("20181399", 20181399),
        ("now", NOW),
        ("2016-12-31 23:59:60", 1167264017),
        ("2016-12-31T23:59:60Z", 1167264017),
        ("2018-03-01 6:05 pm", gps.parse("2018-03-01T18:05")),
        ("2018-03-01 12am", gps.parse("2018-03-01")),
        ("1 Mar 2018, 06:00 UTC", gps.parse("2018-03-01T06:00")),
        ("2018-03-01 06:00:00.5 +02:00", gps.parse("2018-03-01T04:00") + 0.5),
        ("2018-03-01T06:00-0530", gps.parse("2018-03-01T11:30")),
    ),
)
def test_a_text_that_means_a_moment_is_taken(text, moment):
    assert times.read(text, NOW) == (moment, None, False)
    assert times.span(text, "", NOW) == (moment, None)
    assert times.span("", text, NOW) == (None, moment)


@pytest.mark.parametrize(
    ("text", "meanings"),
    (
        ("01/02/2017", ("2017-01-02", "2017-02-01")),
        ("1-2-17", ("2017-01-02", "2017-02-01", "2001-02-17")),
        ("201803", ("2018-03", "GPS 201803 (1980-01-08 08:03:23)")),
        ("20180301", ("2018-03-01", "GPS 20180301 (1980-08-26 13:38:21)")),
        ("1700000000", ("GPS 1700000000 (2033-11-18 22:13:02, still to come)", "2023-11-14 22:13:20")),
        ("-3m", ("-3min (minutes)", "-3mo (months)")),
        ("-5", ("-5s", "-5min", "-5d", "-5mo", "-5y")),
    ),
)
def test_a_text_that_has_several_meanings_is_refused_with_them(text, meanings):
    with pytest.raises(BadInput, match="this has several meanings, want one of") as caught:
        times.read(text, NOW)
    assert all(meaning in str(caught.value) for meaning in meanings)
    # Each of the meanings, written as it is told, is taken.
    told = re.search(r"one of (.*): '", str(caught.value))[1]
    for meaning in told.split("; "):
        times.read(meaning.partition(" (")[0], NOW)


@pytest.mark.parametrize(
    ("text", "words"),
    (
        ("soon", "no such time, want a year"),
        ("2017-02-30", "no such time"),
        ("2017-01-01 25:00", "no such time of that day"),
        ("2017-01-01 23:59:60", "no such time of that day"),
        ("2017-01-01 13pm", "from 1 to 12"),
        ("2017-01-01 7", "hours and minutes"),
        ("2017-01-01 06:00 CST", "such a zone has several meanings"),
        ("1e9", "no such time"),
        ("4294967296", "no such time"),
        ("-99999y", "from 1980"),
        ("-999999d", "from 1980"),
        ("06:00", "of which day?"),
        ("5 March", "which year?"),
        ("\u0665/03/2017", "no such time"),
        ("x" * 500, "no such time"),
        ("<b>", "no such time"),
    ),
)
def test_what_is_no_time_is_refused_with_what_is_wanted(text, words):
    with pytest.raises(BadInput, match=re.escape(words)):
        times.read(text, NOW)


def test_the_end_is_excluded_and_an_empty_span_is_told():
    assert times.span("2018", "2019", NOW) == (gps.parse("2018-01-01"), gps.parse("2019-01-01"))
    with pytest.raises(BadInput, match="for the whole of 2018 leave the second empty"):
        times.span("2018", "2018", NOW)
    with pytest.raises(BadInput, match="the span is empty"):
        times.span("now", "-1d", NOW)


@given(some.text(max_size=40) | some.text("0123456789-/:. tozgpsmdya", max_size=24))
@example("12.5")
def test_any_text_is_a_time_or_is_refused(text):
    try:
        start, end = times.span(text, "", NOW)
    except BadInput:
        return
    assert start is None or 0 <= start < 2**31
    assert end is None or start < end
