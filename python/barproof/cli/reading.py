"""Tables of the user's own, joined to bars by time."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from barproof.candles.columns import times
from barproof.candles.sources import load
from barproof.errors import ConfigError

__all__ = ["read_table"]


def read_table(path: Path, name: str, time: str = "open_time") -> pl.DataFrame:
    """Read a table with opening times; whole numbers and flags become floats.

    Parameters
    ----------
    path : Path
        Parquet, Feather or CSV.
    name : str
        What it holds, for messages.
    time : str, default "open_time"
        Column of the times, which is called `open_time` in what comes back.

    Returns
    -------
    polars.DataFrame
        As in the file.

    Raises
    ------
    ConfigError
        If there is no such column.
    FileError
        If the file cannot be read.
    """
    frame, _ = load(path, name=name)
    if time not in frame.columns:
        raise ConfigError(
            f"{name} {path.name!r} have no column `{time}`, but {', '.join(frame.columns)}: name the bars' opening "
            "times so"
        )
    if not isinstance(frame[time].dtype, (pl.Datetime, pl.Date)):
        # Text and epochs in other units are read as in candles.
        frame = frame.with_columns(pl.Series(time, times(frame[time], time)))
    whole = [
        column
        for column, dtype in frame.schema.items()
        if column != time and (dtype.is_integer() or dtype == pl.Boolean)
    ]
    return frame.with_columns(pl.col(whole).cast(pl.Float64)).rename({time: "open_time"})
