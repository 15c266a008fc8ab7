"""What an audit gives back: `Finding`, with what it measured and the gate that it judged by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast, get_args

import numpy as np
import polars as pl

from barproof._shown import facts_of, shown

__all__ = ["OUTCOMES", "SEVERITIES", "Finding", "Gate", "Measured", "Outcome", "Severity", "plain"]

Outcome = Literal["pass", "warn", "fail", "inconclusive", "error", "skipped"]
Severity = Literal["critical", "high", "medium", "low", "info"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Worst first."""

NOT_A_NUMBER = "not a number"


@dataclass(frozen=True)
class Measured:
    """What an audit measured.

    Attributes
    ----------
    name : str
        What it is.
    value : float or None
        None where undefined; `reason` then says why.
    unit : str
        ``"fraction"``, ``"count"``, ``"bars"``, ...
    form : str
        Which of several published meanings.
    low, high : float or None
        Interval.
    level : float or None
        Its coverage.
    method : str
        How the interval was made.
    n, n_eff : float or None
        Observations, and how many independent ones they are worth.
    p_value : float or None
        Two-sided unless `form` says otherwise.
    reason : str
        Why a number is missing; empty where none is.
    """

    name: str
    value: float | None
    unit: str = ""
    form: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    method: str = ""
    n: float | None = None
    n_eff: float | None = None
    p_value: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        missing = []
        for name in ("value", "low", "high", "level", "n", "n_eff", "p_value"):
            number = getattr(self, name)
            if number is None:
                continue
            number = float(number)
            why = _why(number)
            if why:
                missing.append(f"{name}: {why}")
            whole = name == "n" and number.is_integer()
            object.__setattr__(self, name, None if why else int(number) if whole else number)
        if missing:
            told = [self.reason] if self.reason else []
            object.__setattr__(self, "reason", "; ".join([*told, *missing]))

    @property
    def told(self) -> float | None:
        """The value, also where it is infinite and JSON holds no such number."""
        if self.value is not None:
            return self.value
        for sign, why in ((math.inf, "value: infinite"), (-math.inf, "value: minus infinite")):
            if why in self.reason.split("; "):
                return sign
        return None


_RELATIONS: dict[str, Callable[[float, tuple[float, ...]], bool]] = {
    "=": lambda x, ends: x == ends[0],
    "<": lambda x, ends: x < ends[0],
    "<=": lambda x, ends: x <= ends[0],
    ">": lambda x, ends: x > ends[0],
    ">=": lambda x, ends: x >= ends[0],
    "within": lambda x, ends: ends[0] <= x <= ends[1],
}


@dataclass(frozen=True)
class Gate:
    """What a measurement was judged by.

    Value and threshold are of one quantity, so that :meth:`holds` says of every finding what its outcome says.

    Attributes
    ----------
    operator : str
        The relation that must hold for a pass: ``"="``, ``"<"``, ``"<="``, ``">"``, ``">="`` or ``"within"``;
        ``"interval >"`` where it must hold for the whole interval, and likewise for the others.
    threshold : float, str or None
        The bound; two of them as in ``"0.25 to 0.35"`` for ``"within"``.
    source : str
        ``"default"``, ``"argument"``, or the case study that it comes from.
    why : str
        Its reason in one sentence.
    """

    operator: str
    threshold: float | str | None
    source: str
    why: str

    def __post_init__(self) -> None:
        if isinstance(self.threshold, (int, float, np.number)):
            number = float(self.threshold)
            object.__setattr__(self, "threshold", None if _why(number) else number)

    @property
    def bounds(self) -> tuple[float, ...]:
        """Numbers of the threshold: one, two for ``"within"``, none where it has none."""
        if isinstance(self.threshold, str):
            low, _, high = self.threshold.partition(" to ")
            try:
                return float(low), float(high)
            except ValueError:
                return ()
        return () if self.threshold is None else (float(self.threshold),)

    def holds(self, measured: Measured | None) -> bool | None:
        """Tell whether a measurement is what a pass needs.

        Parameters
        ----------
        measured : Measured or None
            Of the same finding.

        Returns
        -------
        bool or None
            None where a number or the bound is missing.

        Examples
        --------
        >>> gate = Gate("interval >", 0.0, "default", "an edge must be above 0")
        >>> gate.holds(Measured("mean", 0.2, low=0.1, high=0.3)), gate.holds(Measured("mean", 0.2, low=-0.1, high=0.5))
        (True, False)
        """
        whole, _, operator = self.operator.rpartition(" ")
        ends = self.bounds
        if measured is None or not ends or (operator == "within") != (len(ends) == 2):
            return None
        numbers = (measured.low, measured.high) if whole else (measured.told,)
        if any(x is None or math.isnan(x) for x in numbers):
            return None
        return all(_RELATIONS[operator](float(x), ends) for x in numbers if x is not None)


