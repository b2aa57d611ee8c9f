"""Reads, exports and digests where days are odd: a leap second, rates below 1 Hz, windows, names of every kind."""

import csv
import hashlib

import framemake
import numpy as np
import pytest
from framemake import gps
from framemake.days import export
from support import days as made

RATES = {'V1:sp ace,"q"#é': 0.1, "V1:A-b.c%d": 1.0, "V1:Slow": 1 / 60, "V1:Fast=16": 16.0, "V1:[x]*?": 0.5}
LEAP, NEXT, LATER = "2016-12-31", "2017-01-01", "2017-01-02"
# All samples lie on one grid of GPS seconds: the day with the leap second has one more than others.
SHIFTS = {LEAP: 0.0, NEXT: 59.0, LATER: 59.0}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """(the days, {(day, channel): (GPS time of sample 0, samples)}) of two hours about midnight, and half an hour."""
    out, raw, random = tmp_path_factory.mktemp("odd") / "out", {}, np.random.default_rng(5)
    starts = {day: gps.day_window(day).start for day in SHIFTS}
    windows = {
        LEAP: framemake.Window(starts[NEXT] - 3601, starts[NEXT]),
        NEXT: framemake.Window(starts[NEXT], starts[NEXT] + 3600),
        LATER: framemake.Window(starts[LATER] + 60, starts[LATER] + 1860),
    }
    for day, window in windows.items():
        channels = {}
        for at, (name, rate) in enumerate(RATES.items()):
            samples = random.standard_normal(round(window.duration * rate)).astype("f8" if at % 2 else "f4")
            samples[random.random(len(samples)) < 0.02] = np.nan
            # What gives a whole number of samples only with the leap second begins with the window.
            channels[name] = samples, rate, "m"
            raw[day, name] = window.start + round(SHIFTS[day] * rate % 1 / rate, 6), samples
        made.write_day(out, day, channels, window=window, offset=SHIFTS[day])
    return framemake.open_days(out), raw


@pytest.mark.slow
@pytest.mark.parametrize("name", RATES)
def test_what_is_read_and_written_is_what_the_days_have(odd, tmp_path, name):
    days, raw = odd
    rate, midnight = RATES[name], gps.day_window(NEXT).start
    span = midnight - 1801, midnight + 5000 if RATES[name] > 0.1 else gps.day_window(LATER).start + 1000
    want = {}
    for day in SHIFTS:
        begin, samples = raw[day, name]
        times = (begin + np.arange(len(samples)) / rate).round(6).tolist()
        want.update((t, v) for t, v in zip(times, samples.tolist(), strict=True) if span[0] <= t < span[1] and v == v)
    series = days.read(name, *span)
    assert same(series.times, series.values) == want and len(want) > 20
    assert sum(each.end - each.start for each in series.missing) == pytest.approx((~series.good).sum() / rate, abs=1e-3)
    for form in export.FORMS:
        assert export.to_file(export.Wanted({name: series}), str(tmp_path / f"x{form}"))
    with open(tmp_path / "x.csv", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["utc", "gps", name]
    assert {round(float(at), 6): float(value) for _, at, value in rows if value} == want
    leap = {utc for utc, at, _ in rows if int(float(at)) == midnight - 1}
    assert {text[:19] for text in leap} == ({"2016-12-31T23:59:60"} if rate >= 1 else leap)
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "x.parquet")
    assert same(table["gps"].to_numpy(), table[name].to_numpy(zero_copy_only=False)) == want
    for form in ("h5", "gwf"):
        file = framemake.open_frame(tmp_path / f"x.{form}")
        pieces = [file.read(index, name, "proc") for index in range(len(file.frames))]
        assert np.concatenate([piece.data for piece in pieces]).tobytes() == series.values.tobytes()
        assert file.frames[0][0] + pieces[0].offset == pytest.approx(series.t0, abs=1e-6) and pieces[0].unit == "m"


def same(times, values):
    return {round(t, 6): v for t, v in zip(times.tolist(), values.tolist(), strict=True) if v is not None and v == v}


def test_digests_are_those_of_the_samples(odd):
    days, raw = odd
    for day, folder in days.folders().items():
        with framemake.open_day(folder.h5) as file:
            for name in RATES:
                span, whole = file.provenance.unit_of(name), hashlib.sha256()
                for first in range(0, len(raw[day, name][1]), span):
                    unit = raw[day, name][1][first : first + span].copy()
                    unit[np.isnan(unit)] = np.nan
                    whole.update(hashlib.sha256(unit.tobytes()).digest())
                assert whole.hexdigest() == file.digest_of(name) == framemake.digest(file.file["channels"][name], span)
