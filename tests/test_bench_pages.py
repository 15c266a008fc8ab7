"""The page of benchmarks: every goal and every peer on it, misses explained, counts of instructions judged."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

ROOT = Path(__file__).resolve().parent.parent

frameworks: Any = importlib.import_module("benches.frameworks")
instructions: Any = importlib.import_module("benches.instructions")
everything: Any = importlib.import_module("benches.everything")
page: Any = importlib.import_module("benches.page")
peaks: Any = importlib.import_module("benches.peaks")
table: Any = importlib.import_module("benches.table")
timing: Any = importlib.import_module("benches.timing")
workload: Any = importlib.import_module("benches.problem")


# ---- the page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_newest_records() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render()


def test_a_newer_record_changes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on it is written by hand: a record in which the peer is slower by half says so."""
    for path in timing.RECORDS.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path, rows = timing.latest("workload_d")
    monkeypatch.setattr(timing, "RECORDS", tmp_path)
    assert page.render() == page.PAGE.read_text(encoding="utf-8")
    ours, theirs = (
        next(r for r in rows if (r["case"], r["contender"]) == ("cscv", name))
        for name in ("barproof", "numpy, matrix products")
    )
    text = (tmp_path / path.name).read_text(encoding="utf-8")
    slow = f"{99.5 * float(ours['median_s']):.6f}"
    (tmp_path / "2999-01-01_0000_workload_d.csv").write_text(
        text.replace(f",{theirs['median_s']},", f",{slow},", 1), encoding="utf-8"
    )
    changed = page.render()
    assert re.search(r"\| numpy, matrix products \| 1 \| [\d.]+ m?s \| 99\.5 \|", changed)
    assert "2999-01-01_0000_workload_d.csv" in changed


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_goal_that_is_missed_names_a_section_that_exists() -> None:
    goals = page.goals()
    assert {goal.workload for goal in goals} == set("ABCD")
    missed = [goal for goal in goals if goal.met is not True]
    assert missed
    for goal in goals:
        if not goal.why:
            assert goal.met, goal.text
            continue
        name, anchor = goal.why.split("#")
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in map(slug, headings), goal.why


def test_the_page_has_every_goal_of_both_tables() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for goal in (*table.GOALS, *table.BOUNDS):
        assert f"| {goal.text} |" in text
    known = {goal.text for goal in (*table.GOALS, *table.BOUNDS)}
    assert set(page.WHY) <= known


def test_a_goal_tells_by_how_much_it_is_missed() -> None:
    goal = page.Goal("A", "faster", 10.0, "x", 8.0, False, "performance.md#goals")
    assert goal.met is False
    assert goal.row().endswith("| 8x | missed: short by 20%; [what limits](performance.md#goals) |")
    slow = page.Goal("B", "quick", 30.0, "ns", 40.0, True, "performance.md#features")
    assert slow.met is False
    assert "| <= 30 ns | 40 ns | missed: over by 33%" in slow.row()
    assert page.Goal("B", "quick", 30.0, "ns", 30.0, True, "x").row().endswith("| met |")
    none = page.Goal("C", "far", 5.0, "x", None, False, "performance.md#gpu")
    assert none.met is None
    assert none.row().endswith("| not measured | [why](performance.md#gpu) |")


def test_a_missed_goal_without_an_explanation_says_so() -> None:
    goal = page.Goal("A", "faster", 10.0, "x", 8.0, False, "")
    assert goal.row().endswith("| missed: short by 20%; not explained yet |")
    assert "not explained yet" not in page.PAGE.read_text(encoding="utf-8")


def test_wins_and_losses_are_told_alike() -> None:
    assert page.judged(8.2) == "win"
    assert page.judged(0.5) == "**loss**"
    assert page.judged(1.04) == page.judged(0.96) == "level"
    text = page.PAGE.read_text(encoding="utf-8")
    assert "| win |" in text
    assert "| **loss** |" in text


def test_contenders_are_held_against_our_row_that_is_most_like_them() -> None:
    names = ("contender", "combinations", "threads", "median_s")
    ours = [
        dict(zip(names, row, strict=True))
        for row in (
            ("barproof", "", "1", "2.0"),
            ("barproof, threads", "", "2", "1.0"),
            ("barproof, bf16", "", "1", "0.5"),
            ("barproof, the same 4", "4", "2", "0.4"),
        )
    ]

    def times(*row: str) -> float:
        return float(page.beside(dict(zip(names, row, strict=True)), ours))

    assert times("peer", "", "1", "3.0") == 1.5
    assert times("peer, threads", "", "2", "3.0") == 3.0
    assert times("peer, bf16 autocast", "", "1", "3.0") == 6.0
    assert times("peer", "4", "1", "4.0") == pytest.approx(10.0)
    # Nobody ran as many: a combination's time over that of the first.
    assert times("peer", "16", "1", "32.0") == 1.0


