"""Exit labels: would leaving now have beaten staying."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from barproof import _core
from barproof._machine import thread_count
from barproof.labels.model import Kind, Labels, check_kind, check_level, signs, two_classes
from barproof.labels.trades import engine_options, rule_of, side_digest
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.signals import Signals

__all__ = ["ExitLabels", "exits"]


@dataclass(frozen=True, eq=False, repr=False)
class ExitLabels(Labels):
    """Labels with what leaving and staying would have left.

    Attributes
    ----------
    outcomes : polars.DataFrame
        One row a bar at whose close a position is held: `bar`, `side`, `entry_bar`, `exit_bar` (under the rules; the
        number of bars where the data end first), `leave` and `stay`, the trade's net return either way, fractions of
        the equity at entry; `stay` is NaN where the data end first.
    """

    outcomes: pl.DataFrame = field(repr=False)

    def of(self, side: str) -> ExitLabels:
        """Labels of the bars at which this side is held, for the model that leaves it.

        Parameters
        ----------
        side : {"long", "short"}
            Side held.

        Returns
        -------
        ExitLabels
            NaN and span -1, -1 at all other bars.
        """
        check_side(side)
        own = self.outcomes.filter(pl.col("side") == side)
        kept = np.zeros(len(self), dtype=bool)
        kept[own["bar"].to_numpy()] = True
        return ExitLabels(
            np.where(kept, self.values, np.nan),
            np.where(kept, self.start, -1),
            np.where(kept, self.end, -1),
            self.kind,
            {**self.rule, "side": side},
            self.candles,
            own,
        )


def check_side(side: object) -> None:
    """Refuse what is no side."""
    from barproof.errors import ParameterError

    if side not in ("long", "short"):
        raise ParameterError(f"`side` of exit labels must be long or short, was {side!r}")


def exits(
    candles: Candles,
    primary: ArrayLike,
    rules: Rules,
    *,
    costs: Costs,
    kind: Kind = "binary",
    threshold: float = 0.0,
    signals: Signals | None = None,
    initial_equity: float = 10_000.0,
    intrabar_candles: Candles | None = None,
    threads: int | None = None,
) -> ExitLabels:
    """Label each bar of the trades of a primary signal by whether leaving then would have left more than staying.

    The decisions of the primary signal are taken one after the other, as an account without a position takes them. At
    every close at which a trade is held the exit is tried: it fills at the next open, with its costs, and with the
    funding and liquidation that come before. Staying is the trade under the rules. Both are of the same entry, so its
    costs cancel; the costs of leaving do not, as staying pays them too, later.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    primary : array_like of shape (n_bars,)
        Side that the primary signal takes at each close: 1 long, -1 short, 0 or NaN none. Of the decisions during a
        trade, or its cooling-down, nothing becomes.
    rules, costs, signals, initial_equity, intrabar_candles, threads
        As for :func:`triple_barrier`; here `cooldown` counts.
    kind : {"binary", "regression"}, default "binary"
        1 if leaving leaves more than staying by more than the threshold, else 0; or the difference.
    threshold : float, default 0.0
        Difference that counts, a fraction of the equity at entry.

    Returns
    -------
    ExitLabels
        NaN and span -1, -1 at bars at whose close nothing is held; NaN, its span ending beyond the data, where the
        data end before the trade does. The span of a label runs from the next bar to the bar of the exit under the
        rules.

    Raises
    ------
    LayoutError, ShapeError, ParameterError, RulesError, FundingError
        As for :func:`meta`.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=48)
    >>> labels = exits(candles, np.ones(1_000), rules, costs=bp.Costs(taker=0.0005))
    >>> labels.outcomes.select("bar", "entry_bar", "exit_bar").row(0)
    (1, 1, 49)
    """
    check_kind(kind, ("binary", "regression"))
    level = check_level("threshold", threshold)
    options = engine_options(candles, rules, costs, signals, initial_equity, intrabar_candles)
    n = len(candles)
    sides = signs("primary", primary, n)
    found = _core.exit_labels(
        candles._bars, rules.to_dict(), sides, threads=thread_count(threads), **options
    )
    bar = found["bar"]
    gain = found["leave"] - found["stay"]
    values, start, end = np.full(n, np.nan), np.full(n, -1), np.full(n, -1)
    values[bar] = (
        gain
        if kind == "regression"
        else np.where(np.isnan(gain), np.nan, (gain > level).astype(np.float64))
    )
    start[bar], end[bar] = bar + 1, found["exit_bar"]
    rule = {
        **rule_of("exit labels", rules, costs, signals, initial_equity, intrabar_candles),
        "primary": side_digest(sides),
        "kind": kind,
        "threshold": level,
    }
    outcomes = pl.DataFrame(
        {
            "bar": bar,
            "side": np.where(found["long"], "long", "short").tolist(),
            "entry_bar": found["entry_bar"],
            "exit_bar": found["exit_bar"],
            "leave": found["leave"],
            "stay": found["stay"],
        },
        schema_overrides={"side": pl.String},
    )
    made = ExitLabels(values, start, end, kind, rule, candles, outcomes)
    two_classes(made, "set the barriers or `threshold` otherwise")
    return made
