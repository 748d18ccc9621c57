"""Marginalised denoising, as the map that undoes zeroed elements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model
from isthmus.rivals.rival import RivalRecipe


class Undoing(Model):
    """The linear map that undoes hidden elements best; its features are tanh of what it makes of a row."""

    weight: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.weights = shape, math.prod(shape), {}
        self.register_buffer("weight", torch.zeros((self.latents, self.latents + 1), dtype=torch.float64))

    def encode(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> features (B, D)."""
        return torch.tanh(self._undone(x)).to(x.dtype)

    def decode(self, z: Tensor) -> Tensor:
        raise BadInput("marginalised denoising has features of rows and no way back from them; take reconstruct")

    def reconstruct(self, x: Tensor) -> Tensor:
        """What a row would be without masks and noise, (B, *D)."""
        return self._undone(x).view_as(x).to(x.dtype)

    def _undone(self, x: Tensor) -> Tensor:
        return x.flatten(1).double() @ self.weight[:, :-1].T + self.weight[:, -1]


@dataclass(kw_only=True, eq=False, repr=False)
class MarginalisedDenoising(RivalRecipe):
    """Undoes zeroed elements best, averaged over all ways to zero them (Chen, Xu, Weinberger and Sha 2012)."""

    family: ClassVar[str] = "marginalised denoising"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Undoing(shape)
