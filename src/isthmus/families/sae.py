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
bernoulli head the two have different units. With a ``target``, L0, which is usual for wide codes, the penalty is
multiplied by PRICE sqrt(D / target) c, c = the mean number of units that fire in a row / target, between 1 / BEND and
BEND, without a gradient. ``l1`` is the classical model: the same penalty without pre-bias, tied
start and revival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from isthmus.model import Ramp, Range, knob
from isthmus.parts.dictionary import Dictionary, Revived, tempo
from isthmus.parts.gates import WIDE, usual

PRICE, BEND = 6.0, 2.0
"""What the usual strengths are multiplied by for pieces of unit length, and how far the number of units that fire may
bend that. A standardised row is about sqrt(D) long, and each of ``target`` pieces of it about sqrt(D / target). Rows of
256 columns and 1,024 units need 0.19 times that length for a target of 32, those of 768 and 2,048 units 0.25 times for
64; ``gated``, whose usual strength is three times that of ``sae``, 0.5 and 0.6 times (docs/dictionaries.md)."""
DEARER = 10.0
"""What tuning multiplies strengths by on a wide code without a target, of which else far too many units fire."""


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
    target: float | None = knob(
        None,
        "Units of a row that fire (L0), which the penalty is fitted to; 0: as few as it makes; null: one in 32 of a "
        "code of 256 or more, else 0.",
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
        """Tuning stays nearer to the usual strength where there is a target; without one it tries strengths
        :data:`DEARER` times as high on a wide code."""
        found = super().space()
        low, high = (span := found["strength"]).low, span.high
        if self.aim:
            low, high = (low**3 * high) ** 0.25, (low * high**3) ** 0.25
        elif self.latents >= WIDE:
            low, high = DEARER * low, DEARER * high
        found["strength"] = span._replace(low=low, high=high)
        return found

    @property
    def aim(self) -> float:
        """The units of a row that are to fire; 0 if as few as the penalty makes."""
        if self.target is None:
            return float(usual(self.latents)) if self.latents >= WIDE else 0.0
        return self.target

    def tempo(self, size: int) -> float:
        """Wide dictionaries of long rows learn in smaller steps: :func:`isthmus.parts.dictionary.tempo`."""
        return tempo(self, size)

    def _build(self, shape: tuple[int, ...], head: str) -> SAEModel:
        return SAEModel(self, shape, head)


class SAEModel(Dictionary):
    """Three terms: reconstruction, auxiliary and sparsity."""

    def __init__(self, recipe: SAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, unit=recipe.dictionary_norm == "unit")
        self.target = recipe.aim
        self.weights |= {"sparsity": Ramp(recipe.strength, recipe.warmup) if recipe.warmup else recipe.strength}

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"sparsity": self.price(z) * self.sized(z).sum(1).mean() / self.size}

    def price(self, z: Tensor) -> Tensor | float:
        """What a unit of the penalty costs where there is a target, from the codes (B, L) that pay; else 1."""
        if not self.target:
            return 1.0
        share = (z.detach() > 0).sum(1).to(z.dtype).mean() / self.target
        return PRICE * math.sqrt(self.size / self.target) * share.clamp(1 / BEND, BEND)

    def sized(self, z: Tensor) -> Tensor:
        """Codes that mean the same whatever their column's norm, (B, L)."""
        return z if self.unit else z * self.decoder.dictionary.norm(dim=0)
