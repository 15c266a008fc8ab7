"""FILL-01 to FILL-04: whether the trades of a tool could have happened on these bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.audits.common import audited, made, plural, speaking
from barproof.audits.fillbars import (
    NO_TIME,
    Fills,
    alone,
    bars_at,
    begun,
    clock,
    of_symbol,
    price_range,
    rows_of,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.candles.interval import DAY, HOUR
from barproof.errors import ParameterError

__all__ = ["fill_hindsight", "fill_in_bar", "fill_in_session", "fill_volume"]

TOLERANCE = 1e-4
"""Relative: prices are printed rounded, and a basis point is no forgery."""
FEW = 30
_MUCH_VOLUME = 0.01  # of a bar: ECO-13's bound for a position that does not move the market
_EXTREMES = 0.05  # of the fills at the best price of their bars
_SAME_CLOSE = 0.5
_FAR = 0.01  # outside of a bar, against the trader: more than slippage
_FEW_FAR = 0.01
_ZONES = range(-14, 15)  # hours that a clock can be wrong by
_UNIX_THURSDAY = 4  # 1970-01-01, with Sunday as 0


@audited
def fill_in_bar(trades: Any, candles: Any, *, tolerance: float = TOLERANCE) -> Finding:
    """FILL-01: every fill has a price that its bar had.

    Parameters
    ----------
    trades : frame
        Columns as from :func:`barproof.read_trades`: `entry_time`, `entry_price`, `exit_time`, `exit_price`, `side`; or
        fills as from ``barproof.results.read_fills``.
    candles : Candles
        The bars. A fill at the open of a bar may have a price of the bar before: some tools date a close so.
    tolerance : float, default 1e-4
        Relative, >= 0.

    Returns
    -------
    Finding
        Fails where a fill is better than any price of its bar. Inconclusive without fills in the candles.

    Raises
    ------
    ParameterError
        If `tolerance` is negative or no number.
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=50)
    >>> bar = candles[10]
    >>> trade = {"entry_time": [candles.open_time[10]], "entry_price": [bar.low * 0.9], "side": ["long"]}
    >>> fill_in_bar(trade, candles).outcome
    'fail'
    """
    if not tolerance >= 0:
        raise ParameterError(f"`tolerance` of prices must be >= 0, was {tolerance!r}")
    gate = Gate("=", 0, "default", "nobody buys below the low of a bar, or sells above its high")
    started = begun("FILL-01", trades, candles, gate)
    if isinstance(started, Finding):
        return started
    _, held = started
    floor, top = price_range(held, candles)
    known = held.bar >= 0
    under = known & (held.price < floor * (1 - tolerance))
    over = known & (held.price > top * (1 + tolerance))
    wrong = known & ~np.isfinite(held.price)
    better = (under & (held.sign >= 0)) | (over & (held.sign <= 0)) | wrong
    worse = (under | over) & ~better
    far = worse & ((held.price < floor * (1 - _FAR)) | (held.price > top * (1 + _FAR)))
    n = int(known.sum())
    bad = int(better.sum())
    evidence = {
        **rows_of(held, better, candles),
        "worse_than_the_bar": int(worse.sum()),
        "tolerance": tolerance,
    }
    cause = [
        "candles of another market, contract or adjustment",
        "fills at prices that were never traded",
    ]
    if bad + int(worse.sum()) > 0.2 * n:
        hours = _zone(held, candles, tolerance)
        if hours:
            evidence["clock_off_hours"] = hours
            cause.insert(0, f"the trades' clock is {hours:+d} h off that of the candles")
    outcome: Outcome = "fail" if bad else "warn" if far.sum() / max(n, 1) > _FEW_FAR else "pass"
    outcome = alone(outcome, n)
    if bad:
        title = f"{bad:,} of {plural(n, 'fill')} {'is' if bad == 1 else 'are'} better than any price of its bar"
    elif outcome == "warn":
        title = f"{int(far.sum()):,} of {plural(n, 'fill')} lie more than {_FAR:.0%} outside of their bars"
    else:
        title = f"all {plural(n, 'fill')} have prices of their bars"
        if worse.any():
            title += f" but {int(worse.sum()):,}, which are worse (slippage)"
    if held.other:
        title += f"; {plural(held.other, 'trade')} of other symbols not looked at"
    return made(
        "FILL-01",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("fills better than their bar", bad, "count", n=n), gate),
            (
                Measured(
                    f"share of fills more than {_FAR:.0%} outside",
                    far.sum() / max(n, 1),
                    "fraction",
                    n=n,
                ),
                Gate("<=", _FEW_FAR, "default", "slippage of that size is a price of elsewhere"),
            ),
        ),
        evidence=evidence,
        cause=cause,
        remedy="fill inside the range of the bar, at its open or worse; check symbol, time zone and adjustment",
        assumptions={"the candles are of the market that was traded": "unchecked"},
    )


def _zone(held: Fills, candles: Any, tolerance: float) -> int:
    """Hours to add to the trades' clock so that nearly all fills lie in their bars; 0 for none."""
    opens = np.asarray(candles.open_time, dtype=np.int64)
    best, share = 0, 0.98
    for hours in _ZONES:
        time = held.time + hours * HOUR
        bar = bars_at(time, opens, int(candles.interval_ms))
        moved = held._replace(time=time, bar=bar)
        floor, top = price_range(moved, candles)
        inside = (
            (bar >= 0)
            & (held.price >= floor * (1 - tolerance))
            & (held.price <= top * (1 + tolerance))
        )
        if hours and float(np.mean(inside)) > share:
            best, share = hours, float(np.mean(inside))
    return best


