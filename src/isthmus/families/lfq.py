"""Autoencoder with lookup-free quantisation.

Yu, Lezama, Gundavarapu, Versari, Sohn, Minnen, Cheng, Birodkar, Gupta, Gu, Hauptmann, Gong, Yang, Essa, Ross and Jiang
(2024), Language model beats diffusion: tokenizer is key to visual generation, ICLR.

    min  E[ -log p(x | q) + commitment * ||z - q||^2 + entropy * (sum_j H(p_j) + balance * sum_j KL(m_j || 1/2)) ] / D,
    q = sign(z),   z = f(x),   p_j = sigmoid(4 z_j / temperature),   m_j = mean of p_j over the batch

Each element of the code is one bit, -1 or 1; the gradient passes straight through the sign. p_j is the soft choice
between -1 and 1 by squared distance. The first entropy makes each row decide; KL(m_j || 1/2) = log 2 - H(m_j) asks all
rows together to use both values. Bits count as independent, as in the paper for large codebooks: the sums over bits
stand for the entropies of whole symbols. Where we deviate: the constant log 2, so that a term is never negative; the
paper gives both entropies one weight (``balance`` = 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import penalties
from isthmus.parts.codebooks import digits, straight, stretch, words
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import SLACK

WORD = 8  # bits of one symbol


@dataclass(kw_only=True, eq=False, repr=False)
class LFQ(Recipe):
    """A code of bits: each element is reduced to its sign, and penalties keep bits decided and balanced."""

    family: ClassVar[str] = "lfq"
    camp: ClassVar[str] = "discrete"

    commitment: float = knob(
        0.25, "Weight that holds the encoder close to its bits (beta).", stacks=True, off=0.0, low=0.0
    )
    entropy: float = knob(
        0.1,
        "Weight of both entropies: of each row, and of all.",
        search=Range(0.01, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    balance: float = knob(
        1.0,
        "Weight of the balance of each bit over the batch, relative to its entropy per row.",
        stacks=True,
        off=0.0,
        low=0.0,
    )
    temperature: float = knob(1.0, "Temperature of the softmax whose entropies are penalised.", stacks=True, above=0.0)

    def _build(self, shape: tuple[int, ...], head: str) -> LFQModel:
        return LFQModel(self, shape, head)


class LFQModel(EncoderDecoder):
    """Four terms: reconstruction, commitment, entropy, balance."""

    estimated_gradients = ("encoder.",)
    temperature: Tensor
    bases: Tensor

    def __init__(self, recipe: LFQ, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.entries = 2 ** min(WORD, self.latents)
        self.weights |= {
            "commitment": recipe.commitment,
            "entropy": recipe.entropy,
            "balance": recipe.entropy * recipe.balance,
        }
        self.register_buffer("temperature", torch.tensor(float(recipe.temperature)), persistent=False)
        self.register_buffer("bases", 2 ** (torch.arange(self.latents) % WORD), persistent=False)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Stretch the raw code to unit spread over the training rows, the size of its bits."""
        super().start(x)
        stretch(self.encoder.last, self.encoder(x))
        super().start(x)  # again, for the output's bias follows from the code

    @staticmethod
    def bits(raw: Tensor) -> Tensor:
        """-1 or 1 for each element; 0, and what rounding makes of it, counts as -1."""
        return torch.where(raw > SLACK, 1.0, -1.0).to(raw.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """The bits, (B, L)."""
        return self.bits(self.encoder(x))

    def tokens(self, x: Tensor) -> Tensor:
        """One symbol for each group of ``WORD`` bits, (B, ceil(L / WORD))."""
        return words(self.encode(x) > 0, self.bases)

    def embed(self, tokens: Tensor) -> Tensor:
        """The bits that symbols stand for, (B, L)."""
        return 2.0 * digits(tokens, self.bases, torch.full_like(self.bases, 2)) - 1

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        raw = self.encoder(x)
        bits = self.bits(raw)
        logits = 4 * raw / self.temperature
        share = torch.sigmoid(logits)
        # H(p) = softplus(l) - p l for p = sigmoid(l): no logarithm of a share that is 0.
        entropy = (functional.softplus(logits) - share * logits).sum(1).mean()
        terms = {
            "reconstruction": self.misfit(straight(raw, bits), target),
            "commitment": (raw - bits).square().sum(1).mean() / self.size,
            "entropy": entropy / self.size,
            "balance": penalties.kl_bernoulli(share.mean(0), torch.full_like(share[0], 0.5)) / self.size,
        }
        return Loss(terms, {})
