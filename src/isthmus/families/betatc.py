"""Variational autoencoder with a penalty on total correlation (beta-TC-VAE).

Chen, Li, Grosse and Duvenaud (2018), Isolating sources of disentanglement in variational autoencoders, NeurIPS.

    min  E[ -log p(x | z) + alpha * I(x; z) + beta * TC(z) + gamma * sum_j KL(q(z_j) || p(z_j)) ] / D

The three parts add up to the KL divergence of the evidence bound, so weights of 1 give the VAE. They need the density
of the codes of all rows, which is estimated from a batch. Where we deviate: the stand-in for the rows outside a batch
is the neighbour of each row, as the paper's appendix says; its published code puts those weights into the first two
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Range, knob
from isthmus.parts import divergences
from isthmus.parts.posterior import Posterior, Variational

ESTIMATORS = {"stratified": divergences.stratified, "weighted": divergences.weighted}


@dataclass(kw_only=True, eq=False, repr=False)
class BetaTC(Variational):
    """A variational code whose elements are kept independent of each other by their total correlation."""

    family: ClassVar[str] = "betatc"
    camp: ClassVar[str] = "generative"

    alpha: float = knob(1.0, "Weight of the mutual information of row and code.", stacks=True, off=0.0, low=0.0)
    beta: float = knob(
        4.0,
        "Weight of the total correlation of the code's elements.",
        search=Range(1.0, 20.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    gamma: float = knob(
        0.3,
        "Weight of the divergence of each element from its prior.",
        search=Range(0.02, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    estimator: str = knob(
        "stratified",
        "How a batch stands for all rows: stratified (sampling), weighted (equal weights, biased).",
        choices=tuple(ESTIMATORS),
    )

    def _build(self, shape: tuple[int, ...], head: str) -> BetaTCModel:
        return BetaTCModel(self, shape, head)


class BetaTCModel(Posterior):
    """Four terms: reconstruction, information, correlation, marginal. Remembered: the number of training rows."""

    rows: Tensor

    def __init__(self, recipe: BetaTC, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        weights = {"information": recipe.alpha, "correlation": recipe.beta, "marginal": recipe.gamma}
        self.weights |= {name: recipe.ramped(weight) for name, weight in weights.items()}
        self.estimator = recipe.estimator
        self.register_buffer("rows", torch.ones(()))

    def costs(self, mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Tensor]:
        found = dict.fromkeys(("information", "correlation", "marginal"), torch.zeros_like(z[0, 0]))
        blocks = (t.split(divergences.BLOCK) for t in (z, mean, log_variance))
        for codes, means, spreads in zip(*blocks, strict=True):
            n = len(codes)
            rows = self.rows.clamp(min=n)  # there may be more validation rows than training rows
            parts = divergences.decomposed(codes, means, spreads, ESTIMATORS[self.estimator](n, rows))
            found = {name: found[name] + part * (n / len(z) / self.size) for name, part in parts.items()}
        return found

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        super().start(x)
        self.rows.fill_(len(x))
