"""What `bp.audit` takes from elsewhere: trials of a ledger, cells of a label sweep, an ablation, predictions."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import stats
from barproof._ledger_file import TRIGGERS
from barproof.audits.steps import STEPS
from tests.audits import cases

COSTS = bp.Costs(taker=0.00002)
GRID = bp.Grid(bp.Rules(max_hold=12), entry_long=[0.55, 0.6, 0.65, 0.7, 0.75, 0.8])

SWEEPER = """
import sys
import barproof as bp
from tests.audits.test_evidence import GRID, COSTS, market
candles, signals = market(float(sys.argv[2]))
bp.sweep(candles, signals, GRID, costs=COSTS, ledger=sys.argv[1], progress=False)
"""


def market(edge: float = 0.08) -> tuple[bp.Candles, bp.Signals]:
    candles = bp.simulate_candles(8, bars=20_000, interval="1h", edge=edge)
    assert candles.planted is not None
    p = 1 / (1 + np.exp(-2 * candles.planted))
    return candles, bp.Signals(long=p, short=1 - p)


CANDLES = market()[0]


@pytest.fixture(scope="module")
def swept() -> bp.Sweep:
    return bp.sweep(CANDLES, market()[1], GRID, costs=COSTS, ledger=False, progress=False)


@pytest.fixture
def book(tmp_path: Path) -> bp.Ledger:
    return bp.Ledger.open(tmp_path / "ledger.sqlite")


def audit(sweep: bp.Sweep, ledger: Any) -> bp.Report:
    return bp.audit(sweep=sweep, candles=CANDLES, ledger=ledger, resample=False)


def expected(sweep: bp.Sweep, trials: float) -> float:
    """Deflated Sharpe ratio of 2014 by its formula, of the columns of the sweep and that many trials."""
    x = sweep.daily_returns.to_numpy().T
    sharpes = x.mean(axis=0) / x.std(axis=0)
    one = x[:, int(np.argmax(sharpes))]
    sr, n = float(sharpes.max()), len(x)
    z = (one - one.mean()) / one.std()
    skew, kurtosis = float((z**3).mean()), float((z**4).mean())
    normal = NormalDist()
    variance = max(
        float(sharpes.var(ddof=1)), (1 - skew * sr + (kurtosis - 1) / 4 * sr**2) / (n - 1)
    )
    gamma = 0.5772156649015329
    hurdle = math.sqrt(variance) * (
        (1 - gamma) * normal.inv_cdf(1 - 1 / trials)
        + gamma * normal.inv_cdf(1 - 1 / (trials * math.e))
    )
    return normal.cdf(
        (sr - hurdle) * math.sqrt(n - 1) / math.sqrt(1 - skew * sr + (kurtosis - 1) / 4 * sr**2)
    )


def test_trials_are_those_of_all_processes(swept: bp.Sweep, book: bp.Ledger) -> None:
    """Three processes at once sweep the same bars, and one other bars: the audit deflates by what they all tried."""
    root = Path(__file__).resolve().parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", SWEEPER, str(book.path), edge], cwd=root)
        for edge in ("0.08", "0.08", "0.08", "0.4")
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0] * 4
    assert book.trials() == 24 and book.trials(CANDLES) == 18 and book.verify() is None
    report = audit(swept, book)
    counted = report["OVF-01"]
    assert counted.outcome == "pass" and counted.measured is not None
    assert counted.measured.value == 18
    deflated = report["OVF-02"]
    assert deflated.evidence["trials"] == 18 and deflated.measured is not None
    assert deflated.measured.value == pytest.approx(expected(swept, 18), abs=2e-3)
    assert deflated.outcome == "pass"
    # A sweep names its bars by itself.
    assert bp.audit(sweep=swept, ledger=book, resample=False)["OVF-01"].outcome == "pass"
    # The more was tried, the less its best one proves.
    book.record("sweep", data=CANDLES, trials=10**9)
    later = audit(swept, book)["OVF-02"]
    assert later.evidence["trials"] == 10**9 + 18 and later.measured is not None
    # Far out the sampling variance counts, which has several forms.
    assert later.measured.value == pytest.approx(expected(swept, 10**9 + 18), abs=2e-2)
    assert later.measured.value is not None and deflated.measured.value is not None
    assert later.measured.value < deflated.measured.value


def test_without_a_count_nothing_is_deflated_enough(swept: bp.Sweep, book: bp.Ledger) -> None:
    """A pass becomes inconclusive; a failure stays one, for more trials only raise the hurdle."""
    found = audit(swept, False)
    assert (found["OVF-01"].outcome, found["OVF-02"].outcome) == ("skipped", "inconclusive")
    assert "no ledger counts the trials" in found["OVF-02"].title
    # A ledger that does not know this sweep.
    found = audit(swept, book)
    assert (found["OVF-01"].outcome, found["OVF-02"].outcome) == ("inconclusive", "inconclusive")
    assert "counts 0 trials on these data, and 6 were made here alone" in found["OVF-01"].title
    hopeless = bp.sweep(
        *market(0.0), GRID, costs=bp.Costs(taker=0.01), ledger=False, progress=False
    )
    assert audit(hopeless, False)["OVF-02"].outcome == "fail"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE runs SET trials = 1 WHERE id = 1", "run 1 is not what was written"),
        ("DELETE FROM runs WHERE id = 2", "run 2 is missing"),
        ("DELETE FROM runs", "run 1 is missing"),
    ],
)
def test_an_edited_ledger_never_passes(
    swept: bp.Sweep, book: bp.Ledger, statement: str, why: str
) -> None:
    for _ in range(3):
        book.record("sweep", data=CANDLES, trials=6)
    assert audit(swept, book)["OVF-01"].outcome == "pass"
    with closing(sqlite3.connect(book.path)) as connection, connection:
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    report = audit(swept, book)
    assert report["OVF-01"].outcome == "fail" and why in report["OVF-01"].title
    assert report["OVF-02"].outcome == "inconclusive" and report.verdict == "refuted"


def test_a_truncated_ledger_is_a_clear_error(swept: bp.Sweep, book: bp.Ledger) -> None:
    for _ in range(200):
        book.record("sweep", data=CANDLES, trials=6, parameters={"x": "y" * 300})
    whole = book.path.read_bytes()
    for share in (0.0, 0.3, 0.6, 0.9):
        book.path.write_bytes(whole[: max(100, int(share * len(whole)))])
        with pytest.raises(bp.LedgerError, match=r"damaged|no ledger"):
            audit(swept, book)
    # Not a byte of it: a new ledger, which counts nothing.
    book.path.write_bytes(b"")
    assert audit(swept, book)["OVF-01"].outcome == "inconclusive"


def test_a_walk_forward_counts_what_it_tried(book: bp.Ledger) -> None:
    candles, signals = market()
    oos = bp.walk_forward_optimise(
        candles, signals, GRID, costs=COSTS, windows="30d", ledger=book, progress=False
    )
    report = bp.audit(result=oos, ledger=book, resample=False)
    assert report["OVF-01"].outcome == "pass" and report["OVF-01"].measured is not None
    assert report["OVF-01"].measured.value == book.trials(candles) >= oos.trials
    other = bp.Ledger.open(book.path.parent / "other.sqlite")
    assert bp.audit(result=oos, ledger=other, resample=False)["OVF-01"].outcome == "inconclusive"


def cells(edge: float) -> tuple[bp.Candles, bp.labels.LabelSweep]:
    candles = bp.simulate_candles(4, bars=4_000, edge=edge)
    assert candles.planted is not None
    X = candles.planted[:, None]
    found = bp.labels.sweep(
        candles, costs=COSTS, bars=[2, 6, 12], threshold=[0.0, 0.002], features=X, ledger=False
    )
    return candles, found


def test_cells_of_a_label_sweep() -> None:
    candles, found = cells(0.5)
    report = bp.audit(label_sweep=found, ledger=False)
    one = report["LAB-04"]
    assert one.outcome == "pass" and report.required == ("labels",)
    # The p-values are those of the sweep, and Holm's over all cells as it has them.
    told = {(row["bars"], row["threshold"]): row for row in one.evidence["rows"]}
    for row in found.frame.iter_rows(named=True):
        here = told[row["bars"], row["threshold"]]
        assert here["p"] == pytest.approx(row["p_value"], rel=1e-6)
        assert here["p_holm"] == pytest.approx(row["p_holm"], rel=1e-6)
    assert one.measured is not None and one.measured.n == 6
    # A chosen cell is found by its labels, and one that nothing learns fails.
    used = found.labels(0)
    assert bp.audit(labels=used, label_sweep=found, ledger=False)["LAB-04"].outcome == "pass"
    lone = found.frame.with_columns(
        auc=pl.when(pl.col("cell") == 0).then(0.5).otherwise(pl.col("auc")),
        p_value=pl.when(pl.col("cell") == 0).then(0.6).otherwise(pl.col("p_value")),
    )
    spoiled = bp.labels.LabelSweep(lone, candles, {}, found._make)
    wrong = bp.audit(labels=used, label_sweep=spoiled, ledger=False)["LAB-04"]
    assert wrong.outcome == "fail" and "the chosen cell has AUC 0.500" in wrong.title
    # As a frame it says the same, without a cell that is chosen.
    assert bp.audit(label_sweep=found.frame, ledger=False)["LAB-04"].outcome == "pass"


def test_labels_that_nothing_learns() -> None:
    _, found = cells(0.0)
    report = bp.audit(label_sweep=found, ledger=False)
    assert report["LAB-04"].outcome == "fail" and report.verdict == "refuted"


def test_a_sweep_without_skill_says_nothing_of_learning() -> None:
    candles = cases.market()
    found = bp.labels.sweep(candles, costs=COSTS, bars=[3, 6], ledger=False)
    report = bp.audit(label_sweep=found, ledger=False)
    assert report["LAB-04"].outcome == "inconclusive" and "features=" in report["LAB-04"].remedy
    other = bp.simulate_candles(9, bars=500)
    with pytest.raises(bp.ParameterError, match="speaks of other candles"):
        bp.audit(candles=other, label_sweep=found, ledger=False)


@pytest.fixture(scope="module")
def edged() -> bp.Result:
    candles, signals = market(0.3)
    signals = bp.Signals(long=signals["long"], exit_long=signals["short"])
    rules = bp.Rules(entry_long=0.8, exit_long=0.8, max_hold=12)
    return bp.backtest(candles, signals, rules, costs=COSTS, ledger=False)


def test_an_ablation(edged: bp.Result) -> None:
    held = bp.ablation(edged, draws=50, seed=3)
    report = bp.audit(ablation=held, ledger=False)
    found = report["ECO-14"]
    assert report.required == ("economics",)
    rows = {row["effect"]: row for row in found.evidence["rows"]}
    for name in ("entry", "exit", "interaction"):
        interval = getattr(held, name)
        assert rows[name]["mean"] == pytest.approx(interval.estimate, rel=1e-9)
    assert rows["entry"]["low"] > 0
    # The four columns are the four runs.
    means = held.daily.mean().row(0)
    assert means == pytest.approx(held.frame["mean_return"].to_list(), rel=1e-12)
    assert held.daily["both"].to_list() == edged.daily_returns["return"].to_list()
    assert "shape" not in repr(held)


def test_entries_that_add_nothing_fail(edged: bp.Result) -> None:
    """The same rules on scores turned round: entries are worse than random ones."""
    held = edged._setting.signals
    worse = bp.Signals(long=1 - held["long"], exit_long=held["exit_long"])
    result = bp.backtest(edged.candles, worse, edged.rules, costs=COSTS, ledger=False)
    found = bp.audit(ablation=bp.ablation(result, draws=30), ledger=False)
    assert found["ECO-14"].outcome == "fail" and "entry" in found["ECO-14"].title
    assert found.verdict == "refuted"


def test_an_undefined_ablation_proves_nothing(edged: bp.Result) -> None:
    idle = bp.backtest(
        edged.candles, edged.signals, bp.Rules(entry_long=1.0), costs=COSTS, ledger=False
    )
    found = bp.audit(ablation=bp.ablation(idle), ledger=False)["ECO-14"]
    assert (found.outcome, found.title) == ("inconclusive", "the result has no trade")


def test_every_wired_code_has_a_step() -> None:
    assert {"OVF-01", "OVF-02", "LAB-04", "ECO-14"} <= set(STEPS)
    assert stats.moments([1.0, 2.0]).n == 2
