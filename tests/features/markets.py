"""Random markets: walks, jumps, flat stretches, volume spikes, holes in time, missing taker volumes; and real bars."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE = 60_000
HOUR = 60 * MINUTE

LENGTHS = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR}
LENGTHS |= {"12h": 12 * HOUR, "1d": 24 * HOUR, "1w": 7 * 24 * HOUR}


COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "taker_buy_volume",
    "trades",
)


@dataclass(frozen=True)
class Market:
    """Bars as plain arrays."""

    open_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats
    interval: str
    trades: Floats
    funding_time: Ints
    funding_rate: Floats
    # Of longer bars: the bars that they are made of.
    inside: Market | None = None

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def interval_ms(self) -> int:
        return LENGTHS[self.interval]

    def series(self, name: str) -> Floats:
        """Column of a name."""
        values: Floats = getattr(self, name)
        return values

    def take(self, index: slice | NDArray[np.bool_]) -> Market:
        """Keep some bars."""
        return replace(self, **{name: getattr(self, name)[index] for name in COLUMNS})

    def bar(self, t: int) -> dict[str, Any]:
        """One bar with its further columns and the settlements that end with it."""
        close = self.open_time[t] + self.interval_ms
        first, end = np.searchsorted(self.funding_time, [self.open_time[t], close])
        known = slice(max(0, min(first, end - 2)), end)
        pairs = zip(
            self.funding_time[known].tolist(), self.funding_rate[known].tolist(), strict=True
        )
        return {**{name: getattr(self, name)[t].item() for name in COLUMNS}, "funding": list(pairs)}

    def candles(self, symbol: str = "TEST") -> bp.Candles:
        """The same bars, in barproof's own type."""
        # As times, not numbers: the unit of those before 1970 would be guessed wrong.
        when = pl.Datetime("ms", "UTC")
        funding = pl.DataFrame(
            {"funding_time": self.funding_time, "funding_rate": self.funding_rate}
        )
        return bp.read_candles(
            pl.DataFrame({name: getattr(self, name) for name in COLUMNS}).with_columns(
                pl.col("open_time").cast(when)
            ),
            instrument="perpetual",
            funding=funding.with_columns(pl.col("funding_time").cast(when)),
            symbol=symbol,
            interval=self.interval,
            on_fault="ignore",
        )


def walk(
    seed: int,
    n: int = 500,
    *,
    interval: str = "5m",
    start: int = MONDAY,
    sigma: float = 0.002,
    tick: float | None = None,
) -> Market:
    """Random walk with wicks; with `tick`, prices on a grid, where equal values are common."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(sigma * rng.standard_normal(n)))
    gap = np.exp(0.2 * sigma * rng.standard_normal(n))
    open_ = np.r_[100.0, close[:-1]] * gap
    high = np.maximum(open_, close) * np.exp(sigma * rng.exponential(size=n))
    low = np.minimum(open_, close) * np.exp(-sigma * rng.exponential(size=n))
    if tick is not None:
        open_, high, low, close = (np.round(p / tick) * tick for p in (open_, high, low, close))
        high = np.maximum.reduce([open_, high, low, close])
        low = np.minimum.reduce([open_, high, low, close])
    volume = np.round(rng.lognormal(3.0, 1.0, n), 3)
    taker = volume * rng.uniform(0.0, 1.0, n)
    time = start + LENGTHS[interval] * np.arange(n, dtype=np.int64)
    trades = 1.0 + rng.integers(0, 500, n).astype(np.float64)
    # Settlements every two hours on the clock, from long before the first bar on.
    hours = 2 * HOUR
    first = start // hours - 9
    settled = hours * np.arange(first, (start + n * LENGTHS[interval]) // hours + 1, dtype=np.int64)
    rate = 1e-4 * rng.standard_normal(len(settled))
    return Market(time, open_, high, low, close, volume, taker, interval, trades, settled, rate)


def jumps(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Walk whose level jumps by orders of magnitude."""
    base = walk(seed, n, interval=interval)
    rng = np.random.default_rng([seed, 1])
    step = np.where(rng.uniform(size=n) < 0.01, rng.choice([-5.0, -1.0, 1.0, 5.0], n), 0.0)
    level = np.exp(np.cumsum(step))
    prices = {name: getattr(base, name) * level for name in ("open", "high", "low", "close")}
    return replace(base, **prices)


