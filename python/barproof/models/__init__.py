"""Models behind one small protocol, and feature selection inside the fold.

``GradientBoosting`` and ``Logistic`` are ready to use, ``Sklearn`` wraps any scikit-learn estimator, ``FeedForward``,
``LstmClassifier``, ``BarTransformer`` and ``CrossMarketTransformer`` are nets of torch, ``Torch`` takes a module of
your own, and any class with the members of ``Model`` joins them; ``as_estimator`` makes an estimator of scikit-learn of
any of them. scikit-learn and torch are loaded when a model is
fitted.
"""

from __future__ import annotations

from barproof.models._watch import Epoch
from barproof.models.boosting import GradientBoosting
from barproof.models.ensembles import Ensemble
from barproof.models.estimators import as_estimator
from barproof.models.extras import LightGBM, XGBoost
from barproof.models.folds import FoldEnsemble
from barproof.models.forecaster import Forecaster
from barproof.models.linear import Logistic
from barproof.models.net import Net
from barproof.models.nets import (
    BarTransformer,
    CrossMarketTransformer,
    FeedForward,
    LstmClassifier,
    Torch,
)
from barproof.models.protocol import Model, holdout
from barproof.models.select import Selector, TopK
from barproof.models.state import Reading, State
from barproof.models.wrapped import Sklearn

__all__ = [
    "BarTransformer",
    "CrossMarketTransformer",
    "Ensemble",
    "Epoch",
    "FeedForward",
    "FoldEnsemble",
    "Forecaster",
    "GradientBoosting",
    "LightGBM",
    "Logistic",
    "LstmClassifier",
    "Model",
    "Net",
    "Reading",
    "Selector",
    "Sklearn",
    "State",
    "TopK",
    "Torch",
    "XGBoost",
    "as_estimator",
    "holdout",
]
