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
from isthmus.data.fields.tally import Tally

LEAST, LARGEST = 1e-4, 1e4
"""Bounds of a dispersion."""
EXACT, DIGITS = 10_000.0, 3
"""Where counts come some at a time, those from here on are told by so many digits, so that few are different."""


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
        line, there = super().fit(cells, field), cells[~np.isnan(cells)]
        mean = float(there.mean()) if len(there) else 0.0
        if not mean:
            return cls(line.shift, line.scale)
        dispersion = _dispersion(mean, float(there.var()))
        return cls(line.shift, line.scale, dispersion, float(_costs(there, mean, dispersion).mean()))

    @classmethod
    def tally(cls, cells: Cells) -> Tally:
        return Tally.of(cells, cls.straight, _coarse)

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        line, mean = super().of(known, field), known.plain.mean
        if not mean:
            return cls(line.shift, line.scale)
        dispersion = _dispersion(mean, known.plain.deviation**2)
        cost = np.average(_costs(known.values, mean, dispersion), weights=known.counts)
        return cls(line.shift, line.scale, dispersion, float(cost))

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


def _dispersion(mean: float, variance: float) -> float:
    return float(np.clip((variance - mean) / mean**2, LEAST, LARGEST))


def _costs(counts: Cells, mean: float, dispersion: float) -> Cells:
    """What each count costs under a negative binomial, in nats."""
    from scipy.stats import nbinom

    found: Cells = -nbinom.logpmf(counts, 1 / dispersion, 1 / (1 + dispersion * mean))
    return found


def _coarse(cells: Cells) -> Cells:
    """Large counts by their first digits.

    Examples
    --------
    >>> _coarse(np.array([7.0, 9876.0, 123456.0])).tolist()
    [7.0, 9876.0, 123000.0]
    """
    large = cells >= EXACT
    unit = 10.0 ** (np.floor(np.log10(np.where(large, cells, 1.0))) - DIGITS + 1)
    return np.where(large, np.rint(cells / unit) * unit, cells)
