"""Instructions of small fixed workloads, counted by callgrind, against a baseline that is in the tree.

``make instructions`` fails where a workload takes over 2% more instructions than in benches/instructions.csv, or
fewer (then the baseline is out of date), and names it. ``--update`` writes the baseline anew. Times drift with the
machine by tens of percents, counts do not: of two runs of one build they differ by less than a thousandth.

The workloads are in rust/core/benches/instructions.rs. valgrind knows no AVX-512, so each runs on the AVX2 path and
on the portable one, which `BARPROOF_SIMD` forces. Another compiler makes other code: the baseline names its own, and
another one's counts are shown and not judged.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches" / "instructions.csv"
PATHS = ("avx2", "portable")
MOST = 0.02
COLLECTED = re.compile(r"Collected : (\d+)")
Counts = dict[tuple[str, str], int]


def compiler() -> str:
    """Version of rustc, and what it compiles for."""
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    return f"rustc {facts['release']} {facts['host']}"


def built() -> Path:
    """The program with the workloads, as cargo leaves it."""
    command = ["cargo", "build", "--profile", "bench", "--package", "barproof-core"]
    command += ["--bench", "instructions", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told.get("executable") and told["target"]["name"] == "instructions":
            return Path(told["executable"])
    sys.exit("cargo built no program with the workloads")


def count(program: Path, workload: str, path: str) -> int:
    """Instructions of one workload, on all threads."""
    command = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--callgrind-out-file=/dev/null",
    ]
    # An environment of its own: its size moves the stack, and the home of a user is not the workload's business.
    environment = {"BARPROOF_SIMD": path, "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        [*command, str(program), workload], capture_output=True, text=True, env=environment
    )
    found = COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        sys.exit(f"{workload}, {path}: callgrind failed:\n{done.stderr[-2000:]}")
    return int(found[1])


def counted(program: Path) -> Counts:
    """Instructions of every workload on every path."""
    names = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    found = {}
    for workload in names.splitlines():
        for path in PATHS:
            found[workload, path] = count(program, workload, path)
            print(f"{workload:36} {path:9} {found[workload, path]:14,}", flush=True)
    return found


def read(path: Path = BASELINE) -> tuple[Counts, str]:
    """The baseline, and the compiler that it was counted with."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = {(row["workload"], row["path"]): int(row["instructions"]) for row in rows}
    return counts, rows[0]["compiler"]


def write(counts: Mapping[tuple[str, str], int], made_by: str, path: Path = BASELINE) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("workload", "path", "instructions", "compiler"))
        for (workload, simd), instructions in counts.items():
            writer.writerow((workload, simd, instructions, made_by))


def judged(
    now: Mapping[tuple[str, str], int], before: Mapping[tuple[str, str], int], most: float = MOST
) -> list[str]:
    """What differs from the baseline by more than the bound, by name."""
    told = []
    for key in dict.fromkeys([*before, *now]):
        name = f"{key[0]} on {key[1]}"
        if key not in now:
            told.append(f"{name}: in the baseline, and no longer a workload")
        elif key not in before:
            told.append(f"{name}: not in the baseline")
        elif abs(now[key] / before[key] - 1.0) > most:
            change = 100 * (now[key] / before[key] - 1.0)
            told.append(f"{name}: {now[key]:,} instructions, {change:+.1f}% from {before[key]:,}")
    return told


def main() -> None:
    """Count, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the baseline anew")
    update = parser.parse_args().update
    if shutil.which("valgrind") is None:
        sys.exit("missing: valgrind. On Debian and Ubuntu: apt-get install valgrind")
    made_by, program = compiler(), built()
    with tempfile.TemporaryDirectory() as folder:
        # Its path is an argument, and so part of the stack: always of the same length.
        same = Path(folder) / "instructions"
        shutil.copy2(program, same)
        now = counted(same)
    if update:
        write(now, made_by)
        print(f"written to {BASELINE.relative_to(ROOT)}")
        return
    before, theirs = read()
    told = judged(now, before)
    print("\n".join(told) or f"every workload is within {MOST:.0%} of the baseline")
    if told and made_by != theirs:
        print(f"not judged: the baseline is of {theirs}, this is {made_by}")
    elif told:
        sys.exit(
            "instructions changed: where that is meant, run `make instructions UPDATE=1` and commit the "
            "baseline with the reason"
        )


if __name__ == "__main__":
    main()
