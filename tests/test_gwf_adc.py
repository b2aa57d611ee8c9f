"""Bias, slope, bits and units of ADC channels: as FrameL writes and reads them, and that no damage gets through."""

import ctypes
import os
import re
import struct
import subprocess

import numpy as np
import pytest
from framemake import gwf
from framemake.gwf import BadFrame, adc
from framemake.gwf.adc import Calibration, calibrations
from framemake.gwf.write import Signal, write
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bigendian import big_endian
from support.commands import START, frame_file, needs, needs_package

# Volts a count of a 16-bit converter of 20 V, exact in REAL_4.
SLOPE = 10 / 32768


class FrameL:
    """The C library behind lalframe: a second writer and reader of FrAdcData, called as its FrameL.h says."""

    def __init__(self):
        import lalframe

        self._library = ctypes.CDLL(lalframe._lalframe.__file__)
        if not hasattr(self._library, "FrAdcDataNewF"):
            pytest.skip("lalframe is not built on FrameL here")
        self._libc = ctypes.CDLL(None)

    def _call(self, name, *args, returns=ctypes.c_void_p, library=None):
        function = getattr(library or self._library, name)
        function.restype = returns
        return function(*args)

    def write(self, path, frames):
        """A frame file: frames is a list of {channel: Calibration}."""
        out = ctypes.c_void_p(self._call("FrFileONew", os.fsencode(path), 0))
        for channels in frames:
            frame = ctypes.c_void_p(self._call("FrameNew", b"framemake"))
            for number, (name, told) in enumerate(channels.items()):
                numbers = 7, number, told.nbits, ctypes.c_float(told.bias), ctypes.c_float(told.slope)
                rate, samples = ctypes.c_double(10), ctypes.c_long(100)
                text = name.encode(), b"made by a test"
                assert self._call("FrAdcDataNewF", frame, *text, *numbers, told.units.encode(), rate, samples)
            assert self._call("FrameWrite", frame, out, returns=ctypes.c_int) == 0
            self._call("FrameFree", frame)
        self._call("FrFileOEnd", out, returns=ctypes.c_int)
        return path

    def read(self, path, names, tmp_path):
        """{channel: 'nBits=... bias=... slope=... units=...'} of the first frame, as FrAdcDataDump prints them.

        What it has read stays in memory: a channel may point to one read before as its next, and FrAdcDataFree
        frees both.
        """
        told = {}
        source = ctypes.c_void_p(self._call("FrFileINew", os.fsencode(path)))
        for name in names:
            found = ctypes.c_void_p(self._call("FrAdcDataReadI", source, name.encode(), 0))
            out = ctypes.c_void_p(self._call("fopen", os.fsencode(tmp_path / "dump"), b"w", library=self._libc))
            self._call("FrAdcDataDump", found, out, 0, returns=None)
            self._call("fclose", out, returns=ctypes.c_int, library=self._libc)
            match = re.search(r"nBits=\S+ bias=\S+ slope=\S+( units=.*)?$", (tmp_path / "dump").read_text(), re.M)
            told[name] = match[0]
        self._call("FrFileIEnd", source, returns=None)
        return told


@pytest.fixture(scope="session")
def framel():
    needs_package("lalframe")
    return FrameL()


def dumped(told):
    return f"nBits={told.nbits} bias={told.bias:g} slope={told.slope:g} units={told.units}"


CHANNELS = {
    "V1:ENV_TEMP-mean.1": Calibration(0.0, 1.0, 32, "C"),
    "V1:LSC_DARM": Calibration(-2.5, SLOPE, 16, "Volts"),
    "V1:NO_UNITS": Calibration(1e-30, -1e30, 12, ""),
    "V1:INF": Calibration(float("-inf"), float("inf"), 24, "m/s^2 Hz^(-1/2)"),
    "V1:" + "LONG_" * 100: Calibration(0.5, 0.0, 1, "x" * 300),
}
# Of REAL_4: what the numbers above become in the file.
STORED = {
    name: told._replace(bias=float(np.float32(told.bias)), slope=float(np.float32(told.slope)))
    for name, told in CHANNELS.items()
}


# What was written is what comes back


def test_what_framel_has_written_comes_back_to_the_last_bit(framel, tmp_path):
    path = framel.write(tmp_path / "V-test-0-10.gwf", [CHANNELS])
    assert calibrations(path) == STORED


def test_only_the_names_asked_for_come_and_missing_ones_are_left_out(framel, tmp_path):
    path = framel.write(tmp_path / "V-test-0-10.gwf", [CHANNELS])
    asked = (name for name in ["V1:INF", "V1:NEVER_THERE", "V1:LSC_DARM", "V1:INF"])
    assert calibrations(path, asked) == {name: STORED[name] for name in ["V1:INF", "V1:LSC_DARM"]}
    assert calibrations(path, []) == {}
    assert calibrations(os.fspath(path), ["V1"]) == {}


