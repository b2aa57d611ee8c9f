"""The page at / of serve-streams, in a real browser: it shows what the server has, and is never blank."""

import csv
import io
import re
import shutil
import urllib.parse

import numpy as np
import pytest
from framemake import gps
from framemake.gwf.write import Signal
from framemake.streams.records import Info
from support import browser, commands, serving, sites, stream_files

# Sixty days of minute trend around the leap second at the end of 2016.
START = gps.parse("2016-12-01")
MINUTES = 60 * 1440
END = START + 60 * MINUTES
# Minutes of an earthquake in the stream X, on its last day: from 13:59:59 UTC, as the leap second lies before it.
SHOOK = range(MINUTES - 600, MINUTES - 597)
GAP = (20 * 1440, 24 * 1440)
X, Y, WIND, RAIN = "H0:PEM-EX_SEISX", "H0:PEM-EX_SEISY", "H0:PEM-LVEA_WIND", "H0:PEM-MX_RAIN"
QUAKE = "L0:GDS-EARTHQUAKE"
HOSTILE = "L1:PEM-<img src=x onerror=window.bad=1>_%{y}<b>&lt;X"
NE, WE = "V1:Sa_NE_F0_mean", "V1:ENV_WE_TEMP_mean"


def stream(folder, name, unit, level, count=MINUTES, gap=None):
    minute = np.arange(count)
    mean = level * (2 + np.sin(minute / 700) + 0.1 * np.sin(minute / 11))
    if name == X and count == MINUTES:
        mean[SHOOK] *= 8
    written = stream_files.Written(Info("double", 64, 0.0, 1.0, unit), 16)
    for first, stop in [(0, gap[0]), (gap[1], count)] if gap else [(0, count)]:
        written.file(START + 60 * first, 60, mean[first:stop], 1.1 * abs(mean[first:stop]))
    return written.write(folder, name)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with streams and one with a day, as the server is given them."""
    commands.needs("chromium")
    commands.needs_package("playwright", "plotly")
    folder = tmp_path_factory.mktemp("page")
    streams = folder / "streams"
    stream(streams, X, "counts", 100, gap=GAP)
    for name, unit, level in ((Y, "counts", 50), (WIND, "m/s", 5), (QUAKE, "", -1), (HOSTILE, "<b>V", 2)):
        stream(streams, name, unit, level, count=2000)
    stream(streams, RAIN, "mm", 1, count=0)
    site = sites.Site(folder / "day")
    for hour in (0, 1, 2, 5):
        second = 3600 * hour + np.arange(3600)
        wave = np.sin(second / 900) + 0.1 * (-1.0) ** second
        site.frame(3600 * hour, 3600, [Signal(NE, wave.astype("f4"), 1.0, "V"), Signal(WE, wave * 0 + 20, 1.0, "K")])
    site.want(NE, WE)
    assert site.make().returncode == 0
    return streams, site.out


@pytest.fixture(scope="module")
def server(place):
    streams, out = place
    with serving.served(streams, "--days", out) as started:
        yield started


@pytest.fixture(scope="module")
def base(server):
    return address_of(server)


@pytest.fixture(scope="module")
def chromium(place):
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def kept():
    """The tab that tests go on in, one after another: a list of it, or of none."""
    return []


@pytest.fixture
def tab(chromium, kept, base):
    """A function that opens the page, in a fresh browser if anything is said of it (how), else in one tab for all.

    At the end no page may have asked another host, broken the Content-Security-Policy or failed without a word.
    """
    opened, fresh = [], []

    def new(fragment=browser.EMPTY, drawn=True, at=base, **how):
        if not how and at == base and kept:
            opened.append(kept[0])
            return kept[0].follow(fragment, drawn)
        context = browser.context(chromium, **how)
        opened.append(browser.Tab(context, at))
        (fresh if how or at != base else kept).append(opened[-1])
        return opened[-1].open(fragment, drawn)

    yield new
    for each in opened:
        asked, console, failed = each.forget()
        others = [url for url in asked if not url.startswith((f"{each.base}/", "blob:", "data:"))]
        broken = [line for line in console if "Security Policy" in line or "CSP" in line]
        assert (others, broken, failed) == ([], [], [])
    for each in fresh:
        each.page.context.close()


def address_of(server):
    return server.url.rstrip("/")


def values(server, what, name, start, end, **more):
    """The one series of a server's answer."""
    (series,) = server.get(f"/api/{what}", name, start=start, end=end, **more).json["series"]
    return series


