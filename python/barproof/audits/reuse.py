"""Audits of what splits leave open: SPL-03 to SPL-06."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from barproof import stats
from barproof.audits.common import audited, capped, made, numbers, plural, same_rows, table, unable
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.audits.splits import _spans, parts_of

__all__ = ["embargo", "fit_scope", "overlap", "reused_parts"]

HUNDREDTH = 0.01
FACTOR = 1.2
ROUNDING = 1e-6


@audited
def embargo(folds: Iterable[Any], labels: Any = None, *, memory_bars: int | None = None) -> Finding:
    """SPL-03: train rows right after a test block are left out.

    Parameters
    ----------
    folds : iterable of Fold, or of tuples (train, test) or (train, tune, test) of row numbers
        Rows count bars.
    labels : object with `start` and `end`, or pair of array_like of shape (n,), int, optional
        First and last bar that each row's label looks at, both included; -1 and -1 where a row has no label.
    memory_bars : int, optional
        Bars over which features stay autocorrelated above 0.1. Default: 1% of the rows.

    Returns
    -------
    Finding
        Inconclusive without spans or folds. Where no train row follows a test block, as in a walk-forward, it passes.
    """
    every = parts_of(folds)
    spans = _spans(labels)
    why = "train rows after the test hold features made of test bars"
    gate = Gate(">=", None, "default", why)
    remedy = "set embargo= of the splitter to the label span plus the memory of the features"
    if spans is None or not every:
        return unable(
            "SPL-03",
            "no label spans were given" if spans is None else "no folds were given",
            remedy,
            gate=gate,
        )
    start, end = spans
    rows: list[dict[str, Any]] = []
    tested = 0
    for i, parts in enumerate(every):
        train, test = np.sort(parts["train"]), np.sort(parts["test"])
        tested += min(len(np.unique(train)), len(np.unique(test)))
        test = test[test < len(end)]
        if not len(train) or not len(test):
            continue
        for run in np.split(test, np.flatnonzero(np.diff(test) != 1) + 1):
            after = train[train > run[-1]]
            held = run[end[run] >= 0]
            if not len(after) or not len(held):
                continue
            span = int((end[held] - held).max())
            memory = math.ceil(HUNDREDTH * len(start)) if memory_bars is None else int(memory_bars)
            rows.append(
                {
                    "fold": i,
                    "test_ends": int(run[-1]),
                    "train_goes_on": int(after[0]),
                    "gap": int(after[0] - run[-1] - 1),
                    "label_span": span,
                    "memory": memory,
                }
            )
    if tested < 2:
        return unable("SPL-03", "no fold has 2 train and test rows", remedy, gate=gate)
    if not rows:
        return made(
            "SPL-03",
            "pass",
            f"in {plural(len(every), 'fold')} no train row follows a test block",
            gate=Gate(
                "=", 0, "default", "an embargo is needed where training goes on after a test"
            ),
            measured=Measured("train blocks after a test block", 0, "count", n=len(every)),
        )
    rows.sort(key=lambda row: row["gap"] - row["label_span"])
    worst = rows[0]
    short = worst["gap"] < worst["label_span"]
    thin = any(row["gap"] < row["label_span"] + row["memory"] for row in rows)
    outcome: Outcome = "fail" if short else "warn" if thin else "pass"
    return made(
        "SPL-03",
        outcome,
        f"training goes on {plural(worst['gap'], 'bar')} after the test of fold {worst['fold']}; labels reach "
        f"{worst['label_span']}, features {worst['memory']} bars",
        measured=Measured("gap after the test", worst["gap"], "bars", n=len(rows)),
        gate=Gate(">=", worst["label_span"] + worst["memory"], "default", why),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        scope={"fold": worst["fold"]},
        fixable=True,
    )


@audited
def fit_scope(location: Any, scale: Any, rows: Any, train: Any) -> Finding:
    """SPL-04: the preprocessing was fitted on train rows only.

    Parameters
    ----------
    location, scale : array_like of shape (n_features,)
        Means and standard deviations that the fitted scaler holds.
    rows : frame or array_like of shape (n, n_features)
        All rows, unscaled.
    train : array_like of int
        Rows of the train part.

    Returns
    -------
    Finding
        Inconclusive where train and all rows cannot be told apart, or hold no finite row.
    """
    x, names = table("rows", rows)
    mu, sd = numbers("location", location), numbers("scale", scale)
    if len(mu) != len(names) or len(sd) != len(names):
        return unable(
            "SPL-04", f"{len(mu)} means and {len(sd)} scales for {len(names)} features (PAR-05)"
        )
    at = np.asarray(train, dtype=np.int64)
    at = at[at < len(x)]
    good = np.asarray(np.isfinite(x).all(axis=1))
    mine, whole = x[at[good[at]]], x[good]
    why = "a scaler that has seen the test tells the model about it"
    gate = Gate("<=", None, "case S001", why)
    remedy = "fit every step on train rows of each fold: a Pipeline, or bp.train, which does"
    if len(mine) < 2 or not len(names):
        return unable("SPL-04", "fewer than 2 finite train rows", remedy, gate=gate)
    told = []
    for held in (mine, whole):
        spread = held.std(axis=0)
        usable = (spread > 0) & np.isfinite(mu) & np.isfinite(sd) & (sd > 0)
        if not usable.any():
            return unable("SPL-04", "features or the fitted scale are constant", remedy, gate=gate)
        away = np.abs(mu - held.mean(axis=0))[usable] / spread[usable]
        wide = np.abs(np.log(sd[usable] / spread[usable]))
        told.append(np.maximum(away, wide))
    to_train, to_all = float(told[0].max()), float(told[1].max())
    # What ddof a library takes is no leak: it moves the scale by half a row.
    slack = ROUNDING + 1.0 / len(mine)
    apart = float(np.abs(told[0] - told[1]).max())
    evidence = {
        "to_train": to_train,
        "to_all": to_all,
        "train_rows": len(mine),
        "all_rows": len(whole),
    }
    if len(whole) == len(mine) or apart <= slack:
        outcome: Outcome = "inconclusive"
        title = "train rows and all rows have the same moments: which were fitted cannot be told"
    elif to_all < to_train:
        outcome, title = (
            "fail",
            (
                "the scaler is that of all rows (distance "
                f"{to_all:.2g}), not of train rows ({to_train:.2g})"
            ),
        )
    elif to_train > slack:
        outcome, title = (
            "warn",
            (
                f"the scaler is nearer to train rows ({to_train:.2g}) "
                f"than to all ({to_all:.2g}), and is that of neither"
            ),
        )
    else:
        outcome, title = (
            "pass",
            (
                f"the scaler is that of {len(mine):,} train rows "
                f"(distance {to_train:.2g}, to all rows {to_all:.2g})"
            ),
        )
    return made(
        "SPL-04",
        outcome,
        title,
        measured=Measured("distance to train rows", to_train, "standard deviations", n=len(mine)),
        gate=Gate("<=", slack, "case S001", why),
        evidence=evidence,
        remedy=remedy,
    )


@audited
def reused_parts(uses: Mapping[str, str | Sequence[str]], *, reported: str = "test") -> Finding:
    """SPL-05: what is reported was not chosen on the rows that it is reported on.

    Parameters
    ----------
    uses : mapping of str to str or sequence of str
        Part, or parts, on which each choice was made: early stopping, thresholds, the fold, the grid.
    reported : str, default "test"
        Part of the reported number.

    Returns
    -------
    Finding
        Inconclusive where no choice is named.
    """
    gate = Gate("=", 0, "case S004", "the best of a grid on its own rows is the best of luck too")
    remedy = "choose on tune rows; report test rows once"
    named = {k: [v] if isinstance(v, str) else list(v) for k, v in uses.items()}
    named = {k: [part for part in v if part] for k, v in named.items()}
    if not any(named.values()) or not reported:
        return unable("SPL-05", "no choice names the part it was made on", remedy, gate=gate)
    wrong = [k for k, v in named.items() if reported in v]
    return made(
        "SPL-05",
        "fail" if wrong else "pass",
        f"{', '.join(wrong)} chosen on {reported} rows, which are reported"
        if wrong
        else f"none of {plural(len(named), 'choice')} was made on {reported} rows",
        measured=Measured("choices on reported rows", len(wrong), "count", n=len(named)),
        gate=gate,
        evidence={"uses": named, "reported": reported},
        remedy=remedy,
    )


@audited
def overlap(start: Any, end: Any, *, claimed: float | None = None) -> Finding:
    """SPL-06: how many independent observations overlapping labels are.

    Parameters
    ----------
    start, end : array_like of shape (n,), int
        First and last bar of each label or window, both included; below 0 where there is none.
    claimed : float, optional
        Observations that a claim counts.

    Returns
    -------
    Finding
        Inconclusive without labels.
    """
    a, b = numbers("start", start), numbers("end", end)
    same_rows(start=a, end=b)
    held = np.isfinite(a) & np.isfinite(b) & (a >= 0) & (b >= a)
    n = int(held.sum())
    gate = Gate("<=", FACTOR, "default", "observations that share bars are no independent evidence")
    remedy = "count effective labels in every interval, or take every h-th label"
    if not n:
        return unable("SPL-06", "no labels with a span", remedy, gate=gate)
    effective = stats.effective_labels(a[held].astype(np.int64), b[held].astype(np.int64))
    counted = float(n) if claimed is None else float(claimed)
    factor = counted / effective
    outcome: Outcome = "pass" if factor <= FACTOR else "warn" if claimed is None else "fail"
    said = f"{n:,} labels" if claimed is None else f"{counted:,.0f} claimed observations"
    return made(
        "SPL-06",
        outcome,
        f"{said} are worth {effective:,.1f} independent ones: each bar is used {factor:.1f} times",
        measured=Measured("overlap factor", factor, "ratio", n=n, n_eff=effective),
        gate=gate,
        evidence={"labels": n, "effective": effective, "claimed": claimed},
        remedy=remedy,
    )
