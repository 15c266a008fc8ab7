"""What nets are worth out of sample: skill above a baseline where an edge was planted, none on noise, and real bars."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import barproof as bp
from barproof import models
from barproof._judge import judge
from barproof.report import write_report
from barproof.report.calibration import forecasts, skill_pooled
from tests.models.market import candles, quiet, table

torch = pytest.importorskip("torch")

FOLDER = os.environ.get("BARPROOF_DATA", "")
WALK = bp.WalkForward(1_400, 600, tune=600)
LONG = bp.WalkForward(6_000, 3_000, tune=3_000, step=3_000)


def linear(features: int, outputs: int) -> Any:
    return torch.nn.Linear(features, outputs)


COMMON: dict[str, Any] = {"epochs": 12, "batch": 64, "learning_rate": 0.01}
NETS: dict[str, Any] = {
    "feed": models.FeedForward(hidden=(16, 8), dropout=0.1, **COMMON),
    "lstm": models.LstmClassifier(window=4, hidden=12, **COMMON),
    "bars": models.BarTransformer(
        window=4, d_model=16, heads=4, layers=1, feed_forward=16, **COMMON
    ),
    "cross": models.CrossMarketTransformer(
        window=4, steps=2, d_model=16, heads=4, encoders=1, decoders=1, feed_forward=16, **COMMON
    ),
    "own": models.Torch(factory=linear, label="linear", **COMMON),
}  # fmt: skip


def verdict(net: Any, X: Any, labels: Any, walk: Any = WALK) -> tuple[Any, Any, Any]:
    """Area under the curve on test rows with its interval, and the skill of the log loss over a constant's."""
    run = quiet(net, X, labels, walk, seed=5)
    frame = run.predictions("test")
    found = np.full((len(labels), 2), np.nan)
    found[frame["row"].to_numpy()] = frame.select("p_0", "p_1").to_numpy()
    judged = judge(found, labels, np.sort(frame["row"].to_numpy())).frame
    area = next(row for row in judged.iter_rows(named=True) if row["metric"] == "auc")
    return area, skill_pooled(forecasts(run)[0]), run


def without_the_edge(X: Any, seed: int) -> Any:
    """The score in another order: its distribution is the same, and it knows nothing."""
    order = np.random.default_rng(seed).permutation(len(X))
    return X.with_columns(score=X["score"].to_numpy()[order])


@pytest.mark.parametrize("name", NETS)
def test_every_net_finds_a_planted_edge_and_none_in_noise(name: str) -> None:
    bars = candles()
    labels = bp.labels.horizon(bars, bars=4, kind="binary")
    X = table(bars)
    area, skill, _ = verdict(NETS[name], X, labels)
    assert area["low"] > area["baseline"] == 0.5
    assert skill.low > 0.0
    area, skill, _ = verdict(NETS[name], without_the_edge(X, 1), labels)
    assert area["low"] <= 0.5 <= area["high"]
    assert skill.low <= 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_nets_find_edges_and_seldom_see_what_is_not_there(name: str) -> None:
    """20 markets with an edge and 40 without: intervals of 95% err on one side in 2.5%."""
    hits = misses = 0
    for seed in range(60):
        bars = bp.simulate_candles(900 + seed, bars=12_000, edge=0.2)
        labels = bp.labels.horizon(bars, bars=4, kind="binary")
        X = table(bars, seed=seed)
        if seed < 20:
            area, skill, _ = verdict(NETS[name], X, labels, LONG)
            hits += area["low"] > 0.5 and skill.low > 0.0
        else:
            area, skill, _ = verdict(NETS[name], without_the_edge(X, seed), labels, LONG)
            misses += area["low"] > 0.5
    assert hits >= 18
    # Exact 99.9% bound of 40 draws at 5%: percentile intervals of blocks are a little short.
    assert misses <= stats.binom.ppf(0.999, 40, 0.05)


REAL = "binanceum_btcusdt_5m.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="BARPROOF_DATA names no data folder")
@pytest.mark.parametrize("name", ["feed", "lstm", "bars", "cross"])
def test_a_walk_forward_over_real_bars_ends_in_a_report(name: str, tmp_path: Path) -> None:
    """BTC, 5 minutes, four months: features, folds, net, choice of rules, audits, page."""
    funding = Path(FOLDER) / "binanceum_btcusdt_funding.parquet"
    bars = bp.read_candles(
        Path(FOLDER) / REAL, instrument="perpetual", symbol="BTCUSDT", funding=funding
    )
    features = bp.FeatureSet(
        [
            "log_return(1)", "log_return(12)", "rsi(14)", "macd(12, 26, 9).hist",
            "bbands(20, 2).position", "atr_ratio(14)", "volume_zscore(48)", "time_of_day()",
        ]
    )  # fmt: skip
    X = features.compute(bars)
    labels = bp.labels.horizon(bars, bars=24, threshold=0.002)
    net = replace(NETS[name], batch=256, epochs=8, learning_rate=0.003)
    folds = bp.WalkForward(train="40d", tune="12d", test="12d")
    run = quiet(net, X, labels, folds, seed=7)
    assert len(run.bundles) == 5
    grid = bp.Grid(
        bp.Rules(max_hold=48), {"entry_long": [0.3, 0.35, 0.4], "entry_short": [0.3, 0.35, 0.4]}
    )
    costs = bp.Costs(taker=0.0005, slippage=0.0001)
    oos = bp.walk_forward_optimise(run, grid, costs=costs, metric="sharpe", ledger=False)
    report = bp.audit(
        candles=bars, features=features, run=run, signals=run.signals(), result=oos, ledger=False
    )
    path = write_report(tmp_path / "report.html", result=oos, audit=report, run=run)
    text = path.read_text(encoding="utf-8")
    assert "How the models learned" in text
    assert report.verdict in {"sound", "nothing proved", "refuted"}
    # Nets look back over a window and sum in single precision: neither is a look ahead.
    assert next(f.outcome for f in report.findings if f.id == "SPL-07") == "pass"
    skill = skill_pooled(forecasts(run)[0])
    assert skill is not None
    worth = f"skill {skill.skill:.4f} [{skill.low:.4f}, {skill.high:.4f}]"
    traded = f"{oos.metrics['trades']} trades, return {oos.metrics['total_return']:.4f}"
    print(name, report.verdict, worth, traded)
    # Test rows of folds stand side by side, each predicted once.
    assert run.predictions("test")["row"].is_unique().all()
