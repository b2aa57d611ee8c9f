"""Frame contents: values, masks, times, kinds, and that nothing damaged gets through."""

import ast
import contextlib
import os
import types
from pathlib import Path

import gwframe
import numpy as np
import pytest
from framemake import gwf
from framemake.gwf import BadFrame, core
from framemake.gwf import adc as gwf_adc
from framemake.gwf.owners import Owned
from framemake.gwf.write import Signal, write
from gwframe import _core
from support.commands import ROOT, START, frame_file

KINDS = ["adc", "proc", "sim"]
INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def series_of(path, name="V1:A", kind="adc", index=0):
    file = gwf.open_file(path)
    assert file.kinds[name] == kind
    return file.read(index, name, kind)


@pytest.fixture
def one(tmp_path):
    """Write 10 s of V1:A and read it back."""

    def through(data, rate=None, **how):
        data = np.asarray(data)
        signal = Signal("V1:A", data, rate or len(data) / 10, **how)
        return series_of(frame_file(tmp_path, START, 10, signal), kind=signal.kind)

    return through


def good(series):
    return np.ones(len(series.data), bool) if series.good is None else series.good


# Values


def extremes(dtype):
    if np.dtype(dtype).kind == "f":
        tiny, info = np.finfo(dtype).smallest_subnormal, np.finfo(dtype)
        values = [0.0, -0.0, 1.0, np.pi, info.max, info.min, info.tiny, tiny, np.nan, np.inf, -np.inf, -1e-3]
    else:
        info = np.iinfo(dtype)
        values = [info.min, info.max, 0, 1, 2, 3, info.max - 1, info.min + 1, 7, 42]
    return np.array(values, dtype=dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [*INTEGERS, "f4", "f8"])
def test_values_come_bit_for_bit(one, dtype, kind):
    data = extremes(dtype)
    series = one(data, kind=kind)
    assert series.problem == ""
    assert series.data.dtype == data.dtype
    assert series.data.tobytes() == data.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4"])
def test_long_noise_comes_bit_for_bit_through_the_compression(one, dtype):
    noise = (np.random.default_rng(1).standard_normal(20000) * 1000).astype(dtype)
    assert one(noise).data.tobytes() == noise.tobytes()


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("kind", KINDS)
def test_complex_values_are_a_problem_and_no_error(one, dtype, kind):
    series = one(np.ones(10, dtype=dtype), kind=kind)
    assert series.data is None
    assert series.problem == "complex values"


@pytest.mark.parametrize(
    ("dtype", "smallest"),
    [(d, "f4") for d in ("i1", "u1", "i2", "u2", "f4", ">f4")]
    + [(d, "f8") for d in ("i4", "u4", "i8", "u8", "f8", ">i4")],
)
def test_a_dtype_becomes_the_smallest_float_that_is_exact(dtype, smallest):
    assert gwf.convertible(dtype) == np.dtype(smallest)


@pytest.mark.parametrize("dtype", ["c8", "c16", "S4", "O", "?", "f2"])
def test_other_dtypes_become_nothing(dtype):
    assert gwf.convertible(dtype) is None


@pytest.mark.parametrize("kind", KINDS)
def test_rate_and_unit(one, kind):
    series = one(np.arange(160.0), unit="m/s", kind=kind)
    assert (series.dt, series.unit, series.offset) == (1 / 16, "m/s", 0)


@pytest.mark.parametrize("rate", [0.1, 1 / 60])
def test_rates_below_one_hertz(tmp_path, rate):
    path = frame_file(tmp_path, START, 600, Signal("V1:A", np.arange(600 * rate), rate))
    assert series_of(path).dt == pytest.approx(1 / rate, rel=1e-12)


@pytest.mark.parametrize("name", ["V1:a.b-c_d", "Bad_data_(data[0]=nan)", "Adc0", "H1:LSC-AS_Q.mean"])
def test_names_are_taken_as_they_are(tmp_path, name):
    path = frame_file(tmp_path, START, 10, Signal(name, np.arange(10.0), 1.0))
    assert series_of(path, name).data[9] == 9


