"""Which arrays of signals a model of labels feeds: labels of trades speak of one side, whatever their class 0 says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.errors import TrainingError
from barproof.labels.model import Labels
from barproof.labels.trades import TradeLabels

__all__ = ["direction", "fed", "inner_rule"]

_UP, _DOWN = {"long", "exit_short"}, {"short", "exit_long"}


def inner_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Rule under volume filters, which change no class; a side that was chosen after them is kept."""
    side = rule.get("side")
    while rule.get("name") == "volume filter" and isinstance(rule.get("of"), Mapping):
        rule = rule["of"]
        side = rule.get("side") if side is None else side
    return dict(rule) if side is None else {**rule, "side": side}


def _arrays(rule: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Arrays that class 1 speaks of; None where other classes speak of the other side, () where none can be told."""
    rule = inner_rule(rule)
    name, side = rule.get("name"), rule.get("side")
    if name == "triple barrier" and side in ("long", "short"):
        return (str(side),)
    if name == "meta labels":
        return ("long", "short")
    if name == "exit labels":
        return (f"exit_{side}",) if side in ("long", "short") else ("exit_long", "exit_short")
    if name == "k of n":
        found = [_arrays(one) for one in rule["of"]]
        return found[0] if all(one == found[0] for one in found) else ()
    return None


def direction(labels: Labels) -> str:
    """Way of the price that labels of trades hope for, "up" or "down"; "" where they do not say one."""
    arrays = set(_arrays(labels.rule) or ())
    if not arrays:
        return ""
    return "up" if arrays <= _UP else "down" if arrays <= _DOWN else ""


def fed(labels: Labels) -> dict[str, NDArray[np.bool_] | None] | None:
    """Arrays that class 1 (or the value) of these labels feeds, and at which bars; None for labels of both ways.

    Raises
    ------
    TrainingError
        If the rule does not tell a side at each bar.
    """
    arrays = _arrays(labels.rule)
    if arrays is None:
        return None
    if arrays == ("long", "short") and isinstance(labels, TradeLabels):
        # The primary signal chose the side of each bar, and is known at its close.
        side = labels.outcomes["side"].fill_null("none").to_numpy()
        return {name: side == name for name in arrays}
    if arrays == ("long", "short") or not arrays:
        raise TrainingError(
            f"labels of rule {labels.rule.get('name')!r} do not say which side class 1 is for at each bar: take "
            "run.predictions() and make Signals of them"
        )
    return dict.fromkeys(arrays)
