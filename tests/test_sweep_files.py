"""Sweeps to a folder: the same frame as in memory, whatever kills them; one writer; bounded memory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import barproof as bp
from barproof import _sweep_files, _sweep_job
from tests.helpers import simulated
from tests.processes import linux, spent_from_now

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
LEVELS = [0.5 + 0.1 * i for i in range(6)]
GRID = bp.Grid(
    bp.Rules(max_hold=24),
    {"entry_long": LEVELS, "entry_short": LEVELS},
    stop_loss=[None, 0.01, 0.02],
    reverse=[False, True],
)
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def world() -> tuple[bp.Candles, bp.Signals]:
    return simulated(3_000)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of five combinations, so that little jobs have many."""
    monkeypatch.setattr(_sweep_job, "PIECE_ROWS", 25)


def run(world: tuple[bp.Candles, bp.Signals], **options: Any) -> bp.Sweep:
    given = {"costs": COSTS, "windows": "60h", "threads": 1, "ledger": False, **options}
    return bp.sweep(*world, given.pop("grid", GRID), **given)


def same(a: bp.Sweep, b: bp.Sweep) -> None:
    """Equal to the bit: values, types, order, and what is read lazily."""
    for name in ("frame", "pooled"):
        one, two = getattr(a, name), getattr(b, name)
        assert one.schema == two.schema
        assert one.rows() == two.rows() or one.equals(two)
        for column in one.columns:
            if one[column].dtype == pl.Float64:
                assert one[column].to_numpy().tobytes() == two[column].to_numpy().tobytes()
    assert a.scan().collect().equals(b.scan().collect())
    assert a.combinations.tolist() == b.combinations.tolist()
    assert a.provenance == b.provenance


@pytest.mark.usefixtures("small")
def test_a_folder_holds_the_frame_of_memory(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path
) -> None:
    kept, out = run(world), tmp_path / "deep" / "out"
    streamed = run(world, out=out)
    same(streamed, kept)
    parts = sorted(path.name for path in (out / "frame").iterdir())
    assert parts == [f"{i:05d}.parquet" for i in range(8)]
    assert pl.read_parquet(out / "frame" / "*.parquet").equals(kept.frame)
    assert streamed.best().combination == kept.best().combination
    assert streamed.trades(7).equals(kept.trades(7))
    assert streamed.complete
    facts = json.loads((out / "manifest.json").read_text())["facts"]
    for name in ("candles", "signals", "grid", "costs", "windows", "barproof", "engine"):
        assert name in facts
    assert facts["grid"] == GRID.digest


