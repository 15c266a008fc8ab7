"""List the licences of everything that barproof is built on, hold them against a list, write docs/licences.md.

``python tools/licences.py [--check]``. Rust: the crates of ``Cargo.lock`` that end in the extension. Python: the
packages of ``pyproject.toml``, required and extras, with all that they need themselves, as they are installed here. A
package passes if one of the choices of its licence is on the list. With ``--check`` nothing is written: what is not
allowed, and a page that says something else, end with exit code 1.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"

ALLOWED = frozenset({
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib",
    "BSL-1.0", "Unlicense", "CC0-1.0", "Unicode-3.0", "PSF-2.0", "Python-2.0",
    # Weak copyleft, file by file: used as they are, never changed here.
    "MPL-2.0",
})  # fmt: skip
"""Licences that ask for no more than a notice of whoever ships barproof with its dependencies."""

EXCEPTIONS = {
    "nvidia-": "NVIDIA's own terms; comes with builds of torch and XGBoost for CUDA alone",
    "cuda-": "NVIDIA's own terms or Apache-2.0; comes with builds of torch for CUDA alone",
}
"""Packages, by how their names begin, that no list allows and that nobody needs."""

NAMES = {
    "MIT License": "MIT", "License :: OSI Approved :: MIT License": "MIT", "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0", "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "ISC License": "ISC",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""What packages write that know no SPDX."""

READ = {"skops": "MIT"}
"""Packages that say nothing but carry a text, which was read."""


class Package(NamedTuple):
    """A dependency.

    Attributes
    ----------
    name : str
        As its registry has it.
    licence : str
        SPDX expression, as far as it says one.
    direct : bool
        Whether barproof itself asks for it.
    extra : str
        Extra of barproof that brings it; empty where it is always needed.
    """

    name: str
    licence: str
    direct: bool
    extra: str = ""


def choices(expression: str) -> list[list[str]]:
    """Give the licences of each choice that an SPDX expression leaves.

    Examples
    --------
    >>> choices("(MIT OR Apache-2.0) AND Unicode-3.0")
    [['MIT', 'Unicode-3.0'], ['Apache-2.0', 'Unicode-3.0']]
    """
    text = expression.replace(" / ", " OR ").replace("/", " OR ")
    words = re.findall(r"[()]|[^\s()]+", text)
    at = 0

    def either() -> list[list[str]]:
        nonlocal at
        found = both()
        while at < len(words) and words[at].upper() == "OR":
            at += 1
            found = found + both()
        return found

    def both() -> list[list[str]]:
        nonlocal at
        found = one()
        while at < len(words) and words[at].upper() == "AND":
            at += 1
            more = one()
            found = [a + b for a in found for b in more]
        return found

    def one() -> list[list[str]]:
        nonlocal at
        if at >= len(words):
            return [[""]]
        word = words[at]
        at += 1
        if word == "(":
            found = either()
            at += 1
            return found
        if at + 1 < len(words) and words[at].upper() == "WITH":
            word = f"{word} WITH {words[at + 1]}"
            at += 2
        return [[word]]

    return either()


def allowed(package: Package) -> bool:
    """Whether one choice of a package's licence is on the list."""
    if any(package.name.startswith(head) for head in EXCEPTIONS):
        return True
    return any(ALLOWED.issuperset(choice) for choice in choices(package.licence))


