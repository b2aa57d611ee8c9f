"""dayfile.DayFile, the one reader of day files: what it says of a day, samples on demand, and what it refuses."""

import contextlib
import os
import random
import re
import resource
import struct
import traceback

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import check, dayfile, earlier, statistics
from framemake.days import find, link, read
from framemake.errors import BadInput
from framemake.report import facts
from framemake.serve import dayfiles
from support.sites import START, Site, ramp, signal


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("day"))
    for minute in (0, 1, 3):
        site.frame(
            60 * minute,
            60,
            [signal("V1:A", first=60 * minute), signal("V1:FAST", 960, 960 * minute, 16.0, unit="um")],
        )
    site.want("V1:A", "V1:FAST", "V1:NEVER")
    assert site.span(240).returncode == 0
    return site


def test_what_it_says_of_itself(site):
    with dayfile.open_day(str(site.h5)) as day:
        assert day.window == gps.Window(START, START + 240)
        assert day.provenance.increment == 60 and day.provenance.compression == "lzf"
        assert day.provenance.channels == ["V1:A", "V1:FAST", "V1:NEVER"]
        assert day.datasets["V1:FAST"] == (16.0, "float32", 3840, float(START), "um")
        assert list(day.datasets) == ["V1:A", "V1:FAST"]
        assert [frame.start - START for frame in day.provenance.frames] == [0, 60, 180]
        assert day.masks() == {"V1:A": "1101", "V1:FAST": "1101", "V1:NEVER": "0000"}
        assert [slot[0] - START for slot in day.slots()] == [0, 60, 120, 180]
        assert list(day.provenance.odd()) == []


def test_samples_of_any_stretch_and_their_statistics(site):
    with dayfile.open_day(str(site.h5)) as day:
        whole = day.samples("V1:A", 0, 240)
        wanted = ramp(240)
        wanted[120:180] = np.nan
        np.testing.assert_array_equal(whole, wanted)
        np.testing.assert_array_equal(day.samples("V1:A", 100, 130), wanted[100:130])
        totals = day.totals()["V1:A"]
        assert totals[statistics.COUNT] == 180 and totals[statistics.MAX] == 239
        assert (totals[statistics.FIRST], totals[statistics.LAST]) == (0, 239)
        assert day.statistics("V1:A").shape[1] == statistics.COLUMNS
        np.testing.assert_array_equal(statistics.combine(day.statistics("V1:A")), totals)
        assert day.dataset("V1:NEVER") is None and day.dataset("V1:A/x") is None
        with pytest.raises(KeyError):
            day.samples("V1:NEVER", 0, 1)


def test_its_stored_chunks_are_all_of_its_samples(site):
    with dayfile.open_day(str(site.h5)) as day:
        moved = h5py.File("none", "w", driver="core", backing_store=False)
        like = day.dataset("V1:FAST")
        copy = moved.create_dataset("copy", like.shape, like.dtype, chunks=like.chunks, compression="lzf", shuffle=True,
                                    fillvalue=np.nan)  # fmt: skip
        for first, data, mask in day.chunks("V1:FAST", lambda first: True):
            copy.id.write_direct_chunk((first,), data, mask)
        np.testing.assert_array_equal(copy[()], day.samples("V1:FAST", 0, 3840))
        assert not list(day.chunks("V1:FAST", lambda first: False))


def test_a_file_that_is_replaced_meanwhile_stays_what_it_was(site, tmp_path):
    path = tmp_path / "day.h5"
    path.write_bytes(site.h5.read_bytes())
    with dayfile.open_day(str(path)) as day:
        (tmp_path / "new").write_bytes(b"another")
        (tmp_path / "new").rename(path)
        assert day.samples("V1:A", 0, 1)[0] == 0 and list(day.chunks("V1:A", lambda first: True))


def test_a_dataset_that_lies_in_another_file_is_none(site, tmp_path):
    path = tmp_path / "day.h5"
    path.write_bytes(site.h5.read_bytes())
    with h5py.File(path, "a") as file:
        file["channels/V1:LINK"] = h5py.ExternalLink(str(site.h5), "channels/V1:A")
    with dayfile.open_day(str(path)) as day:
        assert day.dataset("V1:LINK") is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"no HDF5"), "cannot be read as HDF5"),
        (lambda path: h5py.File(path, "w").close(), "not a day file of this project"),
    ],
)
def test_what_is_no_day_file_is_named(tmp_path, make, words):
    path = tmp_path / "x.h5"
    make(path)
    with pytest.raises(BadInput, match=words) as refused:
        dayfile.open_day(str(path))
    assert repr(str(path)) in str(refused.value)
    assert earlier.find(str(path)) is None


