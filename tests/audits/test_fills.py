"""FILL-01 to FILL-06: a planted fault, a clean case, and what proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import audits
from barproof.audits.model import Finding

BARS = bp.simulate_candles(5, bars=400, interval="1h")
HOUR = 3_600_000
ROWS = np.arange(20, 300, 6)


def trades(**more: Any) -> dict[str, Any]:
    """Longs from open to open, six bars each, with fees."""
    a, b = BARS.open[ROWS], BARS.open[ROWS + 6]
    made = {
        "entry_time": BARS.open_time[ROWS],
        "exit_time": BARS.open_time[ROWS + 6],
        "entry_price": a,
        "exit_price": b,
        "side": ["long"] * len(ROWS),
        "quantity": np.full(len(ROWS), 1e-6),
        "fees": 1e-6 * (a + b) * 0.001,
        "return": b / a - 1 - 0.001 * (a + b) / a,
    }
    return {**made, **more}


def every(table: Any) -> dict[str, Finding]:
    found = [
        f(table, BARS)
        for f in (
            audits.fill_in_bar,
            audits.fill_in_session,
            audits.fill_volume,
            audits.fill_hindsight,
        )
    ]
    return {f.id: f for f in (*found, audits.return_arithmetic(table), audits.trade_order(table))}


def test_clean_trades_pass() -> None:
    assert {f.outcome for f in every(trades()).values()} == {"pass"}
    shorts = trades(side=["short"] * len(ROWS))
    a, b = BARS.open[ROWS], BARS.open[ROWS + 6]
    shorts["return"] = 1 - b / a - 0.001 * (a + b) / a
    assert {f.outcome for f in every(shorts).values()} == {"pass"}


def test_trades_of_the_engine_pass() -> None:
    rng = np.random.default_rng(1)
    signals = bp.Signals(long=rng.random(400), short=rng.random(400))
    rules = bp.Rules(
        entry_long=0.9, entry_short=0.95, stop_loss=0.01, take_profit=0.02, max_hold=9, leverage=2
    )
    costs = bp.Costs(taker=0.0005, slippage=0.0002)
    made = bp.backtest(BARS, signals, rules, costs=costs, ledger=False).trades
    found = every(made)
    assert {
        c: f.outcome for c, f in found.items() if f.outcome != "pass" and c != "FILL-03"
    } == {}, found
    assert found["FILL-01"].measured is not None and found["FILL-01"].measured.n == 2 * made.height


def test_prices_that_no_bar_had() -> None:
    low, high = BARS.low[ROWS], BARS.high[ROWS]
    inside = BARS.open_time[ROWS] + 60_000  # a fill at an open may have a price of the bar before
    better = audits.fill_in_bar(
        trades(entry_time=inside, entry_price=np.where(ROWS < 50, low * 0.999, BARS.open[ROWS])),
        BARS,
    )
    assert better.outcome == "fail" and better.measured is not None
    assert better.measured.value == (ROWS < 50).sum() == better.evidence["total"]
    row = better.evidence["rows"][0]
    assert row["price"] < row["low"] and (row["trade"], row["fill"]) == (0, "entry")
    # Against the trader: slippage.
    slipped = audits.fill_in_bar(trades(entry_price=high * 1.001), BARS)
    assert slipped.outcome == "pass" and "which are worse (slippage)" in slipped.title
    worse = audits.fill_in_bar(trades(entry_time=inside, entry_price=high * 1.03), BARS)
    assert worse.outcome == "warn" and worse.evidence["worse_than_the_bar"] == len(ROWS)
    few = np.where(ROWS[0] == ROWS, high * 1.001, BARS.open[ROWS])
    assert audits.fill_in_bar(trades(entry_price=few), BARS).outcome in ("pass", "warn")
    # A basis point is rounding; more is not.
    assert (
        audits.fill_in_bar(trades(entry_time=inside, entry_price=low * (1 - 9e-5)), BARS).outcome
        == "pass"
    )
    assert (
        audits.fill_in_bar(trades(entry_time=inside, entry_price=low * (1 - 2e-4)), BARS).outcome
        == "fail"
    )
    assert (
        audits.fill_in_bar(
            trades(entry_time=inside, entry_price=low * (1 - 2e-4)), BARS, tolerance=1e-3
        ).outcome
        == "pass"
    )
    # Exits sell: a price above the high is the better one.
    sold = audits.fill_in_bar(trades(exit_price=BARS.high[ROWS + 6] * 1.01), BARS)
    assert sold.outcome == "fail" and sold.evidence["rows"][0]["fill"] == "exit"
    assert (
        audits.fill_in_bar(trades(entry_price=np.full(len(ROWS), np.nan)), BARS).outcome == "fail"
    )


def test_a_clock_that_is_off_is_named() -> None:
    moved = trades(
        entry_time=BARS.open_time[ROWS] - 5 * HOUR, exit_time=BARS.open_time[ROWS + 6] - 5 * HOUR
    )
    found = audits.fill_in_bar(moved, BARS)
    assert found.outcome == "fail" and found.evidence["clock_off_hours"] == 5
    assert "+5 h off" in found.cause[0]


def test_a_close_may_be_dated_on_the_next_open() -> None:
    late = trades(exit_time=BARS.open_time[ROWS + 7], exit_price=BARS.close[ROWS + 6])
    assert audits.fill_in_bar(late, BARS).outcome == "pass"
    last = {
        "entry_time": [BARS.open_time[-1], BARS.open_time[-1] + HOUR],
        "entry_price": [BARS.open[-1], BARS.close[-1]],
        "side": ["long", "long"],
    }
    assert audits.fill_in_session(last, BARS).outcome == "pass"


def test_closed_markets() -> None:
    keep = np.r_[0:60, 108:400]  # two days are missing
    holes = bp.read_candles(BARS.to_polars()[keep], instrument="spot", on_fault="ignore")
    found = audits.fill_in_session(trades(), holes)
    times = np.r_[BARS.open_time[ROWS], BARS.open_time[ROWS + 6]]
    inside = (times > BARS.open_time[60]) & (times < BARS.open_time[108])
    assert (
        found.outcome == "fail"
        and found.measured is not None
        and found.measured.value == inside.sum()
    )
    days = (times // (24 * HOUR) + 4) % 7
    assert found.evidence["weekend"] == (inside & ((days == 0) | (days == 6))).sum()
    assert audits.fill_in_session(trades(), BARS[:40]).outcome == "inconclusive"
    beyond = audits.fill_in_session(trades(), BARS[:200])
    assert beyond.outcome == "pass" and beyond.evidence["outside_the_candles"] > 0


def test_volume() -> None:
    volume = BARS.volume[ROWS]
    for factor, outcome in ((1.5, "fail"), (0.05, "warn"), (0.0001, "pass")):
        assert audits.fill_volume(trades(quantity=volume * factor), BARS).outcome == outcome, factor
    assert audits.fill_volume(trades(quantity=volume * 0.05), BARS, share=1.0).outcome in (
        "pass",
        "fail",
    )
    none = {k: v for k, v in trades().items() if k != "quantity"}
    assert audits.fill_volume(none, BARS).outcome == "inconclusive"


def test_hindsight() -> None:
    opens = BARS.open_time[ROWS]
    for delta, outcome in ((0, "pass"), (1, "fail"), (-HOUR, "pass")):
        found = audits.fill_hindsight(trades(signal_time=opens + delta), BARS)
        assert found.outcome == outcome, delta
    lows = audits.fill_hindsight(trades(entry_price=BARS.low[ROWS]), BARS)
    assert lows.outcome == "fail" and "very best price" in lows.title
    # Selling short at the low is bad luck, and no hindsight.
    shorts = trades(entry_price=BARS.low[ROWS], side=["short"] * len(ROWS))
    assert audits.fill_hindsight(shorts, BARS).outcome == "pass"
    closes = audits.fill_hindsight(trades(entry_price=BARS.close[ROWS]), BARS)
    assert closes.outcome == "warn" and closes.evidence["same_close"] == len(ROWS)
    few = {k: v[:5] for k, v in trades().items()}
    assert audits.fill_hindsight(few, BARS).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("change", "outcome", "words"),
    [
        (lambda t: {"return": t["return"] * 100}, "fail", "percents, not fractions"),
        (
            lambda t: {"return": t["exit_price"] / t["entry_price"] - 1},
            "fail",
            "leave out the fees",
        ),
        (lambda t: {"return": -t["return"]}, "fail", "differ from what their prices give"),
        (
            lambda t: {"fees": t["fees"] * 0, "return": t["exit_price"] / t["entry_price"] - 1},
            "warn",
            "no cost",
        ),
        (lambda t: {"side": ["?"] * len(t["return"])}, "inconclusive", "no trade has both prices"),
        (
            lambda t: {"leverage": np.full(len(t["return"]), 3.0), "return": 3 * t["return"]},
            "pass",
            "agree",
        ),
    ],
)
def test_arithmetic(change: Any, outcome: str, words: str) -> None:
    table = trades()
    found = audits.return_arithmetic({**table, **change(table)})
    assert (found.outcome, words in found.title) == (outcome, True), found.title


def test_one_edited_return_is_found() -> None:
    table = trades()
    table["return"] = table["return"].copy()
    table["return"][7] += 0.05
    found = audits.return_arithmetic(table)
    assert found.outcome == "fail" and [r["trade"] for r in found.evidence["rows"]] == [7]


def test_returns_on_the_account_need_right_profits() -> None:
    table = trades()
    pnl = table["return"] * table["entry_price"] * table["quantity"]
    account = {**table, "pnl": pnl, "return": pnl / 1_000.0}
    assert audits.return_arithmetic(account).outcome == "pass"
    assert audits.return_arithmetic({**account, "pnl": pnl * 2}).outcome == "fail"
    assert audits.return_arithmetic({**account, "return": -account["return"]}).outcome == "fail"


def test_order() -> None:
    table = pl.DataFrame(trades())
    twice = audits.trade_order(pl.concat([table, table[:3]]))
    assert twice.outcome == "fail" and twice.evidence["counts"]["row that stands twice"] == 3
    back = audits.trade_order(table.rename({"entry_time": "exit_time", "exit_time": "entry_time"}))
    assert back.evidence["counts"]["exit before entry"] == table.height
    assert audits.trade_order(table.with_columns(entry_price=pl.lit(0.0))).outcome == "fail"
    # Trades one after the other do not overlap; the same, each twice as long, do.
    assert audits.trade_order(table).evidence["overlapping"] == 0
    longer = table.with_columns(exit_time=pl.col("exit_time") + 6 * HOUR)
    assert audits.trade_order(longer).evidence["overlapping"] == table.height - 1


def test_other_symbols_are_not_held_against_these_bars() -> None:
    table = pl.DataFrame(trades(symbol=["SIM/USDT:USDT"] * (len(ROWS) - 9) + ["DOGE/USDT"] * 9))
    wrong = table.with_columns(
        entry_price=pl.when(pl.col("symbol") == "DOGE/USDT")
        .then(0.07)
        .otherwise(pl.col("entry_price"))
    )
    found = audits.fill_in_bar(wrong, BARS)
    assert found.outcome == "pass" and "9 trades of other symbols" in found.title


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"entry_time": [], "entry_price": []},
        {k: [None] for k in ("entry_time", "entry_price", "exit_time", "exit_price", "side", "return")},
        {"entry_time": [np.nan], "entry_price": [np.inf], "side": ["long"], "return": [np.inf], "exit_price": [0.0]},
        {"return": [0.1]},
        {"entry_time": [2**62], "exit_time": [-(2**62)], "entry_price": [1.0], "exit_price": [1.0], "side": ["x"]},
    ],
    ids=["none", "empty", "nulls", "infinite", "returns", "far"],
)  # fmt: skip
def test_degenerate_trades_never_pass_and_never_raise(table: dict[str, Any]) -> None:
    for code, found in every(table).items():
        assert found.outcome in ("inconclusive", "fail"), (code, found.title)
        assert bp.Finding.from_dict(found.to_dict()) == found
    empty = [
        f(trades(), BARS[:0])
        for f in (audits.fill_in_bar, audits.fill_volume, audits.fill_hindsight)
    ]
    assert {f.outcome for f in empty} == {"inconclusive"}


def test_they_join_where_there_are_prices() -> None:
    report = bp.audit(trades=pl.DataFrame(trades()), candles=BARS, ledger=False)
    assert {c for c in ("FILL-01", "FILL-06") if c in report} == {"FILL-01", "FILL-06"}
    alone = bp.audit(trades=pl.DataFrame(trades()), ledger=False)
    assert alone["FILL-01"].outcome == "skipped" and alone["FILL-05"].outcome == "pass"
    assert "FILL-01" not in bp.audit(trades=[0.1, -0.1], ledger=False)
