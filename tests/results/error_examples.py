"""An example of every error of the intake of other people's results: id, call, class, exact message."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl

import barproof as bp
from barproof import FileError, LayoutError, ParameterError
from barproof.results import freqtrade, read_fills, read_predictions

Example = tuple[str, Callable[[], object], type[BaseException], str]

FILL: dict[str, list[Any]] = {
    "time": ["2024-01-01"],
    "side": ["buy"],
    "price": [1.0],
    "quantity": [1.0],
}


def trades(table: dict[str, list[Any]], **options: Any) -> Callable[[], object]:
    return lambda: bp.read_trades(pl.DataFrame(table), **options)


def fills(columns: dict[str, list[Any]]) -> Callable[[], object]:
    return lambda: read_fills(pl.DataFrame(columns))


def document(value: object, **options: Any) -> Callable[[], object]:
    return lambda: bp.read_trades(value, **options)


def in_folder(name: str, write: Callable[[Path], object]) -> Callable[[], object]:
    """Read a file that `write` makes, in a folder of its own."""

    def call() -> object:
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                write(Path(name))
                return bp.read_trades(name)
            finally:
                os.chdir(before)

    return call


def two_results(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr("b.json", "{}")


def large(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", json.dumps({"strategy": {"S": {"trades": []}}}))


def too_large() -> object:
    with mock.patch.object(freqtrade, "MOST_BYTES", 10):
        return in_folder("r.zip", large)()


TWO: dict[str, Any] = {"strategy": {"A": {"trades": []}, "B": {"trades": []}}}

EXAMPLES: list[Example] = [
    (
        "no returns",
        trades({"pnl": [1.0]}),
        ParameterError,
        "the trades have no column `return` (net, a fraction), nor entry_price and exit_price to compute it from, but pnl: say which column is which with `columns={'return': ...}` or `--trade-column return=NAME`",
    ),
    (
        "unknown name",
        trades({"r": [1.0]}, columns={"retrun": "r"}),
        ParameterError,
        "`columns` names 'retrun', which no table of trades has; did you mean return?",
    ),
    (
        "absent column",
        trades({"r": [1.0]}, columns={"return": "x"}),
        ParameterError,
        "`columns` takes 'return' from 'x', which the trades lack; they have r",
    ),
    (
        "nested column",
        trades({"return": [[1.0]]}),
        LayoutError,
        "column 'return' must hold numbers, holds List(Float64)",
    ),
    (
        "fills lack",
        fills({"price": [1.0]}),
        ParameterError,
        "the fills lack time, quantity; they have price: say which column is which with `columns={'price': ...}`",
    ),
    (
        "no side",
        fills({k: v for k, v in FILL.items() if k != "side"}),
        ParameterError,
        "the fills lack side, and no quantity is negative; name the column with `columns={'side': ...}`",
    ),
    (
        "odd side",
        fills({**FILL, "side": ["hold"]}),
        LayoutError,
        "side of fill 0 must be buy or sell, was 'hold': clean the column",
    ),
    (
        "unfilled",
        fills({**FILL, "quantity": [0.0]}),
        LayoutError,
        "fill 0 has no time, price or quantity (1 such rows): leave out what was not filled",
    ),
    (
        "equity lacks",
        lambda: bp.read_equity(pl.DataFrame({"x": [1.0]})),
        ParameterError,
        "the equity lacks time and equity; it has x: say which column is which with `columns={'equity': ...}`",
    ),
    (
        "equity holes",
        lambda: bp.read_equity(pl.DataFrame({"time": ["2024-01-01"], "equity": [float("nan")]})),
        LayoutError,
        "row 0 of the equity has no time or no finite number: leave out what is unknown",
    ),
    (
        "no document",
        in_folder("r.json", lambda path: path.write_text("[1]")),
        FileError,
        "`trades` document is no backtest result of freqtrade: it needs an object `strategy` with `trades` in it; give any other tool's trades as CSV or Parquet",
    ),
    (
        "no json",
        in_folder("r.json", lambda path: path.write_text("{")),
        FileError,
        "`trades` file 'r.json' cannot be read as JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    (
        "two results",
        in_folder("r.zip", two_results),
        FileError,
        "`trades` archive 'r.zip' must hold one JSON result, it holds a.json, b.json: unpack it",
    ),
    (
        "too large",
        too_large,
        FileError,
        "`trades` archive 'r.zip' unpacks to more than 10 bytes: export fewer trades",
    ),
    (
        "two strategies",
        document(TWO),
        ParameterError,
        "`trades` hold 2 strategies (A, B): choose one with `strategy=`",
    ),
    (
        "no such strategy",
        document(TWO, strategy="C"),
        ParameterError,
        "`strategy` 'C' is not in the result; it has A, B",
    ),
    (
        "no list",
        document({"strategy": {"A": {"trades": 3}}}),
        FileError,
        "`trades` of strategy 'A' are no list of objects: export with --export trades",
    ),
    (
        "no probability",
        lambda: read_predictions({"open_time": [1], "p_value": [0.1]}),
        ParameterError,
        "the predictions have no column `p_1` (a probability) or `prediction` (a return), but open_time, p_value: say which column is which with `columns={'p_1': ...}` or `--prediction-column p_1=NAME`",
    ),
    (
        "folds that are none",
        lambda: read_predictions({"p_1": [0.1], "fold": [0.5]}),
        LayoutError,
        "`fold` of the predictions must be a whole number in every row: leave the column out, or fill it",
    ),
]
