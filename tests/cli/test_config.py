"""``barproof.toml``: what it says is done, and the command line wins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from barproof.cli.config import Config, find_line, load_config
from barproof.errors import ConfigError

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"

TEXT = """\
[candles]
source = "data/simusdt_5m.parquet"
instrument = { kind = "perpetual", lot = 0.001 }
funding = "data/funding.parquet"

[signals]
source = "data/signals.parquet"
kind = "score"

[rules]
entry_long = 1.5
entry_short = "none"
max_hold = 24

[costs]
taker = 0.0005

[grid]
axes = { stop_loss = [0.01, "none"], entry_long = [1, 2] }

[sweep]
windows = "1w"
metric = "total_return"

[report]
path = "page.html"
"""


@pytest.fixture
def project(run: Run, files: Files) -> Path:
    """Folder `project` with configuration and data; the working directory is its parent."""
    folder = Path("project")
    (folder / "data").mkdir(parents=True)
    for path in (files.candles, files.funding, files.signals):
        shutil.copy(path, folder / "data")
    (folder / "barproof.toml").write_text(TEXT)
    return folder


def test_paths_are_relative_to_the_file(run_json: RunJson, project: Path) -> None:
    code, document = run_json("backtest", "--config", str(project / "barproof.toml"))
    assert code == 0
    assert document["rules"]["entry_long"] == 1.5
    assert document["rules"]["entry_short"] is None
    assert document["costs"]["taker"] == 0.0005
    assert (project / "page.html").exists()


def test_options_win(run_json: RunJson, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    words = ["--rule", "max_hold=12", "--taker", "0.001", "--report", "other.html"]
    code, document = run_json("backtest", *words)
    assert code == 0
    assert document["rules"]["max_hold"] == 12
    assert document["rules"]["entry_long"] == 1.5
    assert document["costs"]["taker"] == 0.001
    assert document["written"] == {"report": "other.html"}
    code, document = run_json("sweep", "--axis", "stop_loss=0.005")
    assert code == 0
    assert document["combinations"] == 2
    assert document["windows"] == 3
    assert document["metric"] == "total_return"
    assert {row["stop_loss"] for row in document["best"]} == {0.005}


def test_another_file_takes_no_funding_over(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    shutil.copy("data/simusdt_5m.parquet", "other.parquet")
    assert run("check")[0] == 0
    code, out, _ = run("check", "other.parquet")
    assert code == 0
    assert "none attached" in out
    code, _, err = run("backtest", "other.parquet")
    assert code == 2
    assert "give `--funding` PATH" in err


def test_an_error_is_code_2(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    Path("barproof.toml").write_text(TEXT.replace("taker", "taeker"))
    for command in ("check", "backtest", "sweep"):
        assert run(command) == (
            2,
            "",
            "error: barproof.toml, line 16: unknown key `taeker` in [costs]; did you mean taker or maker?\n",
        )


def test_no_file_is_an_empty_configuration(run: Run) -> None:
    assert load_config(None) == Config()


def test_the_reference_in_the_docs_loads(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    assert text is not None
    path = tmp_path / "barproof.toml"
    path.write_text(text[1], encoding="utf-8")
    config = load_config(path)
    for name, section in config:
        fields = getattr(type(section), "model_fields", {})
        absent = [field for field in fields if field not in section.model_fields_set]
        # Every key is shown; `free` stands in a comment, beside the rates it excludes, and `preset` beside the names.
        if name == "labels":
            # Those of other methods stand in comments.
            assert set(absent) == {"side", "rules", "primary", "lengths", "k"}
            assert all(f"\n# {field} = " in text[1] for field in absent)
            continue
        assert absent in ([], ["free"], ["preset"]), name


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [
        ("[a]\nx = 1\n[b]\nx = 2\n", ["b", "x"], 4),
        ("a.x = 1\nb.x = 2\n", ["b", "x"], 2),
        ("[a.b]\n\nc = 1\n", ["a", "b", "c"], 3),
        ("[a]\nb = { c = 1 }\n", ["a", "b", "c"], 2),
        ("[a]\nb = [\n  { c = 1 },\n  { d = 1 },\n]\n", ["a", "b", 1, "d"], 4),
        ("[a]\n# d = 1\nb = 2\n", ["a", "d"], 1),
        ("[a]\n'b' = 2\n", ["a", "b"], 2),
        ("", ["a"], 1),
        ("", [], 1),
    ],
)
def test_lines_of_keys(text: str, keys: list[Any], line: int) -> None:
    assert find_line(text, keys) == line


def test_windows_are_bar_numbers_or_times_and_nothing_like_them(tmp_path: Path) -> None:
    path = tmp_path / "barproof.toml"
    for text in ("[1.5, 3]", "[true, 3]", "[0, 1e3]", "[0, 10:00:00]"):
        for section, key, value in (
            ("backtest", "window", text),
            ("sweep", "windows", f"[[0, 5], {text}]"),
        ):
            path.write_text(f"[{section}]\n{key} = {value}\n")
            with pytest.raises(ConfigError, match="must hold bar numbers or times such as"):
                load_config(path)
    path.write_text(
        '[backtest]\nwindow = [2024-01-01, "2024-02-01"]\n[sweep]\nwindows = [[0, 5]]\n'
    )
    read = load_config(path)
    assert read.backtest.window == [date(2024, 1, 1), "2024-02-01"]
    assert read.sweep.windows == [[0, 5]]
