"""bin/check-streams: silent when streams are what their rule and their frames make them, loud where they are not."""

import shutil

import numpy as np
import pytest
from framemake.frames.catalog import number
from framemake.streams import records, store
from framemake.streams.records import Info
from framemake.streams.verify import against, check
from support import streams
from support.commands import refused, run, well
from support.stream_files import DOUBLE, FLOAT, INT, Written, write

T0 = 1148000400
NAME, RAIN, SLOW = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN", "H1:PEM-CS_SEIS_DQ"


def long_story(info, rate):
    """Both trends, gaps between all of them, and samples that are no data."""
    means = np.arange(1.0, 61)
    means[20:24] = 0
    written = Written(info, rate).file(T0, 60, means).file(T0 + 3600, 1, [5.0] * 600).file(T0 + 4200, 60, means)
    written.file(T0 + 14400, 60, means).file(T0 + 21600, 1, [7.0] * 600).file(T0 + 23000, 1, [7.0] * 60)
    return written.file(T0 + 25200, 60, means)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "streams"
    long_story(FLOAT, 256).write(folder, NAME)
    long_story(INT, 16).write(folder, RAIN)
    long_story(DOUBLE, 1).write(folder, SLOW)
    return folder


def spoil(folder, name, change, suffix=".bin", info=FLOAT):
    dtype = records.INDEX if suffix == ".index.bin" else records.record(info.datatype)
    path = folder / (name + suffix)
    held = np.fromfile(path, dtype)
    path.write_bytes(np.asarray(change(held.copy())).tobytes())


def faults(folder):
    """What the command prints, without starting it."""
    return [rows_of(fault) for fault in check.structure(str(folder))]


def rows_of(fault):
    name, *span, what = fault
    return [name, *("" if at is None or not np.isfinite(at) else number(float(at)) for at in span), what]


def told(folder, *options):
    """What the command prints of faults, which is all that it says."""
    status, out, said = run("check-streams", folder, *options)
    assert (status, said) == (1, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert all(len(row) == 4 for row in rows)
    return rows


def only(folder):
    (row,) = faults(folder)
    return row


def test_silent_when_all_is_well(folder):
    assert well("check-streams", folder) == ""


@pytest.mark.long
def test_the_original_importers_streams_are_well(shared):
    path = shared / "elab"
    if not path.is_dir():
        pytest.skip(f"no shared data: {path}")
    assert well("check-streams", path / "streams") == ""
    assert well("check-streams", path / "streams", "--frames", path / "frames") == ""


def test_a_folder_that_is_none_is_an_error(tmp_path):
    assert "no such file" in refused("check-streams", tmp_path / "absent")
    assert "no stream in folder" in refused("check-streams", tmp_path)
    assert "no frame file" in refused_frames(tmp_path)


def refused_frames(tmp_path):
    long_story(FLOAT, 256).write(tmp_path, NAME)
    (tmp_path / "none").mkdir()
    return refused("check-streams", tmp_path, "--frames", tmp_path / "none")


# Records


@pytest.mark.parametrize("suffix", [".bin", ".index.bin"])
def test_a_torn_file(folder, suffix):
    with open(folder / (NAME + suffix), "ab") as torn:
        torn.write(b"abc")
    name, _, _, what = only(folder)
    assert name == NAME and "torn" in what


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("valid", 7, "neither valid nor invalid: 1 records from number 30"),
        ("time", np.nan, "time is no number: 1 records from number 30"),
        ("sum", np.nan, "sum is not finite: 1 records from number 30"),
        ("square", np.inf, "sum is not finite: 1 records from number 30"),
        ("square", 0, "sum of squares falls: 1 records from number 30"),
    ],
)
def test_a_record_that_cannot_be(folder, field, value, what):
    def change(held):
        held[field][30] = value
        return held

    spoil(folder, NAME, change)
    rows = [row for row in faults(folder) if row[3] == what]
    assert rows and rows[0][0] == NAME
    if field != "time":
        assert rows[0][1:3] == [str(T0 + 1800)] * 2


def test_each_fault_is_a_line_and_the_status_is_1(folder):
    spoil(folder, NAME, lambda held: np.delete(held, [0, 30]))
    spoil(folder, RAIN, lambda held: held[:0], info=INT)
    rows = told(folder)
    assert rows == faults(folder) and {row[0] for row in rows} == {NAME, RAIN}


def test_sums_that_are_poisoned_from_a_record_on_are_one_line(folder):
    def change(held):
        held["sum"][40:] = np.nan
        return held

    spoil(folder, NAME, change)
    assert "sum is not finite" in only(folder)[3]


def test_records_that_stand_twice(folder):
    spoil(folder, NAME, lambda held: np.concatenate((held[:60], held[50:])))
    assert any(row[3].startswith("time does not rise: 1 records from number 60") for row in faults(folder))


def test_a_record_that_is_not_there(folder):
    spoil(folder, NAME, lambda held: np.delete(held, 30))
    assert any("index lacks" in row[3] for row in faults(folder))


