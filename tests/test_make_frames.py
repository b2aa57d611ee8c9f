"""bin/make-frames: a day that is made up, the same in frames of any length, with the troubles that it names."""

import os

import numpy as np
import pytest
from framemake import gwf
from support.commands import DAY, END, START, refused, well

# Two hours of that day, on no multiple of anything.
FIRST, LAST = START + 5000, START + 12200
SPAN = ("--start", str(FIRST), "--end", str(LAST))


def listed(text):
    """[(path, start, duration)] of FFL lines."""
    rows = [line.split() for line in text.splitlines()]
    assert all(row[3:] == ["0", "0"] for row in rows)
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


def made(folder, *options):
    return listed(well("make-frames", folder, *SPAN, *options))


def samples(rows, name, kind="adc"):
    """The samples of a channel by GPS second, from FIRST to LAST."""
    found = np.full(LAST - FIRST, np.nan)
    for path, start, duration in rows:
        series = gwf.open_file(path).read(0, name, kind)
        for second, value in zip(range(start, start + duration), series.data, strict=True):
            if FIRST <= second < LAST:
                found[second - FIRST] = value
    return found


@pytest.mark.parametrize("duration", [100, 3600, 86400])
def test_frames_begin_on_multiples_of_their_duration_and_fill_the_span(tmp_path, duration):
    rows = made(tmp_path, "--channels", "2", "--duration", str(duration))
    assert [start % duration for _, start, _ in rows] == [0] * len(rows)
    assert rows[0][1] <= FIRST < rows[0][1] + duration
    assert rows[-1][1] < LAST <= rows[-1][1] + duration
    assert [row[1] for row in rows[1:]] == [start + duration for _, start, _ in rows[:-1]]
    for path, start, length in rows:
        assert os.path.basename(path) == f"V-trend-{start}-{length}.gwf"
        assert gwf.open_file(path).frames == [(start, 0, duration)]


@pytest.mark.slow
def test_samples_are_the_same_whatever_the_frame_length(tmp_path):
    by_length = {
        length: made(tmp_path / str(length), "--channels", "3", "--duration", str(length))
        for length in (100, 3600, 86400)
    }
    names = list(gwf.open_file(by_length[3600][0][0]).kinds)
    assert len(names) == 3
    for name in names:
        of_hours = samples(by_length[3600], name)
        assert np.isfinite(of_hours).all() and of_hours.std() > 0
        for length in (100, 86400):
            assert (samples(by_length[length], name) == of_hours).all()


def test_a_day_by_name_is_the_day(tmp_path):
    rows = listed(well("make-frames", tmp_path, "--day", DAY, "--duration", "86400", "--channels", "1"))
    assert [start for _, start, _ in rows] == [START - 18, END - 18]


def test_channels_differ_and_the_seed_changes_them(tmp_path):
    rows = made(tmp_path / "0", "--channels", "4")
    names = list(gwf.open_file(rows[0][0]).kinds)
    values = [samples(rows, name) for name in names]
    assert len({value.tobytes() for value in values}) == 4
    again, other = made(tmp_path / "again", "--channels", "4"), made(tmp_path / "1", "--channels", "4", "--seed", "1")
    assert (samples(again, names[0]) == values[0]).all()
    assert (samples(other, names[0]) != values[0]).any()


@pytest.mark.parametrize("kind", ["adc", "proc", "sim"])
def test_kind_and_rate_are_as_asked(tmp_path, kind):
    path = made(tmp_path, "--channels", "2", "--kind", kind, "--rate", "10")[0][0]
    file = gwf.open_file(path)
    assert set(file.kinds.values()) == {kind}
    series = file.read(0, next(iter(file.kinds)), kind)
    assert (series.dt, len(series.data), series.data.dtype) == (0.1, 36000, np.float32)


