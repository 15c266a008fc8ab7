"""`evaluate`: a bundle on any dates, with intervals and baselines."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from barproof._prepare import check_seed
from barproof._scores import (
    Score,
    block_counts,
    class_scores,
    effective_rows,
    resampled_interval,
    return_scores,
    wilson,
)
from barproof._shown import shown
from barproof._windows import as_window
from barproof.bundle import Bundle, FittedPart, own_table
from barproof.errors import BarproofError, BundleError, LayoutError, ParameterError
from barproof.inference import FeatureTable, take_columns
from barproof.labels import Labels, remake
from barproof.labels.again import follows_primary
from barproof.models.protocol import Floats, Ints

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["Evaluation", "evaluate"]

_DRAWS = 400
_BINS = 10
_SHARES = ("accuracy", "direction")

_FRAME = {
    "part": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "baseline": pl.Float64,
    "n": pl.Int64,
    "n_eff": pl.Float64,
    "reason": pl.String,
}
_CALIBRATION = {
    "part": pl.String,
    "class": pl.Int64,
    "bin": pl.Int64,
    "mean_p": pl.Float64,
    "share": pl.Float64,
    "n": pl.Int64,
}


@shown(lambda self: self.frame)
class Evaluation:
    """How a bundle did on some dates.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a part and metric: `part`, `metric`, `value`, `low`, `high` (interval), `baseline` (what the best
        constant forecast of these rows gets, with hindsight; 0.5 for areas), `n` (rows), `n_eff` (rows that labels
        without overlap would come to), `reason` (why something is undefined, else null).
    calibration : polars.DataFrame
        One row a part, class and tenth of the probabilities that is not empty: `part`, `class`, `bin` (0 to 9),
        `mean_p`, `share` (of rows that were of the class), `n`. Empty for regression.
    rows : tuple of int
        Bar range that was asked for, end left out.
    in_sample : int
        Bars of it that lie within the time of train rows, or of tune rows that calibrated: what is said of them is no
        evidence.
    level : float
        Of the intervals.
    notes : tuple of str
        What a reader of the numbers should know.
    provenance : dict of str to str
        Digests of bundle and candles.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        calibration: pl.DataFrame,
        rows: tuple[int, int],
        in_sample: int,
        level: float,
        notes: tuple[str, ...],
        provenance: dict[str, str],
    ) -> None:
        self.frame = frame
        self.calibration = calibration
        self.rows = rows
        self.in_sample = in_sample
        self.level = level
        self.notes = notes
        self.provenance = provenance

    def __getitem__(self, metric: str) -> float:
        """Value of a metric of the first part that has it."""
        found = self.frame.filter(pl.col("metric") == metric)
        if not found.height:
            known = ", ".join(dict.fromkeys(self.frame["metric"]))
            raise ParameterError(f"unknown metric `{metric}` of the evaluation; known: {known}")
        return float(found["value"][0])

    @property
    def table(self) -> str:
        """The frame as text, with the notes below."""
        several = self.frame["part"].n_unique() > 1
        head = ["metric", "value", f"{self.level:.0%} interval", "baseline", "n", "n_eff"]
        lines = [head]
        for row in self.frame.iter_rows(named=True):
            name = f"{row['part']} {row['metric']}" if several else row["metric"]
            undefined = np.isnan(row["value"])
            lines.append(
                [
                    name,
                    "undefined" if undefined else f"{row['value']:.4g}",
                    "" if np.isnan(row["low"]) else f"{row['low']:.4g} to {row['high']:.4g}",
                    "" if np.isnan(row["baseline"]) else f"{row['baseline']:.4g}",
                    f"{row['n']:,}",
                    f"{row['n_eff']:,.0f}",
                ]
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*text, *(f"note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.table

    def __repr__(self) -> str:
        told = dict(zip(self.frame["metric"], self.frame["value"], strict=True))
        first = ", ".join(f"{name} {value:.4g}" for name, value in list(told.items())[:4])
        return f"Evaluation({self.rows[1] - self.rows[0]:,} bars, {first}, {self.frame.height} metrics)"


def evaluate(
    bundle: Bundle,
    candles: Candles,
    *,
    start: Any = None,
    end: Any = None,
    X: Any = None,  # noqa: N803
    features: Any = None,
    labels: Labels | Mapping[str, Labels] | None = None,
    primary: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Judge a bundle on any dates.

    Parameters
    ----------
    bundle : Bundle
        From ``run.bundles``.
    candles : Candles
        Bars to judge on, which need not be those of training; give bars before `start` for the features' warm-up.
    start, end : int, str, date or datetime, optional
        Bar numbers or times of the rows that count, the end left out. Default: all. Labels may end later.
    X : frame or mapping, optional
        Table of features with `open_time`. Default: computed from the candles.
    features : FeatureSet, optional
        What computes them. Default: a ``FeatureSet`` of the bundle's names.
    labels : Labels, or mapping of str to Labels, optional
        Of these candles, by part where there are several. Default: made by the bundle's label rule, as
        :func:`barproof.labels.remake` makes them.
    primary : array_like of shape (n_bars,), optional
        Sides of the primary signal at these candles, where the bundle learned meta-labels or exit labels: it keeps the
        rule, and of the signal the digest alone. Rules that look at other arrays need `labels`.
    level : float, default 0.95
        Of the intervals, between 0 and 1.
    seed : int, default 0
        Of the resampling, from 0 to 2**63 - 1.

    Returns
    -------
    Evaluation
        Metrics with interval, baseline and n.

    Raises
    ------
    BundleError
        If features or labels cannot be made, or no row has both a label and a prediction.
    ParameterError, LayoutError, WindowError
        If an argument is out of bounds or of the wrong type.

    Notes
    -----
    Shares (accuracy, right directions) have Wilson's interval with `n_eff` for n: the sum of the labels' uniqueness.
    Other intervals are percentiles of 400 draws of a circular block bootstrap over the rows in time order, with blocks
    of the longest label, or the cube root of n if that is longer. Brier scores of two classes are those of class 1.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=3_000, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(1_000, 500, tune=500), ledger=False)
    >>> found = bp.evaluate(run.bundles[0], candles, start=1_500, X=X)
    >>> found["auc"] > 0.5, found.in_sample
    (True, 0)
    """
    if not isinstance(bundle, Bundle):
        raise LayoutError(
            f"`bundle` must be a Bundle, was {type(bundle).__name__}: see run.bundles"
        )
    if not 0.0 < level < 1.0:
        raise ParameterError(f"`level` must be between 0 and 1, was {level!r}")
    if X is not None and features is not None:
        raise ParameterError("`X` and `features` are both given: one of them tells the features")
    seed = check_seed(seed)
    window = as_window(candles, (start, end))
    table = bundle_table(bundle, candles, X, features)
    values = table.onto(candles)
    rows = np.arange(*window)
    frames, calibrations, notes = [], [], []
    follows = {name for name, part in bundle.parts.items() if follows_primary(part.label_rule)}
    for name, part in bundle.parts.items():
        # Where no part follows it each refuses it.
        decided = primary if name in follows or not follows else None
        made = bundle_labels(bundle, candles, labels, name, decided)
        columns = np.array([table.names.index(f) for f in part.features], dtype=np.int64)
        found = part.predict(take_columns(values, columns), rows=rows)
        known = ~np.isnan(made.values[rows]) & ~np.isnan(found[:, 0])
        if not known.any():
            raise BundleError(
                f"no bar from {window[0]} to {window[1]} has both a label and a prediction of part `{name}`: "
                f"{int((~np.isnan(made.values[rows])).sum())} have a label, "
                f"{int((~np.isnan(found[:, 0])).sum())} a prediction; give more bars for the features' warm-up"
            )
        at = rows[known]
        frames.append(_scored(name, part, found[known], made, at, level, seed))
        calibrations += _curves(name, part, found[known], made.values[at])
        if part.calibration["method"] is None and part.kind != "regression":
            notes.append(f"not calibrated: {part.calibration['reason']}")
    frame = pl.concat(frames)
    notes += list(dict.fromkeys(frame["reason"].drop_nulls()))
    inside = _in_sample(bundle, candles, rows)
    if inside:
        notes.insert(0, f"{inside:,} of {len(rows):,} bars lie where the bundle was trained")
    return Evaluation(
        frame,
        pl.DataFrame(calibrations, schema=_CALIBRATION, orient="row"),
        window,
        inside,
        level,
        tuple(notes),
        {"bundle": bundle.digest, "candles": candles.digest, "features": bundle.features_digest},
    )


def bundle_table(bundle: Bundle, candles: Candles, X: Any, features: Any) -> FeatureTable:  # noqa: N803
    """Features that a bundle asks for: as given, or computed from the candles."""
    if X is None:
        try:
            if features is None:
                module = importlib.import_module("barproof.features")
                features = module.FeatureSet(list(bundle.features))
            X = features.compute(candles)  # noqa: N806
        except BarproofError as error:
            raise BundleError(
                f"features of the bundle cannot be computed from the candles: {error}; give X= or features="
            ) from error
    return own_table(X, bundle.features)


def bundle_labels(
    bundle: Bundle, candles: Candles, given: Any, name: str, primary: ArrayLike | None = None
) -> Labels:
    """Labels of a part of a bundle: as given, or made by the rule that it keeps."""
    fitted = bundle.part(name)
    if isinstance(given, Mapping):
        given = given.get(name)
    if given is None:
        rule = fitted.label_rule
        try:
            given = remake(rule, candles, primary=primary)
        except BarproofError as error:
            raise BundleError(
                f"labels of part `{name}` cannot be made again by the rule of the bundle: {error}; or make them of "
                "these candles and give labels="
            ) from error
    if not isinstance(given, Labels):
        raise LayoutError(
            f"`labels` of part `{name}` must be Labels, was {type(given).__name__}: see barproof.labels"
        )
    if given.candles.digest != candles.digest:
        raise BundleError(
            f"`labels` of part `{name}` are of other candles: make them from those that are given"
        )
    if given.kind != fitted.kind:
        raise BundleError(
            f"`labels` of part `{name}` are {given.kind}, but it was trained on {fitted.kind} ones"
        )
    return given


def _in_sample(bundle: Bundle, candles: Candles, rows: Ints) -> int:
    """Bars within the time of the rows that fitted or calibrated something."""
    told = bundle.manifest["rows"]
    at = candles.open_time[rows]
    inside = np.zeros(len(rows), dtype=bool)
    for purpose in ("train", "tune_calibrate"):
        if told[purpose]["n"]:
            inside |= (at >= told[purpose]["from"]) & (at <= told[purpose]["to"])
    return int(inside.sum())


def _scored(
    name: str,
    part: FittedPart,
    found: Floats,
    labels: Labels,
    at: Ints,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Scores of one part on its rows, with intervals from a block bootstrap."""
    y, n = labels.values[at], len(at)
    start, end = labels.start[at], labels.end[at]
    n_eff = effective_rows(start, end)
    reason: str | None = None
    if part.kind == "regression":
        scores = return_scores(found[:, 0], y)
    else:
        columns = np.searchsorted(part.classes, y)
        met = np.unique(y)
        if len(met) == 1:
            # A constant forecast would be right everywhere: a hundred percent would say nothing.
            reason = f"all {n:,} rows are of class {int(met[0])}: nothing can be told apart"
        scores = class_scores(found, columns, part.classes)
    block = max(int(np.max(end - start)) + 1, int(np.ceil(n ** (1 / 3))))
    drawn = [score for score in scores if score.name not in _SHARES]
    intervals: dict[str, tuple[float, float]] = {}
    if reason is None and n >= 2 * block:
        draws: dict[str, list[Floats]] = {score.name: [] for score in drawn}
        for counts in block_counts(n, block, _DRAWS, seed):
            for score in drawn:
                draws[score.name].append(score.weighted(counts))
        intervals = {
            score.name: resampled_interval(np.concatenate(draws[score.name]), level)
            for score in drawn
        }
    short = f"{n:,} rows are less than two blocks of {block}: no interval"
    records = [
        _record(name, score, n, n_eff, level, reason, intervals.get(score.name), short)
        for score in scores
    ]
    return pl.DataFrame(records, schema=_FRAME, orient="row")


def _record(
    part: str,
    score: Score,
    n: int,
    n_eff: float,
    level: float,
    reason: str | None,
    interval: tuple[float, float] | None,
    short: str,
) -> tuple[Any, ...]:
    """One row of the frame: a score, its interval, or why it has none."""
    nan = float("nan")
    if reason is not None:
        return part, score.name, nan, nan, nan, nan, n, n_eff, reason
    value = score.value(n)
    if score.name in _SHARES:
        interval = wilson(value, n_eff, level)
    if np.isnan(value):
        missing = (
            "one side of it is missing"
            if score.name.startswith("auc")
            else "predictions or labels do not vary"
        )
        return part, score.name, nan, nan, nan, score.baseline, n, n_eff, f"{score.name}: {missing}"
    low, high = interval or (nan, nan)
    why = short if interval is None else None
    return part, score.name, value, low, high, score.baseline, n, n_eff, why


def _curves(name: str, part: FittedPart, found: Floats, y: Floats) -> list[tuple[Any, ...]]:
    """Mean probability against share of hits, by tenths of the probability."""
    out: list[tuple[Any, ...]] = []
    shown = part.classes[1:] if part.kind == "binary" else part.classes
    for c in shown:
        p = found[:, part.classes.index(c)]
        bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
        for b in np.unique(bins):
            here = bins == b
            out.append(
                (
                    name,
                    c,
                    int(b),
                    float(p[here].mean()),
                    float((y[here] == c).mean()),
                    int(here.sum()),
                )
            )
    return out
