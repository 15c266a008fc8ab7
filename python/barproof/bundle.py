"""`Bundle`: what one fold trained, with all that is needed to use it and to know where it came from."""

from __future__ import annotations

import copy
import importlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof import _core
from barproof._bundle_files import LIMIT, read_folder, write_folder
from barproof._calibration import apply_calibration
from barproof._shown import part_rows, shown
from barproof._tensors import read_tensors, write_tensors
from barproof.errors import BarproofError, BundleError, LayoutError, in_one_line
from barproof.inference import (
    CLASSES,
    FeatureTable,
    as_frame,
    features_digest,
    predict_rows,
    read_features,
    window_of,
)
from barproof.models.protocol import Floats, Ints, Kind, Model
from barproof.models.state import Reading, State

if TYPE_CHECKING:
    from barproof.checkpoints import Inspection

__all__ = ["Bundle", "FittedPart", "Replay"]

PROBE = "probe.safetensors"
KNOWN = (
    "BarTransformer",
    "CrossMarketTransformer",
    "Ensemble",
    "FeedForward",
    "FoldEnsemble",
    "GradientBoosting",
    "LightGBM",
    "Logistic",
    "LstmClassifier",
    "Sklearn",
    "Torch",
    "XGBoost",
)
"""Classes of `barproof.models` that can be read back by name."""

AGREE = {"f64": 1e-9, "f32": 1e-5, "half": 5e-3}
"""How far predictions of probe rows may be from those that were saved, by the precision of the model."""


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

    @property
    def window(self) -> int:
        """Bars that the model looks at for a prediction; 1 but for sequence models."""
        return window_of(self.model)

    @property
    def label_rule(self) -> dict[str, Any]:
        """Rule of the labels that it learned, from which :func:`barproof.labels.remake` makes them of other candles."""
        return dict(self.facts.get("label", {}).get("rule", {}))

    def predict(
        self, values: Floats, *, calibrated: bool = True, rows: Ints | None = None
    ) -> Floats:
        """Predict rows.

        Parameters
        ----------
        values : ndarray of shape (n, n_features), float64
            Features of this part, in its order, NaN where undefined; of consecutive bars for a model with a window.
        calibrated : bool, default True
            False gives what the model itself says.
        rows : ndarray of int, optional
            Rows to predict; windows reach back to others. Default: all.

        Returns
        -------
        ndarray of shape (n, n_classes)
            One column for regression; NaN rows where the model has too little to go by.
        """
        raw = predict_rows(self.model, values, self.kind, self.met, rows)
        return apply_calibration(self.calibration, raw) if calibrated else raw


@dataclass(frozen=True)
class Replay:
    """What a bundle says today about the rows that it was saved with.

    Attributes
    ----------
    rows : int
        Probe rows.
    difference : float
        Largest difference between the predictions of then and now.
    same_bits : bool
        Whether every bit is the same.
    """

    rows: int
    difference: float
    same_bits: bool


