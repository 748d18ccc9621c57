"""Sparse autoencoder: a rectified dictionary with an L1 penalty, as language models are taken apart with.

Bricken et al. (2023), Towards monosemanticity: decomposing language models with dictionary learning, Transformer
Circuits Thread; the norm-weighted penalty: Conerly, Templeton, Bricken, Marcus and Henighan (2024), Update on how we
train SAEs, Circuits Updates, April 2024.

    min  E[ -log p(x | z) + strength * sum_j z_j ||d_j|| + aux * -log p(x | sg(z) + z_dead) ] / D,
    z = relu(f(x - pre))

d_j are the columns of the decoder's first layer. With ``dictionary_norm`` "unit" they are put back to unit norm after
each step; with "weighted" they are free and pay for their length. The penalty grows from 0 over the first ``warmup`` of
the steps. Where we deviate: dead units are brought back by the auxiliary term of Gao et al. (2024) instead of
resampling, which would be an event outside the loss; the pre-bias is not tied to the decoder's bias, because under a
bernoulli head the two have different units. ``l1`` is the classical model: the same penalty without pre-bias, tied
start and revival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from isthmus.model import Ramp, Range, knob
from isthmus.parts.dictionary import Dictionary, Revived, tempo
from isthmus.parts.gates import WIDE

DEARER = 10.0
"""10,000 rows of 256 columns made of 8 of 512 atoms, 1,024 units: strengths of 0.03, 0.3 and 1 leave 480, 102 and 14
units a row, and find the atoms with MCC 0.30, 0.65 and 0.94."""


@dataclass(kw_only=True, eq=False, repr=False)
class SAE(Revived):
    """A rectified dictionary with a pre-bias and an L1 penalty; dead units are brought back."""

    family: ClassVar[str] = "sae"
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
    dictionary_norm: str = knob(
        "weighted",
        "What keeps codes from shrinking: unit (norm of each entry) or weighted (penalty by its norm).",
        choices=("unit", "weighted"),
    )

    def space(self) -> dict[str, Range]:
        """Tuning tries strengths :data:`DEARER` times as high on a wide code, of which else far too many units fire."""
        found = super().space()
        if self.latents >= WIDE and "strength" in found:
            span = found["strength"]
            found["strength"] = span._replace(low=DEARER * span.low, high=DEARER * span.high)
        return found

    def tempo(self, size: int) -> float:
        """Wide dictionaries of long rows learn in smaller steps: :func:`isthmus.parts.dictionary.tempo`."""
        return tempo(self, size)

    def _build(self, shape: tuple[int, ...], head: str) -> SAEModel:
        return SAEModel(self, shape, head)


class SAEModel(Dictionary):
    """Three terms: reconstruction, auxiliary and sparsity."""

    def __init__(self, recipe: SAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, unit=recipe.dictionary_norm == "unit")
        self.weights |= {"sparsity": Ramp(recipe.strength, recipe.warmup) if recipe.warmup else recipe.strength}

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"sparsity": self.sized(z).sum(1).mean() / self.size}

    def sized(self, z: Tensor) -> Tensor:
        """Codes that mean the same whatever their column's norm, (B, L)."""
        return z if self.unit else z * self.decoder.dictionary.norm(dim=0)
