"""`reconcile`: why two runs end with different money, in parts that sum to the gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._backtest import Result, run_once
from barproof._shown import shown
from barproof.candles import Candles
from barproof.errors import BarproofError, LayoutError, ParameterError, WindowError
from barproof.rules import Costs, Rules
from barproof.signals import Signals

__all__ = ["Reconciliation", "reconcile"]

# Fields of the rules by the part that a change of them belongs to; together all fields, each once.
FIELDS: dict[str, tuple[str, ...]] = {
    "threshold": ("entry_long", "entry_short", "exit_long", "exit_short", "short_gate"),
    "exits": (
        "stop_loss",
        "stop_loss_kind",
        "take_profit",
        "take_profit_kind",
        "atr_period",
        "trailing",
        "break_even",
        "break_even_offset",
        "max_hold",
    ),
    "timing": ("reverse", "cooldown", "entry", "limit_offset", "limit_bars", "fill"),
    "size": (
        "leverage",
        "sizing",
        "fraction",
        "size_min",
        "notional",
        "risk",
        "vol_target",
        "vol_window",
    ),
    "fills": ("take_profit_order", "intrabar"),
}

_NEEDED = ("side", "entry_time", "entry_price", "exit_time", "exit_price", "quantity", "pnl")


@shown(lambda self: self.parts)
@dataclass(frozen=True, eq=False)
class Reconciliation:
    """The gap between two runs, by cause.

    Attributes
    ----------
    gap : float
        Final equity, or profit, of the second less that of the first, in quote.
    parts : polars.DataFrame
        Columns `part` and `amount` (quote), which sum to `gap`. Of two results also `forward` and `backward`: the
        amount where the causes are replaced one after the other in the order of the rows, and in the reverse order;
        `amount` is their mean. Where they differ causes act on each other.
    pairs : polars.DataFrame
        One row a trade of either: `a` and `b` (row in each run's trades, null where there is none), `side`,
        `entry_time`, `status` (``same``, ``changed``, ``missed``: only in the first, ``extra``: only in the second)
        and `pnl` (the second's less the first's).
    """

    gap: float
    parts: pl.DataFrame
    pairs: pl.DataFrame

    def __repr__(self) -> str:
        told = self.parts.filter(pl.col("amount") != 0.0).sort(
            pl.col("amount").abs(), descending=True
        )
        inner = ", ".join(
            f"{part} {amount:+,.2f}" for part, amount in told.select("part", "amount").iter_rows()
        )
        return f"Reconciliation(gap {self.gap:+,.2f}: {inner or 'none'})"


def reconcile(
    a: Result | pl.DataFrame,
    b: Result | pl.DataFrame,
    *,
    between: Signals | None = None,
    within: timedelta | None = None,
) -> Reconciliation:
    """Split the difference in money between two runs into its causes.

    Two results are reconciled by running again: the inputs of `a` are replaced by those of `b` one cause at a time,
    and what each replacement changes is that cause's part. This is done in one order of the causes and in the reverse
    one; the part is the mean. Parts sum to the gap in any case; a cause that acts alone gets all of it.

    Where one of the two is a table of trades (a live account, another tool's export) its trades are matched with the
    other's, and the difference in profit of each pair is split by its prices, quantities and costs.

    Parameters
    ----------
    a, b : Result or polars.DataFrame
        Runs over the same bars with the same initial equity; or trades with the columns `side` (``long``, ``short``),
        `entry_time`, `entry_price`, `exit_time`, `exit_price`, `quantity` (> 0), `pnl`, and, if there are any, `fees`
        (paid, > 0) and `funding` (received). Times are UTC.
    between : Signals, optional
        Of two results: what the model of `a` says to the features of `b`. With it the difference of signals is split
        into ``features`` and ``model``; without it is all ``signals``.
    within : timedelta, optional
        Of trades: entries of one side that lie at most so far apart may be the same trade. Default: the length of a bar
        if one of the two is a result, else a minute.

    Returns
    -------
    Reconciliation
        `gap`, `parts`, `pairs`. Parts of two results: ``market`` (prices), ``features`` and ``model`` or ``signals``,
        ``threshold``, ``exits``, ``timing``, ``size``, ``fills`` (slippage, order inside a bar), ``fees``,
        ``funding``; ``rules`` instead of its five where one runs a schedule. Parts of trades: ``missed``, ``extra``,
        ``timing`` (price at another time), ``fills`` (price at the same time), ``size``, ``fees``, ``funding``, and
        ``other`` for what prices and quantities do not explain, such as a liquidation.

    Raises
    ------
    LayoutError
        If either is no result and no table, or a table lacks columns.
    ParameterError
        If runs began with different equity, an argument does not go with the kind of the two, or trades hold values
        that are none.
    WindowError
        If results run over different bars.

    Notes
    -----
    One replacement at a time would give all that two causes do together to the one that comes later; the mean over
    both orders shares it. It is the Shapley value where there are two causes.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=5_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    >>> rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24)
    >>> paper = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0002))
    >>> live = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0005))
    >>> found = bp.reconcile(paper, live)
    >>> found.parts.filter(found.parts["amount"] != 0)["part"].to_list()
    ['fees']
    """
    for name, run in (("a", a), ("b", b)):
        if not isinstance(run, Result | pl.DataFrame):
            raise LayoutError(
                f"`{name}` must be a Result or a polars frame of trades, was {type(run).__name__}: give what backtest "
                "returns, or a table"
            )
    if isinstance(a, Result) and isinstance(b, Result):
        if within is not None:
            raise ParameterError(
                "`within` is for tables of trades: two results are reconciled by running them again"
            )
        return _by_runs(a, b, between)
    if between is not None:
        raise ParameterError(
            "`between` needs two results: a table of trades has no signals to replace"
        )
    return _by_trades(a, b, within)


def _by_runs(a: Result, b: Result, between: Signals | None) -> Reconciliation:
    """Split the gap of two runs by replacing one cause after the other, forwards and backwards."""
    if a.initial_equity != b.initial_equity:
        raise ParameterError(
            f"runs must begin with the same equity, but `a` has {a.initial_equity!r} and `b` {b.initial_equity!r}: run "
            "one again with the other's `initial_equity`"
        )
    first, second = (run.candles.open_time[slice(*run.window)] for run in (a, b))
    if not np.array_equal(first, second):
        raise WindowError(
            f"runs must cover the same bars, but `a` has {len(first)} and `b` {len(second)}, or their times differ: "
            "run both over the bars that they share"
        )
    if a.window != b.window:
        # Bars before a window enter averages, and signals are one a bar of the candles.
        raise WindowError(
            f"runs must number their bars alike, but `a` runs over bars {a.window[0]} to {a.window[1]} of its candles "
            f"and `b` over {b.window[0]} to {b.window[1]}: cut both candles alike"
        )
    mix = _Mix(a, b, None if between is None else between.align(b.candles))
    blocks = mix.blocks()
    there = mix.parts([cause for block in blocks for cause in block])
    back = mix.parts([cause for block in reversed(blocks) for cause in block])
    names = list(there)
    parts = pl.DataFrame(
        {
            "part": names,
            "amount": [(there[name] + back[name]) / 2.0 for name in names],
            "forward": list(there.values()),
            "backward": [back[name] for name in names],
        }
    )
    gap = float(b.metrics["final_equity"]) - float(a.metrics["final_equity"])
    tables = _table(a.trades, "a"), _table(b.trades, "b")
    step = timedelta(milliseconds=a.candles.interval_ms)
    return Reconciliation(gap, parts, _pairs(*tables, _match(*tables, step)))


@dataclass(frozen=True)
class _Mix:
    """Runs whose inputs come from `a` or from `b`, cause by cause."""

    a: Result
    b: Result
    middle: Signals | None

    def blocks(self) -> list[list[str]]:
        """Causes in the order in which they act; those of one block keep their order."""
        signals = ["signals"] if self.middle is None else ["features", "model"]
        rules = [[name] for name in FIELDS] if self.plain else [["rules"], ["fills"]]
        return [["market"], signals, *rules, ["fees"], ["funding"]]

    @property
    def plain(self) -> bool:
        """Whether both run one set of rules: parts of two schedules do not fit together."""
        return isinstance(self.a.rules, Rules) and isinstance(self.b.rules, Rules)

    def parts(self, order: Sequence[str]) -> dict[str, float]:
        """Replace one cause after the other; what each changes."""
        out = dict.fromkeys((cause for block in self.blocks() for cause in block), 0.0)
        taken: set[str] = set()
        before = self.equity(taken)
        for number, cause in enumerate(order):
            taken.add(cause)
            try:
                after = self.equity(taken)
            except BarproofError:
                # Half of the other's inputs may contradict the rest: the next cause takes this one with it.
                if number == len(order) - 1:
                    raise
                continue
            out[cause] = after - before
            before = after
        return out

    def equity(self, taken: set[str]) -> float:
        """Run with these causes as in `b` and all others as in `a`; the final equity."""

        def of(cause: str) -> Result:
            return self.b if cause in taken else self.a

        candles = of("market").candles
        if all(_funded(run.candles) for run in (self.a, self.b)):
            candles = candles.with_funding(of("funding").candles.funding)
        signals = self.a.signals
        if self.middle is None:
            signals = of("signals").signals
        elif "features" in taken:
            signals = self.b.signals if "model" in taken else self.middle
        fees, slippage = of("fees").costs, of("fills").costs.slippage
        setting = replace(
            self.a._setting,
            candles=candles,
            signals=signals,
            costs=Costs(taker=fees.taker, maker=fees.maker, slippage=slippage),
            intrabar=of("fills")._setting.intrabar,
        )
        if self.plain:
            fields = {
                name: value
                for part, names in FIELDS.items()
                for name, value in _only(of(part).rules, names).items()
            }
            schedule, boundary = [(0, Rules(**fields))], self.a._boundary
        else:
            schedule, boundary = of("rules")._schedule(), of("rules")._boundary
        raw = run_once(setting, schedule, boundary, self.a.window)
        return float(raw["metrics"]["final_equity"])


def _only(rules: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in names}


def _funded(candles: Candles) -> bool:
    return candles.instrument.kind == "perpetual" and candles.funding is not None


def _by_trades(
    a: Result | pl.DataFrame, b: Result | pl.DataFrame, within: timedelta | None
) -> Reconciliation:
    """Split the gap of two lists of trades: what was missed, what is extra, and how matched ones differ."""
    step = timedelta(minutes=1)
    for run in (a, b):
        if isinstance(run, Result):
            step = timedelta(milliseconds=run.candles.interval_ms)
    if within is not None and within < timedelta(0):
        raise ParameterError(
            f"`within` must not be negative, was {within}: give a timedelta such as one bar"
        )
    first, second = (
        _table(run.trades if isinstance(run, Result) else run, name)
        for name, run in (("a", a), ("b", b))
    )
    matched = _match(first, second, step if within is None else within)
    left, right = (
        table[np.array([pair[k] for pair in matched], dtype=np.int64)]
        for k, table in enumerate((first, second))
    )
    amounts = _split(left, right, step)
    alone = [
        table.filter(~pl.int_range(pl.len()).is_in([pair[k] for pair in matched]))["pnl"]
        for k, table in enumerate((first, second))
    ]
    amounts = {"missed": -math.fsum(alone[0]) + 0.0, "extra": math.fsum(alone[1]), **amounts}
    gap = math.fsum(second["pnl"]) - math.fsum(first["pnl"])
    parts = pl.DataFrame({"part": list(amounts), "amount": list(amounts.values())})
    return Reconciliation(gap, parts, _pairs(first, second, matched))


def _split(a: pl.DataFrame, b: pl.DataFrame, step: timedelta) -> dict[str, float]:
    """Differences of profit of matched trades by cause."""
    sign = np.where(a["side"].to_numpy() == "long", 1.0, -1.0)

    def of(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
        return table[name].to_numpy().astype(np.float64)

    def late(name: str) -> NDArray[np.bool_]:
        return (a[name] - b[name]).abs().to_numpy() >= np.timedelta64(step)

    size = (
        sign
        * (of(b, "quantity") - of(a, "quantity"))
        * (of(a, "exit_price") - of(a, "entry_price"))
    )
    entry = sign * of(b, "quantity") * (of(a, "entry_price") - of(b, "entry_price"))
    leave = sign * of(b, "quantity") * (of(b, "exit_price") - of(a, "exit_price"))
    fees = of(a, "fees") - of(b, "fees")
    funding = of(b, "funding") - of(a, "funding")
    all_of = of(b, "pnl") - of(a, "pnl")
    late_entry, late_exit = late("entry_time"), late("exit_time")
    timing = np.where(late_entry, entry, 0.0) + np.where(late_exit, leave, 0.0)
    fills = np.where(late_entry, 0.0, entry) + np.where(late_exit, 0.0, leave)
    other = all_of - (size + entry + leave + fees + funding)
    named = {"timing": timing, "fills": fills, "size": size, "fees": fees, "funding": funding}
    return {name: math.fsum(values) for name, values in {**named, "other": other}.items()}


# --- trades -------------------------------------------------------------------------------------------------------


def _table(trades: pl.DataFrame, name: str) -> pl.DataFrame:
    """Columns that are needed, checked; fees and funding are zero where there are none."""
    missing = [column for column in _NEEDED if column not in trades.columns]
    if missing:
        raise LayoutError(
            f"trades of `{name}` lack {', '.join(missing)}: they need {', '.join(_NEEDED)}, and may have fees, funding"
        )
    out = {"side": trades["side"].cast(pl.String)}
    wrong = out["side"].is_in(["long", "short"]).not_().fill_null(value=True).arg_true()
    if len(wrong):
        row = wrong[0]
        raise ParameterError(
            f"`side` of trade {row} of `{name}` must be long or short, was {out['side'][row]!r}"
        )
    for column in ("entry_time", "exit_time"):
        times = trades[column]
        if not isinstance(times.dtype, pl.Datetime):
            raise LayoutError(
                f"`{column}` of the trades of `{name}` must be datetimes, was {times.dtype}: cast it, UTC"
            )
        out[column] = (
            times.cast(pl.Datetime("us"))
            if times.dtype.time_zone is None
            else (
                times.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
            )
        )
    numbers = [c for c in (*_NEEDED, "fees", "funding") if c not in out]
    for column in numbers:
        if column in trades.columns:
            values = trades[column].cast(pl.Float64)
        else:
            values = pl.Series(column, np.zeros(len(trades)))
        wrong = (values.is_finite().not_() | values.is_null()).fill_null(value=True).arg_true()
        if len(wrong):
            row = wrong[0]
            raise ParameterError(
                f"`{column}` of trade {row} of `{name}` must be a finite number, was {values[row]!r}: drop the trade "
                "or mend it"
            )
        out[column] = values
    return pl.DataFrame(out)


def _match(a: pl.DataFrame, b: pl.DataFrame, within: timedelta) -> list[tuple[int, int]]:
    """Rows of trades that are the same: of one side, entered within so much of each other, the nearest first."""
    far = int(within / timedelta(microseconds=1))
    near: list[tuple[int, int, int]] = []
    for side in ("long", "short"):
        rows = [np.flatnonzero(table["side"].to_numpy() == side) for table in (a, b)]
        times = [
            table["entry_time"].dt.epoch("us").to_numpy()[at]
            for table, at in zip((a, b), rows, strict=True)
        ]
        order = np.argsort(times[1], kind="stable")
        sorted_times = times[1][order]
        low = np.searchsorted(sorted_times, times[0] - far, "left")
        high = np.searchsorted(sorted_times, times[0] + far, "right")
        for i, (begin, end) in enumerate(zip(low, high, strict=True)):
            near += [
                (abs(int(sorted_times[k] - times[0][i])), int(rows[0][i]), int(rows[1][order[k]]))
                for k in range(begin, end)
            ]
    taken: tuple[set[int], set[int]] = set(), set()
    out = []
    for _, i, j in sorted(near):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            out.append((i, j))
    return sorted(out)


def _pairs(a: pl.DataFrame, b: pl.DataFrame, matched: Iterable[tuple[int, int]]) -> pl.DataFrame:
    """One row a trade of either, in the order of entries."""
    partner = dict(matched)
    seconds = set(partner.values())
    rows: list[tuple[int | None, int | None]] = [(i, partner.get(i)) for i in range(len(a))]
    rows += [(None, j) for j in range(len(b)) if j not in seconds]
    facts = []
    for i, j in rows:
        one = a.row(i, named=True) if i is not None else None
        two = b.row(j, named=True) if j is not None else None
        shown = one or two or {}
        if one and two:
            keys = ("entry_price", "exit_price", "quantity", "pnl")
            same = all(one[key] == two[key] for key in keys)
            status = "same" if same else "changed"
        else:
            status = "missed" if one else "extra"
        pnl = (two["pnl"] if two else 0.0) - (one["pnl"] if one else 0.0)
        facts.append((i, j, shown["side"], shown["entry_time"], status, pnl))
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "a": pl.Int64,
        "b": pl.Int64,
        "side": pl.String,
        "entry_time": pl.Datetime("us"),
        "status": pl.String,
        "pnl": pl.Float64,
    }
    frame = pl.DataFrame(facts, schema=schema, orient="row").sort("entry_time", maintain_order=True)
    return frame.with_columns(pl.col("entry_time").dt.replace_time_zone("UTC"))
