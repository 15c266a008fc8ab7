"""An example of every error of sessions whose symbols trade from one account: id, call, class, exact message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import barproof as bp
from tests.live.market import RULES, candles, folder, trained

Example = tuple[str, Callable[[], object], type[BaseException], str]


def made(state: Any = None, **options: Any) -> bp.LiveSession:
    """A session of two symbols that begins warm."""
    bundle, bars = trained().bundles[0], candles()
    given = {"costs": bp.Costs(taker=0.0), "account": "shared", "candles": {"A": bars, "B": bars}}
    return bp.LiveSession({"A": bundle, "B": bundle}, RULES, state=state, **{**given, **options})


def again(text: str | None = None, **options: Any) -> Callable[[], object]:
    """Begin a session in a folder, change the log, and make it again."""

    def call() -> object:
        with folder() as place:
            made(place / "state").close()
            if text is not None:
                with sqlite3.connect(place / "state" / "live.sqlite") as base:
                    base.execute(text)
            return _named(place, lambda: made(place / "state", **options))

    return call


def _named(place: Path, call: Callable[[], object]) -> object:
    """Name the folder alike: it is another one at each call."""
    try:
        return call()
    except bp.BarproofError as error:
        error.args = (str(error).replace(str(place), "place"),)
        raise


EXAMPLES: list[Example] = [
    (
        "an account of another kind",
        lambda: made(account="joint"),
        bp.ParameterError,
        '`account` must be "own" or "shared", was \'joint\'',
    ),
    (
        "limits of accounts of their own",
        lambda: made(account="own", max_positions=1),
        bp.ParameterError,
        '`max_positions` and `max_gross` are limits of a shared account: say account="shared"',
    ),
    (
        "a state of another account",
        again(account="own"),
        bp.ParameterError,
        "state 'place/state' was begun with account='shared', not 'own': give the same, or another folder",
    ),
    (
        "a state of other limits",
        again(max_positions=1),
        bp.ParameterError,
        "state 'place/state' was begun with max_positions=None, not 1: give the same, or another folder",
    ),
    (
        "no shared account",
        again("DELETE FROM accounts WHERE symbol = ''"),
        bp.FileError,
        "live log 'place/state/live.sqlite' holds no state of the shared account: restore the folder from a copy, "
        "or give another",
    ),
    (
        "roll to other measures",
        lambda: made().roll(trained().bundles[0], rules=RULES.replace(atr_period=7)),
        bp.RulesError,
        "`rules` of roll(...) need an ATR or a volatility that the shared account has not measured from its start: "
        "keep `atr_period` and `vol_window`, or begin another session",
    ),
]
