"""Grids: the combinations a sweep runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
import polars as pl

from barproof import _core
from barproof._draws import Between, Group, Method, draw, read_group
from barproof._shown import axes, shown
from barproof.errors import LayoutError, ParameterError, RulesError, ShapeError
from barproof.rules import Rules, check_names

__all__ = ["Grid"]

Where = Callable[[Mapping[str, Any]], bool]


@shown(axes)
class Grid:
    """Combinations of rules: a base, and axes along which fields vary.

    Parameters
    ----------
    rules : Rules
        The base; fields that are no axis keep its values.
    *together : mapping of str to list
        Each mapping is one axis whose lists vary together and have one length.
    where : callable, optional
        Takes the varying fields of a combination as a mapping and says whether to keep it, such as
        ``lambda c: c["stop_loss"] < c["take_profit"]``.
    sample : int, optional
        Keep this many combinations, drawn without replacement; `where` has its say first.
    method : {"random", "latin"}, default "random"
        How `sample` draws. Random: any combination is as likely as any other. Latin (a Latin hypercube): the levels of
        each list stand equally often, give or take one, and a range is met once in each of `sample` equal parts;
        `where` then thins what was drawn, and strata may be missed.
    seed : int, default 0
        Seed of the draw.
    **axes : list or between
        Each field is one axis; the product is taken, the last axis varying fastest. A range,
        :func:`barproof.between`, stands in place of a list where `sample` draws from it.

    Attributes
    ----------
    rules : Rules
        The base.
    axes : list of str
        Fields that vary, in order.
    groups : list of list of str
        Fields by axis.

    Raises
    ------
    ParameterError
        If a name is no field, a value is out of bounds, or more is sampled than there is; names axis and value.
    RulesError
        If no combination is left, or one contradicts itself.
    ShapeError
        If lists of one axis differ in length.

    Examples
    --------
    >>> base = Rules(entry_long=0.6)
    >>> grid = Grid(base, {"entry_long": [0.5, 0.6], "entry_short": [0.5, 0.6]}, stop_loss=[0.01, 0.02, None])
    >>> len(grid)
    6
    >>> grid[1]
    Rules(entry_long=0.5, entry_short=0.5, stop_loss=0.02)
    """

    def __init__(
        self,
        rules: Rules,
        *together: Mapping[str, Sequence[Any] | Between],
        where: Where | None = None,
        sample: int | None = None,
        method: Method = "random",
        seed: int = 0,
        **axes: Sequence[Any] | Between,
    ) -> None:
        if not isinstance(rules, Rules):
            raise LayoutError(f"`rules` of a grid must be Rules, was {type(rules).__name__}")
        groups = [
            _axis(group)
            for group in (*together, *({name: values} for name, values in axes.items()))
        ]
        _check_draw(groups, where, sample, method, seed)
        self.rules = rules
        self.groups = [list(group) for group in groups]
        self.axes = [name for group in groups for name in group]
        twice = {name for name in self.axes if self.axes.count(name) > 1}
        if twice:
            raise ParameterError(
                f"field `{sorted(twice)[0]}` stands on two axes of the grid: keep one"
            )
        groups = [group for group in groups if group]
        keep = None if where is None else _Where(where)
        size = prod(_length(group) for group in groups)
        if sample is not None and (_ranges(groups) or method == "latin" or size > MOST):
            self._hold(draw(groups, sample, method, seed, keep))
        else:
            self._hold(_product(groups, size))
            if keep is not None:
                self._take(np.flatnonzero([keep(self.varying(i)) for i in range(size)]))
                if not len(self):
                    raise RulesError(f"no combination is left: `where` refused all {size}")
            if sample is not None:
                if sample > len(self):
                    left = "" if keep is None else " that `where` keeps"
                    raise ParameterError(
                        f"`sample` is {sample:,}, but the grid has only {len(self):,} combinations{left}: ask for at "
                        "most as many, or leave it out"
                    )
                rng = np.random.default_rng(seed)
                self._take(np.sort(rng.choice(len(self), size=sample, replace=False)))
        self._check()

    @classmethod
    def table(cls, rules: Rules, frame: pl.DataFrame | Mapping[str, Sequence[Any]]) -> Grid:
        """Grid with one combination a row of a table.

        Parameters
        ----------
        rules : Rules
            The base.
        frame : polars.DataFrame or mapping of str to list
            Columns are fields; null is None.

        Returns
        -------
        Grid
            All columns form one axis; rows keep their order.

        Raises
        ------
        LayoutError
            If `frame` is no table.
        ParameterError
            If it has no columns or rows, or a column is no field.

        Examples
        --------
        >>> grid = Grid.table(Rules(entry_long=0.6), {"stop_loss": [0.01, None], "max_hold": [60, 240]})
        >>> grid[1]
        Rules(entry_long=0.6, max_hold=240)
        """
        if not isinstance(frame, Mapping) and not hasattr(frame, "columns"):
            raise LayoutError(
                f"`frame` of Grid.table must be a frame or a mapping of columns, was {type(frame).__name__}"
            )
        names = list(frame) if isinstance(frame, Mapping) else [str(c) for c in frame.columns]
        if not names:
            raise ParameterError(
                "`frame` of Grid.table has no columns: give one a field that varies"
            )
        columns = {name: list(frame[name]) for name in names}
        return cls(rules, columns)

    def _hold(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns
        self._count = len(next(iter(columns.values()))) if columns else 1

    def _take(self, rows: Iterable[int]) -> None:
        rows = [int(row) for row in rows]
        self._columns = {n: [values[i] for i in rows] for n, values in self._columns.items()}
        self._count = len(rows)

    def _check(self) -> None:
        refused = _core.check_table(self.rules.to_dict(), self._columns, len(self))
        if refused is not None:
            i, message = refused
            raise RulesError(
                f"combination {i} ({_show(self.varying(i))}) is refused: {message}; leave it out with where="
            )

    def varying(self, combination: int) -> dict[str, Any]:
        """Varying fields of one combination.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        dict
            Field to value.
        """
        return {name: values[combination] for name, values in self._columns.items()}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, combination: int) -> Rules:
        if not -len(self) <= combination < len(self):
            raise IndexError(f"combination {combination} does not exist: the grid has {len(self)}")
        return self.rules.replace(**self.varying(combination))

    @cached_property
    def _series(self) -> list[pl.Series]:
        """Axes, one column each, one value a combination."""
        out = []
        for name, values in self._columns.items():
            kinds = set(map(type, values))
            if kinds == {float}:
                out.append(pl.Series(name, np.array(values)))
                continue
            plain = [float(v) if type(v) is int and float in kinds else v for v in values]
            out.append(pl.Series(name, plain, strict=False))
        return out

    @cached_property
    def digest(self) -> str:
        """Identity of the grid: base, fields and values in order."""
        items = [self.rules.digest]
        for name, values in self._columns.items():
            items += [name, *(repr(value) for value in values)]
        return _core.digest("grid/1", items)

    def __repr__(self) -> str:
        inner = ", ".join("+".join(group) for group in self.groups)
        return f"Grid({len(self):,} combinations over {inner or 'nothing'})"


def _axis(group: Mapping[str, Any]) -> Group:
    """Check the lists or ranges of one axis."""
    if not isinstance(group, Mapping):
        raise LayoutError(f"an axis must be a mapping of field to list, was {type(group).__name__}")
    check_names(group, "a grid")
    out: Group = {}
    for name, values in group.items():
        if isinstance(values, Between):
            out[name] = values
            continue
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise LayoutError(
                f"axis `{name}` must be a list of values, was {values!r}: write [{values!r}]"
            )
        listed = [v.item() if isinstance(v, np.generic) else v for v in values]
        if not listed:
            raise ParameterError(
                f"axis `{name}` is empty: give at least one value, or leave it out"
            )
        for value in listed:
            _core.check_field(name, value)
        out[name] = listed
    lengths = {name: len(values) for name, values in out.items() if isinstance(values, list)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ShapeError(f"lists of one axis vary together and need one length, were: {shown}")
    return read_group(out)


def _check_draw(groups: list[Group], where: Any, sample: Any, method: Any, seed: Any) -> None:
    """Check how combinations are chosen."""
    if where is not None and not callable(where):
        raise LayoutError(
            f"`where` must be a function of a combination, was {type(where).__name__}"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError(f"`seed` of the grid must be a whole number >= 0, was {seed!r}")
    if sample is not None and (
        isinstance(sample, bool) or not isinstance(sample, int) or sample < 1
    ):
        raise ParameterError(f"`sample` must be a whole number >= 1, was {sample!r}")
    if method not in ("random", "latin"):
        raise ParameterError(f'`method` of a grid must be "random" or "latin", was {method!r}')
    if sample is None and method == "latin":
        raise ParameterError('`method` is "latin", but nothing is drawn: say how many with sample=')
    ranges = _ranges(groups)
    if sample is None and ranges:
        raise ParameterError(
            f"axis `{ranges[0]}` is a range: say how many combinations to draw with sample=, or give a list"
        )
    if sample is not None and sample > MOST:
        raise ParameterError(f"`sample` must be at most {MOST:,}, was {sample:,}")


def _ranges(groups: list[Group]) -> list[str]:
    return [
        name for group in groups for name, values in group.items() if isinstance(values, Between)
    ]


def _length(group: Group) -> int:
    values = next(iter(group.values()))
    return 1 if isinstance(values, Between) else len(values)


class _Where:
    """`where`, with errors that name the combination it failed on."""

    def __init__(self, where: Where) -> None:
        self._where = where

    def __call__(self, varying: Mapping[str, Any]) -> bool:
        try:
            return bool(self._where(varying))
        except KeyError as error:
            raise ParameterError(
                f"`where` asks for {error.args[0]!r}, which is no axis of the grid; axes: {', '.join(varying)}"
            ) from error
        except TypeError as error:
            raise ParameterError(
                f"`where` failed on a combination ({_show(varying)}): {error}; a rule that is off is None"
            ) from error


def _product(groups: list[Group], size: int) -> dict[str, list[Any]]:
    """Columns of all combinations of groups, the last group running fastest."""
    lengths = [_length(group) for group in groups]
    if size > MOST:
        raise ParameterError(
            f"grid has {size:,} combinations, more than {MOST:,}: draw some with sample=, or use Grid.table"
        )
    columns: dict[str, list[Any]] = {name: [] for group in groups for name in group}
    for row in product(*(range(length) for length in lengths)):
        for group, i in zip(groups, row, strict=True):
            for name, values in group.items():
                assert isinstance(values, list)
                columns[name].append(values[i])
    return columns


MOST = 20_000_000
"""Combinations beyond which lists of Python values would not fit into common memories."""


def _show(varying: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in varying.items())
