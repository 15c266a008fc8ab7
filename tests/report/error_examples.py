"""Every error that the report raises, with the call that raises it and its message."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl

from barproof.errors import FileError, LayoutError, ParameterError
from barproof.report import render, write_report
from barproof.report.figures import heatmap_figure
from barproof.report.files import write_text
from tests.report import fakes

FOLDER = Path(tempfile.gettempdir())
FRAME = pl.DataFrame({"a": [1, 2], "b": [1, 2], "sharpe": [0.5, 0.7]})


def _full_disk() -> object:
    with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
        return write_text(FOLDER / "barproof-full.html", "text")


def _any(value: Any) -> Any:
    return value


EXAMPLES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "report-of-nothing",
        lambda: render(),
        ParameterError,
        "`result`, `sweep`, `audit` and `run` are all None; give at least one of them",
    ),
    (
        "report-audit-type",
        lambda: render(audit=_any({"verdict": "sound"})),
        LayoutError,
        "`audit` must be a Report, was dict; pass what `audit` returned",
    ),
    (
        "report-run-type",
        lambda: render(run=_any([1])),
        LayoutError,
        "`run` must be a Run, was list; pass what `train` returned",
    ),
    (
        "report-title-type",
        lambda: render(sweep=fakes.sweep(), title=_any(7)),
        LayoutError,
        "`title` must be a string, was int; write it as text",
    ),
    (
        "report-metric",
        lambda: render(sweep=fakes.sweep(), metric="luck"),
        ParameterError,
        "`metric` 'luck' is no metric of the sweep; choose one of total_return, cagr, sharpe, max_drawdown, trades, "
        "win_rate, profit_factor",
    ),
    (
        "report-extra-section",
        lambda: render(sweep=fakes.sweep(), extra_sections=[_any("text")]),
        LayoutError,
        "`extra_sections[0]` must be a Section or a pair of strings, was str; give (heading, html)",
    ),
    (
        "report-path-folder",
        lambda: write_report(FOLDER, sweep=fakes.sweep({"stop_loss": [0.01]})),
        FileError,
        f"`path` {str(FOLDER)!r} is a folder; name a file in it, such as report.html",
    ),
    (
        "report-path-without-folder",
        lambda: write_text(FOLDER / "barproof-none" / "a.html", "text"),
        FileError,
        f"`path` {os.path.join(FOLDER, 'barproof-none', 'a.html')!r} lies in a folder that does not exist; create "
        f"{os.path.join(FOLDER, 'barproof-none')!r} first",
    ),
    (
        "report-disk-full",
        _full_disk,
        FileError,
        f"`path` {os.path.join(FOLDER, 'barproof-full.html')!r} could not be written: No space left on device; choose a "
        "place with room and write permission",
    ),
    (
        "heatmap-sweep-type",
        lambda: heatmap_figure(_any([1, 2])),
        LayoutError,
        "`sweep` must be a Sweep or a polars.DataFrame, was list; pass what `sweep` returned, or its `.frame`",
    ),
    (
        "heatmap-pool",
        lambda: heatmap_figure(FRAME, "a", "b", pool="luckiest"),
        ParameterError,
        "`pool` must be one of median, best, mean, max, min, was 'luckiest'",
    ),
    (
        "heatmap-metric",
        lambda: heatmap_figure(FRAME, "a", "b", "calmar"),
        ParameterError,
        "`metric` 'calmar' is no column of the sweep; choose one of a, b, sharpe",
    ),
    (
        "heatmap-no-axis",
        lambda: heatmap_figure(FRAME),
        ParameterError,
        "`x` is not given and the sweep has no axis to choose; name a column of the frame",
    ),
    (
        "heatmap-axis",
        lambda: heatmap_figure(FRAME, "a", "stop"),
        ParameterError,
        "axis 'stop' is no column of the sweep; choose one of a, b, sharpe",
    ),
    (
        "heatmap-same-axis",
        lambda: heatmap_figure(FRAME, "a", "a"),
        ParameterError,
        "`x` and `y` are both a; name two different axes",
    ),
]
