"""State of a stream: as bytes, back from them, and what is known of funding behind some candles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof.candles.interval import format_interval
from barproof.errors import FeatureError
from barproof.features._own_streams import OwnStream
from barproof.features.settlements import Settlements

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.features.own import Stepper
    from barproof.features.sets import FeatureSet
    from barproof.features.streams import FeatureStream

__all__ = ["load", "rebuilt", "saved", "settled", "settlements"]


def saved(stream: FeatureStream) -> bytes:
    """Give the state as bytes."""
    own = [one.save() for one in stream._own]
    # Where no funding is read, the format of releases that knew none.
    kept = {"own": own, "funding": settlements(stream)} if stream._funded else own
    return bytes(stream._core.snapshot(json.dumps(kept).encode()))


def settlements(stream: FeatureStream) -> list[Any]:
    """Settlements of every feed, for JSON."""
    return [one.save() for one in stream._funding]


def load(stream: FeatureStream, snapshot: bytes, steppers: list[Any] | None) -> None:
    """Put a state back; where it cannot be read the stream stands where it stood."""
    core, kept = stream._core.restored(snapshot, remedy(stream))
    fresh = [OwnStream(one.feature) for one in stream._own]
    funding = [Settlements() for _ in stream._funding]
    try:
        found = json.loads(kept)
        given = [None] * len(fresh) if steppers is None else steppers
        states = found["own"] if stream._funded else found
        for one, state, stepper in zip(fresh, states, given, strict=True):
            one.load(state, stepper)
        if stream._funded:
            for known, state in zip(funding, found["funding"], strict=True):
                known.load(state)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        raise FeatureError(
            f"snapshot does not hold the bars of features of your own, or their memory was another: "
            f"{remedy(stream)}"
        ) from None
    stream._own, stream._spoiled = fresh, None
    stream._funding, stream._told = funding, {}
    stream._put(core)


def remedy(stream: FeatureStream) -> str:
    """Say how many bars make the state anew."""
    facts = stream.features.facts(format_interval(stream._known())).values()
    if any(bars is None for _, bars, _ in facts):
        return "rebuild with update_many from the first bar on, as a feature is cumulative"
    bars = max(bars or 1 for _, bars, _ in facts)
    return f"rebuild with update_many of the last {bars:,} bar{'s' * (bars != 1)}"


def rebuilt(
    features: FeatureSet,
    interval: str | None,
    symbol: str | None,
    state: bytes | None,
    steppers: list[Stepper | None],
    funding: list[Any] | None = None,
) -> FeatureStream:
    """Make a stream of what its pickle holds."""
    stream = features.stream(interval, symbol=symbol)
    if state is not None:
        load(stream, state, steppers)
    elif funding is not None:
        for known, one in zip(stream._funding, funding, strict=True):
            known.load(one)
    return stream


def settled(known: Settlements, candles: Candles) -> Settlements:
    """Give settlements as they are known behind the last of some candles."""
    time, rate = candles._bars.funding_time, candles._bars.funding_rate
    if time is None or rate is None or not len(candles):
        return known
    last = int(candles.open_time[-1])
    begin = max(0, int(np.searchsorted(time, last)) - 2)
    new = known.joined_by(zip(time[begin:].tolist(), rate[begin:].tolist(), strict=True))
    new.keep(last)
    return new
