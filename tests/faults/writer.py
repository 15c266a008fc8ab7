"""A process that writes every kind of file over and over, until somebody ends it.

``python -m tests.faults.writer FOLDER SEED``: kinds and variants come in random order, each under its own name in
FOLDER. Says "ready" when everything is computed, so that all that follows is writing.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import barproof as bp
from tests.faults.kinds import KINDS, Kind

SHARED = (
    "folder of a sweep",
    "state of a live session",
    "session that goes on",
    "file of a procedure test",
)
"""Kinds that one process at a time may write."""


def writable(alone: bool = True) -> list[Kind]:
    """Kinds that can be written again and again."""
    once = ("export of a ledger", "session that goes on")
    return [k for k in KINDS if k.name not in once and (alone or k.name not in SHARED)]


def main() -> None:
    folder, seed, alone = Path(sys.argv[1]), int(sys.argv[2]), len(sys.argv) < 4
    chance = random.Random(seed)
    kinds = writable(alone)
    for kind in kinds:
        place = folder / "sound"
        place.mkdir(exist_ok=True)
        for variant in (0, 1):
            kind.write(place / f"{seed}-{variant}-{kind.path}", 0 if kind.append else variant)
    print("ready", flush=True)
    while True:
        kind = kinds[chance.randrange(len(kinds))]
        try:
            kind.write(folder / kind.path, 0 if kind.append else chance.randrange(2))
        except bp.BarproofError as error:
            print(f"{kind.name}: {error}", flush=True)


if __name__ == "__main__":
    main()