def test_each_kind_is_found_by_its_name(tmp_path):
    path = frame_file(tmp_path, START, 10, *(Signal(f"V1:{kind}", np.arange(10.0), 1.0, kind=kind) for kind in KINDS))
    file = gwf.open_file(path)
    assert file.kinds == {f"V1:{kind}": kind for kind in KINDS}
    assert file.read(0, "V1:NOT", "adc") is None
    assert file.read(0, "V1:adc", "proc") is None


def test_where_two_kinds_share_a_name_adc_goes_before_proc_before_sim(tmp_path):
    both = [Signal("V1:A", np.full(10, k), 1.0, kind=kind) for k, kind in enumerate(KINDS)]
    assert gwf.open_file(frame_file(tmp_path, START, 10, *both)).kinds == {"V1:A": "adc"}
    assert gwf.open_file(frame_file(tmp_path, START, 10, *both[1:])).kinds == {"V1:A": "proc"}


# Times


def test_the_span_of_a_frame(tmp_path):
    path = frame_file(tmp_path, START, 10, Signal("V1:A", np.arange(10.0), 1.0))
    assert gwf.open_file(path).frames == [(START, 0, 10)]


def test_a_frame_may_begin_and_end_between_seconds(tmp_path):
    path = tmp_path / "odd.gwf"
    write(path, [(1000000000.5, 0.25, [Signal("V1:A", np.arange(16.0), 64.0)])])
    assert gwf.open_file(path).frames == [(1000000000, 500000000, 0.25)]


def test_several_frames_in_one_file_even_with_one_missing_between(tmp_path):
    path = tmp_path / "several.gwf"
    starts = [START, START + 10, START + 40]
    write(path, [(start, 10, [Signal("V1:A", np.arange(10.0) + start, 1.0)]) for start in starts])
    file = gwf.open_file(path)
    assert [frame[0] for frame in file.frames] == starts
    for index, start in enumerate(starts):
        assert file.read(index, "V1:A", "adc").data[0] == start


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_offset_moves_the_samples(one, kind):
    assert one(np.arange(40.0), kind=kind, offset=0.125).offset == 0.125


@pytest.mark.parametrize("kind", KINDS)
def test_the_origin_of_the_vector_adds_to_the_time_offset(one, kind):
    assert one(np.arange(40.0), kind=kind, origin=0.5).offset == 0.5
    assert one(np.arange(40.0), kind=kind, offset=0.125, origin=0.5).offset == 0.625


# What the frame says is missing


def test_a_valid_channel_has_no_mask(one):
    for kind in KINDS:
        assert one(np.arange(10.0), kind=kind).good is None


@pytest.mark.parametrize("flags", [1, 2, 3, 4, 0x8000])
def test_data_valid_that_is_not_zero_condemns_the_whole_channel(one, flags):
    series = one(np.arange(10.0), valid=flags)
    assert not good(series).any() and len(good(series)) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_virgos_second_vector_tells_which_samples_are_there(one, kind):
    there = np.arange(100) % 7 != 0
    series = one(np.arange(100.0), kind=kind, there=there)
    assert (good(series) == there).all()
    assert (series.data == np.arange(100.0)).all()


@pytest.mark.parametrize("flags", [1, 3])
def test_data_valid_with_another_bit_condemns_in_spite_of_a_second_vector(one, flags):
    assert not good(one(np.arange(10.0), there=np.ones(10, bool), valid=flags)).any()


def test_a_cds_mask_of_16_words_a_second_is_spread_over_the_samples(one):
    mask = np.zeros(160, dtype="u2")
    mask[[0, 17, 159]] = [1, 0x4000, 0xFFFF]
    series = one(np.arange(2560.0), mask=mask)
    assert (good(series) == (np.repeat(mask, 16) == 0)).all()


@pytest.mark.parametrize("dtype", ["i2", "u2"])
def test_a_cds_mask_of_a_word_a_sample(one, dtype):
    mask = (np.arange(100) % 3 == 0).astype(dtype)
    assert (good(one(np.arange(100.0), mask=mask)) == (mask == 0)).all()


def test_an_auxiliary_vector_that_does_not_divide_the_samples_is_no_mask(one):
    assert good(one(np.arange(100.0), mask=np.ones(7, dtype="u2"))).all()


