"""From whatever the caller has (a path, a frame, a table) to a raw polars frame with the source's own columns."""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import polars as pl

from barproof._machine import available_bytes
from barproof._tables import as_table
from barproof.candles.columns import words
from barproof.errors import FileError, LayoutError

__all__ = ["collect", "load", "symbol_from_name"]

EXTENSIONS = (".parquet", ".pq", ".feather", ".ipc", ".arrow", ".csv", ".tsv", ".txt")
PACKED = (".gz", ".zip")

_LEAST_UNPACKED = 1 << 20
_PIECE = 1 << 20
NULLS = ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "None", "-"]

# Columns of exchange archives that come without a header, by number of fields.
KLINES = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
]
HEADERLESS = {
    5: KLINES[:5],
    6: KLINES[:6],
    7: [*KLINES[:6], "quote_volume"],
    11: KLINES[:11],
    12: KLINES,
}


# Words of file names that are not symbols.
VENUES = frozenset(
    words(
        "binance binanceum binancecm binanceus bybit okx okex kraken coinbase coinbasepro gdax "
        "bitstamp bitfinex bittrex bitmex bitget kucoin gate gateio huobi htx mexc deribit "
        "hyperliquid ftx oanda dukascopy histdata fxcm stooq yahoo polygon alpaca us fx spot perp "
        "perps perpetual futures swap linear inverse um cm mark index last trade raw dirty clean "
        "candles candle klines kline ohlc ohlcv bars bar data funding rate history hist daily hourly "
        "minute prices price quotes my mine own new old test sample example all full export"
    )
)
QUOTES = words(
    "USDT USDC FDUSD TUSD BUSD DAI USD EUR GBP JPY CHF AUD CAD NZD TRY BRL KRW BTC ETH BNB"
)


