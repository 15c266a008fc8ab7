"""Calibration of probabilities on rows that trained nothing: temperature, Platt's sigmoid, isotonic regression.

What is fitted is plain numbers in a dict, which goes into the bundle's manifest as it is; `apply` is the only place
that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from barproof.models.protocol import Floats, Ints

METHODS = ("temperature", "isotonic", "platt")

# No sample shows a probability of exactly 0 or 1, and its logit would be infinite.
_LEAST_P = 1e-9
# Temperatures that are looked for.
_COOLEST, _HOTTEST = 0.01, 100.0

Fitted: TypeAlias = dict[str, Any]


def fit_calibration(
    method: str, p: Floats, y: Ints, classes: Sequence[int] | None = None
) -> Fitted:
    """Fit a calibration.

    `p` has shape (n, n_columns), rows summing to 1; `y` holds the column of each row's class, of which there are at
    least two. `classes` are the columns that the model has met, default all; the others keep their probability of 0.
    """
    met = np.sort(np.arange(p.shape[1]) if classes is None else np.array(classes, dtype=np.int64))
    known = np.isin(y, met)
    facts: Fitted = {"method": method, "classes": met.tolist(), "n": int(np.count_nonzero(known))}
    if not known.all():
        facts["left_out"] = int(np.count_nonzero(~known))
    return facts | _FIT[method](p[known][:, met], np.searchsorted(met, y[known]))


def apply_calibration(fitted: Mapping[str, Any], p: Floats) -> Floats:
    """Calibrated probabilities of the same shape; each row by itself, NaN rows stay NaN."""
    if fitted["method"] is None:
        return p
    out = np.where(np.isnan(p[:, :1]), np.nan, np.zeros_like(p))
    out[:, fitted["classes"]] = _APPLY[fitted["method"]](fitted, p[:, fitted["classes"]])
    return out


def _logs(p: Floats) -> Floats:
    return np.log(np.maximum(p, _LEAST_P))


def _fit_temperature(p: Floats, y: Ints) -> Fitted:
    """One temperature: the root of the score, the derivative of the mean log loss in ``beta = 1 / T``, which rises."""
    from scipy.optimize import brentq

    z = _logs(p)
    z = z - z.max(axis=1, keepdims=True)
    own = z[np.arange(len(z)), y]
    if not np.any(z):
        return {"temperature": 1.0, "note": "probabilities are uniform"}

    def score(beta: float) -> float:
        raised = np.exp(beta * z)
        return float(np.mean((raised * z).sum(axis=1) / raised.sum(axis=1) - own))

    low, high = 1.0 / _HOTTEST, 1.0 / _COOLEST
    if score(low) >= 0.0:
        return {"temperature": _HOTTEST, "note": "no skill on these rows: at the bound"}
    if score(high) <= 0.0:
        return {"temperature": _COOLEST, "note": "all rows right: at the bound"}
    return {"temperature": 1.0 / float(brentq(score, low, high, xtol=1e-14, rtol=1e-14))}


def _apply_temperature(fitted: Mapping[str, Any], p: Floats) -> Floats:
    z = _logs(p) / fitted["temperature"]
    raised = np.exp(z - z.max(axis=1, keepdims=True))
    out: Floats = raised / raised.sum(axis=1, keepdims=True)
    return out


def tempered(temperature: float, down: float, up: float) -> tuple[float, float]:
    """Temperature of one pair of probabilities; the bits of the rows of a table."""
    logs = np.log(np.array((max(down, _LEAST_P), max(up, _LEAST_P)))).tolist()
    a, b = logs[0] / temperature, logs[1] / temperature
    top = max(a, b)
    x, y = np.exp(np.array((a - top, b - top))).tolist()
    total = x + y
    return x / total, y / total


def _each(p: Floats) -> list[int]:
    """Columns that are fitted: the second of two, every one of more."""
    return [1] if p.shape[1] == 2 else list(range(p.shape[1]))


def _join(p: Floats, columns: list[Floats]) -> Floats:
    """Calibrated columns to rows that sum to 1; a row without any mass keeps what it had."""
    if p.shape[1] == 2:
        return np.column_stack([1.0 - columns[0], columns[0]])
    out = np.column_stack(columns)
    total = out.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, out / np.where(total > 0.0, total, 1.0), p)


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, _LEAST_P, 1.0 - _LEAST_P)
    return np.log(inside / (1.0 - inside))


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)), dtype=np.float64)


def _fit_platt(p: Floats, y: Ints) -> Fitted:
    """Slope and intercept on the logit, one class against the rest, with Platt's targets, by Newton steps."""
    lines = []
    for k in _each(p):
        ups = int(np.count_nonzero(y == k))
        high, low = (ups + 1.0) / (ups + 2.0), 1.0 / (len(y) - ups + 2.0)
        lines.append(_newton(_logit(p[:, k]), np.where(y == k, high, low)))
    return {"slope": [a for a, _ in lines], "intercept": [b for _, b in lines]}


