"""How alike two codes of the same rows are: as a geometry, as a subspace, unit by unit; and two rankings.

References
----------
Kornblith, Norouzi, Lee and Hinton (2019), Similarity of neural network representations revisited, ICML.
Björck and Golub (1973), Numerical methods for computing angles between linear subspaces, Mathematics of Computation 27.
Li, Yosinski, Clune, Lipson and Hopcroft (2016), Convergent learning, ICLR (units matched one to one).
Sharkey, Braun and Millidge (2022), Taking features out of superposition with sparse autoencoders (cosines of atoms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.metrics.moments import Moments
from isthmus.metrics.ranking import degenerate
from isthmus.said import Said

Array = NDArray[np.floating]
Wide = NDArray[np.float64]

# Codes are float32: spread below this share of a unit's size is rounding.
ROUNDING = 1e-6
MATCHED = 1024
"""Units of a side that are matched at most, evenly spaced, with all of the other: the work grows with their cube."""


def cka(a: Array, b: Array) -> float:
    """Linear centred kernel alignment, ``|A'B|^2 / (|A'A| |B'B|)`` with Frobenius norms and centred columns.

    Parameters
    ----------
    a, b : arrays (n, L), (n, M)
        Two codes of the same rows.

    Returns
    -------
    float
        1 if one code is a rotation, a reflection or a multiple of the other, shifted or not; 0 if they are
        uncorrelated. Directions of large variance weigh more. Independent Gaussian codes of equal width come to about
        ``L / (n + L)``. NaN if a code is constant or not finite.

    Examples
    --------
    >>> a = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
    >>> round(cka(a, 3 * a[:, ::-1] + 1), 12)
    1.0
    """
    return aligned(living(a), living(b))


def principal_cosines(a: Array, b: Array) -> Wide:
    """Cosines of the principal angles between the column spaces of two centred codes (n, L), (n, M), largest first.

    As many as the smaller rank (Björck and Golub 1973): their canonical correlations. Empty if a code is constant or
    not finite.

    Examples
    --------
    >>> a = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [0.0, 0.0]])
    >>> principal_cosines(a, a @ [[1.0], [2.0]]).round(12).tolist()
    [1.0]
    """
    return cosines(basis(a), basis(b))


def subspace_overlap(a: Array, b: Array) -> float:
    """Sum of the squared cosines of the principal angles, over the larger of the two ranks.

    1 if every linear function of the one code is one of the other; no direction weighs more than another.
    Independent codes of rank r on n rows come to ``r / (n - 1)``. NaN if a code is constant or not finite.
    Codes (n, L) and (n, M).
    """
    return overlap(basis(a), basis(b))


def matched_units(a: Array, b: Array) -> float:
    """Mean absolute correlation of units matched one to one so that the sum is largest (Hungarian algorithm).

    1 if one code has the units of the other in any order, sign and scale; a rotation lowers it. A unit that is constant
    is left out, one that finds no partner counts 0. NaN if a code is constant or not finite. Codes (n, L) and (n, M).

    Examples
    --------
    >>> a = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]])
    >>> round(matched_units(a, -2 * a[:, ::-1]), 12)
    1.0
    """
    return correlated(living(a), living(b))


def matched_atoms(a: Array, b: Array) -> float:
    """Mean absolute cosine of the rows of two dictionaries, matched one to one so that the sum is largest.

    Rows of zeros are left out, those without a partner count 0; NaN if there are no others or some are not finite.

    Parameters
    ----------
    a, b : arrays (L, *D), (M, *D)
        What each unit adds to a row.
    """
    one, two = (np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in (a, b))
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        return math.nan
    one, two = (x[np.abs(x).max(axis=1) > 0] for x in (one, two))
    one, two = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, two))
    return matched(one @ two.T)


def matched(likeness: Wide) -> float:
    """Best sum of absolute values with one entry in each row and column, over the longer side; NaN if empty. (L, M).

    Where both sides have more than ``MATCHED``, so many of the shorter one stand for all of it.
    """
    from scipy.optimize import linear_sum_assignment

    size = np.abs(likeness if likeness.shape[0] <= likeness.shape[1] else likeness.T)
    if not size.size:
        return math.nan
    few, many = size.shape
    if few > MATCHED:
        size = size[np.linspace(0, few - 1, MATCHED).astype(np.int64)]
    return _share(float(size[linear_sum_assignment(-size)].sum()) * (few / len(size)) / many)


def rank_agreement(a: Array, b: Array) -> float:
    """Spearman's correlation of two scores (n,) of the same rows; NaN if one of them ranks nothing.

    Examples
    --------
    >>> rank_agreement(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0]))
    1.0
    """
    from scipy.stats import rankdata

    if degenerate(a) or degenerate(b):
        return math.nan
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1].clip(-1, 1).round(12))


def living(code: Array) -> Wide:
    """The columns that vary, centred and in float64: (n, L) -> (n, <= L); none if a number is not finite."""
    wide = np.asarray(code, dtype=np.float64)
    if not np.isfinite(wide).all():
        return wide[:, :0]
    centred = wide - wide.mean(axis=0)
    return centred[:, np.abs(centred).max(axis=0, initial=0) > ROUNDING * np.abs(wide).max(axis=0, initial=0)]


def basis(code: Array) -> Wide:
    """Orthonormal axes of the space that centred columns span: (n, L) -> (n, rank)."""
    return axes(living(code))


def axes(columns: Wide) -> Wide:
    """Orthonormal axes of the space of :func:`living` columns: (n, L) -> (n, rank)."""
    columns = columns / np.linalg.norm(columns, axis=0)  # units of all scales count alike, as they do in the space
    found, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return found[:, sizes > ROUNDING * sizes.max(initial=0)]


def aligned(one: Wide, two: Wide) -> float:
    """:func:`cka` of :func:`living` columns."""
    if not one.size or not two.size:
        return math.nan
    if min(one.shape[1], two.shape[1]) > len(one):  # |A'B|^2 = tr(AA' BB'), which is less work for wide codes
        a, b = one @ one.T, two @ two.T
        return _share(float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))))
    shared, *own = (np.linalg.norm(x.T @ y) for x, y in ((one, two), (one, one), (two, two)))
    return _share(float(shared**2 / (own[0] * own[1])))


def correlated(one: Wide, two: Wide) -> float:
    """:func:`matched_units` of :func:`living` columns."""
    one, two = (x / np.linalg.norm(x, axis=0) for x in (one, two))
    return matched(one.T @ two)


def cosines(one: Wide, two: Wide) -> Wide:
    """:func:`principal_cosines` of spaces whose axes (:func:`basis`) are at hand."""
    return np.linalg.svd(one.T @ two, compute_uv=False).clip(0, 1) if one.size and two.size else np.zeros(0)


def overlap(one: Wide, two: Wide) -> float:
    """:func:`subspace_overlap` of spaces whose axes (:func:`basis`) are at hand."""
    rank = max(one.shape[1], two.shape[1])
    return _share(float(np.square(one.T @ two).sum()) / rank) if one.size and two.size else math.nan


@dataclass(frozen=True)
class Likeness:
    """Sums from which the three numbers of two codes follow: those of two batches added are those of their union."""

    both: Moments
    """Of the codes side by side."""
    width: int
    """Units of the first."""

    @classmethod
    def of(cls, a: Array, b: Array) -> Likeness:
        """The sums of one batch: two codes of the same rows, (n, L) and (n, M), n at least 1."""
        return cls(Moments.of(np.hstack([np.asarray(a, dtype=np.float64), b])), a.shape[1])

    def __add__(self, other: Likeness) -> Likeness:
        return Likeness(self.both + other.both, self.width)

    @property
    def cka(self) -> float:
        """See :func:`cka`."""
        return aligned(*self._living())

    @property
    def subspace_overlap(self) -> float:
        """See :func:`subspace_overlap`."""
        return overlap(*map(axes, self._living()))

    @property
    def matched_units(self) -> float:
        """See :func:`matched_units`."""
        return correlated(*self._living())

    def _living(self) -> tuple[Wide, Wide]:
        """As :func:`living` of either code, but for a rotation of the rows, which none of the numbers sees."""
        both = self.both
        if not np.isfinite(both.root).all():
            return both.root[:, :0], both.root[:, :0]
        reach = np.maximum(both.high - both.mean, both.mean - both.low)
        moves = reach > ROUNDING * np.maximum(np.abs(both.low), np.abs(both.high))
        first, second = np.split(moves, [self.width])
        return both.root[:, : self.width][:, first], both.root[:, self.width :][:, second]


def _share(value: float) -> float:
    """A share that rounding may have put beyond 1."""
    return min(1.0, value)


def _spread(facet: str, title: Said, rope: float) -> Metric:
    """Of a facet's score over the seeds; its rope is that of the score."""
    page = "docs/facets/stability.md"
    return Metric(f"spread_{facet}", None, False, "share", title, rope, page, bounds=(0.0, math.inf))


