"""Manifests of every kind of run: a folder that is copied elsewhere gives every number again, in a fresh process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.cli import main
from barproof.cli.manifest import KINDS, SCHEMA, frame_digest, reproduce
from tests.audits.claim_cases import toml

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]
STUDY = ["-f", "log_return(1)", "-f", "rsi(14)", "--label-bars", "6", "--label-threshold", "0.002"]
STUDY += ["-m", "logistic", "--train", "10d", "--tune", "3d", "--test", "3d", "--seed", "7"]
# Pages of the project that is verified, not of this one.
PAGE, OTHER = "page" + ".md", "other" + ".md"
PROJECT = """
[candles]
source = "{candles}"
instrument = "spot"
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
[grid]
together = [{{ entry_long = [0.2, 0.3], entry_short = [0.2, 0.3] }}]
axes = {{ stop_loss = [0.01, "none"] }}
"""


class Runs:
    """A folder a kind of run, made once and copied for each test."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files, self._folder = files, folder

    def __call__(self, kind: str) -> Path:
        """Copy the folder of a run into the working folder; gives its manifest."""
        source = self._folder / kind
        if not source.exists():
            self._make(kind, source)
        shutil.copytree(source, Path.cwd(), dirs_exist_ok=True)
        return Path(f"{kind}.json")

    def _make(self, kind: str, folder: Path) -> None:
        folder.mkdir()
        files = self._files
        for path in (files.candles, files.signals, files.funding):
            shutil.copy(path, folder)
        names = {str(p): p.name for p in (files.candles, files.signals, files.funding)}
        market = [names.get(word, word) for word in files.run]
        spot = [market[0], "-i", "spot"]
        if kind == "backtest":
            rules = [
                "-r",
                "entry_long+entry_short=1.5",
                "-r",
                "max_hold=24",
                "-r",
                "stop_loss=0.01",
            ]
            words = ["backtest", *market, *rules, "--trades", "trades.parquet"]
        elif kind == "sweep":
            axes = ["-a", "entry_long+entry_short=1.0,1.5,2.0", "-a", "stop_loss=0.005,0.02,none"]
            rows = ["--out", "rows.parquet", "--pooled", "pooled.csv"]
            words = ["sweep", *market, *axes, "-r", "max_hold=24", "--windows", "1w", *rows]
        elif kind == "train":
            words = ["train", *spot, *STUDY, "--out", "run"]
        else:
            (folder / "barproof.toml").write_text(PROJECT.format(candles=market[0]))
            words = ["audit", "--run"]
        before = Path.cwd()
        os.chdir(folder)
        try:
            code = main([*words, "--manifest", f"{kind}.json"])
        finally:
            os.chdir(before)
        # The audit of the chain may find what it likes: the manifest is that of the run.
        assert code == 0 or kind == "walk-forward"


