"""A market, features and a model, for the tests of sessions; and folders that cost no disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import barproof as bp

NAMES = ["log_return(1)", "rsi(14)", "atr_ratio(14)", "rsi(14)@1h", "ema(20)"]
RULES = bp.Rules(
    entry_long=0.5,
    entry_short=0.5,
    exit_long=0.51,
    stop_loss=1.5,
    stop_loss_kind="atr",
    take_profit=0.01,
    max_hold=20,
    cooldown=1,
)
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)


@lru_cache(maxsize=4)
def candles(bars: int = 2_000, seed: int = 7) -> bp.Candles:
    return bp.simulate_candles(seed, bars=bars)


@lru_cache(maxsize=4)
def trained(bars: int = 2_000, names: tuple[str, ...] = tuple(NAMES)) -> bp.Run:
    X = bp.FeatureSet(list(names)).compute(candles(bars))
    labels = bp.labels.horizon(candles(bars), bars=3, kind="binary")
    folds = bp.WalkForward(500, 200, tune=200)
    return bp.train(bp.models.Logistic(), X, labels, folds, ledger=False, progress=False)


@contextmanager
def folder() -> Iterator[Path]:
    """In memory where the machine has such a place: every bar is synced, and disks are slow under load."""
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as made:
        yield Path(made)


def session(state: Any, start: int | None = 1_000, **changes: Any) -> bp.LiveSession:
    """A session of the market above; with `start`, warm up to there."""
    of = candles()
    given: dict[str, Any] = {
        "costs": COSTS,
        "state": state,
        "candles": of[:start] if start else None,
        "symbol": "SIM",
        "interval": "5m",
        "instrument": of.instrument,
    }
    bundle = changes.pop("bundle", None) or trained().bundles[0]
    rules = changes.pop("rules", RULES)
    return bp.LiveSession(bundle, rules, **{**given, **changes})


def signals_of(
    decisions: list[bp.Decision], bars: int, start: int, kind: Any = "probability"
) -> bp.Signals:
    """What was said live, as signals for a backtest."""
    arrays: dict[str, Any] = {}
    for name in ("long", "short", "exit_long", "exit_short"):
        said = np.array([getattr(d, f"p_{name}") for d in decisions], dtype=float)
        if not np.isnan(said).all():
            arrays[name] = np.full(bars, np.nan)
            arrays[name][start : start + len(said)] = said
    return bp.Signals(**arrays, kind=kind)