def test_every_contender_has_its_peak_on_the_page() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    found = {(row["workload"], row["contender"]) for row in page.of("peaks").rows}
    # A peer that a machine could not install has no row.
    assert found <= {(row[0], row[1]) for row in peaks.TABLE}
    memory = text.split("## Memory")[1].split("## Instructions")[0]
    for letter, contender in found:
        assert f"| {letter} | {contender} |" in memory


def test_peaks_are_of_the_contenders_that_are_timed() -> None:
    """A name that only one of them knows would leave its cell empty."""
    records = {
        "A": ("workload_a", "frameworks"),
        "B": ("workload_b",),
        "C": ("inference", "encoder"),
        "D": ("workload_d",),
    }
    timed = {
        letter: {row["contender"] for name in names for row in page.of(name).rows}
        for letter, names in records.items()
    }
    sources = {
        letter: "".join(
            (ROOT / "benches" / f"{n}.py").read_text("utf-8") for n in names if n != "encoder"
        )
        for letter, names in records.items()
    }
    for letter, contender, *_ in peaks.TABLE:
        if not page.is_ours(contender):
            assert contender in timed[letter] or f'"{contender}"' in sources[letter], contender


# ---- one go ----------------------------------------------------------------------------------------------------------


def test_one_go_runs_every_bench_that_writes_a_record() -> None:
    writers = {
        path.stem
        for path in (ROOT / "benches").glob("*.py")
        if '"--record"' in path.read_text(encoding="utf-8")
    }
    assert writers - {"everything"} == set(everything.available())
    assert sum(everything.BENCHES.values()) < 60
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nbench:")[1].split("\n\n")[0]
    assert "benches.everything" in recipe
    assert "benches.table" in recipe


def test_records_of_one_run_share_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "RECORDS", tmp_path)
    monkeypatch.setenv(timing.RUN, "2026-01-02 03:04")
    where = timing.setting(bp.__version__)
    for name in ("a", "b"):
        timing.write([{"case": "x"}], where, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "2026-01-02_0304_a.csv",
        "2026-01-02_0304_b.csv",
    ]
    monkeypatch.delenv(timing.RUN)
    assert timing.setting(bp.__version__)["date"] != "2026-01-02 03:04"


def test_every_bench_knows_the_options_that_make_it_small() -> None:
    for name in everything.available():
        source = (ROOT / "benches" / f"{name}.py").read_text(encoding="utf-8")
        for option in [*everything.QUICK.get(name, ["--quick"]), "--record"]:
            if option.startswith("--"):
                assert f'"{option}"' in source, (name, option)


