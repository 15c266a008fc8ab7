"""Daily returns of a sweep, walked over in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._machine import available_bytes
from barproof.errors import ParameterError, PlanError

__all__ = ["DailyReturns"]

_DAILY_CHUNK = 1_024


@dataclass(frozen=True, repr=False)
class DailyReturns:
    """Daily returns of every combination, windows one after the other.

    Computed in chunks when asked for, so that they need not be held at once.

    Attributes
    ----------
    dates : polars.Series
        UTC day of each return; a day split between two windows stands twice.
    combinations : ndarray of int
        Numbers of the combinations, in order.
    """

    dates: pl.Series
    combinations: NDArray[np.int64]
    _compute: Callable[[list[int]], NDArray[np.float64]]

    def __repr__(self) -> str:
        span = f" from {self.dates[0]} to {self.dates[-1]}" if len(self.dates) else ""
        return f"DailyReturns({len(self.combinations):,} combinations x {len(self.dates):,} days{span})"

    def chunks(self, size: int = _DAILY_CHUNK) -> Iterator[NDArray[np.float64]]:
        """Walk over combinations without holding them all.

        Parameters
        ----------
        size : int, default 1024
            Combinations a chunk.

        Yields
        ------
        ndarray of shape (at most size, n_days)
            Returns as fractions, rows in the order of `combinations`.
        """
        if size < 1:
            raise ParameterError(f"`size` of a chunk must be at least 1, was {size}")
        for start in range(0, len(self.combinations), size):
            yield self._compute(self.combinations[start : start + size].tolist())

    def to_numpy(self) -> NDArray[np.float64]:
        """All at once.

        Returns
        -------
        ndarray of shape (n_combinations, n_days)
            Returns as fractions.
        """
        need = 8 * len(self.combinations) * len(self.dates)
        if need > available_bytes():
            raise PlanError(
                f"daily returns of {len(self.combinations):,} combinations need {need:,} bytes, {available_bytes():,} "
                "are free: walk over chunks()"
            )
        return np.concatenate(list(self.chunks()))

    def to_polars(self) -> pl.DataFrame:
        """One column a combination.

        Returns
        -------
        polars.DataFrame
            Column `date`, then one named by each combination's number.
        """
        values = self.to_numpy()
        columns = {str(c): values[i] for i, c in enumerate(self.combinations.tolist())}
        return pl.DataFrame({"date": self.dates, **columns})
