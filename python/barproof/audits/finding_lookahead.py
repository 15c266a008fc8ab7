"""`find_lookahead`: where a user's own function from bars to signals knows what comes later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.paths import CUTS
from barproof.errors import LayoutError, LookaheadError, ParameterError

__all__ = ["Leak", "LookaheadSearch", "find_lookahead"]

Floats = NDArray[np.float64]

FULL = 5
RELATIVE = 1e-9
_LEVELS = 8  # at most so many values make a column a signal


@dataclass(frozen=True)
class Leak:
    """A value that is another when later bars are other, or not there.

    Attributes
    ----------
    column : str
        Of the function's output.
    bar : int
        First row that differs.
    cut : int
        Last bar that was left as it is.
    how : str
        What was done to later bars: "cut", "nan", "shuffled" or "scaled".
    before, after : float
        With the bars as they are, and with them changed; NaN is no value.
    change : str
        "vanished", "appeared" or "changed".
    cells : int
        How many values differ at this cut.
    """

    column: str
    bar: int
    cut: int
    how: str
    before: float
    after: float
    change: str
    cells: int


@dataclass(frozen=True)
class LookaheadSearch:
    """What a search for lookahead found.

    Attributes
    ----------
    leaks : tuple of Leak
        The first of each column and way, earliest first.
    cuts, full : int
        Cuts looked at, and on how many of them all rows were compared.
    planned : int
        Cuts that were meant; more than `cuts` where the time ran out.
    vanished, appeared : int
        Signals that are there only with, or only without, the later bars; over all cuts.
    """

    leaks: tuple[Leak, ...]
    cuts: int
    full: int
    planned: int
    vanished: int
    appeared: int

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def missed(self, share: float) -> float:
        """Chance that a fault was missed that touches so many of the bars.

        Parameters
        ----------
        share : float
            Of the bars, in (0, 1).

        Returns
        -------
        float
            ``(1 - share) ** cuts``; 1 if nothing was looked at.
        """
        if not 0 < share < 1:
            raise ParameterError(f"`share` of the bars must lie between 0 and 1, was {share!r}")
        return float((1.0 - share) ** self.cuts)

    def check(self) -> None:
        """Raise if there is a leak.

        Raises
        ------
        LookaheadError
            Naming the first column and bar.
        """
        if self.leaks:
            one = self.leaks[0]
            raise LookaheadError(
                f"`{one.column}` at bar {one.bar} depends on bars after {one.cut} ({one.how}): it is {one.before:g}, "
                f"and {one.after:g} without them; compute it from closed bars alone"
            )

    def __str__(self) -> str:
        if self.leaks:
            one = self.leaks[0]
            return (
                f"lookahead: `{one.column}` at bar {one.bar} {one.change} when bars after {one.cut} are {one.how} "
                f"({one.before:g}, then {one.after:g}); {self.vanished:,} signals vanish, {self.appeared:,} appear"
            )
        left = f"{self.planned - self.cuts} cuts not done; " if self.cuts < self.planned else ""
        return (
            f"no lookahead at {self.cuts} cuts ({self.full} of them on all rows); {left}a fault in 5% of the "
            f"bars is missed with a chance of {self.missed(0.05):.1%}, one in 1% with {self.missed(0.01):.1%}"
        )


def find_lookahead(
    path: Callable[[Any], Any],
    data: Any,
    *,
    cuts: int | Sequence[int] = CUTS,
    tail: int | None = None,
    warmup: int | None = None,
    full: int = FULL,
    perturb: bool = True,
    relative: float = RELATIVE,
    seed: int = 0,
    max_seconds: float | None = None,
) -> LookaheadSearch:
    """Search a function for knowledge of later bars, and say where.

    Parameters
    ----------
    path : callable
        Bars to one row a bar: a Series, frame, array or :class:`Signals`. It may train: a whole pipeline from bars to
        signals is a path.
    data : Candles, or frame of polars or pandas
        The bars, in time order; the path is given the same kind.
    cuts : int or sequence of int, default 59
        Random last bars, at least 1; those drawn twice count once, the bar before the last comes on top. Or the last
        bars themselves, such as those at which an order was given, from 0 to the last but one.
    tail : int, optional
        Rows compared before each cut. Default: all.
    warmup : int, optional
        Bars that the path needs before a row. With `tail` the path then gets no more than these and the tail before
        most cuts, which is faster. Default: it gets all bars before the cut.
    full : int, default 5
        Cuts at which all rows are compared whatever `tail` says.
    perturb : bool, default True
        Change later bars as well as take them away: set to NaN (unless the path refuses it), shuffled, times 1.5. It
        finds what only suppresses signals, and paths that need a fixed length. Candles are only cut.
    relative : float, default 1e-9
        Difference that is none, relative to the value and the mean size of its column.
    seed : int, default 0
        Of cuts and shuffles.
    max_seconds : float, optional
        Budget; fewer cuts are told as such.

    Returns
    -------
    LookaheadSearch
        False where nothing was found; its text states the chance of a missed fault.

    Raises
    ------
    LayoutError
        If `data` is no table, or the path does not give one row a bar.
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> import polars as pl
    >>> bars = pl.DataFrame({"close": [float(i % 7) for i in range(200)]})
    >>> found = find_lookahead(lambda b: b.select(up=pl.col("close").shift(-1) > pl.col("close")), bars)
    >>> bool(found), found.leaks[0].column
    (True, 'up')
    >>> print(find_lookahead(lambda b: b.select(up=pl.col("close") > pl.col("close").shift(1)), bars))
    no lookahead at 56 cuts (56 of them on all rows); a fault in 5% of the bars is missed with a chance of 5.7%, ...
    """
    n = _length(data)
    chosen = sorted({int(c) for c in cuts}) if isinstance(cuts, Iterable) else []
    drawn = 0 if isinstance(cuts, Iterable) else int(cuts)
    if drawn + len(chosen) < 1 or full < 0 or (tail is not None and tail < 1) or not relative >= 0:
        raise ParameterError(
            f"`cuts` and `tail` must be at least 1, `full` and `relative` at least 0, were {cuts}, {tail}, {full}, "
            f"{relative}"
        )
    if n < 10:
        raise ParameterError(
            f"`data` has {n} bars: give at least 10, so that there is something to cut"
        )
    if chosen and not 0 <= chosen[0] <= chosen[-1] < n - 1:
        raise ParameterError(
            f"`cuts` must lie between 0 and {n - 2}, so that later bars are left, were {chosen[0]} to {chosen[-1]}"
        )
    began = time.perf_counter()
    whole = _table(path(data), n)
    low = min(max(1, n // 20), n - 2)
    picks = (low + np.floor(stats.uniforms(seed, drawn) * (n - 1 - low))).astype(int).tolist()
    places = chosen or sorted({*picks, n - 2})
    # Full comparisons are spread over the series; the last one shows a shift of one bar whatever the rest.
    wholly = set(
        np.array(places)[
            np.linspace(0, len(places) - 1, min(full, len(places))).astype(int)
        ].tolist()
    )
    seen: dict[tuple[str, str], Leak] = {}
    done, vanished, appeared = 0, 0, 0
    for place in reversed(places):
        if max_seconds is not None and time.perf_counter() - began > max_seconds:
            break
        first = 0 if tail is None or place in wholly else max(0, place + 1 - tail)
        start = 0 if warmup is None or first == 0 else max(0, first - warmup)
        for how, given in _variants(data, start, place, perturb and start == 0, seed):
            try:
                answer = path(given)
            except Exception:
                # A path may refuse missing values; shuffled and scaled bars remain.
                if how == "nan":
                    continue
                raise
            part = _table(answer, _length(given), like=whole)
            leaks, gone, come = _compare(whole, part, first, place, start, how, relative)
            vanished += gone
            appeared += come
            for leak in leaks:
                known = seen.get((leak.column, how))
                if known is None or leak.bar < known.bar:
                    seen[leak.column, how] = leak
        done += 1
    ordered = tuple(sorted(seen.values(), key=lambda leak: (leak.bar, leak.column, leak.how)))
    cut = places[len(places) - done :]
    told = sum(tail is None or place in wholly or place < tail for place in cut)
    return LookaheadSearch(ordered, done, told, len(places), vanished, appeared)


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        raise LayoutError(
            f"`data` must be candles or a table with a row a bar, was {type(data).__name__}"
        ) from None


def _variants(
    data: Any, start: int, place: int, perturb: bool, seed: int
) -> Iterator[tuple[str, Any]]:
    """Give the bars up to `place` as they are, the later ones cut off or changed."""
    head = data.iloc[start : place + 1] if hasattr(data, "iloc") else data[start : place + 1]
    yield "cut", head
    if not perturb or not (isinstance(data, pl.DataFrame) or hasattr(data, "iloc")):
        return
    frame = data if isinstance(data, pl.DataFrame) else None
    floats = (
        [c for c in frame.columns if frame[c].dtype.is_float()]
        if frame is not None
        else [c for c in data.columns if getattr(data[c].dtype, "kind", "") == "f"]
    )
    if not floats:
        return
    order = np.random.default_rng((seed, place)).permutation(len(data) - place - 1) + place + 1
    for how in ("nan", "shuffled", "scaled"):
        changed: dict[str, Floats] = {}
        for name in floats:
            values = np.array(data[name], dtype=np.float64)
            later: Any = {
                "nan": np.nan,
                "shuffled": values[order],
                "scaled": values[place + 1 :] * 1.5,
            }[how]
            values[place + 1 :] = later
            changed[name] = values
        if frame is not None:
            yield (
                how,
                frame.with_columns(**{name: pl.Series(name, v) for name, v in changed.items()}),
            )
        else:
            yield how, data.assign(**changed)


def _table(made: Any, n: int, like: dict[str, Floats] | None = None) -> dict[str, Floats]:
    """Columns of floats of what a path gave."""
    if hasattr(made, "names") and hasattr(made, "kind") and hasattr(made, "__getitem__"):
        columns = {str(name): made[name] for name in made.names}
    elif hasattr(made, "columns"):
        columns = {str(name): made[name] for name in made.columns}
    else:
        array = made.to_numpy() if hasattr(made, "to_numpy") else np.asarray(made)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise LayoutError(f"the path must give one row a bar, gave {array.ndim} dimensions")
        columns = {f"column {i}": array[:, i] for i in range(array.shape[1])}
    out: dict[str, Floats] = {}
    for name, values in columns.items():
        held = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        if held.dtype.kind in "mM" or held.dtype.kind in "OUS":
            if held.dtype.kind != "O":
                continue
            try:
                held = np.array([np.nan if v is None else float(v) for v in held])
            except (TypeError, ValueError):
                continue
        out[name] = np.asarray(held, dtype=np.float64)
    lengths = {len(v) for v in out.values()}
    if not out or lengths != {n} or (like is not None and set(out) != set(like)):
        raise LayoutError(
            f"the path must give the same columns with one row a bar ({n:,}), gave {', '.join(out) or 'no numbers'} "
            f"with {', '.join(map(str, sorted(lengths))) or 0} rows"
        )
    return out


def _compare(
    whole: dict[str, Floats],
    part: dict[str, Floats],
    first: int,
    place: int,
    start: int,
    how: str,
    relative: float,
) -> tuple[list[Leak], int, int]:
    """First difference of each column on rows `first` to `place`, and how many signals vanish and appear."""
    leaks: list[Leak] = []
    gone, come = 0, 0
    for name, values in whole.items():
        a, b = values[first : place + 1], part[name][first - start : place + 1 - start]
        finite = values[np.isfinite(values)]
        scale = float(np.mean(np.abs(finite))) if len(finite) else 0.0
        with np.errstate(invalid="ignore"):
            same = np.abs(a - b) <= relative * (np.maximum(np.abs(a), np.abs(b)) + scale)
        same |= (a == b) | (np.isnan(a) & np.isnan(b))
        if same.all():
            continue
        off = ~same
        signal = len(np.unique(finite)) <= _LEVELS
        on_a, on_b = np.nan_to_num(a) != 0, np.nan_to_num(b) != 0
        if not signal:
            on_a, on_b = np.isfinite(a), np.isfinite(b)
        gone += int((off & on_a & ~on_b).sum())
        come += int((off & on_b & ~on_a).sum())
        row = int(np.argmax(off))
        change = (
            "vanished"
            if on_a[row] and not on_b[row]
            else "appeared"
            if on_b[row] and not on_a[row]
            else "changed"
        )
        leaks.append(
            Leak(
                name, first + row, place, how, float(a[row]), float(b[row]), change, int(off.sum())
            )
        )
    return leaks, gone, come
