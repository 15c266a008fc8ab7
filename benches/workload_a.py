"""Workload A: grids of probability thresholds over a million minutes, through the ordinary Python call, against peers.

``python -m benches.workload_a`` checks that barproof and the loops give the same answers on every combination, times
them in turn and prints what it found; ``--record`` writes it to benches/record/. ``--quick`` is a tenth of the bars and
two runs, to see that everything works.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from benches import problem as workload
from benches import timing
from benches.peers.python_loop import run_one
from benches.problem import Floats, Problem
from benches.timing import Contender, Taken

import barproof as bp

AGREE = 1e-9
ANSWERS = ("final_equity", "trades", "wins", "max_drawdown", "sharpe")
WINDOWS = 110
PATHS = ("portable", "avx2", "avx512")
CASES = tuple("grids libraries product random one windows threads contract paths memory".split())


def optional(name: str) -> Any:
    """A peer's module, or None where its library is not installed."""
    try:
        return importlib.import_module(f"benches.peers.{name}")
    except ImportError as missing:
        print(f"left out: {name} ({missing})")
        return None


def sweep(candles: bp.Candles, signals: bp.Signals, grid: bp.Grid, **more: Any) -> bp.Sweep:
    """Run the ordinary call, its frames included, into no ledger."""
    options: dict[str, Any] = {"costs": workload.costs(), "initial_equity": workload.INITIAL}
    return bp.sweep(candles, signals, grid, **options | more, ledger=False, progress=False)


def answers(found: bp.Sweep) -> Floats:
    """What the loops answer, of a sweep over one window."""
    table = found.pooled.select(ANSWERS).to_numpy().astype(float)
    table[:, 0] /= workload.INITIAL
    return table


def agree(name: str, theirs: Floats, ours: Floats) -> None:
    """Stop if a loop and barproof differ: then they do not do the same job, and times mean nothing."""
    same = np.isclose(theirs, ours, rtol=AGREE, atol=1e-12, equal_nan=True)
    if not same.all():
        row, column = np.argwhere(~same)[0]
        raise SystemExit(
            f"{name}: `{ANSWERS[column]}` of combination {row} is {theirs[row, column]!r}, barproof has "
            f"{ours[row, column]!r}: nothing is timed"
        )


