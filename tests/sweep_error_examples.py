"""An example of every error of grids that are drawn, of sets of signals, of several symbols and of sweeps to a folder.

Each row: id, call, class, exact message.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import barproof as bp
from barproof import _sweep, _sweep_files, _sweep_job
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

RULES = bp.Rules(entry_long=0.5)
GRID = bp.Grid(RULES, max_hold=[1, 2])
BARS = market(flat(100.0, 10))
P = bp.Signals(long=np.full(10, 0.7))
LONG = market(flat(100.0, 4), interval="1h")
SHORT = market(flat(100.0, 120))
COSTS = bp.Costs(taker=0.0005)
SETS = bp.SignalSets({"a": P, "b": P})


def sweep(candles: Any = BARS, signals: Any = P, grid: Any = GRID, **options: Any) -> bp.Sweep:
    return bp.sweep(candles, signals, grid, costs=COSTS, ledger=False, **options)


def pair() -> bp.Sweep:
    return sweep({"X": BARS, "Y": BARS}, {"X": P, "Y": P})


def latin(**options: Any) -> bp.Grid:
    return bp.Grid(RULES, method="latin", **options)


def poor(call: Callable[[], object]) -> object:
    with (
        mock.patch.object(_sweep, "available_bytes", lambda: 1_000),
        mock.patch.object(_sweep_files, "available_bytes", lambda: 1_000),
    ):
        return call()


def need_of_a_part() -> int:
    return _sweep_job.memory(2, 1, 1, 10, 1) * 3 // 2 + 2 * 2 * (8 * 36 + 16 + 32) + 512 * 2


def at(name: str, before: Callable[[Path], object], **options: Any) -> object:
    """Sweep to a folder of a fixed name, in a folder of its own that was prepared so."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            before(Path(folder))
            return sweep(out=name, threads=1, **options)
        finally:
            os.chdir(home)


def manifest(text: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / "o").mkdir()
        (folder / "o" / "manifest.json").write_text(text)

    return write


def locked(_: Path) -> None:
    held = _sweep_files.SweepFolder("o", {}, [])
    held.__enter__()
    KEPT.append(held)


KEPT: list[_sweep_files.SweepFolder] = []


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def no_room() -> object:
    with mock.patch.object(Path, "mkdir", full):
        return at("o", lambda _: None)


def no_room_later() -> object:
    with mock.patch.object(pl.DataFrame, "write_parquet", full):
        return at("o", lambda _: None)


def read_back() -> object:
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(out=Path(folder) / "o", threads=1)
        return poor(lambda: found.frame)


def parts_gone() -> object:
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(out=Path(folder) / "o", threads=1)
        found._store.folder.path = Path("o")  # type: ignore[attr-defined]
        return found.frame


def interrupted_with_parts() -> object:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with mock.patch.object(_sweep_job, "PIECE_ROWS", 1):
        return at("o", lambda _: None, progress=stop)


def nonsense(frame: pl.DataFrame) -> Any:
    return frame["pooling"]


