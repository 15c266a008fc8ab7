"""Audits of what enters a model, by value: PAR-02 to PAR-05."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from barproof.audits.common import (
    FEW,
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
from barproof.errors import ParameterError

__all__ = [
    "feature_scale",
    "first_layer",
    "scaler_presence",
    "value_parity",
]

Precision = Literal["same", "f64", "f32"]
Floats = NDArray[np.float64]

REPLAYED = 299  # finds a fault in 1% of the bars with 95% probability
BAND = 1e-6
LEVEL = 0.05
PASS_Z, FAIL_Z, RATIO = 10.0, 50.0, 1_000.0
HELD = 0.95
FIRST_PASS, FIRST_FAIL = 20.0, 100.0


@audited
def value_parity(
    research: Any,
    live: Any,
    *,
    precision: Precision = "f64",
    predictions: tuple[Any, Any] | None = None,
    threshold: float | None = None,
) -> Finding:
    """PAR-02: research and live code give the same numbers for the same bars.

    Parameters
    ----------
    research, live : frame or array_like of shape (n, n_features)
        Features of the same bars, row by row.
    precision : {"same", "f64", "f32"}, default "f64"
        Same engine: identical bits. Two engines: 1e-9 relative or 1e-6 of the standard deviation; in single precision
        1e-4 of it.
    predictions : pair of array_like of shape (n,), optional
        Probabilities of both.
    threshold : float, optional
        Decision threshold, to count decisions that flip outside of 1e-6 around it.

    Returns
    -------
    Finding
        Names the first column and bar that differ. Inconclusive for fewer than 299 rows, with which a fault in 1% of
        the bars may go unseen, where nothing differs.

    Raises
    ------
    ParameterError
        If `precision` is none of these.
    """
    if precision not in ("same", "f64", "f32"):
        raise ParameterError(f"`precision` must be same, f64 or f32, was {precision!r}")
    a, names = table("research", research)
    b, others = table("live", live)
    gate = Gate(
        "=", 0, "case S004", "equal distributions hide rows that are a bar apart: compare values"
    )
    remedy = "compute both with one bp.FeatureSet; else find the first column that differs and its first bar"
    if names != others:
        missing = next(
            (x for x in names if x not in others),
            next((x for x in others if x not in names), "another order"),
        )
        return made(
            "PAR-02",
            "fail",
            f"the columns differ: {len(names)} against {len(others)}, first `{missing}` (PAR-01)",
            measured=Measured(
                "columns that differ",
                sum(x != y for x, y in zip_longest(names, others)),
                "count",
                n=len(names),
            ),
            gate=gate,
            remedy=remedy,
            evidence={"research": names[:20], "live": others[:20]},
        )
    n = same_rows(research=a, live=b)
    spread = np.array([_deviation(a[:, j]) for j in range(a.shape[1])])
    with np.errstate(invalid="ignore"):
        if precision == "same":
            same = a == b
        elif precision == "f64":
            same = np.abs(a - b) <= np.maximum(
                1e-9 * np.maximum(np.abs(a), np.abs(b)), 1e-6 * spread
            )
        else:
            same = np.abs(a - b) <= 1e-4 * spread
    same |= (a == b) | (np.isnan(a) & np.isnan(b))
    rows: list[dict[str, Any]] = []
    for j in np.flatnonzero(~same.all(axis=0)):
        first = int(np.argmin(same[:, j]))
        rows.append(
            {
                "column": names[j],
                "first_row": first,
                "research": float(a[first, j]),
                "live": float(b[first, j]),
                "share": float(np.mean(~same[:, j])),
            }
        )
    rows.sort(key=lambda row: -float(row["share"]))
    flips = 0
    if predictions is not None:
        p, q = (numbers("predictions", x) for x in predictions)
        same_rows(research=p, live=q)
        if threshold is not None:
            near = (np.abs(p - threshold) < BAND) | (np.abs(q - threshold) < BAND)
            flips = int(np.sum(((p >= threshold) != (q >= threshold)) & ~near))
    wrong = int(np.sum(~same.all(axis=1)))
    evidence = {**capped(rows, len(rows)), "flipped_decisions": flips}
    measured = Measured("rows that differ", wrong, "count", n=n)
    comparable = bool(np.any(np.isfinite(a) & np.isfinite(b))) and bool((spread > 0).any())
    if rows or flips:
        worst = rows[0] if rows else None
        title = (
            f"{len(rows)} of {len(names)} features differ, most "
            f"`{worst['column']}` in {worst['share']:.1%} of {n:,} rows "
            f"(row {worst['first_row']}: {worst['research']:.6g} and {worst['live']:.6g})"
            if worst
            else f"features agree, but {flips:,} decisions flip"
        )
        return made(
            "PAR-02",
            "fail",
            title,
            **speaking(
                "fail",
                (measured, gate),
                (
                    Measured("decisions that flip", flips, "count", n=n),
                    Gate("=", 0, "case S004", "features that agree must decide alike"),
                ),
            ),
            evidence=evidence,
            remedy=remedy,
            cause=(
                "two implementations",
                "a bar that had not closed",
                ("a warm-up that is too short (SPL-09)"),
            ),
        )
    if n < REPLAYED or not comparable:
        told = (
            (f"{plural(n, 'row')} agree: {REPLAYED} are needed to see a fault in 1% of the bars")
            if comparable or not n
            else "no values that vary to compare"
        )
        return unable("PAR-02", told, remedy, measured=measured, gate=gate)
    return made(
        "PAR-02",
        "pass",
        f"{plural(len(names), 'feature')} the same in {n:,} rows, no decision flips",
        measured=measured,
        gate=gate,
        evidence=evidence,
    )


def _deviation(values: Floats) -> float:
    held = values[np.isfinite(values)]
    return float(held.std()) if len(held) and np.ptp(held) > 0 else 0.0


@audited
def feature_scale(inputs: Any) -> Finding:
    """PAR-03: what enters the first layer is of order one.

    Parameters
    ----------
    inputs : frame or array_like of shape (n, n_features)
        Rows after all preprocessing, as the model sees them.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, or where a cell is no number.
    """
    x, names = table("inputs", inputs)
    gate = Gate("<=", PASS_Z, "case S001", "a close of 79,568 drowns every other input")
    remedy = "standardise on train rows and store mean and scale with the weights"
    if len(x) < FEW or not len(names) or not np.isfinite(x).all():
        return unable(
            "PAR-03",
            f"{plural(len(x), 'row')}, or cells that are no number (DATA-06)",
            remedy,
            gate=gate,
        )
    mean, sd, top = x.mean(axis=0), x.std(axis=0), np.abs(x).max(axis=0)
    flat = np.ptp(x, axis=0) == 0
    if flat.all():
        return unable("PAR-03", "all features are constant", remedy, gate=gate)
    ratio = float(sd[~flat].max() / sd[~flat].min())
    held = float(np.mean((np.abs(mean) <= 0.1) & (sd >= 0.5) & (sd <= 2)))
    order = np.argsort(-top)
    rows = [{"feature": names[j], "mean": mean[j], "sd": sd[j], "largest": top[j]} for j in order]
    worst, size = names[order[0]], float(top[order[0]])
    outcome: Outcome = "pass"
    if size > FAIL_Z or ratio > RATIO or held < 0.5:
        outcome = "fail"
    elif size > PASS_Z or held < HELD:
        outcome = "warn"
    return made(
        "PAR-03",
        outcome,
        f"the largest input is {size:,.4g} (`{worst}`), deviations differ by a factor of {ratio:,.3g}; {held:.0%} of "
        f"{plural(len(names), 'feature')} standardised",
        **speaking(
            outcome,
            (
                Measured("largest input", size, form="absolute, after preprocessing", n=len(x)),
                gate,
            ),
            (
                Measured("largest deviation over smallest", ratio, "ratio", n=len(x)),
                Gate("<=", RATIO, "case S001", "the largest input drowns the others"),
            ),
            (
                Measured("features standardised", held, "fraction", n=len(x)),
                Gate(">=", HELD, "case S001", "a scaler centres what it was fitted on"),
            ),
        ),
        evidence={**capped(rows, len(rows)), "deviation_ratio": ratio, "standardised": held},
        cause=(
            "no scaler, or one that is not applied (PAR-05)",
            "a scaler of another fold (SPL-04)",
        ),
        remedy=remedy,
        scope={"feature": worst},
    )


@audited
def first_layer(inputs: Any, weight: Any, *, bias: Any = None) -> Finding:
    """PAR-04: pre-activations of the first layer are of order one.

    Parameters
    ----------
    inputs : frame or array_like of shape (n, n_features)
        Rows as they enter the layer.
    weight : array_like of shape (n_units, n_features)
        As torch's Linear holds it.
    bias : array_like of shape (n_units,), optional
        Default: none.

    Returns
    -------
    Finding
        Names the feature with the largest mean term. Inconclusive without rows, or where a cell is no number.
    """
    x, names = table("inputs", inputs)
    w = matrix("weight", weight)
    b = np.zeros(len(w)) if bias is None else numbers("bias", bias)
    same_rows(features=names, columns=w.T)
    same_rows(weight=w, bias=b)
    gate = Gate(
        "<=", FIRST_PASS, "case S001", "torch starts at a deviation of 0.58 on standardised inputs"
    )
    remedy = "standardise the inputs (PAR-03), with the scaler inside the weights file"
    if (
        len(x) < FEW
        or not len(w)
        or not (np.isfinite(x).all() and np.isfinite(w).all() and np.isfinite(b).all())
    ):
        return unable(
            "PAR-04", f"{plural(len(x), 'row')}, or cells that are no number", remedy, gate=gate
        )
    if not w.any() or np.all(np.ptp(x, axis=0) == 0):
        return unable("PAR-04", "weights are all 0, or inputs constant", remedy, gate=gate)
    z = x @ w.T + b
    size = np.abs(z)
    p50, p99, most = (float(v) for v in np.quantile(size, [0.5, 0.99, 1.0]))
    terms = np.abs(x).mean(axis=0) * np.abs(w).max(axis=0)
    top = int(np.argmax(terms))
    dead = float(np.mean((z <= 0).all(axis=0)))
    outcome: Outcome = (
        "fail" if p99 > FIRST_FAIL else "warn" if p99 > FIRST_PASS or dead > 0.5 else "pass"
    )
    return made(
        "PAR-04",
        outcome,
        f"99% of first-layer activations are below {p99:,.4g} "
        f"(largest {most:,.4g}); largest term {terms[top]:,.4g} of "
        f"`{names[top]}`; {dead:.0%} of units never fire",
        **speaking(
            outcome,
            (Measured("99% point of |W x + b|", p99, n=z.size), gate),
            (
                Measured("units that never fire", dead, "fraction", n=z.shape[1]),
                Gate("<=", 0.5, "default", "a unit that never fires holds no weight that counts"),
            ),
        ),
        evidence={
            "p50": p50,
            "p99": p99,
            "max": most,
            "never_positive": dead,
            "feature": names[top],
            "term": float(terms[top]),
        },
        cause=("raw prices", "a scaler that is planned and not there (PAR-05)"),
        remedy=remedy,
        scope={"feature": names[top]},
    )


@audited
def scaler_presence(mean: Any, scale: Any, raw: Any, *, entered: Any = None) -> Finding:
    """PAR-05: the scaler exists, is fitted, and is applied exactly once.

    Parameters
    ----------
    mean, scale : array_like of shape (n_features,) or None
        As the bundle holds them; None where it has none.
    raw : frame or array_like of shape (n, n_features)
        Train rows, unscaled.
    entered : frame or array_like of shape (n, n_features), optional
        The same rows as they entered the model.

    Returns
    -------
    Finding
        Fails without a scaler. Inconclusive for fewer than 30 rows, or where a cell is no number.
    """
    x, names = table("raw", raw)
    gate = Gate(
        "=", 0, "case S001", "a scaler as an attribute of a torch module is in no state_dict"
    )
    remedy = "register mean and scale as buffers, so that no checkpoint can exist without them"

    def fail(why: str, **evidence: Any) -> Finding:
        return made(
            "PAR-05",
            "fail",
            why,
            measured=Measured("faults of the scaler", 1, "count"),
            gate=gate,
            remedy=remedy,
            evidence=evidence,
            cause=("a scaler outside of the weights file", "another feature list (PAR-01)"),
        )

    if mean is None or scale is None:
        return fail("the bundle has no scaler")
    mu, sd = numbers("mean", mean), numbers("scale", scale)
    if len(mu) != len(names) or len(sd) != len(names):
        return fail(
            f"the scaler has {len(mu)} means and {len(sd)} scales for {len(names)} features"
        )
    if len(x) < FEW or not len(names) or not np.isfinite(x).all():
        return unable(
            "PAR-05", f"{plural(len(x), 'row')}, or cells that are no number", remedy, gate=gate
        )
    if not (np.isfinite(mu).all() and np.isfinite(sd).all() and (sd > 0).all()):
        return fail("the scaler is not fitted: means or scales are no numbers above 0")
    z = (x - mu) / sd
    moving = np.ptp(x, axis=0) > 0
    if not moving.any():
        return unable("PAR-05", "all features are constant", remedy, gate=gate)
    off = np.abs(z.mean(axis=0)[moving]).max(), np.abs(np.log(z.std(axis=0)[moving])).max()
    if off[0] > 0.1 or off[1] > math.log(2):
        return fail(
            (
                "the scaler is not that of these rows: scaled means up "
                f"to {off[0]:.3g}, deviations off by {math.exp(off[1]):.3g}"
            ),
            largest_mean=off[0],
            deviation_factor=math.exp(off[1]),
        )
    evidence: dict[str, Any] = {"features": len(names), "largest_mean": float(off[0])}
    if entered is None:
        return unable(
            "PAR-05",
            (
                f"a fitted scaler of {plural(len(names), 'feature')} "
                "is there; whether it is applied was not shown"
            ),
            "give entered=: the rows as they entered the model",
            gate=gate,
            evidence=evidence,
        )
    seen, _ = table("entered", entered)
    same_rows(raw=x, entered=seen)
    readings = {"once": z, "not at all": x, "twice": (z - mu) / sd}
    away = {
        name: float(np.abs(seen - held).max()) if seen.shape == held.shape else math.inf
        for name, held in readings.items()
    }
    size = 1e-4 * max(1.0, float(np.abs(z).max()))
    best = min(away, key=lambda k: away[k])
    if best == "once" and away["once"] <= size:
        return made(
            "PAR-05",
            "pass",
            f"a scaler of {plural(len(names), 'feature')} is fitted and applied once",
            gate=gate,
            evidence={**evidence, **away},
            measured=Measured("faults of the scaler", 0, "count", n=len(x)),
        )
    if away[best] <= size or (
        best != "once" and away[best] <= 1e-4 * max(1.0, float(np.abs(readings[best]).max()))
    ):
        return fail(f"the scaler is applied {best}", **away)
    return fail(
        (
            "what entered the model is neither raw nor scaled: "
            f"it differs from the scaled rows by {away['once']:.3g}"
        ),
        **away,
    )
