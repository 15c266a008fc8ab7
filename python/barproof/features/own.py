"""A feature of the user's own: a Python function with a declared memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof.errors import FeatureError, LayoutError
from barproof.features.memory import Memory

if TYPE_CHECKING:
    from barproof.candles import Bar, Candles

__all__ = ["OwnFeature", "feature"]

Stepper: TypeAlias = "Callable[[Bar], float]"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Columns of candles and of computed tables, and words of conditions.
_TAKEN = ("open_time", "open", "high", "low", "close", "volume", "column", "symbol")
_WORDS = ("and", "or", "not")


@dataclass(frozen=True, repr=False)
class OwnFeature:
    """A Python function as a feature; made by :func:`barproof.feature`.

    Attributes
    ----------
    name : str
        Its name in sets and columns.
    fn : callable
        Candles to an array of their length.
    memory : Memory
        As declared; :meth:`barproof.FeatureSet.verify` holds the function to it.
    stream : callable or None
        Makes a function of one bar at a time.
    """

    name: str
    fn: Callable[[Candles], Any]
    memory: Memory
    stream: Callable[[], Stepper] | None = None

    def __repr__(self) -> str:
        by_bar = "" if self.stream is None else ", streams"
        return f"OwnFeature({self.name!r}, {self.memory}{by_bar})"

    def __post_init__(self) -> None:
        name, fn, memory, stream = self.name, self.fn, self.memory, self.stream
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise FeatureError(
                f"`name` of a feature must be letters, digits and underscores, was {name!r}: such as body_ratio"
            )
        functions = {row["name"] for row in _core.feature_table()}
        if name in _TAKEN or name in _WORDS or name in functions:
            raise FeatureError(
                f"`name` of a feature must not be that of a column, a built-in function or a word of conditions, "
                f"was {name!r}: choose another"
            )
        if not callable(fn):
            raise LayoutError(
                f"`fn` of feature `{name}` must take candles, was {type(fn).__name__}: give a function"
            )
        if not isinstance(memory, Memory):
            raise LayoutError(
                f"`memory` of feature `{name}` must be bp.finite(n), bp.fading(n) or bp.cumulative(), was {memory!r}"
            )
        if stream is not None and not callable(stream):
            raise LayoutError(
                f"`stream` of feature `{name}` must make a function of one bar, was {type(stream).__name__}"
            )

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say on errors of the function that they are its own."""
        try:
            yield
        except Exception as error:
            error.add_note(f"in feature `{self.name}`, a function of your own")
            raise

    def compute(self, candles: Candles) -> NDArray[np.float64]:
        """Call the function and check what it gives.

        Parameters
        ----------
        candles : Candles
            Bars.

        Returns
        -------
        ndarray of shape (n_bars,), float64
            NaN where undefined.

        Raises
        ------
        FeatureError
            If it gives another length, dimension, or infinite values.
        LayoutError
            If it gives no numbers.
        """
        with self.named():
            given = self.fn(candles)
        try:
            values = _floats(given)
        except (TypeError, ValueError, OverflowError):
            raise LayoutError(
                f"feature `{self.name}` must give an array of numbers, gave {type(given).__name__}: "
                f"one float a bar, NaN where undefined"
            ) from None
        if values.shape != (len(candles),):
            raise FeatureError(
                f"feature `{self.name}` gave an array of shape {values.shape} for {len(candles):,} bars: "
                f"give one value a bar, NaN where undefined"
            )
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise FeatureError(
                f"feature `{self.name}` is {values[infinite[0]]} at bar {infinite[0]}: "
                f"give finite values, NaN where undefined"
            )
        return values


def _floats(given: Any) -> NDArray[np.float64]:
    if isinstance(given, pl.Series) and (given.dtype.is_numeric() or given.dtype == pl.Boolean):
        given = given.cast(pl.Float64).fill_null(np.nan).to_numpy()
    elif isinstance(given, np.ma.MaskedArray):
        given = np.ma.filled(given.astype(np.float64), np.nan)
    # Times, texts and complex numbers would convert too, and mean something else.
    if given is None or np.asarray(given).dtype.kind not in "biufO":
        raise TypeError
    return np.asarray(given, dtype=np.float64)


def feature(
    fn: Callable[[Candles], Any],
    *,
    name: str,
    memory: Memory,
    stream: Callable[[], Stepper] | None = None,
) -> OwnFeature:
    """Declare a feature of your own, to stand in a :class:`barproof.FeatureSet` beside the built-in ones.

    Parameters
    ----------
    fn : callable
        Takes candles and gives one float a bar, NaN where undefined. Its value at bar t may depend on bars up to t
        alone; :meth:`barproof.FeatureSet.verify` finds out.
    name : str
        Letters, digits and underscores; not that of a column or a built-in function. Other features may use it:
        ``zscore(name, 100)``.
    memory : Memory
        ``bp.finite(n)``, ``bp.fading(n)`` or ``bp.cumulative()``.
    stream : callable, optional
        Called without arguments at the start of a stream; gives a function that takes one :class:`barproof.Bar` and
        gives the value. Without it a stream calls `fn` on the last bars that the memory asks for, as candles without
        funding; a cumulative feature cannot be streamed without it.

    Returns
    -------
    OwnFeature
        To put into a set.

    Raises
    ------
    FeatureError
        If the name cannot be used.
    LayoutError
        If `fn` or `stream` cannot be called, or `memory` is none.

    Examples
    --------
    >>> import numpy as np
    >>> import barproof as bp
    >>> def body(candles):
    ...     return (candles.close - candles.open) / (candles.high - candles.low + 1e-9)
    >>> features = bp.FeatureSet(["rsi(14)", bp.feature(body, name="body", memory=bp.finite(1))])
    >>> features.names
    ('rsi(14)', 'body')
    >>> features.verify(bp.simulate_candles(1, bars=600))
    Verification(2 features over 600 bars: no lookahead, memory and stream as declared)
    """
    return OwnFeature(name, fn, memory, stream)
