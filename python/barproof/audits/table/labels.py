"""Rows of the table: labels."""

from __future__ import annotations

from barproof.audits.entry import Audit

ROWS = (
    Audit(
        "LAB-04",
        "Label-parameter sweep",
        "label_sweep",
        "labels",
        "high",
        "a table of label parameters with the skill of a cheap model",
        "How the skill of a cheap model out of sample moves with horizon, threshold and filter of the label.",
        "A flat model has more often unlearnable labels than a "
        "bug. Trying parameters until one works is a search, and "
        "every cell of it is a trial.",
        "No cell with an AUC above 0.5 after Holm's correction "
        "fails, as does a chosen cell without; a chosen cell whose "
        "neighbours all fail warns.",
        "Case S003; S. Holm 1979.",
        formula="`z = (auc - 0.5) / error`, one-sided, Holm over all cells",
        setup='cells = {"horizon": [1, 2, 3, 4], "auc": [0.50, 0.51, 0.49, 0.50], "error": [0.01] * 4}',
        bad="label_sweep(cells)",
        good='label_sweep({**cells, "auc": [0.50, 0.54, 0.55, 0.54]}, axes=("horizon",), chosen=2)',
    ),
    Audit(
        "LAB-05",
        "Label against cost",
        "label_against_cost",
        "labels",
        "high",
        "the threshold of the label and the cost of a round trip",
        "The move that makes a label positive is larger than fees, spread and slippage of a round trip.",
        "A remedy for a flat model once lowered the move to 0.05%, "
        "below a taker's round trip of 0.08 to 0.2%: the model "
        "would have learned to lose.",
        "A threshold at or below the cost fails; more than half "
        "of the positives without an exit beyond the cost warns.",
        "Case S003.",
        bad="label_against_cost(0.0005, cost=0.001)",
        good="label_against_cost(0.004, cost=0.001)",
    ),
    Audit(
        "LAB-06",
        "Label timing",
        "label_timing",
        "labels",
        "critical",
        "labels of a known horizon, and candles",
        "The label goes with the returns of the bars that it looks "
        "at, and not with those that have passed: correlation "
        "with one-bar returns at lags -5 to horizon + 5.",
        "A label one bar early contains what every feature knows, and everything predicts it.",
        "A correlation with a passed bar above 4 / sqrt(n_eff) "
        "that is more than half of the largest with the label's own "
        "bars fails, as does a label that goes with none of its "
        "own bars, nor with the sum of their returns; a smaller one warns, for momentum makes it too. "
        "Fewer than 30 independent labels are inconclusive.",
        "The half is ours: the bound alone would fail every market whose returns are autocorrelated.",
        formula="`corr(label(t), return(t + k))` for k in -5 .. h + 5; n_eff = n / h",
        setup="returns = np.random.default_rng(1).normal(size=2_000)\n"
        "ahead = np.r_[returns[1:] > 0, False].astype(float)",
        bad="label_timing(np.roll(ahead, 1), returns, horizon=1)",
        good="label_timing(ahead, returns, horizon=1)",
    ),
    Audit(
        "LAB-07",
        "Leaking feature",
        "leaking_feature",
        "labels",
        "critical",
        "features and labels",
        "The area under the curve of each feature alone, in train and in test.",
        "On the direction of a market no honest feature has an AUC of 0.9 alone.",
        "Above 0.75 warns, above 0.9 fails, in either direction; "
        "skill that falls by more than 0.1 from train to test "
        "warns.",
        "deepchecks, FeatureLabelCorrelationChange.",
        formula="Mann-Whitney: share of pairs of a positive and a negative in the right order, ties count half",
        setup="rng = np.random.default_rng(1)\nlabels = rng.integers(0, 2, 1_000)\nnoise = rng.normal(size=1_000)",
        bad='leaking_feature({"noise": noise, "tomorrow": labels + 0.1 * noise}, labels)',
        good='leaking_feature({"noise": noise, "hint": 0.2 * labels + noise}, labels)',
    ),
    Audit(
        "LAB-08",
        "Base-rate drift",
        "base_rate_drift",
        "labels",
        "medium",
        "labels and groups of rows",
        "The share of each class by fold and by month.",
        "A label with a fixed threshold follows volatility: a model calibrated in a calm year is wrong in a wild one "
        "without any loss of skill.",
        "A Holm-corrected p at or below 0.05 warns. Fewer than 5 "
        "expected labels of a class in a group are inconclusive. "
        "Give `n_eff=` where labels overlap.",
        "Pearson's chi-square, as in scipy.stats.chi2_contingency without correction.",
        formula="`sum (observed - expected)^2 / expected x n_eff / n`, (groups - 1)(classes - 1) degrees of freedom",
        setup="month = np.arange(1_200) // 100",
        bad='base_rate_drift(np.arange(1_200) % 10 < month / 2, {"month": month})',
        good='base_rate_drift(np.arange(1_200) % 3 == 0, {"month": month})',
    ),
)
