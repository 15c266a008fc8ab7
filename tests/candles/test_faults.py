"""Each fault is found, alone and among others, and named with its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from barproof.candles import Fault, read_candles
from barproof.candles.faults import REPAIR_ORDER, STRUCTURAL
from barproof.candles.interval import DAY, HOUR, MINUTE
from barproof.candles.repair import _REPAIRS
from barproof.errors import CandleError

START = 1_704_067_200_000


def market(n: int = 2_000, step: int = MINUTE, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))
    opened = np.r_[100.0, close[:-1]]
    return pl.DataFrame(
        {
            "open_time": START + step * np.arange(n),
            "open": opened,
            "high": np.maximum(opened, close) * 1.0005,
            "low": np.minimum(opened, close) * 0.9995,
            "close": close,
            "volume": rng.uniform(1, 2, n),
        }
    )


def change(data: pl.DataFrame, row: int, **values: float) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return data.with_columns(
        pl.when(here)
        .then(pl.lit(value))
        .otherwise(pl.col(name))
        .cast(data.schema[name])
        .alias(name)
        for name, value in values.items()
    )


def faults(data: pl.DataFrame, **options: Any) -> dict[str, Fault]:
    options = {"instrument": "spot", **options}
    try:
        found = read_candles(data, **options).faults
    except CandleError as error:
        found = error.faults
    return {fault.code: fault for fault in found}


def without(data: pl.DataFrame, start: int, stop: int) -> pl.DataFrame:
    return pl.concat([data[:start], data[stop:]])


def test_clean_market_has_none() -> None:
    assert faults(market()) == {}


CASES: dict[str, tuple[pl.DataFrame, tuple[int, ...]]] = {
    "disorder": (pl.concat([market()[:5], market()[6:7], market()[5:6], market()[7:]]), (6,)),
    "duplicate_identical": (pl.concat([market()[:8], market()[7:]]), (8,)),
    "duplicate_conflict": (change(pl.concat([market()[:8], market()[7:]]), 8, volume=9.0), (8,)),
    "off_grid": (change(market(), 3, open_time=START + 3 * MINUTE + 20_799), (3,)),
    "ohlc": (change(market(), 4, high=90.0), (4,)),
    "non_finite": (change(market(), 9, low=float("nan")), (9,)),
    "non_positive": (change(market(), 9, low=0.0), (9,)),
    "negative_volume": (change(market(), 1, volume=-1.0), (1,)),
    "missing_share": (without(market(), 100, 130), ()),
    "hole": (without(market(), 100, 110), (100,)),
    "long_hole": (without(market(200_000), 50_000, 51_441), (50_000,)),
    "jump": (
        market().with_columns(
            pl.exclude("open_time", "volume")
            * pl.when(pl.int_range(pl.len()) < 700).then(2.0).otherwise(1.0)
        ),
        (700,),
    ),
    "wick": (change(market(), 55, low=50.0), (55,)),
    "stale_run": (
        market().with_columns(
            pl.when(pl.int_range(pl.len()).is_between(100, 199)).then(v).otherwise(c).alias(c)
            for c, v in {
                "open": 100.0,
                "high": 100.0,
                "low": 100.0,
                "close": 100.0,
                "volume": 0.0,
            }.items()
        ),
        (101,),
    ),
    "no_volume": (market().drop("volume"), ()),
    "grid_offset": (
        market().with_columns(pl.col("open_time") + MINUTE - 1),
        tuple(range(20)),
    ),
    "crossed": (market().with_columns(ask_close=pl.col("close") - 0.1), tuple(range(20))),
}


@pytest.mark.parametrize(("code", "case"), CASES.items(), ids=CASES.keys())
def test_each(code: str, case: tuple[pl.DataFrame, tuple[int, ...]]) -> None:
    data, rows = case
    found = faults(data)
    assert code in found
    assert found[code].rows == rows
    assert found[code].remedy
    expected = (
        "error"
        if code in STRUCTURAL | {"off_grid", "ohlc", "long_hole", "missing_share"}
        else "warning"
    )
    assert found[code].severity == expected


@pytest.mark.parametrize("code", sorted(STRUCTURAL))
@pytest.mark.parametrize("on_fault", ["raise", "warn", "ignore", "strict"])
def test_structural_faults_always_raise(code: str, on_fault: Any) -> None:
    with pytest.raises(CandleError, match=f"error {code}: .*repair=") as caught:
        read_candles(CASES[code][0], instrument="spot", on_fault=on_fault)
    assert 'on_fault="warn"' not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["hole", "jump", "wick", "stale_run", "no_volume", "grid_offset", "crossed"]
)
def test_strict_raises_on_warnings(code: str) -> None:
    read_candles(CASES[code][0], instrument="spot")
    with pytest.raises(CandleError, match=f"warning {code}"):
        read_candles(CASES[code][0], instrument="spot", on_fault="strict")


def test_all_faults_in_one_pass() -> None:
    data = change(market(), 3, open_time=START + 3 * MINUTE + 1)
    data = change(change(data, 9, low=float("nan")), 30, high=1.0)
    data = change(change(data, 40, volume=-1.0), 50, close=-2.0)
    data = pl.concat(
        [data[:60], data[59:60], data[60:300], data[400:401], data[300:400], data[430:]]
    )
    found = faults(data)
    assert set(found) >= {
        "disorder",
        "duplicate_identical",
        "off_grid",
        "ohlc",
        "non_finite",
        "non_positive",
        "negative_volume",
        "missing_share",
        "hole",
    }


def test_a_hole_of_a_day_is_no_error_and_a_minute_more_is() -> None:
    data = market(200_000)
    assert faults(without(data, 50_000, 51_440))["hole"].severity == "warning"
    assert "hole" not in faults(without(data, 50_000, 51_441))


def test_rows_are_those_of_the_source_after_repairs() -> None:
    data = change(change(market(), 3, low=float("nan")), 40, high=1.0)
    assert faults(data, repair="drop_non_finite")["ohlc"].rows == (40,)


def sessions(weeks: int = 30, zone: str = "America/New_York") -> pl.DataFrame:
    """Give hourly bars from ten to four in New York, Monday to Friday, holidays included."""
    days = pl.datetime_range(
        pl.datetime(2024, 1, 1),
        pl.datetime(2024, 1, 1) + pl.duration(weeks=weeks),
        "1h",
        eager=True,
        closed="left",
    ).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    days = days.filter((days.dt.weekday() <= 5) & days.dt.hour().is_between(10, 15))
    data = market(len(days), HOUR)
    return data.with_columns(open_time=days.dt.convert_time_zone("UTC").dt.cast_time_unit("ms"))


def local(data: pl.DataFrame) -> pl.Series:
    return data["open_time"].dt.convert_time_zone("America/New_York")


def test_closures_that_repeat_are_no_holes() -> None:
    data = sessions()
    assert faults(data, instrument="equity") == {}
    day = pl.Series(local(data).dt.date().cast(pl.String))
    holiday = data.filter(day != "2024-05-29")
    assert faults(holiday, instrument="equity") == {}
    early = data.filter(~((day == "2024-05-29") & (local(data).dt.hour() >= 13)))
    assert faults(early, instrument="equity") == {}


def test_holes_in_sessions_warn() -> None:
    data = sessions()
    day = pl.Series(local(data).dt.date().cast(pl.String))
    inside = data.filter(~((day == "2024-05-29") & (local(data).dt.hour() == 12)))
    found = faults(inside, instrument="equity")
    assert [(f.code, f.severity, f.count) for f in found.values()] == [("hole", "warning", 1)]
    days = data.filter(~day.is_in(["2024-05-28", "2024-05-29"]))
    assert faults(days, instrument="equity")["hole"].message.startswith("1 hole, 12 bars absent")
    assert set(faults(days, instrument="equity", calendar="24/7")) >= {"long_hole", "missing_share"}


def test_daily_sessions_of_any_midnight() -> None:
    days = pl.datetime_range(
        pl.datetime(2023, 1, 2), pl.datetime(2024, 1, 1), "1d", eager=True
    ).dt.replace_time_zone("America/New_York")
    days = days.filter(days.dt.weekday() <= 5)
    utc = days.dt.convert_time_zone("UTC").dt.cast_time_unit("ms")
    data = market(len(days), DAY).with_columns(open_time=utc)
    assert faults(data, instrument="equity") == {}
    assert faults(without(data, 100, 101), instrument="equity") == {}
    assert faults(without(data, 100, 102), instrument="equity")["hole"].count == 1


def test_exchange_calendar() -> None:
    pytest.importorskip("exchange_calendars")
    days = pl.datetime_range(pl.datetime(2024, 1, 2), pl.datetime(2024, 7, 1), "1d", eager=True)
    days = days.filter(days.dt.weekday() <= 5).dt.replace_time_zone("UTC").dt.cast_time_unit("ms")
    data = market(len(days), DAY).with_columns(open_time=days)
    found = faults(data, instrument="equity", calendar="XNYS")
    assert (found["off_session"].count, found.get("hole")) == (5, None)
    absent = data.filter(data["open_time"].dt.date().cast(pl.String) != "2024-05-29")
    assert faults(absent, instrument="equity", calendar="XNYS")["hole"].count == 1


def test_repairs_named_by_faults_exist() -> None:
    assert set(_REPAIRS) == set(REPAIR_ORDER)
    for data, _ in CASES.values():
        for fault in faults(data).values():
            assert set(fault.repair) <= set(REPAIR_ORDER)
            for name in fault.repair:
                assert f'"{name}"' in fault.remedy


@pytest.mark.parametrize(
    "code", [c for c in CASES if c not in ("no_volume", "crossed", "hole", "jump")]
)
def test_named_repair_mends(code: str) -> None:
    data = CASES[code][0]
    fault = faults(data)[code]
    assert fault.repair
    assert code not in faults(data, repair=fault.repair)