def link(*names, **more):
    """The page's address for streams, or for SPEC/CHANNEL of days."""
    channels = [("d" if "/" in name.split("<")[0] else "s", name) for name in names]
    return "#" + urllib.parse.urlencode([*channels, *more.items()])


def utc(times):
    """The UTC texts that plotly is given for GPS seconds."""
    return [f"{gps.utc(ms // 1000)}.{ms % 1000:03d}" for ms in (round(time * 1000) for time in times)]


# --- at first sight -----------------------------------------------------------------------------


def test_at_first_sight_the_last_day_of_one_telling_stream_is_drawn_and_what_is_here_told(tab, server):
    shown = tab("", zone="UTC")
    (curve,) = shown.curves()
    assert curve["name"] == X and curve["mode"] == "lines"
    series = values(server, "values", X, END - 60 + 1 - 86400, END - 60 + 1, kind="rms")
    assert curve["y"] == series["values"]
    rows = shown.page.locator("#overview tbody tr").all_text_contents()
    assert [row.split(",")[0] for row in rows[:2]] == ["H0", "L0"] and "PEM (environment): 4" in rows[0]
    assert "days V1trend" in rows[-1] and "2024-04-10" in rows[-1] and "2017-01-29 23:58:59 UTC" in rows[0]
    # The lists are at what is drawn.
    assert shown.page.get_by_label("Stream", exact=True).input_value() == X
    assert shown.text("#shown").endswith("One point = 1.8 minutes. Band: smallest to largest sample in it.")
    shown.after(shown.page.get_by_role("button", name="Week", exact=True).click)
    assert "last=604800" in shown.page.url and shown.page.locator("#overview").is_hidden()
    times = shown.curves()[0]["customdata"]
    assert times[0] == END - 59 - 7 * 86400


@pytest.mark.long
def test_days_without_a_summary_are_shown_at_first_sight(tab, place, tmp_path):
    (tmp_path / "streams").mkdir()
    shutil.copytree(place[1], tmp_path / "out")
    for path in (tmp_path / "out").glob("*/*.summary.json"):
        path.unlink()
    with serving.served(tmp_path / "streams", "--days", tmp_path / "out") as started:
        shown = tab("", at=address_of(started))
        assert [curve["name"] for curve in shown.curves()] == [WE]
        assert "1 day from 2024-04-10, 2 channels. ENV (environment): 1; Sa" in shown.text("#overview tbody")


@pytest.mark.long
def test_a_teacher_finds_yesterday_s_earthquake_in_three_clicks_with_its_numbers(tab):
    shook = {START + 60 * minute for minute in SHOOK}
    # It is seen before the first click, as the page opens on the last day by the rms.
    shown = tab("", zone="UTC")
    (curve,) = shown.curves()
    largest = curve["customdata"][int(np.argmax(curve["y"]))]
    assert any(abs(largest - time) < 200 for time in shook)
    assert max(curve["y"]) > 4 * float(np.median(curve["y"]))
    box = shown.page.locator("#plot .nsewdrag").first.bounding_box()
    at = box["x"] + box["width"] * (largest - curve["customdata"][0]) / 86400
    middle = box["y"] + box["height"] / 2
    low, high = shown.layout()["yaxis"]["range"]
    # The pointer on its top tells when it was.
    shown.page.mouse.move(at, box["y"] + box["height"] * (high - max(curve["y"])) / (high - low), steps=9)
    time = gps.utc(int(largest)).replace("T", " ")
    browser.until(shown.page, f"document.querySelector('#plot .hoverlayer').textContent.includes('{time} UTC')")

    # First: drag over it.  Second: its numbers, for a spreadsheet.
    def drag():
        shown.page.mouse.move(at - 20, middle)
        shown.page.mouse.down()
        shown.page.mouse.move(at, middle, steps=4)
        shown.page.mouse.move(at + 20, middle, steps=4)
        shown.page.mouse.up()

    shown.after(drag)
    with shown.page.expect_download() as download:
        shown.page.get_by_role("link", name=f"CSV of {X}").click()
    with open(download.value.path()) as file:
        rows = list(csv.DictReader(file))
    largest = sorted(rows, key=lambda row: -float(row[f"{X} rms (counts)"] or 0))[:3]
    assert {float(row["GPS (s)"]) for row in largest} == shook
    assert min(row["UTC"] for row in largest) == "2017-01-29 13:59:59"
    # Third: over the whole time it is seen as well, in the band.
    shown.after(shown.press, "Whole time")
    band, curve = shown.traces()
    assert max(filter(None, band["y"])) > 3 * max(filter(None, curve["y"]))


