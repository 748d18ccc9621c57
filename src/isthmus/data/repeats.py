"""Rows that stand in the data several times, and columns that say the same as another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWN = 20_000
"""Rows, taken evenly, by which columns are compared."""
WIDEST = 512
"""Columns of many values up to which each is compared with each other one."""
USUAL = 0.99
"""A column that holds its commonest value in so large a share of the rows says too little to be anybody's copy."""
ALIKE = 1e-7
"""What the squared correlation of two columns may lack of 1, for one to be a multiple of the other: float32 rounds."""
BLOCK = 1 << 22


class Twin(NamedTuple):
    """Two columns, of which each follows from the other."""

    first: str
    second: str
    how: Literal["equal", "renamed", "linear"]
    """``equal``, ``renamed`` (a value for a value) or ``linear`` (a multiple, shifted or not)."""


def copies(x: NDArray[Any]) -> int:
    """How many rows of (N, *D) are equal to one that stands before them; gaps in the same places are equal.

    Examples
    --------
    >>> copies(np.array([[1.0, np.nan], [2.0, 0.0], [1.0, np.nan], [1.0, np.nan]]))
    2
    """
    return len(x) - len(distinct(x))


def distinct(x: NDArray[Any]) -> NDArray[np.int64]:
    """Which rows of (N, *D) equal none that stands before them, in their order; gaps in the same places are equal.

    Examples
    --------
    >>> distinct(np.array([[2.0, np.nan], [1.0, 0.0], [2.0, np.nan], [3.0, 0.0]])).tolist()
    [0, 1, 3]
    """
    return np.sort(np.unique(_marks(x.reshape(len(x), -1)), return_index=True)[1])


def _marks(x: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for each row, (N, D) -> (N,): equal rows, equal numbers; two rows that differ share one by a chance of
    about 2^-64."""
    rng = np.random.default_rng(0)
    odd = rng.integers(1 << 62, size=(2, x.shape[1]), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    step = max(1, BLOCK // x.shape[1])
    return np.concatenate([_mixed(x[i : i + step], odd) for i in range(0, len(x), step)])


def _mixed(rows: NDArray[Any], odd: NDArray[np.uint64]) -> NDArray[np.uint64]:
    cells = np.ascontiguousarray(rows, np.float64) + 0.0  # -0.0 is 0.0
    cells[np.isnan(cells)] = np.nan  # one of the many that there are
    bits = cells.view(np.uint64)
    for factor in odd:  # the low bits of numbers are often 0, and a product carries upwards only
        bits = (bits ^ (bits >> np.uint64(29))) * factor
    mixed: NDArray[np.uint64] = (bits ^ (bits >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
    return mixed


def twins(x: NDArray[Any], columns: Sequence[str]) -> list[Twin]:
    """Columns of a table (N, D) that follow from an earlier one: each is named once, with the first that it follows.

    Of columns with fewer values than half the rows it is looked whether one value stands for one value; others are
    compared as they are, and by their correlation. Columns that are nearly constant are left out.

    Examples
    --------
    >>> a = np.random.default_rng(0).normal(size=60)
    >>> rows = np.column_stack([a, np.arange(60) % 3, 32 + 1.8 * a, 2 - np.arange(60) % 3])
    >>> [(twin.second, twin.how) for twin in twins(rows, ["celsius", "size", "fahrenheit", "rank"])]
    [('fahrenheit', 'linear'), ('rank', 'renamed')]
    """
    rows = np.asarray(x[:: max(1, len(x) // DRAWN)], np.float64) + 0.0
    found: list[Twin] = []
    known: dict[bytes, int] = {}
    many: list[int] = []
    for j in range(rows.shape[1]):
        _, first, which, counts = np.unique(
            rows[:, j], return_index=True, return_inverse=True, return_counts=True, equal_nan=True
        )
        if counts.max() >= USUAL * len(rows):
            continue
        order = np.empty(len(first), np.int64)
        order[np.argsort(first)] = np.arange(len(first))
        few = 2 * len(first) <= len(rows)
        told = order[which.ravel()].tobytes() if few else rows[:, j].tobytes()
        if (i := known.setdefault(told, j)) != j:
            equal = np.array_equal(rows[:, i], rows[:, j], equal_nan=True)
            found.append(Twin(columns[i], columns[j], "equal" if equal else "renamed"))
        elif not few and not np.isnan(rows[:, j]).any():
            many.append(j)
    found += [Twin(columns[i], columns[j], "linear") for i, j in _multiples(rows, many)]
    return sorted(found, key=lambda twin: columns.index(twin.second))


def _multiples(rows: NDArray[np.float64], many: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of columns, each later one with the first that it is a multiple of."""
    if not 2 <= len(many) <= WIDEST:
        return []
    some = rows[:, many] - np.median(rows[:, many], axis=0)
    size = np.abs(some).max(axis=0)
    some = some / np.where(size > 0, size, 1.0)
    some -= some.mean(axis=0)
    norms = np.sqrt((some**2).sum(axis=0))
    some /= np.where(norms > 0, norms, 1.0)
    alike = 1 - (some.T @ some) ** 2 < ALIKE
    pairs = [(int(np.argmax(alike[:j, j])), j) for j in range(1, len(many)) if alike[:j, j].any()]
    return [(many[i], many[j]) for i, j in pairs]
