"""Examples of the audits: code that runs, and what it prints; a bad case first, then a good one."""

from __future__ import annotations

from barproof.audits.catalogue_results import EXAMPLES as _RESULTS

__all__ = ["EXAMPLES"]

EXAMPLES: dict[str, tuple[str, str]] = {
    "DATA-01": (
        """
candles = bp.simulate_candles(1, bars=2_000)
bars = candles.to_polars()
twice = pl.concat([bars[:100], bars[99:]])  # one bar stands twice
print(bp.audits.bar_integrity(twice).title)
print(bp.audits.bar_integrity(candles).outcome)
""",
        """
1 duplicate time in 2,001 bars
pass
""",
    ),
    "DATA-02": (
        """
hour = 3_600_000
span = {"start": 0, "end": 51_980 * hour}
loaded = (51_980 - 8 * np.arange(1, 201)) * hour  # only the last 200 settlements
print(bp.audits.coverage({"funding": loaded}, **span).title)
print(bp.audits.coverage({"funding": np.arange(0, 51_980, 8) * hour}, **span).outcome)
""",
        """
`funding` covers 3.1% of the span: 200 of 6,498 rows
pass
""",
    ),
    "LAB-01": (
        """
print(bp.audits.degenerate_label({"test": np.ones(8_135)}).title)
print(bp.audits.degenerate_label({"test": [0, 1] * 500}).outcome)
""",
        """
1 of 1 parts holds one class only: test has 8,135 labels, all 1
pass
""",
    ),
    "LAB-02": (
        """
candles = bp.simulate_candles(1, bars=2_000)
labels = bp.labels.horizon(candles, bars=6, threshold=0.002)
shifted = np.roll(labels.values, -1)  # the same values, a bar too early
print(bp.audits.label_against_price(shifted, candles, rule=labels.rule).outcome)
print(bp.audits.label_against_price(labels, candles).outcome)
""",
        """
fail
pass
""",
    ),
    "LAB-03": (
        """
print(bp.audits.class_balance(np.arange(100) < 3).outcome)
print(bp.audits.class_balance(np.arange(100) < 30).outcome)
""",
        """
fail
pass
""",
    ),
    "SPL-01": (
        """
rows = np.arange(100)
print(bp.audits.split_order([(rows[rows % 5 != 0], rows[rows % 5 == 0])]).outcome)  # shuffled
print(bp.audits.split_order([(rows[:80], rows[80:])]).outcome)
""",
        """
fail
pass
""",
    ),
    "SPL-02": (
        """
rows = np.arange(100)
spans = (rows, rows + 4)  # each label looks at 5 bars
print(bp.audits.purge([(rows[:80], rows[80:])], spans).title)
print(bp.audits.purge([(rows[:76], rows[80:])], spans).outcome)
print(bp.audits.purge([(rows[:76], rows[80:])], None).outcome)
""",
        """
4 of 80 labels reach into a later part (first: fold 0, row 76 of train ends at 80, test starts at 80)
pass
inconclusive
""",
    ),
    "SPL-07": (
        """
candles = bp.simulate_candles(1, bars=2_000)


def centred(candles):
    return candles.to_polars().select(
        "open_time", mean=pl.col("close").rolling_mean(5, center=True)
    )


def trailing(candles):
    return candles.to_polars().select("open_time", mean=pl.col("close").rolling_mean(5))


print(bp.audits.lookahead(centred, candles).outcome)
print(bp.audits.lookahead(trailing, candles).outcome)
""",
        """
fail
pass
""",
    ),
    "PAR-01": (
        """
trained = ["log_return(1)", "rsi(14)"]
print(bp.audits.feature_identity(["rsi(14)", "log_return(1)"], trained).title)
print(bp.audits.feature_identity(trained, trained).outcome)
""",
        """
2 features stand in another order than in the model: first `rsi(14)` where it has `log_return(1)`
pass
""",
    ),
    "PRED-01": (
        """
p = np.random.default_rng(1).uniform(0.1, 0.3, 1_000)
print(bp.audits.flat_predictions(np.full(1_000, 0.1051)).outcome)
print(bp.audits.flat_predictions(p).outcome)
""",
        """
fail
pass
""",
    ),
    "PRED-04": (
        """
labels = np.repeat([0, 1], [60, 40])
print(bp.audits.class_bias(np.repeat([0, 1], [97, 3]), labels).outcome)
print(bp.audits.class_bias(np.repeat([0, 1], [55, 45]), labels).outcome)
""",
        """
fail
pass
""",
    ),
    "PRED-05": (
        """
p = np.linspace(0.2, 0.8, 200)
print(bp.audits.threshold_reachability({"long": (p / 2, 0.75)}).outcome)
print(bp.audits.threshold_reachability({"long": (p, 0.25)}).outcome)
""",
        """
fail
pass
""",
    ),
    "ECO-01": (
        """
wins, losses = np.full(2_008, 0.005524), np.full(1_884, -0.010678)
print(bp.audits.break_even_win_rate(np.concatenate([wins, losses])).title)
print(bp.audits.break_even_win_rate(np.tile([0.02, -0.01], 500)).outcome)
""",
        """
win rate 51.6% [50.0, 53.2] (n=3,892) is below break-even 65.9%
pass
""",
    ),
    "ECO-02": (
        """
noise = np.random.default_rng(2).normal(0.0, 0.01, 400)
print(bp.audits.expectancy(noise - 0.002).outcome)
print(bp.audits.expectancy(noise).outcome)
print(bp.audits.expectancy(noise + 0.002).outcome)
""",
        """
fail
inconclusive
pass
""",
    ),
    "ECO-09": (
        """
print(bp.audits.few_trades([]).outcome, bp.audits.few_trades([0.01] * 4).outcome)
print(bp.audits.few_trades([0.01, -0.01] * 200).outcome)
""",
        """
fail inconclusive
pass
""",
    ),
    "SIG-02": (
        """
print(bp.audits.share_interval(2, 3).title)
print(bp.audits.share_interval(600, 1_000, null=0.5).outcome)
""",
        """
share 66.7% [20.8, 93.9] (n=3): fewer than 30 observations say nothing
pass
""",
    ),
    **_RESULTS,
}
