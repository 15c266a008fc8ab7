"""``barproof evaluate``: predictions against what came, with intervals and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.text import Text

from barproof._core import __version__
from barproof._evaluate import Evaluation, bundle_labels
from barproof._evaluate import evaluate as judge_bundle
from barproof._judge import judge
from barproof._windows import as_window
from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.candles.table import show_time
from barproof.cli import options, output
from barproof.cli.config import Config, load_config
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.inputs import judged_rows, market_of, read_market, sources_of
from barproof.cli.label_kinds import Asked, LabelPlan, labels_text, plan_of, sides
from barproof.cli.labels import class_name
from barproof.cli.reading import read_table
from barproof.cli.study import feature_table, table_of
from barproof.errors import ConfigError
from barproof.features import FeatureSet
from barproof.inference import CLASSES
from barproof.labels import Labels
from barproof.models.protocol import Floats, Ints

__all__ = ["class_columns", "evaluate", "no_skill", "score_text", "show_evaluation"]

METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "auc_down": "AUC down",
    "auc_up": "AUC up",
    "log_loss": "log loss",
    "brier": "Brier score",
    "direction": "right directions",
    "correlation": "correlation",
    "r2": "R squared",
    "rmse": "RMS error",
}
PARTS = ("test", "tune")


def evaluate(
    candles: options.Source = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            "-p",
            metavar="FILE",
            help="Table that train wrote, or any with open_time and probabilities.",
            rich_help_panel="Predictions",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            "-b",
            metavar="FOLDER",
            help="Bundle that train wrote: it is asked about the bars, instead of reading a table.",
            rich_help_panel="Predictions",
        ),
    ] = None,
    table: options.FeatureFile = None,
    part: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Rows of a table of train: test or tune.",
            rich_help_panel="Predictions",
        ),
    ] = "test",
    time: Annotated[
        str | None,
        typer.Option(
            "--signal-time",
            metavar="COLUMN",
            help="Column with the bars' opening times: open_time.",
            rich_help_panel="Predictions",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--signal-column",
            metavar="ARRAY=COLUMN",
            help="long=p_up, short=p_down where columns are not named long and short, or p_1, p_-1.",
            rich_help_panel="Predictions",
        ),
    ] = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    label_bars: options.LabelBars = None,
    label_threshold: options.LabelThreshold = None,
    label_kind: options.LabelKind = None,
    label_clock: options.LabelClock = None,
    label_primary: options.LabelPrimary = None,
    window: options.Window = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    config: options.ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one row a metric.", rich_help_panel="Output"),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the calibration table.",
            rich_help_panel="Output",
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """Judge predictions or a bundle: each metric with its interval and a constant forecast's, and the calibration.

    A bundle is asked about any bars; those that trained it are counted and no evidence. Of a table only whoever made it
    knows whether it is out of sample; the test part of barproof train is.
    """
    settings = load_config(config)
    output.check_target("--out", out, output.FRAMES)
    output.check_target("--calibration", calibration, output.FRAMES)
    if part not in PARTS:
        raise ConfigError(f"`--part` must be {' or '.join(PARTS)}, was {part!r}")
    told = (label_bars, label_threshold, label_kind, label_clock)
    if bundle is not None:
        words = (predictions, column, time, *told)
        if any(word is not None for word in words):
            raise ConfigError(
                "`--bundle` makes its own predictions and labels: leave out `--predictions`, `--signal-column`, "
                "`--signal-time` and the label options"
            )
    plan: LabelPlan | None = None
    if bundle is None:
        asked = Asked(None, *told, primary=label_primary, prefix="--label-")
        plan = plan_of(settings, asked, (None, None, None, False))
    source = bundle or predictions or settings.signals.source
    if source is None:
        raise ConfigError(
            "predictions are missing: give `--predictions` FILE or `--bundle` FOLDER, or set `source` in [signals] of "
            "barproof.toml"
        )
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
        funding_needed=False,
    )
    inputs = {**sources_of(settings, market, None), "predictions": source}
    output.check_targets({"--out": out, "--calibration": calibration}, inputs)
    bars = read_market(market)
    span = (None, None) if window is None else window
    if bundle is not None:
        judged = _ask(bundle, bars, table_of(settings, table), span, label_primary, level, seed)
    else:
        assert plan is not None
        made = plan.make(bars)
        frame = judged_rows(
            read_table(source, "predictions", _time(settings, predictions, time)), source, part
        )
        found = class_columns(frame, made, source, _columns(settings, predictions, column))
        evaluation = judge(found, made, np.arange(*as_window(bars, span)), level=level, seed=seed)
        there = np.flatnonzero(~np.isnan(found).any(axis=1))
        shown = f"{len(there):,}, {_times(bars, there)}"
        judged = _Judged(evaluation, made, shown, _other_labels(frame, made, source))
    evaluation, made = judged.evaluation, judged.labels
    warnings = [*no_skill(evaluation), *judged.warnings]
    written: dict[str, Path] = {}
    for name, path, frame in (
        ("out", out, evaluation.frame),
        ("calibration", calibration, evaluation.calibration),
    ):
        if path is not None:
            output.write_frame(path, frame)
            written[name] = path
    if json:
        output.emit_json(
            {
                "command": "evaluate",
                "version": __version__,
                "exit_code": OK,
                "symbol": bars.symbol,
                "window": evaluation.rows,
                "labels": made.rule,
                "level": level,
                "in_sample": evaluation.in_sample,
                "metrics": evaluation.frame,
                "calibration": evaluation.calibration,
                "warnings": warnings,
                "provenance": evaluation.provenance,
                "written": written,
            }
        )
        return OK
    screen = output.console()
    output.header(
        screen,
        market_line(bars, *evaluation.rows),
        [("labels", labels_text(made)), ("predictions", judged.shown)],
    )
    screen.print()
    show_evaluation(screen, evaluation)
    show_calibration(screen, evaluation, made)
    for text in warnings:
        output.warn(text)
    for name, path in written.items():
        screen.print(f"{name}: {path}", soft_wrap=True)
    return OK


class _Judged(NamedTuple):
    """What is shown of predictions, wherever they come from."""

    evaluation: Evaluation
    labels: Labels
    shown: str
    warnings: list[str]


def _times(bars: Candles, rows: Ints) -> str:
    """Say from when to when."""
    return f"{show_time(bars.open_time[rows[0]])} to {show_time(bars.open_time[rows[-1]])}"


def _ask(
    path: Path,
    bars: Candles,
    own: Path | None,
    span: Any,
    primary: Path | None,
    level: float,
    seed: int,
) -> _Judged:
    """Load a bundle, and ask it about bars."""
    bundle = Bundle.load(path)
    fitted = bundle.part()
    # Features of the user's own stand in a table; the others are made from their names.
    rest = [name for name in bundle.features if own is None or name not in _columns_of(own)]
    made = feature_table(bars, FeatureSet(rest) if rest else None, own)
    decided = None if primary is None else sides(primary, bars)
    labels = bundle_labels(bundle, bars, None, next(iter(bundle.parts)), decided)
    evaluation = judge_bundle(
        bundle, bars, start=span[0], end=span[1], X=made, labels=labels, level=level, seed=seed
    )
    rows = np.arange(*evaluation.rows)
    told = bundle.manifest["rows"]["train"]["shown"]
    shown = f"{path.name}: {fitted.model!r}, trained on {told}; asked about {_times(bars, rows)}"
    inside = evaluation.in_sample
    warnings = (
        [f"{inside:,} of {len(rows):,} bars lie where the bundle was trained: they are no evidence"]
        if inside
        else []
    )
    return _Judged(evaluation, labels, shown, warnings)


def _columns_of(path: Path) -> list[str]:
    """Name the columns of a table of features."""
    return read_table(path, "features").columns


def _time(settings: Config, predictions: Path | None, time: str | None) -> str:
    """Column of times; the file's belongs to the file's table."""
    return time or (settings.signals.time if predictions is None else None) or "open_time"


def _columns(
    settings: Config, predictions: Path | None, column: Sequence[str] | None
) -> dict[str, str]:
    """Columns by side."""
    chosen = dict(settings.signals.columns) if predictions is None else {}
    for text in column or ():
        side, sign, name = text.partition("=")
        if not sign or not name or side not in ("long", "short"):
            raise ConfigError(
                f"`--signal-column {text}` must read long=COLUMN or short=COLUMN: such as long=p_up"
            )
        chosen[side] = name
    return chosen


def class_columns(
    table: pl.DataFrame, labels: Labels, source: Path, columns: Mapping[str, str]
) -> Floats:
    """Predictions at their bars, one column a class of the labels.

    Parameters
    ----------
    table : polars.DataFrame
        `open_time`, and a column a class (``p_-1``, ``p_0``, ``p_1``) or ``prediction``, else `long` and `short`.
    labels : Labels
        Whose classes and candles.
    source : Path
        Where the table comes from, for messages.
    columns : mapping of str to str
        Columns that are `long` and `short`; where they are told nothing else is looked for.

    Returns
    -------
    ndarray of shape (n_bars, n_classes)
        NaN at bars without a prediction.

    Raises
    ------
    ConfigError
        If the table has neither, or classes of other labels, a column holds no numbers, times meet no bar, or a bar
        has several rows.
    """
    classes = CLASSES[labels.kind]
    whole = [f"p_{c}" for c in classes] or ["prediction"]
    long, short = columns.get("long", "long"), columns.get("short", "short")
    sides = [long, short] if labels.kind == "ternary" else [long]
    told = [name for name in ("p_-1", "p_0", "p_1", "prediction") if name in table.columns]
    if not columns and told == whole:
        return _at_bars(table, whole, labels.candles, source)
    if not columns and told:
        raise ConfigError(
            f"predictions {source.name!r} hold {' and '.join(told)}, but {labels.kind} labels need "
            f"{' and '.join(whole)}: give the label rule that they were trained by"
        )
    absent = [name for name in sides if name not in table.columns]
    if absent:
        raise ConfigError(
            f"predictions {source.name!r} have no column `{absent[0]}`, but {', '.join(table.columns)}: {labels.kind} "
            f"labels need {' and '.join(whole)}, or {' and '.join(('long', 'short')[: len(sides)])}; name them such "
            "as `--signal-column long=p_up`"
        )
    found = _at_bars(table, sides, labels.candles, source)
    if labels.kind == "regression":
        return found
    if labels.kind == "binary":
        return np.column_stack([1.0 - found[:, 0], found[:, 0]])
    flat = 1.0 - found[:, 0] - found[:, 1]
    # Two rounded probabilities may pass 1 by a rounding.
    flat[(flat < 0.0) & (flat > -1e-6)] = 0.0
    return np.column_stack([found[:, 1], flat, found[:, 0]])


def _at_bars(table: pl.DataFrame, names: Sequence[str], candles: Candles, source: Path) -> Floats:
    """Columns of a table in the place of their bars; NaN elsewhere."""
    where = f"predictions {source.name!r}"
    for name in names:
        if not table[name].dtype.is_float():
            raise ConfigError(
                f"column `{name}` of {where} must hold numbers, was {table[name].dtype}"
            )
    column = table["open_time"]
    if not column.dtype.is_integer():
        column = column.cast(pl.Datetime("ms")) if column.dtype == pl.Date else column
        column = column.dt.epoch("ms")
    times = column.fill_null(0).to_numpy()
    at = np.minimum(np.searchsorted(candles.open_time, times), len(candles) - 1)
    lost = np.flatnonzero(candles.open_time[at] != times)
    if len(lost):
        raise ConfigError(
            f"{len(lost):,} of {len(times):,} times of {where} meet no bar, first {show_time(times[lost[0]])}: give "
            f"the bars' opening times, and candles from {show_time(times.min())} to {show_time(times.max())}"
        )
    rows, counts = np.unique(at, return_counts=True)
    if len(rows) < len(at):
        first = candles.open_time[rows[np.argmax(counts > 1)]]
        raise ConfigError(
            f"{where} hold {len(at) - len(rows):,} rows too many, first {show_time(first)} twice: give one row a bar"
        )
    out = np.full((len(candles), len(names)), np.nan)
    out[at] = table.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    return out


def _other_labels(table: pl.DataFrame, labels: Labels, source: Path) -> list[str]:
    """Say where the table remembers other labels than the rule makes."""
    if "label" not in table.columns or not table["label"].dtype.is_float():
        return []
    told = _at_bars(table, ["label"], labels.candles, source)[:, 0]
    both = ~np.isnan(told) & ~np.isnan(labels.values)
    others = int(np.count_nonzero(told[both] != labels.values[both]))
    if not others:
        return []
    return [
        f"{others:,} of {int(both.sum()):,} labels in the table are others than this rule makes: it was trained by "
        "another rule, or on other candles"
    ]


def no_skill(evaluation: Evaluation) -> list[str]:
    """Say so where no ranking is better than chance."""
    ranks = evaluation.frame.filter(
        pl.col("metric").is_in(["auc", "auc_down", "auc_up", "correlation"])
    )
    known = ranks.filter(pl.col("low").is_not_nan())
    if not known.height or bool((known["low"] > known["baseline"]).any()):
        return []
    name = "correlation" if known["metric"][0] == "correlation" else "AUC"
    return [
        f"no skill is shown: the interval of {'the' if known.height == 1 else 'every'} {name} holds "
        f"{known['baseline'][0]:g} or lies below it"
    ]


def score_text(name: str, value: float | None) -> str:
    """Write a score; undefined is a dash. Errors of returns are small numbers."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.4g}" if name == "rmse" else f"{value:.4f}"


