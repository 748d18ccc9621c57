"""Whether codes fall into the classes by themselves: k-means without labels, then agreement with the labels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.classes import many_classes
from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

Codes = NDArray[np.floating]
Labels = NDArray[np.integer]

STARTS = 10
"""Of k-means; the best by its own objective is kept."""


def clusters(train: Codes, test: Codes, k: int, *, seed: int) -> NDArray[np.int64]:
    """The cluster of each test row, (m,): k-means (Lloyd 1982) is fitted on the training codes, 10 seeded starts.

    Distances are taken in the code as it is, unscaled. Fewer distinct training codes than ``k`` make fewer clusters.
    ``train`` (n, L), ``test`` (m, L), all finite.
    """
    from sklearn.cluster import KMeans

    wide, asked = (np.asarray(z, dtype=np.float64).reshape(len(z), math.prod(z.shape[1:])) for z in (train, test))
    k = min(k, len(np.unique(wide, axis=0)))
    model = KMeans(k, n_init=STARTS, random_state=seed % 2**32).fit(wide)
    return model.predict(asked).astype(np.int64)


def adjusted_rand(truth: Labels, found: Labels) -> float:
    """Rand's share of pairs on which two partitions agree, corrected for chance (Hubert and Arabie 1985).

    1 for the same partition under any names, 0 on average for independent ones. Labels (n,) and (n,); NaN without rows.

    Examples
    --------
    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 3]))
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    with many_classes():
        return float(adjusted_rand_score(truth, found)) if len(truth) else math.nan


def mutual_information(truth: Labels, found: Labels) -> float:
    """Mutual information of two partitions over the mean of their entropies (Strehl and Ghosh 2002), 0 to 1.

    Labels (n,) and (n,); NaN without rows. Not corrected for chance: small samples in many classes score above 0.

    Examples
    --------
    >>> mutual_information(np.array([0, 0, 1, 1]), np.array([7, 3, 7, 3]))
    0.0
    """
    from sklearn.metrics import normalized_mutual_info_score

    with many_classes():
        return float(normalized_mutual_info_score(truth, found)) if len(truth) else math.nan


TABLE = [
    Metric(
        "cluster_ari",
        adjusted_rand,
        True,
        "1 for the classes, 0 for chance",
        Said("clusters against classes (ARI)", "聚类与类别的一致性（ARI）"),
        0.02,
        "Hubert and Arabie 1985",
        bounds=(-0.5, 1.0),
    ),
    Metric(
        "cluster_nmi",
        mutual_information,
        True,
        "share",
        Said("clusters against classes (NMI)", "聚类与类别的一致性（NMI）"),
        0.02,
        "Strehl and Ghosh 2002",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
