"""How many symbols of a discrete code are in use. ``tokens`` (n, positions) hold whole numbers from 0."""

from __future__ import annotations

import math

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
    if not tokens.size:
        return math.nan
    return float(np.mean([len(np.unique(column)) / entries for column in tokens.T]))


def perplexity(tokens: Tokens) -> float:
    """exp of the entropy of the symbols at a position, averaged over positions; NaN without rows.

    1 if one symbol is all that occurs, k if k symbols are equally frequent (van den Oord et al. 2017 report it).

    Examples
    --------
    >>> perplexity(np.array([[0], [1], [1], [0]]))
    2.0
    """
    if not tokens.size:
        return math.nan
    shares = [np.unique(column, return_counts=True)[1] / len(tokens) for column in tokens.T]
    return float(np.mean([np.exp(-np.sum(share * np.log(share))) for share in shares]))
