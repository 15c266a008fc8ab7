"""Audits: whether a backtest can be believed, one finding a question.

:func:`barproof.audit` runs all that its arguments allow. Each is also a plain function here, which takes arrays and
frames and gives a :class:`Finding`; docs/audits.md has a section for each, which :func:`explain` gives too.
"""

from __future__ import annotations

from barproof.audits.auditing import audit
from barproof.audits.catalogue import AUDITS, GROUPS, Audit, explain, page, resolve
from barproof.audits.data import bar_integrity, coverage
from barproof.audits.economics import (
    break_even_win_rate,
    expectancy,
    few_trades,
    share_interval,
)
from barproof.audits.labels import class_balance, degenerate_label, label_against_price
from barproof.audits.lookahead import lookahead
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.parity import feature_identity
from barproof.audits.predictions import class_bias, flat_predictions, threshold_reachability
from barproof.audits.report import VERDICTS, Diff, Report
from barproof.audits.splits import purge, split_order

__all__ = [
    "AUDITS",
    "GROUPS",
    "VERDICTS",
    "Audit",
    "Diff",
    "Finding",
    "Gate",
    "Measured",
    "Report",
    "audit",
    "bar_integrity",
    "break_even_win_rate",
    "class_balance",
    "class_bias",
    "coverage",
    "degenerate_label",
    "expectancy",
    "explain",
    "feature_identity",
    "few_trades",
    "flat_predictions",
    "label_against_price",
    "lookahead",
    "page",
    "purge",
    "resolve",
    "share_interval",
    "split_order",
    "threshold_reachability",
]
