"""Vector-quantised autoencoder.

van den Oord, Vinyals and Kavukcuoglu (2017), Neural discrete representation learning, NIPS; codebook by exponential
moving averages, its appendix A.1. The rotation trick: Fifty, Junkins, Duan, Iyengar, Liu, Amid, Thrun and Re (2024),
Restructuring vector quantization with the rotation trick.

    min  E[ -log p(x | e) + commitment * ||z - sg(e)||^2 + ||sg(z) - e||^2 ] / D,   e = nearest entry to z = f(x)

The code is cut into ``latents / width`` positions; each becomes the nearest of ``codes`` shared entries, and the
gradient passes straight through, or turned and stretched by the rotation that takes the code to its entry. With moving
averages the last term is absent: entries move towards the mean of what they were nearest to. Where we deviate: an
entry whose moving count falls below ``least`` of a fair share is put back at a fixed draw from the normal distribution
with the mean and spread of the current codes; this is deterministic and needs sums only. The first codebook is taken
from codes of training rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts.codebooks import ESTIMATORS, STARTS, Book
from isthmus.parts.encoder_decoder import EncoderDecoder


@dataclass(kw_only=True, eq=False, repr=False)
class VQ(Recipe):
    """A discrete code: each piece of it is replaced by the nearest entry of a learnt codebook."""

    family: ClassVar[str] = "vq"
    camp: ClassVar[str] = "discrete"

    codes: int = knob(64, "Entries of the codebook (K).", low=2)
    width: int | None = knob(
        None, "Width of one entry, a divisor of latents; null: the greatest common one with 4.", low=1
    )
    commitment: float = knob(
        0.25,
        "Weight that holds the encoder close to its entries (beta).",
        search=Range(0.05, 2.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    codebook: str = knob(
        "average",
        "How entries learn: average (of the codes nearest to them) or gradient.",
        choices=("average", "gradient"),
    )
    decay: float = knob(0.99, "Decay of the moving averages per step (gamma).", stacks=True, low=0.0, below=1.0)
    first: str = knob(
        "sample",
        "Where the first entries come from, among codes of training rows: sample or kmeans.",
        choices=tuple(STARTS),
    )
    least: float = knob(
        0.01,
        "An entry used less than this share of an equal count is moved to the code of a row; 0: never.",
        stacks=True,
        off=0.0,
        low=0.0,
        below=1.0,
    )
    estimator: str = knob(
        "straight",
        "Gradient through the choice of an entry: straight (through) or rotation (the rotation trick).",
        choices=tuple(ESTIMATORS),
    )

    @property
    def entry_width(self) -> int:
        """The width of one entry."""
        return math.gcd(self.latents, 4) if self.width is None else self.width

    def _check(self) -> None:
        super()._check()
        if self.latents % self.entry_width:
            raise BadInput(f"{self.family}: width must divide latents = {self.latents}; got {self.width!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> VQModel:
        return VQModel(self, shape, head)


class VQModel(EncoderDecoder):
    """Terms: reconstruction, commitment and, for a learnt book, codebook. Remembered: the books and their use.

    Parameters
    ----------
    recipe, shape, head
        As for :class:`EncoderDecoder`.
    depth : int
        Codebooks, each of which quantises what the ones before it left.
    """

    estimated_gradients = ("encoder.", "books.")
    books: Any  # an nn.ModuleList of Book

    def __init__(self, recipe: VQ, shape: tuple[int, ...], head: str, depth: int = 1) -> None:
        super().__init__(recipe, shape, head)
        self.entries, self.width, self.first = recipe.codes, recipe.entry_width, recipe.first
        self.past, self.learnt = ESTIMATORS[recipe.estimator], recipe.codebook == "gradient"
        self.weights |= {"commitment": recipe.commitment} | ({"codebook": 1.0} if self.learnt else {})
        self.books = nn.ModuleList(
            Book(recipe.codes, recipe.entry_width, learnt=self.learnt, decay=recipe.decay, least=recipe.least)
            for _ in range(depth)
        )

    def pieces(self, x: Tensor) -> Tensor:
        """Codes before quantisation, (B * positions, width)."""
        return self.encoder(x).reshape(-1, self.width)

    def quantise(self, pieces: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each book: the residual that it saw (n, W), its pick (K, n), and the entries (n, W)."""
        stages, rest = [], pieces
        for book in self.books:
            stages.append((rest, *book.choose(rest)))
            rest = rest - stages[-1][2].detach()
        return stages

    def encode(self, x: Tensor) -> Tensor:
        """The quantised vector, (B, L)."""
        return sum(e for _, _, e in self.quantise(self.pieces(x))).reshape(x.shape[0], self.latents)  # type: ignore[union-attr]

    def tokens(self, x: Tensor) -> Tensor:
        """The numbers of the entries, (B, positions * depth): the books of a position side by side."""
        chosen = [picked.argmax(0) for _, picked, _ in self.quantise(self.pieces(x))]
        return torch.stack(chosen, dim=1).reshape(x.shape[0], -1)

    def embed(self, tokens: Tensor) -> Tensor:
        """The sum of the entries of all books at each position, (B, L)."""
        chosen = tokens.reshape(-1, len(self.books)).unbind(1)
        pieces = sum(book.entries[picked] for book, picked in zip(self.books, chosen, strict=True))
        return pieces.reshape(tokens.shape[0], self.latents)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        pieces = self.pieces(x)
        stages = self.quantise(pieces)
        code = self.past(pieces, sum(e.detach() for _, _, e in stages)).reshape(x.shape[0], self.latents)  # type: ignore[arg-type]
        share = len(x) * self.size
        commitment = torch.stack([(rest - e.detach()).square().sum() for rest, _, e in stages]).sum()
        terms = {"reconstruction": self.misfit(code, target), "commitment": commitment / share}
        if self.learnt:
            learning = torch.stack([(rest.detach() - e).square().sum() for rest, _, e in stages]).sum()
            terms["codebook"] = learning / share
        seen = {
            f"{name}{i}": fact
            for i, (book, (rest, chosen, _)) in enumerate(zip(self.books, stages, strict=True))
            for name, fact in book.facts(rest, chosen).items()
        }
        return Loss(terms, seen)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Take the first entries from the codes of training rows."""
        super().start(x)
        rest = self.pieces(x)
        for book in self.books:
            book.begin(rest, self.first)
            rest = rest - book.choose(rest)[1]
        super().start(x)  # again, for the output's bias follows from the entries

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Each book hears what its stage saw."""
        for i, book in enumerate(self.books):
            book.absorb({name: seen[f"{name}{i}"] for name in ("counts", "sums", "squares")})

    @torch.no_grad()
    def project(self) -> None:
        """Each book puts its forgotten entries back."""
        for book in self.books:
            book.project()
