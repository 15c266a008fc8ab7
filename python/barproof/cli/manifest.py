"""Manifests of runs: what a third party needs to compute every number again with ``barproof verify``.

A manifest names its files by place and digest, tells what was asked for, and holds digests and numbers of what came of
it. Four kinds of runs have one: `backtest`, `sweep`, `walk-forward` (train, choose rules, judge) and `train`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from barproof import _core
from barproof._backtest import Result
from barproof._backtest import backtest as run_backtest
from barproof._core import __version__
from barproof._grid import Grid
from barproof._sweep import Sweep
from barproof._sweep import sweep as run_sweep
from barproof.candles import Instrument
from barproof.candles.sources import load
from barproof.claims import ClaimSet, clean_line
from barproof.cli import output
from barproof.cli.config import Config
from barproof.cli.inputs import Market, read_market, read_signals
from barproof.errors import BarproofError, ConfigError, FileError
from barproof.rules import Costs, Rules
from barproof.signals import Signals

__all__ = [
    "SCHEMA",
    "base_of",
    "compare",
    "frame_digest",
    "is_manifest",
    "manifest_of",
    "market_again",
    "reproduce",
    "sweep_manifest",
    "write_manifest",
]

SCHEMA = "barproof-manifest/1"
KINDS = ("backtest", "sweep", "walk-forward", "train")
TOP = 10
"""Combinations of a sweep whose numbers stand in its manifest; all of them are held by a digest."""
MOST_DIFFERENCES = 20
_MARKET = ("symbol", "interval", "funding", "calendar", "on_fault", "repair")


def _inside(path: Path, root: Path) -> str:
    """Path relative to the manifest's folder."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise ConfigError(
            f"`--manifest` must lie in a folder that holds {str(path)!r} too, so that both can be published: move one"
        ) from None


