"""An example of every error of sealed holdouts and of what is read out of a ledger: id, call, class, exact message."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import barproof as bp
from barproof import LedgerError, ParameterError, WindowError

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = bp.simulate_candles(1, bars=20)


def with_book(use: Callable[[bp.Ledger], object]) -> Callable[[], object]:
    """Do something with an empty ledger, in a folder of its own."""

    def call() -> object:
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                return use(bp.Ledger.open("ledger.sqlite"))
            finally:
                os.chdir(before)

    return call


EXAMPLES: list[Example] = [
    (
        "nothing sealed",
        lambda: bp.seal(BARS, from_=20),
        WindowError,
        "`from_` of a seal must leave bars on both sides, was 20 of 20 bars: choose another time",
    ),
    (
        "no reason",
        with_book(lambda book: bp.seal(BARS, from_=10).open(reason="look", ledger=book)),
        ParameterError,
        "`reason` of opening a holdout must say why now, in a line of at least 10 characters: it stays in the ledger",
    ),
    (
        "no ledger",
        lambda: bp.seal(BARS, from_=10).open(reason="all rules are fixed", ledger=False),
        LedgerError,
        "a sealed holdout needs a ledger, and there is none (unrecorded): make barproof.toml or .barproof, or give ledger= a path",
    ),
    (
        "head",
        with_book(lambda book: book.verify(head="x")),
        ParameterError,
        "`head` must be what Ledger.head() gave, run:hash, was 'x'",
    ),
    (
        "export form",
        with_book(lambda book: book.export("runs.xls")),
        ParameterError,
        "`path` of an export must end in .csv, .parquet or .json, was 'runs.xls'",
    ),
    (
        "export place",
        with_book(lambda book: book.export("gone/runs.csv")),
        LedgerError,
        "the ledger cannot be exported to 'gone/runs.csv': No such file or directory",
    ),
]
