"""Contenders over several data sets: one score for each contender and data set becomes ranks, and ranks become claims.

Data sets are the sample here, so nothing of the spread inside one of them enters. Whether any contender differs at all
is asked by the Friedman test in the form of Iman and Davenport; which ones by Nemenyi's critical difference of mean
ranks (Demsar 2006). Mean ranks depend on who else takes part (Benavoli, Corani and Mangili 2016), so every pair also
gets Wilcoxon's signed-rank test with Holm's adjustment, and the Bayesian signed-rank test with a region of practical
equivalence (Benavoli et al. 2014, 2017), which look at the two alone.

A contender without a score on a data set is last there and loses every comparison on it: a gap never helps.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from isthmus.evidence.stats import Floats, Masses

DRAWS = 20_000
"""Of the Dirichlet posterior: a probability of 0.95 is known within 0.003."""
STRENGTH = 0.5
"""Prior strength s of the Dirichlet process, whose one prior observation is a difference of 0."""


class Friedman(NamedTuple):
    """Whether contenders differ at all over N data sets."""

    chi2: float
    """Friedman's statistic, corrected for ties; about chi-squared with k - 1 degrees of freedom."""
    p_chi2: float
    f: float
    """Iman and Davenport's statistic; about F with k - 1 and (k - 1)(N - 1) degrees of freedom."""
    p: float
    """Its p-value: the one that decides, as the chi-squared one is too timid."""


def ranks(scores: ArrayLike, higher: bool) -> Floats:
    """Ranks on each data set: 1 is best, equal scores share their mean rank, those without a score share the last.

    Parameters
    ----------
    scores : array_like of shape (k, N)
        k contenders on N data sets; what is not finite is no score.
    higher : bool
        Whether higher is better.

    Returns
    -------
    array of shape (k, N)

    Examples
    --------
    >>> ranks([[0.9, 0.8], [0.9, 0.7], [0.5, float("nan")]], higher=True).tolist()
    [[1.5, 1.0], [1.5, 2.0], [3.0, 3.0]]
    """
    return np.asarray(rankdata(-_worst(scores, higher), axis=0))


def friedman(placed: ArrayLike) -> Friedman | None:
    """Friedman's test with Iman and Davenport's correction; None for fewer than 3 contenders or 2 data sets.

    Parameters
    ----------
    placed : array_like of shape (k, N)
        Ranks, as :func:`ranks` gives them.

    References
    ----------
    Friedman (1937); Iman and Davenport, "Approximations of the critical region of the Friedman statistic" (1980).

    Examples
    --------
    >>> friedman([[1, 1, 1, 2], [2, 2, 3, 1], [3, 3, 2, 3]]).chi2
    4.5
    """
    r = np.asarray(placed, dtype=np.float64)
    k, n = r.shape
    if k < 3 or n < 2:
        return None
    if (r == r[:1]).all():  # everybody is tied everywhere
        return Friedman(0.0, 1.0, 0.0, 1.0)
    chi2, p_chi2 = map(float, friedmanchisquare(*r))
    room = n * (k - 1) - chi2
    f = (n - 1) * chi2 / room if room > 1e-12 * n else math.inf
    return Friedman(chi2, p_chi2, f, float(f_distribution.sf(f, k - 1, (k - 1) * (n - 1))))


