"""`Run`: what `train` made, and its predictions on rows that no model has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from barproof._calibration import apply_calibration
from barproof._folds import Fold
from barproof._frames import times
from barproof._shown import fold_rows, shown
from barproof.bundle import Bundle
from barproof.errors import LayoutError, ParameterError, TrainingError
from barproof.labels.sides import direction, fed
from barproof.models.protocol import Floats, Ints, Kind
from barproof.signals import Signals

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from barproof.candles import Candles
    from barproof.labels import Labels
    from barproof.models import Model, Selector

SIDES = ("long", "short", "exit_long", "exit_short")
ONLY = "model"
"""Name of the part of a run that names none."""

Purpose = Literal["test", "tune"]


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """What one of several models is trained on.

    Parameters
    ----------
    model : Model
        A fresh copy is fitted in every fold.
    X : frame or mapping
        `open_time` and a float column a feature.
    labels : Labels
        What it is asked to foresee. Class 1 of binary labels is the event that the part is named after.
    select : Selector, optional
        Chooses features by the train rows of each fold.
    """

    model: Model
    X: Any
    labels: Labels
    select: Selector | None = None

    def __repr__(self) -> str:
        chosen = "" if self.select is None else f", {self.select!r}"
        return f"Part({self.model!r}, {self.labels!r}{chosen})"


@dataclass(frozen=True, eq=False)
class FoldOutput:
    """Uncalibrated predictions of one part in one fold, for its test rows and the tune rows that choose."""

    test: Floats
    tune: Floats


@shown(fold_rows)
class Run:
    """Models of every fold, and what they foresee out of sample.

    Attributes
    ----------
    candles : Candles
        Of which everything speaks.
    folds : list of Fold
        As they were used; ``fold=`` and the column `fold` count positions in this list.
    labels : Labels
        Of the first part; every part has its own.
    parts : dict of str to Part
        By name; ``"model"`` where none was named.
    names : tuple of str
        Columns of `X`.
    bundles : list of Bundle
        One a fold.
    seed : int
        Of whatever was random.
    provenance : dict of str to str
        Digests, versions, and where the run was recorded.
    seconds : float
        Wall time.
    complete : bool
        False if it was interrupted; it then holds the folds that were finished.
    """

    def __init__(
        self,
        candles: Candles,
        folds: list[Fold],
        parts: dict[str, Part],
        table: tuple[tuple[str, ...], Floats],
        bundles: list[Bundle],
        outputs: list[dict[str, FoldOutput]],
        *,
        seed: int,
        seconds: float,
        complete: bool,
        provenance: dict[str, str],
    ) -> None:
        self.candles = candles
        self.folds = folds
        self.parts = parts
        self.labels = next(iter(parts.values())).labels
        self.names, self._values = table
        self.bundles = bundles
        self._outputs = outputs
        self.seed = seed
        self.seconds = seconds
        self.complete = complete
        self.provenance = provenance

    @property
    def X(self) -> pl.DataFrame:  # noqa: N802
        """Features as they were used: `open_time` and a column a feature, one row a bar, NaN where undefined."""
        columns = [pl.Series(name, self._values[:, j]) for j, name in enumerate(self.names)]
        return pl.DataFrame([times(self.candles.open_time).alias("open_time"), *columns])

    def _numbers(self, fold: int | None) -> list[int]:
        if fold is None:
            return list(range(len(self.folds)))
        if isinstance(fold, bool) or not isinstance(fold, (int, np.integer)):
            raise LayoutError(f"`fold` must be the number of a fold or None, was {fold!r}")
        if not 0 <= fold < len(self.folds):
            raise ParameterError(
                f"fold {fold} does not exist: the run has {len(self.folds)}, counted from 0"
            )
        return [int(fold)]

    def _rows(self, number: int, part: Purpose) -> Ints:
        if part not in ("test", "tune"):
            raise ParameterError(
                f'`part` must be "test" or "tune" (its second half, which chooses rules), was {part!r}'
            )
        fold = self.folds[number]
        return fold.test if part == "test" else fold.tune_choose

    def _output(self, number: int, name: str, part: Purpose, calibrated: bool) -> Floats:
        raw: Floats = getattr(self._outputs[number][name], part)
        if not calibrated:
            return raw
        return apply_calibration(self.bundles[number].parts[name].calibration, raw)

    def _joined(self, name: str, part: Purpose, numbers: list[int]) -> Floats:
        """Calibrated predictions at their bars."""
        width = max(len(self.bundles[0].parts[name].classes), 1)
        out = np.full((len(self.candles), width), np.nan)
        served = np.full(len(self.candles), -1)
        for number in numbers:
            rows = self._rows(number, part)
            shared = rows[served[rows] >= 0]
            if len(shared):
                raise TrainingError(
                    f"bar {shared[0]} is a {part} row of folds {served[shared[0]]} and {number}: name one with fold=, "
                    f"or let the folds step by the length of their {part} rows"
                )
            served[rows] = number
            out[rows] = self._output(number, name, part, True)
        return out

    def signals(
        self,
        part: Purpose = "test",
        *,
        exit: Literal["opposite"] | None = None,  # noqa: A002
        fold: int | None = None,
    ) -> Signals:
        """Out-of-sample predictions as signals, one value a bar of the candles.

        Parameters
        ----------
        part : {"test", "tune"}, default "test"
            Rows that judge, or the second half of the tune rows, which chooses rules and is out of sample to model and
            calibration.
        exit : {"opposite"}, optional
            The other side's entry closes a position: what feeds `short` feeds `exit_long` too, and `long` feeds
            `exit_short`.
        fold : int, optional
            Rows of one fold only. Default: of all.

        Returns
        -------
        Signals
            NaN at all other bars. Probabilities: of the up class for `long` and the down class for `short` (ternary),
            p and 1 - p (binary). Scores, for regression: the predicted return, and its negative for `short`. Named
            parts feed the array of their name: binary ones by class 1; ternary and regression ones by the side they
            are for, which is up for `long` and `exit_short`, down for `short` and `exit_long`. Labels of one side's
            trades feed that side alone, by class 1 or the predicted return of the trade: a long that does not pay is
            no short that does. Meta-labels feed the side that the primary signal takes at each bar, exit labels the
            exits.

        Raises
        ------
        TrainingError
            If two folds serve the same row and none is named, or there are no such rows.
        ParameterError, LayoutError
            If an argument is none of its choices.
        """
        if exit not in (None, "opposite"):
            raise ParameterError(f'`exit` must be "opposite" or None, was {exit!r}')
        numbers = self._numbers(fold)
        if not any(len(self._rows(number, part)) for number in numbers):
            raise TrainingError(
                f"no fold has {part} rows: give the splitter `{part}`, such as WalkForward(..., {part}=...)"
            )
        arrays: dict[str, Floats] = {}
        for name, made in self.parts.items():
            found = self._joined(name, part, numbers)
            told = fed(made.labels) if name == ONLY else None
            if name != ONLY and direction(made.labels):
                told = {name: None}
            if told is not None:
                # Labels of trades: class 1 is for the side that traded, class 0 for nobody.
                for side, there in told.items():
                    column = _worth(found, made.labels.kind)
                    arrays[side] = column if there is None else np.where(there, column, np.nan)
                continue
            for side in ("long", "short") if name == ONLY else (name,):
                arrays[side] = _side(found, made.labels.kind, side, named=name != ONLY)
        if exit == "opposite":
            for leave, enter in (("exit_long", "short"), ("exit_short", "long")):
                if leave in arrays or enter not in arrays:
                    reason = (
                        f"there is a part `{leave}`" if leave in arrays else f"no part `{enter}`"
                    )
                    raise ParameterError(
                        f'exit="opposite" feeds `{leave}` from `{enter}`, but {reason}: leave `exit` out'
                    )
                arrays[leave] = arrays[enter]
        kind = "score" if self.labels.kind == "regression" else "probability"
        return Signals(**arrays, kind=kind)  # type: ignore[arg-type]

    def predictions(
        self, part: Purpose = "test", *, fold: int | None = None, calibrated: bool = True
    ) -> pl.DataFrame:
        """Out-of-sample predictions as a table, with their labels.

        Parameters
        ----------
        part : {"test", "tune"}, default "test"
            As for :meth:`signals`.
        fold : int, optional
            Rows of one fold only. Default: of all, also where folds share rows.
        calibrated : bool, default True
            False gives what the models themselves say.

        Returns
        -------
        polars.DataFrame
            `fold`, `row` (bar number), `open_time`, `part`, `label` (NaN where undefined), and a column a class, such
            as `p_-1`, `p_0` and `p_1`, or `prediction` (regression). In the order of folds, parts and rows; columns
            that a part does not have are null.

        Raises
        ------
        ParameterError, LayoutError
            If an argument is none of its choices.
        """
        frames = []
        for number in self._numbers(fold):
            rows = self._rows(number, part)
            for name, made in self.parts.items():
                found = self._output(number, name, part, calibrated)
                classes = self.bundles[number].parts[name].classes
                columns = [f"p_{c}" for c in classes] or ["prediction"]
                frames.append(
                    pl.DataFrame(
                        [
                            pl.Series("fold", np.full(len(rows), number), dtype=pl.UInt32),
                            pl.Series("row", rows, dtype=pl.Int64),
                            times(self.candles.open_time[rows]).alias("open_time"),
                            pl.Series("part", [name] * len(rows), dtype=pl.String),
                            pl.Series("label", made.labels.values[rows]),
                            *(pl.Series(c, found[:, j]) for j, c in enumerate(columns)),
                        ]
                    )
                )
        return pl.concat(frames, how="diagonal")

    def predict(
        self,
        X: Any,  # noqa: N803
        *,
        part: str | None = None,
        calibrated: bool = True,
    ) -> Floats:
        """Ask the models of all folds about rows of a table, in one pass over it.

        Parameters
        ----------
        X : frame or mapping
            Columns of the features, found by name.
        part : str, optional
            Needed if there are several.
        calibrated : bool, default True
            False gives what the models themselves say.

        Returns
        -------
        ndarray of shape (n_folds, n_rows, n_classes), float64
            As each bundle predicts them; for most rows of a fold that is no evidence, as its model was trained on them.

        Raises
        ------
        BundleError, LayoutError, ParameterError
            As for :func:`barproof.predict_together`.
        """
        from barproof._together import predict_together

        return np.stack(predict_together(self.bundles, X, part=part, calibrated=calibrated))

    def plot(self) -> go.Figure:
        """Interactive figure: calibration curves with intervals, and the skill of every fold, on test rows.

        Returns
        -------
        plotly.graph_objects.Figure
            Ready to show or save; of several parts the first is drawn.
        """
        from barproof.report.models import run_figure

        return run_figure(self)

    def __len__(self) -> int:
        return len(self.folds)

    def __repr__(self) -> str:
        names = ", ".join(
            part.model.name if name == ONLY else f"{name}: {part.model.name}"
            for name, part in self.parts.items()
        )
        state = "" if self.complete else ", interrupted"
        return (
            f"Run({names}, {len(self.names)} features, {len(self.folds)} folds{state}, "
            f"{self.seconds:.2f} s)"
        )


def _worth(found: Floats, kind: Kind) -> Floats:
    """Say what labels of trades promise: the probability of class 1, or the predicted return."""
    return found[:, 0] if kind == "regression" else np.clip(found[:, 1], 0.0, 1.0)


def _side(found: Floats, kind: Kind, side: str, *, named: bool) -> Floats:
    """Column of predictions that feeds an array of signals."""
    up = side in ("long", "exit_short")
    if kind == "regression":
        return found[:, 0] if up else -found[:, 0]
    if kind == "binary":
        column = found[:, 1] if named or up else 1.0 - found[:, 1]
    else:
        column = found[:, 2] if up else found[:, 0]
    # A sum of rounded shares may pass 1 by a rounding.
    return np.clip(column, 0.0, 1.0)
