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
from isthmus.families.sae import SAE, SAEModel
from isthmus.model import knob


@dataclass(kw_only=True, eq=False, repr=False)
class Crosscoder(SAE):
    """One sparse code of several layers' activations; a unit pays for each layer that it writes into."""

    family: ClassVar[str] = "crosscoder"

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


class CrosscoderModel(SAEModel):
    """The three terms of sae, with a sparsity that adds up layers."""

    def __init__(self, recipe: Crosscoder, shape: tuple[int, ...], head: str, layers: int) -> None:
        super().__init__(recipe, shape, head)
        if len(self.decoder.dictionary) != math.prod(shape):  # entries write into a hidden layer, or are filters
            if (recipe.layers or 1) > 1:
                raise BadInput(
                    f"crosscoder: layers are told apart by one affine map; with {recipe.backbone}, hidden "
                    f"{recipe.hidden}, leave layers out"
                )
            layers = 1
        self.layers = layers

    def norms(self) -> Tensor:
        """How long a piece each unit writes into each layer, for a code of 1: (layers, L)."""
        columns = self.decoder.dictionary
        return columns.reshape(self.layers, -1, columns.shape[1]).norm(dim=1)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"sparsity": self.price(z) * (z * self.norms().sum(0)).sum(1).mean() / self.size}