TABLE = [
    Metric(
        "cka",
        cka,
        True,
        "0 to 1",
        Said("similarity of codes (CKA)", "编码的相似度（CKA）"),
        0.02,
        "Kornblith et al. 2019",
        bounds=SHARE,
    ),
    Metric(
        "subspace_overlap",
        subspace_overlap,
        True,
        "0 to 1",
        Said("overlap of code subspaces", "编码子空间的重合度"),
        0.02,
        "Björck and Golub 1973",
        bounds=SHARE,
    ),
    Metric(
        "matched_units",
        matched_units,
        True,
        "0 to 1",
        Said("matched units", "单元的匹配程度"),
        0.02,
        "Li et al. 2016",
        bounds=SHARE,
    ),
    Metric(
        "matched_atoms",
        matched_atoms,
        True,
        "0 to 1",
        Said("matched atoms", "字典原子的匹配程度"),
        0.02,
        "Sharkey et al. 2022",
        bounds=SHARE,
    ),
    Metric(
        "rank_agreement",
        rank_agreement,
        True,
        "-1 to 1",
        Said("agreement of anomaly ranks", "异常排序的一致性"),
        0.02,
        "Spearman 1904",
        bounds=(-1.0, 1.0),
    ),
    _spread("reconstruction", Said("spread of explained variance over seeds", "不同种子下解释方差的离散程度"), 0.01),
    _spread("sparsity", Said("spread of Hoyer sparsity over seeds", "不同种子下 Hoyer 稀疏度的离散程度"), 0.02),
    _spread("features", Said("spread of kNN accuracy over seeds", "不同种子下 kNN 准确率的离散程度"), 0.01),
    _spread(
        "robustness",
        Said("spread of explained variance of disturbed rows over seeds", "不同种子下受干扰数据解释方差的离散程度"),
        0.01,
    ),
]
"""What the numbers of this file mean."""
