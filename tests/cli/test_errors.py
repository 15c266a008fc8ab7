"""Every message of the command line has an example, and says what the example says."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import barproof.cli
from barproof import errors
from tests.live.error_examples import EXAMPLES as LIVE
from tests.live.parity_error_examples import EXAMPLES as PARITY

from .error_examples import EXAMPLES as COMMON
from .fetch_error_examples import EXAMPLES as FETCH
from .label_error_examples import EXAMPLES as LABELS
from .portfolio_error_examples import EXAMPLES as PORTFOLIO
from .study_error_examples import EXAMPLES as STUDY

EXAMPLES = [*COMMON, *LABELS, *STUDY, *LIVE, *PARITY, *FETCH, *PORTFOLIO]
HERE = Path(barproof.cli.__file__).parent


def raise_sites() -> list[tuple[str, int]]:
    """List where the command line raises errors of the house."""
    sites = []
    for path in sorted(HERE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = node.exc.func
                if isinstance(name, ast.Name) and name.id in errors.__all__:
                    sites.append((path.name, node.lineno))
    return sites


def test_every_raise_site_has_an_example() -> None:
    seen = set()
    for name, call, _, _ in EXAMPLES:
        try:
            call()
        except errors.BarproofError as error:
            step = error.__traceback__
            while step is not None:
                file = Path(step.tb_frame.f_code.co_filename)
                if file.parent == HERE:
                    seen.add((file.name, step.tb_lineno))
                step = step.tb_next
        else:
            pytest.fail(f"{name} does not raise")
    sites = raise_sites()
    assert len(sites) > 20
    assert [site for site in sites if site not in seen] == []


@pytest.mark.parametrize(
    ("call", "kind", "message"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_message(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert not message[0].isupper()
    assert not message.endswith(".")
