"""Panels of trials without skill, and with a known one: for calibration and the power table."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from barproof import stats

Floats = np.ndarray
Draw = Callable[[int, int, int], Floats]
DAY_YEAR = 365


def independent(seed: int, n: int, trials: int) -> Floats:
    """Normal, independent."""
    out: Floats = stats.normals(seed, n * trials).reshape(n, trials)
    return out


def autocorrelated(seed: int, n: int, trials: int) -> Floats:
    """AR(1) with 0.2."""
    noise = independent(seed, n + 20, trials)
    out = np.zeros_like(noise)
    for t in range(1, len(noise)):
        out[t] = 0.2 * out[t - 1] + noise[t]
    return out[20:]


def skewed(seed: int, n: int, trials: int) -> Floats:
    """Many small wins and few large losses: 1 - Exp(1)."""
    u = stats.uniforms(seed, n * trials).reshape(n, trials)
    out: Floats = 1 + np.log(1 - u)
    return out


DRAWS: dict[str, Draw] = {
    "independent": independent,
    "AR(1)": autocorrelated,
    "skewed": skewed,
}

RESAMPLES = 299
BLOCKS = 8


def passed(panel: Floats, seed: int) -> dict[str, bool]:
    """Which gates let the best of a panel through."""
    spa = stats.spa(panel, resamples=RESAMPLES, seed=seed, threads=1)
    steps = stats.stepm(panel, resamples=RESAMPLES, seed=seed, mean_block=spa.mean_block, threads=1)
    check = stats.reality_check(
        panel, resamples=RESAMPLES, seed=seed, mean_block=spa.mean_block, threads=1
    )
    ratios = panel.mean(axis=0) / panel.std(axis=0)
    best = stats.moments(panel[:, int(np.argmax(ratios))])
    deflated = stats.deflated_sharpe(
        best.sharpe,
        best.n,
        trials=panel.shape[1],
        variance=float(ratios.var(ddof=1)) if panel.shape[1] > 1 else 0.0,
        skewness=best.skewness,
        kurtosis=best.kurtosis,
        rho=best.rho,
    )
    return {
        "best Sharpe alone, PSR 0.95": stats.psr_of(
            best.sharpe, best.n, skewness=best.skewness, kurtosis=best.kurtosis
        ).psr
        >= 0.95,
        "Reality Check 5%": check.p <= 0.05,
        "SPA 5%": spa.p <= 0.05,
        "StepM 5%": len(steps.superior) > 0,
        "DSR 2014, 0.95": deflated.dsr_2014 >= 0.95,
        "DSR 2025 of the maximum, 0.95": deflated.dsr_2025_maximum >= 0.95,
        "Sidak 5%": deflated.sidak <= 0.05,
        "PBO 0.10": stats.pbo(panel, blocks=BLOCKS, threads=1).pbo <= 0.10,
    }


def with_edge(panel: Floats, annual: float) -> Floats:
    """Give the middle trial a Sharpe ratio a year."""
    out = panel.copy()
    middle = out.shape[1] // 2
    out[:, middle] += annual / math.sqrt(DAY_YEAR) * out[:, middle].std()
    return out
