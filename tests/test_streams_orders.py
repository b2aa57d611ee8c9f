"""Any tree, in any nights, gives the streams of one night."""

import os
import random
import shutil

import pytest
from framemake.streams.intake import importer
from support import streams as made


def nights_agree(folder, seed):
    """Import a random tree at once and in random nights; both must give the same bytes."""
    chance = random.Random(seed)
    paths = made.random_tree(folder / "source", chance)
    importer.run(str(folder / "source"), str(folder / "once"))
    expected = made.contents(folder / "once")
    for _ in range(3):
        shutil.rmtree(folder / "tree", ignore_errors=True)
        shutil.rmtree(folder / "nights", ignore_errors=True)
        chance.shuffle(paths)
        left = list(paths)
        while left:
            some = chance.choice((1, 1, 2, 5))
            made.arrive(left[:some], folder / "source", folder / "tree")
            left = left[some:]
            assert importer.run(str(folder / "tree"), str(folder / "nights")).faulty == [], seed
        assert made.contents(folder / "nights") == expected, seed
        assert sorted(made.logged(folder / "nights")) == sorted(made.logged(folder / "once"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_nights_give_the_bytes_of_one_night(tmp_path, seed):
    nights_agree(tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 150))
def test_any_of_many_trees_gives_the_bytes_of_one_night(tmp_path, seed):
    nights_agree(tmp_path, seed)


def test_two_trees_in_order_are_one_and_in_the_other_order_nothing_is_lost(tmp_path):
    """A host has the frames to 2011 in one tree, and those since in another."""
    channels = {"H0:PEM-EX_SEISX": "f4", "H0:PEM-EX_RAIN": "i4"}
    old, new, both = (tmp_path / name for name in ("trend", "trend_after23April2013", "both"))
    for root, hours in ((old, (0, 1)), (new, (5, 6))):
        for hour in hours:
            made.frame(root, made.NIGHT + hour * made.HOUR, channels)
            made.frame(both, made.NIGHT + hour * made.HOUR, channels)
    made.imported(both, tmp_path / "once")
    expected = made.contents(tmp_path / "once")
    for root in (old, new):
        made.imported(root, tmp_path / "in order")
    assert made.contents(tmp_path / "in order") == expected
    # The other way: told, and what is there stays.
    made.imported(new, tmp_path / "other")
    before = made.contents(tmp_path / "other")
    assert importer.run(str(old), str(tmp_path / "other")).faulty != []
    assert "comes too late to be put in its place" in made.errors(tmp_path / "other")[0]
    assert made.contents(tmp_path / "other") == before
    # One tree with both heals it.
    for path in both.rglob("*.gwf"):
        if (old / path.relative_to(both)).exists():
            os.utime(path)
    assert importer.run(str(both), str(tmp_path / "other")).faulty == []
    assert made.contents(tmp_path / "other") == expected
