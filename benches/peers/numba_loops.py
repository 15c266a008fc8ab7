"""Three loops in numba, to the contract of `python_loop`: plain, tuned, and with lists of candidate bars.

All run combinations in parallel. They answer the five numbers of `python_loop`, where barproof answers its whole table.
What an expert does to them is done: columns contiguous, combinations dealt so that threads get equal work, no division
in the bars (drawdown is held against a floor, returns are taken at the ends of days), one array for "long or short
qualifies". `fastmath` stays off: it may drop the NaN tests and would change results.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from benches.peers.python_loop import RUIN, run_one
from benches.problem import FEE, MAX_HOLD, PERIODS, Floats, Problem

_FEW = (
    32  # thresholds up to which each has a list of its own; beyond, one list is filtered on the way
)
_OPTIONS = {"error_model": "numpy"}

_plain_one = nb.njit(**_OPTIONS)(run_one)


@nb.njit(**_OPTIONS)
def _tuned_one(
    o, h, l, c, pl, ps, px, either, lists, bars, marks, day_of, day_last,  # noqa: E741
    entry, leave, stop, target, max_hold, fee, periods,
):  # fmt: skip
    """One combination; with `lists` the flat stretches are passed by `bars`, whose signals are in `marks`."""
    n = len(o)
    notional = 1.0 / (1.0 + fee)
    equity = peak = before = 1.0
    floor = 1.0  # the mark below which the drawdown becomes the deepest so far
    deepest = s1 = s2 = 0.0
    trades = wins = day = i = at = 0
    while True:
        if lists:
            while at < len(bars) and (bars[at] < i or marks[at] < entry):
                at += 1
            if at == len(bars):
                break
            i = bars[at]
        else:
            while i < n - 1 and either[i] < entry:
                i += 1
        if i >= n - 1:
            break
        long = pl[i] >= entry
        if long and ps[i] >= entry:
            a, b = pl[i] - entry, ps[i] - entry
            if a == b:
                i += 1
                continue
            long = a > b
        i += 1
        first = i
        p = o[i]
        q = notional / p
        entry_fee = fee * q * p
        if long:
            low, high = p * (1.0 - stop), p * (1.0 + target)
            slope = equity * q
        else:
            low, high = p * (1.0 - target), p * (1.0 + stop)
            slope = -equity * q
        base = equity * (1.0 - entry_fee)
        if day_last[day] < i:
            r = equity / before - 1.0
            s1 += r
            s2 += r * r
            before = equity
            day = day_of[i]
        end = day_last[day]
        price = 0.0
        leaving = False
        while True:
            if leaving:
                price = o[i]
                break
            if l[i] <= low or h[i] >= high:
                if long:
                    if o[i] <= low:
                        price = o[i]
                        break
                    if o[i] > high:
                        price = high
                        break
                    if l[i] <= low:
                        price = low
                        break
                    if h[i] > high:
                        price = high
                        break
                else:
                    if o[i] >= high:
                        price = o[i]
                        break
                    if o[i] < low:
                        price = low
                        break
                    if h[i] >= high:
                        price = high
                        break
                    if l[i] < low:
                        price = low
                        break
            if i == n - 1:
                price = c[i]
                break
            # Open positions are within their stop at a close: no floor at zero is needed.
            mark = base + slope * (c[i] - p)
            if mark > peak:
                peak = mark
                floor = peak * (1.0 - deepest)
            elif mark < floor:
                deepest = 1.0 - mark / peak
                floor = mark
            if i == end:
                r = mark / before - 1.0
                s1 += r
                s2 += r * r
                before = mark
                day += 1
                end = day_last[day]
            leaving = px[i] >= leave or i - first + 1 >= max_hold
            i += 1
        move = q * (price - p) if long else q * (p - price)
        gain = max(move - fee * q * price, -notional) - entry_fee
        equity *= 1.0 + gain
        trades += 1
        if gain > 0.0:
            wins += 1
        if equity < RUIN:
            equity = 0.0
        if equity > peak:
            peak = equity
            floor = peak * (1.0 - deepest)
        elif equity < floor:
            deepest = 1.0 - equity / peak
            floor = equity
        if equity == 0.0:
            break
    days = len(day_last)
    # What is left is flat, so one return ends the day that is open and the others are zero.
    r = equity / before - 1.0
    s1 += r
    s2 += r * r
    sharpe = math.nan
    if days > 1:
        mean = s1 / days
        variance = (s2 - days * mean * mean) / (days - 1)
        if variance > 0.0:
            sharpe = mean / math.sqrt(variance) * math.sqrt(periods)
    return equity, trades, wins, deepest, sharpe


@nb.njit(parallel=True, **_OPTIONS)
def _plain_all(o, h, l, c, pl, ps, px, day_end, rows, max_hold, fee, periods, out):  # noqa: E741
    for k in nb.prange(len(rows)):
        r = _plain_one(
            o, h, l, c, pl, ps, px, day_end,
            rows[k, 0], rows[k, 1], rows[k, 2], rows[k, 3], max_hold, fee, periods,
        )  # fmt: skip
        out[k, 0], out[k, 1], out[k, 2], out[k, 3], out[k, 4] = r[0], r[1], r[2], r[3], r[4]


@nb.njit(parallel=True, **_OPTIONS)
def _tuned_all(
    o, h, l, c, pl, ps, px, either, lists, bars, marks, spans, day_of, day_last, rows, max_hold, fee, periods, out,  # noqa: E741
):  # fmt: skip
    for k in nb.prange(len(rows)):
        a, b = spans[k, 0], spans[k, 1]
        r = _tuned_one(
            o, h, l, c, pl, ps, px, either, lists, bars[a:b], marks[a:b], day_of, day_last,
            rows[k, 0], rows[k, 1], rows[k, 2], rows[k, 3], max_hold, fee, periods,
        )  # fmt: skip
        out[k, 0], out[k, 1], out[k, 2], out[k, 3], out[k, 4] = r[0], r[1], r[2], r[3], r[4]


def _deal(count: int) -> np.ndarray:
    """Order in which threads, which take stretches, get every n-th combination."""
    threads = nb.get_num_threads()
    return np.concatenate([np.arange(t, count, threads) for t in range(threads)])


def _columns(m: Problem) -> tuple[Floats, ...]:
    return m.open, m.high, m.low, m.close, m.p_long, m.p_short, m.p_exit


class Loops:
    """A market made ready as barproof's objects are: what does not depend on the grid is made once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.day_of, self.day_last = problem.day_of, problem.day_last
        self.day_end = np.zeros(len(problem), dtype=np.bool_)
        self.day_end[self.day_last] = True

    def plain(self, rows: Floats) -> Floats:
        order = _deal(len(rows))
        out = np.empty((len(rows), 5))
        _plain_all(
            *_columns(self.problem), self.day_end, rows[order], MAX_HOLD, FEE, PERIODS, out
        )  # fmt: skip
        return _restore(out, order)

    def tuned(self, rows: Floats) -> Floats:
        return self._run(rows, lists=False)

    def lists(self, rows: Floats) -> Floats:
        return self._run(rows, lists=True)

    def _run(self, rows: Floats, *, lists: bool) -> Floats:
        m = self.problem
        either = np.fmax(m.p_long, m.p_short)
        bars, marks = np.empty(0, dtype=np.int64), np.empty(0)
        spans = np.zeros((len(rows), 2), dtype=np.int64)
        if lists:
            thresholds = np.unique(rows[:, 0])
            bars = np.flatnonzero(either >= thresholds[0])
            marks = either[bars]
            spans[:, 1] = len(bars)
            if len(thresholds) <= _FEW:
                kept = [np.flatnonzero(marks >= level) for level in thresholds]
                ends = np.cumsum([len(k) for k in kept])
                joined = np.concatenate(kept)
                bars, marks = bars[joined], marks[joined]
                which = np.searchsorted(thresholds, rows[:, 0])
                spans = np.column_stack([np.append(0, ends[:-1])[which], ends[which]])
        order = _deal(len(rows))
        out = np.empty((len(rows), 5))
        _tuned_all(
            *_columns(m), either, lists, bars, marks, spans[order], self.day_of, self.day_last,
            rows[order], MAX_HOLD, FEE, PERIODS, out,
        )  # fmt: skip
        return _restore(out, order)


def _restore(out: Floats, order: np.ndarray) -> Floats:
    answers = np.empty_like(out)
    answers[order] = out
    return answers
