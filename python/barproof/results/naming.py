"""Names that other tools give to what is asked for, and texts that are safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import numpy as np
import polars as pl

from barproof.candles.columns import floats, plain, times
from barproof.errors import LayoutError, ParameterError

__all__ = ["Table", "clean", "moments", "number"]

_LONGEST = 80
# What moves a cursor, ends a line, or turns the direction of writing: C0, C1, separators, bidirectional marks.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_FORMULA = ("=", "+", "-", "@")

_TIME = pl.Datetime("ms", "UTC")


def clean(text: object) -> str:
    r"""Make a stranger's text safe to print: no control characters, bounded, and no formula of a spreadsheet.

    Examples
    --------
    >>> clean("BTC\x1b[31m"), clean("=1+1"), len(clean("x" * 900))
    ('BTC[31m', "'=1+1", 80)
    """
    shown = _CONTROL.sub("", str(text)).strip()[:_LONGEST]
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


class Table:
    """A table whose columns are looked for under several names.

    Attributes
    ----------
    frame : polars.DataFrame
        As it was read.
    notes : list of str
        What was taken for what.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        columns: Mapping[str, str] | None,
        known: Iterable[str],
        noun: str,
    ) -> None:
        self.frame = frame
        self.notes: list[str] = []
        self.noun = noun
        self._told = dict(columns or {})
        # Percents are no amounts; where they may stand for returns they are looked for by themselves.
        self._plain = {plain(c): c for c in reversed(frame.columns) if "%" not in c}
        names = list(known)
        for name, column in self._told.items():
            if name not in names:
                near = get_close_matches(str(name), names, n=3) or names
                raise ParameterError(
                    f"`columns` names {clean(name)!r}, which no table of {noun} has; did you mean {', '.join(near)}?"
                )
            if column not in frame.columns:
                raise ParameterError(
                    f"`columns` takes {name!r} from {clean(column)!r}, which the {noun} lack; they have {self.listed}"
                )

    @property
    def listed(self) -> str:
        """Names of the columns, the first twenty."""
        names = [clean(name) for name in self.frame.columns]
        return (", ".join(names[:20]) + (", ..." if len(names) > 20 else "")) or "none"

    def find(self, name: str, aliases: Iterable[str]) -> str | None:
        """Name of the column that holds `name`: told, its own name, or an alias."""
        if name in self._told:
            return self._told[name]
        if name in self.frame.columns:
            return name
        for alias in (plain(name), *aliases):
            found = self._plain.get(alias)
            if found is not None and not self._is_told(found):
                self.notes.append(f"`{clean(found)}` is taken for `{name}` of the {self.noun}")
                return found
        return None

    def _is_told(self, column: str) -> bool:
        """Whether the caller has said what a column holds."""
        return column in self._told.values()


def number(series: pl.Series, name: str) -> tuple[pl.Series, bool]:
    """Read numbers, also with thousands separators or a percent sign; says whether they were percents."""
    if series.dtype == pl.String:
        text = series.str.strip_chars().str.replace_all(r"[,_\s$€£]", "")
        percent = bool(text.drop_nulls().str.ends_with("%").any())
        series = text.str.strip_suffix("%")
        series = pl.Series(
            name, [None if v in ("", "None", "nan", "-") else v for v in series], dtype=pl.String
        )
        return pl.Series(name, floats(series, clean(name))), percent
    if series.dtype == pl.Object or series.dtype.is_nested():
        raise LayoutError(f"column {clean(name)!r} must hold numbers, holds {series.dtype}")
    return pl.Series(name, floats(series, clean(name))), False


def moments(series: pl.Series, name: str) -> pl.Series:
    """Read times as UTC milliseconds; what is absent stays null."""
    given = series.is_not_null()
    if series.dtype == pl.String:
        given &= ~series.str.strip_chars().is_in(["", "NaT", "None", "nan", "-"]).fill_null(False)
    out = np.zeros(len(series), dtype=np.int64)
    kept = given.to_numpy()
    if kept.any():
        out[kept] = times(series.filter(given), clean(name))
    made = pl.Series(name, out)
    return made.set(~given, None).cast(_TIME)
