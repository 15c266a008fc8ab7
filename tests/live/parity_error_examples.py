"""An example of every error of logs, parity and watch: id, call, class, exact message."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof.cli.config import Config
from barproof.live.watch import Watch, WatchReference
from tests.live.making import COSTS, RULES, study

Example = tuple[str, Callable[[], object], type[BaseException], str]

TIMES = [1_704_067_200_000, 1_704_067_500_000, 1_704_067_800_000]


def foreign(extra: dict[str, Any] | None = None, **options: Any) -> bp.LiveLog:
    table = {"time": TIMES, "p_long": [0.1, 0.2, 0.3], "x": [1.0, 2.0, 3.0]}
    return bp.LiveLog.foreign({**table, **(extra or {})}, **options)


def base(*statements: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "live.sqlite"
        held = sqlite3.connect(file)
        held.executescript(";".join(statements))
        held.close()
        try:
            return bp.LiveLog.read(file)
        except bp.FileError as error:
            # The folder has another name every time.
            error.args = (str(error).replace(folder, "folder"),)
            raise


TABLES = (
    "CREATE TABLE session(key, value)",
    "CREATE TABLE bars(symbol, open_time)",
    "CREATE TABLE decisions(symbol, open_time, features)",
    "CREATE TABLE trades(symbol)",
    "CREATE TABLE events(sequence, time, kind, symbol, body)",
)


def broken() -> object:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "live.sqlite"
        file.write_bytes(b"no database" * 100)
        try:
            return bp.LiveLog.read(file)
        except bp.FileError as error:
            error.args = (str(error).replace(folder, "folder"),)
            raise


def held(log: Any = None, **changes: Any) -> object:
    candles, bundle = study()
    rows = candles.to_polars()[2_700:2_720].select("open_time").with_columns(p_long=0.5)
    given: dict[str, Any] = {"candles": candles, "bundle": bundle, "costs": COSTS, **changes}
    log = (
        bp.LiveLog.foreign(rows, symbol=given.pop("symbol", candles.symbol)) if log is None else log
    )
    return bp.parity(log, given["candles"], given["bundle"], RULES, costs=given["costs"])


def two() -> bp.LiveLog:
    return foreign({"symbol": ["A", "A", "B"], "time": [TIMES[0], TIMES[1], TIMES[0]]})


def late() -> object:
    candles, _ = study()
    rows = candles.to_polars()[2_700:2_720]
    log = bp.LiveLog.foreign(
        rows.select("open_time").with_columns(p_long=0.5), symbol=candles.symbol, bars=candles[:20]
    )
    return held(replace(log, own=True), candles=candles[100:])


def unknown_features() -> object:
    _, bundle = study()
    other = SimpleNamespace(symbols=(), compute=bp.FeatureSet(["rsi(14)@BTC"]).compute)
    candles, _ = study()
    rows = candles.to_polars()[2_700:2_720].select("open_time").with_columns(p_long=0.5)
    log = bp.LiveLog.foreign(rows, symbol=candles.symbol)
    return bp.parity(log, candles, bundle, RULES, costs=COSTS, features=other)


def reference() -> WatchReference:
    shape = (2, 9)
    return WatchReference(
        ("x", "p_long"), np.zeros(shape), np.full((2, 10), 0.1), np.ones(2), np.ones(2), None, "m"
    )


def watch(**rules: Any) -> Watch:
    return Watch(reference(), **rules)


def twice() -> object:
    one = watch()
    for _ in range(2):
        one.update(np.zeros(1), {}, time=5)
    return one


def short() -> object:
    candles, bundle = study()
    table = bp.FeatureSet(list(bundle.features)).compute(candles)
    return WatchReference.of(bundle, table[:50])


def elsewhere() -> object:
    candles, bundle = study()
    return WatchReference.of(bundle, candles[:300])


def other_state() -> object:
    state = watch().state() | {"watch": "f" * 64}
    own = watch()
    try:
        return own.restored(state)
    except bp.ParameterError as error:
        error.args = (str(error).replace(own.digest[:12], "DIGEST"),)
        raise


def no_rules() -> object:
    from barproof.cli.parity import rules_of_log

    return rules_of_log(foreign(), Config(), None, [])


def commands(*words: str) -> Callable[[], object]:
    def call() -> object:
        from barproof.cli import parity

        candles, bundle = study()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            candles.to_polars().write_parquet(folder / "c.parquet")
            bundle.save(folder / "b")
            pl.DataFrame({"time": TIMES, "p_long": [0.1, 0.2, 0.3]}).write_csv(folder / "l.csv")
            options: dict[str, Any] = {
                "log": folder / "l.csv",
                "candles": [str(folder / "c.parquet")],
                "bundle": [str(folder / "b")],
                "instrument": "spot",
                "symbol": "SIM",
            }
            if "no bundle" in words:
                options["bundle"] = None
            if "two" in words:
                options["candles"] = [str(folder / "c.parquet")] * 2
            if "both" in words:
                options["bundle"] = [str(folder / "b"), f"SIM={folder / 'b'}"]
                options |= {"rule": ["entry_long=0.6"], "free": True}
            if "column" in words:
                options["column"] = ["a"]
            if "session" in words:
                options |= {"log": folder, "column": ["a=b"]}
            try:
                return parity.parity(**options)
            except bp.ConfigError as error:
                error.args = (str(error).replace(repr(folder.name), "'folder'"),)
                raise

    return call


def audited(*bundles: str) -> Callable[[], object]:
    """`barproof audit` with a bundle told by symbol, or without a log."""

    def call() -> object:
        from barproof.cli.audit import audit
        from barproof.cli.evidence import Evidence
        from barproof.cli.live_evidence import add_live_log

        if not bundles:
            return audit(claims=Path("c.toml"), bundle=["b"])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            study()[1].save(folder / "b")
            pl.DataFrame({"time": TIMES, "p_long": [0.1, 0.2, 0.3]}).write_csv(folder / "l.csv")
            told = [f"{one}={folder / 'b'}" for one in bundles]
            quiet = None, None, None, False
            add_live_log(Evidence(), Config(), folder / "l.csv", told, None, quiet)
        return None

    return call


EXAMPLES: list[Example] = [
    (
        "audit: a bundle by symbol",
        audited("SIM"),
        bp.ConfigError,
        "`--bundle` of an audit names a symbol, and an audit is of one: leave it out, or use `barproof parity`",
    ),
    (
        "audit: a bundle without a log",
        audited(),
        bp.ConfigError,
        "`--bundle` is the model of a live log: give `--live-log` too",
    ),
    (
        "stamp",
        lambda: foreign(stamp="middle"),
        bp.ParameterError,
        '`stamp` must be "open" or "close", was \'middle\': it says which time of its bar a row carries',
    ),
    (
        "nothing in the log",
        lambda: bp.LiveLog.foreign({"time": TIMES, "note": ["a", "b", "c"]}),
        bp.LayoutError,
        "a live log needs features, probabilities (p_long, p_short) or decisions (side, signal), and has none of them: "
        "its columns are time, note; name them with columns=",
    ),
    (
        "a feature from nowhere",
        lambda: foreign(columns={"rsi(14)": "RSI"}),
        bp.ParameterError,
        "`columns` takes the feature 'rsi(14)' from 'RSI', which the log lacks: it has time, p_long, x",
    ),
    (
        "features that are not there",
        lambda: foreign(features=["x", "y"]),
        bp.LayoutError,
        "`features` names 1 columns that the log lacks, first 'y': it has time, p_long, x",
    ),
    (
        "a feature twice",
        lambda: foreign({"rsi(14)": [1.0, 2.0, 3.0], "rsi( 14 )": [1.0, 2.0, 3.0]}),
        bp.LayoutError,
        "columns 'rsi(14)' and 'rsi( 14 )' are both the feature 'rsi(14)': leave one out with features=",
    ),
    (
        "no time",
        lambda: bp.LiveLog.foreign({"p_long": [0.1]}),
        bp.LayoutError,
        "a live log needs the time of each bar, and no column holds it: its columns are p_long; name it with "
        'columns={"open_time": ...}',
    ),
    (
        "one time",
        lambda: bp.LiveLog.foreign({"time": TIMES[:1], "p_long": [0.1]}),
        bp.LayoutError,
        'the length of a bar cannot be told from a log of one time: give interval=, such as "5m"',
    ),
    (
        "a side that is none",
        lambda: foreign({"side": ["long", "sideways", "flat"]}),
        bp.ParameterError,
        "`side` of row 1 must be long, short or flat (or 1, -1, 0; buy, sell, hold), was 'sideways': translate it first",
    ),
    (
        "times that repeat",
        lambda: foreign({"time": [TIMES[0], TIMES[1], TIMES[1]]}),
        bp.ParameterError,
        "row 2 of the log repeats the time of the row before it, 2024-01-01 00:05:00: give each bar once, in order",
    ),
    (
        "an infinite feature",
        lambda: foreign({"x": [1.0, np.inf, 2.0]}),
        bp.ParameterError,
        "feature 'x' is infinite in row 1 of the log: make it NaN where it is undefined",
    ),
    (
        "bars without prices",
        lambda: foreign(bars={"time": TIMES, "close": [1.0, 1.0, 1.0]}),
        bp.LayoutError,
        "`bars` lack open, high, low: they need open_time, open, high, low, close",
    ),
    (
        "no log",
        lambda: bp.LiveLog.read("nowhere"),
        bp.FileError,
        "there is no live log at 'nowhere': give the state folder of a session, or its live.sqlite",
    ),
    (
        "no database",
        broken,
        bp.FileError,
        "live log 'folder/live.sqlite' cannot be read: file is not a database; it is damaged, or was written by "
        "something else",
    ),
    (
        "another database",
        lambda: base("CREATE TABLE bars(symbol)"),
        bp.FileError,
        "'folder/live.sqlite' is no live log: it lacks the tables session, decisions, trades, events; give the "
        "live.sqlite of a session",
    ),
    (
        "another format",
        lambda: base(*TABLES, "INSERT INTO session VALUES ('format', '9')"),
        bp.FileError,
        "'folder/live.sqlite' has the format '9', this version reads live/1: read it with the version that wrote it",
    ),
    (
        "damaged features",
        lambda: base(
            *TABLES,
            "INSERT INTO session VALUES ('format', 'live/1')",
            "INSERT INTO session VALUES ('features', '{\"A\": [\"x\"]}')",
            "INSERT INTO decisions VALUES ('A', 0, x'00')",
        ),
        bp.FileError,
        "'folder/live.sqlite' holds 1 bytes of features in row 0, not the 8 of its 1 features: the log is damaged",
    ),
    (
        "no finding",
        lambda: bp.Parity(None, (), (), {}, 0, pl.DataFrame(), {}, {})["DEC-01"],
        bp.ParameterError,
        "parity has no finding 'DEC-01': it has ",
    ),
    (
        "no costs",
        lambda: held(costs=0.0005),
        bp.LayoutError,
        "`costs` must be Costs, was float: use Costs(taker=...)",
    ),
    (
        "no decisions",
        lambda: held(replace(foreign(), decisions=foreign().decisions.clear())),
        bp.ParameterError,
        "the log holds no decisions: there is nothing to replay",
    ),
    (
        "no bundle",
        lambda: held(bundle="model"),
        bp.LayoutError,
        "`bundle` must be a Bundle or several, was str: use Bundle.load(...)",
    ),
    (
        "candles of one of two symbols",
        lambda: held(two()),
        bp.ParameterError,
        "the log has 2 symbols (A, B), and `candles` are of one: give a dict of symbol to Candles",
    ),
    (
        "candles of another symbol",
        lambda: held(symbol="BTCUSDT"),
        bp.ParameterError,
        "the log is of BTCUSDT, `candles` are of SIM: give those of the log's market",
    ),
    (
        "no candles",
        lambda: held(candles=[1.0]),
        bp.LayoutError,
        "`candles` must be Candles or a dict of symbol to Candles, was list: use read_candles(...)",
    ),
    (
        "candles lack a symbol",
        lambda: held(two(), candles={"A": study()[0]}),
        bp.ParameterError,
        "`candles` lack B of the log's 2 symbols: they are of A",
    ),
    (
        "another time",
        lambda: held(
            bp.LiveLog.foreign(
                {"time": TIMES, "p_long": [0.1] * 3},
                symbol="SIM",
            )
        ),
        bp.ParameterError,
        "no decision of the log falls on a bar of `candles`: decisions 2024-01-01 00:00 to 2024-01-01 00:10, bars "
        "2022-01-01 00:00 to 2022-01-12 19:15; give the candles of the log's market and time, and say "
        'stamp="close" if its times are those of closes',
    ),
    (
        "candles that begin too late",
        late,
        bp.ParameterError,
        "`candles` of SIM begin at 2022-01-01 08:20, after the first bar that the session knew, 2022-01-01 00:00: "
        "recursive features depend on their start, give candles from there on",
    ),
    (
        "features that cannot be computed",
        unknown_features,
        bp.BundleError,
        "features of the bundle cannot be computed from the candles: features name the symbol `BTC`, which is not among the "
        "candles of SIM: give a dict of candles by symbol; give features=",
    ),
    (
        "a short reference",
        short,
        bp.ParameterError,
        "a reference needs at least 100 rows, `X` has 50: give the rows of validation",
    ),
    (
        "a reference of other candles",
        elsewhere,
        bp.ParameterError,
        "the candles reach from 2022-01-01 00:00 to 2022-01-02 00:55, and the test rows of the bundle are 2022-01-07 06:00 "
        "to 2022-01-09 07:55: give candles that hold them, or a table of features",
    ),
    (
        "no reference",
        lambda: Watch("bundle"),  # type: ignore[arg-type]
        bp.LayoutError,
        "`reference` must be a WatchReference, was str: use WatchReference.of(bundle, X)",
    ),
    (
        "a rule below 0",
        lambda: watch(feature_psi=-0.1),
        bp.ParameterError,
        "`feature_psi` of the watch must be finite and > 0, was -0.1",
    ),
    (
        "a level of 1",
        lambda: watch(level=1.0),
        bp.ParameterError,
        "`level` of the watch must lie in (0, 1), was 1.0",
    ),
    (
        "a short window",
        lambda: watch(window=10),
        bp.ParameterError,
        "`window` of the watch must be a whole number of rows, at least 100, was 10",
    ),
    (
        "calibration without labels",
        lambda: watch().mature(2.0, 1),
        bp.ParameterError,
        "`p` must lie in [0, 1] and `outcome` be 0 or 1, were 2.0 and 1",
    ),
    (
        "a row of other features",
        lambda: watch().update(np.zeros(3), {}, time=0),
        bp.ParameterError,
        "`row` of the watch must hold the 1 features of its reference, had shape (3,)",
    ),
    (
        "time that stands",
        twice,
        bp.ParameterError,
        "`time` of the watch must come after 5 us, was 5: give each bar once, in order",
    ),
    (
        "a state of another watch",
        other_state,
        bp.ParameterError,
        "the state is of the watch ffffffffffff, this one is DIGEST: reference or rules differ, start a fresh one",
    ),
    (
        "command: no rules",
        no_rules,
        bp.ConfigError,
        "rules are missing: give `--rule entry_long=0.6`, or [rules] in barproof.toml; the log holds none",
    ),
    (
        "command: no bundle",
        commands("no bundle"),
        bp.ConfigError,
        "the model is missing: give `--bundle` FOLDER, the one that is said to run",
    ),
    (
        "command: one symbol twice",
        commands("two"),
        bp.ConfigError,
        "two files of `--candles` are of SIM: give one of each symbol",
    ),
    (
        "command: symbols for some",
        commands("both"),
        bp.ConfigError,
        "`--bundle` names a symbol for some and none for others: write SYMBOL=FOLDER for all, or for none",
    ),
    (
        "command: half a column",
        commands("column"),
        bp.ConfigError,
        "`--log-column a` must read NAME=COLUMN, such as p_long=prob_up",
    ),
    (
        "command: columns of a session",
        commands("session"),
        bp.ConfigError,
        "`--log-column` and `--trades` are for logs of other tools, and 'folder' is that of a session",
    ),
]
