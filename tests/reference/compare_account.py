"""Run a drawn account on the engine, and hold what it gives against the twin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from barproof import _core
from tests.reference.account_draws import AccountCase
from tests.reference.compare import (
    ARRAYS,
    EXACT,
    FLAGS,
    NUMBERS,
    assert_arrays_close,
    assert_close,
)
from tests.reference.shared_account import SharedOutcome, Symbol, run_shared
from tests.tolerances import DOWNSIDE, LOST, METRIC, PRICE_FRACTION, REFERENCE

FOREVER = -(2**62), 2**62
ALIKE = 1e-13  # relative; daily returns within it are equal but for rounding
SIDES = ("long", "short")
REASONS = ("signal", "stop", "take", "trail", "breakeven", "time", "liquidation", "reverse", "end")


def leg(symbol: Symbol, window: tuple[int, int] | None) -> tuple[Any, ...]:
    """Convert one symbol of a drawn case."""
    m = symbol.market
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
    arrays = {name: symbol.signals.get(name) for name in ARRAYS}
    signals = _core.Signals(symbol.signals.get("kind", "probability"), arrays)
    taker = symbol.costs["taker"]
    costs = (taker, symbol.costs.get("maker", taker), symbol.costs.get("slippage", 0.0))
    start, stop = np.searchsorted(m.open_time, window or FOREVER)
    instrument = (m.kind, m.maintenance, m.lot, m.min_notional)
    return bars, signals, [(0, dict(symbol.rules))], costs, instrument, (int(start), int(stop))


def portfolio(case: AccountCase, engine: str = "replay", *, parts: bool = False) -> dict[str, Any]:
    """Run the engine on a case."""
    got = _core.portfolio(
        [leg(symbol, case.window) for symbol in case.symbols],
        [(FOREVER[0], case.max_positions, case.max_gross)],
        boundary="carry",
        initial_equity=case.initial_equity,
        periods_per_year=365.0,
        engine=engine,
        parts=parts,
    )
    trades = dict(got["trades"])
    for name, texts in (("side", SIDES), ("reason", REASONS)):
        trades[name] = [texts[number] for number in trades[name]]
    return {**got, "symbols": trades.pop("symbol"), "trades": trades}


def twin(case: AccountCase) -> SharedOutcome:
    """Run the twin on a case."""
    return run_shared(
        case.symbols,
        max_positions=case.max_positions,
        max_gross=case.max_gross,
        window=case.window,
        initial_equity=case.initial_equity,
        periods_per_year=365.0,
    )


def assert_same_account(
    got: dict[str, Any], want: SharedOutcome, initial: float, where: str
) -> None:
    """Trades and refusals equal, money close."""
    trades = got["trades"]
    sides = [1 if side == "long" else -1 for side in trades["side"]]
    found = list(
        zip(
            got["symbols"].tolist(),
            sides,
            trades["entry_bar"],
            trades["exit_bar"],
            trades["reason"],
            strict=True,
        )
    )
    events = [
        (t["symbol"], t["side"], t["entry_bar"], t["exit_bar"], t["reason"]) for t in want.trades
    ]
    assert found == events, f"{where}: trades differ"
    for i, trade in enumerate(want.trades):
        for name in EXACT:
            assert trades[name][i] == trade[name], f"{where}: {name} of trade {i}"
        for name in FLAGS:
            assert bool(trades[name][i]) == trade[name], f"{where}: {name} of trade {i}"
        size = float(str(trade["notional"]))
        floors = {
            **dict.fromkeys(("notional", "margin", "fees", "funding", "pnl"), initial),
            "quantity": initial / float(str(trade["entry_price"])),
            "return": initial / float(str(trade["equity"])),
        }
        for name in NUMBERS:
            scale = size if name in ("pnl", "funding", "fees") else PRICE_FRACTION
            scale = max(scale, LOST * floors.get(name, 0.0))
            assert_close(trades[name][i], trade[name], f"{where}: {name} of trade {i}", scale)
    refused = got["refused"]
    turned = [
        (int(s), 1 if side == "long" else -1, int(a), int(b), reason)
        for s, side, a, b, reason in zip(
            refused["symbol"],
            refused["side"],
            refused["signal_bar"],
            refused["bar"],
            refused["reason"],
            strict=True,
        )
    ]
    asked = [(r["symbol"], r["side"], r["signal_bar"], r["bar"], r["reason"]) for r in want.refused]
    assert turned == asked, f"{where}: refusals differ"
    assert got["times"].tolist() == want.times
    np.testing.assert_allclose(
        got["equity"], want.equity, rtol=REFERENCE, atol=REFERENCE * initial, err_msg=where
    )
    assert_arrays_close(got["daily_returns"], want.daily_returns, where)
    # Of an account that has lost nearly all, returns carry the rounding of what it had.
    least = min((float(str(t["equity"])) for t in want.trades), default=initial)
    days = np.asarray(want.daily_returns)
    alike = len(days) > 1 and np.ptp(days) <= ALIKE * np.abs(days).max()
    for name, value in want.metrics.items():
        floor = LOST * (initial if name in ("final_equity", "fees", "funding") else initial / least)
        if name == "sortino":
            falls = np.minimum(want.daily_returns, 0.0)
            downside = float(np.sqrt(np.mean(falls**2)))
            floor = abs(value) * DOWNSIDE / downside if downside > 0.0 else floor
        if name in ("sharpe_daily", "sharpe") and alike:
            # What days that are equal but for rounding deviate by is rounding: the ratio is undefined, or enormous.
            for ratio in (value, got["metrics"][name]):
                assert math.isnan(ratio) or abs(ratio) > 0.5 / ALIKE, f"{where}: {name} is {ratio}"
            continue
        assert_close(got["metrics"][name], value, f"{where}: {name}", max(METRIC, floor))
    assert set(got["metrics"]) == set(want.metrics)