@dataclass
class Bench:
    """What all cases share, and the rows they leave."""

    problem: Problem
    runs: int
    threads: int
    folder: Path
    rows: list[dict[str, object]] = field(default_factory=list)
    salt: int = 0

    def __post_init__(self) -> None:
        self.problem.save(self.folder)
        self.candles, self.signals = self.problem.candles(), self.problem.signals()
        numba_loops = optional("numba_loops")
        self.loops: Any = None
        if numba_loops is not None:
            numba_loops.nb.set_num_threads(self.threads)
            self.loops = numba_loops.Loops(self.problem)
            for name in ("plain", "tuned", "lists"):
                getattr(self.loops, name)(workload.product("dense")[:4])  # compiles

    # ---- contenders --------------------------------------------------------------------------

    def cold(self) -> tuple[bp.Candles, bp.Signals]:
        """Objects that no sweep has seen, by identity or by digest; their digests are known."""
        self.salt += 1
        candles, signals = self.problem.candles(self.salt), self.problem.signals(self.salt)
        _ = candles.digest, signals.digest
        return candles, signals

    def ours(self, rows: Floats, **more: Any) -> list[Contender]:
        """Barproof with an index that must be made, and with the one of the call before."""
        threads = more.setdefault("threads", self.threads)
        grid = workload.grid_of(rows)
        return [
            Contender(
                "barproof, cold",
                lambda candles, signals: sweep(candles, signals, grid, **more),
                self.cold,
                len(rows),
                threads,
            ),
            Contender(
                "barproof, warm",
                lambda: sweep(self.candles, self.signals, grid, **more),
                combinations=len(rows),
                threads=threads,
            ),
        ]

    def peers(self, rows: Floats, names: tuple[str, ...]) -> list[Contender]:
        """The numba loops, after their answers were held against ours."""
        if self.loops is None:
            return []
        ours = answers(sweep(self.candles, self.signals, workload.grid_of(rows)))
        made = []
        for name in names:
            run: Callable[[Floats], Floats] = getattr(self.loops, name)
            agree(f"numba {name}", run(rows), ours)
            made.append(
                Contender(
                    f"numba, {name}",
                    lambda run=run: run(rows),
                    combinations=len(rows),
                    threads=self.threads,
                )
            )
        return made

    # ---- records -----------------------------------------------------------------------------

    def measure(self, case: str, contenders: list[Contender], trades: float) -> None:
        """Time a case; the first contender is the one that ratios refer to."""
        taken = interleave_or_exit(contenders, self.runs)
        base = taken[0].median / (taken[0].contender.combinations or 1)
        for one in taken:
            self.note(case, one, trades, base)

    def note(self, case: str, one: Taken, trades: float, base: float, peak: str = "") -> None:
        c = one.contender
        count = c.combinations or 1
        per = one.median / count
        rate = len(self.problem) * count / one.median / 1e6
        self.rows.append(
            {
                "case": case,
                "contender": c.name,
                "bars": len(self.problem),
                "combinations": count,
                "threads": c.threads,
                "runs": len(one.seconds),
                "median_s": f"{one.median:.6f}",
                "min_s": f"{min(one.seconds):.6f}",
                "max_s": f"{max(one.seconds):.6f}",
                "trades": round(trades),
                "m_candle_combinations_per_s": f"{rate:.1f}",
                "times_barproof": f"{per / base:.4g}",
                "peak_mib": peak,
                "note": c.note,
            }
        )
        print(
            f"{case:22} {c.name:38} {count:6,} combinations {1e3 * one.median:11.2f} ms "
            f"({1e3 * min(one.seconds):.2f}..{1e3 * max(one.seconds):.2f}) {rate:10,.0f} M/s "
            f"{per / base:9.2f}x {c.note}",
            flush=True,
        )

    def trades(self, rows: Floats) -> float:
        return float(sweep(self.candles, self.signals, workload.grid_of(rows)).pooled["trades"].sum())  # fmt: skip

    # ---- cases -------------------------------------------------------------------------------

    def grids(self) -> None:
        """256 combinations at three densities."""
        for density in workload.ENTRIES:
            rows = workload.product(density)
            contenders = self.ours(rows) + self.peers(rows, ("plain", "tuned", "lists"))
            grid = workload.grid_of(rows)

            def from_arrays(grid: bp.Grid = grid) -> bp.Sweep:
                return sweep(
                    self.problem.candles(), self.problem.signals(), grid, threads=self.threads
                )

            contenders.append(
                Contender(
                    "barproof, from arrays",
                    from_arrays,
                    combinations=len(rows),
                    threads=self.threads,
                    note="candles checked, signals built, digests taken",
                )
            )
            self.measure(f"grid {density}", contenders, self.trades(rows))

    def libraries(self) -> None:
        """The pure loop and two libraries, on combinations spread over the dense grid."""
        for density in ("dense", "2000"):
            whole = workload.product(density)
            some = whole[workload.SPREAD]
            few = whole[workload.FEW]
            contenders = self.ours(whole)[:1]
            contenders.append(self._python(few))
            ours = answers(sweep(self.candles, self.signals, workload.grid_of(some)))
            stop = []
            if (raptor := optional("raptorbt_peer")) is not None:
                peer = raptor.Raptorbt(self.problem)
                self._roughly("raptorbt", peer.run(some), ours)
                contenders.append(
                    Contender(
                        "raptorbt, batch",
                        lambda peer=peer, some=some: peer.run(some),
                        combinations=len(some),
                        threads=self.threads,
                        note="longs only; other semantics; extrapolated from 16 combinations",
                        runs=5,
                    )
                )
            if (vectorbt := optional("vectorbt_peer")) is not None:
                pool = vectorbt.Vectorbt(self.problem, self.threads)
                stop.append(pool)
                self._roughly("vectorbt", pool.run(some), ours)
                contenders.append(
                    Contender(
                        "vectorbt, one column a call",
                        lambda pool=pool, some=some: pool.run(some),
                        combinations=len(some),
                        threads=self.threads,
                        note="processes; no holding time; other semantics; extrapolated from 16 combinations",
                        runs=5,
                    )
                )
            self.measure(f"libraries {density}", contenders, self.trades(whole))
            for pool in stop:
                pool.close()

    def _python(self, rows: Floats) -> Contender:
        m = self.problem
        ours = answers(sweep(self.candles, self.signals, workload.grid_of(rows)))
        ends = np.zeros(len(m), dtype=bool)
        ends[m.day_last] = True
        columns = [
            column.tolist()
            for column in (m.open, m.high, m.low, m.close, m.p_long, m.p_short, m.p_exit, ends)
        ]

        def run() -> Floats:
            fixed = (workload.MAX_HOLD, workload.FEE, workload.PERIODS)
            return np.array([run_one(*columns, *row, *fixed) for row in rows.tolist()])

        agree("python loop", run(), ours)
        return Contender(
            "python loop over lists",
            run,
            combinations=len(rows),
            note=f"extrapolated from {len(rows)} combinations",
            runs=5,
        )

    def _roughly(self, name: str, theirs: Floats, ours: Floats) -> None:
        """Trades of other semantics are counted, not held to ours: a peer that does a tenth of the work would show."""
        share = theirs[:, 1].sum() / ours[:, 1].sum()
        print(f"{name}: {share:.2f} times our trades, by its own semantics")
        if not 0.1 < share < 10:
            raise SystemExit(f"{name} makes {share:.2f} times our trades: it does another job")

    def product(self) -> None:
        """4,096 combinations that share their levels."""
        rows = workload.product("dense", 8)
        self.measure("product 4096", self.ours(rows) + self.peers(rows, ("lists",)), self.trades(rows))  # fmt: skip

    def random(self) -> None:
        """1,024 combinations that share nothing."""
        for density in ("dense", "20000"):
            rows = workload.scattered(density, 1024)
            contenders = self.ours(rows) + self.peers(rows, ("lists",))
            self.measure(f"random {density}", contenders, self.trades(rows))

    def one(self) -> None:
        """One combination."""
        for density in ("dense", "20000"):
            rows = workload.product(density)[170:171]
            contenders = self.ours(rows) + self.peers(rows, ("tuned", "lists"))
            self.measure(f"one {density}", contenders, self.trades(rows))

    def windows(self) -> None:
        """The same bars whole, and cut into disjoint windows."""
        edges = np.linspace(0, len(self.problem), WINDOWS + 1).astype(int).tolist()
        spans = list(pairwise(edges))
        rows = workload.product("dense")
        whole, cut = self.ours(rows), self.ours(rows, windows=spans)
        for contender in cut:
            contender.name += f", {WINDOWS} windows"
        self.measure("windows", whole + cut, self.trades(rows))

    def threads_case(self) -> None:
        """The same grid on one thread."""
        rows = workload.product("dense")
        both, alone = self.ours(rows), self.ours(rows, threads=1)
        for contender in alone:
            contender.name += ", 1 thread"
        self.measure("threads", both + alone, self.trades(rows))

    def contract(self) -> None:
        """Funding, liquidation, leverage, trailing and sizing against the simple rules; what counts is time a trade."""
        rows = workload.product("dense")
        m = self.problem
        every = 480  # bars between settlements
        rates = 1e-4 * np.sin(np.arange(len(m.open_time[::every])))
        frame = m.candles().to_polars()
        candles = bp.read_candles(
            frame,
            instrument="perpetual",
            symbol="BENCH",
            interval="1m",
            funding={"funding_time": m.open_time[::every], "funding_rate": rates},
        )
        full = bp.Rules(
            max_hold=workload.MAX_HOLD,
            leverage=3.0,
            trailing=0.02,
            sizing="confidence",
            size_min=0.2,
            fraction=0.9,
        )
        costs = bp.Costs(taker=workload.FEE, maker=0.0002, slippage=0.0001)
        simple, grid = workload.grid_of(rows), workload.grid_of(rows, full)
        run: dict[str, Callable[[], bp.Sweep]] = {
            "barproof, simple rules": lambda: sweep(
                self.candles, self.signals, simple, threads=self.threads
            ),
            "barproof, full contract": lambda: sweep(
                candles, self.signals, grid, threads=self.threads, costs=costs
            ),
        }
        made = {name: float(call().pooled["trades"].sum()) for name, call in run.items()}
        contenders = [
            Contender(name, call, combinations=len(rows), threads=self.threads)
            for name, call in run.items()
        ]
        taken = interleave_or_exit(contenders, self.runs)
        base = taken[0].median / len(rows)
        for one in taken:
            count = made[one.contender.name]
            one.contender.note = f"{1e9 * one.median * self.threads / count:.1f} core-ns a trade"
            self.note("contract", one, count, base)

    def paths(self) -> None:
        """The vector paths that the build has, each forced in a process of its own."""
        extension = Path(bp._core.__file__ or "")
        if b"BARPROOF_SIMD" not in extension.read_bytes():
            print("paths: this build has one")
            return
        seconds: dict[str, list[float]] = {path: [] for path in PATHS}
        notes = {}
        for _ in range(self.runs):
            for path in PATHS:
                found = self._child("time", "dense", 4, {"BARPROOF_SIMD": path})
                if found is not None:
                    seconds[path].append(found["seconds"])
                    notes[path] = found["error"]
        kept = {path: values for path, values in seconds.items() if values and not notes[path]}
        if not kept:
            return
        widest = [path for path in PATHS if path in kept][-1]
        base = Taken(Contender("", tuple), kept[widest]).median / 256
        trades = self.trades(workload.product("dense"))
        for path, values in kept.items():
            contender = Contender(
                f"barproof, {path}", tuple, combinations=256, threads=self.threads
            )
            self.note("paths", Taken(contender, values), trades, base)

    def memory(self) -> None:
        """Peak of a process that holds the market and its objects and sweeps, by its own account."""
        base = None
        for levels in (4, 8):
            found = self._child("memory", "dense", levels, {})
            if found is None or found["error"]:
                continue
            one = Taken(
                Contender(
                    "barproof, own process",
                    tuple,
                    combinations=levels**4,
                    threads=self.threads,
                    note=f"{found['before_mib']:.0f} MiB peak while arrays became candles and signals",
                ),
                [found["seconds"]],
            )
            base = base or one.median / levels**4
            self.note("memory", one, 0, base, f"{found['peak_mib']:.1f}")
            print(f"{'':22} peak {found['peak_mib']:.0f} MiB in the sweep")

    def _child(
        self, job: str, density: str, levels: int, more: dict[str, str]
    ) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "benches.workload_a", "--child", job, density, str(levels)]
        command += [str(self.folder), "--threads", str(self.threads)]
        done = subprocess.run(
            command, cwd=timing.ROOT, env=os.environ | more, capture_output=True, text=True
        )
        if done.returncode:
            print(f"left out: {job} with {more}: {done.stderr.strip().splitlines()[-1:]}")
            return None
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def interleave_or_exit(contenders: list[Contender], runs: int) -> list[Taken]:
    for contender in contenders:  # once unseen, so that caches and threads exist for all
        contender.run(*contender.fresh())
    return timing.interleave(contenders, runs)


