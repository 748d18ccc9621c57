"""Seeded training, validation and test rows, and the rows that stand on both sides.

Rows are independent (:func:`split`), belong together in groups (:func:`grouped`), or follow each other in time
(:func:`ordered`).
"""

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
FRACTIONS = (0.6, 0.2, 0.2)
LEAST_GROUPS = 3
"""Groups, or points in time, without which three parts cannot be told apart."""
DRAWN = 16
"""Random orders of the groups, of which the one is taken whose parts come nearest to what they should hold: enough to
avoid a bad one, few enough that replicates differ."""


class Split(NamedTuple):
    """Sorted row numbers of the three parts; together every row once."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split(n_rows: int, seed: int, *, y: ArrayLike | None = None, fractions: Sequence[float] = FRACTIONS) -> Split:
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
    shares, codes = _asked(n_rows, y, fractions)
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


def grouped(
    groups: ArrayLike, seed: int, *, y: ArrayLike | None = None, fractions: Sequence[float] = FRACTIONS
) -> Split:
    """Draw the three parts so that no group of rows stands in two of them.

    Groups come in a random order in which those of one commonest class are spread evenly, and the order is cut where
    the parts come nearest to their sizes. Of ``DRAWN`` such orders the one is taken whose parts hold rows and classes
    most nearly in proportion; a class that is missing in a part, though it has groups enough, counts most.

    Parameters
    ----------
    groups : array (n_rows,)
        Whole numbers: rows of one group have the same.
    seed, y, fractions
        As in :func:`split`. Sizes are as near to the fractions as whole groups allow.

    Raises
    ------
    BadInput
        If there are fewer than three groups.

    Examples
    --------
    >>> parts = grouped(np.repeat([7, 8, 9], [6, 2, 2]), seed=0)
    >>> [len(part) for part in parts]
    [6, 2, 2]
    """
    of = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    shares, codes = _asked(len(of), y, fractions)
    count = int(of.max()) + 1
    if count < LEAST_GROUPS:
        raise BadInput(
            f"{count} group{'s' * (count > 1)} cannot stand in three parts without being divided; give data with at "
            f"least {LEAST_GROUPS} groups, better 10 or more, or leave the groups out"
        )
    held = np.zeros((count, int(codes.max()) + 1), np.int64)
    np.add.at(held, (of, codes), 1)
    rng = np.random.default_rng(hashed(int(seed), "groups"))
    drawn = [_homes(held, shares, rng) for _ in range(DRAWN)]
    part = min(drawn, key=lambda home: _uneven(held, home, shares))[of]
    return Split(*(np.flatnonzero(part == which) for which in range(3)))


def _homes(held: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of each group, (G,), in one random order of the groups; ``held`` (G, C) is the rows of each class."""
    order = _spread(held.argmax(axis=1), rng)
    ends = np.concatenate([[0], np.cumsum(held[order].sum(axis=1))])
    first, second = (int(np.abs(ends - ends[-1] * share).argmin()) for share in (shares[0], shares[0] + shares[1]))
    first = min(max(first, 1), len(order) - 2)
    second = min(max(second, first + 1), len(order) - 1)
    part = np.zeros(len(order), np.int64)
    part[order[first:second]], part[order[second:]] = 1, 2
    return part


def _uneven(held: NDArray[np.int64], home: NDArray[np.int64], shares: Sequence[float]) -> float:
    """How far the parts are from what they should hold: shares of rows and of each class, and classes that miss one."""
    found = np.stack([held[home == which].sum(axis=0) for which in range(3)])
    sizes = np.abs(found.sum(axis=1) / held.sum() - shares).sum()
    classes = np.abs(found / held.sum(axis=0) - np.asarray(shares)[:, None]).sum() / held.shape[1]
    enough = np.minimum((held > 0).sum(axis=0), 3)  # in so many parts a class can stand; test and training come first
    missed = np.stack([found[2] == 0, found[0] == 0, found[1] == 0]) & (enough > np.arange(3)[:, None])
    return float(sizes + classes + missed.sum())


def ordered(time: ArrayLike, origin: int = 0, *, fractions: Sequence[float] = FRACTIONS) -> Split:
    """Training rows from the past, validation rows from what follows, test rows from after that.

    The first origin sees all rows. Every further one ends earlier, between the middle and the end of the rows (van der
    Corput's sequence, so that however many there are they lie evenly), and leaves later rows out: a forecast made at
    another time. Rows of one time are never divided.

    Parameters
    ----------
    time : array (n_rows,)
        Numbers, in any order.
    origin : int, default 0
        Which forecast.
    fractions
        As in :func:`split`, of the rows up to the end of the origin.

    Raises
    ------
    BadInput
        If there are fewer than 10 rows or three times.

    Examples
    --------
    >>> [part.tolist() for part in ordered(np.arange(10)[::-1])]
    [[4, 5, 6, 7, 8, 9], [2, 3], [0, 1]]
    >>> [len(part) for part in ordered(np.arange(100), 1)]
    [45, 15, 15]
    """
    when = np.unique(np.asarray(time), return_inverse=True)[1].ravel()
    shares, _ = _asked(len(when), None, fractions)
    ends = np.cumsum(np.bincount(when))  # rows up to each time
    if len(ends) < LEAST_GROUPS:
        raise BadInput(
            f"{len(ends)} point{'s' * (len(ends) > 1)} in time cannot be past, present and future; give a column with "
            f"at least {LEAST_GROUPS} different times"
        )
    last = len(when) * (1 - corput(origin) / 2)
    stop = max(int(np.abs(ends - last).argmin()), LEAST_GROUPS - 1)
    whole = ends[stop]
    first, second = (int(np.abs(ends - whole * share).argmin()) for share in (shares[0], shares[0] + shares[1]))
    first = min(first, stop - 2)
    second = min(max(second, first + 1), stop - 1)
    part = np.digitize(when, (first + 0.5, second + 0.5, stop + 0.5))
    return Split(*(np.flatnonzero(part == which) for which in range(3)))


def corput(number: int) -> float:
    """The binary digits of a number behind the point, in reverse (van der Corput 1935).

    Examples
    --------
    >>> [corput(k) for k in range(5)]
    [0.0, 0.5, 0.25, 0.75, 0.125]
    """
    digits = f"{number:b}"[::-1]
    return int(digits, 2) / 2 ** len(digits)


def _asked(n_rows: int, y: ArrayLike | None, fractions: Sequence[float]) -> tuple[list[float], NDArray[np.int64]]:
    """Shares of the parts and class codes, checked."""
    shares = [float(share) for share in fractions]
    if len(shares) != 3 or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise BadInput(f"fractions must be three positive shares that sum to 1; got {tuple(fractions)}")
    if n_rows < 10:
        raise BadInput(f"a split needs at least 10 rows; got {n_rows}")
    codes = np.zeros(n_rows, np.int64) if y is None else np.unique(np.asarray(y), return_inverse=True)[1].ravel()
    if len(codes) != n_rows:
        raise BadInput(f"y must have one entry for each of the {n_rows} rows; got {len(codes)}")
    return shares, codes


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
