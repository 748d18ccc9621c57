"""Rows as they are, for who compresses them by rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from isthmus.model import Model
from isthmus.rivals.rival import RivalRecipe


class Unchanged(Model):
    """Rows are their own codes, so that ``isthmus compress`` rounds the rows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.weights = shape, math.prod(shape), {}

    def encode(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> (B, D)."""
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """``z`` (B, D) -> (B, *D)."""
        return z.reshape(len(z), *self.shape)


@dataclass(kw_only=True, eq=False, repr=False)
class Rounding(RivalRecipe):
    """Rows as they are, rounded to multiples of a step where they are compressed."""

    family: ClassVar[str] = "rounding"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Unchanged(shape)
