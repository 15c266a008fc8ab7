"""Rows of the table: calibration."""

from __future__ import annotations

from barproof.audits.entry import Audit

_SETUP = (
    "rng = np.random.default_rng(1)\nscore = rng.normal(size=2_000)\np = 1 / (1 + np.exp(-score))\n"
    "labels = (rng.uniform(size=2_000) < p).astype(float)\n"
)

ROWS = (
    Audit(
        "CAL-01",
        "Calibration error",
        "calibration_error",
        "calibration",
        "high",
        "probabilities and labels",
        "The expected calibration error over bins of equal mass, less what a perfect forecaster scores.",
        "A gate of 5% is meaningless at 400 rows: a perfectly "
        "calibrated forecast scores 4.85% with 10 bins and 11% with 50.",
        "An excess above 0.05 fails; with `span=` rows of overlapping labels count as one, and chance explains more. "
        "Fewer than 100 independent rows, or one class, are inconclusive.",
        "M. Naeini, G. Cooper and M. Hauskrecht 2015; K. Nguyen and B. O'Connor 2015 for equal mass; case S001.",
        formula="`sum n_b/n |mean y - mean p|`, less `sqrt(2/pi) sum n_b/n sqrt(p_b (1 - p_b) / n_b)`",
        setup=_SETUP,
        bad="calibration_error(np.clip(p * 1.4, 0, 1), labels)",
        good="calibration_error(p, labels)",
    ),
    Audit(
        "CAL-02",
        "Proper scores",
        "proper_scores",
        "calibration",
        "high",
        "probabilities and labels",
        "Brier score, taken apart into reliability, resolution and uncertainty, and log loss, over the base rate.",
        "Scores that are minimised by the truth alone cannot be gamed by a threshold.",
        "A lower bound of the gain in Brier score at or below 0 "
        "warns. Fewer than 100 rows, or one class, are inconclusive.",
        "A. Murphy 1973; G. Brier 1950.",
        formula="`mean (b - y)^2 - (p - y)^2` with base rate b; stationary bootstrap",
        setup=_SETUP,
        bad="proper_scores(rng.uniform(size=2_000), labels)",
        good="proper_scores(p, labels)",
    ),
    Audit(
        "CAL-03",
        "Spiegelhalter z",
        "spiegelhalter",
        "calibration",
        "medium",
        "probabilities and labels of independent rows",
        "Whether squared errors are as large as the probabilities themselves expect.",
        "It needs no bins, and finds overconfidence in small samples.",
        "|z| above 3 fails. Labels that overlap are thinned by `span=`; fewer than 100 rows left are inconclusive.",
        "D. Spiegelhalter 1986.",
        formula="`z = sum (y - p)(1 - 2p) / sqrt(sum (1 - 2p)^2 p (1 - p))`",
        setup=_SETUP,
        bad="spiegelhalter(1 / (1 + np.exp(-2 * score)), labels)",
        good="spiegelhalter(p, labels)",
    ),
    Audit(
        "CAL-04",
        "Reliability curve",
        "reliability_curve",
        "calibration",
        "medium",
        "probabilities and labels",
        "Mean probability and share of each bin, with n, Wilson's interval, and bars drawn from the forecast itself.",
        "A point without its n and its bar says nothing.",
        "A bin outside of its bar (5% over all bins) warns. Fewer than 100 rows, or one class, are inconclusive.",
        "J. Brocker and L. Smith 2007.",
        setup=_SETUP,
        bad="reliability_curve(np.clip(p * 1.4, 0, 1), labels)",
        good="reliability_curve(p, labels)",
    ),
    Audit(
        "CAL-05",
        "Temperature",
        "temperature",
        "calibration",
        "high",
        "logits and labels of rows used for nothing else",
        "The temperature that minimises the log loss of the logits on such rows.",
        "A temperature of 2.5 was part of a training; the logits "
        "needed 186,524. No temperature repairs a forecast of one "
        "class, for it never changes the likeliest.",
        "Outside of [0.05, 20] fails, outside of [0.25, 4] warns; inconclusive where the rows cannot tell it from 1 "
        "(likelihood ratio at 5%).",
        "C. Guo, G. Pleiss, Y. Sun and K. Weinberger 2017; case S001.",
        formula="`argmin_T -mean ln softmax(logits / T)_y`, one root of a monotone function",
        setup=_SETUP,
        bad="temperature(score * 158_041, labels)",
        good="temperature(score, labels)",
    ),
    Audit(
        "CAL-06",
        "Calibration where it trades",
        "calibration_where_traded",
        "calibration",
        "critical",
        "probabilities, labels and the decision threshold",
        "Precision among the rows at or above the threshold, against their mean probability and against break-even.",
        "A model can be calibrated overall and wrong in the 2% that it trades.",
        "A Wilson upper bound below the mean probability, or below "
        "break-even, fails; a lower bound at or below break-even "
        "is inconclusive, as are fewer than 30 rows.",
        "Case S004.",
        setup=_SETUP,
        bad="calibration_where_traded(np.where(p > 0.7, 0.95, p), labels, threshold=0.7)",
        good="calibration_where_traded(p, labels, threshold=0.7, break_even=0.6)",
    ),
)
