"""Seeded training, validation and test rows, and the rows that stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed

NEARER, OTHERS = 1000, 5
"""A copy lies so many times as near to one training row as to its fifth nearest: rounding does, chance hardly ever. Of
a row that stands in training up to four times, the fifth nearest is another one."""
EQUAL = 1e-9
"""What is no distance, in scaled units: of a row that stands in training more often, all five are equal."""


class Split(NamedTuple):
    """Sorted row numbers of the three parts; together every row once."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split(n_rows: int, seed: int, *, y: ArrayLike | None = None, fractions: Sequence[float] = (0.6, 0.2, 0.2)) -> Split:
    """Draw the three parts of ``n_rows`` rows.

    Parameters
    ----------
    n_rows : int
        At least 10.
    seed : int
        Equal seeds, equal parts, in any process and any order of calls.
    y : array (n_rows,), optional
        Class codes. Each class is spread over the parts in proportion; a class of at least three rows stands in all
        three parts as long as the parts have room, rarer classes fall where chance puts them.
    fractions : three floats, default (0.6, 0.2, 0.2)
        Shares of training, validation and test rows; positive, sum 1.

    Examples
    --------
    >>> [len(part) for part in split(11, seed=0)]
    [7, 2, 2]
    """
    shares = [float(share) for share in fractions]
    if len(shares) != 3 or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise BadInput(f"fractions must be three positive shares that sum to 1; got {tuple(fractions)}")
    if n_rows < 10:
        raise BadInput(f"a split needs at least 10 rows; got {n_rows}")
    codes = np.zeros(n_rows, np.int64) if y is None else np.unique(np.asarray(y), return_inverse=True)[1].ravel()
    if len(codes) != n_rows:
        raise BadInput(f"y must have one entry for each of the {n_rows} rows; got {len(codes)}")
    room = [max(1, round(share * n_rows)) for share in shares]
    room[0] = n_rows - room[1] - room[2]
    if room[0] < 1:
        raise BadInput(
            f"fractions {tuple(fractions)} leave no training row of {n_rows} rows; make the first one larger"
        )
    rng = np.random.default_rng(hashed(int(seed), "split"))
    part = np.full(n_rows, -1)
    for rows in _scarce(codes, min(shares), rng):
        if min(room) > 0:
            part[rows] = (0, 1, 2)
            room = [left - 1 for left in room]
    rest = np.flatnonzero(part < 0)
    part[rest[_spread(codes[rest], rng)]] = np.repeat((0, 1, 2), room)
    return Split(*(np.flatnonzero(part == which) for which in range(3)))


def _scarce(codes: NDArray[np.int64], share: float, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Three random rows of each class that is large enough for three parts and too small to be sure of them."""
    counts = np.bincount(codes)
    few = rng.permutation(np.flatnonzero((counts >= 3) & (counts < 2 / share)))
    return [rng.choice(np.flatnonzero(codes == code), 3, replace=False) for code in few]


def _spread(codes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An order of the rows, random within each class, in which every long stretch holds every class in proportion.

    The k-th row of a class with n rows is put at (k + u) / n, with one random u for each class (systematic sampling).
    """
    shuffled = rng.permutation(len(codes))
    grouped = shuffled[np.argsort(codes[shuffled], kind="stable")]
    counts = np.bincount(codes)
    first = np.concatenate([[0], np.cumsum(counts)])
    sorted_codes = codes[grouped]
    rank = np.arange(len(codes)) - first[sorted_codes]
    position = (rank + rng.random(len(counts))[sorted_codes]) / counts[sorted_codes]
    return grouped[np.argsort(position, kind="stable")]


def duplicates(train: NDArray[np.float32], held: NDArray[np.float32]) -> int:
    """How many held-out rows are copies of a training row, exact or up to rounding.

    A row is a copy if it lies ``NEARER`` times as near to one training row as to its ``OTHERS``-th nearest, seen in
    four random projections. Where rows fill d dimensions about ``4 NEARER**-d`` of them do so by chance, however dense
    they lie.

    Parameters
    ----------
    train, held : arrays (N, *D) and (M, *D)
        Scaled rows: their elements count alike.
    """
    from isthmus.data.overlaps import gaps

    known, asked = (x.reshape(len(x), -1) for x in (train, held))
    nearest, usual = gaps(asked, known, [1, min(OTHERS, len(known))]).T
    return int((NEARER * nearest <= usual + EQUAL).sum())
