"""The ledger: nothing that was acknowledged is lost, nothing that was changed goes unseen."""

from __future__ import annotations

import json
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import barproof as bp
from barproof import _ledger_file, ledger
from barproof.cli import main
from tests.helpers import simulated

A, B = "a" * 64, "b" * 64
COSTS = bp.Costs(taker=0.0005)
RULES = bp.Rules(entry_long=1.0, max_hold=12)
GRID = bp.Grid(RULES, stop_loss=[0.01, 0.02, None], take_profit=[0.01, 0.02])

WRITER = """
import sys
import barproof as bp
ledger = bp.Ledger.open(sys.argv[1])
for _ in range(int(sys.argv[2])):
    print(ledger.record("sweep", data="a" * 64, trials=3), flush=True)
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder without a project."""
    monkeypatch.delenv("BARPROOF_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def book(tmp_path: Path) -> bp.Ledger:
    made = bp.Ledger.open(tmp_path / "ledger.sqlite")
    for i in range(5):
        made.record("sweep", data=A if i % 2 == 0 else B, trials=10 * (i + 1), seed=i)
    return made


def start(path: Path, rows: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(rows)], stdout=subprocess.PIPE, text=True
    )


def raw(book: bp.Ledger, *statements: str) -> None:
    """Do something to the file behind the ledger's back."""
    with closing(sqlite3.connect(book.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_run_comes_back_as_it_was_recorded(book: bp.Ledger) -> None:
    number = book.record(
        "train",
        data=A,
        trials=7,
        signals=B,
        rules="c" * 64,
        costs="taker=0.1",
        windows="1 within bars 0..10",
        seconds=1.25,
        seed=-3,
        parameters={"engine": "replay", "list": [1, 2.5, None]},
    )
    found = book.show(number)
    assert found["id"] == number == 6
    assert found["kind"] == "train"
    assert (found["data_digest"], found["signals_digest"]) == (A, B)
    assert found["rules_or_grid_digest"] == "c" * 64
    assert (found["trials"], found["seconds"], found["seed"]) == (7, 1.25, -3)
    assert found["version"] == bp.__version__
    assert found["parameters"] == {"engine": "replay", "list": [1, 2.5, None]}
    assert abs(found["time"].timestamp() - time.time()) < 60
    runs = book.runs()
    assert runs["id"].to_list() == [1, 2, 3, 4, 5, 6]
    assert runs["trials"].to_list() == [10, 20, 30, 40, 50, 7]
    assert runs["time"].is_sorted()


def test_trials_are_counted_for_each_set_of_candles(book: bp.Ledger) -> None:
    candles, _ = simulated(300)
    assert (book.trials(), book.trials(A), book.trials(B)) == (150, 90, 60)
    assert book.trials(candles) == 0
    book.record("backtest", data=candles)
    assert book.trials(candles) == 1
    assert book.trials_by_data()["data_digest"].to_list() == [A, B, candles.digest]
    assert book.trials_by_data()["trials"].to_list() == [90, 60, 1]


def test_an_empty_ledger_can_be_read(tmp_path: Path) -> None:
    empty = bp.Ledger.open(tmp_path / "new.sqlite")
    assert empty.trials() == empty.trials(A) == empty.runs().height == 0
    assert empty.trials_by_data().height == 0
    assert empty.verify() is None


def test_a_ledger_travels_to_another_process(book: bp.Ledger) -> None:
    assert pickle.loads(pickle.dumps(book)).trials() == 150


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    writers = [start(path, 200), start(path, 200)]
    numbers = [
        int(line) for writer in writers for line in writer.communicate(timeout=120)[0].split()
    ]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(numbers) == list(range(1, 401))
    found = bp.Ledger.open(path)
    assert found.runs()["id"].to_list() == list(range(1, 401))
    assert found.trials(A) == 1200
    assert found.verify() is None


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    rng = random.Random(4)
    seen = 0
    for turn in range(20):
        writer = start(path, 1_000_000)
        assert writer.stdout is not None
        # Some die while the tables are made, the others at a random moment of their writing.
        if turn > 1:
            writer.stdout.readline()
            seen += 1
        time.sleep(rng.uniform(0.0, 0.15))
        writer.kill()
        rest, _ = writer.communicate(timeout=60)
        numbers = [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        seen = max([seen, *numbers])
        found = bp.Ledger.open(path)
        count = found.runs().height
        # A row may have been written just before it would have been acknowledged.
        assert seen <= count <= seen + 1
        assert found.verify() is None
        seen = count
    assert seen >= 18


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE runs SET trials = 1 WHERE id = 3", "changed"),
        ("DELETE FROM runs WHERE id = 3", "deleted"),
        ("DELETE FROM runs", "deleted"),
        ("INSERT OR REPLACE INTO runs SELECT * FROM runs WHERE id = 3", "replaced"),
        ("REPLACE INTO runs SELECT * FROM runs WHERE id = 5", "replaced"),
    ],
)
def test_rows_cannot_be_changed(book: bp.Ledger, statement: str, what: str) -> None:
    with pytest.raises(
        sqlite3.IntegrityError, match=f"the ledger is append-only: runs cannot be {what}"
    ):
        raw(book, statement)
    assert book.trials() == 150
    assert book.verify() is None


@pytest.mark.parametrize(
    ("statement", "run", "reason"),
    [
        ("UPDATE runs SET trials = 1 WHERE id = 3", 3, "is not what was written: its hash differs"),
        ("UPDATE runs SET kind = 'audit' WHERE id = 1", 1, "is not what was written: its hash differs"),
        ("UPDATE runs SET kind = x'ff' WHERE id = 2", 2, "is not what was written: its hash differs"),
        ("UPDATE runs SET hash = 'x' WHERE id = 2", 2, "is not what was written: its hash differs"),
        ("UPDATE runs SET seed = NULL WHERE id = 4", 4, "is not what was written: its hash differs"),
        ("UPDATE runs SET id = 9 WHERE id = 2", 2, "is missing"),
        ("DELETE FROM runs WHERE id = 1", 1, "is missing"),
        ("DELETE FROM runs WHERE id = 3", 3, "is missing"),
        ("DELETE FROM runs WHERE id = 5", 5, "is missing"),
        ("DELETE FROM runs", 1, "is missing"),
        ("SELECT 1", None, "the triggers that refuse changes are gone: runs_in_order"),
    ],
)  # fmt: skip
def test_tampering_is_seen(book: bp.Ledger, statement: str, run: int | None, reason: str) -> None:
    raw(book, *(f"DROP TRIGGER {name}" for name in _ledger_file.TRIGGERS), statement)
    assert book.verify() == ledger.Broken(run, reason)
    assert main(["ledger", "verify", "--path", str(book.path)]) == 1
    # It goes on being seen after more was recorded, and can still be looked at.
    book.record("sweep", data=A)
    assert book.verify() == ledger.Broken(run, reason)
    assert book.runs()["id"].to_list()[-1] >= 6
    assert book.show(book.runs()["id"].to_list()[-1])["trials"] == 1
    assert book.trials_by_data()["runs"].sum() == book.runs().height


def test_sweep_and_backtest_record_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "barproof.toml").write_text("")
    below = tmp_path / "research" / "today"
    below.mkdir(parents=True)
    os.chdir(below)
    candles, signals = simulated()
    swept = bp.sweep(candles, signals, GRID, costs=COSTS, windows="1w", progress=False)
    assert swept.provenance["ledger"] == "run 1, 6 trials on these candles"
    result = bp.backtest(candles, signals, RULES, costs=COSTS)
    assert result.provenance["ledger"] == "run 2, 7 trials on these candles"
    # Looking again is no new trial.
    assert "ledger" not in swept.result(0).provenance
    swept.trades(0)
    swept.equity(0)
    swept.daily_returns.to_numpy()
    found = bp.Ledger.find()
    assert found is not None
    assert found.path == tmp_path / ".barproof" / "ledger.sqlite"
    assert found.runs()["kind"].to_list() == ["sweep", "backtest"]
    assert found.trials(candles) == 7
    row = found.show(1)
    assert row["signals_digest"] == swept.provenance["signals"]
    assert row["rules_or_grid_digest"] == GRID.digest
    assert row["windows"] == swept.provenance["windows"]
    assert row["parameters"]["initial_equity"] == "10000.0"
    assert found.show(2)["rules_or_grid_digest"] == RULES.digest


