"""k-sparse autoencoder.

Makhzani and Frey (2014), k-sparse autoencoders, ICLR.

    min  E[ -log p(x | z) ] / D,   z = the k largest elements of f(x), the others 0

A linear code of which only the k largest elements pass; no penalty, no rectifier. With a small k from the start many
units never win and die, so k falls linearly from ``first`` to its end over ``anneal`` steps. A row may be encoded with
``alpha`` times as many elements as it was trained with. Where we deviate: k falls with the steps, not with the epochs;
the decoder is not tied to the encoder by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts.gates import topk
from isthmus.parts.mirror import Mirror


@dataclass(kw_only=True, eq=False, repr=False)
class KSparse(Recipe):
    """Only the k largest elements of a linear code pass; k falls from many to few during training."""

    family: ClassVar[str] = "ksparse"
    camp: ClassVar[str] = "classical"

    k: int = knob(
        4,
        "Code elements that pass at the end of training, 1 to latents.",
        search=Range(1, 8, whole=True),
        off=lambda recipe: recipe.latents,
    )
    first: int | None = knob(None, "Code elements that pass at the start; null: the whole code.")
    anneal: int = knob(500, "Optimiser steps over which the number of elements that pass falls.", stacks=True)
    alpha: float = knob(1.0, "How many times k elements pass at inference; the paper takes 1 to 3.")
    tied: bool = knob(False, "Whether the decoder uses the encoder's weights, transposed.", off=False)

    def space(self) -> dict[str, Range]:
        """``k`` is drawn from 1 to half the code."""
        return super().space() | {"k": Range(1, max(1, self.latents // 2), whole=True)}

    def _check(self) -> None:
        super()._check()
        for name in ("k", "first"):
            value = getattr(self, name)
            if name == "first" and value is None:
                continue
            if not isinstance(value, int) or not 1 <= value <= self.latents:
                raise BadInput(
                    f"ksparse: {name} must be a whole number from 1 to latents = {self.latents}; got {value!r}"
                )
        if self.first is not None and self.first < self.k:
            raise BadInput(f"ksparse: first must be at least k = {self.k}; got {self.first!r}")
        if not isinstance(self.anneal, int) or self.anneal < 0:
            raise BadInput(f"ksparse: anneal must be a whole number of at least 0; got {self.anneal!r}")
        if not 1 <= self.alpha < math.inf:
            raise BadInput(f"ksparse: alpha must be at least 1; got {self.alpha!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> KSparseModel:
        return KSparseModel(self, shape, head)


class KSparseModel(Mirror):
    """One term: reconstruction. Remembered: the steps taken, which say how many elements pass."""

    step: Tensor
    anneal: Tensor

    def __init__(self, recipe: KSparse, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, tied=recipe.tied)
        self.k, self.first = recipe.k, recipe.first or recipe.latents
        self.shipped = min(recipe.latents, round(recipe.alpha * recipe.k))
        self.register_buffer("anneal", torch.tensor(float(recipe.anneal)), persistent=False)
        self.register_buffer("step", torch.zeros(()))

    def passing(self) -> Tensor:
        """How many elements pass at this step of training, 0-dim."""
        left = 1 - (self.step / self.anneal.clamp(min=1)).clamp(max=1)
        return torch.where(self.anneal > 0, torch.round(self.k + (self.first - self.k) * left), self.k)

    def encode(self, x: Tensor) -> Tensor:
        return topk(self.encoder(x), torch.tensor(self.shipped, device=x.device), self.shipped)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z = topk(self.encoder(x), self.passing(), self.first) if self.training else self.encode(x)
        return Loss({"reconstruction": self.misfit(z, target)}, {"batches": x.new_ones(())})

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        self.step.add_(seen["batches"])
