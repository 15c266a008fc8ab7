"""Kills at random instants, inside the write included: the joined log is that of a run that nothing interrupted."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import barproof
from tests.live.market import folder, trained

ROOT = Path(__file__).parents[2]
SAME = {
    "decisions": "SELECT * FROM decisions ORDER BY symbol, open_time",
    "bars": "SELECT * FROM bars ORDER BY symbol, open_time",
    "trades": "SELECT * FROM trades ORDER BY rowid",
    "events": "SELECT * FROM events ORDER BY sequence",
    "accounts": "SELECT * FROM accounts ORDER BY symbol",
    "checkpoints": "SELECT symbol, length(body) > 0 FROM checkpoints",
    "state": "SELECT * FROM state",
    "session": "SELECT * FROM session WHERE key != 'code' ORDER BY key",
}


def contents(state: Path) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(state / "live.sqlite") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {name: base.execute(text).fetchall() for name, text in SAME.items()}


class Runner:
    """The process of `runner.py`."""

    def __init__(self, bundle: Path) -> None:
        path = os.pathsep.join([str(Path(barproof.__file__).parents[1]), str(ROOT)])
        given = {
            **os.environ,
            "PYTHONPATH": path,
            "POLARS_MAX_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.bundle = bundle
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=given,
            cwd=ROOT,
        )

    def start(self, state: Path, bars: int, deadly: int = 0) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self.bundle} {state} {bars} {deadly}\n")
        self.process.stdin.flush()
        return self.number()

    def number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def killed(kills: int, bars: int, seed: int) -> None:
    """Kill a run so many times, half of them inside a commit, and compare what is left with a whole run."""
    chance = random.Random(seed)
    with folder() as place:
        bundle = trained().bundles[0].save(place / "bundle")
        runner = Runner(bundle)
        try:
            runner.start(place / "whole", bars)
            assert runner.number() == 0
            want = contents(place / "whole")
            assert len(want["decisions"]) == bars
            assert len(want["trades"]) > bars // 60
            state = place / "killed"
            died = inside = 0
            while died < kills:
                deadly = chance.randrange(1, max(3, bars // kills * 2)) if died % 2 else 0
                child = runner.start(state, bars, deadly)
                if not deadly:
                    time.sleep(chance.uniform(0.0, 0.08))
                    # The child cannot have been waited for by anybody but the runner, which tells of it below.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                ended = runner.number()
                assert ended in (0, -signal.SIGKILL), ended
                died += ended != 0
                inside += bool(deadly) and ended != 0
                if ended == 0 and died < kills:
                    # Through before all kills were done: again from the beginning, in another folder.
                    assert contents(state) == want
                    state = place / f"killed{died}-{chance.randrange(1 << 30)}"
            runner.start(state, bars)
            assert runner.number() == 0
            got = contents(state)
            for name in want:
                assert got[name] == want[name], name
            assert inside > kills // 4
        finally:
            runner.close()


@pytest.mark.timeout(280)
def test_a_killed_session_goes_on_with_the_same_bits() -> None:
    killed(20, 600, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_three_hundred_kills() -> None:
    killed(300, 1_900, seed=2)
