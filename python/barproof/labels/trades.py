"""Labels that are trades: triple barriers, and meta-labels of a primary signal.

A decision is forced at the close of each bar, with an account of its own, and the engine finds out what becomes of it:
entry at the next open or by a limit order, stop, target, trailing, time, funding, liquidation, fees and slippage. What
the label says is what `backtest` would have booked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from barproof import _core
from barproof._machine import thread_count
from barproof._progress import Progress
from barproof._setting import Setting, refined
from barproof.errors import LayoutError, ParameterError
from barproof.labels.model import Kind, Labels, check_kind, check_level, signs, two_classes
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.signals import Signals

__all__ = ["TradeLabels", "engine_options", "meta", "triple_barrier"]

Side: TypeAlias = Literal["long", "short", "both"]
STATES = ("none", "open", "closed")
NOTHING, OPEN, CLOSED = range(3)
_COLUMNS = (
    "entry_bar", "entry_price", "exit_bar", "exit_price", "return", "fees", "funding", "mae", "mfe",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class TradeLabels(Labels):
    """Labels with the trades that they are.

    Attributes
    ----------
    outcomes : polars.DataFrame
        One row a bar, for ``side="both"`` one a bar and side: `bar` and `side` of the decision (null without one),
        `state` (closed; open: the data end first; none: no order was filled), and of closed trades, else null, what
        EXECUTION.md, section 4, says: `entry_bar entry_price exit_bar exit_price reason return fees funding mae mfe
        ambiguous`. Bars are those of the candles; `return`, `fees` and `funding` are fractions of the equity at entry.
    """

    outcomes: pl.DataFrame = field(repr=False)


def engine_options(
    candles: Any, rules: Any, costs: Any, signals: Any, initial_equity: Any, intrabar: Any
) -> dict[str, Any]:
    """Check what labels of trades have in common with a backtest; keyword arguments of the core."""
    from barproof._setting import is_positive
    from barproof.candles import Candles
    from barproof.signals import Signals

    if not isinstance(candles, Candles):
        raise LayoutError(
            f"`candles` of labels must be Candles, was {type(candles).__name__}: use read_candles(...)"
        )
    if not isinstance(rules, Rules):
        raise LayoutError(
            f"`rules` of labels must be Rules, was {type(rules).__name__}: they say where a trade ends"
        )
    if not isinstance(costs, Costs):
        raise LayoutError(
            f"`costs` of labels must be Costs, was {type(costs).__name__}: use Costs(taker=...) or Costs.free()"
        )
    if signals is not None and not isinstance(signals, Signals):
        raise LayoutError(
            f"`signals` of labels must be Signals, was {type(signals).__name__}: they hold what the rules look at"
        )
    if not is_positive(initial_equity):
        raise ParameterError(
            f"`initial_equity` of labels must be finite and > 0, was {initial_equity!r}"
        )
    n, most = len(candles), rules.max_hold
    if most is not None and most + 2 > n:
        raise ParameterError(
            f"`max_hold` of the rules is {most}, but the candles hold {n} bars: a label needs {most + 2}"
        )
    aligned = None if signals is None else signals.align(candles)
    made = Setting(candles, aligned, costs, float(initial_equity), 365.0, "indexed")  # type: ignore[arg-type]
    finer = refined(made, intrabar).intrabar
    options = made.options()
    return {
        "signals": None if aligned is None else aligned._bars,
        "costs": options["costs"],
        "instrument_": options["instrument_"],
        "initial_equity": options["initial_equity"],
        "finer": None if finer is None else finer._bars,
    }


def rule_of(
    name: str, rules: Rules, costs: Costs, signals: Any, initial_equity: float, intrabar: Any
) -> dict[str, Any]:
    """Say what labels of trades can be made again from."""
    rule: dict[str, Any] = {
        "name": name,
        "rules": rules.changed(),
        "costs": {"taker": costs.taker, "maker": costs.maker, "slippage": costs.slippage},
        "initial_equity": float(initial_equity),
    }
    if signals is not None:
        rule["signals"] = signals.digest
    if intrabar is not None:
        rule["intrabar"] = intrabar.digest
    return rule


def barriers(rules: Rules, sides: NDArray[np.int8], costs: Costs, level: float) -> None:
    """Refuse barriers that contradict each other: one that is never met, or a target that is a loss."""
    long, short = bool((sides > 0).any()), bool((sides < 0).any())
    for name, value, kind, side, there in (
        ("stop_loss", rules.stop_loss, rules.stop_loss_kind, "long", long),
        ("take_profit", rules.take_profit, rules.take_profit_kind, "short", short),
        ("trailing", rules.trailing, "price", "long", long),
    ):
        if there and value is not None and kind == "price" and value >= 1:
            raise ParameterError(
                f"`{name}` is {value:g} of the price, which a {side} never meets: prices stay above 0; 0.01 is 1%"
            )
    if rules.take_profit is None or rules.take_profit_kind != "price":
        return
    slipped = costs.slippage if rules.take_profit_order == "market" else 0.0
    maker = costs.taker if costs.maker is None else costs.maker
    fee = costs.taker if rules.take_profit_order == "market" else maker
    entry = maker if rules.entry == "limit" else costs.taker
    for side, sign, there in (("long", 1.0, long), ("short", -1.0, short)):
        if not there:
            continue
        leaves = (1 + sign * rules.take_profit) * (1 - sign * slipped)
        gain = sign * (leaves - 1) - fee * leaves - entry
        if gain <= 0 <= level:
            raise ParameterError(
                f"`take_profit` is {rules.take_profit:g}, but a {side} that meets it loses {-gain:.3g} of its notional "
                "to costs: such a target is labelled as a loss; set it further away"
            )


def table(
    candles: Candles,
    rules: Rules,
    sides: NDArray[np.int8],
    options: dict[str, Any],
    engine: str,
    threads: int | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Run the decisions in the core."""
    if engine not in ("indexed", "replay"):
        raise ParameterError(
            f'`engine` of labels must be "indexed" or "replay", was {engine!r}: both give the same bits'
        )
    return _core.trade_labels(
        candles._bars,
        rules.to_dict(),
        sides,
        by_bar=engine == "replay",
        threads=thread_count(threads),
        progress=progress,
        **options,
    )


