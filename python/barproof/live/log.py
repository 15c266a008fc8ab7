"""`LiveLog`: what a live system saw, computed and did, bar by bar."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof._shown import shown
from barproof.errors import FileError, in_one_line
from barproof.live.sums import differing
from barproof.rules import Rules

__all__ = ["BARS", "DECISIONS", "FILE", "LiveLog"]

FILE = "live.sqlite"
TIME = pl.Datetime("us", "UTC")

BARS: dict[str, Any] = {
    "symbol": pl.String,
    "open_time": TIME,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "taker_buy_volume": pl.Float64,
}
DECISIONS: dict[str, Any] = {
    "symbol": pl.String,
    "open_time": TIME,
    "close_time": TIME,
    "decided_at": TIME,
    "feature_digest": pl.String,
    "p_long": pl.Float64,
    "p_short": pl.Float64,
    "p_exit_long": pl.Float64,
    "p_exit_short": pl.Float64,
    "signal": pl.String,
    "side": pl.String,
    "equity": pl.Float64,
    "withheld": pl.String,
    "model_digest": pl.String,
    "rules_digest": pl.String,
    "code": pl.String,
    "decision": pl.String,
}
"""Columns of :attr:`LiveLog.decisions`, all of which are there; what a log does not tell is null."""

EVENTS: dict[str, Any] = {
    "sequence": pl.Int64,
    "time": TIME,
    "kind": pl.String,
    "symbol": pl.String,
    "body": pl.String,
}
FORMATS = ("live/1",)
# Where symbols differ.
_BY_SYMBOL = {
    "features": ("features_by_symbol", "features"),
    "instrument": ("instruments",),
    "history_from": ("history_from",),
}
_TABLES = ("session", "bars", "decisions", "trades", "events")
_MOMENTS = ("entry_time", "exit_time", "signal_time")


@shown(lambda self: self.decisions)
@dataclass(frozen=True, eq=False)
class LiveLog:
    """What a live system logged.

    Made by :meth:`read` from the state of a ``LiveSession``, or by :meth:`foreign` from anybody's table.

    Attributes
    ----------
    bars : polars.DataFrame
        Closed bars as they were seen: `symbol`, `open_time` (UTC, as all times here), `open`, `high`, `low`, `close`,
        `volume`, and further columns of prices. Empty where the log holds none.
    decisions : polars.DataFrame
        One row a bar and symbol: `close_time` of the bar and `decided_at`, `feature_digest`, `p_long`, `p_short`,
        `p_exit_long`, `p_exit_short` (NaN or null: none), `signal` (side that the rules ask for at this close, long,
        short or flat), `side` (position after the bar), `equity` (quote, marked at the close), `withheld` (why no entry
        was allowed), `model_digest`, `rules_digest`, `code`, `decision` (JSON). Null where the log does not say.
    features : polars.DataFrame
        `symbol`, `open_time` and one Float64 column a feature; no rows where values were not logged.
    trades : polars.DataFrame
        Closed trades with the columns of ``Result.trades``, and `symbol`.
    events : polars.DataFrame
        `sequence`, `time`, `kind`, `symbol`, `body` (JSON): funding, fills, gaps, changes of the model.
    session : dict
        What was written once: interval, symbols, rules, costs, instrument, digests.
    own : bool
        Whether a ``LiveSession`` wrote it, so that bits can be asked for.
    notes : tuple of str
        What of a foreign table was taken for what, or not at all.
    source : str
        Where it was read from.
    """

    bars: pl.DataFrame
    decisions: pl.DataFrame
    features: pl.DataFrame
    trades: pl.DataFrame
    events: pl.DataFrame
    session: dict[str, Any]
    own: bool = True
    notes: tuple[str, ...] = ()
    source: str = field(default="", repr=False)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols with decisions, in the order in which they come."""
        return tuple(self.decisions["symbol"].unique(maintain_order=True).drop_nulls())

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features of the first symbol, in the order of the log."""
        return self.features_of(self.symbols[0]) if self.symbols else ()

    def features_of(self, symbol: str) -> tuple[str, ...]:
        """Names of the features of a symbol.

        Parameters
        ----------
        symbol : str
            Of the log.

        Returns
        -------
        tuple of str
            In the order in which they enter the model.
        """
        told = self.told("features", symbol)
        if isinstance(told, list):
            return tuple(str(name) for name in told)
        return tuple(name for name in self.features.columns if name not in ("symbol", "open_time"))

    def told(self, key: str, symbol: str) -> Any:
        """Entry of the session, where symbols differ that of one of them.

        Parameters
        ----------
        key : str
            Of :attr:`session`.
        symbol : str
            Of the log.

        Returns
        -------
        object
            None where the log does not say.
        """
        for name in _BY_SYMBOL.get(key, ()):
            held = self.session.get(name)
            if isinstance(held, Mapping) and symbol in held:
                return held[symbol]
        return self.session.get(key)

    def __len__(self) -> int:
        return self.decisions.height

    def __repr__(self) -> str:
        kind = "session" if self.own else "foreign"
        values = "with" if self.features.height else "without"
        return (
            f"LiveLog({kind}, {', '.join(self.symbols) or 'no symbol'}, {len(self):,} decisions, "
            f"{len(self.feature_names)} features {values} values, {self.trades.height:,} trades)"
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LiveLog:
        """Read the log of a ``LiveSession``, also while it runs.

        The file is opened for reading alone: nothing that is done here can disturb the session.

        Parameters
        ----------
        path : path-like
            State folder of the session, or the file ``live.sqlite`` in it.

        Returns
        -------
        LiveLog
            As of the last transaction.

        Raises
        ------
        FileError
            If there is no log, it is damaged, or of a format that this version does not know.
        """
        given = Path(path)
        file = given / FILE if given.is_dir() else given
        if not file.is_file():
            raise FileError(
                f"there is no live log at {str(given)!r}: give the state folder of a session, or its {FILE}"
            )
        try:
            with closing(sqlite3.connect(_address(file), uri=True)) as base:
                base.execute("BEGIN")
                return _from_base(base, str(file))
        except FileError:
            raise
        except Exception as error:
            # A forged file can fail anywhere.
            raise FileError(
                f"live log {str(file)!r} cannot be read: {in_one_line(error)}; it is damaged, or was "
                "written by something else"
            ) from error

    @classmethod
    def foreign(
        cls,
        source: Any,
        *,
        columns: Mapping[str, str] | None = None,
        features: Sequence[str] | None = None,
        symbol: str | None = None,
        interval: str | None = None,
        stamp: str = "open",
        trades: Any = None,
        bars: Any = None,
        session: Mapping[str, Any] | None = None,
    ) -> LiveLog:
        """Read a table of times, features, probabilities and decisions of anybody's bot.

        Parameters
        ----------
        source : path, frame, Arrow table or mapping
            Parquet, Feather or CSV, or columns of numbers; one row a bar.
        columns : mapping of str to str, optional
            Which column holds what: `open_time`, `close_time`, `decided_at`, `symbol`, `p_long`, `p_short`,
            `p_exit_long`, `p_exit_short`, `side`, `signal`, `equity`, `model_digest`, or a feature by its name in the
            model, such as ``{"open_time": "ts", "p_long": "prob_up", "rsi(14)": "RSI_14"}``. Default: usual names.
        features : sequence of str, optional
            Columns that are features, in the order in which the bot gives them to its model. Default: all columns of
            numbers that are nothing else.
        symbol : str, optional
            Market, where no column says it. Default: that of the candles it is compared with.
        interval : str, optional
            Length of a bar, such as ``"5m"``. Default: the most frequent distance of the rows.
        stamp : {"open", "close"}, default "open"
            What the time of a row is: the opening or the close of its bar.
        trades : path, frame or mapping, optional
            The bot's trades, as :func:`barproof.read_trades` reads them; the prices are those of real fills.
        bars : path, frame or Candles, optional
            Bars as the bot saw them.
        session : mapping, optional
            Its configuration, compared with yours entry by entry: ``{"rules": {"entry_long": 0.75}, "costs": {...}}``.

        Returns
        -------
        LiveLog
            With `notes` of what was taken for what.

        Raises
        ------
        LayoutError
            If there is no time, or neither features nor probabilities nor decisions.
        ParameterError
            If times repeat or disorder, a side or a number is none, or `columns` names what is not there.
        FileError
            If a file cannot be read.

        Examples
        --------
        >>> log = LiveLog.foreign({"time": ["2024-01-01 00:00", "2024-01-01 00:05"], "rsi(14)": [50.0, 51.5],
        ...                        "prob_long": [0.4, 0.7], "position": ["none", "long"]}, symbol="BTCUSDT")
        >>> log.feature_names, log.decisions["side"].to_list()
        (('rsi(14)',), ['flat', 'long'])
        """
        from barproof.live.foreign import read_foreign

        return read_foreign(
            source,
            columns=columns,
            features=features,
            symbol=symbol,
            interval=interval,
            stamp=stamp,
            trades=trades,
            bars=bars,
            session=session,
        )

    from_csv = foreign


def _address(file: Path) -> str:
    """URI that opens a file of SQLite for reading alone."""
    text = str(file.absolute())
    for sign, code in (("%", "%25"), ("?", "%3f"), ("#", "%23")):
        text = text.replace(sign, code)
    # Where nobody may write beside it SQLite cannot keep its locks, and nobody changes it.
    still = not os.access(file.parent, os.W_OK) and not Path(f"{file}-wal").exists()
    return f"file:{text}?{'immutable=1' if still else 'mode=ro'}"


def _from_base(base: sqlite3.Connection, source: str) -> LiveLog:
    """Read the log of a session; one that lacks tables, is of another format or was changed is refused."""
    there = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    lacking = [name for name in _TABLES if name not in there]
    if lacking:
        raise FileError(
            f"{source!r} is no live log: it lacks the tables {', '.join(lacking)}; give the {FILE} of a session"
        )
    session = {str(key): _plain(value) for key, value in base.execute("SELECT * FROM session")}
    told = str(session.get("format", "none"))
    if told not in FORMATS:
        raise FileError(
            f"{source!r} has the format {told[:40]!r}, this version reads {FORMATS[0]}: read it with the version that "
            "wrote it"
        )
    harmed = differing(base)
    if harmed is not None:
        raise FileError(
            f"{source!r} is damaged: the rows of `{harmed}` are not as they were written; restore a copy"
        )
    decisions, blobs = _decisions(base)
    events = _shaped(_rows(base, "events"), EVENTS)
    session["schedule"] = _schedule(session, decisions)
    return LiveLog(
        bars=_shaped(_rows(base, "bars"), BARS),
        decisions=decisions,
        features=_features(
            decisions,
            blobs,
            session.get("features_by_symbol") or session.get("features") or {},
            source,
        ),
        trades=_trades(_rows(base, "trades")),
        events=events,
        session=session,
        source=source,
    )


def _schedule(session: dict[str, Any], decisions: pl.DataFrame) -> list[tuple[int | None, Any]]:
    """Rules in force, since when (microseconds of the first bar that they decided; None: the beginning)."""
    now = session.get("rules")
    book = session.get("book") or ([now] if now is not None else [])
    if len(book) < 2:
        return [(None, one) for one in book]
    by = {Rules(**one).digest: one for one in book}
    steps: list[tuple[int | None, Any]] = []
    last = ""
    first = decisions.filter(pl.col("symbol") == decisions["symbol"].first())
    for time, digest in first.select("open_time", "rules_digest").iter_rows():
        if digest != last and digest in by:
            steps.append((round(time.timestamp() * 1e6) if steps else None, by[digest]))
        last = digest
    return steps or [(None, now)]


def _plain(value: Any) -> Any:
    """Value of the session: JSON where it is JSON, else the text."""
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _rows(
    base: sqlite3.Connection, table: str, but: tuple[str, ...] = ()
) -> tuple[list[str], list[Any]]:
    """Names and columns of a table, in the order in which rows were written."""
    names = [row[1] for row in base.execute(f"PRAGMA table_info({table})") if row[1] not in but]
    order = "sequence" if table == "events" else "rowid"
    listed = ", ".join(f'"{name}"' for name in names)
    found = base.execute(f"SELECT {listed} FROM {table} ORDER BY {order}").fetchall()
    return names, [list(column) for column in zip(*found, strict=True)] or [[] for _ in names]


def _shaped(rows: tuple[list[str], list[Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Frame with the columns of a schema first; what the table lacks is null, what it has beyond stays."""
    names, columns = rows
    held = dict(zip(names, columns, strict=True))
    size = len(columns[0]) if columns else 0
    made = []
    for name, kind in schema.items():
        values = held.pop(name, None)
        if values is None:
            made.append(pl.Series(name, [None] * size, dtype=kind))
        elif kind == TIME:
            made.append(pl.Series(name, values, dtype=pl.Int64).cast(TIME))
        else:
            made.append(pl.Series(name, values, dtype=kind, strict=kind != pl.Float64))
    made += [pl.Series(name, values, strict=False) for name, values in held.items()]
    return pl.DataFrame(made)


