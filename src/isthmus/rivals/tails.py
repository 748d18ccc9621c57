"""Tails of the columns, as places between their values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model
from isthmus.rivals.rival import Among, Rival


class Sides(Rival):
    """Places between the values of each column; a row is as odd as the tails in which it lies are thin."""

    known: Tensor
    left_skewed: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: EmpiricalTails) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        self.register_buffer("known", torch.zeros((width, recipe.places), dtype=torch.float64))
        self.register_buffer("left_skewed", torch.zeros(width, dtype=torch.bool))

    def score(self, x: Tensor) -> Tensor:
        """The largest of three sums of minus logarithms of tails (:class:`isthmus.facets.outliers.Tails`)."""
        rows, count = x.flatten(1).double(), self.known.shape[1]
        left = self.below(rows, inclusive=True).double() + 1
        right = count - self.below(rows, inclusive=False).double() + 1
        left, right = (-(tail / (count + 1)).log() for tail in (left, right))
        skewed = torch.where(self.left_skewed, left, right)
        return torch.stack([side.sum(1) for side in (left, right, skewed)]).amax(0)

    def below(self, rows: Tensor, *, inclusive: bool) -> Tensor:
        """How many places of its column are less than each element, or as large: (B, D) -> (B, D).

        By halving, in steps that an ONNX graph has, too.
        """
        column, last = torch.arange(self.known.shape[0], device=rows.device), self.known.shape[1] - 1
        low, high = torch.zeros_like(rows, dtype=torch.int64), torch.full_like(rows, last + 1, dtype=torch.int64)
        for _ in range((last + 1).bit_length()):
            middle = (low + high) // 2
            there = self.known[column, middle.clamp(max=last)]
            more = ((there <= rows) if inclusive else (there < rows)) & (low < high)
            low, high = torch.where(more, middle + 1, low), torch.where(more, high, middle)
        return low

    def check(self) -> None:
        """Places of a column rise."""
        if not bool((self.known.diff(dim=1) >= 0).all()):
            raise BadInput(f"{self.name}: places of a column must be sorted")


@dataclass(kw_only=True, eq=False, repr=False)
class EmpiricalTails(Among):
    """Tail probabilities of each column, multiplied (ECOD: Li et al. 2022), told by places between its values."""

    family: ClassVar[str] = "ecod"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Sides(shape, self)
