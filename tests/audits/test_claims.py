"""CLM-01 to CLM-10: claims that hold, one that does not for each code, golden numbers, and what nobody should trust."""

from __future__ import annotations

import math
import os
import time
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import Finding, audits, stats
from barproof.audits.claim_arithmetic import (
    annual_growth,
    evaluate,
    grim,
    growth_bound,
    least_sd,
)
from barproof.claims import Claim, ClaimSet, load_claims
from barproof.errors import BarproofError, ConfigError
from tests.audits.claim_cases import good, load, project, sha

near = pytest.approx
# Golden vectors of AUDITS, by id: closed forms, interval arithmetic, scipy 1.17.1.
GOLDEN: dict[str, list[float]] = {
    "E10": [10.220361395219795, 15.12053466690052],
    "E11": [0.39376770538243644, 0.3903818953323903, 0.3971631205673758],
    "E13": [0.040000000000000036, -0.43999999999999995],
    "E19": [0.0020913613092912, 0.004182722618582401],
    "E20": [0.01269431325861129, 0.009443515523438596, 0.00809690293633935, 0.005823954098876041],
}

# A page of the project with claims in its text.
PAGE = "page" + ".md"
CODES = {
    "CLM-01": audits.claim_provenance,
    "CLM-02": audits.claim_recompute,
    "CLM-03": audits.claim_arithmetic,
    "CLM-04": audits.claim_plausibility,
    "CLM-05": audits.claim_kind,
    "CLM-06": audits.claim_identity,
    "CLM-07": audits.claim_significance,
    "CLM-08": audits.claim_contradictions,
    "CLM-09": audits.claim_staleness,
    "CLM-10": audits.claim_rate,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path)


def outcomes(claims: Any) -> dict[str, str]:
    return {code: audit(claims).outcome for code, audit in CODES.items()}


def test_claims_that_hold(folder: Path) -> None:
    page = "60%<!-- claim: wins --> of 200 <!-- claim: trades --> trades win, **1.27**<!--claim:sharpe-->.\n"
    held = load(folder, good(folder), page=page)
    found = outcomes(held)
    assert found.pop("CLM-08") == "inconclusive"  # nothing is claimed twice
    assert set(found.values()) == {"pass"}, found
    report = bp.audit(claims=held, ledger=False)
    assert report.verdict == "sound" and report.required == ("claims",)
    assert bp.audit(claims=folder / "claims.toml", ledger=False).verdict == "sound"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("CLM-01", {"artefact": ""}),
        ("CLM-01", {"artefact": "gone.csv"}),
        ("CLM-01", {"sha256": "0" * 64}),
        ("CLM-02", {"value": "60.1"}),
        ("CLM-02", {"value": "60.06"}),
        ("CLM-02", {"metric": "payoff"}),
        ("CLM-03", {"n": 7}),
        ("CLM-03", {"low": 61.0}),
        ("CLM-04", {"period_days": 3.0}),
        ("CLM-05", {"kind": "target", "text": "it achieved 60% wins"}),
        ("CLM-06", {"system": "v4"}),
        ("CLM-07", {"null": None}),
        ("CLM-07", {"n": 20}),
        ("CLM-09", {"inputs": {"code.py": "0" * 64}}),
        ("CLM-09", {"inputs": {"gone.py": ""}}),
        ("CLM-10", {"observed": {"count": 1, "days": 1.0}}),
    ],
)
def test_planted_faults(folder: Path, code: str, change: dict[str, Any]) -> None:
    rows = good(folder)
    rows[0] = {k: v for k, v in {**rows[0], **change}.items() if v is not None}
    found = CODES[code](load(folder, rows))
    assert found.outcome == "fail", found.title
    assert found.evidence["rows"][0]["claim"] == "wins"
    assert bp.Finding.from_dict(found.to_dict()) == found


