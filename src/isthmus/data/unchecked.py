"""What a format gives before values are checked: arrays, and the words for a place in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from isthmus.data.fields import Field
from isthmus.data.picture import Canvas
from isthmus.data.wording import shown
from isthmus.errors import BadInput

LEAST_ROWS = 10
"""Fewer rows can't be split into training, validation and test rows."""

LONGEST_NAME = 1000
"""Most characters of the name of a column or a class."""
WIDEST = 1_000_000
"""Most numbers in a row: each has a name of its own, and no network here takes more."""


class Unchecked(NamedTuple):
    """Rows as they stand in the source."""

    place: str
    """Head of every message: the file as given, or ``X``."""
    x: Any
    """Real numbers or booleans (N, *D); of a table that is not settled yet, nothing (N, 0). Of a sparse matrix
    :class:`isthmus.data.sparse.SparseRows`."""
    y: Any
    """One label for each row, of any type, or None."""
    columns: tuple[str, ...]
    """prod(D) names."""
    where: Callable[[int, int | None], str]
    """Words for row i (counted from 0) and element j of it: ``line 4, column 'age'``."""
    classes: tuple[str, ...] = ()
    """Names of the codes in ``y``, where the source brings codes and names; else they are made from ``y``."""
    factors: Any = None
    """What made each row, numbers (N, F), or None."""
    factor_names: tuple[str, ...] = ()
    """F names, where the source brings them."""
    told: tuple[str, ...] = ()
    """What was inferred to read the source, a sentence each."""
    images: bool | None = None
    """Whether rows are images, where the source says so."""
    cells: tuple[Any, ...] | None = None
    """The columns of a table as Arrow arrays, until it is known of what kind they are (:mod:`isthmus.data.kinds`)."""
    fields: tuple[Field, ...] = ()
    """What the columns of ``x`` are; none where all are numbers without gaps."""
    stated: Mapping[str, str] = MappingProxyType({})
    """The kinds of columns of which the source itself says that they are categories, or ordered ones."""
    trained: bool = False
    """Whether a model says what the columns are, so that nobody can ask for other kinds of them."""
    aside: Mapping[str, str] = MappingProxyType({})
    """Columns that cannot be learnt from, with the reason, to stand behind the name and "it"."""
    habits: Mapping[str, str] = MappingProxyType({})
    """How columns are written, where that is known and could be otherwise: see :attr:`Field.habit`."""
    lists: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Columns of lists, and the columns as which each is read; what is asked of the one is asked of all of these."""
    beside: Mapping[str, Callable[[], Any]] = MappingProxyType({})
    """Columns that are no part of the rows, by name; each is read, as an Arrow array, when it is asked for."""
    canvas: Canvas | None = None
    """What encoded pictures were drawn on."""
    network: str | None = None
    """SHA-256 of the graph whose features of pictures the rows are, or of the language model whose embeddings of texts
    they hold."""


def enough(place: str, rows: int, elements: int) -> None:
    """Refuse data without rows or columns, and rows so wide that nothing is learnt from them here."""
    if elements < 1:
        raise BadInput(f"{place}: no columns to learn from (besides the label); at least 1 is needed")
    if elements > WIDEST:
        raise BadInput(
            f"{place}: {elements:,} numbers in a row; the limit is {WIDEST:,}; give fewer columns, or smaller pictures"
        )
    if rows < LEAST_ROWS:
        count = {0: "no rows", 1: "only 1 row"}.get(rows, f"only {rows} rows")
        raise BadInput(
            f"{place}: {count}; at least {LEAST_ROWS} are needed for training, validation and test; give more rows"
        )


def row_words(columns: tuple[str, ...], row: Callable[[int], str]) -> Callable[[int, int | None], str]:
    """Words for a place: those of the row, and the column's name where an element is meant."""

    def where(i: int, j: int | None) -> str:
        return row(i) if j is None else f"{row(i)}, column {shown(columns[j])}"

    return where


def array_words(shape: tuple[int, ...], columns: tuple[str, ...], name: str) -> Callable[[int, int | None], str]:
    """Words for a place in an array: the row counted from 1, the column's name, and the index to type."""

    def where(i: int, j: int | None) -> str:
        if j is None:
            return f"row {i + 1} (index {i})"
        index = ", ".join(str(k) for k in (i, *np.stack(np.unravel_index(j, shape)).tolist()))
        return f"row {i + 1}, column {shown(columns[j])} ({name}[{index}])"

    return where
