"""A fixture for research repositories: ``barproof_audit`` fails the test that the evidence does not pass.

Registered as a plugin of pytest by the installed package; nothing is loaded before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from barproof.audits import Report

__all__ = ["barproof_audit", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--barproof-reports``."""
    group = parser.getgroup("barproof")
    group.addoption(
        "--barproof-reports",
        metavar="FOLDER",
        default=None,
        help="write the JSON, SARIF and JUnit of every barproof_audit into this folder",
    )


@pytest.fixture
def barproof_audit(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Audit evidence, and fail the test unless the verdict is sound.

    Returns
    -------
    callable
        ``barproof_audit(allow=(), **evidence)``: evidence as for :func:`barproof.audit`; `allow` names further verdicts
        that pass, such as ``"nothing proved"``. Gives the report.
    """

    def audit(*, allow: str | Iterable[str] = (), **evidence: Any) -> Report:
        """Audit evidence, and fail the test unless its verdict is accepted."""
        import barproof as bp

        accepted = {"sound", *([allow] if isinstance(allow, str) else allow)}
        report = bp.audit(**evidence)
        text = report.to_text(lines=None)
        request.node.add_report_section("call", "barproof audit", text)
        folder = request.config.getoption("--barproof-reports")
        if folder is not None:
            _write(Path(folder), request.node.nodeid, report)
        if report.verdict not in accepted:
            pytest.fail(
                f"barproof audit: {report.verdict}: {'; '.join(report.reasons)}\n\n{text}",
                pytrace=False,
            )
        return report

    return audit


def _write(folder: Path, name: str, report: Report) -> None:
    """Write a report in the forms that tools read, under the test's name."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(c if c.isalnum() else "-" for c in name).strip("-")[-120:]
    taken, number = stem, 2
    while (folder / f"{taken}.json").exists():
        taken, number = f"{stem}-{number}", number + 1
    (folder / f"{taken}.json").write_text(report.to_json() + "\n", encoding="utf-8")
    (folder / f"{taken}.sarif").write_text(report.to_sarif() + "\n", encoding="utf-8")
    (folder / f"{taken}.xml").write_text(report.to_junit(), encoding="utf-8")