def test_a_stream_without_a_record(folder):
    spoil(folder, NAME, lambda held: held[:0])
    assert only(folder)[3] == "no record"


# Index


@pytest.mark.parametrize("stream", [(NAME, 256, FLOAT), (RAIN, 16, INT), (SLOW, 1, DOUBLE)], ids=lambda each: each[0])
def test_every_entry_that_is_missing_or_wrong_is_told(folder, stream):
    name, rate, info = stream
    index = long_story(info, rate).entries()
    assert len(index) > 15
    for at in range(len(index)):
        spoil(folder, name, lambda held, at=at: np.delete(index, at), ".index.bin")
        found = list(check.structure(str(folder)))
        assert found and all(row[0] == name and "index" in row[3] for row in found), at

        def change(held, at=at):
            held = index.copy()
            held["interval"][at] += 1
            return held

        spoil(folder, name, change, ".index.bin")
        found = list(check.structure(str(folder)))
        assert any(row[0] == name and "which the records do not" in row[3] for row in found), at


def test_entries_twice_and_out_of_order(folder):
    index = long_story(FLOAT, 256).entries()
    spoil(folder, NAME, lambda held: np.insert(index, 5, index[5]), ".index.bin")
    assert "out of order" in only(folder)[3]
    spoil(folder, NAME, lambda held: index[[0, 1, 3, 2, *range(4, len(index))]], ".index.bin")
    assert "out of order" in only(folder)[3]


# Info and names


@pytest.mark.parametrize(
    "text", ["", "datatype = float\n", "datatype = string\nnbits = 1\nbias = 0\nslope = 1\nunits = \n"]
)
def test_an_info_that_is_not_whole(folder, text):
    (folder / f"{NAME}.info").write_text(text)
    name, _, _, what = only(folder)
    assert name == NAME and "not whole" in what


def test_a_calibration_that_is_none(folder):
    long_story(FLOAT, 256).write(folder, NAME)
    (folder / f"{NAME}.info").write_text(records.info_text(Info("float", 32, 0.0, 0.0, "")))
    assert "slope 0" in only(folder)[3]


def test_files_that_miss_one_another(folder):
    (folder / f"{NAME}.info").unlink()
    assert [row[0] for row in faults(folder)] == [NAME]
    (folder / f"{RAIN}.bin").unlink()
    assert [row[0] for row in faults(folder)] == [RAIN, NAME]


def test_a_name_that_is_not_uniform(folder):
    for suffix in (".bin", ".index.bin", ".info"):
        shutil.move(folder / (NAME + suffix), folder / ("H0:PEM-EX-SEISX" + suffix))
    assert only(folder) == ["H0:PEM-EX-SEISX", "", "", f"name is not uniform, want {NAME!r}"]


