"""Scores of predictions, each with what chance or a constant forecast would get, and intervals for dependent rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from barproof.inference import Flags
from barproof.models.protocol import Floats, Ints

_LEAST_P = 1e-15
# Weights held at once while resampling: what a core's cache takes.
_CHUNK = 250_000


@dataclass(frozen=True)
class Score:
    """One metric: a function of row weights, so that resampling is counting.

    `weighted` takes weights of shape (n_draws, n) and gives one value a draw.
    """

    name: str
    weighted: Callable[[Floats], Floats]
    baseline: float

    def value(self, n: int) -> float:
        """Score of all `n` rows with one weight."""
        return float(self.weighted(np.ones((1, n)))[0])


def _mean_of(losses: Floats) -> Callable[[Floats], Floats]:
    def weighted(w: Floats) -> Floats:
        return np.asarray((w @ losses) / w.sum(axis=1), dtype=np.float64)

    return weighted


def _ratio(a: Floats, b: Floats, defined: Flags) -> Floats:
    out: Floats = np.divide(a, b, out=np.full(len(a), np.nan), where=defined)
    return out


def area_under_curve(score: Floats, positive: Floats) -> Callable[[Floats], Floats]:
    """Chance that a positive row scores above a negative one, ties half; NaN where one side is missing."""
    order = np.argsort(score, kind="stable")
    ups = positive[order]
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def weighted(w: Floats) -> Floats:
        w = np.take(w, order, axis=1)
        plus = w * ups
        minus = w - plus
        if len(starts) < len(ups):
            plus = np.add.reduceat(plus, starts, axis=1)
            minus = np.add.reduceat(minus, starts, axis=1)
        below = np.cumsum(minus, axis=1) - minus
        total = plus.sum(axis=1) * minus.sum(axis=1)
        below += 0.5 * minus
        area = (plus * below).sum(axis=1)
        return _ratio(area, total, total > 0)

    return weighted


def class_scores(p: Floats, y: Ints, classes: tuple[int, ...]) -> list[Score]:
    """Accuracy, areas, log loss and Brier score; `y` holds columns of `p`, and at least two of them.

    Baselines are the best constant forecasts with hindsight: the largest class, and the shares of these very rows.
    """
    n, picks = len(y), np.arange(len(y))
    shares = np.bincount(y, minlength=len(classes)) / n
    hits = (np.argmax(p, axis=1) == y).astype(np.float64)
    truth = np.zeros_like(p)
    truth[picks, y] = 1.0
    met = shares > 0
    entropy = -float(np.sum(shares[met] * np.log(shares[met])))
    areas = [(1, "auc")] if len(classes) == 2 else [(0, "auc_down"), (2, "auc_up")]
    found = [Score("accuracy", _mean_of(hits), float(shares.max()))]
    for column, name in areas:
        found.append(Score(name, area_under_curve(p[:, column], truth[:, column]), 0.5))
    loss = -np.log(np.maximum(p[picks, y], _LEAST_P))
    # Over all classes, as Brier wrote it, it would be twice as much for two of them.
    half = 0.5 if len(classes) == 2 else 1.0
    brier = half * np.sum((p - truth) ** 2, axis=1)
    found.append(Score("log_loss", _mean_of(loss), entropy))
    found.append(Score("brier", _mean_of(brier), half * float(1.0 - np.sum(shares**2))))
    return found


def return_scores(prediction: Floats, y: Floats) -> list[Score]:
    """Share of right directions, correlation, R squared and root mean square error of predicted returns."""
    right = (np.sign(prediction) == np.sign(y)).astype(np.float64)
    ups, downs = float(np.mean(y > 0)), float(np.mean(y < 0))

    # Centred once, so that the moments of each draw do not cancel.
    x, z = (v - v.mean() if np.ptp(v) > 0 else np.zeros_like(v) for v in (prediction, y))

    def correlation(w: Floats) -> Floats:
        total = w.sum(axis=1)
        a, b = (w @ x) / total, (w @ z) / total
        both = (w @ (x * z)) / total - a * b
        own = (w @ x**2) / total - a**2
        other = (w @ z**2) / total - b**2
        # Draws of rows that are all alike have a spread of rounding.
        vary = (own > 1e-12 * np.mean(x**2)) & (other > 1e-12 * np.mean(z**2))
        return _ratio(both, np.sqrt(np.maximum(own * other, 0.0)), vary)

    squares = (prediction - y) ** 2

    def explained(w: Floats) -> Floats:
        total = w.sum(axis=1)
        spread = (w @ z**2) / total - ((w @ z) / total) ** 2
        error = (w @ squares) / total
        return 1.0 - _ratio(error, spread, spread > 0)

    def root(w: Floats) -> Floats:
        return np.asarray(np.sqrt((w @ squares) / w.sum(axis=1)), dtype=np.float64)

    return [
        Score("direction", _mean_of(right), max(ups, downs)),
        Score("correlation", correlation, 0.0),
        Score("r2", explained, 0.0),
        Score("rmse", root, float(np.std(y))),
    ]


def wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share; `n` need not be whole, as effective numbers are not."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2.0))
    centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def effective_rows(start: Ints, end: Ints) -> float:
    """Sum of the labels' uniqueness: the mean over a label's bars of 1 / (labels alive there).

    M. Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 4. For one or more labels, spans with
    both ends included.
    """
    first = int(start.min())
    length = int(end.max()) - first + 1
    alive = np.cumsum(
        np.bincount(start - first, minlength=length + 1)
        - np.bincount(end - first + 1, minlength=length + 1)
    )[:length]
    share = np.divide(1.0, alive, out=np.zeros(length), where=alive > 0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    spans = total[end - first + 1] - total[start - first]
    return float(np.sum(spans / (end - start + 1)))


def block_counts(n: int, block: int, draws: int, seed: int) -> Iterator[Floats]:
    """How often each row is drawn by a circular block bootstrap, in chunks of shape (some draws, n).

    Blocks of `block` consecutive rows start anywhere with equal chance, wrap around, and are cut to n rows in all.
    """
    generator = np.random.default_rng(seed)
    blocks = -(-n // block)
    per_chunk = max(1, _CHUNK // n)
    for first in range(0, draws, per_chunk):
        size = min(per_chunk, draws - first)
        starts = generator.integers(0, n, size=(size, blocks))
        lengths = np.full(blocks, block)
        lengths[-1] = n - block * (blocks - 1)
        edges = np.zeros((size, 2 * n + 1))
        rows = np.repeat(np.arange(size), blocks)
        np.add.at(edges, (rows, starts.ravel()), 1.0)
        np.add.at(edges, (rows, (starts + lengths).ravel()), -1.0)
        counts = np.cumsum(edges, axis=1)[:, : 2 * n]
        yield counts[:, :n] + counts[:, n:]


def resampled_interval(values: Floats, level: float) -> tuple[float, float]:
    """Percentiles of the resampled values; NaN where a twentieth or more of the draws are undefined."""
    defined = values[~np.isnan(values)]
    if len(defined) <= 0.95 * len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return float(low), float(high)
