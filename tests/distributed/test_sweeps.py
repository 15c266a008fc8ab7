"""Sweeps on a cluster: the bits, order and folders of one machine, whatever becomes of workers."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _sweep_job
from barproof._account_sweep import AccountSweep
from barproof.distributed import sweeps
from tests.helpers import simulated
from tests.test_sweep_files import same

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
LEVELS = [0.5 + 0.1 * i for i in range(6)]
GRID = bp.Grid(
    bp.Rules(max_hold=24),
    {"entry_long": LEVELS, "entry_short": LEVELS},
    stop_loss=[None, 0.01, 0.02],
    reverse=[False, True],
)


@pytest.fixture(scope="module")
def world() -> tuple[bp.Candles, bp.Signals]:
    return simulated(3_000)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of five combinations, and folders of parts of ten."""
    monkeypatch.setattr(sweeps, "shard_size", lambda *_: 5)
    monkeypatch.setattr(_sweep_job, "PIECE_ROWS", 50)


def run(world: tuple[Any, Any], **options: Any) -> bp.Sweep:
    given = {"costs": COSTS, "windows": "60h", "threads": 1, "ledger": False, **options}
    return bp.sweep(*world, given.pop("grid", GRID), **given)


def workers() -> dict[int, str]:
    """Processes of this cluster that run a shard now, by pid: what they call themselves."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if title.startswith("ray::barproof"):
                found[int(entry.name)] = title
    return found


@pytest.mark.usefixtures("small")
def test_several_processes_equal_one_machine(
    world: tuple[bp.Candles, bp.Signals], cluster: bp.RayExecutor
) -> None:
    here = run(world)
    seen: list[tuple[int, int]] = []
    there = run(world, executor=cluster, progress=lambda d, t: seen.append((d, t)))
    same(there, here)
    assert there.complete
    assert [total for _, total in seen] == [36] * 8
    assert seen == sorted(seen)
    assert seen[-1] == (36, 36)
    assert there.trades(7).equals(here.trades(7))


def turned(signals: bp.Signals) -> bp.Signals:
    """Long where they are short, and the other way round."""
    return bp.Signals(long=signals["short"], short=signals["long"], kind="score")


@pytest.mark.usefixtures("small")
def test_symbols_sets_of_signals_and_ranges(cluster: bp.RayExecutor) -> None:
    made = {name: simulated(2_000, seed) for name, seed in (("A", 1), ("B", 2))}
    candles = {name: one[0] for name, one in made.items()}
    sets = {
        name: bp.SignalSets(
            {
                "as is": one[1],
                "turned": turned(one[1]),
            }
        )
        for name, one in made.items()
    }
    options: dict[str, Any] = {"windows": "30h", "with_range": True}
    here = run((candles, sets), **options)
    there = run((candles, sets), **options, executor=cluster)
    same(there, here)
    assert there.overall.equals(here.overall)


@pytest.mark.usefixtures("small")
def test_shared_accounts(cluster: bp.RayExecutor) -> None:
    made = {name: simulated(2_000, seed) for name, seed in (("A", 1), ("B", 2))}
    candles = {name: one[0] for name, one in made.items()}
    signals = {name: one[1] for name, one in made.items()}
    options: dict[str, Any] = {
        "account": "shared",
        "max_positions": [1, None],
        "symbols": [["A"], ["A", "B"]],
        "windows": "30h",
    }
    here = run((candles, signals), **options)
    there = run((candles, signals), **options, executor=cluster)
    same(there, here)
    assert isinstance(here, AccountSweep)
    assert isinstance(there, AccountSweep)
    walked = [
        here.walk_forward(ledger=False),
        there.walk_forward(executor=cluster, ledger=False),
    ]
    assert walked[0].choices.equals(walked[1].choices)
    assert walked[0].equity.equals(walked[1].equity)


def test_finer_candles(cluster: bp.RayExecutor) -> None:
    minutes = bp.simulate_candles(7, bars=12_000, interval="1m")
    hours = bp.resample(minutes, "1h")
    guesses = bp.Signals(long=np.random.default_rng(1).random(len(hours)))
    grid = bp.Grid(bp.Rules(entry_long=0.5), stop_loss=[0.002, 0.004], take_profit=[0.002, 0.004])
    options: dict[str, Any] = {"grid": grid, "windows": None, "intrabar_candles": minutes}
    same(run((hours, guesses), **options, executor=cluster), run((hours, guesses), **options))


def test_walk_forward(world: tuple[bp.Candles, bp.Signals], cluster: bp.RayExecutor) -> None:
    def walked(executor: Any) -> bp.WalkForwardResult:
        return bp.walk_forward_optimise(
            *world, GRID, costs=COSTS, windows="40h", ledger=False, executor=executor
        )

    here, there = walked(None), walked(cluster)
    assert there.choices.equals(here.choices)
    assert there.trades.equals(here.trades)
    assert there.equity.equals(here.equity)
    assert there.metrics == here.metrics or str(there.metrics) == str(here.metrics)


@pytest.mark.usefixtures("small")
def test_a_folder_is_that_of_one_machine_and_goes_on_anywhere(
    world: tuple[bp.Candles, bp.Signals], cluster: bp.RayExecutor, tmp_path: Path
) -> None:
    here = run(world, out=tmp_path / "here")
    for name, shards in (("cut", 5), ("whole", 50)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweeps, "shard_size", lambda *_, n=shards: n)
            there = run(world, out=tmp_path / name, executor=cluster)
        same(there, here)
        for file in sorted((tmp_path / "here").glob("*/*.json")):
            part = json.loads(file.read_text())["part"]
            assert json.loads((tmp_path / name / "done" / file.name).read_text())["part"] == part
    (tmp_path / "cut" / "done" / "00002.json").unlink()
    same(run(world, out=tmp_path / "cut"), here)
    (tmp_path / "here" / "done" / "00001.json").unlink()
    seen: list[tuple[int, int]] = []
    again = run(
        world, out=tmp_path / "here", executor=cluster, progress=lambda d, t: seen.append((d, t))
    )
    same(again, here)
    assert seen[0] == (26, 36)
    assert seen[-1] == (36, 36)


@pytest.mark.usefixtures("small")
def test_workers_write_a_folder_that_they_share(
    world: tuple[bp.Candles, bp.Signals],
    cluster: bp.RayExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "shard_size", lambda *_: 50)
    monkeypatch.setattr(cluster, "shared_out", True)
    kept = run(world)
    same(run(world, out=tmp_path, executor=cluster), kept)
    monkeypatch.setattr(bp._sweep_files.SweepFolder, "finish", lambda *_: False)
    with pytest.raises(bp.ClusterError, match="needs a folder that all nodes share"):
        run(world, out=tmp_path / "other", executor=cluster)


@pytest.fixture(scope="module")
def long_world() -> tuple[bp.Candles, bp.Signals]:
    return simulated(20_000)


def large() -> dict[str, Any]:
    """A job of some seconds, so that there is something to kill."""
    levels = [0.5 + 0.001 * i for i in range(1_500)]
    grid = bp.Grid(bp.Rules(max_hold=24, entry_long=1.0), entry_long=levels, stop_loss=[0.01, 0.02])
    return {"grid": grid, "windows": "60h", "engine": "replay"}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds workers in /proc")
def test_a_worker_that_is_killed_costs_its_shard_alone(
    long_world: tuple[bp.Candles, bp.Signals],
    cluster: bp.RayExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "shard_size", lambda *_: 300)
    options, world = large(), long_world
    here = run(world, **options, threads=2)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        # The next shards are under way when one has come back.
        if len(killed) < 2 and done < total:
            until = time.monotonic() + 20
            while not (found := workers()) and time.monotonic() < until:
                time.sleep(0.002)
            killed.append(next(iter(found)))
            os.kill(killed[-1], signal.SIGKILL)

    before = cluster.lost
    there = run(world, **options, executor=cluster, progress=kill)
    assert len(set(killed)) == 2
    assert cluster.lost >= before + 1
    same(there, here)


def test_ctrl_c_keeps_what_is_finished(
    long_world: tuple[bp.Candles, bp.Signals],
    cluster: bp.RayExecutor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sweeps, "shard_size", lambda *_: 300)
    options, world = large(), long_world

    def stop(done: int, total: int) -> None:
        if done < total:
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(bp.Interrupted) as caught:
        run(world, **options, executor=cluster, progress=stop)
    assert 0 < caught.value.done < caught.value.total == 3_000
    partial = caught.value.partial
    assert isinstance(partial, bp.Sweep)
    assert not partial.complete
    whole = run(world, **options, threads=2)
    rows = whole.pooled.filter(pl.col("combination").is_in(partial.combinations.tolist()))
    assert partial.pooled.equals(rows)
    # What was cancelled leaves the workers free.
    assert run(world, executor=cluster).complete


def test_a_progress_that_raises_ends_the_sweep(
    world: tuple[bp.Candles, bp.Signals], cluster: bp.RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "shard_size", lambda *_: 5)

    def enough(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(world, executor=cluster, progress=enough)
    assert run(world, executor=cluster).complete


def test_the_driver_alone_writes_the_ledger(
    world: tuple[bp.Candles, bp.Signals], cluster: bp.RayExecutor, tmp_path: Path
) -> None:
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    found = run(world, ledger=book, executor=cluster)
    assert book.trials(world[0].digest) == len(GRID)
    assert found.provenance["ledger"].startswith("run 1")


@pytest.mark.parametrize(
    ("combinations", "windows", "seconds", "slots", "size"),
    [
        # Nothing to gain from cutting what takes no time.
        (1_000, 10, 0.1, 16, 1_000),
        # Four shards a slot, if each is long enough.
        (1_000, 10, 100.0, 2, 50),
        (1_000, 10, 10.0, 4, 63),
        (1_000, 10, 1.0, 16, 250),
        # Never longer than five seconds, nor more rows than a part.
        (1_000, 1, 1_000.0, 1, 5),
        (200_000, 10, 0.1, 1, 10_000),
        (3, 1, 1e9, 256, 1),
    ],
)
def test_size_of_shards(
    combinations: int, windows: int, seconds: float, slots: int, size: int
) -> None:
    assert sweeps.shard_size(combinations, windows, seconds, slots) == size


def test_a_piece_is_cut_evenly() -> None:
    piece = _sweep_job.Piece(1, 2, 10, 33)
    parts = sweeps.cut(piece, 5)
    assert [(one.leg, one.signals) for one in parts] == [(1, 2)] * 5
    assert parts[0].low == 10
    assert parts[-1].high == 33
    assert all(a.high == b.low for a, b in zip(parts[:-1], parts[1:], strict=True))
    assert {len(one) for one in parts} <= {4, 5}
    assert sweeps.cut(piece, 1_000) == [piece]
