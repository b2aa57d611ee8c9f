"""Samples that are hard to pack, and packed and unpacked again; loads little, as it also runs under sanitizers."""

import numpy as np
from framemake.day import pack, statistics

RANDOM = np.random.default_rng(3)
# What samples are made of, so that there are matches near and far, short and long, across the window's edge, and none.
KINDS = {
    "noise": lambda n: RANDOM.integers(0, 2**32, n, dtype="u4").view("f4"),
    "constant": lambda n: np.full(n, 7.25, "f4"),
    "walk": lambda n: np.cumsum(RANDOM.normal(0, 1e-3, n)).astype("f4"),
    "counts": lambda n: RANDOM.integers(0, 200, n).astype("f4"),
    "steps": lambda n: np.repeat(RANDOM.normal(size=n // 10 + 1), 10)[:n].astype("f4"),
    "period": lambda n: np.tile(RANDOM.normal(size=2049), n // 2049 + 1)[:n].astype("f4"),
    "gaps": lambda n: np.where(np.arange(n) % 7 == 0, np.nan, np.arange(n)).astype("f4"),
}


def there_and_back(samples, chunk, compression, holds=None):
    """Samples packed and unpacked again, NaN where nothing was packed."""
    count = -(-len(samples) // chunk)
    full = chunk * samples.itemsize
    out = np.full(count * full + 8, 0xA5, np.uint8)
    sizes = pack.pack(samples, chunk, compression, out[:-8], holds)
    assert out[-8:].tobytes() == b"\xa5" * 8
    got, at = np.full(count * chunk, np.nan, samples.dtype), 0
    for number, size in enumerate(sizes.tolist()):
        assert (size > 0) == (holds is None or bool(holds[number])) and size <= full
        if size:
            raw, mask = out[at : at + size].tobytes(), pack.mask_of(size, full, compression)
            got[number * chunk : (number + 1) * chunk] = pack.unpacked(raw, mask, samples.dtype, chunk, compression)
        at += size
    return got


def all_lengths():
    """Pack samples of each kind, of many lengths and chunks, some of which hold nothing, and take their statistics; how
    many there were."""
    done = 0
    for kind in KINDS.values():
        for dtype in ("f4", "f8"):
            for count in [*range(1, 40), 263, 264, 265, 1000, 8191, 8192, 8193, 40_000]:
                for chunk in (1, 2, 3, 12, 13, 14, 31, 32, 33, 264, 1000, 30_000):
                    if count / chunk < 300:
                        holds = RANDOM.random(-(-count // chunk)) < 0.8
                        samples = kind(count).astype(dtype)
                        there_and_back(samples, chunk, "lzf", holds)
                        statistics.of_units(samples[None], ~np.isnan(samples)[None], 0, chunk)
                        done += 1
    return done
