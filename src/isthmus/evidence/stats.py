"""How sure a difference is: paired by replicate, corrected because the training sets of replicates overlap.

With ``R`` differences of mean ``m`` and sample variance ``s2``, and ``n_test / n_train = test_fraction``, the variance
of the mean is taken as ``(1/R + test_fraction) s2`` (Nadeau and Bengio 2003). The posterior of the mean difference
under a flat prior is then a Student t with ``R - 1`` degrees of freedom, centre ``m`` and that variance (Corani and
Benavoli 2015, with correlation ``n_test / (n_test + n_train)``). So intervals, p-values and probabilities share one
scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Values = Sequence[float | None] | Floats
SURE = 0.95
"""Posterior probability from which a claim is made."""
ALPHA = 0.05
"""Level of the adjusted p-values."""
SAME = 1e-6
"""Changes of a score up to this are rounding."""
ENDLESS = (-math.inf, math.inf)
"""The least and the largest value of what may be any number."""
TINY = 1e-12
"""Ratios are taken of values floored here: below the square of single-precision rounding nothing is measured."""
TURNED = {"better": "worse", "worse": "better"}
"""Relations that change when a pair is told the other way round."""


def sure(looks: float) -> float:
    """Posterior probability from which a claim is made, if the evidence is looked at so often.

    Examples
    --------
    >>> sure(1), sure(5)
    (0.95, 0.99)
    """
    return 1 - (1 - SURE) / looks


class Masses(NamedTuple):
    """Posterior probability that the mean difference lies left of, in, or right of ``[-rope, rope]``."""

    left: float
    rope: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Contender ``a`` against contender ``b``, over the replicates that both finished.

    ``mean``, ``low`` and ``high`` are of ``a - b`` in the metric's unit; where metrics compare by ratio they are of
    ``a / b - 1``. All that cannot be computed is None.
    """

    a: str
    b: str
    n: int
    """Replicates in which both have a finite value."""
    dropped: int
    """Replicates in which exactly one of the two has."""
    mean: float | None
    mean_a: float | None
    """Mean of ``a`` over the replicates that both finished; the geometric mean where ratios are compared."""
    mean_b: float | None
    low: float | None
    """Lower end of the corrected 95 % interval."""
    high: float | None
    p: float | None
    """Two-sided p-value of the corrected t-test."""
    p_adjusted: float | None
    """The smallest level at which the difference is claimed: adjusted for all pairs of the table (Holm), or for a
    headline of the verdict that the pair is part of."""
    worse: float | None
    """Probability that ``a`` is worse than ``b`` by more than the rope."""
    equal: float | None
    better: float | None
    relation: str = "undecided"
    """What may be claimed of ``a``: better, equal, worse or undecided."""

    def flipped(self, relative: bool = False) -> Pair:
        """The same evidence, told of ``b`` against ``a``; ``relative`` if the differences are shares."""

        def turn(value: float | None) -> float | None:
            return None if value is None else (1 / (1 + value) - 1 if relative else 0.0 - value)

        return Pair(
            a=self.b,
            b=self.a,
            n=self.n,
            dropped=self.dropped,
            mean=turn(self.mean),
            mean_a=self.mean_b,
            mean_b=self.mean_a,
            low=turn(self.high),
            high=turn(self.low),
            p=self.p,
            p_adjusted=self.p_adjusted,
            worse=self.better,
            equal=self.equal,
            better=self.worse,
            relation=TURNED.get(self.relation, self.relation),
        )


def corrected_variance(differences: ArrayLike, test_fraction: float, grain: float = 0.0) -> float:
    """Variance of the mean of paired differences from overlapping training sets.

    Parameters
    ----------
    differences : array_like of shape (R,)
        Finite; R of at least 2.
    test_fraction : float
        Test rows per training row, ``n_test / n_train``. With 0 this is the textbook variance of a mean.
    grain : float, default 0
        Steps in which the scores come, see :func:`steps`. The sample variance then counts as at least that of two
        roundings, ``grain**2 / 6``, however well a few differences happen to agree.

    References
    ----------
    Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003).

    Examples
    --------
    >>> corrected_variance([1.0, 2.0, 3.0], test_fraction=0.5)
    0.8333333333333333
    """
    d = np.asarray(differences, dtype=np.float64)
    centred = d - d.sum() / len(d)
    return (1 / len(d) + test_fraction) * max(float(centred @ centred) / (len(d) - 1), grain**2 / 6)


