"""``barproof doctor``: whether the installation is sound."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.text import Text

from barproof import _core
from barproof._machine import available_bytes, thread_count
from barproof.cli import options
from barproof.cli.exits import FOUND, OK
from barproof.cli.output import console, emit_json, header
from barproof.errors import ParameterError

__all__ = ["doctor", "examine"]

BASE = ("numpy", "polars", "pydantic", "typer", "rich", "scipy", "scikit-learn", "skops", "plotly")
EXTRAS = {
    "torch": ("torch", "safetensors"),
    "boost": ("xgboost", "lightgbm"),
    "cluster": ("ray",),
    "fetch": ("ccxt",),
    "search": ("optuna",),
    "calendars": ("exchange_calendars",),
}
_TIMER = "import time; t = time.perf_counter(); import barproof; print(time.perf_counter() - t)"
_PLENTY = 2**62


def examine() -> dict[str, Any]:
    """Look at the installation.

    Returns
    -------
    dict
        What was found; `faults` lists what is wrong, each with its remedy.
    """
    faults = []
    if not _core.RELEASE_BUILD:
        faults.append(
            "the extension is a debug build, many times slower: reinstall with `pip install barproof`, or `make wheel`"
        )
    packages = {name: _version(name) for name in BASE}
    missing = [name for name, found in packages.items() if found is None]
    if missing:
        faults.append(f"packages are missing: pip install {' '.join(missing)}")
    try:
        threads: int | None = thread_count(None)
    except ParameterError as error:
        threads = None
        faults.append(f"{error}: set it right, or unset it")
    free = available_bytes()
    try:
        simd: str | None = _core.simd_path()
    except ParameterError as error:
        simd = None
        faults.append(f"{error}: set it right, or unset it")
    seconds = _import_seconds()
    if seconds is None:
        faults.append(
            "`import barproof` fails in a fresh process: run `python -c 'import barproof'` to see why"
        )
    return {
        "command": "doctor",
        "version": _core.__version__,
        "release_build": _core.RELEASE_BUILD,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "BARPROOF_THREADS": os.environ.get("BARPROOF_THREADS"),
        "simd": simd,
        "BARPROOF_SIMD": os.environ.get("BARPROOF_SIMD"),
        "memory_free_bytes": free if free < _PLENTY else None,
        "import_seconds": seconds,
        "packages": packages,
        "extras": {
            extra: all(importlib.util.find_spec(name) is not None for name in names)
            for extra, names in EXTRAS.items()
        },
        "faults": faults,
        "exit_code": FOUND if faults else OK,
    }


def _version(name: str) -> str | None:
    """Version of an installed package, or nothing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _import_seconds() -> float | None:
    """Time ``import barproof`` in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TIMER], capture_output=True, text=True, timeout=60, check=True
        )
        return float(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def doctor(json: options.Json = False) -> int:
    """Show versions, machine and build; exit code 1 if something is wrong."""
    found = examine()
    if json:
        emit_json(found)
        return int(found["exit_code"])
    out = console()
    memory, seconds = found["memory_free_bytes"], found["import_seconds"]
    facts = [
        ("engine", "release build" if found["release_build"] else "DEBUG build"),
        ("python", f"{found['python']} at {found['executable']}"),
        ("platform", found["platform"]),
        ("cores", f"{found['cores']}, {found['threads'] or '?'} threads used"),
        ("BARPROOF_THREADS", found["BARPROOF_THREADS"] or "not set"),
        ("simd", f"{found['simd'] or '?'}, of {', '.join(_core.simd_paths())}"),
        ("memory free", "unknown" if memory is None else f"{memory / 2**30:.1f} GiB"),
        ("import", "fails" if seconds is None else f"{seconds:.2f} s"),
        (
            "packages",
            ", ".join(f"{name} {found or 'MISSING'}" for name, found in found["packages"].items()),
        ),
        (
            "extras",
            ", ".join(
                f"{name} {'yes' if there else 'no'}" for name, there in found["extras"].items()
            ),
        ),
    ]
    header(out, f"barproof {found['version']}", facts)
    for fault in found["faults"]:
        out.print(
            Text("  fault: ", style="bold red").append(Text(fault, style="default")), soft_wrap=True
        )
    if not found["faults"]:
        out.print(Text("  all is well", style="green"))
    return int(found["exit_code"])
