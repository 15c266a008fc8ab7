"""Fills of a broker, and the round trips that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from barproof.candles.columns import plain
from barproof.candles.sources import load
from barproof.errors import LayoutError, ParameterError
from barproof.results.naming import Table, clean, moments, number

__all__ = ["FILL_COLUMNS", "fills_of", "is_fills", "read_fills", "round_trips"]

FILL_COLUMNS = ("time", "side", "price", "quantity", "fees", "symbol")
"""Columns of a table of fills; the first four are needed."""

_ALIASES = {
    "time": (
        "timestamp datetime date dateutc timeutc filltime filledtime filledat executiontime executedat tradetime "
        "tradedate transactiontime createdat orderdate dateandtime".split()
    ),
    "side": ("buysell", "action", "type", "direction", "transactiontype", "ordertype"),
    "price": (
        "fillprice",
        "tradeprice",
        "tprice",
        "executionprice",
        "avgprice",
        "averageprice",
        "rate",
        "execprice",
    ),
    "quantity": (
        "qty",
        "size",
        "amount",
        "volume",
        "shares",
        "units",
        "executed",
        "filled",
        "contracts",
        "filledqty",
    ),
    "fees": ("fee", "commission", "commissions", "commfee", "ibcommission", "feepaid"),
    "symbol": ("ticker", "pair", "instrument", "market", "asset", "column", "contract"),
}
_BUYS = ("buy", "b", "bot", "bought", "long", "bid", "0")
_SELLS = ("sell", "s", "sld", "sold", "short", "ask", "1")
_DUST = 1e-9  # of the largest position: what float arithmetic leaves of a closed one


def is_fills(columns: list[str]) -> bool:
    """Whether the names are those of fills, and not of trades that have an entry and an exit."""
    names = {plain(c) for c in columns}
    has = {field: bool(names & {plain(field), *_ALIASES[field]}) for field in FILL_COLUMNS[:4]}
    pairs = any(n.startswith(("entry", "exit", "open", "close")) for n in names)
    return all(has.values()) and not pairs


def read_fills(source: Any, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read the fills of a broker or of a tool's orders.

    Parameters
    ----------
    source : path or frame
        CSV, Parquet, Feather, or a frame; a row a fill.
    columns : mapping of str to str, optional
        Which column holds `time`, `side`, `price`, `quantity`, `fees`, `symbol`; the usual names are known.

    Returns
    -------
    polars.DataFrame
        `time` (UTC), `side` ("buy" or "sell"), `price`, `quantity` (> 0), `fees`, `symbol`; in time order.

    Raises
    ------
    ParameterError
        If a needed column is not found; says which.
    LayoutError
        If a side is neither buy nor sell.

    Examples
    --------
    >>> import polars as pl
    >>> fills = pl.DataFrame({"Date": ["2024-01-01", "2024-01-02"], "Side": ["BUY", "SELL"], "Price": [10.0, 11.0],
    ...                       "Qty": [1.0, 1.0]})
    >>> read_fills(fills)["side"].to_list()
    ['buy', 'sell']
    """
    frame, _ = load(source, name="fills")
    return fills_of(Table(frame, columns, FILL_COLUMNS, "fills"))


def fills_of(table: Table) -> pl.DataFrame:
    """Take the fills out of a table."""
    found = {name: table.find(name, _ALIASES[name]) for name in FILL_COLUMNS}
    missing = [name for name in FILL_COLUMNS[:4] if found[name] is None and name != "side"]
    if missing:
        raise ParameterError(
            f"the fills lack {', '.join(missing)}; they have {table.listed}: say which column is which with "
            "`columns={'price': ...}`"
        )
    frame = table.frame
    quantity, _ = number(frame[str(found["quantity"])], "quantity")
    signed = quantity.to_numpy()
    if found["side"] is None:
        if not (signed < 0).any():
            raise ParameterError(
                "the fills lack side, and no quantity is negative; name the column with `columns={'side': ...}`"
            )
        sides = ["buy" if q >= 0 else "sell" for q in signed.tolist()]
    else:
        sides = _sides(frame[found["side"]])
    price, _ = number(frame[str(found["price"])], "price")
    made = {
        "time": moments(frame[str(found["time"])], "time"),
        "side": pl.Series("side", sides, dtype=pl.String),
        "price": price.alias("price"),
        "quantity": pl.Series("quantity", np.abs(signed)),
    }
    if found["fees"] is not None:
        # Brokers write what they charge as a positive or a negative number.
        made["fees"] = number(frame[found["fees"]], "fees")[0].abs().alias("fees")
    if found["symbol"] is not None:
        named = [None if s is None else clean(s) for s in frame[found["symbol"]].to_list()]
        made["symbol"] = pl.Series("symbol", named, dtype=pl.String)
    out = pl.DataFrame(made)
    bad = np.flatnonzero(
        ~(np.isfinite(out["price"].to_numpy()) & (out["quantity"].to_numpy() > 0))
        | out["time"].is_null().to_numpy()
    )
    if len(bad):
        raise LayoutError(
            f"fill {int(bad[0])} has no time, price or quantity ({len(bad):,} such rows): leave out what was not filled"
        )
    return out.sort("time", maintain_order=True)


