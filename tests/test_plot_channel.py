"""plot-channel, plot-stream, plot-coverage --channels: what is drawn is what the samples are, at their time."""

import datetime
import itertools
import xml.etree.ElementTree

import framemake
import numpy as np
import pytest
from framemake import gps
from framemake.days import bins, curves, find, rows
from framemake.errors import BadInput
from framemake.streams import pictures, reading, store
from support import days as made
from support.commands import needs_package, refused, run
from support.stream_files import DOUBLE, Written

DAY, START, NAME = "2024-04-10", 1396742418, "V1:$ENV_{T}$ <i>"
T0, STREAM = 1148000400, "H0:PEM-EX_SEISX"


@pytest.fixture(autouse=True)
def drawn():
    needs_package("matplotlib")


@pytest.fixture
def out(tmp_path):
    """Two days, with a spike of one sample and a hole of an hour; one channel at 2 Hz."""
    for date in (DAY, "2024-04-11"):
        slow, fast = made.ramp_day(date), made.ramp_day(date, rate=2.0, unit="m")
        slow[0][7200:10800] = np.nan
        slow[0][50000] = 1e9
        made.write_day(tmp_path / "out", date, {NAME: (slow[0].copy(), 1.0, "V"), "V1:FAST": fast})
    return tmp_path / "out"


def test_a_point_has_the_mean_the_least_and_the_greatest_of_its_samples(out):
    days = framemake.open_days(str(out))
    series = days.read(NAME, START, START + 86400)
    curve = curves.of_series(series, 24)
    assert (curve.name, curve.unit, curve.line) == (NAME, "V", "mean")
    hours = series.values.astype(float).reshape(24, 3600)
    assert np.isnan(curve.middle[2]) and np.isnan(curve.most[2])
    some = np.arange(24) != 2
    np.testing.assert_allclose(curve.middle[some], hours.mean(axis=1)[some], rtol=1e-6)
    np.testing.assert_array_equal(curve.least[some], hours.min(axis=1)[some])
    # One sample of a day is seen in a day.
    assert curve.most[13] == 1e9 and curve.cut.tolist() == [START + 3600 * hour for hour in range(25)]


def test_of_no_more_samples_than_points_each_is_drawn_at_its_time(out):
    series = framemake.open_days(str(out)).read("V1:FAST", START, START + 10)
    curve = curves.of_series(series)
    np.testing.assert_array_equal(curve.middle, series.values)
    np.testing.assert_array_equal(curve.cut, START + np.arange(21) / 2)


def test_only_what_lies_in_the_segments_is_drawn(out):
    series = framemake.open_days(str(out)).read(NAME, START, START + 100)
    curve = curves.of_series(series, keep=[(START + 10, START + 20.5)])
    assert np.flatnonzero(np.isfinite(curve.middle)).tolist() == list(range(10, 21))


def test_time_is_utc_over_a_leap_second(tmp_path):
    leap = gps.day_window("2017-01-01").start
    made.write_day(tmp_path, "2016-12-31", {"V1:A": made.ramp_day("2016-12-31")})
    made.write_day(tmp_path, "2017-01-01", {"V1:A": made.ramp_day("2017-01-01")})
    series = framemake.open_days(str(tmp_path)).read("V1:A", leap - 4, leap + 4)
    figure = curves.figure([curves.of_series(series)], (leap - 4, leap + 4))
    (line,) = figure.axes[0].lines
    across = np.round(np.asarray(line.get_xdata(), dtype=float) * 86400)
    day = (datetime.date(2017, 1, 1) - datetime.date(1970, 1, 1)).days * 86400
    # From 23:59:57 on; 23:59:60 has the time of the second before it, as clocks count that twice.
    assert (across[::2] - day).tolist() == [-3, -2, -1, -1, 0, 1, 2, 3]


