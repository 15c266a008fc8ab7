"""SPL-01 and SPL-02: the order of rows, and what labels reach into, by other libraries and by brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

import barproof as bp
from barproof import audits
from tests.audits.test_audits import CANDLES, ROWS


def test_order() -> None:
    walk = bp.WalkForward(1_000, 300, tune=300)
    folds = walk.folds(CANDLES)
    assert audits.split_order(folds).outcome == "pass"
    splits = list(TimeSeriesSplit(5).split(ROWS))
    assert audits.split_order(splits).outcome == "pass"
    shuffled = np.random.default_rng(0).permutation(60)
    found = audits.split_order([(np.sort(shuffled[:40]), np.sort(shuffled[40:]))])
    wrong = int(np.sum(shuffled[:40] >= shuffled[40:].min()))
    assert found.outcome == "fail" and found.measured is not None
    assert found.measured.value == wrong
    assert audits.split_order([(ROWS[:20], ROWS[30:40], ROWS[25:35])]).outcome == "fail"
    assert audits.split_order([(ROWS[:20], ROWS[20:20])]).outcome == "inconclusive"


def purged(blocks: int, tests: int, reach: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Combinatorial folds of 60 rows that drop `reach` rows beside every test block."""
    out = []
    for chosen in combinations(np.split(ROWS, blocks), tests):
        test = np.sort(np.concatenate(chosen))
        near_test = np.unique(np.clip(test[:, None] + np.arange(-reach, reach + 1), 0, 59))
        out.append((np.setdiff1d(ROWS, near_test), test))
    return out


def test_purge_counts_of_other_libraries() -> None:
    spans = (ROWS, ROWS + 4)
    counts = []
    for folds in (
        list(TimeSeriesSplit(5).split(ROWS)),
        list(TimeSeriesSplit(5, gap=4).split(ROWS)),
        purged(6, 2, 0),
        purged(6, 2, 4),
    ):
        found = audits.purge(folds, spans).measured
        assert found is not None
        counts += [found.value, found.n]
    assert counts == [20, 150, 0, 130, 160, 600, 0, 440]  # V07


@settings(deadline=None)
@given(data=st.data())
def test_purge_by_brute_force(data: st.DataObject) -> None:
    n = 25
    start = np.array([i + data.draw(st.integers(0, 2)) for i in range(n)])
    end = start + np.array([data.draw(st.integers(0, 6)) for _ in range(n)])
    lost = np.array([data.draw(st.integers(0, 9)) == 0 for _ in range(n)])
    start, end = np.where(lost, -1, start), np.where(lost, -1, end)
    part = np.array([data.draw(st.integers(0, 2)) for _ in range(n)])
    train, test = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    expected = 0
    for i in train:
        hit = False
        run: list[int] = []
        for j in [*range(n), n]:
            if j < n and j in test and not lost[j]:
                run.append(j)
                continue
            if run and not lost[i]:
                low, high = min(start[k] for k in run), max(end[k] for k in run)
                hit |= bool(start[i] <= high and end[i] >= low)
            run = []
        expected += hit
    found = audits.purge([(train, test)], (start, end))
    assert found.measured is None or found.measured.value == expected
    assert (found.outcome == "fail") == (expected > 0)


def test_purge_of_folds() -> None:
    labels = bp.labels.horizon(CANDLES, bars=10)
    walk = bp.WalkForward(1_000, 300, tune=300)
    assert audits.purge(walk.folds(CANDLES, labels), labels).outcome == "pass"
    naked = audits.purge(walk.folds(CANDLES), labels)
    assert naked.outcome == "fail"
    assert {(r["part"], r["later_part"]) for r in naked.evidence["rows"]} == {
        ("train", "tune"),
        ("tune", "test"),
        ("tune_calibrate", "tune_choose"),
    }
    assert audits.purge(walk.folds(CANDLES, labels)).outcome == "inconclusive"
    assert audits.purge([], labels).outcome == "inconclusive"
    short = (np.arange(100), np.arange(100) + 3)
    assert audits.purge(walk.folds(CANDLES, labels), short).outcome == "inconclusive"