def steps(table: Iterable[Floats]) -> float:
    """The steps in which a metric comes: what divides all changes of a contender's score from replicate to replicate.

    Accuracy on 36 test rows comes in steps of 1/36. A few differences of such scores easily agree by chance, which
    would leave no variance and every certainty. For fine metrics the result is of the order of 1e-6, for counts that
    are the same in all replicates it is 0: neither matters.

    Examples
    --------
    >>> steps([np.array([0.75, 0.5, 1.25]), np.array([0.1, 0.1, 0.1])])
    0.25
    """
    found = 0.0
    for gap in np.concatenate([np.diff(np.sort(finite(x))) for x in table] or [np.zeros(0)]):
        a, b = max(found, float(gap)), min(found, float(gap))
        while b > SAME:
            a, b = b, min(a % b, b - a % b)
        found = a
    return found if found > SAME else 0.0


def interval(
    values: ArrayLike, test_fraction: float, level: float = 0.95, grain: float = 0.0
) -> tuple[float, float] | None:
    """Corrected t interval of the mean of one contender's scores, or of differences; None for fewer than 2 values.

    Values that are not finite are left out.
    """
    d = finite(values)
    if len(d) < 2:
        return None
    half = float(special.stdtrit(len(d) - 1, (1 + level) / 2)) * math.sqrt(corrected_variance(d, test_fraction, grain))
    return float(d.mean()) - half, float(d.mean()) + half


class Average(NamedTuple):
    """The mean of one contender's scores, and its corrected 95 % interval."""

    mean: float
    low: float | None
    """None for fewer than 2 scores."""
    high: float | None


def estimate(
    values: Values, test_fraction: float, *, relative: bool = False, bounds: tuple[float, float] = ENDLESS
) -> Average | None:
    """Mean and interval of scores, as they are told: nothing beyond what a score can be. None of no finite score.

    Parameters
    ----------
    values : array_like of shape (R,)
        None and what is not finite are left out.
    test_fraction : float
        ``n_test / n_train``.
    relative : bool, default False
        The mean of logarithms, so the geometric mean.
    bounds : (float, float), optional
        The least and the largest score that there can be: a t interval knows of none.

    Examples
    --------
    >>> estimate([0.9, 1.0], 1 / 3, bounds=(0.0, 1.0)).high
    1.0
    """
    known = finite(comparable(values, relative))
    if not len(known):
        return None
    ends = (float(known.mean()), *(interval(known, test_fraction) or (None, None)))
    mean, low, high = (None if e is None else float(np.clip(np.exp(e) if relative else e, *bounds)) for e in ends)
    return None if mean is None else Average(mean, low, high)


def p_value(differences: ArrayLike, test_fraction: float, grain: float = 0.0) -> float | None:
    """Two-sided p-value of the corrected t-test that the mean difference is 0; None for fewer than 2 values.

    Differences that are all the same leave no variance: p is 1 if they are 0, else 0.
    """
    d = finite(differences)
    if len(d) < 2:
        return None
    mean, scale = float(d.mean()), math.sqrt(corrected_variance(d, test_fraction, grain))
    if scale == 0:
        return float(mean == 0)
    return float(2 * special.stdtr(len(d) - 1, -abs(mean) / scale))


def masses(differences: ArrayLike, rope: float, test_fraction: float, grain: float = 0.0) -> Masses | None:
    """Bayesian correlated t-test; None for fewer than 2 values.

    Parameters
    ----------
    differences : array_like of shape (R,)
        Paired differences; values that are not finite are left out.
    rope : float
        Half-width of practical equivalence. Differences that are all the same put the whole mass where they lie.
    test_fraction : float
        ``n_test / n_train``.
    grain : float, default 0
        As in :func:`corrected_variance`.

    References
    ----------
    Corani and Benavoli, "A Bayesian approach for comparing cross-validated algorithms on multiple data sets",
    Machine Learning 100 (2015).

    Examples
    --------
    >>> masses([0.5, 0.5, 0.5], rope=0.01, test_fraction=1 / 3)
    Masses(left=0.0, rope=0.0, right=1.0)
    """
    d = finite(differences)
    if len(d) < 2:
        return None
    mean, scale = float(d.mean()), math.sqrt(corrected_variance(d, test_fraction, grain))
    if scale == 0:
        return Masses(float(mean < -rope), float(abs(mean) <= rope), float(mean > rope))
    left = float(special.stdtr(len(d) - 1, (-rope - mean) / scale))
    right = float(special.stdtr(len(d) - 1, (mean - rope) / scale))
    return Masses(left, max(0.0, 1 - left - right), right)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Step-down adjusted p-values, in the order given (Holm 1979).

    A missing p-value stays None and still counts as a comparison that was meant to be made. Of the libraries that are
    installed none has it; statsmodels, to which tests compare it, would add seconds of imports for these lines.

    Examples
    --------
    >>> holm([0.04, 0.01, None])
    [0.08, 0.03, None]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[i] = highest
    return adjusted


def finite(values: ArrayLike) -> Floats:
    """The finite ones of ``values``; None counts as not finite."""
    d = np.asarray(values, dtype=np.float64)
    return d[np.isfinite(d)]


