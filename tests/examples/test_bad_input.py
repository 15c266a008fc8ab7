"""Each study without its extras, without disk, interrupted, and twice in the same folder."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import barproof as bp
from tests.examples.variants import FAST, VARIANTS, play

WANTS = {
    "s000_cross_market.study": "torch",
    "s001_raw_prices.study": "torch",
    "s002_all_up.study": "torch xgboost",
    "s003_flat.study": "torch",
    "s004_gating.study": "",
    "s004_gating.alternatives": "",
}
# What an interrupted run has kept, and what the next one does not make again.
KEPT = {
    ("s000_cross_market", "broken"): "net.safetensors",
    ("s000_cross_market", "mended"): "net.safetensors",
    ("s001_raw_prices", "broken"): "v6-BTC.pickle v7-BTC.pt",
    ("s001_raw_prices", "mended"): "v7-BTC/*",
    ("s002_all_up", "broken"): "forecasts.pickle",
    ("s002_all_up", "mended"): "lstm/*",
    ("s003_flat", "broken"): "net/*",
    ("s003_flat", "mended"): "net/*",
    ("s004_gating", "broken"): "fits/*",
    ("s004_gating", "mended"): "fits/*",
}


def wanted(name: str) -> None:
    """Skip where an extra of a study is not installed."""
    for package in WANTS[name].split():
        pytest.importorskip(package)


def script(name: str) -> Any:
    """One of the scripts."""
    return importlib.import_module(f"examples.{name}")


@pytest.mark.parametrize("name", WANTS)
def test_without_extras(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted(name)
    main, out, real = script(name).main, tmp_path / "out", importlib.util.find_spec
    for package in WANTS[name].split():
        with monkeypatch.context() as patched:
            patched.setattr(
                importlib.util,
                "find_spec",
                lambda asked, gone=package: None if asked == gone else real(asked),
            )
            assert main(["--broken", "--out", str(out)]) == 2
        told = capsys.readouterr().err
        assert f"needs {package}: pip install 'barproof[" in told and len(told.splitlines()) == 1
        assert not out.exists()


@pytest.mark.parametrize("name", WANTS)
def test_without_disk(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted(name)
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))
    assert script(name).main(["--mended", "--out", str(tmp_path / "out")]) == 2
    assert "free some, or name another folder with --out" in capsys.readouterr().err


@pytest.mark.parametrize("name", WANTS)
def test_twice_in_the_folder_of_another(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted(name)
    (tmp_path / "case.json").write_text('{"case": "x", "variant": "broken"}')
    assert script(name).main(["--mended", "--out", str(tmp_path)]) == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", sorted({case for case, _ in KEPT}))
def test_interrupted_and_twice(
    case: str,
    variant: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that was stopped before its audit goes on with what it had trained; one that is done is told again."""

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out, study = tmp_path / "out", script(f"{case}.study")
    options = [f"--{variant}", "--seed", str(FAST), "--out", str(out), "--quiet"]
    monkeypatch.setattr(bp, "audit", stop)
    assert study.main(options) == 130
    assert "the same command goes on with what is in" in capsys.readouterr().err
    held = {p: p.stat().st_mtime_ns for g in KEPT[case, variant].split() for p in out.glob(g)}
    assert held and not (out / "figures.json").exists()
    monkeypatch.undo()
    code, facts = play(case, variant, FAST, out)
    assert code in ((1,) if variant == "broken" else (0, 4))
    assert {p: p.stat().st_mtime_ns for p in held} == held
    done = (out / "figures.json").stat().st_mtime_ns
    assert study.main(options) == code
    assert "run before" in capsys.readouterr().err
    assert (out / "figures.json").stat().st_mtime_ns == done
    assert json.loads((out / "figures.json").read_text()) == facts
