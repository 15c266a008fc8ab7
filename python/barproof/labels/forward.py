"""Labels by the return of the bars after a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from barproof import _core
from barproof._machine import thread_count
from barproof.errors import LayoutError, ParameterError
from barproof.labels.model import Clock, Kind, Labels

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["horizon", "span_of"]


def span_of(candles: Candles, bars: Any, clock: Any) -> tuple[int, int]:
    """Bars from a bar to the first and the last that its label needs, checked."""
    if isinstance(bars, bool) or not isinstance(bars, (int, np.integer)):
        raise LayoutError(f"`bars` of the horizon must be a whole number, was {bars!r}")
    if bars < 1:
        raise ParameterError(f"`bars` of the horizon must be at least 1, was {bars}")
    if clock not in ("open", "close"):
        raise ParameterError(f'`clock` must be "open" or "close", was {clock!r}')
    lead = 1 if clock == "open" else 0
    n, reach = len(candles), int(bars) + lead
    if reach >= n:
        raise ParameterError(
            f"`bars` of the horizon is {bars}, but the candles hold {n} bars: a label needs {reach + 1}"
        )
    return lead, reach


def horizon(
    candles: Candles,
    *,
    bars: int,
    threshold: float | None = None,
    kind: Kind | None = None,
    clock: Clock = "open",
    threads: int | None = None,
) -> Labels:
    """Label each bar by the return of the bars after it.

    On the trading clock (``"open"``) the return runs from the next open, where a decision made at the bar's close
    would be filled, to the open `bars` bars later. On ``"close"`` it runs from the bar's own close, at which nobody can
    trade any more, to the close `bars` bars on.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    bars : int
        Length of the horizon, at least 1.
    threshold : float, optional
        Move that counts, a fraction >= 0. Above 0 it makes ternary labels unless `kind` says otherwise.
    kind : {"regression", "binary", "ternary"}, optional
        Regression: the simple return. Binary: 1 if the return exceeds the threshold, else 0. Ternary: 1 if it exceeds
        the threshold, -1 if it is below minus the threshold, else 0. Default: regression, or ternary with a threshold.
    clock : {"open", "close"}, default "open"
        When the return begins and ends.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.

    Returns
    -------
    Labels
        One a bar; the last `bars` + 1 (``"close"``: `bars`) are NaN.

    Raises
    ------
    ParameterError
        If an argument is out of bounds, or the horizon is longer than the data.
    LayoutError
        If `bars` is no whole number.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> labels = horizon(candles, bars=6, threshold=0.002)
    >>> labels.kind, len(labels), int(labels.start[0]), int(labels.end[0])
    ('ternary', 1000, 1, 7)
    """
    level = 0.0 if threshold is None else float(threshold)
    if not (np.isfinite(level) and level >= 0):
        raise ParameterError(
            f"`threshold` must be finite and >= 0, was {threshold!r}: it is a fraction, 0.002 is 0.2%"
        )
    kind = kind or ("ternary" if level > 0 else "regression")
    if kind not in ("regression", "binary", "ternary"):
        raise ParameterError(
            f"`kind` of labels must be regression, binary or ternary, was {kind!r}"
        )
    lead, reach = span_of(candles, bars, clock)
    values = _core.horizon_labels(
        candles._bars,
        horizon_bars=int(bars),
        threshold=level,
        kind=kind,
        clock=clock,
        threads=thread_count(threads),
    )
    at = np.arange(len(candles), dtype=np.int64)
    rule = {"name": "horizon", "bars": int(bars), "threshold": level, "kind": kind, "clock": clock}
    return Labels(values, at + lead, at + reach, kind, rule, candles)
