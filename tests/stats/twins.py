"""Slow twins of the resampling statistics, written from their definitions."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

Floats = np.ndarray


def pbo(returns: Floats, blocks: int) -> tuple[float, float, float, list[float]]:
    """CSCV over all halves: probability, share of losses, slope, sorted log odds."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    chosen, judged, logits = [], [], []
    for half in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in half])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in half])
        ratios = []
        for rows in (inside, outside):
            spread = returns[rows].std(axis=0, ddof=1)
            mean = returns[rows].mean(axis=0)
            ratios.append(np.where(spread > 0, mean / np.where(spread > 0, spread, 1), 0.0))
        best = np.flatnonzero(ratios[0] == ratios[0].max())
        winner = best[np.argmin(ratios[1][best])]
        value = ratios[1][winner]
        place = np.sum(ratios[1] < value) + (np.sum(ratios[1] == value) + 1) / 2
        w = place / (returns.shape[1] + 1)
        chosen.append(ratios[0][winner])
        judged.append(value)
        logits.append(math.log(w / (1 - w)))
    slope = np.polyfit(chosen, judged, 1)[0]
    share = float(np.mean(np.array(logits) <= 0))
    return share, float(np.mean(np.array(judged) < 0)), float(slope), sorted(logits)


def deviations(returns: Floats, mean_block: float) -> Floats:
    """Roots of long-run variances: kernel of the stationary bootstrap over all lags."""
    n = len(returns)
    c = returns - returns.mean(axis=0)
    q = 1 - 1 / mean_block
    total = (c**2).sum(axis=0) / n
    for k in range(1, n):
        kernel = (1 - k / n) * q**k + k / n * q ** (n - k)
        total = total + 2 * kernel * (c[: n - k] * c[k:]).sum(axis=0) / n
    out: Floats = np.sqrt(total)
    return out


def sample_deviations(returns: Floats, mean_block: float, how: str) -> Floats:
    """Of the sample: by the kernel, or with twice the kernel less that of half the block, at least a tenth of it."""
    w = deviations(returns, mean_block)
    if how != "resample":
        return w
    half = deviations(returns, max(1.0, mean_block / 2))
    out: Floats = np.sqrt(np.maximum(2 * w**2 - half**2, 0.1 * w**2))
    return out


def resample_deviations(returns: Floats, row: Floats) -> Floats:
    """Of one resample: squared sums of its blocks' centred returns, over n; a block may go around the end."""
    n = len(returns)
    sample = returns[row]
    centred = sample - sample.mean(axis=0)
    parts: list[Floats] = []
    for i, at in enumerate(row):
        if i and at == (row[i - 1] + 1) % n:
            parts[-1] = parts[-1] + centred[i]
        else:
            parts.append(centred[i])
    out: Floats = np.sqrt(sum(p**2 for p in parts) / n)
    return out


def studentised(returns: Floats, row: Floats, moved: Floats, w: Floats, how: str) -> Floats:
    """Statistics of one resample; 0 where it has no deviation but rounding."""
    own = w if how == "sample" else resample_deviations(returns, row)
    some = own > 1e-6 * w
    return np.where(some, moved / np.where(some, own, 1.0), 0.0)


def spa(returns: Floats, index: Floats, mean_block: float, how: str) -> tuple[float, list[int]]:
    """Hansen's test on given resamples: statistic, and how many reach it (lower, consistent, upper)."""
    n = len(returns)
    w = sample_deviations(returns, mean_block, how)
    means = returns.mean(axis=0)
    statistic = max(0.0, float(np.max(math.sqrt(n) * means / w)))
    bound = -w / math.sqrt(n) * math.sqrt(2 * math.log(math.log(n)))
    counts = []
    for centre in (np.maximum(means, 0), np.where(means >= bound, means, 0), means):
        count = 0
        for row in index:
            moved = math.sqrt(n) * (returns[row].mean(axis=0) - centre)
            z = studentised(returns, row, moved, w, how)
            count += max(0.0, float(z.max())) >= statistic
        counts.append(count)
    return statistic, counts


def stepm(returns: Floats, index: Floats, mean_block: float, how: str) -> Floats:
    """Step-down adjusted p-values, trial by trial from the best on."""
    n, trials = returns.shape
    w = sample_deviations(returns, mean_block, how)
    means = returns.mean(axis=0)
    z = math.sqrt(n) * means / w
    stars = np.array(
        [
            studentised(returns, row, math.sqrt(n) * (returns[row].mean(axis=0) - means), w, how)
            for row in index
        ]
    )
    order = np.argsort(-z, kind="stable")
    out, last = np.empty(trials), 0.0
    for at, trial in enumerate(order):
        most = stars[:, order[at:]].max(axis=1)
        last = max(last, (1 + int(np.sum(most >= z[trial]))) / (1 + len(index)))
        out[trial] = last
    return out


def stepwise(
    returns: Floats, index: Floats, mean_block: float, level: float, how: str
) -> list[int]:
    """Romano and Wolf's procedure as they state it: reject, leave out, look again."""
    n, trials = returns.shape
    w = sample_deviations(returns, mean_block, how)
    means = returns.mean(axis=0)
    z = math.sqrt(n) * means / w
    stars = np.array(
        [
            studentised(returns, row, math.sqrt(n) * (returns[row].mean(axis=0) - means), w, how)
            for row in index
        ]
    )
    left, rejected = list(range(trials)), []
    while left:
        most = stars[:, left].max(axis=1)
        new = [k for k in left if (1 + int(np.sum(most >= z[k]))) / (1 + len(index)) <= level]
        if not new:
            break
        rejected += new
        left = [k for k in left if k not in new]
    return sorted(rejected)
