"""Fuzz the manifest and the probe of bundles, and the tables of tensors: a load ends in a bundle or in a clear error.

``python -m fuzz.bundles [--minutes 10] [--seed 0]``. A case is one number: it takes a sound bundle, changes its
manifest, or the header and the data of its probe or weights, by the grammar of JSON and of safetensors, and signs the
result again, so that digests hide nothing. What may come out is a `BundleError` (or another error of the package that
names what is wrong), or a bundle whose probe rows are answered as they were. Anything else is a finding, printed with
its number: an error of another class, more than 100 MB, more than ten seconds, a file that appeared beside the bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from fuzz.forging import Bounds, change, change_tensors, run_cases, watched
from tests.models import forged

import barproof as bp

MOST_BYTES = 100 << 20
MOST_SECONDS = 10.0
NAMES = ("logistic", "boosting")


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

    def run() -> str:
        bp.Bundle.load(path).verify()
        return ""

    def refused(error: bp.BarproofError) -> str:
        text = str(error)
        return (
            f"a message of several lines or none: {text[:200]!r}"
            if "\n" in text or not text
            else ""
        )

    return watched(seed, told, run, folder, Bounds(MOST_SECONDS, MOST_BYTES), refused)


if __name__ == "__main__":
    run_cases(__doc__, case)
