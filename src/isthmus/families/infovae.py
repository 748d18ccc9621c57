"""Information-maximising variational autoencoder (InfoVAE, MMD-VAE).

Zhao, Song and Ermon (2019), InfoVAE: balancing learning and inference in variational autoencoders, AAAI.

    min  ( E[ -log p(x | z) + (1 - alpha) * KL(q(z | x) || p) ] + (alpha + strength - 1) * MMD(q(z), p) ) / D

p is the prior N(0, I); MMD is the squared maximum mean discrepancy of a batch of codes and as many draws from it.
alpha = 0 with strength = 1 is the VAE; alpha = 1 does not mind how much a single code says of its row. Where we
deviate: a sum of kernels of several widths rather than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, knob
from isthmus.parts import divergences, penalties
from isthmus.parts.posterior import Posterior, Variational, sample


@dataclass(kw_only=True, eq=False, repr=False)
class InfoVAE(Variational):
    """A variational code that matches the prior as a whole and may say much about each row."""

    family: ClassVar[str] = "infovae"
    camp: ClassVar[str] = "generative"

    alpha: float = knob(
        0.9,
        "Preference for information: 0 keeps the whole KL divergence, 1 none of it.",
        search=Range(0.5, 1.0),
        stacks=True,
        off=0.0,
        low=0.0,
        high=1.0,
    )
    strength: float = knob(
        10.0,
        "Weight of the discrepancy from the prior (lambda); 1 - alpha at least.",
        search=Range(1.0, 100.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    kernel: str = knob(
        "imq", "Kernel of the discrepancy: imq (inverse multiquadratic), rbf.", choices=divergences.KERNELS
    )

    def _check(self) -> None:
        super()._check()
        if self.strength < 1 - self.alpha:
            raise BadInput(
                f"infovae: strength must be at least 1 - alpha = {1 - self.alpha:g}, or the discrepancy would be "
                f"sought; got {self.strength!r}"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> InfoVAEModel:
        return InfoVAEModel(self, shape, head)


class InfoVAEModel(Posterior):
    """Three terms: reconstruction, kl, mmd. Noise: ``code`` and ``prior``, (B, L) normal."""

    def __init__(self, recipe: InfoVAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.kernel = recipe.kernel
        self.weights |= {"kl": recipe.ramped(1 - recipe.alpha), "mmd": recipe.alpha + recipe.strength - 1}

    def draw(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: super(InfoVAEModel, self).draw(x, generator) for name in ("code", "prior")}

    def forward(self, x: Tensor, target: Tensor, noise: dict[str, Tensor] | None = None) -> Loss:
        mean, log_variance = self.posterior(x)
        z = mean if noise is None else sample(mean, log_variance, noise["code"])
        prior = torch.zeros_like(z) if noise is None else noise["prior"]
        error, seen = self.likelihood(z, target)
        terms = {
            "reconstruction": error,
            "kl": penalties.kl_gauss(mean, log_variance) / self.size,
            "mmd": divergences.mmd(z, prior, self.kernel) / self.size,
        }
        return Loss(terms, seen)
