"""Means, variances and ends of columns whose rows come some at a time, in float64.

Two sets of rows are put together by Chan's formula, which does not lose the variance of columns far from 0 as sums of
squares do (Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, The American Statistician 37).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Moments(NamedTuple):
    """What is known of some rows, column by column; ``+`` puts two sets of rows together.

    Examples
    --------
    >>> rows = np.arange(12.0).reshape(6, 2)
    >>> both = Moments.of(rows[:2]) + Moments.of(rows[2:])
    >>> both.mean.tolist(), both.deviation.tolist() == rows.std(axis=0).tolist()
    ([5.0, 6.0], True)
    """

    rows: int
    mean: NDArray[np.float64]
    """(D,)"""
    squares: NDArray[np.float64]
    """Sum of squared distances from the mean, (D,)."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float32] | NDArray[np.float64]) -> Moments:
        """Of rows (n, D), n at least 1, finite."""
        wide = rows.astype(np.float64)
        low, high, mean = wide.min(axis=0), wide.max(axis=0), wide.mean(axis=0)
        wide -= mean
        return cls(len(rows), mean, np.einsum("ij,ij->j", wide, wide), low, high)

    def __add__(self, other: object) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        count, apart = self.rows + other.rows, other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.rows / count),
            self.squares + other.squares + apart**2 * (self.rows * other.rows / count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of each column, (D,), of the rows as they are (divided by n)."""
        return np.sqrt(self.squares / self.rows)
