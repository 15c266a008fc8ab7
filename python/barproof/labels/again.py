"""Labels made again by the rule that labels carry: of the same candles, or of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof.errors import BarproofError, LayoutError, ParameterError
from barproof.labels.combine import volume_filter, vote
from barproof.labels.forward import horizon
from barproof.labels.leaving import ExitLabels, exits
from barproof.labels.model import Labels, check_level
from barproof.labels.sides import inner_rule
from barproof.labels.trades import TradeLabels, meta, triple_barrier
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.signals import Signals

__all__ = ["follows_primary", "recomputed", "remake"]

_TRADES = {"name", "rules", "costs", "initial_equity", "kind", "threshold"}
_KEYS: dict[str, set[str]] = {
    "horizon": {"name", "bars", "threshold", "kind", "clock"},
    "triple barrier": _TRADES | {"side"},
    "meta labels": _TRADES | {"primary"},
    "exit labels": _TRADES | {"primary"},
    "k of n": {"name", "k", "of"},
    "volume filter": {"name", "least", "bars", "of"},
}
_MORE: dict[str, set[str]] = {
    "triple barrier": {"signals", "intrabar"},
    "meta labels": {"signals", "intrabar"},
    "exit labels": {"signals", "intrabar", "side"},
    "volume filter": {"side"},
}
_COSTS = {"taker", "maker", "slippage"}
# A rule may come from a stranger's file: neither its depth nor its width may cost more than a study would.
_DEPTH, _VOTES = 8, 256


def remake(
    rule: Mapping[str, Any],
    candles: Candles,
    *,
    primary: ArrayLike | None = None,
    signals: Signals | None = None,
    intrabar_candles: Candles | None = None,
    engine: str = "indexed",
    threads: int | None = None,
) -> Labels:
    """Make labels by the rule of others, which labels, runs and the manifests of bundles carry.

    Parameters
    ----------
    rule : mapping
        As :attr:`Labels.rule`, or as a manifest holds it.
    candles : Candles
        Bars to label, which may be others than those of the rule.
    primary : array_like of shape (n_bars,), optional
        Sides of the primary signal at these candles: rules of :func:`meta` and :func:`exits` need it, as they keep its
        digest alone.
    signals : Signals, optional
        Arrays that the rules look at, where the labels had any.
    intrabar_candles : Candles, optional
        Finer candles, where the labels had any.
    engine : {"indexed", "replay"}, default "indexed"
        Of trades: from event to event, or bar by bar; the same bits.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.

    Returns
    -------
    Labels
        Of the class that the rule's maker gives. On the candles (and arrays) of the rule they are the same bits.

    Raises
    ------
    LayoutError
        If the rule is none of this package's: of another maker, or with other entries.
    ParameterError
        If something is needed that is not given, or given and not looked at, or a value is out of bounds.
    RulesError, FundingError, ShapeError
        As of the rule's maker.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=48)
    >>> labels = bp.labels.triple_barrier(candles, rules, costs=bp.Costs(taker=0.0005))
    >>> remake(labels.rule, candles).digest == labels.digest
    True
    """
    given = {"primary": primary, "signals": signals, "intrabar_candles": intrabar_candles}
    used: set[str] = set()

    def take(name: str, key: str, of: Mapping[str, Any]) -> Any:
        """Find what the rule tells by its digest alone."""
        if key not in of:
            return None
        used.add(name)
        if given[name] is None:
            raise ParameterError(
                f"labels of rule {of['name']!r} look at `{name}`, of which the rule keeps the digest alone: give "
                f"{name}= of these candles"
            )
        return given[name]

    def make(of: Any, depth: int) -> Labels:
        """Make labels by a recorded rule, and those inside of it first."""
        name = _check(of, depth)
        if name == "horizon":
            level = check_level("threshold", of["threshold"], 0.0)
            return horizon(
                candles, bars=of["bars"], threshold=level, kind=of["kind"], clock=of["clock"], threads=threads
            )  # fmt: skip
        if name == "k of n":
            ballots = [make(one, depth + 1) for one in of["of"]]
            return vote(ballots, k=of["k"], threads=threads)
        if name == "volume filter":
            kept = volume_filter(make(of["of"], depth + 1), least=of["least"], bars=of["bars"])
            return kept if "side" not in of else _of_side(kept, of["side"])
        options: dict[str, Any] = {
            "costs": Costs(**of["costs"]),
            "kind": of["kind"],
            "threshold": of["threshold"],
            "signals": take("signals", "signals", of),
            "initial_equity": of["initial_equity"],
            "intrabar_candles": take("intrabar_candles", "intrabar", of),
            "threads": threads,
        }
        rules = Rules(**of["rules"])
        if name == "triple barrier":
            return triple_barrier(candles, rules, side=of["side"], engine=engine, **options)
        sides = take("primary", "primary", of)
        if name == "meta labels":
            return meta(candles, sides, rules, engine=engine, **options)
        made = exits(candles, sides, rules, **options)
        return made if "side" not in of else _of_side(made, of["side"])

    found = make(rule, 0)
    idle = [name for name, value in given.items() if value is not None and name not in used]
    if idle:
        raise ParameterError(
            f"`{idle[0]}` is given, but labels of rule {found.rule['name']!r} do not look at it: leave it out"
        )
    return found


def _of_side(labels: Labels, side: Any) -> Labels:
    """Exit labels of the bars at which one side is held."""
    if not isinstance(labels, ExitLabels):
        raise LayoutError(
            f"a rule tells `side` {side!r} of labels that are no exit labels: give the rule as labels carry it"
        )
    return labels.of(side)


def _check(rule: Any, depth: int) -> str:
    """Refuse what no labels carry, before anything is made; the rule's name."""
    name = rule.get("name") if isinstance(rule, Mapping) else None
    if not isinstance(name, str) or name not in _KEYS:
        told = repr(name if isinstance(rule, Mapping) else type(rule).__name__)[:80]
        raise LayoutError(
            f"rule {told} is of no maker of labels: known are {', '.join(_KEYS)}; give the labels themselves"
        )
    if depth > _DEPTH:
        raise LayoutError(f"rules of labels lie within each other more than {_DEPTH} deep")
    keys = set(rule)
    lacking, other = _KEYS[name] - keys, keys - _KEYS[name] - _MORE.get(name, set())
    if lacking or other:
        word, wrong = ("lacks", lacking) if lacking else ("has no", other)
        raise LayoutError(
            f"rule {name!r} {word} {sorted(map(str, wrong))[0][:80]!r}: give the rule as labels carry it"
        )
    parts: dict[str, Callable[[Any], bool]] = {
        "rules": lambda value: (
            isinstance(value, Mapping) and all(isinstance(k, str) for k in value)
        ),
        "costs": lambda value: isinstance(value, Mapping) and set(value) == _COSTS,
    }
    if name == "k of n":
        parts["of"] = lambda value: isinstance(value, list) and len(value) <= _VOTES
    for key, fits in parts.items():
        if key in rule and not fits(rule[key]):
            raise LayoutError(
                f"`{key}` of rule {name!r} is not what labels carry: {repr(rule[key])[:80]}"
            )
    return name


