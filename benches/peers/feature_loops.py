"""The features of workload B as loops that numba compiles, one a feature: what a user of numba writes."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from benches.feature_problem import Market
from benches.peers.feature_peers import Calls

_jit = nb.njit(error_model="numpy", nogil=True)


@_jit
def sma(x: Any, p: Any) -> Any:
    out = np.full(len(x), np.nan)
    total = 0.0
    for i in range(len(x)):
        total += x[i]
        if i >= p:
            total -= x[i - p]
        if i >= p - 1:
            out[i] = total / p
    return out


@_jit
def fading(x: Any, share: Any) -> Any:
    out = np.empty(len(x))
    mean = x[0]
    for i in range(len(x)):
        mean += share * (x[i] - mean)
        out[i] = mean
    return out


@_jit
def rsi(x: Any, p: Any) -> Any:
    out = np.full(len(x), np.nan)
    up, down = 0.0, 0.0
    for i in range(1, len(x)):
        move = x[i] - x[i - 1]
        up += (max(move, 0.0) - up) / p
        down += (max(-move, 0.0) - down) / p
        out[i] = 100.0 * up / (up + down) if up + down > 0 else 50.0
    return out


@_jit
def atr(h: Any, low: Any, c: Any, p: Any) -> Any:
    out = np.empty(len(c))
    mean = h[0] - low[0]
    out[0] = mean
    for i in range(1, len(c)):
        span = max(h[i], c[i - 1]) - min(low[i], c[i - 1])
        mean += (span - mean) / p
        out[i] = mean
    return out


@_jit
def bands(x: Any, p: Any, width: Any) -> Any:
    n = len(x)
    upper, middle, lower = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    total, squares, base = 0.0, 0.0, x[0]
    for i in range(n):
        d = x[i] - base
        total += d
        squares += d * d
        if i >= p:
            d = x[i - p] - base
            total -= d
            squares -= d * d
        if i >= p - 1:
            mean = total / p
            half = width * math.sqrt(max(squares / p - mean * mean, 0.0))
            middle[i] = base + mean
            upper[i], lower[i] = middle[i] + half, middle[i] - half
    return upper, middle, lower


@_jit
def macd(x: Any) -> Any:
    n = len(x)
    line, signal, hist = np.empty(n), np.empty(n), np.empty(n)
    fast, slow, mean = x[0], x[0], 0.0
    for i in range(n):
        fast += (2 / 13) * (x[i] - fast)
        slow += (2 / 27) * (x[i] - slow)
        mean += 0.2 * (fast - slow - mean)
        line[i], signal[i], hist[i] = fast - slow, mean, fast - slow - mean
    return line, signal, hist


@_jit
def deviation(x: Any, p: Any) -> Any:
    out = np.full(len(x), np.nan)
    total, squares, base = 0.0, 0.0, x[0]
    for i in range(len(x)):
        d = x[i] - base
        total += d
        squares += d * d
        if i >= p:
            d = x[i - p] - base
            total -= d
            squares -= d * d
        if i >= p - 1:
            mean = total / p
            out[i] = math.sqrt(max(squares / p - mean * mean, 0.0))
    return out


@_jit
def extreme(x: Any, p: Any, sign: Any) -> Any:
    out = np.full(len(x), np.nan)
    queue = np.empty(len(x), np.int64)
    first, last = 0, 0
    for i in range(len(x)):
        if first < last and queue[first] <= i - p:
            first += 1
        while first < last and sign * x[queue[last - 1]] <= sign * x[i]:
            last -= 1
        queue[last] = i
        last += 1
        if i >= p - 1:
            out[i] = x[queue[first]]
    return out


@_jit
def vwap(h: Any, low: Any, c: Any, v: Any, p: Any) -> Any:
    out = np.full(len(c), np.nan)
    paid, volume = 0.0, 0.0
    for i in range(len(c)):
        paid += (h[i] + low[i] + c[i]) / 3 * v[i]
        volume += v[i]
        if i >= p:
            k = i - p
            paid -= (h[k] + low[k] + c[k]) / 3 * v[k]
            volume -= v[k]
        if i >= p - 1:
            out[i] = paid / volume
    return out


@_jit
def log_return(x: Any) -> Any:
    out = np.empty(len(x))
    out[0] = np.nan
    for i in range(1, len(x)):
        out[i] = math.log(x[i] / x[i - 1])
    return out


@_jit
def score(x: Any, p: Any) -> Any:
    out = np.full(len(x), np.nan)
    total, squares = 0.0, 0.0
    for i in range(len(x)):
        total += x[i]
        squares += x[i] * x[i]
        if i >= p:
            total -= x[i - p]
            squares -= x[i - p] * x[i - p]
        if i >= p - 1:
            mean = total / p
            out[i] = (x[i] - mean) / math.sqrt(max(squares / p - mean * mean, 0.0))
    return out


def numba_calls(m: Market) -> Calls:
    h, low, c, v = m.high, m.low, m.close, m.volume
    return {
        "sma20": lambda: sma(c, 20),
        "ema20": lambda: fading(c, 2 / 21),
        "rsi14": lambda: rsi(c, 14),
        "atr14": lambda: atr(h, low, c, 14),
        "bb20": lambda: bands(c, 20, 2.0),
        "macd": lambda: macd(c),
        "std60": lambda: deviation(c, 60),
        "maxmin60": lambda: (extreme(c, 60, 1.0), extreme(c, 60, -1.0)),
        "vwap60": lambda: vwap(h, low, c, v, 60),
        "logret": lambda: log_return(c),
        "volz60": lambda: score(v, 60),
    }
