"""Audits of the rows that reach a model: DATA-03 to DATA-08."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
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
    table,
    unable,
)
from barproof.audits.data import milliseconds
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "as_of",
    "duplicates_across_parts",
    "enough_history",
    "filter_selectivity",
    "non_finite",
    "row_accounting",
]

KEPT_WARN, KEPT_FAIL = 0.50, 0.20
NAN_DRIFT = 0.01
TWICE = 0.01
TIED = 0.99
FEW_LABELS, FEW_POSITIVES, CYCLES = 1_000, 100, 3


@audited
def row_accounting(raw: int, used: int, *, lost: Mapping[str, int] | None = None) -> Finding:
    """DATA-03: every row lost between raw bars and model input is explained.

    Parameters
    ----------
    raw, used : int
        Rows at the beginning, and rows that reached the model.
    lost : mapping of str to int, optional
        Declared losses: warm-up, sequence length, horizon, filters, NaN.

    Returns
    -------
    Finding
        Inconclusive where no row came in or none was used.
    """
    declared = {name: int(count) for name, count in (lost or {}).items()}
    gate = Gate("=", 0, "default", "rows that vanish unseen are rows that somebody chose")
    remedy = "declare every loss: warm-up, sequence length, horizon, filters, NaN"
    if raw <= 0 or used <= 0:
        return unable("DATA-03", f"{raw:,} rows came in and {used:,} were used", remedy, gate=gate)
    unexplained = raw - used - sum(declared.values())
    told = f"{raw - used:,} of {raw:,} rows were lost, {sum(declared.values()):,} of them declared"
    return made(
        "DATA-03",
        "fail" if unexplained else "pass",
        f"{told}: {unexplained:+,} unexplained" if unexplained else told,
        measured=Measured("unexplained rows", unexplained, "count", n=raw),
        gate=gate,
        evidence={"raw": raw, "used": used, "declared": declared},
        cause=("rows with NaN dropped by a library", "an inner join", "a filter that nobody names"),
        remedy=remedy,
    )


def _information(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Mutual information of two binary series, in nats."""
    total = 0.0
    for x in (a, ~a):
        for y in (b, ~b):
            joint, alone = float(np.mean(x & y)), float(np.mean(x)) * float(np.mean(y))
            if joint > 0:
                total += joint * math.log(joint / alone)
    return max(total, 0.0)


@audited
def filter_selectivity(kept: Any, labels: Any = None) -> Finding:
    """DATA-04: what a filter of rows removes, and whether the label depends on it.

    Parameters
    ----------
    kept : array_like of shape (n,), bool
        Whether each row passed the filter.
    labels : array_like of shape (n,), optional
        Label of each row before the filter; above 0 is positive, NaN is none.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 rows.
    """
    given = numbers("kept", kept)
    known = np.isfinite(given)
    mask = given[known] > 0
    n = len(mask)
    gate = Gate(
        ">=", KEPT_WARN, "case S003", "a model of the rows that a filter leaves knows only those"
    )
    remedy = "lower the filter, or train on all rows with the filtered quantity as a feature"
    if n < FEW:
        return unable("DATA-04", f"{plural(n, 'row')}: too few for a share", remedy, gate=gate)
    share = float(mask.mean())
    outcome: Outcome = "fail" if share < KEPT_FAIL else "warn" if share < KEPT_WARN else "pass"
    title = f"the filter keeps {share:.1%} of {n:,} rows"
    tied = 0.0
    evidence: dict[str, Any] = {"kept": int(mask.sum()), "rows": n}
    if labels is not None:
        y = numbers("labels", labels)
        same_rows(kept=given, labels=y)
        y = y[known]
        good = np.isfinite(y)
        m, up = mask[good], y[good] > 0
        inside, outside = int(m.sum()), int((~m).sum())
        if not inside or not outside or up.all() or not up.any():
            outcome = "inconclusive" if outcome == "pass" else outcome
            title += "; with one class, or nothing filtered, the label cannot be compared"
        else:
            test = stats.two_proportions(int(up[m].sum()), inside, int(up[~m].sum()), outside)
            entropy = stats.constant_forecast(int(up.sum()), len(up)).entropy
            tied = _information(m, up) / entropy
            evidence |= {
                "share_inside": float(up[m].mean()),
                "share_outside": float(up[~m].mean()),
                "z": test.z,
                "information": tied,
            }
            title += f"; positive {up[m].mean():.1%} inside, {up[~m].mean():.1%} outside"
            if tied > TIED:
                outcome, title = "fail", title + ": the label is a function of the filter"
    return made(
        "DATA-04",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("kept share", share, "fraction", n=n), gate),
            (
                Measured("information of the filter about the label", tied, "fraction", n=n),
                Gate("<=", TIED, "case S003", "a label that the filter tells teaches the filter"),
            ),
        ),
        evidence=evidence,
        cause=("a threshold in units of another market", "a filter written into the label"),
        remedy=remedy,
    )


