"""Thousands of damaged frame files: each is read right, or reported, and none gives a wrong sample without a word.

The real files of the shared data, of formats 4, 6 and 8, by FrameL and frameCPP, of both byte orders; and files written
here with every codec, of one frame and of many.  Each gets flipped bits, cuts, joins, zeroed ranges, bytes put in or
taken out, and changed heads of structures.  The short form runs always, the long one in make test-long.
"""

import collections
import importlib.util
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from framemake import gwf
from framemake.day import reader
from framemake.gwf import adc, apart, old
from framemake.gwf.core import CoreFile
from framemake.gwf.model import TYPES as DTYPES
from framemake.gwf.write import Signal, write
from gwframe import _core
from support.commands import ROOT, START, command

# Hundreds of damages, each in files of its own.
pytestmark = pytest.mark.slow

HEAD, END = 40, 46
SHORT, LONG = 360, 10_000
CODECS = ["RAW", "GZIP", "DIFF_GZIP", "ZERO_SUPPRESS_WORD_2", "ZERO_SUPPRESS_WORD_4", "ZERO_SUPPRESS_WORD_8"]
WORDS = {"ZERO_SUPPRESS_WORD_2": "i2", "ZERO_SUPPRESS_WORD_4": "i4", "ZERO_SUPPRESS_WORD_8": "f8", "DIFF_GZIP": "i4"}


# --- files to be damaged -------------------------------------------------------------------


def coded(path, codec, frames):
    """Write a file of so many frames of three channels, its vectors packed by one codec."""
    stream = _core.OFrameFStream(str(path))
    noise = np.random.default_rng(3).integers(-50, 50, 400).cumsum()
    for number in range(frames):
        frame = _core.FrameH()
        frame.set_name("framemake")
        frame.set_run(-1)
        frame.set_gps_time(_core.gpstime_from_float(float(START + 10 * number)))
        frame.set_dt(10.0)
        alive = []
        for name in ("V1:A", "V1:B", "V1:C"):
            data = np.ascontiguousarray((noise + number).astype(WORDS.get(codec, "f4")))
            vector = _core.FrVect(name, TYPES[data.dtype], 1, _core.Dimension(len(data), 0.025, "s", 0.0), "V")
            vector.set_data(data)
            channel = _core.FrAdcData(name, 0, 0, 16, 40.0)
            channel.append_data(vector)
            frame.append_fr_adc_data(channel)
            alive.append((vector, channel))
        frame.write(stream, getattr(_core.FrVect, codec), 6)
        del alive
    stream.close()


TYPES = {dtype: code for code, dtype in DTYPES.items()}


def masked(path):
    """Two frames of channels with Virgo's second vector and with a CDS mask, of all kinds."""
    there, mask = np.arange(100) % 9 != 0, (np.arange(50) % 7 == 0).astype("u2")
    frames = []
    for number in range(2):
        data = np.arange(100.0) + number
        kinds = [Signal(f"V1:{kind}", data, 10.0, "V", kind=kind, there=there) for kind in ("adc", "proc", "sim")]
        frames.append((START + 10 * number, 10, [*kinds, Signal("V1:MASK", data, 10.0, mask=mask)]))
    write(path, frames)


def without_checksum(path, source):
    """A file of format 6 that says of itself that it has no checksum."""
    raw = bytearray(source.read_bytes())
    raw[-16:-8] = bytes(8)
    path.write_bytes(raw)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, shared):
    folder = tmp_path_factory.mktemp("whole")
    for codec in CODECS:
        for frames in (1, 4):
            coded(folder / f"{codec}-{frames}.gwf", codec, frames)
    masked(folder / "masked.gwf")
    without_checksum(folder / "no-checksum.gwf", shared / "frames/v6/F-TEST-600000000-60.gwf")
    real = [*(shared / "frames").glob("*.gwf"), *(shared / "frames").glob("v*/*")]
    real.append(Path(importlib.util.find_spec("gwpy").origin).parent / "testing/data/HLV-HW100916-968654552-1.gwf")
    return sorted([*folder.iterdir(), *real], key=lambda path: path.name)


# --- damage --------------------------------------------------------------------------------


def flipped(raw, chance, _):
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)


def cut(raw, chance, _):
    del raw[chance.choice([chance.randrange(len(raw)), len(raw) - 1 - chance.randrange(100)]) :]


def joined(raw, chance, other):
    how = chance.randrange(3)
    if how == 0:
        raw += other
    elif how == 1:
        raw[chance.randrange(len(raw)) :] = other[chance.randrange(len(other)) :]
    else:
        raw[:] = raw[: chance.randrange(len(raw))] + raw[chance.randrange(len(raw)) :]


