"""What a training is said to take, what it tells while it runs, and what the page shows of it afterwards."""

from __future__ import annotations

import io
import itertools
import math
import time
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

import barproof as bp
from barproof import models
from barproof.models.protocol import Configured
from barproof.report import render
from barproof.report.learning import learning_figure, learnings
from tests.models.market import quiet
from tests.models.test_nets import BARS, BINARY, PRICED, QUICK, RETURN, TERNARY, WALK, count

torch = pytest.importorskip("torch")

FEW = bp.WalkForward(1_000, 500)


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (QUICK["feed"], TERNARY),
        (QUICK["cross"], RETURN),
        (models.Logistic(), BINARY),
        (models.GradientBoosting(max_iter=20), BINARY),
        (models.Ensemble([QUICK["feed"], QUICK["feed"]]), BINARY),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_plan_counts_the_job(model: Any, labels: Any) -> None:
    plan = bp.plan_training(model, PRICED, labels, FEW, price_per_hour=3_600.0, threads=1)
    folds = FEW.folds(BARS, labels)
    window = getattr(model, "window", 1)
    rows = sum(
        int(np.count_nonzero(~np.isnan(labels.values[f.train]) & (f.train >= window - 1)))
        for f in folds
    )
    assert (plan.folds, plan.parts, plan.trainings, plan.rows) == (len(folds), 1, len(folds), rows)
    assert plan.cost == pytest.approx(plan.seconds)
    assert plan.memory_bytes > PRICED.height * 4 * 8
    assert plan.fits
    assert plan.seconds > 0.0


def test_a_plan_is_near_what_it_took() -> None:
    """Early stopping apart, which the plan does not foresee; the machine is shared, so the bound is wide."""
    net = replace(QUICK["feed"], epochs=12, patience=100)
    plan = bp.plan_training(net, PRICED, TERNARY, FEW)
    began = time.perf_counter()
    quiet(net, PRICED, TERNARY, FEW)
    took = time.perf_counter() - began
    assert took / 8 < plan.seconds < took * 8


@dataclass(kw_only=True, eq=False, repr=False)
class Clocked(Configured):
    """A model whose time is known: so much once, and so much a row and epoch."""

    epochs: int = 1
    patience: int = 1
    resume: str | None = None
    once: float = 0.5
    row: float = 1e-3
    allows_nan = False

    def fit(self, X: Any, y: Any, **_: Any) -> None:
        Clocked.now += self.once + self.row * self.epochs * len(y)

    now = 0.0


@dataclass(kw_only=True, eq=False, repr=False)
class Whole(Configured):
    """The same without epochs."""

    row: float = 1e-3
    allows_nan = False

    def fit(self, X: Any, y: Any, **_: Any) -> None:
        Clocked.now += 0.5 + self.row * len(y)


@pytest.mark.parametrize("epochs", [1, 40])
def test_seconds_are_those_of_all_folds(epochs: int) -> None:
    with mock.patch("time.perf_counter", lambda: Clocked.now):
        many: Any = Clocked(epochs=epochs)
        plan = bp.plan_training(many, PRICED, TERNARY, FEW, price_per_hour=36.0, threads=1)
        assert plan.seconds == pytest.approx(0.5 * plan.folds + 1e-3 * epochs * plan.rows)
        assert plan.cost == pytest.approx(plan.seconds / 100)
        whole: Any = Whole()
        plan = bp.plan_training(whole, PRICED, TERNARY, FEW, threads=1)
        assert plan.seconds == pytest.approx(0.5 * plan.folds + 1e-3 * plan.rows)
        # Folds share the threads; the longest alone takes its time.
        two = bp.plan_training(whole, PRICED, TERNARY, FEW, threads=2)
        assert two.seconds == pytest.approx(plan.seconds / 2)


def test_a_plan_knows_the_size_of_a_net() -> None:
    net = models.FeedForward(hidden=(64, 32), batch=256)
    plan = bp.plan_training(replace(net, epochs=1), PRICED, TERNARY, WALK)
    assert plan.parameters == count(net.module(4, 3))
    small = bp.plan_training(replace(net, epochs=1, batch=64), PRICED, TERNARY, WALK)
    assert small.device_bytes < plan.device_bytes
    # Weights, gradients, two moments and the best weights; the table in single precision.
    assert plan.device_bytes > 20 * plan.parameters + 4 * 4 * len(BARS)
    # What backward needs of a batch holds at least each layer's input.
    assert plan.device_bytes - 20 * plan.parameters - 16 * len(BARS) > 4 * 256 * (4 + 64 + 32)


