"""Audits of the size and the direction of forecasts: PRED-02, PRED-03, PRED-07 to PRED-10."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    audited,
    capped,
    correlation,
    made,
    matrix,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.stats._common import tail

__all__ = [
    "alignment_scan",
    "below_chance",
    "logit_range",
    "magnitude",
    "overconfidence",
    "possible_metrics",
]

LOGIT_WARN, LOGIT_FAIL = 10.0, 20.0
CERTAIN, CERTAIN_SHARE = 0.99, 0.10
LEVEL = 0.05
ERRORS = 3.0
SPREAD = (0.05, 1.0)
OUTSIDE = 0.01
ROUNDING = 5e-3

Floats = NDArray[np.float64]


def _rows(name: str, values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return numbers(name, values)[:, None] if array.ndim < 2 else matrix(name, array)


@audited
def logit_range(logits: Any) -> Finding:
    """PRED-02: logits have a size that data can justify.

    Parameters
    ----------
    logits : array_like of shape (n,) or (n, n_classes)
        Before temperature and softmax.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, a logit that is no number, or logits that are all the same.
    """
    x = _rows("logits", logits)
    gate = Gate(
        "<=",
        LOGIT_WARN,
        "case S001",
        "a gap of 4.6 is 99% already; one of 20 claims one error in 5e8",
    )
    remedy = "look at the inputs (PAR-03, PAR-04), then train with weight decay; temperature cannot mend it"
    if len(x) < FEW or not np.isfinite(x).all() or np.all(np.ptp(x, axis=0) == 0):
        return unable(
            "PRED-02",
            (f"{plural(len(x), 'row')}; logits missing, infinite or all the same"),
            remedy,
            gate=gate,
        )
    most = float(np.abs(x).max())
    ordered = np.sort(x, axis=1)
    gap = float((ordered[:, -1] - ordered[:, -2]).max()) if x.shape[1] > 1 else most
    outcome: Outcome = "fail" if most > LOGIT_FAIL else "warn" if most > LOGIT_WARN else "pass"
    return made(
        "PRED-02",
        outcome,
        f"the largest logit is {most:,.4g}, the largest gap {gap:,.4g}; a gap of 4.6 is 99%",
        measured=Measured("largest logit", most, form="absolute, before temperature", n=len(x)),
        gate=gate,
        evidence={"largest_gap": gap, "rows": len(x)},
        cause=("raw prices as inputs (PAR-03)", "no regularisation"),
        remedy=remedy,
    )


@audited
def overconfidence(predictions: Any, labels: Any = None, *, logits: bool = False) -> Finding:
    """PRED-03: certainty is rare, and right when it is claimed.

    Parameters
    ----------
    predictions : array_like of shape (n,) or (n, n_classes)
        Probabilities (of class 1, or of each class), or logits, from which shares are exact where float32 probabilities
        have become 1.
    labels : array_like of shape (n,), optional
        Number of the class that came true; NaN is none.
    logits : bool, default False
        Whether they are logits.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, values that are no number, or predictions that are all the same.
    """
    x = _rows("predictions", predictions)
    gate = Gate(
        "<=",
        CERTAIN_SHARE,
        "case S001",
        "99 to 100% of forecasts were above 0.99, and the account was not",
    )
    remedy = "fix inputs and labels, then calibrate on rows used for nothing else (CAL-05)"
    n = len(x)
    if n < FEW or not np.isfinite(x).all() or np.all(np.ptp(x, axis=0) == 0):
        return unable(
            "PRED-03",
            (f"{plural(n, 'row')}; predictions missing, infinite or all the same"),
            remedy,
            gate=gate,
        )
    if x.shape[1] == 1:
        x = np.column_stack([np.zeros(n), x]) if logits else np.column_stack([1 - x, x])
    if logits:
        # 1 - max p, which does not round to 0 where p rounds to 1.
        shifted = np.exp(x - x.max(axis=1, keepdims=True))
        others = shifted.sum(axis=1) - 1.0
        doubt = others / (1 + others)
    else:
        doubt = 1 - x.max(axis=1)
    sure = doubt < 1 - CERTAIN
    share, middle = float(sure.mean()), float(np.mean((doubt >= 0.1) & (doubt <= 0.5)))
    outcome: Outcome = "fail" if share > CERTAIN_SHARE else "pass"
    right = math.nan
    title = f"{share:.1%} of {n:,} forecasts are above 99%, {middle:.1%} between 50 and 90%"
    evidence: dict[str, Any] = {
        "above_0.99": int(sure.sum()),
        "between_0.5_and_0.9": middle,
        "floor": 1 / x.shape[1],
    }
    if labels is not None:
        y = numbers("labels", labels)
        same_rows(predictions=x, labels=y)
        both = sure & np.isfinite(y)
        k, m = int(np.sum(x.argmax(axis=1)[both] == y[both])), int(both.sum())
        if m:
            interval = stats.wilson(k, m)
            evidence |= {"accuracy_when_sure": k / m, "low": interval.low, "high": interval.high}
            title += f"; right in {k / m:.1%} of {m:,} sure ones"
            right = interval.high
            if right < CERTAIN:
                outcome = "fail"
    return made(
        "PRED-03",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("share above 0.99", share, "fraction", n=n), gate),
            (
                Measured("accuracy of sure forecasts, at most", right, "fraction", n=n),
                Gate(">=", CERTAIN, "case S001", "who is sure must be right"),
            ),
        ),
        evidence=evidence,
        cause=("unscaled inputs", ("a network trained on until it was certain")),
        remedy=remedy,
    )


@audited
def below_chance(forecast: Any, outcome: Any) -> Finding:
    """PRED-07: a forecast is not significantly worse than chance.

    Parameters
    ----------
    forecast, outcome : array_like of shape (n,)
        Signed forecast and what came, such as returns; subtract 0.5 from probabilities and labels. In time order.

    Returns
    -------
    Finding
        Directional accuracy against what its shares of up and down give by chance, and correlation against 0, with
        errors that allow for dependence. Inconclusive for fewer than 30 rows, or where one of both is constant.
    """
    f, y = numbers("forecast", forecast), numbers("outcome", outcome)
    same_rows(forecast=f, outcome=y)
    good = np.isfinite(f) & np.isfinite(y)
    f, y = f[good], y[good]
    n = len(f)
    gate = Gate(
        ">",
        LEVEL,
        "case S000",
        "35% of directions right is information with the wrong sign, not noise",
    )
    remedy = "look for a flipped sign, a shift by a bar, another channel, an inverted scaler: PRED-08 finds which"
    r = correlation(f, y)
    if n < FEW or math.isnan(r):
        return unable(
            "PRED-07", f"{plural(n, 'row')}, or a constant: no direction", remedy, gate=gate
        )
    hit = (np.sign(f) == np.sign(y)).astype(float)
    up, down = (
        float(np.mean(f > 0)) * float(np.mean(y > 0)),
        float(np.mean(f < 0)) * float(np.mean(y < 0)),
    )
    chance = up + down
    held = stats.hac_mean(hit - chance)
    x = (f - f.mean()) / f.std() * (y - y.mean()) / y.std()
    together = stats.hac_mean(x)
    tests = [t.mean / t.error for t in (held, together) if t.error and t.error > 0]
    if not tests or not all(map(math.isfinite, tests)):
        return unable(
            "PRED-07", "no error can be given: the forecasts repeat themselves", remedy, gate=gate
        )
    p = [2 * tail(abs(z)) for z in tests]
    adjusted = stats.holm(p).p
    low = [z < 0 and q <= LEVEL for z, q in zip(tests, adjusted, strict=True)]
    return made(
        "PRED-07",
        "fail" if any(low) else "pass",
        f"{hit.mean():.1%} of {n:,} directions right (chance {chance:.1%}), correlation {r:+.3f}"
        + (": significantly below chance" if any(low) else ""),
        measured=Measured(
            "p-value of being below chance",
            min(float(q) if z < 0 else 1.0 for z, q in zip(tests, adjusted, strict=True)),
            form="two-sided, Holm over direction and correlation; 1 above chance",
            n=n,
            p_value=float(min(adjusted)),
        ),
        gate=gate,
        evidence={
            "directions_right": float(hit.mean()),
            "chance": chance,
            "correlation": r,
            "z": tests,
            "p_holm": list(map(float, adjusted)),
        },
        cause=("sign", "shift", "channel", "scaler inversion"),
        remedy=remedy,
    )


@audited
def alignment_scan(
    forecast: Any,
    target: Any,
    *,
    shifts: int = 2,
    span: int = 1,
    channels: Mapping[str, Any] | None = None,
) -> Finding:
    """PRED-08: no other alignment of forecast and target fits better than the declared one.

    Parameters
    ----------
    forecast, target : array_like of shape (n,)
        In time order, row by row as declared.
    shifts : int, default 2
        Bars by which the target is moved, in both directions.
    span : int, default 1
        Bars of a target, by which overlapping rows count less.
    channels : mapping of str to array_like of shape (n,), optional
        Other targets that might be meant.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 independent rows, or where one of both is constant.
    """
    f, y = numbers("forecast", forecast), numbers("target", target)
    n = same_rows(forecast=f, target=y)
    gate = Gate(
        "<=", ERRORS, "case S000", "a forecast of something else looks like a weak forecast of this"
    )
    remedy = "use the alignment that wins everywhere, and train again if it is one from the future"
    worth = float(np.sum(np.isfinite(f) & np.isfinite(y))) / max(span, 1)
    base = correlation(f, y)
    if worth < FEW or math.isnan(base):
        return unable("PRED-08", f"{worth:.0f} independent rows, or a constant", remedy, gate=gate)
    rows: list[dict[str, Any]] = []
    for name, values in {
        "target": y,
        **{str(k): numbers(str(k), v) for k, v in (channels or {}).items()},
    }.items():
        same_rows(forecast=f, channel=values)
        for shift in range(-shifts, shifts + 1) if name == "target" else (0,):
            a, b = (
                (f[: n - shift], values[shift:])
                if shift >= 0
                else (f[-shift:], values[: n + shift])
            )
            r = correlation(a, b)
            if not math.isnan(r):
                for sign in (1, -1):
                    row = {"alignment": f"{name} {shift:+d}", "sign": sign, "correlation": sign * r}
                    # Of the difference of two correlations; of one and its own opposite it is twice that of one.
                    own = values is y and shift == 0
                    error = math.sqrt((4 if own else 2) / worth)
                    rows.append({**row, "errors": (sign * r - base) / error})
    rows.sort(key=lambda row: -row["errors"])
    best = rows[0]
    away = best["errors"]
    outcome: Outcome = "fail" if away > ERRORS else "pass"
    flipped = ", sign flipped" if best["sign"] < 0 else ""
    title = (
        (
            f"`{best['alignment']}`{flipped} fits better than declared: "
            f"correlation {best['correlation']:.3f} against {base:.3f}"
        )
        if outcome == "fail"
        else (
            f"no alignment beats the declared one by {ERRORS:.0f} errors: "
            f"correlation {base:.3f}, best {best['correlation']:.3f}"
        )
    )
    return made(
        "PRED-08",
        outcome,
        title,
        measured=Measured("lead of the best alignment", away, "standard errors", n=n, n_eff=worth),
        gate=gate,
        evidence=capped(rows, len(rows)),
        cause=("a label shifted by a bar", "a flipped sign", "another channel"),
        remedy=remedy,
        scope={"alignment": best["alignment"]},
    )


@audited
def possible_metrics(metrics: Mapping[str, float]) -> Finding:
    """PRED-09: metrics that are reported together can be true together.

    Parameters
    ----------
    metrics : mapping of str to float
        Any of `r2`, `correlation`, `accuracy`, `auc`, `mae`, `rmse`, `log_loss`, `brier`.

    Returns
    -------
    Finding
        Inconclusive where no two of them constrain each other.
    """
    m = {k: float(v) for k, v in metrics.items() if v is not None and math.isfinite(float(v))}
    gate = Gate(
        "=", 0, "case S000", "R2 can never exceed the squared correlation, whatever the forecast"
    )
    remedy = "compute all of them again on the same rows, from one table of predictions"
    checked = 0
    wrong: list[str] = []
    doubt: list[str] = []

    def check(names: tuple[str, ...], possible: bool, told: str) -> None:
        nonlocal checked
        checked += len(names) > 1
        if not possible:
            wrong.append(told)

    ranges = {
        "correlation": (-1, 1),
        "auc": (0, 1),
        "accuracy": (0, 1),
        "brier": (0, 1),
        "r2": (-math.inf, 1),
        "mae": (0, math.inf),
        "rmse": (0, math.inf),
        "log_loss": (0, math.inf),
    }
    for name, (low, high) in ranges.items():
        if name in m:
            check(
                (name,),
                low <= m[name] <= high,
                f"{name} {m[name]:.4g} lies outside of [{low:g}, {high:g}]",
            )
    if {"r2", "correlation"} <= set(m):
        r2, r = m["r2"], m["correlation"]
        check(
            ("r2", "correlation"),
            r2 <= r * r + ROUNDING,
            (f"R2 {r2:.4g} exceeds the squared correlation {r * r:.4g}"),
        )
        if r2 < -0.1:
            doubt.append(
                f"R2 {r2:.4g} with a correlation of {r:.3g}: scale or shift are wrong before skill is"
            )
    if {"mae", "rmse"} <= set(m):
        check(
            ("mae", "rmse"),
            m["mae"] <= m["rmse"] * (1 + ROUNDING),
            (f"MAE {m['mae']:.4g} exceeds RMSE {m['rmse']:.4g}"),
        )
    if {"accuracy", "auc"} <= set(m):
        check(
            ("accuracy", "auc"),
            m["accuracy"] < 1 or m["auc"] >= 1 - ROUNDING,
            (f"accuracy 1 with an AUC of {m['auc']:.4g}"),
        )
    if {"brier", "log_loss"} <= set(m):
        # -ln(q) >= (1 - q)^2 for the probability q of what came true, in each row and so in the mean.
        check(
            ("brier", "log_loss"),
            m["log_loss"] >= m["brier"] - ROUNDING,
            (f"log loss {m['log_loss']:.4g} below the Brier score {m['brier']:.4g}"),
        )
    if not checked and not wrong:
        return unable(
            "PRED-09", f"{plural(len(m), 'metric')}: no two constrain each other", remedy, gate=gate
        )
    outcome: Outcome = "fail" if wrong else "warn" if doubt else "pass"
    return made(
        "PRED-09",
        outcome,
        (
            wrong
            or doubt
            or [
                (f"{plural(checked, 'relation')} between metrics hold")
                if checked > 1
                else "the relation between the metrics holds"
            ]
        )[0],
        **speaking(
            outcome,
            (Measured("impossible relations", len(wrong), "count", n=checked), gate),
            (Measured("doubtful relations", len(doubt), "count", n=checked), gate),
        ),
        evidence={"impossible": wrong, "doubtful": doubt, "metrics": m},
        remedy=remedy,
    )


@audited
def magnitude(forecast: Any, target: Any, *, history: Any = None) -> Finding:
    """PRED-10: forecasts have the size that squared loss allows.

    Parameters
    ----------
    forecast, target : array_like of shape (n,)
        Forecast and what came, in one unit.
    history : array_like, optional
        Earlier targets, whose range forecasts should stay in. Default: `target`.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, or where the target is constant.
    """
    f, y = numbers("forecast", forecast), numbers("target", target)
    same_rows(forecast=f, target=y)
    good = np.isfinite(f) & np.isfinite(y)
    f, y = f[good], y[good]
    past = y if history is None else numbers("history", history)
    past = past[np.isfinite(past)]
    gate = Gate(
        "within",
        f"{SPREAD[0]:g} to {SPREAD[1]:g}",
        "case S000",
        "the best forecast of squared loss varies less than its target",
    )
    remedy = "check the inverse scaling and the unit; shrink towards the mean"
    if len(f) < FEW or np.ptp(y) == 0 or not len(past):
        return unable(
            "PRED-10", f"{plural(len(f), 'row')}, or a constant target", remedy, gate=gate
        )
    ratio = float(f.std() / y.std()) if np.ptp(f) > 0 else 0.0
    outside = float(np.mean((f < past.min()) | (f > past.max())))
    outcome: Outcome = (
        "fail"
        if ratio > SPREAD[1]
        else "warn"
        if ratio < SPREAD[0] or outside > OUTSIDE
        else "pass"
    )
    return made(
        "PRED-10",
        outcome,
        (
            f"forecasts vary {ratio:.3g} times as much as the "
            f"target; {outside:.1%} lie outside of its range"
        ),
        **speaking(
            outcome,
            (Measured("deviation of forecast over target", ratio, "ratio", n=len(f)), gate),
            (
                Measured("share outside of the target's range", outside, "fraction", n=len(f)),
                Gate("<=", OUTSIDE, "case S000", "what never came is seldom the best forecast"),
            ),
        ),
        evidence={"outside": outside, "bias": float(f.mean() - y.mean())},
        cause=("a scaler that was not inverted", "a flat model (PRED-01)"),
        remedy=remedy,
    )
