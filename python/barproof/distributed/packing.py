"""What shards need, taken apart so that candles, signals, grids and large arrays lie in the object store once.

A thing is pickled with references in the place of its heavy parts. Each heavy part is an object of its own in the
store, which keeps one copy a node; arrays are read from there without a copy.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from barproof._grid import Grid
from barproof.candles import Candles
from barproof.signals import Signals

__all__ = ["pack", "unpack"]

LEAST_BYTES = 65_536
"""Arrays under it travel with the thing itself."""

KEPT = 4
"""Things a worker keeps made up, the latest ones: a shard most often asks for what the last one did."""


def _heavy(thing: object) -> bool:
    if isinstance(thing, np.ndarray):
        return thing.nbytes >= LEAST_BYTES and thing.dtype.kind in "biuf"
    return isinstance(thing, (Candles, Signals, Grid))


def pack(thing: Any, store: Callable[[Any], int]) -> bytes:
    """Pickle a thing; `store` takes each heavy part and gives the number that stands for it."""
    from ray import cloudpickle

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc, name-defined, unused-ignore]
        """Leaves heavy parts out."""

        def persistent_id(self, part: object) -> int | None:
            """Give the number of a heavy part."""
            return store(part) if _heavy(part) else None

    buffer = io.BytesIO()
    Pickler(buffer).dump(thing)
    return buffer.getvalue()


_KEPT: OrderedDict[str, tuple[Any, dict[str, Any]]] = OrderedDict()


def unpack(names: list[str], load: Callable[[int], Any]) -> Any:
    """Make a thing up again, or take the one that is kept.

    `names` tell objects of the store apart, the thing's own first; `load` reads one by its place among them.
    """
    key = names[0]
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key][0]
    held: dict[str, Any] = {}

    class Unpickler(pickle.Unpickler):
        """Puts heavy parts back in."""

        def persistent_load(self, number: int) -> Any:
            """Heavy part of a number; one that another thing holds is shared, with the index made for it."""
            name = names[1 + number]
            if name not in held:
                others = (parts[name] for _, parts in _KEPT.values() if name in parts)
                found = next(others, None)
                held[name] = load(1 + number) if found is None else found
            return held[name]

    thing = Unpickler(io.BytesIO(load(0))).load()
    _KEPT[key] = thing, held
    while len(_KEPT) > KEPT:
        _KEPT.popitem(last=False)
    return thing
