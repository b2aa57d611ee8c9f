"""Statistics of units: what compiled code and numpy say of the same samples, held against exact sums."""

import math

import numpy as np
import pytest
from framemake import compiled
from framemake.day import statistics
from framemake.day.statistics import COUNT, FIRST, LAST, M2, MAX, MEAN, MIN
from hypothesis import given
from hypothesis import strategies as st
from support.commands import needs


@pytest.fixture(scope="module", params=["compiled", "numpy"])
def way(request):
    """Either way to take them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(statistics, "_call", lambda: None)
        elif compiled.library() is None:
            needs("cc")
            pytest.fail("there is a compiler, but nothing is compiled: see make setup")
        yield


@st.composite
def tables(draw):
    """Samples (rows, width), some of them NaN."""
    size, width = draw(st.sampled_from([4, 8])), draw(st.integers(1, 40))
    number = st.one_of(st.just(math.nan), st.floats(-(2.0**50), 2.0**50, width=8 * size), st.integers(-3, 3).map(float))
    rows = draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=3))
    return np.array(rows, f"f{size}")


@given(tables(), st.integers(1, 50))
def test_each_unit_is_told_as_exact_sums_have_it(way, data, unit):
    good = ~np.isnan(data)
    told = statistics.of_units(data, None if good.all() else good, 100, unit)
    assert told.shape == (len(data), math.ceil(data.shape[1] / unit), statistics.COLUMNS)
    for row, samples in enumerate(data.astype("f8").tolist()):
        for number in range(told.shape[1]):
            piece = samples[number * unit : (number + 1) * unit]
            at = [n for n, each in enumerate(piece) if not math.isnan(each)]
            some, one = [piece[n] for n in at], told[row, number]
            assert one[COUNT] == len(some)
            if not some:
                assert one[FIRST] == one[LAST] == -1 and math.isnan(one[MEAN])
                continue
            assert (one[MIN], one[MAX]) == (min(some), max(some))
            assert (one[FIRST], one[LAST]) == (100 + number * unit + at[0], 100 + number * unit + at[-1])
            largest, mean = max(map(abs, some)), math.fsum(some) / len(some)
            assert one[MEAN] == pytest.approx(mean, abs=1e-14 * largest)
            assert one[M2] == pytest.approx(math.fsum((each - mean) ** 2 for each in some), abs=1e-13 * largest**2)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_do_not_touch_one_another(way, dtype):
    """Also where a sum overflows, or a sample is infinite, and where rows are a part of wider ones."""
    wide = np.random.default_rng(1).normal(size=(5, 4000)).astype(dtype)
    wide[1, 7], wide[3, :] = np.inf, np.finfo(dtype).max
    data = wide[:, 500:3700]
    together = statistics.of_units(data, None, 0, 1000)
    alone = [statistics.of_units(data[row : row + 1].copy(), None, 0, 1000)[0] for row in range(5)]
    assert together.tobytes() == np.array(alone).tobytes()