def test_every_metric_is_what_it_says(folder: Path) -> None:
    """Against a second implementation in fractions."""
    trades = [Fraction(2, 100)] * 120 + [Fraction(-1, 100)] * 80
    wins, losses = [r for r in trades if r > 0], [r for r in trades if r < 0]
    total = math.prod(1 + r for r in trades) - 1
    want = {
        "trades": 200, "wins": 120, "win_rate": 0.6, "mean_return": sum(trades) / 200, "sum_return": sum(trades),
        "median_return": 0.02, "total_return": total, "mean_win": sum(wins) / 120, "mean_loss": sum(losses) / 80,
        "best_trade": 0.02, "worst_trade": -0.01, "payoff": 2, "profit_factor": sum(wins) / -sum(losses),
        "days": Fraction(199 * 6 + 1, 24), "trades_per_day": 200 / Fraction(199 * 6 + 1, 24),
    }  # fmt: skip
    for metric, value in want.items():
        assert bp.results.measure(folder / "trades.csv", metric)[0] == near(float(value)), metric
    held = bp.read_trades(folder / "trades.csv")["return"].to_list()
    top, deepest, wealth = 1.0, 0.0, 1.0
    for r in held:
        wealth *= 1 + r
        top = max(top, wealth)
        deepest = max(deepest, 1 - wealth / top)
    assert bp.results.measure(folder / "trades.csv", "max_drawdown")[0] == near(deepest)
    equity = pl.read_parquet(folder / "equity.parquet")["equity"].to_list()
    daily = pl.Series([b / a - 1 for a, b in zip(equity, equity[1:], strict=False)])
    sharpe = daily.mean() / daily.std() * 365**0.5  # type: ignore[operator]
    for metric, value in {"equity_return": equity[-1] / equity[0] - 1, "equity_sharpe": sharpe,
                          "final_equity": equity[-1], "equity_drawdown": 0.005}.items():  # fmt: skip
        assert bp.results.measure(folder / "equity.parquet", metric)[0] == near(value), metric


def test_numbers_of_pages(folder: Path) -> None:
    cases = {
        "60.0%<!-- claim: wins -->": "",
        "60%<!-- claim: wins -->": "",
        "0.6 <!-- claim: wins -->": "",
        "0.60000% <!-- claim: wins -->": "the page prints 0.60000",
        "61% <!-- claim: wins -->": "the page prints 61",
        "60.04% <!-- claim: wins -->": "the page prints 60.04",
        "+1.27<!-- claim: sharpe -->": "",
        "1.3<!-- claim: sharpe -->": "",
        "1.2<!-- claim: sharpe -->": "the page prints 1.2",
        "many <!-- claim: wins -->": "no number stands before the mark",
        "3 <!-- claim: nonsense -->": "there is no such claim",
        "200 <!-- claim: trades --> and 1,000 <!-- claim: trades -->": "the page prints 1000",
    }
    for text, why in cases.items():
        found = audits.claim_recompute(load(folder, good(folder), page=text))
        told = found.evidence["rows"][0]["why"] if found.outcome == "fail" else ""
        assert (why in told and f"{PAGE}:1" in told) if why else not told, (text, told)
    hope = {"id": "hope", "value": "9", "kind": "target"}
    found = audits.claim_kind(
        load(folder, [hope], page="\nWe earned 9<!-- claim: hope --> a day.\n")
    )
    assert found.outcome == "fail" and f"{PAGE}:2" in found.evidence["rows"][0]["why"]


def test_nothing_outside_of_the_project_is_read(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    secret = project(outside) / "trades.csv"
    (folder / "link.csv").symlink_to(secret)
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "sub").mkdir()
    for name in (
        str(secret),
        f"../{outside.name}/trades.csv",
        "link.csv",
        "sub/../../x",
        "/etc/passwd",
        "sub",
        "loop.csv",
        "a\0b",
    ):
        claim = {
            "id": "wins",
            "value": "60.0",
            "unit": "percent",
            "metric": "win_rate",
            "artefact": name,
        }
        held = ClaimSet((Claim(**claim),), folder)  # type: ignore[arg-type]
        assert audits.claim_provenance(held).outcome == "fail", name
        found = audits.claim_recompute(held)
        assert found.outcome == "inconclusive" and held.recompute(held.claims[0]).value is None, (
            name
        )
        stale = ClaimSet(
            (Claim(id="x", value="1", inputs={name: ""}, artefact="run.json"),), folder
        )
        assert audits.claim_staleness(stale).outcome == "fail", name


def test_commands_are_never_run(folder: Path) -> None:
    rows = [{**row, "command": f"touch {folder / 'ran'}; python code.py"} for row in good(folder)]
    bp.audit(claims=load(folder, rows), ledger=False)
    assert not (folder / "ran").exists()


