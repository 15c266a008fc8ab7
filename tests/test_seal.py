"""Sealed holdouts, and what can be read out of a ledger: changes, files, a head that was written down."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.cli import main

CANDLES = bp.simulate_candles(2, bars=600)
REASON = "all rules are fixed since run 12"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARPROOF_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def book(tmp_path: Path) -> bp.Ledger:
    return bp.Ledger.open(tmp_path / "ledger.sqlite")


def test_a_look_is_recorded_before_anything_is_given(book: bp.Ledger) -> None:
    sealed = bp.seal(CANDLES, from_=500)
    assert len(sealed.research) == 500 and np.array_equal(
        sealed.research.close, CANDLES.close[:500]
    )
    assert sealed.openings(book) == 0
    whole = sealed.open(reason=REASON, ledger=book)
    assert whole.digest == CANDLES.digest
    found = book.show(1)
    assert (found["kind"], found["data_digest"], found["trials"]) == (
        "open_holdout",
        sealed.digest,
        1,
    )
    assert found["parameters"] == {
        "reason": REASON,
        "bars": 100,
        "whole": CANDLES.digest,
        "opening": 1,
    }
    assert book.trials(sealed.digest) == sealed.openings(book) == 1
    with pytest.warns(bp.DataWarning, match="was opened 1 time before"):
        sealed.open(reason=REASON, ledger=book)
    # The same bars sealed again, from another set and by another name, are the same holdout.
    again = bp.seal(CANDLES[100:], from_=str(CANDLES.to_polars()["open_time"][500]))
    assert again.digest == sealed.digest and again.openings(book) == 2
    assert bp.seal(CANDLES, from_=499).openings(book) == 0


def test_what_is_not_recorded_is_not_opened(book: bp.Ledger) -> None:
    sealed = bp.seal(CANDLES, from_=500)
    for ledger in (None, False):
        with pytest.raises(bp.LedgerError, match="a sealed holdout needs a ledger"):
            sealed.open(reason=REASON, ledger=ledger)
    with closing(sqlite3.connect(book.path)) as connection, connection:
        connection.execute("DROP TABLE runs")
    with pytest.raises(bp.LedgerError):
        sealed.open(reason=REASON, ledger=book)


OPENER = """
import sys
import barproof as bp
sealed = bp.seal(bp.simulate_candles(2, bars=600), from_=500)
sealed.open(reason="a second process looks", ledger=sys.argv[1])
"""


def test_openings_are_counted_over_processes(book: bp.Ledger) -> None:
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", OPENER, str(book.path)], check=True, timeout=120
        )
    assert bp.seal(CANDLES, from_=500).openings(book) == 2


def records(book: bp.Ledger) -> None:
    a, b = "a" * 64, "b" * 64
    book.record("train", data=a, seed=1, parameters={"features": "f1", "model": "gbm"})
    book.record("sweep", data=a, trials=9, costs="taker=0.1")
    book.record("train", data=a, seed=1, parameters={"features": "f2", "model": "gbm"})
    book.record("train", data=b, seed=1, parameters={"features": "f2", "model": "net", "lr": 0.1})
    book.record("sweep", data=a, trials=9, costs="taker=0.0")


def test_history_says_when_what_changed(book: bp.Ledger) -> None:
    records(book)
    rows = book.history(kind="train").select("run", "field", "before", "after").rows()
    assert [r for r in rows if r[0] > 1] == [
        (3, "features", "f1", "f2"),
        (4, "data", "a" * 64, "b" * 64),
        (4, "lr", None, "0.1"),
        (4, "model", "gbm", "net"),
    ]
    assert book.history(field="costs").select("run", "before", "after").rows() == [
        (2, None, "taker=0.1"),
        (5, "taker=0.1", "taker=0.0"),
    ]
    assert book.history(data="b" * 64)["run"].unique().to_list() == [4]
    # A taken-away parameter is a change too.
    book.record("train", data="b" * 64, seed=1, parameters={"features": "f2", "model": "net"})
    assert book.history(field="lr").rows()[-1][3:] == ("lr", "0.1", None)


def test_history_of_real_runs(book: bp.Ledger) -> None:
    rng = np.random.default_rng(1)
    signals = bp.Signals(long=rng.random(600))
    for taker in (0.001, 0.001, 0.0):
        bp.backtest(
            CANDLES,
            signals,
            bp.Rules(entry_long=0.9, max_hold=5),
            costs=bp.Costs(taker=taker),
            ledger=book,
        )
    changes = book.history(field="costs")
    assert changes["run"].to_list() == [1, 3]
    assert "taker=0.0," in changes["after"][1]


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet", "runs.json"])
def test_export(book: bp.Ledger, name: str) -> None:
    records(book)
    book.record("audit", data="=HYPERLINK(1)", trials=0, costs="@x", windows="+1")
    path = book.export(name)
    read: dict[str, Any] = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}
    frame = read[path.suffix[1:]](path)
    assert frame["trials"].to_list() == book.runs()["trials"].to_list()
    if name.endswith("csv"):
        assert frame["data_digest"][-1] == "'=HYPERLINK(1)" and frame["costs"][-1] == "'@x"
    assert [p.name for p in Path().iterdir() if p.name.endswith(".tmp")] == []
    with pytest.raises(bp.LedgerError, match="cannot be exported"):
        book.export(Path("gone") / name)


def rewrite(book: bp.Ledger, *statements: str) -> None:
    with closing(sqlite3.connect(book.path)) as connection, connection:
        for name in ("runs_no_update", "runs_no_delete", "runs_in_order"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            connection.execute(statement)


def test_a_head_that_was_written_down_shows_what_the_chain_cannot(
    book: bp.Ledger, tmp_path: Path
) -> None:
    assert book.head() == "0:" and book.verify(head=book.head()) is None
    records(book)
    head = book.head()
    assert head.startswith("5:") and book.verify(head=head) is None
    book.record("audit", data="a" * 64, trials=0)
    assert book.verify(head=head) is None
    # The last rows gone, and the counter turned back: the chain by itself is whole.
    short = bp.Ledger.open(tmp_path / "short.sqlite")
    records(short)
    rewrite(short, "DELETE FROM runs WHERE id > 3", "UPDATE sqlite_sequence SET seq = 3")
    told = short.verify()
    assert told is not None and "triggers" in str(told)
    found = short.verify(head=head)
    assert found is not None and (found.run, "missing" in found.reason) == (4, True)
    # Written anew from the first row on.
    anew = bp.Ledger.open(tmp_path / "anew.sqlite")
    records(anew)
    assert anew.verify() is None
    other = anew.verify(head=head)
    assert other is not None and str(other) == "run 5 is another than the one that was written down"


def test_commands(book: bp.Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    records(book)
    path = ["--path", str(book.path)]

    def call(*words: str) -> tuple[int, str]:
        code = main(["ledger", *words, *path])
        return code, capsys.readouterr().out

    code, out = call("history", "features")
    assert code == 0 and "f1" in out and "f2" in out and "gbm" not in out
    rows = json.loads(call("history", "--kind", "sweep", "--json")[1])["changes"]
    assert [r["field"] for r in rows if r["before"]] == ["costs"]
    assert call("export", "runs.csv") == (0, "runs: runs.csv\n")
    head = json.loads(call("verify", "--json")[1])["head"]
    assert head == book.head() and call("verify", "--head", head)[0] == 0
    assert call("verify", "--head", f"5:{'0' * 64}")[0] == 1
