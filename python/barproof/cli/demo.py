"""``barproof demo``: from candles to a verdict on a market that is made up, and a broken twin that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.text import Text

from barproof._core import __version__
from barproof.cli import options, output
from barproof.cli.backtest import costs_text, result_document
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.sweep import sweep_document, value_text
from barproof.errors import FileError

__all__ = ["demo"]

SEED = 7
BARS = 120_000
LEAST_BARS = 40_000
TITLE = "barproof demo: a simulated market with a planted edge"
SHOWN_FOLDS = 8
_SHORT = {"entry_long": "entry", "stop_loss": "stop", "take_profit": "target", "max_hold": "hold"}


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the market.")] = SEED,
    bars: Annotated[int, typer.Option(min=LEAST_BARS, help="Five-minute bars.")] = BARS,
    threads: options.Threads = None,
    json: options.Json = False,
) -> int:
    """Run the whole chain on a simulated market, judge it, and write a report."""
    from barproof import _demo

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"`--out` {str(out)!r} cannot be made a folder: {error.strerror or error}"
        ) from error
    screen = output.console()

    def told(part: str) -> None:
        """Print the numbers of a part as soon as it is done."""
        if not json and part == "honest":
            output.header(
                screen,
                "A simulated market, so that the truth about it is known",
                [
                    ("edge", f"a hidden score moves the next bar by {_demo.EDGE:.0%} of its noise"),
                    ("trace", "takers lean on the score; features of their share can find it"),
                    ("costs", costs_text(_demo.COSTS)),
                ],
            )
            screen.print()

    made = _demo.run_demo(seed=seed, bars=bars, threads=threads, told=told)
    honest = made.honest
    path = honest.report.to_html(out / "report.html", title=TITLE)
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
    _show_chain(screen, honest)
    _show_choices(screen, honest)
    _show_result(screen, honest)
    _show_findings(screen, "what the audits say", honest)
    _show_twin(screen, made)
    screen.print(Text(f"{made.seconds:.1f} s in all; the report:", style="dim"))
    screen.print(str(path), soft_wrap=True)
    return OK


def _document(made: Any) -> dict[str, Any]:
    """Everything that the demonstration says, for JSON."""
    honest, broken = made.honest, made.broken
    return {
        "bars": len(honest.candles),
        "features": list(honest.features.names),
        "folds": len(honest.run.folds),
        "sweep": sweep_document(honest.sweep, "sharpe", 10, 1),
        "choices": honest.result.choices.to_dicts(),
        "result": result_document(honest.result),
        "audit": honest.report.to_dict(),
        "twin": {
            "verdict": broken.report.verdict,
            "failed": [finding.id for finding in broken.report.failed()],
        },
        "seconds": made.seconds,
    }


def _show_chain(out: Console, study: Any) -> None:
    """Print what was done, step by step."""
    candles, run, found = study.candles, study.run, study.sweep
    fold = run.folds[0]
    shares = study.labels.shares()
    parts = f"{len(fold.train):,} train, {len(fold.tune):,} tune, {len(fold.test):,} test rows"
    best = found.best("sharpe")
    output.header(
        out,
        "From candles to rules",
        [
            ("market", market_line(candles, 0, len(candles))),
            ("close", output.sparkline(candles.close, out)),
            ("features", f"{len(study.features)} columns, none of which may look ahead"),
            (
                "labels",
                f"{study.labels.rule['bars']} bars ahead, {study.labels.rule['threshold']:.1%} either way: "
                f"{shares[1.0]:.0%} up, {shares[-1.0]:.0%} down",
            ),
            ("folds", f"{len(run.folds)}, each of {parts}, purged"),
            ("model", f"gradient boosting, one a fold, calibrated; {_skill(study)}"),
            (
                "sweep",
                f"{len(found):,} combinations on the test rows, in hindsight: the best has a Sharpe ratio of "
                f"{best.metrics['sharpe']:.2f}",
            ),
        ],
    )
    out.print()


def _skill(study: Any) -> str:
    """Say how well probabilities of a rise order the test rows, from ranks."""
    table = study.run.predictions(part="test").drop_nulls().drop_nans()
    rank = table["p_1"].rank().to_numpy()
    up = table["label"].to_numpy() == 1.0
    ups, rest = int(up.sum()), int((~up).sum())
    if not ups or not rest:
        return "skill undefined"
    auc = (rank[up].sum() - ups * (ups + 1) / 2) / (ups * rest)
    return f"AUC {auc:.3f} for a rise on {len(table):,} test rows"


def _show_choices(out: Console, study: Any) -> None:
    """Print what each fold chose, and how it fared where it had not been chosen."""
    choices = study.result.choices
    axes = [name for name in study.sweep.axes if name != "entry_short"]
    rows = []
    for row in choices.head(SHOWN_FOLDS).iter_rows(named=True):
        rules = [value_text(row[name]) if row["combination"] is not None else "-" for name in axes]
        chosen, judged = (_number(row[f"{which}_sharpe"]) for which in ("chosen", "judged"))
        trades = "-" if row["judged_trades"] is None else f"{row['judged_trades']:,}"
        rows.append([f"{row['start']:%Y-%m-%d}", *rules, chosen, judged, trades])
    heads = ["test from", *(_SHORT.get(n, n) for n in axes), "chosen", "judged", "trades"]
    out.print(Text("Chosen on tune rows, judged on test rows (Sharpe ratios)", style="bold"))
    out.print(output.table(heads, rows))
    if choices.height > SHOWN_FOLDS:
        out.print(Text(f"  and {choices.height - SHOWN_FOLDS} more folds", style="dim"))
    pair = choices.select(
        pl.col("chosen_sharpe", "judged_sharpe").cast(pl.Float64).fill_nan(None).mean()
    ).row(0)
    out.print(
        f"  on average {_number(pair[0])} where it was chosen, {_number(pair[1])} where it was not\n"
    )


def _number(value: float | None) -> str:
    """Give a number, or nothing for one that is undefined."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.2f}"


