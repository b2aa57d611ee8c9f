"""Properties of the pure parts, tried on what Hypothesis makes up: days, spans, gaps, masks, blocks, lists, names.

Each is held against a model that is slow and plain: second by second, or what must come back when it is read again.
"""

import datetime
import fnmatch
import itertools
import os
import random
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from framemake import gps, grid, jsontext, settings
from framemake.day import coverage
from framemake.day import plan as planning
from framemake.days import plan as range_plan
from framemake.days import run
from framemake.errors import BadInput
from framemake.frames import catalog, channels, lists
from framemake.gps import Window
from framemake.gwf.write import Signal
from framemake.host import mirror, nightconf, plugin, retention
from framemake.serve import query
from framemake.streams import records
from hypothesis import assume, example, given
from hypothesis import settings as settings_of
from hypothesis import strategies as some
from support.commands import START
from support.inside import DaySite
from support.sites import contents

# --- days and GPS ----------------------------------------------------------------------------

# The days since GPS began that had a leap second at their end: IERS Bulletin C.
LEAPS = [
    *(f"{year}-06-30" for year in (1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015)),
    *(f"{year}-12-31" for year in (1987, 1989, 1990, 1995, 1998, 2005, 2008, 2016)),
]
LEAPS.sort()
BEGIN = datetime.datetime(1980, 1, 6)
LAST = 2**31 - 1


def leaps_before(day):
    return sum(leap < day for leap in LEAPS)


def midnight(day):
    """GPS second at which a day begins: the days since GPS began, and a leap second for each that had one."""
    return (datetime.datetime.fromisoformat(day) - BEGIN).days * 86400 + leaps_before(day)


def told(second):
    """ISO UTC text of a GPS second, from the list of leap seconds alone."""
    for number, leap in enumerate(LEAPS):
        end = midnight(leap) + 86400
        if second == end:
            return f"{leap}T23:59:60"
        if second < end:
            return (BEGIN + datetime.timedelta(seconds=second - number)).isoformat()
    return (BEGIN + datetime.timedelta(seconds=second - len(LEAPS))).isoformat()


DATES = some.dates(datetime.date(1980, 1, 6), datetime.date(2047, 12, 30)).map(str)
NEAR_LEAPS = some.builds(lambda leap, off: midnight(leap) + 86400 + off, some.sampled_from(LEAPS), some.integers(-3, 3))
SECONDS = some.integers(0, LAST) | NEAR_LEAPS


@pytest.mark.parametrize("leap", LEAPS)
def test_each_leap_second_belongs_to_the_day_before_and_moves_nothing_else(leap):
    day = datetime.date.fromisoformat(leap)
    before, on, after = (gps.day_window(str(day + datetime.timedelta(days=off))) for off in (-1, 0, 1))
    assert (before.duration, on.duration, after.duration) == (86400, 86401, 86400)
    assert before.end == on.start and on.end == after.start
    for second in range(on.end - 3, on.end + 3):
        assert gps.utc(second) == told(second) and gps.parse(gps.utc(second)) == second
        assert gps.day_of(second) == (leap if second < on.end else str(day + datetime.timedelta(days=1)))


@given(DATES)
@example("2039-12-31")
@example("2040-01-01")
def test_days_join_and_are_as_long_as_the_leap_seconds_say(day):
    window = gps.day_window(day)
    following = gps.day_window(str(datetime.date.fromisoformat(day) + datetime.timedelta(days=1)))
    assert window == (midnight(day), midnight(day) + 86400 + (day in LEAPS)) and window.end == following.start


@given(SECONDS)
@example(0)
@example(LAST)
def test_a_second_is_told_and_read_again(second):
    text = gps.utc(second)
    assert text == told(second)
    assert (
        gps.parse(text)
        == gps.parse(f"{text}Z")
        == gps.parse(text.replace("T", " "))
        == gps.parse(str(second))
        == second
    )
    window = gps.day_window(gps.day_of(second))
    assert window.start <= second < window.end


DIGITS = some.integers(0, 99).map("{:02d}".format)
CLOCKS = some.tuples(some.sampled_from(["1979", "1980", "2016", "2048", "9999"]), *[DIGITS] * 5).map(
    lambda parts: "{}-{}-{}T{}:{}:{}".format(*parts)
)


