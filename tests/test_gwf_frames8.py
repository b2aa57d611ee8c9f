"""The compiled reader of format 8: it gives what frameCPP gives, and of a damaged file nothing that is wrong."""

import ctypes
import errno
import importlib.util
import itertools
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from framemake import compiled, gwf
from framemake.gwf import BadFrame, adc, calls, frames8
from framemake.gwf.core import CoreFile
from framemake.gwf.model import ABSENT, LOOKED, ODD, TAKEN, TYPES, Shape, Spot, Wanted, convertible
from framemake.gwf.write import Signal, write
from gwframe import _core
from hypothesis import given, settings
from hypothesis import strategies as st
from support import damage8, sanitized
from support.bigendian import big_endian
from support.commands import START, frame_file, needs

CODECS = ["RAW", "GZIP", "DIFF_GZIP", "ZERO_SUPPRESS_WORD_2", "ZERO_SUPPRESS_WORD_4", "ZERO_SUPPRESS_WORD_8"]
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
NUMBERS = {dtype: number for number, dtype in TYPES.items()}
KINDS = ["adc", "proc", "sim"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled library of this source: that of the environment, or one made for the tests."""
    found = calls.library()
    if found is None:
        needs("cc")
        path = tmp_path_factory.mktemp("compiled") / "x.so"
        compiled.compile_to(str(path))
        found = calls.Library(ctypes.CDLL(str(path)))
    return found


@pytest.fixture
def both(library):
    return lambda path: assert_equal(path, library)


# What a file has, by either way


def told(series):
    """All that is said of a channel's samples."""
    if not isinstance(series, gwf.Series) or series.data is None:
        return series
    good = np.ones(len(series.data), bool) if series.good is None else series.good
    return series.data.dtype.str, series.data.tobytes(), good.tobytes(), *series[2:]


def attempt(call, *args):
    try:
        return call(*args)
    except BadFrame as error:
        return f"{type(error).__name__}: {error}"


def assert_equal(path, library):
    """How many channels of frames the compiled code takes by itself; all are as frameCPP has them."""
    other, file = CoreFile(path), frames8.Frames8(path, library)
    assert (file.frames, file.verified, set(file.shared)) == (other.frames, other.verified, set(other.shared))
    assert list(file.kinds.items()) == list(other.kinds.items())
    looked = 0
    for index, (name, kind) in itertools.product(range(len(file.frames)), file.kinds.items()):
        assert told(attempt(file.read, index, name, kind)) == told(attempt(other.read, index, name, kind)), name
        described = attempt(file.describe, index, name, kind)
        assert described == attempt(other.describe, index, name, kind), name
        wanted = Wanted([name], [kind])
        file.take(index, wanted)
        looked += wanted.status[0] == LOOKED
    return looked


def coded(path, codec, arrays, rate=10.0, level=1, spacing=None):
    """Write a file of a frame for each list of arrays, ADC channels V1:0, V1:1, ..., packed by one codec.

    spacing: what the vectors say of it, in s, if it is not that of the rate.
    """
    stream = _core.OFrameFStream(str(path))
    for number, some in enumerate(arrays):
        frame = _core.FrameH()
        frame.set_name("framemake")
        frame.set_run(-1)
        frame.set_gps_time(_core.gpstime_from_float(float(START + 1000 * number)))
        frame.set_dt(1000.0)
        alive = []
        for at, data in enumerate(some):
            axis = _core.Dimension(len(data), 1 / rate if spacing is None else spacing, "s", 0.0)
            vector = _core.FrVect(f"V1:{at}", NUMBERS[data.dtype], 1, axis, "V")
            vector.set_data(np.ascontiguousarray(data))
            channel = _core.FrAdcData(f"V1:{at}", 0, 0, 16, rate)
            channel.append_data(vector)
            frame.append_fr_adc_data(channel)
            alive.append((vector, channel))
        frame.write(stream, getattr(_core.FrVect, codec), level)
        del alive
    stream.close()
    return path


def test_a_vector_without_a_spacing_has_that_of_the_channels_rate(both, library, tmp_path):
    path = coded(tmp_path / "a.gwf", "RAW", [[np.arange(20, dtype="f4")]], rate=4.0, spacing=0.0)
    assert both(path) == 1
    assert frames8.Frames8(path, library).read(0, "V1:0", "adc").dt == 0.25


def turned(compress, kind, data):
    """The bytes of a vector with its samples in the other order, as a big-endian writer packs them."""
    size = TYPES[kind].itemsize
    codec = compress & 255
    if codec == 0:
        return 0, np.frombuffer(data, f"<u{size}").byteswap().tobytes()
    if codec in (1, 3):
        packed = zlib.compress(np.frombuffer(zlib.decompress(data), f"<u{size}").byteswap().tobytes(), 9)
        return codec, packed + bytes(len(data) - len(packed))
    return compress, data


def samples(dtype, count, how, seed):
    """Samples of a dtype: steps of all sizes, a constant, a slow walk, the extremes."""
    chance = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if how == "constant":
        return np.full(count, chance.integers(0, 100), dtype)
    if how == "walk":
        return chance.integers(-3, 4, count).cumsum().astype(dtype)
    raw = chance.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    if how == "sparse":
        raw[chance.random(len(raw)) < 0.9] = 0
    return raw.view(dtype)


LENGTHS = st.one_of(st.integers(1, 70), st.integers(71, 5000))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    codec=st.sampled_from(CODECS),
    dtype=st.sampled_from(DTYPES),
    count=LENGTHS,
    how=st.sampled_from(["noise", "sparse", "constant", "walk"]),
    seed=st.integers(0, 2**32),
    turn=st.booleans(),
)
def test_every_codec_dtype_order_and_length(library, tmp_path_factory, codec, dtype, count, how, seed, turn):
    path = tmp_path_factory.mktemp("coded") / "x.gwf"
    data = [samples(dtype, count, how, seed + n) for n in range(2)]
    # What is not compressed at first leaves room for what is, whatever its order.
    coded(path, codec, [data], level=0 if turn else 1)
    if turn:
        path.write_bytes(big_endian(path.read_bytes(), turned))
    looked = assert_equal(path, library)
    file = frames8.Frames8(path, library)
    assert turn or [file.read(0, f"V1:{n}", "adc").data.tobytes() for n in range(2)] == [d.tobytes() for d in data]
    # Only zero-suppression by a big-endian writer is left to frameCPP, which the look at a vector does not tell.
    assert looked == 2


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_codec_is_left_to_framecpp(library, tmp_path, monkeypatch, codec, dtype):
    path = coded(tmp_path / "x.gwf", codec, [[samples(dtype, 300, "walk", 1)]])
    monkeypatch.setattr(frames8, "_by_framecpp", None)
    assert len(frames8.Frames8(path, library).read(0, "V1:0", "adc").data) == 300


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(["i2", "f4", "f8", "i8", "u8"]),
    count=st.sampled_from([1, 2, 16, 48, 100]),
    there=st.sampled_from([None, 1, 2, 3, "all"]),
    mask=st.sampled_from([None, 1, 2, 4, 7, "all"]),
    valid=st.sampled_from([0, 0, 1, 2, 3]),
    seed=st.integers(0, 99),
)
def test_masks_of_every_form(library, tmp_path_factory, kind, dtype, count, there, mask, valid, seed):
    chance = np.random.default_rng(seed)
    data = samples(dtype, count, "noise", seed)
    flags = None if there is None else chance.random(count if there == "all" else there) < 0.7
    words = None
    if mask is not None and kind == "adc":
        words = (chance.random(count if mask == "all" else mask) < 0.3).astype("u2")
    signal = Signal("V1:A", data, 16.0, "m", kind, flags, valid, words, 0.125, 0.5)
    path = tmp_path_factory.mktemp("masked") / "x.gwf"
    write(path, [(START, 10, [signal, Signal("V1:B", data, 16.0, "m", kind)])])
    assert assert_equal(path, library) == 2


