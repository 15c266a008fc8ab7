"""One call for every message that the candle code raises: (name, call, class, message)."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

from barproof.candles import Candles, Instrument, align, read_candles, resample
from barproof.candles.simulate import simulate_candles
from barproof.errors import CandleError, FileError, FundingError, LayoutError, ParameterError

START = 1_704_067_200_000  # 2024-01-01
HOUR = 3_600_000


def columns(n: int = 4, step: int = HOUR, start: int = START) -> dict[str, Any]:
    """Candles without a fault, as a mapping."""
    return {
        "open_time": [start + i * step for i in range(n)],
        "open": [10.0] * n,
        "high": [11.0] * n,
        "low": [9.0] * n,
        "close": [10.5] * n,
        "volume": [1.0] * n,
    }


def read(source: Any = None, *, instrument: Any = "spot", **options: Any) -> Candles:
    source = columns() if source is None else source
    return read_candles(source, instrument=instrument, **options)


def perpetual(funding: Any, **options: Any) -> Candles:
    return read(instrument="perpetual", funding=funding, **options)


def funding(**changes: Any) -> dict[str, Any]:
    """Build settlements that fit :func:`columns`."""
    rows = {"funding_time": [START, START + 2 * HOUR], "funding_rate": [1e-4, 2e-4]}
    return {key: value for key, value in {**rows, **changes}.items() if value is not None}


def with_file(name: str, data: bytes | dict[str, bytes]) -> Candles:
    """Read a file with these bytes, or an archive with these members."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for member, content in data.items():
                    archive.writestr(member, content)
        return read(path)


def without_calendars() -> Candles:
    with patch.dict(sys.modules, {"exchange_calendars": None}):
        return read(instrument="equity", calendar="XNYS")


def two_symbols() -> dict[str, Any]:
    return {**columns(), "symbol": ["AAA", "AAA", "BBB", "BBB"]}