@pytest.mark.parametrize("dtype", ["i4", "u1", "f4", "f8"])
def test_an_auxiliary_vector_that_is_not_of_16_bits_is_no_mask(one, dtype):
    assert good(one(np.arange(100.0), mask=np.ones(100, dtype=dtype))).all()


def test_both_masks_hold(one):
    there, mask = np.arange(100) >= 10, (np.arange(100) >= 90).astype("u2")
    series = one(np.arange(100.0), there=there, mask=mask)
    assert (good(series) == (there & (mask == 0))).all()


def test_integers_that_float64_cannot_hold_are_not_good(one):
    edge = 2**53
    signed = np.array([0, edge, -edge, edge + 1, -edge - 1, edge + 2, 2**62, -(2**63), 5, -5])
    assert good(one(signed)).tolist() == [True] * 3 + [False] * 5 + [True] * 2
    unsigned = np.array([0, edge, edge + 1, 2**64 - 1, 1, 1, 1, 1, 1, 1], dtype="u8")
    assert good(one(unsigned)).tolist() == [True, True, False, False] + [True] * 6


def test_too_large_integers_and_absent_samples_add_up(one):
    data, there = np.arange(10), np.arange(10) > 2
    data[5] = 2**60
    assert good(one(data, there=there)).nonzero()[0].tolist() == [3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize(("flags", "length", "all_of_them"), [(4, 8, [0, 0, 1, 1, 2, 2, 3, 3]), (8, 8, list(range(8)))])
def test_flags_are_spread_in_equal_blocks(flags, length, all_of_them):
    assert gwf.spread(np.arange(flags), length).tolist() == all_of_them


@pytest.mark.parametrize(("flags", "length"), [(3, 8), (0, 8), (16, 8)])
def test_flags_that_do_not_fit_are_not_spread(flags, length):
    assert gwf.spread(np.arange(flags), length) is None


# Real files


def second_vector(path, name, kind, index):
    stream = _core.IFrameFStream(str(path))
    channel = getattr(stream, f"read_fr_{kind}_data")(index, name)
    vector = channel.get_data_vector(1)
    return vector.get_data_uncompressed()


@pytest.mark.parametrize(
    ("name", "kind"), [("Adc0", "adc"), ("fastAdc0", "adc"), ("fastProc", "proc"), ("sim1", "sim")]
)
def test_virgos_own_file_with_missing_samples(shared, name, kind):
    path = shared / "frames/V-available-925484670-20.gwf"
    file = gwf.open_file(path)
    assert len(file.frames) == 2
    for index in range(2):
        series, told = file.read(index, name, kind), second_vector(path, name, kind, index)
        assert 0 < told.sum() < len(told) == len(series.data)
        assert (series.good == (told == 1)).all()


def test_virgos_channel_with_bad_data_is_not_good_anywhere(shared):
    path = shared / "frames/V-available-925484670-20.gwf"
    assert not series_of(path, "Bad_data_(data[0]=nan)").good.any()


def test_an_o4_file_of_livingston(shared):
    file = gwf.open_file(shared / "frames/L-L1_llhoft-1384353755-1.gwf")
    assert file.frames == [(1384353755, 0, 1)]
    assert set(file.kinds.values()) == {"proc"} and len(file.kinds) == 32
    strain = file.read(0, "L1:GDS-CALIB_STRAIN", "proc")
    assert (strain.data.dtype, len(strain.data), strain.dt) == (np.float64, 16384, 1 / 16384)
    assert file.read(0, "L1:DMT-DQ_VECTOR", "proc").data.dtype == np.uint32


def test_a_trend_file_of_hanford(shared):
    path = shared / "frames/H-T-600000000-60.gwf"
    assert series_of(path, "H1:LSC-AS_Q.n").data.tolist() == [16384] * 60
    assert series_of(path, "H1:LSC-AS_Q.mean").data[:2].tolist() == [8191.5, 24575.5]


def test_a_file_of_format_6(shared):
    file = gwf.open_file(shared / "frames/v6/F-TEST-600000000-60.gwf")
    assert file.frames == [(600000000 + 10 * k, 0, 10) for k in range(6)]
    assert file.kinds == {"H1:LSC-AS_Q": "adc"}
    for index in range(6):
        series = file.read(index, "H1:LSC-AS_Q", "adc")
        assert (series.data.dtype, len(series.data), series.dt) == (np.int32, 163840, 1 / 16384)
        assert series.unit == "count"
        assert (np.diff(series.data[:1000]) == 1).all()
    assert file.read(0, "H1:LSC-AS_Q", "proc") is None


def test_complex_channels_of_format_6_are_a_problem_and_no_error(shared, tmp_path):
    raw = bytearray((shared / "frames/H-CAL_FAC-600000000-6000.gwf").read_bytes())
    with pytest.raises(BadFrame, match="checksum"):
        gwf.open_file(shared / "frames/H-CAL_FAC-600000000-6000.gwf")
    # Its checksum is not that of what is in it.  In this format it is taken over the whole, itself as zeros.
    raw[-12:-8] = bytes(4)
    raw[-12:-8] = gwf_adc.cksum(bytes(raw)).to_bytes(4, "big")
    (tmp_path / "x.gwf").write_bytes(raw)
    file = gwf.open_file(tmp_path / "x.gwf")
    assert len(file.kinds) == 2
    for name, kind in file.kinds.items():
        series = file.read(0, name, kind)
        assert (series.data, series.problem) == (None, "complex values")


@pytest.mark.parametrize("damage", ["short", "head"])
def test_a_damaged_file_of_format_6(shared, tmp_path, damage):
    content = (shared / "frames/v6/F-TEST-600000000-60.gwf").read_bytes()
    path = tmp_path / "F-TEST-600000000-60.gwf"
    path.write_bytes(content[: 500_000 if damage == "short" else 41])
    with pytest.raises((BadFrame, OSError)) as caught:
        series_of(path, "H1:LSC-AS_Q")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["H1:LDAS-STRAIN", "L1:LDAS-STRAIN", "V1:h_16384Hz"])
