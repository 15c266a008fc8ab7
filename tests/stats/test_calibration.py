"""Every test rejects where there is nothing as often as it says; a small set here, more in the slow suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from barproof import stats
from tests.stats.every_test import ALL, OUTSIDE, STRICT, TESTS, sample
from tests.stats.every_test import LEVEL as FIVE
from tests.stats.nulls import DRAWS, passed, with_edge

LEVEL = {
    "Reality Check 5%": 0.05,
    "SPA 5%": 0.05,
    "StepM 5%": 0.05,
    "DSR 2014, 0.95": 0.05,
    "Sidak 5%": 0.05,
}


def count(kind: str, draws: int, n: int, trials: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(draws):
        panel = DRAWS[kind](70_000 + seed, n, trials)
        total.update(name for name, yes in passed(panel, seed).items() if yes)
    return total


def not_above(k: int, draws: int, level: float) -> bool:
    """By an exact test at 0.1%."""
    return stats.binomial_test(k, draws, level, alternative="greater").p > 0.001


def not_below(k: int, draws: int, level: float) -> bool:
    """By an exact test at 0.1%."""
    return stats.binomial_test(k, draws, level, alternative="less").p > 0.001


@pytest.mark.parametrize("kind", DRAWS)
def test_gates_hold_where_there_is_nothing(kind: str) -> None:
    draws = 60
    found = count(kind, draws, 200, 8)
    for name, level in LEVEL.items():
        assert not_above(found[name], draws, level), (name, found[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWS)
def test_gates_hold_in_500_nulls(kind: str) -> None:
    draws = 500
    found = count(kind, draws, 365, 20)
    print(kind, dict(found))
    for name, level in LEVEL.items():
        assert not_above(found[name], draws, level), (name, found[name])
    # A test that never rejects would be as wrong; the form of 2014 hardly ever does, as its size says.
    assert not_below(found["SPA 5%"], draws, 0.05) and found["Sidak 5%"] > 5


@pytest.mark.parametrize("kind", ALL)
def test_no_test_rejects_more_often_than_it_claims(kind: str) -> None:
    draws = 30
    for name, hits in rejections(kind, draws).items():
        _, high = expected(name, kind)
        assert not_above(hits, draws, high), (name, hits)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_every_test_rejects_as_often_as_it_claims_in_600_nulls(kind: str) -> None:
    draws = 600
    found = rejections(kind, draws)
    for name, hits in found.items():
        low, high = expected(name, kind)
        bracket = "" if kind in TESTS[name][1] else f" within {low:.0%} to {high:.0%}"
        print(f"{kind:12} {name:32} {100 * hits / draws:5.1f}%{bracket}")
    for name, hits in found.items():
        low, high = expected(name, kind)
        assert not_above(hits, draws, high), (name, hits)
        assert name in STRICT or not_below(hits, draws, low), (name, hits)


def expected(name: str, kind: str) -> tuple[float, float]:
    """Between what rates a test rejects at 5%: where it claims its level that is one."""
    return (FIVE, FIVE) if kind in TESTS[name][1] else OUTSIDE[name][kind]


def test_where_no_level_is_claimed_the_page_says_what_it_is() -> None:
    """A bracket for every kind that is not claimed, for no other, and each of them in docs/statistics.md."""
    free = {
        (name, kind) for name, (_, claims) in TESTS.items() for kind in ALL if kind not in claims
    }
    assert free == {(name, kind) for name, kinds in OUTSIDE.items() for kind in kinds}
    page = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
    for name, kinds in OUTSIDE.items():
        for kind, (low, high) in kinds.items():
            assert f"| {name} | {kind} | {100 * low:.0f}% to {100 * high:.0f}% |" in page


def test_every_p_value_is_calibrated_somewhere() -> None:
    """A function whose result has a p-value stands in the table; those of a sum or of moments are behind others."""
    behind = {"psr_of", "deflated_sharpe", "overfitting", "constant_forecast"}
    for name in stats.__all__:
        thing = getattr(stats, name)
        if isinstance(thing, type) or name in behind:
            continue
        result = thing.__annotations__["return"]
        kind = getattr(stats, result, None)
        fields = set(getattr(kind, "__annotations__", {})) | set(dir(kind) if kind else ())
        gate = {"p", "psr", "p_value", "null_95", "low"} & fields
        if gate or name in ("binomial_tail", "upper_bound", "ks_p"):
            assert any(key.split(",")[0].split(" ")[0] == name for key in TESTS), name


def rejections(kind: str, draws: int) -> dict[str, int]:
    """How often each test of the table rejects at 5%."""
    hits = dict.fromkeys(TESTS, 0)
    for seed in range(draws):
        one = sample(kind, seed)
        for name, (p, _) in TESTS.items():
            value = p(one)
            assert value == value, (name, kind, seed)
            hits[name] += value <= FIVE
    return hits


def test_large_edges_pass_and_small_samples_do_not() -> None:
    panel = with_edge(DRAWS["independent"](5, 730, 8), 4.0)
    found = passed(panel, 1)
    assert all(found.values()), found
    assert not any(passed(DRAWS["independent"](5, 60, 8) - 0.3, 1)[name] for name in LEVEL)