def test_peers_of_every_workload_are_asked_for() -> None:
    """Those that the group `bench` pins, but for what only serves others."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    pinned = {re.split(r"[=>]", one)[0] for one in (*groups["bench"], *groups["bench-apart"])}
    serving = {"scipy", "vectorbt-rust", "safetensors", "onnx", "onnxscript"}
    assert {*everything.PEERS, "lib-pybroker"} - {"ray"} == pinned - serving
    assert set(everything.absent()) <= {*everything.PEERS, "lib-pybroker"}


def environment(folder: Path) -> dict[str, str]:
    return {timing.FOLDER: str(folder), timing.RUN: "2026-01-02 03:04"}


def test_what_fails_costs_its_own_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["workload_a", "frameworks", "labels", "audits"]
    pages = []

    def bench(command: list[str], _: dict[str, str], minutes: float) -> str:
        name = command[2].removeprefix("benches.")
        if name == "table":
            pages.append(command[3:])
            return ""
        assert command[3:] == ["--record"]
        assert minutes >= max(15.0, 4 * everything.BENCHES[name])
        if name == "frameworks":
            return "exit 3"
        if name == "audits":
            return ""
        (tmp_path / f"2026-01-02_0304_{name}.csv").write_text("", encoding="utf-8")
        return ""

    monkeypatch.setattr(everything, "ended", bench)
    told = everything.run(names, False, environment(tmp_path), 100.0)
    assert [line.split(": ")[0] for line in told] == [
        "done      workload_a",
        "failed    frameworks",
        "done      labels",
        "done      audits",
    ]
    assert told[0].endswith(", 2026-01-02_0304_workload_a.csv")
    assert "exit 3" in told[1]
    assert told[1].endswith("; its older record stays")
    assert told[3].endswith(", no record: left out")
    assert pages == [[]] * 3


def test_minutes_leave_out_what_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "ended", lambda *_: "")
    told = everything.run(["workload_d", "audits"], True, environment(tmp_path), 2.0)
    assert told[0] == "left out  workload_d: 7 minutes do not fit"
    assert told[1].startswith("done      audits")
    assert everything.chosen(["labels", "workload_a", "gpu"], ["gpu"]) == ["workload_a", "labels"]


def test_a_bench_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    env = dict(os.environ)
    assert everything.ended([sys.executable, "-c", ""], env, 1.0) == ""
    assert everything.ended([sys.executable, "-c", "raise SystemExit(3)"], env, 1.0) == "exit 3"
    written = tmp_path / "pid"
    hangs = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); "
        f"open({str(written)!r}, 'w').write(str(p.pid)); p.wait()"
    )
    told = everything.ended([sys.executable, "-c", hangs], env, 0.05)
    assert told == "ended after 0 minutes"
    pid = int(written.read_text())
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        # A zombie is nobody's burden: whoever adopted it has not looked yet.
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        raise AssertionError("what the bench started runs on")


def test_pages_without_any_record_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "RECORDS", tmp_path)
    text = page.render()
    assert "0 met, 0 missed" in text
    for names in (
        "`workload_a`, `frameworks`",
        "`workload_b`",
        "`inference`, `encoder`",
        "`workload_d`",
    ):
        assert f"Not measured yet: {names}." in text
    assert "| win |" not in text
    assert "## Memory" in text
    shown = table.render(table.PAGE.read_text(encoding="utf-8"))
    assert shown.count("Not measured yet.") == len(table.BLOCK.findall(shown))


def test_parity_makes_a_log_that_is_equal_before_it_is_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BARPROOF_DATA", raising=False)
    parity = importlib.import_module("benches.parity")
    listed, compared = parity.contenders(parity.SETS["20 features"], 3_000)
    assert listed[0].name == "parity"
    assert compared == 3_000 * 20


# ---- frameworks ------------------------------------------------------------------------------------------------------


def trades(*rows: tuple[float, float, float, float]) -> dict[str, Any]:
    names = ("entry_bar", "exit_bar", "entry_price", "exit_price")
    return dict(zip(names, np.array(rows).T, strict=True))


def test_trades_are_alike_in_bars_and_prices() -> None:
    mine = pl.DataFrame(trades((1, 4, 10.0, 11.0), (6, 9, 11.0, 12.0), (12, 13, 9.0, 9.5)))
    assert frameworks.compare(mine, trades((1, 4, 10.0, 11.0), (6, 9, 11.0, 12.0))) == (2, 3)
    assert frameworks.compare(mine, trades((1, 4, 10.0, 11.1), (6, 8, 11.0, 12.0))) == (0, 3)
    # One of theirs that we have not, and two of ours that they have not.
    assert frameworks.compare(mine, trades((2, 4, 10.0, 11.0), (6, 9, 11.0, 12.0))) == (1, 4)


def test_a_framework_that_does_another_job_stops_the_bench() -> None:
    mine = pl.DataFrame(trades((1, 4, 10.0, 11.0), (6, 9, 11.0, 12.0)))
    row = np.zeros((1, 4))
    told = frameworks.reconciled("a peer", row, [trades((1, 4, 10.0, 11.0), (6, 9, 11.0, 12.0))], [mine])  # fmt: skip
    assert told == "2 of 2 trades alike in bars and prices"
    with pytest.raises(SystemExit, match="it does another job, nothing is timed"):
        frameworks.reconciled("a peer", row, [trades((1, 5, 10.0, 11.0))], [mine])


@pytest.mark.parametrize("name", ["backtesting.py", "akquant", "pybroker"])
def test_frameworks_make_our_trades(name: str) -> None:
    """On a small market, as far as their semantics are ours; see `benches/frameworks.py`."""
    market = workload.make(6_000, 3)
    try:
        peer = frameworks.PEERS[name](market)
    except ImportError as missing:
        pytest.skip(str(missing))
    rows = workload.product("dense")[workload.FEW][:2].copy()
    rows[:, 0] -= 0.1
    theirs = peer.run(rows)
    if hasattr(peer, "close"):
        peer.close()
    candles, signals = market.candles(), frameworks.signals_of(market)
    counts = [
        frameworks.compare(frameworks.ours(candles, signals, row), found)
        for row, found in zip(rows.tolist(), theirs, strict=True)
    ]
    alike, either = (sum(column) for column in zip(*counts, strict=True))
    assert either > 150
    # backtesting.py looks at stops on the bar of the entry, as we do; the others begin a bar later.
    assert alike >= (0.98 if name == "backtesting.py" else frameworks.ALIKE) * either


# ---- instructions ----------------------------------------------------------------------------------------------------


def test_counts_beyond_the_bound_are_named() -> None:
    before = {("grid", "avx2"): 1_000_000, ("grid", "portable"): 2_000_000, ("gone", "avx2"): 5}
    now = {("grid", "avx2"): 1_021_000, ("grid", "portable"): 2_039_000, ("new", "avx2"): 7}
    assert instructions.judged(now, before) == [
        "grid on avx2: 1,021,000 instructions, +2.1% from 1,000,000",
        "gone on avx2: in the baseline, and no longer a workload",
        "new on avx2: not in the baseline",
    ]
    fewer = {**before, ("grid", "avx2"): 970_000}
    assert instructions.judged(fewer, before) == [
        "grid on avx2: 970,000 instructions, -3.0% from 1,000,000"
    ]
    assert instructions.judged(before, before) == []


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`make instructions` with counts of our choice: all but the compiler and callgrind."""
    counts, made_by = instructions.read()
    baseline = tmp_path / "instructions.csv"
    instructions.write(counts, made_by, baseline)
    program = tmp_path / "program"
    program.write_bytes(b"x")
    monkeypatch.setattr(instructions, "ROOT", tmp_path)
    monkeypatch.setattr(instructions, "BASELINE", baseline)
    monkeypatch.setattr(instructions, "read", lambda path=baseline: READ(path))
    monkeypatch.setattr(
        instructions, "write", lambda c, by, path=baseline: instructions_write(c, by, path)
    )
    monkeypatch.setattr(instructions, "built", lambda: program)
    monkeypatch.setattr(instructions.shutil, "which", lambda _: "/usr/bin/valgrind")

    def judge(now: dict[tuple[str, str], int], by: str = made_by, *options: str) -> None:
        monkeypatch.setattr(instructions, "compiler", lambda: by)
        monkeypatch.setattr(instructions, "counted", lambda _: now)
        monkeypatch.setattr(sys, "argv", ["instructions", *options])
        instructions.main()

    return judge


