"""The Pareto set over several verdicts: who is not shown to be behind somebody else all round.

It rests on relations alone. A contender is behind another that is shown to be better in one facet and better or
practically equal in all the others; where two are not told apart, neither is ruled out. So the fewer the data, the
larger the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from isthmus.evidence.verdict import FacetVerdict


class Pareto(NamedTuple):
    """Who is left, and who is behind whom."""

    members: tuple[str, ...]
    """In the order of the first verdict's means."""
    behind: tuple[tuple[str, str], ...]
    """Who is ruled out, and the first member by whom."""


def pareto(verdicts: Sequence[FacetVerdict]) -> Pareto:
    """The Pareto set among the contenders that were compared in every one of the verdicts.

    Examples
    --------
    >>> from isthmus.evidence.verdict import judge
    >>> usual = {"higher": True, "rope": 0.01, "rivals": {"pca"}, "test_fraction": 1 / 3}
    >>> base = {"vae": [0.7, 0.71, 0.72], "pca": [0.6, 0.61, 0.62]}
    >>> one = judge({"topk": [0.8, 0.81, 0.82], **base}, metric="auroc", **usual)
    >>> two = judge({"topk": [0.5, 0.51, 0.52], **base}, metric="hoyer", **usual)
    >>> pareto([one, two])
    Pareto(members=('topk', 'vae'), behind=(('pca', 'vae'),))
    """
    there = [name for name in verdicts[0].means if all(name in v.means for v in verdicts)] if verdicts else []
    ahead = {name: [other for other in there if other != name and ahead_of(other, name, verdicts)] for name in there}
    # "Practically equal" is not transitive, so that three could rule each other out in a ring: then nobody is out.
    members = [name for name in there if not ahead[name]] or there
    return Pareto(
        tuple(members),
        tuple((n, next((a for a in ahead[n] if a in members), ahead[n][0])) for n in there if n not in members),
    )


def ahead_of(a: str, b: str, verdicts: Sequence[FacetVerdict]) -> bool:
    """Whether ``a`` is shown to be better than ``b`` in one verdict and better or practically equal in all others."""
    told = {v.relations[a, b] for v in verdicts}
    return "better" in told and told <= {"better", "equal"}


def opposed(names: Sequence[str], verdicts: Sequence[FacetVerdict]) -> bool:
    """Whether two of them are each shown to be better than the other in some verdict: a trade, not a lack of data."""
    return any(
        {"better", "worse"} <= {v.relations[a, b] for v in verdicts} for i, a in enumerate(names) for b in names[:i]
    )