def test_a_channel_has_the_calibration_of_the_first_frame_that_has_it(framel, tmp_path):
    first, second, third = (Calibration(float(k), k / 4, 16, f"unit{k}") for k in (1, 2, 3))
    frames = [{"V1:A": first}, {"V1:A": second, "V1:B": second}, {"V1:B": third, "V1:C": third, "V1:A": third}]
    path = framel.write(tmp_path / "V-test-0-30.gwf", frames)
    assert calibrations(path) == {"V1:A": first, "V1:B": second, "V1:C": third}


def test_the_projects_own_frames_have_what_their_signals_say(framel, tmp_path):
    data = np.arange(10, dtype="i2")
    others = [Signal("V1:B", data.astype("f8"), 1.0, "V"), Signal("V1:C", data, 1.0, "V", kind="proc")]
    first, second = (Signal("V1:A", data, 1.0, "V", bias=bias, slope=SLOPE, nbits=12) for bias in (1.5, 2.5))
    path = tmp_path / f"V-test-{START}-20.gwf"
    write(path, [(START, 10, [first, *others]), (START + 10, 10, [second, *others])])
    told = {"V1:A": Calibration(1.5, SLOPE, 12, ""), "V1:B": Calibration(0.0, 1.0, 64, "")}
    assert calibrations(path) == told
    assert framel.read(path, told, tmp_path) == {name: dumped(each) for name, each in told.items()}
    # The second frame has its own, and the file is still whole for a reader of its samples.
    with open(path, "rb") as file:
        order, _, places = adc.positions(file)
        assert struct.unpack_from("<f", adc.structure_at(file, order, places["V1:A"][1]), 14 + 7 + 3 + 12) == (2.5,)
    assert gwf.open_file(path).read(1, "V1:A", "adc").data.tolist() == data.tolist()
    assert path.read_bytes()[-4:] == struct.pack("<I", adc.cksum(path.read_bytes()[:-4]))


def test_a_file_without_adc_channels_has_no_calibration(tmp_path):
    signal = Signal("V1:P", np.zeros(10), 1.0, kind="proc")
    assert calibrations(frame_file(tmp_path, START, 10, signal)) == {}


def test_text_that_is_no_utf8_comes_as_other_text_of_the_project_does(framel, tmp_path):
    path = framel.write(tmp_path / "V-test-0-10.gwf", [{"V1:A": Calibration(0.0, 1.0, 16, "um")}])
    reseal(path, "V1:A", lambda raw: raw.replace(b"um\0", b"\xb5m\0"))
    assert calibrations(path)["V1:A"].units == "\udcb5m"


# Real frames, read by a second reader


def real_files(shared):
    return [*sorted((shared / "frames").glob("*.gwf")), *sorted((shared / "elab" / "frames").glob("*/*/*/*.gwf"))]


@pytest.mark.slow
def test_framel_reads_the_same_of_every_adc_channel_of_real_frames(framel, shared, tmp_path):
    compared = 0
    for path in real_files(shared):
        found = calibrations(path)
        if path.name != "H-CAL_FAC-600000000-6000.gwf":  # of format 6, and not as its checksum says
            assert set(found) == {name for name, kind in gwf.open_file(path).kinds.items() if kind == "adc"}
        assert framel.read(path, found, tmp_path) == {name: dumped(told) for name, told in found.items()}, path
        compared += len(found)
    assert compared > 500


def test_virgos_own_example_has_a_slope(shared):
    told = set(calibrations(shared / "frames/V-available-925484670-20.gwf").values())
    assert Calibration(0.0, 10 / 32768, 16, "Volts") in told


def test_the_streams_of_the_original_importer_have_these_bits_and_units(shared):
    infos = sorted((shared / "elab/streams").rglob("*.info"))
    assert infos
    told = {}
    for path in real_files(shared):
        told.update((name.removesuffix(".mean").replace("-", "_"), each) for name, each in calibrations(path).items())
    for path in infos:
        bias, slope, nbits, units = told[path.name.removesuffix(".info").replace("-", "_")]
        lines = path.read_text().splitlines()[1:]
        assert lines == [f"nbits = {nbits}", f"bias = {bias:g}", f"slope = {slope:g}", f"units = {units}"]


def test_files_of_formats_before_8_give_nothing(shared):
    assert calibrations(shared / "frames/v6/F-TEST-600000000-60.gwf") == {}
    assert calibrations(shared / "frames/H-CAL_FAC-600000000-6000.gwf") == {}


