"""How many symbols of a discrete code are in use. ``tokens`` (n, positions) hold whole numbers from 0."""

from __future__ import annotations

import math
from collections import Counter
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
    return Counts.of(tokens).usage(entries)


def perplexity(tokens: Tokens) -> float:
    """exp of the entropy of the symbols at a position, averaged over positions; NaN without rows.

    1 if one symbol is all that occurs, k if k symbols are equally frequent (van den Oord et al. 2017 report it).

    Examples
    --------
    >>> perplexity(np.array([[0], [1], [1], [0]]))
    2.0
    """
    return Counts.of(tokens).perplexity


@dataclass(frozen=True)
class Counts:
    """Sums from which both numbers follow: those of two batches added are those of their union."""

    found: tuple[Counter[int], ...]
    """How often each symbol occurs, for each position; what never occurs takes no memory."""

    @classmethod
    def of(cls, tokens: Tokens) -> Counts:
        """The sums of one batch: ``tokens`` (n, positions)."""
        return cls(tuple(Counter(column.tolist()) for column in tokens.T))

    def __add__(self, other: Counts) -> Counts:
        return Counts(tuple(one + two for one, two in zip(self.found, other.found, strict=True)))

    def usage(self, entries: int) -> float:
        """See :func:`usage`."""
        return float(np.mean([len(one) / entries for one in self.found])) if any(self.found) else math.nan

    @property
    def perplexity(self) -> float:
        """See :func:`perplexity`."""
        if not any(self.found):
            return math.nan
        shares = [np.array(list(one.values())) / one.total() for one in self.found]
        return float(np.mean([np.exp(-np.sum(share * np.log(share))) for share in shares]))
