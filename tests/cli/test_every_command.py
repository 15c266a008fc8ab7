"""What holds for every command: an example in its help, narrow screens, no colours, readers that leave, wrong input."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from barproof import _demo
from barproof.audits.report import Report
from barproof.cli import main
from barproof.cli.app import app
from barproof.cli.demo import TITLE
from barproof.cli.examples import EXAMPLES

from . import servers
from .conftest import Run
from .market import Files, write_market

RULES = ["-r", "entry_long+entry_short=1.5", "-r", "max_hold=24"]
FETCH = ["fetch", "A", "-i", "spot", "--interval", "1h", "--start", "2024-01-01"]
STUDY = [
    "-f",
    "rsi(14)",
    "--label-bars",
    "12",
    "--train",
    "10d",
    "--tune",
    "4d",
    "--test",
    "4d",
    "-m",
    "logistic",
]


def commands() -> dict[str, Any]:
    """Every command by its words; that of groups, too, and the program itself."""
    root: Any = typer.main.get_command(app)
    found = {"": root}
    for name, command in root.commands.items():
        found[name] = command
        for part, inner in getattr(command, "commands", {}).items():
            found[f"{name} {part}"] = inner
    return found


ALL = sorted(commands())


def test_every_command_has_examples() -> None:
    assert sorted(EXAMPLES) == ALL


@pytest.mark.parametrize("command", ALL)
def test_examples_are_command_lines_of_their_command(command: str) -> None:
    """Parsed by the command itself, so that an option that was renamed cannot stay in one."""
    table = commands()
    for line in EXAMPLES[command]:
        words = shlex.split(line)
        assert words[0] == "barproof"
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in table else words[1]
        assert name.startswith(command)
        context = table[name].make_context(name, words[1 + len(name.split()) :])
        assert context.args == []


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("command", ALL)
def test_help(run: Run, monkeypatch: pytest.MonkeyPatch, command: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = run(*command.split(), "--help")
    assert (code, err) == (0, "")
    plain = " ".join(out.split())
    assert "Exit codes: 0 done" in plain
    for line in EXAMPLES[command]:
        assert line in plain
    assert max(map(len, out.splitlines())) <= width


def piped(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run with a stdout whose reader has gone: code, and what is on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    before = sys.stdout
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        sys.stdout = stream
        try:
            code = main(words)
        finally:
            sys.stdout = before
    return code, capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("command", ALL)
def test_a_reader_that_leaves_the_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert piped([*command.split(), "--help"], capfd) == (141, "")


def test_no_help_has_colours_where_none_are_wanted() -> None:
    program = (
        f"from barproof.cli import main\nfor name in {ALL!r}: main([*name.split(), '--help'])\n"
    )
    base = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    forced = {**base, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    told = {}
    for name, env in (("coloured", forced), ("plain", {**forced, "NO_COLOR": "1"}), ("piped", base)):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, check=True
        )
        told[name] = done.stdout
    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(told["coloured"])
    # Bold and dim may stay, colours not.
    assert not colour.search(told["plain"])
    assert b"\x1b" not in told["piped"]


@pytest.fixture(scope="module")
def made() -> Any:
    return _demo.run_demo(seed=7, bars=40_000, threads=1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with candles, a study, a manifest, claims of none, and a ledger."""
    folder = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(folder)
    try:
        files = write_market(folder)
        Path("barproof.toml").write_text("[costs]\ntaker = 0.0005\n")
        assert main(["train", *files.market, *STUDY, "--out", "study"]) == 0
        assert main(["backtest", *files.run, *RULES, "--manifest", "m.json"]) == 0
        yield folder
    finally:
        os.chdir(before)


