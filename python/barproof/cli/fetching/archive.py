"""Archives of exchanges: a zip file a month or a day, beside it a file with its SHA-256.

The layout is the one of Binance's public archive, which mirrors keep as well::

    data/{spot | futures/um}/{monthly | daily}/klines/SYMBOL/INTERVAL/SYMBOL-INTERVAL-PERIOD.zip(.CHECKSUM)
    data/futures/um/monthly/fundingRate/SYMBOL/SYMBOL-fundingRate-MONTH.zip(.CHECKSUM)

A zip file is unpacked in memory and holds one member, the table of its own name: no name in it becomes a path, and what
it unpacks to is bounded by the number of bars of the period.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from barproof.candles.columns import normalise
from barproof.candles.funding import read_funding
from barproof.candles.interval import HOUR, format_interval
from barproof.candles.sources import _read_text
from barproof.candles.table import Table
from barproof.cli.fetching.periods import Period
from barproof.cli.fetching.web import DamagedError, Web
from barproof.errors import BarproofError, FileError

__all__ = ["ARCHIVES", "Archive", "Taken", "bars_frame", "settlements_frame"]

ARCHIVES = {"binance": "https://data.binance.vision"}
"""Archives by name, and where they are."""

_FOLDERS = {"perpetual": "futures/um", "spot": "spot"}
_ROW = 512
"""Bytes that a row of text is never longer than."""
_SPARE = 65_536
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PLAIN = ("open", "high", "low", "close", "volume")
_TIME = pl.Datetime("ms", "UTC")


class Taken(NamedTuple):
    """A piece of the market as a source gave it.

    Attributes
    ----------
    frame : polars.DataFrame
        Bars, or settlements.
    url : str
        Where it came from.
    sha256 : str or None
        Of the file, where there was one.
    outside : int
        Rows that lay outside of the period, and were left out.
    """

    frame: pl.DataFrame
    url: str
    sha256: str | None
    outside: int


def bars_frame(table: Table) -> pl.DataFrame:
    """Write columns of bars under the names of `Candles.to_polars`."""
    columns = {name: getattr(table, name) for name in _PLAIN}
    time = pl.Series("open_time", table.time).cast(_TIME)
    return pl.DataFrame({"open_time": time, **columns, **table.extra})


def settlements_frame(time: np.ndarray, rate: np.ndarray) -> pl.DataFrame:
    """Write settlements under the names of `Candles.funding`."""
    return pl.DataFrame(
        {
            "funding_time": pl.Series(time, dtype=pl.Int64).cast(_TIME),
            "funding_rate": pl.Series(rate, dtype=pl.Float64),
        }
    )


class Archive:
    """Files of one symbol in an archive.

    Parameters
    ----------
    web : Web
        Of its host.
    symbol : str
        As the archive writes it.
    interval_ms : int
        Bar length.
    instrument : {"perpetual", "spot"}
        Which part of the archive.
    """

    def __init__(self, web: Web, symbol: str, interval_ms: int, instrument: str) -> None:
        self._web, self._symbol, self._interval_ms = web, symbol, interval_ms
        self._folder = f"data/{_FOLDERS[instrument]}"
        self.name = f"archive {web.base} {instrument}"

    def candles(self, period: Period) -> Taken | None:
        """Give the bars of a whole month or day; None where the archive has no such file."""
        interval = format_interval(self._interval_ms)
        often = "daily" if period.is_day else "monthly"
        name = f"{self._symbol}-{interval}-{period.name}"
        path = f"{self._folder}/{often}/klines/{self._symbol}/{interval}/{name}"
        found = self._file(path, name, (period.end - period.first) // self._interval_ms)
        if found is None:
            return None
        url, text, digest = found
        try:
            frame = bars_frame(normalise(_read_text(text, Path(f"{name}.csv"), "archive")))
        except (BarproofError, pl.exceptions.PolarsError) as error:
            raise FileError(
                f"{url} cannot be read as candles: {' '.join(str(error).split())[:200]}"
            ) from error
        return _inside(frame, "open_time", period, url, digest)

    def funding(self, period: Period) -> Taken | None:
        """Give the settlements of a month; None where the archive has no such file, and for days."""
        if period.is_day:
            return None
        name = f"{self._symbol}-fundingRate-{period.name}"
        path = f"{self._folder}/monthly/fundingRate/{self._symbol}/{name}"
        found = self._file(path, name, (period.end - period.first) // HOUR)
        if found is None:
            return None
        url, text, digest = found
        try:
            table = _read_text(text, Path(f"{name}.csv"), "archive")
            frame = settlements_frame(*read_funding(table, self._symbol))
        except (BarproofError, pl.exceptions.PolarsError) as error:
            raise FileError(
                f"{url} cannot be read as funding: {' '.join(str(error).split())[:200]}"
            ) from error
        return _inside(frame, "funding_time", period, url, digest)

    def _file(self, path: str, name: str, rows: int) -> tuple[str, bytes, str] | None:
        """Fetch a zip file, hold it against its checksum, and unpack the table in it."""
        most = rows * _ROW + _SPARE
        told = self._web.get(f"{path}.zip.CHECKSUM", most=_SPARE, judge=bytes)
        if told is None:
            if self._web.get(f"{path}.zip", most=most, judge=len) is None:
                return None
            raise FileError(
                f"{self._web.base}/{path}.zip has no checksum beside it, and is not taken on trust: ask for it later, "
                "or take that span from `--exchange`"
            )
        url, line = told
        want = _digest_told(url, line, f"{name}.zip")

        def judge(data: bytes) -> bytes:
            """Let pass what has the digest."""
            got = hashlib.sha256(data).hexdigest()
            if got != want:
                raise DamagedError(
                    f"its SHA-256 is {got[:12]}..., its checksum says {want[:12]}..."
                )
            return data

        found = self._web.get(f"{path}.zip", most=most, judge=judge)
        if found is None:
            return None
        url, data = found
        return url, _unpacked(url, data, f"{name}.csv", most), want


def _digest_told(url: str, line: bytes, name: str) -> str:
    """Read a checksum file: the digest, and the name of the file that it is of."""
    text = line.decode("utf-8", errors="replace").strip()
    found = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)", text)
    if found is None or found[2] != name:
        raise FileError(
            f"{url} must hold 64 hexadecimal digits and the name {name}, it holds {text[:100]!r}"
        )
    return found[1].lower()


def _unpacked(url: str, data: bytes, name: str, most: int) -> bytes:
    """Unpack the one member of a zip file, in memory and within bounds."""
    text = b""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            held = archive.infolist()
            # Other ways of packing ask for memory of their own.
            usual = all(one.compress_type in _PACKED for one in held)
            known = usual and [one.filename for one in held] == [name]
            if known:
                with archive.open(name) as stream:
                    text = stream.read(most + 1)
    # RuntimeError is the library's word for a password, NotImplementedError for a format that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise FileError(f"{url} is no zip file that can be unpacked: {error}") from error
    if not known:
        names = ", ".join(repr(one.filename[:60]) for one in held[:3]) or "nothing"
        raise FileError(
            f"{url} must hold {name} alone, stored or deflated; it holds {names}{', ...' if len(held) > 3 else ''}: it "
            "is not used"
        )
    if len(text) > most:
        raise FileError(
            f"{url} unpacks to more than the {most:,} bytes that its period can need: it is not used"
        )
    return text


def _inside(frame: pl.DataFrame, time: str, period: Period, url: str, digest: str) -> Taken:
    """Keep the rows of the period; a file without any is another one than its name says."""
    at = frame[time].dt.epoch("ms")
    kept = frame.filter((at >= period.first) & (at < period.end))
    if not kept.height:
        raise FileError(
            f"{url} holds no row of {period.name}: it is another file than its name says"
        )
    return Taken(kept, url, digest, frame.height - kept.height)
