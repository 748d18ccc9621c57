"""Whether made rows are training rows again: how near they lie to one, as held-out rows do or nearer."""

from __future__ import annotations

import math

import numpy as np

from isthmus.metrics.metric import SHARE, Metric
from isthmus.metrics.probes import nearest
from isthmus.metrics.two_sample import Array, finite

NEAR = 1 / 3
EXCESS = 0.1
SURE = 3.0


def copied(train: Array, made: Array) -> float:
    """Share of rows that lie on one training row: three times as near to it as to the next one, or on both.

    In D dimensions about ``3^-D`` of new rows do so by chance, and more where rows repeat: compare the share with that
    of held-out rows (:func:`copies`).

    Parameters
    ----------
    train, made : arrays (n, *D), (m, *D)

    Returns
    -------
    float
        NaN with fewer than 2 training rows, without made ones, or if something is not finite.

    References
    ----------
    Yoon, Choi, Kwon and Ryu (2023), Diffusion probabilistic models generalize when they fail to memorize, ICML workshop
    on structured probabilistic inference.

    Examples
    --------
    >>> copied(np.array([[0.0], [1.0]]), np.array([[0.1], [0.4], [1.0]]))
    0.6666666666666666
    """
    if len(train) < 2 or not len(made) or not finite(train, made):
        return math.nan
    gaps = nearest(train, made, 2)[0]
    return float(np.mean(gaps[:, 0] <= NEAR * gaps[:, 1]))


def nearness(train: Array, made: Array, held: Array) -> float:
    """Median distance of made rows to the nearest training row, over that of held-out rows.

    1: as far as rows that were never seen. 0: copies. Between them lies also what is smoother than the data: a decoder
    without noise comes nearer to the crowd than real rows do.

    Parameters
    ----------
    train, made, held : arrays (n, *D), (m, *D), (h, *D)

    Returns
    -------
    float
        NaN if a set is empty, something is not finite, or held-out rows are copies themselves.
    """
    if not (len(train) and len(made) and len(held)) or not finite(train, made, held):
        return math.nan
    own, usual = (float(np.median(nearest(train, rows, 1)[0])) for rows in (made, held))
    return own / usual if usual else math.nan


def copies(train: Array, made: Array, held: Array) -> bool:
    """Whether made rows repeat training rows more than held-out rows do: by over 0.1, and 3 standard errors.

    Parameters
    ----------
    train, made, held : arrays (n, *D), (m, *D), (h, *D)

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> train, held = random.normal(size=(2, 50, 4))
    >>> copies(train, train, held), copies(train, random.normal(size=(50, 4)), held)
    (True, False)
    """
    share, usual = copied(train, made), copied(train, held)
    if math.isnan(share) or math.isnan(usual):
        return False
    both = (share * len(made) + usual * len(held)) / (len(made) + len(held))
    error = math.sqrt(both * (1 - both) * (1 / len(made) + 1 / len(held)))
    return share - usual > max(EXCESS, SURE * error)


TABLE = [
    Metric(
        "copied",
        copied,
        False,
        "share of rows",
        "new rows on a training row",
        0.02,
        "Yoon et al. 2023",
        bounds=SHARE,
    ),
    Metric(
        "nearness",
        nearness,
        None,
        "1 as held-out rows, 0 copies",
        "distance to the nearest training row",
        0.05,
        "docs/facets/generation.md",
        bounds=(0.0, math.inf),
    ),
    Metric("copier", None, False, "0 or 1", "generator that repeats training rows", 0.5, "docs/facets/generation.md"),
    Metric("ceiling", None, False, "0 or 1", "the training set itself", 0.5, "docs/facets/generation.md"),
]
"""What the numbers of this file mean."""
