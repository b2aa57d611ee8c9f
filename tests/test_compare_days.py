"""compare-days: silent for the same days, and each way in which two productions can differ."""

import shutil

import framemake
import h5py
import numpy as np
import pytest
from framemake.days import compare
from framemake.errors import BadInput
from support import days as made
from support.commands import START, run, well

DAYS = ("2024-04-10", "2024-04-11")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare") / "a"
    for day in DAYS:
        holed = made.ramp_day(day)
        holed[0][100:200] = np.nan
        made.write_day(folder, day, {"V1:A": holed, "V1:B": made.ramp_day(day, 2.0)})
    return folder


@pytest.fixture
def other(built, tmp_path):
    shutil.copytree(built, tmp_path / "b")
    return tmp_path / "b"


def found(a, b, *how, **more):
    days = (framemake.open_days(folder) for folder in (a, b))
    return [
        (each.channel, each.date, each.start and each.start - START, each.end and each.end - START, each.what)
        for each in compare.differences(*days, *how, **more)
    ]


def changed(folder, change, day=DAYS[0]):
    path = folder / f"V1trend-{day}" / f"V1trend_{day.replace('-', '')}.h5"
    with h5py.File(path, "r+") as file:
        change(file["channels"])
    return path


def test_the_same_days_are_silent(built, other):
    assert found(built, other) == []


def test_samples_that_differ_are_told_with_how_much(built, other):
    def change(group):
        group["V1:A"][50:53] += np.array([0.5, 2, 1], dtype="f4")
        group["V1:A"][150] = 7
        group["V1:A"][86399] = np.nan

    changed(other, change)
    assert found(built, other) == [
        ("V1:A", DAYS[0], 50, 53, "3 samples differ by up to 2"),
        ("V1:A", DAYS[0], 150, 151, "1 samples missing in the first"),
        ("V1:A", DAYS[0], 86399, 86400, "1 samples missing in the second"),
    ]
    assert found(built, other, DAYS[1]) == []
    inside = [(START + 52, START + 60), (START + 86399, START + 86400)]
    assert [each[2:4] for each in found(built, other, keep=inside)] == [(52, 53), (86399, 86400)]
    assert [each[2:4] for each in found(built, other, tolerance=1e-6)] == [(51, 52), (150, 151), (86399, 86400)]


def test_pieces_make_no_difference(built, other, monkeypatch):
    monkeypatch.setattr(compare, "_AT_ONCE", 1000)
    changed(other, lambda group: group["V1:B"].write_direct(group["V1:B"][()] + 1))
    lines = found(built, other, DAYS[0], DAYS[0])
    assert [each[4] for each in lines[:20]] == ["1000 samples differ by up to 1"] * 20
    # 172800 samples are 173 pieces.
    assert lines[20:] == [("V1:B", DAYS[0], 0, 0, "and 153 more such stretches")]


def test_channels_and_days_that_one_side_has_alone(built, other):
    shutil.rmtree(other / f"V1trend-{DAYS[0]}")
    made.write_day(other, DAYS[0], {"V1:A": made.ramp_day(DAYS[0]), "V1:NEW": made.ramp_day(DAYS[0])})
    shutil.rmtree(other / f"V1trend-{DAYS[1]}")
    assert found(built, other) == [
        ("V1:A", DAYS[0], 100, 200, "100 samples missing in the first"),
        ("V1:B", DAYS[0], 0, 0, f"only in {built}"),
        ("V1:NEW", DAYS[0], 0, 0, f"only in {other}"),
        ("", DAYS[1], 0, 0, f"only in {built}"),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 2.0}, "rate 1.0 and 2.0"),
        ({"dtype": "f8"}, "dtype 'float32' and 'float64'"),
        ({"unit": "mV"}, "unit 'V' and 'mV'"),
    ],
)
def test_another_form_is_told(tmp_path, change, words):
    made.write_day(tmp_path / "a", DAYS[0], {"V1:A": made.ramp_day(DAYS[0])})
    made.write_day(tmp_path / "b", DAYS[0], {"V1:A": made.ramp_day(DAYS[0], **change)})
    assert found(tmp_path / "a", tmp_path / "b") == [("V1:A", DAYS[0], 0, 0, words)]


def test_channels_of_other_names(built, tmp_path):
    made.write_day(tmp_path / "b", DAYS[0], {"H0:X.mean": made.ramp_day(DAYS[0])})
    names = compare.names_of("# day, streams\nV1:A\tH0:X.mean\n", "f")
    assert found(built, tmp_path / "b", DAYS[0], DAYS[0], names=names) == [
        ("V1:A", DAYS[0], 100, 200, "100 samples missing in the first")
    ]
    for text, words in (("V1:A\n", "two channel names a line in 'f': 'V1:A'"), ("", "no channel names in file: 'f'")):
        with pytest.raises(BadInput, match=words):
            compare.names_of(text, "f")


def test_what_cannot_be_read_is_no_silence(built, other):
    path = changed(other, lambda group: None)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadInput, match="day file cannot be read"):
        found(built, other)
    with pytest.raises(BadInput, match="no day to compare"):
        found(built, built, "2023-01-01", "2023-01-02")


@pytest.mark.slow
def test_the_command(built, other):
    assert well("compare-days", built, other) == ""
    changed(other, lambda group: group["V1:A"].write_direct(group["V1:A"][()] * 2))
    status, printed, told = run("compare-days", built, other, "--last", DAYS[0])
    assert (status, told) == (1, "") and printed.splitlines()[0].startswith(
        f"V1:A\t{DAYS[0]}\t{START}\t{START + 100}\t"
    )
