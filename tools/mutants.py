"""Mutate the core and see what the tests notice: every mutant of cargo-mutants in one build, chosen at run time.

``python tools/mutants.py --file GLOB [--file GLOB] --out FOLDER [--only REGEX] [--shard 0/4] [--seconds 3600]``.
cargo-mutants names the mutants and is the judge of what counts as one. Building each by itself takes minutes of
processor time where its tests take seconds, and it knows no tests but those of cargo, while it is the twin in Python
that holds money and metrics. So each mutant becomes a branch behind a number, all of them are compiled once, and the
tests run with one number after the other in ``BARPROOF_MUTANT``: those of Rust first, then, without ``--rust``, those
of Python. That second stage has not been tried on the whole.

Outcomes: caught; timeout, which is caught too; missed; unviable, which does not compile; untried, which compiles only
without a branch in it, as constants do. ``FOLDER/results.jsonl`` holds a line a mutant, and work goes on where it
stopped; a change to the core moves the lines that name the mutants: take a new folder. Exit code 1 if one survives.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "rust/core/src/lib.rs"
SWITCH = """
/// The mutant that is on, from `BARPROOF_MUTANT`; 0 is none, and all ones: not asked yet.
static MUTANT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(u32::MAX);

#[cold]
fn asked() -> u32 {
    let told = std::env::var("BARPROOF_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    MUTANT.store(told, std::sync::atomic::Ordering::Relaxed);
    told
}

/// Whether this one is on.
#[inline(always)]
#[allow(missing_docs)]
pub fn mutant(number: u32) -> bool {
    let on = MUTANT.load(std::sync::atomic::Ordering::Relaxed);
    number == if on == u32::MAX { asked() } else { on }
}
"""
"""What the mutated core carries: a number, set from outside."""
MOST_ROUNDS = 40
"""Builds until every branch compiles: the compiler tells the errors of one phase at a time."""
MEMORY = 6 << 30
"""Address space of a run of the tests: a mutant may ask for more and more."""
PROFILES = ("CARGO_PROFILE_DEV", "CARGO_PROFILE_TEST")
BUILD = {
    **os.environ,
    "RUSTFLAGS": "--cap-lints allow",
    **{f"{profile}_OPT_LEVEL": "1" for profile in PROFILES},
    **{f"{profile}_DEBUG": "0" for profile in PROFILES},
}
"""How the core is built: thousands of branches, optimised a little."""
MONEY = ["backtest::", "fuzzing::live", "tests/test_scenarios.py", "tests/reference/test_replay.py"]
ACCOUNTS = ["fuzzing::accounts", "backtest::", "tests/reference/test_shared_account.py"]
SUITES = {
    "backtest/position": ["backtest::position", *MONEY],
    "backtest/metrics": ["backtest::metrics", *MONEY],
    "backtest/indexed/allot": ACCOUNTS,
    "backtest/indexed/crowd": [*ACCOUNTS, "tests/test_account_crowd.py"],
    "backtest/indexed/account": ACCOUNTS,
    "backtest/indexed/clock": ["backtest::indexed::clock", *ACCOUNTS],
    "backtest/indexed": ["backtest::indexed::equality", "backtest::", "fuzzing::accounts"],
    "backtest": MONEY,
    "stats": ["stats::", "tests/stats/test_overfit.py"],
    "": [""],
}
"""Tests by the beginning of the path below ``rust/core/src``, the first that fits: names in Rust, files of Python."""


class Mutant(NamedTuple):
    """One of cargo-mutants, with the number that turns it on."""

    number: int
    file: str
    name: str
    genre: str
    replacement: str
    start: tuple[int, int]
    end: tuple[int, int]


def listed(globs: list[str], shard: str) -> list[Mutant]:
    """Ask cargo-mutants."""
    words = ["cargo", "mutants", "--package", "barproof-core", "--list", "--json"]
    words += [word for glob in globs for word in ("--file", glob)]
    words += ["--shard", shard, "--sharding", "round-robin"] if shard else []
    told = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = []
    for number, one in enumerate(json.loads(told), start=1):
        start, end = (
            (one["span"][side]["line"], one["span"][side]["column"]) for side in ("start", "end")
        )
        known = (one["file"], one["name"], one["genre"], one["replacement"])
        found.append(Mutant(number, *known, start, end))
    return found


# --- one build with all of them -----------------------------------------------------------------------------------


class Source:
    """A file, its syntax tree, and where the branches go."""

    def __init__(self, path: Path) -> None:
        import tree_sitter
        import tree_sitter_rust

        self.data = path.read_bytes()
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
        self.root = parser.parse(self.data).root_node
        self.lines = self.data.decode().split("\n")

    def at(self, place: tuple[int, int]) -> int:
        """Byte of a line and a column, both counted from 1."""
        line, column = place
        before = [*self.lines[: line - 1], self.lines[line - 1][: column - 1]]
        return len("\n".join(before).encode())

    def around(self, first: int, last: int, fits: Callable[[Any], bool]) -> Any:
        """Innermost node that holds the bytes and fits; None if there is none."""
        node = self.root.descendant_for_byte_range(first, last)
        while node is not None and not fits(node):
            node = node.parent
        return node

    def text(self, first: int, last: int) -> str:
        """Source between two bytes."""
        return self.data[first:last].decode()


def branch(source: Source, one: Mutant) -> tuple[str, Any, str] | None:
    """How a mutant becomes a branch: what is done, at which node, with which text; None if it cannot compile."""
    first, last = source.at(one.start), source.at(one.end)

    def around(*kinds: str) -> Any:
        return source.around(first, last, lambda node: node.type in kinds)

    if one.genre == "FnValue":
        return "enter", around("function_item").child_by_field_name("body"), one.replacement
    if one.genre == "MatchArmGuard":
        node = source.around(first, last, lambda n: (n.start_byte, n.end_byte) == (first, last))
        return "either", node, one.replacement
    if one.genre == "MatchArm":
        arm = around("match_arm")
        others = [n for n in arm.parent.children if n.type == "match_arm" and n != arm]
        # Where no other arm takes the rest, every arm is needed.
        if not any(source.text(n.start_byte, n.end_byte).startswith("_ =>") for n in others):
            return None
        pattern = arm.child_by_field_name("pattern")
        return "guard", pattern.child_by_field_name("condition") or pattern, ""
    node = {
        "BinaryOperator": around("binary_expression", "compound_assignment_expr", "let_chain"),
        "UnaryOperator": around("unary_expression"),
        "StructField": around("struct_expression"),
    }[one.genre]
    if node.type == "let_chain":  # an `||` in it is none
        return None
    after = source.text(last, node.end_byte)
    if one.genre == "StructField":
        after = after.lstrip().removeprefix(",")
    return "either", node, source.text(node.start_byte, first) + one.replacement + after


def written(source: Source, wanted: list[Mutant]) -> str:
    """Write the file with a branch a mutant, in brackets that tell which it is."""
    places: dict[int, list[tuple[str, int, str]]] = {}
    for one in wanted:
        found = branch(source, one)
        assert found is not None, one
        how, node, text = found
        places.setdefault(node.id, []).append((how, one.number, text))

    def emit(node: Any) -> str:
        at, parts = node.start_byte, []
        for child in node.children:
            parts += [source.text(at, child.start_byte), emit(child)]
            at = child.end_byte
        inner = "".join(parts) + source.text(at, node.end_byte)
        for how, number, text in places.get(node.id, []):
            on = f"crate::mutant({number})"
            if how == "enter":
                held = f"/*<{number}*/return {text};/*{number}>*/"
                inner = f"{{ if {on} {{ {held} }} {inner[1:]}"
            elif how == "either":
                held = f"/*<{number}*/{text}/*{number}>*/"
                inner = f"/*<({number}*/(if {on} {{ {held} }} else {{ {inner} }})/*{number})>*/"
            elif node.type == "match_pattern":
                inner = f"{inner} if /*<{number}*/!{on}/*{number}>*/"
            else:
                inner = f"/*<{number}*/!{on}/*{number}>*/ && ({inner})"
        return inner

    return emit(source.root)


def blamed(text: str, offset: int) -> tuple[int, str]:
    """Find the innermost branch, or else choice, that holds an offset: its number, or 0, and its outcome."""
    for opens, closes, outcome in (
        (r"/\*<(\d+)\*/", "/*{}>*/", "unviable"),
        (r"/\*<\((\d+)\*/", "/*{})>*/", "untried"),
    ):
        for found in reversed(list(re.finditer(opens, text[:offset]))):
            if text.index(closes.format(found[1])) >= offset:
                return int(found[1]), outcome
    return 0, ""


def compile_errors(tree: Path) -> list[list[tuple[str, int]]]:
    """Check the core; for each error the files and bytes that it names, the primary one first."""
    words = ["check", "-p", "barproof-core", "--features", "fuzzing", "--message-format=json"]
    done = subprocess.run(
        ["cargo", *words], cwd=tree, env=BUILD, capture_output=True, text=True, check=False
    )
    found = []
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told.get("reason") == "compiler-message" and told["message"]["level"] == "error":
            spans = sorted(told["message"]["spans"], key=lambda span: not span["is_primary"])
            found.append([(span["file_name"], span["byte_start"]) for span in spans])
    if done.returncode and not found:
        raise SystemExit(done.stderr[-3_000:])
    return [spans for spans in found if spans]


def put(path: Path, data: bytes) -> None:
    """Write what differs: a file that is newer is compiled again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)


