"""Top-k sparse autoencoder.

Makhzani and Frey (2014), k-sparse autoencoders, ICLR; Gao et al. (2024), Scaling and evaluating sparse autoencoders
(auxiliary loss for dead units).

    min  E[ -log p(x | z) + aux * -log p(x | z + z_dead) ] / D,   z = relu(top_k(f(x - pre)))

Exactly the k largest pre-activations pass, then relu: a row may use fewer than k units, never more. A unit is dead
when it has not fired for ``dead_after`` training rows; z_dead are the pre-activations of the dead units, all of them
and without relu, for a unit that is negative everywhere gets no gradient through one. Where we deviate: Gao et al.
fit at most k_aux dead units to the residual, with a linear decoder; we let them add to the code and ask for the same
reconstruction again, which is the same thing for a linear decoder with a gaussian head and has a meaning for every
other. The pre-bias is not tied to the decoder's bias, because under a bernoulli head the two have different units;
both start from the mean of the training rows. The decoder has no unit norm: without a penalty on the code's size
nothing is gained by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import heads
from isthmus.parts.gates import topk
from isthmus.parts.mirror import Mirror


@dataclass(kw_only=True, eq=False, repr=False)
class TopK(Recipe):
    """Sparse by construction: only the k largest code elements of a row pass."""

    family: ClassVar[str] = "topk"
    camp: ClassVar[str] = "sparse dictionary"

    k: int = knob(4, "Code elements that pass, 1 to latents.", search=Range(1, 8, whole=True), stacks=True)
    aux: float = knob(
        0.03125, "Weight of the reconstruction helped by dead units (alpha, 1/32 in Gao et al. 2024).", stacks=True
    )
    dead_after: int = knob(5000, "Training rows without firing after which a unit counts as dead.", stacks=True)

    def space(self) -> dict[str, Range]:
        """``k`` is drawn from 1 to half the code."""
        return super().space() | {"k": Range(1, max(1, self.latents // 2), whole=True)}

    def structure(self) -> dict[str, Any]:
        return super().structure() | {"limit": self.limit}

    @property
    def limit(self) -> int:
        """The largest k that shares a graph with this one: half or all of a small code, else the next power of two."""
        if self.latents <= 256:
            half = max(1, self.latents // 2)
            return half if self.k <= half else self.latents
        return min(self.latents, 1 << (self.k - 1).bit_length())

    def _check(self) -> None:
        super()._check()
        if not isinstance(self.k, int) or not 1 <= self.k <= self.latents:
            raise BadInput(f"topk: k must be a whole number from 1 to latents = {self.latents}; got {self.k!r}")
        if not 0 <= self.aux < math.inf:
            raise BadInput(f"topk: aux must be at least 0; got {self.aux!r}")
        if not isinstance(self.dead_after, int) or self.dead_after < 1:
            raise BadInput(f"topk: dead_after must be a whole number of at least 1; got {self.dead_after!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> TopKModel:
        return TopKModel(self, shape, head)


class TopKModel(Mirror):
    """Two terms: reconstruction and auxiliary. Seen: firings, rows. Remembered: rows since each unit fired."""

    k: Tensor
    dead_after: Tensor
    idle: Tensor

    def __init__(self, recipe: TopK, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"auxiliary": recipe.aux}
        self.limit = recipe.limit
        self.pre = nn.Parameter(torch.zeros(shape))
        self.register_buffer("k", torch.tensor(recipe.k), persistent=False)
        self.register_buffer("dead_after", torch.tensor(float(recipe.dead_after)), persistent=False)
        self.register_buffer("idle", torch.zeros(recipe.latents))

    def encode(self, x: Tensor) -> Tensor:
        return torch.relu(topk(self.encoder(x - self.pre), self.k, self.limit))

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        raw = self.encoder(x - self.pre)
        z = torch.relu(topk(raw, self.k, self.limit))
        dead = self.idle > self.dead_after
        revived = torch.where(dead, raw, 0.0)
        auxiliary = heads.nll(self.head, self.decoder(z + revived), target).mean() * dead.any()
        seen = {"fired": (z > 0).sum(0).to(z.dtype).detach(), "rows": z.new_full((), len(z))}
        return Loss({"reconstruction": self.misfit(z, target), "auxiliary": auxiliary}, seen)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        self.pre.copy_(x.mean(0))
        super().start(x)

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Wind the clock of the units that stayed silent, reset the others."""
        self.idle.add_(seen["rows"]).mul_(seen["fired"] == 0)
