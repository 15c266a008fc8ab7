"""Control experiments: a result beside the same exits entered at random, a bar later, or at other costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._backtest import Result, backtest
from barproof._frames import METRICS
from barproof._machine import thread_count
from barproof._progress import reporter
from barproof.errors import LayoutError, ParameterError
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.stats._common import Stat, undefined

__all__ = ["RandomEntries", "cost_curve", "one_bar_later", "random_entries"]

_DAY = 86_400_000

Floats: TypeAlias = NDArray[np.float64]


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
    The window is cut into blocks, and their order shuffled: the signals that became trades keep sides, values, number
    and clusters, and lose their place. All draws go through the engine in one call, each as a list of its bars.

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
    with reporter(progress, draws, "random entries") as report:
        columns, _ = enter(
            result, places(result, length), result.rules, draws, seed, threads, report=report
        )
    values = np.where(np.isnan(columns[metric]), -np.inf, columns[metric])
    p = (1 + int(np.sum(values >= real))) / (1 + draws)
    return RandomEntries(p=p, drawn=values, drawn_trades=float(columns["trades"].mean()), **known)


@dataclass(frozen=True)
class Places:
    """The signals that became trades, and blocks of bars in which they change places together."""

    low: int
    bars: NDArray[np.int64]
    long: NDArray[np.bool_]
    values: Floats
    sizes: NDArray[np.int64]
    length: int

    def drawn(self, seed: int, number: int) -> NDArray[np.int64]:
        """Bars of one draw: the blocks in another order."""
        from barproof.stats import uniforms

        blocks = len(self.sizes)
        order = np.argsort(uniforms(seed, blocks, skip=number * blocks), kind="stable")
        begins = np.empty(blocks, np.int64)
        begins[order] = np.cumsum(self.sizes[order]) - self.sizes[order]
        return self.low + begins[self.bars // self.length] + self.bars % self.length


def places(result: Result, length: int) -> Places:
    """Where a result entered, each with the value of its signal: sizes by confidence go with it."""
    low, high = result.window
    trades = result.trades
    blocks = -(-(high - low) // length)
    sizes = np.full(blocks, length, np.int64)
    sizes[-1] = high - low - (blocks - 1) * length
    return Places(
        low,
        # Bars of trades count from the window's first.
        trades["signal_bar"].cast(pl.Int64).to_numpy(),
        (trades["side"] == "long").to_numpy(),
        trades["p_entry"].cast(pl.Float64).to_numpy(),
        sizes,
        length,
    )


def enter(
    result: Result,
    held: Places,
    rules: Rules,
    draws: int,
    seed: int,
    threads: int | None,
    *,
    daily: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Floats], Floats]:
    """Run rules from shuffled places, all draws in one call; metrics by name, and daily returns a row a draw."""
    # Signals are lists of bars: nothing is as long as the candles.
    sides = {
        side: chosen
        for side, threshold, chosen in (
            ("long", rules.entry_long, held.long),
            ("short", rules.entry_short, ~held.long),
        )
        if threshold is not None
    }
    parts: dict[str, list[tuple[NDArray[np.int64], Floats]]] = {side: [] for side in sides}
    for number in range(draws):
        at = held.drawn(seed, number)
        for side, chosen in sides.items():
            order = np.argsort(at[chosen], kind="stable")
            parts[side].append((at[chosen][order], held.values[chosen][order]))
    entries: dict[str, Any] = {"long": None, "short": None}
    for side, sets in parts.items():
        bars, values = (np.concatenate(column) for column in zip(*sets, strict=True))
        entries[side] = (bars, values, np.cumsum([len(one) for one, _ in sets]).tolist())
    made = result._setting
    raw = _core.sweep_entries(
        made.candles._bars,
        made.signals._bars,
        # A side was chosen when the trade was: what compares the two sides has no say.
        rules.replace(short_gate=None).to_dict(),
        window_=result.window,
        threads=thread_count(threads),
        keep_daily=daily,
        progress=report,
        finer=None if made.intrabar is None else made.intrabar._bars,
        **entries,
        **made.options(),
    )
    columns = {row["name"]: c for row, c in zip(METRICS, raw["metrics"], strict=True)}
    return columns, raw["daily"].reshape(draws, -1)


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
    """Run everything of a result again with other signals and costs, in no ledger."""
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
