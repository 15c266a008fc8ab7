"""Rows of the table of audits that are about other people's results, and their examples.

They run where their evidence is given: trades with prices, or claims. Others are not told of them in every report.
"""

from __future__ import annotations

__all__ = ["EXAMPLES", "JOINING", "ROWS"]

JOINING = ("fills", "claims", "waivers")
"""Groups whose audits join a report where their evidence was given, or they are required."""

_PRICED = "trades with times and prices, and candles"

# code, name, function, group, severity, needs, what, why, gate, references
_FILLS: tuple[tuple[str, ...], ...] = (
    (
        "FILL-01",
        "Fill inside its bar",
        "fill_in_bar",
        "fills",
        "critical",
        _PRICED,
        "Every fill has a price between the low and the high of the bar that it falls into; one at the open "
        "of a bar may "
        "have a price of the bar before, for some tools date a close so. What is outside against the trader "
        "is slippage "
        "and counted apart. Where many fills are outside, the clock of the trades is tried at other hours.",
        "Nobody buys below the low of a bar. Such fills come from prices of another contract, from adjusted "
        "prices, from a "
        "shifted clock, or from a bug that pays out.",
        "A fill that is better than any price of its bar, by more than a basis point, fails. More than 1% of "
        "the fills "
        "outside against the trader, by more than 1%, warns.",
        "The idea of ECO-13, taken to fills of any tool.",
    ),
    (
        "FILL-02",
        "Fill in an open market",
        "fill_in_session",
        "fills",
        "high",
        _PRICED,
        "Every fill falls into a bar that exists; those in weekends are counted. Fills before and after the "
        "candles are "
        "counted too, and prove nothing.",
        "A forward-filled table trades through weekends, holidays and outages, at prices that nobody offered.",
        "Any fill inside the span of the candles and without a bar fails. More than half of the fills beyond "
        "the candles "
        "is inconclusive.",
        "None; a count.",
    ),
    (
        "FILL-03",
        "Fill within the volume",
        "fill_volume",
        "fills",
        "high",
        f"{_PRICED} and quantities",
        "The quantity of every fill against the volume of its bar.",
        "A backtest that compounds without a bound ends up buying more than was traded. Its last months, "
        "which make most "
        "of its profit, could not have happened.",
        "A quantity above the volume of the bar fails, above 1% of it (`share=`) warns. Without quantities "
        "or volumes it "
        "is inconclusive. That both have one unit is assumed.",
        "The bound of 1% is ECO-13's.",
    ),
    (
        "FILL-04",
        "Fill without hindsight",
        "fill_hindsight",
        "fills",
        "critical",
        _PRICED,
        "No entry comes before its signal; fills are not at the very best price of their bars; entries are "
        "not at the "
        "close of the bar that they are dated on.",
        "A decision made of a close cannot trade at it, and nobody knows the low of a bar while it lasts. "
        "Several popular "
        "tools fill at the close by default.",
        "An entry before its signal fails. More than 5% of at least 30 fills at the best price of their bar, "
        "which is "
        "neither its open nor its close, fails. More than half of the entries at the close of their bar "
        "warns. Fewer than "
        "30 fills are inconclusive.",
        "The shares are ours: on bars without a gap an honest fill at the open is seldom the extreme, and "
        "then it is the "
        "open.",
    ),
    (
        "FILL-05",
        "Return arithmetic",
        "return_arithmetic",
        "fills",
        "critical",
        "trades with prices, sides and returns",
        "The stated return of every trade against the one of its prices, side, leverage and fees; where profits and "
        "quantities are told, returns on the account are recognised.",
        "Everything else is computed from the returns. Percents read as fractions, returns before costs and "
        "edited rows "
        "all show here.",
        "A difference above 2% of the move and the fees together fails. Returns that agree, with no cost on "
        "any trade, "
        "warn. Without prices it is inconclusive.",
        "2% is what dividing by the notional before or after the fee can make.",
    ),
    (
        "FILL-06",
        "Trade order",
        "trade_order",
        "fills",
        "high",
        "trades with times",
        "Exits after entries, no row twice, prices and quantities above 0; how many trades overlap.",
        "Two exports joined, or times in two zones, make trades that never happened.",
        "Any of them fails. Without times it is inconclusive.",
        "None; a count.",
    ),
)

_CLAIMED = "claims"