def test_a_picture_says_what_it_shows(out):
    days = framemake.open_days(str(out))
    span = (START, START + 86400)
    some = [curves.of_series(days.read(name, *span)) for name in (NAME, "V1:FAST")]
    figure = curves.figure(some, span, ("V1:LOCK > 1", [(START + 3600, START + 7200), (START - 99, START + 10)]))
    first, second, below = figure.axes
    assert [axes.get_label() for axes in figure.axes] == [NAME, "V1:FAST", "segments"]
    assert (first.get_ylabel(), second.get_ylabel()) == ("V", "m") and first.get_title(loc="left") == NAME
    assert first.get_title(loc="right") == "line: mean; band: min to max; one point = 86.4 s"
    assert "2024-04-10 00:00:00 (GPS 1396742418)" in below.get_xlabel()
    # What is as short as a point is seen, at the ends as well.
    assert first.collections[0].get_linewidth()[0] > 0
    begin, end = first.get_xlim()
    assert begin < first.lines[0].get_xdata()[0] and end > first.lines[0].get_xdata()[-1]
    # The points on both sides of a hole are not joined.
    values = np.asarray(first.lines[0].get_ydata(), dtype=float)
    assert np.isnan(values).sum() > 60
    boxes = [path.get_extents() for path in below.collections[0].get_paths()]
    midnight = (datetime.date(2024, 4, 10) - datetime.date(1970, 1, 1)).days
    assert [round((box.x0 - midnight) * 86400) for box in boxes] == [3600, -99]


