"""One call for every message of ``barproof portfolio``: (name, call, class, message)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from barproof.cli.portfolio import portfolio
from barproof.errors import ConfigError


def call(candles: list[str], signals: list[str], **given: Any) -> Callable[[], object]:
    return lambda: portfolio(candles, signals, **given)


EXAMPLES: list[tuple[str, Callable[[], object], type[BaseException], str]] = [
    (
        "no symbol",
        call(["a.csv"], ["A=s.csv"]),
        ConfigError,
        "`candles a.csv` must read SYMBOL=FILE: such as BTCUSDT=btcusdt.parquet",
    ),
    (
        "a symbol twice",
        call(["A=a.csv", "A=b.csv"], ["A=s.csv"]),
        ConfigError,
        "`candles` names the symbol 'A' twice: give it once",
    ),
    (
        "signals without candles",
        call(["A=a.csv"], ["A=s.csv", "B=t.csv"]),
        ConfigError,
        "`--signals B=...` names a symbol without candles: give B=CANDLES, or leave it out",
    ),
    (
        "signals missing",
        call(["A=a.csv", "B=b.csv"], ["A=s.csv"]),
        ConfigError,
        "symbol 'B' has no signals: give `--signals B=FILE`",
    ),
    (
        "funding without candles",
        call(["A=a.csv"], ["A=s.csv"], funding=["C=f.csv"]),
        ConfigError,
        "`--funding C=...` names a symbol without candles: give C=CANDLES, or leave it out",
    ),
]
