"""Nets of the case studies behind the model protocol, and any ``torch.nn.Module`` of one's own.

The scaler is a layer of every net, fitted on the rows that train and saved with the weights. torch is loaded when a net
is fitted.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np

from barproof._tensors import read_tensors, write_tensors
from barproof.errors import LayoutError, ParameterError
from barproof.models._checks import (
    check_arrays,
    check_heads,
    check_module,
    check_scale,
    load_torch,
    net_fault,
    no_room,
    pick_device,
    scale_facts,
)
from barproof.models.protocol import Configured, Floats, Ints, Kind, class_sums, holdout
from barproof.models.state import Reading, State

__all__ = [
    "BarTransformer",
    "CrossMarketTransformer",
    "FeedForward",
    "LstmClassifier",
    "Net",
    "Torch",
]

_MOST = 65_536


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
        task = _fitting.Task(X, at, target, kept, held, len(classes), seed)
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


@dataclass(kw_only=True, eq=False, repr=False)
class FeedForward(Net):
    """Dense net on one row; the default is V7 of S001, with the scaler that it lacked.

    Parameters
    ----------
    hidden : tuple of int, default (256, 128, 64)
        Widths of the hidden layers.
    dropout : float, default 0.3
        Share of units left out in training, below 1.
    batch_norm : bool, default True
        Normalise each hidden layer by its batch.
    **training
        As for :class:`Net`. S001 trained V7 with ``loss="focal", label_smoothing=0.05, batch=64``. Its V6, four plain
        linear layers, is ``FeedForward(dropout=0, batch_norm=False)``.

    Examples
    --------
    >>> FeedForward(hidden=(32,), loss="focal")
    FeedForward(loss='focal', hidden=(32,))
    """

    hidden: tuple[int, ...] = (256, 128, 64)
    dropout: float = 0.3
    batch_norm: bool = True

    def _sizes(self) -> None:
        if not isinstance(self.hidden, (tuple, list)) or not all(
            type(n) is int and 1 <= n <= _MOST for n in self.hidden
        ):
            raise LayoutError(
                f"`hidden` of {self.name} must be a tuple of widths from 1 to {_MOST:,}, was {self.hidden!r}"
            )
        self._real("dropout", 0.0, 0.99)
        self._flag("batch_norm")

    def _body(self, features: int, outputs: int) -> Any:
        from barproof.models._modules import Dense

        return Dense(features, self.hidden, outputs, self.dropout, self.batch_norm)


@dataclass(kw_only=True, eq=False, repr=False)
class LstmClassifier(Net):
    """LSTM over the last bars; the default is that of S002.

    Parameters
    ----------
    window : int, default 20
        Bars that it looks at.
    hidden, layers : int, default 128 and 2
        Width and depth of the LSTM.
    embedding : int, default 2
        Numbers that the window is narrowed to before the head.
    dropout : float, default 0
        Between layers.
    **training
        As for :class:`Net`.

    Examples
    --------
    >>> LstmClassifier(window=10).params["hidden"]
    128
    """

    window: int = 20
    hidden: int = 128
    layers: int = 2
    embedding: int = 2
    dropout: float = 0.0

    def _sizes(self) -> None:
        self._whole("window", 1, 100_000)
        self._whole("hidden", 1, _MOST)
        self._whole("layers", 1, 100)
        self._whole("embedding", 1, _MOST)
        self._real("dropout", 0.0, 0.99)

    def _body(self, features: int, outputs: int) -> Any:
        from barproof.models._modules import Recurrent

        return Recurrent(features, self.hidden, self.layers, self.embedding, outputs, self.dropout)


@dataclass(kw_only=True, eq=False, repr=False)
class BarTransformer(Net):
    """Transformer encoder over the last bars; the default is the smaller one of S003.

    Parameters
    ----------
    window : int, default 32
        Bars that it looks at; 48 in S003's larger one.
    d_model, heads, layers : int, default 96, 4 and 2
        Width, heads and layers; 128, 8 and 3 in the larger one.
    feed_forward : int, default 192
        Width of the layers' inner part.
    dropout : float, default 0.1
        In training.
    **training
        As for :class:`Net`.

    Examples
    --------
    >>> BarTransformer(window=48, d_model=128, heads=8, layers=3)
    BarTransformer(window=48, d_model=128, heads=8, layers=3)
    """

    window: int = 32
    d_model: int = 96
    heads: int = 4
    layers: int = 2
    feed_forward: int = 192
    dropout: float = 0.1

    def _sizes(self) -> None:
        self._whole("window", 1, 100_000)
        self._whole("d_model", 1, _MOST)
        self._whole("heads", 1, 1_024)
        self._whole("layers", 1, 100)
        self._whole("feed_forward", 1, _MOST)
        self._real("dropout", 0.0, 0.99)
        check_heads(self.name, self.d_model, self.heads)

    def _body(self, features: int, outputs: int) -> Any:
        from barproof.models._modules import Encoder

        return Encoder(
            features,
            self.window,
            self.d_model,
            self.heads,
            self.layers,
            self.feed_forward,
            outputs,
            self.dropout,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class CrossMarketTransformer(Net):
    """Encoder-decoder over the channels of several markets; the default sizes are those of S000.

    As a model it learns the label from the last of its steps. For forecasts of all steps and channels, as S000 made
    them, take :meth:`sequence_module` and :func:`barproof.checkpoints.recreate`.

    Parameters
    ----------
    window, steps : int, default 120 and 24
        Bars that go in, and that come out.
    d_model, heads, encoders, decoders : int, default 256, 8, 6 and 4
        Width, heads, and layers of the two halves.
    feed_forward : int, default 1024
        Width of the layers' inner part.
    dropout : float, default 0.1
        In training.
    **training
        As for :class:`Net`.

    Examples
    --------
    >>> CrossMarketTransformer(window=60, steps=6, device="auto")
    CrossMarketTransformer(device='auto', window=60, steps=6)
    """

    window: int = 120
    steps: int = 24
    d_model: int = 256
    heads: int = 8
    encoders: int = 6
    decoders: int = 4
    feed_forward: int = 1_024
    dropout: float = 0.1

    def _sizes(self) -> None:
        self._whole("window", 1, 100_000)
        self._whole("steps", 1, 100_000)
        self._whole("d_model", 1, _MOST)
        self._whole("heads", 1, 1_024)
        self._whole("encoders", 1, 100)
        self._whole("decoders", 1, 100)
        self._whole("feed_forward", 1, _MOST)
        self._real("dropout", 0.0, 0.99)
        check_heads(self.name, self.d_model, self.heads)

    def _body(self, features: int, outputs: int) -> Any:
        return self._net(features, outputs, last=True)

    def _net(self, channels: int, outputs: int, *, last: bool) -> Any:
        from barproof.models._modules import EncoderDecoder

        return EncoderDecoder(
            channels,
            self.window,
            self.steps,
            outputs,
            self.d_model,
            self.heads,
            self.encoders,
            self.decoders,
            self.feed_forward,
            self.dropout,
            last=last,
        )

    def sequence_module(self, channels: int, outputs: int) -> Any:
        """Build the ``torch.nn.Module`` that forecasts every step.

        Parameters
        ----------
        channels, outputs : int
            Channels of a bar that go in, numbers of a step that come out.

        Returns
        -------
        torch.nn.Module
            From (n, window, channels) to (n, steps, outputs), with the scaler in front.

        Raises
        ------
        TrainingError
            If torch is not installed.
        ParameterError
            If sizes do not fit.
        """
        self._sizes()
        load_torch(self.name)
        from barproof.models._modules import Scaled

        return Scaled(channels, self._net(channels, outputs, last=False))


@dataclass(kw_only=True, eq=False, repr=False)
class Torch(Net):
    """A ``torch.nn.Module`` of your own, behind the same scaler and training loop.

    Parameters
    ----------
    factory : callable
        Called with the numbers of features and outputs, makes the module: from scaled rows of shape (n, features), or
        (n, window, features), to (n, outputs).
    label : str
        What it is called in bundles, and its configuration: two with equal labels and parameters count as the same.
    window : int, default 1
        Bars that it looks at.
    **training
        As for :class:`Net`.

    Examples
    --------
    >>> Torch(factory=len, label="mine", window=5).params["label"]
    'mine'
    """

    factory: Callable[[int, int], Any] = field(default=None, repr=False)  # type: ignore[assignment]
    label: str = "module"
    window: int = 1

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter but the factory, which `label` stands for."""
        return {name: value for name, value in super().params.items() if name != "factory"}

    def _sizes(self) -> None:
        self._whole("window", 1, 100_000)
        if not callable(self.factory):
            raise LayoutError(
                f"`factory` of {self.name} must be a function of features and outputs that makes a module, was "
                f"{self.factory!r}"
            )

    def _body(self, features: int, outputs: int) -> Any:
        return self.factory(features, outputs)

    @classmethod
    def _from(cls, params: dict[str, Any], reading: Reading) -> Self:
        return cls(factory=reading.factory, **params)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Torch({self.label!r}, window={self.window})"
