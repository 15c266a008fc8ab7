"""Small markets for tests: bars written as a table, signals as lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

import barproof as bp

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def market(
    rows: Sequence[tuple[float, float, float, float]],
    *,
    kind: str = "spot",
    interval: str = "1m",
    funding: Any = None,
    maintenance: float = 0.005,
    lot: float = 0.0,
    min_notional: float = 0.0,
) -> bp.Candles:
    """Candles from (open, high, low, close) rows."""
    step = {"1m": 60_000, "1h": 3_600_000, "8h": 28_800_000, "1d": 86_400_000}[interval]
    o, h, l, c = (np.array(column, dtype=float) for column in zip(*rows, strict=True))  # noqa: E741
    frame = pl.DataFrame(
        {
            "open_time": START + step * np.arange(len(rows)),
            "open": o,
            "high": h,
            "low": l,
            "close": c,
            "volume": np.ones(len(rows)),
        }
    )
    instrument = bp.Instrument(kind, maintenance=maintenance, lot=lot, min_notional=min_notional)  # type: ignore[arg-type]
    if kind == "perpetual" and funding is None:
        funding = "none"
    return bp.read_candles(
        frame,
        instrument=instrument,
        symbol="TEST",
        interval=interval,
        funding=funding,
        on_fault="ignore",
    )


def flat(price: float, n: int) -> list[tuple[float, float, float, float]]:
    """Bars that do not move."""
    return [(price, price, price, price)] * n


def simulated(bars: int = 3_000, seed: int = 5, edge: float = 0.1) -> tuple[bp.Candles, bp.Signals]:
    """A simulated market with scores that know its edge."""
    candles = bp.simulate_candles(seed, bars=bars, edge=edge)
    planted = candles.planted
    assert planted is not None
    return candles, bp.Signals(long=planted, short=-planted, kind="score")


def as_compared(text: str) -> list[str]:
    """Lines of what was printed; before rich 14, whose columns were a blank wider, the letters but for their order."""
    if int(version("rich").partition(".")[0]) >= 14:
        return text.splitlines()
    return sorted(re.sub("[\\s\u2500]+", "", text))
