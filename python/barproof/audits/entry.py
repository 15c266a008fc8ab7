"""One row of the table of audits, and its page."""

from __future__ import annotations

from dataclasses import dataclass

from barproof.audits._shown import SHOWN
from barproof.audits.model import Severity
from barproof.audits.texts import EXAMPLES

__all__ = ["FAMILIES", "Audit"]

FAMILIES = (
    *("DATA", "LAB", "SPL", "PAR", "CKP", "PRED", "CAL", "ECO", "SIG", "OVF", "CLM", "DEC"),
    *("FILL", "WVR"),
)
"""Families of codes, in the order of the table."""


@dataclass(frozen=True)
class Audit:
    """One audit of the table.

    Attributes
    ----------
    code : str
        Stable, never reused.
    name, slug : str
        In words, and as an identifier.
    function : str
        Its name in ``bp.audits``.
    group : str
        One of :data:`GROUPS`.
    severity : {"critical", "high", "medium", "low", "info"}
        How much money is at risk.
    needs : str
        What it needs, for findings that were skipped.
    what, why, gate, references, formula : str
        The page.
    setup, bad, good : str
        Example: lines that make its inputs, a call on which it fires, and one on which it passes; both name a function
        of ``bp.audits``.
    """

    code: str
    name: str
    function: str
    group: str
    severity: Severity
    needs: str
    what: str
    why: str
    gate: str
    references: str
    formula: str = ""
    setup: str = ""
    bad: str = ""
    good: str = ""

    @property
    def slug(self) -> str:
        """The name as an identifier."""
        return self.name.lower().replace(" ", "-").replace(",", "")

    @property
    def docs(self) -> str:
        """Page and anchor."""
        return f"docs/audits/{self.group}.md#{self.code.lower()}-{self.slug}"

    @property
    def order(self) -> tuple[int, str]:
        """Place in the table: by family, then by number."""
        return FAMILIES.index(self.code.partition("-")[0]), self.code

    @property
    def example(self) -> tuple[str, str]:
        """Code of the example, and what it prints."""
        if not self.bad:
            return EXAMPLES[self.code]
        lines = [self.setup.strip()] if self.setup else []
        for name, call in (("bad", self.bad), ("good", self.good)):
            lines += [
                f"{name} = bp.audits.{call.strip()}",
                f'print({name}.outcome, "|", {name}.title)',
            ]
        return "\n".join(lines), SHOWN.get(self.code, "")

    def text(self) -> str:
        """Page of the audit as Markdown.

        Returns
        -------
        str
            What it checks, why, by which formula and gate, a bad and a good example, references.
        """
        code, shown = self.example
        formula = f"**Formula.** {self.formula}\n\n" if self.formula else ""
        return (
            f"## {self.code} {self.name}\n\n"
            f"{self.severity}; group `{self.group}`; `bp.audits.{self.function}`; needs {self.needs}.\n\n"
            f"**Checks.** {self.what}\n\n"
            f"**Why.** {self.why}\n\n"
            f"{formula}"
            f"**Gate.** {self.gate}\n\n"
            f"A bad and a good example:\n\n"
            f"```python\n{code.strip()}\n```\n\n"
            f"```text\n{shown.strip()}\n```\n\n"
            f"**References.** {self.references}\n"
        )
