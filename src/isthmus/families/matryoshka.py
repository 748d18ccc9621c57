"""Matryoshka sparse autoencoder.

Bussmann, Nabeshima, Karvonen and Nanda (2025), Learning multi-level features with Matryoshka sparse autoencoders,
ICML.

    min  E[ -log p(x | z) + nested * sum_m -log p(x | z_1 .. z_m) + aux * -log p(x | sg(z) + z_dead) ] / D,
    z = relu of the k B largest of all f(x - pre) in a batch of B rows

The first m units must also do alone, for several prefixes m of one dictionary: general features come to stand in
front, and splitting them later does not pay. The inference form is that of ``batchtopk``; the code may be cut after
any prefix. Where we deviate: prefixes are fixed, halves of halves of the code, not drawn anew for each batch; with
``choice`` "row" exactly k pass in each row, as in ``topk``, in training and inference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.families.batchtopk import BatchTopK, BatchTopKModel
from isthmus.model import knob
from isthmus.parts import heads
from isthmus.parts.dictionary import is_affine
from isthmus.parts.gates import topk
from isthmus.parts.sparse import Entries, sparsely

HALVINGS = 4  # prefixes of L/16, L/8, L/4 and L/2 units, then all


@dataclass(kw_only=True, eq=False, repr=False)
class Matryoshka(BatchTopK):
    """Nested dictionaries in one: every prefix of the code must reconstruct by itself."""

    family: ClassVar[str] = "matryoshka"

    prefixes: tuple[int, ...] = knob(
        (),
        "Widths m of the nested codes, growing, below latents; (): a sixteenth, an eighth, a quarter and a half.",
        low=1,
    )
    nested: float = knob(
        1.0, "Weight of the reconstructions from prefixes, added up; 1 in the paper.", stacks=True, off=0.0, low=0.0
    )
    decay: float = knob(
        0.99,
        "Decay per step of the threshold's moving average, at most; in the first steps it is lower.",
        low=0.0,
        below=1.0,
        only=("choice is batch", lambda r: r.choice == "batch"),
        stacks=True,
    )
    choice: str = knob(
        "batch",
        "Where the largest elements are chosen: in the batch (k per row on average) or in each row (k each).",
        choices=("batch", "row"),
    )

    @property
    def widths(self) -> tuple[int, ...]:
        """The prefixes that the model learns, without the whole code."""
        halves = (self.latents >> i for i in range(HALVINGS, 0, -1))
        return self.prefixes or tuple(dict.fromkeys(m for m in halves if m))

    def _check(self) -> None:
        super()._check()
        if any(a >= b for a, b in pairwise((*self.prefixes, self.latents))):
            raise BadInput(
                f"{self.family}: prefixes must be growing whole numbers below {self.latents}; got {self.prefixes!r}"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> MatryoshkaModel:
        return MatryoshkaModel(self, shape, head)


class MatryoshkaModel(BatchTopKModel):
    """Three terms: reconstruction (from the whole code), auxiliary and nested."""

    shards = False  # the widths are of the whole code

    def __init__(self, recipe: Matryoshka, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.widths, self.whole = recipe.widths, recipe.choice == "batch"
        self.weights |= {"nested": recipe.nested}

    def gate(self, raw: Tensor) -> Tensor:
        return super().gate(raw) if self.whole else torch.relu(topk(raw, self.k, self.limit))

    def train_gate(self, raw: Tensor) -> Tensor:
        return super().train_gate(raw) if self.whole else self.gate(raw)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        losses = [heads.nll(self.head, out, target).mean() for out in outputs(self.decoder, z, self.widths)]
        nested = torch.stack(losses).sum() if losses else z.new_zeros(())
        return {"nested": nested, **super().costs(raw, z, target)}

    def written(self, x: Tensor, target: Tensor, found: Entries) -> tuple[Tensor, dict[str, Tensor]]:
        """Prefixes are running sums over what the units between two of them write."""
        ends = torch.tensor(self.widths, device=x.device)
        blocks = torch.bucketize(torch.arange(self.latents, device=x.device), ends, right=True)
        outs = sparsely(self, x, found, blocks, len(ends) + 1).cumsum(1) + self.decoder.last_bias.reshape(x.shape[1:])
        *parts, out = outs.unbind(1)
        losses = [heads.nll(self.head, part, target).mean() for part in parts]
        return out, {"nested": torch.stack(losses).sum() if losses else out.new_zeros(())}

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        weight, bias, gate = super().affine()
        return weight, bias, gate if self.whole else int(self.k)


def outputs(decoder: Any, z: Tensor, widths: Sequence[int]) -> Iterator[Tensor]:
    """Raw outputs (B, *D) of each prefix of the code; an affine decoder adds to the one before what new units write."""
    if not is_affine(decoder):
        yield from (decoder(prefix(z, m)) for m in widths)
        return
    out = decoder.last_bias
    for start, end in pairwise((0, *widths)):
        out = out + z[:, start:end] @ decoder.dictionary[:, start:end].t()
        yield out.reshape(len(z), *decoder.shape)


def prefix(z: Tensor, m: int) -> Tensor:
    """The code with all but its first ``m`` elements set to zero, (B, L)."""
    return torch.where(torch.arange(z.shape[1], device=z.device) < m, z, 0.0)
