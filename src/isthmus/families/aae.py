"""Adversarial autoencoder.

Makhzani, Shlens, Jaitly, Goodfellow and Frey (2015), Adversarial autoencoders.

    min  E[ -log p(x | z) ] / D + strength * E[ softplus(-critic(z)) ] / D,   z = f(x)
    min  E[ softplus(-critic(p)) + softplus(critic(z)) ] / D over the critic,   p drawn from N(0, I)

A critic learns to tell draws from the prior from codes, and codes learn to pass for draws: as a whole they come to
resemble the prior. Both learn in one step: either term sees the other side detached. Where we deviate: one step of one
optimiser moves both sides, at the plan's rate, where the paper alternates two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import adversary
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class AAE(Recipe):
    """A deterministic code that a critic cannot tell from draws of the prior; new rows can be drawn from it."""

    family: ClassVar[str] = "aae"
    camp: ClassVar[str] = "generative"

    strength: float = knob(
        0.2,
        "Weight of the adversarial loss that makes codes look like draws from the prior.",
        search=Range(0.03, 0.5, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    critic: int = knob(64, "Width of the critic's two hidden layers.", low=1)

    def _build(self, shape: tuple[int, ...], head: str) -> AAEModel:
        return AAEModel(self, shape, head)


class AAEModel(EncoderDecoder):
    """Three terms: reconstruction, passing, critic. Noise: (B, L) normal, draws of the prior."""

    sides: ClassVar = {"passing": ("critic.",), "critic": ("encoder.", "decoder.")}

    def __init__(self, recipe: AAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.critic = adversary.Critic(recipe.latents, recipe.critic)
        self.weights |= {"passing": recipe.strength, "critic": adversary.WEIGHT}

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn((len(x), self.latents), generator=generator, dtype=x.dtype, device=x.device)

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` codes drawn from the prior, (n, L)."""
        return torch.randn((n, self.latents), generator=generator)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        z = self.encode(x)
        prior = torch.zeros_like(z) if noise is None else noise
        terms = {
            "reconstruction": self.misfit(z, target),
            "passing": functional.softplus(-self.critic(z, still=True)).mean() / self.size,
            "critic": adversary.told_apart(self.critic, prior, z) / self.size,
        }
        return Loss(terms, {})
