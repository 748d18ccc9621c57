"""What a number means: its direction, its unit, and the difference that nobody should care about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.said import Said


@dataclass(frozen=True)
class Metric:
    """One definition, under one name."""

    name: str
    function: Callable[..., Any] | None
    """What computes it; None where it is read off a model, a file or a clock."""
    higher: bool | None
    """Whether higher is better; None where neither is."""
    unit: str
    title: Said
    rope: float
    """Half-width of practical equivalence: smaller differences are of no use to anybody. In the metric's unit, or,
    if ``relative``, as a share of the value."""
    citation: str
    version: int = 1
    """Goes up whenever the same model would get another number."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value that there can be: no interval goes beyond."""
    relative: bool = False
    """Whether two values compare by their ratio: take differences of logarithms, and ``log(1 + rope)`` for the rope."""


SHARE = (0.0, 1.0)