def test_a_stream_goes_with_its_band_and_the_y_axis_can_be_set(tab, server):
    shown = tab(link(X))
    band, curve = shown.traces()
    series = values(server, "values", X, START, END - 59, kind="rms", band=1)
    there = [value for value in series["min"] + series["max"] if value is not None]
    assert set(band["y"]) - {None} <= set(there) and max(there) > max(filter(None, curve["y"]))
    shown.page.get_by_label("to", exact=True).fill("250")
    shown.after(shown.press, "Set")
    assert shown.layout()["yaxis"]["range"][1] == 250
    shown.after(shown.page.get_by_label("Smallest and largest sample").uncheck)
    assert len(shown.traces()) == 1
    shown.after(shown.page.get_by_label("Local time too").check)
    assert "Local time: " in shown.text("#shown")
    shown.page.locator("#low").fill("x")
    shown.press("Set")
    shown.says("#problem", "No number for the y axis: x")


def test_the_glossary_is_behind_a_question_mark(tab):
    shown = tab(link(X))
    shown.press("What is sampling?")
    shown.says("#glossary", "the rms shows earthquakes")
    shown.page.keyboard.press("Escape")
    assert shown.page.locator("#glossary").is_hidden()


@pytest.mark.long
def test_a_view_that_is_to_be_refreshed_goes_with_the_streams(tab, tmp_path):
    stream(tmp_path, X, "counts", 100, count=2000)
    with serving.served(tmp_path) as growing:
        shown = tab(at=address_of(growing), drawn=False)
        shown.page.goto("about:blank")
        # From here on the browser's marks of time are made up as well: the plot itself tells that it is drawn.
        shown.page.clock.install()
        shown.page.goto(f"{shown.base}/{link(X, last=3600, refresh=1)}")
        last = "document.getElementById('plot').data?.at(-1).customdata.at(-1)"
        browser.until(shown.page, f"{last} === {START + 60 * 1999}")
        stream(tmp_path, X, "counts", 100, count=4000)
        shown.page.clock.fast_forward(61_000)
        browser.until(shown.page, f"{last} === {START + 60 * 3999}")


def test_the_status_tells_what_is_wrong_and_the_days(tab):
    shown = tab("#view=status", drawn=False)
    shown.says("#status", "newest record of the streams")
    shown.says("#status", "CRITICAL")
    assert "2024-04-10V1trendcompleted" in shown.text("#status table tbody")
    assert shown.page.locator("#controls").is_hidden()


# --- choosing -----------------------------------------------------------------------------------


def test_a_stream_picked_from_the_lists_is_drawn_as_the_server_has_it(tab, server):
    shown = tab(browser.EMPTY, drawn=False)
    shown.says("#message", "Choose a channel")
    page = shown.page
    page.get_by_label("Site").select_option("H0")
    page.get_by_label("Station").select_option("EX")
    page.get_by_label("Sensor", exact=True).select_option("SEISX")
    assert page.get_by_label("Stream", exact=True).input_value() == X
    shown.after(shown.press, "Add this stream")
    (curve,) = shown.curves()
    series = values(server, "values", X, START, END - 59, kind="rms")
    assert curve["customdata"] == series["times"]
    assert curve["y"] == series["values"]
    # UTC whatever the zone of the browser, before and after the leap second.
    apart = np.array(curve["x"], "M8[ms]") - np.array(utc(series["times"]), "M8[ms]")
    assert abs(apart.astype(int)).max() <= 1
    assert gps.parse("2017-01-01") - gps.parse("2016-12-31") == 86401


def test_each_list_holds_only_what_goes_with_those_above_it(tab):
    page = tab(browser.EMPTY, drawn=False).page
    page.get_by_label("Site").select_option("L0")
    found = {
        field: page.locator(f"#{field} option").evaluate_all("all => all.map(one => one.value)")
        for field in ("site", "subsystem", "station", "sensor", "sampling", "stream")
    }
    assert found["site"] == ["H0", "L0", "L1"]
    assert (found["subsystem"], found["station"], found["sensor"]) == (["GDS"], [""], ["EARTHQUAKE"])
    assert (found["sampling"], found["stream"]) == (["60 s"], [QUAKE])