def frame_of(found: dict[str, Any], sides: NDArray[np.int8]) -> pl.DataFrame:
    """Show what became of each decision, nulls where there is nothing to say."""
    closed = pl.Series(found["state"] == CLOSED)
    names = [*found["reasons"], None]
    columns = {name: pl.Series(name, found[name]) for name in _COLUMNS}
    frame = pl.DataFrame(
        {
            "bar": np.arange(len(sides)),
            "side": pl.Series([None, "long", "short"]).gather(sides % 3),
            "state": pl.Series(STATES).gather(found["state"]),
            **columns,
            "reason": pl.Series(names, dtype=pl.String).gather(found["reason"]),
            "ambiguous": found["ambiguous"],
        }
    )
    shown = [*_COLUMNS, "ambiguous"]
    frame = frame.with_columns(pl.when(closed).then(pl.col(name)).alias(name) for name in shown)
    order = ("bar", "side", "state", *_COLUMNS[:4], "reason", *_COLUMNS[4:], "ambiguous")
    return frame.select(order)


def spans(state: NDArray[np.uint8], exit_bar: NDArray[np.int64]) -> tuple[Any, Any]:
    """First and last bar of each label: -1 without one, beyond the data where they end first."""
    n = len(state)
    start = np.where(state == NOTHING, -1, np.arange(n) + 1)
    end = np.where(state == CLOSED, exit_bar, np.where(state == OPEN, n, -1))
    return start, end


