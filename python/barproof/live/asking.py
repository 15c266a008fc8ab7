"""What models say at a close: of one row, or of the rows of many symbols in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from barproof._calibration import apply_calibration, tempered
from barproof._run import ONLY, _side
from barproof.bundle import FittedPart
from barproof.models.single_row import single_row

if TYPE_CHECKING:
    from barproof.live.market import LiveMarket

__all__ = ["RowAsker", "signals_together"]

Floats = NDArray[np.float64]


class RowAsker:
    """Asks one part of a bundle about one row; the bits of ``part.predict``, at a tenth of what surrounds the model.

    What is looked at for tables, row by row, is looked at here for one row; where anything is out of the ordinary, the
    way for tables is gone.
    """

    def __init__(self, part: FittedPart, columns: NDArray[np.int64], features: int) -> None:
        self.part = part
        self.columns = None if np.array_equal(columns, np.arange(features)) else columns
        self.plain = part.kind == "binary" and part.window == 1 and tuple(part.met) == (0, 1)
        self._ask = single_row(part.model, len(columns)) if self.plain else part.model.predict
        self._method = part.calibration["method"]
        if self._method == "temperature" and list(part.calibration["classes"]) != [0, 1]:
            self.plain = False

    def __call__(self, rows: Floats) -> Floats:
        """Ask about the row of shape (1, n_features); gives (1, n_classes)."""
        values = rows if self.columns is None else rows[:, self.columns]
        if not self.plain:
            return self.part.predict(values)
        row = values[0]
        # Squares do not cancel: their sum is NaN exactly where one of them is.
        total = row.dot(row)
        if total != total and not (self.part.model.allows_nan and row[0] == row[0]):
            return self.part.predict(values)
        found = np.asarray(self._ask(values), dtype=np.float64)
        if found.shape != (1, 2):
            return self.part.predict(values)
        down, up = found[0].tolist()
        if not (down >= 0.0 and up >= 0.0 and abs(down + up - 1.0) < 1e-6):
            return self.part.predict(values)
        if self._method is None:
            return found
        if self._method == "temperature":
            return np.array([tempered(self.part.calibration["temperature"], down, up)])
        return apply_calibration(self.part.calibration, found)


def signals_together(markets: Sequence[LiveMarket]) -> list[dict[str, float]]:
    """Ask one bundle about the last row of several markets at once.

    Parameters
    ----------
    markets : sequence of LiveMarket
        All with the same bundle.

    Returns
    -------
    list of dict
        Signals of each, NaN where the model has too little to go by.
    """
    first = markets[0]
    bundle, wanted = first.bundle, first.arrays
    out: list[dict[str, float]] = [{} for _ in markets]
    for name, part in bundle.parts.items():
        asker = first.askers[name]
        if len(markets) == 1 and part.window == 1:
            found = asker(first.rows[-1:])
        else:
            window = part.window
            block = np.concatenate([market.rows[-window:] for market in markets])
            if asker.columns is not None:
                block = block[:, asker.columns]
            rows = None if window == 1 else np.arange(window - 1, len(block), window)
            found = part.predict(block, rows=rows)
        sides = ("long", "short") if name == ONLY else (name,)
        for side in sides:
            if asker.plain and len(markets) == 1:
                up = float(found[0, 1])
                value = up if name != ONLY or side == "long" else 1.0 - up
                # A sum of rounded shares may pass 1 by a rounding; NaN stays.
                out[0][side] = 0.0 if value < 0.0 else 1.0 if value > 1.0 else value
                continue
            said = _side(found, part.kind, side, named=name != ONLY)
            for k, value in enumerate(said.tolist()):
                out[k][side] = value
    for leave, enter in (("exit_long", "short"), ("exit_short", "long")):
        if leave in wanted and leave not in bundle.parts:
            for one in out:
                one[leave] = one[enter]
    return out
