"""`barproof portfolio`: what it prints and writes is what the library computes."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import barproof as bp
from barproof.cli.app import run
from tests.helpers import simulated
from tests.report.pages import Page


def files(folder: Path) -> tuple[dict[str, bp.Candles], dict[str, bp.Signals], list[str]]:
    """Two simulated markets on disk, and the arguments that name them."""
    candles, signals, arguments = {}, {}, []
    for seed, name in enumerate(("AAA", "BBB"), start=3):
        bars, made = simulated(2_000, seed)
        candles[name], signals[name] = bars._replace(symbol=name), made
        columns = ("open_time", "open", "high", "low", "close", "volume")
        pl.DataFrame({c: getattr(bars, c) for c in columns}).write_parquet(
            folder / f"{name}.parquet"
        )
        table = {"open_time": bars.open_time, "long": made["long"], "short": made["short"]}
        pl.DataFrame(table).write_parquet(folder / f"{name}_signals.parquet")
        arguments += [f"{name}={folder / name}.parquet"]
        arguments += ["--signals", f"{name}={folder / name}_signals.parquet"]
    return candles, signals, arguments


RULES = ["-r", "entry_long=1.5", "-r", "entry_short=1.5", "-r", "max_hold=24", "--taker", "0.0005"]
MARKET = ["--instrument", "perpetual", "--funding", "none", "--kind", "score"]


def test_json_is_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candles, signals, arguments = files(tmp_path)
    outputs = [
        "--trades",
        str(tmp_path / "t.parquet"),
        "--refused",
        str(tmp_path / "r.parquet"),
        "--report",
        str(tmp_path / "p.html"),
    ]
    code = run(
        ["portfolio", *arguments, *RULES, *MARKET, "--max-positions", "1", *outputs, "--json"]
    )
    shown = json.loads(capsys.readouterr().out)
    assert code == 0
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24)
    unfunded = {
        name: c._replace(funding_time=None, funding_rate=None, no_funding=True)
        for name, c in candles.items()
    }
    want = bp.portfolio(
        unfunded, signals, rules, costs=bp.Costs(taker=0.0005), max_positions=1, ledger=False
    )
    assert shown["metrics"]["final_equity"] == want.metrics["final_equity"]
    assert [row["symbol"] for row in shown["contribution"]] == ["AAA", "BBB"]
    assert sum(row["refused"] for row in shown["refused"]) == want.refused.height > 0
    assert pl.read_parquet(tmp_path / "t.parquet").height == want.metrics["trades"]
    missed = pl.read_parquet(tmp_path / "r.parquet")
    assert missed["pnl"].to_list() == want.missed()["pnl"].to_list()
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    for words in ("Contribution", "What was refused", "max_positions", "Correlation"):
        assert words in page.words
    assert "stackgroup" in json.dumps(page.data)


def test_text_names_what_each_symbol_gave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, arguments = files(tmp_path)
    assert run(["portfolio", *arguments, *RULES, *MARKET, "--max-gross", "0.5"]) == 0
    text = capsys.readouterr().out
    for words in ("account of AAA, BBB", "gross 0.5", "refused", "Sharpe Ratio"):
        assert words in text