def test_real_frames(library, shared):
    paths = [*sorted((shared / "frames").glob("*.gwf"))]
    paths.append(Path(importlib.util.find_spec("gwpy").origin).parent / "testing/data/HLV-HW100916-968654552-1.gwf")
    looked = sum(assert_equal(path, library) for path in paths if path.read_bytes()[5] >= 8)
    assert looked > 150


def test_what_is_out_of_the_ordinary_is_framecpps(both, tmp_path):
    signals = [Signal("complex", np.zeros(10, "c8"), 1.0), Signal("simulated", np.zeros(10), 1.0, kind="sim")]
    signals += [Signal("plain", np.zeros(10), 1.0), Signal("V1:n" * 250, np.zeros(10), 1.0, "m" * 300)]
    assert both(frame_file(tmp_path, START, 10, *signals)) == 2


def test_a_name_that_is_not_plain_is_framecpps(tmp_path):
    path = frame_file(tmp_path, START, 10, Signal("V1:é", np.arange(10.0), 1.0), Signal("V1:A", np.ones(10), 1.0, "µm"))
    file = gwf.open_file(path)
    assert isinstance(file, CoreFile)
    assert file.read(0, "V1:é", "adc").data[9] == 9 and file.read(0, "V1:A", "adc").unit == "µm"


