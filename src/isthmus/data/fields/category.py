"""Texts of which there are few, as one element for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Cells, Field
from isthmus.data.fields.plain import number, only
from isthmus.data.fields.tally import Tally
from isthmus.errors import BadInput

MOST = 64
"""Most values with an element of their own; beyond, the rarer ones share one."""
LEAST_ROWS = 2
"""Fewer training rows say nothing of a value: it shares an element with all that are new."""
WIDEST = 1 << 20


@dataclass(frozen=True)
class Category:
    """One of a few values: an element for each that is common enough, and one for all others, new ones included.

    The elements are ``(one-hot - shares) / scale``, where ``scale`` is such that their variances sum to 1: a category
    weighs as much as a number however many values it has (factor analysis of mixed data, Pagès 2004, divides each
    element by the root of its own share; here all share one scale, so that rare values do not outweigh common ones).

    Examples
    --------
    >>> city = Category.fit(np.array([0.0, 0.0, 1.0, 1.0]), Field("city", "category", ("Bergen", "Oslo")))
    >>> city.encode(np.array([0.0])).round(3), city.decode(np.array([[0.1, 0.9, 0.0]]))
    (array([[ 0.707, -0.707,  0.   ]]), array([1.]))
    """

    kind: ClassVar[str] = "category"
    outcome: ClassVar[str] = "choice"

    codes: tuple[int, ...]
    """The cells that have an element of their own, in order; all others share the last element."""
    shares: tuple[float, ...]
    """Of the training rows, for each element."""

    @property
    def width(self) -> int:
        return len(self.shares)

    @property
    def scale(self) -> float:
        """Root of the summed variances; 1 where all rows are alike."""
        return summed_spread(self.shares)

    @classmethod
    def fit(cls, cells: Cells, field: Field) -> Self:
        there = cells[~np.isnan(cells)].astype(np.int64)
        return cls._of(np.bincount(there[there >= 0], minlength=len(field.values)), len(there))

    @classmethod
    def tally(cls, cells: Cells) -> Tally:
        return Tally.of(cells, counted=np.asarray)

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        counts = np.zeros(len(field.values), np.int64)
        own = known.values >= 0
        counts[known.values[own].astype(np.int64)] = known.counts[own]
        return cls._of(counts, known.plain.rows)

    @classmethod
    def _of(cls, counts: NDArray[np.int64], rows: int) -> Self:
        """By how many rows hold each value, and how many hold one at all."""
        order = np.argsort(-counts, kind="stable")[:MOST]
        codes = np.sort(order[counts[order] >= LEAST_ROWS])
        shares = counts[codes] / max(rows, 1)
        return cls(tuple(codes.tolist()), (*shares.tolist(), max(0.0, 1.0 - float(shares.sum()))))

    def encode(self, cells: Cells) -> NDArray[np.float64]:
        own = np.searchsorted(self.codes, cells)
        known = np.append(np.asarray(self.codes, np.float64), np.nan)[own] == cells
        out = np.zeros((len(cells), self.width))
        out[np.arange(len(cells)), np.where(known, own, len(self.codes))] = 1.0
        return (out - np.asarray(self.shares)) / self.scale

    def decode(self, x: NDArray[np.float64]) -> Cells:
        likeliest = (x * self.scale + np.asarray(self.shares)).argmax(axis=1)
        return np.append(np.asarray(self.codes, np.float64), -1.0)[likeliest]

    def names(self, field: Field) -> list[str]:
        return [*(f"{field.name}={field.values[code]}" for code in self.codes), f"{field.name}=other"]

    def to_json(self) -> dict[str, Any]:
        return {"codes": list(self.codes), "shares": list(self.shares)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "codes", "shares")
        codes, shares = data["codes"], data["shares"]
        if not isinstance(codes, list) or not isinstance(shares, list) or len(shares) != len(codes) + 1:
            raise BadInput("category: expected a list of codes, and a share for each and one for all others")
        if any(type(code) is not int or not 0 <= code < WIDEST for code in codes) or codes != sorted(set(codes)):
            raise BadInput("category: codes must be whole numbers that rise")
        found = [number("category.shares", share) for share in shares]
        if min(found) < 0 or max(found) > 1:
            raise BadInput("category: shares must lie between 0 and 1")
        return cls(tuple(codes), tuple(found))


def summed_spread(shares: Sequence[float]) -> float:
    """The root of the summed variances of elements that are 1 in these shares of the rows; 1 if no element varies."""
    spread = sum(share * (1 - share) for share in shares)
    return float(np.sqrt(spread)) if spread > 0 else 1.0
