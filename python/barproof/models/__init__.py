"""Models behind one small protocol, and feature selection inside the fold.

``GradientBoosting`` and ``Logistic`` are ready to use, ``Sklearn`` wraps any scikit-learn estimator, and any class
with the members of ``Model`` joins them. scikit-learn is loaded when a model is fitted.
"""

from __future__ import annotations

from barproof.models.boosting import GradientBoosting
from barproof.models.linear import Logistic
from barproof.models.protocol import Model, holdout
from barproof.models.select import Selector, TopK
from barproof.models.state import Reading, State
from barproof.models.wrapped import Sklearn

__all__ = [
    "GradientBoosting",
    "Logistic",
    "Model",
    "Reading",
    "Selector",
    "Sklearn",
    "State",
    "TopK",
    "holdout",
]
