"""Case S003: a transformer that answered the same to everything, and labels that were not worth learning.

``python -m examples.s003_flat.study --broken`` (or ``--mended``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof.audits import Waiver, apply_waivers
from examples import casework
from examples.casework import Case

CODES = "PRED-01 PRED-11 PRED-12 LAB-03 LAB-04 LAB-05 DATA-04".split()
BARS = {"full": 293_917, "small": 60_000}
COSTS = bp.Costs(taker=0.0005, slippage=0.0001)
ROUND_TRIP = 2 * (COSTS.taker + COSTS.slippage)
BARS_SEEN = (
    "log_return(1)",
    "log_return(12)",
    "rsi(14)",
    "ema_ratio(20)",
    "stoch(14, 3, 3).k",
    "bbands(20, 2).position",
)
FLOW = ("taker_imbalance()", "ema(taker_imbalance(), 6)", "ema(taker_imbalance(), 24)")
VOLATILITY = ("atr_ratio(14)", "volume_zscore(48)")
EPOCHS = 2
"""Of the full size, where the case took 25."""
EDGE = {"broken": 0.0, "mended": 0.3}
"""What there is to learn in either market; bars, volatility, volume and chance are the same in both."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What the net is asked: labels of one cell of the sweep, and the volume below which a bar is left out."""

    labels: Any
    unfiltered: Any
    horizon: int
    threshold: float
    least: float
    sweep: Any
    cell: int


def market(case: Case) -> bp.Candles:
    """Bars of a share; simulated: as lively as a share, with as much to learn as is asked for."""
    if case.data is not None:
        return bp.read_candles(case.data / "us_spy_1h.parquet", instrument="equity")
    made = bp.simulate_candles(
        case.seed,
        bars=BARS[case.told.size],
        edge=case.edge(EDGE[case.told.variant]),
        annual_volatility=0.18,
    )
    return bp.read_candles(
        made.to_polars(), instrument="equity", symbol="SHARE", interval="5m", calendar="24/7"
    )


def asked(case: Case, candles: bp.Candles, table: Any) -> Asked:
    """Sweep horizon, threshold and least volume; the case took a cell that no model can learn, nor anybody pay."""
    least = [float(np.quantile(candles.volume, share)) for share in (0.82, 0.3)]
    horizons = [2, 3] if case.broken else [18, 24]
    thresholds = [0.0005, 0.001] if case.broken else [0.0013, 0.0016]
    found = bp.labels.sweep(
        candles,
        costs=COSTS,
        bars=horizons,
        threshold=thresholds,
        kind="binary",
        min_volume=least if case.broken else least[1:],
        features=table,
    )
    cells = found.frame
    case.say(f"{cells.height} label rules swept; share of positives, moves over costs, skill:")
    for row in cells.iter_rows(named=True):
        case.say(
            f"  {row['bars']:2} bars, {row['threshold']:.4f}: {row['positive_share']:.1%} positive, "
            f"{row['kept_share']:.0%} kept, moves {row['move_to_cost']:.1f} x costs, AUC {row['auc']:.3f}"
        )
    if case.broken:
        chosen = cells.filter(
            (pl.col("bars") == 2)
            & (pl.col("threshold") == 0.001)
            & (pl.col("min_volume") == least[0])
        )
    else:
        # The share that was wanted, and a move worth its costs; of these the one that is learned best.
        worth = cells.filter(pl.col("threshold") > ROUND_TRIP)
        wanted = worth.filter(pl.col("positive_share").is_between(0.25, 0.35))
        nearest = worth.sort((pl.col("positive_share") - 0.3).abs()).head(1)
        chosen = (wanted if wanted.height else nearest).sort("auc", descending=True)
    row = chosen.row(0, named=True)
    plain = bp.labels.horizon(candles, bars=row["bars"], threshold=row["threshold"], kind="binary")
    labels = found.labels(row["cell"])
    return Asked(
        labels, plain, row["bars"], row["threshold"], row["min_volume"], found, row["cell"]
    )


def net(case: Case) -> Any:
    """Give the net of the case, or the smaller one."""
    if case.broken:
        # One way to flatness of many: a weight decay that takes all weights to 0 within an epoch.
        wide: dict[str, Any] = {"window": 48, "d_model": 128, "heads": 8, "layers": 3}
        small: dict[str, Any] = {
            "window": 16,
            "d_model": 32,
            "heads": 4,
            "layers": 2,
            "feed_forward": 48,
        }
        return bp.models.BarTransformer(
            **(wide if case.full else small),
            epochs=EPOCHS if case.full else 4,
            batch=256 if case.full else 64,
            learning_rate=0.01,
            weight_decay=30.0,
            balanced=True,
            validation=0.0,
            resume=case.resume("net"),
        )
    less: dict[str, Any] = {
        "window": 12,
        "d_model": 16,
        "heads": 2,
        "layers": 1,
        "feed_forward": 32,
        "dropout": 0.0,
    }
    return bp.models.BarTransformer(
        **({} if case.full else less),
        epochs=EPOCHS if case.full else 4,
        batch=512 if case.full else 128,
        learning_rate=0.001 if case.full else 0.003,
        loss="focal" if case.full else "cross_entropy",
        label_smoothing=0.05,
        spread=0.05,
        resume=case.resume("net"),
    )


