"""Sweeps: the face, and what must not depend on how they are run."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _daily, _machine, _sweep
from tests.helpers import flat, market, simulated
from tests.processes import linux, spent_from_now

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
METRICS = [row["name"] for row in bp._core.metrics_table()]


@pytest.fixture(scope="module")
def world() -> tuple[bp.Candles, bp.Signals]:
    return simulated(6_000)


def small_grid(**axes: Any) -> bp.Grid:
    rules = bp.Rules(max_hold=48, stop_loss=0.02, take_profit=0.03)
    levels = [1.0, 1.5, 2.0]
    return bp.Grid(
        rules, {"entry_long": levels, "entry_short": levels}, trailing=[None, 0.01], **axes
    )


def bits(frame: pl.DataFrame) -> list[bytes]:
    return [frame[name].cast(pl.Float64).to_numpy().tobytes() for name in METRICS]


def test_threads_do_not_change_a_bit(world: tuple[bp.Candles, bp.Signals]) -> None:
    runs = [bp.sweep(*world, small_grid(), costs=COSTS, windows="2d", threads=t) for t in (1, 2, 5)]
    # Few combinations on many threads take the other path: windows in parallel.
    for other in runs[1:]:
        assert bits(other.frame) == bits(runs[0].frame)
        assert bits(other.pooled) == bits(runs[0].pooled)


def test_rows_equal_single_backtests(world: tuple[bp.Candles, bp.Signals]) -> None:
    candles, signals = world
    grid = small_grid()
    swept = bp.sweep(candles, signals, grid, costs=COSTS, windows=[(0, 2_500), (2_500, 6_000)])
    assert swept.frame.height == 2 * len(grid)
    for row in swept.frame.iter_rows(named=True):
        window = swept.windows[row["window"]]
        alone = bp.backtest(candles, signals, grid[row["combination"]], costs=COSTS, window=window)
        for name in METRICS:
            a, b = row[name], alone.metrics[name]
            assert a == b or (math.isnan(a) and math.isnan(b)), name
        assert row["trailing"] == grid[row["combination"]].trailing


def test_one_window_is_its_own_pool(world: tuple[bp.Candles, bp.Signals]) -> None:
    swept = bp.sweep(*world, small_grid(), costs=COSTS)
    assert bits(swept.frame) == bits(swept.pooled)
    assert swept.pooled["pooling"].unique().to_list() == ["compounded"]


def test_overlapping_windows_are_averaged_and_say_so(world: tuple[bp.Candles, bp.Signals]) -> None:
    swept = bp.sweep(*world, small_grid(), costs=COSTS, windows=[(0, 3_000), (1_000, 4_000)])
    assert swept.pooled["pooling"].unique().to_list() == ["mean"]
    first = swept.frame.filter(pl.col("combination") == 0)
    assert swept.pooled["total_return"][0] == pytest.approx(first["total_return"].mean())
    assert swept.equity(0)["compounded"].null_count() == 6_000


def test_trades_equity_and_daily_returns_belong_to_the_frame(
    world: tuple[bp.Candles, bp.Signals],
) -> None:
    swept = bp.sweep(*world, small_grid(), costs=COSTS, windows="1w")
    trades, equity = swept.trades(3), swept.equity(3)
    rows = swept.frame.filter(pl.col("combination") == 3)
    assert trades.group_by("window").len().sort("window")["len"].to_list() == [
        n for n in rows["trades"] if n
    ]
    assert trades["combination"].unique().to_list() == [3]
    assert (
        equity.group_by("window", maintain_order=True).last()["equity"].to_list()
        == rows["final_equity"].to_list()
    )
    assert equity["compounded"][-1] == pytest.approx(swept.pooled["final_equity"][3])
    daily = swept.daily_returns
    values = daily.to_numpy()
    assert values.shape == (len(swept), len(daily.dates))
    assert np.concatenate(list(daily.chunks(4))).tobytes() == values.tobytes()
    deviation = values.std(axis=1, ddof=1)
    assert values.mean(axis=1) / deviation == pytest.approx(swept.pooled["sharpe_daily"].to_numpy())
    assert daily.to_polars().shape == (len(daily.dates), len(swept) + 1)


def test_best_follows_the_metrics_direction(world: tuple[bp.Candles, bp.Signals]) -> None:
    swept = bp.sweep(*world, small_grid(), costs=COSTS)
    best = swept.best("total_return")
    assert best.metrics["total_return"] == swept.pooled["total_return"].max()
    assert best.rules == swept.grid[best.combination]
    assert swept.best("max_drawdown").metrics["max_drawdown"] == swept.pooled["max_drawdown"].min()
    most = int(swept.pooled["trades"].to_numpy().max())
    assert swept.best("sharpe", min_trades=most).metrics["trades"] == most


def test_windows_by_duration_cover_every_bar_once() -> None:
    candles, signals = simulated(20_000)
    grid = bp.Grid(bp.Rules(entry_long=1.0))
    for text in ("1mo", "5d", "1w", "36h", "1q", "1y", "90m"):
        windows = bp.sweep(candles, signals, grid, costs=COSTS, windows=text).windows
        assert windows[0][0] == 0
        assert windows[-1][1] == len(candles)
        assert all(a[1] == b[0] for a, b in zip(windows, windows[1:], strict=False))
    months = bp.sweep(candles, signals, grid, costs=COSTS, windows="1mo").frame["start"]
    assert months.dt.day().to_list() == [1] * len(months)


def test_a_splitter_gives_its_test_parts(world: tuple[bp.Candles, bp.Signals]) -> None:
    from sklearn.model_selection import TimeSeriesSplit

    swept = bp.sweep(
        *world, bp.Grid(bp.Rules(entry_long=1.0)), costs=COSTS, windows=TimeSeriesSplit(4)
    )
    assert [stop - start for start, stop in swept.windows] == [1_200] * 4


def test_progress_is_reported(world: tuple[bp.Candles, bp.Signals]) -> None:
    candles, signals = simulated(60_000)
    seen: list[tuple[int, int]] = []
    grid = bp.Grid(bp.Rules(), entry_long=list(np.linspace(0.5, 3, 200)))
    bp.sweep(
        candles, signals, grid, costs=COSTS, threads=1, progress=lambda d, t: seen.append((d, t))
    )
    assert seen
    assert all(total == 200 and 0 <= done <= 200 for done, total in seen)
    assert seen == sorted(seen)
    assert seen[-1] == (200, 200)

    def refuse(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bp.sweep(candles, signals, grid, costs=COSTS, threads=1, progress=refuse)


CTRL_C = """
import sys, time
import barproof as bp
candles = bp.simulate_candles(1, bars=100_000)
signals = bp.Signals(long=candles.planted, kind="score")
grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[i / 1e6 for i in range(200_000)])
print("ready", flush=True)
try:
    bp.sweep(candles, signals, grid, costs=bp.Costs.free())
