"""Forge files: documents changed by their grammar, bytes changed and cut, and how a case is watched.

What every fuzzer at the Python edge shares: ``fuzz.bundles``, ``fuzz.results``, ``fuzz.candles``.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import struct
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import barproof as bp

Refused = Callable[[bp.BarproofError], str]

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**64, -(2**63), 1e308, -0.0, 1e-320, "", "0", "../x",
    "/etc/passwd", "model", "\u0000", "\ud7ff", "a" * 5_000, [], {}, [[]], [0] * 100, {"a": 1},
    "Logistic", "Sklearn", "regression", "ternary", [-1, 0, 1], [0, 1],
)  # fmt: skip

WORDS = (
    "", "NaN", "nan", "inf", "-inf", "1e999", "-1e-320", "9" * 400, "1,000.5", "1.5%", "$3", "0", "-1", "2024-01-01",
    "2024-13-41", "1704067200000", "-9223372036854775808", "long", "SHORT", "buy", "Sell", "maybe", "=1+1", "@SUM(A1)",
    "+cmd|' /C calc'!A0", "-2+3", "\x1b[31mred", "a\u202eb", "<script>alert(1)</script>", '"><img src=x onerror=1>',
    "](javascript:alert(1))", "\x00", "\ufeff", "é" * 90, "None", "null", "true", "{", "[]",
)  # fmt: skip
HEADS = (
    "return", "ReturnPct", "Return", "Profit %", "profit_ratio", "entry_time", "EntryTime", "Entry Timestamp",
    "open_date", "exit_time", "ExitTime", "close_date", "side", "Direction", "is_short", "Size", "quantity", "amount",
    "EntryPrice", "Avg Entry Price", "open_rate", "ExitPrice", "Avg Exit Price", "close_rate", "pnl", "PnL", "fees",
    "Commission", "symbol", "pair", "reason", "Tag", "Status", "is_open", "stop", "leverage", "signal_time", "time",
    "Date(UTC)", "Side", "Price", "Executed", "equity", "Equity", "p_0", "p_1", "prediction", "label", "fold", "part",
    "open_time", "high", "low", "x",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, the document itself left out."""
    found: list[tuple[Any, ...]] = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:50]):
            found += places(inner, (*path, i))
    return found


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """Take what stands at a place."""
    for step in path:
        document = document[step]
    return document


def change(document: Any, rng: np.random.Generator) -> str:
    """Change one place of a document: another value, none, twice, or that of another place."""
    everywhere = places(document)
    path = everywhere[rng.integers(len(everywhere))]
    parent, key = at(document, path[:-1]), path[-1]
    how = rng.integers(7)
    if how == 0:
        parent[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    elif how == 1:
        del parent[key]
    elif how == 2 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif how == 3:
        other = everywhere[rng.integers(len(everywhere))]
        try:
            parent[key] = copy.deepcopy(at(document, other))
        except (KeyError, IndexError, TypeError):
            parent[key] = None
    elif how == 4 and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
    elif how == 5 and isinstance(parent[key], (int, float)) and not isinstance(parent[key], bool):
        parent[key] = parent[key] * int(rng.choice([-1, 2, 1000])) + int(rng.integers(-2, 3))
    else:
        value: Any = "deep"
        for _ in range(int(rng.choice([2, 30, 900]))):
            value = [value]
        parent[key] = value
    return f"{'/'.join(map(str, path))} by {how}"


def change_tensors(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Change a file of tensors: its header by the grammar of JSON, or its length, or some bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + length], data[8 + length :]
    how = rng.integers(4)
    if how <= 1:
        document = json.loads(header)
        told = change(document, rng)
        try:
            text = json.dumps(document).encode()
        except (TypeError, ValueError, RecursionError):
            text = header
        return struct.pack("<Q", len(text)) + text + body, f"header {told}"
    if how == 2:
        cut = int(rng.integers(len(data)))
        return data[:cut], f"cut at {cut}"
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed), "bytes"


def changed_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, or set some bytes."""
    if rng.random() < 0.4 or not data:
        return data[: int(rng.integers(len(data) + 1))]
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        made[int(rng.integers(len(made)))] = int(rng.integers(256))
    return bytes(made)


def changed_csv(frame: pl.DataFrame, rng: np.random.Generator) -> bytes:
    """Write a table as CSV with other heads, other cells, rows too few and too many, other separators and bytes."""
    rows = [list(frame.columns), *[["" if v is None else str(v) for v in r] for r in frame.rows()]]
    for _ in range(int(rng.integers(1, 5))):
        how = int(rng.integers(8))
        row, column = (
            int(rng.integers(len(rows))),
            int(rng.integers(len(rows[0]))) if rows[0] else 0,
        )
        if how <= 2 and column < len(rows[row]):
            rows[row][column] = WORDS[rng.integers(len(WORDS))]
        elif how == 3 and rows[0]:
            rows[0][column] = HEADS[rng.integers(len(HEADS))]
        elif how == 4:
            for held in rows:
                del held[column : column + 1]
        elif how == 5 and row:
            del rows[row]
        elif how == 6 and row:
            rows += [list(rows[row])] * int(rng.choice([1, 40]))
        else:
            word = WORDS[rng.integers(len(WORDS))]
            for held in rows[1:]:
                held[column : column + 1] = [word]
    mark = str(rng.choice([",", ",", ",", ";", "\t", "|"]))
    lines = [
        mark.join('"' + c.replace('"', '""') + '"' if rng.random() < 0.9 else c for c in r)
        for r in rows
    ]
    data = str(rng.choice(["\n", "\n", "\r\n", "\r"])).join(lines).encode("utf-8", "surrogatepass")
    return changed_bytes(data, rng) if rng.random() < 0.15 else data


class Bounds(NamedTuple):
    """What a case may take."""

    seconds: float
    size: int


def watched(
    seed: int, told: str, run: Callable[[], str], folder: Path, bounds: Bounds, refused: Refused
) -> str:
    """Run one case; the finding, or nothing.

    A finding is what `run` says, an error that is none of the package, one whose message `refused` does not take, a
    file that appeared, and more memory or processor time than `bounds`.
    """
    before = sorted(os.listdir(folder))
    tracemalloc.start()
    began = time.process_time()
    found = ""
    try:
        found = run()
    except bp.BarproofError as error:
        found = refused(error)
    except BaseException as error:  # a finding, whatever it is; polars panics are no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        found = f"{type(error).__name__}: {str(error)[:200]}"
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if took > bounds.seconds:
        found += f" took {took:.0f} s"
    if peak > bounds.size:
        found += f" took {peak / 2**20:.0f} MiB"
    if sorted(os.listdir(folder)) != before:
        found += " made files"
    return f"case {seed}: {found} ({told})" if found else ""


def one_line(error: bp.BarproofError) -> str:
    """Take an error whose message is one printable line."""
    text = str(error)
    sound = text and text.isprintable()
    return "" if sound else f"{type(error).__name__} with the message {text[:200]!r}"


def run_cases(told: str | None, case: Callable[[int, Path], str]) -> None:
    """Run cases until the time is over; exit code 1 if there is a finding."""
    parser = argparse.ArgumentParser(
        description=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    asked = parser.parse_args()
    until, seed, findings = time.monotonic() + 60 * asked.minutes, asked.seed, 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder:
            found = case(seed, Path(folder))
        if found:
            findings += 1
            print(found, flush=True)
        seed += 1
    print(f"{seed - asked.seed:,} cases from {asked.seed}, {findings} findings")
    sys.exit(1 if findings else 0)
