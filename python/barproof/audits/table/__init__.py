"""Rows of the table of audits, one module a section."""

from __future__ import annotations

from barproof.audits.entry import Audit
from barproof.audits.table import (
    calibration,
    checkpoints,
    data,
    decisions,
    economics,
    labels,
    overfitting,
    parity,
    predictions,
    significance,
    splits,
)

__all__ = ["ROWS"]

ROWS: tuple[Audit, ...] = (
    *data.ROWS,
    *labels.ROWS,
    *splits.ROWS,
    *parity.ROWS,
    *checkpoints.ROWS,
    *predictions.ROWS,
    *calibration.ROWS,
    *economics.ROWS,
    *significance.ROWS,
    *overfitting.ROWS,
    *decisions.ROWS,
)
