"""Regularised deterministic autoencoder (RAE).

Ghosh, Sajjadi, Vergari, Black and Schölkopf (2020), From variational to deterministic autoencoders, ICLR.

    min  E[ -log p(x | z) + strength / 2 * ||z||^2 + smoothness * R ] / D,   z = f(x)

R keeps the decoder g smooth: ``l2`` the squared norm of its weights; ``gradient`` the squared Frobenius norm of its
Jacobian dg/dz; ``spectral`` has no R, but holds the largest singular value of each of its layers at 1 or below. Codes
are small and decode smoothly; a density fitted to them afterwards makes a generator. Where we deviate: the Jacobian is
estimated without bias from one random direction for each row; singular values come from one step of power iteration
after each step of training (Miyato et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import penalties
from isthmus.parts.encoder_decoder import EncoderDecoder

REGULARISERS = ("l2", "gradient", "spectral")


@dataclass(kw_only=True, eq=False, repr=False)
class RAE(Recipe):
    """A deterministic code of small norm with a smooth decoder; a density is fitted to it for sampling."""

    family: ClassVar[str] = "rae"
    camp: ClassVar[str] = "generative"

    strength: float = knob(
        0.01,
        "Weight of half the squared norm of the code (beta).",
        search=Range(1e-3, 0.3, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    smoothness: float = knob(
        1e-3,
        "Weight of the decoder's regulariser (lambda); spectral has none.",
        search=Range(1e-5, 0.1, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
        only=("regulariser is l2 or gradient", lambda r: r.regulariser != "spectral"),
    )
    regulariser: str = knob(
        "l2",
        "Regulariser of the decoder: l2 (its weights), gradient (its slope), spectral (norm of its weights).",
        choices=REGULARISERS,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> RAEModel:
        return RAEModel(self, shape, head)


class RAEModel(EncoderDecoder):
    """Three terms: reconstruction, code, and smoothness but for spectral. Noise: (B, L) normal, for gradient."""

    def __init__(self, recipe: RAE, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.regulariser = recipe.regulariser
        self.weights |= {"code": recipe.strength}
        if recipe.regulariser != "spectral":
            self.weights |= {"smoothness": recipe.smoothness}
        else:
            for i, weight in enumerate(self.matrices()):
                self.register_buffer(f"direction{i}", torch.ones(weight.shape[0]) / weight.shape[0] ** 0.5)

    def matrices(self) -> list[Tensor]:
        """The weights of the decoder's layers, each as a matrix."""
        return [p.flatten(1) for p in self.decoder.parameters() if p.dim() > 1]

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor | None:
        if self.regulariser != "gradient":
            return None
        return torch.randn((len(x), self.latents), generator=generator, dtype=x.dtype, device=x.device)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        z = self.encode(x)
        terms = {"reconstruction": self.misfit(z, target), "code": 0.5 * z.square().sum(1).mean() / self.size}
        if self.regulariser == "l2":
            terms["smoothness"] = torch.stack([w.square().sum() for w in self.matrices()]).sum() / self.size
        elif self.regulariser == "gradient":
            direction = torch.ones_like(z) if noise is None else noise
            slope = penalties.jacobian_norm_estimate(lambda code: self.decode(code).flatten(1), z, direction)
            terms["smoothness"] = slope / self.size
        return Loss(terms, {})

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """One step of power iteration for each layer."""
        if self.regulariser == "spectral":
            for i, weight in enumerate(self.matrices()):
                moved = weight @ (weight.t() @ self.get_buffer(f"direction{i}"))
                self.get_buffer(f"direction{i}").copy_(moved / moved.norm().clamp_min(1e-12))

    @torch.no_grad()
    def project(self) -> None:
        """Layers whose largest singular value, as far as it is known, exceeds 1 are scaled down to it."""
        if self.regulariser == "spectral":
            for i, weight in enumerate(self.matrices()):
                largest = (weight.t() @ self.get_buffer(f"direction{i}")).norm()
                weight.div_(largest.clamp_min(1.0))