@pytest.mark.parametrize("name", ["feed", "lstm"])
@pytest.mark.parametrize("labels", [TERNARY, RETURN], ids=["ternary", "return"])
def test_every_epoch_is_told(name: str, labels: Any) -> None:
    told: list[models.Epoch] = []
    run = quiet(QUICK[name], PRICED, labels, FEW, watch=told.append)
    assert len(told) == sum(len(fit(b)["curve"]) for b in run.bundles)
    for number, bundle in enumerate(run.bundles):
        own = [epoch for epoch in told if epoch.where == f"fold {number}"]
        curve = fit(bundle)["curve"]
        assert [epoch.train for epoch in own] == [point["train"] for point in curve]
        assert [epoch.held for epoch in own] == [point["held"] for point in curve]
        metric = "correlation" if labels is RETURN else "accuracy"
        assert [epoch.value for epoch in own] == [point[metric] for point in curve]
        assert [epoch.epoch for epoch in own] == list(range(1, len(curve) + 1))
        assert own[-1].best == fit(bundle)["kept_epoch"] + 1
    last = told[-1]
    assert last.seconds_left == 0.0
    assert last.rows_per_second > 0
    assert last.memory_bytes > 10 << 20
    assert str(last).startswith(f"{last.where}: {run.bundles[0].part().model.name} epoch 2/2, loss")
    assert "rows/s" in str(last) and "MiB on cpu" in str(last)


def fit(bundle: bp.Bundle) -> Any:
    return bundle.manifest["parts"]["model"]["model"]["fit"]


def test_the_metric_is_that_of_the_held_rows() -> None:
    run = quiet(replace(QUICK["feed"], epochs=1), PRICED, TERNARY, [WALK.folds(BARS, TERNARY)[0]])
    (point,) = fit(run.bundles[0])["curve"]
    train = run.folds[0].train
    rows = train[~np.isnan(TERNARY.values[train])]
    held = rows[len(rows) - int(len(rows) * 0.2) :]
    p = run.bundles[0].predict(PRICED, calibrated=False)[held]
    y = TERNARY.values[held]
    assert point["accuracy"] == pytest.approx(np.mean(p.argmax(axis=1) - 1 == y), abs=1e-12)
    assert point["held"] == pytest.approx(
        -np.mean(np.log(p[np.arange(len(y)), y.astype(int) + 1])), rel=1e-5
    )
    run = quiet(replace(QUICK["feed"], epochs=1), PRICED, RETURN, [WALK.folds(BARS, RETURN)[0]])
    (point,) = fit(run.bundles[0])["curve"]
    train = run.folds[0].train
    rows = train[~np.isnan(RETURN.values[train])]
    held = rows[len(rows) - int(len(rows) * 0.2) :]
    p = run.bundles[0].predict(PRICED)[held, 0]
    assert point["correlation"] == pytest.approx(
        np.corrcoef(p, RETURN.values[held])[0, 1], abs=1e-5
    )


def test_a_watcher_may_end_the_training() -> None:
    def stop(epoch: models.Epoch) -> None:
        if epoch.epoch == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        quiet(QUICK["feed"], PRICED, TERNARY, WALK, watch=stop)
    # Nobody listens to what is trained afterwards.
    quiet(QUICK["feed"], PRICED, TERNARY, WALK)


def test_the_bar_shows_the_net_under_way() -> None:
    from rich.console import Console

    clock = itertools.count(0.0)
    screen = Console(file=io.StringIO(), force_terminal=True, width=220)
    with (
        mock.patch("rich.console.Console", lambda **_: screen),
        mock.patch("time.perf_counter", lambda: next(clock)),
    ):
        bp.train(QUICK["feed"], PRICED, TERNARY, WALK, ledger=False, progress=True)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "FeedForward epoch 2/2, loss" in text
    assert "accuracy" in text


def test_curves_are_shown_on_the_page() -> None:
    run = quiet(replace(QUICK["feed"], epochs=6, patience=1), PRICED, TERNARY, FEW)
    found = learnings(run)
    assert [one.fold for one in found] == list(range(len(run.bundles)))
    figure = learning_figure(found)
    for one, bundle in zip(found, run.bundles, strict=True):
        curve = fit(bundle)["curve"]
        assert one.train == [point["train"] for point in curve]
        assert one.held == [point["held"] for point in curve]
        drawn = [list(trace.y) for trace in figure.data]
        assert one.train in drawn and one.held in drawn
        assert [one.held[one.kept]] in drawn
    page = render(run=run)
    assert "How the models learned" in page
    assert "fig-learning-0" in page
    early = sum(one.why != "epochs" for one in found)
    assert f"{early} of {len(found)} trainings stopped early" in page
    bare = render(run=quiet(models.Logistic(), PRICED, TERNARY, FEW))
    assert "How the models learned" not in bare
    two = quiet(models.Ensemble([QUICK["feed"], QUICK["feed"]]), PRICED, BINARY, WALK)
    assert [one.part for one in learnings(two)][:2] == ["model, model 0", "model, model 1"]
    assert all(math.isfinite(loss) for one in learnings(two) for loss in one.held)