@audited
def as_of(arrival: Any, decision: Any, *, event: Any = None) -> Finding:
    """DATA-05: every value was known when it was used.

    Parameters
    ----------
    arrival, decision : array_like of shape (n,), times
        When each value arrived, and when the decision that uses it was made; milliseconds UTC or datetimes.
    event : array_like of shape (n,), times, optional
        What each value speaks of; it cannot have arrived before.

    Returns
    -------
    Finding
        Inconclusive without values, or where a time is missing.
    """
    came, used = milliseconds("arrival", arrival), milliseconds("decision", decision)
    n = same_rows(arrival=came, decision=used)
    gate = Gate("=", 0, "default", "a value of the past that arrived later was not known")
    remedy = "join on arrival time: the last value that had arrived, with its age beside it"
    late = came > used
    evidence: dict[str, Any] = {}
    if event is not None:
        about = milliseconds("event", event)
        same_rows(arrival=came, event=about)
        evidence["arrived_before_event"] = int(np.sum(came < about))
    lowest = milliseconds("missing", [math.nan])[0]
    missing = int(np.sum((came == lowest) | (used == lowest)))
    rows = (
        {"row": int(i), "arrival": int(came[i]), "decision": int(used[i])}
        for i in np.flatnonzero(late)
    )
    total = int(late.sum())
    early = evidence.get("arrived_before_event", 0)
    if total:
        outcome: Outcome = "fail"
        worst = int(np.max(came[late] - used[late]))
        title = f"{total:,} of {n:,} values arrived after the decision, by up to {worst / 60_000:,.1f} minutes"
    elif early:
        outcome = "fail"
        title = f"{early:,} of {n:,} values arrived before what they speak of: arrival times are made up"
    elif n < 2 or missing or np.ptp(came) == 0:
        outcome = "inconclusive"
        title = f"{missing:,} of {n:,} values lack a time, or all arrived at once"
    else:
        outcome, title = "pass", f"all {n:,} values had arrived"
    return made(
        "DATA-05",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("values from the future", total, "count", n=n), gate),
            (
                Measured("values that arrived before their event", early, "count", n=n),
                Gate("=", 0, "default", "nothing is known before it happens"),
            ),
        ),
        evidence={**capped(rows, total), **evidence},
        cause=("a join on event time", "values that were revised or filled in later"),
        remedy=remedy,
    )


