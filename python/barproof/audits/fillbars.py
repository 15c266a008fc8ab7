"""Trades and fills of any tool, put on the bars that they fall into."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.common import capped, made, plural
from barproof.audits.data import milliseconds
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.candles.columns import plain as plain_name
from barproof.errors import LayoutError

__all__ = [
    "NEEDS_PRICES",
    "NO_TIME",
    "Fills",
    "alone",
    "bars_at",
    "begun",
    "clock",
    "column",
    "frame_of",
    "of_symbol",
    "price_range",
    "rows_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEEDS_PRICES = (
    "give a table with entry_time, exit_time, entry_price, exit_price and side; see bp.read_trades"
)


class Fills(NamedTuple):
    """Single fills, with the bar that each falls into (-1: none)."""

    time: Ints
    price: Floats
    sign: Floats  # +1 bought, -1 sold, 0 unknown
    quantity: Floats
    entry: NDArray[np.bool_]
    trade: Ints
    bar: Ints
    other: int  # of symbols that the candles are not of


def column(trades: pl.DataFrame, name: str) -> Floats:
    """Read a column as floats; NaN where the table lacks it."""
    if name not in trades.columns:
        return np.full(trades.height, np.nan)
    return trades[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def frame_of(trades: Any) -> pl.DataFrame:
    """Make a frame of a table of trades."""
    if isinstance(trades, pl.DataFrame):
        return trades
    if hasattr(trades, "columns") or isinstance(trades, dict):
        from barproof.candles.sources import load

        return load(trades, name="trades")[0]
    raise LayoutError(
        f"`trades` must be a table with prices for this audit, was {type(trades).__name__}: use bp.read_trades"
    )


def _fills(trades: pl.DataFrame, candles: Any) -> Fills | None:
    """Put the fills of a table on the bars; None where it tells no times and prices."""
    trades, other = of_symbol(trades, candles)
    single = {"time", "price", "side"} <= set(trades.columns)
    parts: list[tuple[Ints, Floats, Floats, Floats, bool, Ints]] = []
    rows = np.arange(trades.height)
    quantity = np.abs(column(trades, "quantity"))
    side = trades["side"].to_list() if "side" in trades.columns else [None] * trades.height
    if single:
        sign = np.array([{"buy": 1.0, "sell": -1.0}.get(str(s), 0.0) for s in side])
        parts.append((clock(trades, "time"), column(trades, "price"), sign, quantity, True, rows))
    else:
        if not {"entry_time", "entry_price"} <= set(trades.columns):
            return None
        sign = np.array([{"long": 1.0, "short": -1.0}.get(str(s), 0.0) for s in side])
        # A mean of several fills lies in no one bar.
        one = column(trades, "fills")
        kept = rows[~(one > 2)]
        for name, direction in (("entry", 1.0), ("exit", -1.0)):
            if f"{name}_time" in trades.columns and f"{name}_price" in trades.columns:
                parts.append(
                    (
                        clock(trades, f"{name}_time")[kept],
                        column(trades, f"{name}_price")[kept],
                        direction * sign[kept],
                        quantity[kept],
                        name == "entry",
                        kept,
                    )
                )
    time = np.concatenate([p[0] for p in parts])
    good = time > NO_TIME
    open_time = np.asarray(candles.open_time, dtype=np.int64)
    bar = bars_at(time, open_time, int(candles.interval_ms))
    entry = np.concatenate([np.full(len(p[0]), p[4]) for p in parts])
    joined = [np.concatenate([p[i] for p in parts])[good] for i in (1, 2, 3, 5)]
    price, sign_, size, trade = joined
    return Fills(time[good], price, sign_, size, entry[good], trade, bar[good], other)


NO_TIME = -253_402_300_800_000  # what `milliseconds` gives for no time


def clock(trades: pl.DataFrame, name: str) -> Ints:
    """Read a column of times as milliseconds UTC."""
    column = trades[name]
    if column.dtype == pl.Null:
        column = column.cast(pl.Int64)
    return np.asarray(milliseconds(name, column), dtype=np.int64)


def bars_at(time: Ints, open_time: Ints, step: int) -> Ints:
    """Find the bar that each time falls into, the last one at its close too; -1 where there is none."""
    if not len(open_time):
        return np.full(len(time), -1, dtype=np.int64)
    at = np.searchsorted(open_time, time, side="right") - 1
    inside = (at >= 0) & (time < open_time[np.maximum(at, 0)] + step)
    # What happens at a close is dated on the next open, which may not be there.
    ended = (at >= 0) & (time == open_time[np.maximum(at, 0)] + step)
    return np.where(inside | ended, at, -1)


def of_symbol(trades: pl.DataFrame, candles: Any) -> tuple[pl.DataFrame, int]:
    """Rows of the candles' symbol, where the table names several and this is one of them."""
    if "symbol" not in trades.columns:
        return trades, 0
    names = [plain_name(str(s)) for s in trades["symbol"].to_list()]
    wanted = plain_name(str(getattr(candles, "symbol", "") or ""))
    mine = np.array([bool(wanted) and n.startswith(wanted) for n in names], dtype=bool)
    if len(set(names)) < 2 or not mine.any():
        return trades, 0
    return trades.filter(pl.Series(mine)), int((~mine).sum())


