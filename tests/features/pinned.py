"""What is pinned of features: every function on one simulated market, and a snapshot of it; see tests/golden/README.md.

``python -m tests.features.pinned`` writes the digests again, ``python -m tests.features.pinned snapshot`` the snapshot
of this version, with a name behind it one of that name, and never that of an earlier one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

import barproof as bp
from tests.features import markets

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
DIGESTS = GOLDEN / "feature_digests.json"
SNAPSHOTS = GOLDEN / "snapshots"
SEED = 20261121
BARS = 3_000
SAVED = 600
"""Bars that the snapshot has behind it."""

NUMBERS = {"low": -1.0, "high": 120.0, "bars": 3.0, "threshold": 200.0}
NESTED = (
    "ema(9)@15m",
    "rsi(14)@4h",
    "zscore(rsi(14)@1h, 20)",
    "lag(column(taker_buy_volume), 3)",
    "sma(column(taker_buy_volume), 5)@1h",
    "clip(zscore(log_return(1), 100), -3, 3)",
    "ratio(ema(realised_volatility(20), 12), median(realised_volatility(20), 96))",
    "median(rank(close, 50), 7)",
    "cusum(log_return(1), 0.01)",
)


# What is given to functions of which a price makes nothing.
GIVEN = {"exp": "bop()", "tanh": "bop()"}


def texts(*, patterns: bool) -> list[str]:
    """Candlestick patterns, or every other function, each with its defaults or a window of 20."""
    texts = []
    for row in bp._core.feature_table():
        if (row["family"] == "patterns") != patterns:
            continue
        given = [GIVEN.get(row["name"], "close"), "volume"]
        inner = given[: sum(kind == "given" for kind, _ in row["inputs"])]
        numbers = [
            f"{NUMBERS.get(name, 20.0) if default is None else default:g}"
            for name, _, default in row["parameters"]
        ]
        texts.append(f"{row['name']}({', '.join(inner + numbers)})")
    return texts


def features() -> bp.FeatureSet:
    """Every function but the patterns, then nested ones."""
    return bp.FeatureSet([*texts(patterns=False), *NESTED])


def patterns() -> bp.FeatureSet:
    """The candlestick patterns."""
    return bp.FeatureSet(texts(patterns=True))


def candles() -> bp.Candles:
    """The market; numbers of trades, which it has none of, follow from the volume."""
    market = bp.simulate_candles(SEED, bars=BARS, interval="5m")
    trades = 1.0 + np.floor(market.volume % 100.0)
    return market._replace(extra={**market.extra, "trades": trades})


def figures() -> bp.Candles:
    """Candles that make every pattern."""
    return markets.figures(SEED, 60_000).candles()


@functools.cache
def tables() -> list[pl.DataFrame]:
    """Every function on the market, every pattern on candles that make it."""
    return [features().compute(candles()), patterns().compute(figures())]


def digests() -> dict[str, str]:
    """SHA-256 of each column, 16 digits of it; one pattern for NaN and for zero, little-endian."""
    found = {}
    for table in tables():
        for name in table.columns[1:]:
            values = table[name].to_numpy().astype("<f8")
            values[np.isnan(values)] = np.nan
            values[values == 0.0] = 0.0
            found[name] = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return found


def snapshot() -> bytes:
    """State of a stream after the first bars."""
    stream = features().stream("5m")
    stream.update_many(candles()[:SAVED])
    return stream.snapshot()


def main() -> None:
    """Write what is pinned."""
    if sys.argv[1:2] == ["snapshot"]:
        name = sys.argv[2] if len(sys.argv) > 2 else bp.__version__
        SNAPSHOTS.mkdir(parents=True, exist_ok=True)
        (SNAPSHOTS / f"{name}.bin").write_bytes(snapshot())
        columns = json.dumps(list(features().names), indent=1, ensure_ascii=False)
        (SNAPSHOTS / f"{name}.json").write_text(columns + "\n", encoding="utf-8")
    else:
        text = json.dumps(digests(), indent=1, ensure_ascii=False)
        DIGESTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
