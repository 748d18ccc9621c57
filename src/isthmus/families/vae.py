"""Variational autoencoder.

Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR; beta: Higgins et al. (2017), ICLR; free bits: Kingma
et al. (2016), Improved variational inference with inverse autoregressive flow, NIPS; the gaussian head's variance:
Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with calibrated decoders, ICML.

    min  E_q(z|x)[ -log p(x | z) + beta * KL(q(z | x) || N(0, I)) ] / D,   q(z | x) = N(mean(x), diag variance(x))

Where we deviate: by default the variance of a gaussian head is a moving average of the squared error, its
maximum-likelihood value for the current network, rather than 1 or a parameter with a gradient (both are options). A
bernoulli head on grey values in [0, 1] is not a normalised likelihood (Loaiza-Ganem and Cunningham 2019); it is the
common choice all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from isthmus.model import Range, knob
from isthmus.parts import penalties
from isthmus.parts.posterior import Posterior, Variational


@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Variational):
    """A code that is a distribution, held close to a standard normal one; new rows can be drawn from it."""

    family: ClassVar[str] = "vae"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        1.0,
        "Weight of the KL divergence; 1 is the evidence bound.",
        search=Range(0.02, 2.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    free_bits: float = knob(
        0.0,
        "Free bits: nats of divergence that each code element may have at no cost, averaged over a batch (lambda).",
        off=0.0,
        low=0.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> Posterior:
        return VAEModel(self, shape, head)


class VAEModel(Posterior):
    """Two terms: reconstruction and kl."""

    def __init__(self, recipe: VAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"kl": recipe.ramped(recipe.beta)}
        self.free_bits = recipe.free_bits

    def costs(self, mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Tensor]:
        if self.free_bits:
            paid = penalties.kl_gauss_each(mean, log_variance).mean(0).clamp(min=self.free_bits).sum()
        else:
            paid = penalties.kl_gauss(mean, log_variance)
        return {"kl": paid / self.size}
