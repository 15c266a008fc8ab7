"""Rows of the table: splits and leakage."""

from __future__ import annotations

from barproof.audits.entry import Audit

_NOISE = "rng = np.random.default_rng(1)\n"

ROWS = (
    Audit(
        "SPL-03",
        "Embargo",
        "embargo",
        "splits",
        "high",
        "folds and label spans",
        "Train rows that follow a test block begin late enough: "
        "after the span of the test labels, and after the bars "
        "that features remember.",
        "In a cross-validation training goes on after the test. "
        "The first rows there have features made of test bars.",
        "A gap below the label span fails, below span plus memory "
        "(1% of the rows unless given) warns. Walk-forward folds "
        "pass: nothing follows their test.",
        "M. Lopez de Prado 2018, ch. 7.",
        formula="`gap = first train row after the test - last test row - 1 >= max(label end - row) + memory`",
        setup="rows = np.arange(200)\nspans = (rows, rows + 4)",
        bad="embargo([(np.r_[rows[:90], rows[122:]], rows[100:120])], spans)",
        good="embargo([(np.r_[rows[:90], rows[130:]], rows[100:120])], spans)",
    ),
    Audit(
        "SPL-04",
        "Fit scope",
        "fit_scope",
        "splits",
        "critical",
        "a fitted scaler, all rows and the train rows",
        "Means and deviations of the fitted scaler are those of the train rows, and not of all rows.",
        "A scaler fitted on everything carries the level and the volatility of the test into training.",
        "Nearer to all rows than to train rows fails; nearer to "
        "train rows but equal to neither warns; parts that cannot be "
        "told apart are inconclusive.",
        "scikit-learn's Pipeline is the model of care.",
        formula="largest of `|mean - mean_part| / sd_part` and `|ln(sd / sd_part)|` over features",
        setup="rows = np.linspace(0, 1, 400)[:, None] + "
        "np.random.default_rng(1).normal(size=(400, 3))\ntrain = np.arange(200)",
        bad="fit_scope(rows.mean(axis=0), rows.std(axis=0), rows, train)",
        good="fit_scope(rows[train].mean(axis=0), rows[train].std(axis=0), rows, train)",
    ),
    Audit(
        "SPL-05",
        "Test reuse",
        "reused_parts",
        "splits",
        "high",
        "the part on which each choice was made",
        "Early stopping, thresholds, grid and fold were chosen on another part than the reported one.",
        'A system was reported with "entry 0.80, exit 0.80", the winner of a grid on the grid\'s own rows.',
        "Any choice on the reported part fails; no named choice is inconclusive.",
        "Case S004.",
        bad='reused_parts({"early stopping": "tune", "thresholds": "test"})',
        good='reused_parts({"early stopping": "tune", "thresholds": "tune"})',
    ),
    Audit(
        "SPL-06",
        "Overlap and effective labels",
        "overlap",
        "splits",
        "high",
        "label spans",
        "How many independent observations labels or windows are that share bars.",
        "108 windows of 5 days on 104 days of bars use each day five times, and count one day's luck as five.",
        "A claim of more than 1.2 times the effective number fails; "
        "without a claim an overlap above 1.2 warns, for then "
        "nobody has said so.",
        "M. Lopez de Prado 2018, ch. 4; case S004.",
        formula="sum over labels of the mean of 1 / (labels alive) over their bars: `stats.effective_labels`",
        setup="start = np.arange(0, 400, 4)",
        bad="overlap(start, start + 19, claimed=100)",
        good="overlap(start, start + 3, claimed=100)",
    ),
    Audit(
        "SPL-08",
        "Future perturbation",
        "future_perturbation",
        "splits",
        "critical",
        "candles and features",
        "With the bars after t permuted, multiplied by 1.5 or (in "
        "frames) missing, everything up to t stays as it was: the "
        "twin of SPL-07 for paths that need a fixed length.",
        "A leak that hides bad trades is not seen by asking whether the trades still appear.",
        "Any difference fails: not one bit for a FeatureSet, "
        "1e-9 relative elsewhere. A spent budget is inconclusive.",
        "The sampling rule is that of SPL-07.",
        formula="`F(D with rows > t replaced)[..t] = F(D)[..t]` at 59 random bars and edges of hours and days",
        setup="candles = bp.simulate_candles(1, bars=300)\n\n\ndef scaled(bars):\n"
        "    close = bars.close\n    return close / close.mean()",
        bad="future_perturbation(scaled, candles)",
        good='future_perturbation(bp.FeatureSet(["rsi(14)"]), candles)',
    ),
    Audit(
        "SPL-09",
        "Warm-up",
        "warmup_needed",
        "splits",
        "high",
        "candles, features and a declared window",
        "A live window of the declared length gives the values of the full history; names the slowest column and the "
        "window that it needs.",
        "An exponential mean of 20 bars still weighs its start by "
        "1e-6 after 139 bars, Wilder's of 14 after 187: a bot that "
        "loads 100 trades other features than its backtest.",
        "An error above 1e-6 at the declared window fails. Columns "
        "that no window of the history satisfies, such as sums "
        "since the start, are listed with none.",
        "freqtrade's recursive-analysis asks the same and divides by the value alone, which is undefined at 0.",
        formula="`|F_k - F| / max(|F|, sd)` at the last bar of windows "
        "of k bars; for a recursion `k = ln(tol) / ln(1 - a)`",
        setup='candles = bp.simulate_candles(1, bars=2_000)\nfeatures = bp.FeatureSet(["ema(20)"])',
        bad="warmup_needed(features, candles, declared=60)",
        good="warmup_needed(features, candles, declared=400)",
    ),
    Audit(
        "SPL-10",
        "Lag test",
        "lag_test",
        "splits",
        "medium",
        "returns, and returns with signals a bar later",
        "What is left of Sharpe ratio and mean when every signal is known one bar later.",
        "A clear edge that loses more than half from one bar of delay lives on information or fills of the same bar.",
        "A loss of more than half warns and never fails, for fast "
        "edges do decay. Without a clear edge (2 standard errors) "
        "it is inconclusive.",
        "The idea is found in several backtesters; `bp.one_bar_later` makes the delayed run.",
        formula="`1 - sharpe(delayed) / sharpe`, and the same of the mean",
        setup=_NOISE + "returns = rng.normal(0.002, 0.01, 500)",
        bad="lag_test(returns, returns - 0.0015)",
        good="lag_test(returns, returns - 0.0002)",
    ),
    Audit(
        "SPL-11",
        "Permuted labels",
        "permuted_labels",
        "splits",
        "high",
        "the skill on real and on permuted labels",
        "The pipeline, trained again on labels whose blocks were "
        "permuted, finds nothing; on the real labels it finds more.",
        "A pipeline that learns from noise has a leak, whatever its backtest says.",
        "A mean AUC above 0.52 on permuted labels (by two standard "
        "errors) fails; a p-value above 0.05 on the real ones is "
        "inconclusive: no evidence of skill. Fewer than 19 permutations are inconclusive.",
        "M. Ojala and G. Garriga 2010; blocks of at least the "
        "label span, where scikit-learn's permutation_test_score "
        "permutes rows.",
        formula="`p = (1 + #{permuted >= real}) / (1 + permutations)`",
        setup=_NOISE + "noise = rng.normal(0.5, 0.01, 99)",
        bad="permuted_labels(0.58, permuted=noise + 0.05)",
        good="permuted_labels(0.58, permuted=noise)",
    ),
    Audit(
        "SPL-12",
        "Domain classifier",
        "domain_classifier",
        "splits",
        "low",
        "feature rows of train and test",
        "Whether a classifier tells train rows from test rows, and which features betray the time.",
        "Prices and counters let a model remember when, instead of learn what.",
        "An AUC above 0.7 warns. Blocks of neighbours are held out together.",
        "deepchecks, MultivariateDrift. Extremely randomised trees: P. Geurts, D. Ernst and L. Wehenkel 2006.",
        setup=_NOISE + "rows = rng.normal(size=(400, 2))\ntime = np.arange(400)",
        bad='domain_classifier({"x": rows[:200, 0], "time": time[:200]}, {"x": rows[200:, 0], "time": time[200:]})',
        good="domain_classifier(rows[:200], rows[200:])",
    ),
)
