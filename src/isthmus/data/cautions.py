"""What stands in the numbers of a table and is no measurement: numbers of the rows, and numbers that mean "missing"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dates import written
from isthmus.data.repeats import distinct
from isthmus.data.wording import number_of, shown, some

CHANCE = 7
"""A column of whole numbers numbers the rows if all are distinct where chance would make so many pairs equal: chance
leaves no pair equal in one of exp(7), about a thousand, columns."""
OFTEN = 0.005
"""Least share of the rows in which a sentinel stands."""
LEAST, LEVELS = 3, 6
"""Least number of rows with a sentinel, and of different values besides it."""
FEWEST = 3
"""Fewest columns of a table whose last row may be a note below it."""
ADDENDS, DAYS = 5, 12
"""Fewest numbers of a sum, and fewest different days, that are no chance."""
BLOCK = 1 << 22
HEAD = 2000
"""Rows, taken evenly, by which a column is looked at before all are."""
NEARLY = 0.97
"""A column that tells so large a share of the labels alone may be made from them."""
BESIDE, JUDGED, ASKED, CELLS = 4, 40, 2000, 2_000_000
"""Rows beside a row, in the order of a column, that vote on its class; fewest and most rows that are judged by, and
most cells."""

GROUPS, LARGE, RECOGNISED, TIMES = 10, 50, 0.5, 5
"""Groups at least, rows in one at most on average, and the share of rows whose nearest one must be of the same group:
half of them, and so many times what chance makes."""


def identifiers(x: NDArray[Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table (N, D) that number its rows: in order, shuffled, in equal steps, or with some rows left out.

    Examples
    --------
    >>> rows = np.column_stack([np.random.default_rng(0).permutation(40), np.arange(40) % 7])
    >>> identifiers(rows, ["id", "day"])
    ('id',)
    """
    return tuple(name for j, name in enumerate(columns) if _numbers_rows(x[:, j]))


def _numbers_rows(column: NDArray[Any]) -> bool:
    column = column[~np.isnan(column)] if column.dtype.kind == "f" else column
    n = len(column)
    steps = np.diff(column[:2].astype(np.float64))
    if n < 3 or not steps[0] or not np.array_equal(column[:1000], np.rint(column[:1000])):
        return False
    values = np.sort(column.astype(np.float64))
    gaps = np.diff(values)
    if gaps.min() <= 0 or not np.array_equal(values, np.rint(values)) or values[-1] - values[0] >= 2**53:
        return False
    unit = int(np.gcd.reduce(gaps.astype(np.int64)))
    room = (values[-1] - values[0]) / unit + 1
    return bool(room == n or n * n / (2 * room) > CHANCE)


def sentinels(x: NDArray[Any], columns: Sequence[str]) -> dict[float, list[str]]:
    """Values that may stand for a missing one, with the columns of a table (N, D) in which they do.

    Such a value is a whole number other than 0, the least or the greatest of a column and its commonest one, and lies
    further from all others than they lie from each other. Where it does so in one column, it is looked for in the
    others: there it need only be the commonest, and outside.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(50, 2))
    >>> rows[:5, 1] = -200
    >>> sentinels(rows, ["a", "b"])
    {-200.0: ['b']}
    """
    found: dict[float, list[str]] = {}
    outside = {j: _outside(x[:, j]) for j in np.flatnonzero(_repeated_ends(x)).tolist()}
    for value in sorted({value for ends in outside.values() for value, far in ends.items() if far}):
        found[value] = [columns[j] for j, ends in outside.items() if value in ends]
    return found


