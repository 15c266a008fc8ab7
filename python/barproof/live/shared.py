"""The paper account of a session whose symbols trade from one equity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from barproof import _core
from barproof.candles import Instrument
from barproof.errors import RulesError
from barproof.live.accounts import Accounts, Asked, Fed
from barproof.rules import Costs, Rules

__all__ = ["SharedAccounts"]


class SharedAccounts(Accounts):
    """One account of all symbols: section 7 of the contract, shared account, stepped.

    What each symbol measures of its market, and its rules, are those of an account of its own that holds nothing.

    Parameters
    ----------
    costs : Costs
        Of all.
    instruments : dict of str to Instrument
        By symbol.
    interval_ms : int
        Bar length.
    initial_equity : float
        Of the account.
    max_positions, max_gross
        What it lets its symbols hold together; None for no limit.
    """

    def __init__(
        self,
        costs: Costs,
        instruments: Mapping[str, Instrument],
        interval_ms: int,
        initial_equity: float,
        max_positions: int | None,
        max_gross: float | None,
    ) -> None:
        super().__init__(costs, instruments, interval_ms, initial_equity)
        self._limits = (max_positions, max_gross)
        self._shared: _core.LiveShared | None = None
        self._number = {symbol: k for k, symbol in enumerate(instruments)}
        self._rules = 0
        self.refused: list[dict[str, Any]] = []
        self.ended: list[tuple[str, Any]] = []

    def begin(self, symbol: str, book: Sequence[Rules], fed: Fed) -> None:
        """Open the part of a symbol."""
        super().begin(symbol, book, fed)
        self._rules = len(book) - 1

    @property
    def _account(self) -> _core.LiveShared:
        """The account, made once all symbols are there."""
        if self._shared is None:
            most, gross = self._limits
            ordered = [self._held[symbol] for symbol in self._number]
            self._shared = _core.LiveShared(ordered, max_positions=most, max_gross=gross)
        return self._shared

    def warm(self, symbol: str, bars: _core.Bars) -> None:
        """Take history, on which nothing is decided."""
        self._account.warm(self._number[symbol], bars)

    def bars(self, symbol: str) -> int:
        """Count the bars that were decided."""
        return self._account.bars(self._number[symbol])

    def step(self, asked: Mapping[str, Asked]) -> dict[str, Any]:
        """Take one time, all symbols that have a bar of it at once."""
        ordered = sorted(asked, key=self._number.__getitem__)
        told = [
            (self._number[symbol], one.bar, one.times, one.rates, one.row, False)
            for symbol in ordered
            for one in (asked[symbol],)
        ]
        each, ended, refused = self._account.step(told)
        names = list(self._number)
        self.ended = [(names[number], trades) for number, trades in ended]
        self.refused = [] if refused is None else _rows(refused, names)
        return dict(zip(ordered, (after for _, after in each), strict=True))

    def rolled(self, book: Sequence[Rules], fed: Mapping[str, Fed]) -> Accounts:
        """Make an account that stands where this one stands, under a longer book of rules and of other models."""
        most, gross = self._limits
        new = SharedAccounts(
            self._costs, self._instruments, self._interval, self._equity, most, gross
        )
        for symbol in self._number:
            new.begin(symbol, book, fed[symbol])
        try:
            new._shared = new._account.loaded(self._account.save())
        except RulesError as error:
            raise RulesError(
                "`rules` of roll(...) need an ATR or a volatility that the shared account has not measured from its "
                "start: keep `atr_period` and `vol_window`, or begin another session"
            ) from error
        for number in self._number.values():
            new._shared.choose(number, len(book) - 1)
        return new

    @property
    def whole(self) -> bool:
        """Whether all symbols trade from one account."""
        return True

    def save(self, symbol: str) -> bytes:  # noqa: ARG002
        """Give nothing: a symbol has no account of its own."""
        return b""

    def load(self, symbol: str, body: bytes) -> None:
        """Take nothing."""

    def save_whole(self) -> bytes:
        """Give all that the account is between times."""
        return self._account.save()

    def load_whole(self, body: bytes) -> None:
        """Take what :meth:`save_whole` gave."""
        self._shared = self._account.loaded(body)


def _rows(columns: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Refused entries, one by one."""
    kept = ("side", "price", "p_entry", "equity", "reason")
    return [
        {
            "symbol": names[int(number)],
            **{
                name: columns[name][k]
                if isinstance(columns[name][k], str)
                else float(columns[name][k])
                for name in kept
            },
        }
        for k, number in enumerate(columns["symbol"])
    ]
