"""The Kind of a channel from the heads of its structures: what frameCPP tells, or nothing."""

import numpy as np
import pytest
from framemake import gwf
from framemake.gwf import heads
from framemake.gwf.write import Signal, write
from support.commands import START, frame_file

DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def agrees(path):
    """How many channels of a file are told from their heads; each as frameCPP tells it."""
    file = gwf.open_file(path)
    told = file.describe_all(list(file.kinds))
    assert told == {name: file.describe(0, name, file.kinds[name]) for name in told}
    return len(told)


@pytest.mark.parametrize("kind", ["adc", "proc"])
def test_every_dtype_rate_and_unit(tmp_path, kind):
    signals = [Signal("first", np.zeros(10), 1.0, kind=kind)]  # before it the file explains its structures
    signals += [Signal(f"V1:{t}", np.arange(40).astype(t), 4.0, f"unit of {t}", kind=kind) for t in DTYPES]
    path = frame_file(tmp_path, START, 10, *signals)
    assert agrees(path) == len(DTYPES)
    assert gwf.open_file(path).describe_all(["V1:f4"]) == {"V1:f4": gwf.Kind(np.dtype("f4"), 0.25, "unit of f4")}


def test_what_is_out_of_the_ordinary_is_left_to_framecpp(tmp_path):
    signals = [Signal("first", np.zeros(10), 1.0), Signal("complex", np.zeros(10, "c8"), 1.0)]
    signals += [Signal("simulated", np.zeros(10), 1.0, kind="sim"), Signal("plain", np.zeros(10), 1.0)]
    file = gwf.open_file(frame_file(tmp_path, START, 10, *signals))
    assert file.describe_all(["first", "complex", "simulated", "plain", "not there"]).keys() == {"plain"}


def test_names_and_units_of_any_length(tmp_path):
    signals = [Signal(name * 250, np.zeros(10), 1.0, "m" * 300) for name in "ab"]
    assert agrees(frame_file(tmp_path, START, 10, *signals)) == 1


def test_a_file_of_several_frames_tells_of_the_first(tmp_path):
    frames = [(START + 10 * n, 10, [Signal(c, np.zeros(10 * (n + 1)), n + 1.0) for c in "ab"]) for n in range(2)]
    write(tmp_path / "x.gwf", frames)
    assert gwf.open_file(tmp_path / "x.gwf").describe_all(["b"])["b"].dt == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adc", "proc"])
def test_damage_gives_nothing_or_what_was_written(tmp_path, kind):
    signals = [Signal(c, np.zeros(10, "f4"), 1.0, "m", kind=kind) for c in "abc"]
    path = frame_file(tmp_path, START, 10, *signals)
    raw = path.read_bytes()
    right = heads.read(path, {kind: "abc"})
    assert len(right) == 2
    for at in range(0, len(raw), 11):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :])
        for name, told in heads.read(path, {kind: "abc"}).items():
            # A FrVect's own bytes are not held against its checksum here: the reading does that.
            assert name in right and len(told) == 3
    for size in range(0, len(raw), 7):
        path.write_bytes(raw[:size])
        assert heads.read(path, {kind: "abc"}) == {}


def test_real_frames(shared):
    paths = [p for p in sorted((shared / "frames").glob("*.gwf")) if p.read_bytes()[5] >= 8]
    assert sum(map(agrees, paths)) > 40
