"""What can be read out of a ledger besides its rows: changes from run to run, files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from barproof._whole import whole, write_csv
from barproof.errors import LedgerError, ParameterError

__all__ = ["export", "history"]

_WATCHED = {
    "data_digest": "data",
    "signals_digest": "signals",
    "rules_or_grid_digest": "rules",
    "costs": "costs",
    "windows": "windows",
    "version": "version",
    "seed": "seed",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def history(
    runs: pl.DataFrame, field: str | None, kind: str | None, data: str | None
) -> pl.DataFrame:
    """List changes between successive runs of one kind."""
    if kind is not None:
        runs = runs.filter(pl.col("kind") == kind)
    if data is not None:
        runs = runs.filter(pl.col("data_digest") == data)
    rows: list[tuple[Any, ...]] = []
    last: dict[str, dict[str, str]] = {}
    for row in runs.iter_rows(named=True):
        now = dict(_facts(row))
        before = last.get(row["kind"])
        for name in sorted({*now, *(before or {})}):
            was = None if before is None else before.get(name)
            if was != now.get(name):
                rows.append((row["id"], row["time"], row["kind"], name, was, now.get(name)))
        last[row["kind"]] = now
    schema: dict[str, Any] = {
        "run": pl.Int64,
        "time": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(("kind", "field", "before", "after"), pl.String),
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame if field is None else frame.filter(pl.col("field") == field)


def _facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what a run was made of; an edited row holds whatever it holds."""
    for column, name in _WATCHED.items():
        if row[column] is not None:
            yield name, str(row[column])
    try:
        rest = json.loads(row["parameters"])
    except (TypeError, ValueError, RecursionError):
        yield "parameters", str(row["parameters"])
        return
    if isinstance(rest, dict):
        for name, value in rest.items():
            yield str(name), value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def export(runs: pl.DataFrame, path: Path) -> Path:
    """Write runs as CSV, Parquet or JSON, whole or not at all."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet", ".json"):
        raise ParameterError(
            f"`path` of an export must end in .csv, .parquet or .json, was {path.name!r}"
        )
    try:
        with whole(path) as temporary:
            _write(runs, temporary, suffix)
    except OSError as error:
        raise LedgerError(
            f"the ledger cannot be exported to {str(path)!r}: {error.strerror or error}"
        ) from error
    return path


def _write(runs: pl.DataFrame, path: Path, suffix: str) -> None:
    """Write runs in the form of a suffix."""
    if suffix == ".parquet":
        runs.write_parquet(path)
    elif suffix == ".json":
        # A row as polars writes it, one document for all.
        runs.with_columns(pl.col("time").dt.to_string("iso")).write_json(path)
    else:
        texts = [name for name, kind in runs.schema.items() if kind == pl.String]
        escaped = runs.with_columns(
            pl.when(pl.col(name).str.slice(0, 1).is_in(_FORMULA))
            .then("'" + pl.col(name))
            .otherwise(pl.col(name))
            .alias(name)
            for name in texts
        )
        write_csv(path, escaped)
