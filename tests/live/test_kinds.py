"""Every kind of model, stepped: it says live what it says in batch, and the trades are those of the backtest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.naive_bayes import GaussianNB

import barproof as bp
from barproof import models
from tests.live.market import COSTS, folder, signals_of
from tests.live.test_session import assert_trades_equal
from tests.models.market import quiet
from tests.tolerances import SINGLE


def linear(features: int, outputs: int) -> Any:
    """A module of one's own."""
    from torch import nn

    return nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, outputs))


START, STOP = 900, 1_020
NAMES = ["log_return(1)", "rsi(14)", "atr_ratio(14)", "rsi(14)@1h"]
RULES = bp.Rules(entry_long=0.5, entry_short=0.5, stop_loss=0.01, max_hold=8)
NET: dict[str, Any] = {"epochs": 2, "batch": 64, "learning_rate": 0.01}
TRANSFORMER: dict[str, Any] = {"window": 4, "d_model": 16, "heads": 4, "feed_forward": 16, **NET}
KINDS: dict[str, Any] = {
    "logistic": models.Logistic(),
    "boosting": models.GradientBoosting(max_iter=10, min_samples_leaf=20),
    "xgboost": lambda: models.XGBoost(n_estimators=10),
    "lightgbm": lambda: models.LightGBM(n_estimators=10),
    "feed": models.FeedForward(hidden=(16, 8), **NET),
    "lstm": models.LstmClassifier(hidden=8, layers=1, window=4, **NET),
    "bars": models.BarTransformer(layers=1, **TRANSFORMER),
    "ensemble": models.Ensemble(
        [models.Logistic(), models.GradientBoosting(max_iter=5, min_samples_leaf=20)]
    ),
    "folds": lambda: models.FoldEnsemble(models.Logistic()),
    "wrapped": lambda: models.Sklearn(GaussianNB()),
    "own": models.Torch(factory=linear, label="linear", **NET),
}
MARKETS = ["BTC", "ETH"]


def scores(
    candles: bp.Candles, model: Any, kind: Any, **label: Any
) -> tuple[bp.Bundle, pl.DataFrame]:
    X = bp.FeatureSet(NAMES).compute(candles)
    labels = bp.labels.horizon(candles, bars=3, kind=kind, **label) if kind == "binary" else (
        bp.labels.horizon(candles, bars=3, **label)
    )  # fmt: skip
    run = quiet(model, X, labels, bp.WalkForward(600, 150, tune=150))
    return run.bundles[0], X


def assert_live_is_batch(
    bundle: bp.Bundle, X: pl.DataFrame, books: Any, symbol: str, rules: bp.Rules = RULES
) -> None:
    """Step some bars, and hold probabilities and trades against batch."""
    of = books[symbol] if isinstance(books, dict) else books
    history = (
        {name: one[:START] for name, one in books.items()}
        if isinstance(books, dict)
        else of[:START]
    )
    with folder() as state:
        live = bp.LiveSession({symbol: bundle}, rules, costs=COSTS, state=state, candles=history)
        decisions = []
        for i in range(START, STOP):
            bars = (
                {name: one[i] for name, one in books.items()} if isinstance(books, dict) else of[i]
            )
            found = live.on_bar(bars)
            decisions.append(found[symbol] if isinstance(found, dict) else found)
        live.close()
        part = bundle.part()
        found = bundle.predict(X)[START:STOP]
        column = {"regression": 0, "binary": 1, "ternary": 2}[part.kind]
        said = np.array([d.p_long for d in decisions], dtype=float)
        assert not np.isnan(said).any()
        scale = 1.0 if part.classes else np.abs(found).max()
        assert np.abs(said - found[:, column]).max() <= SINGLE * scale
        kind = "score" if part.kind == "regression" else "probability"
        signals = signals_of(decisions, STOP, START, kind)
        result = bp.backtest(
            of[:STOP],
            signals,
            rules,
            costs=COSTS,
            window=(START, STOP),
            engine="replay",
            ledger=False,
        )
        assert_trades_equal(state, result)
        marks = result.equity["equity"].to_list()
        assert [d.equity for d in decisions][:-1] == marks[:-1]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_model(name: str) -> None:
    made = KINDS[name]
    if name in ("feed", "lstm", "bars", "own"):
        pytest.importorskip("torch")
    if name in ("xgboost", "lightgbm"):
        pytest.importorskip(name)
    of = bp.simulate_candles(7, bars=1_200, edge=0.3)
    bundle, X = scores(of, made() if callable(made) else made, "binary")
    rules = RULES
    said = bundle.predict(X)[START:STOP, 1]
    # Some nets say nearly the same at every bar: the threshold that half of them pass makes trades.
    rules = replace(rules, entry_long=float(np.median(said)), entry_short=None)
    assert_live_is_batch(bundle, X, of, of.symbol, rules)


@pytest.mark.parametrize("kind", ["ternary", "regression"])
def test_three_classes_and_returns(kind: str) -> None:
    of = bp.simulate_candles(7, bars=1_200, edge=0.3)
    label = {"threshold": 0.001} if kind == "ternary" else {}
    bundle, X = scores(of, models.GradientBoosting(max_iter=10, min_samples_leaf=20), kind, **label)
    assert bundle.part().kind == kind
    said = bundle.predict(X)[START:STOP]
    up = float(np.median(said[:, 0 if kind == "regression" else 2]))
    assert_live_is_batch(bundle, X, of, of.symbol, replace(RULES, entry_long=up, entry_short=None))


def test_the_cross_market_model_on_simulated_markets() -> None:
    """One symbol is traded, bars of both are needed, and both come at one bar clock."""
    pytest.importorskip("torch")
    books = bp.simulate_candles(7, bars=1_200, edge=0.3, symbols=MARKETS)
    features = bp.FeatureSet(["log_return(1)", "rsi(14)"]).on(MARKETS)
    X = features.compute(books, symbol="BTC")
    labels = bp.labels.horizon(books["BTC"], bars=3, kind="binary")
    net = models.CrossMarketTransformer(steps=2, encoders=1, decoders=1, **TRANSFORMER)
    bundle = quiet(net, X, labels, bp.WalkForward(600, 150, tune=150)).bundles[0]
    said = bundle.predict(X)[START:STOP, 1]
    rules = replace(RULES, entry_long=float(np.median(said)), entry_short=None)
    assert_live_is_batch(bundle, X, books, "BTC", rules)
