"""One call for every message that the command line raises: (name, call, class, message)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl

import barproof as bp
from barproof.cli import check, config, demo, features, inputs, ledger, output, sweep
from barproof.errors import ConfigError, FileError, ParameterError

EMPTY = config.Config()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Work in an empty folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as path:
        os.chdir(path)
        try:
            yield Path(path)
        finally:
            os.chdir(before)


def toml(text: str | bytes) -> Callable[[], object]:
    """Load this ``barproof.toml``."""

    def call() -> object:
        with folder():
            Path("barproof.toml").write_bytes(text.encode() if isinstance(text, str) else text)
            return config.load_config(None)

    return call


def market(*, config: config.Config = EMPTY, source: str | None = "a.csv", **given: Any) -> object:
    return inputs.market_of(config, None if source is None else Path(source), **given)


def signals(columns: dict[str, list[Any]] | None = None, **given: Any) -> object:
    with folder():
        path = Path("s.parquet")
        pl.DataFrame(columns or {"open_time": [0], "long": [0.5]}).write_parquet(path)
        return inputs.read_signals(EMPTY, path, **given)


def target(name: str) -> Callable[[], object]:
    def call() -> object:
        with folder():
            Path("dir.csv").mkdir()
            output.check_target("--out", Path(name), output.FRAMES)
        return None

    return call


def write_to_full_disk() -> object:
    with (
        folder(),
        patch("os.replace", side_effect=OSError(28, "No space left on device")),
        output.whole_file(Path("o.csv")) as temporary,
    ):
        temporary.write_text("x")
    return None


def demo_into_a_file() -> object:
    with folder():
        Path("demo").write_text("")
        return demo.demo(out=Path("demo"))


def sweep_into_a_file() -> object:
    with folder():
        Path("o").write_text("")
        return sweep.sweep(out_dir=Path("o"))


def idle_sweep() -> object:
    candles = bp.simulate_candles(1, bars=500)
    made = bp.Signals(long=candles.planted, kind="score")
    grid = bp.Grid(bp.Rules(), entry_long=[90.0, 91.0])
    found = bp.sweep(candles, made, grid, costs=bp.Costs(taker=0.001), progress=False)
    return sweep.best_rows(found, "sharpe", 3, 1)


def sweep_of(axis: list[str] | None = None, together: list[str] | None = None) -> object:
    return inputs.grid_of(EMPTY, bp.Rules(), axis, together, None, None)


def list_runs_of(path: str | None) -> object:
    with folder(), patch.dict(os.environ):
        os.environ.pop("BARPROOF_LEDGER", None)
        return ledger.list_runs(path=None if path is None else Path(path))


EXAMPLES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "on_fault",
        lambda: check.check(candles=[Path("a.csv")], instrument="spot", on_fault="fail"),
        ParameterError,
        "`--on-fault` must be one of raise, warn, ignore, strict, was 'fail'",
    ),
    (
        "config_absent",
        lambda: config.load_config(Path("absent.toml")),
        ConfigError,
        "`--config` 'absent.toml' does not exist: name a file like barproof.toml",
    ),
    (
        "config_no_text",
        toml(b"\xff"),
        ConfigError,
        "`--config` 'barproof.toml' cannot be read as UTF-8 text: 'utf-8' codec can't decode byte 0xff in position 0: "
        "invalid start byte",
    ),
    (
        "config_no_toml",
        toml("[candles]\nsource = \n"),
        ConfigError,
        "barproof.toml is no valid TOML: invalid value (at line 2, column 10)",
    ),
    (
        "config_nested_deeply",
        toml("a = " + "[" * 20_000),
        ConfigError,
        "barproof.toml is nested too deeply: a setting lies two levels deep",
    ),
    (
        "config_unknown_key",
        toml("[candles]\nsource = 'a'\nfundign = 'none'\n"),
        ConfigError,
        "barproof.toml, line 3: unknown key `fundign` in [candles]; did you mean funding?",
    ),
    (
        "config_unknown_section",
        toml("[rules]\n\n[cost]\ntaker = 0.1\n"),
        ConfigError,
        "barproof.toml, line 3: unknown key `cost` in the file; did you mean costs?",
    ),
    (
        "config_missing_key",
        toml("[candles.instrument]\nlot = 1\n"),
        ConfigError,
        "barproof.toml, line 1: key `kind` is missing in [candles.instrument]: add it",
    ),
    (
        "config_value",
        toml("[costs]\n# per side\ntaker = 1.5\nslippage = -1\n"),
        ConfigError,
        "barproof.toml, line 3: `taker` in [costs] must be less than 1, was 1.5 (and 1 more)",
    ),
    (
        "config_path",
        toml("[candles]\nsource = 3\n"),
        ConfigError,
        "barproof.toml, line 2: `source` in [candles] must be a path, was 3",
    ),
    (
        "config_choice",
        toml('[candles]\n\ninstrument = "perp"\n'),
        ConfigError,
        "barproof.toml, line 3: `kind` in [candles.instrument] must be 'perpetual', 'spot', 'equity' or 'fx', "
        "was 'perp'",
    ),
    (
        "config_unknown_rule",
        toml("[rules]\nentry_long = 0.6\nstop_los = 0.01\n"),
        ConfigError,
        "barproof.toml, line 3: unknown rule `stop_los` in [rules]; did you mean stop_loss or stop_loss_kind?",
    ),
    (
        "config_rule_value",
        toml("[grid.axes]\nentry_long = [0.6]\nmax_hold = [12, 1.5]\n"),
        ConfigError,
        "barproof.toml, line 3: `max_hold` must be a whole number >= 1, was 1.5, in [grid.axes]",
    ),
    (
        "config_rule_type",
        toml("[rules]\nentry_long = 0.6\nstop_loss = [0.01]\n"),
        ConfigError,
        "barproof.toml, line 3: `stop_loss` must be a number, a text, True, False or None, was <class 'list'>, in "
        "[rules]",
    ),
    (
        "label key",
        toml("[labels]\nbars = 6\nside = 'long'"),
        ConfigError,
        "barproof.toml, line 3: `side` in [labels] goes with method barrier, not with horizon: leave it out",
    ),
    (
        "config_window",
        toml("[backtest]\nwindow = [1.5, 3]\n"),
        ConfigError,
        "barproof.toml, line 2: `window` in [backtest] must hold bar numbers or times such as 2024-01-31, was [1.5, 3]",
    ),
    (
        "together_empty",
        lambda: sweep_of(together=[" "]),
        ConfigError,
        '`--together` is empty: name rules with their values, such as "stop_loss=0.01,0.02 max_hold=12,24"',
    ),
    (
        "demo_folder",
        demo_into_a_file,
        FileError,
        "`--out` 'demo' cannot be made a folder: File exists",
    ),
    (
        "no_candles",
        lambda: market(source=None),
        ConfigError,
        "candles are missing: name a file, or set `source` in [candles] of barproof.toml",
    ),
    (
        "no_instrument",
        market,
        ConfigError,
        "`--instrument` is missing: give perpetual, spot, equity or fx",
    ),
    (
        "no_funding",
        lambda: market(instrument="perpetual"),
        ConfigError,
        "a perpetual pays funding: give `--funding` PATH, or `--funding none` to run without",
    ),
    (
        "no_signals",
        lambda: inputs.read_signals(EMPTY, None),
        ConfigError,
        "signals are missing: give `--signals` FILE, or set `source` in [signals] of barproof.toml",
    ),
    (
        "signal_column",
        lambda: inputs.read_signals(EMPTY, Path("s.parquet"), columns=["p_up"]),
        ConfigError,
        "`--signal-column p_up` must read ARRAY=COLUMN with one of long, short, exit_long, exit_short, stop, target, "
        "size: such as long=p_up",
    ),
    (
        "signal_kind",
        lambda: signals(kind="logit"),
        ConfigError,
        "`--kind` must be probability or score, was 'logit'",
    ),
    (
        "signal_names",
        lambda: signals({"open_time": [0], "p_up": [0.5]}),
        ConfigError,
        "signals 's.parquet' have no column named long, short, exit_long, exit_short, stop, target, size, but "
        "open_time, p_up: say which is which, such as `--signal-column long=p_up`",
    ),
    (
        "rule_form",
        lambda: inputs.rules_of(EMPTY, ["stop_loss"]),
        ConfigError,
        "`--rule stop_loss` must read NAME=VALUE, such as stop_loss=0.01; see `barproof rules`",
    ),
    (
        "rule_name",
        lambda: inputs.rules_of(EMPTY, ["stop_los=0.01"]),
        ConfigError,
        "`--rule stop_los=0.01` names an unknown rule `stop_los`; did you mean stop_loss or stop_loss_kind?",
    ),
    (
        "rule_value",
        lambda: sweep_of(axis=["stop_loss=0.01,-1"]),
        ConfigError,
        "`--axis stop_loss=0.01,-1` is refused: `stop_loss` must be > 0, was -1",
    ),
    (
        "rule_values",
        lambda: inputs.rules_of(EMPTY, ["stop_loss=0.01,0.02"]),
        ConfigError,
        "`--rule stop_loss=0.01,0.02` has 2 values: give one, or sweep it with `--axis`",
    ),
    (
        "free_and_rates_in_file",
        lambda: inputs.costs_of(
            config.Config.model_validate({"costs": {"free": True, "taker": 0.01}}),
            None,
            None,
            None,
            free=False,
        ),
        ConfigError,
        "`free = true` and rates in [costs] exclude each other: leave one out",
    ),
    (
        "target_is_input",
        lambda: output.check_targets(
            {"--trades": Path("c.parquet")}, {"candles": Path("c.parquet")}
        ),
        ConfigError,
        "`--trades` 'c.parquet' is the file that the candles are read from: give another name",
    ),
    (
        "target_twice",
        lambda: output.check_targets({"--trades": Path("t.csv"), "--equity": Path("./t.csv")}, {}),
        ConfigError,
        "`--equity` and `--trades` both name 't.csv': give two names",
    ),
    (
        "free_and_rates",
        lambda: inputs.costs_of(EMPTY, 0.001, None, None, free=True),
        ConfigError,
        "`--free` and rates exclude each other: leave one out",
    ),
    (
        "no_costs",
        lambda: inputs.costs_of(EMPTY, None, None, None, free=False),
        ConfigError,
        "costs are missing: give `--taker` 0.0005 (a fraction), or `--free` to run without",
    ),
    (
        "features_of_a_function",
        lambda: features.features("rsi", out=Path("o.csv")),
        ConfigError,
        "`rsi` is a function and no file of candles: name candles, and the function by `--feature` 'rsi(...)'",
    ),
    (
        "sweep_into_a_file",
        sweep_into_a_file,
        ConfigError,
        "`--out-dir` 'o' is a file: give the name of a folder",
    ),
    (
        "no_axis",
        sweep_of,
        ConfigError,
        "the sweep has no axis: give `--axis stop_loss=0.005,0.01,none`, or [grid] in barproof.toml",
    ),
    (
        "target_suffix",
        target("o.xlsx"),
        ConfigError,
        "`--out` 'o.xlsx' must end in .parquet or .csv or .feather: rename it",
    ),
    (
        "target_directory",
        target("dir.csv"),
        ConfigError,
        "`--out` 'dir.csv' is a directory: name a file in it",
    ),
    (
        "target_folder",
        target("no/o.csv"),
        ConfigError,
        "`--out` 'no/o.csv' lies in a folder that does not exist: mkdir 'no'",
    ),
    (
        "full_disk",
        write_to_full_disk,
        FileError,
        "cannot write 'o.csv': No space left on device",
    ),
    (
        "nothing_traded",
        idle_sweep,
        ParameterError,
        "`sharpe` is undefined for all 2 combinations with at least 1 trades: lower the thresholds, or choose another "
        "`--metric`",
    ),
    (
        "ledger_nowhere",
        lambda: list_runs_of(None),
        ConfigError,
        "no project folder holds the working directory: make barproof.toml or .barproof, or give `--path`",
    ),
    (
        "ledger_absent",
        lambda: list_runs_of("ledger.sqlite"),
        FileError,
        "there is no ledger 'ledger.sqlite' yet: the first backtest or sweep in the project makes it",
    ),
]
