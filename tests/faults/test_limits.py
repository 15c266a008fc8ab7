"""Memory under a limit: what does not fit is refused before it is begun; and what the limit of a process is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import barproof as bp
from barproof import _machine
from tests.helpers import simulated
from tests.processes import linux

LIMITED = """
import resource
import barproof as bp
from barproof._machine import available_bytes
candles = bp.simulate_candles(5, bars=2_000)
signals = bp.Signals(long=candles.planted, kind="score")
costs = bp.Costs(taker=0.0005)
bp.backtest(candles, signals, bp.Rules(entry_long=1.0), costs=costs, ledger=False)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(available_bytes() <= 256 << 20, flush=True)
grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[i / 1e6 for i in range(300_000)])
try:
    bp.sweep(candles, signals, grid, costs=costs, windows="1h", ledger=False, progress=False, threads=1)
except bp.BarproofError as error:
    print(type(error).__name__, error, flush=True)
small = bp.Grid(bp.Rules(max_hold=9), entry_long=[0.5, 1.0])
print(len(bp.sweep(candles, signals, small, costs=costs, ledger=False, progress=False, threads=1)), flush=True)
"""


@linux
def test_a_sweep_that_a_limit_has_no_room_for_is_refused_and_a_small_one_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    fits, refused, small = done.stdout.splitlines()
    assert fits == "True"
    assert refused.startswith("PlanError 300,000 combinations")
    assert "are free: write parts to a folder with out=" in refused
    assert small == "2"


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    most, now = tmp_path / "memory.max", tmp_path / "memory.current"
    most.write_text("3000000\n")
    now.write_text("1000000\n")
    with mock.patch.object(_machine, "_GROUPS", ((str(most), str(now)),)):
        assert _machine.available_bytes() == 2_000_000
        candles, signals = simulated(1_000)
        grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[i / 1e4 for i in range(20_000)])
        with pytest.raises(bp.PlanError, match=r"need about [0-9,]+ bytes, 2,000,000 are free"):
            bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005), ledger=False)
    most.write_text("max\n")
    with mock.patch.object(_machine, "_GROUPS", ((str(most), str(now)),)):
        assert _machine._of_group() == _machine._PLENTY
