"""Audits of calibration: CAL-01 to CAL-06."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    audited,
    capped,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "calibration_error",
    "calibration_where_traded",
    "proper_scores",
    "reliability_curve",
    "spiegelhalter",
    "temperature",
]

EXCESS = 0.05
ENOUGH = 100
Z = 3.0
WARM, HOT = (0.25, 4.0), (0.05, 20.0)
LEVEL = 0.05
TOLD = 3.841458820694124  # 95% point of chi-square with one degree of freedom
REMEDY = "calibrate on rows used for nothing else (CAL-05), after any class weights or focal loss"

Floats = NDArray[np.float64]


def _pairs(p: Any, y: Any, span: int = 1) -> tuple[Floats, Floats]:
    """Probabilities and labels of rows with both, every `span`-th."""
    a, b = numbers("probabilities", p), numbers("labels", y)
    same_rows(probabilities=a, labels=b)
    good = np.isfinite(a) & np.isfinite(b) & (a >= 0) & (a <= 1) & ((b == 0) | (b == 1))
    step = max(1, int(span))
    return a[good][::step], b[good][::step]


def _unusable(
    code: str, p: Floats, y: Floats, least: int, gate: Gate, remedy: str = REMEDY
) -> Finding | None:
    """Say why probabilities cannot be checked; None where they can."""
    if len(p) < least:
        return unable(
            code,
            (f"{plural(len(p), 'row')} with probability and label: {least} are needed"),
            remedy,
            gate=gate,
        )
    if len(np.unique(y)) < 2:
        return unable(
            code,
            (f"one class in {len(p):,} rows: nothing to be calibrated against (LAB-01)"),
            remedy,
            gate=gate,
        )
    return None


@audited
def calibration_error(probabilities: Any, labels: Any, *, bins: int = 10, span: int = 1) -> Finding:
    """CAL-01: stated probabilities come true as often as they say, beyond what chance explains.

    Parameters
    ----------
    probabilities, labels : array_like of shape (n,)
        Of class 1, and 0 or 1; NaN is none.
    bins : int, default 10
        Of equal mass.
    span : int, default 1
        Bars of a label: of labels that overlap so many rows are one observation, and chance explains more.

    Returns
    -------
    Finding
        Inconclusive for fewer than 100 independent rows, or one class.
    """
    p, y = _pairs(probabilities, labels)
    gate = Gate(
        "<=",
        EXCESS,
        "case S001",
        ("a perfect forecaster scores 0.0485 with 10 bins and 400 rows: compare with that"),
    )
    found = _unusable("CAL-01", p, y, ENOUGH * max(1, span), gate)
    if found is not None:
        return found
    held = stats.calibration_error(p, y, bins=bins)
    if not math.isfinite(held.excess):
        return unable("CAL-01", held.reason or "no calibration error", REMEDY, gate=gate)
    # The error of a share grows with the root of the rows that count as one.
    null = held.null * math.sqrt(max(1, span))
    excess = held.ece - null
    return made(
        "CAL-01",
        "fail" if excess > EXCESS else "pass",
        (
            f"calibration error {held.ece:.4f} in {plural(held.bins, 'bin')}, "
            f"{null:.4f} of it by chance alone: excess {excess:+.4f}"
        ),
        measured=Measured(
            "calibration error beyond chance",
            excess,
            form=f"ece_equal_mass_{held.bins}",
            n=held.n,
        ),
        gate=gate,
        evidence={"ece": held.ece, "null": null, "l2_debiased": held.l2},
        cause=(
            "class weights, resampling or focal loss",
            "another base rate than in training (LAB-08)",
        ),
        remedy=REMEDY,
        assumptions={"independent rows": "unchecked" if span < 2 else "checked"},
    )


@audited
def proper_scores(probabilities: Any, labels: Any, *, seed: int = 0) -> Finding:
    """CAL-02: Brier score and log loss beat the base rate.

    Parameters
    ----------
    probabilities, labels : array_like of shape (n,)
        Of class 1, and 0 or 1, in time order; NaN is none.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 100 rows, or one class.
    """
    p, y = _pairs(probabilities, labels)
    gate = Gate(
        "interval >",
        0,
        "default",
        "a probability that does worse than the base rate is worth less than none",
    )
    found = _unusable("CAL-02", p, y, ENOUGH, gate)
    if found is not None:
        return found
    base = float(y.mean())
    gain = (base - y) ** 2 - (p - y) ** 2
    held = stats.mean_interval(gain, seed=seed)
    told, parts = stats.scores(p, y), stats.murphy(p, y, bins=10)
    low = held.low
    outcome: Outcome = "inconclusive" if math.isnan(low) else "pass" if low > 0 else "warn"
    return made(
        "CAL-02",
        outcome,
        f"Brier skill {told.brier_skill:+.4f}, log skill "
        f"{told.log_skill:+.4f} over the base rate {base:.3f}; gain in Brier "
        f"{held.estimate:+.5f} [{held.low:+.5f}, {held.high:+.5f}]",
        measured=Measured(
            "gain in Brier score over the base rate",
            held.estimate,
            low=held.low,
            high=held.high,
            level=0.95,
            method="stationary bootstrap",
            n=len(p),
        ),
        gate=gate,
        evidence={
            "brier": told.brier,
            "log_loss": told.log_loss,
            "clipped": told.clipped,
            "reliability": parts.reliability,
            "resolution": parts.resolution,
            "uncertainty": parts.uncertainty,
        },
        remedy=REMEDY,
        provenance={"seed": seed},
    )


@audited
def spiegelhalter(probabilities: Any, labels: Any, *, span: int = 1) -> Finding:
    """CAL-03: squared errors are as large as the probabilities themselves expect.

    Parameters
    ----------
    probabilities, labels : array_like of shape (n,)
        Of class 1, and 0 or 1; NaN is none.
    span : int, default 1
        Bars of a label: only every so many rows are independent and used.

    Returns
    -------
    Finding
        Inconclusive for fewer than 100 rows that are left, or one class.
    """
    p, y = _pairs(probabilities, labels, span)
    gate = Gate(
        "within",
        f"{-Z:g} to {Z:g}",
        "default",
        "three standard errors; independent rows are needed",
    )
    found = _unusable("CAL-03", p, y, ENOUGH, gate)
    if found is not None:
        return found
    held = stats.spiegelhalter(p, y)
    if not math.isfinite(held.z):
        return unable(
            "CAL-03",
            held.reason or "no statistic: all probabilities are 0, 0.5 or 1",
            REMEDY,
            gate=gate,
        )
    return made(
        "CAL-03",
        "fail" if abs(held.z) > Z else "pass",
        (f"Spiegelhalter's z is {held.z:+.2f} (p {held.p:.2g}) in {held.n:,} rows"),
        measured=Measured("z", held.z, n=held.n, p_value=held.p),
        gate=gate,
        remedy=REMEDY,
        cause=("overconfidence", "another base rate"),
        assumptions={"independent rows": "checked" if span > 1 else "unchecked"},
    )


@audited
def reliability_curve(
    probabilities: Any, labels: Any, *, bins: int = 10, draws: int = 1_000, seed: int = 0
) -> Finding:
    """CAL-04: shares per bin lie within what the forecast itself would give.

    Parameters
    ----------
    probabilities, labels : array_like of shape (n,)
        Of class 1, and 0 or 1; NaN is none.
    bins : int, default 10
        Of equal mass.
    draws : int, default 1_000
        Of labels from the forecast, for the consistency bars.
    seed : int, default 0
        Of the draws.

    Returns
    -------
    Finding
        The rows of the evidence are the curve, each with its n. Inconclusive for fewer than 100 rows, or one class.
    """
    p, y = _pairs(probabilities, labels)
    gate = Gate(
        "=",
        0,
        "default",
        "bars drawn from the forecast itself say how far chance alone moves a point",
    )
    found = _unusable("CAL-04", p, y, ENOUGH, gate)
    if found is not None:
        return found
    order = np.argsort(p, kind="stable")
    rows = []
    parts = [part for part in np.array_split(order, bins) if len(part)]
    level = LEVEL / len(parts)
    for k, part in enumerate(parts):
        q, n = p[part], len(part)
        u = stats.uniforms(seed, draws * n, skip=k * draws * len(parts[0])).reshape(draws, n)
        simulated = (u < q).mean(axis=1)
        low, high = np.quantile(simulated, [level / 2, 1 - level / 2])
        share = float(y[part].mean())
        interval = stats.wilson(int(y[part].sum()), n)
        rows.append(
            {
                "n": n,
                "mean_p": float(q.mean()),
                "share": share,
                "low": interval.low,
                "high": interval.high,
                "bar_low": float(low),
                "bar_high": float(high),
                "outside": not low - 1e-12 <= share <= high + 1e-12,
            }
        )
    out = [row for row in rows if row["outside"]]
    worst = max(rows, key=lambda row: abs(float(row["share"]) - float(row["mean_p"])))
    return made(
        "CAL-04",
        "warn" if out else "pass",
        f"{len(out)} of {len(rows)} bins lie outside of their "
        f"bars; farthest: {worst['mean_p']:.3f} came true in "
        f"{worst['share']:.3f} of {worst['n']:,}",
        measured=Measured("bins outside of consistency bars", len(out), "count", n=len(p)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=REMEDY,
        provenance={"seed": seed},
    )


@audited
def temperature(logits: Any, labels: Any, *, span: int = 1) -> Finding:
    """CAL-05: the temperature that the logits need is near 1.

    Parameters
    ----------
    logits : array_like of shape (n,) or (n, n_classes)
        On rows used for nothing else.
    labels : array_like of shape (n,)
        Number of the class that came true.
    span : int, default 1
        Bars of a label: of labels that overlap so many rows are one observation.

    Returns
    -------
    Finding
        Inconclusive for fewer than 100 rows, one class, where no temperature is best, or where a temperature far from 1
        explains no more than chance does: a weak forecast says little about its scale.
    """
    x, y = np.asarray(logits, dtype=np.float64), numbers("labels", labels)
    flat = numbers("logits", logits) if x.ndim < 2 else x
    same_rows(logits=flat, labels=y)
    good = np.isfinite(flat if flat.ndim == 1 else flat.sum(axis=1)) & np.isfinite(y)
    flat, y = flat[good], y[good]
    gate = Gate(
        "within",
        f"{WARM[0]:g} to {WARM[1]:g}",
        "case S001",
        "with a gap of 158,041 and 70% right the temperature is 186,524",
    )
    remedy = "mend the inputs and the training; temperature never changes which class is likeliest"
    found = _unusable("CAL-05", flat if flat.ndim == 1 else flat[:, 0], y, ENOUGH, gate, remedy)
    if found is not None:
        return found
    held = stats.temperature(flat, y)
    t = held.temperature
    if not (math.isfinite(t) and t > 0):
        return unable("CAL-05", held.reason or "no temperature is best", remedy, gate=gate)
    outcome: Outcome = "pass"
    told = 2 * held.n / max(1, span) * (held.loss_before - held.loss_after)
    if not HOT[0] <= t <= HOT[1]:
        outcome = "fail"
    elif not WARM[0] <= t <= WARM[1]:
        outcome = "warn"
    if outcome != "pass" and told <= TOLD:
        outcome = "inconclusive"
    return made(
        "CAL-05",
        outcome,
        (
            f"the logits need a temperature of {t:,.4g}: log "
            f"loss {held.loss_before:.4g} to {held.loss_after:.4g}"
        ),
        measured=Measured("temperature", t, n=held.n),
        gate=gate,
        evidence={
            "loss_before": held.loss_before,
            "loss_after": held.loss_after,
            "likelihood_ratio": told,
        },
        cause=("unscaled inputs (PAR-03)", "temperature as a parameter of training"),
        remedy=remedy,
        assumptions={"rows used for nothing else": "unchecked"},
    )


@audited
def calibration_where_traded(
    probabilities: Any, labels: Any, *, threshold: float, break_even: float | None = None
) -> Finding:
    """CAL-06: probabilities are right where they trade.

    Parameters
    ----------
    probabilities, labels : array_like of shape (n,)
        Of class 1, and 0 or 1; NaN is none.
    threshold : float
        Probability from which is traded.
    break_even : float, optional
        Precision that the payoff demands (ECO-01).

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows at or above the threshold.
    """
    p, y = _pairs(probabilities, labels)
    gate = Gate(
        ">=",
        None,
        "case S004",
        ("a model can be calibrated overall and wrong in the 2% that it trades"),
    )
    remedy = "calibrate on the upper tail, or move the threshold to where the shares hold"
    at = p >= threshold
    n, k = int(at.sum()), int(y[at].sum())
    if n < FEW or not len(p) > 0:
        return unable(
            "CAL-06",
            f"{plural(n, 'row')} at or above {threshold:g}: {FEW} are needed",
            remedy,
            gate=gate,
        )
    interval, mean = stats.wilson(k, n), float(p[at].mean())
    unprofitable = break_even is not None and interval.high < break_even
    over = interval.high < mean
    undecided = break_even is not None and interval.low <= break_even
    outcome: Outcome = "fail" if unprofitable or over else "inconclusive" if undecided else "pass"
    title = (
        f"of {n:,} rows at or above {threshold:g} {k / n:.1%} came true "
        f"[{interval.low:.1%}, {interval.high:.1%}], the model says {mean:.1%}"
    )
    if break_even is not None:
        title += f", break-even is {break_even:.1%}"
    return made(
        "CAL-06",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured(
                    "precision where traded, at most",
                    interval.high,
                    "fraction",
                    form="upper bound of Wilson's interval",
                    level=0.95,
                    n=n,
                ),
                replace(gate, threshold=mean),
            ),
            (
                Measured(
                    "precision where traded",
                    k / n,
                    "fraction",
                    low=interval.low,
                    high=interval.high,
                    level=0.95,
                    method="wilson",
                    n=n,
                ),
                Gate("interval >", break_even, "case S004", "below it this payoff cannot profit"),
            ),
        ),
        evidence={"mean_probability": mean, "share_of_rows": n / len(p)},
        remedy=remedy,
        assumptions={"independent rows": "unchecked"},
    )
