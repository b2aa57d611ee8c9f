"""list-segments: where a channel has data and where an expression holds, for gwpy and for the other commands."""

import json

import framemake
import numpy as np
import pytest
from framemake.days import segments
from framemake.days.expression import Expression
from framemake.errors import BadInput
from support import days as made
from support.commands import START, refused, run, well

DAY, LATER = "2024-04-10", "2024-04-12"
END = START + 3 * 86400


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two days with one between them that is not there; V1:STATE at 0.5 Hz is 1 in the second 1000 s of each day."""
    folder = tmp_path_factory.mktemp("segments") / "out"
    for day in (DAY, LATER):
        plain, state = made.ramp_day(day), made.ramp_day(day, 0.5, first=0)
        plain[0][100:200] = np.nan
        plain[0][7300] = np.nan
        state[0][:] = 0
        state[0][500:1000] = 1
        channels = {"V1:A": plain, "V1:A-B": made.ramp_day(day, first=0), "V1:STATE": state}
        made.write_day(folder, day, channels)
    return str(folder)


def spans(found):
    return [(start - START, end - START) for start, end in found]


def test_active_is_where_a_channel_has_data_and_known_where_days_are_built(out):
    found = framemake.open_days(out).segments("V1:A", START, END)
    later = 2 * 86400
    assert spans(found.known) == [(0, 86400), (later, later + 86400)]
    day = [(0, 100), (200, 7300), (7301, 86400)]
    assert spans(found.active) == [*day, *((later + a, later + b) for a, b in day)]
    found = framemake.open_days(out).segments("V1:A", START + 50, START + 150, shortest=60)
    assert spans(found.known) == [(50, 150)] and found.active == []
    assert framemake.open_days(out).segments("V1:NONE", START, END).active == []
    with pytest.raises(BadInput, match="no day is built"):
        framemake.open_days(out).segments("V1:A", START + 86400, START + 2 * 86400)


def test_segments_are_those_of_the_samples(out):
    series = framemake.open_days(out).read("V1:A", START + 33, END - 12)
    good = np.zeros(len(series), dtype=bool)
    for a, b in framemake.open_days(out).segments("V1:A", START + 33, END - 12).active:
        good[series.number_at(a) : series.number_at(b)] = True
    assert (good == series.good).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("V1:STATE == 1", [(1000, 2000)]),
        ("V1:STATE == 1 and V1:A-B < 1500", [(1000, 1500)]),
        ("V1:STATE == 1 and not V1:A-B < 1500", [(1500, 2000)]),
        ("1200 <= V1:A-B < 1300 or `V1:A-B` == 5", [(5, 6), (1200, 1300)]),
        ("V1:A-B - 1000000 < 0 and (V1:A-B % 2) == 1 and V1:A-B < 4", [(1, 2), (3, 4)]),
        ("(V1:A-B & 12) == 12 and V1:A-B < 32", [(12, 16), (28, 32)]),
        ("abs(V1:A-B - 50) <= 1 and V1:A > 0", [(49, 52)]),
        ("V1:A-B ** 2 < 9", [(0, 3)]),
    ],
)
def test_an_expression_holds_where_it_is_true(out, text, expected):
    found = framemake.open_days(out).segments(None, START, START + 86400, state=text)
    assert spans(found.active) == expected


def test_where_a_channel_has_no_data_nothing_is_known(out):
    found = framemake.open_days(out).segments(None, START, START + 300, state="not V1:A < 0")
    assert spans(found.known) == spans(found.active) == [(0, 100), (200, 300)]


def test_segments_do_not_depend_on_the_pieces(out, monkeypatch):
    monkeypatch.setattr(segments, "_AT_ONCE", 777)
    found = framemake.open_days(out).segments(None, START + 1, START + 4000, state="V1:STATE > 0 and V1:A-B > 1200")
    assert spans(found.active) == [(1201, 2000)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an expression"),
        ("V1:A >", "not an expression"),
        ("V1:A", "neither true nor false"),
        ("V1:A + 1", "neither true nor false"),
        ("1 > 0", "no channel in the expression"),
        ("V1:A > 0 and 5", "not true or false"),
        ("(V1:A > 0) + 1 > 0", "not a number"),
        ("V1:A > 1 & V1:B > 2", "& and | bind before comparisons"),
        ("__import__('os').system('x') or V1:A > 0", "not in an expression"),
        ("V1:A.__class__ > 0", None),
        ("V1:A > 'x'", "not in an expression"),
        ("[V1:A > 0 for x in (1,)]", "not in an expression"),
        ("(lambda: V1:A)() > 0", "not an expression|not in an expression"),
        ("x > V1:A", "'x' in"),
        ("V1:A is 5", "not in an expression"),
        ("(" * 300 + "V1:A" + ")" * 300 + " > 0", "not an expression"),
        ("V1:A > 0 " + "and V1:A > 0 " * 200, "at most 2000 characters"),
        ("(x := V1:A) > 0", "not in an expression"),
        ("max(V1:A) > 0", "'max' in"),
    ],
)
def test_what_is_no_expression_is_refused(text, words):
    if words is None:
        # A name may have dots and lines in it: this is one, not an attribute.
        assert Expression(text).channels == ["V1:A.__class__"]
        return
    with pytest.raises(BadInput, match=words):
        Expression(text)


@pytest.mark.slow
def test_it_is_printed_in_the_forms_of_the_field(out, tmp_path):
    from gwpy.segments import DataQualityFlag, SegmentList

    span = ("--start", DAY, "--end", "2024-04-13")
    printed = well("list-segments", out, "V1:A", *span)
    assert printed.splitlines()[:4] == [
        "# V1:A", f"# known: [{START} {START + 86400}) [{START + 172800} {END})", "# seg\tstart\tstop\tduration",
        f"0\t{START}\t{START + 100}\t100",
    ]  # fmt: skip
    (tmp_path / "s.txt").write_text(printed)
    found = framemake.open_days(out).segments("V1:A", START, END)
    assert [
        tuple(map(float, each)) for each in SegmentList.read(tmp_path / "s.txt", format="segwizard")
    ] == found.active
    assert segments.read(printed, "-") == found.active
    printed = well("list-segments", out, "V1:A", *span, "--json")
    (tmp_path / "s.json").write_text(printed)
    assert segments.read(printed, "-") == found.active
    well("list-segments", out, "V1:A", *span, "--out", tmp_path / "s.h5")
    for path in ("s.json", "s.h5"):
        flag = DataQualityFlag.read(tmp_path / path)
        assert [tuple(map(float, each)) for each in flag.active] == found.active
        assert [tuple(map(float, each)) for each in flag.known] == found.known
    status, printed, told = run("list-segments", out, "--state", "V1:A < 0", *span)
    assert status == 3 and "no active segment in the span: 'V1:A < 0'" in told and printed.count("\n") == 3
    assert "one of them" in refused("list-segments", out, *span)


@pytest.mark.parametrize("text", ["x", "1 2 3 4 5", "5 3", '{"a": 1}', "1"])
def test_what_is_no_list_of_segments_is_named(text):
    with pytest.raises(BadInput, match="no list of segments, want lines of list-segments: 'f'"):
        segments.read(text, "f")


def test_segments_are_read_from_two_columns_and_from_json():
    assert segments.read("# c\n5 7\n1 2\n7 9\n", "f") == [(1, 2), (5, 9)]
    assert segments.read(json.dumps({"active": [[1, 2]]}), "f") == [(1, 2)]


def test_times_between_seconds_are_numbers(tmp_path):
    shifted = made.ramp_day(DAY, 2.0)
    shifted[0][101:200] = np.nan
    made.write_day(tmp_path / "out", DAY, {"V1:A": shifted}, offset=0.25)
    lines = [f"0\t{START}.25\t{START + 50}.75\t50.5", f"1\t{START + 100}.25\t{START + 86400}\t86299.75"]
    for which in (["V1:A"], ["--state", "V1:A > 0"]):
        assert well("list-segments", tmp_path / "out", *which).splitlines()[3:] == lines
    told = well("why-missing", tmp_path / "out", "V1:A", START + 60, START + 61).split("\t")
    assert told[:2] == [f"{START + 60}.25", f"{START + 61}.25"]


def test_what_two_lists_of_spans_share_and_what_one_has_alone():
    random = np.random.default_rng(1)
    for _ in range(200):
        both = [sorted(map(tuple, random.integers(0, 40, (5, 2)).tolist())) for _ in range(2)]
        one, other = ([(a, b) for a, b in spans if a < b] for spans in both)
        flags = [
            np.array([any(a <= at < b for a, b in spans) for at in range(40)], dtype=bool) for spans in (one, other)
        ]
        for found, want in (
            (segments.common(one, other), flags[0] & flags[1]),
            (segments.without(one, other), flags[0] & ~flags[1]),
        ):
            got = np.zeros(40, dtype=bool)
            for before, (a, b) in zip([(-1, -1), *found], found, strict=False):
                assert before[1] <= a < b
                got[a:b] = True
            assert (got == want).all()


def test_other_segments_restrict_them(out, tmp_path):
    state, path = well("list-segments", out, "--state", "V1:STATE == 1", "--end", START + 86400), tmp_path / "s.txt"
    path.write_text(f"{START + 1500} {START + 1600}\n{START + 1990} {START + 5000}\n")
    how = ("list-segments", out, "--state", "V1:STATE == 1", "--segments", path)
    assert well(*how).splitlines() == [
        "# V1:STATE == 1",
        f"# known: [{START + 1500} {START + 1600}) [{START + 1990} {START + 5000})",
        "# seg\tstart\tstop\tduration",
        f"0\t{START + 1500}\t{START + 1600}\t100",
        f"1\t{START + 1990}\t{START + 2000}\t10",
    ]
    assert well(*how, "--min-duration", 11).count("\n") == 4
    found = framemake.open_days(out).segments("V1:A", segments=segments.read(state, "state"))
    assert spans(found.active) == spans(found.known) == [(1000, 2000)]
    status, _, told = run("list-segments", out, "V1:NONE")
    assert status == 3 and told == "list-segments: no active segment in the span (channel not listed): 'V1:NONE'\n"


def test_the_other_commands_take_a_state_or_what_is_printed(out, tmp_path):
    text, path, state = (
        "V1:STATE == 1 and V1:A-B > 1990",
        tmp_path / "s.txt",
        ("--state", "V1:A-B < 150 and V1:STATE == 0"),
    )
    printed = well("list-segments", out, "--state", text, "--end", START + 86400)
    assert printed.splitlines()[-1] == f"0\t{START + 1991}\t{START + 2000}\t9"
    path.write_text(printed)
    for command in (
        ("read-days", out, "V1:A", "--start", DAY, "--end", START + 86400),
        ("find-channels", out, "--last", DAY),
        ("why-missing", out, "V1:A", DAY, START + 86400),
        ("compare-days", out, out),
    ):
        named, piped = well(*command, "--segments", path), well(*command, "--segments", "-", input=printed)
        assert named == piped and (named == well(*command, "--state", text))
        told = refused(*command, "--segments", path, *state, status=2)
        assert "not allowed with argument" in told
    assert "names or segments, not both" in refused("compare-days", out, out, "--names", "-", "--segments", "-")
    assert well("read-days", out, "V1:A", "--end", START + 86400, *state).count("\n") == 150
    assert [
        line.split("\t")[:2] for line in well("why-missing", out, "V1:A", DAY, START + 86400, *state).splitlines()
    ] == [[str(START + 100), str(START + 150)]]
