"""Whole counts, on a logarithmic scale, with how much more they vary than Poisson draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Cells, Field
from isthmus.data.fields.number import Number
from isthmus.data.fields.plain import finite, only, positive

LEAST, LARGEST = 1e-4, 1e4
"""Bounds of a dispersion."""


@dataclass(frozen=True)
class Count(Number):
    """A whole number of 0 or more: log1p of it, standardised; what comes back is the nearest whole number.

    Its likelihood is a negative binomial's, whose dispersion a model learns (:mod:`isthmus.parts.heads.table`).

    Examples
    --------
    >>> calls = Count.fit(np.array([0.0, 1.0, 1.0, 6.0]), Field("calls", "count"))
    >>> calls.decode(calls.encode(np.array([3.0]))), round(calls.dispersion, 2)
    (array([3.]), 0.88)
    """

    kind: ClassVar[str] = "count"
    outcome: ClassVar[str] = "count"

    dispersion: float = 1.0
    """Of the training rows: their variance is mean + dispersion mean^2."""
    nothing: float = 0.5
    """What a row costs at their mean and dispersion, in nats."""

    @classmethod
    def fit(cls, cells: Cells, field: Field) -> Self:
        from scipy.stats import nbinom

        line, there = super().fit(cells, field), cells[~np.isnan(cells)]
        mean = float(there.mean()) if len(there) else 0.0
        if not mean:
            return cls(line.shift, line.scale)
        dispersion = float(np.clip((there.var() - mean) / mean**2, LEAST, LARGEST))
        cost = -nbinom.logpmf(there, 1 / dispersion, 1 / (1 + dispersion * mean))
        return cls(line.shift, line.scale, dispersion, float(cost.mean()))

    @classmethod
    def straight(cls, cells: Cells) -> Cells:
        return np.log1p(np.maximum(cells, 0.0))

    @classmethod
    def bent(cls, values: Cells) -> Cells:
        return np.expm1(np.clip(values, 0.0, 700.0))

    def decode(self, x: NDArray[np.float64]) -> Cells:
        return np.rint(super().decode(x))

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "dispersion": self.dispersion, "nothing": self.nothing}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "shift", "scale", "dispersion", "nothing")
        scale, dispersion = (positive(cls.kind, data, name) for name in ("scale", "dispersion"))
        return cls(finite(cls.kind, data, "shift"), scale, dispersion, finite(cls.kind, data, "nothing"))
