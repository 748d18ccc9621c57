"""Whether counts of new rows differ from those of the reference, at a level that holds over a stream without end.

A stream is cut into blocks, and blocks are joined two by two into windows of 1, 2, 4, ... of them, so that short
windows catch what jumps and long ones what creeps. Each count in a window is compared with the reference by Fisher's
exact test of two samples (1935), so the chance in the reference counts too, however long the window. Of the level, the
i-th window of 2^k blocks gets a part that is summed over all k and i to the whole: no window can spend what is not
there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

Values = NDArray[np.float64]

SPENT = 2.10975
"""Sum of 1 / (i log^2 i) over i = 2, 3, ..., rounded up."""
LONGEST = 24
"""Windows of at most 2^24 blocks."""


def spend(i: int) -> float:
    """What the i-th look of a kind may spend, counted from 0: 1 / ((i + 2) log^2 (i + 2)), which sums to at most 1.

    Examples
    --------
    >>> round(sum(spend(i) for i in range(100_000)), 2)
    0.96
    """
    return 1 / (SPENT * (i + 2) * math.log(i + 2) ** 2)


def part(k: int, i: int) -> float:
    """The part of the level for the i-th window of 2^k blocks, both counted from 0."""
    return spend(i) / ((k + 1) * (k + 2))


def p_values(known: ArrayLike, rows: ArrayLike, found: ArrayLike, window: ArrayLike) -> Values:
    """Upper bounds of two-sided p-values of Fisher's exact test, close ones where they are small.

    Ratios of neighbouring terms of the hypergeometric law fall towards its tails, so that a tail is at most a geometric
    series from its first term. The law is exact also for an edge that lies between the r-th and the next of the
    reference values, where r was fixed: up to it lie w new values or more exactly if, of the first r + w of both
    samples together, w or more are new.

    Parameters
    ----------
    known, found : arrays (T,)
        How many rows of the reference, and of the window, are counted.
    rows, window : arrays (T,)
        Of how many.

    Returns
    -------
    array (T,)
        In (0, 1].

    Examples
    --------
    >>> p_values([500, 500], [1000, 1000], [64, 32], [64, 64]).round(9).tolist()
    [0.0, 1.0]
    """
    r, n, w, m = (np.asarray(x, np.float64) for x in (known, rows, found, window))
    term = _choose(r + w, w) + _choose(n + m - r - w, m - w) - _choose(n + m, m)
    up = r * (m - w) / ((w + 1) * (n - r + 1))
    down = w * (n - r) / ((r + 1) * (m - w + 1))
    ratio = np.minimum(up, down)  # the smaller tail is the one whose terms fall faster
    with np.errstate(divide="ignore"):
        bound = np.log(2) + term - np.log1p(-np.minimum(ratio, 1 - 1e-12))
    return np.where((ratio < 1) & (m > 0), np.exp(np.minimum(bound, 0.0)), 1.0)


def _choose(n: Values, k: Values) -> Values:
    """log of n over k."""
    found: Values = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
