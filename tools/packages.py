"""Build wheel and source package, and try both where nothing else is: `make wheel-check`.

The wheel is built against an old glibc by zig where ``--manylinux`` names one, and held to it by auditwheel. Both are
looked at for what must and must not be in them: every file of the package in this tree must. Then each is installed in
a new environment of every Python that is found, and used there as by somebody who has just installed it; the source
package is compiled there. A table of what was done, with seconds, is the last thing that is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
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
COMPILED = (".so", ".pyd", ".pyc")
"""Endings of what is made from the sources, and is not one of them."""


def run(*words: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command, with variables of the environment; what it prints, all of it in the error where it fails."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kept | variables,
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


def sources(root: Path = ROOT) -> list[str]:
    """Files of the Python package in this tree, from ``python/``: modules, types, and what the report is made of."""
    folder = root / "python"
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in COMPILED
    )


def crates(root: Path = ROOT) -> list[str]:
    """Files that the source package is compiled from, from its root."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in (root / "rust").glob("*/**/*")
        if path.is_file() and (path.suffix == ".rs" or path.name == "Cargo.toml")
    )


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
        info = f"{'-'.join(package.name.split('-')[:2])}.dist-info"
        papers = ("METADATA", "entry_points.txt", "licenses/LICENSE-MIT", "licenses/LICENSE-APACHE")
        wanted = [*(f"{info}/{paper}" for paper in papers), *sources()]
        if not any(re.fullmatch(r"barproof/_core\..*(so|pyd)", name) for name in names):
            told.append(f"{package.name} lacks the compiled module")
        astray = [name for name in names if name.partition("/")[0] not in ("barproof", info)]
        astray += [name for name in names if name.endswith(".pyc")]
    else:
        wanted = [*NEEDED, *crates(), *(f"python/{name}" for name in sources())]
        astray = [name for name in names if name.endswith(COMPILED)]
    present = set(names)
    told += [f"{package.name} lacks {name}" for name in wanted if name not in present]
    if astray:
        told.append(f"{package.name} holds what is none of it: {', '.join(astray[:5])}")
    data = [name for name in names if name.endswith(DATA) and "/corpus/" not in name]
    if data:
        told.append(f"{package.name} holds data: {', '.join(data[:5])}")
    if package.stat().st_size > LARGEST:
        told.append(f"{package.name} takes {package.stat().st_size:,} bytes")
    return told


def tried(
    package: Path, python: Path, folder: Path, *, target: Path | None = None
) -> dict[str, float]:
    """Install a package where nothing else is, and use it as somebody would who has just installed it.

    Parameters
    ----------
    package : Path
        To install.
    python : Path
        Interpreter.
    folder : Path
        Empty; all is done in it.
    target : Path, optional
        Where cargo keeps what it compiles, so that the dependencies of a source package are compiled once.

    Returns
    -------
    dict of str to float
        Seconds of each step.
    """
    seconds = {}
    shared = {} if target is None else {"CARGO_TARGET_DIR": str(target)}
    bin_ = folder / "venv" / "bin"
    steps: list[tuple[str, list[str | Path]]] = [
        ("venv", [python, "-m", "venv", folder / "venv"]),
        ("install", [bin_ / "python", "-m", "pip", "install", "--quiet", package]),
        ("check", [bin_ / "python", "-m", "pip", "check"]),
        ("version", [bin_ / "barproof", "--version"]),
        ("doctor", [bin_ / "barproof", "doctor"]),
        ("demo", [bin_ / "barproof", "demo", "--bars", "40000", "--out", "demo"]),
        ("init", [bin_ / "barproof", "init", "study"]),
        ("study", [bin_ / "python", "study.py"]),
        ("explain", [bin_ / "barproof", "explain", "PRED-05"]),
    ]
    for name, words in steps:
        began = time.perf_counter()
        run(*words, cwd=folder / "study" if name == "study" else folder, **shared)
        seconds[name] = round(time.perf_counter() - began, 1)
    for made in ("demo/report.html", "study/report.html"):
        if not (folder / made).is_file():
            raise SystemExit(f"{package.name} on {python}: {made} was not written")
    return seconds


def held(wheel: Path, manylinux: str) -> list[str]:
    """Ask auditwheel whether a wheel keeps what its name promises.

    Parameters
    ----------
    wheel : Path
        To look at.
    manylinux : str
        The promise, such as ``"2_17"``.

    Returns
    -------
    list of str
        One line where it does not, or where auditwheel is not there to say so; none otherwise.
    """
    if importlib.util.find_spec("auditwheel") is None:
        return [f"nobody has looked at the tag of {wheel.name}: pip install auditwheel"]
    said = " ".join(run(sys.executable, "-m", "auditwheel", "show", wheel).split())
    print(said, flush=True)
    tag = re.search(r'following platform tag: "(\S+)"', said)
    if tag is None or not tag[1].startswith(f"manylinux_{manylinux}_"):
        return [f"{wheel.name} is promised to be manylinux_{manylinux}, and is {tag and tag[1]}"]
    return []


def table(rows: list[tuple[str, str, dict[str, float]]]) -> str:
    """Rows of a record: package, Python, seconds of each step."""
    steps = list(rows[0][2]) if rows else []
    head = f"| package | Python | {' | '.join(steps)} |\n|---|---|{'--:|' * len(steps)}"
    body = [
        f"| {kind} | {version} | {' | '.join(str(seconds[s]) for s in steps)} |"
        for kind, version, seconds in rows
    ]
    return "\n".join([head, *body])


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
    # maturin asks the python of the path for zig, which is not always this one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    run(*maturin, "build", "--release", "--out", out, *old, cwd=ROOT, PATH=path)
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
    if wheel is not None and given.manylinux:
        told += held(wheel, given.manylinux)
    for package in (wheel, sdist):
        if package is not None:
            print(f"{package.name}: {package.stat().st_size:,} bytes", flush=True)
    rows = []
    found = pythons()
    with tempfile.TemporaryDirectory() as target:
        for kind, package in (("wheel", wheel), ("source", sdist)):
            for python in found.values() if package is not None else ():
                version = run(python, "--version").split()[1]
                try:
                    with tempfile.TemporaryDirectory() as folder:
                        done = tried(package.resolve(), python, Path(folder), target=Path(target))
                except SystemExit as failure:
                    told.append(f"{package.name} on {version}: {failure}")
                    continue
                rows.append((kind, version, done))
                print(f"{package.name} on {version}: {done}", flush=True)
    print(table(rows))
    for line in told:
        print(line, file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