@shown(facts_of)
@dataclass(frozen=True, repr=False)
class Finding:
    """One audit's result; plain data throughout, to be read and not changed.

    Attributes
    ----------
    id, slug : str
        Stable code, never reused, and a short name.
    outcome : {"pass", "warn", "fail", "inconclusive", "error", "skipped"}
        What the evidence says.
    severity : {"critical", "high", "medium", "low", "info"}
        How much money is at risk, whatever the outcome.
    title : str
        One sentence with its numbers.
    measured : Measured or None
        What was measured.
    gate : Gate or None
        What it was judged by.
    evidence : dict
        The smallest thing that convinces: the first offending `rows` with their `total`, and further numbers.
    cause : tuple of str
        Likely causes, the likeliest first.
    remedy : str
        What to do.
    fixable : bool
        Whether doing it is mechanical.
    scope : dict
        Split, fold, symbol, side, period.
    assumptions : dict of str to str
        Each ``"checked"``, ``"violated"`` or ``"unchecked"``.
    provenance : dict
        Digests of inputs, versions, seed, seconds.
    waiver : dict or None
        The waiver that matched.
    docs : str
        Page and anchor.
    """

    id: str
    slug: str
    outcome: Outcome
    severity: Severity
    title: str
    measured: Measured | None = None
    gate: Gate | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    cause: tuple[str, ...] = ()
    remedy: str = ""
    fixable: bool = False
    scope: dict[str, Any] = field(default_factory=dict)
    assumptions: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    waiver: dict[str, Any] | None = None
    docs: str = ""

    def __post_init__(self) -> None:
        for name in ("evidence", "scope", "assumptions", "provenance"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        object.__setattr__(self, "cause", tuple(self.cause))

    def __hash__(self) -> int:
        return hash((self.id, self.outcome, self.title))

    def __repr__(self) -> str:
        return f"Finding({self.id} {self.outcome}, {self.severity}: {self.title})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold.

        Returns
        -------
        dict
            Numbers are floats; what is not finite is None, and a reason stands beside it.
        """
        return cast("dict[str, Any]", plain(asdict(self)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Make a finding again from :meth:`to_dict`.

        Parameters
        ----------
        data : mapping
            As written.

        Returns
        -------
        Finding
            Equal to the one that was written.
        """
        given = dict(data)
        if given.get("measured") is not None:
            given["measured"] = Measured(**given["measured"])
        if given.get("gate") is not None:
            given["gate"] = Gate(**given["gate"])
        given["cause"] = tuple(given.get("cause", ()))
        return cls(**given)


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; what is not finite becomes None with a reason beside it.

    Parameters
    ----------
    value : object
        Numbers, texts, times, arrays, series, and lists and dicts of them.

    Returns
    -------
    object
        None, bool, int, float, str, list or dict.

    Examples
    --------
    >>> plain({"auc": float("nan")})
    {'auc': None, 'auc_reason': 'not a number'}
    """
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            out[str(key)] = plain(item)
            why = _missing(item)
            if why:
                out[f"{key}_reason"] = why
        return out
    if isinstance(value, (np.ndarray, pl.Series)):
        return plain(value.tolist() if isinstance(value, np.ndarray) else value.to_list())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return None if _why(float(value)) else float(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or isinstance(value, str) else str(value)


def _missing(value: Any) -> str:
    """Why a number, or the first of a list, cannot be written; empty if it can."""
    if isinstance(value, (float, np.floating)):
        return _why(float(value))
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            why = _why(float(item)) if isinstance(item, (float, np.floating)) else ""
            if why:
                return f"element {i}: {why}"
    return ""


def _why(number: float) -> str:
    if math.isnan(number):
        return NOT_A_NUMBER
    if math.isinf(number):
        return "infinite" if number > 0 else "minus infinite"
    return ""
