"""Sections that an audit's findings make: features that drifted, and what was not checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from barproof.report import formats
from barproof.report.charts import ACCENT, LOSS, NEUTRAL, dress
from barproof.report.inputs import AuditLike, FindingLike
from barproof.report.page import Section, details, plot
from barproof.report.tables import Html, data_table, esc
from barproof.report.verdict import anchor, linked, named, page_of, upper

__all__ = ["drift_figure", "drift_section", "unchecked_section"]

DRIFT = "PAR-06"

MOST = 30
"""Features drawn."""

BLIND = (
    ("The future", "Whether an edge lasts. Every number here is about bars that are over."),
    ("Fills in a real market", "Size, queues, impact, outages: orders fill whole, as the contract says."),
    ("What nobody told", "Trials made outside the ledger, symbols that died before the data began, prices that are "
     "wrong and plausible."),
)  # fmt: skip
"""What no audit can look at, whatever it is given."""


def drift_section(audit: AuditLike | None) -> Section | None:
    """Build the section about features whose test rows are distributed otherwise than their train rows.

    Parameters
    ----------
    audit : Report, optional
        What :func:`barproof.audit` returned.

    Returns
    -------
    Section or None
        The stability index of every feature beside what chance gives; None if the drift was not measured.
    """
    found = next((f for f in audit.findings if f.id == DRIFT), None) if audit is not None else None
    rows = found.evidence.get("rows") if found is not None else None
    if found is None or not isinstance(rows, list) or not rows:
        return None
    known = [row for row in rows if isinstance(row, Mapping) and "psi" in row and "feature" in row]
    if not known:
        return None
    drifting = sum(row.get("outcome") != "pass" for row in known)
    total = int(formats.as_float(found.evidence.get("total", len(known))))
    told = (
        f"{drifting} of {formats.plural(total, 'feature')} {'drifts' if drifting == 1 else 'drift'} between train and "
        "test rows beyond what chance gives."
    )
    shown = known[:MOST]
    names = ["Feature", "Outcome", "PSI", "Chance up to", "Kolmogorov's D", "p, after Holm"]
    cells = [
        [
            str(row["feature"]),
            str(row.get("outcome", "n/a")),
            *(formats.number(row.get(k), 3) for k in ("psi", "null_95", "d", "p_holm")),
        ]
        for row in known
    ]
    table = data_table(names, cells, caption="Drift by feature", text_columns=(0, 1), compact=True)
    note = "The population stability index; the mark is what 95 in 100 draws from one distribution stay below."
    if len(shown) < total:
        note += f" Drawn: the {len(shown)} that drift most of {total}."
    figure = plot(
        drift_figure(shown),
        "fig-drift",
        caption="Drift of features from train rows to test rows",
        alt=f"Stability index of {formats.plural(len(shown), 'feature')}; {drifting} beyond chance.",
        table=table,
        note=note,
    )
    link = Html(f'<p class="told">{esc(told)} <a href="#{anchor(DRIFT)}">{DRIFT}</a></p>')
    return Section("drift", "Drift of features", link + figure)


def drift_figure(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Draw stability indices beside what chance gives.

    Parameters
    ----------
    rows : sequence of mapping
        `feature`, `psi`, `null_95` and `outcome`, the worst first.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar a feature, the worst on top.
    """
    import plotly.graph_objects as go

    back = list(reversed(rows))
    # Names stand on ticks by number: two features may share a name that is cut short.
    names = [str(row["feature"]) for row in back]
    short = [n if len(n) <= 34 else f"{n[:32]}..." for n in names]
    places = list(range(len(back)))
    figure = go.Figure(
        [
            go.Bar(
                x=[formats.as_float(row["psi"]) for row in back],
                y=places,
                orientation="h",
                name="stability index",
                marker={"color": [LOSS if r.get("outcome") != "pass" else ACCENT for r in back]},
                customdata=names,
                hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
            ),
            go.Scatter(
                x=[formats.as_float(row.get("null_95")) for row in back],
                y=places,
                mode="markers",
                name="chance stays below",
                marker={
                    "symbol": "line-ns-open",
                    "size": 13,
                    "color": NEUTRAL,
                    "line": {"width": 2},
                },
                hovertemplate="chance up to %{x:.3f}<extra></extra>",
            ),
        ]
    )
    dress(figure, height=110 + 24 * max(len(back), 2))
    figure.update_xaxes(title_text="Population stability index", showgrid=True, rangemode="tozero")
    figure.update_yaxes(tickvals=places, ticktext=short, showgrid=False)
    return figure


def unchecked_section(audit: AuditLike | None) -> Section:
    """Build the section about what nobody looked at.

    Parameters
    ----------
    audit : Report, optional
        What :func:`barproof.audit` returned.

    Returns
    -------
    Section
        Audits without their input, and what they need; groups that nothing was asked of; what no audit can see.
    """
    blind = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(text)}</dd></div>" for name, text in BLIND)
    beyond = f'<h3>What no audit sees</h3><dl class="facts prose">{blind}</dl>'
    if audit is None:
        text = (
            "<p>No audit looked at this: neither the data, nor the way to the signals, nor whether the result could be "
            "luck. <code>bp.audit(...)</code> looks, and the page of its report opens with a verdict.</p>"
        )
        return Section("unchecked", "What was not checked", text + beyond)
    skipped = [f for f in audit.findings if f.outcome == "skipped"]
    parts = []
    if skipped:
        parts.append(
            f"<p>{formats.count(len(skipped))} of {formats.plural(len(audit.findings), 'audit')} did not run, for lack "
            "of what they look at. None of them counts for the strategy or against it.</p>"
        )
        parts.append(_by_group(skipped))
        rows = [[named(f), f.severity, linked(upper(f.title), ()), _needs(f)] for f in skipped]
        table = data_table(
            ["Code", "Severity", "Finding", "Needs"],
            rows,
            caption="Audits that were skipped",
            text_columns=(0, 1, 2, 3),
            visible_caption=False,
            prose=(2, 3),
        )
        parts.append(
            details(f"Skipped for lack of input: {formats.plural(len(skipped), 'audit')}", table)
        )
    elif audit.findings:
        parts.append("<p>Every audit that was asked for had what it looks at.</p>")
    return Section("unchecked", "What was not checked", "".join(parts) + beyond)


def _by_group(skipped: Sequence[FindingLike]) -> Html:
    """Count by group what did not run, with the gravest codes."""
    groups: dict[str, list[FindingLike]] = defaultdict(list)
    for finding in skipped:
        page = page_of(finding.id)
        groups[page.group if page is not None else "others"].append(finding)
    rows = []
    for name, some in sorted(groups.items(), key=lambda item: -len(item[1])):
        grave = [f.id for f in some if f.severity in ("critical", "high")]
        rows.append([name, formats.count(len(some)), ", ".join(grave) or "none"])
    return data_table(
        ["Group", "Not run", "Of severity critical or high"],
        rows,
        caption="What did not run, by group",
        text_columns=(0, 2),
        visible_caption=False,
        prose=(2,),
    )


def _needs(finding: FindingLike) -> str:
    page = page_of(finding.id)
    return str(page.needs) if page is not None else formats.MISSING
