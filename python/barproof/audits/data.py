"""Audits of the data: DATA-01 and DATA-02."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.common import audited, capped, made, numbers, plural, speaking
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.candles import Candles
from barproof.candles.calendars import find_holes
from barproof.candles.checks import STALE_BARS
from barproof.candles.table import show_time
from barproof.errors import LayoutError, ParameterError

__all__ = ["bar_integrity", "coverage", "milliseconds"]

MISSING = 0.001
LONG_HOLE = 24
ENOUGH, TOO_LITTLE = 0.95, 0.50
PRICES = ("open", "high", "low", "close")
_LATEST = 253_402_300_800_000.0  # year 10000, beyond which no calendar can write

Ints = NDArray[np.int64]


def milliseconds(name: str, values: Any) -> Ints:
    """Turn datetimes or whole numbers into milliseconds UTC; missing ones are the lowest number."""
    if isinstance(values, (list, tuple)):
        # Through polars, which keeps the zones of datetimes.
        series = pl.Series(list(values), strict=False)
    else:
        series = values if isinstance(values, pl.Series) else pl.Series(np.asarray(values))
    if series.dtype == pl.String:
        # ISO 8601, as CSV files of other tools hold it; what is none is refused below.
        with contextlib.suppress(pl.exceptions.PolarsError):
            series = series.str.to_datetime(time_unit="ms", time_zone="UTC")
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("ms"))
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.epoch("ms")
    if not series.dtype.is_numeric():
        raise LayoutError(
            f"`{name}` must hold times or milliseconds UTC, was {series.dtype}: write ISO 8601"
        )
    floats = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    usable = np.isfinite(floats) & (np.abs(floats) < _LATEST)
    return np.where(usable, floats, -_LATEST).astype(np.int64)


@audited
def bar_integrity(
    bars: Any, *, interval_ms: int | None = None, calendar: str | None = None
) -> Finding:
    """DATA-01: bars in order, once each, possible, and complete.

    Parameters
    ----------
    bars : Candles, polars.DataFrame or mapping of arrays
        Columns `open_time` (times or milliseconds UTC), `open`, `high`, `low`, `close`, and `volume` if there is one.
    interval_ms : int, optional
        Bar length. Default: that of the candles, or the most frequent step.
    calendar : str, optional
        ``"24/7"``, ``"sessions"`` or the name of an exchange calendar. Default: that of the candles, or ``"24/7"``.

    Returns
    -------
    Finding
        Inconclusive for fewer than two bars.

    Raises
    ------
    ParameterError
        If a column is missing.
    LayoutError
        If a column holds neither numbers nor times.

    Examples
    --------
    >>> import barproof as bp
    >>> bar_integrity(bp.simulate_candles(1, bars=1_000)).outcome
    'pass'
    """
    if isinstance(bars, Candles):
        time, prices, volume = bars.open_time, [getattr(bars, name) for name in PRICES], bars.volume
        step, hours, scope = bars.interval_ms, bars.calendar, {"symbol": bars.symbol}
    else:
        for name in ("open_time", *PRICES):
            if name not in bars:
                raise ParameterError(
                    f"`bars` lack the column `{name}`: give open_time, open, high, low, close"
                )
        time = milliseconds("open_time", bars["open_time"])
        prices = [numbers(name, bars[name]) for name in PRICES]
        volume = numbers("volume", bars["volume"]) if "volume" in bars else np.zeros(len(time))
        step, hours, scope = 0, "24/7", {}
    n = len(time)
    if n < 2:
        return made(
            "DATA-01",
            "inconclusive",
            f"{plural(n, 'bar')}: nothing to check",
            measured=Measured("bars", n, "count"),
            remedy="give candles: bp.read_candles(path, instrument=...)",
            scope=scope,
        )
    gaps = np.diff(time)
    if interval_ms is None:
        interval_ms = step or _usual(gaps)
    faults, rows = _impossible(time, gaps, prices, volume, interval_ms)
    total = sum(faults.values())
    gate = Gate("=", 0, "default", "a bar that cannot be, or stands twice, moves all that follows")
    cause = ("a join or a concatenation", "mixed time zones or units", "a broken source")
    if total:
        told = "; ".join(
            plural(count, name, {"duplicate time": "duplicate times"}.get(name, ""))
            for name, count in faults.items()
            if count
        )
        return made(
            "DATA-01",
            "fail",
            f"{told} in {n:,} bars",
            measured=Measured("impossible bars", total, "count", n=n),
            gate=gate,
            evidence={**capped(rows, total), "faults": faults},
            cause=cause,
            remedy="read the file with bp.read_candles(..., repair=[...]); `barproof check` names the repairs",
            fixable=True,
            scope=scope,
        )
    found = find_holes(time, interval_ms, calendar or hours)
    missing = int(found.missing.sum())
    share = missing / found.expected if found.expected else 0.0
    longest = int(found.missing.max()) if len(found.missing) else 0
    stale = _longest_run(prices)
    warns = share > MISSING or longest > LONG_HOLE or stale >= STALE_BARS
    order = np.argsort(-found.missing, kind="stable")
    holes = (
        {
            "after": show_time(int(found.before[i])),
            "before": show_time(int(found.after[i])),
            "absent": int(found.missing[i]),
        }
        for i in order
    )
    title = f"{n:,} bars in order; {share:.2%} missing, longest hole {plural(longest, 'bar')}"
    if stale >= STALE_BARS:
        title += f", {stale} bars in a row with one price"
    return made(
        "DATA-01",
        "warn" if warns else "pass",
        title,
        **speaking(
            "warn" if warns else "pass",
            (
                Measured("share of bars missing", share, "fraction", n=n),
                Gate(
                    "<=",
                    MISSING,
                    "default",
                    "above 0.1% missing, or 24 bars in one hole, look at it",
                ),
            ),
            (
                Measured("longest hole", longest, "bars", n=n),
                Gate("<=", LONG_HOLE, "default", "a day without bars is a day without exits"),
            ),
            (
                Measured("bars in a row with one price", stale, "bars", n=n),
                Gate("<", STALE_BARS, "default", "a market that stands still for so long is down"),
            ),
        ),
        evidence={**capped(holes, len(found.missing)), "longest_hole": longest, "stale_run": stale},
        cause=("an outage of the exchange", "an incomplete download"),
        remedy="compare with another source; keep trades away from holes, and never fill them silently",
        scope=scope,
    )


def _usual(gaps: Ints) -> int:
    steps, counts = np.unique(gaps[gaps > 0], return_counts=True)
    return int(steps[np.argmax(counts)]) if len(steps) else 1


def _impossible(
    time: Ints,
    gaps: Ints,
    prices: list[NDArray[np.float64]],
    volume: NDArray[np.float64],
    interval_ms: int,
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Count what cannot be, by kind, and show the first rows of each."""
    o, h, low, c = prices
    finite = np.isfinite(o) & np.isfinite(h) & np.isfinite(low) & np.isfinite(c)
    with np.errstate(invalid="ignore"):
        positive = (o > 0) & (h > 0) & (low > 0) & (c > 0)
        holds = (low <= np.minimum(o, c)) & (np.maximum(o, c) <= h)
        bad_volume = ~(volume >= 0) | np.isinf(volume)
    later = np.r_[False, gaps < 0]
    twice = np.r_[False, gaps == 0]
    off = np.zeros(len(time), bool)
    good = time > -_LATEST
    if interval_ms < 3_600_000:
        # Sessions and daylight saving move longer bars.
        base = time[0] % interval_ms if good[0] else 0
        off = good & (time % interval_ms != base)
        if 2 * int(off.sum()) > len(time):
            off[:] = False
    masks = {
        "missing time": ~good,
        "duplicate time": twice & good,
        "bar out of order": later & good,
        "bar off the grid": off & ~later & ~twice,
        "price that is not finite": ~finite,
        "price that is not positive": finite & ~positive,
        "bar whose range does not hold its prices": finite & positive & ~holds,
        "volume that is negative or missing": bad_volume,
    }
    rows = [
        {
            "row": int(i),
            "fault": name,
            "open_time": int(time[i]),
            "open": o[i],
            "high": h[i],
            "low": low[i],
            "close": c[i],
            "volume": volume[i],
        }
        for name, mask in masks.items()
        for i in np.flatnonzero(mask)[:3]
    ]
    return {name: int(mask.sum()) for name, mask in masks.items()}, rows


