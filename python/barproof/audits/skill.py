"""Audits of skill: PRED-06, and PRED-11 to PRED-14."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    auc,
    audited,
    capped,
    made,
    matrix,
    numbers,
    plural,
    same_rows,
    speaking,
    table,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "ClassScores",
    "class_scores",
    "consistency",
    "input_sensitivity",
    "loss_against_constant",
    "prediction_noise",
    "skill_over_baselines",
]

TINY = 1e-12
MOVES = 1e-6
FLIPS = 2.0
BELOW = 0.40
SMOOTH = 5

Floats = NDArray[np.float64]


def both_known(predictions: Any, labels: Any) -> tuple[Floats, NDArray[np.int64], int, int]:
    """Probabilities of each class and the number of the true class, of rows with both; classes, and rows left out."""
    given = np.asarray(predictions, dtype=np.float64)
    p = (
        matrix("predictions", given)
        if given.ndim == 2
        else numbers("predictions", predictions)[:, None]
    )
    y = numbers("labels", labels)
    n = same_rows(predictions=p, labels=y)
    if p.shape[1] == 1:
        p = np.column_stack([1 - p, p])
    good = np.isfinite(p).all(axis=1) & np.isfinite(y) & (y >= 0) & (y < p.shape[1])
    return p[good], y[good].astype(np.int64), p.shape[1], n - int(good.sum())


class ClassScores(NamedTuple):
    """How chosen classes agree with the true ones.

    Attributes
    ----------
    accuracy, balanced_accuracy : float
        Share of rows that are right, and its mean over the true classes.
    kappa : float
        Cohen's: accuracy beyond what the shares of both give by chance, over the most there could be.
    mcc : float
        Matthews' correlation (Gorodkin's, for more than two classes).
    proves : bool
        False where one side holds a single class: kappa and mcc are then 0 by convention, or NaN, and say nothing.
    """

    accuracy: float
    balanced_accuracy: float
    kappa: float
    mcc: float
    proves: bool


def class_scores(chosen: Any, labels: Any) -> ClassScores:
    """Score chosen classes: accuracy, balanced accuracy, kappa and Matthews' correlation.

    Parameters
    ----------
    chosen : array_like of shape (n,)
        Class that was forecast, as a number; NaN is none.
    labels : array_like of shape (n,)
        Class that came true; NaN is none.

    Returns
    -------
    ClassScores
        Over rows with both; NaN throughout without any, kappa NaN where both sides hold one and the same class.

    Notes
    -----
    scikit-learn gives 0 for kappa and Matthews' correlation of a forecast that never changes. So do we, and `proves`
    says that it is no evidence.

    Examples
    --------
    >>> class_scores([1] * 50, [1] * 26 + [0] * 24)
    ClassScores(accuracy=0.52, balanced_accuracy=0.5, kappa=0.0, mcc=0.0, proves=False)
    """
    a, b = numbers("chosen", chosen), numbers("labels", labels)
    same_rows(chosen=a, labels=b)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    n = len(a)
    if not n:
        return ClassScores(math.nan, math.nan, math.nan, math.nan, False)
    names = np.union1d(a, b)
    said = np.array([np.sum(a == c) for c in names], np.float64)
    true = np.array([np.sum(b == c) for c in names], np.float64)
    hits = np.array([np.sum((a == c) & (b == c)) for c in names], np.float64)
    right, chance = float(hits.sum()), float(said @ true)
    there = true > 0
    balanced = float(np.mean(hits[there] / true[there]))
    kappa = (right * n - chance) / (n * n - chance) if chance < n * n else math.nan
    size = (n * n - float(said @ said)) * (n * n - float(true @ true))
    mcc = (right * n - chance) / math.sqrt(size) if size > 0 else 0.0
    proves = len(np.unique(a)) > 1 and len(np.unique(b)) > 1
    return ClassScores(right / n, balanced, kappa, mcc, proves)


@audited
def skill_over_baselines(
    predictions: Any, labels: Any, *, span: int = 1, claimed: bool = False, seed: int = 0
) -> Finding:
    """PRED-06: a forecast beats what needs no model.

    Parameters
    ----------
    predictions : array_like of shape (n,) or (n, n_classes)
        Probabilities of class 1, or of each class, in time order.
    labels : array_like of shape (n,)
        Number of the class that came true; NaN is none.
    span : int, default 1
        Bars after which a label is known, for the forecast "as the last known one".
    claimed : bool, default False
        Whether skill is claimed: then a failure to show it is a failure.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        By log loss against the base rate and accuracy against the best of majority and last class, each with a 97.5%
        interval by the stationary bootstrap. Inconclusive for fewer than 30 rows, or one class.
    """
    p, y, classes, _ = both_known(predictions, labels)
    n = len(y)
    gate = Gate(
        "interval >",
        0,
        "cases S000, S002 and S003",
        ("accuracy means something beside the majority class, not beside 50%"),
    )
    remedy = (
        "look at labels (LAB-02, LAB-04) and features; a model without skill has nothing to trade"
    )
    if n < FEW or len(np.unique(y)) < 2 or np.all(np.ptp(p, axis=0) == 0):
        return unable(
            "PRED-06", f"{plural(n, 'row')}, or one class, or one forecast", remedy, gate=gate
        )
    base = np.bincount(y, minlength=classes) / n
    right = (p.argmax(axis=1) == y).astype(float)
    majority = (y == base.argmax()).astype(float)
    lag = max(1, int(span))
    last = (
        np.r_[majority[: min(lag, n)], (y[lag:] == y[:-lag]).astype(float)] if lag < n else majority
    )
    best = "majority class" if majority.mean() >= last.mean() else "last known class"
    beside = majority if best == "majority class" else last
    loss = -np.log(np.clip(p[np.arange(n), y], TINY, None))
    flat = -np.log(base[y])
    gains = {
        "log loss under the base rate's": flat - loss,
        f"accuracy over the {best}": right - beside,
    }
    rows: list[dict[str, Any]] = []
    for name, gain in gains.items():
        ends = stats.mean_interval(gain, level=0.975, seed=seed)
        rows.append({"gain": name, "value": ends.estimate, "low": ends.low, "high": ends.high})
    finite = [row for row in rows if math.isfinite(row["low"])]
    proved = [row for row in finite if row["low"] > 0]
    refuted = bool(finite) and all(row["high"] < 0 for row in finite)
    told = proved[0] if proved else rows[0]
    outcome: Outcome = "pass" if proved else "fail" if refuted or claimed else "inconclusive"
    held = class_scores(p.argmax(axis=1), y)
    evidence: dict[str, Any] = {
        **capped(rows, len(rows)),
        "accuracy": float(right.mean()),
        "majority": float(majority.mean()),
        "last_known": float(last.mean()),
        "balanced_accuracy": held.balanced_accuracy,
        "kappa": held.kappa if held.proves else math.nan,
        "mcc": held.mcc if held.proves else math.nan,
        "mcnemar_p": stats.mcnemar(
            int(np.sum((right > 0) & (beside == 0))), int(np.sum((right == 0) & (beside > 0)))
        ).p,
        "clipped": float(np.mean(p[np.arange(n), y] < TINY)),
    }
    if classes == 2:
        evidence["auc"] = auc(p[:, 1], y == 1)
    verb = (
        "skill" if proved else "no evidence of skill" if outcome == "inconclusive" else "no skill"
    )
    return made(
        "PRED-06",
        outcome,
        f"{verb}: {told['gain']} {told['value']:+.4f} [{told['low']:+.4f}, "
        f"{told['high']:+.4f}], accuracy {right.mean():.1%} "
        f"(majority {majority.mean():.1%}) in {n:,} rows",
        measured=Measured(
            told["gain"],
            told["value"],
            low=told["low"],
            high=told["high"],
            level=0.975,
            method="stationary bootstrap",
            n=n,
        ),
        gate=gate,
        evidence=evidence,
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def input_sensitivity(predict: Callable[[Any], Any], inputs: Any, *, seed: int = 0) -> Finding:
    """PRED-11: predictions depend on the inputs.

    Parameters
    ----------
    predict : callable
        Array of shape (n, n_features) to predictions, one row or several columns a row.
    inputs : frame or array_like of shape (n, n_features)
        Rows to predict.
    seed : int, default 0
        Of the permutations.

    Returns
    -------
    Finding
        Ranks features by how far their permutation moves predictions. Inconclusive for fewer than 30 finite rows, or
        constant inputs.
    """
    x, names = table("inputs", inputs)
    x = x[np.isfinite(x).all(axis=1)]
    gate = Gate(
        ">", MOVES, "case S003", "a model that answers the same to any input has learned a constant"
    )
    remedy = "check scaling (PAR-03) and labels (LAB-03, LAB-04), and train again"
    if len(x) < FEW or not len(names) or np.all(np.ptp(x, axis=0) == 0):
        return unable(
            "PRED-11", f"{plural(len(x), 'finite row')}, or constant inputs", remedy, gate=gate
        )
    base = np.asarray(predict(x), dtype=np.float64).reshape(len(x), -1)
    if not np.isfinite(base).any():
        return unable("PRED-11", "the model predicts no number", remedy, gate=gate)
    order = np.argsort(stats.uniforms(seed, len(x)), kind="stable")

    def moved(changed: Floats) -> tuple[float, float]:
        away = np.abs(np.asarray(predict(changed), dtype=np.float64).reshape(len(x), -1) - base)
        away = away[np.isfinite(away)]
        return (float(away.max()), float(away.mean())) if len(away) else (0.0, 0.0)

    rows: list[dict[str, Any]] = []
    for j, name in enumerate(names):
        changed = x.copy()
        changed[:, j] = x[order, j]
        most, mean = moved(changed)
        rows.append({"feature": name, "largest": most, "mean": mean})
    means = moved(np.broadcast_to(x.mean(axis=0), x.shape).copy())
    rows.sort(key=lambda row: -float(row["mean"]))
    top = max(float(row["largest"]) for row in rows)
    dead = sum(float(row["largest"]) <= MOVES for row in rows)
    return made(
        "PRED-11",
        "fail" if top <= MOVES else "pass",
        f"permuting a feature moves predictions by at most {top:.2g} (most `{rows[0]['feature']}`); {dead} of "
        f"{plural(len(names), 'feature')} move none",
        measured=Measured("largest movement", top, n=len(x)),
        gate=gate,
        evidence={**capped(rows, len(rows)), "all_at_their_means": means[0]},
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def loss_against_constant(
    predictions: Any, labels: Any, *, weight: float = 1.0, seed: int = 0
) -> Finding:
    """PRED-12: the final loss is below that of the best constant.

    Parameters
    ----------
    predictions, labels : array_like of shape (n,)
        Probabilities of class 1, and 0 or 1; in time order, NaN is none.
    weight : float, default 1.0
        Of the positive class in the loss, as in training.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, one class, or an interval that holds 0.
    """
    p, y, classes, _ = both_known(predictions, labels)
    n = len(y)
    gate = Gate(
        "interval >",
        0,
        "case S003",
        "a loss of 0.985 was called convergence, and a constant scores 1.117",
    )
    remedy = "train on labels that can be learned (LAB-04), with scaled inputs (PAR-03)"
    if (
        n < FEW
        or classes != 2
        or len(np.unique(y)) < 2
        or not (math.isfinite(weight) and weight > 0)
    ):
        return unable("PRED-12", f"{plural(n, 'row')}, or one class", remedy, gate=gate)
    share = float(y.mean())
    constant = weight * share / (weight * share + 1 - share)
    scale = np.where(y == 1, weight, 1.0)
    mine = -scale * np.log(np.clip(p[np.arange(n), y], TINY, None))
    theirs = -scale * np.log(np.where(y == 1, constant, 1 - constant))
    held = stats.mean_interval(theirs - mine, seed=seed)
    outcome: Outcome = "pass" if held.low > 0 else "fail" if held.high < 0 else "inconclusive"
    return made(
        "PRED-12",
        outcome,
        f"loss {mine.mean():.4f} against {theirs.mean():.4f} of "
        f"the constant {constant:.3f}: gain {held.estimate:+.4f} "
        f"[{held.low:+.4f}, {held.high:+.4f}]",
        measured=Measured(
            "gain over the best constant",
            held.estimate,
            "nats",
            low=held.low,
            high=held.high,
            level=0.95,
            method="stationary bootstrap",
            n=n,
        ),
        gate=gate,
        evidence={
            "constant": constant,
            "loss": float(mine.mean()),
            "constant_loss": float(theirs.mean()),
            "weight": weight,
        },
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def prediction_noise(
    predictions: Any, labels: Any, *, threshold: float = 0.5, cost: float | None = None
) -> Finding:
    """PRED-13: forecasts do not change sides more often than the world does.

    Parameters
    ----------
    predictions, labels : array_like of shape (n,)
        Probabilities or scores, and what came true; of one symbol in time order.
    threshold : float, default 0.5
        Between the sides.
    cost : float, optional
        Of a change of side, a fraction, to say what the flips would cost.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, or where one of both is constant.
    """
    p, y = numbers("predictions", predictions), numbers("labels", labels)
    same_rows(predictions=p, labels=y)
    good = np.isfinite(p) & np.isfinite(y)
    p, y = p[good], y[good]
    gate = Gate(
        "<=", FLIPS, "case S000", "a forecast that changes its mind each bar is paid for each bar"
    )
    remedy = "smooth the forecast, or trade on hysteresis: entry and exit thresholds apart"
    if len(p) < FEW or np.ptp(p) == 0 or np.ptp(y) == 0:
        return unable("PRED-13", f"{plural(len(p), 'row')}, or a constant", remedy, gate=gate)
    side, real = p >= threshold, y > (0.5 if set(np.unique(y)) <= {0.0, 1.0} else 0.0)
    mine, theirs = float(np.mean(side[1:] != side[:-1])), float(np.mean(real[1:] != real[:-1]))
    smooth = np.convolve(p, np.ones(SMOOTH) / SMOOTH)[: len(p)]
    gain = auc(p[SMOOTH:], real[SMOOTH:]) - auc(smooth[SMOOTH:], real[SMOOTH:])
    ratio = mine / theirs if theirs else math.inf
    jumps = float(np.abs(np.diff(p)).mean() / p.std())
    outcome: Outcome = "warn" if ratio > FLIPS and not gain > 0 else "pass"
    title = (
        f"forecasts change sides in {mine:.1%} of bars, the target "
        f"in {theirs:.1%}; smoothing costs {gain:+.3f} of AUC"
    )
    if cost is not None:
        title += f"; flips cost {mine * cost:.3%} a bar"
    return made(
        "PRED-13",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("flip rate over the target's", ratio, "ratio", n=len(p)), gate),
            (
                Measured("AUC gained over its smoothed self", gain, n=len(p)),
                Gate(">", 0, "case S000", "what flips must know something that its mean does not"),
            ),
        ),
        evidence={
            "flips": mine,
            "target_flips": theirs,
            "mean_change_over_sd": jumps,
            "auc_gain_over_smoothed": gain,
        },
        remedy=remedy,
    )


@audited
def consistency(
    values: Any, *, baseline: float = 0.0, claimed: float | None = None, seed: int = 0
) -> Finding:
    """PRED-14: a metric holds over test sequences, and is not carried by one of them.

    Parameters
    ----------
    values : array_like of shape (n_sequences,)
        The headline metric of each test sequence, or week, in time order; larger is better.
    baseline : float, default 0.0
        What needs no model.
    claimed : float, optional
        The headline number.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 8 sequences, or values that are all the same.
    """
    v = numbers("values", values)
    v = v[np.isfinite(v)]
    n = len(v)
    gate = Gate("<=", BELOW, "case S000", "one good week is one good week")
    remedy = "report the distribution over sequences, and look at what the best one had"
    if n < 8 or np.ptp(v) == 0:
        return unable("PRED-14", f"{plural(n, 'sequence')}, or all the same", remedy, gate=gate)
    below = float(np.mean(v < baseline))
    mean = float(v.mean())
    without = float(np.delete(v, int(v.argmax())).mean())
    carried = mean > baseline >= without
    held = stats.mean_interval(v, level=0.90, seed=seed)
    outside = claimed is not None and not held.low <= claimed <= held.high
    outcome: Outcome = "fail" if carried else "warn" if below > BELOW or outside else "pass"
    title = f"mean {mean:.4g} over {n} sequences, median {np.median(v):.4g}, {below:.0%} below {baseline:g}"
    if carried:
        title += f"; without the best one {without:.4g}"
    if outside:
        title += f"; claimed {claimed:.4g} lies outside of [{held.low:.4g}, {held.high:.4g}]"
    return made(
        "PRED-14",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("mean without the best sequence", without, n=n),
                Gate(">", baseline, "case S000", "one good week is one good week"),
            )
            if carried
            else (Measured("share below the baseline", below, "fraction", n=n), gate),
            (
                Measured("claimed metric", claimed, n=n),
                Gate(
                    "within",
                    f"{held.low:.12g} to {held.high:.12g}",
                    "case S000",
                    "a headline must be one that most sequences would give",
                ),
            ),
        ),
        evidence={
            "quartiles": np.quantile(v, [0, 0.25, 0.5, 0.75, 1]).tolist(),
            "without_best": without,
            "low": held.low,
            "high": held.high,
            "worst": int(v.argmin()),
        },
        remedy=remedy,
        provenance={"seed": seed},
    )
