"""Targets of several steps: what chosen channels are in each of the next bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof import _core
from barproof._machine import thread_count
from barproof.errors import LayoutError, ParameterError

__all__ = ["Targets", "targets"]

Form: TypeAlias = Literal["level", "change", "return"]
_FORMS = ("level", "change", "return")


class Targets:
    """Rows x steps x channels, which are never held: a view, or gathered a batch at a time.

    Made by :func:`targets`.

    Attributes
    ----------
    steps : int
        Bars after the row.
    channels : tuple of int or str
        As they were chosen, in order.
    form : {"level", "change", "return"}
        What is held of a value.
    rows : ndarray of shape (n_rows,), int64
        Rows whose values to come are all finite and, for changes and returns, those that they start from.
    start, end : ndarray of shape (n_bars,), int64
        First and last bar of each row's target: row + 1 and row + steps, which may lie beyond the data. Splitters
        purge by them.
    """

    def __init__(
        self,
        values: NDArray[np.float64],
        names: tuple[Any, ...],
        at: list[int],
        steps: int,
        form: Form,
    ) -> None:
        self.steps, self.channels, self.form = steps, names, form
        self._values, self._at = values, at
        n = len(values)
        bars = np.arange(n, dtype=np.int64)
        self.start, self.end = bars + 1, bars + steps
        self._table = _core.TargetTable(
            values.reshape(-1), width=values.shape[1], channels=at, steps=steps, form=form
        )
        fine = np.isfinite(values[:, at]).all(axis=1)
        # A row counts if every later bar of its target does.
        bad = np.concatenate([[0], np.cumsum(~fine)])
        known = np.arange(max(n - steps, 0))
        whole = bad[known + 1 + steps] - bad[known + 1] == 0
        if form != "level":
            now = values[known][:, at]
            whole &= (np.isfinite(now) & ((form == "change") | (now != 0))).all(axis=1)
        self.rows = known[whole].astype(np.int64)
        for array in (self.start, self.end, self.rows):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self._values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows that have a target, steps and channels."""
        return max(len(self._values) - self.steps, 0), self.steps, len(self._at)

    def view(self) -> NDArray[np.float64]:
        """All targets without a copy.

        Returns
        -------
        ndarray of shape (n_bars - steps, steps, n_channels), float64
            Read-only; element (i, k, c) is channel c of bar i + 1 + k. NaN where the table is. Channels that do not
            follow each other evenly are copied once, which is a table and not a tensor.

        Raises
        ------
        ParameterError
            If `form` is not ``"level"``: changes are of two bars, and have no view.
        """
        if self.form != "level":
            raise ParameterError(
                f"targets of form {self.form!r} have no view: take(rows) or batches(...) make them"
            )
        strides = np.diff(self._at)
        if len(self._at) == 1:
            chosen = self._values[:, self._at[0] : self._at[0] + 1]
        elif (strides == strides[0]).all() and strides[0] > 0:
            chosen = self._values[:, self._at[0] : self._at[-1] + 1 : int(strides[0])]
        else:
            chosen = self._values[:, self._at]
        windows = np.lib.stride_tricks.sliding_window_view(chosen[1:], self.steps, axis=0)
        out: NDArray[np.float64] = windows.transpose(0, 2, 1)
        return out

    def take(
        self, rows: ArrayLike, *, dtype: Any = np.float32, threads: int | None = None
    ) -> NDArray[Any]:
        """Targets of some rows.

        Parameters
        ----------
        rows : array_like of int
            Bars, in any order; each must have `steps` bars behind it.
        dtype : dtype, default float32
            float32 or float64.
        threads : int, optional
            Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.

        Returns
        -------
        ndarray of shape (n_rows, steps, n_channels)
            Contiguous. NaN where the table is.

        Raises
        ------
        LayoutError
            If rows are no whole numbers, or `dtype` is another.
        WindowError
            If a row has no target.
        """
        numbers = np.asarray(rows)
        if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and len(numbers)):
            raise LayoutError(f"`rows` of targets must be bar numbers, was {rows!r}")
        kind = np.dtype(dtype)
        if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise LayoutError(f"`dtype` of targets must be float32 or float64, was {kind}")
        out: NDArray[Any] = self._table.gather(
            numbers.astype(np.int64), kind == np.dtype(np.float32), thread_count(threads)
        )
        return out

    def batches(
        self,
        size: int,
        *,
        rows: ArrayLike | None = None,
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Targets a batch at a time.

        Parameters
        ----------
        size : int
            Rows of a batch, at least 1; the last may hold fewer.
        rows : array_like of int, optional
            Default: :attr:`rows`.
        dtype, threads
            As for :meth:`take`.

        Yields
        ------
        rows : ndarray of shape (n_batch,), int64
            Bars of the batch.
        targets : ndarray of shape (n_batch, steps, n_channels)
            What :meth:`take` gives.

        Raises
        ------
        ParameterError
            If `size` is below 1.
        """
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ParameterError(f"`size` of a batch must be a whole number >= 1, was {size!r}")
        chosen = self.rows if rows is None else np.asarray(rows)
        for first in range(0, len(chosen), int(size)):
            part = chosen[first : first + int(size)]
            yield part, self.take(part, dtype=dtype, threads=threads)

    def __repr__(self) -> str:
        n, steps, channels = self.shape
        return f"Targets({n:,} rows x {steps} steps x {channels} channels, {self.form})"


def targets(
    values: Any, *, steps: int, channels: Sequence[int | str] | None = None, form: Form = "level"
) -> Targets:
    """Ask for the values of chosen channels in each of the next bars.

    Row i is for a model that has seen bar i's close; its target is bars i + 1 to i + steps.

    Parameters
    ----------
    values : array_like of shape (n_bars, n_channels), or frame
        One row a bar. Columns of a frame, `open_time` apart, are channels by name.
    steps : int
        Bars after each row, at least 1 and fewer than there are bars.
    channels : sequence of int or str, optional
        Which, in the order wanted. Default: all.
    form : {"level", "change", "return"}, default "level"
        The value, its difference from that of the row, or its ratio to it less one.

    Returns
    -------
    Targets
        With spans to purge by; nothing of the size of the tensor is held.

    Raises
    ------
    LayoutError
        If `values` is no table of numbers, or `steps` no whole number.
    ParameterError
        If `steps` is out of bounds, a channel does not exist or stands twice, or there is no such form.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> close = targets(candles.to_polars().drop("open_time"), steps=24, channels=["close"])
    >>> close
    Targets(976 rows x 24 steps x 1 channels, level)
    >>> bool(close.view()[10, 0, 0] == candles.close[11])
    True
    """
    names, array = _read(values)
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise LayoutError(f"`steps` of targets must be a whole number, was {steps!r}")
    if not 1 <= steps < len(array):
        raise ParameterError(
            f"`steps` of targets must be from 1 to {len(array) - 1:,}, as there are {len(array):,} bars, was {steps}"
        )
    if form not in _FORMS:
        raise ParameterError(f"`form` of targets must be {', '.join(_FORMS)}, was {form!r}")
    chosen = tuple(names if channels is None else channels)
    if not chosen:
        raise ParameterError("`channels` of targets are empty: choose at least one")
    at = []
    for channel in chosen:
        known = list(range(len(names))) if isinstance(channel, (int, np.integer)) else names
        if channel not in known:
            shown = (
                f"0 to {len(names) - 1}" if known is not names else ", ".join(map(str, names[:8]))
            )
            raise ParameterError(f"targets have no channel {channel!r}; known: {shown}")
        at.append(known.index(channel))
    if len(set(at)) < len(at):
        raise ParameterError(f"a channel of targets stands twice in {list(chosen)!r}: keep one")
    return Targets(array, chosen, at, int(steps), form)


def _read(values: Any) -> tuple[list[Any], NDArray[np.float64]]:
    """Channels and values of a table, one row a bar."""
    names: list[Any] | None = None
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):
        names = [str(name) for name in values.columns if str(name) != "open_time"]
        values = values[names].to_numpy()
    try:
        array = np.ascontiguousarray(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise LayoutError(
            f"`values` of targets must be a table of numbers, was {type(values).__name__}"
        ) from None
    if array.ndim != 2 or not array.size:
        raise LayoutError(
            f"`values` of targets must be bars x channels, was of shape {array.shape}"
        )
    if array is values:
        array = array.copy()
    array.flags.writeable = False
    return (list(range(array.shape[1])) if names is None else names), array
