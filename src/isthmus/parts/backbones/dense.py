"""Affine layers: an encoder, its mirror image, and a decoder that borrows the encoder's weights.

``linear`` is one layer each way; ``mlp`` puts hidden layers between, each followed by a normalisation if one is asked
for and an activation. With skips, what comes into a hidden layer is added to what leaves it, where both are hidden and
equally wide (He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, CVPR); the normalisation is
Ba, Kiros and Hinton (2016), Layer normalization.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.activations import ACTIVATIONS


def affine(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """An affine layer: zero bias, uniform weights of variance 2 / (inputs + outputs) (Glorot and Bengio 2010)."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def norms(widths: Sequence[int], norm: str) -> nn.ModuleList:
    """A layer normalisation for each hidden layer, or none at all."""
    return nn.ModuleList(nn.LayerNorm(width) for width in widths if norm == "layer")


def _chain(widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(affine(a, b) for a, b in itertools.pairwise(widths))


def _through(
    h: Tensor, layers: Sequence[Callable[[Tensor], Tensor]], normed: Any, activation: str, residual: bool
) -> Tensor:
    """The hidden layers one after the other, then the last one, raw."""
    *inner, last = layers
    for i, layer in enumerate(inner):
        out = layer(h)
        if len(normed):
            out = normed[i](out)
        out = ACTIVATIONS[activation](out)
        h = out + h if residual and i and out.shape == h.shape else out
    return last(h)


class Encoder(nn.Module):
    """Rows to raw codes: (B, *D) -> (B, outputs).

    Parameters
    ----------
    shape : tuple of int
        ``*D``; rows are flattened.
    hidden : sequence of int
        Widths of the hidden layers, from the data to the code.
    outputs : int
        Width of the last layer.
    activation : str
        A key of ``ACTIVATIONS``, after each hidden layer.
    norm : {"none", "layer"}
        Normalisation between a hidden layer and its activation.
    residual : bool, default False
        Whether a hidden layer as wide as the hidden layer before it gets a skip.
    """

    layers: Any  # an nn.ModuleList of nn.Linear; the stubs of torch lose what it holds

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        outputs: int,
        activation: str,
        norm: str = "none",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.layers = _chain([math.prod(shape), *hidden, outputs])
        self.norms = norms(hidden, norm)
        self.activation, self.residual = activation, residual

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the raw code."""
        return self.layers[-1]

    def depth(self) -> int:
        """How many layers."""
        return len(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> raw codes (B, outputs)."""
        return _through(x.flatten(1), self.layers, self.norms, self.activation, self.residual)


class Decoder(nn.Module):
    """Codes to raw outputs, the mirror image of :class:`Encoder`: (B, L) -> (B, *D).

    ``hidden`` is given as for the encoder, from the data to the code.
    """

    layers: Any

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latents: int,
        activation: str,
        norm: str = "none",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.layers = _chain([latents, *reversed(hidden), math.prod(shape)])
        self.norms = norms([*reversed(hidden)], norm)
        self.activation, self.residual = activation, residual
        self.shape = tuple(shape)

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L): column j is what code element j adds."""
        return self.layers[0].weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the output, (D,)."""
        return self.layers[-1].bias

    def depth(self) -> int:
        """How many layers."""
        return len(self.layers)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (B, L) -> raw outputs (B, *D)."""
        raw = _through(z, self.layers, self.norms, self.activation, self.residual)
        return raw.reshape(z.shape[0], *self.shape)


class TiedDecoder(nn.Module):
    """A mirror image that reads the encoder's weights, transposed, and owns its biases only: (B, L) -> (B, *D).

    The encoder is held in a tuple, which torch does not register: its weights stand once in ``state_dict`` and
    ``parameters()``, and a deep copy or a functional call of the whole model keeps the tie. Normalisations are not
    tied.
    """

    def __init__(self, encoder: Encoder, shape: Sequence[int]) -> None:
        super().__init__()
        self.source: tuple[Encoder] = (encoder,)
        self.biases = nn.ParameterList(torch.zeros(layer.in_features) for layer in reversed(encoder.layers))
        widths = [layer.in_features for layer in reversed(encoder.layers)][:-1]
        self.norms = norms(widths, "layer" if len(encoder.norms) else "none")
        self.shape = tuple(shape)

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L)."""
        return self.source[0].last.weight.t()

    @property
    def last_bias(self) -> Tensor:
        """The bias of the output, (D,)."""
        return self.biases[-1]

    def depth(self) -> int:
        """How many layers."""
        return len(self.biases)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (B, L) -> raw outputs (B, *D)."""
        (encoder,) = self.source
        pairs = zip(reversed(encoder.layers), self.biases, strict=True)
        layers = [partial(functional.linear, weight=layer.weight.t(), bias=bias) for layer, bias in pairs]
        raw = _through(z, layers, self.norms, encoder.activation, encoder.residual)
        return raw.reshape(z.shape[0], *self.shape)
