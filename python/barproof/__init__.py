"""Bulletproof backtests for machine-learned trading models.

``import barproof as bp``; the names below are the whole public face. The quick start is in the README, what a
backtest does with a bar in docs/execution.md.
"""

from __future__ import annotations

from barproof import _core, labels
from barproof._backtest import Result, backtest
from barproof._grid import Grid
from barproof._sweep import Best, DailyReturns, Plan, Sweep, plan, sweep
from barproof.candles import Bar, Candles, Fault, Instrument, align, read_candles, resample
from barproof.candles.simulate import simulate_candles
from barproof.errors import (
    BarproofError,
    CandleError,
    ConfigError,
    DataWarning,
    FileError,
    FundingError,
    InternalError,
    Interrupted,
    LayoutError,
    LedgerError,
    LookaheadError,
    ParameterError,
    PlanError,
    RulesError,
    ShapeError,
    SignalError,
    WindowError,
)
from barproof.ledger import Ledger
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.splits import DateSplit, Fold, WalkForward

__version__: str = _core.__version__

__all__ = [
    "Bar",
    "BarproofError",
    "Best",
    "CandleError",
    "Candles",
    "ConfigError",
    "Costs",
    "DailyReturns",
    "DataWarning",
    "DateSplit",
    "Fault",
    "FileError",
    "Fold",
    "FundingError",
    "Grid",
    "Instrument",
    "InternalError",
    "Interrupted",
    "LayoutError",
    "Ledger",
    "LedgerError",
    "LookaheadError",
    "ParameterError",
    "Plan",
    "PlanError",
    "Result",
    "Rules",
    "RulesError",
    "ShapeError",
    "SignalError",
    "Signals",
    "Sweep",
    "WalkForward",
    "WindowError",
    "__version__",
    "align",
    "backtest",
    "labels",
    "plan",
    "read_candles",
    "resample",
    "simulate_candles",
    "sweep",
]
