"""A code that is a normal distribution: what the variational families share.

The encoder gives mean and log variance of q(z | x) for each row; ``encode`` is the mean. A gaussian head has one
variance for all elements, which is not 1 by default: with unit variance on data whose spread is far below 1 the
divergence outweighs all that could be gained, and the posterior collapses (Rybkin, Daniilidis and Levine 2021). The
robust heads cost half a square near the centre as a gaussian's does, and are given a variance in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.model import Loss, Ramp, Recipe, Weight, knob
from isthmus.parts import heads
from isthmus.parts.divergences import log_normal
from isthmus.parts.encoder_decoder import EncoderDecoder

DECAY = 0.99
NARROW = 4.0  # a posterior's standard deviation at the start is e^-2
LEAST = -12.0  # floor of the head's log variance, as in Rybkin et al.
LEAST_VARIANCE = 6e-6  # e^-12
LOG_VARIANCE = 20.0  # bounds of the posterior's log variance: e^20 is finite in float32, and so are all its products
SCALES = ("average", "learned", "unit")


@dataclass(kw_only=True, eq=False, repr=False)
class Variational(Recipe):
    """A recipe with a posterior."""

    warmup: float = knob(
        0.0,
        "Share of the plan's steps over which the weight of the KL divergence grows from 0.",
        stacks=True,
        low=0.0,
        high=1.0,
    )
    scale: str = knob(
        "average",
        "Variance of a gaussian head: average (of the squared error over recent steps, its optimum), learned (a "
        "parameter), unit (1, so that half the squared error counts as it is).",
        choices=SCALES,
    )

    def ramped(self, weight: float) -> Weight:
        """The weight, growing from 0 over the first ``warmup`` of the plan's steps."""
        return Ramp(weight, self.warmup) if self.warmup else weight


class Posterior(EncoderDecoder):
    """Terms: reconstruction and those of ``costs``. Noise: (B, L) normal. Remembered: the head's average variance.

    Parameters
    ----------
    recipe : Variational
    shape : tuple of int
        ``*D``.
    head : {"gaussian", "bernoulli", "huber", "student"}
    more : int, default 0
        Further outputs of the encoder, beyond mean and log variance.
    """

    variance: Tensor

    def __init__(self, recipe: Variational, shape: tuple[int, ...], head: str, *, more: int = 0) -> None:
        if head == "bernoulli" and recipe.scale != "average":
            raise BadInput(
                f"{recipe.family}: scale {recipe.scale} is of the variance of a gaussian head; this one is bernoulli: "
                "leave scale at average, or set head to gaussian"
            )
        super().__init__(recipe, shape, head, outputs=2 * recipe.latents + more)
        self.scale = "unit" if head == "bernoulli" else recipe.scale
        if self.scale == "average":
            self.register_buffer("variance", torch.ones(()))
        elif self.scale == "learned":
            self.log_variance = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), both (B, L)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)

    @property
    def noises(self) -> int:
        """Width W of the noise of one draw."""
        return self.latents

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean."""
        return self.posterior(x)[0]

    def draw(self, x: Tensor, generator: torch.Generator) -> Any:
        return torch.randn((len(x), self.noises), generator=generator, dtype=x.dtype, device=x.device)

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` codes drawn from the prior, (n, L)."""
        return torch.randn((n, self.latents), generator=generator)

    def log_prior(self, z: Tensor) -> Tensor:
        """Log density of codes under the prior: (B, L) -> (B,)."""
        return log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)

    def proposals(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """``k`` codes for each row, and log p(z) - log q(z | x) of each: (B, *D), (B, k, W) -> (B, k, L), (B, k)."""
        mean, log_variance = (part.unsqueeze(1) for part in self.posterior(x))
        z = sample(mean, log_variance, noise)
        prior = self.log_prior(z.flatten(0, 1)).view(noise.shape[:2])
        return z, prior - log_normal(z, mean, log_variance).sum(2)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        mean, log_variance = self.posterior(x)
        z = mean if noise is None else sample(mean, log_variance, noise)
        error, seen = self.likelihood(z, target)
        return Loss({"reconstruction": error} | self.costs(mean, log_variance, z), seen)

    def costs(self, mean: Tensor, log_variance: Tensor, z: Tensor) -> dict[str, Tensor]:
        """What the code costs, over D, by name."""
        raise TypeError(f"{type(self).__name__} has no costs: a variational family must define them")

    def likelihood(self, z: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """-log p(target | z) per element, mean over rows, up to a constant; and what was seen of the squared error."""
        error = self.misfit(z, target)
        if self.scale == "average":
            return error / self.variance + 0.5 * torch.log(self.variance), self.facts(error, len(z))
        return self.scaled(error), {}

    def facts(self, error: Tensor, rows: int) -> dict[str, Tensor]:
        """What ``absorb`` wants: the summed squared error of a batch whose mean unit-variance error is given."""
        if self.scale != "average":
            return {}
        return {"square": 2 * error.detach() * rows, "rows": error.new_full((), rows)}

    def scaled(self, error: Tensor) -> Tensor:
        """-log p per element from the head's unit-variance one, up to a constant; same shape."""
        if self.scale == "unit":
            return error
        log_variance = torch.log(self.variance) if self.scale == "average" else self.log_variance.clamp(min=LEAST)
        return error * torch.exp(-log_variance) + 0.5 * log_variance

    def rebuilt(self, x: Tensor) -> Tensor:
        """The part of rows, or of raw output, that the likelihood is of; ``size`` is its number of elements."""
        return x

    def row_misfit(self, z: Tensor, target: Tensor) -> Tensor:
        """The head's unit-variance error of each row per element: (B, L), (B, *D) -> (B,)."""
        return heads.nll(self.head, self.rebuilt(self.decoder(z)), self.rebuilt(target)).flatten(1).mean(1)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Posteriors start narrow, so that codes are useful before they are dear; the variance is the mean's error."""
        super().start(x)
        self.encoder.last.bias[self.latents : 2 * self.latents].sub_(NARROW)
        rebuilt = self.rebuilt(x)
        variance = (rebuilt - rebuilt.mean(0)).square().mean().clamp_min(LEAST_VARIANCE)
        if self.scale == "average":
            self.variance.copy_(variance)
        elif self.scale == "learned":
            self.log_variance.copy_(variance.log())

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Move the variance towards the mean squared error."""
        if self.scale == "average":
            moved = DECAY * self.variance + (1 - DECAY) * seen["square"] / seen["rows"]
            self.variance.copy_(moved.clamp_min(LEAST_VARIANCE))


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Draws from the posterior, by the noise of a standard normal: same shape as ``noise``."""
    return mean + torch.exp(0.5 * log_variance) * noise