# Against the frames


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A tree of both trends, in part one over the other, with a gap and bad samples, and its streams."""
    root = tmp_path_factory.mktemp("tree") / "frames"
    kinds = {NAME: "f4", RAIN: "i4", SLOW: "f8"}
    night = streams.NIGHT
    for hour in (0, 1, 4):
        streams.frame(root, night + 3600 * hour, kinds)
    bad = np.full(60, 9.0)
    bad[[10, 30, 31]] = np.nan, 0, np.inf
    signals = [signal for name in kinds for signal in streams.trend(name, night + 18000, 60, 60, kinds[name])]
    signals += streams.trend("H0:PEM-BAD_SEISX", night + 18000, 60, 60, mean=bad, rms=bad + 1)
    signals += streams.trend("H0:PEM-NO_SEISX", night + 18000, 60, 60, mean=np.full(60, 1.0), rms=bad, valid=1)
    streams.frame(root, night + 18000, signals)
    streams.frame(root, night + 4800, kinds, fine=True)
    streams.frame(root, night + 5400, kinds, fine=True, duration=60)
    # Second trend but for one minute: one sample of minute trend stands alone.
    streams.frame(root, night + 14400, kinds, fine=True)
    streams.frame(root, night + 15060, kinds, fine=True, duration=60)
    streams.imported(root, root.parent / "streams")
    return root


@pytest.fixture
def site(imported, tmp_path):
    for part in ("frames", "streams"):
        shutil.copytree(imported.parent / part, tmp_path / part)
    return tmp_path


def compared(site):
    """What the command prints, without its second of start-up."""
    found = [*check.structure(str(site / "streams")), *against.faults(str(site / "streams"), str(site / "frames"))]
    return [rows_of(fault) for fault in found]


@pytest.mark.slow
def test_silent_when_every_sample_of_the_frames_is_there(site):
    assert compared(site) == []


def test_frames_that_are_gone_are_no_fault_of_the_streams(site):
    streams.path_of(site / "frames", streams.NIGHT).unlink()
    assert compared(site) == []


@pytest.mark.long
def test_a_frame_that_was_not_imported_is_told_with_its_span(site):
    start = streams.NIGHT + 8 * 3600
    streams.frame(site / "frames", start, {NAME: "f4", "H0:PEM-NEW_SEISX": "f4"})
    rows = told(site / "streams", "--frames", site / "frames")
    assert rows == compared(site)
    assert [NAME, str(start), str(start + 3600), "not in the stream: 60 samples"] in rows
    assert [row[:3] for row in rows if row[0] != NAME] == [["H0:PEM-NEW_SEISX", str(start), str(start + 3600)]]


def test_second_trend_that_came_late_and_was_not_imported_is_told(site):
    start = streams.NIGHT + 600
    streams.frame(site / "frames", start, {RAIN: "i4"}, fine=True)
    assert compared(site) == [[RAIN, str(start), str(start + 600), "not in the stream: 600 samples"]]


@pytest.mark.parametrize("field", ["sum", "square"])
@pytest.mark.parametrize("name", [NAME, RAIN, SLOW])
def test_a_sum_that_is_wrong_by_one_sample_is_told(site, name, field):
    info = {NAME: FLOAT, RAIN: INT, SLOW: DOUBLE}[name]

    def change(held):
        held[field][90:] += 1
        return held

    spoil(site / "streams", name, change, info=info)
    (row,) = compared(site)
    assert row[0] == name and row[3] == "differs from the frame: 1 samples"
    assert float(row[2]) > float(row[1]) > streams.NIGHT


def test_a_sample_that_is_wrongly_valid_or_invalid_is_told(site):
    def change(held):
        held["valid"][5] = records.INVALID
        return held

    spoil(site / "streams", NAME, change)
    start = streams.NIGHT + 300
    assert compared(site) == [[NAME, str(start), str(start + 60), "differs from the frame: 1 samples"]]


def test_an_invalid_sample_must_carry_on_the_last_good_one(site):
    def change(held):
        at = np.flatnonzero(held["valid"] == 0)[0]
        assert at > 0
        held["square"][at:] += 60.0
        return held

    spoil(site / "streams", "H0:PEM-BAD_SEISX", change)
    assert [row[0] for row in compared(site)] == ["H0:PEM-BAD_SEISX"]


def test_a_frame_that_nobody_can_read_is_left_out_and_counted(site):
    streams.path_of(site / "frames", streams.NIGHT).write_bytes(b"IGWD\0 no frame at all")
    said = []
    assert list(against.faults(str(site / "streams"), str(site / "frames"), said.append)) == []
    assert said == ["1 frame files cannot be read, they are not compared"]


def test_a_long_stream_is_checked_in_pieces(tmp_path, monkeypatch):
    written = long_story(FLOAT, 256)
    written.write(tmp_path, NAME)
    for pieces in (3, 7, 100, 1000):
        monkeypatch.setattr(check, "_AT_ONCE", pieces)
        assert list(check.structure(str(tmp_path))) == []
    kept = written.records()
    kept["square"][700:] -= kept["square"][650]
    write(tmp_path, NAME, kept, written.entries(), FLOAT)
    found = []
    for pieces in (3, 7, 100, 1000):
        monkeypatch.setattr(check, "_AT_ONCE", pieces)
        found.append(list(check.structure(str(tmp_path))))
    assert len(found[0]) == 1 and all(each == found[0] for each in found)
    assert store.names(str(tmp_path)) == [NAME]


# --- a share a night -------------------------------------------------------------------------


def test_in_as_many_nights_as_there_are_shares_each_stream_is_checked_once(folder):
    for name in (NAME, RAIN, SLOW):
        (folder / f"{name}.info").write_text("")
    found = [{fault.stream for fault in check.structure(str(folder), (part, 4))} for part in range(1, 5)]
    assert sorted(name for each in found for name in each) == sorted((NAME, RAIN, SLOW))


def test_what_was_faulty_is_checked_in_each_night_until_it_is_healed(folder):
    faulty, info = folder.parent / "faulty", (folder / f"{NAME}.info").read_text()
    (folder / f"{NAME}.info").write_text("")
    nights = [(f"{part}/3", any(True for _ in check.structure(str(folder), (part, 3)))) for part in (1, 2, 3)]
    (at,) = (share for share, found in nights if found)
    other = next(share for share, found in nights if not found)
    assert run("check-streams", folder, "--share", other, "--again", faulty) == (0, "", "")
    assert told(folder, "--share", at, "--again", faulty)[0][0] == NAME
    assert told(folder, "--share", other, "--again", faulty)[0][0] == NAME and faulty.read_text() == f"{NAME}\n"
    (folder / f"{NAME}.info").write_text(info)
    assert run("check-streams", folder, "--share", other, "--again", faulty) == (0, "", "")
    assert faulty.read_text() == ""


def test_a_share_does_not_go_with_frames(folder):
    assert "--share does not go with --frames" in refused("check-streams", folder, "--share", "1/2", "--frames", folder)
    assert "no such share, want I/N: '3/2'" in refused("check-streams", folder, "--share", "3/2")