# Whole frames at once


def frame_of_many(path, count=40):
    there = np.arange(100) % 7 != 0
    signals = [Signal(f"V1:{n}", np.arange(100).astype(DTYPES[n % 10]) + n, 10.0, f"u{n % 3}") for n in range(count)]
    signals.append(Signal("V1:M", np.arange(100.0), 10.0, there=there))
    write(path, [(START + 10 * number, 10, signals) for number in range(2)])
    return signals


@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize("floats", [False, True])
def test_a_frame_is_taken_in_one_go(library, tmp_path, flags, floats):
    signals = frame_of_many(tmp_path / "x.gwf")
    file = frames8.Frames8(tmp_path / "x.gwf", library)
    wanted = Wanted([signal.name for signal in signals] + ["V1:NOT"])
    file.take(1, wanted)
    assert wanted.status.tolist() == [LOOKED] * 41 + [ABSENT]
    shapes = {wanted.shape(at): None for at in range(41)}
    assert len(shapes) == 10 and all(shape[1:] == (100, 0.1, 0.0) for shape in shapes)
    spots = []
    for number, shape in enumerate(shapes):
        members = [at for at in range(41) if wanted.shape(at) == shape]
        wanted.spot[members], wanted.row[members] = number, np.arange(len(members))
        # Room between the rows, and two pieces of the samples.
        dtype = convertible(shape.dtype) if floats else shape.dtype
        room = np.full((len(members), 70), 77, dtype)
        good = np.full((len(members), 70), True) if flags else None
        spots.append(Spot(shape, room[:, :60], good and good[:, :60] if good is None else good[:, :60],
                          np.array([[5, 20, 50], [45, 90, 100]])))  # fmt: skip
    wanted.spot[41] = wanted.row[41] = 0
    file.take(1, wanted, spots)
    assert wanted.status.tolist() == [TAKEN] * 41 + [ABSENT]
    for at, signal in enumerate(signals):
        spot, row = spots[wanted.spot[at]], wanted.row[at]
        there = np.ones(100, bool) if signal.there is None else signal.there
        right = np.full(70, 77, spot.out.dtype)
        for column, a, b in spot.pieces:
            piece = right[column : column + b - a]
            piece[:] = np.where(there[a:b] | flags, signal.data[a:b], piece)
        assert (spot.out.base[row] == right).all()
        assert wanted.texts[wanted.channels["unit"][at]] == signal.unit
        assert bool(wanted.channels["masked"][at]) == (signal.there is not None)
        if flags:
            assert spot.good[row, 5:35].tolist() == there[20:50].tolist()


def test_many_are_read_as_each_by_itself(library, tmp_path):
    signals = frame_of_many(tmp_path / "x.gwf")
    names = [signal.name for signal in signals]
    kinds = [Signal(f"V1:{kind}", np.arange(10.0) + 2**60, 1.0, kind=kind) for kind in KINDS]
    kinds += [Signal("V1:C", np.zeros(10, "c8"), 1.0), Signal("V1:0", np.arange(30), 3.0, offset=0.5)]
    frame_file(tmp_path, START, 10, *kinds)
    wanted = Wanted([*names, "V1:NOT", *(signal.name for signal in kinds)])
    # As they are at first, as was expected, and as they are in another file.
    for path in [tmp_path / "x.gwf"] * 2 + [*tmp_path.glob("V-*.gwf"), tmp_path / "x.gwf"]:
        file = frames8.Frames8(path, library)
        for index in range(len(file.frames)):
            found = gwf.read_many(file, index, wanted)
            right = [file.read(index, name, file.kinds.get(name, "adc")) for name in wanted.names]
            assert list(map(told, found)) == list(map(told, right))
            assert list(map(told, gwf.read_many(CoreFile(path), index, Wanted(wanted.names)))) == list(map(told, right))


