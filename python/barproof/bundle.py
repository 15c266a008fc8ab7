"""`Bundle`: what one fold trained, with all that is needed to use it and to know where it came from."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from barproof import _core
from barproof._calibration import apply_calibration
from barproof.errors import BundleError
from barproof.inference import (
    CLASSES,
    FeatureTable,
    as_frame,
    features_digest,
    predict_rows,
    read_features,
)
from barproof.models.protocol import Floats, Kind, Model

__all__ = ["Bundle", "FittedPart"]


@dataclass(frozen=True, eq=False)
class FittedPart:
    """One fitted model of a bundle.

    Attributes
    ----------
    model : Model
        Fitted.
    kind : {"regression", "binary", "ternary"}
        What it predicts.
    features : tuple of str
        Columns that it takes, in order.
    met : tuple of int
        Classes among its train rows; empty for regression. Others get a probability of 0.
    calibration : dict
        What was fitted on tune rows, or why nothing was.
    facts : dict
        Its part of the manifest.
    """

    model: Model
    kind: Kind
    features: tuple[str, ...]
    met: tuple[int, ...]
    calibration: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def classes(self) -> tuple[int, ...]:
        """Classes in the order of the columns; empty for regression."""
        return CLASSES[self.kind]

    def predict(self, values: Floats, *, calibrated: bool = True) -> Floats:
        """Predict rows.

        Parameters
        ----------
        values : ndarray of shape (n, n_features), float64
            Features of this part, in its order, NaN where undefined.
        calibrated : bool, default True
            False gives what the model itself says.

        Returns
        -------
        ndarray of shape (n, n_classes)
            One column for regression; NaN rows where the model has too little to go by.
        """
        raw = predict_rows(self.model, values, self.kind, self.met)
        return apply_calibration(self.calibration, raw) if calibrated else raw


class Bundle:
    """The models of one fold, with what made them.

    Attributes
    ----------
    manifest : dict
        A copy of: model, parameters and what the fit found, ordered features with digest, label rule, classes, rows of
        each purpose by digest and time, data digests, calibration, metrics on test rows with n, seed, versions. Plain
        JSON; undefined numbers are None.
    features : tuple of str
        Columns that its parts need, in the order of training.
    features_digest : str
        Identity of `features`, 64 hexadecimal digits.
    parts : dict of str to FittedPart
        By name; a run without named parts has one, ``"model"``.
    """

    def __init__(
        self, parts: Mapping[str, FittedPart], features: tuple[str, ...], manifest: dict[str, Any]
    ) -> None:
        self.parts = dict(parts)
        self.features = features
        # A manifest that is not plain JSON would be found out by whoever wants to save it.
        self._manifest: dict[str, Any] = json.loads(json.dumps(manifest, allow_nan=False))

    @property
    def manifest(self) -> dict[str, Any]:
        """Where it came from; a copy."""
        return copy.deepcopy(self._manifest)

    @property
    def features_digest(self) -> str:
        """Identity of the ordered features."""
        return features_digest(self.features)

    @property
    def digest(self) -> str:
        """Identity of the manifest, which holds a digest of the predictions on test rows."""
        return _core.digest("bundle/1", [json.dumps(self._manifest, sort_keys=True)])

    def part(self, name: str | None = None) -> FittedPart:
        """One of its parts.

        Parameters
        ----------
        name : str, optional
            May be left out if there is one.

        Returns
        -------
        FittedPart
            The part.

        Raises
        ------
        BundleError
            If there is no such part, or there are several and none is named.
        """
        known = ", ".join(f'"{part}"' for part in self.parts)
        if name is None and len(self.parts) > 1:
            raise BundleError(f"the bundle has several parts, {known}: name one with part=")
        name = next(iter(self.parts)) if name is None else name
        if name not in self.parts:
            raise BundleError(f"the bundle has no part {name!r}; it has {known}")
        return self.parts[name]

    def predict(
        self,
        X: Any,  # noqa: N803
        *,
        part: str | None = None,
        calibrated: bool = True,
    ) -> Floats:
        """Predict rows of a table.

        Parameters
        ----------
        X : polars.DataFrame, pandas.DataFrame, pyarrow.Table or mapping
            Float columns, found by name; others are not looked at. NaN and null are undefined.
        part : str, optional
            Needed if there are several.
        calibrated : bool, default True
            False gives what the model itself says.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            Probabilities in the order of the classes (0, 1; -1, 0, 1), or one column of predicted returns. NaN rows
            where features are undefined: any of them, or all for models that allow NaN.

        Raises
        ------
        BundleError
            If columns are missing, or the part is not told.
        LayoutError, ParameterError
            If `X` is no table of finite floats.

        Examples
        --------
        >>> import barproof as bp
        >>> candles = bp.simulate_candles(1, bars=600, edge=0.2)
        >>> X = candles.to_polars().select("open_time", score=candles.planted)
        >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
        >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(300, 100, tune=100), ledger=False)
        >>> run.bundles[0].predict(X).shape
        (600, 2)
        """
        fitted = self.part(part)
        return fitted.predict(own_table(X, fitted.features).values, calibrated=calibrated)

    def __repr__(self) -> str:
        names = ", ".join(f"{name}: {part.model.name}" for name, part in self.parts.items())
        return f"Bundle(fold {self._manifest['fold']}, {names}, {len(self.features)} features)"


def own_table(X: Any, features: tuple[str, ...]) -> FeatureTable:  # noqa: N803
    """Read the columns that a bundle needs, by name."""
    frame = as_frame(X)
    absent = [name for name in features if name not in frame.columns]
    if absent:
        shown = ", ".join(f"`{name}`" for name in absent[:5]) + (", ..." if absent[5:] else "")
        raise BundleError(
            f"features lack {len(absent)} of the {len(features)} columns of the bundle: {shown}; compute them with the "
            "bundle's own list, `features`"
        )
    return read_features(frame, features)


def plain_number(value: float) -> float | None:
    """Turn what is undefined into None, which JSON can hold."""
    return float(value) if np.isfinite(value) else None
