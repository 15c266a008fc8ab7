"""Trades of any tool under one set of names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from barproof.candles.columns import plain
from barproof.candles.sources import load
from barproof.errors import ParameterError
from barproof.results import freqtrade
from barproof.results.fills import FILL_COLUMNS, fills_of, is_fills, round_trips
from barproof.results.naming import Table, clean, moments, number

__all__ = ["TRADE_COLUMNS", "Intake", "holds_trades", "read_trades", "take_trades"]

TRADE_COLUMNS = (
    "return",
    "entry_time",
    "exit_time",
    "side",
    "entry_price",
    "exit_price",
    "quantity",
    "fees",
    "pnl",
    "symbol",
    "reason",
    "signal_time",
    "leverage",
    "stop",
)
"""Columns of a table of trades; `return` is needed, or what it follows from."""

# Column names as small letters and digits. Sources: documentation and exports of the tools named in docs/results.md.
_ALIASES: dict[str, tuple[str, ...]] = {
    "return": ("returnpct", "profitratio", "netreturn", "tradereturn", "ret", "returns"),
    "entry_time": tuple(
        "entrytimestamp entrydate entrydatetime entryindex opendate opentime opentimestamp opened openedat "
        "dateopened".split()
    ),
    "exit_time": tuple(
        "exittimestamp exitdate exitdatetime exitindex closedate closetime closetimestamp closed closedat "
        "dateclosed".split()
    ),
    "side": ("direction", "positionside", "longshort", "type", "action"),
    "entry_price": ("avgentryprice", "openrate", "openprice", "entry"),
    "exit_price": ("avgexitprice", "closerate", "closeprice", "exit"),
    "quantity": ("size", "amount", "qty", "shares", "contracts", "units"),
    "fees": ("fee", "commission", "commissions", "totalfees"),
    "pnl": ("profitabs", "profit", "netpnl", "netprofit", "realizedpnl", "realizedprofit"),
    "symbol": ("pair", "ticker", "instrument", "market", "asset", "column"),
    "reason": ("exitreason", "exittag", "sellreason", "tag"),
    "signal_time": ("signaldate", "signaltimestamp", "decisiontime"),
    "leverage": (),
    "stop": ("stoploss", "sl", "stoplossabs"),
}
_PERCENTS = (
    "return",
    "returns",
    "profit",
    "pnl",
    "netpnl",
    "pl",
    "netpl",
    "netprofit",
    "profitloss",
)
_OPEN = ("open", "0", "false")
_LONG = ("long", "buy", "l", "b", "1", "entrylong", "false")
_SHORT = ("short", "sell", "s", "1short", "entryshort", "true")


class Intake(NamedTuple):
    """Trades of another tool, and what was understood of them.

    Attributes
    ----------
    trades : polars.DataFrame
        Columns of :data:`TRADE_COLUMNS`, those that are known.
    fills : polars.DataFrame or None
        The single fills, where the source holds them.
    tool : str
        Whose form it was: "backtesting.py", "vectorbt", "freqtrade", "fills" or "table".
    notes : list of str
        What was taken for what, and what was left out.
    """

    trades: pl.DataFrame
    fills: pl.DataFrame | None
    tool: str
    notes: list[str]


def read_trades(
    source: Any, *, columns: Mapping[str, str] | None = None, strategy: str | None = None
) -> pl.DataFrame:
    """Read the trades of any tool.

    Parameters
    ----------
    source : path, frame, or result
        CSV, Parquet or Feather with a row a trade, or with a row a fill; freqtrade's result as JSON or zip; a frame of
        polars or pandas; the statistics that backtesting.py gives (its `_trades`), a portfolio of vectorbt (its
        `trades.records_readable`).
    columns : mapping of str to str, optional
        Which column holds what: keys of :data:`barproof.results.TRADE_COLUMNS`, such as ``{"return": "net_pct"}``.
        Names of the tools above are known.
    strategy : str, optional
        Which of several strategies of a freqtrade result.

    Returns
    -------
    polars.DataFrame
        `return` (a fraction, net where fees are told), and of the others those that are known: `entry_time`,
        `exit_time` (UTC), `side` ("long", "short"), `entry_price`, `exit_price`, `quantity`, `fees`, `pnl`, `symbol`,
        `reason`, `signal_time`, `leverage`, `stop`. Trades that are still open are left out. Texts are stripped of
        control characters.

    Raises
    ------
    ParameterError
        If returns are neither there nor follow from prices and sides; says what is needed and what is there.
    FileError, LayoutError, CandleError
        If a file cannot be read, or a column holds what it cannot.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"Direction": ["Long"], "Avg Entry Price": [100.0], "Avg Exit Price": [101.0]})
    >>> read_trades(table)["return"].round(4).to_list()
    [0.01]
    """
    return take_trades(source, columns=columns, strategy=strategy).trades


def take_trades(
    source: Any, *, columns: Mapping[str, str] | None = None, strategy: str | None = None
) -> Intake:
    """Read the trades of any tool, and say what was understood.

    Parameters
    ----------
    source, columns, strategy
        As for :func:`read_trades`.

    Returns
    -------
    Intake
        Trades, fills where there are any, whose form it was, and notes.

    Raises
    ------
    ParameterError, FileError, LayoutError, CandleError
        As :func:`read_trades`.
    """
    frame, notes = _raw(source, strategy)
    tool = _tool(frame.columns)
    given = dict(columns or {})
    if is_fills(frame.columns) and not set(given) - set(FILL_COLUMNS):
        table = Table(frame, given, FILL_COLUMNS, "fills")
        fills = fills_of(table)
        trades = round_trips(fills)
        notes += table.notes
        notes.append(f"{fills.height:,} fills make {trades.height:,} trades from flat to flat")
        if "fees" not in fills.columns:
            notes.append("the fills tell no fees: returns are before costs")
        return Intake(trades, fills, "fills", notes)
    table = Table(frame, given, TRADE_COLUMNS, "trades")
    made = _made(table)
    told = [n for n in table.notes if " is taken for " in n]
    if tool != "table" and told:
        # Its names are known: one line says it.
        notes.append(f"{made.height:,} trades of {tool}, under its names")
        table.notes = [n for n in table.notes if n not in told]
    return Intake(made, None, tool, [*notes, *table.notes])


def holds_trades(path: Path) -> bool:
    """Whether a file holds trades or fills of some tool, and no candles.

    Parameters
    ----------
    path : Path
        A file of candles, trades or fills.

    Returns
    -------
    bool
        True for a result of freqtrade, and for a table that has no high and low but returns, or prices of entry and
        exit, or fills.
    """
    if path.suffix.lower() == ".json" or _is_freqtrade_zip(path):
        return True
    columns = load(path, name="source")[0].columns
    names = {plain(column) for column in columns}
    if names >= {"high", "low"}:
        return False
    priced = any(names & {plain(n), *_ALIASES[n]} for n in ("entry_price",)) and any(
        names & {plain(n), *_ALIASES[n]} for n in ("exit_price",)
    )
    return bool(names & {"return", *_ALIASES["return"]}) or priced or is_fills(columns)


def _is_freqtrade_zip(path: Path) -> bool:
    """Whether an archive holds a JSON document."""
    import zipfile

    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(m.lower().endswith(".json") for m in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _raw(source: Any, strategy: str | None) -> tuple[pl.DataFrame, list[str]]:
    """Rows under the tool's own names."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() == ".json" or _is_freqtrade_zip(path):
            if not path.is_file():
                return load(path, name="trades")[0], []
            frame, name = freqtrade.trades_of(freqtrade.read_document(path), strategy)
            return frame, [f"{frame.height:,} trades of strategy `{name}` in a result of freqtrade"]
        return load(path, name="trades")[0], []
    if freqtrade.is_document(source):
        frame, name = freqtrade.trades_of(source, strategy)
        return frame, [f"{frame.height:,} trades of strategy `{name}` in a result of freqtrade"]
    inner = getattr(source, "_trades", None)
    if inner is not None and hasattr(inner, "columns"):
        return load(inner, name="trades")[0], []
    records = getattr(getattr(source, "trades", None), "records_readable", None)
    if records is not None and hasattr(records, "columns"):
        return load(records, name="trades")[0], []
    return load(source, name="trades")[0], []


