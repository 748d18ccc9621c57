"""Sparse autoencoder with an L1 penalty and a unit-norm dictionary.

Olshausen and Field (1997), Sparse coding with an overcomplete basis set, Vision Research 37; as an autoencoder:
Cunningham, Ewart, Riggs, Huben and Sharkey (2023), Sparse autoencoders find highly interpretable features in language
models.

    min  E[ -log p(x | z) + strength * sum_j |z_j| ] / D,   z = relu(f(x)),   ||d_j|| = 1

d_j are the columns of the decoder's first layer: without their unit norm the penalty could be paid by a small code
and a large decoder. Where we deviate: the constraint is a projection after each step; the part of the gradient that
is parallel to d_j is not removed beforehand (Adam's moments see it, the projection undoes it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import penalties
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class L1(Recipe):
    """Sparse by an L1 penalty on a rectified code; the dictionary has unit norm."""

    family: ClassVar[str] = "l1"
    camp: ClassVar[str] = "classical"

    strength: float = knob(
        0.03,
        "Weight of the L1 norm of the code (lambda).",
        search=Range(0.003, 0.3, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> L1Model:
        return L1Model(self, shape, head)


class L1Model(EncoderDecoder):
    """Two terms: reconstruction and l1."""

    def __init__(self, recipe: L1, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, code="relu")
        self.weights |= {"l1": recipe.strength}
        self.project()

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z = self.encode(x)
        sparsity = penalties.l1(z) / self.size
        return Loss({"reconstruction": self.misfit(z, target), "l1": sparsity}, {})

    @torch.no_grad()
    def project(self) -> None:
        """Columns of the dictionary back to unit norm."""
        dictionary = self.decoder.dictionary
        dictionary.div_(dictionary.norm(dim=0, keepdim=True).clamp_min(1e-12))