def test_a_damaged_channel_among_many_is_a_reason_and_the_others_are_whole(library, tmp_path):
    frame_of_many(tmp_path / "x.gwf")
    wanted = Wanted([f"V1:{n}" for n in range(40)])
    right = gwf.read_many(frames8.Frames8(tmp_path / "x.gwf", library), 0, wanted)
    raw = bytearray((tmp_path / "x.gwf").read_bytes())
    raw[raw.index(b"V1:7\0", raw.index(b"V1:7\0") + 1) + 60] ^= 8
    (tmp_path / "x.gwf").write_bytes(raw)
    for again in (wanted, Wanted(wanted.names)):
        found = gwf.read_many(frames8.Frames8(tmp_path / "x.gwf", library), 0, again)
        assert str(found.pop(7)) == "damaged: checksum does not match"
        assert list(map(told, found)) == list(map(told, [*right[:7], *right[8:]]))


def test_calibrations_are_those_of_either_way(library, tmp_path, shared):
    paths = [path for path in sorted((shared / "frames").glob("*.gwf")) if path.read_bytes()[5] >= 8]
    kinds = [Signal(f"V1:{kind}", np.arange(10.0), 1.0, kind=kind, bias=1.5, slope=0.25, nbits=12) for kind in KINDS]
    paths.append(frame_file(tmp_path, START, 10, *kinds, Signal("V1:C", np.zeros(10, "c8"), 1.0, slope=3.0)))
    count = 0
    for path in paths:
        file = frames8.Frames8(path, library)
        assert file.calibrations() == CoreFile(path).calibrations() == adc.calibrations(path)
        some = [*list(file.kinds)[::2], "V1:NOT"]
        assert file.calibrations(some) == adc.calibrations(path, some)
        count += len(file.calibrations())
    assert count > 20


def test_what_is_not_as_expected_is_told_and_nothing_of_it_is_written(library, tmp_path):
    frame_of_many(tmp_path / "x.gwf")
    file = frames8.Frames8(tmp_path / "x.gwf", library)
    for changed in ({"samples": 99}, {"dt": 0.2}, {"offset": 1e-9}, {"dtype": np.dtype("i8")}):
        shape = Shape(np.dtype("f8"), 100, 0.1, 0.0)._replace(**changed)
        wanted, out = Wanted(["V1:9"]), np.zeros((1, 100), shape.dtype)
        wanted.spot[0] = 0
        file.take(0, wanted, [Spot(shape, out, None, np.array([[0, 0, shape.samples]]))])
        assert wanted.status[0] == LOOKED and not out.any()


@pytest.mark.parametrize("piece", [(-1, 0, 5), (0, -1, 5), (0, 5, 4), (0, 0, 101), (91, 0, 10), (2**62, 0, 10)])
@pytest.mark.parametrize("row", [0, -1, 1, 2**40])
def test_nothing_is_written_beyond_what_was_given(library, tmp_path, piece, row):
    frame_of_many(tmp_path / "x.gwf")
    file = frames8.Frames8(tmp_path / "x.gwf", library)
    wanted, out = Wanted(["V1:9"]), np.zeros((1, 100))
    wanted.spot[0], wanted.row[0] = 0, row
    file.take(0, wanted, [Spot(Shape(np.dtype("f8"), 100, 0.1, 0.0), out, None, np.array([piece]))])
    assert wanted.status[0] == ODD and not out.any()


