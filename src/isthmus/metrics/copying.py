"""Whether made rows are training rows again: how near they lie to one, as held-out rows do or nearer."""

from __future__ import annotations

import math

import numpy as np

from isthmus.metrics.metric import SHARE, Metric
from isthmus.metrics.probes import nearest
from isthmus.metrics.two_sample import Array, finite
from isthmus.said import Said

NEAR = 1 / 3
EXCESS = 0.1
SURE = 3.0


def copying(train: Array, made: Array, held: Array) -> dict[str, float]:
    """How near made rows lie to training rows, beside held-out rows, which cannot be copies.

    Parameters
    ----------
    train, made, held : arrays (n, *D), (m, *D), (h, *D)

    Returns
    -------
    dict
        ``copied``, the share of made rows that lie on one training row: three times as near to it as to the next one,
        or on both. In D dimensions about ``3^-D`` of new rows do so by chance, and more where rows repeat.
        ``nearness``, the median distance of made rows to the nearest training row, over that of held-out rows: 0 of
        copies, 1 of rows as far as those never seen; a decoder without noise may come between. ``copier`` is 1, and
        absent otherwise, if made rows lie on training rows more often than held-out rows do, by more than 0.1 and by
        3 standard errors. NaN with fewer than 2 training rows, without others, or if something is not finite;
        ``nearness`` also if held-out rows are copies themselves.

    References
    ----------
    Yoon, Choi, Kwon and Ryu (2023), Diffusion probabilistic models generalize when they fail to memorize, ICML workshop
    on structured probabilistic inference.

    Examples
    --------
    >>> train, held = np.array([[0.0], [1.0], [2.0]]), np.array([[0.5], [1.5]])
    >>> copying(train, np.array([[0.125], [0.625], [1.0]]), held)
    {'copied': 0.6666666666666666, 'nearness': 0.25}
    """
    if len(train) < 2 or not (len(made) and len(held)) or not finite(train, made, held):
        return {"copied": math.nan, "nearness": math.nan}
    own, usual = (nearest(train, rows, 2)[0] for rows in (made, held))
    share, other = (float(np.mean(gaps[:, 0] <= NEAR * gaps[:, 1])) for gaps in (own, usual))
    typical = float(np.median(usual[:, 0]))
    found = {"copied": share, "nearness": float(np.median(own[:, 0])) / typical if typical else math.nan}
    both = (share * len(made) + other * len(held)) / (len(made) + len(held))
    error = math.sqrt(both * (1 - both) * (1 / len(made) + 1 / len(held)))
    return found | ({"copier": 1.0} if share - other > max(EXCESS, SURE * error) else {})


TABLE = [
    Metric(
        "copied",
        copying,
        False,
        "share of rows",
        Said("share of generated rows that copy a training row", "与训练数据重复的比例"),
        0.02,
        "Yoon et al. 2023",
        bounds=SHARE,
    ),
    Metric(
        "nearness",
        copying,
        None,
        "1 as held-out rows, 0 copies",
        Said("distance to the nearest training row", "到最近训练数据的距离"),
        0.05,
        "docs/facets/generation.md",
        bounds=(0.0, math.inf),
    ),
    Metric(
        "copier",
        None,
        False,
        "0 or 1",
        Said("generator that copies training rows", "复制训练数据的生成模型"),
        0.5,
        "docs/facets/generation.md",
        bounds=SHARE,
    ),
    Metric(
        "ceiling",
        None,
        False,
        "0 or 1",
        Said("the training set itself", "训练集本身"),
        0.5,
        "docs/facets/generation.md",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
