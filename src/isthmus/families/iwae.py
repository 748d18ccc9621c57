"""Importance-weighted autoencoder.

Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR.

    min  -E[ log( 1/k * sum_i p(x | z_i) (p(z_i) / q(z_i | x))^beta ) ] / D,   z_1 .. z_k drawn from q(z | x)

With beta = 1 a tighter bound on log p(x) than the VAE's, which is its case k = 1: draws that explain a row badly count
little, so the posterior need not be right everywhere. Where we deviate: ``beta``, which stands inside the bound; the
variance of a gaussian head (see ``vae``), which is the mean of the draws' squared errors weighted as the bound weights
them: where that variance no longer moves, the bound has no slope in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, knob
from isthmus.parts.posterior import Posterior, Variational


@dataclass(kw_only=True, eq=False, repr=False)
class IWAE(Variational):
    """A variational code trained on a tighter bound: the best of several draws for each row count most."""

    family: ClassVar[str] = "iwae"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        1.0,
        "Power of the prior over the posterior in a draw's weight; 1 is the evidence bound.",
        search=Range(0.02, 2.0, log=True),
        stacks=True,
        low=0.0,
    )
    samples: int = knob(5, "Draws for each row (k); 1 is the VAE.", off=1, low=1)

    def _check(self) -> None:
        super()._check()
        if self.warmup:
            raise BadInput("iwae: the bound has no separate divergence whose weight could grow: leave warmup at 0")

    def _build(self, shape: tuple[int, ...], head: str) -> IWAEModel:
        return IWAEModel(self, shape, head)


class IWAEModel(Posterior):
    """One term, reconstruction: the whole bound. Noise: (B, k, L) normal."""

    inner_weights = ("beta",)
    beta: Tensor

    def __init__(self, recipe: IWAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.samples = recipe.samples
        self.register_buffer("beta", torch.tensor(float(recipe.beta)), persistent=False)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        size = (len(x), self.samples, self.latents)
        return torch.randn(size, generator=generator, dtype=x.dtype, device=x.device)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        drawn = torch.zeros((len(x), 1, self.latents), dtype=x.dtype, device=x.device) if noise is None else noise
        log_weights, error = self.log_weights(x, target, drawn)
        bound = torch.logsumexp(log_weights, dim=1) - math.log(drawn.shape[1])
        weighted = (log_weights.detach().softmax(1) * error.detach()).sum(1).mean()
        return Loss({"reconstruction": -bound.mean() / self.size}, self.facts(weighted, len(x)))

    def log_weights(self, x: Tensor, target: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) + beta (log p(z) - log q(z | x)) of each draw, (B, k), up to a constant of the head; and its
        unit-variance error per element, (B, k)."""
        z, ratio = self.proposals(x, drawn)
        count = drawn.shape[1]
        wide = target.unsqueeze(1).expand(-1, count, *target.shape[1:]).flatten(0, 1)
        error = self.row_misfit(z.flatten(0, 1), wide).view(x.shape[0], count)
        return self.beta * ratio - self.scaled(error) * self.size, error
