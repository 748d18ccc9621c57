"""Convolutions, for series (T,) or (T, C) and for images (H, W) or (H, W, C), of any size.

Each layer halves every axis (kernel 4, stride 2, padding 1: n becomes n // 2) until that axis has one element, where
its kernel is 1; then one affine layer gives the code. The decoder goes the same way back to exactly the same sizes. The
kernel is a multiple of the stride, so transposed convolutions cover all elements evenly and draw no checkerboard
(Odena, Dumoulin and Olah 2016, Deconvolution and checkerboard artifacts, Distill). A series is an image of width 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.activations import ACTIVATIONS
from isthmus.errors import BadInput
from isthmus.parts.backbones.dense import affine, norms

Size = tuple[int, int]


def grid(name: str, shape: Sequence[int], axes: int) -> tuple[int, int, int]:
    """Height, width and channels of rows of ``shape`` with one (series) or two (images) axes before the channels."""
    if len(shape) not in (axes, axes + 1):
        kind = "series (T,) or (T, C)" if axes == 1 else "images (H, W) or (H, W, C)"
        raise BadInput(
            f"backbone {name} takes {kind}; these rows have shape {tuple(shape)}: take backbone mlp, or give rows in "
            "their shape (Autoencoder: shape=)"
        )
    height, width = (shape[0], 1) if axes == 1 else (shape[0], shape[1])
    return height, width, shape[axes] if len(shape) > axes else 1


def sizes(start: Size, layers: int) -> list[Size]:
    """The size before the first layer and after each: halved, rounded down, never below 1."""
    found = [start]
    for _ in range(layers):
        height, width = found[-1]
        found.append((max(1, height // 2), max(1, width // 2)))
    return found


def _geometry(size: Size) -> dict[str, Any]:
    """Kernel, stride and padding of the layer that reads this size; an axis of one element stays."""
    halves = [n > 1 for n in size]
    return {
        "kernel_size": tuple(4 if h else 1 for h in halves),
        "stride": tuple(2 if h else 1 for h in halves),
        "padding": tuple(1 if h else 0 for h in halves),
    }


def _glorot(layer: Any) -> Any:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _finish(h: Tensor, normed: Any, i: int, activation: str) -> Tensor:
    """Normalise the channels of each place, if asked for, and activate. ``h`` (B, C, H, W)."""
    if len(normed):
        h = normed[i](h.movedim(1, -1)).movedim(-1, 1)
    return ACTIVATIONS[activation](h)


class ConvEncoder(nn.Module):
    """Rows to raw codes: (B, *D) -> (B, outputs). ``hidden`` are the channels of the layers; ``name`` is for errors."""

    layers: Any

    def __init__(
        self, name: str, shape: Sequence[int], hidden: Sequence[int], outputs: int, activation: str, norm: str
    ) -> None:
        super().__init__()
        self.grid = height, width, channels = grid(name, shape, 1 if name == "conv1d" else 2)
        *befores, after = sizes((height, width), len(hidden))
        pairs = zip(itertools.pairwise([channels, *hidden]), befores, strict=True)
        self.layers = nn.ModuleList(_glorot(nn.Conv2d(a, b, **_geometry(size))) for (a, b), size in pairs)
        self.norms = norms(hidden, norm)
        self.last = affine(hidden[-1] * math.prod(after), outputs)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> raw codes (B, outputs)."""
        h = x.reshape(x.shape[0], *self.grid).movedim(-1, 1)
        for i, layer in enumerate(self.layers):
            h = _finish(layer(h), self.norms, i, self.activation)
        return self.last(h.flatten(1))


class ConvDecoder(nn.Module):
    """Codes to raw outputs, the mirror image of :class:`ConvEncoder`: (B, L) -> (B, *D)."""

    layers: Any

    def __init__(
        self, name: str, shape: Sequence[int], hidden: Sequence[int], latents: int, activation: str, norm: str
    ) -> None:
        super().__init__()
        height, width, channels = grid(name, shape, 1 if name == "conv1d" else 2)
        *wholes, self.small = sizes((height, width), len(hidden))
        self.first = affine(latents, hidden[-1] * math.prod(self.small))
        layers: list[nn.Module] = []
        for (a, b), size in zip(itertools.pairwise([channels, *hidden]), wholes, strict=True):
            extra = (size[0] % 2 if size[0] > 1 else 0, size[1] % 2 if size[1] > 1 else 0)
            inner = len(layers) > 0  # the last layer's bias is one for each element
            layers.append(_glorot(nn.ConvTranspose2d(b, a, output_padding=extra, bias=inner, **_geometry(size))))
        self.layers = nn.ModuleList(reversed(layers))
        self.norms = norms([*reversed(hidden)], norm)
        self.last_bias = nn.Parameter(torch.zeros(math.prod(shape)))
        self.activation, self.shape = activation, tuple(shape)

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L): column j is what code element j adds."""
        return self.first.weight

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (B, L) -> raw outputs (B, *D)."""
        h = self.first(z).reshape(z.shape[0], -1, *self.small)
        for i, layer in enumerate(self.layers):
            h = layer(_finish(h, self.norms, i, self.activation))
        raw = h.movedim(1, -1).reshape(z.shape[0], -1) + self.last_bias
        return raw.reshape(z.shape[0], *self.shape)
