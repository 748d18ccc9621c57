"""Robust autoencoder: rows are a part that can be rebuilt and a part that cannot.

Zhou and Paffenroth (2017), Anomaly detection with robust deep autoencoders, KDD.

    min over S  E[ ||x - S - g(z)||^2 / 2 + strength * ||S|| ] / D,   z = f(x)

S takes what does not fit: single elements (``l1``: ||S|| = sum_i |s_i|) or whole rows (``l21``: ||S|| = the row's
length). Where we deviate: the paper holds S for every training row and alternates between it and the network; here S
is minimised over in closed form for each batch, which is a soft threshold of the residual. What remains is a loss that
is half a square near 0 and linear beyond ``strength``: Huber's, of elements or of rows. The encoder sees whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts.encoder_decoder import EncoderDecoder

TINY = 1e-12


@dataclass(kw_only=True, eq=False, repr=False)
class RDA(Recipe):
    """Splits rows into what a code can rebuild and a few outliers that it need not rebuild."""

    family: ClassVar[str] = "rda"
    camp: ClassVar[str] = "robust"

    head: str = knob("gaussian", "Likelihood of the output: the split is of squared errors.")
    strength: float = knob(
        0.3,
        "Price of an outlier per unit of its size (lambda): errors above it, in scaled units, get no larger gradient.",
        search=Range(0.03, 1.0, log=True),
        stacks=True,
        above=0.0,
    )
    outliers: str = knob("l1", "What an outlier is: l1 (single elements), l21 (whole rows).", choices=("l1", "l21"))

    def _check(self) -> None:
        super()._check()
        if self.head not in {"auto", "gaussian"}:
            raise BadInput(f"rda: head must be gaussian (it splits squared errors); got {self.head!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> RDAModel:
        return RDAModel(self, shape, "gaussian")


class RDAModel(EncoderDecoder):
    """One term: reconstruction, of what is not an outlier."""

    strength: Tensor

    def __init__(self, recipe: RDA, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.rows = recipe.outliers == "l21"
        self.register_buffer("strength", torch.tensor(float(recipe.strength)), persistent=False)

    def outlying(self, residual: Tensor) -> Tensor:
        """The S that fits a residual best, its soft threshold: (B, *D) -> (B, *D)."""
        size = residual.abs()
        if self.rows:
            size = (residual.flatten(1).square().sum(1) + TINY).sqrt().reshape(-1, *[1] * (residual.dim() - 1))
        return residual * (1 - self.strength / size.clamp(min=TINY)).clamp(min=0)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        residual = target - self.decoder(self.encode(x))
        outliers = self.outlying(residual)
        lengths = (outliers.flatten(1).square().sum(1) + TINY).sqrt() if self.rows else outliers.abs().flatten(1).sum(1)
        cost = 0.5 * (residual - outliers).square().flatten(1).sum(1) + self.strength * lengths
        return Loss({"reconstruction": cost.mean() / self.size}, {})

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as (what is left, outliers), which add up to them: (B, *D) -> twice (B, *D)."""
        outliers = self.outlying(x - self.decoder(self.encode(x)))
        return x - outliers, outliers
