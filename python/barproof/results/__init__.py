"""Results of other tools: their trades, fills and equity as tables with one set of names.

:func:`barproof.read_trades` takes exports of backtesting.py, vectorbt and freqtrade, a broker's fills, or any table
whose columns are told; :func:`barproof.audit` then judges them as it judges its own.
"""

from __future__ import annotations

from barproof.results.equity import read_equity
from barproof.results.fills import read_fills, round_trips
from barproof.results.intake import TRADE_COLUMNS, Intake, holds_trades, read_trades, take_trades
from barproof.results.measures import EQUITY_METRICS, TRADE_METRICS, measure
from barproof.results.predictions import PREDICTION_COLUMNS, read_predictions

__all__ = [
    "EQUITY_METRICS",
    "PREDICTION_COLUMNS",
    "TRADE_COLUMNS",
    "TRADE_METRICS",
    "Intake",
    "holds_trades",
    "measure",
    "read_equity",
    "read_fills",
    "read_predictions",
    "read_trades",
    "round_trips",
    "take_trades",
]
