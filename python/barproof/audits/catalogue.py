"""The table of audits: what each one checks, why, by which gate; `explain` and docs/audits.md are printed from it."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from barproof.audits.catalogue_results import ROWS as _RESULTS
from barproof.audits.entry import Audit
from barproof.audits.formulas import FORMULAS
from barproof.audits.table import ROWS
from barproof.errors import ParameterError

__all__ = ["AUDITS", "GROUPS", "Audit", "explain", "page", "pages", "resolve"]

GROUPS = (
    "data",
    "labels",
    "splits",
    "parity",
    "checkpoints",
    "predictions",
    "calibration",
    "economics",
    "significance",
    "overfitting",
    "decisions",
    "fills",
    "claims",
    "waivers",
)
"""Groups of audits; one is required if its input was given, or if it is named."""

_ROWS = (
    Audit(
        "DATA-01",
        "Bar integrity",
        "bar_integrity",
        "data",
        "high",
        "candles",
        "Order, uniqueness and spacing of times; low <= open, close <= high; finite positive prices, "
        "volume >= 0; holes; runs of 30 or more bars with one unchanged price.",
        "Every number after this one is computed from these bars. A duplicate or a shuffled row moves "
        "features and labels against each other without a trace.",
        "Any disorder, duplicate, time off the grid, or impossible bar fails. Bars missing above 0.1%, "
        "one hole of more than 24 bars, or a stale run warns: outages of exchanges are real and must be "
        "looked at, never filled silently.",
        "The checks of `read_candles`, in [candles.md](../candles.md#faults).",
    ),
    Audit(
        "DATA-02",
        "Coverage of auxiliary series",
        "coverage",
        "data",
        "high",
        "funding, or further columns of the candles",
        "Funding and further columns cover the bars that they are joined to: rows present over rows that "
        "the series' own period expects in the span of the candles, and the longest hole.",
        "A forward-filled join hides a hole. A real post-mortem loaded 200 funding records for 51,980 "
        "hourly bars, 3.1% of what one in eight hours gives, and its verification step said PASS.",
        'Below 95% warns, below 50% fails (case S002). A perpetual run with `funding="none"` warns: it '
        "has chosen not to know.",
        "Case S002.",
    ),
    Audit(
        "LAB-01",
        "Degenerate label",
        "degenerate_label",
        "labels",
        "critical",
        "labels",
        "Every part of every fold holds every class.",
        "With one class accuracy is 100% for any forecast and AUC does not exist. A perfect score on "
        "8,135 labels that are all the same has the interval [0.9995, 1], which looks like overwhelming "
        "evidence and is none.",
        "One class anywhere fails; a part that lacks one class of several warns; a part with fewer than 2"
        " labels is inconclusive.",
        "Case S002; scikit-learn's `roc_auc_score` is undefined there too.",
    ),
    Audit(
        "LAB-02",
        "Label against price",
        "label_against_price",
        "labels",
        "critical",
        "labels and candles",
        "The stored label equals its declared rule, applied to prices again by another implementation. "
        "Labels of trades, meta-labels, exit labels and votes are made again bar by bar by the engine "
        "that defines a trade, and the first and last bar that each is said to need are compared too: an "
        "end that is told too early escapes the purge. A primary signal is taken from the decisions that "
        "the labels show. Without a rule: the share of labels against the share of rising bars, and a "
        "search over simple rules (the sign of the return over 1 to 24 bars against 0 or a threshold, on "
        "closes and opens, shifted by -2 to 2 bars; one constant class) for the one that reproduces the "
        "label.",
        'A model learns what the labels say, not what they are called. 8,135 labels "up" for 4,142 rising'
        ' of 8,129 bars is off by 73 standard errors; the rule behind them was "close > 0".',
        "More than 0.1% of the rows differing from a declared rule, in value or in span, fails (ties and "
        "rounding only); a rule that looked at arrays or finer candles, of which it keeps the digest "
        "alone, is inconclusive. Without a rule: a label that is constant, or known at its own bar's "
        "close, fails; no rule found is inconclusive.",
        "Case S002; the two-sample test is in any textbook.",
    ),
    Audit(
        "LAB-03",
        "Class balance",
        "class_balance",
        "labels",
        "high",
        "labels of classes",
        "The share of positives, and what a constant forecast scores: entropy, Brier score, and the loss "
        "of the best constant under the usual class weight.",
        "A loss means something only beside the loss of a constant. At 19.4% positives the weighted loss "
        "of the best constant is 1.117: a training run that ends at 0.985 has hardly learned.",
        "A class outside 25% to 35% warns (the target of case S003; `band=` sets another), below 5% or "
        "above 95% fails. Balance is not quality: a warning asks for a reason.",
        "Case S003.",
    ),
    Audit(
        "SPL-01",
        "Order",
        "split_order",
        "splits",
        "critical",
        "folds",
        "In every fold all rows of train come before all of tune, and all of tune before all of test; no "
        "row serves twice.",
        "A shuffled split lets a model interpolate between neighbours that share most of their features "
        "and labels.",
        "Any row out of order fails.",
        "scikit-learn's `TimeSeriesSplit`; case S002.",
    ),
    Audit(
        "SPL-02",
        "Purge",
        "purge",
        "splits",
        "critical",
        "folds and label spans",
        "No label of a train row looks at a bar that a label of a test row looks at, by start and end of "
        "each label and per contiguous run of test rows; the same for train against tune, tune against "
        "test, and the half of tune that calibrates against the half that chooses.",
        "A label of h bars reaches h bars into the next part. scikit-learn's default gap of 0 leaks 20 of"
        " 150 rows in a five-fold example with labels of 5 bars.",
        "Any overlap fails. Without spans it is inconclusive, never a pass.",
        "M. Lopez de Prado, *Advances in Financial Machine Learning*, 2018, ch. 7.",
    ),
    Audit(
        "SPL-07",
        "Lookahead by truncated recompute",
        "lookahead",
        "splits",
        "critical",
        "candles and features",
        "Nothing at bar t depends on data after t. The whole path (features; for a run its models too) is"
        " computed again on candles cut after t, and every row up to t must be the same, whether a value "
        "vanishes, appears or moves. Cuts: 59 random bars, the first bars after holes, and edges of UTC "
        "hours and days. Where the table that the model was trained on is known, it must be what the path"
        " gives.",
        "A centred mean, a z-score over the whole sample, a `shift(-1)` or a forward-filled higher "
        "timeframe all backtest beautifully. 59 random cuts catch a fault that touches 5% of the bars "
        "with 95% probability.",
        "Any difference fails: not one bit for a FeatureSet, 1e-9 relative elsewhere. The finding names "
        "the first column, bar and both values. A path that cannot be computed again, or a budget "
        "(`max_seconds=`) that ran out, is inconclusive. Models are compared on the last 1,000 rows of "
        "each cut, and on all rows of the first.",
        "The idea of freqtrade's lookahead-analysis, extended to signals that vanish and to every column.",
    ),
    Audit(
        "PAR-01",
        "Feature identity",
        "feature_identity",
        "parity",
        "critical",
        "features and bundles",
        "Names, order and number of the features are those that the model was trained with, and the "
        "digest in the bundle is that of its own names.",
        "A real bot was backtested on 109 features and ran on 171. An equal number is no equal identity, "
        "and a model fed by position accepts reordered columns silently.",
        "Any difference fails.",
        "Cases S000 and S004.",
    ),
    Audit(
        "PRED-01",
        "Flat predictions",
        "flat_predictions",
        "predictions",
        "critical",
        "predictions of a model",
        "The spread of the probabilities of every class, per fold and per part of a run.",
        "A model that has learned nothing answers with one number. A calibrated forecast with an AUC of "
        "only 0.55 at a base rate of 0.194 has a standard deviation of 0.028.",
        "A standard deviation below 1e-4 fails, below 1e-3 warns (both case S003's); fewer than 10 "
        "different values, or one value in more than 99% of the rows, fails. Fewer than 30 predictions "
        "are inconclusive.",
        "Case S003, whose own remedy, to turn the assertion into a warning, is refused.",
    ),
    Audit(
        "PRED-04",
        "Class bias",
        "class_bias",
        "predictions",
        "critical",
        "predictions and labels",
        "The share of each predicted class against its share of the labels, with the binomial tail.",
        "97 of 100 forecasts DOWN where 60% of the labels are is no opinion about the market; it has a "
        "chance of 3e-18.",
        "A class with 95% or more of the forecasts fails; a ratio of predicted to label share outside "
        "[0.5, 2] warns. Where probabilities are given and the mean probability of every class agrees "
        "with its share of the labels (within 0.1), 95% of one likeliest class only warns: an honest weak"
        " forecast seldom lifts a rare class above a common one.",
        "Cases S001 and S002. The exception for calibrated forecasts is ours.",
    ),
    Audit(
        "PRED-05",
        "Threshold reachability",
        "threshold_reachability",
        "predictions",
        "critical",
        "signals and rules",
        "The decision rule can fire: highest value, upper quantiles, and the share at or above the "
        "threshold, per fold and side, with the 95% upper bound of a share of zero.",
        "A real model never said more than 0.15 and was run against a threshold of 0.75: no trade, no "
        "loss, no evidence.",
        "No value at or above any threshold fails. A side that never fires, or a fold whose highest value"
        " stays below its threshold, warns.",
        "Case S004.",
    ),
    Audit(
        "ECO-01",
        "Break-even win rate",
        "break_even_win_rate",
        "economics",
        "critical",
        "trades",
        "The win rate, with Wilson's interval, against the win rate that the mean win and the mean loss "
        "demand: (loss + cost) / (win + loss).",
        "51.6% wins sound like skill. With a mean win of 0.55% and a mean loss of 1.07% break-even is "
        "65.9%, and the account went from 10,000 to 0.87.",
        "An upper bound below break-even fails; a lower bound at or below it is inconclusive, as are "
        "fewer than 30 trades. Mean win and mean loss count as known here; ECO-02 is the verdict, this is"
        " its explanation.",
        "Case S004; E. B. Wilson 1927.",
    ),
    Audit(
        "ECO-02",
        "Expectancy",
        "expectancy",
        "economics",
        "critical",
        "trades",
        "The mean trade return after all costs, with an interval by the stationary bootstrap over trades "
        "in time order.",
        "This is the question about money. It needs no model of the trades, and the bootstrap keeps the "
        "dependence between neighbours.",
        "A 95% interval wholly below 0 fails; one that reaches 0 is inconclusive (nothing proved); one "
        "wholly above 0 passes. Without an edge it passes in 2.5% of the cases by design. Measured, over "
        "500 series without an edge of 50 and of 150 trades each: independent 2.8% and 2.4%, skewed 4.0% "
        "and 3.6%, autocorrelated by 0.3 between neighbours 5.2% and 4.4%. Fewer than 30 trades are "
        "inconclusive, as is a block longer than a fifth of the trades.",
        "D. N. Politis and J. P. Romano 1994; block length by A. Patton, D. N. Politis and H. White 2009;"
        " studentised after F. Goetze and H. R. Kuensch 1996.",
    ),
    Audit(
        "ECO-09",
        "Zero or few trades",
        "few_trades",
        "economics",
        "critical",
        "trades",
        "The number of trades.",
        "A backtest without trades has lost nothing and shown nothing. Four trades were once called a "
        "success.",
        "No trade fails; fewer than 30 are inconclusive. 30 is a floor for speaking, not evidence.",
        "Case S004.",
    ),
    Audit(
        "SIG-02",
        "Wilson interval",
        "share_interval",
        "significance",
        "high",
        "trades, or a count and a total",
        "A share with its interval: Wilson's, and the exact one beside it, against the value that it must"
        " beat (for win rates break-even, not 50%).",
        "2 wins of 3 are anything from 21% to 94%.",
        "An interval wholly below the value fails, one that holds it is inconclusive, one wholly above it"
        " passes; fewer than 30 observations are inconclusive. Independence is assumed and not checked: "
        "give `n_eff=` where observations overlap.",
        "E. B. Wilson 1927; C. J. Clopper and E. S. Pearson 1934; L. Brown, T. Cai and A. DasGupta 2001.",
    ),
)

AUDITS: dict[str, Audit] = {
    audit.code: audit if audit.formula else replace(audit, formula=FORMULAS[audit.code])
    for audit in sorted(
        (*_ROWS, *ROWS, *(Audit(*row) for row in _RESULTS)),  # type: ignore[arg-type]
        key=lambda audit: audit.order,
    )
}
"""Every audit by code."""


def resolve(name: str) -> Audit:
    """Find an audit by code or slug, in any case.

    Parameters
    ----------
    name : str
        Such as ``"ECO-01"`` or ``"break-even-win-rate"``.

    Returns
    -------
    Audit
        Its row of the table.

    Raises
    ------
    ParameterError
        If there is none; names the nearest.
    """
    for audit in AUDITS.values():
        if str(name).lower() in (audit.code.lower(), audit.slug):
            return audit
    family, _, number = str(name).upper().partition("-")
    # A number without its zero is the likeliest slip.
    meant = [code for code in (f"{family}-{number.zfill(2)}",) if code in AUDITS]
    known = [*AUDITS, *(a.slug for a in AUDITS.values())]
    near = get_close_matches(str(name).upper(), known, n=3, cutoff=0.5)
    near = near or get_close_matches(str(name).lower(), known, n=3, cutoff=0.5)
    near = list(dict.fromkeys([*meant, *near]))[:3]
    hint = f"did you mean {', '.join(near)}?" if near else "`barproof explain` lists them"
    raise ParameterError(f"there is no audit {name!r}; {hint}")


def explain(name: str) -> str:
    """Page of an audit, as it stands in docs/audits.md.

    Parameters
    ----------
    name : str
        Code or slug.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ParameterError
        If there is no such audit; names the nearest.

    Examples
    --------
    >>> print(explain("eco-09").splitlines()[0])
    ## ECO-09 Zero or few trades
    """
    return resolve(name).text()


_HEAD = """# Audits

