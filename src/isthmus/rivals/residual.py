"""What a linear map leaves of a window of a series, squared: principal components, polynomials, the step before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.model import Model, knob
from isthmus.rivals.rival import Network, Rival, RivalRecipe


class Residual(Rival):
    """A row is as odd as the square of what the map makes of it is large."""

    mean: Tensor
    map: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: LinearResidual) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        for name, size in {"mean": (width,), "map": (width, recipe.parts)}.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        """``|map' (x - mean)|^2``: (B, *D) -> (B,)."""
        return ((x.flatten(1).double() - self.mean) @ self.map).square().sum(1)


@dataclass(kw_only=True, eq=False, repr=False)
class LinearResidual(RivalRecipe):
    """That of a rival which says what a window would be."""

    parts: int = knob(1, "Directions of windows in which something is left.", low=0, high=1 << 24)

    @classmethod
    def of(cls, left: NDArray[np.float64], mean: NDArray[np.float64] | None = None) -> Network:
        """From a map (D, K) and a mean (D,), by default 0."""
        return Network(cls(parts=left.shape[1]), {"mean": np.zeros(len(left)) if mean is None else mean, "map": left})

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Residual(shape, self)


@dataclass(kw_only=True, eq=False, repr=False)
class SubPCA(LinearResidual):
    """Parts of a window along principal axes of training windows, each over its variance (Shyu et al. 2003)."""

    family: ClassVar[str] = "sub-pca"


@dataclass(kw_only=True, eq=False, repr=False)
class PolynomialResidual(LinearResidual):
    """What a polynomial in time, fitted to each channel of a window, leaves of it."""

    family: ClassVar[str] = "polynomial residual"


@dataclass(kw_only=True, eq=False, repr=False)
class Persistence(LinearResidual):
    """The change from each step of a window to the next."""

    family: ClassVar[str] = "persistence"