def zeroed(raw, chance, _):
    at, count = chance.randrange(len(raw)), chance.choice([4, 64, 512, 4096])
    raw[at : at + count] = bytes(len(raw[at : at + count]))


def shifted(raw, chance, _):
    at = chance.randrange(len(raw))
    raw[at : at + chance.choice([0, 1, 8])] = chance.randbytes(chance.choice([0, 1, 8]))


def structures(raw):
    """Where the structures of a file of format 8 begin."""
    order, found, at = "<" if raw[12] == 0x34 else ">", [], HEAD
    while raw[5] == 8 and at < len(raw) - END:
        found.append(at)
        at += struct.unpack_from(order + "Q", raw, at)[0]
    return found


def headed(raw, chance, _):
    """A head of a structure: length, checksum type, class or instance; or that of another in its place."""
    places = structures(raw)
    if not places:
        flipped(raw, chance, _)
        return
    at, other = chance.choice(places), chance.choice(places)
    where, count = chance.choice([(0, 8), (8, 1), (9, 1), (9, 1), (10, 4), (10, 4), (10, 4)])
    if chance.random() < 0.4:
        raw[at + where : at + where + count] = raw[other + where : other + where + count]
    elif chance.random() < 0.5:
        raw[at + where] = (raw[at + where] + chance.choice([1, 2, 255])) % 256
    else:
        raw[at + where + chance.randrange(count)] ^= 1 << chance.randrange(8)


DAMAGES = [flipped, cut, joined, zeroed, shifted, headed, headed]


# --- what comes of it ----------------------------------------------------------------------


def content(path, opened=gwf.open_file):
    """{(frame, channel): all that is said of its samples}, of an open file; what cannot be read is None."""
    file = opened(path)
    found = {}
    for index, frame in enumerate(file.frames):
        for name, kind in file.kinds.items():
            try:
                series = file.read(index, name, kind)
            except gwf.BadFrame as error:
                assert_for_people(error, path)
                found[frame, name] = None
                continue
            if series is not None:
                found[frame, name] = told(series)
    return file.frames, dict(file.kinds), file.verified, found


def told(series):
    if series.data is None:
        return series.problem
    good = np.ones(len(series.data), bool) if series.good is None else series.good
    values = np.where(good, series.data, np.zeros_like(series.data))
    return values.dtype.str, values.tobytes(), good.tobytes(), series.offset, series.dt, series.unit


def assert_for_people(error, path):
    said = str(error)
    assert said and "\n" not in said and len(said) < 120
    for word in ("0x", "::", "/", "Error", "frameCPP", "Xlal", "XLAL", str(path)):
        assert word not in said, said


def verdict(path, whole):
    """'right', 'reported', 'unverified' or, for a silent fault, what it is."""
    frames, kinds, was_verified, right = whole
    try:
        now_frames, now_kinds, verified, now = content(path)
    except gwf.BadFrame as error:
        assert_for_people(error, path)
        return "reported"
    lost = [key for key in right if key not in now]
    wrong = [key for key, value in now.items() if value is not None and value != right.get(key)]
    if lost or wrong or now_frames != frames or now_kinds != kinds:
        if not verified and not was_verified:
            return "unverified"
        return f"silent: lost {lost[:3]}, wrong {wrong[:3]}, frames {now_frames != frames}, {now_kinds != kinds}"
    return "reported" if None in now.values() else "right"


def by_framecpp(path):
    """What frameCPP alone gives, {} where it refuses the file."""
    try:
        return content(path, CoreFile)[3]
    except gwf.BadFrame:
        return {}


