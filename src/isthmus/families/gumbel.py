"""Categorical autoencoder with Gumbel-softmax.

Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax, ICLR; Maddison, Mnih and Teh (2017), The
concrete distribution: a continuous relaxation of discrete random variables, ICLR; a learnt vector for each category:
Ramesh et al. (2021), Zero-shot text-to-image generation, ICML (its first stage).

    min  E[ -log p(x | y E) + beta * sum_i KL(softmax(l_i) || uniform) ] / D,
    y_i = softmax((l_i + g_i) / tau),   l = f(x),   g_i Gumbel noise,
    tau = temperature * (coolest / temperature)^min(1, t / cooling),   t the share of the plan's steps that is taken

The code is ``latents / width`` positions; each is a category out of ``codes``, described by its row of the matrix E
(codes, width). In training the category is drawn: by default the largest of ``l + g``, with the gradient of the softmax
(the straight-through estimator of Jang et al.); ``hard`` false lets the soft mixture pass instead. The temperature
falls by the same factor at every step until it is ``coolest``. ``encode`` takes the most probable category. Where we
deviate: categories are described by vectors that all positions share, so that the code has the same width as those of
the other families, rather than by one-hot vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, Timed, knob
from isthmus.parts.codebooks import smallest, straight
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.schedule import passed


@dataclass(kw_only=True, eq=False, repr=False)
class Gumbel(Recipe):
    """A discrete code that is drawn: each position holds a probability for every category."""

    family: ClassVar[str] = "gumbel"
    camp: ClassVar[str] = "discrete"

    codes: int = knob(32, "Categories of a position (K).", low=2)
    width: int | None = knob(
        None, "Width of a category's vector, a divisor of latents; null: the greatest one with 4.", low=1
    )
    beta: float = knob(
        0.1,
        "Weight of the KL divergence from equal probabilities; 1 is the evidence bound.",
        search=Range(0.01, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    temperature: float = knob(
        1.0,
        "Temperature of the softmax at the first step (tau).",
        stacks=True,
        low=0.01,
        only=("cooling is above 0", lambda r: r.cooling > 0),
    )
    cooling: float = knob(
        0.3, "Share of the plan's steps over which the temperature falls.", stacks=True, low=0.0, high=1.0
    )
    coolest: float = knob(0.5, "Temperature at the end, at most that of the first step.", stacks=True, low=0.01)
    hard: bool = knob(True, "Whether training decodes one category (with the gradient of the softmax) or the mixture.")

    @property
    def vector_width(self) -> int:
        """The width of a category's vector."""
        return math.gcd(self.latents, 4) if self.width is None else self.width

    def _check(self) -> None:
        super()._check()
        if self.latents % self.vector_width:
            raise BadInput(f"gumbel: width must divide latents = {self.latents}; got {self.width!r}")
        if self.coolest > self.temperature:
            raise BadInput(f"gumbel: coolest must be at most temperature = {self.temperature}; got {self.coolest!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> GumbelModel:
        return GumbelModel(self, shape, head)


class GumbelModel(Timed, EncoderDecoder):
    """Two terms: reconstruction and kl. Noise: (B * positions, K) Gumbel. The clock says the temperature."""

    estimated_gradients: tuple[str, ...]
    first: Tensor
    cooling: Tensor
    coolest: Tensor

    def __init__(self, recipe: Gumbel, shape: tuple[int, ...], head: str) -> None:
        self.positions = recipe.latents // recipe.vector_width
        super().__init__(recipe, shape, head, outputs=self.positions * recipe.codes)
        self.entries, self.hard = recipe.codes, recipe.hard
        self.estimated_gradients = ("encoder.",) if recipe.hard else ()
        self.weights |= {"kl": recipe.beta}
        self.vectors = nn.Parameter(torch.randn(recipe.codes, recipe.vector_width))
        self.register_buffer("first", torch.tensor(float(recipe.temperature)), persistent=False)
        self.register_buffer("cooling", torch.tensor(float(recipe.cooling)), persistent=False)
        self.register_buffer("coolest", torch.tensor(float(recipe.coolest)), persistent=False)

    @property
    def settles(self) -> float:
        return float(self.cooling)

    @property
    def temperature(self) -> Tensor:
        """The temperature at the current step."""
        return self.first * (self.coolest / self.first) ** passed(self.clock, self.cooling)

    def logits(self, x: Tensor) -> Tensor:
        """Unnormalised log probabilities, (B * positions, K)."""
        return self.encoder(x).reshape(-1, self.entries)

    def encode(self, x: Tensor) -> Tensor:
        """The vectors of the most probable categories, (B, L)."""
        return (smallest(-self.logits(x).t()).t() @ self.vectors).reshape(x.shape[0], self.latents)

    def tokens(self, x: Tensor) -> Tensor:
        """The most probable categories, (B, positions)."""
        return smallest(-self.logits(x).t()).argmax(0).reshape(x.shape[0], self.positions)

    def embed(self, tokens: Tensor) -> Tensor:
        """The vectors of categories, (B, L)."""
        return self.vectors[tokens].reshape(tokens.shape[0], self.latents)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        size = (len(x) * self.positions, self.entries)
        wait = torch.empty(size, dtype=x.dtype, device=x.device).exponential_(generator=generator)
        return -wait.clamp_min(1e-30).log()

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        logits = self.logits(x)
        log_share = logits.log_softmax(1)
        drawn = logits if noise is None else logits + noise
        choice = (drawn / self.temperature).softmax(1)
        if self.hard:
            choice = straight(choice, smallest(-drawn.detach().t()).t())
        code = (choice @ self.vectors).reshape(x.shape[0], self.latents)
        kl = math.log(self.entries) + (log_share.exp() * log_share).sum(1).mean()
        kl = kl * self.positions / self.size
        return Loss({"reconstruction": self.misfit(code, target), "kl": kl}, {})
