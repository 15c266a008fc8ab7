"""kill -9 while every kind of file is written, two processes on one project, and SIGINT at random instants."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import barproof
from tests.faults.kinds import Kind, read
from tests.faults.writer import writable

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def started(*words: str) -> subprocess.Popen[str]:
    """A process that is ready."""
    path = os.pathsep.join([str(Path(barproof.__file__).parents[1]), str(ROOT)])
    given = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, env=given, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def whole(kinds: list[Kind], folder: Path) -> int:
    """Hold every file against the two that were written without a kill; how many there were."""
    there = 0
    for kind in kinds:
        place = folder / kind.path
        if not place.exists():
            continue
        there += 1
        found = read(kind, place)
        if kind.name == "part of fetched candles" and found == ("refused", "fetched again"):
            # Two files, the record last: between them a part counts as not there, and costs one download.
            continue
        assert found[0] != "refused", f"{kind.name}: {found[1]}"
        if not kind.append:
            sound = [
                read(kind, next((folder / "sound").glob(f"*-{v}-{kind.path}"))) for v in (0, 1)
            ]
            assert found in sound, f"{kind.name} is neither the old one nor the new one"
    return there


def killed(kills: int, folder: Path, seed: int) -> None:
    """Kill a writer so many times at random instants, and read everything after each."""
    chance, kinds = random.Random(seed), writable()
    for turn in range(kills):
        process = started("tests.faults.writer", str(folder), str(turn))
        time.sleep(chance.uniform(0.0, 0.8))
        process.kill()
        said, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert said == "", said
        there = whole(kinds, folder)
    assert there >= len(kinds) // 2


@posix
@pytest.mark.timeout(600)
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    killed(3, tmp_path, 1)


@posix
@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_two_hundred_kills(tmp_path: Path) -> None:
    killed(200, tmp_path, 2)


@posix
@pytest.mark.timeout(600)
def test_two_processes_write_the_same_files(tmp_path: Path) -> None:
    """Nobody waits for nobody, and yet each file is one or the other; of a ledger no row is lost."""
    writers = [started("tests.faults.writer", str(tmp_path), str(i), "both") for i in (1, 2)]
    time.sleep(2.0)
    for process in writers:
        process.kill()
    for process in writers:
        said, _ = process.communicate()
        assert said == "", said
    assert whole(writable(alone=False), tmp_path) >= 5


@posix
@pytest.mark.timeout(600)
def test_a_folder_that_one_process_may_write_refuses_the_second(tmp_path: Path) -> None:
    """A sweep's folder and a session's state: the second is told who is in the way, or waits; nothing is harmed."""
    writers = [started("tests.faults.writer", str(tmp_path), str(i)) for i in (1, 2)]
    time.sleep(2.0)
    for process in writers:
        process.kill()
    told = [line for process in writers for line in process.communicate()[0].splitlines()]
    allowed = (
        "is being written by another sweep",
        "another process holds it",
        "locked",
        "procedure test",
    )
    odd = [line for line in told if not any(text in line for text in allowed)]
    assert not odd, odd
    whole(writable(), tmp_path)


INTERRUPTED = """
import os, random, signal, sys, threading, time
import barproof as bp
from barproof import models
print("ready", flush=True)
candles = bp.simulate_candles(5, bars=4_000, edge=0.1)
signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[0.5 + i / 100 for i in range(60)], stop_loss=[0.01, 0.02, None])
costs = bp.Costs(taker=0.0005)
names = ["rsi(14)", "ema(20)", "atr(14)", "log_return(1)", "zscore(rsi(7), 30)"]
X = bp.FeatureSet(names).compute(candles)
labels = bp.labels.horizon(candles, bars=3, kind="binary")
walk = bp.WalkForward(600, 200, tune=200)
off = {"ledger": False, "progress": False}
result = bp.backtest(candles, signals, bp.Rules(entry_long=1.0, max_hold=9), costs=costs, ledger=False)
leaving = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=20)
jobs = {
    "sweep": lambda: bp.sweep(candles, signals, grid, costs=costs, windows="1d", threads=1, **off).frame,
    "features": lambda: bp.FeatureSet(names).compute(candles),
    "labels": lambda: bp.labels.triple_barrier(candles, leaving, costs=costs).values,
    "train": lambda: bp.train(models.Logistic(), X, labels, walk, threads=1, **off).predictions(),
    "bootstrap": lambda: bp.stats.mean_interval(candles.close[1:] / candles.close[:-1] - 1, seed=3),
    "audit": lambda: [(f.id, f.outcome, f.measured)
                      for f in bp.audit(result=result, ledger=False, resample=False)],
}
chance = random.Random(int(sys.argv[1]))
for name, job in jobs.items():
    began = time.perf_counter()
    try:
        want = repr(job())
    except (AttributeError, TypeError) as error:
        print("broken", name, error, flush=True)
        continue
    took = time.perf_counter() - began
    stopped = 0
    for _ in range(int(sys.argv[2])):
        timer = threading.Timer(chance.uniform(0.0, took), lambda: os.kill(os.getpid(), signal.SIGINT))
        try:
            timer.start()
            job()
            timer.join()
            time.sleep(0.001)
        except KeyboardInterrupt:
            stopped += 1
        except BaseException as error:
            print("foreign", name, type(error).__name__, error, flush=True)
        try:
            timer.join()
            time.sleep(0.001)
        except KeyboardInterrupt:
            stopped += 1
    same = repr(job()) == want
    print("done", name, stopped, same, flush=True)
"""


def interrupted(folder: Path, seed: int, times: int) -> dict[str, int]:
    """Interrupt each long job at random instants of its run; how often it was stopped."""
    script = folder / "interrupted.py"
    script.write_text(INTERRUPTED, encoding="utf-8")
    path = os.pathsep.join([str(Path(barproof.__file__).parents[1]), str(ROOT)])
    given = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(seed), str(times)],
        capture_output=True,
        text=True,
        env=given,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    stopped: dict[str, int] = {}
    for line in done.stdout.splitlines()[1:]:
        how, name, *rest = line.split(" ")
        assert how == "done", line
        # After all of them the same job gives the same answer.
        assert rest[1] == "True", f"{name} gives another answer after it was interrupted"
        stopped[name] = int(rest[0])
    return stopped


@posix
@pytest.mark.timeout(600)
def test_ctrl_c_at_random_instants_is_a_keyboard_interrupt(tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, 1, 6)
    assert len(stopped) == 6
    assert sum(stopped.values()) >= 30


@posix
@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_ctrl_c_at_a_thousand_instants(tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, 2, 170)
    assert sum(stopped.values()) >= 900
