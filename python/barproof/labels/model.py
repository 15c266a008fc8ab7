"""Labels and their spans: what every maker of labels gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._shown import label_rows, shown
from barproof.errors import LayoutError, ParameterError, ShapeError

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["Clock", "Kind", "Labels", "check_kind", "check_level", "signs", "two_classes"]

Kind = Literal["regression", "binary", "ternary"]
Clock = Literal["open", "close"]


@shown(label_rows)
@dataclass(frozen=True, eq=False, repr=False)
class Labels:
    """One label a bar, with the bars that it looks at.

    Attributes
    ----------
    values : ndarray of shape (n_bars,), float64
        The forward return, or the class: 0 and 1 (binary), -1, 0 and 1 (ternary). NaN where the data end before the
        label does. Read-only, as all arrays here.
    start, end : ndarray of shape (n_bars,), int64
        First and last bar whose prices the label needs, both included; `end` may lie beyond the data.
    kind : {"regression", "binary", "ternary"}
        What the values are.
    rule : dict
        Name and parameters, from which the labels can be made again.
    candles : Candles
        Of which they speak.
    """

    values: NDArray[np.float64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    kind: Kind
    rule: dict[str, Any]
    candles: Candles = field(repr=False)

    def __post_init__(self) -> None:
        for array in (self.values, self.start, self.end):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        told = f"{self.rule.get('name', 'no rule')}, {self.kind}, {len(self):,} bars, {self.defined.sum():,} defined"
        return f"{type(self).__name__}({told})"

    @property
    def digest(self) -> str:
        """Identity: the rule and the candles, 64 hexadecimal digits."""
        items = [f"{name}={value!r}" for name, value in self.rule.items()]
        return _core.digest("labels/1", [*items, self.candles.digest])

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether each bar has a label."""
        return ~np.isnan(self.values)

    def uniqueness(self) -> NDArray[np.float64]:
        """How much of each label is its own, among the labels that are defined.

        Returns
        -------
        ndarray of shape (n_bars,)
            As of :func:`barproof.splits.uniqueness`; NaN where there is no label. As ``sample_weight`` of
            scikit-learn; the sum is the number of independent labels that all are worth.
        """
        from barproof.splits import uniqueness

        there = self.defined
        weights = np.full(len(self), np.nan)
        rows = np.flatnonzero(there)
        if len(rows):
            weights[rows] = uniqueness((self.start, self.end), rows=rows)
        return weights

    def shares(self) -> dict[float, float]:
        """Share of each class among the labels that are defined.

        Returns
        -------
        dict of float to float
            Class to share, in the order of the classes; empty for regression.
        """
        if self.kind == "regression":
            return {}
        defined = self.values[~np.isnan(self.values)]
        classes = (0.0, 1.0) if self.kind == "binary" else (-1.0, 0.0, 1.0)
        return {c: float(np.mean(defined == c)) if len(defined) else float("nan") for c in classes}

    def to_polars(self) -> pl.DataFrame:
        """Copy to a frame.

        Returns
        -------
        polars.DataFrame
            Columns `open_time`, `label`, `start`, `end`.
        """
        times = self.candles.to_polars()["open_time"]
        return pl.DataFrame(
            {"open_time": times, "label": self.values, "start": self.start, "end": self.end}
        )


def check_kind(kind: Any, known: tuple[str, ...]) -> None:
    """Refuse a kind that labels of this rule do not have."""
    if kind not in known:
        raise ParameterError(f"`kind` of these labels must be {' or '.join(known)}, was {kind!r}")


def check_level(name: str, value: Any, least: float = -1.0) -> float:
    """Read a threshold, which is a fraction."""
    level = np.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        level = float(value)
    if not (np.isfinite(level) and level >= least):
        raise ParameterError(
            f"`{name}` must be finite and >= {least:g}, was {value!r}: it is a fraction, 0.002 is 0.2%"
        )
    return level


def signs(name: str, value: Any, n: int) -> NDArray[np.int8]:
    """Read one side a bar: 1 long, -1 short, 0 or NaN none."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise LayoutError(
            f"`{name}` must hold one side a bar, 1, -1 or 0, was {type(value).__name__}"
        ) from None
    if array.shape != (n,):
        raise ShapeError(
            f"`{name}` has shape {array.shape}, but the candles hold {n:,} bars: give one side a bar"
        )
    array = np.where(np.isnan(array), 0.0, array)
    wrong = np.flatnonzero(~np.isin(array, (-1.0, 0.0, 1.0)))
    if len(wrong):
        raise ParameterError(
            f"`{name}` is {array[wrong[0]]:g} at bar {wrong[0]}: a side is 1 (long), -1 (short) or 0 (none)"
        )
    if not array.any():
        raise ParameterError(
            f"`{name}` decides nothing: all {n:,} bars are 0 or NaN, so that no label can be made"
        )
    return array.astype(np.int8)


def two_classes(labels: Labels, remedy: str) -> None:
    """Refuse labels that a model can learn nothing from: none at all, or all of one class."""
    known = labels.values[labels.defined]
    if not len(known):
        raise ParameterError(f"no label is defined on any of the {len(labels):,} bars: {remedy}")
    if labels.kind != "regression" and np.ptp(known) == 0:
        raise ParameterError(
            f"all {len(known):,} labels are {known[0]:g}: with one class nothing can be learned; {remedy}"
        )