READ, instructions_write = instructions.read, instructions.write


def test_counts_are_compared_with_the_baseline(
    counting: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _ = READ()
    counting(before)
    assert capsys.readouterr().out == "every workload is within 2% of the baseline\n"
    key, was = next(iter(before.items()))
    more = {**before, key: round(1.03 * was)}
    with pytest.raises(SystemExit) as ended:
        counting(more)
    assert str(ended.value.code).startswith("instructions changed: where that is meant, run")
    told = capsys.readouterr().out
    assert told.startswith(f"{key[0]} on {key[1]}: {more[key]:,} instructions, +3.0% from {was:,}")
    # Another compiler makes other code: shown, and not judged.
    counting(more, "rustc 9.9.9 here")
    told = capsys.readouterr().out
    assert "+3.0%" in told
    assert "not judged: the baseline is of rustc " in told
    counting(more, READ()[1], "--update")
    capsys.readouterr()
    counting(more)
    assert "within 2%" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        counting(before)


def test_the_baseline_has_every_workload_on_both_paths(tmp_path: Path) -> None:
    source = (ROOT / "rust/core/benches/instructions.rs").read_text(encoding="utf-8")
    listed = source.split("const WORKLOADS")[1].split("];")[0]
    names = re.findall(r'\("([^"]+)", ', listed)
    counts, made_by = instructions.read()
    assert len(names) > 5
    assert set(counts) == {(name, path) for name in names for path in instructions.PATHS}
    assert all(count > 100_000 for count in counts.values())
    assert made_by.startswith("rustc ")
    instructions.write(counts, made_by, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == instructions.BASELINE.read_bytes()