def test_stale_by_time(folder: Path) -> None:
    rows = good(folder)
    rows[0]["inputs"] = {"code.py": ""}
    held = load(folder, rows)
    os.utime(folder / "code.py", (time.time() - 9e5,) * 2)
    assert audits.claim_staleness(held).outcome == "pass"
    os.utime(folder / "code.py", (time.time() + 9e5,) * 2)
    assert audits.claim_staleness(held).outcome == "warn"


def test_growth_against_the_mean_trade() -> None:
    mean = {"id": "mean", "value": "0.10", "unit": "percent", "metric": "mean_return", "n": 100}
    for value, outcome in (("10.5", "pass"), ("12", "fail")):
        total = {"id": "total", "value": value, "unit": "percent", "metric": "total_return"}
        found = audits.claim_arithmetic([mean, total])
        assert found.outcome == outcome, found.title


def test_contradictions_know_rounding_and_systems() -> None:
    def two(a: str, b: str, **more: str) -> str:
        rows = [
            {"id": "a", "value": a, "quantity": "q"},
            {"id": "b", "value": b, "quantity": "q", **more},
        ]
        return audits.claim_contradictions(rows).outcome

    assert two("1.5", "1.54") == "pass"
    assert two("1.5", "1.56") == "fail"
    assert two("1.5", "9", system="other") == "inconclusive"
    assert two("0.25", "25", unit="percent") == "pass"
    assert two("40000", "15684") == "fail"  # logits of case S001


def test_golden() -> None:
    windows = annual_growth(0.3804, 5, over=5 * 108)
    assert [annual_growth(0.3804, 5), windows] == near(GOLDEN["E10"], rel=1e-12)
    middle, low, high = GOLDEN["E11"]
    ends = evaluate("({b} - {a}) / {a}", {"a": (35.25, 35.35), "b": (49.15, 49.25)})
    assert ends == near((low, high), rel=1e-12) and ends[0] < middle < ends[1]
    for value, want in zip(GOLDEN["E13"], ("{w} - (1 - {w})", "{w} - 2 * (1 - {w})"), strict=True):
        assert evaluate(want, {"w": (0.52, 0.52)}) == near((value, value))
    # E20, from the shares, means and final equities that case S004 prints.
    implied = stats.growth_identity(-0.002319, 3892, 0.87 / 10_000).deviation
    assert implied == near(GOLDEN["E20"][0], rel=1e-9)
    assert least_sd(0.5159, 0.005524, 0.010678) == near(GOLDEN["E20"][2], rel=1e-9)


def test_case_s004_hangs_together_and_a_milder_loss_does_not() -> None:
    """Option A of case S004: what its table prints can be true together; half of the loss cannot."""

    def told(final: str) -> Finding:
        rows = [
            ("total_return", final, "fraction"),
            ("mean_return", "-0.2319", "percent"),
            ("win_rate", "51.59", "percent"),
            ("mean_win", "0.5524", "percent"),
            ("mean_loss", "-1.0678", "percent"),
        ]
        claims = [
            {
                "id": metric.replace("_", "-"),
                "value": value,
                "unit": unit,
                "metric": metric,
                "n": 3892,
            }
            for metric, value, unit in rows
        ]
        return audits.claim_arithmetic(claims)

    assert told("-0.999913").outcome == "pass", told("-0.999913").title
    # exp(n m) is the most that a mean trade of -0.2319% leaves: -0.99988.
    milder = told("-0.99989")
    assert milder.outcome == "fail" and "its trades vary by at most" in milder.title, milder.title


@given(st.integers(1, 400), st.data())
def test_grim_is_a_search_over_counts(n: int, data: st.DataObject) -> None:
    digits = data.draw(st.integers(1, 4))
    printed = data.draw(st.integers(0, 10**digits))
    share, half = printed / 10**digits, 0.5 / 10**digits
    some = any(
        abs(Fraction(k, n) - Fraction(printed, 10**digits)) <= Fraction(1, 2 * 10**digits)
        for k in range(n + 1)
    )
    assert grim(share, half, n) == some


