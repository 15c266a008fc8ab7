"""The contract by hand: one rule a test, with numbers anybody can check on paper.

Bars are (open, high, low, close). Unless a test says otherwise the account holds 10,000, nothing costs anything, and a
signal at bar 0 enters at the open of bar 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.helpers import START, flat, market

FREE = bp.Costs.free()
Row = tuple[float, float, float, float]


def run(
    rows: Sequence[Row],
    *,
    long: list[tuple[int, float]] | None = None,
    short: list[tuple[int, float]] | None = None,
    costs: bp.Costs = FREE,
    candles: bp.Candles | None = None,
    signals: dict[str, list[tuple[int, float]]] | None = None,
    **rules: Any,
) -> bp.Result:
    candles = candles or market(rows)
    arrays = dict(signals or {})
    if long is not None:
        arrays["long"] = long
        rules.setdefault("entry_long", 0.5)
    if short is not None:
        arrays["short"] = short
        rules.setdefault("entry_short", 0.5)
    return bp.backtest(
        candles, bp.Signals.sparse(candles, **cast("Any", arrays)), bp.Rules(**rules), costs=costs
    )


def only(result: bp.Result) -> dict[str, Any]:
    assert result.trades.height == 1
    return result.trades.row(0, named=True)


def test_a_signal_trades_at_the_next_open() -> None:
    rows = [(100, 101, 99, 100), (102, 103, 101, 103), (103, 111, 103, 110)]
    trade = only(run(rows, long=[(0, 0.9)]))
    assert (trade["signal_bar"], trade["entry_bar"], trade["entry_price"]) == (0, 1, 102)
    # Open at the window's end: closed at the last close.
    assert (trade["reason"], trade["exit_bar"], trade["exit_price"]) == ("end", 2, 110)
    assert trade["bars_held"] == 2
    assert trade["return"] == pytest.approx(110 / 102 - 1)


def test_fees_and_slippage_are_paid_on_both_sides() -> None:
    rows = [*flat(100, 2), (100, 110, 100, 110)]
    trade = only(run(rows, long=[(0, 1)], costs=bp.Costs(taker=0.001, slippage=0.01)))
    # Bought at 101; margin and fee together are the whole equity: N = 1 / (1 + 0.001) a unit of it.
    assert trade["entry_price"] == pytest.approx(101)
    assert trade["notional"] == pytest.approx(10_000 / 1.001)
    # Sold at 110 * 0.99 = 108.9.
    quantity = 10_000 / 1.001 / 101
    assert trade["exit_price"] == pytest.approx(108.9)
    assert trade["fees"] == pytest.approx(0.001 * quantity * (101 + 108.9))
    assert trade["pnl"] == pytest.approx(quantity * (108.9 - 101) - trade["fees"])


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    rows = [*flat(100, 2), (90, 91, 85, 88), *flat(88, 1)]
    trade = only(run(rows, long=[(0, 1)], stop_loss=0.05))
    assert (trade["reason"], trade["exit_bar"], trade["exit_price"]) == ("stop", 2, 90)
    # At the open: the exit bar is not held, and its low is not counted.
    assert trade["bars_held"] == 1
    assert trade["mae"] == pytest.approx(-0.10)


def test_a_target_must_be_traded_through_and_never_fills_better() -> None:
    touched = [*flat(100, 2), (100, 105, 100, 104), *flat(104, 1)]
    assert only(run(touched, long=[(0, 1)], take_profit=0.05))["reason"] == "end"
    crossed = [*flat(100, 2), (100, 105.01, 100, 104), *flat(104, 1)]
    trade = only(run(crossed, long=[(0, 1)], take_profit=0.05))
    assert (trade["reason"], trade["exit_price"]) == ("take", 105)
    gapped = [*flat(100, 2), (120, 121, 119, 120), *flat(120, 1)]
    assert only(run(gapped, long=[(0, 1)], take_profit=0.05))["exit_price"] == 105
    # A market order fires at the touch, and slips.
    trade = only(run(touched, long=[(0, 1)], take_profit=0.05, take_profit_order="market"))
    assert (trade["reason"], trade["exit_price"]) == ("take", 105)
    high = [*flat(100, 2), (100, 120, 100, 104), *flat(104, 1)]
    slipping = bp.Costs(taker=0, slippage=0.01)
    trade = only(
        run(high, long=[(0, 1)], take_profit=0.05, take_profit_order="market", costs=slipping)
    )
    assert trade["exit_price"] == pytest.approx(101 * 1.05 * 0.99)


@pytest.mark.parametrize(
    ("intrabar", "reason", "price"),
    [("pessimistic", "stop", 95), ("optimistic", "take", 104), ("nearest_open", "take", 104)],
)
def test_stop_and_target_in_one_bar(intrabar: str, reason: str, price: float) -> None:
    # The open lies 5 above the stop at 95 and 4 below the target at 104.
    rows = [*flat(100, 2), (100, 110, 90, 100), *flat(100, 1)]
    trade = only(run(rows, long=[(0, 1)], stop_loss=0.05, take_profit=0.04, intrabar=intrabar))
    assert (trade["reason"], trade["exit_price"], trade["ambiguous"]) == (reason, price, True)


def test_a_stop_is_live_on_the_entry_bar() -> None:
    rows = [*flat(100, 1), (100, 100, 90, 100), *flat(100, 1)]
    trade = only(run(rows, long=[(0, 1)], stop_loss=0.05))
    assert (trade["entry_bar"], trade["exit_bar"], trade["bars_held"]) == (1, 1, 1)


def test_leverage_is_liquidated_before_the_stop() -> None:
    # 10x at 100: liquidated at 100 * 0.9 / 0.995 = 90.45, before a stop at 85.
    rows = [*flat(100, 2), (100, 100, 80, 100), *flat(100, 1)]
    trade = only(run(rows, long=[(0, 1)], leverage=10, fraction=0.5, stop_loss=0.15))
    assert trade["reason"] == "liquidation"
    assert trade["exit_price"] == pytest.approx(100 * 0.9 / 0.995)
    assert trade["pnl"] == pytest.approx(-5_000)
    assert trade["margin"] == pytest.approx(5_000)


def test_trailing_acts_from_the_next_bar() -> None:
    rows = [*flat(100, 2), (100, 120, 100, 119), (119, 119, 107, 110), *flat(110, 1)]
    trade = only(run(rows, long=[(0, 1)], trailing=0.10))
    # Best price 120 in bar 2, so 108 from bar 3 on.
    assert (trade["reason"], trade["exit_bar"]) == ("trail", 3)
    assert trade["exit_price"] == pytest.approx(108)
    # Bar 2's own low of 100 lay below 108: nobody knows whether it came before the high.
    assert trade["ambiguous_trail"]


def test_break_even_moves_the_stop_to_the_fill() -> None:
    rows = [*flat(100, 2), (100, 103, 100.5, 103), (103, 103, 99, 99), *flat(99, 1)]
    trade = only(run(rows, long=[(0, 1)], stop_loss=0.1, break_even=0.03, break_even_offset=0.002))
    assert (trade["reason"], trade["exit_bar"]) == ("breakeven", 3)
    assert trade["exit_price"] == pytest.approx(100.2)


def test_exit_signal_and_holding_time_leave_at_the_next_open() -> None:
    rows = flat(100, 8)
    signalled = only(run(rows, long=[(0, 1)], signals={"exit_long": [(3, 0.7)]}, exit_long=0.6))
    assert (signalled["reason"], signalled["exit_bar"], signalled["bars_held"]) == ("signal", 4, 3)
    timed = only(run(rows, long=[(0, 1)], max_hold=2))
    assert (timed["reason"], timed["exit_bar"], timed["bars_held"]) == ("time", 3, 2)


def test_reverse_leaves_and_enters_at_one_open() -> None:
    result = run(flat(100, 6), long=[(0, 0.9)], short=[(2, 0.9)], reverse=True)
    first, second = result.trades.rows(named=True)
    assert (first["reason"], first["exit_bar"], second["side"], second["entry_bar"]) == (
        "reverse",
        3,
        "short",
        3,
    )


def test_cooldown_waits_after_an_exit() -> None:
    every = [(i, 0.9) for i in range(12)]
    result = run(flat(100, 12), long=every, max_hold=1, cooldown=3)
    # Entry 1, exit at the open of 2, no decision at the closes 2, 3, 4; decided at 5, entered at 6.
    assert result.trades["entry_bar"].to_list() == [1, 6, 11]


def test_limit_entry_inside_the_bar() -> None:
    # Decided at close 100 of bar 0: buy at 99. Bar 1 trades through.
    rows = [*flat(100, 1), (100, 102, 98, 101), (101, 103, 100, 102)]
    trade = only(
        run(
            rows,
            long=[(0, 1)],
            entry="limit",
            limit_offset=0.01,
            costs=bp.Costs(0.001, 0.0002, 0.01),
        )
    )
    assert trade["entry_price"] == 99
    assert trade["entry_bar"] == 1
    # Resting: the maker fee and no slippage.
    quantity = trade["quantity"]
    exit_fee = 0.001 * quantity * trade["exit_price"]
    assert trade["fees"] - exit_fee == pytest.approx(0.0002 * quantity * 99)
    # Touched, not traded through: no fill.
    assert run(
        [*flat(100, 1), (100, 102, 99, 101), (101, 103, 100, 102)],
        long=[(0, 1)],
        entry="limit",
        limit_offset=0.01,
    ).trades.is_empty()


def test_a_marketable_limit_takes_the_open_but_never_worse_than_its_level() -> None:
    rows = [*flat(100, 1), (98, 99, 97, 98), *flat(98, 1)]
    options: dict[str, Any] = {"long": [(0, 1)], "entry": "limit", "limit_offset": 0.01}
    assert only(run(rows, costs=bp.Costs(0, 0, 0.005), **options))["entry_price"] == pytest.approx(
        98.49
    )
    assert only(run(rows, costs=bp.Costs(0, 0, 0.05), **options))["entry_price"] == 99


def test_a_target_in_a_limit_entrys_own_bar_counts_only_for_optimists() -> None:
    rows = [*flat(100, 1), (100, 105, 98, 101), *flat(101, 1)]
    options: dict[str, Any] = {
        "long": [(0, 1)],
        "entry": "limit",
        "limit_offset": 0.01,
        "take_profit": 0.03,
    }
    trade = only(run(rows, **options))
    assert (trade["reason"], trade["ambiguous"]) == ("end", True)
    assert only(run(rows, intrabar="optimistic", **options))["reason"] == "take"


def test_funding_is_paid_by_whoever_holds_at_the_bars_end() -> None:
    rows = [*flat(100, 4), (110, 110, 110, 110)]
    # Stamped 16 ms late; it settles at the open of bar 3, where the position is carried.
    funding = pl.DataFrame({"funding_time": [START + 3 * 28_800_000 + 16], "funding_rate": [0.01]})
    candles = market(rows, kind="perpetual", interval="8h", funding=funding)
    trade = only(run(rows, candles=candles, long=[(0, 1)]))
    assert trade["funding"] == pytest.approx(-0.01 * 10_000)
    assert trade["pnl"] == pytest.approx(1_000 - 100)
    received = only(run(rows, candles=candles, short=[(0, 1)]))
    assert received["funding"] == pytest.approx(100)
    # An entry at the open of bar 3 is not charged: it holds only from there on.
    assert only(run(rows, candles=candles, long=[(2, 1)]))["funding"] == 0


def test_short_gate_decides_between_the_sides() -> None:
    sides = {}
    for gate in (None, 0.2, 0.5):
        result = run(
            flat(100, 3),
            long=[(0, 0.6)],
            short=[(0, 0.9)],
            short_gate=gate,
            entry_long=0.5,
            entry_short=0.5,
        )
        sides[gate] = only(result)["side"]
    assert sides == {None: "short", 0.2: "short", 0.5: "long"}


def test_equal_excess_is_no_decision() -> None:
    assert run(flat(100, 3), long=[(0, 0.75)], short=[(0, 0.75)]).trades.is_empty()


def test_sizing_by_risk_loses_the_risk_at_the_stop() -> None:
    rows = [*flat(100, 2), (100, 100, 90, 95), *flat(95, 1)]
    trade = only(run(rows, long=[(0, 1)], sizing="risk", risk=0.01, stop_loss=0.05, leverage=5))
    assert trade["fraction"] == pytest.approx(0.01 / (5 * 0.05))
    assert trade["return"] == pytest.approx(-0.01)


def test_lot_rounds_the_quantity_down_and_can_void_the_order() -> None:
    rows = flat(300, 3)
    assert only(run(rows, candles=market(rows, lot=1.0), long=[(0, 1)]))["quantity"] == 33
    assert run(rows, candles=market(rows, lot=50.0), long=[(0, 1)]).trades.is_empty()
    assert run(rows, candles=market(rows, min_notional=10_001), long=[(0, 1)]).trades.is_empty()


def test_fill_at_the_close_is_there_for_those_who_ask() -> None:
    rows = [(100, 101, 99, 100), (102, 103, 101, 103), *flat(103, 1)]
    trade = only(run(rows, long=[(0, 1)], fill="close"))
    assert (trade["entry_bar"], trade["entry_price"]) == (1, 100)


def test_drawdown_is_marked_at_closes_and_days_end_with_their_last_bar() -> None:
    rows = [*flat(100, 2), (100, 100, 50, 80), (80, 120, 80, 120)]
    candles = market(rows, interval="8h")
    result = run(rows, candles=candles, long=[(0, 1)])
    assert result.metrics["max_drawdown"] == pytest.approx(0.2)
    assert result.equity["equity"].to_list() == pytest.approx([10_000, 10_000, 8_000, 12_000])
    # Three bars open on the first day, one on the second.
    assert result.daily_returns["return"].to_list() == pytest.approx([-0.2, 0.5])
    assert result.metrics["sharpe_daily"] == pytest.approx(0.15 / np.std([-0.2, 0.5], ddof=1))


def test_a_schedule_keeps_the_rules_of_the_signal_bar() -> None:
    rows = flat(100, 10)
    candles = market(rows)
    signals = bp.Signals.sparse(candles, long=[(0, 0.9), (6, 0.9)])
    first, second = bp.Rules(entry_long=0.5, max_hold=4), bp.Rules(entry_long=0.5, max_hold=1)
    carried = bp.backtest(candles, signals, [(0, first), (3, second)], costs=FREE)
    assert carried.trades["bars_held"].to_list() == [4, 1]
    closed = bp.backtest(candles, signals, [(0, first), (3, second)], costs=FREE, boundary="close")
    assert closed.trades["reason"].to_list() == ["end", "time"]
    assert closed.trades["exit_bar"].to_list() == [2, 8]
