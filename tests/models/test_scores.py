"""Scores and intervals against scikit-learn, scipy, brute force and golden vectors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, log_loss, r2_score, roc_auc_score

from barproof._scores import (
    area_under_curve,
    block_counts,
    class_scores,
    effective_rows,
    resampled_interval,
    return_scores,
    wilson,
)
from tests.models.test_calibration import golden, three
from tests.tolerances import METRIC, REFERENCE


def test_scores_of_two_classes() -> None:
    p, y = golden()
    found = {s.name: s for s in class_scores(p, y, (0, 1))}
    n = len(y)
    assert found["brier"].value(n) == pytest.approx(0.21015639052753143, rel=REFERENCE)  # C05
    assert found["log_loss"].value(n) == pytest.approx(0.6286467625235165, rel=REFERENCE)  # C05
    assert found["auc"].value(n) == pytest.approx(roc_auc_score(y, p[:, 1]), rel=REFERENCE)
    assert found["accuracy"].value(n) == pytest.approx(np.mean((p[:, 1] > 0.5) == y), rel=REFERENCE)
    share = y.mean()
    assert found["accuracy"].baseline == pytest.approx(max(share, 1 - share), rel=REFERENCE)
    assert found["auc"].baseline == 0.5
    constant = np.full(n, share)
    assert found["log_loss"].baseline == pytest.approx(log_loss(y, constant), rel=REFERENCE)
    assert found["brier"].baseline == pytest.approx(brier_score_loss(y, constant), rel=REFERENCE)


def test_scores_of_three_classes() -> None:
    p, y = three()
    found = {s.name: s for s in class_scores(p, y, (-1, 0, 1))}
    n = len(y)
    assert found["auc_down"].value(n) == pytest.approx(
        roc_auc_score(y == 0, p[:, 0]), rel=REFERENCE
    )
    assert found["auc_up"].value(n) == pytest.approx(roc_auc_score(y == 2, p[:, 2]), rel=REFERENCE)
    assert found["log_loss"].value(n) == pytest.approx(log_loss(y, p), rel=REFERENCE)
    truth = np.eye(3)[y]
    assert found["brier"].value(n) == pytest.approx(
        np.mean(((p - truth) ** 2).sum(axis=1)), rel=REFERENCE
    )
    shares = np.bincount(y) / n
    assert found["brier"].baseline == pytest.approx(
        np.mean(((shares - truth) ** 2).sum(axis=1)), rel=REFERENCE
    )
    assert found["log_loss"].baseline == pytest.approx(
        log_loss(y, np.tile(shares, (n, 1))), rel=REFERENCE
    )


def test_scores_of_returns() -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal(300) * 0.01
    p = 0.4 * y + 0.01 * rng.standard_normal(300)
    found = {s.name: s for s in return_scores(p, y)}
    assert found["correlation"].value(300) == pytest.approx(np.corrcoef(p, y)[0, 1], rel=REFERENCE)
    assert found["r2"].value(300) == pytest.approx(r2_score(y, p), rel=REFERENCE)
    assert found["rmse"].value(300) == pytest.approx(np.sqrt(np.mean((p - y) ** 2)), rel=REFERENCE)
    assert found["rmse"].baseline == pytest.approx(y.std(), rel=REFERENCE)
    assert found["direction"].value(300) == pytest.approx(np.mean(p * y > 0), rel=REFERENCE)
    assert found["direction"].baseline == pytest.approx(max(np.mean(y > 0), np.mean(y < 0)))
    flat = {s.name: s for s in return_scores(np.full(300, 0.001), y)}
    assert np.isnan(flat["correlation"].value(300))


def test_weighted_scores_are_scores_of_repeated_rows() -> None:
    rng = np.random.default_rng(4)
    p, y = three(60)
    p = np.round(p, 1)
    p /= p.sum(axis=1, keepdims=True)
    weights = rng.integers(0, 4, (5, 60)).astype(float)
    moves = rng.standard_normal((2, 60))
    sets: list[tuple[Any, Any]] = [
        (class_scores(p, y, (-1, 0, 1)), lambda at: class_scores(p[at], y[at], (-1, 0, 1))),
        (return_scores(*moves), lambda at: return_scores(moves[0][at], moves[1][at])),
    ]
    for all_rows, some in sets:
        for i, score in enumerate(all_rows):
            found = score.weighted(weights)
            for row, w in enumerate(weights):
                at = np.repeat(np.arange(60), w.astype(int))
                assert found[row] == pytest.approx(some(at)[i].value(len(at)), rel=METRIC), (
                    score.name
                )


def test_area_counts_ties_half_and_is_undefined_with_one_side() -> None:
    rng = np.random.default_rng(1)
    score = rng.integers(0, 4, 25).astype(float)
    up = (rng.uniform(size=25) < 0.4).astype(float)
    pairs = [(a > b) + 0.5 * (a == b) for a, b in product(score[up == 1], score[up == 0])]
    assert area_under_curve(score, up)(np.ones((1, 25)))[0] == pytest.approx(
        np.mean(pairs), rel=REFERENCE
    )
    assert np.isnan(area_under_curve(score, np.ones(25))(np.ones((1, 25)))[0])


def test_wilson_is_the_golden_one() -> None:
    assert wilson(2 / 3, 3, 0.95) == pytest.approx(
        (0.2076596008020477, 0.9385080552796037), rel=REFERENCE
    )  # P01
    for k, n, level in ((0, 7, 0.9), (7, 7, 0.99), (31, 60, 0.5)):
        want = binomtest(k, n).proportion_ci(level, method="wilson")
        assert wilson(k / n, n, level) == pytest.approx(
            (want.low, want.high), rel=REFERENCE, abs=REFERENCE
        )


def test_effective_rows_are_the_golden_ones() -> None:
    at = np.arange(20)
    assert effective_rows(at, at + 2) == pytest.approx(7.33, abs=0.005)  # D04: 20 labels of 3 bars
    assert effective_rows(at, at + 11) == pytest.approx(2.58, abs=0.005)  # D05: of 12 bars
    assert effective_rows(at, at) == pytest.approx(20.0, rel=REFERENCE)


def test_effective_rows_against_loops() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        n = int(rng.integers(1, 30))
        start = np.sort(rng.integers(5, 60, n))
        end = start + rng.integers(0, 9, n)
        total: Any = 0.0
        for a, b in zip(start, end, strict=True):
            total += np.mean([1 / np.sum((start <= t) & (t <= end)) for t in range(a, b + 1)])
        assert effective_rows(start, end) == pytest.approx(total, rel=REFERENCE)


@pytest.mark.parametrize(("n", "block"), [(10, 3), (12, 4), (7, 7), (5, 1), (50, 20)])
def test_block_bootstrap_draws_n_rows_in_blocks(n: int, block: int) -> None:
    counts = np.concatenate(list(block_counts(n, block, 2_000, seed=5)))
    assert counts.shape == (2_000, n)
    assert np.all(counts.sum(axis=1) == n)
    assert np.all(counts >= 0)
    # Every row is drawn once on average, wherever it stands.
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.15)
    # A draw is a sum of blocks: its counts change at most twice a block around the circle.
    edges = np.count_nonzero(np.diff(np.column_stack([counts, counts[:, 0]]), axis=1), axis=1)
    assert np.all(edges <= 2 * -(-n // block))
    again = np.concatenate(list(block_counts(n, block, 2_000, seed=5)))
    assert np.array_equal(counts, again)
    assert block in (1, n) or not np.array_equal(
        counts, next(block_counts(n, block, 2_000, seed=6))
    )


def test_block_bootstrap_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(block_counts(40, 6, 30, seed=5)))
    monkeypatch.setattr("barproof._scores._CHUNK", 100)
    chunks = list(block_counts(40, 6, 30, seed=5))
    assert len(chunks) == 15
    assert np.array_equal(np.concatenate(chunks), whole)


def test_intervals_of_dependent_rows_cover_the_mean() -> None:
    # Sums of overlapping draws, as labels of ten bars are; the mean is 0.
    covered, narrow, runs = 0, 0, 120
    for seed in range(runs):
        e = np.random.default_rng(seed).standard_normal(1_009)
        x = np.convolve(e, np.ones(10), "valid")
        for block in (40, 1):
            w = np.concatenate(list(block_counts(len(x), block, 300, seed)))
            low, high = resampled_interval(w @ x / w.sum(axis=1), 0.95)
            if block == 40:
                covered += low <= 0 <= high
            else:
                narrow += low <= 0 <= high
    assert covered / runs > 0.86
    assert narrow / runs < 0.6


def test_intervals_need_defined_draws() -> None:
    values = np.arange(100.0)
    assert resampled_interval(values, 0.9) == pytest.approx((4.95, 94.05))
    values[:6] = np.nan
    assert np.isnan(resampled_interval(values, 0.9)).all()