@pytest.mark.usefixtures("small")
def test_what_is_there_is_not_run_again(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(world, out=tmp_path)
    (tmp_path / "done" / "00003.json").unlink()
    (tmp_path / "frame" / ".00003.parquet.tmp").write_bytes(b"half")
    seen: list[tuple[int, int]] = []
    asked: list[int] = []
    inner = _sweep_job.Job.run

    def spy(self: Any, piece: Any, progress: Any) -> Any:
        asked.append(piece.low)
        return inner(self, piece, progress)

    monkeypatch.setattr(_sweep_job.Job, "run", spy)
    again = run(world, out=tmp_path, progress=lambda d, t: seen.append((d, t)))
    same(again, first)
    assert asked == [15]
    assert seen[0] == (31, 36)
    assert seen[-1] == (36, 36)
    assert seen == sorted(seen)
    assert not list(tmp_path.rglob("*.tmp"))
    # Neither do the threads of the first call matter, nor whether there is anything left to do.
    same(run(world, out=tmp_path, threads=2), first)
    assert asked == [15]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "harm",
    [
        lambda out: flip(out / "frame" / "00002.parquet"),
        lambda out: flip(out / "pooled" / "00002.parquet"),
        lambda out: (out / "frame" / "00002.parquet").write_bytes(b""),
        lambda out: (out / "pooled" / "00002.parquet").unlink(),
        lambda out: (out / "done" / "00002.json").write_text("{"),
        lambda out: (out / "done" / "00002.json").write_bytes(b"\xff\xfe"),
        lambda out: (out / "done" / "00002.json").write_text("[]"),
    ],
    ids=["frame", "pooled", "empty", "missing", "record", "bytes", "list"],
)
def test_a_damaged_part_is_run_again(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path, harm: Any
) -> None:
    first = run(world, out=tmp_path)
    kept = first.frame
    harm(tmp_path)
    with pytest.warns(bp.DataWarning, match=r"part 2 of the sweep in .* is run again"):
        again = run(world, out=tmp_path)
    assert again.frame.equals(kept)
    same(again, run(world))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("grid", {"grid": bp.Grid(bp.Rules(max_hold=24), entry_long=LEVELS)}),
        ("costs", {"costs": bp.Costs(taker=0.0004)}),
        ("windows", {"windows": "61h"}),
        ("initial_equity", {"initial_equity": 9.0}),
        ("periods_per_year", {"periods_per_year": 364.0}),
        ("engine", {"engine": "replay"}),
        ("with_range", {"with_range": True}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_the_folder_of_another_sweep_is_refused(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path, name: str, change: Any
) -> None:
    run(world, out=tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(bp.FileError, match=rf"holds another sweep, which differs in .*{name} \("):
        run(world, out=tmp_path, **change)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.usefixtures("small")
def test_other_candles_signals_and_versions_are_refused(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path
) -> None:
    run(world, out=tmp_path)
    candles, signals = world
    turned = bp.Signals(long=signals["short"], short=signals["long"], kind="score")
    with pytest.raises(bp.FileError, match=r"differs in signals \(\w{12}\.\.\. there"):
        run((candles, turned), out=tmp_path)
    with pytest.raises(bp.FileError, match=r"differs in candles \("):
        run((simulated(3_000, seed=6)[0], signals), out=tmp_path)
    manifest = tmp_path / "manifest.json"
    text = json.loads(manifest.read_text())
    text["facts"]["barproof"] = "0.0.0"
    manifest.write_text(json.dumps(text))
    with pytest.raises(bp.FileError, match=r"barproof \(0\.0\.0 there, .* here\)"):
        run(world, out=tmp_path)


@pytest.mark.usefixtures("small")
def test_ctrl_c_between_parts_keeps_them_and_trials_are_counted_once(
    world: tuple[bp.Candles, bp.Signals], tmp_path: Path
) -> None:
    ledger, out = bp.Ledger.open(tmp_path / "ledger.sqlite"), tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(bp.Interrupted, match=r"their parts are kept in .* goes on") as caught:
        run(world, out=out, ledger=ledger, progress=stop)
    partial = caught.value.partial
    assert partial is not None
    assert caught.value.total == 36
    done = caught.value.done
    assert done in (10, 15)
    assert not partial.complete
    assert partial.combinations.tolist() == list(range(done))
    assert partial.frame.equals(run(world).frame.filter(pl.col("combination") < done))
    assert ledger.trials() == done
    found = run(world, out=out, ledger=ledger)
    assert found.complete
    assert ledger.trials() == 36
    run(world, out=out, ledger=ledger)
    assert ledger.trials() == 36


CHILD = """
import sys
import barproof as bp
from barproof import _sweep_job
_sweep_job.PIECE_ROWS = int(sys.argv[2])
candles = bp.simulate_candles(5, bars=30_000, edge=0.1)
signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
levels = [0.5 + 0.01 * i for i in range(60)]
grid = bp.Grid(bp.Rules(max_hold=24), {"entry_long": levels, "entry_short": levels},
               stop_loss=[None, 0.01, 0.02, 0.03], take_profit=[0.01, 0.02, None])
out = None if sys.argv[1] == "-" else sys.argv[1]
print("ready", flush=True)
try:
    found = bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005), windows="5d", out=out,
                     with_range=True, threads=2, ledger=False)
except bp.Interrupted as stop:
    print("stopped", stop.done, stop.total, 0 if stop.partial is None else stop.partial.pooled.height, flush=True)
else:
    found.frame.write_ipc(sys.argv[3] + ".frame")
    found.pooled.write_ipc(sys.argv[3] + ".pooled")
    print("finished", flush=True)
"""


def child(out: Path | str, into: Path, rows: int = 210) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(out), str(rows), str(into)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=120)
    return said.strip()


def records(out: Path) -> int:
    return len(list((out / "done").glob("0*.json"))) if (out / "done").exists() else 0


def wait_for(out: Path, count: int) -> None:
    until = time.perf_counter() + 60
    while records(out) < count and time.perf_counter() < until:
        time.sleep(0.001)


def outcomes_equal(one: Path, two: Path) -> bool:
    for table in ("frame", "pooled"):
        a, b = (pl.read_ipc(f"{path}.{table}") for path in (one, two))
        if not (a.equals(b) and a.schema == b.schema and bits(a) == bits(b)):
            return False
    return True


def bits(frame: pl.DataFrame) -> list[bytes]:
    floats = [c for c in frame.columns if frame[c].dtype == pl.Float64]
    return [frame[c].fill_null(0.0).to_numpy().tobytes() for c in floats]


@posix
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_sweep_goes_on_and_ends_with_the_same_frame(tmp_path: Path, seed: int) -> None:
    whole, resumed, out = tmp_path / "whole", tmp_path / "resumed", tmp_path / "out"
    assert finish(child("-", whole)) == "finished"
    rng, kills = random.Random(seed), 0
    while kills < 5:
        process = child(out, resumed)
        # Before the first file, between files, in the middle of one: wherever the clock falls.
        wait_for(out, records(out) + rng.choice([0, 1, 2]))
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        assert finish(process) == ""
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert records(out) > 0
    assert finish(child(out, resumed)) == "finished"
    assert outcomes_equal(whole, resumed)
    assert not list(out.rglob("*.tmp"))


@linux
def test_ctrl_c_stops_soon_and_the_next_call_goes_on(tmp_path: Path) -> None:
    whole, resumed, out = tmp_path / "whole", tmp_path / "resumed", tmp_path / "out"
    assert finish(child("-", whole)) == "finished"
    process = child(out, resumed)
    wait_for(out, 3)
    spent = spent_from_now(process)
    process.send_signal(signal.SIGINT)
    said = finish(process).split()
    assert spent() < 2.0
    assert said[0] == "stopped"
    done, total, pooled = map(int, said[1:])
    assert 0 < done < total == 720
    assert pooled == done
    assert finish(child(out, resumed)) == "finished"
    assert outcomes_equal(whole, resumed)


@posix
def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    out, held = tmp_path / "out", tmp_path / "held"
    process = child(out, held)
    wait_for(out, 1)
    os.kill(process.pid, signal.SIGSTOP)
    folder = _sweep_files.SweepFolder(out, {}, [])
    with pytest.raises(bp.FileError, match="is being written by another sweep"):
        folder.__enter__()
    os.kill(process.pid, signal.SIGCONT)
    process.kill()
    finish(process)
    # The lock went with the process; what is refused now is another sweep.
    with pytest.raises(bp.FileError, match="holds another sweep"):
        folder.__enter__()


MEMORY = """
import resource, sys
import barproof as bp
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 2**20)
candles = bp.simulate_candles(5, bars=110 * 24, interval="1h", edge=0.1)
signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
grid = bp.Grid(bp.Rules(entry_long=1.0), max_hold=range(1, 101), cooldown=range(int(sys.argv[2])))
before = peak()
found = bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005), windows="1d", out=sys.argv[1], ledger=False)
found.best("total_return")
print(peak() - before, found.scan().select("trades").collect().height)
"""


@posix
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    # 1.1 million rows of 40 columns are 300 MiB, and more than twice that while they are made.
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "out"), "100"]
    rise, rows = map(int, subprocess.check_output(command, text=True).split())
    assert rows == 100 * 100 * 110
    assert rise < 250


