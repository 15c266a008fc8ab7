"""``barproof bundle``: look into checkpoints, check bundles, and find out how a stored metric was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from barproof._core import __version__
from barproof.bundle import Bundle
from barproof.checkpoints import Inspection, recreate_bundle
from barproof.checkpoints import inspect as look
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exits import FOUND, NOTHING_PROVED, OK
from barproof.cli.inputs import market_of, read_market
from barproof.cli.reading import read_table
from barproof.errors import BundleError

__all__ = ["COMMANDS", "HELP"]

HELP = "Bundles and checkpoints: what is in them, whether they are sound, how a stored metric was meant."

LimitBytes = Annotated[
    int | None,
    typer.Option(min=1, help="Bytes that a bundle may hold and unfold to: 67108864."),
]


def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Bundle, checkpoint file, or folder of them.")
    ],
    all_: Annotated[bool, typer.Option("--all", help="Every layer, and every tensor.")] = False,
    json: options.Json = False,
) -> int:
    """Show layers, shapes and parameters of a bundle or of anybody's checkpoint, and what is missing.

    Reads safetensors, torch, joblib, pickle and skops. Nothing of it is executed.
    """
    found = look(path)
    if json:
        document = {"command": "bundle inspect", "version": __version__, "exit_code": OK}
        output.emit_json({**document, **found.to_dict()})
        return OK
    _show(found, all_)
    return OK


def _show(found: Inspection, everything: bool) -> None:
    """Print what a file holds, and what loading it would do."""
    out = output.console()
    output.header(
        out,
        f"{found.path}: {found.kind}, {found.size:,} bytes",
        [
            ("parameters", f"{found.parameters:,} in {len(found.layers):,} layers"),
            *((name, where) for name, where in found.contents.items() if where),
            ("missing", ", ".join(found.missing) or "nothing"),
        ],
    )
    most = None if everything else 30
    if found.layers:
        out.print()
        rows = [(layer.name, layer.what, f"{layer.parameters:,}") for layer in found.layers[:most]]
        out.print(output.table(("layer", "what", "parameters"), rows, left=2))
    if everything and found.tensors.height:
        out.print()
        rows = [
            (row["name"], row["dtype"], " x ".join(map(str, row["shape"])) or "scalar")
            for row in found.tensors.iter_rows(named=True)
        ]
        out.print(output.table(("tensor", "type", "shape"), rows, left=3))
    elif most is not None and len(found.layers) > most:
        out.print(f"{len(found.layers) - most:,} more layers: `--all` shows them")
    for text in found.imports[: None if everything else 10]:
        output.warn(f"loading it by pickle would run {text}")
    for text in found.notes:
        output.warn(text)


def verify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Folders that save made.")
    ],
    limit_bytes: LimitBytes = None,
    json: options.Json = False,
) -> int:
    """Check bundles: every digest, and that they still predict what they predicted when they were saved.

    Exit code 1 if one is refused.
    """
    told: list[dict[str, Any]] = []
    for path in paths:
        one: dict[str, Any] = {"path": str(path), "sound": True, "reason": None}
        try:
            bundle = _load(path, limit_bytes)
            replay = bundle.verify()
            one |= {
                "bundle": bundle.digest,
                "rows": replay.rows,
                "difference": replay.difference,
                "same_bits": replay.same_bits,
            }
        except BundleError as error:
            one |= {"sound": False, "reason": str(error)}
        told.append(one)
    code = OK if all(one["sound"] for one in told) else FOUND
    if json:
        output.emit_json(
            {
                "command": "bundle verify",
                "version": __version__,
                "exit_code": code,
                "bundles": told,
            }
        )
        return code
    out = output.console()
    for one in told:
        text = f"refused: {one['reason']}"
        if one["sound"]:
            bits = "the same bits" if one["same_bits"] else f"within {one['difference']:.1e}"
            text = f"{one['path']}: sound, {one['rows']} probe rows, {bits}"
        out.print(Text(text), soft_wrap=True)
    return code


def _load(path: Path, limit_bytes: int | None) -> Bundle:
    """Load a bundle that was named."""
    return Bundle.load(path) if limit_bytes is None else Bundle.load(path, limit_bytes=limit_bytes)


def recreate(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that save made.")],
    candles: options.Source = None,
    metric: Annotated[
        str,
        typer.Option(metavar="NAME", help="Metric, as evaluate names it: log_loss, auc, rmse."),
    ] = "log_loss",
    value: Annotated[
        float | None, typer.Option(metavar="X", help="What it was told to be.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(metavar="NAME", help="Part of the bundle, if it has several.")
    ] = None,
    table: options.FeatureFile = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    config: options.ConfigFile = None,
    limit_bytes: LimitBytes = None,
    json: options.Json = False,
) -> int:
    """Find the reading of a bundle that gives a stored metric: rows, shift, calibration, order, precision.

    Exit code 1 if none does, 4 if several do. Without --value the metric of the manifest's test rows is meant.
    """
    settings = load_config(config)
    bundle = _load(path, limit_bytes)
    market = market_of(
        settings,
        candles,
        instrument=instrument,
        symbol=symbol,
        interval=interval,
        funding=funding,
        calendar=calendar,
        on_fault=on_fault,
        repair=repair,
        funding_needed=False,
    )
    bars = read_market(market)
    stored = value if value is not None else _told(bundle, part, metric)
    given = None if table is None else read_table(table, "features", "open_time")
    found = recreate_bundle(bundle, bars, stored=stored, metric=metric, part=part, X=given)
    code = {"pass": OK, "fail": FOUND, "inconclusive": NOTHING_PROVED}[found.outcome]
    if json:
        output.emit_json(
            {
                "command": "bundle recreate",
                "version": __version__,
                "exit_code": code,
                "metric": metric,
                "stored": stored,
                "outcome": found.outcome,
                "scenario": found.scenario,
                "chance": found.chance,
                "readings": found.frame,
            }
        )
        return code
    out = output.console()
    output.header(
        out,
        f"{metric} {stored:.6g}: {found.outcome}",
        [
            ("verdict", found.text),
            (
                "by accident",
                f"about {found.chance:.2g} of {found.frame.height:,} readings would agree",
            ),
        ],
    )
    out.print()
    shown = found.frame.head(8).drop("within")
    texts = [name for name in shown.columns if name not in ("value", "error", "shift")]
    rows = [
        (
            *(str(row[name]) for name in texts),
            f"{row['shift']:+d}",
            f"{row['value']:.6g}",
            f"{row['error']:.1e}",
        )
        for row in shown.iter_rows(named=True)
    ]
    out.print(output.table((*texts, "shift", "value", "error"), rows, left=len(texts)))
    return code


def _told(bundle: Bundle, part: str | None, metric: str) -> float:
    """Metric of the test rows, as the manifest has it."""
    judged = bundle.part(part).facts["test"]
    number = judged.get(metric, {}).get("value") if isinstance(judged.get(metric), dict) else None
    if number is None:
        known = [
            name for name, entry in judged.items() if isinstance(entry, dict) and "value" in entry
        ]
        raise BundleError(
            f"the manifest tells no `{metric}` of test rows, but {', '.join(known) or 'nothing'}: name one of "
            "them with `--metric`, or give `--value`"
        )
    return float(number)


COMMANDS: dict[str, Callable[..., int]] = {
    "inspect": inspect,
    "verify": verify,
    "recreate": recreate,
}
