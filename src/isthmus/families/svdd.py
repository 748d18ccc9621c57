"""Deep support vector data description (Deep SVDD), one class.

Ruff, Vandermeulen, Goernitz, Deecke, Siddiqui, Binder, Müller and Kloft (2018), Deep one-class classification, ICML.

    min  E[ ||f(x) - c||^2 + rebuild * -log p(x | f(x)) ] / D,   anomaly score: ||f(x) - c||^2,   c fixed

Training rows are mapped close to a centre; what lands far from it is unlike them. The traps of the method are closed:
f has no biases, no bounded activation and no sight of columns that are constant (a bias by another name), for with any
of these all rows could be mapped to c whatever they are; c, the mean of the first codes, is kept ``OFF`` zero in every
element, for weights of 0 map all rows to 0; f has a hidden layer, for the best linear map of centred rows to c is 0.
Where we deviate: a decoder that rebuilds rows from the codes takes the place of pretraining, and keeps codes from
forgetting the rows; weight decay is the plan's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import heads
from isthmus.parts.encoder_decoder import EncoderDecoder

OFF = 0.1
WIDER = 4  # times the code: the hidden layer where none is asked for
UNBOUNDED = ("leaky_relu", "relu", "gelu", "silu", "elu", "mish")


@dataclass(kw_only=True, eq=False, repr=False)
class SVDD(Recipe):
    """Maps rows close to one point; what lands far from it is unlike the rows it was trained on."""

    family: ClassVar[str] = "svdd"
    camp: ClassVar[str] = "robust"

    activation: str = knob(
        "leaky_relu", "Activation of the hidden layers: leaky_relu, relu, gelu, silu, elu, mish.", choices=UNBOUNDED
    )
    rebuild: float = knob(
        1.0,
        "Weight of the error of rows rebuilt from their codes.",
        search=Range(0.1, 10.0, log=True),
        stacks=True,
        above=0.0,
    )

    def _check(self) -> None:
        super()._check()
        if self.backbone != "mlp" or self.norm != "none":
            raise BadInput(
                "svdd: its encoder has hidden layers and no biases: backbone must be mlp, without norm; got "
                f"backbone={self.backbone!r}, norm={self.norm!r}"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> SVDDModel:
        return SVDDModel(self, shape, head)


class SVDDModel(EncoderDecoder):
    """Two terms: reconstruction and distance. Remembered: which columns vary, and the centre."""

    varies: Tensor
    centre: Tensor

    def __init__(self, recipe: SVDD, shape: tuple[int, ...], head: str) -> None:
        super().__init__(replace(recipe, hidden=recipe.hidden or (WIDER * recipe.latents,)), shape, head)
        self.weights = {"reconstruction": recipe.rebuild, "distance": 1.0}
        layers: Any = self.encoder.layers
        for layer in layers:
            layer.register_parameter("bias", None)
        self.register_buffer("varies", torch.ones(shape))
        self.register_buffer("centre", torch.full((recipe.latents,), OFF))

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x * self.varies)

    def score(self, x: Tensor) -> Tensor:
        """Squared distance of each code to the centre, (B,)."""
        return (self.encode(x) - self.centre).square().sum(1)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z = self.encode(x)
        distance = (z - self.centre).square().sum(1).mean() / self.size
        return Loss({"reconstruction": self.misfit(z, target), "distance": distance}, {})

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        self.varies.copy_(x.amax(0) > x.amin(0))
        z = self.encode(x)
        centre = z.mean(0)
        self.centre.copy_(torch.where(centre < 0, centre.clamp(max=-OFF), centre.clamp(min=OFF)))
        raw = self.decoder(z).mean(0)
        self.decoder.last_bias.add_((heads.link(self.head, x.mean(0)) - raw).flatten())
