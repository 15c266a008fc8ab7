"""Backtest results of freqtrade: one JSON document, or the zip that holds it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl

from barproof.errors import FileError, ParameterError
from barproof.results.naming import clean

__all__ = ["MOST_BYTES", "is_document", "read_document", "trades_of"]

MOST_BYTES = 1 << 30
"""Largest document that is read, unpacked: a packed one may claim any size."""

# Scalars of a trade that are understood; orders and tags of other kinds stay where they are.
_COLUMNS = {
    "pair": pl.String,
    "open_date": pl.String,
    "close_date": pl.String,
    "open_rate": pl.Float64,
    "close_rate": pl.Float64,
    "amount": pl.Float64,
    "stake_amount": pl.Float64,
    "fee_open": pl.Float64,
    "fee_close": pl.Float64,
    "profit_ratio": pl.Float64,
    "profit_abs": pl.Float64,
    "exit_reason": pl.String,
    "is_short": pl.Boolean,
    "is_open": pl.Boolean,
    "leverage": pl.Float64,
    "stop_loss_abs": pl.Float64,
}


def read_document(path: Path) -> Any:
    """Parse a JSON file, or the result in a zip; the configuration beside it is left alone."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [
                    m
                    for m in archive.namelist()
                    if m.lower().endswith(".json")
                    and not m.lower().endswith(("_config.json", ".meta.json"))
                ]
                if len(names) != 1:
                    held = ", ".join(clean(n) for n in archive.namelist()[:5]) or "nothing"
                    raise FileError(
                        f"`trades` archive {path.name!r} must hold one JSON result, it holds {held}: unpack it"
                    )
                if archive.getinfo(names[0]).file_size > MOST_BYTES:
                    raise FileError(
                        f"`trades` archive {path.name!r} unpacks to more than {MOST_BYTES:,} bytes: export fewer trades"
                    )
                with archive.open(names[0]) as stream:
                    data = stream.read(MOST_BYTES + 1)
        else:
            data = path.read_bytes()
        return json.loads(data)
    except (
        OSError,
        ValueError,
        RecursionError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ) as error:
        if isinstance(error, FileError):
            raise
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(
            f"`trades` file {path.name!r} cannot be read as JSON: {clean(cause)}"
        ) from error


def is_document(document: Any) -> bool:
    """Whether a document is a backtest result of freqtrade."""
    return isinstance(document, dict) and isinstance(document.get("strategy"), dict)


def trades_of(document: Any, strategy: str | None) -> tuple[pl.DataFrame, str]:
    """Trades of one strategy, under freqtrade's own names, and which strategy it was."""
    if not is_document(document):
        raise FileError(
            "`trades` document is no backtest result of freqtrade: it needs an object `strategy` with `trades` in it; "
            "give any other tool's trades as CSV or Parquet"
        )
    held = document["strategy"]
    names = [clean(name) for name in held]
    if strategy is None and len(held) != 1:
        raise ParameterError(
            f"`trades` hold {len(held)} strategies ({', '.join(names[:5])}): choose one with `strategy=`"
        )
    chosen = next(iter(held)) if strategy is None else strategy
    if chosen not in held:
        raise ParameterError(
            f"`strategy` {clean(chosen)!r} is not in the result; it has {', '.join(names[:5]) or 'none'}"
        )
    rows = held[chosen].get("trades") if isinstance(held[chosen], dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FileError(
            f"`trades` of strategy {clean(chosen)!r} are no list of objects: export with --export trades"
        )
    columns = {
        name: pl.Series(name, [_scalar(row.get(name), kind) for row in rows], dtype=kind)
        for name, kind in _COLUMNS.items()
        if not rows or any(name in row for row in rows)
    }
    frame = pl.DataFrame(columns)
    if {"amount", "open_rate", "close_rate", "fee_open", "fee_close"} <= set(frame.columns):
        # Its fees are rates.
        paid = pl.col("open_rate") * pl.col("fee_open") + pl.col("close_rate") * pl.col("fee_close")
        frame = frame.with_columns(fees=pl.col("amount") * paid)
    return frame.drop("fee_open", "fee_close", strict=False), clean(chosen)


def _scalar(value: Any, kind: Any) -> Any:
    """Take what is of the kind, leave the rest out."""
    if kind == pl.String:
        return value if isinstance(value, str) else None
    if kind == pl.Boolean:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
