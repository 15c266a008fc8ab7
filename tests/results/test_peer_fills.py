"""What fills of other tools mean, found by running them on bars made by hand: the rows of docs/migration/index.md.

Bars 0 to 2 lie flat at 100; the signal is that of bar 1. A case changes what follows. Entry at the next open is at
bar 2; stop 2% below, target 2% above.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest

import barproof as bp

pytestmark = pytest.mark.filterwarnings("ignore")

FLAT = (100.0, 100.5, 99.5, 100.0)
TOP = (100.0, 100.5, 99.5, 100.25)
"""The signal's bar: its close is not the next open, so that the two are told apart."""
CASES: dict[str, list[tuple[float, float, float, float]]] = {
    "plain": [FLAT, TOP, FLAT, FLAT, FLAT, FLAT],
    "both in one bar": [FLAT, TOP, FLAT, (100.0, 103.0, 97.0, 100.0), FLAT, FLAT],
    "stop on the entry bar": [FLAT, TOP, (100.0, 100.5, 97.0, 99.0), (99.0, 99.5, 98.5, 99.0), FLAT, FLAT],
    "gap through the stop": [FLAT, TOP, FLAT, (95.0, 96.0, 94.0, 95.0), FLAT, FLAT],
}  # fmt: skip
SIGNAL = 1
LEAVE = 4


class Trade(NamedTuple):
    """Bars and prices of the only trade."""

    entry: int
    bought: float
    leave: int
    sold: float


def rows(case: str) -> np.ndarray[Any, Any]:
    return np.array(CASES[case])


def times(case: str) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=len(CASES[case]), freq="1h", tz="UTC")


def frame(case: str) -> pd.DataFrame:
    made = pd.DataFrame(rows(case), columns=["Open", "High", "Low", "Close"], index=times(case))
    return made.assign(Volume=1e6)


def ours(case: str, *, fill: Literal["next_open", "close"] = "next_open") -> Trade:
    bars = frame(case).rename(columns=str.lower)
    candles = bp.read_candles(bars, instrument="spot", symbol="X", on_fault="ignore")
    long = np.full(len(bars), np.nan)
    long[SIGNAL] = 1.0
    leave = np.full(len(bars), np.nan)
    leave[LEAVE - 1] = 1.0
    rules = bp.Rules(entry_long=0.5, exit_long=0.5, stop_loss=0.02, take_profit=0.02, fill=fill)
    signals = bp.Signals(long=long, exit_long=leave, kind="score")
    trades = bp.backtest(candles, signals, rules, costs=bp.Costs.free(), ledger=False).trades
    (one,) = trades.iter_rows(named=True)
    return Trade(one["entry_bar"], one["entry_price"], one["exit_bar"], one["exit_price"])


def vectorbt(case: str, *, shifted: bool = False) -> Trade:
    tool = pytest.importorskip("vectorbt")
    bars = frame(case)
    at = np.arange(len(bars))
    late = 1 if shifted else 0
    more: dict[str, Any] = (
        {"price": bars["Open"], "stop_entry_price": "fillprice"} if shifted else {}
    )
    made = tool.Portfolio.from_signals(
        bars["Close"], pd.Series(at == SIGNAL + late, bars.index), pd.Series(at == LEAVE - 1 + late, bars.index),
        open=bars["Open"], high=bars["High"], low=bars["Low"], sl_stop=0.02, tp_stop=0.02, freq="1h", **more,
    ).trades.records  # fmt: skip
    one = made.iloc[0]
    return Trade(int(one.entry_idx), one.entry_price, int(one.exit_idx), one.exit_price)


