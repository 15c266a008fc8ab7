"""Files that unfold: archives, compressed tables and nested documents are refused before they take the memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _machine
from barproof.audits.waivers import load_waivers
from barproof.claims import load_claims
from barproof.cli.config import load_config

FREE = 40_000_000
DEEP = 20_000


@pytest.fixture
def little_memory(tmp_path: Path) -> Iterator[None]:
    """A container that has 40 MB left."""
    most, now = tmp_path / "memory.max", tmp_path / "memory.current"
    most.write_text(str(2 * FREE))
    now.write_text(str(FREE))
    with mock.patch.object(_machine, "_GROUPS", ((str(most), str(now)),)):
        yield


def zeros(path: Path) -> None:
    """64 MiB of nothing, packed to a thousandth."""
    if path.suffix == ".gz":
        with gzip.open(path, "wb", compresslevel=1) as stream:
            for _ in range(64):
                stream.write(bytes(1 << 20))
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.csv", bytes(64 << 20))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", ["x.csv.gz", "x.zip"])
def test_an_archive_that_unfolds_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    zeros(path)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(bp.FileError, match=r"unpacks to more than 10,000,000 bytes"):
        bp.read_candles(path, instrument="spot")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < FREE


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_a_table_of_very_many_rows_is_refused_unread(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    frame = pl.DataFrame({"open_time": np.zeros(6_000_000, dtype=np.int64)})
    if name == "x.parquet":
        frame.write_parquet(path)
    else:
        frame.write_ipc(path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(
        bp.FileError, match=r"holds 6,000,000 rows of 1 columns, at least 48,000,000 bytes"
    ):
        bp.read_candles(path, instrument="spot")


@pytest.mark.usefixtures("little_memory")
def test_what_fits_is_read(tmp_path: Path) -> None:
    candles = bp.simulate_candles(1, bars=500)
    candles.to_polars().write_parquet(tmp_path / "x.parquet")
    with gzip.open(tmp_path / "x.csv.gz", "wb") as stream:
        stream.write(candles.to_polars().write_csv().encode())
    for name in ("x.parquet", "x.csv.gz"):
        assert len(bp.read_candles(tmp_path / name, instrument="spot", on_fault="ignore")) == 500


def toml(key: str) -> str:
    return f"{key} = " + "[" * DEEP + "]" * DEEP


NESTED: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "configuration": ("barproof.toml", toml("candles"), load_config),
    "waivers": ("w.toml", toml("waiver"), load_waivers),
    "claims": ("c.toml", toml("claim"), lambda p: load_claims(p, pages=[])),
    "report": ("r.json", "[" * DEEP, lambda p: bp.Report.from_json(p.read_text())),
    "report, a finding": (
        "r.json",
        json.dumps({"schema": "barproof-audit/1", "findings": "X"}).replace('"X"', "[" * DEEP),
        lambda p: bp.Report.from_json(p.read_text()),
    ),
    "trades of freqtrade": ("t.json", '{"strategy":' * DEEP, bp.read_trades),
    "bundle": ("manifest.json", "[" * DEEP, lambda p: bp.Bundle.load(p.parent)),
    "decision": ("d.json", "[" * DEEP, lambda p: bp.Decision.from_json(p.read_text())),
}


@pytest.mark.parametrize("what", NESTED)
def test_deep_documents_are_one_error(what: str, tmp_path: Path) -> None:
    name, text, read = NESTED[what]
    (tmp_path / name).write_text(text)
    with pytest.raises(bp.BarproofError) as caught:
        read(tmp_path / name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
