"""Winner-take-all autoencoder.

Makhzani and Frey (2015), Winner-take-all autoencoders, NIPS; the fully connected one.

    min  E[ -log p(x | z) ] / D,   z_j = relu(f_j(x)) in the ``rate`` of a batch's rows where it is largest, else 0

Lifetime sparsity: every unit passes in the same share of rows, so none is always on. The choice is made for each unit
over the batch in training only; a row is encoded by the rectified code alone, which no loss lowers, so trainings are
stopped by the same competition among all validation rows. Where we deviate: ties at the border all pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class WTA(Recipe):
    """Each unit is kept only in a small share of the rows of a batch: those where it is strongest."""

    family: ClassVar[str] = "wta"
    camp: ClassVar[str] = "classical"

    rate: float = knob(
        0.2,
        "Share of a batch's rows in which a unit passes; at least one row.",
        search=Range(0.05, 0.6),
        off=1.0,
        above=0.0,
        high=1.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> WTAModel:
        return WTAModel(self, shape, head)


class WTAModel(EncoderDecoder):
    """One term: reconstruction."""

    judged: str = "trained"

    def __init__(self, recipe: WTA, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, code="relu")
        self.rate = recipe.rate

    def winners(self, z: Tensor) -> Tensor:
        """Each unit's largest activations over the rows, the others 0: (B, L) -> (B, L)."""
        border = z.topk(max(1, round(self.rate * len(z))), dim=0).values[-1]
        return z * (z >= border)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z = self.encode(x)
        return Loss({"reconstruction": self.misfit(self.winners(z) if self.training else z, target)}, {})