def _decisions(base: sqlite3.Connection) -> tuple[pl.DataFrame, list[Any]]:
    names, columns = _rows(base, "decisions")
    blobs = columns.pop(names.index("features")) if "features" in names else []
    names = [name for name in names if name != "features"]
    held = dict(zip(names, columns, strict=True))
    side = held.get("side")
    if side is not None:
        held["side"] = [_side(value) for value in side]
    return _shaped((list(held), list(held.values())), DECISIONS), blobs


def _side(value: Any) -> str | None:
    # A session writes the sign of the position.
    return {1: "long", -1: "short", 0: "flat"}.get(value, None if value is None else str(value))


def _features(decisions: pl.DataFrame, blobs: list[Any], told: Any, source: str) -> pl.DataFrame:
    """Values of the rows that have them, one frame for all symbols."""
    frames = [decisions.select("symbol", "open_time").clear()]
    symbols = decisions["symbol"].to_list()
    for symbol in dict.fromkeys(symbols):
        names = told.get(symbol, []) if isinstance(told, Mapping) else list(told)
        kept = [
            i
            for i, (blob, whose) in enumerate(zip(blobs, symbols, strict=False))
            if blob is not None and whose == symbol
        ]
        size = 8 * len(names)
        for i in kept:
            if len(blobs[i]) != size:
                raise FileError(
                    f"{source!r} holds {len(blobs[i]):,} bytes of features in row {i}, not the {size:,} of its "
                    f"{len(names)} features: the log is damaged"
                )
        if not kept:
            continue
        held = b"".join(blobs[i] for i in kept)
        values = np.frombuffer(held, dtype="<f8").reshape(len(kept), len(names))
        keys = decisions.select("symbol", "open_time")[kept]
        columns = [pl.Series(str(n), values[:, j].astype(np.float64)) for j, n in enumerate(names)]
        frames.append(keys.hstack(columns))
    return pl.concat(frames, how="diagonal")


def _trades(rows: tuple[list[str], list[Any]]) -> pl.DataFrame:
    names, columns = rows
    made = []
    for name, values in zip(names, columns, strict=True):
        if name in _MOMENTS:
            made.append(pl.Series(name, values, dtype=pl.Int64).cast(TIME))
        else:
            made.append(pl.Series(name, values, strict=False))
    return pl.DataFrame(made)