def test_what_holds_of_an_earlier_day(site):
    held = earlier.find(str(site.h5))
    assert "V1:A" in held and "V1:NEVER" in held and "V1:OTHER" not in held
    assert held.fits(gps.Window(START, START + 240), 60, "lzf")
    assert not held.fits(gps.Window(START, START + 240), 60, "gzip")
    assert not held.fits(gps.Window(START, START + 180), 60, "lzf")
    frames = held.day.provenance.frames
    pairs = held.day.provenance.account.pairs
    account = held.account(frames[:2], [pair for pair in pairs if pair[0] < 2], ["V1:FAST"], {1})
    # Of the first increment the first file, of the second nothing, as it is read anew; the third file is gone.
    assert account.pairs == [(0, 0)] and account.gave.tolist() == [[account.units["um"]]]
    assert account.seen == {"V1:FAST"}
    held.day.close()


# --- damage ----------------------------------------------------------------------------------


def look(path):
    """All that reads a day file, each of which is to name it or to find it well; the BadInput of those that do."""
    found = []

    def try_(what):
        try:
            return what()
        except BadInput as error:
            # A name with another letter is that of another channel.
            assert repr(path) in str(error) or "no day has the channel" in str(error)
            found.append(error)
        return None

    def going_on():
        if kept := earlier.find(path):
            with kept.day:
                kept.copy_to(f"{path}.copy")
                for name in kept.day.datasets:
                    kept.grid_of(name)
                    if name in kept:
                        kept.statistics(name)
                        list(kept.chunks(name, {0}, 60))

    for room in (check.structure, check.samples):
        try_(lambda room=room: list(room(path)))
    try_(lambda: check.missing(path))
    try_(lambda: find.take(path))
    try_(lambda: facts.take(path))
    try_(going_on)
    try_(lambda: link._read(path))

    def read_all():
        # HDF5 has a file once, as long as anybody has it open.
        with contextlib.closing(read.open_days(path)) as days:
            return [days.read(name) for name in ("V1:A", "V1:FAST")]

    try_(read_all)
    try_(lambda: [dayfiles.OpenChannels().channel(path, name) for name in ("V1:A", "V1:FAST")])
    return found


def test_damage_of_any_structure_of_hdf5_is_told_by_the_name_of_the_file(site, tmp_path):
    """A bit of each signature of a B-tree, a heap and a table of names."""
    whole, path = site.h5.read_bytes(), tmp_path / site.h5.name
    path.write_bytes(whole)
    assert look(str(path)) == []
    places = [found.start() for found in re.finditer(b"TREE|SNOD|HEAP|GCOL", whole)]
    assert len(places) > 10
    told = 0
    for place in places:
        bad = bytearray(whole)
        bad[place] ^= 1
        path.write_bytes(bad)
        told += bool(look(str(path)))
    assert told > len(places) * 0.6


@pytest.mark.parametrize(
    "letters",
    [
        (b'"float32"', b'"gloat32"'),
        (b"2024-04-10T", b"2024-04-1PT"),
        (b"1.0, ", b"-.0, "),
        (b"[16.0, ", b"[56.0, "),
        (struct.pack("<d", 16.0), struct.pack("<d", 16.0 * 2**64)),  # units of such a rate were looked for for ever
    ],
)
def test_another_letter_in_what_a_day_file_says_is_told_by_the_name_of_the_file(site, tmp_path, letters):
    path = tmp_path / site.h5.name
    path.write_bytes(site.h5.read_bytes().replace(*letters))
    assert look(str(path))


@pytest.mark.long
def test_no_flipped_bit_of_what_a_day_file_says_makes_a_reader_hang_or_fail_unnamed(site, tmp_path):
    """In processes of their own, with a limit.

    The lengths of texts in the global heap are left out: over another one HDF5 goes on for ever, whoever reads an
    attribute (HDFGroup/hdf5 issue 1707 has such a file).
    """
    whole, path = site.h5.read_bytes(), tmp_path / site.h5.name
    samples = np.zeros(len(whole), dtype=bool)
    with h5py.File(site.h5) as file:
        for dataset in file["channels"].values():
            for number in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(number)
                samples[chunk.byte_offset : chunk.byte_offset + chunk.size] = True
    left_out = samples
    for heap in re.finditer(b"GCOL", whole):
        (size,) = struct.unpack_from("<Q", whole, heap.start() + 8)
        at, number = heap.start() + 16, 1
        while number and at + 16 <= heap.start() + size:
            number, length = struct.unpack_from("<H6xQ", whole, at)
            left_out[at + 8 : at + 16] = True
            at += 16 + (length + 7) // 8 * 8
    chance = random.Random(os.environ.get("FRAMEMAKE_SEED", "1"))
    for place in chance.sample(np.flatnonzero(~left_out).tolist(), 500):
        bad, bit = bytearray(whole), chance.randrange(8)
        bad[place] ^= 1 << bit
        path.write_bytes(bad)
        child = os.fork()
        if not child:
            status = 9
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                look(str(path))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, f"byte {place}, bit {bit}"
