"""``barproof audit``: whether a backtest can be believed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from barproof._core import __version__
from barproof._walk_forward import WalkForwardResult
from barproof.cli import options, output
from barproof.cli.backtest import costs_text, rules_text
from barproof.cli.config import GROUPS, SEVERITIES, load_config
from barproof.cli.evidence import (
    Evidence,
    add_ablation,
    add_backtest,
    add_project,
    holds_trades,
    read_label_cells,
    read_predictions,
    read_trades,
    run_chain,
    told_columns,
)
from barproof.cli.exits import OK
from barproof.cli.explain import list_audits
from barproof.cli.findings import market_line
from barproof.cli.inputs import (
    Market,
    costs_of,
    market_of,
    read_market,
    read_signals,
    rules_of,
    sources_of,
)
from barproof.cli.live_evidence import add_live_log
from barproof.cli.output import metric_text
from barproof.cli.study import Study, study_of
from barproof.errors import ConfigError
from barproof.results import read_equity
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof.audits import Report

__all__ = ["audit", "show_findings", "show_report"]

FORMATS = {"text": ".txt", "json": ".json", "md": ".md", "sarif": ".sarif", "junit": ".xml"}
"""Formats, and the ends of file names that mean them."""

WAIVERS = Path("waivers.toml")

STYLES = {
    "FAIL": "bold red",
    "ERR!": "bold magenta",
    "????": "yellow",
    "WARN": "yellow",
    "pass": "green",
}
HEAD = re.compile(r"[A-Z]+-\d+ [a-z]+ (\S+)  ")


def audit(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="CANDLES|TRADES",
            help="Candles, or trades of any tool: CSV, Parquet, a result of freqtrade.",
            show_default=False,
        ),
    ] = None,
    trades: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Trades or fills of any tool: CSV, Parquet, a result of freqtrade.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    candles_: Annotated[
        Path | None,
        typer.Option(
            "--candles",
            metavar="FILE",
            help="Candles to hold the trades against.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    trade_column: Annotated[
        list[str] | None,
        typer.Option(
            "--trade-column",
            metavar="NAME=COLUMN",
            help="Which column of the trades holds what, such as return=net; may be repeated.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    equity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Equity curve of any tool: CSV or Parquet.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    equity_column: Annotated[
        list[str] | None,
        typer.Option(
            "--equity-column",
            metavar="NAME=COLUMN",
            help="Which column of the equity holds what: time=..., equity=...",
            rich_help_panel="Evidence",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which strategy of a result of freqtrade that holds several.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published numbers, claims.toml: computed again and judged.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            "-p",
            metavar="FILE",
            help="Table that train wrote, or any with probabilities or forecasts.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    prediction_column: Annotated[
        list[str] | None,
        typer.Option(
            "--prediction-column",
            metavar="NAME=COLUMN",
            help="Which column of the predictions holds what, such as p_1=prob; may be repeated.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    label_cells: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Frame of a label sweep with skill: whether the labels can be learned.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    signals: options.SignalFile = None,
    live_log: Annotated[
        Path | None,
        typer.Option(
            metavar="LOG",
            help="State folder of a live session, or a table of anybody's bot: replayed on the candles.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle",
            "-b",
            metavar="FOLDER",
            help="The model that the log is said to be of; repeated where it was changed.",
            rich_help_panel="Evidence",
        ),
    ] = None,
    run_: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Train, choose rules and judge them by barproof.toml, and audit all of it.",
            rich_help_panel="Evidence",
        ),
    ] = False,
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation",
            help="Run entries and exits without each other: what each adds.",
            rich_help_panel="Evidence",
        ),
    ] = False,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    signal_time: options.SignalTime = None,
    signal_column: options.SignalColumns = None,
    kind: options.SignalKind = None,
    rule: options.Rule = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="Group that must come to a result, such as economics; may be repeated.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="SEVERITY",
            help="Least severity at which a failure refutes: high.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    exit_zero: Annotated[
        bool,
        typer.Option(
            "--exit-zero",
            help="Exit with 0 whatever is found; the report says so.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    waivers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Failures that are accepted: waivers.toml of the project, where there is one.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of bootstrap and cuts.", rich_help_panel="Judgement")
    ] = 0,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Budget of the search for lookahead; what is left undone proves nothing.",
            rich_help_panel="Judgement",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the audits, and leave.")] = False,
    threads: options.Threads = None,
    config: options.ConfigFile = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help=f"{', '.join(FORMATS)}; by the file's name with --out.",
            rich_help_panel="Output",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the findings to a file too.", rich_help_panel="Output"
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write a report: one HTML file.", rich_help_panel="Output"
        ),
    ] = None,
    manifest: options.Manifest = None,
    full: Annotated[
        bool,
        typer.Option("--all", help="Show more than one screen.", rich_help_panel="Output"),
    ] = False,
    json: options.Json = False,
) -> int:
    """Audit whatever there is: candles, trades of any tool, predictions, signals, or a whole run.

    Exit code 0 if nothing failed, 1 if something did (--fail-on), 3 if an audit crashed, 4 if nothing is proved.
    """
    if list_:
        return list_audits("audit", json)
    settings = load_config(config)
    page = html or (settings.report.path if run_ else None)
    form = _format(format_, out)
    output.check_target("--html", page, (".html",))
    output.check_target("--manifest", manifest, (".json",))
    if manifest is not None and not run_:
        raise ConfigError(
            "`--manifest` of an audit is that of the run that it audits: give `--run`, or write one with `barproof "
            "backtest --manifest`"
        )
    groups = tuple(require) if require else tuple(settings.audit.require)
    for group in groups:
        if group not in GROUPS:
            raise ConfigError(f"`--require` must be one of {', '.join(GROUPS)}, was {group!r}")
    if bundle and live_log is None:
        raise ConfigError("`--bundle` is the model of a live log: give `--live-log` too")
    severity = fail_on or settings.audit.fail_on
    if severity not in SEVERITIES:
        raise ConfigError(f"`--fail-on` must be one of {', '.join(SEVERITIES)}, was {severity!r}")
    if source is not None and trades is None and holds_trades(source):
        source, trades = None, source
    if candles_ is not None:
        if source is not None:
            raise ConfigError(
                f"{str(source)!r} and `--candles` both name candles: give one of them"
            )
        source = candles_
    files = {
        "trades": trades,
        "predictions": predictions,
        "signals": signals,
        "label cells": label_cells,
        "equity": equity,
    }
    targets = {"--out": out, "--html": page, "--manifest": manifest}
    output.check_targets(targets, {**files, "candles": source})
    evidence = Evidence()
    if trades is not None:
        read_trades(trades, evidence, trade_column, strategy)
    if equity is not None:
        names = told_columns("--equity-column", equity_column, "equity=balance")
        evidence.equity = read_equity(equity, columns=names)
    market = None
    told = source is not None or settings.candles.source is not None
    # Trades alone need no market: the project's is not drawn in.
    if run_ or (told and (source is not None or trades is None)):
        market = market_of(
            settings,
            source,
            instrument=instrument,
            symbol=symbol,
            interval=interval,
            funding=funding,
            calendar=calendar,
            on_fault=on_fault,
            repair=repair,
            funding_needed=run_,
        )
        output.check_targets(targets, sources_of(settings, market, signals))
    elif not any(files.values()) and claims is None and live_log is None:
        raise ConfigError(
            "there is nothing to audit: name candles, a table of trades or `--predictions`, or set `source` in "
            "[candles] of barproof.toml"
        )
    if claims is not None:
        from barproof.claims import load_claims

        evidence.claims = load_claims(claims)
    if run_:
        assert market is not None
        study = study_of(settings)
        rules, costs = rules_of(settings, rule), costs_of(settings, taker, maker, slippage, free)
        evidence.candles = read_market(market)
        asked = run_chain(evidence, settings, study, rules, costs, threads)
        if manifest is not None:
            _write_manifest(manifest, evidence, study, market, rules, costs, asked)
    else:
        if market is not None:
            evidence.candles = read_market(market)
            add_project(evidence, settings)
        if predictions is not None:
            evidence.predictions = read_predictions(predictions, evidence, prediction_column)
        table = signals or predictions or (settings.signals.source if trades is None else None)
        if table is not None and evidence.candles is not None:
            made = read_signals(settings, table, time=signal_time, columns=signal_column, kind=kind)
            evidence.signals = made.align(evidence.candles)
            add_backtest(evidence, settings, rule, (taker, maker, slippage, free))
        elif signals is not None:
            raise ConfigError(
                "signals are audited on their bars: name the candles, or set `source` in [candles] of barproof.toml"
            )
    if live_log is not None:
        add_live_log(evidence, settings, live_log, bundle, rule, (taker, maker, slippage, free))
    if label_cells is not None:
        evidence.label_sweep = read_label_cells(label_cells)
    if ablation:
        add_ablation(evidence, seed, threads)
    if evidence.result is None and evidence.trades is None and equity is None:
        evidence.notes.append(
            "no trades are audited: whether it would earn anything is not asked; give `--trades`, signals with rules "
            "and costs, or `--run` in a project"
        )
    if waivers is None and WAIVERS.is_file():
        waivers = WAIVERS
    report = _judge(evidence, groups, severity, seed, max_seconds, exit_zero, waivers)
    written = _write(evidence, report, form, out, page, settings.report.title)
    if manifest is not None:
        written["manifest"] = manifest
    code = OK if exit_zero else report.exit_code
    if json:
        output.emit_json(
            {
                "command": "audit",
                "version": __version__,
                "exit_code": code,
                "report": report.to_dict(),
                "notes": evidence.notes,
                "written": written,
            }
        )
        return code
    for text in evidence.notes:
        output.note(f"note: {text}")
    if out is None and form != "text":
        output.console().print(_rendered(report, form), end="", soft_wrap=True, markup=False)
    else:
        show_report(output.console(), evidence, report, full=full)
    if exit_zero and report.exit_code:
        output.warn(f"exit code {report.exit_code} became 0 by --exit-zero")
    for name, path in written.items():
        output.note(f"{name}: {path}")
    return code


def _write_manifest(
    path: Path,
    evidence: Evidence,
    study: Study,
    market: Market,
    rules: Rules,
    costs: Costs,
    asked: dict[str, Any],
) -> None:
    """Write the manifest of the chain that is audited."""
    from barproof.cli.manifest import write_manifest
    from barproof.cli.manifest_study import Asked, walk_manifest

    assert evidence.run is not None
    assert evidence.result is not None
    given = Asked(rules, costs, **asked)
    write_manifest(path, walk_manifest(path, evidence.run, evidence.result, study, market, given))


def _format(given: str | None, out: Path | None) -> str:
    """Form of the findings; the end of a file's name tells it where nothing else does."""
    if given is not None and given not in FORMATS:
        raise ConfigError(f"`--format` must be one of {', '.join(FORMATS)}, was {given!r}")
    if out is None:
        return given or "text"
    known = {suffix: name for name, suffix in FORMATS.items()}
    output.check_target("--out", out, [out.suffix.lower()] if given else list(known))
    return given or known[out.suffix.lower()]


