"""Whether two sets of rows come from one distribution: a classifier that tells them apart, and a distance of kernels.

Both look at rows through radial kernels whose width follows the real rows, so they see what moves rows by about their
usual distance, and not whether a grey value is exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said
from isthmus.seeds import seed as hashed

Array = NDArray[np.floating]

FOLDS = 5
COST = 1.0  # of the support vector machine: what a row on the wrong side pays
WIDEST, KERNELS = 4.0, 5  # the widest kernel, in median distances; each of the others is half as wide as the one before
ROUNDING = 1e-12  # of the rows' size: two rows that are nearer than this, squared, are one


def c2st(real: Array, made: Array, seed: int = 0, *, repeats: int = 1) -> float:
    """How often a classifier tells made rows from real ones: 0.5 is chance, 1 is always.

    The classifier is a support vector machine with a radial kernel ``exp(-d^2 / m^2)``, m the median distance of real
    rows, and C = 1. Each row is judged by a machine that was trained without it (5 seeded folds). Accuracies below 0.5
    are folded over, ``0.5 + |accuracy - 0.5|``: always being wrong tells the sets apart as well.

    Parameters
    ----------
    real, made : arrays (n, *D), (m, *D)
        Best of equal numbers; otherwise chance is not 0.5.
    seed : int, default 0
        Of the folds.
    repeats : int, default 1
        How often folds are cut anew; the accuracy is the mean. On 360 rows a side of digits the folds alone move it by
        about 0.013.

    Returns
    -------
    float
        NaN with fewer than 5 rows on a side, if something is not finite, or if all real rows are equal.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> c2st(random.normal(size=(50, 2)), random.normal(size=(50, 2)) + 9)
    1.0
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    if min(len(real), len(made)) < FOLDS:
        return math.nan
    gaps, width = _gaps(real, made)
    if not width > 0:
        return math.nan
    kernel = np.exp(-gaps / width)
    side = np.repeat([1, 0], [len(real), len(made)])
    right = 0
    for k in range(repeats):
        own = seed if k == 0 else hashed(seed, "folds", k)
        for seen, held in StratifiedKFold(FOLDS, shuffle=True, random_state=own % 2**32).split(side, side):
            machine = SVC(C=COST, kernel="precomputed").fit(kernel[np.ix_(seen, seen)], side[seen])
            right += int((machine.predict(kernel[np.ix_(held, seen)]) == side[held]).sum())
    return 0.5 + abs(right / (repeats * len(side)) - 0.5)


def mmd2(real: Array, made: Array) -> float:
    """The squared maximum mean discrepancy, by its unbiased estimate: 0 on average for equal distributions.

    The kernel is the mean of ``exp(-d^2 / (2 s^2))`` over s of a quarter, a half, one, two and four median distances of
    real rows, so the value is at most 2, and may fall below 0.

    Parameters
    ----------
    real, made : arrays (n, *D), (m, *D)

    Returns
    -------
    float
        NaN with fewer than 2 rows on a side, if something is not finite, or if all real rows are equal.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf and Smola (2012), A kernel two-sample test, JMLR 13, equation 3.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0]])
    >>> mmd2(x, x) < 0 < mmd2(x, x + 100)
    True
    """
    return discrepancy(real)(made)


def discrepancy(real: Array) -> Callable[[Array], float]:
    """:func:`mmd2` from rows (n, *D), as a function of made ones: what only real rows say is found once.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0]])
    >>> discrepancy(x)(x + 3) == mmd2(x, x + 3)
    True
    """
    sound = len(real) > 1 and finite(real)
    gaps = distances(real, real) if sound else np.empty((0, 0))
    width = _median(gaps)
    usual = _alike(gaps, width) if width > 0 else math.nan

    def judge(made: Array) -> float:
        if not width > 0 or len(made) < 2 or not finite(made):
            return math.nan
        n, m = len(real), len(made)
        own, across = _alike(distances(made, made), width), _alike(distances(real, made), width)
        return (usual - n) / (n * (n - 1)) + (own - m) / (m * (m - 1)) - 2 * across / (n * m)

    return judge


