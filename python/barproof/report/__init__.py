"""Reports: one HTML file that shows verdict, findings, result, sweep and models, and what they rest on.

The file holds everything it needs, plotly included, and asks no network for anything. Figures are drawn by plotly,
which is imported when a report is made and not before.
"""

from __future__ import annotations

from barproof.report.compose import render, write_report
from barproof.report.page import Section

__all__ = ["Section", "render", "write_report"]
