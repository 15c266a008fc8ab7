"""Which reading of a checkpoint gives the metric that was stored with it (audit CKP-02).

A number such as "validation loss 0.009572" can only be recreated if everything that was silent is known: which outputs
were compared with which channels, how far ahead, scaled or not, in which mode. All readings are tried on the same rows
and ranked by how far they are from the number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._folds import rows_digest
from barproof._scores import class_scores, return_scores
from barproof.errors import BundleError, ParameterError, ShapeError

if TYPE_CHECKING:
    from barproof.bundle import Bundle
    from barproof.candles import Candles
    from barproof.labels import Labels
    from barproof.models.protocol import Floats

__all__ = ["Recreation", "recreate", "recreate_bundle"]

EXACT = 1e-4
"""Relative error that counts as equal (CKP-01)."""
ROUGH = 50
"""Times as much counts in half precision, and in training mode, where dropout draws."""

Precision = Literal["f32", "f16"]
LOSSES: dict[str, Callable[[Any], Any]] = {
    "mse": lambda error: error**2,
    "mae": np.abs,
    "huber": lambda error: np.where(np.abs(error) < 1, 0.5 * error**2, np.abs(error) - 0.5),
}


@dataclass(frozen=True, eq=False)
class Recreation:
    """Readings of a checkpoint, ranked by how near they come to the stored metric.

    Attributes
    ----------
    stored : float
        The number to be recreated.
    frame : polars.DataFrame
        A row a reading: a column for each thing that was tried, `value`, `error` (relative) and `within`; the nearest
        first.
    outcome : {"pass", "fail", "inconclusive"}
        Exactly one reading gives the number; none does, so architecture or data differ; several do.
    chance : float
        Readings that would agree by accident if values were spread evenly around the number: readings times twice the
        tolerance. Far below 1, or a match says little.
    """

    stored: float
    frame: pl.DataFrame
    outcome: Literal["pass", "fail", "inconclusive"]
    chance: float

    @property
    def scenario(self) -> dict[str, Any] | None:
        """The reading that gives the number; None unless there is exactly one."""
        return self.frame.row(0, named=True) if self.outcome == "pass" else None

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        best = self.frame.row(0, named=True)
        axes = ", ".join(
            f"{name} {value}"
            for name, value in best.items()
            if name not in ("value", "error", "within")
        )
        said = {
            "pass": f"one of {self.frame.height:,} readings gives {self.stored:g}: {axes}",
            "fail": f"none of {self.frame.height:,} readings gives {self.stored:g}: architecture, weights or data are "
            f"not those of then; the nearest, {best['value']:.6g}, is {axes}",
            "inconclusive": f"{self.frame['within'].sum()} of {self.frame.height:,} readings give {self.stored:g}: "
            "more rows tell them apart",
        }
        return said[self.outcome]

    def __repr__(self) -> str:
        return f"Recreation({self.outcome}: {self.text})"


def recreate(
    model: Any,
    series: NDArray[Any],
    rows: NDArray[Any],
    *,
    stored: float,
    window: int,
    steps: int,
    loss: str = "mse",
    groups: Mapping[str, Sequence[int]] | None = None,
    names: Sequence[str] | None = None,
    scaler: tuple[Any, Any] | None = None,
    shifts: Sequence[int] = (-2, -1, 0, 1, 2),
    precisions: Sequence[Precision] = ("f32", "f16"),
    tolerance: float = EXACT,
    batch: int = 256,
) -> Recreation:
    """Search for the reading of a sequence model that gives its stored loss.

    Tried are all combinations of: which outputs are compared (all of them with all channels; a named group out of all;
    all of them as one named group), how many bars the target is shifted, inputs scaled or raw, targets scaled, outputs
    scaled back, or raw, evaluation or training mode, mean over everything, sum a row, the first step or the last, order
    of the channels as given or alphabetical, and precision.

    Parameters
    ----------
    model : torch.nn.Module or callable
        From windows of shape (n, window, n_channels) to (n, steps, n_outputs). A callable takes the array and a flag
        that says whether it shall behave as in training.
    series : ndarray of shape (n_bars, n_channels)
        Raw values of all channels.
    rows : ndarray of shape (n_rows,), int
        Last bar of each window; the target is the `steps` bars behind it.
    stored : float
        Loss to be recreated, above 0.
    window, steps : int
        Bars that go in and come out.
    loss : {"mse", "mae", "huber"}
        Which.
    groups : mapping of str to sequence of int, optional
        Channels by name, such as ``{"WLD": range(120, 140)}``.
    names : sequence of str, optional
        Of the channels; with them alphabetical order is tried.
    scaler : pair of array_like of shape (n_channels,), optional
        Mean and scale; without it everything is raw.
    shifts : sequence of int
        Bars that targets are moved.
    precisions : sequence of {"f32", "f16"}
        ``"f16"`` rounds weights and inputs to half.
    tolerance : float, default 1e-4
        Relative error that counts as equal. A loss that was stored with all its digits allows 1e-6, with which far
        fewer readings agree by accident.
    batch : int, default 256
        Windows at once.

    Returns
    -------
    Recreation
        All readings, ranked.

    Raises
    ------
    ParameterError
        If an argument is out of bounds, or a window or target leaves the series.
    ShapeError
        If outputs are neither all channels nor a group, or the series is no matrix.

    Notes
    -----
    In half precision and in training mode, where dropout draws, 50 times the tolerance counts as equal, but not beside
    a reading that is equal without. All readings are always tried: who stops at the first match may bless an accident.

    Examples
    --------
    >>> series = np.random.default_rng(1).standard_normal((300, 4)).cumsum(axis=0)
    >>> last = lambda windows, training: np.repeat(windows[:, -1:, 2:], 3, axis=1)
    >>> rows = np.arange(20, 280)
    >>> ahead = rows[:, None] + [1, 2, 3]
    >>> then = np.mean((series[ahead][:, :, 2:] - series[rows, None, 2:]) ** 2)
    >>> found = recreate(
    ...     last, series, rows, stored=then, window=5, steps=3, groups={"B": [2, 3]}, precisions=["f32"]
    ... )
    >>> found.outcome, found.frame["outputs"][0], found.frame["reduction"][0]
    ('pass', 'all as B', 'mean')
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(
            f"`series` has shape {values.shape}: give one row a bar, one column a channel"
        )
    at = np.asarray(rows, dtype=np.int64)
    if loss not in LOSSES:
        raise ParameterError(f"`loss` must be {', '.join(LOSSES)}, was {loss!r}")
    if not (np.isfinite(stored) and stored > 0):
        raise ParameterError(f"`stored` must be above 0 and finite, was {stored!r}")
    low, high = min([*shifts, 0]), max([*shifts, 0])
    if (
        not len(at)
        or at.min() - window + 1 < 0
        or at.min() + low < 0
        or at.max() + steps + high >= len(values)
    ):
        raise ParameterError(
            f"`rows` must leave {window} bars before and {steps + high} after them in the {len(values):,} of the "
            f"series: were {at.min() if len(at) else 'none'} to {at.max() if len(at) else 'none'}"
        )
    readings = _Readings(
        model, values, at, window, steps, loss, groups or {}, scaler, shifts, batch
    )
    orders: dict[str, NDArray[np.int64]] = {"as given": np.arange(values.shape[1])}
    if names is not None:
        alphabetical = np.argsort(np.asarray(names), kind="stable")
        if not np.array_equal(alphabetical, orders["as given"]):
            orders["alphabetical"] = alphabetical
    records = list(readings.all(orders, precisions))
    return _ranked(records, stored, tolerance)


