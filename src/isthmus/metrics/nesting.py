"""How much the first units of a code tell by themselves: the area under explained variance over prefixes of the code.

Kusupati et al. (2022), Matryoshka representation learning, NeurIPS; of sparse dictionaries: Bussmann, Nabeshima,
Karvonen and Nanda (2025), Learning multi-level features with Matryoshka sparse autoencoders, ICML.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.metrics.metric import Metric
from isthmus.said import Said


def nested(units: Sequence[float], explained: Sequence[float]) -> float:
    """The mean of explained variance over prefixes of a code, each doubling of the prefix counting alike.

    The area under it over the logarithm of the prefix, by trapezoids, divided by the length of that axis.

    Parameters
    ----------
    units : sequence of float
        Of each prefix, growing.
    explained : sequence of float
        What is explained by these alone.

    Returns
    -------
    float
        With one prefix, what that explains.

    Examples
    --------
    >>> nested([1, 2, 4], [0.0, 0.5, 1.0]), nested([1, 4], [0.5, 0.5]), nested([3], [0.25])
    (0.5, 0.5, 0.25)
    """
    if len(units) == 1:
        return float(explained[0])
    steps, values = np.diff(np.log2(np.asarray(units, np.float64))), np.asarray(explained, np.float64)
    return float(steps @ (values[1:] + values[:-1]) / 2 / steps.sum())


TABLE = [
    Metric(
        "nested",
        nested,
        True,
        "share",
        Said("explained variance of the first units", "前若干单元的解释方差"),
        0.02,
        "Bussmann et al. 2025",
        bounds=(-np.inf, 1.0),
    ),
    Metric(
        "nested_by_use",
        nested,
        True,
        "share",
        Said("explained variance of the most used units", "最常用单元的解释方差"),
        0.02,
        "Bussmann et al. 2025",
        bounds=(-np.inf, 1.0),
    ),
]
"""What the numbers of this file mean."""
