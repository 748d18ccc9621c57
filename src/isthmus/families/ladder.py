"""Ladder variational autoencoder: a second layer of latent variables explains the code.

Sønderby, Raiko, Maaløe, Sønderby and Winther (2016), Ladder variational autoencoders, NIPS.

    min  E[ -log p(x | z) + beta * (KL(q(z | x, t) || p(z | t)) + KL(q(t | x) || N(0, I))) ] / D

Rows are drawn from the top: t, then the code z given t, then x given z. The posterior of z joins two opinions, what the
row says on the way up and what t says on the way down, each counted by its precision (the paper's equations 17 to 19).
Where we deviate: layer normalisation, if any, instead of batch normalisation, whose batches couple rows; the code that
ships is z alone, with t at the mean of its posterior: t adds nothing to a row that z is known of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.activations import ACTIVATIONS
from isthmus.families.vae import VAE
from isthmus.model import Loss, knob
from isthmus.parts import penalties
from isthmus.parts.backbones.dense import Encoder
from isthmus.parts.divergences import log_normal
from isthmus.parts.posterior import LOG_VARIANCE, NARROW, Posterior, sample


@dataclass(kw_only=True, eq=False, repr=False)
class Ladder(VAE):
    """A variational code with a second, narrower code above it, from which its prior is learnt."""

    family: ClassVar[str] = "ladder"

    activation: str = knob(
        "relu",
        f"Activation of the hidden layers, and between the two layers of the code: {', '.join(ACTIVATIONS)}.",
        choices=tuple(ACTIVATIONS),
    )
    upper: int = knob(4, "Width of the layer above the code (t).", low=1)
    between: int = knob(32, "Units between the two layers, on the way up and on the way down.", low=1)

    def _build(self, shape: tuple[int, ...], head: str) -> LadderModel:
        return LadderModel(self, shape, head)


class LadderModel(Posterior):
    """Three terms: reconstruction, kl (of the code given t) and kl_upper. Noise: (B, U + L) normal, that of t first."""

    def __init__(self, recipe: Ladder, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, more=recipe.between)
        self.weights |= dict.fromkeys(("kl", "kl_upper"), recipe.ramped(recipe.beta))
        self.upper, self.free_bits, self.activation = recipe.upper, recipe.free_bits, recipe.activation
        self.up = Encoder((recipe.between,), (), 2 * recipe.upper, recipe.activation)
        self.down = Encoder((recipe.upper,), (recipe.between,), 2 * recipe.latents, recipe.activation)

    @property
    def noises(self) -> int:
        return self.upper + self.latents

    def climb(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and log variance of what the row says of the code, (B, L), and of q(t | x), (B, U)."""
        raw = self.encoder(x)
        mean, log_variance = raw[:, : 2 * self.latents].chunk(2, dim=1)
        top, top_log_variance = self.up(ACTIVATIONS[self.activation](raw[:, 2 * self.latents :])).chunk(2, dim=1)
        return mean, _bounded(log_variance), top, _bounded(top_log_variance)

    def given(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of p(z | t): (B, U) -> both (B, L)."""
        mean, log_variance = self.down(t).chunk(2, dim=1)
        return mean, _bounded(log_variance)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, t) with t at the mean of q(t | x), both (B, L)."""
        mean, log_variance, top, _ = self.climb(x)
        return joined(mean, log_variance, *self.given(top))

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        t, noise = (torch.randn((n, width), generator=generator) for width in (self.upper, self.latents))
        return sample(*self.given(t), noise).detach()

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        mean, log_variance, top, top_log_variance = self.climb(x)
        t = top if noise is None else sample(top, top_log_variance, noise[:, : self.upper])
        prior_mean, prior_log_variance = self.given(t)
        mean, log_variance = joined(mean, log_variance, prior_mean, prior_log_variance)
        z = mean if noise is None else sample(mean, log_variance, noise[:, self.upper :])
        error, seen = self.likelihood(z, target)
        # The divergence of two normals is that from N(0, 1) in the units of the second.
        apart, narrower = (mean - prior_mean) * torch.exp(-0.5 * prior_log_variance), log_variance - prior_log_variance
        terms = {"kl": self.paid(apart, narrower), "kl_upper": self.paid(top, top_log_variance)}
        return Loss({"reconstruction": error} | terms, seen)

    def paid(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """The divergence from N(0, I) over D, each element at least ``free_bits`` on average."""
        return penalties.kl_gauss_each(mean, log_variance).mean(0).clamp(min=self.free_bits).sum() / self.size

    def proposals(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        k = noise.shape[1]
        mean, log_variance, top, top_log_variance = (part.repeat_interleave(k, 0) for part in self.climb(x))
        t = sample(top, top_log_variance, noise[..., : self.upper].flatten(0, 1))
        prior = self.given(t)
        posterior = joined(mean, log_variance, *prior)
        z = sample(*posterior, noise[..., self.upper :].flatten(0, 1))
        upper = log_normal(t, torch.zeros_like(t), torch.zeros_like(t)) - log_normal(t, top, top_log_variance)
        ratio = (log_normal(z, *prior) - log_normal(z, *posterior)).sum(1) + upper.sum(1)
        return z.view(x.shape[0], k, -1), ratio.view(len(x), k)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        super().start(x)
        self.up.last.bias[self.upper :].sub_(NARROW)


def joined(mean: Tensor, log_variance: Tensor, other: Tensor, other_log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log variance of the product of two normal densities, all of one shape: precisions add."""
    log_precision = torch.logaddexp(-log_variance, -other_log_variance)
    weight, other_weight = torch.exp(-log_variance - log_precision), torch.exp(-other_log_variance - log_precision)
    return mean * weight + other * other_weight, -log_precision


def _bounded(log_variance: Tensor) -> Tensor:
    return log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)
