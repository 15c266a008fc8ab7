"""What the case studies share: refusals before anything runs, going on after a stop, the exit code of the audit."""

from __future__ import annotations

import errno
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples.s000_cross_market import study as s000

import barproof as bp
from examples import casework
from tests.examples.variants import hold

GOOD = np.tile([0.02, -0.01], 200)
CALLS: list[str] = []


def study(case: casework.Case) -> bp.Report:
    """A study of a few milliseconds, with one long step."""

    def train() -> str:
        CALLS.append("train")
        return "weights"

    text = case.once("net", train, lambda made, p: p.write_text(made), lambda p: p.read_text())
    case.say(f"trained {text}")
    case.figures["trades"] = len(GOOD)
    if CALLS[-1:] == ["stop"]:
        raise KeyboardInterrupt
    return bp.audit(trades=-GOOD if case.broken else GOOD)


def run(*options: str, **more: Any) -> int:
    return casework.main(study, codes=["ECO-02"], argv=options, **more)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    CALLS.clear()


def test_it_ends_with_the_code_of_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for variant, code in (("broken", 1), ("mended", 0)):
        out = tmp_path / variant
        assert run(f"--{variant}", "--out", str(out)) == code
        facts = json.loads((out / "figures.json").read_text())
        assert facts["figures"] == {"trades": 400}
        assert facts["said"] == capsys.readouterr().out.splitlines()
        assert bp.Report.from_json((out / "report.json").read_text()).exit_code == code
        others = set(facts["fired"]) - {"ECO-02"}
        hold(variant, code, facts, ["ECO-02"], also=others)
        assert bp.Ledger.open(out / "ledger.sqlite").runs().height == 1


def test_the_worst_of_several_reports_decides(tmp_path: Path) -> None:
    def many(case: casework.Case) -> dict[str, bp.Report]:
        return {"a": bp.audit(trades=GOOD), "b": bp.audit(trades=-GOOD)}

    options = ["--mended", "--out", str(tmp_path / "x")]
    assert casework.main(many, codes=["ECO-02"], argv=options) == 1
    facts = json.loads((tmp_path / "x" / "figures.json").read_text())
    assert facts["outcomes"]["ECO-02"] == "fail"
    assert {p.name for p in (tmp_path / "x").glob("report*")} == {"report-a.json", "report-b.json"}
    with pytest.raises(AssertionError):
        hold("mended", 1, facts, ["ECO-02"])


def test_a_finished_run_is_told_again_and_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--broken", "--out", str(tmp_path / "x")) == 1
    first = capsys.readouterr().out
    assert run("--broken", "--out", str(tmp_path / "x")) == 1
    again = capsys.readouterr()
    assert (again.out, CALLS) == (first, ["train"])
    assert "run before" in again.err


def test_a_stopped_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stops(case: casework.Case) -> bp.Report:
        found = study(case)
        if len(CALLS) == 1:
            CALLS.append("stopped")
            raise KeyboardInterrupt
        return found

    options = ["--mended", "--out", str(tmp_path / "x")]
    assert casework.main(stops, codes=["ECO-02"], argv=options) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert casework.main(stops, codes=["ECO-02"], argv=options) == 0
    assert CALLS == ["train", "stopped"]  # what was trained before is loaded


def test_models_keep_their_fits(tmp_path: Path) -> None:
    """A fit is made once for all runs in a folder, and is what the model itself would be."""
    told = casework.Told("x", "mended", "small", 7, None)
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 3)), np.arange(60.0) % 2
    rows = np.arange(60)
    plain = bp.models.GradientBoosting(max_iter=3, min_samples_leaf=5, max_features=0.5)

    def fitted(seed: int) -> Any:
        model = casework.Case(told, tmp_path).kept(plain).clone()
        return model.fit(X, y, kind="binary", rows=rows, ends=rows, seed=seed)

    def files() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in (tmp_path / "fits").iterdir()}

    first = fitted(1)
    kept = files()
    again = fitted(1)
    assert files() == kept and len(kept) == 1
    alone = plain.clone().fit(X, y, kind="binary", rows=rows, ends=rows, seed=1)
    for model in (first, again):
        assert type(model) is bp.models.GradientBoosting and model.params == plain.params
        assert (model.predict_proba(X) == alone.predict_proba(X)).all()
        # What was fitted is the plain model: its copies keep nothing.
        assert "clone" not in vars(model) and "fit" not in vars(model)
    assert (fitted(2).predict_proba(X) != alone.predict_proba(X)).any()
    assert len(files()) == 2


def test_two_scripts_of_one_case_have_folders_of_their_own() -> None:
    names = {
        casework.Told("x", "broken", "small", 7, None, script).name
        for script in ("study", "alternatives")
    }
    assert names == {"broken-small", "alternatives-broken-small"}


def test_a_record_of_an_earlier_script_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "study.py"
    source.write_text('"""Says."""\nx = 1\n')
    (tmp_path / "record").mkdir()
    mark = f"1 s (seed 7, script {casework.digest(tmp_path)})\n"
    (tmp_path / "record" / "a.txt").write_text(mark)
    # Comments and docstrings do nothing.
    source.write_text('"""Tells."""\n\nx = 1  # one\n')
    assert casework.stale(tmp_path) == []
    source.write_text("x = 2\n")
    assert casework.stale(tmp_path) == ["a"]


