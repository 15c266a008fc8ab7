"""``barproof demo``: the main job on a market that is made up, and a report of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from barproof import _demo
from barproof._core import __version__
from barproof._grid import Grid
from barproof._sweep import Plan
from barproof.candles import Candles
from barproof.cli import options, output
from barproof.cli.backtest import costs_text, result_document, rules_text, show_range
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.sweep import plan_facts, show_best, show_heatmap, show_spread, sweep_document
from barproof.errors import FileError

__all__ = ["demo"]

TITLE = "barproof demo: a simulated market with a known edge"


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of market and noise.")] = _demo.SEED,
    bars: Annotated[int, typer.Option(min=20_000, help="Five-minute bars.")] = _demo.BARS,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: BARPROOF_THREADS, else every core.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Sweep a simulated market with a planted edge, and write a report."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"`--out` {str(out)!r} cannot be made a folder: {error.strerror or error}"
        ) from error
    screen = output.console()

    def planned(candles: Candles, plan: Plan, grid: Grid) -> None:
        if not json:
            _show_market(screen, candles, plan, grid)

    made = _demo.run_demo(seed=seed, bars=bars, threads=threads, planned=planned)
    path = _report(made, out)
    if json:
        output.emit_json(
            {
                "command": "demo",
                "version": __version__,
                "exit_code": OK,
                **_document(made),
                "report": path,
            }
        )
        return OK
    _show(screen, made)
    screen.print(str(path), soft_wrap=True)
    return OK


def _report(made: _demo.Demo, out: Path) -> Path:
    from barproof.report import write_report

    return Path(
        write_report(out / "report.html", result=made.result, sweep=made.sweep, title=TITLE)
    )


def _document(made: _demo.Demo) -> dict[str, Any]:
    halves = made.halves
    return {
        "edge": _demo.EDGE,
        "noise": _demo.NOISE,
        "bars": len(made.candles),
        "sweep": sweep_document(made.sweep, "sharpe", 10, _demo.MIN_TRADES),
        "result": result_document(made.result),
        "halves": None if halves is None else {**vars(halves), "rules": halves.rules.to_dict()},
        "seconds": made.seconds,
    }


def _show_market(out: Console, candles: Candles, plan: Plan, grid: Grid) -> None:
    """Print what is about to run."""
    funding = candles.funding
    assert funding is not None
    output.header(
        out,
        "A market that is made up, so that the truth about it is known",
        [
            ("market", market_line(candles, 0, len(candles))),
            ("close", output.sparkline(candles.close, out)),
            (
                "funding",
                f"{funding.height:,} settlements, mean {funding['funding_rate'].to_numpy().mean():+.4%}",
            ),
            ("edge", f"a hidden score correlates by {_demo.EDGE:.0%} with the next bar's return"),
            (
                "signal",
                f"the score under noise, correlating with it by {_demo.CLARITY:.0%}; short is its opposite",
            ),
            ("costs", costs_text(_demo.COSTS)),
            *plan_facts(plan, grid),
        ],
    )
    out.print()


def _show(out: Console, made: _demo.Demo) -> None:
    """Print what was found."""
    show_best(out, made.sweep, "sharpe", 8, _demo.MIN_TRADES)
    show_heatmap(out, made.sweep)
    out.print()
    show_spread(out, made.sweep)
    out.print()
    result, metrics = made.result, made.result.metrics
    gross = metrics["final_equity"] - result.initial_equity + metrics["fees"] - metrics["funding"]
    ambiguous = made.sweep.pooled["ambiguous_share"].to_numpy()
    facts = [
        ("rules", rules_text(made.best.rules)),
        ("equity", output.sparkline(result.equity["equity"].to_numpy(), out)),
        (
            "earned",
            f"{metrics['total_return']:+.1%}, Sharpe ratio {metrics['sharpe']:.2f}, "
            f"drawdown {metrics['max_drawdown']:.1%}, {metrics['trades']:,} trades, {metrics['win_rate']:.1%} won",
        ),
        (
            "paid",
            f"fees {metrics['fees']:,.0f}, funding {-metrics['funding']:,.0f}; before them {gross:+,.0f} "
            f"on {result.initial_equity:,.0f}",
        ),
        (
            "ambiguous",
            f"{metrics['ambiguous_share']:.2%} of its trades had stop and target in one bar, "
            f"up to {np.nanmax(ambiguous):.2%} in the grid",
        ),
    ]
    output.header(out, f"combination {made.best.combination}, all bars in one run", facts)
    show_range(out, result)
    out.print()
    out.print(Text("what to believe", style="bold"))
    lessons = Table.grid(padding=(0, 1))
    for text in _lessons(made):
        lessons.add_row("  -", Text(text))
    out.print(lessons)
    out.print()
    out.print(Text(f"{made.seconds:.1f} s in all; the report:", style="dim"))


def _lessons(made: _demo.Demo) -> list[str]:
    """Say what the numbers are worth."""
    texts = ["the market is simulated: these numbers say nothing about any real one"]
    halves = made.halves
    if halves is None:
        texts.append("the best was chosen on the bars that judge it, and flatters")
    else:
        first, second = halves.windows
        texts.append(
            f"the best of the first {first} months has a Sharpe ratio of {halves.chosen:.2f} there, and of "
            f"{halves.judged:.2f} on the {second} months that did not choose it ({halves.judged_return:+.1%})"
        )
    pooled = made.sweep.pooled["total_return"]
    positive = int((pooled > 0).sum()) / len(pooled)
    texts.append(
        f"the edge is real here, and still only {positive:.0%} of the combinations earn after costs: trading "
        "often pays the exchange"
    )
    return texts