def test_the_strain_that_gwpy_ships_reads_as_gwpy_reads_it(name):
    import gwpy.testing
    from gwpy.timeseries import TimeSeries

    path = str(Path(gwpy.testing.__file__).parent / "data/HLV-HW100916-968654552-1.gwf")
    wanted = TimeSeries.read(path, name, format="gwf")
    file = gwf.open_file(path)
    series = file.read(0, name, file.kinds[name])
    assert series.data.dtype == wanted.dtype
    assert series.data.tobytes() == wanted.value.tobytes()
    assert file.frames[0][0] + series.offset == wanted.t0.value
    assert (series.dt, series.unit) == (wanted.dt.value, str(wanted.unit))
    assert good(series).all()


# Damage


@pytest.fixture
def whole(tmp_path):
    noise = np.random.default_rng(1).standard_normal(1000)
    path = frame_file(tmp_path, START, 10, Signal("V1:A", noise, 100.0, there=np.ones(1000, bool)))
    return path, noise


def bad(path):
    """The one-line reason why V1:A of a file cannot be read."""
    with pytest.raises(BadFrame) as caught:
        series_of(path)
    reason = str(caught.value)
    assert reason and "\n" not in reason and "0x" not in reason
    return reason


def test_an_absent_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        gwf.open_file(tmp_path / "absent.gwf")


def test_a_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        gwf.open_file(tmp_path)


def test_any_name_of_a_file_will_do(tmp_path, whole):
    for name in ("a b%20.gwf", "V1:x.gwf", "café.gwf", "#.gwf"):
        path = tmp_path / name
        path.write_bytes(whole[0].read_bytes())
        assert (series_of(path).data == whole[1]).all()


def test_a_name_that_is_no_utf_8_is_read_or_told_as_such(tmp_path, whole):
    path = tmp_path / "caf\udce9.gwf"
    path.write_bytes(whole[0].read_bytes())
    try:
        assert (series_of(path).data == whole[1]).all()
    except BadFrame as error:
        assert "UTF-8" in str(error)


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.gwf"
    path.touch()
    assert bad(path) == "empty file"


