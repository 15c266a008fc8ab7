"""Rows of the table: data."""

from __future__ import annotations

from barproof.audits.entry import Audit

ROWS = (
    Audit(
        "DATA-03",
        "Row accounting",
        "row_accounting",
        "data",
        "medium",
        "counts of rows before and after, and the declared losses",
        "Every row lost between the raw bars and the model's input is explained by a declared term.",
        "A library that drops rows with NaN, or an inner join, "
        "chooses the sample for you. A real study lost 64 rows of "
        "293,917, of which sequence length and horizon explained 50.",
        "Any unexplained row fails, in either direction.",
        "Cases S002 and S003.",
        formula="`raw - used - (warm-up + sequence + horizon + filtered + NaN)`",
        bad='row_accounting(293_917, 293_853, lost={"sequence": 48, "horizon": 2})',
        good='row_accounting(8_155, 8_135, lost={"sequence": 20})',
    ),
    Audit(
        "DATA-04",
        "Filter selectivity",
        "filter_selectivity",
        "data",
        "high",
        "the mask of a filter, and labels before it",
        "The share of rows that a filter such as a minimum volume keeps, and the share of positive labels inside and "
        "outside of it.",
        "A filter that drops four fifths of the bars makes a model "
        "of the rest; a label that follows the filter makes a "
        "model of volume.",
        "Keeping less than 50% warns, less than 20% fails; a label "
        "that is a function of the filter (99% of its entropy "
        "explained) fails.",
        "Case S003.",
        formula="mutual information of filter and label over the "
        "entropy of the label; pooled two-sample z of the shares",
        setup="volume = np.arange(1_000) % 10",
        bad="filter_selectivity(volume >= 9, volume >= 9)",
        good="filter_selectivity(volume >= 2, np.arange(1_000) % 7 < 2)",
    ),
    Audit(
        "DATA-05",
        "As-of correctness",
        "as_of",
        "data",
        "critical",
        "arrival and decision times",
        "Each value had arrived when the decision that uses it was made, not only been dated before it.",
        "Sentiment, funding and fundamentals are published late, "
        "revised and filled in. A join on event time takes them "
        "as if they had been known at once.",
        "Any arrival after its decision fails, as does an arrival before the event. A missing time is inconclusive.",
        "Feast, issue 6615: joins there go by event time.",
        formula="`arrival <= decision` for every row",
        setup="hour = 3_600_000 * np.arange(1, 101)",
        bad="as_of(hour + 60_000, hour)",
        good="as_of(hour - 60_000, hour)",
    ),
    Audit(
        "DATA-06",
        "Non-finite and serialisable",
        "non_finite",
        "data",
        "medium",
        "model inputs by part",
        "NaN and infinite cells of what enters the model, by column and part, and whether a report can be written as "
        "JSON.",
        "One NaN turns a batch and then the weights into NaN, "
        "and a real backtest died on writing a float32 of numpy.",
        "Any such cell in a model's input fails, as does a report that is no JSON; shares that differ by more than a "
        "point between parts are named. A part without rows is inconclusive.",
        "Case S000.",
        setup="rows = np.random.default_rng(1).normal(size=(100, 3))",
        bad='non_finite({"train": rows, "live": np.where(rows > 2, np.inf, rows)})',
        good='non_finite({"train": rows, "live": rows[:50]}, report={"loss": 0.03})',
    ),
    Audit(
        "DATA-07",
        "Duplicates across parts",
        "duplicates_across_parts",
        "data",
        "high",
        "feature rows of train and test",
        "Rows of the test part that stand in the train part too, exactly or to a number of digits (`digits=`).",
        "A model that has seen the row remembers its label.",
        "Any duplicate warns, more than 1% of the test rows fails. "
        "Constant features, or a part without finite rows, are "
        "inconclusive.",
        "deepchecks, TrainTestSamplesMix.",
        formula="share of test rows whose 64-bit row hash occurs in train",
        setup="rows = np.random.default_rng(1).normal(size=(1_000, 4))",
        bad="duplicates_across_parts(rows[:800], rows[700:])",
        good="duplicates_across_parts(rows[:800], rows[800:])",
    ),
    Audit(
        "DATA-08",
        "Enough history",
        "enough_history",
        "data",
        "high",
        "labels of the train rows",
        "Effective labels of the training span (SPL-06), positives "
        "among them, full cycles of the longest seasonality, "
        "and terciles of volatility that were visited.",
        "A model trained on 30 days, 8,641 bars, never said more than 0.15.",
        "Fewer than 1,000 effective labels, 3 cycles, or 3 terciles warn; fewer than 100 effective positives, or one "
        "class, fail.",
        "Case S004; M. Lopez de Prado 2018, ch. 4, for the weight of labels that overlap.",
        formula="labels x mean uniqueness, with `stats.effective_labels`",
        setup="labels, start = np.arange(4_000) % 5 == 0, np.arange(4_000)",
        bad="enough_history(labels[:600], spans=(start[:600], start[:600] + 11))",
        good="enough_history(labels, spans=(start, start + 1))",
    ),
)
