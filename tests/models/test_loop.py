"""What the training loop of nets does with its parameters: rate, gradients, weights; each has an effect."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

import barproof as bp
from barproof import models
from tests.models.market import candles, quiet, table

torch = pytest.importorskip("torch")

BARS = candles()
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
FOLD = bp.WalkForward(1_400, 600, tune=600).folds(BARS, TERNARY)[0]
NET = models.FeedForward(hidden=(8, 4), epochs=3, batch=100, learning_rate=0.01, patience=50)


def watched(net: Any) -> tuple[list[float], list[float], bp.Bundle]:
    """Learning rate and length of the gradient at every step."""
    rates, lengths = [], []
    real = torch.optim.AdamW.step

    def step(optimiser: Any, *args: Any) -> Any:
        (group,) = optimiser.param_groups
        rates.append(group["lr"])
        squares = [float((p.grad.double() ** 2).sum()) for p in group["params"]]
        lengths.append(math.sqrt(sum(squares)))
        return real(optimiser, *args)

    with mock.patch.object(torch.optim.AdamW, "step", step):
        made = quiet(net, X, TERNARY, [FOLD]).bundles[0]
    return rates, lengths, made


def test_the_rate_falls_along_a_cosine() -> None:
    """Loshchilov and Hutter 2017, without restarts: half of 1 + cos(pi k / n) at step k of n."""
    rates, _, _ = watched(NET)
    n = len(rates)
    assert n == 3 * math.ceil(sum_kept() / 100)
    expected = [0.01 * 0.5 * (1.0 + math.cos(math.pi * k / n)) for k in range(n)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    rates, _, _ = watched(replace(NET, schedule="constant"))
    assert rates == [0.01] * n


def sum_kept() -> int:
    """Train rows that train: all but the last fifth, and but those whose labels reach into it."""
    rows = FOLD.train[~np.isnan(TERNARY.values[FOLD.train])]
    first = rows[len(rows) - int(len(rows) * 0.2)]
    return int(np.count_nonzero((TERNARY.end[rows] < first) & (rows < first)))


def test_gradients_are_not_longer_than_asked() -> None:
    _, free, _ = watched(replace(NET, clip=None))
    assert max(free) > 0.3
    _, short, _ = watched(replace(NET, clip=0.05))
    # torch divides by the length plus 1e-6, in single precision.
    assert max(short) <= 0.05 * (1 + 1e-5)
    assert np.median(short) > 0.0499


def test_classes_are_weighed_to_the_same_total() -> None:
    from barproof.models import _fitting

    seen: list[Any] = []
    real = _fitting._loss

    def loss(net: Any, out: Any, y: Any, weights: Any) -> Any:
        seen.append(weights)
        return real(net, out, y, weights)

    with mock.patch.object(_fitting, "_loss", loss):
        quiet(replace(NET, epochs=1, balanced=True), X, TERNARY, [FOLD])
    rows = FOLD.train[~np.isnan(TERNARY.values[FOLD.train])]
    first = rows[len(rows) - int(len(rows) * 0.2)]
    kept = TERNARY.values[rows[(TERNARY.end[rows] < first) & (rows < first)]]
    counts = np.array([np.count_nonzero(kept == c) for c in (-1.0, 0.0, 1.0)])
    totals = counts * seen[0].numpy()
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    with mock.patch.object(_fitting, "_loss", loss):
        quiet(replace(NET, epochs=1), X, TERNARY, [FOLD])
    assert seen[-1] is None


OTHER: dict[str, Any] = {
    "epochs": 2, "batch": 50, "learning_rate": 0.02, "weight_decay": 0.5, "schedule": "constant",
    "loss": "focal", "label_smoothing": 0.2, "spread": 1.0, "balanced": True, "clip": 0.01,
    "validation": 0.4, "patience": 1, "amp": True, "hidden": (8, 5), "dropout": 0.5, "batch_norm": False,
}  # fmt: skip
FOCAL: dict[str, Any] = {"focal_gamma": 1.0, "focal_alpha": 0.5}


@pytest.mark.parametrize("name", [*OTHER, *FOCAL])
def test_every_parameter_of_the_loop_has_an_effect(name: str) -> None:
    # An alpha scales the loss, which Adam does not see but through the clipping.
    net = replace(NET, loss="focal", clip=0.1) if name in FOCAL else NET
    if name == "patience":
        # Such a rate does worse after the first epoch.
        net = replace(NET, learning_rate=0.3, epochs=12, schedule="constant")
    a, b = (
        quiet(one, X, TERNARY, [FOLD]).bundles[0]
        for one in (net, replace(net, **{name: (OTHER | FOCAL)[name]}))
    )
    if name == "patience":
        epochs = [one.part().model.facts["epochs"] for one in (a, b)]  # type: ignore[attr-defined]
        assert epochs[1] < epochs[0]
        return
    p, q = (one.predict(X, calibrated=False) for one in (a, b))
    assert np.nanmax(np.abs(p - q)) > 0.0