def _newton(z: Floats, target: Floats) -> tuple[float, float]:
    """Fit slope and intercept of a logistic curve by Newton steps, halved while the loss rises."""
    centre, spread = float(z.mean()), float(z.std())
    base = float(np.log(target.mean() / (1.0 - target.mean())))
    # One value for every row, but for its rounding: there is no slope to find.
    if spread <= 1e-12 * (1.0 + abs(centre)):
        return 0.0, base
    design = np.column_stack([(z - centre) / spread, np.ones(len(z))])
    line = np.array([0.0, base])

    def loss(at: Floats) -> float:
        value = design @ at
        return float(np.mean(np.logaddexp(0.0, value) - target * value))

    here = loss(line)
    for _ in range(100):
        q = _sigmoid(design @ line)
        slope = design.T @ (q - target) / len(z)
        weight = np.maximum(q * (1.0 - q), 1e-12)
        step = np.linalg.solve((design * weight[:, None]).T @ design / len(z), slope)
        size = 1.0
        while loss(line - size * step) > here and size > 1e-10:
            size /= 2.0
        line = line - size * step
        there = loss(line)
        if np.max(np.abs(step)) < 1e-12 or here - there == 0.0:
            break
        here = there
    a = float(line[0]) / spread
    return a, float(line[1]) - a * centre


def _apply_platt(fitted: Mapping[str, Any], p: Floats) -> Floats:
    lines = zip(_each(p), fitted["slope"], fitted["intercept"], strict=True)
    return _join(p, [_sigmoid(a * _logit(p[:, k]) + b) for k, a, b in lines])


def _fit_isotonic(p: Floats, y: Ints) -> Fitted:
    """Rising steps by pooling, one class against the rest; few rows make coarse steps."""
    from sklearn.isotonic import IsotonicRegression

    knots: list[dict[str, list[float]]] = []
    for k in _each(p):
        steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        steps.fit(p[:, k], (y == k).astype(np.float64))
        knots.append({"p": steps.X_thresholds_.tolist(), "to": steps.y_thresholds_.tolist()})
    return {"steps": knots}


def _apply_isotonic(fitted: Mapping[str, Any], p: Floats) -> Floats:
    columns = []
    for k, steps in zip(_each(p), fitted["steps"], strict=True):
        there = ~np.isnan(p[:, k])
        column = np.full(len(p), np.nan)
        column[there] = np.interp(p[there, k], steps["p"], steps["to"])
        columns.append(column)
    return _join(p, columns)


_FIT: dict[str, Callable[[Floats, Ints], Fitted]] = {
    "temperature": _fit_temperature,
    "isotonic": _fit_isotonic,
    "platt": _fit_platt,
}
_APPLY: dict[str, Callable[[Mapping[str, Any], Floats], Floats]] = {
    "temperature": _apply_temperature,
    "isotonic": _apply_isotonic,
    "platt": _apply_platt,
}