@pytest.mark.parametrize("content", [b"x", b"junk\n" * 1000, b"\x89PNG\r\n\x1a\n" + bytes(100), b"IGWD\0\x08"])
def test_what_is_no_frame_file(tmp_path, content):
    path = tmp_path / "junk.gwf"
    path.write_bytes(content)
    assert bad(path) == "not a frame file"


def test_a_header_with_junk_behind(tmp_path, whole):
    path = tmp_path / "junk.gwf"
    path.write_bytes(whole[0].read_bytes()[:40] + os.urandom(4000))
    bad(path)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_file_that_is_cut_short(whole, share):
    path, _ = whole
    content = path.read_bytes()
    path.write_bytes(content[: max(41, int(len(content) * share))])
    bad(path)


@pytest.mark.parametrize("tail", [b"\0" * 100, b"junk"])
def test_a_file_with_something_behind_its_end_gives_its_values_or_a_reason(whole, tail):
    path, noise = whole
    path.write_bytes(path.read_bytes() + tail)
    try:
        assert (series_of(path).data == noise).all()
    except BadFrame as error:
        assert "\n" not in str(error)


def test_a_flipped_bit_in_the_data_is_noticed_by_the_checksum(whole):
    path, noise = whole
    content = path.read_bytes()
    first = content.index(noise.tobytes())
    for at in range(first, first + noise.nbytes, 799):
        flipped = bytearray(content)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        assert "checksum" in bad(path)


def test_a_flipped_bit_of_the_compressed_data_never_gives_other_values(tmp_path):
    count = np.arange(2000.0) // 3
    path = frame_file(tmp_path, START, 10, Signal("V1:A", count, 200.0))
    content = path.read_bytes()
    vector = content.index(b"V1:A\0", content.index(b"V1:A\0") + 1)
    noticed = 0
    for at in range(vector, vector + 1500, 47):
        flipped = bytearray(content)
        flipped[at] ^= 4
        path.write_bytes(flipped)
        try:
            assert (series_of(path).data == count).all(), at
        except BadFrame:
            noticed += 1
    assert noticed > 10


# The private module of gwframe that this room stands on

SHAPE = {
    "IFrameFStream": "get_toc read_fr_adc_data read_fr_proc_data read_fr_sim_data",
    "FrTOC": "get_adc get_proc get_sim get_time_s get_time_ns get_dt",
    "FrVect": "get_data_uncompressed get_dim get_n_dim get_name get_type get_unit_y set_data "
    "FR_VECT_C FR_VECT_1U FR_VECT_2S "
    "FR_VECT_2U FR_VECT_4S FR_VECT_4U FR_VECT_8S FR_VECT_8U FR_VECT_4R FR_VECT_8R FR_VECT_8C FR_VECT_16C "
    "ZERO_SUPPRESS_OTHERWISE_GZIP",
    "Dimension": "dx start_x",
    "FrAdcData": "get_data_size get_data_vector get_aux_size get_aux_vector get_data_valid get_sample_rate "
    "get_time_offset append_data append_aux set_data_valid set_time_offset",
    "FrProcData": "get_data_size get_data_vector get_time_offset append_data",
    "FrSimData": "get_data_size get_data_vector get_time_offset append_data",
    "FrameH": "set_name set_run set_gps_time set_dt write append_fr_adc_data append_fr_proc_data append_fr_sim_data",
    "OFrameFStream": "close",
}


def test_gwframe_is_the_version_that_was_looked_at():
    assert gwframe.__version__ == "0.8.4"


@pytest.mark.parametrize("kind", SHAPE)
def test_gwframe_has_the_parts_that_are_used(kind):
    missing = [name for name in SHAPE[kind].split() if not hasattr(getattr(_core, kind), name)]
    assert missing == []


