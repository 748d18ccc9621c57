"""Variational autoencoder with a critic of its total correlation (FactorVAE).

Kim and Mnih (2018), Disentangling by factorising, ICML.

    min  ( E[ -log p(x | z) + beta * KL(q(z | x) || N(0, I)) ] + gamma * max(-1, E[ critic(z) ]) ) / D
    min  E[ softplus(-critic(z)) + softplus(critic(z')) ] over the critic,   z' = z with each element shuffled over rows

The best critic is log q(z) / prod_j q(z_j), whose mean is the total correlation. Both minima are sought in one step:
either term sees the other side detached. Where we deviate: shuffled codes come from the same batch as the codes they
are compared with; an estimate below -1, where no total correlation is, gains nothing more, so that a critic gone astray
is no success; the critic has two hidden layers and Adam's rates are the plan's. The paper trains for 300,000 steps of
1e-4, with gamma up to 100. In a few thousand steps of 5e-3 a critic cannot follow a code that is pushed so hard, and
the correlation grows with gamma again: so gamma is 1, and is not tuned beyond 4 (docs/families/factor.md has numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, knob
from isthmus.parts import adversary, penalties
from isthmus.parts.posterior import Posterior, Variational, sample

ASTRAY = -1.0


@dataclass(kw_only=True, eq=False, repr=False)
class Factor(Variational):
    """A variational code whose elements a critic cannot tell from shuffled ones: independent of each other."""

    family: ClassVar[str] = "factor"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        0.3, "Weight of the KL divergence.", search=Range(0.02, 1.0, log=True), stacks=True, off=0.0, low=0.0
    )
    gamma: float = knob(
        1.0,
        "Weight of the total correlation as the critic sees it; above 4, codes change faster than the critic learns.",
        search=Range(0.3, 4.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    critic: int = knob(64, "Width of the critic's two hidden layers.", low=1)

    def _build(self, shape: tuple[int, ...], head: str) -> FactorModel:
        return FactorModel(self, shape, head)


class FactorModel(Posterior):
    """Four terms: reconstruction, kl, correlation, critic. Noise: ``code`` (B, L) normal, ``order`` (B, L) uniform."""

    sides: ClassVar = {"correlation": ("critic.",), "critic": ("encoder.", "decoder.")}

    def __init__(self, recipe: Factor, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.critic = adversary.Critic(recipe.latents, recipe.critic)
        self.weights |= {"kl": recipe.ramped(recipe.beta), "correlation": recipe.gamma, "critic": adversary.WEIGHT}

    def draw(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        code = super().draw(x, generator)
        return {"code": code, "order": torch.rand(code.shape, generator=generator, dtype=x.dtype, device=x.device)}

    def forward(self, x: Tensor, target: Tensor, noise: dict[str, Tensor] | None = None) -> Loss:
        mean, log_variance = self.posterior(x)
        z = mean if noise is None else sample(mean, log_variance, noise["code"])
        # Without noise, rows are shifted by one more for each element: as good a shuffle as a fixed one can be.
        order = shifts(z) if noise is None else noise["order"]
        error, seen = self.likelihood(z, target)
        terms = {
            "reconstruction": error,
            "kl": penalties.kl_gauss(mean, log_variance) / self.size,
            "correlation": self.critic(z, still=True).mean().clamp(min=ASTRAY) / self.size,
            "critic": adversary.told_apart(self.critic, z, adversary.shuffled(z, order)) / self.size,
        }
        return Loss(terms, seen)


def shifts(z: Tensor) -> Tensor:
    """Sort keys (B, L) that move element j of all rows down by j."""
    rows, elements = (torch.arange(n, dtype=z.dtype, device=z.device) for n in z.shape)
    return (rows.unsqueeze(1) + elements) % len(z)