def _tool(columns: list[str]) -> str:
    """Whose names the columns have."""
    names = set(columns)
    if {"EntryBar", "ReturnPct"} <= names:
        return "backtesting.py"
    if {"Avg Entry Price", "Position Id"} <= names:
        return "vectorbt"
    if {"open_rate", "profit_ratio"} <= names:
        return "freqtrade"
    if {"agg_pnl", "return_pct"} <= names:
        return "pybroker"
    return "table"


def _made(table: Table) -> pl.DataFrame:
    """Columns of the contract from a table."""
    table_frame = table.frame
    found = {name: table.find(name, _ALIASES[name]) for name in TRADE_COLUMNS}
    columns: dict[str, pl.Series] = {}
    for name, column in found.items():
        if column is None or name in ("side", "return", "pnl"):
            continue
        given = table_frame[column]
        if name.endswith("_time"):
            columns[name] = moments(given, column).alias(name)
        elif name in ("symbol", "reason"):
            texts = [None if v is None else clean(v) for v in given.to_list()]
            columns[name] = pl.Series(name, texts, dtype=pl.String)
        elif name == "stop" and not given.dtype.is_numeric():
            continue
        else:
            columns[name] = number(given, column)[0].alias(name)
    _add_fees(table, columns)
    side = _side(table, found["side"], columns.get("quantity"))
    if side is not None:
        columns["side"] = side
    if "quantity" in columns:
        columns["quantity"] = columns["quantity"].abs()
    _add_money(table, found, columns)
    if "return" not in columns:
        columns["return"] = _computed(table, columns)
    frame = pl.DataFrame({name: columns[name] for name in TRADE_COLUMNS if name in columns})
    closed = _closed(table)
    if closed is not None and not closed.all():
        table.notes.append(f"{int((~closed).sum()):,} trades that are still open are left out")
        frame = frame.filter(closed)
    return frame


