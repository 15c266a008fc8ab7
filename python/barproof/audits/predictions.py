"""Audits of the predictions: PRED-01, PRED-04 and PRED-05."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import FEW, audited, capped, made, matrix, numbers, plural, speaking
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ShapeError

__all__ = ["class_bias", "flat_predictions", "threshold_reachability"]

FLAT, NARROW = 1e-4, 1e-3
FEW_VALUES = 10
ONE_VALUE = 0.99
ONE_CLASS = 0.95
RATIO = (0.5, 2.0)
CALIBRATED = 0.10

Floats = NDArray[np.float64]


@audited
def flat_predictions(predictions: Any) -> Finding:
    """PRED-01: predictions vary.

    Parameters
    ----------
    predictions : array_like of shape (n,), or mapping of str to such
        Probabilities or scores, one group a fold, class or symbol; NaN is no prediction.

    Returns
    -------
    Finding
        By the flattest group. A group with fewer than 30 predictions is inconclusive.

    Examples
    --------
    >>> flat_predictions([0.1051] * 100).outcome
    'fail'
    """
    groups = predictions if isinstance(predictions, Mapping) else {"all": predictions}
    rows = []
    for name, values in groups.items():
        array = numbers("predictions", values)
        held = array[np.isfinite(array)]
        rows.append({"group": str(name), **_spread(held), "infinite": int(np.isinf(array).sum())})
    order = ["fail", "inconclusive", "warn", "pass"]
    rows.sort(
        key=lambda row: (order.index(row["outcome"]), row["sd"] if row["sd"] is not None else 0.0)
    )
    gate = Gate(
        ">=", NARROW, "case S003", "a forecast with skill varies some hundred times as much"
    )
    remedy = "look at labels (LAB-02, LAB-03) and scaling first; train on standardised features; keep the gate"
    if not rows:
        return made("PRED-01", "inconclusive", "no predictions", gate=gate, remedy=remedy)
    worst = rows[0]
    outcome: Outcome = worst["outcome"]
    same = sum(row["outcome"] == outcome for row in rows)
    if outcome == "inconclusive":
        title = f"{plural(worst['n'], 'prediction')} in {worst['group']}: too few for a spread"
    elif outcome == "pass":
        title = f"predictions vary in all {plural(len(rows), 'group')}: least SD {worst['sd']:.2g} ({worst['group']})"
    else:
        degree = "flat" if outcome == "fail" else "nearly flat"
        title = (
            f"predictions are {degree} in {same} of {plural(len(rows), 'group')}: SD {worst['sd']:.2g}, "
            f"{plural(worst['distinct'], 'value')}, {worst['top_share']:.1%} one value ({worst['group']})"
        )
    return made(
        "PRED-01",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("standard deviation", worst["sd"], form="population", n=worst["n"]), gate),
            (
                Measured("different values", worst["distinct"], "count", n=worst["n"]),
                Gate(">=", FEW_VALUES, "default", "a forecast of a few values is a rule"),
            ),
            (
                Measured("share of one value", worst["top_share"], "fraction", n=worst["n"]),
                Gate("<=", ONE_VALUE, "default", "one answer to nearly all rows is no forecast"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        cause=(
            "inputs on a wrong scale",
            "labels that cannot be learned (LAB-02)",
            "class weights or focal loss",
        ),
        remedy=remedy,
        scope={"group": worst["group"]},
    )


def _spread(values: Floats) -> dict[str, Any]:
    """Tell how much predictions vary, and what that means for the outcome."""
    n = len(values)
    if not n:
        return {"outcome": "inconclusive", "n": 0, "sd": None, "distinct": 0, "top_share": None}
    _, counts = np.unique(values, return_counts=True)
    # A constant must have no deviation, whatever the rounding of its mean.
    sd = float(np.std(values)) if len(counts) > 1 else 0.0
    top = float(counts.max() / n)
    outcome: Outcome = "pass"
    if n < FEW:
        outcome = "inconclusive"
    elif sd < FLAT or len(counts) < FEW_VALUES or top > ONE_VALUE:
        outcome = "fail"
    elif sd < NARROW:
        outcome = "warn"
    return {"outcome": outcome, "n": n, "sd": sd, "distinct": len(counts), "top_share": top}


@audited
def class_bias(predictions: Any, labels: Any, *, classes: Any = None) -> Finding:
    """PRED-04: forecasts of each class are as frequent as the class.

    Parameters
    ----------
    predictions : array_like of shape (n,) or (n, n_classes)
        Predicted classes, or probabilities of `classes`, whose likeliest is then predicted; NaN is no prediction.
    labels : array_like of shape (n,)
        Classes that came true; NaN is no label.
    classes : sequence of float, optional
        Of the columns of `predictions`, in order.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows with both.

    Raises
    ------
    ShapeError
        If rows or columns do not fit.

    Examples
    --------
    >>> class_bias([0, 1] * 50, [1, 0] * 50).outcome
    'pass'
    """
    y = numbers("labels", labels)
    given = np.asarray(predictions, dtype=np.float64)
    mean: dict[float, float] = {}
    if given.ndim == 2:
        p = matrix("predictions", given)
        names = (
            np.arange(p.shape[1], dtype=float) if classes is None else numbers("classes", classes)
        )
        if len(p) != len(y) or p.shape[1] != len(names):
            raise ShapeError(
                f"`predictions` of shape {p.shape} need {p.shape[0]:,} labels and {p.shape[1]} classes, "
                f"were given {len(y):,} and {len(names)}"
            )
        both = np.isfinite(p).all(axis=1) & np.isfinite(y)
        chosen = names[np.argmax(p[both], axis=1)] if bool(both.any()) else np.empty(0)
        mean = {float(c): float(p[both, k].mean()) for k, c in enumerate(names) if bool(both.any())}
    else:
        chosen = numbers("predictions", predictions)
        if len(chosen) != len(y):
            raise ShapeError(
                f"`predictions` hold {len(chosen):,} rows, but `labels` {len(y):,}: give one label a prediction"
            )
        both = np.isfinite(chosen) & np.isfinite(y)
        chosen = chosen[both]
        names = np.unique(np.r_[chosen, y[both]])
    y = y[both]
    n = len(y)
    gate = Gate("<", ONE_CLASS, "cases S001 and S002", "a forecast of one class is no forecast")
    remedy = "check labels (LAB-01, LAB-02) and inputs; recalibrate; judge decisions by their threshold (PRED-05)"
    if n < FEW:
        return made(
            "PRED-04",
            "inconclusive",
            f"{plural(n, 'row')} with prediction and label: too few for shares",
            measured=Measured("rows", n, "count"),
            gate=gate,
            remedy=remedy,
        )
    rows = []
    for c in np.union1d(names, np.unique(y)):
        k, base = int(np.sum(chosen == c)), float(np.mean(y == c))
        tail = stats.binomial_tail(k, n, base) if 0 < base < 1 else None
        rows.append(
            {
                "class": float(c),
                "predicted": k / n,
                "label": base,
                "ratio": (k / n) / base if base else None,
                "mean_probability": mean.get(float(c)),
                "log10_tail": tail,
            }
        )
    rows.sort(key=lambda row: -float(row["predicted"] or 0.0))
    top = rows[0]
    one = float(top["predicted"] or 0.0)
    outside = [
        row for row in rows if row["ratio"] is None or not RATIO[0] <= row["ratio"] <= RATIO[1]
    ]
    honest = bool(mean) and all(
        abs(float(row["mean_probability"] or 0.0) - float(row["label"] or 0.0)) <= CALIBRATED
        for row in rows
    )
    single = len(np.unique(y)) < 2
    outcome: Outcome = "pass"
    if one >= ONE_CLASS:
        outcome = "warn" if honest and not single else "fail"
    elif single:
        outcome = "inconclusive"
    elif outside:
        outcome = "warn"
    told = f"class {top['class']:g} is predicted in {one:.1%} of {n:,} rows and true in {top['label']:.1%}"
    if outcome == "warn" and one >= ONE_CLASS:
        told += "; mean probabilities agree with the labels"
    interval = stats.wilson(round(one * n), n)
    return made(
        "PRED-04",
        outcome,
        told,
        **speaking(
            outcome,
            (
                Measured(
                    "largest predicted share",
                    one,
                    "fraction",
                    form="likeliest class",
                    low=interval.low,
                    high=interval.high,
                    level=0.95,
                    method="wilson",
                    n=n,
                ),
                gate,
            ),
            (
                Measured("classes forecast too often or too seldom", len(outside), "count", n=n),
                Gate("=", 0, "cases S001 and S002", "half to twice its share is near enough"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        cause=("labels of one class", "unscaled inputs", "class weights without calibration"),
        remedy=remedy,
        scope={"class": top["class"]},
        assumptions={"independent rows": "unchecked"},
    )


@audited
def threshold_reachability(sides: Mapping[str, tuple[Any, Any]], *, folds: Any = None) -> Finding:
    """PRED-05: the decision rule can fire.

    Parameters
    ----------
    sides : mapping of str to (array_like of shape (n,), float or array_like of shape (n,))
        Probabilities or scores of each side, and the threshold that they must reach; thresholds may change from bar to
        bar, NaN where the side is off.
    folds : array_like of shape (n,), int, optional
        Number of the fold of each bar, -1 for bars outside. Default: all bars are one.

    Returns
    -------
    Finding
        Inconclusive where no bar has both a value and a threshold.

    Raises
    ------
    ShapeError
        If lengths differ.

    Examples
    --------
    >>> threshold_reachability({"long": ([0.1, 0.15] * 50, 0.75)}).outcome
    'fail'
    """
    rows: list[dict[str, Any]] = []
    for side, (values, threshold) in sides.items():
        p = numbers(side, values)
        bound = (
            np.broadcast_to(np.asarray(threshold, dtype=np.float64), p.shape)
            if np.ndim(threshold) == 0
            else numbers("threshold", threshold)
        )
        part = np.zeros(len(p), np.int64) if folds is None else np.asarray(folds, dtype=np.int64)
        if len(bound) != len(p) or len(part) != len(p):
            raise ShapeError(
                f"values, thresholds and folds of `{side}` must have one length, had {len(p):,}, {len(bound):,} and "
                f"{len(part):,}"
            )
        usable = np.isfinite(p) & np.isfinite(bound) & (part >= 0)
        for fold in np.unique(part[usable]):
            some = usable & (part == fold)
            rows.append(_reach(side, int(fold), p[some], bound[some]))
    gate = Gate(
        ">", 0, "case S004", "a threshold above every value gives no trade, and shows nothing"
    )
    remedy = "set thresholds from the quantiles of calibrated predictions on tune rows"
    n = sum(row["n"] for row in rows)
    if n < FEW:
        return made(
            "PRED-05",
            "inconclusive",
            f"{plural(n, 'bar')} with a value and a threshold: too few to say",
            measured=Measured("bars", n, "count"),
            gate=gate,
            evidence=capped(rows, len(rows)),
            remedy=remedy,
        )
    fired = sum(row["reached"] for row in rows)
    highest = max(rows, key=lambda row: row["max"] - row["threshold"])
    dead = [
        s
        for s in sides
        if any(r["side"] == s for r in rows)
        and not any(r["reached"] for r in rows if r["side"] == s)
    ]
    silent = [row for row in rows if not row["reached"]]
    rows.sort(key=lambda row: row["max"] - row["threshold"])
    worst = rows[0]
    outcome: Outcome = "fail" if not fired else "warn" if silent else "pass"
    if not fired:
        title = (
            f"the highest value is {highest['max']:.4g} against a threshold of {highest['threshold']:.4g}: "
            f"0 of {n:,} bars can trade (at most {stats.upper_bound(0, n):.1e} of them, 95%)"
        )
    elif dead:
        title = f"`{dead[0]}` never reaches its threshold: highest {worst['max']:.4g}, needed {worst['threshold']:.4g}"
    elif silent:
        title = (
            f"in {len(silent)} of {len(rows)} folds and sides no value reaches its threshold, first fold "
            f"{worst['fold']} ({worst['side']}): highest {worst['max']:.4g}, needed {worst['threshold']:.4g}"
        )
    else:
        title = f"{fired:,} of {n:,} values reach their threshold, in every fold"
    return made(
        "PRED-05",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured(
                    "share at or above threshold",
                    fired / n,
                    "fraction",
                    high=stats.upper_bound(fired, n),
                    level=0.95,
                    method="exact, one-sided",
                    n=n,
                ),
                gate,
            ),
            (
                Measured("folds and sides that never fire", len(silent), "count", n=len(rows)),
                Gate("=", 0, "case S004", "a fold without a trade shows nothing"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        cause=(
            "thresholds of calibrated values applied to raw ones",
            "too little data (few positives)",
        ),
        remedy=remedy,
        scope={"fold": worst["fold"], "side": worst["side"]},
        assumptions={"independent bars": "unchecked"},
    )


def _odds(highest: float, threshold: float) -> dict[str, float]:
    """Logits of the highest value and of the threshold, and how far their odds are apart, where both are chances."""
    if not (0 < highest < 1 and 0 < threshold < 1):
        return {}
    logits = [math.log(p) - math.log1p(-p) for p in (highest, threshold)]
    return {
        "logit_max": logits[0],
        "logit_threshold": logits[1],
        "odds_apart": math.exp(logits[1] - logits[0]),
    }


def _reach(side: str, fold: int, p: Floats, bound: Floats) -> dict[str, Any]:
    """One row of evidence: how often a side's predictions reach its threshold."""
    reached = int(np.sum(p >= bound))
    q = np.quantile(p, [0.5, 0.9, 0.99, 0.999])
    return {
        "side": side,
        "fold": fold,
        "n": len(p),
        "threshold": float(bound.min()),
        "max": float(p.max()),
        **_odds(float(p.max()), float(bound.min())),
        "reached": reached,
        "share": reached / len(p),
        "upper": stats.upper_bound(reached, len(p)),
        **{f"q{name}": float(v) for name, v in zip((50, 90, 99, 999), q, strict=True)},
    }
