"""Audits of how steady a choice is: over folds, from training to trading, among its neighbours."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    audited,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = ["fold_selection", "plateau", "training_against_trading"]

LEVEL = 0.05

Floats = NDArray[np.float64]


@audited
def fold_selection(folds: Any, *, reported: float) -> Finding:
    """OVF-07: the reported number is not that of the best fold.

    Parameters
    ----------
    folds : array_like of shape (n_folds,)
        Metric of each fold, larger is better.
    reported : float
        The number that is reported.

    Returns
    -------
    Finding
        Inconclusive for fewer than 3 folds, or folds that are all the same.
    """
    v = numbers("folds", folds)
    v = v[np.isfinite(v)]
    gate = Gate(
        "<=",
        None,
        "case S004",
        ("the best of 5 folds lies 1.16 deviations above the mean by luck alone"),
    )
    remedy = "report the mean and the spread over folds"
    k = len(v)
    if k < 3 or np.ptp(v) == 0 or not math.isfinite(reported):
        return unable("OVF-07", f"{plural(k, 'fold')}, or all the same", remedy, gate=gate)
    mean, sd = float(v.mean()), float(v.std(ddof=1))
    away, luck = (reported - mean) / sd, stats.expected_maximum(k, exact=True)
    slack = 1e-12 * max(1.0, abs(float(v.max())))
    is_best = float(v.max()) - reported <= slack
    gate = replace(gate, threshold=2 / math.sqrt(k))
    outcome: Outcome = "fail" if is_best else "warn" if away > 2 / math.sqrt(k) else "pass"
    return made(
        "OVF-07",
        outcome,
        (
            f"reported {reported:.4g}; folds {mean:.4g} on average, deviation "
            f"{sd:.4g}: {away:+.2f} deviations, luck gives the best {luck:.2f}"
        ),
        **speaking(
            outcome,
            (Measured("deviations above the mean", away, n=k), gate),
            (
                Measured("best fold less reported", float(v.max()) - reported, n=k),
                Gate(">", slack, "case S004", "the best of several is the best of luck"),
            ),
        ),
        evidence={
            "folds": v.tolist(),
            "expected_best": luck,
            "best_minus_mean": float((v.max() - mean) / sd),
        },
        remedy=remedy,
    )


def _spearman(a: Floats, b: Floats) -> tuple[float, float]:
    """Rank correlation, and the one-sided chance of so much or more over all orders (above 8, by Student's t)."""
    from scipy.stats import rankdata, t

    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    rho = float(x @ y) / size
    n = len(a)
    if n <= 8:
        drawn = np.array([float(x @ np.array(order)) for order in itertools.permutations(y)]) / size
        return rho, float(np.mean(drawn >= rho - 1e-12))
    if abs(rho) >= 1:
        return rho, 0.0 if rho > 0 else 1.0
    return rho, float(t.sf(rho * math.sqrt((n - 2) / (1 - rho * rho)), n - 2))


@audited
def training_against_trading(training: Any, trading: Any) -> Finding:
    """OVF-08: what is better in training is better in trading.

    Parameters
    ----------
    training, trading : array_like of shape (n_variants,)
        A training metric and a trading metric of each variant, larger is better.

    Returns
    -------
    Finding
        Spearman's rho with an exact one-sided p. Inconclusive for fewer than 5 variants, a constant, or a p above 0.05.
    """
    a, b = numbers("training", training), numbers("trading", trading)
    same_rows(training=a, trading=b)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    gate = Gate("<=", LEVEL, "case S004", "precision rose by 151%, and the return fell by 40%")
    remedy = "do not quote the training metric; choose by the trading metric on tune rows"
    if len(a) < 5 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return unable(
            "OVF-08",
            (f"{plural(len(a), 'variant')}: 5 that differ are needed to quote a training metric"),
            remedy,
            gate=gate,
        )
    rho, p = _spearman(a, b)
    outcome: Outcome = "fail" if rho <= 0 else "pass" if p <= LEVEL else "inconclusive"
    return made(
        "OVF-08",
        outcome,
        (f"rank correlation of training and trading {rho:+.2f} over {len(a)} variants, p {p:.3g}"),
        measured=Measured(
            "p-value",
            p,
            n=len(a),
            p_value=p,
            form=("Spearman, exact one-sided") if len(a) <= 8 else "Spearman, one-sided",
        ),
        gate=gate,
        evidence={"rank_correlation": rho},
        remedy=remedy,
    )


@audited
def plateau(winner: float, neighbours: Any, *, on_edge: bool = False) -> Finding:
    """OVF-10: the neighbours of the winner of a grid do well too.

    Parameters
    ----------
    winner : float
        Metric of the winner, larger is better.
    neighbours : array_like of shape (n,)
        Metric of the combinations a step away.
    on_edge : bool, default False
        Whether the winner lies on the edge of the grid.

    Returns
    -------
    Finding
        Inconclusive without neighbours, or for a winner that is not above 0.
    """
    v = numbers("neighbours", neighbours)
    v = v[np.isfinite(v)]
    gate = Gate(
        ">=", 0.5, "case S004", "a peak alone is a peak of noise; one on the edge is not found yet"
    )
    remedy = "take the middle of a plateau (bp.plateau); widen the grid"
    if len(v) < 2 or not math.isfinite(winner) or winner <= 0:
        return unable(
            "OVF-10", f"{plural(len(v), 'neighbour')} of a winner with {winner}", remedy, gate=gate
        )
    ratio = float(np.median(v)) / winner
    alone = ratio < 0.5
    title = (
        f"the median of {plural(len(v), 'neighbour')} has {ratio:.0%} of the winner's {winner:.4g}"
    )
    return made(
        "OVF-10",
        "warn" if alone or on_edge else "pass",
        title + (("; the winner lies on the edge of the grid") if on_edge else ""),
        **speaking(
            "warn" if alone or on_edge else "pass",
            (Measured("median neighbour over winner", ratio, "ratio", n=len(v)), gate),
            (
                Measured("winners on the edge of the grid", int(on_edge), "count", n=len(v)),
                Gate("=", 0, "case S004", "what lies beyond the edge was not tried"),
            ),
        ),
        evidence={"on_edge": on_edge},
        remedy=remedy,
    )