@given(some.text(max_size=24) | some.text("0123456789-:TZ. ", max_size=24) | CLOCKS)
@example("2015-12-31T23:59:60")
@example("9999-12-31")
@example("0000-00-00")
def test_any_text_is_a_time_or_refused(text):
    for parse in (gps.parse, lambda each: gps.day_window(each).start, query.time):
        try:
            found = parse(text)
        except (BadInput, query.Refused) as error:
            assert "no such" in str(error) and "\n" not in str(error)
        else:
            assert found >= 0


WINDOWS = some.builds(lambda a, n: Window(a, a + n), some.integers(0, 60), some.integers(1, 60))


@given(WINDOWS, some.integers(0, 120), some.integers(0, 60))
def test_a_window_overlaps_what_shares_a_second_with_it(window, start, length):
    shared = set(range(*window)) & set(range(start, start + length))
    assert window.duration == len(range(*window))
    if length:
        assert window.overlaps(start, start + length) == bool(shared)


def test_of_a_name_that_an_object_has_twice_the_first_counts():
    assert jsontext.members('{"a": 1, "b": 2, "a": 3, "b": 4}', ["a", "b"]) == {"a": 1, "b": 2}
    assert jsontext.members('{"a": 1, "a": 3}', ["a", "b"]) == {"a": 1}


# --- frames: spans, gaps, masks ----------------------------------------------------------------

SPANS = some.tuples(some.integers(0, 60), some.integers(1, 30))


def frames_of(spans, status=catalog.USED):
    return [catalog.Frame(f"/f{at}.gwf", START + a, n, 1, 1, status) for at, (a, n) in enumerate(sorted(spans))]


def seconds(frames):
    return {second for frame in frames for second in range(int(frame.start), int(frame.end))}


@given(some.lists(SPANS, max_size=8), some.data())
def test_what_is_used_covers_all_that_is_there_and_no_file_without_need(tmp_path_factory, spans, data):
    folder = tmp_path_factory.getbasetemp() / "judged"
    folder.mkdir(exist_ok=True)
    found = []
    for at, (a, n) in enumerate(spans):
        path = folder / f"{at}.gwf"
        there = data.draw(some.sampled_from([b"x", b"", None]))
        path.unlink(missing_ok=True)
        if there is not None:
            path.write_bytes(there)
        found.append(catalog.Frame(str(path), START + a, n))
    judged = catalog.judge(found)
    assert len(judged) == len(set(found)) and judged == sorted(judged, key=lambda frame: frame.start)
    used = [frame for frame in judged if frame.status == catalog.USED]
    there = [frame for frame in judged if frame.status != catalog.ABSENT]
    # An empty file at the same start as another that is there counts only if there is no other.
    whole = [frame for frame in there if frame.size > 0]
    assert seconds(whole) <= seconds(used) <= seconds(there)
    assert len({frame.start for frame in used}) == len(used)
    for frame in used:
        earlier = [each for each in used if each.start < frame.start]
        assert max((each.end for each in earlier), default=0) < frame.end, "a file that is covered"
    # The same alone and in a longer list, as long as what overlaps is there.
    some_second = START + data.draw(some.integers(0, 90))
    reach = [frame for frame in found if frame.start <= some_second]
    alone = {frame.path: frame.status for frame in catalog.judge(reach)}
    assert all(frame.status == alone[frame.path] for frame in judged if frame.path in alone)