def follows_primary(rule: Mapping[str, Any]) -> bool:
    """Whether labels of a rule need the decisions of a primary signal."""
    of = rule.get("of")
    inside = of if isinstance(of, list) else [of]
    return "primary" in rule or any(
        isinstance(one, Mapping) and follows_primary(one) for one in inside
    )


# Bars that a replay of all decisions may step in an audit.
_STEPS = 50_000_000


def recomputed(labels: Any, rule: Mapping[str, Any], candles: Candles) -> Labels | str | None:
    """Make labels of a rule again, bar by bar where that is not too much; or say why they cannot be made.

    None for rules of nobody here. Decisions of a primary signal are taken from what the labels show of their trades.
    """
    if rule.get("name") not in _KEYS:
        return None
    told = inner_rule(rule)
    primary: NDArray[np.int8] | None = None
    if isinstance(labels, TradeLabels) and told.get("name") == "meta labels":
        sign = {"long": 1, "short": -1}
        primary = np.array([sign.get(side, 0) for side in labels.outcomes["side"]], dtype=np.int8)
    elif isinstance(labels, ExitLabels) and told.get("name") == "exit labels":
        plain = told["rules"].get("entry", "market") == "market" and "fill" not in told["rules"]
        primary = held_sides(labels) if plain else None
    most = told.get("rules", {}).get("max_hold", 1)
    engine = "replay" if most * len(candles) <= _STEPS else "indexed"
    try:
        return remake(rule, candles, primary=primary, engine=engine)
    except BarproofError as error:
        return str(error)


def held_sides(labels: ExitLabels) -> NDArray[np.int8]:
    """Decisions that led to the trades of exit labels, where orders are filled at the next open."""
    sides = np.zeros(len(labels), dtype=np.int8)
    frame = labels.outcomes
    signs = np.where((frame["side"] == "long").to_numpy(), 1, -1)
    sides[frame["entry_bar"].to_numpy() - 1] = signs
    return sides
