"""`search`: hyper-parameters by Optuna, chosen on tune rows, every trial in the ledger."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from barproof._prepare import check_seed
from barproof._progress import Progress, reporter
from barproof._run import ONLY, Run
from barproof._scores import class_scores, return_scores
from barproof._shown import shown
from barproof.errors import LayoutError, ParameterError, TrainingError
from barproof.inference import CLASSES
from barproof.labels import Labels
from barproof.ledger import Recorded
from barproof.training import model_digest, train

if TYPE_CHECKING:
    from barproof.models import Model, Selector

__all__ = ["Search", "search"]

_HIGHER = ("accuracy", "auc", "auc_up", "auc_down", "direction", "correlation", "r2")
_LOWER = ("log_loss", "brier", "rmse")


@shown(lambda self: self.frame.drop("model_digest", "ledger"))
@dataclass(frozen=True, eq=False)
class Search:
    """What a search tried, and what it chose.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a trial, in order: `trial`, `value` (the metric on the tune rows that choose), `seconds`,
        `model_digest`, `ledger` (where it is recorded), and a column a parameter.
    best : int
        Row of the best trial; of equals the first.
    metric : str
        What was compared.
    model : Model
        Of the best trial, not fitted.
    run : Run
        Of the best trial: its test rows judge it, and nothing was chosen by them.
    trials : int
        How many were tried: what a Sharpe ratio that follows must be deflated by.
    """

    frame: pl.DataFrame
    best: int
    metric: str
    model: Model
    run: Run
    trials: int

    def __repr__(self) -> str:
        value = self.frame["value"][self.best]
        return f"Search({self.trials} trials, best {self.metric} {value:.5g} of {self.model!r})"


def search(
    suggest: Callable[[Any], Model],
    X: Any,  # noqa: N803
    labels: Labels,
    folds: Any,
    *,
    trials: int = 20,
    metric: str | None = None,
    seed: int = 0,
    sampler: Any = None,
    select: Selector | None = None,
    calibrate: str | None = "temperature",
    features: Sequence[str] | None = None,
    ledger: Recorded = None,
    threads: int | None = None,
    progress: bool | Progress | None = None,
) -> Search:
    """Search hyper-parameters with Optuna, fold by fold and on rows that judge nothing.

    Each trial trains a model in every fold, as :func:`barproof.train` does, and is compared by its predictions of the
    second half of the tune rows, all folds together. Test rows are predicted and not looked at, so that those of the
    best trial judge it. Every trial is recorded in the ledger: whatever follows must count them.

    Parameters
    ----------
    suggest : callable
        From an ``optuna.Trial`` to a model, as in the example below.
    X, labels, folds, select, calibrate, features, ledger, threads
        As for :func:`barproof.train`; the folds need tune rows.
    trials : int, default 20
        How many are tried, at least 1.
    metric : str, optional
        One that the kind of labels has: `log_loss`, `brier`, `accuracy`, `auc` (binary), `auc_up`, `auc_down`
        (ternary); `rmse`, `correlation`, `r2`, `direction` (returns). Default: `log_loss`, or `rmse`.
    seed : int, default 0
        Of the sampler and of every training.
    sampler : optuna.samplers.BaseSampler, optional
        Default: ``TPESampler(seed=seed)``.
    progress : bool or callable, optional
        A bar on stderr, or a function of (done, total) trials. Default: a bar if stderr is a terminal.

    Returns
    -------
    Search
        Trials, the best of them, and its run.

    Raises
    ------
    TrainingError
        If Optuna is not installed, no tune row has a label and a prediction, or the metric is undefined in every trial.
    ParameterError, LayoutError
        If an argument is out of bounds or of the wrong type.
    LedgerError
        If the ledger cannot be written.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=3_000, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, threshold=0.001)
    >>> folds = bp.WalkForward(train=1_000, tune=400, test=400)
    >>> def suggest(trial):
    ...     return bp.models.Logistic(C=trial.suggest_float("C", 0.01, 10.0, log=True))
    >>> found = bp.search(suggest, X, labels, folds, trials=2, ledger=False)  # doctest: +SKIP
    >>> found.trials  # doctest: +SKIP
    2
    """
    if not callable(suggest):
        raise LayoutError(
            f"`suggest` must be a function of an optuna.Trial that gives a model, was {suggest!r}"
        )
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise ParameterError(f"`trials` must be a whole number of at least 1, was {trials!r}")
    seed = check_seed(seed)
    chosen = metric or ("rmse" if labels.kind == "regression" else "log_loss")
    if chosen not in (*_HIGHER, *_LOWER):
        known = ", ".join((*_LOWER, *_HIGHER))
        raise ParameterError(f"`metric` must be one of {known}, was {chosen!r}")
    optuna = _optuna()
    sign = 1.0 if chosen in _HIGHER else -1.0
    rows: list[dict[str, Any]] = []
    best: tuple[float, int, Model, Run] | None = None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize" if sign > 0 else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed % 2**32) if sampler is None else sampler,
        )
        with reporter(progress, trials, "search") as report:
            for number in range(trials):
                trial = study.ask()
                model = suggest(trial)
                began = time.perf_counter()
                run = train(
                    model,
                    X,
                    labels,
                    folds,
                    seed=seed,
                    select=select,
                    calibrate=calibrate,
                    features=features,
                    ledger=ledger,
                    threads=threads,
                    progress=False,
                )
                value = tune_score(run, chosen)
                rows.append(
                    {
                        "trial": number,
                        "value": value,
                        "seconds": time.perf_counter() - began,
                        "model_digest": model_digest(model),
                        "ledger": run.provenance.get("ledger"),
                        **trial.params,
                    }
                )
                if np.isnan(value):
                    # Optuna leaves it out of what it learns from; the ledger has counted it.
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, value)
                    if best is None or sign * value > best[0]:
                        best = sign * value, number, model, run
                if report is not None:
                    report(number + 1, trials)
    finally:
        optuna.logging.set_verbosity(verbosity)
    if best is None:
        raise TrainingError(
            f"{chosen} is undefined on the tune rows in all {trials} trials: one class alone came, or predictions do "
            "not vary; make tune longer, or take another `metric`"
        )
    # Parameters of trials need not be the same: a column of numbers and words holds texts.
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    return Search(pl.DataFrame(columns), best[1], chosen, best[2], best[3], trials)


def _optuna() -> Any:
    """Load Optuna, an extra."""
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise TrainingError(
            "a search needs optuna, which is not installed: pip install 'barproof[search]'"
        ) from error


def _column(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    return values if len(kinds) < 2 or kinds <= {int, float} else [str(v) for v in values]


def tune_score(run: Run, metric: str) -> float:
    """One metric of the second half of the tune rows, all folds together; NaN where it is undefined."""
    labels = run.labels
    frame = run.predictions("tune")
    columns = [f"p_{c}" for c in CLASSES[labels.kind]] or ["prediction"]
    p, y = frame.select(columns).to_numpy(), frame["label"].to_numpy()
    known = ~np.isnan(y) & ~np.isnan(p[:, 0])
    if list(run.parts) != [ONLY] or not known.any():
        raise TrainingError(
            f"{int(known.sum()):,} of {len(known):,} tune rows that choose have a label and a prediction: give folds "
            "with tune=, such as WalkForward(..., tune=...), and one model"
        )
    p, y = p[known], y[known]
    if labels.kind == "regression":
        scores = return_scores(p[:, 0], y)
    else:
        classes = CLASSES[labels.kind]
        scores = class_scores(p, np.searchsorted(classes, y), classes)
    found = {score.name: score.value(len(y)) for score in scores}
    if metric not in found:
        raise ParameterError(
            f"{labels.kind} labels have no metric {metric!r}: take one of {', '.join(found)}"
        )
    return float(found[metric])
