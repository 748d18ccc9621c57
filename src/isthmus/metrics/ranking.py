"""How well a score puts anomalies above normal rows. Equal scores count as ties.

The values are scikit-learn's, bit for bit (a test holds them to it). Its functions check their input each time: for 400
scores they take 7 and 3 ms where these take 0.2, and a study asks thousands of times.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

# Scores of one constant that went through float32 differ by about 1e-7 of their size.
ROUNDING = 1e-6
# float32 arithmetic is good to about 1e-7 of the data's size; an error of a millionth of it, squared, is rounding.
ROUNDING_OF_ERRORS = 1e-12


def auroc(label: NDArray[np.integer], score: NDArray[np.floating], weight: NDArray[np.floating] | None = None) -> float:
    """The chance that an anomaly scores above a normal row, a tie counting one half (Mann and Whitney 1947).

    Parameters
    ----------
    label : array (n,)
        1 for an anomaly, 0 for a normal row.
    score : array (n,)
        High means anomalous.
    weight : array (n,), optional
        How much each row counts, positive; a pair counts the product.

    Returns
    -------
    float
        0.5 is chance; NaN if a kind is missing or a score is not finite.

    Examples
    --------
    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive = np.asarray(label) == 1
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m or not np.isfinite(score).all():
        return math.nan
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    if weight is not None:
        normal, odd = (np.bincount(place, np.where(kind, weight, 0.0)) for kind in (~positive, positive))
        below = np.cumsum(normal) - normal / 2  # a tie counts one half
        return float(odd @ below / (odd.sum() * normal.sum()))
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]  # tied scores share the mean of their ranks
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(
    label: NDArray[np.integer], score: NDArray[np.floating], weight: NDArray[np.floating] | None = None
) -> float:
    """``sum (recall_t - recall_{t-1}) precision_t`` over the distinct scores t, downwards.

    The chance level is the share of anomalies. Labels, scores and weights (n,) as for :func:`auroc`; NaN without an
    anomaly or if a score is not finite.

    Examples
    --------
    >>> average_precision(np.array([0, 1, 0, 1]), np.ones(4))
    0.5
    """
    positive = np.asarray(label) == 1
    if not positive.any() or not np.isfinite(score).all():
        return math.nan
    order = np.argsort(-np.asarray(score), kind="stable")
    ordered = np.asarray(score)[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the end of each run of ties
    if weight is not None:
        hits, seen = (np.cumsum(w[order])[last] for w in (np.where(positive, weight, 0.0), np.asarray(weight)))
        return float(np.sum(np.diff(hits, prepend=0) * hits / seen) / hits[-1])
    hits = np.cumsum(positive[order])[last]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last + 1)) / positive.sum())


def degenerate(score: NDArray[np.floating], floor: float = 0.0) -> str | None:
    """Why scores cannot rank anything, or None if they can.

    Parameters
    ----------
    score : array (n,)
    floor : float, default 0
        Differences up to here are rounding, whatever the scores' size.

    Examples
    --------
    >>> degenerate(np.array([2.0, 2.0])), degenerate(1.0 + 1e-9 * np.arange(3)), degenerate(np.arange(3.0))
    ('all scores are equal', 'scores differ by rounding only', None)
    """
    score = np.asarray(score, dtype=np.float64)
    if not len(score):
        return "there are no scores"
    if not np.isfinite(score).all():
        return "a score is not finite"
    low, high = float(score.min()), float(score.max())
    if low == high:
        return "all scores are equal"
    spread = high / 2 - low / 2  # halves: the whole could overflow
    if spread <= max(ROUNDING / 2 * max(abs(low), abs(high)), floor / 2):
        return "scores differ by rounding only"
    return None


def rounding(rows: NDArray[np.floating]) -> float:
    """The squared error per element that is rounding for rows (n, *D): a floor for :func:`degenerate`."""
    return ROUNDING_OF_ERRORS * float(np.mean(np.square(rows, dtype=np.float64)))


TABLE = [
    Metric("auroc", auroc, True, "0 to 1", Said("AUROC", "AUROC"), 0.01, "Hanley and McNeil 1982", bounds=SHARE),
    Metric(
        "average_precision",
        average_precision,
        True,
        "0 to 1",
        Said("average precision", "平均精度"),
        0.02,
        "Zhu 2004",
        bounds=SHARE,
    ),
    *(
        Metric(f"auroc_{name}", auroc, True, "0 to 1", title, 0.01, citation, bounds=SHARE)
        for name, title, citation in (
            ("planted", Said("AUROC, synthetic anomalies", "AUROC（合成异常）"), "Han et al. 2022"),
            ("local", Said("AUROC, synthetic local anomalies", "AUROC（合成的局部异常）"), "Han et al. 2022"),
            ("global", Said("AUROC, synthetic global anomalies", "AUROC（合成的全局异常）"), "Han et al. 2022"),
            ("dependency", Said("AUROC, synthetic dependency anomalies", "AUROC（合成的依赖异常）"), "Han et al. 2022"),
            ("cluster", Said("AUROC, synthetic clustered anomalies", "AUROC（合成的聚集异常）"), "Han et al. 2022"),
            (
                "reconstruction",
                Said("AUROC, score from the reconstruction", "AUROC（按重构误差评分）"),
                "Hawkins et al. 2002",
            ),
            ("density", Said("AUROC, score from the code", "AUROC（按编码密度评分）"), "Mahalanobis 1936"),
            ("both", Said("AUROC, score from both", "AUROC（两者合并评分）"), "Denouden et al. 2018"),
        )
    ),
    Metric(
        "constant_scorer",
        None,
        False,
        "0 or 1",
        Said("scores that do not distinguish rows", "无法区分数据的得分"),
        0.5,
        "docs/facets/anomaly.md",
        bounds=SHARE,
    ),
    Metric(
        "untrained_scorer",
        None,
        False,
        "0 or 1",
        Said("model that training did not improve", "训练没有给模型带来任何改进"),
        0.5,
        "docs/facets/anomaly.md",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
