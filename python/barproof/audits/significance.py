"""Audits of what a sample can say: SIG-01, SIG-03 to SIG-08."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import FEW, audited, made, numbers, plural, speaking, unable
from barproof.audits.model import Finding, Gate, Measured, Outcome

__all__ = [
    "bootstrap_mean",
    "exact_binomial",
    "finite",
    "power",
    "probabilistic_sharpe",
    "sample_size",
    "sharpe_interval",
    "too_little",
    "track_record",
]

ENOUGH = 100
LEVEL = 0.05
SURE = 0.95
FACTOR = 1.2
ANNUAL = 0.10

Floats = NDArray[np.float64]


def finite(name: str, values: Any) -> tuple[Floats, int]:
    """Take the finite values; how many others there are."""
    array = numbers(name, values)
    good = np.isfinite(array)
    return array[good], int((~good).sum())


def too_little(code: str, r: Floats, missing: int, gate: Gate, remedy: str) -> Finding | None:
    """Find that values say nothing: some are missing, they are few, or all are the same; None if they do."""
    if missing:
        return unable(
            code,
            f"{missing:,} of {len(r) + missing:,} values are no finite number",
            remedy,
            gate=gate,
        )
    if len(r) < FEW or np.ptp(r) == 0:
        why = (
            f"{plural(len(r), 'value')}: {FEW} are needed"
            if len(r) < FEW
            else "all values are the same"
        )
        return unable(code, why, remedy, gate=gate)
    return None


@audited
def sample_size(n: float, *, n_eff: float | None = None) -> Finding:
    """SIG-01: there are enough observations to speak.

    Parameters
    ----------
    n : float
        Observations, such as trades.
    n_eff : float, optional
        How many independent ones they are worth (SPL-06, SIG-09). Default: all.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30, warns for fewer than 100; says which win rate this number can tell from 50%.
    """
    worth = float(n) if n_eff is None else min(float(n), float(n_eff))
    gate = Gate(">=", ENOUGH, "case S004", "30 is a floor for speaking, not evidence")
    remedy = "wait for more trades, or test on more markets and years"
    if not math.isfinite(worth) or worth <= 0:
        return unable("SIG-01", f"{n} observations", remedy, gate=gate)
    seen = stats.detectable_share(round(worth)) if worth >= 2 else math.nan
    outcome: Outcome = "inconclusive" if worth < FEW else "warn" if worth < ENOUGH else "pass"
    return made(
        "SIG-01",
        outcome,
        (f"{worth:,.0f} independent observations can tell a win rate of {seen:.1%} from 50%"),
        measured=Measured("independent observations", worth, "count", n=n, n_eff=worth),
        gate=gate,
        evidence={"detectable": seen, "power": 0.8, "level": LEVEL},
        remedy=remedy,
    )


@audited
def exact_binomial(k: int, n: int, *, null: float = 0.5) -> Finding:
    """SIG-03: so many successes are no chance.

    Parameters
    ----------
    k, n : int
        Successes, and independent trials.
    null : float, default 0.5
        Share that chance gives, in (0, 1); for win rates break-even.

    Returns
    -------
    Finding
        Inconclusive for a p-value above 0.05, and where no outcome of so few trials could reject.
    """
    gate = Gate(
        "<=",
        LEVEL,
        "case S004",
        "the chance of so many or more; that of exactly so many is no p-value",
    )
    remedy = "wait for more trades"
    if n <= 0 or not 0 <= k <= n or not 0 < null < 1:
        return unable("SIG-03", f"{k} of {n} against {null}: no test", remedy, gate=gate)
    more, less = (
        stats.binomial_test(k, n, null, alternative=side).p for side in ("greater", "less")
    )
    least = stats.least_trials(null, level=LEVEL)
    outcome: Outcome = "pass" if more <= LEVEL else "fail" if less <= LEVEL else "inconclusive"
    title = f"{k:,} of {n:,} or more have a chance of {more:.3g} at {null:.1%}"
    if outcome == "fail":
        title = f"{k:,} of {n:,} or fewer have a chance of {less:.3g} at {null:.1%}"
    if n < least:
        title += f"; {least} trials are needed for any outcome to reject"
    return made(
        "SIG-03",
        outcome,
        title,
        measured=Measured(
            "p-value",
            more,
            form="exact, so many or more",
            n=n,
            p_value=min(1.0, 2 * min(more, less)),
        ),
        gate=gate,
        evidence={"share": k / n, "p_greater": more, "p_less": less, "least_trials": least},
        remedy=remedy,
        assumptions={"independent trials": "unchecked"},
    )


@audited
def power(n: float, share: float, *, null: float = 0.5) -> Finding:
    """SIG-04: so many trials can show what is claimed.

    Parameters
    ----------
    n : float
        Independent trials.
    share : float
        Claimed win rate.
    null : float, default 0.5
        What it must be told from.

    Returns
    -------
    Finding
        Inconclusive where the claim is not above the null, or there are no trials.
    """
    gate = Gate(
        ">=",
        0.8,
        "case S004",
        "a test that seldom sees what is there shows nothing by not seeing it",
    )
    remedy = "collect the trials that the claim needs, or claim less"
    if not (math.isfinite(n) and n >= 1 and 0 < null < 1 and null < share < 1):
        return unable(
            "SIG-04", f"{n} trials, {share:.1%} against {null:.1%}: no power", remedy, gate=gate
        )
    needed = stats.required_trials(null, share).n
    least = stats.least_trials(null, level=LEVEL)
    strength = stats.power_of_share(round(n), share, null=null)
    outcome: Outcome = "fail" if n < least else "warn" if n < needed else "pass"
    title = (
        f"{n:,.0f} trials show {share:.1%} against {null:.1%} with "
        f"power {strength:.2f}; {math.ceil(needed):,} are needed for 0.80"
    )
    if n < least:
        title = f"{n:,.0f} trials cannot reject {null:.1%} whatever happens: {least} are needed"
    return made(
        "SIG-04",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("power", strength, "fraction", n=n, form="exact, two-sided 5%"), gate),
            (
                Measured("trials", n, "count", n=n),
                Gate(">=", max(needed, least), "case S004", "what a power of 0.80 needs"),
            ),
        ),
        evidence={"required": needed, "least_trials": least},
        remedy=remedy,
    )


@audited
def sharpe_interval(
    returns: Any, *, periods_per_year: float | None = None, claimed: float | None = None
) -> Finding:
    """SIG-05: a Sharpe ratio stands with its error, and is annualised by what its autocorrelation allows.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns of equal periods in time order, not overlapping.
    periods_per_year : float, optional
        To annualise, with `claimed`.
    claimed : float, optional
        An annual Sharpe ratio that was stated.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 returns, a constant, or an interval that holds 0.
    """
    r, missing = finite("returns", returns)
    gate = Gate(
        "interval >",
        0,
        "default",
        (
            "a ratio without its error is an anecdote; "
            "sqrt(q) is right for independent returns alone"
        ),
    )
    remedy = "state the ratio per period with its interval, and annualise with stats.annualisation"
    found = too_little("SIG-05", r, missing, gate, remedy)
    if found is not None:
        return found
    held, told = stats.sharpe_hac(r), stats.moments(r)
    if not (math.isfinite(held.sharpe) and held.error > 0):
        return unable("SIG-05", held.reason or "no error", remedy, gate=gate)
    low, high = held.sharpe - 1.96 * held.error, held.sharpe + 1.96 * held.error
    evidence: dict[str, Any] = {
        "error_independent": stats.sharpe_error(held.sharpe, len(r)),
        "error_moments": stats.sharpe_error(
            held.sharpe, len(r), skewness=told.skewness, kurtosis=told.kurtosis
        ),
        "error_dependent": held.error,
        "rho": told.rho,
        "skewness": told.skewness,
        "kurtosis_pearson": told.kurtosis,
    }
    outcome: Outcome = "pass" if low > 0 else "fail" if high < 0 else "inconclusive"
    off = math.nan
    title = f"Sharpe ratio {held.sharpe:.4f} a period [{low:.4f}, {high:.4f}] in {len(r):,} periods"
    if periods_per_year is not None and periods_per_year >= 2:
        q = round(periods_per_year)
        rho = stats.autocorrelations(r, min(q - 1, max(1, len(r) // 10)))
        # What lies within the noise of an autocorrelation is none.
        rho = np.where(np.abs(rho) > 2 / math.sqrt(len(r)), rho, 0.0)
        factor = stats.annualisation(q, np.r_[rho, np.zeros(q - 1 - len(rho))])
        annual = held.sharpe * factor
        evidence |= {"annual": annual, "factor": factor, "sqrt": math.sqrt(q)}
        title += f", {annual:.2f} a year"
        if (
            claimed is not None
            and math.isfinite(annual)
            and abs(claimed - annual) > ANNUAL * abs(annual)
        ):
            outcome, title = "fail", f"{title}: claimed {claimed:.2f}"
            off = abs(claimed - annual) / abs(annual) if annual else math.inf
    return made(
        "SIG-05",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("claimed annual ratio off by", off, "fraction", n=len(r)),
                Gate("<=", ANNUAL, "default", "sqrt(q) is right for independent returns alone"),
            ),
            (
                Measured(
                    "Sharpe ratio",
                    held.sharpe,
                    form="per period",
                    low=low,
                    high=high,
                    level=0.95,
                    method=("HAC on the influence function"),
                    n=len(r),
                ),
                gate,
            ),
        )
        if not math.isnan(off)
        else {
            "measured": Measured(
                "Sharpe ratio",
                held.sharpe,
                form="per period",
                low=low,
                high=high,
                level=0.95,
                method=("HAC on the influence function"),
                n=len(r),
            ),
            "gate": gate,
        },
        evidence=evidence,
        remedy=remedy,
        cause=("smoothed or overlapping returns",),
    )


@audited
def probabilistic_sharpe(returns: Any, *, benchmark: float = 0.0) -> Finding:
    """SIG-06: the Sharpe ratio exceeds a benchmark with a probability of 95%.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns of equal periods in time order.
    benchmark : float, default 0.0
        Sharpe ratio per period to exceed.

    Returns
    -------
    Finding
        Forms of 2012 and 2025 side by side: both must reach 0.95. Inconclusive for fewer than 30 returns, a
        constant, or where one does not.
    """
    r, missing = finite("returns", returns)
    gate = Gate(
        ">=",
        SURE,
        "default",
        (
            "the form of 2012 ignores autocorrelation, the "
            "one of 2025 at 0 ignores skew: both must pass"
        ),
    )
    remedy = "wait for a longer track record (SIG-07); count the trials (OVF-02)"
    found = too_little("SIG-06", r, missing, gate, remedy)
    if found is not None:
        return found
    old, new = (stats.psr(r, benchmark=benchmark, form=form) for form in ("2012", "2025"))
    low = min(old.psr, new.psr)
    if math.isnan(low):
        return unable("SIG-06", old.reason or new.reason or "no probability", remedy, gate=gate)
    outcome: Outcome = (
        "pass" if low >= SURE else "fail" if max(old.psr, new.psr) <= 1 - SURE else "inconclusive"
    )
    return made(
        "SIG-06",
        outcome,
        (
            f"the Sharpe ratio {old.sharpe:.4f} exceeds {benchmark:g} with "
            f"probability {old.psr:.3f} (2012) and {new.psr:.3f} (2025)"
        ),
        measured=Measured(
            "probabilistic Sharpe ratio", low, form=("smaller of psr_2012 and psr_2025"), n=len(r)
        ),
        gate=gate,
        evidence={"psr_2012": old.psr, "psr_2025": new.psr},
        remedy=remedy,
    )


@audited
def track_record(
    returns: Any, *, benchmark: float = 0.0, periods_per_year: float | None = None
) -> Finding:
    """SIG-07: the track record is as long as its Sharpe ratio needs.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns of equal periods in time order.
    benchmark : float, default 0.0
        Sharpe ratio per period to exceed.
    periods_per_year : float, optional
        To say it in years too.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 returns, or a ratio at or below the benchmark, for which no length is enough.
    """
    r, missing = finite("returns", returns)
    gate = Gate(">=", None, "default", "below it the ratio is no evidence at 95%")
    remedy = "wait, or lower the claim"
    found = too_little("SIG-07", r, missing, gate, remedy)
    if found is not None:
        return found
    m = stats.moments(r)
    lengths = {
        form: stats.min_track_record(
            m.sharpe,
            benchmark=benchmark,
            skewness=m.skewness,
            kurtosis=m.kurtosis,
            rho=m.rho if form == "2025" else 0.0,
            form=form,
        )
        for form in ("2012", "2025")
    }
    needed = max(lengths.values())
    if not math.isfinite(needed):
        return unable(
            "SIG-07",
            (f"Sharpe {m.sharpe:.4f} does not exceed {benchmark:g}: no length is enough"),
            remedy,
            gate=gate,
        )
    years = f" ({needed / periods_per_year:.1f} years)" if periods_per_year else ""
    return made(
        "SIG-07",
        "pass" if len(r) >= needed else "warn",
        (
            f"{len(r):,} periods; a Sharpe ratio of "
            f"{m.sharpe:.4f} needs "
            f"{math.ceil(needed):,}{years}"
        ),
        measured=Measured("length of the record", len(r), "periods", n=len(r)),
        gate=replace(gate, threshold=needed),
        evidence={**lengths, "years": needed / periods_per_year if periods_per_year else None},
        remedy=remedy,
    )


@audited
def bootstrap_mean(returns: Any, *, seed: int = 0) -> Finding:
    """SIG-08: the mean return stays above 0 when blocks of time are drawn again.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns of equal periods in time order.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 returns, blocks longer than a fifth of them, or an interval that holds 0.
    """
    r, missing = finite("returns", returns)
    gate = Gate(
        "interval >", 0, "default", "blocks keep what neighbours have to do with each other"
    )
    remedy = "wait for a longer record"
    found = too_little("SIG-08", r, missing, gate, remedy)
    if found is not None:
        return found
    block = stats.block_length(r)
    if not math.isfinite(block) or block > len(r) / 5:
        return unable(
            "SIG-08",
            f"blocks of {block:.0f} for {len(r):,} periods: too dependent",
            remedy,
            gate=gate,
        )
    held = stats.mean_interval(r, seed=seed)
    plain = stats.mean_interval(r, seed=seed, studentise=False)
    outcome: Outcome = (
        "inconclusive"
        if math.isnan(held.low)
        else "pass"
        if held.low > 0
        else "fail"
        if held.high < 0
        else "inconclusive"
    )
    return made(
        "SIG-08",
        outcome,
        (
            f"mean {held.estimate:+.4%} a period [{held.low:+.4%}, "
            f"{held.high:+.4%}], blocks of {block:.1f}"
        ),
        measured=Measured(
            "mean return",
            held.estimate,
            "fraction",
            low=held.low,
            high=held.high,
            level=0.95,
            method=held.method,
            n=len(r),
        ),
        gate=gate,
        evidence={"mean_block": block, "percentile_low": plain.low, "percentile_high": plain.high},
        remedy=remedy,
        provenance={"seed": seed},
    )
