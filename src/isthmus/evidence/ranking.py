"""One facet over several data sets: who ranks first, and from whom it is told apart.

A contender is called better than another over data sets only if the adjusted p-value of the pair is below 0.05 *and*
the Bayesian signed-rank test gives it at least 0.95 beyond the rope. The p-value is Nemenyi's, adjusted for all pairs;
of two contenders alone it is Wilcoxon's (Demsar 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from isthmus.errors import BadInput
from isthmus.evidence.outcome import Relation
from isthmus.evidence.ranks import (
    DRAWS,
    Friedman,
    critical_difference,
    friedman,
    lead,
    nemenyi,
    ranks,
    signed_rank,
    wilcoxon,
)
from isthmus.evidence.stats import ALPHA, SURE, Floats, Values, comparable, holm

LEAST_SETS = 5
"""Data sets from which ranks may claim anything."""


@dataclass(frozen=True, kw_only=True)
class RankPair:
    """Contender ``a`` against ``b`` over data sets; ``a`` has the better mean rank."""

    a: str
    b: str
    wins: int
    """Data sets on which ``a`` has the better score."""
    losses: int
    ties: int
    p_nemenyi: float
    """Of the mean ranks, adjusted for all pairs of the table."""
    p_wilcoxon: float
    p_holm: float
    """Wilcoxon's, adjusted for all pairs of the table."""
    worse: float
    """Posterior probability that ``a`` is worse than ``b`` by more than the rope."""
    equal: float
    better: float
    relation: Relation
    """What may be claimed of ``a``."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What follows for one facet from scores on several data sets; plain data."""

    facet: str
    metric: str
    higher: bool
    rope: float
    relative: bool
    sets: tuple[str, ...]
    """Data sets, or groups of overlapping ones that count as one."""
    scores: dict[str, tuple[float | None, ...]]
    """One for each data set, best mean rank first; None where a contender has none, and so is last."""
    ranks: dict[str, float]
    """Mean rank of each contender, best first."""
    rivals: tuple[str, ...]
    """Which of them are not autoencoders, best first."""
    friedman: Friedman | None
    critical: float | None
    """Nemenyi's critical difference of mean ranks at 0.05."""
    pairs: tuple[RankPair, ...] = ()
    first: str | None = None
    """The best mean rank."""
    worse: tuple[str, ...] = field(default=())
    """Shown worse than the first."""
    equal: tuple[str, ...] = field(default=())
    """Practically equal to it."""
    undecided: tuple[str, ...] = field(default=())

    @property
    def enough(self) -> bool:
        """Whether there are data sets enough for a claim."""
        return len(self.sets) >= LEAST_SETS

    @property
    def autoencoder(self) -> str | None:
        """The autoencoder with the best mean rank."""
        return next((name for name in self.ranks if name not in self.rivals), None)

    def relation(self, a: str, b: str) -> Relation:
        """What may be claimed of ``a`` against ``b``."""
        turned: dict[Relation, Relation] = {"better": "worse", "worse": "better"}
        for one in self.pairs:
            if {one.a, one.b} == {a, b}:
                return one.relation if one.a == a else turned.get(one.relation, one.relation)
        raise BadInput(f"{self.facet}: no pair {a!r}, {b!r}; ranked are {', '.join(self.ranks)}")

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        tested = None if self.friedman is None else self.friedman._asdict()
        return asdict(self) | {"friedman": tested}