def test_the_first_trial_is_one_trial(tmp_path: Path) -> None:
    result = bp.backtest(*simulated(300), RULES, costs=COSTS, ledger=tmp_path / "own.sqlite")
    assert result.provenance["ledger"] == "run 1, 1 trial on these candles"


def test_an_interrupted_sweep_counts_what_was_finished(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    candles, signals = simulated(50_000)
    grid = bp.Grid(RULES, entry_long=[1 + i / 1e4 for i in range(5_000)])
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    with pytest.raises(bp.Interrupted) as caught:
        bp.sweep(candles, signals, grid, costs=COSTS, threads=1, progress=stop, ledger=book)
    assert book.trials() == caught.value.done == len(caught.value.partial) < 5_000


def test_opting_out_is_stamped(tmp_path: Path) -> None:
    (tmp_path / "barproof.toml").write_text("")
    candles, signals = simulated(300)
    swept = bp.sweep(candles, signals, GRID, costs=COSTS, progress=False, ledger=False)
    result = bp.backtest(candles, signals, RULES, costs=COSTS, ledger=False)
    assert swept.provenance["ledger"] == result.provenance["ledger"] == "unrecorded"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["barproof.toml"]


def test_without_a_project_nothing_is_written(tmp_path: Path) -> None:
    assert bp.Ledger.find() is None
    candles, signals = simulated(300)
    swept = bp.sweep(candles, signals, GRID, costs=COSTS, progress=False)
    assert swept.provenance["ledger"] == "no project folder"
    assert not list(tmp_path.iterdir())


def test_a_working_directory_that_is_gone_is_no_project(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        assert bp.Ledger.find() is None
    finally:
        os.chdir(tmp_path)


def test_the_variable_and_the_folder_name_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".barproof").mkdir()
    found = bp.Ledger.find()
    assert found is not None
    assert found.path == tmp_path / ".barproof" / "ledger.sqlite"
    monkeypatch.setenv("BARPROOF_LEDGER", str(tmp_path / "other" / "it's 100%?#.sqlite"))
    found = bp.Ledger.find()
    assert found is not None
    assert found.path.is_file()
    assert found.path.name == "it's 100%?#.sqlite"


@pytest.mark.parametrize(
    "content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(bp.LedgerError, match=r"is damaged: .*; move it aside"):
        bp.Ledger.open(path)
    assert path.read_bytes() == content


def test_a_file_with_damaged_or_missing_pages_never_passes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    book = bp.Ledger.open(path)
    for _ in range(100):
        book.record("sweep", data=A, parameters={"text": "x" * 200})
    before, refused = book.runs(), []
    whole = path.read_bytes()
    rng = random.Random(1)
    for turn in range(30):
        at = rng.randrange(100, len(whole))
        path.write_bytes(
            whole[:at]
            if turn % 2
            else whole[:at] + rng.randbytes(min(2_000, len(whole) - at)) + whole[at + 2_000 :]
        )
        try:
            broken = book.verify()
            same = broken is None and book.runs().equals(before)
        except bp.LedgerError as error:
            refused.append(str(error))
        else:
            # Bytes that no row uses may hold anything.
            assert broken is not None or same
    assert len(refused) > 10
    assert all("is damaged" in text or "no ledger" in text for text in refused)


@pytest.mark.parametrize("sign", [b"\xc9", b"`", b'"', b"\xff"])
def test_harmed_tables_are_one_line_and_an_error_of_ours(tmp_path: Path, sign: bytes) -> None:
    """SQLite quotes what it cannot make sense of: bytes that are no text ended the reading."""
    path = tmp_path / "ledger.sqlite"
    bp.Ledger.open(path).record("sweep", data=A)
    whole = path.read_bytes()
    at = whole.index(b"kind TEXT NOT NULL") + 14
    path.write_bytes(whole[:at] + sign + whole[at + 1 :])
    with pytest.raises(
        bp.LedgerError, match=r"is damaged: (malformed database schema|'utf-8')"
    ) as caught:
        bp.Ledger(path).verify()
    assert str(caught.value).isprintable()


def test_a_page_that_is_harmed_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    book = bp.Ledger.open(path)
    book.record("sweep", data=A)
    whole, told = path.read_bytes(), set()
    page = int.from_bytes(whole[16:18], "big")
    for at in range(page, len(whole), page):
        # Where the first cell of the page lies.
        path.write_bytes(whole[: at + 8] + b"\x0f\xfe" + whole[at + 10 :])
        try:
            told.add(str(book.verify() or ""))
        except bp.LedgerError as error:
            told.add(str(error))
    assert any("on tree page" in text.lower() for text in told), told
    assert all(text.isprintable() for text in told)


def test_a_locked_ledger_is_named_and_keeps_the_result(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    book = bp.Ledger.open(path, timeout=0.1)
    candles, signals = simulated(300)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(bp.LedgerError, match=r"is locked by another process for longer than"):
            book.record("sweep", data=A)
        # Refused before the work is done.
        with pytest.raises(bp.LedgerError, match="is locked") as early:
            bp.backtest(candles, signals, RULES, costs=COSTS, ledger=book)
        assert early.value.result is None
        # If it is too late for that, the work is not lost.
        with (
            mock.patch("barproof._backtest.door", return_value=book),
            pytest.raises(bp.LedgerError, match="is locked") as late,
        ):
            bp.backtest(candles, signals, RULES, costs=COSTS, ledger=book)
        assert isinstance(late.value.result, bp.Result)
        # Readers need not wait.
        assert book.trials() == 0
    assert book.record("sweep", data=A) == 1


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    bp.Ledger.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = start(path, 1)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(timeout=2)
        other.execute("COMMIT")
        assert writer.communicate(timeout=60)[0] == "1\n"


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "barproof.toml").write_text("")
    candles, signals = simulated(300)
    bp.sweep(candles, signals, GRID, costs=COSTS, progress=False)
    bp.backtest(candles, signals, RULES, costs=COSTS)

    def run(*words: str) -> str:
        assert main(["ledger", *words]) == 0
        return capsys.readouterr().out

    def document(*words: str) -> Any:
        return json.loads(run(*words, "--json"))

    assert candles.digest[:12] in run("list")
    assert "the last 1 of 2 runs" in run("list", "--last", "1")
    assert [row["trials"] for row in document("list")["runs"]] == [6, 1]
    assert "run 1\n" in run("show", "1")
    assert document("show", "1")["run"]["data_digest"] == candles.digest
    assert "7" in run("trials")
    assert document("trials")["trials"] == 7
    assert run("verify") == "all 2 runs are as they were written\n"
    assert document("verify")["sound"] is True
    assert main(["ledger"]) == 2
    assert "verify" in capsys.readouterr().out
    assert main(["ledger", "show", "9"]) == 2
    path = tmp_path / ".barproof" / "ledger.sqlite"
    assert capsys.readouterr().err == (
        f"error: run 9 is not in the ledger {str(path)!r}, whose last run is 2\n"
    )


def test_import_does_not_load_the_database() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, barproof; print('sqlite3' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
