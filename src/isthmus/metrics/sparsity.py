"""How few elements of a code speak for one row.

An element is *active* in a row if its magnitude exceeds ``floor``, which is 0 unless said otherwise: exact zero is
silent, anything else speaks. Sigmoid and tanh codes are therefore dense by L0, however small their elements; Hoyer's
measure is the graded one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

Array = NDArray[np.floating]


def hoyer(z: Array) -> float:
    """Mean of :func:`row_hoyer` over the rows ``z`` (n, L); NaN without rows."""
    return Activity.of(z).hoyer


def row_hoyer(z: Array) -> NDArray[np.float64]:
    """``(sqrt(L) - |z|_1 / |z|_2) / (sqrt(L) - 1)`` of each row (Hoyer 2004). ``z`` (n, L) -> (n,).

    1 if one element speaks, 0 if all have the same magnitude. A row of zeros counts as 0: a code that says nothing is
    flat, not sparse. NaN if L is 1, where the measure is undefined.

    Examples
    --------
    >>> row_hoyer(np.array([[0.0, 3.0, 0.0, 0.0], [1.0, -1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])).tolist()
    [1.0, 0.0, 0.0]
    """
    n, width = z.shape
    if width < 2:
        return np.full(n, math.nan)
    size = np.abs(np.asarray(z, dtype=np.float64))
    largest = size.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        size /= np.where(largest > 0, largest, 1.0)  # squares of tiny or huge elements stay in range
        ratio = size.sum(axis=1) / np.sqrt(np.square(size).sum(axis=1))
    found = (math.sqrt(width) - ratio) / (math.sqrt(width) - 1)
    return np.where(largest[:, 0] == 0, 0.0, np.clip(found, 0.0, 1.0))


def l0(z: Array, floor: float = 0.0) -> float:
    """Mean number of active elements per row. ``z`` (n, L)."""
    return Activity.of(z, floor).l0


def dead(z: Array, floor: float = 0.0) -> float:
    """Share of the L elements that are active in no row. ``z`` (n, L)."""
    return Activity.of(z, floor).dead


def always_on(z: Array, floor: float = 0.0) -> float:
    """Share of the L elements that are active in every row. ``z`` (n, L)."""
    return Activity.of(z, floor).always_on


@dataclass(frozen=True)
class Activity:
    """Sums from which all four numbers follow: those of two batches added are those of their union."""

    rows: int
    active: NDArray[np.float64]
    """In how many rows each element is active, (L,); NaN after codes that are not finite."""
    sparseness: float
    """Sum of the rows' Hoyer measure."""

    @classmethod
    def of(cls, z: Array, floor: float = 0.0) -> Activity:
        """The sums of one batch of codes ``z`` (n, L)."""
        active = np.count_nonzero(np.abs(z) > floor, axis=0).astype(np.float64)
        sound = bool(np.isfinite(z).all())  # a NaN is not silence: it must not pass for sparsity
        return cls(len(z), active if sound else active * math.nan, float(row_hoyer(z).sum()) if sound else math.nan)

    def __add__(self, other: Activity) -> Activity:
        return Activity(self.rows + other.rows, self.active + other.active, self.sparseness + other.sparseness)

    @property
    def l0(self) -> float:
        """Mean number of active elements per row; NaN without rows."""
        return float(self.active.sum()) / self.rows if self.rows else math.nan

    @property
    def hoyer(self) -> float:
        """Mean Hoyer measure of a row; NaN without rows or with one element."""
        return self.sparseness / self.rows if self.rows else math.nan

    @property
    def dead(self) -> float:
        """Share of elements that are active in no row; NaN without rows."""
        return self._share(0)

    @property
    def always_on(self) -> float:
        """Share of elements that are active in every row; NaN without rows."""
        return self._share(self.rows)

    def _share(self, rows: int) -> float:
        known = self.rows and np.isfinite(self.active).all()
        return float(np.mean(self.active == rows)) if known else math.nan


TABLE = [
    Metric(
        "l0",
        l0,
        False,
        "elements per row",
        Said("active units (L0)", "活跃单元数（L0）"),
        0.5,
        "Hurley and Rickard 2009",
        bounds=(0.0, math.inf),
    ),
    Metric("hoyer", hoyer, True, "0 to 1", Said("Hoyer sparsity", "Hoyer 稀疏度"), 0.02, "Hoyer 2004", bounds=SHARE),
    Metric(
        "dead", dead, False, "share of units", Said("dead units", "失活单元比例"), 0.02, "Gao et al. 2024", bounds=SHARE
    ),
    Metric(
        "always_on",
        always_on,
        False,
        "share of units",
        Said("always-on units", "常开单元比例"),
        0.02,
        "Bricken et al. 2023",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