def _longest_run(prices: list[NDArray[np.float64]]) -> int:
    same = np.ones(len(prices[0]) - 1, bool)
    for values in prices:
        same &= np.diff(values) == 0
    same &= prices[1][1:] == prices[2][1:]
    edges = np.flatnonzero(np.r_[True, ~same, True])
    return int(np.max(np.diff(edges)))


@audited
def coverage(
    series: Mapping[str, Any],
    *,
    start: Any,
    end: Any,
    period_ms: Mapping[str, int] | int | None = None,
    declined: tuple[str, ...] = (),
) -> Finding:
    """DATA-02: auxiliary series cover the span that they are joined to.

    Parameters
    ----------
    series : mapping of str to array_like of times
        Times at which each series has a value, milliseconds UTC or datetimes.
    start, end : int or datetime
        Span of the candles: first open and last close.
    period_ms : int or mapping of str to int, optional
        Steps of the series. Default: the median step of each.
    declined : tuple of str, default ()
        Series that ought to be there and were left out on purpose.

    Returns
    -------
    Finding
        By the series that covers least; skipped without any.

    Raises
    ------
    ParameterError
        If the span is empty.

    Examples
    --------
    >>> coverage({"funding": [0, 8, 16]}, start=0, end=24).outcome
    'pass'
    """
    first, last = (int(milliseconds("span", [bound])[0]) for bound in (start, end))
    if first >= last:
        raise ParameterError(f"the span must have `start` before `end`, was {start!r} to {end!r}")
    found = []
    for name, values in series.items():
        time = milliseconds(name, values)
        if not np.all(time[1:] > time[:-1]):
            time = np.unique(time)
        time = time[(time >= first) & (time <= last)]
        period = period_ms.get(name) if isinstance(period_ms, Mapping) else period_ms
        found.append(_covered(name, time, first, last, period))
    if not found and not declined:
        return made("DATA-02", "skipped", "no auxiliary series: nothing to cover")
    told = sorted(found, key=lambda row: (row["share"] is not None, row["share"] or 0.0))
    gate = Gate(">=", ENOUGH, "case S002", "a join that fills forward hides what is missing")
    remedy = "load the series for the whole span, or use only the bars that it covers"
    if declined and not any(
        row["share"] is not None and row["share"] < TOO_LITTLE for row in found
    ):
        return made(
            "DATA-02",
            "warn",
            f"`{declined[0]}` was left out on purpose: what it would have cost is unknown",
            measured=Measured("series left out on purpose", len(declined), "count"),
            gate=Gate("=", 0, "case S002", "what is not joined costs nothing, and should"),
            evidence=capped(told, len(told)),
            remedy="candles = candles.with_funding(path)",
        )
    worst = told[0]
    share = worst["share"]
    if share is None:
        return made(
            "DATA-02",
            "inconclusive",
            f"`{worst['series']}` has {plural(worst['rows'], 'row')} in the span: its period is unknown",
            gate=gate,
            evidence=capped(told, len(told)),
            remedy="give period_ms=, or load more of the series",
        )
    outcome: Outcome = "fail" if share < TOO_LITTLE else "warn" if share < ENOUGH else "pass"
    return made(
        "DATA-02",
        outcome,
        f"`{worst['series']}` covers {share:.1%} of the span: {worst['rows']:,} of {worst['expected']:,} rows",
        measured=Measured("coverage", share, "fraction", n=worst["expected"]),
        gate=gate,
        evidence=capped(told, len(told)),
        cause=("a page limit of the exchange's interface", "a series that begins later"),
        remedy=remedy,
        scope={"series": worst["series"]},
    )


def _covered(name: str, time: Ints, first: int, last: int, period: int | None) -> dict[str, Any]:
    """Rows present and expected of one series."""
    steps = np.diff(time)
    if period is None and len(steps):
        period = int(np.median(steps))
    if not period:
        return {"series": name, "rows": len(time), "expected": None, "share": None, "hole": None}
    expected = max(1, round((last - first) / period))
    # Rows closer together than the period do not make up for holes.
    cells = (time - first) // period
    # Times are in order, so that equal cells are neighbours.
    filled = int(np.count_nonzero(cells[1:] != cells[:-1])) + (len(cells) > 0)
    edges = np.diff(np.r_[first, time, last])
    return {
        "series": name,
        "rows": len(time),
        "expected": expected,
        "share": min(1.0, filled / expected),
        "period_ms": period,
        "hole": int(edges.max()),
    }
