"""Licences of dependencies: every one is on the list, and the page says what the tool finds."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "tools" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("MIT", True),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(MIT OR GPL-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", True),
        ("MIT OR Apache-2.0 OR LGPL-2.1-or-later", True),
        ("", False),
        ("LicenseRef-Proprietary", False),
    ],
)
def test_one_choice_must_be_on_the_list(expression: str, want: bool) -> None:
    licences = tool()
    assert licences.allowed(licences.Package("x", expression, True)) is want


def test_every_python_package_is_allowed() -> None:
    licences = tool()
    found = licences.python_packages()
    assert {"numpy", "polars", "scikit-learn"} <= {one.name for one in found if one.direct}
    assert [one for one in found if not licences.allowed(one)] == []


@pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo on this machine")
def test_every_crate_is_allowed_and_listed() -> None:
    licences = tool()
    found = licences.rust_packages()
    assert {"numpy", "pyo3", "rayon", "sha2", "thiserror", "libm"} <= {one.name for one in found}
    assert [one for one in found if not licences.allowed(one)] == []
    listed = licences.PAGE.read_text(encoding="utf-8")
    for one in found:
        assert f"| {one.name} | {one.licence} |" in listed