EXAMPLES: list[Example] = [
    # finer candles
    ("intrabar mapping", lambda: sweep({"X": BARS}, {"X": P}, intrabar_candles=BARS), bp.LayoutError, "`intrabar_candles` must be a mapping of symbol to Candles, as `candles` is one, was Candles"),
    ("intrabar without", lambda: sweep({"X": BARS, "Y": BARS}, {"X": P, "Y": P}, intrabar_candles={"X": BARS}), bp.ParameterError, "symbol 'Y' has no `intrabar_candles`: give them for every symbol, and for no other"),
    ("intrabar beside", lambda: sweep({"X": BARS}, {"X": P}, intrabar_candles={"X": BARS, "Z": BARS}), bp.ParameterError, "symbol 'Z' is not among the candles, but has `intrabar_candles`: give them for every symbol, and for no other"),
    ("intrabar window", lambda: sweep({"X": LONG}, {"X": bp.Signals(long=np.full(4, 0.7))}, windows=[(0, 2), (2, 4)], intrabar_candles={"X": SHORT}), bp.ParameterError, "`intrabar_candles` of 'X' make up none of the 2 bars of window 1: give finer candles of its time"),
    # drawn grids
    ("between end", lambda: bp.between(0, float("inf")), bp.ParameterError, "`high` of between(...) must be a finite number, was inf"),
    ("between type", lambda: bp.between("0", 1), bp.ParameterError, "`low` of between(...) must be a finite number, was '0'"),  # type: ignore[arg-type]
    ("between order", lambda: bp.between(2, 1), bp.ParameterError, "`high` of between(...) must be above `low`, was 1 with low=2: give a list for one value"),
    ("between log", lambda: bp.between(0, 1, log=True), bp.ParameterError, "`low` of between(..., log=True) must be > 0, was 0"),
    ("between mixed", lambda: bp.Grid(RULES, {"stop_loss": [0.1], "take_profit": bp.between(0.1, 0.2)}, sample=1), bp.LayoutError, "axis `stop_loss` is a list, but varies together with a range: give ranges for all of them, or for none"),
    ("between choice", lambda: bp.Grid(RULES, reverse=bp.between(0, 1), sample=1), bp.ParameterError, "axis `reverse` takes bool, which has no range: give a list of values"),
    ("between whole", lambda: bp.Grid(RULES, max_hold=bp.between(0.5, 3), sample=1), bp.ParameterError, "axis `max_hold` takes whole numbers: between(0.5, 3) must have whole ends"),
    ("between bound", lambda: bp.Grid(RULES, stop_loss=bp.between(-1, 3), sample=1), bp.ParameterError, "`stop_loss` must be > 0, was -1"),
    ("between alone", lambda: bp.Grid(RULES, stop_loss=bp.between(0.1, 0.3)), bp.ParameterError, "axis `stop_loss` is a range: say how many combinations to draw with sample=, or give a list"),
    ("method", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=1, method="sobol"), bp.ParameterError, '`method` of a grid must be "random" or "latin", was \'sobol\''),  # type: ignore[arg-type]
    ("latin alone", lambda: latin(max_hold=[1, 2]), bp.ParameterError, '`method` is "latin", but nothing is drawn: say how many with sample='),
    ("sample beyond all", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=20_000_001), bp.ParameterError, "`sample` must be at most 20,000,000, was 20,000,001"),
    ("sample beyond", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=3), bp.ParameterError, "`sample` is 3, but the grid has only 2 combinations: ask for at most as many, or leave it out"),
    ("sample beyond where", lambda: bp.Grid(RULES, max_hold=[1, 2], sample=2, where=lambda c: c["max_hold"] > 1), bp.ParameterError, "`sample` is 2, but the grid has only 1 combinations that `where` keeps: ask for at most as many, or leave it out"),
    ("latin beyond", lambda: latin(max_hold=[1, 2], sample=3), bp.ParameterError, "`sample` is 3, but the grid has only 2 combinations: ask for at most as many, or leave it out"),
    ("latin where", lambda: latin(max_hold=[1, 2], sample=1, where=lambda c: False), bp.RulesError, 'a Latin draw of 1 found only 0 different combinations that may stay: ask for fewer (`sample=`), widen the axes, loosen `where`, or take method="random"'),
    ("random where", lambda: bp.Grid(RULES, stop_loss=bp.between(0.1, 0.2), sample=10, where=lambda c: False), bp.RulesError, "only 0 of 10 different combinations were found in 20,000 draws: ask for fewer (`sample=`), widen the axes, or loosen `where`"),
    ("where name", lambda: bp.Grid(RULES, max_hold=[1], where=lambda c: c["max_hol"] > 1), bp.ParameterError, "`where` asks for 'max_hol', which is no axis of the grid; axes: max_hold"),
    ("where none", lambda: bp.Grid(RULES, max_hold=[None, 1], where=lambda c: c["max_hold"] > 1), bp.ParameterError, "`where` failed on a combination (max_hold=None): '>' not supported between instances of 'NoneType' and 'int'; a rule that is off is None"),
    ("table type", lambda: bp.Grid.table(RULES, [1]), bp.LayoutError, "`frame` of Grid.table must be a frame or a mapping of columns, was list"),  # type: ignore[arg-type]
    ("table columns", lambda: bp.Grid.table(RULES, {}), bp.ParameterError, "`frame` of Grid.table has no columns: give one a field that varies"),
    # sets of signals, symbols
    ("sets type", lambda: bp.SignalSets([P]), bp.LayoutError, '`sets` must be a mapping of name to Signals, was list: write SignalSets({"name": signals})'),  # type: ignore[arg-type]
    ("sets empty", lambda: bp.SignalSets({}), bp.ParameterError, "`sets` is empty: give at least one name with its signals"),
    ("sets name", lambda: bp.SignalSets({" ": P}), bp.ParameterError, "a name of SignalSets must be a printable text, was ' ': give each model a name"),
    ("sets value", lambda: bp.SignalSets({"a": 1}), bp.LayoutError, "`a` of SignalSets must be Signals, was int: use Signals(long=...)"),  # type: ignore[dict-item]
    ("sets key", lambda: SETS["c"], bp.ParameterError, "there are no signals 'c'; known: a, b"),
    ("silence", lambda: sweep(signals=bp.Signals(long=np.full(10, np.nan))), bp.SignalError, "signals hold no value: `long` is NaN at all 10 bars, so that nothing can trade; look at how they were joined"),
    ("silence of a set", lambda: sweep({"X": BARS}, {"X": bp.SignalSets({"a": bp.Signals(long=np.full(10, np.nan), short=np.full(10, np.nan))})}), bp.SignalError, "signals 'a' of 'X' hold no value: `long` and `short` are NaN at all 10 bars, so that nothing can trade; look at how they were joined"),
    ("symbols empty", lambda: sweep({}, {}), bp.ParameterError, "`candles` hold no symbol: give at least one"),
    ("symbols signals", lambda: sweep({"X": BARS}, P), bp.LayoutError, "`signals` must be a mapping of symbol to signals, as `candles` is one, was Signals"),
    ("symbol name", lambda: sweep({1: BARS}, {1: P}), bp.ParameterError, "a symbol must be a printable text, was 1"),
    ("symbol alone", lambda: sweep({"X": BARS}, {"X": P, "Y": P}), bp.ParameterError, "symbol 'Y' has signals but no candles: give both, or neither"),
    ("symbol without signals", lambda: sweep({"X": BARS}, {}), bp.ParameterError, "symbol 'X' has candles but no signals: give both, or neither"),
    ("symbols sets", lambda: sweep({"X": BARS, "Y": BARS}, {"X": SETS, "Y": P}), bp.ParameterError, "the signals of 'Y' are no sets, but those of 'X' the sets a, b: give every symbol the same sets"),
    ("symbol missing", lambda: pair().result(0), bp.ParameterError, "the sweep has the symbols X, Y: say which, such as symbol='X' or of('X')"),
    ("symbol unknown", lambda: pair().of("Z"), bp.ParameterError, "symbol 'Z' is not in the sweep; it has: X, Y"),
    ("symbol of one", lambda: sweep().of("Z"), bp.ParameterError, "symbol 'Z' is not in the sweep; it has: one without a name"),
    ("setting", lambda: pair()._made, AttributeError, "a sweep over several symbols or sets of signals has no one setting"),
    # a user's own metric
    ("metric type", lambda: sweep().best(3), bp.LayoutError, "`metric` must be the name of a metric or a function of the pooled frame, was int"),  # type: ignore[arg-type]
    ("metric text", lambda: sweep().best(nonsense), bp.LayoutError, "`metric` must give numbers, one a row of the frame, gave Series of String"),
    ("metric object", lambda: sweep().best(lambda f: {"a": 1}), bp.LayoutError, "`metric` must give numbers, one a row of the frame, gave dict"),
    ("metric shape", lambda: sweep().best(lambda f: 1.0), bp.ShapeError, "`metric` must give one number a row of the frame, which has 2, gave the shape ()"),
    # folders
    ("out type", lambda: sweep(out=3), bp.LayoutError, "`out` must be a folder, was int"),
    ("out file", lambda: at("o", lambda f: (f / "o").write_text("")), bp.FileError, "`out` 'o' is a file: give the name of a folder"),
    ("out other", lambda: at(".", lambda f: (f / "x").write_text("")), bp.FileError, "`out` '.' holds 'x' but no sweep: give a new or an empty folder"),
    ("out locked", lambda: at("o", locked), bp.FileError, "`out` 'o' is being written by another sweep: wait for it, or give another folder"),
    ("out manifest", lambda: at("o", manifest("{")), bp.FileError, "`out` 'o' has a manifest.json that cannot be read: give another folder, or remove it"),
    ("out format", lambda: at("o", manifest(json.dumps({"format": "x", "facts": {}, "parts": []}))), bp.FileError, "`out` 'o' is of the format 'x', not 'barproof sweep 1': go on with the version that wrote it, or give another folder"),
    ("out sweep", lambda: at("o", lambda f: sweep(out="o"), engine="replay", initial_equity=5), bp.FileError, "`out` 'o' holds another sweep, which differs in initial_equity (10000.0 there, 5.0 here), engine (indexed there, replay here): give another folder, or remove it"),
    ("out refused", no_room, bp.FileError, "`out` 'o' cannot be written: No space left on device; choose a folder with room and write permission"),
    ("out full", no_room_later, bp.FileError, "part 0 of the sweep could not be written to 'o': No space left on device; make room, then call the same sweep again"),
    ("out memory", lambda: poor(lambda: sweep(out="never made", threads=1)), bp.PlanError, f"one part of 2 combinations x 1 windows needs about {need_of_a_part():,} bytes with the pooled rows, 1,000 are free: take fewer combinations (`sample=`) or longer windows"),
    ("out read", read_back, bp.PlanError, "`frame` of 2 rows needs about 1,800 bytes, 1,000 are free: use scan(), which reads what you ask for"),
    ("out gone", lambda: parts_gone(), bp.FileError, "part '00000.parquet' of the sweep in 'o' is gone: call the same sweep again"),
    ("out interrupt", interrupted_with_parts, bp.Interrupted, "interrupted after 1 of 2 combinations; their parts are kept in 'o', and the same call goes on from there"),
]  # fmt: skip