def nemenyi(a: float, b: float, k: int, n: int) -> float:
    """Nemenyi's p-value of two mean ranks, among k contenders on n data sets; adjusted for all their pairs.

    Examples
    --------
    >>> round(nemenyi(1.0, 1.0 + critical_difference(4, 20), 4, 20), 6)
    0.05
    """
    return float(studentized_range.sf(abs(a - b) / math.sqrt(k * (k + 1) / (12 * n)), k, math.inf))


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Mean ranks at least this far apart differ at level ``alpha`` (Nemenyi 1963; Demsar 2006).

    Parameters
    ----------
    k, n : int
        Contenders, at least 2, and data sets.
    alpha : float, default 0.05
        Probability of any false claim when nobody differs.

    References
    ----------
    Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)  # q = 2.569 in Demsar's table
    1.25
    """
    return float(studentized_range.isf(alpha, k, math.inf)) * math.sqrt(k * (k + 1) / (12 * n))


def wilcoxon(differences: ArrayLike) -> float:
    """Exact two-sided p-value of Wilcoxon's signed-rank test that differences are symmetric about 0.

    Zeros take part in the ranking and are then left out (Pratt 1959); equal sizes share their mean rank, and the
    distribution is that of all signs of the ranks at hand, so ties need no approximation (scipy's exact one allows
    neither ties nor zeros). Infinite differences have the
    greatest ranks. Without a difference p is 1.

    Parameters
    ----------
    differences : array_like of shape (N,)
        None of them NaN.

    Examples
    --------
    >>> wilcoxon([1, 2, 3, 4, 5, 6])
    0.03125
    >>> wilcoxon([0, 0, 0])
    1.0
    """
    d = np.asarray(differences, dtype=np.float64)
    size = np.abs(d)
    twice = (2 * (size[None] < size[:, None]).sum(axis=1) + (size[None] == size[:, None]).sum(axis=1) + 1)[d != 0]
    counts = np.ones(1)  # of subsets by their sum of doubled ranks, as shares
    for rank in twice:
        grown = np.zeros(len(counts) + int(rank))
        grown[: len(counts)] += counts / 2
        grown[int(rank) :] += counts / 2
        counts = grown
    plus = int(twice[d[d != 0] > 0].sum())
    low = min(plus, int(twice.sum()) - plus)
    return min(1.0, float(2 * counts[: low + 1].sum()))


def signed_rank(differences: ArrayLike, rope: float, *, seed: int = 0, draws: int = DRAWS) -> Masses:
    """Bayesian signed-rank test: probability that the median difference lies left of, in, or right of the rope.

    The differences have a Dirichlet process as prior, with strength 0.5 and one prior observation 0. Each posterior
    draw weighs the observations, ``w ~ Dirichlet(0.5, 1, ..., 1)``, and gives each region the share of the pairs (i, j)
    whose mean ``(z_i + z_j) / 2`` lies in it, with weight ``w_i w_j``; the region of the largest share wins the draw.
    A probability is the share of draws that a region wins.

    Parameters
    ----------
    differences : array_like of shape (N,)
        One for each data set; infinite ones are allowed, and cancel if their signs differ.
    rope : float
        Half-width of practical equivalence.
    seed : int, default 0
        Of the draws. Equal seeds and N draw equal weights.
    draws : int, default 20000

    References
    ----------
    Benavoli, Corani, Mangili, Zaffalon and Ruggeri, "A Bayesian Wilcoxon signed-rank test based on the Dirichlet
    process", ICML (2014); Benavoli, Corani, Demsar and Zaffalon, "Time for a change", JMLR 18 (2017).

    Examples
    --------
    >>> signed_rank([0.2] * 10, rope=0.01).right > 0.999, signed_rank([0.001, -0.001] * 5, rope=0.01).rope
    (True, 1.0)
    """
    z = np.concatenate([[0.0], np.asarray(differences, dtype=np.float64)])
    w = _weights(len(z), seed, draws)
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num((z[:, None] + z[None]) / 2, nan=0.0, posinf=math.inf, neginf=-math.inf)
    left, right = (((w @ region.astype(np.float64)) * w).sum(axis=1) for region in (middle < -rope, middle > rope))
    shares = np.stack([left, 1 - left - right, right])
    best = shares >= shares.max(axis=0) - 1e-12
    won = (best / best.sum(axis=0)).mean(axis=1)
    return Masses(*map(float, won))


@lru_cache(maxsize=8)
def _weights(count: int, seed: int, draws: int) -> Floats:
    """Draws of Dirichlet(0.5, 1, ..., 1), of shape (draws, count); all pairs of a table share them."""
    w = np.random.default_rng(seed).standard_gamma(np.r_[STRENGTH, np.ones(count - 1)], size=(draws, count))
    w /= w.sum(axis=1, keepdims=True)
    w.setflags(write=False)
    return w


def lead(a: ArrayLike, b: ArrayLike, higher: bool) -> Floats:
    """By how much ``a`` is better than ``b`` on each data set; infinite where one of them alone has no score.

    Examples
    --------
    >>> lead([3.0, float("nan"), float("nan")], [1.0, 1.0, float("nan")], higher=True).tolist()
    [2.0, -inf, 0.0]
    """
    x, y = _worst(a, higher), _worst(b, higher)
    difference: Floats = np.where(x == y, 0.0, x - np.where(x == y, 0.0, y))
    return difference


def _worst(scores: ArrayLike, higher: bool) -> NDArray[np.float64]:
    """Scores of which higher is better; what is not finite becomes minus infinity."""
    x = np.asarray(scores, dtype=np.float64)
    found: NDArray[np.float64] = np.where(np.isfinite(x), x if higher else -x, -np.inf)
    return found
