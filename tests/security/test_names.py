"""Names of strangers: SQL, HTML and paths in symbols, kinds, reasons and cells; links that lead elsewhere."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import polars as pl
import pytest

import barproof as bp
from tests.helpers import simulated
from tests.live.market import COSTS, RULES, candles, folder, trained

SQL = (
    "x'); DROP TABLE runs;--",
    '"; DELETE FROM runs; --',
    "' OR '1'='1",
    "a' UNION SELECT * FROM sqlite_master--",
    "%s {0} ?",
)
HTML = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><svg/onload=alert(1)>",
)


@pytest.mark.parametrize("name", SQL)
def test_names_in_a_ledger_are_data(name: str, tmp_path: Path) -> None:
    ledger = bp.Ledger.open(tmp_path / "ledger.sqlite")
    bp.backtest(*simulated(300), bp.Rules(entry_long=1.0), costs=COSTS, ledger=ledger)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        tables = base.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    sealed = bp.seal(bp.simulate_candles(1, bars=300), from_=200)
    sealed.open(reason=f"because of {name}", ledger=ledger)
    assert ledger.verify() is None
    runs = ledger.runs()
    assert runs.height == 2
    assert name in runs["parameters"][1].replace('\\"', '"')
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        assert (
            base.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() == tables
        )


@pytest.mark.parametrize("name", SQL)
def test_names_in_a_live_log_are_data(name: str) -> None:
    of = candles()
    given = {"costs": COSTS, "symbol": name, "interval": "5m", "instrument": of.instrument}
    with folder() as place:
        for at in (1_000, 1_002):
            live = bp.LiveSession(
                trained().bundles[0],
                RULES,
                state=place / "s",
                candles=of[:1_000],
                **given,  # type: ignore[arg-type]
            )
            for bar in of[at : at + 2]:
                live.on_bar(bar)
            live.close()
        log = bp.LiveLog.read(place / "s")
        assert log.symbols == (name,)
        assert len(log) == 4


@pytest.mark.parametrize("name", HTML)
def test_names_in_every_page_are_text(name: str, tmp_path: Path) -> None:
    made = bp.simulate_candles(5, bars=400, edge=0.1)
    frame = made.to_polars()
    odd = bp.read_candles(frame, instrument="spot", symbol=name, on_fault="ignore")
    assert made.planted is not None
    signals = bp.Signals(long=made.planted, kind="score")
    result = bp.backtest(
        odd, signals, bp.Rules(entry_long=1.0, max_hold=9), costs=COSTS, ledger=False
    )
    report = bp.audit(
        result=result,
        candles=odd,
        trades=result.trades.with_columns(reason=pl.lit(name), symbol=pl.lit(name)),
        ledger=False,
        resample=False,
    )
    result.to_html(tmp_path / "r.html")
    report.to_html(tmp_path / "a.html")
    for page in (tmp_path / "r.html", tmp_path / "a.html"):
        text = page.read_text(encoding="utf-8")
        assert name not in text
        assert not any(tag in text for tag in ("<img src=x", "<svg/onload", "<script>alert"))
    assert "<script" not in report.to_markdown()


def test_a_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    """Who can place a link where a file will be written gains no file elsewhere."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    made = bp.simulate_candles(5, bars=300)
    for name in ("f.parquet", "f.npy", "r.html", "runs.csv"):
        (out / name).symlink_to(precious)
    bp.FeatureSet(["rsi(14)"]).compute(made, out=out / "f.parquet")
    bp.FeatureSet(["rsi(14)"]).matrix(made, out=out / "f.npy")
    ledger = bp.Ledger.open(tmp_path / "l.sqlite")
    result = bp.backtest(*simulated(300), bp.Rules(entry_long=1.0), costs=COSTS, ledger=ledger)
    result.to_html(out / "r.html")
    ledger.export(out / "runs.csv")
    assert precious.read_text() == "mine"
    assert not any(path.is_symlink() for path in out.iterdir())


def test_a_bundle_never_lands_in_another_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "bundle"
    os.symlink(elsewhere, link)
    with pytest.raises(bp.FileError, match="exists and is no bundle"):
        trained().bundles[0].save(link)
    assert not list(elsewhere.iterdir())