def classes(returns: NDArray[np.float64], kind: str, level: float) -> NDArray[np.float64]:
    """Give the return, or whether it exceeds the threshold; NaN stays NaN."""
    if kind == "regression":
        return returns.copy()
    return np.where(np.isnan(returns), np.nan, (returns > level).astype(np.float64))


def triple_barrier(
    candles: Candles,
    rules: Rules,
    *,
    costs: Costs,
    side: Side = "long",
    kind: Kind | None = None,
    threshold: float = 0.0,
    signals: Signals | None = None,
    initial_equity: float = 10_000.0,
    intrabar_candles: Candles | None = None,
    engine: str = "indexed",
    threads: int | None = None,
    progress: Progress | None = None,
) -> TradeLabels:
    """Label each bar by the trade that the engine would take from its close.

    The barriers are those of the rules: stop (and trailing, break-even, liquidation), target, and the time `max_hold`,
    which must be set. Everything follows EXECUTION.md with the costs given: the entry at the next open or by a limit
    order, which barrier comes first inside a bar (`intrabar`), funding, fees, slippage. Each decision has an account of
    its own; what decides entries (`entry_long`, `entry_short`, `short_gate`) or bars them (`cooldown`) plays no part.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    rules : Rules
        Where a trade ends; `max_hold` is required, `reverse` and sizing by confidence are refused.
    costs : Costs
        Fees and slippage.
    side : {"long", "short", "both"}, default "long"
        Side of the trade; ``"both"`` tries each and compares.
    kind : {"regression", "binary", "ternary"}, optional
        Regression: the return of the trade, net of costs and funding, a fraction of the equity at entry. Binary: 1 if
        it exceeds the threshold, else 0. Ternary, for both sides only: 1 where the long's return exceeds the threshold
        and the short's, -1 where the short's exceeds the threshold and the long's, else 0. Default: binary, for both
        sides ternary.
    threshold : float, default 0.0
        Net return that counts, a fraction.
    signals : Signals, optional
        Arrays that the rules look at: exits by a model, distances or sizes from signals.
    initial_equity : float, default 10000.0
        Equity of each account, in quote; it matters for lots and least notionals only.
    intrabar_candles : Candles, optional
        Finer candles that show what happens inside the bars.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event, or bar by bar: the same bits.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.
    progress : callable, optional
        Called with bars done and bars in all.

    Returns
    -------
    TradeLabels
        One a bar. NaN where the data end before the trade does (its span then ends beyond the data), and where no order
        is filled (span -1, -1). The span runs from the bar after the decision to the bar of the exit.

    Raises
    ------
    LayoutError
        If an argument is of the wrong type.
    ParameterError
        If an argument is out of bounds, the candles are too short for `max_hold`, barriers contradict each other, or
        one class alone is left.
    RulesError
        If the rules lack `max_hold` or have something that labels cannot follow.
    FundingError
        If a perpetual carries no funding.

    Notes
    -----
    The name is of M. Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 3; there the label is the
    barrier that closing prices meet first, here it is what the trade earns.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=48)
    >>> labels = triple_barrier(candles, rules, costs=bp.Costs(taker=0.0005))
    >>> labels.outcomes.row(0, named=True)["reason"], int(labels.start[0]), int(labels.end[0])
    ('time', 1, 49)
    """
    if side not in ("long", "short", "both"):
        raise ParameterError(f"`side` of labels must be long, short or both, was {side!r}")
    kind = kind or ("ternary" if side == "both" else "binary")
    check_kind(kind, ("ternary",) if side == "both" else ("regression", "binary"))
    level = check_level("threshold", threshold)
    options = engine_options(candles, rules, costs, signals, initial_equity, intrabar_candles)
    given = [1, -1] if side == "both" else [1 if side == "long" else -1]
    if kind != "regression":
        barriers(rules, np.array(given, dtype=np.int8), costs, level)
    tables, frames = [], []
    for sign in given:
        sides = np.full(len(candles), sign, dtype=np.int8)
        tables.append(table(candles, rules, sides, options, engine, threads, progress))
        frames.append(frame_of(tables[-1], sides))
    found = tables[0]
    if side == "both":
        long, short = (one["return"] for one in tables)
        up = ((long > level) & (long > short)).astype(np.float64)
        down = ((short > level) & (short > long)).astype(np.float64)
        values = np.where(np.isnan(long) | np.isnan(short), np.nan, up - down)
        state = np.minimum(tables[0]["state"], tables[1]["state"])
        start, end = spans(state, np.maximum(tables[0]["exit_bar"], tables[1]["exit_bar"]))
    else:
        values = classes(found["return"], kind, level)
        start, end = spans(found["state"], found["exit_bar"])
    rule = {
        **rule_of("triple barrier", rules, costs, signals, initial_equity, intrabar_candles),
        "side": side,
        "kind": kind,
        "threshold": level,
    }
    outcomes = pl.concat(frames).sort("bar", maintain_order=True)
    made = TradeLabels(values, start, end, kind, rule, candles, outcomes)
    two_classes(made, "set the barriers or `threshold` otherwise")
    return made


