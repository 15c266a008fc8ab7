"""Cases for the audits: small worlds with a known fault or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import _core
from barproof._folds import Fold

BARS = 3_000


def market(bars: int = BARS, seed: int = 3, edge: float = 0.2) -> bp.Candles:
    return bp.simulate_candles(seed, bars=bars, edge=edge)


def trailing(candles: bp.Candles) -> pl.DataFrame:
    """Features that know the past only."""
    close = pl.col("close")
    frame = candles.to_polars()
    return frame.select(
        "open_time",
        move=(close / close.shift(1) - 1),
        mean=close / close.rolling_mean(20) - 1,
    )


class Features:
    """Stand-in for a feature set: a function with names and `compute`."""

    def __init__(self, function: Any = trailing, warmup: int = 20) -> None:
        self._function = function
        self.warmup = warmup
        self.calls = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._function(market(60)).columns[1:])

    def compute(self, candles: bp.Candles) -> pl.DataFrame:
        self.calls += 1
        return self._function(candles)  # type: ignore[no-any-return]


class Model:
    """Stand-in for a bundle: a logistic curve of the first feature."""

    def __init__(self, features: tuple[str, ...], slope: float = 100.0) -> None:
        self.features = features
        self.features_digest = _core.digest("features/1", list(features))
        self.slope = slope

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        x = frame[self.features[0]].cast(pl.Float64).fill_null(np.nan).to_numpy()
        up = 1 / (1 + np.exp(-self.slope * x))
        return np.column_stack([1 - up, up])


@dataclass
class Part:
    labels: Any


@dataclass
class Run:
    """Stand-in for a run, with what the audits read of one."""

    candles: bp.Candles
    folds: list[Fold]
    labels: bp.Labels
    X: pl.DataFrame
    bundles: list[Model]
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.X.columns[1:])

    def predictions(self, part: str = "test", fold: int | None = None) -> pl.DataFrame:
        assert part == "test" and fold is not None
        rows = self.folds[fold].test
        p = self.bundles[fold].predict(self.X)[rows]
        return pl.DataFrame(
            {
                "fold": np.full(len(rows), fold),
                "row": rows,
                "part": ["model"] * len(rows),
                "label": self.labels.values[rows],
                "p_0": p[:, 0],
                "p_1": p[:, 1],
            }
        )

    def signals(self, part: str = "test") -> bp.Signals:
        p = np.full(len(self.candles), np.nan)
        for fold, bundle in zip(self.folds, self.bundles, strict=True):
            p[fold.test] = bundle.predict(self.X)[fold.test, 1]
        return bp.Signals(long=p, short=1 - p)


def run(
    candles: bp.Candles | None = None, *, X: pl.DataFrame | None = None, gap: bool = True
) -> Run:
    """A clean run: two folds, purged."""
    candles = market() if candles is None else candles
    labels = bp.labels.horizon(candles, bars=3, kind="binary")
    walk = bp.WalkForward(1_200, 600, tune=600)
    folds = walk.folds(candles, labels if gap else None)
    X = trailing(candles) if X is None else X
    bundles = [Model(tuple(X.columns[1:])) for _ in folds]
    return Run(candles, folds, labels, X, bundles)


def edged_result(edge: float = 0.3, bars: int = 6_000, entry: float = 0.7) -> bp.Result:
    """A backtest on the hidden score of a simulated market."""
    candles = market(bars, seed=8, edge=edge)
    assert candles.planted is not None
    p = 1 / (1 + np.exp(-2 * candles.planted))
    signals = bp.Signals(long=p, short=1 - p)
    rules = bp.Rules(entry_long=entry, entry_short=entry, max_hold=12)
    costs = bp.Costs(taker=0.00005)
    return bp.backtest(candles, signals, rules, costs=costs, ledger=False)
