"""Predictions that come as a table, judged as :func:`barproof.evaluate` judges a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import polars as pl

from barproof._evaluate import _CALIBRATION, Evaluation, _curves, _scored
from barproof.errors import ParameterError, ShapeError
from barproof.inference import CLASSES, Flags
from barproof.labels import Kind, Labels
from barproof.models.protocol import Floats, Ints

if TYPE_CHECKING:
    from barproof.bundle import FittedPart

__all__ = ["judge"]

ROUNDING = 1e-6
"""By how much probabilities of a row may miss 1: tables are written with few digits."""


class _Shape(NamedTuple):
    """What scoring asks of a fitted part."""

    kind: Kind
    classes: tuple[int, ...]


def judge(
    found: Floats,
    labels: Labels,
    rows: Ints,
    *,
    level: float = 0.95,
    seed: int = 0,
    name: str = "model",
) -> Evaluation:
    """Judge predictions, whoever made them.

    Parameters
    ----------
    found : ndarray of shape (n_bars, n_classes)
        Probabilities in the order of the classes, or one column of predicted returns; NaN where there is none.
    labels : Labels
        What came, one a bar.
    rows : ndarray of int64
        Bars that count, increasing.
    level : float, default 0.95
        Of the intervals.
    seed : int, default 0
        Of the resampling.
    name : str, default "model"
        What the predictions are called.

    Returns
    -------
    Evaluation
        As from :func:`barproof.evaluate`; `in_sample` is 0, for only their maker knows.

    Raises
    ------
    ShapeError
        If there is not a row a bar, and a column a class.
    ParameterError
        If a probability is none, or no bar has both label and prediction.
    """
    classes = CLASSES[labels.kind]
    wanted = (len(labels), max(len(classes), 1))
    if found.shape != wanted:
        raise ShapeError(
            f"predictions have shape {found.shape}, not {wanted}: give a row a bar, and a column a class of "
            f"{labels.kind} labels"
        )
    if not 0.0 < level < 1.0:
        raise ParameterError(f"`level` must be between 0 and 1, was {level!r}")
    known: Flags = np.all(~np.isnan(found), axis=1)
    if classes:
        here = found[known]
        wrong = np.flatnonzero(
            (here < 0.0).any(axis=1)
            | (here > 1.0).any(axis=1)
            | (np.abs(here.sum(axis=1) - 1.0) > ROUNDING)
        )
        if len(wrong):
            bar = int(np.flatnonzero(known)[wrong[0]])
            shown = ", ".join(f"{p:.6g}" for p in found[bar])
            raise ParameterError(
                f"predictions of {len(wrong):,} bars are no probabilities, first bar {bar}: {shown}; they must lie in "
                "[0, 1] and sum to 1"
            )
    at = rows[known[rows] & ~np.isnan(labels.values[rows])]
    if not len(at):
        raise ParameterError(
            f"none of {len(rows):,} bars has both a label and a prediction: {int(known[rows].sum()):,} have a "
            f"prediction, {int((~np.isnan(labels.values[rows])).sum()):,} a label"
        )
    shape = cast("FittedPart", _Shape(labels.kind, classes))
    frame = _scored(name, shape, found[at], labels, at, level, seed)
    curves = _curves(name, shape, found[at], labels.values[at])
    return Evaluation(
        frame,
        pl.DataFrame(curves, schema=_CALIBRATION, orient="row"),
        (int(rows[0]), int(rows[-1]) + 1),
        0,
        level,
        tuple(dict.fromkeys(frame["reason"].drop_nulls())),
        {"candles": labels.candles.digest, "labels": labels.digest},
    )
