"""Audits of what a label asks of a model: LAB-04 to LAB-08."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    auc,
    audited,
    capped,
    correlation,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    table,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError
from barproof.stats._common import tail

__all__ = [
    "base_rate_drift",
    "label_against_cost",
    "label_sweep",
    "label_timing",
    "leaking_feature",
]

LEVEL = 0.05
ALONE_WARN, ALONE_FAIL, DROP = 0.75, 0.90, 0.10
BEFORE = 5


@audited
def label_sweep(cells: Any, *, axes: tuple[str, ...] = (), chosen: int | None = None) -> Finding:
    """LAB-04: labels of some parameters can be learned at all.

    Parameters
    ----------
    cells : frame or mapping of str to array_like
        One row a combination of label parameters: `auc` out of sample of a cheap model with purged folds, its standard
        `error`, and any further columns (share of positives, mean move, uniqueness).
    axes : tuple of str, default ()
        Columns that were varied, to find the neighbours of the chosen cell.
    chosen : int, optional
        Row of the cell that is used.

    Returns
    -------
    Finding
        Every cell counts as a trial (Holm). Inconclusive where no cell has an AUC and an error.

    Raises
    ------
    ParameterError
        If a column is missing.
    """
    frame = pl.DataFrame(cells) if not isinstance(cells, pl.DataFrame) else cells
    for name in ("auc", "error", *axes):
        if name not in frame.columns:
            raise ParameterError(
                f"`cells` has no column `{name}`; it has {', '.join(frame.columns)}"
            )
    value, error = numbers("auc", frame["auc"]), numbers("error", frame["error"])
    usable = np.isfinite(value) & np.isfinite(error) & (error > 0)
    gate = Gate("<=", LEVEL, "case S003", "labels that nothing can learn make a flat model")
    remedy = "choose horizon, threshold and filter where a cheap model has skill; count every cell as a trial"
    if not usable.any():
        return unable(
            "LAB-04", f"none of {len(value)} cells has an AUC and its error", remedy, gate=gate
        )
    p = np.full(len(value), math.nan)
    z = (value[usable] - 0.5) / error[usable]
    p[usable] = [tail(float(x)) for x in z]
    adjusted = np.full(len(value), math.nan)
    adjusted[usable] = stats.holm(p[usable]).p
    good = adjusted <= LEVEL
    best = int(np.nanargmin(np.where(usable, adjusted - value * 1e-9, np.inf)))
    rows = [
        {**row, "p": float(p[i]), "p_holm": float(adjusted[i])}
        for i, row in enumerate(frame.iter_rows(named=True))
    ]
    rows.sort(key=lambda row: (math.isnan(row["p_holm"]), row["p_holm"]))
    title = (
        f"{int(good.sum())} of {len(value)} cells beat 0.5: "
        f"best AUC {value[best]:.3f}, Holm p {adjusted[best]:.2g}"
    )
    outcome: Outcome = "pass" if good.any() else "fail"
    looked = [("p-value of the best cell", np.flatnonzero(usable))]
    if not good.any():
        title = f"no evidence that any of {len(value)} labels can be learned: best AUC {value[best]:.3f}"
    elif chosen is not None:
        beside = _beside(frame, axes, chosen)
        looked.append(("p-value of the chosen cell", np.array([chosen])))
        looked += [("p-value of its neighbours", np.array(beside))] if beside else []
        if not good[chosen]:
            outcome, title = (
                "fail",
                f"the chosen cell has AUC {value[chosen]:.3f}, Holm p {adjusted[chosen]:.2g}",
            )
        elif beside and not good[beside].any():
            outcome = "warn"
            title = f"the chosen cell stands alone: none of {len(beside)} neighbours beats 0.5"
    return made(
        "LAB-04",
        outcome,
        title,
        **speaking(
            outcome,
            *(
                (
                    Measured(
                        name,
                        float(adjusted[i].min()),
                        form="least p-value, one-sided, after Holm",
                        n=len(value),
                        p_value=float(adjusted[i].min()),
                    ),
                    gate,
                )
                for name, i in looked
            ),
        ),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        assumptions={"purged folds": "unchecked"},
    )


def _beside(frame: pl.DataFrame, axes: tuple[str, ...], chosen: int) -> list[int]:
    """Cells one step away along one axis."""
    place = np.column_stack([frame[a].rank("dense").to_numpy() for a in axes]) if axes else None
    if place is None:
        return []
    away = np.abs(place.astype(np.int64) - place[chosen].astype(np.int64))
    return [int(i) for i in np.flatnonzero(away.sum(axis=1) == 1)]


@audited
def label_against_cost(threshold: float, *, cost: float, moves: Any = None) -> Finding:
    """LAB-05: a positive label is worth trading.

    Parameters
    ----------
    threshold : float
        Move that makes a label positive, a fraction.
    cost : float
        Round trip: fees, spread and slippage, a fraction.
    moves : array_like of shape (n,), optional
        Move of each positive label to its best exit.

    Returns
    -------
    Finding
        Inconclusive where threshold or cost are not finite, or the cost is not above 0.
    """
    gate = Gate(">", 1, "case S003", "a label below its cost teaches a model to lose")
    remedy = "raise the threshold above the round trip, or lower the cost"
    if not (math.isfinite(threshold) and math.isfinite(cost)) or cost <= 0:
        return unable(
            "LAB-05", f"threshold {threshold} and cost {cost}: both are needed", remedy, gate=gate
        )
    evidence: dict[str, Any] = {"threshold": threshold, "cost": cost}
    title = f"the label asks for {threshold:.3%}, a round trip costs {cost:.3%}"
    outcome: Outcome = "pass" if threshold > cost else "fail"
    below = math.nan
    if moves is not None:
        held = numbers("moves", moves)
        held = held[np.isfinite(held)]
        below = float(np.mean(held <= cost)) if len(held) else math.nan
        evidence |= {"positives": len(held), "share_below_cost": below}
        if len(held):
            title += f"; {below:.1%} of {len(held):,} positives never move beyond it"
        if below > 0.5 and outcome == "pass":
            outcome = "warn"
        elif not len(held) and outcome == "pass":
            outcome = "inconclusive"
    return made(
        "LAB-05",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("threshold over cost", threshold / cost, "ratio"), gate),
            (
                Measured("positives that never move beyond the cost", below, "fraction"),
                Gate("<=", 0.5, "case S003", "most positives must be worth their trade"),
            ),
        ),
        evidence=evidence,
        remedy=remedy,
    )


def _moves(returns: NDArray[np.float64], start: int, last: int) -> NDArray[np.float64]:
    """Sum of the returns of bars `start` to `last` after each; NaN where one of them is missing."""
    n = len(returns)
    out = np.full(n, np.nan)
    rows = n - last
    if rows > 0:
        known = np.isfinite(returns)
        sums = np.concatenate(([0.0], np.cumsum(np.where(known, returns, 0.0))))
        counts = np.concatenate(([0], np.cumsum(known)))
        ends = np.arange(rows) + last + 1
        begins = np.arange(rows) + start
        whole = counts[ends] - counts[begins] == last - start + 1
        out[:rows] = np.where(whole, sums[ends] - sums[begins], np.nan)
    return out


@audited
def label_timing(labels: Any, returns: Any, *, horizon: int, start: int = 1) -> Finding:
    """LAB-06: the label knows the bars after its own, and no earlier ones.

    Parameters
    ----------
    labels : array_like of shape (n,)
        One a bar; NaN is none.
    returns : array_like of shape (n,)
        Return of each bar over the one before.
    horizon : int
        Bars that the label looks at.
    start : int, default 1
        First of them, counted from the label's own bar.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 independent labels, or where one of both is constant.
    """
    y, r = numbers("labels", labels), numbers("returns", returns)
    n = same_rows(labels=y, returns=r)
    last = start + horizon - 1
    gate = Gate(
        "<=",
        0.5,
        "default",
        ("what a label shares with known bars must be little beside what it shares with its own"),
    )
    remedy = "make labels with bp.labels from bar t + 1 on, and check the shift of the label column"
    worth = float(np.isfinite(y).sum()) / max(horizon, 1)
    if worth < FEW:
        return unable("LAB-06", f"{worth:.0f} independent labels: too few", remedy, gate=gate)
    rows = []
    for lag in range(-BEFORE, last + 6):
        a, b = (y[: n - lag], r[lag:]) if lag >= 0 else (y[-lag:], r[: n + lag])
        rows.append({"lag": lag, "correlation": correlation(a, b), "own": start <= lag <= last})
    own = [abs(x["correlation"]) for x in rows if x["own"] and math.isfinite(x["correlation"])]
    past = [x for x in rows if x["lag"] < start and math.isfinite(x["correlation"])]
    if not own or not past:
        return unable("LAB-06", "labels or returns are constant", remedy, gate=gate)
    peak, worst = max(own), max(past, key=lambda x: abs(x["correlation"]))
    # One of many own bars explains little of the label, and few labels cannot tell that from noise; their sum can.
    whole = correlation(y, _moves(r, start, last))
    known = max(peak, whole if math.isfinite(whole) else 0.0)
    bound = 4 / math.sqrt(worth)
    alone = f"its own bars ({peak:.3f})"
    shown = alone if peak > bound else f"all of its own {horizon} bars together ({known:.3f})"
    size = abs(worst["correlation"])
    seen = size > bound
    if seen and size > 0.5 * peak:
        outcome: Outcome = "fail"
        title = (
            f"the label goes with the return of bar {worst['lag']:+d} "
            f"({worst['correlation']:+.3f}), its own bars at most {peak:.3f}"
        )
    elif known <= bound:
        outcome, title = (
            "fail",
            (
                f"the label goes with none of its own {horizon} "
                f"bars, nor with all of them: at most {known:.3f}, noise reaches {bound:.3f}"
            ),
        )
    elif seen:
        outcome = "warn"
        title = (
            f"the label goes with the return of bar {worst['lag']:+d} "
            f"({worst['correlation']:+.3f}) beside {peak:.3f} with its own: momentum, or a shift"
        )
    else:
        outcome, title = (
            "pass",
            (
                f"the label goes with {shown}, with "
                f"earlier ones at most {size:.3f} (noise {bound:.3f})"
            ),
        )
    return made(
        "LAB-06",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("correlation with known bars", size, n=n, n_eff=worth),
                Gate("<=", bound, "default", "what noise reaches: 4 standard errors"),
            )
            if seen and size <= 0.5 * peak
            else (
                Measured(
                    "correlation with known bars over own",
                    size / peak if peak else None,
                    "ratio",
                    n=n,
                    n_eff=worth,
                ),
                gate,
            ),
            (
                Measured("correlation with its own bars", known, n=n, n_eff=worth),
                Gate(">", bound, "default", "a label must go with what it is made of"),
            ),
        ),
        evidence=capped(sorted(rows, key=lambda x: -abs(x["correlation"])), len(rows)),
        cause=("a label shifted by a bar", "a label of the return that has passed"),
        remedy=remedy,
    )


@audited
def leaking_feature(features: Any, labels: Any, *, train: Any = None, test: Any = None) -> Finding:
    """LAB-07: no feature alone tells the label.

    Parameters
    ----------
    features : frame or array_like of shape (n, n_features)
        One row a label.
    labels : array_like of shape (n,)
        Above 0 is positive; NaN is none.
    train, test : array_like of int, optional
        Rows of the two parts, to compare skill between them. Default: all rows.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows, or one class.
    """
    x, names = table("features", features)
    y = numbers("labels", labels)
    n = same_rows(features=x, labels=y)
    gate = Gate(
        "<=",
        ALONE_WARN,
        "default",
        ("nothing that is known predicts the direction of a market that well alone"),
    )
    remedy = "recompute the feature on data cut after the bar (SPL-07), and drop what was made from the label"
    parts = {"train": train, "test": test}
    parts = {k: np.asarray(v, np.int64) for k, v in parts.items() if v is not None} or {
        "all": np.arange(n)
    }
    rows: list[dict[str, Any]] = []
    for j, name in enumerate(names):
        row: dict[str, Any] = {"feature": name}
        for part, at in parts.items():
            at = at[at < n]
            good = np.isfinite(x[at, j]) & np.isfinite(y[at])
            both = at[good]
            up = y[both] > 0
            enough = len(both) >= FEW and 0 < up.sum() < len(up)
            row[part] = auc(x[both, j], up) if enough else math.nan
        rows.append(row)
    told = [part for part in parts if any(math.isfinite(row[part]) for row in rows)]
    if len(told) < len(parts) or not rows:
        return unable("LAB-07", "fewer than 30 rows or one class in a part", remedy, gate=gate)

    def skill(row: Mapping[str, Any]) -> float:
        held = [abs(row[part] - 0.5) for part in parts if math.isfinite(row[part])]
        return max(held, default=0.0)

    rows.sort(key=skill, reverse=True)
    top = skill(rows[0]) + 0.5
    fading = [
        row
        for row in rows
        if {"train", "test"} <= set(parts)
        and abs(row["train"] - 0.5) - abs(row["test"] - 0.5) > DROP
    ]
    outcome: Outcome = (
        "fail" if top > ALONE_FAIL else "warn" if top > ALONE_WARN or fading else "pass"
    )
    title = (
        f"the most telling of {plural(len(names), 'feature')}, "
        f"`{rows[0]['feature']}`, has an AUC of {top:.3f} alone"
    )
    if fading and top <= ALONE_WARN:
        title = (
            f"`{fading[0]['feature']}` alone falls from {fading[0]['train']:.3f} "
            f"in train to {fading[0]['test']:.3f} in test"
        )
    return made(
        "LAB-07",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("area under the curve", top, form="one feature, either direction", n=n),
                gate,
            ),
            (
                Measured("features that fade from train to test", len(fading), "count", n=n),
                Gate(
                    "=", 0, "default", f"an area that falls by more than {DROP} was luck, or drift"
                ),
            ),
        ),
        evidence=capped(rows, len(rows)),
        cause=("a feature made from the label or from later bars", "a row number or a date"),
        remedy=remedy,
        scope={"feature": rows[0]["feature"]},
    )


@audited
def base_rate_drift(
    labels: Any, groups: Mapping[str, Any], *, n_eff: float | None = None
) -> Finding:
    """LAB-08: the share of each class does not change over folds and months.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Classes; NaN is none.
    groups : mapping of str to array_like of shape (n,)
        Number of the fold, of the month, or of anything else, of each row.
    n_eff : float, optional
        Independent labels among them (SPL-06), by which statistics shrink. Default: all.

    Returns
    -------
    Finding
        Holm over groupings. Inconclusive with one class, or where a group expects fewer than 5 labels of a class.
    """
    from scipy.stats import chi2

    y = numbers("labels", labels)
    good = np.isfinite(y)
    n = int(good.sum())
    worth = 1.0 if n_eff is None or not n else min(1.0, n_eff / n)
    gate = Gate(
        ">",
        LEVEL,
        "default",
        "a forecast of the old share is wrong on the new one whatever its skill",
    )
    remedy = "recalibrate on recent rows, or use labels whose share does not follow volatility"
    rows: list[dict[str, Any]] = []
    for name, given in groups.items():
        group = numbers(str(name), given)
        same_rows(labels=y, groups=group)
        use = good & np.isfinite(group)
        counts = _contingency(y[use], group[use])
        total = counts.sum()
        if min(counts.shape) < 2:
            continue
        expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
        if (expected * worth).min() < 5:
            continue
        statistic = float(((counts - expected) ** 2 / expected).sum()) * worth
        freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        share = counts / counts.sum(axis=1, keepdims=True)
        rows.append(
            {
                "grouping": str(name),
                "groups": counts.shape[0],
                "chi2": statistic,
                "p": float(chi2.sf(statistic, freedom)),
                "apart": float((share.max(axis=0) - share.min(axis=0)).max()),
            }
        )
    if not rows:
        return unable(
            "LAB-08",
            (f"{plural(n, 'label')}: one class, one group, or too few of a class in a group"),
            remedy,
            gate=gate,
        )
    for row, p in zip(rows, stats.holm([row["p"] for row in rows]).p, strict=True):
        row["p_holm"] = float(p)
    rows.sort(key=lambda row: row["p_holm"])
    worst = rows[0]
    outcome: Outcome = "warn" if worst["p_holm"] <= LEVEL else "pass"
    word = "changes" if outcome == "warn" else "holds"
    return made(
        "LAB-08",
        outcome,
        (
            f"the share of a class {word} by {worst['grouping']}: up to {worst['apart']:.1%} "
            f"apart in {worst['groups']} groups, Holm p {worst['p_holm']:.2g}"
        ),
        measured=Measured(
            "p-value",
            worst["p_holm"],
            form="chi-square, after Holm",
            n=n,
            n_eff=n * worth,
            p_value=worst["p_holm"],
        ),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        assumptions={"independent labels": "unchecked" if n_eff is None else "checked"},
    )


def _contingency(y: NDArray[np.float64], group: NDArray[np.float64]) -> NDArray[np.float64]:
    classes, a = np.unique(y, return_inverse=True)
    names, b = np.unique(group, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (b, a), 1)
    return counts
