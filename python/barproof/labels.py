"""Labels: what a model is asked to foresee, with the bars each label looks at.

A label of bar i is for a model that has seen bar i's close. It looks ahead, so it never enters a backtest; its span
says which rows it would leak into.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof.errors import LayoutError, ParameterError

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["Labels", "horizon"]

Kind = Literal["regression", "binary", "ternary"]
Clock = Literal["open", "close"]


@dataclass(frozen=True, eq=False)
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

    @property
    def digest(self) -> str:
        """Identity: the rule and the candles, 64 hexadecimal digits."""
        items = [f"{name}={value!r}" for name, value in self.rule.items()]
        return _core.digest("labels/1", [*items, self.candles.digest])

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


def horizon(
    candles: Candles,
    *,
    bars: int,
    threshold: float | None = None,
    kind: Kind | None = None,
    clock: Clock = "open",
) -> Labels:
    """Label each bar by the return of the bars after it.

    On the trading clock (``"open"``) the return runs from the next open, where a decision made at the bar's close
    would be filled, to the open `bars` bars later. On ``"close"`` it runs from the bar's own close, at which nobody can
    trade any more, to the close `bars` bars on.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    bars : int
        Length of the horizon, at least 1.
    threshold : float, optional
        Move that counts, a fraction >= 0. Above 0 it makes ternary labels unless `kind` says otherwise.
    kind : {"regression", "binary", "ternary"}, optional
        Regression: the simple return. Binary: 1 if the return exceeds the threshold, else 0. Ternary: 1 if it exceeds
        the threshold, -1 if it is below minus the threshold, else 0. Default: regression, or ternary with a threshold.
    clock : {"open", "close"}, default "open"
        When the return begins and ends.

    Returns
    -------
    Labels
        One a bar; the last `bars` + 1 (``"close"``: `bars`) are NaN.

    Raises
    ------
    ParameterError
        If an argument is out of bounds, or the horizon is longer than the data.
    LayoutError
        If `bars` is no whole number.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> labels = horizon(candles, bars=6, threshold=0.002)
    >>> labels.kind, len(labels), int(labels.start[0]), int(labels.end[0])
    ('ternary', 1000, 1, 7)
    """
    if isinstance(bars, bool) or not isinstance(bars, (int, np.integer)):
        raise LayoutError(f"`bars` of the horizon must be a whole number, was {bars!r}")
    if bars < 1:
        raise ParameterError(f"`bars` of the horizon must be at least 1, was {bars}")
    if clock not in ("open", "close"):
        raise ParameterError(f'`clock` must be "open" or "close", was {clock!r}')
    level = 0.0 if threshold is None else float(threshold)
    if not (np.isfinite(level) and level >= 0):
        raise ParameterError(
            f"`threshold` must be finite and >= 0, was {threshold!r}: it is a fraction, 0.002 is 0.2%"
        )
    kind = kind or ("ternary" if level > 0 else "regression")
    if kind not in ("regression", "binary", "ternary"):
        raise ParameterError(
            f"`kind` of labels must be regression, binary or ternary, was {kind!r}"
        )
    lead = 1 if clock == "open" else 0
    n, reach = len(candles), int(bars) + lead
    if reach >= n:
        raise ParameterError(
            f"`bars` of the horizon is {bars}, but the candles hold {n} bars: a label needs {reach + 1}"
        )
    prices = candles.open if clock == "open" else candles.close
    values = np.full(n, np.nan)
    values[: n - reach] = prices[reach:] / prices[lead : n - bars] - 1.0
    if kind != "regression":
        defined = ~np.isnan(values)
        up = (values > level).astype(np.float64)
        down = (values < -level).astype(np.float64) if kind == "ternary" else 0.0
        values = np.where(defined, up - down, np.nan)
    at = np.arange(n, dtype=np.int64)
    rule = {"name": "horizon", "bars": int(bars), "threshold": level, "kind": kind, "clock": clock}
    return Labels(values, at + lead, at + reach, kind, rule, candles)
