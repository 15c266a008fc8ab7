"""From the source's own columns to canonical ones: names, times, numbers."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

import numpy as np
import polars as pl

from barproof.candles.table import PRICES, Floats, Ints, Table
from barproof.errors import CandleError, LayoutError, ParameterError

__all__ = ["floats", "normalise", "one_symbol", "plain", "rows_text", "times", "words"]


def words(text: str) -> list[str]:
    """Split a list of names, one line being easier to read than a column of strings."""
    return text.split()


# Names as exchanges, vendors and libraries write them, lower case without marks.
TIME_NAMES = words(
    "opentime opentimems opentimestamp timeopen timestamp timestampms unix unixtime unixtimestamp datetime time date "
    "starttime start startat ts t dt candletime bartime candlebegintime begin"
)
ALIASES = {
    "open": words("open o openprice op bidopen openbid"),
    "high": words("high h highprice max hi bidhigh highbid"),
    "low": words("low l lowprice min lo bidlow lowbid"),
    "close": words("close c closeprice last cl bidclose closebid"),
    "volume": words(
        "volume v vol basevolume volumebase tickvolume tickvol volumebtc volumefrom size qty"
    ),
    "quote_volume": words(
        "quotevolume quoteassetvolume quotevol volumequote turnover volumeusdt volumeusd volumeto vq"
    ),
    "trades": words(
        "trades count numberoftrades numtrades tradecount tradescount tradecnt ntrades n"
    ),
    "taker_buy_volume": words(
        "takerbuyvolume takerbuybaseassetvolume takerbuybasevolume takerbuybase takerbasevolume"
    ),
    "taker_buy_quote_volume": words(
        "takerbuyquotevolume takerbuyquoteassetvolume takerbuyquote takerquotevolume"
    ),
    "ask_open": words("askopen openask"),
    "ask_high": words("askhigh highask"),
    "ask_low": words("asklow lowask"),
    "ask_close": words("askclose closeask"),
    "vwap": words("vwap vw weightedaverage"),
    "open_interest": words("openinterest oi"),
    "adj_close": words("adjclose adjustedclose"),
}
CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
SYMBOL_NAMES = frozenset(words("symbol ticker pair tic coin market instrument"))
DROPPED = frozenset(
    words(
        "closetime endtime timeclose ignore unused index level0 indexlevel0 unnamed0 rowid id interval timeframe "
        "confirm isclosed isfinal"
    )
)

# An epoch value is read by its size: seconds below 1e11 (year 5138), then milli-, micro- and nanoseconds.
EPOCH_STEPS = ((1e11, 1_000, 1), (1e14, 1, 1), (1e17, 1, 1_000), (float("inf"), 1, 1_000_000))

# Whole numbers in this range are days written as ``20240131``.
FIRST_DAY, LAST_DAY = 19_000_101, 21_001_231

PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}

ISO = (
    r"^\s*(\d{4})[-./]?(\d{2})[-./]?(\d{2})"
    r"(?:[ T]*(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?\s*$"
)


def plain(name: str) -> str:
    """Reduce a column name to lower case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def one_symbol(frame: pl.DataFrame, symbol: str | None) -> tuple[pl.DataFrame, str | None]:
    """Cut a frame of several symbols to one, or name the only one."""
    column = next((c for c in frame.columns if plain(c) in SYMBOL_NAMES), None)
    if column is None or frame.schema[column].is_numeric():
        return frame, symbol
    names = frame[column].cast(pl.String).drop_nulls().unique().sort().to_list()
    if len(names) <= 1:
        return frame, symbol or (names[0].replace("/", "") if names else None)
    if symbol is None:
        raise ParameterError(
            f"source holds {len(names)} symbols in column {column!r} "
            f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}): "
            f"choose one with `symbol=`"
        )
    if symbol not in names:
        near = get_close_matches(symbol, names, n=3) or names[:5]
        raise ParameterError(
            f"`symbol` {symbol!r} is not in column {column!r} of the source; "
            f"nearest: {', '.join(near)}"
        )
    return frame.filter(pl.col(column).cast(pl.String) == symbol), symbol


