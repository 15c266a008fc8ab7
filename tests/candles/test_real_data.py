"""Real candles: what the data folder's DATA.md states is what validation finds.

The folder is named by the variable BARPROOF_DATA; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from barproof.candles import Candles, Fault, align, read_candles
from barproof.candles.faults import STRUCTURAL
from barproof.candles.funding import read_funding
from barproof.errors import CandleError

FOLDER = os.environ.get("BARPROOF_DATA", "")
DATA = Path(FOLDER)

pytestmark = pytest.mark.skipif(not FOLDER, reason="BARPROOF_DATA names no data folder")


class Entry(NamedTuple):
    """One line of a table in DATA.md."""

    file: str
    symbol: str
    venue: str
    interval: str
    rows: int
    start: str
    end: str
    quality: str

    @property
    def kind(self) -> str:
        if "equity" in self.venue:
            return "equity"
        if "FX" in self.venue:
            return "fx"
        return "spot" if "spot" in self.venue else "perpetual"

    @property
    def dirty(self) -> bool:
        return self.file.startswith("dirty/")

    def read(self, **options: Any) -> Candles:
        if self.kind == "perpetual":
            options.setdefault("funding", "none")
        return read_candles(DATA / self.file, instrument=self.kind, **options)

    def faults(self, **options: Any) -> dict[str, Fault]:
        with pytest.raises(CandleError) as caught:
            self.read(**options)
        return {fault.code: fault for fault in caught.value.faults}


def entries() -> list[Entry]:
    if not FOLDER:
        return []
    found = []
    for line in (DATA / "DATA.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == 8 and re.search(r"\.(parquet|csv\.gz)$", cells[0]):
            file, symbol, venue, interval, rows, start, end, quality = cells
            count = int(rows.replace(",", ""))
            found.append(Entry(file, symbol, venue, interval, count, start, end, quality))
    return found


ENTRIES = entries()
CANDLES = [e for e in ENTRIES if "funding" not in e.file]
FUNDING = [e for e in ENTRIES if "funding" in e.file]
CLEAN = [e for e in CANDLES if not e.dirty]
ALWAYS = [e for e in CLEAN if e.kind in ("spot", "perpetual")]
DIRTY = {Path(e.file).name: e for e in CANDLES if e.dirty and e.file.endswith(".parquet")}
RAW = [e for e in CANDLES if e.file.endswith(".csv.gz")]


def name(entry: Entry) -> str:
    return entry.file


def listed_holes(file: str) -> list[tuple[str, str, int]]:
    """Read the holes of a file from DATA.md."""
    for line in (DATA / "DATA.md").read_text().splitlines():
        if line.startswith(f"- `{file}`: ") and "→" in line:
            found = re.findall(r"(\S+ \S+) → (\S+ \S+) \((\d+)\)", line)
            return [(before, after, int(absent)) for before, after, absent in found]
    return []


def test_every_file_is_tested() -> None:
    files = {str(p.relative_to(DATA)) for p in DATA.rglob("*") if p.suffix in (".parquet", ".gz")}
    assert {entry.file for entry in ENTRIES} == files
    assert len(FUNDING) >= 4
    assert len(DIRTY) >= 11


@pytest.mark.parametrize("entry", CLEAN, ids=name)
def test_clean_files(entry: Entry) -> None:
    candles = entry.read()
    assert (candles.symbol, candles.interval, len(candles)) == (
        entry.symbol,
        entry.interval,
        entry.rows,
    )
    assert f"{candles.start:%Y-%m-%d %H:%M}" == entry.start
    assert f"{candles.to_polars()['open_time'][-1]:%Y-%m-%d %H:%M}" == entry.end
    assert not [fault for fault in candles.faults if fault.severity == "error"]
    # Wild moves do happen; a list that is long is not read.
    wild = sum(fault.count for fault in candles.faults if fault.code in ("jump", "wick"))
    assert wild <= max(5, len(candles) / 1_500)
    no_volume = "mark" in entry.file or entry.file.startswith("oanda")
    assert ("no_volume" in {fault.code for fault in candles.faults}) == no_volume


@pytest.mark.parametrize("entry", ALWAYS, ids=name)
def test_holes_are_exactly_those_stated(entry: Entry) -> None:
    candles = entry.read()
    stated = re.search(r"gaps (\d+) \((\d+) bars\)", entry.quality)
    assert stated
    holes = candles.holes()
    assert (len(holes), holes["absent"].sum()) == (int(stated[1]), int(stated[2]))
    found = [(f"{b:%Y-%m-%d %H:%M}", f"{a:%Y-%m-%d %H:%M}", n) for b, a, n in holes.rows()]
    assert found == listed_holes(entry.file)
    faults = [fault for fault in candles.faults if fault.code == "hole"]
    assert [fault.count for fault in faults] == ([len(holes)] if len(holes) else [])
    if faults:
        times = candles.to_polars()["open_time"]
        assert [f"{times[row]:%Y-%m-%d %H:%M}" for row in faults[0].rows] == [h[1] for h in found]


def test_sessions_holes() -> None:
    by_file = {entry.file: entry for entry in CLEAN}
    assert len(by_file["us_spy_1h.parquet"].read().holes()) == 0
    # Two days closed by a hurricane are more than a holiday.
    storm = by_file["us_spy_1d.parquet"].read().holes()
    assert [f"{before:%Y-%m-%d}" for before in storm["before"]] == ["2012-10-26"]
    holes = by_file["oanda_eurusd_1h.parquet"].read().holes()
    found = [(f"{b:%Y-%m-%d %H:%M}", f"{a:%Y-%m-%d %H:%M}") for b, a, _ in holes.rows()]
    assert ("2016-12-09 21:00", "2016-12-16 05:00") in found
    assert len(found) < 15


@pytest.mark.parametrize(
    "file", ["us_spy_1d.parquet", "us_spy_1h.parquet", "us_goog_1d_2004_2013.parquet"]
)
def test_exact_calendar_finds_no_holes(file: str) -> None:
    pytest.importorskip("exchange_calendars")
    entry = next(entry for entry in CLEAN if entry.file == file)
    candles = entry.read(calendar="XNYS")
    assert len(candles.holes()) == 0
    assert "off_session" not in {fault.code for fault in candles.faults}


# What DATA.md says is wrong with each: codes, and words of their messages.
WRONG: dict[str, dict[str, str]] = {
    "binance_btcusdt_1m_offgrid_outage.parquet": {
        "off_grid": r"and 21597 more \(first 2017-12-04 06:00:20\.799\)",
        "long_hole": "1 hole of more than 24 hours.*2018-02-08 00:28 -> 2018-02-09 09:59",
        "missing_share": "in 6 holes",
        "stale_run": "2017-12-04",
    },
    "us_aapl_1d_raw.parquet": {
        "wick": "2009-09-21 00:00 low 10.59.*2011-01-03 00:00 low 32.65.*2010-08-31 00:00 low 25.3 ",
        "jump": "2014-06-09.*7:1 split.*2020-08-31.*4:1 split.*2005-02-28.*2:1.*2000-09-29.*2000-06-21",
    },
    "us_goog_1d_raw.parquet": {
        "wick": "2008-09-30 00:00 low 0.01 .*2007-12-18 00:00 low 67.5 ",
        "jump": "2014-04-03.*2:1 split",
    },
    "us_spy_1h_raw.parquet": {"wick": "2002-04-02 20:00 high 144.12"},
    "bybit_testnet_btcusdt_1m.parquet": {
        "missing_share": r"419724 of 524800 bars \(80\.0%\) are absent in 524 holes",
        "hole": "524 holes.*801 absent",
        "jump": "2024-10-15 03:50 close 70060 -> 159435",
        "wick": "high 147523 beside close 60337",
    },
    "bybit_pageholes_linkusdt_1m.parquet": {
        "missing_share": r"419724 of 524800 bars \(80\.0%\) are absent in 524 holes",
        "hole": "524 holes.*801 absent",
    },
    "reordered_newest_first_pages_adausdt_1m.parquet": {
        "disorder": "and 19895 more",
        "missing_share": "in 99 holes",
    },
    "bittrex_ltcbtc_5m_duplicates.parquet": {
        "duplicate_conflict": "1430 more.*the later row has more volume in 1435 of 1435",
        "long_hole": "1410 absent",
        "missing_share": "1418 of 50417 bars",
        "hole": "4 holes, 8 bars absent",
    },
    "bittrex_rddbtc_1m_illiquid.parquet": {
        "missing_share": "38157 of .* bars .* are absent in 10882 holes",
        "long_hole": "2018-03-05 05:42 -> 2018-03-20 06:44",
    },
    "concat_two_venues_btcusdt_5m.parquet": {
        "disorder": "time goes back at row 25920",
        "duplicate_conflict": "and 2758 more",
    },
    "binanceum_filusdt_1m_missing_month.parquet": {
        "long_hole": r"2023-06-30 23:59 -> 2023-08-01 00:00 \(44640 absent\)",
        "missing_share": "44640 of 220320 bars",
    },
}


def severity(file: str) -> Any:
    return "strict" if file.startswith("us_") else "raise"


def test_every_dirty_file_is_described() -> None:
    assert not FOLDER or set(WRONG) == set(DIRTY)


@pytest.mark.parametrize("file", WRONG)
def test_dirty_files_raise_and_name_their_faults(file: str) -> None:
    faults = DIRTY[file].faults(on_fault=severity(file))
    for code, words in WRONG[file].items():
        assert re.search(words, faults[code].message), faults[code].message
    if not file.startswith("us_"):
        assert {code for code, fault in faults.items() if fault.severity == "error"} <= set(
            WRONG[file]
        )


@pytest.mark.parametrize("file", WRONG)
def test_named_repairs_mend(file: str) -> None:
    entry = DIRTY[file]
    with pytest.raises(CandleError) as caught:
        entry.read(on_fault=severity(file))
    named = re.search(r"remedy: repair=(\[.*?\])", str(caught.value))
    assert named
    repairs = json.loads(named[1])
    if file.startswith("us_"):
        # Bad ticks are clipped; splits and closures have no repair.
        assert repairs == ["clip_wicks"]
        mended = entry.read(repair=repairs)
        assert {f.code for f in mended.faults} == {f.code for f in caught.value.faults} - {"wick"}
    else:
        mended = entry.read(repair=repairs)
        assert not [fault for fault in mended.faults if fault.severity == "error"]
    assert [text.split(":")[0] for text in mended.repairs] == repairs
    assert not STRUCTURAL & {fault.code for fault in mended.faults}


def test_duplicates_keep_the_final_bar() -> None:
    entry = DIRTY["bittrex_ltcbtc_5m_duplicates.parquet"]
    last = entry.read(repair="keep_last", on_fault="ignore")
    first = entry.read(repair="keep_first", on_fault="ignore")
    assert len(last) == len(first) == entry.rows - 1_435
    assert int((last.volume > first.volume).sum()) == 1_435


@pytest.mark.parametrize("entry", RAW, ids=name)
def test_raw_files_read_cleanly(entry: Entry) -> None:
    candles = entry.read()
    assert (candles.symbol, len(candles)) == (entry.symbol, entry.rows)
    assert not [fault for fault in candles.faults if fault.severity == "error"]
    assert len(candles.holes()) == 0


def test_raw_archive_equals_parquet() -> None:
    raw = read_candles(
        DATA / "dirty/raw_bybit_btcusdt_5m_iso8601.csv.gz", instrument="perpetual", funding="none"
    )
    assert raw == read_candles(
        DATA / "bybit_btcusdt_5m.parquet", instrument="perpetual", funding="none"
    )
    archive = next(e for e in RAW if "fil" in e.file).read()
    assert set(archive.extra) == {
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    }


@pytest.mark.parametrize("entry", FUNDING, ids=name)
def test_funding_files(entry: Entry) -> None:
    time, rate = read_funding(DATA / entry.file, entry.symbol)
    assert len(time) == len(rate) == entry.rows
    assert (time % 1_000 == 0).all()
    raw = pl.read_parquet(DATA / entry.file)["funding_time"].dt.epoch("ms").to_numpy()
    jittered = re.search(r"by some ms (\d+)", entry.quality)
    assert jittered
    assert int((raw % 1_000 != 0).sum()) == int(jittered[1])
    assert int(abs(raw - time).max()) <= 16
    assert (time % 3_600_000 == 0).all()


@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt", "solusdt", "wldusdt"])
def test_funding_is_attached(symbol: str) -> None:
    candles = read_candles(
        DATA / f"binanceum_{symbol}_1h.parquet",
        instrument="perpetual",
        funding=DATA / f"binanceum_{symbol}_funding.parquet",
    )
    assert not [fault for fault in candles.faults if fault.severity == "error"]
    funding = {f.code: f.message for f in candles.faults if f.code.startswith("funding")}
    # The first settlement there is came 39 hours after the first bar.
    assert list(funding) == (["funding_share"] if symbol == "btcusdt" else [])
    assert "99.9%" in funding.get("funding_share", "99.9%")
    joined = candles.funding_frame()
    assert joined["age"].drop_nulls().dt.total_hours().max() == 8
    late = candles["2025-08-01":]
    assert late.funding is not None
    assert late.funding_frame()["funding_rate"].null_count() == 0
    with pytest.raises(CandleError, match="warning funding_share"):
        read_candles(
            DATA / "binanceum_solusdt_1m_2023.parquet",
            instrument="perpetual",
            funding=pl.read_parquet(DATA / "binanceum_btcusdt_funding.parquet").filter(
                pl.col("funding_time") > pl.datetime(2023, 8, 1, time_zone="UTC")
            ),
            on_fault="strict",
        )


def test_five_minutes_make_the_hours_of_another_download() -> None:
    for symbol in ("btcusdt", "ethusdt", "wldusdt"):
        fine = read_candles(
            DATA / f"binanceum_{symbol}_5m.parquet", instrument="perpetual", funding="none"
        ).resample("1h")
        hours = read_candles(
            DATA / f"binanceum_{symbol}_1h.parquet", instrument="perpetual", funding="none"
        )
        both = align({"fine": fine, "hours": hours})
        assert len(both["fine"]) == len(fine)
        pair = [both[key].to_polars().drop("volume") for key in ("fine", "hours")]
        assert pair[0].equals(pair[1])
