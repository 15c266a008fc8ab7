"""Statistics against golden vectors of other implementations, and against slow twins.

Ids such as P01 name vectors computed with statsmodels 0.15.0, scipy 1.17.1, arch 8.0.0, pandas 3.1.1 and scikit-learn
1.9.1; normals and indices come from the generator that they share (SplitMix64, Irwin-Hall normals).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barproof import stats
from tests.tolerances import GOLDEN, PRINTED

near = pytest.approx


def golden(*values: float) -> object:
    return near(values, rel=GOLDEN)


@pytest.mark.parametrize(
    ("k", "n", "value"),
    [
        pytest.param(2, 3, (0.2076596008020477, 0.9385080552796037), id="P01"),
        pytest.param(30, 60, (0.37735024241555765, 0.6226497575844423), id="P02"),
        pytest.param(8135, 8135, (0.9995280091349451, 1.0), id="P07"),
    ],
)
def test_wilson(k: int, n: int, value: tuple[float, float]) -> None:
    found = stats.wilson(k, n)
    assert (found.low, found.high) == golden(*value)
    assert found.estimate == k / n


@pytest.mark.parametrize(
    ("k", "n", "value"),
    [
        pytest.param(2, 3, (0.09429932405024609, 0.9915962413403874), id="P04"),
        pytest.param(30, 60, (0.3680620319424369, 0.6319379680575631), id="P05"),
        pytest.param(8135, 8135, (0.9995466449655953, 1.0), id="P08"),
    ],
)
def test_clopper_pearson(k: int, n: int, value: tuple[float, float]) -> None:
    found = stats.clopper_pearson(k, n)
    assert (found.low, found.high) == golden(*value)


def test_upper_bound_of_no_event() -> None:
    assert stats.upper_bound(0, 8641) == near(0.00034662805706808797, rel=GOLDEN)  # P20
    # One event more: the binomial tail at the bound is 5%.
    bound = stats.upper_bound(1, 50)
    assert (1 - bound) ** 50 + 50 * bound * (1 - bound) ** 49 == near(0.05, rel=GOLDEN)


def test_proportions() -> None:
    # P13, against option A's break-even as E01 has it.
    test = stats.proportion_test(2008, 3892, 0.6590544377237377)
    assert test.z == near(-18.836347804846742, rel=GOLDEN)
    test = stats.two_proportions(8135, 8135, 4142, 8129)  # C14
    assert test == golden(72.70275855700964, -1149.7329322316334)
    assert test.p == 0.0
    assert stats.proportion_test(60, 100, 0.5).p == near(math.erfc(2 / math.sqrt(2)), rel=GOLDEN)


def test_break_even() -> None:
    assert stats.break_even(0.5524, 1.0678) == near(0.6590544377237377, rel=GOLDEN)  # E01
    assert stats.break_even(0.3766, 0.7892) == near(0.6769600274489621, rel=GOLDEN)  # E02
    costs = [stats.break_even(0.5524, 1.0678, cost=c) for c in (0.10, 0.20)]
    assert tuple(costs) == golden(0.7207752129366745, 0.7824959881496111)  # E14
    assert math.isnan(stats.break_even(0.0, 0.0))


def test_constant_forecast() -> None:
    value = (
        0.19423317100727233,
        0.49230321397718,
        0.15650664628773203,
        4.148451187889831,
        1.1170300114100733,
    )
    assert tuple(stats.constant_forecast(57076, 293853)) == golden(*value)  # C11
    empty = stats.constant_forecast(0, 0)
    assert all(math.isnan(v) for v in empty)
    assert stats.constant_forecast(0, 5).entropy == 0.0


def test_binomial_tail() -> None:
    assert 10 ** stats.binomial_tail(2, 3, 0.5) == near(0.5, rel=GOLDEN)  # P10
    exact = sum(math.comb(100, k) * 0.6**k * 0.4 ** (100 - k) for k in range(97, 101))
    assert stats.binomial_tail(97, 100, 0.6) == near(math.log10(exact), rel=GOLDEN)
    assert exact == near(3e-18, rel=0.5)  # what the audits' page quotes


def test_effective_labels() -> None:
    at = np.arange(20)
    assert stats.effective_labels(at, at + 2) == near(7.333333333333332, rel=GOLDEN)  # D04
    assert stats.effective_labels(at, at + 11) == near(2.583333333333333, rel=GOLDEN)  # D05
    assert stats.effective_labels([], []) == 0.0
    # Doubling every row does not double what they are worth.
    twice = np.repeat(at, 2)
    assert stats.effective_labels(twice, twice + 2) == near(7.333333333333332, rel=GOLDEN)


def test_generator_is_splitmix64() -> None:
    # First outputs for seed 1234567, as published with the generator.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    expected = [(x >> 11) * 2.0**-53 for x in published]
    assert stats.uniforms(1234567, 3).tolist() == expected
    assert stats.uniforms(1234567, 2, skip=1).tolist() == expected[1:]


def ar(rho: float, noise: np.ndarray) -> np.ndarray:
    out = np.empty(len(noise))
    last = 0.0
    for i, e in enumerate(noise):
        last = rho * last + e
        out[i] = last
    return out


def test_block_length() -> None:
    x = ar(0.5, stats.normals(21, 500))
    assert stats.block_length(x) == near(7.609596034421602, rel=GOLDEN)  # D01
    assert stats.block_length(np.zeros(100)) == 1.0
    assert stats.block_length(3 * x - 5) == near(stats.block_length(x), rel=GOLDEN)


def slow_indices(n: int, p: float, rows: int, seed: int) -> list[list[int]]:
    draws = iter(stats.uniforms(seed, 3 * rows * n))
    out = []
    for _ in range(rows):
        row = [int(next(draws) * n)]
        while len(row) < n:
            row.append(int(next(draws) * n) if next(draws) < p else (row[-1] + 1) % n)
        out.append(row)
    return out


@settings(deadline=None)
@given(
    n=st.integers(1, 40),
    block=st.sampled_from([1.0, 1.3, 2.0, 5.0, 50.0]),
    seed=st.integers(0, 2**64 - 1),
)
def test_indices_are_those_of_the_definition(n: int, block: float, seed: int) -> None:
    found = stats.stationary_indices(n, mean_block=block, rows=7, seed=seed)
    assert found.tolist() == slow_indices(n, 1 / block, 7, seed)


def test_paired_bootstrap() -> None:
    a = 0.02 + stats.normals(41, 64)
    b = 0.6 * a + 0.8 * stats.normals(42, 64)
    paired = stats.stationary_indices(64, mean_block=5, rows=400, seed=43)
    apart = stats.stationary_indices(64, mean_block=5, rows=400, seed=44)
    together = (a - b)[paired].mean(axis=1)
    separate = a[paired].mean(axis=1) - b[apart].mean(axis=1)
    found = ((a - b).mean(), together.std(ddof=1), separate.std(ddof=1))
    assert found == golden(0.0994106770248421, 0.13623698367941026, 0.15603345476921174)  # D07


def test_percentile_interval_is_that_of_the_indices() -> None:
    x = ar(0.4, stats.normals(3, 60))
    rows = stats.stationary_indices(60, mean_block=4, rows=500, seed=9)
    low, high = np.quantile(x[rows].mean(axis=1), [0.025, 0.975])
    found = stats.mean_interval(x, resamples=500, seed=9, mean_block=4, studentise=False)
    assert (found.low, found.high) == golden(low, high)


def test_studentised_interval_is_that_of_the_indices() -> None:
    x = ar(0.4, stats.normals(3, 60))
    n, block = 60, 4.0
    rows = stats.stationary_indices(n, mean_block=block, rows=200, seed=9)
    ratios = []
    for row in rows:
        sample = x[row]
        blocks: list[list[float]] = []
        for i, at in enumerate(row):
            if i == 0 or at != (row[i - 1] + 1) % n:
                blocks.append([])
            blocks[-1].append(sample[i] - sample.mean())
        error = math.sqrt(sum(sum(b) ** 2 for b in blocks)) / n
        ratios.append((sample.mean() - x.mean()) / error)
    # Variance of the resampled mean, summed over all pairs of places (Politis and Romano 1994).
    c = x - x.mean()
    p = 1 / block
    variance = sum(c * c) / n
    for k in range(1, n):
        around = sum(c[i] * c[(i + k) % n] for i in range(n)) / n
        variance += 2 * (1 - k / n) * (1 - p) ** k * around
    error = math.sqrt(variance / n)
    low, high = np.quantile(ratios, [0.025, 0.975])
    found = stats.mean_interval(x, resamples=200, seed=9, mean_block=block)
    assert (found.low, found.high) == golden(x.mean() - high * error, x.mean() - low * error)


def test_interval_moves_and_scales_with_its_data() -> None:
    x = stats.normals(5, 80)
    one = stats.mean_interval(x, resamples=299)
    other = stats.mean_interval(0.01 * x + 7, resamples=299)
    assert other.low == near(0.01 * one.low + 7, rel=GOLDEN)
    assert other.high == near(0.01 * one.high + 7, rel=GOLDEN)


def test_resamples_of_one_block_do_not_hang_on_rounding() -> None:
    # With blocks of 12 in 60 observations some resamples are one block around; their error is 0 but for rounding.
    x = np.random.default_rng(75).normal(0.001, 0.01, 60)
    index = stats.stationary_indices(60, mean_block=12, rows=499, seed=0)
    assert np.any(np.all(np.diff(index, axis=1) % 60 == 1, axis=1))
    one = stats.mean_interval(x, resamples=499, mean_block=12)
    for scale in (2.0, 3.0, 7.3, 9.0):
        other = stats.mean_interval(scale * x, resamples=499, mean_block=12)
        assert (other.low, other.high) == golden(scale * one.low, scale * one.high)


def test_degenerate_means() -> None:
    assert math.isnan(stats.mean_interval([]).estimate)
    one = stats.mean_interval([0.5])
    assert one.estimate == 0.5 and math.isnan(one.low)
    flat = stats.mean_interval([0.1] * 50)
    assert flat.estimate == near(0.1) and math.isnan(flat.low) and "constant" in flat.reason
    few = stats.mean_interval([0.0, 1.0, 0.0, 2.0])
    assert math.isnan(few.high) and "fifth" in few.reason and not few.defined
    five = stats.mean_interval([0.0, 1.0, 0.0, 2.0, 1.0])
    assert five.low <= 0.8 <= five.high and five.defined
    bad = stats.mean_interval([1.0, math.nan])
    assert math.isnan(bad.estimate) and "value 1 is nan" in bad.reason


def independent(seed: int, n: int) -> np.ndarray:
    return stats.normals(seed, n)


def autocorrelated(seed: int, n: int) -> np.ndarray:
    return ar(0.3, stats.normals(seed, n + 50))[50:]


def skewed(seed: int, n: int) -> np.ndarray:
    """Many small wins and few large losses: 1 - Exp(1)."""
    return 1 + np.log(1 - stats.uniforms(seed, n))


def payoff(seed: int, n: int) -> np.ndarray:
    """Stops at -1 and targets at 2, fair."""
    return np.where(stats.uniforms(seed, n) < 1 / 3, 2.0, -1.0)


NULLS = 500
# Nominal 2.5% a side, measured up to 5.2%; 500 draws of 5% exceed 38 in less than one of 200 times.
MOST = 38


@pytest.mark.parametrize("draw", [independent, autocorrelated, skewed, payoff])
@pytest.mark.parametrize("n", [50, pytest.param(150, marks=pytest.mark.slow)])
def test_interval_is_calibrated_where_there_is_no_edge(
    draw: Callable[[int, int], np.ndarray], n: int
) -> None:
    above = below = 0
    for seed in range(NULLS):
        found = stats.mean_interval(draw(10_000 + seed, n), resamples=199, seed=seed)
        above += found.low > 0
        below += found.high < 0
    assert above <= MOST
    assert below <= MOST
    # An interval so wide that it never errs would be as wrong.
    assert above + below >= 5


def test_interval_finds_a_planted_mean() -> None:
    found = sum(
        stats.mean_interval(0.5 + stats.normals(seed, 100), resamples=299).low > 0
        for seed in range(50)
    )
    assert found >= 48  # five standard errors away


@settings(deadline=None)
@given(k=st.integers(0, 200), more=st.integers(0, 200), level=st.floats(0.5, 0.999))
def test_intervals_of_shares(k: int, more: int, level: float) -> None:
    n = k + more
    score, exact = stats.wilson(k, n, level=level), stats.clopper_pearson(k, n, level=level)
    if not n:
        assert math.isnan(score.low) and math.isnan(exact.high)
        return
    for found in (score, exact):
        assert 0 <= found.low <= k / n <= found.high <= 1
    mirrored = stats.wilson(more, n, level=level)
    assert (1 - mirrored.high, 1 - mirrored.low) == near((score.low, score.high), abs=1e-9)


def test_the_papers_numbers() -> None:
    # 52% wins: +0.04 R at 1:1, -0.44 R where a loss is two wins (E13); break-even tells the same.
    assert stats.break_even(1, 1) == 0.5 and stats.break_even(1, 2) == near(2 / 3, rel=PRINTED)
