"""The band of a stream: min and max of every point to the last bit, from what is kept or without it."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from framemake.streams import envelope, reading, store
from framemake.streams.records import Info
from support import stream_files
from support import streams as made

pytestmark = pytest.mark.quick
START, NAME = 1148000400, "H0:PEM-EX_SEISX"
MINUTES = 60_000
INFO = Info("double", 64, 0.5, -2.0, "counts")


def make(folder, count=MINUTES, bend=None):
    """A stream with gaps and zeros; bend: from this minute on, its samples are others."""
    chance = np.random.default_rng(7)
    mean = chance.normal(0, 100, MINUTES)
    mean[chance.integers(0, MINUTES, 200)] = 0
    mean[31_234] = 9e5
    if bend is not None:
        mean[bend:] += 1
    written = stream_files.Written(INFO, 256)
    for first, stop in ((0, 20_000), (20_700, 20_701), (21_000, 33_333), (33_400, count)):
        written.file(START + 60 * first, 60, mean[first:stop].tolist(), (1.1 * abs(mean[first:stop]) + 1).tolist())
    written.write(folder, NAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("envelope")
    make(at)
    return at


def renew(folder):
    return envelope.renew(str(folder), store.open_stream(str(folder), NAME))


def slowly(stream, kind, edges):
    """Min and max of each point, of all samples one by one."""
    times, values = reading.each(stream, kind, 0, len(stream.records))
    good = ~np.isnan(values)
    times, values = times[good], values[good]
    found = [values[(times >= a - 1e-6) & (times < b - 1e-6)] for a, b in itertools.pairwise(edges)]
    return [(held.min(), held.max()) if len(held) else None for held in found]


@pytest.mark.parametrize("kind", ("mean", "rms"))
@pytest.mark.parametrize(
    ("first", "last", "count"),
    ((0, MINUTES, 7), (0, MINUTES, 800), (17.3, 59_000.2, 113), (30_000, 34_000, 50), (-500, 90_000, 20), (5, 9, 9)),
)
def test_min_and_max_are_those_of_the_samples(folder, kind, first, last, count):
    stream = store.open_stream(str(folder), NAME)
    blocks = envelope.load(str(folder), stream)
    _, values, edges = reading.curve(stream, kind, START + 60 * first, START + 60 * last, count)
    low, high = envelope.band(stream, blocks, kind, edges, values)
    for at, wanted in enumerate(slowly(stream, kind, edges)):
        if wanted is None:
            assert np.isnan(low[at]) or low[at] == high[at] == values[at]
        else:
            assert (low[at], high[at]) == wanted


def test_a_minute_stands_out_over_the_whole(folder):
    stream = store.open_stream(str(folder), NAME)
    _, values, edges = reading.curve(stream, "rms", START, START + 60 * MINUTES, 10)
    low, _ = envelope.band(stream, envelope.load(str(folder), stream), "rms", edges, values)
    # The scale of the stream is -2.
    assert low.min() < -1.9e6 < 50 * values.min()


def test_what_is_kept_is_what_is_made_and_grows_with_the_stream(tmp_path):
    make(tmp_path, 40_000)
    made = renew(tmp_path)
    assert made > 500 and renew(tmp_path) == 0
    make(tmp_path)
    path = Path(envelope.path_of(str(tmp_path), NAME))
    before = path.read_bytes()
    more = renew(tmp_path)
    after = path.read_bytes()
    assert after.startswith(before) and len(after) - len(before) == 56 * more > 0
    assert sorted(os.listdir(tmp_path)) == [".framemake", *(f"{NAME}{suffix}" for suffix in sorted(store.SUFFIXES))]
    assert same(tmp_path)


def same(folder):
    """Whether what is read of a folder is what is made without anything kept."""
    stream = store.open_stream(str(folder), NAME)
    with_it, without = envelope.load(str(folder), stream), envelope.load("/none", stream)
    return (with_it.low == without.low).all() and (with_it.high == without.high).all()


@pytest.mark.parametrize("how", ("torn", "garbage", "zeros", "another", "gone", "folder"))
def test_what_is_damaged_is_made_again(tmp_path, how):
    make(tmp_path)
    renew(tmp_path)
    path = Path(envelope.path_of(str(tmp_path), NAME))
    held = path.read_bytes()
    if how == "another":
        # The stream's end is written again, as after a late file: the blocks before it still count.
        make(tmp_path, bend=50_000)
    elif how in ("gone", "folder"):
        path.unlink()
    if how == "folder":
        path.mkdir()
    if how in ("torn", "garbage", "zeros"):
        cut = {"torn": held[:1000], "garbage": held[:5600] + b"x" * 9000, "zeros": held[:-560] + bytes(560)}[how]
        path.write_bytes(cut)
    assert same(tmp_path)
    if how != "folder":
        made = renew(tmp_path)
        assert made < 300 if how in ("another", "zeros") else made > 600
        assert same(tmp_path) and renew(tmp_path) == 0


def test_a_link_in_its_place_is_neither_followed_nor_written_to(tmp_path):
    """The importer may write where others may not: what a link leads to is not its own."""
    make(tmp_path, 40_000)
    renew(tmp_path)
    path, other = Path(envelope.path_of(str(tmp_path), NAME)), tmp_path / "other"
    path.rename(other)
    path.symlink_to(other)
    held = other.read_bytes()
    make(tmp_path)
    assert renew(tmp_path) > 800
    assert not path.is_symlink() and other.read_bytes() == held and same(tmp_path)


def test_a_last_sample_whose_length_only_the_next_one_tells_is_not_kept(tmp_path):
    written = stream_files.Written(INFO, 256).file(START, 60, [1.0] * 127)
    written.file(START + 127 * 60, 1, [500.0]).write(tmp_path, NAME)
    renew(tmp_path)
    written.file(START + 127 * 60 + 1, 1, [501.0] * 300).write(tmp_path, NAME)
    assert same(tmp_path)
    renew(tmp_path)
    assert same(tmp_path)


def test_an_import_keeps_it_for_each_stream_and_no_other(tmp_path):
    frames, out = tmp_path / "frames", tmp_path / "streams"
    names = {"H0:PEM-EX_SEISX": "f4", "H0:PEM-EX_RAIN": "i4"}
    for hour in range(5):
        made.frame(frames, made.NIGHT + hour * made.HOUR, names)
    made.imported(frames, out)
    folder = os.path.dirname(envelope.path_of(str(out), NAME))
    assert sorted(os.listdir(folder)) == [f"{name}.v1" for name in sorted(names)]
    for path in ("H0:GONE.v1", ".left.tmp"):
        Path(folder, path).touch()
    os.unlink(envelope.path_of(str(out), "H0:PEM-EX_RAIN"))
    # An import that finds nothing new makes what is missing.
    made.imported(frames, out)
    assert sorted(os.listdir(folder)) == [f"{name}.v1" for name in sorted(names)]
    assert same(out)


def test_an_empty_stream_has_an_empty_band(tmp_path):
    stream_files.Written().write(tmp_path, NAME)
    stream = store.open_stream(str(tmp_path), NAME)
    _, values, edges = reading.curve(stream, "rms", START, START + 100, 5)
    found = envelope.band(stream, envelope.load(str(tmp_path), stream), "rms", edges, values)
    assert np.isnan(found).all() and renew(tmp_path) == 0
