"""An example of every error of the modules directly under `barproof`: id, call, class, exact message."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import barproof as bp
from barproof import _daily, _ledger_file, _machine, _sweep, _sweep_job, _sweep_result
from tests.helpers import START, flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market(flat(100.0, 10))
PERPETUAL = market(flat(100.0, 10), kind="perpetual", interval="1h")
EQUITY = market(flat(100.0, 10), kind="spot", maintenance=0.01)
P = bp.Signals(long=np.linspace(0, 1, 10), short=np.linspace(1, 0, 10))
SCORE = bp.Signals(long=np.linspace(-1, 1, 10), kind="score")
RULES = bp.Rules(entry_long=0.5)
COSTS = bp.Costs(taker=0.0005)
QUIET = bp.Signals(long=np.zeros(10))
GRID = bp.Grid(RULES, max_hold=[1, 2])
WALK = bp.WalkForward(5, 5)
TEN = np.arange(10)
HOLE = pl.DataFrame({"open_time": START + 60_000 * np.array([0, 1, 500])})
ARRAYS = "long, short, exit_long, exit_short, stop, target, size"
METRICS = ", ".join(row["name"] for row in bp._core.metrics_table())
NAMES = ", ".join(bp.Rules().to_dict())


def run(
    rules: Any = RULES, signals: Any = P, candles: Any = BARS, costs: Any = COSTS, **options: Any
) -> bp.Result:
    return bp.backtest(candles, signals, rules, costs=costs, **options)


def refined(shift: int = 0, price: float = 100.0) -> bp.Result:
    """Two hours on minutes."""
    minutes = market(flat(price, 120))
    minutes = minutes._replace(open_time=minutes.open_time + shift)
    candles = market(flat(100.0, 2), interval="1h")
    return run(candles=candles, signals=bp.Signals(long=np.zeros(2)), intrabar_candles=minutes)


def sweep(grid: Any = GRID, signals: Any = P, candles: Any = BARS, **options: Any) -> bp.Sweep:
    return bp.sweep(candles, signals, grid, costs=COSTS, **options)


def unfunded() -> bp.Result:
    # Reading refuses a perpetual without funding; candles made otherwise meet the engine's own check.
    naked = bp.Candles._from_arrays(
        **{
            name: getattr(BARS, name)
            for name in ("open_time", "open", "high", "low", "close", "volume")
        },
        symbol="X",
        interval_ms=60_000,
        instrument=bp.Instrument("perpetual"),
    )
    return run(candles=naked)


def no_memory(call: Callable[[], object]) -> object:
    poor = mock.MagicMock(return_value=1_000)
    with (
        mock.patch.object(_sweep, "available_bytes", poor),
        mock.patch.object(_daily, "available_bytes", poor),
    ):
        return call()


def interrupted_sweep() -> object:
    many = bp.Grid(RULES, entry_long=list(np.linspace(0.5, 0.6, 20_000)))
    with mock.patch.object(_sweep_job.Job, "run", side_effect=KeyboardInterrupt):
        return sweep(many, P, threads=1)


def interrupted_daily() -> object:
    swept = sweep()
    with mock.patch.object(_sweep_result, "call", lambda *_, **__: {"interrupted": True}):
        return swept.daily_returns.to_numpy()


def environment(text: str) -> object:
    with mock.patch.dict("os.environ", {"BARPROOF_THREADS": text}):
        return _machine.thread_count(None)


def table(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"open_time": BARS.open_time[:2].copy(), "long": [0.1, 0.2], **columns})


def bars_with(**changes: Any) -> object:
    columns: dict[str, Any] = {"open_time": np.array([0, 60_000]), "volume": np.zeros(2)}
    columns |= {name: np.ones(2) for name in ("open", "high", "low", "close")}
    options: dict[str, Any] = {
        "interval_ms": 60_000, "extra": {}, "funding_time": None, "funding_rate": None, "labels": [],
    }  # fmt: skip
    for name, value in changes.items():
        (columns if name in columns else options)[name] = value
    return bp._core.Bars(**columns, **options)


class Alone:
    """A splitter of parts, not of pairs."""

    def split(self, candles: object) -> list[tuple[list[int]]]:
        return [([0],)]


class Gaps:
    """A splitter whose test rows are no run."""

    def split(self, candles: object) -> list[tuple[list[int], list[int]]]:
        return [([0], [1, 3])]


CALLS: list[Example] = [
    # one backtest
    ("candles", lambda: run(candles=3), bp.LayoutError, "`candles` must be Candles, was int: use read_candles(...)"),
    ("signals", lambda: run(signals=[0.5]), bp.LayoutError, "`signals` must be Signals, was list: use Signals(long=...)"),
    ("costs", lambda: run(costs=0.1), bp.LayoutError, "`costs` must be Costs, was float: use Costs(taker=...) or Costs.free()"),
    ("no bars", lambda: run(candles=BARS[3:3]), bp.ParameterError, "`candles` hold no bars: there is nothing to run on"),
    ("engine", lambda: run(engine="fast"), bp.ParameterError, "`engine` must be \"indexed\" or \"replay\", was 'fast': both give the same bits"),
    ("equity", lambda: run(initial_equity=0), bp.ParameterError, "`initial_equity` must be finite and > 0, was 0"),
    ("equity text", lambda: run(initial_equity="1e4"), bp.ParameterError, "`initial_equity` must be finite and > 0, was '1e4'"),
    ("periods", lambda: run(periods_per_year=-1.0), bp.ParameterError, "`periods_per_year` must be finite and > 0, was -1.0: 365 for crypto, 252 for shares"),
    ("group", lambda: run().by("week"), bp.ParameterError, "`group` must be one of month, hour, side, regime, reason, was 'week'"),  # type: ignore[arg-type]
    ("rules", lambda: run(rules=5), bp.LayoutError, "`rules` must be Rules or a list of (start, Rules), was int"),
    ("schedule entry", lambda: run(rules=[(0, 1)]), bp.RulesError, "entry 0 of the schedule must be a pair (start, Rules), was (0, 1)"),
    ("schedule empty", lambda: run(rules=[]), bp.RulesError, "a schedule needs at least one (start, rules) pair"),
    ("schedule order", lambda: run(rules=[(5, RULES), (2, RULES)]), bp.RulesError, "starts of a schedule must increase, but entry 0 starts at bar 5 and entry 1 at bar 2"),
    ("schedule fill", lambda: run(rules=[(0, RULES), (2, RULES.replace(fill="close"))]), bp.RulesError, "all rules of a schedule must share `fill`: an entry at a close would come before its own exit at the next open"),
    ("intrabar type", lambda: run(intrabar_candles=[1]), bp.LayoutError, "`intrabar_candles` must be Candles, was list: use read_candles(...)"),
    ("intrabar symbol", lambda: run(intrabar_candles=bp.simulate_candles(7, bars=9)), bp.ParameterError, "`intrabar_candles` are of symbol 'SIM', the candles of 'TEST': give the same market"),
    ("intrabar kind", lambda: run(intrabar_candles=PERPETUAL), bp.ParameterError, "`intrabar_candles` are of kind 'perpetual', the candles of 'spot': give the same market"),
    ("intrabar interval", lambda: run(intrabar_candles=BARS), bp.ParameterError, "`intrabar_candles` are bars of 1m, the candles of 1m: give a shorter interval that divides it"),
    ("intrabar grid", lambda: refined(shift=30_000), bp.ParameterError, "`intrabar_candles` must be on the grid of the candles, every 60000 ms from the open of each, was 30000 ms off it at bar 0, inside bar 0 of the candles"),
    ("intrabar market", lambda: refined(price=101.0), bp.ParameterError, "`intrabar_candles` must be of the market of the candles, was another: 2 of 2 bars differ, the first is bar 0, open 100 against 101"),
    ("intrabar elsewhere", lambda: refined(shift=7_200_000), bp.ParameterError, "`intrabar_candles` make up none of the 2 bars of the window: give finer candles of its time"),
    ("boundary", lambda: run(boundary="keep"), bp.ParameterError, "`boundary` must be carry or close, was 'keep'"),
    ("funding", unfunded, bp.FundingError, 'candles of a perpetual carry no funding: attach it with `funding=` where they are read, or say funding="none" to run without'),
    # windows
    ("window time", lambda: run(window=("soon", None)), bp.WindowError, "start of the window is 'soon', which is no time: write it like 2024-01-31 or 2024-01-31 13:00"),
    ("window type", lambda: run(window=(0, 1.5)), bp.LayoutError, "end of the window must be a bar number or a time, was float"),
    ("schedule start", lambda: run(rules=[(-1, RULES)]), bp.WindowError, "start of schedule entry 0 is -1, but bars count from 0: give a bar number >= 0 or a time"),
    ("window pair", lambda: run(window=(1, 2, 3)), bp.LayoutError, "a window must be a pair (start, end) of bar numbers or times, was (1, 2, 3)"),
    ("window empty", lambda: run(window=("2023-01-01", datetime(2023, 2, 1))), bp.WindowError, "window '2023-01-01' to datetime.datetime(2023, 2, 1, 0, 0) holds no bars or leaves the candles (bars 0..0): they have 10 bars, 2024-01-01 00:00 to 2024-01-01 00:10"),
    ("window outside", lambda: run(window=(3, 11)), bp.WindowError, "window 3 to 11 holds no bars or leaves the candles (bars 3..11): they have 10 bars, 2024-01-01 00:00 to 2024-01-01 00:10"),
    ("windows type", lambda: sweep(windows=5), bp.LayoutError, "`windows` must be a list of (start, end), a duration or a splitter, was int"),
    ("windows empty", lambda: sweep(windows=[]), bp.WindowError, "`windows` is empty: give at least one (start, end), or None for all bars"),
    ("duration", lambda: sweep(windows="5 days"), bp.ParameterError, "`windows` is '5 days', which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y"),
    ("splitter pair", lambda: sweep(windows=Alone()), bp.LayoutError, "fold 0 of the splitter must be a pair of row numbers (train, test)"),
    ("splitter", lambda: sweep(windows=Gaps()), bp.WindowError, "test part of fold 0 is no unbroken run of bars: a window needs consecutive bars"),
    # rules
    ("field", lambda: bp.Rules(entry_lnog=0.5), bp.ParameterError, "unknown rule `entry_lnog` in Rules(...); did you mean entry_long, entry_short, entry?"),  # type: ignore[call-arg]
    ("field far", lambda: RULES.replace(zzz=1), bp.ParameterError, f"unknown rule `zzz` in replace(...); known: {NAMES}"),
    ("fraction", lambda: bp.Rules(fraction=1.5), bp.ParameterError, "`fraction` must be in (0, 1], was 1.5"),
    ("leverage", lambda: bp.Rules(leverage=0), bp.ParameterError, "`leverage` must be > 0, was 0"),
    ("infinite", lambda: bp.Rules(entry_long=float("inf")), bp.ParameterError, "`entry_long` must be finite, was inf"),
    ("whole", lambda: bp.Rules(max_hold=2.5), bp.ParameterError, "`max_hold` must be a whole number >= 1, was 2.5"),  # type: ignore[arg-type]
    ("too large", lambda: bp.Rules(max_hold=10**12), bp.ParameterError, "`max_hold` must be a whole number >= 1 and at most 4294967295, was 1000000000000"),
    ("beyond floats", lambda: bp.Rules(entry_long=10**400), bp.ParameterError, "`entry_long` must be finite, was inf"),
    ("flag", lambda: bp.Rules(reverse=1), bp.ParameterError, "`reverse` must be True or False, was 1"),  # type: ignore[arg-type]
    ("number", lambda: bp.Rules(stop_loss="1%"), bp.ParameterError, '`stop_loss` must be a number > 0, was "1%"'),  # type: ignore[arg-type]
    ("choice", lambda: bp.Rules(fill="open"), bp.ParameterError, '`fill` must be one of next_open, close, was "open"'),  # type: ignore[arg-type]
    ("value type", lambda: bp.Rules(stop_loss=[1]), bp.LayoutError, "`stop_loss` must be a number, a text, True, False or None, was <class 'list'>"),  # type: ignore[arg-type]
    ("close limit", lambda: bp.Rules(fill="close", entry="limit"), bp.RulesError, 'fill="close" cannot be used with entry="limit": a resting order has no close to fill at; use fill="next_open"'),
    ("notional equity", lambda: bp.Rules(sizing="notional", notional=5.0, stop_loss=0.1, stop_loss_kind="equity"), bp.RulesError, 'stops and targets of kind "equity" cannot be used with sizing="notional": the size does not follow the equity; use kind "price"'),
    ("sizing needs", lambda: bp.Rules(sizing="volatility"), bp.RulesError, 'sizing="volatility" needs `vol_target`, which is not set: give `vol_target=`'),
    ("risk stop", lambda: bp.Rules(sizing="risk", risk=0.01), bp.RulesError, 'sizing="risk" needs `stop_loss` of a kind other than "equity": without a stop distance there is no risk to size by'),
    ("break even", lambda: bp.Rules(break_even=0.01, break_even_offset=0.02), bp.ParameterError, "`break_even_offset` must be <= `break_even`, which is 0.01, was 0.02"),
    ("threshold array", lambda: run(RULES.replace(exit_long=0.5)), bp.RulesError, "threshold `exit_long` is 0.5 but the signals have no array `exit_long`: give it, or set exit_long=None"),
    ("probability", lambda: run(bp.Rules(entry_long=1.5)), bp.ParameterError, "`entry_long` must be in [0, 1], as the signals are probabilities, was 1.5"),
    ("signal stop", lambda: run(RULES.replace(stop_loss=1.0, stop_loss_kind="signal")), bp.RulesError, 'stop_loss_kind="signal" needs the signal array `stop`, which the signals do not have: give `stop=`'),
    ("confidence", lambda: run(RULES.replace(sizing="confidence"), SCORE), bp.RulesError, 'sizing="confidence" needs probabilities but the signals are scores: calibrate them, or size by "fraction"'),
    ("maintenance", lambda: run(RULES.replace(leverage=150.0), candles=EQUITY), bp.ParameterError, "`leverage` must be below 100.0, as the maintenance rate is 0.01, was 150.0"),
    ("taker", lambda: bp.Costs(taker=5), bp.ParameterError, "`taker` of the costs must be a fraction in [0, 1), was 5: 5 basis points are 0.0005"),
    ("maker", lambda: bp.Costs(taker=0, maker=float("nan")), bp.ParameterError, "`maker` of the costs must be a fraction in [-1, 1), was nan: 5 basis points are 0.0005"),
    # signals
    ("signal values", lambda: bp.Signals(long=["a"]), bp.LayoutError, "signal `long` must be an array of numbers, was list: give floats, NaN for no signal"),
    ("signal shape", lambda: bp.Signals(long=np.ones((2, 2))), bp.ShapeError, "signal `long` must have one dimension, had shape (2, 2): pick one column, one value a bar"),
    ("signal range", lambda: bp.Signals(long=[0.5, 1.5]), bp.SignalError, 'signal `long` is 1.5 at bar 1, must be in [0, 1] or NaN; scores go in with kind="score"'),
    ("signal infinite", lambda: bp.Signals(long=[np.inf], kind="score"), bp.SignalError, "signal `long` is inf at bar 0, must be finite or NaN"),
    ("signal size", lambda: bp.Signals(long=[1.0], size=[0.0]), bp.SignalError, "signal `size` is 0 at bar 0, must be in (0, 1] or NaN; NaN means no signal"),
    ("signal stop value", lambda: bp.Signals(long=[1.0], stop=[-0.1]), bp.SignalError, "signal `stop` is -0.1 at bar 0, must be finite and > 0, or NaN; NaN means no signal"),
    ("signal lengths", lambda: bp.Signals(long=[0.5, 0.5], short=[0.5]), bp.ShapeError, "`short` has 1 values but long has 2: give one value a bar"),
    ("signal none", lambda: bp.Signals(), bp.RulesError, "signals hold no array: give at least one of `long`, `short`"),
    ("signal kind", lambda: bp.Signals(long=[0.5], kind="probabilty"), bp.ParameterError, '`kind` of signals must be "probability" or "score", was \'probabilty\''),  # type: ignore[arg-type]
    ("frame nothing", lambda: bp.Signals.from_frame({"open_time": [0]}), bp.ParameterError, f'signal table has none of the columns {ARRAYS}: name yours, such as long="p_up"'),
    ("frame ragged", lambda: bp.Signals.from_frame({"open_time": [0], "long": [1, 2]}), bp.ShapeError, "columns of the signal table differ in length: open_time 1, long 2"),
    ("sparse pairs", lambda: bp.Signals.sparse(5, long=[3]), bp.LayoutError, "signal `long` must be given as (bar, value) pairs of a whole bar and a number, held 3"),  # type: ignore[list-item]
    ("sparse fraction", lambda: bp.Signals.sparse(5, long=[(1.5, 1.0)]), bp.LayoutError, "signal `long` must be given as (bar, value) pairs of a whole bar and a number, held (1.5, 1.0)"),  # type: ignore[list-item]
    ("signal length", lambda: run(signals=bp.Signals(long=[0.5])), bp.ShapeError, "signals have 1 values but the candles 10 bars: give one value a bar, or join by time with Signals.from_frame"),
    ("frame array", lambda: bp.Signals.from_frame(table(), lnog="long"), bp.ParameterError, f"unknown signal array `lnog`; known: {ARRAYS}"),
    ("frame column", lambda: bp.Signals.from_frame(table(), long="p_up"), bp.ParameterError, "column `p_up` is not in the signal table, which has: open_time, long"),
    ("frame repeats", lambda: bp.Signals.from_frame(table(open_time=[START, START])), bp.SignalError, "`open_time` 2024-01-01 00:00:00.000 stands in 2 rows, 1 rows repeat a time: give one row a bar"),
    ("frame empty", lambda: bp.Signals.from_frame(table()[:0]), bp.SignalError, "signal table holds no rows: there is nothing to join"),
    ("frame text", lambda: bp.Signals.from_frame(table(long=["0,9", "high"])), bp.LayoutError, "signal `long` must be an array of numbers, was Series: give floats, NaN for no signal"),
    ("signal times", lambda: bp.Signals(long=np.array([1], "M8[ms]")), bp.LayoutError, "signal `long` must be an array of numbers, was ndarray: give floats, NaN for no signal"),
    ("frame null", lambda: bp.Signals.from_frame(table(open_time=[START, None])), bp.SignalError, "`open_time` is missing in row 1 of the signal table: drop or fill it"),
    ("frame times", lambda: bp.Signals.from_frame(table(open_time=["a", "b"])), bp.LayoutError, "`open_time` of the signal table must hold datetimes or milliseconds, was String: parse it first"),
    ("frame list", lambda: bp.Signals.from_frame([1]), bp.LayoutError, "signal table must be a frame or a mapping of columns, was a list: use Signals(long=...)"),
    ("frame lazy", lambda: bp.Signals.from_frame(pl.LazyFrame({"a": [1]}).select("b")), bp.FileError, '`signals` is a LazyFrame that cannot be collected: unable to find column "b"; valid columns: ["a"]'),
    ("frame columns", lambda: bp.Signals.from_frame(Torn()), bp.LayoutError, "signal table cannot be read from this Torn: give columns of one length that hold numbers or times"),
    ("frame type", lambda: bp.Signals.from_frame(5), bp.LayoutError, "signal table must be a frame or a mapping of columns, was int"),
    ("join none", lambda: bp.Signals.from_frame(table(open_time=[0, 1])).align(BARS), bp.SignalError, "no signal time meets a bar: signals run from 1970-01-01 00:00:00.000 to 1970-01-01 00:00:00.001, candles from 2024-01-01 00:00:00.000 to 2024-01-01 00:09:00.000; `time` must hold the opening times of the bars"),
    ("join lost", lambda: bp.Signals.from_frame(table(open_time=[START, START + 5])).align(BARS), bp.SignalError, "1 signal times within the candles meet no bar, first 2024-01-01 00:00:00.005: signals and candles have other intervals or holes; `time` must hold the opening times of the bars"),
    ("join empty", lambda: bp.Signals.from_frame(table()).align(BARS[:0]), bp.SignalError, "candles hold no bars to join the signals to"),
    ("sparse array", lambda: bp.Signals.sparse(5, lnog=[(1, 1.0)]), bp.ParameterError, f"unknown signal array `lnog` in sparse(...); known: {ARRAYS}"),
    ("sparse count", lambda: bp.Signals.sparse(-1, long=[]), bp.ParameterError, "`bars` of sparse(...) must be a number of bars or candles, was -1"),
    ("sparse bar", lambda: bp.Signals.sparse(5, long=[(5, 1.0)]), bp.ParameterError, "bar 5 of signal `long` lies outside the 5 bars"),
    ("array", lambda: P["size"], bp.ParameterError, "signals have no array `size`; they have: long, short"),
    # grids and sweeps
    ("grid rules", lambda: bp.Grid({}), bp.LayoutError, "`rules` of a grid must be Rules, was dict"),  # type: ignore[arg-type]
    ("grid field", lambda: bp.Grid(RULES, stop_los=[1.0]), bp.ParameterError, "unknown rule `stop_los` in a grid; did you mean stop_loss, stop_loss_kind?"),
    ("grid mapping", lambda: bp.Grid(RULES, [1]), bp.LayoutError, "an axis must be a mapping of field to list, was list"),  # type: ignore[arg-type]
    ("grid list", lambda: bp.Grid(RULES, stop_loss=0.01), bp.LayoutError, "axis `stop_loss` must be a list of values, was 0.01: write [0.01]"),  # type: ignore[arg-type]
    ("grid empty", lambda: bp.Grid(RULES, stop_loss=[]), bp.ParameterError, "axis `stop_loss` is empty: give at least one value, or leave it out"),
    ("grid value", lambda: bp.Grid(RULES, stop_loss=[0.01, -1]), bp.ParameterError, "`stop_loss` must be > 0, was -1"),
    ("grid lengths", lambda: bp.Grid(RULES, {"stop_loss": [0.1], "take_profit": [0.1, 0.2]}), bp.ShapeError, "lists of one axis vary together and need one length, were: stop_loss 1, take_profit 2"),
    ("grid twice", lambda: bp.Grid(RULES, {"stop_loss": [0.1]}, stop_loss=[0.1]), bp.ParameterError, "field `stop_loss` stands on two axes of the grid: keep one"),
    ("grid size", lambda: bp.Grid(RULES, max_hold=range(1, 6_000), cooldown=range(1, 6_000)), bp.ParameterError, "grid has 35,988,001 combinations, more than 20,000,000: draw some with sample=, or use Grid.table"),
    ("grid where", lambda: bp.Grid(RULES, max_hold=[1, 2], where=lambda c: False), bp.RulesError, "no combination is left: `where` refused all 2"),
    ("grid where type", lambda: bp.Grid(RULES, max_hold=[1], where=3), bp.LayoutError, "`where` must be a function of a combination, was int"),  # type: ignore[arg-type]
    ("grid seed", lambda: bp.Grid(RULES, max_hold=[1], seed=-1), bp.ParameterError, "`seed` of the grid must be a whole number >= 0, was -1"),
    ("grid sample", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=0), bp.ParameterError, "`sample` must be a whole number >= 1, was 0"),
    ("grid sample type", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=1.5), bp.ParameterError, "`sample` must be a whole number >= 1, was 1.5"),  # type: ignore[arg-type]
    ("grid contradiction", lambda: bp.Grid(RULES, sizing=["fraction", "risk"]), bp.RulesError, "combination 1 (sizing='risk') is refused: sizing=\"risk\" needs `risk`, which is not set: give `risk=`; leave it out with where="),
    ("grid index", lambda: GRID[2], IndexError, "combination 2 does not exist: the grid has 2"),
    ("sweep grid", lambda: sweep(RULES), bp.LayoutError, "`grid` must be a Grid, was Rules: use Grid(rules, stop_loss=[...])"),
    ("sweep threshold", lambda: sweep(bp.Grid(RULES, entry_long=[0.5, 1.5])), bp.ParameterError, "`entry_long of combination 1` must be in [0, 1], as the signals are probabilities, was 1.5"),
    ("sweep array", lambda: sweep(bp.Grid(RULES, exit_long=[None, 0.5])), bp.RulesError, "combination 1: threshold `exit_long` is 0.5 but the signals have no array `exit_long`: give it, or set exit_long=None"),
    ("threads", lambda: sweep(threads=0), bp.ParameterError, "`threads` must be a whole number from 1 to 1024, was 0"),
    ("threads variable", lambda: environment("many"), bp.ParameterError, "BARPROOF_THREADS must be a whole number from 1 to 1024, was 'many'"),
    ("memory daily", lambda: no_memory(sweep_daily), bp.PlanError, "daily returns of 500 combinations need 4,000 bytes, 1,000 are free: walk over chunks()"),
    ("chunk", lambda: next(sweep().daily_returns.chunks(0)), bp.ParameterError, "`size` of a chunk must be at least 1, was 0"),
    ("metric", lambda: sweep().best("sharp"), bp.ParameterError, f"unknown metric `sharp`; known: {METRICS}"),
    ("best", lambda: sweep(bp.Grid(bp.Rules(entry_long=1.0), max_hold=[1]), QUIET).best(), bp.ParameterError, "`sharpe` is undefined for all 1 combinations with at least 0 trades: lower the thresholds, or choose another metric"),
    ("combination", lambda: sweep().rules(7), bp.ParameterError, "combination 7 is not in the sweep of 2: see `combination` in `pooled`"),
    ("window number", lambda: sweep().result(0, 3), bp.ParameterError, "window 3 does not exist: the sweep has 1"),
    ("heatmap", lambda: sweep().heatmap(), bp.ParameterError, "a heatmap needs two axes of the grid, was given None; axes: max_hold"),
    ("interrupt", interrupted_sweep, bp.Interrupted, "interrupted after 0 of 20,000 combinations; `partial` of this exception holds them"),
    ("interrupt daily", interrupted_daily, bp.Interrupted, "interrupted while daily returns were computed; nothing is kept"),
    # labels
    ("label bars type", lambda: bp.labels.horizon(BARS, bars=1.5), bp.LayoutError, "`bars` of the horizon must be a whole number, was 1.5"),  # type: ignore[arg-type]
    ("label bars", lambda: bp.labels.horizon(BARS, bars=0), bp.ParameterError, "`bars` of the horizon must be at least 1, was 0"),
    ("label long", lambda: bp.labels.horizon(BARS, bars=9), bp.ParameterError, "`bars` of the horizon is 9, but the candles hold 10 bars: a label needs 11"),
    ("label clock", lambda: bp.labels.horizon(BARS, bars=1, clock="next"), bp.ParameterError, '`clock` must be "open" or "close", was \'next\''),  # type: ignore[arg-type]
    ("label threshold", lambda: bp.labels.horizon(BARS, bars=1, threshold=-0.1), bp.ParameterError, "`threshold` must be finite and >= 0, was -0.1: it is a fraction, 0.002 is 0.2%"),
    ("label kind", lambda: bp.labels.horizon(BARS, bars=1, kind="up"), bp.ParameterError, "`kind` of labels must be regression, binary or ternary, was 'up'"),  # type: ignore[arg-type]
    # splits
    ("length type", lambda: bp.WalkForward([60], 5), bp.LayoutError, '`train` must be a whole number of bars, a fraction or a duration such as "5d", was [60]'),  # type: ignore[arg-type]
    ("length duration", lambda: bp.WalkForward("60 days", "5d"), bp.ParameterError, "`train` is '60 days', which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y"),
    ("length duration zero", lambda: bp.WalkForward("60d", "5d", gap="0d"), bp.ParameterError, "`gap` is '0d', which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y"),
    ("length bars", lambda: bp.WalkForward(60, 0), bp.ParameterError, "`test` must be at least 1 bars, was 0"),
    ("length gap", lambda: bp.WalkForward(60, 5, gap=-1), bp.ParameterError, "`gap` must be at least 0 bars, was -1"),
    ("length gap fraction", lambda: bp.WalkForward(60, 5, gap=0.1), bp.ParameterError, "`gap` must be a whole number of bars or a duration, was 0.1"),  # type: ignore[arg-type]
    ("length fraction", lambda: bp.WalkForward(60.0, 5), bp.ParameterError, "`train` as a fraction of the data must be between 0 and 1, was 60.0: bars are whole numbers"),
    ("folds count type", lambda: bp.PurgedKFold(2.5), bp.LayoutError, "`k` must be a whole number, was 2.5"),  # type: ignore[arg-type]
    ("folds count", lambda: bp.PurgedKFold(1), bp.ParameterError, "`k` must be from 2 to 10,000, was 1"),
    ("groups beyond rows", lambda: bp.CombinatorialPurged(20, 2).folds(BARS), bp.WindowError, "`groups` is 20, but the data have 10 rows: take fewer"),
    ("folds too many", lambda: bp.CombinatorialPurged(40, 20), bp.ParameterError, "`groups` 40 and `tests` 20 make 137,846,528,820 folds, more than 10,000: take fewer"),
    ("embargo of all", lambda: bp.PurgedKFold(2, embargo=9).folds(BARS), bp.WindowError, "no train row of fold 0 is left: labels and the embargo of 9 reach all 5; take fewer groups or a shorter embargo"),
    ("length under a bar", lambda: bp.WalkForward("8h", "5m").folds(PERPETUAL), bp.ParameterError, "`test` is '5m', less than one bar of the 10 bars: make it longer"),
    ("length fraction of a bar", lambda: bp.WalkForward(0.5, 0.01).folds(BARS), bp.ParameterError, "`test` is 0.01, less than one bar of the 10 bars: make it longer"),
    ("step kind", lambda: bp.WalkForward(60, 5, step="5d"), bp.ParameterError, "`step` is '5d' and `test` 5: give both in bars, as fractions or as durations"),
    ("anchored", lambda: bp.WalkForward(60, 5, anchored=1), bp.ParameterError, "`anchored` must be True or False, was 1"),  # type: ignore[arg-type]
    ("split times", lambda: bp.WalkForward("60d", 5).folds(np.ones(9)), bp.LayoutError, "`train` of '60d' needs times, and ndarray has none: give Candles, a frame with a column `open_time`, or lengths in bars"),
    ("split data", lambda: bp.WalkForward(6, 2).get_n_splits(), bp.LayoutError, "a split needs the data: Candles, a frame or an array, was NoneType"),
    ("split time type", lambda: bp.WalkForward(6, 2).folds(pl.DataFrame({"open_time": ["a"]})), bp.LayoutError, "`open_time` must hold datetimes or integer milliseconds, was String: parse it first"),
    ("split time order", lambda: bp.WalkForward(1, 1).folds(pl.DataFrame({"open_time": [START, START]})), bp.ParameterError, "`open_time` of row 1 is 2024-01-01 00:00, must be later than the row before: sort the data by time"),
    ("split time missing", lambda: bp.WalkForward(1, 1).folds(pl.DataFrame({"open_time": [START, None]})), bp.ParameterError, "`open_time` of row 1 is missing, must be later than the row before: sort the data by time"),
    ("split short", lambda: bp.WalkForward(8, 2, 3, gap=1).folds(BARS), bp.WindowError, "one fold of WalkForward(train=8, test=2, tune=3, gap=1) needs 15 bars, but the data have 10: shorten its parts"),
    ("split short in time", lambda: bp.WalkForward("1d", "6h").folds(PERPETUAL), bp.WindowError, "one fold of WalkForward(train='1d', test='6h') needs 30 bars, but the data have 10: shorten its parts"),
    ("split nothing", lambda: bp.WalkForward("1d", "6h").folds(PERPETUAL[:0]), bp.WindowError, "the data hold no rows: there is nothing to split"),
    ("split holes", lambda: bp.WalkForward("2m", "2m", step="1h").folds(HOLE), bp.WindowError, "no fold of WalkForward(train='2m', test='2m', step='1h') has rows in all its parts: the data have holes as long as a part"),
    ("spans type", lambda: WALK.folds(BARS, 3), bp.LayoutError, "`labels` must have `start` and `end`, or be a pair of them, was int"),
    ("spans dtype", lambda: WALK.folds(BARS, (TEN, TEN * 1.0)), bp.LayoutError, "`end` of the labels must hold bar numbers, was float64: -1 where a row has no label"),
    ("spans length", lambda: WALK.folds(BARS, (TEN, TEN[1:])), bp.ShapeError, "`end` of the labels has shape (9,), but the data have 10 rows: give one a row"),
    ("spans backward", lambda: WALK.folds(BARS, (TEN + 2, TEN + 1)), bp.ParameterError, "label of row 0 ends at bar 1, before its start at bar 2"),
    ("spans early", lambda: WALK.folds(BARS, (TEN * 0, TEN)), bp.ParameterError, "label of row 1 starts at bar 0, before its row: labels span bars to come, or are -1, -1"),
    ("purged empty", lambda: WALK.folds(BARS, (TEN, TEN + 8)), bp.WindowError, "no row of `train` of fold 0 is left: the labels of all 5 reach row 5, where the next part begins; make `train` longer or the labels shorter"),
    ("fold rows", lambda: bp.Fold(2, TEN[::-1], TEN, TEN), bp.LayoutError, f"`train` of fold 2 must hold increasing row numbers >= 0, was {TEN[::-1]!r}"),
    ("fold shared", lambda: bp.Fold(2, TEN[:5], TEN[:0], TEN[4:]), bp.WindowError, "row 4 of fold 2 stands in `train` and in `test`: a row serves one purpose"),
    ("date pair", lambda: bp.DateSplit(train="2024", test=("2024-02-01", None)), bp.LayoutError, "`train` must be a pair (start, end) of times, was '2024'"),  # type: ignore[arg-type]
    ("date text", lambda: bp.DateSplit(train=(None, "May"), test=("2024-02-01", None)), bp.ParameterError, "end of `train` is 'May', which is no time: write it like 2024-01-31 or 2024-01-31 13:00"),
    ("date type", lambda: bp.DateSplit(train=(None, 5), test=("2024-02-01", None)), bp.LayoutError, "end of `train` must be a time or None, was int"),  # type: ignore[arg-type]
    ("date open", lambda: bp.DateSplit(train=("2024-01-01", None), test=("2024-02-01", None)), bp.WindowError, "end of `train` is None: only the first part's start and the last one's end may be open"),
    ("date order", lambda: bp.DateSplit(train=(None, "2024-02-02"), test=("2024-02-01", None)), bp.WindowError, "start of `test` is 2024-02-01 00:00, but end of `train` is 2024-02-02 00:00: parts stand in order and share no time"),
    ("date empty", lambda: bp.DateSplit(train=("2024-02-01", "2024-02-01"), test=("2024-02-01", None)), bp.WindowError, "end of `train` is 2024-02-01 00:00, but start of `train` is 2024-02-01 00:00: parts stand in order and share no time"),
    ("date rows", lambda: bp.DateSplit(train=(None, "2024-01-02"), test=("2024-01-02", None)).folds(BARS), bp.WindowError, "`test` ('2024-01-02', None) holds no rows: the data have 10, from 2024-01-01 00:00 to 2024-01-01 00:09"),
    # the lock on the door behind the reader
    ("bars dtype", lambda: bars_with(open=np.ones(2, np.float32)), bp.LayoutError, "`open` must be a one-dimensional array of float64, was float32 of 1 dimensions"),
    ("bars list", lambda: bars_with(open=[1.0, 1.0]), bp.LayoutError, "`open` must be a one-dimensional array of float64, was <class 'list'>"),
    ("bars length", lambda: bars_with(open=np.ones(3)), bp.ShapeError, "`open` has 3 values but open_time has 2: give one value a bar"),
    ("bars order", lambda: bars_with(open_time=np.array([1, 1])), bp.CandleError, "`open_time` of bar 1 is 1, must be later than the row before"),
    ("bars price", lambda: bars_with(close=np.array([1.0, np.nan])), bp.CandleError, "`close` of bar 1 is NaN, must be finite and > 0"),
    ("bars interval", lambda: bars_with(interval_ms=0), bp.ParameterError, "`interval_ms` must be > 0, was 0"),
]  # fmt: skip


def sweep_daily() -> object:
    daily = bp.DailyReturns(pl.Series([1]), np.arange(500), lambda _: np.empty(0))
    return daily.to_numpy()


def memory_of_a_sweep() -> str:
    """The message's own number depends on the estimate; it is checked for its form."""
    need = _sweep_job.memory(2, 1, 1, 10, 1)
    return (
        f"2 combinations x 1 windows need about {need:,} bytes, 1,000 are free: write parts to a folder with out=, take fewer "
        "combinations (`sample=`) or longer windows"
    )