def pairs(
    scores: Mapping[str, Values],
    *,
    rope: float,
    higher: bool,
    test_fraction: float,
    relative: bool = False,
    bounds: tuple[float, float] = ENDLESS,
) -> tuple[Pair, ...]:
    """Every contender against every later one, with Holm's adjustment over all of these pairs.

    Parameters
    ----------
    scores : mapping of str to array_like of shape (R,)
        One value for each replicate, in the same order for all; None or NaN where there is none.
    rope : float
        Half-width of practical equivalence, in the metric's unit or, if ``relative``, as a share of the value.
    higher : bool
        Whether higher is better.
    test_fraction : float
        ``n_test / n_train``.
    relative : bool, default False
        Compare logarithms; values are floored at 1e-12.
    bounds : (float, float), optional
        The least and the largest score that there can be: no interval of a difference is wider than they are apart.
    """
    table = {name: comparable(values, relative) for name, values in scores.items()}
    width, grain = (math.log1p(rope), 0.0) if relative else (rope, steps(table.values()))
    rules = _Rules(width, higher, test_fraction, relative, grain, math.inf if relative else bounds[1] - bounds[0])
    made = [_pair(a, b, table[a], table[b], rules) for a, b in combinations(table, 2)]
    return tuple(replace(pair, p_adjusted=p) for pair, p in zip(made, holm([pair.p for pair in made]), strict=True))


def comparable(values: Values, relative: bool) -> Floats:
    """Scores on the scale on which differences are taken; what is not finite becomes NaN."""
    x = np.asarray(values, dtype=np.float64)
    x = np.where(np.isfinite(x), x, np.nan)
    return np.log(np.maximum(x, TINY)) if relative else x


def replicates_to_decide(
    differences: ArrayLike,
    rope: float,
    test_fraction: float,
    *,
    tests: float = 1.0,
    looks: float = 1,
    grain: float = 0.0,
    most: int = 100,
) -> int | None:
    """About how many replicates would tell whether the right side is better, if mean and spread stay as they are.

    Parameters
    ----------
    differences : array_like of shape (R,)
        Oriented so that positive is better.
    rope, test_fraction : float
        As in :func:`masses`.
    tests : float, default 1
        What the p-value is multiplied by.
    looks : float, default 1
        As how many looks those at the evidence count.
    grain : float, default 0
        As in :func:`corrected_variance`.
    most : int, default 100
        Where the search ends. The corrected variance does not shrink to 0 with more replicates of one data set, so
        some questions cannot be decided by them at all.

    Returns
    -------
    int or None
        None if there are fewer than 2 differences, or if ``most`` replicates would not do.
    """
    d = finite(differences)
    if len(d) < 2:
        return None
    mean, spread = float(d.mean()), max(float(d.std(ddof=1)), grain / math.sqrt(6))
    for n in range(len(d) + 1, most + 1):
        scale = spread * math.sqrt(1 / n + test_fraction)
        if scale == 0:
            return n
        better = float(special.stdtr(n - 1, (mean - rope) / scale))
        p = 2 * float(special.stdtr(n - 1, -abs(mean) / scale))
        if better <= 1 - sure(looks) or (better >= sure(looks) and p * tests < ALPHA / looks):
            return n
    return None


class _Rules(NamedTuple):
    rope: float
    higher: bool
    test_fraction: float
    relative: bool
    grain: float
    most: float
    """By how much two scores may differ."""


def _pair(a: str, b: str, x: Floats, y: Floats, rules: _Rules) -> Pair:
    d, both = finite(x - y), np.isfinite(x - y)
    low, high = interval(d, rules.test_fraction, grain=rules.grain) or (None, None)
    left, equal, right = masses(d, rules.rope, rules.test_fraction, rules.grain) or (None, None, None)
    return Pair(
        a=a,
        b=b,
        n=len(d),
        dropped=int(np.isfinite(x).sum() + np.isfinite(y).sum()) - 2 * len(d),
        mean=_back(float(d.mean()), rules.relative) if len(d) else None,
        mean_a=average(x[both], rules.relative) if len(d) else None,
        mean_b=average(y[both], rules.relative) if len(d) else None,
        low=None if low is None else _back(max(low, -rules.most), rules.relative),
        high=None if high is None else _back(min(high, rules.most), rules.relative),
        p=p_value(d, rules.test_fraction, rules.grain),
        p_adjusted=None,
        worse=left if rules.higher else right,
        equal=equal,
        better=right if rules.higher else left,
    )


def average(x: Floats, relative: bool) -> float:
    """Mean of scores as :func:`comparable` gives them, in the metric's own unit; NaN are left out."""
    return float(np.exp(np.nanmean(x)) if relative else np.nanmean(x))


def _back(value: float | None, relative: bool) -> float | None:
    """A difference of logarithms as a share; beyond a factor of e**30 it says no more than that."""
    return math.expm1(min(max(value, -30.0), 30.0)) if relative and value is not None else value
