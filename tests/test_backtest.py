"""One backtest: its face and its frames."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.helpers import START, flat, market, simulated
from tests.tolerances import REFERENCE

COSTS = bp.Costs(taker=0.0005)
COLUMNS = [
    "combination",
    "window",
    "side",
    "signal_bar",
    "entry_bar",
    "entry_time",
    "entry_price",
    "exit_bar",
    "exit_time",
    "exit_price",
    "quantity",
    "notional",
    "margin",
    "fraction",
    "p_entry",
    "reason",
    "bars_held",
    "fees",
    "funding",
    "pnl",
    "return",
    "ambiguous",
    "ambiguous_trail",
    "mae",
    "mfe",
]


@pytest.fixture(scope="module")
def result() -> bp.Result:
    candles, signals = simulated(8_000)
    rules = bp.Rules(
        entry_long=1.2, entry_short=1.2, stop_loss=0.01, take_profit=0.02, max_hold=60, leverage=2
    )
    return bp.backtest(candles, signals, rules, costs=COSTS)


def test_frames_have_the_contracts_columns(result: bp.Result) -> None:
    assert result.trades.columns == COLUMNS
    assert result.equity.columns == ["open_time", "equity"]
    assert result.equity.height == len(result.candles)
    assert result.trades.height == result.metrics["trades"] > 20
    assert list(result.metrics) == [row["name"] for row in bp._core.metrics_table()]
    assert isinstance(result.metrics["wins"], int)
    times = result.candles.to_polars()["open_time"]
    assert (
        result.trades["entry_time"].to_list() == times.gather(result.trades["entry_bar"]).to_list()
    )


def test_stats_put_buy_and_hold_beside_the_strategy(result: bp.Result) -> None:
    stats = result.stats()
    assert stats.columns == ["metric", "strategy", "buy_and_hold"]
    row = stats.row(by_predicate=pl.col("metric") == "Return [%]", named=True)
    assert row["strategy"] == pytest.approx(100 * result.metrics["total_return"])
    candles = result.candles
    held = candles.close / candles.open[0]
    assert row["buy_and_hold"] == pytest.approx(100 * (held[-1] - 1))
    # Against numpy, from the definition.
    peak = np.maximum.accumulate(np.concatenate([[1.0], held]))[1:]
    row = stats.row(by_predicate=pl.col("metric") == "Max. Drawdown [%]", named=True)
    assert row["buy_and_hold"] == pytest.approx(100 * np.max(1 - held / peak))
    days = (
        pl.DataFrame({"t": candles.to_polars()["open_time"].dt.date(), "e": held})
        .group_by("t", maintain_order=True)
        .last()["e"]
    )
    daily = days.to_numpy() / np.concatenate([[1.0], days.to_numpy()[:-1]]) - 1
    row = stats.row(by_predicate=pl.col("metric") == "Sharpe Ratio", named=True)
    assert row["buy_and_hold"] == pytest.approx(
        daily.mean() / daily.std(ddof=1) * math.sqrt(365), rel=REFERENCE
    )


@pytest.mark.parametrize("group", ["month", "hour", "side", "regime", "reason"])
def test_groups_share_out_every_trade(result: bp.Result, group: str) -> None:
    table = result.by(group)  # type: ignore[arg-type]
    assert table["trades"].sum() == result.trades.height
    assert table["pnl"].sum() == pytest.approx(result.trades["pnl"].sum())


def test_regimes_are_known_at_entry(result: bp.Result) -> None:
    cut = 5_000
    early = bp.backtest(result.candles, result.signals, result.rules, costs=COSTS, window=(0, cut))
    labels = early.by("regime")["group"].to_list()
    assert set(labels) <= {"1 calm", "2 normal", "3 turbulent", "unknown"}
    assert len(labels) >= 3


def test_range_brackets_a_market_full_of_ambiguous_bars() -> None:
    rows = [*flat(100.0, 2), (100.0, 110.0, 90.0, 100.0), *flat(100.0, 3)]
    candles = market(rows)
    signals = bp.Signals.sparse(candles, long=[(0, 1.0)])
    rules = bp.Rules(entry_long=0.5, stop_loss=0.05, take_profit=0.05, intrabar="nearest_open")
    low, high = bp.backtest(candles, signals, rules, costs=COSTS).range()
    assert low["total_return"] < 0 < high["total_return"]
    assert low["n_stop"] == high["n_take"] == 1


def test_windows_by_time_and_by_bar_agree(result: bp.Result) -> None:
    candles, signals = result.candles, result.signals
    rules = bp.Rules(entry_long=1.2, max_hold=10)
    day = 288
    by_bar = bp.backtest(candles, signals, rules, costs=COSTS, window=(day, 3 * day))
    by_time = bp.backtest(candles, signals, rules, costs=COSTS, window=("2022-01-02", "2022-01-04"))
    assert by_bar.window == by_time.window == (day, 3 * day)
    assert by_bar.trades.equals(by_time.trades)
    assert by_bar.trades["entry_bar"].to_numpy().min() < day  # counted within the window


def test_a_schedule_by_time_equals_one_by_bar(result: bp.Result) -> None:
    rules = [bp.Rules(entry_long=x, max_hold=20) for x in (1.0, 1.5)]
    schedules = [
        [(0, rules[0]), (2 * 288, rules[1])],
        [("2022-01-01", rules[0]), ("2022-01-03", rules[1])],
    ]
    frames = [bp.backtest(result.candles, result.signals, s, costs=COSTS).trades for s in schedules]  # type: ignore[arg-type]
    assert frames[0].equals(frames[1])
    alone = bp.backtest(result.candles, result.signals, [(0, rules[0])], costs=COSTS)
    plain = bp.backtest(result.candles, result.signals, rules[0], costs=COSTS)
    assert alone.trades.equals(plain.trades)


def test_rules_and_costs_are_values() -> None:
    rules = bp.Rules(entry_long=1, stop_loss=0.01)
    assert rules == bp.Rules(entry_long=1.0, stop_loss=0.01)
    assert rules.digest == bp.Rules(entry_long=1.0, stop_loss=0.01).digest
    assert rules.replace(stop_loss=None) == bp.Rules(entry_long=1.0)
    assert pickle.loads(pickle.dumps(rules)) == rules
    assert bp.Rules(**rules.to_dict()) == rules
    assert bp.Costs(taker=0.001).maker == 0.001
    assert bp.Costs.free().is_free
    assert not bp.Costs(taker=0.001, maker=-0.001).is_free


def test_signals_join_by_time() -> None:
    candles = market(flat(100.0, 6))
    plain = bp.Signals(long=[0.1, 0.9, np.nan, 0.2, 0.3, 0.4])
    frame = pl.DataFrame(
        {"open_time": candles.open_time[::-1].copy(), "p": plain["long"][::-1].copy()}
    )
    joined = bp.Signals.from_frame(frame, long="p")
    assert joined.align(candles).digest == plain.digest
    part = bp.Signals.from_frame(frame.slice(1, 3), long="p").align(candles)
    assert np.isnan(part["long"]).sum() == 4  # two missing rows, a hole at bar 2, bar 5
    rules = bp.Rules(entry_long=0.5)
    assert bp.backtest(candles, joined, rules, costs=COSTS).trades.equals(
        bp.backtest(candles, plain, rules, costs=COSTS).trades
    )
    shifted = frame.with_columns(pl.col("open_time") + 1)
    with pytest.raises(bp.SignalError, match="no signal time meets a bar"):
        bp.backtest(candles, bp.Signals.from_frame(shifted, long="p"), rules, costs=COSTS)


def test_signals_are_copied_and_digested_once() -> None:
    values = np.array([0.1, 0.9])
    signals = bp.Signals(long=values)
    digest = signals.digest
    values[0] = 0.5
    assert signals["long"].tolist() == [0.1, 0.9]
    with pytest.raises(ValueError, match="read-only"):
        signals["long"][0] = 1.0
    assert pickle.loads(pickle.dumps(signals)) == signals
    assert pickle.loads(pickle.dumps(signals)).digest == digest
    assert bp.Signals(long=pl.Series([0.1, None])).digest == bp.Signals(long=[0.1, np.nan]).digest
    strided = np.array([0.1, 7.0, 0.9, 7.0])[::2]
    assert bp.Signals(long=strided).digest == digest


def test_what_is_not_a_perpetual_has_no_funding() -> None:
    rows = flat(100.0, 4)
    funding = pl.DataFrame({"funding_time": [START + 2 * 28_800_000], "funding_rate": [0.01]})
    paid = market(rows, kind="perpetual", interval="8h", funding=funding)
    signals = bp.Signals.sparse(4, long=[(0, 1.0)])
    rules = bp.Rules(entry_long=0.5)
    assert bp.backtest(paid, signals, rules, costs=COSTS).metrics["funding"] < 0
    spot = market(rows, interval="8h")
    assert bp.backtest(spot, signals, rules, costs=COSTS).metrics["funding"] == 0


def test_a_result_shows_itself(result: bp.Result, tmp_path: Path) -> None:
    assert "sharpe" in repr(result)
    assert result.plot().data
    assert result.to_html(tmp_path / "r.html").stat().st_size > 100_000
    assert set(result.provenance) >= {
        "candles",
        "signals",
        "rules",
        "costs",
        "window",
        "barproof",
        "engine",
    }


def test_masked_values_are_no_signal() -> None:
    masked = np.ma.masked_array([0.1, 0.99], mask=[False, True])
    assert np.isnan(bp.Signals(long=masked)["long"]).tolist() == [False, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
def test_a_backtest_works_after_fork() -> None:
    code = """
