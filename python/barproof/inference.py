"""From tables of features to matrices, and from matrices to predictions.

Tables are joined to candles by opening time, columns are found by name, and a row for which nothing can be said is
NaN: neither order nor length of a table decides anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._axis import milliseconds
from barproof._tables import as_table
from barproof.candles.table import show_time
from barproof.errors import LayoutError, ParameterError, ShapeError, TrainingError
from barproof.models.protocol import Floats, Ints, Kind, class_sums

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.models.protocol import Model

__all__ = [
    "CLASSES",
    "Changed",
    "FeatureTable",
    "changed_decisions",
    "features_digest",
    "read_features",
    "usable_rows",
]

Flags: TypeAlias = NDArray[np.bool_]

_ROWS = 65_536

CLASSES: dict[str, tuple[int, ...]] = {"regression": (), "binary": (0, 1), "ternary": (-1, 0, 1)}
"""Classes of each kind of labels, in the order of probabilities."""


def features_digest(names: Sequence[str]) -> str:
    """Identity of an ordered list of features, 64 hexadecimal digits.

    Parameters
    ----------
    names : sequence of str
        Canonical names of the columns.

    Returns
    -------
    str
        Equal for equal names in equal order.
    """
    return _core.digest("features/1", list(names))


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features, one row a time.

    Attributes
    ----------
    names : tuple of str
        Columns.
    values : ndarray of shape (n_rows, n_features), float64
        NaN where undefined, never infinite.
    times : ndarray of shape (n_rows,), int64, or None
        Opening times, milliseconds UTC, increasing; None if there was no column `open_time`.
    """

    names: tuple[str, ...]
    values: Floats
    times: Ints | None

    def onto(self, candles: Candles) -> Floats:
        """Rows in the place of their bars.

        Parameters
        ----------
        candles : Candles
            Bars to join to, by opening time.

        Returns
        -------
        ndarray of shape (n_bars, n_features)
            NaN at bars without a row.

        Raises
        ------
        LayoutError
            If there are no times.
        ParameterError
            If a time meets no bar.
        """
        if self.times is None:
            raise LayoutError(
                "features have no column `open_time` to join them to the candles by: keep the one of compute(...)"
            )
        bars = candles.open_time
        if np.array_equal(self.times, bars):
            return self.values
        at = np.minimum(np.searchsorted(bars, self.times), len(bars) - 1)
        lost = np.flatnonzero(bars[at] != self.times)
        if len(lost):
            raise ParameterError(
                f"{len(lost):,} of {len(self.times):,} times of the features meet no bar, first "
                f"{show_time(self.times[lost[0]])}: `open_time` must hold opening times of these candles, "
                f"{show_time(bars[0])} to {show_time(bars[-1])}"
            )
        out = np.full((len(bars), self.values.shape[1]), np.nan)
        out[at] = self.values
        return out


def read_features(X: Any, names: Sequence[str] | None = None) -> FeatureTable:  # noqa: N803
    """Read a table of features.

    Parameters
    ----------
    X : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, structured array or mapping
        Float columns, and `open_time`: datetimes (naive ones are UTC) or integer milliseconds.
    names : sequence of str, optional
        Columns to take, in this order. Default: all.

    Returns
    -------
    FeatureTable
        With nulls as NaN.

    Raises
    ------
    LayoutError
        If it is no table, columns repeat, are missing or hold no floats.
    ParameterError
        If times are not increasing, or a value is infinite.
    """
    frame = as_frame(X)
    offered = [name for name in frame.columns if name != "open_time"]
    wanted = offered if names is None else list(names)
    if not wanted:
        raise LayoutError("features have no columns but `open_time`: give at least one feature")
    absent = [name for name in wanted if name not in offered]
    if absent:
        shown = ", ".join(f"`{name}`" for name in absent[:5]) + (", ..." if absent[5:] else "")
        raise LayoutError(
            f"features lack {len(absent)} of {len(wanted)} columns: {shown}; columns are found by name, give them all"
        )
    times = milliseconds(frame["open_time"]) if "open_time" in frame.columns else None
    values = np.empty((frame.height, len(wanted)))
    for j, name in enumerate(wanted):
        column = frame[name]
        if not column.dtype.is_float():
            raise LayoutError(
                f"feature `{name}` must be a column of floats, was {column.dtype}: cast it, or leave it out"
            )
        values[:, j] = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        infinite = np.flatnonzero(np.isinf(values[:, j]))
        if len(infinite):
            raise ParameterError(
                f"feature `{name}` is infinite in {len(infinite):,} rows, first row {infinite[0]}: make it NaN where "
                "it is undefined"
            )
    return FeatureTable(tuple(wanted), values, times)