What `bp.audit(...)` and `barproof audit` check. Every code has a section on the page of its group: what it checks and
why, formula, gate (the bound that it holds its number against), a bad and a good example, sources. `barproof explain
CODE` prints the same section; both come from the table `barproof.audits.AUDITS`.
[What the audits are tested by](audits/tests.md) lists for each code its planted fault, its clean fixture, its
degenerate inputs and its false alarms.

An audit ends in one of six outcomes: `pass`, `warn`, `fail`, `inconclusive` (the input cannot tell), `error` (the audit
crashed) and `skipped` (its input was not given). Degenerate input never passes. How much a failure weighs is its
severity: `critical`, `high`, `medium`, `low` or `info`. The findings add up to a verdict:

| verdict | exit code | when |
|---|--:|---|
| `crashed` | 3 | an audit crashed: neither a pass nor a fail |
| `refuted` | 1 | a failure of severity `high` or above (`fail_on=`), unless it is [waived](audits/waivers.md) |
| `nothing proved` | 4 | a required group has no result, or a critical one of it is inconclusive; or none has a result |
| `sound` | 0 | none of these; it is no advice to trade |

A group (GROUPS) is required if its input was given, or if
`require=` names it. What only you can tell goes to single audits by `more=`, with the arguments of the audit's
function, such as `more={"CKP-01": {"stored": 0.009572, "recomputed": 0.030852}}`. With `resample=False` audits that
draw samples are left out, and inconclusive.

