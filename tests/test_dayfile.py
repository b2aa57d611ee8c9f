"""dayfile.DayFile, the one reader of day files: what it says of a day, samples on demand, and what it refuses."""

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import dayfile, earlier, statistics
from framemake.errors import BadInput
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