def as_frame(X: Any) -> pl.DataFrame:  # noqa: N803
    """Table of features as polars knows it; columns that repeat are refused."""
    if isinstance(X, pl.DataFrame):
        return X
    if isinstance(X, pl.LazyFrame):
        return X.collect()
    names = [str(name) for name in getattr(X, "column_names", getattr(X, "columns", ()))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LayoutError(f"features have more than one column `{twice[0]}`: give each a name")
    try:
        held = as_table(X)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise LayoutError(
            f"features cannot be read from this {type(X).__name__}: give columns of equal length, one number a row"
        ) from error
    if held is None:
        raise LayoutError(
            f"features must be a frame or a mapping of columns, was {type(X).__name__}: columns are found by name"
        )
    return held


def values_digest(names: Sequence[str], values: Floats) -> str:
    """Identity of features with their values; NaN is NaN and -0 is 0, whatever their bits."""
    plain = np.where(np.isnan(values), np.nan, values + 0.0)
    data = hashlib.sha256(np.ascontiguousarray(plain).view(np.uint8).data).hexdigest()
    return _core.digest("matrix/1", [*names, str(values.shape), data])


def usable_rows(values: Floats, *, allows_nan: bool) -> Flags:
    """Which rows a model can use.

    Parameters
    ----------
    values : ndarray of shape (n, n_features)
        Features, NaN where undefined.
    allows_nan : bool
        Whether the model takes NaN; then a row needs one feature, else all.

    Returns
    -------
    ndarray of shape (n,), bool
        True where it can.
    """
    out = np.empty(len(values), dtype=np.bool_)
    if allows_nan and values.shape[1]:
        # One feature is enough, and mostly the first is there.
        out = ~np.isnan(values[:, 0])
        lacking = np.flatnonzero(~out)
        for first in range(0, len(lacking), _ROWS):
            rows = lacking[first : first + _ROWS]
            out[rows] = np.any(~np.isnan(values[rows]), axis=1)
        return out
    for first in range(0, len(values), _ROWS):
        # A piece at a time: a flag a value would be an eighth of the table.
        there = ~np.isnan(values[first : first + _ROWS])
        out[first : first + _ROWS] = np.any(there, axis=1) if allows_nan else np.all(there, axis=1)
    return out


def take_columns(values: Floats, columns: Ints) -> Floats:
    """Take columns of a table; the table itself where that is all of them."""
    if np.array_equal(columns, np.arange(values.shape[1])):
        return values
    return values[:, columns]


def window_of(model: Any) -> int:
    """Bars that a model looks at for a prediction."""
    return int(getattr(model, "window", 1))


def usable_windows(values: Floats, window: int, *, allows_nan: bool) -> Flags:
    """Which rows a model can use with the whole window that ends there; NaN in it only if it allows them."""
    usable = usable_rows(values, allows_nan=allows_nan)
    if window == 1:
        return usable
    met = np.concatenate([[0], np.cumsum(usable)])
    out = np.zeros(len(values), dtype=np.bool_)
    out[window - 1 :] = met[window:] - met[:-window] == window
    return out


def predict_rows(
    model: Model,
    values: Floats,
    kind: Kind,
    classes: tuple[int, ...],
    at: Ints | None = None,
) -> Floats:
    """Uncalibrated output of a fitted model, checked: one column a class of the kind, or one in all for regression.

    Of the rows `at`, default all. NaN where the model cannot use the row; 0 for classes that it has not met. Models
    with a window get consecutive rows from the first window on, and the numbers of those that are asked for.
    """
    columns = CLASSES[kind]
    window = window_of(model)
    if at is not None and window == 1:
        # Rows that follow each other are where they lie: a copy of the table would be as large as the table.
        follow = (
            len(at) > 0
            and int(at[-1]) - int(at[0]) + 1 == len(at)
            and bool(np.all(np.diff(at) == 1))
        )
        values, at = values[int(at[0]) : int(at[-1]) + 1] if follow else values[at], None
    count = len(values) if at is None else len(at)
    out = np.full((count, max(len(columns), 1)), np.nan)
    if at is not None and len(at):
        # Windows reach back, nothing reaches beyond: only what is needed is looked at.
        first = max(int(at.min()) - window + 1, 0)
        values, at = values[first : int(at.max()) + 1], at - first
    usable = usable_windows(values, window, allows_nan=model.allows_nan)
    if at is not None:
        usable = usable[at]
    if not usable.any():
        return out
    if window > 1:
        asked = np.flatnonzero(usable) if at is None else at[usable]
        ask: Any = model.predict if kind == "regression" else model.predict_proba
        told, given = len(asked), ask(values, rows=asked)
    else:
        rows = values if usable.all() else values[usable]
        told = len(rows)
        given = model.predict(rows) if kind == "regression" else model.predict_proba(rows)
    found = np.asarray(given, dtype=np.float64)
    wanted = (told,) if kind == "regression" else (told, len(classes))
    if found.shape != wanted:
        raise TrainingError(
            f"predictions of {model.name} have shape {found.shape}, not {wanted}: one row a row, one column a class "
            "in the order of np.unique(y)"
        )
    if not np.all(np.isfinite(found)):
        raise TrainingError(
            f"predictions of {model.name} are not all finite: rows with NaN features come only if it sets allows_nan"
        )
    if kind == "regression":
        out[usable, 0] = found
        return out
    if not (np.all(found >= 0.0) and np.all(np.abs(class_sums(found) - 1.0) < 1e-6)):
        raise TrainingError(
            f"probabilities of {model.name} must be >= 0 and sum to 1 in every row: have predict_proba normalise them"
        )
    whole = told == len(out)
    full = out if whole else np.empty((told, len(columns)))
    full[:] = 0.0
    for j, c in enumerate(classes):
        full[:, columns.index(c)] = found[:, j]
    if not whole:
        out[usable] = full
    return out


@dataclass(frozen=True)
class Changed:
    """How two sets of predictions of the same rows differ.

    Attributes
    ----------
    rows : int
        Rows that both have.
    difference : float
        Largest difference of a number.
    decisions : int
        Rows with another decision: another side of the threshold in any column, or another likeliest class.
    lost : int
        Rows that one of them has, and not the other.
    """

    rows: int
    difference: float
    decisions: int
    lost: int


def changed_decisions(then: Floats, now: Floats, *, threshold: float | None = None) -> Changed:
    """Count the decisions that other predictions change: another device, batch size, precision or version.

    Parameters
    ----------
    then, now : ndarray of shape (n, n_classes)
        Predictions of the same rows; NaN where there is none.
    threshold : float, optional
        Entry threshold of each column. Default: the likeliest class decides; for a single column its sign.

    Returns
    -------
    Changed
        Rows, largest difference, changed decisions.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> changed_decisions(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.4, 0.6]])).decisions
    1
    """
    if then.shape != now.shape or then.ndim != 2:
        raise ShapeError(
            f"predictions have shapes {then.shape} and {now.shape}: give two of the same rows, a column a class"
        )
    there, also = ~np.isnan(then[:, 0]), ~np.isnan(now[:, 0])
    a, b = then[there & also], now[there & also]
    if threshold is not None:
        other = np.any((a >= threshold) != (b >= threshold), axis=1)
    elif then.shape[1] == 1:
        other = (a[:, 0] > 0) != (b[:, 0] > 0)
    else:
        other = a.argmax(axis=1) != b.argmax(axis=1)
    gap = float(np.max(np.abs(a - b), initial=0.0))
    return Changed(len(a), gap, int(other.sum()), int(np.count_nonzero(there != also)))
