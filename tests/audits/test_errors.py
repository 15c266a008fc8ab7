"""Every raise site of audits and statistics has an example with its exact message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.audits.error_examples import EXAMPLES as AUDITS
from tests.audits.results_error_examples import EXAMPLES as RESULTS
from tests.test_errors import raise_sites, sites_reached

EXAMPLES = [*AUDITS, *RESULTS]
MINE = ("audits/", "stats.py", "_bootstrap.py")


@pytest.mark.parametrize(
    ("call", "kind", "message"), [pytest.param(*e[1:], id=e[0]) for e in EXAMPLES]
)
def test_message(call: Callable[[], object], kind: type[BaseException], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_no_error_is_missing() -> None:
    reached = set()
    for _, call, kind, _ in EXAMPLES:
        try:
            call()
        except kind as error:
            reached |= sites_reached(error)
    mine = {site for site in raise_sites() if site[0].startswith(MINE)}
    assert sorted(mine - reached) == []