def runs(files: Files, url: str, new: str) -> dict[str, list[str]]:
    """A command line of each command that prints something; `new` is a name that is not taken yet."""
    bundle = "study/bundles/fold-0"
    archive = ["--archive", "binance", "--archive-url", url, "--pause", "0", "--funding", "none"]
    span = ["--start", "2024-01-03", "--end", "2024-01-20", "--out", new]
    return {
        "init": ["init", new],
        "fetch": ["fetch", "ABCUSDT", "-i", "perpetual", "--interval", "1h", *span, *archive],
        "check": ["check", *files.market],
        "features": ["features", *files.market, "-f", "rsi(14)"],
        "labels": ["labels", *files.market, "--bars", "12"],
        "train": ["train", *files.market, *STUDY],
        "evaluate": ["evaluate", *files.market, "-p", "study/predictions.parquet", "--label-bars", "12"],
        "backtest": ["backtest", *files.run, *RULES],
        "sweep": ["sweep", *files.run, "-a", "entry_long+entry_short=1,1.5"],
        "portfolio": [
            "portfolio", f"A={files.candles}", "--signals", f"A={files.signals}", "-i", "perpetual",
            "--funding", "none", "--kind", "score", "--taker", "0.0005", *RULES,
        ],
        "audit": ["audit", *files.run, *RULES, "--exit-zero"],
        "verify": ["verify", "m.json"],
        "explain": ["explain", "PRED-05"],
        "demo": ["demo", "--bars", "40000", "--out", new],
        "doctor": ["doctor"],
        "rules": ["rules"],
        "metrics": ["metrics"],
        "ledger list": ["ledger", "list"],
        "ledger show": ["ledger", "show", "1"],
        "ledger trials": ["ledger", "trials"],
        "ledger history": ["ledger", "history"],
        "ledger verify": ["ledger", "verify"],
        "bundle inspect": ["bundle", "inspect", bundle],
        "bundle verify": ["bundle", "verify", bundle],
    }  # fmt: skip


# `live` writes one JSON line a decision, `parity` takes a log of it, `export` writes a file, `recreate` searches:
# readers that leave and screens are tested in the files of their own.
PRINTING = sorted(runs(Files(*[Path()] * 4), "", ""))


def page(report: Any, path: Any, **options: Any) -> Any:
    """Stand for the page of the demonstration, whose charts take seconds; other pages are written."""
    return Path(path) if options.get("title") == TITLE else HTML(report, path, **options)


HTML = Report.to_html


@pytest.fixture
def words_of(
    project: Path,
    made: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], list[str]]]:
    """Give the command line of a command, in the folder of the project."""
    monkeypatch.chdir(project)
    # Its market and its page are looked at in the tests of the demonstration; here only what it prints matters.
    monkeypatch.setattr(_demo, "run_demo", lambda **_: made)
    monkeypatch.setattr(type(made.honest.report), "to_html", page)
    names = ("simusdt_5m.parquet", "funding.parquet", "signals.parquet")
    files = Files(project, *(project / name for name in names))
    with servers.serving(servers.archive_of(servers.market(), months=("2024-01",))) as server:
        counter = iter(range(9))

        def words(command: str) -> list[str]:
            new = tmp_path / f"new{next(counter)}"
            return runs(files, server.url, str(new))[command]

        yield words


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("command", PRINTING)
def test_a_reader_that_leaves(
    words_of: Callable[[str], list[str]], capfd: pytest.CaptureFixture[str], command: str
) -> None:
    for more in ([], ["--json"]):
        code, err = piped([*words_of(command), *more], capfd)
        assert code == 141
        assert "Traceback" not in err
        assert "error" not in err