def test_the_channels_of_another_file_are_found_anew(library, tmp_path):
    signals = [Signal(name, np.full(10, float(n)), 1.0) for n, name in enumerate("abc")]
    wanted = Wanted("ca")
    for number, some in enumerate((signals, signals[::-1], signals[1:])):
        path = tmp_path / f"{number}.gwf"
        write(path, [(START, 10, some)])
        out = np.zeros((2, 10))
        wanted.spot[:], wanted.row[:] = 0, [0, 1]
        spots = [Spot(Shape(np.dtype("f8"), 10, 1.0, 0.0), out, None, np.array([[0, 0, 10]]))]
        frames8.Frames8(path, library).take(0, wanted, spots)
        assert out[:, 0].tolist() == [2, 0] and wanted.status.tolist() == [TAKEN, TAKEN if number < 2 else ABSENT]


def test_a_channel_of_another_kind_than_was_said_is_found(library, tmp_path):
    path = frame_file(tmp_path, START, 10, *(Signal(f"V1:{kind}", np.ones(10), 1.0, kind=kind) for kind in KINDS))
    wanted = Wanted([f"V1:{kind}" for kind in KINDS], ["proc", "", "adc"])
    frames8.Frames8(path, library).take(0, wanted)
    assert wanted.status.tolist() == [LOOKED] * 3


def test_of_a_large_file_little_is_read(library, tmp_path):
    path = coded(tmp_path / "x.gwf", "RAW", [[np.zeros(400_000) for _ in range(8)]])
    file = frames8.Frames8(path, library)

    def read(*how):
        before = bytes_read()
        assert how[0](*how[1:])
        return bytes_read() - before

    assert read(file.describe_all, ["V1:3"]) < 200_000
    assert read(file.read, 0, "V1:5", "adc") < 4_000_000 < path.stat().st_size / 5


def bytes_read():
    """Bytes that this process has read from files, cached or not."""
    return int(Path("/proc/self/io").read_text().split()[1])


# Damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Files of every codec, of a dtype that it packs, and one of channels with masks."""
    folder, paths = tmp_path_factory.mktemp("whole"), []
    for codec, dtype in zip(CODECS, ["f4", "f4", "i4", "i2", "i4", "f8"], strict=True):
        arrays = [[samples(dtype, 200, "walk", n + frame) for n in range(3)] for frame in range(2)]
        paths.append(coded(folder / f"{codec}.gwf", codec, arrays))
    there, mask = np.arange(100) % 9 != 0, (np.arange(50) % 7 == 0).astype("u2")
    signals = [Signal(f"V1:{kind}", np.arange(100.0), 10.0, "V", kind=kind, there=there) for kind in KINDS]
    paths.append(folder / "masked.gwf")
    write(paths[-1], [(START, 10, [*signals, Signal("V1:M", np.arange(100), 10.0, mask=mask)])])
    return paths


@pytest.mark.parametrize("what", ["a sample", "the instance", "a sample, and no checksum"])
def test_of_a_damaged_vector_either_way_gives_the_same_reason(library, whole, tmp_path, what):
    raw = whole[-1].read_bytes()
    with open(whole[-1], "rb", buffering=0) as file:
        vector = adc.table(file)[3].classes["FrVect"]
    places = [at for at in damage8.structures(raw) if raw[at + 9] == vector]
    assert len(places) == 8
    for at in places:
        changed = bytearray(raw)
        changed[at + (10 if what == "the instance" else 70)] ^= 1
        if what.endswith("no checksum"):
            end = at + int.from_bytes(raw[at : at + 8], "little")
            changed[end - 4 : end] = bytes(4)
        (tmp_path / "x.gwf").write_bytes(changed)
        assert assert_equal(tmp_path / "x.gwf", library) >= 3


def test_what_no_checksum_tells_crashes_nothing(library, whole):
    counts = damage8.campaign(library, whole, 200, "short")
    assert counts[TAKEN] > 100 and counts[ODD] > 50


@pytest.mark.long
def test_what_no_checksum_tells_under_sanitizers(whole, tmp_path):
    """Also every codec, dtype and form: whatever reads or writes beyond its bounds ends the process."""
    more = []
    forms = itertools.product(CODECS, DTYPES, ("noise", "sparse", "constant", "walk"), (1, 2, 63, 64, 65, 1000))
    for number, (codec, dtype, how, count) in enumerate(forms):
        more.append(coded(tmp_path / f"{number}.gwf", codec, [[samples(dtype, count, how, 1)]]))
    code = """
import json
from framemake.gwf import calls
from support import damage8
library = calls.Library(loaded)
whole, more = json.loads(words[0])
damage8.every_channel(library, whole + more)
print(json.dumps(damage8.campaign(library, whole, 10_000, "long")))
"""
    paths = json.dumps([[str(path) for path in some] for some in (whole, more)])
    counts = json.loads(sanitized.run(tmp_path, code, paths))
    print(counts)
    assert counts[str(TAKEN)] > 1000 and counts[str(ODD)] > 1000


