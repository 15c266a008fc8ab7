"""The engines against the twin: thousands of random draws that reach every rule, and pooling over windows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from barproof import _core
from tests.reference import compare
from tests.reference.draws import Case, draw
from tests.reference.execution import pool, run
from tests.tolerances import METRIC

CHUNK = 250
CHUNKS = 12

# What the draws must reach, and how many times at least, so that agreement means something.
REASONS = ["signal", "stop", "take", "trail", "breakeven", "time", "liquidation", "reverse", "end"]
EVENTS = [
    "limit_marketable",
    "limit_open",
    "limit_inside",
    "ruin",
    "liquidation_funding",
    "liquidation_open",
    "liquidation_inside",
    "stop_open",
    "take_open",
    "void_lot",
    "void_min_notional",
]


def reached(case: Case) -> Counter[str]:
    """Hold one draw against the twin and say what it reached."""
    want = compare.twin(case)
    got = compare.replay(case)
    compare.assert_same(got, want, repr(case.rules))
    compare.assert_same_bits(compare.replay(case, engine="indexed"), got, repr(case.rules))
    seen = Counter(want.events)
    seen.update(f"reason {trade['reason']}" for trade in want.trades)
    if want.trades:
        for rules in [case.rules] if case.schedule is None else [r for _, r in case.schedule]:
            for name in ("sizing", "entry", "fill", "intrabar", "take_profit_order"):
                seen[f"{name} {rules.get(name)}"] += 1
            for name in ("stop_loss", "take_profit"):
                if rules.get(name) is not None:
                    seen[f"{name} {rules.get(name + '_kind', 'price')}"] += 1
    seen["flag ambiguous"] += sum(bool(t["ambiguous"]) for t in want.trades)
    seen["flag ambiguous_trail"] += sum(bool(t["ambiguous_trail"]) for t in want.trades)
    seen["schedule " + case.boundary] += case.schedule is not None
    seen["window"] += case.window is not None
    return seen


@pytest.fixture(scope="module")
def coverage() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_engine_equals_twin(chunk: int, coverage: Counter[str]) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        coverage.update(reached(draw(seed)))


def test_draws_reach_every_rule(coverage: Counter[str]) -> None:
    if not coverage:
        for seed in range(2_000):
            coverage.update(reached(draw(seed)))
    for reason in REASONS:
        assert coverage[f"reason {reason}"] >= 100, reason
    for event in EVENTS:
        assert coverage[event] >= 10, event
    for name, values in {
        "sizing": "fraction notional confidence risk volatility signal",
        "stop_loss": "price equity atr signal",
        "take_profit": "price equity atr signal",
        "fill": "close",
        "entry": "limit",
        "intrabar": "pessimistic optimistic nearest_open",
        "take_profit_order": "limit market",
        "schedule": "carry close",
        "flag": "ambiguous ambiguous_trail",
    }.items():
        for value in values.split():
            assert coverage[f"{name} {value}"] >= 20, f"{name} {value}"


@pytest.mark.slow
def test_engine_equals_twin_for_long() -> None:
    for seed in range(10_000, 160_000):
        reached(draw(seed))


def cut(n: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Disjoint windows in time order, some with gaps between."""
    count = min(int(rng.integers(1, 5)), max(1, n // 4))
    edges = [0, n]
    if n > 8:
        edges = sorted(rng.choice(np.arange(n + 1), size=2 * count, replace=False).tolist())
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


@pytest.mark.parametrize("chunk", range(4))
def test_windows_and_pooling_equal_twin(chunk: int) -> None:
    compared = 0
    for seed in range(chunk * 100, (chunk + 1) * 100):
        case = draw(seed)
        if case.schedule is not None:
            continue
        windows = cut(len(case.market.open), np.random.default_rng(seed))
        outcomes = [
            run(
                case.market,
                case.signals,
                case.rules,
                case.costs,
                window=window,
                initial_equity=case.initial_equity,
            )
            for window in windows
        ]
        e = compare.engine(case)
        options = {k: v for k, v in e.options.items() if k not in ("boundary", "window_")}
        raw = _core.sweep_table(
            e.bars,
            e.signals,
            e.schedule[0][1],
            {},
            1,
            windows=windows,
            threads=1 + seed % 2,
            keep_daily=True,
            progress=None,
            **{**options, "engine": ("indexed", "replay")[seed // 2 % 2]},
        )
        names = [row["name"] for row in _core.metrics_table()]
        for i, outcome in enumerate(outcomes):
            for name, column in zip(names, raw["frame"], strict=True):
                where = f"seed {seed} window {i} {name}"
                compare.assert_close(column[i], outcome.metrics[name], where, METRIC)
        pooled = pool(outcomes)
        for name, column in zip(names, raw["pooled"], strict=True):
            compare.assert_close(column[0], pooled[name], f"seed {seed} pooled {name}", METRIC)
        daily = np.concatenate([outcome.daily_returns for outcome in outcomes])
        compare.assert_arrays_close(raw["daily"], daily, f"seed {seed}")
        compared += 1
    assert compared >= 60