@dataclass
class _Readings:
    """A model and its data, and the ways in which they can be read."""

    model: Any
    values: Any
    at: Any
    window: int
    steps: int
    loss: str
    groups: Mapping[str, Sequence[int]]
    scaler: tuple[Any, Any] | None
    shifts: Sequence[int]
    batch: int

    def all(
        self, orders: Mapping[str, NDArray[np.int64]], precisions: Sequence[Precision]
    ) -> Iterator[dict[str, Any]]:
        """Every reading that can be told apart, with its metrics."""
        mean, scale = (0.0, 1.0) if self.scaler is None else map(np.asarray, self.scaler)
        scaled = (self.values - mean) / scale
        inputs = (
            {"raw": self.values} if self.scaler is None else {"scaled": scaled, "raw": self.values}
        )
        modes = {"evaluation": False, "training": True}
        for (order, columns), (given, table), (mode, training), precision in itertools.product(
            orders.items(), inputs.items(), modes.items(), precisions
        ):
            found = self.outputs(table[:, columns], training, precision)
            for reading in self.compared(found, columns, mean, scale, scaled):
                yield {
                    "order": order,
                    "inputs": given,
                    "mode": mode,
                    "precision": precision,
                    **reading,
                }

    def outputs(self, table: Any, training: bool, precision: Precision) -> Any:
        """Predictions for every window; windows are views of the table, one batch of them at a time."""
        views = np.lib.stride_tricks.sliding_window_view(
            table.astype(np.float32), self.window, axis=0
        )
        predict = _predictor(self.model, precision)
        made = []
        for first in range(0, len(self.at), self.batch):
            rows = self.at[first : first + self.batch] - self.window + 1
            windows = np.ascontiguousarray(views[rows].transpose(0, 2, 1))
            if precision == "f16":
                with np.errstate(over="ignore"):
                    windows = windows.astype(np.float16).astype(np.float32)
            made.append(np.asarray(predict(windows, training), dtype=np.float64))
        found = np.concatenate(made)
        if found.ndim == 2:
            found = found[:, :, None]
        if found.shape[:2] != (len(self.at), self.steps):
            raise ShapeError(
                f"the model gives outputs of shape {found.shape[1:]} a window, not ({self.steps}, n_outputs): tell "
                "`steps`, or wrap it"
            )
        return found

    def compared(
        self, found: Any, columns: Any, mean: Any, scale: Any, scaled: Any
    ) -> Iterator[dict[str, Any]]:
        """Metrics of one set of outputs against each thing that they may predict."""
        channels, width = self.values.shape[1], found.shape[2]
        pairs: dict[str, tuple[Any, Any]] = {}
        if width == channels:
            pairs["all"] = slice(None), columns
            for name, group in self.groups.items():
                own = np.isin(columns, np.asarray(group))
                pairs[f"{name} out of all"] = np.flatnonzero(own), columns[own]
        for name, group in self.groups.items():
            if len(group) == width and width != channels:
                pairs[f"all as {name}"] = slice(None), np.asarray(group)
        if not pairs:
            sizes = ", ".join(f"{name} {len(group)}" for name, group in self.groups.items())
            raise ShapeError(
                f"the model has {width} outputs, but there are {channels} channels, and groups of {sizes or 'none'}: "
                "name the group that it predicts in `groups`"
            )
        ahead = self.at[:, None] + np.arange(1, self.steps + 1)
        mean, scale = np.broadcast_to(mean, channels), np.broadcast_to(scale, channels)
        for (name, (own, target)), shift in itertools.product(pairs.items(), self.shifts):
            outputs = found[:, :, own]
            there = ahead + shift
            sides: dict[str, tuple[Any, Any]] = {"raw": (outputs, self.values[there][:, :, target])}
            if self.scaler is not None:
                sides["scaled"] = outputs, scaled[there][:, :, target]
                sides["scaled back"] = outputs * scale[target] + mean[target], sides["raw"][1]
            for targets, (p, y) in sides.items():
                with np.errstate(over="ignore", invalid="ignore"):
                    error = LOSSES[self.loss](p - y)
                ways = {"mean": error.mean()}
                if error[0].size > 1:
                    ways["sum a row"] = error.sum(axis=(1, 2)).mean()
                if self.steps > 1:
                    ways |= {"first step": error[:, 0].mean(), "last step": error[:, -1].mean()}
                for reduction, value in ways.items():
                    yield {
                        "outputs": name,
                        "shift": int(shift),
                        "targets": targets,
                        "reduction": reduction,
                        "value": float(value),
                    }