def load(source: Any, *, name: str = "source") -> tuple[pl.DataFrame, str | None]:
    """Read `source` as it stands.

    Parameters
    ----------
    source : path, DataFrame, LazyFrame, Table or mapping
        A Parquet, Feather (IPC) or CSV file (CSV also packed as gz or zip), or columns of polars, pandas, Arrow, a
        structured array of NumPy or a mapping of arrays.
    name : str
        Argument to name in errors.

    Returns
    -------
    frame : polars.DataFrame
        Columns under the source's own names.
    file_name : str or None
        Name of the file, for guessing the symbol.

    Raises
    ------
    FileError
        If the file does not exist, has an unknown extension or cannot be read.
    LayoutError
        If `source` is of a kind that cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return _read_file(path, name), path.name
    if isinstance(source, pl.DataFrame):
        return source, None
    if isinstance(source, pl.LazyFrame):
        return collect(source, name), None
    try:
        held = as_table(source, any_index=True)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        kind = "mapping" if isinstance(source, Mapping) else type(source).__name__
        raise LayoutError(
            f"`{name}` {kind} does not make a table: give columns of one length that hold "
            f"numbers or times"
        ) from error
    if held is not None:
        return held, None
    raise LayoutError(
        f"`{name}` must be a path, a polars or pandas DataFrame, an Arrow table, a structured array or a mapping of "
        f"columns, was {type(source).__name__}"
    )


_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def collect(frame: pl.LazyFrame, name: str) -> pl.DataFrame:
    """Run a lazy frame: only then it is known whether what it reads is there."""
    try:
        return frame.collect()
    except _UNREADABLE as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"`{name}` is a LazyFrame that cannot be collected: {cause}") from error


def symbol_from_name(file_name: str) -> str | None:
    """Guess the symbol from a file name, or give None.

    Examples
    --------
    >>> symbol_from_name("binanceum_btcusdt_5m.parquet"), symbol_from_name("us_spy_1d.parquet")
    ('BTCUSDT', 'SPY')
    >>> symbol_from_name("my_candles.csv") is None
    True
    """
    stem = re.sub(r"(\.(parquet|pq|feather|ipc|arrow|csv|tsv|txt|gz|zip))+$", "", file_name.lower())
    words = [word.upper() for word in re.split(r"[^a-z0-9]+", stem) if word]
    for i, word in enumerate(words):
        if word in QUOTES and i > 0 and words[i - 1].lower() not in VENUES:
            return words[i - 1] + word
        if any(word.endswith(q) and len(word) > len(q) + 1 for q in QUOTES):
            return word
    rest = [
        word
        for word in words
        if word.lower() not in VENUES and not re.fullmatch(r"\d+([SMHDW]|MIN|MS)?", word)
    ]
    return rest[0] if len(rest) == 1 else None


def _read_file(path: Path, name: str) -> pl.DataFrame:
    """Read a table from a file by its extension, packed text included."""
    if not path.exists():
        near = []
        if path.parent.is_dir():
            near = get_close_matches(path.name, (p.name for p in path.parent.iterdir()), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise FileError(f"`{name}` file {str(path)!r} does not exist{hint}")
    if path.is_dir():
        raise FileError(f"`{name}` {str(path)!r} is a directory: give one of the files in it")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] if suffixes and suffixes[-1] in PACKED else ""
    kind = suffixes[-1] if suffixes and not packed else suffixes[-2] if len(suffixes) > 1 else ""
    if packed and kind not in EXTENSIONS:
        kind = ".csv"
    if kind not in EXTENSIONS or (packed and kind not in (".csv", ".tsv", ".txt")):
        raise FileError(
            f"`{name}` file {path.name!r} has an unknown extension: expected one of "
            f"{', '.join(EXTENSIONS)}, text also packed as {', '.join(PACKED)}"
        )
    try:
        if kind in (".parquet", ".pq"):
            _check_room(path, pl.scan_parquet(path, glob=False), name)
            return pl.read_parquet(path, glob=False)
        if kind in (".feather", ".ipc", ".arrow"):
            _check_room(path, pl.scan_ipc(path), name)
            return pl.read_ipc(path)
        return _read_text(_unpack(path, packed, name), path, name)
    except (
        *_UNREADABLE,
        EOFError,
        RuntimeError,  # an encrypted archive
        NotImplementedError,  # an unknown compression
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(
            f"`{name}` file {path.name!r} cannot be read as {kind[1:]}{packed}: {cause}"
        ) from error


def _unpack(path: Path, packed: str, name: str) -> bytes:
    """Unpack text, up to the most bytes that are read."""
    if packed == ".gz":
        with gzip.open(path) as stream:
            return _bounded(stream, path, name)
    if packed == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/") and "__MACOSX" not in m]
            tables = [m for m in members if m.lower().endswith((".csv", ".txt", ".tsv"))]
            if len(tables) != 1:
                held = ", ".join(members[:5]) or "nothing"
                raise FileError(
                    f"`{name}` file {path.name!r} must hold one CSV, it holds {held}: unpack it"
                )
            with archive.open(tables[0]) as member:
                return _bounded(member, path, name)
    return path.read_bytes()


def _bounded(stream: IO[bytes] | gzip.GzipFile, path: Path, name: str) -> bytes:
    """Unpack a member, as long as it leaves room for the table that is made of it."""
    most = max(_LEAST_UNPACKED, available_bytes() // 4)
    parts, size = [], 0
    while part := stream.read(_PIECE):
        parts.append(part)
        size += len(part)
        if size <= most:
            continue
        raise FileError(
            f"`{name}` file {path.name!r} unpacks to more than {most:,} bytes, a quarter of the free memory: unpack "
            "it, and read a part"
        )
    return b"".join(parts)


def _check_room(path: Path, frame: pl.LazyFrame, name: str) -> None:
    """Refuse a table that does not fit before any of it is read: a few bytes can unfold to billions of rows."""
    rows, width = int(frame.select(pl.len()).collect().item()), len(frame.collect_schema())
    need, free = 8 * rows * max(width, 1), available_bytes()
    if need > free:
        raise FileError(
            f"`{name}` file {path.name!r} holds {rows:,} rows of {width:,} columns, at least {need:,} bytes, and "
            f"{free:,} are free: read a part of it with polars.scan_parquet"
        )


def _read_text(data: bytes, path: Path, name: str) -> pl.DataFrame:
    """Read delimited text, with or without a header."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    head = data[:65536].decode("utf-8", errors="replace").splitlines()
    skip = 0
    while skip < len(head) and (not head[skip].strip() or _is_banner(head, skip)):
        skip += 1
    if skip >= len(head):
        return pl.DataFrame()
    first = head[skip]
    separator = max(",;\t|", key=first.count)
    fields = [field.strip().strip('"') for field in first.split(separator)]
    columns = None
    if not any(re.search(r"[A-DF-SU-Ya-df-su-y]", field) for field in fields):
        columns = HEADERLESS.get(len(fields))
        if len(fields) in (6, 7) and re.fullmatch(r"\d\d:\d\d(:\d\d)?", fields[1]):
            columns = ["date", "time", *KLINES[1 : len(fields) - 1]]
        if columns is None:
            raise FileError(
                f"`{name}` file {path.name!r} has {len(fields)} columns and no header, which is no "
                f"known layout: add a header line"
            )
    return pl.read_csv(
        io.BytesIO(data),
        separator=separator,
        has_header=columns is None,
        new_columns=columns,
        skip_lines=skip,
        null_values=NULLS,
        infer_schema_length=None,
        try_parse_dates=False,
    )


def _is_banner(head: list[str], at: int) -> bool:
    """Tell a line above the header: some archives start with their address, or with a comment."""
    line = head[at].lower()
    return line.startswith("#") or ("://" in line and not any(mark in line for mark in ",;\t|"))
