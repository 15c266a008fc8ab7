"""What all nets share: the training loop, the scaler in front, and how they are saved."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np

from barproof._tensors import read_tensors, write_tensors
from barproof.errors import ParameterError
from barproof.models._checks import (
    check_arrays,
    check_module,
    check_scale,
    load_torch,
    net_fault,
    no_room,
    pick_device,
    scale_facts,
)
from barproof.models._task import Task
from barproof.models.protocol import Configured, Floats, Ints, Kind, class_sums, holdout
from barproof.models.state import Reading, State

__all__ = ["Net"]


@dataclass(kw_only=True, eq=False, repr=False)
class Net(Configured):
    """What all nets share: the training loop, and the scaler in front.

    AdamW on the earlier train rows; the last share of them, before which rows whose labels reach in are left out, stops
    it, and the weights of its best epoch are kept. Rows with a NaN feature in their window train nothing and get NaN
    predictions. On one device, with one number of threads, a seed gives the same bits.

    Parameters
    ----------
    epochs : int, default 30
        Passes over the train rows, at most.
    batch : int, default 256
        Rows a step.
    learning_rate : float, default 0.001
        Above 0, at most 1.
    weight_decay : float, default 0.01
        Of AdamW, at least 0.
    schedule : {"cosine", "constant"}
        Whether the learning rate falls to 0 over all epochs.
    loss : {"cross_entropy", "focal"}
        For classes; returns are standardised by the train rows and have squared errors.
    focal_gamma, focal_alpha : float, default 2 and 0.25
        Lin et al. 2017; alpha scales the whole loss.
    label_smoothing : float, default 0
        Share of the target spread over all classes, below 1.
    spread : float, default 0
        Reward for probabilities that vary within a batch: this times their mean SD is taken off the loss. For nets that
        fall flat (S003); audit what comes of it.
    balanced : bool, default False
        Weigh classes to the same total; probabilities are then no longer those of the market.
    clip : float, optional
        Longest gradient; None does not clip. Default 1.
    validation : float, default 0.2
        Share of the train rows that stops; 0 trains all epochs on all rows.
    patience : int, default 5
        Epochs without a lower loss on those rows, after which it stops.
    amp : bool, default False
        Sums of products in bfloat16, which halves memory and costs digits.
    device : str, default "cpu"
        ``"cuda"``, ``"cuda:1"``, or ``"auto"`` for the first accelerator there is. Batches that do not fit into its
        memory are taken in halves, with a warning. Apple's ``"mps"`` has no double precision, which the scaler needs.
    threads : int, default 1
        Of torch on the CPU; other numbers give other last bits.
    inference : {"f32", "bf16", "fp16"}
        Precision of predictions. Halves are quicker on accelerators and cost digits:
        :func:`barproof.inference.changed_decisions` counts what it changes.
    compiled : bool, default False
        Compile the net before the first prediction, which takes a while and other last bits.
    resume : str, optional
        Folder where the training is saved after every epoch. One that was killed goes on from there, and ends with the
        same weights on the CPU. No part of `params`.
    """

    epochs: int = 30
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = 2.0
    focal_alpha: float = 0.25
    label_smoothing: float = 0.0
    spread: float = 0.0
    balanced: bool = False
    clip: float | None = 1.0
    validation: float = 0.2
    patience: int = 5
    amp: bool = False
    device: str = "cpu"
    threads: int = 1
    inference: Literal["f32", "bf16", "fp16"] = "f32"
    compiled: bool = False
    resume: str | None = field(default=None, compare=False)

    window = 1

    @property
    def precision(self) -> str:
        """What its predictions are held to when a bundle is read."""
        return "f32" if self.inference == "f32" and not self.compiled else "half"

    @property
    def allows_nan(self) -> bool:
        """A product with NaN is NaN."""
        return False

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter but `resume`, which changes no weight."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "resume"}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in told.items()}

    def clone(self) -> Self:
        """Copy without what was fitted."""
        return type(self)(**{f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def facts(self) -> dict[str, Any]:
        """How training went: epochs, the one that was kept, losses by epoch, seconds, parameters, scale of inputs."""
        return self._facts

    @abstractmethod
    def _body(self, features: int, outputs: int) -> Any:
        """Build what the scaler feeds."""

    def _sizes(self) -> None:
        """Check the parameters of the net itself."""

    def _check(self, kind: Kind) -> None:
        self._whole("epochs", 1, 100_000)
        self._whole("batch", 2, 10**7)
        self._real("learning_rate", 0.0, 1.0, open_low=True)
        self._real("weight_decay", 0.0)
        self._real("focal_gamma", 0.0, 100.0)
        self._real("focal_alpha", 0.0, 1.0, open_low=True)
        self._real("label_smoothing", 0.0, 0.99)
        self._real("spread", 0.0, 1_000.0)
        self._flag("balanced")
        self._real("validation", 0.0, 0.9)
        self._whole("patience", 1, 100_000)
        self._flag("amp")
        self._flag("compiled")
        self._whole("threads", 1, 1_024)
        if self.clip is not None:
            self._real("clip", 0.0, open_low=True)
        for name, known in (
            ("schedule", ("cosine", "constant")),
            ("loss", ("cross_entropy", "focal")),
            ("inference", ("f32", "bf16", "fp16")),
        ):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"`{name}` of {self.name} must be {' or '.join(known)}, was {getattr(self, name)!r}"
                )
        if self.balanced and kind == "regression":
            raise ParameterError(
                f"balanced=True of {self.name} weighs classes, and regression labels have none: leave it out"
            )
        self._sizes()

    def _rate(self, done: float) -> float:
        """Share of the learning rate after this share of the steps."""
        return 0.5 * (1.0 + math.cos(math.pi * done)) if self.schedule == "cosine" else 1.0

    def module(self, features: int, outputs: int) -> Any:
        """Build the ``torch.nn.Module``, not trained.

        Parameters
        ----------
        features, outputs : int
            Columns that go in, numbers that come out.

        Returns
        -------
        torch.nn.Module
            With the scaler in front: it takes raw features.

        Raises
        ------
        TrainingError
            If torch is not installed.
        """
        load_torch(self.name)
        from barproof.models._modules import Scaled

        return Scaled(features, self._body(features, outputs))

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
        """Train; `rows` number the rows of `X` where the net looks at a window.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        Net
            Itself.

        Raises
        ------
        TrainingError
            If torch or the device is not there, or the loss is no number.
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        """
        self._check(kind)
        device = pick_device(self.name, self.device, load_torch(self.name))
        import torch

        from barproof.models import _fitting

        classes = [] if kind == "regression" else np.unique(y).tolist()
        at = rows if self.window > 1 else np.arange(len(X), dtype=np.int64)
        kept, held = holdout(rows, ends, self.validation)
        if not len(kept) or len(held) < 2:
            kept, held = np.arange(len(rows), dtype=np.int64), np.empty(0, dtype=np.int64)
        target = np.searchsorted(classes, y).astype(np.float64) if classes else y
        task = Task(X, at, target, kept, held, len(classes), seed)
        with _fitting.quiet_torch(self.threads):
            torch.manual_seed(_fitting.seed_epoch(seed, -1))
            module = self.module(X.shape[1], max(len(classes), 1))
            try:
                course = _fitting.fit(self, module, task, device)
                entered = _fitting.table_on(X[np.unique(at[kept])], module, device).cpu().numpy()
            except torch.OutOfMemoryError as error:
                no_room(self.name, X.shape, device, error)
        self._module, self._device, self._classes = module.cpu(), device, len(classes)
        self._facts = {
            "epochs": len(course.curve),
            "kept_epoch": course.best,
            "stopped_by": course.stopped_by,
            "resumed_at": course.resumed,
            "curve": course.curve,
            "seconds": course.seconds,
            "rows_per_second": course.rows_per_second,
            "memory_bytes": course.memory,
            "parameters": sum(p.numel() for p in module.parameters()),
            "device": str(device),
            "torch": torch.__version__,
            "inputs": scale_facts(entered.astype(np.float64)),
        }
        return self

    def _infer(self, X: Floats, rows: Ints | None) -> Floats:  # noqa: N803
        """Ask the net about rows; afterwards its weights lie in main memory again."""
        import torch

        from barproof.models import _fitting

        at = np.arange(len(X), dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
        with _fitting.quiet_torch(self.threads):
            try:
                out = _fitting.infer(self, self._module, X, at, self._device)
            except torch.OutOfMemoryError as error:
                no_room(self.name, X.shape, self._device, error)
            finally:
                self._module.cpu()
        check_module(self.name, out.shape, len(at), max(self._classes, 1))
        return out

    def predict_proba(self, X: Floats, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features; of consecutive bars for a net with a window.
        rows : ndarray of int, optional
            Rows to predict, the windows before them being in `X`. Default: all.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes, summing to 1 in double precision.
        """
        out = self._infer(X, rows)
        # By columns: numpy is slow over short rows, and the bits are the same.
        most = out[:, 0].copy()
        for j in range(1, out.shape[1]):
            np.maximum(most, out[:, j], out=most)
        raised: Floats = np.exp(out - most[:, None], out=out)
        raised /= class_sums(raised)[:, None]
        return raised

    def predict(self, X: Floats, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Predicted returns.

        Parameters
        ----------
        X, rows
            As for :meth:`predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        mean, scale = float(self._module.answer_mean), float(self._module.answer_scale)
        found: Floats = self._infer(X, rows)[:, 0] * scale + mean
        return found

    def fault(self, features: int) -> str:
        """Name what the net is not any more since it was fitted.

        Parameters
        ----------
        features : int
            How many it is asked about.

        Returns
        -------
        str
            Rule and fault: a scaler that is gone or was never fitted (PAR-05), train mode or another type of numbers
            (CKP-07). Empty if there is none.
        """
        return net_fault(self._module, features)

    def state(self) -> State:
        """Weights, the scaler among them.

        Returns
        -------
        State
            What :meth:`restore` reads.

        Raises
        ------
        BundleError
            If what enters the first layer is not of order one (PAR-03).
        """
        check_scale(self.name, self._facts["inputs"])
        arrays = {name: value.numpy() for name, value in self._module.state_dict().items()}
        facts = self._facts | {"classes": self._classes}
        return State({"weights.safetensors": write_tensors(arrays)}, facts)

    @classmethod
    def restore(
        cls, params: dict[str, Any], state: State, *, features: int, reading: Reading
    ) -> Self:
        """Make a fitted net again; it predicts on the CPU until `device` says otherwise.

        Parameters
        ----------
        params, state, features, reading
            As for :meth:`barproof.models.Logistic.restore`.

        Returns
        -------
        Net
            Fitted.

        Raises
        ------
        BundleError
            If weights are not those of this net.
        TrainingError
            If torch is not installed.
        """
        net = cls._from(params, reading)
        net._check("binary")
        torch = load_torch(net.name)
        data = state.files["weights.safetensors"]
        classes = int(state.facts["classes"])
        # Shapes first: a net on "meta" takes no memory, whatever sizes a manifest asks for.
        with torch.device("meta"):
            module = net.module(features, max(classes, 1))
        found = read_tensors(data, reading.of("weights.safetensors"))
        check_arrays(reading.of("weights.safetensors"), found, module.state_dict())
        module = net.module(features, max(classes, 1))
        module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in found.items()})
        net._module, net._classes = module.eval(), classes
        net._device = pick_device(net.name, "cpu", torch)
        net._facts = {name: value for name, value in state.facts.items() if name != "classes"}
        return net

    @classmethod
    def _from(cls, params: dict[str, Any], reading: Reading) -> Self:  # noqa: ARG003
        given: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in params.items()
        }
        return cls(**given)