def _predictor(model: Any, precision: Precision) -> Callable[[Any, bool], Any]:
    """Any model as a function of windows and mode."""
    if not hasattr(model, "state_dict"):
        call: Callable[[Any, bool], Any] = model
        return call
    import copy

    import torch

    own = copy.deepcopy(model).float().cpu()
    if precision == "f16":
        with torch.no_grad():
            for tensor in (*own.parameters(), *own.buffers()):
                if tensor.is_floating_point():
                    tensor.copy_(tensor.half().float())

    def predict(windows: Any, training: bool) -> Any:
        # Training mode moves running statistics and draws; a copy a call keeps readings apart.
        used = copy.deepcopy(own) if training else own
        used.train(training)
        torch.manual_seed(0)
        with torch.no_grad():
            return used(torch.from_numpy(windows)).numpy()

    return predict


def _ranked(records: list[dict[str, Any]], stored: float, tolerance: float) -> Recreation:
    """Sort readings by their distance from the stored number, and say whether one alone gives it."""
    frame = pl.DataFrame(records)
    rough = pl.lit(False)
    if "mode" in frame.columns:
        rough = (pl.col("precision") == "f16") | (pl.col("mode") == "training")
    error = ((pl.col("value") - stored) / stored).abs().fill_nan(float("inf"))
    limit = pl.when(rough).then(ROUGH * tolerance).otherwise(tolerance)
    frame = frame.with_columns(error.alias("error"), limit.alias("limit"))
    chance = 2.0 * float(frame["limit"].sum())
    frame = frame.drop("limit").with_columns(
        (pl.col("error") <= limit).alias("within"), rough.alias("rough")
    )
    hits = frame.filter("within")
    plain = hits.filter(~pl.col("rough"))
    # Beside an exact one a rough one proves nothing.
    hits = plain if plain.height else hits
    # Precision and mode do not tell readings apart: both change a number by less than what counts as equal, or nothing.
    axes = [name for name in records[0] if name not in ("value", "precision", "mode")]
    different = hits.select(axes).unique().height
    frame = frame.sort(
        "within", "rough", "error", descending=[True, False, False], maintain_order=True
    )
    outcome: Literal["pass", "fail", "inconclusive"]
    outcome = "fail" if not different else "pass" if different == 1 else "inconclusive"
    return Recreation(stored, frame.drop("rough"), outcome, chance)


