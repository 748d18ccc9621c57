"""How close a reconstruction is to the rows it stands for. Everything is summed in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.said import Said

Array = NDArray[np.floating]

# float32 holds a value to about 1e-7 of its size: spread below the square of that is not in the data.
ROUNDING = 1e-13


def row_errors(x: Array, x_hat: Array) -> NDArray[np.float64]:
    """Squared error per element of each row. ``x`` and ``x_hat`` (n, *D) -> (n,).

    Examples
    --------
    >>> row_errors(np.zeros((2, 2)), np.array([[1.0, 1.0], [0.0, 2.0]])).tolist()
    [1.0, 2.0]
    """
    with np.errstate(all="ignore"):  # a diverged model: the caller sees what is not finite
        gap = np.asarray(x_hat, dtype=np.float64) - x
        return np.square(gap).reshape(len(gap), math.prod(gap.shape[1:])).mean(axis=1)


def mse(x: Array, x_hat: Array, weight: Array | None = None) -> float:
    """Mean squared error per element, in squared units of ``x``; NaN without rows. ``x`` and ``x_hat`` (n, *D).

    ``weight`` (n,), positive: how much each row counts; by default all count alike.
    """
    with np.errstate(all="ignore"):
        return _mean(row_errors(x, x_hat), weight) if len(x) else math.nan


def _mean(values: NDArray[np.float64], weight: Array | None) -> float:
    return float(values.mean() if weight is None else np.average(values, weights=weight))


def explained_variance(x: Array, x_hat: Array, mean: Array, weight: Array | None = None) -> float:
    """``1 - sum (x - x_hat)^2 / sum (x - mean)^2`` over all rows and elements.

    1 is perfect, 0 is what the training mean alone achieves, below 0 is worse than that.

    Parameters
    ----------
    x, x_hat : arrays (n, *D)
    mean : array (*D)
        The mean of the training rows, not of ``x``: a predictor knows no other.
    weight : array (n,), optional
        How much each row counts, positive.

    Returns
    -------
    float
        NaN if every row equals ``mean``, up to the rounding of float32: there is nothing to explain.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> explained_variance(x, np.ones((3, 1)), x.mean(0)), explained_variance(x, x, x.mean(0))
    (0.0, 1.0)
    """
    return Fidelity.of(x, x_hat, mean, weight).explained_variance


@dataclass(frozen=True)
class Fidelity:
    """Sums from which both numbers follow: those of two batches added are those of their union."""

    squared: float
    """Sum of (x - x_hat)^2."""
    spread: float
    """Sum of (x - mean)^2."""
    size: float
    """Sum of x^2: what the spread must exceed to be more than rounding."""
    elements: int
    """Rows times elements of a row."""

    @classmethod
    def of(cls, x: Array, x_hat: Array, mean: Array, weight: Array | None = None) -> Fidelity:
        """The sums of one batch: ``x`` and ``x_hat`` (n, *D), ``mean`` (*D), ``weight`` (n,) how much each counts."""
        with np.errstate(all="ignore"):
            wide = np.asarray(x, dtype=np.float64)
            if weight is not None:
                share = np.sqrt(np.asarray(weight, np.float64) / np.mean(weight))
                share = share.reshape(-1, *[1] * (wide.ndim - 1))
                x_hat, mean, wide = (wide - x_hat) * share, (wide - mean) * share, wide * share
                squared, spread, size = (float(np.square(gap).sum()) for gap in (x_hat, mean, wide))
                return cls(squared, spread, size, wide.size)
            squared, spread, size = (float(np.square(gap).sum()) for gap in (wide - x_hat, wide - mean, wide))
            return cls(squared, spread, size, wide.size)

    def __add__(self, other: Fidelity) -> Fidelity:
        return Fidelity(
            self.squared + other.squared,
            self.spread + other.spread,
            self.size + other.size,
            self.elements + other.elements,
        )

    @property
    def mse(self) -> float:
        """See :func:`mse`."""
        return self.squared / self.elements if self.elements else math.nan

    @property
    def explained_variance(self) -> float:
        """See :func:`explained_variance`."""
        return 1 - self.squared / self.spread if self.spread > ROUNDING * self.size else math.nan


TABLE = [
    Metric(
        "mse",
        mse,
        False,
        "squared scaled units per element",
        Said("mean squared error", "均方误差"),
        0.05,
        "textbook definition",
        bounds=(0.0, math.inf),
        relative=True,
    ),
    Metric(
        "explained_variance",
        explained_variance,
        True,
        "share",
        Said("explained variance", "解释方差"),
        0.01,
        "textbook definition; the mean is the training rows'",
        bounds=(-math.inf, 1.0),
    ),
]
"""What the numbers of this file mean."""
