"""XGBoost and LightGBM behind the protocol; both are extras, loaded when a model is fitted.

Their parsers are native code that believes its input, so a file is read in a process of its own first: what crashes
there, or takes too much memory or time, is refused here.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from barproof.errors import BundleError, ParameterError, TrainingError
from barproof.models.protocol import (
    Configured,
    Floats,
    Ints,
    Kind,
    class_sums,
    class_weights,
    holdout,
)
from barproof.models.state import Reading, State

# Of the processor, and on the clock: on a busy machine a sound file takes long without being work.
_SECONDS, _PATIENCE = 60, 900
_CHILD = """
import sys
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[4]), int(sys.argv[4])))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[5]), int(sys.argv[5])))
import numpy as np
from barproof.models import extras
model = getattr(extras, sys.argv[1])
with open(sys.argv[2], "rb") as file:
    booster = model._read(file.read())
rows = np.random.default_rng(0).standard_normal((64, int(sys.argv[3])))
rows[::7] = np.nan
model._margins(booster, rows)
"""
# Libraries map some gigabytes that they never touch.
_ADDRESSES = 16 << 30


@dataclass(kw_only=True, eq=False, repr=False)
class _Boosted(Configured):
    """What both share: the number of trees is chosen on the last train rows, then all train rows are fitted with it."""

    n_estimators: int = 200
    learning_rate: float = 0.1
    max_depth: int = 4
    subsample: float = 1.0
    colsample: float = 1.0
    l2: float = 1.0
    validation: float = 0.2
    patience: int = 20
    balanced: bool = False

    @property
    def allows_nan(self) -> bool:
        """Trees learn where to send NaN."""
        return True

    @property
    def facts(self) -> dict[str, Any]:
        """How many trees were grown, and why."""
        return {"iterations": self.iterations_, "stopped_by": self._stopped_by}

    def _check(self, kind: Kind) -> None:
        self._whole("n_estimators", 1, 100_000)
        self._real("learning_rate", 0.0, 1.0, open_low=True)
        self._whole("max_depth", 1, 64)
        self._real("subsample", 0.0, 1.0, open_low=True)
        self._real("colsample", 0.0, 1.0, open_low=True)
        self._real("l2", 0.0)
        self._real("validation", 0.0, 0.9)
        self._whole("patience", 1, 100_000)
        self._flag("balanced")
        if self.balanced and kind == "regression":
            raise ParameterError(
                f"balanced=True of {self.name} weighs classes, and regression labels have none: leave it out"
            )

    @abstractmethod
    def _grow(self, X: Floats, y: Floats, held: Any, trees: int, seed: int) -> tuple[Any, int]:  # noqa: N803
        """Grow trees; with held rows and labels also say at how many their loss was least."""

    @staticmethod
    @abstractmethod
    def _read(data: bytes) -> Any:
        """Read trees of a file."""

    @staticmethod
    @abstractmethod
    def _write(booster: Any) -> bytes:
        """Write trees to a file."""

    @staticmethod
    @abstractmethod
    def _margins(booster: Any, X: Floats) -> Floats:  # noqa: N803
        """Probabilities of shape (n, n_classes), of class 1 for two, or returns of shape (n,)."""

    file = "trees.bin"

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        *,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seed: int,
    ) -> Self:
        """Choose the number of trees, then fit; on one thread, so that a seed gives the same bits.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        model
            Itself.

        Raises
        ------
        TrainingError
            If the library is not installed.
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        """
        self._check(kind)
        self._classes = 0 if kind == "regression" else len(np.unique(y))
        target = np.unique(y, return_inverse=True)[1].astype(np.float64) if self._classes else y
        kept, held = holdout(rows, ends, self.validation)
        several = not self._classes or (
            len(np.unique(y[kept])) == self._classes and len(np.unique(y[held])) > 1
        )
        trees, self._stopped_by = self.n_estimators, "n_estimators"
        if len(kept) and len(held) and several:
            judge = X[held], target[held]
            trees = self._grow(X[kept], target[kept], judge, self.n_estimators, seed)[1]
            self._stopped_by = f"loss on the last {len(held)} train rows"
        self.iterations_ = trees
        self._booster = self._grow(X, target, None, trees, seed)[0]
        return self

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, NaN allowed.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes; both libraries sum in single or double precision as they do.
        """
        found = np.asarray(self._margins(self._booster, X), dtype=np.float64)
        if self._classes == 2:
            return np.column_stack([1.0 - found, found])
        out = np.empty(found.shape)
        total = class_sums(found)
        for j in range(found.shape[1]):
            np.divide(found[:, j], total, out=out[:, j])
        return out

    def predict(self, X: Floats) -> Floats:  # noqa: N803
        """Predicted returns.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, NaN allowed.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        return np.asarray(self._margins(self._booster, X), dtype=np.float64)

    def state(self) -> State:
        """Trees in the library's own format.

        Returns
        -------
        State
            What :meth:`restore` reads.
        """
        facts = self.facts | {"classes": self._classes}
        return State({self.file: self._write(self._booster)}, facts)

    @classmethod
    def restore(
        cls, params: dict[str, Any], state: State, *, features: int, reading: Reading
    ) -> Self:
        """Make a fitted model again, after a process of its own has read the file.

        Parameters
        ----------
        params, state, features, reading
            As for :meth:`barproof.models.Logistic.restore`.

        Returns
        -------
        model
            Fitted.

        Raises
        ------
        BundleError
            If the file cannot be read.
        TrainingError
            If the library is not installed.
        """
        model = cls(**params)
        data = state.files[cls.file]
        load_extra(cls.__name__, cls.__name__.lower())
        try_apart(cls.__name__, data, features, reading.of(cls.file))
        model._booster = cls._read(data)
        model._classes = int(state.facts["classes"])
        model.iterations_ = int(state.facts["iterations"])
        model._stopped_by = str(state.facts["stopped_by"])
        return model


def load_extra(name: str, module: str) -> Any:
    """Load a library that is an extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TrainingError(
            f"model {name} needs {module}, which is not installed: pip install 'barproof[boost]'"
        ) from error