def _add_fees(table: Table, columns: dict[str, pl.Series]) -> None:
    """Fees of entry and exit, where they stand apart."""
    if "fees" in columns:
        columns["fees"] = columns["fees"].abs()
        return
    by = {plain(c): c for c in table.frame.columns}
    if "entryfees" in by and "exitfees" in by:
        two = [number(table.frame[by[n]], by[n])[0].abs() for n in ("entryfees", "exitfees")]
        columns["fees"] = (two[0] + two[1]).alias("fees")


def _add_money(
    table: Table, found: Mapping[str, str | None], columns: dict[str, pl.Series]
) -> None:
    """Add returns and profits; a name with a percent sign, or values with one, are percents."""
    column = found["return"]
    if column is None:
        percents = (c for c in table.frame.columns if "%" in c and plain(c) in _PERCENTS)
        column = next(percents, None)
        if column is not None:
            table.notes.append(f"`{clean(column)}` is taken for `return` of the trades")
    if column is not None:
        values, percent = number(table.frame[column], column)
        if percent or "%" in column or _reads_as_percent(column, values, columns):
            table.notes.append(f"`{clean(column)}` is in percent: divided by 100")
            values = values / 100.0
        columns["return"] = values.alias("return")
        if _tool(table.frame.columns) == "pybroker":
            table.notes.append("trades of pybroker carry no fees: `return` is before them")
    money = found["pnl"]
    if money is not None and "%" not in money:
        columns["pnl"] = number(table.frame[money], money)[0].alias("pnl")


