"""Finer candles by hand: days of three bars of eight hours, with numbers anybody can check on paper.

Bars are (open, high, low, close). Days are made of their finer bars, the account holds 10,000, nothing costs anything,
and a signal at day 0 enters at the open of day 1, unless a test says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import barproof as bp
from barproof.report.caveats import result_caveats
from tests.helpers import START, market

FREE = bp.Costs.free()
DAY = 86_400_000
FOLDER = os.environ.get("BARPROOF_DATA", "")

Row = tuple[float, float, float, float]
Day = Sequence[Row]


def still(price: float = 100.0) -> Day:
    """A day without a move."""
    return [(price, price, price, price)] * 3


def whole(day: Day) -> Row:
    """A day as one bar."""
    return day[0][0], max(row[1] for row in day), min(row[2] for row in day), day[-1][3]


def run(
    days: Sequence[Day],
    *,
    finer: bool = True,
    side: str = "long",
    costs: bp.Costs = FREE,
    candles: bp.Candles | None = None,
    fine: bp.Candles | None = None,
    **rules: Any,
) -> bp.Result:
    candles = candles or market([whole(day) for day in days], interval="1d")
    fine = fine or market([row for day in days for row in day], interval="8h")
    rules.setdefault(f"entry_{side}", 0.5)
    signals = bp.Signals.sparse(candles, **cast("Any", {side: [(0, 0.9)]}))
    return bp.backtest(
        candles, signals, bp.Rules(**rules), costs=costs, intrabar_candles=fine if finer else None
    )


def only(result: bp.Result) -> dict[str, Any]:
    assert result.trades.height == 1
    return result.trades.row(0, named=True)


# The level that a whole day hides: 95 and 105 are both met on day 2.
STOP_FIRST: Day = [(100, 101, 94, 95), (95, 106, 95, 104), (104, 104, 100, 100)]
TARGET_FIRST: Day = [(100, 106, 99, 104), (104, 104, 94, 96), (96, 100, 96, 100)]
BOTH_AT_ONCE: Day = [(100, 100, 97, 97), (97, 106, 94, 100), (100, 100, 100, 100)]
LEVELS: dict[str, Any] = {"stop_loss": 0.05, "take_profit": 0.05}


@pytest.mark.parametrize("intrabar", ["pessimistic", "optimistic", "nearest_open"])
@pytest.mark.parametrize(
    ("day", "reason", "price"), [(STOP_FIRST, "stop", 95), (TARGET_FIRST, "take", 105)]
)
def test_finer_bars_tell_which_level_came_first(
    day: Day, reason: str, price: float, intrabar: str
) -> None:
    days: list[Day] = [still(), still(), day, still()]
    blind = only(run(days, finer=False, intrabar=intrabar, **LEVELS))
    assert blind["ambiguous"]
    trade = only(run(days, intrabar=intrabar, **LEVELS))
    assert (trade["reason"], trade["exit_price"], trade["ambiguous"]) == (reason, price, False)
    # The record stays on the clock of days: held on days 1 and 2, left on day 2, all of which it may have seen.
    assert (trade["entry_bar"], trade["exit_bar"], trade["bars_held"]) == (1, 2, 2)
    assert trade["exit_time"].timestamp() * 1_000 == START + 2 * DAY
    assert (trade["mae"], trade["mfe"]) == (pytest.approx(-0.06), pytest.approx(0.06))


@pytest.mark.parametrize(
    ("day", "reason", "price"), [(STOP_FIRST, "take", 95), (TARGET_FIRST, "stop", 105)]
)
def test_shorts_see_it_the_other_way_round(day: Day, reason: str, price: float) -> None:
    days: list[Day] = [still(), still(), day, still()]
    assert only(run(days, finer=False, side="short", **LEVELS))["reason"] == "stop"
    trade = only(run(days, side="short", **LEVELS))
    assert (trade["reason"], trade["exit_price"], trade["ambiguous"]) == (reason, price, False)


@pytest.mark.parametrize(
    ("intrabar", "reason"),
    # At 97 the stop at 95 is nearer than the target at 102; at the day's open, 100, it would be the target.
    [("pessimistic", "stop"), ("optimistic", "take"), ("nearest_open", "stop")],
)
def test_both_levels_in_one_finer_bar_stay_ambiguous(intrabar: str, reason: str) -> None:
    days: list[Day] = [still(), still(), BOTH_AT_ONCE, still()]
    rules: dict[str, Any] = {"stop_loss": 0.05, "take_profit": 0.02, "intrabar": intrabar}
    trade = only(run(days, **rules))
    assert (trade["reason"], trade["ambiguous"]) == (reason, True)
    if intrabar == "nearest_open":
        assert only(run(days, finer=False, **rules))["reason"] == "take"


def test_a_stop_that_a_finer_bar_opens_beyond_fills_at_that_open() -> None:
    day: Day = [(100, 100, 97, 97), (92, 93, 80, 90), (90, 110, 90, 100)]
    trade = only(run([still(), still(), day, still()], stop_loss=0.05))
    assert (trade["reason"], trade["exit_price"]) == ("stop", 92)
    # Inside day 2, not at its open: the day is held, and its whole range is seen.
    assert (trade["exit_bar"], trade["bars_held"]) == (2, 2)
    assert (trade["mae"], trade["mfe"]) == (pytest.approx(-0.2), pytest.approx(0.1))
    # A day that hides the gap fills at the level.
    assert (
        only(run([still(), still(), day, still()], finer=False, stop_loss=0.05))["exit_price"] == 95
    )


def test_a_target_that_a_finer_bar_opens_beyond_fills_at_its_level() -> None:
    day: Day = [(100, 103, 99, 103), (108, 120, 90, 100), (100, 100, 100, 100)]
    days: list[Day] = [still(), still(), day, still()]
    trade = only(run(days, **LEVELS))
    # At 16:00 the open is beyond the target before the low of 90 is met.
    assert (trade["reason"], trade["exit_price"], trade["ambiguous"]) == ("take", 105, False)
    touch: Day = [(100, 103, 99, 103), (105, 105, 90, 100), (100, 100, 100, 100)]
    assert only(run([still(), still(), touch, still()], **LEVELS))["reason"] == "stop"
    trade = only(run([still(), still(), touch, still()], take_profit_order="market", **LEVELS))
    assert (trade["reason"], trade["exit_price"], trade["ambiguous"]) == ("take", 105, False)


def test_the_first_finer_open_is_the_open_of_the_day() -> None:
    day: Day = [(90, 91, 85, 88), (88, 88, 70, 88), (88, 88, 88, 88)]
    trade = only(run([still(), still(), day, still(88)], stop_loss=0.05))
    assert (trade["reason"], trade["exit_price"], trade["bars_held"]) == ("stop", 90, 1)
    assert trade["mae"] == pytest.approx(-0.1)


def test_an_entry_is_not_carried_into_the_open_it_fills_at() -> None:
    # Bought at 110, stopped at 104.5, which the open of 100 has reached: inside the first finer bar, at the open.
    costs = bp.Costs(taker=0.0, slippage=0.1)
    trade = only(run([still(), still(), still()], stop_loss=0.05, costs=costs))
    assert (trade["entry_bar"], trade["exit_bar"], trade["bars_held"]) == (1, 1, 1)
    assert trade["exit_price"] == pytest.approx(90)


def test_an_entry_at_the_close_is_carried_into_the_first_finer_bar() -> None:
    gap: Day = [(90, 90, 90, 90), (90, 90, 90, 90), (90, 90, 90, 90)]
    trade = only(run([still(), gap, still(90)], stop_loss=0.05, fill="close"))
    assert (trade["entry_price"], trade["exit_price"], trade["bars_held"]) == (100, 90, 0)


def test_liquidation_comes_before_the_stop_at_a_finer_open() -> None:
    # 10x: liquidated at 100 * 0.9 / 0.995 = 90.45; the second finer bar opens below that and below the stop at 92.
    day: Day = [(100, 100, 95, 95), (90, 91, 90, 91), (91, 100, 91, 100)]
    days: list[Day] = [still(), still(), day, still()]
    trade = only(run(days, stop_loss=0.08, leverage=10.0))
    assert (trade["reason"], trade["return"]) == ("liquidation", pytest.approx(-1.0))
    # A day that hides the gap is stopped at 92 first.
    assert only(run(days, finer=False, stop_loss=0.08, leverage=10.0))["reason"] == "stop"


LIMIT: dict[str, Any] = {"entry": "limit", "limit_offset": 0.02}
FEES = bp.Costs(taker=0.01, maker=0.0, slippage=0.01)


def test_a_limit_order_is_marketable_in_the_first_finer_bar_only() -> None:
    # Level 98. Day 1 opens at 96: taker, at 96 * 1.01.
    day: Day = [(96, 97, 96, 97), (97, 97, 97, 97), (97, 97, 97, 97)]
    trade = only(run([still(), day, still(97)], costs=FEES, **LIMIT))
    assert trade["entry_price"] == pytest.approx(96.96)
    # It opens at 100, the second finer bar at 96: a resting order is filled at its level, as a maker.
    day = [(100, 100, 99, 99), (96, 97, 96, 97), (97, 97, 97, 97)]
    trade = only(run([still(), day, still(97)], costs=FEES, **LIMIT))
    assert (trade["entry_bar"], trade["entry_price"]) == (1, 98)
    assert trade["fees"] == pytest.approx(0.01 * trade["quantity"] * trade["exit_price"])


def test_a_limit_order_lives_until_the_last_finer_bar_of_its_last_day() -> None:
    late: Day = [(100, 100, 98, 99), (99, 99, 98, 99), (99, 99, 97, 99)]
    trade = only(run([still(), late, still(99)], **LIMIT))
    assert (trade["entry_bar"], trade["entry_price"], trade["entry_time"].timestamp()) == (
        1,
        98,
        (START + DAY) / 1_000,
    )
    touched: Day = [(100, 100, 98, 99), (99, 99, 98, 99), (99, 99, 98, 99)]
    assert run([still(), touched, late, still(99)], **LIMIT).trades.height == 0
    assert only(run([still(), touched, late, still(99)], limit_bars=2, **LIMIT))["entry_bar"] == 2


def test_what_follows_a_limit_entry_is_no_longer_hidden() -> None:
    # Bought at 98 in the first finer bar, target 102.9 exceeded in the second: a day cannot tell that it was after.
    day: Day = [(100, 100, 97, 99), (99, 104, 99, 103), (103, 103, 103, 103)]
    blind = only(run([still(), day, still(102)], finer=False, take_profit=0.05, **LIMIT))
    assert (blind["reason"], blind["ambiguous"]) == ("end", True)
    trade = only(run([still(), day, still(102)], take_profit=0.05, **LIMIT))
    assert (trade["reason"], trade["exit_bar"], trade["ambiguous"]) == ("take", 1, False)
    assert trade["exit_price"] == pytest.approx(102.9)
    # Target and fill in one finer bar are as hidden as ever.
    day = [(100, 100, 99, 99), (99, 104, 97, 102), (102, 102, 102, 102)]
    trade = only(run([still(), day, still(102)], take_profit=0.05, **LIMIT))
    assert (trade["reason"], trade["ambiguous"]) == ("end", True)
    # A target exceeded only before the fill is none.
    day = [(100, 104, 100, 100), (100, 100, 97, 99), (99, 99, 99, 99)]
    trade = only(run([still(), day, still(99)], take_profit=0.05, **LIMIT))
    assert (trade["reason"], trade["ambiguous"]) == ("end", False)


def test_trailing_stays_on_the_clock_of_days() -> None:
    # The high of 120 moves the stop to 108 at the close of day 1; 105 in the last finer bar of that day is before that.
    day: Day = [(100, 120, 100, 118), (118, 118, 110, 110), (110, 112, 105, 112)]
    days: list[Day] = [
        still(),
        day,
        still(112),
        [(112, 112, 107, 107), *still(107)[:2]],
        still(107),
    ]
    blind = only(run(days, finer=False, trailing=0.1))
    trade = only(run(days, trailing=0.1))
    for found in (blind, trade):
        assert (found["reason"], found["exit_bar"], found["exit_price"]) == ("trail", 3, 108)
    assert blind["ambiguous_trail"]
    assert not trade["ambiguous_trail"]


@pytest.mark.parametrize(
    "day",
    [
        [(100, 130, 97, 99), (99, 99, 99, 99), (99, 99, 99, 99)],  # filled inside the first
        [(100, 130, 99, 99), (97, 99, 97, 99), (99, 99, 99, 99)],  # at the open of the second
    ],
)
def test_the_day_of_a_limit_entry_counts_with_its_close(day: Day) -> None:
    # Bought at 98; trailing by 10% from the close of 99, not from a high of 130 that may have come before.
    days: list[Day] = [still(), day, still(99), [(99, 99, 88, 89), *still(89)[:2]], still(89)]
    trade = only(run(days, trailing=0.1, **LIMIT))
    assert (trade["reason"], trade["exit_bar"]) == ("trail", 3)
    assert trade["exit_price"] == pytest.approx(89.1)
    # Filled at the open of the day, all of it counts: 10% under 130 is beyond the next open.
    opened: Day = [(97, 130, 97, 99), (99, 99, 99, 99), (99, 99, 99, 99)]
    trade = only(run([still(), opened, still(99), still(99)], trailing=0.1, **LIMIT))
    assert (trade["exit_bar"], trade["exit_price"]) == (2, 99)


def test_nothing_is_entered_between_an_exit_and_the_close() -> None:
    days: list[Day] = [still(), still(), STOP_FIRST, still(), still()]
    candles = market([whole(day) for day in days], interval="1d")
    fine = market([row for day in days for row in day], interval="8h")
    signals = bp.Signals(long=np.ones(5))
    rules = bp.Rules(entry_long=0.5, stop_loss=0.05)
    result = bp.backtest(candles, signals, rules, costs=FREE, intrabar_candles=fine)
    # Stopped in the first finer bar of day 2, decided at its close, entered at the open of day 3.
    assert result.trades["entry_bar"].to_list() == [1, 3]
    # Marked at the closes of days.
    assert result.equity["equity"].to_list() == pytest.approx([10_000, 10_000, 9_500, 9_500, 9_500])


def test_range_closes_where_finer_bars_settle() -> None:
    days: list[Day] = [still(), still(), TARGET_FIRST, still()]
    low, high = run(days, finer=False, **LEVELS).range()
    assert low["total_return"] < high["total_return"]
    low, high = run(days, **LEVELS).range()
    assert low["total_return"] == high["total_return"] == pytest.approx(0.05)
    days = [still(), still(), BOTH_AT_ONCE, still()]
    low, high = run(days, **LEVELS).range()
    assert low["total_return"] < high["total_return"]


def test_provenance_names_what_ran() -> None:
    days: list[Day] = [still(), still(), STOP_FIRST, still()]
    fine = market([row for day in days for row in day], interval="8h")
    facts = run(days, fine=fine, **LEVELS).provenance
    assert (facts["engine"], facts["intrabar"]) == ("replay", fine.digest)
    assert facts["intrabar_missing"] == "0"
    facts = run(days, finer=False, **LEVELS).provenance
    assert facts["engine"] == "indexed"
    assert "intrabar" not in facts


def test_bars_that_finer_ones_do_not_make_up_are_run_on_themselves() -> None:
    days: list[Day] = [still(), still(), TARGET_FIRST, still()]
    rows = [row for day in days for row in day]
    fine = market(rows, interval="8h")
    gone = fine[:7]  # of day 2 only the first bar, which does not close where the day does
    with pytest.warns(
        bp.DataWarning,
        match=r"^`intrabar_candles` do not make up 2 of 4 bars, the first opens 2024-01-03 00:00: these are run on "
        r"themselves$",
    ):
        result = run(days, fine=gone, **LEVELS)
    trade = only(result)
    assert (trade["reason"], trade["ambiguous"]) == ("stop", True)
    assert result.provenance["intrabar_missing"] == "2"
    # Day 3 does not move, so that what is missing there shows nothing that is not known.
    trade = only(run(days, fine=fine[:10], **LEVELS))
    assert (trade["reason"], trade["ambiguous"]) == ("take", False)
    # All there, and another low: that of the day is believed.
    rows[7] = (104, 104, 93, 96)
    with pytest.warns(
        bp.DataWarning,
        match=r"do not make up 1 of 4 bars, the first opens 2024-01-03 00:00; in 1 they are all there and show other",
    ):
        trade = only(run(days, fine=market(rows, interval="8h"), **LEVELS))
    assert (trade["reason"], trade["ambiguous"]) == ("stop", True)


@pytest.mark.filterwarnings("ignore::barproof.DataWarning")
def test_the_report_says_what_finer_candles_settle() -> None:
    days = [still(), still(), TARGET_FIRST, still()]
    fine = market([row for day in days for row in day], interval="8h")
    rules = {**LEVELS, "trailing": 0.5}

    def heads(result: bp.Result) -> list[str]:
        return [caveat.head for caveat in result_caveats(result, None)]

    served, partly, blind = (
        heads(run(days, fine=fine, **rules)),
        heads(run(days, fine=fine[:7], **rules)),
        heads(run(days, finer=False, **rules)),
    )
    assert "Run on finer candles" in served
    assert "Trailing or break-even stops: not asked" in served
    assert "Run on finer candles, but for 2 of 4 bars" in partly
    assert "Trailing or break-even stops: 0.00% of trades ambiguous" in blind
    assert not any("finer" in head for head in blind)


def test_windows_and_schedules_run_on_finer_candles() -> None:
    days: list[Day] = [still(), still(), TARGET_FIRST, still(), still()]
    candles = market([whole(day) for day in days], interval="1d")
    fine = market([row for day in days for row in day], interval="8h")
    signals = bp.Signals.sparse(candles, long=[(1, 0.9)])
    rules = bp.Rules(entry_long=0.5, **LEVELS)
    for schedule in (rules, [(0, rules), (3, rules)]):
        result = bp.backtest(
            candles, signals, schedule, costs=FREE, intrabar_candles=fine, window=(1, 4)
        )
        trade = only(result)
        assert (trade["entry_bar"], trade["exit_bar"], trade["reason"]) == (1, 1, "take")


# ---- real minutes --------------------------------------------------------------------------------


def by_minutes(
    minutes: bp.Candles, start: int, stop: float, target: float, side: int
) -> tuple[str, int, bool]:
    """Follow the minutes from an entry: which level is met first, in which, and whether both are met in it."""
    low, high = minutes.low[start:], minutes.high[start:]
    worst, best = (low, high) if side > 0 else (high, low)
    stopped = np.flatnonzero(side * worst <= side * stop)
    taken = np.flatnonzero(side * best > side * target)
    never = len(low)
    at_stop = int(stopped[0]) if len(stopped) else never
    at_target = int(taken[0]) if len(taken) else never
    first = min(at_stop, at_target)
    reason = "end" if first == never else "stop" if at_stop <= at_target else "take"
    return reason, start + first, at_stop == at_target != never


@pytest.mark.skipif(not FOLDER, reason="BARPROOF_DATA names no data folder")
@pytest.mark.parametrize(("interval", "distance"), [("5m", 0.0008), ("1h", 0.002)])
def test_real_minutes_settle_what_longer_bars_hide(interval: str, distance: float) -> None:
    minutes = bp.read_candles(
        Path(FOLDER) / "binanceum_btcusdt_1m_2023.parquet", instrument="perpetual", funding="none"
    )
    candles = bp.resample(minutes, interval)
    rng = np.random.default_rng(3)
    signals = bp.Signals(long=rng.random(len(candles)), short=rng.random(len(candles)))
    rules = bp.Rules(
        entry_long=0.7, entry_short=0.7, stop_loss=distance, take_profit=distance, fraction=0.1
    )
    before = bp.backtest(candles, signals, rules, costs=FREE)
    after = bp.backtest(candles, signals, rules, costs=FREE, intrabar_candles=minutes)
    assert after.provenance["intrabar_missing"] == "0"
    assert before.metrics["ambiguous_share"] > max(0.03, 5 * after.metrics["ambiguous_share"])
    length = candles.interval_ms
    # Every trade on finer candles is the one that a walk over the minutes finds.
    both = 0
    for trade in after.trades.iter_rows(named=True):
        side = 1 if trade["side"] == "long" else -1
        start = int(np.searchsorted(minutes.open_time, candles.open_time[trade["entry_bar"]]))
        level = trade["entry_price"]
        stop, target = level * (1 - side * distance), level * (1 + side * distance)
        reason, minute, hidden = by_minutes(minutes, start, stop, target, side)
        if reason != "end" and minutes.open_time[minute] >= candles.open_time[-1] + length:
            reason = "end"  # after the last whole bar
        assert (trade["reason"], trade["ambiguous"]) == (reason, hidden)
        if reason != "end":
            assert trade["exit_bar"] == (minutes.open_time[minute] - candles.open_time[0]) // length
        both += hidden
    assert both == round(after.metrics["ambiguous_share"] * after.trades.height)


@pytest.mark.skipif(not FOLDER, reason="BARPROOF_DATA names no data folder")
def test_hours_of_an_exchange_are_made_up_by_its_minutes() -> None:
    # Two downloads: hours of six years, minutes of a month that begin at 11:13 and end at 11:11.
    minutes, hours = (
        bp.read_candles(
            Path(FOLDER) / f"binanceum_btcusdt_{name}",
            instrument="perpetual",
            funding="none",
            on_fault="ignore",
        )
        for name in ("1m_2023.parquet", "1h.parquet")
    )
    signals = bp.Signals(long=np.zeros(len(hours)))
    rules = bp.Rules(entry_long=0.5)
    window = ("2023-07-18", "2023-08-18")
    with pytest.warns(
        bp.DataWarning, match="do not make up 25 of 744 bars, the first opens 2023-07-18 00:00: "
    ):
        result = bp.backtest(
            hours, signals, rules, costs=FREE, intrabar_candles=minutes, window=window
        )
    # 00:00 to 11:00 on the first day, 11:00 to 23:00 on the last.
    assert result.provenance["intrabar_missing"] == "25"
