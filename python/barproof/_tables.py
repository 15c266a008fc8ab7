"""Tables in memory of any kind, as polars knows them: the one door of candles, signals, features, trades, funding.

Taken are frames of polars (lazy ones too) and pandas (of NumPy, nullable or Arrow types), tables, batches and readers
of Arrow and whatever speaks its stream interface, structured arrays of NumPy, and mappings of columns. None of the
other libraries is imported for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

__all__ = ["as_table", "pandas_series"]


def as_table(source: Any, *, any_index: bool = False) -> pl.DataFrame | None:
    """Copy a table, or give None where `source` is none.

    Parameters
    ----------
    source : object
        What the caller has.
    any_index : bool, default False
        Whether a named index of pandas becomes a column though it holds no times. One that holds times always does,
        under its name if that ends with ``_time``, else as `open_time`.

    Returns
    -------
    polars.DataFrame or None
        Columns under their own names. What polars itself refuses comes out as its error, or as a `TypeError` or
        `ValueError`.

    Examples
    --------
    >>> as_table(np.array([(1, 0.5)], dtype=[("open_time", "i8"), ("long", "f8")])).row(0)
    (1, 0.5)
    >>> as_table([1.0, 2.0]) is None
    True
    """
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if type(source).__module__.split(".")[0] == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source, any_index)
    if isinstance(source, np.ndarray):
        return None if source.dtype.names is None else _from_records(source)
    if isinstance(source, Mapping):
        return pl.DataFrame(dict(source))
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        return pl.DataFrame(source)
    # Frames of other libraries, by the protocol that came before Arrow's.
    return pl.DataFrame(source) if hasattr(source, "__dataframe__") else None


def _from_records(records: np.ndarray[Any, Any]) -> pl.DataFrame:
    """Copy a structured array, a field a column."""
    names = records.dtype.names or ()
    return pl.DataFrame([pl.Series(name, _plain(records[name].ravel())) for name in names])


def _plain(values: np.ndarray[Any, Any]) -> Any:
    """Values as polars takes them: in this machine's order of bytes, times no coarser than it knows, text as text."""
    kind = values.dtype.kind
    if kind == "M":
        # polars knows no datetimes in seconds or days; microseconds hold every time that pandas can.
        values = values.astype("datetime64[us]")
    elif kind == "S":
        values = values.astype(str)
    elif kind == "O":
        return values.tolist()
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))


def _from_pandas(frame: Any, any_index: bool) -> pl.DataFrame:
    """Copy a pandas frame column by column; an index that tells something becomes a column."""
    columns: dict[str, pl.Series] = {}
    index = frame.index
    name = None if index.name is None else str(index.name)
    dated = type(index).__name__ == "DatetimeIndex" or "timestamp" in str(index.dtype)
    told = name is not None and name not in map(str, frame.columns)
    if dated or (told and (any_index or name == "open_time")):
        label = name if name and (not dated or name.endswith("_time")) else "open_time"
        columns[label] = pandas_series(label, index.to_series())
    # Downloads of one ticker may carry it as a second level of column names.
    levels = [label if isinstance(label, tuple) else (label,) for label in frame.columns]
    alone = len({level[1:] for level in levels}) == 1
    for i, label in enumerate(frame.columns):
        column = str(levels[i][0] if alone else label)
        columns.setdefault(column, pandas_series(column, frame.iloc[:, i]))
    return pl.DataFrame(columns)


def pandas_series(name: str, series: Any) -> pl.Series:
    """Copy a series of pandas; what it misses is null, or NaN in nullable numbers.

    Parameters
    ----------
    name : str
        Name of the copy.
    series : pandas.Series
        Of any type of NumPy, pandas or Arrow.

    Returns
    -------
    polars.Series
        Times with a zone in UTC.
    """
    if type(series.dtype).__name__ == "ArrowDtype":
        held = pl.Series(name, series.array.__arrow_array__())
        zone = getattr(held.dtype, "time_zone", None)
        return held.dt.convert_time_zone("UTC") if zone else held
    if getattr(series.dtype, "tz", None) is not None:
        values = (
            series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        )
        return pl.Series(name, values).dt.replace_time_zone("UTC")
    if series.dtype.kind in "iufbM":
        missing = not isinstance(series.dtype, np.dtype) and bool(series.isna().any())
        values = series.to_numpy("float64", na_value=np.nan) if missing else series.to_numpy()
        return pl.Series(name, _plain(values))
    values = series.astype(object).where(series.notna(), None).tolist()
    return pl.Series(name, values, strict=False)
