"""One call for every message of the labels command: (name, call, class, message)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import barproof as bp
from barproof.cli import label_kinds
from barproof.cli.config import Config
from barproof.errors import ConfigError

from .study_error_examples import market

COSTS = bp.Costs(taker=0.0005)
NONE: dict[str, Any] = {
    "bars": None, "threshold": None, "kind": None, "clock": None, "side": None, "rule": None, "primary": None,
    "lengths": None, "k": None, "min_volume": None, "volume_bars": None, "axis": None,
}  # fmt: skip


def asked(method: str, **options: Any) -> label_kinds.Asked:
    return label_kinds.Asked(method, **{**NONE, **options})


def check(
    method: str, *, sweeping: bool = False, costs: Any = COSTS, **options: Any
) -> Callable[[], object]:
    return lambda: label_kinds.check_method(asked(method, **options), costs, sweeping)


def sweep(method: str, *axis: str, **options: Any) -> Callable[[], object]:
    def call() -> object:
        candles = bp.simulate_candles(1, bars=100)
        wanted = asked(method, axis=list(axis), **options)
        return label_kinds.sweep_of(candles, Config(), wanted, COSTS, False)

    return call


def no_side() -> object:
    with market(up=[1.0]) as candles:
        return label_kinds.sides(Path("t.parquet"), candles)


# fmt: off
EXAMPLES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    ("method", check("trade"), ConfigError, "`--method` must be one of horizon, barrier, meta, exits, vote, was 'trade'"),
    ("kind", check("barrier", kind="up"), ConfigError, "`--kind` must be one of regression, binary, ternary, was 'up'"),
    ("idle option", check("vote", side="long"), ConfigError, "`--side` goes with `--method` barrier, not with vote: leave it out"),
    ("axis alone", check("horizon", axis=["bars=1"]), ConfigError, "`--axis` is an axis of a sweep: give `--sweep`, too"),
    ("sweep of votes", check("vote", sweeping=True), ConfigError, "`--sweep` goes with `--method` horizon or barrier, not with vote"),
    ("no primary", check("meta"), ConfigError, "`--method meta` needs the primary signal: give `--primary` FILE with `open_time` and `side`"),
    ("no ballots", check("vote"), ConfigError, "`--method vote` needs horizons and how many agree: `--lengths 6,12,24 --k 2`"),
    ("no costs", check("barrier", costs=None), ConfigError, "costs are missing: give `--taker` 0.0005 (a fraction), or `--free` to go without"),
    ("idle costs", lambda: label_kinds.plan_of(Config(), asked("horizon", bars=3), (0.001, None, None, False)), ConfigError, "costs are told, but labels by horizon have no use for them: leave `--taker`, `--maker`, `--slippage` and `--free` out"),
    ("lengths", lambda: label_kinds.numbers("--lengths", "6,x", int), ConfigError, "`--lengths` must be numbers such as 6,12,24, was '6,x'"),
    ("no side", no_side, ConfigError, "the primary signal 't.parquet' has no column `side`, but open_time, up: it is 1 (long), -1 (short) or 0"),
    ("horizon axis of barriers", sweep("barrier", "bars=1,2", rule=["max_hold=5"]), ConfigError, "`--axis` bars and threshold are of horizons: barriers vary in their rules, sides and min_volume"),
    ("rule axis of horizons", sweep("horizon", "stop_loss=0.1"), ConfigError, "`--axis stop_loss=0.1` is none of horizons, which vary in bars, threshold and min_volume; rules go with `--method barrier`"),
    ("no horizons", sweep("horizon", "threshold=0.1"), ConfigError, "the sweep has no horizons: give `--axis bars=6,12,24`"),
]
# fmt: on
