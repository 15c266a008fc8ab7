"""`seal`: bars that are kept back, and every look at them counted."""

from __future__ import annotations

import warnings
from typing import Any

from barproof._windows import Bound, bar_at
from barproof.candles import Candles
from barproof.errors import DataWarning, LedgerError, ParameterError, WindowError
from barproof.ledger import Ledger, Recorded, door

__all__ = ["Sealed", "seal"]

KIND = "open_holdout"
"""Kind of a run in the ledger that opened a sealed holdout."""


class Sealed:
    """Candles whose last part is kept back. Make one with :func:`seal`.

    It keeps nobody from reading the file again; it keeps a look from being forgotten.

    Attributes
    ----------
    research : Candles
        The bars before the seal, for everything that learns or chooses.
    start : int
        First sealed bar.
    bars : int
        Sealed bars.
    digest : str
        Identity of the sealed bars, under which openings are counted.
    """

    def __init__(self, candles: Candles, start: int) -> None:
        self._whole = candles
        self.start = start
        self.research = candles[:start]
        self.bars = len(candles) - start
        self.digest = candles[start:].digest

    def openings(self, ledger: Recorded = None) -> int:
        """Count how often these bars were opened.

        Parameters
        ----------
        ledger : Ledger, str or Path, optional
            Default: that of the project.

        Returns
        -------
        int
            Openings of these very bars, by whatever process.
        """
        return _openings(_book(ledger), self.digest)

    def open(self, *, reason: str, ledger: Recorded = None) -> Candles:
        """Break the seal: it is recorded before anything is given out.

        Parameters
        ----------
        reason : str
            Why now: at least 10 characters, for whoever reads the ledger.
        ledger : Ledger, str or Path, optional
            Default: that of the project. There must be one.

        Returns
        -------
        Candles
            All bars, so that features are warm at the first sealed one; judge on ``window=(sealed.start, None)``.

        Raises
        ------
        ParameterError
            If no reason is given.
        LedgerError
            If it cannot be recorded; then nothing is opened.

        Warns
        -----
        DataWarning
            If the bars were opened before: who looks twice has chosen by the first look.
        """
        if not isinstance(reason, str) or len(reason.strip()) < 10 or not reason.isprintable():
            raise ParameterError(
                "`reason` of opening a holdout must say why now, in a line of at least 10 characters: it stays "
                "in the ledger"
            )
        book = _book(ledger)
        before = _openings(book, self.digest)
        book.record(
            KIND,
            data=self.digest,
            trials=1,
            parameters={
                "reason": reason.strip(),
                "bars": self.bars,
                "whole": self._whole.digest,
                "opening": before + 1,
            },
        )
        if before:
            warnings.warn(
                f"this holdout was opened {before:,} time{'s' * (before != 1)} before: it has become a part that "
                "chooses, and proves less with every look",
                DataWarning,
                stacklevel=2,
            )
        return self._whole

    def __repr__(self) -> str:
        return f"Sealed({len(self.research):,} bars to learn from, {self.bars:,} sealed)"


def seal(candles: Candles, *, from_: Bound) -> Sealed:
    """Keep the last bars back until all choices are made.

    Parameters
    ----------
    candles : Candles
        All bars.
    from_ : int, str, date or datetime
        First sealed bar, or the time that it opens at or after.

    Returns
    -------
    Sealed
        ``.research`` for the work, ``.open(reason=...)`` for the one look.

    Raises
    ------
    WindowError
        If nothing is left on one side of the seal.

    Examples
    --------
    >>> import tempfile
    >>> import barproof as bp
    >>> sealed = seal(bp.simulate_candles(1, bars=1_000), from_=800)
    >>> sealed
    Sealed(800 bars to learn from, 200 sealed)
    >>> folder = tempfile.TemporaryDirectory()
    >>> book = bp.Ledger.open(folder.name + "/ledger.sqlite")
    >>> whole = sealed.open(reason="rules are fixed since run 12", ledger=book)
    >>> len(whole), sealed.openings(book)
    (1000, 1)
    >>> folder.cleanup()
    """
    start = bar_at(candles, from_, "`from_` of a seal", -1)
    if not 0 < start < len(candles):
        raise WindowError(
            f"`from_` of a seal must leave bars on both sides, was {from_!r} of {len(candles):,} bars: choose "
            "another time"
        )
    return Sealed(candles, start)


def _book(ledger: Recorded) -> Ledger:
    """Ledger that counts openings; there must be one."""
    book = door(ledger)
    if isinstance(book, str):
        raise LedgerError(
            f"a sealed holdout needs a ledger, and there is none ({book}): make barproof.toml or .barproof, or "
            "give ledger= a path"
        )
    return book


def _openings(book: Ledger, digest: str) -> int:
    """Count the runs that opened these bars."""
    runs: Any = book.runs()
    return int(((runs["kind"] == KIND) & (runs["data_digest"] == digest)).sum())
