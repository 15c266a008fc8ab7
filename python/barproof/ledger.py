"""`Ledger`: what was run, and how many trials it was; rows are added, never changed.

The file is SQLite in write-ahead mode. Each row carries the digest of its content and of the row before it, and
triggers refuse changes, so that a number cannot lose the trials behind it by mistake. There is no key: who rewrites
every row from the edited one on is not found out.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import polars as pl

from barproof import _core
from barproof._ledger_file import COLUMNS, TRIGGERS, LedgerFile, highest, locate
from barproof._ledger_views import export, history
from barproof._shown import shown
from barproof.errors import LayoutError, LedgerError, ParameterError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Broken", "Ledger", "Recorded", "door", "enter"]

_TIMEOUT_SECONDS = 30.0


class Digested(Protocol):
    """Whatever has a digest: candles, signals, rules, grids."""

    @property
    def digest(self) -> str:
        """Identity."""


Identity: TypeAlias = "str | Digested"


@dataclass(frozen=True)
class Broken:
    """Where a ledger stops being what was written.

    Attributes
    ----------
    run : int or None
        The first run that is wrong; None if it is the file around the runs.
    reason : str
        What is wrong with it.
    """

    run: int | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.run is None else f"run {self.run:,} {self.reason}"


@shown(lambda self: self.trials_by_data())
class Ledger:
    """A record of every run and its number of trials, in one file.

    Make one with :meth:`open` or :meth:`find`. It holds no connection, so that it may be pickled, forked and shared by
    threads; every call is one transaction, on the disk before it returns.

    Attributes
    ----------
    path : Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> ledger = Ledger.open(Path(folder.name) / "ledger.sqlite")
    >>> ledger.record("sweep", data="a" * 64, trials=256)
    1
    >>> ledger.record("backtest", data="a" * 64)
    2
    >>> ledger.trials("a" * 64)
    257
    >>> print(ledger.verify())
    None
    >>> folder.cleanup()
    """

    def __init__(self, path: str | Path, *, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._file = LedgerFile(path, timeout)
        self.path = self._file.path

    @classmethod
    def open(cls, path: str | Path, *, timeout: float = _TIMEOUT_SECONDS) -> Ledger:
        """Open a ledger, and make it if there is none.

        Parameters
        ----------
        path : str or Path
            File, such as ``.barproof/ledger.sqlite``.
        timeout : float, default 30.0
            Seconds to wait for another writer.

        Returns
        -------
        Ledger
            Ready to record and to be read.

        Raises
        ------
        LedgerError
            If the file is no ledger, of a newer version, locked, or cannot be written.
        """
        ledger = cls(path, timeout=timeout)
        ledger._file.make()
        return ledger

    @classmethod
    def find(cls) -> Ledger | None:
        """Open the ledger of the project that the working directory lies in.

        Returns
        -------
        Ledger or None
            At ``BARPROOF_LEDGER`` if that is set, else ``.barproof/ledger.sqlite`` of the nearest folder upwards that
            holds ``barproof.toml`` or ``.barproof/``; None if there is none: nothing is written then.
        """
        path = locate()
        return None if path is None else cls.open(path)

    def record(
        self,
        kind: str,
        *,
        data: Identity,
        trials: int = 1,
        signals: Identity | None = None,
        rules: Identity | None = None,
        costs: str | None = None,
        windows: str | None = None,
        seconds: float | None = None,
        seed: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> int:
        """Add one run.

        Parameters
        ----------
        kind : str
            Such as "sweep", "backtest", "train", "audit".
        data : Candles or str
            What was run on, or its digest.
        trials : int, default 1
            Configurations that were evaluated.
        signals, rules : object with a digest, or str, optional
            Signals; rules or grid.
        costs, windows : str, optional
            As text.
        seconds : float, optional
            Wall time.
        seed : int, optional
            Of whatever was random, within 64 bits.
        parameters : mapping, optional
            Whatever else made the run what it was; JSON must be able to hold it.

        Returns
        -------
        int
            Number of the run, on the disk when this returns.

        Raises
        ------
        LedgerError
            If it could not be written; nothing is half-written.
        ParameterError, LayoutError
            If an argument is out of bounds.
        """
        row = _row(kind, data, trials, signals, rules, costs, windows, seconds, seed, parameters)
        return self._append(row)[0]

    def _append(self, row: _Row) -> tuple[int, int]:
        """Add a run; its number, and the trials on its data with its own."""

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            """Do it inside one transaction."""
            connection.execute("BEGIN IMMEDIATE")
            last, previous = connection.execute(
                "SELECT id, hash FROM runs ORDER BY id DESC LIMIT 1"
            ).fetchone() or (0, "")
            # A number is never given twice, also where the last rows were taken away.
            number = max(last, highest(connection)) + 1
            values = [number, time.time_ns() // 1_000_000, *row]
            marks = ", ".join("?" * (len(values) + 1))
            connection.execute(
                f"INSERT INTO runs ({COLUMNS}, hash) VALUES ({marks})",
                [*values, _hash(previous, values)],
            )
            total = connection.execute(
                "SELECT sum(trials) FROM runs WHERE data_digest = ?", [row[1]]
            ).fetchone()[0]
            connection.execute("COMMIT")
            return number, int(total)

        return self._file.run(work)

    def trials(self, data: Identity | None = None) -> int:
        """Count the trials ever run.

        Parameters
        ----------
        data : Candles or str, optional
            On these candles, or the candles of this digest. Default: on all.

        Returns
        -------
        int
            Sum over all runs, 0 if there is none.
        """
        one = None if data is None else _text("data", data)
        query = (
            "SELECT coalesce(sum(trials), 0) FROM trials_by_data WHERE ? IS NULL OR data_digest = ?"
        )
        return int(self._file.run(lambda c: c.execute(query, [one, one]).fetchone()[0]))

    def trials_by_data(self) -> pl.DataFrame:
        """Trials of every set of candles, in the order of their first runs.

        Returns
        -------
        polars.DataFrame
            Columns `data_digest`, `runs`, `trials`, `first`, `last` (UTC).
        """
        numbers = ("runs", "trials", "first_ms", "last_ms")
        cast = ", ".join(f"CAST({name} AS INTEGER)" for name in numbers)
        query = f"SELECT CAST(data_digest AS TEXT), {cast} FROM trials_by_data"
        rows = self._file.run(lambda c: c.execute(query).fetchall())
        schema = {"data_digest": pl.String, **dict.fromkeys(numbers, pl.Int64)}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        frame = frame.rename({"first_ms": "first", "last_ms": "last"})
        return frame.with_columns(_utc("first"), _utc("last"))

    def runs(self) -> pl.DataFrame:
        """Every run.

        Returns
        -------
        polars.DataFrame
            One row a run, oldest first; `time` is UTC, `parameters` is JSON.
        """
        kinds = {**dict.fromkeys(("id", "time_ms", "trials", "seed"), "INTEGER"), "seconds": "REAL"}
        types = {"INTEGER": pl.Int64, "REAL": pl.Float64}
        names = COLUMNS.split(", ")
        # SQLite lets an edited row hold values of any type.
        cast = ", ".join(f"CAST({name} AS {kinds.get(name, 'TEXT')})" for name in names)
        rows = self._file.run(
            lambda c: c.execute(f"SELECT {cast} FROM runs ORDER BY id").fetchall()
        )
        schema = {name: types.get(kinds.get(name, ""), pl.String) for name in names}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        return frame.rename({"time_ms": "time"}).with_columns(_utc("time"))

    def show(self, run: int) -> dict[str, Any]:
        """Everything about one run.

        Parameters
        ----------
        run : int
            Its number.

        Returns
        -------
        dict
            Columns of :meth:`runs`, `parameters` as a dict, and `hash`.

        Raises
        ------
        ParameterError
            If there is no such run.
        """
        query = f"SELECT {COLUMNS}, hash FROM runs WHERE id = ?"
        number = _whole("run", run, 1, 2**63 - 1)
        row, last = self._file.run(
            lambda c: (c.execute(query, [number]).fetchone(), highest(c)),
        )
        if row is None:
            raise ParameterError(
                f"run {number} is not in the ledger {self._file.name!r}, whose last run is {last}"
            )
        found = dict(zip([*COLUMNS.split(", "), "hash"], row, strict=True))
        found = {"id": found.pop("id"), "time": found.pop("time_ms"), **found}
        # An edited row is shown as it stands; `verify` is there to complain.
        with contextlib.suppress(ValueError, TypeError, OverflowError, OSError):
            found["time"] = datetime.fromtimestamp(found["time"] / 1000, UTC)
            found["parameters"] = json.loads(found["parameters"])
        return found

    def history(
        self, *, field: str | None = None, kind: str | None = None, data: Identity | None = None
    ) -> pl.DataFrame:
        """When did what a run is made of change: candles, signals, rules, costs, features, model, seed.

        Parameters
        ----------
        field : str, optional
            Only this one: a column of :meth:`runs`, or a key of the parameters.
        kind : str, optional
            Only runs of this kind.
        data : Candles or str, optional
            Only runs on these candles.

        Returns
        -------
        polars.DataFrame
            A row a change from one run to the next of its kind: `run`, `time` (UTC), `kind`, `field`, `before`, `after`
            as text; `before` is null for a kind's first run.
        """
        return history(self.runs(), field, kind, None if data is None else _text("data", data))

    def export(self, path: str | Path) -> Path:
        """Write every run into a file.

        Parameters
        ----------
        path : str or Path
            Ends in .csv, .parquet or .json. In CSV, cells that a spreadsheet would run get a quote before them.

        Returns
        -------
        Path
            The file, whole or absent.

        Raises
        ------
        ParameterError
            If the end of the name is another.
        LedgerError
            If it cannot be written.
        """
        return export(self.runs(), Path(path))

    def head(self) -> str:
        """Give the last run and its hash: written down elsewhere, they hold all runs up to it.

        Returns
        -------
        str
            ``run:hash``, or ``0:`` for an empty ledger; :meth:`verify` takes it.
        """
        row = self._file.run(
            lambda c: c.execute("SELECT id, hash FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        )
        return "0:" if row is None else f"{row[0]}:{row[1]}"

    def verify(self, *, head: str | None = None) -> Broken | None:
        """Look for what was changed, removed or damaged since it was written.

        Parameters
        ----------
        head : str, optional
            What :meth:`head` gave once: without it, who rewrites every row from the edited one on is not found out.

        Returns
        -------
        Broken or None
            The first run that is wrong; None if all is well.
        """
        known, told = _anchor(head)

        def work(connection: sqlite3.Connection) -> Broken | None:
            """Do it inside one transaction."""
            last, previous = 0, ""
            for row in connection.execute(f"SELECT {COLUMNS}, hash FROM runs ORDER BY id"):
                if row[0] != last + 1:
                    return Broken(last + 1, "is missing")
                if row[-1] != _hash(previous, row[:-1]):
                    return Broken(row[0], "is not what was written: its hash differs")
                last, previous = row[0], row[-1]
                if last == known and previous != told:
                    return Broken(last, "is another than the one that was written down")
            if last < known:
                return Broken(last + 1, "is missing: a later one was written down")
            if highest(connection) > last:
                return Broken(last + 1, "is missing")
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            absent = sorted(set(TRIGGERS) - {name for (name,) in names})
            if absent:
                return Broken(None, f"the triggers that refuse changes are gone: {absent[0]}")
            (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            return (
                None
                if state == "ok"
                else Broken(None, f"the file is damaged: {' '.join(state.split())}")
            )

        return self._file.run(work)

    def __repr__(self) -> str:
        return f"Ledger({self._file.name!r})"


def _anchor(head: str | None) -> tuple[int, str]:
    """Run and hash of what was written down; 0 for nothing."""
    if head is None:
        return 0, ""
    number, sign, told = str(head).partition(":")
    if not sign or not number.isdecimal() or (told and len(told) != 64):
        raise ParameterError(f"`head` must be what Ledger.head() gave, run:hash, was {head!r}")
    return int(number), told


Recorded: TypeAlias = "Ledger | str | Path | bool | None"
"""What `ledger=` accepts."""


RECORDS = True
"""False in a worker of a cluster, where the driver alone writes."""


def door(ledger: Recorded) -> Ledger | str:
    """Ledger to record in, ready to be written before any work is done, or why there is none."""
    if ledger is False:
        return "unrecorded"
    if not RECORDS:
        return "unrecorded: in a worker of a cluster"
    if ledger is not None and not isinstance(ledger, (Ledger, str, Path, bool)):
        raise LayoutError(
            f"`ledger` must be a Ledger, a path, True or False, was {type(ledger).__name__}"
        )
    if isinstance(ledger, (str, Path)):
        ledger = Ledger.open(ledger)
    book = ledger if isinstance(ledger, Ledger) else Ledger.find()
    if book is None:
        if ledger:
            raise LedgerError(
                "ledger=True needs a project folder: make barproof.toml or .barproof in it, or give ledger= a path"
            )
        return "no project folder"
    book._file.run(lambda connection: connection.execute("BEGIN IMMEDIATE"))
    return book


def enter(
    book: Ledger | str,
    kind: str,
    result: Any,
    rules: str | None,
    *,
    trials: int,
    seconds: float,
    seed: int | None = None,
) -> None:
    """Record a result by its provenance, and say so there; if that fails the error carries the result."""
    facts: dict[str, str] = result.provenance
    if isinstance(book, str):
        facts["ledger"] = book
        return
    held = ("barproof", "candles", "signals", "costs", "window", "windows", "grid", "rules")
    rest = {name: value for name, value in facts.items() if name not in held}
    span = facts.get("windows") or facts.get("window")
    row = _row(
        kind,
        facts["candles"],
        trials,
        facts.get("signals"),
        rules,
        facts.get("costs"),
        span,
        seconds,
        seed,
        rest,
    )
    try:
        run, total = book._append(row)
    except LedgerError as error:
        error.result = result
        raise
    facts["ledger"] = f"run {run:,}, {total:,} trial{'s' * (total != 1)} on these candles"


def _hash(previous: str, row: Any) -> str:
    """Digest of a row and of the one before it."""
    return _core.digest("ledger/1", [str(previous), *(json.dumps(v, default=repr) for v in row)])


def _utc(name: str) -> pl.Expr:
    """Milliseconds as UTC."""
    return pl.col(name).cast(pl.Datetime("ms", "UTC"))


_Row: TypeAlias = "tuple[str | int | float | None, ...]"


def _row(
    kind: str,
    data: Identity,
    trials: int,
    signals: Identity | None,
    rules: Identity | None,
    costs: str | None,
    windows: str | None,
    seconds: float | None,
    seed: int | None,
    parameters: Mapping[str, Any] | None,
) -> _Row:
    """Check what is recorded, and put it in the order of the columns, number and time left out."""
    took = None if seconds is None else round(float(seconds), 6)
    if took is not None and not 0 <= took < float("inf"):
        raise ParameterError(f"`seconds` must be finite and >= 0, was {seconds!r}")
    try:
        rest = json.dumps(dict(parameters or {}), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LayoutError(
            f"`parameters` must be a mapping that JSON can hold, was refused: {error}"
        ) from error
    return (
        _text("kind", kind),
        _text("data", data),
        None if signals is None else _text("signals", signals),
        None if rules is None else _text("rules", rules),
        None if costs is None else _text("costs", costs),
        None if windows is None else _text("windows", windows),
        _whole("trials", trials, 0, 10**15),
        took,
        _core.__version__,
        None if seed is None else _whole("seed", seed, -(2**63), 2**63 - 1),
        rest,
    )


def _text(name: str, value: Any) -> str:
    """Check a text, or take the digest of a thing."""
    text = getattr(value, "digest", value)
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise LayoutError(f"`{name}` must be a printable text, or have a digest, was {value!r}")
    return text


def _whole(name: str, value: Any, low: int, high: int) -> int:
    """Check a whole number."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= value <= high:
        raise ParameterError(f"`{name}` must be a whole number from {low} to {high}, was {value!r}")
    return int(value)
