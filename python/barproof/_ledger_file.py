"""The file of a ledger: its tables, and transactions that wait for other writers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from barproof import _core
from barproof.errors import LedgerError, in_one_line

if TYPE_CHECKING:
    import sqlite3

__all__ = ["COLUMNS", "SCHEMA", "TRIGGERS", "LedgerFile", "highest", "locate"]

SCHEMA = 1
"""Version of the tables, in ``PRAGMA user_version``."""

_APPLICATION = 0x42617250  # "BarP", in the header of the file
_WAIT_SECONDS = 0.01
# SQLite waits deaf to Ctrl-C, so it is given no more than this at a time.
_DEAF_SECONDS = 0.5

# Primary result codes of SQLite, https://sqlite.org/rescode.html
_BUSY = (5, 6)  # BUSY, LOCKED
# PERM, READONLY, IOERR, FULL, CANTOPEN, AUTH
_CLOSED = (3, 8, 10, 13, 14, 23)
# ERROR (no such table), CORRUPT, SCHEMA, MISMATCH, FORMAT, NOTADB
_DAMAGED = (1, 11, 17, 20, 24, 26)

COLUMNS = (
    "id, time_ms, kind, data_digest, signals_digest, rules_or_grid_digest, costs, windows, trials, seconds, version, "
    "seed, parameters"
)
TRIGGERS = ("runs_no_update", "runs_no_delete", "runs_in_order")
_TABLES = (
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data_digest TEXT NOT NULL,
        signals_digest TEXT,
        rules_or_grid_digest TEXT,
        costs TEXT,
        windows TEXT,
        trials INTEGER NOT NULL CHECK (trials >= 0),
        seconds REAL,
        version TEXT NOT NULL,
        seed INTEGER,
        parameters TEXT NOT NULL,
        hash TEXT NOT NULL
    )""",
    "CREATE INDEX runs_by_data ON runs (data_digest, trials)",
    """CREATE VIEW trials_by_data AS
        SELECT data_digest, count(*) AS runs, sum(trials) AS trials, min(time_ms) AS first_ms, max(time_ms) AS last_ms
        FROM runs GROUP BY data_digest ORDER BY min(id)""",
    """CREATE TRIGGER runs_no_update BEFORE UPDATE ON runs
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: runs cannot be changed'); END""",
    """CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: runs cannot be deleted'); END""",
    # INSERT OR REPLACE deletes without asking the trigger above.
    """CREATE TRIGGER runs_in_order BEFORE INSERT ON runs
        WHEN NEW.id <= (SELECT coalesce(max(id), 0) FROM runs)
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: runs cannot be replaced'); END""",
)

T = TypeVar("T")


class LedgerFile:
    """A SQLite file of runs; every transaction has a connection of its own.

    `name` is the path as it was given, for messages.
    """

    def __init__(self, path: str | Path, timeout: float) -> None:
        self.name = str(path)
        self.path = Path(path).absolute()
        self.timeout = timeout

    def make(self) -> None:
        """Make file and tables where there are none, and refuse what is no ledger."""
        try:
            self.path.parent.mkdir(exist_ok=True)
        except OSError as error:
            self._refuse_folder(error.strerror or str(error))
        self.run(lambda _: None, mode="rwc")

    def run(self, work: Callable[[sqlite3.Connection], T], *, mode: str = "rw") -> T:
        """Do something with a connection of its own, again while another process is in the way."""
        import sqlite3

        until = time.monotonic() + self.timeout
        while True:
            left = min(_DEAF_SECONDS, max(0.0, until - time.monotonic()))
            try:
                address = f"{self.path.as_uri()}?mode={mode}"
                with closing(
                    sqlite3.connect(address, uri=True, timeout=left, isolation_level=None)
                ) as connection:
                    # What is no UTF-8 was not written here: it shall be seen, not end the reading.
                    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                    connection.execute("PRAGMA synchronous = FULL")
                    self._check(connection)
                    return work(connection)
            except sqlite3.DatabaseError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _BUSY and time.monotonic() < until:
                    time.sleep(_WAIT_SECONDS)
                    continue
                self._refuse(error, code)
            except UnicodeDecodeError as error:
                # Of tables that SQLite cannot make sense of, it quotes the bytes.
                self._refuse(error, _DAMAGED[0])

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make tables in an empty file; refuse one that is not ours."""

        def state() -> tuple[int, ...]:
            """Versions in the header of the file; all 0 where it is empty."""
            names = ("user_version", "application_id", "schema_version")
            return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)

        if state() == (0, 0, 0):
            if self.path.stat().st_size == 1:
                # SQLite takes it for a file without anything in it.
                raise LedgerError(
                    f"ledger {self.name!r} is damaged: it is cut short to one byte; move it aside and restore a "
                    "copy, or begin a new one"
                )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been first.
            if state() == (0, 0, 0):
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("COMMIT")
        version, application, _ = state()
        if application != _APPLICATION:
            raise LedgerError(
                f"{self.name!r} is a SQLite database but no ledger: name another file, or move it aside"
            )
        if version > SCHEMA:
            raise LedgerError(
                f"ledger {self.name!r} has version {version}, but barproof {_core.__version__} knows versions up to "
                f"{SCHEMA}: update barproof, or name another file"
            )

    def _refuse(self, error: Exception, code: int) -> NoReturn:
        """Say in the words of the house what SQLite refused."""
        if code in _BUSY:
            raise LedgerError(
                f"ledger {self.name!r} is locked by another process for longer than {self.timeout:g} s: wait for it, "
                "or end it"
            ) from error
        if code in _DAMAGED:
            raise LedgerError(
                f"ledger {self.name!r} is damaged: {in_one_line(error)}; move it aside and restore a copy, "
                "or begin a new one"
            ) from error
        if code in _CLOSED:
            self._refuse_folder(str(error))
        raise error

    def _refuse_folder(self, reason: str) -> NoReturn:
        """Say that the place cannot be written."""
        raise LedgerError(
            f"ledger {self.name!r} cannot be written: {reason[:1].lower()}{reason[1:]}; free the place, name another "
            "file, or run unrecorded with ledger=False"
        )


def highest(connection: sqlite3.Connection) -> int:
    """Highest number that was ever given to a run, also if it is gone."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
    return int(found[0]) if found else 0


def locate() -> Path | None:
    """File of the project's ledger, whether it exists or not; None without a project."""
    told = os.environ.get("BARPROOF_LEDGER", "")
    if told:
        return Path(told)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return None
    for folder in (here, *here.parents):
        if os.path.isfile(folder / "barproof.toml") or os.path.isdir(folder / ".barproof"):
            return folder / ".barproof" / "ledger.sqlite"
    return None
