"""Audits of what a pipeline finds where nothing is to be found: SPL-10 to SPL-12."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from barproof import stats
from barproof.audits.common import FEW, auc, audited, capped, made, numbers, speaking, table, unable
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = ["domain_classifier", "lag_test", "permuted_labels"]

LEVEL = 0.05
LOST = 0.5
LEAK = 0.52
DRAWS = 99
TELLS_TIME = 0.70
ROWS_EACH = 2_000
BLOCKS = 5


@audited
def lag_test(returns: Any, delayed: Any) -> Finding:
    """SPL-10: an edge outlives a delay of one bar.

    Parameters
    ----------
    returns, delayed : array_like of shape (n,)
        Returns of periods, or of trades, as they were and executed a bar later.

    Returns
    -------
    Finding
        Warns, never fails: fast edges do decay. Inconclusive for fewer than 30 returns, or without a clear edge.
    """
    a, b = numbers("returns", returns), numbers("delayed", delayed)
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    gate = Gate(
        "<=",
        LOST,
        "default",
        "an edge that a bar of delay takes away may live on fills of that bar",
    )
    remedy = "check fills and the clock of every input (DATA-05, ECO-13)"
    if len(a) < FEW or len(b) < FEW:
        return unable("SPL-10", f"{min(len(a), len(b)):,} returns: too few", remedy, gate=gate)
    now, later = stats.moments(a), stats.moments(b)
    error = stats.sharpe_hac(a)
    if not (now.sharpe > 0 and error.error > 0 and now.sharpe / error.error > 2):
        return unable(
            "SPL-10", f"Sharpe {now.sharpe:.3f} a period: no clear edge to lose", remedy, gate=gate
        )
    lost = 1 - later.sharpe / now.sharpe if math.isfinite(later.sharpe) else math.nan
    mean_lost = 1 - later.mean / now.mean
    outcome: Outcome = (
        "inconclusive" if math.isnan(lost) else "warn" if max(lost, mean_lost) > LOST else "pass"
    )
    return made(
        "SPL-10",
        outcome,
        f"a bar later the Sharpe ratio loses {lost:.0%} and the mean {mean_lost:.0%}",
        **speaking(
            outcome,
            (Measured("Sharpe lost", lost, "fraction", n=len(a)), gate),
            (Measured("mean lost", mean_lost, "fraction", n=len(a)), gate),
        ),
        evidence={
            "sharpe": now.sharpe,
            "delayed_sharpe": later.sharpe,
            "mean": now.mean,
            "delayed_mean": later.mean,
        },
        cause=("fills at prices that were not there any more", "a fast edge"),
        remedy=remedy,
    )


@audited
def permuted_labels(
    skill: float | Callable[[Any], float],
    labels: Any = None,
    *,
    permuted: Any = None,
    block: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> Finding:
    """SPL-11: the pipeline cannot learn from noise, and does learn from the labels.

    Parameters
    ----------
    skill : float or callable
        Area under the curve out of sample; or labels to it, by training the whole pipeline again.
    labels : array_like of shape (n,), optional
        Labels, for a callable.
    permuted : array_like, optional
        Its values on permuted labels, instead of a callable.
    block : int, default 1
        Length of the blocks that are permuted, at least the span of a label.
    draws : int, default 99
        Permutations, for a callable.
    seed : int, default 0
        Of the permutations.

    Returns
    -------
    Finding
        Inconclusive for fewer than 19 permutations, with which no p-value reaches 0.05, and where the real skill does
        not stand out.

    Raises
    ------
    ParameterError
        If a callable comes without labels, or a number without `permuted`.
    """
    gate = Gate("<=", LEAK, "default", "skill on labels that mean nothing is a leak")
    remedy = (
        "look for a leak (SPL-02, SPL-04, SPL-07); else for labels that can be learned (LAB-04)"
    )
    if callable(skill):
        if labels is None:
            raise ParameterError("`skill` is a function: give `labels=` for it to learn")
        y = numbers("labels", labels)
        real = float(skill(y))
        drawn = np.array([float(skill(_shuffled(y, block, seed + i))) for i in range(draws)])
    else:
        if permuted is None:
            raise ParameterError(
                "`skill` is a number: give `permuted=`, its values on permuted labels"
            )
        real, drawn = float(skill), numbers("permuted", permuted)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 19 or not math.isfinite(real) or np.ptp(drawn) == 0:
        told = f"{len(drawn)} permutations, or one skill on all of them: no p-value can be given"
        return unable("SPL-11", told, remedy, gate=gate)
    mean, p = float(drawn.mean()), (1 + int(np.sum(drawn >= real))) / (1 + len(drawn))
    error = float(drawn.std(ddof=1)) / math.sqrt(len(drawn))
    outcome: Outcome = (
        "fail"
        if mean - 2 * error > LEAK or (mean > LEAK and error == 0)
        else "inconclusive"
        if p > LEVEL
        else "pass"
    )
    if outcome == "fail":
        title = f"the pipeline learns from noise: mean AUC {mean:.3f} on {len(drawn)} permutations"
    elif outcome == "pass":
        title = f"AUC {real:.3f} against {mean:.3f} on {len(drawn)} permutations: p {p:.3f}"
    else:
        title = f"no evidence of skill: AUC {real:.3f} against {mean:.3f} on {len(drawn)} permutations, p {p:.2f}"
    return made(
        "SPL-11",
        outcome,
        title,
        measured=Measured("p-value", p, form="permuted as good", n=len(drawn), p_value=p)
        if p <= LEVEL and outcome == "pass" and mean > LEAK
        else Measured(
            "mean permuted AUC",
            mean,
            low=mean - 2 * error,
            high=mean + 2 * error,
            n=len(drawn),
            p_value=p,
        ),
        gate=Gate("<=", LEVEL, "default", "labels in order must beat labels in disorder")
        if p <= LEVEL and outcome == "pass" and mean > LEAK
        else gate,
        evidence={"real": real, "largest_permuted": float(drawn.max())},
        cause=("labels that reach into the test", "features made from the label"),
        remedy=remedy,
        provenance={"seed": seed},
    )


def _shuffled(y: Any, block: int, seed: int) -> Any:
    """Blocks in another order; the last, shorter one moves too."""
    size = max(1, min(int(block), len(y) or 1))
    begins = np.arange(0, len(y), size)
    order = np.argsort(stats.uniforms(seed, len(begins)), kind="stable")
    return np.concatenate([y[b : b + size] for b in begins[order]]) if len(y) else y


@audited
def domain_classifier(train: Any, test: Any, *, seed: int = 0) -> Finding:
    """SPL-12: a row does not tell which part it is of.

    Parameters
    ----------
    train, test : frame or array_like of shape (n, n_features)
        Feature rows of the two parts; at most 2,000 of each, evenly spaced, are used.
    seed : int, default 0
        Of the classifier.

    Returns
    -------
    Finding
        Inconclusive for fewer than 50 finite rows in a part, or constant features.
    """
    a, names = table("train", train)
    b, _ = table("test", test)
    a, b = (x[np.isfinite(x).all(axis=1)] for x in (a, b))
    a, b = (
        x[np.linspace(0, len(x) - 1, min(len(x), ROWS_EACH)).astype(int)] if len(x) else x
        for x in (a, b)
    )
    gate = Gate("<=", TELLS_TIME, "default", "a model can use what betrays the time to remember it")
    remedy = "replace levels by changes or ranks; drop counters and dates"
    if min(len(a), len(b)) < 10 * BLOCKS or not len(names):
        return unable(
            "SPL-12", f"{min(len(a), len(b)):,} finite rows in a part: too few", remedy, gate=gate
        )
    x, y = np.vstack([a, b]), np.r_[np.zeros(len(a)), np.ones(len(b))]
    if np.all(np.ptp(x, axis=0) == 0):
        return unable("SPL-12", "all features are constant", remedy, gate=gate)
    from sklearn.ensemble import ExtraTreesClassifier

    # Blocks of neighbours are held out together: rows of one hour know each other.
    block = np.concatenate([np.arange(len(part)) * BLOCKS // len(part) for part in (a, b)])
    score = np.empty(len(y))
    for k in range(BLOCKS):
        held = block == k
        model = ExtraTreesClassifier(50, min_samples_leaf=10, random_state=seed, n_jobs=1)
        score[held] = model.fit(x[~held], y[~held]).predict_proba(x[held])[:, 1]
    area = auc(score, y > 0)
    rows: list[dict[str, Any]] = sorted(
        ({"feature": name, "auc": auc(x[:, j], y > 0)} for j, name in enumerate(names)),
        key=lambda row: -abs(float(row["auc"]) - 0.5),
    )
    outcome: Outcome = "warn" if area > TELLS_TIME else "pass"
    return made(
        "SPL-12",
        outcome,
        (
            f"train and test rows are told apart with an AUC of {area:.3f}; "
            f"most telling alone: `{rows[0]['feature']}` ({rows[0]['auc']:.3f})"
        ),
        measured=Measured("area under the curve", area, n=len(y)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        cause=("prices and other levels", "counters since the start"),
        remedy=remedy,
        provenance={"seed": seed},
    )
