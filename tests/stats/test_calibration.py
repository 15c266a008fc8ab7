"""Every test rejects where there is nothing as often as it says; a small set here, more in the slow suite."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from barproof import stats
from tests.stats.nulls import DRAWS, passed, with_edge

LEVEL = {
    "Reality Check 5%": 0.05,
    "SPA 5%": 0.05,
    "StepM 5%": 0.05,
    "DSR 2014, 0.95": 0.05,
}


def count(kind: str, draws: int, n: int, trials: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(draws):
        panel = DRAWS[kind](70_000 + seed, n, trials)
        total.update(name for name, yes in passed(panel, seed).items() if yes)
    return total


def within(k: int, draws: int, level: float) -> bool:
    """Not above the level, by an exact test at 0.1% with a twentieth of slack for finite samples."""
    return stats.binomial_test(k, draws, 1.2 * level, alternative="greater").p > 0.001


@pytest.mark.parametrize("kind", DRAWS)
def test_gates_hold_where_there_is_nothing(kind: str) -> None:
    draws = 60
    found = count(kind, draws, 200, 8)
    for name, level in LEVEL.items():
        assert within(found[name], draws, level), (name, found[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWS)
def test_gates_hold_in_500_nulls(kind: str) -> None:
    draws = 500
    found = count(kind, draws, 365, 20)
    print(kind, dict(found))
    for name, level in LEVEL.items():
        assert within(found[name], draws, level), (name, found[name])
    # A test that never rejects would be as wrong; the form of 2014 hardly ever does, as its size says.
    assert found["SPA 5%"] > 5 and found["Sidak 5%"] > 5


@pytest.mark.parametrize(
    ("name", "p"),
    [
        ("paired", lambda a, b, s: stats.paired_difference(a, b, resamples=199, seed=s).p),
        ("Ledoit-Wolf", lambda a, b, s: stats.sharpe_difference(a, b).p),
        ("Diebold-Mariano", lambda a, b, s: stats.diebold_mariano(a**2, b**2).p),
        ("Kolmogorov-Smirnov", lambda a, b, s: stats.ks(a, b).p),
        ("PSR 2025", lambda a, b, s: 1 - stats.psr(a, form="2025").psr),
        ("clusters", lambda a, b, s: stats.clustered_mean(a, np.arange(len(a)) // 5).p),
    ],
)
@pytest.mark.parametrize("draws", [120, pytest.param(1_000, marks=pytest.mark.slow)])
def test_p_values_of_pairs_and_series(name: str, p: object, draws: int) -> None:
    hits = 0
    for seed in range(draws):
        panel = DRAWS["independent"](90_000 + seed, 150, 2)
        hits += p(panel[:, 0], panel[:, 1], seed) <= 0.10  # type: ignore[operator]
    assert stats.binomial_test(hits, draws, 0.10).p > 0.001, hits


def test_large_edges_pass_and_small_samples_do_not() -> None:
    panel = with_edge(DRAWS["independent"](5, 730, 8), 4.0)
    found = passed(panel, 1)
    assert all(found.values()), found
    assert not any(passed(DRAWS["independent"](5, 60, 8) - 0.3, 1)[name] for name in LEVEL)
