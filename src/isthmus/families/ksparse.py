"""k-sparse autoencoder.

Makhzani and Frey (2014), k-sparse autoencoders, ICLR.

    min  E[ -log p(x | z) ] / D,   z = the k largest elements of f(x), the others 0

A linear code of which only the k largest elements pass; no penalty, no rectifier. With a small k from the start many
units never win and die, so k falls linearly from ``first`` to its end over the first ``anneal`` of the plan's steps. A
row may be encoded with ``alpha`` times as many elements as it was trained with. Where we deviate: k falls with the
steps, not with the epochs; the decoder is not tied to the encoder by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, Timed, knob
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import SHARE, counts, topk
from isthmus.parts.schedule import passed


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
        low=1,
    )
    first: int | None = knob(
        None,
        "Code elements that pass at the start; null: the whole code.",
        low=1,
        only=("anneal is above 0", lambda r: r.anneal > 0),
    )
    anneal: float = knob(
        0.2,
        "Share of the plan's steps over which the number of elements that pass falls.",
        stacks=True,
        low=0.0,
        high=1.0,
    )
    alpha: float = knob(1.0, "How many times k elements pass at inference; the paper takes 1 to 3.", low=1.0)
    tied: bool = knob(False, "Whether the decoder uses the encoder's weights, transposed.", off=False)

    def space(self) -> dict[str, Range]:
        """``k`` is drawn as the width has it: :func:`isthmus.parts.gates.counts`."""
        return super().space() | {"k": counts(self.latents)}

    def capacities(self, shape: Sequence[int], rows: int, near: str | None = None) -> dict[str, dict[str, Any]]:
        """A wider code passes one in ``SHARE`` of its units, or ``k`` if that is more."""
        found = super().capacities(shape, rows, near)
        return {name: {**one, "k": max(self.k, one.get("latents", 0) // SHARE)} for name, one in found.items()}

    def _check(self) -> None:
        super()._check()
        for name in ("k", "first"):
            if (value := getattr(self, name)) is not None and value > self.latents:
                raise BadInput(
                    f"ksparse: {name} must be a whole number from 1 to latents = {self.latents}; got {value!r}"
                )
        if self.first is not None and self.first < self.k:
            raise BadInput(f"ksparse: first must be at least k = {self.k}; got {self.first!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> KSparseModel:
        return KSparseModel(self, shape, head)


class KSparseModel(Timed, EncoderDecoder):
    """One term: reconstruction. The clock says how many elements pass."""

    anneal: Tensor

    def __init__(self, recipe: KSparse, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, tied=recipe.tied)
        self.k, self.first = recipe.k, recipe.first or recipe.latents
        self.shipped = min(recipe.latents, round(recipe.alpha * recipe.k))
        self.register_buffer("anneal", torch.tensor(float(recipe.anneal)), persistent=False)

    @property
    def settles(self) -> float:
        return float(self.anneal)

    def passing(self) -> Tensor:
        """How many elements pass at this step of training, 0-dim."""
        return torch.round(self.k + (self.first - self.k) * (1 - passed(self.clock, self.anneal)))

    def encode(self, x: Tensor) -> Tensor:
        return topk(self.encoder(x), torch.tensor(self.shipped, device=x.device), self.shipped)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z = topk(self.encoder(x), self.passing(), self.first) if self.training else self.encode(x)
        return Loss({"reconstruction": self.misfit(z, target)}, {})
