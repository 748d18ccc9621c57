"""What speaks for and against each contender on these data: only what the relations of the verdicts support.

A facet speaks for a contender that nobody is shown to beat and that is shown to beat at least half of the others, or
all of the other side (every rival, or every autoencoder). It speaks against one that at least half of the others are
shown to beat and, where it crowns somebody, against an autoencoder that a rival is shown to beat: PCA is cheap and
repeats itself by construction. Everything in between sets nobody apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from isthmus.evidence.purposes import PRICES
from isthmus.evidence.verdict import FacetVerdict
from isthmus.facets import FACETS, crowns

MOST = 3
"""Claims of one kind about one contender; the largest, counted in ropes, those of quality before those of cost."""


class Claim(NamedTuple):
    """One thing that sets a contender apart."""

    facet: str
    metric: str
    good: bool
    best: bool
    """Better than all others."""
    other: str
    """Whom it is told against: the best of the other side, if that is shown to differ, else the best that is."""
    mine: float
    theirs: float
    times: float | None
    """Larger value over smaller, where the metric compares by ratio."""
    ropes: float
    """How large the difference is, in half-widths of practical equivalence."""


class ProsCons(NamedTuple):
    """Claims about one contender, the largest first; both empty if nothing sets it apart."""

    pros: tuple[Claim, ...]
    cons: tuple[Claim, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: [claim._asdict() for claim in claims] for key, claims in self._asdict().items()}


def proscons(verdicts: Iterable[FacetVerdict]) -> dict[str, ProsCons]:
    """Pros and cons of every contender that was compared anywhere. Where nobody beats the floor, nobody is strong.

    Parameters
    ----------
    verdicts : iterable of FacetVerdict
        Of all facets; a facet may speak by several metrics.

    Examples
    --------
    >>> from isthmus.evidence.verdict import judge
    >>> scores = {"plain": [0.90, 0.91, 0.92], "pca": [0.80, 0.81, 0.82]}
    >>> v = judge(scores, metric="auroc", higher=True, rope=0.01, rivals={"pca"}, test_fraction=1 / 3, facet="anomaly")
    >>> found = proscons([v])
    >>> [(c.metric, c.best, c.other, round(c.ropes)) for c in found["plain"].pros], len(found["pca"].cons)
    ([('auroc', True, 'pca', 10)], 1)
    """
    found: dict[str, list[Claim]] = {}
    for v in verdicts:
        for name in () if v.useless else v.means:
            claim = _claim(name, v)
            found.setdefault(name, []).extend([claim] if claim else [])
    return {
        name: ProsCons(_largest(c for c in claims if c.good), _largest(c for c in claims if not c.good))
        for name, claims in found.items()
    }


def _largest(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    return tuple(sorted(claims, key=lambda claim: (claim.metric in PRICES, -claim.ropes))[:MOST])


def _claim(name: str, v: FacetVerdict) -> Claim | None:
    """What one verdict says for or against one contender; None in between."""
    others = [other for other in v.means if other != name]
    beaten = [other for other in others if v.relations[name, other] == "better"]
    ahead = [other for other in others if v.relations[name, other] == "worse"]
    side = [other for other in others if (other in v.rivals) != (name in v.rivals)]
    if beaten and not ahead and (2 * len(beaten) >= len(others) or (side and set(side) <= set(beaten))):
        return _told(name, v, beaten, side, good=True, best=beaten == others)
    passed = name not in v.rivals and crowns(v.facet) and set(side) & set(ahead)
    if ahead and (v.facet not in FACETS or FACETS[v.facet].faults) and (2 * len(ahead) >= len(others) or passed):
        return _told(name, v, ahead, side, good=False, best=False)
    return None


def _told(name: str, v: FacetVerdict, differ: Sequence[str], side: Sequence[str], *, good: bool, best: bool) -> Claim:
    """Against the best of the other side among those that differ, or the best of them all; means are best first."""
    other = next((one for one in differ if one in side), differ[0])
    mean = v.pair(name, other).mean or 0.0
    gap = abs(math.log1p(mean)) / math.log1p(v.rope) if v.relative else abs(mean) / v.rope
    times = math.exp(abs(math.log1p(mean))) if v.relative else None
    return Claim(v.facet, v.metric, good, best, other, *v.side_by_side(name, other), times, gap)
