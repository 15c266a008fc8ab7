"""Rules and costs: everything that turns signals into trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from inspect import signature
from numbers import Real
from typing import TYPE_CHECKING, Any

from barproof import _core
from barproof._fields import RulesFields
from barproof._shown import facts, facts_of, shown
from barproof.errors import ParameterError

__all__ = ["Costs", "Rules"]

NAMES: tuple[str, ...] = tuple(field.name for field in fields(RulesFields))


def check_names(names: Mapping[str, object] | list[str], what: str) -> None:
    """Refuse names that are no fields of the rules, naming the nearest."""
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(NAMES)}"
            raise ParameterError(f"unknown rule `{name}` in {what}; {hint}")


@shown(lambda self: facts(self.to_dict()))
@dataclass(frozen=True, kw_only=True, repr=False)
class Rules(RulesFields):
    """One combination of rules.

    All fields are keywords with defaults; they are listed in docs/rules.md and in :class:`RulesFields`. Rules are
    immutable and comparable; :meth:`replace` makes changed copies.

    Raises
    ------
    ParameterError
        If a value is out of its bounds, or a name is no field.
    RulesError
        If fields contradict each other. Fields that nothing uses are no error.

    Examples
    --------
    >>> Rules(entry_long=0.6, stop_loss=0.01)
    Rules(entry_long=0.6, stop_loss=0.01)
    """

    if not TYPE_CHECKING:

        def __new__(cls, *_args: object, **given: object) -> Rules:  # noqa: D102 - as __init__
            check_names(given, "Rules(...)")
            return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, value in _core.check_rules({n: getattr(self, n) for n in NAMES}).items():
            # Canonical types (1 becomes 1.0 where a field is a float), so that equal rules have equal digests.
            object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> Rules:
        """Copy with some fields changed.

        Parameters
        ----------
        **changes
            Fields by name.

        Returns
        -------
        Rules
            Checked like any other.
        """
        check_names(changes, "replace(...)")
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, in order.

        Returns
        -------
        dict
            Plain Python values.
        """
        return {name: getattr(self, name) for name in NAMES}

    def changed(self) -> dict[str, Any]:
        """Fields that differ from their defaults.

        Returns
        -------
        dict
            Plain Python values by name, in order.
        """
        defaults = RulesFields()
        return {n: v for n, v in self.to_dict().items() if v != getattr(defaults, n)}

    @property
    def digest(self) -> str:
        """Identity of the rules, 64 hexadecimal digits."""
        items = [f"{name}={value!r}" for name, value in self.to_dict().items()]
        return _core.digest("rules/1", items)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.changed().items())
        return f"Rules({inner})"


# What help() and notebooks show; `__new__` above would hide it.
Rules.__signature__ = signature(RulesFields)  # type: ignore[attr-defined]


@shown(facts_of)
@dataclass(frozen=True)
class Costs:
    """Fees and slippage, as fractions per side.

    Parameters
    ----------
    taker : float
        Fee rate of orders that take liquidity: market entries and exits, stops. Required, because a backtest without
        costs must be asked for (:meth:`free`).
    maker : float, optional
        Fee rate of resting orders; negative is a rebate. Default: as `taker`.
    slippage : float, default 0.0
        Adverse change of the price of orders that take liquidity.

    Raises
    ------
    ParameterError
        If a rate is not a fraction below 1, or `taker` or `slippage` is negative.

    Examples
    --------
    >>> Costs(taker=0.0005, slippage=0.0001)
    Costs(taker=0.0005, maker=0.0005, slippage=0.0001)
    """

    taker: float
    maker: float | None = None
    slippage: float = 0.0

    def __post_init__(self) -> None:
        if self.maker is None:
            object.__setattr__(self, "maker", self.taker)
        for name, low in (("taker", 0.0), ("maker", -1.0), ("slippage", 0.0)):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, Real)
                or not low <= float(value) < 1.0
            ):
                raise ParameterError(
                    f"`{name}` of the costs must be a fraction in [{low:g}, 1), was {value!r}: "
                    "5 basis points are 0.0005"
                )
            object.__setattr__(self, name, float(value))

    @classmethod
    def free(cls) -> Costs:
        """No costs at all: a paper market. Reports and audits say so.

        Returns
        -------
        Costs
            All rates zero.
        """
        return cls(taker=0.0, maker=0.0, slippage=0.0)

    @property
    def is_free(self) -> bool:
        """Whether nothing costs anything."""
        return self.taker == 0.0 and self.slippage == 0.0 and (self.maker or 0.0) <= 0.0

    def _tuple(self) -> tuple[float, float, float]:
        return (self.taker, self.taker if self.maker is None else self.maker, self.slippage)
