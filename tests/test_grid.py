"""The sample grid of a channel in a window, and how it is cut."""

import pytest
from framemake import grid
from framemake.gps import Window
from framemake.grid import Grid
from hypothesis import given
from hypothesis import strategies as st

DAY = Window(1396742418, 1396828818)
RATES = [1 / 60, 0.1, 1.0, 10.0, 16.0, 50.0, 256.0, 16384.0, 20000.0]
rates = st.sampled_from([*RATES, 0.01, 0.5, 3.0, 2000.0, 65536.0])
phases = st.one_of(st.just(0.0), st.floats(0.002, 0.998).map(lambda phase: round(phase, 9)))


def cut_of(rate, increment=600, duration=86400):
    return grid.cut(rate, increment, duration)


@pytest.mark.parametrize(
    ("rate", "count"),
    [(1, 86400), (1 / 60, 1440), (0.1, 8640), (0.01, 864), (50, 4320000), (16384, 1415577600), (20000, 1728000000)],
)
def test_a_day_has_its_duration_times_the_rate_in_samples(rate, count):
    assert grid.length(86400, rate) == count


def test_the_day_with_a_leap_second_has_a_second_more_of_samples():
    assert [grid.length(86401, rate) for rate in (1, 50, 0.1, 1 / 60)] == [86401, 4320050, 8640, 1440]


@pytest.mark.parametrize("rate", [1, 10, 50, 256, 16384, 20000])
def test_a_sample_on_the_first_second_is_sample_zero(rate):
    assert grid.place(0, rate) == (0, 0)
    assert grid.place(-1, rate) == (-rate, 0)
    assert grid.place(100, rate) == (100 * rate, 0)


def test_a_tenth_of_hertz_that_ticks_on_round_gps_seconds_begins_two_seconds_into_the_day():
    k, phase = grid.place(1396742400 - DAY.start, 0.1)
    assert (k, phase) == (-2, 0.2)
    assert grid.t0(DAY, Grid(0.1, phase)) == 1396742420


def test_minute_trend_begins_on_the_first_round_minute_of_gps():
    k, phase = grid.place(1396742400 - DAY.start, 1 / 60)
    assert k == -1
    assert phase == pytest.approx(0.7)
    assert grid.t0(DAY, Grid(1 / 60, phase)) == 1396742460


def test_rounding_does_not_make_a_phase():
    assert grid.place(0.99999999 / 16384, 16384) == (1, 0)
    assert grid.place(1.00000001 / 16384, 16384) == (1, 0)
    assert grid.place(-1e-9, 1) == (0, 0)


def test_files_of_one_channel_fall_on_one_grid_the_whole_day_through():
    for rate in RATES:
        begin = -(18 % (1 / rate)) if rate < 1 else 0.0
        spacing = 600
        keys = {Grid(rate, grid.place(begin + spacing * n, rate)[1]).key for n in range(144)}
        assert len(keys) == 1, rate


def test_a_rate_is_free_of_the_rounding_of_its_spacing():
    assert [grid.rate_of(1 / rate) for rate in (1, 3, 49, 16384, 20000)] == [1, 3, 49, 16384, 20000]
    assert grid.rate_of(60.0) == 1 / 60


@pytest.mark.parametrize("rate", RATES)
def test_the_first_sample_at_or_after_an_increment_is_on_it_without_phase(rate):
    for increment in range(0, 86400, 600):
        assert grid.first_at(increment, Grid(rate, 0.0)) == round(increment * rate)


def test_first_at_rounds_up_between_samples():
    assert grid.first_at(0.5, Grid(1.0, 0.0)) == 1
    assert grid.first_at(600, Grid(0.1, 0.2)) == 60  # samples at 592 and 602 s
    assert grid.first_at(2, Grid(0.1, 0.2)) == 0
    assert grid.first_at(3, Grid(0.1, 0.2)) == 1


@given(rates, phases, st.integers(0, 86401))
def test_first_at_the_time_of_a_sample_is_that_sample(rate, phase, second):
    k = round(second * rate)
    at = (k + phase) / rate
    assert grid.first_at(at, Grid(rate, phase)) == k
    assert grid.first_at(at + 0.5 / rate, Grid(rate, phase)) == k + 1


@given(rates, phases, st.integers(-86400, 86401))
def test_place_finds_sample_and_phase_again(rate, phase, second):
    k = round(second * rate)
    found, at = grid.place((k + phase) / rate, rate)
    assert found == k
    assert at == pytest.approx(phase, abs=2e-5)


@given(rates, phases)
def test_t0_lies_in_the_first_sample_of_the_window(rate, phase):
    t0 = grid.t0(DAY, Grid(rate, phase))
    assert DAY.start <= t0 < DAY.start + 1 / rate + 1e-6  # float64 holds a GPS time to a microsecond


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("increment", [60, 100, 600, 3600, 86400])
def test_a_unit_is_whole_increments_or_divides_one(rate, increment):
    cut = cut_of(rate, increment)
    per = round(rate * increment)
    whole = cut.unit == grid.length(86400, rate)
    assert whole or cut.unit % per == 0 or per % cut.unit == 0


@given(rates, st.integers(1, 86400), st.sampled_from([600, 86400, 86401]))
def test_a_chunk_divides_a_unit(rate, increment, duration):
    cut = cut_of(rate, increment, duration)
    assert 0 < cut.chunk <= cut.unit
    assert cut.unit % cut.chunk == 0 or cut.unit == grid.length(duration, rate)


def test_units_and_chunks_have_sizes_that_disk_and_memory_like():
    for rate in (0.1, 1.0, 10.0, 50.0):
        unit, chunk = cut_of(rate)
        assert 3600 <= unit <= 131072 and chunk == unit, rate
    assert cut_of(16384.0) == (9830400, 131072)
    fast = cut_of(20000.0)
    assert fast.unit == 12_000_000 and 4096 <= fast.chunk <= 131072
    assert cut_of(1 / 60) == (1440, 1440)
    assert cut_of(65536.0).unit <= 12_500_000