def test_the_parts_looked_at_are_all_that_are_used():
    used = set()
    for room in ("core", "write"):
        tree = ast.parse((ROOT / f"lib/framemake/gwf/{room}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                of_module = isinstance(node.value, ast.Name) and node.value.id == "_core"
                if of_module or node.attr.startswith(("get_", "set_", "append_", "read_fr_", "FR_VECT")):
                    used.add(node.attr)
    known = {*SHAPE, "gpstime_from_float", *" ".join(SHAPE.values()).split()}
    assert used - known - {"getmaskarray"} == set()
    assert hasattr(_core, "gpstime_from_float")


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"])
def test_describe_agrees_with_read(tmp_path, dtype):
    path = tmp_path / "x.gwf"
    write(path, [(0, 10, [Signal("A", np.ones(20, dtype=dtype), 2.0, "V")])])
    file = gwf.open_file(path)
    told, read = file.describe(0, "A", "adc"), file.read(0, "A", "adc")
    assert (told.problem, told.unit) == (read.problem, "V")
    if not told.problem:
        assert (told.dtype, told.dt) == (read.data.dtype, read.dt)
    assert file.describe(0, "B", "adc") is None


def test_an_auxiliary_word_alone_is_no_mask(one):
    """It was taken for one that holds for all samples, and dropped them."""
    assert good(one(np.arange(100.0), mask=np.ones(1, dtype="u2"))).all()


@pytest.mark.parametrize(
    ("kind", "gives", "refers", "fits"),
    [
        ("adc", (1, 1), (1, 1), True),
        ("adc", (1, 0), (1, 1), False),
        ("adc", (0, 1), (1, 1), False),
        ("proc", (1, 0), (1, 0), True),
        ("proc", (0, 0), (1, 0), False),
    ],
)
def test_a_vector_that_framecpp_does_not_find_is_no_channel_without_it(kind, gives, refers, fits):
    """Of an auxiliary one that is a mask, samples that are no good would be.  What it gives is played: no file is known
    whose references lead to other vectors than frameCPP finds."""
    found = types.SimpleNamespace(get_data_size=lambda: gives[0])
    if kind == "adc":
        found.get_aux_size = lambda: gives[1]
    with contextlib.nullcontext() if fits else pytest.raises(gwf.Damaged, match="a vector of the channel is not there"):
        core._as_referred(found, Owned(*refers), kind)


def test_integers_that_no_float_holds_are_told_as_such(one):
    assert one(np.array([0, 2**53 + 1, 3])).lost == "integers beyond 2^53, which no float holds"
    assert one(np.array([0, 2**53, 3])).lost == ""


@pytest.mark.parametrize(
    ("of_type", "problem"), [(2, "a frequency series"), (4, "a time-frequency series"), (1, ""), (0, ""), (3, "")]
)
def test_a_proc_channel_that_is_no_time_series_is_a_problem(tmp_path, monkeypatch, of_type, problem):
    """They were read as samples, one every so many Hz."""
    made = _core.FrProcData
    monkeypatch.setattr(_core, "FrProcData", lambda name, comment, _, *more: made(name, comment, of_type, *more))
    signals = [Signal(f"V1:{name}", np.arange(10.0), 1.0, kind="proc") for name in "AB"]
    file = gwf.open_file(frame_file(tmp_path, START, 10, *signals))
    for name in ("V1:A", "V1:B"):
        assert file.read(0, name, "proc").problem == problem
        assert file.describe(0, name, "proc").problem == problem
        known = file.describe_all([name])
        assert name not in known or not problem


def test_frames_after_gps_2_to_the_31(tmp_path):
    path = frame_file(tmp_path, 2**31 + 100, 10, Signal("V1:A", np.arange(10.0), 1.0))
    file = gwf.open_file(path)
    assert file.frames == [(2**31 + 100, 0, 10)]
    assert file.read(0, "V1:A", "adc").data.tolist() == list(range(10))


def test_a_channel_that_one_frame_of_a_file_lacks_is_absent_there(tmp_path):
    """It was a file that cannot be read, tried again and again."""
    from test_gwf_adc import FrameL

    told = gwf_adc.Calibration(0.0, 1.0, 16, "V")
    path = FrameL().write(tmp_path / "V-test-0-30.gwf", [{"V1:A": told}, {"V1:A": told, "V1:B": told}, {"V1:B": told}])
    file = gwf.open_file(path)
    there = {name: [file.read(index, name, "adc") is not None for index in range(3)] for name in ("V1:A", "V1:B")}
    assert there == {"V1:A": [True, True, False], "V1:B": [False, True, True]}
    assert file.describe(0, "V1:B", "adc") is None
