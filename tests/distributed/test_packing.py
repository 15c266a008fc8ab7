"""What is put into the object store, how often, and what a worker keeps of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof.distributed import packing
from tests.helpers import simulated

pytest.importorskip("ray", reason="needs the extra barproof[cluster]")


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    packing._KEPT.clear()
    yield
    packing._KEPT.clear()


class Store:
    """An object store by number, which counts what is read."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.reads: list[int] = []

    def put(self, part: Any) -> int:
        for number, other in enumerate(self.held):
            if other is part:
                return number
        self.held.append(part)
        return len(self.held) - 1

    def sent(self, thing: Any) -> list[int]:
        """Places of a thing and of its heavy parts, as a crew shares them."""
        parts: list[int] = []

        def store(part: Any) -> int:
            parts.append(self.put(part))
            return len(parts) - 1

        packed = packing.pack(thing, store)
        return [self.put(packed), *parts]

    def made(self, places: list[int]) -> Any:
        """Make a thing up in a worker."""

        def load(number: int) -> Any:
            self.reads.append(places[number])
            return self.held[places[number]]

        return packing.unpack([str(place) for place in places], load)


def test_heavy_parts_lie_there_once_and_are_made_up_once() -> None:
    candles, signals = simulated(3_000)
    grid = bp.Grid(bp.Rules(max_hold=3), stop_loss=[0.01, 0.02])
    large, small = np.arange(packing.LEAST_BYTES // 8, dtype=np.float64), np.arange(3.0)
    store = Store()
    first = store.sent({"candles": candles, "signals": signals, "large": large, "small": small})
    second = store.sent([candles, grid, "text"])
    assert [type(part).__name__ for part in store.held] == [
        "Candles",
        "Signals",
        "ndarray",
        "bytes",
        "Grid",
        "bytes",
    ]
    assert max(len(part) for part in store.held if isinstance(part, bytes)) < 2_000
    one, two = store.made(first), store.made(second)
    assert one["candles"] is two[0]
    assert one["candles"] == candles
    assert one["signals"] == signals
    assert one["large"] is large
    assert one["small"].tolist() == [0.0, 1.0, 2.0]
    assert two[1].digest == grid.digest
    assert store.made(first) is one
    assert len(store.reads) == len(set(store.reads)) == len(store.held)


def test_a_worker_keeps_the_latest_things_alone() -> None:
    store = Store()
    places = [store.sent({"number": number}) for number in range(packing.KEPT + 2)]
    for place in places:
        store.made(place)
    store.made(places[2])
    assert len(packing._KEPT) == packing.KEPT
    reads = len(store.reads)
    assert store.made(places[-1]) == {"number": packing.KEPT + 1}
    assert len(store.reads) == reads
    assert store.made(places[0]) == {"number": 0}
    assert len(store.reads) == reads + 1