def _judge(
    evidence: Evidence,
    require: tuple[str, ...],
    fail_on: str,
    seed: int,
    max_seconds: float | None,
    exit_zero: bool,
    waivers: Path | None,
) -> Report:
    """Run the audits."""
    from barproof.audits import audit as run_audits

    report = run_audits(
        **evidence.given(),
        require=require,
        fail_on=fail_on,  # type: ignore[arg-type]
        seed=seed,
        max_seconds=max_seconds,
        waivers=waivers,
    )
    if exit_zero:
        report = replace(report, provenance={**report.provenance, "exit_zero": True})
    return report


def _rendered(report: Report, form: str) -> str:
    """Write findings in one of the forms, with a line break at the end."""
    made = {
        "text": lambda: report.to_text(lines=None),
        "json": report.to_json,
        "md": report.to_markdown,
        "sarif": report.to_sarif,
        "junit": report.to_junit,
    }[form]()
    return made.rstrip("\n") + "\n"


def _write(
    evidence: Evidence,
    report: Report,
    form: str,
    out: Path | None,
    page: Path | None,
    title: str | None,
) -> dict[str, Path]:
    """Write what was asked for."""
    written: dict[str, Path] = {}
    if out is not None:
        with output.whole_file(out) as temporary:
            temporary.write_text(_rendered(report, form), encoding="utf-8")
        written["out"] = out
    if page is not None:
        from barproof.report import write_report

        written["report"] = write_report(
            page, result=evidence.result, run=evidence.run, audit=report, title=title
        )
    return written


