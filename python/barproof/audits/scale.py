"""Audits of what enters a model: PAR-02 to PAR-08."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Literal

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
    table,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = [
    "channel_map",
    "dead_features",
    "feature_drift",
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
PSI_WARN, PSI_FAIL, D_WARN, D_FAIL = 0.10, 0.25, 0.10, 0.20
SAME_CHANNEL = 0.999
ONE_VALUE = 0.999


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


@audited
def feature_drift(reference: Any, current: Any, *, bins: int = 10) -> Finding:
    """PAR-06: the inputs of today are distributed as those of training.

    Parameters
    ----------
    reference, current : frame or array_like of shape (n, n_features)
        Model inputs, not raw prices, which drift for certain.
    bins : int, default 10
        Quantile bins of the reference.

    Returns
    -------
    Finding
        By the worst feature. Inconclusive where no feature has 30 finite values on both sides, or all are constant.
    """
    a, names = table("reference", reference)
    b, others = table("current", current)
    gate = Gate(
        "<",
        PSI_WARN,
        "default",
        ("a convention of credit scoring, beside the index of two samples of one distribution"),
    )
    remedy = "retrain on recent rows, or replace levels by changes"
    rows: list[dict[str, Any]] = []
    for j, name in enumerate(names):
        if name not in others:
            continue
        x, y = a[:, j], b[:, others.index(name)]
        x, y = x[np.isfinite(x)], y[np.isfinite(y)]
        if min(len(x), len(y)) < FEW or np.ptp(x) == 0:
            continue
        index, distance = stats.psi(x, y, bins=bins), stats.ks(x, y)
        if not math.isfinite(index.psi):
            continue
        # Features hang together in time: what chance gives follows from the independent rows among them.
        worth = [max(2, round(_worth(v))) for v in (x, y)]
        null = stats.psi_null(index.bins, *worth)[1]
        p = stats.ks_p(distance.d, *worth)
        beyond = index.psi > null
        outcome: Outcome = "pass"
        if (index.psi >= PSI_FAIL and beyond) or distance.d >= D_FAIL:
            outcome = "fail"
        elif (index.psi >= PSI_WARN and beyond) or distance.d >= D_WARN:
            outcome = "warn"
        rows.append(
            {
                "feature": name,
                "outcome": outcome,
                "psi": index.psi,
                "null_95": null,
                "d": distance.d,
                "p": p,
                "n_eff": worth,
                "w1_over_sd": stats.wasserstein(x, y).relative,
            }
        )
    if not rows:
        return unable(
            "PAR-06", "no feature has 30 values on both sides and varies", remedy, gate=gate
        )
    for row, p in zip(rows, stats.holm([row["p"] for row in rows]).p, strict=True):
        row["p_holm"] = float(p)
        if row["p_holm"] > LEVEL:
            row["outcome"] = "pass"
    rows.sort(key=lambda row: (["fail", "warn", "pass"].index(row["outcome"]), -row["psi"]))
    worst = rows[0]
    drifting = sum(row["outcome"] != "pass" for row in rows)
    return made(
        "PAR-06",
        worst["outcome"],
        f"{drifting} of {plural(len(rows), 'feature')} drift; most `{worst['feature']}`: PSI {worst['psi']:.3f} "
        f"(chance up to {worst['null_95']:.3f}), D {worst['d']:.3f}",
        **speaking(
            worst["outcome"],
            (
                Measured(
                    "population stability index", worst["psi"], n=len(b), p_value=worst["p_holm"]
                ),
                replace(gate, threshold=max(PSI_WARN, worst["null_95"])),
            ),
            (
                Measured("distance of distributions", worst["d"], form="Kolmogorov's D", n=len(b)),
                Gate("<", D_WARN, "default", "a tenth of the rows lie on the other side"),
            ),
            (
                Measured("p-value", worst["p_holm"], form="Kolmogorov, after Holm", n=len(b)),
                Gate(">", LEVEL, "default", "less is what chance gives in slow features"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        scope={"feature": worst["feature"]},
    )


def _worth(values: Floats) -> float:
    """Independent observations among values in time order."""
    if np.ptp(values) == 0:
        return 1.0
    size = stats.effective_size(values).size
    return size if math.isfinite(size) else float(len(values))


@audited
def dead_features(
    features: Any, *, predict: Callable[[Any], Any] | None = None, seed: int = 0
) -> Finding:
    """PAR-07: every feature says something, and no two say the same.

    Parameters
    ----------
    features : frame or array_like of shape (n, n_features)
        Model inputs.
    predict : callable, optional
        Rows to predictions: features whose permutation changes none are dead too.
    seed : int, default 0
        Of the permutations.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows with all features.
    """
    x, names = table("features", features)
    x = x[np.isfinite(x).all(axis=1)]
    gate = Gate(
        "=",
        0,
        "default",
        ("a feature without content is weight on noise; two equal ones share one importance"),
    )
    remedy = "drop constant features and one of every pair"
    n = len(x)
    if n < FEW or not len(names):
        return unable("PAR-07", f"{plural(n, 'row')} with all features: too few", remedy, gate=gate)
    constant = [name for j, name in enumerate(names) if _top_share(x[:, j]) > ONE_VALUE]
    alive = [j for j, name in enumerate(names) if name not in constant]
    pairs = []
    if len(alive) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            corr = np.atleast_2d(np.corrcoef(x[:, alive], rowvar=False))
        for i, k in np.argwhere(np.triu(np.abs(corr) > 0.999, 1)):
            pairs.append((names[alive[i]], names[alive[k]], float(corr[i, k])))
    unused = []
    if predict is not None and n:
        base = np.asarray(predict(x), dtype=np.float64)
        order = np.argsort(stats.uniforms(seed, n), kind="stable")
        for j in alive:
            moved = x.copy()
            moved[:, j] = x[order, j]
            if np.array_equal(np.asarray(predict(moved), dtype=np.float64), base):
                unused.append(names[j])
    rows: list[dict[str, Any]] = [{"feature": name, "why": "constant"} for name in constant]
    rows += [{"feature": a, "why": f"the same as {b}", "correlation": r} for a, b, r in pairs]
    rows += [{"feature": name, "why": "changes no prediction"} for name in unused]
    outcome: Outcome = "fail" if not alive else "warn" if rows else "pass"
    title = f"{plural(len(names), 'feature')}: {len(constant)} constant, {plural(len(pairs), 'equal pair')}"
    if predict is not None:
        title += f", {len(unused)} without effect"
    return made(
        "PAR-07",
        outcome,
        title + (f"; first `{rows[0]['feature']}`" if rows else ""),
        measured=Measured("features without content of their own", len(rows), "count", n=n),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        fixable=True,
    )


def _top_share(values: Floats) -> float:
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / counts.sum())


@audited
def channel_map(channels: Any, names: Mapping[str, int], series: Mapping[str, Any]) -> Finding:
    """PAR-08: channels are what their names claim.

    Parameters
    ----------
    channels : array_like of shape (n, n_channels)
        Targets or inputs as the model has them, scaled or not.
    names : mapping of str to int
        Channel of each name.
    series : mapping of str to array_like of shape (n,)
        The raw series of each name.

    Returns
    -------
    Finding
        Says which channel a series really is. Inconclusive where no name can be checked.
    """
    x = matrix("channels", channels)
    gate = Gate(
        ">=", SAME_CHANNEL, "case S000", "a map by number is right until somebody adds a market"
    )
    remedy = "store the map by name, and look it up by name"
    rows: list[dict[str, Any]] = []
    for name, index in names.items():
        if name not in series:
            continue
        held = numbers(name, series[name])
        same_rows(channels=x, series=held)
        if not 0 <= index < x.shape[1]:
            rows.append(
                {"name": name, "channel": index, "correlation": None, "best": None, "wrong": True}
            )
            continue
        r = correlation(x[:, index], held)
        if math.isnan(r):
            continue
        all_of_them = [correlation(x[:, k], held) for k in range(x.shape[1])]
        best = int(np.nanargmax(all_of_them))
        rows.append(
            {
                "name": name,
                "channel": int(index),
                "correlation": r,
                "best": best,
                "best_correlation": all_of_them[best],
                "wrong": r < SAME_CHANNEL,
            }
        )
    if not rows:
        return unable("PAR-08", "no name has a series that varies", remedy, gate=gate)
    wrong = [row for row in rows if row["wrong"]]
    rows.sort(key=lambda row: not row["wrong"])
    if wrong:
        first = wrong[0]
        found = (
            "; no channel has that number"
            if first["best"] is None
            else (
                f": correlation {first['correlation']:.3f}; "
                f"channel {first['best']} has "
                f"{first['best_correlation']:.3f}"
            )
        )
        title = f"channel {first['channel']} is not `{first['name']}`{found}"
    else:
        title = f"{plural(len(rows), 'channel')} hold the series they are named after"
    least = min(
        (row["correlation"] for row in rows if row["correlation"] is not None), default=None
    )
    return made(
        "PAR-08",
        "fail" if wrong else "pass",
        title,
        **speaking(
            "fail" if wrong else "pass",
            (Measured("least correlation", least, n=len(x)), gate),
            (
                Measured("names without a channel", len(wrong), "count", n=len(rows)),
                Gate("=", 0, "case S000", "a map by number is right until somebody adds a market"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        scope={"name": rows[0]["name"]},
    )
