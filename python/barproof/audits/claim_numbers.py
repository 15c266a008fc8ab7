"""CLM-03, 04, 07, 08 and 10: whether published numbers could be true, and what they are worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from barproof import stats
from barproof.audits.claim_arithmetic import (
    annual_growth,
    evaluate,
    grim,
    growth_bound,
    least_sd,
)
from barproof.audits.claim_sets import interval_of, judged, row_of, set_of
from barproof.audits.common import FEW, audited
from barproof.audits.model import Finding
from barproof.errors import BarproofError

__all__ = [
    "claim_arithmetic",
    "claim_contradictions",
    "claim_plausibility",
    "claim_rate",
    "claim_significance",
]

_TENFOLD, _DOUBLE = 1.0, math.log10(2.0)  # of a year's growth
_SHARPE_FAIL, _SHARPE_WARN = 10.0, 4.0


@audited
def claim_arithmetic(claims: Any) -> Finding:
    """CLM-03: numbers that follow from others are what follows, whatever was rounded.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; `derived` holds the arithmetic.

    Returns
    -------
    Finding
        Fails where a derived number lies outside of all that its rounded inputs allow, a share is none of n, a number
        lies outside of its own interval, or wealth grew more than the mean trade allows.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> wins = {"id": "wins", "value": "52", "unit": "percent"}
    >>> edge = {"id": "edge", "value": "-48", "unit": "percent", "derived": "{wins} - (1 - {wins}) * 2"}
    >>> claim_arithmetic([wins, edge]).outcome
    'fail'
    """
    held = set_of(claims)
    values = {claim.id: interval_of(claim) for claim in held.claims}
    bad, looked = [], 0
    for claim in held.claims:
        low, high = values[claim.id]
        checks = 0
        if claim.derived:
            checks += 1
            try:
                least, most = evaluate(claim.derived, values)
            except BarproofError as error:
                bad.append(row_of(claim, str(error)))
            else:
                slack = 1e-9 * max(abs(least), abs(most))
                if high < least - slack or low > most + slack:
                    span = f"{least * claim.scale:.6g} to {most * claim.scale:.6g}"
                    bad.append(
                        row_of(
                            claim,
                            f"its inputs allow {span}",
                            low=least * claim.scale,
                            high=most * claim.scale,
                        )
                    )
        if claim.metric == "win_rate" and claim.n:
            checks += 1
            middle, half = (low + high) / 2, (high - low) / 2
            if not grim(middle, half, claim.n):
                bad.append(row_of(claim, f"no whole number of {claim.n:,} gives this share"))
        if claim.low is not None and claim.high is not None:
            checks += 1
            if not claim.low - claim.half <= claim.number <= claim.high + claim.half:
                bad.append(
                    row_of(
                        claim,
                        f"it lies outside of its own interval {claim.low:g} to {claim.high:g}",
                    )
                )
        looked += bool(checks)
    for total, mean in _pairs(held):
        looked += 1
        n = total.n or mean.n
        most = growth_bound(interval_of(mean)[1], n)
        if math.log1p(interval_of(total)[0]) > most + 1e-9:
            told = f"{n:,} trades of this mean make at most {math.expm1(min(most, 700)):.4g}"
            bad.append(row_of(total, told, mean=mean.id))
    for total, told in _spreads(held):
        looked += 1
        if told:
            bad.append(row_of(total, told))
    return judged(
        "CLM-03",
        bad,
        looked,
        ("default", "arithmetic needs no data to be checked: what the rounded inputs allow"),
        wrong="contradict their own arithmetic",
        right="follow from their inputs",
        nothing="no claim follows from another",
        remedy="compute it again from unrounded inputs",
        cause=("a ratio taken the wrong way", "percentage points for percent", "means of means"),
        assumptions={"no leverage on the account": "unchecked"},
    )


def _pairs(held: Any) -> Iterable[tuple[Any, Any]]:
    """Total return and mean trade of one system, where the number of trades is told."""
    for total in held.claims:
        for mean in held.claims:
            if (
                (total.metric, mean.metric) == ("total_return", "mean_return")
                and total.system == mean.system
                and (total.n or mean.n)
                and (total.n is None or mean.n is None or total.n == mean.n)
                and interval_of(total)[0] > -1
                and interval_of(mean)[1] > -1
            ):
                yield total, mean


def _spreads(held: Any) -> Iterator[tuple[Any, str]]:
    """Total returns whose mean trade, win rate, mean win and mean loss are told: why they cannot be true together.

    Mean, number and final wealth imply a deviation of the trades; shares and sizes of wins and losses allow no less
    than one. Each printed number stands for all that are printed so, and the kindest counts.
    """
    for total, mean in _pairs(held):
        mine = {c.metric: c for c in held.claims if c.system == total.system}
        parts = [mine.get(name) for name in ("win_rate", "mean_win", "mean_loss")]
        if any(part is None for part in parts):
            continue
        n = total.n or mean.n
        implied = stats.growth_identity(interval_of(mean)[1], n, 1.0 + interval_of(total)[0])
        ends = [[abs(x) for x in interval_of(part)] for part in parts]
        least = min(least_sd(*corner) for corner in itertools.product(*ends) if corner[0] <= 1)
        # Growth above what the mean allows is told of already.
        far = implied.defined and implied.deviation < least * (1 - 1e-9)
        told = f"its trades vary by at most {implied.deviation:.4%}, wins and losses by at least {least:.4%}"
        yield total, told if far else ""


@audited
def claim_plausibility(claims: Any) -> Finding:
    """CLM-04: what a claim makes of a year is possible.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; returns with `period_days`, Sharpe ratios.

    Returns
    -------
    Finding
        Fails above tenfold a year, or a yearly Sharpe ratio above 10; warns above twofold, or 4.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> week = {"id": "return", "value": "38.04", "unit": "percent", "period_days": 5}
    >>> claim_plausibility([week]).title
    '1 of 1 claims grow beyond belief (first: return, 10^10.2 a year)'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    for claim in held.claims:
        if (
            claim.period_days
            and claim.unit in ("percent", "fraction")
            and claim.number / claim.scale > -1
        ):
            looked += 1
            power = annual_growth(claim.number / claim.scale, claim.period_days)
            told = f"10^{power:.1f} a year" if power > 3 else f"{10**power:.3g}-fold a year"
            if power > _TENFOLD:
                bad.append(row_of(claim, told, log10_year=power))
            elif power > _DOUBLE:
                doubts.append(row_of(claim, told, log10_year=power))
        elif "sharpe" in claim.about.lower() and claim.unit == "number":
            looked += 1
            if claim.number > _SHARPE_FAIL:
                bad.append(row_of(claim, f"a Sharpe ratio of {claim.value}"))
            elif claim.number > _SHARPE_WARN:
                doubts.append(row_of(claim, f"a Sharpe ratio of {claim.value}"))
    return judged(
        "CLM-04",
        bad,
        looked,
        ("case S004", "no capacity, and no record in history, bears more than tenfold a year"),
        wrong="grow beyond belief",
        right="stay within what has been seen",
        nothing="no claim tells a return over a period, or a Sharpe ratio",
        doubts=doubts,
        doubt="are higher than almost any record",
        remedy="look for lookahead (SPL-07), free fills (FILL-01 to FILL-05) and the best of many trials (OVF-02)",
    )


