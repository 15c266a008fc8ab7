"""Every test of `barproof.stats` that has a p-value or a gate, on data without an effect: how often it rejects at 5%.

A row says on what kinds of noise the test claims its level. On the others, such as counts of days that depend on each
other for a test of independent counts, its docstring says that it does not, and the rate is held within a bracket that
docs/statistics.md states: better or worse than that is news.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from barproof import stats
from tests.stats.nulls import DRAWS, Floats

LEVEL = 0.05
DAYS = 250
TRIALS = 10
ALL = ("independent", "AR(1)", "skewed")
FREE = ("independent", "skewed")
# Stricter than 5% by their making, whatever the noise: for these only too many rejections are a fault.
STRICT = {
    "dsr_2014",
    "dsr_2025",
    "dsr_2025_maximum",
    "benjamini_yekutieli",
    "pbo at 0.10",
    "diebold_mariano",
    "diebold_mariano, horizon 3",
}
# P(1 - Exp(1) > 0); the others are symmetric.
POSITIVE = {"independent": 0.5, "AR(1)": 0.5, "skewed": 1 - math.exp(-1)}


SHARES = (
    "binomial_test",
    "binomial_test, doubled",
    "binomial_test, one-sided",
    "binomial_tail",
    "upper_bound",
    "proportion_test",
    "two_proportions",
    "wilson",
    "clopper_pearson",
)
FORECASTS = ("diebold_mariano", "diebold_mariano, one-sided", "diebold_mariano, uncorrected")
Bracket = tuple[float, float]
# Where a level is not claimed: between what rates it lies all the same, on days with this much memory or skewness.
OUTSIDE: dict[str, dict[str, Bracket]] = {
    "psr, form of 2012": {"AR(1)": (0.05, 0.12)},
    "psr, form of 2025": {"skewed": (0.04, 0.11)},
    "mean_interval, percentile": {"skewed": (0.05, 0.12)},
    **{name: {"AR(1)": (0.03, 0.10)} for name in FORECASTS},
    "spa, lower": dict.fromkeys(ALL, (0.05, 0.12)),
    "spa, by the sample's deviation": {"AR(1)": (0.05, 0.13), "skewed": (0.08, 0.20)},
    "spa, not studentised": {"AR(1)": (0.05, 0.12)},
    "reality_check": {"AR(1)": (0.05, 0.12)},
    **{name: {"AR(1)": (0.05, 0.13)} for name in SHARES},
    "mcnemar": {"AR(1)": (0.04, 0.11)},
    "psi at its 95% quantile": {"AR(1)": (0.04, 0.11)},
    "ks": {"AR(1)": (0.05, 0.12)},
    "ks_p": {"AR(1)": (0.05, 0.12)},
}


@dataclass(frozen=True)
class Sample:
    """One draw of a kind of noise: a panel, two series that share a part, and uniforms of their own."""

    kind: str
    seed: int
    panel: Floats
    a: Floats
    b: Floats

    def uniforms(self, n: int) -> Floats:
        return stats.uniforms(7_000_000 + self.seed, n)


def sample(kind: str, seed: int) -> Sample:
    """Draw one."""
    panel = DRAWS[kind](400_000 + seed, DAYS, TRIALS)
    three = DRAWS[kind](900_000 + seed, DAYS, 3)
    return Sample(kind, seed, panel, three[:, 0] + three[:, 2], three[:, 1] + three[:, 2])


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def _outside(interval: stats.Interval, truth: float) -> float:
    """As a p-value: 0 where the truth lies outside, else 1."""
    return float(interval.low <= truth <= interval.high)


def _best(s: Sample) -> stats.Deflated:
    ratios = s.panel.mean(axis=0) / s.panel.std(axis=0)
    m = stats.moments(s.panel[:, int(np.argmax(ratios))])
    return stats.deflated_sharpe(
        m.sharpe,
        m.n,
        trials=TRIALS,
        variance=float(ratios.var(ddof=1)),
        skewness=m.skewness,
        kurtosis=m.kurtosis,
        rho=m.rho,
    )


def _wins(s: Sample) -> int:
    return int(np.sum(s.panel[:, 0] > 0))


def _spiegelhalter(s: Sample) -> float:
    p = 1 / (1 + np.exp(-s.panel[:, 0]))
    return stats.spiegelhalter(p, (s.uniforms(DAYS) < p).astype(float)).p


def _each(s: Sample) -> Floats:
    """One-sided p-values of the sums of all trials, exact by the law of each kind of noise."""
    from scipy.stats import gamma

    sums = s.panel.sum(axis=0)
    if s.kind == "skewed":
        # Of 1 - Exp(1): n less a gamma variable.
        out: Floats = gamma.cdf(DAYS - sums, DAYS)
        return out
    variance = float(DAYS)
    if s.kind == "AR(1)":
        weights = (1 - 0.2 ** np.arange(1, DAYS + 1)) / 0.8
        # What the days before leave: stationary, passed on through the sum.
        variance = float(weights @ weights) + (0.2 * weights[-1]) ** 2 / (1 - 0.04)
    return np.array([0.5 * math.erfc(x / math.sqrt(2 * variance)) for x in sums])


def _mcnemar(s: Sample) -> float:
    up, other = s.panel[:, 0] > 0, s.panel[:, 1] > 0
    return stats.mcnemar(int(np.sum(up & ~other)), int(np.sum(~up & other))).p


def _events(s: Sample) -> int:
    """Events of a Poisson process of rate 5 over 10 days."""
    return int(np.sum(np.cumsum(-np.log1p(-s.uniforms(200))) < 50))


SPA = {"resamples": 299, "threads": 1}

TESTS: dict[str, tuple[Callable[[Sample], float], tuple[str, ...]]] = {
    "psr, form of 2012": (lambda s: 1 - stats.psr(s.a).psr, FREE),
    "psr, form of 2025": (lambda s: 1 - stats.psr(s.a, form="2025").psr, ("independent", "AR(1)")),
    "sharpe_hac": (
        lambda s: _two_sided((f := stats.sharpe_hac(s.a)).sharpe / f.error),
        ALL,
    ),
    "hac_mean": (lambda s: _two_sided((f := stats.hac_mean(s.a)).mean / f.error), ALL),
    "mean_interval": (lambda s: _outside(stats.mean_interval(s.a, resamples=299), 0.0), ALL),
    "mean_interval, percentile": (
        lambda s: _outside(stats.mean_interval(s.a, resamples=299, studentise=False), 0.0),
        ("independent", "AR(1)"),
    ),
    "clustered_mean, weeks": (
        lambda s: stats.clustered_mean(s.a, np.arange(DAYS) // 5).p,
        ALL,
    ),
    "paired_difference": (lambda s: stats.paired_difference(s.a, s.b, resamples=299).p, ALL),
    "sharpe_difference": (lambda s: stats.sharpe_difference(s.a, s.b).p, ALL),
    "sharpe_difference, bootstrap": (
        lambda s: stats.sharpe_difference(s.a, s.b, resamples=299).p_bootstrap,
        ALL,
    ),
    "diebold_mariano": (lambda s: stats.diebold_mariano(s.a**2, s.b**2).p, FREE),
    "diebold_mariano, horizon 3": (
        lambda s: stats.diebold_mariano(s.a**2, s.b**2, horizon=3).p,
        ALL,
    ),
    "diebold_mariano, one-sided": (
        lambda s: stats.diebold_mariano(s.a**2, s.b**2, alternative="less").p,
        FREE,
    ),
    "diebold_mariano, uncorrected": (
        lambda s: stats.diebold_mariano(s.a**2, s.b**2, corrected=False).p,
        FREE,
    ),
    "spa": (lambda s: stats.spa(s.panel, **SPA).p, ALL),  # type: ignore[arg-type]
    "spa, upper": (lambda s: stats.spa(s.panel, **SPA).p_upper, ALL),  # type: ignore[arg-type]
    "spa, lower": (lambda s: stats.spa(s.panel, **SPA).p_lower, ()),  # type: ignore[arg-type]
    "spa, by the sample's deviation": (
        lambda s: stats.spa(s.panel, studentise="sample", **SPA).p,  # type: ignore[arg-type]
        ("independent",),
    ),
    "spa, not studentised": (
        lambda s: stats.spa(s.panel, studentise="none", **SPA).p,  # type: ignore[arg-type]
        FREE,
    ),
    "reality_check": (lambda s: stats.reality_check(s.panel, **SPA).p, FREE),  # type: ignore[arg-type]
    "stepm": (lambda s: float(np.min(stats.stepm(s.panel, **SPA).p)), ALL),  # type: ignore[arg-type]
    "dsr_2014": (lambda s: 1 - _best(s).dsr_2014, ALL),
    "dsr_2025": (lambda s: 1 - _best(s).dsr_2025, ALL),
    "dsr_2025_maximum": (lambda s: 1 - _best(s).dsr_2025_maximum, ALL),
    "sidak of the best": (lambda s: _best(s).sidak, ALL),
    "pbo at 0.10": (lambda s: stats.pbo(s.panel, blocks=8, threads=1).pbo - 0.05, ALL),
    "holm": (lambda s: float(stats.holm(_each(s)).p.min()), ALL),
    "benjamini_hochberg": (lambda s: float(stats.benjamini_hochberg(_each(s)).p.min()), ALL),
    "benjamini_yekutieli": (lambda s: float(stats.benjamini_yekutieli(_each(s)).p.min()), ALL),
    "bonferroni": (lambda s: float(stats.bonferroni(_each(s)).p.min()), ALL),
    "sidak": (lambda s: float(stats.sidak(_each(s)).p.min()), ALL),
    "binomial_test": (lambda s: stats.binomial_test(_wins(s), DAYS, POSITIVE[s.kind]).p, FREE),
    "binomial_test, doubled": (
        lambda s: stats.binomial_test(_wins(s), DAYS, POSITIVE[s.kind], form="doubled").p,
        FREE,
    ),
    "binomial_test, one-sided": (
        lambda s: stats.binomial_test(_wins(s), DAYS, POSITIVE[s.kind], alternative="greater").p,
        FREE,
    ),
    "binomial_tail": (
        lambda s: 10 ** stats.binomial_tail(_wins(s), DAYS, POSITIVE[s.kind]),
        FREE,
    ),
    "upper_bound": (
        lambda s: float(stats.upper_bound(_wins(s), DAYS) >= POSITIVE[s.kind]),
        FREE,
    ),
    "proportion_test": (
        lambda s: stats.proportion_test(_wins(s), DAYS, POSITIVE[s.kind]).p,
        FREE,
    ),
    "two_proportions": (
        lambda s: stats.two_proportions(_wins(s), DAYS, int(np.sum(s.panel[:, 1] > 0)), DAYS).p,
        FREE,
    ),
    "wilson": (lambda s: _outside(stats.wilson(_wins(s), DAYS), POSITIVE[s.kind]), FREE),
    "clopper_pearson": (
        lambda s: _outside(stats.clopper_pearson(_wins(s), DAYS), POSITIVE[s.kind]),
        FREE,
    ),
    "mcnemar": (_mcnemar, FREE),
    "rate_test": (lambda s: stats.rate_test(_events(s), 10.0, 5.0).p, ALL),
    "rate_test, one-sided": (lambda s: stats.rate_test(_events(s), 10.0, 5.0).greater, ALL),
    "psi at its 95% quantile": (
        lambda s: float((f := stats.psi(s.panel[:, 0], s.panel[:, 1])).psi <= f.null_95),
        FREE,
    ),
    "ks_p": (
        lambda s: stats.ks_p(stats.ks(s.panel[:, 0], s.panel[:, 1]).d, DAYS, DAYS),
        FREE,
    ),
    "ks": (lambda s: stats.ks(s.panel[:, 0], s.panel[:, 1]).p, FREE),
    "spiegelhalter": (_spiegelhalter, ALL),
}
