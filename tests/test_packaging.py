"""What packages say of themselves: versions, dependencies, licences, and the papers that go with them."""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import barproof as bp

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = re.compile(r"^([A-Za-z0-9_.-]+)(>=|==)([0-9.]+)")


def tool(name: str) -> Any:
    """A file of tools/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


PACKAGES = tool("packages")


def bounds(lines: list[str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = {}
    for line in lines:
        told = VERSION.match(line)
        if told:
            number = [int(part) for part in told[3].split(".")]
            found[told[1].lower()] = (told[2], tuple(number + [0] * (3 - len(number))))
    return found


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    """`make test-lowest` installs exactly the lower bounds that users are promised."""
    promised = bounds(PROJECT["dependencies"])
    tested = bounds((ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines())
    assert len(promised) == len(PROJECT["dependencies"])
    assert {n: b for n, (_, b) in promised.items()} == {n: tested[n][1] for n in promised}
    assert {tested[n][0] for n in promised} == {"=="}
    assert {sign for sign, _ in promised.values()} == {">="}


def test_one_version() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    cited = re.search(
        r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M
    )
    assert cited is not None
    assert cited[1] == bp.__version__ == cargo["workspace"]["package"]["version"]


def test_extras_are_named_in_all_and_in_the_readme() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"barproof[{','.join(n for n in extras if n != 'all')}]"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [n for n in extras if f"`{n}`" not in readme] == []


def test_papers_say_what_a_version_promises() -> None:
    house = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for word in (
        "semantic versioning",
        "DeprecationWarning",
        "two minor versions",
        "Changed values",
    ):
        assert word in house
    assert "private advisory" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changes
    assert "### Changed values" in changes


def test_workflows_say_what_nobody_has_looked_at() -> None:
    wheels = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")
    for platform in ("ubuntu-24.04-arm", "macos-14", "windows-2022", "manylinux"):
        assert platform in wheels
    assert "nobody has looked" in wheels
    assert "## Platforms" in (ROOT / "docs" / "limitations.md").read_text(encoding="utf-8")


def source(folder: Path, *names: str) -> Path:
    path = folder / "barproof-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(f"barproof-0.1.0/{name}")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return path


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "barproof-0.1.0-cp311-abi3-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


def test_sources_are_those_that_git_keeps() -> None:
    """What packages are held to is every file of the package: modules, types, what the report is made of."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "python", "rust"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    kept = sorted(name for name in listed if (ROOT / name).is_file())
    assert [f"python/{name}" for name in PACKAGES.sources()] == [
        name for name in kept if name.startswith("python/")
    ]
    assert PACKAGES.crates() == [name for name in kept if name.startswith("rust/")]
    static = {n for n in PACKAGES.sources() if n.startswith("barproof/report/static/")}
    assert {Path(name).suffix for name in static} == {".css", ".js"}


def test_faults_of_a_source_package_are_seen(tmp_path: Path) -> None:
    needed = [
        *PACKAGES.NEEDED,
        *PACKAGES.crates(),
        *(f"python/{name}" for name in PACKAGES.sources()),
    ]
    assert PACKAGES.faults(source(tmp_path, *needed)) == []
    for lacking in (
        "LICENSE-MIT",
        "python/barproof/report/static/style.css",
        "rust/core/src/lib.rs",
    ):
        told = PACKAGES.faults(source(tmp_path, *(n for n in needed if n != lacking)))
        assert told == [f"barproof-0.1.0.tar.gz lacks {lacking}"]
    for more, words in (
        ("data/btc.parquet", "holds data: data/btc.parquet"),
        (
            "python/barproof/_core.abi3.so",
            "holds what is none of it: python/barproof/_core.abi3.so",
        ),
    ):
        assert PACKAGES.faults(source(tmp_path, *needed, more)) == [
            f"barproof-0.1.0.tar.gz {words}"
        ]


def test_faults_of_a_wheel_are_seen(tmp_path: Path) -> None:
    info = "barproof-0.1.0.dist-info"
    needed = [f"{info}/{paper}" for paper in ("METADATA", "entry_points.txt")]
    needed += [f"{info}/licenses/{paper}" for paper in ("LICENSE-MIT", "LICENSE-APACHE")]
    needed += ["barproof/_core.abi3.so", *PACKAGES.sources()]
    name = "barproof-0.1.0-cp311-abi3-manylinux_2_17_x86_64.whl"
    assert PACKAGES.faults(wheel(tmp_path, *needed)) == []
    for lacking in ("barproof/py.typed", "barproof/report/static/page.js", f"{info}/METADATA"):
        told = PACKAGES.faults(wheel(tmp_path, *(n for n in needed if n != lacking)))
        assert told == [f"{name} lacks {lacking}"]
    told = PACKAGES.faults(wheel(tmp_path, *(n for n in needed if not n.endswith(".so"))))
    assert told == [f"{name} lacks the compiled module"]
    told = PACKAGES.faults(wheel(tmp_path, *needed, "LICENSE-MIT"))
    assert told == [f"{name} holds what is none of it: LICENSE-MIT"]


@pytest.mark.skipif(importlib.util.find_spec("maturin") is None, reason="maturin is not installed")
def test_the_source_package_of_this_tree_holds_all_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tar.gz")
    assert PACKAGES.faults(package) == []


@pytest.mark.skipif(not PACKAGES.pythons(), reason="no Python beside this one")
def test_every_python_that_is_found_can_make_environments() -> None:
    for version, python in PACKAGES.pythons().items():
        assert version in PACKAGES.PYTHONS
        assert python.exists()
