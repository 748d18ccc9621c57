"""Data sets that are not independent: the same rows in another order, most of the rows, or the columns rearranged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

ALIKE = 0.2
"""Share of the smaller set's rows, beyond chance, from which two sets count as one. Real ones were found at 1,
unrelated ones at 0."""
ASKED = 2000
"""Rows of the smaller set that are looked for; their share is then known within 0.02."""
NEAR = 1e-4
"""How near two rows must be, in standard deviations of an element."""
LEVELS = np.linspace(0, 1, 17)
BLOCK = 4096


class Overlap(NamedTuple):
    """Two data sets, by their places in the list, and the share of the smaller one's rows that the other has."""

    a: int
    b: int
    share: float


def overlaps(sets: Sequence[NDArray[np.float32]]) -> list[Overlap]:
    """Every pair of data sets that share many rows.

    Parameters
    ----------
    sets : sequence of arrays (N, *D)
        Only sets whose rows have the same number of elements can overlap.
    """
    flat = [x.reshape(len(x), -1) for x in sets]
    pairs = [(i, j) for j in range(len(flat)) for i in range(j) if flat[i].shape[1] == flat[j].shape[1]]
    found = [Overlap(i, j, shared(flat[i], flat[j])) for i, j in pairs]
    return [one for one in found if one.share >= ALIKE]


def groups(count: int, found: Sequence[Overlap]) -> list[list[int]]:
    """Places of sets that count as one, each group in order; a set that overlaps none is a group of its own.

    Examples
    --------
    >>> groups(4, [Overlap(0, 2, 1.0), Overlap(2, 3, 0.5)])
    [[0, 2, 3], [1]]
    """
    head = list(range(count))
    for one in found:
        old, new = sorted((head[one.b], head[one.a]), reverse=True)
        head = [new if h == old else h for h in head]
    return [[i for i in range(count) if head[i] == h] for h in dict.fromkeys(head)]


def shared(a: ArrayLike, b: ArrayLike) -> float:
    """Share of the rows of the smaller set that stand in the other one too, beyond what chance gives; 0 to 1.

    Three views are taken and the greatest share counts: rows as they are; with columns rearranged; with columns
    rearranged, shifted and stretched. Columns are matched by their quantiles, so the last two need sets that have
    nearly all rows in common. Mirrored columns (x for -x) and images that were turned are not found. Chance is the
    share that is found after the columns of the smaller set are shuffled one by one: where few distinct values make
    rows agree anyway, only the very same rows tell.

    Parameters
    ----------
    a, b : array_like of shape (N, D) and (M, D)

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> shared(x, x[::-1]), shared(x, 5 * x[:, [2, 0, 1]] - 1), shared(x, x + 1), shared(x, x**3)
    (1.0, 1.0, 1.0, 0.0)
    """
    small, large = sorted((np.asarray(x, dtype=np.float64) for x in (a, b)), key=len)
    if small.shape == large.shape and np.array_equal(_sorted(small), _sorted(large)):
        return 1.0
    rng = np.random.default_rng(0)
    centre, width = _usual(large)
    plain, held = (small - centre) / width, (large - centre) / width
    own, span = _usual(small)
    stretched = (small - own) / span
    views = [(plain, held), (plain[:, _match(plain, held)], held), (stretched[:, _match(stretched, held)], held)]
    asked = rng.permutation(len(small))[:ASKED]
    best = 0.0
    for few, many in views:
        seen = _found(few[asked], many)
        if seen > best:
            best = max(best, seen - _found(rng.permuted(few, axis=0)[asked], many))
    return best


def _sorted(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows in an order that does not depend on where they stood."""
    return x[np.lexsort(x.T)]


def _usual(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column; 1 for a constant one."""
    width = x.std(axis=0)
    return x.mean(axis=0), np.where(width > 0, width, 1.0)


def _match(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order of a's columns in which they look most like b's, by their quantiles."""
    quantiles = [np.quantile(x, LEVELS, axis=0).T for x in (b, a)]
    order: NDArray[np.int64] = linear_sum_assignment(cdist(*quantiles, "cityblock"))[1]
    return order


def _found(rows: NDArray[np.float64], among: NDArray[np.float64]) -> float:
    """Share of ``rows`` that have a neighbour as near as rounding."""
    return float((gaps(rows, among, [1]) < 10 * NEAR).mean())


def gaps(rows: NDArray[np.floating], among: NDArray[np.floating], ranks: Sequence[int]) -> NDArray[np.float64]:
    """Distances to the nearest of other rows, seen in four random projections, which tell rows apart.

    ``rows`` (n, D), ``among`` (m, D), ``ranks`` which neighbours, 1 the nearest -> (n, ranks).
    """
    distance: NDArray[np.float64] = KDTree(_seen(among)).query(_seen(rows), k=list(ranks))[0]
    return distance


def _seen(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Four random projections of rows (n, D), (n, 4); in blocks, for in float64 the rows may be too many."""
    width = rows.shape[1]
    axes = np.random.default_rng(1).standard_normal((width, 4)) / np.sqrt(width)
    return np.concatenate([block.astype(np.float64) @ axes for block in np.array_split(rows, 1 + len(rows) // BLOCK)])
