"""Trainings, label sweeps, bootstraps and the procedure test on a cluster: the bits of one machine."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import stats
from barproof.distributed.statistics import begins
from barproof.stats import superior
from tests.models.market import candles as market
from tests.models.market import down, table

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)


def outputs(run: bp.Run) -> list[bytes]:
    """Bits of all that was foreseen."""
    found = []
    for part in ("test", "tune"):
        for number in range(len(run.folds)):
            made = run.signals(part=part, fold=number)
            found += [made[name].tobytes() for name in made.names]
    return found


@pytest.mark.parametrize("seed", [7, 8])
def test_folds_are_trained_to_the_same_bundles(cluster: bp.RayExecutor, seed: int) -> None:
    bars = market(1_200)
    labels = bp.labels.horizon(bars, bars=3, threshold=0.001)
    folds = bp.WalkForward(400, 200, tune=200)
    model = bp.models.GradientBoosting(max_iter=20)
    seen: list[tuple[int, int]] = []

    def trained(**options: Any) -> bp.Run:
        return bp.train(model, table(bars), labels, folds, seed=seed, ledger=False, **options)

    here = trained(threads=1)
    there = trained(executor=cluster, progress=lambda d, t: seen.append((d, t)))
    assert [a.digest for a in there.bundles] == [b.digest for b in here.bundles]
    assert outputs(there) == outputs(here)
    assert there.provenance == here.provenance
    assert there.X.equals(here.X)
    assert seen == [(n + 1, len(here.folds)) for n in range(len(here.folds))]


def test_parts_of_a_training_and_the_first_fold_that_fails(cluster: bp.RayExecutor) -> None:
    bars = market(1_200)
    labels = bp.labels.horizon(bars, bars=3, kind="binary")
    ternary = bp.labels.horizon(bars, bars=3, threshold=0.001)
    folds = bp.WalkForward(400, 200, tune=200)
    parts = {
        "long": bp.Part(bp.models.Logistic(), table(bars), labels),
        "short": bp.Part(bp.models.Logistic(), table(bars), down(ternary)),
    }
    here = bp.train(parts, folds=folds, ledger=False)
    there = bp.train(parts, folds=folds, ledger=False, executor=cluster)
    assert outputs(there) == outputs(here)
    values = np.where(np.arange(len(bars)) < 700, 1.0, labels.values)
    broken = replace(labels, values=values, start=labels.start.copy(), end=labels.end.copy())
    messages = []
    for executor in (None, cluster):
        with pytest.raises(bp.TrainingError) as caught:
            bp.train(
                bp.models.Logistic(), table(bars), broken, folds, ledger=False, executor=executor
            )
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "fold 0" in messages[0]


@pytest.mark.parametrize("kind", ["horizons", "trades"])
def test_label_sweeps(cluster: bp.RayExecutor, kind: str) -> None:
    bars = market(1_500)
    options: dict[str, Any] = {
        "costs": COSTS,
        "min_volume": [0.0, float(np.median(bars.volume))],
        "features": table(bars),
        "folds": 3,
        "ledger": False,
    }
    if kind == "horizons":
        options |= {"bars": [3, 12, 6], "threshold": [0.002, 0.001]}
    else:
        rules = bp.Rules(max_hold=12)
        options["rules"] = bp.Grid(rules, stop_loss=[0.005, 0.01], take_profit=[0.01, 0.02, 0.04])
        options["side"] = ["long", "short"]
    here = bp.labels.sweep(bars, **options)
    seen: list[tuple[int, int]] = []
    there = bp.labels.sweep(
        bars, **options, executor=cluster, progress=lambda d, t: seen.append((d, t))
    )
    assert there.frame.schema == here.frame.schema
    for name in here.frame.columns:
        assert there.frame[name].equals(here.frame[name], null_equal=True), name
        if here.frame[name].dtype != pl.Float64:
            continue
        assert there.frame[name].to_numpy().tobytes() == here.frame[name].to_numpy().tobytes(), name
    assert here.frame["auc"].is_not_nan().any()
    assert there.provenance == here.provenance
    assert seen.count((len(here), len(here))) == 2
    last = len(here) - 1
    assert there.labels(last).digest == here.labels(last).digest


@pytest.mark.parametrize("mean_block", [1.0, 1.5, 7.0, 40.0])
@pytest.mark.parametrize("n", [5, 60, 400])
def test_shards_begin_where_the_stream_is(n: int, mean_block: float) -> None:
    """Against resamples taken from the numbers one by one, by the text of `stationary_indices`."""
    if mean_block > n:
        return
    rows, seed = 40, 11
    found = begins(n, mean_block, rows, seed)
    numbers = stats.uniforms(seed, 2 * n * rows + 2)
    place = 0
    for row in range(rows):
        assert found[row] == place
        place += 1
        for _ in range(n - 1):
            place += 2 if numbers[place] < 1.0 / mean_block else 1
    assert found[rows] == place
    whole = stats.stationary_indices(n, mean_block=mean_block, rows=rows, seed=seed)
    for row in (0, 1, rows // 2, rows - 1):
        moved = (seed + found[row] * 0x9E3779B97F4A7C15) % 2**64
        alone = stats.stationary_indices(n, mean_block=mean_block, rows=1, seed=moved)
        assert alone[0].tolist() == whole[row].tolist()


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("studentise", ["resample", "sample", "none"])
def test_bootstraps(cluster: bp.RayExecutor, given: bool, studentise: Any) -> None:
    panel = np.random.default_rng(3).normal(0.02, 1.0, (150, 40))
    options: dict[str, Any] = {"resamples": 700, "seed": 2**64 - 3, "studentise": studentise}
    if given:
        rows = stats.stationary_indices(150, mean_block=5, rows=700, seed=1)
        options |= {"indices": rows, "mean_block": 5.0}
    seen: list[tuple[int, int]] = []
    here = stats.stepm(panel, **options)
    there = stats.stepm(
        panel, **options, executor=cluster, progress=lambda d, t: seen.append((d, t))
    )
    assert there.p.tobytes() == here.p.tobytes()
    assert there.superior.tolist() == here.superior.tolist()
    assert repr(there.spa) == repr(here.spa)
    assert there.spa.exceed.tolist() == here.spa.exceed.tolist()
    assert seen[-1] == (700, 700)
    if studentise != "none":
        assert repr(stats.spa(panel, **options, executor=cluster)) == repr(
            stats.spa(panel, **options)
        )
    options.pop("studentise")
    assert repr(stats.reality_check(panel, **options, executor=cluster)) == repr(
        stats.reality_check(panel, **options)
    )


def test_maxima_of_resamples_have_the_same_bits(cluster: bp.RayExecutor) -> None:
    panel = np.random.default_rng(5).normal(size=(30, 90))
    setup = superior.Setup(90, 4.0, 500, 9, 1)
    held = []
    for workers in (None, cluster.team):
        job = superior.Superior(replace(setup, workers=workers), studentise="resample")
        means, deviations = job.measure(panel)
        order = np.argsort(job.statistics(means, deviations), kind="stable")
        counts = [
            job.resample(panel[part], means[part], deviations[part], False)
            for part in (order[:10], order[10:])
        ]
        assert job._maxima is not None
        held.append((job._maxima.tobytes(), [one.tolist() for one in counts]))
    assert held[0] == held[1]


def test_overfitting(cluster: bp.RayExecutor) -> None:
    candles = bp.simulate_candles(3, bars=6_000, interval="1h")
    signals = bp.Signals(long=candles.planted, kind="score")
    grid = bp.Grid(bp.Rules(entry_long=0.5, max_hold=12), entry_long=[0.5, 1.0], max_hold=[6, 12])
    swept = bp.sweep(candles, signals, grid, costs=COSTS, ledger=False)
    here = stats.overfitting(swept, trials=4, resamples=199)
    there = stats.overfitting(swept, trials=4, resamples=199, executor=cluster)
    assert repr(there) == repr(here)
    assert there.frame.equals(here.frame, null_equal=True)


def study(candles: bp.Candles) -> bp.Result:
    signals = bp.Signals.where(candles, long="rsi(14) < 30")
    rules = bp.Rules(entry_long=0.5, max_hold=12)
    return bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0))


def alike(a: bp.ProcedureTest, b: bp.ProcedureTest) -> None:
    assert a.p == b.p
    assert a.score == b.score
    assert a.null.tobytes() == b.null.tobytes()
    assert a.power.equals(b.power)
    assert a.failed == b.failed
    assert a.errors == b.errors
    assert a.complete == b.complete


def test_procedure_test(cluster: bp.RayExecutor, tmp_path: Path) -> None:
    bars = bp.simulate_candles(1, bars=1_000)
    options: dict[str, Any] = {"count": 19, "edges": [0.2], "studies": 3, "seed": 4}
    here = bp.procedure_test(study, bars, **options)
    seen: list[tuple[int, int]] = []
    out = tmp_path / "book.jsonl"
    there = bp.procedure_test(
        study, bars, **options, executor=cluster, out=out, progress=lambda d, t: seen.append((d, t))
    )
    alike(there, here)
    assert seen == [(n, 22) for n in range(1, 23)]
    # The file of a cluster goes on without one, and the other way round.
    lines = out.read_text().splitlines()
    out.write_text("\n".join(lines[:9]) + "\n")
    alike(bp.procedure_test(study, bars, **options, out=out), here)
    out.write_text("\n".join(lines[:9]) + "\n")
    alike(bp.procedure_test(study, bars, **options, out=out, executor=cluster), here)
    none = bp.procedure_test(study, bars, **options, budget=0.0, executor=cluster)
    assert not none.complete
    assert not none.defined


def test_a_study_that_fails_counts_against_it(cluster: bp.RayExecutor) -> None:
    bars = bp.simulate_candles(1, bars=1_000)
    real = bars.digest

    def fragile(candles: bp.Candles) -> float:
        if candles.digest != real and candles.close[5] > candles.close[4]:
            raise ValueError(f"no study of {candles.close[5] > 0}")
        return float(candles.close[-1] / candles.close[0])

    here = bp.procedure_test(fragile, bars, count=19)
    there = bp.procedure_test(fragile, bars, count=19, executor=cluster)
    assert 0 < here.failed < 19
    alike(there, here)


def test_a_study_whose_worker_is_killed_is_run_again(
    cluster: bp.RayExecutor, tmp_path: Path
) -> None:
    bars = bp.simulate_candles(1, bars=1_000)
    real, marks = bars.digest, tmp_path

    def deadly(candles: bp.Candles) -> float:
        mark = marks / candles.digest[:12]
        if candles.digest != real and not mark.exists() and len(list(marks.iterdir())) < 2:
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return float(candles.close[-1] / candles.close[0])

    before = cluster.lost
    there = bp.procedure_test(deadly, bars, count=19, executor=cluster)
    died = [path.read_text() for path in marks.iterdir()]
    assert cluster.lost - before >= len(died) >= 2
    assert str(os.getpid()) not in died
    # Now every mark is there, and nobody dies.
    alike(there, bp.procedure_test(deadly, bars, count=19))
