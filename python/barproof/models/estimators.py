"""The way out of the protocol: any model as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any, Literal

from barproof.errors import ParameterError
from barproof.models.protocol import Model


def as_estimator(
    model: Model,
    *,
    task: Literal["classification", "regression"] = "classification",
    span: int = 0,
    seed: int = 0,
) -> Any:
    """Make an estimator of scikit-learn out of a model.

    For ``cross_val_score``, pipelines and searches of scikit-learn; :class:`barproof.models.Sklearn` is the way in.
    What comes out keeps scikit-learn's rules: parameters `model`, `span` and `seed`, clones, names of columns, its
    errors, ``classes_`` of any type. Bundles, purging by label spans and calibration are those of
    :func:`barproof.train` and not to be had here.

    Parameters
    ----------
    model : model
        With ``window=1``: scikit-learn hands over rows without their neighbours. It is cloned, never fitted itself.
    task : {"classification", "regression"}, default "classification"
        What it learns: two or three classes, or numbers.
    span : int, default 0
        Rows that a label looks ahead, so that rows held out for early stopping begin after the labels of the others
        have ended.
    seed : int, default 0
        Of whatever is random, in [0, 2**32).

    Returns
    -------
    estimator
        Classifier with `predict_proba`, or regressor, not fitted.

    Raises
    ------
    ParameterError
        If `task` is unknown. What is wrong with the rest is said by `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> import barproof as bp
    >>> from sklearn.model_selection import cross_val_score
    >>> draws = np.random.default_rng(3).standard_normal((400, 2))
    >>> estimator = bp.models.as_estimator(bp.models.Logistic())
    >>> scores = cross_val_score(estimator, draws, draws[:, 0] > 0, cv=bp.PurgedKFold(4, embargo=3))
    >>> len(scores), bool(scores.min() > 0.9)
    (4, True)
    """
    if task not in ("classification", "regression"):
        raise ParameterError(
            f'`task` of as_estimator must be "classification" or "regression", was {task!r}'
        )
    from barproof.models._estimators import ModelClassifier, ModelRegressor

    make = ModelClassifier if task == "classification" else ModelRegressor
    return make(model, span=span, seed=seed)
