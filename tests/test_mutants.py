"""The tool that mutates the core: a tiny program with all its mutants in it is each of them in turn."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("tree_sitter_rust")

from tools.mutants import SWITCH, Mutant, Source, blamed, branch, written

PROGRAM = """
/// Grüße: bytes are no columns.
fn cost(units: i64, price: i64) -> i64 {
    let mut sum = units * price + 1;
    sum -= price;
    match units { 0 => 7, n if n > 4 => -sum, _ => sum }
}

fn free(units: i64) -> bool {
    /* ß */ !(units > 3)
}

const LEAST: i64 = 2 + 3;

fn main() {
    println!("{} {} {} {} {LEAST}", cost(0, 4), cost(3, 5), cost(6, 7), free(3));
}
"""
CHANGES = [
    ("BinaryOperator", "*", "+", "units * price"),
    ("BinaryOperator", "+", "-", "+ 1"),
    ("BinaryOperator", "-=", "+=", "-= price"),
    ("BinaryOperator", ">", ">=", "> 3"),
    ("UnaryOperator", "-", "", "-sum"),
    ("UnaryOperator", "!", "", "!(units"),
    ("MatchArmGuard", "n > 4", "true", "n > 4"),
    ("MatchArmGuard", "n > 4", "false", "n > 4"),
    ("MatchArm", "0 => 7,", "", "0 => 7,"),
    ("MatchArm", "n if n > 4 => -sum,", "", "n if n > 4 => -sum,"),
    ("FnValue", "/* ß */ !(units > 3)", "false", "/* ß */"),
]
"""Genre, what is replaced, by what, and where that is found."""


def mutant(number: int, genre: str, old: str, new: str, around: str) -> Mutant:
    """Name it as cargo-mutants does: lines and columns count from 1."""
    first = PROGRAM.index(old, PROGRAM.index(around))

    def place(at: int) -> tuple[int, int]:
        return PROGRAM[:at].count("\n") + 1, at - PROGRAM.rfind("\n", 0, at)

    return Mutant(number, "main.rs", old, genre, new, place(first), place(first + len(old)))


def changed(one: Mutant) -> str:
    """Change the text itself."""
    lines = PROGRAM.split("\n")
    (top, left), (bottom, right) = one.start, one.end
    assert top == bottom
    line = lines[top - 1]
    lines[top - 1] = line[: left - 1] + one.replacement + line[right - 1 :]
    return "\n".join(lines)


def output(folder: Path, text: str, number: int = 0) -> str:
    """Compile and run."""
    (folder / "main.rs").write_text(text, encoding="utf-8")
    build = ["rustc", "--edition", "2024", "--cap-lints", "allow", "-o", "main", "main.rs"]
    if not (folder / "main").exists():
        subprocess.run(build, cwd=folder, check=True)
    asked = {"BARPROOF_MUTANT": str(number)}
    return subprocess.run(
        [folder / "main"], env=asked, check=True, capture_output=True, text=True
    ).stdout


def source(tmp_path: Path) -> Source:
    path = tmp_path / "program.rs"
    path.write_text(PROGRAM, encoding="utf-8")
    return Source(path)


@pytest.mark.skipif(shutil.which("rustc") is None, reason="needs rustc")
def test_each_number_is_its_mutant(tmp_path: Path) -> None:
    mutants = [mutant(n, *change) for n, change in enumerate(CHANGES, start=1)]
    (tmp_path / "all").mkdir()
    together = written(source(tmp_path), mutants) + SWITCH
    plain = output(tmp_path / "all", together)
    assert plain == "7 11 -36 true 5\n"
    for one in mutants:
        alone = tmp_path / str(one.number)
        alone.mkdir()
        want = output(alone, changed(one))
        assert want != plain, one
        assert output(tmp_path / "all", together, one.number) == want, one


def test_an_error_is_blamed_on_the_branch_it_is_in(tmp_path: Path) -> None:
    mutants = [mutant(n, *change) for n, change in enumerate(CHANGES, start=1)]
    constant = mutant(99, "BinaryOperator", "+", "-", "+ 3")
    text = written(source(tmp_path), [*mutants, constant])
    assert blamed(text, text.index("units + price")) == (1, "unviable")
    assert blamed(text, text.index("crate::mutant(99)")) == (99, "untried")
    assert blamed(text, text.index("fn main")) == (0, "")


def test_arms_without_a_rest_are_no_branch(tmp_path: Path) -> None:
    path = tmp_path / "arms.rs"
    path.write_text("fn f(on: bool) -> i64 { match on { true => 1, false => 2 } }\n")
    arm = Mutant(1, "arms.rs", "arm", "MatchArm", "", (1, 36), (1, 46))
    assert branch(Source(path), arm) is None