@audited
def non_finite(parts: Mapping[str, Any], *, report: Any = None) -> Finding:
    """DATA-06: model inputs are finite, and what is reported can be written as JSON.

    Parameters
    ----------
    parts : mapping of str to frame or array_like of shape (n, n_features)
        Inputs as they enter the model, by part, such as train and live.
    report : object, optional
        What is to be written; every leaf must be plain JSON.

    Returns
    -------
    Finding
        Inconclusive where a part has no rows.
    """
    rows: list[dict[str, Any]] = []
    shares: dict[str, dict[str, float]] = {}
    bad = cells = 0
    empty = [str(part) for part, values in parts.items() if len(values) < 2]
    for part, values in parts.items():
        held, names = table(str(part), values)
        if not len(held):
            continue
        wrong = ~np.isfinite(held)
        bad, cells = bad + int(wrong.sum()), cells + held.size
        for j, name in enumerate(names):
            shares.setdefault(name, {})[str(part)] = float(wrong[:, j].mean())
            if wrong[:, j].any():
                rows.append(
                    {
                        "part": str(part),
                        "column": name,
                        "cells": int(wrong[:, j].sum()),
                        "first_row": int(np.argmax(wrong[:, j])),
                    }
                )
    apart = [c for c, s in shares.items() if max(s.values()) - min(s.values()) > NAN_DRIFT]
    leaf = _unwritable(report)
    gate = Gate(
        "=",
        0,
        "cases S000 and S003",
        "one NaN makes a whole batch NaN, and numpy's numbers are no JSON",
    )
    if bad:
        title = f"{bad:,} of {cells:,} cells are no finite number, first `{rows[0]['column']}` of {rows[0]['part']}"
        if apart:
            title += f"; the share of `{apart[0]}` differs by more than a point between parts"
    elif leaf:
        title = f"the report cannot be written as JSON: {leaf}"
    elif empty or not cells:
        title = f"{empty[0] if empty else 'no part'} has fewer than 2 rows"
    else:
        title = f"all {cells:,} cells of {plural(len(parts), 'part')} are finite"
    outcome: Outcome = "fail" if bad or leaf else "inconclusive" if empty or not cells else "pass"
    return made(
        "DATA-06",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("cells that are no number", bad, "count", n=cells), gate),
            (
                Measured("values that JSON cannot hold", int(bool(leaf)), "count"),
                Gate("=", 0, "case S000", "a report that cannot be written is lost"),
            ),
        ),
        evidence={
            **capped(rows, len(rows)),
            "differ_between_parts": apart[:20],
            "unwritable": leaf,
        },
        cause=("warm-up rows", "a division by zero", "a hole in a joined series"),
        remedy="drop or declare such rows before training (DATA-03); turn numbers into floats before writing",
    )


def _unwritable(value: Any) -> str:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        return " ".join(str(error).split())[:120]
    return ""


@audited
def duplicates_across_parts(train: Any, test: Any, *, digits: int | None = None) -> Finding:
    """DATA-07: no row of the test is a row of the training.

    Parameters
    ----------
    train, test : frame or array_like of shape (n, n_features)
        Feature rows of the two parts.
    digits : int, optional
        Significant digits that count, for near duplicates. Default: all.

    Returns
    -------
    Finding
        Inconclusive where a part has no finite row, or every row is the same.
    """
    a, names = table("train", train)
    b, _ = table("test", test)
    gate = Gate("<=", 0, "default", "a row that was learned is no test")
    remedy = "drop duplicates before splitting, and split by time"
    a, b = (x[np.isfinite(x).all(axis=1)] for x in (a, b))
    if min(len(a), len(b)) < 2 or not len(names):
        return unable("DATA-07", "a part has fewer than 2 finite rows", remedy, gate=gate)
    one, other = (_keys(x, digits) for x in (a, b))
    distinct = np.unique(one)
    if len(distinct) < 2 or len(np.unique(other)) < 2:
        return unable("DATA-07", "all rows are the same: features are constant", remedy, gate=gate)
    at = np.flatnonzero(np.isin(other, distinct))
    share = len(at) / len(b)
    outcome: Outcome = "fail" if share > TWICE else "warn" if len(at) else "pass"
    return made(
        "DATA-07",
        outcome,
        f"{len(at):,} of {len(b):,} test rows ({share:.1%}) stand among the {len(a):,} train rows too",
        measured=Measured("rows in both parts", len(at), "count", n=len(b)),
        gate=gate,
        evidence={**capped(({"test_row": int(i)} for i in at), len(at)), "digits": digits},
        cause=("rows resampled before the split", "features of few values", "a file joined twice"),
        remedy=remedy,
    )


