"""Forecasts of several series, several steps ahead, by one net that sees them all (S000)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from barproof._scores import return_scores
from barproof._tensors import read_sealed, read_tensors, write_sealed
from barproof._whole import whole
from barproof.errors import BundleError, FileError, LayoutError, ParameterError, TrainingError
from barproof.inference import FeatureTable, features_digest, read_features, usable_windows
from barproof.models._checks import check_arrays, load_torch, pick_device
from barproof.models._task import Steps, Task
from barproof.models.nets import CrossMarketTransformer
from barproof.models.protocol import Floats, Ints, holdout
from barproof.signals import Signals

if TYPE_CHECKING:
    from barproof._folds import Fold

__all__ = ["Forecaster"]

FORMAT = "forecaster/2"


class Forecaster:
    """A :class:`CrossMarketTransformer` that learns every step of several series, and gives each by its name.

    What it learns is the change from the last bar of the window, a step and a series at a time, in units of that
    series' standard deviation over all steps among the rows that train. Forecasts come back as values of the series.

    Parameters
    ----------
    net : CrossMarketTransformer, optional
        Sizes and training; its `window` bars go in, its `steps` come out.
    targets : sequence of str
        Columns to foresee, by name: such as ``["WLD.close"]`` of a table of 240. Where a target stands among the
        columns decides nothing.

    Examples
    --------
    >>> Forecaster(CrossMarketTransformer(window=24, steps=6), targets=["WLD.close"])
    Forecaster(CrossMarketTransformer(window=24, steps=6), targets=['WLD.close'])
    """

    def __init__(
        self, net: CrossMarketTransformer | None = None, *, targets: Sequence[str]
    ) -> None:
        self.net = CrossMarketTransformer() if net is None else net
        self.targets = targets
        self._facts: dict[str, Any] = {}
        self.features_: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """How the training went."""
        return self._facts

    def __repr__(self) -> str:
        return f"Forecaster({self.net!r}, targets={list(self.targets)!r})"

    def _check(self) -> tuple[str, ...]:
        if not isinstance(self.net, CrossMarketTransformer):
            raise LayoutError(
                f"`net` of Forecaster must be a CrossMarketTransformer, was {type(self.net).__name__}"
            )
        told = () if isinstance(self.targets, str) else tuple(self.targets)
        if not told or len(set(told)) < len(told):
            raise ParameterError(
                f"`targets` of Forecaster must be a list of different columns, was {self.targets!r}"
            )
        self.net._check("regression")
        return told

    def _columns(self, names: Sequence[str]) -> Ints:
        lost = [name for name in self.targets if name not in names]
        if lost:
            raise LayoutError(
                f"targets {', '.join(f'`{name}`' for name in lost[:5])} are no columns of the table: it has "
                f"{len(names)}, such as `{names[0]}`"
            )
        return np.array([list(names).index(name) for name in self.targets], dtype=np.int64)

    def fit(self, X: Any, *, train: tuple[int, int] | None = None, seed: int = 0) -> Self:  # noqa: N803
        """Learn from some rows of a table.

        Parameters
        ----------
        X : frame or mapping
            Float columns, one row a bar in time order: every channel, the targets among them.
        train : tuple of int, optional
            First row, and the one after the last: nothing at or behind it is looked at, neither as input nor as what is
            to be foreseen. Default: all.
        seed : int, default 0
            Of whatever is random.

        Returns
        -------
        Forecaster
            Itself.

        Raises
        ------
        TrainingError
            If no row has a whole window and all steps after it, or torch is not there.
        ParameterError, LayoutError
            If an argument is out of bounds, or a target is no column.
        """
        self._check()
        table = read_features(X)
        columns = self._columns(table.names)
        first, last = (0, len(table.values)) if train is None else train
        if not 0 <= first < last <= len(table.values):
            raise ParameterError(
                f"`train` must be rows from 0 to {len(table.values):,}, the second behind the first, was {train!r}"
            )
        return self._learn(table, columns, first, last, seed)

    def _learn(self, table: FeatureTable, columns: Ints, first: int, last: int, seed: int) -> Self:
        """Train the net on rows with a whole window before and all steps after them."""
        net, values = self.net, table.values[:last]
        usable = usable_windows(values, net.window, allows_nan=False)
        told = ~np.isnan(values[:, columns]).any(axis=1)
        # Every step after the row is there, and none lies behind the train rows.
        ahead = np.zeros(len(values), dtype=np.int64)
        ahead[: max(len(values) - net.steps, 0)] = np.convolve(
            told.astype(np.int64), np.ones(net.steps, dtype=np.int64), "valid"
        )[1:]
        at = np.flatnonzero(usable & (ahead == net.steps))
        at = at[at >= first]
        if len(at) < 2:
            raise TrainingError(
                f"{len(at)} of {last - first:,} train rows have a whole window of {net.window} bars and {net.steps} "
                "steps after it: make train longer, or leave columns with NaN out"
            )
        device = pick_device("Forecaster", net.device, load_torch("Forecaster"))
        import torch

        from barproof.models import _fitting

        kept, held = holdout(at, at + net.steps, net.validation)
        if not len(kept) or len(held) < 2:
            kept, held = np.arange(len(at), dtype=np.int64), np.empty(0, dtype=np.int64)
        answers = Steps(values[:, columns], net.steps)
        task = Task(values, at, answers, kept, held, 0, seed)
        with _fitting.quiet_torch(net.threads):
            torch.manual_seed(_fitting.seed_epoch(seed, -1))
            module = net.sequence_module(values.shape[1], len(columns))
            module.register_buffer("target_scale", torch.ones(len(columns), dtype=torch.float64))
            course = _fitting.fit(net, module, task, device)
        self._module, self.features_ = module.cpu().eval(), table.names
        self._device = device
        self._facts = {
            "epochs": len(course.curve),
            "kept_epoch": course.best,
            "stopped_by": course.stopped_by,
            "curve": course.curve,
            "seconds": course.seconds,
            "rows": len(at),
            "last_row": int(at[-1] + net.steps),
            "parameters": sum(p.numel() for p in module.parameters()),
        }
        return self

    def _table(self, X: Any) -> FeatureTable:  # noqa: N803
        if not self.features_:
            raise TrainingError("the Forecaster is not fitted: call fit, or load one")
        return read_features(X, self.features_)

    def predict(self, X: Any, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Foresee every step of every target.

        Parameters
        ----------
        X : frame or mapping
            Columns of the fit, found by name; consecutive bars.
        rows : ndarray of int, optional
            Last bars of the windows. Default: every row.

        Returns
        -------
        ndarray of shape (n, steps, n_targets), float64
            In units of the series: element ``[i, s, j]`` foresees target `j` at bar ``rows[i] + 1 + s`` from bars
            up to ``rows[i]``. NaN where the window is not whole.
        """
        return self._predict(self._table(X).values, rows)

    def _predict(self, values: Floats, rows: Ints | None) -> Floats:
        """Ask about rows, in the units of the series; NaN where a window is not whole."""
        from barproof.models import _fitting

        net = self.net
        at = (
            np.arange(len(values), dtype=np.int64)
            if rows is None
            else np.asarray(rows, dtype=np.int64)
        )
        columns = self._columns(self.features_)
        out = np.full((len(at), net.steps, len(columns)), np.nan)
        known = usable_windows(values, net.window, allows_nan=False)[at]
        if known.any():
            with _fitting.quiet_torch(net.threads):
                told = _fitting.infer(net, self._module, values, at[known], self._device)
                self._module.cpu()
            scale = self._module.target_scale.numpy()
            out[known] = told * scale + values[at[known]][:, None, columns]
        return out

    def forecast(self, X: Any, target: str, *, step: int | None = None) -> Floats:  # noqa: N803
        """Foresee one series, taken out of the output by its name.

        Parameters
        ----------
        X : frame or mapping
            As for :meth:`predict`.
        target : str
            One of `targets`.
        step : int, optional
            How many bars ahead, from 1. Default: the last step.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            Element t foresees bar ``t + step`` from bars up to t.
        """
        place, number = self._place(target, step)
        found: Floats = self.predict(X)[:, number - 1, place]
        return found

    def _place(self, target: str, step: int | None) -> tuple[int, int]:
        """Give the number of a target, and a step; by default the last."""
        if target not in self.targets:
            raise ParameterError(
                f"`target` must be one of {', '.join(self.targets)}, was {target!r}"
            )
        number = self.net.steps if step is None else step
        if (
            isinstance(number, bool)
            or not isinstance(number, int)
            or not 1 <= number <= self.net.steps
        ):
            raise ParameterError(
                f"`step` must be a whole number from 1 to {self.net.steps}, was {step!r}"
            )
        return list(self.targets).index(target), number

    def signals(self, X: Any, target: str, *, step: int | None = None) -> Signals:  # noqa: N803
        """Forecasts of one series as scores: the relative change that is foreseen.

        Parameters
        ----------
        X, target, step
            As for :meth:`forecast`.

        Returns
        -------
        Signals
            ``kind="score"``: `long` is ``forecast / value - 1`` at the last bar of the window, `short` its negative.
        """
        table = self._table(X)
        place, number = self._place(target, step)
        now = table.values[:, self._columns(self.features_)[place]]
        score = self._predict(table.values, None)[:, number - 1, place] / now - 1.0
        return Signals(long=score, short=-score, kind="score")

    def walk_forward(
        self,
        X: Any,  # noqa: N803
        folds: Sequence[Fold],
        target: str,
        *,
        step: int | None = None,
        seed: int = 0,
    ) -> Floats:
        """Foresee the test rows of every fold by a net of its train rows.

        Parameters
        ----------
        X : frame or mapping
            As for :meth:`fit`, one row a bar of the candles that the folds are of.
        folds : sequence of Fold
            Of any splitter; forecasts of train rows end before the first row that is none, whatever their spans.
        target, step
            As for :meth:`forecast`.
        seed : int, default 0
            Each fold draws its own from it.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            NaN outside of test rows.
        """
        self._check()
        table = read_features(X)
        columns = self._columns(table.names)
        place, number = self._place(target, step)
        out = np.full(len(table.values), np.nan)
        for i, fold in enumerate(folds):
            own = type(self)(self.net.clone(), targets=self.targets)
            stream = np.random.SeedSequence([seed, i]).generate_state(1)
            first, last = int(fold.train[0]), int(fold.train[-1]) + 1
            own._learn(table, columns, first, last, int(stream[0]))
            found = own._predict(table.values, fold.test)
            out[fold.test] = found[:, number - 1, place]
        return out

    def scores(self, X: Any, rows: Ints | None = None) -> pl.DataFrame:  # noqa: N803
        """Judge forecasts, a row a target and step.

        Parameters
        ----------
        X, rows
            As for :meth:`predict`.

        Returns
        -------
        polars.DataFrame
            `target`, `step`, `n`, `r2_level` (of values, which is near 1 for any series that moves slowly: see `r2`),
            and of changes from the last bar `correlation`, `direction`, `r2`, `rmse`, as `evaluate` has them.
        """
        table = self._table(X)
        at = np.arange(len(table.values)) if rows is None else np.asarray(rows, dtype=np.int64)
        told = self._predict(table.values, at)
        records = []
        for j, column in enumerate(self._columns(self.features_)):
            series = table.values[:, column]
            for s in range(self.net.steps):
                inside = at + 1 + s < len(series)
                came = np.full(len(at), np.nan)
                came[inside] = series[at[inside] + 1 + s]
                known = ~np.isnan(came) & ~np.isnan(told[:, s, j])
                n = int(known.sum())
                record: dict[str, Any] = {"target": list(self.targets)[j], "step": s + 1, "n": n}
                if n:
                    said, real, now = told[known, s, j], came[known], series[at[known]]
                    spread = float(((real - real.mean()) ** 2).sum())
                    miss = float(((real - said) ** 2).sum())
                    record["r2_level"] = 1.0 - miss / spread if spread else float("nan")
                    for score in return_scores(said - now, real - now):
                        record[score.name] = float(score.value(n))
                records.append(record)
        return pl.DataFrame(records)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write weights, scaler, and what they belong to into one safetensors file, whole or not at all.

        Parameters
        ----------
        path : path-like
            File to write; what is there is replaced.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        FileError
            If the system refuses.
        """
        self._columns(self._table({name: [0.0] for name in self.features_}).names)
        told = {
            "format": FORMAT,
            "net": self.net.params,
            "targets": list(self.targets),
            "features": list(self.features_),
            "features_digest": features_digest(self.features_),
            "facts": self._facts,
        }
        arrays = {name: value.numpy() for name, value in self._module.state_dict().items()}
        arrays["told"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
        target = Path(path)
        try:
            with whole(target) as temporary:
                temporary.write_bytes(write_sealed(arrays))
        except OSError as error:
            raise FileError(
                f"forecaster {str(path)!r} cannot be written: {error.strerror or error}; choose a folder with room and "
                "write permission"
            ) from error
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote; it predicts the same bits on the same machine.

        Parameters
        ----------
        path : path-like
            File.

        Returns
        -------
        Forecaster
            Fitted; it predicts on the CPU.

        Raises
        ------
        BundleError
            If the file is damaged, or of something else.
        FileError
            If it cannot be read.
        TrainingError
            If torch is not installed.
        """
        where = f"forecaster {os.fspath(path)!r}"
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise FileError(f"{where} cannot be read: {error.strerror or error}") from error
        found = read_tensors(data, where)
        try:
            told = json.loads(found["told"].tobytes())
            # Files of the first format carry no digest.
            if told["format"] == FORMAT:
                found = read_sealed(data, where)
            del found["told"]
            made = cls(CrossMarketTransformer(**told["net"]), targets=told["targets"])
            names = tuple(told["features"])
            sound = told["format"] in (FORMAT, "forecaster/1") and told[
                "features_digest"
            ] == features_digest(names)
            facts = dict(told["facts"])
        except BundleError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BundleError(
                f"{where} tells not what it is: {type(error).__name__}: {error}; it is damaged, or of something else"
            ) from error
        if not sound:
            raise BundleError(
                f"{where} is of another format, or the list of its features was changed: save it again"
            )
        made._check()
        made._columns(names)
        torch = load_torch("Forecaster")

        def build() -> Any:
            module = made.net.sequence_module(len(names), len(made.targets))
            scale = torch.ones(len(made.targets), dtype=torch.float64)
            module.register_buffer("target_scale", scale)
            return module

        # Shapes first: a net on "meta" takes no memory, whatever sizes a file asks for.
        with torch.device("meta"):
            check_arrays(where, found, build().state_dict())
        module = build()
        module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in found.items()})
        made._module, made.features_, made._facts = module.eval(), names, facts
        made._device = pick_device("Forecaster", "cpu", torch)
        return made
