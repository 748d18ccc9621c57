"""Values that stand in an order, as one element for each step from a value to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.category import MOST, WIDEST, summed_spread
from isthmus.data.fields.field import Cells, Field
from isthmus.data.fields.plain import number, only
from isthmus.data.fields.tally import Tally
from isthmus.errors import BadInput


@dataclass(frozen=True)
class Ordered:
    """One of a few values that stand in an order: for each step between neighbours whether it was taken.

    The elements are ``(taken - shares) / scale``, where ``scale`` is such that their variances sum to 1. A value that
    no training row holds is taken for the nearest one that some row holds, and a text that is new for a gap.

    Its likelihood has an order too: that of cumulative logits (:mod:`isthmus.parts.heads.table`).

    Examples
    --------
    >>> size = Ordered.fit(np.array([0.0, 1.0, 1.0, 2.0]), Field("size", "ordered", ("S", "M", "L")))
    >>> size.shares, size.encode(np.array([1.0])).round(3), size.decode(np.array([[0.1, 0.3]]))
    ((0.75, 0.25), array([[ 0.408, -0.408]]), array([1.]))
    """

    kind: ClassVar[str] = "ordered"
    outcome: ClassVar[str] = "order"

    codes: tuple[int, ...]
    """The cells that come back, in order: those of training rows; where these are many, 65 spread over the rows."""
    shares: tuple[float, ...]
    """Of the training rows that took each step: that lie beyond the middle of a code and the next."""

    @property
    def width(self) -> int:
        return len(self.shares)

    @property
    def scale(self) -> float:
        """Root of the summed variances; 1 where all rows are alike."""
        return summed_spread(self.shares)

    @property
    def steps(self) -> NDArray[np.float64]:
        """What a cell exceeds that took each step."""
        codes = np.asarray(self.codes, np.float64)
        return (codes[1:] + codes[:-1]) / 2

    @classmethod
    def fit(cls, cells: Cells, field: Field) -> Self:
        return cls.of(cls.tally(cells), field)

    @classmethod
    def tally(cls, cells: Cells) -> Tally:
        return Tally.of(cells, counted=np.asarray)

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        own = known.values >= 0  # a text that is new is no place in the order
        values, counts = known.values[own], known.counts[own]
        codes = values.astype(int).tolist() or [0]
        if len(codes) > MOST + 1:
            rows = np.rint(np.linspace(0, counts.sum() - 1, MOST + 1))
            codes = np.unique(values[np.searchsorted(np.cumsum(counts), rows, side="right")]).astype(int).tolist()
        codes = codes if len(codes) > 1 else codes * 2  # one step that no row takes
        bare = cls(tuple(codes), ())
        shares = counts @ (values[:, None] > bare.steps) / max(counts.sum(), 1)
        return cls(bare.codes, tuple(shares.tolist()))

    def encode(self, cells: Cells) -> NDArray[np.float64]:
        taken = cells[:, None] > self.steps
        return np.where(cells[:, None] < 0, 0.0, (taken - np.asarray(self.shares)) / self.scale)

    def decode(self, x: NDArray[np.float64]) -> Cells:
        taken = (self.chances(x) > 0.5).sum(axis=1)  # so many are likelier than not: the median
        return np.asarray(self.codes, np.float64)[taken]

    def chances(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely each step was taken, (n, width)."""
        return np.clip(x * self.scale + np.asarray(self.shares), 0.0, 1.0)

    def names(self, field: Field) -> list[str]:
        return [f"{field.name}>={field.values[code]}" for code in self.codes[1:]]

    def to_json(self) -> dict[str, Any]:
        return {"codes": list(self.codes), "shares": list(self.shares)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "codes", "shares")
        codes, shares = data["codes"], data["shares"]
        if not isinstance(codes, list) or not isinstance(shares, list) or not 0 < len(shares) == len(codes) - 1:
            raise BadInput("ordered: expected a list of two or more codes, and a share for each step between two")
        alone = len(codes) == 2 and codes[0] == codes[1]
        whole = all(type(code) is int and 0 <= code < WIDEST for code in codes)
        if not whole or not (alone or codes == sorted(set(codes))):
            raise BadInput("ordered: codes must be whole numbers that rise")
        found = [number("ordered.shares", share) for share in shares]
        if min(found) < 0 or max(found) > 1 or found != sorted(found, reverse=True):
            raise BadInput("ordered: shares must lie between 0 and 1 and fall")
        return cls(tuple(codes), tuple(found))