def recreate_bundle(
    bundle: Bundle,
    candles: Candles,
    *,
    stored: float,
    metric: str,
    part: str | None = None,
    X: Any = None,  # noqa: N803
    labels: Labels | None = None,
    shifts: Sequence[int] = (-2, -1, 0, 1, 2),
    tolerance: float = EXACT,
) -> Recreation:
    """Search for the reading of a bundle that gives a stored metric.

    Tried are all combinations of: rows (each purpose of its fold, and all), labels shifted by some bars, calibrated or
    not, features in the order of training or alphabetical, and features in double, single or half precision.

    Parameters
    ----------
    bundle : Bundle
        Whose predictions.
    candles : Candles
        On which the metric was measured.
    stored : float
        Value to be recreated, not 0.
    metric : str
        As :func:`barproof.evaluate` names it: ``"log_loss"``, ``"accuracy"``, ``"auc"``, ``"rmse"``, ...
    part : str, optional
        Needed if the bundle has several.
    X : frame or mapping, optional
        Table of features with `open_time`. Default: computed from the candles.
    labels : Labels, optional
        Default: made by the bundle's rule.
    shifts : sequence of int
        Bars that labels are moved against the predictions.
    tolerance : float, default 1e-4
        Relative error that counts as equal.

    Returns
    -------
    Recreation
        All readings, ranked.

    Raises
    ------
    BundleError
        If features or labels cannot be made, or no reading has the metric.
    ParameterError
        If `stored` is 0 or not finite.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=900, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(400, 200, tune=200), ledger=False)
    >>> told = run.bundles[0].manifest["parts"]["model"]["test"]["log_loss"]["value"]
    >>> found = bp.checkpoints.recreate_bundle(run.bundles[0], candles, stored=told, metric="log_loss", X=X)
    >>> found.outcome, found.scenario["rows"], found.scenario["shift"]
    ('pass', 'test', 0)
    """
    from barproof._evaluate import bundle_labels, bundle_table

    if not np.isfinite(stored) or stored == 0:
        raise ParameterError(f"`stored` must be finite and not 0, was {stored!r}")
    fitted = bundle.part(part)
    name = next(key for key, value in bundle.parts.items() if value is fitted)
    table = bundle_table(bundle, candles, X, None)
    made = bundle_labels(bundle, candles, labels, name)
    values = table.onto(candles)[:, [table.names.index(f) for f in fitted.features]]
    purposes = _purposes(bundle, candles)
    sorted_columns = np.argsort(np.asarray(fitted.features), kind="stable")
    orders = {"of training": np.arange(len(fitted.features))}
    if not np.array_equal(sorted_columns, orders["of training"]):
        orders["alphabetical"] = sorted_columns
    records = []
    kinds = {"f64": np.float64, "f32": np.float32, "f16": np.float16}
    for (order, columns), (precision, kind) in itertools.product(orders.items(), kinds.items()):
        with np.errstate(over="ignore"):
            given = values[:, columns].astype(kind).astype(np.float64)
        given[np.isinf(given)] = np.nan
        for calibrated in (True, False) if fitted.calibration["method"] else (False,):
            found = fitted.predict(np.ascontiguousarray(given), calibrated=calibrated)
            for (purpose, rows), shift in itertools.product(purposes.items(), shifts):
                value = _scored(metric, found, made, rows, int(shift), fitted.classes)
                if value is not None:
                    records.append(
                        {
                            "order": order,
                            "precision": precision,
                            "calibrated": calibrated,
                            "rows": purpose,
                            "shift": int(shift),
                            "value": value,
                        }
                    )
    if not records:
        raise BundleError(
            f"no reading of the bundle has a metric `{metric}`: {fitted.kind} labels have "
            f"{'correlation, rmse, ...' if fitted.kind == 'regression' else 'accuracy, log_loss, brier, auc, ...'}, "
            "and rows with both label and prediction are needed"
        )
    return _ranked(records, stored, tolerance)


