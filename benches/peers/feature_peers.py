"""The features of workload B in other libraries: each name to a call that gives its arrays, oldest bar first.

A library whose function has no name for a feature gets it from what it has, as its user would write it. Volume-weighted
price is the mean itself here; barproof's column is the close over it, less one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from benches.feature_problem import Market

Call = Callable[[], Any]
Calls = dict[str, Call]


def talib_calls(m: Market) -> Calls:
    t: Any = importlib.import_module("talib")
    h, low, c, v = m.high, m.low, m.close, m.volume
    return {
        "sma20": lambda: t.SMA(c, 20),
        "ema20": lambda: t.EMA(c, 20),
        "rsi14": lambda: t.RSI(c, 14),
        "atr14": lambda: t.ATR(h, low, c, 14),
        "bb20": lambda: t.BBANDS(c, 20, 2.0, 2.0),
        "macd": lambda: t.MACD(c, 12, 26, 9),
        "std60": lambda: t.STDDEV(c, 60),
        "maxmin60": lambda: (t.MAX(c, 60), t.MIN(c, 60)),
        "vwap60": lambda: t.SUM((h + low + c) / 3 * v, 60) / t.SUM(v, 60),
        "logret": lambda: t.LN(t.ROCR(c, 1)),
        "volz60": lambda: (v - t.SMA(v, 60)) / t.STDDEV(v, 60),
    }


def tulipy_calls(m: Market) -> Calls:
    """Arrays are shorter by what is undefined at their start."""
    t: Any = importlib.import_module("tulipy")
    h, low, c, v = m.high, m.low, m.close, m.volume
    return {
        "sma20": lambda: t.sma(c, 20),
        "ema20": lambda: t.ema(c, 20),
        "rsi14": lambda: t.rsi(c, 14),
        "atr14": lambda: t.atr(h, low, c, 14),
        "bb20": lambda: t.bbands(c, 20, 2.0)[::-1],
        "macd": lambda: t.macd(c, 12, 26, 9),
        "std60": lambda: t.stddev(c, 60),
        "maxmin60": lambda: (t.max(c, 60), t.min(c, 60)),
        "vwap60": lambda: t.sum((h + low + c) / 3 * v, 60) / t.sum(v, 60),
        "logret": lambda: np.log(c[1:] / c[:-1]),
        "volz60": lambda: (v[59:] - t.sma(v, 60)) / t.stddev(v, 60),
    }


def kand_calls(m: Market) -> Calls:
    k: Any = importlib.import_module("kand")
    h, low, c, v = m.high, m.low, m.close, m.volume
    return {
        "sma20": lambda: k.sma(c, 20),
        "ema20": lambda: k.ema(c, 20),
        "rsi14": lambda: k.rsi(c, 14)[0],
        "atr14": lambda: k.atr(h, low, c, 14),
        "bb20": lambda: k.bbands(c, 20, 2.0, 2.0)[:3],
        "macd": lambda: k.macd(c, 12, 26, 9)[:3],
        "std60": lambda: k.stddev(c, 60)[0],
        "maxmin60": lambda: (k.max(c, 60), k.min(c, 60)),
        "vwap60": lambda: k.sma((h + low + c) / 3 * v, 60) / k.sma(v, 60),
        "logret": lambda: np.log(c[1:] / c[:-1]),
        "volz60": lambda: (v - k.sma(v, 60)) / k.stddev(v, 60)[0],
    }


def pandas_calls(m: Market) -> Calls:
    pd: Any = importlib.import_module("pandas")
    c, h, low, v = (pd.Series(x) for x in (m.close, m.high, m.low, m.volume))

    def rsi() -> Any:
        move = c.diff()
        up = move.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        down = (-move.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
        return 100 - 100 / (1 + up / down)

    def atr() -> Any:
        before = c.shift()
        spans = np.maximum(h - low, np.maximum((h - before).abs(), (low - before).abs()))
        return spans.ewm(alpha=1 / 14, adjust=False).mean()

    def bands() -> Any:
        middle, half = c.rolling(20).mean(), 2 * c.rolling(20).std(ddof=0)
        return middle + half, middle, middle - half

    def macd() -> Any:
        line = c.ewm(span=12, adjust=False).mean() - c.ewm(span=26, adjust=False).mean()
        signal = line.ewm(span=9, adjust=False).mean()
        return line, signal, line - signal

    return {
        "sma20": lambda: c.rolling(20).mean(),
        "ema20": lambda: c.ewm(span=20, adjust=False).mean(),
        "rsi14": rsi,
        "atr14": atr,
        "bb20": bands,
        "macd": macd,
        "std60": lambda: c.rolling(60).std(ddof=0),
        "maxmin60": lambda: (c.rolling(60).max(), c.rolling(60).min()),
        "vwap60": lambda: ((h + low + c) / 3 * v).rolling(60).sum() / v.rolling(60).sum(),
        "logret": lambda: np.log(c / c.shift()),
        "volz60": lambda: (v - v.rolling(60).mean()) / v.rolling(60).std(ddof=0),
    }


def polars_expressions() -> dict[str, list[Any]]:
    pl: Any = importlib.import_module("polars")
    h, low, c, v = (pl.col(name) for name in ("high", "low", "close", "volume"))

    def fading(x: Any, **how: Any) -> Any:
        return x.ewm_mean(adjust=False, **how)

    move = c.diff()
    up = fading(move.clip(lower_bound=0), alpha=1 / 14)
    down = fading((-move).clip(lower_bound=0), alpha=1 / 14)
    before = c.shift()
    spans = pl.max_horizontal(h - low, (h - before).abs(), (low - before).abs())
    middle, half = c.rolling_mean(20), 2 * c.rolling_std(20, ddof=0)
    line = fading(c, span=12) - fading(c, span=26)
    signal = fading(line, span=9)
    price = (h + low + c) / 3
    return {
        "sma20": [c.rolling_mean(20)],
        "ema20": [fading(c, span=20)],
        "rsi14": [100 - 100 / (1 + up / down)],
        "atr14": [fading(spans, alpha=1 / 14)],
        "bb20": [middle + half, middle, middle - half],
        "macd": [line, signal, line - signal],
        "std60": [c.rolling_std(60, ddof=0)],
        "maxmin60": [c.rolling_max(60), c.rolling_min(60)],
        "vwap60": [(price * v).rolling_sum(60) / v.rolling_sum(60)],
        "logret": [(c / c.shift()).log()],
        "volz60": [(v - v.rolling_mean(60)) / v.rolling_std(60, ddof=0)],
    }


def polars_talib_expressions() -> dict[str, list[Any]]:
    pl: Any = importlib.import_module("polars")
    t: Any = importlib.import_module("polars_talib")
    h, low, c, v = (pl.col(name) for name in ("high", "low", "close", "volume"))
    bands = t.bbands(c, timeperiod=20, nbdevup=2.0, nbdevdn=2.0).struct
    macd = t.macd(c, fastperiod=12, slowperiod=26, signalperiod=9).struct
    price = (h + low + c) / 3
    return {
        "sma20": [t.sma(c, timeperiod=20)],
        "ema20": [t.ema(c, timeperiod=20)],
        "rsi14": [t.rsi(c, timeperiod=14)],
        "atr14": [t.atr(h, low, c, timeperiod=14)],
        "bb20": [bands.field(name) for name in ("upperband", "middleband", "lowerband")],
        "macd": [macd.field(name) for name in ("macd", "macdsignal", "macdhist")],
        "std60": [t.stddev(c, timeperiod=60)],
        "maxmin60": [t.max(c, timeperiod=60), t.min(c, timeperiod=60)],
        "vwap60": [t.sum(price * v, timeperiod=60) / t.sum(v, timeperiod=60)],
        "logret": [t.ln(t.rocr(c, timeperiod=1))],
        "volz60": [(v - t.sma(v, timeperiod=60)) / t.stddev(v, timeperiod=60)],
    }


def of_expressions(m: Market, made: dict[str, list[Any]]) -> tuple[Calls, Call]:
    """Calls by feature, and one of all in a single query."""
    pl: Any = importlib.import_module("polars")
    frame = pl.DataFrame({"high": m.high, "low": m.low, "close": m.close, "volume": m.volume})
    named = {
        name: [one.alias(f"{name} {k}") for k, one in enumerate(these)]
        for name, these in made.items()
    }
    every = [one for these in named.values() for one in these]
    calls: Calls = {name: lambda these=these: frame.select(these) for name, these in named.items()}
    return calls, lambda: frame.lazy().select(every).collect()


def arrays(found: Any) -> list[Any]:
    """What a call gave, as arrays."""
    if isinstance(found, np.ndarray):
        return [found]
    if hasattr(found, "get_columns"):
        return [column.to_numpy() for column in found.get_columns()]
    if isinstance(found, (tuple, list)):
        return [np.asarray(one) for one in found]
    return [np.asarray(found)]


def pooled(calls: Calls, threads: int) -> tuple[Call, ThreadPoolExecutor]:
    """All calls by a pool of threads, for libraries that release the interpreter's lock."""
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda call: call(), calls.values())), pool
