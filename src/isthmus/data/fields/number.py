"""Numbers on their own scale, or on a logarithmic one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Cells, Field
from isthmus.data.fields.plain import finite, only, positive
from isthmus.data.fields.tally import Line, Tally

FARTHEST = 1e9
"""Scaled numbers are cut to this distance from 0, as those of a table without gaps are."""


@dataclass(frozen=True)
class Number:
    """A measured number, standardised.

    Examples
    --------
    >>> one = Number.fit(np.array([1.0, 3.0, np.nan]), Field("age", "number"))
    >>> one.encode(np.array([5.0])), one.decode(np.array([[3.0]]))
    (array([[3.]]), array([5.]))
    """

    kind: ClassVar[str] = "number"
    outcome: ClassVar[str] = "number"

    shift: float
    scale: float

    @property
    def shares(self) -> tuple[float, ...]:
        return ()

    @property
    def width(self) -> int:
        return 1

    @classmethod
    def fit(cls, cells: Cells, field: Field) -> Self:
        there = cls.straight(cells[~np.isnan(cells)])
        if not len(there):
            return cls(0.0, 1.0)
        peak = max(float(np.abs(there).max()), np.finfo(float).tiny)  # squares of 1e300 stay in range
        scale = float((there / peak).std() * peak)
        return cls(float((there / peak).mean() * peak), scale if scale > 1e-12 * peak else 1.0)

    @classmethod
    def tally(cls, cells: Cells) -> Tally:
        return Tally.of(cells, cls.straight)

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        return cls(*_ends(known.bent))

    @classmethod
    def straight(cls, cells: Cells) -> Cells:
        """The cells on the scale on which they are standardised."""
        return cells

    @classmethod
    def bent(cls, values: Cells) -> Cells:
        """The inverse of :meth:`straight`."""
        return values

    def encode(self, cells: Cells) -> NDArray[np.float64]:
        return np.clip((self.straight(cells) - self.shift) / self.scale, -FARTHEST, FARTHEST)[:, None]

    def decode(self, x: NDArray[np.float64]) -> Cells:
        return self.bent(x[:, 0] * self.scale + self.shift)

    def names(self, field: Field) -> list[str]:
        return [field.name]

    def to_json(self) -> dict[str, Any]:
        return {"shift": self.shift, "scale": self.scale}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "shift", "scale")
        return cls(finite(cls.kind, data, "shift"), positive(cls.kind, data, "scale"))


class Amount(Number):
    """A number with a long tail, such as money or time, on a logarithmic scale that goes on through 0: asinh.

    The squared error of its standardised logarithm is the likelihood of a log-normal distribution, up to the factor
    that no model can change.
    """

    kind: ClassVar[str] = "amount"

    @classmethod
    def straight(cls, cells: Cells) -> Cells:
        return np.arcsinh(cells)

    @classmethod
    def bent(cls, values: Cells) -> Cells:
        return np.sinh(np.clip(values, -700.0, 700.0))


def _ends(line: Line) -> tuple[float, float]:
    """Shift and scale, as :meth:`Number.fit` has them."""
    if not line.rows:
        return 0.0, 1.0
    peak = max(abs(line.low), abs(line.high), np.finfo(float).tiny)
    return line.mean, line.deviation if line.deviation > 1e-12 * peak else 1.0