@pytest.mark.parametrize("command", PRINTING)
def test_narrow_screens_and_no_colour(
    words_of: Callable[[str], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    told = {}
    for width in (100, 40):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("NO_COLOR", "1")
        code = main(words_of(command))
        out, err = capsys.readouterr()
        assert code == 0, err
        assert "Traceback" not in err
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", out + err)
        told[width] = out
        assert out.strip()
    assert len(told[40].splitlines()) >= len(told[100].splitlines())


WRONG = {
    "check": ["check", "{}", "-i", "spot"],
    "features": ["features", "{}", "-i", "spot", "-f", "rsi(14)"],
    "labels": ["labels", "{}", "-i", "spot", "--bars", "3"],
    "train": ["train", "{}", "-i", "spot", *STUDY],
    "evaluate": ["evaluate", "{}", "-i", "spot", "-p", "{}", "--label-bars", "3"],
    "backtest": ["backtest", "{}", "-i", "spot", "-s", "{}", *RULES, "--free"],
    "sweep": ["sweep", "{}", "-i", "spot", "-s", "{}", "-a", "max_hold=1,2", "--free"],
    "portfolio": ["portfolio", "A={}", "-i", "spot", "--signals", "A={}", *RULES, "--free"],
    "audit": ["audit", "{}", "-i", "spot"],
    "audit trades": ["audit", "--trades", "{}"],
    "parity": ["parity", "{}", "--candles", "{}", "-i", "spot", "--bundle", "{}", *RULES, "--free"],
    "verify": ["verify", "{}"],
    "live": ["live", "--bundle", "{}", "-i", "spot", "--interval", "5m", *RULES, "--free"],
    "init": ["init", "p", "--candles", "{}", "-i", "spot"],
    "ledger list": ["ledger", "list", "--path", "{}"],
    "ledger show": ["ledger", "show", "1", "--path", "{}"],
    "ledger trials": ["ledger", "trials", "--path", "{}"],
    "ledger history": ["ledger", "history", "--path", "{}"],
    "ledger export": ["ledger", "export", "runs.csv", "--path", "{}"],
    "ledger verify": ["ledger", "verify", "--path", "{}"],
    "bundle inspect": ["bundle", "inspect", "{}"],
    "bundle verify": ["bundle", "verify", "{}"],
    "bundle recreate": ["bundle", "recreate", "{}", "{}", "-i", "spot"],
    "config": ["check", "--config", "{}", "-i", "spot"],
}
KINDS = ("absent", "folder", "binary.parquet", "text.csv", "empty.csv")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", WRONG)
def test_wrong_input_is_one_line_and_code_2(run: Run, command: str, kind: str) -> None:
    Path("folder").mkdir()
    Path("binary.parquet").write_bytes(bytes(range(256)) * 9)
    Path("text.csv").write_text("what,is,this\n1,2,three\n")
    Path("empty.csv").write_text("")
    if command.startswith("ledger") and kind == "empty.csv" and command != "ledger show":
        pytest.skip("an empty file is an empty ledger")
    before = sorted(os.listdir())
    code, out, err = run(*(word.replace("{}", kind) for word in WRONG[command]))
    if command.startswith("bundle ") and command != "bundle recreate":
        # What is no bundle is told as a finding.
        assert code in (1, 2) or (command, kind) == ("bundle inspect", "folder"), err
    else:
        assert code == 2, out + err
    if code == 2:
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, err
        assert "this is a bug" not in err
    assert sorted(name for name in os.listdir() if name != "state") == before


@pytest.mark.parametrize("command", [name for name in ALL if name])
def test_an_empty_folder(run: Run, command: str) -> None:
    """Alone, without arguments and without a project."""
    if command in ("demo", "doctor", "rules", "metrics", "features", "explain"):
        pytest.skip("needs nothing")
    code, _, err = run(*command.split())
    assert code == 2
    group = command in ("ledger", "bundle")
    assert group or (err.startswith("error: ") and err.count("\n") == 1), err
    assert os.listdir() == []


MISTYPED = {
    "": ["--version=3"],
    "init": ["p", "--candles", "c.csv", "--instrument", "soon"],
    "fetch": [*FETCH[1:-1], "soon", "--archive", "binance"],
    "check": ["c.csv", "-i", "soon"],
    "features": ["c.csv", "-i", "spot", "-f", "rsi(soon)"],
    "labels": ["c.csv", "-i", "spot", "--bars", "soon"],
    "train": ["c.csv", "-i", "spot", *STUDY, "--seed", "soon"],
    "evaluate": ["c.csv", "-i", "spot", "-p", "p.csv", "--label-bars", "soon"],
    "backtest": ["c.csv", "-i", "spot", "-s", "s.csv", "-r", "max_hold=soon", "--free"],
    "sweep": ["c.csv", "-i", "spot", "-s", "s.csv", "-a", "max_hold=soon", "--free"],
    "portfolio": ["A=c.csv", "-i", "spot", "--signals", "A=s.csv", "--max-positions", "soon"],
    "audit": ["c.csv", "-i", "spot", "--seed", "soon"],
    "parity": ["log", "--candles", "c.csv", "-i", "spot", "--bundle", "b", "--taker", "soon"],
    "verify": ["--retrain=soon"],
    "live": ["--bundle", "b", "-i", "spot", "--patience", "soon"],
    "explain": ["soon"],
    "demo": ["--bars", "soon"],
    "doctor": ["--json=soon"],
    "rules": ["--json=soon"],
    "metrics": ["--json=soon"],
    "ledger": ["soon"],
    "ledger list": ["--last", "soon"],
    "ledger show": ["soon"],
    "ledger trials": ["--json=soon"],
    "ledger history": ["--json=soon"],
    "ledger export": ["runs.soon", "--path", "l.csv"],
    "ledger verify": ["--head", "soon", "--path", "l.csv"],
    "bundle": ["soon"],
    "bundle inspect": ["b", "--all=soon"],
    "bundle verify": ["b", "--limit-bytes", "soon"],
    "bundle recreate": ["b", "c.csv", "-i", "spot", "--value", "soon"],
}
"""A value of the wrong type for each command: of a number, a choice, a flag or a name."""


def one_line(told: tuple[int, str, str]) -> str:
    """The one error of a run that wrote nothing and ended with the code of wrong usage."""
    code, out, err = told
    assert (code, out) == (2, ""), out + err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert "this is a bug" not in err
    assert "Traceback" not in err
    assert not [name for name in os.listdir() if not name.endswith(".csv")]
    return errors[0]


@pytest.mark.parametrize("command", ALL)
def test_a_value_of_the_wrong_type(run: Run, command: str) -> None:
    bars = "".join(f"2024-01-01 {h:02}:00:00,1,1,1,1,1\n" for h in range(24))
    Path("c.csv").write_text("open_time,open,high,low,close,volume\n" + bars)
    Path("l.csv").touch()  # an empty file is an empty ledger
    Path("s.csv").write_text("open_time,long\n2024-01-01 00:00:00,0.6\n")
    error = one_line(run(*command.split(), *MISTYPED[command]))
    assert "soon" in error or "takes no" in error.lower() or "does not take a value" in error, error


@pytest.mark.parametrize("command", ALL)
def test_an_option_that_nobody_has(run: Run, command: str) -> None:
    error = one_line(run(*command.split(), "--nobody-has-this"))
    assert "--nobody-has-this" in error
    assert "--help`" in error


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder that nobody may write to"
)
@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("init", ["init", "/proc/p"]),
        ("fetch", ["--out", "/proc/p"]),
        ("features", ["--out", "/proc/p.parquet"]),
        ("labels", ["--out", "/proc/p.parquet"]),
        ("train", ["--out", "/proc/p"]),
        ("portfolio", ["--trades", "/proc/p.csv"]),
        ("portfolio", ["--report", "/proc/p.html"]),
        (
            "live",
            [
                "live",
                "--bundle",
                "study/bundles/fold-0",
                "--symbol",
                "X",
                "-i",
                "spot",
                "--interval",
                "5m",
                *RULES,
                "--free",
                "--state",
                "/proc/p",
            ],
        ),
        ("evaluate", ["--out", "/proc/p.csv"]),
        ("backtest", ["--trades", "/proc/p.csv"]),
        ("backtest", ["--report", "/proc/p.html"]),
        ("sweep", ["--out", "/proc/p.parquet"]),
        ("sweep", ["--out-dir", "/proc/p"]),
        ("audit", ["--html", "/proc/p.html"]),
        ("audit", ["--out", "/proc/p.json"]),
        ("demo", ["--out", "/proc/p"]),
        ("ledger export", ["ledger", "export", "/proc/p.csv"]),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value[-2:]),
)
def test_a_folder_that_cannot_be_written_to(
    words_of: Callable[[str], list[str]],
    capsys: pytest.CaptureFixture[str],
    command: str,
    more: list[str],
) -> None:
    words = more if more[0] in ("init", "ledger", "live") else [*words_of(command), *more]
    code = main(words)
    _, err = capsys.readouterr()
    assert code == 2, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert "/proc/p" in errors[0]
    assert "this is a bug" not in errors[0]


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("ccxt", "fetch", [*FETCH, "--exchange", "kraken"]),
        ("exchange_calendars", "calendars", ["check", "c.parquet", "-i", "equity", "--calendar", "XNYS"]),
        ("xgboost", "boost", ["train", "c.parquet", "-i", "spot", *STUDY[:-1], "xgboost"]),
        ("lightgbm", "boost", ["train", "c.parquet", "-i", "spot", *STUDY[:-1], "lightgbm"]),
        ("torch", "torch", ["train", "c.parquet", "-i", "spot", *STUDY[:-1], "feed-forward"]),
    ],
)  # fmt: skip
def test_a_missing_extra_is_named_with_its_command(
    run: Run,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    extra: str,
    words: list[str],
) -> None:
    pl.read_parquet(files.candles).write_parquet("c.parquet")
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert f"pip install 'barproof[{extra}]'" in err
    assert err.startswith("error: ")
    assert os.listdir() == ["c.parquet"]


