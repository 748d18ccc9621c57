"""Contractive autoencoder.

Rifai, Vincent, Muller, Glorot and Bengio (2011), Contractive auto-encoders: explicit invariance during feature
extraction, ICML.

    min  E[ -log p(x | z) + strength * ||dz/dx||_F^2 ] / D,   z = a(f(x))

For one sigmoid or tanh layer the norm is sum_j a'_j^2 ||W_j||^2, which costs next to nothing. For deeper encoders it
is exact (one backward pass for each code element) or estimated without bias from one random direction for each row.
Where we deviate: the decoder is not tied to the encoder by default (a tied sigmoid layer cannot both stay in its
linear range and span data of wide range; ``tied`` restores the paper's form); deeper encoders contract the whole map
from data to code, not each layer; the norm is taken at the input the encoder sees, corrupted or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import penalties
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class Contractive(Recipe):
    """Penalises the slope of the code, so that small changes of the input hardly move it."""

    family: ClassVar[str] = "contractive"
    camp: ClassVar[str] = "classical"
    pace: ClassVar[float] = 4.0

    code_activation: str = knob("sigmoid", "Activation of the code: sigmoid, tanh.", choices=("sigmoid", "tanh"))
    tied: bool = knob(False, "Whether the decoder uses the encoder's weights, transposed.", off=False)
    strength: float = knob(
        0.03,
        "Weight of the squared norm of the Jacobian (lambda).",
        search=Range(0.003, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    estimator: str = knob(
        "jvp",
        "Jacobian norm of an encoder with hidden layers: jvp (one random direction for each row), or exact.",
        choices=("jvp", "exact"),
        only=("the encoder has hidden layers", lambda r: r.deep),
    )

    def _build(self, shape: tuple[int, ...], head: str) -> ContractiveModel:
        return ContractiveModel(self, shape, head)


class ContractiveModel(EncoderDecoder):
    """Two terms: reconstruction and contraction. Noise: (B, *D) normal, if the norm is estimated."""

    def __init__(self, recipe: Contractive, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, code=recipe.code_activation, tied=recipe.tied)
        self.weights |= {"contraction": recipe.strength}
        self.shallow = recipe.backbone in {"linear", "mlp"} and not recipe.hidden
        self.estimated = recipe.estimator == "jvp" and not self.shallow

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor | None:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device) if self.estimated else None

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        z = self.encode(x)
        if self.shallow:
            norm = penalties.contraction(z, self.encoder.last.weight, self.code)
        elif noise is None:
            norm = penalties.jacobian_norm(self.encode, x)
        else:
            norm = penalties.jacobian_norm_estimate(self.encode, x, noise)
        return Loss({"reconstruction": self.misfit(z, target), "contraction": norm / self.size}, {})
