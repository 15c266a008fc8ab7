"""Audits of values that hang together, in time, in pairs or in clusters: SIG-09 to SIG-11."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import FEW, audited, made, numbers, plural, same_rows, speaking, unable
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.audits.significance import finite, too_little

__all__ = ["clustered_trades", "effective_sample", "paired_strategies"]

LEVEL = 0.05
FACTOR = 1.2

Floats = NDArray[np.float64]


@audited
def effective_sample(values: Any, *, claimed: float | None = None) -> Finding:
    """SIG-09: no more observations are counted than are independent.

    Parameters
    ----------
    values : array_like of shape (n,)
        In time order.
    claimed : float, optional
        Observations that an interval was computed with. Default: all, unannounced.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 values, or a constant.
    """
    v, missing = finite("values", values)
    gate = Gate("<=", FACTOR, "default", "1,000 points with an autocorrelation of 0.9 are 53")
    remedy = "use n_eff in every interval, or the bootstrap of blocks (SIG-08)"
    found = too_little("SIG-09", v, missing, gate, remedy)
    if found is not None:
        return found
    held = stats.effective_size(v)
    if not (math.isfinite(held.size) and held.size > 0):
        return unable("SIG-09", held.reason or "no effective size", remedy, gate=gate)
    counted = float(len(v) if claimed is None else claimed)
    factor = counted / held.size
    # Of independent values one series in five looks dependent by the factor alone.
    rho, noise = float(stats.autocorrelations(v, 1)[0]), 1.645 / math.sqrt(len(v))
    outcome: Outcome = (
        "pass"
        if factor <= FACTOR or (claimed is None and rho <= noise)
        else "warn"
        if claimed is None
        else "fail"
    )
    return made(
        "SIG-09",
        outcome,
        f"{counted:,.0f} observations are worth {held.size:,.0f} independent ones",
        **speaking(
            outcome,
            (
                Measured(
                    "observations over independent ones", factor, "ratio", n=len(v), n_eff=held.size
                ),
                gate,
            ),
            (
                Measured("correlation of neighbours", rho, n=len(v), n_eff=held.size),
                Gate("<=", noise, "default", "so much is noise among independent values"),
            ),
        ),
        evidence={"inflation": held.inflation, "claimed": claimed},
        remedy=remedy,
    )


@audited
def paired_strategies(a: Any, b: Any, *, seed: int = 0) -> Finding:
    """SIG-10: one strategy is better than another over the same periods.

    Parameters
    ----------
    a, b : array_like of shape (n,)
        Returns of the same periods, the claimed better one first. Trades are no pairs; days are.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        By means and by Sharpe ratios. Inconclusive for fewer than 30 periods with both, no difference at all, or an
        interval that holds 0.
    """
    x, y = numbers("a", a), numbers("b", b)
    same_rows(a=x, b=y)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    gate = Gate(
        "interval >",
        0,
        "case S004",
        "two intervals that overlap may still differ, and the same days cancel",
    )
    remedy = "compare over more of the same periods"
    if len(x) < FEW or np.ptp(x - y) == 0:
        return unable(
            "SIG-10", f"{plural(len(x), 'common period')}, or no difference", remedy, gate=gate
        )
    held = stats.paired_difference(x, y, seed=seed)
    ratio = stats.sharpe_difference(x, y)
    if not math.isfinite(held.low):
        return unable("SIG-10", held.reason or "no interval", remedy, gate=gate)
    outcome: Outcome = "pass" if held.low > 0 else "fail" if held.high < 0 else "inconclusive"
    # Who does nothing has no Sharpe ratio.
    ratios = (
        f"; Sharpe ratios differ by {ratio.difference:+.3f} (p {ratio.p:.2g})"
        if math.isfinite(ratio.difference)
        else ""
    )
    return made(
        "SIG-10",
        outcome,
        f"the first earns {held.difference:+.4%} a period more "
        f"[{held.low:+.4%}, {held.high:+.4%}]{ratios} in {len(x):,} periods",
        measured=Measured(
            "difference of means",
            held.difference,
            low=held.low,
            high=held.high,
            level=0.95,
            method=("paired stationary bootstrap"),
            n=len(x),
            p_value=held.p,
        ),
        gate=gate,
        evidence={
            "sharpe_difference": ratio.difference,
            "sharpe_error": ratio.error,
            "sharpe_p": ratio.p,
        },
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def clustered_trades(returns: Any, clusters: Any) -> Finding:
    """SIG-11: the mean trade is above 0 when trades of one day count as one.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Net return of each trade.
    clusters : array_like of shape (n,)
        Day of each trade, or day and symbol.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades or 10 clusters, or a p-value above 0.05.
    """
    r = numbers("returns", returns)
    _, place = np.unique([str(c) for c in clusters], return_inverse=True)
    same_rows(returns=r, clusters=place)
    gate = Gate("interval >", 0, "case S004", "ten positions on one move are one observation")
    remedy = "wait for more days"
    groups = len(np.unique(place))
    if len(r) < FEW or not np.isfinite(r).all() or np.ptp(r) == 0 or groups < 10:
        return unable(
            "SIG-11",
            (
                f"{plural(len(r), 'trade')} in {plural(groups, 'cluster')}: "
                "30 in 10 are needed, that vary"
            ),
            remedy,
            gate=gate,
        )
    held = stats.clustered_mean(r, place)
    if not math.isfinite(held.p):
        return unable("SIG-11", held.reason or "no error", remedy, gate=gate)
    outcome: Outcome = "inconclusive" if held.p > LEVEL else "pass" if held.mean > 0 else "fail"
    from scipy.stats import t

    width = float(t.isf(LEVEL / 2, held.clusters - 1)) * held.error
    return made(
        "SIG-11",
        outcome,
        (
            f"mean trade {held.mean:+.4%}, t {held.t:+.2f} over "
            f"{held.clusters:,} clusters (p {held.p:.3g}), n {held.n:,}"
        ),
        measured=Measured(
            "mean trade",
            held.mean,
            "fraction",
            low=held.mean - width,
            high=held.mean + width,
            level=0.95,
            method="clustered",
            n=held.n,
            n_eff=held.clusters,
            p_value=held.p,
        ),
        gate=gate,
        evidence={"error": held.error},
        remedy=remedy,
    )
