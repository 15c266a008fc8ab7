"""The cost model: what it is by its text, and that a fit finds what made the runs."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof.distributed import cost as model
from barproof.distributed.cost import Counts, DriverCost, WorkerCost, wall_seconds
from tests.helpers import simulated


def test_seconds_are_a_sum() -> None:
    cost = WorkerCost(shard=2.0, bar=3.0, entry=5.0, trade=7.0, combination=13.0, row=11.0)
    assert cost.seconds(Counts(1, 0, 0, 0, 0, 0)) == 2.0
    assert cost.seconds(Counts(0, 1, 1, 1, 0, 1)) == 26.0
    assert cost.seconds(Counts(0, 0, 0, 0, 2, 0)) == 26.0
    assert DriverCost(9.0, 0.5, 0.25, 9.0).seconds(4, 8) == 4.0


def test_a_fit_finds_what_made_the_runs() -> None:
    rng = np.random.default_rng(4)
    cost = WorkerCost(1e-3, 4e-9, 3e-7, 1e-8, 5e-7, 2e-6)
    runs = []
    for _ in range(40):
        counts = Counts(1, *(10 ** rng.uniform(3, 6, 5)).tolist())
        runs.append((counts, cost.seconds(counts)))
    found = WorkerCost.fit(runs)
    assert np.allclose(astuple(found), astuple(cost), rtol=1e-6)
    noisy = [(counts, took * float(rng.uniform(0.9, 1.1))) for counts, took in runs]
    rough = WorkerCost.fit(noisy)
    errors = [abs(rough.seconds(counts) / took - 1) for counts, took in runs]
    assert max(errors) < 0.11
    assert min(astuple(rough)) >= 0.0


def test_no_coefficient_is_below_zero() -> None:
    # More trades took less time: noise, which a coefficient must not follow.
    runs = [(Counts(1, 0, 0, 10.0 * k, 0, 0), 1.0 - 0.01 * k) for k in range(1, 9)]
    assert WorkerCost.fit(runs).trade == 0.0


def test_the_wall_is_that_of_whoever_needs_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "DRIVER", DriverCost(start=1.0, send=0.01, take=1e-6, byte=1e-9))
    # The workers: 100 s on 10 processors; the driver 0.1 s for 10 shards and 1 s for rows, after their only round.
    assert wall_seconds(100.0, 10, 10, 1_000_000, 1e9) == pytest.approx(1 + 1 + 10 + 1.1)
    assert wall_seconds(100.0, 10, 10, 1_000_000, 1e9, started=True) == pytest.approx(1 + 10 + 1.1)
    # Ten rounds: a tenth of the driver's 1 s for shards and 1 s for rows comes after the last.
    assert wall_seconds(100.0, 10, 100, 1_000_000, 1e9) == pytest.approx(1 + 1 + 10 + 0.2)
    # Each worker prepares for 3 s.
    assert wall_seconds(100.0, 10, 100, 1_000_000, 0.0, prepared=3.0) == pytest.approx(1 + 13 + 0.2)
    # The driver: 2 s for shards, 9 s for rows, beside workers that take 0.1 s.
    assert wall_seconds(100.0, 1_000, 200, 9_000_000, 0.0) == pytest.approx(1 + 11 + 0.1)


def test_a_plan_counts_workers_and_shards(cluster: bp.RayExecutor) -> None:
    candles, signals = simulated(3_000)
    grid = bp.Grid(bp.Rules(max_hold=24, entry_long=1.0), stop_loss=[0.01, 0.02])
    options: dict[str, Any] = {"costs": bp.Costs(taker=0.0005), "windows": "60h"}
    plain = bp.plan(candles, signals, grid, **options)
    assert (plain.workers, plain.shards) == (1, 0)
    asked = bp.plan(candles, signals, grid, **options, executor=cluster)
    assert asked.workers == 2
    assert asked.shards == 1
    assert asked.threads == 1
    assert asked.rows == plain.rows
    assert "on 2 workers for 1 shards, each with 1 threads by indexed" in str(asked)
    cluster.team.started = False
    cold = bp.plan(candles, signals, grid, **options, executor=cluster)
    assert cold.seconds > model.DRIVER.start
    bp.sweep(candles, signals, grid, **options, ledger=False, executor=cluster)
    warm = bp.plan(candles, signals, grid, **options, executor=cluster)
    assert warm.seconds < cold.seconds - 0.9 * model.DRIVER.start
