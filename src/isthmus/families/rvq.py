"""Residual vector-quantised autoencoder.

Zeghidour, Luebs, Omran, Skoglund and Tagliasacchi (2021), SoundStream: an end-to-end neural audio codec, IEEE/ACM
Transactions on Audio, Speech and Language Processing.

    min  E[ -log p(x | e_1 + ... + e_n) + commitment * sum_i ||r_i - sg(e_i)||^2 ] / D,
    r_1 = z = f(x),   e_i = nearest entry of book i to r_i,   r_{i+1} = r_i - sg(e_i)

As the vector-quantised autoencoder, but each position is described by ``depth`` codebooks in turn: every book
quantises what the ones before it left, so ``depth`` books of K entries reach K^depth sums. Where we deviate: no
quantiser dropout (training with a random number of books), for one model here serves one rate; and as in ``vq``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isthmus.families.vq import VQ, VQModel
from isthmus.model import knob
from isthmus.parts.codebooks import STARTS


@dataclass(kw_only=True, eq=False, repr=False)
class RVQ(VQ):
    """A discrete code in several stages: each codebook describes what the ones before it left."""

    family: ClassVar[str] = "rvq"

    codes: int = knob(16, "Entries of each codebook (K).", low=2)
    first: str = knob(
        "kmeans",
        "Where the first entries come from, among codes of training rows: sample or kmeans.",
        choices=tuple(STARTS),
    )
    depth: int = knob(3, "Codebooks, one after another, for each position.", off=1, low=1)

    def _build(self, shape: tuple[int, ...], head: str) -> VQModel:
        return VQModel(self, shape, head, self.depth)
