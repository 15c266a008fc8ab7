"""Fuzz the manifest and the probe of bundles, and the tables of tensors: a load ends in a bundle or in a clear error.

``python -m fuzz.bundles [--minutes 10] [--seed 0]``. A case is one number: it takes a sound bundle, changes its
manifest, or the header and the data of its probe or weights, by the grammar of JSON and of safetensors, and signs the
result again, so that digests hide nothing. What may come out is a `BundleError` (or another error of the package that
names what is wrong), or a bundle whose probe rows are answered as they were. Anything else is a finding, printed with
its number: an error of another class, more than 100 MB, more than ten seconds, a file that appeared beside the bundle.
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
from pathlib import Path
from typing import Any

import numpy as np
from tests.models import forged

import barproof as bp

MOST_BYTES = 100 << 20
MOST_SECONDS = 10.0
NAMES = ("logistic", "boosting")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**64, -(2**63), 1e308, -0.0, 1e-320, "", "0", "../x",
    "/etc/passwd", "model", "\u0000", "\ud7ff", "a" * 5_000, [], {}, [[]], [0] * 100, {"a": 1},
    "Logistic", "Sklearn", "regression", "ternary", [-1, 0, 1], [0, 1],
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


def forgery(seed: int, folder: Path) -> tuple[Path, str]:
    """Make the bundle of one number, and say what was done to it."""
    rng = np.random.default_rng(seed)
    name = NAMES[rng.integers(len(NAMES))]
    told: list[str] = [name]

    def edit(document: dict[str, Any], files: dict[str, bytes]) -> None:
        for _ in range(int(rng.integers(1, 4))):
            tensors = [file for file in files if file.endswith(".safetensors")]
            if rng.random() < 0.5:
                told.append(change(document, rng))
            else:
                file = tensors[rng.integers(len(tensors))]
                files[file], how = change_tensors(files[file], rng)
                told.append(f"{file} {how}")

    return forged.forge(folder, name, edit), "; ".join(told)


def case(seed: int, folder: Path) -> str:
    """Run one case; the finding, or nothing."""
    try:
        path, told = forgery(seed, folder)
    except (TypeError, ValueError, RecursionError, KeyError, AttributeError, bp.BarproofError):
        # What cannot be written as a bundle is none.
        return ""
    before = sorted(os.listdir(folder))
    tracemalloc.start()
    began = time.process_time()
    found = ""
    try:
        bundle = bp.Bundle.load(path)
        bundle.verify()
    except bp.BarproofError as error:
        if "\n" in str(error) or not str(error):
            found = f"a message of several lines or none: {str(error)[:200]!r}"
    except Exception as error:  # a finding, whatever it is
        found = f"{type(error).__name__}: {str(error)[:200]}"
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if took > MOST_SECONDS:
        found += f" took {took:.0f} s"
    if peak > MOST_BYTES:
        found += f" took {peak / 2**20:.0f} MiB"
    if sorted(os.listdir(folder)) != before:
        found += " made files"
    return f"case {seed}: {found} ({told})" if found else ""


def main() -> None:
    """Run cases until the time is over; exit code 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
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


if __name__ == "__main__":
    main()