def test_a_file_that_is_cut_while_it_is_open_gives_a_reason(library, tmp_path):
    frame_of_many(tmp_path / "x.gwf")
    file = frames8.Frames8(tmp_path / "x.gwf", library)
    os.truncate(tmp_path / "x.gwf", 500)
    with pytest.raises(BadFrame):
        file.read(0, "V1:9", "adc")


def test_the_checksum_is_the_same_by_either_way(library, monkeypatch):
    raws = [os.urandom(size) for size in (0, 1, 7, 8, 63, 64, 127, 128, 255, 256, 300, 511, 512, 513, 70_001)]
    by_c = [library.cksum(raw) for raw in raws]
    monkeypatch.setattr(calls, "library", lambda: None)
    assert by_c == [adc.cksum(raw) for raw in raws]


# How it is built


def test_another_source_is_another_library(tmp_path, monkeypatch):
    before = compiled.places()
    for number, source in enumerate(compiled.SOURCES):
        (tmp_path / "x.c").write_bytes(Path(source).read_bytes() + b"\n")
        sources = [*compiled.SOURCES[:number], str(tmp_path / "x.c"), *compiled.SOURCES[number + 1 :]]
        monkeypatch.setattr(compiled, "SOURCES", sources)
        assert not {os.path.basename(path) for path in before} & {os.path.basename(path) for path in compiled.places()}
        monkeypatch.undo()


def test_it_is_built_once_and_where_it_can_be(tmp_path, monkeypatch):
    needs("cc")
    path = tmp_path / "there" / "frames8.so"
    monkeypatch.setattr(compiled, "places", lambda: ["/proc/none/frames8.so", str(path)])
    assert compiled.build() == str(path) and [each.name for each in path.parent.iterdir()] == ["frames8.so"]
    assert ctypes.CDLL(str(path)).size_of_struct(-1) == -1
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiled.build() == str(path)
    path.unlink()
    with pytest.raises(compiled.Missing, match=r"^no C compiler: 'no-such-compiler'$"):
        compiled.build()


def test_where_it_cannot_be_built_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "places", lambda: [str(tmp_path / "frames8.so")])
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit, match=r"^no C compiler: 'no-such-compiler'$"):
        compiled.main()
    monkeypatch.setattr(compiled, "library", lambda: None)
    assert compiled.lacking().startswith("frames are read without compiled code")


def test_without_it_framecpp_reads_the_same(tmp_path, monkeypatch):
    signals = frame_of_many(tmp_path / "x.gwf")
    right = [told(gwf.open_file(tmp_path / "x.gwf").read(1, signal.name, "adc")) for signal in signals]
    monkeypatch.setattr(calls, "library", lambda: None)
    file = gwf.open_file(tmp_path / "x.gwf")
    assert isinstance(file, CoreFile)
    assert [told(file.read(1, signal.name, "adc")) for signal in signals] == right
    wanted = Wanted(["V1:0"])
    file.take(0, wanted)
    assert wanted.status.tolist() == [ODD] and file.describe_all(["V1:0"]) == {}


def test_a_read_that_the_system_does_not_give_is_its_error_and_no_damage(library, tmp_path):
    path = tmp_path / "V-a-1396742418-64.gwf"
    write(path, [(START, 64, [Signal(name, np.arange(64, dtype="f4"), 1.0) for name in ("V1:A", "V1:B")])])
    file = frames8.Frames8(path, library)
    handle = os.open(path, os.O_WRONLY)  # of the same file, and none that can be read
    os.dup2(handle, file._file.fileno())
    os.close(handle)
    with pytest.raises(OSError, match="Bad file descriptor") as raised:
        file.read(0, "V1:A", "adc")
    assert raised.value.errno == errno.EBADF and raised.value.filename == str(path)