@given(WINDOWS, some.lists(SPANS, max_size=6), some.integers(1, 40))
def test_pairs_are_the_files_and_increments_that_share_a_second(window, spans, increment):
    window = Window(START + window.start, START + window.end)
    frames = frames_of(spans)
    runs = [(0, window.duration // 2), (window.duration // 2, window.duration)]
    found = coverage.pairs(window, increment, list(enumerate(frames)), [run for run in runs if run[0] < run[1]])
    wanted = {
        (at, (second - window.start) // increment)
        for at, frame in enumerate(frames)
        for second in seconds([frame]) & set(range(*window))
    }
    assert found == sorted(wanted)


@given(WINDOWS, some.lists(SPANS, max_size=6, unique_by=lambda span: span[0]))
def test_slots_leave_no_second_out_and_invent_none(window, spans):
    window = Window(START + window.start, START + window.end)
    frames = [frame for frame in frames_of(spans) if window.overlaps(frame.start, frame.end)]
    slots = catalog.slots(frames, window)
    listed = [(start, end, at) for start, end, at in slots if at is not None]
    assert listed == [(frame.start, frame.end, at) for at, frame in enumerate(frames)]
    free = [(start, end) for start, end, at in slots if at is None]
    taken = seconds(frames)
    for second in range(*window):
        holes = sum(start <= second + 0.5 < end for start, end in free)
        assert holes == (second not in taken), second
    assert all(window.start <= start < end <= window.end for start, end in free)
    # Gaps are what no slot with a 1 covers.
    mask = "".join("1" if at is not None else "0" for _, _, at in slots)
    gaps = coverage.missing_spans(slots, mask)
    assert {s for a, b in gaps for s in range(window.start, window.end) if a <= s + 0.5 < b} == set(
        range(*window)
    ) - taken
    assert all(one[1] < other[0] for one, other in itertools.pairwise(gaps))


@given(some.lists(some.integers(0, 30), unique=True).map(sorted))
def test_runs_are_the_same_numbers(numbers):
    found = planning.runs(numbers)
    assert [number for first, end in found for number in range(first, end)] == numbers
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))
    days = [str(datetime.date(2024, 2, 1) + datetime.timedelta(days=number)) for number in numbers]
    words = range_plan.runs(days)
    again = []
    for part in filter(None, words.split(", ")):
        first, _, last = part.partition(" to ")
        again += range_plan.days(first, last or first)
    assert again == days


# --- what is read in one go --------------------------------------------------------------------

RATES = some.sampled_from([0.0, 1 / 60, 0.1, 1.0, 16.0, 50.0, 1024.0, 20000.0])


@given(
    some.integers(1, 90000), some.integers(1, 90000), some.lists(RATES, min_size=1, max_size=6),
    some.lists(SPANS, max_size=4), some.sampled_from([2e4, 1e6, 96e6]),
)  # fmt: skip
def test_blocks_hold_each_moment_of_each_channel_once(duration, increment, rates, spans, budget):
    window = Window(START, START + duration)
    wanted = [channels.Channel(f"V1:{at}", rate) for at, rate in enumerate(rates)]
    before, planning.BUDGET = planning.BUDGET, budget
    try:
        plan = planning.make(window, increment, "lzf", frames_of(spans), wanted, None)
    finally:
        planning.BUDGET = before
    for at, channel in enumerate(wanted):
        mine = sorted((block.start, block.end) for block in plan.blocks if at in block.channels)
        assert mine[0][0] == 0 and mine[-1][1] == pytest.approx(duration, abs=1e-6)
        assert all(one[1] == pytest.approx(other[0], abs=1e-6) for one, other in itertools.pairwise(mine))
        # A block begins on a unit, so that its chunks are chunks of the day file.
        cut = grid.cut(channel.rate or 1.0, increment, duration)
        for start, _ in mine:
            assert (
                abs(start * (channel.rate or 1.0) / cut.unit - round(start * (channel.rate or 1.0) / cut.unit)) < 1e-6
            )
    assert len({block.id for block in plan.blocks}) == len(plan.blocks)


# --- a day of any frames, second by second -----------------------------------------------------

LENGTH = 90
FILE = some.tuples(
    some.integers(-20, LENGTH + 5),  # start
    some.integers(1, 50),  # length
    some.integers(0, 3),  # what is masked: every so manieth sample, 0: none
    some.sampled_from(["AB", "A", "B"]),
)


def file_of(site, number, start, length, every, names):
    value = 1000 * number + np.arange(length)
    there = None if not every else np.arange(length) % (every + 1) != 0
    signals = [
        Signal(f"V1:{name}", (value + (name == "B") * 0.5).astype("f4"), 1.0, "V", there=there) for name in names
    ]
    return site.frame(start, length, signals, name=f"{number}.gwf")


def by_hand(files):
    """{name: samples} second by second: of what covers a second the first in time order that has something there.

    Of files that begin at one time the longest is used, of equal ones the newest, and then the first by name; a file
    that earlier ones cover is not used at all.
    """
    reach, used = -99, []
    for start in sorted({start for _, start, *_ in files}):
        number, _, length, every, names = max(
            (each for each in files if each[1] == start), key=lambda each: (each[2], -each[0])
        )
        if start + length > reach:
            used.append((number, start, length, every, names))
            reach = start + length
    made = {name: np.full(LENGTH, np.nan, "f4") for name in "AB"}
    for number, start, length, every, names in reversed(used):
        for name in names:
            for at in range(length):
                if 0 <= start + at < LENGTH and (not every or at % (every + 1)):
                    made[name][start + at] = 1000 * number + at + (name == "B") * 0.5
    return made


@settings_of(max_examples=settings_of().max_examples // 4)
# A file that others cover has a channel which they have not.
@example([(0, 1, 0, "AB"), (0, 2, 0, "A")], 7, random.Random(1))
@given(some.lists(FILE, min_size=1, max_size=5), some.integers(7, 100), some.randoms())
def test_a_day_of_any_frames_is_theirs_second_by_second_and_in_any_order_of_their_coming(
    tmp_path_factory, spans, increment, chance
):
    files = [(number, *each) for number, each in enumerate(spans)]
    assume(any(start < LENGTH and start + length > 0 for _, start, length, *_ in files))
    folder = tmp_path_factory.mktemp("day")
    site = DaySite(folder)
    site.want("V1:A", "V1:B")
    for each in files:
        os.utime(file_of(site, *each), (1, 1))
    site.build(LENGTH, increment=increment)
    wanted = by_hand(files)
    for name in "AB":
        if np.isnan(wanted[name]).all():
            assert f"V1:{name}" not in site.names("valid")
        else:
            np.testing.assert_array_equal(site.read(f"V1:{name}")[0], wanted[name], strict=True)
    # Some of them first, and the rest late: the same day.
    lines = list(site.listed)
    first = [line for line in lines if chance.random() < 0.5] or lines[:1]
    late = DaySite(folder / "late")
    late.channels = site.channels
    late.ffl.write_text("".join(first))
    if late.build(LENGTH, increment=increment, check=False).returncode:
        return  # none of the first ones is of this day
    late.ffl.write_text("".join(lines))
    late.rebuild(LENGTH, increment=increment, shrink=True)
    assert contents(late.h5) == contents(site.h5)


# --- lists and names -------------------------------------------------------------------------

ODD = ["a b", " lead", "trail ", "it's", 'say "no"', "$(touch owned)", "`id`", "a;b", "a|b", "a&b", "../up", "a*", "-x",
       "--flag", "#c", "a=b", "%s", "\\", "{}", "~", "ü", "\udc80", "a:b", "!x", "?", "[ab]"]  # fmt: skip
TEXTS = some.text(
    some.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12
) | some.sampled_from(ODD)  # fmt: skip
NAMES = TEXTS.filter(lambda text: "/" not in text and "\0" not in text and text not in (".", ".."))
NUMBERS = some.integers(1, 2**31).map(float) | some.sampled_from([0.5, 1396742418.25])


@given(some.lists(some.tuples(some.lists(NAMES, min_size=1, max_size=3), NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_a_list_that_is_written_is_read_as_it_was(entries):
    frames = [catalog.Frame("/" + "/".join(parts) + ".gwf", start, length, 5, 7) for parts, start, length in entries]
    frames = [frame for frame in frames if os.path.normpath(frame.path) == frame.path]
    assume(frames)
    base, notes = "/base", []
    again = list(lists._of_list(catalog.table(frames), "t", base, None, notes, ()))
    assert again == frames and not notes
    text = "".join(catalog.ffl_line(frame) + "\n" for frame in frames)
    # White space at the ends of a path is not told from that of the line; what begins with # is a comment.
    plain = [frame for frame in frames if " ".join(frame.path.split()) == frame.path]
    found = list(lists._of_list(text, "t", base, None, notes, ()))
    assert {(f.path, f.start, f.duration) for f in plain} <= {(f.path, f.start, f.duration) for f in found}


PIECES = [*ODD, "\n", "\t", "/a.gwf", "1", "-1", "nan", "inf", "1e999", "V-a-1-2.gwf", "#", "x.ffl",
          "file://", "V V 1 2 file:///a.gwf", ",", "[a]", "channels =", "{", '"', "V1:A", ":", "name",
          "null", "\ufeff"]  # fmt: skip
ANY = some.text(max_size=60) | some.lists(some.sampled_from(PIECES)).map("".join)
ANY |= some.lists(some.sampled_from(PIECES)).map(" ".join)


@given(ANY)
def test_any_list_gives_frames_or_is_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text, errors="surrogateescape")
    try:
        for frame in lists.named(str(path)).frames:
            assert frame.duration > 0 and frame.start == frame.start and "\n" not in frame.path
    except (BadInput, FileNotFoundError) as error:
        assert "\n" not in str(error)


RATED = some.sampled_from([0.0, 1.0, 0.1, 16384.0])
CHANNELS = some.builds(channels.Channel, NAMES, RATED, some.sampled_from(["", "adc"]), some.just("float32"), NAMES)


@given(some.lists(CHANNELS, min_size=1, max_size=6, unique_by=lambda channel: channel.name))
def test_a_table_of_channels_is_read_as_it_was(listed):
    text = "".join(channels.table_line(channel) + "\n" for channel in listed)
    assume(text.lstrip()[:1] not in "[{")
    found, notes = channels.read(text, "t")
    assert found == listed and not notes


@given(ANY)
def test_any_channel_list_gives_names_or_is_refused(text):
    try:
        found, _ = channels.read(text, "any")
    except BadInput as error:
        assert "\n" not in str(error).replace(repr(text), "")
    else:
        assert found and len({channel.name for channel in found}) == len(found)
        assert all(channel.name or "\t" in text for channel in found)


KEYS = some.sampled_from(sorted({*settings.KEYS[settings.DAY], *settings.KEYS[settings.RANGE]}))
VALUES = some.sampled_from(
    ["1", "-1", "true", '"x"', "2024-04-10", '"2016-12-31T23:59:60"', "1e9", "nan", "[]", "{}", '"a\\nb"', '" a"']
)
SETTINGS = some.lists(some.tuples(KEYS, VALUES), max_size=3)


@given(ANY | SETTINGS.map(lambda pairs: "".join(f"{key} = {value}\n" for key, value in pairs)))
def test_any_settings_are_variables_or_refused(text):
    for purpose in (settings.DAY, settings.RANGE):
        try:
            found = settings.variables(settings.parse(text, "any", purpose), purpose)
        except BadInput:
            continue
        assert all(value == value.strip() and "\n" not in value for value in found.values())


@given(some.lists(some.tuples(TEXTS, some.lists(NAMES, max_size=1)), max_size=4))
def test_sources_are_words_as_a_shell_has_them(entries):
    entries = [(a, [f for f in folder if not re.match(r"[a-z-]+=", f)]) for a, folder in entries if a.strip()]
    text = "".join(" ".join(map(shlex.quote, [a, *folder, "bwlimit=5"])) + "\n" for a, folder in entries)
    assume(len(text.splitlines()) == len(entries))
    found = mirror.read_origins(text)
    assert [(each.address, each.folder, dict(each.options)) for each in found] == [
        (a, folder[0] if folder else "", {"bwlimit": "5"}) for a, folder in entries
    ]


@given(some.text(max_size=40))
def test_any_list_of_sources_is_read_or_refused(text):
    try:
        mirror.check(mirror.read_origins(text), "/frames", delete=True)
    except BadInput as error:
        assert len(str(error).splitlines()) == 1


@given(some.integers(1, LAST), some.integers(1, LAST) | some.integers(-3, 3))
def test_before_a_second_is_by_number(second, other):
    other = max(1, second + other if abs(other) < 4 else other)
    name = f"H-H1_T-{other}-100.gwf"
    assert any(fnmatch.fnmatchcase(name, pattern) for pattern in mirror.before(second)) == (other < second)


@given(
    some.dictionaries(some.sampled_from(["LOGS", "OUT"]), TEXTS),
    some.lists(some.lists(TEXTS, min_size=2, max_size=4), max_size=3),
)
def test_the_words_of_a_night_are_its_settings_and_steps(given_settings, steps):
    assume(all("::" not in step for step in steps))
    words = [f"{name}={value}" for name, value in given_settings.items()]
    for step in steps:
        words += ["::", *step]
    assert nightconf.parse(words) == (given_settings, [nightconf.Step(name, tuple(rest)) for name, *rest in steps])


BOUNDS = some.none() | some.integers(-50, 50)


@given(BOUNDS, BOUNDS, some.booleans(), some.integers(-60, 60))
def test_a_range_of_the_plugins_is_what_its_guidelines_say(low, high, inside, value):
    """[@][start:][end]: alert outside of start to end, both included; with @ inside."""
    text = ("@" if inside else "") + ("~:" if low is None else f"{low}:") + ("" if high is None else str(high))
    if low is not None and high is not None and low > high:
        with pytest.raises(ValueError):
            plugin.limits(f"{text},")
        return
    found = plugin.limits(f"{text},").warning
    within = (low is None or low <= value) and (high is None or value <= high)
    assert found.alerts(value) == (within if inside else not within)
    again = plugin.limits(f"{found},").warning if str(found) not in ("", "@") else found
    assert again == found


@given(some.lists(some.tuples(some.integers(0, 5 * 86400), some.integers(1, 2 * 86400)), max_size=6))
def test_frames_are_held_by_all_the_days_that_they_are_a_part_of(spans):
    frames = [catalog.Frame(f"/{at}", START + a, n) for at, (a, n) in enumerate(sorted(spans))]
    found = [(days, frame) for days, group in retention._by_days(frames) for frame in group]
    assert [frame for _, frame in found] == frames
    for days, frame in found:
        for day in (gps.day_of(frame.start), gps.day_of(frame.end - 1)):
            assert day in days
        assert all(gps.day_window(day).overlaps(frame.start, frame.end) for day in days)


INFOS = some.builds(
    records.Info, some.sampled_from(list(records.SUMS)), some.integers(1, 64), some.integers(-999, 999).map(float),
    some.integers(1, 999).map(float), some.sampled_from(["", "counts", "m/s", "a = b"]),
)  # fmt: skip


@given(INFOS)
def test_an_info_is_read_as_it_was_written_and_half_of_it_is_refused(info):
    text = records.info_text(info)
    assert records.parse_info(text, "x.info") == info
    assert records.parse_info(text + "\n", "x.info") == info
    with pytest.raises(BadInput, match="not whole"):
        records.parse_info(text[: text.rindex("units")], "x.info")


@given(some.text("AB:-_", min_size=1, max_size=12))
def test_the_name_of_a_stream_has_one_dash_at_most(channel):
    name = records.stream_name(channel)
    first = channel.find("-")
    assert len(name) == len(channel) and name.count("-") == min(1, channel.count("-"))
    assert all(
        a == b or (a == "-" and b == "_" and at > first) for at, (a, b) in enumerate(zip(channel, name, strict=True))
    )


# --- names on their way through a shell --------------------------------------------------------


def test_no_name_says_anything_to_a_shell_on_its_way_through_make(tmp_path):
    """What run-range writes down for its days is read by bash, and what read-config prints is evaluated by it."""
    values = [value for value in [*ODD, "two\nlines", "tab\there", ""] if value != "\udc80"]
    names = [f"VALUE{at}" for at in range(len(values))]
    run._write_settings(str(tmp_path), dict(zip(names, values, strict=True)))
    script = '. "$1"; shift; for name; do printf "%s\\0" "${!name}"; done'
    done = subprocess.run(
        ["bash", "-euc", script, "bash", tmp_path / "settings", *names], capture_output=True, cwd=tmp_path, check=True
    )
    assert done.stdout.decode().split("\0")[:-1] == values
    assert os.listdir(tmp_path) == ["settings"]


def test_a_day_of_files_with_any_names_is_made_and_nothing_else(tmp_path):
    """Frames, lists and the folder of the day itself have names that a shell, HDF5 or a parser could stumble over."""
    folder = tmp_path / 'it\'s $(touch owned) "here" & ../ `id` #'
    folder = Path(str(folder).replace("../", "..x"))
    site = DaySite(folder)
    site.want("V1:A", "V1:$(touch owned)", 'V1:it\'s "B" {}', "../V1:up", "V1:a;b|c")
    names = ["V1:A", "V1:$(touch", "V1:it's", "V1:a;b|c"]
    signals = [Signal(name, np.arange(60, dtype="f4"), 1.0, "V") for name in names]
    for at, odd in enumerate(["a b", "$(touch owned)", "it's", "x;y|z&", "-rf"]):
        site.frame(60 * at, 60, signals, name=f"{odd}.gwf")
    site.build(300)
    assert set(site.names("valid")) == set(names)
    assert [str(path) for path in tmp_path.rglob("*owned*")] == [
        str(path) for path in tmp_path.rglob("*$(touch owned)*")
    ]
    assert not Path("owned").exists()
