"""Any tree, in any nights, gives the streams of one night."""

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