def test_a_typed_name_is_offered_and_added_beside_the_others(tab):
    shown = tab(link(X))
    shown.page.get_by_label("Or type a name").press_sequentially("a_wind")
    assert shown.page.locator("#names option").evaluate_all("all => all.map(one => one.value)") == [WIND]
    shown.page.get_by_label("Or type a name").fill(WIND)
    shown.after(shown.press, "Add this name")
    assert [curve["name"] for curve in shown.curves()] == [X, WIND]
    layout = shown.layout()
    # Each unit has a panel of its own.
    titles = [layout[axis]["title"]["text"] for axis in ("yaxis", "yaxis2", "xaxis")]
    assert titles == ["rms (counts)", "mean (m/s)", "Time (UTC)"]
    assert layout["yaxis"]["domain"][0] > layout["yaxis2"]["domain"][1]
    shown.page.get_by_label("Or type a name").fill("H0:NOT_THERE")
    shown.press("Add this name")
    shown.says("#problem", "No such stream or channel: H0:NOT_THERE")


def test_removing_a_channel_leaves_the_others(tab):
    shown = tab(link(X, Y))
    shown.after(shown.press, f"Remove {X}")
    assert [curve["name"] for curve in shown.curves()] == [Y]
    shown.press(f"Remove {Y}")
    shown.says("#message", "Choose a channel")
    assert shown.page.locator("#plot .main-svg").count() == 0


def test_rms_and_a_logarithmic_scale_are_a_click_away(tab, server):
    shown = tab(link(QUAKE))
    shown.after(shown.page.get_by_label("rms", exact=True).check)
    (curve,) = shown.curves()
    series = values(server, "values", QUAKE, START, START + 60 * 1999 + 1, kind="rms")
    assert curve["y"] == series["values"]
    shown.after(shown.page.get_by_label("Logarithmic scale").check)
    assert shown.layout()["yaxis"]["type"] == "log"
    # What cannot be shown there is told: the means are below 0.
    shown.after(shown.page.get_by_label("mean", exact=True).check)
    shown.says("#message", "no place for values of 0 or less: 800 of them")


def test_curves_differ_in_more_than_their_colour(tab):
    shown = tab(link(X, Y, WIND, QUAKE, HOSTILE))
    looks = [(curve["line"]["dash"], curve["marker"]["symbol"]) for curve in shown.curves()]
    keys = [key.text_content() for key in shown.page.locator("#legend .key").all()]
    assert len(set(looks)) == len(set(keys)) == 5


# --- time ---------------------------------------------------------------------------------------


def test_a_gap_is_a_gap(tab):
    (curve,) = tab(link(X)).curves()
    assert curve["connectgaps"] is False
    gap = [START + 60 * minute for minute in GAP]
    points = list(zip(curve["customdata"], curve["y"], strict=True))
    inside = [value for time, value in points if gap[0] <= time < gap[1] - 6480]
    assert len(inside) > 40 and set(inside) == {None}
    assert sum(value is None for _, value in points) <= len(inside) + 2


def test_dragging_asks_again_for_what_is_seen_and_back_undoes_it(tab):
    shown = tab(link(X))
    before = shown.curves()[0]["customdata"]
    box = shown.page.locator("#plot .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2

    def drag():
        shown.page.mouse.move(box["x"] + box["width"] * 0.5, middle)
        shown.page.mouse.down()
        shown.page.mouse.move(box["x"] + box["width"] * 0.55, middle, steps=4)
        shown.page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
        shown.page.mouse.up()

    shown.after(drag)
    # plotly's own words about it would stand below the page.
    assert shown.page.locator(".plotly-notifier").count() == 0
    times = shown.curves()[0]["customdata"]
    assert times[1] - times[0] < (before[1] - before[0]) / 8
    span = END - START
    assert times[0] == pytest.approx(START + 0.5 * span, abs=0.01 * span)
    assert times[-1] == pytest.approx(START + 0.6 * span, abs=0.01 * span)
    shown.after(shown.page.go_back)
    assert shown.curves()[0]["customdata"] == before
    shown.after(shown.page.go_forward)
    assert shown.curves()[0]["customdata"] == times


def test_zooming_in_ends_at_the_samples_themselves(tab):
    shown = tab(link(X, start=START, end=START + 3000 * 60))
    for _ in range(4):
        shown.after(shown.press, "Zoom in")
    times = np.array(shown.curves()[0]["customdata"])
    assert set(np.diff(times)) == {60.0}
    assert set((times - START) % 60) == {0.0}
    shown.after(shown.press, "Whole time")
    assert len(shown.curves()[0]["customdata"]) == 800
    assert shown.text("#shown").startswith("2016-12-01 00:00:00 UTC to 2017-01-29 23:59:00 UTC (GPS ")


def test_a_double_click_shows_the_whole_time(tab):
    shown = tab(link(X, start=START + 1000, end=START + 90000))
    shown.after(shown.page.locator("#plot .nsewdrag").first.dblclick)
    assert shown.curves()[0]["customdata"][0] == START


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2016-12-31T12:00:00Z", "2017-01-01 12:00"),
        (" 1167220817", "1167307218 "),
        ("2016-12-31 12:00:00", "1167307218"),
    ],
)
def test_times_are_utc_with_leap_seconds_or_gps(tab, start, end):
    shown = tab(link(X))
    shown.page.get_by_label("From", exact=True).fill(start)
    shown.page.get_by_label("Until").fill(end)
    shown.after(shown.press, "Show this time")
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(shown.asked[-1]).query)
    begin, end = gps.parse("2016-12-31T12:00:00"), gps.parse("2017-01-01T12:00:00")
    assert (float(asked["start"][0]), float(asked["end"][0])) == (begin, end)
    assert end - begin == 86401
    assert shown.page.get_by_label("Until").input_value() == "2017-01-01 12:00:00"


