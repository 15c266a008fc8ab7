"""The slow twin against numbers worked out by hand from the contract, and the reach of the draws."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from .decisions import annual_volatility, wilder_atr
from .draws import SIZINGS, Case, draw
from .execution import Outcome, pool, run, run_schedule
from .metrics import REASONS
from .records import Market

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
FREE = {"taker": 0.0}
Bar = tuple[float, float, float, float]
STILL: Bar = (100.0, 101.0, 99.0, 100.0)


def candles(bars: Sequence[Bar], *, interval_ms: int = HOUR_MS, **more: Any) -> Market:
    """Build candles that start at midnight."""
    open_, high, low, close = (np.array(x, dtype=np.float64) for x in zip(*bars, strict=True))
    times = np.arange(len(bars), dtype=np.int64) * interval_ms
    return Market(times, open_, high, low, close, interval_ms, more.pop("kind", "spot"), **more)


def at(n: int, **bars: dict[int, float]) -> dict[str, Any]:
    """Build signals that are NaN but for the bars named."""
    signals: dict[str, Any] = {"kind": "probability"}
    for name, values in bars.items():
        signals[name] = np.full(n, math.nan)
        for bar, value in values.items():
            signals[name][bar] = value
    return signals


def long_run(
    bars: Sequence[Bar],
    rules: dict[str, Any],
    costs: dict[str, float] | None = None,
    **more: Any,
) -> Outcome:
    """Run a single long signal at the close of the first bar."""
    signals = at(len(bars), long={0: 0.9})
    rules = {"entry_long": 0.5, **rules}
    return run(candles(bars, **more), signals, rules, costs or FREE)


def play(case: Case) -> Outcome:
    """Run a drawn case."""
    schedule = [(0, case.rules)] if case.schedule is None else case.schedule
    return run_schedule(
        case.market,
        case.signals,
        schedule,
        case.costs,
        boundary=case.boundary,
        window=case.window,
        initial_equity=case.initial_equity,
    )


def test_costs_of_a_round_trip() -> None:
    # Entry at 100 * 1.01 = 101, exit at 110 * 0.99 = 108.9, each with a fee of 0.1%.
    # N = 1 / 1.001, quantity = N / 101; return = quantity * (7.9 - 0.1089 - 0.101) = 0.07606354
    bars = [STILL, STILL, STILL, (110.0, 110.0, 110.0, 110.0)]
    signals = at(4, long={0: 0.9}, exit_long={2: 0.8})
    rules = {"entry_long": 0.5, "exit_long": 0.8}
    result = run(candles(bars), signals, rules, {"taker": 0.001, "slippage": 0.01})
    (trade,) = result.trades
    expected = 7.6901 / (1.001 * 101.0)
    assert trade["return"] == pytest.approx(expected, rel=1e-12)
    assert trade["pnl"] == pytest.approx(760.6354, abs=1e-4)
    assert trade["fees"] == pytest.approx(10_000 * 0.2099 / (1.001 * 101.0), rel=1e-12)
    assert (trade["entry_price"], trade["reason"]) == (101.0, "signal")
    assert (trade["entry_bar"], trade["exit_bar"], trade["bars_held"]) == (1, 3, 2)
    assert trade["exit_time"] == 3 * HOUR_MS
    # Lowest of the whole bars 1 and 2 is 99, the open that it left at 110.
    assert trade["mae"] == pytest.approx(99 / 101 - 1)
    assert trade["mfe"] == pytest.approx(110 / 101 - 1)
    # Marked at the close of bar 1: 1 - fee + quantity * (100 - 101).
    quantity = 1 / (1.001 * 101.0)
    assert result.equity[1] == pytest.approx(10_000 * (1 - 0.101 * quantity - quantity))


@pytest.mark.parametrize(
    ("bar", "price", "held"),
    [((100.0, 101.0, 94.0, 96.0), 95.0, 2), ((90.0, 97.0, 89.0, 96.0), 90.0, 1)],
)
def test_stop_inside_and_at_the_open(bar: Bar, price: float, held: int) -> None:
    # Fill 100, stop 95: inside the bar it fills at 95 (2 bars held), a gap to 90 fills at the open.
    (trade,) = long_run([STILL, STILL, bar, STILL], {"stop_loss": 0.05}).trades
    assert trade["exit_price"] == price
    assert trade["return"] == pytest.approx(price / 100 - 1)
    assert (trade["reason"], trade["exit_bar"], trade["bars_held"]) == ("stop", 2, held)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("pessimistic", "stop"), ("optimistic", "take"), ("nearest_open", "take")],
)
def test_stop_against_target(mode: str, reason: str) -> None:
    # Stop 95 and target 104 in one bar that opens at 100: the target is nearer (4 against 5).
    bars = [STILL, STILL, (100.0, 106.0, 94.0, 100.0), STILL]
    rules = {"stop_loss": 0.05, "take_profit": 0.04, "intrabar": mode}
    (trade,) = long_run(bars, rules).trades
    assert (trade["reason"], trade["ambiguous"]) == (reason, True)
    assert trade["exit_price"] == {"stop": 95.0, "take": 104.0}[reason]


@pytest.mark.parametrize(("order", "reason"), [("limit", "end"), ("market", "take")])
def test_target_touched(order: str, reason: str) -> None:
    # High 104 touches the target of 104: enough for a market exit, not for a resting order.
    bars = [STILL, STILL, (100.0, 104.0, 99.0, 100.0)]
    rules = {"take_profit": 0.04, "take_profit_order": order}
    (trade,) = long_run(bars, rules, {"taker": 0.0, "slippage": 0.0, "maker": 0.1}).trades
    assert trade["reason"] == reason
    assert trade["fees"] == 0.0


def test_liquidation_loses_the_margin() -> None:
    # 10x with half the equity: margin 0.5; level 100 * 0.9 / 0.995 = 90.4523, nearer than the stop
    # at 85. A short's level is 100 * 1.1 / 1.005 = 109.4527.
    rules = {"leverage": 10.0, "fraction": 0.5, "stop_loss": 0.15}
    result = long_run([STILL, STILL, (95.0, 95.0, 90.0, 95.0), STILL], rules)
    (trade,) = result.trades
    assert trade["reason"] == "liquidation"
    assert trade["exit_price"] == pytest.approx(90.4522613)
    assert trade["return"] == -0.5
    assert result.equity.tolist() == [10_000.0, 10_000.0, 5_000.0, 5_000.0]
    signals = at(3, short={0: 0.9})
    bars = [STILL, STILL, (110.0, 111.0, 109.0, 110.0)]
    result = run(candles(bars), signals, {"entry_short": 0.5, "leverage": 10.0}, FREE)
    assert result.trades[0]["exit_price"] == pytest.approx(109.4527363)
    assert (result.trades[0]["bars_held"], result.metrics["final_equity"]) == (1, 0.0)


def test_limit_entries() -> None:
    # Limit at 100 * (1 - 0.02) = 98, valid in bars 1 and 2; slippage 1%.
    rules = {"entry": "limit", "limit_offset": 0.02, "limit_bars": 2}
    costs = {"taker": 0.001, "slippage": 0.01, "maker": 0.0}
    cases: list[tuple[Bar, Bar, str, float, float]] = [
        # Opens at 96 in the first bar: a taker at 96.96. At 97.5: 98.475 is capped at 98.
        ((96.0, 99.0, 95.0, 97.0), STILL, "limit_marketable", 96.96, 0.001),
        ((97.5, 99.0, 95.0, 97.0), STILL, "limit_marketable", 98.0, 0.001),
        # Not through at 98 in bar 1; bar 2 opens at 96: a maker at its level.
        ((100.0, 101.0, 98.0, 100.0), (96.0, 99.0, 95.0, 97.0), "limit_open", 98.0, 0.0),
        # Bar 2 opens at the level, not better, and trades through it.
        (STILL, (98.0, 99.0, 95.0, 97.0), "limit_inside", 98.0, 0.0),
    ]
    for first, second, event, price, rate in cases:
        result = long_run([STILL, first, second, STILL], rules, costs)
        assert result.events[event] == 1
        assert result.trades[0]["entry_price"] == pytest.approx(price, rel=1e-15)
        quantity = result.trades[0]["quantity"]
        assert quantity == pytest.approx(10_000 / (1 + rate) / price, rel=1e-12)
    result = long_run([STILL, STILL, STILL, (90.0, 90.0, 90.0, 90.0)], rules, costs)
    assert (len(result.trades), result.events["limit_lapsed"]) == (0, 1)


@pytest.mark.parametrize(("mode", "bar"), [("optimistic", 1), ("pessimistic", 2)])
def test_target_in_the_bar_of_an_inside_fill(mode: str, bar: int) -> None:
    # Limit 98, target 98 * 1.05 = 102.9, beyond the open and exceeded by the high: order unknown.
    bars = [STILL, (100.0, 103.0, 97.0, 102.0), (102.0, 102.5, 101.0, 102.0), STILL]
    rules = {"entry": "limit", "limit_offset": 0.02, "take_profit": 0.05, "max_hold": 1}
    (trade,) = long_run(bars, {**rules, "intrabar": mode}).trades
    assert (trade["exit_bar"], trade["ambiguous"]) == (bar, True)
    # A target of 99.96 lies on the way down from the open: not considered, not ambiguous.
    (trade,) = long_run(bars, {**rules, "intrabar": mode, "take_profit": 0.02}).trades
    assert (trade["exit_bar"], trade["ambiguous"]) == (2, False)


def test_trailing_and_break_even() -> None:
    # Highs 110 and 120 trail 10%: 99, then 108, from the next bar; low 107 would have met 108.
    bars = [
        STILL,
        (100.0, 110.0, 100.0, 109.0),
        (109.0, 120.0, 107.0, 118.0),
        (118.0, 119.0, 105.0, 106.0),
    ]
    (trade,) = long_run(bars, {"trailing": 0.1}).trades
    assert (trade["reason"], trade["exit_price"], trade["exit_bar"]) == ("trail", 108.0, 3)
    assert trade["ambiguous_trail"] is True
    # Break-even at +5% lifts the stop to 101 after bar 1, whose low of 100 had been below it.
    rules = {"break_even": 0.05, "break_even_offset": 0.01}
    bars[2] = (102.0, 103.0, 100.5, 102.0)
    (trade,) = long_run(bars, rules).trades
    assert (trade["reason"], trade["exit_price"], trade["exit_bar"]) == ("breakeven", 101.0, 2)
    assert trade["ambiguous_trail"] is True


@pytest.mark.parametrize(("fill", "exit_price"), [("next_open", 105.0), ("close", 104.0)])
def test_reverse(fill: str, exit_price: float) -> None:
    # The short signal at the close of bar 1 (104) turns the long around in bar 2 (opens at 105).
    bars = [STILL, (100.0, 104.0, 99.0, 104.0), (105.0, 106.0, 103.0, 103.0)]
    signals = at(3, long={0: 0.9}, short={1: 0.8})
    rules = {"entry_long": 0.5, "entry_short": 0.5, "reverse": True, "fill": fill, "cooldown": 9}
    first, second = run(candles(bars), signals, rules, FREE).trades
    assert (first["reason"], first["exit_price"], first["exit_bar"]) == ("reverse", exit_price, 2)
    assert (second["side"], second["entry_price"], second["entry_bar"]) == (-1, exit_price, 2)
    assert second["exit_time"] == 3 * HOUR_MS
    assert second["return"] == pytest.approx(1 - 103 / exit_price)
    # The previous close stands for the bar of the exit: best 104 as high of bar 1, or 105.
    assert first["mfe"] == pytest.approx(exit_price / 100 - 1)


def test_cooldown_and_max_hold() -> None:
    # Held for one bar: in at 1, out at the open of 2; no decisions at the closes of 2 and 3.
    signals = {"kind": "probability", "long": np.full(9, 0.9)}
    rules = {"entry_long": 0.5, "max_hold": 1, "cooldown": 2}
    trades = run(candles([STILL] * 9), signals, rules, FREE).trades
    assert [(t["signal_bar"], t["entry_bar"], t["exit_bar"]) for t in trades] == [
        (0, 1, 2),
        (4, 5, 6),
    ]
    assert [t["reason"] for t in trades] == ["time", "time"]


def test_funding() -> None:
    # At the rate of 1% a long of quantity 0.01 per unit pays 0.01 * 0.01 * o: at the opens of bars
    # 2 and 3, but not of its entry bar 1, nor after the last open. Stamps are some ms late.
    hours = np.array([1, 2, 3, 4], dtype=np.int64)
    bars = [STILL, STILL, (110.0, 110.0, 99.0, 100.0), (90.0, 101.0, 89.0, 100.0)]
    funding = {"funding_time": hours * HOUR_MS + 12, "funding_rate": np.full(4, 0.01)}
    perpetual: dict[str, Any] = {"kind": "perpetual", **funding}
    (trade,) = long_run(bars, {}, **perpetual).trades
    assert trade["return"] == pytest.approx(-0.011 - 0.009)
    assert trade["funding"] == pytest.approx(-200.0)
    # Filled at the close of bar 0 it holds at the open of bar 1 and pays 0.01 there too.
    (trade,) = long_run(bars, {"fill": "close"}, **perpetual).trades
    assert trade["return"] == pytest.approx(-0.03)


def test_funding_takes_what_is_left() -> None:
    # 10x, quantity 0.1 per unit: funding of 4% costs 0.1 * 92 * 0.04 = 0.368 at 92, where the price
    # has lost 0.8 (92 is above the level of 90.45): 1 - 0.368 - 0.8 < 0.
    bars = [STILL, STILL, (92.0, 93.0, 92.0, 92.0), STILL]
    time, rate = np.array([2 * HOUR_MS]), np.array([0.04])
    more: dict[str, Any] = {"kind": "perpetual", "funding_time": time, "funding_rate": rate}
    result = long_run(bars, {"leverage": 10.0}, **more)
    (trade,) = result.trades
    assert (trade["reason"], trade["exit_price"], trade["pnl"]) == ("liquidation", 92.0, -10_000.0)
    assert trade["funding"] == pytest.approx(-3680.0)
    assert result.equity.tolist() == [10_000.0, 10_000.0, 0.0, 0.0]
    assert result.events["ruin"] == 1


def test_sizes() -> None:
    bars = [STILL] * 3
    # Confidence: 0.2 + (0.8 - 0.2) * (0.9 - 0.5) / 0.5 = 0.68.
    rules: dict[str, Any] = {"sizing": "confidence", "fraction": 0.8, "size_min": 0.2}
    assert long_run(bars, rules).trades[0]["fraction"] == pytest.approx(0.68)
    # Risk: 0.01 / (2 * 0.05) = 0.1 of the equity, 2x: a notional of 2,000 loses 100 at the stop.
    rules = {"sizing": "risk", "risk": 0.01, "stop_loss": 0.05, "leverage": 2.0}
    assert long_run(bars, rules).trades[0]["notional"] == pytest.approx(2_000.0)
    # Lots of 7 out of 2500 / 100 = 25 units: 21.
    rules = {"sizing": "notional", "notional": 2_500.0}
    trade = long_run(bars, rules, lot=7.0).trades[0]
    assert trade["quantity"] == pytest.approx(21.0)
    assert trade["margin"] == pytest.approx(2_100.0)
    assert long_run(bars, rules, lot=26.0).events["void_lot"] == 1
    assert long_run(bars, rules, min_notional=2_501.0).events["void_min_notional"] == 1
    # An equity stop of 10% with f = 0.5 at 4x is 5% of the price.
    rules = {"fraction": 0.5, "leverage": 4.0, "stop_loss": 0.1, "stop_loss_kind": "equity"}
    trade = long_run([STILL, STILL, (100.0, 100.0, 90.0, 95.0)], rules).trades[0]
    assert (trade["exit_price"], trade["return"]) == (95.0, pytest.approx(-0.1))


def test_atr_and_volatility() -> None:
    # True ranges from the second candle: 3, max(2, 4, 2) = 4, 6; seed (3 + 4) / 2, then (3.5 + 6)/2.
    bars = [
        STILL,
        (100.0, 102.0, 99.0, 99.0),
        (102.0, 103.0, 101.0, 102.0),
        (102.0, 104.0, 98.0, 98.0),
    ]
    atr = wilder_atr(candles(bars), 2)
    assert np.isnan(atr[:2]).all()
    assert atr[2:].tolist() == [3.5, 4.75]
    # Two returns x and y have a deviation of |x - y| / sqrt(2); 8760 hours a year.
    x, y = math.log(102 / 99), math.log(98 / 102)
    expected = abs(x - y) / math.sqrt(2) * math.sqrt(8760)
    assert annual_volatility(candles(bars), 3, 2) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(annual_volatility(candles(bars), 1, 2))


@pytest.mark.parametrize(
    ("long", "short", "gate", "side"),
    [
        (0.8, 0.7, None, -1),  # excess 0.3 against 0.45
        (0.75, 0.4, None, 1),
        (0.75, 0.5, None, None),  # 0.25 each
        (0.8, 0.7, -0.2, -1),
        (0.8, 0.7, 0.0, 1),
        (math.nan, 0.7, 0.9, -1),
    ],
)
def test_choice_of_side(long: float, short: float, gate: float | None, side: int | None) -> None:
    signals = at(3, long={0: long}, short={0: short})
    rules = {"entry_long": 0.5, "entry_short": 0.25, "short_gate": gate}
    trades = run(candles([STILL] * 3), signals, rules, FREE).trades
    assert [t["side"] for t in trades] == ([] if side is None else [side])


def test_schedule() -> None:
    # The stop of the first rules stays with the position when carried; closed, it ends at bar 2.
    bars = [STILL, STILL, STILL, (100.0, 100.0, 94.0, 97.0), STILL, STILL]
    signals = at(6, long={0: 0.9, 4: 0.9})
    schedule = [(0, {"entry_long": 0.5, "stop_loss": 0.05}), (3, {"entry_long": 0.95})]
    carried = run_schedule(candles(bars), signals, schedule, FREE).trades
    closed = run_schedule(candles(bars), signals, schedule, FREE, boundary="close").trades
    assert [(t["reason"], t["exit_bar"]) for t in carried] == [("stop", 3)]
    assert [(t["reason"], t["exit_bar"]) for t in closed] == [("end", 2)]
    # No rules before the first start: the signal at bar 0 is not taken.
    late = run_schedule(candles(bars), signals, [(1, schedule[0][1])], FREE)
    assert [t["entry_bar"] for t in late.trades] == [5]


def test_metrics_and_pool() -> None:
    # Daily bars, two windows of two days: in at 100 and marked at 110, then at 99.
    bars: list[Bar] = [(100.0, 100.0, 100.0, 100.0), (100.0, 110.0, 100.0, 110.0)]
    bars += [(110.0, 110.0, 110.0, 110.0), (100.0, 100.0, 90.0, 90.0)]
    signals = at(4, long={0: 0.9, 2: 0.9})
    market, rules = candles(bars, interval_ms=DAY_MS), {"entry_long": 0.5}
    first, second = (run(market, signals, rules, FREE, window=w) for w in ((0, 2), (2, 4)))
    assert first.daily_returns.tolist() == pytest.approx([0.0, 0.1])
    assert second.daily_returns.tolist() == pytest.approx([0.0, -0.1])
    # Mean 0.05, deviation 0.1 / sqrt(2): a daily Sharpe of 1 / sqrt(2).
    assert first.metrics["sharpe_daily"] == pytest.approx(math.sqrt(0.5))
    assert first.metrics["profit_factor"] == math.inf
    assert math.isnan(first.metrics["cagr"])
    pooled = pool([second, first])
    # 1.1 * 0.9 = 0.99; 1,000 won against 1,000 lost.
    assert pooled["final_equity"] == pytest.approx(9_900.0)
    assert pooled["max_drawdown"] == pytest.approx(0.1)
    assert pooled["profit_factor"] == pytest.approx(1.0)
    assert pooled["exposure"] == 0.5
    assert pooled["trades_per_day"] == pytest.approx(0.5)
    assert pooled["sharpe"] == pytest.approx(0.0, abs=1e-12)
    assert pooled["buy_hold_return"] == pytest.approx(1.1 * 90 / 110 - 1)


STOP_AND_TAKE_KINDS = ("price", "equity", "atr", "signal")
MODES = ("pessimistic", "optimistic", "nearest_open")
LIMITS = ("marketable", "marketable_capped", "open", "inside", "lapsed", "void", "touched")
REACHED = [
    *("exit_" + reason for reason in REASONS),
    *("sizing_" + name for name in SIZINGS),
    *("stop_kind_" + kind for kind in STOP_AND_TAKE_KINDS),
    *("take_kind_" + kind for kind in STOP_AND_TAKE_KINDS),
    *("limit_" + name for name in LIMITS),
    *("ambiguous_inside_fill_" + mode for mode in MODES),
    *("ambiguous_pessimistic_adverse", "ambiguous_optimistic_take", "ambiguous_trail"),
    *("ambiguous_nearest_open_adverse", "ambiguous_nearest_open_take", "notional_binds"),
    *("liquidation_funding", "liquidation_open", "liquidation_inside", "ruin"),
    *("liquidation_open_exit_pending", "floored_at_equity", "capped_at_margin", "cooling_down"),
    *("stop_open", "trail_open", "breakeven_open", "take_open", "stop_base_open"),
    *("funding", "funding_entry_at_close", "funding_twice_in_bar", "void_lot"),
    *("void_min_notional", "short_gate_win", "short_gate_fail", "both_equal_none"),
    *("both_larger_wins", "reverse_with_signal", "reverse_with_time", "risk_without_distance"),
    *("inside_fill_target_not_beyond_open", "adverse_touched", "target_touched"),
    *("entry_next_open", "entry_close"),
]


def test_draws_reach_every_branch_and_keep_the_laws() -> None:
    events: Counter[str] = Counter()
    for seed in range(700):
        case = draw(seed)
        result = play(case)
        events.update(result.events)
        pnl = [float(str(t["pnl"])) for t in result.trades]
        scale = max(case.initial_equity, float(result.equity.max()))
        assert abs(case.initial_equity + sum(pnl) - result.equity[-1]) <= 1e-9 * scale
        assert (result.equity >= 0.0).all()
        for trade in result.trades:
            margin, fees = float(str(trade["margin"])), float(str(trade["fees"]))
            if trade["funding"] == 0.0 and trade["reason"] == "liquidation":
                assert float(str(trade["pnl"])) == pytest.approx(-margin - fees, abs=1e-9 * scale)
            assert int(str(trade["exit_bar"])) >= int(str(trade["entry_bar"]))
            assert int(str(trade["entry_bar"])) > int(str(trade["signal_bar"]))
    assert [name for name in REACHED if not events[name]] == []


def test_draws_repeat() -> None:
    one, two = play(draw(7)), play(draw(7))
    assert one.trades == two.trades
    assert one.equity.tobytes() == two.equity.tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_bars_after_the_window_change_nothing_and_prices_scale(seed: int) -> None:
    case = draw(seed)
    market, n = case.market, len(case.market.close)
    if n < 20 or case.schedule is not None:
        return
    window = (n // 4, n // 2)
    arrays = {key: getattr(market, key) for key in ("open", "high", "low", "close")}
    cut = Market(**{**vars(market), **{k: np.append(v[: n // 2], v[0]) for k, v in arrays.items()}})
    cut = Market(**{**vars(cut), "open_time": market.open_time[: n // 2 + 1]})
    whole, part = (
        run(m, case.signals, case.rules, case.costs, window=window) for m in (market, cut)
    )
    if market.kind in ("spot", "perpetual"):
        assert whole.trades == part.trades
    if market.lot == market.min_notional == 0.0:
        doubled = Market(**{**vars(market), **{k: v * 4.0 for k, v in arrays.items()}})
        again = run(doubled, case.signals, case.rules, case.costs, window=window)
        assert [t["return"] for t in again.trades] == [t["return"] for t in whole.trades]