_CLAIMS: tuple[tuple[str, ...], ...] = (
    (
        "CLM-01",
        "Claim provenance",
        "claim_provenance",
        "claims",
        "critical",
        _CLAIMED,
        "Every measured claim names a file of the project, and the file has the digest that was written down.",
        "A real bot was published with +38.04% per five days. There was no file that held the number.",
        "A measured claim without an artefact, with one that is absent, outside of the project or changed, fails. "
        "One without a digest warns.",
        "Case S004.",
    ),
    (
        "CLM-02",
        "Claim recomputed",
        "claim_recompute",
        "claims",
        "critical",
        _CLAIMED,
        "Every number is computed again from its artefact: metrics of a table of trades or equity, a column, or a "
        "pointer into JSON. Numbers of Markdown that name a claim are held against it.",
        "Whoever copies numbers by hand copies some of them wrongly, and the wrong ones are seldom too low.",
        "A number further off than half a unit of its last printed digit fails. One that cannot be computed again "
        "is inconclusive.",
        "Case S004.",
    ),
    (
        "CLM-03",
        "Claim arithmetic",
        "claim_arithmetic",
        "claims",
        "high",
        _CLAIMED,
        "Derived numbers against all that their rounded inputs allow; shares against whole counts; numbers against "
        "their own intervals; total returns against what so many trades of this mean can make.",
        "Arithmetic needs no data. 52% wins at a payoff of 1:2 lose 0.44 of the risk a trade, not 48%.",
        "A number outside of what its inputs allow fails.",
        "N. Brown and J. Heathers 2017 for shares; Jensen's inequality for growth; cases S001 and S004.",
    ),
    (
        "CLM-04",
        "Claim plausibility",
        "claim_plausibility",
        "claims",
        "high",
        _CLAIMED,
        "What a return over a period makes of a year, and yearly Sharpe ratios.",
        "+38.04% per five days is a factor of 10^10 a year.",
        "Above tenfold a year, or a Sharpe ratio above 10, fails; above twofold, or 4, warns. The bounds are ours.",
        "Case S004.",
    ),
    (
        "CLM-05",
        "Claim kind",
        "claim_kind",
        "claims",
        "high",
        _CLAIMED,
        "The words around a number that is expected, aimed at or quoted say so.",
        "A hope that is printed like a result is read like one, and copied as one.",
        "Words of measurement (achieved, returned, proven) and none of expectation around such a number fail; words "
        "of neither kind warn. English only.",
        "Cases S000, S001 and S004.",
    ),
    (
        "CLM-06",
        "Claim identity",
        "claim_identity",
        "claims",
        "high",
        _CLAIMED,
        "A number belongs to the system, model and data that it is claimed for: `system` of the project, and what a "
        "JSON artefact says of itself.",
        "One post-mortem's best number was of another bot.",
        "Another system, model or data fails, unless the claim is a quotation. Where nothing is named it is "
        "inconclusive.",
        "Case S004.",
    ),
    (
        "CLM-07",
        "Claim significance",
        "claim_significance",
        "claims",
        "high",
        _CLAIMED,
        "A measured share, return or ratio comes with n, an interval, and the value that no skill gives.",
        "73.86% wins may be luck, or a loss: it depends on n and on the payoff.",
        "One of the three missing, or n below 30, fails. An interval that holds the null warns. Counts and derived "
        "numbers need none.",
        "Case S002.",
    ),
    (
        "CLM-08",
        "Claim contradictions",
        "claim_contradictions",
        "claims",
        "medium",
        _CLAIMED,
        "Claims of one quantity, system, kind and period have a number in common.",
        "Of two values of one quantity at least one is wrong, and nobody knows which.",
        "Two claims without a common number fail.",
        "Cases S001, S002 and S004.",
    ),
    (
        "CLM-09",
        "Claim staleness",
        "claim_staleness",
        "claims",
        "medium",
        _CLAIMED,
        "The code and data that an artefact was made of have the digests that were written down.",
        "A number of code that is gone describes nothing that runs.",
        "A changed or missing input fails. An input without a digest that is newer than the artefact warns.",
        "None; a comparison of digests.",
    ),
    (
        "CLM-10",
        "Claim rate",
        "claim_rate",
        "claims",
        "high",
        _CLAIMED,
        "A claimed number a day against what was seen live, by the Poisson law.",
        "Four trades in three days were called too few to judge. Against a claimed 4.6 a day they have a chance of "
        "0.4%: the live bot was another.",
        "A two-sided p-value at or below 0.05 fails, with Holm's correction over the claims; of the rates that are "
        "printed so the kindest counts.",
        "Case S004.",
    ),
)

