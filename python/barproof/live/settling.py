"""Settlements of funding: inputs like bars, and refused where they come too late."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from barproof.candles.table import show_time
from barproof.errors import FundingError
from barproof.live.arrivals import Arrival
from barproof.live.market import LiveMarket

if TYPE_CHECKING:
    from barproof.live.stepping import Stepper

__all__ = ["check_late", "is_news", "settle", "take_funding"]


def is_news(of: Stepper, symbol: str, arrival: Arrival) -> bool:
    """Whether a bar tells of a settlement that is not known: most repeat the last two."""
    market = of.markets.get(symbol)
    if market is None:
        return False
    known = market.settlements.last
    return known is None or arrival.funding[-1][0] >= known + 500


def check_late(of: Stepper, market: LiveMarket, found: Iterable[tuple[int, float]]) -> None:
    """Refuse settlements of bars that were taken."""
    if not of.terms.pays(market.symbol):
        return
    last = of.last[market.symbol]
    known = market.settlements.last
    for time, _ in found:
        at = (time + 500) // 1000 * 1000
        if known is not None and at <= known:
            continue
        if last is None:
            continue
        bound = last + (of.terms.interval_ms - 1 if market.funded else 0)
        if at <= bound and of.accounts.bars(market.symbol) > 0:
            raise FundingError(
                f"settlement of {market.symbol} at {show_time(at)} comes after the bar of {show_time(last)} was "
                "taken, which would have known it: tell settlements before the bar that follows them"
            )


def take_funding(of: Stepper, market: LiveMarket, found: Iterable[tuple[int, float]]) -> None:
    """Take settlements that are news, and note them."""
    if not of.terms.pays(market.symbol):
        return
    for time, rate in market.settle(list(found)):
        told = {"funding_time": time * 1000, "funding_rate": rate}
        of.note("funding", market.symbol, told, time)


def settle(of: Stepper, market: LiveMarket, funding_time: Any, rate: float) -> None:
    """Take one settlement that does not come with a bar; written at once."""
    from barproof.features._bar_reading import milliseconds
    from barproof.features.settlements import told

    name = market.symbol
    if not of.terms.pays(name):
        raise FundingError(
            f"settlement of {name} is not expected: the session runs without funding; leave it out"
        )
    time = milliseconds(funding_time, name)
    found = told({"funding": [(time, rate)]}, name) or []
    check_late(of, market, found)
    if (
        market.settlements.last is not None
        and (time + 500) // 1000 * 1000 <= market.settlements.last
    ):
        raise FundingError(
            f"settlement of {name} at {show_time(time)} does not come after the last one, of "
            f"{show_time(market.settlements.last)}: give each once, in order"
        )
    take_funding(of, market, found)
    of.write_events([name])
