"""Top-k sparse autoencoder with signed codes.

Zhu, Khalili and Zhu (2026), AbsTopK: rethinking sparse autoencoders for bidirectional features, ICLR.

    min  E[ -log p(x | z) + aux * -log p(x | sg(z) + z_dead) ] / D,   z = the k of f(x - pre) with the largest size

A code is the hard threshold of a raw one, the proximal step of a count of elements: the k elements farthest from zero
pass with their signs. So one unit can stand for a concept and for its opposite, where ``topk`` needs two. All else is
as in ``topk``; what dead units may add is not rectified, as the code itself is not. Where we deviate: the authors' code
chooses in a batch; here k pass in each row, as in the paper's formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from isthmus.families.topk import TopK, TopKModel
from isthmus.model import Model
from isthmus.parts.dictionary import Folded, folded
from isthmus.parts.gates import farthest


@dataclass(kw_only=True, eq=False, repr=False)
class AbsTopK(TopK):
    """The k code elements of a row that are farthest from zero pass, with their signs."""

    family: ClassVar[str] = "abstopk"

    def _build(self, shape: tuple[int, ...], head: str) -> Model:
        return AbsTopKModel(self, shape, head)


class AbsTopKModel(TopKModel):
    """Two terms: reconstruction and auxiliary."""

    signed: ClassVar[bool] = True
    shards = False

    def gate(self, raw: Tensor) -> Tensor:
        return farthest(raw, self.k, self.limit)

    def offered(self, raw: Tensor) -> Tensor:
        """Codes are not rectified, and nor is what dead units add."""
        return raw

    def folded(self) -> Folded:
        """See :func:`isthmus.parts.dictionary.folded`."""
        return folded(self, signed=self.signed)
