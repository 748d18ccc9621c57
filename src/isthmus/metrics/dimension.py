"""How many dimensions rows fill, read from the distances to their nearest neighbours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.metrics.probes import nearest
from isthmus.said import Said

Rows = NDArray[np.floating]

LEAST = 10
"""Distinct rows below which no dimension can be told."""
KEPT = 0.9
"""Share of the ratios that the line of two_nearest is drawn through: the largest ones come from the outskirts."""
MOST = 10
"""An estimate of more times the columns is none: few rows can lead it astray by some times them, ties by any number."""
ROUNDING = 1e-7
"""Share of the rows' size below which a distance is rounding: such rows are copies of each other."""


def two_nearest(x: Rows) -> float:
    """Intrinsic dimension from the two nearest neighbours of each row (Facco, d'Errico, Rodriguez and Laio 2017).

    On a d-dimensional set of locally even density the ratio m of the second distance to the first has the distribution
    1 - m^-d. The estimate is the slope of -log(1 - rank share) against log m, through the origin, without the largest
    tenth of the ratios. Copies of a row count once.

    Parameters
    ----------
    x : array (n, *D)

    Returns
    -------
    float
        NaN with fewer than 10 distinct rows, if something is not finite, or if it is over ten times the columns: so it
        is where the distances of a row tie, as between points of a grid, and then says nothing.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(2000, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    >>> round(two_nearest(rows))
    3
    """
    wide = np.asarray(x, dtype=np.float64).reshape(len(x), math.prod(x.shape[1:]))
    if not np.isfinite(wide).all():
        return math.nan
    rows = np.unique(wide, axis=0)
    if len(rows) < LEAST:
        return math.nan
    rows = rows - rows.mean(axis=0)
    rows = rows / np.abs(rows).max()
    first, second = nearest(rows, rows, 3)[0][:, 1:].T
    apart = first > ROUNDING
    if apart.sum() < LEAST:
        return math.nan
    ratio = np.sort(second[apart] / first[apart])
    kept = int(KEPT * len(ratio))
    log, share = np.log(ratio[:kept]), np.arange(1, kept + 1) / len(ratio)
    steep = float(log @ log)
    found = float(log @ -np.log1p(-share)) / steep if steep > 0 else math.inf
    return found if found <= MOST * rows.shape[1] else math.nan


TABLE = [
    Metric(
        "intrinsic_dimension",
        two_nearest,
        None,
        "dimensions",
        Said("intrinsic dimension", "本征维数"),
        0.5,
        "Facco et al. 2017",
        bounds=(0.0, math.inf),
    )
]
"""What the numbers of this file mean."""
