"""What readers find in a folder of streams, and what tells a state before the last."""

import json
import shutil

import numpy as np
import pytest
from framemake.errors import BadInput
from framemake.streams import records, store
from framemake.streams.intake import past, sums
from support import streams as made
from support.streams import HOUR, NIGHT

SEIS = "H0:PEM-EX_SEISX"


@pytest.fixture
def out(tmp_path):
    made.frame(tmp_path / "frames", NIGHT, {SEIS: "f4", "H0:PEM-EX_RAIN": "i4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    return tmp_path / "streams"


def test_a_stream_has_its_info_rate_records_and_index(out):
    stream = store.open_stream(str(out), SEIS)
    assert (stream.name, stream.rate) == (SEIS, 256)
    assert stream.info == records.Info("float", 32, 0.0, 1.0, "")
    assert stream.records.dtype == records.record("float") and stream.records.dtype.itemsize == 25
    assert len(stream.records) == 60 and stream.index.tolist() == [(0.0, NIGHT), (NIGHT, 60.0)]
    for array in (stream.records, stream.index):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_names_are_sorted_and_whole(out):
    assert store.names(str(out)) == ["H0:PEM-EX_RAIN", SEIS]


def test_a_folder_of_the_original_is_read_as_it_is(out):
    shutil.rmtree(out / ".framemake")
    assert store.names(str(out)) == ["H0:PEM-EX_RAIN", SEIS]
    assert len(store.open_stream(str(out), SEIS).records) == 60


def test_what_is_not_committed_is_not_there(out):
    before = store.open_stream(str(out), SEIS).records.tobytes()
    with open(out / f"{SEIS}.bin", "ab") as file:
        file.write(b"\xff" * 40)
    assert store.open_stream(str(out), SEIS).records.tobytes() == before


@pytest.mark.parametrize("hidden", (True, False))
def test_a_torn_file_is_refused(out, hidden):
    if not hidden:
        shutil.rmtree(out / ".framemake")
    path = out / f"{SEIS}.bin"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadInput, match=r"torn, 1497 bytes: .*SEISX\.bin"):
        store.open_stream(str(out), SEIS)


@pytest.mark.parametrize("name", ("H0:NONE", "", "../streams/H0:PEM-EX_SEISX", "a\0b"))
def test_an_unknown_name_is_refused(out, name):
    with pytest.raises(BadInput, match="no such stream"):
        store.open_stream(str(out), name)


def test_a_damaged_state_is_refused(out):
    (out / ".framemake" / "state.json").write_text("{")
    with pytest.raises(BadInput, match="damaged state"):
        store.names(str(out))


def test_a_stream_that_waits_to_take_its_place_is_read_where_it_is(out):
    hidden = out / ".framemake"
    state = json.loads((hidden / "state.json").read_text())
    state["pending"] = [SEIS]
    state["streams"][SEIS]["records"] = 2
    new = store.open_stream(str(out), SEIS).records[:2].copy()
    new["sum"] += 1
    (hidden / "new" / f"{SEIS}.bin").write_bytes(new.tobytes())
    (hidden / "state.json").write_text(json.dumps(state))
    assert store.open_stream(str(out), SEIS).records.tobytes() == new.tobytes()
    # After a kill the next import puts it there.
    made.imported(out.parent / "frames", out)
    assert (out / f"{SEIS}.bin").read_bytes() == new.tobytes()


def stored(datatype, values, rate=256, start=NIGHT, interval=60):
    """Records of (mean, rms) pairs; a dtype by the datatype."""
    dtype = {"float": "f4", "double": "f8", "int": "i4"}[datatype]
    mean, rms = (np.array(each).astype(dtype) for each in zip(*values, strict=True))
    piece = sums.FramePiece(float(start), float(interval), mean, rms, None, False)
    return sums.extend(sums.Running(), rate, datatype, [piece])[0]


@pytest.mark.parametrize("datatype", ("float", "int"))
def test_the_sums_of_float_and_int_tell_mean_and_rms_exactly(datatype):
    values = [(100 + k * 7.3, 120 + k * 3.1) for k in range(60)]
    kept = stored(datatype, values)
    dtype = np.dtype("i4" if datatype == "int" else "f4").type
    for at in (0, 1, 30, 59):
        assert past.from_records(kept, at, 256, datatype) == tuple(dtype(value).item() for value in values[at])


def test_where_the_interval_of_a_record_is_not_sure_it_tells_nothing():
    # 16 raw samples of m and r have the sums of one of 16 m and 4 r: only the right interval tells which.
    kept = stored("int", [(5, 7)] * 60, rate=16, interval=1)
    gap = np.array([(0, NIGHT + 59 + 1 / 16, kept["sum"][-1] + 5, kept["square"][-1] + 49)], kept.dtype)
    kept = np.concatenate((kept, gap))
    assert past.from_records(kept, 59, 16, "int") == (5, 7)
    assert past.from_records(kept[59:], 0, 16, "int") is None
    with pytest.raises(past.PastUnknown):
        past.nearly(kept[59:], 0, 16)


def test_sums_that_dwarf_the_values_tell_nothing():
    kept = stored("float", [(100.1, 101.1), (100.2, 101.2), (100.3, 101.3)])
    kept["sum"] += 1e22
    assert past.from_records(kept, 1, 256, "float") is None


def test_the_sums_of_double_tell_nothing_exactly():
    kept = stored("double", [(100.1, 101.1), (100.2, 101.2)])
    assert past.from_records(kept, 1, 256, "double") is None
    assert past.nearly(kept, 1, 256) == pytest.approx((100.2, 101.2), rel=1e-12)


def test_a_record_is_lost_where_only_coarser_samples_cover_it():
    old = stored("float", [(1.0, 1.0)] * 120, interval=1)
    assert not past.lost(old, [(NIGHT, NIGHT + 120, 1.0)])
    assert past.lost(old, [(NIGHT, NIGHT + HOUR, 60.0)])
    assert past.lost(old, [(NIGHT, NIGHT + 60, 1.0)])
    assert past.lost(old, [])
