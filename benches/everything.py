"""All benches in one go, one record set: ``make bench``, or ``python -m benches.everything``.

Each bench runs in a process of its own, one after the other, and writes its record as it ends, under the time at which
the whole began, so that the records of one run stand together in benches/record/. Both pages are written anew after
each. What fails, or takes four times as long as it should, costs its own record alone: the rest runs, the older record
stays on the page, and a list at the end says what became of each.

- ``--quick`` takes small data and does everything else: records and pages go to a folder that is thrown away.
- ``--only`` and ``--skip`` choose; ``--minutes`` begins none that would not fit into what is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benches import timing

# In the order in which they run, the page's own before others', with minutes on two quiet cores.
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
    "distributed": 8,
    "gpu": 1,
}
QUICK: dict[str, list[str]] = {
    "portfolio": ["--bars", "50000", "--symbols", "3", "--runs", "1"],
    "feature_rows": ["--bars", "100000", "--big", "200000", "--runs", "2"],
    "real_data": ["--runs", "1"],
    "gpu": ["--bars", "100000", "--runs", "2"],
    "distributed": ["--scale", "0.1"],
}
"""Options that make a bench small where it has no ``--quick``."""
LATE = 4.0
"""Times its minutes after which a bench is ended; at least a quarter of an hour."""
PEERS = (
    "numba", "vectorbt", "raptorbt", "backtesting", "akquant", "TA-Lib", "tulipy", "kand", "polars-talib", "talipp",
    "pandas", "arch", "ml4t-diagnostic", "torch", "xgboost", "lightgbm", "onnxruntime", "ray",
)  # fmt: skip


def available() -> list[str]:
    """Benches that this tree has."""
    return [name for name in BENCHES if (timing.ROOT / "benches" / f"{name}.py").exists()]


def absent() -> list[str]:
    """Peers that are not installed here: their rows will be missing."""
    missing = []
    for name in PEERS:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    try:
        metadata.version("lib-pybroker")
    except metadata.PackageNotFoundError:
        from benches.peers.framework_peers import version_apart

        if version_apart("lib-pybroker") == "absent":
            missing.append("lib-pybroker")
    return missing


def ended(command: list[str], environment: dict[str, str], minutes: float) -> str:
    """Run a command with all that it starts; what is to be said against it, nothing where it went well."""
    process = subprocess.Popen(
        command, cwd=timing.ROOT, env=environment, start_new_session=os.name == "posix"
    )
    try:
        code = process.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        stop(process)
        return f"ended after {minutes:.0f} minutes"
    except KeyboardInterrupt:
        stop(process)
        raise
    return "" if code == 0 else f"exit {code}"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def chosen(only: list[str], skip: list[str]) -> list[str]:
    return [name for name in available() if name in only and name not in skip]


def run(names: list[str], quick: bool, environment: dict[str, str], minutes: float) -> list[str]:
    """Run benches one after the other.

    Parameters
    ----------
    names : list of str
        Which.
    quick : bool
        With small data.
    environment : dict of str to str
        Of each; names the time of the run, and where records go.
    minutes : float
        None is begun that would take longer than what is left of these.

    Returns
    -------
    list of str
        Lines that say what became of each; those that went wrong begin with "failed".
    """
    records, told, began = Path(environment[timing.FOLDER]), [], time.perf_counter()
    table = [sys.executable, "-m", "benches.table", *(["--discard"] if quick else [])]
    for at, name in enumerate(names):
        if (time.perf_counter() - began) / 60 + BENCHES[name] > minutes:
            told.append(f"left out  {name}: {BENCHES[name]:.0f} minutes do not fit")
            continue
        print(f"\n== {name}", flush=True)
        since, before = time.perf_counter(), set(records.glob("*.csv"))
        how = [*(QUICK.get(name, ["--quick"]) if quick else []), "--record"]
        try:
            against = ended(
                [sys.executable, "-m", f"benches.{name}", *how],
                environment,
                max(15.0, LATE * BENCHES[name]),
            )
            if not against:
                against = ended(table, environment, 5)
                against = against and f"recorded, but the pages could not be written: {against}"
        except KeyboardInterrupt:
            told += [f"failed    {one}: interrupted" for one in names[at:]]
            break
        made = sorted(path.name for path in set(records.glob("*.csv")) - before)
        took = f"{(time.perf_counter() - since) / 60:.1f} minutes"
        print(f"== {name}: {took}", flush=True)
        if against:
            kept = ", ".join(made) or "its older record stays"
            told.append(f"failed    {name}: {against}, {took}; {kept}")
        else:
            told.append(f"done      {name}: {took}, {', '.join(made) or 'no record: left out'}")
    return told


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small data, no records kept")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    parser.add_argument("--skip", nargs="+", choices=list(BENCHES), default=[])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="in which to be done")
    asked = parser.parse_args()
    began = time.perf_counter()
    names = chosen(asked.only, asked.skip)
    whole = sum(BENCHES[name] for name in names)
    print(f"about {whole:.0f} minutes on two quiet cores", flush=True)
    missing = absent()
    if missing:
        print(f"not installed, and so left out: {', '.join(missing)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            timing.RUN: f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M}",
            timing.FOLDER: folder if asked.quick else str(timing.RECORDS),
        }
        told = run(names, asked.quick, environment, asked.minutes)
    print(f"\n{len(names)} benches in {(time.perf_counter() - began) / 60:.1f} minutes")
    print("\n".join(told), flush=True)
    if any(line.startswith("failed") for line in told):
        sys.exit(1)


if __name__ == "__main__":
    main()
