"""Scores of a row by where it hurts: in its reconstruction, in the density of its code, and in both.

Codes: Mahalanobis distance to the training codes (Mahalanobis 1936). Both: the sum that Denouden, Salay, Czarnecki,
Abdelzad, Phan and Vernekar (2018, arXiv:1812.02765) propose, with each part in standard deviations over normal
validation rows, so that nothing is tuned and no test row is looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Coder, Splits, row_error
from isthmus.scorer import mahalanobis

Scores = NDArray[np.float64]


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


def standardised(normal: Scores, score: Scores, floor: float = 0.0) -> Scores:
    """Scores (m,) in standard deviations from the mean of those of normal rows (n,); a spread of 0 counts as 1.

    Examples
    --------
    >>> standardised(np.array([1.0, 3.0]), np.array([6.0])).tolist()
    [4.0]
    """
    with np.errstate(all="ignore"):  # a diverged model: what is not finite is seen when it is graded
        return (score - normal.mean()) / (max(float(normal.std()), floor) or 1.0)
