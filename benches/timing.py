"""How runs are timed, and how they are written down."""

from __future__ import annotations

import csv
import gc
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "BARPROOF_BENCH_RECORDS"
"""Names a folder for records other than that of the tree; see `everything`."""
RECORDS = Path(os.environ.get(FOLDER) or ROOT / "benches" / "record")
RUN = "BARPROOF_BENCH_RUN"
"""Names, by its time, the run that several records belong to; see `everything`."""
FIELDS = (
    "case", "contender", "bars", "combinations", "threads", "runs", "median_s", "min_s", "max_s", "trades",
    "m_candle_combinations_per_s", "times_barproof", "peak_mib", "note",
)  # fmt: skip
FEATURE_FIELDS = (
    "case", "contender", "bars", "threads", "runs", "median_s", "min_s", "max_s", "processor_s", "ns_a_bar",
    "times_barproof", "peak_mib", "note",
)  # fmt: skip
PACKAGES = ("numpy", "polars", "numba", "vectorbt", "vectorbt-rust", "raptorbt")
ALL_PACKAGES = (
    "numpy", "polars", "pandas", "numba", "vectorbt", "vectorbt-rust", "raptorbt", "backtesting", "akquant", "TA-Lib",
    "tulipy", "kand", "polars-talib", "torch", "onnxruntime", "arch", "ml4t-diagnostic",
)  # fmt: skip
FEATURE_PACKAGES = (
    "numpy", "polars", "pandas", "numba", "TA-Lib", "tulipy", "kand", "polars-talib", "talipp",
)  # fmt: skip


@dataclass
class Contender:
    """One way to do a job; `fresh` makes, untimed, what each run must not share with the one before."""

    name: str
    run: Callable[..., object]
    fresh: Callable[[], tuple[object, ...]] = tuple
    combinations: int = 0
    threads: int = 1
    note: str = ""
    runs: int | None = None


@dataclass
class Taken:
    """Seconds of each run of a contender."""

    contender: Contender
    seconds: list[float]
    # Of all threads.
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def interleave(contenders: list[Contender], runs: int) -> list[Taken]:
    """Time contenders in turn, so that a slow spell of the machine meets all of them."""
    taken = [Taken(contender, []) for contender in contenders]
    for number in range(runs):
        for one in taken:
            if one.contender.runs is not None and number >= one.contender.runs:
                continue
            arguments = one.contender.fresh()
            gc.collect()
            spent, began = time.process_time(), time.perf_counter()
            kept = one.contender.run(*arguments)
            one.seconds.append(time.perf_counter() - began)
            one.processor.append(time.process_time() - spent)
            del kept, arguments
    return taken


def peak_mib(*, restart: bool = False) -> float:
    """Most memory that this process has held, in MiB; with `restart`, counting begins again afterwards.

    Where /proc has it: what getrusage reports starts, in a child, from the size of the parent.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        if restart:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def resident_mib() -> float:
    """Memory that this process holds now, in MiB; the most it has held where /proc does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    flags = set(named.get("flags", "").split())
    widest = next((name for name in ("avx512f", "avx2") if name in flags), "no AVX2")
    return f"{named.get('model name', platform.machine())}, {widest}"


def setting(barproof: str, packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Where and with what it was measured."""
    versions = {"barproof": barproof, "python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    # The record itself is no change of what is measured.
    changed = _git("status", "--porcelain", "--", "rust", "python", "Cargo.lock")
    return {
        "date": os.environ.get(RUN) or f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M}",
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if changed else ""),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
        "load": f"{os.getloadavg()[0]:.1f}",
        **{name.replace("-", "_"): version for name, version in versions.items()},
    }


def write(
    rows: Sequence[Mapping[str, object]],
    where: Mapping[str, str],
    name: str,
    fields: Sequence[str] = FIELDS,
) -> Path:
    """Write a record of its own; records are never changed afterwards."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    stamp = where["date"].replace(" ", "_").replace(":", "")
    path = RECORDS / f"{stamp}_{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*fields, *where], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **where} for row in rows)
    return path


def latest(name: str) -> tuple[Path, list[dict[str, str]]] | None:
    """Last record of this name."""
    paths = sorted(RECORDS.glob(f"*_{name}.csv"))
    if not paths:
        return None
    with paths[-1].open(newline="", encoding="utf-8") as file:
        return paths[-1], list(csv.DictReader(file))
