"""`barproof verify`, `audit --claims`, `backtest --manifest`: numbers that a third party computes again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import barproof as bp
from barproof.cli.manifest import SCHEMA, reproduce
from tests.audits.claim_cases import good, project, toml

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]


@pytest.fixture
def claims(tmp_path: Path) -> list[dict[str, Any]]:
    project(tmp_path)
    rows = good(tmp_path)
    (tmp_path / "claims.toml").write_text(toml(rows))
    return rows


def test_claims_are_computed_again(
    run: Run, run_json: RunJson, claims: list[dict[str, Any]]
) -> None:
    Path("README.md").write_text("60%<!-- claim: wins --> of the trades win\n")
    code, document = run_json("verify", "README.md")
    assert code == 0, document["report"]["reasons"]
    rows = {row["id"]: row["outcome"] for row in document["claims"]}
    assert rows["wins"] == "agrees" and rows["week"] == "unverified"
    code, out, _ = run("verify")
    assert code == 0 and "CLM-02 critical pass" in out
    Path("README.md").write_text("61%<!-- claim: wins --> of the trades win\n")
    code, out, _ = run("verify", "claims.toml", "README.md")
    assert code == 1 and "README.md:1: the page prints 61" in " ".join(out.split())
    claims[0]["value"] = "73.86"
    Path("claims.toml").write_text(toml(claims))
    code, document = run_json("verify")
    assert code == 1 and document["claims"][0]["outcome"] == "differs"
    assert document["claims"][0]["recomputed"] == pytest.approx(60.0)
    code, document = run_json("audit", "--claims", "claims.toml")
    assert code == 1
    assert {f["id"] for f in document["report"]["findings"] if f["outcome"] == "fail"} == {
        "CLM-02",
        "CLM-03",
    }
    Path("claims.toml").write_text("")
    assert run("verify")[0] == 4


def test_which_of_the_claimed_systems_ever_worked(
    run: Run, run_json: RunJson, tmp_path: Path
) -> None:
    returns = {
        "good": [0.02, -0.01] * 200,
        "bad": [0.01, -0.02] * 200,
        "few": [0.02, 0.01, -0.01],
    }
    rows: list[dict[str, Any]] = []
    for name, values in returns.items():
        pl.DataFrame({"return": values}).write_csv(tmp_path / f"{name}.csv")
        told = {"metric": "trades", "artefact": f"{name}.csv", "system": "v5", "model": name}
        rows.append({"id": name, "value": str(len(values)), "unit": "count", **told})
    rows.append({"id": "rumour", "value": "38.04", "unit": "percent", "system": "v4"})
    (tmp_path / "none.json").write_text('{"trades": 0}')
    none = {"artefact": "none.json", "pointer": "/trades", "system": "v5", "model": "month"}
    rows.append({"id": "none", "value": "0", "unit": "count", **none})
    (tmp_path / "claims.toml").write_text(toml(rows))
    _, document = run_json("verify", ".")
    held = {row["model"] or row["system"]: row for row in document["systems"]}
    assert {name: row["worked"] for name, row in held.items()} == {
        "good": True,
        "bad": False,
        "few": None,
        "v4": None,
        "month": None,
    }
    assert [held[name]["trades"] for name in ("good", "few", "v4")] == [400, 3, None]
    assert held["v4"]["unverified"] == 1 and held["month"]["because"] == "no trades were made"
    expected = "shown to have worked: v5 good of 5; 1 lost money, of 3 nothing is known"
    assert document["answer"] == expected
    _, out, _ = run("verify", ".")
    assert expected in out and "next for v5 bad: do not trade it" in out
    (tmp_path / "bad.csv").write_text("note\nx\n")
    _, document = run_json("verify", ".")
    assert document["systems"][1]["worked"] is None
    assert document["systems"][1]["next"] == "bring a table of its trades"


@pytest.fixture
def manifest(run_json: RunJson, files: Files, tmp_path: Path) -> Path:
    for path in (files.candles, files.signals, files.funding):
        shutil.copy(path, tmp_path)
    words = [
        Path(w).name if w in map(str, (files.candles, files.signals, files.funding)) else w
        for w in files.run
    ]
    rules = ["-r", "entry_long+entry_short=1.5", "-r", "max_hold=24", "-r", "stop_loss=0.01"]
    code, document = run_json("backtest", *words, *rules, "--manifest", "run.json")
    assert code == 0 and document["written"] == {"manifest": "run.json"}
    return tmp_path / "run.json"


def test_a_manifest_gives_every_number_again(run: Run, run_json: RunJson, manifest: Path) -> None:
    told = json.loads(manifest.read_text())
    assert told["schema"] == SCHEMA and told["reproduce"] == "barproof verify run.json"
    assert told["metrics"]["trades"] > 0
    assert reproduce(manifest) == []
    code, out, _ = run("verify", "run.json")
    assert (code, out) == (0, "run.json: every number is the same\n")
    # Somewhere else, by somebody else.
    other = manifest.parent / "copy"
    shutil.copytree(manifest.parent, other)
    assert reproduce(other / "run.json") == []
    # It is an artefact of claims, too.
    Path("claims.toml").write_text(
        toml(
            [
                {
                    "id": "n",
                    "value": told["metrics"]["trades"],
                    "unit": "count",
                    "artefact": "run.json",
                    "pointer": "/metrics/trades",
                }
            ]
        )
    )
    assert run_json("verify")[1]["claims"][0]["outcome"] == "agrees"


def test_an_edited_manifest_is_not_reproduced(run: Run, manifest: Path) -> None:
    told = json.loads(manifest.read_text())

    def edited(**more: Any) -> list[str]:
        manifest.write_text(json.dumps({**told, **more}))
        return reproduce(manifest)

    assert edited(metrics={**told["metrics"], "sharpe": 9.0})[0].startswith("sharpe is ")
    found = edited(rules={**told["rules"], "stop_loss": 0.02})
    assert found[0].startswith("the rules are others") and len(found) > 1
    assert edited(costs={**told["costs"], "taker": 0.0})
    assert run("verify", "run.json")[0] == 1
    assert edited() == []
    name = told["files"]["signals"]["path"]
    frame = pl.read_parquet(manifest.parent / name)
    frame.head(frame.height - 1).write_parquet(manifest.parent / name)
    assert edited()[0].startswith(f"signals {name} is another file")


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"candles": {"path": "/etc/passwd", "sha256": ""}}},
        {"files": {"candles": {"path": "../../x", "sha256": ""}}},
        {"files": {}},
        {"files": 3},
        {"window": "all"},
        {"rules": {"__class__": 1}},
        {"rules": {"entry_long": "1"}},
        {"market": {**dict.fromkeys(("symbol", "interval", "calendar")), "funding": "/etc/passwd"}},
        {"instrument": {"kind": "perpetual", "x": 1}},
        {"costs": {}},
        {"schema": "other"},
    ],
)  # fmt: skip
def test_a_hostile_manifest_can_at_worst_be_refused(manifest: Path, change: dict[str, Any]) -> None:
    told = json.loads(manifest.read_text())
    if "market" in change:
        told["files"].pop("funding", None)
    manifest.write_text(json.dumps({**told, **change}))
    with pytest.raises(bp.BarproofError):
        reproduce(manifest)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["a.txt"],
            "error: 'a.txt' is neither claims (.toml), a page (.md) nor a manifest (.json): rename it\n",
        ),
        (
            ["a.toml", "b.toml"],
            "error: two files of claims were named: verify them one after the other\n",
        ),
        (
            ["a.json"],
            "error: 'a.json' is no manifest: write one with `--manifest` of backtest, sweep, train or audit --run\n",
        ),
        (
            [],
            "error: there is no 'claims.toml' here: name the file of the claims, see docs/claims.md\n",
        ),
    ],
)
def test_what_cannot_be_verified(run: Run, files: list[str], message: str) -> None:
    code, _, err = run("verify", *files)
    assert (code, err) == (2, message)
