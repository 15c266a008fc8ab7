"""Overfitting statistics over a sweep: those of its matrix of daily returns, however it is streamed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import barproof as bp
from barproof import stats
from barproof.stats import sweeps
from tests.tolerances import GOLDEN

near = pytest.approx


def swept(edge: float = 0.0, seed: int = 3, **options: object) -> bp.Sweep:
    candles = bp.simulate_candles(seed, bars=9_000, interval="1h", edge=edge)
    planted = candles.planted
    assert planted is not None
    signals = bp.Signals(long=planted, short=-planted, kind="score")
    rules = bp.Rules(entry_long=0.5, entry_short=0.5)
    grid = bp.Grid(rules, entry_long=[0.5, 1.0, 1.5, 9.0], max_hold=[3, 6, 12])
    costs = bp.Costs(taker=0.0001, slippage=0.0)
    more = {"ledger": False} | options
    return bp.sweep(candles, signals, grid, costs=costs, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sweep() -> bp.Sweep:
    return swept()


def test_parts_are_those_of_the_matrix(sweep: bp.Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = sweep.daily_returns.to_numpy().T
    found = stats.overfitting(sweep, trials=500, resamples=300, seed=4, blocks=8)
    block = found.spa.mean_block
    alone = stats.pbo(matrix, blocks=8)
    assert found.pbo.logits.tobytes() == alone.logits.tobytes()
    spa = stats.spa(matrix, resamples=300, seed=4, mean_block=block)
    assert repr(found.spa) == repr(spa)
    steps = stats.stepm(matrix, resamples=300, seed=4, mean_block=block)
    assert found.stepm.p.tolist() == steps.p.tolist()
    assert found.frame["p"].to_list() == steps.p.tolist()
    effective = stats.effective_trials(matrix)
    assert found.effective.by_rank == near(effective.by_rank, rel=GOLDEN)
    assert found.effective.mean_correlation == near(
        np.asarray(np.corrcoef(matrix.T))[np.triu_indices(12, 1)].mean(), rel=1e-7
    )
    sharpe = matrix.mean(axis=0) / matrix.std(axis=0)
    assert found.frame["sharpe"].to_numpy() == near(sharpe, rel=GOLDEN)
    best = int(np.argmax(sharpe))
    assert found.best == best and found.sharpe == near(sharpe[best], rel=GOLDEN)
    m = stats.moments(matrix[:, best])
    deflated = stats.deflated_sharpe(
        m.sharpe,
        m.n,
        trials=500,
        variance=float(sharpe.var(ddof=1)),
        skewness=m.skewness,
        kurtosis=m.kurtosis,
        rho=m.rho,
    )
    assert found.deflated.dsr_2014 == near(deflated.dsr_2014, rel=GOLDEN)
    # In parts of five, and computed twice: the same bits.
    monkeypatch.setattr(sweeps, "_CHUNK", 5)
    for memory in (None, 0):
        again = stats.overfitting(
            sweep, trials=500, resamples=300, seed=4, blocks=8, memory=memory, threads=1
        )
        assert again.pbo.logits.tobytes() == found.pbo.logits.tobytes()
        assert again.stepm.p.tolist() == found.stepm.p.tolist()
        assert again.spa.exceed.tolist() == found.spa.exceed.tolist()
        assert again.frame.equals(found.frame)


def test_trials_are_those_of_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARPROOF_LEDGER", str(tmp_path / "ledger.sqlite"))
    swept(ledger=True)
    table = swept(ledger=True)
    found = stats.overfitting(table, resamples=99, blocks=4)
    assert (found.trials, found.deflated.trials) == (24, 24)
    assert "ledger" in found.trials_from
    monkeypatch.delenv("BARPROOF_LEDGER")
    monkeypatch.chdir(tmp_path)
    unknown = stats.overfitting(table, resamples=99, blocks=4)
    assert not unknown.deflated.defined and "unknown" in unknown.deflated.reason
    assert unknown.pbo.defined and "unknown" in repr(unknown)


def test_an_edge_is_seen_and_noise_is_not(sweep: bp.Sweep) -> None:
    options = {"trials": 12, "resamples": 500, "blocks": 8}
    none = stats.overfitting(sweep, **options)  # type: ignore[arg-type]
    some = stats.overfitting(swept(edge=0.15), **options)  # type: ignore[arg-type]
    assert none.spa.p > 0.05 and not len(none.stepm.superior)
    assert some.spa.p < 0.05 and len(some.stepm.superior) and some.pbo.pbo < none.pbo.pbo + 0.5
    assert some.deflated.dsr_2014 > none.deflated.dsr_2014


def test_few_days_and_idle_sweeps_have_reasons() -> None:
    candles = bp.simulate_candles(3, bars=100, interval="1h")
    idle = bp.Signals(long=np.full(100, -1.0), kind="score")
    grid = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[3, 6])
    table = bp.sweep(candles, idle, grid, costs=bp.Costs(taker=0.0), ledger=False)
    found = stats.overfitting(table, trials=2, resamples=99)
    assert "days" in found.pbo.reason and "varies" in found.spa.reason
    assert not found.deflated.defined and not found.effective.defined


def test_progress_counts_combinations_twice(sweep: bp.Sweep) -> None:
    seen: list[tuple[int, int]] = []
    stats.overfitting(
        sweep,
        trials=12,
        resamples=99,
        blocks=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (24, 24) and [s[0] for s in seen] == sorted(s[0] for s in seen)


TEN_THOUSAND = """
import json, resource, sys
import numpy as np
import barproof as bp

limit = 4 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
candles = bp.simulate_candles(5, bars=24 * 1_460, interval="1h")
signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
steps = np.linspace(0.0, 1.0, 10)
grid = bp.Grid(
    bp.Rules(entry_long=1.0, entry_short=1.0),
    entry_long=(0.5 + steps).tolist(),
    stop_loss=(0.01 + 0.05 * steps).tolist(),
    take_profit=(0.01 + 0.05 * steps).tolist(),
    max_hold=(4 + 44 * steps).astype(int).tolist(),
)
costs = bp.Costs(taker=0.0005, slippage=0.0)
table = bp.sweep(candles, signals, grid, costs=costs, ledger=False, threads=2, progress=False)
asked = dict(trials=10_000, resamples=499, threads=2, progress=False)
held, twice = (bp.stats.overfitting(table, memory=m, **asked) for m in (None, 0))
print(json.dumps({
    "days": held.n,
    "combinations": held.combinations,
    "defined": [x.defined for x in (held.pbo, held.spa, held.stepm, held.deflated, held.effective)],
    "alike": repr(held) == repr(twice) and held.frame.equals(twice.frame),
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024,
}))
"""


@pytest.mark.slow
def test_ten_thousand_combinations_in_four_gibibytes() -> None:
    """All that the process may map is 4 GiB: held or computed twice, the same bits."""
    done = subprocess.run(
        [sys.executable, "-c", TEN_THOUSAND],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout)
    print(found)
    assert (found["combinations"], found["days"]) == (10_000, 1_460)
    assert all(found["defined"]) and found["alike"]
    assert found["peak"] < 2 * 2**30
