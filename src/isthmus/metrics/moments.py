"""Means and covariances of rows that do not fit in memory. Everything is summed in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Wide = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """What the Fréchet distance, likeness of codes and their movement need: two batches' added are their union's.

    Examples
    --------
    >>> x = np.array([[0.0], [2.0], [7.0]])
    >>> both = Moments.of(x[:2]) + Moments.of(x[2:])
    >>> both.rows, both.mean.tolist(), round(both.covariance.item(), 9)
    (3, [3.0], 13.0)
    """

    rows: int
    mean: Wide
    """Of each column, (D,)."""
    root: Wide
    """At most D rows whose products of columns are those of the centred rows: (min(n, D), D)."""
    low: Wide
    high: Wide
    """The least and the largest value of each column, (D,)."""

    @classmethod
    def of(cls, x: Array) -> Moments:
        """Those of one batch, ``x`` (n, *D) with n at least 1."""
        wide = np.asarray(x, dtype=np.float64).reshape(len(x), math.prod(x.shape[1:]))
        with np.errstate(all="ignore"):  # a diverged model: the root is not finite, and no number follows
            mean = wide.mean(axis=0)
            return cls(len(wide), mean, np.linalg.qr(wide - mean).R, wide.min(axis=0), wide.max(axis=0))

    def __add__(self, other: Moments) -> Moments:
        rows = self.rows + other.rows
        with np.errstate(all="ignore"):
            step = other.mean - self.mean
            apart = math.sqrt(self.rows * other.rows / rows) * step  # a root's row: never a square, which loses digits
            root = np.linalg.qr(np.vstack([self.root, other.root, apart])).R
            mean = self.mean + other.rows / rows * step
        return Moments(rows, mean, root, np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def covariance(self) -> Wide:
        """(D, D), with divisor n - 1."""
        return self.root.T @ self.root / (self.rows - 1)

    @property
    def squares(self) -> float:
        """Sum of the squared distances of rows from their mean."""
        return float(np.square(self.root).sum())

    @property
    def size(self) -> float:
        """Sum of the squares of all numbers."""
        return self.squares + self.rows * float(np.square(self.mean).sum())
