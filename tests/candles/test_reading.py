"""Every kind of source reads as the same candles."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from barproof.candles import Candles, Instrument, read_candles
from barproof.candles.columns import times
from barproof.candles.interval import format_interval, parse_interval
from barproof.errors import DataWarning, FileError

N = 50
START = 1_704_067_200_000
STEP = 300_000


def frame() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, N)))
    opened = np.r_[100.0, close[:-1]]
    return pl.DataFrame(
        {
            "open_time": START + STEP * np.arange(N),
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": rng.uniform(1, 2, N),
        }
    )


def read(source: Any, **options: Any) -> Candles:
    return read_candles(source, instrument="spot", symbol="X", **options)


@pytest.fixture(scope="module")
def expected() -> Candles:
    return read(frame())


def epoch(unit: int) -> pl.DataFrame:
    return frame().with_columns(pl.col("open_time") * unit)


def moments(unit: Any = "ms", zone: str | None = "UTC") -> pl.DataFrame:
    return frame().with_columns(
        pl.col("open_time").cast(pl.Datetime("ms", zone)).dt.cast_time_unit(unit)
    )


def text(shape: str) -> pl.DataFrame:
    return moments().with_columns(pl.col("open_time").dt.strftime(shape))


def klines() -> pl.DataFrame:
    """Lay out candles like an archive of an exchange."""
    return frame().with_columns(
        close_time=pl.col("open_time") + STEP - 1,
        quote=pl.lit(5.0),
        count=pl.lit(7),
        taker=pl.lit(0.5),
        taker_quote=pl.lit(2.5),
        ignore=pl.lit(0),
    )


def index_frame(zone: str | None) -> Any:
    data = {name: frame()[name].to_numpy() for name in frame().columns[1:]}
    index = pd.DatetimeIndex(moments(zone=None)["open_time"].to_numpy())
    return pd.DataFrame(data, index=index.tz_localize("UTC").tz_convert(zone) if zone else index)


MEMORY = {
    "epoch ms": lambda: frame(),
    "epoch us": lambda: epoch(1_000),
    "epoch ns": lambda: epoch(1_000_000),
    "epoch s": lambda: frame().with_columns(pl.col("open_time") // 1_000),
    "epoch s as float": lambda: frame().with_columns(pl.col("open_time") / 1_000),
    "epoch of two units": lambda: frame().with_columns(
        pl.when(pl.int_range(pl.len()) < 20)
        .then("open_time")
        .otherwise(pl.col("open_time") * 1_000)
        .alias("open_time")
    ),
    "epoch as text": lambda: frame().with_columns(pl.col("open_time").cast(pl.String)),
    "moments": lambda: moments(),
    "moments in ns": lambda: moments("ns"),
    "moments without zone": lambda: moments("us", None),
    "moments of another zone": lambda: moments().with_columns(
        pl.col("open_time").dt.convert_time_zone("America/New_York")
    ),
    "iso": lambda: text("%Y-%m-%dT%H:%M:%SZ"),
    "iso with space": lambda: text("%Y-%m-%d %H:%M:%S+00:00"),
    "iso without seconds": lambda: text("%Y-%m-%d %H:%M"),
    "iso with fraction": lambda: text("%Y-%m-%d %H:%M:%S.000 UTC"),
    "dots": lambda: text("%Y.%m.%d %H:%M"),
    "compact": lambda: text("%Y%m%d %H%M%S"),
    "date and time apart": lambda: (
        text("%Y.%m.%d")
        .with_columns(Time=moments()["open_time"].dt.strftime("%H:%M"))
        .rename({"open_time": "Date"})
    ),
    "lazy": lambda: frame().lazy(),
    "short names": lambda: frame().rename(dict(zip(frame().columns, "tohlcv", strict=True))),
    "titles": lambda: frame().rename({c: c.title().replace("_", " ") for c in frame().columns}),
    "timestamp": lambda: frame().rename({"open_time": "timestamp"}),
    "marks around names": lambda: frame().rename({c: f"<{c.upper()}>" for c in frame().columns}),
    "numbers as text": lambda: frame().with_columns(pl.col("close").cast(pl.String)),
    "useless columns": lambda: frame().with_columns(
        close_time=pl.col("open_time") + 1, ignore=pl.lit(0), note=pl.lit("x")
    ),
    "mapping": lambda: {name: frame()[name].to_numpy() for name in frame().columns},
    "arrow": lambda: pa.table({n: frame()[n].to_numpy() for n in frame().columns}),
    "arrow batch": lambda: pa.RecordBatch.from_pydict(
        {n: frame()[n].to_numpy() for n in frame().columns}
    ),
    "pandas": lambda: pd.DataFrame({n: frame()[n].to_numpy() for n in frame().columns}),
    "pandas index": lambda: index_frame(None),
    "pandas index of a zone": lambda: index_frame("America/New_York"),
    "pandas text": lambda: pd.DataFrame(
        {n: text("%Y-%m-%d %H:%M")[n].to_list() for n in frame().columns}
    ),
    "pandas two levels": lambda: index_frame(None).set_axis(
        pd.MultiIndex.from_product([frame().columns[1:], ["X"]]), axis=1
    ),
}


@pytest.mark.parametrize("make", MEMORY.values(), ids=MEMORY.keys())
def test_memory(make: Any, expected: Candles) -> None:
    candles = read(make())
    assert candles.extra == {}
    assert candles == expected


def pack_zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.csv", data)


def csv(data: pl.DataFrame, **options: Any) -> bytes:
    written: str = data.write_csv(**options)
    return written.encode()


FILES: dict[str, tuple[str, Any]] = {
    "parquet": ("a.parquet", lambda p: moments().write_parquet(p)),
    "feather": ("a.feather", lambda p: moments().write_ipc(p)),
    "feather zstd": ("a.arrow", lambda p: moments().write_ipc(p, compression="zstd")),
    "csv": ("a.csv", lambda p: frame().write_csv(p)),
    "csv upper case": ("a.CSV", lambda p: frame().write_csv(p)),
    "tabs": ("a.tsv", lambda p: frame().write_csv(p, separator="\t")),
    "semicolons": ("a.txt", lambda p: frame().write_csv(p, separator=";")),
    "byte order mark": ("a.csv", lambda p: p.write_bytes(b"\xef\xbb\xbf" + csv(frame()))),
    "crlf": ("a.csv", lambda p: p.write_bytes(csv(frame(), line_terminator="\r\n"))),
    "banner": ("a.csv", lambda p: p.write_bytes(b"https://www.example.org\n" + csv(frame()))),
    "comment": ("a.csv", lambda p: p.write_bytes(b"# made by hand\n\n" + csv(frame()))),
    "gzip": ("a.csv.gz", lambda p: p.write_bytes(gzip.compress(csv(frame())))),
    "zip": ("a.zip", lambda p: pack_zip(p, csv(frame()))),
    "zip without header": ("a.zip", lambda p: pack_zip(p, csv(frame(), include_header=False))),
    "six fields": ("a.csv", lambda p: frame().write_csv(p, include_header=False)),
    "mt4": ("a.csv", lambda p: p.write_bytes(csv(mt4(), include_header=False))),
}


def mt4() -> pl.DataFrame:
    data = text("%Y.%m.%d").with_columns(clock=moments()["open_time"].dt.strftime("%H:%M"))
    return data.select("open_time", "clock", *frame().columns[1:])


@pytest.mark.parametrize(("name", "write"), FILES.values(), ids=FILES.keys())
def test_files(name: str, write: Any, expected: Candles, tmp_path: Path) -> None:
    write(tmp_path / name)
    assert read(tmp_path / name) == expected
    assert read(os.fspath(tmp_path / name)) == expected


@pytest.mark.parametrize("header", [True, False])
def test_exchange_archive(header: bool, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-5m-2024-01.csv"
    klines().write_csv(path, include_header=header)
    candles = read_candles(path, instrument="spot")
    assert candles.symbol == "BTCUSDT"
    assert candles.interval == "5m"
    assert len(candles) == N
    if not header:
        assert {k: float(v[0]) for k, v in candles.extra.items()} == {
            "quote_volume": 5.0,
            "trades": 7.0,
            "taker_buy_volume": 0.5,
            "taker_buy_quote_volume": 2.5,
        }


def test_other_columns_are_kept() -> None:
    data = frame().with_columns(
        pl.lit(3).alias("Number of trades"),
        pl.lit(2.0).alias("Quote asset volume"),
        pl.lit(1.5).alias("My Own"),
        pl.col("open").alias("ask_open"),
    )
    candles = read(data)
    assert set(candles.extra) == {"trades", "quote_volume", "my_own", "ask_open"}
    assert candles.to_polars().columns[6:] == ["ask_open", "my_own", "quote_volume", "trades"]
    assert candles.digest != read(frame()).digest


def test_volume_named_after_currencies() -> None:
    candles = read(
        frame().rename({"volume": "Volume XRP"}).with_columns(pl.lit(1.0).alias("Volume USDT"))
    )
    assert candles.volume[0] == frame()["volume"][0]
    assert list(candles.extra) == ["quote_volume"]


def test_missing_volume_reads_as_zero_and_is_recorded() -> None:
    candles = read(frame().drop("volume"))
    assert not candles.volume.any()
    assert [fault.code for fault in candles.faults] == ["no_volume"]


def test_symbol_column() -> None:
    both = pl.concat(
        [frame().with_columns(symbol=pl.lit("AAA")), frame().with_columns(symbol=pl.lit("BBB"))]
    )
    assert read_candles(both, instrument="spot", symbol="BBB").symbol == "BBB"
    assert len(read_candles(both, instrument="spot", symbol="BBB")) == N
    one = frame().with_columns(pair=pl.lit("BTC/USDT"))
    assert read_candles(one, instrument="spot").symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("binanceum_btcusdt_5m.parquet", "BTCUSDT"),
        ("us_spy_1d_raw.parquet", "SPY"),
        ("us_goog_1d_2004_2013.parquet", "GOOG"),
        ("BTC_USDT_USDT-5m-futures.feather", "BTCUSDT"),
        ("ETHUSDT-1m-2024-10.zip", "ETHUSDT"),
        ("oanda_eurusd_1h.parquet", "EURUSD"),
        ("reordered_newest_first_pages_adausdt_1m.parquet", "ADAUSDT"),
        ("candles.parquet", "UNKNOWN"),
    ],
)
def test_symbol_from_the_file_name(name: str, symbol: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".zip":
        pack_zip(path, csv(frame()))
    elif path.suffix == ".feather":
        frame().write_ipc(path)
    else:
        frame().write_parquet(path)
    assert read_candles(path, instrument="spot").symbol == symbol


def test_an_arrays_owner_cannot_change_candles() -> None:
    columns = {name: frame()[name].to_numpy().copy() for name in frame().columns}
    candles = read(columns)
    columns["close"][:] = 1.0
    assert candles == read(frame())
    with pytest.raises(ValueError, match="read-only"):
        candles.close[0] = 1.0


def test_given_interval_and_calendar() -> None:
    assert read(frame(), interval="5m").interval_ms == STEP
    assert read(frame(), interval=timedelta(minutes=5)) == read(frame())
    assert read(frame(), calendar="sessions") != read(frame())
    two = read(frame().head(2), interval="5m")
    assert len(two) == 2


def test_instrument_is_part_of_the_identity() -> None:
    limits = Instrument("spot", lot=0.1)
    assert read_candles(frame(), instrument=limits, symbol="X") != read(frame())


@pytest.mark.parametrize("junk", [b"", b"\x00" * 100, b"PAR1" + b"\x07" * 60 + b"PAR1", b"a,b\n1"])
@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.csv", "x.csv.gz", "x.zip"])
def test_junk_raises_our_errors(junk: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(junk)
    with pytest.raises((FileError, TypeError, ValueError)) as caught:
        read(tmp_path / name)
    assert type(caught.value).__module__ == "barproof.errors"


def test_truncated_archives(tmp_path: Path) -> None:
    data = gzip.compress(csv(frame()))
    (tmp_path / "x.csv.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileError, match=r"cannot be read as csv\.gz"):
        read(tmp_path / "x.csv.gz")


def test_near_file_names_are_suggested(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "btcusdt_5m.parquet")
    with pytest.raises(FileError, match=r"did you mean btcusdt_5m\.parquet"):
        read(tmp_path / "btcusdt_5n.parquet")


def test_days_as_numbers() -> None:
    days = times(pl.Series([20240131, 20240201]), "open_time")
    assert days.tolist() == [1_706_659_200_000, 1_706_745_600_000]


def test_times_below_a_millisecond_are_cut_off() -> None:
    assert times(pl.Series(["2024-01-01 00:00:00.123999"]), "t").tolist() == [START + 123]
    assert times(pl.Series(["2024-01-01T02:00:00+02:00"]), "t").tolist() == [START]
    assert times(pl.Series([datetime(2024, 1, 1, tzinfo=UTC)]), "t").tolist() == [START]


@pytest.mark.parametrize("text", ["1s", "5m", "1h", "4h", "1d", "1w", "250ms", "90s"])
def test_intervals_round_trip(text: str) -> None:
    assert format_interval(parse_interval(text)) == text


@pytest.mark.parametrize(
    ("text", "same"), [("1min", "1m"), ("60 minutes", "1h"), ("1D", "1d"), ("24hours", "1d")]
)
def test_interval_spellings(text: str, same: str) -> None:
    assert format_interval(parse_interval(text)) == same


def test_warn_and_ignore() -> None:
    faulty = frame().with_columns(high=pl.col("low"))
    with pytest.warns(DataWarning, match="error ohlc"):
        candles = read(faulty, on_fault="warn")
    assert [fault.code for fault in candles.faults] == ["ohlc"]
    assert read(faulty, on_fault="ignore") == candles


def test_import_is_light() -> None:
    code = (
        "import sys, barproof.candles\n"
        "heavy = {'pandas', 'pyarrow', 'scipy', 'pydantic', 'exchange_calendars', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pandas_datetimes_in_seconds_are_read() -> None:
    pd = pytest.importorskip("pandas")
    price = [100.0] * 50
    for zone in (None, "UTC", "America/New_York"):
        times = pd.date_range("2024-01-01", periods=50, freq="5min", tz=zone).as_unit("s")
        frame = pd.DataFrame(
            {"open_time": times, "open": price, "high": price, "low": price, "close": price}
        )
        candles = read_candles(frame, instrument="spot")
        assert candles.interval == "5m"
        offset = 5 * 3_600_000 if zone == "America/New_York" else 0
        assert candles.open_time[0] == 1_704_067_200_000 + offset