import os
import barproof as bp
candles = bp.simulate_candles(1, bars=2_000)
signals = bp.Signals(long=candles.planted, kind="score")
run = lambda: bp.backtest(candles, signals, bp.Rules(entry_long=1.0), costs=bp.Costs.free())
first = run()
bp.sweep(candles, signals, bp.Grid(bp.Rules(), entry_long=[0.5, 1.0]), costs=bp.Costs.free(), windows="1d")
pid = os.fork()
if pid == 0:
    os._exit(0 if run().metrics["sharpe"] == first.metrics["sharpe"] else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_daily_returns_as_pandas() -> None:
    """A day each, as quantstats takes them, and in UTC as pyfolio does."""
    candles = bp.simulate_candles(seed=7, bars=5_000, edge=0.1)
    signals = bp.Signals(long=candles.planted, kind="score")
    result = bp.backtest(
        candles, signals, bp.Rules(entry_long=1.5, max_hold=24), costs=bp.Costs(taker=0.0005)
    )
    plain, utc = result.to_pandas(), result.to_pandas(tz="UTC")
    assert plain.index.tz is None
    assert str(utc.index.tz) == "UTC"
    assert plain.name == candles.symbol
    assert list(plain.index.date) == result.daily_returns["date"].to_list()
    assert list(plain) == list(utc) == result.daily_returns["return"].to_list()
    whole = float((1.0 + plain).prod() - 1.0)
    assert whole == pytest.approx(result.metrics["total_return"], rel=1e-12)
    yearly = plain.mean() / plain.std(ddof=1) * np.sqrt(365)
    assert yearly == pytest.approx(result.metrics["sharpe"], rel=1e-12)