def build(tree: Path, mutants: list[Mutant]) -> dict[str, str]:
    """Write the tree with all mutants that compile, and build it; for each of the others its outcome, by name."""
    sources = {file: Source(ROOT / file) for file in {one.file for one in mutants}}
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    words += ["rust", "python", "Cargo.toml", "Cargo.lock"]
    told = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in told.splitlines():
        if name not in {*sources, LIBRARY} and (ROOT / name).is_file():
            put(tree / name, (ROOT / name).read_bytes())
    known = tree.parent / "left.json"
    left: dict[str, str] = json.loads(known.read_text()) if known.exists() else {}
    left |= {one.name: "unviable" for one in mutants if branch(sources[one.file], one) is None}
    names = {one.number: one.name for one in mutants}
    for turn in range(MOST_ROUNDS):
        texts = {
            file: written(source, [m for m in mutants if m.file == file and m.name not in left])
            for file, source in sources.items()
        }
        texts[LIBRARY] = texts.get(LIBRARY, (ROOT / LIBRARY).read_text()) + SWITCH
        for file, text in texts.items():
            put(tree / file, text.encode())
        errors, before = compile_errors(tree), len(left)
        if not errors:
            break
        for spans in errors:
            for file, first in spans:
                text = texts.get(file, "")
                # Offsets of the compiler count bytes.
                number, outcome = blamed(text, len(text.encode()[:first].decode()))
                if number:
                    left.setdefault(names[number], outcome)
                    break
        print(f"round {turn + 1}: {len(errors)} errors, {len(left) - before} left out", flush=True)
        if len(left) == before:
            raise SystemExit(f"errors that no mutant explains: {errors[:5]}")
    else:
        raise SystemExit(f"the mutants do not compile after {MOST_ROUNDS} rounds")
    known.write_text(json.dumps(left))
    for task in ("test -p barproof-core --lib --no-run", "build -p barproof-py"):
        subprocess.run(["cargo", *task.split(), "--quiet"], cwd=tree, env=BUILD, check=True)
    return left


