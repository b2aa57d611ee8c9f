"""Which frames there are: names, what becomes of each file, and the slots of a day.  The lists: test_list_frames."""

import io
import os

import pytest
from framemake.frames import catalog, lists
from framemake.frames.catalog import ABSENT, COVERED, DUPLICATE, USED, Frame
from framemake.gps import Window
from support.commands import stub


def statuses(*paths):
    """What becomes of each of these files, by name, when they are listed together."""
    found = [Frame(str(path), *catalog.span_of_name(str(path))) for path in paths]
    return {os.path.basename(frame.path): frame.status for frame in catalog.judge(found)}


def in_folder(tmp_path, name, **how):
    return stub(tmp_path / name, **how)


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("V-raw-1396742400-100.gwf", (1396742400, 100)),
        ("/data/V1/V-trend-1396742400-86400.gwf", (1396742400, 86400)),
        ("L-L1_llhoft-1384353755-1.gwf", (1384353755, 1)),
        ("HLV-HW100916-968654552-1.gwf", (968654552, 1)),
        ("Z-a-b-c-600000000-60.gwf", (600000000, 60)),
        ("Z-X-0-1.gwf", (0, 1)),
        ("Z-X-1000000000.5-0.5.gwf", (1000000000.5, 0.5)),
        ("V-V1:trend-1396742400-100.gwf", (1396742400, 100)),
    ],
)
def test_a_name_tells_start_and_duration(name, span):
    assert catalog.span_of_name(name) == span


@pytest.mark.parametrize(
    "name",
    ["trend.gwf", "V-1396742400-100.gwf", "V-raw-1396742400.gwf", "V-raw-x-100.gwf", "V-raw-1396742400-100.gwf.part"],
)
def test_other_names_tell_nothing(name):
    assert catalog.span_of_name(name) is None


@pytest.mark.parametrize(("value", "text"), [(100.0, "100"), (1396742400.0, "1396742400"), (0.5, "0.5"), (0, "0")])
def test_times_are_written_without_a_needless_point(value, text):
    assert catalog.number(value) == text


def test_of_two_files_with_one_start_the_longer_is_used(tmp_path):
    assert statuses(stub(tmp_path, 1000, 100), stub(tmp_path, 1000, 300)) == {
        "V-trend-1000-100.gwf": DUPLICATE,
        "V-trend-1000-300.gwf": USED,
    }


def test_of_two_equal_spans_the_newer_is_used(tmp_path):
    new, old = stub(tmp_path, 1000, name="A-x-1000-100.gwf"), stub(tmp_path, 1000, name="B-x-1000-100.gwf")
    os.utime(old, ns=(10**18, 10**18))
    os.utime(new, ns=(2 * 10**18, 2 * 10**18))
    assert statuses(old, new) == {new.name: USED, old.name: DUPLICATE}
    os.utime(old, ns=(3 * 10**18, 3 * 10**18))
    assert statuses(old, new) == {new.name: DUPLICATE, old.name: USED}


def test_of_two_that_are_alike_in_all_the_first_by_name_is_used(tmp_path):
    paths = [stub(tmp_path, 1000, name=f"{letter}-x-1000-100.gwf") for letter in "CAB"]
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))
    assert statuses(*paths) == {"A-x-1000-100.gwf": USED, "B-x-1000-100.gwf": DUPLICATE, "C-x-1000-100.gwf": DUPLICATE}


def test_an_absent_file_loses_even_when_it_would_be_longer(tmp_path):
    there = stub(tmp_path, 1000, 100)
    assert statuses(there, tmp_path / "V-trend-1000-300.gwf") == {there.name: USED, "V-trend-1000-300.gwf": ABSENT}


def test_an_empty_file_loses_even_when_it_is_longer(tmp_path):
    there, empty = stub(tmp_path, 1000, 100), stub(tmp_path, 1000, 300, size=0)
    assert statuses(there, empty) == {there.name: USED, empty.name: DUPLICATE}


def test_an_absent_file_alone_is_told_as_absent(tmp_path):
    path = str(tmp_path / "V-trend-1000-100.gwf")
    assert catalog.judge([Frame(path, 1000.0, 100.0)]) == [Frame(path, 1000.0, 100.0, -1, -1, ABSENT)]


def test_a_file_within_an_earlier_one_is_covered(tmp_path):
    made = [stub(tmp_path, *span) for span in ((1000, 3600), (1100, 100), (4500, 100), (4500, 200))]
    assert [statuses(*made)[path.name] for path in made] == [USED, COVERED, DUPLICATE, USED]


