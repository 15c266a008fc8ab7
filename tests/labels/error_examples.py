"""Every error of the labels but those of horizons, with its exact message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import barproof as bp
from barproof import labels
from barproof.labels.sides import fed
from tests.helpers import market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market([(100.0 + i % 3, 103.0 + i % 3, 97.0 + i % 3, 101.0 + i % 3) for i in range(40)])
OTHER = market([(100.0, 101.0, 99.0, 100.0)] * 40)
FREE = bp.Costs.free()
COSTS = bp.Costs(taker=0.0005)
RULES = bp.Rules(stop_loss=0.01, take_profit=0.02, max_hold=5)
UP = labels.horizon(BARS, bars=2, kind="binary")
LONGER = labels.horizon(BARS, bars=4, kind="binary")
MOVES = labels.horizon(BARS, bars=2)
TABLE = np.arange(80.0).reshape(40, 2)
ONES = np.ones(40)
STEPS = labels.targets(TABLE, steps=3)


def barrier(candles: Any = BARS, rules: Any = RULES, costs: Any = COSTS, **more: Any) -> object:
    return labels.triple_barrier(candles, rules, costs=costs, **more)


def meta(primary: Any) -> object:
    return labels.meta(BARS, primary, RULES, costs=COSTS)


DRAWN = bp.simulate_candles(4, bars=300)
TIGHT = bp.Rules(stop_loss=0.002, take_profit=0.002, max_hold=20)
BARRIER = labels.triple_barrier(DRAWN, TIGHT, costs=FREE)
SHORT = labels.triple_barrier(DRAWN, TIGHT, costs=FREE, side="short")
FOLLOWED = labels.meta(DRAWN, np.ones(300), TIGHT, costs=FREE)


def deep(levels: int) -> dict[str, Any]:
    rule = dict(UP.rule)
    for _ in range(levels):
        rule = {"name": "volume filter", "least": 0.0, "bars": 1, "of": rule}
    return rule


def sweep(**more: Any) -> object:
    return labels.sweep(BARS, **{"costs": COSTS, "ledger": False, **more})


def take(stop: float | None = None, **rules: Any) -> object:
    return barrier(rules=bp.Rules(stop_loss=stop, max_hold=5, **rules))


# fmt: off
EXAMPLES: list[Example] = [
    # votes and filters
    ("vote of arrays", lambda: labels.vote([ONES, ONES], k=1), bp.LayoutError, "`labels` of a vote must be Labels, was ndarray"),  # type: ignore[list-item]
    ("vote k type", lambda: labels.vote([UP, LONGER], k=1.5), bp.LayoutError, "`k` of the vote must be a whole number, was 1.5"),  # type: ignore[arg-type]
    ("vote of one", lambda: labels.vote([UP], k=1), bp.ParameterError, "a vote needs at least 2 labels, was given 1"),
    ("vote k", lambda: labels.vote([UP, LONGER], k=3), bp.ParameterError, "`k` of the vote must be from 1 to 2, was 3"),
    ("vote of returns", lambda: labels.vote([UP, MOVES], k=1), bp.ParameterError, "labels 1 of the vote are returns: give them a threshold, so that they have classes"),
    ("vote of two markets", lambda: labels.vote([UP, labels.horizon(OTHER, bars=2, kind="binary")], k=1), bp.ParameterError, "labels 0 and 1 of the vote are of different candles: make all from the same"),
    ("filter of arrays", lambda: labels.volume_filter(ONES, least=1.0), bp.LayoutError, "`labels` of a filter must be Labels, was ndarray"),  # type: ignore[arg-type]
    ("filter least", lambda: labels.volume_filter(UP, least=-1.0), bp.ParameterError, "`least` must be finite and >= 0, was -1.0: it is a volume in base units"),
    ("filter bars", lambda: labels.volume_filter(UP, least=1.0, bars=0), bp.ParameterError, "`bars` of the volume must be a whole number from 1 to 40, was 0"),
    ("filter leaves nothing", lambda: labels.volume_filter(UP, least=2.0), bp.ParameterError, "no label is defined on any of the 40 bars: lower `least`, which is 2"),
    # trades
    ("barrier candles", lambda: barrier(TABLE), bp.LayoutError, "`candles` of labels must be Candles, was ndarray: use read_candles(...)"),
    ("barrier rules", lambda: barrier(rules={}), bp.LayoutError, "`rules` of labels must be Rules, was dict: they say where a trade ends"),
    ("barrier costs", lambda: barrier(costs=0.1), bp.LayoutError, "`costs` of labels must be Costs, was float: use Costs(taker=...) or Costs.free()"),
    ("barrier signals", lambda: barrier(signals=ONES), bp.LayoutError, "`signals` of labels must be Signals, was ndarray: they hold what the rules look at"),
    ("barrier equity", lambda: barrier(initial_equity=0), bp.ParameterError, "`initial_equity` of labels must be finite and > 0, was 0"),
    ("barrier long", lambda: barrier(rules=bp.Rules(max_hold=50)), bp.ParameterError, "`max_hold` of the rules is 50, but the candles hold 40 bars: a label needs 52"),
    ("barrier side", lambda: barrier(side="up"), bp.ParameterError, "`side` of labels must be long, short or both, was 'up'"),
    ("barrier kind", lambda: barrier(kind="ternary"), bp.ParameterError, "`kind` of these labels must be regression or binary, was 'ternary'"),
    ("barrier threshold", lambda: barrier(threshold=float("nan")), bp.ParameterError, "`threshold` must be finite and >= -1, was nan: it is a fraction, 0.002 is 0.2%"),
    ("barrier engine", lambda: barrier(engine="fast"), bp.ParameterError, '`engine` of labels must be "indexed" or "replay", was \'fast\': both give the same bits'),
    ("stop never met", lambda: take(1.5), bp.ParameterError, "`stop_loss` is 1.5 of the price, which a long never meets: prices stay above 0; 0.01 is 1%"),
    ("target is a loss", lambda: take(take_profit=0.0005), bp.ParameterError, "`take_profit` is 0.0005, but a long that meets it loses 0.0005 of its notional to costs: such a target is labelled as a loss; set it further away"),
    ("one class", lambda: barrier(threshold=0.5), bp.ParameterError, "all 39 labels are 0: with one class nothing can be learned; set the barriers or `threshold` otherwise"),
    ("primary type", lambda: meta("long"), bp.LayoutError, "`primary` must hold one side a bar, 1, -1 or 0, was str"),
    ("primary shape", lambda: meta(ONES[1:]), bp.ShapeError, "`primary` has shape (39,), but the candles hold 40 bars: give one side a bar"),
    ("primary values", lambda: meta(ONES * 0.7), bp.ParameterError, "`primary` is 0.7 at bar 0: a side is 1 (long), -1 (short) or 0 (none)"),
    ("primary silent", lambda: meta(ONES * np.nan), bp.ParameterError, "`primary` decides nothing: all 40 bars are 0 or NaN, so that no label can be made"),
    ("exits of a side", lambda: labels.exits(BARS, ONES, bp.Rules(max_hold=5), costs=FREE, kind="regression").of("up"), bp.ParameterError, "`side` of exit labels must be long or short, was 'up'"),
    # made again
    ("rule of nobody", lambda: labels.remake({"name": "sweep"}, BARS), bp.LayoutError, "rule 'sweep' is of no maker of labels: known are horizon, triple barrier, meta labels, exit labels, k of n, volume filter; give the labels themselves"),
    ("rule that is none", lambda: labels.remake(3, BARS), bp.LayoutError, "rule 'int' is of no maker of labels: known are horizon, triple barrier, meta labels, exit labels, k of n, volume filter; give the labels themselves"),  # type: ignore[arg-type]
    ("rule lacks a key", lambda: labels.remake({"name": "k of n", "k": 2}, BARS), bp.LayoutError, "rule 'k of n' lacks 'of': give the rule as labels carry it"),
    ("rule with a key", lambda: labels.remake({**UP.rule, "threads": 2}, BARS), bp.LayoutError, "rule 'horizon' has no 'threads': give the rule as labels carry it"),
    ("rule of no costs", lambda: labels.remake({**BARRIER.rule, "costs": {}}, BARS), bp.LayoutError, "`costs` of rule 'triple barrier' is not what labels carry: {}"),
    ("rule too deep", lambda: labels.remake(deep(10), BARS), bp.LayoutError, "rules of labels lie within each other more than 8 deep"),
    ("side of no exits", lambda: labels.remake({"name": "volume filter", "least": 0.0, "bars": 1, "of": UP.rule, "side": "long"}, BARS), bp.LayoutError, "a rule tells `side` 'long' of labels that are no exit labels: give the rule as labels carry it"),
    ("primary not given", lambda: labels.remake(FOLLOWED.rule, BARS), bp.ParameterError, "labels of rule 'meta labels' look at `primary`, of which the rule keeps the digest alone: give primary= of these candles"),
    ("primary not looked at", lambda: labels.remake(UP.rule, BARS, primary=ONES), bp.ParameterError, "`primary` is given, but labels of rule 'horizon' do not look at it: leave it out"),
    ("vote of sides", lambda: fed(labels.vote([BARRIER, SHORT], k=1)), bp.TrainingError, "labels of rule 'k of n' do not say which side class 1 is for at each bar: take run.predictions() and make Signals of them"),
    # targets
    ("targets words", lambda: labels.targets([["a"]], steps=1), bp.LayoutError, "`values` of targets must be a table of numbers, was list"),
    ("targets shape", lambda: labels.targets(ONES, steps=1), bp.LayoutError, "`values` of targets must be bars x channels, was of shape (40,)"),
    ("targets steps type", lambda: labels.targets(TABLE, steps=1.5), bp.LayoutError, "`steps` of targets must be a whole number, was 1.5"),  # type: ignore[arg-type]
    ("targets steps", lambda: labels.targets(TABLE, steps=40), bp.ParameterError, "`steps` of targets must be from 1 to 39, as there are 40 bars, was 40"),
    ("targets form", lambda: labels.targets(TABLE, steps=2, form="log"), bp.ParameterError, "`form` of targets must be level, change, return, was 'log'"),  # type: ignore[arg-type]
    ("targets of nothing", lambda: labels.targets(TABLE, steps=2, channels=[]), bp.ParameterError, "`channels` of targets are empty: choose at least one"),
    ("targets channel", lambda: labels.targets(TABLE, steps=2, channels=[2]), bp.ParameterError, "targets have no channel 2; known: 0 to 1"),
    ("targets twice", lambda: labels.targets(TABLE, steps=2, channels=[1, 1]), bp.ParameterError, "a channel of targets stands twice in [1, 1]: keep one"),
    ("targets view", lambda: labels.targets(TABLE, steps=2, form="change").view(), bp.ParameterError, "targets of form 'change' have no view: take(rows) or batches(...) make them"),
    ("targets rows", lambda: STEPS.take([0.5]), bp.LayoutError, "`rows` of targets must be bar numbers, was [0.5]"),
    ("targets dtype", lambda: STEPS.take([0], dtype=np.float16), bp.LayoutError, "`dtype` of targets must be float32 or float64, was float16"),
    ("targets row", lambda: STEPS.take([37]), bp.WindowError, "row 37 has no target of 3 steps: rows are from 0 on, below 37, as the table holds 40"),
    ("targets batch", lambda: next(STEPS.batches(0)), bp.ParameterError, "`size` of a batch must be a whole number >= 1, was 0"),
    # sweeps
    ("sweep of nothing", sweep, bp.ParameterError, "a label sweep needs `bars` (horizons) or `rules` (barriers), was given neither: give one"),
    ("sweep of both", lambda: sweep(bars=2, rules=RULES), bp.ParameterError, "a label sweep needs `bars` (horizons) or `rules` (barriers), was given both: give one"),
    ("sweep candles", lambda: labels.sweep(TABLE, costs=COSTS, bars=2), bp.LayoutError, "`candles` of a label sweep must be Candles, was ndarray: use read_candles(...)"),  # type: ignore[arg-type]
    ("sweep costs", lambda: sweep(bars=2, costs=0.1), bp.LayoutError, "`costs` of a label sweep must be Costs, was float: moves are held against them"),
    ("sweep rules", lambda: sweep(rules={}), bp.LayoutError, "`rules` of a label sweep must be a Grid or Rules, was dict"),
    ("sweep side", lambda: sweep(rules=RULES, side="both"), bp.ParameterError, "`side` of a label sweep must be long or short, was 'both'"),
    ("sweep empty", lambda: sweep(bars=[]), bp.ParameterError, "`bars` of a label sweep is empty: give at least one value"),
    ("sweep twice", lambda: sweep(bars=[2, 3, 2]), bp.ParameterError, "`bars` of a label sweep holds 2 twice: keep one"),
    ("sweep long", lambda: sweep(bars=[2, 99]), bp.ParameterError, "`bars` of the horizon is 99, but the candles hold 40 bars: a label needs 101"),
    ("sweep folds", lambda: sweep(bars=2, folds=1), bp.ParameterError, "`folds` of a label sweep must be a whole number >= 2, was 1"),
    ("sweep features", lambda: sweep(bars=2, features=ONES), bp.LayoutError, "`features` of a label sweep must be bars x features of floats, was float64 of 1 dimensions"),
    ("sweep feature rows", lambda: sweep(bars=2, features=TABLE[1:]), bp.ShapeError, "`features` of a label sweep hold 39 rows, but the candles 40 bars: give one row a bar"),
    ("sweep cell", lambda: labels.sweep(BARS, costs=COSTS, bars=2, ledger=False).labels(1), bp.ParameterError, "`cell` must be from 0 to 0, was 1"),
]
# fmt: on
