"""`claims.toml`: published numbers with what they were made of, so that anybody can compute them again.

A claim is data. Its artefact is a file of the project, read and never run; its command is shown and never executed.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from barproof._whole import digest_of
from barproof.candles.sources import load
from barproof.errors import BarproofError, ConfigError, FileError, ParameterError
from barproof.results import EQUITY_METRICS, TRADE_METRICS, measure
from barproof.results.freqtrade import MOST_BYTES
from barproof.results.naming import clean, number

__all__ = ["MARK", "Claim", "ClaimSet", "Mention", "Recomputed", "load_claims", "mentions_claims"]

T = TypeVar("T")

FILE_NAME = "claims.toml"
_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_SHA = r"^[0-9a-f]{64}$"
_PRINTED = r"[+-]?\d[\d,_]*(?:\.\d+)?(?:[eE][+-]?\d+)?"
MARK = re.compile(
    rf"(?:(?P<number>{_PRINTED})\s*(?P<percent>%)?[*_`\s]*)?<!--\s*claim:\s*(?P<id>[^\s>]+)\s*-->"
)
"""A claim in Markdown: a number, and a comment that names its record."""


class Observed(BaseModel):
    """What was seen live, to hold a claimed rate against."""

    model_config = ConfigDict(extra="forbid", strict=True)

    count: int = Field(ge=0)
    days: float = Field(gt=0, allow_inf_nan=False)


class Claim(BaseModel):
    """One published number.

    Attributes
    ----------
    id : str
        Name, as used in Markdown.
    value : str
        The number as printed: its last digit says how exact it is meant to be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=_ID)
    value: str
    unit: Literal["fraction", "percent", "count", "number"] = "number"
    kind: Literal["measured", "expected", "target", "quoted"] = "measured"
    text: str = ""
    metric: str = ""
    quantity: str = ""
    system: str = ""
    model: str = ""
    data: str = ""
    command: str = ""
    artefact: str = ""
    sha256: str = Field(default="", pattern=r"^$|" + _SHA)
    pointer: str = ""
    column: str = ""
    reduce: Literal["mean", "median", "sum", "min", "max", "std", "first", "last", "count"] = "mean"
    columns: dict[str, str] = Field(default_factory=dict)
    strategy: str | None = None
    n: int | None = Field(default=None, ge=0)
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    level: float | None = Field(default=None, gt=0, lt=1)
    null: float | None = Field(default=None, allow_inf_nan=False)
    period_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    derived: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    observed: Observed | None = None

    @property
    def number(self) -> float:
        """As printed, in the claim's own unit."""
        return float(self.value)

    @property
    def half(self) -> float:
        """Half a unit of the last printed digit."""
        exponent = Decimal(self.value).as_tuple().exponent
        return 0.5 * 10.0 ** int(exponent) if isinstance(exponent, int) else 0.0

    @property
    def scale(self) -> float:
        """What a fraction is multiplied by to be in the claim's unit."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def about(self) -> str:
        """What is claimed, to compare with other claims."""
        return self.quantity or self.metric


@dataclass(frozen=True)
class Recomputed:
    """A number computed from its artefact.

    Attributes
    ----------
    value : float or None
        In the claim's unit; None where it could not be computed.
    reason : str
        Why not.
    agrees : bool
        Whether it is the printed number, within half a unit of its last digit.
    """

    value: float | None
    reason: str = ""
    agrees: bool = False


@dataclass(frozen=True)
class Mention:
    """A number in a page, with the claim that it names.

    Attributes
    ----------
    page, line : str, int
        Where.
    id : str
        Of the claim.
    number : str or None
        As printed, without separators; None where none stands before the mark.
    percent : bool
        Whether a percent sign follows.
    words : str
        The line.
    """

    page: str
    line: int
    id: str
    number: str | None
    percent: bool
    words: str


@dataclass(frozen=True)
class ClaimSet:
    """Claims, the folder that they speak of, and the pages that mention them.

    Attributes
    ----------
    claims : tuple of Claim
        In the order of the file.
    root : Path
        Folder of the project: nothing outside of it is read.
    system : str
        What the project is about; claims of another system are quotations.
    mentions : tuple of Mention
        Numbers in pages.
    """

    claims: tuple[Claim, ...]
    root: Path
    system: str = ""
    mentions: tuple[Mention, ...] = ()
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def digest(self) -> str:
        """Identity of the records."""
        from barproof import _core

        return _core.digest("claims/1", [claim.model_dump_json() for claim in self.claims])

    @cached_property
    def by_id(self) -> dict[str, Claim]:
        """Claims by id."""
        return {claim.id: claim for claim in self.claims}

    def path(self, name: str) -> Path:
        """Find a file of the project, and refuse any other.

        Parameters
        ----------
        name : str
            Relative to the root.

        Returns
        -------
        Path
            Resolved; inside the root whatever links there are.

        Raises
        ------
        FileError
            If it lies outside of the project, is absent, no file, or too large.
        """
        given = Path(name)
        if "\x00" in name or given.is_absolute() or given.drive:
            raise FileError(
                f"artefact {clean(name)!r} must be a path relative to the project: move it there"
            )
        try:
            found = (self.root / given).resolve()
            inside = found.is_relative_to(self.root.resolve())
            there = inside and found.is_file()
            size = found.stat().st_size if there else 0
        except (OSError, RuntimeError, ValueError):
            inside, there, size = True, False, 0
        if not inside:
            raise FileError(f"artefact {clean(name)!r} lies outside of the project: copy it there")
        if not there:
            raise FileError(
                f"artefact {clean(name)!r} is not in the project: restore it, or withdraw the claim"
            )
        if size > MOST_BYTES:
            raise FileError(
                f"artefact {clean(name)!r} is larger than {MOST_BYTES:,} bytes: publish a smaller one"
            )
        return found

    def sha256(self, name: str) -> str:
        """Digest of a file of the project.

        Parameters
        ----------
        name : str
            Relative to the root.

        Returns
        -------
        str
            SHA-256 of its bytes, hexadecimal.
        """
        path = self.path(name)
        return self._once(f"sha {path}", lambda: digest_of(path))

    def recompute(self, claim: Claim) -> Recomputed:
        """Compute the number of a claim from its artefact.

        Parameters
        ----------
        claim : Claim
            One of the set.

        Returns
        -------
        Recomputed
            The value, or why there is none; never raises for what a file holds.
        """
        return self._once(f"claim {claim.id}", lambda: self._recompute(claim))

    def _once(self, key: str, make: Callable[[], T]) -> T:
        """Make a thing where it is not known yet."""
        if key not in self._known:
            self._known[key] = make()
        found: T = self._known[key]
        return found

    def _recompute(self, claim: Claim) -> Recomputed:
        """Compute a claim without looking whether it was computed before."""
        if not claim.artefact:
            return Recomputed(None, "it names no artefact")
        if not (claim.metric or claim.pointer or claim.column):
            return Recomputed(None, "it names neither metric, pointer nor column")
        try:
            raw = self._measure(claim, self.path(claim.artefact))
        except BarproofError as error:
            return Recomputed(None, clean_line(str(error)))
        if raw is None or not math.isfinite(raw):
            return Recomputed(None, "the artefact gives no finite number")
        agrees = abs(raw - claim.number) <= claim.half + 1e-9 * max(abs(raw), abs(claim.number))
        return Recomputed(raw, "", agrees)

    def _measure(self, claim: Claim, path: Path) -> float | None:
        """Read the number in the claim's unit."""
        if claim.pointer:
            # A stored number is in the unit that it was stored in.
            return _pointed(_document(path), claim.pointer)
        if claim.column:
            frame, _ = load(path, name="artefact")
            return _reduced(frame, claim.column, claim.reduce)
        value, fraction = measure(
            path, claim.metric, columns=claim.columns, strategy=claim.strategy
        )
        return value * claim.scale if fraction else value


