"""What a rival that ships is made of: a network of parameters, so that it is saved as families are.

No pickle, no training row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.layout import Layout
from isthmus.errors import BadInput
from isthmus.model import Model, Recipe, knob


class Rival(Model):
    """What has no codes of rows: it scores them, or draws new ones (:class:`Drawing`)."""

    def __init__(self, shape: tuple[int, ...], name: str) -> None:
        super().__init__()
        self.shape, self.latents, self.weights, self.name = shape, 1, {}, name

    def encode(self, x: Tensor) -> Tensor:
        raise BadInput(f"{self.name} scores rows and has no codes of them; take a family of autoencoders for that")

    def decode(self, z: Tensor) -> Tensor:
        return self.encode(z)

    def check(self) -> None:
        """Refuse parameters, from a file, that no training ends with."""


class Drawing(Rival):
    """What draws new rows and does nothing else."""

    @property
    def alone(self) -> str:
        """What is said to who wants more of it."""
        return f"{self.name} draws new rows and does nothing else: isthmus sample MODEL, .sample(n) in Python"

    def rows(self, n: int, seed: int, layout: Layout) -> NDArray[np.float32]:
        """``n`` rows as a layout has them, (n, *D); the same for the same seed."""
        raise NotImplementedError

    def exact(self, cells: NDArray[Any], layout: Layout) -> NDArray[Any]:
        """Cells (n, F) of drawn rows as the data have them: 32 bits hold these up to rounding alone."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        raise BadInput(self.alone)

    def score(self, x: Tensor) -> Tensor:
        return self.encode(x)


@dataclass(kw_only=True, eq=False, repr=False)
class RivalRecipe(Recipe):
    """A rival's sizes: what its parameters' shapes follow from."""

    camp: ClassVar[str] = "rival"

    def to_json(self) -> dict[str, Any]:
        """Its own sizes only: of layers and codes it has none."""
        known = Recipe.__dataclass_fields__
        return {"family": self.family, **{k: v for k, v in super().to_json().items() if k not in {"family", *known}}}


@dataclass(kw_only=True, eq=False, repr=False)
class Among(RivalRecipe):
    """That of a rival which compares rows with places between training rows."""

    places: int = knob(1000, "Places between training rows.", low=1, high=1 << 24)


class Network(NamedTuple):
    """A rival that was fitted."""

    recipe: RivalRecipe
    parameters: Mapping[str, Any]
    """Buffer of the network that the recipe builds -> its values."""
