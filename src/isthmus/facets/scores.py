"""Scores of a row by where it hurts: in its reconstruction, in the density of its code, and in both.

Codes: Mahalanobis distance to the training codes (Mahalanobis 1936). Both: the sum that Denouden, Salay, Czarnecki,
Abdelzad, Phan and Vernekar (2018, arXiv:1812.02765) propose, with each part in standard deviations over normal
validation rows, so that nothing is tuned and no test row is looked at.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Coder, Splits, row_error

Scores = NDArray[np.float64]

# Of the mean variance of a code element: what an element that never moved in training is taken to vary.
RIDGE = 1e-6


def scores(coder: Coder, splits: Splits, floor: float) -> dict[str, Scores]:
    """The three scores of the test rows, (n,) each; high means anomalous.

    Parameters
    ----------
    coder : Coder
    splits : Splits
        Density is that of the training codes; splits are standardised on the validation rows.
    floor : float
        Spread of reconstruction errors up to here is rounding, and is not blown up.
    """
    known, valid, test = (coder.encode_scaled(rows.x) for rows in (splits.train, splits.valid, splits.test))
    error = (row_error(coder, splits.valid.x), row_error(coder, splits.test.x))
    far = (mahalanobis(known, valid), mahalanobis(known, test))
    both = standardised(*error, floor) + standardised(*far)
    return {"reconstruction": error[1], "density": far[1], "both": both}


def mahalanobis(known: NDArray[np.float32], asked: NDArray[np.float32]) -> Scores:
    """Distance of each asked code to the mean of the known ones, in units of their covariance.

    Parameters
    ----------
    known, asked : arrays (n, L), (m, L)

    Returns
    -------
    array (m,)
        The covariance has a millionth of its mean variance added to its diagonal, so that elements that stand still
        have a distance too. NaN everywhere if a code is not finite.

    Examples
    --------
    >>> mahalanobis(np.array([[-2.0], [2.0]]), np.array([[4.0]])).round(3).tolist()
    [2.0]
    """
    wide, aims = known.astype(np.float64), asked.astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(aims).all()):
        return np.full(len(asked), math.nan)
    mean = wide.mean(axis=0)
    centred, gap = wide - mean, aims - mean
    covariance = centred.T @ centred / len(wide)
    size = float(np.trace(covariance)) / len(covariance) or 1.0
    ridged = covariance + RIDGE * size * np.eye(len(covariance))
    return np.sqrt(np.einsum("ij,ij->i", gap, np.linalg.solve(ridged, gap.T).T).clip(0))


def standardised(normal: Scores, score: Scores, floor: float = 0.0) -> Scores:
    """Scores (m,) in standard deviations from the mean of those of normal rows (n,); a spread of 0 counts as 1.

    Examples
    --------
    >>> standardised(np.array([1.0, 3.0]), np.array([6.0])).tolist()
    [4.0]
    """
    with np.errstate(all="ignore"):  # a diverged model: what is not finite is seen when it is graded
        return (score - normal.mean()) / (max(float(normal.std()), floor) or 1.0)
