"""Any tree, in any nights, gives the streams of one night."""

import os
import random
import shutil

import numpy as np
import pytest
import streams as made
from framemake.streams import importer

CHANNELS = {"H0:PEM-EX_RAIN": "i4", "H0:PEM-EX_SEISX": "f4", "H0:PEM-LVEA_TILTX": "f8", "H0:X-Y_DQ": "f4"}


def random_signals(chance, start, interval, count):
    """Signals of some of the channels with zeros, NaN and masked samples in them."""
    signals = []
    for name, dtype in CHANNELS.items():
        if chance.random() < 0.1:
            continue
        mean, rms = (signal.data for signal in made.trend(name, start, interval, count, dtype))
        how = {}
        for _ in range(chance.choice((0, 0, 1, 3))):
            at = chance.choice((0, 1, count - 1, chance.randrange(count)))
            chance.choice((mean, rms))[at : at + chance.choice((1, 2, count))] = 0
        if dtype != "i4" and chance.random() < 0.2:
            chance.choice((mean, rms))[chance.randrange(count)] = chance.choice((np.nan, np.inf, -np.inf))
        if chance.random() < 0.1:
            how["mask"] = (np.arange(count) % 7 == 3).astype("u2")
        if chance.random() < 0.05:
            how["valid"] = 1
        signals += made.trend(name, start, interval, count, dtype, mean=mean, rms=rms, **how)
    return signals


def random_tree(root, chance):
    """Some hours with gaps, partly covered by second trend, with files of one trend that overlap."""
    paths = []
    for hour in range(5):
        start = made.NIGHT + hour * made.HOUR
        if chance.random() < 0.75:
            paths.append(made.frame(root, start, random_signals(chance, start, 60, 60)))
        for ten in range(6):
            at = start + ten * made.TEN
            if chance.random() < 0.3:
                paths.append(made.frame(root, at, random_signals(chance, at, 1, made.TEN), fine=True))
            if chance.random() < 0.1:
                at += 60 * chance.randrange(10)
                signals = random_signals(chance, at, 1, made.MINUTE)
                paths.append(made.frame(root, at, signals, fine=True, duration=made.MINUTE))
    if chance.random() < 0.4:
        start = made.NIGHT + chance.choice((1800, 3660, 4020))
        paths.append(made.frame(root, start, random_signals(chance, start, 60, 60)))
    return paths


def arrive(paths, source, tree):
    for path in paths:
        target = tree / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)


def nights_agree(folder, seed):
    """Import a random tree at once and in random nights; both must give the same bytes."""
    chance = random.Random(seed)
    paths = random_tree(folder / "source", chance)
    importer.run(str(folder / "source"), str(folder / "once"))
    expected = made.contents(folder / "once")
    for _ in range(3):
        shutil.rmtree(folder / "tree", ignore_errors=True)
        shutil.rmtree(folder / "nights", ignore_errors=True)
        chance.shuffle(paths)
        left = list(paths)
        while left:
            some = chance.choice((1, 1, 2, 5))
            arrive(left[:some], folder / "source", folder / "tree")
            left = left[some:]
            assert importer.run(str(folder / "tree"), str(folder / "nights")).faulty == 0, seed
        assert made.contents(folder / "nights") == expected, seed
        assert sorted(made.logged(folder / "nights")) == sorted(made.logged(folder / "once"))


@pytest.mark.parametrize("seed", range(4))
def test_any_nights_give_the_bytes_of_one_night(tmp_path, seed):
    nights_agree(tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 150))
def test_any_of_many_trees_gives_the_bytes_of_one_night(tmp_path, seed):
    nights_agree(tmp_path, seed)