def test_files_that_overlap_in_part_are_both_used(tmp_path):
    made = [stub(tmp_path, 1000, 100), stub(tmp_path, 1050, 100), stub(tmp_path, 1100, 50)]
    assert list(statuses(*made).values()) == [USED, USED, COVERED]


def test_an_absent_file_covers_nothing(tmp_path):
    there = stub(tmp_path, 1100, 100)
    assert statuses(tmp_path / "V-trend-1000-3600.gwf", there)[there.name] == USED


def test_a_file_listed_twice_counts_once(tmp_path):
    path = stub(tmp_path, 1000, 100)
    assert statuses(path, path) == {path.name: USED}
    assert len(catalog.judge([Frame(str(path), 1000.0, 100.0)] * 2)) == 1


# Slots: one character of gwf_mask each.

WINDOW = Window(1000, 2000)


def frame(start, duration, status=USED):
    return Frame(f"/V-x-{start}-{duration}.gwf", start, duration, 1 if status != ABSENT else -1, 1, status)


def slots(*listed, window=WINDOW):
    return catalog.slots(list(listed), window)


def spans(*listed, window=WINDOW):
    return [(start, end) for start, end, _ in slots(*listed, window=window)]


def test_a_file_is_a_slot():
    listed = [frame(1000 + 100 * k, 100) for k in range(10)]
    assert slots(*listed) == [(1000 + 100 * k, 1100 + 100 * k, k) for k in range(10)]


def test_a_day_without_a_file_is_one_empty_slot():
    assert slots() == [(1000, 2000, None)]


def test_a_gap_is_filled_with_slots_of_the_most_common_length():
    assert slots(frame(1000, 100), frame(1100, 100), frame(1500, 500)) == [
        (1000, 1100, 0),
        (1100, 1200, 1),
        (1200, 1300, None),
        (1300, 1400, None),
        (1400, 1500, None),
        (1500, 2000, 2),
    ]


def test_gaps_before_the_first_and_after_the_last_file_are_filled():
    assert [index for *_, index in slots(frame(1400, 100), frame(1500, 100))] == [None] * 4 + [0, 1] + [None] * 4


def test_a_gap_that_is_no_multiple_has_as_many_slots_as_fill_it():
    gap = [span for span in slots(frame(1000, 100), frame(1350, 100), frame(1450, 550)) if span[2] is None]
    assert len(gap) == 3
    assert (gap[0][0], gap[-1][1]) == (1100, 1350)


def test_a_gap_shorter_than_a_frame_is_one_slot():
    assert spans(frame(1000, 500), frame(1501, 499))[1] == (1500, 1501)


def test_a_file_that_begins_before_the_day_is_one_slot():
    assert spans(frame(900, 700), frame(1600, 700)) == [(900, 1600), (1600, 2300)]


def test_an_absent_file_is_a_slot_and_no_gap():
    assert slots(frame(1000, 500, ABSENT), frame(1500, 500)) == [(1000, 1500, 0), (1500, 2000, 1)]


def test_duplicates_and_covered_files_are_no_slots():
    listed = [frame(1000, 500), frame(1000, 100, DUPLICATE), frame(1000, 90, ABSENT), frame(1200, 100, COVERED)]
    assert slots(*listed, frame(1500, 500)) == [(1000, 1500, 0), (1500, 2000, 4)]


def test_two_absent_files_with_one_start_are_one_slot():
    listed = [frame(1000, 1000, ABSENT), frame(1000, 500, ABSENT)]
    assert [index for *_, index in slots(*listed)] == [0]


def test_a_table_read_again_gives_the_same_slots(tmp_path):
    there, gone = stub(tmp_path, 1000, 500), tmp_path / "V-trend-1000-100.gwf"
    judged = catalog.judge([Frame(str(path), *catalog.span_of_name(str(path))) for path in (there, gone)])
    text = "".join(catalog.table_line(frame) + "\n" for frame in judged)
    again = lists.list_frames(io.StringIO(text), WINDOW).frames
    assert [entry[:2] for entry in catalog.slots(again, WINDOW)] == [
        entry[:2] for entry in catalog.slots(judged, WINDOW)
    ]


def test_of_two_lengths_equally_common_the_longer_counts():
    assert len([1 for *_, index in slots(frame(1000, 100), frame(1100, 300)) if index is None]) == 2


def test_864_slots_a_day_with_100_second_files_whatever_is_there():
    day = Window(1396742400, 1396742400 + 86400)
    for there in ([0], [863], [0, 1, 5, 400], [100, 862]):
        listed = [frame(day.start + 100 * k, 100) for k in there]
        found = slots(*listed, window=day)
        assert len(found) == 864
        assert [n for n, (*_, index) in enumerate(found) if index is not None] == there
