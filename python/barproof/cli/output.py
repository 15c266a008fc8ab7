"""What commands print and write: tables on stdout, one JSON document, files that are whole or absent."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from barproof._frames import METRICS
from barproof._whole import whole, write_csv
from barproof.cli.exits import ReaderGoneError
from barproof.errors import ConfigError, FileError

__all__ = [
    "bars_of",
    "check_target",
    "check_targets",
    "console",
    "emit_json",
    "header",
    "metric_text",
    "note",
    "plain",
    "sparkline",
    "table",
    "warn",
    "whole_file",
    "write_frame",
]

UNITS = {row["name"]: row["unit"] for row in METRICS}
FRAMES = (".parquet", ".csv", ".feather")
_SIGNED = frozenset(
    {"total_return", "cagr", "mean_win", "mean_loss", "expectancy", "buy_hold_return", "funding"}
)


class _Stdout(Console):
    """Console that tells of a reader that went away, where its parent would leave the process."""

    def on_broken_pipe(self) -> None:
        """Stop: nobody reads on."""
        raise ReaderGoneError


def console() -> Console:
    """Console on stdout: colours only on a terminal and without NO_COLOR, 80 columns where there is no terminal."""
    return _Stdout(file=sys.stdout, highlight=False, soft_wrap=False)


def _stderr() -> Console:
    """Console for what is no result."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Say something on stderr."""
    _stderr().print(Text(text))


def warn(text: str) -> None:
    """Warn on stderr."""
    line = Text("warning: ", style="yellow")
    _stderr().print(line.append(Text(text, style="default")))


def header(out: Console, title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print a title and labelled lines."""
    out.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in facts:
        grid.add_row(f"  {label}", Text(value))
    out.print(grid)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, left: int = 1) -> Table:
    """Make a table; the first `left` columns are text, the others numbers."""
    made = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
    )
    cells = list(rows)
    for i, name in enumerate(columns):
        text = i < left
        # Numbers and words of headers never break; text wraps where the screen ends.
        width = max((len(row[i]) for row in cells), default=0) if not text else 0
        made.add_column(
            name,
            justify="left" if text else "right",
            min_width=max([width, *(len(word) for word in name.split())]),
            overflow="fold",
        )
    for row in cells:
        made.add_row(*row)
    return made


def metric_text(name: str, value: Any, *, short: bool = False) -> str:
    """Write a metric in its unit; undefined is a dash, `short` spends fewer digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    unit, sign = UNITS.get(name, "number"), "+" if name in _SIGNED else ""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if unit == "fraction":
        return f"{100 * value:{sign},.{1 if short else 2}f}%"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "quote":
        return f"{value:{sign},.{0 if short else 2}f}"
    return f"{value:,.3f}" if name == "sharpe_daily" else f"{value:,.2f}"


def bars_of(levels: Iterable[float], out: Console) -> str:
    """One character a value, by height between 0 and 1."""
    marks = " .:-=+*#" if out.options.ascii_only else "▁▂▃▄▅▆▇█"
    return "".join(marks[min(len(marks) - 1, max(0, int(v * len(marks))))] for v in levels)


def sparkline(values: Sequence[float] | np.ndarray[Any, Any], out: Console, width: int = 60) -> str:
    """Draw values as a line of characters, from their smallest to their largest."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return ""
    at = np.linspace(0, len(array) - 1, min(width, len(array))).round().astype(int)
    picked = array[at]
    low, high = float(np.nanmin(picked)), float(np.nanmax(picked))
    span = high - low
    return bars_of(((picked - low) / span if span > 0 else np.full(len(picked), 0.5)).tolist(), out)


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: NaN and infinities become null, times ISO text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, pl.DataFrame):
        return [plain(row) for row in value.iter_rows(named=True)]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    return value


def emit_json(document: Mapping[str, Any]) -> None:
    """Write the one JSON document of a command to stdout."""
    sys.stdout.write(
        json.dumps(plain(document), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    )
    sys.stdout.flush()


def check_target(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file to write before any work is done: a folder that is absent, or an unknown kind of file."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"`{option}` {str(path)!r} must end in {' or '.join(suffixes)}: rename it"
        )
    if path.is_dir():
        raise ConfigError(f"`{option}` {str(path)!r} is a directory: name a file in it")
    if not path.absolute().parent.is_dir():
        raise ConfigError(
            f"`{option}` {str(path)!r} lies in a folder that does not exist: mkdir {str(path.parent)!r}"
        )


def check_targets(
    targets: Mapping[str, Path | None], inputs: Mapping[str, Path | str | None]
) -> None:
    """Refuse to write over what is read, or twice to one file, before any work is done."""
    read = {Path(path).resolve(): name for name, path in inputs.items() if path is not None}
    taken: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None:
            continue
        place = path.resolve()
        if place in read:
            raise ConfigError(
                f"`{option}` {str(path)!r} is the file that the {read[place]} are read from: "
                f"give another name"
            )
        if place in taken:
            raise ConfigError(
                f"`{option}` and `{taken[place]}` both name {str(path)!r}: give two names"
            )
        taken[place] = option


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name in the same folder; on success it is synced and renamed, otherwise removed."""
    try:
        with whole(path) as temporary:
            yield temporary
    except OSError as error:
        raise FileError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a frame as Parquet, CSV or Feather, by the file's name."""
    writers: dict[str, Callable[[Path], Any]] = {
        ".parquet": frame.write_parquet,
        ".csv": lambda path: write_csv(path, frame),
        ".feather": frame.write_ipc,
    }
    with whole_file(path) as temporary:
        writers[path.suffix.lower()](temporary)
