"""Gated sparse autoencoder.

Rajamanoharan, Conmy, Smith, Lieberum, Varma, Kramar, Shah and Nanda (2024), Improving dictionary learning with gated
sparse autoencoders, NeurIPS.

    min  E[ -log p(x | z) - log p(x | relu(g); frozen decoder) + strength * sum_j relu(g_j) ||d_j||
            + aux * -log p(x | sg(z) + z_dead) ] / D,
    g = W h + b,   z = 1[g > 0] * relu(exp(r) * W h + m),   h = network of x - pre

One path decides whether a unit fires, another how strongly: only the first is penalised, so the second does not shrink.
The two share their weights W but for a scale exp(r_j) of each unit. The step 1[g > 0] passes no gradient; the gate
learns from the second term, whose decoder is held fixed so that it serves the first term alone. Where we deviate: dead
units are brought back by the auxiliary term of Gao et al. (2024), not by resampling; a dictionary that is not held at
unit norm pays for its length. The pre-bias is not tied to the decoder's bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from isthmus.families.sae import SAE, SAEModel
from isthmus.model import Range, knob
from isthmus.parts import heads
from isthmus.parts.dictionary import sampled
from isthmus.parts.gates import SLACK


@dataclass(kw_only=True, eq=False, repr=False)
class Gated(SAE):
    """One path says which units fire and is penalised, another says how strongly and is not."""

    family: ClassVar[str] = "gated"

    strength: float = knob(
        0.1,
        "Weight of the sparsity penalty (lambda).",
        search=Range(0.01, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    dictionary_norm: str = knob(
        "unit",
        "What keeps codes from shrinking: unit (norm of each entry) or weighted (penalty by its norm).",
        choices=("unit", "weighted"),
    )

    def _build(self, shape: tuple[int, ...], head: str) -> GatedModel:
        return GatedModel(self, shape, head)


class GatedModel(SAEModel):
    """Four terms: those of sae, the penalty on the gate, and the gate's own reconstruction."""

    estimated_gradients = ("decoder",)  # the gate's reconstruction reaches no decoder, by design

    def __init__(self, recipe: Gated, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"gate_reconstruction": 1.0}
        self.stretch = nn.Parameter(torch.zeros(recipe.latents))
        self.offset = nn.Parameter(torch.zeros(recipe.latents))

    def gate(self, raw: Tensor) -> Tensor:
        free = raw - self.encoder.last.bias
        return torch.where(raw > SLACK, torch.relu(torch.exp(self.stretch) * free + self.offset), 0.0)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        opened = torch.relu(raw)
        frozen = {name: value.detach() for name, value in self.decoder.named_parameters()}
        alone = heads.nll(self.head, functional_call(self.decoder, frozen, (opened,)), target).mean()
        return {**super().costs(raw, opened, target), "gate_reconstruction": alone}

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Both paths agree at the start: then this is ``sae``."""
        super().start(x)
        self.offset.copy_(self.encoder.last.bias)
        self.level(sampled(x))

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        """With shared weights the two paths are one: open where the strength exceeds what it is where g opens."""
        stretch, last = torch.exp(self.stretch), self.encoder.last
        threshold = torch.relu(self.offset + stretch * (SLACK - last.bias))
        return stretch.unsqueeze(1) * last.weight, self.offset, threshold