_WAIVERS: tuple[tuple[str, ...], ...] = (
    (
        "WVR-01",
        "Waiver state",
        "waiver_state",
        "waivers",
        "high",
        "waivers",
        "Every waiver is in force and covers a failure: of its code and scope, on its inputs, no worse than the value "
        "that it accepts.",
        "A proposed mending of a real failure was to turn the assertion into a warning. A waiver keeps the check, and "
        "has an owner and an end.",
        "An expired waiver fails; one that covers nothing warns, as does one of a critical audit of leakage, scalers, "
        "identity, claims or fills, which nothing excuses.",
        "Case S003; ruff's rule on unused suppressions.",
    ),
)

ROWS: tuple[tuple[str, ...], ...] = (*_FILLS, *_CLAIMS, *_WAIVERS)
"""Rows in the order of the fields of :class:`Audit`."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "FILL-01": (
        """
candles = bp.simulate_candles(1, bars=2_000)
times, opens, lows = (getattr(candles, n)[100:140] for n in ("open_time", "open", "low"))
trades = {"entry_time": times, "entry_price": lows * 0.99, "side": ["long"] * 40}
print(bp.audits.fill_in_bar(trades, candles).title)
print(bp.audits.fill_in_bar({**trades, "entry_price": opens}, candles).outcome)
""",
        """
40 of 40 fills are better than any price of its bar
pass
""",
    ),
    "FILL-02": (
        """
# `candles` and `trades` are those of FILL-01.
closed = candles[:100].to_polars().vstack(candles[130:].to_polars())
holes = bp.read_candles(closed, instrument="spot", on_fault="ignore")
print(bp.audits.fill_in_session(trades, holes).title)
print(bp.audits.fill_in_session(trades, candles).outcome)
""",
        """
29 of 40 fills fall where there is no bar (29 of them on a weekend)
pass
""",
    ),
    "FILL-03": (
        """
# `candles` and `trades` are those of FILL-01.
volume = candles.volume[100:140]
print(bp.audits.fill_volume({**trades, "quantity": volume * 2}, candles).outcome)
print(bp.audits.fill_volume({**trades, "quantity": volume * 0.02}, candles).outcome)
print(bp.audits.fill_volume({**trades, "quantity": volume * 0.001}, candles).outcome)
""",
        """
fail
warn
pass
""",
    ),
    "FILL-04": (
        """
# `candles`, `trades`, `lows` and `opens` are those of FILL-01.
print(bp.audits.fill_hindsight({**trades, "entry_price": lows}, candles).title)
print(bp.audits.fill_hindsight({**trades, "entry_price": candles.close[100:140]}, candles).outcome)
print(bp.audits.fill_hindsight({**trades, "entry_price": opens}, candles).outcome)
""",
        """
40 of 40 fills have the very best price of their bar
warn
pass
""",
    ),
    "FILL-05": (
        """
bought = {"side": ["long"] * 2, "entry_price": [100.0] * 2, "exit_price": [101.0] * 2}
bought |= {"quantity": [1.0] * 2, "fees": [0.2] * 2}
print(bp.audits.return_arithmetic({**bought, "return": [0.01, 0.01]}).title)
print(bp.audits.return_arithmetic({**bought, "return": [0.008, 0.008]}).outcome)
""",
        """
2 of 2 returns leave out the fees that are stated beside them
pass
""",
    ),
    "FILL-06": (
        """
print(bp.audits.trade_order({"entry_time": [2_000, 3_000], "exit_time": [1_000, 4_000]}).title)
print(bp.audits.trade_order({"entry_time": [1_000, 3_000], "exit_time": [2_000, 4_000]}).outcome)
""",
        """
1 exit before entry in 2 trades
pass
""",
    ),
    "CLM-01": (
        """
claim = {"id": "five-days", "value": "38.04", "unit": "percent", "metric": "total_return"}
print(bp.audits.claim_provenance([claim]).title)
pl.DataFrame({"return": [0.02, -0.01, 0.03]}).write_csv("trades.csv")
made = {**claim, "artefact": "trades.csv", "value": "4.01"}
print(bp.audits.claim_provenance([made]).outcome)
""",
        """
1 of 1 claims have no artefact that holds them (first: five-days, no artefact: unverified)
warn
""",
    ),
    "CLM-02": (
        """