# --- the tests ----------------------------------------------------------------------------------------------------


class Tests:
    """The tests, asked with one mutant, and the processor time that each suite may take."""

    def __init__(self, tree: Path, cases: int) -> None:
        made = (tree / "target" / "debug" / "deps").glob("barproof_core-*")
        self.binary = max((p for p in made if not p.suffix), key=lambda path: path.stat().st_mtime)
        extension = (tree / "target" / "debug" / "lib_core.so").read_bytes()
        put(tree / "python" / "barproof" / "_core.abi3.so", extension)
        self.limits: dict[str, int] = {}
        self.given = {
            **os.environ, "PROPTEST_CASES": str(cases), "PROPTEST_MAX_SHRINK_ITERS": "0",
            "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1", "RAYON_NUM_THREADS": "2", "RUST_BACKTRACE": "0",
            "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(tree / "python"),
        }  # fmt: skip

    def words(self, suite: str, *, named: bool = False) -> list[str]:
        """Command that runs these tests, or names them."""
        if suite.endswith(".py"):
            pytest = [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider"]
            return [*pytest, "-p", "no:xdist", suite, *(["--collect-only"] if named else [])]
        return [str(self.binary), "-q", "--test-threads=1", suite, *(["--list"] if named else [])]

    def run(self, number: int, suite: str, seconds: int) -> str:
        """Run them: passed, caught or timeout. Processor time counts, and time of the clock where all stands still."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

        try:
            code = subprocess.run(
                self.words(suite), env={**self.given, "BARPROOF_MUTANT": str(number)}, cwd=ROOT,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit,
                timeout=20 * seconds, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return "timeout"
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "timeout"
        return "caught" if code else "passed"

    def limit(self, suite: str) -> int:
        """Seconds for these tests, from what they take without a mutant; they must pass, and be some."""
        if suite not in self.limits:
            named = subprocess.run(
                self.words(suite, named=True), env=self.given, cwd=ROOT, check=False,
                capture_output=True, text=True,
            ).stdout  # fmt: skip
            before = spent()
            if "::" not in named or self.run(0, suite, 3_600) != "passed":
                raise SystemExit(f"without a mutant, these fail or are none: {suite}")
            self.limits[suite] = int(3 + 5 * (spent() - before))
            print(f"limit {self.limits[suite]:6} s: {suite}", flush=True)
        return self.limits[suite]

    def judge(self, one: Mutant, *, rust_alone: bool) -> tuple[str, str]:
        """Run what holds its file; the outcome, and what noticed, or all that was asked."""
        below = one.file.removeprefix("rust/core/src/")
        suites = next(suites for start, suites in SUITES.items() if below.startswith(start))
        asked = [suite for suite in suites if not (rust_alone and suite.endswith(".py"))]
        for suite in asked:
            told = self.run(one.number, suite, self.limit(suite))
            if told != "passed":
                return told, suite
        return "missed", " ".join(asked)


def spent() -> float:
    """Processor time of children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Mutate, test, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", action="append", required=True, help="glob below the repository")
    parser.add_argument("--out", type=Path, required=True, help="folder of the build and results")
    parser.add_argument("--only", default="", help="build all, try those whose names match this")
    parser.add_argument("--shard", default="", help="k/n of cargo-mutants: every n-th mutant")
    parser.add_argument("--seconds", type=float, default=1e9, help="wall time to stop after")
    parser.add_argument("--cases", type=int, default=300, help="random cases a property of Rust")
    parser.add_argument("--rust", action="store_true", help="ask the tests of Rust alone")
    parser.add_argument("--again", action="store_true", help="try again those that survived")
    asked = parser.parse_args()
    until = time.monotonic() + asked.seconds
    out = asked.out.resolve()
    mutants = listed(asked.file, asked.shard)
    print(f"{len(mutants)} mutants", flush=True)
    left = build(out / "tree", mutants)
    tests = Tests(out / "tree", asked.cases)
    results = out / "results.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    done: dict[str, dict[str, str]] = {row["name"]: row for row in map(json.loads, lines)}
    with results.open("a") as file:
        for one in mutants:
            known = done.get(one.name, {}).get("outcome")
            if known and not (asked.again and known == "missed"):
                continue
            if not re.search(asked.only, one.name):
                continue
            if time.monotonic() > until:
                break
            outcome, by = left.get(one.name), ""
            if outcome is None:
                outcome, by = tests.judge(one, rust_alone=asked.rust)
            done[one.name] = {"name": one.name, "outcome": outcome, "by": by}
            print(json.dumps(done[one.name]), file=file, flush=True)
            if outcome in ("missed", "timeout"):
                print(f"{outcome}: {one.name}", flush=True)
    counts = Counter(done[one.name]["outcome"] for one in mutants if one.name in done)
    print(f"{counts.total()} of {len(mutants)}: {dict(counts)}")
    return 1 if counts["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
