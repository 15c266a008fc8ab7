"""A report from a result, a sweep, an audit, a training run, or several of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from barproof.errors import LayoutError, ParameterError
from barproof.report import formats
from barproof.report.audit import audit_facts, findings_section
from barproof.report.caveats import is_simulated
from barproof.report.evidence import drift_section, unchecked_section
from barproof.report.files import check_target, write_text
from barproof.report.inputs import AuditLike, ResultLike, RunLike, SweepLike, folds_of
from barproof.report.models import describe_run, models_section, run_title
from barproof.report.page import Section, page
from barproof.report.reproduce import reproduction
from barproof.report.result import describe, lead, result_sections, result_title, span
from barproof.report.sweep import (
    choose_metric,
    describe_sweep,
    metric_names,
    sweep_lead,
    sweep_sections,
)
from barproof.report.tables import esc, facts
from barproof.report.verdict import verdict_banner, verdict_text
from barproof.report.walk_forward import walk_forward_section

__all__ = ["render", "write_report"]


def write_report(
    path: str | os.PathLike[str],
    *,
    result: ResultLike | None = None,
    sweep: SweepLike | None = None,
    audit: AuditLike | None = None,
    run: RunLike | None = None,
    title: str | None = None,
    extra_sections: Sequence[Section | tuple[str, str]] = (),
    metric: str | None = None,
) -> Path:
    """Write a report as one HTML file.

    Parameters
    ----------
    path : path-like
        Where to write; its folder must exist. What is there is replaced only once the new file is whole.
    result, sweep, audit, run, title, extra_sections, metric
        As for :func:`render`.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    FileError
        If `path` cannot be written.
    ParameterError, LayoutError
        As for :func:`render`.
    """
    check_target(path)
    text = render(
        result,
        sweep,
        audit=audit,
        run=run,
        title=title,
        extra_sections=extra_sections,
        metric=metric,
    )
    return write_text(path, text)


def render(
    result: ResultLike | None = None,
    sweep: SweepLike | None = None,
    *,
    audit: AuditLike | None = None,
    run: RunLike | None = None,
    title: str | None = None,
    extra_sections: Sequence[Section | tuple[str, str]] = (),
    metric: str | None = None,
) -> str:
    """Render a report as HTML.

    With an audit the page opens with the verdict and the findings, worst first. A walk-forward result shows what was
    chosen and what came of it, and a run whether its probabilities mean what they say.

    Parameters
    ----------
    result : Result, optional
        What :func:`barproof.backtest` or :func:`barproof.walk_forward_optimise` returned.
    sweep : Sweep, optional
        What :func:`barproof.sweep` returned; beside a result it is the sweep that the result was chosen from.
    audit : Report, optional
        What :func:`barproof.audit` returned.
    run : Run, optional
        What :func:`barproof.train` returned; its test rows are judged.
    title : str, optional
        Heading, as plain text; by default it names the market.
    extra_sections : sequence of Section or (str, str), default ()
        Sections before the provenance. Of a pair the first is a heading, as plain text, and the second HTML that
        the caller has escaped.
    metric : str, optional
        What combinations of the sweep are ranked by; by default the Sharpe ratio, where it is defined.

    Returns
    -------
    str
        One HTML document that loads nothing.

    Raises
    ------
    ParameterError
        If there is nothing to report, or `metric` is none of the sweep's.
    LayoutError
        If `title` is no text, `audit` no audit's report, `run` no training run, or a section neither a
        :class:`Section` nor a pair.
    """
    if result is None and sweep is None and audit is None and run is None:
        raise ParameterError(
            "`result`, `sweep`, `audit` and `run` are all None; give at least one of them"
        )
    if audit is not None and not hasattr(audit, "verdict"):
        raise LayoutError(
            f"`audit` must be a Report, was {type(audit).__name__}; pass what `audit` returned"
        )
    if run is not None and not hasattr(run, "predictions"):
        raise LayoutError(
            f"`run` must be a Run, was {type(run).__name__}; pass what `train` returned"
        )
    if title is not None and not isinstance(title, str):
        raise LayoutError(f"`title` must be a string, was {type(title).__name__}; write it as text")
    extra = [_section(i, item) for i, item in enumerate(extra_sections)]
    ranked: str | None = None
    if sweep is not None:
        names = metric_names(sweep)
        if metric is not None and metric not in names:
            raise ParameterError(
                f"`metric` {metric!r} is no metric of the sweep; choose one of {', '.join(names)}"
            )
        ranked = metric or choose_metric(sweep)
    # What is infinite or undefined is shown as such; numpy need not warn of it.
    with np.errstate(all="ignore"):
        head, sections = _content(result, sweep, audit, run, ranked)
        market = next((o.candles for o in (result, run) if o is not None), None)
        banner = verdict_banner(audit, simulated=is_simulated(market)) if audit is not None else ""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    sections += extra
    sections.append(
        Section("provenance", "Provenance", _provenance(result, sweep, audit, run, made))
    )
    return page(
        title=title or head.title,
        summary=head.summary,
        meta=_meta(result, run, made),
        lead=head.tiles,
        sections=sections,
        footer=(
            f"Made with barproof {_version('barproof')} on {made}. A backtest shows what rules would have done under "
            "the assumptions stated above; it is no promise and no advice."
        ),
        verdict=verdict_text(audit)[0] if audit is not None else "",
        verdict_body=banner,
    )


class _Head(NamedTuple):
    title: str
    summary: str
    tiles: str


def _content(
    result: ResultLike | None,
    sweep: SweepLike | None,
    audit: AuditLike | None,
    run: RunLike | None,
    metric: str | None,
) -> tuple[_Head, list[Section]]:
    """Collect what a page says: findings, the result, how it was chosen and foreseen, and then the details."""
    head = _Head("Audit", "", "")
    own: list[Section] = []
    more: list[Section] = []
    if result is not None:
        head = _Head(result_title(result), describe(result), lead(result))
        own = result_sections(result, sweep, folds_of(result, run))
        found = walk_forward_section(result)
        more += [] if found is None else [found]
    elif sweep is not None:
        head = _Head("Sweep of rules", describe_sweep(sweep, metric), sweep_lead(sweep, metric))
    elif run is not None:
        head = _Head(run_title(run), describe_run(run), "")
    if run is not None:
        more.append(models_section(run))
    swept = (
        [] if sweep is None else sweep_sections(sweep, metric, alone=result is None, result=result)
    )
    equity = [s for s in own if s.key == "equity"]
    know = [s for s in own if s.key == "know"]
    rest = [s for s in own if s.key not in ("equity", "know")]
    drift = drift_section(audit)
    more += [] if drift is None else [drift]
    last = unchecked_section(audit)
    if audit is None:
        return head, [*know, *equity, *more, *rest, *swept, last]
    numbers: list[Section] = []
    if head.summary:
        body = f'<p class="summary">{esc(head.summary)}</p>{head.tiles}'
        numbers.append(Section("numbers", "In numbers", body))
    sections = [findings_section(audit), *numbers, *equity, *more, *know, *rest, *swept, last]
    return _Head(head.title, "", ""), sections


def _section(place: int, item: Any) -> Section:
    if isinstance(item, Section):
        return item
    if isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return Section(f"extra-{place + 1}", item[0], item[1])
    raise LayoutError(
        f"`extra_sections[{place}]` must be a Section or a pair of strings, was {type(item).__name__}; "
        "give (heading, html)"
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "n/a"


def _meta(result: ResultLike | None, run: RunLike | None, made: str) -> str:
    """One line on what the page is of: market, span, equity, when it was made."""
    if result is None:
        if run is None:
            return f"Report made {made}"
        market = [getattr(run.candles, name, None) for name in ("symbol", "interval")]
        return " · ".join([*(str(m) for m in market if m), f"report made {made}"])
    kind = getattr(getattr(result.candles, "instrument", None), "kind", None)
    start, end = span(result)
    parts = [
        str(getattr(result.candles, "symbol", None) or "unnamed symbol"),
        str(kind or ""),
        str(getattr(result.candles, "interval", "") or ""),
        f"{start} to {end} UTC",
        f"initial equity {formats.money(result.initial_equity)}",
        f"report made {made}",
    ]
    return " · ".join(p for p in parts if p)


def _provenance(
    result: ResultLike | None,
    sweep: SweepLike | None,
    audit: AuditLike | None,
    run: RunLike | None,
    made: str,
) -> str:
    """Table of what was run, with versions and digests."""
    pairs: list[tuple[str, Any]] = []
    if result is not None:
        known: dict[str, Any] = {
            "candles": getattr(result.candles, "digest", None),
            "signals": getattr(result.signals, "digest", None),
        }
        window = getattr(result, "window", None)
        start, end = span(result)
        pairs += [("period", f"{start} to {end} UTC, opening times")]
        if window is not None and "window" not in result.provenance:
            pairs += [("window", _window(window))]
        pairs += _recorded(result.provenance, known)
    if sweep is not None:
        shared = {} if result is None else dict(result.provenance)
        own = {k: v for k, v in sweep.provenance.items() if k not in shared or shared[k] != v}
        prefix = "" if result is None else "sweep: "
        pairs += [(f"{prefix}{name}", value) for name, value in _recorded(own, {})]
    if run is not None:
        prefix = "" if result is None and sweep is None else "run: "
        pairs += [(f"{prefix}{name}", value) for name, value in _recorded(run.provenance, {})]
    if audit is not None:
        pairs += audit_facts(audit)
    pairs += [
        ("report made", made),
        ("report made with", f"barproof {_version('barproof')}, plotly {_version('plotly')}, "
         f"polars {_version('polars')}, Python {platform.python_version()}"),
    ]  # fmt: skip
    return (
        reproduction(result)
        + facts(pairs, kind="code")
        + (
            '<p class="note">Digests identify content: the same data, signals, rules and costs have the same digests '
            "on any machine.</p>"
        )
    )


def _recorded(provenance: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what was recorded, and digests that the objects carry where the record lacks them."""
    values = {str(v) for v in provenance.values()}
    pairs = [(str(name).replace("_", " "), str(value)) for name, value in provenance.items()]
    pairs += [
        (f"{n} digest", str(d)) for n, d in known.items() if d is not None and str(d) not in values
    ]
    return pairs


def _window(window: Any) -> str:
    if isinstance(window, tuple | list) and len(window) >= 2:
        return f"{window[0]} to {window[1]}"
    start, stop = getattr(window, "start", None), getattr(window, "stop", None)
    return f"{start} to {stop}" if start is not None else str(window)
