"""Control experiments: a result beside the same exits entered at random, a bar later, or at other costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._backtest import Result, backtest
from barproof._grid import Grid
from barproof._progress import reporter
from barproof._signal_sets import SignalSets
from barproof._sweep import sweep
from barproof.errors import LayoutError, ParameterError
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.stats._common import Stat, undefined

__all__ = ["RandomEntries", "cost_curve", "one_bar_later", "random_entries"]

_DAY = 86_400_000
_BYTES = 256 * 2**20  # of signals at a time
_KEPT = ("exit_long", "exit_short", "stop", "target", "size")


@dataclass(frozen=True, repr=False, eq=False)
class RandomEntries(Stat):
    """A result beside entries at random.

    Attributes
    ----------
    p : float
        (1 + draws that do at least so well) / (1 + draws).
    real : float
        Metric of the result.
    drawn : ndarray of shape (draws,)
        Metric of each draw; -inf where it is undefined.
    metric : str
        Which.
    trades : int
        Of the result.
    drawn_trades : float
        Mean over draws; fewer where a trade still runs when the next is due.
    """

    p: float
    real: float
    drawn: NDArray[np.float64]
    metric: str
    trades: int
    drawn_trades: float


def random_entries(
    result: Result,
    *,
    draws: int = 500,
    metric: str = "total_return",
    block: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Callable[[int, int], None] | None = None,
) -> RandomEntries:
    """Enter at random bars with the same exits, costs and rules, as often and on the same sides.

    Parameters
    ----------
    result : Result
        Of one set of rules.
    draws : int, default 500
        At least 19.
    metric : str, default "total_return"
        Higher is better.
    block : int, optional
        Bars that stay together when the pattern of entries is shuffled. Default: those of a day, at least one.
    seed : int, default 0
        In [0, 2**64).
    threads : int, optional
        Worker threads.
    progress : bool or callable, optional
        Takes draws done and draws asked for.

    Returns
    -------
    RandomEntries
        Undefined for fewer than two blocks, no trade, or a metric that is undefined.

    Raises
    ------
    LayoutError, ParameterError
        If it is given no such result, or an argument is out of bounds.

    Notes
    -----
    The window is cut into blocks, and their order shuffled: the bars that signalled keep their sides, number and
    clusters, and lose their place. The draws are signal sets of a sweep, as many at a time as fit 256 MiB.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=2_000, interval="1h")
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> done = bp.backtest(candles, signals, bp.Rules(entry_long=1.0, max_hold=6), costs=bp.Costs(taker=0.0))
    >>> 0 < bp.random_entries(done, draws=19).p <= 1
    True
    """
    if not isinstance(result, Result) or not isinstance(result.rules, Rules):
        raise LayoutError(
            f"random entries need the Result of one set of rules, were given {type(result).__name__}"
        )
    if draws < 19:
        raise ParameterError(f"`draws` must be at least 19, was {draws}")
    if metric not in result.metrics:
        raise ParameterError(f"the result has no metric `{metric}`: see docs/metrics.md")
    if block is not None and block < 1:
        raise ParameterError(f"`block` must be at least 1 bar, was {block}")
    low, high = result.window
    length = max(1, _DAY // result.candles.interval_ms) if block is None else block
    real = float(result.metrics[metric])
    known: dict[str, Any] = {"metric": metric, "real": real, "trades": result.trades.height}
    reason = ""
    if not result.trades.height:
        reason = "the result has no trade"
    elif not np.isfinite(real):
        reason = f"{metric} of the result is undefined"
    elif high - low < 2 * length:
        reason = f"{high - low} bars are fewer than two blocks of {length}"
    if reason:
        return undefined(RandomEntries, reason, **known)
    rules = result.rules
    sides = {"long": rules.entry_long, "short": rules.entry_short}
    used = [side for side, threshold in sides.items() if threshold is not None]
    levels: dict[str, Any] = {f"entry_{side}": 0.5 for side in used}
    grid = Grid(replace(rules, **levels))
    drawn, counts = [], []
    with reporter(progress, draws, "random entries") as report:
        for sets in _sets(result, used, length, draws, seed):
            found = sweep(
                result.candles,
                SignalSets(sets),
                grid,
                costs=result.costs,
                windows=[result.window],
                initial_equity=result.initial_equity,
                threads=threads,
                ledger=False,
                progress=False,
            ).pooled
            drawn.append(found[metric].cast(pl.Float64).to_numpy())
            counts.append(found["trades"].cast(pl.Float64).to_numpy())
            if report is not None:
                report(sum(map(len, drawn)), draws)
    values = np.concatenate(drawn)
    values = np.where(np.isnan(values), -np.inf, values)
    p = (1 + int(np.sum(values >= real))) / (1 + draws)
    return RandomEntries(
        p=p, drawn=values, drawn_trades=float(np.mean(np.concatenate(counts))), **known
    )


def _sets(
    result: Result, used: list[str], length: int, draws: int, seed: int
) -> Iterator[dict[str, Signals]]:
    """Signal sets of shuffled entries, some at a time."""
    from barproof.stats import uniforms

    n = len(result.candles)
    low, high = result.window
    pattern = np.zeros(high - low, np.int8)
    # Bars of trades count from the window's first.
    at = result.trades["signal_bar"].to_numpy()
    pattern[at] = np.where(result.trades["side"].to_numpy() == "long", 1, -1)
    held = result._setting.signals
    kept = {name: held[name] for name in _KEPT if name in held.names}
    some = max(1, int(_BYTES // (8 * n * (len(used) + len(kept)))))
    blocks = -(-len(pattern) // length)
    for first in range(0, draws, some):
        sets = {}
        for number in range(first, min(first + some, draws)):
            order = np.argsort(uniforms(seed, blocks, skip=number * blocks), kind="stable")
            places = (order[:, None] * length + np.arange(length)).ravel()
            shuffled = pattern[places[places < len(pattern)]]
            arrays: dict[str, NDArray[np.float64]] = dict(kept)
            for side in used:
                entry = np.full(n, np.nan)
                entry[low + np.flatnonzero(shuffled == (1 if side == "long" else -1))] = 1.0
                arrays[side] = entry
            sets[str(number)] = Signals(kind=result.signals.kind, **arrays)
        yield sets


def one_bar_later(result: Result) -> Result:
    """Run a result again with every signal known one bar later.

    Parameters
    ----------
    result : Result
        From :func:`barproof.backtest`.

    Returns
    -------
    Result
        Of signals shifted by a bar. What loses more than half its edge lives on information or fills of the same bar;
        fast edges do decay, so this warns and never proves.

    Raises
    ------
    LayoutError
        If it is given no such result.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=2_000, interval="1h")
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> done = bp.backtest(candles, signals, bp.Rules(entry_long=1.0, max_hold=6), costs=bp.Costs(taker=0.0))
    >>> bp.one_bar_later(done).trades.height > 0
    True
    """
    _check(result)
    held = result._setting.signals
    arrays = {name: np.concatenate([[np.nan], held[name][:-1]]) for name in held.names}
    signals = Signals(kind=held.kind, **arrays)
    return _again(result, signals, result.costs)


def cost_curve(
    result: Result, *, factors: Sequence[float] = (0, 0.5, 1, 1.5, 2, 3)
) -> pl.DataFrame:
    """Run a result again at multiples of its costs.

    Parameters
    ----------
    result : Result
        From :func:`barproof.backtest`.
    factors : sequence of float, default (0, 0.5, 1, 1.5, 2, 3)
        Of taker, maker and slippage; funding is left as it is.

    Returns
    -------
    polars.DataFrame
        `factor`, and the metrics `total_return`, `sharpe`, `trades`, `fees` at each.

    Raises
    ------
    LayoutError, ParameterError
        If it is given no such result, or a factor is negative.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=2_000, interval="1h")
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> done = bp.backtest(candles, signals, bp.Rules(entry_long=1.0, max_hold=6), costs=bp.Costs(taker=0.001))
    >>> bp.cost_curve(done)["total_return"].is_sorted(descending=True)
    True
    """
    _check(result)
    if any(not 0 <= f < np.inf for f in factors):
        raise ParameterError(f"`factors` of costs must be finite and >= 0, were {list(factors)}")
    rows = []
    for factor in factors:
        own = result.costs
        costs = Costs(
            taker=own.taker * factor,
            maker=None if own.maker is None else own.maker * factor,
            slippage=own.slippage * factor,
        )
        metrics = _again(result, result._setting.signals, costs).metrics
        names = ("total_return", "sharpe", "trades", "fees")
        rows.append({"factor": float(factor), **{name: float(metrics[name]) for name in names}})
    return pl.DataFrame(rows)


def _check(result: Any) -> None:
    if not isinstance(result, Result):
        raise LayoutError(f"a control needs a Result, was given {type(result).__name__}")


def _again(result: Result, signals: Signals, costs: Costs) -> Result:
    made, candles = result._setting, result.candles
    schedule = result.rules
    if not isinstance(schedule, Rules):
        schedule = [(candles.open_time[bar], rules) for bar, rules in schedule]
    return backtest(
        candles,
        signals,
        schedule,
        costs=costs,
        window=result.window,
        initial_equity=result.initial_equity,
        periods_per_year=made.periods_per_year,
        intrabar_candles=made.intrabar,
        engine=made.engine,
        boundary=result._boundary,
        ledger=False,
    )
