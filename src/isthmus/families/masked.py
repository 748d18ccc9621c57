"""Masked autoencoder: rebuild the elements of a row that were hidden, from those that were not.

Pathak, Krähenbühl, Donahue, Darrell and Efros (2016), Context encoders: feature learning by inpainting, CVPR; He, Chen,
Xie, Li, Dollár and Girshick (2022), Masked autoencoders are scalable vision learners, CVPR.

    min  E[ sum_i w_i * -log p(x_i | z) ] / D,   z = f(x with a random share of elements set to 0),
    w_i = 1 where x_i was hidden, else visible

Where rows have gaps, a part of them (``copied``) has hidden what the next row of the batch lacks, so that what is
missing together is learnt together: copy masking of Gorla, Wang, Liu, An and Sankararaman (2025), CACTI, ICML, without
its truncation to a median, which transformers need, and without its language model.

``corruption`` "mask" hides elements too, but counts all errors alike. Where we deviate: single elements are hidden, not
patches, and stay in the input as zeros; the others grow by 1 / (1 - share), so that whole rows can be encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.model import Loss, Range, Recipe, knob
from isthmus.parts import heads
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.heads import TableHead


@dataclass(kw_only=True, eq=False, repr=False)
class Masked(Recipe):
    """Rebuilds hidden elements of a row from the others."""

    family: ClassVar[str] = "masked"
    camp: ClassVar[str] = "classical"

    share: float = knob(
        0.3,
        "Share of the elements of a row that are hidden.",
        search=Range(0.1, 0.8),
        stacks=True,
        off=0.0,
        low=0.0,
        below=1.0,
    )
    visible: float = knob(
        0.3, "Weight of the errors of elements that were not hidden; 0 counts none.", stacks=True, low=0.0, high=1.0
    )

    copied: float = knob(
        0.5,
        "Share of the rows that have hidden what another row lacks, in place of a random share; rows with gaps only.",
        stacks=True,
        off=0.0,
        low=0.0,
        high=1.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> MaskedModel:
        return MaskedModel(self, shape, head)


class MaskedModel(EncoderDecoder):
    """Two terms: reconstruction (of what was hidden) and visible. Noise: (B, *D) uniform."""

    share: Tensor
    copied: Tensor

    def __init__(self, recipe: Masked, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"visible": recipe.visible}
        self.register_buffer("share", torch.tensor(float(recipe.share)), persistent=False)
        self.register_buffer("copied", torch.tensor(float(recipe.copied)), persistent=False)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        """Without noise nothing is hidden, and the whole row counts as what was to be rebuilt."""
        hidden, seen = torch.ones_like(x), x
        if noise is not None:
            hidden = (heads.whole(self.head, noise) < self.share).to(x.dtype)
            # What is left grows, so that the code of a whole row, which is what ships, is of the size that was trained.
            left = 1 - self.share
            if isinstance(self.head, TableHead) and self.head.coin is not None:
                hidden, left = self._copied(self.head, target, noise, hidden)
            seen = x * (1 - hidden) / left
        cost = heads.nll(self.head, self.decoder(self.encode(seen)), target)
        return Loss({"reconstruction": (cost * hidden).mean(), "visible": (cost * (1 - hidden)).mean()}, {})

    def _copied(self, head: TableHead, target: Tensor, noise: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What is hidden, of some rows what the next one lacks. Those do not grow: rows with such gaps will not."""
        lacks = head.lacks(target).to(target.dtype)
        borrowed = torch.cat([lacks[1:], lacks[:1]])
        coin = noise[:, head.coin].unsqueeze(1)  # of an element that is never hidden
        copies = (coin < self.copied) & (borrowed.sum(1, keepdim=True) > 0)
        return torch.where(copies, borrowed, hidden), torch.where(copies, 1.0, 1 - self.share)