NOTHING_TO_READ = "doctor rules metrics explain demo fetch".split()
"""Commands that take no path to read; what `demo` and `fetch` write to is tried below."""
GROUPS = ["", "bundle", "ledger"]


def marked(test: Callable[..., None], at: int = 0) -> set[str]:
    """Commands that a test is parametrised over."""
    for mark in test.pytestmark:  # type: ignore[attr-defined]
        if mark.name == "parametrize" and "command" in mark.args[0]:
            rows = mark.args[1]
            return {row if isinstance(row, str) else row[at] for row in rows}
    raise AssertionError(f"{test.__name__} is parametrised over no commands")


WRITING = {"out", "out_dir", "html", "report", "trades", "state", "name"}
"""Parameters that name what is written."""
READ = {("parity", "trades"), ("audit", "trades")}
"""Those of such a name that are read: `parity` writes nothing, and runs on a folder that nobody may write to
(`tests/cli/test_parity_command.py::test_a_folder_that_nobody_may_write_to`)."""


def kind_of(parameter: Any) -> object:
    """What a parameter takes; typer tells it in one of two places."""
    told = getattr(parameter, "type_descriptor", None)
    return parameter.type if told is None else told


def test_every_command_stands_under_every_kind_of_bad_input() -> None:
    """The table that says where each of the eight kinds is held, so that a new command cannot come without."""
    every = set(ALL)
    told = {
        "wrong paths": marked(test_wrong_input_is_one_line_and_code_2)
        | set(NOTHING_TO_READ + GROUPS),
        "wrong types": marked(test_a_value_of_the_wrong_type),
        "an empty project": marked(test_an_empty_folder) | {""},
        # Both follow decisions bar by bar: tests/live/test_command.py and test_parity_command.py have their screens.
        "a closed pipe": marked(test_a_reader_that_leaves)
        | marked(test_a_reader_that_leaves_the_help),
        "a narrow terminal, no colour": marked(test_narrow_screens_and_no_colour)
        | marked(test_help),
    }
    assert {kind: sorted(every - held) for kind, held in told.items()} == {k: [] for k in told}
    # What can write is among the folders that cannot be written to.
    writes = {
        name
        for name, command in commands().items()
        if any(
            p.name in WRITING and (name, p.name) not in READ and "path" in str(kind_of(p)).lower()
            for p in command.params
        )
    }
    assert writes - marked(test_a_folder_that_cannot_be_written_to) == set()
    assert "parity" not in writes and "audit" in writes
    assert len(writes) >= 8