def test_a_typed_time_that_is_none_or_has_several_meanings_is_told_and_the_view_stays(tab):
    shown = tab(link(X))
    before, address = shown.curves(), shown.page.url
    for time, told in (
        ("soon", "no such time, want a year, a month or a day"),
        ("2017-02-30", "no such time"),
        ("01/02/2017", "this has several meanings, want one of 2017-01-02; 2017-02-01"),
    ):
        shown.page.get_by_label("From", exact=True).fill(time)
        shown.press("Show this time")
        shown.says("#problem", f"{told}")
    assert (shown.curves(), shown.page.url) == (before, address)


def test_what_the_page_prints_and_a_month_can_be_typed(tab):
    shown = tab(link(X))
    start = shown.page.get_by_label("From", exact=True)
    printed = shown.text("#shown").partition(". One point")[0]
    shown.after(shown.press, "Zoom in")
    start.fill(printed)
    shown.page.get_by_label("Until").fill("")
    shown.after(shown.press, "Show this time")
    assert shown.text("#shown").startswith(f"{printed}. One point = 1.8 hours. Band")
    # What the page wrote into Until is not what was typed.
    start.fill("Jan 2017")
    shown.after(shown.press, "Show this time")
    assert shown.text("#shown").startswith("2017-01-01 00:00:00 UTC to 2017-02-01 00:00:00 UTC (GPS ")


def test_the_pointer_tells_utc_and_gps(tab):
    shown = tab(link(Y, start=START, end=START + 60 * 100))
    shown.page.evaluate("Plotly.Fx.hover('plot', [{curveNumber: 0, pointNumber: 50}])")
    told = " ".join(shown.page.locator("#plot .hoverlayer text tspan").all_text_contents())
    time = shown.curves()[0]["customdata"][50]
    assert Y in told and f"GPS {time:.0f}" in told and f"{gps.utc(time).replace('T', ' ')} UTC" in told


# --- sharing ------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_link_shows_the_same_in_another_browser(tab):
    first = tab(link(X, WIND))
    first.after(first.page.get_by_label("rms", exact=True).check)
    first.after(first.page.get_by_label("Logarithmic scale").check)
    first.after(first.press, "Zoom in")
    address = first.page.url
    second = tab(address.removeprefix(f"{first.base}/"), zone="Asia/Tokyo")
    assert second.curves() == first.curves()
    assert second.layout()["yaxis"]["type"] == "log"
    assert second.page.get_by_label("rms", exact=True).is_checked()


def test_a_link_may_have_utc_times(tab):
    shown = tab(link(X, start="2017-01-02T00:00:00", end="2017-01-03T00:00:00Z"))
    times = shown.curves()[0]["customdata"]
    assert times[0] == gps.parse("2017-01-02") and times[-1] < gps.parse("2017-01-03")


def test_csv_is_what_the_plot_shows(tab):
    shown = tab(link(X))
    with shown.page.expect_download() as download:
        shown.page.get_by_role("link", name=f"CSV of {X}").click()
    with open(download.value.path()) as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    (curve,) = shown.curves()
    assert [float(row["GPS (s)"]) for row in rows] == curve["customdata"]
    head = f"{X} rms (counts)"
    assert [float(row[head]) if row[head] else None for row in rows] == curve["y"]
    assert download.value.suggested_filename == "H0_PEM-EX_SEISX_rms_20161201T000000_20170129T235900.csv"


