"""The nearest training rows, as places between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.metrics.probes import NEIGHBOURS
from isthmus.model import Model
from isthmus.rivals.around import closest
from isthmus.rivals.rival import Among, Rival


class Near(Rival):
    """Places between training rows; a row is as odd as the fifth nearest is far."""

    known: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: Neighbours) -> None:
        super().__init__(shape, recipe.family)
        self.register_buffer("known", torch.zeros((recipe.places, math.prod(shape))))

    def score(self, x: Tensor) -> Tensor:
        """Distance to the fifth nearest place: (B, *D) -> (B,)."""
        known = self.known.double()
        centre = known.mean(0)
        distances, _ = closest(known - centre, x.flatten(1).double() - centre, min(NEIGHBOURS, len(known)))
        return distances.amax(1)


@dataclass(kw_only=True, eq=False, repr=False)
class Neighbours(Among):
    """The distance to the fifth nearest training row (Ramaswamy, Rastogi and Shim 2000), of places between them."""

    family: ClassVar[str] = "knn"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Near(shape, self)