@pytest.mark.parametrize(("form", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_has_the_form_of_its_name_and_is_the_same_each_time(out, tmp_path, form, begin):
    series = framemake.open_days(str(out)).read(NAME, START, START + 86400)
    paths = [tmp_path / f"{number}.{form}" for number in range(2)]
    for path in paths:
        curves.save(
            str(path), [curves.of_series(series, 50)], (START, START + 86400), ("s", [(START, START + 9)]), True
        )
    one, other = (path.read_bytes() for path in paths)
    assert one.startswith(begin) and one == other
    if form == "svg":
        texts = [each.text for each in xml.etree.ElementTree.fromstring(one).iter("{http://www.w3.org/2000/svg}text")]
        assert NAME in texts and "V" in texts


def test_the_command_and_what_is_wrong(out, tmp_path):
    path = tmp_path / "p.png"
    assert run("plot-channel", out, NAME, "V1:FAST", "--state", f"`{NAME}` > 0", "--out", path) == (0, f"{path}\n", "")
    assert path.stat().st_size > 5000
    told = refused("plot-channel", out, NAME, "--out", tmp_path / "p.jpg")
    assert f"no such form of picture, want .png, .svg, .pdf: '{tmp_path}/p.jpg'" in told
    status, _, said = run("plot-channel", out, NAME, "--start", START + 7300, "--end", START + 7400, "--out", path)
    assert (status, said) == (3, f"plot-channel: no data in the span: {NAME!r}\n")
    with pytest.raises(BadInput, match="from 1 to 12 in one picture: 13"):
        curves.save(str(path), [None] * 13, (0, 1))


# --- streams -----------------------------------------------------------------------------------


def stream(folder, *files):
    written = Written(DOUBLE, 256)
    for start, seconds, values in files:
        written.file(start, seconds, values, np.abs(values) * 2)
    written.write(folder, STREAM)
    return store.open_stream(str(folder), STREAM)


def test_a_point_of_a_stream_has_the_records_that_begin_in_it(tmp_path):
    values = np.arange(1, 121, dtype=float)
    values[37] = 1e6
    opened = stream(tmp_path, (T0, 60, values), (T0 + 60 * 180, 60, values[:60]))
    span = pictures.span_of([opened], None, None)
    assert span == (T0, T0 + 60 * 240)
    curve = pictures.curve(opened, "mean", span, 24)
    tens = values.reshape(12, 10)
    np.testing.assert_allclose(curve.middle[:12], tens.mean(axis=1))
    assert np.isnan(curve.middle[12:18]).all() and curve.most[3] == 1e6
    np.testing.assert_allclose(curve.least[18:], tens[:6].min(axis=1))
    rms = pictures.curve(opened, "rms", span, 24)
    np.testing.assert_allclose(rms.most, 2 * curve.most)
    kept = pictures.curve(opened, "mean", span, 24, [(T0, T0 + 600)])
    assert np.flatnonzero(np.isfinite(kept.middle)).tolist() == [0]


def test_a_record_that_is_longer_than_a_point_is_drawn_over_all_of_it(tmp_path):
    opened = stream(tmp_path, (T0, 60, [5.0, 7.0, 9.0]))
    curve = pictures.curve(opened, "mean", (T0 + 30, T0 + 150), 12)
    assert curve.middle.tolist() == [5.0] * 3 + [7.0] * 6 + [9.0] * 3


def test_the_records_of_many_pieces_are_those_of_one(tmp_path, monkeypatch):
    opened = stream(tmp_path, (T0, 60, np.arange(1.0, 500)))
    span = pictures.span_of([opened], None, None)
    whole = pictures.curve(opened, "mean", span, 17)
    monkeypatch.setattr(pictures, "_AT_ONCE", 7)
    np.testing.assert_allclose(pictures.curve(opened, "mean", span, 17).middle, whole.middle)
    times, values = reading.each(opened, "mean", 0, len(opened.records))
    cut = bins.edges(*span, points=17)
    own = [values[(times >= a) & (times < b)].max() for a, b in itertools.pairwise(cut)]
    np.testing.assert_array_equal(whole.most, own)


def test_plot_stream(tmp_path):
    stream(tmp_path, (T0, 60, np.arange(1.0, 100)))
    path, name = tmp_path / "p.svg", f"{tmp_path}/{STREAM}"
    assert run("plot-stream", name, "--rms", "--out", path) == (0, f"{path}\n", "")
    assert "line: rms; band: min to max" in path.read_text()
    status, _, said = run("plot-stream", name, "--mean", "--start", 5, "--end", 10, "--out", path)
    assert (status, said) == (3, f"plot-stream: no data in the span: '{name}'\n")
    assert "no such stream" in refused("plot-stream", f"{tmp_path}/H0:NO", "--mean", "--out", path)
    assert "the span is empty" in refused(
        "plot-stream", name, "--mean", "--start", 9, "--end", 9, "--out", path
    )  # fmt: skip


# --- a row a channel ---------------------------------------------------------------------------


def test_what_is_drawn_of_channels_by_day_is_what_find_channels_counts(out):
    made.write_day(out, "2024-04-13", {"V1:FAST": made.ramp_day("2024-04-13", rate=2.0)})
    days = framemake.open_days(str(out))
    names, dates, parts = find.by_day(days)
    assert names == sorted([NAME, "V1:FAST"]) and dates == [f"2024-04-{at}" for at in range(10, 14)]
    assert np.isnan(parts[:, 2]).all() and parts[names.index(NAME)].tolist()[::3] == [1 - 3600 / 86400, 0]
    found = {each.name: each.coverage for each in days.channels()}
    assert [found[name] for name in names] == pytest.approx(np.nan_to_num(parts).mean(axis=1).tolist())
    assert find.by_day(days, "2024-04-13", "2024-04-13")[0] == ["V1:FAST"]


@pytest.mark.parametrize("worst", [False, True])
def test_a_row_is_a_channel_by_subsystem(tmp_path, worst):
    names = ["V1:B_1", "V1:A_1", "V1:A_2", "H0:PEM-EX"]
    parts = np.array([[1, 1], [1, 0.5], [0, np.nan], [1, 1.0]])
    figure = rows._figure
    seen = []
    rows._figure = lambda *given: seen.append(given) or figure(*given)
    try:
        rows.save(str(tmp_path / "p.png"), names, ["2024-04-10", "2024-04-11"], parts, worst)
    finally:
        rows._figure = figure
    order = ["V1:A_2", "V1:A_1", "V1:B_1", "H0:PEM-EX"] if worst else ["V1:A_1", "V1:A_2", "V1:B_1", "H0:PEM-EX"]
    ((shown, _, drawn_parts),) = seen
    assert shown == order
    np.testing.assert_array_equal(drawn_parts, parts[[names.index(name) for name in order]])
    colours = rows._shaded(parts)
    assert tuple(colours[0, 0]) == rows._WHOLE and tuple(colours[2, 0]) == rows._LOSS[2]
    assert tuple(colours[2, 1]) == rows._NO_DAY and colours[1, 1].tolist() not in (
        list(rows._WHOLE),
        list(rows._NO_DAY),
    )


def test_plot_coverage_of_channels(out, tmp_path):
    path = tmp_path / "p.png"
    assert run("plot-coverage", out, "--channels", "--worst", "--out", path) == (0, f"{path}\n", "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "--worst goes with --channels" in refused("plot-coverage", out, "--worst", "--out", path, status=2)
    assert "the picture is a PNG" in refused("plot-coverage", out, "--channels", "--out", tmp_path / "p.svg")
