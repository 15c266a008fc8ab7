"""Arrays and files of features: the same bits as the table, in place, for any threads, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import barproof as bp
from barproof.features.tables import columns, windows
from tests.features import markets

TEXTS = ["sma(5)", "rsi(14)", "obv()", "macd(3, 6, 4)", "zscore(close, 7)@15m", "max(high, 9)"]
FEATURES = bp.FeatureSet(TEXTS)


def market(name: str, seed: int, n: int = 1_500, *, drop: float = 0.0) -> bp.Candles:
    walk = markets.walk(seed, n)
    keep = np.random.default_rng([seed, 9]).uniform(size=n) >= drop
    keep[0] = True
    return walk.take(keep).candles(name)


def bits(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_matrix_holds_the_bits_of_the_table(threads: int, dtype: Any) -> None:
    candles = market("A", 1, 2_700, drop=0.05)
    table = FEATURES.compute(candles, threads=1).select(FEATURES.names).to_numpy()
    rows = FEATURES.matrix(candles, dtype=dtype, threads=threads)
    assert rows.flags.c_contiguous
    assert rows.dtype == (np.float32 if dtype == "f32" else np.float64)
    assert bits(rows) == bits(table.astype(rows.dtype))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_symbols_stand_one_below_the_other(threads: int) -> None:
    books = {name: market(name, k, 900 + 50 * k) for k, name in enumerate("ABC")}
    rows = FEATURES.matrix(books, dtype="f64", threads=threads)
    alone = [FEATURES.matrix(candles, dtype="f64", threads=1) for candles in books.values()]
    assert bits(rows) == bits(np.concatenate(alone))
    assert bits(FEATURES.matrix(books, dtype="f64", symbol="B")) == bits(alone[1])


@pytest.mark.parametrize("drop", [0.0, 0.15])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_markets_side_by_side_are_joined_by_time(drop: float, threads: int) -> None:
    books = {name: market(name, k, drop=drop) for k, name in enumerate("ABC")}
    one = bp.FeatureSet(["sma(5)", "rsi(14)", "close"])
    features = one.on(["A", "B", "C"])
    assert features.names[3:6] == ("sma(5)@B", "rsi(14)@B", "close@B")
    rows = features.matrix(books, dtype="f64", symbol="B", threads=threads)
    clock = books["B"].open_time
    for k, candles in enumerate(books.values()):
        alone = one.matrix(candles, dtype="f64", threads=1)
        at = np.searchsorted(candles.open_time, clock)
        at[at == len(candles)] = 0
        there = candles.open_time[at] == clock
        expected = np.where(there[:, None], alone[at], np.nan)
        np.testing.assert_array_equal(rows[:, 3 * k : 3 * k + 3], expected)
    common = set.intersection(*(set(c.open_time.tolist()) for c in books.values()))
    keep = np.array([t in common for t in clock.tolist()])
    inner = features.matrix(books, dtype="f64", symbol="B", join="inner", threads=threads)
    assert bits(inner) == bits(rows[keep])
    table = features.compute(books, symbol="B", join="inner", threads=threads)
    assert bits(table.select(features.names).to_numpy()) == bits(inner)
    assert table["open_time"].dt.epoch("ms").to_list() == clock[keep].tolist()
    # On every clock that all share, a row is the same whoever asks for it.
    other = features.matrix(books, dtype="f64", symbol="C", join="inner", threads=threads)
    assert bits(other) == bits(inner)


def test_longer_bars_of_markets_that_share_no_clock_are_those_of_bars_one_by_one() -> None:
    """Aligned stretches take whole columns, others single bars: the seam must not show."""
    walks = {name: markets.walk(k, 4_000) for k, name in enumerate("AB")}
    keep = np.ones(4_000, dtype=bool)
    keep[1_030:1_041] = keep[2_500] = False
    books = {"A": walks["A"].candles("A"), "B": walks["B"].take(keep).candles("B")}
    features = bp.FeatureSet(["sma(3)@1h", "sma(3)@B/1h", "ratio(close, close@B)", "close@B/15m"])
    stream = features.stream("5m", symbol="A")
    rows, at = [], 0
    other = books["B"]
    for bar in books["A"]:
        given = {"A": bar}
        if at < len(other) and other.open_time[at] == bar.open_time:
            given["B"] = other[at]
            at += 1
        rows.append(stream.update(given))
    assert at == len(other)
    assert bits(features.matrix(books, dtype="f64", symbol="A")) == bits(rows)


def test_a_feature_set_puts_its_longer_bars_and_quoted_names_on_symbols() -> None:
    features = bp.FeatureSet(["rsi(14)@1h", "macd(3, 6, 4)"]).on(["BRK.B", "X"])
    assert features.names == (
        'rsi(14)@"BRK.B"/1h',
        *(f'macd(3, 6, 4).{name}@"BRK.B"' for name in ("macd", "signal", "hist")),
        "rsi(14)@X/1h",
        *(f"macd(3, 6, 4).{name}@X" for name in ("macd", "signal", "hist")),
    )
    assert features.symbols == ("BRK.B", "X")
    assert features.channels("X") == (4, 5, 6, 7)
    assert bp.FeatureSet(list(features)).digest == features.digest


def test_windows_are_views_that_end_at_their_bar() -> None:
    candles = market("A", 2)
    rows = FEATURES.matrix(candles)
    view = windows(rows, 120)
    assert view.shape == (len(candles) - 119, 120, len(FEATURES))
    assert np.shares_memory(view, rows)
    assert not view.flags.writeable
    for i in (0, 17, len(view) - 1):
        assert bits(view[i]) == bits(rows[i : i + 120])
    assert bits(FEATURES.windows(candles, length=120)) == bits(view)
    # Window w is the first without the warm-up w.
    warm = max(w for _, _, w in FEATURES.facts("5m").values())
    assert np.isnan(view[warm - 1]).any() == np.isnan(rows[warm - 1]).any()
    assert np.isfinite(view[warm:]).all()
    assert windows(rows, 1).shape == (len(rows), 1, len(FEATURES))
    assert windows(rows, len(rows)).shape == (1, len(rows), len(FEATURES))


@pytest.mark.parametrize("block", [1024, 2048])
def test_files_hold_what_the_table_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    books = {name: market(name, k, 2_500 + k) for k, name in enumerate("AB")}
    monkeypatch.setattr("barproof.features.tables._BLOCK_BYTES", block * len(FEATURES) * 8)
    lazy = FEATURES.compute(books, out=tmp_path / "x.parquet")
    assert_frame_equal(lazy.collect(), FEATURES.compute(books), check_exact=True)
    one = FEATURES.compute(books, symbol="B", out=tmp_path / "x.parquet").collect()
    assert_frame_equal(one, FEATURES.compute(books["B"]), check_exact=True)
    for dtype in ("f32", "f64"):
        rows = FEATURES.matrix(books, dtype=dtype, out=tmp_path / "x.npy")
        assert isinstance(rows, np.memmap)
        assert not rows.flags.writeable
        assert bits(rows) == bits(FEATURES.matrix(books, dtype=dtype))
        assert bits(np.load(tmp_path / "x.npy")) == bits(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "x.parquet"]


def test_files_of_no_rows_are_files(tmp_path: Path) -> None:
    candles = market("A", 1)[:0]
    assert FEATURES.compute(candles, out=tmp_path / "x.parquet").collect().height == 0
    assert FEATURES.matrix(candles, out=tmp_path / "x.npy").shape == (0, len(FEATURES))
    assert FEATURES.matrix(candles).shape == (0, len(FEATURES))


def to_file(path: Path | None, progress: Any) -> None:
    """Compute 5,000 bars into a file, or an array."""
    candles = market("A", 1, 5_000)
    if path is None or path.suffix == ".npy":
        FEATURES.matrix(candles, out=path, progress=progress)
    else:
        FEATURES.compute(candles, out=path, progress=progress)


@pytest.mark.parametrize("name", [None, "x.parquet", "x.npy"])
def test_progress_counts_rows_up_to_all(tmp_path: Path, name: str | None) -> None:
    told: list[tuple[int, int]] = []
    to_file(None if name is None else tmp_path / name, lambda *at: told.append(at))
    assert told[-1] == (5_000, 5_000)
    assert told == sorted(told)


@pytest.mark.parametrize("name", ["x.parquet", "x.npy"])
def test_a_stop_midway_leaves_the_file_that_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_file(path, stop)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_refuses_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", refuse)
    with pytest.raises(bp.FileError, match="No space left on device; choose a folder with room"):
        FEATURES.compute(market("A", 1, 5_000), out=tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_own_features_and_further_columns_reach_the_array() -> None:
    candles = market("A", 3)
    mine = bp.feature(lambda c: c.close - c.open, name="body", memory=bp.finite(1))
    features = bp.FeatureSet([mine, "sma(body, 4)", "taker_imbalance()", "sma(3)"])
    rows = features.matrix(candles, dtype="f64", threads=3)
    assert bits(rows[:, 0]) == bits(candles.close - candles.open)
    assert bits(rows) == bits(features.compute(candles).select(features.names).to_numpy())


@pytest.mark.parametrize("rows", [0, 1, 5_000, 8_192, 100_000, 600_000])
@pytest.mark.parametrize("count", [1, 3, 130])
def test_columns_are_apart_and_large_ones_begin_with_a_huge_page(rows: int, count: int) -> None:
    count = min(count, 5) if rows > 100_000 else count
    made = columns(rows, count)
    assert len(made) == count
    for k, column in enumerate(made):
        assert column.shape == (rows,)
        assert column.flags.c_contiguous
        column.fill(k)
    assert [column.tolist() == [k] * rows for k, column in enumerate(made)] == [True] * count
    if 8 * rows >= 2 * HUGE:
        assert all(column.ctypes.data % HUGE == 0 for column in made)
    else:
        # Where one of them is kept, no more than this stays with it.
        bases = {id(base): base for column in made if (base := column.base) is not None}
        assert all(base.nbytes <= max(32 * 2**20, 8 * rows) for base in bases.values())


HUGE = 2 * 2**20
PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge_bytes(array: Any) -> int:
    """Bytes in huge pages of the mapping that holds the middle of an array."""
    middle = array.ctypes.data + array.nbytes // 2
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        head, *rest = line.split()
        if "-" in head and not head.endswith(":"):
            first, last = (int(end, 16) for end in head.split("-"))
            inside = first <= middle < last
        elif inside and head == "AnonHugePages:":
            return 1024 * int(rest[0])
    return 0


@pytest.mark.skipif(
    not PAGES.exists() or "[never]" in PAGES.read_text(encoding="ascii"),
    reason="the system gives no huge pages",
)
def test_a_matrix_lies_in_huge_pages_where_arrays_of_numpy_do() -> None:
    candles = market("A", 3, 600_000)
    rows = FEATURES.matrix(candles, dtype="f64")
    plain = np.ones_like(rows)
    if huge_bytes(plain) == 0:
        pytest.skip("the system has no huge pages left")
    assert huge_bytes(rows) >= 0.5 * rows.nbytes
    (column,) = columns(4_000_000, 1)
    column.fill(1.0)
    assert huge_bytes(column) >= 0.5 * column.nbytes


def test_other_threads_run_while_features_are_computed() -> None:
    """The core lets the interpreter's lock go: a thread that counts gets on while an array is filled."""
    candles = market("A", 4, 200_000)
    features = bp.FeatureSet([f"quantile({n}, 0.5)" for n in range(50, 70)])
    done, counted = threading.Event(), 0
    during: list[int] = []

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        for compute in (features.matrix, features.compute):
            before, began = counted, time.perf_counter()
            compute(candles, threads=2)
            during.append(counted - before)
            # A lock that is held hands over every 5 ms at most; one that is free is taken thousands of times.
            assert time.perf_counter() - began > 0.05
    finally:
        done.set()
        counter.join()
    assert min(during) > 100, during


PEAK = """
import resource, sys
import numpy as np, polars as pl
import barproof as bp

what, symbols = sys.argv[1], [str(k) for k in range(int(sys.argv[2]))]
features = bp.FeatureSet.preset(what).on(symbols) if len(symbols) > 1 else bp.FeatureSet.preset(what)
candles = bp.simulate_candles(1, bars=150_000, symbols=symbols)
small = {name: book[:20_000] for name, book in candles.items()}
features.matrix(small, symbol="0")
def peak():
    with open("/proc/self/status") as lines:
        return next(int(l.split()[1]) for l in lines if l.startswith("VmHWM:")) * 1024
before = peak()
rows = features.matrix(candles, dtype="f64", symbol="0", threads=2)
assert rows.shape == (150_000, len(features))
print((peak() - before) / rows.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize(("preset", "symbols"), [("gating_171", 1), ("cross_market_20", 12)])
def test_a_matrix_takes_the_memory_of_its_output_and_a_tenth(preset: str, symbols: int) -> None:
    """Of one symbol, and of markets side by side, whose parts are copied nowhere on the way."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), preset, str(symbols)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 1.1
