"""Whom to take where nothing is proven: the contender of least expected regret, and a simpler one as good as that.

A claim and a choice are not the same. A claim may be left open; a choice cannot, for taking nobody is no use. Its
regret is what the best contender of the table is truly better by. The true scores are not known, but have a posterior:
the Student t of the correlated t-test (Corani and Benavoli 2015), here jointly of all contenders, so that every pair of
them has the very posterior its verdict rests on. The expected regret is the mean of the regret over it (Berger 1985,
Statistical decision theory and Bayesian analysis, chapter 4: the loss is linear, so whoever has the best posterior mean
has the least).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

import numpy as np

from isthmus.evidence.stats import Floats, steps
from isthmus.seeds import seed as hashed

DRAWS = 4000
"""From the posterior. An expected regret is good to about 2 % of itself, the same draws serving all contenders."""


def expected_regret(
    table: Mapping[str, Floats], *, higher: bool, test_fraction: float, relative: bool = False
) -> dict[str, float]:
    """What each contender is expected to fall short of the best by, the least first.

    Parameters
    ----------
    table : mapping of str to array of shape (R,)
        Contender -> scores as :func:`isthmus.evidence.stats.comparable` gives them. Who lacks a replicate that another
        one has is not asked: nobody gains by failing.
    higher, test_fraction, relative
        As in :func:`isthmus.evidence.verdict.judge`.

    Returns
    -------
    dict of str to float
        In the metric's unit; as a share of the value where metrics compare by ratio. Empty if no contender has two
        replicates: then nothing is known of the spread.

    Examples
    --------
    >>> table = {"plain": np.array([0.9, 0.91, 0.92]), "pca": np.array([0.8, 0.81, 0.82])}
    >>> found = expected_regret(table, higher=True, test_fraction=1 / 3)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'plain': 0.0, 'pca': 0.1}
    """
    most = max((int(np.isfinite(x).sum()) for x in table.values()), default=0)
    names = [name for name, x in table.items() if np.isfinite(x).sum() == most]
    if most < 2:
        return {}
    scores = (1 if higher else -1) * np.array([table[name] for name in names], dtype=np.float64)
    scores = scores[:, np.isfinite(scores).all(axis=0)]
    count = scores.shape[1]
    if count < 2:
        return {}
    grain = 0.0 if relative else steps(scores)
    theta = scores.mean(axis=1) + _spread(scores, math.sqrt(1 / count + test_fraction), grain)
    regret = (theta.max(axis=1, keepdims=True) - theta).mean(axis=0)
    regret = np.expm1(regret.clip(max=30.0)) if relative else regret
    order = sorted(range(len(names)), key=lambda i: (regret[i], i))
    return {names[i]: float(regret[i]) for i in order}


def _spread(scores: Floats, scale: float, grain: float) -> Floats:
    """Draws of all contenders' errors together, (DRAWS, K): a multivariate t whose scale is that of the replicates.

    Coarse scores have at least the variance of their rounding, as :func:`isthmus.evidence.stats.corrected_variance`
    asks it of differences.
    """
    stream = np.random.default_rng(hashed(0, "expected regret"))
    contenders, count = scores.shape
    centred = (scores - scores.mean(axis=1, keepdims=True)) / math.sqrt(count - 1)
    normal = stream.normal(size=(DRAWS, count)) @ centred.T
    normal += grain / math.sqrt(12) * stream.normal(size=(DRAWS, contenders))
    freedom = max(count - 1, 2)  # with one degree of freedom the posterior has no mean
    return scale * normal / np.sqrt(stream.chisquare(freedom, size=(DRAWS, 1)) / freedom)


def bet(regret: Mapping[str, float], rivals: Set[str], rope: float) -> str | None:
    """Whom to take: of those within a rope of the least expected regret a rival, if there is one, else the least.

    A rival is the simpler one: nobody trains it or looks after it. Of several the one of least expected regret counts.

    Examples
    --------
    >>> bet({"plain": 0.002, "knn": 0.009}, {"knn"}, 0.01), bet({"plain": 0.002, "pca": 0.015}, {"pca"}, 0.01)
    ('knn', 'plain')
    """
    if not regret:
        return None
    least = min(regret.values())
    near = {name: value for name, value in regret.items() if value <= least + rope}
    return min(near, key=lambda name: (name not in rivals, near[name]))