def test_the_list_names_what_the_frames_have(tmp_path):
    rows = made(tmp_path / "frames", "--channels", "12", "--list", tmp_path / "list.txt")
    assert sorted(gwf.open_file(rows[0][0]).kinds) == sorted((tmp_path / "list.txt").read_text().split())


def test_channels_may_be_a_list(tmp_path):
    (tmp_path / "list.txt").write_text("V1:B\nV1:A # first\n")
    rows = made(tmp_path / "frames", "--channels", tmp_path / "list.txt")
    assert set(gwf.open_file(rows[0][0]).kinds) == {"V1:A", "V1:B"}


def test_what_it_prints_list_frames_reads(tmp_path):
    out = well("make-frames", tmp_path / "a b", *SPAN, "--channels", "1")
    assert well("list-frames", input=out) == out


# --trouble


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """Twelve files of ten channels with troubles, the same without, and the channel list."""
    folder = tmp_path_factory.mktemp("troubled")
    span = ("--start", str(START - 18), "--end", str(START - 18 + 1200), "--duration", "100", "--channels", "10")
    rows = listed(well("make-frames", folder / "bad", *span, "--trouble", "--list", folder / "list.txt"))
    plain = listed(well("make-frames", folder / "good", *span))
    assert len(rows) == len(plain) == 12
    return rows, plain, (folder / "list.txt").read_text().split()


def test_one_file_is_listed_but_absent(troubled):
    rows, _, _ = troubled
    assert [number for number, (path, *_) in enumerate(rows) if not os.path.exists(path)] == [4]


def test_one_file_has_holes_in_some_channels(troubled):
    rows, _, names = troubled
    holed = {}
    for number, (path, *_) in enumerate(rows):
        if os.path.exists(path):
            file = gwf.open_file(path)
            for name, kind in file.kinds.items():
                good = file.read(0, name, kind).good
                if good is not None and not good.all():
                    holed[number, names.index(name)] = np.flatnonzero(~good).tolist()
    assert holed == {(6, channel): list(range(25, 50)) for channel in range(1, 6)}


def test_one_channel_comes_late(troubled):
    rows, _, names = troubled
    having = [n for n, (path, *_) in enumerate(rows) if os.path.exists(path) and names[9] in gwf.open_file(path).kinds]
    assert having == [3, 5, 6, 7, 8, 9, 10, 11]


def test_one_channel_of_the_list_never_comes(troubled):
    rows, _, names = troubled
    assert len(names) == 11 and names[10] == "V1:NEVER_THERE_mean"
    seen = set().union(*(gwf.open_file(path).kinds for path, *_ in rows if os.path.exists(path)))
    assert seen == set(names[:10])


def test_what_is_there_is_as_without_trouble(troubled):
    rows, plain, _ = troubled
    for (path, *_), (same, *_) in zip(rows, plain, strict=True):
        if os.path.exists(path):
            file, whole = gwf.open_file(path), gwf.open_file(same)
            for name, kind in file.kinds.items():
                series = file.read(0, name, kind)
                good = slice(None) if series.good is None else series.good
                assert (series.data[good] == whole.read(0, name, kind).data[good]).all()


def test_without_trouble_nothing_is_missing(troubled):
    _, plain, names = troubled
    for path, *_ in plain:
        file = gwf.open_file(path)
        assert set(file.kinds) == set(names[:10])
        assert all(file.read(0, name, kind).good is None for name, kind in file.kinds.items())


def test_wrong_input_is_one_line(tmp_path):
    assert "a span is needed" in refused("make-frames", tmp_path)
    assert "'2024-02-30'" in refused("make-frames", tmp_path, "--day", "2024-02-30")
    assert "absent.txt" in refused("make-frames", tmp_path, *SPAN, "--channels", "absent.txt")
    refused("make-frames", status=2)
    for option in ("--duration", "--rate"):
        refused("make-frames", tmp_path, *SPAN, option, "0", status=2)
    refused("make-frames", tmp_path, *SPAN, "--channels", "0")
