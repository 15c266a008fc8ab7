"""`ablation`: what entries and exits each add, by running each with and without the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from barproof._backtest import Result
from barproof._controls import _DAY, enter, places
from barproof._progress import reporter
from barproof.errors import LayoutError, ParameterError
from barproof.rules import Rules
from barproof.stats._common import Stat, check_level, undefined
from barproof.stats.bootstrap import Interval, block_length, mean_interval

__all__ = ["Ablation", "ablation"]


@dataclass(frozen=True, repr=False, eq=False)
class Ablation(Stat):
    """What entries and exits each add to the mean daily return, and what they add only together.

    Attributes
    ----------
    entry : Interval
        Effect of the model's entries against random ones, mean over both kinds of exits.
    exit : Interval
        Effect of the model's exits against leaving by time alone, mean over both kinds of entries.
    interaction : Interval
        Effect of the entries with the model's exits less that with time exits.
    frame : polars.DataFrame
        The four runs: `entries` (model, random), `exits` (model, time), `mean_return` (a day), `total_return`,
        `trades`; of random entries the mean over draws.
    daily : polars.DataFrame
        Daily returns of the four: `both` (of the model), `entry_only` (its entries, time exits), `exit_only` (random
        entries, its exits), `neither`.
    hold : int
        Bars after which time exits leave.
    draws, n : int
        Draws of random entries, and days.
    mean_block : float
        Mean length of blocks of days.
    """

    entry: Interval
    exit: Interval
    interaction: Interval
    frame: pl.DataFrame = field(repr=False)
    daily: pl.DataFrame = field(repr=False)
    hold: int
    draws: int
    n: int
    mean_block: float


_DAILY = ("both", "entry_only", "exit_only", "neither")
_FRAME = {
    "entries": pl.String,
    "exits": pl.String,
    "mean_return": pl.Float64,
    "total_return": pl.Float64,
    "trades": pl.Float64,
}


def ablation(
    result: Result,
    *,
    hold: int | None = None,
    draws: int = 200,
    level: float = 0.95,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Callable[[int, int], None] | None = None,
) -> Ablation:
    """Tell what a result owes to its entries and what to its exits, by four runs at the same costs.

    Parameters
    ----------
    result : Result
        Of one set of rules.
    hold : int, optional
        Bars after which time exits leave. Default: as long as trades were held on average, at least 1.
    draws : int, default 200
        Of random entries, at least 19; their daily returns are averaged.
    level : float, default 0.95
        Coverage of the intervals.
    resamples : int, default 2000
        Of the bootstrap, at least 99.
    mean_block : float, optional
        Mean length of blocks in days. Default: the longest that suits one of the three effects.
    seed : int, default 0
        In [0, 2**64); of the draws and of the bootstrap.
    threads : int, optional
        Worker threads.
    progress : bool or callable, optional
        Takes draws done and draws asked for, twice as many as `draws`.

    Returns
    -------
    Ablation
        Undefined for no trade, sizing by risk, fewer than 20 days or two blocks of a day, or blocks beyond a fifth of
        the days. An effect whose upper bound is at most 0 contradicts a claim that those entries, or exits, help.

    Raises
    ------
    LayoutError, ParameterError
        If it is given no such result, or an argument is out of bounds.

    Notes
    -----
    Entries of the model or at random (:func:`barproof.random_entries`), exits of the model or by time: `max_hold`
    alone, without exit signals, stop, target, trailing and break-even. With daily returns MM, MT, RM and RT (entries
    first) the effects are ``((MM - RM) + (MT - RT)) / 2``, ``((MM - MT) + (RM - RT)) / 2`` and
    ``(MM - RM) - (MT - RT)``. Days are pairs: all three are resampled by the same blocks
    (:func:`barproof.stats.mean_interval`).

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=4_000, interval="1h", edge=0.2)
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> done = bp.backtest(candles, signals, bp.Rules(entry_long=1.0, max_hold=6), costs=bp.Costs(taker=0.0))
    >>> found = bp.ablation(done, draws=50)
    >>> found.entry.low > 0, found.hold
    (True, 6)
    """
    if not isinstance(result, Result) or not isinstance(result.rules, Rules):
        raise LayoutError(
            f"an ablation needs the Result of one set of rules, was given {type(result).__name__}"
        )
    if draws < 19:
        raise ParameterError(f"`draws` of an ablation must be at least 19, was {draws}")
    if hold is not None and hold < 1:
        raise ParameterError(f"`hold` of time exits must be at least 1 bar, was {hold}")
    if mean_block is not None and not mean_block >= 1:
        raise ParameterError(f"`mean_block` of an ablation must be at least 1, was {mean_block!r}")
    check_level("level", level)
    own = result.daily_returns["return"].to_numpy()
    low, high = result.window
    length = max(1, _DAY // result.candles.interval_ms)
    known: dict[str, Any] = {
        "draws": draws,
        "n": len(own),
        "frame": pl.DataFrame(schema=_FRAME),
        "daily": pl.DataFrame(schema=dict.fromkeys(_DAILY, pl.Float64)),
        **dict.fromkeys(("entry", "exit", "interaction"), _nothing(len(own), level)),
    }
    if not result.trades.height:
        return undefined(Ablation, "the result has no trade", **known)
    if result.rules.sizing == "risk":
        reason = "sizes go by the stop, and time exits have none"
        return undefined(Ablation, reason, **known)
    if len(own) < 20 or high - low < 2 * length:
        reason = f"{len(own)} days and {high - low} bars, 20 and {2 * length} are needed"
        return undefined(Ablation, reason, **known)
    bars = max(1, round(float(result.metrics["mean_bars_held"]))) if hold is None else hold
    timed = _by_time(result.rules, bars)
    held = places(result, length)
    as_made = _Run("model", "model", own, result.metrics)
    with reporter(progress, 2 * draws, "ablation") as report:
        runs = [as_made, _model(result, timed)]
        for number, (exits, rules) in enumerate((("model", result.rules), ("time", timed))):
            shown = None if report is None else _later(report, number * draws, 2 * draws)
            columns, drawn = enter(
                result, held, rules, draws, seed, threads, daily=True, report=shown
            )
            means = {name: float(columns[name].mean()) for name in ("total_return", "trades")}
            runs.append(_Run("random", exits, drawn.mean(axis=0), means))
    mm, mt, rm, rt = (run.daily for run in runs)
    effects = {
        "entry": ((mm - rm) + (mt - rt)) / 2,
        "exit": ((mm - mt) + (rm - rt)) / 2,
        "interaction": (mm - rm) - (mt - rt),
    }
    block = max(map(block_length, effects.values())) if mean_block is None else float(mean_block)
    daily = pl.DataFrame(dict(zip(_DAILY, (mm, mt, rm, rt), strict=True)))
    known |= {"hold": bars, "mean_block": block, "frame": _frame(runs), "daily": daily}
    if block > len(own) / 5:
        reason = f"mean block {block:.1f} of {len(own)} days: more than a fifth says nothing"
        return undefined(Ablation, reason, **known)
    known |= {
        name: mean_interval(x, level=level, resamples=resamples, seed=seed, mean_block=block)
        for name, x in effects.items()
    }
    return Ablation(**known)


@dataclass(frozen=True)
class _Run:
    entries: str
    exits: str
    daily: Any
    metrics: Any


def _by_time(rules: Rules, bars: int) -> Rules:
    """Leave after so many bars and for no other reason; stops that sizes go by are no exits any more."""
    return rules.replace(
        exit_long=None,
        exit_short=None,
        reverse=False,
        stop_loss=None,
        take_profit=None,
        trailing=None,
        break_even=None,
        break_even_offset=0.0,
        max_hold=bars,
    )


def _model(result: Result, rules: Rules) -> _Run:
    """Run the model's signals again by one set of rules, in no ledger."""
    from barproof._backtest import backtest

    made = result._setting
    done = backtest(
        result.candles,
        made.signals,
        rules,
        costs=result.costs,
        window=result.window,
        initial_equity=result.initial_equity,
        periods_per_year=made.periods_per_year,
        intrabar_candles=made.intrabar,
        engine=made.engine,
        ledger=False,
    )
    return _Run("model", "time", done.daily_returns["return"].to_numpy(), done.metrics)


def _later(report: Callable[[int, int], None], before: int, total: int) -> Any:
    return lambda done, _: report(before + done, total)


def _frame(runs: list[_Run]) -> pl.DataFrame:
    rows = [
        (
            run.entries,
            run.exits,
            float(np.mean(run.daily)),
            float(run.metrics["total_return"]),
            float(run.metrics["trades"]),
        )
        for run in runs
    ]
    return pl.DataFrame(rows, schema=_FRAME, orient="row")


def _nothing(n: int, level: float) -> Interval:
    return Interval(float("nan"), float("nan"), float("nan"), n, level, "none", "undefined")
