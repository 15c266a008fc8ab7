"""``barproof init``: a project that runs at once."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from barproof._core import __version__
from barproof.candles import Candles
from barproof.candles.simulate import simulate_candles
from barproof.cli import options, output
from barproof.cli.config import Config
from barproof.cli.exits import OK
from barproof.cli.inputs import Market, market_of, read_market
from barproof.cli.project import files_of
from barproof.errors import ConfigError, FileError

__all__ = ["init"]

SEED = 7
BARS = 40_000
EDGE = 0.1


def init(
    name: Annotated[
        Path | None,
        typer.Argument(metavar="NAME", help="Folder of the project.", show_default=False),
    ] = None,
    candles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Candles of your own; without them a market is simulated.",
            rich_help_panel="Market",
        ),
    ] = None,
    instrument: options.InstrumentKind = None,
    funding: options.Funding = None,
    json: options.Json = False,
) -> int:
    """Make a project: barproof.toml, a study to run and to change, README, .gitignore, and the folder of the ledger.

    It runs at once, on a simulated market or on --candles. A folder that holds anything is refused; what is made is
    there whole or not at all.
    """
    if name is None:
        raise ConfigError("`NAME` is missing: give the folder of the project, such as momentum")
    _refuse(name)
    market: Market | None = None
    if candles is not None:
        market = market_of(Config(), candles, instrument=instrument, funding=funding)
        read_market(market)
        made = None
    elif instrument is not None or funding is not None:
        raise ConfigError(
            "`--instrument` and `--funding` belong to `--candles` FILE: give it, or leave them out"
        )
    else:
        made = simulate_candles(SEED, bars=BARS, edge=EDGE)
    _make(name, files_of(name.absolute().name, market, name.absolute()), made)
    held = sorted(str(path.relative_to(name)) for path in name.rglob("*") if path.is_file())
    if json:
        output.emit_json(
            {
                "command": "init",
                "version": __version__,
                "exit_code": OK,
                "folder": name,
                "files": held,
                "simulated": market is None,
            }
        )
        return OK
    screen = output.console()
    screen.print(Text(f"{name}: {', '.join(held)}"), soft_wrap=True)
    if market is None:
        screen.print(Text("the market in data/ is simulated, with an edge in it that is known"))
    screen.print(Text("next:", style="dim"))
    for words in (["cd", str(name)], ["python", "study.py"], ["barproof", "audit", "--run"]):
        screen.print(f"  {shlex.join(words)}", soft_wrap=True, markup=False)
    return OK


def _refuse(name: Path) -> None:
    """Refuse a place that is taken or cannot be made, before any work."""
    if name.is_symlink() or (name.exists() and not name.is_dir()):
        raise FileError(f"{str(name)!r} is there and no folder: give another name")
    try:
        held = sorted(os.listdir(name)) if name.exists() else []
    except OSError as error:
        raise FileError(f"{str(name)!r} cannot be read: {error.strerror or error}") from error
    if held:
        more = ", ..." if len(held) > 3 else ""
        raise FileError(
            f"{str(name)!r} is not empty (it holds {', '.join(held[:3])}{more}): give a new name; nothing was written"
        )
    if not name.absolute().parent.is_dir():
        raise FileError(
            f"{str(name)!r} lies in a folder that does not exist: mkdir {str(name.parent)!r}"
        )


def _make(name: Path, files: dict[str, str], simulated: Candles | None) -> None:
    """Make everything beside the place, and move it there when it is whole."""
    place = name.absolute()
    beside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    moved: list[Path] = []
    try:
        beside.mkdir()
        for path, text in files.items():
            target = beside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        if simulated is not None and simulated.funding is not None:
            simulated.to_polars().write_parquet(beside / "data" / "sim_5m.parquet")
            simulated.funding.write_parquet(beside / "data" / "sim_funding.parquet")
        if not place.exists():
            os.rename(beside, place)
            return
        # An empty folder may be where somebody stands: it is filled, not replaced.
        for part in sorted(beside.iterdir()):
            os.rename(part, place / part.name)
            moved.append(place / part.name)
    except OSError as error:
        for part in moved:
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        raise FileError(
            f"{str(name)!r} cannot be made: {error.strerror or error}; nothing was written"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(beside)
