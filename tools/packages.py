"""Build wheel and source package, and try both where nothing else is: `make wheel-check`.

The wheel is built against an old glibc by zig where ``--manylinux`` names one, checked by auditwheel, and installed in
a new environment of every Python that is found. The source package is looked at for what must and must not be in it,
and built and installed on the first of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "README.md",
    "pyproject.toml",
    "Cargo.toml",
    "Cargo.lock",
)
"""Files that a source package must hold, from its root."""
DATA = (".parquet", ".feather", ".csv", ".sqlite", ".zip", ".gz")
"""Endings that no package may hold."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LARGEST = 20 * 2**20
"""Bytes above which something lies in a package that does not belong there."""


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command; what it prints. Its whole output is in the error where it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def pythons() -> dict[str, Path]:
    """Interpreters by version: on the path, and those of pyenv."""
    found = {}
    for version in PYTHONS:
        named = shutil.which(f"python{version}")
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        for place in [*pyenv, *([Path(named)] if named else [])]:
            asked = subprocess.run([place, "-c", "import venv, ensurepip"], capture_output=True)
            if asked.returncode == 0:
                found[version] = place
                break
    return found


def members(package: Path) -> list[str]:
    """Names in a wheel or a source package; of the latter without its folder."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return archive.namelist()
    with tarfile.open(package) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def faults(package: Path) -> list[str]:
    """Look for what is wrong with a package by its members alone.

    Parameters
    ----------
    package : Path
        A wheel or a source package.

    Returns
    -------
    list of str
        One line a fault; none where it is as it should be.
    """
    names = members(package)
    told = []
    if package.suffix == ".whl":
        for ending in ("LICENSE-MIT", "LICENSE-APACHE", "METADATA", "py.typed", "_core.pyi"):
            if not any(name.endswith(ending) for name in names):
                told.append(f"{package.name} lacks {ending}")
    else:
        told += [f"{package.name} lacks {name}" for name in NEEDED if name not in names]
    data = [name for name in names if name.endswith(DATA) and "/corpus/" not in name]
    if data:
        told.append(f"{package.name} holds data: {', '.join(data[:5])}")
    if package.stat().st_size > LARGEST:
        told.append(f"{package.name} takes {package.stat().st_size:,} bytes")
    return told


def tried(package: Path, python: Path, folder: Path) -> dict[str, float]:
    """Install a package where nothing else is, and use it as somebody would who has just installed it.

    Parameters
    ----------
    package : Path
        To install.
    python : Path
        Interpreter.
    folder : Path
        Empty; all is done in it.

    Returns
    -------
    dict of str to float
        Seconds of each step.
    """
    seconds = {}
    bin_ = folder / "venv" / "bin"
    steps: list[tuple[str, list[str | Path]]] = [
        ("venv", [python, "-m", "venv", folder / "venv"]),
        ("install", [bin_ / "python", "-m", "pip", "install", "--quiet", package]),
        ("version", [bin_ / "barproof", "--version"]),
        ("doctor", [bin_ / "barproof", "doctor"]),
        ("demo", [bin_ / "barproof", "demo", "--bars", "40000", "--out", "demo"]),
        ("init", [bin_ / "barproof", "init", "study"]),
        ("study", [bin_ / "python", "study.py"]),
        ("explain", [bin_ / "barproof", "explain", "PRED-05"]),
    ]
    for name, words in steps:
        began = time.perf_counter()
        run(*words, cwd=folder / "study" if name == "study" else folder)
        seconds[name] = round(time.perf_counter() - began, 1)
    for made in ("demo/report.html", "study/report.html"):
        if not (folder / made).is_file():
            raise SystemExit(f"{package.name} on {python}: {made} was not written")
    return seconds


def built(out: Path, manylinux: str | None) -> tuple[Path, Path]:
    """Build both packages.

    Parameters
    ----------
    out : Path
        Folder for them.
    manylinux : str or None
        Such as ``"2_17"``: link against that glibc with zig. None takes that of this machine.

    Returns
    -------
    tuple of Path
        Wheel, source package.
    """
    maturin = [sys.executable, "-m", "maturin"]
    old = ["--zig", "--compatibility", f"manylinux_{manylinux}"] if manylinux else []
    before = set(out.glob("*")) if out.is_dir() else set()
    run(*maturin, "build", "--release", "--out", out, *old, cwd=ROOT)
    run(*maturin, "sdist", "--out", out, cwd=ROOT)
    made = sorted(out.glob("*"), key=lambda p: (p not in before, p.stat().st_mtime))
    wheel = next(p for p in reversed(made) if p.suffix == ".whl")
    return wheel, next(p for p in reversed(made) if p.name.endswith(".tar.gz"))


def main() -> int:
    """Build, look, install, use; leave with 1 where a package is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--manylinux", help="such as 2_17; needs the package ziglang")
    parser.add_argument("--wheel", type=Path, help="try this wheel, and build none")
    parser.add_argument("--sdist", type=Path, help="try this source package, and build none")
    given = parser.parse_args()
    wheel, sdist = given.wheel, given.sdist
    if wheel is None and sdist is None:
        wheel, sdist = built(given.out, given.manylinux)
    told = [line for package in (wheel, sdist) if package for line in faults(package)]
    if wheel is not None and shutil.which("auditwheel"):
        print(run("auditwheel", "show", wheel).strip())
    found = pythons()
    for version, python in found.items():
        if wheel is not None:
            with tempfile.TemporaryDirectory() as folder:
                print(
                    f"{wheel.name} on {version}: {tried(wheel.resolve(), python, Path(folder))}",
                    flush=True,
                )
    if sdist is not None and found:
        version, python = next(iter(found.items()))
        with tempfile.TemporaryDirectory() as folder:
            print(
                f"{sdist.name} on {version}: {tried(sdist.resolve(), python, Path(folder))}",
                flush=True,
            )
    for line in told:
        print(line, file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