def meta(
    candles: Candles,
    primary: ArrayLike,
    rules: Rules,
    *,
    costs: Costs,
    kind: Kind = "binary",
    threshold: float = 0.0,
    signals: Signals | None = None,
    initial_equity: float = 10_000.0,
    intrabar_candles: Candles | None = None,
    engine: str = "indexed",
    threads: int | None = None,
    progress: Progress | None = None,
) -> TradeLabels:
    """Label each decision of a primary signal by whether its trade was worth taking.

    The primary signal chooses the side, a second model then learns when to follow it. The trade is the one of
    :func:`triple_barrier`, each with an account of its own.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    primary : array_like of shape (n_bars,)
        Side that the primary signal takes at each close: 1 long, -1 short, 0 or NaN none.
    rules, costs, signals, initial_equity, intrabar_candles, engine, threads, progress
        As for :func:`triple_barrier`.
    kind : {"binary", "regression"}, default "binary"
        1 if the trade's net return exceeds the threshold, else 0; or that return.
    threshold : float, default 0.0
        Net return that counts, a fraction.

    Returns
    -------
    TradeLabels
        NaN and span -1, -1 where the primary signal decides nothing; else as for :func:`triple_barrier`.

    Raises
    ------
    LayoutError, ShapeError, ParameterError, RulesError, FundingError
        As for :func:`triple_barrier`; or `primary` is not one side a bar, or decides nothing.

    Notes
    -----
    M. Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 3.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> momentum = np.sign(np.append(np.zeros(12), candles.close[12:] / candles.close[:-12] - 1))
    >>> rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=48)
    >>> labels = meta(candles, momentum, rules, costs=bp.Costs(taker=0.0005))
    >>> labels.outcomes["side"].value_counts(sort=True).rows()
    [('long', 571), ('short', 417), (None, 12)]
    """
    check_kind(kind, ("binary", "regression"))
    level = check_level("threshold", threshold)
    options = engine_options(candles, rules, costs, signals, initial_equity, intrabar_candles)
    sides = signs("primary", primary, len(candles))
    if kind != "regression":
        barriers(rules, sides, costs, level)
    found = table(candles, rules, sides, options, engine, threads, progress)
    start, end = spans(found["state"], found["exit_bar"])
    rule = {
        **rule_of("meta labels", rules, costs, signals, initial_equity, intrabar_candles),
        "primary": side_digest(sides),
        "kind": kind,
        "threshold": level,
    }
    values = classes(found["return"], kind, level)
    made = TradeLabels(values, start, end, kind, rule, candles, frame_of(found, sides))
    two_classes(made, "set the barriers or `threshold` otherwise")
    return made


def side_digest(sides: NDArray[np.int8]) -> str:
    """Identity of the decisions of a primary signal."""
    return _core.digest("sides/1", ["".join("0+-"[side] for side in sides.tolist())])
