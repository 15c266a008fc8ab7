"""Grids: the combinations a sweep runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof import _core
from barproof.errors import LayoutError, ParameterError, RulesError, ShapeError
from barproof.rules import Rules, check_names

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Grid"]

Where = Callable[[Mapping[str, Any]], bool]


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
        Keep this many combinations, drawn without replacement; all if there are fewer.
    seed : int, default 0
        Seed of the draw.
    **axes : list
        Each field is one axis; the product is taken, the last axis varying fastest.

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
        If a name is no field or a value is out of bounds; names axis and value.
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
        *together: Mapping[str, Sequence[Any]],
        where: Where | None = None,
        sample: int | None = None,
        seed: int = 0,
        **axes: Sequence[Any],
    ) -> None:
        if not isinstance(rules, Rules):
            raise LayoutError(f"`rules` of a grid must be Rules, was {type(rules).__name__}")
        groups = [*together, *({name: values} for name, values in axes.items())]
        columns = _product([_axis(group) for group in groups])
        self._setup(rules, [list(group) for group in groups], columns)
        if where is not None and not callable(where):
            raise LayoutError(
                f"`where` must be a function of a combination, was {type(where).__name__}"
            )
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ParameterError(f"`seed` of the grid must be a whole number >= 0, was {seed!r}")
        if where is not None:
            keep = [bool(where(self.varying(i))) for i in range(len(self))]
            self._take(np.flatnonzero(keep))
            if not len(self):
                raise RulesError(f"no combination is left: `where` refused all {len(keep)}")
        if sample is not None:
            if isinstance(sample, bool) or not isinstance(sample, int) or sample < 1:
                raise ParameterError(f"`sample` must be a whole number >= 1, was {sample!r}")
            if sample < len(self):
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
            All columns form one axis.
        """
        names = list(frame) if isinstance(frame, Mapping) else frame.columns
        columns = {name: list(frame[name]) for name in names}
        return cls(rules, columns)

    def _setup(self, rules: Rules, groups: list[list[str]], columns: dict[str, list[Any]]) -> None:
        self.rules = rules
        self.groups = groups
        self.axes = [name for group in groups for name in group]
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

    @property
    def digest(self) -> str:
        """Identity of the grid: base, fields and values in order."""
        items = [self.rules.digest]
        for name, values in self._columns.items():
            items += [name, *(repr(value) for value in values)]
        return _core.digest("grid/1", items)

    def __repr__(self) -> str:
        inner = ", ".join("+".join(group) for group in self.groups)
        return f"Grid({len(self):,} combinations over {inner or 'nothing'})"


def _axis(group: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Check the lists of one axis."""
    if not isinstance(group, Mapping):
        raise LayoutError(f"an axis must be a mapping of field to list, was {type(group).__name__}")
    check_names(group, "a grid")
    out: dict[str, list[Any]] = {}
    for name, values in group.items():
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise LayoutError(
                f"axis `{name}` must be a list of values, was {values!r}: write [{values!r}]"
            )
        out[name] = [v.item() if isinstance(v, np.generic) else v for v in values]
        if not out[name]:
            raise ParameterError(
                f"axis `{name}` is empty: give at least one value, or leave it out"
            )
        for value in out[name]:
            _core.check_field(name, value)
    lengths = {name: len(values) for name, values in out.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ShapeError(f"lists of one axis vary together and need one length, were: {shown}")
    return out


def _product(groups: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    names = [name for group in groups for name in group]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ParameterError(f"field `{sorted(twice)[0]}` stands on two axes of the grid: keep one")
    lengths = [len(next(iter(group.values()))) for group in groups if group]
    if prod(lengths) > MOST:
        raise ParameterError(
            f"grid has {prod(lengths):,} combinations, more than {MOST:,}: draw rows yourself and use Grid.table"
        )
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in product(*(range(length) for length in lengths)):
        for group, i in zip((g for g in groups if g), row, strict=True):
            for name, values in group.items():
                columns[name].append(values[i])
    return columns


MOST = 20_000_000
"""Combinations beyond which lists of Python values would not fit into common memories."""


def _show(varying: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in varying.items())
