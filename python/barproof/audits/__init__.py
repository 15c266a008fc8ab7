"""Audits: whether a backtest can be believed, one finding a question.

:func:`barproof.audit` runs all that its arguments allow. Each is also a plain function here, which takes arrays and
frames and gives a :class:`Finding`; docs/audits.md has a section for each, which :func:`explain` gives too.
"""

from __future__ import annotations

from barproof.audits.arithmetic import return_arithmetic, trade_order
from barproof.audits.auditing import audit
from barproof.audits.calibration import (
    calibration_error,
    calibration_where_traded,
    proper_scores,
    reliability_curve,
    spiegelhalter,
    temperature,
)
from barproof.audits.catalogue import AUDITS, GROUPS, explain, page, pages, resolve
from barproof.audits.checkpoint import (
    architecture,
    bundle_manifest,
    live_model,
    loss_pair,
    metric_reproduction,
    mode_parity,
    running_model,
    scenario_search,
)
from barproof.audits.claim_numbers import (
    claim_arithmetic,
    claim_contradictions,
    claim_plausibility,
    claim_rate,
    claim_significance,
)
from barproof.audits.claims import (
    claim_identity,
    claim_kind,
    claim_provenance,
    claim_recompute,
    claim_staleness,
)
from barproof.audits.contents import channel_map, dead_features, feature_drift
from barproof.audits.data import bar_integrity, coverage
from barproof.audits.decisions import (
    closed_bars,
    configuration_parity,
    decision_replay,
    fill_parity,
    live_predictions,
    matched_trades,
)
from barproof.audits.dependence import clustered_trades, effective_sample, paired_strategies
from barproof.audits.economics import break_even_win_rate, expectancy, few_trades, share_interval
from barproof.audits.entry import Audit
from barproof.audits.exits import (
    concentration,
    entry_exit_ablation,
    exit_attribution,
    fill_realism,
    random_entry_control,
)
from barproof.audits.fills import fill_hindsight, fill_in_bar, fill_in_session, fill_volume
from barproof.audits.labels import class_balance, degenerate_label, label_against_price
from barproof.audits.learnable import (
    base_rate_drift,
    label_against_cost,
    label_sweep,
    label_timing,
    leaking_feature,
)
from barproof.audits.logits import (
    alignment_scan,
    below_chance,
    logit_range,
    magnitude,
    overconfidence,
    possible_metrics,
)
from barproof.audits.lookahead import lookahead
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.noise import domain_classifier, lag_test, permuted_labels
from barproof.audits.parity import feature_identity
from barproof.audits.payoff import (
    cost_sensitivity,
    drawdown_and_ruin,
    kelly_bound,
    overtrading,
    payoff_asymmetry,
    stop_distance,
)
from barproof.audits.perturb import (
    bars_to_forget,
    future_perturbation,
    start_weight,
    warmup_needed,
)
from barproof.audits.predictions import class_bias, flat_predictions, threshold_reachability
from barproof.audits.report import VERDICTS, Diff, Report
from barproof.audits.reuse import embargo, fit_scope, overlap, reused_parts
from barproof.audits.rows import (
    as_of,
    duplicates_across_parts,
    enough_history,
    filter_selectivity,
    non_finite,
    row_accounting,
)
from barproof.audits.scale import (
    feature_scale,
    first_layer,
    scaler_presence,
    value_parity,
)
from barproof.audits.selection import (
    backtest_length,
    deflated_sharpe,
    effective_trials,
    multiple_looks,
    overfit_probability,
    prior_odds,
    superior_ability,
    trial_ledger,
)
from barproof.audits.significance import (
    bootstrap_mean,
    exact_binomial,
    power,
    probabilistic_sharpe,
    sample_size,
    sharpe_interval,
    track_record,
)
from barproof.audits.skill import (
    ClassScores,
    class_scores,
    consistency,
    input_sensitivity,
    loss_against_constant,
    prediction_noise,
    skill_over_baselines,
)
from barproof.audits.splits import purge, split_order
from barproof.audits.steadiness import fold_selection, plateau, training_against_trading
from barproof.audits.waivers import Waiver, apply_waivers, load_waivers, waiver_state

__all__ = [
    "AUDITS",
    "GROUPS",
    "VERDICTS",
    "Audit",
    "ClassScores",
    "Diff",
    "Finding",
    "Gate",
    "Measured",
    "Report",
    "Waiver",
    "alignment_scan",
    "apply_waivers",
    "architecture",
    "as_of",
    "audit",
    "backtest_length",
    "bar_integrity",
    "bars_to_forget",
    "base_rate_drift",
    "below_chance",
    "bootstrap_mean",
    "break_even_win_rate",
    "bundle_manifest",
    "calibration_error",
    "calibration_where_traded",
    "channel_map",
    "claim_arithmetic",
    "claim_contradictions",
    "claim_identity",
    "claim_kind",
    "claim_plausibility",
    "claim_provenance",
    "claim_rate",
    "claim_recompute",
    "claim_significance",
    "claim_staleness",
    "class_balance",
    "class_bias",
    "class_scores",
    "closed_bars",
    "clustered_trades",
    "concentration",
    "configuration_parity",
    "consistency",
    "cost_sensitivity",
    "coverage",
    "dead_features",
    "decision_replay",
    "deflated_sharpe",
    "degenerate_label",
    "domain_classifier",
    "drawdown_and_ruin",
    "duplicates_across_parts",
    "effective_sample",
    "effective_trials",
    "embargo",
    "enough_history",
    "entry_exit_ablation",
    "exact_binomial",
    "exit_attribution",
    "expectancy",
    "explain",
    "feature_drift",
    "feature_identity",
    "feature_scale",
    "few_trades",
    "fill_hindsight",
    "fill_in_bar",
    "fill_in_session",
    "fill_parity",
    "fill_realism",
    "fill_volume",
    "filter_selectivity",
    "first_layer",
    "fit_scope",
    "flat_predictions",
    "fold_selection",
    "future_perturbation",
    "input_sensitivity",
    "kelly_bound",
    "label_against_cost",
    "label_against_price",
    "label_sweep",
    "label_timing",
    "lag_test",
    "leaking_feature",
    "live_model",
    "live_predictions",
    "load_waivers",
    "logit_range",
    "lookahead",
    "loss_against_constant",
    "loss_pair",
    "magnitude",
    "matched_trades",
    "metric_reproduction",
    "mode_parity",
    "multiple_looks",
    "non_finite",
    "overconfidence",
    "overfit_probability",
    "overlap",
    "overtrading",
    "page",
    "pages",
    "paired_strategies",
    "payoff_asymmetry",
    "permuted_labels",
    "plateau",
    "possible_metrics",
    "power",
    "prediction_noise",
    "prior_odds",
    "probabilistic_sharpe",
    "proper_scores",
    "purge",
    "random_entry_control",
    "reliability_curve",
    "resolve",
    "return_arithmetic",
    "reused_parts",
    "row_accounting",
    "running_model",
    "sample_size",
    "scaler_presence",
    "scenario_search",
    "share_interval",
    "sharpe_interval",
    "skill_over_baselines",
    "spiegelhalter",
    "split_order",
    "start_weight",
    "stop_distance",
    "superior_ability",
    "temperature",
    "threshold_reachability",
    "track_record",
    "trade_order",
    "training_against_trading",
    "trial_ledger",
    "value_parity",
    "waiver_state",
    "warmup_needed",
]
