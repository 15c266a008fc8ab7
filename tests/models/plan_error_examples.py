"""An example of every error of plans, watched trainings, faults of parts and joint inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import barproof as bp
from barproof import models
from barproof.inference import changed_decisions
from tests.models.error_examples import BARS, BINARY, WALK, X, train, with_values

Example = tuple[str, Callable[[], object], type[BaseException], str]

LOGISTIC: Any = models.Logistic()


class Faulty(models.Logistic):
    """A model that says what is wrong with it."""

    def fault(self, features: int) -> str:
        return f"CKP-07: it is asked about {features} features"


def faulty() -> object:
    bundle = train().bundles[0]
    bundle.parts["model"] = replace(bundle.parts["model"], model=Faulty())
    return bundle.verify()


def reordered() -> object:
    bundle = train().bundles[0]
    bundle.parts["model"] = replace(bundle.parts["model"], features=("noise1", "noise0", "score"))
    return bundle.verify()


def plan(X: Any = X, labels: Any = BINARY, **options: Any) -> object:
    return bp.plan_training(LOGISTIC, X, labels, WALK, **options)


EXAMPLES: list[Example] = [
    (
        "reordered part",
        reordered,
        bp.BundleError,
        "part `model` fails PAR-01: names or order of its 3 features are not those that it was trained with; load the bundle again",
    ),
    (
        "faulty part",
        faulty,
        bp.BundleError,
        "part `model` fails CKP-07: it is asked about 3 features",
    ),
    (
        "no watcher",
        lambda: train(watch=3),
        bp.LayoutError,
        "`watch` must be a function of an Epoch, was 3",
    ),
    (
        "price",
        lambda: plan(price_per_hour=-1),
        bp.ParameterError,
        "`price_per_hour` must be at least 0, was -1",
    ),
    (
        "nothing to plan with",
        lambda: plan(labels=with_values(np.full(len(BARS), np.nan))),
        bp.TrainingError,
        "no train row of fold 0, part `model`, is complete and has a label: make train longer than the features' warm-up",
    ),
    (
        "one class to plan with",
        lambda: plan(labels=with_values(np.ones(len(BARS)))),
        bp.TrainingError,
        "all 196 train rows of fold 0 are of one class: make train longer, or the threshold of the labels smaller",
    ),
    (
        "no bundles",
        lambda: bp.predict_together([3], X),  # type: ignore[list-item]
        bp.LayoutError,
        "`bundles` must hold Bundles, one was int: see run.bundles",
    ),
    (
        "other rows",
        lambda: changed_decisions(np.ones((2, 1)), np.ones((3, 1))),
        bp.ShapeError,
        "predictions have shapes (2, 1) and (3, 1): give two of the same rows, a column a class",
    ),
]
