"""`SignalSets`: several models' signals, compared in one sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from barproof import _core
from barproof.errors import LayoutError, ParameterError, SignalError
from barproof.signals import Signals

__all__ = ["SignalSets", "check_signals"]


class SignalSets:
    """Named signals that stand in a sweep as one more axis, `signals`.

    Parameters
    ----------
    sets : mapping of str to Signals
        Such as one entry a model. All are run with the same grid, windows and costs, in this order.

    Raises
    ------
    LayoutError
        If it is no mapping of names to Signals.
    ParameterError
        If it is empty or a name is blank.

    Examples
    --------
    >>> sets = SignalSets({"slow": Signals(long=[0.1, 0.9]), "fast": Signals(long=[0.8, 0.2])})
    >>> sets
    SignalSets(slow, fast)
    >>> sets["fast"]
    Signals(long, 2 bars, probability)
    """

    def __init__(self, sets: Mapping[str, Signals]) -> None:
        if not isinstance(sets, Mapping):
            raise LayoutError(
                f"`sets` must be a mapping of name to Signals, was {type(sets).__name__}: write "
                'SignalSets({"name": signals})'
            )
        if not sets:
            raise ParameterError("`sets` is empty: give at least one name with its signals")
        for name, signals in sets.items():
            if not isinstance(name, str) or not name.strip() or not name.isprintable():
                raise ParameterError(
                    f"a name of SignalSets must be a printable text, was {name!r}: give each model a name"
                )
            if not isinstance(signals, Signals):
                raise LayoutError(
                    f"`{name}` of SignalSets must be Signals, was {type(signals).__name__}: use Signals(long=...)"
                )
        self._sets = dict(sets)

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(self._sets)

    @property
    def digest(self) -> str:
        """Identity of the names and arrays, 64 hexadecimal digits."""
        items = [text for name, signals in self._sets.items() for text in (name, signals.digest)]
        return _core.digest("signal_sets/1", items)

    def __getitem__(self, name: str) -> Signals:
        """Signals by name."""
        if name not in self._sets:
            raise ParameterError(f"there are no signals {name!r}; known: {', '.join(self._sets)}")
        return self._sets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._sets

    def __iter__(self) -> Iterator[str]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignalSets):
            return NotImplemented
        return list(self._sets.items()) == list(other._sets.items())

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"SignalSets({', '.join(self._sets)})"


def check_signals(signals: Signals, what: str) -> None:
    """Refuse signals that never say anything about an entry."""
    entries = [signals[name] for name in ("long", "short") if name in signals.names]
    # Most say something at their last bar.
    if any(len(one) and one[-1] == one[-1] for one in entries):
        return
    if len(signals) and entries and all(np.isnan(one).all() for one in entries):
        names = " and ".join(f"`{name}`" for name in ("long", "short") if name in signals.names)
        raise SignalError(
            f"{what} hold no value: {names} {'is' if len(entries) == 1 else 'are'} NaN at all {len(signals):,} bars, "
            "so that nothing can trade; look at how they were joined"
        )
