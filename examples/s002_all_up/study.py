"""S002: one hundred percent accuracy, because every label is 1.

An LSTM and XGBoost, averaged, on 10 features of hourly ETH: 51,980 bars, split by date into 35,041, 8,784 and 8,155.
The broken study takes a price for its target, so that every label is "up"; it holds 200 funding records for six years,
its parts touch, its features are chosen by folds without an embargo, and it prints an accuracy of 100%.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import models
from examples import casework
from examples.casework import Case

CODES = ("LAB-01", "LAB-02", "PRED-06", "CLM-07", "SPL-02", "SPL-03", "DATA-02")
STEPS = {
    "1 files": ("CKP-05", "CLM-01"),
    "2 configuration": ("CKP-01", "SPL-05"),
    "3 data": ("DATA-01", "DATA-02", "DATA-06"),
    "4 split": ("SPL-01", "SPL-02", "SPL-03"),
    "5 features": ("PAR-01", "PAR-07", "SPL-07"),
    "6 architecture": ("CKP-03", "CKP-07"),
    "results": ("LAB-01", "LAB-02", "PRED-06", "CLM-07"),
}
"""The six steps by which the case verified its training, and the look at the results that it lacked."""

FEATURES = [
    *("log_return(1)", "log_return(6)", "rsi(14)", "rsi(48)", "macd(12, 26, 9).hist"),
    *("bbands(20, 2).position", "atr_ratio(14)", "ema_ratio(24)", "volume_zscore(48)"),
    *("taker_imbalance()", "ema(taker_imbalance(), 6)", "ema(taker_imbalance(), 24)"),
    *("realised_volatility(24)", "time_of_day()"),
]
"""Candidates, of which 10 are chosen."""

PARTS = {"full": (35_041, 8_784, 8_155), "small": (12_000, 4_000, 8_000)}
HORIZON = 3
EDGE = 0.4


def market(case: Case) -> bp.Candles:
    """Hourly ETH, or a simulated market with an edge that features can find."""
    bars = sum(PARTS[case.told.size])
    if case.data is None:
        return bp.simulate_candles(
            case.seed, bars=bars, interval="1h", edge=case.edge(EDGE), price=1_500.0
        )
    return bp.read_candles(
        case.data / "binanceum_ethusdt_1h.parquet",
        instrument="perpetual",
        funding=case.data / "binanceum_ethusdt_funding.parquet",
    )[-bars:]


def candidates(candles: bp.Candles) -> bp.FeatureSet:
    """Leave out what takers did where the candles do not tell."""
    told = "taker_buy_volume" in candles.extra
    return bp.FeatureSet([name for name in FEATURES if told or "taker" not in name])


def starts(case: Case, candles: bp.Candles) -> tuple[int, int]:
    """First row of validation, and of test."""
    _, tune, test = PARTS[case.told.size]
    return len(candles) - tune - test, len(candles) - test


def net(case: Case) -> models.Ensemble:
    """Make the case's two models, averaged; small ones for a run of seconds."""
    if case.full:
        lstm = models.LstmClassifier(epochs=5, patience=2, resume=case.resume("lstm"))
        return models.Ensemble([lstm, models.XGBoost()])
    small = models.LstmClassifier(
        hidden=8, layers=1, epochs=4, learning_rate=0.005, resume=case.resume("lstm")
    )
    return models.Ensemble([small, models.XGBoost(n_estimators=40, max_depth=3)])


def study(case: Case) -> bp.Report:
    """Train, predict the test rows, publish an accuracy, and audit all of it."""
    report = broken(case) if case.broken else mended(case)
    case.say()
    for step, codes in STEPS.items():
        told = {code: report[code].outcome for code in codes if code in report}
        case.say(f"{step:16} " + ", ".join(f"{code} {outcome}" for code, outcome in told.items()))
    return report


