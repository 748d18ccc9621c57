"""Wasserstein autoencoder with a maximum mean discrepancy (WAE-MMD).

Tolstikhin, Bousquet, Gelly and Schölkopf (2018), Wasserstein auto-encoders, ICLR.

    min  E[ -log p(x | z) ] / D + strength * MMD(q(z), N(0, I)) / D,   z = f(x)

A deterministic encoder whose codes, as a whole, resemble the prior: MMD is the squared maximum mean discrepancy of a
batch of codes and as many draws from it, by the unbiased estimate. With half a squared error the first term is the
Wasserstein distance's cost. Where we deviate: nothing, but that other heads than the gaussian are offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import divergences
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class WAE(Recipe):
    """A deterministic code that matches the prior as a whole; new rows can be drawn from it."""

    family: ClassVar[str] = "wae"
    camp: ClassVar[str] = "generative"

    strength: float = knob(
        1.0,
        "Weight of the discrepancy from the prior (lambda).",
        search=Range(0.1, 30.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    kernel: str = knob(
        "imq", "Kernel of the discrepancy: imq (inverse multiquadratic), rbf.", choices=divergences.KERNELS
    )

    def _build(self, shape: tuple[int, ...], head: str) -> WAEModel:
        return WAEModel(self, shape, head)


class WAEModel(EncoderDecoder):
    """Two terms: reconstruction and mmd. Noise: (B, L) normal, the sample of the prior."""

    def __init__(self, recipe: WAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.kernel = recipe.kernel
        self.weights |= {"mmd": recipe.strength}

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn((len(x), self.latents), generator=generator, dtype=x.dtype, device=x.device)

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` codes drawn from the prior, (n, L)."""
        return torch.randn((n, self.latents), generator=generator)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        z = self.encode(x)
        gap = divergences.mmd(z, torch.zeros_like(z) if noise is None else noise, self.kernel)
        return Loss({"reconstruction": self.misfit(z, target), "mmd": gap / self.size}, {})
