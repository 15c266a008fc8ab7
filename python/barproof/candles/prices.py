"""Prices that stand out: jumps from close to close, and wicks that nothing around them explains.

Scale: 1.4826 times the median of the absolute log returns that are not 0 (in an illiquid market half are, which would
make the scale 0), once over all bars and once over 32 bars; the larger of the whole and of the block with its two
neighbours counts. Blocks follow volatility, so that a crisis is not listed bar by bar, and the median inside them
hardly sees the jump itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from barproof.candles.table import Floats, Ints, Table

__all__ = ["K", "Outliers", "find_jumps", "find_wicks", "robust_scale"]

K = 10.0
"""Robust deviations beyond which a move is named.

Splits in daily shares reach 11 to 100, bad ticks 30 to 200; at 10 the clean files of crypto exchanges have one such
move in 15,000 bars of a minute and one in 2,000 of an hour."""

MIN_MOVE = 0.005
"""Smallest move worth a line, as a log return; below it quiet nights would fill the list."""

BLOCK = 32
TO_SIGMA = 1.4826


class Outliers(NamedTuple):
    """Bars that stand out, largest deviation first."""

    rows: Ints
    move: Floats
    deviations: Floats


def robust_scale(returns: Floats) -> Floats:
    """Estimate the size of a usual log return around every bar.

    Parameters
    ----------
    returns : ndarray of shape (n,)
        Log returns; NaN and 0 are left out.

    Returns
    -------
    ndarray of shape (n,)
        Standard deviations a normal market would have; infinite where nothing ever moved.
    """
    n = len(returns)
    size = np.abs(returns)
    usable = np.isfinite(size) & (size > 0)
    if not usable.any():
        return np.full(n, np.inf)
    whole = TO_SIGMA * float(np.median(size[usable]))
    blocks = -(-n // BLOCK)
    padded = np.full(blocks * BLOCK, np.inf)
    padded[:n][usable] = size[usable]
    padded = np.sort(padded.reshape(blocks, BLOCK), axis=1)
    count = np.isfinite(padded).sum(axis=1)
    # The median of the usable values, which sort to the front; blocks with few of them say nothing.
    row = np.arange(blocks)
    middle = 0.5 * (
        padded[row, np.maximum(count - 1, 0) // 2] + padded[row, np.minimum(count // 2, BLOCK - 1)]
    )
    middle = np.where(count >= BLOCK // 2, TO_SIGMA * middle, 0.0)
    around = np.r_[0.0, middle, 0.0]
    local = np.maximum(np.maximum(around[:-2], around[2:]), middle)
    scale: Floats = np.maximum(whole, np.repeat(local, BLOCK)[:n])
    return scale


def log_returns(table: Table) -> Floats:
    """Log return from the close before, 0 for the first bar, NaN beside prices that have no logarithm."""
    log_close = _log(table.close)
    out = np.zeros(len(log_close))
    out[1:] = np.diff(log_close)
    return out


def _log(prices: Floats) -> Floats:
    """Logarithm, NaN where there is none; differences of it cannot overflow as ratios of prices do."""
    fit = np.isfinite(prices) & (prices > 0)
    return np.log(prices, where=fit, out=np.full(prices.shape, np.nan))


def find_jumps(table: Table, interval_ms: int, calendar: str) -> Outliers:
    """List closes more than `K` robust deviations away from the close before, in time order of `table`.

    Over a hole of m bars in a market that never closes, a move may be sqrt(m) times as large.
    """
    if len(table) < 3:
        return _pick(np.zeros(0), np.zeros(0))
    returns = log_returns(table)
    scale = robust_scale(returns)
    if calendar == "24/7":
        steps = np.diff(table.time, prepend=table.time[0] - interval_ms) / interval_ms
        scale = scale * np.sqrt(np.maximum(steps, 1.0))
    return _pick(returns, np.abs(returns) / scale)


def find_wicks(table: Table) -> Outliers:
    """List bars whose high or low lies more than `K` robust deviations beyond everything around it.

    Around it: the bar's own open and close, the close before and the open after. The move is negative for lows.
    """
    if len(table) < 3:
        return _pick(np.zeros(0), np.zeros(0))
    before = np.r_[table.open[0], table.close[:-1]]
    after = np.r_[table.open[1:], table.close[-1]]
    around = _log(np.stack([table.open, table.close, before, after]))
    up = _log(table.high) - around.max(axis=0)
    down = around.min(axis=0) - _log(table.low)
    move = np.where(up >= down, up, -down)
    size = np.maximum(up, down) / robust_scale(log_returns(table))
    return _pick(np.where(size > 0, move, 0.0), size)


def _pick(move: Floats, deviations: Floats) -> Outliers:
    found = np.flatnonzero((deviations > K) & (np.abs(move) > MIN_MOVE) & np.isfinite(deviations))
    found = found[np.argsort(-deviations[found], kind="stable")]
    return Outliers(found, move[found], deviations[found])
