"""Signals: model outputs aligned to bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from barproof import _core
from barproof._shown import array_rows, shown
from barproof._tables import as_table
from barproof.errors import LayoutError, ParameterError, ShapeError, SignalError

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.features import OwnFeature

__all__ = ["Signals"]

ARRAYS = ("long", "short", "exit_long", "exit_short", "stop", "target", "size")
Kind = Literal["probability", "score"]
Floats = NDArray[np.float64]


def _as_floats(name: str, values: ArrayLike) -> Floats:
    """One-dimensional array of floats; what has no value is NaN."""
    if isinstance(values, pl.Series) and (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    elif isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        # Times, records and complex numbers would convert too, and mean something else.
        if getattr(getattr(values, "dtype", None), "kind", "f") in "mMcV":
            raise TypeError
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise LayoutError(
            f"signal `{name}` must be an array of numbers, was {type(values).__name__}: give floats, NaN for no signal"
        ) from None
    if array.ndim != 1:
        raise ShapeError(
            f"signal `{name}` must have one dimension, had shape {array.shape}: pick one column, one value a bar"
        )
    return array


@shown(array_rows)
class Signals:
    """Model outputs, one value a bar, known at that bar's close; NaN is no signal.

    Arrays are copied, checked and digested once; a caller who writes to them later changes nothing.

    Parameters
    ----------
    long, short : array_like of shape (n_bars,), optional
        Decide entries: probabilities in [0, 1], or scores. At least one array must be given.
    exit_long, exit_short : array_like of shape (n_bars,), optional
        Decide exits.
    stop, target : array_like of shape (n_bars,), optional
        Distances > 0 for stops and targets of kind ``"signal"``, as fractions of the entry price.
    size : array_like of shape (n_bars,), optional
        Sizes in (0, 1] for ``sizing="signal"``.
    kind : {"probability", "score"}, default "probability"
        What the four decision arrays hold.

    Raises
    ------
    ShapeError
        If lengths differ or an array is not one-dimensional.
    SignalError
        If a value is infinite or out of range; names array, bar and value.
    LayoutError
        If an array does not hold numbers.

    Examples
    --------
    >>> Signals(long=[0.2, 0.7, float("nan")])
    Signals(long, 3 bars, probability)
    """

    __slots__ = ("_bars", "_times")

    def __init__(
        self,
        *,
        long: ArrayLike | None = None,
        short: ArrayLike | None = None,
        exit_long: ArrayLike | None = None,
        exit_short: ArrayLike | None = None,
        stop: ArrayLike | None = None,
        target: ArrayLike | None = None,
        size: ArrayLike | None = None,
        kind: Kind = "probability",
    ) -> None:
        if kind not in ("probability", "score"):
            raise ParameterError(
                f'`kind` of signals must be "probability" or "score", was {kind!r}'
            )
        given = dict(
            zip(ARRAYS, (long, short, exit_long, exit_short, stop, target, size), strict=True)
        )
        arrays = {name: _as_floats(name, v) for name, v in given.items() if v is not None}
        self._bars = _core.Signals(kind, arrays)
        self._times: NDArray[np.int64] | None = None

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        time: str = "open_time",
        kind: Kind = "probability",
        **columns: str,
    ) -> Signals:
        """Signals from a table with times, joined to the candles by time where they are used.

        The safe way: a shortened or reordered table cannot slide along the bars. Bars without a row have no signal; a
        row inside the candles' span that meets no bar is an error. Times shifted by whole bars cannot be told apart
        from right ones: only who made them knows.

        Parameters
        ----------
        frame : polars.DataFrame, pandas.DataFrame, pyarrow.Table, structured array or mapping
            One row a bar; order does not matter. An index of pandas that holds times is the column `open_time`.
        time : str, default "open_time"
            Column with the opening times of the bars: datetimes (naive ones are UTC) or integer milliseconds.
        kind : {"probability", "score"}, default "probability"
            What the values are.
        **columns : str
            Array name to column name, such as ``long="p_up"``. Default: columns named like the arrays.

        Returns
        -------
        Signals
            Carrying their times.

        Raises
        ------
        ParameterError
            If a column or array name does not exist.
        SignalError
            If times repeat or are missing, or values are out of range.

        Examples
        --------
        >>> frame = pl.DataFrame({"open_time": [0, 60_000], "p_up": [0.4, 0.9]})
        >>> Signals.from_frame(frame, long="p_up")
        Signals(long, 2 bars, probability)
        """
        table = _as_polars(frame)
        if not table.height:
            raise SignalError("signal table holds no rows: there is nothing to join")
        for name in columns:
            if name not in ARRAYS:
                raise ParameterError(f"unknown signal array `{name}`; known: {', '.join(ARRAYS)}")
        chosen = columns or {name: name for name in ARRAYS if name in table.columns}
        if not chosen:
            raise ParameterError(
                f'signal table has none of the columns {", ".join(ARRAYS)}: name yours, such as long="p_up"'
            )
        for name in (time, *chosen.values()):
            if name not in table.columns:
                raise ParameterError(
                    f"column `{name}` is not in the signal table, which has: {', '.join(table.columns)}"
                )
        times = _milliseconds(table[time])
        order = np.argsort(times, kind="stable")
        times = times[order]
        repeated = np.flatnonzero(np.diff(times) == 0)
        if len(repeated):
            first = times[repeated[0]]
            raise SignalError(
                f"`{time}` {_show(first)} stands in {np.count_nonzero(times == first)} rows, "
                f"{len(repeated)} rows repeat a time: give one row a bar"
            )
        arrays = {name: _as_floats(name, table[column])[order] for name, column in chosen.items()}
        signals = cls(kind=kind, **arrays)
        signals._times = times
        return signals

    @classmethod
    def sparse(
        cls,
        bars: SupportsIndex | Candles,
        *,
        kind: Kind = "probability",
        **entries: Iterable[tuple[int, float]],
    ) -> Signals:
        """Signals at a few bars.

        Parameters
        ----------
        bars : int or Candles
            Number of bars, or the candles.
        kind : {"probability", "score"}, default "probability"
            What the values are.
        **entries : iterable of (int, float)
            Array name to (bar, value) pairs; all other bars have no signal.

        Returns
        -------
        Signals
            Of that many bars.

        Raises
        ------
        ParameterError
            If a bar lies outside, or a name is no array.

        Examples
        --------
        >>> Signals.sparse(5, long=[(1, 0.9)], exit_long=[(3, 0.8)])
        Signals(long, exit_long, 5 bars, probability)
        """
        n = index(bars) if isinstance(bars, SupportsIndex) else len(bars)
        if n < 0:
            raise ParameterError(
                f"`bars` of sparse(...) must be a number of bars or candles, was {bars!r}"
            )
        arrays: dict[str, Floats] = {}
        for name, pairs in entries.items():
            if name not in ARRAYS:
                raise ParameterError(
                    f"unknown signal array `{name}` in sparse(...); known: {', '.join(ARRAYS)}"
                )
            array = np.full(n, np.nan)
            for pair in pairs:
                try:
                    bar, value = pair
                    at, number = index(bar), float(value)
                except (TypeError, ValueError):
                    raise LayoutError(
                        f"signal `{name}` must be given as (bar, value) pairs of a whole bar and a number, "
                        f"held {pair!r}"
                    ) from None
                if not 0 <= at < n:
                    raise ParameterError(f"bar {at} of signal `{name}` lies outside the {n} bars")
                array[at] = number
            arrays[name] = array
        return cls(kind=kind, **arrays)

    @classmethod
    def where(
        cls, candles: Candles, *, own: Sequence[OwnFeature] = (), **conditions: str
    ) -> Signals:
        """Signals by conditions on features: 1 where a condition holds, 0 where not, NaN where it is undefined.

        Parameters
        ----------
        candles : Candles
            Bars; a condition at bar t knows bars up to t.
        own : sequence of OwnFeature, optional
            Features of your own that conditions name.
        **conditions : str
            ``long``, ``short``, ``exit_long``, ``exit_short`` to comparisons of features and numbers with
            ``< <= > >= == !=``, joined by ``and``, ``or``, ``not`` and round brackets.

        Returns
        -------
        Signals
            Of kind probability; any threshold in (0, 1] decides as the condition does.

        Raises
        ------
        FeatureError
            If a condition or a feature in it cannot be read.
        ParameterError
            If no condition is given, or a name is none of the four.

        Examples
        --------
        >>> import barproof as bp
        >>> candles = bp.simulate_candles(1, bars=2_000)
        >>> signals = Signals.where(candles, long="rsi(14) < 30 and close > sma(200)", exit_long="rsi(14) > 50")
        >>> signals.names
        ('long', 'exit_long')
        """
        from barproof.features.conditions import evaluate_conditions

        for name in conditions:
            if name not in ARRAYS[:4]:
                raise ParameterError(
                    f"unknown signal array `{name}` in where(...); known: {', '.join(ARRAYS[:4])}"
                )
        if not conditions:
            raise ParameterError('where(...) needs a condition: such as long="rsi(14) < 30"')
        return cls(**evaluate_conditions(candles, conditions, own))  # type: ignore[arg-type]

    @property
    def kind(self) -> Kind:
        """What the decision arrays hold."""
        return cast("Kind", self._bars.kind)

    @property
    def digest(self) -> str:
        """Identity of the arrays, 64 hexadecimal digits."""
        return self._bars.digest

    @property
    def names(self) -> tuple[str, ...]:
        """Arrays that are there."""
        return tuple(name for name in ARRAYS if self._bars.array(name) is not None)

    def __getitem__(self, name: str) -> Floats:
        """Read-only array by name."""
        array = self._bars.array(name)
        if array is None:
            raise ParameterError(
                f"signals have no array `{name}`; they have: {', '.join(self.names)}"
            )
        return array

    def __len__(self) -> int:
        return len(self._bars)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signals):
            return NotImplemented
        return self.digest == other.digest and _same_times(self._times, other._times)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        times = self._times
        return _rebuild, (self.kind, {name: np.array(self[name]) for name in self.names}, times)

    def __repr__(self) -> str:
        return f"Signals({', '.join(self.names)}, {len(self):,} bars, {self.kind})"

    def align(self, candles: Candles) -> Signals:
        """One row a bar of `candles`: as they are if they carry no times, joined by time if they do.

        Parameters
        ----------
        candles : Candles
            Bars to align to.

        Returns
        -------
        Signals
            Of the candles' length, without times.

        Raises
        ------
        ShapeError
            If signals without times have another length than the candles.
        SignalError
            If no row meets a bar, or a row within the candles' span meets none.
        """
        if self._times is None:
            if len(self) != len(candles):
                raise ShapeError(
                    f"signals have {len(self)} values but the candles {len(candles)} bars: give one value a bar, or "
                    "join by time with Signals.from_frame"
                )
            return self
        times, bars = self._times, candles.open_time
        if not len(bars):
            raise SignalError("candles hold no bars to join the signals to")
        at = np.minimum(np.searchsorted(bars, times), len(bars) - 1)
        met = bars[at] == times
        inside = (times >= bars[0]) & (times <= bars[-1])
        if not met.any():
            raise SignalError(
                f"no signal time meets a bar: signals run from {_show(times[0])} to {_show(times[-1])}, candles from "
                f"{_show(bars[0])} to {_show(bars[-1])}; `time` must hold the opening times of the bars"
            )
        lost = np.flatnonzero(inside & ~met)
        if len(lost):
            raise SignalError(
                f"{len(lost)} signal times within the candles meet no bar, first {_show(times[lost[0]])}: signals and "
                "candles have other intervals or holes; `time` must hold the opening times of the bars"
            )
        arrays = {}
        for name in self.names:
            array = np.full(len(bars), np.nan)
            array[at[met]] = self[name][met]
            arrays[name] = array
        return Signals(kind=self.kind, **arrays)


def _rebuild(kind: Kind, arrays: Mapping[str, Floats], times: NDArray[np.int64] | None) -> Signals:
    signals = Signals(kind=kind, **arrays)
    signals._times = times
    return signals


def _same_times(a: NDArray[np.int64] | None, b: NDArray[np.int64] | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(a, b))


def _as_polars(frame: Any) -> pl.DataFrame:
    """Any table of signals as a frame of polars."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        from barproof.candles.sources import collect

        return collect(frame, "signals")
    if isinstance(frame, Mapping):
        lengths = {str(name): len(values) for name, values in frame.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ShapeError(f"columns of the signal table differ in length: {shown}")
        return pl.DataFrame(dict(frame))
    try:
        held = as_table(frame)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise LayoutError(
            f"signal table cannot be read from this {type(frame).__name__}: give columns of one length that hold "
            f"numbers or times"
        ) from error
    if held is not None:
        return held
    if isinstance(frame, Sequence):
        raise LayoutError(
            "signal table must be a frame or a mapping of columns, was a list: use Signals(long=...)"
        )
    raise LayoutError(
        f"signal table must be a frame or a mapping of columns, was {type(frame).__name__}"
    )


def _milliseconds(times: pl.Series) -> NDArray[np.int64]:
    """Read times of a column as milliseconds UTC."""
    if times.null_count():
        row = int(times.is_null().arg_true()[0])
        raise SignalError(
            f"`{times.name}` is missing in row {row} of the signal table: drop or fill it"
        )
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime("ms"))
    if isinstance(times.dtype, pl.Datetime):
        return times.dt.epoch("ms").cast(pl.Int64).to_numpy()
    if times.dtype.is_integer():
        return times.cast(pl.Int64).to_numpy()
    raise LayoutError(
        f"`{times.name}` of the signal table must hold datetimes or milliseconds, was {times.dtype}: parse it first"
    )


def _show(ms: int) -> str:
    return str(np.datetime64(int(ms), "ms")).replace("T", " ")