def test_a_plan_counts_parts(world: tuple[bp.Candles, bp.Signals], tmp_path: Path) -> None:
    grid = bp.Grid(bp.Rules(entry_long=1.0), max_hold=range(1, 101), cooldown=range(100))
    options: dict[str, Any] = {"costs": COSTS, "windows": "12h"}
    kept = bp.plan(*world, grid, **options)
    streamed = bp.plan(*world, grid, **options, out=tmp_path / "never")
    assert kept.parts == kept.disk_bytes == 0
    per = _sweep_job.PIECE_ROWS // kept.windows
    assert streamed.parts == -(-10_000 // per)
    assert streamed.memory_bytes < kept.memory_bytes
    assert streamed.disk_bytes > 0
    assert f"{streamed.parts} parts" in str(streamed)
    assert not (tmp_path / "never").exists()


def test_long_candles_have_smaller_parts(world: tuple[bp.Candles, bp.Signals]) -> None:
    job = _sweep_job.prepare(
        *world, GRID, None, 1, False,
        costs=COSTS, initial_equity=1.0, periods_per_year=None, engine="indexed",
    )  # fmt: skip
    leg = job.legs[0]
    assert job.piece_size(leg) == len(GRID)
    many = _sweep_job.Job((leg,), None, bp.Grid(bp.Rules(), max_hold=range(1, 10_001)), 1, False)
    assert many.piece_size(leg) == 10_000
    long = _sweep_job.Leg(None, leg.settings, [(0, 5_000_000)])
    assert many.piece_size(long) == 1_000
    longer = _sweep_job.Leg(None, leg.settings, [(0, 5_000_000_000)])
    assert many.piece_size(longer) == _sweep_job.PIECE_LEAST
    short = _sweep_job.Leg(None, leg.settings, [(i, i + 1) for i in range(3_000)])
    assert many.piece_size(short) == _sweep_job.PIECE_ROWS // 3_000