@shown(part_rows)
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
        self,
        parts: Mapping[str, FittedPart],
        features: tuple[str, ...],
        manifest: dict[str, Any],
        *,
        probe: Floats | None = None,
    ) -> None:
        self.parts = dict(parts)
        self.features = features
        self._probe = probe
        self._answers = None if probe is None else self._answer(probe)
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
            Float columns, found by name; others are not looked at. NaN and null are undefined. For sequence models rows
            are consecutive bars, and the first ones, which lack a whole window, get NaN.
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

    def _answer(self, probe: Floats) -> dict[str, Floats]:
        """Calibrated predictions of every part for rows of `features`."""
        return {
            name: part.predict(probe[:, [self.features.index(f) for f in part.features]])
            for name, part in self.parts.items()
        }

    def verify(self) -> Replay:
        """Predict the probe rows again, and compare with what was predicted when it was trained.

        Returns
        -------
        Replay
            How many rows, and how far apart.

        Raises
        ------
        BundleError
            If it has no probe rows, a part is not as it was trained (order of features, scaler, mode or type of
            numbers of a net), or predictions differ by more than the precision of its models allows.

        Examples
        --------
        >>> import barproof as bp
        >>> candles = bp.simulate_candles(1, bars=600, edge=0.2)
        >>> X = candles.to_polars().select("open_time", score=candles.planted)
        >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
        >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(300, 100, tune=100), ledger=False)
        >>> run.bundles[0].verify()
        Replay(rows=32, difference=0.0, same_bits=True)
        """
        if self._probe is None or self._answers is None:
            raise BundleError(
                "the bundle has no probe rows to check it by: take it from train, or give Bundle(..., probe=rows)"
            )
        self._check_parts()
        now = self._answer(self._probe)
        worst = 0.0
        for name, then in self._answers.items():
            part = self.parts[name]
            allowed = AGREE[getattr(part.model, "precision", "f64")]
            alike = np.array_equal(np.isnan(then), np.isnan(now[name]))
            gap = float(np.max(np.abs(np.nan_to_num(now[name] - then)), initial=0.0))
            scale = 1.0 if part.classes else float(np.max(np.abs(np.nan_to_num(then)), initial=0.0))
            if not alike or gap > allowed * scale:
                raise BundleError(
                    f"part `{name}` predicts its probe rows otherwise than when it was saved: they differ by "
                    f"{gap:.3g}, {allowed * scale:.3g} is allowed; weights or features are not those of training, or "
                    f"the versions {self._versions()} matter"
                )
            worst = max(worst, gap)
        same = all(_same_bits(now[name], then) for name, then in self._answers.items())
        return Replay(len(self._probe), worst, same)

    def _check_parts(self) -> None:
        """Name faults that other predictions would only hint at: order of features, scaler, mode, type of numbers."""
        for name, part in self.parts.items():
            trained = part.facts.get("features_digest")
            if trained is not None and trained != features_digest(part.features):
                raise BundleError(
                    f"part `{name}` fails PAR-01: names or order of its {len(part.features)} features are not those "
                    "that it was trained with; load the bundle again"
                )
            fault = part.model.fault(len(part.features)) if hasattr(part.model, "fault") else ""
            if fault:
                raise BundleError(f"part `{name}` fails {fault}")

    def _versions(self) -> str:
        told = self._manifest.get("versions", {})
        return ", ".join(f"{name} {text}" for name, text in told.items()) or "that it was saved by"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into a folder: manifest, weights, and probe rows with what it predicts for them.

        The folder is there whole or not at all, and a bundle that stands there is replaced in one step, whatever kills
        the process. Nothing is pickled: weights are safetensors, estimators of scikit-learn skops.

        Parameters
        ----------
        path : path-like
            Folder to make; its parent must exist.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        BundleError
            If a model cannot be saved, or there are no probe rows.
        FileError
            If something else stands there, or it cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import barproof as bp
        >>> candles = bp.simulate_candles(1, bars=600, edge=0.2)
        >>> X = candles.to_polars().select("open_time", score=candles.planted)
        >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
        >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(300, 100, tune=100), ledger=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = bp.Bundle.load(run.bundles[0].save(f"{folder}/first"))
        >>> np.array_equal(again.predict(X), run.bundles[0].predict(X))
        True
        """
        files: dict[str, bytes] = {}
        parts: dict[str, Any] = {}
        for name, part in self.parts.items():
            if not callable(getattr(part.model, "state", None)):
                raise BundleError(
                    f"model {part.model.name} of part `{name}` cannot be saved: give its class the methods `state` and "
                    "`restore`, as models.Logistic has them"
                )
            state = part.model.state()  # type: ignore[attr-defined]
            files |= {f"{name}.{file}": data for file, data in state.files.items()}
            parts[name] = {
                "type": _type_name(part.model),
                "params": dict(part.model.params),
                "facts": dict(state.facts),
                "files": sorted(state.files),
            }
        self.verify()
        assert self._probe is not None
        assert self._answers is not None
        columns = {f"feature/{name}": self._probe[:, j] for j, name in enumerate(self.features)}
        answers = {f"part/{name}": value for name, value in self._answers.items()}
        files[PROBE] = write_tensors(columns | answers)
        return write_folder(path, {"bundle": self._manifest, "parts": parts}, files)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        factory: Callable[..., Any] | None = None,
        trusted: Sequence[str] = (),
        limit_bytes: int = LIMIT,
    ) -> Bundle:
        """Read what :meth:`save` wrote; it predicts the same bits on the same machine.

        Digests of all files are checked, and the probe rows are predicted again: a bundle that answers otherwise than
        when it was saved is refused. No file is believed: nothing is unpickled or executed, no member may be a link or
        lie elsewhere, arrays and trees are checked before use, and no more than `limit_bytes` is read or unfolded.

        Parameters
        ----------
        path : path-like
            Folder of the bundle.
        factory : callable, optional
            For models that are not of this package: their class, or what makes their ``torch.nn.Module``.
        trusted : sequence of str, optional
            Types that estimators of scikit-learn may hold besides those that were reviewed; the refusal names them.
        limit_bytes : int, default 64 MiB
            The most that its files may hold and unfold to.

        Returns
        -------
        Bundle
            As it was saved.

        Raises
        ------
        BundleError
            If there is none, it is damaged, of another format, too large, would construct types that nobody has
            reviewed, or predicts otherwise.
        """
        document, files = read_folder(path, limit=limit_bytes)
        where = f"bundle {os.fspath(path)!r}"
        reading = Reading(where, limit_bytes, tuple(trusted), factory)
        try:
            bundle = _assemble(document, files, reading)
            bundle.verify()
        except BarproofError:
            raise
        except Exception as error:
            # What a forged manifest holds can fail anywhere; the digest says that nothing else can be wrong.
            raise BundleError(
                f"{where} cannot be put together: {type(error).__name__}: {in_one_line(error)}; its manifest "
                "does not fit its files, save it again"
            ) from error
        return bundle

    def inspect(self) -> Inspection:
        """Look at what would be saved: layers, shapes, parameters, and what is missing.

        Returns
        -------
        Inspection
            As :func:`barproof.checkpoints.inspect` gives it for the folder.

        Raises
        ------
        BundleError
            If a model cannot be saved.
        """
        from barproof.checkpoints import inspect

        with tempfile.TemporaryDirectory() as folder:
            return replace(inspect(self.save(f"{folder}/bundle")), path="")

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


def _same_bits(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _assemble(document: Mapping[str, Any], files: Mapping[str, bytes], reading: Reading) -> Bundle:
    """Put a bundle together from a manifest and its files."""
    manifest = document["bundle"]
    features = tuple(manifest["features"])
    if manifest["features_digest"] != features_digest(features):
        raise BundleError(
            f"the list of features of {reading.where} is not the one that it was trained with: names or order were "
            "changed"
        )
    parts: dict[str, FittedPart] = {}
    known: set[str] = {PROBE}
    for name, told in document["parts"].items():
        facts = manifest["parts"][name]
        own = tuple(facts["features"])
        state = State({file: files[f"{name}.{file}"] for file in told["files"]}, told["facts"])
        known |= {f"{name}.{file}" for file in told["files"]}
        maker = _maker(told["type"], reading)
        model = maker.restore(told["params"], state, features=len(own), reading=reading)
        parts[name] = FittedPart(
            model, facts["kind"], own, tuple(facts["classes_met"]), facts["calibration"], facts
        )
    probe = read_tensors(files[PROBE], reading.of(PROBE))
    columns = [f"feature/{name}" for name in features]
    answers = {f"part/{name}": name for name in parts}
    if {*probe} != {*columns, *answers} or {*files} != known or not parts:
        raise BundleError(
            f"the probe of {reading.where} is not of its features and parts: the files belong to another bundle"
        )
    rows = np.column_stack([probe[column].astype(np.float64) for column in columns])
    bundle = Bundle(parts, features, manifest)
    bundle._probe = rows
    bundle._answers = {name: probe[tensor] for tensor, name in answers.items()}
    return bundle


def _type_name(model: Model) -> str:
    """Name of a class; one of another package cannot pass for one of this."""
    kind = type(model)
    own = kind.__module__.startswith("barproof.models.")
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


def _maker(name: str, reading: Reading) -> Any:
    """Class of a saved model."""
    if name in KNOWN:
        return getattr(importlib.import_module("barproof.models"), name)
    if reading.factory is None:
        raise BundleError(
            f"{reading.where} holds a model of your own, {name[:80]!r}: give its class, Bundle.load(path, "
            "factory=...)"
        )
    if not hasattr(reading.factory, "restore"):
        raise LayoutError(
            f"`factory` must be a class with `restore`, was {reading.factory!r}: give the class of {name[:80]!r}"
        )
    return reading.factory