def test_png_is_a_picture_of_some_size(tab):
    shown = tab(link(X, HOSTILE))
    with shown.page.expect_download() as download:
        shown.press("PNG")
    with open(download.value.path(), "rb") as file:
        held = file.read()
    assert held[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(held[16:20], "big") == 2400
    assert re.fullmatch(r"[\w.-]+\.png", download.value.suggested_filename)


# --- days ---------------------------------------------------------------------------------------


def test_a_day_is_a_band_from_min_to_max_with_its_mean(tab, server):
    shown = tab(browser.EMPTY, drawn=False)
    shown.says("#holdings", "channels of days: 2, 2024-04-10")
    shown.page.get_by_label("Or type a name").fill(NE)
    shown.after(shown.press, "Add this name")
    band, mean, strip = shown.traces()
    begin, end = gps.day_window("2024-04-10")
    series = values(server, "day-values", NE, begin, end)
    assert (mean["customdata"], mean["y"]) == (series["times"], series["mean"])
    assert (band["fill"], band["hoverinfo"]) == ("toself", "skip")
    there = [value for value in series["max"] if value is not None]
    assert set(there) | {value for value in series["min"] if value is not None} == set(band["y"]) - {None}
    assert strip["z"] == [series["covered"]] and {min(series["covered"]), max(series["covered"])} == {0, 1}
    # Two stretches of data, two closed shapes.
    assert band["y"].count(None) == 2
    assert shown.layout()["yaxis"]["title"]["text"] == "min, mean, max (V)"
    assert shown.layout()["xaxis"]["range"] == ["2024-04-10T00:00:00.000", "2024-04-11T00:00:00.000"]


def test_a_band_that_goes_below_0_is_cut_on_a_logarithmic_scale(tab):
    shown = tab(link(f"V1trend/{NE}", log="1"))
    assert min(value for value in shown.traces()[0]["y"] if value is not None) > 0
    shown.says("#message", "values of 0 or less")


def test_a_stream_and_a_day_are_on_one_page(tab):
    shown = tab(link(X, f"V1trend/{WE}"))
    # In so long a time the day is one point: its band has no width, so it is a symbol too.
    assert [(trace.get("name"), trace.get("mode")) for trace in shown.traces()] == [
        (X, "lines"),
        (X, "lines+markers"),
        (WE, "lines+markers"),
        (WE, "markers"),
        (None, None),
    ]


def test_the_pointer_on_a_hole_of_a_day_tells_why_it_is_there(tab):
    shown = tab(link(f"V1trend/{NE}"))
    box = shown.page.locator("#plot .nsewdrag").nth(1).bounding_box()
    for part in (0.16, 0.165):
        shown.page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
    shown.says("#reason", f"{NE}: 2024-04-10 03:00:00 UTC, for 2 hours: no file listed")


# --- everyone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fragment", [link(X, HOSTILE, "H0:" + "LONG" * 40), "", "#view=status"])
def test_nothing_is_wider_than_a_phone(tab, fragment):
    scheme = "light" if HOSTILE in urllib.parse.unquote_plus(fragment) else "dark"
    phone = {"width": 360, "height": 740, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    shown = tab(fragment, drawn="view" not in fragment, **phone)
    if "view" in fragment:
        shown.says("#status", "Log of days")
    else:
        grounds = {"light": "#ffffff", "dark": "#14181c"}
        assert shown.layout()["paper_bgcolor"] == grounds[scheme]
    for details in shown.page.locator("details").all():
        details.evaluate("one => one.open = true")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert shown.page.evaluate("visualViewport.scale") == 1


@pytest.mark.long
def test_a_phone_zooms_by_touch(tab):
    shown = tab(link(X), width=360, height=740, has_touch=True, is_mobile=True)
    before = shown.curves()[0]["customdata"]
    shown.after(shown.page.get_by_role("button", name="Zoom in").tap)
    times = shown.curves()[0]["customdata"]
    assert times[1] - times[0] == pytest.approx((before[1] - before[0]) / 2, rel=0.01)


@pytest.mark.long
def test_on_a_phone_a_link_opens_on_its_plot(tab):
    shown = tab(link(X, Y), width=360, height=740, has_touch=True, is_mobile=True)
    places = shown.page.evaluate(
        "['plot', 'controls'].map((id) => document.getElementById(id).getBoundingClientRect().top)"
    )
    assert places[0] < 200 and places[1] > places[0] + 300


@pytest.mark.long
def test_on_a_phone_the_plot_comes_into_sight_when_a_channel_is_added(tab):
    shown = tab(browser.EMPTY, drawn=False, width=360, height=740, has_touch=True, is_mobile=True)
    shown.says("#message", "Choose")
    shown.after(shown.press, "Add this stream")
    assert shown.page.evaluate("document.getElementById('view').getBoundingClientRect().top") < 100


def test_everything_can_be_done_by_keyboard(tab):
    shown = tab(browser.EMPTY, drawn=False, zone="UTC")
    shown.says("#message", "Choose")
    page, visited = shown.page, []

    def focused():
        return page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")

    def tab_to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            visited.append(focused())
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus cannot be seen: {visited[-1]}"
            if visited[-1] == name:
                return
        raise AssertionError(f"not reached by Tab: {name}, only {visited}")

    tab_to("site")
    tab_to("sensor")
    tab_to("name")
    assert visited.index("sensor") < visited.index("sampling") < visited.index("stream") < visited.index("name")
    page.keyboard.type(WIND)
    shown.after(page.keyboard.press, "Enter")
    tab_to("log")
    shown.after(page.keyboard.press, "Space")
    tab_to("Remove")
    tab_to("Zoom in")
    shown.after(page.keyboard.press, "Enter")
    assert focused() == "Zoom in"
    # Out of the page again: nothing holds the focus.
    tab_to("How to read this")
    assert shown.layout()["yaxis"]["type"] == "log"
    # Every field has a name that is read out.
    fields = page.locator("input, select").evaluate_all("all => all.filter(one => !one.labels.length).length")
    assert fields == 0


@pytest.mark.long
def test_paper_is_white_whatever_the_screen_is(tab):
    shown = tab(link(X), color_scheme="dark")
    (dark,) = shown.curves()
    shown.after(lambda: shown.page.emulate_media(media="print"))
    (light,) = shown.curves()
    assert (dark["line"]["color"], light["line"]["color"]) == ("#6cb6ff", "#005a9c")
    assert shown.layout()["paper_bgcolor"] == "#ffffff"
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.page.locator("#tools").is_visible() and not shown.page.locator("#controls").is_visible()


def test_text_stands_out_from_its_ground():
    static = commands.ROOT / "lib" / "framemake" / "serve" / "static"
    sheet, script = (static / "app.css").read_text(), (static / "plot.js").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    for block, name in ((light, "COLOURS"), (dark, "DARK_COLOURS")):
        colour = dict(re.findall(r"--(\w+): (#\w{6})", block))
        curves = re.search(rf"const {name} = \[(.*)\]", script)[1].replace('"', "").split(", ")
        pairs = [(text, ground) for text in ("ink", "soft", "link") for ground in ("ground", "panel")]
        pairs += [(text, "ground") for text in ("bad", "good", "warn")] + [("bad", "badground"), ("ink", "hover")]
        found = [contrast(colour[text], colour[ground]) for text, ground in pairs]
        found += [contrast(curve, colour["ground"]) for curve in curves]
        assert len(curves) == 6 and min(found) >= 4.5
        assert min(contrast(colour["line"], colour["panel"]), contrast(colour["full"], colour["hole"])) >= 2.9


def test_all_that_the_page_asks_for_is_relative():
    """So it may live under a path of a web server in front."""
    static = commands.ROOT / "lib" / "framemake" / "serve" / "static"
    found = re.findall(r'(?:href|src|action)="([^"]*)"', (static / "index.html").read_text())
    assert found and not [each for each in found if each.startswith(("/", "http"))]
    for script in static.glob("*.js"):
        assert "`/" not in (text := script.read_text()) and '"/' not in text.replace('"/"', ""), script


def contrast(one, other):
    """The contrast ratio of two colours #rrggbb, as WCAG 2.1 defines it."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_fault(tab, scheme, width):
    commands.needs_package("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    for fragment in ("", link(X, WIND, HOSTILE, "H0:GONE"), link(f"V1trend/{NE}"), "#view=status"):
        shown = tab(fragment, drawn="view" not in fragment, width=width, color_scheme=scheme)
        if "view" in fragment:
            shown.says("#status", "Log of days")
        if not fragment:
            shown.press("What is sampling?")
        found = Axe().run(shown.page).response["violations"]
        assert [(each["impact"], each["id"], each["nodes"][0]["html"]) for each in found] == []


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_hostile_name_is_shown_as_it_is_and_does_nothing(tab):
    shown = tab(link(HOSTILE))
    shown.page.evaluate("Plotly.Fx.hover('plot', [{curveNumber: 1, pointNumber: 5}])")
    assert shown.text("#legend .name") == HOSTILE
    told = shown.page.locator("#plot .hoverlayer text tspan").all_text_contents()
    assert HOSTILE.replace("%{", "%\u200b{") in told
    assert shown.text("#plot .ytitle") == "rms (<b>V)"
    assert shown.page.evaluate("window.bad") is None
    assert shown.page.locator("img, #plot b").count() == 0


def test_a_hostile_link_is_shown_as_it_is_and_does_nothing(tab):
    name = "<img src=x onerror=window.bad=1>"
    shown = tab(link(name, kind="<script>"), drawn=False)
    shown.says("#problem", f"No such stream: {name}")
    assert shown.text("#legend .name") == name
    assert shown.page.evaluate("window.bad") is None
    assert shown.page.locator("img").count() == 0


def test_an_unknown_channel_of_a_link_is_told_and_the_others_are_drawn(tab):
    shown = tab(link("H0:GONE", X, "V1trend/V1:GONE"))
    assert [curve["name"] for curve in shown.curves()] == [X]
    shown.says("#problem", "no such stream: 'H0:GONE'")
    shown.says("#problem", "no such channel: 'V1:GONE'")
    alone = tab(link("H0:GONE"), drawn=False)
    alone.says("#problem", "No such stream: H0:GONE")


def test_a_span_without_data_says_where_there_is_some(tab):
    shown = tab(link(X, start=END + 1000, end=END + 2000))
    shown.says("#message", "No data from 2017-01-30")
    shown.says("#message", "Data goes from 2016-12-01 00:00:00 UTC to 2017-01-29 23:59:00 UTC")
    shown.says("#legend", "no data in this time")
    shown.after(shown.press, "Whole time")
    assert shown.text("#message") == ""


def test_a_time_of_a_link_that_is_none_is_told(tab):
    for time, told in (("x", "no such time"), ("-5", "this has several meanings"), ("99999999999", "No such time")):
        tab(link(X, start=time), drawn=False).says("#problem", told)


def test_a_link_may_have_times_as_people_type_them(tab):
    shown = tab(link(X, start="Jan 2017"))
    assert shown.text("#shown").startswith("2017-01-01 00:00:00 UTC to 2017-02-01 00:00:00 UTC")


def test_a_span_that_ends_before_it_begins_is_told(tab):
    tab(link(X, start=START + 10, end=START), drawn=False).says("#problem", "The span is empty")


def test_a_stream_without_records_is_told(tab):
    tab(link(RAIN), drawn=False).says(
        "#problem", f"The stream has no record yet; it may be about to be imported: {RAIN}"
    )


@pytest.mark.long
def test_an_empty_folder_is_told(tab, tmp_path):
    with serving.served(tmp_path) as empty:
        shown = tab("", at=address_of(empty), drawn=False)
        shown.says("#message", "There is nothing to show yet")
        shown.says("#holdings", "Streams: 0")


def test_a_server_that_went_away_is_told_and_asked_again(tab):
    shown = tab(link(X))
    shown.page.route("**/api/**", lambda route: route.abort())
    shown.press("Zoom in")
    shown.says("#problem", "The server does not answer")
    shown.page.unroute("**/api/**")
    shown.after(shown.press, "Try again")
    assert shown.page.locator("#problem").is_hidden()
    assert shown.curves()[0]["customdata"][0] > START


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, '{"series": [', "of no use (status 200)"),
        (502, "<h1>Bad gateway</h1>", "of no use (status 502)"),
        (503, '{"error": "the streams change, try again"}', "the streams change, try again"),
    ],
)
def test_an_answer_that_is_none_is_told(tab, status, body, told):
    shown = tab(link(X))
    shown.page.route("**/api/values**", lambda route: route.fulfill(status=status, body=body))
    shown.press("Zoom in")
    shown.says("#problem", told)
    shown.page.unroute("**/api/values**")


def test_a_missing_chart_library_is_told(chromium, base):
    page = browser.context(chromium).new_page()
    page.route("**/chart.js", lambda route: route.abort())
    page.goto(f"{base}/{link(X)}")
    page.locator("#problem", has_text="The chart library did not come").wait_for()
    page.context.close()


@pytest.mark.long
def test_a_stream_that_grows_is_longer_when_the_whole_is_asked_for(tab, tmp_path):
    stream(tmp_path, X, "counts", 100, count=2000)
    with serving.served(tmp_path) as growing:
        shown = tab(link(X), at=address_of(growing))
        stream(tmp_path, X, "counts", 100, count=4000)
        shown.after(shown.press, "Whole time")
        assert shown.curves()[0]["customdata"][-1] > START + 60 * 3900
