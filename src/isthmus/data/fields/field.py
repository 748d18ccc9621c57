"""What is known of one column of a table, and what a kind of column must be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float64]
"""(N,), one number for each row; NaN is a gap. What the number means is its kind's affair."""
Documents = NDArray[np.object_]
"""(N,), one text for each row; NaN is a gap."""


MEASURED = ("number", "amount", "count", "flag")
"""Kinds of columns whose cells are the numbers that they look like."""
DECIMAL_MARKS, ORDERS = (",", "."), ("day", "month")
HABITS = ("", *DECIMAL_MARKS, *ORDERS)
"""What may be remembered of how a column was written: its decimal mark, or which of day and month comes first."""


def missing(cells: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells, of numbers or of numbers and texts, are gaps.

    Examples
    --------
    >>> missing(np.array([1.0, np.nan])), missing(np.array(["a text", np.nan], dtype=object))
    (array([False,  True]), array([False,  True]))
    """
    return np.asarray(cells != cells, bool)  # noqa: PLR0124


@dataclass(frozen=True)
class Field:
    """A column of a table.

    Examples
    --------
    >>> Field("city", "category", ("Bergen", "Oslo")).values[1]
    'Oslo'
    """

    name: str
    kind: str
    """One of :data:`isthmus.data.fields.KINDS`."""
    values: tuple[str, ...] = ()
    """The texts that a cell may hold, where it holds texts: cell k means ``values[k]``, and -1 a text besides them."""
    gaps: bool = False
    """Whether cells may be missing."""
    missing: tuple[float, ...] = ()
    """Numbers that stand for a missing one."""
    terms: int = 0
    """Of free text: most terms that are kept; 0 leaves that to the number of training rows."""
    habit: str = ""
    """How texts such as ``1.234`` or ``03/04/2021`` were meant in training: one of :data:`HABITS`; empty where nothing
    told it, or nothing can be meant in two ways."""

    def with_gaps(self, gaps: bool) -> Field:
        """The same column, with gaps or without."""
        return replace(self, gaps=gaps)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        lists = {"values": list(self.values), "missing": list(self.missing)}
        asked = {"terms": self.terms} if self.terms else {}
        habit = {"habit": self.habit} if self.habit else {}
        return {"name": self.name, "kind": self.kind, "gaps": self.gaps, **lists, **asked, **habit}


def agreed(habits: Iterable[str]) -> str:
    """The one decimal mark among habits; empty where there is none, or both are.

    Examples
    --------
    >>> agreed([",", "day", ""]), agreed([",", "."])
    (',', '')
    """
    found = {*habits} & {*DECIMAL_MARKS}
    return found.pop() if len(found) == 1 else ""


class Column(Protocol):
    """A column as its kind lays it out: cells to numbers that a network takes, and back. Fitted on training rows.

    Whatever the kind, what comes out has mean 0 and, over all its elements together, variance 1 on the training rows:
    so every column weighs the same, however many elements it takes. Free text alone weighs more (:mod:`.text`).
    """

    kind: ClassVar[str]
    outcome: ClassVar[str]
    """What a cell is an outcome of: ``number``, ``count``, ``bit``, ``choice`` or ``order``, which decides its
    likelihood."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the training rows: for a bit that of 1, for a choice those of its values, for an order those of its steps;
        empty for a number."""

    @property
    def scale(self) -> float:
        """What was divided by after shares, or a mean, were subtracted."""

    @property
    def width(self) -> int:
        """Elements that a cell takes."""

    @classmethod
    def fit(cls, cells: NDArray[Any], field: Field) -> Self:
        """Learn from the cells of training rows, of which at least one may be there."""

    def encode(self, cells: NDArray[Any]) -> NDArray[np.float64]:
        """(N,) -> (N, width); the row of a gap is not looked at."""

    def decode(self, x: NDArray[np.float64]) -> NDArray[Any]:
        """(N, width) -> (N,): the likeliest cell."""

    def names(self, field: Field) -> list[str]:
        """One for each element, to be read by people."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The same column from plain data, which may come from anywhere: refused with BadInput if it makes no sense."""
