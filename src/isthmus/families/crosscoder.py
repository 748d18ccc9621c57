"""Crosscoder: one code for several layers, or several networks, at once.

Lindsey, Templeton, Marcus, Conerly, Batson and Olah (2024), Sparse crosscoders for cross-layer features and model
diffing, Transformer Circuits Thread.

    min  E[ sum_l ||x_l - pre'_l - sum_j z_j d_jl||^2 / 2 + strength * sum_j z_j sum_l ||d_jl||
            + aux * -log p(x | sg(z) + z_dead) ] / D,   z = relu(sum_l W_l (x_l - pre_l) + b)

A row holds the activations of the layers one after the other, (layers, width) or flat; d_jl is what unit j writes into
layer l. The norms are added over layers and not taken of the whole, so that a unit pays for every layer that it writes
into: it is found in few, and its norms tell in which. Where we deviate: dead units are brought back by the auxiliary
term of Gao et al. (2024), as in ``sae``, whose start this has too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Ramp, Range, knob
from isthmus.parts.dictionary import Dictionary, Revived


@dataclass(kw_only=True, eq=False, repr=False)
class Crosscoder(Revived):
    """One sparse code of several layers' activations; a unit pays for each layer that it writes into."""

    family: ClassVar[str] = "crosscoder"
    camp: ClassVar[str] = "sparse dictionary"

    strength: float = knob(
        0.03,
        "Weight of the sparsity penalty (lambda).",
        search=Range(0.003, 0.3, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    warmup: float = knob(
        0.0,
        "Share of the plan's steps over which the weight of the penalty grows from 0.",
        stacks=True,
        off=0.0,
        low=0.0,
        high=1.0,
    )
    layers: int | None = knob(
        None,
        "Layers that a row holds one after the other; null: as many as its first axis has, one of a flat row.",
        low=1,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> CrosscoderModel:
        layers = self.layers or (shape[0] if len(shape) > 1 else 1)
        if math.prod(shape) % layers:
            raise BadInput(f"crosscoder: layers must divide the {math.prod(shape)} elements of a row; got {layers}")
        return CrosscoderModel(self, shape, head, layers)


class CrosscoderModel(Dictionary):
    """Three terms: reconstruction, auxiliary and sparsity."""

    def __init__(self, recipe: Crosscoder, shape: tuple[int, ...], head: str, layers: int) -> None:
        super().__init__(recipe, shape, head)
        self.layers = layers
        self.weights |= {"sparsity": Ramp(recipe.strength, recipe.warmup) if recipe.warmup else recipe.strength}

    def norms(self) -> Tensor:
        """How long a piece each unit writes into each layer, for a code of 1: (layers, L)."""
        columns = self.decoder.dictionary
        return columns.reshape(self.layers, -1, columns.shape[1]).norm(dim=1)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"sparsity": (z * self.norms().sum(0)).sum(1).mean() / self.size}