def show_evaluation(out: Console, evaluation: Evaluation) -> None:
    """Print metrics beside their baselines."""
    rows = []
    for row in evaluation.frame.iter_rows(named=True):
        undefined = np.isnan(row["value"])
        rows.append(
            (
                METRICS.get(row["metric"], row["metric"]),
                "undefined" if undefined else score_text(row["metric"], row["value"]),
                "-"
                if np.isnan(row["low"])
                else " to ".join(score_text(row["metric"], row[end]) for end in ("low", "high")),
                score_text(row["metric"], row["baseline"]),
                f"{row['n']:,}",
                f"{row['n_eff']:,.0f}",
            )
        )
    columns = ("", "value", f"{evaluation.level:.0%} interval", "baseline", "n", "n eff.")
    out.print(output.table(columns, rows))
    for note in evaluation.notes:
        out.print(Text(note, style="italic"))


def show_calibration(out: Console, evaluation: Evaluation, labels: Labels) -> None:
    """Print mean probabilities beside what came; flat bars, which nobody trades, are in the file and in JSON."""
    frame = evaluation.calibration
    if labels.kind == "ternary":
        frame = frame.filter(pl.col("class") != 0)
    if not frame.height:
        return
    out.print()
    rows = [
        (
            class_name(labels.kind, row["class"]),
            f"{row['bin'] / 10:.1f} to {row['bin'] / 10 + 0.1:.1f}",
            f"{row['mean_p']:.3f}",
            f"{row['share']:.3f}",
            f"{row['share'] - row['mean_p']:+.3f}",
            f"{row['n']:,}",
        )
        for row in frame.iter_rows(named=True)
    ]
    columns = ("class", "probability", "mean", "came true", "difference", "n")
    out.print(output.table(columns, rows, left=2))