@audited
def claim_significance(claims: Any) -> Finding:
    """CLM-07: a measured number comes with its interval, its n and what no skill would give.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; counts and numbers with another unit than a share or return need none.

    Returns
    -------
    Finding
        Fails where one of the three is missing, or n is below 30; warns where the interval holds the null.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_significance([{"id": "wins", "value": "73.86", "unit": "percent", "n": 2506}]).outcome
    'fail'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    for claim in held.claims:
        if claim.kind != "measured" or claim.unit == "count" or claim.derived:
            continue
        looked += 1
        parts = {"n": claim.n, "low": claim.low, "high": claim.high, "null": claim.null}
        missing = [name for name, value in parts.items() if value is None]
        if missing:
            bad.append(row_of(claim, f"{', '.join(missing)} not told"))
        elif claim.n < FEW:
            bad.append(row_of(claim, f"n = {claim.n} is too few to speak"))
        elif claim.low <= claim.null <= claim.high:
            doubts.append(row_of(claim, f"cannot be told from {claim.null:g}"))
    return judged(
        "CLM-07",
        bad,
        looked,
        ("case S002", "a number without its interval cannot be weighed"),
        wrong="are told without what they are worth",
        right="come with interval, n and null",
        nothing="no share, return or ratio is measured",
        doubts=doubts,
        doubt="cannot be told from no skill",
        remedy="write `n`, `low`, `high` and `null`: bp.stats.wilson for shares, bp.stats.mean_interval for means",
    )


@audited
def claim_contradictions(claims: Any) -> Finding:
    """CLM-08: one quantity has one value.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; `quantity`, else `metric`, of one system, kind and period.

    Returns
    -------
    Finding
        Fails where two claims of one quantity have no number in common.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> net = {"quantity": "net edge", "unit": "percent"}
    >>> claim_contradictions([{"id": "a", "value": "-0.10", **net}, {"id": "b", "value": "-0.22", **net}]).outcome
    'fail'
    """
    held = set_of(claims)
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for claim in held.claims:
        if claim.about:
            key = (
                claim.about,
                claim.system,
                claim.kind,
                claim.period_days,
                claim.model,
                claim.data,
            )
            groups.setdefault(key, []).append(claim)
    bad, looked = [], 0
    for members in groups.values():
        looked += len(members) if len(members) > 1 else 0
        for i, claim in enumerate(members):
            low, high = interval_of(claim)
            for other in members[:i]:
                least, most = interval_of(other)
                if low > most + 1e-12 or high < least - 1e-12:
                    bad.append(row_of(claim, f"{other.id} says {other.value}", other=other.id))
                    break
    return judged(
        "CLM-08",
        bad,
        looked,
        ("cases S001, S002, S004", "of two values of one quantity at least one is wrong"),
        wrong="contradict another",
        right="agree with each other",
        nothing="no quantity is claimed twice",
        remedy="keep the one that is computed again (CLM-02), or say how they differ: `system`, `period_days`",
    )


@audited
def claim_rate(claims: Any, *, level: float = 0.05) -> Finding:
    """CLM-10: what was seen live agrees with the claimed rate.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; a rate a day with `observed = {count, days}`.
    level : float, default 0.05
        Two-sided p-value below which the claim is contradicted; Holm over the claims.

    Returns
    -------
    Finding
        Fails where the Poisson law with the claimed rate makes the count that rare.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_rate([{"id": "rate", "value": "4.6", "observed": {"count": 4, "days": 3.0}}]).outcome
    'fail'
    """
    held = set_of(claims)
    rows = [c for c in held.claims if c.observed is not None and c.number + c.half > 0]
    ps = []
    for claim in rows:
        # The rate that was rounded may be any of these: the kindest counts.
        ends = [claim.number - claim.half, claim.number, claim.number + claim.half]
        ps.append(
            max(
                stats.rate_test(claim.observed.count, claim.observed.days, r).p
                for r in ends
                if r > 0
            )
        )
    bad = []
    order = sorted(range(len(rows)), key=lambda i: ps[i])
    for rank, i in enumerate(order):
        if ps[i] * (len(rows) - rank) > level:
            break
        seen = rows[i].observed
        bad.append(
            row_of(rows[i], f"{seen.count:,} in {seen.days:g} days, p = {ps[i]:.2g}", p_value=ps[i])
        )
    return judged(
        "CLM-10",
        bad,
        len(rows),
        ("case S004", "a live system that trades at another rate is another system"),
        wrong="are contradicted by what was seen",
        right="agree with what was seen",
        nothing="no claimed rate has an observation",
        remedy="compare configurations (DEC-03) and predictions (DEC-04); withdraw the claim until they agree",
        assumptions={"trades come one by one, at a steady rate": "unchecked"},
    )
