"""Bulletproof backtests for machine-learned trading models.

``import barproof as bp``; the names below are the whole public face. The quick start is in the README, what a
backtest does with a bar in docs/execution.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barproof import _core, labels, models
from barproof._backtest import Result, backtest
from barproof._choice import plateau
from barproof._draws import Between, between
from barproof._evaluate import Evaluation, evaluate
from barproof._grid import Grid
from barproof._portfolio import PortfolioResult, portfolio
from barproof._seal import Sealed, seal
from barproof._signal_sets import SignalSets
from barproof._surrogates import surrogate_candles
from barproof._sweep import Best, DailyReturns, Plan, Route, Sweep, plan, sweep
from barproof._together import predict_together
from barproof._training_plan import TrainingPlan, plan_training
from barproof._walk_forward import WalkForwardResult, walk_forward_optimise
from barproof.bundle import Bundle
from barproof.candles import Bar, Candles, Fault, Instrument, align, read_candles, resample
from barproof.candles.simulate import simulate_candles
from barproof.errors import (
    BarproofError,
    BundleError,
    CandleError,
    ClusterError,
    ConfigError,
    DataWarning,
    FeatureError,
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
    TrainingError,
    WindowError,
)
from barproof.features import (
    FeatureSet,
    FeatureStream,
    Memory,
    OwnFeature,
    Verification,
    cumulative,
    fading,
    feature,
    finite,
)
from barproof.ledger import Ledger
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.splits import CombinatorialPurged, DateSplit, Fold, PurgedKFold, WalkForward
from barproof.training import Part, Run, train

if TYPE_CHECKING:
    from barproof import audits, checkpoints, results, stats
    from barproof._ablation import Ablation, ablation
    from barproof._controls import RandomEntries, cost_curve, one_bar_later, random_entries
    from barproof._procedure import ProcedureTest, procedure_test
    from barproof._reconcile import Reconciliation, reconcile
    from barproof._search import Search, search
    from barproof.audits import Finding, Report, audit
    from barproof.audits.finding_lookahead import find_lookahead
    from barproof.distributed.executor import RayExecutor
    from barproof.live.decision import Decision
    from barproof.live.log import LiveLog
    from barproof.live.parity import Parity, parity
    from barproof.live.session import LiveSession
    from barproof.live.watch import Watch, WatchReference
    from barproof.results import read_equity, read_trades

__version__: str = _core.__version__

# Loaded where they are first used: audits and statistics are no part of a backtest.
_LAZY = {
    "Ablation": "_ablation",
    "Decision": "live.decision",
    "Finding": "audits",
    "LiveSession": "live.session",
    "ProcedureTest": "_procedure",
    "RandomEntries": "_controls",
    "RayExecutor": "distributed.executor",
    "Reconciliation": "_reconcile",
    "Report": "audits",
    "ablation": "_ablation",
    "audit": "audits",
    "audits": "",
    "LiveLog": "live.log",
    "Parity": "live.parity",
    "Watch": "live.watch",
    "WatchReference": "live.watch",
    "cost_curve": "_controls",
    "find_lookahead": "audits.finding_lookahead",
    "one_bar_later": "_controls",
    "parity": "live.parity",
    "Search": "_search",
    "procedure_test": "_procedure",
    "random_entries": "_controls",
    "reconcile": "_reconcile",
    "read_equity": "results",
    "read_trades": "results",
    "results": "",
    "checkpoints": "",
    "search": "_search",
    "stats": "",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        # AttributeError is what getattr and hasattr ask for.
        raise AttributeError(f"module 'barproof' has no attribute {name!r}")
    from importlib import import_module

    if not _LAZY[name]:
        return import_module(f"barproof.{name}")
    return getattr(import_module(f"barproof.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Ablation",
    "Bar",
    "BarproofError",
    "Best",
    "Between",
    "Bundle",
    "BundleError",
    "CandleError",
    "Candles",
    "ClusterError",
    "CombinatorialPurged",
    "ConfigError",
    "Costs",
    "DailyReturns",
    "DataWarning",
    "DateSplit",
    "Decision",
    "Evaluation",
    "Fault",
    "FeatureError",
    "FeatureSet",
    "FeatureStream",
    "FileError",
    "Finding",
    "Fold",
    "FundingError",
    "Grid",
    "Instrument",
    "InternalError",
    "Interrupted",
    "LayoutError",
    "Ledger",
    "LedgerError",
    "LiveLog",
    "LiveSession",
    "LookaheadError",
    "Memory",
    "OwnFeature",
    "ParameterError",
    "Parity",
    "Part",
    "Plan",
    "PlanError",
    "PortfolioResult",
    "ProcedureTest",
    "PurgedKFold",
    "RandomEntries",
    "RayExecutor",
    "Reconciliation",
    "Report",
    "Result",
    "Route",
    "Rules",
    "RulesError",
    "Run",
    "Sealed",
    "Search",
    "ShapeError",
    "SignalError",
    "SignalSets",
    "Signals",
    "Sweep",
    "TrainingError",
    "TrainingPlan",
    "Verification",
    "WalkForward",
    "WalkForwardResult",
    "Watch",
    "WatchReference",
    "WindowError",
    "__version__",
    "ablation",
    "align",
    "audit",
    "audits",
    "backtest",
    "between",
    "checkpoints",
    "cost_curve",
    "cumulative",
    "evaluate",
    "fading",
    "feature",
    "find_lookahead",
    "finite",
    "labels",
    "models",
    "one_bar_later",
    "parity",
    "plan",
    "plan_training",
    "plateau",
    "portfolio",
    "predict_together",
    "procedure_test",
    "random_entries",
    "read_candles",
    "read_equity",
    "read_trades",
    "reconcile",
    "resample",
    "results",
    "seal",
    "search",
    "simulate_candles",
    "stats",
    "surrogate_candles",
    "sweep",
    "train",
    "walk_forward_optimise",
]