def load_claims(
    source: str | os.PathLike[str], *, pages: Iterable[str | os.PathLike[str]] = ()
) -> ClaimSet:
    """Read `claims.toml`.

    Parameters
    ----------
    source : path
        The file; its folder is the project's root.
    pages : iterable of path, optional
        Markdown whose numbers name claims: ``73.9%<!-- claim: win-rate -->``.

    Returns
    -------
    ClaimSet
        Every claim, and every mention.

    Raises
    ------
    FileError
        If a file is absent or no text.
    ConfigError
        If the file is no TOML, or a record is wrong; names the record and the field.
    """
    path = Path(source)
    try:
        document = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path.name!r} is no TOML: {clean(error)}; see docs/claims.md"
        ) from error
    except RecursionError as error:
        raise ConfigError(
            f"{path.name!r} is nested too deeply: a claim is a flat record"
        ) from error
    made = claims_of(document, path.name)
    system = document.get("system", "")
    if not isinstance(system, str):
        raise ConfigError(f"`system` of {path.name!r} must be a text, was {type(system).__name__}")
    found = [
        mention for page in pages for mention in mentions_of(_text(Path(page)), Path(page).name)
    ]
    return ClaimSet(made, path.absolute().parent, system, tuple(found))


def claims_of(document: Mapping[str, Any], name: str) -> tuple[Claim, ...]:
    """Make claims of a parsed document."""
    rows = document.get("claim", [])
    unknown = [key for key in document if key not in ("claim", "system")]
    if unknown:
        raise ConfigError(
            f"{name!r} has an unknown key {clean(unknown[0])!r}: it holds `system` and [[claim]] only"
        )
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(f"`claim` of {name!r} must be records: write [[claim]] before each")
    made: list[Claim] = []
    for i, row in enumerate(rows):
        told = f"claim {i + 1} of {name!r} ({clean(row.get('id', 'no id'))})"
        try:
            given = {**row, "value": _as_printed(row["value"])} if "value" in row else dict(row)
            claim = Claim.model_validate(given)
            _check_together(claim)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(clean(part) for part in first["loc"]) or "the record"
            raise ConfigError(
                f"{told}, {where}: {clean_line(first['msg'][:1].lower() + first['msg'][1:])}; see docs/claims.md"
            ) from error
        except ParameterError as error:
            raise ConfigError(f"{told}, {error}; see docs/claims.md") from error
        made.append(claim)
    seen: set[str] = set()
    for claim in made:
        if claim.id in seen:
            raise ConfigError(
                f"{name!r} holds the claim {claim.id!r} twice: give each an id of its own"
            )
        seen.add(claim.id)
    return tuple(made)


