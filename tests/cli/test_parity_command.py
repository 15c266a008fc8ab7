"""`barproof parity`: what it says is what the library finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import barproof as bp
from tests.faults.places import mounted, remount
from tests.live.making import BARS, COSTS, NAMES, RULES, WARM, live, study

from .conftest import Run

RunJson = Callable[..., tuple[int, Any]]


@dataclass(frozen=True)
class Project:
    """Candles, bundles and logs on disk."""

    candles: str
    funding: str
    bundle: str
    other: str
    state: str
    table: str

    @property
    def words(self) -> list[str]:
        """Words that name market and model."""
        return [
            "--candles", self.candles, "-i", "perpetual", "--symbol", "SIM", "--funding", self.funding,
            "--bundle", self.bundle,
        ]  # fmt: skip

    @property
    def tested(self) -> list[str]:
        """The same, with rules and costs of the backtest."""
        rules = [w for k, v in RULES.changed().items() for w in ("--rule", f"{k}={v}")]
        costs = ["--taker", "0.0005", "--maker", "0.0002", "--slippage", "0.0001"]
        return [*self.words, *rules, *costs]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    candles, bundle = study()
    folder = tmp_path_factory.mktemp("parity")
    assert candles.symbol == "SIM" and candles.funding is not None
    candles.to_polars().write_parquet(folder / "candles.parquet")
    candles.funding.write_parquet(folder / "funding.parquet")
    bundle.save(folder / "bundle")
    study(11)[1].save(folder / "other")
    (folder / "state").mkdir()
    live().write(folder / "state")
    table = bp.FeatureSet(list(NAMES)).compute(candles)
    p = bundle.predict(table)[:, 1]
    table[WARM:].with_columns(prob_up=p[WARM:]).rename({"rsi(14)": "RSI"}).write_csv(
        folder / "bot.csv"
    )
    names = ("candles.parquet", "funding.parquet", "bundle", "other", "state", "bot.csv")
    return Project(*(str(folder / name) for name in names))


def test_one_system(run: Run, run_json: RunJson, project: Project) -> None:
    code, document = run_json("parity", project.state, *project.tested)
    assert (code, document["exit_code"], document["equal"]) == (0, 0, True)
    assert document["decisions"] == BARS - WARM and document["first"] is None
    found = bp.parity(project.state, study()[0], study()[1], RULES, costs=COSTS)
    assert document["compared"] == found.compared
    assert [f["id"] for f in document["findings"]] == [f.id for f in found.findings]
    code, out, err = run("parity", f"{project.state}/live.sqlite", *project.tested)
    assert (code, err) == (0, "")
    assert out.startswith("parity of state: one system\n")
    assert max(len(line) for line in out.splitlines()) <= 80


def test_a_folder_that_nobody_may_write_to(
    run: Run, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads, and writes nothing: in a read-only project, of a read-only state, it says what it says elsewhere."""
    code, want, _ = run("parity", project.state, *project.tested)
    assert code == 0
    with mounted(tmp_path / "disk", "size=64m") as disk:
        shutil.copytree(project.state, disk / "state")
        (disk / "barproof.toml").write_text("[costs]\ntaker = 0.0005\n")
        remount(disk, "ro")
        monkeypatch.chdir(disk)
        assert run("parity", "state", *project.tested) == (0, want, "")
        monkeypatch.chdir(tmp_path)


def test_a_difference_ends_with_1(run: Run, run_json: RunJson, project: Project) -> None:
    words = [w.replace("entry_long=0.501", "entry_long=0.5012") for w in project.tested]
    code, out, _ = run("parity", project.state, *words)
    assert code == 1
    assert "not one system" in out
    told = " ".join(out.split())
    assert "first divergence in decisions: `side` of the bar SIM" in told
    assert "another threshold" in told and "`rules.entry_long` is 0.501 live and 0.5012" in told
    code, document = run_json("parity", project.state, *words)
    assert (code, document["first"]["layer"], document["first"]["column"]) == (
        1,
        "decisions",
        "side",
    )
    words = [*project.tested[: -0 or None]]
    words[words.index(project.bundle)] = project.other
    code, document = run_json("parity", project.state, *words)
    assert (code, document["first"]["layer"]) == (1, "probabilities")