def normalise(frame: pl.DataFrame) -> Table:
    """Pick the columns of candles out of a frame.

    Times without a zone are taken as UTC. Columns that are no numbers, and those that say nothing new (close times,
    row numbers), are dropped; other numeric columns are kept under their own name.

    Raises
    ------
    LayoutError
        If a column is missing, given twice, or is no column of numbers.
    CandleError
        If a time cannot be read.
    """
    known: dict[str, str] = {}
    others: dict[str, str] = {}
    for column in frame.columns:
        key = plain(column)
        name = CANONICAL.get(key)
        if name is None and re.fullmatch(r"volume.+", key) and re.search(r"[ _(]", column):
            # "Volume XRP" beside "Volume USDT", base first.
            name = "quote_volume" if "volume" in known else "volume"
        if name is None:
            others[key] = column
        elif name in known:
            raise LayoutError(
                f"columns {known[name]!r} and {column!r} both mean {name!r}: drop or rename one"
            )
        else:
            known[name] = column
    found = [others[key] for key in TIME_NAMES if key in others]
    missing = [name for name in PRICES if name not in known]
    if not found:
        missing.insert(0, "open_time")
    if missing:
        names = [c for c in frame.columns if c]
        free = [c for c in names if c not in known.values()]
        hints = {m: get_close_matches(m, free, n=1, cutoff=0.5) for m in missing}
        near = [f"is {hint[0]!r} the {m}?" for m, hint in hints.items() if hint]
        raise LayoutError(
            f"source lacks column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has "
            f"{', '.join(names[:20]) or 'no columns'}; rename them"
            f"{' (' + ' '.join(near) + ')' if near else ''}"
        )
    moment = frame[found[0]]
    if {plain(c) for c in found[:2]} == {"time", "date"} and _apart(frame, others):
        moment = frame.select(
            pl.concat_str(
                pl.col(others["date"]).cast(pl.String), pl.col(others["time"]), separator=" "
            )
        ).to_series()
    columns: dict[str, Any] = {
        name: floats(frame[known[name]], name) for name in (*PRICES, "volume") if name in known
    }
    volume = columns.pop("volume", None)
    used = {*found, *known.values()}
    extra = {
        name: floats(frame[column], name)
        for name, column in known.items()
        if name not in PRICES and name != "volume"
    }
    # Asked for once: polars makes a schema of all columns at each call.
    kinds = frame.schema
    for key, column in others.items():
        if key and key not in DROPPED and column not in used and kinds[column].is_numeric():
            name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
            extra[name] = floats(frame[column], name)
    return Table(
        time=times(moment, "open_time"),
        volume=np.zeros(len(frame)) if volume is None else volume,
        extra=extra,
        no_volume=volume is None,
        **columns,
    )


def _apart(frame: pl.DataFrame, others: dict[str, str]) -> bool:
    """Tell a date column beside a column with the time of day."""
    clock = frame[others["time"]]
    if clock.dtype != pl.String:
        return False
    return bool(clock.str.contains(r"^\s*\d{1,2}:\d{2}(:\d{2})?\s*$").all())


def floats(series: pl.Series, name: str) -> Floats:
    """Read a column as float64; what is absent becomes NaN."""
    dtype = series.dtype
    if dtype == pl.String:
        cast = series.str.strip_chars().cast(pl.Float64, strict=False)
        bad = cast.is_null() & series.is_not_null()
        if bad.any():
            rows = np.flatnonzero(bad.to_numpy())
            raise LayoutError(
                f"column {name!r} holds text that is no number in {rows_text(rows)} "
                f"(the first is {series[int(rows[0])]!r}): clean the source"
            )
    elif dtype.is_numeric() or dtype in (pl.Null, pl.Boolean):
        cast = series.cast(pl.Float64)
    else:
        raise LayoutError(f"column {name!r} must hold numbers, holds {dtype}")
    # A null of a float column leaves polars as NaN.
    return np.array(cast.to_numpy(), dtype=np.float64)


