"""Whatever is handed in, reading gives candles or one of our errors; nothing warns, nothing breaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barproof.candles import Candles, read_candles
from barproof.candles.faults import REPAIR_ORDER
from barproof.errors import BarproofError

START = 1_704_067_200_000

PRICES = st.one_of(
    st.sampled_from(
        [1.0, 2.0, 100.0, 0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")]
    ),
    st.floats(0.5, 2.0),
)
TIMES = st.one_of(
    st.integers(0, 40).map(lambda i: START + 60_000 * i),
    st.sampled_from([0, -1, START + 1, START + 10**10, 2**53]),
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(0, 45))
    wild = draw(st.booleans())
    columns: dict[str, Any] = {
        name: np.array(
            draw(st.lists(PRICES if wild else st.floats(0.5, 2.0), min_size=n, max_size=n))
        )
        for name in ("open", "high", "low", "close", "volume", "ask_open")
    }
    columns["time"] = np.array(draw(st.lists(TIMES, min_size=n, max_size=n)), dtype=np.int64)
    return columns


def check(candles: Candles) -> None:
    for name in ("open", "high", "low", "close"):
        values = getattr(candles, name)
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert np.isfinite(candles.volume).all()
    assert (candles.volume >= 0).all()
    assert (np.diff(candles.open_time) > 0).all()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tables(),
    st.lists(st.sampled_from(REPAIR_ORDER), max_size=6),
    st.sampled_from(["spot", "equity"]),
    st.sampled_from([None, "1m", "1h", "1d", "1w"]),
)
def test_garbage(table: dict[str, Any], repair: list[str], kind: str, interval: str | None) -> None:
    try:
        candles = read_candles(
            table, instrument=kind, interval=interval, repair=repair, on_fault="ignore"
        )
    except BarproofError:
        return
    check(candles)
    assert len(repr(candles)) < 300


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.sampled_from(["spot", "equity"]))
def test_everything_repaired(table: dict[str, Any], kind: str) -> None:
    """With every repair in its order, only emptiness or times without end can be left to refuse."""
    try:
        candles = read_candles(
            table, instrument=kind, interval="1m", repair=REPAIR_ORDER, on_fault="ignore"
        )
    except BarproofError as error:
        message = str(error)
        assert "no rows" in message or "slots" in message
        return
    check(candles)
    assert not [fault for fault in candles.faults if fault.severity == "error"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["csv", "csv.gz", "zip", "parquet", "feather"]))
def test_bytes(tmp_path_factory: Any, data: bytes, extension: str) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"x.{extension}"
    path.write_bytes(data)
    try:
        read_candles(path, instrument="spot", on_fault="ignore")
    except BarproofError:
        return


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789,.\n:-TZopenhiglwcsvutm e", max_size=300))
def test_text(tmp_path_factory: Any, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "x.csv"
    path.write_text("time,open,high,low,close\n" + text)
    try:
        read_candles(path, instrument="spot", interval="1m", on_fault="ignore")
    except BarproofError:
        return
