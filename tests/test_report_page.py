"""The report in Chromium, opened from the disk: what it shows, by mouse, keyboard and search, wide and narrow."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from framemake import gps
from framemake.day import why
from framemake.days.find import Found
from framemake.days.status import DayStatus
from framemake.report import gather, site
from framemake.report.facts import Facts, Hole
from support import browser, commands

FIRST, HOSTILE = "2024-04-10", "V1:</script><img src=x onerror=window.bad=1>"
# As of a list that is not in UTF-8.
NO_UNICODE = "V1:ODD_\udcff"
WIDTHS, SCHEMES = (1440, 390), ("light", "dark")
# A channel that drops out from 03:12 to 03:27 each day.
SAME_HOUR = "V1:ENV_CEB_DROPS"


def dates(count):
    return [str(date) for date in np.datetime64(FIRST) + np.arange(count)]


def report(channels, count, states=()):
    """A Report of so many channels and days.

    The first channel drops out each day at the same hour, the second has no day but the first; states: {number: fields
    of the DayStatus} of days without a file.
    """
    others = (f"V1:{'ABCDEFGH'[at % 8]}SYS_CH{at:05d}" for at in range(4, channels))
    # A subsystem that has the name of what every object has.
    names = tuple([SAME_HOUR, HOSTILE, NO_UNICODE, "V1:constructor_X", *others][:channels])
    rest = tuple(name for name in names if name != HOSTILE)
    states, days = dict(states), []
    some = np.random.default_rng(0)
    for number, date in enumerate(dates(count)):
        start = gps.day_window(date).start
        if number in states:
            days.append(
                gather.Day(DayStatus(date, "V1trend", **states[number]), start, False, None, "why it is not there")
            )
            continue
        own = rest if number else names
        holes = [
            Hole(11520.0, 12420.0, why.MASK, "Available_data_for_", f"/frames/<b>V-{number}.gwf"),
            Hole(
                40000.0, 43600.0, why.FILE_ABSENT, "listed, but not there when the day was built", "/frames/absent.gwf"
            ),
        ]
        set_of = np.where(some.random(len(own)) < 0.02, 2, 0).astype(np.int32)
        set_of[0] = 1
        seconds = 86400.0 - np.array([0, 900, 3600])[set_of]
        values = np.column_stack([some.normal(size=len(own)), *np.tile([[0.5], [-3], [3]], len(own))]).astype("f4")
        facts = Facts(
            (start, start + 86400), own, seconds, 86400.0, values, holes, [[], [0], [1]], set_of,
            np.where(np.arange(len(own)) == 0, 2e5, 0).astype("f4"), [["V1:NEVER", why.IN_NO_FRAME, "in no frame"]],
            [["/frames/<b>bad.gwf", "", "cut short"]], 1, [["/frames/late.gwf", start, 3600, 200000]], "0.1.0",
        )  # fmt: skip
        told = DayStatus(date, "V1trend", "completed", "/gone.h5", 10**8, channels=len(own), requested=channels + 1)
        days.append(gather.Day(told, start, number == 3, facts, ""))
    ordered = sorted(names)
    place = {name: at for at, name in enumerate(ordered)}
    lists = {day.facts.names for day in days if day.facts}
    rows = {some: np.array([place[name] for name in some]) for some in lists}
    there = gather._there(channels, days, rows)
    found = [
        Found(
            name,
            float((there[at] * (there[at] <= 200)).mean() / 200),
            3,
            3600.0,
            1.0,
            "V",
            count,
            0.0,
            1.0,
            "float32",
            "",
        )
        for at, name in enumerate(ordered)
    ]
    if not rows:
        found, there = [], there[:0]
    return gather.Report("out", "V1trend", "", days, found, rows, there, [], count)


def part(date, begin, end, *holes):
    """A Report of a day built from begin to end, s after midnight, of one channel with holes, s after begin."""
    one, start = report(1, 1), gps.day_window(date).start
    facts = one.days[0].facts._replace(
        window=(start + begin, start + end), asked=float(end - begin), seconds=np.array([(end - begin) / 2]),
        holes=[Hole(*hole, why.GAP, "", "") for hole in holes], sets=[[], list(range(len(holes)))],
    )  # fmt: skip
    told = one.days[0].standing._replace(date=date)
    return one._replace(days=[one.days[0]._replace(standing=told, start=start, facts=facts)])


FAILED = {"status": "failed", "error": "no frame <b>"}, {"status": "missing"}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """{name: the page of a report}."""
    commands.needs("chromium")
    commands.needs_package("playwright")
    folder = tmp_path_factory.mktemp("reports")
    made = {
        "one": report(1, 1),
        "week": report(12, 7, {2: FAILED[0], 5: FAILED[1]}),
        "years": report(2000, 600),
        "hour": part(FIRST, 21600, 25200, (600.0, 1200.0)),
        "leap": part("2016-12-31", 0, 86401, (86395.0, 86398.0), (86400.0, 86401.0)),
        "decade": report(1, 1200, {2: FAILED[0]}),
        "none": report(1, 3, {at: FAILED[at % 2] for at in range(3)}),
    }
    return {name: site.write(each, str(folder / name)) for name, each in made.items()}


@pytest.fixture(scope="module")
def chromium(sites):
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def context(chromium):
    context = browser.context(chromium)
    yield context
    context.close()


@pytest.fixture
def opened(sites, context):
    """A function that opens a report in one page and gives it; nothing may be complained of, or asked elsewhere."""
    page, told = context.new_page(), []
    page.set_default_timeout(10_000)
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or told.append(asked.url))

    def open_(name, view="", width=1440, scheme="light"):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        there = page.url.startswith(f"file://{sites[name]}")
        page.goto(f"file://{sites[name]}{view or '#'}")
        shown = view or "#"
        page.wait_for_function("(view) => decodeURIComponent(document.body.dataset.view || '') === view", arg=shown)
        assert there or page.locator("h1").count() == 1
        return page

    open_.told = told
    yield open_
    page.close()
    assert told == []


def drawn(page):
    browser_marks = "performance.getEntriesByName('drawn').map((each) => each.startTime)"
    page.wait_for_function(f"{browser_marks}.length")
    return page.evaluate(browser_marks)[0] / 1000


VIEWS = ("", f"#day={FIRST}", f"#channel={SAME_HOUR}", "#day=2024-04-12", "#channel=V1:NO_SUCH", "#day=1999-01-01")


@pytest.mark.parametrize("name", ["one", "week", pytest.param("years", marks=pytest.mark.long), "none"])
def test_every_view_is_drawn_and_nothing_is_wider_than_the_screen(opened, name):
    for width in WIDTHS:
        for scheme in SCHEMES:
            for view in VIEWS:
                page = opened(name, view, width, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, width)
                assert page.locator("h1").inner_text()


@pytest.mark.long
def test_years_of_2000_channels_are_opened_with_one_file_of_data(opened, sites):
    """What takes time is what is read; on two quiet cores the map is drawn within a second."""
    page = opened("years")
    drawn(page)
    loaded = page.evaluate("[...document.scripts].map((each) => each.src.split('/').at(-1))")
    assert sorted(loaded) == ["main.js", "report.js"]
    (main,) = Path(sites["years"]).parent.glob("data/*/main.js")
    assert main.stat().st_size < 2_500_000
    assert page.locator("tbody tr").count() == 50


def test_what_drops_out_at_the_same_hour_is_found_in_two_clicks(opened):
    page = opened("week")
    page.get_by_role("link", name=SAME_HOUR).click()
    page.get_by_text("Most begin from 03:00 to 04:00: 5 of 5.").wait_for()
    page.get_by_text("Virgo, central building: environment, DROPS").wait_for()
    # Those that begin at the same time and are as long are one dot, larger than that of one.
    by_time = page.locator("svg[aria-label^='Holes by time of day'] circle")
    assert by_time.count() == 1 and float(by_time.get_attribute("r")) > 7
    assert by_time.text_content().startswith("5 of them: 2024-04-10 03:12:00 UTC, 15 min: mask; ")
    page.get_by_role("button", name="what is missing on 2024-04-11").click()
    told = page.locator("dialog").inner_text()
    start = gps.day_window("2024-04-11").start
    for words in (
        "mask", "Available_data_for_", "2024-04-11 03:12:00 to 03:27:00 (15 min)",
        f"{start + 11520} to {start + 12420}",
        "/frames/<b>V-1.gwf", f"bin/why-missing out {SAME_HOUR} {start + 11520} {start + 12420}",
        f"bin/read-days out {SAME_HOUR} --start {start + 10920} --end {start + 13020}", "came more than a day after",
    ):  # fmt: skip
        assert words in told, words
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_a_square_of_the_map_tells_what_it_is_by_mouse_and_by_keyboard(opened):
    page = opened("week")
    drawn(page)
    page.locator("canvas").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    said = page.locator("#told").inner_text()
    assert ", 2024-04-11: " in said
    heard = set()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
        heard.add(page.locator("#told").inner_text().partition(" (the least")[0])
    assert {"ENV, environment", "constructor"} <= heard
    for _ in range(30):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    assert page.locator("#told").inner_text() == said
    page.keyboard.press("Enter")
    title = page.locator("#what-title").inner_text()
    assert said.startswith(title) and title.endswith(", 2024-04-11")
    page.get_by_role("button", name="Close", exact=True).click()
    box = page.locator("canvas").bounding_box()
    # The first channel below its group, the first day.
    page.mouse.click(box["x"] + 420 + 5, box["y"] + 22 + 22 + 8)
    assert page.locator("#what-title").inner_text().endswith(f", {FIRST}")


def test_days_that_are_not_simply_there_have_a_letter_and_say_why(opened):
    page = opened("week")
    squares = page.locator(".month a").all_inner_texts()
    assert squares == ["10", "11", "F", "C", "14", "M", "16"]
    assert page.locator(".month a").nth(2).get_attribute("aria-label") == "2024-04-12: failed"
    page.locator(".month a").nth(2).click()
    page.get_by_text("no frame <b>").wait_for()
    assert page.locator("main b").count() == 0


def test_a_day_that_was_built_in_part_has_its_holes_at_their_times(opened):
    page, start = opened("hour"), gps.day_window(FIRST).start
    page.goto(page.url.split("#")[0] + f"#channel={SAME_HOUR}")
    page.get_by_text("Most begin from 06:00 to 07:00: 1 of 1.").wait_for()
    page.get_by_role("button", name=f"what is missing on {FIRST}").click()
    told = page.locator("dialog").inner_text()
    assert "06:10:00 to 06:20:00" in told and f"{start + 22200} to {start + 22800}" in told
    page.get_by_role("link", name="The day", exact=True).click()
    page.get_by_text("06:00:00 to 07:00:00").wait_for()
    bars = page.locator("svg[aria-label^='Channels with data'] rect").evaluate_all(
        "all => all.map((each) => ['x', 'width'].map((name) => +each.getAttribute(name)))"
    )
    hour = (600 - 12 - 62) / 24
    assert [round((x - 62) / hour, 2) for x, _ in bars] == [6, 6.17, 6.17, 6.33]
    assert round((bars[-1][0] + bars[-1][1] - 62) / hour, 2) == 7


def test_a_leap_second_is_told_as_one(opened):
    page = opened("leap", "#day=2016-12-31")
    told = page.locator("section", has_text="What is missing").inner_text()
    assert "23:59:55 to 23:59:58" in told and "23:59:60 to 24:00:00" in told
    assert "built span" not in page.locator("main").inner_text()


def test_arrow_keys_go_through_the_calendar(opened):
    page = opened("week")
    page.locator(".month a").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.textContent") == "M"
    assert page.locator(".month a[tabindex='0']").count() == 1


def test_many_years_are_folded_but_for_the_last(opened):
    page = opened("decade")
    years = page.locator(".calendar > details")
    assert [words[:4] for words in years.locator("summary").all_inner_texts()] == ["2024", "2025", "2026", "2027"]
    assert years.locator("summary").first.inner_text() == "2024: 266 days, 98.958 % covered, 2 with a letter"
    assert page.locator(".calendar > details[open]").count() == 1 and page.locator(".month a").count() == 1200
    # The Tab key leads to a day that can be seen, an arrow key opens the year before.
    page.locator(".month a[tabindex='0']").focus()
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#day=2027-01-01"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#day=2026-12-31"
    assert page.locator(".calendar > details[open]").count() == 2


def test_a_hostile_name_is_shown_as_it_is_and_does_nothing(opened):
    page = opened("week")
    page.get_by_role("link", name=HOSTILE).click()
    page.locator("h1", has_text="img").wait_for()
    assert page.locator("h1").inner_text() == HOSTILE
    page.locator("#name").fill("</SCRIPT>")
    assert page.locator("#hits a").all_inner_texts() == [HOSTILE]
    page.goto(page.url.split("#")[0] + "#channel=<img src=x onerror=window.bad=1>")
    page.locator("h1", has_text="No such channel").wait_for()
    assert page.evaluate("window.bad") is None and page.locator("img, main b").count() == 0
    # The command is quoted for a shell.
    page.goto(page.url.split("#")[0] + "#channel=" + HOSTILE)
    page.get_by_role("button", name="what is missing on 2024-04-11").click()
    assert f"why-missing out '{HOSTILE}' " in page.locator("dialog").inner_text()


def test_a_name_that_is_no_unicode_is_shown_and_leads_to_its_channel(opened):
    page = opened("week")
    page.get_by_role("link", name="V1:ODD_").click()
    page.locator("h1", has_text="V1:ODD_").wait_for()
    assert page.locator("figure").count() > 2 and "No such channel" not in page.locator("main").inner_text()


def test_the_way_to_the_content_stays_in_the_view(opened):
    page = opened("week", f"#channel={SAME_HOUR}")
    page.locator("body").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.locator("h1").inner_text() == SAME_HOUR


def test_search_finds_channels_and_days(opened):
    page = opened("years")
    page.locator("#name").fill("sys_ch01234")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="V1:CSYS_CH01234").wait_for()
    page.locator("#name").fill("2025-01-0")
    assert page.locator("#hits a").all_inner_texts() == [f"2025-01-0{at}" for at in range(1, 5)]
    page.locator("#name").fill("nothing like it")
    page.get_by_text("no channel or day has this in its name").wait_for()


def test_a_wrong_name_and_no_channel_at_all_are_told(opened):
    assert opened("week", "#channel=V1:NO").locator("h1").inner_text() == "No such channel: V1:NO"
    assert "The report has 2024-04-10 to 2024-04-16" in opened("week", "#day=2031-01-01").locator("main").inner_text()
    assert "No day has a file yet" in opened("none").locator("main").inner_text()


def test_a_file_of_data_that_is_missing_is_told(opened, sites, tmp_path):
    shutil.copytree(sites["week"].removesuffix("/index.html"), tmp_path / "copy")
    next((tmp_path / "copy").glob("data/*/days-2024-04.js")).unlink()
    sites["copy"] = str(tmp_path / "copy" / "index.html")
    page = opened("copy", f"#day={FIRST}")
    page.get_by_text("cannot be read: days-2024-04.js").wait_for()
    assert all("days-2024-04.js" in line or "ERR_FILE_NOT_FOUND" in line for line in opened.told)
    opened.told.clear()


def test_a_report_that_is_made_anew_is_not_mixed_with_the_page_that_is_open(opened, sites, tmp_path):
    shutil.copytree(sites["week"].removesuffix("/index.html"), tmp_path / "anew")
    sites["anew"] = str(tmp_path / "anew" / "index.html")
    page = opened("anew")
    site.write(report(12, 8), str(tmp_path / "anew"))
    page.get_by_role("link", name=SAME_HOUR).click()
    page.get_by_text("Has the report been made anew since? Then load this page again.").wait_for()
    assert all("channels-000.js" in line or "ERR_FILE_NOT_FOUND" in line for line in opened.told)
    opened.told.clear()
    page.reload()
    page.get_by_text("Most begin from 03:00 to 04:00: 8 of 8.").wait_for()


def test_a_day_in_print_has_no_buttons_and_light_colours(opened):
    page = opened("week", scheme="dark")
    drawn(page)
    page.emulate_media(media="print")
    assert not page.locator("#search").is_visible() and not page.locator(".bar").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("h1").is_visible() and page.locator("canvas").is_visible()
    # Paper is not scrolled: all of the map is on it.
    page.wait_for_function(
        "document.querySelector('canvas').clientHeight >= document.querySelector('.inner').clientHeight"
    )
    # A day that is missing is white on paper.
    page.wait_for_function(
        "getComputedStyle(document.querySelectorAll('.month a')[5]).backgroundColor === 'rgb(255, 255, 255)'"
    )


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        *(pytest.param(*each, marks=pytest.mark.long) for each in ((390, "light"), (1440, "dark"), (1440, "light"))),
    ],
)
def test_axe_finds_no_fault(sites, chromium, width, scheme):
    commands.needs_package("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    # What it puts into the page is not of the page, whose policy would refuse it.
    context = browser.context(chromium, width, 900, color_scheme=scheme, bypass_csp=True)
    page, found = context.new_page(), []
    for view in VIEWS:
        page.goto("about:blank")
        page.goto(f"file://{sites['week']}{view}")
        page.locator("h1").wait_for()
        if not view:
            page.locator("canvas").focus()
            for key in ("ArrowDown", "ArrowDown", "Enter"):
                page.keyboard.press(key)
            page.locator("dialog[open]").wait_for()
        faults = Axe().run(page).response["violations"]
        found += [(view, each["id"], each["nodes"][0]["html"]) for each in faults]
    context.close()
    assert found == []
