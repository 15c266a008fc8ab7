"""What a path of candles gave, as tables of one row a bar, and where two of them differ first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.data import milliseconds
from barproof.errors import LayoutError

RELATIVE = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Table(NamedTuple):
    """What the path gave, one row a bar; its columns as they lie, for a copy of a large table takes longer than it."""

    names: list[str]
    columns: list[Floats]
    time: Ints | None
    height: int

    def row(self, i: int) -> Floats:
        """Values of one bar."""
        return np.array([column[i] for column in self.columns])

    def defined(self) -> bool:
        """Whether there is any finite value."""
        return any(bool(np.any(np.isfinite(column))) for column in self.columns)


class Difference(NamedTuple):
    """Where two tables differ first."""

    column: str
    bar: int
    whole: float
    cut: float
    cells: int


def table_of(made_: Any) -> Table:
    """Turn the output of a path into columns of floats."""
    if isinstance(made_, pl.Series):
        made_ = made_.to_numpy()
    if hasattr(made_, "columns") and not isinstance(made_, pl.DataFrame):
        made_ = pl.DataFrame({str(name): np.asarray(made_[name]) for name in made_.columns})
    if isinstance(made_, pl.DataFrame):
        clock = milliseconds("open_time", made_["open_time"]) if "open_time" in made_ else None
        names = [
            name
            for name in made_.columns
            if name != "open_time"
            and (made_[name].dtype.is_numeric() or made_[name].dtype == pl.Boolean)
        ]
        held: list[Floats] = []
        for name in names:
            column = made_[name]
            # Nulls of a float column are NaN in numpy.
            floats = column if column.dtype == pl.Float64 else column.cast(pl.Float64)
            held.append(floats.to_numpy())
        return Table(names, held, clock, made_.height)
    array = np.asarray(made_, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise LayoutError(
            f"a path must give a frame or an array of one row a bar, gave {array.ndim} dimensions"
        )
    return of_array([f"column {i}" for i in range(array.shape[1])], array)


def of_array(names: list[str], array: Floats) -> Table:
    """Columns of a matrix by names."""
    return Table(names, [array[:, j] for j in range(len(names))], None, len(array))


def on_bars(table: Table, clock: Ints) -> Table | None:
    """Rows of the table on the bars of the candles; None where they cannot be told."""
    if table.time is None:
        return table if table.height == len(clock) else None
    if np.array_equal(table.time, clock):
        return table
    at = np.searchsorted(clock, table.time)
    known = (at < len(clock)) & (clock[np.minimum(at, len(clock) - 1)] == table.time)
    columns: list[Floats] = []
    for column in table.columns:
        columns.append(np.full(len(clock), np.nan))
        columns[-1][at[known]] = column[known]
    return Table(table.names, columns, clock, len(clock))


class Scale:
    """Mean size of each column, for differences that are relative to it; what is not finite counts as 0.

    Each is computed when a column differs, which few do.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[str, float] = {}

    def __call__(self, name: str) -> float:
        """Mean size of a column."""
        if name not in self._known:
            column = self._table.columns[self._table.names.index(name)]
            good = np.isfinite(column)
            self._known[name] = float(np.abs(column[good]).sum() / max(len(column), 1))
        return self._known[name]


def difference(
    whole: Table,
    cut: Table,
    rows: slice,
    *,
    exact: bool,
    scale: Callable[[str], float],
    relative: float = RELATIVE,
) -> Difference | None:
    """First difference in time of two tables on some rows, both directions."""
    first: tuple[int, int, float, float] | None = None
    cells = 0
    for j, name in enumerate(whole.names):
        a, b = whole.columns[j][rows], cut.columns[j][rows]
        # Equal bits need no second look; NaN has the same ones wherever one path makes it.
        if bool((a.view(np.int64) == b.view(np.int64)).all()):
            continue
        with np.errstate(invalid="ignore"):
            # Equal infinities have no difference.
            same = a == b
            if not exact:
                size = np.maximum(np.abs(a), np.abs(b)) + scale(name)
                same |= np.abs(a - b) <= relative * size
        same |= np.isnan(a) & np.isnan(b)
        if bool(same.all()):
            continue
        row = int(np.argmin(same))
        cells += len(same) - int(np.count_nonzero(same))
        if first is None or row < first[0]:
            first = row, j, float(a[row]), float(b[row])
    if first is None:
        return None
    row, j, mine, other = first
    return Difference(whole.names[j], row + (rows.start or 0), mine, other, cells)


def kind(found: Difference) -> str:
    """Say what later bars did to a value."""
    if math.isnan(found.whole):
        return "vanishes with later bars"
    return "appears with later bars" if math.isnan(found.cut) else "moves with later bars"
