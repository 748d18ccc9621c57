"""Whether made rows lie where real ones do (fidelity), and real ones where made ones do (variety): balls of neighbours.

The ball of a row reaches to its k-th nearest other row of its own set.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.metrics.two_sample import Array, distances, finite
from isthmus.said import Said

NEIGHBOURS = 5


def prdc(real: Array, made: Array, k: int = NEIGHBOURS) -> dict[str, float]:
    """Precision, recall, density and coverage.

    Parameters
    ----------
    real, made : arrays (n, *D), (m, *D)
    k : int, default 5
        Which neighbour a ball reaches to.

    Returns
    -------
    dict
        ``precision``, the share of made rows in the ball of some real row; ``recall``, the share of real rows in the
        ball of some made row; ``density``, in how many balls of real rows a made row lies, over k, which is 1 on
        average for equal distributions; ``coverage``, the share of real rows that hold a made row in their ball, which
        is about ``1 - 2^-k`` for equal distributions and numbers. NaN with k or fewer rows on a side, or if something
        is not finite. A ball has no rim, so that of a row with k copies holds nothing.

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen and Aila (2019), Improved precision and recall metric for assessing generative
    models, NeurIPS. Naeem, Oh, Uh, Choi and Yoo (2020), Reliable fidelity and diversity metrics for generative models,
    ICML.

    Examples
    --------
    >>> x = np.arange(8.0)[:, None]
    >>> prdc(x, x + 0.5, k=1)
    {'precision': 1.0, 'recall': 1.0, 'density': 1.875, 'coverage': 1.0}
    """
    names = ("precision", "recall", "density", "coverage")
    if min(len(real), len(made)) <= k or not finite(real, made):
        return dict.fromkeys(names, math.nan)
    across = distances(real, made)
    reach, other = _reach(real, k), _reach(made, k)
    held = across < reach[:, None]  # real row i holds made row j
    values = (held.any(axis=0).mean(), (across < other).any(axis=1).mean(), held.sum(axis=0).mean() / k)
    return dict(zip(names, map(float, (*values, held.any(axis=1).mean())), strict=True))


def _reach(rows: Array, k: int) -> NDArray[np.float64]:
    """Squared distance of each row to its k-th nearest other row, (n,)."""
    return np.partition(distances(rows, rows), k, axis=1)[:, k]  # the row itself comes first


TABLE = [
    Metric(
        "precision",
        prdc,
        True,
        "share of rows",
        Said("precision of generated rows", "生成数据的精确率"),
        0.02,
        "Kynkäänniemi et al. 2019",
        bounds=SHARE,
    ),
    Metric(
        "recall",
        prdc,
        True,
        "share of rows",
        Said("recall of generated rows", "生成数据的召回率"),
        0.02,
        "Kynkäänniemi et al. 2019",
        bounds=SHARE,
    ),
    Metric(
        "density",
        prdc,
        None,
        "1 for equal distributions",
        Said("density of generated rows", "生成数据的密度"),
        0.05,
        "Naeem et al. 2020",
        bounds=(0.0, math.inf),
    ),
    Metric(
        "coverage",
        prdc,
        True,
        "share of rows",
        Said("coverage of generated rows", "生成数据的覆盖率"),
        0.02,
        "Naeem et al. 2020",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