# `made` is that of CLM-01.
print(bp.audits.claim_recompute([{**made, "value": "5.01"}]).title)
print(bp.audits.claim_recompute([made]).outcome)
""",
        """
1 of 1 claims are not what their source gives (first: five-days, the artefact gives 4.0094)
pass
""",
    ),
    "CLM-03": (
        """
wins = {"id": "wins", "value": "52", "unit": "percent"}
edge = {"id": "edge", "unit": "percent", "derived": "{wins} - (1 - {wins}) * 2"}
print(bp.audits.claim_arithmetic([wins, {**edge, "value": "-48"}]).title)
print(bp.audits.claim_arithmetic([wins, {**edge, "value": "-44"}]).outcome)
""",
        """
1 of 1 claims contradict their own arithmetic (first: edge, its inputs allow -45.5 to -42.5)
pass
""",
    ),
    "CLM-04": (
        """
claim = {"id": "five-days", "value": "38.04", "unit": "percent", "metric": "total_return"}
print(bp.audits.claim_plausibility([{**claim, "period_days": 5}]).outcome)
print(bp.audits.claim_plausibility([{**claim, "value": "0.4", "period_days": 5}]).outcome)
""",
        """
fail
pass
""",
    ),
    "CLM-05": (
        """
hope = {"id": "hope", "value": "60", "unit": "percent", "kind": "expected"}
print(bp.audits.claim_kind([{**hope, "text": "The bot achieved a win rate of 60%."}]).outcome)
print(bp.audits.claim_kind([{**hope, "text": "We expect a win rate of 60%."}]).outcome)
""",
        """
fail
pass
""",
    ),
    "CLM-06": (
        """
import json
from pathlib import Path

Path("v4.json").write_text(json.dumps({"system": "v4", "total_return": 17.55}))
other = {"id": "best", "value": "17.55", "artefact": "v4.json", "pointer": "/total_return"}
print(bp.audits.claim_identity([{**other, "system": "v5"}]).outcome)
print(bp.audits.claim_identity([{**other, "system": "v4"}]).outcome)
""",
        """
fail
pass
""",
    ),
    "CLM-07": (
        """
share = {"id": "wins", "value": "73.86", "unit": "percent"}
print(bp.audits.claim_significance([share]).outcome)
weighed = {**share, "n": 2506, "low": 72.1, "high": 75.5, "null": 60.0}
print(bp.audits.claim_significance([weighed]).outcome)
""",
        """
fail
pass
""",
    ),
    "CLM-08": (
        """
net = {"quantity": "net edge", "unit": "percent"}
a, b, c = ({"id": name, "value": value, **net} for name, value in (("a", "-0.10"), ("b", "-0.22"), ("c", "-0.1")))
print(bp.audits.claim_contradictions([a, b]).outcome, bp.audits.claim_contradictions([a, c]).outcome)
""",
        """
fail pass
""",
    ),
    "CLM-09": (
        """
# `made` is that of CLM-01.
print(bp.audits.claim_staleness([{**made, "inputs": {"trades.csv": "0" * 64}}]).outcome)
print(bp.audits.claim_staleness([{**made, "inputs": {"trades.csv": ""}}]).outcome)
""",
        """
fail
pass
""",
    ),
    "CLM-10": (
        """
rate = {"id": "rate", "value": "4.6"}
print(bp.audits.claim_rate([{**rate, "observed": {"count": 4, "days": 3.0}}]).title)
print(bp.audits.claim_rate([{**rate, "observed": {"count": 13, "days": 3.0}}]).outcome)
""",
        """
1 of 1 claims are contradicted by what was seen (first: rate, 4 in 3 days, p = 0.0047)
pass
""",
    ),
    "WVR-01": (
        """
from datetime import date

from barproof.audits.waivers import Waiver

report = bp.audit(trades=[], ledger=False)
accepted = Waiver("ECO-09", "a pilot without trades", "ann", date(2026, 1, 1), date(2026, 2, 1), accepts=0)
print(bp.audits.waiver_state(report, [accepted], today=date(2026, 3, 1)).title)
print(bp.audits.waiver_state(report, [accepted], today=date(2026, 1, 20)).outcome)
""",
        """
1 of 1 waivers have expired (first: ECO-09, it expired on 2026-02-01)
pass
""",
    ),
}
"""Code and what it prints, as in :mod:`barproof.audits.texts`."""
