"""Claims that rest on trainings which were cut: what more steps may change is not claimed.

Whoever was cut while still getting better may end better than it was measured, and how much better at most, its loss
curves say. So nobody is called better than a contender that may still come within the rope of it, and nobody
practically equal to one that may yet leave it behind. That who was cut is itself better than another stands: more steps
would only add to it.

That a rival is better than every autoencoder, or enough, is a claim on all of them. It falls if one of them may come as
far as would contradict it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from isthmus.evidence.stats import ENDLESS
from isthmus.train.cut import WORTH, outlook


class Cut(NamedTuple):
    """A contender whose trainings were cut while they were still getting better."""

    steps: int
    """After which they were cut."""
    needed: int
    """After which as many again would hardly change anything, as their loss curves promise; at most four times as
    many as were made."""
    reach: float
    """What sixteen times the steps would add, as a share of what training brought; the mean over replicates, as a score
    is, where those that converged add nothing."""

    def at_best(
        self,
        mine: float,
        *,
        higher: bool,
        floor: float = math.nan,
        bounds: tuple[float, float] = ENDLESS,
        relative: bool = False,
    ) -> float:
        """How good a contender whose mean is ``mine`` may become.

        Taken as if the metric had gone with the loss from its floor, which is what it comes to without learning, to
        where it is. Where no floor is known it began at nothing, which gives a metric that did not more than its due.

        Parameters
        ----------
        mine, floor : float
            Where ``relative``, logarithms; a floor of NaN is not known.
        higher : bool
            Whether higher is better.
        bounds : (float, float)
            The least and the largest value of the metric, on the same scale.

        Examples
        --------
        >>> round(Cut(200, 400, 0.5).at_best(0.8, higher=True, floor=0.6, bounds=(0.0, 1.0)), 6)
        0.9
        """
        way = math.log(2) if relative else abs(mine)
        if math.isfinite(floor):
            way = max(0.0, mine - floor if higher else floor - mine)
        reached = mine + self.reach * way * (1 if higher else -1)
        return min(reached, bounds[1]) if higher else max(reached, bounds[0])


def cut_short(trainings: Iterable[tuple[str, Mapping[str, Sequence[float | None]]]]) -> Cut | None:
    """Whether the trainings of one contender, one in each replicate, were cut too early.

    They were if as many steps again would add, on average over the replicates, more than 1 % of what training brought
    (:data:`isthmus.train.cut.WORTH`); those that converged would add nothing.

    Parameters
    ----------
    trainings : iterable of (str, mapping)
        Status and history of each.

    Examples
    --------
    >>> falling = {"step": [0, 50, 100, 150, 200], "valid": [1.0, 0.6, 0.4, 0.32, 0.3]}
    >>> cut_short([("cut", falling), ("converged", falling)]).steps
    200
    >>> cut_short([("converged", falling)]) is None
    True
    """
    seen = [(outlook(history) if status == "cut" else None, history) for status, history in trainings]
    open_ = [(one, int(history["step"][-1] or 0)) for one, history in seen if one is not None and one.open]
    if not open_ or sum(one.gain for one, _ in open_) <= WORTH * len(seen):
        return None
    reach = sum(one.reach for one, _ in open_) / len(seen)
    return Cut(max(steps for _, steps in open_), max(one.steps for one, _ in open_), reach)


def lost(relation: str, lead: float, rope: float, best: tuple[float, float]) -> tuple[bool, bool]:
    """Whether it is ``a`` or ``b`` of a pair whose being cut takes the claim on them away.

    Parameters
    ----------
    relation : str
        better, equal, worse or undecided, of ``a``.
    lead : float
        Mean of ``a`` less that of ``b``, turned so that more is better.
    rope : float
        Half-width of practical equivalence, on the same scale.
    best : (float, float)
        What more steps may add to ``a``, and to ``b``: 0 for who was not cut.

    Examples
    --------
    >>> lost("better", 0.1, 0.01, (0.2, 0.05)), lost("better", 0.1, 0.01, (0.2, 0.1))
    ((False, False), (False, True))
    >>> lost("equal", 0.0, 0.01, (0.2, 0.0))
    (True, False)
    """
    mine, other = best
    if relation == "equal":
        return mine > 0 and lead + mine > rope, other > 0 and other - lead > rope
    return (
        relation == "worse" and mine > 0 and mine + rope >= -lead,
        relation == "better" and other > 0 and other + rope >= lead,
    )
