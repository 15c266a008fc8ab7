"""Every finding that any test here makes says one thing: what was measured, held against its gate, is its outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from barproof.audits import AUDITS, Finding


def disagreement(finding: Finding) -> str:
    """Why value, gate and outcome of a finding do not speak of the same; empty where they do."""
    if finding.outcome not in ("pass", "warn", "fail"):
        return ""
    if finding.measured is None or finding.gate is None:
        return "nothing measured, or no gate"
    held = finding.gate.holds(finding.measured)
    return "" if held is (finding.outcome == "pass") else f"the gate holds: {held}"


@pytest.fixture(autouse=True)
def _one_quantity(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found: list[str] = []
    whole = Finding.__post_init__

    def watched(self: Finding) -> None:
        whole(self)
        # Findings that audits make name their page; those that tests make up do not.
        if self.id in AUDITS and self.docs:
            why = disagreement(self)
            if why:
                found.append(f"{self.id} {self.outcome}: {why}; {self.measured}; {self.gate}")

    monkeypatch.setattr(Finding, "__post_init__", watched)
    yield
    assert not found, "\n".join(dict.fromkeys(found))
