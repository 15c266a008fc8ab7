"""Nets of the case studies behind the model protocol, and any ``torch.nn.Module`` of one's own.

The scaler is a layer of every net, fitted on the rows that train and saved with the weights. torch is loaded when a net
is fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from barproof.errors import LayoutError
from barproof.models._checks import (
    check_heads,
    load_torch,
)
from barproof.models.net import Net
from barproof.models.state import Reading

__all__ = [
    "BarTransformer",
    "CrossMarketTransformer",
    "FeedForward",
    "LstmClassifier",
    "Torch",
]

_MOST = 65_536


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
