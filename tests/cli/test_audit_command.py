"""`barproof audit` and `barproof explain`: exit codes, forms, and what each kind of evidence reaches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.audits import AUDITS, GROUPS, Report, auditing, explain
from barproof.audits.model import SEVERITIES
from barproof.cli import config

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

GOOD = [0.02, -0.01] * 200
BAD = [0.01, -0.02] * 200
FEW = [0.02, -0.01]

PROJECT = """
[candles]
source = "{candles}"
instrument = "perpetual"
funding = "{funding}"
[features]
names = ["log_return(1)", "rsi(14)"]
[labels]
bars = 6
threshold = 0.002
[model]
name = "logistic"
seed = 7
[folds]
train = "10d"
tune = "3d"
test = "3d"
[rules]
max_hold = 12
[costs]
taker = 0.0005
"""
GRID = """
[grid]
together = [{ entry_long = [0.2, 0.3], entry_short = [0.2, 0.3] }]
axes = { stop_loss = [0.01, "none"] }
"""
RULES = "[rules]\nmax_hold = 12\nentry_long = 0.25\nentry_short = 0.25\n"


def write_trades(path: str, returns: list[float], name: str = "return") -> str:
    pl.DataFrame({name: returns}).write_csv(path)
    return path


def outcomes(document: Any) -> dict[str, str]:
    return {f["id"]: f["outcome"] for f in document["report"]["findings"]}


def project(files: Files, more: str = GRID) -> None:
    text = PROJECT.format(candles=files.candles, funding=files.funding)
    if more.startswith("[rules]"):
        text = text.replace("[rules]\nmax_hold = 12\n", "")
    Path("barproof.toml").write_text(text + more)


def test_choices_are_those_of_the_audits() -> None:
    assert config.GROUPS == GROUPS
    assert config.SEVERITIES == SEVERITIES


@pytest.mark.parametrize(
    ("returns", "words", "code", "verdict"),
    [
        (GOOD, [], 0, "sound"),
        (BAD, [], 1, "refuted"),
        (BAD, ["--exit-zero"], 0, "refuted"),
        (FEW, [], 4, "nothing proved"),
        (GOOD, ["--require", "data"], 4, "nothing proved"),
        (GOOD, ["--require", "economics", "--require", "significance"], 0, "sound"),
    ],
)
def test_exit_codes(
    run: Run, run_json: RunJson, returns: list[float], words: list[str], code: int, verdict: str
) -> None:
    write_trades("t.csv", returns)
    assert run("audit", "t.csv", *words)[0] == code
    found, document = run_json("audit", "--trades", "t.csv", *words)
    assert found == document["exit_code"] == code
    assert document["report"]["verdict"] == verdict
    assert document["report"]["provenance"].get("exit_zero", False) is ("--exit-zero" in words)
    report = bp.audit(trades=np.array(returns), require=words[1::2], ledger=False)
    assert outcomes(document) == {f.id: f.outcome for f in report}


def test_an_audit_that_crashes_is_neither_a_pass_nor_a_fail(
    run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(auditing._STEPS, "ECO-09", crash)
    write_trades("t.csv", BAD)
    code, out, _ = run("audit", "t.csv")
    assert code == 3
    assert "ECO-09 critical ERR!  the audit crashed: ZeroDivisionError" in out
    assert run_json("audit", "t.csv")[1]["report"]["verdict"] == "crashed"


def test_what_refutes_can_be_set(run_json: RunJson, files: Files) -> None:
    pl.read_parquet(files.funding)[:5].write_parquet("funding.parquet")
    words = ["audit", str(files.candles), "-i", "perpetual", "--funding", "funding.parquet"]
    code, document = run_json(*words)
    failed = {
        f["id"]: f["severity"] for f in document["report"]["findings"] if f["outcome"] == "fail"
    }
    assert (code, failed) == (1, {"DATA-02": "high"})
    codes = {level: run_json(*words, "--fail-on", level)[0] for level in SEVERITIES}
    assert codes == {"critical": 0, "high": 1, "medium": 1, "low": 1, "info": 1}
    Path("barproof.toml").write_text('[audit]\nfail_on = "critical"\n')
    assert run_json(*words)[0] == 0
    assert run_json(*words, "--fail-on", "low")[0] == 1


def test_trades_of_other_tools(run: Run, run_json: RunJson) -> None:
    pl.DataFrame(
        {
            "EntryTime": ["2024-01-01 00:00:00", "2024-01-02 00:00:00"] * 200,
            "ExitTime": ["2024-01-01 01:00:00", "2024-01-02 01:00:00"] * 200,
            "ReturnPct": BAD,
        }
    ).write_csv("t.csv")
    code, out, err = run("audit", "t.csv")
    assert code == 1
    assert out.startswith("400 trades\n")
    assert err.splitlines()[0] == "note: `ReturnPct` is taken for `return` of the trades"
    assert write_trades("f.csv", GOOD, "profit_ratio")
    assert run("audit", "f.csv")[0] == 0
    assert "no trades" not in run("audit", "f.csv")[2]


def test_candles_alone_say_nothing_about_earning(run: Run, run_json: RunJson, files: Files) -> None:
    code, out, err = run("audit", *files.market)
    assert code == 0
    assert "DATA-01 high pass" in out
    assert "no trades are audited: whether it would earn anything is not asked" in err
    assert run("audit", *files.market, "--require", "economics")[0] == 4
    assert outcomes(run_json("audit", *files.market)[1])["DATA-02"] == "pass"
    # Funding is not needed to look at candles; leaving it out is a finding.
    words = [str(files.candles), "-i", "perpetual"]
    assert outcomes(run_json("audit", *words)[1])["DATA-02"] == "warn"


def test_signals_with_rules_and_costs_are_run(run_json: RunJson, files: Files) -> None:
    rules = ["-r", "entry_long+entry_short=1.5", "-r", "max_hold=24"]
    code, document = run_json("audit", *files.run, *rules)
    found = outcomes(document)
    assert found["PRED-05"] == "pass"
    result = bp.backtest(
        bp.read_candles(files.candles, instrument="perpetual", funding=files.funding),
        bp.Signals.from_frame(pl.read_parquet(files.signals), kind="score"),
        bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24),
        costs=bp.Costs(taker=0.0005, slippage=0.0001),
        ledger=False,
    )
    report = bp.audit(result=result, ledger=False)
    assert (code, found["ECO-02"]) == (report.exit_code, report["ECO-02"].outcome)
    # A threshold that no score reaches.
    code, document = run_json("audit", *files.run, "-r", "entry_long=99")
    assert code == 1
    assert {outcomes(document)[c] for c in ("PRED-05", "ECO-09")} == {"fail"}
    words = [w for w in files.run if w not in ("--taker", "0.0005", "--slippage", "0.0001")]
    code, document = run_json("audit", *words, *rules)
    assert "no costs are told" in document["notes"][0]
    assert outcomes(document)["ECO-02"] == "skipped"


def test_predictions_of_train(run_json: RunJson, files: Files) -> None:
    spot = [str(files.candles), "-i", "spot"]
    words = ["-f", "rsi(14)", "--label-bars", "6", "--label-threshold", "0.002", "-m", "logistic"]
    folds = ["--train", "10d", "--tune", "3d", "--test", "3d"]
    assert run_json("train", *spot, *words, *folds, "--out", "out")[0] == 0
    _, document = run_json("audit", *spot, "-p", "out/predictions.parquet")
    found = outcomes(document)
    assert found["PRED-01"] in ("pass", "warn")
    bias = next(f for f in document["report"]["findings"] if f["id"] == "PRED-04")
    table = pl.read_parquet("out/predictions.parquet").filter(pl.col("part") == "test")
    likely = table.select("p_-1", "p_0", "p_1").to_numpy().argmax(axis=1)
    assert bias["measured"]["value"] == pytest.approx(np.bincount(likely).max() / table.height)
    assert bias["measured"]["n"] == table.height
    # Without candles the table itself can still be looked at.
    _, document = run_json("audit", "-p", "out/predictions.parquet")
    assert outcomes(document)["PRED-01"] == found["PRED-01"]
    # Flat predictions are refused.
    flat = table.with_columns(**{"p_-1": pl.lit(0.2), "p_0": pl.lit(0.6), "p_1": pl.lit(0.2)}).drop(
        "label"
    )
    flat.write_parquet("flat.parquet")
    code, document = run_json("audit", "-p", "flat.parquet")
    assert (code, outcomes(document)["PRED-01"]) == (1, "fail")
    assert document["notes"][0] == "the predictions bring no labels: class bias is not audited"


def test_the_whole_chain(run: Run, run_json: RunJson, files: Files) -> None:
    project(files)
    code, document = run_json("audit", "--run", "--html", "r.html", "--out", "a.json")
    report = document["report"]
    assert code == report["exit_code"] in (1, 4)
    groups = ("data", "labels", "splits", "parity", "predictions", "economics", "significance")
    assert report["required"] == [*groups]
    # Some need what only a person can tell; of each group whose evidence is here, audits ran.
    ran = {c for c, outcome in outcomes(document).items() if outcome != "skipped"}
    assert {AUDITS[c].group for c in ran} >= set(groups) and len(ran) >= 40
    for passed in ("SPL-01", "SPL-02", "SPL-07", "PAR-01", "LAB-02", "DATA-01"):
        assert outcomes(document)[passed] == "pass", passed
    assert Report.from_json(Path("a.json").read_text()).verdict == report["verdict"]
    assert Path("r.html").read_text().lower().startswith("<!doctype html>")
    assert document["written"] == {"out": "a.json", "report": "r.html"}
    # The same in Python.
    settings = config.load_config(None)
    candles = bp.read_candles(files.candles, instrument="perpetual", funding=files.funding)
    features = bp.FeatureSet(settings.features.names)
    trained = bp.train(
        bp.models.Logistic(),
        features.compute(candles),
        bp.labels.horizon(candles, bars=6, threshold=0.002),
        bp.WalkForward(train="10d", tune="3d", test="3d"),
        seed=7,
        ledger=False,
    )
    grid = bp.Grid(
        bp.Rules(max_hold=12),
        {"entry_long": [0.2, 0.3], "entry_short": [0.2, 0.3]},
        stop_loss=[0.01, None],
    )
    costs = bp.Costs(taker=0.0005)
    oos = bp.walk_forward_optimise(trained, grid, costs=costs, min_trades=1, ledger=False)
    want = bp.audit(features=features, run=trained, result=oos, ledger=False)
    told, wanted = outcomes(document), {f.id: f.outcome for f in want}
    # The command line asks the ledger of the project, which has counted the trials.
    assert (told.pop("OVF-01"), wanted.pop("OVF-01")) == ("pass", "skipped")
    assert told == wanted
    code, out, _ = run("audit", "--run")
    assert f"in {oos.metrics['trades']:,} trades" in " ".join(out.split())
    assert "chosen from 4 on tune bars of each fold by sharpe" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    kinds = [row["kind"] for row in run_json("ledger", "list")[1]["runs"]]
    assert kinds == ["train", "walk_forward_optimise", "audit"] * 2


def test_a_chain_without_a_grid_runs_its_rules(run_json: RunJson, files: Files) -> None:
    project(files, RULES)
    _, document = run_json("audit", "--run")
    assert outcomes(document)["ECO-09"] == "pass"
    kinds = [row["kind"] for row in run_json("ledger", "list")[1]["runs"]]
    assert kinds == ["train", "backtest", "audit"]


def test_a_project_without_run_is_audited_as_far_as_it_tells(
    run: Run, run_json: RunJson, files: Files
) -> None:
    project(files)
    code, document = run_json("audit")
    found = outcomes(document)
    # The market is too short to learn from, and that is all there is to object to.
    assert code == 1 and document["report"]["reasons"] == ["DATA-08 failed"]
    assert {c for c, o in found.items() if o == "pass"} >= {
        "DATA-01",
        "LAB-02",
        "SPL-01",
        "SPL-02",
        "SPL-07",
    }
    assert found["ECO-02"] == "skipped"
    assert "or `--run` in a project" in run("audit")[2]
    # Trades that are named are audited alone.
    write_trades("t.csv", GOOD)
    assert outcomes(run_json("audit", "t.csv")[1])["DATA-01"] == "skipped"


def test_forms(run: Run) -> None:
    write_trades("t.csv", BAD)
    code, out, _ = run("audit", "t.csv", "--format", "json")
    assert code == 1
    assert Report.from_json(out).verdict == "refuted"
    _, out, _ = run("audit", "t.csv", "--format", "sarif")
    assert json.loads(out)["version"] == "2.1.0"
    _, out, _ = run("audit", "t.csv", "--format", "junit")
    assert ET.fromstring(out).tag == "testsuites"
    _, out, _ = run("audit", "t.csv", "--format", "md")
    assert out.startswith("# Audit: refuted\n")
    begins = {"md": "# Audit", "sarif": "{", "xml": "<?xml", "txt": "ECO-01"}
    for kind, head in begins.items():
        name = f"a.{kind}"
        code, out, _ = run("audit", "t.csv", "--out", name)
        assert code == 1
        # What is written to a file is shown as text all the same.
        assert "verdict: refuted, exit 1" in " ".join(out.split())
        assert Path(name).read_text().startswith(head)
    assert run("audit", "t.csv", "--format", "json", "--out", "a.log")[0] == 1
    assert json.loads(Path("a.log").read_text())["verdict"] == "refuted"
    code, _, err = run("audit", "t.csv", "--out", "a.doc")
    assert (code, err) == (
        2,
        "error: `--out` 'a.doc' must end in .txt or .json or .md or .sarif or .xml: rename it\n",
    )


def test_the_worst_comes_first_and_one_screen_is_enough(run: Run) -> None:
    write_trades("t.csv", BAD)
    _, out, _ = run("audit", "t.csv")
    lines = out.splitlines()
    assert lines[0].rstrip() == "400 trades"
    assert lines[2].startswith("ECO-01 critical FAIL  win rate 50.0%")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40
    assert len(run("audit", "t.csv", "--all")[1].splitlines()) >= len(lines)


def test_exit_zero_says_so(run: Run) -> None:
    write_trades("t.csv", BAD)
    code, _, err = run("audit", "t.csv", "--exit-zero", "--out", "a.json")
    assert code == 0
    assert "warning: exit code 1 became 0 by --exit-zero" in err
    assert json.loads(Path("a.json").read_text())["provenance"]["exit_zero"] is True


def test_nothing_is_written_over_what_is_read(run: Run, files: Files) -> None:
    write_trades("t.csv", BAD)
    before = Path("t.csv").read_bytes()
    code, _, err = run("audit", "t.csv", "--format", "text", "--out", "t.csv")
    assert code == 2
    assert "the file that the trades are read from" in " ".join(err.split())
    assert Path("t.csv").read_bytes() == before
    shutil.copy(files.candles, "c.parquet")
    code, _, err = run("audit", "c.parquet", "-i", "spot", "--format", "md", "--out", "c.parquet")
    assert code == 2
    assert "the file that the candles are read from" in " ".join(err.split())
    code, _, err = run("audit", "absent.csv")
    assert code == 2
    assert err.startswith("error: `source` file 'absent.csv' does not exist")
    assert sorted(os.listdir()) == ["c.parquet", "t.csv"]


def test_the_list(run: Run, run_json: RunJson) -> None:
    code, out, _ = run("audit", "--list")
    assert code == 0
    assert [code for code in AUDITS if code not in out] == []
    assert max(map(len, out.splitlines())) <= 80
    assert run("explain") == (0, out, "")
    assert [row["code"] for row in run_json("audit", "--list")[1]["audits"]] == list(AUDITS)


@pytest.mark.parametrize("name", ["ECO-01", "eco-01", "break-even-win-rate"])
def test_explain_prints_the_page(run: Run, run_json: RunJson, name: str) -> None:
    assert run("explain", name) == (0, explain("ECO-01").rstrip("\n") + "\n", "")
    document = run_json("explain", name)[1]
    assert (document["code"], document["page"]) == ("ECO-01", explain("ECO-01"))


def test_explain_names_the_nearest(run: Run) -> None:
    code, out, err = run("explain", "ECO-1")
    assert (code, out) == (2, "")
    assert err.startswith("error: there is no audit 'ECO-1'; did you mean ECO-01")
    assert err.count("\n") == 1


def test_a_page_of_trades_alone(run_json: RunJson) -> None:
    write_trades("t.csv", BAD)
    code, document = run_json("audit", "t.csv", "--html", "r.html")
    assert (code, document["written"]) == (1, {"report": "r.html"})
    page = Path("r.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "ECO-01" in page


@pytest.mark.parametrize("words", [["audit", "t.csv"], ["explain", "ECO-01"]])
def test_terminals_get_colours(run: Run, words: list[str]) -> None:
    write_trades("t.csv", BAD)
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    done = subprocess.run(
        [sys.executable, "-m", "barproof", *words],
        env={**env, "FORCE_COLOR": "1", "TERM": "xterm"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == (1 if words[0] == "audit" else 0)
    assert b"\x1b[" in done.stdout
    assert b"ECO-01" in done.stdout


def test_what_entries_and_exits_add(run: Run, run_json: RunJson, files: Files) -> None:
    rules = ["-r", "entry_long+entry_short=1.5", "-r", "max_hold=24"]
    code, document = run_json("audit", *files.run, *rules, "--ablation", "--seed", "3")
    assert code in (0, 1, 4)
    found = next(f for f in document["report"]["findings"] if f["id"] == "ECO-14")
    result = bp.backtest(
        bp.read_candles(files.candles, instrument="perpetual", funding=files.funding),
        bp.Signals.from_frame(pl.read_parquet(files.signals), kind="score"),
        bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24),
        costs=bp.Costs(taker=0.0005, slippage=0.0001),
        ledger=False,
    )
    want = bp.audit(ablation=bp.ablation(result, seed=3), seed=3, ledger=False)["ECO-14"]
    assert (found["outcome"], found["title"]) == (want.outcome, want.title)
    assert run("audit", *files.market, "--ablation")[0] == 2


def test_cells_of_labels_and_names_of_predictions(run_json: RunJson) -> None:
    candles = bp.simulate_candles(4, bars=3_000, edge=0.5)
    assert candles.planted is not None
    cells = bp.labels.sweep(
        candles,
        costs=bp.Costs(taker=0.0001),
        bars=[2, 6],
        features=candles.planted[:, None],
        ledger=False,
    )
    cells.frame.write_parquet("cells.parquet")
    code, document = run_json("audit", "--label-cells", "cells.parquet")
    assert (code, outcomes(document)["LAB-04"]) == (0, "pass")
    p = np.random.default_rng(2).uniform(0.1, 0.9, 1_000)
    y = (np.random.default_rng(3).uniform(size=1_000) < p).astype(int)
    pl.DataFrame({"chance": p, "came": y}).write_csv("p.csv")
    words = ["--prediction-column", "p_1=chance", "--prediction-column", "label=came"]
    assert outcomes(run_json("audit", "-p", "p.csv", *words)[1])["CAL-01"] == "pass"
    assert run_json("audit", "-p", "p.csv")[0] == 2