@pytest.fixture(scope="module")
def runs(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(files, tmp_path_factory.mktemp("runs"))


def verify(folder: Path, *words: str) -> tuple[int, str]:
    """Verify in a process of its own, which knows nothing but the folder."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "barproof", "verify", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root / "python"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_folder_gives_every_number_again(
    kind: str, run: Run, runs: Runs, tmp_path: Path
) -> None:
    path = runs(kind)
    told = json.loads(path.read_text())
    assert (told["schema"], told["kind"]) == (SCHEMA, kind)
    assert told["reproduce"] == f"barproof verify {path}"
    # Nothing in it says where it was made.
    assert str(tmp_path) not in path.read_text()
    other = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    shutil.copytree(tmp_path, other)
    try:
        # What made it is gone: the project file, the ledger, the folder itself.
        for name in ("barproof.toml", ".barproof"):
            shutil.rmtree(other / name, ignore_errors=True)
            (other / name).unlink(missing_ok=True)
        assert verify(other, str(path)) == (0, f"{path}: every number is the same\n")
        # The same numbers again are no new trial.
        assert not (other / ".barproof").exists()
    finally:
        shutil.rmtree(other)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_run(kind: str, run: Run, runs: Runs, files: Files) -> None:
    told = json.loads(runs(kind).read_text())
    numbers = told["metrics"]
    candles = bp.read_candles(files.candles, instrument="spot")
    if kind == "sweep":
        frame = pl.read_parquet("rows.parquet")
        assert numbers["combinations"] == 9 and frame_digest(frame) == told["digests"]["frame"]
        pooled = pl.read_csv("pooled.csv").filter(pl.col("trades") > 0).sort("sharpe")
        assert numbers["best"]["combination"] == pooled["combination"][-1]
        assert numbers["best"]["sharpe"] == pytest.approx(pooled["sharpe"][-1], rel=1e-12)
    elif kind == "train":
        table = pl.read_parquet("run/predictions.parquet").filter(pl.col("part") == "test")
        p = table.select("p_-1", "p_0", "p_1").to_numpy()
        y = table["label"].to_numpy()
        known = ~np.isnan(y) & ~np.isnan(p[:, 0])
        hit = p[known][np.arange(known.sum()), (y[known] + 1).astype(int)]
        assert numbers["test"]["log_loss"]["value"] == pytest.approx(-np.log(hit).mean(), rel=1e-9)
        assert told["data"] == candles.digest
    elif kind == "walk-forward":
        assert numbers["combinations"] == 4 and len(numbers["choices"]) == numbers["folds"]


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("sweep", {"metrics/best/sharpe": 9.0}, "best/sharpe is "),
        ("sweep", {"metrics/combinations": 90}, "combinations is 9, was 90"),
        ("sweep", {"grid/groups/1/stop_loss": [0.005, 0.02, 0.03]}, "the grid are others"),
        ("sweep", {"costs/taker": 0.0}, "the frame are others"),
        ("sweep", {"windows": "2w"}, "the frame are others"),
        ("train", {"metrics/test/log_loss/value": 0.1}, "test/log_loss/value is "),
        ("train", {"study/labels/bars": 5}, "the labels of the predictions are not those of the rule"),
        ("train", {"study/features": ["log_return(1)"]}, "features"),
        ("train", {"bundles/digests/0": "0" * 64}, "bundle 0 is another"),
        ("walk-forward", {"metrics/sharpe": 9.0}, "sharpe is "),
        ("walk-forward", {"study/seed": 8, "metrics/trades": 1}, "trades is "),
        ("walk-forward", {"rules/max_hold": 6}, " is "),
        ("walk-forward", {"metrics/choices/0/combination": 77}, "choices/0/combination is "),
    ],
)  # fmt: skip
def test_what_was_edited_is_named(
    kind: str, change: dict[str, Any], says: str, run: Run, runs: Runs
) -> None:
    path = runs(kind)
    told = json.loads(path.read_text())
    for place, value in change.items():
        *steps, last = place.split("/")
        here = told
        for step in steps:
            here = here[int(step)] if isinstance(here, list) else here[step]
        here[int(last) if isinstance(here, list) else last] = value
    path.write_text(json.dumps(told))
    try:
        found = reproduce(path.absolute())
    except bp.BarproofError as error:
        found = [str(error)]
    assert found and any(says in text for text in found), found


@pytest.mark.parametrize("kind", ["sweep", "train"])
def test_an_artefact_that_was_edited_is_named(kind: str, run: Run, runs: Runs) -> None:
    """Also where its new digest is written into the manifest."""
    path = runs(kind)
    places = {"sweep": ("rows.parquet", "out"), "train": ("run/predictions.parquet", "predictions")}
    name, key = places[kind]
    frame = pl.read_parquet(name)
    column = "sharpe" if kind == "sweep" else "p_1"
    frame = frame.with_columns(pl.col(column) * 1.001)
    frame.write_parquet(name)
    assert reproduce(path.absolute())[0].startswith(f"{key} {name} is another file")
    assert run("verify", str(path))[0] == 1
    told = json.loads(path.read_text())
    told["outputs"][key]["sha256"] = hashlib.sha256(Path(name).read_bytes()).hexdigest()
    if kind == "train":
        told["digests"]["predictions"] = frame_digest(frame)
    path.write_text(json.dumps(told))
    found = reproduce(path.absolute())
    want = {"sweep": f"the table out {name} is not", "train": "predictions of fold 0 are not"}
    assert any(text.startswith(want[kind]) for text in found), found


def test_models_can_be_trained_again(run: Run, runs: Runs) -> None:
    path = runs("train")
    assert run("verify", str(path), "--retrain")[:2] == (
        0,
        "train.json: every number is the same\n",
    )
    # Another seed changes nothing of a logistic regression, another penalty does; the bundles are what they were.
    told = json.loads(path.read_text())
    told["study"]["model"]["params"]["C"] = 1e-6
    path.write_text(json.dumps(told))
    assert reproduce(path.absolute()) == []
    found = reproduce(path.absolute(), retrain=True)
    assert found and found[0].startswith("trained again, predictions of fold 0")


def test_a_folder_is_verified_as_a_whole(run: Run, run_json: RunJson, runs: Runs) -> None:
    path = runs("sweep")
    best = json.loads(path.read_text())["metrics"]["best"]
    record = {
        "id": "best",
        "value": f"{best['sharpe']:.2f}",
        "artefact": "sweep.json",
        "pointer": "/metrics/best/sharpe",
        "system": "v5",
    }
    Path("claims.toml").write_text(toml([record]))
    Path("docs").mkdir()
    Path("docs", PAGE).write_text(f"{best['sharpe']:.2f}<!-- claim: best --> is our best\n")
    Path("docs", OTHER).write_text("nothing is claimed here\n")
    _, document = run_json("verify", ".")
    assert document["manifests"] == {"sweep.json": []}
    assert document["claims"][0]["outcome"] == "agrees"
    Path("docs", PAGE).write_text("9.99<!-- claim: best --> is our best\n")
    code, out, _ = run("verify", ".", "--all")
    assert code == 1 and f"{PAGE}:1: the page prints 9.99" in " ".join(out.split())
    Path("empty").mkdir()
    code, _, err = run("verify", "empty")
    assert code == 2 and "holds neither claims.toml, nor pages" in err


def test_a_manifest_of_a_run_needs_its_run(run: Run, files: Files) -> None:
    code, _, err = run("train", files.candles, "-i", "spot", *STUDY, "--manifest", "m.json")
    assert code == 2 and "give `--out` FOLDER too" in err
    code, _, err = run("audit", files.candles, "-i", "spot", "--manifest", "m.json")
    assert code == 2 and "give `--run`" in err
    assert not Path("m.json").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        {"files": {"candles": {"path": "/etc/passwd", "sha256": ""}}},
        {"files": {"candles": {"path": "../../x", "sha256": ""}}},
        {"outputs": {"out": {"path": "/etc/passwd", "sha256": ""}}},
        {"outputs": 3},
        {"market": {}},
        {"costs": None, "study": None, "grid": {}, "window": None},
        {"bundles": {"path": "../..", "digests": ["0"]}, "grid": 3, "rules": 3, "window": [0]},
        {"study": {}, "grid": {"rules": {}, "groups": [{"x": [1]}]}, "signals": {}},
        {"metrics": [], "digests": 3},
        {"kind": "other"},
    ],
)  # fmt: skip
def test_a_hostile_manifest_can_at_worst_be_refused(
    kind: str, change: dict[str, Any], run: Run, runs: Runs
) -> None:
    path = runs(kind)
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **change}))
    with pytest.raises(bp.BarproofError) as caught:
        reproduce(path.absolute())
    assert str(caught.value).isprintable()
