"""Real fills beside those of the backtest: DEC-05."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
from barproof.rules import Costs

__all__ = ["fill_table", "real_fills", "slippages"]

_SCHEMA: dict[str, Any] = {
    "symbol": pl.String,
    "order": pl.String,
    "status": pl.String,
    "side": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "quantity": pl.Float64,
    "fills": pl.Int64,
    "price": pl.Float64,
    "paper_price": pl.Float64,
    "assumed_price": pl.Float64,
    "slippage": pl.Float64,
    "fee": pl.Float64,
}


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
    out: list[tuple[str, float]] = []
    if log.own:
        rows = fill_table(log, made, costs).filter(
            (pl.col("status") == "matched") & pl.col("assumed_price").is_not_null()
        )
        return list(zip(rows["order"].to_list(), rows["slippage"].to_list(), strict=True))
    for one in made:
        live, mine = closed_trades(log, one.symbol), one.trades
        if not {"side", "entry_time", "entry_price"} <= set(live.columns):
            continue
        step = timedelta(milliseconds=one.candles.interval_ms)
        for i, j in _match(keyed(live), keyed(mine), step):
            real = live.row(i, named=True)
            for leg in _legs(mine.row(j, named=True), one, costs):
                price = real.get(f"{leg['end']}_price")
                if price is None or leg["assumed_price"] is None:
                    continue
                out.append(
                    (leg["order"], leg["sign"] * (float(price) / leg["assumed_price"] - 1.0))
                )
    return out


def _legs(trade: dict[str, Any], made: Replayed, costs: Costs) -> Iterator[dict[str, Any]]:
    """Orders of a trade of the backtest; those that rest at a limit, and forced ones, assume no slippage."""
    one = made.rules
    side = 1.0 if trade["side"] == "long" else -1.0
    resting = trade["reason"] == "take" and one.take_profit_order == "limit"
    for end, sign, maker, reason in (
        ("entry", side, one.entry == "limit", "entry"),
        ("exit", -side, resting or trade["reason"] == "liquidation", trade["reason"]),
    ):
        if end == "exit" and trade["reason"] == "end":
            # The candles end: nobody left.
            continue
        price = float(trade[f"{end}_price"])
        yield {
            "symbol": made.symbol,
            "end": end,
            "order": f"{trade['side']} {reason}",
            "sign": sign,
            "side": "buy" if sign > 0 else "sell",
            "time": trade[f"{end}_time"],
            "paper_price": price,
            "assumed_price": None if maker else price / (1.0 + sign * costs.slippage),
        }


def fill_table(log: LiveLog, made: Sequence[Replayed], costs: Costs) -> pl.DataFrame:
    """Put real fills that a session was told of beside the orders of the backtest, entries and exits.

    A fill belongs to the order on its side whose bar it falls into, or the nearest one within a bar of that; several
    fills of one order are one, at their mean price by quantity.

    Parameters
    ----------
    log : LiveLog
        With events of kind ``fill``.
    made : sequence of Replayed
        Whose trades are those of the backtest.
    costs : Costs
        Whose slippage is taken off the prices of the backtest.

    Returns
    -------
    polars.DataFrame
        One row an order: `symbol`, `order` (such as ``long entry``, ``long stop``), `status` (``matched``; ``missed``,
        an order of the backtest from the first to the last fill that has none; ``extra``, a fill without an order),
        `side`, `time` of the first fill, or of the order's bar, `quantity`, `fills`, `price` (real), `paper_price` (of
        the backtest), `assumed_price` (before slippage; null where none is assumed), `slippage` (of `price` against the
        one assumed, or else the paper price; positive is worse), `fee`.
    """
    rows: list[dict[str, Any]] = []
    for one in made:
        rows += _of_symbol(_fills(log, one.symbol), one, costs)
    return pl.DataFrame(rows, schema=_SCHEMA).sort("time", maintain_order=True)


def _of_symbol(
    fills: list[dict[str, Any]], made: Replayed, costs: Costs
) -> Iterator[dict[str, Any]]:
    """Rows of one symbol: fills with the order of the paper account nearest in time, missed orders, and extra fills."""
    if not fills:
        return
    trades = made.book
    legs = [leg for row in trades.iter_rows(named=True) for leg in _legs(row, made, costs)]
    starts = np.array([_micro(leg["time"]) for leg in legs], dtype=np.int64)
    buys = np.array([leg["side"] == "buy" for leg in legs], dtype=bool)
    step = made.candles.interval_ms * 1000
    taken: dict[int, list[dict[str, Any]]] = {}
    for fill in fills:
        # Within the bar of the order the distance is 0; among equals, the earlier order that has no fill yet.
        away = np.maximum(np.maximum(starts - fill["time"], fill["time"] - (starts + step - 1)), 0)
        away = np.where(buys == (fill["side"] == "buy"), away, np.iinfo(np.int64).max)
        near: list[int] = []
        if len(away):
            near = np.flatnonzero((away == away.min()) & (away <= step)).tolist()
        if not near:
            yield _row(made.symbol, "extra", None, [fill])
            continue
        taken.setdefault(_meant(near, legs, fill), []).append(fill)
    first, last = min(f["time"] for f in fills), max(f["time"] for f in fills)
    for k, leg in enumerate(legs):
        if k in taken:
            yield _row(made.symbol, "matched", leg, taken[k])
        elif first <= starts[k] + step and starts[k] <= last:
            yield _row(made.symbol, "missed", leg, [])


def _meant(near: list[int], legs: list[dict[str, Any]], fill: dict[str, Any]) -> int:
    """Of several orders in one bar, the one whose reason is told, or else the one with the nearest price."""
    told = str(fill.get("reason") or "")
    for k in near:
        if told and legs[k]["order"].endswith(f" {told}"):
            return k
    return min(near, key=lambda k: float(abs(legs[k]["paper_price"] - fill["price"])))


def _micro(moment: Any) -> int:
    return int(pl.Series([moment]).dt.timestamp("us")[0])


def _row(
    symbol: str, status: str, leg: dict[str, Any] | None, fills: list[dict[str, Any]]
) -> dict[str, Any]:
    """One order with what filled it, and by how much its price was worse than assumed."""
    quantity = sum(f["quantity"] for f in fills)
    price = sum(f["price"] * f["quantity"] for f in fills) / quantity if fills else None
    out: dict[str, Any] = {
        "symbol": symbol,
        "order": fills[0]["reason"] if leg is None else leg["order"],
        "status": status,
        "side": fills[0]["side"] if leg is None else leg["side"],
        "time": min(f["moment"] for f in fills) if fills else leg and leg["time"],
        "quantity": quantity if fills else None,
        "fills": len(fills),
        "price": price,
        "paper_price": None if leg is None else leg["paper_price"],
        "assumed_price": None if leg is None else leg["assumed_price"],
        "slippage": None,
        "fee": sum(f["fee"] for f in fills) if fills else None,
    }
    if leg is not None and price is not None:
        base = leg["paper_price"] if leg["assumed_price"] is None else leg["assumed_price"]
        out["slippage"] = leg["sign"] * (price / base - 1.0)
    return out


def _fills(log: LiveLog, symbol: str) -> list[dict[str, Any]]:
    """Read fills that a session was told of."""
    rows = log.events.filter(pl.col("kind") == "fill")
    out = []
    for whose, moment, body in zip(rows["symbol"], rows["time"], rows["body"], strict=True):
        if whose != symbol:
            continue
        told = json.loads(body)
        told["moment"] = moment
        told["time"] = _micro(moment)
        told["fee"] = float(told.get("fee") or 0.0)
        out.append(told)
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
