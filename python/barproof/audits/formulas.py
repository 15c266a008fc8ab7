"""What each audit computes, as a formula, where its row of the table does not say it."""

from __future__ import annotations

__all__ = ["FORMULAS"]

FORMULAS: dict[str, str] = {
    "DATA-01": "impossible bars = #{not low <= min(open, close) <= max(open, close) <= high, or a time not after the "
    "one before}; missing = (bars expected of the calendar - bars there) / bars expected",
    "DATA-02": "share = #{periods of the series with a row} / round((end - start) / period), period the median step",
    "DATA-06": "#{cells that are NaN or infinite}, and the difference of their shares between parts",
    "LAB-01": "the least number of classes over all parts and folds",
    "LAB-02": "#{label_t != rule(price_{t+1}, ...)} / n; without a rule "
    "`z = (a/n - b/m) / sqrt(p(1-p)(1/n + 1/m))`, p pooled, of a labels up and b bars up",
    "LAB-03": "b = share of class 1; entropy `-b ln b - (1-b) ln(1-b)`; Brier `b(1-b)`; best constant under weight w: "
    "`p = wb / (wb + 1 - b)`",
    "LAB-05": "threshold / round-trip cost; share of positives whose best exit is at or below the cost",
    "SPL-01": "#{rows of train at or after the first of tune or test} + #{rows of tune at or after the first of test}",
    "SPL-02": "#{i in train: start_i <= max end(T) and end_i >= min start(T)} over contiguous runs T of test rows",
    "SPL-05": "#{choices made on the part that is reported}",
    "SPL-07": "`F(D[..t]) == F(D[..T])[..t]` for cuts t; a fault in a share q of the bars is missed with `(1-q)^cuts`",
    "SPL-12": "area under the curve of a classifier that tells train rows from test rows, blocks of neighbours held "
    "out together",
    "PAR-01": "#{positions whose names differ}; the digest is SHA-256 of the names in their order",
    "PAR-03": "`max |x|`, `max sd / min sd`, and the share of features with `|mean| <= 0.1` and `0.5 <= sd <= 2`",
    "PAR-05": "`z = (x - mean) / scale` must have mean 0 and deviation 1 on train rows, and be what entered: not x, "
    "not `(z - mean) / scale`",
    "PAR-07": "share of the most frequent value; `|corr| > 0.999` of pairs; `max |f(permuted) - f|`",
    "PAR-08": "Pearson's correlation of each named series with its channel, and with all others",
    "CKP-02": "`|metric of a reading - stored| / |stored|`; a match by accident has a chance of about 2 x tolerance x "
    "readings",
    "CKP-03": "names and shapes that differ; parameters = sum of the products of the shapes",
    "CKP-04": "validation loss / train loss; validation loss - loss of the best constant",
    "CKP-05": "#{entries that are absent or empty}",
    "CKP-06": "#{decisions whose logged hash is not the claimed one}",
    "CKP-07": "`max |p - p'|` over rows, and #{decisions that flip outside of a band as wide as the tolerance}",
    "PRED-01": "population standard deviation; number of different values; share of the most frequent one",
    "PRED-03": "share of `1 - max p < 0.01`, from logits where they are given; Wilson's interval of the accuracy there",
    "PRED-04": "predicted share / label share per class; binomial tail of so many forecasts at the label share",
    "PRED-05": "#{p >= threshold} / n per side and fold; for none the upper bound `1 - 0.05^(1/n)`",
    "PRED-10": "sd(forecast) / sd(target); share of forecasts beyond the target's range",
    "PRED-11": "`max |f(x) - f(x with one column permuted)|` over rows and columns",
    "PRED-13": "flip rate of the side / flip rate of the target; AUC - AUC of the mean of the last 5 forecasts",
    "PRED-14": "share of sequences below the baseline; mean without the best one; 90% interval of the mean by the "
    "stationary bootstrap",
    "CAL-04": "per bin: n, mean p, share, Wilson's interval; consistency bar = quantiles of shares of labels drawn "
    "from p, at 0.05 / bins",
    "CAL-06": "share that came true among `p >= threshold`, with Wilson's interval, against the mean p and break-even",
    "ECO-01": "`p* = (l + c) / (w + l)` with mean win w, mean loss l and cost c, against Wilson's interval of the win "
    "rate",
    "ECO-02": "`mean(r)`, interval `mean - q* se` of the studentised stationary bootstrap over trades in time order",
    "ECO-03": "l / w, and the win rate that it asks for, `l / (w + l)`",
    "ECO-08": "`max_t (1 - E_t / max_{s<=t} E_s)`; ruin = share of resampled paths that lose `limit` of a peak, "
    "`(1 + #) / (1 + B)`",
    "ECO-09": "the number of trades",
    "ECO-10": "losses of trades with this exit / all losses; their mean loss / mean win",
    "ECO-12": "largest of: sum of the best 1% of trades, of one day, of one symbol; over the sum of all",
    "ECO-13": "#{trades with stop and target inside one bar} / trades; #{side x (next open - fill) > 0}; share with "
    "quantity / volume > 1%",
    "SIG-02": "`(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`",
    "SIG-08": "`mean - q* se` over resamples of blocks whose lengths are geometric with mean b, b after Patton, "
    "Politis and White",
    "SIG-10": "`mean(a - b)`, its interval from the same resampled periods of both; for Sharpe ratios Ledoit and "
    "Wolf's error",
    "SIG-11": "`t = sum_g s_g / sqrt(G/(G-1) sum_g (s_g - n_g mean)^2)`, s_g the sum of cluster g of G",
    "OVF-01": "trials in the ledger on these data, against the number that is claimed",
    "OVF-03": "largest of `rho + (1 - rho) M`, `exp(-sum q ln q)` and `1 / sum q^2`, q the eigenvalues of the "
    "correlations over their sum",
    "OVF-06": "`p_(k)` x (m - k + 1), made monotone and at most 1 (Holm); m p_(k) / k (Benjamini and Hochberg)",
    "OVF-08": "Spearman's rho; p = share of all orders with so much or more (up to 8 variants), else Student's t",
    "OVF-10": "median metric of the neighbours / metric of the winner",
    "OVF-11": "`oFDR = P(no skill | Sharpe ratio seen)` from the densities at it under no skill and under the skill "
    "that is assumed",
    "CLM-01": "SHA-256 of the file == SHA-256 of the record",
    "CLM-02": "`|recomputed - printed| <= half a unit of the last printed digit`",
    "CLM-03": "least and largest value of `derived` over the corners of its rounded inputs; `k/n` for a whole k; "
    "`final <= (1 + mean)^n`; `sqrt(2(m - g) - m^2) >= sqrt(p(1-p)) (w + l)`, g the growth a trade",
    "CLM-04": "`log10(1 + r) x 365 / days`",
    "CLM-05": "words of measurement without a word of expectation, around a number that is not measured",
    "CLM-06": "system, model and data of the claim == those of the project and of its artefact",
    "CLM-07": "n, low, high and null told, `n >= 30`, null outside of [low, high]",
    "CLM-08": "[a - half, a + half] and [b - half, b + half] have a number in common",
    "CLM-09": "SHA-256 of every input == the one that was written down; without one, its time <= the artefact's",
    "CLM-10": "`p = min(1, 2 min(P(X <= k), P(X >= k)))`, X Poisson with mean rate x days; Holm over claims",
    "DEC-03": "#{entries that differ}, nested ones by their dotted names",
    "DEC-04": "PSI and Kolmogorov's D of live against validation probabilities; two-sided Poisson p of the trades",
    "DEC-05": "(mean slippage - assumed) / its error, dependence allowed for",
    "DEC-06": "#{decisions whose logged hash is not the tested one}",
    "DEC-07": "#{entries without a partner within one bar on the other side}",
    "FILL-01": "`low (1 - tol) <= price <= high (1 + tol)` of the bar that the fill falls into",
    "FILL-02": "#{fills inside the span of the candles at a time without a bar}",
    "FILL-03": "quantity / volume of the bar",
    "FILL-04": "#{entry before signal}; share of buys at the low and sells at the high; share of entries at the close "
    "of the bar that they are dated on",
    "FILL-05": "`leverage x (side x (exit/entry - 1) - fees / (quantity x entry))` against the stated return",
    "FILL-06": "#{exit < entry} + #{equal rows} + #{price or quantity not above 0 and finite}",
    "WVR-01": "#{waivers past their end, of another scope or input, or worse than what they accept}",
}
"""By code."""
