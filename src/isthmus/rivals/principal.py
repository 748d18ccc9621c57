"""Principal components with noise, as axes and variances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model, knob
from isthmus.rivals.rival import Rival, RivalRecipe


class Axes(Rival):
    """Principal axes with their variances, and one noise."""

    mean: Tensor
    axes: Tensor
    variances: Tensor
    noise: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: PrincipalAxes) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        sizes = {"mean": (width,), "axes": (width, recipe.components), "variances": (recipe.components,), "noise": ()}
        for name, size in sizes.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        """Minus the log-likelihood: (B, *D) -> (B,)."""
        centred = x.flatten(1).double() - self.mean
        parts = (centred @ self.axes).square()
        rest = (centred.square().sum(1) - parts.sum(1)).clamp_min(0)
        width, count = self.axes.shape
        constant = width * math.log(2 * math.pi) + self.variances.log().sum() + (width - count) * self.noise.log()
        return (constant + (parts / self.variances).sum(1) + rest / self.noise) / 2

    def check(self) -> None:
        """Variances are above 0."""
        if not bool((self.variances > 0).all() and self.noise > 0):
            raise BadInput("probabilistic pca: variances must be above 0")


@dataclass(kw_only=True, eq=False, repr=False)
class PrincipalAxes(RivalRecipe):
    """How unlikely a row is under principal components with noise (Tipping and Bishop 1999)."""

    family: ClassVar[str] = "probabilistic pca"

    components: int = knob(1, "Principal components.", low=0, high=1 << 20)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Axes(shape, self)
