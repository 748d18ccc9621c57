"""Racing: time goes where the verdict is still open.

A study with a time budget first asks the questions that it left out for time, if time is left after all. Then it looks
at its verdicts and, while there is time, adds replicates for those contenders of a facet that are still in doubt.
Claims are made at a stricter level, so that all looks together are wrong no more often than one; who dropped out was
shown to be worse. The level is spent unevenly (Lan and DeMets 1983, Discrete sequential boundaries for clinical trials,
Biometrika 70): less of it early, where few replicates tell little, and more of it late, where most of the errors that a
look could make were made before.
A study without a budget may be asked for more replicates, and is then looked at again. So its first look spends not
quite all of the level, and in the facets that get replicates later looks spend what is left.
Within a run, configurations race too: all of them train for part of the steps, and those that no facet ranks near the
top stop there (successive halving: Jamieson and Talwalkar 2016, Non-stochastic best arm identification, AISTATS).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from isthmus.evidence.verdict import FacetVerdict

Criteria = Mapping[str, float | None]
"""Facet -> criterion of a configuration, smaller is better; None where it has none."""
LOOKS = 5
"""Verdicts of a race: one after the planned replicates, and at most four more."""
STRICT = (4.5, 4.2, 3.3, 2.6, 2.2)
"""How many times as strict claims are at each look. Races from 3 replicates on, which look soonest and err most, then
claim a winner between two who are level in 4.9 % of studies at a rope of 0 (``benchmarks/calibration/racing.py``); a
level that is the same at all looks would have to be 3.1 times as strict for that."""
ASKED = (1.2, 8, 10, 12, 14)
"""The same for a study without a budget: at its first look, and each time that it was asked for more replicates. The
first is what most people see, so it keeps nearly all of the level. Where two are level and the rope is 0, a winner is
claimed in 5.0 % of studies that begin with 3 replicates and are asked for five more four times, the worst that was
found; of those that nobody asks, in 4.2 %."""
GROWTH = 1.5
"""What each look multiplies the number of replicates by."""
PART = 4
"""A first lap is this part of the steps."""
KEPT = 3
"""Of so many configurations each facet keeps one after the first lap."""


class Round(NamedTuple):
    """What a race added: replicates, or questions."""

    replicates: tuple[int, ...]
    """Their numbers."""
    doubts: Mapping[str, tuple[str, ...]]
    """Facet -> contenders that were still in doubt there, and take part."""
    asked: tuple[str, ...] = ()
    """Facets that were left out for time and are asked after all, in all planned replicates. Time alone chooses them,
    so it is no look at the verdicts."""

    @property
    def end(self) -> int:
        """Replicates of those who take part, when it is done."""
        return self.replicates[-1] + 1


def doubts(verdicts: Iterable[FacetVerdict]) -> dict[str, tuple[str, ...]]:
    """Who must be measured more often, for each facet that is still open; best first.

    A facet is open if somebody may be as good as its leader, or if it is not known whether an autoencoder is needed.
    A contest that a hundred replicates would not decide is left as it is, and so is what only more steps can tell:
    whose trainings were cut is in no doubt that replicates would settle. Where a facet is open, only those leave that
    were shown to be worse.

    Examples
    --------
    >>> from isthmus.evidence.verdict import judge
    >>> scores = {"plain": [0.90, 0.94, 0.92], "vae": [0.93, 0.91, 0.92], "pca": [0.1, 0.11, 0.1]}
    >>> v = judge(scores, metric="auroc", higher=True, rope=0.0, rivals={"pca"}, test_fraction=0.3, facet="anomaly")
    >>> sorted(doubts([v])["anomaly"])
    ['plain', 'vae']
    """
    found = {}
    for v in verdicts:
        unsure = [name for name in v.undecided if not {name, v.leader} & v.cut.keys()]
        open_ = {v.leader, *unsure} if unsure else set()
        if v.outcome == "undecided" and v.replicates_needed is not None:
            open_ |= {v.autoencoder, *(r for r in v.rivals if v.pair(v.autoencoder, r).relation != "better")}
        if len(open_) > 1:
            open_ |= {v.leader, *v.equal}
            found[v.facet] = tuple(name for name in v.means if name in open_)
    return found


def further(
    open_: Mapping[str, tuple[str, ...]], rounds: Sequence[Round], replicates: int, affordable: float = math.inf
) -> Round | None:
    """The next round of a race, or None if nothing is open, all looks are spent or there is no time.

    Parameters
    ----------
    open_ : mapping of str to tuple of str
        What :func:`doubts` says of the facets that decide.
    rounds : sequence of Round
        What was added before.
    replicates : int
        Done so far, in all.
    affordable : float, optional
        Most replicates that there is time for.

    Examples
    --------
    >>> further({"features": ("plain", "pca")}, [], 5).replicates
    (5, 6, 7)
    """
    return extension(open_, rounds, replicates, int(min(math.ceil(replicates * GROWTH) - replicates, affordable)))


def extension(
    open_: Mapping[str, tuple[str, ...]], rounds: Sequence[Round], replicates: int, count: int
) -> Round | None:
    """The round of so many replicates, or None if nothing is open, all looks are spent or it would be empty.

    Examples
    --------
    >>> extension({"features": ("plain", "pca")}, [], 5, 2).replicates
    (5, 6)
    """
    if not open_ or spent(rounds) or count < 1:
        return None
    return Round(tuple(range(replicates, replicates + count)), open_)


def raced(times: int) -> float:
    """As how many looks those of a race count at a facet that got more replicates so many times.

    Examples
    --------
    >>> raced(0), raced(4)
    (4.5, 2.2)
    """
    return STRICT[min(times, LOOKS - 1)]


def counted(times: int) -> float:
    """As how many looks those of a study without a budget count, that was asked for more replicates so many times.

    Examples
    --------
    >>> counted(0), counted(1), counted(4)
    (1.2, 8, 14)
    """
    return ASKED[min(times, LOOKS - 1)]


def spent(rounds: Sequence[Round]) -> bool:
    """Whether all looks at a study are."""
    return sum(bool(one.replicates) for one in rounds) + 1 >= LOOKS


def survivors(criteria: Sequence[Mapping[str, float | None]]) -> list[int]:
    """Who goes on after the first lap: for each facet the best third of the configurations by its criterion.

    Examples
    --------
    >>> survivors([{"a": 3.0, "b": None}, {"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}])
    [1, 2]
    """
    kept: set[int] = set()
    for facet in dict.fromkeys(name for seen in criteria for name in seen):
        values = {i: value for i, seen in enumerate(criteria) if (value := seen.get(facet)) is not None}
        ranked = sorted(values, key=lambda i: (values[i], i))
        kept |= set(ranked[: math.ceil(len(criteria) / KEPT)])
    return sorted(kept)


def voted(criteria: Sequence[Criteria], places: int, beat: Sequence[Criteria] = ()) -> list[int]:
    """Who goes on where there are so many places: those that are best for most facets, the earlier one on a tie.

    Who is best for a facet and yet no better than the best of ``beat`` there gets no vote of it.

    Examples
    --------
    >>> voted([{"a": 3.0, "b": 2.5}, {"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}], places=2)
    [1, 2]
    >>> voted([{"a": 3.0, "b": 2.5}, {"a": 1.0, "b": 2.0}], places=2, beat=[{"a": 1.0, "b": 2.1}])
    [1]
    """
    votes: dict[int, int] = {}
    for facet in dict.fromkeys(name for seen in criteria for name in seen):
        values = {i: value for i, seen in enumerate(criteria) if (value := seen.get(facet)) is not None}
        bar = min((value for seen in beat if (value := seen.get(facet)) is not None), default=math.inf)
        best = min(values, key=lambda i: (values[i], i), default=None)
        if best is not None and values[best] < bar:
            votes[best] = votes.get(best, 0) + 1
    return sorted(sorted(votes, key=lambda i: (-votes[i], i))[:places])
