"""Bulletproof backtests for machine-learned trading models.

``import barproof as bp``; the names below are the whole public face. The quick start is in the README, what a
backtest does with a bar in docs/execution.md.
"""

from __future__ import annotations

from barproof import _core
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
    LookaheadError,
    ParameterError,
    PlanError,
    RulesError,
    ShapeError,
    SignalError,
    WindowError,
)
from barproof.rules import Costs, Rules
from barproof.signals import Signals

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
    "Fault",
    "FileError",
    "FundingError",
    "Grid",
    "Instrument",
    "InternalError",
    "Interrupted",
    "LayoutError",
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
    "WindowError",
    "__version__",
    "align",
    "backtest",
    "plan",
    "read_candles",
    "resample",
    "simulate_candles",
    "sweep",
]
