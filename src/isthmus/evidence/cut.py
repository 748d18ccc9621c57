"""Claims that rest on trainings which were cut: what more steps may change is not claimed.

Whoever was cut while still getting better may end better than it was measured. So nobody is better than a contender
that was cut, and nobody is practically equal to it. That it is itself better than another stands: more steps would
only add to it.

That a rival is better than every autoencoder, or enough, is a claim on all of them. It falls if the best one was cut,
or another that is not shown to be behind the best one, or that may come as far as the rival by what its curve promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from isthmus.train.cut import WORTH, outlook


class Cut(NamedTuple):
    """A contender whose trainings were cut while they were still getting better."""

    steps: int
    """After which they were cut."""
    needed: int
    """After which as many again would hardly change anything, as their loss curves promise."""
    reach: float
    """What sixteen times the steps would add, as a share of what training brought."""

    def reaches(self, mine: float, best: float, higher: bool) -> bool:
        """Whether a contender whose mean is ``mine`` may come as far as ``best``.

        Taken as if the metric had risen (or fallen) from nothing with the loss; a metric that starts above nothing is
        given more than its due.
        """
        gained = self.reach * abs(mine)
        return mine + gained >= best if higher else mine - gained <= best


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
    reach = max(one.reach for one, _ in open_)
    return Cut(max(steps for _, steps in open_), max(one.steps for one, _ in open_), reach)


def standing(relation: str, a: bool, b: bool) -> str:
    """What may be claimed of a pair whose contenders ``a`` and ``b`` were cut, or not.

    Examples
    --------
    >>> standing("better", True, False), standing("better", False, True), standing("equal", True, False)
    ('better', 'undecided', 'undecided')
    """
    return "undecided" if True in lost(relation, a, b) else relation


def lost(relation: str, a: bool, b: bool) -> tuple[bool, bool]:
    """Whether it is ``a`` or ``b`` whose being cut takes the claim away: the one that more steps might lift.

    Examples
    --------
    >>> lost("better", True, True)
    (False, True)
    """
    return a and relation in {"worse", "equal"}, b and relation in {"better", "equal"}