def times(series: pl.Series, name: str) -> Ints:
    """Read a column as milliseconds UTC.

    Dates and times of polars, ISO 8601 text (without a zone: UTC), days as ``20240131``, or an epoch in seconds,
    milli-, micro- or nanoseconds, told apart by its size value by value. What lies below a millisecond is cut off.

    Raises
    ------
    CandleError
        If a row holds no time, or text that is none.
    LayoutError
        If the column can hold no times.
    """
    dtype = series.dtype
    per_ms = 1
    if dtype == pl.String:
        text = series.str.strip_chars()
        if text.drop_nulls().str.contains(r"^-?\d+(\.\d+)?$").all() and len(text.drop_nulls()):
            whole = not text.str.contains(".", literal=True).any()
            ms = _epoch(text.cast(pl.Int64 if whole else pl.Float64, strict=False))
        else:
            ms = _iso(text)
    elif isinstance(dtype, pl.Datetime):
        ms = series.cast(pl.Int64)
        per_ms = PER_MS[dtype.time_unit]
    elif dtype == pl.Date:
        ms = series.cast(pl.Datetime("ms")).dt.timestamp("ms")
    elif dtype.is_integer() or dtype.is_float():
        ms = _epoch(series)
    else:
        raise LayoutError(f"column {name!r} must hold times, holds {dtype}")
    if ms.null_count():
        rows = np.flatnonzero(ms.is_null().to_numpy())
        raise CandleError(
            f"`{name}` of {rows_text(rows)} is no time (the first is {series[int(rows[0])]!r}): "
            f"write ISO 8601 such as 2024-01-31 13:00 or an epoch in s, ms, us or ns"
        )
    return np.array(ms.to_numpy(), dtype=np.int64) // per_ms


def _epoch(series: pl.Series) -> pl.Series:
    """Numbers as milliseconds: days written as yyyymmdd, or seconds to nanoseconds told by their size."""
    if series.dtype.is_integer() and len(series) and not series.null_count():
        low = series.min()
        if isinstance(low, int) and low > LAST_DAY:
            return _plain_epoch(series)
    series = (
        series.fill_nan(None) if series.dtype.is_float() else series.cast(pl.Int64, strict=False)
    )
    value = pl.col("t")
    day = value.cast(pl.Int64, strict=False).cast(pl.String).str.to_datetime("%Y%m%d", strict=False)
    expr: Any = pl.when(value.is_between(FIRST_DAY, LAST_DAY)).then(day.dt.timestamp("ms"))
    for top, factor, divisor in EPOCH_STEPS:
        scaled = value * factor if divisor == 1 else value // divisor
        expr = expr.when(value.abs() < top).then(scaled.cast(pl.Int64, strict=False))
    return series.alias("t").to_frame().select(expr.alias("t")).to_series()


def _plain_epoch(series: pl.Series) -> pl.Series:
    """Read whole numbers that are no days: the same in NumPy, whose cost for a few rows is a tenth."""
    value = series.cast(pl.Int64, strict=False)
    if value.null_count():
        return value
    numbers = value.to_numpy()
    below = [numbers < top for top, _, _ in EPOCH_STEPS]
    scaled = [
        numbers * factor if divisor == 1 else numbers // divisor
        for _, factor, divisor in EPOCH_STEPS
    ]
    return pl.Series("t", np.select(below, scaled))


def _iso(text: pl.Series) -> pl.Series:
    """Texts of ISO 8601 as milliseconds; without a zone they are UTC, beyond milliseconds they are cut."""
    part = pl.col("t").str.extract_groups(ISO).struct
    zone = (
        pl.when(part.field("8").is_in(["Z", "UTC", "GMT"]) | part.field("8").is_null())
        .then(pl.lit("+00:00"))
        .otherwise(part.field("8").str.replace(r"^([+-]\d{2}):?(\d{2})?$", "$1:$2"))
        .str.replace(r":$", ":00")
    )
    day = pl.concat_str(part.field("1"), part.field("2"), part.field("3"), separator="-")
    clock = pl.concat_str([part.field(g).fill_null("00") for g in "456"], separator=":")
    whole = pl.concat_str(day, pl.lit("T"), clock, zone)
    at = whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%:z", time_unit="ms", strict=False)
    fraction = part.field("7").fill_null("0").str.pad_end(3, "0").str.slice(0, 3).cast(pl.Int64)
    frame = text.alias("t").to_frame()
    return frame.select((at.dt.timestamp("ms") + fraction).alias("t")).to_series()


def rows_text(rows: Ints, count: int | None = None) -> str:
    """Name the first few rows.

    Examples
    --------
    >>> rows_text(np.array([4, 9])), rows_text(np.arange(9), 100)
    ('rows 4, 9', 'rows 0, 1, 2, 3, 4 and 95 more')
    """
    total = len(rows) if count is None else count
    shown = ", ".join(str(int(row)) for row in rows[:5])
    more = f" and {total - 5} more" if total > 5 else ""
    return f"row{'s' if total != 1 else ''} {shown}{more}"
