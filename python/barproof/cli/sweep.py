"""``barproof sweep``: a grid of rules over windows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from barproof._core import __version__
from barproof._frames import METRICS
from barproof._sweep import Plan, Sweep, check_metric
from barproof._sweep import plan as make_plan
from barproof._sweep import sweep as run_sweep
from barproof.cli import options, output
from barproof.cli.backtest import costs_text, rules_text
from barproof.cli.config import load_config
from barproof.cli.exits import OK
from barproof.cli.findings import caveats, market_line
from barproof.cli.inputs import (
    costs_of,
    first_given,
    grid_from,
    grid_parts,
    market_of,
    read_market,
    read_signals,
    rules_of,
    signals_asked,
    sources_of,
)
from barproof.cli.output import metric_text
from barproof.cli.tables import HelpRules
from barproof.errors import ConfigError, Interrupted, ParameterError

__all__ = [
    "FLATTERS",
    "best_rows",
    "show_best",
    "show_heatmap",
    "show_plan",
    "show_spread",
    "sweep",
    "sweep_document",
]

SHOWN = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "fees")
FLATTERS = (
    "the best of {count} was chosen on the bars that judge it, and flatters: judge it on bars that "
    "did not choose it"
)


def sweep(
    candles: options.Source = None,
    signals: options.SignalFile = None,
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
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            "-a",
            metavar="NAME=V1,V2",
            help="Axis, such as stop_loss=0.005,0.01,none; entry_long+entry_short=0.5,0.6 gives two rules one value.",
            rich_help_panel="Grid",
        ),
    ] = None,
    together: Annotated[
        list[str] | None,
        typer.Option(
            metavar='"A=1,2 B=3,4"',
            help="One axis whose rules vary together; quote it.",
            rich_help_panel="Grid",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help="Run this many combinations, drawn at random.", rich_help_panel="Grid"
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How --sample draws: random, or latin (levels equally often).",
            rich_help_panel="Grid",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the draw: 0.", rich_help_panel="Grid")
    ] = None,
    rule: options.Rule = None,
    help_rules: HelpRules = False,  # noqa: ARG001
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    windows: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="Consecutive windows such as 1mo, 1w, 5d; one over all bars."
        ),
    ] = None,
    equity_start: options.Initial = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What best means: sharpe. `barproof metrics` lists them."
        ),
    ] = None,
    min_trades: Annotated[
        int | None, typer.Option(min=0, help="Leave out of the best what traded less: 1.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Combinations to show: 10.")] = None,
    threads: options.Threads = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would take, and leave.")
    ] = False,
    config: options.ConfigFile = None,
    report: options.Report = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write one row a combination and window.", rich_help_panel="Output"
        ),
    ] = None,
    pooled: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one row a combination.", rich_help_panel="Output"),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Stream Parquet parts to a folder; the same call goes on after a kill.",
            rich_help_panel="Output",
        ),
    ] = None,
    manifest: options.Manifest = None,
    json: options.Json = False,
) -> int:
    """Run every combination of a grid over every window, and show the best.

    Ctrl-C stops it; with --out, --pooled or --out-dir what was finished is written.
    """
    settings = load_config(config)
    page = report or settings.report.path
    output.check_target("--out", out, output.FRAMES)
    output.check_target("--pooled", pooled, output.FRAMES)
    output.check_target("--report", page, (".html",))
    output.check_target("--manifest", manifest, (".json",))
    if out_dir is not None and out_dir.exists() and not out_dir.is_dir():
        raise ConfigError(f"`--out-dir` {str(out_dir)!r} is a file: give the name of a folder")
    chosen = metric or settings.sweep.metric or "sharpe"
    least = settings.sweep.min_trades if min_trades is None else min_trades
    check_metric(chosen)
    base = rules_of(settings, rule)
    parts = grid_parts(settings, axis, together, sample, seed, method)
    grid = grid_from(base, parts)
    market = market_of(
        settings,
        candles,
        instrument=instrument,
        symbol=symbol,
        interval=interval,
        funding=funding,
        calendar=calendar,
        on_fault=on_fault,
        repair=repair,
    )
    costs = costs_of(settings, taker, maker, slippage, free)
    sources = sources_of(settings, market, signals)
    output.check_targets(
        {"--out": out, "--pooled": pooled, "--report": page, "--manifest": manifest}, sources
    )
    bars = read_market(market)
    made = read_signals(settings, signals, time=signal_time, columns=signal_column, kind=kind)
    job: dict[str, Any] = {
        "costs": costs,
        "windows": windows or settings.sweep.windows,
        "initial_equity": first_given(equity_start, settings.sweep.initial_equity),
        "threads": threads or settings.sweep.threads,
        "out": out_dir,
    }
    planned = make_plan(bars, made, grid, **job)
    warnings = caveats(
        bars, base, costs, shorts=grid.rules.entry_short is not None or "entry_short" in grid.axes
    )
    screen = output.console()
    if not json:
        facts = [
            *([("rules", rules_text(base))] if base.changed() else []),
            ("costs", costs_text(costs)),
            *plan_facts(planned, grid),
        ]
        output.header(screen, market_line(bars, 0, len(bars)), facts)
    if plan:
        if json:
            output.emit_json(
                {
                    "command": "sweep",
                    "version": __version__,
                    "exit_code": OK,
                    "plan": asdict(planned),
                }
            )
        return OK
    written: dict[str, Path] = {}
    try:
        found = run_sweep(bars, made, grid, **job)
    except Interrupted as stop:
        kept = _write(stop.partial, out, pooled, written)
        where = (
            f", written to {' and '.join(str(p) for p in written.values())}"
            if kept
            else ", nothing was written"
        )
        if out_dir is not None:
            where = f", kept in {out_dir}: the same call goes on from there"
        # Not from `stop`: its text speaks of an exception that nobody on a command line can see.
        raise KeyboardInterrupt(
            f"interrupted after {stop.done:,} of {stop.total:,} combinations{where}"
        ) from None
    _write(found, out, pooled, written)
    if manifest is not None:
        from barproof.cli.manifest import sweep_manifest, write_manifest

        asked = {
            "grid": {"rules": base.changed(), **parts},
            "costs": asdict(costs),
            "windows": job["windows"],
            "initial_equity": job["initial_equity"],
            "metric": chosen,
            "min_trades": least,
        }
        made_of = signals_asked(settings, made, signal_time, signal_column)
        table = Path(str(sources["signals"]))
        told = sweep_manifest(manifest, found, market, table, made_of, asked, dict(written))
        write_manifest(manifest, told)
        written["manifest"] = manifest
    if out_dir is not None:
        written["out_dir"] = out_dir
    if page is not None:
        written["report"] = found.to_html(page, title=settings.report.title)
    count = top or settings.sweep.top or 10
    if json:
        document = sweep_document(found, chosen, count, least)
        output.emit_json(
            {
                "command": "sweep",
                "version": __version__,
                "exit_code": OK,
                "plan": asdict(planned),
                **document,
                "warnings": warnings + document["warnings"],
                "written": written,
            }
        )
        return OK
    screen.print()
    show_best(screen, found, chosen, count, least)
    show_spread(screen, found)
    for text in warnings:
        output.warn(text)
    for name, path in written.items():
        screen.print(f"{name}: {path}", soft_wrap=True)
    return OK


def _write(
    found: Sweep | None, out: Path | None, pooled: Path | None, written: dict[str, Path]
) -> bool:
    """Write frames that were asked for."""
    if found is None:
        return False
    # Frames of a folder are read where they are asked for.
    if out is not None:
        output.write_frame(out, found.frame)
        written["out"] = out
    if pooled is not None:
        output.write_frame(pooled, found.pooled)
        written["pooled"] = pooled
    return bool(written)


def plan_facts(planned: Plan, grid: Any) -> list[tuple[str, str]]:
    """Lines of a plan."""
    return [
        ("grid", " x ".join("+".join(group) for group in grid.groups)),
        (
            "plan",
            f"{planned.combinations:,} combinations x {planned.windows:,} windows, "
            f"{planned.bar_steps / 1e6:,.1f} M bar steps on {planned.threads} threads, "
            f"about {_duration(planned.seconds)} and {max(1.0, planned.memory_bytes / 2**20):,.0f} MiB",
        ),
    ]


def show_plan(out: Console, planned: Plan, grid: Any) -> None:
    """Print a plan."""
    output.header(out, "plan", plan_facts(planned, grid))


def _duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 1:
        return "1 s"
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def best_rows(found: Sweep, metric: str, top: int, min_trades: int) -> pl.DataFrame:
    """Pooled rows of the best combinations, best first."""
    row = check_metric(metric)
    frame = found.pooled.filter(pl.col("trades") >= min_trades).with_columns(
        pl.col(metric).fill_nan(None)
    )
    frame = frame.filter(pl.col(metric).is_not_null())
    if not frame.height:
        raise ParameterError(
            f"`{metric}` is undefined for all {len(found):,} combinations with at least {min_trades} trades: lower the "
            "thresholds, or choose another `--metric`"
        )
    return frame.sort([metric, "combination"], descending=[row["better"] > 0, False]).head(top)


def sweep_document(found: Sweep, metric: str, top: int, min_trades: int) -> dict[str, Any]:
    """Everything a sweep says, for JSON."""
    best = best_rows(found, metric, top, min_trades)
    return {
        "combinations": len(found),
        "windows": len(found.windows),
        "axes": found.axes,
        "metric": metric,
        "best": [
            {**row, "rules": found.rules(row["combination"]).to_dict()}
            for row in best.iter_rows(named=True)
        ],
        "spread": spread(found),
        "seconds": found.seconds,
        "warnings": [FLATTERS.format(count=f"{len(found):,}")],
        "provenance": found.provenance,
    }


def _axis_columns(found: Sweep) -> list[tuple[str, str]]:
    """Header and field of every axis; rules that always share a value share a column."""
    columns = []
    for group in found.axis_groups:
        lead = group[0]
        same = all(found.pooled[name].eq_missing(found.pooled[lead]).all() for name in group[1:])
        if same:
            columns.append((_together(group), lead))
        else:
            columns += [(name.replace("_", " "), name) for name in group]
    return columns


def _together(group: list[str]) -> str:
    """Write rules that share a value, `entry_long` and `entry_short` as "entry"."""
    words = [name.split("_") for name in group]
    if len(words) > 1 and all(len(w) == 2 and w[0] == words[0][0] for w in words):
        return words[0][0]
    return " + ".join(name.replace("_", " ") for name in group)


def value_text(value: Any) -> str:
    """Value of a rule, short."""
    if value is None:
        return "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def show_best(out: Console, found: Sweep, metric: str, top: int, min_trades: int = 1) -> None:
    """Print the best combinations and say what that is worth."""
    best = best_rows(found, metric, top, min_trades)
    labels = {row["name"]: row["label"] for row in METRICS}
    shown = [metric, *(name for name in SHOWN if name != metric)]
    axes = _axis_columns(found)
    records = best.to_dicts()
    columns: list[tuple[str, list[Text]]] = [
        (head, [Text(value_text(row[name])) for row in records]) for head, name in axes
    ]
    columns += [
        (_short(labels[name]), [_coloured(name, row[name]) for row in records]) for name in shown
    ]
    columns.append(("no.", [Text(str(row["combination"])) for row in records]))
    # What the screen cannot hold is left out, the least telling metric first.
    while sum(_width(*column) for column in columns) > out.width and len(columns) > len(axes) + 3:
        columns.pop(-2)
    heads = [head for head, _ in columns]
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    title = f"best {best.height:,} of {len(found):,} by {metric}"
    out.print(Text(title, style="bold"))
    out.print(output.table(heads, rows, left=0))
    out.print()
    note = FLATTERS.format(count=f"{len(found):,}")
    out.print(Text(note, style="italic"))
    out.print()


def _width(head: str, cells: list[Text]) -> int:
    """Characters that a column takes, with its margins."""
    return 3 + max(*map(len, head.split()), *(len(cell) for cell in cells))


def _short(label: str) -> str:
    """Write the label of a metric for a narrow column."""
    return {"Sharpe Ratio": "Sharpe", "Max. Drawdown": "Max. DD", "# Trades": "Trades"}.get(
        label, label
    )


def _coloured(name: str, value: Any) -> Text:
    """Write a metric, green where it earns and red where it loses."""
    text = Text(metric_text(name, value, short=True))
    if name in ("sharpe", "total_return") and value is not None and value == value:
        text.stylize("green" if value > 0 else "red")
    return text


def spread(found: Sweep) -> dict[str, Any]:
    """How the whole grid fared, so that the best can be seen in its company."""
    traded = found.pooled.filter(pl.col("trades") > 0)
    returns = traded["total_return"].fill_nan(None).drop_nulls()
    sharpe = traded["sharpe"].fill_nan(None).drop_nulls()
    quantiles = {f"{q:.0%}": sharpe.quantile(q, "linear") for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
    return {
        "traded": traded.height,
        "positive_share": int((returns > 0).sum()) / len(returns) if len(returns) else None,
        "median_return": returns.median(),
        "sharpe_quantiles": quantiles,
    }


def show_spread(out: Console, found: Sweep) -> None:
    """Print the distribution over all combinations."""
    facts = spread(found)
    if facts["positive_share"] is None:
        return
    sharpe = (
        found.pooled.filter(pl.col("trades") > 0)["sharpe"].fill_nan(None).drop_nulls().to_numpy()
    )
    rows = [
        (
            "positive",
            f"{facts['positive_share']:.0%} of the {facts['traded']:,} combinations that traded",
        ),
        ("median", f"return {metric_text('total_return', facts['median_return'])}"),
    ]
    if len(sharpe):
        counts, edges = np.histogram(sharpe, bins=min(40, max(5, len(sharpe) // 4)))
        marks = output.bars_of((counts / counts.max()).tolist(), out)
        rows.append(("Sharpe", f"{edges[0]:.2f} {marks} {edges[-1]:.2f}"))
        quantiles = ", ".join(f"{q} {value:.2f}" for q, value in facts["sharpe_quantiles"].items())
        rows.append(("quantiles", quantiles))
    output.header(out, "the whole grid", rows)


def show_heatmap(out: Console, found: Sweep, metric: str = "sharpe") -> None:
    """Print the median of a metric over the first two axes, coloured from bad to good."""
    leads = [group[0] for group in found.axis_groups if found.pooled[group[0]].n_unique() > 1]
    if len(leads) < 2:
        return
    x, y = leads[0], leads[1]
    groups = {group[0]: _together(group) for group in found.axis_groups}
    cells = (
        found.pooled.with_columns(pl.col(metric).fill_nan(None))
        .group_by(x, y)
        .agg(pl.col(metric).median())
    )
    values = {(row[x], row[y]): row[metric] for row in cells.iter_rows(named=True)}
    across = _in_order(found.pooled[x])
    down = _in_order(found.pooled[y])
    numbers = [v for v in values.values() if v is not None]
    reach = max((abs(v) for v in numbers), default=1.0) or 1.0
    # Two decimals where they fit.
    digits = 2 if 7 * (len(across) + 1) <= out.width else 1
    out.print(Text(f"median {metric}: {groups[y]} down, {groups[x]} across", style="bold"))
    made = Table(
        box=None,
        padding=(0, 0),
        pad_edge=False,
    )
    made.add_column("", justify="right")
    for value in across:
        made.add_column(
            f"{value_text(value)} ", justify="right", no_wrap=True, min_width=5 + digits
        )
    for value in down:
        made.add_row(
            f"{value_text(value)} ", *(_cell(values.get((a, value)), reach, digits) for a in across)
        )
    out.print(made)


def _in_order(column: pl.Series) -> list[Any]:
    """Values of a column, each once, as they come."""
    return column.unique(maintain_order=True).to_list()


def _cell(value: float | None, reach: float, digits: int) -> Text:
    """Write a cell of the heatmap in its colour."""
    if value is None:
        return Text("- ", style="dim")
    share = min(1.0, abs(value) / reach)
    # From a neutral grey towards green or red; black ink where the ground is light.
    low, high = (55, (38, 150, 85)) if value > 0 else (55, (178, 58, 58))
    red, green, blue = (round(low + share * (c - low)) for c in high)
    style = Style(color="#ffffff", bgcolor=f"#{red:02x}{green:02x}{blue:02x}")
    return Text(f" {value:{3 + digits}.{digits}f} ", style=style)
