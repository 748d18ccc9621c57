"""Variational autoencoder.

Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR; beta: Higgins et al. (2017), ICLR; the gaussian
head's variance: Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with calibrated decoders,
ICML.

    min  E_q(z|x)[ -log p(x | z) + beta * KL(q(z | x) || N(0, I)) ] / D,   q(z | x) = N(mean(x), diag variance(x))

A gaussian head has one variance for all elements, not 1: with unit variance on data whose spread is far below 1 the
KL term outweighs all that could be gained, and the posterior collapses. Where we deviate: that variance is a moving
average of the squared error, its maximum-likelihood value for the current network, rather than a parameter with a
gradient. A bernoulli head on grey values in [0, 1] is not a normalised likelihood (Loaiza-Ganem and Cunningham 2019);
it is the common choice all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Ramp, Range, Recipe, knob
from isthmus.parts import penalties
from isthmus.parts.mirror import Mirror

DECAY = 0.99
NARROW = 4.0  # a posterior's standard deviation at the start is e^-2
LEAST_VARIANCE = 6e-6  # e^-12, the floor of Rybkin et al.
LOG_VARIANCE = 20.0  # bounds of the posterior's log variance: e^20 is finite in float32, and so are all its products


@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Recipe):
    """A code that is a distribution, held close to a standard normal one; new rows can be drawn from it."""

    family: ClassVar[str] = "vae"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        1.0, "Weight of the KL divergence; 1 is the evidence bound.", search=Range(0.02, 2.0, log=True), stacks=True
    )
    warmup: int = knob(0, "Optimiser steps over which the weight of the KL divergence grows from 0.", stacks=True)

    def _check(self) -> None:
        super()._check()
        if not 0 <= self.beta < math.inf:
            raise BadInput(f"vae: beta must be at least 0; got {self.beta!r}")
        if not isinstance(self.warmup, int) or self.warmup < 0:
            raise BadInput(f"vae: warmup must be a whole number of at least 0; got {self.warmup!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> VAEModel:
        return VAEModel(self, shape, head)


class VAEModel(Mirror):
    """Two terms: reconstruction and kl. Noise: (B, L) normal. Remembered: the variance of a gaussian head."""

    variance: Tensor

    def __init__(self, recipe: VAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, outputs=2 * recipe.latents)
        self.weights |= {"kl": Ramp(recipe.beta, recipe.warmup) if recipe.warmup else recipe.beta}
        if head == "gaussian":
            self.register_buffer("variance", torch.ones(()))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), both (B, L)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean."""
        return self.posterior(x)[0]

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn((len(x), self.latents), generator=generator, dtype=x.dtype, device=x.device)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        mean, log_variance = self.posterior(x)
        z = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        error, seen = self.misfit(z, target), {}
        if self.head == "gaussian":
            seen = {"square": 2 * error.detach() * len(x), "rows": error.new_full((), len(x))}
            error = error / self.variance + 0.5 * torch.log(self.variance)
        return Loss({"reconstruction": error, "kl": penalties.kl_gauss(mean, log_variance) / self.size}, seen)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Posteriors start narrow, so that codes are useful before they are dear; the variance is the mean's error."""
        super().start(x)
        self.encoder.last.bias[self.latents :].sub_(NARROW)
        if self.head == "gaussian":
            self.variance.copy_((x - x.mean(0)).square().mean().clamp_min(LEAST_VARIANCE))

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Move the variance towards the mean squared error."""
        if self.head == "gaussian":
            moved = DECAY * self.variance + (1 - DECAY) * seen["square"] / seen["rows"]
            self.variance.copy_(moved.clamp_min(LEAST_VARIANCE))