def rust_packages() -> list[Package]:
    """Crates that end in the extension, those of the workspace left out."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        # Nothing was built here yet.
        done = subprocess.run(command[:-1], cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    packages = {p["id"]: p for p in told["packages"]}
    nodes = {n["id"]: n for n in told["resolve"]["nodes"]}
    members = set(told["workspace_members"])
    found: set[str] = set()
    direct: set[str] = set()
    waiting = list(members)
    while waiting:
        node = nodes[waiting.pop()]
        for dep in node["deps"]:
            if all(kind["kind"] == "dev" for kind in dep["dep_kinds"]):
                continue
            if node["id"] in members:
                direct.add(dep["pkg"])
            if dep["pkg"] not in found and dep["pkg"] not in members:
                found.add(dep["pkg"])
                waiting.append(dep["pkg"])
    made = {(packages[i]["name"], packages[i].get("license") or "", i in direct) for i in found}
    return sorted(Package(name, licence, first) for name, licence, first in made)


def licence_of(name: str) -> str | None:
    """Read what an installed package says of its licence; None where it is not installed."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if expression := told.get("License-Expression"):
        return expression
    text = (told.get("License") or "").strip()
    classifiers = [c for c in told.get_all("Classifier") or () if c.startswith("License ::")]
    said = [*([text] if text and "\n" not in text else []), *classifiers]
    known = [
        NAMES.get(one, one) for one in said if one in NAMES or one in ALLOWED or " AND " in one
    ]
    return known[0] if known else READ.get(name, text.splitlines()[0] if text else "")


def _plain(name: str) -> str:
    """Name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_packages() -> list[Package]:
    """List packages that barproof needs or an extra brings, with all that they need, where they are installed."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [("", text) for text in project["dependencies"]]
    for extra, texts in project["optional-dependencies"].items():
        asked += [(extra, text) for text in texts if not text.startswith("barproof[")]
    found: dict[str, Package] = {}

    def take(texts: Iterable[str], extra: str, direct: bool) -> None:
        for text in texts:
            wanted = Requirement(text)
            name = _plain(wanted.name)
            if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            licence = licence_of(name)
            if licence is None:
                continue
            found[name] = Package(name, licence, direct, extra)
            take(importlib.metadata.requires(name) or (), extra, False)

    # Those that are asked for first: what others bring as well is named as ours.
    for direct in (True, False):
        for extra, text in asked:
            name = _plain(Requirement(text).name)
            licence = licence_of(name)
            if licence is None:
                continue
            if direct:
                found[name] = Package(name, licence, True, extra)
            else:
                take(importlib.metadata.requires(name) or (), extra, False)
    return sorted(found.values())


HEAD = """# Licences of what barproof is built on

barproof itself is under MIT or Apache-2.0, as you like. Its extension contains the Rust crates of the second table. The
Python packages of the first are installed beside it, none is contained. `tools/licences.py` writes this page and holds
every package, with all that it needs itself, against a list of licences that ask for no more than a notice:

{allowed}

Packages whose names begin with {exceptions} come with builds for CUDA under terms of their own, and are neither needed
nor shipped.
"""


def page(rust: list[Package], python: list[Package]) -> str:
    """Write the page; what others bring in Python depends on the machine, and is checked but not listed."""
    exceptions = " or ".join(f"`{head}`" for head in EXCEPTIONS)
    lines = [HEAD.format(allowed=", ".join(sorted(ALLOWED)), exceptions=exceptions)]
    lines += ["| Python package | licence | needed by |", "|---|---|---|"]
    for one in python:
        if one.direct:
            lines.append(
                f"| {one.name} | {one.licence} | {f'`barproof[{one.extra}]`' if one.extra else 'always'} |"
            )
    lines += ["", "| Rust crate | licence | asked for by |", "|---|---|---|"]
    for one in rust:
        lines.append(
            f"| {one.name} | {one.licence} | {'barproof' if one.direct else 'another crate'} |"
        )
    return "\n".join(lines) + "\n"


def main(words: list[str] | None = None) -> int:
    """Check, and write the page unless that is all that was asked."""
    parser = argparse.ArgumentParser(description="licences of dependencies")
    parser.add_argument("--check", action="store_true")
    asked: Any = parser.parse_args(words)
    rust, python = rust_packages(), python_packages()
    refused = [one for one in (*rust, *python) if not allowed(one)]
    for one in refused:
        print(f"{one.name}: {one.licence or 'no licence told'}", file=sys.stderr)
    text = page(rust, python)
    if not asked.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.name} says something else: run python tools/licences.py", file=sys.stderr)
        return 1
    print(f"{len(rust)} crates and {len(python)} packages, {len(refused)} not allowed")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
