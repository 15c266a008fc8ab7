"""All benches in one go, one record set: ``make bench``, or ``python -m benches.everything``.

Each bench runs in a process of its own, one after the other, and writes its record under the time at which the whole
began, so that the records of one run stand together in benches/record/. What fails is named at the end and the rest
runs all the same. ``--quick`` takes small data and writes no records: it shows that everything works.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

from benches import timing

# In the order in which they run, with minutes on two quiet cores.
BENCHES: dict[str, float] = {
    "workload_a": 4,
    "frameworks": 3,
    "workload_b": 5,
    "inference": 4,
    "workload_d": 7,
    "peaks": 5,
    "feature_rows": 2,
    "labels": 4,
    "audits": 1,
    "real_data": 1,
    "live": 4,
    "parity": 1,
    "portfolio": 4,
    "distributed": 6,
    "gpu": 1,
}
QUICK: dict[str, list[str]] = {
    "portfolio": ["--bars", "50000", "--symbols", "3", "--runs", "1"],
    "feature_rows": ["--bars", "100000", "--big", "200000", "--runs", "2"],
    "real_data": ["--runs", "1"],
    "gpu": [],
}
"""Options that make a bench small where it has no ``--quick``."""


def available() -> list[str]:
    """Benches that this tree has."""
    return [name for name in BENCHES if (timing.ROOT / "benches" / f"{name}.py").exists()]


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, no records")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    asked = parser.parse_args()
    began, failed = time.perf_counter(), []
    environment = os.environ | {timing.RUN: f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M}"}
    names = [name for name in available() if name in asked.only]
    print(
        f"about {sum(BENCHES[name] for name in names):.0f} minutes on two quiet cores", flush=True
    )
    for name in names:
        print(f"\n== {name}", flush=True)
        at = time.perf_counter()
        how = QUICK.get(name, ["--quick"]) if asked.quick else ["--record"]
        command = [sys.executable, "-m", f"benches.{name}", *how]
        if subprocess.run(command, cwd=timing.ROOT, env=environment).returncode:
            failed.append(name)
        print(f"== {name}: {(time.perf_counter() - at) / 60:.1f} minutes", flush=True)
    print(f"\n{len(names)} benches in {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; their older records stay")


if __name__ == "__main__":
    main()
