"""Variational autoencoder with a disentangled prior (DIP-VAE).

Kumar, Sattigeri and Balakrishnan (2018), Variational inference of disentangled latent concepts from unlabeled
observations, ICLR.

    min  E[ -log p(x | z) + beta * KL(q(z | x) || N(0, I)) ] / D
         + ( strength * sum_{i != j} C_ij^2 + diagonal * sum_i (C_ii - 1)^2 ) / D

C is the covariance over the batch of the posterior's means (version 1), or of the codes: that plus the mean of the
posterior's variances (version 2). Where we deviate: ``beta`` is an option; a batch of one row has no covariance, and
pays for a spread of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Range, knob
from isthmus.parts import penalties
from isthmus.parts.posterior import Posterior, Variational


@dataclass(kw_only=True, eq=False, repr=False)
class DIP(Variational):
    """A variational code whose covariance over rows is pulled towards that of the prior."""

    family: ClassVar[str] = "dip"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        0.3, "Weight of the KL divergence.", search=Range(0.02, 1.0, log=True), stacks=True, off=0.0, low=0.0
    )
    strength: float = knob(
        1.0,
        "Weight of the squared covariances between code elements (lambda_od).",
        search=Range(0.1, 20.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    diagonal: float = knob(
        1.0, "Weight of the squared distances of the variances from 1 (lambda_d).", stacks=True, off=0.0, low=0.0
    )
    version: int = knob(
        1, "Covariance of the posterior's means (1), or of the codes drawn from it (2).", choices=(1, 2)
    )

    def _build(self, shape: tuple[int, ...], head: str) -> DIPModel:
        return DIPModel(self, shape, head)


class DIPModel(Posterior):
    """Four terms: reconstruction, kl, covariance, variance."""

    def __init__(self, recipe: DIP, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.version = recipe.version
        self.weights |= {
            "kl": recipe.ramped(recipe.beta),
            "covariance": recipe.strength,
            "variance": recipe.diagonal,
        }

    def costs(self, mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Tensor]:
        centred = mean - mean.mean(0)
        covariance = centred.t() @ centred / len(mean)
        if self.version == 2:
            covariance = covariance + torch.diag_embed(log_variance.exp().mean(0))
        spread = torch.diagonal(covariance, dim1=-2, dim2=-1)
        return {
            "kl": penalties.kl_gauss(mean, log_variance) / self.size,
            "covariance": (covariance.square().sum() - spread.square().sum()) / self.size,
            "variance": (spread - 1).square().sum() / self.size,
        }
