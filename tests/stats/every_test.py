"""Every test of `barproof.stats` that has a p-value or a gate, on data without an effect: how often it rejects at 5%.

A row says on what kinds of noise the test claims its level. On the others, such as counts of days that depend on each
other for a test of independent counts, the rate is measured and recorded and not asserted.
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
    "spa": (lambda s: stats.spa(s.panel, **SPA).p, ALL),  # type: ignore[arg-type]
    "spa, upper": (lambda s: stats.spa(s.panel, **SPA).p_upper, ALL),  # type: ignore[arg-type]
    "reality_check": (lambda s: stats.reality_check(s.panel, **SPA).p, FREE),  # type: ignore[arg-type]
    "stepm": (lambda s: float(np.min(stats.stepm(s.panel, **SPA).p)), ALL),  # type: ignore[arg-type]
    "dsr_2014": (lambda s: 1 - _best(s).dsr_2014, ALL),
    "dsr_2025": (lambda s: 1 - _best(s).dsr_2025, ALL),
    "dsr_2025_maximum": (lambda s: 1 - _best(s).dsr_2025_maximum, ("independent", "AR(1)")),
    "sidak of the best": (lambda s: _best(s).sidak, FREE),
    "pbo at 0.10": (lambda s: stats.pbo(s.panel, blocks=8, threads=1).pbo - 0.05, ALL),
    "holm": (lambda s: float(stats.holm(_each(s)).p.min()), ALL),
    "benjamini_hochberg": (lambda s: float(stats.benjamini_hochberg(_each(s)).p.min()), ALL),
    "benjamini_yekutieli": (lambda s: float(stats.benjamini_yekutieli(_each(s)).p.min()), ALL),
    "bonferroni": (lambda s: float(stats.bonferroni(_each(s)).p.min()), ALL),
    "sidak": (lambda s: float(stats.sidak(_each(s)).p.min()), ALL),
    "binomial_test": (lambda s: stats.binomial_test(_wins(s), DAYS, POSITIVE[s.kind]).p, FREE),
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
    "ks": (lambda s: stats.ks(s.panel[:, 0], s.panel[:, 1]).p, FREE),
    "spiegelhalter": (_spiegelhalter, ALL),
}
