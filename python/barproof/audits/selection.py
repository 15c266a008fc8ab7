"""Audits of overfitting and of many looks: OVF-01 to OVF-11."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import (
    FEW,
    audited,
    capped,
    made,
    matrix,
    numbers,
    plural,
    same_rows,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "backtest_length",
    "deflated_sharpe",
    "effective_trials",
    "multiple_looks",
    "overfit_probability",
    "prior_odds",
    "superior_ability",
    "trial_ledger",
]

SURE = 0.95
LEVEL = 0.05
PBO_PASS, PBO_WARN = 0.10, 0.30

Floats = NDArray[np.float64]


def _panel(returns: Any) -> Floats:
    """Period returns, one column a trial, without periods where a trial has none."""
    x = matrix("returns", returns)
    return x[np.isfinite(x).all(axis=1)]


def _no_panel(code: str, x: Floats, gate: Gate, remedy: str, trials: int = 2) -> Finding | None:
    if len(x) < FEW or x.shape[1] < trials or bool(np.any(np.ptp(x, axis=0) == 0)):
        return unable(
            code,
            (
                f"{plural(len(x), 'period')} of {plural(x.shape[1], 'trial')}: "
                f"{FEW} of {trials} are needed, that vary"
            ),
            remedy,
            gate=gate,
        )
    return None


@audited
def trial_ledger(counted: int | None, *, claimed: int | None = None) -> Finding:
    """OVF-01: every configuration that was tried on the data is counted.

    Parameters
    ----------
    counted : int or None
        Trials on this data in the ledger; None where there is no ledger.
    claimed : int, optional
        Trials that a report speaks of.

    Returns
    -------
    Finding
        Inconclusive without a count.
    """
    gate = Gate(
        ">=",
        counted,
        "case S004",
        "five variants were named; phases, thresholds and grids were not",
    )
    remedy = "keep the ledger on (it is by default), and report what it counts"
    if counted is None or counted < 1:
        return unable("OVF-01", "no ledger counts the trials on these data", remedy, gate=gate)
    if claimed is None:
        return made(
            "OVF-01",
            "pass",
            f"the ledger counts {plural(counted, 'trial')} on these data",
            measured=Measured("trials", counted, "count"),
            gate=replace(gate, threshold=1),
        )
    short = claimed < counted
    return made(
        "OVF-01",
        "fail" if short else "pass",
        (f"{plural(claimed, 'trial')} claimed, {counted:,} in the ledger"),
        measured=Measured("trials claimed", claimed, "count"),
        gate=gate,
        evidence={"claimed": claimed, "counted": counted},
        remedy=remedy,
    )


@audited
def deflated_sharpe(returns: Any, *, trials: float | None = None) -> Finding:
    """OVF-02: the best of many trials is better than the best of luck.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Period returns of all trials on one calendar.
    trials : float, optional
        Trials that were ever made, of the ledger. Default: the columns.

    Returns
    -------
    Finding
        Forms of 2014 and 2025, and Sidak's p, side by side. Inconclusive for fewer than 30 periods, a single trial, a
        constant one, or where the best beats the expected best by too little.
    """
    x = _panel(returns)
    gate = Gate(">=", SURE, "default", "the best of N without skill has a Sharpe ratio too")
    remedy = "count every trial; try less, on more data"
    found = _no_panel("OVF-02", x, gate, remedy)
    if found is not None:
        return found
    n = max(float(x.shape[1]), float(trials or 0))
    ratios = np.array([stats.moments(x[:, j]).sharpe for j in range(x.shape[1])])
    best = int(np.argmax(ratios))
    m = stats.moments(x[:, best])
    held = stats.deflated_sharpe(
        m.sharpe,
        len(x),
        trials=n,
        variance=float(ratios.var(ddof=1)),
        skewness=m.skewness,
        kurtosis=m.kurtosis,
        rho=m.rho,
    )
    if not math.isfinite(held.dsr_2014):
        return unable("OVF-02", held.reason or "no deflated ratio", remedy, gate=gate)
    outcome: Outcome = (
        "pass" if held.dsr_2014 >= SURE else "fail" if m.sharpe <= held.hurdle else "inconclusive"
    )
    return made(
        "OVF-02",
        outcome,
        f"the best of {n:,.0f} trials has a Sharpe ratio of {m.sharpe:.4f}, "
        f"luck gives {held.hurdle:.4f}: deflated {held.dsr_2014:.3f} "
        f"(2025: {held.dsr_2025:.3f}), Sidak p {held.sidak:.3g}",
        measured=Measured(
            "deflated Sharpe ratio",
            held.dsr_2014,
            form=("dsr_2014, variance the larger of sample and sampling"),
            n=len(x),
        ),
        gate=gate,
        evidence={
            "best": best,
            "trials": n,
            "hurdle": held.hurdle,
            "dsr_2025": held.dsr_2025,
            "dsr_2025_maximum": held.dsr_2025_maximum,
            "sidak": held.sidak,
            "sample_variance": held.sample_variance,
            "sampling_variance": held.sampling_variance,
        },
        remedy=remedy,
    )


@audited
def effective_trials(returns: Any, *, claimed: float) -> Finding:
    """OVF-03: the trials counted are no fewer than the independent ones.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Period returns of all trials on one calendar.
    claimed : float
        Trials that a deflated Sharpe ratio or a claim counts.

    Returns
    -------
    Finding
        By the largest of three methods. Inconclusive for fewer than 30 periods, a single trial, or a constant one.
    """
    x = _panel(returns)
    gate = Gate(
        ">=",
        None,
        "default",
        ("a hundred copies are one trial, and a hundred ideas are a hundred"),
    )
    remedy = "deflate by the largest effective number (OVF-02)"
    found = _no_panel("OVF-03", x, gate, remedy)
    if found is not None:
        return found
    held = stats.effective_trials(x)
    if not math.isfinite(held.largest) or not math.isfinite(claimed):
        return unable("OVF-03", held.reason or "no claim", remedy, gate=gate)
    short = claimed < held.largest * (1 - 1e-9)
    return made(
        "OVF-03",
        "fail" if short else "pass",
        f"{x.shape[1]} trials are worth {held.largest:.1f} independent ones "
        f"({held.by_correlation:.1f} by correlation, {held.by_rank:.1f} by "
        f"rank, {held.by_participation:.1f} by participation); counted {claimed:g}",
        measured=Measured("trials counted", claimed, "count", n=x.shape[1], n_eff=held.largest),
        gate=replace(gate, threshold=held.largest * (1 - 1e-9)),
        evidence={
            "independent": held.largest,
            "mean_correlation": held.mean_correlation,
            "left_out_eigenvalues": held.left_out,
        },
        remedy=remedy,
    )


@audited
def overfit_probability(returns: Any, *, blocks: int = 16) -> Finding:
    """OVF-04: what is best in one half of the time is not below the median in the other.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Period returns of all trials, survivors or not, on one calendar.
    blocks : int, default 16
        Even number of blocks, of whose halves all combinations are taken.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 periods or two in a block, a single trial, or a constant one.
    """
    x = _panel(returns)
    gate = Gate(
        "<=",
        PBO_PASS,
        "default",
        (
            "for noise the probability is 0.5 with a "
            "deviation of 0.17 to 0.25: 0.10 is about a 5% test"
        ),
    )
    remedy = "choose among fewer, or by a rule that holds on plateaus (OVF-10)"
    found = _no_panel("OVF-04", x, gate, remedy)
    if found is not None:
        return found
    if len(x) < 2 * blocks:
        return unable(
            "OVF-04", f"{plural(len(x), 'period')} for {blocks} blocks", remedy, gate=gate
        )
    held = stats.pbo(x, blocks=blocks)
    if not math.isfinite(held.pbo):
        return unable("OVF-04", held.reason or "no probability", remedy, gate=gate)
    outcome: Outcome = (
        "pass" if held.pbo <= PBO_PASS else "warn" if held.pbo <= PBO_WARN else "fail"
    )
    return made(
        "OVF-04",
        outcome,
        (
            f"the best of {x.shape[1]} trials in one half is below the median of the other "
            f"in {held.pbo:.0%} of {held.splits:,} splits, and loses in {held.loss:.0%}"
        ),
        measured=Measured("probability of backtest overfitting", held.pbo, "fraction", n=len(x)),
        gate=gate,
        evidence={"loss": held.loss, "slope": held.slope, "mean_logit": held.mean_logit},
        remedy=remedy,
    )


@audited
def superior_ability(
    returns: Any, *, benchmark: Any = None, resamples: int = 1_000, seed: int = 0
) -> Finding:
    """OVF-05: the best of all trials beats a benchmark, the search counted.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Period returns of all trials on one calendar, discarded ones too.
    benchmark : array_like of shape (n_periods,), optional
        Default: 0.
    resamples : int, default 1_000
        Of the stationary bootstrap.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        By Hansen's test; StepM names the superior ones. Inconclusive for fewer than 30 periods, a constant trial, or a
        p-value above 0.05.
    """
    full = matrix("returns", returns)
    gate = Gate("<=", LEVEL, "default", "of a thousand rules one beats anything")
    remedy = "count what was discarded, and search less"
    aside = None if benchmark is None else numbers("benchmark", benchmark)
    good = np.isfinite(full).all(axis=1)
    if aside is not None:
        same_rows(returns=full, benchmark=aside)
        good &= np.isfinite(aside)
        aside = aside[good]
    x = full[good]
    found = _no_panel("OVF-05", x, gate, remedy, trials=1)
    if found is not None:
        return found
    held = stats.spa(x, benchmark=aside, resamples=resamples, seed=seed)
    if not math.isfinite(held.p):
        return unable("OVF-05", held.reason or "no p-value", remedy, gate=gate)
    named = stats.stepm(x, benchmark=aside, resamples=resamples, seed=seed)
    means = x.mean(axis=0) - (aside.mean() if aside is not None else 0.0)
    superior = (
        [int(k) for k in np.asarray(named.superior).ravel()] if named.superior is not None else []
    )
    outcome: Outcome = "pass" if held.p <= LEVEL else "fail" if means.max() <= 0 else "inconclusive"
    return made(
        "OVF-05",
        outcome,
        f"the best of {x.shape[1]} trials against its benchmark: p {held.p:.3f} "
        f"(lower {held.p_lower:.3f}, upper {held.p_upper:.3f}, reality check "
        f"{held.p_reality_check:.3f}); {plural(len(superior), 'trial')} superior",
        measured=Measured("p-value", held.p, form="SPA, consistent", n=len(x), p_value=held.p),
        gate=gate,
        evidence={
            "superior": superior[:20],
            "mean_block": held.mean_block,
            "best_mean": float(means.max()),
        },
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def multiple_looks(p_values: Any, *, claimed: Any = None) -> Finding:
    """OVF-06: what is called significant stays so when all looks are counted.

    Parameters
    ----------
    p_values : array_like of shape (n_looks,)
        Of every test that was made, per-feature ones too.
    claimed : array_like of int, optional
        Looks that are called significant. Default: those at or below 0.05.

    Returns
    -------
    Finding
        Holm's correction, with Benjamini-Hochberg and Benjamini-Yekutieli beside it. Inconclusive for fewer than 2
        looks, a p-value that is none, or where nothing is called significant.
    """
    p = numbers("p_values", p_values)
    gate = Gate("<=", LEVEL, "default", "of twenty looks at nothing one is significant")
    remedy = "report adjusted p-values; use a screen (BH) only to choose what to test next"
    if len(p) < 2 or not (np.isfinite(p) & (p >= 0) & (p <= 1)).all():
        return unable(
            "OVF-06", f"{plural(len(p), 'look')}, or one without a p-value", remedy, gate=gate
        )
    called = np.flatnonzero(p <= LEVEL) if claimed is None else np.asarray(claimed, dtype=np.int64)
    if not len(called):
        return unable("OVF-06", f"none of {len(p)} looks is called significant", remedy, gate=gate)
    strict, loose, any_ = (
        stats.holm(p).p,
        stats.benjamini_hochberg(p).p,
        stats.benjamini_yekutieli(p).p,
    )
    kept = int(np.sum(strict[called] <= LEVEL))
    outcome: Outcome = "pass" if kept == len(called) else "warn" if kept else "fail"
    rows = [
        {"look": int(k), "p": p[k], "holm": strict[k], "bh": loose[k], "by": any_[k]}
        for k in called[np.argsort(p[called])]
    ]
    return made(
        "OVF-06",
        outcome,
        (
            f"{kept} of {len(called)} significant among {len(p)} looks remain "
            f"after Holm's correction ({int(np.sum(loose[called] <= LEVEL))} by BH)"
        ),
        measured=Measured(
            "largest p-value called significant, corrected",
            float(strict[called].max()),
            form="Holm",
            n=len(p),
            p_value=float(strict[called].min()),
        ),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
    )


@audited
def backtest_length(years: float, *, trials: float, sharpe: float) -> Finding:
    """OVF-09: the backtest is longer than luck needs for its Sharpe ratio.

    Parameters
    ----------
    years : float
        Length of the backtest.
    trials : float
        Trials that were made.
    sharpe : float
        Annual Sharpe ratio of the best.

    Returns
    -------
    Finding
        Inconclusive for fewer than 2 trials, or a ratio that is not above 0.
    """
    gate = Gate(">", None, "default", "45 trials explain an annual Sharpe ratio of 1 in 5 years")
    remedy = "test on more years, or count fewer trials by trying less"
    if (
        not all(math.isfinite(v) for v in (years, trials, sharpe))
        or trials < 2
        or sharpe <= 0
        or years <= 0
    ):
        return unable(
            "OVF-09",
            f"{years} years, {trials} trials, Sharpe {sharpe}: no bound",
            remedy,
            gate=gate,
        )
    least = stats.min_backtest_years(trials, sharpe)
    return made(
        "OVF-09",
        "pass" if years > least else "fail",
        (
            f"{trials:,.0f} trials without skill reach a Sharpe ratio of "
            f"{sharpe:.2f} in {least:.1f} years; the backtest has {years:.1f}"
        ),
        measured=Measured("length of the backtest", years, "years", n=trials),
        gate=replace(gate, threshold=least),
        evidence={"least_years": least},
        remedy=remedy,
    )


@audited
def prior_odds(n: int, *, skill: float, prior: float, sharpe: float) -> Finding:
    """OVF-11: how likely there is no skill behind what was seen.

    Parameters
    ----------
    n : int
        Periods.
    skill : float
        Sharpe ratio per period of a strategy with skill.
    prior : float
        Share of strategies with skill, in (0, 1).
    sharpe : float
        Sharpe ratio per period that was seen.

    Returns
    -------
    Finding
        Never a gate: warns where no skill is likelier than skill. Inconclusive where a number is missing.
    """
    gate = Gate("<=", 0.5, "default", "no gate: prose with a prior in it")
    usable = n >= FEW and 0 < prior < 1 and skill > 0 and math.isfinite(sharpe)
    held = stats.odds_of_skill(n, skill=skill, prior=prior, sharpe=sharpe) if usable else None
    if held is None or not math.isfinite(held.ofdr):
        return unable("OVF-11", f"{n} periods, prior {prior}, skill {skill}: no odds", gate=gate)
    return made(
        "OVF-11",
        "warn" if held.ofdr > 0.5 else "pass",
        (
            f"if {prior:.0%} of such strategies have a "
            f"Sharpe ratio of {skill:g}, one that shows "
            f"{sharpe:g} has none with "
            f"a chance of {held.ofdr:.0%}"
        ),
        measured=Measured("chance of no skill", held.ofdr, "fraction", form="oFDR", n=n),
        gate=gate,
        evidence={"power": 1 - held.beta, "pfdr": held.pfdr},
        remedy="say the prior beside the number",
    )
