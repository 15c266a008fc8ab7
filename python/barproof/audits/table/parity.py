"""Rows of the table: features and parity."""

from __future__ import annotations

from barproof.audits.entry import Audit

_ROWS3 = "rows = np.random.default_rng(1).normal(size=(400, 3))\n"

ROWS = (
    Audit(
        "PAR-02",
        "Value parity",
        "value_parity",
        "parity",
        "critical",
        "features of the same bars from both codes",
        "Feature by feature and bar by bar, research and live code give the same numbers; then the same decisions.",
        "Two distributions can agree while every row is a bar late. A bot was tested on 109 features and ran on 171.",
        "Any value beyond the tolerance, or a decision that flips "
        "outside of 1e-6 around the threshold, fails. Fewer than "
        "299 rows without a difference are inconclusive.",
        "Case S004; TensorFlow Data Validation keeps the two kinds of skew apart too.",
        formula="same engine: equal bits; two in double: `1e-9 max(|a|, |b|)` or `1e-6 sd`; in single: `1e-4 sd`",
        setup=_ROWS3,
        bad="value_parity(rows, np.roll(rows, 1, axis=0))",
        good="value_parity(rows, rows + 1e-12)",
    ),
    Audit(
        "PAR-03",
        "Feature scale",
        "feature_scale",
        "parity",
        "critical",
        "the rows that enter the model",
        "Mean, deviation and largest value of every input after all preprocessing.",
        "A close of 79,568 entered a first layer as it was, and two networks in a row said DOWN with certainty.",
        "A value above 50, deviations that differ by more than "
        "1,000, or fewer than half of the features standardised "
        "(|mean| <= 0.1, deviation in [0.5, 2]) fail; a value above 10 or fewer than 95% warn.",
        "Case S001. The bound of 10 leaves room for the tails of returns.",
        setup=_ROWS3 + "rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)",
        bad="feature_scale(rows * [1, 1, 500] + [0, 0, 79_568])",
        good="feature_scale(rows)",
    ),
    Audit(
        "PAR-04",
        "First-layer activation",
        "first_layer",
        "parity",
        "critical",
        "inputs and the first layer's weights",
        "The size of W x + b before any normalisation, the share "
        "of units that never fire, and the feature with the largest "
        "term.",
        "One weight of 0.16 times a price of 79,568 is 12,731; batch norm hides it in training.",
        "A 99% point above 100 fails, above 20 warns, as do more than half of the units dead.",
        "Case S001. torch starts Linear at U(-1/sqrt(n), 1/sqrt(n)): a deviation of 0.58 on standardised inputs.",
        formula="`|W x + b|`; term of a feature: `mean |x_j| max |w_j|`",
        setup=_ROWS3 + "weight = np.full((4, 3), 0.16) * [[1], [-1], [1], [-1]]",
        bad="first_layer(rows + [0, 0, 79_568], weight)",
        good="first_layer(rows, weight)",
    ),
    Audit(
        "PAR-05",
        "Scaler presence",
        "scaler_presence",
        "parity",
        "critical",
        "the bundle's scaler, raw rows, and those that entered",
        "The scaler is in the bundle, has a mean and a scale for "
        "every feature, fits the train rows, and is applied exactly "
        "once.",
        "A scikit-learn scaler set as an attribute of a torch module "
        "is no parameter, buffer or submodule: state_dict drops "
        "it, and the plan to mend a network contained this very fault.",
        "Any miss fails: none, of another length, not fitted, of "
        "other rows, applied never or twice. Without the rows that "
        "entered it is inconclusive.",
        "Case S001.",
        setup="rows = 100 + 20 * np.random.default_rng(1).normal(size=(400, "
        "3))\nmean, scale = rows.mean(axis=0), rows.std(axis=0)",
        bad="scaler_presence(mean, scale, rows, entered=rows)",
        good="scaler_presence(mean, scale, rows, entered=(rows - mean) / scale)",
    ),
    Audit(
        "PAR-06",
        "Drift of features",
        "feature_drift",
        "parity",
        "medium",
        "model inputs of two periods",
        "Population stability index, Kolmogorov-Smirnov and "
        "Wasserstein distance of every input, with Holm over features.",
        "A p-value measures the sample: D = 0.02 has p = 0.99 at "
        "1,000 rows and 8e-18 at 100,000. An index of 0.034 is "
        "chance at 1,000 rows, and much at 50,000.",
        "An index of 0.25 (beyond its 95% point for two samples of "
        "one distribution) or D of 0.2 fails; 0.10 or 0.1 warns; "
        "both only where the Holm-corrected p is at most 0.05. Both nulls count independent rows, not "
        "all: features hang together in time, and by all rows every slow one would be called drifting.",
        "N. Siddiqi 2006 for the index; B. Yurdakul and J. Naranjo 2020 for its distribution.",
        formula="`PSI = sum (a - e) ln(a / e)` over deciles of the "
        "reference; null 95%: `chi2(.95, B - 1) (1/N + 1/M)`",
        setup="rng = np.random.default_rng(1)\nrows = rng.normal(size=(2_000, 2))",
        bad="feature_drift(rows[:1_000], rows[1_000:] + [0, 0.8])",
        good="feature_drift(rows[:1_000], rows[1_000:])",
    ),
    Audit(
        "PAR-07",
        "Dead and duplicate features",
        "dead_features",
        "parity",
        "medium",
        "model inputs",
        "Constant and nearly constant features (one value in more "
        "than 99.9%), pairs with |correlation| above 0.999, and, "
        "with `predict=`, features whose permutation changes no prediction.",
        "Weight on nothing is noise, and two equal features share one importance: each looks useless.",
        "Any warns; nothing but constants fails.",
        "feature_engine, DropConstantFeatures and DropDuplicateFeatures.",
        setup=_ROWS3,
        bad="dead_features(np.column_stack([rows, rows[:, 0] * 2, np.ones(400)]))",
        good="dead_features(rows)",
    ),
    Audit(
        "PAR-08",
        "Channel map",
        "channel_map",
        "parity",
        "critical",
        "channels, their names, and the raw series",
        "Each channel is the series that it is named after, by "
        "correlation with the raw series, whatever the scaling.",
        "Of 240 channels 120 to 139 were said to be one market; "
        "nobody could say whether the network predicted those 20 or "
        "all 240.",
        "A correlation below 0.999 fails, and the channel that fits is named.",
        "Case S000.",
        setup=_ROWS3 + 'series = {"BTC": rows[:, 0], "WLD": 5 + 2 * rows[:, 2]}',
        bad='channel_map(rows, {"BTC": 0, "WLD": 1}, series)',
        good='channel_map(rows, {"BTC": 0, "WLD": 2}, series)',
    ),
)
