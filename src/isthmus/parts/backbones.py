"""The networks between data and code: an encoder, its mirror image, and a decoder that borrows the encoder's weights.

A backbone is a chain of affine layers. ``linear`` is one layer each way; ``mlp`` puts hidden layers between, with an
activation after each. The last layer of either side is raw: what follows it (code activation, likelihood) is not the
backbone's business.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def _layer(inputs: int, outputs: int) -> nn.Linear:
    """An affine layer: zero bias, uniform weights of variance 2 / (inputs + outputs) (Glorot and Bengio 2010)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _chain(widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(_layer(a, b) for a, b in itertools.pairwise(widths))


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
    """

    layers: Any  # an nn.ModuleList of nn.Linear; the stubs of torch lose what it holds

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], outputs: int, activation: str) -> None:
        super().__init__()
        self.layers = _chain([math.prod(shape), *hidden, outputs])
        self.activation = activation

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the raw code."""
        return self.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        h = x.flatten(1)
        *inner, last = self.layers
        for layer in inner:
            h = ACTIVATIONS[self.activation](layer(h))
        return last(h)


class Decoder(nn.Module):
    """Codes to raw outputs, the mirror image of :class:`Encoder`: (B, L) -> (B, *D).

    ``hidden`` is given as for the encoder, from the data to the code.
    """

    layers: Any

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], latents: int, activation: str) -> None:
        super().__init__()
        self.layers = _chain([latents, *reversed(hidden), math.prod(shape)])
        self.activation = activation
        self.shape = tuple(shape)

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L): column j is what code element j adds."""
        return self.layers[0].weight

    @property
    def last_bias(self) -> Tensor:
        """The bias of the output, (D,)."""
        return self.layers[-1].bias

    def forward(self, z: Tensor) -> Tensor:
        h = z
        *inner, last = self.layers
        for layer in inner:
            h = ACTIVATIONS[self.activation](layer(h))
        return last(h).reshape(len(z), *self.shape)


class TiedDecoder(nn.Module):
    """A mirror image that reads the encoder's weights, transposed, and owns its biases only: (B, L) -> (B, *D).

    The encoder is held in a tuple, which torch does not register: its weights stand once in ``state_dict`` and
    ``parameters()``, and a deep copy or a functional call of the whole model keeps the tie.
    """

    def __init__(self, encoder: Encoder, shape: Sequence[int]) -> None:
        super().__init__()
        self.source: tuple[Encoder] = (encoder,)
        self.biases = nn.ParameterList(torch.zeros(layer.in_features) for layer in reversed(encoder.layers))
        self.shape = tuple(shape)

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L)."""
        return self.source[0].layers[-1].weight.t()

    @property
    def last_bias(self) -> Tensor:
        """The bias of the output, (D,)."""
        return self.biases[-1]

    def forward(self, z: Tensor) -> Tensor:
        (encoder,) = self.source
        h = z
        for i, (layer, bias) in enumerate(zip(reversed(encoder.layers), self.biases, strict=True)):
            h = functional.linear(h, layer.weight.t(), bias)
            if i < len(self.biases) - 1:
                h = ACTIVATIONS[encoder.activation](h)
        return h.reshape(len(z), *self.shape)
