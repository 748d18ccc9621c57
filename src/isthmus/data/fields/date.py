"""Dates and times: how far along, and where in the day, the week and the year."""

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
from isthmus.errors import BadInput

DAY = 86400.0
ROUNDS = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}
"""Seconds after which a cycle begins anew."""
TWICE = 2.0
"""A cycle is of use where the training rows span it so many times."""


@dataclass(frozen=True)
class Date:
    """A moment, in seconds since 1970 (UTC): one number for the trend, and a point on a circle for each cycle that the
    training rows go through at least twice (and through whose parts they do go: dates without a time have no hour).

    Trend and cycles share the weight of one column evenly.

    Examples
    --------
    >>> days = np.arange(100) * 86400.0
    >>> when = Date.fit(days, Field("day", "date"))
    >>> when.cycles, when.width, bool(np.abs(when.decode(when.encode(days)) - days).max() < 1e-3)
    (('week',), 3, True)
    """

    kind: ClassVar[str] = "date"
    outcome: ClassVar[str] = "number"

    shift: float
    scale: float
    cycles: tuple[str, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        return ()

    @property
    def width(self) -> int:
        return 1 + 2 * len(self.cycles)

    @classmethod
    def fit(cls, cells: Cells, field: Field) -> Self:
        there = cells[~np.isnan(cells)]
        line = Number.fit(cells, field)
        span = float(np.ptp(there)) if len(there) else 0.0
        used = [
            name
            for name, seconds in ROUNDS.items()
            if span >= TWICE * seconds and np.ptp(np.mod(there, seconds)) > seconds / 24
        ]
        return cls(line.shift, line.scale, tuple(used))

    @classmethod
    def tally(cls, cells: Cells) -> Tally:
        return Tally.of(cells, turns=ROUNDS)

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        line, span = Number.of(known, field), known.plain.high - known.plain.low
        used = [
            name
            for name, seconds in ROUNDS.items()
            if span >= TWICE * seconds and known.turns[name].high - known.turns[name].low > seconds / 24
        ]
        return cls(line.shift, line.scale, tuple(used))

    def encode(self, cells: Cells) -> NDArray[np.float64]:
        share = 1 / np.sqrt(1 + len(self.cycles))
        line = Number(self.shift, self.scale).encode(cells)
        turns = [2 * np.pi * np.mod(cells, ROUNDS[name]) / ROUNDS[name] for name in self.cycles]
        points = [f(turn)[:, None] for turn in turns for f in (np.sin, np.cos)]
        return np.hstack([line, *points]) * share

    def decode(self, x: NDArray[np.float64]) -> Cells:
        return Number(self.shift, self.scale).decode(x[:, :1] * np.sqrt(1 + len(self.cycles)))

    def names(self, field: Field) -> list[str]:
        return [field.name, *(f"{field.name}, {name} ({f})" for name in self.cycles for f in ("sin", "cos"))]

    def to_json(self) -> dict[str, Any]:
        return {"shift": self.shift, "scale": self.scale, "cycles": list(self.cycles)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "shift", "scale", "cycles")
        cycles = data["cycles"]
        if not isinstance(cycles, list) or any(cycles.count(name) > 1 or name not in [*ROUNDS] for name in cycles):
            raise BadInput(f"date: cycles must be among {', '.join(ROUNDS)}")
        return cls(finite(cls.kind, data, "shift"), positive(cls.kind, data, "scale"), tuple(cycles))
