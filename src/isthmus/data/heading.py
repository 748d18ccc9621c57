"""Whether the first line of a text table names its columns, or is a row as those below it are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from isthmus.data.numbers import spelled
from isthmus.data.written import MISSING

RISING = 8
"""So many numbers, each larger than the one before, may be names: wavelengths, years."""
FEWEST = 3
"""Rows below the first line that tell what is usual in a column."""
COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")


def row(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool | None:
    """Whether the first line of a table is a row; None where it may be either.

    Names are words, or numbers that count up; a row holds numbers where the rows below it do, within their range or
    near it, and words that stand below it too.

    Parameters
    ----------
    names : sequence of str
        The cells of the first line.
    rows : sequence of sequence of str
        Those of some lines below it.

    Examples
    --------
    >>> row(["5.1", "setosa"], [["4.9", "setosa"], ["6.0", "virginica"], ["5.2", "setosa"]])
    True
    >>> row(["length", "kind"], [["4.9", "setosa"], ["6.0", "virginica"], ["5.2", "setosa"]])
    False
    """
    values = [_number(name) for name in names]
    there = [value for value in values if value is not None]
    rows = [[cell.strip() for cell in one] for one in rows if len(one) == len(names)]
    if not there:
        return _repeated(names, rows)
    alone = len(there) == 1 < sum(map(bool, names))
    if not alone and there[0] in (0, 1) and all(b - a == 1 for a, b in pairwise(there)):
        return False  # columns that are numbered
    near, beyond, worded = _near(names, values, rows)
    rising = len(there) >= RISING and all(b > a for a, b in pairwise(there))
    if rising:
        return beyond == worded == 0 < near
    mostly = numbered(names)
    recurs = any(name == one[j] for one in rows for j, name in enumerate(names) if values[j] is None)
    if near > 0 and near >= beyond and not worded:
        return True
    if mostly and not rows:
        return True
    return None if mostly or recurs else False


def numbered(names: Sequence[str]) -> bool:
    """Whether most cells of a line are numbers.

    Examples
    --------
    >>> numbered(["0", "1", "kind"]), numbered(["0", "kind"])
    (True, False)
    """
    return 2 * sum(_number(name) is not None for name in names) > len(names)


def _near(names: Sequence[str], values: Sequence[float | None], rows: Sequence[Sequence[str]]) -> tuple[int, int, int]:
    """In how many columns of numbers the first line has a number as near to the others as they are, in how many one
    that is not, and in how many a word."""
    near = beyond = worded = 0
    for j, (name, value) in enumerate(zip(names, values, strict=True)):
        below = [one[j] for one in rows if one[j] not in MISSING]
        found = [number for cell in below if (number := _number(cell)) is not None]
        if len(found) < max(FEWEST, len(below)) or name in MISSING:
            continue
        low, high = min(found), max(found)
        within = value is not None and low - (high - low) <= value <= high + (high - low)
        near, worded = near + within, worded + (value is None)
        beyond += value is not None and not within
    return near, beyond, worded


def _repeated(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each of some words stands in its column below, not only where the whole line stands again."""
    others = [one for one in rows if one != list(names)]
    return len(others) >= FEWEST and all(any(name == one[j] for one in others) for j, name in enumerate(names))


def decimals(cells: Sequence[str]) -> bool:
    """Whether commas stand within numbers only, as decimal ones."""
    commas = [cell for cell in cells if "," in cell]
    return bool(commas) and all(COMMA.fullmatch(cell) for cell in commas)


def _number(cell: str) -> float | None:
    """The number that a cell spells, maybe with a decimal comma."""
    return spelled(cell.replace(",", ".") if COMMA.fullmatch(cell) else cell)
