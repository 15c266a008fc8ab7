"""The folder of a live session: one SQLite file, one transaction a bar clock."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from barproof.errors import BarproofError, DataWarning, FileError, in_one_line
from barproof.live.sums import TABLE, Sums, differing

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FILE", "FORMAT", "TRADE_COLUMNS", "Store"]

FILE = "live.sqlite"
FORMAT = "live/1"

TRADE_COLUMNS: dict[str, str] = {
    "side": "TEXT",
    "signal_bar": "INTEGER",
    "entry_bar": "INTEGER",
    "entry_time": "INTEGER",
    "entry_price": "REAL",
    "exit_bar": "INTEGER",
    "exit_time": "INTEGER",
    "exit_price": "REAL",
    "quantity": "REAL",
    "notional": "REAL",
    "margin": "REAL",
    "fraction": "REAL",
    "p_entry": "REAL",
    "reason": "TEXT",
    "bars_held": "INTEGER",
    "fees": "REAL",
    "funding": "REAL",
    "pnl": "REAL",
    "return": "REAL",
    "ambiguous": "INTEGER",
    "ambiguous_trail": "INTEGER",
    "mae": "REAL",
    "mfe": "REAL",
}
"""Columns of ``Result.trades``, in their order."""

_TABLES = (
    "CREATE TABLE session (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    """CREATE TABLE bars (symbol TEXT, open_time INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL,
        taker_buy_volume REAL, extra TEXT, PRIMARY KEY (symbol, open_time))""",
    """CREATE TABLE decisions (symbol TEXT, open_time INTEGER, close_time INTEGER, decided_at INTEGER,
        feature_digest TEXT, features BLOB, p_long REAL, p_short REAL, p_exit_long REAL, p_exit_short REAL,
        signal TEXT, side INTEGER, equity REAL, withheld TEXT, entries INTEGER, model_digest TEXT, rules_digest TEXT,
        code TEXT, decision TEXT, PRIMARY KEY (symbol, open_time))""",
    "CREATE TABLE trades (symbol TEXT, "
    + ", ".join(f'"{name}" {kind}' for name, kind in TRADE_COLUMNS.items())
    + ")",
    "CREATE TABLE events (sequence INTEGER PRIMARY KEY, time INTEGER, kind TEXT, symbol TEXT, body TEXT)",
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), clock INTEGER, body BLOB)",
    # The account after every bar; features from time to time, with the bars since they are rebuilt.
    "CREATE TABLE accounts (symbol TEXT PRIMARY KEY, open_time INTEGER, body BLOB) WITHOUT ROWID",
    "CREATE TABLE checkpoints (symbol TEXT PRIMARY KEY, open_time INTEGER, body BLOB) WITHOUT ROWID",
    TABLE,
)

_ADD = {
    "bars": 9,
    "decisions": 19,
    "trades": 1 + len(TRADE_COLUMNS),
    "events": 5,
    "accounts": 3,
    "checkpoints": 3,
}
_INSERT = {
    name: f"INSERT {'OR REPLACE ' if name in ('accounts', 'checkpoints') else ''}INTO {name} VALUES "
    f"({', '.join('?' * count)})"
    for name, count in _ADD.items()
}


class Store:
    """One session's file, held by one process.

    Every bar clock is one transaction in a write-ahead log that is synced: after a kill or a cut of the power the file
    stands as after some bar, never between.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        import sqlite3

        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._errors = sqlite3.Error
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"`state` folder {str(self.folder)!r} cannot be made: {error.strerror or error}; give one that can be "
                "written"
            ) from error
        size = self.path.stat().st_size if self.path.is_file() else None
        if size == 1:
            # SQLite takes it for a file without anything in it.
            raise FileError(
                f"live log {str(self.path)!r} is damaged: it is cut short to one byte; restore the folder from a "
                "copy, or give another"
            )
        try:
            self._base = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
            self._base.execute("PRAGMA locking_mode = NORMAL")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            # What is not written back grows the log beside the file, not the memory.
            self._base.execute("PRAGMA wal_autocheckpoint = 1000")
            self._make(size is not None)
            self._sums = self._digests()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The second: of tables that SQLite cannot make sense of, it quotes the bytes.
            self._refuse(error)

    def _make(self, found: bool) -> None:
        """Make the tables of an empty log, all or none."""
        base = self._base
        (tables,) = base.execute("SELECT count(*) FROM sqlite_master").fetchone()
        base.execute("BEGIN IMMEDIATE")
        try:
            if not tables:
                if found:
                    warnings.warn(
                        f"live log {str(self.path)!r} is empty: a new session begins in it; restore the folder from a "
                        "copy if there was one",
                        DataWarning,
                        stacklevel=4,
                    )
                for text in _TABLES:
                    base.execute(text)
                base.execute("INSERT INTO session VALUES ('format', ?)", (FORMAT,))
                Sums({}).write(base, Sums({}), ["session", "tables"])
            base.execute("COMMIT")
        except BaseException:
            base.execute("ROLLBACK")
            raise
        told = self.session().get("format")
        if told != FORMAT:
            raise FileError(
                f"live log {str(self.path)!r} has format {told!r}, this version writes {FORMAT!r}: go on with the "
                "version that began it, or give another folder"
            )

    def _digests(self) -> Sums | None:
        """Read the digests of the rows, which a disk can harm as well."""
        try:
            return Sums.of(self._base)
        except (ValueError, TypeError) as error:
            raise FileError(
                f"live log {str(self.path)!r} is damaged: its digests are none, {in_one_line(error)}; restore the "
                "folder from a copy, or give another"
            ) from error

    def _refuse(self, error: Exception) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        remedy = {
            5: "another process holds it: end that one, or give another folder",
            8: "make the folder writeable, or give another",
            13: "the disk is full: make room, and go on",
            14: "make the folder writeable, or give another",
        }.get(code, "restore the folder from a copy, or give another")
        raise FileError(
            f"live log {str(self.path)!r} cannot be written: {in_one_line(error)}; {remedy}"
        ) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read a state that somebody may have harmed: what is not as it was written is refused, whatever it breaks."""
        try:
            harm = _harm(self._base)
            if harm is not None:
                raise ValueError(harm)
            yield
        except BarproofError:
            raise
        except (
            self._errors,
            ValueError,
            KeyError,
            TypeError,
            LookupError,
            AttributeError,
            OverflowError,
        ) as error:
            raise FileError(
                f"live log {str(self.path)!r} cannot be read: {in_one_line(error)}; restore the folder from a "
                "copy, or give another"
            ) from error

    def session(self) -> dict[str, str]:
        """Read what was written once, and what changes with the model."""
        return dict(self._base.execute("SELECT key, value FROM session"))

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what a session is."""
        self.commit({}, session=facts)

    def commit(
        self,
        rows: Mapping[str, Sequence[Sequence[Any]]],
        *,
        clock: int | None = None,
        body: bytes = b"",
        session: Mapping[str, Any] | None = None,
    ) -> None:
        """Write rows by table, in one transaction."""
        base = self._base
        try:
            base.execute("BEGIN IMMEDIATE")
            try:
                for name, some in rows.items():
                    if len(some) == 1:
                        base.execute(_INSERT[name], some[0])
                    elif some:
                        base.executemany(_INSERT[name], some)
                if clock is not None:
                    base.execute("INSERT OR REPLACE INTO state VALUES (0, ?, ?)", (clock, body))
                for key, value in (session or {}).items():
                    text = value if key == "format" else json.dumps(value)
                    base.execute("INSERT OR REPLACE INTO session VALUES (?, ?)", (key, text))
                sums = self._sums
                if sums is not None:
                    whole = [
                        *(["state"] if clock is not None else []),
                        *(["session"] if session else []),
                    ]
                    sums = sums.added(rows).write(base, sums, whole)
                self._before_commit()
                base.execute("COMMIT")
                self._sums = sums
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise
        except self._errors as error:
            self._refuse(error)

    def _before_commit(self) -> None:
        """Stand between the last row and the commit; tests end the process here."""

    def state(self) -> tuple[int | None, bytes]:
        """Read the opening time of the last clock, microseconds, and what belongs to the session as a whole."""
        found = self._base.execute("SELECT clock, body FROM state").fetchone()
        return (None, b"") if found is None else (found[0], found[1])

    def bodies(self, table: str) -> dict[str, tuple[int, bytes]]:
        """Read saved states by symbol: of `accounts` or `checkpoints`."""
        rows = self._base.execute(f"SELECT symbol, open_time, body FROM {table}")
        return {symbol: (time, body) for symbol, time, body in rows}

    def bar(self, symbol: str, open_time: int) -> tuple[Any, ...] | None:
        """Read a bar as it was taken."""
        found = self._base.execute(
            "SELECT open, high, low, close, volume FROM bars WHERE symbol = ? AND open_time = ?",
            (symbol, open_time),
        ).fetchone()
        return None if found is None else tuple(found)

    def bars(self, symbol: str, after: int) -> Iterable[tuple[Any, ...]]:
        """Read bars after a time: opening time, prices, volume, further columns as JSON."""
        return self._base.execute(
            "SELECT open_time, open, high, low, close, volume, extra FROM bars WHERE symbol = ? AND open_time > ? "
            "ORDER BY open_time",
            (symbol, after),
        )

    def decision(self, symbol: str, open_time: int) -> str | None:
        """Read the JSON of a decision."""
        found = self._base.execute(
            "SELECT decision FROM decisions WHERE symbol = ? AND open_time = ?", (symbol, open_time)
        ).fetchone()
        return None if found is None else found[0]

    def decided(self, symbol: str, after: int) -> Iterable[tuple[Any, ...]]:
        """Read what was decided after a time: opening time, digest, four probabilities, entries."""
        return self._base.execute(
            "SELECT open_time, feature_digest, p_long, p_short, p_exit_long, p_exit_short, entries FROM decisions "
            "WHERE symbol = ? AND open_time > ? ORDER BY open_time",
            (symbol, after),
        )

    def events(self, kind: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Read events of a kind: time, symbol, body."""
        rows = self._base.execute(
            "SELECT time, symbol, body FROM events WHERE kind = ? ORDER BY sequence", (kind,)
        )
        return [(time, symbol, json.loads(body)) for time, symbol, body in rows]

    def count_events(self) -> int:
        """Count the events."""
        (found,) = self._base.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()
        return int(found)

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()


def _harm(base: sqlite3.Connection) -> str | None:
    """Say what of a state is not as it was written; None where all of it is."""
    name = differing(base, ("tables", "session", "state", "events"))
    if name is not None:
        return f"the rows of `{name}` are not as they were written"
    # Bars and decisions since a checkpoint are found by an index, which no digest covers: with a wrong one a row is
    # passed over. Three seconds for a million bars with what was decided.
    (told,) = base.execute("PRAGMA integrity_check(1)").fetchone()
    return None if told == "ok" else str(told)
