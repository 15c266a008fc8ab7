"""What a sweep costs on many processes: the cost model fitted, held against runs ten times as large, and put on paper.

``python -m benches.distributed`` prints; ``--record`` writes to benches/record/, ``--cases`` takes some of:

- ``fit``: coefficients by entry, trade, row, bar and shard from runs of up to a tenth of a second and more, on one
  processor; then runs with ten times the bars, combinations or windows, predicted by what they did and by ten times
  what the small run did.
- ``driver``: what the process that calls spends: a shard, a row, a byte, the start of a worker.
- ``overhead``: the same sweep on two threads of this process and on two worker processes of one thread, in turn; the
  frames must be equal.
- ``plan``: what `plan(executor=)` says of a job beforehand, and of jobs with ten times its bars, combinations or
  windows, against the wall that they then take on two worker processes; medians of three.
- ``parquet``: 100,000 combinations on windows to a folder, with the most memory that the driver held.
- ``paper``: 10^6 combinations x 12 symbols x 4 years of minutes on 1, 16 and 256 nodes, by the newest coefficients.
"""

from __future__ import annotations

import argparse
import operator
import os
import shutil
import tempfile
import time
from dataclasses import astuple, fields
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benches import problem, timing

import barproof as bp
from barproof.distributed.cost import Counts, WorkerCost
from barproof.distributed.executor import Task

# Ray gives its workers the niceness 15, so that on a shared machine they would wait for everybody else.
os.environ.setdefault("RAY_worker_niceness", "0")
FIELDS = ("case", "what", "value", "unit", "note")
RAY = {"num_cpus": 2, "object_store_memory": 500_000_000, "include_dashboard": False}
QUIET: dict[str, Any] = {"ledger": False, "progress": False}


def grid(density: str, shape: tuple[int, int, int, int]) -> bp.Grid:
    """A product of so many levels an axis, within those of workload A."""

    def levels(values: tuple[float, ...], count: int) -> list[float]:
        return np.linspace(values[0], values[-1], count).tolist()

    entry = levels(problem.ENTRIES[density], shape[0])
    leave = levels(problem.EXITS, shape[1])
    rules = bp.Rules(entry_long=0.9, entry_short=0.9, exit_long=0.7, exit_short=0.7, max_hold=240)
    return bp.Grid(
        rules,
        {"entry_long": entry, "entry_short": entry},
        {"exit_long": leave, "exit_short": leave},
        stop_loss=levels(problem.STOPS, shape[2]),
        take_profit=levels(problem.TARGETS, shape[3]),
    )


def counts(found: bp.Sweep) -> Counts:
    """What a sweep did; a group's entries are those of its combination that enters most often."""
    groups = found.frame.group_by("window", "entry_long").agg(pl.col("trades").max())
    bars = sum(stop - start for start, stop in found.windows)
    return Counts(
        1,
        bars,
        float(groups["trades"].sum()),
        float(found.frame["trades"].sum()),
        found.pooled.height,
        found.frame.height,
    )