def _show_result(out: Console, study: Any) -> None:
    """Print what the rules earned."""
    result = study.result
    metrics = result.metrics
    gross = metrics["final_equity"] - result.initial_equity + metrics["fees"] - metrics["funding"]
    output.header(
        out,
        "Out of sample, all test rows in one account",
        [
            ("equity", output.sparkline(result.equity["equity"].to_numpy(), out)),
            (
                "earned",
                f"{metrics['total_return']:+.1%}, Sharpe ratio {metrics['sharpe']:.2f}, drawdown "
                f"{metrics['max_drawdown']:.1%}",
            ),
            ("trades", f"{metrics['trades']:,}, of which {metrics['win_rate']:.1%} won"),
            (
                "paid",
                f"fees {metrics['fees']:,.0f}, funding {-metrics['funding']:,.0f}; before them {gross:+,.0f} "
                f"on {result.initial_equity:,.0f}",
            ),
        ],
    )
    out.print()


_STYLES = {
    "sound": "bold green",
    "refuted": "bold red",
    "crashed": "bold red",
    "nothing proved": "bold yellow",
}


def _show_findings(out: Console, title: str, study: Any) -> None:
    """Print what the audits found."""
    report = study.report
    head = Text(f"{title}: ", style="bold")
    out.print(head.append(report.verdict, style=_STYLES.get(report.verdict, "bold")))
    out.print(report.to_text(width=min(out.width, 100), lines=14), highlight=False, markup=False)
    out.print()


def _show_twin(out: Console, made: Any) -> None:
    """Print how the twin fared."""
    from barproof import _demo

    report = made.broken.report
    out.print(
        "The same chain with two mistakes: a trend smoothed over the next hour,\n"
        "and a threshold that its model never reaches.",
        style="dim",
        highlight=False,
    )
    head = Text("the broken twin: ", style="bold")
    out.print(head.append(report.verdict, style=_STYLES.get(report.verdict, "bold")))
    for code in _demo.BROKEN_CODES:
        finding = report[code]
        line = Text(f"  {finding.id} {finding.outcome.upper()}  ", style="red")
        out.print(line.append(finding.title, style="default"), highlight=False)
    out.print()