def rank(
    scores: Mapping[str, Values],
    sets: Sequence[str],
    *,
    facet: str,
    metric: str,
    higher: bool,
    rope: float,
    relative: bool,
    rivals: Set[str],
    together: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Ranking:
    """The ranking of one facet.

    Parameters
    ----------
    scores : mapping of str to sequence of N floats
        Contender -> score on each data set, None or NaN where it has none.
    sets : sequence of N str
        Names of the data sets.
    facet, metric : str
        Their names, for sentences.
    higher, rope, relative
        As in :func:`isthmus.evidence.verdict.judge`.
    rivals : set of str
        Which contenders are not autoencoders.
    together : sequence of sequences of int, optional
        Places of data sets that count as one: a contender's score is then its mean over them (geometric where
        ``relative``), and none if one of them is missing.
    seed, draws : int, default 0 and 20000
        Of the Bayesian test.

    Examples
    --------
    >>> scores = {"plain": [0.9, 0.8, 0.9, 0.8, 0.9, 0.8], "pca": [0.5, 0.6, 0.5, 0.6, 0.5, 0.6]}
    >>> about = {"facet": "anomaly", "metric": "auroc", "higher": True, "rope": 0.01, "relative": False}
    >>> found = rank(scores, list("abcdef"), rivals={"pca"}, **about)
    >>> found.first, found.worse, found.ranks
    ('plain', ('pca',), {'plain': 1.0, 'pca': 2.0})
    """
    groups = [list(g) for g in together or [[i] for i in range(len(sets))]]
    table = {name: np.array([comparable(x, relative)[g].mean() for g in groups]) for name, x in scores.items()}
    placed = ranks(np.array(list(table.values())).reshape(len(table), len(groups)), higher)
    mean = {name: float(row.mean()) for name, row in zip(table, placed, strict=True)} if groups else {}
    order = sorted(mean, key=lambda name: (mean[name], name))
    able = len(order) > 1 and len(groups) > 0
    width = float(np.log1p(rope)) if relative else rope
    pairs = _pairs({name: table[name] for name in order}, mean, higher, width, seed, draws) if able else ()
    standing = {one.b: one.relation for one in pairs if order and one.a == order[0]}
    return Ranking(
        facet=facet,
        metric=metric,
        higher=higher,
        rope=rope,
        relative=relative,
        sets=tuple(" + ".join(sets[i] for i in g) for g in groups),
        scores={name: tuple(_back(float(v), relative) for v in table[name]) for name in order},
        ranks={name: mean[name] for name in order},
        rivals=tuple(name for name in order if name in rivals),
        friedman=friedman(placed),
        critical=critical_difference(len(order), len(groups)) if able else None,
        pairs=pairs,
        first=next(iter(order), None),
        worse=tuple(name for name, r in standing.items() if r == "better"),
        equal=tuple(name for name, r in standing.items() if r == "equal"),
        undecided=tuple(name for name, r in standing.items() if r in {"undecided", "worse"}),
    )


def _pairs(
    table: Mapping[str, Floats], mean: Mapping[str, float], higher: bool, rope: float, seed: int, draws: int
) -> tuple[RankPair, ...]:
    """Every pair of contenders, which come in the order of their mean ranks."""
    both = list(combinations(table, 2))
    leads = [lead(table[a], table[b], higher) for a, b in both]
    count = len(next(iter(table.values())))
    plain = [wilcoxon(d) for d in leads]
    made = []
    for (a, b), d, p, adjusted in zip(both, leads, plain, holm(plain), strict=True):
        masses = signed_rank(d, rope, seed=seed, draws=draws)
        p_nemenyi = nemenyi(mean[a], mean[b], len(table), count)
        decisive = p_nemenyi if len(table) > 2 else p
        made.append(
            RankPair(
                a=a,
                b=b,
                wins=int((d > 0).sum()),
                losses=int((d < 0).sum()),
                ties=int((d == 0).sum()),
                p_nemenyi=p_nemenyi,
                p_wilcoxon=p,
                p_holm=1.0 if adjusted is None else adjusted,
                worse=masses.left,
                equal=masses.rope,
                better=masses.right,
                relation=_relation(masses.left, masses.rope, masses.right, decisive, count),
            )
        )
    return tuple(made)


def _relation(worse: float, equal: float, better: float, p: float, count: int) -> Relation:
    if count < LEAST_SETS:
        return "undecided"
    if p < ALPHA and better >= SURE:
        return "better"
    if p < ALPHA and worse >= SURE:
        return "worse"
    return "equal" if equal >= SURE else "undecided"


def _back(value: float, relative: bool) -> float | None:
    """A score in the unit of its metric."""
    return None if not np.isfinite(value) else float(np.exp(value)) if relative else value
