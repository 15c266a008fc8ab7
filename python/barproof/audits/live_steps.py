"""Steps of :func:`barproof.audit` for the log of a live system: what its replay found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from barproof.audits.checkpoint import live_model, running_model
from barproof.audits.decisions import closed_bars
from barproof.audits.inputs import Inputs
from barproof.audits.model import Finding

__all__ = ["LIVE_STEPS"]

Step = Callable[[Inputs], Iterator[Finding]]


def _replayed(code: str) -> Step:
    def step(x: Inputs) -> Iterator[Finding]:
        if x.parity is not None:
            yield from (found for found in x.parity.findings if found.id == code)

    return step


def _closed(x: Inputs) -> Iterator[Finding]:
    if x.live_log is not None:
        rows = x.live_log.decisions
        yield closed_bars(rows["close_time"], rows["decided_at"])


def _model(x: Inputs) -> Iterator[Finding]:
    if x.parity is not None:
        yield from (found for found in x.parity.findings if found.id == "DEC-06")
    elif x.live_log is not None and x.bundle_list:
        yield live_model(x.live_log.decisions["model_digest"].to_list(), x.bundle_list[-1].digest)


def _running(x: Inputs) -> Iterator[Finding]:
    if x.live_log is not None and x.bundle_list:
        logged = x.live_log.decisions["model_digest"].drop_nulls().to_list()
        if logged:
            yield running_model(logged, x.bundle_list[-1].digest)


LIVE_STEPS: dict[str, Step] = {
    "CKP-06": _running,
    "PAR-02": _replayed("PAR-02"),
    "DEC-01": _replayed("DEC-01"),
    "DEC-02": _closed,
    "DEC-03": _replayed("DEC-03"),
    "DEC-04": _replayed("DEC-04"),
    "DEC-05": _replayed("DEC-05"),
    "DEC-06": _model,
    "DEC-07": _replayed("DEC-07"),
}
"""What :func:`barproof.audit` runs where a live log is given."""