def campaign(sources, folder, count, seed, twice=False):
    """{verdict: how many} of so many damaged files, and the first silent ones.

    twice: those of format 8 are read by frameCPP alone as well, and it is silent too where the two do not agree.
    """
    whole, counts, silent = {}, collections.Counter(), []
    for path in sources:
        try:
            whole[path] = content(path)
        except gwf.BadFrame:
            # FrameL's of 2001, and one whose checksum is wrong as it is: refused whole and damaged.
            whole[path] = [], {}, "v4" not in path.parts, {}
    contents = {path: path.read_bytes() for path in sources}
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        path = sources[number % len(sources)]
        damage = DAMAGES[number // len(sources) % len(DAMAGES)]
        raw = bytearray(contents[path])
        damage(raw, chance, contents[chance.choice(sources)])
        if bytes(raw) == contents[path]:
            counts["whole"] += 1
            continue
        target = folder / "damaged.gwf"
        target.write_bytes(raw)
        found = verdict(target, whole[path])
        if twice and raw[:5] == b"IGWD\0" and raw[5] == 8 and found in ("right", "reported"):
            try:
                now = content(target)[3]
            except gwf.BadFrame:
                now = {}
            other = by_framecpp(target)
            if any(now[key] != other[key] for key in now.keys() & other.keys() if now[key] and other[key]):
                found = "silent: the two ways do not agree"
        counts[found.partition(":")[0]] += 1
        if found.startswith("silent"):
            silent.append(f"{number}: {path.name} {damage.__name__}: {found}")
    return counts, silent


@pytest.mark.slow
def test_no_damage_gives_a_wrong_sample_without_a_word(sources, tmp_path):
    counts, silent = campaign(sources, tmp_path, SHORT, "short")
    assert not silent, "\n".join(silent[:20])
    assert counts["reported"] > SHORT / 2 and counts.total() == SHORT, counts


@pytest.mark.long
def test_ten_thousand_damages(sources, tmp_path):
    counts, silent = campaign(sources, tmp_path, LONG, "long", twice=True)
    print(dict(counts), f"{old._PROCESS.starts} processes for formats before 8")
    assert not silent, f"{len(silent)} of {dict(counts)}:\n" + "\n".join(silent[:40])
    assert counts.total() == LONG


# --- one fault each ------------------------------------------------------------------------


def heads_of(raw, kind):
    """Where the structures of a class begin."""
    return [at for at in structures(raw) if raw[at + 9] == kind]


def vectors(path):
    """(bytes of a file, where its FrVect begin)."""
    raw = bytearray(path.read_bytes())
    with open(path, "rb") as file:
        _, _, _, table = adc.table(file)
    return raw, heads_of(raw, table.classes["FrVect"])


def changed(raw, at, form, *values):
    other = bytearray(raw)
    struct.pack_into("<" + form, other, at, *values)
    return other


@pytest.mark.parametrize("what", ["class", "instance", "instance of a later frame"])
def test_a_vector_whose_head_is_damaged_is_damage_and_never_another_vector(tmp_path, what):
    """frameCPP passes such a vector over: it took the same one of the next frame, or gave none, or lost the mask."""
    path = tmp_path / "masked.gwf"
    masked(path)
    _, _, _, right = content(path)
    raw, places = vectors(path)
    damaged = 0
    for at in places:
        kind, instance = raw[at + 9], struct.unpack_from("<I", raw, at + 10)[0]
        other = {"class": (kind ^ 3, instance), "instance": (kind, instance + 100)}.get(what, (kind, instance + 1))
        path.write_bytes(changed(raw, at + 9, "BI", *other))
        _, _, _, now = content(path)
        assert now.keys() == right.keys()
        assert all(value in (None, right[key]) for key, value in now.items())
        damaged += None in now.values()
    assert len(places) == 16 and damaged == len(places)


@pytest.mark.parametrize("opened", [gwf.open_file, CoreFile])
def test_a_channel_whose_length_is_damaged_is_damage_and_not_without_data(tmp_path, opened):
    """Its reference to the data was read in the wrong place, where there may be none, and no checksum looked at."""
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{n}", np.arange(10.0), 1.0, kind="proc") for n in range(3)])])
    raw, _ = vectors(path)
    with open(path, "rb") as file:
        _, _, _, table = adc.table(file)
    for n in range(3):
        (at,) = table.channels["proc"].positions(f"V1:{n}")
        (length,) = struct.unpack_from("<Q", raw, at)
        for more in (-8, -1, 1, 6, 10, 24, 40):
            path.write_bytes(changed(raw, at, "Q", length + more))
            with pytest.raises(gwf.BadFrame, match=r"^damaged: "):
                opened(path).read(0, f"V1:{n}", "proc")


def test_a_vector_that_lies_elsewhere_in_its_frame_is_found(tmp_path):
    """A writer may put all vectors behind all channels."""
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{n}", np.arange(10.0) + n, 1.0) for n in range(3)])])
    raw, places = vectors(path)
    with open(path, "rb") as file:
        _, _, _, table = adc.table(file)
    owners = [table.channels["adc"].positions(f"V1:{n}")[0] for n in range(3)]
    # The vector of the second channel and the third channel change places.
    length = lambda at: struct.unpack_from("<Q", raw, at)[0]  # noqa: E731
    at, third = places[1], owners[2]
    assert at + length(at) == third
    moved = raw[:at] + raw[third : third + length(third)] + raw[at:third] + raw[third + length(third) :]
    place = moved.rindex(struct.pack("<Q", third))
    struct.pack_into("<Q", moved, place, at)
    _resealed(moved)
    path.write_bytes(moved)
    file = gwf.open_file(path)
    for n in (0, 1):
        assert file.read(0, f"V1:{n}", "adc").data.tolist() == (np.arange(10.0) + n).tolist()


def _resealed(raw):
    """Make the checksums of the table of contents and of the file right again."""
    back = struct.unpack_from("<Q", raw, len(raw) - 20)[0]
    at = len(raw) - back
    length = struct.unpack_from("<Q", raw, at)[0]
    struct.pack_into("<I", raw, at + length - 4, adc.cksum(bytes(raw[at : at + length - 4])))
    struct.pack_into("<I", raw, len(raw) - 4, adc.cksum(bytes(raw[:-4])))


OLD = "F-TEST-600000000-60.gwf"


def test_a_flipped_bit_in_a_file_of_format_6_is_refused_by_its_checksum(shared, tmp_path):
    raw = bytearray((shared / "frames/v6" / OLD).read_bytes())
    raw[2_000_000] ^= 1
    (tmp_path / OLD).write_bytes(raw)
    with pytest.raises(gwf.Damaged, match=r"^damaged: checksum does not match$"):
        gwf.open_file(tmp_path / OLD)


def test_a_file_of_format_4_is_verified_too(shared, tmp_path):
    path = shared / "frames/v4/F-600000060-6-10.F"
    file = gwf.open_file(path)
    assert file.verified and len(file.read(0, "H1:LSC-AS_Q", "adc").data) == 163840
    raw = bytearray(path.read_bytes())
    raw[1_000_000] ^= 64
    (tmp_path / "x.gwf").write_bytes(raw)
    with pytest.raises(gwf.Damaged, match="checksum"):
        gwf.open_file(tmp_path / "x.gwf")


def test_framels_files_of_2001_are_refused_by_name(shared):
    with pytest.raises(gwf.BadFrame, match=r"^format 4 as FrameL wrote it in 2001"):
        gwf.open_file(shared / "frames/v4/P-682830712-2-6.F")


def test_framels_file_of_format_8_is_read(shared):
    file = gwf.open_file(shared / "frames/V-framel-test.gwf")
    assert len(file.frames) == 10 and len(file.kinds) == 10 and file.verified
    for name, kind in file.kinds.items():
        assert all(not file.read(index, name, kind).problem for index in range(10))


def test_a_file_without_a_checksum_is_told_as_such(shared, tmp_path):
    path = tmp_path / OLD
    without_checksum(path, shared / "frames/v6" / OLD)
    file = gwf.open_file(path)
    assert not file.verified and len(file.read(5, "H1:LSC-AS_Q", "adc").data) == 163840
    (tmp_path / "list").write_text("H1:LSC-AS_Q\n")
    span = ("--start", "600000000", "--end", "600000060", "--increment", "10")
    command("extract-increment", path, tmp_path / "list", *span, "--parts", tmp_path / "parts")
    done = command("pad-merge", tmp_path / "parts", "--out", tmp_path / "day.h5")
    assert done.stderr == f"pad-merge: no checksum, damage in it cannot be seen: {str(path)!r}\n"
    command("summarize", tmp_path / "day.h5")
    assert json.loads((tmp_path / "day.summary.json").read_text())["unverified_frames"] == [str(path)]


def test_the_reader_of_old_formats_may_be_killed_at_any_time(shared):
    path = shared / "frames/v6" / OLD
    file, starts = gwf.open_file(path), old._PROCESS.starts
    first = file.read(0, "H1:LSC-AS_Q", "adc").data
    for _ in range(2):
        os.kill(old._PROCESS._process.pid, signal.SIGKILL)
        assert (file.read(0, "H1:LSC-AS_Q", "adc").data == first).all()
    assert old._PROCESS.starts == starts + 2


def test_the_reader_of_old_formats_ends_with_its_owner(shared):
    code = "import sys; from framemake import gwf; from framemake.gwf import old; gwf.open_file(sys.argv[1]);"
    code += "print(old._PROCESS._process.pid, flush=True); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    words = [sys.executable, "-c", code, shared / "frames/v6" / OLD]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    process = Path("/proc", done.stdout.strip())
    for _ in range(100):
        if not process.exists() or "(zombie)" in (process / "status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"it is still there: {process}")


def test_the_reader_of_old_formats_has_bounded_memory(shared):
    path = str(shared / "frames/v6" / OLD)
    assert apart.Apart("framemake.gwf.lalreader").ask(path=path, cksum=True)[0]["valid"]
    with pytest.raises((apart.Ended, apart.Refused)):
        poor = apart.Apart("framemake.gwf.lalreader", -(40 << 20))
        poor.ask(path=path, cksum=False)
        poor.ask(path=path, name="H1:LSC-AS_Q", index=0)


def test_a_file_that_ends_its_reader_is_bad_and_its_neighbours_are_kept(shared, tmp_path):
    """The table of contents of such a file makes libframel ask for all memory, or crash."""
    whole = (shared / "frames/v6" / OLD).read_bytes()
    bad = tmp_path / "bad.gwf"
    without_checksum(bad, shared / "frames/v6" / OLD)
    raw = bytearray(bad.read_bytes())
    (back,) = struct.unpack(">Q", raw[-8:])
    place = len(raw) - back + 14 + 2
    assert struct.unpack_from(">I", raw, place) == (6,), "the number of frames in the table of contents"
    struct.pack_into(">I", raw, place, 0x7FFFFFF0)
    bad.write_bytes(raw)
    good = tmp_path / OLD
    good.write_bytes(whole)
    neighbour = gwf.open_file(good)
    with pytest.raises(gwf.BadFrame, match=r"^damaged: "):
        gwf.open_file(bad)
    assert len(neighbour.read(3, "H1:LSC-AS_Q", "adc").data) == 163840


# --- what a reader tries again -------------------------------------------------------------


def test_retries_belong_to_a_file_and_a_wrong_checksum_is_not_tried_again(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(reader.time, "sleep", slept.append)
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{n}", np.arange(200.0), 20.0) for n in range(20)])])
    raw, places = vectors(path)
    for at in places:
        raw[at + 60] ^= 255
    path.write_bytes(raw)
    readers = reader.Reader(retries=3)
    file = readers.open(str(path))
    for n in range(20):
        with pytest.raises(gwf.BadFrame):
            readers.read(str(path), file, 0, f"V1:{n}", "adc")
    assert slept == []

    class Failing:
        def read(self, *_):
            raise OSError(5, "Input/output error")

    for n in range(20):
        with pytest.raises(gwf.Unreadable):
            readers.read("other", Failing(), 0, f"V1:{n}", "adc")
    assert len(slept) == 3


def test_a_name_that_one_kind_has_twice_is_told(tmp_path):
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{name}", np.arange(10.0), 1.0) for name in "AB"])])
    assert gwf.open_file(path).shared == set()
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"V1:B\0")
    raw[at : at + 4] = b"V1:A"
    _resealed(raw)
    path.write_bytes(raw)
    assert gwf.open_file(path).shared == {"V1:A"}


@pytest.mark.parametrize("count", [1 << 30, 1 << 40, 2**63])
def test_a_vector_that_says_it_is_huge_takes_no_memory(tmp_path, count):
    """frameCPP asked for that much before it looked at the checksum: 23 GB, and the system ended the whole day."""
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{n}", np.arange(10.0), 1.0) for n in range(3)])])
    raw, places = vectors(path)
    for at in places:
        for where, form in ((14 + 2 + 5 + 12, "Q"), (_dimensions(raw, at), "I")):
            path.write_bytes(changed(raw, at + where, form, count if form == "Q" else min(count, 2**32 - 1)))
            number = places.index(at)
            with pytest.raises(gwf.BadFrame, match=r"^damaged: a length or position does not fit$"):
                gwf.open_file(path).read(0, f"V1:{number}", "adc")
            other = (number + 1) % 3
            assert len(gwf.open_file(path).read(0, f"V1:{other}", "adc").data) == 10


def _dimensions(raw, at):
    """Where, from its begin, a vector with a name of five bytes says how many dimensions it has."""
    return 14 + 2 + 5 + 20 + struct.unpack_from("<Q", raw, at + 14 + 2 + 5 + 12)[0]


@pytest.mark.parametrize("how", ["checksum of 0", "no type of checksum"])
def test_a_vector_whose_checksum_was_wiped_is_damage(tmp_path, how):
    """frameCPP takes that for a vector without one, and gives whatever is there; so zeroed ranges gave zeros."""
    path = tmp_path / "x.gwf"
    write(path, [(START, 10, [Signal(f"V1:{n}", np.arange(50.0), 5.0) for n in range(3)])])
    raw, places = vectors(path)
    for number, at in enumerate(places):
        damaged = bytearray(raw)
        damaged[at + 70] ^= 1
        (length,) = struct.unpack_from("<Q", raw, at)
        if how == "checksum of 0":
            damaged[at + length - 4 : at + length] = bytes(4)
        else:
            damaged[at + 8] = 0
        path.write_bytes(damaged)
        with pytest.raises(gwf.Damaged, match=r"^damaged: checksum does not match$"):
            gwf.open_file(path).read(0, f"V1:{number}", "adc")