def test_of_a_large_file_little_is_read(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).standard_normal(20000)
    path = frame_file(tmp_path, START, 1, *(Signal(f"V1:A{i}", noise, 20000.0) for i in range(30)))
    sizes, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *args: sizes.append(args[1]) or pread(*args))
    assert len(calibrations(path)) == 30
    assert sum(sizes) < path.stat().st_size / 100


# Byte order


def test_a_big_endian_file_gives_the_same(framel, tmp_path):
    little = framel.write(tmp_path / "V-little-0-20.gwf", [CHANNELS, CHANNELS])
    big = tmp_path / "V-big-0-20.gwf"
    big.write_bytes(big_endian(little.read_bytes()))
    assert big.read_bytes()[12:14] == b"\x12\x34"
    assert calibrations(big) == STORED
    assert framel.read(big, STORED, tmp_path) == {name: dumped(told) for name, told in STORED.items()}


def test_the_checksum_is_that_of_cksum(tmp_path):
    needs("cksum")
    for size in (0, 1, 255, 256, 70000):
        raw = np.random.default_rng(size).bytes(size)
        out = subprocess.run(["cksum"], input=raw, capture_output=True, check=True).stdout
        assert out.split()[0].decode() == str(adc.cksum(raw))


# Damage


def reseal(path, name, change):
    """Change the bytes of a channel's FrAdcData, to others as long, and make its checksum right."""
    with open(path, "r+b") as file:
        order, _, places = adc.positions(file)
        position = places[name][0]
        raw = adc.structure_at(file, order, position)
        changed = change(raw[:-4])
        assert len(changed) == len(raw) - 4 and changed != raw[:-4]
        os.pwrite(file.fileno(), changed + struct.pack(order + "I", adc.cksum(changed)), position)


def seal_end(raw):
    """The bytes of a little-endian file, with the checksums of its header and end made right."""
    raw = bytearray(raw)
    raw[-12:-8] = struct.pack("<I", adc.cksum(bytes(raw[:40])))
    raw[-8:-4] = struct.pack("<I", adc.cksum(bytes(raw[-46:-8])))
    return bytes(raw)


def unsealed(path):
    """The bytes of a little-endian file in which no structure that is read has a checksum."""
    raw = bytearray(path.read_bytes())
    with open(path, "rb") as file:
        _, _, places = adc.positions(file)
    (back,) = struct.unpack_from("<Q", raw, len(raw) - 20)
    for at in [len(raw) - 46, len(raw) - back, *(position for row in places.values() for position in row)]:
        raw[at + 8] = 0
    raw[-12:-8] = bytes(4)
    return bytes(raw)


def outcome(path):
    """What comes of a file that may be damaged: its calibrations, or 'bad'."""
    try:
        return calibrations(path)
    except BadFrame as bad:
        assert str(bad) and "\n" not in str(bad) and not str(bad).endswith(".")
        return "bad"


@pytest.fixture
def small(tmp_path):
    """A small file of two frames, and what it says."""
    told = {"V1:A": Calibration(2.5, SLOPE, 12, ""), "V1:BC": Calibration(0.0, 1.0, 16, "")}
    data = np.zeros(2, "i2")
    signals = [Signal("V1:A", data, 1.0, bias=2.5, slope=SLOPE, nbits=12), Signal("V1:BC", data, 1.0)]
    path = tmp_path / f"V-small-{START}-4.gwf"
    write(path, [(START, 2, signals), (START + 2, 2, signals)])
    assert calibrations(path) == told
    return path, told


@pytest.mark.long
def test_any_byte_may_change_and_the_answer_is_right_or_none(small):
    path, told = small
    raw, bad = path.read_bytes(), 0
    with open(path, "r+b", buffering=0) as file:
        for at, byte in enumerate(raw):
            for other in {byte ^ 0x01, byte ^ 0x80, 6} - {byte}:
                os.pwrite(file.fileno(), bytes([other]), at)
                got = outcome(path)
                assert got in ("bad", told), (at, byte, other)
                bad += got == "bad"
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert bad > 1000


def test_a_file_cut_anywhere_is_bad(small):
    path, _ = small
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        assert outcome(path) == "bad", size


def test_a_file_with_something_after_its_end_is_bad(small):
    path, _ = small
    with open(path, "ab") as file:
        file.write(b"\0")
    with pytest.raises(BadFrame, match="no table of contents"):
        calibrations(path)