EXAMPLES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "instrument_kind",
        lambda: Instrument("perpetul"),  # type: ignore[arg-type]
        ParameterError,
        "`kind` of an instrument must be one of perpetual, spot, equity, fx, was "
        "'perpetul'; did you mean 'perpetual'?",
    ),
    (
        "instrument_bound",
        lambda: Instrument("spot", maintenance=1.0),
        ParameterError,
        "`maintenance` of an instrument must be in [0, 1), was 1.0",
    ),
    (
        "instrument_lot",
        lambda: Instrument("spot", lot=-1.0),
        ParameterError,
        "`lot` of an instrument must be >= 0 and finite, was -1.0",
    ),
    (
        "instrument_number",
        lambda: Instrument("spot", lot="x"),  # type: ignore[arg-type]
        LayoutError,
        "`lot` of an instrument must be a number, was 'x'",
    ),
    (
        "instrument_type",
        lambda: read(instrument=3),
        LayoutError,
        "`instrument` must be one of perpetual, spot, equity, fx or an Instrument, was int",
    ),
    (
        "interval_type",
        lambda: read(interval=5),
        LayoutError,
        '`interval` must be text such as "5m" or a timedelta, was int',
    ),
    (
        "interval_value",
        lambda: read(interval="5M"),
        ParameterError,
        '`interval` must be a number > 0 and a unit of ms, s, m, h, d, w such as "5m" or '
        "\"1h\", was '5M'",
    ),
    (
        "interval_short",
        lambda: read(columns(2)),
        ParameterError,
        '`interval` cannot be inferred from 2 different times: pass interval=, such as "5m"',
    ),
    (
        "on_fault",
        lambda: read(on_fault="raises"),
        ParameterError,
        "`on_fault` must be one of raise, warn, ignore, strict, was 'raises'; did you "
        "mean 'raise'?",
    ),
    (
        "symbol",
        lambda: read(symbol=""),
        LayoutError,
        "`symbol` must be text that is not empty, was ''",
    ),
    (
        "calendar_type",
        lambda: read(calendar=7),
        LayoutError,
        '`calendar` must be "24/7", "sessions" or the name of an exchange calendar, was int',
    ),
    (
        "calendar_name",
        lambda: read(calendar="XNYSE"),
        ParameterError,
        '`calendar` must be "24/7", "sessions" or an exchange calendar such as "XNYS", '
        "was 'XNYSE'; did you mean XNYS, NYSE, XTSE?",
    ),
    (
        "calendar_missing",
        without_calendars,
        ParameterError,
        '`calendar` \'XNYS\' is neither "24/7" nor "sessions", and exchange calendars are '
        "not installed: pip install 'barproof[calendars]'",
    ),
    (
        "session_span",
        lambda: read(
            columns(3, 60_000) | {"open_time": [START, START + 60_000, START + 120_000 * 10**8]},
            instrument="equity",
            interval="1m",
        ),
        ParameterError,
        "candles of 1m from 2024-01-01 00:00 to 2404-04-06 21:20 span 200000001 slots, "
        "more than 100000000: check the times, or read a shorter period",
    ),
    (
        "repair_type",
        lambda: read(repair=[1]),
        LayoutError,
        "`repair` must be names of repairs, holds int",
    ),
    (
        "repair_name",
        lambda: read(repair="sorted"),
        ParameterError,
        "`repair` 'sorted' does not exist; did you mean 'sort'?; there are "
        "drop_non_finite, drop_non_positive, drop_negative_volume, sort, snap_to_grid, "
        "drop_off_grid, drop_identical, keep_last, keep_first, fix_ohlc, clip_wicks, "
        "drop_zero_volume, fill_gap, longest_segment",
    ),
    (
        "repair_fill",
        lambda: read(columns(3, 24 * HOUR), interval="1ms", repair="fill_gap"),
        ParameterError,
        "`repair` 'fill_gap' would make 172799998 bars of 1ms beside the 3 there are, "
        "more than 20000000: check `interval`",
    ),
    (
        "source_type",
        lambda: read(7),
        LayoutError,
        "`source` must be a path, a polars or pandas DataFrame, an Arrow table, a structured array or a "
        "mapping of columns, was int",
    ),
    (
        "file_absent",
        lambda: read("no_such_file.parquet"),
        FileError,
        "`source` file 'no_such_file.parquet' does not exist",
    ),
    (
        "file_folder",
        lambda: read("/"),
        FileError,
        "`source` '/' is a directory: give one of the files in it",
    ),
    (
        "file_extension",
        lambda: with_file("candles.xlsx", b""),
        FileError,
        "`source` file 'candles.xlsx' has an unknown extension: expected one of .parquet,"
        " .pq, .feather, .ipc, .arrow, .csv, .tsv, .txt, text also packed as .gz, .zip",
    ),
    (
        "file_broken",
        lambda: with_file("candles.csv.gz", b"no"),
        FileError,
        "`source` file 'candles.csv.gz' cannot be read as csv.gz: Not a gzipped file (b'no')",
    ),
    (
        "archive_members",
        lambda: with_file("c.zip", {"a.csv": b"", "b.csv": b""}),
        FileError,
        "`source` file 'c.zip' must hold one CSV, it holds a.csv, b.csv: unpack it",
    ),
    (
        "headerless",
        lambda: with_file("c.csv", b"1,2,3\n4,5,6\n"),
        FileError,
        "`source` file 'c.csv' has 3 columns and no header, which is no known layout: add"
        " a header line",
    ),
    (
        "symbols_many",
        lambda: read(two_symbols()),
        ParameterError,
        "source holds 2 symbols in column 'symbol' (AAA, BBB): choose one with `symbol=`",
    ),
    (
        "symbols_absent",
        lambda: read(two_symbols(), symbol="AAB"),
        ParameterError,
        "`symbol` 'AAB' is not in column 'symbol' of the source; nearest: AAA",
    ),
    (
        "mapping",
        lambda: read({**columns(), "volume": [1.0]}),
        LayoutError,
        "`source` mapping does not make a table: give columns of one length that hold "
        "numbers or times",
    ),
    (
        "column_twice",
        lambda: read({**columns(), "Close": [1.0] * 4}),
        LayoutError,
        "columns 'close' and 'Close' both mean 'close': drop or rename one",
    ),
    (
        "column_absent",
        lambda: read({"time": [1], "open": [1.0], "hgh": [1.0], "low": [1.0]}),
        LayoutError,
        "source lacks columns high, close; it has time, open, hgh, low; rename them (is "
        "'hgh' the high?)",
    ),
    (
        "column_text",
        lambda: read({**columns(), "open": ["1", "2", "x", "4"]}),
        LayoutError,
        "column 'open' holds text that is no number in row 2 (the first is 'x'): clean the source",
    ),
    (
        "column_kind",
        lambda: read({**columns(), "open": [date(2024, 1, 1)] * 4}),
        LayoutError,
        "column 'open' must hold numbers, holds Date",
    ),
    (
        "time_kind",
        lambda: read({**columns(), "open_time": [[1]] * 4}),
        LayoutError,
        "column 'open_time' must hold times, holds List(Int64)",
    ),
    (
        "time_text",
        lambda: read({**columns(), "open_time": ["2024-01-01", "01/02/2024", "2024-01-03", "x"]}),
        CandleError,
        "`open_time` of rows 1, 3 is no time (the first is '01/02/2024'): write ISO 8601 "
        "such as 2024-01-31 13:00 or an epoch in s, ms, us or ns",
    ),
    (
        "rows_none",
        lambda: read(pl.DataFrame(columns()).head(0)),
        CandleError,
        "source holds no rows: check the frame",
    ),
    (
        "rows_left",
        lambda: read({**columns(), "volume": [-1.0] * 4}, repair="drop_negative_volume"),
        CandleError,
        "no rows are left after the repairs (drop_negative_volume: 4 rows): check the source",
    ),
    (
        "faulty",
        lambda: read({**columns(), "close": [10.5, 12.0, float("nan"), 10.5]}),
        CandleError,
        "candles of UNKNOWN have 2 kinds of errors and 0 of warnings in 4 rows:\n"
        "  error non_finite: prices or volume not finite in row 2 (first 2024-01-01 "
        "02:00: open 10, high 11, low 9, close nan, volume 1); pass "
        'repair=["drop_non_finite"]\n'
        "  error ohlc: high or low does not hold open and close in row 1 (first "
        "2024-01-01 01:00: open 10, high 11, low 9, close 12, volume 1); pass "
        'repair=["fix_ohlc"] (widens high and low)\n'
        '  remedy: repair=["drop_non_finite", "fix_ohlc"]',
    ),
    (
        "faulty_strict",
        lambda: read({k: v for k, v in columns().items() if k != "volume"}, on_fault="strict"),
        CandleError,
        "candles of UNKNOWN have 0 kinds of errors and 1 of warnings in 4 rows:\n"
        "  warning no_volume: there is no volume column, read as 0; do not use features "
        "or labels that need volume\n"
        '  remedy: on_fault="raise" to accept warnings',
    ),
    (
        "funding_absent",
        lambda: read(instrument="perpetual"),
        FundingError,
        'a perpetual pays funding: give `funding=` (a path or a frame), or funding="none"'
        " to run without",
    ),
    (
        "funding_spot",
        lambda: read(funding=funding()),
        FundingError,
        "`funding` belongs to perpetuals, `instrument` is 'spot': leave it out",
    ),
    (
        "funding_attach_spot",
        lambda: read().with_funding(funding()),
        FundingError,
        "`funding` belongs to perpetuals, the candles are of kind 'spot': leave it out",
    ),
    (
        "funding_symbol",
        lambda: perpetual(funding(symbol=["ETHUSDT"] * 2), symbol="BTCUSDT"),
        FundingError,
        "`funding` is that of 'ETHUSDT', the candles are of 'BTCUSDT': give the funding "
        "of the same symbol",
    ),
    (
        "funding_column",
        lambda: perpetual(funding(funding_rate=None, rates=[1e-4, 2e-4])),
        FundingError,
        "`funding` lacks a column funding_rate; it has funding_time, rates; did you mean 'rates'?",
    ),
    (
        "funding_rate",
        lambda: perpetual(funding(funding_rate=[1e-4, float("nan")])),
        FundingError,
        "`funding_rate` is not finite in row 1 (first 2024-01-01 02:00): drop the rows or"
        " find the rates",
    ),
    (
        "funding_order",
        lambda: perpetual(funding(funding_time=[START + HOUR, START])),
        FundingError,
        "`funding_time` is out of order in row 1 (row 1: 2024-01-01 00:00 after "
        "2024-01-01 01:00, to the second): sort the funding and keep one row a time",
    ),
    (
        "funding_twice",
        lambda: perpetual(funding(funding_time=[START, START + 3])),
        FundingError,
        "`funding_time` is given twice in row 1 (row 1: 2024-01-01 00:00 after 2024-01-01"
        " 00:00, to the second): sort the funding and keep one row a time",
    ),
    (
        "funding_apart",
        lambda: perpetual(funding(funding_time=[START - 10**9, START - 9 * 10**8])),
        FundingError,
        "`funding` (2023-12-20 10:13:20 to 2023-12-21 14:00) covers none of the candles "
        "(2024-01-01 00:00 to 2024-01-01 03:00): give the funding of the same period, or "
        'funding="none" to run without',
    ),
    (
        "funding_frame",
        lambda: read().funding_frame(),
        FundingError,
        "candles of UNKNOWN carry no funding: attach it with `funding=` or with_funding",
    ),
    (
        "candles_by_hand",
        lambda: Candles(),
        LayoutError,
        "candles are not made by hand: use read_candles(frame, instrument=...), which "
        "takes frames and mappings of arrays too",
    ),
    (
        "candles_empty",
        lambda: read()[:0].start,
        CandleError,
        "candles of UNKNOWN hold no bars, so they have no start and no end: check the slice",
    ),
    (
        "slice_step",
        lambda: read()[::2],
        ParameterError,
        "candles are cut without a step, was 2: use resample for longer bars",
    ),
    (
        "index_type",
        lambda: read()["2024"],  # type: ignore[call-overload]
        LayoutError,
        "candles are indexed by a number or a slice, was str",
    ),
    (
        "index_array",
        lambda: read()[np.array([1, 2])],
        LayoutError,
        "candles are indexed by a number or a slice, was ndarray",
    ),
    (
        "slice_array",
        lambda: read()[np.array([1, 2]) :],
        LayoutError,
        "candles are cut at one position, was an array of 2: use one number",
    ),
    (
        "lazy_file",
        lambda: read(pl.scan_parquet("absent.parquet")),
        FileError,
        "`source` is a LazyFrame that cannot be collected: No such file or directory (os error 2): absent.parquet",
    ),
    (
        "repair_type",
        lambda: read(repair=3),
        LayoutError,
        "`repair` must be a name or a list of names, was int: there are drop_non_finite, drop_non_positive, "
        "drop_negative_volume, sort, snap_to_grid, drop_off_grid, drop_identical, keep_last, keep_first, fix_ohlc, "
        "clip_wicks, drop_zero_volume, fill_gap, longest_segment",
    ),
    (
        "index_range",
        lambda: read()[4],
        IndexError,
        "bar 4 does not exist: the candles hold 4 bars",
    ),
    (
        "slice_text",
        lambda: read()["today":],
        ParameterError,
        "candles are cut by positions or ISO 8601 times, was 'today': write \"2024-01-31\" "
        'or "2024-01-31 13:00"',
    ),
    (
        "slice_type",
        lambda: read()[1.5:],
        LayoutError,
        "candles are cut by positions, datetimes or ISO 8601 text, was float",
    ),
    (
        "resample_multiple",
        lambda: resample(read(), "90m"),
        ParameterError,
        "`interval` must be a multiple of the candles' 1h, was 90m",
    ),
    (
        "resample_short",
        lambda: resample(read(), "1d"),
        CandleError,
        "candles of UNKNOWN (4 bars of 1h) hold not one complete bar of 1d: use more bars"
        " or a shorter interval",
    ),
    (
        "align_how",
        lambda: align([read()], how="outer"),  # type: ignore[arg-type]
        ParameterError,
        '`how` must be "inner" or "fill", was \'outer\'',
    ),
    (
        "align_none",
        lambda: align([]),
        ParameterError,
        "`candles` holds none: give a dict or a list of Candles",
    ),
    (
        "align_alone",
        lambda: align(None),  # type: ignore[arg-type]
        LayoutError,
        "`candles` must be a dict or a list of Candles, was NoneType",
    ),
    (
        "align_type",
        lambda: align({"A": columns()}),  # type: ignore[dict-item]
        LayoutError,
        "`candles` must hold Candles, 'A' is dict",
    ),
    (
        "align_twice",
        lambda: align([read(), read()]),
        ParameterError,
        "`candles` holds 'UNKNOWN' more than once: give a dict with a name for each",
    ),
    (
        "align_interval",
        lambda: align({"A": read(), "B": read(columns(4, 2 * HOUR))}),
        ParameterError,
        "`candles` must share one interval, were A 1h, B 2h: resample to 2h first",
    ),
    (
        "align_apart",
        lambda: align({"A": read(), "B": read(columns(start=START + 9 * HOUR))}),
        CandleError,
        "`candles` have no time in common (A 2024-01-01 00:00 to 2024-01-01 03:00; B "
        "2024-01-01 09:00 to 2024-01-01 12:00): give candles of the same period",
    ),
    (
        "interval_wrong",
        lambda: read_candles(columns(30), instrument="spot", interval="5m"),
        ParameterError,
        "`interval` is 5m, but most bars are 1h apart: leave it out, or resample after reading",
    ),
    (
        "simulate_whole",
        lambda: simulate_candles(1.5),  # type: ignore[call-overload]
        LayoutError,
        "`seed` must be a whole number, was 1.5",
    ),
    (
        "simulate_seed",
        lambda: simulate_candles(-1),
        ParameterError,
        "`seed` must be in [0, 2**64), was -1",
    ),
    (
        "simulate_bars",
        lambda: simulate_candles(1, bars=0),
        ParameterError,
        "`bars` must be at least 1, was 0",
    ),
    (
        "simulate_number",
        lambda: simulate_candles(1, edge="big"),  # type: ignore[call-overload]
        LayoutError,
        "`edge` must be a number, was 'big'",
    ),
    (
        "simulate_edge",
        lambda: simulate_candles(1, edge=1.5),
        ParameterError,
        "`edge` must be in [0, 1), was 1.5",
    ),
    (
        "simulate_end",
        lambda: simulate_candles(1, bars=10_000, interval="52w"),
        ParameterError,
        "`bars` must end before the year 10000, was 10000 of 31449600000 ms from "
        "2021-11-01 00:00: ask for fewer or shorter bars",
    ),
    (
        "simulate_symbols",
        lambda: simulate_candles(1, symbols="BTC"),
        LayoutError,
        '`symbols` must be a list of names such as ["BTC", "ETH"], was \'BTC\'',
    ),
    (
        "simulate_no_symbols",
        lambda: simulate_candles(1, symbols=[]),
        ParameterError,
        "`symbols` must name at least one market, was empty",
    ),
    (
        "simulate_symbol",
        lambda: simulate_candles(1, symbols=[""]),
        LayoutError,
        "`symbols` must hold texts that are not empty, held ''",
    ),
    (
        "simulate_twice",
        lambda: simulate_candles(1, symbols=["A", "A"]),
        ParameterError,
        "`symbols` must differ, 'A' is given more than once",
    ),
    (
        "simulate_start",
        lambda: simulate_candles(1, start="soon"),
        ParameterError,
        '`start` must be an ISO 8601 time, was \'soon\': write "2022-01-31" or "2022-01-31 13:00"',
    ),
    (
        "simulate_start_type",
        lambda: simulate_candles(1, start=5),  # type: ignore[call-overload]
        LayoutError,
        "`start` must be ISO 8601 text, a date or a datetime, was int",
    ),
]
