"""`read_candles`: from whatever the caller has to validated candles."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, get_args

import numpy as np

from barproof.candles.calendars import check_calendar
from barproof.candles.checks import find_faults
from barproof.candles.columns import normalise, one_symbol
from barproof.candles.faults import STRUCTURAL, Fault, listing, suggestion
from barproof.candles.funding import funding_faults, read_funding
from barproof.candles.instrument import Instrument, as_instrument
from barproof.candles.interval import format_interval, parse_interval
from barproof.candles.model import Candles
from barproof.candles.repair import apply_repairs, check_repairs
from barproof.candles.sources import load, symbol_from_name
from barproof.candles.table import Ints
from barproof.errors import CandleError, DataWarning, FundingError, LayoutError, ParameterError

__all__ = ["OnFault", "read_candles"]

OnFault = Literal["raise", "warn", "ignore", "strict"]


def read_candles(
    source: str | os.PathLike[str] | Any,
    *,
    instrument: Instrument | str,
    symbol: str | None = None,
    interval: str | timedelta | None = None,
    funding: str | os.PathLike[str] | Any | None = None,
    calendar: str | None = None,
    on_fault: OnFault = "raise",
    repair: str | Sequence[str] = (),
) -> Candles:
    """Read and validate candles.

    Parameters
    ----------
    source : path, DataFrame, Table or mapping
        Parquet, Feather or CSV (also .gz, .zip; exchange archives with and without header), or columns of polars,
        pandas, Arrow or a mapping of arrays. Needed are a time and open, high, low, close, under any of the usual
        names. Times mean the opening of the bar; without a zone they are UTC. Epochs may be in s, ms, us or ns. A
        missing volume column reads as 0 and is recorded. Other numeric columns go to ``candles.extra``.
    instrument : str or Instrument
        ``"perpetual"``, ``"spot"``, ``"equity"``, ``"fx"``, or an :class:`Instrument` with its limits.
    symbol : str, optional
        Name of the market; inferred from a symbol column or the file name, else ``"UNKNOWN"``. Chooses the rows where
        the source holds several symbols.
    interval : str or timedelta, optional
        Bar length such as ``"5m"``; inferred as the most common step of the times.
    funding : path, frame, table or "none"
        Settlements of a perpetual (fraction, positive: longs pay shorts), required for one; ``"none"`` runs without
        and is recorded.
    calendar : str, optional
        ``"24/7"`` (spot, perpetual), ``"sessions"`` (equity, fx: closures that repeat are no holes), or the name of an
        exchange calendar such as ``"XNYS"`` (needs the extra `calendars`).
    on_fault : {"raise", "warn", "ignore", "strict"}
        ``"raise"``: errors raise, warnings are kept on ``candles.faults``. ``"warn"``: errors that an engine can live
        with become a `DataWarning`. ``"ignore"``: the same in silence. ``"strict"``: warnings raise too. Disorder,
        duplicates and impossible values always raise.
    repair : str or sequence of str
        Repairs by name, applied in this order before validation, recorded in ``candles.repairs`` and in the digest.

    Returns
    -------
    Candles
        Immutable; no NaN outside of ``extra``.

    Raises
    ------
    FileError, LayoutError
        If the source cannot be read, or lacks a column.
    CandleError
        If the candles are faulty; the message lists every fault with rows and remedy, ``error.faults`` holds them.
    FundingError
        If funding is missing on a perpetual, given for something else, or cannot be used.
    ParameterError
        If an argument is out of its choices.

    Examples
    --------
    >>> from barproof.candles import read_candles
    >>> read_candles({"time": [1704067200, 1704070800, 1704074400], "open": [1.0, 1.1, 1.2], "high": [1.2, 1.3, 1.3],
    ...               "low": [0.9, 1.0, 1.1], "close": [1.1, 1.2, 1.3]}, instrument="spot", symbol="ABC")
    Candles(ABC, 1h, 3 bars, 2024-01-01 00:00 to 2024-01-01 03:00, spot, 1 fault)
    """
    market = as_instrument(instrument)
    if on_fault not in get_args(OnFault):
        near = get_close_matches(str(on_fault), get_args(OnFault), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParameterError(
            f"`on_fault` must be one of {', '.join(get_args(OnFault))}, was {on_fault!r}{hint}"
        )
    if symbol is not None and (not isinstance(symbol, str) or not symbol):
        raise LayoutError(f"`symbol` must be text that is not empty, was {symbol!r}")
    hours = check_calendar(calendar) if calendar is not None else market.calendar
    names = check_repairs(repair)
    declined = isinstance(funding, str) and funding == "none"
    if market.kind == "perpetual" and funding is None:
        raise FundingError(
            'a perpetual pays funding: give `funding=` (a path or a frame), or funding="none" to '
            "run without"
        )
    if market.kind != "perpetual" and funding is not None and not declined:
        raise FundingError(
            f"`funding` belongs to perpetuals, `instrument` is {market.kind!r}: leave it out"
        )
    frame, file_name = load(source)
    frame, named = one_symbol(frame, symbol)
    name = symbol or named or (symbol_from_name(file_name) if file_name else None) or "UNKNOWN"
    table = normalise(frame)
    if not len(table):
        raise CandleError(f"source holds no rows: check {file_name or 'the frame'}")
    length = (
        _infer_interval(table.time) if interval is None else _told_interval(table.time, interval)
    )
    table, repairs = apply_repairs(table, names, length, hours)
    if not len(table):
        raise CandleError(
            f"no rows are left after the repairs ({'; '.join(repairs)}): check the source"
        )
    faults = find_faults(table, length, hours)
    time = rate = None
    if market.kind == "perpetual" and not declined:
        time, rate = read_funding(funding, name)
        faults += funding_faults(time, np.sort(table.time), length)
    _judge(name, len(table), faults, on_fault)
    return Candles._from_arrays(
        table.time,
        table.open,
        table.high,
        table.low,
        table.close,
        table.volume,
        symbol=name,
        interval_ms=length,
        instrument=market,
        calendar=hours,
        extra=table.extra,
        funding_time=time,
        funding_rate=rate,
        no_funding=declined and market.kind == "perpetual",
        faults=faults,
        repairs=repairs,
    )


def _told_interval(time: Ints, interval: str | timedelta) -> int:
    """Take the caller's word, unless the times plainly speak against it.

    Sessions have no slots outside them, so a wrong interval there would leave no hole to see.
    """
    length = parse_interval(interval)
    steps = np.diff(np.sort(time))
    steps = steps[steps > 0]
    if len(steps) >= MIN_STEPS and np.mean(steps == length) < 0.01:
        usual = _infer_interval(time)
        if usual != length:
            raise ParameterError(
                f"`interval` is {format_interval(length)}, but most bars are {format_interval(usual)} apart: "
                f"leave it out, or resample after reading"
            )
    return length


MIN_STEPS = 20
"""Steps between bars from which on their length can be told."""


def _infer_interval(time: Ints) -> int:
    """Take the most common step between times."""
    steps = np.diff(np.sort(time))
    steps = steps[steps > 0]
    if len(steps) < 2:
        raise ParameterError(
            f"`interval` cannot be inferred from {len(steps) + 1} different "
            f'time{"s" if len(steps) else ""}: pass interval=, such as "5m"'
        )
    sizes, counts = np.unique(steps, return_counts=True)
    return int(sizes[np.argmax(counts)])


def _judge(name: str, rows: int, faults: list[Fault], on_fault: OnFault) -> None:
    """Raise, warn or let pass."""
    errors = [fault for fault in faults if fault.severity == "error"]
    structural = any(fault.code in STRUCTURAL for fault in errors)
    refused = faults if on_fault == "strict" else errors
    if refused and (structural or on_fault in ("raise", "strict")):
        ways = [suggestion(refused)]
        if not errors:
            ways.append('on_fault="raise" to accept warnings')
        elif not structural:
            ways.append('on_fault="warn" to accept them')
        remedy = " or ".join(way for way in ways if way)
        raise CandleError(
            f"candles of {name} have {len(errors)} kind{'s' if len(errors) != 1 else ''} of errors "
            f"and {len(faults) - len(errors)} of warnings in {rows} rows:\n{listing(faults)}\n"
            f"  remedy: {remedy}",
            faults,
        )
    if faults and on_fault == "warn":
        warnings.warn(
            f"candles of {name} are used with {len(faults)} "
            f"kind{'s' if len(faults) > 1 else ''} of faults:\n{listing(faults)}",
            DataWarning,
            stacklevel=3,
        )
