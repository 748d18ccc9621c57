"""The Fréchet distance of two sets of rows: that of the normal distributions with their means and covariances."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.metrics.moments import Moments
from isthmus.metrics.two_sample import Array
from isthmus.said import Said

FEATURES = 16
EXACT = 2000
"""Rows or columns, whichever are fewer, up to which principal axes are exact: the work grows with their cube."""
TURNS, SPARE = 7, 10
"""Turns of the power iteration beyond that, and axes more than asked for (Halko, Martinsson and Tropp 2011)."""


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
    return between(Moments.of(real), Moments.of(made)) if len(real) and len(made) else math.nan


def between(real: Moments, made: Moments) -> float:
    """:func:`frechet` of rows whose moments are at hand: of those that do not fit in memory."""
    if min(real.rows, made.rows) < 2 or not (np.isfinite(real.root).all() and np.isfinite(made.root).all()):
        return math.nan
    apart = float(np.square(real.mean - made.mean).sum())
    roots = [one.root / math.sqrt(one.rows - 1) for one in (real, made)]
    # With A'A = S and B'B = S', the trace of (S S')^(1/2) is the sum of the singular values of A B'.
    spread = sum(float(np.square(root).sum()) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(apart + spread - 2 * shared, 0.0)


def principal(train: Array, width: int = FEATURES) -> NDArray[np.float64]:
    """The first principal axes of rows as columns: (n, *D) -> (D, F), F the least of ``width``, D and n.

    Of more than ``EXACT`` rows and columns they are approximate, by a randomised power iteration from a fixed seed.

    Examples
    --------
    >>> abs(principal(np.array([[0.0, 0.0], [1.0, 3.0], [2.0, 6.0]]), width=1)).round(3).tolist()
    [[0.316], [0.949]]
    """
    rows = np.asarray(train, dtype=np.float64).reshape(len(train), -1)
    rows = rows - rows.mean(axis=0)
    if min(rows.shape) > max(EXACT, width):
        from sklearn.utils.extmath import randomized_svd

        found = randomized_svd(rows, width, n_oversamples=SPARE, n_iter=TURNS, random_state=0)[2]
        return np.ascontiguousarray(found.T, dtype=np.float64)
    wide = rows.shape[1] > len(rows)
    vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)[1][:, ::-1][:, :width]
    return np.linalg.qr(rows.T @ vectors)[0] if wide else vectors


TABLE = [
    Metric(
        "frechet",
        frechet,
        False,
        "squared scaled units",
        Said("Fréchet distance", "Fréchet 距离"),
        0.1,
        "Dowson and Landau 1982",
        bounds=(0.0, math.inf),
        relative=True,
    ),
]
"""What the numbers of this file mean."""