def begun(code: str, trades: Any, candles: Any, gate: Gate) -> tuple[pl.DataFrame, Fills] | Finding:
    """Give the fills on their bars, or why there is nothing to judge."""
    frame = frame_of(trades)
    held = _fills(frame, candles)
    if held is None:
        return made(
            code,
            "inconclusive",
            "the trades tell no times and prices",
            gate=gate,
            remedy=NEEDS_PRICES,
        )
    if not len(held.time):
        return made(code, "inconclusive", "no fill to look at", gate=gate, remedy=NEEDS_PRICES)
    if not len(candles):
        return made(
            code,
            "inconclusive",
            "no bars to look at",
            gate=gate,
            remedy="give candles of the trades' span",
        )
    if np.all(held.bar < 0):
        return made(
            code,
            "inconclusive",
            f"none of {plural(len(held.time), 'fill')} falls into the candles",
            measured=Measured("fills in the candles", 0, "count", n=len(held.time)),
            gate=gate,
            evidence=_span(held, candles),
            remedy="give candles of the trades' span, in the time zone of the trades",
        )
    return frame, held


def _span(held: Fills, candles: Any) -> dict[str, Any]:
    stamps = [
        int(held.time.min()),
        int(held.time.max()),
        int(candles.open_time[0]),
        int(candles.open_time[-1]),
    ]
    names = ("first_fill", "last_fill", "first_bar", "last_bar")
    return {n: _moment(s) for n, s in zip(names, stamps, strict=True)}


def _moment(ms: int) -> str:
    return str(np.datetime64(ms, "ms").astype("datetime64[s]"))


def rows_of(held: Fills, bad: NDArray[np.bool_], candles: Any) -> dict[str, Any]:
    """List the first offending fills with the prices of their bars."""
    index = np.flatnonzero(bad)

    def row(i: int) -> dict[str, Any]:
        b = int(held.bar[i])
        facts: dict[str, Any] = {
            "trade": int(held.trade[i]),
            "fill": "entry" if held.entry[i] else "exit",
            "time": _moment(int(held.time[i])),
            "price": float(held.price[i]),
        }
        if b >= 0:
            facts |= {
                name: float(getattr(candles, name)[b]) for name in ("open", "high", "low", "close")
            }
        return facts

    return capped((row(int(i)) for i in index), len(index))


def price_range(held: Fills, candles: Any) -> tuple[Floats, Floats]:
    """Lowest and highest price that a fill may have: of its bar, at its open of the bar before too."""
    low, high = np.asarray(candles.low), np.asarray(candles.high)
    at = np.maximum(held.bar, 0)
    floor, top = low[at].copy(), high[at].copy()
    opens = np.asarray(candles.open_time, dtype=np.int64)
    edge = (
        (held.bar > 0)
        & (held.time == opens[at])
        & (opens[at] - opens[np.maximum(at - 1, 0)] == candles.interval_ms)
    )
    before = np.maximum(at - 1, 0)
    floor[edge] = np.minimum(floor[edge], low[before[edge]])
    top[edge] = np.maximum(top[edge], high[before[edge]])
    return floor, top


def alone(outcome: Outcome, n: int) -> Outcome:
    """Take a pass of fewer than 2 for what it is: one case proves no rule."""
    return "inconclusive" if outcome == "pass" and n < 2 else outcome
