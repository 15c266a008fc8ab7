"""Predictions of any tool as a table with one set of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from barproof.candles.sources import load
from barproof.errors import LayoutError, ParameterError
from barproof.results.naming import Table, clean, number

__all__ = ["PREDICTION_COLUMNS", "read_predictions"]

PREDICTION_COLUMNS = ("p_-1", "p_0", "p_1", "prediction", "label", "fold", "part", "open_time")
"""Columns that a mapping may name; further classes are columns such as `p_2`."""

_CLASS = re.compile(r"p_-?\d{1,4}")
_ALIASES: dict[str, tuple[str, ...]] = {
    "p_1": tuple("probability proba prob pup probup yprob yproba yscore".split()),
    "prediction": ("ypred", "predicted", "forecast"),
    "label": ("ytrue", "target", "y", "truth", "actual"),
}


def read_predictions(source: Any, *, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read a table of predictions.

    Parameters
    ----------
    source : path, frame or mapping
        CSV, Parquet, Feather, or a table; one row a prediction, out of sample.
    columns : mapping of str to str, optional
        Which column holds `p_1`, `p_0`, ... (probabilities of the classes), `prediction` (of a return), `label`,
        `fold`, `part`, `open_time`; the usual names of a probability, a forecast and a label are known.

    Returns
    -------
    polars.DataFrame
        `p_<class>` or `prediction` and `label` as floats, `fold` as whole numbers, `part` as
        text; a probability `p_1` that stands alone gets its `p_0`. Columns of other names stay as they are.

    Raises
    ------
    ParameterError
        If there is neither a probability nor a prediction; says what is needed and what is there.
    LayoutError
        If a column holds no numbers, or folds are no whole numbers.

    Examples
    --------
    >>> read_predictions({"prob": [0.2, 0.75], "y_true": [0, 1]}).columns
    ['p_0', 'p_1', 'label']
    """
    frame, _ = load(source, name="predictions")
    told = dict(columns or {})
    own = [name for name in told if _CLASS.fullmatch(name)]
    table = Table(frame, told, (*PREDICTION_COLUMNS, *own), "predictions")
    named = [c for c in frame.columns if _CLASS.fullmatch(c)]
    found: dict[str, str | None] = {name: name for name in named}
    for name in (*PREDICTION_COLUMNS, *own):
        if _CLASS.fullmatch(name) and (named or name != "p_1"):
            # A table with probabilities of its own needs no guess at one, and p_-1 is not p_1 written otherwise.
            place = told.get(name)
        else:
            known = () if named and name == "prediction" else _ALIASES.get(name, ())
            place = table.find(name, known)
        if place is not None:
            found[name] = place
    classes = sorted((n for n in found if _CLASS.fullmatch(n)), key=lambda n: int(n[2:]))
    if not classes and "prediction" not in found:
        raise ParameterError(
            f"the predictions have no column `p_1` (a probability) or `prediction` (a return), but {table.listed}: say "
            "which column is which with `columns={'p_1': ...}` or `--prediction-column p_1=NAME`"
        )
    made: dict[str, pl.Series] = {}
    for name in (*classes, "prediction", "label"):
        column = found.get(name)
        if column is not None:
            made[name] = _floats(frame[column], name)
    if classes == ["p_1"]:
        made = {"p_0": (1.0 - made["p_1"]).alias("p_0"), **made}
    if "fold" in found:
        made["fold"] = _whole(frame[str(found["fold"])])
    if "part" in found:
        texts = [None if v is None else clean(v) for v in frame[str(found["part"])].to_list()]
        made["part"] = pl.Series("part", texts, dtype=pl.String)
    if "open_time" in found:
        made["open_time"] = frame[str(found["open_time"])].alias("open_time")
    taken = {column for column in found.values() if column is not None}
    rest = [c for c in frame.columns if c not in taken and c not in made]
    # A name that begins like a class and is none would be taken for one.
    rest = [c for c in rest if not c.startswith("p_")]
    return pl.DataFrame([made[n].alias(n) for n in made] + [frame[c] for c in rest])


def _floats(series: pl.Series, name: str) -> pl.Series:
    """Numbers; a column that a part lacks stays null, and what is undefined stays NaN."""
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return series.cast(pl.Float64).alias(name)
    values, percent = number(series, name)
    return (values / 100.0 if percent else values).fill_nan(None).alias(name)


def _whole(series: pl.Series) -> pl.Series:
    """Numbers of folds."""
    values, _ = number(series, "fold")
    whole = values.fill_nan(None)
    if whole.null_count() or not (whole.round() == whole).all() or not whole.is_finite().all():
        raise LayoutError(
            "`fold` of the predictions must be a whole number in every row: leave the column out, or fill it"
        )
    return whole.cast(pl.Int64, strict=False).alias("fold")
