"""An example of every error of nets, none of which needs torch: id, call, class, exact message."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import barproof as bp
from barproof import models
from barproof.models import _checks, extras

Example = tuple[str, Callable[[], object], type[BaseException], str]

FeedForward: Any = models.FeedForward
Torch: Any = models.Torch
TORCH = SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: 1), device=str)


def without_torch() -> object:
    with mock.patch.dict(sys.modules, {"torch": None}):
        return FeedForward().module(3, 2)


def check(net: Any, kind: Any = "binary") -> object:
    return net._check(kind)


EXAMPLES: list[Example] = [
    (
        "no torch",
        without_torch,
        bp.TrainingError,
        "model FeedForward needs torch, which is not installed: pip install 'barproof[torch]'",
    ),
    (
        "device",
        lambda: _checks.pick_device("FeedForward", "cuda:3", TORCH),
        bp.TrainingError,
        "`device` 'cuda:3' of FeedForward is not there: this machine has cpu, cuda:0; give one of them or \"auto\"",
    ),
    (
        "loss",
        lambda: _checks.check_loss("FeedForward", 3, float("nan")),
        bp.TrainingError,
        "the loss of FeedForward is nan in epoch 3: lower `learning_rate`, or set `clip`",
    ),
    (
        "no doubles",
        lambda: _checks.pick_device("FeedForward", "mps", TORCH),
        bp.TrainingError,
        "`device` 'mps' of FeedForward has no double precision, which its scaler needs: this machine has cpu, cuda:0; give one of them or \"auto\"",
    ),
    (
        "no room",
        lambda: _checks.no_room("FeedForward", (5_000, 3), "cuda:0", MemoryError()),
        bp.TrainingError,
        'model FeedForward and its table of 5,000 rows x 3 features do not fit into the memory of cuda:0: give fewer rows, a smaller net or device="cpu"',
    ),
    (
        "memory",
        lambda: _checks.halved("FeedForward", 1),
        bp.TrainingError,
        'model FeedForward does not fit into the memory of its device, not even with one row at once: take a smaller net or device="cpu"',
    ),
    (
        "no kernels",
        lambda: _checks.no_precision(
            "LstmClassifier", "fp16", "cpu", RuntimeError("no kernel. More")
        ),
        bp.TrainingError,
        "cpu cannot run LstmClassifier in fp16: no kernel; take another `inference`, or another device",
    ),
    (
        "heads",
        lambda: check(models.BarTransformer(d_model=10, heads=4)),
        bp.ParameterError,
        "`d_model` of BarTransformer is 10, which its 4 heads cannot share: make it a multiple",
    ),
    (
        "scale",
        lambda: _checks.check_scale(
            "FeedForward", _checks.scale_facts(np.eye(1000)[:, :1] * 79_568.0)
        ),
        bp.BundleError,
        "inputs of the first layer of FeedForward fail PAR-03: 0% of the features have mean about 0 and SD about 1 (95% needed), the largest is 7.957e+04 SD (50 allowed); clip or rank features with such tails before training",
    ),
    (
        "other weights",
        lambda: _checks.check_arrays("'w'", {"a": np.ones(2)}, {"a": np.ones(3)}),
        bp.BundleError,
        "'w' holds ((2,), 'float64') as 'a', the net needs ((3,), 'float64'): the file belongs to another net",
    ),
    (
        "weights not finite",
        lambda: _checks.check_arrays("'w'", {"a": np.array([np.nan])}, {"a": np.ones(1)}),
        bp.BundleError,
        "'w' holds weights that are not finite, first in 'a': it is damaged",
    ),
    (
        "outputs",
        lambda: _checks.check_module("Torch", (5, 1), 5, 3),
        bp.TrainingError,
        "the module of Torch gives shape (5, 1) for 5 rows, not (5, 3): one output a class, or one for returns",
    ),
    (
        "schedule",
        lambda: check(FeedForward(schedule="luck")),
        bp.ParameterError,
        "`schedule` of FeedForward must be cosine or constant, was 'luck'",
    ),
    (
        "balanced returns",
        lambda: check(FeedForward(balanced=True), "regression"),
        bp.ParameterError,
        "balanced=True of FeedForward weighs classes, and regression labels have none: leave it out",
    ),
    (
        "hidden",
        lambda: check(FeedForward(hidden=(0,))),
        bp.LayoutError,
        "`hidden` of FeedForward must be a tuple of widths from 1 to 65,536, was (0,)",
    ),
    (
        "factory",
        lambda: check(Torch(factory=3)),
        bp.LayoutError,
        "`factory` of Torch must be a function of features and outputs that makes a module, was 3",
    ),
]


def ensemble(*given: Any, **options: Any) -> None:
    models.Ensemble(given, **options)._check("regression")


def stack_of_one_class() -> object:
    y = np.repeat([0.0, 1.0], 10)
    at = np.arange(20)
    return models.Ensemble([LOGISTIC, LOGISTIC], how="stack").fit(
        np.arange(20.0)[:, None], y, kind="binary", rows=at, ends=at, seed=0
    )


class Unsaved(models.Logistic):
    state = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "state":
            raise AttributeError(name)
        return super().__getattribute__(name)


def unknown_member() -> object:
    from barproof.models.state import Reading, State

    params = {"models": [{"type": "Own", "params": {}}], "how": "mean", "validation": 0.3}
    state = State({}, {"members": [], "stacked_rows": 0})
    return models.Ensemble.restore(params, state, features=1, reading=Reading("bundle 'b'", 1))


def missing_library() -> object:
    with mock.patch.dict(sys.modules, {"xgboost": None}):
        return extras.load_extra("XGBoost", "xgboost")


def crash() -> None:
    with mock.patch.object(extras, "_CHILD", "import os; os._exit(7)"):
        extras.try_apart("XGBoost", b"", 3, "'trees.ubj' of bundle 'b'")


LOGISTIC = models.Logistic()
EXAMPLES += [
    (
        "ensemble of one",
        lambda: ensemble(LOGISTIC),
        bp.LayoutError,
        "`models` of Ensemble must be two or more, were 1",
    ),
    (
        "ensemble how",
        lambda: ensemble(LOGISTIC, LOGISTIC, how="luck"),
        bp.ParameterError,
        "`how` of Ensemble must be mean, vote, stack, was 'luck'",
    ),
    (
        "vote on returns",
        lambda: ensemble(LOGISTIC, LOGISTIC, how="vote"),
        bp.ParameterError,
        'how="vote" of Ensemble counts classes, and returns have none: take the mean',
    ),
    (
        "ensemble validation",
        lambda: ensemble(LOGISTIC, LOGISTIC, validation=1.0),
        bp.ParameterError,
        "`validation` of Ensemble must be above 0 and below 1, was 1.0",
    ),
    (
        "stack of one class",
        stack_of_one_class,
        bp.TrainingError,
        "a stack learns from the last 6 train rows what models of the 14 before them say: a class is missing in one of them; make train longer, or take the mean",
    ),
    (
        "ensemble that cannot be saved",
        lambda: models.Ensemble([Unsaved(), LOGISTIC]).state(),
        bp.BundleError,
        "model Unsaved of an Ensemble cannot be saved: give its class the methods `state` and `restore`, as models.Logistic has them",
    ),
    (
        "ensemble of strangers",
        unknown_member,
        bp.BundleError,
        "bundle 'b' holds an Ensemble of 'Own', which is no model of this package: save such models in bundles of their own",
    ),
    (
        "no xgboost",
        missing_library,
        bp.TrainingError,
        "model XGBoost needs xgboost, which is not installed: pip install 'barproof[boost]'",
    ),
    (
        "parser crashed",
        crash,
        bp.BundleError,
        "'trees.ubj' of bundle 'b' was tried in a process of its own, which ended with 7: ; it is damaged, or of another version of the library",
    ),
    (
        "boosted balanced returns",
        lambda: check(models.XGBoost(balanced=True), "regression"),
        bp.ParameterError,
        "balanced=True of XGBoost weighs classes, and regression labels have none: leave it out",
    ),
]
