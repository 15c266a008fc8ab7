"""Run a drawn case on the engine, and hold what it gives against the twin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from tests.reference.draws import Case
from tests.reference.execution import Outcome, run, run_schedule
from tests.reference.records import Market
from tests.tolerances import METRIC, PRICE_FRACTION, REFERENCE

ARRAYS = ("long", "short", "exit_long", "exit_short", "stop", "target", "size")
PERIODS = {"spot": 365.0, "perpetual": 365.0, "equity": 252.0, "fx": 260.0}
EXACT = ("signal_bar", "entry_bar", "entry_time", "exit_bar", "exit_time", "bars_held", "reason")
FLAGS = ("ambiguous", "ambiguous_trail")
NUMBERS = [
    "entry_price",
    "exit_price",
    "quantity",
    "notional",
    "margin",
    "fraction",
    "p_entry",
    "fees",
    "funding",
    "pnl",
    "return",
    "mae",
    "mfe",
]


@dataclass
class Engine:
    """A case in the engine's own types."""

    bars: _core.Bars
    signals: _core.Signals
    schedule: list[tuple[int, dict[str, Any]]]
    options: dict[str, Any]


def finer_bars(finer: Market) -> _core.Bars:
    """Convert the finer candles of a drawn market."""
    return _core.Bars(
        finer.open_time,
        finer.open,
        finer.high,
        finer.low,
        finer.close,
        np.zeros(len(finer.open)),
        interval_ms=finer.interval_ms,
        extra={},
        funding_time=None,
        funding_rate=None,
        labels=[],
    )


def engine(case: Case) -> Engine:
    """Convert a drawn case."""
    m = case.market
    bars = _core.Bars(
        m.open_time,
        m.open,
        m.high,
        m.low,
        m.close,
        np.zeros(len(m.open)),
        interval_ms=m.interval_ms,
        extra={},
        funding_time=np.empty(0, np.int64) if m.funding_time is None else m.funding_time,
        funding_rate=np.empty(0) if m.funding_rate is None else m.funding_rate,
        labels=[],
    )
    arrays = {name: case.signals.get(name) for name in ARRAYS}
    signals = _core.Signals(case.signals.get("kind", "probability"), arrays)
    costs = (
        case.costs["taker"],
        case.costs.get("maker", case.costs["taker"]),
        case.costs.get("slippage", 0.0),
    )
    options = {
        "boundary": case.boundary,
        "costs": costs,
        "instrument_": (m.kind, m.maintenance, m.lot, m.min_notional),
        "window_": case.window or (0, len(m.open)),
        "initial_equity": case.initial_equity,
        "periods_per_year": PERIODS[m.kind],
        "engine": "replay",
    }
    if m.finer is not None:
        options["intrabar"] = finer_bars(m.finer)
    schedule = case.schedule if case.schedule is not None else [(0, case.rules)]
    return Engine(bars, signals, schedule, options)


def replay(case: Case, **changes: Any) -> dict[str, Any]:
    """Run the engine on a case."""
    e = engine(case)
    return _core.backtest(e.bars, e.signals, e.schedule, **{**e.options, **changes})


def twin(case: Case) -> Outcome:
    """Run the twin on a case."""
    if case.schedule is None:
        return run(
            case.market,
            case.signals,
            case.rules,
            case.costs,
            window=case.window,
            initial_equity=case.initial_equity,
        )
    return run_schedule(
        case.market,
        case.signals,
        case.schedule,
        case.costs,
        boundary=case.boundary,
        window=case.window,
        initial_equity=case.initial_equity,
    )


def assert_close(got: Any, want: Any, where: str, scale: float = 0.0) -> None:
    """Relative closeness; NaN equals NaN, infinities must match. ``scale`` is what small values are small against."""
    got, want = float(got), float(want)
    if math.isnan(want) or math.isinf(want):
        same = math.isnan(got) if math.isnan(want) else got == want
        assert same, f"{where}: {got} is not {want}"
        return
    bound = REFERENCE * max(abs(want), scale)
    assert abs(got - want) <= bound, f"{where}: {got} is not {want}"


def assert_arrays_close(got: NDArray[np.float64], want: NDArray[np.float64], where: str) -> None:
    """Every value of two arrays, to the reference tolerance."""
    np.testing.assert_allclose(got, want, rtol=REFERENCE, atol=REFERENCE, err_msg=where)


def assert_same_bits(a: dict[str, Any], b: dict[str, Any], where: str) -> None:
    """Two results of the core equal to the bit; NaN equals NaN."""
    for name, one in a.items():
        other = b[name]
        if isinstance(one, dict):
            assert_same_bits(one, other, f"{where}: {name}")
        else:
            np.testing.assert_array_equal(one, other, err_msg=f"{where}: {name}")
    assert a.keys() == b.keys()


def assert_same(got: dict[str, Any], want: Outcome, where: str) -> None:
    """Trades equal, equity and metrics close."""
    trades = got["trades"]
    sides = [1 if side == "long" else -1 for side in trades["side"]]
    events = [(t["side"], t["entry_bar"], t["exit_bar"], t["reason"]) for t in want.trades]
    found = list(zip(sides, trades["entry_bar"], trades["exit_bar"], trades["reason"], strict=True))
    assert found == events, f"{where}: trades differ"
    for i, trade in enumerate(want.trades):
        for name in EXACT:
            assert trades[name][i] == trade[name], f"{where}: {name} of trade {i}"
        for name in FLAGS:
            assert bool(trades[name][i]) == trade[name], f"{where}: {name} of trade {i}"
        size = float(str(trade["notional"]))
        for name in NUMBERS:
            # Differences of large numbers (pnl, mae) are small against what they are differences of.
            scale = size if name in ("pnl", "funding", "fees") else PRICE_FRACTION
            assert_close(trades[name][i], trade[name], f"{where}: {name} of trade {i}", scale)
    equity = want.initial_equity
    np.testing.assert_allclose(
        got["equity"], want.equity, rtol=REFERENCE, atol=REFERENCE * equity, err_msg=where
    )
    assert_arrays_close(got["daily_returns"], want.daily_returns, where)
    for name, value in want.metrics.items():
        assert_close(got["metrics"][name], value, f"{where}: {name}", METRIC)
    assert set(got["metrics"]) == set(want.metrics)
