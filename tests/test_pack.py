"""Chunks that we compress ourselves: the samples come back to the bit, and the same samples give the same bytes."""

import numpy as np
import pytest
from framemake import compiled
from framemake.day import pack
from hypothesis import given
from hypothesis import strategies as st
from support import sanitized
from support.commands import needs
from support.packing import KINDS, RANDOM, there_and_back


def is_compiled():
    if compiled.library() is None:
        needs("cc")
        pytest.fail("there is a compiler, but nothing is compiled: see make setup")


@pytest.fixture(params=["compiled", "imagecodecs"])
def way(request, monkeypatch):
    """Either way to pack."""
    if request.param == "compiled":
        is_compiled()
    if request.param == "imagecodecs":
        monkeypatch.setattr(pack, "_call", lambda: None)


@pytest.mark.parametrize("compression", pack.COMPRESSIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_samples_come_back_to_the_bit(way, kind, dtype, compression):
    for count, chunk in ((1, 1), (2, 5), (13, 3), (7200, 7200), (20_000, 7200), (70_000, 40_000)):
        with np.errstate(invalid="ignore"):
            samples = KINDS[kind](count).astype(dtype)
        got = there_and_back(samples, chunk, compression)
        assert got[:count].tobytes() == samples.tobytes() and np.isnan(got[count:]).all()


@given(st.data())
def test_any_bytes_come_back(data):
    """Texts of few letters have matches of any length and distance."""
    chunk, size = data.draw(st.integers(1, 300)), data.draw(st.sampled_from([4, 8]))
    letters = data.draw(st.binary(min_size=1, max_size=4))
    some = st.lists(st.tuples(st.sampled_from(letters), st.integers(1, 600)), max_size=30)
    raw = b"".join(bytes([letter]) * times for letter, times in data.draw(some))
    samples = np.frombuffer(raw[: len(raw) // size * size], f"f{size}")
    holds = np.array(data.draw(st.lists(st.booleans(), min_size=len(samples), max_size=len(samples))), bool)
    holds = holds[: -(-len(samples) // chunk)]
    got = there_and_back(samples, chunk, "lzf", holds)
    for number, held in enumerate(holds):
        want, piece = samples[number * chunk : (number + 1) * chunk], got[number * chunk : (number + 1) * chunk]
        assert piece[: len(want)].tobytes() == want.tobytes() if held else np.isnan(piece).all()


@pytest.mark.parametrize("compression", pack.COMPRESSIONS)
def test_the_bytes_do_not_tell_what_was_compressed_before(way, compression):
    """HDF5's own LZF filter fails this: about one chunk of trend data in a thousand differs."""
    drift = np.sin(np.arange(7200 * 400) * (2 * np.pi / 86400))
    chunks = [(piece + RANDOM.normal(0, 0.1, 7200)).astype("f4") for piece in drift.reshape(400, 7200)]
    forward = [pack.one(chunk, 7200, compression) for chunk in chunks]
    backward = [pack.one(chunk, 7200, compression) for chunk in reversed(chunks)][::-1]
    assert forward == backward
    buffer = np.empty_like(chunks[0])
    for chunk, want in zip(chunks, forward, strict=True):
        buffer[:] = chunk  # always the same place in memory
        assert pack.one(buffer, 7200, compression) == want


def test_what_is_compiled_packs_as_small():
    """Skipping where nothing matches costs a few bytes in a hundred at most."""
    is_compiled()
    for kind in ("walk", "counts", "steps", "period"):
        samples = KINDS[kind](7200)
        ours, theirs = len(pack.one(samples, 7200, "lzf")[0]), len(pack._packed(samples, "lzf"))
        assert ours < 1.03 * theirs, kind


@pytest.mark.long
def test_packing_under_sanitizers(tmp_path):
    """Whatever reads or writes beyond its bounds ends the process."""
    code = """
from support import packing
print(packing.all_lengths())
assert packing.pack._call() is not None and packing.statistics._call() is not None
"""
    assert int(sanitized.run(tmp_path, code)) > 5000
