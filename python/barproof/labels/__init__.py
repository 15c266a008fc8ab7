"""Labels: what a model is asked to foresee, with the bars each label looks at.

A label of bar i is for a model that has seen bar i's close. It looks ahead, so it never enters a backtest; its span
says which rows it would leak into. :func:`horizon` asks for a return, :func:`triple_barrier` and :func:`meta` for the
outcome of a trade, :func:`exits` whether to leave one, :func:`targets` for the values of many steps; :func:`vote` and
:func:`volume_filter` make labels of labels, :func:`remake` makes them again by their rule, and :func:`sweep` looks at
many rules at once.
"""

from __future__ import annotations

from barproof.labels.again import remake
from barproof.labels.combine import volume_filter, vote
from barproof.labels.forward import horizon
from barproof.labels.leaving import ExitLabels, exits
from barproof.labels.model import Clock, Kind, Labels
from barproof.labels.steps import Targets, targets
from barproof.labels.sweeping import LabelSweep, sweep
from barproof.labels.trades import TradeLabels, meta, triple_barrier

__all__ = [
    "Clock",
    "ExitLabels",
    "Kind",
    "LabelSweep",
    "Labels",
    "Targets",
    "TradeLabels",
    "exits",
    "horizon",
    "meta",
    "remake",
    "sweep",
    "targets",
    "triple_barrier",
    "volume_filter",
    "vote",
]
