"""Logs of other people's bots: a table of times, features, probabilities and decisions under our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from barproof.candles import Candles
from barproof.candles.columns import floats, plain, times
from barproof.candles.interval import parse_interval
from barproof.candles.sources import load
from barproof.errors import BarproofError, LayoutError, ParameterError
from barproof.live.log import BARS, DECISIONS, EVENTS, TIME, LiveLog
from barproof.results.naming import Table, clean

__all__ = ["read_foreign"]

# Column names as small letters and digits: what bots and notebooks call these things.
_NAMES: dict[str, tuple[str, ...]] = {
    "open_time": tuple("time timestamp ts date datetime bartime candletime opentime".split()),
    "close_time": tuple("closetime closedat".split()),
    "decided_at": tuple("decisiontime decidedat loggedat createdat".split()),
    "symbol": ("pair", "ticker", "instrument", "market"),
    "p_long": tuple(
        "plong pup p1 problong probup probability proba prob longprobability longprob".split()
    ),
    "p_short": tuple("pshort pdown probshort probdown shortprobability shortprob".split()),
    "p_exit_long": ("pexitlong", "probexitlong"),
    "p_exit_short": ("pexitshort", "probexitshort"),
    "side": ("position", "positionside", "currentposition"),
    "signal": ("decision", "action"),
    "equity": ("balance", "accountequity", "portfoliovalue"),
    "model_digest": tuple("model modelhash modelid modelversion checkpoint".split()),
}
_NUMBERS = ("p_long", "p_short", "p_exit_long", "p_exit_short", "equity")
_MOMENTS = ("open_time", "close_time", "decided_at")
_PRICES = ("open", "high", "low", "close", "volume")

_SIDES: dict[str, str] = {
    **dict.fromkeys(("long", "buy", "1", "up", "openlong", "enterlong", "bull"), "long"),
    **dict.fromkeys(("short", "sell", "-1", "down", "openshort", "entershort", "bear"), "short"),
    **dict.fromkeys(
        ("flat", "none", "0", "hold", "wait", "neutral", "", "no", "skip", "out"), "flat"
    ),
}


def read_foreign(
    source: Any,
    *,
    columns: Mapping[str, str] | None,
    features: Sequence[str] | None,
    symbol: str | None,
    interval: str | None,
    stamp: str,
    trades: Any,
    bars: Any,
    session: Mapping[str, Any] | None,
) -> LiveLog:
    """Read what :meth:`LiveLog.foreign` is given."""
    if stamp not in ("open", "close"):
        raise ParameterError(
            f'`stamp` must be "open" or "close", was {stamp!r}: it says which time of its bar a row carries'
        )
    frame, file = load(source, name="source")
    own, mine = _split(dict(columns or {}), frame)
    table = Table(frame, own, _NAMES, "live log")
    found = {name: table.find(name, aliases) for name, aliases in _NAMES.items()}
    names = _features(frame, features, found, mine, table)
    step = None if interval is None else parse_interval(interval) * 1_000
    held = _times(frame, found, stamp, step)
    if not names and not any(found[n] for n in ("p_long", "p_short", "side", "signal")):
        raise LayoutError(
            f"a live log needs features, probabilities (p_long, p_short) or decisions (side, signal), and has none of "
            f"them: its columns are {table.listed}; name them with columns="
        )
    for name, column in found.items():
        if column is None:
            continue
        if name in _NUMBERS:
            held[name] = pl.Series(name, floats(frame[column], clean(column)))
        elif name in ("side", "signal"):
            held[name] = _sides(frame[column], name)
        elif name not in _MOMENTS:
            held[name] = frame[column].cast(pl.String).alias(name)
    if "symbol" not in held:
        held["symbol"] = pl.Series("symbol", [symbol or ""] * frame.height, dtype=pl.String)
    decisions = pl.DataFrame(
        [
            held[name].cast(kind)
            if name in held
            else pl.Series(name, [None] * frame.height, dtype=kind)
            for name, kind in DECISIONS.items()
        ]
    )
    _ordered(decisions)
    values = [
        pl.Series(name, floats(frame[column], clean(column))) for name, column in names.items()
    ]
    _finite(values)
    rows = decisions.select("symbol", "open_time").hstack(values)
    one = decisions["symbol"][0] if decisions.height else symbol or ""
    return LiveLog(
        bars=_bars(bars, frame, decisions, found, names),
        decisions=decisions,
        features=rows if names else rows.clear(),
        trades=_trades(trades, one, table.notes),
        events=pl.DataFrame(schema=EVENTS),
        session={**dict(session or {}), "features": list(names), "format": "foreign"},
        own=False,
        notes=tuple(table.notes),
        source=file or "",
    )


def _split(columns: dict[str, str], frame: pl.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Columns of the log, and features under the names that the model has for them."""
    own = {name: column for name, column in columns.items() if name in _NAMES}
    # Classes of our own tables, which small letters and digits alone do not tell apart.
    down = "p_-1" if "p_-1" in frame.columns else "p_0"
    for name, column in (("p_long", "p_1"), ("p_short", down)):
        if name not in own and name not in frame.columns and column in frame.columns:
            own[name] = column
    mine = {name: column for name, column in columns.items() if name not in _NAMES}
    for name, column in mine.items():
        if column not in frame.columns:
            raise ParameterError(
                f"`columns` takes the feature {clean(name)!r} from {clean(column)!r}, which the log lacks: it has "
                f"{', '.join(clean(c) for c in frame.columns[:20])}"
            )
    return own, mine


