"""Clusters of their own, each in a process of its own: started, left alone, out of reach, a node lost, 100,000 rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs the extra barproof[cluster]")

ROOT = Path(__file__).resolve().parent.parent.parent

BEGIN = """
import json, os, threading, time, warnings
import barproof as bp
from barproof.distributed import sweeps
from tests.helpers import simulated

COSTS = bp.Costs(taker=0.0005)
OPTIONS = {"num_cpus": 2, "object_store_memory": 120_000_000, "include_dashboard": False}
LEVELS = [0.5 + 0.001 * i for i in range(1_500)]
GRID = bp.Grid(bp.Rules(max_hold=24, entry_long=1.0), entry_long=LEVELS, stop_loss=[0.01, 0.02])


def run(world, **options):
    return bp.sweep(*world, GRID, costs=COSTS, windows="60h", ledger=False, **options)


def same(a, b):
    return a.frame.equals(b.frame) and a.pooled.equals(b.pooled) and a.provenance == b.provenance
"""


def told(code: str, timeout: float = 240.0) -> Any:
    """What a program prints last, as JSON."""
    text = BEGIN + textwrap.dedent(code)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)])}
    env.pop("RAY_ADDRESS", None)
    # Not behind everybody else on a busy machine.
    env["RAY_worker_niceness"] = "0"
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_local_cluster_is_started_and_ended_and_another_left_alone() -> None:
    found = told("""
        import sys
        before = "ray" in sys.modules
        world = simulated(3_000)
        here = run(world)
        there = run(world, executor="ray")
        import ray
        ended = not ray.is_initialized()
        ray.init(log_to_driver=False, **OPTIONS)
        again = run(world, executor="ray")
        print(json.dumps([before, same(there, here), ended, same(again, here), ray.is_initialized()]))
        ray.shutdown()
    """)
    assert found == [False, True, True, True, True]


@pytest.mark.slow
def test_a_cluster_out_of_reach_is_an_error() -> None:
    found = told("""
        began = time.monotonic()
        try:
            run(simulated(3_000), executor=bp.RayExecutor("127.0.0.1:9"))
        except bp.ClusterError as error:
            print(json.dumps([str(error), time.monotonic() - began]))
    """)
    assert found[0].startswith("no Ray can be reached or started at '127.0.0.1:9': ")
    assert found[0].endswith("have the same versions of ray and Python")
    assert found[1] < 60


@pytest.mark.slow
def test_a_node_that_is_lost_costs_its_shards_alone() -> None:
    found = told("""
        from ray.cluster_utils import Cluster

        world = simulated(20_000)
        here = run(world, threads=2)
        nodes = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": 120_000_000, "include_dashboard": False},
        )
        second = nodes.add_node(num_cpus=1, object_store_memory=120_000_000)
        sweeps.shard_size = lambda *_: 100
        seen = []

        def lose(done, total):
            seen.append(done)
            if len(seen) == 6:
                # A moment later: a shard has just come back, and its worker may have no other yet.
                threading.Timer(0.2, nodes.remove_node, [second], {"allow_graceful": False}).start()

        with bp.RayExecutor(nodes.address, threads=1, options={"log_to_driver": False}) as cluster:
            plan = bp.plan(*world, GRID, costs=COSTS, windows="60h", executor=cluster)
            there = run(world, executor=cluster, progress=lose, engine="replay")
            # Ray looks after its nodes now and then: a short sweep may end before it knows of the loss.
            until = time.monotonic() + 60
            while (left := cluster.team.slots(1)) > 1 and time.monotonic() < until:
                time.sleep(0.5)
        same_rows = there.frame.equals(here.frame) and there.pooled.equals(here.pooled)
        print(json.dumps([plan.workers, left, same_rows, there.complete, cluster.lost]))
        nodes.shutdown()
    """)
    assert found[:4] == [2, 1, True, True]
    assert found[4] >= 1


@pytest.mark.slow
def test_100_000_combinations_on_windows_go_to_parquet(tmp_path: Path) -> None:
    found = told(f"""
        import polars as pl

        levels = [0.5 + 0.004 * i for i in range(500)]
        stops = [0.005 + 0.0005 * i for i in range(200)]
        grid = bp.Grid(bp.Rules(max_hold=24, entry_long=1.0), entry_long=levels, stop_loss=stops)
        world = simulated(4_000)
        with bp.RayExecutor(threads=1, options=OPTIONS) as cluster:
            asked = dict(costs=COSTS, windows="48h", ledger=False)
            bp.sweep(*world, bp.Grid(grid.rules), executor=cluster, **asked)
            there = bp.sweep(*world, grid, executor=cluster, out={str(tmp_path)!r}, **asked)
            rows = there.scan().select(pl.len()).collect().item()
        part = bp.Grid(grid.rules, entry_long=levels[:3], stop_loss=stops)
        some = bp.sweep(*world, part, **asked).frame
        same_rows = there.scan().head(some.height).collect().equals(some)
        print(json.dumps([rows, same_rows, len(there.windows)]))
    """)
    rows, equal, windows = found
    assert rows == 100_000 * windows
    assert windows >= 7
    assert equal
