"""Parts that were fetched: a Parquet file and its record each, whole or not there, so that a kill loses one at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from barproof._whole import digest_of
from barproof.cli.fetching.archive import Taken
from barproof.cli.fetching.periods import Period
from barproof.cli.output import whole_file
from barproof.errors import FileError

__all__ = ["Store", "write_json"]

FORMAT = "fetch/1"


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


class Store:
    """The parts of one market, in a folder.

    A part counts where its record is there, names one of the sources that are asked now, covers what is wanted, and has
    the digest of the file beside it. Anything else is fetched again.

    Parameters
    ----------
    folder : Path
        Of this market alone; made on the first write.
    sources : sequence of str
        Names of the sources that are asked.
    """

    def __init__(self, folder: Path, sources: list[str]) -> None:
        self.folder, self._sources = folder, sources

    def _paths(self, kind: str, period: Period) -> tuple[Path, Path]:
        stem = self.folder / f"{kind}-{period.name}"
        return stem.with_suffix(".parquet"), stem.with_suffix(".json")

    def find(self, kind: str, period: Period) -> dict[str, Any] | None:
        """Give the record of a part that covers a period; None where it must be fetched."""
        data, record = self._paths(kind, period)
        try:
            told = json.loads(record.read_text(encoding="utf-8"))
            good = (
                told["format"] == FORMAT
                and told["source"] in self._sources
                and told["first"] <= period.first
                and told["end"] >= period.end
                and told["sha256"] == digest_of(data)
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return {**told, "path": data} if good else None

    def keep(
        self, kind: str, period: Period, source: str, taken: Taken, end: int
    ) -> dict[str, Any]:
        """Write a part that is complete up to `end`, then its record, and give the record."""
        data, record = self._paths(kind, period)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"`--out` {str(self.folder)!r} cannot be made a folder: {error.strerror or error}"
            ) from error
        # The record of an old part has the digest of the old file: it does not count for the new one.
        with whole_file(data) as temporary:
            taken.frame.write_parquet(temporary)
        told = {
            "format": FORMAT,
            "period": period.name,
            "source": source,
            "url": taken.url,
            "source_sha256": taken.sha256,
            "first": period.first,
            "end": end,
            "rows": taken.frame.height,
            "outside": taken.outside,
            "sha256": digest_of(data),
        }
        write_json(record, told)
        return {**told, "path": data}

    @staticmethod
    def read(parts: list[dict[str, Any]]) -> pl.DataFrame:
        """Join parts in time order; a column that one of them lacks is null there."""
        return pl.concat([pl.read_parquet(part["path"]) for part in parts], how="diagonal")
