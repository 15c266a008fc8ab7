"""An example of every error of harmed files and refused writes: id, call, class, exact message."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import barproof as bp
from barproof._procedure import _Book
from barproof._tensors import read_sealed, write_sealed, write_tensors
from barproof.live.state import Store
from barproof.models.forecaster import Forecaster
from barproof.models.nets import CrossMarketTransformer

Example = tuple[str, Callable[[], object], type[BaseException], str]

FULL = OSError(28, "No space left on device")


@contextlib.contextmanager
def here() -> Iterator[None]:
    """An empty working directory."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


def other_arrays() -> object:
    data = bytearray(write_sealed({"a": np.zeros(2)}))
    data[-40] ^= 1
    return read_sealed(bytes(data), "'net'")


def forecaster_of_nothing() -> object:
    with here():
        return Forecaster.load("absent.safetensors")


class Held(Forecaster):
    """A forecaster whose fitting is beside the point."""

    def save_into(self, path: str) -> object:
        module = mock.Mock(state_dict=dict)
        with (
            mock.patch.object(Forecaster, "_columns"),
            mock.patch.object(Forecaster, "_table"),
            mock.patch("os.replace", side_effect=FULL),
        ):
            self.features_, self._module, self._facts = ("a",), module, {}
            return self.save(path)


def full_forecaster() -> object:
    with here():
        return Held(CrossMarketTransformer(window=3, steps=1), targets=["a"]).save_into("f.bin")


def full_training() -> object:
    from barproof.models import _resuming

    saved = _resuming.Saved(Path("epochs/net.safetensors"), "x")
    return saved._refuse(FULL)


IDENTITY = {"kind": "sign"}


def full_procedure() -> object:
    with here(), mock.patch("os.replace", side_effect=FULL):
        return _Book.open("test.jsonl", IDENTITY)


def full_row() -> object:
    with here():
        book = _Book.open("test.jsonl", IDENTITY)
        book._file.close()
        book._file = mock.Mock(write=mock.Mock(side_effect=FULL))
        return book.take(
            (None, -1),
            mock.Mock(
                row=lambda _: {
                    "edge": None,
                    "number": -1,
                    "score": 1.0,
                    "seconds": 0.0,
                    "error": "",
                }
            ),
        )


def short_ledger() -> object:
    with here():
        Path("l.sqlite").write_bytes(b"S")
        return bp.Ledger.open("l.sqlite")


def short_log() -> object:
    with here():
        Path("live.sqlite").write_bytes(b"S")
        return Store(".")


def harmed(table: str) -> None:
    """A live log in which a row was changed by another hand."""
    Store(".").close()
    with contextlib.closing(sqlite3.connect("live.sqlite")) as base, base:
        if table == "session":
            base.execute("INSERT INTO session VALUES ('bundle_digests', ?)", (json.dumps({}),))
        else:
            base.execute("INSERT INTO events VALUES (1, 0, 'fill', 'SIM', '{}')")


def harmed_state() -> object:
    with here():
        harmed("session")
        with Store(".").reading():
            return None


def harmed_log() -> object:
    with here():
        harmed("events")
        return bp.LiveLog.read(".")


def little(free: int) -> Any:
    return mock.patch("barproof.candles.sources.available_bytes", return_value=free)


def unfolding() -> object:
    with here(), little(1_000):
        Path("x.csv.gz").write_bytes(gzip.compress(bytes(2 << 20)))
        return bp.read_candles("x.csv.gz", instrument="spot")


def many_rows() -> object:
    with here(), little(1_000):
        pl.DataFrame({"open_time": range(200)}).write_parquet("x.parquet")
        return bp.read_candles("x.parquet", instrument="spot")


EXAMPLES: list[Example] = [
    (
        "arrays with another digest",
        other_arrays,
        bp.BundleError,
        "'net' is damaged: its arrays have another digest than it says; restore it from a copy",
    ),
    (
        "arrays without a digest",
        lambda: read_sealed(write_tensors({"a": np.zeros(2)}), "'net'"),
        bp.BundleError,
        "'net' is damaged: its arrays have another digest than it says; restore it from a copy",
    ),
    (
        "no forecaster",
        forecaster_of_nothing,
        bp.FileError,
        "forecaster 'absent.safetensors' cannot be read: No such file or directory",
    ),
    (
        "a forecaster on a full disk",
        full_forecaster,
        bp.FileError,
        "forecaster 'f.bin' cannot be written: No space left on device; choose a folder with room and write permission",
    ),
    (
        "epochs on a full disk",
        full_training,
        bp.FileError,
        "`resume` 'epochs' cannot be written: No space left on device; choose a folder with room and write permission",
    ),
    (
        "a procedure test on a full disk",
        full_procedure,
        bp.FileError,
        "`out` 'test.jsonl' cannot be written: No space left on device; choose a folder with room and write permission",
    ),
    (
        "a row of a procedure test on a full disk",
        full_row,
        bp.FileError,
        "`out` 'test.jsonl' cannot be written: No space left on device; make room, then call the same test again",
    ),
    (
        "a ledger of one byte",
        short_ledger,
        bp.LedgerError,
        "ledger 'l.sqlite' is damaged: it is cut short to one byte; move it aside and restore a copy, or begin a new one",
    ),
    (
        "no decision",
        lambda: bp.Decision.from_json("{}"),
        bp.ParameterError,
        "the text is no decision: it must be the JSON that to_json() wrote",
    ),
    (
        "an archive that unfolds",
        unfolding,
        bp.FileError,
        "`source` file 'x.csv.gz' unpacks to more than 1,048,576 bytes, a quarter of the free memory: unpack it, and read "
        "a part",
    ),
    (
        "a table of very many rows",
        many_rows,
        bp.FileError,
        "`source` file 'x.parquet' holds 200 rows of 1 columns, at least 1,600 bytes, and 1,000 are free: read a part of "
        "it with polars.scan_parquet",
    ),
    (
        "a live log of one byte",
        short_log,
        bp.FileError,
        "live log 'live.sqlite' is damaged: it is cut short to one byte; restore the folder from a copy, or give another",
    ),
    (
        "a live log whose session was changed",
        harmed_state,
        bp.FileError,
        "live log 'live.sqlite' cannot be read: the rows of `session` are not as they were written; restore the folder "
        "from a copy, or give another",
    ),
    (
        "a live log with another event",
        harmed_log,
        bp.FileError,
        "'live.sqlite' is damaged: the rows of `events` are not as they were written; restore a copy",
    ),
]