def _keys(x: NDArray[np.float64], digits: int | None) -> NDArray[np.uint64]:
    """One number a row: equal rows have equal ones, and others equal ones with a chance of 2**-64 a pair."""
    if digits is not None:
        with np.errstate(divide="ignore"):
            size = np.where(x == 0, 0.0, np.floor(np.log10(np.abs(x))))
        scale = 10.0 ** (digits - 1 - size)
        x = np.round(x * scale) / scale
    # -0.0 and 0.0 are one value.
    frame = pl.DataFrame(x + 0.0, orient="row")
    return frame.hash_rows(seed=1).to_numpy()


@audited
def enough_history(
    labels: Any,
    *,
    spans: tuple[Any, Any] | None = None,
    seasonality_bars: int | None = None,
    volatility: Any = None,
) -> Finding:
    """DATA-08: the training span holds enough independent labels, and several regimes.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Labels of the train rows, one a bar; NaN is none.
    spans : pair of array_like of shape (n,), int, optional
        First and last bar that each label looks at. Default: every label counts as independent.
    seasonality_bars : int, optional
        Longest cycle that features or labels claim to know, in bars.
    volatility : pair of array_like, optional
        Volatility over all bars, and over the train rows: terciles of the first that the second visits.

    Returns
    -------
    Finding
        Inconclusive without labels.
    """
    y = numbers("labels", labels)
    good = np.isfinite(y)
    n = int(good.sum())
    gate = Gate(">=", FEW_LABELS, "case S004", "a model of 30 days never predicted above 0.15")
    remedy = "train on a longer span, or on shorter labels"
    if not n:
        return unable("DATA-08", "no labels", remedy, gate=gate)
    worth = 1.0
    if spans is not None:
        start, end = (np.asarray(x) for x in spans)
        same_rows(labels=y, start=start, end=end)
        held = good & (end >= 0)
        if held.any():
            worth = stats.effective_labels(start[held], end[held]) / int(held.sum())
    effective = n * worth
    classes = np.unique(y[good])
    counts = {f"{c:g}": int(np.sum(y[good] == c)) for c in classes[:10]}
    few = len(classes) <= 10
    positives = float(np.sum(y[good] > 0)) * worth if few else math.nan
    cycles = len(y) / seasonality_bars if seasonality_bars else None
    visited = None
    if volatility is not None:
        whole, mine = (numbers("volatility", v) for v in volatility)
        edges = (
            np.nanquantile(whole, [1 / 3, 2 / 3]) if np.isfinite(whole).any() else [math.nan] * 2
        )
        visited = len(np.unique(np.searchsorted(edges, mine[np.isfinite(mine)])))
    thin = [
        told
        for bad, told in (
            (effective < FEW_LABELS, f"{effective:,.0f} effective labels"),
            (cycles is not None and cycles < CYCLES, f"{cycles or 0:.1f} of the longest cycle"),
            (visited is not None and visited < 3, f"{visited} of 3 terciles of volatility"),
        )
        if bad
    ]
    starved = few and positives < FEW_POSITIVES
    outcome: Outcome = "fail" if starved else "warn" if thin else "pass"
    if len(classes) < 2:
        outcome = "fail"
    title = f"{n:,} labels are worth {effective:,.0f} independent ones"
    if few:
        title += f", {positives:,.0f} of them positive"
    if thin:
        title += f"; thin: {', '.join(thin)}"
    return made(
        "DATA-08",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("classes", len(classes), "count", n=n),
                Gate(">", 1, "case S002", "one class teaches nothing"),
            )
            if len(classes) < 2
            else (
                Measured("effective positives", positives, "count", n=n, n_eff=effective),
                Gate(">=", FEW_POSITIVES, "case S004", "a rare class needs rows of its own"),
            )
            if starved
            else (Measured("effective labels", effective, "count", n=n, n_eff=effective), gate),
            (
                Measured("longest cycles seen", cycles, "count", n=n),
                Gate(">=", CYCLES, "default", "a season that was seen once is an anecdote"),
            ),
            (
                Measured("terciles of volatility visited", visited, "count", n=n),
                Gate(">=", 3, "default", "a model knows the regimes that it has seen"),
            ),
        ),
        evidence={"counts": counts, "cycles": cycles, "terciles": visited},
        remedy=remedy,
    )
