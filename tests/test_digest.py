"""The digest of a channel: of its samples alone, whatever the compression and however the day was built."""

import hashlib

import framemake
import h5py
import numpy as np
import pytest
from framemake.day import check, dayfile, earlier, statistics
from framemake.gps import Window
from support.day_files import day_file
from support.sites import START, Site, signal

NAN = np.nan


def by_hand(dataset, span):
    """The formula of day.statistics, as anybody would write it down."""
    whole = hashlib.sha256()
    for at in range(0, len(dataset), span):
        samples = dataset[at : at + span]
        gone = np.isnan(samples)
        samples[gone] = np.nan
        whole.update(bytes(32) if gone.all() else hashlib.sha256(samples.tobytes()).digest())
    return whole.hexdigest()


def told(path):
    """{channel: (digest, span)} by the day file, each of which must be that of its samples."""
    found = {}
    with h5py.File(path) as file, dayfile.open_day(str(path)) as day:
        for table in file["provenance/statistics"].values():
            for number, digest, span in zip(table["members"], table["sha256"], table["span"], strict=True):
                name = day.provenance.channels[number]
                found[name] = digest.decode(), int(span)
                assert digest.decode() == by_hand(file["channels"][name], span) == day.digest_of(name)
                assert framemake.digest(file["channels"][name], int(span)) == digest.decode()
    return found


def samples(count=86400, gaps=((7000, 7500), (20000, 40000))):
    values = np.random.default_rng(3).standard_normal(count).astype("f4")
    for begin, end in gaps:
        values[begin:end] = NAN
    return values


def test_it_is_the_same_whatever_the_compression(tmp_path):
    window = Window(START, START + 86400)
    channels = {"V1:A": (1.0, 0.0, samples()), "V1:B": (2.0, 0.5, samples(172800).astype("f8"))}
    found = [
        told(day_file(tmp_path / f"{compression}.h5", channels, window, compression=compression))
        for compression in ("lzf", "gzip", "none")
    ]
    assert found[0] == found[1] == found[2] and found[0]["V1:A"][1] == 7200
    assert found[0]["V1:A"][0] != found[0]["V1:B"][0]


def test_any_nan_is_one_nan_and_any_bit_counts(tmp_path):
    values = samples(600, ((10, 20),))
    other = values.copy()
    other.view("u4")[12] = 0xFFC12345  # another NaN
    assert framemake.digest(values, 100) == framemake.digest(other, 100) == by_hand(values.copy(), 100)
    for position, value in ((0, np.nextafter(values[0], 9, dtype="f4")), (599, NAN), (12, 0.0)):
        other = values.copy()
        other[position] = value
        assert framemake.digest(other, 100) != framemake.digest(values, 100)
    zero = np.zeros(600, dtype="f4")
    assert framemake.digest(zero, 600) != framemake.digest(-zero, 600)


@pytest.fixture
def site(tmp_path):
    """Six minutes of two channels, of which one is not in each frame; a hole of a minute, and a late frame of it."""
    site = Site(tmp_path)
    for minute in (0, 1, 2, 4, 5):
        names = ("V1:A", "V1:B") if minute != 2 else ("V1:A",)
        site.frame(60 * minute, 60, [signal(name, first=60 * minute) for name in names])
    site.want("V1:A", "V1:B")
    return site


def late(site):
    site.frame(180, 60, [signal(name, first=180) for name in ("V1:A", "V1:B")])


def test_it_is_the_same_however_the_day_was_built(site, tmp_path):
    site.span()
    early = told(site.h5)
    late(site)
    site.span(keep=site.h5)
    kept = told(site.h5)
    site.h5.unlink()
    site.span()
    assert told(site.h5) == kept and set(kept) == {"V1:A", "V1:B"} and kept != early
    covered = site.json("coverage")
    assert {name: (entry["sha256"], entry["sha256_span"]) for name, entry in covered.items()} == kept
    assert list(check.samples(str(site.h5))) == []


def without_digests(path):
    """Make a day file one of before there were digests."""
    with h5py.File(path, "r+") as file:
        for table in file["provenance/statistics"].values():
            values = table["values"][..., :7]
            for name in ("values", "sha256", "span"):
                del table[name]
            table["values"] = values


def test_an_older_file_gets_one_when_it_is_built_on(site):
    site.span()
    want = told(site.h5)
    without_digests(site.h5)
    with dayfile.open_day(str(site.h5)) as day:
        assert day.digest_of("V1:A") == "" and day.totals()["V1:A"].shape == (7,)
    assert list(check.samples(str(site.h5))) == []
    held = earlier.find(str(site.h5))
    assert statistics.joined(held.statistics("V1:B")[:, statistics.WORDS]) == want["V1:B"][0]
    held.day.close()
    site.want("V1:A", "V1:B", "V1:NONE")
    site.span(keep=site.h5)
    assert told(site.h5) == want


def test_a_sample_that_is_another_is_found_without_frames(tmp_path):
    day = day_file(tmp_path / "day.h5", {"V1:A": (1.0, 0.0, samples())}, Window(START, START + 86400))
    assert list(check.samples(day)) == []
    with h5py.File(day, "r+") as file:
        file["channels/V1:A"][50000] += 1e-3
    what = "its samples are not those that were written: their SHA-256 differs"
    assert list(check.samples(day)) == [("V1:A", "", "", what)]