def _reads_as_percent(column: str, values: pl.Series, columns: Mapping[str, pl.Series]) -> bool:
    """Tell percents by their prices where the name leaves it open.

    One tool's ``return_pct`` is a fraction, another's a percent; costs and rounding move a return by far less than the
    factor of a hundred that is asked about.
    """
    if "pct" not in plain(column) and "percent" not in plain(column):
        return False
    if "entry_price" not in columns or "exit_price" not in columns:
        return False
    entry, leave = columns["entry_price"].to_numpy(), columns["exit_price"].to_numpy()
    told = np.abs(values.to_numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(leave / entry - 1.0)
        # Small moves drown in costs and in two decimals.
        ratio = told[moved > 0.001] / moved[moved > 0.001]
    ratio = ratio[np.isfinite(ratio)]
    return bool(ratio.size and np.median(ratio) > 30.0)


def _side(table: Table, column: str | None, quantity: pl.Series | None) -> pl.Series | None:
    """Read sides: from words, from flags, or from signed quantities."""
    by = {plain(c): c for c in table.frame.columns}
    if column is None and "isshort" in by:
        flags = table.frame[by["isshort"]].to_list()
        return pl.Series(
            "side",
            [
                None if f is None else "short" if f in (True, 1, "true", "True") else "long"
                for f in flags
            ],
            dtype=pl.String,
        )
    if column is not None:
        out: list[str | None] = []
        for value in table.frame[column].to_list():
            word = plain(str(value))
            out.append("long" if word in _LONG else "short" if word in _SHORT else None)
        if any(s is not None for s in out):
            return pl.Series("side", out, dtype=pl.String)
    signed = _tool(table.frame.columns) == "backtesting.py"
    if quantity is not None and (signed or bool((quantity < 0).any())):
        if not signed:
            table.notes.append("negative quantities are taken for shorts")
        return pl.Series(
            "side", np.where(quantity.to_numpy() < 0, "short", "long"), dtype=pl.String
        )
    return None


def _computed(table: Table, columns: Mapping[str, pl.Series]) -> pl.Series:
    """Compute returns from prices, sides and fees."""
    needed = [name for name in ("entry_price", "exit_price") if name not in columns]
    if needed:
        raise ParameterError(
            f"the trades have no column `return` (net, a fraction), nor {' and '.join(needed)} to compute it from, but "
            f"{table.listed}: say which column is which with `columns={{'return': ...}}` or "
            "`--trade-column return=NAME`"
        )
    entry, leave = columns["entry_price"].to_numpy(), columns["exit_price"].to_numpy()
    if "side" in columns:
        short = (columns["side"] == "short").fill_null(False).to_numpy()
    else:
        short = np.zeros(len(entry), dtype=bool)
        table.notes.append("the trades tell no side: all are taken for long")
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(short, -1.0, 1.0) * (leave / entry - 1.0)
        if "fees" in columns and "quantity" in columns:
            moved = moved - columns["fees"].to_numpy() / (columns["quantity"].to_numpy() * entry)
            table.notes.append("`return` is computed from prices, sides and fees")
        else:
            table.notes.append("`return` is computed from prices and sides, before costs")
    return pl.Series("return", moved)


def _closed(table: Table) -> pl.Series | None:
    """Which trades have ended, where the table says it."""
    by = {plain(c): c for c in table.frame.columns}
    if "status" in by:
        words = [plain(str(v)) for v in table.frame[by["status"]].to_list()]
        return pl.Series([w not in _OPEN for w in words], dtype=pl.Boolean)
    if "isopen" in by:
        flags = table.frame[by["isopen"]].to_list()
        return pl.Series([str(f).lower() not in ("true", "1") for f in flags], dtype=pl.Boolean)
    return None