class Bench:
    """Rows of a record, and what one case leaves to the next."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.rows: list[dict[str, object]] = []
        self.cost: WorkerCost | None = None
        self._markets: dict[int, problem.Problem] = {}

    def say(self, case: str, what: str, value: float, unit: str, note: str = "") -> None:
        """Add a row."""
        self.rows.append(
            {"case": case, "what": what, "value": f"{value:.6g}", "unit": unit, "note": note}
        )
        print(f"{case:9} {what:44} {value:14.6g} {unit:10} {note}", flush=True)

    def market(self, bars: int) -> problem.Problem:
        """Market of so many bars, made once."""
        if bars not in self._markets:
            self._markets[bars] = problem.make(bars)
        return self._markets[bars]

    def timed(
        self, bars: int, density: str, shape: tuple[int, int, int, int], windows: int, runs: int
    ) -> tuple[Counts, float]:
        """Run a sweep on one thread, with candles that no cache knows; counts, and the least of its times."""
        made, best = self.market(bars), float("inf")
        edges = np.linspace(0, bars, windows + 1).astype(int).tolist()
        spans = list(pairwise(edges))
        for salt in range(runs):
            candles, signals = made.candles(salt + 1), made.signals()
            # Of the process, not of the clock: whatever else the machine has to do.
            began = time.process_time()
            found = bp.sweep(
                candles,
                signals,
                grid(density, shape),
                costs=problem.costs(),
                windows=spans,
                threads=1,
                **QUIET,
            )
            best = min(best, time.process_time() - began)
        return counts(found), best

    def fit(self) -> None:
        """Fit the model, and predict what is ten times as large."""
        small = int(100_000 * self.scale)
        shapes = (
            (4, 4, 4, 4),
            (1, 4, 4, 4),
            (16, 2, 2, 2),
            (2, 1, 2, 2),
            (4, 4, 8, 8),
            (1, 1, 8, 8),
            (4, 1, 1, 1),
        )
        known: dict[Any, tuple[Counts, float]] = {}
        for bars, density, shape, windows in product(
            (small // 4, small), problem.ENTRIES, shapes, (1, 12)
        ):
            known[bars, density, shape, windows] = self.timed(bars, density, shape, windows, 7)
        cost = self.cost = WorkerCost.fit(list(known.values()))
        for field, value in zip(fields(cost), astuple(cost), strict=True):
            self.say("fit", field.name, 1e9 * value, "ns", f"{len(known)} runs on one thread")
        off = [abs(cost.seconds(done) / took - 1) for done, took in known.values()]
        self.say("fit", "median error on these runs", 100 * float(np.median(off)), "%")
        self.say("fit", "largest error on these runs", 100 * max(off), "%")
        larger: list[tuple[str, Any, Any]] = []
        for density in problem.ENTRIES:
            whole = (small, density, (4, 4, 4, 4), 1)
            larger.append(("10 x bars", whole, (10 * small, density, (4, 4, 4, 4), 1)))
            larger.append(("10 x combinations", whole, (small, density, (4, 4, 16, 10), 1)))
        larger.append(
            ("10 x windows", (small, "2000", (4, 4, 4, 4), 12), (small, "2000", (4, 4, 4, 4), 120))
        )
        errors = []
        for name, before, after in larger:
            done, took = self.timed(*after, 7)
            by_counts = cost.seconds(done) / took - 1
            scaled = self._scaled(name, known[before][0])
            by_small = cost.seconds(scaled) / took - 1
            errors += [abs(by_counts), abs(by_small)]
            note = f"{after[1]}, took {took:.4g} s"
            self.say("ten", f"{name}, by what it did", 100 * by_counts, "%", note)
            self.say("ten", f"{name}, from the small run", 100 * by_small, "%", note)
        self.say("ten", "median error", 100 * float(np.median(errors)), "%")
        self.say("ten", "largest error", 100 * max(errors), "%")

    @staticmethod
    def _scaled(name: str, of: Counts) -> Counts:
        """Ten times what a small run did, in what grows."""
        if name == "10 x bars":
            # One window stays one window.
            return Counts(
                1, 10 * of.bars, 10 * of.entries, 10 * of.trades, of.combinations, of.rows
            )
        if name == "10 x combinations":
            return Counts(
                1, of.bars, of.entries, 10 * of.trades, 10 * of.combinations, 10 * of.rows
            )
        return Counts(1, of.bars, of.entries, of.trades, of.combinations, 10 * of.rows)

    def driver(self) -> None:
        """Measure what the driver spends."""
        began = time.perf_counter()
        with bp.RayExecutor(threads=1, options=RAY) as cluster:
            self.say("driver", "start of a local cluster", time.perf_counter() - began, "s")
            team = cluster.team
            for number in range(3):
                began = time.perf_counter()
                first = list(team.run([Task(operator.is_, None, (0,))], what="bench"))
                took = time.perf_counter() - began
                assert first == [(0, False)]
                if number == 0:
                    self.say("driver", "start of the first worker", took, "s")
            count = 1_000
            tasks = (Task(operator.is_, None, (i,)) for i in range(count))
            began, spent = time.perf_counter(), time.process_time()
            found = list(team.run(tasks, what="bench"))
            took, own = time.perf_counter() - began, time.process_time() - spent
            assert sorted(found) == [(i, False) for i in range(count)]
            note = f"{count:,} of them, two workers"
            self.say("driver", "a shard without work", 1e3 * took / count, "ms", note)
            self.say("driver", "a shard, driver's processor", 1e3 * own / count, "ms", note)
            for number in range(2):
                block = np.full(12_500_000, float(number))
                spent = time.process_time()
                team.share(block)
                own = time.process_time() - spent
            self.say("driver", "a byte put, driver's processor", 1e9 * own / block.nbytes, "ns")

    def overhead(self) -> None:
        """Compare two worker processes with two threads."""
        made = self.market(int(400_000 * self.scale))
        candles, signals = made.candles(), made.signals()
        with bp.RayExecutor(threads=1, options=RAY) as cluster:
            for name, shape in (("256", (4, 4, 4, 4)), ("20,000", (10, 10, 20, 10))):
                options: dict[str, Any] = {"costs": problem.costs(), "windows": "1mo", **QUIET}
                asked = grid("dense", shape)

                def here(options: dict[str, Any] = options, asked: bp.Grid = asked) -> bp.Sweep:
                    return bp.sweep(candles, signals, asked, threads=2, **options)

                def there(options: dict[str, Any] = options, asked: bp.Grid = asked) -> bp.Sweep:
                    return bp.sweep(candles, signals, asked, executor=cluster, **options)

                a, b = here(), there()
                if not (a.frame.equals(b.frame) and a.pooled.equals(b.pooled)):
                    raise SystemExit("frames differ: nothing is timed")
                busy = cluster.busy_seconds
                plan = bp.plan(
                    candles, signals, asked, costs=problem.costs(), windows="1mo", executor=cluster
                )
                taken = timing.interleave(
                    [timing.Contender("here", here), timing.Contender("there", there)], 3
                )
                one, two = (took.median for took in taken)
                busy = (cluster.busy_seconds - busy) / 3
                note = f"{a.frame.height:,} rows, {plan.shards} shards"
                self.say("overhead", f"{name} combinations, two threads", one, "s", note)
                self.say("overhead", f"{name} combinations, two processes", two, "s", note)
                self.say("overhead", f"{name} combinations, times as long", two / one, "", note)
                self.say("overhead", f"{name} combinations, busy processors", busy, "s", note)
                self.say(
                    "overhead",
                    f"{name} combinations, plan",
                    plan.seconds,
                    "s",
                    f"off by {100 * (plan.seconds / two - 1):+.0f}%",
                )

    def plan(self) -> None:
        """Hold plans against walls, on a job and on others ten times as large."""
        bars = int(400_000 * self.scale)
        jobs = (
            ("a job", bars, (10, 5, 8, 5), 10),
            ("10 x bars", 10 * bars, (10, 5, 8, 5), 10),
            ("10 x combinations", bars, (10, 10, 20, 10), 10),
            ("10 x windows", bars, (10, 5, 8, 5), 100),
        )
        with bp.RayExecutor(threads=1, options=RAY) as cluster:
            for name, length, shape, windows in jobs:
                made = self.market(length)
                asked: dict[str, Any] = {
                    "costs": problem.costs(),
                    "windows": list(
                        pairwise(np.linspace(0, length, windows + 1).astype(int).tolist())
                    ),
                    "executor": cluster,
                }
                # Each run prepares its candles anew, as the plan counts it; workers run before the first.
                first = grid("dense", (1, 1, 1, 1))
                bp.sweep(made.candles(), made.signals(), first, **asked, **QUIET)
                off, took = [], []
                for salt in range(1, 4):
                    candles, signals = made.candles(salt), made.signals()
                    said = bp.plan(candles, signals, grid("dense", shape), **asked).seconds
                    began = time.perf_counter()
                    bp.sweep(candles, signals, grid("dense", shape), **asked, **QUIET)
                    took.append(time.perf_counter() - began)
                    off.append(said / took[-1] - 1)
                self.say(
                    "plan",
                    f"{name}, off by",
                    100 * float(np.median(off)),
                    "%",
                    f"took {np.median(took):.4g} s, {min(off):+.0%} to {max(off):+.0%}",
                )

    def parquet(self) -> None:
        """Write 100,000 combinations on windows to a folder."""
        made = self.market(int(100_000 * self.scale))
        candles, signals = made.candles(), made.signals()
        asked = grid("dense", (20, 20, 25, 10))
        spans = "1w"
        home = Path(tempfile.mkdtemp())
        try:
            for shared in (False, True):
                with bp.RayExecutor(threads=1, options=RAY, shared_out=shared) as cluster:
                    out = home / str(shared)
                    timing.peak_mib(restart=True)
                    before = timing.resident_mib()
                    began, spent = time.perf_counter(), time.process_time()
                    found = bp.sweep(
                        candles,
                        signals,
                        asked,
                        costs=problem.costs(),
                        windows=spans,
                        out=out,
                        executor=cluster,
                        **QUIET,
                    )
                    took, own = time.perf_counter() - began, time.process_time() - spent
                    rows = found.scan().select(pl.len()).collect().item()
                    name = "workers write" if shared else "driver writes"
                    note = f"{len(asked):,} combinations x {len(found.windows)} windows, {len(found.plan.paths)} way"
                    self.say("parquet", f"{name}, rows", rows, "", note)
                    self.say("parquet", f"{name}, seconds", took, "s")
                    self.say("parquet", f"{name}, driver's processor", own, "s")
                    self.say("parquet", f"{name}, busy processors", cluster.busy_seconds, "s")
                    self.say(
                        "parquet",
                        f"{name}, driver's memory",
                        timing.peak_mib() - before,
                        "MiB",
                        "above what it held before",
                    )
                    size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
                    self.say("parquet", f"{name}, bytes a row", size / rows, "B", "both tables")
            part = next(iter(sorted((home / "False" / "frame").iterdir())))
            data = np.frombuffer(part.read_bytes(), np.uint8)
            height = pl.scan_parquet(part).select(pl.len()).collect().item()
            began = time.perf_counter()
            for _ in range(3):
                (home / "copy").write_bytes(data)
            self.say(
                "parquet",
                "driver writes, a row",
                1e9 * (time.perf_counter() - began) / 3 / height,
                "ns",
                "of bytes that came back",
            )
        finally:
            shutil.rmtree(home)

    def paper(self) -> None:
        """Put 10^6 combinations x 12 symbols x 4 years of minutes on nodes, by what was measured."""
        if self.cost is None:
            raise SystemExit("`paper` needs `fit` before it")
        told = {str(row["what"]): float(str(row["value"])) for row in self.rows}
        combinations, symbols, windows, cores = 1_000_000, 12, 48, 16
        bars = 4 * 525_960
        rows = combinations * symbols * windows
        send = told["a shard, driver's processor"] / 1e3
        take = told["driver writes, driver's processor"] / told["driver writes, rows"]
        size = told["driver writes, bytes a row"]
        for density, a_trade in (("dense", 230), ("2,000 bars a trade", 2_000)):
            trades = bars / a_trade * combinations * symbols
            # A hundred pairs of thresholds, each of 10,000 combinations that share its entries.
            entries = 100 * bars / a_trade * symbols
            counts = Counts(0, 0, entries, trades, combinations * symbols, rows)
            work = self.cost.seconds(counts)
            self.say("paper", f"{density}, processor time", work / 3600, "h")
            for nodes in (1, 16, 256):
                slots = nodes * cores
                shards = max(rows / 100_000, 4 * nodes * symbols)
                # Bars are prepared once a node, and entries looked at again by every shard that cuts a group.
                again = Counts(shards, bars * symbols * nodes, 0, 0, 0, 0)
                computing = (work + self.cost.seconds(again)) / slots
                sending, taking = shards * send, rows * take
                # Candles and three signals, nine numbers a bar, over 10 Gbit/s out of the head.
                moving = nodes * symbols * bars * 72 / 1.25e9
                note = (
                    f"computing {computing:.4g} s, sending {shards:,.0f} shards {sending:.3g} s, driver's files "
                    f"{taking:.4g} s, candles {moving:.3g} s"
                )
                wall = moving + max(computing, sending + taking)
                shared = moving + max(computing, sending)
                self.say("paper", f"{density}, {nodes} nodes, driver writes", wall, "s", note)
                self.say("paper", f"{density}, {nodes} nodes, workers write", shared, "s", note)
        self.say("paper", "Parquet of all rows", rows * size / 1e9, "GB", f"{rows:,} rows")
        self.say("paper", "rows in memory", rows * 340 / 1e9, "GB", "without out=")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the bars")
    parser.add_argument(
        "--cases", nargs="*", default=["fit", "driver", "overhead", "plan", "parquet", "paper"]
    )
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    bench = Bench(given.scale)
    for case in given.cases:
        getattr(bench, case)()
    if given.record:
        print(timing.write(bench.rows, timing.setting(bp.__version__), "distributed", FIELDS))


if __name__ == "__main__":
    main()