def show_report(out: Console, evidence: Evidence, report: Report, *, full: bool = False) -> None:
    """Print what was audited, and the findings, worst first."""
    candles, result = evidence.candles, evidence.result
    if candles is not None:
        facts: list[tuple[str, str]] = []
        if evidence.run is not None:
            facts.append(
                ("trained", f"{len(evidence.run.folds)} folds, {', '.join(evidence.run.names)}")
            )
        if isinstance(result, WalkForwardResult):
            facts.append(
                (
                    "rules",
                    f"chosen from {result.trials:,} on tune bars of each fold by {result.provenance['metric']}",
                )
            )
        elif result is not None and isinstance(result.rules, Rules):
            facts.append(("rules", rules_text(result.rules)))
        if result is not None:
            facts += [
                ("costs", costs_text(result.costs)),
                (
                    "judged",
                    f"{metric_text('total_return', result.metrics['total_return'])} in {result.metrics['trades']:,} "
                    f"trades, Sharpe ratio {metric_text('sharpe', result.metrics['sharpe'])}, "
                    f"drawdown {metric_text('max_drawdown', result.metrics['max_drawdown'])}",
                ),
            ]
        elif evidence.signals is not None:
            facts.append(("signals", ", ".join(evidence.signals.names)))
        output.header(out, market_line(candles, 0, len(candles)), facts)
    if evidence.trades is not None:
        output.header(out, f"{evidence.trades.height:,} trades", [])
    if candles is not None or evidence.trades is not None:
        out.print()
    show_findings(out, report, full=full)


def show_findings(out: Console, report: Report, *, full: bool = False) -> None:
    """Print findings, worst first."""
    lines = None if full else max(out.height, 24) if out.is_terminal else 40
    # What Python calls it is not what it is called here.
    told = report.to_text(width=out.width, lines=lines).replace("to_text(lines=None)", "--all")
    for line in told.splitlines():
        text = Text(line)
        mark = HEAD.match(line)
        if mark is not None:
            text.stylize(STYLES.get(mark[1], ""), *mark.span(1))
        out.print(text)
