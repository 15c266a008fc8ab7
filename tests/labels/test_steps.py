"""Targets of several steps, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

import barproof as bp


def table(n: int = 60, width: int = 5) -> np.ndarray:
    values = np.random.default_rng(4).normal(10.0, 1.0, (n, width))
    values[17, 2] = np.nan
    values[41, 0] = np.inf
    return values


def wanted(values: np.ndarray, row: int, step: int, channel: int, form: str) -> float:
    now, then = values[row, channel], values[row + 1 + step, channel]
    return float({"level": then, "change": then - now, "return": then / now - 1}[form])


@pytest.mark.parametrize("form", ["level", "change", "return"])
@pytest.mark.parametrize("channels", [None, [2], [0, 2, 4], [4, 1], [3, 2, 0]])
def test_each_step_of_each_channel(form: str, channels: list[int] | None) -> None:
    values, steps = table(), 7
    made = bp.labels.targets(values, steps=steps, channels=channels, form=form)  # type: ignore[arg-type]
    at = channels or list(range(5))
    assert made.shape == (53, steps, len(at))
    assert (made.start[0], made.end[0], made.end[-1]) == (1, 7, 66)
    with np.errstate(invalid="ignore"):
        want = np.array(
            [[[wanted(values, i, k, c, form) for c in at] for k in range(steps)] for i in range(53)]
        )
    rows = np.random.default_rng(1).permutation(53)
    np.testing.assert_array_equal(made.take(rows, dtype=np.float64), want[rows])
    np.testing.assert_array_equal(made.take(rows, threads=3), want[rows].astype(np.float32))
    based = np.isfinite(values[:53, at]).all(axis=1) | (form == "level")
    finite = [i for i in range(53) if based[i] and np.isfinite(want[i]).all()]
    assert made.rows.tolist() == finite
    if form == "level":
        view = made.view()
        np.testing.assert_array_equal(view, want)
        assert not view.flags.writeable
    batches = list(made.batches(16, dtype=np.float64))
    assert [len(part) for part, _ in batches[:-1]] == [16] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate([part for part, _ in batches]), finite)
    np.testing.assert_array_equal(np.concatenate([t for _, t in batches]), want[finite])


def test_a_view_holds_nothing_twice() -> None:
    values = np.zeros((100_000, 4))
    made = bp.labels.targets(values, steps=500, channels=[1, 3])
    view = made.view()
    assert view.shape == (99_500, 500, 2)
    base = view
    while base.base is not None:
        base = base.base
    assert base.nbytes == values.nbytes
    values[:] = 1.0
    assert made.view()[5, 5, 1] == 0.0


def test_channels_by_name_and_purging() -> None:
    candles = bp.simulate_candles(1, bars=300)
    made = bp.labels.targets(candles.to_polars(), steps=12, channels=["close", "volume"])
    assert made.take([4], dtype=np.float64)[0, 11].tolist() == [
        candles.close[16],
        candles.volume[16],
    ]
    (fold, *_) = bp.WalkForward(train=100, test=50).folds(candles, made)
    assert fold.train.tolist() == list(range(88))
    assert repr(made) == "Targets(288 rows x 12 steps x 2 channels, level)"
    assert math.isfinite(made.take(made.rows).sum())