def flat(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Walk with stretches in which nothing moves and nothing trades, at a price that is no short fraction."""
    base = walk(seed, n, interval=interval)
    rng = np.random.default_rng([seed, 2])
    columns = {
        name: getattr(base, name).copy()
        for name in ("open", "high", "low", "close", "volume", "taker_buy_volume")
    }
    for start in rng.integers(0, n, 8):
        stop = start + int(rng.integers(2, 70))
        for name in ("open", "high", "low", "close"):
            columns[name][start:stop] = base.close[start]
        volume = float(rng.choice([0.0, 12.3]))
        columns["volume"][start:stop] = volume
        columns["taker_buy_volume"][start:stop] = 0.5 * volume
    return replace(base, **columns)


def spikes(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Walk near 1e5 with volumes of 1e12 among small ones."""
    base = walk(seed, n, interval=interval)
    rng = np.random.default_rng([seed, 3])
    hit = rng.uniform(size=n) < 0.02
    prices = {name: getattr(base, name) * 1e3 for name in ("open", "high", "low", "close")}
    volume = np.where(hit, 1e12, base.volume)
    return replace(base, volume=volume, taker_buy_volume=0.25 * volume, **prices)


def holes(seed: int, n: int = 500, *, interval: str = "5m", share: float = 0.05) -> Market:
    """Walk of which bars, and now and then whole hours, are absent; it begins inside an hour."""
    base = walk(seed, 2 * n + 50, interval=interval, start=MONDAY + 7 * LENGTHS[interval])
    rng = np.random.default_rng([seed, 4])
    keep = rng.uniform(size=len(base)) >= share
    for start in rng.integers(0, len(base), 6):
        keep[start : start + int(rng.integers(5, 60))] = False
    return base.take(keep).take(slice(0, n))


def gaps(seed: int, n: int = 500, *, interval: str = "5m", share: float = 0.02) -> Market:
    """Walk with missing taker volumes, the one kind of NaN that candles can hold."""
    base = walk(seed, n, interval=interval)
    rng = np.random.default_rng([seed, 5])
    missing = rng.uniform(size=n) < share
    missing[n // 2 : n // 2 + 3] = True
    return replace(base, taker_buy_volume=np.where(missing, np.nan, base.taker_buy_volume))


def ticks(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Walk on a coarse grid, where equal values are common."""
    return walk(seed, n, interval=interval, tick=0.25)


def mixed(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Everything at once: jumps, flat stretches, spikes, holes, missing taker volumes."""
    base = holes(seed, n, interval=interval)
    other = (jumps(seed, len(base)), flat(seed + 1, len(base)), spikes(seed, len(base)))
    rng = np.random.default_rng([seed, 6])
    names = ("open", "high", "low", "close", "volume", "taker_buy_volume")
    columns = {name: getattr(base, name).copy() for name in names}
    for start in range(0, len(base), 40):
        cut = slice(start, start + 40)
        source = (base, *other)[int(rng.integers(4))]
        for name in names:
            columns[name][cut] = getattr(source, name)[cut]
    columns["taker_buy_volume"][rng.uniform(size=len(base)) < 0.01] = np.nan
    return replace(base, **columns)


def poisoned(market: Market, rows: slice, seed: int) -> Market:
    """The same bars, but with other prices and volumes in some rows."""
    rng = np.random.default_rng([seed, 7])
    names = COLUMNS[1:]
    columns = {name: getattr(market, name).copy() for name in names}
    factor = np.exp(rng.normal(0.0, 3.0, len(market)))
    for name in names[:4]:
        columns[name][rows] *= factor[rows]
    wild = rng.lognormal(5.0, 5.0, len(market))
    columns["volume"][rows] = wild[rows]
    columns["taker_buy_volume"][rows] = (wild * rng.uniform(size=len(market)))[rows]
    columns["trades"][rows] = (1.0 + np.floor(wild))[rows]
    return replace(market, **columns)


KINDS = {
    "walk": walk,
    "jumps": jumps,
    "flat": flat,
    "spikes": spikes,
    "holes": holes,
    "gaps": gaps,
    "ticks": ticks,
}


# Shapes that chance hardly makes: open, close, upper and lower shadow of each bar, from where the last bar closed.
_SHAPES: tuple[tuple[tuple[int, int, int, int], ...], ...] = (
    ((0, 16, 0, 0), (19, 17, 1, 0), (16, 14, 0, 1), (15, 13, 0, 1), (14, 30, 1, 0)),
    ((0, 16, 1, 1), (14, 12, 0, 1), (12, 10, 1, 0), (10, 8, 0, 1), (9, 18, 1, 0)),
    ((20, 0, 0, 1), (-3, -6, 0, 0), (-6, -8, 1, 1), (-8, -11, 0, 1), (-10, -1, 1, 0)),
    ((0, 16, 1, 0), (20, 19, 0, 1), (22, 18, 0, 0)),
    ((0, 16, 1, 0), (22, 19, 0, 1), (21, 10, 0, 0)),
    ((0, -15, 0, 0), (-15, -25, 0, 0), (-28, -33, 5, 0), (-20, -36, 0, 0)),
    ((0, -14, 1, 16), (-10, -18, 2, 9), (-16, -17, 0, 0)),
    ((0, 15, 0, 0), (22, 22, 1, 1), (14, 6, 3, 0)),
    ((0, -15, 0, 0), (6, 22, 0, 0)),
)


def figures(seed: int, n: int = 500, *, interval: str = "5m") -> Market:
    """Candles of small whole numbers that make every candlestick pattern now and then, with many ties."""
    rng = np.random.default_rng([seed, 8])
    leap = rng.choice([-9, -4, -2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2, 4, 9], n)
    body = rng.choice([0, 0, 1, 1, 2, 3, 6, 6, 9, 14], n)
    trend = np.repeat(rng.choice([-1, 1], n // 4 + 1), 4)[:n]
    body *= np.where(rng.uniform(size=n) < 0.6, trend, rng.choice([-1, 1], n))
    shadows = rng.choice([0, 0, 0, 0, 1, 1, 2, 5, 12], (2, n))
    inside = rng.uniform(size=n) < 0.4
    place = rng.uniform(size=n)
    middle = 5_000.0
    open_, close = np.empty(n), np.empty(n)
    waiting: list[tuple[float, float, tuple[int, int]]] = []
    for t in range(n):
        before = (open_[t - 1], close[t - 1]) if t else (middle, middle)
        if not waiting and place[t] < 0.02:
            shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
            start, turn = before[1], int(rng.choice([-1, 1]))
            for a, b, u, d in shape:
                ends = (u, d) if turn == 1 else (d, u)
                waiting.append((start + turn * a, start + turn * b, ends))
        if waiting:
            open_[t], close[t], shadows[:, t] = waiting.pop(0)
            continue
        if inside[t]:
            low, high = sorted(before)
            open_[t] = low + np.floor(place[t] * (high - low + 1.0))
        else:
            # Back towards the middle, so that prices stay positive.
            pull = 0 if abs(before[1] - middle) < 500.0 else int(np.sign(middle - before[1]))
            open_[t] = before[1] + leap[t] + pull
        close[t] = open_[t] + body[t]
    high = np.maximum(open_, close) + shadows[0]
    low = np.minimum(open_, close) - shadows[1]
    base = walk(seed, n, interval=interval)
    return replace(base, open=open_, high=high, low=low, close=close)


# Real bars: file, interval, and what a price is multiplied with to be a whole number.
_REAL = {
    "btc": ("binanceum_btcusdt_5m.parquet", "5m", 10),
    "eurusd": ("fx_eurusd_1h_2017_2018.parquet", "1h", 100_000),
    "goog": ("us_goog_1d_2004_2013.parquet", "1d", 100),
}
REAL = tuple(_REAL)
FOLDER = os.environ.get("BARPROOF_DATA", "")


@functools.cache
def real(name: str, *, whole: bool = False) -> Market:
    """Bars from ``BARPROOF_DATA``, 20,000 of them at most; with `whole`, in ticks, which floats hold exactly."""
    file, interval, ticks = _REAL[name]
    frame = pl.read_parquet(Path(FOLDER) / file).head(20_000)
    open_, high, low, close = (
        frame[key].to_numpy().astype(float) for key in ("open", "high", "low", "close")
    )
    if whole:
        open_, high, low, close = (np.round(values * ticks) for values in (open_, high, low, close))
        high = np.maximum.reduce([open_, high, low, close])
        low = np.minimum.reduce([open_, high, low, close])
    volume = frame["volume"].to_numpy().astype(float)
    time = frame["open_time"].dt.epoch("ms").to_numpy().astype(np.int64)
    return Market(
        time,
        open_,
        high,
        low,
        close,
        volume,
        taker_buy_volume=0.5 * volume,
        interval=interval,
        trades=np.ones(len(time)),
        funding_time=time[::96],
        funding_rate=np.full(len(time[::96]), 1e-4),
    )