def backtesting(case: str) -> Trade:
    tool = pytest.importorskip("backtesting")

    class Rule(tool.Strategy):  # type: ignore[misc, name-defined]
        def init(self) -> None: ...

        def next(self) -> None:
            bar = len(self.data) - 1
            if bar == SIGNAL:
                self.buy(size=1, sl=98.0, tp=102.0)
            elif bar == LEAVE - 1 and self.position:
                self.position.close()

    tool.backtesting._tqdm = lambda iterable, **_: iterable
    # Its first call is for the second bar.
    found = tool.Backtest(frame(case), Rule, cash=1e6, finalize_trades=True).run()._trades.iloc[0]
    return Trade(int(found.EntryBar), found.EntryPrice, int(found.ExitBar), found.ExitPrice)


def raptorbt(case: str, *, timing: str | None = "next_bar_open") -> Trade:
    tool = pytest.importorskip("raptorbt")
    config = tool.BacktestConfig(initial_capital=1e4, fees=0.0, fill_timing=timing)
    config.set_fixed_stop(0.02)
    config.set_fixed_target(0.02)
    at, bars = np.arange(len(CASES[case])), rows(case)
    found = tool.run_single_backtest(
        times(case).as_unit("ns").asi8, *bars.T.copy(), np.full(len(bars), 1e6), at == SIGNAL, at == LEAVE - 1,
        config=config,
    )  # fmt: skip
    one = found.trades()[0] if callable(found.trades) else found.trades[0]
    return Trade(one.entry_idx, one.entry_price, one.exit_idx, one.exit_price)


def akquant(case: str) -> Trade:
    tool = pytest.importorskip("akquant")
    importlib.import_module("akquant.log").get_logger().setLevel(logging.ERROR)
    bars = frame(case).rename(columns=str.lower).assign(date=times(case), symbol="X")

    class Rule(tool.Strategy):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.i = -1

        def on_bar(self, _: Any) -> None:
            self.i += 1
            if self.i == SIGNAL:
                self.place_bracket(
                    symbol="X", quantity=1, stop_trigger_price=98.0, take_profit_price=102.0
                )
            elif self.i == LEAVE - 1 and self.get_position("X") > 0:
                self.cancel_all_orders("X")
                self.sell(symbol="X", quantity=1)

    found = tool.run_backtest(
        data=bars.reset_index(drop=True), strategy=Rule, symbols="X", initial_cash=1e6, commission_rate=0.0,
        stamp_tax_rate=0.0, transfer_fee_rate=0.0, min_commission=0.0, lot_size=1, show_progress=False,
        fill_policy=tool.NextOpen(),
    ).trades[0]  # fmt: skip
    first, hour = times(case)[0].value, 3_600_000_000_000
    return Trade(
        (int(found.entry_time) - first) // hour, found.entry_price,
        (int(found.exit_time) - first) // hour, found.exit_price,
    )  # fmt: skip


def closes(case: str) -> Trade:
    return ours(case, fill="close")


def shifted(case: str) -> Trade:
    return vectorbt(case, shifted=True)


def at_close(case: str) -> Trade:
    return raptorbt(case, timing=None)


KEPT = "stop on the entry bar"
"""The case in which a tool that does not look at its stop on the bar of the entry keeps the position."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "tool", [backtesting, raptorbt, shifted, akquant], ids=lambda t: t.__name__
)
def test_fills_at_the_next_open(tool: Callable[[str], Trade], case: str) -> None:
    """As ours by default: stop before target, through a gap at the open; two do not look at it on the entry bar."""
    got = tool(case)
    want = Trade(2, 100.0, 4, 100.0) if case == KEPT and tool in (shifted, akquant) else ours(case)
    assert got == pytest.approx(want)
    assert ours(KEPT) == pytest.approx(Trade(2, 100.0, 2, 98.0))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tool", [vectorbt, at_close], ids=lambda t: t.__name__)
def test_fills_at_the_close_that_decided(tool: Callable[[str], Trade], case: str) -> None:
    """By default: the price of `fill="close"`, one bar earlier in their count, and an exit by signal likewise."""
    got, want = tool(case), closes(case)
    assert (got.entry, got.bought) == pytest.approx((want.entry - 1, want.bought))
    assert got.sold == pytest.approx(want.sold)
    assert got.leave == (want.leave - 1 if case == "plain" else want.leave)
