"""Random and Latin-hypercube subsets of a grid; `between`, an axis without levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, floor, log, prod
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from barproof.errors import LayoutError, ParameterError, RulesError

__all__ = ["Between", "Group", "Method", "between", "draw", "read_group"]

Method = Literal["random", "latin"]
Keep: TypeAlias = Callable[[Mapping[str, Any]], bool]
Group: TypeAlias = "dict[str, list[Any] | Between]"
"""Fields of one axis: lists of one length, or ranges."""

_TYPES: dict[str, str] = {row["name"]: row["type"] for row in _core.rules_table()}
_REPAIRS = 50
_DESIGNS = 60
_TRIES = 1_000


@dataclass(frozen=True)
class Between:
    """A range that an axis of a sampled grid is drawn from; made by :func:`between`.

    Attributes
    ----------
    low, high : float
        Both may be drawn.
    log : bool
        Whether the logarithm is uniform.
    """

    low: float
    high: float
    log: bool = False

    def at(self, share: float, *, whole: bool) -> float | int:
        """Value at a share in [0, 1) of the range; `whole` gives every whole number the same room."""
        if not whole:
            if self.log:
                value = exp(log(self.low) + share * (log(self.high) - log(self.low)))
            else:
                value = self.low + share * (self.high - self.low)
            return min(max(value, self.low), self.high)
        low, high = int(self.low), int(self.high)
        if self.log:
            # The room of a whole number v is [v, v + 1) on the logarithmic scale.
            number = floor(exp(log(low) + share * (log(high + 1) - log(low))))
        else:
            number = floor(low + share * (high + 1 - low))
        return min(max(number, low), high)


def between(low: float, high: float, *, log: bool = False) -> Between:
    """Range of values as an axis of a grid that is sampled (``Grid(..., sample=n)``).

    Parameters
    ----------
    low, high : float
        Ends, both included. Rules that take whole numbers get whole numbers.
    log : bool, default False
        Draw uniformly on the logarithm, for what spans orders of magnitude; needs `low` > 0.

    Returns
    -------
    Between
        To be given in place of a list of values.

    Raises
    ------
    ParameterError
        If an end is not finite, `high` is not above `low`, or `low` is not positive where `log` is asked for.

    Examples
    --------
    >>> import barproof as bp
    >>> grid = bp.Grid(bp.Rules(entry_long=0.6), stop_loss=bp.between(0.002, 0.05, log=True), sample=3)
    >>> all(0.002 <= grid[i].stop_loss <= 0.05 for i in range(3))
    True
    """
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise ParameterError(f"`{name}` of between(...) must be a finite number, was {value!r}")
    if not low < high:
        raise ParameterError(
            f"`high` of between(...) must be above `low`, was {high!r} with low={low!r}: give a list for one value"
        )
    if log and low <= 0:
        raise ParameterError(f"`low` of between(..., log=True) must be > 0, was {low!r}")
    return Between(low, high, bool(log))


def read_group(group: Group) -> Group:
    """Check the ranges of an axis; whole numbers that have few values become a list."""
    if not any(isinstance(values, Between) for values in group.values()):
        return group
    for name, values in group.items():
        if not isinstance(values, Between):
            raise LayoutError(
                f"axis `{name}` is a list, but varies together with a range: give ranges for all of them, or for none"
            )
        kind = _TYPES[name]
        if not kind.startswith(("float", "int")):
            raise ParameterError(
                f"axis `{name}` takes {kind}, which has no range: give a list of values"
            )
        if _whole(name) and not (
            float(values.low).is_integer() and float(values.high).is_integer()
        ):
            raise ParameterError(
                f"axis `{name}` takes whole numbers: between({values.low!r}, {values.high!r}) must have whole ends"
            )
        for end in (values.low, values.high):
            _core.check_field(name, int(end) if _whole(name) else end)
    return group


def _whole(name: str) -> bool:
    return _TYPES[name].startswith("int")


def _levels(group: Group) -> int | None:
    """How many levels an axis has; None if it is a range."""
    values = next(iter(group.values()))
    return None if isinstance(values, Between) else len(values)


def draw(
    groups: Sequence[Group],
    count: int,
    method: Method,
    seed: int,
    keep: Keep | None,
) -> dict[str, list[Any]]:
    """Draw `count` different combinations.

    Random: every level of a list is as likely as any other, ranges are uniform. Latin: each axis is cut into `count`
    strata, each stratum is met once, and which meets which is random; a list of L levels is met `count / L` times a
    level, give or take one. `keep` thins a Latin draw after it is made, so that strata may be missed.
    """
    levels = [_levels(group) for group in groups]
    listed = [n for n in levels if n is not None]
    if len(listed) == len(levels) and count > prod(listed):
        raise ParameterError(
            f"`sample` is {count:,}, but the grid has only {prod(listed):,} combinations: ask for at most as many, or "
            "leave it out"
        )
    rng = np.random.default_rng(seed)
    rows = (_latin if method == "latin" else _random)(groups, levels, count, rng, keep)
    names = [name for group in groups for name in group]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


Row: TypeAlias = "tuple[Any, ...]"


def _row(groups: Sequence[Group], picks: Sequence[float]) -> Row:
    """Values of a combination; a pick is the level of a list, or the share of a range."""
    out: list[Any] = []
    for group, pick in zip(groups, picks, strict=True):
        for name, values in group.items():
            if isinstance(values, Between):
                out.append(values.at(pick, whole=_whole(name)))
            else:
                out.append(values[int(pick)])
    return tuple(out)


def _random(
    groups: Sequence[Group],
    levels: Sequence[int | None],
    count: int,
    rng: np.random.Generator,
    keep: Keep | None,
) -> list[Row]:
    """Draw different combinations one by one until there are enough."""
    names = [name for group in groups for name in group]
    found: dict[Row, None] = {}
    tried = 0
    while len(found) < count:
        if tried >= _TRIES * count + 10_000:
            raise RulesError(
                f"only {len(found):,} of {count:,} different combinations were found in {tried:,} draws: ask for "
                "fewer (`sample=`), widen the axes, or loosen `where`"
            )
        picks = [rng.random(count) if n is None else rng.integers(n, size=count) for n in levels]
        tried += count
        for one in zip(*(p.tolist() for p in picks), strict=True):
            row = _row(groups, one)
            if row in found or len(found) == count:
                continue
            if keep is None or keep(dict(zip(names, row, strict=True))):
                found[row] = None
    return list(found)


def _latin(
    groups: Sequence[Group],
    levels: Sequence[int | None],
    count: int,
    rng: np.random.Generator,
    keep: Keep | None,
) -> list[Row]:
    """Draw Latin designs, larger ones where `keep` drops many rows, until one holds enough."""
    names = [name for group in groups for name in group]
    size = count
    most = 0
    for _ in range(_DESIGNS):
        rows = [_row(groups, picks) for picks in _design(levels, size, rng)]
        kept = [
            row
            for row in dict.fromkeys(rows)
            if keep is None or keep(dict(zip(names, row, strict=True)))
        ]
        if len(kept) >= count:
            chosen = np.sort(rng.choice(len(kept), size=count, replace=False))
            return [kept[int(i)] for i in chosen]
        most = max(most, len(kept))
        # Aim at what the share of kept rows asks for, and at no more than eight times as many at once.
        size = min(8 * size, 1 + int(1.1 * size * count / max(len(kept), 1)))
        if size > _TRIES * count + 10_000:
            break
    raise RulesError(
        f"a Latin draw of {count:,} found only {most:,} different combinations that may stay: ask for fewer "
        '(`sample=`), widen the axes, loosen `where`, or take method="random"'
    )


def _design(
    levels: Sequence[int | None], size: int, rng: np.random.Generator
) -> list[tuple[float, ...]]:
    """One Latin hypercube; rows that repeat are mended by swaps, which keep every stratum."""
    listed = [n for n in levels if n is not None]
    every = prod(listed)
    if len(listed) == len(levels) and every // 2 < size <= every:
        # Few are left out: they are drawn, and leave levels as evenly met as they are themselves.
        out = set(_design(levels, every - size, rng)) if size < every else set()
        if len(out) == every - size:
            return [row for row in product(*map(range, listed)) if row not in out]
    columns: list[NDArray[Any]] = []
    for n in levels:
        strata = rng.permutation(size)
        columns.append((strata + rng.random(size)) / size if n is None else strata * n // size)
    rows = [list(picks) for picks in zip(*(c.tolist() for c in columns), strict=True)]
    if None in levels or len(levels) < 2:
        return [tuple(row) for row in rows]
    counts: dict[tuple[float, ...], int] = {}
    for row in rows:
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    for i in range(size):
        for _ in range(_REPAIRS):
            if counts[tuple(rows[i])] == 1:
                break
            j, axis = int(rng.integers(size)), int(rng.integers(len(levels)))
            a, b = list(rows[i]), list(rows[j])
            a[axis], b[axis] = b[axis], a[axis]
            if tuple(a) in counts or tuple(b) in counts or a == b:
                continue
            for old in (tuple(rows[i]), tuple(rows[j])):
                counts[old] -= 1
                if not counts[old]:
                    del counts[old]
            for new in (tuple(a), tuple(b)):
                counts[new] = counts.get(new, 0) + 1
            rows[i], rows[j] = a, b
    return [tuple(row) for row in rows]
