"""Data sets that are not independent: the same rows in another order, most of the rows, or the columns rearranged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

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
FEW = 64
"""Rows of these that are looked for first."""
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

    What a set alone tells is found once; of nearly all pairs no more than a few rows are then looked for.

    Parameters
    ----------
    sets : sequence of arrays (N, *D)
        Only sets whose rows have the same number of elements can overlap.
    """
    known = [_known(x.reshape(len(x), -1)) for x in sets]
    pairs = [(i, j) for j in range(len(known)) for i in range(j) if known[i].x.shape[1] == known[j].x.shape[1]]
    found = [Overlap(i, j, _shared(known[i], known[j])) for i, j in pairs]
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
    rows agree anyway, only the very same rows tell. If none of 64 rows is found in any view, nothing is: where a fifth
    of all rows are shared, that happens once in a million pairs.

    Parameters
    ----------
    a, b : array_like of shape (N, D) and (M, D)

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> shared(x, x[::-1]), shared(x, 5 * x[:, [2, 0, 1]] - 1), shared(x, x + 1), shared(x, x**3)
    (1.0, 1.0, 1.0, 0.0)
    """
    return _shared(*(_known(np.asarray(x)) for x in (a, b)))


class _Known(NamedTuple):
    """What one data set tells of itself, so that no pair has to ask again."""

    x: NDArray[np.generic]
    name: bytes
    """The same for the same rows, in whatever order."""
    centre: NDArray[np.float64]
    width: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    """Of each column, (D, 17)."""
    asked: NDArray[np.int64]
    """The rows that are looked for."""
    tree: KDTree
    """Of the standardised rows, as projections see them."""


def _known(x: NDArray[np.generic]) -> _Known:
    rows = np.asarray(x, dtype=np.float64) + 0.0  # -0 is 0
    centre, width = _usual(rows)
    name = hashlib.sha256(rows[np.lexsort(rows.T)].tobytes()).digest()
    quantiles: NDArray[np.float64] = np.quantile(rows, LEVELS, axis=0).T
    asked = np.random.default_rng(0).permutation(len(rows))[:ASKED]
    return _Known(x, name, centre, width, quantiles, asked, KDTree(_seen((rows - centre) / width)))


def _shared(a: _Known, b: _Known) -> float:
    """Share of the rows of the smaller of two sets that the other has, beyond chance."""
    small, large = sorted((a, b), key=lambda one: len(one.x))
    if small.x.shape == large.x.shape and small.name == large.name:
        return 1.0
    held = _quantiles(large, large)
    every = slice(None)
    views = [
        (large, every),
        (large, _match(_quantiles(small, large), held)),
        (small, _match(_quantiles(small, small), held)),
    ]

    def rows(asked: NDArray[np.int64] | slice, view: tuple[_Known, Any]) -> NDArray[np.float64]:
        by, order = view
        return ((np.asarray(small.x[asked], dtype=np.float64) - by.centre) / by.width)[:, order]

    def found(few: NDArray[np.float64]) -> float:
        distance = large.tree.query(_seen(few), distance_upper_bound=10 * NEAR)[0]
        return float(np.isfinite(distance).mean())

    best, rng = 0.0, np.random.default_rng(0)
    rng.permutation(len(small.x))  # other numbers than those that chose the rows
    for view in [view for view in views if found(rows(small.asked[:FEW], view))]:
        seen = found(rows(small.asked, view))
        if seen > best:
            best = max(best, seen - found(rng.permuted(rows(every, view), axis=0)[small.asked]))
    return best


def _usual(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column; 1 for a constant one."""
    width = x.std(axis=0)
    return x.mean(axis=0), np.where(width > 0, width, 1.0)


def _quantiles(of: _Known, by: _Known) -> NDArray[np.float64]:
    """Quantiles of a set's columns, standardised as another set's are."""
    return (of.quantiles - by.centre[:, None]) / by.width[:, None]


def _match(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order of a's columns in which they look most like b's, by their quantiles (D, 17)."""
    order: NDArray[np.int64] = linear_sum_assignment(cdist(b, a, "cityblock"))[1]
    return order


def gaps(rows: NDArray[np.floating], among: NDArray[np.floating], ranks: Sequence[int]) -> NDArray[np.float64]:
    """Distances to the nearest of other rows, seen in four random projections, which tell rows apart.

    ``rows`` (n, D), ``among`` (m, D), ``ranks`` which neighbours, 1 the nearest -> (n, ranks).
    """
    distance: NDArray[np.float64] = KDTree(_seen(among)).query(_seen(rows), k=list(ranks))[0]
    return distance


def _seen(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Four random projections of rows (n, D), (n, 4); in blocks, for in float64 the rows may be too many."""
    axes = _axes(rows.shape[1])
    return np.concatenate([block.astype(np.float64) @ axes for block in np.array_split(rows, 1 + len(rows) // BLOCK)])


@cache
def _axes(width: int) -> NDArray[np.float64]:
    return np.random.default_rng(1).standard_normal((width, 4)) / np.sqrt(width)
