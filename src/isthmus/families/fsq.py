"""Autoencoder with finite scalar quantisation.

Mentzer, Minnen, Agustsson and Tschannen (2024), Finite scalar quantization: VQ-VAE made simple, ICLR.

    min  E[ -log p(x | q) ] / D,   q_j = round(h_j tanh(f_j(x) + s_j) - o_j) / floor(levels_j / 2)

Each element of the code is bounded and rounded to one of ``levels_j`` values between -1 and 1; the gradient passes
straight through the rounding. ``h_j = (levels_j - 1) / 2`` (a thousandth less, so that no rounding leads past the
outermost values); an even number of levels cannot lie evenly about 0, so it is moved by ``o_j = 1/2``, and ``s_j =
artanh(o_j / h_j)`` keeps 0 at 0. No codebook, no further term, nothing that could collapse. Where we deviate: levels
are given for one symbol and repeat along the code; the raw code starts with unit spread; the paper's listing writes
tan where the inverse of tanh is meant. Two levels are not taken: 0 would lie where tanh is flat (see ``lfq``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Recipe, knob
from isthmus.parts.codebooks import digits, straight, stretch, words
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import SLACK

LESS = 1e-3


@dataclass(kw_only=True, eq=False, repr=False)
class FSQ(Recipe):
    """A discrete code without a codebook: each element is rounded to one of a few levels."""

    family: ClassVar[str] = "fsq"
    camp: ClassVar[str] = "discrete"

    levels: tuple[int, ...] = knob(
        (8, 5, 5, 5), "Levels of the elements of one symbol, each at least 3; they repeat along the code.", low=3
    )

    def _check(self) -> None:
        super()._check()
        if not self.levels or math.prod(self.levels) >= 2**63:
            raise BadInput(
                f"fsq: levels must be at least one number, and their product below 2^63; got {self.levels!r}"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> FSQModel:
        return FSQModel(self, shape, head)


def level(bounded: Tensor) -> Tensor:
    """The nearest whole number; half way between two, and what rounding makes of that, is the upper. Same shape."""
    return (bounded + SLACK).round()


class FSQModel(EncoderDecoder):
    """One term: reconstruction."""

    estimated_gradients = ("encoder.",)
    levels: Tensor
    bases: Tensor

    def __init__(self, recipe: FSQ, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        cycle = recipe.levels[: self.latents]
        self.entries = math.prod(cycle)
        place = torch.arange(self.latents) % len(cycle)
        self.register_buffer("levels", torch.tensor(cycle)[place], persistent=False)
        bases = torch.tensor([math.prod(cycle[:i]) for i in range(len(cycle))])
        self.register_buffer("bases", bases[place], persistent=False)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Stretch the raw code to unit spread over the training rows: all levels are in reach from the start."""
        super().start(x)
        stretch(self.encoder.last, self.encoder(x))
        super().start(x)  # again, for the output's bias follows from the code

    def bound(self, raw: Tensor) -> Tensor:
        """Raw codes (B, L) between their outermost levels, in steps of one; 0 stays 0."""
        half = (self.levels - 1).to(raw.dtype) * (1 - LESS) / 2
        offset = 0.5 * (1 - self.levels % 2)
        return half * torch.tanh(raw + torch.atanh(offset / half)) - offset

    def encode(self, x: Tensor) -> Tensor:
        """The levels, in [-1, 1], (B, L)."""
        return level(self.bound(self.encoder(x))) / (self.levels // 2)

    def tokens(self, x: Tensor) -> Tensor:
        """One symbol for each group of elements, (B, ceil(L / len(levels)))."""
        half = self.levels // 2
        return words((self.encode(x) * half).round() + half, self.bases)

    def embed(self, tokens: Tensor) -> Tensor:
        """The levels that symbols stand for, (B, L)."""
        half = self.levels // 2
        return (digits(tokens, self.bases, self.levels) - half) / half

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        bounded = self.bound(self.encoder(x))
        code = straight(bounded, level(bounded)) / (self.levels // 2)
        return Loss({"reconstruction": self.misfit(code, target)}, {})