def _features(
    frame: pl.DataFrame,
    told: Sequence[str] | None,
    found: Mapping[str, str | None],
    renamed: Mapping[str, str],
    table: Table,
) -> dict[str, str]:
    """Columns of features by the name that the model has for them, in the order in which they stand."""
    back = {column: name for name, column in renamed.items()}
    taken = {column for column in found.values() if column is not None}
    if told is not None:
        given = [str(name) for name in ([told] if isinstance(told, str) else told)]
        lacking = [n for n in given if n not in frame.columns and n not in renamed]
        if lacking:
            raise LayoutError(
                f"`features` names {len(lacking)} columns that the log lacks, first {clean(lacking[0])!r}: it has "
                f"{table.listed}"
            )
        chosen = [renamed.get(name, name) for name in given]
    else:
        chosen = [
            name
            for name in frame.columns
            if name in back
            or (
                name not in taken
                and (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean)
                and plain(name) not in _PRICES
            )
        ]
        left = [n for n in frame.columns if n not in chosen and n not in taken]
        if left:
            table.notes.append(f"not read: {', '.join(clean(name) for name in left[:20])}")
    out: dict[str, str] = {}
    for column in chosen:
        name = back.get(column) or _canonical(column)
        if name in out:
            raise LayoutError(
                f"columns {clean(out[name])!r} and {clean(column)!r} are both the feature {clean(name)!r}: leave one "
                "out with features="
            )
        out[name] = column
    return out


def _canonical(name: str) -> str:
    """Name of a feature as the grammar writes it; names of other grammars stay what they are."""
    from barproof.features import FeatureSet

    if not any(sign in name for sign in "(@."):
        return name
    try:
        return FeatureSet([name]).names[0]
    except BarproofError:
        return name


def _times(
    frame: pl.DataFrame, found: Mapping[str, str | None], stamp: str, step: int | None
) -> dict[str, pl.Series]:
    """Find opening and closing times of the bars, microseconds."""
    held: dict[str, pl.Series] = {}
    for name in _MOMENTS:
        column = found[name]
        if column is not None:
            held[name] = pl.Series(name, times(frame[column], clean(column)) * 1_000)
    if "open_time" not in held and "close_time" not in held:
        listed = ", ".join(clean(name) for name in frame.columns[:20]) or "none"
        raise LayoutError(
            f"a live log needs the time of each bar, and no column holds it: its columns are {listed}; name it with "
            'columns={"open_time": ...}'
        )
    known = held["open_time"] if "open_time" in held else held["close_time"]
    if "open_time" in held and "close_time" in held:
        known = held["open_time"]
    elif step is None:
        step = _step(known)
    if "open_time" not in held:
        held["open_time"] = (held["close_time"] - step).alias("open_time")
    elif "close_time" not in held:
        if stamp == "close":
            held["close_time"] = held["open_time"].alias("close_time")
            held["open_time"] = (held["close_time"] - step).alias("open_time")
        else:
            held["close_time"] = (held["open_time"] + step).alias("close_time")
    return {name: series.cast(TIME) for name, series in held.items()}


