"""Real fills beside those of the backtest: DEC-05."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from barproof._reconcile import _match
from barproof.audits.decisions import fill_parity
from barproof.audits.model import Finding
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed
from barproof.live.trades import closed_trades, keyed
from barproof.rules import Costs, Rules

__all__ = ["real_fills", "slippages"]

_BUYS = {"buy": 1.0, "long": 1.0, "sell": -1.0, "short": -1.0}


def slippages(log: LiveLog, made: Sequence[Replayed], costs: Costs) -> list[tuple[str, float]]:
    """How much worse each real fill was than the price that the backtest takes before slippage.

    Parameters
    ----------
    log : LiveLog
        With fills that were fed back to a session (events of kind ``fill``), or trades of a foreign log.
    made : sequence of Replayed
        Whose trades are those of the backtest.
    costs : Costs
        Whose slippage is taken off the prices of the backtest.

    Returns
    -------
    list of (str, float)
        Side and reason, and the slippage: a fraction, positive is worse. Orders that rest at a limit are left out: the
        backtest gives them none.
    """
    out = _fed_back(log)
    if log.own:
        return out
    for one in made:
        live, mine = closed_trades(log, one.symbol), one.trades
        if not {"side", "entry_time", "entry_price"} <= set(live.columns):
            continue
        step = timedelta(milliseconds=one.candles.interval_ms)
        for i, j in _match(keyed(live), keyed(mine), step):
            out += _of_pair(live.row(i, named=True), mine.row(j, named=True), one, costs)
    return out


def _of_pair(
    live: dict[str, Any], mine: dict[str, Any], made: Replayed, costs: Costs
) -> list[tuple[str, float]]:
    rules = made.result.rules
    one = rules if isinstance(rules, Rules) else rules[0][1]
    side = 1.0 if mine["side"] == "long" else -1.0
    resting = mine["reason"] == "take" and one.take_profit_order == "limit"
    out: list[tuple[str, float]] = []
    for name, sign, maker, group in (
        ("entry_price", side, one.entry == "limit", f"{mine['side']} entry"),
        ("exit_price", -side, resting, f"{mine['side']} {mine['reason']}"),
    ):
        real = live.get(name)
        if real is None or maker or mine["reason"] == "liquidation":
            continue
        base = mine[name] / (1.0 + sign * costs.slippage)
        out.append((group, sign * (float(real) / base - 1.0)))
    return out


def _fed_back(log: LiveLog) -> list[tuple[str, float]]:
    """Read fills that a session was told of, beside its paper price."""
    out: list[tuple[str, float]] = []
    for body in log.events.filter(pl.col("kind") == "fill")["body"].drop_nulls():
        try:
            told = json.loads(body)
        except ValueError:
            continue
        paper, price = told.get("paper_price"), told.get("price")
        sign = _BUYS.get(str(told.get("side", "")).lower())
        if not paper or price is None or sign is None:
            continue
        group = str(told.get("reason") or told.get("side"))
        out.append((group, sign * (float(price) / float(paper) - 1.0)))
    return out


def real_fills(log: LiveLog, made: Sequence[Replayed], costs: Costs) -> Finding:
    """DEC-05 of a log; inconclusive where it holds too few real fills.

    Parameters
    ----------
    log, made, costs
        As for :func:`slippages`.

    Returns
    -------
    Finding
        By side and reason.
    """
    found = slippages(log, made, costs)
    values = np.array([value for _, value in found], dtype=np.float64)
    return fill_parity(values, assumed=costs.slippage, groups=[group for group, _ in found])
