"""Equity curves of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from barproof.candles.sources import load
from barproof.errors import LayoutError, ParameterError
from barproof.results.naming import Table, moments, number

__all__ = ["EQUITY_COLUMNS", "read_equity"]

EQUITY_COLUMNS = ("time", "equity")
"""Columns of a table of equity."""

_ALIASES = {
    "time": ("opentime", "timestamp", "date", "datetime", "index", "column0", "unnamed0", ""),
    "equity": (
        "value",
        "balance",
        "nav",
        "portfoliovalue",
        "accountvalue",
        "totalvalue",
        "netliquidation",
        "0",
        "close",
    ),
}


def read_equity(source: Any, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read the equity curve of any tool.

    Parameters
    ----------
    source : path, frame, or result
        CSV, Parquet, Feather, a frame; the statistics of backtesting.py (its `_equity_curve`), a portfolio of vectorbt
        (its `value()`).
    columns : mapping of str to str, optional
        Which column holds `time` and `equity`; the usual names are known.

    Returns
    -------
    polars.DataFrame
        `time` (UTC) and `equity`, in time order.

    Raises
    ------
    ParameterError
        If a column is not found; says which.
    LayoutError
        If an equity is no finite number.

    Examples
    --------
    >>> import polars as pl
    >>> read_equity(pl.DataFrame({"Date": ["2024-01-01", "2024-01-02"], "Equity": [100.0, 101.0]})).columns
    ['time', 'equity']
    """
    held = getattr(source, "_equity_curve", None)
    if held is not None and hasattr(held, "columns"):
        source = held
    elif callable(getattr(source, "value", None)) and hasattr(source, "trades"):
        source = source.value().to_frame("equity")
    frame, _ = load(source, name="equity")
    table = Table(frame, columns, EQUITY_COLUMNS, "equity")
    found = {name: table.find(name, _ALIASES[name]) for name in EQUITY_COLUMNS}
    missing = [name for name, column in found.items() if column is None]
    if missing:
        raise ParameterError(
            f"the equity lacks {' and '.join(missing)}; it has {table.listed}: say which column is which with "
            "`columns={'equity': ...}`"
        )
    out = pl.DataFrame(
        {
            "time": moments(frame[str(found["time"])], "time"),
            "equity": number(frame[str(found["equity"])], "equity")[0].alias("equity"),
        }
    )
    bad = ~out["equity"].is_finite() | out["time"].is_null()
    if bad.any():
        row = int(bad.arg_true()[0])
        raise LayoutError(
            f"row {row} of the equity has no time or no finite number: leave out what is unknown"
        )
    return out.sort("time", maintain_order=True)