def broken(case: Case) -> bp.Report:
    """Do it as the case did."""
    whole = market(case)
    columns = ["open_time", "open", "high", "low", "close", "volume", *whole.extra]
    assert whole.funding is not None
    times = whole.to_polars()["open_time"]
    since = whole.funding.filter(pl.col("funding_time") >= times[0])
    candles = bp.read_candles(
        whole.to_polars().select(columns),
        instrument="perpetual",
        symbol=whole.symbol,
        interval="1h",
        funding=since[: min(200, len(whole) // 100)],  # what one request gave
    )
    tune, test = starts(case, candles)
    rows = np.arange(len(candles))
    # target_col="close": a price where a move was meant.
    values = (candles.close > 0).astype(float)
    rule = {"name": "target_col", "column": "close"}
    labels = bp.labels.Labels(values, rows + 1, rows + HORIZON, "binary", rule, candles)
    rose = int((np.diff(candles.close[test:]) > 0).sum())
    up = int(values[test:].sum())
    case.say(f"test rows: {up:,} of {len(rows) - test:,} labels are 1; {rose:,} closes rose")

    features = candidates(candles)
    X = features.compute(candles)  # noqa: N806
    parts = [bp.Fold(0, rows[:tune], rows[tune:test], rows[test:])]  # no gap
    try:
        bp.train(net(case), X, labels, parts, seed=case.seed, progress=False)
    except bp.TrainingError as error:
        case.say(f"bp.train refuses: {error}")

    # The script of the case went on: features by five folds that touch, then both models.
    known = np.isfinite(X.drop("open_time").to_numpy()).all(axis=1)
    usable = np.flatnonzero(known)
    folds = [(np.setdiff1d(usable, fold), fold) for fold in np.array_split(usable, 5)]
    chosen = _by_folds(X.drop("open_time"), values, folds)
    case.say(f"10 of {len(features.names)} features by 5 folds, among them {', '.join(chosen[:3])}")
    p = case.pickled(
        "forecasts",
        lambda: _both(
            X.select(chosen).to_numpy(), values, usable[usable < tune], rows[test:], case
        ),
    )
    right = float(np.mean((p > 0.5) == values[test:]))
    case.say(
        f"accuracy {right:.2%}, interval [{right:.0%}, {right:.0%}]: PASS, as the case printed it"
    )
    case.figures["accuracy"] = right
    return bp.audit(
        candles=candles,
        labels=labels,
        folds=parts,
        predictions=pl.DataFrame({"p_0": 1 - p, "p_1": p, "label": values[test:]}),
        claims=[
            {
                "id": "accuracy",
                "value": f"{100 * right:.0f}",
                "unit": "percent",
                "metric": "accuracy",
            }
        ],
        more={"SPL-03": {"folds": folds, "labels": labels}},
        seed=case.seed,
    )


def _by_folds(X: pl.DataFrame, y: Any, folds: Any) -> list[str]:  # noqa: N803
    """Ten columns whose correlation with the label holds from train to test rows of each fold."""

    def score(x: Any) -> float:
        told = [[_correlation(x[part], y[part]) for part in fold] for fold in folds]
        return float(np.mean([np.sign(a) * b for a, b in told]))

    return sorted(X.columns, key=lambda name: -score(X[name].to_numpy()))[:10]


def _correlation(x: Any, y: Any) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else 0.0


def _both(x: Any, y: Any, train: Any, asked: Any, case: Case) -> Any:
    """Average an LSTM over 20 bars and XGBoost, as a script without checks does."""
    import torch
    import xgboost

    torch.set_num_threads(1)
    torch.manual_seed(case.seed)
    scaled = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    table = torch.tensor(np.nan_to_num(scaled), dtype=torch.float32)
    target = torch.tensor(y, dtype=torch.float32)
    width, layers = (128, 2) if case.full else (8, 1)
    lstm = torch.nn.LSTM(10, width, layers, batch_first=True)
    head = torch.nn.Sequential(torch.nn.Linear(width, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    steps = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=1e-3)

    def logits(rows: Any) -> Any:
        windows = table[torch.tensor(rows[:, None] + np.arange(-19, 1))]
        return head(lstm(windows)[0][:, -1])[:, 0]

    for epoch in range(2):
        order = np.random.default_rng([case.seed, epoch]).permutation(train[train >= 19])
        for first in range(0, len(order), 256):
            rows = order[first : first + 256]
            loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(
                logits(rows), target[rows]
            )
            steps.zero_grad()
            loss.backward()
            steps.step()
    with torch.no_grad():
        by_net = torch.cat([torch.sigmoid(logits(part)) for part in np.array_split(asked, 16)])
    trees = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "base_score": 0.5, "nthread": 1},
        xgboost.DMatrix(x[train], y[train]),
        num_boost_round=50,
    )
    return (by_net.numpy() + trees.predict(xgboost.DMatrix(x[asked]))) / 2


def mended(case: Case) -> bp.Report:
    """Do it with labels that are moves, whole funding, gaps, and an interval beside the accuracy."""
    candles = market(case)
    case.write(candles)
    tune, test = starts(case, candles)
    rows = np.arange(len(candles))
    labels = bp.labels.horizon(candles, bars=HORIZON, kind="binary")
    gap = 2 * HORIZON
    fold = bp.Fold(0, rows[: tune - gap], rows[tune : test - gap], rows[test:])
    features = candidates(candles)
    X = features.compute(candles)  # noqa: N806
    run = bp.train(
        net(case), X, labels, [fold], select=models.TopK(10), seed=case.seed, progress=False
    )
    bundle = run.bundles[0]
    path = bundle.save(case.out / "bundle")
    case.say(
        f"10 of {len(features.names)} features by train rows: {', '.join(bundle.features[:3])}, ..."
    )

    judged = bp.evaluate(bundle, candles, start=test, seed=case.seed)
    half = bp.evaluate(bundle, candles, start=(test + len(candles)) // 2, seed=case.seed)
    case.say(
        "metric of the test rows, 95% interval, and what a constant scores; the same of their later half"
    )
    for told, later in zip(
        judged.frame.iter_rows(named=True), half.frame.iter_rows(named=True), strict=True
    ):
        case.say(
            f"{told['metric']:9} {told['value']:.4f} [{told['low']:.4f}, {told['high']:.4f}] "
            f"{told['baseline']:.4f}   {later['value']:.4f} [{later['low']:.4f}, {later['high']:.4f}]"
        )
    return bp.audit(
        candles=candles,
        features=features,
        run=run,
        claims=published(case, judged),
        more={"CKP-03": _shapes(path, net(case).models[0])},
        seed=case.seed,
    )


def published(case: Case, judged: Any) -> str:
    """Write the accuracy as a claim: with interval, n, and what needs no skill."""
    told = judged.frame.row(by_predicate=pl.col("metric") == "accuracy", named=True)
    file = case.out / "evaluation.json"
    file.write_text(json.dumps({"accuracy": told["value"]}))
    claim = {
        "id": "accuracy",
        "value": f"{told['value']:.4f}",
        "unit": "fraction",
        "quantity": "accuracy",
        "artefact": file.name,
        "pointer": "/accuracy",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "system": "s002",
        "n": told["n"],
        "low": round(told["low"], 4),
        "high": round(told["high"], 4),
        "null": round(told["baseline"], 4),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in claim.items()]
    records = case.out / "claims.toml"
    records.write_text("\n".join(['system = "s002"', "[[claim]]", *lines]) + "\n")
    return str(records)


def _shapes(bundle: Any, lstm: Any) -> dict[str, Any]:
    """Shapes of the LSTM's weights in the bundle, and of one built from its description."""
    from safetensors.numpy import load_file

    stored = load_file(bundle / "model.m0.weights.safetensors")
    built = lstm.module(10, 2).state_dict()
    return {
        "stored": {name: array.shape for name, array in stored.items()},
        "built": {name: tuple(array.shape) for name, array in built.items()},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study from the command line."""
    return casework.main(
        study, codes=CODES, doc=__doc__, edge=True, extras=["torch", "xgboost"], argv=argv
    )


if __name__ == "__main__":
    raise SystemExit(main())
