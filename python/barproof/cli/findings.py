"""What a reader must know before believing a result, as sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from barproof.candles import Candles
from barproof.report.caveats import FEW_TRADES, MUCH_AMBIGUITY, is_simulated
from barproof.rules import Costs, Rules

__all__ = ["caveats", "market_line"]


def caveats(
    candles: Candles,
    rules: Rules,
    costs: Costs,
    metrics: Mapping[str, Any] | None = None,
    *,
    shorts: bool = False,
) -> list[str]:
    """List what makes numbers weaker than they look.

    Parameters
    ----------
    candles : Candles
        The bars.
    rules : Rules
        What was run.
    costs : Costs
        At which fees.
    metrics : mapping, optional
        Metrics of the run.
    shorts : bool, default False
        Whether it sold short.

    Returns
    -------
    list of str
        Sentences without a full stop.
    """
    found = []
    if is_simulated(candles):
        found.append("the market is simulated: its numbers say nothing about any real one")
    if costs.is_free:
        found.append("no costs were charged: no market is free")
    elif costs.slippage == 0.0:
        found.append("slippage is 0: market orders fill at the printed price")
    if candles.instrument.kind == "perpetual" and candles.funding is None:
        found.append("a perpetual without funding: holding it cost nothing here")
    if candles.instrument.kind in ("spot", "equity") and shorts:
        found.append(
            f"borrowing is not charged: shorts on {candles.instrument.kind} cost nothing to hold here"
        )
    if rules.fill == "close":
        found.append("`fill` is close: decisions fill at the price that made them")
    if rules.intrabar == "optimistic":
        found.append("`intrabar` is optimistic: bars that hold both stop and target count as wins")
    errors = sum(f.severity == "error" for f in candles.faults)
    if errors:
        found.append(
            f"the candles were accepted with {errors} kind{'s' if errors > 1 else ''} of errors"
        )
    if metrics is None:
        return found
    trades = metrics["trades"]
    if trades == 0:
        found.append(
            "no trade was made: the thresholds were never reached, or sizes fell below the minimum"
        )
    elif trades < FEW_TRADES:
        found.append(f"only {trades} trades: too few to tell skill from luck")
    if metrics["n_liquidation"]:
        found.append(f"{metrics['n_liquidation']} positions were liquidated")
    share = metrics["ambiguous_share"]
    if not math.isnan(share) and share > MUCH_AMBIGUITY:
        found.append(f"{share:.1%} of the trades had stop and target in one bar: see the range")
    return found


def market_line(candles: Candles, start: int, stop: int) -> str:
    """Say in one line which bars were run."""
    bars = candles[start:stop]
    return (
        f"{candles.symbol} {candles.interval} {candles.instrument.kind}, {len(bars):,} bars, "
        f"{bars.start:%Y-%m-%d %H:%M} to {bars.end:%Y-%m-%d %H:%M} UTC"
    )