def _purposes(bundle: Bundle, candles: Candles) -> dict[str, Any]:
    """Rows by purpose; those that were purged inside a part cannot be told from times, and are said to differ."""
    told = bundle.manifest["rows"]
    found: dict[str, Any] = {}
    for purpose in ("train", "tune_calibrate", "tune_choose", "test"):
        if not told[purpose]["n"]:
            continue
        inside = (candles.open_time >= told[purpose]["from"]) & (
            candles.open_time <= told[purpose]["to"]
        )
        rows = np.flatnonzero(inside)
        same = candles.digest == bundle.manifest["data"]["candles"]
        exact = not same or rows_digest(rows) == told[purpose]["digest"]
        found[purpose if exact else f"{purpose} with those purged"] = rows
    found["all"] = np.arange(len(candles))
    return found


def _scored(
    metric: str, found: Floats, labels: Labels, rows: Any, shift: int, classes: tuple[int, ...]
) -> float | None:
    """Metric of predictions against labels some rows away; None where too few rows are left."""
    there = rows + shift
    rows, there = (side[(there >= 0) & (there < len(found))] for side in (rows, there))
    y, p = labels.values[there], found[rows]
    known = ~np.isnan(y) & ~np.isnan(p[:, 0])
    y, p = y[known], p[known]
    if len(y) < 2 or (classes and len(np.unique(y)) < 2):
        return None
    scores = (
        class_scores(p, np.searchsorted(classes, y), classes)
        if classes
        else return_scores(p[:, 0], y)
    )
    value = next((score.value(len(y)) for score in scores if score.name == metric), float("nan"))
    return float(value) if np.isfinite(value) else None
