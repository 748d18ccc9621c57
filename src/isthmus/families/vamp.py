"""Variational autoencoder with a mixture of posteriors as its prior (VampPrior).

Tomczak and Welling (2018), VAE with a VampPrior, AISTATS.

    min  E[ -log p(x | z) + beta * (log q(z | x) - log 1/K sum_k q(z | u_k)) ] / D

The prior is the mixture of what the encoder makes of K pseudo-rows u_k, which are learnt with the network: codes may
lie in clusters, and are not drawn to a single centre. Where we deviate: pseudo-rows start as training rows, evenly
spaced, and are not kept in the data's range; ``beta`` is an option; the hierarchical variant is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.model import Range, knob
from isthmus.parts.divergences import log_normal
from isthmus.parts.posterior import Posterior, Variational, sample


@dataclass(kw_only=True, eq=False, repr=False)
class Vamp(Variational):
    """A variational code whose prior is learnt: a mixture of the codes of typical rows."""

    family: ClassVar[str] = "vamp"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        1.0,
        "Weight of the divergence from the prior.",
        search=Range(0.02, 2.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    components: int = knob(20, "Pseudo-rows, one for each component of the prior (K).", low=1)

    def _build(self, shape: tuple[int, ...], head: str) -> VampModel:
        return VampModel(self, shape, head)


class VampModel(Posterior):
    """Two terms: reconstruction and kl (of one draw; it may fall below 0)."""

    def __init__(self, recipe: Vamp, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"kl": recipe.ramped(recipe.beta)}
        self.pseudo = nn.Parameter(torch.rand((recipe.components, *shape)))

    def log_prior(self, z: Tensor) -> Tensor:
        """Log density of codes under the mixture: (B, L) -> (B,)."""
        mean, log_variance = self.posterior(self.pseudo)
        each = log_normal(z.unsqueeze(1), mean, log_variance).sum(2)
        return torch.logsumexp(each, dim=1) - math.log(len(self.pseudo))

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(len(self.pseudo), (n,), generator=generator)
        mean, log_variance = self.posterior(self.pseudo)
        return sample(mean[which], log_variance[which], torch.randn((n, self.latents), generator=generator)).detach()

    def costs(self, mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Tensor]:
        paid = log_normal(z, mean, log_variance).sum(1) - self.log_prior(z)
        return {"kl": paid.mean() / self.size}

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        super().start(x)
        self.pseudo.copy_(x[torch.linspace(0, len(x) - 1, len(self.pseudo), device=x.device).long()])
