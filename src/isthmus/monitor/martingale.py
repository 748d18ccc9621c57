"""Whether the threshold still holds: a bet that scores of new rows do not rank among calibration scores as they should.

While rows are exchangeable with calibration rows, the rank of each new score among all before it is uniform and
independent of the past (Vovk, Gammerman and Shafer 2005). So whoever bets against that at fair odds has, on average,
what he began with, and with probability at most a ever more than 1 / a times as much (Ville 1939): the capital is a
level that may be looked at after every row. The bets jump between a few stakes (the simple jumper of Vovk et al. 2021,
Retrain or not retrain: conformal test martingales for change-point detection, COPA), and money is paid in over time, so
that a change is found late in a stream too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

GRID = 512
"""Bins of scores, at most: the state stays small, and ties within a bin are broken at random."""
JUMP = 0.01
"""Share of the capital that is spread over all stakes before each row."""
POWERS = (0.3, 0.6)
"""Stakes on small p-values, ``a p^(a - 1)``: scores that rise."""
SLOPE = 1.5
"""Stake on large ones, ``1 + slope (p - 1/2)``: scores that fall."""
STAKES = len(POWERS) + 2
"""Those, and cash."""


@dataclass
class Ranks:
    """Ranks of new scores among calibration scores and all new ones before.

    Bins are cut at calibration scores. Of n of them, a new normal score lies in each of the n + 1 gaps with the same
    probability, and then in a gap with ``c`` earlier new ones with probability ``(c + 1) / (n + t + 1)``: Polya's urn,
    which bins, several gaps each, follow too. So p-values are exactly uniform and independent, whatever the bins.
    """

    edges: Values
    """(K,), rising."""
    weights: Values
    """(K + 1,) gaps in each bin, and new scores that fell into it."""

    @classmethod
    def of(cls, calibration: Values) -> Ranks:
        """From sorted calibration scores (n,)."""
        every = max(1, -(-len(calibration) // GRID))
        edges = np.unique(calibration[every - 1 :: every])
        counts = np.diff(np.searchsorted(calibration, edges, side="right"), prepend=0)
        return cls(edges, np.append(counts, len(calibration) + 1 - counts.sum()).astype(np.float64))

    def p_values(self, scores: Values, random: np.random.Generator) -> Values:
        """Of scores (m,) that come one after the other; they are counted. High scores have small ones."""
        place = np.searchsorted(self.edges, scores)
        above = np.append(np.cumsum(self.weights[::-1])[::-1], 0.0)
        total = above[0] + np.arange(len(place))
        earlier = np.tri(len(place), k=-1)
        higher = above[place + 1] + (earlier * (place[None] > place[:, None])).sum(axis=1)
        equal = self.weights[place] + (earlier * (place[None] == place[:, None])).sum(axis=1)
        np.add.at(self.weights, place, 1.0)
        found: Values = (higher + random.uniform(size=len(place)) * equal) / total
        return found


@dataclass
class Capital:
    """What betting has made of a capital of 1."""

    stakes: list[float]
    """On small p-values, on large ones, and in cash."""
    kept: float
    """What was not paid in yet."""

    @classmethod
    def new(cls) -> Capital:
        """As it is at first: nothing is at stake, and nothing was paid in."""
        return cls([0.0] * STAKES, 1.0)

    @property
    def total(self) -> float:
        """What it is worth: all stakes, and what was not paid in yet."""
        return sum(self.stakes) + self.kept

    def bet(self, p: Values, due: float, limit: float) -> int | None:
        """Pay in what is due, and bet on p-values (m,).

        The number of p-values after which the capital was ``limit`` or more, or None; then betting ends.
        """
        due = min(self.kept, due)
        self.kept -= due
        stakes = [one + due / STAKES for one in self.stakes]
        odds = np.stack(
            [*(a * np.maximum(p, 1e-12) ** (a - 1) for a in POWERS), 1 + SLOPE * (p - 0.5), np.ones(len(p))]
        )
        for i, each in enumerate(odds.T.tolist()):
            level = JUMP * sum(stakes) / STAKES
            stakes = [((1 - JUMP) * one + level) * odd for one, odd in zip(stakes, each, strict=True)]
            if sum(stakes) + self.kept >= limit:
                self.stakes = stakes
                return i + 1
        self.stakes = stakes
        return None
