"""Audits of what the columns of a model hold: PAR-06 to PAR-08."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
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
    table,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = ["channel_map", "dead_features", "feature_drift"]

Floats = NDArray[np.float64]

LEVEL = 0.05
PSI_WARN, PSI_FAIL, D_WARN, D_FAIL = 0.10, 0.25, 0.10, 0.20
SAME_CHANNEL = 0.999
ONE_VALUE = 0.999


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
