"""Runs of walk-forward optimisation with known signals in a model's stead, and what tests ask of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from tests.helpers import simulated

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
FREE = bp.Costs.free()
METRICS = [row["name"] for row in bp._core.metrics_table()]


@dataclass
class Stand:
    """Stands in for a run: candles, folds, and a model's outputs a fold."""

    candles: bp.Candles
    folds: list[bp.Fold]
    outputs: list[bp.Signals]
    asked: list[tuple[str, int | None, Any]] = field(default_factory=list)

    def signals(
        self,
        part: str = "test",
        *,
        exit: Any = None,  # noqa: A002
        fold: int | None = None,
    ) -> bp.Signals:
        self.asked.append((part, fold, exit))
        numbers = range(len(self.folds)) if fold is None else [fold]
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for number in numbers:
            one = self.folds[number]
            rows = one.test if part == "test" else one.tune_choose
            for name in self.outputs[number].names:
                array = arrays.setdefault(name, np.full(len(self.candles), np.nan))
                array[rows] = self.outputs[number][name][rows]
        return bp.Signals(kind=self.outputs[0].kind, **arrays)


def stand(splitter: bp.WalkForward, bars: int = 3_000, seed: int = 5, noise: float = 1.0) -> Stand:
    """A run whose models differ from fold to fold."""
    candles, signals = simulated(bars, seed)
    folds = splitter.folds(candles)
    rng = np.random.default_rng(seed)
    outputs = []
    for _ in folds:
        score = signals["long"] + noise * rng.normal(size=bars)
        outputs.append(bp.Signals(long=score, short=-score, kind="score"))
    return Stand(candles, folds, outputs)


def fold_of(number: int, train: Iterable[int], tune: Iterable[int], test: Iterable[int]) -> bp.Fold:
    a, b, c = (np.array(list(rows), dtype=np.int64) for rows in (train, tune, test))
    return bp.Fold(number, a, b, c)


def grid(**axes: Any) -> bp.Grid:
    levels = [1.0, 1.5, 2.5]
    base = bp.Rules(max_hold=40)
    axes = axes or {"stop_loss": [0.005, 0.02]}
    return bp.Grid(base, {"entry_long": levels, "entry_short": levels}, **axes)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def poisoned(run: Stand, rows: Iterable[int], seed: int = 1) -> Stand:
    """Other prices and other model outputs in these rows."""
    rng = np.random.default_rng(seed)
    at = np.asarray(list(rows))
    factor = np.ones(len(run.candles))
    factor[at] = rng.uniform(0.5, 2.0, len(at))
    prices = {
        name: getattr(run.candles, name) * factor for name in ("open", "high", "low", "close")
    }
    outputs = []
    for signals in run.outputs:
        arrays = {name: signals[name].copy() for name in signals.names}
        for array in arrays.values():
            array[at] = rng.normal(scale=3.0, size=len(at))
        outputs.append(bp.Signals(kind=signals.kind, **arrays))
    return Stand(run.candles._replace(**prices), run.folds, outputs)


def chosen(oos: bp.WalkForwardResult) -> pl.DataFrame:
    return oos.choices.select(pl.exclude("^judged_.*$"))