def _alike(gaps: NDArray[np.float64], width: float) -> float:
    """The sum of the kernel over squared distances; it is 1 of a row and itself."""
    kernel = np.exp(gaps * (-1 / (2 * width * WIDEST**2)))
    total = kernel.sum()
    for _ in range(KERNELS - 1):
        np.square(np.square(kernel, out=kernel), out=kernel)  # half as wide
        total += kernel.sum()
    return float(total) / KERNELS


def distances(a: Array, b: Array) -> NDArray[np.float64]:
    """Squared Euclidean distances of all pairs, flattened rows: (n, *D), (m, *D) -> (n, m)."""
    a, b = (np.asarray(x, dtype=np.float64).reshape(len(x), math.prod(x.shape[1:])) for x in (a, b))
    centre = a.mean(axis=0)  # what both share would only cost digits
    a, b = a - centre, b - centre
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    gaps = squares - 2 * a @ b.T
    return np.where(gaps > ROUNDING * squares, gaps, 0.0)


def finite(*sets: Array) -> bool:
    """Whether every number of every set is one."""
    return all(bool(np.isfinite(rows).all()) for rows in sets)


def _gaps(real: Array, made: Array) -> tuple[NDArray[np.float64], float]:
    """Squared distances of all rows, real ones first, and the median one of different real rows; NaN without any."""
    if not finite(real, made):
        return np.empty(0), math.nan
    both = np.concatenate([real, made])
    gaps = distances(both, both)
    return gaps, _median(gaps[: len(real), : len(real)])


def _median(gaps: NDArray[np.float64]) -> float:
    """The median squared distance of different rows, from those of all pairs (n, n); NaN without any."""
    own = gaps[np.triu_indices(len(gaps), 1)]
    apart = own[own > 0]
    return float(np.median(apart)) if len(apart) else math.nan


TABLE = [
    Metric(
        "c2st",
        c2st,
        False,
        "share of rows",
        Said("classifier two-sample accuracy", "分类器双样本准确率"),
        0.02,
        "Lopez-Paz and Oquab 2017",
        version=2,
        bounds=(0.5, 1.0),
    ),
    *(
        Metric(
            "c2st_" + side,
            c2st,
            False,
            "share of rows",
            title,
            0.02,
            "Lopez-Paz and Oquab 2017",
            bounds=(0.5, 1.0),
        )
        for side, title in (
            ("smooth", Said("classifier two-sample accuracy, rows as decoded", "分类器双样本准确率（解码后不加噪声）")),
            ("noisy", Said("classifier two-sample accuracy, noise added", "分类器双样本准确率（加上噪声）")),
            (
                "mixture",
                Said("classifier two-sample accuracy, codes from a mixture", "分类器双样本准确率（编码取自高斯混合）"),
            ),
            (
                "prior",
                Said("classifier two-sample accuracy, codes from the prior", "分类器双样本准确率（编码取自先验）"),
            ),
        )
    ),
    Metric(
        "with_noise",
        None,
        None,
        "0 or 1",
        Said("noise added", "加上噪声"),
        0.5,
        "docs/facets/generation.md",
        bounds=SHARE,
    ),
    Metric(
        "from_prior",
        None,
        None,
        "0 or 1",
        Said("codes drawn from the prior", "编码取自先验"),
        0.5,
        "docs/facets/generation.md",
        bounds=SHARE,
    ),
    Metric(
        "mmd2",
        mmd2,
        False,
        "0 to 2",
        Said("squared maximum mean discrepancy", "最大均值差异的平方"),
        0.001,
        "Gretton et al. 2012",
        bounds=(-2.0, 2.0),  # the mean is never below 0, an estimate may be
    ),
]
"""What the numbers of this file mean."""
