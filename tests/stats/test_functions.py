"""The plain statistics against named libraries, definitions and laws; bad input has a reason and no number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barproof import stats
from tests.golden.vectors import ar
from tests.tolerances import GOLDEN, OPTIMISED, PRINTED

near = pytest.approx
X = 0.05 + stats.normals(31, 300)
Y = 0.6 * X + 0.8 * stats.normals(32, 300)


# ---- against libraries -------------------------------------------------------------------------


def test_moments_are_those_of_scipy_and_pandas() -> None:
    import pandas as pd
    from scipy import stats as sp

    plain, corrected = stats.moments(X), stats.moments(X, corrected=True)
    assert plain.skewness == near(sp.skew(X), rel=GOLDEN)
    assert plain.kurtosis == near(sp.kurtosis(X, fisher=False), rel=GOLDEN)
    assert plain.sharpe == near(X.mean() / X.std(), rel=GOLDEN)
    series = pd.Series(X)
    assert corrected.skewness == near(series.skew(), rel=GOLDEN)
    assert corrected.kurtosis == near(series.kurt() + 3, rel=GOLDEN)
    assert corrected.deviation == near(series.std(), rel=GOLDEN)


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    peer = pytest.importorskip("statsmodels.stats.multitest").multipletests
    p = stats.uniforms(5, 40) ** 2
    for name, ours in (
        ("holm", stats.holm),
        ("fdr_bh", stats.benjamini_hochberg),
        ("fdr_by", stats.benjamini_yekutieli),
        ("bonferroni", stats.bonferroni),
        ("sidak", stats.sidak),
    ):
        assert ours(p).p == near(peer(p, method=name)[1], rel=GOLDEN), name
        assert ours(p).rejected(0.1) == np.flatnonzero(peer(p, 0.1, method=name)[0]).tolist()


def test_hac_and_clusters_are_those_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    fit = api.OLS(X, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": 7})
    assert stats.hac_mean(X, lags=7).error == near(fit.bse[0], rel=GOLDEN)
    days = np.repeat(np.arange(60), 5)
    fit = api.OLS(X, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": days})
    found = stats.clustered_mean(X, days)
    assert found.error == near(fit.bse[0], rel=GOLDEN) and found.clusters == 60


def test_binomial_power_is_the_sum_over_outcomes() -> None:
    from scipy.stats import binomtest

    for n, share in ((3, 0.9), (5, 0.9), (40, 0.7)):
        outcomes = [
            math.comb(n, k) * share**k * (1 - share) ** (n - k)
            for k in range(n + 1)
            if binomtest(k, n, 0.5, "greater").pvalue <= 0.05
        ]
        found = stats.power_of_share(n, share, alternative="greater")
        assert found == near(sum(outcomes), rel=GOLDEN, abs=0)
    assert stats.least_trials() == 5 and stats.power_of_share(5, 0.9, alternative="greater") > 0
    assert stats.least_trials(0.25, level=0.0625) == 2
    assert math.isnan(stats.detectable_share(3))
    share = stats.detectable_share(400)
    assert stats.required_trials(0.5, share).n == near(400, rel=OPTIMISED)


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss, log_loss

    p = stats.uniforms(3, 500)
    y = (stats.uniforms(4, 500) < p**1.5).astype(float)
    found = stats.scores(p, y)
    assert found.brier == near(brier_score_loss(y, p), rel=GOLDEN)
    assert found.log_loss == near(log_loss(y, p), rel=GOLDEN)
    logits = np.log(p / (1 - p))
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12)
    model.fit(logits[:, None], y)
    fitted = stats.temperature(logits, y)
    assert 1 / fitted.temperature == near(float(model.coef_[0, 0]), rel=1e-5)
    assert fitted.loss_after <= fitted.loss_before


def test_the_temperature_of_classes_is_that_of_least_log_loss() -> None:
    from scipy.optimize import minimize_scalar
    from sklearn.metrics import log_loss

    x = 6 * stats.uniforms(5, 1_500).reshape(500, 3)
    chance = np.exp(x / 2.5)
    chance /= chance.sum(axis=1, keepdims=True)
    y = (stats.uniforms(6, 500)[:, None] > chance.cumsum(axis=1)).sum(axis=1)

    def loss(log_t: float) -> float:
        p = np.exp(x / np.exp(log_t))
        return float(log_loss(y, p / p.sum(axis=1, keepdims=True)))

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    found = stats.temperature(x, y)
    assert found.temperature == near(math.exp(best.x), rel=1e-5)
    assert found.loss_before == near(loss(0.0), rel=GOLDEN)
    assert found.loss_after == near(best.fun, rel=OPTIMISED)
    # A shift of a row changes nothing, and two classes are one logit.
    moved = stats.temperature(x + 1e3 * y[:, None], y)
    assert moved.temperature == near(found.temperature, rel=OPTIMISED)
    gap, side = x[:, 0] - x[:, 1], (y == 0).astype(float)
    alone = stats.temperature(gap, side)
    pair = stats.temperature(np.column_stack([np.zeros(500), gap]), side)
    assert pair.temperature == near(alone.temperature, rel=OPTIMISED)
    # Logits of raw prices: nothing overflows. 70% right with a gap of 158,041, as in case S001.
    right = (np.arange(100) < 70).astype(float)
    hot = stats.temperature(np.tile([0.0, 158_041.0, -9e9], (100, 1)), right)
    assert hot.temperature == near(stats.saturated_temperature(158_041, 0.7), rel=1e-9)


@pytest.mark.parametrize(
    ("logits", "y", "why"),
    [
        (np.zeros((3, 2)), [0, 1, 1], "all logits of a row are the same"),
        (np.eye(3), [0, 1, 2], "T is 0"),
        (np.eye(3), [1, 2, 0], "T is infinite"),
        (np.eye(3), [0, 1], "not one outcome a row"),
        (np.eye(3), [0, 1, 3], "no numbers of classes"),
        (np.eye(3), [0, 1, 0.5], "no numbers of classes"),
        (np.eye(3), ["a", "b", "c"], "no plain series"),
        (np.eye(3) * math.nan, [0, 1, 2], "not finite"),
        (np.zeros((0, 3)), [], "no rows"),
        (np.zeros((3, 1)), [0, 0, 0], "a single class"),
    ],
)
def test_no_temperature_of_classes_without_a_reason(logits: Any, y: Any, why: str) -> None:
    found = stats.temperature(logits, y)
    assert not found.defined
    assert why in found.reason


def test_diebold_mariano_by_hand() -> None:
    from scipy.stats import t

    d = X**2 - Y**2
    n, h = len(d), 3
    c = d - d.mean()
    gamma = [float(c[k:] @ c[: n - k]) / n for k in range(h)]
    plain = d.mean() / math.sqrt((gamma[0] + 2 * sum(gamma[1:])) / n)
    scaled = plain * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    found = stats.diebold_mariano(X**2, Y**2, horizon=h)
    assert found.statistic == near(scaled, rel=GOLDEN)
    assert found.p == near(2 * t.sf(abs(scaled), n - 1), rel=GOLDEN)
    raw = stats.diebold_mariano(X**2, Y**2, horizon=h, corrected=False)
    assert raw.statistic == near(plain, rel=GOLDEN)
    sides = [stats.diebold_mariano(X**2, Y**2, alternative=a).p for a in ("less", "greater")]
    assert sum(sides) == near(1.0, rel=GOLDEN)


def test_kelly_maximises_growth() -> None:
    p, win, loss = 0.55, 0.012, 0.01
    best = stats.kelly_leverage(p, win, loss)
    growth: Callable[[float], float] = lambda f: (  # noqa: E731
        p * math.log(1 + f * win) + (1 - p) * math.log(1 - f * loss)
    )
    assert growth(best) > max(growth(best * 0.99), growth(best * 1.01))
    # Risking f at a stop is a position of f / loss.
    assert stats.kelly_fixed_odds(p, win, loss) == near(best * loss, rel=GOLDEN)
    assert math.isnan(stats.kelly_leverage(0.5, 0.0, 1.0))


def test_the_papers_numbers() -> None:
    found = stats.deflated_sharpe(
        2.5 / 250**0.5, 1_250, trials=100, variance=0.5 / 250, skewness=-3, kurtosis=10
    )
    assert found.dsr_2014 == near(0.9004, rel=PRINTED) and found.hurdle == near(0.1132, rel=PRINTED)
    assert found.dsr_2025 == near(0.9128, rel=PRINTED)
    assert found.dsr_2025_maximum == near(0.9992, rel=PRINTED)
    assert stats.deflated_size(100) == near(0.0015, rel=0.05)
    assert stats.deflated_size(100, form="2025") == near(0.059, rel=0.01)
    assert stats.min_backtest_years(45) == near(5.0, rel=PRINTED)
    assert stats.min_backtest_years(7) == near(1.9, rel=0.05)
    assert stats.effective_size_of(1_000, 0.9).size == near(53, rel=0.01)
    mean, most = stats.psi_null(10, 1_000, 1_000)
    assert (round(mean, 3), round(most, 3)) == (0.018, 0.034)


def test_maximum_of_normals_by_drawing() -> None:
    drawn = np.random.default_rng(1).normal(size=(40_000, 30)).max(axis=1)
    assert stats.expected_maximum(30, exact=True) == near(drawn.mean(), rel=0.01)
    assert stats.deviation_of_maximum(30) == near(drawn.std(), rel=0.02)
    assert stats.expected_maximum(1) == 0.0 and stats.deviation_of_maximum(1) == 1.0
    assert stats.expected_maximum(1e7, exact=True) == near(stats.expected_maximum(1e7), rel=0.01)


def test_sharpe_errors_by_drawing() -> None:
    rng = np.random.default_rng(2)
    x = 0.1 + rng.exponential(size=(20_000, 120)) - 1
    found = stats.sharpe_error(0.1, 120, skewness=2, kurtosis=9)
    assert found == near((x.mean(axis=1) / x.std(axis=1)).std(), rel=0.06)  # 120 are few for it
    e = rng.normal(size=(20_000, 170))
    y = np.zeros((20_000, 170))
    for t in range(1, 170):
        y[:, t] = 0.3 * y[:, t - 1] + e[:, t]
    y = y[:, 50:]
    found = stats.sharpe_error(0.0, 120, rho=0.3)
    assert found == near((y.mean(axis=1) / y.std(axis=1)).std(), rel=0.03)


def test_annualisation_by_definition() -> None:
    rho, q = 0.3, 12
    variance = sum(rho ** abs(i - j) for i in range(q) for j in range(q))
    assert stats.annualisation(q, rho) == near(q / math.sqrt(variance), rel=GOLDEN)
    assert stats.annualisation(252) == near(math.sqrt(252), rel=GOLDEN)
    assert math.isnan(stats.annualisation(3, [-0.9, -0.9]))


def test_effective_size_follows_memory() -> None:
    slow = ar(0.8, stats.normals(5, 5_000))
    assert stats.effective_size(slow).size == near(5_000 / 9, rel=0.25)  # (1 - rho) / (1 + rho)
    assert stats.effective_size(stats.normals(6, 5_000)).size > 4_000
    one, two = stats.effective_size(X), stats.effective_size(np.repeat(X, 2))
    assert two.size < 1.3 * one.size  # not doubled


def test_murphy_adds_up_and_bins_of_calibration_hold_every_row() -> None:
    p = np.round(stats.uniforms(3, 400), 1)
    y = (stats.uniforms(4, 400) < p).astype(float)
    for bins in (None, 5):
        m = stats.murphy(p, y, bins=bins)
        assert m.reliability - m.resolution + m.uncertainty + m.within == near(m.brier, rel=GOLDEN)
    assert stats.murphy(p, y).within == 0
    one = stats.calibration_error(p, y, bins=1)
    assert one.ece == near(abs(y.mean() - p.mean()), rel=GOLDEN)


def test_null_of_the_calibration_error_is_what_calibrated_forecasts_score() -> None:
    p = 0.02 + 0.96 * stats.uniforms(71, 400)
    drawn = [
        stats.calibration_error(p, (stats.uniforms(s, 400) < p).astype(float), bins=10)
        for s in range(200)
    ]
    assert np.mean([d.ece for d in drawn]) == near(drawn[0].null, rel=0.1)
    assert abs(np.mean([d.excess for d in drawn])) < 0.005


def test_drift_by_definition() -> None:
    assert stats.psi_of([1, 1], [1, 3]) == near((0.25 - 0.5) * math.log(0.5) + 0.25 * math.log(1.5))
    assert stats.psi_of([1, 0], [0, 1]) == math.inf and stats.psi_of([1, 0], [1, 0]) == 0
    moved = stats.psi(X, X + 50)
    assert moved.empty > 0 and moved.psi > 1 and math.isfinite(moved.psi)
    drawn = [stats.psi(stats.normals(s, 400), stats.normals(s + 999, 300)) for s in range(150)]
    assert np.mean([d.psi for d in drawn]) == near(drawn[0].null_mean, rel=0.12)
    assert stats.wasserstein(X, X + 0.5).distance == near(0.5, rel=GOLDEN)
    assert stats.wasserstein(X, X + 0.5).relative == near(0.5 / X.std(), rel=GOLDEN)


def test_growth_and_ruin() -> None:
    x = 0.01 * stats.normals(8, 500)
    found = stats.growth_identity(float(x.mean()), 500, float(np.prod(1 + x)))
    assert found.deviation == near(x.std(), rel=0.05)
    assert not stats.growth_identity(0.001, 100, 2.0).defined
    safe, wild = stats.ruin(x, resamples=300), stats.ruin(8 * x, resamples=300)
    assert safe.probability < 0.05 < 0.5 < wild.probability
    assert stats.ruin(x, resamples=300, limit=0.999).probability == 1 / 301  # never 0
    plunge = np.array([0.01] * 20 + [-1.0] + [0.01] * 20)
    assert stats.ruin(plunge, resamples=200, mean_block=1).worst == 1.0


# ---- laws --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(scale=st.floats(1e-6, 1e6))
def test_scale_leaves_ratios_alone(scale: float) -> None:
    for form in ("2012", "2025"):
        assert stats.psr(scale * X, form=form).z == near(stats.psr(X, form=form).z, rel=1e-7)
    assert stats.sharpe_hac(scale * X).error == near(stats.sharpe_hac(X).error, rel=1e-7)
    found = stats.sharpe_difference(scale * X, Y)
    assert found.z == near(stats.sharpe_difference(X, Y).z, rel=1e-6)


@settings(deadline=None)
@given(
    n=st.floats(1, 1e6),
    more=st.floats(0, 1e6),
    v=st.floats(0, 0.1),
    sharpe=st.floats(-0.2, 0.5),
)
def test_more_trials_never_lower_the_hurdle(n: float, more: float, v: float, sharpe: float) -> None:
    few = stats.deflated_sharpe(sharpe, 500, trials=n, variance=v)
    many = stats.deflated_sharpe(sharpe, 500, trials=n + more, variance=v)
    assert many.hurdle >= few.hurdle * (1 - 1e-12)
    assert many.dsr_2014 <= few.dsr_2014 + 1e-12 and many.sidak >= few.sidak - 1e-12
    # Copies lower the variance of the ratios; that cannot lower the hurdle below what sampling alone gives.
    assert few.variance >= 1 / 500 * (1 - 1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_monotone_and_bounded(p: list[float]) -> None:
    order = np.argsort(p, kind="stable")
    for adjust in (stats.holm, stats.benjamini_hochberg, stats.benjamini_yekutieli):
        found = adjust(p).p
        assert np.all(np.diff(found[order]) >= 0)
        assert np.all(found <= 1) and np.all(found >= np.array(p) * (1 - 1e-12))
    assert np.all(stats.holm(p).p <= stats.bonferroni(p).p * (1 + 1e-12))


def test_pairs_are_antisymmetric() -> None:
    a, b = stats.sharpe_difference(X, Y), stats.sharpe_difference(Y, X)
    assert a.difference == near(-b.difference) and a.p == near(b.p)
    studentised = stats.sharpe_difference(X, Y, resamples=400).p_bootstrap
    assert 0 < studentised <= 1 and abs(studentised - a.p) < 0.15
    first, second = stats.paired_difference(X, Y), stats.paired_difference(Y, X)
    assert first.p == second.p and first.error == near(second.error)
    assert stats.mcnemar(5, 15).p == stats.mcnemar(15, 5).p


def test_track_record_length_is_where_the_ratio_becomes_significant() -> None:
    for form in ("2012", "2025"):
        shape: dict[str, Any] = {"benchmark": 0.02, "skewness": -0.5, "kurtosis": 5.0, "form": form}
        n = stats.min_track_record(0.1, **shape)
        assert stats.psr_of(0.1, math.floor(n), **shape).psr < 0.95
        assert stats.psr_of(0.1, math.ceil(n), **shape).psr >= 0.95
    assert stats.min_track_record(0.1, benchmark=0.1) == math.inf
    assert math.isnan(stats.min_track_record(math.nan))


def test_rare_skill_makes_discoveries_false() -> None:
    often = stats.odds_of_skill(250, skill=0.1, prior=0.5, sharpe=0.1)
    rarely = stats.odds_of_skill(250, skill=0.1, prior=0.01, sharpe=0.1)
    assert rarely.pfdr > often.pfdr and rarely.ofdr > often.ofdr
    assert math.isnan(stats.odds_of_skill(250, skill=0.1, prior=0.5).ofdr)


# ---- bad input ---------------------------------------------------------------------------------

SERIES: list[Callable[[Any], stats.Stat]] = [
    stats.moments,
    stats.psr,
    stats.sharpe_hac,
    stats.hac_mean,
    stats.effective_size,
    lambda x: stats.paired_difference(x, x, resamples=99),
    lambda x: stats.sharpe_difference(x, x),
    lambda x: stats.diebold_mariano(x, x),
    lambda x: stats.clustered_mean(x, [0] * len(x)),
    lambda x: stats.psi(x, x),
    lambda x: stats.wasserstein(x, x),
]
BAD = {
    "none": [],
    "one": [0.1],
    "constant": [0.1] * 50,
    "NaN": [0.1, math.nan, 0.2, 0.3, 0.1],
    "inf": [0.1, math.inf, 0.2, 0.3, 0.1],
    "text": ["a", "b"],
    "table": [[1.0, 2.0], [3.0, 4.0]],
    "ragged": [[1.0], [2.0, 3.0]],
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("at", range(len(SERIES)))
def test_bad_series_have_a_reason_and_no_number(kind: str, at: int) -> None:
    found = SERIES[at](BAD[kind])
    assert not found.defined and found.reason
    assert repr(found).startswith(f"{type(found).__name__}(undefined: ")
    for field in fields(found):
        value = getattr(found, field.name)
        known = ("level", "benchmark", "null_mean")
        if isinstance(value, float) and field.name not in known:
            assert math.isnan(value), field.name


def test_calendars_and_blocks_that_do_not_fit() -> None:
    assert "calendar" in stats.paired_difference(X, Y[:-1]).reason
    assert "calendar" in stats.sharpe_difference(X[:-1], Y).reason
    slow = np.arange(40.0)
    assert "fifth" in stats.paired_difference(slow, 0 * slow).reason
    assert "fifth" in stats.sharpe_difference(slow, X[:40], resamples=9, mean_block=9).reason
    assert "fifth" in stats.ruin(0.01 * X[:20], mean_block=5, resamples=99).reason
    assert stats.ruin([0.1, -1.5]).reason and stats.ruin([]).reason
    assert "lags" in stats.hac_mean(X, lags=400).reason


def test_unknown_and_impossible_trials() -> None:
    unknown = stats.deflated_sharpe(0.1, 500, trials=None, variance=0.01)
    assert "unknown" in unknown.reason and math.isnan(unknown.dsr_2014)
    one = stats.deflated_sharpe(0.1, 500, trials=1, variance=0.01)
    assert one.hurdle == 0 and one.dsr_2014 == near(stats.psr_of(0.1, 500).psr, rel=GOLDEN)
    assert not stats.deflated_sharpe(math.nan, 500, trials=5, variance=0.01).defined
    assert not stats.deflated_sharpe(0.1, 1, trials=5, variance=0.01).defined
    assert not stats.psr_of(0.9, 500, skewness=5.0, kurtosis=1.0).defined
    far = stats.deflated_sharpe(2.0, 2_500, trials=1e6, variance=0.001)
    assert 0 <= far.sidak < 1e-100
    low = stats.deflated_sharpe(-2.0, 2_500, trials=10, variance=0.001)
    assert low.sidak == 1.0


def test_shares_without_trials() -> None:
    assert not stats.binomial_test(0, 0).defined
    assert not stats.mcnemar(0, 0).defined
    assert not stats.required_trials(0.5, 0.5).defined
    assert stats.power_of_share(0, 0.6) == 0.0
    assert stats.rate_test(0, 3, 4.6).greater == 1.0
    doubled = stats.binomial_test(9, 10, form="doubled")
    assert doubled.p == near(2 * stats.binomial_test(9, 10, alternative="greater").p)


def test_probabilities_and_outcomes_that_are_none() -> None:
    for check in (stats.calibration_error, stats.scores, stats.murphy, stats.spiegelhalter):
        for p, y in (([], []), ([0.5], [2]), ([1.5], [1]), ([math.nan], [1]), ([0.5, 0.5], [1])):
            assert not check(p, y).defined
        assert not check(["a"], [1]).defined
    assert not stats.spiegelhalter([0.0, 1.0, 0.5], [0, 1, 1]).defined
    assert not stats.temperature([1.0, -1.0], [1, 0]).defined  # perfect
    assert not stats.temperature([1.0, -1.0], [0, 1]).defined  # upside down
    assert not stats.temperature([0.0, 0.0], [0, 1]).defined
    assert not stats.temperature([math.inf], [1]).defined
    one_class = stats.scores([0.9, 1.0], [1, 1])
    assert math.isnan(one_class.brier_skill) and one_class.clipped == 0.5
    for adjust in (stats.holm, stats.sidak, stats.bonferroni, stats.benjamini_yekutieli):
        assert not adjust([]).defined and not adjust([math.nan]).defined
        assert not adjust([-0.1]).defined
    assert math.isnan(stats.effective_rank([[0.0]])[0])
    assert stats.effective_rank([[1.0, 2.0], [2.0, 1.0]])[2] == 1
    assert len(stats.autocorrelations([1.0])) == 0
    assert not stats.effective_size_of(5, [-0.9, -0.9, -0.9]).defined