except bp.Interrupted as stop:
    done = 0 if stop.partial is None else stop.partial.pooled.height
    print("stopped", done, stop.done, stop.total, flush=True)
"""


@linux
def test_ctrl_c_stops_within_a_second_and_keeps_what_is_done() -> None:
    child = subprocess.Popen([sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(3)
    spent = spent_from_now(child)
    child.send_signal(signal.SIGINT)
    line = child.stdout.readline().split()
    child.stdout.close()
    assert child.wait() == 0
    assert spent() < 1.0
    assert line[0] == "stopped"
    assert int(line[1]) == int(line[2]) > 0
    assert int(line[3]) == 200_000


def test_plan_tells_the_size_of_the_job(world: tuple[bp.Candles, bp.Signals]) -> None:
    plan = bp.plan(*world, small_grid(), costs=COSTS, windows="2d", threads=2)
    assert (plan.combinations, plan.windows, plan.rows) == (6, 11, 66)
    assert plan.bar_steps == 6 * 6_000
    assert plan.seconds > 0
    assert plan.memory_bytes > 66 * 8 * len(METRICS)
    assert "66 rows" in str(plan)
    refused = bp.Grid(bp.Rules(entry_long=1.0), leverage=[1.0, 300.0])
    with pytest.raises(bp.ParameterError, match="`leverage of combination 1` must be below 200"):
        bp.plan(*world, refused, costs=COSTS)


def test_what_does_not_fit_is_refused(
    world: tuple[bp.Candles, bp.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_sweep, _daily):
        monkeypatch.setattr(module, "available_bytes", lambda: 1_000)
    with pytest.raises(bp.PlanError, match=r"need about [\d,]+ bytes, 1,000 are free"):
        bp.sweep(*world, small_grid(), costs=COSTS)
    swept_daily = bp.DailyReturns(pl.Series([1]), np.arange(500), lambda _: np.empty(0))
    with pytest.raises(bp.PlanError, match=r"walk over chunks"):
        swept_daily.to_numpy()


def test_threads_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARPROOF_THREADS", "3")
    assert _machine.thread_count(None) == 3
    assert _machine.thread_count(1) == 1
    monkeypatch.delenv("BARPROOF_THREADS")
    assert _machine.thread_count(None) >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
def test_a_sweep_works_after_fork(world: tuple[bp.Candles, bp.Signals]) -> None:
    # Threads of a parent do not survive a fork; a pool kept between calls would hang here.
    code = """
