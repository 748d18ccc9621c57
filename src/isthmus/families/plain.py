"""Plain autoencoder.

Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323; Hinton and
Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313.

    min  E[ -log p(x | z) ] / D,   z = a(f(x)),   p's mean = g(z)

Where we deviate: no layer-wise pretraining (a good initialisation and Adam replace it). Weight decay is the plan's.
With a corruption of the input this is the denoising autoencoder (Vincent et al. 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from isthmus.model import Loss, Recipe, knob
from isthmus.parts.encoder_decoder import EncoderDecoder

CODES = ("identity", "relu", "sigmoid", "tanh")


@dataclass(kw_only=True, eq=False, repr=False)
class Plain(Recipe):
    """Reconstructs its input through a narrow code, with no penalty."""

    family: ClassVar[str] = "plain"
    camp: ClassVar[str] = "classical"

    code_activation: str = knob(
        "identity", "Activation of the code: identity, relu, sigmoid, tanh.", off="identity", choices=CODES
    )
    tied: bool = knob(False, "Whether the decoder uses the encoder's weights, transposed.", off=False)

    def _build(self, shape: tuple[int, ...], head: str) -> PlainModel:
        return PlainModel(self, shape, head, code=self.code_activation, tied=self.tied)


class PlainModel(EncoderDecoder):
    """One term: reconstruction."""

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        return Loss({"reconstruction": self.misfit(self.encode(x), target)}, {})
