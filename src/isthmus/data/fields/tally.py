"""What is told of the cells of one column that come some at a time: enough to lay the column out as all at once would.

Two sets of cells are put together by the formulas of Chan and Pébay, which lose nothing where a column lies far from 0
(Pébay 2008, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Cells, Column, Field


class Line(NamedTuple):
    """Moments and ends of some numbers; ``+`` puts two sets together.

    Examples
    --------
    >>> both = Line.of(np.array([1.0, 2.0])) + Line.of(np.array([6.0]))
    >>> both.mean, round(both.deviation, 4), round(both.skewness, 4)
    (3.0, 2.1602, 0.5952)
    """

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared distances from the mean."""
    cubes: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    @classmethod
    def of(cls, values: Cells) -> Line:
        """Of numbers (n,), all of them finite."""
        if not len(values):
            return cls()
        mean = float(values.mean())
        away = values - mean
        square = away * away
        low, high = float(values.min()), float(values.max())
        return cls(len(values), mean, float(square.sum()), float((square * away).sum()), low, high)

    def __add__(self, other: object) -> Line:
        if not isinstance(other, Line):
            return NotImplemented
        if not self.rows or not other.rows:
            return self if self.rows else other
        (m, n), rows = (self.rows, other.rows), self.rows + other.rows
        apart = other.mean - self.mean
        return Line(
            rows,
            self.mean + apart * n / rows,
            self.squares + other.squares + apart**2 * m * n / rows,
            self.cubes
            + other.cubes
            + apart**3 * m * n * (m - n) / rows**2
            + 3 * apart * (m * other.squares - n * self.squares) / rows,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def deviation(self) -> float:
        """Standard deviation (divided by n)."""
        return float(np.sqrt(self.squares / self.rows)) if self.rows else 0.0

    @property
    def skewness(self) -> float:
        """Mean cube of the standardised numbers."""
        cube = max(self.deviation, np.finfo(float).tiny) ** 3
        return self.cubes / self.rows / cube if cube else 0.0


class Tally(NamedTuple):
    """What is told of some cells of a column; ``+`` puts two sets of them together.

    Examples
    --------
    >>> told = Tally.of(np.array([1.0, np.nan])) + Tally.of(np.array([4.0]))
    >>> told.rows, told.absent, told.plain.mean
    (3, 0.3333333333333333, 2.5)
    """

    rows: int
    """Gaps included."""
    plain: Line
    """Of the cells that are there."""
    bent: Line
    """The same on the scale on which they are standardised."""
    values: NDArray[np.float64]
    """Different values, sorted, of the kinds of column that count them."""
    counts: NDArray[np.int64]
    """How many rows hold each."""
    turns: Mapping[str, Line]
    """Where in each cycle the cells lie, of dates."""

    @classmethod
    def of(
        cls,
        cells: Cells,
        bent: Callable[[Cells], Cells] | None = None,
        counted: Callable[[Cells], Cells] | None = None,
        turns: Mapping[str, float] | None = None,
    ) -> Tally:
        """Of cells (n,), NaN where one is missing.

        Parameters
        ----------
        cells : array (n,)
        bent : callable, optional
            To the scale on which they are standardised.
        counted : callable, optional
            To the values that are counted.
        turns : mapping of names to seconds, optional
            Cycles of dates.
        """
        there = cells[~np.isnan(cells)]
        values, counts = np.empty(0), np.empty(0, np.int64)
        if counted is not None:
            values, counts = np.unique(counted(there), return_counts=True)
        plain = Line.of(there)
        return cls(
            len(cells),
            plain,
            plain if bent is None else Line.of(bent(there)),
            values,
            counts,
            {name: Line.of(np.mod(there, seconds)) for name, seconds in (turns or {}).items()},
        )

    def __add__(self, other: object) -> Tally:
        if not isinstance(other, Tally):
            return NotImplemented
        values, place = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        turns = {name: line + other.turns[name] for name, line in self.turns.items()}
        plain, bent = self.plain + other.plain, self.bent + other.bent
        return Tally(self.rows + other.rows, plain, bent, values, counts, turns)

    @property
    def absent(self) -> float:
        """Share of the rows in which the cell is missing."""
        return (self.rows - self.plain.rows) / self.rows


class Tallied(Column, Protocol):
    """A kind of column that can be fitted to rows of which not all are at hand."""

    @classmethod
    def tally(cls, cells: NDArray[Any]) -> Tally:
        """What is to be known of some cells (n,)."""

    @classmethod
    def of(cls, known: Tally, field: Field) -> Self:
        """As :meth:`Column.fit`, of all the rows that were tallied; equal up to the rounding of float64."""