import os
import barproof as bp
candles = bp.simulate_candles(1, bars=2_000)
signals = bp.Signals(long=candles.planted, kind="score")
grid = bp.Grid(bp.Rules(), entry_long=[0.5, 1.0])
first = bp.sweep(candles, signals, grid, costs=bp.Costs.free(), threads=2).pooled["sharpe"].to_list()
pid = os.fork()
if pid == 0:
    again = bp.sweep(candles, signals, grid, costs=bp.Costs.free(), threads=2).pooled["sharpe"].to_list()
    os._exit(0 if again == first else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    # polars warns about forks of threaded programs; the parent here only sweeps.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_grids_take_their_shape() -> None:
    base = bp.Rules(entry_long=0.5)
    grid = bp.Grid(
        base, {"stop_loss": [0.01, 0.02], "take_profit": [0.02, 0.04]}, max_hold=[5, 10, None]
    )
    assert len(grid) == 6
    assert [grid[i].max_hold for i in range(3)] == [5, 10, None]
    assert all(g.take_profit == 2 * g.stop_loss for g in (grid[i] for i in range(6)))  # type: ignore[operator]
    kept = bp.Grid(
        base,
        stop_loss=[0.01, 0.03],
        take_profit=[0.02, 0.04],
        where=lambda c: c["stop_loss"] < c["take_profit"],
    )
    assert len(kept) == 3
    drawn = [bp.Grid(base, max_hold=range(1, 101), sample=10, seed=s) for s in (1, 1, 2)]
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest
    table = bp.Grid.table(
        base, pl.DataFrame({"max_hold": [3, None], "sizing": ["fraction", "fraction"]})
    )
    assert table[1].max_hold is None
    assert len(bp.Grid(base)) == 1


def test_a_contradictory_combination_is_named_unless_left_out() -> None:
    base = bp.Rules(entry_long=0.5, break_even_offset=0.02)
    with pytest.raises(
        bp.RulesError,
        match=r"combination 1 \(break_even=0.01\) is refused: `break_even_offset` must",
    ):
        bp.Grid(base, break_even=[0.03, 0.01])
    assert len(bp.Grid(base, break_even=[0.03, 0.01], where=lambda c: c["break_even"] > 0.02)) == 1


def test_flat_market_without_trades_is_no_error() -> None:
    candles = market(flat(100, 50))
    signals = bp.Signals(long=np.zeros(50))
    swept = bp.sweep(candles, signals, bp.Grid(bp.Rules(entry_long=0.5)), costs=COSTS)
    assert swept.pooled["trades"].to_list() == [0]
    with pytest.raises(bp.ParameterError, match="`sharpe` is undefined for all 1 combinations"):
        swept.best()


def test_reports_are_written(world: tuple[bp.Candles, bp.Signals], tmp_path: Path) -> None:
    swept = bp.sweep(*world, small_grid(), costs=COSTS, windows="1w")
    assert swept.to_html(tmp_path / "sweep.html").stat().st_size > 100_000
    assert swept.heatmap("entry_long", "trailing", "total_return").data
