"""What kind each column is, of rows that stay in their file; and such rows as the cells of a table.

Kinds are inferred from all rows by the rules of :mod:`isthmus.data.kinds`, in one pass over the blocks: numbers by
their moments, texts by how many rows hold each. What is kept of a column is bounded: of more than ``KEPT`` different
texts the rarest are let go, and which texts are commonest is then told nearly, and so is whether they repeat (lossy
counting: Manku and Motwani 2002, Approximate frequency counts over data streams, VLDB). What is inferred is checked
cell by cell when the rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data import dates, kinds
from isthmus.data.columnar import Asked, short
from isthmus.data.fields import TEXTS, Cells, Field
from isthmus.data.fields.tally import Line
from isthmus.data.kinds import Known, only
from isthmus.data.numbers import unusable
from isthmus.data.ordered import in_order
from isthmus.data.source import Source
from isthmus.data.table import NO_VALUE, is_number, numbers, table
from isthmus.data.unchecked import Unchecked, row_words
from isthmus.data.wording import option, shown, some
from isthmus.data.words import Words, bare, words_of
from isthmus.data.written import decimal, seen
from isthmus.data.written import numbers as written_numbers
from isthmus.errors import BadInput

KEPT, LETTERS = 1 << 15, 1 << 22
"""Different texts of a column, and bytes of them, that are kept at least; at most twice as many are."""
ROWS = 1 << 13
"""Rows whose cells are read at a time."""
TEXT = 128
"""Bytes of a text in memory besides its letters."""
CLOCK = "clock"
"""How times of the day are written, in the stead of a decimal mark."""


def inferred(source: Source, readers: int = 1) -> Source:
    """The rows of a source as cells of columns whose kinds are inferred in one pass over it; as plain numbers where all
    are numbers without gaps.

    Parameters
    ----------
    source : Source
    readers : int
        Threads that read.

    Raises
    ------
    BadInput
        If a column cannot be read as it should be, or is not there.
    """
    asked, gone = source.asked, source.asked.missing
    columns: dict[str, _Column] = {}
    aside: dict[str, str] = {}

    unpacked: list[str] = []

    def look(block: int) -> tuple[dict[str, _Column], Unchecked]:
        raw = _raw(source, block)
        wanted = kinds.spread(raw, source.asked.kinds)
        kinds.refuse_names(raw, wanted, ())
        kept = [(j, name) for j, name in enumerate(raw.columns) if wanted.get(name) != "drop"]
        begin = int(source.starts[block])
        looks = {name: _look(raw, j, begin, wanted.get(name, ""), gone) for j, name in kept}
        return looks, raw._replace(cells=None)

    for number, (found, raw) in enumerate(in_order(look, range(len(source.starts) - 1), readers)):
        asked = asked if number else replace(asked, kinds=kinds.spread(raw, asked.kinds))
        out = {name: why for name, why in raw.aside.items() if name not in asked.kinds}
        unpacked += [said for said in raw.told if said not in (*source.told, *unpacked)]
        if number and (odd := sorted((columns.keys() | aside.keys()) ^ (found.keys() | out.keys()))):
            raise BadInput(
                f"{source.place}: column {shown(odd[0])} is not there in all blocks of the file, as where lists are of "
                f"different lengths; leave it out ({option(odd[0], 'drop')})"
            )
        aside |= out
        for name, one in found.items():
            if name not in columns:
                columns[name] = one
            else:
                columns[name].add(one)
    told = [(name, _known(source, name, columns[name], asked)) for name in columns if name not in aside]
    knowns = kinds.of_terms(source.place, [one.known for _, one in told], asked.terms)
    told = [(name, one._replace(known=known)) for (name, one), known in zip(told, knowns, strict=True)]
    return _together(source, columns, told, aside, unpacked)


def _raw(source: Source, block: int, names: Sequence[str] | None = None) -> Unchecked:
    """The columns of a block."""
    content, begin, label = source.table(block, names), int(source.starts[block]), source.asked.label
    cells = [whole.combine_chunks() if whole.num_chunks != 1 else whole.chunk(0) for whole in content.columns]
    label = label if label in content.column_names else None
    rows = lambda i: f"row {begin + i + 1:,}"  # noqa: E731
    return table(source.place, content.column_names, cells, rows, label, source.stated)


# ------------------------------------------------------------------------------------------------------- what is seen


class _Numbers(NamedTuple):
    """What is seen of numbers."""

    few: Cells
    """The smallest different ones, sorted."""
    plain: Line
    bent: Line
    """Of their log scale."""

    @classmethod
    def of(cls, values: Cells) -> _Numbers:
        """Of some cells (n,), NaN where one is missing."""
        there = values[~np.isnan(values)]
        few = np.unique(there[: 4 * kinds.ENOUGH])
        low = float(there.min()) if len(there) else 0.0
        if len(few) < kinds.ENOUGH:
            few = np.unique(there)
        few = np.unique(np.append(few[: kinds.ENOUGH], low)) if len(there) else few
        return cls(few[: kinds.ENOUGH], Line.of(there), Line.of(np.arcsinh(there)) if low >= 0 else Line())

    def __add__(self, other: object) -> _Numbers:
        if not isinstance(other, _Numbers):
            return NotImplemented
        few = np.unique(np.append(self.few, other.few))[: kinds.ENOUGH]
        return _Numbers(few, self.plain + other.plain, self.bent + other.bent)


class _Texts(NamedTuple):
    """What is seen of texts."""

    texts: pa.Array
    """Different ones, in the order in which they come first."""
    counts: NDArray[np.int64]
    first: NDArray[np.int64]
    """The first row of each."""
    lost: int = 0
    """Rows of texts that were let go."""

    @classmethod
    def of(cls, words: Words, begin: int) -> _Texts:
        """Of some cells, the first of which stands in row ``begin``."""
        words = words.written or words
        first = np.full(len(words.texts), begin)
        there = words.codes >= 0
        first[words.codes[there][::-1]] = begin + np.flatnonzero(there)[::-1]
        return cls(words.texts, words.counts(), first)

    @classmethod
    def joined(cls, parts: Sequence[_Texts]) -> _Texts:
        """Those of several sets, of which the rarest are let go where there are too many."""
        coded = pa.concat_arrays([part.texts for part in parts]).dictionary_encode()
        texts, place = coded.dictionary, coded.indices.to_numpy()
        counts, first = np.zeros(len(texts), np.int64), np.full(len(texts), np.iinfo(np.int64).max)
        np.add.at(counts, place, np.concatenate([part.counts for part in parts]))
        np.minimum.at(first, place, np.concatenate([part.first for part in parts]))
        whole = cls(texts, counts, first, sum(part.lost for part in parts))
        if len(texts) <= 2 * KEPT and texts.nbytes <= 2 * LETTERS:
            return whole
        order = np.argsort(-counts, kind="stable")
        size = np.cumsum(pc.binary_length(texts).to_numpy()[order])
        keep = np.sort(order[: max(1, min(KEPT, int((size <= LETTERS).sum())))])
        lost = whole.lost + int(counts.sum() - counts[keep].sum())
        return cls(texts.take(pa.array(keep)), counts[keep], first[keep], lost)


@dataclass
class _Column:
    """What is seen of a column, block by block."""

    kind: pa.DataType
    rows: int
    missing: int
    numbers: _Numbers | None = None
    texts: list[_Texts] = field(default_factory=list)
    size: int = 0
    """Different texts that were there when they were last put together."""

    def add(self, other: _Column) -> None:
        """More rows."""
        self.rows, self.missing = self.rows + other.rows, self.missing + other.missing
        if self.numbers is not None and other.numbers is not None:
            self.numbers += other.numbers
        self.texts += other.texts
        if sum(len(part.texts) for part in self.texts) > 2 * self.size + KEPT // 8:
            self.texts = [_Texts.joined(self.texts)]
            self.size = len(self.texts[0].texts)

    @property
    def letters(self) -> float:
        """Bytes of a text, on average."""
        found = self.words[0]
        lengths = np.asarray(pc.fill_null(pc.binary_length(found.texts), 0))
        counts = found.counts()
        return float((lengths * counts).sum() / max(1, counts.sum()))

    @property
    def words(self) -> tuple[Words, NDArray[np.int64]]:
        """The texts as a column in which rows that are alike stand together; and the first row of each."""
        found = _Texts.joined(self.texts)
        codes, often = np.arange(len(found.texts)), found.counts
        if self.missing:
            codes, often = np.append(codes, -1), np.append(often, self.missing)
        return bare(Words(found.texts, codes, often, found.lost)), np.append(found.first, 0)


def _look(raw: Unchecked, j: int, begin: int, kind: str, gone: tuple[float, ...]) -> _Column:
    """What is seen of a column of a block."""
    cells = _cells(raw)[j]
    rows, given = len(cells), cells.type
    if _numeric(given) and kind not in ("category", "ordered"):
        values = _values(raw, j, cells, gone)
        if (bad := np.flatnonzero(np.abs(values) > kinds.LARGEST)).size:
            raise BadInput(unusable(raw, int(bad[0]), j, float(values[bad[0]]), len(bad)))
        return _Column(given, rows, int(np.isnan(values).sum()), _Numbers.of(values))
    if is_number(given):
        cells = kinds.without(cells, gone)
    words = words_of(raw, j, cells)
    return _Column(given, rows, int((words.codes < 0).sum()), None, [_Texts.of(words, begin)])


def _cells(raw: Unchecked) -> tuple[Any, ...]:
    assert raw.cells is not None
    return raw.cells


def _numeric(kind: pa.DataType) -> bool:
    """Whether cells of a type are numbers, or moments."""
    return is_number(kind) or pa.types.is_temporal(kind)


def _values(raw: Unchecked, j: int, cells: Any, gone: tuple[float, ...]) -> Cells:
    """The cells of a column of numbers or moments."""
    if _moments(cells.type):
        return dates.seconds(cells)
    values = dates.elapsed(cells) if pa.types.is_temporal(cells.type) else numbers(raw.place, raw.columns[j], cells)
    return np.where(np.isin(values, gone), np.nan, values) if gone else values


def _moments(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind) or pa.types.is_timestamp(kind)


# ---------------------------------------------------------------------------------------------------- what it is then


class _Told(NamedTuple):
    """A column, understood."""

    known: Known
    mark: tuple[str, str] | None = None
    """How numbers are written in it, where it holds them as texts: the decimal mark, and the sign that all carry."""


def _known(source: Source, name: str, column: _Column, asked: Asked) -> _Told:
    """What a column is, as :mod:`isthmus.data.kinds` infers it of a column at hand."""
    kind, gaps = asked.kinds.get(name, ""), column.missing > 0
    raw = Unchecked(source.place, np.empty((0, 0)), None, (name,), row_words((name,), str), stated=source.stated)
    if column.texts:
        words, first = column.words
        raw = raw._replace(where=row_words((name,), lambda i: f"row {first[i] + 1:,}"))
        if _numeric(column.kind):
            found = kinds.categories(name, words, kind)._replace(plain=False)
            wont = source.habits.get(name, "") if is_number(column.kind) else ""
            return _Told(found if found.field is None else found._replace(field=replace(found.field, habit=wont)))
        found = kinds.of_texts(raw, 0, words, kind, asked.missing)
        if found.field is None or found.field.kind not in kinds.NUMBERS or found.field.values:
            return _Told(found)
        if dates.clock(words.texts) is not None:
            return _Told(found, (CLOCK, ""))
        spelled = seen(words.texts)
        if spelled is None:  # a column of which nobody could tell that these are numbers
            return _Told(found)
        mark, _ = decimal({name: spelled}, lambda spot: f"{raw.place}: {raw.where(spot.row, 0)}")
        return _Told(found, (mark, spelled.unit))
    if column.missing == column.rows:
        return _Told(Known(None, None, NO_VALUE))
    if _moments(column.kind):
        only(raw, name, kind, "date", "category", "ordered")
        return _Told(Known(Field(name, "date", gaps=gaps), None))
    only(raw, name, kind, *kinds.NUMBERS)
    told = column.numbers
    assert told is not None
    boolean = bool(pa.types.is_boolean(column.kind))
    kind = kind or kinds.of_numbers(told.few, lambda: (told.plain.skewness, told.bent.skewness), boolean)
    plain = is_number(column.kind)
    wont = source.habits.get(name, "") if plain else ""
    said = () if plain else kinds.in_seconds(name)
    return _Told(Known(Field(name, kind, gaps=gaps, habit=wont), None, told=said, plain=plain))


def _together(
    source: Source,
    columns: dict[str, _Column],
    told: Sequence[tuple[str, _Told]],
    aside: dict[str, str],
    unpacked: Sequence[str],
) -> Source:
    """The columns that are learnt from."""
    asked = source.asked
    aside = {name: one.known.why for name, one in told if one.known.field is None} | aside
    found = {name: one.known for name, one in told if one.known.field is not None}
    fields = tuple(replace(one.field, missing=asked.missing) for one in found.values() if one.field is not None)
    if not fields:
        raise BadInput(f"{source.place}: {kinds.none_left(aside)}")
    plain = asked.plain and all(one.plain and not columns[name].missing for name, one in found.items())
    plain = plain and len({one.habit for one in fields if one.habit}) < 2  # plain numbers have one decimal mark
    said = [sentence for one in found.values() for sentence in one.told]
    said += [] if plain else kinds.sentences(fields, np.array([columns[name].missing for name in found]))
    said += [
        f"column {shown(name)}: {lost:,} rows hold texts that are too many to be kept apart; which texts are commonest "
        "is told nearly"
        for name in found
        if columns[name].texts and not _textual(found[name].field) and (lost := columns[name].words[0].lost)
    ]
    marks = {name: one.mark for name, one in told if one.mark is not None}
    textual = [one.name for one in fields if _textual(one)]
    if textual:
        said.append(
            f"{some(textual)}: terms are taken and weighed of the training rows that are drawn, and all rows are told "
            "by them"
        )
    letters = sum(columns[name].letters for name in textual)
    return Tabled(
        source, fields, marks, (*source.told, *unpacked, *said, *kinds.set_aside(aside)), plain=plain, letters=letters
    )


def _textual(one: Field | None) -> bool:
    return one is not None and one.kind in TEXTS


class Tabled:
    """Rows of a source as the cells of columns whose kinds are known.

    Parameters
    ----------
    source : Source
    known : sequence of Field
        Of each column that is learnt from.
    marks : mapping
        How numbers are written in columns that hold them as texts.
    told : sequence of str
        What was inferred.
    plain : bool
        Whether all are numbers without gaps, which come as 32-bit floats.
    letters : float
        Bytes of all free text of a row, on average.
    """

    def __init__(
        self,
        source: Source,
        known: tuple[Field, ...],
        marks: dict[str, tuple[str, str]],
        told: tuple[str, ...],
        *,
        plain: bool,
        letters: float = 0.0,
    ) -> None:
        self.source, self.known, self.marks, self.told, self.plain = source, known, marks, told, plain
        self.place, self.name, self.starts, self.asked = source.place, source.name, source.starts, source.asked
        self.stated, self.bytes, self.beside = source.stated, source.bytes, source.beside
        self.fields = () if plain else known
        self.habits = {one.name: one.habit for one in known if one.habit}
        self.columns, self.letters = tuple(one.name for one in known), letters
        self.textual = any(_textual(one) for one in known)

    @property
    def most(self) -> int:
        """The columns as they come, and the cells."""
        row = len(self.columns) * 16 + (int(2 * self.letters) + TEXT if self.textual else 0)
        return self.source.most + int(np.diff(self.starts).max()) * row

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        """The rows of a block as the file has them."""
        return self.source.table(number, names)

    def block(self, number: int, error: NDArray[np.float64] | None = None) -> NDArray[Any]:
        """The cells of a block, (n, F); see :class:`isthmus.data.source.Source`."""
        raw = _raw(self.source, number)
        cells, rows = _cells(raw), int(self.starts[number + 1] - self.starts[number])
        out: NDArray[Any] = np.empty((rows, len(self.known)), object if self.textual else np.float64)
        for begin in range(0, rows, ROWS):
            some = tuple(one.slice(begin, ROWS) for one in cells)
            place = _later(raw.where, begin)
            part = raw._replace(cells=some, where=place)
            part = part._replace(cells=tuple(self._spelled(part, j) for j in range(len(some))))
            out[begin : begin + ROWS] = kinds.settle(part, known=self.known).x
        return short(out, error) if self.plain else out

    def _spelled(self, raw: Unchecked, j: int) -> Any:
        """A column, in which numbers that are written as texts are numbers."""
        name, cells = raw.columns[j], _cells(raw)[j]
        if name not in self.marks:
            return cells
        words, (mark, unit) = words_of(raw, j, cells), self.marks[name]
        there = words.texts.filter(pc.is_valid(words.texts))
        if not len(there):
            return pa.nulls(len(cells), pa.float64())
        spelled = None if mark == CLOCK else seen(words.texts)
        values = dates.clock(words.texts) if mark == CLOCK else None
        if spelled is not None and spelled.unit in ("", unit):
            values = written_numbers(spelled, mark)
        if values is None:
            at = words.row(0)
            raise BadInput(
                f"{raw.place}: {raw.where(at, j)} and on: cells are not written as the numbers of this column are "
                "elsewhere; write all alike, or give the column another kind"
            )
        return pa.array(words.spread(values), from_pandas=True)


def _later(where: Callable[[int, int | None], str], begin: int) -> Callable[[int, int | None], str]:
    """Words for a place in some of the rows."""
    return lambda i, j: where(begin + i, j)
