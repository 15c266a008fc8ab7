"""A row of workload B's features a bar at a time, in other libraries' own streaming forms."""

from __future__ import annotations

import importlib
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from benches.feature_problem import Market

WARM = 300
Rows = list[list[float]]


def stream(name: str, market: Market, rows: Rows) -> Callable[[], None]:
    """A call that streams all bars after the warm-up; ImportError where the library has no such form."""
    makers: dict[str, Callable[[Market, Rows], Callable[[], None]]] = {
        "talib": _talib,
        "kand": _kand,
        "talipp": _talipp,
    }
    return makers[name](market, rows)


def _talib(m: Market, rows: Rows) -> Callable[[], None]:
    s: Any = importlib.import_module("talib.stream")
    if not isinstance(getattr(s, "SMA", None), type):
        raise ImportError("TA-Lib before 0.8 has no stream objects")
    _, high, low, close, volume = rows
    h, lo, c, v = (x[:WARM] for x in (m.high, m.low, m.close, m.volume))
    flow = (h + lo + c) / 3 * v

    def run() -> None:
        sma, ema, rsi = s.SMA(c, 20).update, s.EMA(c, 20).update, s.RSI(c, 14).update
        atr, bands = s.ATR(h, lo, c, 14).update, s.BBANDS(c, 20, 2.0, 2.0).update
        macd, std = s.MACD(c, 12, 26, 9).update, s.STDDEV(c, 60).update
        largest, smallest = s.MAX(c, 60).update, s.MIN(c, 60).update
        paid, traded = s.SUM(flow, 60).update, s.SUM(v, 60).update
        mean, spread = s.SMA(v, 60).update, s.STDDEV(v, 60).update
        before = close[WARM - 1]
        for a, b, x, w in zip(high[WARM:], low[WARM:], close[WARM:], volume[WARM:], strict=True):
            _ = (
                sma(x), ema(x), rsi(x), atr(a, b, x), bands(x), macd(x), std(x), largest(x), smallest(x),
                paid((a + b + x) / 3 * w) / traded(w), math.log(x / before), (w - mean(w)) / spread(w),
            )  # fmt: skip
            before = x

    return run


def _kand(m: Market, rows: Rows) -> Callable[[], None]:
    k: Any = importlib.import_module("kand")
    _, high, low, close, volume = rows
    h, lo, c, v = (x[:WARM].copy() for x in (m.high, m.low, m.close, m.volume))

    def run() -> None:
        sma, ema, atr = k.sma(c, 20)[-1], k.ema(c, 20)[-1], k.atr(h, lo, c, 14)[-1]
        _, ups, downs = k.rsi(c, 14)
        up, down = float(ups[-1]), float(downs[-1])
        *_, fasts, slows = k.macd(c, 12, 26, 9)
        fast, slow, signal = float(fasts[-1]), float(slows[-1]), float(k.macd(c, 12, 26, 9)[1][-1])
        total, squares = float(c[-20:].sum()), float((c[-20:] ** 2).sum())
        mean = total / 20
        sums = float(c[-60:].sum()), float((c[-60:] ** 2).sum())
        volumes = float(v[-60:].sum()), float((v[-60:] ** 2).sum())
        flow = [(a + b + x) / 3 * w for a, b, x, w in zip(high, low, close, volume, strict=True)]
        paid, held = sum(flow[WARM - 60 : WARM]), deque(close[WARM - 60 : WARM], maxlen=60)
        for i in range(WARM, len(close)):
            x, w = close[i], volume[i]
            sma = k.sma_inc(sma, x, close[i - 20], 20)
            ema = k.ema_inc(x, ema, 20)
            rsi, up, down = k.rsi_inc(x, close[i - 1], up, down, 14)
            atr = k.atr_inc(high[i], low[i], close[i - 1], atr, 14)
            *bands, mean, total, squares = k.bbands_inc(
                x, mean, total, squares, close[i - 20], 20, 2.0, 2.0
            )
            macd = k.macd_inc(x, fast, slow, signal, 12, 26, 9)
            signal, fast, slow = macd[1], k.ema_inc(x, fast, 12), k.ema_inc(x, slow, 26)
            std, *sums = k.stddev_inc(x, *sums, close[i - 60], 60)
            held.append(x)
            paid = k.sum_inc(flow[i], flow[i - 60], paid)
            spread, *volumes = k.stddev_inc(w, *volumes, volume[i - 60], 60)
            traded = volumes[0]
            _ = (
                sma, ema, rsi, atr, bands, macd, std, max(held), min(held), paid / traded,
                math.log(x / close[i - 1]), (w - traded / 60) / spread if spread else 0.0,
            )  # fmt: skip

    return run


def _talipp(_: Market, rows: Rows) -> Callable[[], None]:
    t: Any = importlib.import_module("talipp.indicators")
    bar: Any = importlib.import_module("talipp.ohlcv").OHLCV

    def run() -> None:
        sma, ema, rsi, bands = t.SMA(20), t.EMA(20), t.RSI(14), t.BB(20, 2.0)
        macd, std, atr = t.MACD(12, 26, 9), t.StdDev(60), t.ATR(14)
        mean, spread, paid = t.SMA(60), t.StdDev(60), t.SMA(60)
        of_close = (sma, ema, rsi, bands, macd, std)
        every = (*of_close, atr, mean, spread, paid)
        held: deque[float] = deque(maxlen=60)
        before = 1.0
        for i, (o, a, b, x, w) in enumerate(zip(*rows, strict=True)):
            for one in of_close:
                one.add(x)
            atr.add(bar(o, a, b, x, w))
            mean.add(w)
            spread.add(w)
            paid.add((a + b + x) / 3 * w)
            held.append(x)
            if mean[-1] is not None and spread[-1]:
                _ = (
                    *(one[-1] for one in of_close), atr[-1], max(held), min(held), paid[-1] / mean[-1],
                    math.log(x / before), (w - mean[-1]) / spread[-1],
                )  # fmt: skip
            before = x
            if i % 5000 == 0:  # or it keeps everything it ever saw
                for one in every:
                    if len(one) > 200:
                        one.purge_oldest(len(one) - 200)

    return run
