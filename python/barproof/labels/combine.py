"""Labels made of labels: k of n, and those whose bar has traded enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from barproof._machine import thread_count
from barproof.errors import LayoutError, ParameterError
from barproof.labels.model import Kind, Labels, two_classes

__all__ = ["mean_volume", "volume_filter", "vote"]


def vote(labels: Sequence[Labels], *, k: int, threads: int | None = None) -> Labels:
    """Label each bar by what at least k of several labels say.

    Parameters
    ----------
    labels : sequence of Labels
        Binary or ternary, at least two, of the same candles.
    k : int
        How many must agree, from 1 to their number.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.

    Returns
    -------
    Labels
        1 where at least `k` are 1; for ternary labels -1 where at least `k` are -1; else 0, also where both classes
        have `k` votes. NaN where any of them is. Each span holds those of all.

    Raises
    ------
    LayoutError
        If these are no labels, or `k` is no whole number.
    ParameterError
        If there are fewer than two, `k` is out of bounds, kinds or candles differ, or one class alone is left.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> ballots = [bp.labels.horizon(candles, bars=h, kind="binary") for h in (3, 6, 12)]
    >>> labels = vote(ballots, k=2)
    >>> labels.kind, int(labels.start[0]), int(labels.end[0])
    ('binary', 1, 13)
    """
    given = list(labels)
    for one in given:
        if not isinstance(one, Labels):
            raise LayoutError(f"`labels` of a vote must be Labels, was {type(one).__name__}")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise LayoutError(f"`k` of the vote must be a whole number, was {k!r}")
    if len(given) < 2:
        raise ParameterError(f"a vote needs at least 2 labels, was given {len(given)}")
    if not 1 <= k <= len(given):
        raise ParameterError(f"`k` of the vote must be from 1 to {len(given)}, was {k}")
    first = given[0]
    for number, one in enumerate(given):
        if one.kind == "regression":
            raise ParameterError(
                f"labels {number} of the vote are returns: give them a threshold, so that they have classes"
            )
        if one.candles.digest != first.candles.digest:
            raise ParameterError(
                f"labels 0 and {number} of the vote are of different candles: make all from the same"
            )
    kind: Kind = "ternary" if any(one.kind == "ternary" for one in given) else "binary"
    values = _core.vote_labels(
        [one.values for one in given], k=int(k), threads=thread_count(threads)
    )
    starts = np.stack([one.start for one in given])
    ends = np.stack([one.end for one in given])
    nothing = (ends < 0).any(axis=0)
    start = np.where(nothing, -1, starts.min(axis=0))
    end = np.where(nothing, -1, ends.max(axis=0))
    rule = {"name": "k of n", "k": int(k), "of": [one.rule for one in given]}
    made = Labels(values, start, end, kind, rule, first.candles)
    two_classes(made, "take another k, or other labels")
    return made


def volume_filter(labels: Labels, *, least: float, bars: int = 1) -> Labels:
    """Keep the labels of bars that have traded enough.

    The volume is known at the close at which the label is asked for. What the filter removes is no sample of the rest:
    look at the kept share, and at :func:`sweep` for how labels depend on it.

    Parameters
    ----------
    labels : Labels
        Of any kind.
    least : float
        Least mean volume of the last `bars` bars, in base units, finite and >= 0.
    bars : int, default 1
        How many, the label's own bar included; before there are so many there is no label.

    Returns
    -------
    Labels
        Of the same class as `labels`; where too little was traded the value is NaN and the span -1, -1.

    Raises
    ------
    LayoutError
        If these are no labels.
    ParameterError
        If an argument is out of bounds, or nothing, or one class alone, is left.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> labels = bp.labels.horizon(candles, bars=6, threshold=0.002)
    >>> kept = volume_filter(labels, least=float(np.median(candles.volume)))
    >>> int(labels.defined.sum()), int(kept.defined.sum())
    (993, 493)
    """
    if not isinstance(labels, Labels):
        raise LayoutError(f"`labels` of a filter must be Labels, was {type(labels).__name__}")
    level = check_least("least", least)
    kept = mean_volume(labels.candles, bars) >= level
    rule = {"name": "volume filter", "least": level, "bars": int(bars), "of": labels.rule}
    changes: dict[str, Any] = {
        "values": np.where(kept, labels.values, np.nan),
        "start": np.where(kept, labels.start, -1),
        "end": np.where(kept, labels.end, -1),
        "rule": rule,
    }
    made = replace(labels, **changes)
    two_classes(made, f"lower `least`, which is {level:g}")
    return made


def check_least(name: str, value: Any) -> float:
    """Read a least volume."""
    number = np.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        number = float(value)
    if not (np.isfinite(number) and number >= 0):
        raise ParameterError(
            f"`{name}` must be finite and >= 0, was {value!r}: it is a volume in base units"
        )
    return number


def mean_volume(candles: Any, bars: Any) -> NDArray[np.float64]:
    """Mean volume of the last `bars` bars; NaN before there are so many."""
    n = len(candles)
    if isinstance(bars, bool) or not isinstance(bars, (int, np.integer)) or not 1 <= bars <= n:
        raise ParameterError(
            f"`bars` of the volume must be a whole number from 1 to {n:,}, was {bars!r}"
        )
    if bars == 1:
        return np.asarray(candles.volume, dtype=np.float64)
    # Windows, not a running sum: a large volume leaves no trace once it is out.
    windows = np.lib.stride_tricks.sliding_window_view(candles.volume, int(bars))
    out = np.full(n, np.nan)
    out[bars - 1 :] = windows.mean(axis=1)
    return out
