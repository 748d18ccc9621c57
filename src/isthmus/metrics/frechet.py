"""The Fréchet distance of two sets of rows: that of the normal distributions with their means and covariances."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.metrics.two_sample import Array, finite

FEATURES = 16


def frechet(real: Array, made: Array) -> float:
    """``|mean - mean'|^2 + tr(S + S' - 2 (S S')^(1/2))``, S the covariances, in squared units of the rows.

    Parameters
    ----------
    real, made : arrays (n, F), (m, F)
        Features of rows. With few rows the value is too high, as the covariances are noisy: compare it among equal
        numbers of rows only.

    Returns
    -------
    float
        0 for equal means and covariances; NaN with fewer than 2 rows on a side or if something is not finite.

    References
    ----------
    Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions, Journal of Multivariate
    Analysis 12. Heusel et al. (2017), GANs trained by a two time-scale update rule, NIPS.

    Examples
    --------
    >>> x = np.array([[-1.0], [1.0]])
    >>> round(frechet(x, 3 * x + 5), 6)  # means 5 apart; standard deviations of sqrt(2) and 3 sqrt(2)
    33.0
    """
    if min(len(real), len(made)) < 2 or not finite(real, made):
        return math.nan
    a, b = (np.asarray(x, dtype=np.float64) for x in (real, made))
    apart = float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum())
    roots = [(x - x.mean(axis=0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    # With A'A = S and B'B = S', the trace of (S S')^(1/2) is the sum of the singular values of A B'.
    spread = sum(float(np.square(root).sum()) for root in roots)
    shared = float(np.linalg.svd(_square(roots[0]) @ _square(roots[1]).T, compute_uv=False).sum())
    return max(apart + spread - 2 * shared, 0.0)


def principal(train: Array, width: int = FEATURES) -> NDArray[np.float64]:
    """The first principal axes of rows as columns: (n, *D) -> (D, F), F the least of ``width``, D and n.

    Examples
    --------
    >>> abs(principal(np.array([[0.0, 0.0], [1.0, 3.0], [2.0, 6.0]]), width=1)).round(3).tolist()
    [[0.316], [0.949]]
    """
    rows = np.asarray(train, dtype=np.float64).reshape(len(train), -1)
    rows = rows - rows.mean(axis=0)
    wide = rows.shape[1] > len(rows)
    vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)[1][:, ::-1][:, :width]
    return np.linalg.qr(rows.T @ vectors)[0] if wide else vectors


def _square(root: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most F rows with the same products of columns: (n, F) -> (min(n, F), F)."""
    return np.linalg.qr(root).R


TABLE = [
    Metric(
        "frechet",
        frechet,
        False,
        "squared scaled units",
        "Fréchet distance",
        0.1,
        "Dowson and Landau 1982",
        bounds=(0.0, math.inf),
        relative=True,
    ),
]
"""What the numbers of this file mean."""