def _sides(column: pl.Series) -> list[str]:
    """Read sides in the words of brokers."""
    out = []
    for i, value in enumerate(column.to_list()):
        word = plain(str(value))
        if word in _BUYS or word.startswith("buy"):
            out.append("buy")
        elif word in _SELLS or word.startswith("sell"):
            out.append("sell")
        else:
            raise LayoutError(
                f"side of fill {i} must be buy or sell, was {clean(value)!r}: clean the column"
            )
    return out


def round_trips(fills: pl.DataFrame) -> pl.DataFrame:
    """Make trades of fills: each from flat to flat, by symbol.

    Parameters
    ----------
    fills : polars.DataFrame
        From :func:`read_fills`.

    Returns
    -------
    polars.DataFrame
        `symbol`, `side`, `entry_time`, `exit_time`, `entry_price`, `exit_price` (means by quantity), `quantity`,
        `fees`, `pnl`, `return` (pnl over the entry's notional), `fills`. A fill that turns a position counts for both;
        what is still open is left out.

    Notes
    -----
    Lots are not matched: a position that is scaled in and out is one trade, so that one decision is not counted often.
    """
    trades: list[dict[str, Any]] = []
    named = fills if "symbol" in fills.columns else fills.with_columns(symbol=pl.lit(""))
    if "fees" not in named.columns:
        named = named.with_columns(fees=pl.lit(0.0))
    for (symbol,), rows in named.group_by(["symbol"], maintain_order=True):
        trades += _walk(str(symbol or ""), rows)
    schema: dict[str, Any] = {
        "symbol": pl.String,
        "side": pl.String,
        "entry_time": pl.Datetime("ms", "UTC"),
        "exit_time": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(
            ("entry_price", "exit_price", "quantity", "fees", "pnl", "return"), pl.Float64
        ),
        "fills": pl.Int64,
    }
    return pl.DataFrame(trades, schema=schema, orient="row").sort("exit_time", maintain_order=True)


def _walk(symbol: str, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Follow the position of one symbol from flat to flat."""
    out: list[dict[str, Any]] = []
    held = 0.0
    trip: dict[str, Any] = {}
    for time, side, price, quantity, fee in rows.select(
        "time", "side", "price", "quantity", "fees"
    ).iter_rows():
        left, sign = quantity, 1.0 if side == "buy" else -1.0
        while left > 0:
            if not trip:
                trip = {
                    "sign": sign,
                    "start": time,
                    "in": 0.0,
                    "out": 0.0,
                    "paid": 0.0,
                    "got": 0.0,
                    "fees": 0.0,
                    "n": 0,
                }
            adds = sign == trip["sign"]
            part = left if adds else min(left, abs(held))
            trip["in" if adds else "out"] += part
            trip["paid" if adds else "got"] += part * price
            trip["fees"] += (fee or 0.0) * part / quantity
            trip["n"] += 1
            held += sign * part
            left -= part
            if abs(held) <= _DUST * trip["in"]:
                out.append(_closed(symbol, trip, time))
                held, trip = 0.0, {}
                if left <= _DUST * quantity:
                    break
    return out


def _closed(symbol: str, trip: dict[str, Any], time: Any) -> dict[str, Any]:
    """Make the row of a trade that ended."""
    entry, leave = trip["paid"] / trip["in"], trip["got"] / trip["out"]
    pnl = trip["sign"] * (leave - entry) * trip["in"] - trip["fees"]
    return {
        "symbol": symbol,
        "side": "long" if trip["sign"] > 0 else "short",
        "entry_time": trip["start"],
        "exit_time": time,
        "entry_price": entry,
        "exit_price": leave,
        "quantity": trip["in"],
        "fees": trip["fees"],
        "pnl": pnl,
        "return": pnl / trip["paid"] if trip["paid"] else float("nan"),
        "fills": trip["n"],
    }
