"""Digests of what a live log holds, kept beside it: rows that are not as they were written are seen.

SQLite keeps no checksum of a page, so a byte that a disk turned would be read as a price. Rows of a log are only added:
the digest of a table is the sum of those of its rows, whatever their order, and each transaction adds its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ADDED", "TABLE", "Sums", "differing"]

TABLE = "CREATE TABLE sums (name TEXT PRIMARY KEY, rows INTEGER, digest TEXT) WITHOUT ROWID"
ADDED = ("bars", "decisions", "trades", "events")
"""Tables whose rows are never changed."""
WHOLE = {
    "session": "SELECT key, value FROM session ORDER BY key",
    "state": "SELECT clock, body FROM state",
    # A column by another name would be read as one that is not there.
    "tables": "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
}
"""What is small and changes: one digest for all of it."""
_MOST = 1 << 128


def _text(value: Any) -> bytes:
    """Write a value as SQLite gives it back: whole numbers and floats alike, NaN as nothing, no sign at zero."""
    if value is None:
        return b"-"
    if isinstance(value, str):
        return b"t" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b"b" + bytes(value)
    number = float(value)
    return b"-" if math.isnan(number) else b"n" + repr(number + 0.0).encode()


def _digest(row: Iterable[Any]) -> int:
    """Make the digest of one row."""
    made = blake2b(digest_size=16)
    for value in row:
        text = _text(value)
        made.update(b"%d:" % len(text))
        made.update(text)
    return int.from_bytes(made.digest(), "big")


class Sums:
    """Number and digest of the rows of each table, as of the last transaction."""

    def __init__(self, held: Mapping[str, tuple[int, str]]) -> None:
        self._held = {name: (rows, int(digest, 16)) for name, (rows, digest) in held.items()}

    @classmethod
    def of(cls, base: sqlite3.Connection) -> Sums | None:
        """Read those of a log; None where an older version wrote it, which kept none."""
        found = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'sums'"
        if not base.execute(found).fetchone()[0]:
            return None
        rows = base.execute("SELECT name, rows, digest FROM sums")
        return cls({str(name): (int(count), str(digest)) for name, count, digest in rows})

    def added(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> Sums:
        """Make those after some more rows."""
        made = Sums({})
        made._held = dict(self._held)
        for name in ADDED:
            if rows.get(name):
                count, total = made._held.get(name, (0, 0))
                total = (total + sum(map(_digest, rows[name]))) % _MOST
                made._held[name] = (count + len(rows[name]), total)
        return made

    def write(self, base: sqlite3.Connection, before: Sums, whole: Iterable[str]) -> Sums:
        """Write those that changed, with the digests of what is small as it stands now."""
        for name in whole:
            rows = base.execute(WHOLE[name]).fetchall()
            self._held[name] = (len(rows), sum(map(_digest, rows)) % _MOST)
        changed = [
            (name, rows, f"{digest:032x}")
            for name, (rows, digest) in self._held.items()
            if before._held.get(name) != (rows, digest)
        ]
        base.executemany("INSERT OR REPLACE INTO sums VALUES (?, ?, ?)", changed)
        return self

    def holds(self, base: sqlite3.Connection, name: str) -> bool:
        """Whether a table is as it was written."""
        if name == "tables" and name not in self._held:
            # An older version wrote it.
            return True
        rows = base.execute(WHOLE.get(name, f"SELECT * FROM {name}"))
        count = total = 0
        for row in rows:
            count, total = count + 1, (total + _digest(row)) % _MOST
        return self._held.get(name, (0, 0)) == (count, total)


def differing(base: sqlite3.Connection, names: Iterable[str] = (*ADDED, *WHOLE)) -> str | None:
    """Name of the first table that is not as it was written; None where all are, or nobody kept digests."""
    sums = Sums.of(base)
    if sums is None:
        return None
    return next((name for name in names if not sums.holds(base, name)), None)
