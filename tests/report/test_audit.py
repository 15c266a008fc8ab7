"""The page of an audit: the verdict first, in words, and the findings worst first."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

import barproof as bp
from barproof.audits.model import Gate, Measured
from barproof.audits.report import Report
from barproof.report import render, write_report
from barproof.report.audit import measured_text
from barproof.report.verdict import linked, verdict_text
from tests.report import fakes
from tests.report.pages import Page, page_of

BAD = "<script>alert(1)</script>\"'&`x`"


@pytest.fixture(scope="module")
def whole() -> str:
    """A page with everything that there can be."""
    return render(fakes.walk_forward(), fakes.sweep(), audit=fakes.audit(), run=fakes.run())


def items(page: Page) -> list[tuple[str, bool]]:
    """Findings that unfold, in order, and whether they stand open."""
    return [
        (str(found["id"]).removeprefix("finding-"), "open" in found)
        for tag, found in page.tags
        if tag == "details" and str(found.get("class")).startswith("finding ")
    ]


VERDICTS: list[tuple[str, Any, str, str, int]] = [
    (
        "refuted",
        fakes.audit(),
        "Refuted",
        "2 critical findings failed. The worst is ECO-01: win rate 51.6% [50.0, 53.2] (n=3,892) is below break-even "
        "65.9%.",
        1,
    ),
    (
        "refuted-by-one",
        fakes.audit(*fakes.GOOD, fakes.OVERLAP),
        "Refuted",
        "1 critical finding failed. SPL-02: 20 of 150 labels reach into a later part.",
        1,
    ),
    (
        "refuted-at-two-severities",
        fakes.audit(fakes.OVERLAP, fakes.finding("LAB-03", "fail"), fakes.finding("DATA-01", "fail")),
        "Refuted",
        "1 critical and 2 high findings failed. The worst is SPL-02: 20 of 150 labels reach into a later part.",
        1,
    ),
    (
        "nothing-proved",
        fakes.audit(*fakes.GOOD, fakes.MEAN_TRADE, fakes.BALANCE),
        "Nothing proved",
        "The mean trade could be zero: +0.045% after costs over 412 trades, 95% interval −0.020% to +0.110% (ECO-02).",
        4,
    ),
    (
        "nothing-proved-by-few-trades",
        fakes.audit(
            *fakes.GOOD,
            replace(
                fakes.MEAN_TRADE,
                title="mean trade +1.0% (n=4): fewer than 30 trades say nothing",
                measured=Measured("mean trade return", 0.01, low=-0.01, high=0.03, n=4),
            ),
        ),
        "Nothing proved",
        "ECO-02: mean trade +1.0% (n=4): fewer than 30 trades say nothing.",
        4,
    ),
    (
        "nothing-proved-in-a-group",
        fakes.audit(*fakes.GOOD, required=("predictions", "significance")),
        "Nothing proved",
        "Nothing in the group significance came to a result.",
        4,
    ),
    (
        "two-questions",
        fakes.audit(*fakes.GOOD, fakes.MEAN_TRADE, required=("significance", "economics")),
        "Nothing proved",
        "The mean trade could be zero: +0.045% after costs over 412 trades, 95% interval −0.020% to +0.110% (ECO-02). "
        "One further question of the required audits stayed open.",
        4,
    ),
    (
        "nothing-ran",
        Report(()),
        "Nothing proved",
        "No audit came to a result.",
        4,
    ),
    (
        "crashed",
        fakes.audit(fakes.CRASH, fakes.WIN_RATE),
        "Crashed",
        "1 audit crashed. LAB-02: the audit crashed: KeyError: 'rule'. Of the others 1 failed.",
        3,
    ),
    (
        "sound",
        fakes.audit(*fakes.GOOD, fakes.EARNS, fakes.BALANCE, fakes.finding("SIG-02", "inconclusive")),
        "Sound",
        "Every required group of audits came to a result and none failed at severity high or above. "
        "1 warning asks for a reason. 1 audit stayed inconclusive. "
        "The mean trade earned: "
        "+0.207% after costs over 410 trades, 95% interval +0.081% to +0.338% (ECO-02).",
        0,
    ),
    (
        "sound-with-lesser-failures",
        fakes.audit(*fakes.GOOD, fakes.finding("LAB-03", "fail"), fail_on="critical", required=()),
        "Sound",
        "No audit that ran failed at severity critical; none was required. Below that, 1 high finding failed. "
        "Whether the strategy earns was not shown.",
        0,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS, ids=[c[0] for c in VERDICTS])
def test_the_verdict_is_said_in_words(case: Any) -> None:
    _, audit, word, why, code = case
    assert verdict_text(audit) == (word, why)
    text = render(audit=audit)
    page = Page(text)
    assert f"Verdict: {word}" in page.words
    assert f"Exit code {code}" in page.words
    assert f"<title>{word}: Audit</title>" in text
    assert f"verdict-{word.lower().replace(' ', '-')}" in text
    # Links split the text, so it is looked for without blanks.
    assert why.replace(" ", "") in page.words.replace(" ", "")


@pytest.mark.parametrize(
    ("audit", "meaning"),
    [
        (fakes.audit(), "Mend what failed before believing any number"),
        (fakes.audit(*fakes.GOOD, fakes.MEAN_TRADE), "no evidence in its favour"),
        (fakes.audit(fakes.CRASH), "neither a pass nor a fail"),
        (fakes.audit(*fakes.GOOD), "no promise about the future and no advice to trade"),
        (fakes.audit(*fakes.GOOD), "simulated fills and costs"),
    ],
)
def test_what_a_verdict_does_not_mean(audit: Any, meaning: str) -> None:
    assert meaning in page_of(audit=audit).words


def test_a_simulated_market_is_named_beside_the_verdict() -> None:
    told = "The market is simulated: nothing follows for a real one."
    audit = fakes.audit(*fakes.GOOD)
    market = fakes.candles(200, symbol="SIM")
    assert told in page_of(fakes.result(200, 5, candles=market), audit=audit).words
    assert told not in page_of(fakes.result(200, 5), audit=audit).words
    assert told not in page_of(audit=audit).words


def test_the_order_of_the_page(whole: str) -> None:
    page = Page(whole)
    sections = [str(found["id"]) for tag, found in page.tags if tag == "section"]
    assert sections == [
        "verdict",
        "findings",
        "numbers",
        "equity",
        "walk-forward",
        "models",
        "know",
        "statistics",
        "months",
        "trades",
        "exits",
        "costs",
        "rules",
        "sweep",
        "distribution",
        "top",
        "unchecked",
        "provenance",
    ]
    assert len(page.ids) == len(set(page.ids))
    # The verdict stands before the first number and before the links.
    assert whole.index('id="verdict"') < whole.index("<nav") < whole.index('class="tiles"')
    assert whole.index('id="verdict"') < whole.index("From 2021-01-01 to")


def test_without_an_audit_there_is_no_verdict() -> None:
    text = render(fakes.walk_forward(), run=fakes.run())
    page = Page(text)
    sections = [str(found["id"]) for tag, found in page.tags if tag == "section"]
    assert sections[:5] == ["know", "equity", "walk-forward", "models", "statistics"]
    assert "Verdict" not in page.words
    assert "<title>Backtest of BTCUSDT, 5m bars</title>" in text


def test_findings_stand_worst_first_and_failures_open() -> None:
    found = [fakes.BALANCE, fakes.MEAN_TRADE, fakes.OVERLAP, fakes.WIN_RATE, fakes.CRASH]
    more = [fakes.finding("LAB-01", "fail"), fakes.finding("DATA-01", "fail")]
    page = page_of(audit=fakes.audit(*found, *more))
    assert items(page) == [
        ("LAB-02", True),
        ("ECO-01", True),
        ("LAB-01", True),
        ("SPL-02", False),
        ("DATA-01", False),
        ("ECO-02", False),
        ("LAB-03", False),
    ]
    words = page.words
    for outcome in ("Crashed", "Failed", "Inconclusive", "Warning"):
        assert outcome in words


def test_counts_by_outcome_and_severity(whole: str) -> None:
    counts = Page(whole).words.split("shows that it loses.")[1].split("BTCUSDT")[0]
    assert (
        counts.split()
        == (
            "11 audits 2 failed (2 critical) 1 inconclusive (1 critical) 1 warning (1 high) 1 skipped 6 passed "
            "Exit code 1"
        ).split()
    )


def test_a_finding_shows_all_that_it_holds(whole: str) -> None:
    words = Page(whole).words
    for text in (
        "Win rate 51.6% [50.0, 53.2] (n=3,892) is below break-even 65.9%",
        "win rate 51.59%",
        "wins over wins and losses; 95% interval 50.02% to 53.16% (wilson); n = 3,892; worth 3,100 independent ones; "
        "p = 3e−18",
        "above 65.90% (case S004): mean win +0.552%, mean loss -1.068%",
        "break even 0.659",
        "payoff n/a (infinite)",
        "1.5 and 8 more",
        "stops wider than targets",
        "Widen the target: Rules(take_profit=0.02)",
        "mechanical",
        "side: long; fold: 3",
        "independence: unchecked",
        "seed: 7; seconds: 0.25",
        "barproof explain ECO-01",
        "docs/audits/economics.md#eco-01-break-even-win-rate",
        "51.6% wins sound like skill.",
        "exactly 0 (default): a label that looks at test bars",
        "Evidence: 10 of 20",
        "2021-01-01 00:00",
    ):
        assert text in words, text
    # Infinity is written once, with its reason, and not as a number of its own.
    assert "payoff reason" not in words


def test_passed_and_skipped_are_tables(whole: str) -> None:
    page = Page(whole)
    assert "Passed: 6 audits" in page.words
    assert "Skipped for lack of input: 1 audit" in page.words
    assert "candles and features" in page.words
    listed = [code for code, _ in items(page)]
    assert "DATA-01" not in listed
    assert {"finding-DATA-01", "finding-SPL-07"} <= set(page.ids)


def test_a_crash_shows_its_traceback() -> None:
    text = render(audit=fakes.audit(fakes.CRASH))
    page = Page(text)
    assert "Traceback (most recent call last): File ... KeyError: 'rule'" in page.words
    assert any(tag == "pre" and found.get("tabindex") == "0" for tag, found in page.tags)


def test_links_lead_somewhere(whole: str) -> None:
    page = Page(whole)
    targets = [str(f["href"])[1:] for tag, f in page.tags if tag == "a"]
    assert set(targets) <= set(page.ids)
    # From the verdict, and from a cause to the audit that tests it.
    assert targets.count("finding-ECO-01") == 1
    assert targets.count("finding-ECO-02") == 1


def test_links_are_made_of_codes_on_the_page_only() -> None:
    assert linked("see ECO-01, (SPL-02).", {"ECO-01", "SPL-02"}) == (
        'see <a href="#finding-ECO-01">ECO-01</a>, (<a href="#finding-SPL-02">SPL-02</a>).'
    )
    assert linked("ECO-01 <b> `a < b`", ()) == "ECO-01 &lt;b&gt; <code>a &lt; b</code>"


def test_text_of_findings_is_escaped() -> None:
    odd = replace(
        fakes.WIN_RATE,
        id=BAD,
        slug=BAD,
        title=BAD,
        measured=Measured(BAD, None, BAD, BAD, 0.1, 0.2, 0.95, BAD, 3, reason=BAD),
        gate=Gate(BAD, BAD, BAD, BAD),
        evidence={
            BAD: BAD,
            "rows": [{BAD: BAD}, BAD],
            "nested": {BAD: [BAD]},
            "table": [{BAD: BAD}],
            "long": BAD * 40,
            "lines": f"{BAD}\n{BAD}",
        },
        cause=(BAD,),
        remedy=BAD,
        scope={BAD: BAD},
        assumptions={BAD: BAD},
        provenance={"seed": BAD},
        waiver={"reason": BAD},
        docs=BAD,
    )
    some = [
        replace(odd, id=f"{BAD}{o}", outcome=o)
        for o in ("fail", "warn", "pass", "skipped", "error")
    ]
    made = Report((odd, *some), (BAD,), inputs={BAD: BAD}, provenance={BAD: BAD})
    text = render(audit=made)
    assert "<script>alert" not in text
    assert "alert(1)</script>" not in text
    page = Page(text)
    assert [t for t, _ in page.tags].count("script") == 2
    assert "<script>alert(1)</script>" in page.words
    assert all(re.fullmatch(r"[\w-]+", key) for key in page.ids)


def test_waived_findings_say_so() -> None:
    waived = replace(fakes.BALANCE, waiver={"reason": "rare event", "expires": "2026-12-01"})
    words = page_of(audit=fakes.audit(waived)).words
    assert "Waived reason: rare event; expires: 2026-12-01" in words


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        (None, ""),
        (Measured("bars", 20_000, "bars"), "bars 20,000 bars"),
        (Measured("auc", float("nan")), "auc undefined"),
        (
            Measured("share", 0.5, "fraction", low=0.4, high=0.6, n=10),
            "share 50.00% [40.00%, 60.00%], n = 10",
        ),
        (Measured("mean", 0.00045, "fraction"), "mean 0.045%"),
        (Measured("mean", -2e-6, "fraction"), "mean −0.0002%"),
        (Measured("loss", 0.69314), "loss 0.69314"),
    ],
)
def test_measurements_read_well(measured: Any, text: str) -> None:
    assert measured_text(fakes.finding(measured=measured)) == text


def test_reports_without_findings_trades_or_folds() -> None:
    page = page_of(
        fakes.walk_forward(fakes.choices(0), bars=60, count=0),
        audit=Report(()),
        run=fakes.run(rows=0),
    )
    words = page.words
    for text in (
        "No audit ran",
        "0 audits",
        "No trades",
        "No fold was judged",
        "No test row has both a label and a forecast",
    ):
        assert text in words, text
    assert "nan" not in words.lower().split()


def test_an_audit_alone_says_what_was_audited() -> None:
    words = page_of(audit=fakes.audit()).words
    assert "audited: candles" in words
    assert "c" * 64 in words
    assert "audited: result engine: replay" in words
    assert "audit: required groups labels, splits, economics" in words


def test_nothing_is_loaded_and_all_can_be_reached(whole: str) -> None:
    page = Page(whole)
    for tag, found in page.tags:
        assert not {"src", "srcset", "poster", "action", "data"} & set(found), (tag, found)
        if "href" in found:
            assert str(found["href"]).startswith(("#", "data:")), (tag, found)
        if tag == "th":
            assert found.get("scope") in ("row", "col")
    plots = [a for _, a in page.tags if a.get("class") == "plot"]
    assert len(plots) == len(page.data) == 16
    assert all(a["role"] == "img" and len(str(a["aria-label"])) > 20 for a in plots)
    boxes = [a for t, a in page.tags if t == "pre" or str(a.get("class", "")).startswith("scroll")]
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in boxes)
    folds = [tag for tag, _ in page.tags if tag == "details"]
    assert len(folds) == [tag for tag, _ in page.tags].count("summary")


def test_the_report_writes_itself(tmp_path: Path) -> None:
    made = fakes.audit()
    page = Page(made.to_html(tmp_path / "a.html", title="Mine").read_text("utf-8"))
    assert "Mine" in page.words
    assert "Refuted" in page.words
    both = made.to_html(tmp_path / "b.html", result=fakes.result(100, 5), run=fakes.run(rows=200))
    assert {"findings", "equity", "models"} <= set(Page(both.read_text("utf-8")).ids)


def test_the_report_loads_no_large_library() -> None:
    code = "import sys, barproof.report; print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_whole_chain(tmp_path: Path) -> None:
    candles = bp.simulate_candles(7, bars=6_000, edge=0.2)
    returns = candles.to_polars().select("open_time")
    X = returns.with_columns(score=candles.planted)
    labels = bp.labels.horizon(candles, bars=6, threshold=0.002)
    folds = bp.WalkForward(2_000, 800, tune=800)
    made = bp.train(bp.models.Logistic(), X, labels, folds, seed=7, ledger=False)
    costs = bp.Costs(taker=0.0005, slippage=0.0001)
    rules = bp.Rules(entry_long=0.4, entry_short=0.4, stop_loss=0.01, max_hold=48)
    grid = bp.Grid(rules, stop_loss=[0.005, 0.01, None], max_hold=[12, 48])
    oos = bp.walk_forward_optimise(made, grid, costs=costs, ledger=False, progress=False)
    found = bp.audit(candles=candles, run=made, result=oos, ledger=False)
    path = write_report(tmp_path / "report.html", audit=found, result=oos, run=made)
    page = Page(path.read_text("utf-8"))
    assert {"verdict", "findings", "equity", "walk-forward", "models"} <= set(page.ids)
    assert {f"finding-{f.id}" for f in found} <= set(page.ids)
    assert {"fig-choices-data", "fig-judged-data", "fig-skill-0-data"} <= set(page.data)
    assert {f"fig-calibration-0-{c}-data" for c in range(3)} <= set(page.data)
    assert "The market is simulated: nothing follows for a real one." in page.words
    assert made.provenance["model_digest"] in page.words
    assert "nan" not in page.words.lower().split()
