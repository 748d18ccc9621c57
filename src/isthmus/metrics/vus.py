"""How well scores of the steps of a series find ranges of anomalous steps, wherever in a range they rise.

A detector that answers a little early or late is right in practice and wrong in a precision that counts steps. The
volume under the surface (Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin 2022, VLDB 15(11)) gives anomalies a
buffer, whose steps count the less the further they lie from the range, and averages over all widths of the buffer. It
looks at scores at every threshold and moves no prediction to where the label is, as point-adjusted F1 does, in which
random scores win.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

THRESHOLDS = 250
"""Places among the sorted scores at which a threshold is put."""


def vus_pr(label: NDArray[np.integer], score: NDArray[np.floating], window: int, thresholds: int = THRESHOLDS) -> float:
    """Volume under the surface of precision and recall over thresholds and widths of the buffer, 0 to ``window``.

    Parameters
    ----------
    label : array (n,)
        1 for an anomalous step, 0 for a normal one, in the order of time.
    score : array (n,)
        High means anomalous.
    window : int
        Widest buffer; half of it lies on each side of a range.
    thresholds : int, default 250

    Returns
    -------
    float
        NaN without an anomaly or if a score is not finite.

    Examples
    --------
    >>> label = np.array([0, 0, 0, 1, 1, 0, 0, 0])
    >>> round(vus_pr(label, label + 0.0, 2), 3), round(vus_pr(label, 1.0 - label, 2), 3)
    (1.0, 0.276)
    """
    odd = np.asarray(label) == 1
    if not odd.any() or not np.isfinite(score).all():
        return math.nan
    edges = np.flatnonzero(np.diff(np.r_[0, odd.astype(np.int8), 0]))
    begins, ends = edges[::2], edges[1::2] - 1
    down = np.argsort(-np.asarray(score), kind="stable")
    ranked = np.asarray(score)[down]
    marks = ranked[np.linspace(0, len(ranked) - 1, thresholds).astype(int)]
    flagged = np.searchsorted(-ranked, -marks, side="right")  # how many steps score at least as high as each mark
    inside = np.cumsum(odd[down])[flagged - 1]
    found = []
    for width in range(window + 1):
        soft = buffered(odd, begins, ends, width)
        hits = np.cumsum(soft[down])[flagged - 1]
        wanted = odd.sum() + (hits - inside) / 2  # the mean of the range's steps and of those and what is hit around
        recall = np.minimum(hits / wanted, 1)
        tops = np.array([np.max(score[a : b + 1]) for a, b in joined(begins, ends, width, len(odd))])
        known = (tops[:, None] >= marks).mean(axis=0)  # the share of ranges of which a step is flagged
        found.append(float(np.diff(recall * known, prepend=0.0) @ (hits / flagged)))
    return float(np.mean(found))


def buffered(odd: NDArray[np.bool_], begins: NDArray[np.int64], ends: NDArray[np.int64], width: int) -> NDArray[Any]:
    """How much each step counts as anomalous, (n,): 1 in a range, less with the distance from it in its buffer."""
    soft = odd.astype(np.float64)
    for begin, end in zip(begins, ends, strict=True):
        after = np.arange(end + 1, min(end + width // 2 + 1, len(soft)))
        soft[after] += np.sqrt(1 - (after - end) / width) if width else 0.0
        before = np.arange(max(begin - width // 2, 0), begin)
        soft[before] += np.sqrt(1 - (begin - before) / width) if width else 0.0
    return np.minimum(soft, 1.0)


def joined(begins: NDArray[np.int64], ends: NDArray[np.int64], width: int, n: int) -> list[tuple[int, int]]:
    """Ranges with their buffers, first and last step of each; those that touch are one.

    Examples
    --------
    >>> joined(np.array([4, 10]), np.array([5, 11]), 2, 20), joined(np.array([4, 10]), np.array([5, 11]), 6, 20)
    ([(3, 6), (9, 12)], [(1, 14)])
    """
    half = width // 2
    apart = np.flatnonzero(ends[:-1] + half < begins[1:] - half)
    starts = np.maximum(begins[np.append(0, apart + 1)] - half, 0)
    stops = np.minimum(ends[np.append(apart, len(ends) - 1)] + half, n - 1)
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


TABLE = [
    Metric("vus_pr", vus_pr, True, "0 to 1", Said("VUS-PR", "VUS-PR"), 0.02, "Paparrizos et al. 2022", bounds=SHARE),
    Metric(
        "vus_pr_flat",
        vus_pr,
        None,
        "0 to 1",
        Said("VUS-PR of equal scores", "得分全部相同时的 VUS-PR"),
        0.02,
        "Paparrizos et al. 2022",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