def _as_printed(value: Any) -> str:
    """Read the number of a claim as it is printed: texts keep their last digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ParameterError(
            f'`value` must be a number, or a text such as "73.80" that keeps its last digit, was {type(value).__name__}'
        )
    plain = (
        value.replace(",", "").replace("_", "").strip() if isinstance(value, str) else repr(value)
    )
    try:
        held = Decimal(plain)
    except InvalidOperation:
        raise ParameterError(f"`value` must be a number, was {clean(value)!r}") from None
    if not held.is_finite() or not math.isfinite(float(held)) or abs(held.adjusted()) > 300:
        raise ParameterError(f"`value` must be finite, was {clean(value)!r}")
    return plain


def _check_together(claim: Claim) -> None:
    """Refuse records that contradict themselves."""
    if claim.pointer and claim.column:
        raise ParameterError("`pointer` and `column` both say where the number is: give one")
    told = claim.pointer or claim.column
    known = (*TRADE_METRICS, *EQUITY_METRICS)
    if claim.metric and claim.artefact and not told and claim.metric not in known:
        raise ParameterError(
            f"`metric` must be one of {', '.join(known)}, or `pointer` or `column` say where it is, was "
            f"{clean(claim.metric)!r}"
        )


def mentions_of(text: str, page: str) -> list[Mention]:
    """Find the numbers of a page that name claims."""
    found = []
    for i, line in enumerate(text.splitlines(), 1):
        for match in MARK.finditer(line[:10_000]):
            printed = match["number"]
            found.append(
                Mention(
                    page,
                    i,
                    clean(match["id"]),
                    None if printed is None else printed.replace(",", "").replace("_", ""),
                    match["percent"] is not None,
                    clean_line(MARK.sub(lambda m: m[0].partition("<!--")[0], line)),
                )
            )
    return found


def mentions_claims(path: Path) -> bool:
    """Whether a page names claims; what cannot be read names none."""
    try:
        return bool(mentions_of(_text(path), path.name))
    except FileError:
        return False


def clean_line(text: str) -> str:
    """Put a text on one printable line of at most 300 characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()


def _text(path: Path) -> str:
    """Read a text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise FileError(f"{str(path)!r} cannot be read: {cause}") from error


def _document(path: Path) -> Any:
    """Read a JSON document."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"artefact {path.name!r} cannot be read as JSON: a pointer needs a JSON document"
        ) from error


def _pointed(document: Any, pointer: str) -> float | None:
    """Follow a JSON pointer (RFC 6901)."""
    here = document
    for part in pointer.lstrip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, Mapping) and name in here:
            here = here[name]
        elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        else:
            raise ParameterError(
                f"pointer {clean(pointer)!r} leads nowhere in the artefact: it stops at {clean(name)!r}"
            )
    if isinstance(here, bool) or not isinstance(here, (int, float)):
        raise ParameterError(f"pointer {clean(pointer)!r} leads to no number in the artefact")
    return float(here)


def _reduced(frame: pl.DataFrame, column: str, how: str) -> float | None:
    """Make one number of a column."""
    if column not in frame.columns:
        names = ", ".join(clean(name) for name in frame.columns[:10])
        raise ParameterError(f"the artefact has no column {clean(column)!r}, but {names or 'none'}")
    values = number(frame[column], column)[0].to_numpy()
    if how == "count":
        return float(len(values))
    if not len(values):
        return None
    if how in ("first", "last"):
        return float(values[0 if how == "first" else -1])
    if how == "std":
        return float(np.std(values, ddof=1)) if len(values) > 1 else None
    reductions: dict[str, Callable[[Any], Any]] = {
        "mean": np.mean,
        "median": np.median,
        "sum": np.sum,
        "min": np.min,
        "max": np.max,
    }
    return float(reductions[how](values))