@given(st.lists(st.floats(-0.5, 0.9), min_size=1, max_size=40))
def test_no_trades_outgrow_their_bound(returns: list[float]) -> None:
    total = sum(math.log1p(r) for r in returns)
    assert total <= growth_bound(sum(returns) / len(returns), len(returns)) + 1e-9


@given(st.tuples(*[st.floats(1, 100)] * 2), st.tuples(*[st.floats(0, 0.5)] * 2))
def test_intervals_hold_what_they_stand_for(
    middle: tuple[float, float], half: tuple[float, float]
) -> None:
    ends = {n: (m - h, m + h) for n, m, h in zip("ab", middle, half, strict=True)}
    low, high = evaluate("({b} - {a}) / {a} + {b} ** 2", ends)
    for a, b in product(*[[m - h, m, m + h / 3, m + h] for m, h in zip(middle, half, strict=True)]):
        value = (b - a) / a + b**2
        assert low - 1e-6 * abs(low) <= value <= high + 1e-6 * abs(high)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true')", "().__class__", "open('x')", "{a}.real", "[1]", "lambda: 1", "1 if 1 else 2",
     "9 ** 9 ** 9 ** 9", "1 / 0", "ln(0 - 1)", "'a' * 9", "True", "", "a", "1;2", "\0"],
)  # fmt: skip
def test_arithmetic_is_nothing_but_arithmetic(text: str) -> None:
    row = (
        {"id": "a", "value": "1", "derived": text}
        if text
        else {"id": "a", "value": "1", "derived": " "}
    )
    assert audits.claim_arithmetic([row]).outcome == "fail"


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers(), max_size=2),
    st.sampled_from(["60.0", "/metrics/sharpe", "1e999", "-0", "NaN", "../../etc/passwd", "trades.csv",
                     "run.json", "0" * 64,
                     "percent", "measured", "expected", "win_rate", "{a} / {b}", "=1+1", "\x1b[31m"]),
    st.dictionaries(st.sampled_from(["count", "days", "trades.csv", "x"]), st.integers(-1, 5), max_size=2),
)  # fmt: skip
records = st.lists(
    st.dictionaries(st.sampled_from(sorted(Claim.model_fields)), values, max_size=6), max_size=4
)


def check_records(rows: list[dict[str, Any]], folder: Path) -> None:
    """Read and judge whatever it is: an error of ours, or findings of which none crashed."""
    from barproof.claims import claims_of

    rows = [{"id": f"c{i}", "value": "1", **row} for i, row in enumerate(rows)]
    try:
        held = ClaimSet(claims_of({"claim": rows}, "claims.toml"), folder)
    except ConfigError:
        return
    report = bp.audit(claims=held, ledger=False)
    assert "error" not in {f.outcome for f in report}, (rows, report.to_text(lines=None))
    assert bp.Report.from_json(report.to_json()) == report
    if not rows:
        assert report.verdict == "nothing proved"


@settings(max_examples=60, deadline=None)
@given(rows=records)
def test_any_record(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    check_records(rows, project(tmp_path_factory.mktemp("c")))


@pytest.mark.slow
@settings(max_examples=4_000, deadline=None)
@given(rows=records)
def test_any_record_at_length(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_records(rows, project(tmp_path_factory.mktemp("c")))


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.text("[]claim=\"\n#{}'.0123 ", max_size=60)))
def test_any_text_is_claims_or_an_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("t")
    (folder / "claims.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / PAGE).write_bytes(text.encode("utf-8", "replace"))
    try:
        load_claims(folder / "claims.toml", pages=[folder / PAGE])
    except BarproofError as error:
        assert str(error).isprintable()  # noqa: PT017


def test_artefacts_that_hold_nothing(folder: Path) -> None:
    (folder / "empty.csv").write_text("return\n")
    (folder / "bad.json").write_text("[" * 5_000)
    (folder / "odd.csv").write_text("return\nx\n")
    for name in ("empty.csv", "bad.json", "odd.csv", "code.py"):
        for more in (
            {"metric": "win_rate"},
            {"pointer": "/a/0"},
            {"column": "return"},
            {"column": "x"},
        ):
            held = load(folder, [{"id": "a", "value": "1", "artefact": name, **more}])
            found = audits.claim_recompute(held)
            assert found.outcome == "inconclusive", (name, more, found.title)
    assert sha(folder / "run.json") == load(folder, []).sha256("run.json")