CALLS.append(
    ("memory", lambda: no_memory(lambda: sweep(threads=1)), bp.PlanError, memory_of_a_sweep())
)


def ledger_at(path: str, content: bytes = b"", *statements: str) -> object:
    """Open a ledger in a new folder, on a file with this content or after these statements."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.chdir(folder)
        stack.callback(os.chdir, before)
        if content:
            Path(path).write_bytes(content)
        elif statements:
            other = stack.enter_context(
                contextlib.closing(sqlite3.connect(path, isolation_level=None))
            )
            for statement in statements:
                other.execute(statement)
        return bp.Ledger.open(path, timeout=0.0)


def ledger(call: Callable[[bp.Ledger], object]) -> object:
    """Do something with a new ledger."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.chdir(folder)
        stack.callback(os.chdir, before)
        stack.enter_context(mock.patch.dict(os.environ, {"BARPROOF_LEDGER": ""}))
        return call(bp.Ledger.open("l.sqlite"))


class Torn:
    """Speaks of a stream of Arrow and has none."""

    def __arrow_c_stream__(self, _schema: object = None) -> object:
        raise ValueError


def without_pandas() -> object:
    with mock.patch.dict(sys.modules, {"pandas": None}):
        return run().to_pandas()


REST = "free the place, name another file, or run unrecorded with ledger=False"
NEWER = (f"PRAGMA application_id = {_ledger_file._APPLICATION}", "PRAGMA user_version = 2")
CALLS += [
    ("kind of series", lambda: run().to_pandas(kind="prices"), bp.ParameterError, "`kind` must be \"returns\" or \"equity\", was 'prices'"),  # type: ignore[arg-type]
    ("no pandas", without_pandas, bp.ParameterError, "`to_pandas` needs pandas, which is not installed: pip install pandas, or use `daily_returns`"),
    # ledger
    ("ledger damaged", lambda: ledger_at("l.sqlite", b"no database " * 99), bp.LedgerError, "ledger 'l.sqlite' is damaged: file is not a database; move it aside and restore a copy, or begin a new one"),
    ("ledger foreign", lambda: ledger_at("l.sqlite", b"", "CREATE TABLE t (x)"), bp.LedgerError, "'l.sqlite' is a SQLite database but no ledger: name another file, or move it aside"),
    ("ledger newer", lambda: ledger_at("l.sqlite", b"", *NEWER), bp.LedgerError, f"ledger 'l.sqlite' has version 2, but barproof {bp.__version__} knows versions up to 1: update barproof, or name another file"),
    ("ledger locked", lambda: ledger_at("l.sqlite", b"", "BEGIN EXCLUSIVE"), bp.LedgerError, "ledger 'l.sqlite' is locked by another process for longer than 0 s: wait for it, or end it"),
    ("ledger folder", lambda: ledger_at("no/such/l.sqlite"), bp.LedgerError, f"ledger 'no/such/l.sqlite' cannot be written: no such file or directory; {REST}"),
    ("ledger is a folder", lambda: ledger_at("."), bp.LedgerError, f"ledger '.' cannot be written: unable to open database file; {REST}"),
    ("ledger run", lambda: ledger(lambda book: book.show(7)), bp.ParameterError, "run 7 is not in the ledger 'l.sqlite', whose last run is 0"),
    ("ledger type", lambda: run(ledger=1), bp.LayoutError, "`ledger` must be a Ledger, a path, True or False, was int"),
    ("ledger nowhere", lambda: ledger(lambda _: run(ledger=True)), bp.LedgerError, "ledger=True needs a project folder: make barproof.toml or .barproof in it, or give ledger= a path"),
    ("ledger seconds", lambda: ledger(lambda book: book.record("sweep", data="d", seconds=-1)), bp.ParameterError, "`seconds` must be finite and >= 0, was -1"),
    ("ledger parameters", lambda: ledger(lambda book: book.record("sweep", data="d", parameters={"x": {1}})), bp.LayoutError, "`parameters` must be a mapping that JSON can hold, was refused: Object of type set is not JSON serializable"),
    ("ledger kind", lambda: ledger(lambda book: book.record("", data="d")), bp.LayoutError, "`kind` must be a printable text, or have a digest, was ''"),
    ("ledger trials", lambda: ledger(lambda book: book.record("sweep", data="d", trials=-1)), bp.ParameterError, "`trials` must be a whole number from 0 to 1000000000000000, was -1"),
]  # fmt: skip
EXAMPLES = CALLS
