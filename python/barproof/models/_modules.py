"""The torch modules behind the nets; loaded when one is fitted, for torch is an extra.

Every net is a `Scaled`: a scaler with buffers in front of a body. The scaler is part of the module, so that no
``state_dict`` can lack it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


class Scaler(nn.Module):
    """Mean and scale of each feature as buffers: ``(x - mean) / scale``, in double, given on in single precision."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(features, dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        """Scale the last axis."""
        # In place on what was just made: one table less to write and to read.
        return (x - self.mean).div_(self.scale).float()


class Scaled(nn.Module):
    """A scaler and what it feeds; for returns also the scale of the answer."""

    def __init__(self, features: int, body: Any) -> None:
        super().__init__()
        self.scaler = Scaler(features)
        self.body = body
        self.register_buffer("answer_mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("answer_scale", torch.ones((), dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        """Raw features to what the body says: logits, or standardised returns."""
        return self.body(self.scaler(x))


class Dense(nn.Sequential):
    """Linear layers, each with batch norm, ReLU and dropout, and a linear head."""

    def __init__(
        self, features: int, hidden: Sequence[int], outputs: int, dropout: float, batch_norm: bool
    ) -> None:
        layers: list[Any] = []
        width = features
        for size in hidden:
            layers.append(nn.Linear(width, size))
            if batch_norm:
                layers.append(nn.BatchNorm1d(size))
            layers += [nn.ReLU(), nn.Dropout(dropout)]
            width = size
        super().__init__(*layers, nn.Linear(width, outputs))


def folded(body: Dense) -> Callable[[Any], Any]:
    """Take each batch norm into the linear layer before it, as evaluation allows: the same answer but for rounding.

    Made anew for every pass over a table: weights that somebody changes are never answered for by older ones.
    """
    layers = list(body)
    steps = []
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if not isinstance(layer, nn.Linear):
            continue
        weight: Any = layer.weight
        bias: Any = layer.bias
        if isinstance(after, nn.BatchNorm1d):
            norm: Any = after
            rate = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
            weight = (weight.double() * rate[:, None]).float()
            bias = ((bias.double() - norm.running_mean.double()) * rate + norm.bias).float()
        steps.append((weight, bias))
    *hidden, head = steps

    def run(x: Any) -> Any:
        for weight, bias in hidden:
            x = nn.functional.linear(x, weight, bias).relu_()
        return nn.functional.linear(x, *head)

    return run


class Recurrent(nn.Module):
    """LSTM over a window, narrowed to an embedding, and a linear head."""

    def __init__(
        self, features: int, hidden: int, layers: int, embedding: int, outputs: int, dropout: float
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True, dropout=between)
        self.embedding = nn.Linear(hidden, embedding)
        self.head = nn.Linear(embedding, outputs)

    def forward(self, x: Any) -> Any:
        """(n, window, features) to (n, outputs)."""
        last = self.lstm(x)[0][:, -1]
        return self.head(torch.tanh(self.embedding(last)))


def positions(length: int, width: int) -> Any:
    """Sines and cosines by place (Vaswani et al. 2017); nothing is learned."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate[: width // 2])
    return table


class Encoder(nn.Module):
    """Transformer encoder over a window; the mean of its places goes to a linear head."""

    def __init__(
        self,
        features: int,
        window: int,
        width: int,
        heads: int,
        layers: int,
        feed_forward: int,
        outputs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.register_buffer("places", positions(window, width), persistent=False)
        layer = nn.TransformerEncoderLayer(width, heads, feed_forward, dropout, batch_first=True)
        # The fast path for nested tensors takes other sums in evaluation.
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Any) -> Any:
        """(n, window, features) to (n, outputs)."""
        return self.head(self.layers(self.embed(x) + self.places).mean(dim=1))


class EncoderDecoder(nn.Module):
    """Transformer from all channels of a window to some outputs at each of the next steps."""

    def __init__(
        self,
        channels: int,
        window: int,
        steps: int,
        outputs: int,
        width: int,
        heads: int,
        encoders: int,
        decoders: int,
        feed_forward: int,
        dropout: float,
        *,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.register_buffer("places", positions(window, width), persistent=False)
        self.queries = nn.Parameter(torch.zeros(steps, width))
        first = nn.TransformerEncoderLayer(width, heads, feed_forward, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(first, encoders, enable_nested_tensor=False)
        then = nn.TransformerDecoderLayer(width, heads, feed_forward, dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(then, decoders)
        self.head = nn.Linear(width, outputs)
        self.last = last
        nn.init.normal_(self.queries, std=0.02)

    def forward(self, x: Any) -> Any:
        """(n, window, channels) to (n, steps, outputs), or to those of the last step."""
        memory = self.encoder(self.embed(x) + self.places)
        asked = self.queries.expand(len(x), *self.queries.shape)
        told = self.head(self.decoder(asked, memory))
        return told[:, -1] if self.last else told