def test_without_rules_and_costs_those_of_the_log_are_run(
    run: Run, run_json: RunJson, project: Project
) -> None:
    code, _, err = run("parity", project.state, *project.words)
    assert code == 0
    assert err.splitlines() == [
        "note: the rules are those of the log: that they are the tested ones is not shown",
        "note: the costs are those of the log: that they are the tested ones is not shown",
    ]
    code, document = run_json("parity", project.state, *project.words)
    assert code == 0 and len(document["notes"]) == 2


def test_a_table_of_anybodys_bot(run: Run, run_json: RunJson, project: Project) -> None:
    code, document = run_json(
        "parity", project.table, *project.tested, "--log-column", "rsi(14)=RSI"
    )
    assert code == 0 and document["compared"]["features"] == len(NAMES) * (BARS - WARM)
    code, document = run_json("parity", project.table, *project.tested)
    assert code == 1 and document["first"]["column"] == "feature 2 of 5"
    frame = pl.read_csv(project.table).with_columns(pl.col("RSI").shift(1))
    frame.write_csv("late.csv")
    code, out, _ = run("parity", "late.csv", *project.tested, "--log-column", "rsi(14)=RSI")
    assert code == 1 and "it holds the value of 1 bar earlier" in " ".join(out.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, p: [p.state, *[x for x in w if x not in ("--bundle", p.bundle)]],
         "the model is missing: give `--bundle` FOLDER, the one that is said to run"),
        (lambda w, p: ["nowhere", *w], "`source` file 'nowhere' does not exist"),
        (lambda w, p: [p.state, *w, "--log-column", "a=b"],
         "`--log-column` and `--trades` are for logs of other tools, and 'state' is that of a session"),
        (lambda w, p: [p.table, *w, "--log-column", "a"],
         "`--log-column a` must read NAME=COLUMN, such as p_long=prob_up"),
        (lambda w, p: [p.state, *w, "--bundle", f"SIM={p.bundle}"],
         "`--bundle` names a symbol for some and none for others: write SYMBOL=FOLDER for all, or for none"),
        (lambda w, p: [p.state, *w, "--candles", p.candles],
         "two files of `--candles` are of SIM: give one of each symbol"),
    ],
)  # fmt: skip
def test_bad_words(
    run: Run, project: Project, change: Callable[[list[str], Project], list[str]], message: str
) -> None:
    code, _, err = run("parity", *change(project.tested, project))
    assert code == 2
    assert err.startswith(f"error: {message}")


def test_an_audit_takes_the_log(run: Run, run_json: RunJson, project: Project) -> None:
    """Findings of the replay, in the report: those of `parity`, one for one."""
    words = [project.words[1], *project.words[2:], "--live-log", project.state]
    tested = [w for w in project.tested if w not in ("--candles",)]
    assert tested[0] == project.candles
    code, document = run_json("audit", *tested, "--live-log", project.state)
    found = {one["id"]: one for one in document["report"]["findings"]}
    _, told = run_json("parity", project.state, *project.tested)
    for one in told["findings"]:
        if one["id"].startswith("DEC-") or one["id"] == "PAR-02":
            assert found[one["id"]]["outcome"] == one["outcome"], one["id"]
            assert found[one["id"]]["title"] == one["title"], one["id"]
    assert {"DEC-01", "DEC-02", "DEC-03", "DEC-06", "DEC-07", "PAR-02"} <= set(found)
    assert found["DEC-01"]["outcome"] == "pass" and "decisions" in document["report"]["required"]
    # Without rules and costs those of the log are run, and it is said.
    code, document = run_json("audit", *words)
    assert any("those of the log" in text for text in document["notes"])
    # Another model than the one that is named.
    other = [project.other if w == project.bundle else w for w in tested]
    code, document = run_json("audit", *other, "--live-log", project.state)
    found = {one["id"]: one for one in document["report"]["findings"]}
    assert code == 1 and found["DEC-06"]["outcome"] == "fail"


def test_a_log_alone_shows_when_decisions_were_made(run_json: RunJson, project: Project) -> None:
    _, document = run_json("audit", "--live-log", project.state)
    found = {one["id"]: one for one in document["report"]["findings"]}
    assert found["DEC-02"]["outcome"] == "pass"
    assert any("not replayed" in text for text in document["notes"])
