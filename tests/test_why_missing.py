"""why-missing: every reason that a sample can be missing for, of days built from frames that have it."""

import json
import os

import framemake
import numpy as np
import pytest
from framemake.days import why
from support import days as made
from support.commands import END, START, refused, run, well
from support.sites import DAY, Site, signal
from test_converter_days import converter_day

SECONDS = 420


def there(*gaps, count=60):
    found = np.ones(count, dtype=bool)
    for a, b in gaps:
        found[a:b] = False
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The first 420 s of a day in frames of 60 s, each with one kind of trouble."""
    site = Site(tmp_path_factory.mktemp("why"))
    site.want("V1:A", "V1:B", "V1:C", "V1:NEVER", "V1:FREQUENCY")
    large = np.full(60, 2**60 + 1, dtype="i8")
    large[:30] = 5
    odd = np.arange(60, dtype="f4")
    odd[7] = np.nan
    site.frame(0, 60, [signal("V1:A"), signal("V1:B", dtype="f8"), signal("V1:C")])
    # Of A a hole that a second vector tells, of B samples that no float holds; C says that all of it is bad.
    site.frame(
        60, 60,
        [
            signal("V1:A", there=there((10, 20))), signal("V1:B")._replace(data=large), signal("V1:C", valid=1),
        ],
    )  # fmt: skip
    # A at another rate, B shifted by a part of a sample, a CDS mask on C.
    mask = np.zeros(60, dtype="u2")
    mask[40:] = 8
    site.frame(
        120, 60,
        [signal("V1:A", 120, rate=2.0), signal("V1:B", dtype="f8", offset=0.5, count=59), signal("V1:C", mask=mask)],
    )  # fmt: skip
    # Neither B nor C; a NaN in A.
    site.frame(180, 60, [signal("V1:A")._replace(data=odd)])
    absent = site.frame(240, 60, [signal("V1:A")])
    os.unlink(absent)
    damaged = site.frame(300, 60, [signal("V1:A")])
    damaged.write_bytes(damaged.read_bytes()[:500])
    # From 360 s on no file is listed.
    done = site.span(SECONDS)
    assert done.returncode == 0, done.stderr
    return site


def told(site, name, start=0, end=SECONDS, out=None):
    days = framemake.open_days(out or site.out)
    return [(each.start - START, each.end - START, each.kind) for each in days.why(name, START + start, START + end)]


TAIL = [(240, 300, "file absent"), (300, 360, "damaged"), (360, 420, "no file listed")]


def test_each_reason_is_told_for_the_samples_that_it_is_of(site):
    assert told(site, "V1:A") == [(70, 80, "mask"), (120, 180, "rate change"), (187, 188, "NaN in the frame"), *TAIL]
    assert told(site, "V1:B") == [
        (90, 120, "integer too large"), (120, 180, "off grid"), (180, 240, "channel not in the file"), *TAIL
    ]  # fmt: skip
    assert told(site, "V1:C") == [
        (60, 120, "dataValid"), (160, 180, "mask"), (180, 240, "channel not in the file"), *TAIL
    ]  # fmt: skip


def test_the_file_is_named_with_more_words(site):
    days = framemake.open_days(site.out)
    (absent, damaged, unlisted) = days.why("V1:A", START + 240, START + 420)
    assert absent.path.endswith(f"V-test-{START + 240}-60.gwf")
    assert damaged.path.endswith(f"V-test-{START + 300}-60.gwf") and damaged.detail.startswith("cut short or damaged")
    assert unlisted.date == DAY
    (rate,) = days.why("V1:A", START + 130)
    assert rate.detail == "2 Hz there, 1 Hz in the day"
    (large,) = days.why("V1:B", START + 100)
    assert (large.start, large.end) == (START + 100, START + 101)


def test_a_channel_that_the_day_does_not_have(site):
    assert told(site, "V1:NEVER") == [(0, SECONDS, "channel in no file")]
    assert told(site, "V1:OTHER") == [(0, SECONDS, "channel not listed")]


def test_what_the_day_was_not_built_for(site):
    assert told(site, "V1:A", SECONDS, 86400)[0] == (SECONDS, 86400, "outside the built span")
    assert told(site, "V1:A", 86400, 86500) == [(86400, 86500, "day not built")]
    (day,) = framemake.open_days(site.out).why("V1:A", END + 5)
    assert day[:3] == (END, END + 86400, why.NOT_BUILT) and day.detail == "there is no folder of the day"


def test_when_the_frames_are_gone_the_day_tells_what_it_noted(site, tmp_path):
    def missing(name):
        series = framemake.open_days(site.out).read(name, START, START + SECONDS)
        return [(each.start - START, each.end - START, each.kind) for each in series.missing]

    names = ("V1:A", "V1:B", "V1:C")
    before = {name: missing(name) for name in names}
    site.frames.rename(tmp_path / "gone")
    try:
        assert {name: missing(name) for name in names} == before
        (found,) = framemake.open_days(site.out).why("V1:B", START + 190)
        assert found.detail == "as noted when the file was read; it is gone"
    finally:
        (tmp_path / "gone").rename(site.frames)


def test_of_several_reasons_in_a_file_that_is_gone_it_is_one_of_them(tmp_path):
    site = Site(tmp_path)
    data = np.arange(60, dtype="f4")
    data[50] = np.nan
    path = site.frame(0, 60, [signal("V1:A", there=there((10, 20)))._replace(data=data)])
    site.want("V1:A")
    assert site.span(60).returncode == 0
    path.unlink()
    for second in (15, 50):
        (found,) = framemake.open_days(site.out).why("V1:A", START + second)
        assert found.kind == "not recorded"
        assert found.detail == "one of: NaN in the frame, mask; it is gone"


def test_a_gap_between_the_frames_of_a_file(tmp_path):
    from framemake.gwf.write import write

    site = Site(tmp_path)
    path = site.frames / f"V-test-{START}-180.gwf"
    write(path, [(START, 60, [signal("V1:A")]), (START + 120, 60, [signal("V1:A")])])
    site.list(path, START, 180)
    site.want("V1:A")
    assert site.span(180).returncode == 0
    assert told(site, "V1:A", 0, 180) == [(60, 120, "gap inside the file")]


@pytest.mark.slow
def test_every_sample_that_is_missing_has_a_reason_and_no_other(site):
    days = framemake.open_days(site.out)
    for name in ("V1:A", "V1:B", "V1:C"):
        series = days.read(name, START, START + SECONDS)
        bad = np.zeros(len(series), dtype=bool)
        for each in series.missing:
            assert each.kind != "not recorded"
            bad[series.number_at(each.start) : series.number_at(each.end)] = True
        assert (bad == ~series.good).all()


def test_days_of_others_tell_what_they_can(tmp_path):
    out = tmp_path / "out"
    converter_day(out, DAY)
    days = framemake.open_days(out)
    assert days.read("V1:A", START + 5, START + 6).values.tolist() == [5]
    (found,) = days.why("V1:A", START + 3600, START + 7300)
    assert found[:3] == (START + 3600, START + 7200, "not recorded") and "the converter" in found.detail


def test_a_day_that_failed_says_so(tmp_path):
    made.write_day(tmp_path / "out", DAY, {"V1:A": made.ramp_day(DAY)})
    failed = tmp_path / "out" / "V1trend-2024-04-11"
    failed.mkdir()
    (failed / "state_day.json").write_text(json.dumps({"status": "failed", "error": "pad-merge: disk full"}))
    (found,) = framemake.open_days(tmp_path / "out").why("V1:A", END + 5, END + 6)
    assert (found.kind, found.detail) == ("day not built", "the day is failed: pad-merge: disk full")
    assert found.path == str(failed)


@pytest.mark.slow
def test_the_command_prints_lines_or_json(site):
    printed = well("why-missing", site.out, "V1:A", "2024-04-10T00:01:10", START + 130)
    assert [line.split("\t")[:3] for line in printed.splitlines()] == [
        [str(START + 70), str(START + 80), "mask"], [str(START + 120), str(START + 130), "rate change"]
    ]  # fmt: skip
    assert well("why-missing", site.out, "V1:A", START + 5) == ""
    found = json.loads(well("why-missing", site.out, "V1:A", START + 70, "--json"))
    assert found["channel"] == "V1:A" and found["missing"][0]["kind"] == "mask"
    assert "no such time" in refused("why-missing", site.out, "V1:A", "noon")
    assert "no such folder" in refused("why-missing", "/none", "V1:A", START)
    assert run("why-missing", site.out)[0] == 2
