"""Sparse autoencoder with a target activation.

Lee, Ekanadham and Ng (2008), Sparse deep belief net model for visual area V2, NIPS; Ng (2011), Sparse autoencoder,
CS294A lecture notes.

    min  E[ -log p(x | z) ] / D + strength / L * sum_j KL(target || mean_batch(z_j) / bound),   0 <= z_j <= bound

The mean of a unit over the batch, as a share of its upper bound, is a probability, and is drawn to the target. A
sigmoid code is bound * sigmoid(f(x)); a relu code is min(relu(f(x)), bound), for without a bound the share could pass
1, where the KL divergence is not defined. Where we deviate: the mean is over the batch rather than the whole training
set; a bound other than 1, the random zeroing of code elements (``drop``) and the mask of small ones (``threshold``)
are options the notes lack.

The divergence is averaged over units, not summed and divided by D as other penalties are: what pulls a unit away from
its target is the error that it helps to lower, and its share in that grows with the elements of a row and falls with
the number of units. So one strength holds the target on rows and codes of any width, and the notes' beta, which
multiplies sums over both, is ``strength * D / L``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import heads, penalties
from isthmus.parts.dictionary import sampled
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import SLACK

HALVINGS = 40  # of the interval in which the first bias lies: to the last bit of a float32


@dataclass(kw_only=True, eq=False, repr=False)
class KL(Recipe):
    """Sparse by a target for each unit's mean activation."""

    family: ClassVar[str] = "kl"
    camp: ClassVar[str] = "classical"
    pace: ClassVar[float] = 4.0

    code_activation: str = knob(
        "sigmoid",
        "Activation of the code: sigmoid, relu; both scaled or cut to the bound.",
        choices=("sigmoid", "relu"),
    )
    target: float = knob(
        0.1,
        "Target for a unit's mean activation, as a share of the bound (rho).",
        search=Range(0.08, 0.3, log=True),
        stacks=True,
        above=0.0,
        below=1.0,
    )
    strength: float = knob(
        5.0,
        "Weight of the divergence from the target, averaged over units (beta L / D).",
        search=Range(3.0, 50.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    bound: float = knob(1.0, "Upper bound of an activation.", above=0.0)
    drop: float = knob(
        0.0,
        "Share of code elements set to zero at random in training; the others grow by 1/(1-drop).",
        off=0.0,
        low=0.0,
        below=1.0,
    )
    threshold: float = knob(
        0.0, "Code elements below this are masked to zero, in training and at inference.", off=0.0, low=0.0
    )

    def _check(self) -> None:
        super()._check()
        if self.threshold >= self.bound:
            raise BadInput(f"kl: threshold must be below bound = {self.bound}; got {self.threshold!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> KLModel:
        return KLModel(self, shape, head)


class KLModel(EncoderDecoder):
    """Two terms: reconstruction and kl. Noise: (B, L) uniform, if elements are dropped."""

    rho: Tensor

    def __init__(self, recipe: KL, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, code=recipe.code_activation)
        self.weights |= {"kl": recipe.strength}
        self.bound, self.drop, self.threshold = recipe.bound, recipe.drop, recipe.threshold
        self.register_buffer("rho", torch.tensor(float(recipe.target)), persistent=False)

    def activate(self, x: Tensor) -> Tensor:
        """Activations in [0, bound], before the mask: (B, *D) -> (B, L)."""
        return self.bounded(self.encoder(x))

    def bounded(self, raw: Tensor) -> Tensor:
        """Raw codes, rectified to [0, bound]: same shape."""
        return torch.sigmoid(raw) * self.bound if self.code == "sigmoid" else torch.relu(raw).clamp(max=self.bound)

    def mask(self, z: Tensor) -> Tensor:
        """Small activations to zero; those on the threshold, and what rounding makes of them, stay."""
        return z * (z >= self.threshold - SLACK) if self.threshold else z

    def encode(self, x: Tensor) -> Tensor:
        return self.mask(self.activate(x))

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor | None:
        if not self.drop:
            return None
        return torch.rand((len(x), self.latents), generator=generator, dtype=x.dtype, device=x.device)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        activation = self.activate(x)
        z = self.mask(activation)
        if noise is not None:
            z = z * (noise >= self.drop) / (1 - self.drop)
        divergence = penalties.kl_bernoulli(self.rho, activation.mean(0) / self.bound) / self.latents
        return Loss({"reconstruction": self.misfit(z, target), "kl": divergence}, {})

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Every unit begins at its target: what is left for training is to stay there, not the way from one half."""
        super().start(x)
        some = sampled(x)
        raw, wanted = self.encoder(some), self.rho * self.bound
        level = torch.logit(self.rho) if self.code == "sigmoid" else wanted
        low, high = level - raw.amax(0), level - raw.amin(0)  # all activations below the target, and all above
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = self.bounded(raw + middle).mean(0) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        self.encoder.last.bias.add_((low + high) / 2)
        back = self.decoder(self.encode(some)).mean(0)
        self.decoder.last_bias.add_((heads.link(self.head, x.mean(0)) - back).flatten())