def test_what_is_wrong_is_said(small, tmp_path):
    path, _ = small
    raw, other = path.read_bytes(), tmp_path / "other.gwf"

    def reason(data):
        other.write_bytes(data)
        with pytest.raises(BadFrame) as told:
            calibrations(other)
        return str(told.value)

    assert reason(b"") == "empty file"
    assert reason(b"IGWD\0") == reason(b"text\n" * 20) == "not a frame file"
    assert reason(raw[:-1]) == "cut short or damaged: no table of contents"
    assert reason(raw[:-1] + b"x" + raw[-1:]) == "cut short or damaged: no table of contents"
    assert reason(raw[:200] + raw[210:]) == "cut short or damaged: no table of contents"
    assert reason(raw[:5] + b"\x06" + raw[6:]) == "damaged: checksum does not match"
    assert reason(raw[:-20] + bytes(8) + raw[-12:]) == "damaged: checksum does not match"
    assert reason(seal_end(raw[:-20] + bytes(8) + raw[-12:])) == "cut short or damaged: no table of contents"
    assert reason(seal_end(raw[:5] + b"\x09" + raw[6:])) == "frame format 9, which is not known here"
    assert reason(raw[:12] + b"\0\0" + raw[14:]) == "damaged: no byte order in the file header"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"V1:A\0", b"V1:B\0"),
        lambda raw: raw[:9] + bytes([raw[9] + 1]) + raw[10:],
        lambda raw: raw.replace(b"\x05\0V1:A\0", b"\x04\0V1:A\0"),
        lambda raw: raw.replace(b"\x05\0V1:A\0", b"\xff\xffV1:A\0"),
        lambda raw: raw[:44] + b"\x09" + raw[45:],
    ],
    ids=["another name", "another class", "a short name", "a long name", "long units"],
)
def test_a_structure_that_is_not_that_of_the_channel_is_bad(small, change):
    path, _ = small
    reseal(path, "V1:A", change)
    with pytest.raises(BadFrame, match="does not fit"):
        calibrations(path)
    assert set(calibrations(path, ["V1:BC"])) == {"V1:BC"}


def test_what_cannot_be_opened_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        calibrations(tmp_path / "V-none-0-1.gwf")
    with pytest.raises(OSError):
        calibrations(tmp_path)


EXTREMES = [bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\xfe\xff\xff\xff", b"\xff\xff", b"\0\0\0\x80", b"\1"]


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory):
    """A small file without checksums, so that only lengths and names protect it: path, bytes, where FrTOC begins."""
    path = tmp_path_factory.mktemp("open") / f"V-open-{START}-4.gwf"
    signals = [Signal(f"V1:{'ABC'[k] * (k + 1)}", np.zeros(2, "i2"), 1.0) for k in range(3)]
    write(path, [(START, 2, signals), (START + 2, 2, signals)])
    raw = unsealed(path)
    path.write_bytes(raw)
    assert len(calibrations(path)) == 3
    return path, raw, len(raw) - struct.unpack_from("<Q", raw, len(raw) - 20)[0]


def overwritten(path, raw, changes):
    """What comes of a file with these (place, bytes) in it."""
    with open(path, "r+b", buffering=0) as file:
        for at, what in changes:
            os.pwrite(file.fileno(), what[: len(raw) - at], at)
        try:
            return outcome(path)
        finally:
            for at, what in changes:
                os.pwrite(file.fileno(), raw[at : at + len(what)], at)


def test_the_largest_number_stands_for_none_of_a_thing(open_to_all):
    path, raw, table = open_to_all
    # Before the first name: how many detectors, types and blocks of static data, ADC channels.
    names = raw.index(b"\x05\0V1:A\0", table)
    assert struct.unpack_from("<4I", raw, names - 16) == (0, 0, 0, 3)
    for back in (16, 12, 8):
        assert overwritten(path, raw, [(names - back, b"\xff" * 4)]) == calibrations(path)
    assert overwritten(path, raw, [(names - 4, b"\xff" * 4)]) == {}


@pytest.mark.slow
def test_garbage_at_any_place_of_the_table_of_contents_ends_well(open_to_all):
    path, raw, table = open_to_all
    told = [overwritten(path, raw, [(at, what)]) for at in range(table, len(raw)) for what in EXTREMES]
    assert told.count("bad") > 1000
    assert path.read_bytes() == raw


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbage_without_checksums_ends_well(open_to_all, data):
    path, raw, table = open_to_all
    places = st.one_of(st.integers(table, len(raw) - 1), st.integers(0, len(raw) - 1))
    garbage = st.one_of(st.sampled_from(EXTREMES), st.binary(min_size=1, max_size=8))
    overwritten(path, raw, data.draw(st.lists(st.tuples(places, garbage), min_size=1, max_size=4)))