def base_of(
    path: Path,
    kind: str,
    market: Market,
    files: Mapping[str, Path | None],
    outputs: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Build what manifests of all kinds begin with; every file lies in the folder of `path` or below."""
    root = path.absolute().parent
    held = ClaimSet((), root)
    places = {"candles": _inside(market.source, root)}
    places |= {name: _inside(place, root) for name, place in files.items() if place is not None}
    options = {name: getattr(market, name) for name in _MARKET}
    if market.funding not in (None, "none"):
        places["funding"] = _inside(Path(str(market.funding)), root)
        options["funding"] = places["funding"]
    instrument = market.instrument
    written = {name: _inside(place, root) for name, place in (outputs or {}).items()}

    def pinned(named: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Place and digest of files."""
        return {
            name: {"path": place, "sha256": held.sha256(place)} for name, place in named.items()
        }

    return {
        "schema": SCHEMA,
        "kind": kind,
        "barproof": __version__,
        "reproduce": f"barproof verify {path.name}",
        "files": pinned(places),
        "outputs": pinned(written),
        "instrument": instrument if isinstance(instrument, str) else asdict(instrument),
        "market": options,
    }


def manifest_of(
    path: Path,
    result: Result,
    market: Market,
    signals: Path,
    signal_options: dict[str, Any],
    outputs: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Build the manifest of a backtest."""
    return {
        **base_of(path, "backtest", market, {"signals": signals}, outputs),
        "signals": signal_options,
        "rules": (result.rules[0][1] if isinstance(result.rules, list) else result.rules).changed(),
        "costs": asdict(result.costs),
        "window": list(result.window),
        "initial_equity": result.initial_equity,
        "data": result.provenance["candles"],
        **_of_backtest(result),
    }


def _of_backtest(result: Result) -> dict[str, Any]:
    """Digests and numbers of a backtest."""
    digests = {name: result.provenance[name] for name in ("candles", "signals", "rules")}
    return {
        "digests": {**digests, "trades": frame_digest(result.trades)},
        "metrics": output.plain(result.metrics),
    }


def sweep_manifest(
    path: Path,
    found: Sweep,
    market: Market,
    signals: Path,
    signal_options: dict[str, Any],
    asked: Mapping[str, Any],
    outputs: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Build the manifest of a sweep; `asked` holds grid, costs, windows, initial equity, metric and least trades."""
    return {
        **base_of(path, "sweep", market, {"signals": signals}, outputs),
        "signals": signal_options,
        **asked,
        "data": found.provenance["candles"],
        **_of_sweep(found, str(asked["metric"]), int(asked["min_trades"])),
    }


def _of_sweep(found: Sweep, metric: str, min_trades: int) -> dict[str, Any]:
    """Digests of all rows of a sweep, and the numbers of the best."""
    from barproof.cli.sweep import best_rows

    best = best_rows(found, metric, TOP, min_trades).to_dicts()
    return {
        "digests": {
            **{name: found.provenance[name] for name in ("candles", "signals", "grid")},
            "frame": frame_digest(found.frame),
            "pooled": frame_digest(found.pooled),
        },
        "metrics": output.plain(
            {
                "combinations": len(found),
                "windows": len(found.windows),
                "best": best[0],
                "top": best,
            }
        ),
    }


def frame_digest(frame: pl.DataFrame) -> str:
    """Identity of a table: names, types and the bits of every column."""
    parts = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean:
            # Releases of polars differ in what a truth value filled with 0 becomes.
            plain = column.cast(pl.Int32) if column.dtype == pl.Boolean else column.to_physical()
            bits = plain.fill_null(0).to_numpy().tobytes().hex()
            parts.append(f"{name} {column.dtype} {column.is_null().to_numpy().tobytes().hex()}")
            parts.append(_core.digest("bits/1", [bits]))
        else:
            parts += [
                f"{name} {column.dtype}",
                json.dumps([None if v is None else str(v) for v in column]),
            ]
    return _core.digest("table/1", parts)


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    with output.whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(manifest, indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )


def is_manifest(path: Path) -> bool:
    """Whether a file says that it is a manifest."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def reproduce(path: Path, *, retrain: bool = False) -> list[str]:
    """Compute the numbers of a manifest again.

    Parameters
    ----------
    path : Path
        The manifest; its files lie in its folder or below.
    retrain : bool, default False
        Whether models that were saved are trained again, too.

    Returns
    -------
    list of str
        What differs: files, digests, metrics, 20 at most; empty where everything is the same. Backtests and sweeps are
        held to the last bit, what models said to what their bundles allow.

    Raises
    ------
    FileError
        If it is no manifest, or names files outside of its folder.
    """
    try:
        told = json.loads(path.read_bytes())
        if told["schema"] != SCHEMA or told.get("kind", KINDS[0]) not in KINDS:
            raise KeyError("schema")
        held = ClaimSet((), path.absolute().parent)
        named = {**told["files"], **told.get("outputs", {})}
        differ = [
            f"{name} {row['path']} is another file: sha256 {held.sha256(row['path'])[:12]}, was {row['sha256'][:12]}"
            for name, row in named.items()
            if held.sha256(row["path"]) != row["sha256"]
        ]
        if not differ:
            differ = _again(told, held, retrain)
        return [clean_line(text) for text in differ[:MOST_DIFFERENCES]]
    except (
        *(OSError, ValueError, TypeError, KeyError, AttributeError, IndexError),
        *(RecursionError, OverflowError, MemoryError, pl.exceptions.PolarsError),
    ) as error:
        if isinstance(error, BarproofError):
            raise
        raise FileError(
            f"{path.name!r} is no manifest of a run that this version can repeat: {clean_line(repr(error))}"
        ) from error


def _again(told: dict[str, Any], held: ClaimSet, retrain: bool) -> list[str]:
    """Compute a run of any kind again."""
    kind = told.get("kind", KINDS[0])
    if kind in ("train", "walk-forward"):
        # Models are loaded where they are asked for.
        from barproof.cli.manifest_study import train_again, walk_again

        return train_again(told, held, retrain) if kind == "train" else walk_again(told, held)
    again: Callable[[dict[str, Any], ClaimSet], list[str]] = (
        _sweep_again if kind == "sweep" else _backtest_again
    )
    return again(told, held)


def market_again(told: dict[str, Any], held: ClaimSet) -> Market:
    """Market of a manifest."""
    kind = told["instrument"]
    options = {name: told["market"][name] for name in _MARKET}
    if "funding" in told["files"]:
        options["funding"] = str(held.path(told["files"]["funding"]["path"]))
    elif options["funding"] not in (None, "none"):
        raise KeyError("funding")
    return Market(
        source=held.path(told["files"]["candles"]["path"]),
        instrument=kind if isinstance(kind, str) else Instrument(**kind),
        **options,
    )


def _signals_again(told: dict[str, Any], held: ClaimSet) -> Signals:
    """Read the signals of a manifest."""
    given = told["signals"]
    return read_signals(
        Config(),
        held.path(told["files"]["signals"]["path"]),
        time=given["time"],
        columns=given["columns"],
        kind=given["kind"],
    )


def _backtest_again(told: dict[str, Any], held: ClaimSet) -> list[str]:
    """Run a backtest again."""
    candles = read_market(market_again(told, held))
    start, stop = told["window"]
    result = run_backtest(
        candles,
        _signals_again(told, held),
        Rules(**told["rules"]),
        costs=Costs(**told["costs"]),
        window=(int(start), int(stop)),
        initial_equity=told["initial_equity"],
        # The same numbers again are no new trial.
        ledger=False,
    )
    tables = {"trades": result.trades, "equity": result.equity}
    return compare(told, _of_backtest(result)) + _written(told, held, tables)


def _sweep_again(told: dict[str, Any], held: ClaimSet) -> list[str]:
    """Run a sweep again."""
    grid = told["grid"]
    found = run_sweep(
        read_market(market_again(told, held)),
        _signals_again(told, held),
        Grid(
            Rules(**grid["rules"]),
            *grid["groups"],
            sample=grid["sample"],
            method=grid["method"],
            seed=grid["seed"],
        ),
        costs=Costs(**told["costs"]),
        windows=told["windows"],
        initial_equity=told["initial_equity"],
        progress=False,
        ledger=False,
    )
    made = _of_sweep(found, told["metric"], told["min_trades"])
    return compare(told, made) + _written(told, held, {"out": found.frame, "pooled": found.pooled})


def _written(told: dict[str, Any], held: ClaimSet, tables: Mapping[str, pl.DataFrame]) -> list[str]:
    """Hold tables that were written against those that were made again."""
    differ = []
    for name, row in told.get("outputs", {}).items():
        made = tables[name]
        frame, _ = load(held.path(row["path"]), name=name)
        if row["path"].lower().endswith(".csv"):
            # A text holds every bit of a float, and no types.
            same = frame.columns == made.columns and frame.height == made.height
            same = same and _as_csv(made) == held.path(row["path"]).read_text(encoding="utf-8")
        else:
            same = frame_digest(frame) == frame_digest(made)
        if not same:
            differ.append(f"the table {name} {row['path']} is not what is computed")
    return differ


def _as_csv(frame: pl.DataFrame) -> str:
    """Write a table as `--out FILE.csv` does."""
    return frame.write_csv()


def compare(
    told: Mapping[str, Any], made: Mapping[str, Any], *, relative: float = 0.0
) -> list[str]:
    """List digests and numbers that are others than were told.

    Parameters
    ----------
    told, made : mapping
        With `digests` and `metrics`, the latter of any depth.
    relative : float, default 0.0
        How far numbers may lie apart; 0 holds them to the last bit.

    Returns
    -------
    list of str
        One text a difference; a number that is told and not made, or made and not told, is one.
    """
    before, now = told["digests"], made["digests"]
    differ = [
        f"the {name} are others: digest {str(now.get(name))[:12]}, was {str(before.get(name))[:12]}"
        for name in {**before, **now}
        if now.get(name) != before.get(name)
    ]
    # Numbers are held as JSON has them.
    _walk(told["metrics"], output.plain(made["metrics"]), "", relative, differ)
    return differ


def _walk(was: Any, now: Any, name: str, relative: float, differ: list[str]) -> None:
    """Compare numbers at any depth."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**was, **now}:
            inner = f"{name}/{key}" if name else str(key)
            if key not in was or key not in now:
                differ.append(f"{inner} is {now.get(key)!r}, was {was.get(key)!r}")
            else:
                _walk(was[key], now[key], inner, relative, differ)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for i, (a, b) in enumerate(zip(was, now, strict=True)):
            _walk(a, b, f"{name}/{i}", relative, differ)
    elif not _same(was, now, relative):
        differ.append(f"{name} is {now!r}, was {was!r}")


def _same(a: Any, b: Any, relative: float) -> bool:
    """Equal bits, or near enough; whole floats may be written as integers."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return float(a) == float(b) or abs(a - b) <= relative * max(abs(a), abs(b))
    return bool(a == b)
