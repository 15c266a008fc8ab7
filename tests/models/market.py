"""Small markets with features and labels, for the tests of models and training."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

import barproof as bp

Floats = Any


@lru_cache(maxsize=8)
def candles(bars: int = 3_000, seed: int = 7, edge: float = 0.35) -> bp.Candles:
    return bp.simulate_candles(seed, bars=bars, edge=edge)


def table(of: bp.Candles, noise: int = 2, seed: int = 0) -> pl.DataFrame:
    """A feature that knows the edge, and some that know nothing."""
    draws = np.random.default_rng(seed).standard_normal((len(of), noise))
    columns = {f"noise{j}": draws[:, j] for j in range(noise)}
    return pl.DataFrame({"open_time": of.open_time, "score": of.planted, **columns})


def down(labels: bp.labels.Labels) -> bp.labels.Labels:
    """Binary labels of a fall, from ternary ones."""
    values = np.where(np.isnan(labels.values), np.nan, labels.values == -1.0)
    return replace(
        labels,
        values=values,
        start=labels.start.copy(),
        end=labels.end.copy(),
        kind="binary",
        rule={"name": "fall", "of": labels.rule["bars"]},
    )


def quiet(
    model: Any, X: Any = None, labels: Any = None, folds: Any = None, **options: Any
) -> bp.Run:
    """Train without a ledger and without a bar."""
    return bp.train(model, X, labels, folds, **{"ledger": False, "progress": False, **options})