@audited
def fill_in_session(trades: Any, candles: Any) -> Finding:
    """FILL-02: every fill falls into a bar.

    Parameters
    ----------
    trades : frame
        As for :func:`fill_in_bar`.
    candles : Candles
        The bars.

    Returns
    -------
    Finding
        Fails for fills in weekends, holidays and outages inside the span of the candles. Fills before and after the
        span are counted, and prove nothing.

    Raises
    ------
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=50)
    >>> trades = {"entry_time": candles.open_time[10:12], "entry_price": [1.0, 1.0]}
    >>> fill_in_session(trades, candles).outcome
    'pass'
    """
    gate = Gate("=", 0, "default", "a market that is closed fills nothing")
    started = begun("FILL-02", trades, candles, gate)
    if isinstance(started, Finding):
        return started
    _, held = started
    first, last = int(candles.open_time[0]), int(candles.open_time[-1]) + int(candles.interval_ms)
    span = (held.time >= first) & (held.time <= last)
    closed = span & (held.bar < 0)
    beyond = int((~span).sum())
    n, bad = int(span.sum()), int(closed.sum())
    day = (held.time // DAY + _UNIX_THURSDAY) % 7
    weekend = int((closed & ((day == 0) | (day == 6))).sum())
    outcome: Outcome = (
        "fail" if bad else "inconclusive" if beyond > 0.5 * len(held.time) else "pass"
    )
    outcome = alone(outcome, n)
    title = (
        f"{bad:,} of {plural(n, 'fill')} fall where there is no bar"
        if bad
        else f"all {plural(n, 'fill')} fall into bars"
    )
    if weekend:
        title += f" ({weekend:,} of them on a weekend)"
    if beyond:
        title += f"; {beyond:,} lie before or after the candles"
    return made(
        "FILL-02",
        outcome,
        title,
        measured=Measured("fills without a bar", bad, "count", n=n),
        gate=gate,
        evidence={
            **rows_of(held, closed, candles),
            "weekend": weekend,
            "outside_the_candles": beyond,
        },
        cause=(
            "forward-filled prices of a closed market",
            "another time zone",
            "bars that are missing (DATA-01)",
        ),
        remedy="trade on bars that exist; give candles of the whole span",
    )


@audited
def fill_volume(trades: Any, candles: Any, *, share: float = _MUCH_VOLUME) -> Finding:
    """FILL-03: no fill is larger than what was traded.

    Parameters
    ----------
    trades : frame
        As for :func:`fill_in_bar`, with `quantity` in the units of the candles' volume.
    candles : Candles
        The bars.
    share : float, default 0.01
        Of the volume of a bar, in (0, 1]: above it a fill would have moved the price.

    Returns
    -------
    Finding
        Fails where a fill exceeds the whole volume of its bar, warns above `share`. Inconclusive without quantities or
        volumes.

    Raises
    ------
    ParameterError
        If `share` is out of bounds.
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=50)
    >>> trade = {"entry_time": [candles.open_time[10]], "entry_price": [1.0], "quantity": [1e12]}
    >>> fill_volume(trade, candles).outcome
    'fail'
    """
    if not 0 < share <= 1:
        raise ParameterError(f"`share` of a bar's volume must lie in (0, 1], was {share!r}")
    gate = Gate(
        "<=", share, "ECO-13", "a larger order would have moved the price that it was filled at"
    )
    started = begun("FILL-03", trades, candles, gate)
    if isinstance(started, Finding):
        return started
    _, held = started
    volume = np.asarray(candles.volume)
    known = (held.bar >= 0) & np.isfinite(held.quantity)
    n = int(known.sum())
    if not n or not (volume > 0).any():
        told = "tell no quantities" if not n else "cannot be held against bars without volume"
        return made(
            "FILL-03",
            "inconclusive",
            f"the trades {told}",
            gate=gate,
            remedy="give `quantity` in the units of the candles' volume, and candles with volume",
        )
    at = np.maximum(held.bar, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(known, held.quantity / volume[at], 0.0)
    # A fill at a close may be dated on the next open.
    before = np.maximum(at - 1, 0)
    edge = known & (held.time == np.asarray(candles.open_time)[at]) & (held.bar > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(edge, np.minimum(part, held.quantity / volume[before]), part)
    part = np.where(np.isnan(part), 0.0, part)
    impossible, heavy = part > 1, part > share
    outcome: Outcome = "fail" if impossible.any() else "warn" if heavy.any() else "pass"
    outcome = alone(outcome, n)
    worst = float(part.max())
    told = f"{worst:.2%}" if np.isfinite(worst) else "all, and the bar traded nothing"
    if impossible.any():
        some = f"{int(impossible.sum()):,} of {plural(n, 'fill')}"
        title = f"{some} exceed all that was traded in their bars (most: {told})"
    elif heavy.any():
        some = f"{int(heavy.sum()):,} of {plural(n, 'fill')}"
        title = f"{some} take more than {share:.0%} of a bar's volume (most: {told})"
    else:
        title = (
            f"no fill takes more than {share:.0%} of a bar's volume (most: {worst:.4%} of {n:,})"
        )
    return made(
        "FILL-03",
        outcome,
        title,
        measured=Measured("largest share of a bar's volume", worst, "fraction", n=n),
        gate=gate,
        evidence=rows_of(held, impossible if impossible.any() else heavy, candles),
        cause=("an account too large for the market", "quantities in another unit than the volume"),
        remedy="size by the volume of the bar, or model impact; check the unit of `quantity`",
        assumptions={"quantity and volume have one unit": "unchecked"},
    )


@audited
def fill_hindsight(trades: Any, candles: Any) -> Finding:
    """FILL-04: no fill knows more than its moment.

    Parameters
    ----------
    trades : frame
        As for :func:`fill_in_bar`; `signal_time` where it is known.
    candles : Candles
        The bars.

    Returns
    -------
    Finding
        Fails for entries before their signal, and where more than 5% of at least 30 fills have the very best price of
        their bar that is neither its open nor its close. Warns where most entries have the close of the bar that they
        are dated on: a decision at a close cannot trade at it.

    Raises
    ------
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=50)
    >>> time = candles.open_time[10:20]
    >>> trade = {"entry_time": time, "entry_price": candles.open[10:20], "signal_time": time + 1, "side": ["long"] * 10}
    >>> fill_hindsight(trade, candles).outcome
    'fail'
    """
    gate = Gate("=", 0, "default", "a price that is only known afterwards cannot be traded at")
    started = begun("FILL-04", trades, candles, gate)
    if isinstance(started, Finding):
        return started
    frame, held = started
    early = np.zeros(len(held.time), dtype=bool)
    if "signal_time" in frame.columns:
        signal = clock(of_symbol(frame, candles)[0], "signal_time")[held.trade]
        early = held.entry & (signal > NO_TIME) & (held.time < signal)
    at = np.maximum(held.bar, 0)
    prices = {
        name: np.asarray(getattr(candles, name))[at] for name in ("open", "high", "low", "close")
    }
    known = (held.bar >= 0) & (prices["high"] > prices["low"]) & np.isfinite(held.price)

    def equal(name: str) -> NDArray[np.bool_]:
        return np.asarray(np.abs(held.price - prices[name]) <= 1e-9 * np.abs(prices[name]))

    best = np.where(held.sign > 0, equal("low"), np.where(held.sign < 0, equal("high"), False))
    best = known & best & ~equal("open") & ~equal("close")
    closes = known & held.entry & equal("close") & ~equal("open")
    n, entries = int(known.sum()), int((known & held.entry).sum())
    lucky = int(best.sum())
    if early.any():
        bad, title = (
            early,
            f"{int(early.sum()):,} of {plural(int(held.entry.sum()), 'entry', 'entries')} happen before their signal",
        )
        outcome: Outcome = "fail"
    elif lucky / max(n, 1) > _EXTREMES and n >= FEW:
        bad, outcome = best, "fail"
        title = f"{lucky:,} of {plural(n, 'fill')} have the very best price of their bar"
    elif int(closes.sum()) / max(entries, 1) > _SAME_CLOSE:
        bad, outcome = closes, "warn"
        title = (
            f"{int(closes.sum()):,} of {plural(entries, 'entry', 'entries')} have the close of the bar that they are "
            "dated on: decided and filled at one price"
        )
    elif n < FEW:
        bad, outcome = early, "inconclusive"
        title = f"{plural(n, 'fill')}: too few to see a pattern"
    else:
        bad, outcome = early, "pass"
        title = f"{plural(n, 'fill')} show no knowledge of later prices: {lucky:,} at the best price of their bar"
    return made(
        "FILL-04",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("entries before their signal", int(early.sum()), "count", n=n), gate),
            (
                Measured(
                    "fills at the best price of their bar", lucky / max(n, 1), "fraction", n=n
                ),
                Gate("<=", _EXTREMES, "default", "nobody knows the low of a bar while it lasts"),
            )
            if outcome == "fail"
            else (
                Measured(
                    "entries at the close that they are dated on",
                    int(closes.sum()) / max(entries, 1),
                    "fraction",
                    n=entries,
                ),
                Gate("<=", _SAME_CLOSE, "default", "a decision at a close cannot trade at it"),
            ),
        ),
        evidence={
            **rows_of(held, bad, candles),
            "before_signal": int(early.sum()),
            "best_price": lucky,
            "same_close": int(closes.sum()),
            "entries": entries,
        },
        cause=(
            "orders filled at the close that decided them",
            "limits set from the bar's own range",
            "SPL-07 lookahead",
        ),
        remedy="trade at the open after the signal: a shift of one bar; audit the signals with bp.find_lookahead",
        assumptions={"times are of fills, not of decisions": "unchecked"},
    )
