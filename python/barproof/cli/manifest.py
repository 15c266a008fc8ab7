"""Manifests of backtests: what a third party needs to compute every number again with ``barproof verify``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from barproof._backtest import Result
from barproof._backtest import backtest as run_backtest
from barproof._core import __version__
from barproof.candles import Instrument
from barproof.claims import ClaimSet, clean_line
from barproof.cli import output
from barproof.cli.config import Config
from barproof.cli.inputs import Market, read_market, read_signals
from barproof.errors import BarproofError, ConfigError, FileError
from barproof.rules import Costs, Rules

__all__ = ["SCHEMA", "is_manifest", "manifest_of", "reproduce", "write_manifest"]

SCHEMA = "barproof-manifest/1"
_MARKET = ("symbol", "interval", "funding", "calendar", "on_fault", "repair")


def _inside(path: Path, root: Path) -> str:
    """Path relative to the manifest's folder."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise ConfigError(
            f"`--manifest` must lie in a folder that holds {str(path)!r} too, so that both can be published: move one"
        ) from None


def manifest_of(
    path: Path,
    result: Result,
    market: Market,
    signals: Path,
    signal_options: dict[str, Any],
) -> dict[str, Any]:
    """Build the manifest of a backtest whose files lie in the folder of `path` or below."""
    root = path.absolute().parent
    held = ClaimSet((), root)
    files = {"candles": _inside(market.source, root), "signals": _inside(signals, root)}
    options = {name: getattr(market, name) for name in _MARKET}
    if market.funding not in (None, "none"):
        files["funding"] = _inside(Path(str(market.funding)), root)
        options["funding"] = files["funding"]
    kind = market.instrument
    return {
        "schema": SCHEMA,
        "barproof": __version__,
        "reproduce": f"barproof verify {path.name}",
        "files": {
            name: {"path": place, "sha256": held.sha256(place)} for name, place in files.items()
        },
        "instrument": kind if isinstance(kind, str) else asdict(kind),
        "market": options,
        "signals": signal_options,
        "rules": (result.rules[0][1] if isinstance(result.rules, list) else result.rules).changed(),
        "costs": asdict(result.costs),
        "window": list(result.window),
        "initial_equity": result.initial_equity,
        "digests": {name: result.provenance[name] for name in ("candles", "signals", "rules")},
        "data": result.provenance["candles"],
        "metrics": output.plain(result.metrics),
    }


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


def reproduce(path: Path) -> list[str]:
    """Run the backtest of a manifest again.

    Parameters
    ----------
    path : Path
        The manifest; its files lie in its folder or below.

    Returns
    -------
    list of str
        What differs: files, digests, metrics; empty where every number is the same to the last bit.

    Raises
    ------
    FileError
        If it is no manifest, or names files outside of its folder.
    """
    try:
        told = json.loads(path.read_bytes())
        if told["schema"] != SCHEMA:
            raise KeyError("schema")
        held = ClaimSet((), path.absolute().parent)
        differ = [
            f"{name} {row['path']} is another file: sha256 {held.sha256(row['path'])[:12]}, was {row['sha256'][:12]}"
            for name, row in told["files"].items()
            if held.sha256(row["path"]) != row["sha256"]
        ]
        if differ:
            return [clean_line(text) for text in differ]
        result = _again(told, held)
        want, have = told["metrics"], output.plain(result.metrics)
        digests = told["digests"]
        differ = [
            f"the {name} are others: digest {result.provenance[name][:12]}, was {str(digests[name])[:12]}"
            for name in digests
            if result.provenance[name] != digests[name]
        ]
        differ += [
            f"{name} is {have.get(name)!r}, was {want[name]!r}"
            for name in want
            if not _same(have.get(name), want[name])
        ]
        return [clean_line(text) for text in differ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, BarproofError):
            raise
        raise FileError(
            f"{path.name!r} is no manifest of a backtest that this version can run: {clean_line(repr(error))}"
        ) from error


def _again(told: dict[str, Any], held: ClaimSet) -> Result:
    kind = told["instrument"]
    options = {name: told["market"][name] for name in _MARKET}
    if "funding" in told["files"]:
        options["funding"] = str(held.path(told["files"]["funding"]["path"]))
    elif options["funding"] not in (None, "none"):
        raise KeyError("funding")
    market = Market(
        source=held.path(told["files"]["candles"]["path"]),
        instrument=kind if isinstance(kind, str) else Instrument(**kind),
        **options,
    )
    given = told["signals"]
    signals = read_signals(
        Config(),
        held.path(told["files"]["signals"]["path"]),
        time=given["time"],
        columns=given["columns"],
        kind=given["kind"],
    )
    start, stop = told["window"]
    return run_backtest(
        read_market(market),
        signals,
        Rules(**told["rules"]),
        costs=Costs(**told["costs"]),
        window=(int(start), int(stop)),
        initial_equity=told["initial_equity"],
        # The same numbers again are no new trial.
        ledger=False,
    )


def _same(a: Any, b: Any) -> bool:
    """Equal bits; whole floats may be written as integers."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return float(a) == float(b) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)
