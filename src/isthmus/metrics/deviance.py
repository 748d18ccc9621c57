"""How well shares of a total explain counts: deviance, which is to counts what squared error is to numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.said import Said

Array = NDArray[np.floating]

SMOOTH = 0.01
"""This part of every share is the column's usual one, whoever gives it: a share of 0 would cost without end where
something was counted."""


def deviance(counts: Array, shares: Array, usual: Array) -> NDArray[np.float64]:
    """``2 sum c log(c / (total share))`` of each row, in nats: (n, K), (n, K) or (K,), and (K,) -> (n,).

    It is the deviance of a multinomial distribution given the total, and that of Poisson distributions whose means add
    up to it (McCullagh and Nelder 1989, Generalized linear models).

    Examples
    --------
    >>> deviance(np.array([[2.0, 2.0]]), np.array([[0.5, 0.5]]), np.array([0.5, 0.5])).tolist()
    [0.0]
    """
    c = np.asarray(counts, np.float64)
    mean = c.sum(axis=1, keepdims=True) * ((1 - SMOOTH) * np.asarray(shares, np.float64) + SMOOTH * usual)
    with np.errstate(all="ignore"):
        cost = np.where(c > 0, c * np.log(np.where(c > 0, c, 1.0) / mean), 0.0)
    return 2 * cost.sum(axis=1)


def explained_deviance(counts: Array, shares: Array, usual: Array, weight: Array | None = None) -> float:
    """The part of the deviance from the usual shares that shares of each row explain.

    1 is perfect, 0 is what the shares of the training rows achieve, below 0 is worse.

    Parameters
    ----------
    counts, shares : arrays (n, K)
        Shares sum to 1 in each row; a hundredth of each is then taken from ``usual``.
    usual : array (K,)
        Shares over all training rows.
    weight : array (n,), optional
        How much each row counts.

    Examples
    --------
    >>> counts = np.array([[4.0, 0.0], [0.0, 4.0]])
    >>> explained_deviance(counts, np.full((2, 2), 0.5), np.array([0.5, 0.5]))
    0.0
    >>> round(explained_deviance(counts, counts / 4, np.array([0.5, 0.5])), 2)
    0.99
    """
    left, whole = deviance(counts, shares, usual), deviance(counts, usual, usual)
    if weight is not None:
        left, whole = left * weight, whole * weight
    return float(1 - left.sum() / whole.sum()) if whole.sum() > 0 else math.nan


TABLE = [
    Metric(
        "deviance_explained",
        explained_deviance,
        True,
        "share",
        Said("explained deviance", "解释偏差"),
        0.01,
        "McCullagh and Nelder 1989; a hundredth of every share is that of the training rows",
        bounds=(-math.inf, 1.0),
    ),
]
"""What the numbers of this file mean."""
