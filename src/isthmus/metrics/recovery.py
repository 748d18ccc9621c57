"""Whether a dictionary found the features that rows were made of, where these are known.

Chanin and Garriga-Alonso (2026), SynthSAEBench: evaluating sparse autoencoders on scalable realistic synthetic data,
arXiv 2602.14687; the assignment: O'Neill, Gumran and Klindt (2024), Compute optimal inference and provable amortisation
gap in sparse autoencoders, arXiv 2411.13117; absorption: Chanin, Wilken-Smith, Dulka, Bhatnagar, Golechha and Bloom
(2024), A is for absorption, arXiv 2409.14507.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

Array = NDArray[np.floating]
Known = NDArray[np.number | np.bool_]
TINY = 1e-12


class Detection(NamedTuple):
    """Units as detectors of features: means over units that fire at all."""

    f1: float
    precision: float
    recall: float


def likeness(entries: Array, features: Array) -> NDArray[np.float64]:
    """Size of the cosine of each entry of a dictionary (L, D) with each feature (F, D): (L, F)."""
    one, two = (np.asarray(part, np.float64) for part in (entries, features))
    one, two = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), TINY) for part in (one, two))
    return np.abs(one @ two.T)


def mean_correlation(entries: Array, features: Array) -> float:
    """Mean size of the cosine under the best one-to-one assignment of entries to features (MCC).

    As many pairs as there are entries or features, whichever are fewer.

    Examples
    --------
    >>> mean_correlation(np.eye(3), -np.eye(3)[[2, 0]])
    1.0
    """
    near = likeness(entries, features)
    return float(near[_matched(near)].mean())


def _matched(near: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entries and features, each once, that are most alike together: two arrays as long as there are pairs."""
    from scipy.optimize import linear_sum_assignment  # nearly half a second, and every start loads the metrics

    entries, features = linear_sum_assignment(-near)
    return entries, features


def uniqueness(entries: Array, features: Array) -> float:
    """Features that are nearest to some entry, per entry: 1 if every entry has a feature of its own.

    Examples
    --------
    >>> uniqueness(np.array([[1.0, 0.0], [0.9, 0.1]]), np.eye(2))
    0.5
    """
    return len(np.unique(likeness(entries, features).argmax(axis=1))) / len(entries)


def detection(codes: Array, present: Known, entries: Array, features: Array) -> Detection:
    """How well each unit that fires tells whether its nearest feature is there.

    Parameters
    ----------
    codes : array (n, L)
        A unit fires where its code is not zero.
    present : array (n, F)
        Which features made a row; any number but 0 says so.
    entries, features : arrays (L, D), (F, D)

    Returns
    -------
    Detection
        NaN if no unit fires.

    Examples
    --------
    >>> detection(np.eye(2), np.array([[1.0, 0.0], [1.0, 1.0]]), np.eye(2), np.eye(2)).recall
    0.75
    """
    fires = np.asarray(codes) != 0
    live = fires.any(axis=0)
    if not live.any():
        return Detection(math.nan, math.nan, math.nan)
    fires = fires[:, live]
    there = np.asarray(present)[:, likeness(np.asarray(entries)[live], features).argmax(axis=1)] != 0
    both = (fires & there).sum(axis=0, dtype=np.float64)
    precision, recall = both / fires.sum(axis=0), both / np.maximum(there.sum(axis=0), 1)
    f1 = 2 * both / (fires.sum(axis=0) + there.sum(axis=0))
    return Detection(float(f1.mean()), float(precision.mean()), float(recall.mean()))


def absorption(codes: Array, present: Known, entries: Array, features: Array, parents: NDArray[np.integer]) -> float:
    """Share of rows with a child feature in which the unit of its parent is silent and that of the child speaks.

    A parent is there wherever its child is; a dictionary may save a unit by writing the parent into the entry of the
    child, and then the unit of the parent has a hole. Units are those of the best one-to-one assignment.

    Parameters
    ----------
    codes, present, entries, features
        As in :func:`detection`.
    parents : array (F,)
        The feature without which each is never there, -1 where there is none.

    Returns
    -------
    float
        Mean over children that are there in some row and whose unit and parent's unit are assigned; NaN without such.

    Examples
    --------
    >>> rows = np.array([[1, 0], [1, 1], [1, 1]])
    >>> codes = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # the child's unit took over in the second row
    >>> absorption(codes, rows, np.eye(2), np.eye(2), np.array([-1, 0]))
    0.5
    """
    units, found = _matched(likeness(entries, features))
    unit = np.full(len(features), -1)
    unit[found] = units
    fires, there, shares = np.asarray(codes) != 0, np.asarray(present) != 0, []
    for child, parent in enumerate(parents):
        if parent < 0 or unit[child] < 0 or unit[parent] < 0 or not there[:, child].any():
            continue
        rows = fires[there[:, child]]
        shares.append(float((rows[:, unit[child]] & ~rows[:, unit[parent]]).mean()))
    return float(np.mean(shares)) if shares else math.nan


TABLE = [
    Metric(
        "mcc",
        mean_correlation,
        True,
        "mean size of a cosine",
        Said("features found again (MCC)", "特征还原度（MCC）"),
        0.02,
        "O'Neill et al. 2024",
        bounds=SHARE,
    ),
    Metric(
        "uniqueness",
        uniqueness,
        True,
        "features per unit",
        Said("units with a feature of their own", "对应特征不重复的单元比例"),
        0.02,
        "Chanin and Garriga-Alonso 2026",
        bounds=SHARE,
    ),
    Metric(
        "f1",
        detection,
        True,
        "F1, mean over units",
        Said("F1 of units as detectors of features", "单元作为特征检测器的 F1"),
        0.02,
        "Chanin and Garriga-Alonso 2026",
        bounds=SHARE,
    ),
    Metric(
        "absorption",
        absorption,
        False,
        "share of a feature's rows",
        Said("absorption of parents by children", "父特征被子特征吸收的比例"),
        0.02,
        "Chanin et al. 2024",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
