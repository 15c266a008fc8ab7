"""The paper accounts of a session: one step a bar clock, for all symbols that have a bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from barproof import _core
from barproof.candles import Instrument
from barproof.errors import RulesError
from barproof.live.arrivals import Row
from barproof.rules import Costs, Rules

__all__ = ["Accounts", "Asked", "Fed"]


Said = tuple[float, float, float, float, float, float, float]


class Fed(NamedTuple):
    """What a model feeds an account: the kind of its signals, and which arrays."""

    kind: str
    arrays: tuple[str, ...]


class Asked(NamedTuple):
    """What an account is told of one symbol at the close of a bar.

    Attributes
    ----------
    bar : tuple
        Opening time (milliseconds UTC), prices, volume.
    times, rates : list
        Settlements that are due in the bar.
    row : tuple of float
        Signals long, short, exit long, exit short, then size, stop and target; NaN where there are none.
    """

    bar: Row
    times: list[int]
    rates: list[float]
    row: Said


class Accounts:
    """An account for each symbol, kept apart. What is asked of accounts is asked here and nowhere else.

    Parameters
    ----------
    costs : Costs
        Of all.
    instruments : dict of str to Instrument
        By symbol.
    interval_ms : int
        Bar length.
    initial_equity : float
        Of each.
    """

    def __init__(
        self,
        costs: Costs,
        instruments: Mapping[str, Instrument],
        interval_ms: int,
        initial_equity: float,
    ) -> None:
        self._costs, self._instruments = costs, instruments
        self._interval, self._equity = interval_ms, initial_equity
        self._held: dict[str, _core.LiveAccount] = {}

    def begin(self, symbol: str, book: Sequence[Rules], fed: Fed) -> None:
        """Open an account that holds nothing, under the last rules of the book."""
        self._held[symbol] = account = self._made(symbol, book, fed)
        account.choose(len(book) - 1)

    def _made(self, symbol: str, book: Sequence[Rules], fed: Fed) -> _core.LiveAccount:
        limits = self._instruments[symbol]
        return _core.LiveAccount(
            [rules.to_dict() for rules in book],
            kind=fed.kind,
            arrays=list(fed.arrays),
            costs=self._costs._tuple(),
            instrument_=(limits.kind, limits.maintenance, limits.lot, limits.min_notional),
            interval_ms=self._interval,
            initial_equity=self._equity,
        )

    def warm(self, symbol: str, bars: _core.Bars) -> None:
        """Take history, on which nothing is decided."""
        self._held[symbol].warm(bars)

    def bars(self, symbol: str) -> int:
        """Count the bars that were decided."""
        return self._held[symbol].bars

    def step(self, asked: Mapping[str, Asked]) -> dict[str, Any]:
        """Take one time.

        Parameters
        ----------
        asked : dict of str to Asked
            Symbols that have a bar of this time.

        Returns
        -------
        dict of str to tuple
            What ``_core.LiveAccount.step`` gives of each: time, equity, closed trades, position, reason to leave,
            planned entry, ruin.
        """
        return {symbol: self._held[symbol].step(*one) for symbol, one in asked.items()}

    def rolled(self, book: Sequence[Rules], fed: Mapping[str, Fed]) -> Accounts:
        """Make accounts that stand where these stand, under a longer book of rules and of other models.

        Parameters
        ----------
        book : sequence of Rules
            Those of before, and maybe one more, which is in force then.
        fed : dict of str to Fed
            By symbol; arrays of all rules of the book.

        Returns
        -------
        Accounts
            Others; these stay as they are.

        Raises
        ------
        RulesError
            If the rules measure what these accounts have not measured from their start.
        """
        new = Accounts(self._costs, self._instruments, self._interval, self._equity)
        for symbol, account in self._held.items():
            fresh = self._made(symbol, book, fed[symbol])
            try:
                new._held[symbol] = fresh.loaded(account.save())
            except RulesError as error:
                raise RulesError(
                    f"`rules` of roll(...) need an ATR or a volatility that the session of {symbol} has not measured "
                    "from its start: keep `atr_period` and `vol_window`, or begin another session"
                ) from error
            new._held[symbol].choose(len(book) - 1)
        return new

    @property
    def whole(self) -> bool:
        """Whether all symbols trade from one account, which is saved apart."""
        return False

    def save(self, symbol: str) -> bytes:
        """Give all that an account is between bars."""
        return self._held[symbol].save()

    def load(self, symbol: str, body: bytes) -> None:
        """Take what :meth:`save` gave."""
        self._held[symbol] = self._held[symbol].loaded(body)
