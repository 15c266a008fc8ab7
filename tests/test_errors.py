"""Every error has an example that raises it, with its exact message."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

import barproof

Example = tuple[str, Callable[[], object], type[BaseException], str]

# Ends of a program, not messages of the library; the command line's own tests run them.
FLOW = ("Exit", "SystemExit", "KeyboardInterrupt", "StoppedError", "ReaderGoneError")

PACKAGE = Path(barproof.__file__).parent
TABLES = (
    "tests.audits.error_examples",
    "tests.audits.results_error_examples",
    "tests.results.error_examples",
    "tests.stats.error_examples",
    "tests.models.error_examples",
    "tests.models.bundle_error_examples",
    "tests.models.evaluate_error_examples",
    "tests.models.net_error_examples",
    "tests.models.plan_error_examples",
    "tests.error_examples",
    "tests.labels.error_examples",
    "tests.seal_error_examples",
    "tests.faults.error_examples",
    "tests.walk_forward_error_examples",
    "tests.sweep_error_examples",
    "tests.portfolio_error_examples",
    "tests.choice_error_examples",
    "tests.reconcile_error_examples",
    "tests.live.error_examples",
    "tests.live.parity_error_examples",
    "tests.live.shared_error_examples",
    "tests.candles.error_examples",
    "tests.features.error_examples",
    "tests.report.error_examples",
    "tests.distributed.error_examples",
    "tests.cli.error_examples",
    "tests.cli.portfolio_error_examples",
    "tests.cli.study_error_examples",
    "tests.cli.label_error_examples",
    "tests.cli.fetch_error_examples",
)
TABLE: dict[str, list[Example]] = {name: importlib.import_module(name).EXAMPLES for name in TABLES}
ALL = [pytest.param(*e[1:], id=f"{name}: {e[0]}") for name, rows in TABLE.items() for e in rows]


def raise_sites() -> set[tuple[str, int]]:
    """Where the package raises something new; re-raising and ends of programs are no messages."""
    sites = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            called = node.exc.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in FLOW:
                sites.add((str(path.relative_to(PACKAGE)), node.lineno))
    return sites


def sites_reached(error: BaseException) -> set[tuple[str, int]]:
    """Lines of the package that the error and its causes came through."""
    reached = set()
    while error is not None:
        step = error.__traceback__
        while step is not None:
            path = Path(step.tb_frame.f_code.co_filename)
            if path.is_relative_to(PACKAGE):
                reached.add((str(path.relative_to(PACKAGE)), step.tb_lineno))
            step = step.tb_next
        error = error.__context__  # type: ignore[assignment]
    return reached


# What extras bring; where one is not installed, the first error of some calls is that.
BROUGHT = ("ccxt", "exchange_calendars", "lightgbm", "optuna", "ray", "safetensors", "torch", "xgboost")  # fmt: skip
ABSENT = [name for name in BROUGHT if importlib.util.find_spec(name) is None]


def for_want_of_an_extra(error: BaseException) -> bool:
    """Whether an error says no more than that an extra is not installed here."""
    if isinstance(error, ModuleNotFoundError):
        return error.name in ABSENT
    return bool(ABSENT) and "installed: pip install 'barproof[" in str(error)


@pytest.mark.parametrize(("call", "kind", "message"), ALL)
def test_message(call: Callable[[], object], kind: type[BaseException], message: str) -> None:
    with pytest.raises((kind, barproof.BarproofError, ModuleNotFoundError)) as caught:
        call()
    if str(caught.value) != message and for_want_of_an_extra(caught.value):
        pytest.skip(str(caught.value))
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert not message.endswith(".")
    assert message[0] == message[0].lower() or message.startswith("BARPROOF")


@pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
def test_no_error_is_missing_from_the_tables() -> None:
    reached: set[tuple[str, int]] = set()
    for rows in TABLE.values():
        for _, call, kind, _ in rows:
            try:
                call()
            except kind as error:
                reached |= sites_reached(error)
    missing = sorted(raise_sites() - reached)
    assert not missing, "raise sites without an example: " + ", ".join(
        f"{f}:{n}" for f, n in missing
    )


def test_errors_pickle_with_what_they_carry() -> None:
    for name in barproof.errors.__all__:
        kind = getattr(barproof.errors, name)
        copy = pickle.loads(pickle.dumps(kind("text")))
        assert type(copy) is kind
        assert str(copy) == "text"
        assert kind.__module__ == "barproof.errors"
    error = barproof.CandleError("text", faults=("a",))
    assert pickle.loads(pickle.dumps(error)).faults == ("a",)


def test_errors_are_what_python_users_expect() -> None:
    for name in barproof.errors.__all__:
        kind = getattr(barproof.errors, name)
        if name not in ("Interrupted", "DataWarning"):
            assert issubclass(kind, barproof.BarproofError)
    assert issubclass(barproof.ParameterError, ValueError)
    assert issubclass(barproof.LayoutError, TypeError)
    assert issubclass(barproof.InternalError, RuntimeError)
    assert issubclass(barproof.Interrupted, KeyboardInterrupt)
