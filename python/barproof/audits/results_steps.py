"""Steps of :func:`barproof.audit` for other people's results: what each audit is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from barproof.audits.arithmetic import return_arithmetic, trade_order
from barproof.audits.catalogue import AUDITS
from barproof.audits.catalogue_results import JOINING
from barproof.audits.claim_numbers import (
    claim_arithmetic,
    claim_contradictions,
    claim_plausibility,
    claim_rate,
    claim_significance,
)
from barproof.audits.claims import (
    claim_identity,
    claim_kind,
    claim_provenance,
    claim_recompute,
    claim_staleness,
)
from barproof.audits.fills import fill_hindsight, fill_in_bar, fill_in_session, fill_volume
from barproof.audits.inputs import Inputs
from barproof.audits.model import Finding

__all__ = ["RESULT_STEPS", "joins"]

Step = Callable[[Inputs], Iterator[Finding]]


def _priced(x: Inputs) -> pl.DataFrame | None:
    """Trades of another tool that tell prices; those of a result are held by the contract of the engine."""
    held = x.trades
    columns = getattr(held, "columns", None)
    if columns is None and isinstance(held, dict):
        columns = list(held)
    if columns is None or not {"entry_price", "entry_time"} & set(map(str, columns)):
        return None
    return held if isinstance(held, pl.DataFrame) else pl.DataFrame({c: held[c] for c in columns})


def _on_bars(audit: Callable[[Any, Any], Finding]) -> Step:
    def step(x: Inputs) -> Iterator[Finding]:
        trades = _priced(x)
        # Entries know their signals; single fills know their own prices.
        table = trades if x.fills is None or audit is fill_hindsight else x.fills
        if table is not None and x.market is not None:
            yield audit(table, x.market)

    return step


def _alone(audit: Callable[[Any], Finding]) -> Step:
    def step(x: Inputs) -> Iterator[Finding]:
        trades = _priced(x)
        if trades is not None:
            yield audit(trades)

    return step


def _claimed(audit: Callable[[Any], Finding]) -> Step:
    def step(x: Inputs) -> Iterator[Finding]:
        if x.claims is not None:
            yield audit(x.claims)

    return step


RESULT_STEPS: dict[str, Step] = {
    "FILL-01": _on_bars(fill_in_bar),
    "FILL-02": _on_bars(fill_in_session),
    "FILL-03": _on_bars(fill_volume),
    "FILL-04": _on_bars(fill_hindsight),
    "FILL-05": _alone(return_arithmetic),
    "FILL-06": _alone(trade_order),
    # Made from the finished report.
    "WVR-01": lambda _: iter(()),
    "CLM-01": _claimed(claim_provenance),
    "CLM-02": _claimed(claim_recompute),
    "CLM-03": _claimed(claim_arithmetic),
    "CLM-04": _claimed(claim_plausibility),
    "CLM-05": _claimed(claim_kind),
    "CLM-06": _claimed(claim_identity),
    "CLM-07": _claimed(claim_significance),
    "CLM-08": _claimed(claim_contradictions),
    "CLM-09": _claimed(claim_staleness),
    "CLM-10": _claimed(claim_rate),
}
"""What :func:`barproof.audit` runs for the groups that join where their evidence is given."""


def joins(code: str, inputs: Inputs, required: Sequence[str]) -> bool:
    """Tell whether an audit is part of a report: always, or where its group's evidence was given."""
    group = AUDITS[code].group
    if group not in JOINING or group in required:
        return True
    if group == "claims":
        return inputs.claims is not None
    return group == "fills" and (inputs.fills is not None or _priced(inputs) is not None)