def study(case: Case) -> bp.Report:
    """Sweep labels, train the net, look whether it says anything."""
    candles = market(case)
    case.write(candles)
    names: tuple[str, ...] = BARS_SEEN if case.broken else (*BARS_SEEN, *VOLATILITY, *FLOW)
    if case.data is not None:
        names = tuple(name for name in names if name not in FLOW)
    table = bp.FeatureSet(list(names)).compute(candles)
    question = asked(case, candles, table)
    share = float(np.nanmean(question.labels.values))
    case.say(
        f"asked: {question.horizon} bars, more than {question.threshold:.2%}, volume from "
        f"{question.least:,.0f}: {share:.1%} positive of {int(question.labels.defined.sum()):,} bars"
    )
    n = len(candles)
    folds = bp.WalkForward(train=int(n * 0.6), tune=int(n * 0.15), test=int(n * 0.25))
    run = bp.train(
        net(case),
        table,
        question.labels,
        folds,
        seed=case.seed,
        calibrate=None if case.broken else "platt",
    )
    trained: Any = run.bundles[0].part().model
    told = trained.facts
    rows = run.predictions(part="test").drop_nulls("label")
    p = rows["p_1"].to_numpy()
    curve = [epoch["train"] for epoch in told["curve"]]
    case.say(
        f"{told['parameters']:,} parameters, {told['epochs']} epochs, loss {curve[0]:.4f} to {curve[-1]:.4f}, "
        f"{told['seconds']:.0f} s, {told['rows_per_second']:,.0f} rows a second"
    )
    case.say(f"predictions: mean {p.mean():.4f}, deviation {p.std():.2g}")
    case.figures |= {"deviation": float(p.std()), "mean": float(p.mean()), "positive": share}
    weight = float((1 - share) / share) if case.broken else 1.0
    report = bp.audit(
        more={
            "LAB-04": _learnable(question),
            "PRED-01": {"predictions": {"test": p}},
            "PRED-11": _asks(run, table),
            "PRED-12": {
                "predictions": p,
                "labels": rows["label"].to_numpy(),
                "weight": weight,
                "seed": case.seed,
            },
            "LAB-03": {"labels": question.labels.values},
            "LAB-05": {"threshold": question.threshold, "cost": ROUND_TRIP},
            "DATA-04": {
                "kept": candles.volume >= question.least,
                "labels": question.unfiltered.values,
            },
        },
    )
    accepted(case, report)
    return report


def _learnable(question: Asked) -> dict[str, Any]:
    """Skill of a cheap model in every cell, with the error of the sweep's own test, and the cell that is used."""
    frame = question.sweep.frame
    error = [
        (row["auc"] - 0.5) / -NormalDist().inv_cdf(min(max(row["p_value"], 1e-300), 1 - 1e-16))
        for row in frame.iter_rows(named=True)
    ]
    return {
        "cells": frame.with_columns(pl.Series("error", error)),
        "axes": ("bars", "threshold", "min_volume"),
        "chosen": question.cell,
    }


def _asks(run: Any, table: pl.DataFrame) -> dict[str, Any]:
    """Test rows, and how the net answers them; a prediction needs the window before it."""
    part, rows = run.bundles[0].part(), run.folds[0].test[:600]
    names = list(part.features)

    def answers(values: Any) -> Any:
        """Predictions of the rows that have a whole window, NaN before."""
        found = np.full(len(values), np.nan)
        at = np.arange(part.window - 1, len(values))
        found[at] = part.predict(values, rows=at)[:, 1]
        return found

    return {"predict": answers, "inputs": table.select(names)[rows]}


def accepted(case: Case, report: bp.Report) -> None:
    """Say what comes of the fix that was proposed: to turn the assertion into a warning."""
    flat = report["PRED-01"]
    if flat.outcome != "fail":
        return
    today = date.today()
    waiver = Waiver(
        code="PRED-01",
        reason="flat for now",
        owner="whoever signs",
        created=today,
        expires=today + timedelta(days=30),
        accepts=0.0 if flat.measured is None else float(flat.measured.value or 0.0),
    )
    again = apply_waivers(report, [waiver], today=today)
    case.say(
        f"with the flat forecast waived for 30 days the verdict is {again.verdict}: "
        f"{', '.join(f.id for f in again.failed() if f.waiver is None)} fail, and PRED-01 stays in the report"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study."""
    return casework.main(study, codes=CODES, doc=__doc__, edge=True, extras=["torch"], argv=argv)


if __name__ == "__main__":
    sys.exit(main())
