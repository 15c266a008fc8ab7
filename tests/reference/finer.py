"""Random finer bars inside drawn ones: paths from open to close that show the extremes; some are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .draws import Case, Draw, draw
from .records import Market

PIECES = (2, 3, 3, 5, 5, 12)


def draw_path(
    d: Draw, bar: tuple[float, float, float, float], pieces: int
) -> list[tuple[float, float, float, float]]:
    """Draw finer bars (open, high, low, close) that make up one bar."""
    o, h, l, c = bar  # noqa: E741
    grid = d.pick(0, 2, 4, 8)  # prices on a grid meet levels that lie on one

    def price() -> float:
        if d.chance(0.15):
            return float(d.pick(o, h, l, c))
        share = d.whole(0, grid) / grid if grid else d.uniform(0.0, 1.0)
        return min(max(l + (h - l) * share, l), h)

    gaps = d.pick(0.0, 0.3, 1.0)
    at_high, at_low = d.whole(0, pieces - 1), d.whole(0, pieces - 1)
    rows = []
    last = o
    for k in range(pieces):
        first = price() if k and d.chance(gaps) else last
        last = c if k == pieces - 1 else price()
        high, low = max(first, last), min(first, last)
        if d.chance(0.5):
            high, low = max(high, price()), min(low, price())
        rows.append((first, h if k == at_high else high, l if k == at_low else low, last))
    return rows


def draw_finer(d: Draw, market: Market) -> Market:
    """Draw finer candles that make up those of `market` exactly; in some draws bars are missing."""
    pieces = 60 if d.chance(0.02) else d.pick(*PIECES)
    step = market.interval_ms // pieces
    missing = d.pick(0.0, 0.0, 0.02, 0.3)
    absent = d.pick(0.0, 0.0, 0.2)
    times: list[int] = []
    rows: list[tuple[float, float, float, float]] = []
    for i, begin in enumerate(market.open_time):
        columns = (market.open, market.high, market.low, market.close)
        bar = tuple(float(column[i]) for column in columns)
        path = draw_path(d, bar, pieces)  # type: ignore[arg-type]
        if d.chance(absent):
            continue
        for k, row in enumerate(path):
            if not d.chance(missing):
                times.append(int(begin) + k * step)
                rows.append(row)
    if d.chance(0.3):  # bars of a time that the coarse ones do not have
        times.append(int(market.open_time[-1]) + market.interval_ms)
        rows.append(rows[-1] if rows else (1.0, 1.0, 1.0, 1.0))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Market(
        open_time=np.array(times, dtype=np.int64),
        open=table[:, 0].copy(),
        high=table[:, 1].copy(),
        low=table[:, 2].copy(),
        close=table[:, 3].copy(),
        interval_ms=step,
        kind=market.kind,
    )


def draw_with_finer(seed: int) -> Case:
    """Draw a case whose market has finer candles; the case itself is that of the same seed."""
    case = draw(seed)
    d = Draw(seed + 1_000_000_007)
    return replace(case, market=replace(case.market, finer=draw_finer(d, case.market)))
