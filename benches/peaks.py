"""Peak memory of every contender of the workloads, each in a fresh process that does its job once.

``python -m benches.peaks`` prints them, ``--record`` writes them to benches/record/. ``--quick`` takes a tenth of the
bars; ``--workloads A D`` takes some. The process imports what it needs and makes the contender's data ready; then its
peak is set back, the job runs, and the system's account of the process (`VmHWM`) is read: what is held, libraries and
data included, and what was held just before. The jobs are those that the benches time and hold against ours; nothing
is compared here. Where the kernel keeps no such account, nothing is measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benches import timing

import barproof as bp

Job = Callable[[], object]
FIELDS = ("workload", "contender", "job", "bars", "threads", "peak_mib", "held_mib", "note")
THREADS = 2


class Given:
    """What a child knows: the folder with the market of workload A, and how much smaller the data are."""

    def __init__(self, folder: Path, part: int) -> None:
        self.folder, self.part = folder, part


# ---- workload A ------------------------------------------------------------------------------------------------------


def a_ours(given: Given, levels: int = 4) -> Job:
    from benches import problem as workload
    from benches.workload_a import sweep

    loaded = workload.Problem.load(given.folder)
    candles, signals = loaded.candles(), loaded.signals()
    _ = candles.digest, signals.digest
    grid = workload.grid_of(workload.product("dense", levels))
    return lambda: sweep(candles, signals, grid, threads=THREADS)


def a_numba(given: Given, name: str) -> Job:
    from benches import problem as workload

    loops: Any = importlib.import_module("benches.peers.numba_loops")
    loops.nb.set_num_threads(THREADS)
    market = workload.Problem.load(given.folder)
    run = getattr(loops.Loops(market), name)
    rows = workload.product("dense")
    getattr(loops.Loops(workload.make(3_000)), name)(rows[:4])  # compiles
    return lambda: run(rows)


def a_python(given: Given) -> Job:
    from benches import problem as workload
    from benches.peers.python_loop import run_one

    m = workload.Problem.load(given.folder)
    ends = np.zeros(len(m), dtype=bool)
    ends[m.day_last] = True
    columns = (m.open, m.high, m.low, m.close, m.p_long, m.p_short, m.p_exit, ends)
    lists = [column.tolist() for column in columns]
    row = workload.product("dense")[workload.FEW][0].tolist()
    fixed = (workload.MAX_HOLD, workload.FEE, workload.PERIODS)
    return lambda: run_one(*lists, *row, *fixed)


def a_raptorbt(given: Given) -> Job:
    from benches import problem as workload

    peer: Any = importlib.import_module("benches.peers.raptorbt_peer")
    market = peer.Raptorbt(workload.Problem.load(given.folder))
    rows = workload.product("dense")[workload.SPREAD]
    return lambda: market.run(rows)


def a_vectorbt(given: Given) -> Job:
    from benches import problem as workload

    peer: Any = importlib.import_module("benches.peers.vectorbt_peer")
    peer._start(workload.Problem.load(given.folder))
    row = tuple(workload.product("dense")[workload.FEW][0].tolist())
    return lambda: peer._one(row)


def a_framework(given: Given, name: str) -> Job:
    from benches import frameworks
    from benches import problem as workload

    market = frameworks.first(workload.Problem.load(given.folder), frameworks.BARS // given.part)
    peer = frameworks.PEERS[name](market)
    rows = workload.product("dense")[workload.FEW][:1]
    if not hasattr(peer, "peak_mib"):
        return lambda: peer.run(rows)

    def apart() -> dict[str, float]:
        peer.run(rows)  # compiles
        peer.run(rows)
        found = {"peak_mib": peer.peak_mib, "held_mib": peer.held_mib}
        peer.close()
        return found

    return apart


# ---- workload B ------------------------------------------------------------------------------------------------------


def b_market(given: Given) -> Any:
    from benches import feature_problem

    return feature_problem.make(feature_problem.BARS // given.part)


def b_ours(given: Given, kind: str) -> Job:
    from benches.feature_problem import COLUMNS

    candles = b_market(given).candles
    features = bp.FeatureSet(COLUMNS)
    for name in ("compute", "matrix"):
        getattr(features, name)(candles[:1000], threads=1)
    return lambda: getattr(features, kind)(candles, threads=THREADS)


def b_calls(given: Given, name: str) -> Job:
    from benches.peers import feature_peers

    calls: dict[str, Job] = getattr(feature_peers, f"{name}_calls")(b_market(given))
    return lambda: [call() for call in calls.values()]


def b_numba(given: Given) -> Job:
    from benches import feature_problem

    loops: Any = importlib.import_module("benches.peers.feature_loops")
    for call in loops.numba_calls(feature_problem.make(3_000)).values():
        call()  # compiles
    calls = loops.numba_calls(b_market(given))
    return lambda: [call() for call in calls.values()]


def b_query(given: Given, name: str) -> Job:
    from benches.peers import feature_peers

    made = getattr(feature_peers, name)()
    query: Job = feature_peers.of_expressions(b_market(given), made)[1]
    return query


# ---- workload C ------------------------------------------------------------------------------------------------------


def c_net(given: Given, contender: str) -> Job:
    from benches import inference

    rows = max(inference.ENCODER_ROWS // given.part, 8)
    return inference.encoder_jobs(rows, only=contender)[contender]


# ---- workload D ------------------------------------------------------------------------------------------------------


def d_panel(given: Given) -> Any:
    from benches.workload_d import panel

    return panel(1_460, 1_000 // given.part)


def d_ours(given: Given) -> Job:
    from barproof import stats

    returns = d_panel(given)
    return lambda: stats.pbo(returns, blocks=16, threads=THREADS)


def d_numpy(given: Given, form: str) -> Job:
    workload: Any = importlib.import_module("benches.workload_d")
    returns = d_panel(given)
    if form == "plain":
        return lambda: workload.numpy_plain(returns, 16, 200)
    run = getattr(workload, f"numpy_{form}")
    return lambda: run(returns, 16)


def d_ml4t(given: Given) -> Job:
    workload: Any = importlib.import_module("benches.workload_d")
    pbo, returns = workload.ml4t_pbo(), d_panel(given)
    return lambda: pbo(returns, 16)


def d_stepm(given: Given, name: str) -> Job:
    returns, resamples = d_panel(given), 10_000 // given.part
    if name == "barproof":
        from barproof import stats

        return lambda: stats.stepm(returns, mean_block=10, resamples=resamples, threads=THREADS)
    bootstrap: Any = importlib.import_module("arch.bootstrap")
    zero, count = np.zeros(len(returns)), max(99, resamples // 50)
    peer = bootstrap.StepM(zero, -returns, block_size=10, reps=count, seed=1)
    return lambda: peer.compute()


# workload, contender, what it does, bars or rows, threads, how
GRID, FOUR, SET = "256 combinations", "1 combination", "16 columns"
ONE = "one worker of its two; 1 of 256 combinations, each given back before the next"
TABLE: tuple[tuple[str, str, str, int, Callable[[Given], Job], str], ...] = (
    ("A", "barproof", GRID, THREADS, a_ours, ""),
    ("A", "barproof, 4,096", "4,096 combinations", THREADS, lambda g: a_ours(g, 8), ""),
    ("A", "numba, plain", GRID, THREADS, lambda g: a_numba(g, "plain"), "five numbers a combination"),
    ("A", "numba, tuned", GRID, THREADS, lambda g: a_numba(g, "tuned"), "five numbers a combination"),
    ("A", "numba, lists", GRID, THREADS, lambda g: a_numba(g, "lists"), "five numbers a combination"),
    ("A", "python loop over lists", FOUR, 1, a_python, "five numbers"),
    ("A", "raptorbt, batch", "16 combinations", THREADS, a_raptorbt, "in parts of 8; curves kept"),
    ("A", "vectorbt, one column a call", FOUR, 1, a_vectorbt, ONE),
    ("A", "backtesting.py", FOUR, 1, lambda g: a_framework(g, "backtesting.py"), "100,000 bars"),
    ("A", "akquant", FOUR, 1, lambda g: a_framework(g, "akquant"), "100,000 bars"),
    ("A", "pybroker", FOUR, 1, lambda g: a_framework(g, "pybroker"), "100,000 bars; its own process"),
    ("B", "barproof", SET, THREADS, lambda g: b_ours(g, "compute"), "frame of f64"),
    ("B", "barproof, matrix", SET, THREADS, lambda g: b_ours(g, "matrix"), "rows of f32"),
    ("B", "TA-Lib", SET, 1, lambda g: b_calls(g, "talib"), ""),
    ("B", "tulipy", SET, 1, lambda g: b_calls(g, "tulipy"), ""),
    ("B", "kand", SET, 1, lambda g: b_calls(g, "kand"), ""),
    ("B", "pandas", SET, 1, lambda g: b_calls(g, "pandas"), ""),
    ("B", "numba, one loop a feature", SET, 1, b_numba, ""),
    ("B", "polars expressions", SET, THREADS, lambda g: b_query(g, "polars_expressions"), ""),
    ("B", "polars-talib", SET, THREADS, lambda g: b_query(g, "polars_talib_expressions"), ""),
    *(
        ("C", name, "encoder, 120 x 240", 1, lambda g, n=name: c_net(g, n), "")
        for name in (
            "barproof", "resident windows", "barproof, bf16", "resident windows, bf16 autocast",
            "onnxruntime, resident windows",
        )
    ),
    ("D", "barproof", "CSCV, 12,870 splits", THREADS, d_ours, ""),
    ("D", "numpy, matrix products", "CSCV, 12,870 splits", 1, lambda g: d_numpy(g, "sums"), ""),
    ("D", "numpy, the same plan in parts", "CSCV, 12,870 splits", 1, lambda g: d_numpy(g, "parts"), ""),
    ("D", "numpy, plain", "CSCV, 200 splits", 1, lambda g: d_numpy(g, "plain"), ""),
    ("D", "ml4t-diagnostic", "CSCV, 12,870 splits", 1, d_ml4t, "ratios by matrix products"),
    ("D", "barproof, StepM", "StepM, 10,000 resamples", THREADS, lambda g: d_stepm(g, "barproof"), ""),
    ("D", "arch 8.0.0, StepM", "StepM, 200 resamples", 1, lambda g: d_stepm(g, "arch"), ""),
)  # fmt: skip


def child(number: int, folder: Path, part: int) -> None:
    """Do one job and print what it held."""
    job = TABLE[number][4](Given(folder, part))
    held = timing.resident_mib()
    timing.peak_mib(restart=True)
    found = job()
    told = {"held_mib": held, "peak_mib": timing.peak_mib()}
    if isinstance(found, dict) and "peak_mib" in found:  # of another process, by its own account
        told = found
    print(json.dumps(told))


def measured(number: int, folder: Path, part: int) -> dict[str, object] | None:
    """A row of the record, or None where the contender is not installed; ChildProcessError where it fails."""
    workload, contender, job, threads, _, note = TABLE[number]
    command = [
        sys.executable,
        "-m",
        "benches.peaks",
        "--child",
        str(number),
        str(folder),
        str(part),
    ]
    # Libraries with pools of their own take as many threads as the row says.
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")
    env = os.environ | dict.fromkeys(pools, str(threads))
    done = subprocess.run(command, cwd=timing.ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        print(
            f"left out: {workload} {contender}: {done.stderr.strip().splitlines()[-1:]}", flush=True
        )
        return None
    told = json.loads(done.stdout.splitlines()[-1])
    row: dict[str, object] = {
        "workload": workload,
        "contender": contender,
        "job": job,
        "threads": threads,
        "peak_mib": f"{told['peak_mib']:.1f}",
        "held_mib": f"{told['held_mib']:.1f}",
        "note": note,
    }
    print(
        f"{workload} {contender:34} {job:24} peak {told['peak_mib']:9,.0f} MiB, held before "
        f"{told['held_mib']:8,.0f} MiB {note}",
        flush=True,
    )
    return row


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--workloads", nargs="+", choices=tuple("ABCD"), default=list("ABCD"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        number, folder, part = asked.child
        child(int(number), Path(folder), int(part))
        return
    if math.isclose(timing.resident_mib(), 0.0) or not Path("/proc/self/clear_refs").exists():
        raise SystemExit("this system keeps no account of a process's peak: nothing is measured")
    from benches import problem as workload

    where = timing.setting(bp.__version__, timing.ALL_PACKAGES)
    part = 10 if asked.quick else 1
    with tempfile.TemporaryDirectory() as folder:
        workload.make(workload.BARS // part).save(Path(folder))
        chosen = [k for k, row in enumerate(TABLE) if row[0] in asked.workloads]
        rows, failed = [], []
        for k in chosen:
            try:
                row = measured(k, Path(folder), part)
            except ChildProcessError as failure:
                failed.append(str(failure))
            else:
                rows += [] if row is None else [row]
    if asked.record:
        print(f"recorded in {timing.write(rows, where, 'peaks', FIELDS)}")
    if failed:
        raise SystemExit(f"failed, and not in the record: {', '.join(failed)}")


if __name__ == "__main__":
    main()