def child(job: str, density: str, levels: str, folder: str, threads: int) -> None:
    """One measurement in a process of its own; prints JSON."""
    loaded = Problem.load(Path(folder))
    candles, signals = loaded.candles(), loaded.signals()
    del loaded
    _ = candles.digest, signals.digest
    gc.collect()
    grid = workload.grid_of(workload.product(density, int(levels)))
    before = timing.peak_mib(restart=True)
    found: dict[str, object] = {"before_mib": before, "error": "", "seconds": 0.0}
    repeats = 3 if job == "time" else 1
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        sweep(candles, signals, grid, threads=threads)
        taken.append(time.perf_counter() - began)
    found["seconds"] = min(taken)
    found["peak_mib"] = timing.peak_mib()
    print(json.dumps(found))


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a tenth of the bars, two runs")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(*asked.child, asked.threads)
        return
    where = timing.setting(bp.__version__)
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    with tempfile.TemporaryDirectory() as folder:
        bars = workload.BARS // 10 if asked.quick else workload.BARS
        runs = 2 if asked.quick else asked.runs
        bench = Bench(workload.make(bars), runs, asked.threads, Path(folder))
        cases = {name: getattr(bench, name, None) for name in CASES}
        cases["threads"] = bench.threads_case
        for name in asked.cases:
            cases[name]()
    if asked.record:
        print(f"recorded in {timing.write(bench.rows, where, 'workload_a')}")


if __name__ == "__main__":
    main()
