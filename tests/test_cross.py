"""Purged cross-validation against its definition in plain loops, and scikit-learn's protocol."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

import barproof as bp
from barproof._scores import effective_rows
from barproof.models import Logistic
from barproof.splits import CombinatorialPurged, PurgedKFold, uniqueness
from tests.models.market import candles, quiet, table


def spans(draw: Any, n: int) -> tuple[Any, Any]:
    """Labels of any length; some rows have none."""
    start, end = [], []
    for row in range(n):
        lead = draw(st.integers(0, 3))
        length = draw(st.integers(0, 6))
        none = draw(st.integers(0, 9)) == 0
        start.append(-1 if none else row + lead)
        end.append(-1 if none else row + lead + length)
    return np.array(start), np.array(end)


def bars_of(row: int, end: int) -> set[int]:
    return set(range(row, max(row, end) + 1))


def by_hand(n: int, test: list[int], end: Any, embargo: int) -> list[int]:
    """Train rows of a fold, row by row: shares no bar with a test row, lies behind no test block within the embargo."""
    blocks: list[list[int]] = []
    for row in test:
        if blocks and blocks[-1][-1] == row - 1:
            blocks[-1].append(row)
        else:
            blocks.append([row])
    kept = []
    for row in range(n):
        if row in test:
            continue
        own = bars_of(row, end[row])
        fine = True
        for block in blocks:
            bars: set[int] = set()
            for judge in block:
                bars |= bars_of(judge, end[judge])
            fine &= not own & bars
            fine &= not max(bars) < row <= max(bars) + embargo
        if fine:
            kept.append(row)
    return kept


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_folds_are_those_of_the_definition(data: Any) -> None:
    n = data.draw(st.integers(8, 40))
    start, end = spans(data.draw, n)
    embargo = data.draw(st.integers(0, 4))
    groups = data.draw(st.integers(2, 5))
    tests = data.draw(st.integers(1, groups - 1))
    splitters: list[tuple[Any, Any]] = [
        (PurgedKFold(groups, embargo=embargo), [(g,) for g in range(groups)]),
        (
            CombinatorialPurged(groups, tests, embargo=embargo),
            list(combinations(range(groups), tests)),
        ),
    ]
    edges = [n * g // groups for g in range(groups + 1)]
    for splitter, chosen in splitters:
        expected = []
        for group in chosen:
            test = [row for g in group for row in range(edges[g], edges[g + 1])]
            expected.append((by_hand(n, test, end, embargo), test))
        if not all(train for train, _ in expected):
            with pytest.raises(bp.WindowError, match="no train row of fold"):
                splitter.folds(range(n), (start, end))
            continue
        folds = splitter.folds(range(n), (start, end))
        assert [(f.train.tolist(), f.test.tolist()) for f in folds] == expected
        assert [f.purged for f in folds] == [n - len(a) - len(b) for a, b in expected]
        assert splitter.get_n_splits(range(n)) == len(folds)
        assert all(not len(f.tune) for f in folds)


@pytest.mark.parametrize(("groups", "tests"), [(4, 2), (6, 2), (5, 3), (6, 1), (5, 4)])
def test_every_path_goes_through_all_rows_once(groups: int, tests: int) -> None:
    n = 53
    splitter = CombinatorialPurged(groups, tests)
    folds = splitter.folds(range(n))
    paths = splitter.paths(range(n))
    assert len(folds) == comb(groups, tests)
    assert len(paths) == comb(groups - 1, tests - 1)
    served = set()
    for path in paths:
        assert np.array_equal(np.concatenate([rows for _, rows in path]), np.arange(n))
        for number, rows in path:
            assert np.isin(rows, folds[number].test).all()
            assert not np.isin(rows, folds[number].train).any()
            assert (number, rows[0]) not in served
            served.add((number, rows[0]))
    # Each fold serves every one of its groups.
    assert len(served) == comb(groups, tests) * tests


def test_embargo_in_time() -> None:
    times = [*range(10), *range(40, 60)]
    frame = pl.DataFrame({"open_time": np.array(times) * 3_600_000})
    fold = PurgedKFold(3, embargo="5h").folds(frame)[0]
    # Rows 0 to 9 judge; the hole of 30 hours is longer than the embargo.
    assert fold.train.tolist() == list(range(10, 30))
    fold = PurgedKFold(3, embargo="5h").folds(frame)[1]
    assert fold.train.tolist() == [*range(10), *range(25, 30)]


def test_scikit_learn_takes_them_and_purges() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 2))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    at = np.arange(300)
    labels = (at + 1, at + 4)
    for cv in (PurgedKFold(4, embargo=3, labels=labels), CombinatorialPurged(5, 2, labels=labels)):
        folds = cv.folds(X)
        for fold, (train, test) in zip(folds, cv.split(X, y), strict=True):
            assert np.array_equal(fold.train, train) and np.array_equal(fold.test, test)
        scores = cross_val_score(LogisticRegression(), X, y, cv=cv)
        assert len(scores) == cv.get_n_splits(X, y) and scores.mean() > 0.6
        assert GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=cv).fit(
            X, y
        ).n_splits_ == len(folds)
    assert len(cross_val_predict(LogisticRegression(), X, y, cv=PurgedKFold(4))) == 300
    assert repr(PurgedKFold(4, labels=labels)).startswith("PurgedKFold(k=4")


def test_a_label_that_leaks_is_worthless_only_when_purged() -> None:
    """Overlapping labels of a random walk: a nearest neighbour remembers them across an edge that nobody purges."""
    from sklearn.neighbors import KNeighborsClassifier

    n, h = 2_000, 50
    walk = np.random.default_rng(8).standard_normal(n + h).cumsum()
    y = (walk[h:] > walk[:-h]).astype(int)
    X = np.arange(n, dtype=float)[:, None]
    labels = (np.arange(n), np.arange(n) + h)
    found = {}
    for name, spans_ in (("purged", labels), ("bare", None)):
        scores = cross_val_score(KNeighborsClassifier(1), X, y, cv=PurgedKFold(80, labels=spans_))
        found[name] = scores.mean()
    assert found["bare"] > 0.8
    assert found["purged"] < 0.65


def test_train_takes_their_folds_and_later_rows_leak_nothing() -> None:
    bars = candles(900)
    X = table(bars)
    labels = bp.labels.horizon(bars, bars=4, kind="binary")
    splitter = PurgedKFold(4, embargo=6)
    folds = splitter.folds(bars, labels)
    run = quiet(Logistic(), X, labels, splitter)
    assert [f.rows_digest for f in run.folds] == [f.rows_digest for f in folds]
    # Garbage in every label that shares a bar with a test row, and in the test rows: the model stays.
    for number in (0, 2):
        values = labels.values.copy()
        rows = np.setdiff1d(np.arange(len(bars)), folds[number].train)
        values[rows] = np.random.default_rng(1).choice([0.0, 1.0], len(rows))
        from dataclasses import replace

        dirty = replace(labels, values=values, start=labels.start.copy(), end=labels.end.copy())
        other = quiet(Logistic(), X, dirty, [folds[number]])
        a = run.bundles[number].predict(X, calibrated=False)
        assert np.array_equal(a, other.bundles[0].predict(X, calibrated=False), equal_nan=True)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_uniqueness_by_counting(data: Any) -> None:
    n = data.draw(st.integers(1, 25))
    start, end = spans(data.draw, n)
    rows = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    found = uniqueness((start, end), rows=rows)
    for row, weight in zip(rows, found, strict=True):
        if end[row] < 0:
            assert np.isnan(weight)
            continue
        shares = []
        for bar in range(start[row], end[row] + 1):
            alive = sum(end[r] >= 0 and start[r] <= bar <= end[r] for r in rows)
            shares.append(1 / alive)
        np.testing.assert_allclose(weight, np.mean(shares), rtol=1e-12)
    there = end >= 0
    if there.any():
        total = np.nansum(uniqueness((start, end)))
        np.testing.assert_allclose(total, effective_rows(start[there], end[there]), rtol=1e-12)
