"""Laws that every backtest obeys (docs/execution.md, section 6), over random draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.reference import compare
from tests.reference.draws import Case, draw
from tests.tolerances import REFERENCE, ROUNDING

cases = st.integers(min_value=0, max_value=10**6).map(draw)
many = settings(max_examples=150, deadline=None)


def same_bits(a: Any, b: Any) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


def with_market(case: Case, change: Callable[[Any], dict[str, Any]]) -> Case:
    return replace(case, market=replace(case.market, **change(case.market)))


@many
@given(case=cases, power=st.integers(-30, 30))
def test_prices_times_a_power_of_two_change_nothing(case: Case, power: int) -> None:
    factor = 2.0**power
    plain = with_market(case, lambda _: {"lot": 0.0, "min_notional": 0.0})
    scaled = with_market(
        plain, lambda m: {n: getattr(m, n) * factor for n in ("open", "high", "low", "close")}
    )
    a, b = compare.replay(plain), compare.replay(scaled)
    for name in ("entry_bar", "exit_bar", "return", "mae", "mfe", "pnl"):
        assert same_bits(a["trades"][name], b["trades"][name]), name
    assert a["trades"]["reason"] == b["trades"]["reason"]
    assert same_bits(a["equity"], b["equity"])
    assert same_bits(a["trades"]["quantity"], b["trades"]["quantity"] * factor)


@many
@given(case=cases)
def test_sums_over_trades_equal_the_metrics_and_the_equity(case: Case) -> None:
    got = compare.replay(case)
    trades, metrics = got["trades"], got["metrics"]
    scale = case.initial_equity
    # Accounts can grow a thousandfold in a draw; sums are held to their largest term.
    size = max(scale, float(np.max(np.abs(got["equity"]))), float(np.sum(np.abs(trades["pnl"]))))
    assert abs(np.sum(trades["fees"]) - metrics["fees"]) <= REFERENCE * size
    assert abs(np.sum(trades["funding"]) - metrics["funding"]) <= REFERENCE * size
    assert abs(scale + np.sum(trades["pnl"]) - got["equity"][-1]) <= REFERENCE * size
    assert got["equity"][-1] == metrics["final_equity"]
    assert np.all(got["equity"] >= 0)


@many
@given(case=cases)
def test_no_trade_loses_more_than_its_margin_and_entry_fee(case: Case) -> None:
    trades = compare.replay(case)["trades"]
    rate = max(case.costs["taker"], case.costs.get("maker", case.costs["taker"]), 0.0)
    entry_fee = rate * trades["notional"]
    unfunded = trades["funding"] == 0.0
    floor = -(trades["margin"] + entry_fee)
    slack = REFERENCE * np.maximum(case.initial_equity, trades["notional"])
    assert np.all((trades["pnl"] >= floor - slack)[unfunded])
    assert np.all(trades["return"] >= -1.0)
    assert np.all(trades["mae"] <= 0) and np.all(trades["mfe"] >= 0)


@many
@given(case=cases)
def test_without_signals_nothing_happens(case: Case) -> None:
    silent = {
        k: np.full(len(v), np.nan) if isinstance(v, np.ndarray) else v
        for k, v in case.signals.items()
    }
    got = compare.replay(replace(case, signals=silent))
    assert len(got["trades"]["pnl"]) == 0
    assert np.all(got["equity"] == case.initial_equity)


@many
@given(case=cases, share=st.floats(0.1, 0.9))
def test_bars_after_the_window_change_nothing(case: Case, share: float) -> None:
    n = len(case.market.open)
    stop = max(1, int(n * share))
    assume(stop < n and case.market.kind in ("spot", "perpetual"))
    noise = np.random.default_rng(1).uniform(0.5, 2.0, n - stop)

    def later(market: Any) -> dict[str, Any]:
        out = {}
        for name in ("open", "high", "low", "close"):
            out[name] = getattr(market, name).copy()
            out[name][stop:] *= noise
        return out

    cut = replace(case, window=(0, stop))
    a, b = compare.replay(cut), compare.replay(with_market(cut, later))
    assert same_bits(a["equity"], b["equity"])
    for name, column in a["trades"].items():
        assert (
            column == b["trades"][name]
            if isinstance(column, list)
            else same_bits(column, b["trades"][name])
        )


@many
@given(case=cases, more=st.floats(1e-5, 1e-2))
def test_higher_fees_on_fixed_quantities_never_help(case: Case, more: float) -> None:
    # A rounded lot fixes the quantity; taker fees alone, so that fills stay what they are.
    rules = {
        "entry_long": 0.5,
        "max_hold": 5,
        "sizing": "notional",
        "notional": case.initial_equity * 0.1,
    }
    signals = {"kind": "probability", "long": np.linspace(0, 1, len(case.market.open))}
    base = replace(case, rules=rules, signals=signals, schedule=None)
    base = with_market(
        base,
        lambda _: {"lot": 0.0, "min_notional": 0.0, "funding_time": None, "funding_rate": None},
    )
    cheap = compare.replay(replace(base, costs={"taker": 0.0, "slippage": 0.0}))
    dear = compare.replay(replace(base, costs={"taker": more, "slippage": 0.0}))
    assume(cheap["metrics"]["n_liquidation"] == 0)
    assert same_bits(cheap["trades"]["entry_bar"], dear["trades"]["entry_bar"])
    assume(np.allclose(cheap["trades"]["quantity"], dear["trades"]["quantity"], rtol=ROUNDING))
    slack = REFERENCE * case.initial_equity
    assert np.all(np.cumsum(dear["trades"]["pnl"]) <= np.cumsum(cheap["trades"]["pnl"]) + slack)


@pytest.mark.parametrize("seed", range(40))
def test_a_window_alone_or_among_others_gives_the_same_bits(seed: int) -> None:
    case = draw(seed)
    n = len(case.market.open)
    if case.schedule is not None or n < 30:
        case = draw(seed + 1_000)
        n = len(case.market.open)
    windows = [(0, n // 3), (n // 3, n // 2), (n // 2, n), (0, n)]
    windows = [w for w in windows if w[0] < w[1]]
    e = compare.engine(replace(case, schedule=None, boundary="carry"))
    options = {k: v for k, v in e.options.items() if k not in ("boundary", "window_")}

    def sweep(spans: list[tuple[int, int]], threads: int) -> list[list[float]]:
        from barproof import _core

        raw = _core.sweep_table(
            e.bars, e.signals, case.rules, {}, 1, windows=spans, threads=threads,
            keep_daily=False, progress=None, **options,
        )  # fmt: skip
        return [list(column) for column in raw["frame"]]

    together = sweep(windows, 3)
    for i, window in enumerate(windows):
        alone = sweep([window], 1)
        for a, b in zip(together, alone, strict=True):
            assert same_bits(a[i], b[0])