def _step(known: pl.Series) -> int:
    """Most frequent distance of rows: that of bars, where most of them are there."""
    gaps = np.diff(np.unique(known.to_numpy()))
    if not len(gaps):
        raise LayoutError(
            'the length of a bar cannot be told from a log of one time: give interval=, such as "5m"'
        )
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[np.argmax(counts)])


def _sides(series: pl.Series, name: str) -> pl.Series:
    """Long, short or flat, however it was written."""
    if series.dtype.is_numeric():
        texts = [
            None if v is None or v != v else str(int(v)) if float(v).is_integer() else str(v)
            for v in series
        ]
    else:
        texts = [None if v is None else str(v) for v in series.cast(pl.String)]
    out = []
    for row, text in enumerate(texts):
        if text is None:
            out.append("flat")
            continue
        side = _SIDES.get(text.strip().lower().replace("_", "").replace(" ", ""))
        if side is None:
            raise ParameterError(
                f"`{name}` of row {row} must be long, short or flat (or 1, -1, 0; buy, sell, hold), was "
                f"{clean(text)!r}: translate it first"
            )
        out.append(side)
    return pl.Series(name, out, dtype=pl.String)


def _ordered(decisions: pl.DataFrame) -> None:
    """Refuse rows of a symbol that repeat a time or go back."""
    for (symbol,), rows in decisions.group_by(["symbol"], maintain_order=True):
        gaps = np.diff(rows["open_time"].to_physical().to_numpy())
        wrong = np.flatnonzero(gaps <= 0)
        if len(wrong):
            row = int(wrong[0]) + 1
            what = "repeats the time of" if gaps[wrong[0]] == 0 else "lies before"
            raise ParameterError(
                f"row {row} of the log{f' of {clean(symbol)}' if symbol else ''} {what} the row before it, "
                f"{rows['open_time'][row]:%Y-%m-%d %H:%M:%S}: give each bar once, in order"
            )


def _finite(values: Sequence[pl.Series]) -> None:
    for series in values:
        wrong = series.is_infinite().arg_true()
        if len(wrong):
            raise ParameterError(
                f"feature {clean(series.name)!r} is infinite in row {wrong[0]} of the log: make it NaN where it is "
                "undefined"
            )


def _bars(
    given: Any,
    frame: pl.DataFrame,
    decisions: pl.DataFrame,
    found: Mapping[str, str | None],
    features: Mapping[str, str],
) -> pl.DataFrame:
    """Bars that the bot saw: given, or in the log itself; what is a feature is none."""
    if given is None:
        held = {
            plain(c): c
            for c in frame.columns
            if plain(c) in _PRICES and c not in features.values() and c not in found.values()
        }
        if not {"open", "high", "low", "close"} <= set(held):
            return pl.DataFrame(schema=BARS)
        columns = [pl.Series(n, floats(frame[c], clean(c))) for n, c in held.items()]
        return _filled(decisions.select("symbol", "open_time").hstack(columns))
    if isinstance(given, Candles):
        table = given.to_polars().with_columns(symbol=pl.lit(given.symbol))
    else:
        table, _ = load(given, name="bars")
    named = {plain(c): c for c in table.columns}
    lacking = [n for n in ("open", "high", "low", "close") if n not in named]
    at = next((named[n] for n in ("opentime", "time", "timestamp", "date") if n in named), None)
    if lacking or at is None:
        raise LayoutError(
            f"`bars` lack {', '.join(lacking) or 'the opening time'}: they need open_time, open, high, low, close"
        )
    symbol = decisions["symbol"][0] if decisions.height else ""
    made = pl.DataFrame(
        [
            table[named["symbol"]].cast(pl.String).alias("symbol")
            if "symbol" in named
            else pl.Series("symbol", [symbol] * table.height, dtype=pl.String),
            pl.Series("open_time", times(table[at], clean(at)) * 1_000).cast(TIME),
            *(
                pl.Series(n, floats(table[named[n]], clean(named[n])))
                for n in _PRICES
                if n in named
            ),
        ]
    )
    return _filled(made)


def _filled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        frame[name].cast(kind) if name in frame.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in BARS.items()
    )


def _trades(given: Any, symbol: str, notes: list[str]) -> pl.DataFrame:
    if given is None:
        return pl.DataFrame()
    from barproof.results import take_trades

    taken = take_trades(given)
    notes += taken.notes
    frame = taken.trades
    if "symbol" not in frame.columns:
        frame = frame.with_columns(symbol=pl.lit(symbol))
    return frame