def copies(x: NDArray[Any], y: NDArray[np.int64], columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table (N, D) each of whose values stands beside one class only, where chance would hardly do so.

    Were the classes ``y`` (N,) drawn anew for each row, the m rows of a value would all be of one class with
    probability sum_c p_c^m; a column is named if the product over its values is below that of :data:`CHANCE`.

    Examples
    --------
    >>> y = np.arange(40) % 2
    >>> copies(np.column_stack([10 - y, np.arange(40) % 3]), y, ["twin", "other"])
    ('twin',)
    """
    if len(y) * -np.log(np.bincount(y).max() / len(y)) <= CHANCE:
        return ()  # so few rows, or so few of other classes, that chance may make any column so
    step = max(1, len(x) // HEAD)
    return tuple(
        name for j, name in enumerate(columns) if _tells(x[::step, j], y[::step]) and (step == 1 or _tells(x[:, j], y))
    )


def _tells(column: NDArray[Any], y: NDArray[np.int64]) -> bool:
    values, which, rows = np.unique(column, return_inverse=True, return_counts=True, equal_nan=True)
    if len(values) * 2 > len(column):
        return False
    first = np.zeros(len(values), np.int64)
    first[which] = y  # of each value, the class of one of its rows
    if (first[which] != y).any():
        return False
    shares = np.bincount(y) / len(y)
    shares = shares[shares > 0]
    logs = rows[:, None] * np.log(shares)
    return bool(-np.logaddexp.reduce(logs, axis=1).sum() > CHANCE)


def leaks(x: NDArray[Any], y: NDArray[np.int64], columns: Sequence[str]) -> dict[str, float]:
    """Columns of a table (N, D) that alone tell the class of nearly every row, with the share of rows that they tell.

    Copies of the label tell all. Of any other column, rows are drawn (:data:`ASKED` at most) and put into the order of
    its cells, equal ones in random order and gaps at the end: a row is told if three of the four rows beside it, which
    it is not one of, are of its class. The share is the mean of the shares of the classes, so that naming the
    commonest class tells nothing; a column is named from :data:`NEARLY` on. Classes of fewer than five rows are left
    out, and fewer rows than :data:`JUDGED` are not judged.

    A row that stands there several times has its class each time, whatever a column has to do with it: where enough
    rows differ, columns are judged by these.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(300) % 3
    >>> found = leaks(np.column_stack([y + 0.01 * rng.normal(size=300), rng.normal(size=300)]), y, ["twin", "other"])
    >>> list(found), found["twin"] > 0.97
    (['twin'], True)
    """
    found = _telling(x, y, columns)
    rows = distinct(np.column_stack([x, y])) if found else np.arange(len(y))
    return _telling(x[rows], y[rows], columns) if JUDGED <= len(rows) < len(y) else found


def _telling(x: NDArray[Any], y: NDArray[np.int64], columns: Sequence[str]) -> dict[str, float]:
    """The same, each row being a piece of evidence of its own."""
    found = dict.fromkeys(copies(x, y, columns), 1.0)
    some = np.random.default_rng(0).permutation(len(y))[: max(JUDGED, min(ASKED, CELLS // max(1, x.shape[1])))]
    counts = np.bincount(y[some])
    some = some[counts[y[some]] >= BESIDE + 1]
    if len(some) < JUDGED or len(np.unique(y[some])) < 2:
        return found
    codes = y[some]
    order = np.argsort(x[some], axis=0)
    beside = codes[order]  # (n, D): the classes in the order of each column
    first = np.clip(np.arange(len(some)) - BESIDE // 2, 0, len(some) - BESIDE - 1)
    like = sum((beside[first + k] == beside).astype(np.int64) for k in range(BESIDE + 1)) - 1
    shares = [((like >= BESIDE - 1) & (beside == c)).sum(axis=0) / (codes == c).sum() for c in np.unique(codes)]
    told = np.mean(shares, axis=0)
    near = {columns[j]: float(told[j]) for j in np.flatnonzero(told >= NEARLY).tolist()}
    return near | found


def belonging(codes: NDArray[Any], others: NDArray[Any]) -> tuple[float, float] | None:
    """Whether rows that share a value of a column belong together, as visits of one patient do: two other columns or
    more hardly vary among them (an intraclass correlation of a half: Shrout and Fleiss 1979), and in those the nearest
    other row has the same value far more often than by chance.

    Of many rows whole groups are drawn, :data:`ASKED` rows about.

    Parameters
    ----------
    codes : array (N,)
        The value of each row as a number; negative or NaN where there is none.
    others : array (N, E)
        Other columns, numbers without gaps.

    Returns
    -------
    (float, float) or None
        The share of rows whose nearest one is of the same group, and what chance would make of it. None where the
        column names no groups (:data:`GROUPS` at least, of :data:`LARGE` rows at most on average, half of them of two
        or more), or that share is below :data:`RECOGNISED`, or not :data:`TIMES` that of chance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> patient = np.arange(200) // 4
    >>> belonging(patient, rng.normal(size=(50, 3))[patient] + 0.1 * rng.normal(size=(200, 3)))[0] > 0.9
    True
    >>> belonging(patient, rng.normal(size=(200, 3)))
    """
    known = np.flatnonzero(codes >= 0)
    values, which, counts = np.unique(codes[known], return_inverse=True, return_counts=True)
    if not GROUPS <= len(values) <= len(known) / 2 or len(known) > LARGE * len(values) or np.mean(counts > 1) < 0.5:
        return None
    turn = np.random.default_rng(0).permutation(len(values))
    drawn = turn[: max(GROUPS, np.searchsorted(np.cumsum(counts[turn]), ASKED) + 1)]
    some = np.isin(which, drawn)
    own, sizes = np.unique(which[some], return_inverse=True, return_counts=True)[1:]
    rows = others[known[some]].astype(np.float64)
    within = _within(rows, own, sizes)
    if (within >= RECOGNISED).sum() < 2:
        return None
    from sklearn.neighbors import NearestNeighbors

    rows = rows[:, within >= RECOGNISED]
    rows = rows / rows.std(axis=0)
    chance = float((sizes * (sizes - 1.0)).sum() / (len(own) * (len(own) - 1.0)))
    beside = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(rows).kneighbors(rows)[1]
    other = np.where(beside[:, 0] == np.arange(len(rows)), beside[:, 1], beside[:, 0])
    share = float((own[other] == own).mean())
    return (share, chance) if share >= max(RECOGNISED, TIMES * chance) else None


def _within(rows: NDArray[np.float64], own: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Intraclass correlation of each column (E,), of one-way groups of any sizes; 0 where a column does not vary."""
    n, k = len(rows), len(sizes)
    rows = rows - rows.mean(axis=0)
    means = np.stack([np.bincount(own, column, k) for column in rows.T], axis=1) / sizes[:, None]
    between = (sizes[:, None] * means**2).sum(axis=0)
    left = ((rows - means[own]) ** 2).sum(axis=0) / (n - k)
    usual = (n - (sizes**2).sum() / n) / (k - 1)
    apart = (between / (k - 1) - left) / usual
    whole = apart + left
    found: NDArray[np.float64] = np.where(whole > 0, apart / np.where(whole > 0, whole, 1.0), 0.0)
    return found


def telling(x: NDArray[Any], y: NDArray[np.int64] | None, columns: Sequence[str]) -> list[str]:
    """Columns that tell the label in words, a line each."""
    return [
        f"column {shown(name)} tells the label of {'every row' if share == 1 else f'{share:.1%} of the rows'}; leave "
        f"it out if it is a copy of it, or made from it (--drop {shown(name)})"
        for name, share in (leaks(x, y, columns) if y is not None else {}).items()
    ]


def sentences(x: NDArray[Any], columns: Sequence[str]) -> list[str]:
    """Numbers of rows and sentinels in words, a line each."""
    told = [
        f"column {shown(name)} only numbers the rows, and models learn from it; leave it out (--drop) if it is an id"
        for name in identifiers(x, columns)
    ]
    for value, names in sentinels(x, columns).items():
        told.append(
            f"{value:.9g} is the commonest value of {_of(names)} and far from the rest; if it means a missing value, "
            f"say so (--missing {value:.9g})"
        )
    for name in dates_in_numbers(x, columns):
        told.append(
            f"column {shown(name)} holds dates that are written as whole numbers, and is learnt as numbers; write them "
            "as 2024-01-31 to have them read as dates"
        )
    if count := total(x):
        told.append(
            f"the last row is the sum of all others in {number_of(count, 'column')}; take it away if it is a total"
        )
    return told


def total(x: NDArray[Any]) -> int:
    """In how many columns of a table (N, D) the last row is the sum of those above it; 0 where that may be chance.

    It is none where it is so in at least half of the columns that are not all 0, each sum being of :data:`ADDENDS`
    numbers or more, and larger than all of them in one column.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(40, 3)) ** 2
    >>> total(rows), total(np.vstack([rows, rows.sum(axis=0)]))
    (0, 3)
    """
    low, high = np.fmin.reduce(x[:-1], axis=0), np.fmax.reduce(x[:-1], axis=0)
    far = (x[-1] > np.maximum(high, 0)) | (x[-1] < np.minimum(low, 0))
    if not far.any() or not _summed(x[:, far]).any():
        return 0
    count = int(_summed(x).sum())
    return count if 2 * count >= ((low != 0) | (high != 0)).sum() else 0


def _summed(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Columns (D,) whose last number is the sum of those above it, up to rounding."""
    above, last = x[:-1].astype(np.float64), x[-1].astype(np.float64)
    enough = np.count_nonzero(np.nan_to_num(above), axis=0) >= ADDENDS
    near = np.abs(np.nansum(above, axis=0) - last) <= 1e-6 * np.nansum(np.abs(above), axis=0)
    found: NDArray[np.bool_] = enough & near & (last != 0)
    return found


def note(x: NDArray[Any], words: Sequence[int]) -> int | None:
    """The column of ``words`` that alone has a value in the last row of a table (N, D), and one that stands nowhere
    else, as a note below the rows has; None if there is none.

    Examples
    --------
    >>> rows = np.column_stack([np.arange(30) % 3.0, np.ones((30, 2))])
    >>> note(rows, [0]), note(np.vstack([rows, [3.0, np.nan, np.nan]]), [0])
    (None, 0)
    """
    there = np.flatnonzero(~np.isnan(x[-1]))
    if x.shape[1] < FEWEST or len(there) != 1 or there[0] not in words:
        return None
    own = x[:, there[0]] == x[-1, there[0]]
    alone = np.isnan(x[:-1]).sum(axis=1).max() < x.shape[1] - 1  # no other row is so empty
    return int(there[0]) if own.sum() == 1 and alone else None


def dates_in_numbers(x: NDArray[Any], columns: Sequence[str]) -> list[str]:
    """Columns of whole numbers that all spell days of 1900 to 2099, as 20240131 does, :data:`DAYS` different ones.

    Examples
    --------
    >>> dates_in_numbers(20240101 + np.arange(25).reshape(25, 1), ["day"])
    ['day']
    """
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    found = []
    for j in np.flatnonzero((low >= 19000101) & (high <= 20991232)).tolist():
        there = np.unique(x[~np.isnan(x[:, j]), j].astype(np.float64))
        # 32-bit floats hold each second whole number only, so that the last day may be one too high.
        month, day = there // 100 % 100, there % 100
        good = (there == np.rint(there)) & (month >= 1) & (month <= 12) & (day <= 32)
        found += [columns[j]] * bool(len(there) >= DAYS and good.all())
    return found


def far_days(x: NDArray[np.float64], columns: Sequence[str]) -> dict[float, list[str]]:
    """Days that may stand for a missing one among dates (N, D), all in seconds since 1970, as :func:`sentinels` does.

    Examples
    --------
    >>> days = 1.6e9 + 86400.0 * np.arange(40)
    >>> days[::8] = 0.0
    >>> far_days(days[:, None], ["born"])
    {0.0: ['born']}
    """
    return {second - 1: names for second, names in sentinels(x + 1, columns).items()}  # so that 1970-01-01 is no 0


def of_dates(x: NDArray[np.float64], columns: Sequence[str]) -> list[str]:
    """The same in words, a line each."""
    return [
        f"{written(second)} is the commonest value of {_of(names)} and far from the rest; if it means a missing "
        "value, leave these cells empty"
        for second, names in far_days(x, columns).items()
    ]


def _of(names: Sequence[str]) -> str:
    return f"{len(names)} columns ({some(names, 5)})" if len(names) > 1 else f"column {shown(names[0])}"


def _repeated_ends(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Columns whose least or greatest value stands in enough rows."""
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    counts = np.zeros((2, x.shape[1]), np.int64)
    step = max(1, BLOCK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        counts += (block == low).sum(axis=0), (block == high).sum(axis=0)
    enough: NDArray[np.bool_] = (counts.max(axis=0) >= max(LEAST, OFTEN * len(x))) & (low < high)
    return enough


def _outside(column: NDArray[Any]) -> dict[float, bool]:
    """Ends of a column that are its commonest values and lie apart, and whether further than all others lie apart."""
    values, counts = np.unique(column[~np.isnan(column)].astype(np.float64), return_counts=True)
    often = counts >= max(LEAST, OFTEN * len(column))
    first, last = int(often[0]), len(values) - int(often[-1])
    rest = values[first:last]
    if len(rest) < LEVELS:
        return {}
    width, most = rest[-1] - rest[0], counts[first:last].max()
    gaps = {0: rest[0] - values[0], len(values) - 1: values[-1] - rest[-1]}
    return {
        float(values[k]): bool(gap > width)
        for k, gap in gaps.items()
        if often[k] and values[k] != 0 and values[k] == np.rint(values[k]) and counts[k] > most and 10 * gap > width
    }