def try_apart(name: str, data: bytes, features: int, where: str) -> None:
    """Read a file and predict with it in a process of its own, with bounded time and addresses."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trees")
        with open(path, "wb") as stream:
            stream.write(data)
        words = [
            sys.executable,
            "-c",
            _CHILD,
            name,
            path,
            str(features),
            str(_ADDRESSES),
            str(_SECONDS),
        ]
        try:
            done = subprocess.run(words, capture_output=True, timeout=_PATIENCE, check=False)
            why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:160]
            code = done.returncode
        except subprocess.TimeoutExpired:
            code, why = 1, f"nothing after {_PATIENCE} seconds"
    if code:
        raise BundleError(
            f"{where} was tried in a process of its own, which ended with {code}: {why}; it is damaged, or of another "
            "version of the library"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class XGBoost(_Boosted):
    """Boosted trees of XGBoost, by histograms, on one thread.

    Parameters
    ----------
    n_estimators : int, default 200
        Trees at most (a class, for three classes).
    learning_rate, max_depth, subsample, colsample, l2 : float or int
        As XGBoost means them (``colsample_bytree``, ``reg_lambda``): 0.1, 4, 1, 1 and 1.
    validation, patience : float, int, default 0.2 and 20
        As for :class:`GradientBoosting`; 0 grows `n_estimators`.
    balanced : bool, default False
        Weigh classes to the same total.

    Examples
    --------
    >>> XGBoost(max_depth=3)
    XGBoost(max_depth=3)
    """

    file = "trees.ubj"
    precision = "f32"

    def _grow(self, X: Floats, y: Floats, held: Any, trees: int, seed: int) -> tuple[Any, int]:  # noqa: N803
        library = load_extra("XGBoost", "xgboost")
        task = {0: "reg:squarederror", 2: "binary:logistic"}.get(self._classes, "multi:softprob")
        options = {
            "objective": task,
            "eta": self.learning_rate,
            "max_depth": self.max_depth,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "reg_lambda": self.l2,
            "tree_method": "hist",
            "nthread": 1,
            "seed": seed % 2**31,
            "verbosity": 0,
            **({"num_class": self._classes} if self._classes > 2 else {}),
        }
        weight = class_weights(y) if self.balanced else None
        data = library.DMatrix(X, y, weight=weight, nthread=1)
        if held is None:
            return library.train(options, data, trees), trees
        judge = library.DMatrix(held[0], held[1], nthread=1)
        booster = library.train(
            options,
            data,
            trees,
            evals=[(judge, "held")],
            early_stopping_rounds=self.patience,
            verbose_eval=False,
        )
        return booster, int(booster.best_iteration) + 1

    @staticmethod
    def _read(data: bytes) -> Any:
        booster = load_extra("XGBoost", "xgboost").Booster({"nthread": 1})
        booster.load_model(bytearray(data))
        return booster

    @staticmethod
    def _write(booster: Any) -> bytes:
        return bytes(booster.save_raw("ubj"))

    @staticmethod
    def _margins(booster: Any, X: Floats) -> Floats:  # noqa: N803
        data = load_extra("XGBoost", "xgboost").DMatrix(X, nthread=1)
        found: Floats = booster.predict(data)
        return found


@dataclass(kw_only=True, eq=False, repr=False)
class LightGBM(_Boosted):
    """Boosted trees of LightGBM, deterministic, on one thread.

    Parameters
    ----------
    n_estimators : int, default 200
        Trees at most (a class, for three classes).
    learning_rate, max_depth, subsample, colsample, l2 : float or int
        As LightGBM means them (``bagging_fraction`` in every round, ``feature_fraction``, ``lambda_l2``): 0.1, 4, 1, 1
        and 1; a tree has at most ``2 ** max_depth`` leaves.
    validation, patience : float, int, default 0.2 and 20
        As for :class:`GradientBoosting`; 0 grows `n_estimators`.
    balanced : bool, default False
        Weigh classes to the same total.

    Examples
    --------
    >>> LightGBM(max_depth=3)
    LightGBM(max_depth=3)
    """

    file = "trees.txt"

    def _grow(self, X: Floats, y: Floats, held: Any, trees: int, seed: int) -> tuple[Any, int]:  # noqa: N803
        library = load_extra("LightGBM", "lightgbm")
        task = {0: "regression", 2: "binary"}.get(self._classes, "multiclass")
        options = {
            "objective": task,
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "num_leaves": min(2**self.max_depth, 131_072),
            "bagging_fraction": self.subsample,
            "bagging_freq": int(self.subsample < 1.0),
            "feature_fraction": self.colsample,
            "lambda_l2": self.l2,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": seed % 2**31,
            "verbosity": -1,
            **({"num_class": self._classes} if self._classes > 2 else {}),
        }
        weight = class_weights(y) if self.balanced else None
        data = library.Dataset(X, y, weight=weight, params={"verbosity": -1})
        if held is None:
            return library.train(options, data, trees), trees
        judge = library.Dataset(held[0], held[1], reference=data)
        stop = library.early_stopping(self.patience, verbose=False)
        booster = library.train(options, data, trees, valid_sets=[judge], callbacks=[stop])
        return booster, max(int(booster.best_iteration), 1)

    @staticmethod
    def _read(data: bytes) -> Any:
        return load_extra("LightGBM", "lightgbm").Booster(model_str=data.decode())

    @staticmethod
    def _write(booster: Any) -> bytes:
        return bytes(booster.model_to_string().encode())

    @staticmethod
    def _margins(booster: Any, X: Floats) -> Floats:  # noqa: N803
        found: Floats = booster.predict(X, num_threads=1)
        return found
