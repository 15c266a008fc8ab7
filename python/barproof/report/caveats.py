"""What to know before believing a result: the assumptions that carry it, each with what it could hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from barproof.report import formats
from barproof.report.inputs import ResultLike, SweepLike, rule_fields, rule_values
from barproof.report.tables import Html, data_table, esc

__all__ = [
    "FEW_TRADES",
    "Caveat",
    "caveat_list",
    "is_simulated",
    "range_table",
    "result_caveats",
    "sweep_caveats",
]

FEW_TRADES = 30
"""Trades below which a mean return says next to nothing."""

MUCH_AMBIGUITY = 0.05
"""Share of ambiguous trades from which the intrabar rule may decide the result."""

LEVELS = {"warn": "Caution", "note": "Note", "fact": "Stated"}


@dataclass(frozen=True)
class Caveat:
    """One thing to know.

    Parameters
    ----------
    level : {"warn", "note", "fact"}
        How much it can matter.
    head, text : str
        What it is, and what follows from it.
    """

    level: str
    head: str
    text: str


def caveat_list(items: Sequence[Caveat]) -> Html:
    """Lay out caveats, the gravest first."""
    order = list(LEVELS)
    rows = "".join(
        f'<li><span class="badge level-{esc(c.level)}">{esc(LEVELS[c.level])}</span>'
        f"<p><strong>{esc(c.head)}.</strong> {esc(c.text)}</p></li>"
        for c in sorted(items, key=lambda c: order.index(c.level))
    )
    return Html(f'<ul class="caveats">{rows}</ul>')


def is_simulated(candles: Any) -> bool:
    """Say whether candles were simulated: by their symbol, or because they carry a planted score."""
    if candles is None:
        return False
    symbol = str(getattr(candles, "symbol", "") or "")
    return symbol.upper().startswith("SIM") or getattr(candles, "planted", None) is not None


def result_caveats(result: ResultLike, sweep: SweepLike | None) -> list[Caveat]:
    """Collect what to know before believing a result.

    Parameters
    ----------
    result : Result
        The result.
    sweep : Sweep or None
        The sweep that it was chosen from.

    Returns
    -------
    list of Caveat
        In the order in which they were found.
    """
    items = _market(result.candles)
    items += [_trials(result, sweep)]
    items += _sample(result)
    items += _fills(result)
    items += _intrabar(result)
    items += _costs(result)
    items += _data(result.candles)
    return items


def _market(candles: Any) -> list[Caveat]:
    if not is_simulated(candles):
        return []
    return [
        Caveat(
            "warn",
            "The market is simulated",
            f"{getattr(candles, 'symbol', '')} is no real market. Whatever was earned here was earned against a "
            "generator, and its edge, if any, was planted; nothing follows for a real market.",
        )
    ]


def _trials(result: ResultLike, sweep: SweepLike | None) -> Caveat:
    """Say how many combinations the result was chosen from."""
    if sweep is not None:
        n = sweep.pooled.height
        if n > 1:
            return Caveat(
                "warn",
                f"{formats.plural(n, 'combination')} of rules were tried",
                "If this result is one of the best of them, its figures are biased upward: the best of many looks good "
                "even where none has an edge. Judge the choice on data that played no part in it.",
            )
        return Caveat("note", "One combination of rules in this sweep", UNKNOWN_TRIALS)
    for name in ("combinations", "trials"):
        if name in result.provenance:
            return Caveat(
                "note",
                f"Combinations tried, as recorded: {result.provenance[name]}",
                UNKNOWN_TRIALS,
            )
    return Caveat("note", "Combinations tried: unknown to this report", UNKNOWN_TRIALS)


UNKNOWN_TRIALS = (
    "Rules, features and models that were tried before and dropped are not counted here; the more there were, the less "
    "this result says."
)


def _sample(result: ResultLike) -> list[Caveat]:
    """Say where the account was ruined, trades are few, or positions were liquidated."""
    n = result.trades.height
    items: list[Caveat] = []
    if formats.as_float(result.metrics.get("final_equity")) == 0:
        items.append(
            Caveat("warn", "Ruin", "The account went to zero. Nothing after that point was traded.")
        )
    if n == 0:
        text = "No signal reached its threshold, or every order was void. A backtest without trades shows nothing."
        items.append(Caveat("warn", "No trades", text))
    elif n < FEW_TRADES:
        items.append(
            Caveat(
                "warn",
                f"Only {formats.plural(n, 'trade')}",
                f"Fewer than {FEW_TRADES} trades: win rate, expectancy and Sharpe are mostly chance.",
            )
        )
    liquidations = formats.as_float(result.metrics.get("n_liquidation"))
    if liquidations > 0:
        items.append(
            Caveat(
                "warn",
                f"{formats.plural(liquidations, 'liquidation')}",
                "Each lost its whole margin. The maintenance rate is flat and the last price serves as mark price; "
                "exchanges use tiers and a mark price of their own.",
            )
        )
    else:
        items.append(
            Caveat("fact", "No liquidations", "No position reached its liquidation level.")
        )
    return items


def _fills(result: ResultLike) -> list[Caveat]:
    """Say what the way of filling takes for granted."""
    items: list[Caveat] = []
    for fill in rule_values(result.rules, "fill"):
        if fill == "close":
            text = (
                "Orders fill at the close whose price the signal was computed from. That price is gone by the time the "
                "signal is known; this is optimistic."
            )
            items.append(Caveat("warn", "Fills at the same close", text))
        else:
            text = "Signals of a bar are known at its close and trade at the open of the next bar."
            head = "Fills at the next open" if fill in ("next_open", None) else f"Fills: {fill}"
            items.append(Caveat("fact", head, text))
    return items


INTRABAR = {
    "pessimistic": ("fact", "the stop is taken to come first"),
    "optimistic": ("warn", "the target is taken to come first, in favour of the strategy"),
    "nearest_open": (
        "note",
        "the level nearer to the open is taken to come first, which is a guess",
    ),
}


def _finer(result: ResultLike) -> Caveat:
    """Say which bars the order of events is known inside of."""
    missing = int(result.provenance.get("intrabar_missing", 0))
    head = "Run on finer candles"
    if not missing:
        return Caveat("fact", head, "Inside every bar they tell in which order levels were met.")
    total = result.equity.height
    return Caveat(
        "note" if missing / total <= MUCH_AMBIGUITY else "warn",
        f"{head}, but for {missing:,} of {total:,} bars",
        "Those bars they do not make up: some are missing, or show other prices. There the order of events is unknown.",
    )


def _intrabar(result: ResultLike) -> list[Caveat]:
    """Say how much hangs on the order of events within bars."""
    items: list[Caveat] = []
    share = formats.as_float(result.metrics.get("ambiguous_share"))
    finer = "intrabar" in result.provenance
    if finer:
        items.append(_finer(result))
    one, only = ("finer bar", "still finer") if finer else ("bar", "finer")
    for rule in rule_values(result.rules, "intrabar"):
        level, meaning = INTRABAR.get(str(rule), ("fact", "see the execution contract"))
        if share > MUCH_AMBIGUITY:
            level = "warn"
        items.append(
            Caveat(
                level,
                f"Intrabar rule: {str(rule).replace('_', ' ')}; {formats.percent(share)} of trades ambiguous",
                f"Where one {one} reaches both stop and target, {meaning}. The bars cannot tell what happened; "
                f"only {only} candles can.",
            )
        )
    trail = formats.as_float(result.metrics.get("ambiguous_trail_share"))
    uses = any(
        value is not None
        for name in ("trailing", "break_even")
        for value in rule_values(result.rules, name)
    )
    if uses and finer:
        items.append(
            Caveat(
                "note",
                "Trailing or break-even stops: not asked",
                "They move at the closes of the longer bars, also on finer candles. Whether an updated stop had been "
                "hit inside the bar that moved it was asked only in bars that were run on themselves "
                f"({formats.percent(trail)} of trades).",
            )
        )
    elif uses or trail > 0:
        items.append(
            Caveat(
                "warn" if trail > MUCH_AMBIGUITY else "note",
                f"Trailing or break-even stops: {formats.percent(trail)} of trades ambiguous",
                "In these trades the updated stop may already have been hit inside the bar that moved it. The range "
                "below does not cover this; only finer candles settle it.",
            )
        )
    elif result.trades.height:
        text = "No trailing or break-even stop is set, so no trade depends on the path inside a bar in that way."
        items.append(
            Caveat("fact", f"Ambiguous trailing: {formats.percent(trail)} of trades", text)
        )
    low, high = _range(result)
    if low is not None and high is not None:
        a, b = (formats.as_float(m.get("total_return")) for m in (low, high))
        head = f"Range of the total return: {formats.percent(a)} to {formats.percent(b)}"
        if a == b:
            text = "The intrabar rule makes no difference to this result."
            items.append(Caveat("fact", head, text))
        else:
            turns = min(a, b) < 0 < max(a, b)
            text = (
                "Pessimistic against optimistic intrabar rule, everything else equal. It is a range for stop against "
                "target, not a bound."
            )
            if turns:
                text = (
                    "The sign of the result depends on what cannot be known from these bars. "
                    + text
                )
            items.append(Caveat("warn" if turns else "note", head, text))
    else:
        text = (
            "The outcome under the pessimistic and the optimistic intrabar rule was not computed."
        )
        items.append(Caveat("note", "Range: n/a", text))
    return items


def _range(result: ResultLike) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    found = result.range()
    return (None, None) if found is None else (found[0], found[1])


RANGE_METRICS = (
    "total_return",
    "sharpe",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "final_equity",
)


def range_table(result: ResultLike) -> Html:
    """Lay out the metrics under the two intrabar rules beside those reported; empty where they agree."""
    low, high = _range(result)
    if low is None or high is None or low.get("total_return") == high.get("total_return"):
        return Html("")
    rows = [
        [
            formats.label(name),
            *(formats.metric(name, m.get(name)) for m in (low, result.metrics, high)),
        ]
        for name in RANGE_METRICS
        if name in low or name in high
    ]
    return data_table(
        ["Metric", "Pessimistic", "Reported", "Optimistic"],
        rows,
        caption="Range: stop against target inside a bar",
        compact=True,
    )


def _costs(result: ResultLike) -> list[Caveat]:
    """Say what costs are charged, and which are not."""
    cost = rule_fields(result.costs)
    taker, maker, slippage = (
        formats.as_float(cost.get(name, getattr(result.costs, name, None)))
        for name in ("taker", "maker", "slippage")
    )
    items: list[Caveat] = []
    if taker == 0 and not maker > 0 and slippage == 0:
        text = "No fee and no slippage is charged. Nobody trades on these terms."
        items.append(Caveat("warn", "Costs are free", text))
    else:
        items.append(
            Caveat(
                "fact",
                f"Costs: taker {formats.bps(taker)}, maker {formats.bps(maker)}, slippage {formats.bps(slippage)}",
                "Slippage is the same at any size and any volatility; orders do not move the market.",
            )
        )
        if slippage == 0:
            text = "Market orders and stops fill at the price seen. A spread alone costs more than that."
            items.append(Caveat("warn", "No slippage", text))
    kind = str(getattr(getattr(result.candles, "instrument", None), "kind", "") or "")
    shorts = (
        int((result.trades["side"].cast(pl.String) == "short").sum()) if result.trades.height else 0
    )
    if kind in ("spot", "equity"):
        text = "A holder of shorts on spot or equity pays to borrow; the backtest charges nothing for it."
        items.append(
            Caveat(
                "warn" if shorts else "fact",
                f"Borrowing cost is not modelled ({formats.plural(shorts, 'short trade')})",
                text,
            )
        )
    if (
        kind == "perpetual"
        and result.trades.height
        and formats.as_float(result.metrics.get("funding")) == 0
    ):
        text = "The instrument is a perpetual, yet no trade paid or received any. Check that funding was attached."
        items.append(Caveat("note", "No funding was charged", text))
    return items


def _data(candles: Any) -> list[Caveat]:
    """Say what was repaired in the candles and what was let pass."""
    items: list[Caveat] = []
    repairs = list(getattr(candles, "repairs", None) or ())
    faults = list(getattr(candles, "faults", None) or ())
    if repairs:
        names = ", ".join(str(r) for r in repairs[:6])
        text = f"Before the run: {names}{' and more' if len(repairs) > 6 else ''}."
        items.append(Caveat("note", "The candles were repaired", text))
    if faults:
        names = "; ".join(str(f) for f in faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        items.append(
            Caveat(
                "note",
                f"The candles have {formats.plural(len(faults), 'fault')}",
                f"{names}{more}.",
            )
        )
    return items


def sweep_caveats(sweep: SweepLike, metric: str, n_windows: int) -> list[Caveat]:
    """Collect what to know before believing the best of a sweep.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    metric : str
        The metric that combinations are ranked by.
    n_windows : int
        Windows it ran on.

    Returns
    -------
    list of Caveat
        In the order in which they were found.
    """
    n = sweep.pooled.height
    items: list[Caveat] = []
    symbol = str(sweep.provenance.get("symbol", ""))
    candles = getattr(sweep, "candles", None)
    if candles is not None:
        items += _market(candles)
    elif symbol.upper().startswith("SIM"):
        text = f"{symbol} is no real market; nothing follows for one."
        items.append(Caveat("warn", "The market is simulated", text))
    if n > 1:
        items.append(
            Caveat(
                "warn",
                f"The best of {formats.count(n)} is biased upward",
                f"The highest {formats.label(metric)} of {formats.plural(n, 'combination')} is high partly by luck, "
                "and would be even if none had an edge. It is no estimate of what the rules will earn: choose "
                "on one part of the data and judge on another.",
            )
        )
    else:
        items.append(Caveat("fact", "One combination", "Nothing was chosen within this sweep."))
    if n_windows > 1:
        items.append(
            Caveat(
                "fact",
                f"Pooled over {formats.plural(n_windows, 'window')}",
                "Every window closes its positions at its end and starts flat.",
            )
        )
    if "trades" in sweep.pooled.columns and n:
        idle = sweep.pooled.filter(sweep.pooled["trades"].fill_null(0) == 0).height
        if idle:
            text = "Their ratios are undefined and they stand in no ranking."
            items.append(
                Caveat("note", f"{formats.plural(idle, 'combination')} made no trade", text)
            )
    return items
