"""Audits of where results come from: ECO-10 to ECO-14."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    audited,
    capped,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.data import milliseconds
from barproof.audits.economics import _unusable, trade_returns
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "concentration",
    "entry_exit_ablation",
    "exit_attribution",
    "fill_realism",
    "random_entry_control",
]

LEVEL = 0.05
DRAWS = 99
OF_LOSS, TIMES = 0.80, 2.0
TOP, CONCENTRATED = 0.01, 0.50
AMBIGUOUS, OF_VOLUME = 0.05, 0.01
DAY = 86_400_000

Floats = NDArray[np.float64]


@audited
def exit_attribution(returns: Any, reasons: Any, *, bars_held: Any = None) -> Finding:
    """ECO-10: no exit reason carries the losses alone.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Net return of each trade, a fraction.
    reasons : sequence of str, of shape (n,)
        Why each trade was closed.
    bars_held : array_like of shape (n,), optional
        For the table.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, without a loss or a win, or where a return is no number.
    """
    r = numbers("returns", returns)
    names = [str(x) for x in reasons]
    same_rows(returns=r, reasons=names)
    gate = Gate("<=", OF_LOSS, "case S004", "one exit that holds nearly all losses is the strategy")
    remedy = "look at what that exit replaces: stop distance (ECO-04), a time exit, the model's own"
    if len(r) < FEW or not np.isfinite(r).all() or not (r < 0).any() or not (r > 0).any():
        return unable(
            "ECO-10",
            f"{plural(len(r), 'trade')}; too few, or no win, or no loss",
            remedy,
            gate=gate,
        )
    held = numbers("bars_held", bars_held) if bars_held is not None else np.full(len(r), math.nan)
    same_rows(returns=r, bars_held=held)
    total, win = float(-r[r < 0].sum()), float(r[r > 0].mean())
    label = np.array(names)
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(names):
        x = r[label == name]
        lost = x[x < 0]
        rows.append(
            {
                "reason": name,
                "trades": len(x),
                "share": len(x) / len(r),
                "mean": float(x.mean()),
                "sum": float(x.sum()),
                "of_loss": float(-lost.sum()) / total,
                "mean_loss": float(-lost.mean()) if len(lost) else 0.0,
                "bars_held": float(np.mean(held[label == name])),
            }
        )
    rows.sort(key=lambda row: -row["of_loss"])
    worst = rows[0]
    bad = worst["of_loss"] > OF_LOSS and worst["mean_loss"] > TIMES * win
    return made(
        "ECO-10",
        "warn" if bad else "pass",
        f"exits by `{worst['reason']}` ({worst['share']:.0%} of "
        f"trades) hold {worst['of_loss']:.0%} of all losses; mean loss "
        f"{worst['mean_loss']:.3%}, mean win {win:.3%}",
        **speaking(
            "warn" if bad else "pass",
            (Measured("share of losses", worst["of_loss"], "fraction", n=len(r)), gate),
            (
                Measured(
                    "mean loss of that exit over mean win",
                    worst["mean_loss"] / win,
                    "ratio",
                    n=len(r),
                ),
                Gate("<=", TIMES, "case S004", "an exit that loses little may lose often"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        scope={"reason": worst["reason"]},
    )


@audited
def random_entry_control(real: float, drawn: Any) -> Finding:
    """ECO-11: entries do better than random ones with the same exits.

    Parameters
    ----------
    real : float
        Metric of the result, larger is better.
    drawn : array_like of shape (draws,)
        The same of draws with the same bars, sides, number of trades, exits and costs, entered at random:
        ``bp.random_entries(result)`` makes them. -inf where undefined.

    Returns
    -------
    Finding
        Inconclusive for fewer than 99 draws, draws that are all the same, or a p-value above 0.05: no evidence for the
        entry model.
    """
    d = numbers("drawn", drawn)
    d = d[~np.isnan(d) & (d != np.inf)]
    gate = Gate(
        "<=",
        LEVEL,
        "case S004",
        "exits, drift and side mix are in the draws too: what is left is the entry",
    )
    remedy = "trade the exits without the model, or find entries that beat chance"
    n = len(d)
    if (
        n < DRAWS
        or not math.isfinite(real)
        or not np.isfinite(d).any()
        or np.ptp(d[np.isfinite(d)]) == 0
    ):
        return unable(
            "ECO-11",
            f"{plural(n, 'draw')} that can be compared: {DRAWS} are needed",
            remedy,
            gate=gate,
        )
    p = (1 + int(np.sum(d >= real))) / (1 + n)
    worse = (1 + int(np.sum(d <= real))) / (1 + n)
    median = float(np.median(d))
    outcome: Outcome = "pass" if p <= LEVEL else "fail" if worse <= LEVEL else "inconclusive"
    told = {
        "pass": "beat",
        "fail": "do significantly worse than",
        "inconclusive": "show nothing beside",
    }[outcome]
    return made(
        "ECO-11",
        outcome,
        (
            f"entries {told} random ones: {real:.4g} against a "
            f"median of {median:.4g} in {n:,} draws, p {p:.3f}"
        ),
        measured=Measured("p-value", p, n=n, p_value=p, form="one-sided, (1 + #) / (1 + draws)"),
        gate=gate,
        evidence={"real": real, "median": median, "best_draw": float(d.max())},
        remedy=remedy,
    )


@audited
def concentration(trades: Any, *, symbols: Any = None) -> Finding:
    """ECO-12: profit does not come from a few trades, one day or one symbol.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        Net returns; `exit_time` gives days.
    symbols : sequence of str, of shape (n,), optional
        Symbol of each trade, in the order of the table.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, or without a profit.
    """
    held = trade_returns(trades)
    gate = Gate(
        "<=", CONCENTRATED, "default", "what one trade or one day made may never come again"
    )
    remedy = "report the result without them beside the result"
    if held.missing:
        return _unusable("ECO-12", held, gate)
    r = held.finite
    total = float(r.sum())
    if len(r) < FEW or total <= 0 or np.ptp(r) == 0:
        return unable(
            "ECO-12",
            (f"{plural(len(r), 'trade')} with a sum of {total:.3%}: no profit to divide"),
            remedy,
            gate=gate,
        )
    top = max(1, math.ceil(TOP * len(r)))
    best = np.sort(r)[::-1][:top]
    rows = [
        {
            "part": f"the best {plural(top, 'trade')}",
            "profit": float(best.sum()),
            "share": float(best.sum()) / total,
        }
    ]
    columns = list(getattr(trades, "columns", []))
    if "exit_time" in columns:
        day = np.sort(milliseconds("exit_time", pl.Series(trades["exit_time"]))) // DAY
        rows.append(_most("day", day, r, total))
    if symbols is not None:
        names, place = np.unique([str(s) for s in symbols], return_inverse=True)
        same_rows(returns=r, symbols=place)
        if len(names) > 1:
            given = numbers("return", trades["return"] if columns else trades)
            rows.append(_most("symbol", place, given, total))
    rows.sort(key=lambda row: -float(str(row["share"])))
    worst = rows[0]
    share = float(str(worst["share"]))
    return made(
        "ECO-12",
        "warn" if share > CONCENTRATED else "pass",
        (
            f"{worst['part']} made {share:.0%} of the profit; without, "
            f"{total - float(str(worst['profit'])):+.3%} of {total:+.3%} are left"
        ),
        measured=Measured("share of profit", share, "fraction", n=len(r)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
    )


def _most(what: str, place: NDArray[Any], r: Floats, total: float) -> dict[str, Any]:
    """Part that made most."""
    _, inverse = np.unique(place, return_inverse=True)
    sums = np.bincount(inverse, weights=r)
    if len(sums) < 2:
        return {"part": f"one {what}", "profit": 0.0, "share": 0.0}
    return {"part": f"one {what}", "profit": float(sums.max()), "share": float(sums.max()) / total}


@audited
def fill_realism(
    ambiguous: Any,
    *,
    entry_price: Any = None,
    next_open: Any = None,
    side: Any = None,
    quantity: Any = None,
    volume: Any = None,
) -> Finding:
    """ECO-13: fills are ones that a market gives.

    Parameters
    ----------
    ambiguous : array_like of shape (n,), bool
        Whether stop and target of each trade lay inside one bar.
    entry_price, next_open : array_like of shape (n,), optional
        Fill of each entry, and the open of the bar after the signal.
    side : array_like of shape (n,), optional
        +1 for long, -1 for short, with prices.
    quantity, volume : array_like of shape (n,), optional
        Size of each entry, and the volume of its bar.

    Returns
    -------
    Finding
        Inconclusive without trades.
    """
    a = numbers("ambiguous", np.asarray(ambiguous, dtype=np.float64))
    gate = Gate(
        "<=", AMBIGUOUS, "default", "which of two prices came first inside a bar is a guess"
    )
    remedy = (
        "resolve inside bars with intrabar_candles=, fill at "
        "the next open or worse, trade less than 1% of the volume"
    )
    n = len(a)
    if not n or not np.isfinite(a).any():
        return unable("ECO-13", "no trades", remedy, gate=gate)
    share = float(np.nanmean(a > 0))
    evidence: dict[str, Any] = {"ambiguous": share}
    better = 0
    if entry_price is not None and next_open is not None and side is not None:
        price, fair, sign = (
            numbers("entry_price", entry_price),
            numbers("next_open", next_open),
            numbers("side", side),
        )
        same_rows(ambiguous=a, entry_price=price, next_open=fair, side=sign)
        gain = sign * (fair - price) / fair
        better = int(np.sum(gain > 1e-9))
        evidence |= {
            "better_than_open": better,
            "largest_gain": float(np.nanmax(gain)) if np.isfinite(gain).any() else None,
        }
    large = 0.0
    if quantity is not None and volume is not None:
        q, v = numbers("quantity", quantity), numbers("volume", volume)
        same_rows(ambiguous=a, quantity=q, volume=v)
        with np.errstate(invalid="ignore", divide="ignore"):
            large = float(np.mean(q / v > OF_VOLUME))
        evidence["above_1%_of_volume"] = large
    outcome: Outcome = (
        "fail" if better else "warn" if share > AMBIGUOUS or large > AMBIGUOUS else "pass"
    )
    if better:
        title = f"{better:,} of {n:,} entries were filled better than the next open"
    else:
        title = f"{share:.1%} of {n:,} trades had stop and target inside one bar"
        if large:
            title += f"; {large:.1%} took more than 1% of the bar's volume"
    return made(
        "ECO-13",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("entries better than the next open", better, "count", n=n),
                Gate("=", 0, "default", "nobody trades at a price that has passed"),
            )
            if better
            else (Measured("ambiguous share", share, "fraction", n=n), gate),
            (
                Measured("entries above 1% of their bar's volume", large, "fraction", n=n),
                Gate("<=", AMBIGUOUS, "default", "a larger order moves the price it is filled at"),
            ),
        ),
        evidence=evidence,
        remedy=remedy,
    )


@audited
def entry_exit_ablation(
    both: Any,
    entry_only: Any,
    exit_only: Any,
    neither: Any,
    *,
    claims: Sequence[str] = ("entry", "exit"),
    seed: int = 0,
) -> Finding:
    """ECO-14: each part of a strategy earns something of its own.

    Parameters
    ----------
    both, entry_only, exit_only, neither : array_like of shape (n_periods,)
        Returns of the same periods with the model's entries and exits; its entries and timed exits; random entries and
        its exits; random entries and timed exits. All after the same costs.
    claims : sequence of {"entry", "exit"}, default both
        Parts of which is claimed that they help.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Main effects and interaction, by a paired stationary bootstrap. Inconclusive for fewer than 30 periods, or an
        effect whose interval holds 0.
    """
    a, b, c, d = (
        numbers(name, x)
        for name, x in zip(
            ("both", "entry_only", "exit_only", "neither"),
            (both, entry_only, exit_only, neither),
            strict=True,
        )
    )
    same_rows(both=a, entry_only=b, exit_only=c, neither=d)
    gate = Gate("interval >", 0, "case S004", "a part that adds nothing adds a way to overfit")
    remedy = "leave out the part whose effect is 0 or below"
    good = np.isfinite(a) & np.isfinite(b) & np.isfinite(c) & np.isfinite(d)
    n = int(good.sum())
    if n < FEW or np.ptp(a[good]) == 0:
        return unable(
            "ECO-14",
            f"{plural(n, 'period')} of all four runs, or constant returns",
            remedy,
            gate=gate,
        )
    effects = {
        "entry": (a - c + b - d) / 2,
        "exit": (a - b + c - d) / 2,
        "interaction": a - b - c + d,
    }
    rows: list[dict[str, Any]] = []
    for name, x in effects.items():
        held = stats.mean_interval(x[good], seed=seed, studentise=False)
        rows.append({"effect": name, "mean": held.estimate, "low": held.low, "high": held.high})
    told = [row for row in rows if row["effect"] in claims]
    if not told or not all(math.isfinite(row["low"]) for row in told):
        return unable(
            "ECO-14",
            "no effect with an interval",
            remedy,
            gate=gate,
            evidence=capped(rows, len(rows)),
        )
    worst = min(told, key=lambda row: row["high"])
    outcome: Outcome = (
        "fail"
        if worst["high"] <= 0
        else "pass"
        if all(row["low"] > 0 for row in told)
        else "inconclusive"
    )
    if outcome == "inconclusive":
        worst = min(told, key=lambda row: row["low"])
    return made(
        "ECO-14",
        outcome,
        (
            f"the {worst['effect']} model adds {worst['mean']:+.4%} a period "
            f"[{worst['low']:+.4%}, {worst['high']:+.4%}] in {n:,} periods"
        ),
        measured=Measured(
            f"effect of the {worst['effect']} model",
            worst["mean"],
            low=worst["low"],
            high=worst["high"],
            level=0.95,
            method=("paired stationary bootstrap"),
            n=n,
        ),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        provenance={"seed": seed},
    )
