"""Fuzz the intake of candles: any CSV, Parquet or Feather ends in candles for an engine, or in a clear error.

``python -m fuzz.candles [--minutes 10] [--seed 0]``. A case is one number. It takes sound candles, changes their table
by heads, cells, rows, separators and bytes, packs it or not, and reads it, with repairs and without. What may come out
is an error of the package, or candles whose times increase, whose prices are finite and above 0, whose digest is that
of the file read again, and on which both engines agree. Anything else is a finding: an error of another class, more
than 200 MB, more than ten seconds, a file that appeared.
"""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.forging import Bounds, changed_bytes, changed_csv, one_line, run_cases, watched

import barproof as bp
from barproof.candles.faults import REPAIR_ORDER

MOST_BYTES = 200 << 20
MOST_SECONDS = 10.0
SOUND = [
    bp.simulate_candles(seed, bars=bars, interval=interval).to_polars()
    for seed, bars, interval in ((1, 60, "5m"), (2, 200, "1h"), (3, 3, "1d"), (4, 400, "1m"))
]
SUFFIXES = ("csv", "csv", "tsv", "csv.gz", "zip", "parquet", "parquet", "feather")
CHOICES: dict[str, tuple[Any, ...]] = {
    "instrument": ("spot", "equity", "fx", "perpetual"),
    "interval": (None, None, "1m", "5m", "1h", "1d", "1w"),
    "on_fault": ("raise", "ignore", "ignore", "warn", "strict"),
    "symbol": (None, "SIM"),
}


def write(folder: Path, rng: np.random.Generator) -> Path:
    """Write one table, changed, in one of the forms."""
    frame, suffix = SOUND[rng.integers(len(SOUND))], str(rng.choice(SUFFIXES))
    path = folder / f"x.{suffix}"
    if suffix in ("parquet", "feather"):
        names = [c for c in frame.columns if rng.random() < 0.95]
        frame = frame.select(names or frame.columns[:1])
        if rng.random() < 0.2:
            frame = frame.reverse() if rng.random() < 0.5 else frame.sample(fraction=0.9, seed=1)
        frame.write_parquet(path) if suffix == "parquet" else frame.write_ipc(path)
        if rng.random() < 0.7:
            path.write_bytes(changed_bytes(path.read_bytes(), rng))
        return path
    data = changed_csv(frame, rng)
    if suffix == "csv.gz":
        data = gzip.compress(data, 1)
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.csv", data)
        data = path.read_bytes()
    packed = suffix in ("csv.gz", "zip")
    path.write_bytes(changed_bytes(data, rng) if packed and rng.random() < 0.3 else data)
    return path


def judged(path: Path, options: dict[str, Any]) -> str:
    """Read it, and hold what came out; what is wrong, or nothing."""
    candles = bp.read_candles(path, **options)
    prices = np.stack([candles.open, candles.high, candles.low, candles.close])
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        return "prices that no engine can run on"
    if not (np.diff(candles.open_time) > 0).all():
        return "times that do not increase"
    if not (np.isfinite(candles.volume).all() and (candles.volume >= 0).all()):
        return "volume that is none"
    if bp.read_candles(path, **options).digest != candles.digest:
        return "another digest when read again"
    if len(candles) < 2 or (candles.instrument.kind == "perpetual" and candles.funding is None):
        return ""
    score = np.sin(np.arange(len(candles)))
    signals, rules = (
        bp.Signals(long=score, short=-score, kind="score"),
        bp.Rules(entry_long=0.5, entry_short=0.9, stop_loss=0.02, max_hold=5),
    )
    given: Any = {"costs": bp.Costs(taker=0.001), "ledger": False}
    one, two = (
        bp.backtest(candles, signals, rules, engine=e, **given) for e in ("indexed", "replay")
    )
    return "" if one.trades.equals(two.trades, null_equal=True) else "engines that differ"


def case(seed: int, folder: Path) -> str:
    """Run one case; the finding, or nothing."""
    rng = np.random.default_rng(seed)
    path = write(folder, rng)
    options = {name: given[rng.integers(len(given))] for name, given in CHOICES.items()}
    if options["instrument"] == "perpetual":
        options["funding"] = "none"
    if rng.random() < 0.4:
        options["repair"] = [str(r) for r in rng.permutation(REPAIR_ORDER)[: rng.integers(6)]]

    def run() -> str:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bp.DataWarning)
            return judged(path, options)

    def refused(error: bp.BarproofError) -> str:
        # The faults of candles are a list of lines.
        lines = str(error).splitlines()
        return "" if lines and all(line.isprintable() for line in lines) else one_line(error)

    told = f"{path.name} {options}"
    return watched(seed, told, run, folder, Bounds(MOST_SECONDS, MOST_BYTES), refused)


if __name__ == "__main__":
    run_cases(__doc__, case)
