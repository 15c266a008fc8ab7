"""Features of the user's own, bar by bar: by a stepper that keeps a state, or by a call on the last bars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.candles.bar import bar_class
from barproof.candles.instrument import Instrument
from barproof.candles.model import Candles
from barproof.errors import FeatureError, LayoutError
from barproof.features._bar_reading import FIELDS, is_number
from barproof.features.own import OwnFeature, Stepper

__all__ = ["OwnStream"]

_ROOM = 64


class OwnStream:
    """An own feature bar by bar: by its own stepper, or by calling it on the last bars."""

    def __init__(self, feature: OwnFeature) -> None:
        self.feature = feature
        self._stepper: Stepper | None = None
        if feature.stream is not None:
            self._stepper = feature.stream()
            if not callable(self._stepper):
                raise LayoutError(
                    f"`stream` of feature `{feature.name}` must make a function of one bar, made "
                    f"{type(self._stepper).__name__}"
                )
        elif feature.memory.bars is None:
            raise FeatureError(
                f"feature `{feature.name}` is cumulative, so a stream needs its `stream=`: a function that makes a "
                f"function of one bar"
            )
        self._last = _LastBars(feature.memory.bars or 1)

    @property
    def steps(self) -> bool:
        """Whether a function of the user's keeps the state."""
        return self._stepper is not None

    @property
    def stepper(self) -> Stepper | None:
        """The function of the user's that keeps the state."""
        return self._stepper

    @property
    def saves(self) -> bool:
        """Whether its function can say its state and take it back."""
        return callable(getattr(self._stepper, "save", None)) and callable(
            getattr(self._stepper, "load", None)
        )

    def step(
        self, values: tuple[Any, ...], further: dict[str, float], interval_ms: int, symbol: str
    ) -> float:
        """Value at the next bar, which :meth:`keep` then takes for good."""
        if self._stepper is not None:
            bar = bar_class(interval_ms)._make(values)
            bar.extra = further
            with self.feature.named():
                value = self._stepper(bar)
            if not is_number(value):
                raise LayoutError(
                    f"`stream` of feature `{self.feature.name}` must give a number a bar, gave {value!r}: "
                    f"NaN where undefined"
                )
            if np.isinf(value):
                raise FeatureError(
                    f"`stream` of feature `{self.feature.name}` gave {value} at the bar of {values[0]} ms: "
                    f"give finite values, NaN where undefined"
                )
            return float(value)
        columns = self._last.joined_by(values, further)
        candles = Candles._from_arrays(
            *(columns.pop(name) for name in FIELDS),
            symbol=symbol,
            interval_ms=interval_ms,
            instrument=Instrument("spot"),
            extra=columns,
        )
        return float(self.feature.compute(candles)[-1])

    def keep(self) -> None:
        """Take the bar of the last :meth:`step`."""
        if self._stepper is None:
            self._last.keep()

    def save(self) -> dict[str, Any]:
        """Bars that are kept and what the stepper says, for JSON: floats in it come back bit for bit."""
        state = {"memory": str(self.feature.memory), "columns": self._last.save()}
        if self.saves:
            stepper: Any = self._stepper
            with self.feature.named():
                state["steps"] = stepper.save()
                try:
                    json.dumps(state["steps"])
                except (TypeError, ValueError, RecursionError) as error:
                    raise LayoutError(
                        f"`save` of what `stream` of feature `{self.feature.name}` makes must give numbers, texts, "
                        f"lists and dicts, as JSON holds them: {error}"
                    ) from None
        return state

    def load(self, state: dict[str, Any], stepper: Stepper | None = None) -> None:
        """Take kept bars, and a stepper that knows them; one of the errors of indexing and conversion otherwise."""
        if state["memory"] != str(self.feature.memory):
            raise ValueError("other memory")
        self._last.load(state["columns"])
        if stepper is not None:
            self._stepper = stepper
        elif self.saves:
            mine: Any = self._stepper
            with self.feature.named():
                mine.load(state["steps"])


class _LastBars:
    """The last bars, a column each: the newest are a slice, and old ones are moved out now and then."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._columns: dict[str, NDArray[Any]] = {}
        for name in FIELDS:
            self._add(name)

    def _add(self, name: str) -> None:
        room = len(self._columns["open_time"]) if self._columns else _ROOM
        self._columns[name] = (
            np.zeros(room, np.int64) if name == "open_time" else np.full(room, np.nan)
        )

    def joined_by(
        self, values: tuple[Any, ...], further: Mapping[str, float]
    ) -> dict[str, NDArray[Any]]:
        """Columns of the last bars and a new one, which :meth:`keep` takes for good."""
        for name in further:
            if name not in self._columns:
                self._add(name)
        if self._count == len(self._columns["open_time"]):
            self._make_room()
        new = {**dict.fromkeys(self._columns, np.nan), **further}
        new.update(zip(FIELDS, values, strict=True))
        for name, column in self._columns.items():
            column[self._count] = new[name]
        end = self._count + 1
        begin = max(0, end - self._most)
        return {name: column[begin:end] for name, column in self._columns.items()}

    def _make_room(self) -> None:
        held = min(self._count, self._most)
        room = max(_ROOM, 2 * held)
        for name, column in self._columns.items():
            fresh = np.zeros(room, column.dtype)
            fresh[:held] = column[self._count - held : self._count]
            self._columns[name] = fresh
        self._count = held

    def keep(self) -> None:
        """Take the bar of the last :meth:`joined_by`."""
        self._count += 1

    def save(self) -> dict[str, list[Any]]:
        """Columns as lists."""
        begin = max(0, self._count - self._most)
        return {name: v[begin : self._count].tolist() for name, v in self._columns.items()}

    def load(self, columns: Mapping[str, list[Any]]) -> None:
        """Take columns that were saved."""
        arrays = {
            str(name): np.array(values, np.int64 if name == "open_time" else np.float64)
            for name, values in columns.items()
        }
        shape = arrays["open_time"].shape
        if len(shape) != 1 or any(arrays[name].shape != shape for name in (*FIELDS, *arrays)):
            raise ValueError("columns of different length")
        self._columns = {name: np.r_[a, np.zeros(_ROOM, a.dtype)] for name, a in arrays.items()}
        self._count = shape[0]
