"""Vector-quantised autoencoder.

van den Oord, Vinyals and Kavukcuoglu (2017), Neural discrete representation learning, NIPS; codebook by exponential
moving averages, its appendix A.1.

    min  E[ -log p(x | e) + commitment * ||z - sg(e)||^2 ] / D,   e = nearest entries of the codebook to z = f(x)

The code is cut into ``latents / width`` positions; each becomes the nearest of ``codes`` shared entries, and the
gradient passes straight through. Entries move towards the mean of what they were nearest to. Where we deviate: an
entry whose moving count falls below ``LEAST_COUNT`` of a fair share is put back at a fixed draw from the normal
distribution with the mean and spread of the current codes; this is deterministic and needs sums only. The first
codebook is taken from codes of training rows.
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
from isthmus.parts import codebooks
from isthmus.parts.mirror import Mirror

LEAST_COUNT = 0.01


@dataclass(kw_only=True, eq=False, repr=False)
class VQ(Recipe):
    """A discrete code: each piece of it is replaced by the nearest entry of a learnt codebook."""

    family: ClassVar[str] = "vq"
    camp: ClassVar[str] = "discrete"

    codes: int = knob(64, "Entries of the codebook (K).")
    width: int | None = knob(None, "Width of one entry, a divisor of latents; null: the greatest common one with 4.")
    commitment: float = knob(
        0.25,
        "Weight that holds the encoder close to its entries (beta).",
        search=Range(0.05, 2.0, log=True),
        stacks=True,
    )
    decay: float = knob(0.99, "Decay of the moving averages per step (gamma).", stacks=True)

    @property
    def entry_width(self) -> int:
        """The width of one entry."""
        return math.gcd(self.latents, 4) if self.width is None else self.width

    def _check(self) -> None:
        super()._check()
        if not isinstance(self.codes, int) or self.codes < 2:
            raise BadInput(f"vq: codes must be a whole number of at least 2; got {self.codes!r}")
        if self.width is not None and (not isinstance(self.width, int) or self.width < 1 or self.latents % self.width):
            raise BadInput(f"vq: width must divide latents = {self.latents}; got {self.width!r}")
        if not 0 <= self.commitment < math.inf:
            raise BadInput(f"vq: commitment must be at least 0; got {self.commitment!r}")
        if not 0 <= self.decay < 1:
            raise BadInput(f"vq: decay must be at least 0 and below 1; got {self.decay!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> VQModel:
        return VQModel(self, shape, head)


class VQModel(Mirror):
    """Two terms: reconstruction and commitment. Seen: counts, sums and squares of codes. Remembered: the codebook."""

    estimated_gradients = ("encoder.",)
    decay: Tensor
    fixed: Tensor
    counts: Tensor
    sums: Tensor
    book: Tensor

    def __init__(self, recipe: VQ, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"commitment": recipe.commitment}
        size = (recipe.codes, recipe.entry_width)
        fixed = torch.randn(size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("decay", torch.tensor(float(recipe.decay)), persistent=False)
        self.register_buffer("fixed", fixed, persistent=False)
        self.register_buffer("counts", torch.ones(recipe.codes))
        self.register_buffer("sums", fixed.clone())
        self.register_buffer("book", fixed.clone())

    def pieces(self, x: Tensor) -> Tensor:
        """Codes before quantisation, (B * positions, width)."""
        return self.encoder(x).reshape(-1, self.book.shape[1])

    def encode(self, x: Tensor) -> Tensor:
        """The quantised vector, (B, L)."""
        chosen = codebooks.nearest(self.pieces(x), self.book)
        return (self.book.t() @ chosen).t().reshape(len(x), self.latents)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        pieces = self.pieces(x)
        chosen = codebooks.nearest(pieces.detach(), self.book)
        entries = (self.book.t() @ chosen).t()
        code = (pieces + (entries - pieces).detach()).reshape(len(x), self.latents)
        commitment = (pieces - entries).square().sum() / (len(x) * self.size)
        past = pieces.detach()
        sums = (past.t() @ chosen.t()).t()
        seen = {"counts": chosen.sum(1), "sums": sums, "squares": past.square().sum(0)}
        return Loss({"reconstruction": self.misfit(code, target), "commitment": commitment}, seen)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Take the first entries from the codes of training rows, evenly spaced and slightly moved apart."""
        super().start(x)
        pieces = self.pieces(x)
        picked = pieces[torch.linspace(0, len(pieces) - 1, len(self.book), device=x.device).long()]
        self.book.copy_(picked + 0.01 * pieces.std(0, correction=0) * self.fixed)
        self.sums.copy_(self.book)
        self.counts.fill_(1.0)
        super().start(x)  # again, for the output's bias follows from the entries

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Move the entries towards the codes they were nearest to; put forgotten ones back among the codes."""
        total = seen["counts"].sum()
        codebooks.move(self.counts, self.sums, seen["counts"], seen["sums"], self.decay)
        fair = total / len(self.counts)
        lost = self.counts < LEAST_COUNT * fair
        mean = seen["sums"].sum(0) / total
        spread = (seen["squares"] / total - mean.square()).clamp_min(0).sqrt()
        self.counts.copy_(torch.where(lost, fair, self.counts))
        self.sums.copy_(torch.where(lost.unsqueeze(1), fair * (mean + spread * self.fixed), self.sums))
        self.book.copy_(self.sums / self.counts.unsqueeze(1))
