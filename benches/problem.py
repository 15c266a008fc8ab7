"""Workload A: a seeded market, three signals, and grids over them; the same arrays for barproof and for its peers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]

SEED = 42
BARS = 1_000_000
FEE = 0.0005
MAX_HOLD = 240
INITIAL = 10_000.0
PERIODS = 365.0

# Entry thresholds by how often they trade; names say the bars a trade takes, waiting included.
ENTRIES = {
    "dense": (0.90, 0.92, 0.94, 0.96),
    "2000": (0.963, 0.965, 0.966, 0.967),
    "20000": (0.980, 0.981, 0.982, 0.983),
}
EXITS = (0.6, 0.7, 0.8, 0.9)
STOPS = (0.003, 0.005, 0.01, 0.02)
TARGETS = (0.005, 0.01, 0.02, 0.04)

# Rows of the 256 in which every level of an axis meets every level of each other axis once (an orthogonal array, by
# arithmetic in the field of four), and four of them that have every level once.
_DOUBLE = (0, 2, 3, 1)
SPREAD = [64 * e + 16 * x + 4 * (e ^ x) + (e ^ _DOUBLE[x]) for e in range(4) for x in range(4)]
FEW = [SPREAD[4 * e + _DOUBLE[e]] for e in range(4)]

_START_MS = 1_672_531_200_000  # 2023-01-01 UTC
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_MINUTES_A_YEAR = 525_600.0
_STEPS = 8  # price changes inside a minute
_CHUNK = 100_000  # minutes drawn at once


@dataclass(frozen=True)
class Problem:
    """Contiguous columns of one market, and where its days end."""

    open_time: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    p_long: Floats
    p_short: Floats
    p_exit: Floats

    def __len__(self) -> int:
        return len(self.close)

    @property
    def day_of(self) -> NDArray[np.int64]:
        """Number of the day that each bar opens in, without gaps."""
        days = self.open_time // _DAY_MS
        return np.cumsum(np.diff(days, prepend=days[0]) > 0)

    @property
    def day_last(self) -> NDArray[np.int64]:
        """Last bar of each day."""
        days = self.open_time // _DAY_MS
        return np.flatnonzero(np.append(np.diff(days) > 0, True))

    def candles(self, salt: int = 0) -> bp.Candles:
        """Candles whose volume, which no rule looks at, goes by the salt: no cache can know them."""
        return bp.read_candles(
            {
                "open_time": self.open_time,
                "open": self.open,
                "high": self.high,
                "low": self.low,
                "close": self.close,
                "volume": np.full(len(self), 1.0 + salt),
            },
            instrument="spot",
            symbol="BENCH",
            interval="1m",
        )

    def signals(self, salt: int = 0) -> bp.Signals:
        """Signals whose last value, on which nobody can act, is the salt in billionths."""
        long = self.p_long
        if salt:
            long = long.copy()
            long[-1] = 1e-9 * salt
        return bp.Signals(
            long=long, short=self.p_short, exit_long=self.p_exit, exit_short=self.p_exit
        )

    def save(self, folder: Path) -> None:
        for name in self.__dataclass_fields__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> Problem:
        return cls(*(np.load(folder / f"{name}.npy") for name in cls.__dataclass_fields__))


def make(bars: int = BARS, seed: int = SEED) -> Problem:
    """Draw a market of one-minute bars: hours of calm and storm, a daily rhythm, rare jumps; signals know nothing."""
    rng = np.random.default_rng(seed)
    minute = np.arange(bars) % 1440
    rhythm = 0.6 + 0.8 * (0.5 + 0.5 * np.cos(2 * np.pi * (minute - 870) / 1440)) ** 2
    storm = 0.35 * _persistent(rng, bars, 0.999)
    sd = 0.6 / np.sqrt(_MINUTES_A_YEAR) * rhythm * np.exp(storm)
    gap = rng.standard_normal(bars) * 0.15 * sd
    jumps = rng.random(bars) < 1 / 3000
    gap[jumps] += 0.006 * rng.standard_normal(int(jumps.sum()))
    up, down, change = np.empty(bars), np.empty(bars), np.empty(bars)
    for a in range(0, bars, _CHUNK):
        b = min(a + _CHUNK, bars)
        scale = sd[a:b, None]
        steps = rng.standard_normal((b - a, _STEPS)) * scale / np.sqrt(_STEPS) - 0.5 * scale**2
        path = np.cumsum(steps, axis=1)
        up[a:b], down[a:b] = path.max(axis=1), path.min(axis=1)
        change[a:b] = path[:, -1]
    close = np.cumsum(gap + change)
    # A bridge: over millions of bars the price stays where prices are.
    close -= np.linspace(0.0, close[-1], bars)
    start = np.append(0.0, close[:-1]) + gap
    high = np.maximum(start + np.maximum(up, 0.0), close)
    low = np.minimum(start + np.minimum(down, 0.0), close)
    prices = [30_000.0 * np.exp(x) for x in (start, high, low, close)]
    chances = [1 / (1 + np.exp(-_persistent(rng, bars, 0.9))) for _ in range(3)]
    times = _START_MS + _MINUTE_MS * np.arange(bars, dtype=np.int64)
    return Problem(times, *(np.ascontiguousarray(x) for x in (*prices, *chances)))


def _persistent(rng: np.random.Generator, n: int, phi: float) -> Floats:
    """Autoregression of order one with variance 1."""
    from scipy.signal import lfilter  # not in the processes whose memory is measured

    made: Floats = lfilter([np.sqrt(1 - phi * phi)], [1.0, -phi], rng.standard_normal(n))
    return made


def product(density: str, levels: int = 4) -> Floats:
    """Rows of (entry, exit, stop, target): every combination of so many levels each."""
    axes = (ENTRIES[density], EXITS, STOPS, TARGETS)
    if levels != 4:
        axes = tuple(tuple(np.linspace(axis[0], axis[-1], levels)) for axis in axes)
    return np.array(list(itertools.product(*axes)))


def scattered(density: str, count: int, seed: int = SEED) -> Floats:
    """Rows drawn at random between the outermost levels, so that nothing is shared."""
    rng = np.random.default_rng(seed)
    axes = (ENTRIES[density], EXITS, STOPS, TARGETS)
    return np.column_stack([rng.uniform(axis[0], axis[-1], count) for axis in axes])


def costs() -> bp.Costs:
    return bp.Costs(taker=FEE)


def grid_of(rows: Floats, rules: bp.Rules | None = None) -> bp.Grid:
    """Grid of the same rows in the same order: a product where they are one, else a table."""
    rules = rules or bp.Rules(max_hold=MAX_HOLD)
    axes = [list(dict.fromkeys(column.tolist())) for column in rows.T]
    entries, exits, stops, targets = axes
    if np.prod([len(axis) for axis in axes]) == len(rows):
        return bp.Grid(
            rules,
            {"entry_long": entries, "entry_short": entries},
            {"exit_long": exits, "exit_short": exits},
            stop_loss=stops,
            take_profit=targets,
        )
    names = ("entry_long", "exit_long", "stop_loss", "take_profit")
    table = dict(zip(names, rows.T.tolist(), strict=True))
    return bp.Grid.table(
        rules, table | {"entry_short": table["entry_long"], "exit_short": table["exit_long"]}
    )
