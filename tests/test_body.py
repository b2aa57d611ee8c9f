"""The body of a day of fast channels: a day file that is made of it holds what one that is written holds."""

import errno
import math
import os

import numpy as np
import pytest
from framemake import files
from framemake.day import body, layout, plan
from support.inside import DaySite, inside
from support.sites import Signal, contents, ramp, samples_without_times, signal

pytestmark = pytest.mark.quick
RATE = 256
MINUTE = 60 * RATE
NAMES = ("V1:A", "V1:B", "V1:SLOW")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose small days are read in many parts; what has 256 Hz is fast."""
    monkeypatch.setattr(plan, "_SMALL", 1)
    monkeypatch.setattr(body, "FAST", MINUTE * 4)
    site = DaySite(tmp_path / "site")
    site.want(*NAMES)
    return site


def usual(minute):
    fast = [signal(name, MINUTE, first=MINUTE * minute + at, rate=RATE) for at, name in enumerate(NAMES[:2])]
    return [*fast, signal(NAMES[2], first=60 * minute)]


def fill(site, odd=None, minutes=range(6)):
    for minute in minutes:
        site.frame(60 * minute, 60, (odd or {}).get(minute, usual)(minute))
    return site


def wide(minute):
    a, *others = usual(minute)
    return [Signal("V1:A", a.data.astype("f8") + 1e-9, RATE, "V"), *others]


def shifted(minute):
    a, *others = usual(minute)
    return [Signal("V1:A", a.data, RATE, "V", offset=0.25 / RATE), *others]


def slower(minute):
    return [signal("V1:A", MINUTE // 2, rate=RATE / 2), *usual(minute)[1:]]


def half(minute):
    a, *others = usual(minute)
    a.data[MINUTE // 2 :] = math.nan
    return [a, *others]


def without(minute):
    return usual(minute)[1:]


def is_of_body(site):
    """Whether the day file is the body of the parts."""
    bodies = {path.stat().st_ino for path in site.parts.glob("*.body")}
    return site.h5.stat().st_ino in bodies


# What a minute of the day is, if it is not usual, and whether the day file is the body all the same.
ODD = {
    "nothing odd": ({}, True),
    "holes": ({1: half}, True),
    "not there at first, nor later": ({0: without, 4: without}, True),
    "wider from some time on": ({3: wide}, False),
    "wider at first": ({0: wide}, False),
    "some lie between the others": ({4: shifted, 5: shifted}, False),
    "most lie between the first": ({minute: shifted for minute in range(1, 6)}, False),
    "another rate for some time": ({2: slower}, False),
    "another rate for most of the time": ({minute: slower for minute in range(1, 6)}, False),
}


@pytest.mark.parametrize("case", ODD)
def test_a_day_that_is_the_body_holds_what_a_day_that_is_written_holds(case, site, tmp_path, monkeypatch):
    odd, is_body = ODD[case]
    fill(site, odd).build()
    assert is_of_body(site) == is_body
    monkeypatch.setattr(body, "FAST", math.inf)
    written = site.fresh(tmp_path / "written")
    assert not list(written.parts.glob("*.body")) and contents(site.h5) == contents(written.h5)
    if is_body:
        assert inside("check-day", site.h5, check=False).stdout == ""


@pytest.mark.parametrize(("compression", "is_body"), [("gzip", True), ("none", False)])
def test_other_compressions(compression, is_body, site, tmp_path, monkeypatch):
    options = ("--compression", compression)
    fill(site).build(360, *options)
    assert is_of_body(site) == is_body
    monkeypatch.setattr(body, "FAST", math.inf)
    assert contents(site.h5) == contents(site.fresh(tmp_path / "written", 360, *options).h5)


def test_two_builds_differ_in_nothing_but_their_time_stamps(site, tmp_path):
    fill(site)
    one, other = (site.fresh(tmp_path / name) for name in ("one", "other"))
    assert is_of_body(one) and samples_without_times(one.h5) == samples_without_times(other.h5)
    np.testing.assert_array_equal(one.read("V1:B")[0], ramp(6 * MINUTE, 1))


def test_a_fast_channel_more_in_a_day_and_a_late_frame_of_it(site, tmp_path):
    """Such a day goes on with a copy of the file that is there, which has no body."""
    site.want("V1:A", "V1:SLOW")
    fill(site, minutes=(0, 1, 2, 4, 5)).build()
    site.want(*NAMES)
    site.rebuild()
    assert not list(site.parts.glob("*.body"))
    fill(site, minutes=[3]).rebuild()
    assert contents(site.h5) == contents(site.fresh(tmp_path / "fresh").h5)


def test_a_day_that_was_made_of_a_body_is_not_touched_again(site):
    """By hand, parts may be joined twice, and read again."""
    fill(site).build()
    before, first = site.h5.read_bytes(), site.h5
    other = site.folder / "other" / site.h5.name
    inside("pad-merge", site.parts, "--out", other, "--requested", site.channels)
    assert os.stat(other).st_nlink == 1 and contents(other) == contents(first)
    next(iter(sorted(site.parts.glob("*.h5")))).unlink()
    site.extract()
    other.unlink()
    inside("pad-merge", site.parts, "--out", other, "--requested", site.channels)
    assert contents(other) == contents(first) and first.read_bytes() == before


def test_a_day_made_anew_as_a_body_replaces_no_day_that_has_more(site, tmp_path):
    fill(site).build()
    before, listed = site.h5.read_bytes(), site.ffl.read_text()
    site.ffl.write_text("".join(listed.splitlines(keepends=True)[:-1]))
    site.parts.rename(tmp_path / "parts of before")
    done = site.build(check=False)
    assert done.returncode == 3 and "would lose 60 s of 'V1:SLOW' and samples of 2 more channels" in done.stderr
    assert site.h5.read_bytes() == before and [path.name for path in site.h5.parent.glob(".*.tmp")] == []
    # Of the same parts a day is made all the same, if that is asked for.
    site.join(shrink=True)
    assert is_of_body(site) and np.isnan(site.read("V1:A")[0][-MINUTE:]).all()


def test_parts_are_joined_on_a_disk_that_has_no_links(site, tmp_path, monkeypatch):
    refused = lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EPERM, os.strerror(errno.EPERM)))  # noqa: E731
    fill(site).extract()
    with monkeypatch.context() as context:
        context.setattr(os, "link", refused)
        site.join()
    assert not is_of_body(site) and contents(site.h5) == contents(site.fresh(tmp_path / "fresh").h5)


def test_a_beginning_that_turns_out_too_small(site, tmp_path, monkeypatch):
    whole = fill(site).fresh(tmp_path / "whole")
    for name in ("_OF_FILE", "_OF_CHANNEL", "_OF_CHUNK"):
        monkeypatch.setattr(body, name, 1)
    site.build()
    assert not is_of_body(site) and contents(site.h5) == contents(whole.h5)


def test_chunks_that_hdf5_would_have_elsewhere_are_copied(site, tmp_path, monkeypatch):
    """As a later HDF5 may."""
    whole = fill(site).fresh(tmp_path / "whole")
    plain = layout.NewFile.take_in

    def between(file, chunks):
        for number, each in enumerate(chunks):
            if number == 3:
                file.create_dataset("between", data=np.zeros(9))
            yield each

    monkeypatch.setattr(layout.NewFile, "take_in", lambda f, begin, chunks: plain(f, begin, between(f, chunks)))
    site.build()
    assert not is_of_body(site) and contents(site.h5) == contents(whole.h5)


def test_a_join_that_was_killed_as_it_wrote_is_made_good(site, tmp_path):
    """HDF5 has left something before and behind the chunks."""
    whole = fill(site).fresh(tmp_path / "whole")
    site.extract()
    (path,) = site.parts.glob("*.body")
    with open(path, "r+b") as file:
        file.write(os.urandom(body.Body(plan.load(site.parts), str(site.parts)).begin))
        file.seek(0, os.SEEK_END)
        file.write(os.urandom(99999))
    site.join()
    assert is_of_body(site) and samples_without_times(site.h5) == samples_without_times(whole.h5)


def test_a_body_that_is_gone_is_told_as_a_damaged_part(site):
    fill(site).extract()
    (path,) = site.parts.glob("*.body")
    path.unlink()
    done = site.join(check=False)
    assert done.returncode == 1 and "a part is damaged, remove it and run extract-increment again" in done.stderr
    for part in site.parts.glob("*.h5"):
        part.unlink()
    site.build()
    assert is_of_body(site)


# --- several readers -----------------------------------------------------------------------


@pytest.fixture
def places(site):
    """(Body, its blocks) of a day that has been planned."""
    fill(site).extract()
    planned = plan.load(site.parts)
    made = body.Body(planned, str(site.parts))
    for path in site.parts.glob("*.ends"):
        path.write_bytes(b"")
    return made, [block.id for block in planned.blocks if not made.members.isdisjoint(block.channels)]


PACKED = np.arange(100, dtype=np.uint8)


def test_a_block_lies_behind_those_before_it(places):
    made, blocks = places
    for number, block in enumerate(blocks[:3]):
        with made.place(block, pytest.fail) as place:
            at = [place.put(PACKED, is_last) for is_last in (False, True)]
            assert at == [made.begin + 200 * number, made.begin + 200 * number + 100]
    # Nothing of the fourth, which is made.
    with made.place(blocks[3], pytest.fail) as place:
        place.end()
    with made.place(blocks[4], pytest.fail) as place:
        assert place.put(PACKED, True) == made.begin + 600
    raw = files.read_bytes(made.path)
    assert raw[made.begin : made.begin + 700] == PACKED.tobytes() * 7


@pytest.mark.parametrize("how", ["fails", "is gone"])
def test_a_block_has_no_place_if_that_before_it_gets_none(how, places, monkeypatch):
    made, blocks = places
    asked = []
    monkeypatch.setattr(body, "_ASK", 0.05)
    if how == "fails":
        with pytest.raises(OSError, match="no"), made.place(blocks[0], pytest.fail):
            raise OSError("no")
    with made.place(blocks[1], lambda block: bool(asked.append(block))) as place:
        assert place.put(PACKED, True) is None
    assert asked == ([] if how == "fails" else [blocks[0]])
    with made.place(blocks[2], pytest.fail) as place:
        assert place.put(PACKED, True) is None


def test_a_block_that_is_made_again_is_no_longer_than_it_was(places):
    made, blocks = places
    for block in blocks[:2]:
        with made.place(block, pytest.fail) as place:
            place.put(PACKED, True)
    before = files.read_bytes(made.path)
    with made.place(blocks[0], pytest.fail) as place:
        assert place.put(np.zeros(101, np.uint8), True) is None
    assert files.read_bytes(made.path) == before
    with made.place(blocks[0], pytest.fail) as place:
        assert place.put(PACKED, True) == made.begin


def test_slow_channels_have_no_body(site, tmp_path):
    site.want("V1:SLOW")
    fill(site).build()
    made = body.Body(plan.load(site.parts), str(site.parts))
    assert not made.members and not list(site.parts.glob("*.body")) and made.place("any", pytest.fail) is None
