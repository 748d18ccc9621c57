"""From the rows of the data to what a network takes, and back: fitted on training rows, carried with the model.

Rows of plain numbers are laid out by a :class:`isthmus.data.scale.Scaler`, a number for a number. Rows of a table
whose columns are of several kinds, or have gaps, are laid out by a :class:`Table`: an element for a number, one for
each value of a category, one for each step between ordered ones, and one more, "missing", for each column with gaps.
Rows of counts are laid out by :class:`isthmus.data.counts.Counts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.counts import Counts
from isthmus.data.fields import KINDS, TALLIED, TEXTS, Column, Field, Tally, missing
from isthmus.data.fields.category import Category
from isthmus.data.fields.count import Count
from isthmus.data.fields.field import DECIMAL_MARKS, ORDERS
from isthmus.data.fields.ordered import Ordered
from isthmus.data.fields.plain import number, only
from isthmus.data.scale import Scaler
from isthmus.data.series import Series, Windowed
from isthmus.errors import BadInput

BLOCK = 1 << 20
"""Most elements that are laid out at a time."""
WIDEST = 1 << 20
LOUDEST = 40.0
MANY = 1e18
"""The largest logarithm of a mean of counts that are drawn, and the largest rate: numpy draws no larger ones."""
STRANGE, ENOUGH = 0.9, 10
"""Share of new values beyond which a column of categories is told, and how many cells that takes."""
LONGEST = 1000
"""Most characters of a name or a value that comes from a file."""
WONTS: dict[str, tuple[str, ...]] = {"date": ORDERS, **dict.fromkeys(TEXTS, ())}
"""The habits that columns of a kind may have, where these are no decimal marks."""


class Part(NamedTuple):
    """Where one column lies among the elements of a row."""

    field: Field
    column: Column
    start: int
    """Its first element."""
    stop: int
    gap: int | None
    """The element that says "missing"; None where the column has no gaps."""
    absent: float
    """Share of the training rows in which it is missing."""

    @property
    def end(self) -> int:
        """Where the next column begins."""
        return self.stop if self.gap is None else self.gap + 1


class Layout(Protocol):
    """What :class:`Scaler`, :class:`Table` and :class:`isthmus.data.counts.Counts` have in common."""

    @property
    def kind(self) -> str:
        """``standard``, ``unit``, ``none``, ``table`` or ``counts``."""

    @property
    def constant(self) -> int:
        """How many columns had one value in all training rows."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The columns of a table; none where a number is a number."""

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Rows (N, *D) of the data -> (N, *E), finite."""

    def invert(self, x: ArrayLike) -> NDArray[Any]:
        """(N, *E) -> (N, *D), in the units of the data."""

    def settled(self, x: ArrayLike, random: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Laid out rows as a model makes them, (N, *E), as rows that could stand in the data."""

    def observed(self, x: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Which elements of laid out rows (N, *E) say something; None where all do. Those of a gap do not."""

    def astray(self, x: ArrayLike, bounded: bool = False) -> str | None:
        """A sentence about rows that hardly are in the unit of the training rows, or None."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""


def laid_out(
    x: ArrayLike,
    fields: Sequence[Field] = (),
    *,
    images: bool = False,
    kind: str = "auto",
    series: Series | None = None,
    counts: int | None = None,
    habit: str = "",
) -> Layout:
    """The layout of training rows ``x`` (N, *D), whose columns are ``fields``; plain numbers where there are none, with
    the decimal mark ``habit`` in their file, the windows of ``series`` where that is given, and counts, of so many
    columns at most, where ``counts`` says so."""
    if counts is not None:
        return Counts.fit(x, counts)
    if series is not None:
        return Windowed.of(x, series)
    if fields:
        return Table.fit(cells_of(x, fields), fields)
    return replace(Scaler.fit(x, kind=kind, images=images), habit=habit)


def from_json(data: Mapping[str, Any]) -> Layout:
    """A layout from plain data that may come from anywhere; refused with BadInput if it makes no sense."""
    if isinstance(data, Mapping) and data.get("kind") == "table":
        return Table.from_json(data)
    if isinstance(data, Mapping) and data.get("kind") == "counts":
        return Counts.from_json(data)
    return Windowed.from_json(data) if isinstance(data, Mapping) and "series" in data else Scaler.from_json(data)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of several kinds, side by side, each with variance 1.

    Examples
    --------
    >>> fields = Field("age", "number", gaps=True), Field("city", "category", ("Bergen", "Oslo"))
    >>> rows = np.array([[20.0, 0], [40.0, 1], [np.nan, 1], [30.0, 0]])
    >>> table = Table.fit(rows, fields)
    >>> table.names
    ('age', 'age missing', 'city=Bergen', 'city=Oslo', 'city=other')
    >>> table.apply(rows)[2].round(2)
    array([ 0.  ,  0.75, -0.71,  0.71,  0.  ], dtype=float32)
    >>> table.invert(table.apply(rows)).round(3).tolist()
    [[20.0, 0.0], [40.0, 1.0], [nan, 1.0], [30.0, 0.0]]
    """

    kind: ClassVar[str] = "table"

    fields: tuple[Field, ...]
    columns: tuple[Column, ...]
    """As many, each fitted on training rows."""
    absent: tuple[float, ...]
    """Share of the training rows in which each is missing."""
    constant: int = 0

    @classmethod
    def fit(cls, x: NDArray[Any], fields: Sequence[Field]) -> Table:
        """Learn from the cells of training rows (N, F)."""
        columns = tuple(KINDS[field.kind].fit(_of_kind(x[:, j], field), field) for j, field in enumerate(fields))
        absent = tuple(float(missing(x[:, j]).mean()) for j in range(len(fields)))
        numeric = np.array([field.kind not in TEXTS for field in fields])
        with np.errstate(invalid="ignore"):
            low, high = (end.reduce(x[:, numeric].astype(np.float64), axis=0) for end in (np.fmin, np.fmax))
        return cls(tuple(fields), columns, absent, int((~(low < high)).sum()))

    @classmethod
    def of(cls, known: Sequence[Tally], fields: Sequence[Field], some: NDArray[Any]) -> Table:
        """As :meth:`fit`, of training rows that came some at a time: what was told of each column, and ``some`` of the
        rows (n, F), of which the terms of free text are taken and weighed."""
        each = list(zip(known, fields, strict=True))
        columns = tuple(
            KINDS[field.kind].fit(some[:, j], field) if field.kind in TEXTS else TALLIED[field.kind].of(told, field)
            for j, (told, field) in enumerate(each)
        )
        constant = sum(not told.plain.low < told.plain.high for told, field in each if field.kind not in TEXTS)
        return cls(tuple(fields), columns, tuple(told.absent for told in known), constant)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        found, start = [], 0
        for field, column, absent in zip(self.fields, self.columns, self.absent, strict=True):
            stop = start + column.width
            found.append(Part(field, column, start, stop, stop if field.gaps else None, absent))
            start = stop + field.gaps
        return tuple(found)

    @property
    def width(self) -> int:
        """E, the elements of a row that is laid out."""
        return self.parts[-1].end

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One for each element."""
        each = ([*p.column.names(p.field), *([f"{p.field.name} missing"] * (p.gap is not None))] for p in self.parts)
        return tuple(name for names in each for name in names)

    @cached_property
    def _gap_of(self) -> NDArray[np.int64]:
        """The element that says that another is missing, for each element; its own number where none does."""
        found = np.arange(self.width)
        for part in self.parts:
            if part.gap is not None:
                found[part.start : part.stop] = part.gap
        return found

    @cached_property
    def _gap_at(self) -> NDArray[np.float64]:
        """The value from which on the "missing" element of each element says so; infinite where there is none."""
        found = np.full(self.width, np.inf)
        for part in self.parts:
            if part.gap is not None:
                found[part.start : part.stop] = 0.5 - part.absent
        return found

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Cells (N, F), NaN where one is missing -> (N, E), float32 and finite; a gap is 0 in all its elements."""
        cells = cells_of(x, self.fields)
        if cells.ndim != 2 or cells.shape[1] != len(self.fields):
            raise BadInput(f"rows must have {len(self.fields)} columns, as in training; got shape {cells.shape}")
        out = np.zeros((len(cells), self.width), np.float32)
        step = max(1, BLOCK // self.width)
        for start in range(0, len(cells), step):
            rows, laid = cells[start : start + step], out[start : start + step]
            for j, part in enumerate(self.parts):
                gone = missing(rows[:, j])
                given = _of_kind(np.where(gone, 0.0, rows[:, j]), part.field)
                laid[:, part.start : part.stop] = np.where(gone[:, None], 0.0, part.column.encode(given))
                if part.gap is not None:
                    laid[:, part.gap] = gone - part.absent
        return out

    def invert(self, x: ArrayLike) -> NDArray[Any]:
        """(N, E) -> cells (N, F): the likeliest ones, NaN where the row says that one is missing.

        Of free text they are the terms that weigh most, and the array then is one of objects.
        """
        return np.where(self.missing(x), np.nan, self.filled(x))

    def unsaid(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Laid out rows (N, E) in which no cell says that it is missing: a gap is the mean of its column and no more.

        What a model makes of a gap is never compared with anything in training, but what it makes of a value that was
        hidden is, so it knows better what to make of rows that do not say that something is missing.
        """
        out = x.copy()
        for part in self.parts:
            if part.gap is not None:
                out[:, part.gap] = -part.absent
        return out

    def filled(self, x: ArrayLike) -> NDArray[Any]:
        """(N, E) -> the likeliest cells (N, F), whether the row says that they are missing or not."""
        laid = np.asarray(x, np.float64)
        return np.column_stack([part.column.decode(laid[:, part.start : part.stop]) for part in self.parts])

    def missing(self, x: ArrayLike) -> NDArray[np.bool_]:
        """(N, E) -> which cells (N, F) the row says are missing."""
        laid = np.asarray(x)
        none = np.zeros(len(laid), bool)
        return np.column_stack([none if p.gap is None else laid[:, p.gap] > 0.5 - p.absent for p in self.parts])

    def settled(self, x: ArrayLike, random: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Rows as a model makes them, (N, E), as rows that could stand in the data: each count whole, each flag yes or
        no, each category one of its values, ordered or not, each cell there or missing. The likeliest of them, or
        draws where ``random`` is given.
        """
        out = np.array(x, np.float64)
        for part in self.parts:
            cells, column = out[:, part.start : part.stop], part.column
            if column.outcome == "choice":
                share = np.clip(cells * column.scale + np.asarray(column.shares), 1e-12, None)
                bounds = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
                which = share.argmax(axis=1)
                if random is not None:
                    which = np.minimum((bounds < random.random((len(out), 1))).sum(axis=1), column.width - 1)
                cells[...] = (np.eye(column.width)[which] - np.asarray(column.shares)) / column.scale
            if column.outcome == "order" and random is not None:  # as many steps as are likelier than one draw
                chance = cells * column.scale + np.asarray(column.shares)
                taken = (chance > random.random((len(out), 1))).sum(axis=1, keepdims=True)
                steps = np.arange(column.width) < taken
                cells[...] = (steps - np.asarray(column.shares)) / column.scale
            elif column.outcome in ("count", "order"):
                cells[...] = column.encode(column.decode(cells))
            if column.outcome == "bit":
                cells[...] = (_bit(cells * column.scale + column.shares[0], random) - column.shares[0]) / column.scale
            if part.gap is not None:
                missing = _bit(out[:, part.gap] + part.absent, random)
                out[:, part.gap] = missing - part.absent
                cells[missing > 0] = 0.0
        return out.astype(np.float32)

    def counted(
        self, x: ArrayLike, dispersion: Sequence[float] | NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Rows (N, E) whose counts are drawn of negative binomials: those that are there are the means, and the
        variance of each of the columns of counts is mean + dispersion mean^2.

        Examples
        --------
        >>> table = Table.fit(np.array([[0.0], [1.0], [1.0], [6.0]]), [Field("calls", "count")])
        >>> made = table.invert(table.counted(table.apply(np.full((10_000, 1), 4.0)), [0.5], np.random.default_rng(0)))
        >>> round(float(made.mean()), 1), round(float(made.var()), 0)
        (4.0, 12.0)
        """
        out = np.array(x, np.float64)
        counts = [(part.start, part.column) for part in self.parts if isinstance(part.column, Count)]
        for (at, column), own in zip(counts, dispersion, strict=True):
            cells = out[:, at : at + 1]
            mean = np.clip(np.expm1(np.clip(cells[:, 0] * column.scale + column.shift, 0.0, LOUDEST)), 0.0, None)
            cells[...] = column.encode(
                random.poisson(np.minimum(random.gamma(1 / own, own * mean), MANY)).astype(np.float64)
            )
        return out.astype(np.float32)

    def observed(self, x: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        return x[:, self._gap_of] <= self._gap_at if any(field.gaps for field in self.fields) else None

    def astray(self, x: ArrayLike, bounded: bool = False) -> str | None:
        """Columns of numbers, looked at as those of a table of numbers only; then columns of categories."""
        return self._far(x) or self._strange(x)

    def _strange(self, x: ArrayLike) -> str | None:
        """A column of whose values nearly none was there in training."""
        cells = np.asarray(x)
        for j, column in enumerate(self.columns):
            if isinstance(column, Category | Ordered):
                there = cells[:, j].astype(np.float64)
                there = there[~np.isnan(there)]
                if len(there) >= ENOUGH and (new := int((there < 0).sum())) > STRANGE * len(there):
                    which = (
                        f"column {self.fields[j].name!r}: {new:,} of {len(there):,} values were not there in training"
                    )
                    return f"{which}; if they are spelt or coded otherwise, give them as in training"
        return None

    def _far(self, x: ArrayLike) -> str | None:
        numeric = [j for j, field in enumerate(self.fields) if field.kind == "number"]
        cells = np.asarray(x)[:, numeric].astype(np.float64)
        whole = cells[~np.isnan(cells).any(axis=1)]
        if not numeric or not len(whole):
            return None
        laid = [self.columns[j].to_json() for j in numeric]
        shift, scale = (np.array([one[name] for one in laid]) for name in ("shift", "scale"))
        return Scaler("standard", shift, scale).astray(whole)

    def shared(self) -> Table:
        """The same without the values that have no element of their own: what stands in one training row only is in no
        file that leaves the house. Cells of a category are then counted anew."""
        fields, columns = list(self.fields), list(self.columns)
        for j, (one, column) in enumerate(zip(self.fields, self.columns, strict=True)):
            if isinstance(column, Category):
                fields[j] = replace(one, values=tuple(one.values[code] for code in column.codes))
                columns[j] = replace(column, codes=tuple(range(len(column.codes))))
        return replace(self, fields=tuple(fields), columns=tuple(columns))

    def to_json(self) -> dict[str, Any]:
        each = zip(self.fields, self.columns, self.absent, strict=True)
        return {
            "kind": self.kind,
            "columns": [{"field": f.to_json(), "layout": c.to_json(), "absent": a} for f, c, a in each],
            "constant": self.constant,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Table:
        """A layout from plain data that may come from anywhere.

        Raises
        ------
        BadInput
            If a field is missing, unknown or impossible; the message names it.
        """
        only("layout", data, "kind", "columns", "constant")
        if not isinstance(data["columns"], list) or not data["columns"] or len(data["columns"]) > WIDEST:
            raise BadInput("layout: expected a list of columns")
        fields, columns, absent = [], [], []
        for entry in data["columns"]:
            only("layout.columns", entry, "field", "layout", "absent")
            fields.append(field(entry["field"]))
            columns.append(KINDS[fields[-1].kind].from_json(entry["layout"]))
            absent.append(number("layout.absent", entry["absent"]))
        if len({one.name for one in fields}) < len(fields):
            raise BadInput("layout: two columns have the same name")
        if min(absent) < 0 or max(absent) > 1:
            raise BadInput("layout: absent must be a share, 0 to 1")
        if type(data["constant"]) is not int or not 0 <= data["constant"] <= len(fields):
            raise BadInput("layout: constant must be a count of columns")
        for one, column in zip(fields, columns, strict=True):
            if isinstance(column, Category | Ordered) and max(column.codes, default=-1) >= len(one.values):
                raise BadInput(f"layout: column {one.name!r:.60} does not fit its values")
        made = cls(tuple(fields), tuple(columns), tuple(absent), data["constant"])
        if made.width > WIDEST:
            raise BadInput(f"layout: more than {WIDEST} elements")
        return made


def cells_of(x: ArrayLike, fields: Sequence[Field]) -> NDArray[Any]:
    """Cells (N, F) as an array of float64, or of objects where some are texts."""
    return np.asarray(x, object if any(field.kind in TEXTS for field in fields) else np.float64)


def coded(x: NDArray[Any], fields: Sequence[Field]) -> NDArray[Any]:
    """Cells (N, F) as numbers alone: each text as its place among those of its column in alphabetic order."""
    if not any(field.kind in TEXTS for field in fields):
        return x
    found = np.full(x.shape, np.nan)
    for j, field in enumerate(fields):
        there = ~missing(x[:, j])
        cells = x[there, j]
        found[there, j] = np.unique(cells.astype(str), return_inverse=True)[1] if field.kind in TEXTS else cells
    return found


def measured(x: NDArray[Any], fields: Sequence[Field]) -> NDArray[np.float64]:
    """Cells (N, F) as numbers alone: each text as the number of its characters."""
    found = np.full(x.shape, np.nan)
    for j, field in enumerate(fields):
        there = ~missing(x[:, j])
        found[there, j] = [len(text) for text in x[there, j]] if field.kind in TEXTS else x[there, j]
    return found


def written(x: NDArray[Any], fields: Sequence[Field]) -> NDArray[np.object_] | None:
    """The free text (N,) of cells (N, F), that of several columns on lines of its own; None where there is none."""
    textual = [j for j, field in enumerate(fields) if field.kind in TEXTS]
    if not textual:
        return None
    lines = np.where(missing(x[:, textual]), "", x[:, textual])
    return np.array([*("\n".join(row) for row in lines), None], dtype=object)[:-1]


def _of_kind(cells: NDArray[Any], field: Field) -> NDArray[Any]:
    """The cells (N,) of one column: numbers as such, where they stood beside texts."""
    return cells if field.kind in TEXTS else cells.astype(np.float64, copy=False)


def _bit(share: NDArray[np.float64], random: np.random.Generator | None) -> NDArray[np.float64]:
    """0 or 1: the likelier of the two, or draws."""
    edge: Any = 0.5 if random is None else random.random(share.shape)
    return (share > edge).astype(np.float64)


def field(data: Any) -> Field:
    """A column's description from plain data that may come from anywhere."""
    asked = isinstance(data, Mapping) and data.get("kind") in TEXTS and "terms" in data
    wont = isinstance(data, Mapping) and "habit" in data
    only("column", data, "name", "kind", "gaps", "values", "missing", *(["terms"] * asked), *(["habit"] * wont))
    name, kind, gaps, values, gone = (data[key] for key in ("name", "kind", "gaps", "values", "missing"))
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        raise BadInput(f"column: name must be a text of 1 to {LONGEST} characters")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadInput(f"column: kind must be one of {', '.join(KINDS)}; got {kind!r:.60}")
    if not isinstance(values, list) or any(not isinstance(text, str) or len(text) > LONGEST for text in values):
        raise BadInput(f"column: values must be texts of at most {LONGEST} characters")
    if len(set(values)) < len(values):
        raise BadInput("column: a value stands twice")
    if type(gaps) is not bool:
        raise BadInput("column: gaps must be true or false")
    if not isinstance(gone, list) or len(gone) > LONGEST:
        raise BadInput(f"column: missing must be a list of at most {LONGEST} numbers")
    if type(terms := data.get("terms", 0)) is not int or not 0 <= terms <= WIDEST:
        raise BadInput(f"column: terms must be a count of at most {WIDEST:,}")
    if wont and data["habit"] not in (allowed := WONTS.get(kind, DECIMAL_MARKS)):
        raise BadInput(f"column: habit of kind {kind} must be one of {allowed}; got {data['habit']!r:.60}")
    lacking, habit = tuple(number("column.missing", value) for value in gone), data["habit"] if wont else ""
    return Field(name, kind, tuple(values), gaps, lacking, terms, habit)
