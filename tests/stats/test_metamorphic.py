"""What may change a result and what may not, and the faults that other packages had."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from barproof import stats
from tests.stats.nulls import DRAWS
from tests.tolerances import GOLDEN

near = pytest.approx
X = 0.05 + stats.normals(11, 400)
Y = 0.4 * X + stats.normals(12, 400)
PANEL = DRAWS["AR(1)"](21, 200, 12)


@pytest.mark.parametrize("scale", [1e-4, 1 / 3, 250.0])
def test_scaling_returns_leaves_tests_of_ratios_unchanged(scale: float) -> None:
    assert stats.psr(scale * X).psr == near(stats.psr(X).psr, rel=GOLDEN)
    assert stats.moments(scale * X).sharpe == near(stats.moments(X).sharpe, rel=GOLDEN)
    a, b = (stats.sharpe_difference(k * X, Y, resamples=99) for k in (1.0, scale))
    assert a.p == near(b.p, rel=1e-7) and a.p_bootstrap == b.p_bootstrap
    one, other = (stats.spa(k * PANEL, resamples=199) for k in (1.0, scale))
    assert one.exceed.tolist() == other.exceed.tolist() and one.mean_block == near(other.mean_block)
    assert stats.pbo(scale * PANEL, blocks=8).pbo == stats.pbo(PANEL, blocks=8).pbo
    assert (
        stats.effective_trials(scale * PANEL).by_clusters
        == stats.effective_trials(PANEL).by_clusters
    )


def test_order_of_trials_changes_nothing() -> None:
    order = np.argsort(stats.uniforms(5, PANEL.shape[1]), kind="stable")
    moved = PANEL[:, order]
    one, other = (stats.stepm(p, resamples=199, mean_block=2) for p in (PANEL, moved))
    assert other.p.tolist() == one.p[order].tolist()
    assert other.spa.exceed.tolist() == one.spa.exceed.tolist()
    assert order[other.spa.best] == one.spa.best
    assert stats.pbo(moved, blocks=8).logits == near(stats.pbo(PANEL, blocks=8).logits, rel=GOLDEN)
    a, b = stats.effective_trials(PANEL), stats.effective_trials(moved)
    assert (a.by_clusters, a.left_out) == (b.by_clusters, b.left_out)
    assert (a.by_rank, a.by_correlation) == near((b.by_rank, b.by_correlation), rel=GOLDEN)
    p = stats.uniforms(8, 12)
    for adjust in (stats.holm, stats.benjamini_hochberg, stats.benjamini_yekutieli, stats.sidak):
        assert adjust(p[order]).p == near(adjust(p).p[order], rel=GOLDEN)


def test_more_trials_at_one_variance_never_lower_the_hurdle() -> None:
    found = [
        stats.deflated_sharpe(0.1, 500, trials=n, variance=0.004) for n in (1, 2, 5, 50, 5e3, 5e6)
    ]
    assert all(b.hurdle > a.hurdle for a, b in zip(found, found[1:], strict=False))
    assert all(b.dsr_2014 <= a.dsr_2014 for a, b in zip(found, found[1:], strict=False))


def test_more_trials_without_skill_never_name_more() -> None:
    few = stats.stepm(PANEL[:, :6] + [0.3, 0, 0, 0, 0, 0], resamples=299, mean_block=2)
    shifted = PANEL.copy()
    shifted[:, 0] += 0.3
    many = stats.stepm(shifted, resamples=299, mean_block=2)
    assert many.p[0] >= few.p[0]


def test_rows_that_come_later_change_nothing_before() -> None:
    """Draws are a stream: more of them leave the first as they were."""
    assert stats.uniforms(4, 90)[:40].tolist() == stats.uniforms(4, 40).tolist()
    assert stats.uniforms(4, 50, skip=40).tolist() == stats.uniforms(4, 90)[40:].tolist()
    assert stats.normals(4, 90)[:40].tolist() == stats.normals(4, 40).tolist()
    more = stats.stationary_indices(30, mean_block=4, rows=9, seed=2)
    assert more[:5].tolist() == stats.stationary_indices(30, mean_block=4, rows=5, seed=2).tolist()
    assert np.allclose(stats.autocorrelations(X, 9), stats.autocorrelations(X)[:9])


def test_doubling_every_row_does_not_double_what_is_known() -> None:
    one, two = stats.effective_size(X), stats.effective_size(np.repeat(X, 2))
    assert two.size < 1.2 * one.size
    once, twice = (stats.mean_interval(x, resamples=499) for x in (X, np.repeat(X, 2)))
    assert twice.high - twice.low > 0.85 * (once.high - once.low)
    days = np.arange(400)
    a, b = stats.clustered_mean(X, days), stats.clustered_mean(np.repeat(X, 2), np.repeat(days, 2))
    assert a.error == near(b.error, rel=GOLDEN)


# ---- faults of others --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DRAWS)
def test_no_p_value_of_noise_is_zero(kind: str) -> None:
    """A published Reality Check gives p = 0.0 on pure noise, every time."""
    for seed in range(10):
        panel = DRAWS[kind](3_000 + seed, 100, 5)
        check = stats.reality_check(panel, resamples=99, seed=seed)
        steps = stats.stepm(panel, resamples=99, seed=seed)
        p = [check.p, steps.spa.p, steps.spa.p_lower, steps.spa.p_reality_check, *steps.p]
        assert min(p) >= 0.01 and max(p) > 0.01
    assert stats.paired_difference(X + 9, -X, resamples=99).p == 0.01
    assert stats.sharpe_difference(X + 9, -X, resamples=99).p_bootstrap >= 0.01


def test_a_pair_has_one_set_of_indices() -> None:
    """Resampled apart, two series that share most of their noise seem to differ by chance as two strangers do."""
    index = stats.stationary_indices(400, mean_block=3, rows=300, seed=9)
    found = stats.paired_difference(X, Y, indices=index)
    together = np.array([X[row].mean() - Y[row].mean() for row in index])
    assert found.error == near(together.std(ddof=1), rel=GOLDEN)
    apart = np.array([X[a].mean() - Y[b].mean() for a, b in zip(index, index[::-1], strict=True)])
    assert apart.std(ddof=1) > 1.1 * found.error


def test_kurtosis_is_that_of_a_normal_at_three() -> None:
    """quantstats took the excess for the whole."""
    assert stats.moments(stats.normals(2, 20_000)).kurtosis == near(2.9, abs=0.1)
    flat = stats.psr_of(0.1, 500, kurtosis=3.0)
    assert (
        flat.psr == near(stats.psr_of(0.1, 500).psr)
        and stats.psr_of(0.1, 500, kurtosis=9.0).psr < flat.psr
    )


def test_no_variance_of_trials_is_assumed() -> None:
    """fynance takes 1, a hundred times too much for daily returns; and the number of trials is never taken for 1."""
    parameters = inspect.signature(stats.deflated_sharpe).parameters
    assert parameters["variance"].default is parameters["trials"].default is inspect.Parameter.empty


def test_the_forms_of_kelly_are_told_apart() -> None:
    """quantstats swapped them between releases: one is a share of capital risked, the other a position."""
    assert stats.kelly_fixed_odds(0.6, 0.02, 0.01) == near(0.4)
    assert stats.kelly_leverage(0.6, 0.02, 0.01) == near(40.0)
