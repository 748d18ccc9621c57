"""Conditional variational autoencoder.

Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative models, NIPS.

    min  E[ -log p(x | z, y) + beta * KL(q(z | x, y) || N(0, I)) ] / D,   a row is (x, y), x of D columns

The last ``condition`` columns of a row are the condition y: classes as zeros and ones, say. Encoder and decoder see it,
so the code need not say it. A code is (z, y), its last elements the condition itself: to draw rows of one kind, set
them. Where we deviate: the prior does not depend on y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.families.vae import VAE, VAEModel
from isthmus.model import knob

KEPT = 256  # conditions that the prior draws from


@dataclass(kw_only=True, eq=False, repr=False)
class CVAE(VAE):
    """A variational code next to a given condition, so that rows of a chosen kind can be drawn."""

    family: ClassVar[str] = "cvae"
    wants: ClassVar[str] = "a condition among the columns of each row"

    condition: int = knob(
        1, "Number of columns at the end of a row that are the condition; as many code elements hold it.", low=1
    )

    def _check(self) -> None:
        super()._check()
        if self.condition >= self.latents:
            raise BadInput(
                f"cvae: condition must be a whole number from 1 to latents - 1 = {self.latents - 1}, for it is part of "
                f"the code; got {self.condition!r}"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> CVAEModel:
        if len(shape) != 1 or shape[0] <= self.condition:
            got = f"n_features = {shape[0]}" if len(shape) == 1 else f"shape {shape}"
            raise BadInput(f"cvae: rows must be tables of more columns than condition = {self.condition}; got {got}")
        if not isinstance(head, str):
            raise BadInput("cvae: its condition is the last numbers of a row, and this is a table of several kinds")
        return CVAEModel(self, shape, head)


class CVAEModel(VAEModel):
    """Two terms: reconstruction (of the columns that are not the condition) and kl. Noise: (B, L - condition).

    Remembered besides: conditions of training rows, which the prior draws from.
    """

    conditions: Tensor

    def __init__(self, recipe: CVAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.condition = recipe.condition
        self.size -= recipe.condition  # a condition is given: it has no likelihood, and no share in any mean
        self.free = recipe.latents - recipe.condition
        self.register_buffer("conditions", torch.zeros((KEPT, recipe.condition)))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, y), both (B, L - condition)."""
        mean, log_variance = super().posterior(x)
        return mean[:, : self.free], log_variance[:, : self.free]

    @property
    def noises(self) -> int:
        return self.free

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes beside conditions of training rows, (n, L)."""
        which = torch.randint(len(self.conditions), (n,), generator=generator)
        return torch.cat([super().prior(n, generator)[:, : self.free], self.conditions[which]], dim=1)

    def proposals(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, ratio = super().proposals(x, noise)
        return torch.cat([z, x[:, None, -self.condition :].expand(-1, noise.shape[1], -1)], dim=2), ratio

    def encode(self, x: Tensor) -> Tensor:
        """(posterior's mean, condition): (B, D) -> (B, L)."""
        return torch.cat([self.posterior(x)[0], x[:, -self.condition :]], dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """(rebuilt columns, condition): (B, L) -> (B, D)."""
        return torch.cat([super().decode(z)[:, : -self.condition], z[:, -self.condition :]], dim=1)

    def score(self, x: Tensor) -> Tensor:
        """The squared error per element that was rebuilt, (B, D) -> (B,)."""
        return (self.rebuilt(self.reconstruct(x)) - self.rebuilt(x)).square().mean(1)

    def rebuilt(self, x: Tensor) -> Tensor:
        """All columns but the condition."""
        return x[:, : self.size]

    def misfit(self, z: Tensor, target: Tensor) -> Tensor:
        return self.row_misfit(torch.cat([z, target[:, -self.condition :]], dim=1), target).mean()

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        super().start(x)
        self.conditions.copy_(x[torch.linspace(0, len(x) - 1, KEPT, device=x.device).long(), -self.condition :])