def test_a_study_may_record_what_commands_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(__file__).parent
    written: dict[str, str] = {}
    monkeypatch.setattr(casework, "_write", lambda path, text: written.update({str(path): text}))
    told = casework.Told("x", "mended", "small", 7, None)
    case = casework.Case(told, tmp_path)
    (tmp_path / "figures.json").write_text(
        '{"said": ["a "], "seconds": 1, "processor_seconds": 1, "peak_mb": 2, "machine": "m"}'
    )
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    casework._record(case, here, "0a1b2c3d", {"verify.txt": "b \n\n", "verify.svg": "<svg/>"})
    texts = {Path(path).name: text for path, text in written.items()}
    assert texts["mended-small.txt"].startswith(
        "a\n1 s, 1 s of processor, 2 MB at most (m, seed 7, script 0"
    )
    assert (texts["verify.txt"], texts["verify.svg"]) == ("b\n", "<svg/>\n")


def test_other_runs_and_files_in_the_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--mended", "--out", str(tmp_path / "x")) == 0
    assert run("--broken", "--out", str(tmp_path / "x")) == 2
    assert "holds another run (variant mended)" in capsys.readouterr().err
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "notes").touch()
    assert run("--broken", "--out", str(tmp_path / "y")) == 2
    assert "holds other files" in capsys.readouterr().err


def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else real(name)
    )
    assert run("--mended", "--out", str(tmp_path / "x"), extras=["torch"]) == 2
    assert "needs torch: pip install 'barproof[torch]'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))
    assert run("--mended", "--out", str(tmp_path / "x")) == 2
    assert "free some, or name another folder" in capsys.readouterr().err
    monkeypatch.undo()

    def full(case: casework.Case) -> bp.Report:
        raise OSError(errno.ENOSPC, "No space left on device", "net")

    options = ["--mended", "--out", str(tmp_path / "x")]
    assert casework.main(full, codes=["ECO-02"], argv=options) == 2
    told = capsys.readouterr().err
    assert "No space left on device (net)" in told and "what was finished is kept" in told
    assert run(*options) == 0


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run("--mended", "--out", str(tmp_path / "file" / "x")) == 2
    assert "name another folder with --out" in capsys.readouterr().err


def test_bad_candles_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reads(case: casework.Case) -> bp.Report:
        assert case.data is not None
        bp.read_candles(case.data / "absent.parquet", instrument="spot")
        raise AssertionError

    options = ["--mended", "--out", str(tmp_path / "x"), "--data", str(tmp_path)]
    assert casework.main(reads, codes=["ECO-02"], argv=options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("options", [[], ["--broken", "--mended"], ["--broken", "--seed", "-1"]])
def test_usage_is_told(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*options)
    assert "usage: " in capsys.readouterr().err


def test_the_edge_of_the_market_may_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[float] = []

    def market(case: casework.Case) -> bp.Report:
        seen.append(case.edge(0.3))
        return study(case)

    for i, options in enumerate([[], ["--edge", "0"], ["--edge", "0.25"]]):
        out = tmp_path / str(i)
        casework.main(
            market,
            codes=["ECO-02"],
            edge=True,
            argv=["--mended", "--quiet", "--out", str(out), *options],
        )
    assert seen == [0.3, 0.0, 0.25]
    assert casework.Told("x", "mended", "small", 7, None, "study", 0.25).name == (
        "mended-small-edge-0.25"
    )
    # Out of bounds; and of a study whose market is what it is.
    for options, edge in ((["--edge", "1"], True), (["--edge", "0.1"], False)):
        with pytest.raises(SystemExit, match="2"):
            casework.main(market, codes=[], edge=edge, argv=["--mended", *options])
    assert "--edge: must be from 0 to below 1, was 1" in capsys.readouterr().err


def test_what_would_be_left_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Candles for a study that simulates its own; an edge for candles that have theirs.
    wanted = ["--mended", "--data", str(tmp_path)]
    for options, more, told in (
        (wanted, {"real": False}, "unrecognized arguments: --data"),
        ([*wanted, "--edge", "0.1"], {"edge": True}, "leave out --edge or --data"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(*options, **more)
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        s000.main(wanted)
    assert "unrecognized arguments: --data" in capsys.readouterr().err


def test_recorded_figures_go_between_their_marks() -> None:
    marks = "<!-- figures: a -->{}<!-- end of figures -->"
    empty, full = marks.format("\n"), marks.format("\n```text\n1 of 2\n```\n")
    assert casework.fill(f"x {empty} y", {"a": "1 of 2\n"}) == f"x {full} y"
    assert casework.fill(full, {"a": "1 of 2\n"}) == full
    with pytest.raises(KeyError):
        casework.fill(empty, {})


def test_the_figures_of_the_readmes_are_those_that_the_scripts_recorded() -> None:
    for page in sorted(Path(casework.__file__).parent.glob("*/README.md")):
        text = page.read_text(encoding="utf-8")
        assert casework.fill(text, casework.records_of(page.parent)) == text, (
            f"{page}: run `python -m examples.casework`"
        )
