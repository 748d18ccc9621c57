"""How many symbols of a discrete code are in use. ``tokens`` (n, positions) hold whole numbers from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer]


def usage(tokens: Tokens, entries: int) -> float:
    """Share of the ``entries`` symbols that occur at a position, averaged over positions; NaN without rows.

    Examples
    --------
    >>> usage(np.array([[0, 0], [1, 0]]), entries=4)
    0.375
    """
    return Counts.of(tokens, entries).usage


def perplexity(tokens: Tokens) -> float:
    """exp of the entropy of the symbols at a position, averaged over positions; NaN without rows.

    1 if one symbol is all that occurs, k if k symbols are equally frequent (van den Oord et al. 2017 report it).

    Examples
    --------
    >>> perplexity(np.array([[0], [1], [1], [0]]))
    2.0
    """
    return Counts.of(tokens, int(tokens.max(initial=0)) + 1).perplexity


@dataclass(frozen=True)
class Counts:
    """Sums from which both numbers follow: those of two batches added are those of their union."""

    found: NDArray[np.int64]
    """How often each symbol occurs at each position, (positions, entries)."""

    @classmethod
    def of(cls, tokens: Tokens, entries: int) -> Counts:
        """The sums of one batch: ``tokens`` (n, positions), all below ``entries``."""
        found = [np.bincount(column, minlength=entries) for column in tokens.T]
        return cls(np.array(found, dtype=np.int64).reshape(-1, entries))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.found + other.found)

    @property
    def usage(self) -> float:
        """See :func:`usage`."""
        return float(np.mean(self.found > 0)) if self.found.any() else math.nan

    @property
    def perplexity(self) -> float:
        """See :func:`perplexity`."""
        if not self.found.any():
            return math.nan
        shares = [counts[counts > 0] / counts.sum() for counts in self.found]
        return float(np.mean([np.exp(-np.sum(share * np.log(share))) for share in shares]))