`report.verdict`, `report.exit_code` and `report.reasons` say how it ended and which audits decided; `print(report)`
shows what failed, with evidence and remedy, `report.to_html("report.html")` the same as a page.

Trades of other tools can be audited: a table needs a column `return` (net, a fraction); `entry_time` and `exit_time`
order it. [results.md](results.md) has the names that are understood. Three trades prove nothing:

```python
import polars as pl

import barproof as bp

report = bp.audit(trades=pl.DataFrame({"return": [0.01, 0.02, -0.01]}))
print(report.verdict, report.exit_code, *report.reasons)
```

```text
nothing proved 4 no audit came to a result
```

Each audit is also a plain function in `bp.audits`, of arrays, frames and numbers, that gives one finding:

```python
finding = bp.audits.share_interval(2, 3)
print(finding.id, finding.outcome)
print(finding.title)
```

```text
SIG-02 inconclusive
share 66.7% [20.8, 93.9] (n=3): fewer than 30 observations say nothing
```
"""


def page() -> str:
    """Text of docs/audits.md: what the outcomes and verdicts mean, and every audit with a link to its section.

    Returns
    -------
    str
        Markdown.
    """
    head = _HEAD.replace("GROUPS", ", ".join(f"`{group}`" for group in GROUPS))
    rows = ["| code | severity | group | name |", "|---|---|---|---|"]
    rows += [
        f"| [{a.code}]({a.docs.removeprefix('docs/')}) | {a.severity} | {a.group} | {a.name} |"
        for a in AUDITS.values()
    ]
    return "\n".join([head, *rows, ""])


_IMPORTS = """```python
import numpy as np
import polars as pl

import barproof as bp
```
"""


def pages() -> dict[str, str]:
    """Text of every page on audits by its path: the table, and one page a group.

    Returns
    -------
    dict of str to str
        Markdown.
    """
    out = {"docs/audits.md": page()}
    for group in GROUPS:
        told = [a.text() for a in AUDITS.values() if a.group == group]
        head = (
            f"# Audits: {group}\n\nAll audits, outcomes and verdicts "
            "are in [audits.md](../audits.md); the cases S000 to S004 are told in\n"
            "[cases.md](../cases.md). Examples build on those above them on the page.\n\n"
            f"{_IMPORTS}\n"
        )
        out[f"docs/audits/{group}.md"] = head + "\n".join(told)
    return out
